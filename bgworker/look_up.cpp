/*
 * look_up.cpp — documents that the events did not bring.
 *
 * An update carries the document only where the collection keeps post-images.  Elsewhere the documents of a batch are
 * fetched by _id, and what comes is the present: newer than the event, and newer than events that are still to come.
 * Readers must never see a row go back to an older state, so the time of each look-up is remembered by key, and events of
 * that key up to this time are passed over: what they say has been shown already.
 *
 * The look-up reads at one cluster time exactly, that of the server's last reply, which is at or after every event of the
 * batch.  (Where the server cannot, because the collection is younger than that, it reads the present.)  A document that is not there has been deleted; that event follows, and the row stays as it is until then.
 *
 * Memory ends in two ways.  When the stream has passed the last look-up, all is forgotten: then no event can be older.
 * When there are too many keys, or the worker was restarted, or a collection was dropped and its keys may come again, the
 * keys are forgotten but not the time: the *horizon*, which is stored with the stream.  Up to it no event's own document
 * is trusted; each is looked up.
 */
#include "event_batch.h"

namespace bridge
{
namespace
{

constexpr long most_keys = 200000;
constexpr int keys_of_one_find = 1000;
constexpr uint32 bytes_of_one_find = 1024 * 1024;

/* Keys as 128 bits, seeded anew in each process. */
struct ShownKey
{
	uint64 high;
	uint64 low;
};

struct Shown
{
	ShownKey key;
	ClusterTime time;
};

HTAB *shown = nullptr;
uint64 seed = 0;
ClusterTime latest = 0;		/* the newest look-up that is remembered by key */
ClusterTime distrusted = 0; /* the newest whose key was forgotten */

ShownKey
shown_key(const MirrorTable *table, const bson_iter_t *id)
{
	KeyBytes bytes = key_bytes(id);
	uint64 owner = table->identity << 32 ^ table->identity >> 32 ^ static_cast<uint64>(bytes.type);
	int length = static_cast<int>(bytes.length);

	return {hash_bytes_extended(bytes.data, length, seed ^ owner),
			hash_bytes_extended(bytes.data, length, ~seed + owner * 3)};
}

void
forget_keys()
{
	if (shown)
		hash_destroy(shown);
	shown = nullptr;
	latest = 0;
}

/* The seed comes with it: no key may be hashed before. */
void
create_memory()
{
	HASHCTL control = {};

	if (seed == 0 && !pg_strong_random(&seed, sizeof(seed)))
		seed = static_cast<uint64>(MyStartTimestamp);
	control.keysize = sizeof(ShownKey);
	control.entrysize = sizeof(Shown);
	shown = hash_create("mirror documents looked up", 1024, &control, HASH_ELEM | HASH_BLOBS);
}

void
remember(const MirrorTable *table, const bson_iter_t *id, ClusterTime time)
{
	if (shown && hash_get_num_entries(shown) >= most_keys)
		look_up_forget(latest);
	if (!shown)
		create_memory();

	ShownKey key = shown_key(table, id);
	static_cast<Shown *>(hash_search(shown, &key, HASH_ENTER, nullptr))->time = time;
	latest = Max(latest, time);
}

} // namespace

bool
look_up_has_shown(const MirrorTable *table, const bson_iter_t *id, ClusterTime time)
{
	if (!shown || time > latest)
		return false;

	ShownKey key = shown_key(table, id);
	auto *entry = static_cast<Shown *>(hash_search(shown, &key, HASH_FIND, nullptr));
	return entry && time <= entry->time;
}

bool
look_up_distrusts(ClusterTime time)
{
	return time <= distrusted;
}

void
look_up_forget(ClusterTime horizon)
{
	distrusted = Max(distrusted, horizon);
	forget_keys();
}

void
look_up_passed(ClusterTime time)
{
	if (shown && time > latest)
		forget_keys();
}

/* The server's present, as a cluster time. */
ClusterTime
cluster_time_now(Client *client)
{
	return guarded([&]() -> ClusterTime {
		Document ping;
		bson_iter_t time;
		uint32_t seconds;
		uint32_t increment;

		BSON_APPEND_INT32(ping.get(), "ping", 1);
		Document reply = client->command("admin", ping.get());
		if (!bson_iter_init_find(&time, reply.get(), "operationTime") ||
			!BSON_ITER_HOLDS_TIMESTAMP(&time))
			throw Error("55000", "the MongoDB server is not a member of a replica set",
						"Change streams, and with them mirrors, need a replica set.",
						"mongosh: rs.initiate()");
		bson_iter_timestamp(&time, &seconds, &increment);
		return cluster_time(seconds, increment);
	});
}

namespace
{

/*
 * {find, filter: {_id: {$in: […]}}, readConcern}.  At a cluster time exactly; or at least at it, where the server no
 * longer, or not yet, reads in the past.
 */
Document *
find_command(const MirrorTable *table, Change *const *changes, int count, ClusterTime time,
			 bool exactly, MemoryContext context)
{
	Document *command = own<Document>(context);
	bson_t filter, id, in, concern;

	BSON_APPEND_UTF8(command->get(), "find", table->collection);
	BSON_APPEND_DOCUMENT_BEGIN(command->get(), "filter", &filter);
	BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &id);
	BSON_APPEND_ARRAY_BEGIN(&id, "$in", &in);
	for (int i = 0; i < count; i++)
	{
		bson_iter_t key;
		char buffer[16];
		const char *name;

		size_t length = bson_uint32_to_string(i, &name, buffer, sizeof(buffer));
		if (change_key(changes[i], &key))
			bson_append_iter(&in, name, static_cast<int>(length), &key);
	}
	bson_append_array_end(&id, &in);
	bson_append_document_end(&filter, &id);
	bson_append_document_end(command->get(), &filter);
	BSON_APPEND_INT32(command->get(), "batchSize", count);
	BSON_APPEND_DOCUMENT_BEGIN(command->get(), "readConcern", &concern);
	BSON_APPEND_UTF8(&concern, "level", exactly ? "snapshot" : "majority");
	BSON_APPEND_TIMESTAMP(&concern, exactly ? "atClusterTime" : "afterClusterTime",
						  static_cast<uint32>(time >> 32), static_cast<uint32>(time));
	bson_append_document_end(command->get(), &concern);
	return command;
}

/* Gives a document that was found to its change, in the batch's memory. */
void
take_document(EventBatch *batch, const MirrorTable *table, const bson_t *document, ClusterTime time)
{
	bson_iter_t id;
	Change *change;

	if (!bson_iter_init_find(&id, document, "_id"))
		return;
	change = event_batch_find(batch, table, &id);
	if (!change || change->kind != ChangeKind::look_up)
		return;

	uint8_t *copy = static_cast<uint8_t *>(MemoryContextAlloc(batch->context, document->len));
	memcpy(copy, bson_get_data(document), document->len);
	change->kind = ChangeKind::upsert;
	change->document = copy;
	change->document_length = document->len;
	change->time = time;
	remember(table, &id, time);
}

/* Fetches some documents of one table; false if the server cannot read that time. */
bool
find_documents(EventBatch *batch, Client *client, Change *const *changes, int count,
			   ClusterTime time, bool exactly)
{
	const MirrorTable *table = changes[0]->table;
	MemoryContext context =
		AllocSetContextCreate(batch->context, "tenancy mirror look-up", ALLOCSET_SMALL_SIZES);
	Document *command = find_command(table, changes, count, time, exactly, context);
	const char *what = psprintf("collection \"%s.%s\"", table->database, table->collection);
	CursorHolder *holder = own<CursorHolder>(context);
	Failure failure;

	for (;;)
	{
		const bson_t *document = nullptr;
		bool received = attempt(&failure, [&] {
			if (!holder->cursor)
				holder->cursor =
					std::make_unique<Cursor>(*client, table->database, command->get(), what);
			document = holder->cursor->next();
		});

		if (!received && (!exactly || !is_past_lost(&failure)))
			raise_failure(&failure);
		if (!received || !document)
		{
			MemoryContextDelete(context);
			return received;
		}
		take_document(batch, table, document, time);
	}
}

int
compare_tables(const void *a, const void *b)
{
	const MirrorTable *left = (*static_cast<Change *const *>(a))->table;
	const MirrorTable *right = (*static_cast<Change *const *>(b))->table;

	return left < right ? -1 : left > right ? 1 : 0;
}

/* How many of the changes, from the first on, one find can ask for. */
int
portion(Change *const *changes, int count)
{
	uint32 bytes = 0;
	int n = 0;

	while (n < count && n < keys_of_one_find && bytes < bytes_of_one_find &&
		   changes[n]->table == changes[0]->table)
		bytes += changes[n++]->key_length;
	return n;
}

} // namespace

void
look_up_resolve(Stream *stream, EventBatch *batch, Client *client, ClusterTime time)
{
	auto **wanted = static_cast<Change **>(
		MemoryContextAlloc(batch->context, sizeof(Change *) * Max(1, batch->count)));
	int count = 0;
	bool exactly = true;

	for (int i = 0; i < batch->count; i++)
		if (batch->changes[i].kind == ChangeKind::look_up)
			wanted[count++] = &batch->changes[i];
	if (count == 0)
		return;

	qsort(wanted, count, sizeof(Change *), compare_tables);
	stream->horizon = Max(stream->horizon, time);
	for (int i = 0; i < count;)
	{
		int n = portion(wanted + i, count - i);

		CHECK_FOR_INTERRUPTS();
		if (!find_documents(batch, client, wanted + i, n, time, exactly))
			exactly = false;
		else
			i += n;
	}
	/* What was read is newer than "time", nobody knows by how much: up to now no event's document is to be trusted. */
	if (!exactly)
	{
		stream->horizon = Max(stream->horizon, cluster_time_now(client));
		look_up_forget(stream->horizon);
	}
	for (int i = 0; i < count; i++)
		if (wanted[i]->kind == ChangeKind::look_up)
			wanted[i]->kind = ChangeKind::nothing;
}

} // namespace bridge
