/*
 * supervisor.cpp — keeps the workers of one database running.
 *
 * The launcher starts one in every database that has, or may have, something to mirror.  It connects as tenancy_mirror,
 * which is no superuser, reads which streams there are, and keeps an apply worker running for each, and a registry worker
 * where the tenant registry acts.  Workers are never restarted by the postmaster: one that ended is started again here,
 * after a delay that doubles from the setting's value to fifteen seconds, with jitter, so that what failed together does
 * not come back together.  When nothing is left to do, or the extension is gone, the supervisor says so and exits.
 *
 * It sleeps until something happens: a commit that changed a mirror, the end of a worker, or the time of the next try.
 */
#include <mongoc/mongoc.h>

#include "copy_stage.h"
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
		"A smaller collection is copied in one go.", &mirror_resumable_copy_from, 64, 0, INT_MAX, PGC_SIGHUP,
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

constexpr int longest_delay_ms = 15 * 1000;
constexpr int retry_origin_ms = 5 * 1000;
constexpr int proven_after_ms = 10 * 1000; /* a worker that lived so long has not failed again */
constexpr int farewell_ms = 2000;		   /* for a worker to see for itself that it is not wanted */

struct Child
{
	Oid server;
	TenancyWorkerKind kind;
	bool wanted;
	TimestampTz unwanted_since; /* 0: it is wanted */
	BackgroundWorkerHandle *handle;
	TimestampTz started;
	TimestampTz next_start;
	int failures;
	bool failed; /* since the last look at the catalogue */
};

List *children = NIL;
bool complained_of_slots = false;

Child *
want_child(Oid server, TenancyWorkerKind kind)
{
	ListCell *cell;

	foreach (cell, children)
	{
		Child *child = static_cast<Child *>(lfirst(cell));
		if (child->server == server && child->kind == kind)
		{
			child->wanted = true;
			return child;
		}
	}

	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	Child *child = static_cast<Child *>(palloc0(sizeof(Child)));
	children = lappend(children, child);
	MemoryContextSwitchTo(caller);
	child->server = server;
	child->kind = kind;
	child->wanted = true;
	return child;
}

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

	foreach (cell, children)
	{
		Child *child = static_cast<Child *>(lfirst(cell));
		if (child->failed && child->kind == TENANCY_APPLY_WORKER)
			run(psprintf("UPDATE tenancy_mongo.stream SET restarts = restarts + 1 "
						 "WHERE server = %u",
						 child->server));
		child->failed = false;
	}
}

/* Reads which workers there should be; false if none. */
bool
read_wishes()
{
	ListCell *cell;
	bool any = false;

	foreach (cell, children)
		static_cast<Child *>(lfirst(cell))->wanted = false;

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

			want_child(server, TENANCY_APPLY_WORKER);
			if (DatumGetBool(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull)))
				want_child(server, TENANCY_REGISTRY_WORKER);
			any = true;
		}
		SPI_finish();
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	return any;
}

void
start_child(Child *child)
{
	BackgroundWorker worker;
	TenancyWorkerArguments arguments = {GetUserId(), child->server};
	const char *what = child->kind == TENANCY_APPLY_WORKER ? "apply" : "registry";

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "tenancy_mongo", BGW_MAXLEN);
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "tenancy_mongo_%s_worker_main", what);
	snprintf(worker.bgw_name, BGW_MAXLEN, "tenancy mirror %s worker for server %u", what,
			 child->server);
	snprintf(worker.bgw_type, BGW_MAXLEN, "tenancy mirror %s worker", what);
	worker.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
	memcpy(worker.bgw_extra, &arguments, sizeof(arguments));
	worker.bgw_notify_pid = MyProcPid;

	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	bool registered = RegisterDynamicBackgroundWorker(&worker, &child->handle);
	MemoryContextSwitchTo(caller);

	child->started = GetCurrentTimestamp();
	if (!registered && !complained_of_slots)
		ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						  errmsg("out of background worker slots"),
						  errdetail("A mirror's %s worker could not be started.", what),
						  errhint("Raise max_worker_processes.")));
	complained_of_slots = !registered;
	child->failed = registered && child->failures > 0;
}

void
plan_next_start(Child *child)
{
	int64 delay = Min(longest_delay_ms, static_cast<int64>(mirror_retry_interval)
											<< Min(child->failures, 10));

	delay += (random() % 512) * delay / 2048;
	child->failures++;
	child->next_start = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
}

/* A worker that is not wanted leaves by itself, and tidily; one that hangs is ended. */
long
dismiss(Child *child)
{
	TimestampTz now = GetCurrentTimestamp();
	long left;

	if (child->unwanted_since == 0)
		child->unwanted_since = now;
	left = TimestampDifferenceMilliseconds(
		now, TimestampTzPlusMilliseconds(child->unwanted_since, farewell_ms));
	if (left <= 0)
		TerminateBackgroundWorker(child->handle);
	return Max(left, 100);
}

/* Starts or ends one worker as wished; the milliseconds until it is due, or -1. */
long
attend(Child *child)
{
	pid_t pid;

	if (child->handle && GetBackgroundWorkerPid(child->handle, &pid) == BGWH_STOPPED)
	{
		pfree(child->handle);
		child->handle = nullptr;
		if (TimestampDifferenceExceeds(child->started, GetCurrentTimestamp(), proven_after_ms))
			child->failures = 0;
		plan_next_start(child);
	}
	if (child->handle && !child->wanted)
		return dismiss(child);
	child->unwanted_since = 0;
	if (child->handle || !child->wanted)
		return -1;
	if (child->next_start > GetCurrentTimestamp())
		return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), child->next_start);
	start_child(child);
	if (!child->handle)
		plan_next_start(child);
	return child->handle ? -1 : 1000;
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

bool
has_child(Oid server)
{
	ListCell *cell;

	foreach (cell, children)
		if (static_cast<Child *>(lfirst(cell))->server == server)
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
	before_shmem_exit(end_children, (Datum) 0);
	for (;;)
	{
		bool any = read_wishes();
		long wait = attend_all();
		long retry = drop_stale_origins();

		if (retry >= 0)
			wait = wait < 0 ? retry : Min(wait, retry);
		tenancy_api()->supervisor_report(any);
		if (!any && children == NIL && retry < 0)
			proc_exit(0);
		worker_sleep(wait);
	}
}
}
