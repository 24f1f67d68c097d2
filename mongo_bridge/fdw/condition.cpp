/*
 * condition.cpp — one condition of a plan, with the value of its operand, as a filter of MongoDB.
 *
 * shippable.cpp has promised that MongoDB's answer is PostgreSQL's; this file keeps the promise, value by value.  Only match
 * operators are used, where a constant is a constant whatever it holds: in $expr a string that starts with a dollar sign
 * would be a field.
 */
#include <cfloat>
#include <cmath>
#include <limits>

#include "../bson/document.h"
#include "../bson/value.h"
#include "fdw.h"
#include "object_id.h"

namespace bridge
{

/*
 * A document under construction, and a part of it.  libbson's own functions are C: nothing here throws, and the Documents
 * belong to the memory context of the call.
 */

bson_t *
new_document()
{
	return own<Document>(CurrentMemoryContext)->get();
}

/* {path: {op: value}}, where the value is what "put" appends under the key that it is given. */
template <class Put>
static void
put_operator(bson_t *out, const char *path, const char *op, Put put)
{
	bson_t inner;

	bson_append_document_begin(out, path, -1, &inner);
	put(&inner, op);
	bson_append_document_end(out, &inner);
}

static void
put_type(bson_t *out, const char *path, const char *type)
{
	put_operator(out, path, "$type",
				 [&](bson_t *inner, const char *op) { BSON_APPEND_UTF8(inner, op, type); });
}

static void
put_double(bson_t *out, const char *path, const char *op, double value)
{
	put_operator(out, path, op,
				 [&](bson_t *inner, const char *key) { BSON_APPEND_DOUBLE(inner, key, value); });
}

Items
new_items()
{
	return {new_document(), 0};
}

void
add_stage(Items *stages, const char *op, const bson_t *argument)
{
	bson_t *stage = new_document();

	bson_append_document(stage, op, -1, argument);
	stages->add(stage);
}

void
put_together(bson_t *out, const char *op, const Items *items)
{
	bson_iter_t only;
	bson_t document;
	const uint8_t *data;
	uint32_t length;

	if (items->count > 1)
		BSON_APPEND_ARRAY(out, op, items->array);
	else if (items->count == 1 && bson_iter_init_find(&only, items->array, "0"))
	{
		bson_iter_document(&only, &length, &data);
		bson_init_static(&document, data, length);
		bson_concat(out, &document);
	}
}

static void
put_any(bson_t *out, const Items *alternatives)
{
	put_together(out, "$or", alternatives);
}

/*
 * Paths.  "a.b.c" is missing here if a or a.b is an array; MongoDB would look into it.
 */

template <class Visit>
static void
for_each_prefix(const char *path, Visit visit)
{
	for (const char *dot = strchr(path, '.'); dot != nullptr; dot = strchr(dot + 1, '.'))
		visit(pnstrdup(path, static_cast<Size>(dot - path)));
}

static void
put_not_array(bson_t *out, const char *path)
{
	put_operator(out, path, "$not",
				 [](bson_t *inner, const char *op)
				 {
					 bson_t type;
					 BSON_APPEND_DOCUMENT_BEGIN(inner, op, &type);
					 BSON_APPEND_UTF8(&type, "$type", "array");
					 bson_append_document_end(inner, &type);
				 });
}

static void
put_prefix_guards(bson_t *out, const char *path)
{
	for_each_prefix(path, [&](const char *prefix) { put_not_array(out, prefix); });
}

/* The ways in which the column is NULL: the field is null or missing, or an array stands in the middle of its path. */
static void
add_null_alternatives(Items *alternatives, const char *path)
{
	for_each_prefix(path,
					[&](const char *prefix)
					{
						bson_t *array = new_document();
						put_type(array, prefix, "array");
						alternatives->add(array);
					});

	/* {$eq: null} also finds an array that holds a null. */
	bson_t *null = new_document();
	bson_t inner;
	bson_t type;
	bson_append_document_begin(null, path, -1, &inner);
	BSON_APPEND_NULL(&inner, "$eq");
	BSON_APPEND_DOCUMENT_BEGIN(&inner, "$not", &type);
	BSON_APPEND_UTF8(&type, "$type", "array");
	bson_append_document_end(&inner, &type);
	bson_append_document_end(null, &inner);
	alternatives->add(null);
}

static void
put_not_null(bson_t *out, const Condition *condition)
{
	Items alternatives = new_items();
	bson_t *not_null = new_document();

	put_prefix_guards(out, condition->path);
	put_operator(not_null, condition->path, "$ne",
				 [](bson_t *inner, const char *op) { BSON_APPEND_NULL(inner, op); });
	alternatives.add(not_null);
	if (condition->kind == FieldKind::other)
	{
		/* {$ne: null} passes over an array that holds a null, which such a column can show. */
		bson_t *array = new_document();
		put_type(array, condition->path, "array");
		alternatives.add(array);
	}
	put_any(out, &alternatives);
}

/* IS TRUE, IS NOT TRUE, … */
static void
put_truth(bson_t *out, const char *path, bool truth, bool or_null)
{
	Items alternatives = new_items();
	bson_t *value = new_document();

	put_operator(value, path, "$eq",
				 [&](bson_t *inner, const char *op) { BSON_APPEND_BOOL(inner, op, truth); });
	alternatives.add(value);
	if (or_null)
		add_null_alternatives(&alternatives, path);
	else
		put_prefix_guards(out, path);
	put_any(out, &alternatives);
}

/* The conditions that need no operand; false if it is none of them. */
static bool
put_test(bson_t *out, const Condition *condition)
{
	Comparison comparison = condition->comparison;
	Items nulls;

	switch (comparison)
	{
		case Comparison::is_null:
			nulls = new_items();
			add_null_alternatives(&nulls, condition->path);
			put_any(out, &nulls);
			return true;
		case Comparison::is_not_null:
			put_not_null(out, condition);
			return true;
		case Comparison::is_true:
		case Comparison::is_not_false:
			put_truth(out, condition->path, true, comparison == Comparison::is_not_false);
			return true;
		case Comparison::is_false:
		case Comparison::is_not_true:
			put_truth(out, condition->path, false, comparison == Comparison::is_not_true);
			return true;
		default:
			return false;
	}
}

/*
 * Comparisons
 */

const char *
operator_name(Comparison comparison)
{
	switch (comparison)
	{
		case Comparison::less:
			return "$lt";
		case Comparison::less_equal:
			return "$lte";
		case Comparison::greater:
			return "$gt";
		case Comparison::greater_equal:
			return "$gte";
		case Comparison::any_of:
			return "$in";
		case Comparison::not_equal:
		case Comparison::distinct:
			return "$ne";
		case Comparison::none_of:
			return "$nin";
		case Comparison::like:
		case Comparison::starts_with:
			return "$regex";
		case Comparison::not_like:
			return "$not";
		default:
			return "$eq";
	}
}

static bool
is_upward(Comparison comparison)
{
	return comparison == Comparison::greater || comparison == Comparison::greater_equal;
}

int64
integer_value(const Operand *operand)
{
	switch (getBaseType(operand->type))
	{
		case INT2OID:
			return DatumGetInt16(operand->value);
		case INT4OID:
			return DatumGetInt32(operand->value);
		default:
			return DatumGetInt64(operand->value);
	}
}

static double
real_value(const Operand *operand)
{
	return getBaseType(operand->type) == FLOAT4OID ? DatumGetFloat4(operand->value)
												   : DatumGetFloat8(operand->value);
}

const char *
string_value(const Operand *operand)
{
	return getBaseType(operand->type) == NAMEOID ? NameStr(*DatumGetName(operand->value))
												 : TextDatumGetCString(operand->value);
}

/*
 * NaN is the greatest number here and no number there: MongoDB finds it by equality alone.
 */
static Outcome
put_real(bson_t *out, const char *path, Comparison comparison, double value)
{
	Items alternatives = new_items();
	bool wants_nan = is_upward(comparison);

	if (std::isnan(value))
	{
		if (comparison == Comparison::greater)
			return Outcome::nothing;
		wants_nan = comparison != Comparison::less;
		comparison = comparison == Comparison::less || comparison == Comparison::less_equal
						 ? Comparison::less_equal
						 : Comparison::equal;
		value = std::numeric_limits<double>::infinity(); /* every number but NaN is at most that */
	}
	if (!(wants_nan && comparison == Comparison::equal))
	{
		bson_t *number = new_document();
		put_double(number, path, operator_name(comparison), value);
		alternatives.add(number);
	}
	if (wants_nan)
	{
		bson_t *nan = new_document();
		put_double(nan, path, "$eq", std::numeric_limits<double>::quiet_NaN());
		alternatives.add(nan);
	}
	put_any(out, &alternatives);
	return Outcome::condition;
}

static double
nearest_double(Numeric number)
{
	const char *text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));

	return strtod(text, nullptr);
}

bool
numeric_is_small_integer(Numeric number, int64 *value)
{
	static constexpr double limit = 9007199254740992.0; /* 2^53 */

	if (numeric_is_nan(number) || numeric_is_inf(number))
		return false;
	double nearest = nearest_double(number);
	if (fabs(nearest) > limit || rint(nearest) != nearest)
		return false;
	*value = static_cast<int64>(nearest);
	return DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(number),
											NumericGetDatum(int64_to_numeric(*value))));
}

/* The doubles on both sides of a decimal: a stored double that reads as the decimal lies between them. */
static double
double_below(Numeric number)
{
	return nextafter(nearest_double(number), -std::numeric_limits<double>::infinity());
}

static double
double_above(Numeric number)
{
	return nextafter(nearest_double(number), std::numeric_limits<double>::infinity());
}

static void
put_between(bson_t *out, const char *path, Numeric number)
{
	put_operator(out, path, "$gte",
				 [&](bson_t *inner, const char *op)
				 {
					 BSON_APPEND_DOUBLE(inner, op, double_below(number));
					 BSON_APPEND_DOUBLE(inner, "$lte", double_above(number));
				 });
}

static Outcome
put_decimal(bson_t *out, const char *path, Comparison comparison, Numeric number)
{
	int64 whole;

	if (numeric_is_nan(number) || numeric_is_inf(number))
		return put_real(out, path, comparison, nearest_double(number));
	if (numeric_is_small_integer(number, &whole))
		return put_real(out, path, comparison, static_cast<double>(whole));
	if (comparison == Comparison::equal)
		put_between(out, path, number);
	else if (is_upward(comparison))
		return put_real(out, path, Comparison::greater_equal, double_below(number));
	else
		return put_real(out, path, Comparison::less_equal, double_above(number));
	return Outcome::condition;
}

/*
 * Strings.  A text column shows an ObjectId as its 24 digits, which lie somewhere between the strings.
 */

static bool
is_object_id(const char *text)
{
	return strlen(text) == 24 && strspn(text, "0123456789abcdef") == 24;
}

/*
 * The first text of 24 digits that is not less than "text"; false if all are.  The digits of "text" are kept as far as
 * they go; where it leaves them, the next greater digit follows, there or before.
 */
static bool
first_object_id(const char *text, char *id)
{
	static constexpr char digits[] = "0123456789abcdef";
	size_t kept = strspn(text, digits);

	memset(id, '0', 24);
	id[24] = '\0';
	if (kept > 24)
		kept = 24;
	memcpy(id, text, kept);
	if (text[kept] == '\0')
		return true; /* a prefix of it, or the same */

	/* Longer than 24 digits, or another character: what comes at position "kept" must be greater than that. */
	unsigned char limit = static_cast<unsigned char>(text[kept]);
	for (size_t at = kept + 1; at-- > 0;)
	{
		if (at < 24)
			for (const char *digit = digits; *digit != '\0'; digit++)
				if (static_cast<unsigned char>(*digit) > limit)
				{
					id[at] = *digit;
					memset(id + at + 1, '0', 24 - at - 1);
					return true;
				}
		if (at > 0)
			limit = static_cast<unsigned char>(text[at - 1]);
	}
	return false;
}

static void
put_object_id(bson_t *out, const char *path, const char *op, const char *text)
{
	put_operator(out, path, op,
				 [&](bson_t *inner, const char *key)
				 {
					 bson_oid_t id;
					 object_id_from_text(text, &id);
					 BSON_APPEND_OID(inner, key, &id);
				 });
}

/* The ObjectIds that compare so with a string; false if there are none. */
static bool
put_object_ids(bson_t *out, const char *path, Comparison comparison, const char *text)
{
	char first[25];
	bool exists = first_object_id(text, first);
	bool same = exists && strcmp(first, text) == 0;

	if (!exists)
	{
		if (is_upward(comparison))
			return false;
		put_type(out, path, "objectId");
		return true;
	}
	if (comparison == Comparison::greater && !same)
		comparison = Comparison::greater_equal;
	if (comparison == Comparison::less_equal && !same)
		comparison = Comparison::less;
	put_object_id(out, path, operator_name(comparison), first);
	return true;
}

static void
add_string(Items *values, const char *text)
{
	if (is_object_id(text))
	{
		bson_oid_t id;
		object_id_from_text(text, &id);
		bson_append_oid(values->array, values->next_key(), -1, &id);
	}
	bson_append_utf8(values->array, values->next_key(), -1, text, -1);
}

static void
put_in(bson_t *out, const char *path, const Items *values)
{
	put_operator(out, path, "$in",
				 [&](bson_t *inner, const char *op)
				 { BSON_APPEND_ARRAY(inner, op, values->array); });
}

static Outcome
put_string(bson_t *out, const char *path, Comparison comparison, const char *text)
{
	Items alternatives = new_items();
	bson_t *string = new_document();
	bson_t *ids = new_document();

	if (comparison == Comparison::equal && is_object_id(text))
	{
		Items values = new_items();
		add_string(&values, text);
		put_in(out, path, &values);
		return Outcome::condition;
	}
	put_operator(string, path, operator_name(comparison),
				 [&](bson_t *inner, const char *op) { BSON_APPEND_UTF8(inner, op, text); });
	alternatives.add(string);
	if (comparison != Comparison::equal && put_object_ids(ids, path, comparison, text))
		alternatives.add(ids);
	put_any(out, &alternatives);
	return Outcome::condition;
}

/* A UUID is a binary value, or a string in lower or upper case. */
static void
add_uuid(Items *values, const pg_uuid_t *uuid)
{
	char *lower = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));
	char *upper = pstrdup(lower);

	for (char *c = upper; *c != '\0'; c++)
		*c = static_cast<char>(pg_ascii_toupper(static_cast<unsigned char>(*c)));
	bson_append_binary(values->array, values->next_key(), -1, BSON_SUBTYPE_UUID, uuid->data,
					   UUID_LEN);
	bson_append_utf8(values->array, values->next_key(), -1, lower, -1);
	bson_append_utf8(values->array, values->next_key(), -1, upper, -1);
}

/*
 * Dates
 */

/* A point in time as the column's own type counts it: microseconds since 2000, in UTC or of a wall clock in UTC. */
int64
microseconds_value(const Operand *operand, FieldKind kind)
{
	switch (getBaseType(operand->type))
	{
		case DATEOID:
		{
			int overflow;
			DateADT date = DatumGetDateADT(operand->value);
			/* Beyond the type's range the result is infinite, which compares as well. */
			return kind == FieldKind::instant ? date2timestamptz_opt_overflow(date, &overflow)
											  : date2timestamp_opt_overflow(date, &overflow);
		}
		case TIMESTAMPOID:
		{
			int overflow;
			Timestamp timestamp = DatumGetTimestamp(operand->value);
			return kind == FieldKind::instant
					   ? timestamp2timestamptz_opt_overflow(timestamp, &overflow)
					   : timestamp;
		}
		default:
			return DatumGetTimestampTz(operand->value);
	}
}

/* BSON keeps milliseconds: the bound goes to the next one in the operator's direction. */
static Outcome
put_date(bson_t *out, const char *path, Comparison comparison, int64 microseconds)
{
	int64 ms;

	if (TIMESTAMP_NOT_FINITE(microseconds))
	{
		/* No stored date is infinite: below infinity are all of them, above it none. */
		bool all = TIMESTAMP_IS_NOBEGIN(microseconds)
					   ? is_upward(comparison)
					   : !is_upward(comparison) && comparison != Comparison::equal;
		if (!all)
			return Outcome::nothing;
		put_type(out, path, "date");
		return Outcome::condition;
	}

	ms = microseconds_to_date(microseconds);
	if (microseconds % 1000 != 0)
	{
		if (comparison == Comparison::equal)
			return Outcome::nothing;
		/* Between two milliseconds: at most the lower one, at least the upper one. */
		comparison = is_upward(comparison) ? Comparison::greater : Comparison::less_equal;
	}
	put_operator(out, path, operator_name(comparison),
				 [&](bson_t *inner, const char *op) { BSON_APPEND_DATE_TIME(inner, op, ms); });
	return Outcome::condition;
}

static Outcome
put_comparison(bson_t *out, const Condition *condition, const Operand *operand)
{
	const char *path = condition->path;
	Comparison comparison = condition->comparison;
	Items values;

	switch (condition->kind)
	{
		case FieldKind::integer:
			put_operator(out, path, operator_name(comparison),
						 [&](bson_t *inner, const char *op)
						 { BSON_APPEND_INT64(inner, op, integer_value(operand)); });
			return Outcome::condition;
		case FieldKind::real:
			return put_real(out, path, comparison, real_value(operand));
		case FieldKind::decimal:
			return put_decimal(out, path, comparison, DatumGetNumeric(operand->value));
		case FieldKind::string:
			return put_string(out, path, comparison, string_value(operand));
		case FieldKind::boolean:
			put_truth(out, path, DatumGetBool(operand->value), false);
			return Outcome::condition;
		case FieldKind::uuid:
			values = new_items();
			add_uuid(&values, DatumGetUUIDP(operand->value));
			put_in(out, path, &values);
			return Outcome::condition;
		case FieldKind::instant:
		case FieldKind::wall_clock:
		case FieldKind::day:
			return put_date(out, path, comparison, microseconds_value(operand, condition->kind));
		case FieldKind::json_text:
			values = new_items();
			bson_append_utf8(values.array, values.next_key(), -1, string_value(operand), -1);
			put_json_text(out, path, &values, !only_strings_show(string_value(operand)));
			return Outcome::condition;
		case FieldKind::object_id:
			put_operator(out, path, operator_name(comparison),
						 [&](bson_t *inner, const char *op)
						 { BSON_APPEND_OID(inner, op, datum_object_id(operand->value)); });
			return Outcome::condition;
		case FieldKind::other:
			break;
	}
	elog(ERROR, "column of path \"%s\" does not compare in MongoDB", path);
}

/*
 * = ANY (array)
 */

/* Adds one element to the values of $in; a decimal may need a range among the alternatives instead. */
static void
add_element(Items *values, Items *alternatives, const Condition *condition, const Operand *element)
{
	switch (condition->kind)
	{
		case FieldKind::integer:
			bson_append_int64(values->array, values->next_key(), -1, integer_value(element));
			break;
		case FieldKind::real:
			bson_append_double(values->array, values->next_key(), -1, real_value(element));
			break;
		case FieldKind::decimal:
		{
			Numeric number = DatumGetNumeric(element->value);
			int64 whole;
			if (numeric_is_nan(number) || numeric_is_inf(number))
				bson_append_double(values->array, values->next_key(), -1, nearest_double(number));
			else if (numeric_is_small_integer(number, &whole))
				bson_append_int64(values->array, values->next_key(), -1, whole);
			else
			{
				bson_t *range = new_document();
				put_between(range, condition->path, number);
				alternatives->add(range);
			}
			break;
		}
		case FieldKind::string:
			add_string(values, string_value(element));
			break;
		case FieldKind::boolean:
			bson_append_bool(values->array, values->next_key(), -1, DatumGetBool(element->value));
			break;
		case FieldKind::uuid:
			add_uuid(values, DatumGetUUIDP(element->value));
			break;
		case FieldKind::instant:
		case FieldKind::wall_clock:
		case FieldKind::day:
		{
			int64 microseconds = microseconds_value(element, condition->kind);
			if (!TIMESTAMP_NOT_FINITE(microseconds) && microseconds % 1000 == 0)
				bson_append_date_time(values->array, values->next_key(), -1,
									  microseconds_to_date(microseconds));
			break;
		}
		case FieldKind::json_text:
			bson_append_utf8(values->array, values->next_key(), -1, string_value(element), -1);
			break;
		case FieldKind::object_id:
			bson_append_oid(values->array, values->next_key(), -1, datum_object_id(element->value));
			break;
		case FieldKind::other:
			break;
	}
}

/* What an array of operands holds. */
struct Elements
{
	int count;
	bool has_null;
	bool others; /* a text that ->> shows of other values than strings */
};

static Outcome
put_any_of(bson_t *out, const Condition *condition, const Operand *operand, Elements *found)
{
	ArrayType *array = DatumGetArrayTypeP(operand->value);
	Operand element = {};
	Datum *datums;
	bool *nulls;
	int16 length;
	bool by_value;
	char align;
	Items values = new_items();
	Items alternatives = new_items();

	*found = {};
	element.type = ARR_ELEMTYPE(array);
	get_typlenbyvalalign(element.type, &length, &by_value, &align);
	deconstruct_array(array, element.type, length, by_value, align, &datums, &nulls, &found->count);
	for (int i = 0; i < found->count; i++)
	{
		element.value = datums[i];
		found->has_null = found->has_null || nulls[i];
		if (nulls[i])
			continue;
		add_element(&values, &alternatives, condition, &element);
		if (condition->kind == FieldKind::json_text)
			found->others = found->others || !only_strings_show(string_value(&element));
	}

	if (values.count > 0)
	{
		bson_t *in = new_document();
		if (condition->kind == FieldKind::json_text)
			put_json_text(in, condition->path, &values, found->others);
		else
			put_in(in, condition->path, &values);
		alternatives.add(in);
	}
	if (alternatives.count == 0)
		return Outcome::nothing;
	put_any(out, &alternatives);
	return Outcome::condition;
}

/*
 * LIKE
 */

static Outcome
put_like(bson_t *out, const Condition *condition, const Operand *operand)
{
	Comparison comparison = condition->comparison == Comparison::starts_with
								? Comparison::starts_with
								: Comparison::like;
	Pattern pattern = pattern_read(comparison, string_value(operand));

	if (!pattern.whole && pattern.prefix[0] == '\0')
	{
		put_not_null(out, condition);
		return Outcome::condition;
	}
	put_prefix_guards(out, condition->path);
	if (pattern.whole)
		return put_string(out, condition->path, Comparison::equal, pattern.prefix);
	put_prefix(out, condition->path, pattern.prefix);
	return Outcome::condition;
}

/*
 * What is not so: the column has a value, and "condition" does not hold for it.
 */
static void
put_negation(bson_t *out, const Condition *condition, Outcome outcome, const bson_t *negated)
{
	Items none = new_items();

	put_not_null(out, condition);
	if (outcome != Outcome::condition)
		return;
	none.add(negated);
	BSON_APPEND_ARRAY(out, "$nor", none.array);
}

/* <>, NOT LIKE, and NOT IN, which no null may stand among. */
static Outcome
put_negative(bson_t *out, const Condition *condition, const Operand *operand)
{
	bson_t *positive = new_document();
	Outcome outcome;
	Elements elements;

	switch (condition->comparison)
	{
		case Comparison::not_equal:
		{
			Condition equal = *condition;
			equal.comparison = Comparison::equal;
			outcome = put_comparison(positive, &equal, operand);
			break;
		}
		case Comparison::not_like:
			outcome = put_like(positive, condition, operand);
			break;
		default:
			outcome = put_any_of(positive, condition, operand, &elements);
			if (elements.count == 0)
				return Outcome::everything;
			if (elements.has_null)
				return Outcome::nothing;
			break;
	}
	put_negation(out, condition, outcome, positive);
	return Outcome::condition;
}

/* IS [NOT] DISTINCT FROM, where two nulls are the same. */
static Outcome
put_distinction(bson_t *out, const Condition *condition, const Operand *operand)
{
	Condition equal = *condition;
	Items alternatives = new_items();
	bson_t *null = new_document();
	bson_t *other = new_document();
	bool distinct = condition->comparison == Comparison::distinct;

	if (operand->isnull)
	{
		equal.comparison = distinct ? Comparison::is_not_null : Comparison::is_null;
		put_test(out, &equal);
		return Outcome::condition;
	}
	if (!distinct)
	{
		put_prefix_guards(out, condition->path);
		equal.comparison = Comparison::equal;
		return put_comparison(out, &equal, operand);
	}
	equal.comparison = Comparison::is_null;
	put_test(null, &equal);
	alternatives.add(null);
	equal.comparison = Comparison::not_equal;
	put_negative(other, &equal, operand);
	alternatives.add(other);
	put_any(out, &alternatives);
	return Outcome::condition;
}

/*
 * A document is a tenant's if its field is the tenant's id and nothing else: an array that holds
 * the id would make the document each tenant's that it names, and so would an array in the middle
 * of the path.  The equality is what an index serves; the rest is looked at in the documents that
 * it finds.
 */
void
put_tenant(bson_t *out, const char *path, const Operand *tenant)
{
	bson_t inner;
	bson_t type;

	put_prefix_guards(out, path);
	bson_append_document_begin(out, path, -1, &inner);
	if (tenant->name != nullptr)
	{
		bson_t parameter;
		BSON_APPEND_DOCUMENT_BEGIN(&inner, "$eq", &parameter);
		BSON_APPEND_UTF8(&parameter, "$param", tenant->name);
		bson_append_document_end(&inner, &parameter);
	}
	else
		BSON_APPEND_UTF8(&inner, "$eq", DatumGetCString(tenant->value));
	BSON_APPEND_DOCUMENT_BEGIN(&inner, "$not", &type);
	BSON_APPEND_UTF8(&type, "$type", "array");
	bson_append_document_end(&inner, &type);
	bson_append_document_end(out, &inner);
}

/* In EXPLAIN, an operand that gets its value when the scan starts. */
static void
put_named(bson_t *out, const char *path, Comparison comparison, const char *name)
{
	put_operator(out, path, operator_name(comparison),
				 [&](bson_t *inner, const char *op)
				 {
					 bson_t parameter;
					 BSON_APPEND_DOCUMENT_BEGIN(inner, op, &parameter);
					 BSON_APPEND_UTF8(&parameter, "$param", name);
					 bson_append_document_end(inner, &parameter);
				 });
}

Outcome
put_condition(bson_t *out, const Condition *condition, const Operand *operands)
{
	const Operand *operand = condition->operand >= 0 ? &operands[condition->operand] : nullptr;
	Comparison comparison = condition->comparison;
	Elements elements;

	if (put_test(out, condition))
		return Outcome::condition;
	if (operand->name != nullptr)
	{
		put_prefix_guards(out, condition->path);
		put_named(out, condition->path, comparison, operand->name);
		return Outcome::condition;
	}
	if (comparison == Comparison::distinct || comparison == Comparison::not_distinct)
		return put_distinction(out, condition, operand);
	if (operand->isnull)
		return Outcome::nothing;
	if (comparison == Comparison::not_equal || comparison == Comparison::none_of ||
		comparison == Comparison::not_like)
		return put_negative(out, condition, operand);

	if (comparison == Comparison::like || comparison == Comparison::starts_with)
		return put_like(out, condition, operand);
	put_prefix_guards(out, condition->path);
	return comparison == Comparison::any_of ? put_any_of(out, condition, operand, &elements)
											: put_comparison(out, condition, operand);
}

} // namespace bridge
