/*
 * deparse.cpp — from a plan and the values of its operands to MongoDB's find command.
 *
 * A sort that find cannot do as it is meant here makes it an aggregation pipeline (sort.cpp), and so do rows that are the
 * elements of an array.
 *
 * Each condition becomes a document of its own under $and, so that conditions cannot overwrite each
 * other; the tenant's comes first.  A projection asks for the fields that the query needs and for
 * nothing else, not even for _id.
 *
 * The command names the simple collation: a collection may have one of its own, under which "a"
 * equals "A".
 */
#include "fdw.h"

namespace bridge
{

/*
 * How a plan keeps a condition
 */

bool
is_junction(const Condition *condition)
{
	return condition->comparison == Comparison::either ||
		   condition->comparison == Comparison::both || condition->comparison == Comparison::neither;
}

/* A junction's conditions follow the four things that a condition is made of. */
static constexpr int condition_length = 4;

List *
condition_to_list(const Condition *condition)
{
	return list_make4(
		makeString(pstrdup(condition->path)), makeInteger(static_cast<int>(condition->comparison)),
		makeInteger(static_cast<int>(condition->kind)), makeInteger(condition->operand));
}

Condition
condition_from_list(List *list)
{
	Condition condition;

	condition.path = strVal(linitial(list));
	condition.comparison = static_cast<Comparison>(intVal(lsecond(list)));
	condition.kind = static_cast<FieldKind>(intVal(lthird(list)));
	condition.operand = intVal(lfourth(list));
	return condition;
}

List *
condition_children(List *list)
{
	return list_copy_tail(list, condition_length);
}

/*
 * The command
 */

static Outcome put_junction(bson_t *out, Comparison junction, List *children,
							const Operand *operands);

static Outcome
put_any_condition(bson_t *out, List *list, const Operand *operands)
{
	Condition condition = condition_from_list(list);

	return is_junction(&condition)
			   ? put_junction(out, condition.comparison, condition_children(list), operands)
			   : put_condition(out, &condition, operands);
}

static Outcome
put_junction(bson_t *out, Comparison junction, List *children, const Operand *operands)
{
	Items items = new_items();
	bool all = junction == Comparison::both;
	Outcome neutral = all ? Outcome::everything : Outcome::nothing;
	Outcome decisive = all ? Outcome::nothing : Outcome::everything;
	bool negated = junction == Comparison::neither;
	ListCell *cell;

	check_stack_depth();
	foreach (cell, children)
	{
		bson_t *item = new_document();
		Outcome outcome = put_any_condition(item, lfirst_node(List, cell), operands);

		if (outcome == decisive)
			return negated ? Outcome::nothing : decisive;
		if (outcome == Outcome::condition)
			items.add(item);
	}
	if (items.count == 0)
		return negated ? Outcome::everything : neutral;
	if (negated)
		BSON_APPEND_ARRAY(out, "$nor", items.array);
	else
		put_together(out, all ? "$and" : "$or", &items);
	return Outcome::condition;
}

bool
deparse_filter(const FindCommand *find, bson_t *filter)
{
	Items conjuncts = new_items();
	ListCell *cell;

	if (find->tenant_field != nullptr)
	{
		bson_t *tenant = new_document();
		put_tenant(tenant, find->tenant_field, &find->tenant);
		conjuncts.add(tenant);
	}
	foreach (cell, find->conditions)
	{
		bson_t *conjunct = new_document();
		Outcome outcome =
			put_any_condition(conjunct, lfirst_node(List, cell), find->operands);
		if (outcome == Outcome::nothing)
			return false;
		if (outcome == Outcome::condition)
			conjuncts.add(conjunct);
	}

	put_together(filter, "$and", &conjuncts);
	return true;
}

static bool
is_below(const char *path, const char *ancestor)
{
	size_t length = strlen(ancestor);

	return strncmp(path, ancestor, length) == 0 && path[length] == '.';
}

/* A path that is there already, or comes with one above it: MongoDB refuses both at once. */
static bool
is_covered(List *paths, int index)
{
	const char *path = strVal(list_nth(paths, index));

	for (int i = 0; i < list_length(paths); i++)
	{
		const char *other = strVal(list_nth(paths, i));
		if (is_below(path, other) || (i < index && strcmp(path, other) == 0))
			return true;
	}
	return false;
}

void
put_projection(bson_t *out, List *paths)
{
	bool with_id = paths == NIL; /* the smallest field that there always is */

	for (int i = 0; i < list_length(paths); i++)
	{
		const char *path = strVal(list_nth(paths, i));
		if (is_covered(paths, i))
			continue;
		BSON_APPEND_INT32(out, path, 1);
		with_id = with_id || strcmp(path, "_id") == 0 || is_below(path, "_id");
	}
	if (paths == NIL)
		BSON_APPEND_INT32(out, "_id", 1);
	else if (!with_id)
		BSON_APPEND_INT32(out, "_id", 0);
}

enum class Bound
{
	none,
	some,
	nothing
};

/* LIMIT and OFFSET; a null is no bound, as the executor has it. */
static Bound
bound_value(const Operand *operand, const char *clause, int errcode_of_clause, int64 *value)
{
	if (operand == nullptr || operand->isnull)
		return Bound::none;
	*value = DatumGetInt64(operand->value);
	if (*value < 0)
		ereport(ERROR, (errcode(errcode_of_clause), errmsg("%s must not be negative", clause)));
	return *value == 0 ? Bound::nothing : Bound::some;
}

static void
put_named_bound(bson_t *out, const char *key, const char *name)
{
	bson_t parameter;

	bson_append_document_begin(out, key, -1, &parameter);
	BSON_APPEND_UTF8(&parameter, "$param", name);
	bson_append_document_end(out, &parameter);
}

/*
 * Writes OFFSET and LIMIT under their keys; false if nothing can come.  MongoDB takes a limit of 0
 * for none.
 */
static bool
put_offset(bson_t *out, const char *key, const FindCommand *find)
{
	int64 value;

	if (find->offset != nullptr && find->offset->name != nullptr)
		put_named_bound(out, key, find->offset->name);
	else if (bound_value(find->offset, "OFFSET", ERRCODE_INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE,
						 &value) == Bound::some)
		bson_append_int64(out, key, -1, value);
	return true;
}

static bool
put_limit(bson_t *out, const char *key, const FindCommand *find)
{
	int64 value;

	if (find->limit != nullptr && find->limit->name != nullptr)
	{
		put_named_bound(out, key, find->limit->name);
		return true;
	}
	switch (bound_value(find->limit, "LIMIT", ERRCODE_INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, &value))
	{
		case Bound::none:
			return true;
		case Bound::some:
			bson_append_int64(out, key, -1, value);
			return true;
		case Bound::nothing:
			break;
	}
	return false;
}

void
put_simple_collation(bson_t *command)
{
	bson_t collation;

	BSON_APPEND_DOCUMENT_BEGIN(command, "collation", &collation);
	BSON_APPEND_UTF8(&collation, "locale", "simple");
	bson_append_document_end(command, &collation);
}

static void
put_read_concern(bson_t *command, const FindCommand *find)
{
	bson_t concern;

	if (find->read_concern == nullptr)
		return;
	BSON_APPEND_DOCUMENT_BEGIN(command, "readConcern", &concern);
	BSON_APPEND_UTF8(&concern, "level", find->read_concern);
	bson_append_document_end(command, &concern);
}

static bool
deparse_find(const FindCommand *find, const bson_t *filter, bson_t *command)
{
	BSON_APPEND_UTF8(command, "find", find->collection);
	if (!bson_empty(filter))
		BSON_APPEND_DOCUMENT(command, "filter", filter);
	if (!find->whole)
	{
		bson_t *projection = new_document();
		put_projection(projection, find->paths);
		BSON_APPEND_DOCUMENT(command, "projection", projection);
	}
	if (find->sort != NIL)
	{
		bson_t *sort = new_document();
		put_plain_sort(sort, find->sort);
		BSON_APPEND_DOCUMENT(command, "sort", sort);
		BSON_APPEND_BOOL(command, "allowDiskUse", true);
	}
	if (!put_offset(command, "skip", find) || !put_limit(command, "limit", find))
		return false;
	if (!bson_empty(filter) || find->sort != NIL)
		put_simple_collation(command);
	if (find->batch_size > 0)
		BSON_APPEND_INT32(command, "batchSize", find->batch_size);
	put_read_concern(command, find);
	return true;
}

/* A stage of its own for what "put" writes, if it writes anything. */
static bool
add_bound(Items *stages, bool (*put)(bson_t *, const char *, const FindCommand *), const char *op,
		  const FindCommand *find)
{
	bson_t *stage = new_document();

	if (!put(stage, op, find))
		return false;
	if (!bson_empty(stage))
		stages->add(stage);
	return true;
}

/* What a command that is a pipeline says beside its stages. */
void
put_aggregate(bson_t *command, const char *collection, const Items *stages, int batch_size)
{
	bson_t cursor;

	BSON_APPEND_UTF8(command, "aggregate", collection);
	BSON_APPEND_ARRAY(command, "pipeline", stages->array);
	BSON_APPEND_DOCUMENT_BEGIN(command, "cursor", &cursor);
	if (batch_size > 0)
		BSON_APPEND_INT32(&cursor, "batchSize", batch_size);
	bson_append_document_end(command, &cursor);
	BSON_APPEND_BOOL(command, "allowDiskUse", true);
}

void
put_pipeline(bson_t *command, const FindCommand *find, const Items *stages)
{
	put_aggregate(command, find->collection, stages, find->batch_size);
	put_simple_collation(command);
	put_read_concern(command, find);
}

/*
 * The rows that the later stages see.  Of an array each element takes the array's place in a copy of the document.  Whose the
 * document is, is decided before: an element that has the tenant's field is nobody's.  MongoDB itself moves the other
 * conditions ahead where they do not look at the element.
 */
static void
add_source_stages(Items *stages, const FindCommand *find, const bson_t *filter)
{
	if (find->unnest != nullptr)
	{
		bson_t *unwind = new_document();

		if (find->tenant_field != nullptr)
		{
			bson_t *tenant = new_document();
			put_tenant(tenant, find->tenant_field, &find->tenant);
			add_stage(stages, "$match", tenant);
		}
		BSON_APPEND_UTF8(unwind, "$unwind", psprintf("$%s", find->unnest));
		stages->add(unwind);
	}
	if (!bson_empty(filter))
		add_stage(stages, "$match", filter);
}

static bool
deparse_pipeline(const FindCommand *find, const bson_t *filter, bson_t *command)
{
	Items stages = new_items();
	bool plain = find->sort == NIL || sort_is_plain(find->sort);

	add_source_stages(&stages, find, filter);
	if (plain && find->sort != NIL)
	{
		bson_t *sort = new_document();
		put_plain_sort(sort, find->sort);
		add_stage(&stages, "$sort", sort);
	}
	if (!find->whole)
	{
		/* What only the sort needs is fetched as well: it is little, and conversion passes over it.
		 */
		bson_t *projection = new_document();
		put_projection(projection, list_concat_copy(find->paths, sort_paths(find->sort)));
		add_stage(&stages, "$project", projection);
	}
	if (!plain)
		add_sort_stages(&stages, find->sort);
	if (!add_bound(&stages, put_offset, "$skip", find) ||
		!add_bound(&stages, put_limit, "$limit", find))
		return false;
	if (!plain)
		add_unwrap_stage(&stages);
	put_pipeline(command, find, &stages);
	return true;
}

bool
deparse_scan(const FindCommand *find, bson_t *command)
{
	bson_t *filter = new_document();

	if (!deparse_filter(find, filter))
		return false;
	if (find->group != NIL)
	{
		deparse_group(find, filter, command);
		return true;
	}
	return find->unnest == nullptr && (find->sort == NIL || sort_is_plain(find->sort))
			   ? deparse_find(find, filter, command)
			   : deparse_pipeline(find, filter, command);
}

} // namespace bridge
