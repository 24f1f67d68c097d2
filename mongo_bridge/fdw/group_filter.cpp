/*
 * group_filter.cpp — the condition of an aggregate's FILTER, as an expression of the pipeline.
 *
 * A filter of find passes documents; here each accumulator of one pass has a condition of its own.  Expressions compare all
 * types with one another and know neither of SQL's nulls nor of its types.  What makes them agree:
 *
 *   null      is less than every value, and missing less than null: what is less than a constant must be greater than null.
 *   types     the columns of the condition are guarded like an argument: a group with another type in it is not used.
 *   strings   an ObjectId is compared as the text that the column shows; constants are literals, whatever they begin with.
 *   dates     have milliseconds: the constant is rounded in the direction of the operator.
 *
 * Only conditions that need no more are taken: not those on double precision and numeric, uuid and jsonb, nor LIKE.
 */
#include "../bson/value.h"
#include "expression.h"
#include "grouping.h"

namespace bridge
{

/*
 * Planning
 */

static bool
leaf_is_possible(const Condition *condition)
{
	switch (condition->kind)
	{
		case FieldKind::integer:
		case FieldKind::string:
		case FieldKind::boolean:
		case FieldKind::instant:
		case FieldKind::wall_clock:
		case FieldKind::day:
			break;
		default:
			return false;
	}
	switch (condition->comparison)
	{
		case Comparison::like:
		case Comparison::not_like:
		case Comparison::starts_with:
		case Comparison::distinct:
		case Comparison::not_distinct:
			return false;
		default:
			return true;
	}
}

bool
filter_is_possible(const Shippable *part)
{
	ListCell *cell;

	if (!is_junction(&part->condition))
		return leaf_is_possible(&part->condition);
	foreach (cell, part->children)
		if (!filter_is_possible(static_cast<Shippable *>(lfirst(cell))))
			return false;
	return true;
}

/*
 * The expression
 */

struct Filter
{
	const Operand *operands;
	bool plain; /* fields are taken as they are */
};

/* {op: [value, …]}, where "put" appends the second argument under its key. */
template <class Put>
static void
put_pair(bson_t *out, const char *key, const char *op, const Condition *condition,
		 const Filter *filter, Put put)
{
	put_list(out, key, op,
			 [&](bson_t *pair)
			 {
				 if (filter->plain)
					 put_field(pair, "0", condition->path);
				 else
					 put_column_value(pair, "0", condition->path, condition->kind);
				 put(pair, "1");
			 });
}

static void
put_against_null(bson_t *out, const char *key, const char *op, const Condition *condition,
				 const Filter *filter)
{
	put_pair(out, key, op, condition, filter,
			 [](bson_t *pair, const char *second) { BSON_APPEND_NULL(pair, second); });
}

/* False if the condition is no such test. */
static bool
put_test(bson_t *out, const char *key, const Condition *condition, const Filter *filter)
{
	auto against = [&](const char *op, bool truth)
	{
		put_pair(out, key, op, condition, filter,
				 [&](bson_t *pair, const char *second) { BSON_APPEND_BOOL(pair, second, truth); });
		return true;
	};

	switch (condition->comparison)
	{
		case Comparison::is_null:
			put_against_null(out, key, "$lte", condition, filter);
			return true;
		case Comparison::is_not_null:
			put_against_null(out, key, "$gt", condition, filter);
			return true;
		case Comparison::is_true:
			return against("$eq", true);
		case Comparison::is_false:
			return against("$eq", false);
		case Comparison::is_not_true:
			return against("$ne", true);
		case Comparison::is_not_false:
			return against("$ne", false);
		default:
			return false;
	}
}

static void
append_value(bson_t *out, const char *key, FieldKind kind, const Operand *operand)
{
	switch (kind)
	{
		case FieldKind::integer:
			BSON_APPEND_INT64(out, key, integer_value(operand));
			break;
		case FieldKind::boolean:
			BSON_APPEND_BOOL(out, key, DatumGetBool(operand->value));
			break;
		case FieldKind::string:
			BSON_APPEND_UTF8(out, key, string_value(operand));
			break;
		default:
			BSON_APPEND_DATE_TIME(out, key,
								  microseconds_to_date(microseconds_value(operand, kind)));
			break;
	}
}

static bool
is_date(FieldKind kind)
{
	return kind == FieldKind::instant || kind == FieldKind::wall_clock || kind == FieldKind::day;
}

/* Whether a stored date can equal the operand. */
static bool
is_storable(FieldKind kind, const Operand *operand)
{
	if (!is_date(kind))
		return true;

	int64 microseconds = microseconds_value(operand, kind);
	return !TIMESTAMP_NOT_FINITE(microseconds) && microseconds % 1000 == 0;
}

/* The values of an array that a stored one can equal. */
static Items
array_values(FieldKind kind, const Operand *operand, bool *has_null)
{
	ArrayType *array = DatumGetArrayTypeP(operand->value);
	Items values = new_items();
	Operand element = {};
	Datum *datums;
	bool *nulls;
	int count;
	int16 length;
	bool by_value;
	char align;

	*has_null = false;
	element.type = ARR_ELEMTYPE(array);
	get_typlenbyvalalign(element.type, &length, &by_value, &align);
	deconstruct_array(array, element.type, length, by_value, align, &datums, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		element.value = datums[i];
		*has_null = *has_null || nulls[i];
		if (!nulls[i] && is_storable(kind, &element))
			append_value(values.array, values.next_key(), kind, &element);
	}
	return values;
}

static void
put_membership(bson_t *out, const char *key, const Condition *condition, const Operand *operand,
			   const Filter *filter)
{
	bool none = condition->comparison == Comparison::none_of;
	bool has_null;
	Items values = array_values(condition->kind, operand, &has_null);
	auto put_in = [&](bson_t *to, const char *name)
	{
		put_pair(to, name, "$in", condition, filter,
				 [&](bson_t *pair, const char *second)
				 {
					 put_unary(pair, second, "$literal",
							   [&](bson_t *call, const char *op)
							   { BSON_APPEND_ARRAY(call, op, values.array); });
				 });
	};

	if (!none)
		put_in(out, key);
	else if (has_null)
		BSON_APPEND_BOOL(out, key, false);
	else if (ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(operand->value)),
							ARR_DIMS(DatumGetArrayTypeP(operand->value))) == 0)
		BSON_APPEND_BOOL(out, key, true); /* of no value even a null is none */
	else
		put_list(out, key, "$and",
				 [&](bson_t *all)
				 {
					 put_against_null(all, "0", "$gt", condition, filter);
					 put_list(all, "1", "$not", [&](bson_t *negated) { put_in(negated, "0"); });
				 });
}

/* What a comparison with a date that cannot be stored comes to; the condition takes its new operator. */
static Outcome
round_date(Condition *condition, const Operand *operand)
{
	bool upward = condition->comparison == Comparison::greater ||
				  condition->comparison == Comparison::greater_equal;
	int64 microseconds;

	if (is_storable(condition->kind, operand))
		return Outcome::condition;
	if (condition->comparison == Comparison::equal)
		return Outcome::nothing;
	if (condition->comparison == Comparison::not_equal)
		return Outcome::everything;
	microseconds = microseconds_value(operand, condition->kind);
	if (TIMESTAMP_NOT_FINITE(microseconds))
		return TIMESTAMP_IS_NOBEGIN(microseconds) == upward ? Outcome::everything
															: Outcome::nothing;
	/* Between two milliseconds: at most the lower one, which is the value that is sent. */
	condition->comparison = upward ? Comparison::greater : Comparison::less_equal;
	return Outcome::condition;
}

static void
put_comparison(bson_t *out, const char *key, Condition condition, const Operand *operand,
			   const Filter *filter)
{
	Outcome outcome = round_date(&condition, operand);
	bool passes_null = condition.comparison == Comparison::less ||
					   condition.comparison == Comparison::less_equal ||
					   condition.comparison == Comparison::not_equal;
	auto put = [&](bson_t *to, const char *name)
	{
		put_pair(to, name, operator_name(condition.comparison), &condition, filter,
				 [&](bson_t *pair, const char *second)
				 {
					 put_unary(pair, second, "$literal",
							   [&](bson_t *call, const char *op)
							   { append_value(call, op, condition.kind, operand); });
				 });
	};

	if (outcome == Outcome::nothing)
		BSON_APPEND_BOOL(out, key, false);
	else if (outcome == Outcome::everything)
		put_against_null(out, key, "$gt", &condition, filter);
	else if (!passes_null)
		put(out, key);
	else
		put_list(out, key, "$and",
				 [&](bson_t *all)
				 {
					 put_against_null(all, "0", "$gt", &condition, filter);
					 put(all, "1");
				 });
}

static void
put_leaf(bson_t *out, const char *key, const Condition *condition, const Filter *filter)
{
	if (put_test(out, key, condition, filter))
		return;

	const Operand *operand = &filter->operands[condition->operand];
	if (operand->name != nullptr)
		put_pair(out, key, operator_name(condition->comparison), condition, filter,
				 [&](bson_t *pair, const char *second)
				 {
					 put_unary(pair, second, "$param",
							   [&](bson_t *call, const char *op)
							   { BSON_APPEND_UTF8(call, op, operand->name); });
				 });
	else if (operand->isnull)
		BSON_APPEND_BOOL(out, key, false);
	else if (condition->comparison == Comparison::any_of ||
			 condition->comparison == Comparison::none_of)
		put_membership(out, key, condition, operand, filter);
	else
		put_comparison(out, key, *condition, operand, filter);
}

static void
put_part(bson_t *out, const char *key, List *list, const Filter *filter)
{
	Condition condition = condition_from_list(list);
	auto put_children = [&](bson_t *to, const char *name, const char *op)
	{
		put_list(to, name, op,
				 [&](bson_t *items)
				 {
					 int i = 0;
					 ListCell *cell;
					 foreach (cell, condition_children(list))
						 put_part(items, psprintf("%d", i++), lfirst_node(List, cell), filter);
				 });
	};

	check_stack_depth();
	if (!is_junction(&condition))
		put_leaf(out, key, &condition, filter);
	else if (condition.comparison == Comparison::both)
		put_children(out, key, "$and");
	else if (condition.comparison == Comparison::either)
		put_children(out, key, "$or");
	else
		put_list(out, key, "$not", [&](bson_t *negated) { put_children(negated, "0", "$or"); });
}

void
put_filter(bson_t *out, const char *key, List *condition, const Operand *operands, bool plain)
{
	Filter filter = {operands, plain};

	put_part(out, key, condition, &filter);
}

} // namespace bridge
