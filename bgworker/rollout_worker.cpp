/*
 * rollout_worker.cpp — the background workers of rollouts, and the supervisor that keeps them running in one database.
 *
 * The launcher starts a supervisor where a rollout runs: when one is started or resumed, and in every database after the
 * server's start, since a rollout that a crash interrupted goes on.  The supervisor starts as many workers as the
 * rollout asks for and tenancy.max_rollout_workers allows, and starts those again that end before it is over.
 *
 * A worker calls tenancy.rollout_step() in one transaction after another.  Its commits do not wait for the disk: a
 * tenant's tables and the row that says so are lost together, and done again.  The commit that ends the rollout waits.
 *
 * Statements that refuse a transaction are run as a client's would be: a portal at the top level, in a transaction that
 * the statement itself may end.  The worker is tenancy_owner while it does.
 *
 * All of them connect as tenancy_worker, which may do nothing but call the functions of rollouts.
 */
#include "child_worker.h"
#include "service_worker.h"

namespace tenancy
{
namespace
{

constexpr const char *patient_lock_timeout = "30s";

/* ---- queries ---- */

void
begin()
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
}

void
commit()
{
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	(void) pgstat_report_stat(false);
}

/* Runs a query; the number of its rows. */
template <int count>
uint64
query(const char *text, const char *const (&parameters)[count])
{
	Oid types[count];
	Datum values[count];
	char nulls[count];

	for (int i = 0; i < count; i++)
	{
		types[i] = TEXTOID;
		values[i] = parameters[i] ? CStringGetTextDatum(parameters[i]) : (Datum) 0;
		nulls[i] = parameters[i] ? ' ' : 'n';
	}
	if (SPI_execute_with_args(text, count, types, values, nulls, false, 0) < 0)
		elog(ERROR, "could not run \"%s\": %s", text, SPI_result_code_string(SPI_result));
	return SPI_processed;
}

char *
field(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

/* ---- a statement outside a transaction ---- */

struct TopLevelStatement
{
	const char *text;
	const char *schema;
	Oid owner;
	MemoryContext context; /* outlives the transactions that the statement makes */
};

void
run_in_portal(const TopLevelStatement *statement)
{
	StartTransactionCommand();
	MemoryContextSwitchTo(statement->context);
	RawStmt *raw = linitial_node(RawStmt, pg_parse_query(statement->text));
	CommandTag tag = CreateCommandTag(raw->stmt);
	List *queries =
		pg_analyze_and_rewrite_fixedparams(raw, statement->text, nullptr, 0, nullptr);
	List *plans = pg_plan_queries(queries, statement->text, CURSOR_OPT_PARALLEL_OK, nullptr);
	QueryCompletion completion;

	InitializeQueryCompletion(&completion);
	Portal portal = CreatePortal("", true, true);
	portal->visible = false;
	PortalDefineQuery(portal, nullptr, statement->text, tag, plans, nullptr);
	PortalStart(portal, nullptr, 0, InvalidSnapshot);
	MemoryContextSwitchTo(statement->context);
	(void) tenancy_portal_run(portal, None_Receiver, &completion);
	PortalDrop(portal, false);
	CommitTransactionCommand();
}

/*
 * Its error, or null.  A reader holds up a statement of this kind without being held up by it, so that it is given more
 * time than others.
 */
ErrorData *
run_at_top_level(const TopLevelStatement *statement)
{
	const Oid worker = GetUserId();
	ErrorData *volatile error = nullptr;

	SetConfigOption("search_path", psprintf("%s, pg_temp", quote_identifier(statement->schema)),
					PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("lock_timeout", patient_lock_timeout, PGC_USERSET, PGC_S_SESSION);
	SetUserIdAndSecContext(statement->owner, 0);
	PG_TRY();
	{
		run_in_portal(statement);
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(statement->context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(statement->context);
	SetUserIdAndSecContext(worker, 0);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("lock_timeout", "0", PGC_USERSET, PGC_S_SESSION);
	return error;
}

/* ---- a tenant whose migrations do not run in a transaction ---- */

/* Asks for the next statement; true if there is one to be run outside a transaction, false with "over" if none is left. */
bool
next_statement(const char *rollout, const char *tenant, TopLevelStatement *statement, bool *over)
{
	bool found;

	begin();
	(void) query("SELECT s.action, s.statement, s.schema_name "
				 "FROM tenancy.script_step($1::integer, $2) s",
				 {rollout, tenant});
	*over = strcmp(field(0, 1), "over") == 0;
	found = strcmp(field(0, 1), "statement") == 0;
	if (found)
	{
		statement->text = MemoryContextStrdup(statement->context, field(0, 2));
		statement->schema = MemoryContextStrdup(statement->context, field(0, 3));
		statement->owner = tenancy_owner();
	}
	commit();
	return found;
}

void
report_statement(const char *rollout, const char *tenant, const ErrorData *error)
{
	begin();
	(void) query("SELECT tenancy.script_ran($1::integer, $2, $3, $4, $5, $6)",
				 {rollout, tenant,
				  error ? pstrdup(unpack_sql_state(error->sqlerrcode)) : nullptr,
				  error ? error->message : nullptr, error ? error->detail : nullptr,
				  error ? error->hint : nullptr});
	commit();
}

/* The caller has taken the tenant. */
void
run_scripts(int rollout_id, const char *tenant)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "tenancy rollout script", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	const char *rollout = psprintf("%d", rollout_id);
	bool over = false;

	while (!over)
	{
		TopLevelStatement statement = {nullptr, nullptr, InvalidOid, context};

		CHECK_FOR_INTERRUPTS();
		if (!next_statement(rollout, tenant, &statement, &over))
			continue;
		pgstat_report_activity(STATE_RUNNING, statement.text);
		ErrorData *error = run_at_top_level(&statement);
		report_statement(rollout, tenant, error);
	}
	begin();
	(void) query("SELECT pg_catalog.pg_advisory_unlock_all()", {nullptr});
	commit();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* ---- the worker ---- */

bool
is_welcome(int rollout)
{
	begin();
	(void) query("SELECT tenancy.worker_started($1::integer)", {psprintf("%d", rollout)});
	bool welcome = strcmp(field(0, 1), "t") == 0;
	commit();
	return welcome;
}

/* One step; true as long as there is more. */
bool
work(int rollout, SPIPlanPtr *plan, int64 *after)
{
	static char tenant[TENANT_ID_MAX + 1];
	RolloutStep step;
	bool wait, script, stop;
	int wait_ms;

	begin();
	if (!*plan)
	{
		*plan = prepare_rollout_step(true);
		SPI_keepplan(*plan);
	}
	step = rollout_step(*plan, rollout, after);
	wait = strcmp(step.action, "wait") == 0;
	script = strcmp(step.action, "script") == 0;
	stop = strcmp(step.action, "stop") == 0;
	wait_ms = step.wait_ms;
	if (script)
		strlcpy(tenant, step.tenant, sizeof(tenant));
	commit();

	if (script)
		run_scripts(rollout, tenant);
	if (wait)
	{
		service_rest(wait_ms);
		pgstat_report_activity(STATE_RUNNING, "rollout");
	}
	return !stop;
}

/* ---- the supervisor ---- */

Oid worker_role;
bool noted_problem = false;

void
describe_worker(const ChildWorker *child, BackgroundWorker *worker)
{
	TenancyWorkerArguments arguments = {worker_role, child->subject};

	strlcpy(worker->bgw_library_name, "tenancy", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, "tenancy_rollout_worker_main", BGW_MAXLEN);
	snprintf(worker->bgw_name, BGW_MAXLEN, "tenancy rollout worker for rollout %u", child->subject);
	strlcpy(worker->bgw_type, "tenancy rollout worker", BGW_MAXLEN);
	memcpy(worker->bgw_extra, &arguments, sizeof(arguments));
}

void
complain_of_slots(const ChildWorker *child)
{
	ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					  errmsg("out of background worker slots"),
					  errdetail("A worker of rollout %u could not be started.", child->subject),
					  errhint("Raise max_worker_processes, or let a session run it: CALL tenancy.run_rollout(%u);",
							  child->subject)));
}

ChildWorkers
rollout_workers()
{
	ChildWorkers workers = {};

	workers.describe = describe_worker;
	workers.complain = complain_of_slots;
	workers.first_delay_ms = 100;
	workers.proven_after_ms = 200;
	workers.slot_delay_ms = 100;
	workers.farewell_ms = -1; /* it finishes its tenant, and sees for itself */
	return workers;
}
ChildWorkers children = rollout_workers();

/* What the view of rollouts tells of workers that are not to be had. */
void
note_problem(int rollout)
{
	if (children.out_of_slots == noted_problem)
		return;
	(void) query("SELECT tenancy.note_rollout_problem($1::integer, $2)",
				 {psprintf("%d", rollout), children.out_of_slots
											   ? "no background worker slot is free: raise "
												 "max_worker_processes, or CALL tenancy.run_rollout()"
											   : nullptr});
}

bool
extension_is_here()
{
	Oid schema = get_namespace_oid("tenancy", true);

	return OidIsValid(schema) && OidIsValid(get_relname_relid("rollouts", schema)) &&
		   OidIsValid(get_extension_oid("tenancy", true));
}

/* Reads which workers there should be; false if none. */
bool
read_wishes()
{
	int budget = max_rollout_workers;
	uint64 rollouts = 0;

	want_no_children(&children);
	begin();
	if (extension_is_here())
	{
		SPI_execute("SELECT r.rollout_id, r.workers FROM tenancy.running_rollouts() r", false, 0);
		SPITupleTable *table = SPI_tuptable;
		rollouts = SPI_processed;
		for (uint64 i = 0; i < rollouts; i++)
		{
			int rollout = atoi(SPI_getvalue(table->vals[i], table->tupdesc, 1));
			int workers = Min(budget, atoi(SPI_getvalue(table->vals[i], table->tupdesc, 2)));

			for (int number = 0; number < workers; number++)
				want_child(&children, static_cast<Oid>(rollout), number);
			budget -= workers;
			note_problem(rollout);
		}
		noted_problem = children.out_of_slots;
	}
	commit();
	return rollouts > 0;
}

} // namespace
} // namespace tenancy

extern "C"
{
PGDLLEXPORT void tenancy_rollout_supervisor_main(Datum main_arg);
PGDLLEXPORT void tenancy_rollout_worker_main(Datum main_arg);

void
tenancy_rollout_supervisor_main(Datum main_arg)
{
	using namespace tenancy;

	(void) service_start(main_arg, TENANCY_ROLLOUT_SUPERVISOR);
	worker_role = GetUserId();
	end_children_at_exit(&children);
	for (;;)
	{
		bool any = read_wishes();
		long wait = attend_children(&children);

		supervisor_report(any);
		if (!any && children.list == NIL)
			proc_exit(0);
		service_rest(wait);
	}
}

void
tenancy_rollout_worker_main(Datum main_arg)
{
	using namespace tenancy;

	int rollout = (int) service_start(main_arg, TENANCY_ROLLOUT_WORKER);
	SPIPlanPtr plan = nullptr;
	int64 after = 0;

	if (!is_welcome(rollout))
		proc_exit(0);
	pgstat_report_activity(STATE_RUNNING, "rollout");
	for (int tenants = 0; tenants < rollout_worker_tenants; tenants++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!work(rollout, &plan, &after))
			break;
		bound_caches();
	}
	proc_exit(0);
}
}
