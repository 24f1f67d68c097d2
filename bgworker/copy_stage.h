/*
 * copy_stage.h — copies of large collections, which go on where they were when everything is killed.
 *
 * A large collection is not copied in one go.  First it is *read*, range by range of its _ids, and what was read is kept,
 * as it came, in tenancy_mongo.initial_sync_chunk: each chunk is a transaction that also says which _id was its last.  Then
 * the chunks are *loaded* into the table in one transaction (initial_sync.cpp), from which they are gone.  Readers of the
 * table see all of it or nothing, and whatever dies meanwhile, nothing that was read and committed is read again.
 *
 * The *cut* is kept with the copy, so that a resumed one still stands for the time at which it began.  A range is read in
 * the order of the _id index between two bounds of it (min, max), which leaves out no type of _id.  What of a collection is
 * one tenant's is one range, which the server may read by an index of its own on the tenant.  As long as the server can,
 * it is read at the cut; later, or after a restart of the server, at the present: then the stream repeats what the copy
 * has seen, and the horizon makes sure that nothing goes back (look_up.cpp).
 *
 * Several processes read at a time: the apply worker, and copy workers that it starts.  Each takes a range that nobody
 * reads.  A range is moved forward by compare-and-swap on the number of its chunks, so that a process that was thought dead
 * writes nothing twice; what it leaves, the apply worker reads itself.
 *
 *   copy_stage.cpp   the catalogue of copies, and reading the chunks back
 *   copy_reader.cpp  ranges: how a collection is split, and read
 *   copy_worker.cpp  the processes that share the reading
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_COPY_STAGE_H
#define PG_TENANCY_COPY_STAGE_H

#include "statement.h"

namespace bridge
{

extern int mirror_copy_workers;		   /* tenancy_mongo.mirror_copy_workers */
extern int mirror_resumable_copy_from; /* tenancy_mongo.mirror_resumable_copy_from, in MB */

/* A copy that is being read. */
struct Stage
{
	MemoryContext context;
	Oid local;
	Oid server;
	const char *database;
	const char *collection;
	const char *what; /* for messages */
	const char *tenant_field; /* by which a tenant's documents are told; null: all are copied */
	const char *tenant;
	ClusterTime cut;
	bool in_the_past;

	/* Reading back. */
	int range;
	int chunk;
	MemoryContext chunk_context;
	const uint8_t *next;
	const uint8_t *end;
};

struct Range
{
	int number;
	bytea *lower; /* documents whose "_id" is the bound; null: none */
	bytea *upper;
	bytea *last; /* what has been read; null: nothing */
	int chunks;
};

struct Progress
{
	int64 documents;
	int64 bytes;
};

/* ---- copy_stage.cpp ---- */

/* The copy of a table that goes on, or begins; null if the collection is small and copied in one go.  In no transaction. */
Stage *stage_open(Stream *stream, const MirrorTable *table, Client *client, MemoryContext context);

/* The same in another process: null if there is none. */
Stage *stage_attach(Oid local, Oid server, MemoryContext context);

/* Takes a range that nobody reads; null: there is none.  Forgetting who reads makes them free.  In no transaction. */
Range *stage_take_range(Stage *stage, MemoryContext context);
void stage_free_ranges(const Stage *stage);
Progress stage_progress(const Stage *stage);

/*
 * One transaction each: some documents behind the last ones, false if the range is gone or somebody else has moved it; and that
 * the server no longer reads at the cut.
 */
bool stage_add_chunk(const Stage *stage, Range *range, bytea *documents, int64 count, bytea *last,
					 bool done);
void stage_leave_the_past(Stage *stage);

/* In the transaction that loads: the documents, one after the other, and again from the first. */
void stage_rewind(Stage *stage);
const bson_t *stage_next(Stage *stage, bson_t *space);
void stage_remove(const Stage *stage);

/* ---- copy_reader.cpp ---- */

struct Bounds
{
	int count;
	bytea **keys; /* between the ranges */
};
int64 collection_size(Client *client, const MirrorTable *table);
Bounds find_bounds(Client *client, const MirrorTable *table, int ranges);

/* Reads ranges until none is free; false if the catalogue changed meanwhile, and the copy with it.  "report" is told after each chunk. */
bool read_ranges(Stage *stage, Client *client, void (*report)(Stage *stage, void *argument),
				 void *argument);

/* ---- copy_worker.cpp ---- */

/* Reads all that has not been read; false if the catalogue changed meanwhile. */
bool stage_fill(Stage *stage, Stream *stream, Client *client);

} // namespace bridge

#endif
