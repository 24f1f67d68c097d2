/*
 * pool_worker.cpp — keeps the warm pool of one database full.
 *
 * The launcher starts one where a pool has a size.  It calls tenancy.refill_pool() again and again, which makes or drops one
 * spare in a transaction of its own, until there is nothing left to do; then it sleeps until a transaction that took a spare
 * or changed a size commits, or until what failed is due again.  Where no system has a pool it says so and exits.
 *
 * It connects as tenancy_worker, which may call that function and nothing else: a trigger that a script deferred to the end
 * of the transaction runs as nobody in particular.  What it needs and cannot get soon it leaves for later, and it does not
 * wait for the disk: a spare that is lost in a crash is made again.
 */
#include "tenancy.h"

namespace tenancy
{
namespace
{

constexpr long at_once = 0;
constexpr long until_woken = -1;

void
apply_settings()
{
	/* What the role, the database or postgresql.conf say about these is meant for sessions. */
	const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"synchronous_commit", "off"},
		{"statement_timeout", "0"},
		{"lock_timeout", "1s"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_tablespace", ""},
		{"idle_in_transaction_session_timeout", "0"},
		{"row_security", "on"},
	};

	for (const auto &setting : settings)
		SetConfigOption(setting[0], setting[1], PGC_USERSET, PGC_S_OVERRIDE);
}

/* The library may be newer than the extension in the database, or the extension may be gone. */
bool
pool_exists()
{
	Oid schema = get_namespace_oid("tenancy", true);

	return OidIsValid(get_extension_oid("tenancy", true)) && OidIsValid(schema) &&
		   OidIsValid(get_relname_relid("pool_targets", schema));
}

/* One call of refill_pool(); false if the database has no pool. */
bool
refill(long *wait)
{
	bool has_pool = false;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (pool_exists())
	{
		bool null;

		SPI_connect();
		debug_query_string = "SELECT action, wait_ms FROM tenancy.refill_pool()";
		pgstat_report_activity(STATE_RUNNING, debug_query_string);
		if (SPI_execute(debug_query_string, false, 1) != SPI_OK_SELECT || SPI_processed != 1)
			elog(ERROR, "tenancy.refill_pool() gave no row");
		const char *action = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		Datum due = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &null);
		*wait = null ? until_woken : static_cast<long>(DatumGetInt64(due));
		has_pool = strcmp(action, "off") != 0;
		SPI_finish();
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, nullptr);
	debug_query_string = nullptr;
	return has_pool;
}

void
sleep_until_due(long wait)
{
	if (wait != at_once)
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (wait > 0 ? WL_TIMEOUT : 0), wait,
						 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

} // namespace
} // namespace tenancy

extern "C"
{
PGDLLEXPORT void tenancy_pool_worker_main(Datum main_arg);

void
tenancy_pool_worker_main(Datum main_arg)
{
	using namespace tenancy;

	const Oid database = DatumGetObjectId(main_arg);
	TenancyWorkerArguments arguments;
	long wait = at_once;

	memcpy(&arguments, MyBgworkerEntry->bgw_extra, sizeof(arguments));
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	if (!worker_enter(database, TENANCY_POOL_WORKER, InvalidOid))
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(database, arguments.role, 0);
	apply_settings();

	for (;;)
	{
		bool has_pool = refill(&wait);

		/* Whoever asked for a pool since we looked has set the latch, or comes after our report. */
		supervisor_report(has_pool);
		if (!has_pool && !MyLatch->is_set)
			proc_exit(0);
		sleep_until_due(has_pool ? wait : at_once);
	}
}
}
