/*
 * row_document.cpp — from rows to documents and to the operators that change them; the tenant's
 * word in both.
 *
 * The columns' paths make a tree, and a new row's document is a walk through it: "owner.name" and
 * "owner.id" become one embedded document.  A column that is NULL is a field that is missing.  Two
 * columns that would write the same place (a document and a field in it) cannot both have a value.
 *
 * A column for the rest holds the fields that no other column holds.  In a new document they are merged with the columns'; an
 * update sends what differs from the old rest, path by path.
 *
 * Tenants: with a tenant_field a new document gets the tenant in force, an update or deletion finds
 * the tenant's documents only, and whatever a row says about the field must be that tenant.  That
 * is looked for in the finished document, wherever it came from: a column for the field, for a
 * document around it, or for the whole document.
 */
#include "../bson/value.h"
#include "../client/client.h"
#include "bson_convert.h"
#include "datum_bson.h"
#include "fdw.h"
#include "path_tree.h"
#include "row_document.h"

namespace bridge
{

struct WriteColumn
{
	AttrNumber attribute;
	const char *name;
	const char *path;
	bool document;
	DatumType *type;
};

struct RowWriter
{
	Relation table;
	const char *tenant_field;
	const char *tenant;
	WriteColumn *columns;
	int count;
	int whole;	/* the column of whole documents; -1: none */
	int rest;	/* the column of what no other column holds; -1: none */
	int key;	/* the column of _id; -1: none */
	int holder; /* the column of the tenant's field; -1: none */
	PathNode root;
	Document *document; /* under construction */
	Datum *values;		/* of the row, by attribute number - 1 */
	bool *nulls;
	bool changed; /* the row is no longer the slot's */
};

/*
 * The columns
 */

static void
add_column(RowWriter *writer, Form_pg_attribute attribute)
{
	ColumnOptions options = column_options(RelationGetRelid(writer->table), attribute->attnum);
	int number = writer->count++;
	WriteColumn *column = &writer->columns[number];

	column->attribute = attribute->attnum;
	column->name = NameStr(attribute->attname);
	column->path = options.path;
	column->document = options.document;
	column->type = datum_type_build(attribute->atttypid, options.object_id, CurrentMemoryContext);
	if (options.document)
	{
		writer->whole = number;
		return;
	}
	if (options.rest)
	{
		writer->rest = number;
		return;
	}
	if (strcmp(column->path, "_id") == 0)
		writer->key = number;
	if (writer->tenant_field != nullptr && strcmp(column->path, writer->tenant_field) == 0)
		writer->holder = number;
	PathNode *node = path_tree_node(&writer->root, column->path);
	if (node->column < 0)
		node->column = number;
}

RowWriter *
row_writer_build(Relation foreign_table, const TableOptions *options, const char *tenant,
				 MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	TupleDesc descriptor = RelationGetDescr(foreign_table);
	auto *writer = static_cast<RowWriter *>(palloc0(sizeof(RowWriter)));
	Size width = static_cast<Size>(Max(descriptor->natts, 1));

	writer->table = foreign_table;
	writer->tenant_field = options->tenant_field;
	writer->tenant = tenant != nullptr ? pstrdup(tenant) : nullptr;
	writer->whole = writer->rest = writer->key = writer->holder = -1;
	writer->root.column = -1;
	writer->columns = static_cast<WriteColumn *>(palloc0(sizeof(WriteColumn) * width));
	writer->values = static_cast<Datum *>(palloc(sizeof(Datum) * width));
	writer->nulls = static_cast<bool *>(palloc(sizeof(bool) * width));
	writer->document = own<Document>(context);
	for (int i = 0; i < descriptor->natts; i++)
		if (!TupleDescAttr(descriptor, i)->attisdropped)
			add_column(writer, TupleDescAttr(descriptor, i));
	if (writer->tenant_field != nullptr && writer->holder < 0)
		path_tree_node(&writer->root, writer->tenant_field)->tenant = true;
	MemoryContextSwitchTo(caller);
	return writer;
}

static bool
is_null(const RowWriter *writer, int column)
{
	return writer->nulls[writer->columns[column].attribute - 1];
}

static Datum
value_of(const RowWriter *writer, int column)
{
	return writer->values[writer->columns[column].attribute - 1];
}

static void
append_column(const RowWriter *writer, bson_t *out, const char *key, int column)
{
	append_datum(out, key, writer->columns[column].type, value_of(writer, column),
				 writer->columns[column].name);
}

/*
 * The tenant
 */

[[noreturn]] static void
refuse_tenant(const RowWriter *writer)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("row of foreign table \"%s\" would not be the tenant's",
						   RelationGetRelationName(writer->table)),
					errdetail("Field \"%s\" must be the tenant in force, \"%s\".",
							  writer->tenant_field, writer->tenant)));
	pg_unreachable();
}

static void
check_tenant_value(const RowWriter *writer, const bson_iter_t *field)
{
	uint32_t length;

	if (!BSON_ITER_HOLDS_UTF8(field))
		refuse_tenant(writer);
	const char *value = bson_iter_utf8(field, &length);
	if (length != strlen(writer->tenant) || memcmp(value, writer->tenant, length) != 0)
		refuse_tenant(writer);
}

/*
 * Looks for the rest of the tenant's path in a document, every field of each name: of two with one
 * name another reader may take the other.
 */
static void
check_tenant_in(const RowWriter *writer, const bson_iter_t *document, const char *path)
{
	const char *dot = strchr(path, '.');
	size_t length = dot != nullptr ? static_cast<size_t>(dot - path) : strlen(path);
	bson_iter_t field;
	bool found = false;

	if (!BSON_ITER_HOLDS_DOCUMENT(document) || !bson_iter_recurse(document, &field))
		refuse_tenant(writer);
	while (bson_iter_next(&field))
	{
		const char *key = bson_iter_key(&field);
		if (strncmp(key, path, length) != 0 || key[length] != '\0')
			continue;
		found = true;
		if (dot != nullptr)
			check_tenant_in(writer, &field, dot + 1);
		else
			check_tenant_value(writer, &field);
	}
	if (!found)
		refuse_tenant(writer);
}

static void
check_tenant_of(const RowWriter *writer, const bson_t *document)
{
	bson_t *wrapper = new_document();
	bson_iter_t field;

	if (writer->tenant_field == nullptr)
		return;
	BSON_APPEND_DOCUMENT(wrapper, "v", document);
	bson_iter_init_find(&field, wrapper, "v");
	check_tenant_in(writer, &field, writer->tenant_field);
}

/* What an update does to one path must leave the tenant as it is; "field" is null where the field
 * goes. */
static void
check_tenant_change(const RowWriter *writer, const char *path, const bson_iter_t *field)
{
	size_t length = strlen(path);

	if (writer->tenant_field == nullptr)
		return;
	if (strcmp(path, writer->tenant_field) == 0)
	{
		if (field == nullptr)
			refuse_tenant(writer);
		check_tenant_value(writer, field);
	}
	else if (strncmp(writer->tenant_field, path, length) == 0 &&
			 writer->tenant_field[length] == '.')
	{
		if (field == nullptr)
			refuse_tenant(writer);
		check_tenant_in(writer, field, writer->tenant_field + length + 1);
	}
}

/*
 * The row
 */

static void
read_slot(RowWriter *writer, TupleTableSlot *slot)
{
	Size width = static_cast<Size>(RelationGetNumberOfAttributes(writer->table));

	slot_getallattrs(slot);
	memcpy(writer->values, slot->tts_values, sizeof(Datum) * width);
	memcpy(writer->nulls, slot->tts_isnull, sizeof(bool) * width);
	writer->changed = false;
}

static void
set_value(RowWriter *writer, int column, Datum value)
{
	int index = writer->columns[column].attribute - 1;

	writer->values[index] = value;
	writer->nulls[index] = false;
	writer->changed = true;
}

/* Milliseconds are what MongoDB keeps; the row shows it. */
static void
cut_times(RowWriter *writer)
{
	for (int i = 0; i < writer->count; i++)
	{
		Oid type = writer->columns[i].type->type;

		if ((type != TIMESTAMPTZOID && type != TIMESTAMPOID) || is_null(writer, i))
			continue;
		int64 time = DatumGetTimestamp(value_of(writer, i));
		int64 rest = ((time % 1000) + 1000) % 1000;
		if (!TIMESTAMP_NOT_FINITE(time) && rest != 0)
			set_value(writer, i, TimestampGetDatum(time - rest));
	}
}

static void
store_row(RowWriter *writer, TupleTableSlot *slot)
{
	if (!writer->changed)
		return;

	MemoryContext caller = MemoryContextSwitchTo(slot->tts_mcxt);
	HeapTuple tuple =
		heap_form_tuple(RelationGetDescr(writer->table), writer->values, writer->nulls);
	ExecForceStoreHeapTuple(tuple, slot, true);
	MemoryContextSwitchTo(caller);
}

/* A new _id, in the form in which its column shows it. */
static void
generate_key(RowWriter *writer, bson_t *out)
{
	bson_oid_t id;

	bson_oid_init(&id, nullptr);
	BSON_APPEND_OID(out, "_id", &id);
	if (writer->key < 0)
		return;

	const WriteColumn *column = &writer->columns[writer->key];
	bson_iter_t field;
	Datum value;
	bool isnull;
	Refusal refusal;
	ValueType *type = value_type_build(
		TupleDescAttr(RelationGetDescr(writer->table), column->attribute - 1)->atttypid, -1,
		CurrentMemoryContext);
	bson_iter_init_find(&field, out, "_id");
	if (!value_convert(type, &field, &value, &isnull, &refusal))
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("column \"%s\" of foreign table \"%s\" needs a value", column->name,
						RelationGetRelationName(writer->table)),
				 errdetail("Without one the document gets an ObjectId, which does not fit the "
						   "column's type.")));
	set_value(writer, writer->key, value);
}

/*
 * New documents
 */

static bool
has_value(const RowWriter *writer, const PathNode *node)
{
	ListCell *cell;

	if (node->column >= 0 && !is_null(writer, node->column))
		return true;
	foreach (cell, node->children)
		if (has_value(writer, static_cast<PathNode *>(lfirst(cell))))
			return true;
	return false;
}

static bool
has_tenant(const PathNode *node)
{
	ListCell *cell;

	if (node->tenant)
		return true;
	foreach (cell, node->children)
		if (has_tenant(static_cast<PathNode *>(lfirst(cell))))
			return true;
	return false;
}

/* Refuses the rest a place that a column writes, or that lies above such a place. */
[[noreturn]] static void
refuse_rest(const RowWriter *writer, const char *field)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("column \"%s\" cannot hold field \"%s\"", writer->columns[writer->rest].name,
					field),
			 errdetail("Another column is that field, or a field in it; the column holds what no "
					   "other column holds.")));
	pg_unreachable();
}

/* The field of a name just below; false if there is none, or nothing to look in. */
static bool
find_field(const bson_iter_t *parent, const char *name, bson_iter_t *field)
{
	return parent != nullptr && bson_iter_recurse(parent, field) && bson_iter_find(field, name);
}

static void append_rest(const RowWriter *writer, bson_t *out, const PathNode *node,
						const bson_iter_t *rest);

/* "rest" is what the column of the rest has in this place, or null. */
static void
append_node(const RowWriter *writer, bson_t *out, const PathNode *node, const bson_iter_t *rest)
{
	bool own_value = node->column >= 0 && !is_null(writer, node->column);
	bool below = false;
	bson_t inner;
	bson_iter_t field;
	ListCell *cell;

	foreach (cell, node->children)
		below = below || has_value(writer, static_cast<PathNode *>(lfirst(cell)));
	if (own_value && below)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" and a column for a field in it cannot both have a value",
						writer->columns[node->column].name),
				 errdetail("Both would write field \"%s\".", writer->columns[node->column].path)));
	if (rest != nullptr && (node->column >= 0 || (below && !BSON_ITER_HOLDS_DOCUMENT(rest))))
		refuse_rest(writer, node->name);
	if (own_value)
		append_column(writer, out, node->name, node->column);
	else if (rest != nullptr && !BSON_ITER_HOLDS_DOCUMENT(rest))
		bson_append_iter(out, node->name, -1, rest);
	else if (node->tenant && rest == nullptr)
		bson_append_utf8(out, node->name, -1, writer->tenant, -1);
	else if (below || rest != nullptr || has_tenant(node))
	{
		bson_append_document_begin(out, node->name, -1, &inner);
		foreach (cell, node->children)
		{
			auto *child = static_cast<PathNode *>(lfirst(cell));
			append_node(writer, &inner, child,
						find_field(rest, child->name, &field) ? &field : nullptr);
		}
		append_rest(writer, &inner, node, rest);
		bson_append_document_end(out, &inner);
	}
}

/* The fields of the rest for which there is no node. */
static void
append_rest(const RowWriter *writer, bson_t *out, const PathNode *node, const bson_iter_t *rest)
{
	bson_iter_t field;

	if (rest == nullptr || !bson_iter_recurse(rest, &field))
		return;
	while (bson_iter_next(&field))
		if (path_tree_child(node, bson_iter_key(&field)) == nullptr)
			bson_append_iter(out, nullptr, 0, &field);
}

/* What the column of the rest holds, as a field; false: it is NULL, or there is no such column. */
static bool
read_rest(const RowWriter *writer, bson_iter_t *rest)
{
	if (writer->rest < 0 || is_null(writer, writer->rest))
		return false;

	const WriteColumn *column = &writer->columns[writer->rest];
	bson_t *wrapper = new_document();
	BSON_APPEND_DOCUMENT(
		wrapper, "v",
		document_from_datum(column->type, value_of(writer, writer->rest), column->name));
	return bson_iter_init_find(rest, wrapper, "v");
}

static void
build_from_columns(RowWriter *writer, bson_t *out)
{
	const PathNode *key = path_tree_child(&writer->root, "_id");
	bson_iter_t rest_field;
	const bson_iter_t *rest = read_rest(writer, &rest_field) ? &rest_field : nullptr;
	bson_iter_t field;
	ListCell *cell;

	/* The _id comes first, as MongoDB itself would have it. */
	bool given = find_field(rest, "_id", &field);
	if (key != nullptr && (given || has_value(writer, key)))
		append_node(writer, out, key, given ? &field : nullptr);
	else if (given)
		bson_append_iter(out, "_id", -1, &field);
	else
		generate_key(writer, out);
	foreach (cell, writer->root.children)
	{
		auto *node = static_cast<PathNode *>(lfirst(cell));
		if (node != key)
			append_node(writer, out, node, find_field(rest, node->name, &field) ? &field : nullptr);
	}
	if (rest == nullptr || !bson_iter_recurse(rest, &field))
		return;
	while (bson_iter_next(&field))
		if (path_tree_child(&writer->root, bson_iter_key(&field)) == nullptr &&
			strcmp(bson_iter_key(&field), "_id") != 0)
			bson_append_iter(out, nullptr, 0, &field);
}

static void
refuse_others(const RowWriter *writer)
{
	for (int i = 0; i < writer->count; i++)
		if (i != writer->whole && !is_null(writer, i))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("columns \"%s\" and \"%s\" cannot both have a value",
								   writer->columns[writer->whole].name, writer->columns[i].name),
							errdetail("Column \"%s\" holds the whole document.",
									  writer->columns[writer->whole].name)));
}

static void
build_from_document(RowWriter *writer, bson_t *out)
{
	const WriteColumn *column = &writer->columns[writer->whole];
	const bson_t *document =
		document_from_datum(column->type, value_of(writer, writer->whole), column->name);
	bson_iter_t field;

	refuse_others(writer);
	if (!bson_iter_init_find(&field, document, "_id"))
	{
		bson_oid_t id;
		bson_oid_init(&id, nullptr);
		BSON_APPEND_OID(out, "_id", &id);
	}
	bson_concat(out, document);
	if (writer->tenant_field != nullptr && strchr(writer->tenant_field, '.') == nullptr &&
		!bson_iter_init_find(&field, document, writer->tenant_field))
		bson_append_utf8(out, writer->tenant_field, -1, writer->tenant, -1);
}

static void
fill_in_tenant(RowWriter *writer)
{
	if (writer->holder < 0 || !is_null(writer, writer->holder))
		return;

	Oid type = writer->columns[writer->holder].type->type;
	if (type == TEXTOID || type == VARCHAROID || type == BPCHAROID)
		set_value(writer, writer->holder, CStringGetTextDatum(writer->tenant));
	else if (type == NAMEOID)
		set_value(writer, writer->holder,
				  DirectFunctionCall1(namein, CStringGetDatum(writer->tenant)));
	else
		refuse_tenant(writer);
}

const bson_t *
row_writer_insert(RowWriter *writer, TupleTableSlot *slot)
{
	bson_t *out = writer->document->get();

	bson_reinit(out);
	read_slot(writer, slot);
	cut_times(writer);
	if (writer->whole >= 0 && !is_null(writer, writer->whole))
		build_from_document(writer, out);
	else
	{
		fill_in_tenant(writer);
		build_from_columns(writer, out);
	}
	check_tenant_of(writer, out);
	store_row(writer, slot);
	return out;
}

/*
 * Changes
 */

static bool
is_id(const char *path)
{
	return strcmp(path, "_id") == 0 || strncmp(path, "_id.", 4) == 0;
}

/* The whole document anew: everything but its _id. */
static void
build_replacement(RowWriter *writer, bson_t *out, const bson_t *id)
{
	const WriteColumn *column = &writer->columns[writer->whole];
	const bson_t *document =
		document_from_datum(column->type, value_of(writer, writer->whole), column->name);
	bson_t *rest = new_document();
	bson_t *given = new_document();
	bson_iter_t field;

	bson_copy_to_excluding_noinit(document, rest, "_id", nullptr);
	if (bson_iter_init_find(&field, document, "_id"))
	{
		bson_append_iter(given, "_id", -1, &field);
		if (!bson_equal(given, id))
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("the _id of a document cannot be changed"),
							errdetail("The new document's _id is another one.")));
	}
	bson_concat(out, id);
	bson_concat(out, rest);
	check_tenant_of(writer, out);
}

/*
 * A field of the rest goes, or gets another value; what is as it was is not sent, so that it keeps its type, which JSON may not
 * show.  "before" and "after" are documents in the same place; null is an empty one.
 */
static void change_rest(const RowWriter *writer, const PathNode *node, const char *prefix,
						const bson_iter_t *before, const bson_iter_t *after, bson_t *set,
						bson_t *unset);

[[noreturn]] static void
refuse_rest_name(const RowWriter *writer, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("field \"%s\" of column \"%s\" cannot be changed", name,
					writer->columns[writer->rest].name),
			 errdetail("A name with a dot, or a dollar sign in front, is an operator or a path "
					   "to MongoDB."),
			 errhint("A column with the option \"document\" replaces the whole document.")));
	pg_unreachable();
}

static bool
fields_are_equal(const bson_iter_t *one, const bson_iter_t *other)
{
	bson_t *first = new_document();
	bson_t *second = new_document();

	bson_append_iter(first, "v", -1, one);
	bson_append_iter(second, "v", -1, other);
	return bson_equal(first, second);
}

static void
change_rest_field(const RowWriter *writer, const PathNode *node, const char *path,
				  const bson_iter_t *before, const bson_iter_t *after, bson_t *set, bson_t *unset)
{
	bool shared = node != nullptr && node->column < 0 && !node->tenant;

	if (before != nullptr && after != nullptr && fields_are_equal(before, after))
		return;
	if (node != nullptr && node->column >= 0)
		refuse_rest(writer, path);
	if (shared && (before == nullptr || BSON_ITER_HOLDS_DOCUMENT(before)) &&
		(after == nullptr || BSON_ITER_HOLDS_DOCUMENT(after)))
	{
		change_rest(writer, node, path, before, after, set, unset);
		return;
	}
	check_tenant_change(writer, path, after);
	/* A column is a field in it, which would go as well, or be written by this one. */
	if (shared && (before == nullptr || BSON_ITER_HOLDS_DOCUMENT(before)))
		refuse_rest(writer, path);
	if (shared && after != nullptr)
		change_rest(writer, node, path, nullptr, after, new_document(), new_document());
	if (after == nullptr)
		bson_append_utf8(unset, path, -1, "", 0);
	else
		bson_append_iter(set, path, -1, after);
}

static void
change_rest(const RowWriter *writer, const PathNode *node, const char *prefix,
			const bson_iter_t *before, const bson_iter_t *after, bson_t *set, bson_t *unset)
{
	bson_iter_t field;
	bson_iter_t other;

	for (int pass = 0; pass < 2; pass++)
	{
		const bson_iter_t *here = pass == 0 ? after : before;
		const bson_iter_t *there = pass == 0 ? before : after;

		if (here == nullptr || !bson_iter_recurse(here, &field))
			continue;
		while (bson_iter_next(&field))
		{
			const char *name = bson_iter_key(&field);
			bool both = find_field(there, name, &other);

			if (pass == 1 && both)
				continue;
			if (name[0] == '\0' || name[0] == '$' || strchr(name, '.') != nullptr)
			{
				if (!both || !fields_are_equal(&field, &other))
					refuse_rest_name(writer, name);
				continue;
			}
			change_rest_field(writer, path_tree_child(node, name),
							  prefix[0] != '\0' ? psprintf("%s.%s", prefix, name) : pstrdup(name),
							  pass == 1 ? &field
							  : both	? &other
										: nullptr,
							  pass == 1 ? nullptr : &field, set, unset);
		}
	}
}

/* The _id in it, if it is given, must be the document's. */
static void
check_rest_id(RowWriter *writer, const bson_iter_t *rest, const bson_t *id)
{
	bson_iter_t given;
	bson_iter_t own;

	if (find_field(rest, "_id", &given) && bson_iter_init_find(&own, id, "_id") &&
		!fields_are_equal(&given, &own))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("the _id of a document cannot be changed"),
						errdetail("The _id in column \"%s\" is another one.",
								  writer->columns[writer->rest].name)));
}

static void
build_rest_change(RowWriter *writer, const NullableDatum *old_rest, const bson_t *id, bson_t *set,
				  bson_t *unset)
{
	const WriteColumn *column = &writer->columns[writer->rest];
	bson_t *before = new_document();
	bson_t *after = new_document();
	bson_t *old_document = new_document();
	bson_iter_t old_field;
	bson_iter_t new_field;

	if (is_null(writer, writer->rest))
		ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
						errmsg("column \"%s\" cannot be set to NULL", column->name),
						errdetail("It holds the fields that no other column holds."),
						errhint("Set it to '{}', which takes them away.")));
	if (!read_rest(writer, &new_field))
		return;
	check_rest_id(writer, &new_field, id);

	/* Without the _id, which stays. */
	const bson_t *new_value =
		document_from_datum(column->type, value_of(writer, writer->rest), column->name);
	bson_t *new_document_rest = new_document();
	bson_copy_to_excluding_noinit(new_value, new_document_rest, "_id", nullptr);
	BSON_APPEND_DOCUMENT(after, "v", new_document_rest);
	if (!old_rest->isnull)
		bson_copy_to_excluding_noinit(
			document_from_datum(column->type, old_rest->value, column->name), old_document, "_id",
			nullptr);
	BSON_APPEND_DOCUMENT(before, "v", old_document);
	bson_iter_init_find(&old_field, before, "v");
	bson_iter_init_find(&new_field, after, "v");
	change_rest(writer, &writer->root, "", &old_field, &new_field, set, unset);
}

static void
build_operators(RowWriter *writer, bson_t *out, Bitmapset *columns, const bson_t *id,
				const NullableDatum *old_rest)
{
	bson_t *set = new_document();
	bson_t *unset = new_document();

	for (int i = 0; i < writer->count; i++)
	{
		const WriteColumn *column = &writer->columns[i];
		bson_iter_t field;

		if (!bms_is_member(column->attribute - FirstLowInvalidHeapAttributeNumber, columns))
			continue;
		if (i == writer->rest)
		{
			build_rest_change(writer, old_rest, id, set, unset);
			continue;
		}
		if (is_id(column->path))
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("the _id of a document cannot be changed"),
							errdetail("Column \"%s\" is read from it.", column->name),
							errhint("Insert the row with its new key, and delete the old one.")));
		if (is_null(writer, i))
		{
			check_tenant_change(writer, column->path, nullptr);
			bson_append_utf8(unset, column->path, -1, "", 0);
			continue;
		}
		append_column(writer, set, column->path, i);

		/* A path has dots, which bson_iter_init_find takes as they are. */
		if (bson_iter_init_find(&field, set, column->path))
			check_tenant_change(writer, column->path, &field);
	}
	if (!bson_empty(set))
		BSON_APPEND_DOCUMENT(out, "$set", set);
	if (!bson_empty(unset))
		BSON_APPEND_DOCUMENT(out, "$unset", unset);
}

AttrNumber
row_writer_rest(const RowWriter *writer)
{
	return writer->rest >= 0 ? writer->columns[writer->rest].attribute : InvalidAttrNumber;
}

const bson_t *
row_writer_update(RowWriter *writer, TupleTableSlot *slot, Bitmapset *columns, const bson_t *id,
				  const NullableDatum *old_rest)
{
	bson_t *out = writer->document->get();
	bool whole = writer->whole >= 0 && bms_is_member(writer->columns[writer->whole].attribute -
														 FirstLowInvalidHeapAttributeNumber,
													 columns);

	bson_reinit(out);
	read_slot(writer, slot);
	cut_times(writer);
	if (whole && bms_num_members(columns) > 1)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("column \"%s\" cannot be changed together with others",
							   writer->columns[writer->whole].name),
						errdetail("It holds the whole document.")));
	if (whole && is_null(writer, writer->whole))
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("column \"%s\" cannot be set to NULL", writer->columns[writer->whole].name),
				 errdetail("It holds the whole document."), errhint("Use DELETE.")));
	if (whole)
		build_replacement(writer, out, id);
	else
		build_operators(writer, out, columns, id, old_rest);
	store_row(writer, slot);
	return out;
}

void
row_writer_filter(RowWriter *writer, bson_t *filter, const bson_t *id)
{
	bson_iter_t field;
	bson_t equal;

	bson_iter_init_find(&field, id, "_id");
	BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &equal);
	bson_append_iter(&equal, "$eq", -1, &field);
	bson_append_document_end(filter, &equal);
	if (writer->tenant_field == nullptr)
		return;
	if (strcmp(writer->tenant_field, "_id") == 0)
		check_tenant_value(writer, &field); /* one field takes one condition: the key is the tenant */
	else
	{
		Operand tenant = {CSTRINGOID, CStringGetDatum(writer->tenant), false, nullptr};
		put_tenant(filter, writer->tenant_field, &tenant);
	}
}

} // namespace bridge
