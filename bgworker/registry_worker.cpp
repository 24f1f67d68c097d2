/*
 * registry_worker.cpp — works off the queue of tenants whose two sides do not agree.
 *
 * What a step is, and why it may be repeated, is told in registry/registry.sql; this process only calls
 * tenancy_mongo.reconcile_next() until nothing is due, one transaction a tenant.  It sleeps until a commit that queued a
 * tenant wakes it, or until the next attempt of one that failed.
 *
 * It is a process of its own so that provisioning, which takes a tenth of a second, and a MongoDB that is slow to answer
 * never hold up the stream.
 */
#include <mongoc/mongoc.h>

#include "guard.h"
#include "tenancy_mongo.h"
#include "worker.h"

namespace bridge
{
namespace
{

/* Evaluates a statement of one row and one column that ends in the server's name; true if the value is not null. */
bool
ask(const char *function, const char *server, Datum *value)
{
	bool isnull = true;
	Oid argument_type = TEXTOID;
	Datum argument = CStringGetTextDatum(server);

	if (SPI_execute_with_args(function, 1, &argument_type, &argument, nullptr, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_with_args failed: %s", function);
	if (SPI_processed == 1)
		*value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	return !isnull;
}

/*
 * Takes one step for one tenant; true if there was one to take.  If not, "wait" is the time in milliseconds until the
 * next is due, or -1.
 */
bool
reconcile_next(Oid server_id, long *wait)
{
	Datum value;
	bool worked = false;

	*wait = -1;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	ForeignServer *server = GetForeignServerExtended(server_id, FSV_MISSING_OK);
	if (server && get_namespace_oid("tenancy_mongo", true) != InvalidOid)
	{
		pgstat_report_activity(STATE_RUNNING, "reconciling a tenant");
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		worked = ask("SELECT tenancy_mongo.reconcile_next($1::name)", server->servername, &value);
		if (!worked &&
			ask("SELECT tenancy_mongo._next_reconcile_ms() WHERE $1 IS NOT NULL", server->servername, &value))
			*wait = DatumGetInt32(value);
		SPI_finish();
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, nullptr);
	return worked;
}

} // namespace
} // namespace bridge

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_mongo_wake_registry_worker);
PGDLLEXPORT Datum tenancy_mongo_wake_registry_worker(PG_FUNCTION_ARGS);
PGDLLEXPORT void tenancy_mongo_registry_worker_main(Datum main_arg);

Datum
tenancy_mongo_wake_registry_worker(PG_FUNCTION_ARGS)
{
	bridge::tenancy_api()->wake_workers();
	PG_RETURN_VOID();
}

void
tenancy_mongo_registry_worker_main(Datum main_arg)
{
	using namespace bridge;
	const Oid server = worker_start(main_arg, TENANCY_REGISTRY_WORKER);
	long wait;

	/* MongoDB is told that a tenant stands only when it stands on disk. */
	SetConfigOption("synchronous_commit", "on", PGC_USERSET, PGC_S_OVERRIDE);
	for (;;)
	{
		if (!reconcile_next(server, &wait))
			worker_sleep(wait);
		else
			worker_poll();
	}
}
}
