/*
 * launcher.cpp — the one static background worker: it keeps a supervisor running in every database that has work for
 * one of our services.
 *
 * A service is a kind of work that a database may have, with a supervisor of its own: mirrors (tenancy_mongo.so), rollouts
 * and the warm pool (tenancy.so).  One more is one more line in "services".
 *
 * Dynamic workers do not survive a crash of the server, so that something static must start them again; and it must not
 * sit in a database, or that database could not be dropped.  The launcher therefore connects to the shared catalogs
 * only, and starts a supervisor where one is wanted:
 *
 *   after the server's start    it does not know which databases have work, so it tries each connectable one, one
 *                               after the other; a supervisor that finds nothing says so and exits
 *   afterwards                  it is told: a transaction that made work wakes it at commit
 *   a supervisor that failed    is started again after a delay that doubles from one second to one minute
 *
 * All our workers are registered as BGW_NEVER_RESTART.  A restart by the postmaster would go on for ever after DROP
 * DATABASE … WITH (FORCE), with a FATAL line every time, while the launcher looks into pg_database first.
 *
 * Commands that need a database to themselves (database_command.cpp) *hold* it: our workers there are told to end, and
 * new ones stay out until the command's transaction is over.  A worker enters itself into shared memory before it looks
 * for a hold, and a command sets its hold before it looks for workers, both under one lock: neither can miss the other.
 * A worker's entry is removed after the server has taken the process off its list of backends (callbacks run in reverse
 * order and ours is registered first), so that a database without entries is one that we no longer count in.
 */
#include "tenancy.h"

namespace tenancy
{
namespace
{

constexpr int max_messages = 128;
constexpr int max_holds = 64;
constexpr int longest_delay_ms = 60 * 1000;

struct ServiceDefinition
{
	TenancyWorkerKind supervisor;
	const char *role; /* that the supervisor connects as */
	const char *library;
	const char *function;
	const char *type;	   /* as pg_stat_activity shows it */
	const char *complaint; /* that no worker could be had */
};

constexpr ServiceDefinition services[] = {
	{TENANCY_SUPERVISOR, "tenancy_mirror", "tenancy_mongo", "tenancy_mongo_supervisor_main",
	 "tenancy mirror supervisor", "The supervisor of a mirrored database could not be started."},
	{TENANCY_ROLLOUT_SUPERVISOR, "tenancy_worker", "tenancy", "tenancy_rollout_supervisor_main",
	 "tenancy rollout supervisor",
	 "The supervisor of a database with a rollout could not be started."},
	{TENANCY_POOL_WORKER, "tenancy_worker", "tenancy", "tenancy_pool_worker_main",
	 "tenancy pool worker", "The worker of a warm pool could not be started."},
};

using Services = uint32; /* a set of them, by their place */
constexpr Services mirrors = 1;
constexpr Services all_services = (1 << lengthof(services)) - 1;

struct WorkerEntry
{
	pid_t pid; /* 0: free */
	Oid database;
	TenancyWorkerKind kind;
	Oid server; /* the foreign server that it serves, if it is one server's */
	Latch *latch;
	pg_atomic_uint64 level_at; /* when it last was level with its server */
	pg_atomic_uint64 applied;  /* up to which of the server's times */
};

struct Hold
{
	pid_t pid; /* 0: free */
	Oid database;
	bool kept_out; /* a worker was ended or turned away: the launcher hears of the release */
};

/* Where there may be work. */
struct Request
{
	Oid database;
	Services services;
};

/* What a supervisor found. */
struct Verdict
{
	Oid database;
	TenancyWorkerKind supervisor;
	bool has_work;
};

struct Shared
{
	ConditionVariable progress; /* of the workers' "applied" */
	LWLock *lock; /* of everything below */
	Latch *launcher;
	uint64 generation; /* of the mirrors' definitions, over all databases */
	bool probe_all;	   /* more was asked for than "requests" can hold */
	int request_count;
	Request requests[max_messages];
	int verdict_count;
	Verdict verdicts[max_messages];
	Hold holds[max_holds];
	WorkerEntry workers[FLEXIBLE_ARRAY_MEMBER]; /* max_worker_processes */
};

Shared *shared = nullptr;
WorkerEntry *my_entry = nullptr;
Services wake_services_at_commit = 0;
bool wake_workers_at_commit = false;
bool holding = false;

shmem_request_hook_type previous_shmem_request_hook = nullptr;
shmem_startup_hook_type previous_shmem_startup_hook = nullptr;

Size
shared_size()
{
	return add_size(offsetof(Shared, workers), mul_size(max_worker_processes, sizeof(WorkerEntry)));
}

void
request_shared_memory()
{
	if (previous_shmem_request_hook)
		previous_shmem_request_hook();
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche("tenancy_launcher", 1);
}

void
create_shared_memory()
{
	bool found;

	if (previous_shmem_startup_hook)
		previous_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = static_cast<Shared *>(ShmemInitStruct("tenancy launcher", shared_size(), &found));
	if (!found)
	{
		memset(shared, 0, shared_size());
		for (int i = 0; i < max_worker_processes; i++)
		{
			pg_atomic_init_u64(&shared->workers[i].level_at, 0);
			pg_atomic_init_u64(&shared->workers[i].applied, 0);
		}
		ConditionVariableInit(&shared->progress);
		shared->lock = &GetNamedLWLockTranche("tenancy_launcher")->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

/* The caller holds the lock, here and in the next three. */
void
request_database(Oid database, Services wanted)
{
	for (int i = 0; i < shared->request_count; i++)
		if (shared->requests[i].database == database)
		{
			shared->requests[i].services |= wanted;
			return;
		}
	if (shared->request_count < max_messages)
		shared->requests[shared->request_count++] = {database, wanted};
	else
		shared->probe_all = true;
}

void
wake_launcher_process()
{
	if (shared->launcher)
		SetLatch(shared->launcher);
}

Hold *
find_hold(Oid database)
{
	for (Hold &hold : shared->holds)
		if (hold.pid != 0 && hold.database == database)
			return &hold;
	return nullptr;
}

WorkerEntry *
find_supervisor(Oid database, TenancyWorkerKind kind)
{
	for (int i = 0; i < max_worker_processes; i++)
		if (shared->workers[i].pid != 0 && shared->workers[i].database == database &&
			shared->workers[i].kind == kind)
			return &shared->workers[i];
	return nullptr;
}

/* Ends the workers of a database, or only counts them. */
int
count_workers(Oid database, bool end_them)
{
	int count = 0;

	for (int i = 0; i < max_worker_processes; i++)
	{
		WorkerEntry *entry = &shared->workers[i];

		if (entry->pid == 0 || entry->database != database)
			continue;
		count++;
		if (end_them)
			kill(entry->pid, SIGTERM);
	}
	return count;
}

bool
is_supervisor(TenancyWorkerKind kind)
{
	for (const ServiceDefinition &service : services)
		if (service.supervisor == kind)
			return true;
	return false;
}

/* ---- what transactions say: a service got work, a hold is over ---- */

/* Wakes this database's workers, and the launcher if services got work; a mirror that came, went or changed is told. */
void
announce(Services changed)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < max_worker_processes; i++)
		if (shared->workers[i].pid != 0 && shared->workers[i].database == MyDatabaseId)
			SetLatch(shared->workers[i].latch);
	if (changed & mirrors)
		shared->generation++;
	if (changed)
	{
		request_database(MyDatabaseId, changed);
		wake_launcher_process();
	}
	LWLockRelease(shared->lock);
}

void
release_holds()
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (Hold &hold : shared->holds)
	{
		if (hold.pid != MyProcPid)
			continue;
		if (hold.kept_out)
			request_database(hold.database, all_services);
		hold.pid = 0;
	}
	wake_launcher_process();
	LWLockRelease(shared->lock);
}

void
transaction_ended(XactEvent event, void *)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if ((wake_services_at_commit || wake_workers_at_commit) && event != XACT_EVENT_ABORT)
		announce(wake_services_at_commit);
	wake_services_at_commit = 0;
	wake_workers_at_commit = false;
	if (holding)
		release_holds();
	holding = false;
}

/* ---- what workers say ---- */

void
leave(int, Datum)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	my_entry->pid = 0;
	wake_launcher_process();
	LWLockRelease(shared->lock);
	my_entry = nullptr;
}

} // namespace

bool
worker_enter(Oid database, TenancyWorkerKind kind, Oid server)
{
	Hold *hold;
	bool duplicate;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	hold = find_hold(database);
	if (hold)
		hold->kept_out = true;
	duplicate = is_supervisor(kind) && find_supervisor(database, kind) != nullptr;
	for (int i = 0; !hold && !duplicate && !my_entry && i < max_worker_processes; i++)
	{
		if (shared->workers[i].pid != 0)
			continue;
		my_entry = &shared->workers[i];
		my_entry->pid = MyProcPid;
		my_entry->database = database;
		my_entry->kind = kind;
		my_entry->server = server;
		my_entry->latch = MyLatch;
		pg_atomic_write_u64(&my_entry->level_at, 0);
		pg_atomic_write_u64(&my_entry->applied, 0);
	}
	LWLockRelease(shared->lock);

	if (!my_entry)
		return false;
	on_shmem_exit(leave, (Datum) 0);
	return true;
}

void
supervisor_report(bool has_work)
{
	int i;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < shared->verdict_count; i++)
		if (shared->verdicts[i].database == MyDatabaseId &&
			shared->verdicts[i].supervisor == my_entry->kind)
			break;
	if (i < max_messages)
	{
		shared->verdicts[i] = {MyDatabaseId, my_entry->kind, has_work};
		shared->verdict_count = Max(shared->verdict_count, i + 1);
	}
	wake_launcher_process();
	LWLockRelease(shared->lock);
}

uint64
mirror_generation()
{
	LWLockAcquire(shared->lock, LW_SHARED);
	uint64 generation = shared->generation;
	LWLockRelease(shared->lock);
	return generation;
}

void
worker_set_level(TimestampTz when, uint64 applied)
{
	pg_atomic_write_u64(&my_entry->level_at, static_cast<uint64>(when));
	if (pg_atomic_read_u64(&my_entry->applied) == applied)
		return;
	pg_atomic_write_u64(&my_entry->applied, applied);
	ConditionVariableBroadcast(&shared->progress);
}

namespace
{

uint64
applied_by_worker(Oid server)
{
	uint64 applied = 0;

	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < max_worker_processes; i++)
	{
		WorkerEntry *entry = &shared->workers[i];

		if (entry->pid != 0 && entry->database == MyDatabaseId && entry->server == server &&
			entry->kind == TENANCY_APPLY_WORKER)
			applied = pg_atomic_read_u64(&entry->applied);
	}
	LWLockRelease(shared->lock);
	return applied;
}

} // namespace

/* A worker that is started meanwhile is waited for as well. */
bool
worker_wait(Oid server, uint64 applied, long timeout_ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	bool reached;

	ConditionVariablePrepareToSleep(&shared->progress);
	while (!(reached = applied_by_worker(server) >= applied))
	{
		long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

		if (left <= 0)
			break;
		(void) ConditionVariableTimedSleep(&shared->progress, left, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	return reached;
}

pid_t
worker_look_up(Oid server, TenancyWorkerKind kind, TimestampTz *level_at)
{
	pid_t pid = 0;

	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < max_worker_processes; i++)
	{
		WorkerEntry *entry = &shared->workers[i];

		if (entry->pid == 0 || entry->database != MyDatabaseId || entry->server != server ||
			entry->kind != kind)
			continue;
		pid = entry->pid;
		*level_at = static_cast<TimestampTz>(pg_atomic_read_u64(&entry->level_at));
	}
	LWLockRelease(shared->lock);
	return pid;
}

int
count_service_workers(TenancyWorkerKind kind, Oid server)
{
	int count = 0;

	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < max_worker_processes; i++)
		count += shared->workers[i].pid != 0 && shared->workers[i].database == MyDatabaseId &&
				 shared->workers[i].kind == kind && shared->workers[i].server == server;
	LWLockRelease(shared->lock);
	return count;
}

bool
launcher_runs()
{
	LWLockAcquire(shared->lock, LW_SHARED);
	bool runs = shared->launcher != nullptr;
	LWLockRelease(shared->lock);
	return runs;
}

void
launcher_wake()
{
	wake_services_at_commit |= mirrors;
}

void
service_wake(TenancyWorkerKind supervisor)
{
	for (size_t i = 0; i < lengthof(services); i++)
		if (services[i].supervisor == supervisor)
			wake_services_at_commit |= 1 << i;
}

void
workers_wake()
{
	wake_workers_at_commit = true;
}

void
launcher_hold_database(Oid database)
{
	/* The server gives a command five seconds before it fails; leave it some of them. */
	const TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 4000);
	Hold *mine = nullptr;
	int workers;

	holding = true;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (Hold &hold : shared->holds)
		if (!mine && (hold.pid == 0 || (hold.pid == MyProcPid && hold.database == database)))
			mine = &hold;
	if (!mine)
	{
		LWLockRelease(shared->lock);
		return; /* the command then meets our workers, and says so */
	}
	if (mine->pid == 0)
		*mine = {MyProcPid, database, false};
	workers = count_workers(database, true);
	if (workers > 0)
		mine->kept_out = true;
	LWLockRelease(shared->lock);

	while (workers > 0 && GetCurrentTimestamp() < deadline)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		LWLockAcquire(shared->lock, LW_SHARED);
		workers = count_workers(database, false);
		LWLockRelease(shared->lock);
	}
}

/* ---- the launcher's own process ---- */

namespace
{

enum class Wish
{
	unknown, /* nobody has looked yet */
	wanted,
	nothing
};

/* One service of one database. */
struct Database
{
	Oid oid;
	const ServiceDefinition *service;
	Wish wish;
	bool doubted;					/* its supervisor may have looked too early to see what there is to do */
	BackgroundWorkerHandle *handle; /* of a supervisor that runs or is about to */
	TimestampTz started;
	TimestampTz next_start;
	int failures;
};

List *databases = NIL;
bool complained_of_slots = false;

Database *
find_database(Oid oid, TenancyWorkerKind supervisor)
{
	ListCell *cell;

	foreach (cell, databases)
	{
		Database *database = static_cast<Database *>(lfirst(cell));
		if (database->oid == oid && database->service->supervisor == supervisor)
			return database;
	}
	return nullptr;
}

Database *
remember_database(Oid oid, const ServiceDefinition *service, Wish wish)
{
	Database *database = find_database(oid, service->supervisor);

	if (!database)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		database = static_cast<Database *>(palloc0(sizeof(Database)));
		databases = lappend(databases, database);
		MemoryContextSwitchTo(old);
		database->oid = oid;
		database->service = service;
	}
	database->wish = wish;
	database->next_start = 0;
	database->failures = 0;
	return database;
}

/* After the start, and when requests were lost: every database might have work. */
void
remember_all_databases()
{
	Relation relation;
	TableScanDesc scan;
	HeapTuple tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, nullptr);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Oid oid = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple))->oid;

		for (const ServiceDefinition &service : services)
		{
			Database *known = find_database(oid, service.supervisor);

			if (!known || known->wish == Wish::nothing)
				remember_database(oid, &service, Wish::unknown);
			else
				known->doubted = true;
		}
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
}

/* The role to connect as, if a supervisor may connect there: asking first spares the log a FATAL. */
Oid
role_for_database(const Database *database)
{
	HeapTuple tuple;
	Oid result = InvalidOid;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database->oid));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_database form = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
		Oid role = get_role_oid(database->service->role, true);

		if (form->datallowconn && !tenancy_database_is_invalid(form) && OidIsValid(role) &&
			tenancy_database_aclcheck(database->oid, role, ACL_CONNECT) == ACLCHECK_OK)
			result = role;
		ReleaseSysCache(tuple);
	}
	CommitTransactionCommand();
	return result;
}

bool
register_supervisor(Database *database, Oid role)
{
	const ServiceDefinition *service = database->service;
	BackgroundWorker worker;
	TenancyWorkerArguments arguments = {role, InvalidOid};

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, service->library, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, service->function, BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "%s for database %u", service->type, database->oid);
	strlcpy(worker.bgw_type, service->type, BGW_MAXLEN);
	worker.bgw_main_arg = ObjectIdGetDatum(database->oid);
	memcpy(worker.bgw_extra, &arguments, sizeof(arguments));
	worker.bgw_notify_pid = MyProcPid;

	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool registered = RegisterDynamicBackgroundWorker(&worker, &database->handle);
	MemoryContextSwitchTo(old);

	if (!registered && !complained_of_slots)
		ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						  errmsg("out of background worker slots"),
						  errdetail("%s", service->complaint),
						  errhint("Raise max_worker_processes.")));
	complained_of_slots = !registered;
	return registered;
}

/* Jitter keeps databases that failed together from coming back together. */
TimestampTz
time_of_next_try(int failures)
{
	int64 delay = Min(longest_delay_ms, 1000 << Min(failures, 6));

	delay += (random() % 512) * delay / 2048;
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
}

/* A supervisor that ended: because there was nothing to do, for a hold, or by a failure. */
void
note_end(Database *database)
{
	pfree(database->handle);
	database->handle = nullptr;
	if (database->wish == Wish::nothing)
		return;
	if (TimestampDifferenceExceeds(database->started, GetCurrentTimestamp(), longest_delay_ms))
		database->failures = 0;
	database->next_start = time_of_next_try(database->failures++);
}

/* Reads what backends and supervisors left. */
void
take_messages()
{
	Verdict verdicts[max_messages];
	Request requests[max_messages];
	int verdict_count;
	int request_count;
	bool probe_all;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	verdict_count = shared->verdict_count;
	request_count = shared->request_count;
	probe_all = shared->probe_all;
	memcpy(verdicts, shared->verdicts, sizeof(verdicts));
	memcpy(requests, shared->requests, sizeof(requests));
	shared->verdict_count = shared->request_count = 0;
	shared->probe_all = false;
	LWLockRelease(shared->lock);

	/* Requests come second: what they ask for may be newer than what a supervisor saw. */
	for (int i = 0; i < verdict_count; i++)
	{
		Database *database = find_database(verdicts[i].database, verdicts[i].supervisor);
		if (!database)
			continue;
		database->wish = verdicts[i].has_work ? Wish::wanted
						 : database->doubted ? Wish::unknown
											 : Wish::nothing;
		database->doubted = false;
	}
	for (int i = 0; i < request_count; i++)
		for (size_t service = 0; service < lengthof(services); service++)
			if (requests[i].services & (1 << service))
				remember_database(requests[i].database, &services[service], Wish::wanted);
	if (probe_all)
		remember_all_databases();
}

bool
held_or_supervised(Database *database)
{
	bool result = true;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	Hold *hold = find_hold(database->oid);
	if (hold)
		hold->kept_out = true;
	else if (find_supervisor(database->oid, database->service->supervisor))
		database->wish = Wish::wanted; /* one that outlived an earlier launcher */
	else
		result = false;
	LWLockRelease(shared->lock);
	if (result)
		database->next_start = 0; /* its end, or the release, wakes us */
	return result;
}

/* Starts the supervisor of one database if it is due; false if the database is to be forgotten. */
bool
attend(Database *database, bool *probing)
{
	pid_t pid;
	Oid role;

	if (database->handle && GetBackgroundWorkerPid(database->handle, &pid) == BGWH_STOPPED)
		note_end(database);
	if (database->handle)
	{
		*probing |= database->wish == Wish::unknown;
		return true;
	}
	if (database->wish == Wish::nothing)
		return false;
	if (database->next_start > GetCurrentTimestamp() || held_or_supervised(database))
		return true;
	if (database->wish == Wish::unknown && *probing)
		return true;
	role = role_for_database(database);
	if (!OidIsValid(role))
		return false;
	*probing |= database->wish == Wish::unknown;
	database->started = GetCurrentTimestamp();
	if (!register_supervisor(database, role))
		database->next_start = time_of_next_try(database->failures++);
	return true;
}

/* One round over all databases; the time in milliseconds until the next is due, or -1. */
long
attend_all()
{
	bool probing = false;
	long wait = -1;
	ListCell *cell;

	take_messages();
	foreach (cell, databases)
	{
		Database *database = static_cast<Database *>(lfirst(cell));

		CHECK_FOR_INTERRUPTS();
		if (!attend(database, &probing))
		{
			databases = foreach_delete_current(databases, cell);
			pfree(database);
		}
		else if (!database->handle && database->next_start != 0)
		{
			long due = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), database->next_start);
			wait = wait < 0 ? due : Min(wait, due);
		}
	}
	return wait;
}

/* Like remember_all_databases(), after what supervisors have said so far. */
void
ask_for_all_databases()
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->probe_all = true;
	LWLockRelease(shared->lock);
}

void
forget_launcher(int, Datum)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher = nullptr;
	LWLockRelease(shared->lock);
}

} // namespace

void
launcher_init()
{
	BackgroundWorker worker;

	previous_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
	previous_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = create_shared_memory;
	RegisterXactCallback(transaction_ended, nullptr);

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	/* Not on a standby: it has the primary's rows, and could not write. */
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	strlcpy(worker.bgw_library_name, "tenancy", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "tenancy_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "tenancy launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "tenancy launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

} // namespace tenancy

extern "C"
{
PGDLLEXPORT void tenancy_launcher_main(Datum main_arg);

void
tenancy_launcher_main(Datum)
{
	using namespace tenancy;

	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher = MyLatch;
	LWLockRelease(shared->lock);
	before_shmem_exit(forget_launcher, (Datum) 0);

	remember_all_databases();
	for (;;)
	{
		long wait = attend_all();

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (wait >= 0 ? WL_TIMEOUT : 0),
						 wait, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			int pool_size_before = pool_size;

			ProcessConfigFile(PGC_SIGHUP);
			/* Every database may have a pool now. */
			if (pool_size_before == 0 && pool_size > 0)
				ask_for_all_databases();
		}
	}
}
}
