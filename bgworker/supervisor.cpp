/*
 * supervisor.cpp — keeps the workers of one database running.
 *
 * The launcher starts one in every database that has, or may have, something to mirror.  It connects as tenancy_mirror,
 * which is no superuser, reads which streams there are, and keeps an apply worker running for each, and a registry worker
 * where the tenant registry acts.  When nothing is left to do, or the extension is gone, the supervisor says so and exits.
 *
 * It sleeps until something happens: a commit that changed a mirror, the end of a worker, or the time of the next try.
 */
#include <mongoc/mongoc.h>

#include "copy_stage.h"
#include "child_worker.h"
#include "tenancy_mongo.h"
#include "worker.h"

namespace bridge
{

int mirror_batch_size = 5000;
int mirror_retry_interval = 1000;
bool mirror_notify = false;

void
mirror_init()
{
	DefineCustomIntVariable("tenancy_mongo.mirror_batch_size",
							"Sets the most change events that one transaction of a mirror holds.",
							nullptr, &mirror_batch_size, 5000, 1, 100000, PGC_SIGHUP, 0, nullptr,
							nullptr, nullptr);
	DefineCustomIntVariable("tenancy_mongo.mirror_retry_interval",
							"Sets the delay before a failed worker of a mirror is started again.",
							"The delay doubles with each failure, up to fifteen seconds.",
							&mirror_retry_interval, 1000, 10, 15000, PGC_SIGHUP, GUC_UNIT_MS,
							nullptr, nullptr, nullptr);
	DefineCustomIntVariable("tenancy_mongo.mirror_copy_workers",
							"Sets how many processes read a large collection when it is copied.",
							"The apply worker is one of them.", &mirror_copy_workers, 2, 1, 16,
							PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
	DefineCustomIntVariable(
		"tenancy_mongo.mirror_resumable_copy_from",
		"Sets the size from which a collection's copy goes on where it was when it is interrupted.",
		"A smaller collection is copied in one go.", &mirror_resumable_copy_from, 128, 0, INT_MAX, PGC_SIGHUP,
		GUC_UNIT_MB, nullptr, nullptr, nullptr);
	DefineCustomBoolVariable(
		"tenancy_mongo.mirror_notify",
		"Sends a notification with the table's name for each transaction that changes a mirror.",
		"The channel is tenancy_mongo_mirror.", &mirror_notify, false, PGC_SIGHUP, 0, nullptr,
		nullptr, nullptr);
}

const TenancyApi *
tenancy_api()
{
	auto *api = static_cast<const TenancyApi *>(*find_rendezvous_variable(TENANCY_API_RENDEZVOUS));

	if (!api || api->version != TENANCY_API_VERSION)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("tenancy is not loaded, or is of another version"),
						errhint("Add this line to postgresql.conf and restart the server: "
								"shared_preload_libraries = 'tenancy'")));
	return api;
}

/* ---- what every worker does first ---- */

Oid
worker_start(Datum main_arg, TenancyWorkerKind kind)
{
	const Oid database = DatumGetObjectId(main_arg);
	TenancyWorkerArguments arguments;

	memcpy(&arguments, MyBgworkerEntry->bgw_extra, sizeof(arguments));
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	if (!tenancy_api()->worker_enter(database, kind, arguments.server))
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(database, arguments.role, 0);

	/*
	 * What the role, the database or postgresql.conf say about these is meant for sessions.  A mirror that lost a commit
	 * lost its position with it and receives the same events again: it need not wait for the disk.
	 */
	const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"synchronous_commit", "off"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"idle_in_transaction_session_timeout", "0"},
		{"row_security", "on"},
	};
	for (const auto &setting : settings)
		SetConfigOption(setting[0], setting[1], PGC_USERSET, PGC_S_OVERRIDE);
	return arguments.server;
}

void
worker_sleep(long milliseconds)
{
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (milliseconds >= 0 ? WL_TIMEOUT : 0),
					 milliseconds, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	worker_poll();
}

void
worker_poll()
{
	/* Who waits for MongoDB and not for a latch does not hear of it otherwise. */
	if (!PostmasterIsAlive())
		proc_exit(1);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

const char *
origin_name(Oid server)
{
	return psprintf("tenancy_mirror_%u_%u", MyDatabaseId, server);
}

/* ---- the supervisor ---- */

namespace
{

using tenancy::ChildWorker;
using tenancy::ChildWorkers;

constexpr int retry_origin_ms = 5 * 1000;

const char *
kind_of(const ChildWorker *child)
{
	return child->number == TENANCY_APPLY_WORKER ? "apply" : "registry";
}

void
describe_worker(const ChildWorker *child, BackgroundWorker *worker)
{
	TenancyWorkerArguments arguments = {GetUserId(), child->subject};
	const char *kind = kind_of(child);

	strlcpy(worker->bgw_library_name, "tenancy_mongo", sizeof(worker->bgw_library_name));
	snprintf(worker->bgw_function_name, BGW_MAXLEN, "tenancy_mongo_%s_worker_main", kind);
	snprintf(worker->bgw_name, BGW_MAXLEN, "tenancy mirror %s worker for server %u", kind, child->subject);
	snprintf(worker->bgw_type, BGW_MAXLEN, "tenancy mirror %s worker", kind);
	memcpy(worker->bgw_extra, &arguments, sizeof(arguments));
}

void
complain_of_slots(const ChildWorker *child)
{
	ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					  errmsg("out of background worker slots"),
					  errdetail("A mirror's %s worker could not be started.", kind_of(child)),
					  errhint("Raise max_worker_processes.")));
}

/* A stream's workers; which of them, the number says: TENANCY_APPLY_WORKER or TENANCY_REGISTRY_WORKER. */
ChildWorkers
mirror_workers()
{
	ChildWorkers workers = {};

	workers.describe = describe_worker;
	workers.complain = complain_of_slots;
	workers.proven_after_ms = 10 * 1000;
	workers.delay_always = true;
	workers.slot_delay_ms = 1000;
	workers.farewell_ms = 2000;
	return workers;
}
ChildWorkers children = mirror_workers();

uint64
run(const char *statement)
{
	if (SPI_execute(statement, false, 0) < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(SPI_result));
	return SPI_processed;
}

/*
 * What was dropped without unmirror() leaves its rows here, and pg_upgrade gives servers new OIDs.  Only the first is
 * looked for in every round.
 */
void
tidy_catalog()
{
	run("DELETE FROM tenancy_mongo.mirror_table m WHERE NOT EXISTS (SELECT FROM pg_class c WHERE "
		"c.oid = m.local_table) OR NOT EXISTS (SELECT FROM pg_foreign_table f WHERE f.ftrelid = "
		"m.foreign_table)");
	run("DELETE FROM tenancy_mongo.stream s WHERE NOT EXISTS (SELECT FROM "
		"tenancy_mongo.mirror_table m WHERE m.stream_id = s.stream_id)");
	run("DELETE FROM tenancy_mongo.misfits f WHERE NOT EXISTS (SELECT FROM "
		"tenancy_mongo.mirror_table m WHERE m.local_table = f.local_table)");
	run("UPDATE tenancy_mongo.stream s SET server = f.ftserver FROM tenancy_mongo.mirror_table m "
		"JOIN pg_foreign_table f ON f.ftrelid = m.foreign_table WHERE m.stream_id = s.stream_id "
		"AND s.server <> f.ftserver");
}

/* Counts the restarts of a stream's apply worker, for the view. */
void
count_restarts()
{
	ListCell *cell;

	foreach (cell, children.list)
	{
		auto *child = static_cast<ChildWorker *>(lfirst(cell));
		if (child->failed && child->number == TENANCY_APPLY_WORKER)
			run(psprintf("UPDATE tenancy_mongo.stream SET restarts = restarts + 1 "
						 "WHERE server = %u",
						 child->subject));
		child->failed = false;
	}
}

/* Reads which workers there should be; false if none. */
bool
read_wishes()
{
	bool any = false;

	want_no_children(&children);
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (catalog_exists())
	{
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		tidy_catalog();
		count_restarts();
		uint64 count = run(psprintf("SELECT server, registry FROM tenancy_mongo.stream "
									"WHERE database = %u AND NOT paused",
									MyDatabaseId));
		for (uint64 i = 0; i < count; i++)
		{
			bool isnull;
			HeapTuple row = SPI_tuptable->vals[i];
			Oid server = DatumGetObjectId(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull));

			want_child(&children, server, TENANCY_APPLY_WORKER);
			if (DatumGetBool(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull)))
				want_child(&children, server, TENANCY_REGISTRY_WORKER);
			any = true;
		}
		SPI_finish();
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	return any;
}

bool
has_child(Oid server)
{
	ListCell *cell;

	foreach (cell, children.list)
		if (static_cast<ChildWorker *>(lfirst(cell))->subject == server)
			return true;
	return false;
}

/* The replication origins of this database whose streams are gone, and of databases that are. */
void
stale_origins(MemoryContext context, List **names)
{
	const char *streams =
		catalog_exists() ? psprintf("SELECT server::text FROM tenancy_mongo.stream WHERE database = %u",
									MyDatabaseId)
						 : "VALUES (NULL)";
	uint64 count = run(psprintf(
		"SELECT roname, split_part(roname, '_', 3) = '%u', split_part(roname, '_', 4)::oid "
		"FROM pg_replication_origin WHERE roname ~ '^tenancy_mirror_[0-9]+_[0-9]+$' AND "
		"CASE split_part(roname, '_', 3) WHEN '%u' THEN split_part(roname, '_', 4) IN (%s) IS NOT TRUE "
		"ELSE split_part(roname, '_', 3) NOT IN (SELECT oid::text FROM pg_database) END",
		MyDatabaseId, MyDatabaseId, streams));
	MemoryContext caller = MemoryContextSwitchTo(context);

	for (uint64 i = 0; i < count; i++)
	{
		bool isnull;
		HeapTuple row = SPI_tuptable->vals[i];
		bool ours = DatumGetBool(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull));

		if (!ours || !has_child(DatumGetObjectId(SPI_getbinval(row, SPI_tuptable->tupdesc, 3, &isnull))))
			*names = lappend(*names, SPI_getvalue(row, SPI_tuptable->tupdesc, 1));
	}
	MemoryContextSwitchTo(caller);
}

/* Somebody else may have it in use, and the workers must not wait for that: then it is tried again later. */
bool
drop_origin(const char *name)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool dropped = false;

	PG_TRY();
	{
		StartTransactionCommand();
		(void) set_config_option("lock_timeout", "1s", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
								 false);
		replorigin_drop_by_name(name, true, true);
		CommitTransactionCommand();
		dropped = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		ErrorData *error = CopyErrorData();

		if (error->sqlerrcode != ERRCODE_OBJECT_IN_USE && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		FlushErrorState();
		AbortCurrentTransaction();
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return dropped;
}

/*
 * An origin takes one of max_replication_slots, and nobody else would give it back.  The milliseconds until it is tried
 * again, or -1.
 */
long
drop_stale_origins()
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context =
		AllocSetContextCreate(caller, "tenancy mirror origins", ALLOCSET_SMALL_SIZES);
	List *names = NIL;
	ListCell *cell;
	bool all = true;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	stale_origins(context, &names);
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);

	foreach (cell, names)
		all &= drop_origin(static_cast<const char *>(lfirst(cell)));

	/* Waiting for a lock takes the latch of a wish that comes meanwhile: look again. */
	if (names != NIL && all)
		SetLatch(MyLatch);
	MemoryContextDelete(context);
	return all ? -1 : retry_origin_ms;
}

} // namespace
} // namespace bridge

extern "C"
{
PGDLLEXPORT void tenancy_mongo_supervisor_main(Datum main_arg);

void
tenancy_mongo_supervisor_main(Datum main_arg)
{
	using namespace bridge;

	(void) worker_start(main_arg, TENANCY_SUPERVISOR);
	end_children_at_exit(&children);
	for (;;)
	{
		bool any = read_wishes();
		children.first_delay_ms = mirror_retry_interval;
		long wait = attend_children(&children);
		long retry = drop_stale_origins();

		if (retry >= 0)
			wait = wait < 0 ? retry : Min(wait, retry);
		tenancy_api()->supervisor_report(any);
		if (!any && children.list == NIL && retry < 0)
			proc_exit(0);
		worker_sleep(wait);
	}
}
}
