/*
 * connection.cpp — the session's connections to MongoDB.
 *
 * One Client per foreign server and user mapping (or per server, for the users without a mapping) is kept until the
 * session ends.  A connection that broke, and one whose server or mapping has been altered since, is replaced when it is
 * asked for the next time.  A cursor that still reads from the old one shares its link, and may go on.
 */
#include "connection.h"
#include "option.h"

namespace bridge
{

struct ConnectionKey
{
	Oid server;
	Oid mapping; /* InvalidOid: the server's own credentials */
};

struct Connection
{
	ConnectionKey key; /* the hash key: first */
	MemoryContext context;
	Client *client; /* null: none yet */
	bool stale;		/* the catalogue has changed since it was made */
	uint32 server_hash;
	uint32 mapping_hash;
};

static HTAB *connections = nullptr;

static void
catalogue_changed(Datum arg, int cache, uint32 hash)
{
	HASH_SEQ_STATUS scan;

	hash_seq_init(&scan, connections);
	while (auto *connection = static_cast<Connection *>(hash_seq_search(&scan)))
		if (hash == 0 || (cache == FOREIGNSERVEROID && connection->server_hash == hash) ||
			(cache == USERMAPPINGOID && connection->mapping_hash == hash))
			connection->stale = true;
}

static void
create_table()
{
	HASHCTL control = {};

	control.keysize = sizeof(ConnectionKey);
	control.entrysize = sizeof(Connection);
	connections = hash_create("tenancy_mongo connections", 8, &control, HASH_ELEM | HASH_BLOBS);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, catalogue_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, catalogue_changed, (Datum) 0);
}

Client *
connection_open(Oid server, Oid user, MemoryContext context, int reply_timeout_ms)
{
	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign tables of MongoDB need a database with encoding UTF8"),
				 errdetail("The encoding of this database is %s.", GetDatabaseEncodingName()),
				 errhint("CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0;")));

	/* The options and what they were made of, a password among it, go with this context. */
	MemoryContext scratch =
		AllocSetContextCreate(CurrentMemoryContext, "tenancy_mongo options", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	ConnectionOptions options = server_options(server, user);
	if (options.socket_timeout_ms == 0)
		options.socket_timeout_ms = reply_timeout_ms;
	Client *client = own<Client>(context, options, connection_interrupted);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return client;
}

static void
connect(Connection *connection, Oid user)
{
	/* A child of the caller's context until it stands, so that a failure takes it along. */
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tenancy_mongo connection",
												  ALLOCSET_SMALL_SIZES);

	connection->stale = false;
	connection->server_hash =
		GetSysCacheHashValue1(FOREIGNSERVEROID, ObjectIdGetDatum(connection->key.server));
	connection->mapping_hash =
		GetSysCacheHashValue1(USERMAPPINGOID, ObjectIdGetDatum(connection->key.mapping));

	Client *client = connection_open(connection->key.server, user, context, 0);
	MemoryContextSetParent(context, TopMemoryContext);
	connection->context = context;
	connection->client = client;
}

static void
disconnect(Connection *connection)
{
	MemoryContext context = connection->context;

	connection->client = nullptr;
	connection->context = nullptr;
	MemoryContextDelete(context);
}

Client *
connection_get(Oid server, Oid user, bool *kept)
{
	if (connections == nullptr)
		create_table();

	ConnectionKey key = {server, user_mapping_id(server, user)};
	bool found;
	auto *connection =
		static_cast<Connection *>(hash_search(connections, &key, HASH_ENTER, &found));

	if (!found)
	{
		connection->context = nullptr;
		connection->client = nullptr;
	}
	if (connection->client != nullptr && (connection->stale || connection->client->broken()))
		disconnect(connection);
	if (kept != nullptr)
		*kept = connection->client != nullptr;
	if (connection->client == nullptr)
		connect(connection, user);
	return connection->client;
}

/*
 * DROP DATABASE and other commands send a barrier to all backends and wait until each has closed its files, so a wait for
 * MongoDB must not keep one.  This is called in the midst of blue frames, which an error may not pass: the server keeps the
 * barrier pending, and raises the error at the next check for interrupts.
 */
static void
absorb_barrier() noexcept
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		ProcessProcSignalBarrier();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		FlushErrorState();
	}
	PG_END_TRY();
}

bool
connection_interrupted() noexcept
{
	if (ProcSignalBarrierPending && InterruptHoldoffCount == 0 && CritSectionCount == 0)
		absorb_barrier();
	return QueryCancelPending || ProcDiePending || tenancy_transaction_timeout_pending() ||
		   !PostmasterIsAlive();
}

} // namespace bridge
