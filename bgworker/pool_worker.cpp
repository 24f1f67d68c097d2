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
#include "service_worker.h"

namespace tenancy
{
namespace
{

constexpr long at_once = 0;
constexpr long until_woken = -1;

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

	SetCurrentStatementStartTimestamp();
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
	debug_query_string = nullptr;
	return has_pool;
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

	long wait = at_once;

	(void) service_start(main_arg, TENANCY_POOL_WORKER);
	service_set("lock_timeout", "1s");
	service_set("default_tablespace", "");

	for (;;)
	{
		bool has_pool = refill(&wait);

		/*
		 * Whoever asked for a pool since we looked has set the latch, or comes after our report.  So has a new
		 * tenancy.pool_size, but what waits inside a transaction may have reset that.
		 */
		supervisor_report(has_pool);
		if (!has_pool && !MyLatch->is_set && !ConfigReloadPending)
			proc_exit(0);
		service_rest(has_pool ? wait : at_once);
	}
}
}
