/*
 * event_batch.h — change events, reduced to what they leave of each document.
 *
 * Of one document's events only the last counts: the first ones are overwritten before anybody could see them, because a
 * batch is one transaction.  The reduction never crosses a drop or a rename, which end a batch: the same keys mean other
 * documents behind it.  Keys are compared as raw BSON, type and bytes.
 *
 * Documents and keys stay where they were received; the batch is valid until the stream's next one.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_EVENT_BATCH_H
#define PG_TENANCY_EVENT_BATCH_H

#include "mirror.h"

namespace bridge
{

/* What happened to a whole collection. */
enum class Upheaval : uint8
{
	none,
	drop,		   /* from is gone */
	rename,		   /* from is gone, to has other documents */
	drop_database, /* all collections of from_database are gone */
};

struct Namespace
{
	const char *database;
	const char *collection;
};

struct EventBatch
{
	MemoryContext context; /* reset with each batch */
	int events;			   /* read, whether they concern a table or not */
	bool in_transaction;   /* the last event is one of a transaction, and others of its time may follow */
	int count;
	int capacity;
	Change *changes;
	int32 *slots; /* hash table of indexes into changes, -1: free */
	uint32 slot_count;

	/* What ended the batch before its last event: it comes after the changes. */
	Upheaval upheaval;
	Namespace from;
	Namespace to;
	const uint8_t *
		token; /* of the upheaval; bson_t must not lie in palloc'd memory, its alignment is larger */
	uint32_t token_length;
};

/* The value of an _id as it lies in its document. */
struct KeyBytes
{
	const uint8_t *data;
	uint32_t length;
	bson_type_t type;
};

inline KeyBytes
key_bytes(const bson_iter_t *id)
{
	const uint8_t *value =
		reinterpret_cast<const uint8_t *>(bson_iter_key(id)) + strlen(bson_iter_key(id)) + 1;

	return {value, static_cast<uint32_t>(id->raw + id->next_off - value), bson_iter_type(id)};
}

EventBatch *event_batch_create(MemoryContext parent);

/* Reads events until there are no more or one is an upheaval. */
void event_batch_read(EventBatch *batch, Stream *stream, ChangeStream *events);

/* Replaces the changes by others; who finds changes by key has done so before. */
void event_batch_restart(EventBatch *batch);
void event_batch_append(EventBatch *batch, const Change *change);

/* The change of one document of a table, or null. */
Change *event_batch_find(EventBatch *batch, const MirrorTable *table, const bson_iter_t *key);

/* True if nothing was read: no change, no upheaval. */
inline bool
event_batch_is_empty(const EventBatch *batch)
{
	return batch->count == 0 && batch->upheaval == Upheaval::none;
}

/* ---- look_up.cpp: documents that the events did not bring ---- */

/* True if the document has been shown at this time or later, so that the event is old. */
bool look_up_has_shown(const MirrorTable *table, const bson_iter_t *key, ClusterTime time);

/* True if an event's own document may be older than what was shown. */
bool look_up_distrusts(ClusterTime time);

/* Fetches the documents of all changes that need it, as they are at "time". */
void look_up_resolve(Stream *stream, EventBatch *batch, Client *client, ClusterTime time);

/* The server's present. */
ClusterTime cluster_time_now(Client *client);

/* After a start, an upheaval or when time has passed: what is remembered of documents shown. */
void look_up_forget(ClusterTime horizon);
void look_up_passed(ClusterTime time);

} // namespace bridge

#endif
