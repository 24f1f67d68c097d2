/*
 * stream_filter.cpp — what of the deployment's changes a stream wants to hear.
 *
 * [{$match: {$or: [collections, renames onto them, dropped databases]}}, {$set: …}, {$unset: …}]
 *
 * The server compares each entry of its oplog with the filter, so that it must not grow with every collection: databases
 * whose mirrored collections have the same names, as those of tenants do, share a clause.
 *
 * The description of an update repeats the document's changes, and may carry an event over the limit of 16 MB: it stays
 * behind.  A stream with routes wants to know which fields were changed, and no more (mirror_route.cpp).
 */
#include "mirror.h"

namespace bridge
{
namespace
{

/* Databases whose collections of interest are the same. */
struct Clause
{
	List *databases;
	List *collections; /* sorted, as the databases are */
};

bool
same_strings(const List *a, const List *b)
{
	const ListCell *x;
	const ListCell *y;

	if (list_length(a) != list_length(b))
		return false;
	forboth (x, a, y, b)
		if (strcmp(static_cast<const char *>(lfirst(x)), static_cast<const char *>(lfirst(y))) != 0)
			return false;
	return true;
}

List *
add_database(List *clauses, const char *database, List *collections)
{
	ListCell *cell;

	foreach (cell, clauses)
	{
		Clause *clause = static_cast<Clause *>(lfirst(cell));
		if (same_strings(clause->collections, collections))
		{
			clause->databases = lappend(clause->databases, const_cast<char *>(database));
			return clauses;
		}
	}

	Clause *clause = static_cast<Clause *>(palloc(sizeof(Clause)));
	clause->databases = list_make1(const_cast<char *>(database));
	clause->collections = collections;
	return lappend(clauses, clause);
}

int
compare_tables(const void *a, const void *b)
{
	const MirrorTable *left = *static_cast<MirrorTable *const *>(a);
	const MirrorTable *right = *static_cast<MirrorTable *const *>(b);
	int result = strcmp(left->database, right->database);

	return result != 0 ? result : strcmp(left->collection, right->collection);
}

/* The sources by database and collection, in the current context. */
MirrorTable **
sorted_sources(const Stream *stream)
{
	Size size = sizeof(MirrorTable *) * Max(1, stream->source_count);
	auto **sources = static_cast<MirrorTable **>(palloc(size));

	memcpy(sources, stream->sources, sizeof(MirrorTable *) * stream->source_count);
	qsort(sources, stream->source_count, sizeof(MirrorTable *), compare_tables);
	return sources;
}

List *
find_clauses(const Stream *stream)
{
	MirrorTable **sources = sorted_sources(stream);
	List *clauses = NIL;

	for (int i = 0; i < stream->source_count;)
	{
		const char *database = sources[i]->database;
		List *collections = NIL;

		for (; i < stream->source_count && strcmp(sources[i]->database, database) == 0; i++)
			if (collections == NIL ||
				strcmp(static_cast<const char *>(llast(collections)), sources[i]->collection) != 0)
				collections = lappend(collections, const_cast<char *>(sources[i]->collection));
		clauses = add_database(clauses, database, collections);
	}
	return clauses;
}

void
append_in(bson_t *out, const char *field, const List *strings)
{
	bson_t inner, in;
	char buffer[16];
	const char *name;
	const ListCell *cell;
	int i = 0;

	BSON_APPEND_DOCUMENT_BEGIN(out, field, &inner);
	BSON_APPEND_ARRAY_BEGIN(&inner, "$in", &in);
	foreach (cell, strings)
	{
		size_t length = bson_uint32_to_string(i++, &name, buffer, sizeof(buffer));
		bson_append_utf8(&in, name, static_cast<int>(length),
						 static_cast<const char *>(lfirst(cell)), -1);
	}
	bson_append_array_end(&inner, &in);
	bson_append_document_end(out, &inner);
}

void
begin_numbered(bson_t *array, int number, bson_t *document)
{
	char buffer[16];
	const char *name;
	size_t length = bson_uint32_to_string(number, &name, buffer, sizeof(buffer));

	bson_append_document_begin(array, name, static_cast<int>(length), document);
}

/* {"ns.db": {$in: …}, "ns.coll": {$in: …}}, or of what a rename leads "to". */
void
append_clause(bson_t *clauses, int number, const Clause *clause, const char *prefix)
{
	bson_t document;

	begin_numbered(clauses, number, &document);
	append_in(&document, psprintf("%s.db", prefix), clause->databases);
	append_in(&document, psprintf("%s.coll", prefix), clause->collections);
	bson_append_document_end(clauses, &document);
}

void
append_match(bson_t *pipeline, List *clauses)
{
	bson_t stage, match, any, clause;
	List *databases = NIL;
	ListCell *cell;
	int number = 0;

	begin_numbered(pipeline, 0, &stage);
	BSON_APPEND_DOCUMENT_BEGIN(&stage, "$match", &match);
	BSON_APPEND_ARRAY_BEGIN(&match, "$or", &any);
	foreach (cell, clauses)
	{
		const Clause *these = static_cast<const Clause *>(lfirst(cell));

		append_clause(&any, number++, these, "ns");
		append_clause(&any, number++, these, "to");
		databases = list_concat(databases, these->databases);
	}
	begin_numbered(&any, number, &clause);
	BSON_APPEND_UTF8(&clause, "operationType", "dropDatabase");
	append_in(&clause, "ns.db", databases);
	bson_append_document_end(&any, &clause);
	bson_append_array_end(&match, &any);
	bson_append_document_end(&stage, &match);
	bson_append_document_end(pipeline, &stage);
}

/* {$set: {changedFields: the names of updated and removed fields}}. */
void
append_changed_fields(bson_t *pipeline, int number)
{
	static const char *const set_text =
		"{\"$set\": {\"changedFields\": {\"$concatArrays\": ["
		"{\"$map\": {\"input\": {\"$objectToArray\": "
		"{\"$ifNull\": [\"$updateDescription.updatedFields\", {\"$literal\": {}}]}}, "
		"\"in\": \"$$this.k\"}}, "
		"{\"$ifNull\": [\"$updateDescription.removedFields\", []]}]}}}";

	guarded([&] {
		Document stage = Document::parse(set_text);
		char buffer[16];
		const char *name;
		size_t length = bson_uint32_to_string(number, &name, buffer, sizeof(buffer));

		bson_append_document(pipeline, name, static_cast<int>(length), stage.get());
	});
}

/* {$unset: ["updateDescription"]}, without documents {$unset: ["updateDescription", "fullDocument"]}. */
void
append_unset(bson_t *pipeline, int number, bool slim)
{
	bson_t stage, fields;

	begin_numbered(pipeline, number, &stage);
	BSON_APPEND_ARRAY_BEGIN(&stage, "$unset", &fields);
	BSON_APPEND_UTF8(&fields, "0", "updateDescription");
	if (slim)
		BSON_APPEND_UTF8(&fields, "1", "fullDocument");
	bson_append_array_end(&stage, &fields);
	bson_append_document_end(pipeline, &stage);
}

} // namespace

Document *
stream_filter(const Stream *stream, bool slim, MemoryContext context)
{
	Document *pipeline = own<Document>(context);
	int number = 1;

	append_match(pipeline->get(), find_clauses(stream));
	if (stream->has_routes && !slim)
		append_changed_fields(pipeline->get(), number++);
	append_unset(pipeline->get(), number, slim);
	return pipeline;
}

char *
stream_filter_text(const Stream *stream)
{
	MirrorTable **sources = sorted_sources(stream);
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < stream->source_count; i++)
		if (i == 0 || compare_tables(&sources[i - 1], &sources[i]) != 0)
			appendStringInfo(&text, "%s.%s\n", sources[i]->database, sources[i]->collection);
	if (stream->has_routes)
		appendStringInfoString(&text, "changed fields\n");
	return text.data;
}

} // namespace bridge
