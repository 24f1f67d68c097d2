/*
 * mirror.h — what the parts of the mirror share.
 *
 * Wording: a *mirror* is a pair of a foreign table and the local table that follows it.  A *stream* is the one change
 * stream of a foreign server, from which all its mirrors in this database are fed.  A *position* is the "_data" of a
 * resume token, hexadecimal text that compares as the stream is ordered.  A *change* is what one transaction does to one
 * document, after all its events were reduced to the last.  A *misfit* is a document that its table cannot hold.
 *
 *   mirror_command.cpp   mirror() and unmirror()
 *   mirror_control.cpp   pausing, copying again, waiting
 *   mirror_verify.cpp    comparing a table with its collection
 *   mirror_mapping.cpp   from a document to a row of the local table: columns, key, defaults
 *   mirror_catalog.cpp   the stream, mirror_table and misfits tables, as the workers read and write them
 *   supervisor.cpp       keeps the workers of one database running
 *   apply_worker.cpp     one stream: receives, reduces, commits
 *   event_batch.cpp      change events, reduced to changes
 *   look_up.cpp          documents that the events did not bring
 *   mirror_route.cpp     which tables a document goes to
 *   oplog_window.cpp     how long a stream may still be behind
 *   stream_filter.cpp    what of the deployment's changes a stream wants to hear
 *   apply.cpp            one batch, one transaction; which document is to blame if it fails
 *   target.cpp           changes to rows
 *   initial_sync.cpp     the first copy, and the later ones
 *   copy_*.cpp           reading large collections for a copy (copy_stage.h)
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_MIRROR_H
#define PG_TENANCY_MIRROR_H

#ifndef POSTGRES_H
#include <memory>

#include "client/change_stream.h"
#include "client/cursor.h"
#include "fdw/bson_datum.h"
#include "fdw/option.h"
#include "guard.h"
#endif
#include "worker.h"

namespace bridge
{

/* A point of MongoDB's cluster time: seconds in the upper half, increment in the lower. */
using ClusterTime = uint64;

inline ClusterTime
cluster_time(uint32 seconds, uint32 increment)
{
	return static_cast<uint64>(seconds) << 32 | increment;
}

inline TimestampTz
cluster_time_to_timestamp(ClusterTime time)
{
	return time_t_to_timestamptz(static_cast<pg_time_t>(time >> 32));
}

extern int mirror_batch_size; /* tenancy_mongo.mirror_batch_size */
extern bool mirror_notify;	  /* tenancy_mongo.mirror_notify */

/* ---- supervisor.cpp ---- */

/* The replication origin that marks a stream's commits.  Its worker makes it, the supervisor drops it. */
const char *origin_name(Oid server);

/* ---- mirror_command.cpp ---- */

/* Runs one statement as the owner of the mirror's catalogue; tells how many rows it was about. */
uint64 catalogue_run(const char *statement, int count, Oid *types, Datum *values);

/* The first column of a query's first row, copied; null if there is none. */
char *catalogue_text(const char *statement, int count, Oid *types, Datum *values);

/* The first row of a query, its columns passed by value and not null; false if there is none. */
bool catalogue_select(const char *statement, int count, Oid *types, Datum *values, Datum *columns,
					  int column_count);

/* An error unless the current user owns the local table. */
void check_owner(Oid local);

/* ---- mirror_control.cpp ---- */

/* Lets a mirrored table be copied again, in place. */
void refresh_mirror(Oid local);
void fail_for_no_mirror(Oid local);

/*
 * Waits until the stream of a server has come past a time, and a table, or each of them, is not about to be copied; false if
 * that took too long.
 */
bool wait_for_stream(Oid server, Oid local, ClusterTime time, long timeout_ms);

/* An error in a transaction that keeps its snapshot: "function" waits for what others commit. */
void check_sees_what_comes(const char *function);

/* ---- mirror_mapping.cpp ---- */

/* How documents become rows of a local table.  It lives in one memory context. */
struct Mapping
{
	ColumnMap *columns;
	int foreign_natts;
	AttrNumber
		*to_local;	/* by foreign attribute number - 1: the local column of that name, 0 for none */
	bool *required; /* by foreign attribute number - 1: the local column is NOT NULL */
	bool *from_document; /* by local attribute number - 1 */
	int default_count;	 /* local columns that only a default fills */
	AttrNumber *default_columns;
	ExprState **defaults;
	AttrNumber foreign_key;
	AttrNumber local_key;
	Oid key_index;
	Oid key_type;
	RegProcedure key_equal;
	Oid key_collation;
	const char *definition; /* changes when the rows must be copied again */
	Datum *values;			/* of one converted document, by foreign attribute number - 1 */
	bool *isnull;
};

/* Why two tables do not map, for an ereport: fields may be null, all but the first two. */
struct MappingProblem
{
	int sqlstate;
	const char *message;
	const char *detail;
	const char *hint;
};

/* Returns null and fills "problem" if the local table cannot mirror the foreign one. */
Mapping *mapping_build(Relation foreign, Relation local, MemoryContext context,
					   MappingProblem *problem);

/*
 * Converts a document into mapping->values; false and a mismatch if it does not fit.  The second form converts the _id
 * of a change event alone.
 */
bool mapping_convert(Mapping *mapping, const bson_t *document, Mismatch *mismatch);
bool mapping_convert_key(Mapping *mapping, const bson_iter_t *id, Datum *key);

/* ---- mirror_catalog.cpp ---- */

enum class Phase : char
{
	copy = 'i',	  /* to be copied */
	follow = 'r', /* follows the stream */
	error = 'e'	  /* stopped by an error of its own */
};

struct Route;

struct MirrorTable
{
	Oid local;
	Oid foreign;
	Oid owner; /* of the local table */
	Phase phase;
	const char *database;
	const char *collection;
	const char *tenant;		  /* whose documents it holds; null: everybody's */
	const char *tenant_field; /* by which they are told; null: all of the namespace are the tenant's */
	uint64 identity;		  /* of the documents that it is fed, whatever is reloaded */
	Route *route;			  /* set if this is not a table, but stands for those of a route */
	const char *definition;	  /* of the copied rows; null: never copied */
	const char *since;		/* position; null: none */
	Mapping *mapping;		/* null in phase error */
	HTAB *misfits;			/* hashes of document ids; null: none */

	bool chosen;	   /* for a moment, by who looks for tables */
	int target_number; /* in the applier that it is open in */

	/* Of the transaction under way. */
	int64 events;
	TimestampTz last_event_at;
};

struct Stream
{
	MemoryContext context;
	int32 id;
	Oid server;
	const char *deployment; /* null: not yet known */
	bytea *token;			/* null: none */
	const char *position;	/* of the token; "" for none */
	ClusterTime start_at;
	const char *pipeline;	   /* what the token was read under; null: none */
	const char *open_pipeline; /* what the next one is read under */
	ClusterTime horizon;
	int table_count;
	MirrorTable *tables;
	int source_count;
	MirrorTable **sources; /* tables and heads of routes, by namespace */
	bool has_routes;

	/* Of the transaction under way. */
	int64 events;
	TimestampTz last_event_at;
};

/*
 * Reads the stream of a server, in a transaction, into a context below "parent"; it checks every table and writes what it
 * finds into the table's phase.  Null: there is none, or none that is this database's.
 */
Stream *stream_load(Oid server, MemoryContext parent);

/* False if the extension is not, or no longer, in this database. */
bool catalog_exists();

/* True if a definition that the stream was loaded with has changed since. */
bool stream_is_stale();

/*
 * Writes the stream's position, counters and horizon; an error if somebody else moved it.  Once that is committed,
 * stream_saved() brings the memory after it.
 */
void stream_save(Stream *stream, const bson_t *token);
void stream_saved(Stream *stream, const bson_t *token);

void stream_set_deployment(Stream *stream, const char *deployment);
void stream_forget_position(Stream *stream);
void stream_raise_horizon(Stream *stream, ClusterTime time);
void stream_note_oplog(Stream *stream, int64 seconds_left);
void stream_note_error(Oid server, const ErrorData *error);

bool table_note_copied(Stream *stream, MirrorTable *table, ClusterTime cut, int64 rows);
void table_set_phase(MirrorTable *table, Phase phase, int sqlstate, const char *message);
void table_note_events(MirrorTable *table);
bool table_is_mirrored(const MirrorTable *table);

void misfit_add(MirrorTable *table, const bson_t *document, const Mismatch *mismatch,
				ClusterTime time);
void misfit_remove(MirrorTable *table, const char *document_id);
void misfit_remove_all(MirrorTable *table);
bool misfit_possible(const MirrorTable *table, const char *document_id);

/* The position just behind everything that happened at a cluster time; and the time of a position. */
char *position_after(ClusterTime time);
ClusterTime position_time(const char *position);
const char *token_position(const bson_t *token);

/* ---- mirror_route.cpp ---- */

/* A database option with the tenant in the place of {tenant}. */
const char *tenant_database(const char *database, const char *tenant);

/* Do a foreign table's options tell which documents are a tenant's? */
bool tells_tenants_apart(const TableOptions *options);

/* Whose is a document?  Without a field, this tenant's.  The filter may let more through than the second one does. */
void append_tenant_filter(bson_t *command, const char *name, const char *tenant_field,
						  const char *tenant);
bool is_of_tenant(const bson_t *document, const char *tenant_field, const char *tenant);

/* Orders the tables of a stream by namespace and tenant; then those of a namespace. */
void route_build(Stream *stream);
MirrorTable *const *route_find(const Stream *stream, const char *database, const char *collection,
							   int *count);

/* Does a changed field concern the one that tells the tenant? */
bool route_is_touched(const MirrorTable *head, const char *changed_field);

/* Replaces the changes of routes by what they mean to each table. */
struct EventBatch;
void route_changes(EventBatch *batch, const Stream *stream);

/* ---- oplog_window.cpp ---- */

/*
 * From time to time: looks how far MongoDB's oplog reaches back from a position, and warns.  "save" writes it down, in a
 * transaction of its own.
 */
void oplog_check(Stream *stream, Client *client, ClusterTime position, bool save);

/* ---- stream_filter.cpp ---- */

/* The pipeline of a stream's change stream, with or without documents; and the same in short: one namespace a line. */
Document *stream_filter(const Stream *stream, bool slim, MemoryContext context);
char *stream_filter_text(const Stream *stream);

/* ---- apply.cpp ---- */

enum class ChangeKind : uint8
{
	upsert,
	look_up, /* the event did not carry the document */
	remove,
	nothing /* looked up and gone: its removal follows */
};

/* What a batch of events does to one document.  The pointers go into the batch. */
struct Change
{
	MirrorTable *table;
	ChangeKind kind;
	bool elsewhere;			/* of a route: the document may have been another tenant's before */
	bool routed;			/* the event was not counted as its table's */
	ClusterTime time;		/* of the document */
	ClusterTime event_time; /* of the last event */
	const uint8_t *key; /* a document whose "_id" is the key */
	uint32_t key_length;
	const uint8_t *document;
	uint32_t document_length;
};

/* Places an iterator on a change's key. */
inline bool
change_key(const Change *change, bson_iter_t *key)
{
	bson_t document;

	return bson_init_static(&document, change->key, change->key_length) &&
		   bson_iter_init_find(key, &document, "_id");
}

/*
 * Applies a batch in a transaction of its own that ends with the stream's new position.  False, and nothing is done, if
 * the definition of a table changed meanwhile.
 */
bool apply_batch(Stream *stream, EventBatch *batch, const bson_t *token);

/*
 * Applies changes one by one where they fail together, in the transaction at hand.  What cannot be applied becomes a
 * misfit; if the table is to blame, it stops, or there is an error.
 */
void apply_carefully(Change *changes, int count, MemoryContext context, bool stop_tables);

/* The table is to blame: it stops, in the transaction at hand, and the others go on. */
void stop_table(MirrorTable *table, const ErrorData *error);

/*
 * A deferred constraint fails at the commit, when nobody knows any more who is to blame, and a deferred trigger would then
 * run as the worker's role: not in this transaction.
 */
void check_constraints_at_once();

/* ---- target.cpp: tables open for writing in the transaction at hand ---- */

struct Target;
struct Applier;
struct TidSet;

/* As whom a table is written: its owner, or the workers' role if that is a superuser. */
Oid table_writer(const MirrorTable *table);

/*
 * Opens and locks local tables that are written as one user, and becomes this user until they are closed.  "careful": rows are locked before they are written, because another session may be
 * at them.  AFTER triggers fire at applier_close().
 */
Applier *applier_open(MirrorTable *const *tables, int count, LOCKMODE lock, bool careful);
void applier_close(Applier *applier);
Target *applier_target(Applier *applier, const MirrorTable *table);

/* One document to its row, or to the misfits.  Tells where its row is now; null if it has none. */
ItemPointer target_upsert(Target *target, const bson_t *document, ClusterTime time);
bool target_remove(Target *target, const bson_iter_t *id);

/* Where the row of a document is; null if it has none. */
ItemPointer target_locate(Target *target, const bson_t *document);

/* Removes all rows but those in "keep"; all, if it is null.  The misfits are not touched. */
int64 target_remove_others(Target *target, TidSet *keep);
TidSet *tid_set_create();
void tid_set_add(TidSet *set, ItemPointer tid);
bool tid_set_has(const TidSet *set, ItemPointer tid);

/* Loads documents in bulk; only for a table that has no rows and no BEFORE triggers.  The load ends with a flush. */
bool target_is_empty(Target *target);
bool target_can_load(Target *target);
void target_load(Target *target, const bson_t *document, ClusterTime time);
void target_load_flush(Target *target);

/* Blue: a cursor that comes into being where its failure can be looked at. */
struct CursorHolder
{
	std::unique_ptr<Cursor> cursor;
};

/* 239, 246: the server no longer reads at that time, or the collection is younger than it. */
inline bool
is_past_lost(const Failure *failure)
{
	return failure->server_code == 239 || failure->server_code == 246;
}

/* ---- initial_sync.cpp ---- */

/*
 * Copies a table in a transaction of its own.  Whatever came of it stands in the catalogue: the stream is to be loaded
 * again.
 */
void initial_sync(Stream *stream, MirrorTable *table, Client *client);

/* Is it a document, a table or the server that an error tells of? */
enum class Blame
{
	document,
	table,
	server
};
Blame blame(const ErrorData *error);

} // namespace bridge

#endif
