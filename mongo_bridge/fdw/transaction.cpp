/*
 * transaction.cpp — a local transaction that writes has one transaction of MongoDB for each server
 * and user it writes as.
 *
 * It begins with the statement that first writes, and from then on the local transaction reads
 * there too: one snapshot, and its own writes.  It is committed just before the local transaction
 * is; if MongoDB refuses, neither is.  If the local transaction aborts, so does MongoDB's.  What
 * cannot be had is one decision over both: when something fails between the two commits, or when
 * one of several servers refuses after another has committed, they differ.  PREPARE TRANSACTION is
 * refused.
 *
 * MongoDB knows no savepoints.  When a savepoint is rolled back, three things can have happened
 * since: nothing was written, and nothing is lost; the transaction began after the savepoint, and
 * it is aborted as a whole; or there were writes before the savepoint and after it.  The last
 * cannot be done: the transaction is doomed, and whatever comes next is an error, COMMIT as well.
 * So it goes when a write fails, since MongoDB aborts the transaction then.
 */
#include "../client/transaction.h"
#include "connection.h"
#include "option.h"
#include "transaction.h"

namespace bridge
{

struct RemoteKey
{
	Oid server;
	Oid mapping;
};

struct Remote
{
	RemoteKey key; /* the hash key: first */
	MemoryContext context;
	Transaction *transaction;
	int began_level; /* nesting level that it began in, 1: outside of all savepoints */
	int write_level; /* the deepest one that has written and not ended */
	bool failed;	 /* a command has failed: MongoDB has aborted it */
	bool doomed; /* the local transaction goes on without what was written: it must not commit */
};

static HTAB *remotes = nullptr;

static void
forget(Remote *remote)
{
	MemoryContext context = remote->context;
	RemoteKey key = remote->key;

	hash_search(remotes, &key, HASH_REMOVE, nullptr);
	if (context != nullptr)
		MemoryContextDelete(context); /* which aborts it */
}

[[noreturn]] static void
refuse_doomed()
{
	ereport(ERROR,
			(errcode(ERRCODE_IN_FAILED_SQL_TRANSACTION),
			 errmsg("transaction has lost its writes to MongoDB"),
			 errdetail("MongoDB has no savepoints: a rollback to one, or an exception that was "
					   "caught, has undone the writes before it as well."),
			 errhint("Roll back and repeat the transaction; do all writes to MongoDB before the "
					 "savepoint or all after it.")));
	pg_unreachable();
}

/*
 * The ends of transactions
 */

static void
refuse_if_doomed()
{
	HASH_SEQ_STATUS scan;

	hash_seq_init(&scan, remotes);
	while (auto *remote = static_cast<Remote *>(hash_seq_search(&scan)))
		if (remote->doomed || remote->failed)
		{
			hash_seq_term(&scan);
			refuse_doomed();
		}
}

/* Of several servers none commits if one is known to be unable to. */
static void
commit_all()
{
	HASH_SEQ_STATUS scan;

	refuse_if_doomed();
	hash_seq_init(&scan, remotes);
	while (auto *remote = static_cast<Remote *>(hash_seq_search(&scan)))
	{
		Transaction *transaction = remote->transaction;

		remote->failed = true;
		if (transaction != nullptr)
			guarded([&] { transaction->commit(); });
		forget(remote);
	}
}

static void
abort_all()
{
	HASH_SEQ_STATUS scan;

	hash_seq_init(&scan, remotes);
	while (auto *remote = static_cast<Remote *>(hash_seq_search(&scan)))
		forget(remote);
}

static void
transaction_event(XactEvent event, void *)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			commit_all();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (hash_get_num_entries(remotes) > 0)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has written to MongoDB"),
						 errdetail("MongoDB's transactions cannot be prepared by a client.")));
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			abort_all();
			break;
		default:
			break;
	}
}

static void
level_committed(Remote *remote, int level)
{
	if (remote->began_level >= level)
		remote->began_level = level - 1;
	if (remote->write_level >= level)
		remote->write_level = level - 1;
}

static void
level_aborted(Remote *remote, int level)
{
	if (remote->began_level >= level)
		forget(remote);
	else if (remote->write_level >= level || remote->failed)
	{
		/* Its locks are given back at once; the entry stays, to say why nothing more can be done.
		 */
		MemoryContext context = remote->context;

		remote->doomed = true;
		remote->transaction = nullptr;
		remote->context = nullptr;
		if (context != nullptr)
			MemoryContextDelete(context);
	}
}

static void
savepoint_event(SubXactEvent event, SubTransactionId, SubTransactionId, void *)
{
	HASH_SEQ_STATUS scan;
	int level = GetCurrentTransactionNestLevel();

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	hash_seq_init(&scan, remotes);
	while (auto *remote = static_cast<Remote *>(hash_seq_search(&scan)))
	{
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			level_committed(remote, level);
		else
			level_aborted(remote, level);
	}
}

/*
 * Use
 */

static void
create_table()
{
	HASHCTL control = {};

	control.keysize = sizeof(RemoteKey);
	control.entrysize = sizeof(Remote);
	remotes = hash_create("tenancy_mongo transactions", 8, &control, HASH_ELEM | HASH_BLOBS);
	RegisterXactCallback(transaction_event, nullptr);
	RegisterSubXactCallback(savepoint_event, nullptr);
}

static Remote *
find(Oid server, Oid user, HASHACTION action, bool *found)
{
	RemoteKey key = {server, user_mapping_id(server, user)};

	return static_cast<Remote *>(hash_search(remotes, &key, action, found));
}

static void
check_usable(const Remote *remote)
{
	if (remote->doomed || remote->failed)
		refuse_doomed();
}

Transaction *
transaction_current(Oid server, Oid user)
{
	if (remotes == nullptr || hash_get_num_entries(remotes) == 0)
		return nullptr;

	bool found;
	Remote *remote = find(server, user, HASH_FIND, &found);
	if (!found)
		return nullptr;
	check_usable(remote);
	return remote->transaction;
}

void
transaction_read_failed(Oid server, Oid user)
{
	if (remotes == nullptr || hash_get_num_entries(remotes) == 0)
		return;

	bool found;
	Remote *remote = find(server, user, HASH_FIND, &found);
	if (found)
		remote->failed = true;
}

static void
begin(Remote *remote, Client *client)
{
	/* A child of the caller's context until it stands, so that a failure takes it along. */
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tenancy_mongo transaction",
												  ALLOCSET_SMALL_SIZES);
	auto *transaction = own<Transaction>(context, *client);

	MemoryContextSetParent(context, TopMemoryContext);
	remote->context = context;
	remote->transaction = transaction;
}

Transaction *
transaction_for_writes(Oid server, Oid user)
{
	bool found;

	if (!server_has_transactions(server))
		return nullptr;
	if (remotes == nullptr)
		create_table();

	Client *client = connection_get(server, user);
	Remote *remote = find(server, user, HASH_ENTER, &found);
	if (!found)
	{
		remote->context = nullptr;
		remote->transaction = nullptr;
		remote->began_level = GetCurrentTransactionNestLevel();
		remote->write_level = 0;
		remote->failed = true; /* unless it begins */
		remote->doomed = false;
		begin(remote, client);
		remote->failed = false;
	}
	check_usable(remote);
	return remote->transaction;
}

const bson_t *
transaction_write(Oid server, Oid user, const char *database, const bson_t *command,
				  const char *what)
{
	Transaction *transaction = transaction_for_writes(server, user);
	auto *reply = own<Document>(CurrentMemoryContext);

	pgstat_report_wait_start(PG_WAIT_EXTENSION);
	if (transaction == nullptr)
	{
		Client *client = connection_get(server, user);
		guarded([&] { *reply = client->write(database, command, what); });
	}
	else
	{
		bool found;
		Remote *remote = find(server, user, HASH_FIND, &found);
		remote->write_level = Max(remote->write_level, GetCurrentTransactionNestLevel());
		remote->failed = true; /* unless this ends well */
		guarded([&] { *reply = transaction->command(database, command, what); });
		remote->failed = false;
	}
	pgstat_report_wait_end();
	return reply->get();
}

} // namespace bridge
