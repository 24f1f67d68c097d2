/*
 * copy_worker.cpp — the processes that share the reading of a large collection.  See copy_stage.h.
 *
 * The apply worker starts copy workers, reads ranges like them, and waits until they have ended.  It reads itself what they
 * have left: one that failed is not started again, and if there are no slots for any, all is read by one.  They end with
 * the apply worker.
 */
#include <mongoc/mongoc.h>

#include "copy_stage.h"
#include "fdw/connection.h"

namespace bridge
{
namespace
{

constexpr int reply_timeout_ms = 120 * 1000;
constexpr int look_after_workers_ms = 100;
constexpr int most_workers = 16;

/* The start is as worker_start() reads it. */
struct CopyWorkerArguments
{
	TenancyWorkerArguments worker;
	Oid local;
};

struct Fill
{
	Stream *stream;
	Client *client;
	int count;
	BackgroundWorkerHandle *handles[most_workers];
};

Fill *filling = nullptr;

void
report(Stage *stage, void *argument)
{
	Fill *fill = static_cast<Fill *>(argument);
	Progress progress = stage_progress(stage);

	pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED, progress.documents);
	pgstat_progress_update_param(PROGRESS_COPY_BYTES_PROCESSED, progress.bytes);
	oplog_check(fill->stream, fill->client, position_time(fill->stream->position), true);
}

void
report_nothing(Stage *, void *)
{
}

void
start_worker(Fill *fill, const Stage *stage)
{
	BackgroundWorker worker = {};
	CopyWorkerArguments arguments = {{GetUserId(), stage->server}, stage->local};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "tenancy_mongo", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "tenancy_mongo_copy_worker_main", BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "tenancy mirror copy worker for table %u", stage->local);
	strlcpy(worker.bgw_type, "tenancy mirror copy worker", BGW_MAXLEN);
	worker.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
	static_assert(sizeof(arguments) <= sizeof(worker.bgw_extra));
	memcpy(worker.bgw_extra, &arguments, sizeof(arguments));
	worker.bgw_notify_pid = MyProcPid;
	if (RegisterDynamicBackgroundWorker(&worker, &fill->handles[fill->count]))
		fill->count++;
}

/* Copy workers without their apply worker would read for nobody. */
void
end_workers(int, Datum)
{
	for (int i = 0; filling && i < filling->count; i++)
		TerminateBackgroundWorker(filling->handles[i]);
}

bool
any_runs(const Fill *fill)
{
	pid_t pid;

	for (int i = 0; i < fill->count; i++)
		if (GetBackgroundWorkerPid(fill->handles[i], &pid) != BGWH_STOPPED)
			return true;
	return false;
}

/* The apply worker's own reading, and what the others have left. */
bool
read_all(Fill *fill, Stage *stage)
{
	if (!read_ranges(stage, fill->client, report, fill))
		return false;
	while (any_runs(fill))
	{
		worker_sleep(look_after_workers_ms);
		report(stage, fill);
	}
	stage_free_ranges(stage);
	return read_ranges(stage, fill->client, report, fill);
}

} // namespace

bool
stage_fill(Stage *stage, Stream *stream, Client *client)
{
	static bool registered = false;
	const bool single = mirror_copy_workers <= 1 || stage->tenant_field; /* one range */
	MemoryContext caller = MemoryContextSwitchTo(stage->context);
	Fill *fill = static_cast<Fill *>(MemoryContextAllocZero(TopMemoryContext, sizeof(Fill)));
	Progress before = stage_progress(stage);

	fill->stream = stream;
	fill->client = client;
	if (before.documents > 0)
		ereport(LOG, (errmsg("mirror goes on with its copy of %s behind %lld documents",
							 stage->what, static_cast<long long>(before.documents))));
	if (!registered)
		before_shmem_exit(end_workers, (Datum) 0);
	registered = true;

	/* Whoever read a range before is gone; if not, it finds that the range has moved on. */
	stage_free_ranges(stage);
	filling = fill;
	for (int i = 1; !single && i < Min(mirror_copy_workers, most_workers); i++)
		start_worker(fill, stage);
	report(stage, fill);
	const bool whole = read_all(fill, stage);
	if (!whole)
		end_workers(0, (Datum) 0);
	while (any_runs(fill))
		worker_sleep(look_after_workers_ms);
	filling = nullptr;
	pfree(fill);
	MemoryContextSwitchTo(caller);
	return whole;
}

static void
run(Oid server, Oid local)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "tenancy mirror copy worker",
												  ALLOCSET_DEFAULT_SIZES);

	MemoryContextSwitchTo(context);
	Stage *stage = stage_attach(local, server, context);
	if (!stage)
		return;
	StartTransactionCommand();
	Client *client = connection_open(server, GetUserId(), context, reply_timeout_ms);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	(void) read_ranges(stage, client, report_nothing, nullptr);
}

} // namespace bridge

extern "C"
{
	PGDLLEXPORT void tenancy_mongo_copy_worker_main(Datum main_arg);

	void
	tenancy_mongo_copy_worker_main(Datum main_arg)
	{
		using namespace bridge;
		const Oid server = worker_start(main_arg, TENANCY_COPY_WORKER);
		CopyWorkerArguments arguments;

		memcpy(&arguments, MyBgworkerEntry->bgw_extra, sizeof(arguments));
		run(server, arguments.local);
		proc_exit(0);
	}
}
