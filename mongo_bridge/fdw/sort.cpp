/*
 * sort.cpp — ORDER BY: which sort keys MongoDB may sort by, and how.
 *
 * MongoDB's order and PostgreSQL's differ in three places.  Null and missing values are the least
 * there, and wherever the query wants them here.  NaN is less than all numbers there, and greater
 * here.  A text column shows ObjectIds, which stand behind all strings there.  Beyond that the
 * order of a kind of field is the order of its column: for whole numbers, doubles, booleans and
 * dates always, for strings where the collation compares bytes.  A numeric column has no such
 * order: a stored double sorts as a binary fraction there and as its shortest decimal here.
 *
 * A key that none of this touches is a plain key of find, which an index can serve: no nulls (the
 * column is NOT NULL, or a condition that is shipped leaves none), or nulls where MongoDB has them,
 * no doubles, no strings.  Otherwise the documents are sorted in a pipeline by what is computed
 * from them: a rank that puts nulls and NaN into their places, and then the value as the column
 * shows it.
 */
#include <limits>

#include "expression.h"

namespace bridge
{

/*
 * How a plan keeps a key
 */

List *
sort_key_to_list(const SortKey *key)
{
	return list_make5(makeString(pstrdup(key->path)), makeInteger(static_cast<int>(key->kind)),
					  makeInteger(key->descending), makeInteger(key->nulls_first),
					  makeInteger(key->not_null));
}

static SortKey
sort_key_from_list(List *list)
{
	SortKey key;

	key.path = strVal(linitial(list));
	key.kind = static_cast<FieldKind>(intVal(lsecond(list)));
	key.descending = intVal(lthird(list)) != 0;
	key.nulls_first = intVal(lfourth(list)) != 0;
	key.not_null = intVal(list_nth(list, 4)) != 0;
	return key;
}

/*
 * Planning
 */

bool
sorts_alike(FieldKind kind, Oid collation)
{
	switch (kind)
	{
		case FieldKind::integer:
		case FieldKind::real:
		case FieldKind::boolean:
		case FieldKind::instant:
		case FieldKind::wall_clock:
		case FieldKind::day:
		case FieldKind::object_id:
			return true;
		case FieldKind::string:
			return compares_bytes(collation);
		case FieldKind::decimal:
		case FieldKind::uuid:
		case FieldKind::json_text:
		case FieldKind::other:
			break;
	}
	return false;
}

/* Whether a restriction that MongoDB evaluates exactly leaves no null in a column. */
static bool
leaves_no_null(const Condition *condition)
{
	switch (condition->comparison)
	{
		case Comparison::is_null:
		case Comparison::is_not_true:
		case Comparison::is_not_false:
		case Comparison::distinct:
		case Comparison::not_distinct:
		case Comparison::none_of: /* of an empty array */
			return false;
		default:
			return true;
	}
}

bool
condition_leaves_no_null(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, Var *column)
{
	ListCell *cell;

	foreach (cell, relation->baserestrictinfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		Shippable part;

		if (clause_shippable(root, relation, foreign_table, restriction->clause, &part) &&
			part.column != nullptr && part.column->varattno == column->varattno && leaves_no_null(&part.condition))
			return true;
	}
	return false;
}

bool
column_has_no_null(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, Var *column)
{
	HeapTuple tuple =
		SearchSysCache2(ATTNUM, ObjectIdGetDatum(foreign_table), Int16GetDatum(column->varattno));
	bool declared = HeapTupleIsValid(tuple) &&
					reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attnotnull;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return declared || condition_leaves_no_null(root, relation, foreign_table, column);
}

/* The column of this relation that an equivalence class holds, or null. */
static Var *
equivalent_column(RelOptInfo *relation, EquivalenceClass *equivalence)
{
	ListCell *cell;

	foreach (cell, equivalence->ec_members)
	{
		auto *member = static_cast<EquivalenceMember *>(lfirst(cell));
		if (!member->em_is_const && bms_equal(member->em_relids, relation->relids))
		{
			Var *column = column_of(relation, member->em_expr);
			if (column != nullptr)
				return column;
		}
	}
	return nullptr;
}

static bool
key_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, PathKey *pathkey,
			  SortKey *key)
{
	EquivalenceClass *equivalence = pathkey->pk_eclass;

	if (equivalence->ec_has_volatile)
		return false;

	Var *column = equivalent_column(relation, equivalence);
	if (column == nullptr)
		return false;

	ColumnOptions options = column_options(foreign_table, column->varattno);
	Oid type = getBaseType(column->vartype);
	key->path = options.path;
	key->kind = field_kind(type);
	key->descending = tenancy_pathkey_descends(pathkey);
	key->nulls_first = pathkey->pk_nulls_first;
	key->not_null = column_has_no_null(root, relation, foreign_table, column);

	/* varchar sorts by text's family. */
	return options.is_field() && sorts_alike(key->kind, equivalence->ec_collation) &&
		   pathkey->pk_opfamily == lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
}

bool
sort_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, List *pathkeys,
			   List **keys)
{
	ListCell *cell;

	*keys = NIL;
	foreach (cell, pathkeys)
	{
		SortKey key;

		if (!key_shippable(root, relation, foreign_table, lfirst_node(PathKey, cell), &key))
			return false;
		*keys = lappend(*keys, sort_key_to_list(&key));
	}
	return *keys != NIL;
}

/*
 * The command
 */

static bool
needs_rank(const SortKey *key)
{
	return key->kind == FieldKind::real || (!key->not_null && key->nulls_first == key->descending);
}

static bool
is_plain(const SortKey *key)
{
	bool may_meet_array = !key->not_null && strchr(key->path, '.') != nullptr;

	return key->kind != FieldKind::string && !needs_rank(key) && !may_meet_array;
}

/*
 * Null and missing are one value to a sort of MongoDB, but undefined, a type that old drivers have left behind, is less.  Here
 * all three are null: where they must tie, because another key follows, they are made one.
 */
bool
sort_is_plain(List *keys)
{
	ListCell *cell;

	foreach (cell, keys)
	{
		SortKey key = sort_key_from_list(lfirst_node(List, cell));
		bool last = lnext(keys, cell) == nullptr;

		if (!is_plain(&key) || (!last && !key.not_null))
			return false;
	}
	return true;
}

/* A path can be the key of two conditions of order, as in ORDER BY a, a::text: the first one
 * counts. */
void
put_plain_sort(bson_t *out, List *keys)
{
	bson_iter_t before;
	ListCell *cell;

	foreach (cell, keys)
	{
		SortKey key = sort_key_from_list(lfirst_node(List, cell));
		if (!bson_iter_init_find(&before, out, key.path))
			bson_append_int32(out, key.path, -1, key.descending ? -1 : 1);
	}
}

/* The field's value, or null where the column is NULL: missing, or with an array in the middle of
 * its path. */
void
put_field_value(bson_t *out, const char *key, const char *path, const char *rest)
{
	const char *dot = strchr(rest, '.');

	if (dot == nullptr)
	{
		put_list(out, key, "$ifNull",
				 [&](bson_t *arguments)
				 {
					 put_field(arguments, "0", path);
					 BSON_APPEND_NULL(arguments, "1");
				 });
		return;
	}

	char *prefix = pnstrdup(path, static_cast<Size>(dot - path));
	put_list(out, key, "$cond",
			 [&](bson_t *arguments)
			 {
				 put_list(arguments, "0", "$isArray",
						  [&](bson_t *array) { put_field(array, "0", prefix); });
				 BSON_APPEND_NULL(arguments, "1");
				 put_field_value(arguments, "2", path, dot + 1);
			 });
}

/* What the column shows: an ObjectId in a text column is a string of digits. */
void
put_column_value(bson_t *out, const char *key, const char *path, FieldKind kind)
{
	if (kind != FieldKind::string)
	{
		put_field_value(out, key, path, path);
		return;
	}
	put_list(out, key, "$cond",
			 [&](bson_t *arguments)
			 {
				 put_list(arguments, "0", "$eq",
						  [&](bson_t *equal)
						  {
							  bson_t type;
							  bson_append_document_begin(equal, "0", -1, &type);
							  put_field_value(&type, "$type", path, path);
							  bson_append_document_end(equal, &type);
							  BSON_APPEND_UTF8(equal, "1", "objectId");
						  });
				 bson_t text;
				 bson_append_document_begin(arguments, "1", -1, &text);
				 put_field(&text, "$toString", path);
				 bson_append_document_end(arguments, &text);
				 put_field_value(arguments, "2", path, path);
			 });
}

/* Values in their order have rank 0, NaN has 1, and nulls have 2 or -1: the key's own direction
 * applies to the rank too. */
static void
put_rank(bson_t *out, const char *name, const SortKey *key)
{
	int null_rank = key->nulls_first == key->descending ? 2 : -1;

	put_list(out, name, "$cond",
			 [&](bson_t *arguments)
			 {
				 put_list(arguments, "0", "$eq",
						  [&](bson_t *equal)
						  {
							  put_field_value(equal, "0", key->path, key->path);
							  BSON_APPEND_NULL(equal, "1");
						  });
				 BSON_APPEND_INT32(arguments, "1", null_rank);
				 put_list(arguments, "2", "$cond",
						  [&](bson_t *nan)
						  {
							  put_list(nan, "0", "$eq",
									   [&](bson_t *equal)
									   {
										   put_field_value(equal, "0", key->path, key->path);
										   BSON_APPEND_DOUBLE(
											   equal, "1",
											   std::numeric_limits<double>::quiet_NaN());
									   });
							  BSON_APPEND_INT32(nan, "1", 1);
							  BSON_APPEND_INT32(nan, "2", 0);
						  });
			 });
}

void
add_sort_stages(Items *stages, List *keys)
{
	bson_t *wrapped = new_document();
	bson_t *order = new_document();
	int i = 0;
	ListCell *cell;

	BSON_APPEND_UTF8(wrapped, "document", "$$ROOT");
	foreach (cell, keys)
	{
		SortKey key = sort_key_from_list(lfirst_node(List, cell));
		const char *rank = psprintf("rank%d", i);
		const char *value = psprintf("value%d", i++);

		if (needs_rank(&key))
		{
			put_rank(wrapped, rank, &key);
			bson_append_int32(order, rank, -1, key.descending ? -1 : 1);
		}
		put_column_value(wrapped, value, key.path, key.kind);
		bson_append_int32(order, value, -1, key.descending ? -1 : 1);
	}
	add_stage(stages, "$replaceWith", wrapped);
	add_stage(stages, "$sort", order);
}

/* After the bounds, the documents as they were. */
void
add_unwrap_stage(Items *stages)
{
	bson_t *stage = new_document();

	BSON_APPEND_UTF8(stage, "$replaceWith", "$document");
	stages->add(stage);
}

List *
sort_paths(List *keys)
{
	List *paths = NIL;
	ListCell *cell;

	foreach (cell, keys)
		paths = lappend(paths, linitial(lfirst_node(List, cell)));
	return paths;
}

} // namespace bridge
