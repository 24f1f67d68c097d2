/*
 * rollout.cpp — what rollouts ask of C: their loop in a session, the statements of a script, and locks that outlive a
 * transaction.
 *
 * What is done to a tenant, and what is written down about it, is SQL (rollout_step.sql, rollout_script.sql).  A
 * transaction for each tenant needs a caller that commits: a background worker (rollout_worker.cpp) or the procedure
 * here.
 *
 * Whoever works on a thousand schemas has the descriptors of all their tables in his caches, which nothing evicts.
 * bound_caches() throws the caches away when they have grown by more than a bound; a background worker is replaced
 * besides, since the pages of shared memory that it has touched count as its own where processes are watched.
 */
#include "tenancy.h"

namespace tenancy
{

int max_rollout_workers = 4;
int rollout_worker_tenants = 256;

void
rollout_init()
{
	DefineCustomIntVariable("tenancy.max_rollout_workers",
							"Sets the most background workers that the rollouts of one database use.",
							"Zero: rollouts are run by sessions, CALL tenancy.run_rollout().",
							&max_rollout_workers, 4, 0, 64, PGC_SIGHUP, 0, nullptr, nullptr,
							nullptr);
	DefineCustomIntVariable("tenancy.rollout_worker_tenants",
							"Sets after how many tenants a background worker of a rollout is replaced.",
							"What it has in memory grows with the schemas that it has seen.",
							&rollout_worker_tenants, 256, 1, 1000000, PGC_SIGHUP, 0, nullptr,
							nullptr, nullptr);
}

void
bound_caches()
{
	constexpr Size bound = 8 * 1024 * 1024;
	constexpr unsigned tenants_between_looks = 16;
	static Size floor = 0;
	static unsigned calls = 0;

	/* Each relation and plan has a context of its own, all of which are looked at. */
	if (calls++ % tenants_between_looks != 0)
		return;
	Size now = MemoryContextMemAllocated(CacheMemoryContext, true);

	if (floor == 0)
		floor = now;
	if (now <= floor + bound)
		return;
	InvalidateSystemCaches();
	/* What is left is what a session needs anyway, and what its plans hold. */
	floor = MemoryContextMemAllocated(CacheMemoryContext, true);
}

/* ---- the statements of a script ---- */

/* A comment at a statement's end that has it run again until it touches no row. */
constexpr const char *repeat_mark = "/* repeat */";

static bool
has_option(List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);
		if (strcmp(option->defname, name) == 0)
			return defGetBoolean(option);
	}
	return false;
}

static bool
detaches_concurrently(const AlterTableStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);
		if (command->subtype == AT_DetachPartition &&
			castNode(PartitionCmd, command->def)->concurrent)
			return true;
	}
	return false;
}

/* The index that DROP INDEX CONCURRENTLY names; it takes one only. */
static const char *
dropped_index(const DropStmt *statement)
{
	return strVal(llast(linitial_node(List, statement->objects)));
}

/* Must it run outside a transaction?  Also the index that it makes or drops, by which one sees whether it was done. */
static bool
runs_at_top_level(Node *statement, const char **index)
{
	*index = nullptr;
	switch (nodeTag(statement))
	{
		case T_IndexStmt:
			*index = reinterpret_cast<IndexStmt *>(statement)->idxname;
			if (!reinterpret_cast<IndexStmt *>(statement)->concurrent)
				return false;
			if (!*index)
				ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
								errmsg("an index that a migration makes concurrently needs a name"),
								errdetail("After a crash it is found by its name.")));
			return true;
		case T_DropStmt:
			if (!reinterpret_cast<DropStmt *>(statement)->concurrent)
				return false;
			*index = dropped_index(reinterpret_cast<DropStmt *>(statement));
			return true;
		case T_ReindexStmt:
			return has_option(reinterpret_cast<ReindexStmt *>(statement)->params, "concurrently");
		case T_VacuumStmt:
			return reinterpret_cast<VacuumStmt *>(statement)->is_vacuumcmd;
		case T_AlterTableStmt:
			return detaches_concurrently(reinterpret_cast<AlterTableStmt *>(statement));
		default:
			return false;
	}
}

static bool
ends_in_repeat_mark(const char *statement)
{
	int length = strlen(statement);
	int mark = strlen(repeat_mark);

	while (length > 0 && isspace((unsigned char) statement[length - 1]))
		length--;
	return length >= mark && strncmp(statement + length - mark, repeat_mark, mark) == 0;
}

static void
put_statement(ReturnSetInfo *result, int number, const ScriptStatement *statement)
{
	Datum values[6];
	bool nulls[6] = {};
	NameData name;
	const char *index;
	RawStmt *raw = linitial_node(RawStmt, pg_parse_query(statement->text));

	values[0] = Int32GetDatum(number);
	values[1] = Int32GetDatum(statement->line);
	values[2] = CStringGetTextDatum(statement->text);
	values[3] = BoolGetDatum(runs_at_top_level(raw->stmt, &index));
	values[4] = BoolGetDatum(ends_in_repeat_mark(statement->text));
	nulls[5] = index == nullptr;
	if (index)
		namestrcpy(&name, index);
	values[5] = NameGetDatum(&name);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* ---- the loop of a session ---- */

RolloutStep
rollout_step(SPIPlanPtr plan, int rollout, int64 *after)
{
	Datum values[] = {Int32GetDatum(rollout), Int64GetDatum(*after)};
	RolloutStep step = {};
	bool isnull;

	int result = SPI_execute_plan(plan, values, nullptr, false, 1);
	if (result != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not work on a rollout: %s", SPI_result_code_string(result));

	HeapTuple row = SPI_tuptable->vals[0];
	TupleDesc columns = SPI_tuptable->tupdesc;
	step.action = SPI_getvalue(row, columns, 1);
	Datum queue = SPI_getbinval(row, columns, 2, &isnull);
	*after = isnull ? 0 : DatumGetInt64(queue);
	Datum wait = SPI_getbinval(row, columns, 3, &isnull);
	step.wait_ms = isnull ? 0 : DatumGetInt32(wait);
	step.tenant = SPI_getvalue(row, columns, 4);
	step.verdict = SPI_getvalue(row, columns, 5);
	return step;
}

SPIPlanPtr
prepare_rollout_step(bool in_worker)
{
	Oid types[] = {INT4OID, INT8OID};
	SPIPlanPtr plan = SPI_prepare(
		psprintf("SELECT s.action, s.queue_no, s.wait_ms, s.tenant_id, s.verdict "
				 "FROM tenancy.rollout_step($1, $2, %s) s",
				 in_worker ? "true" : "false"),
		2, types);

	if (!plan)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	return plan;
}

static void
run_in_session(int rollout)
{
	SPIPlanPtr plan = prepare_rollout_step(false);
	int64 after = 0;

	for (;;)
	{
		RolloutStep step = rollout_step(plan, rollout, &after);

		SPI_commit();
		CHECK_FOR_INTERRUPTS();
		bound_caches();
		if (strcmp(step.action, "stop") == 0)
		{
			if (step.verdict)
				ereport(WARNING, (errcode(ERRCODE_WARNING), errmsg("%s", step.verdict),
								  errhint("SELECT * FROM tenancy.rollout_items WHERE rollout_id = %d "
										  "AND state = 'failed';",
										  rollout)));
			return;
		}
		if (strcmp(step.action, "worker") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("rollout %d needs a background worker", rollout),
					 errdetail("One of its migrations does not run in a transaction."),
					 errhint("The view tenancy.rollout_progress tells how many it has.")));
		if (strcmp(step.action, "wait") == 0)
		{
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, step.wait_ms,
							 PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
		SPI_freetuptable(SPI_tuptable);
	}
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_script_statements);
PG_FUNCTION_INFO_V1(tenancy_run_script_statement);
PG_FUNCTION_INFO_V1(tenancy_settle_schema);
PG_FUNCTION_INFO_V1(tenancy_hold_tenant);
PG_FUNCTION_INFO_V1(tenancy_wake_rollouts);
PG_FUNCTION_INFO_V1(tenancy_count_rollout_workers);
PG_FUNCTION_INFO_V1(tenancy_rollout_worker_problem);
PG_FUNCTION_INFO_V1(tenancy_run_rollout);

PGDLLEXPORT Datum
tenancy_script_statements(PG_FUNCTION_ARGS)
{
	char *script = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *schema = NameStr(*PG_GETARG_NAME(1));
	char *tenant = text_to_cstring(PG_GETARG_TEXT_PP(2));
	int number = 0;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach (cell, tenancy::split_script(tenancy::substitute_script(script, schema, tenant)))
		tenancy::put_statement(reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo), ++number,
							   static_cast<tenancy::ScriptStatement *>(lfirst(cell)));
	return (Datum) 0;
}

PGDLLEXPORT Datum
tenancy_run_script_statement(PG_FUNCTION_ARGS)
{
	tenancy::SystemScript script = {};

	script.schema = NameStr(*PG_GETARG_NAME(0));
	script.tenant = text_to_cstring(PG_GETARG_TEXT_PP(1));
	script.text = text_to_cstring(PG_GETARG_TEXT_PP(2));
	SPI_connect();
	tenancy::run_system_script(&script);
	uint64 touched = script.processed;
	SPI_finish();
	PG_RETURN_INT64((int64) touched);
}

PGDLLEXPORT Datum
tenancy_settle_schema(PG_FUNCTION_ARGS)
{
	for (int argument = 0; argument < 3; argument++)
		if (PG_ARGISNULL(argument))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("argument %d of %s must not be null", argument + 1,
								   "settle_schema()")));

	const char *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *name = NameStr(*PG_GETARG_NAME(2));
	tenancy::TenantSchema schema = {tenant, NameStr(*PG_GETARG_NAME(1)), name,
									get_namespace_oid(name, false)};
	List *known = NIL;
	ListCell *cell;

	/* What has been granted before has an access list. */
	foreach (cell, tenancy::relations_of_schema(schema.oid))
	{
		bool isnull;
		HeapTuple row = SearchSysCache1(RELOID, ObjectIdGetDatum(lfirst_oid(cell)));

		if (!HeapTupleIsValid(row))
			continue;
		(void) SysCacheGetAttr(RELOID, row, Anum_pg_class_relacl, &isnull);
		if (!isnull)
			known = lappend_oid(known, lfirst_oid(cell));
		ReleaseSysCache(row);
	}
	SPI_connect();
	tenancy::protect_and_grant(schema, known);
	if (!PG_ARGISNULL(3))
	{
		tenancy::SystemScript verify = {text_to_cstring(PG_GETARG_TEXT_PP(3)), name, tenant, true,
										0};
		tenancy::run_system_script(&verify);
	}
	SPI_finish();
	PG_RETURN_VOID();
}

PGDLLEXPORT Datum
tenancy_hold_tenant(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(tenancy::hold_tenant(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

PGDLLEXPORT Datum
tenancy_wake_rollouts(PG_FUNCTION_ARGS)
{
	tenancy::service_wake(TENANCY_ROLLOUT_SUPERVISOR);
	tenancy::workers_wake();
	PG_RETURN_VOID();
}

PGDLLEXPORT Datum
tenancy_count_rollout_workers(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(
		tenancy::count_service_workers(TENANCY_ROLLOUT_WORKER, (Oid) PG_GETARG_INT32(0)));
}

PGDLLEXPORT Datum
tenancy_rollout_worker_problem(PG_FUNCTION_ARGS)
{
	if (tenancy::max_rollout_workers == 0)
		PG_RETURN_TEXT_P(cstring_to_text("The setting tenancy.max_rollout_workers is 0."));
	if (!tenancy::launcher_runs())
		PG_RETURN_TEXT_P(
			cstring_to_text("The tenancy launcher does not run; the server's log says why."));
	PG_RETURN_NULL();
}

PGDLLEXPORT Datum
tenancy_run_rollout(PG_FUNCTION_ARGS)
{
	bool atomic = !fcinfo->context || !IsA(fcinfo->context, CallContext) ||
				  castNode(CallContext, fcinfo->context)->atomic;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("rollout must not be null")));
	if (atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("a rollout cannot be run inside a transaction block"),
				 errdetail("It commits after each tenant."),
				 errhint("CALL tenancy.run_rollout(%d);", PG_GETARG_INT32(0))));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	tenancy::run_in_session(PG_GETARG_INT32(0));
	SPI_finish();
	PG_RETURN_VOID();
}
}
