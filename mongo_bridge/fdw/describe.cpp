/*
 * describe.cpp — reading what collections there are and what they look like, and describe_collection(), which shows it.
 *
 * MongoDB has no schema, so a column's type is a guess: the validator names the types that new documents may have, and a
 * sample those that stored ones do have.  The column takes the narrowest type that holds both; where nothing but jsonb
 * does, it is jsonb.  A document that was not in the sample may still not fit, which is an error when it is read and never
 * a wrong value.
 *
 * Field names are anybody's text.  A name that a path cannot hold is left out and said so; one that SQL would cut or that
 * would meet another one gets a suffix.
 */
#include <string>
#include <vector>

#include "../bson/shape.h"
#include "../client/cursor.h"
#include "bson_datum.h"
#include "connection.h"
#include "describe.h"
#include "expression.h"
#include "fdw.h"
#include "option.h"
#include "tenant.h"

namespace bridge
{

/* Columns that nobody would name in a query cost each scan their time; a table can have no more than 1,600. */
static constexpr int max_columns = 1000;

/*
 * Reading
 */

Client *
living_client(Oid server, Oid user)
{
	bool kept;
	Client *client = connection_get(server, user, &kept);
	Failure failure;

	if (!kept)
		return client;

	bson_t *command = new_document();
	BSON_APPEND_INT32(command, "ping", 1);
	pgstat_report_wait_start(PG_WAIT_EXTENSION);
	bool lives = attempt(&failure, [&] { client->command("admin", command, true); });
	pgstat_report_wait_end();
	if (lives)
		return client;
	CHECK_FOR_INTERRUPTS();
	return connection_get(server, user);
}

/* All documents of a cursor to "sink", which is blue. */
template <class Sink>
static void
read_all(Client *client, const char *database, const bson_t *command, const char *what, Sink &&sink)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "tenancy_mongo cursor", ALLOCSET_SMALL_SIZES);
	CursorHome *home = own<CursorHome>(context);

	pgstat_report_wait_start(PG_WAIT_EXTENSION);
	guarded(
		[&]
		{
			home->cursor.emplace(*client, database, command, what);
			while (const bson_t *document = home->cursor->next())
				sink(document);
		});
	pgstat_report_wait_end();
	MemoryContextDelete(context);
	CHECK_FOR_INTERRUPTS();
}

/* Documents one after the other, to be read by red code. */
struct Replies
{
	std::vector<Document> documents;
};

static char *
copy_text(bson_iter_t *field)
{
	uint32_t length;
	const char *text = bson_iter_utf8(field, &length);

	return pnstrdup(text, length);
}

static bool
text_is(const bson_t *document, const char *path, const char *wanted)
{
	bson_iter_t field;
	bson_iter_t found;

	return bson_iter_init(&field, document) && bson_iter_find_descendant(&field, path, &found) &&
		   BSON_ITER_HOLDS_UTF8(&found) && strcmp(bson_iter_utf8(&found, nullptr), wanted) == 0;
}

static bool
has_text(const bson_t *document, const char *path)
{
	bson_iter_t field;
	bson_iter_t found;

	return bson_iter_init(&field, document) && bson_iter_find_descendant(&field, path, &found) &&
		   BSON_ITER_HOLDS_UTF8(&found);
}

static Collection *
read_collection(const bson_t *document)
{
	auto *collection = static_cast<Collection *>(palloc0(sizeof(Collection)));
	bson_iter_t field;
	bson_iter_t found;

	if (!bson_iter_init_find(&field, document, "name") || !BSON_ITER_HOLDS_UTF8(&field))
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
						errmsg("MongoDB's list of collections is malformed")));
	collection->name = copy_text(&field);
	collection->plain = !has_text(document, "type") || text_is(document, "type", "collection");
	collection->validated = (!has_text(document, "options.validationLevel") ||
							 text_is(document, "options.validationLevel", "strict")) &&
							(!has_text(document, "options.validationAction") ||
							 text_is(document, "options.validationAction", "error"));
	if (bson_iter_init(&field, document) &&
		bson_iter_find_descendant(&field, "options.validator", &found) &&
		BSON_ITER_HOLDS_DOCUMENT(&found))
	{
		const uint8_t *bytes;
		bson_iter_document(&found, &collection->validator_length, &bytes);
		collection->validator = static_cast<uint8_t *>(
			memcpy(palloc(collection->validator_length), bytes, collection->validator_length));
	}
	return collection;
}

static int
compare_collections(const ListCell *a, const ListCell *b)
{
	return strcmp(static_cast<Collection *>(lfirst(a))->name,
				  static_cast<Collection *>(lfirst(b))->name);
}

List *
list_collections(Client *client, const char *database, const char *only)
{
	bson_t *command = new_document();
	bson_t *filter = new_document();
	Replies *replies = own<Replies>(CurrentMemoryContext);
	List *result = NIL;

	BSON_APPEND_INT32(command, "listCollections", 1);
	if (only != nullptr)
		BSON_APPEND_UTF8(filter, "name", only);
	BSON_APPEND_DOCUMENT(command, "filter", filter);
	read_all(client, database, command, psprintf("the collections of database \"%s\"", database),
			 [&](const bson_t *document) { replies->documents.emplace_back(document); });

	int count = static_cast<int>(replies->documents.size());
	for (int i = 0; i < count; i++)
		result = lappend(result, read_collection(replies->documents[i].get()));
	list_sort(result, compare_collections);
	return result;
}

static const bson_t *
sample_command(const char *collection, const DescribeOptions *options)
{
	bson_t *command = new_document();
	bson_t *size = new_document();
	bson_t *order = new_document();
	Items stages = new_items();

	if (options->tenant != nullptr)
	{
		bson_t *filter = new_document();
		Operand tenant = {CSTRINGOID, CStringGetDatum(options->tenant), false, nullptr};
		put_tenant(filter, options->tenant_field, &tenant);
		add_stage(&stages, "$match", filter);
	}
	BSON_APPEND_INT32(size, "size", options->sample_size);
	add_stage(&stages, "$sample", size);
	/* A sample comes in any order; columns should not. */
	BSON_APPEND_INT32(order, "_id", 1);
	add_stage(&stages, "$sort", order);
	put_aggregate(command, collection, &stages);
	return command;
}

Shape *
collection_shape(Client *client, const char *database, const Collection *collection,
				 const DescribeOptions *options)
{
	Shape *shape = own<Shape>(CurrentMemoryContext, options->flatten);

	if (collection->validator != nullptr)
		guarded(
			[&]
			{
				bson_t validator;
				if (bson_init_static(&validator, collection->validator, collection->validator_length))
					shape->add_validator(&validator);
			});
	if (options->sample_size > 0)
		read_all(client, database, sample_command(collection->name, options),
				 psprintf("collection \"%s.%s\"", database, collection->name),
				 [&](const bson_t *document) { shape->add(document); });
	return shape;
}

/*
 * Names
 */

const char *
plain_name(const char *original, bool fold)
{
	char *name = pnstrdup(original, pg_mbcliplen(original, static_cast<int>(strlen(original)),
												 NAMEDATALEN - 1));

	if (fold)
		for (char *c = name; *c != '\0'; c++)
			*c = pg_ascii_tolower(static_cast<unsigned char>(*c));
	return name;
}

bool
name_is_cut(const char *original)
{
	return strlen(original) >= NAMEDATALEN;
}

const char *
distinct_name(const char *original, const char *seed, bool fold)
{
	static constexpr int suffix = 9; /* an underscore and 32 bits */
	const char *name = plain_name(original, fold);
	int length = pg_mbcliplen(name, static_cast<int>(strlen(name)), NAMEDATALEN - 1 - suffix);
	uint32 hash = DatumGetUInt32(
		hash_any(reinterpret_cast<const unsigned char *>(seed), static_cast<int>(strlen(seed))));

	return psprintf("%.*s_%08x", length, name, hash);
}

/* "a.b" for the path of a field of an embedded document, "a_b" for its column. */
static const char *
joined_name(const Shape *shape, int field, char separator)
{
	const char *name = shape->name(field);

	for (int i = shape->parent(field); i >= 0; i = shape->parent(i))
		name = psprintf("%s%c%s", shape->name(i), separator, name);
	return name;
}

/* A name that is no text at all can still be told. */
static const char *
readable(const char *name)
{
	if (bson_utf8_validate(name, strlen(name), false))
		return name;

	char *result = pstrdup(name);
	for (char *c = result; *c != '\0'; c++)
		if (static_cast<unsigned char>(*c) >= 0x80)
			*c = '?';
	return result;
}

/*
 * Of several columns that want one name the field of the top level that is spelt just so has it, whatever the order in
 * which they were seen; the others get suffixes.
 */
static void
name_columns(const Shape *shape, List *columns, const DescribeOptions *options)
{
	const char **wanted = static_cast<const char **>(
		palloc0(sizeof(char *) * static_cast<size_t>(Max(list_length(columns), 1))));
	ListCell *cell;

	foreach (cell, columns)
	{
		auto *column = static_cast<DescribedColumn *>(lfirst(cell));
		if (column->type != nullptr)
			wanted[foreach_current_index(cell)] =
				plain_name(joined_name(shape, column->field, '_'), options->fold);
	}
	foreach (cell, columns)
	{
		auto *column = static_cast<DescribedColumn *>(lfirst(cell));
		const char *name = wanted[foreach_current_index(cell)];
		if (name == nullptr)
			continue;

		const char *original = joined_name(shape, column->field, '_');
		bool reserved = SystemAttributeByName(name) != nullptr ||
						(options->document != nullptr && strcmp(name, options->document) == 0) ||
						(options->rest != nullptr && strcmp(name, options->rest) == 0);
		bool shared = false;
		for (int i = 0; i < list_length(columns); i++)
			shared = shared || (i != foreach_current_index(cell) && wanted[i] != nullptr &&
								strcmp(wanted[i], name) == 0);
		if (strcmp(column->path, name) == 0)
			shared = false;
		column->name = reserved || shared || name_is_cut(original)
						   ? distinct_name(original, column->path, options->fold)
						   : name;
	}
}

/*
 * Columns
 */

char *
seen_types_text(const Shape *shape, int field)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < seen_types; i++)
	{
		auto type = static_cast<Seen>(i);
		if (shape->seen(field, type) > 0)
			appendStringInfo(&text, "%s%s (" UINT64_FORMAT ")", text.len > 0 ? ", " : "",
							 seen_name(type), shape->seen(field, type));
	}
	return text.data;
}

static const char *
kind_type(ColumnKind kind)
{
	switch (kind)
	{
		case ColumnKind::text:
		case ColumnKind::object_id:
			return "pg_catalog.text";
		case ColumnKind::integer:
			return "pg_catalog.int4";
		case ColumnKind::bigint:
			return "pg_catalog.int8";
		case ColumnKind::real:
			return "pg_catalog.float8";
		case ColumnKind::numeric:
			return "pg_catalog.numeric";
		case ColumnKind::boolean:
			return "pg_catalog.bool";
		case ColumnKind::timestamp:
			return "pg_catalog.timestamptz";
		case ColumnKind::uuid:
			return "pg_catalog.uuid";
		case ColumnKind::bytea:
			return "pg_catalog.bytea";
		case ColumnKind::jsonb:
			break;
	}
	return "pg_catalog.jsonb";
}

/* Whether a field is shown by columns for the fields in it. */
static bool
is_flattened(const Shape *shape, int field, const DescribeOptions *options)
{
	uint32 types = shape->types_of(field) & ~seen_bit(Seen::null);
	int level = 0;

	for (int i = shape->parent(field); i >= 0; i = shape->parent(i))
		level++;
	if (level >= options->flatten || types != seen_bit(Seen::object))
		return false;
	for (int i = field + 1; i < shape->count(); i++)
		if (shape->parent(i) == field)
			return true;
	return false;
}

static bool
has_column(const Shape *shape, int field, const DescribeOptions *options)
{
	for (int i = shape->parent(field); i >= 0; i = shape->parent(i))
		if (!is_flattened(shape, i, options))
			return false;
	return !is_flattened(shape, field, options);
}

static bool
path_is_possible(const Shape *shape, int field)
{
	for (int i = field; i >= 0; i = shape->parent(i))
		if (!name_fits_path(shape->name(i)))
			return false;
	return true;
}

static const char *
type_remark(const Shape *shape, int field, ColumnKind kind)
{
	uint32 types = shape->types_of(field) & ~seen_bit(Seen::null);

	if (types == 0)
		return "no value was seen";
	if (kind == ColumnKind::jsonb &&
		(types & ~(seen_bit(Seen::object) | seen_bit(Seen::array))) != 0)
		return "values of several types, or of one that SQL lacks";
	if (kind == ColumnKind::text && (types & seen_bit(Seen::object_id)) != 0)
		return "strings and ObjectIds";
	return nullptr;
}

static DescribedColumn *
describe_field(const Shape *shape, int field)
{
	auto *column = static_cast<DescribedColumn *>(palloc0(sizeof(DescribedColumn)));
	ColumnKind kind = column_kind(shape->types_of(field));
	bool is_id = shape->parent(field) < 0 && strcmp(shape->name(field), "_id") == 0;

	column->field = field;
	column->path = joined_name(shape, field, '.');
	if (!path_is_possible(shape, field))
	{
		column->path = readable(column->path);
		column->remark = "a path cannot hold its name";
		return column;
	}
	column->remark = type_remark(shape, field, kind);
	column->object_id = kind == ColumnKind::object_id;
	column->type = kind_type(kind);
	/* What drivers make where nobody gives one. */
	if (is_id && (shape->types_of(field) & ~seen_bit(Seen::null)) == 0)
	{
		column->object_id = true;
		column->type = kind_type(ColumnKind::object_id);
	}
	return column;
}

/* The least number of documents that a field must be in, so that there are not too many columns. */
static uint64
presence_floor(const Shape *shape, List *fields)
{
	int count = list_length(fields);
	uint64 floor = 0;

	while (count > max_columns)
	{
		ListCell *cell;
		floor++;
		count = 0;
		foreach (cell, fields)
			count += shape->present(lfirst_int(cell)) >= floor;
	}
	return floor;
}

static List *
column_fields(const Shape *shape, const DescribeOptions *options)
{
	List *fields = NIL;

	for (int i = 0; i < shape->count(); i++)
		if (has_column(shape, i, options))
		{
			bool is_id = shape->parent(i) < 0 && strcmp(shape->name(i), "_id") == 0;
			fields = is_id ? lcons_int(i, fields) : lappend_int(fields, i);
		}
	return fields;
}

/*
 * NOT NULL
 *
 * A validator binds what is written from now on and not what is stored, so the stored documents are looked at as well:
 * all of them, in one pass.
 */
static void
mark_not_null(Client *client, const char *database, const Collection *collection,
			  const Shape *shape, List *columns)
{
	bson_t *command = new_document();
	bson_t *group = new_document();
	Items stages = new_items();
	Replies *replies = own<Replies>(CurrentMemoryContext);
	List *asked = NIL;
	ListCell *cell;

	BSON_APPEND_NULL(group, "_id");
	foreach (cell, columns)
	{
		auto *column = static_cast<DescribedColumn *>(lfirst(cell));
		if (column->name == nullptr || shape->parent(column->field) >= 0 ||
			!shape->required(column->field))
			continue;
		/* Missing and null are what is not greater than null. */
		put_unary(group, psprintf("c%d", list_length(asked)), "$max",
				  [&](bson_t *max, const char *op)
				  {
					  put_list(max, op, "$lte",
							   [&](bson_t *pair)
							   {
								   put_field(pair, "0", column->path);
								   BSON_APPEND_NULL(pair, "1");
							   });
				  });
		asked = lappend(asked, column);
	}
	if (asked == NIL)
		return;

	add_stage(&stages, "$group", group);
	put_aggregate(command, collection->name, &stages);
	read_all(client, database, command, psprintf("collection \"%s.%s\"", database, collection->name),
			 [&](const bson_t *document) { replies->documents.emplace_back(document); });
	foreach (cell, asked)
	{
		auto *column = static_cast<DescribedColumn *>(lfirst(cell));
		bson_iter_t field;
		column->not_null =
			replies->documents.empty() ||
			(bson_iter_init_find(&field, replies->documents[0].get(),
								 psprintf("c%d", foreach_current_index(cell))) &&
			 BSON_ITER_HOLDS_BOOL(&field) && !bson_iter_bool(&field));
		if (!column->not_null)
			column->remark = "the validator requires it, but stored documents lack it";
	}
}

List *
describe_columns(Client *client, const char *database, const Collection *collection,
				 const Shape *shape, const DescribeOptions *options)
{
	List *fields = column_fields(shape, options);
	uint64 floor = presence_floor(shape, fields);
	List *columns = NIL;
	ListCell *cell;

	foreach (cell, fields)
	{
		DescribedColumn *column = describe_field(shape, lfirst_int(cell));
		columns = lappend(columns, column);
		if (column->type != nullptr && shape->present(column->field) < floor)
		{
			column->type = nullptr;
			column->remark = "there are too many fields, and it is in few documents";
		}
	}
	name_columns(shape, columns, options);
	if (options->not_null && collection->plain && collection->validated)
		mark_not_null(client, database, collection, shape, columns);
	return columns;
}

} // namespace bridge

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_mongo_describe_collection);

PGDLLEXPORT Datum
tenancy_mongo_describe_collection(PG_FUNCTION_ARGS)
{
	using namespace bridge;
	enum
	{
		path,
		bson_types,
		documents,
		required,
		column_name,
		column_type,
		remark,
		count
	};
	auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
	ForeignServer *server = usable_server(NameStr(*PG_GETARG_NAME(0)));
	const char *database = route_database(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	const char *name = text_to_cstring(PG_GETARG_TEXT_PP(2));
	DescribeOptions options;

	options.sample_size = PG_GETARG_INT32(3);
	options.flatten = PG_GETARG_INT32(4);
	if (options.sample_size < 0 || options.sample_size > 1000000 || options.flatten < 0 ||
		options.flatten > 100)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid sample size or number of levels"),
						errdetail("A sample has 0 to 1000000 documents, a document 0 to 100 levels.")));

	InitMaterializedSRF(fcinfo, 0);
	Client *client = living_client(server->serverid, GetUserId());
	List *found = list_collections(client, database, name);
	if (found == NIL)
		ereport(ERROR, (errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
						errmsg("collection \"%s.%s\" does not exist", database, name)));

	auto *collection = static_cast<Collection *>(linitial(found));
	Shape *shape = collection_shape(client, database, collection, &options);
	options.not_null = false;
	List *columns = describe_columns(client, database, collection, shape, &options);
	ListCell *cell;

	foreach (cell, columns)
	{
		auto *column = static_cast<DescribedColumn *>(lfirst(cell));
		Datum values[count] = {};
		bool nulls[count] = {};

		values[path] = CStringGetTextDatum(column->path);
		values[bson_types] = CStringGetTextDatum(seen_types_text(shape, column->field));
		values[documents] = Int64GetDatum(static_cast<int64>(shape->present(column->field)));
		values[required] = BoolGetDatum(shape->required(column->field));
		nulls[column_name] = column->name == nullptr;
		nulls[column_type] = column->type == nullptr;
		nulls[remark] = column->remark == nullptr;
		if (column->name != nullptr)
			values[column_name] = CStringGetTextDatum(column->name);
		if (column->type != nullptr)
			values[column_type] = CStringGetTextDatum(column->type + strlen("pg_catalog."));
		if (column->remark != nullptr)
			values[remark] = CStringGetTextDatum(column->remark);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
}
