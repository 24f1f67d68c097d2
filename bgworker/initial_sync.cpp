/*
 * initial_sync.cpp — the first copy of a table, and the later ones.
 *
 * A copy reads the collection at one cluster time, the *cut*: what happened up to it is in the copy, what happened later
 * comes by the stream, and nothing is between.  The rows and the cut are one transaction, so that readers see the whole
 * copy or none of it.
 *
 * An empty table is loaded in bulk.  A table that has rows (its collection was replaced, or the oplog no longer reaches
 * back to the stream's position) is brought level in place: rows that are right are not touched, others are updated, and
 * what the collection does not have is removed at the end.  Readers see the old state until then.
 *
 * A large collection is read first, in transactions of their own and by several processes, and then loaded from what was
 * read (copy_stage.h); the copy here is the second part, and reads from there instead of from the server.
 *
 * The server reads at a past time for some minutes only (minSnapshotHistoryWindowInSeconds).  Should a copy take longer,
 * it starts over and reads the present, document by document, with the cut at its beginning.  The stream then repeats
 * events that the copy has seen; the horizon makes sure that none of them brings back an older state (look_up.cpp).
 *
 * Local writers are kept out of the table meanwhile.  A document that fails on the way sends the copy back to its start,
 * to be done carefully: in portions, each in subtransactions.
 */
#include "copy_stage.h"
#include "event_batch.h"

namespace bridge
{
namespace
{

constexpr int portion_rows = 1000;
constexpr Size portion_bytes = 4 * 1024 * 1024;

/* Parameters of the progress view, beyond COPY's own. */
constexpr int progress_of_expected = 10; /* how many documents there are */
constexpr int progress_of_before = 11;	 /* how many were there when this run began */
constexpr int progress_of_start = 12;	 /* when that was, in milliseconds of the Unix epoch */
constexpr int progress_of_phase = 13;	 /* see PhaseOfCopy */

enum PhaseOfCopy
{
	copying,
	reading,
	loading
};

/* How a copy is made; it is tried from the first towards the last. */
struct Method
{
	bool in_the_past; /* at one cluster time */
	bool careful;
};

struct Copy
{
	Stream *stream;
	MirrorTable *table;
	Client *client;
	Stage *stage; /* null: from the server */
	Method method;
	MemoryContext context;
	CursorHolder *holder;
	Document *command;
	const char *what;
	ClusterTime cut;
	Applier *applier; /* null: careful, portion by portion */
	TidSet *seen;	  /* null: the table was empty */
	bool load;		  /* in bulk */
	int64 rows;
	int64 bytes_read;
	int64 expected; /* documents, by the collection's own count */
	uint64 generation; /* of the catalogue that says that the copy is wanted */

	/* Documents that wait for a careful portion. */
	MemoryContext portion;
	Change changes[portion_rows];
	int count;
	Size bytes;
};

enum class Outcome
{
	done,
	gone,	   /* the mirror was removed, or its definition changed */
	past_lost, /* the server cannot read at the cut */
	failed
};

void
build_command(Copy *copy)
{
	bson_t concern;

	copy->command = own<Document>(copy->context);
	BSON_APPEND_UTF8(copy->command->get(), "find", copy->table->collection);
	append_tenant_filter(copy->command->get(), "filter", copy->table->tenant_field,
						 copy->table->tenant);
	BSON_APPEND_BOOL(copy->command->get(), "noCursorTimeout", true);
	BSON_APPEND_DOCUMENT_BEGIN(copy->command->get(), "readConcern", &concern);
	BSON_APPEND_UTF8(&concern, "level", copy->method.in_the_past ? "snapshot" : "majority");
	BSON_APPEND_TIMESTAMP(&concern, copy->method.in_the_past ? "atClusterTime" : "afterClusterTime",
						  static_cast<uint32>(copy->cut >> 32), static_cast<uint32>(copy->cut));
	bson_append_document_end(copy->command->get(), &concern);
}

/* The next document, null at the end; false if the server cannot read at the cut.  "space" is for a document's head. */
bool
read_next(Copy *copy, bson_t *space, const bson_t **document)
{
	Failure failure;
	const bson_t *result = nullptr;

	if (copy->stage)
	{
		*document = stage_next(copy->stage, space);
		return true;
	}
	bool received = attempt(&failure, [&] {
		if (!copy->holder->cursor)
			copy->holder->cursor = std::make_unique<Cursor>(*copy->client, copy->table->database,
															copy->command->get(), copy->what);
		result = copy->holder->cursor->next();
	});

	if (!received && !(copy->method.in_the_past && is_past_lost(&failure)))
		raise_failure(&failure);
	*document = result;
	return received;
}

/* ---- one document ---- */

void
open_applier(Copy *copy)
{
	copy->applier = applier_open(&copy->table, 1, ShareRowExclusiveLock, copy->method.careful);
}

/* Where the portion's documents went: their rows are not to be removed at the end. */
void
mark_portion(Copy *copy)
{
	open_applier(copy);
	Target *target = applier_target(copy->applier, copy->table);

	for (int i = 0; i < copy->count; i++)
	{
		bson_t document;
		(void) bson_init_static(&document, copy->changes[i].document,
								copy->changes[i].document_length);
		if (ItemPointer where = target_locate(target, &document))
			tid_set_add(copy->seen, where);
	}
	applier_close(copy->applier);
	copy->applier = nullptr;
}

void
apply_portion(Copy *copy)
{
	apply_carefully(copy->changes, copy->count, copy->portion, false);
	if (copy->seen)
		mark_portion(copy);
	MemoryContextReset(copy->portion);
	copy->count = 0;
	copy->bytes = 0;
}

void
keep_for_portion(Copy *copy, const bson_t *document)
{
	auto *data = static_cast<uint8_t *>(MemoryContextAlloc(copy->portion, document->len));

	memcpy(data, bson_get_data(document), document->len);
	Change *change = &copy->changes[copy->count++];
	*change = {};
	change->table = copy->table;
	change->kind = ChangeKind::upsert;
	change->time = change->event_time = copy->cut;
	change->key = change->document = data;
	change->key_length = change->document_length = document->len;
	copy->bytes += document->len;
	if (copy->count == portion_rows || copy->bytes >= portion_bytes)
		apply_portion(copy);
}

void
take_document(Copy *copy, const bson_t *document)
{
	if (copy->method.careful)
		keep_for_portion(copy, document);
	else if (copy->load)
		target_load(applier_target(copy->applier, copy->table), document, copy->cut);
	else
	{
		Target *target = applier_target(copy->applier, copy->table);
		ItemPointer where = target_upsert(target, document, copy->cut);

		if (where && copy->seen)
			tid_set_add(copy->seen, where);
	}
	copy->rows++;
	copy->bytes_read += document->len;
}

/* From time to time: shows how far the copy is, and looks whether it is still wanted. */
bool
go_on(Copy *copy)
{
	uint64 generation;

	if (copy->rows % portion_rows != 0)
		return true;
	pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED, copy->rows);
	pgstat_progress_update_param(PROGRESS_COPY_BYTES_PROCESSED, copy->bytes_read);
	oplog_check(copy->stream, copy->client, position_time(copy->stream->position), false);
	generation = tenancy_api()->mirror_generation();
	if (generation == copy->generation)
		return true;
	copy->generation = generation;
	return table_is_mirrored(copy->table);
}

/* ---- the copy ---- */

/*
 * For the view only, and from the collection's metadata: it costs nothing, and may be wrong after a crash of MongoDB.  How
 * many are a tenant's is not to be had so cheaply: 0.
 */
int64
count_documents(const MirrorTable *table, Client *client)
{
	if (table->tenant_field)
		return 0;
	return guarded([&]() -> int64 {
		Document count;
		bson_iter_t n;

		BSON_APPEND_UTF8(count.get(), "count", table->collection);
		Document reply = client->command(table->database, count.get());
		return bson_iter_init_find(&n, reply.get(), "n") ? bson_iter_as_int64(&n) : 0;
	});
}

void
begin_progress(const MirrorTable *table, PhaseOfCopy phase, int64 expected, int64 before)
{
	constexpr int64 epoch_ms =
		static_cast<int64>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;

	pgstat_progress_start_command(PROGRESS_COMMAND_COPY, table->local);
	pgstat_progress_update_param(PROGRESS_COPY_COMMAND, PROGRESS_COPY_COMMAND_FROM);
	pgstat_progress_update_param(PROGRESS_COPY_TYPE, PROGRESS_COPY_TYPE_CALLBACK);
	pgstat_progress_update_param(progress_of_expected, expected);
	pgstat_progress_update_param(progress_of_before, before);
	pgstat_progress_update_param(progress_of_start, GetCurrentTimestamp() / 1000 + epoch_ms);
	pgstat_progress_update_param(progress_of_phase, phase);
}

/* The cut, and where documents come from. */
void
open_source(Copy *copy)
{
	copy->what = psprintf("collection \"%s.%s\"", copy->table->database, copy->table->collection);
	if (copy->stage)
	{
		copy->cut = copy->stage->cut;
		copy->expected = stage_progress(copy->stage).documents;
		return;
	}
	copy->cut = cluster_time_now(copy->client);
	copy->expected = count_documents(copy->table, copy->client);
	copy->holder = own<CursorHolder>(copy->context);
	build_command(copy);
}

/* Locks the table and decides how it is filled; false if its definition has changed. */
bool
begin(Copy *copy)
{
	copy->generation = tenancy_api()->mirror_generation();
	MemoryContextSwitchTo(copy->context);
	open_source(copy);

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(copy->context);
	begin_progress(copy->table, copy->stage ? loading : copying, copy->expected, 0);
	if (copy->stage)
	{
		stage_rewind(copy->stage);
		copy->method.in_the_past = copy->stage->in_the_past;
	}
	check_constraints_at_once();
	open_applier(copy);
	if (!copy->applier)
		return false;

	Target *target = applier_target(copy->applier, copy->table);
	if (!target_is_empty(target))
		copy->seen = tid_set_create();
	copy->load = !copy->seen && target_can_load(target);
	misfit_remove_all(copy->table);
	if (copy->method.careful)
	{
		applier_close(copy->applier);
		copy->applier = nullptr;
	}
	return true;
}

/* What is left in hand, and the rows of documents that are no more. */
void
finish_rows(Copy *copy)
{
	if (copy->method.careful)
	{
		apply_portion(copy);
		if (copy->seen)
			open_applier(copy);
	}
	if (copy->load && copy->applier)
		target_load_flush(applier_target(copy->applier, copy->table));
	if (copy->seen)
	{
		CommandCounterIncrement();
		(void) target_remove_others(applier_target(copy->applier, copy->table), copy->seen);
	}
	if (copy->applier)
		applier_close(copy->applier);
}

Outcome
run_copy(Copy *copy)
{
	const bson_t *document;
	bson_t space;
	ClusterTime end = 0;

	if (!begin(copy))
		return Outcome::gone;
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (!read_next(copy, &space, &document))
			return Outcome::past_lost;
		if (!document)
			break;
		if (!is_of_tenant(document, copy->table->tenant_field, copy->table->tenant))
			continue;
		take_document(copy, document);
		if (!go_on(copy))
			return Outcome::gone;
	}
	finish_rows(copy);
	if (!copy->method.in_the_past)
	{
		end = cluster_time_now(copy->client);
		stream_raise_horizon(copy->stream, end);
	}
	if (copy->stage)
		stage_remove(copy->stage);
	if (!table_note_copied(copy->stream, copy->table, copy->cut, copy->rows))
		return Outcome::gone;
	pgstat_progress_end_command();
	PopActiveSnapshot();
	CommitTransactionCommand();
	if (end != 0)
		look_up_forget(end);
	return Outcome::done;
}

/* One try in a transaction of its own; "error" tells of a document or table that is to blame. */
Outcome
try_copy(Copy *copy, MemoryContext context, ErrorData **error)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile Outcome outcome = Outcome::failed;

	PG_TRY();
	{
		outcome = run_copy(copy);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		*error = CopyErrorData();
		if (blame(*error) == Blame::server)
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();
	if (outcome != Outcome::done)
		AbortCurrentTransaction();
	MemoryContextSwitchTo(caller);
	return outcome;
}

void
log_copied(const Copy *copy, TimestampTz started)
{
	ereport(LOG,
			(errmsg("mirror copied %lld documents of %s into table %u in %.1f s",
					static_cast<long long>(copy->rows), copy->what, copy->table->local,
					TimestampDifferenceMilliseconds(started, GetCurrentTimestamp()) / 1000.0)));
}

/* Copies by one method after the other, until one succeeds or the table is to blame. */
void
try_methods(Stream *stream, MirrorTable *table, Client *client, Stage *stage, MemoryContext context)
{
	TimestampTz started = GetCurrentTimestamp();
	Method method = {true, false};
	Outcome outcome;

	do
	{
		ErrorData *error = nullptr;

		MemoryContextReset(context);
		Copy *copy = static_cast<Copy *>(MemoryContextAllocZero(context, sizeof(Copy)));
		copy->stream = stream;
		copy->table = table;
		copy->client = client;
		copy->stage = stage;
		copy->method = method;
		copy->context = AllocSetContextCreate(context, "copy", ALLOCSET_DEFAULT_SIZES);
		copy->portion = AllocSetContextCreate(context, "portion", ALLOCSET_DEFAULT_SIZES);

		outcome = try_copy(copy, context, &error);
		if (outcome == Outcome::done)
			log_copied(copy, started);
		else if (outcome == Outcome::past_lost)
			method.in_the_past = false;
		else if (outcome == Outcome::failed && (method.careful || blame(error) == Blame::table))
		{
			StartTransactionCommand();
			PushActiveSnapshot(GetTransactionSnapshot());
			if (stage)
				stage_remove(stage);
			stop_table(table, error);
			PopActiveSnapshot();
			CommitTransactionCommand();
			break;
		}
		else if (outcome == Outcome::failed)
			method.careful = true;
	} while (outcome == Outcome::past_lost || outcome == Outcome::failed);
}

} // namespace

void
initial_sync(Stream *stream, MirrorTable *table, Client *client)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context =
		AllocSetContextCreate(caller, "tenancy mirror copy", ALLOCSET_DEFAULT_SIZES);
	MemoryContext stage_context =
		AllocSetContextCreate(caller, "tenancy mirror stage", ALLOCSET_DEFAULT_SIZES);
	Stage *stage = stage_open(stream, table, client, stage_context);
	bool whole = true;

	if (stage)
	{
		begin_progress(table, reading, count_documents(table, client), stage_progress(stage).documents);
		whole = stage_fill(stage, stream, client);
		pgstat_progress_end_command();
	}
	if (whole)
		try_methods(stream, table, client, stage, context);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	MemoryContextDelete(stage_context);
}

} // namespace bridge
