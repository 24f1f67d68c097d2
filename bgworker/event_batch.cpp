/*
 * event_batch.cpp — change events, reduced to what they leave of each document.  See event_batch.h.
 */
#include "event_batch.h"

namespace bridge
{
namespace
{

/* One event, as it lies in the reply. */
struct Event
{
	const char *position;
	const char *operation;
	Namespace from;
	Namespace to;
	ClusterTime time;
	TimestampTz wall_time;
	bson_t token;
	bool in_transaction;
	bool has_key;
	bson_iter_t key; /* on the _id of documentKey */
	const uint8_t *key_document;
	uint32_t key_length;
	const uint8_t *document; /* null: the event has none */
	uint32_t document_length;
	bool tells_fields; /* "changed" is on the first of the changed fields */
	bson_iter_t changed;
};

Namespace
read_namespace(const bson_iter_t *field)
{
	Namespace result = {nullptr, nullptr};
	bson_iter_t inner;

	if (!BSON_ITER_HOLDS_DOCUMENT(field) || !bson_iter_recurse(field, &inner))
		return result;
	while (bson_iter_next(&inner))
	{
		if (!BSON_ITER_HOLDS_UTF8(&inner))
			continue;
		if (strcmp(bson_iter_key(&inner), "db") == 0)
			result.database = bson_iter_utf8(&inner, nullptr);
		else if (strcmp(bson_iter_key(&inner), "coll") == 0)
			result.collection = bson_iter_utf8(&inner, nullptr);
	}
	return result;
}

void
read_key(Event *event, const bson_iter_t *field)
{
	bson_t key;

	bson_iter_document(field, &event->key_length, &event->key_document);
	event->has_key = bson_init_static(&key, event->key_document, event->key_length) &&
					 bson_iter_init_find(&event->key, &key, "_id");
}

void
read_field(Event *event, const bson_iter_t *field)
{
	const char *name = bson_iter_key(field);
	uint32_t seconds;
	uint32_t increment;

	if (strcmp(name, "_id") == 0 && BSON_ITER_HOLDS_DOCUMENT(field))
	{
		const uint8_t *data;
		uint32_t length;

		bson_iter_document(field, &length, &data);
		(void) bson_init_static(&event->token, data, length);
		event->position = token_position(&event->token);
	}
	else if (strcmp(name, "operationType") == 0 && BSON_ITER_HOLDS_UTF8(field))
		event->operation = bson_iter_utf8(field, nullptr);
	else if (strcmp(name, "fullDocument") == 0 && BSON_ITER_HOLDS_DOCUMENT(field))
		bson_iter_document(field, &event->document_length, &event->document);
	else if (strcmp(name, "documentKey") == 0 && BSON_ITER_HOLDS_DOCUMENT(field))
		read_key(event, field);
	else if (strcmp(name, "changedFields") == 0 && BSON_ITER_HOLDS_ARRAY(field))
		event->tells_fields = bson_iter_recurse(field, &event->changed);
	else if (strcmp(name, "txnNumber") == 0)
		event->in_transaction = true;
	else if (strcmp(name, "ns") == 0)
		event->from = read_namespace(field);
	else if (strcmp(name, "to") == 0)
		event->to = read_namespace(field);
	else if (strcmp(name, "clusterTime") == 0 && BSON_ITER_HOLDS_TIMESTAMP(field))
	{
		bson_iter_timestamp(field, &seconds, &increment);
		event->time = cluster_time(seconds, increment);
	}
	else if (strcmp(name, "wallTime") == 0 && BSON_ITER_HOLDS_DATE_TIME(field))
		event->wall_time =
			(bson_iter_date_time(field) -
			 static_cast<int64>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000) *
			1000;
}

void
read_event(Event *event, const bson_t *document)
{
	bson_iter_t field;

	memset(event, 0, sizeof(*event));
	event->position = event->operation = "";
	if (bson_iter_init(&field, document))
		while (bson_iter_next(&field))
			read_field(event, &field);
	if (event->wall_time == 0)
		event->wall_time = cluster_time_to_timestamp(event->time);
}

/* ---- the hash table ---- */

uint32
hash_key(const MirrorTable *table, const bson_iter_t *key)
{
	KeyBytes bytes = key_bytes(key);

	return hash_combine(static_cast<uint32>(table->local) ^ static_cast<uint32>(bytes.type),
						hash_bytes(bytes.data, static_cast<int>(bytes.length)));
}

bool
same_key(const Change *change, const MirrorTable *table, const bson_iter_t *key)
{
	KeyBytes a = key_bytes(key);
	bson_iter_t other;

	if (change->table != table || !change_key(change, &other))
		return false;
	KeyBytes b = key_bytes(&other);
	return a.type == b.type && a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

/* The slot of this key: its change's, or the free one where it belongs. */
uint32
find_slot(EventBatch *batch, const MirrorTable *table, const bson_iter_t *key)
{
	uint32 slot = hash_key(table, key) & (batch->slot_count - 1);

	while (batch->slots[slot] >= 0 && !same_key(&batch->changes[batch->slots[slot]], table, key))
		slot = (slot + 1) & (batch->slot_count - 1);
	return slot;
}

void
allocate(EventBatch *batch, int capacity)
{
	Size size = sizeof(Change) * capacity;

	batch->capacity = capacity;
	batch->slot_count = static_cast<uint32>(capacity) * 2;
	batch->changes = static_cast<Change *>(
		batch->changes ? repalloc(batch->changes, size) : MemoryContextAlloc(batch->context, size));
	if (batch->slots)
		pfree(batch->slots);
	batch->slots =
		static_cast<int32 *>(MemoryContextAlloc(batch->context, sizeof(int32) * batch->slot_count));
	memset(batch->slots, 0xFF, sizeof(int32) * batch->slot_count);
}

void
grow(EventBatch *batch)
{
	allocate(batch, batch->capacity * 2);
	for (int i = 0; i < batch->count; i++)
	{
		bson_iter_t key;

		(void) change_key(&batch->changes[i], &key);
		batch->slots[find_slot(batch, batch->changes[i].table, &key)] = i;
	}
}

/* ---- the reduction ---- */

ChangeKind
kind_of(const Event *event)
{
	if (strcmp(event->operation, "delete") == 0)
		return ChangeKind::remove;
	if (strcmp(event->operation, "insert") != 0 && strcmp(event->operation, "update") != 0 &&
		strcmp(event->operation, "replace") != 0)
		return ChangeKind::nothing;
	if (!event->document || look_up_distrusts(event->time))
		return ChangeKind::look_up;
	return ChangeKind::upsert;
}

/* May the document have been in another table of its route before this event? */
bool
was_elsewhere(const MirrorTable *table, const Event *event, ChangeKind kind)
{
	if (!table->route || (kind == ChangeKind::upsert && strcmp(event->operation, "insert") == 0))
		return false;
	if (kind != ChangeKind::upsert || strcmp(event->operation, "update") != 0 || !event->tells_fields)
		return true;

	bson_iter_t field = event->changed;
	while (bson_iter_next(&field))
		if (!BSON_ITER_HOLDS_UTF8(&field) ||
			route_is_touched(table, bson_iter_utf8(&field, nullptr)))
			return true;
	return false;
}

void
add_change(EventBatch *batch, MirrorTable *table, const Event *event, ChangeKind kind)
{
	bool elsewhere = was_elsewhere(table, event, kind);
	uint32 slot;

	if (batch->count == batch->capacity)
		grow(batch);
	slot = find_slot(batch, table, &event->key);
	if (batch->slots[slot] < 0)
		batch->slots[slot] = batch->count++;
	else
		elsewhere |= batch->changes[batch->slots[slot]].elsewhere;

	Change *change = &batch->changes[batch->slots[slot]];
	*change = {};
	change->table = table;
	change->kind = kind;
	change->elsewhere = elsewhere;
	change->time = change->event_time = event->time;
	change->key = event->key_document;
	change->key_length = event->key_length;
	change->document = event->document;
	change->document_length = event->document_length;
	table->events++;
	table->last_event_at = Max(table->last_event_at, event->wall_time);
}

/* Is the event news to this table? */
bool
concerns(const MirrorTable *table, const Event *event)
{
	return table->phase == Phase::follow &&
		   (!table->since || strcmp(event->position, table->since) > 0);
}

void
route(EventBatch *batch, Stream *stream, const Event *event)
{
	ChangeKind kind = kind_of(event);
	int count;

	if (kind == ChangeKind::nothing || !event->has_key || !event->from.database ||
		!event->from.collection)
		return;
	MirrorTable *const *tables =
		route_find(stream, event->from.database, event->from.collection, &count);
	for (int i = 0; i < count; i++)
		if (concerns(tables[i], event) &&
			!look_up_has_shown(tables[i], &event->key, event->time))
			add_change(batch, tables[i], event, kind);
}

Upheaval
upheaval_of(const Event *event)
{
	bool named = event->from.database && event->from.collection;

	if (named && strcmp(event->operation, "drop") == 0)
		return Upheaval::drop;
	if (named && event->to.database && event->to.collection &&
		strcmp(event->operation, "rename") == 0)
		return Upheaval::rename;
	if (event->from.database && strcmp(event->operation, "dropDatabase") == 0)
		return Upheaval::drop_database;
	return Upheaval::none;
}

} // namespace

EventBatch *
event_batch_create(MemoryContext parent)
{
	EventBatch *batch = static_cast<EventBatch *>(MemoryContextAllocZero(parent, sizeof(*batch)));

	batch->context = AllocSetContextCreate(parent, "tenancy mirror batch", ALLOCSET_DEFAULT_SIZES);
	return batch;
}

void
event_batch_restart(EventBatch *batch)
{
	MemoryContext caller = MemoryContextSwitchTo(batch->context);

	batch->changes = static_cast<Change *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Change) * batch->capacity));
	batch->count = 0;
	MemoryContextSwitchTo(caller);
}

void
event_batch_append(EventBatch *batch, const Change *change)
{
	if (batch->count == batch->capacity)
	{
		batch->capacity *= 2;
		batch->changes = static_cast<Change *>(
			repalloc_huge(batch->changes, sizeof(Change) * batch->capacity));
	}
	batch->changes[batch->count++] = *change;
}

Change *
event_batch_find(EventBatch *batch, const MirrorTable *table, const bson_iter_t *key)
{
	int32 index = batch->slots[find_slot(batch, table, key)];

	return index < 0 ? nullptr : &batch->changes[index];
}

void
event_batch_read(EventBatch *batch, Stream *stream, ChangeStream *events)
{
	Event event;

	MemoryContextReset(batch->context);
	batch->changes = nullptr;
	batch->slots = nullptr;
	batch->count = 0;
	batch->events = 0;
	batch->in_transaction = false;
	batch->upheaval = Upheaval::none;
	allocate(batch, 256);

	while (const bson_t *document = events->next_event())
	{
		CHECK_FOR_INTERRUPTS();
		read_event(&event, document);
		/* A stream that was reopened by time begins with events that are applied already. */
		if (strcmp(event.position, stream->position) <= 0)
			continue;
		look_up_passed(event.time);
		batch->events++;
		batch->in_transaction = event.in_transaction;
		stream->events++;
		stream->last_event_at = Max(stream->last_event_at, event.wall_time);
		batch->upheaval = upheaval_of(&event);
		if (batch->upheaval != Upheaval::none)
		{
			batch->from = event.from;
			batch->to = event.to;
			batch->token = bson_get_data(&event.token);
			batch->token_length = event.token.len;
			return;
		}
		route(batch, stream, &event);
	}
}

} // namespace bridge
