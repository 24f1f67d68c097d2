/*
 * stat_tenants.cpp — what each tenant does, counted in shared memory.
 *
 * A transaction has one tenant (tenant_context.cpp), so it counts for itself and adds what it has counted to the tenant's
 * entry when it ends: one look-up under a shared lock and one spinlock.  What is refused is added at once, since it ends
 * in an error.
 *
 * The table has room for tenancy.max_tenants_tracked tenants.  When it is full, those that were not seen for longest are
 * added to the entry "*" of their database, so that sums stay true.  "" is for sessions that had no tenant when something
 * was refused to them.  A restart or a crash begins anew, as with the server's own statistics.
 */
#include "tenant_context.h"

namespace tenancy
{

constexpr int OTHERS_ROOM = 64; /* entries "*", one a database */

struct Counters
{
	int64 transactions;
	int64 statements;
	int64 rows_read;
	int64 rows_written;
	int64 denied;
	int64 switches;
	TimestampTz last_seen;
};

struct StatKey
{
	Oid database;
	char tenant[TENANT_ID_MAX + 2];
};

struct StatEntry
{
	StatKey key; /* first, for the hash table */
	slock_t mutex;
	Counters counters;
};

struct StatShared
{
	LWLock *lock; /* shared to add to an entry, exclusive to make or remove one */
};

static StatShared *shared;
static HTAB *entries;
static int max_tenants_tracked;
static shmem_request_hook_type previous_shmem_request_hook;
static shmem_startup_hook_type previous_shmem_startup_hook;

/* What the transaction has counted so far. */
struct Pending
{
	bool seen; /* it has a tenant */
	char tenant[TENANT_ID_MAX + 1];
	TimestampTz statement; /* start of the last one that was counted */
	Counters counters;
};
static Pending pending;

/*
 * Shared memory
 */

static void
request_shared_memory()
{
	if (previous_shmem_request_hook)
		previous_shmem_request_hook();
	RequestAddinShmemSpace(
		add_size(sizeof(StatShared), hash_estimate_size(max_tenants_tracked + OTHERS_ROOM, sizeof(StatEntry))));
	RequestNamedLWLockTranche("tenancy_stat_tenants", 1);
}

static void
create_shared_memory()
{
	HASHCTL control = {};
	bool found;

	if (previous_shmem_startup_hook)
		previous_shmem_startup_hook();

	control.keysize = sizeof(StatKey);
	control.entrysize = sizeof(StatEntry);
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = static_cast<StatShared *>(ShmemInitStruct("tenancy stat_tenants", sizeof(StatShared), &found));
	if (!found)
		shared->lock = &GetNamedLWLockTranche("tenancy_stat_tenants")->lock;
	entries = ShmemInitHash("tenancy stat_tenants entries", max_tenants_tracked + OTHERS_ROOM,
							max_tenants_tracked + OTHERS_ROOM, &control, HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
	LWLockRelease(AddinShmemInitLock);
}

void
stat_tenants_init()
{
	/* For servers with more tenants than this, or with less memory: an entry takes about 200 bytes. */
	DefineCustomIntVariable("tenancy.max_tenants_tracked", "How many tenants stat_tenants counts apart.", nullptr,
							&max_tenants_tracked, 5000, 100, 10 * 1000 * 1000, PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);

	previous_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
	previous_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = create_shared_memory;
}

/*
 * Entries
 */

static void
add_counters(Counters *sum, const Counters &more)
{
	sum->transactions += more.transactions;
	sum->statements += more.statements;
	sum->rows_read += more.rows_read;
	sum->rows_written += more.rows_written;
	sum->denied += more.denied;
	sum->switches += more.switches;
	sum->last_seen = Max(sum->last_seen, more.last_seen);
}

static StatKey
key_of(Oid database, const char *tenant)
{
	StatKey key;

	memset(&key, 0, sizeof(key));
	key.database = database;
	strlcpy(key.tenant, tenant, sizeof(key.tenant));
	return key;
}

static bool
is_others(const StatEntry *entry)
{
	return strcmp(entry->key.tenant, "*") == 0;
}

/* Makes an entry if there is none; null if there is no room.  The caller holds the lock exclusively, here and below. */
static StatEntry *
enter(const StatKey &key)
{
	bool found;
	auto *entry = static_cast<StatEntry *>(hash_search(entries, &key, HASH_ENTER_NULL, &found));

	if (entry && !found)
	{
		SpinLockInit(&entry->mutex);
		memset(&entry->counters, 0, sizeof(entry->counters));
	}
	return entry;
}

static void
evict_entry(StatEntry *entry)
{
	const StatKey key = entry->key;
	StatEntry *others = enter(key_of(key.database, "*"));

	if (others)
		add_counters(&others->counters, entry->counters);
	hash_search(entries, &key, HASH_REMOVE, nullptr);
}

/*
 * Removes the twentieth of the time that the entries span, the oldest one at least: without a sort, and without memory
 * that could be short at the end of a transaction.
 */
static void
evict()
{
	HASH_SEQ_STATUS scan;
	StatEntry *entry;
	TimestampTz oldest = DT_NOEND, newest = DT_NOBEGIN;

	hash_seq_init(&scan, entries);
	while ((entry = static_cast<StatEntry *>(hash_seq_search(&scan))) != nullptr)
		if (!is_others(entry))
		{
			oldest = Min(oldest, entry->counters.last_seen);
			newest = Max(newest, entry->counters.last_seen);
		}

	hash_seq_init(&scan, entries);
	while ((entry = static_cast<StatEntry *>(hash_seq_search(&scan))) != nullptr)
		if (!is_others(entry) && entry->counters.last_seen <= oldest + (newest - oldest) / 20)
			evict_entry(entry);
}

/* Adds to a tenant's entry, and makes it if need be. */
static void
add_to_tenant(const char *tenant, const Counters &counters)
{
	const StatKey key = key_of(MyDatabaseId, tenant);

	if (!shared || !OidIsValid(MyDatabaseId))
		return;

	LWLockAcquire(shared->lock, LW_SHARED);
	auto *entry = static_cast<StatEntry *>(hash_search(entries, &key, HASH_FIND, nullptr));
	if (entry)
	{
		SpinLockAcquire(&entry->mutex);
		add_counters(&entry->counters, counters);
		SpinLockRelease(&entry->mutex);
	}
	LWLockRelease(shared->lock);
	if (entry)
		return;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (hash_get_num_entries(entries) >= max_tenants_tracked)
		evict();
	entry = enter(key);
	if (entry)
		add_counters(&entry->counters, counters);
	LWLockRelease(shared->lock);
}

/*
 * Counting
 */

void
stat_denied(const char *tenant)
{
	Counters counters = {};

	counters.denied = 1;
	counters.last_seen = GetCurrentTimestamp();
	add_to_tenant(tenant, counters);
}

void
stat_switched()
{
	pending.counters.switches++;
}

/* The transaction has a tenant from here on. */
void
stat_seen(const char *tenant)
{
	pending.seen = true;
	strlcpy(pending.tenant, tenant, sizeof(pending.tenant));
}

/* A statement of the client, or one within a function, has returned or written rows. */
void
stat_rows(CmdType operation, uint64 rows)
{
	TimestampTz statement;

	if (likely(!pending.seen) || IsParallelWorker())
		return;
	statement = GetCurrentStatementStartTimestamp();
	if (statement != pending.statement)
	{
		pending.statement = statement;
		pending.counters.statements++;
	}
	if (operation == CMD_SELECT)
		pending.counters.rows_read += rows;
	else
		pending.counters.rows_written += rows;
}

void
stat_transaction_ends()
{
	if (likely(!pending.seen))
		return;

	/* A context that came at connect is none of a transaction yet. */
	if (pending.counters.statements > 0 || pending.counters.switches > 0)
	{
		pending.counters.transactions = 1;
		pending.counters.last_seen = GetCurrentTransactionStopTimestamp();
		add_to_tenant(pending.tenant, pending.counters);
	}
	pending = {};
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_stat_tenants);
PG_FUNCTION_INFO_V1(tenancy_stat_tenants_reset);

PGDLLEXPORT Datum
tenancy_stat_tenants(PG_FUNCTION_ARGS)
{
	using namespace tenancy;

	auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
	HASH_SEQ_STATUS scan;
	StatEntry *entry;

	InitMaterializedSRF(fcinfo, 0);
	LWLockAcquire(shared->lock, LW_SHARED);
	hash_seq_init(&scan, entries);
	while ((entry = static_cast<StatEntry *>(hash_seq_search(&scan))) != nullptr)
	{
		Datum values[8];
		bool nulls[8] = {};

		if (entry->key.database != MyDatabaseId)
			continue;
		SpinLockAcquire(&entry->mutex);
		const Counters counters = entry->counters;
		SpinLockRelease(&entry->mutex);

		nulls[0] = entry->key.tenant[0] == '\0';
		values[0] = CStringGetTextDatum(entry->key.tenant);
		values[1] = Int64GetDatum(counters.transactions);
		values[2] = Int64GetDatum(counters.statements);
		values[3] = Int64GetDatum(counters.rows_read);
		values[4] = Int64GetDatum(counters.rows_written);
		values[5] = Int64GetDatum(counters.denied);
		values[6] = Int64GetDatum(counters.switches);
		values[7] = TimestampTzGetDatum(counters.last_seen);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	LWLockRelease(shared->lock);
	return (Datum) 0;
}

/* Forgets this database's entries, or one tenant's. */
PGDLLEXPORT Datum
tenancy_stat_tenants_reset(PG_FUNCTION_ARGS)
{
	using namespace tenancy;

	const char *tenant = PG_ARGISNULL(0) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(0));
	HASH_SEQ_STATUS scan;
	StatEntry *entry;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	hash_seq_init(&scan, entries);
	while ((entry = static_cast<StatEntry *>(hash_seq_search(&scan))) != nullptr)
		if (entry->key.database == MyDatabaseId && (!tenant || strcmp(entry->key.tenant, tenant) == 0))
		{
			const StatKey key = entry->key;

			hash_search(entries, &key, HASH_REMOVE, nullptr);
		}
	LWLockRelease(shared->lock);
	PG_RETURN_VOID();
}
}
