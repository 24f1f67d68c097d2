/*
 * bson_datum.cpp — the columns of a foreign table, and the documents that they are read from.
 *
 * A ColumnMap resolves everything that depends on the columns once (types, typmods, domains, paths), so that a document
 * costs one walk and one call a wanted column.  bson_convert.cpp says which value fits which type; this file says which
 * field goes into which column, and what is told about one that does not fit.
 */
#include "../bson/document_map.h"
#include "../bson/value.h"
#include "../client/client.h"
#include "../guard.h"
#include "bson_convert.h"
#include "bson_datum.h"
#include "option.h"
#include "path_tree.h"

namespace bridge
{

struct Column
{
	AttrNumber attribute;
	bool document; /* the column holds the whole document … */
	bool rest;	   /* … but for what other columns hold */
	const char *path;
	ValueType *type;
	const char *type_name;
};

struct ColumnMap
{
	DocumentMap *fields; /* by position in "columns" */
	int natts;
	int count; /* of the wanted columns */
	Column *columns;
	int *position; /* by attribute number - 1; -1: not wanted */
	AttrNumber key;
	PathNode *mapped; /* the paths of all columns, if one holds the rest; else null */
	Document *rest;
};

[[noreturn]] static void
refuse_column(Relation foreign_table, Form_pg_attribute attribute, const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
					errmsg("column \"%s\" of foreign table \"%s\" cannot have type %s",
						   NameStr(attribute->attname), RelationGetRelationName(foreign_table),
						   format_type_with_typemod(attribute->atttypid, attribute->atttypmod)),
					errdetail("%s", detail),
					errhint("Use a type that docs/fdw.md lists; jsonb holds a "
							"value of any type.")));
	pg_unreachable();
}

static Column
build_column(Relation foreign_table, Form_pg_attribute attribute, const ColumnOptions *options)
{
	Column column;

	column.attribute = attribute->attnum;
	column.document = !options->is_field();
	column.rest = options->rest;
	column.path = column.document ? "" : options->path;
	column.type_name = format_type_with_typemod(attribute->atttypid, attribute->atttypmod);
	column.type = value_type_build(attribute->atttypid, attribute->atttypmod, CurrentMemoryContext);
	if (column.type == nullptr)
		refuse_column(foreign_table, attribute, "There is no conversion from BSON to this type.");
	if (column.document && column.type->type != JSONBOID && column.type->type != JSONOID)
		refuse_column(foreign_table, attribute, "A document needs the type jsonb or json.");
	return column;
}

static bool
is_wanted(Bitmapset *wanted, AttrNumber attribute)
{
	/* A whole-row reference wants every column. */
	return wanted == nullptr ||
		   bms_is_member(attribute - FirstLowInvalidHeapAttributeNumber, wanted) ||
		   bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, wanted);
}

/* The paths of all columns, wanted or not: what is in one of them is not in the rest. */
static PathNode *
mapped_paths(Relation foreign_table)
{
	TupleDesc descriptor = RelationGetDescr(foreign_table);
	auto *root = static_cast<PathNode *>(palloc0(sizeof(PathNode)));

	root->column = -1;
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
		if (attribute->attisdropped)
			continue;
		ColumnOptions options = column_options(RelationGetRelid(foreign_table), attribute->attnum);
		if (options.is_field())
			path_tree_node(root, options.path)->column = i;
	}
	return root;
}

ColumnMap *
column_map_build(Relation foreign_table, Bitmapset *wanted, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	TupleDesc descriptor = RelationGetDescr(foreign_table);
	auto *map = static_cast<ColumnMap *>(palloc0(sizeof(ColumnMap)));

	map->natts = descriptor->natts;
	map->columns = static_cast<Column *>(palloc(sizeof(Column) * Max(map->natts, 1)));
	map->position = static_cast<int *>(palloc(sizeof(int) * Max(map->natts, 1)));
	auto *paths = static_cast<const char **>(palloc(sizeof(char *) * Max(map->natts, 1)));

	for (int i = 0; i < map->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		map->position[i] = -1;
		if (attribute->attisdropped)
			continue;

		ColumnOptions options = column_options(RelationGetRelid(foreign_table), attribute->attnum);
		if (map->key == 0 && options.is_field() && strcmp(options.path, "_id") == 0)
			map->key = attribute->attnum;
		if (!is_wanted(wanted, attribute->attnum))
			continue;
		map->columns[map->count] = build_column(foreign_table, attribute, &options);
		paths[map->count] = options.is_field() ? options.path : nullptr;
		map->position[i] = map->count++;
		if (options.rest && map->mapped == nullptr)
		{
			map->mapped = mapped_paths(foreign_table);
			map->rest = own<Document>(context);
		}
	}
	map->fields = own<DocumentMap>(context, paths, map->count);
	MemoryContextSwitchTo(caller);
	return map;
}

const char *
column_map_path(const ColumnMap *map, AttrNumber attribute)
{
	int position = map->position[attribute - 1];

	return position >= 0 ? map->columns[position].path : nullptr;
}

AttrNumber
column_map_key(const ColumnMap *map)
{
	return map->key;
}

/*
 * Conversion
 */

/* The document's _id, or null if it has none (a projection without it). */
static const char *
document_id(const bson_t *document)
{
	bson_iter_t field;

	return document != nullptr && bson_iter_init_find(&field, document, "_id")
			   ? bson_value_text(&field)
			   : nullptr;
}

static void
describe(const Column *column, const bson_t *document, const bson_iter_t *field,
		 const Refusal *refusal, Mismatch *mismatch)
{
	mismatch->sqlstate = refusal->sqlstate;
	mismatch->reason = refusal->reason;
	mismatch->document_id = document_id(document);
	mismatch->path = column->path;
	mismatch->sql_type = column->type_name;
	mismatch->bson_type = field != nullptr	 ? bson_type_name(bson_iter_type(field))
						  : column->document ? "object"
											 : "missing";
}

static bool
malformed(const bson_t *document, Mismatch *mismatch)
{
	mismatch->sqlstate = "XX001"; /* data_corrupted */
	mismatch->document_id = nullptr;
	mismatch->path = "";
	mismatch->bson_type = "object";
	mismatch->sql_type = "";
	mismatch->reason = "The document is malformed.";
	return false;
}

static const bson_t *
rest_of(ColumnMap *map, const bson_t *document)
{
	bson_t *rest = map->rest->get();
	bson_iter_t fields;

	bson_reinit(rest);
	if (bson_iter_init(&fields, document))
		append_unmapped(rest, &fields, map->mapped);
	return rest;
}

static bool
convert_document(ColumnMap *map, const Column *column, const bson_t *document, Datum *value,
				 Refusal *refusal)
{
	if (column->rest)
		document = rest_of(map, document);
	return column->type->type == JSONBOID ? jsonb_from_document(document, value, refusal)
										  : json_from_document(document, value, refusal);
}

bool
column_map_convert(ColumnMap *map, const bson_t *document, Datum *values, bool *isnull,
				   Mismatch *mismatch)
{
	Refusal refusal;

	memset(isnull, true, static_cast<size_t>(map->natts));
	if (unlikely(!map->fields->find(document)))
		return malformed(document, mismatch);

	for (int i = 0; i < map->count; i++)
	{
		const Column *column = &map->columns[i];
		const bson_iter_t *field = nullptr;
		int index = column->attribute - 1;
		bool fits;

		if (unlikely(column->document))
		{
			isnull[index] = false;
			fits = convert_document(map, column, document, &values[index], &refusal);
		}
		else
		{
			field = map->fields->field(i);
			fits = value_convert(column->type, field, &values[index], &isnull[index], &refusal);
		}
		if (unlikely(!fits))
		{
			describe(column, document, field, &refusal, mismatch);
			return false;
		}
	}
	return true;
}

bool
column_map_convert_field(ColumnMap *map, AttrNumber attribute, const bson_iter_t *field,
						 Datum *value, bool *isnull, Mismatch *mismatch)
{
	int position = map->position[attribute - 1];
	Refusal refusal;

	if (position < 0)
		elog(ERROR, "column %d is not in the map", attribute);
	if (value_convert(map->columns[position].type, field, value, isnull, &refusal))
		return true;
	describe(&map->columns[position], nullptr, field, &refusal, mismatch);
	mismatch->document_id = bson_value_text(field);
	return false;
}

void
report_mismatch(const Mismatch *mismatch, Relation foreign_table)
{
	const char *s = mismatch->sqlstate;
	const char *id = mismatch->document_id != nullptr ? mismatch->document_id : "(unknown)";
	const char *table = RelationGetRelationName(foreign_table);

	ereport(ERROR, (errcode(MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4])),
					mismatch->path[0] != '\0'
						? errmsg("field \"%s\" of document %s does not fit foreign table \"%s\"",
								 mismatch->path, id, table)
						: errmsg("document %s does not fit foreign table \"%s\"", id, table),
					errdetail("The field's type is %s, the column's type is %s. %s",
							  mismatch->bson_type, mismatch->sql_type, mismatch->reason)));
	pg_unreachable();
}

} // namespace bridge
