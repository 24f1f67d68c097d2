/*
 * copy_reader.cpp — ranges of a collection's _ids: how it is split, and read chunk by chunk.  See copy_stage.h.
 */
#include "copy_stage.h"

namespace bridge
{
namespace
{

constexpr Size chunk_bytes = 4 * 1024 * 1024;
constexpr int samples_of_range = 40;

/* A range that is being read, up to the next chunk. */
struct Reader
{
	Stage *stage;
	Client *client;
	MemoryContext context; /* of the range */
	MemoryContext cursor_context;
	CursorHolder *holder;
	Document *command;
	Range *range;
	StringInfoData chunk; /* a bytea */
	int64 count;
};

/* {_id: …} of a document, as a bytea. */
bytea *
id_document(const bson_t *document, MemoryContext context)
{
	bson_iter_t id;
	bson_t result;

	if (!bson_iter_init_find(&id, document, "_id"))
		return nullptr;
	bson_init(&result);
	bson_append_iter(&result, "_id", 3, &id);
	bytea *bytes = static_cast<bytea *>(MemoryContextAlloc(context, VARHDRSZ + result.len));
	SET_VARSIZE(bytes, VARHDRSZ + result.len);
	memcpy(VARDATA(bytes), bson_get_data(&result), result.len);
	bson_destroy(&result);
	return bytes;
}

bool
same_bytes(const bytea *a, const bytea *b)
{
	return a && b && VARSIZE(a) == VARSIZE(b) &&
		   memcmp(VARDATA(a), VARDATA(b), VARSIZE(a) - VARHDRSZ) == 0;
}

void
append_bytes(bson_t *command, const char *name, const bytea *bytes)
{
	bson_t document;

	if (bytes && bson_init_static(&document, reinterpret_cast<const uint8_t *>(VARDATA(bytes)),
								  VARSIZE(bytes) - VARHDRSZ))
		bson_append_document(command, name, -1, &document);
}

void
append_id_order(bson_t *command, const char *name)
{
	bson_t order;

	bson_append_document_begin(command, name, -1, &order);
	BSON_APPEND_INT32(&order, "_id", 1);
	bson_append_document_end(command, &order);
}

/* {field: tenant}, and behind the last that was read: {$and: [{field: tenant}, {$expr: {$gt: ["$_id", {$literal: last}]}}]}. */
void
append_rest_of_tenant(bson_t *command, const Stage *stage, const bytea *last)
{
	bson_t filter, all, part, expression, operands, literal, document;
	bson_iter_t id;

	if (!last ||
		!bson_init_static(&document, reinterpret_cast<const uint8_t *>(VARDATA(last)),
						  VARSIZE(last) - VARHDRSZ) ||
		!bson_iter_init_find(&id, &document, "_id"))
	{
		append_tenant_filter(command, "filter", stage->tenant_field, stage->tenant);
		return;
	}
	BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &filter);
	BSON_APPEND_ARRAY_BEGIN(&filter, "$and", &all);
	append_tenant_filter(&all, "0", stage->tenant_field, stage->tenant);
	BSON_APPEND_DOCUMENT_BEGIN(&all, "1", &part);
	BSON_APPEND_DOCUMENT_BEGIN(&part, "$expr", &expression);
	BSON_APPEND_ARRAY_BEGIN(&expression, "$gt", &operands);
	BSON_APPEND_UTF8(&operands, "0", "$_id");
	BSON_APPEND_DOCUMENT_BEGIN(&operands, "1", &literal);
	bson_append_iter(&literal, "$literal", -1, &id);
	bson_append_document_end(&operands, &literal);
	bson_append_array_end(&expression, &operands);
	bson_append_document_end(&part, &expression);
	bson_append_document_end(&all, &part);
	bson_append_array_end(&filter, &all);
	bson_append_document_end(command, &filter);
}

/* A plain comparison would leave out _ids of another type than the bound's; min, max and $expr do not. */
void
append_bounds(bson_t *command, const Stage *stage, const Range *range)
{
	append_id_order(command, "sort");
	if (stage->tenant_field)
	{
		append_rest_of_tenant(command, stage, range->last);
		BSON_APPEND_BOOL(command, "allowDiskUse", true);
		return;
	}
	append_id_order(command, "hint");
	append_bytes(command, "min", range->last ? range->last : range->lower);
	append_bytes(command, "max", range->upper);
}

void
build_command(Reader *reader)
{
	const Stage *stage = reader->stage;
	bson_t concern;

	reader->command = own<Document>(reader->cursor_context);
	bson_t *command = reader->command->get();
	BSON_APPEND_UTF8(command, "find", stage->collection);
	append_bounds(command, stage, reader->range);
	BSON_APPEND_BOOL(command, "noCursorTimeout", true);
	BSON_APPEND_DOCUMENT_BEGIN(command, "readConcern", &concern);
	BSON_APPEND_UTF8(&concern, "level", stage->in_the_past ? "snapshot" : "majority");
	BSON_APPEND_TIMESTAMP(&concern, stage->in_the_past ? "atClusterTime" : "afterClusterTime",
						  static_cast<uint32>(stage->cut >> 32), static_cast<uint32>(stage->cut));
	bson_append_document_end(command, &concern);
}

void
open_cursor(Reader *reader)
{
	MemoryContextReset(reader->cursor_context);
	reader->holder = own<CursorHolder>(reader->cursor_context);
	build_command(reader);
}

void
empty_chunk(Reader *reader)
{
	resetStringInfo(&reader->chunk);
	reader->chunk.len = VARHDRSZ;
	reader->count = 0;
}

/* What was read and not kept is read again: the cursor goes back to the end of the last chunk. */
void
leave_the_past(Reader *reader)
{
	stage_leave_the_past(reader->stage);
	empty_chunk(reader);
	open_cursor(reader);
}

/* The next document; null at the end. */
const bson_t *
read_next(Reader *reader)
{
	for (;;)
	{
		Failure failure;
		const bson_t *document = nullptr;
		bool received = attempt(&failure,
								[&]
								{
									if (!reader->holder->cursor)
										reader->holder->cursor = std::make_unique<Cursor>(
											*reader->client, reader->stage->database,
											reader->command->get(), reader->stage->what);
									document = reader->holder->cursor->next();
								});

		if (received)
			return document;
		if (!reader->stage->in_the_past || !is_past_lost(&failure))
			raise_failure(&failure);
		leave_the_past(reader);
	}
}

/* The lower bound belongs to its range, the last document read does not any more. */
bool
was_read(const Reader *reader, const bson_t *document)
{
	return reader->range->last && reader->count == 0 &&
		   same_bytes(id_document(document, reader->cursor_context), reader->range->last);
}

bool
flush(Reader *reader, bytea *last, bool done)
{
	bytea *documents = reinterpret_cast<bytea *>(reader->chunk.data);

	SET_VARSIZE(documents, reader->chunk.len);
	bool ours = stage_add_chunk(reader->stage, reader->range, documents, reader->count, last, done);
	if (last)
		reader->range->last = last;
	empty_chunk(reader);
	return ours;
}

/* One range to its end; false if the catalogue changed meanwhile. */
bool
read_range(Reader *reader, uint64 generation, void (*report)(Stage *stage, void *argument),
		   void *argument)
{
	bytea *last = nullptr;

	open_cursor(reader);
	while (const bson_t *document = read_next(reader))
	{
		CHECK_FOR_INTERRUPTS();
		if (was_read(reader, document))
			continue;
		appendBinaryStringInfo(&reader->chunk,
							   reinterpret_cast<const char *>(bson_get_data(document)),
							   static_cast<int>(document->len));
		reader->count++;
		if (reader->chunk.len < static_cast<int>(chunk_bytes))
			continue;
		last = id_document(document, reader->context);
		if (!flush(reader, last, false))
			return false;
		report(reader->stage, argument);
		worker_poll();
		if (tenancy_api()->mirror_generation() != generation)
			return false;
	}
	report(reader->stage, argument);
	return flush(reader, nullptr, true);
}

} // namespace

bool
read_ranges(Stage *stage, Client *client, void (*report)(Stage *stage, void *argument),
			void *argument)
{
	const uint64 generation = tenancy_api()->mirror_generation();
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "range", ALLOCSET_DEFAULT_SIZES);
	bool whole = true;

	while (Range *range = whole ? stage_take_range(stage, context) : nullptr)
	{
		MemoryContextSwitchTo(context);
		Reader reader = {};
		reader.stage = stage;
		reader.client = client;
		reader.context = context;
		reader.cursor_context = AllocSetContextCreate(context, "cursor", ALLOCSET_DEFAULT_SIZES);
		reader.range = range;
		initStringInfo(&reader.chunk);
		enlargeStringInfo(&reader.chunk, chunk_bytes);
		empty_chunk(&reader);
		whole = read_range(&reader, generation, report, argument);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
	return whole;
}

/* ---- how a collection is split ---- */

/* In bytes, uncompressed; 0 if the server does not tell. */
int64
collection_size(Client *client, const MirrorTable *table)
{
	Failure failure;
	int64 size = 0;

	(void) attempt(&failure,
				   [&]
				   {
					   Document command;
					   bson_iter_t field;

					   BSON_APPEND_UTF8(command.get(), "collStats", table->collection);
					   Document reply = client->command(table->database, command.get());
					   if (bson_iter_init_find(&field, reply.get(), "size"))
						   size = bson_iter_as_int64(&field);
				   });
	return size;
}

/* [{$sample}, {$project: {_id: 1}}, {$sort: {_id: 1}}] */
static Document *
sample_command(const MirrorTable *table, int samples, MemoryContext context)
{
	Document *command = own<Document>(context);
	bson_t pipeline, stage, inner;
	const char *const stages[] = {"$sample", "$project", "$sort"};
	const char *const fields[] = {"size", "_id", "_id"};

	BSON_APPEND_UTF8(command->get(), "aggregate", table->collection);
	BSON_APPEND_ARRAY_BEGIN(command->get(), "pipeline", &pipeline);
	for (int i = 0; i < 3; i++)
	{
		BSON_APPEND_DOCUMENT_BEGIN(&pipeline, psprintf("%d", i), &stage);
		BSON_APPEND_DOCUMENT_BEGIN(&stage, stages[i], &inner);
		BSON_APPEND_INT32(&inner, fields[i], i == 0 ? samples : 1);
		bson_append_document_end(&stage, &inner);
		bson_append_document_end(&pipeline, &stage);
	}
	bson_append_array_end(command->get(), &pipeline);
	BSON_APPEND_DOCUMENT_BEGIN(command->get(), "cursor", &inner);
	bson_append_document_end(command->get(), &inner);
	return command;
}

/*
 * Quantiles of a sample of _ids, in the server's order.  An _id that comes twice makes no range: the bounds of a range are
 * different.
 */
Bounds
find_bounds(Client *client, const MirrorTable *table, int ranges)
{
	const int samples = ranges * samples_of_range;
	Bounds bounds = {0, nullptr};

	if (ranges <= 1)
		return bounds;
	bounds.keys = static_cast<bytea **>(palloc(sizeof(bytea *) * ranges));

	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "sample", ALLOCSET_SMALL_SIZES);
	CursorHolder *holder = own<CursorHolder>(context);
	Document *command = sample_command(table, samples, context);
	int number = 0;

	for (;;)
	{
		const bson_t *document = guarded(
			[&]
			{
				if (!holder->cursor)
					holder->cursor = std::make_unique<Cursor>(*client, table->database,
															  command->get(), table->collection);
				return holder->cursor->next();
			});

		if (!document)
			break;
		if (++number % samples_of_range != 0 || bounds.count == ranges - 1)
			continue;
		bytea *key = id_document(document, CurrentMemoryContext);
		if (key && (bounds.count == 0 || !same_bytes(key, bounds.keys[bounds.count - 1])))
			bounds.keys[bounds.count++] = key;
	}
	MemoryContextDelete(context);
	return bounds;
}

} // namespace bridge
