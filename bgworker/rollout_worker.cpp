/*
 * rollout_worker.cpp — the background workers of rollouts, and the supervisor that keeps them running in one database.
 *
 * The launcher starts a supervisor where a rollout runs: when one is started or resumed, and in every database after the
 * server's start, since a rollout that a crash interrupted goes on.  The supervisor starts as many workers as the
 * rollout asks for and tenancy.max_rollout_workers allows, and starts those again that end before it is over: after a
 * delay that grows, if they come to nothing.
 *
 * A worker calls tenancy.rollout_step() in one transaction after another.  Its commits do not wait for the disk: a
 * tenant's tables and the row that says so are lost together, and done again.  The commit that ends the rollout waits.
 *
 * Statements that refuse a transaction are run as a client's would be: a portal at the top level, in a transaction that
 * the statement itself may end.  The worker is tenancy_owner while it does.
 *
 * All of them connect as tenancy_worker, which may do nothing but call the functions of rollouts.
 */
#include "service_worker.h"

namespace tenancy
{
namespace
{

constexpr int longest_delay_ms = 15 * 1000;
constexpr int proven_after_ms = 200; /* a worker that lived so long has not failed again */
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

struct Child
{
	int rollout;
	int number;
	bool wanted;
	BackgroundWorkerHandle *handle;
	TimestampTz started;
	TimestampTz next_start;
	int failures;
};

List *children = NIL;
Oid worker_role;
bool out_of_slots = false;
bool noted_problem = false;

void
want_child(int rollout, int number)
{
	ListCell *cell;

	foreach (cell, children)
	{
		Child *child = static_cast<Child *>(lfirst(cell));
		if (child->rollout == rollout && child->number == number)
		{
			child->wanted = true;
			return;
		}
	}

	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	Child *child = static_cast<Child *>(palloc0(sizeof(Child)));
	children = lappend(children, child);
	MemoryContextSwitchTo(caller);
	child->rollout = rollout;
	child->number = number;
	child->wanted = true;
}

/* What the view of rollouts tells of workers that are not to be had. */
void
note_problem(int rollout)
{
	if (out_of_slots == noted_problem)
		return;
	(void) query("SELECT tenancy.note_rollout_problem($1::integer, $2)",
				 {psprintf("%d", rollout), out_of_slots
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
	ListCell *cell;
	int budget = max_rollout_workers;
	uint64 rollouts = 0;

	foreach (cell, children)
		static_cast<Child *>(lfirst(cell))->wanted = false;
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
				want_child(rollout, number);
			budget -= workers;
			note_problem(rollout);
		}
		noted_problem = out_of_slots;
	}
	commit();
	return rollouts > 0;
}

void
start_child(Child *child)
{
	BackgroundWorker worker;
	TenancyWorkerArguments arguments = {worker_role, (Oid) child->rollout};

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "tenancy", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "tenancy_rollout_worker_main", BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "tenancy rollout worker for rollout %d", child->rollout);
	strlcpy(worker.bgw_type, "tenancy rollout worker", BGW_MAXLEN);
	worker.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
	memcpy(worker.bgw_extra, &arguments, sizeof(arguments));
	worker.bgw_notify_pid = MyProcPid;

	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	bool registered = RegisterDynamicBackgroundWorker(&worker, &child->handle);
	MemoryContextSwitchTo(caller);

	child->started = GetCurrentTimestamp();
	if (!registered && !out_of_slots)
		ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						  errmsg("out of background worker slots"),
						  errdetail("A worker of rollout %d could not be started.", child->rollout),
						  errhint("Raise max_worker_processes, or let a session run it: "
								  "CALL tenancy.run_rollout(%d);",
								  child->rollout)));
	out_of_slots = !registered;
}

void
plan_next_start(Child *child)
{
	int64 delay = Min(longest_delay_ms, static_cast<int64>(100) << Min(child->failures, 10));

	delay += (random() % 512) * delay / 2048;
	child->failures++;
	child->next_start = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
}

/* A worker that ended: because it had done its share, or by a failure. */
void
note_end(Child *child)
{
	pfree(child->handle);
	child->handle = nullptr;
	if (TimestampDifferenceExceeds(child->started, GetCurrentTimestamp(), proven_after_ms))
		child->failures = 0;
	else
		plan_next_start(child);
}

/* Starts or ends one worker as wished; the milliseconds until it is due, or -1. */
long
attend(Child *child)
{
	pid_t pid;

	if (child->handle && GetBackgroundWorkerPid(child->handle, &pid) == BGWH_STOPPED)
		note_end(child);
	if (child->handle || !child->wanted)
		return -1; /* one that is not wanted finishes its tenant, sees that itself, and ends */
	if (child->next_start > GetCurrentTimestamp())
		return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), child->next_start);
	start_child(child);
	if (!child->handle)
		plan_next_start(child);
	return child->handle ? -1 : 100;
}

long
attend_all()
{
	long wait = -1;
	ListCell *cell;

	foreach (cell, children)
	{
		Child *child = static_cast<Child *>(lfirst(cell));
		long due = attend(child);

		if (due >= 0)
			wait = wait < 0 ? due : Min(wait, due);
		if (!child->handle && !child->wanted)
		{
			children = foreach_delete_current(children, cell);
			pfree(child);
		}
	}
	return wait;
}

/* The workers end with their supervisor: its successor could not know them. */
void
end_children(int, Datum)
{
	ListCell *cell;

	foreach (cell, children)
	{
		Child *child = static_cast<Child *>(lfirst(cell));
		if (child->handle)
			TerminateBackgroundWorker(child->handle);
	}
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
	before_shmem_exit(end_children, (Datum) 0);
	for (;;)
	{
		bool any = read_wishes();
		long wait = attend_all();

		supervisor_report(any);
		if (!any && children == NIL)
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
