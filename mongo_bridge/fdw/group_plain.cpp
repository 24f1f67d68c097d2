/*
 * group_plain.cpp — the quick $group stages, and whether their answer is the same.
 *
 * What makes the exact stage dear is that it looks at the type of every value.  Most collections hold in a field what the
 * column says, and then the fields themselves can be grouped and summed, as one would by hand.  Whether it was so can be seen
 * in the groups, by accumulators that cost little:
 *
 *   $min, $max   pass over null and missing, and order values by type first: if both are strings, so is all between them;
 *                likewise dates, booleans and numbers.  The range is that of the column.
 *   $sum         its type is the widest of its terms: it is a whole number only if every number was, and it stayed in range.
 *   keys         are shown: each must be of its column's type.
 *
 * Each accumulator looks at every document, and $min and $max of an integer column cost nearly as much again as count and sum.
 * {$isNumber: field} as one more key costs next to nothing, and parts the numbers from everything else.  If there is nothing
 * else, the groups are what they would be without it, and $sum tells the rest: a sum that comes as an int is of ints alone, one
 * that comes as a long is of whole numbers that a bigint holds.  This is the first try; it fails where a value is missing.
 *
 * A group that does not pass says nothing: the next command is run instead, and the exact one tells what the matter is.  So the
 * groups are kept until the last one has passed (scan.cpp).
 */
#include "../bson/value.h"
#include "grouping.h"

namespace bridge
{

/* {op: "$path"}; without an op the number of values that are not null, or of documents if the path is empty. */
struct Accumulator
{
	const char *op;
	const char *path;
	int filter;
};

struct PlainOutput
{
	Output output;
	int value; /* the accumulator's number; -1: none, as for keys and rows */
	int count;
};

struct PlainGuard
{
	Oid type;
	const char *path;
	bool numbers; /* by $isNumber among the keys */
	int least;	  /* -1: not needed */
	int greatest;
	int total;
};

/* Null and missing are one key here, and two of a compound key there. */
struct PlainKey
{
	bool null_seen;
	bool missing_seen;
};

struct PlainGroup
{
	List *accumulators; /* of Accumulator */
	PlainOutput *outputs;
	PlainKey *keys; /* by output */
	int count;
	int key_count;
	PlainGuard *guards;
	int guard_count;
	int number_count;	  /* of the guards that are keys */
	const char *distinct; /* path of the column whose different values are counted; null: none */
};

/*
 * The stage
 */

/* The number of an accumulator, which is made if there is none like it. */
static int
accumulator(PlainGroup *plain, const char *op, const char *path, int filter = -1)
{
	int number = 0;
	ListCell *cell;

	foreach (cell, plain->accumulators)
	{
		auto *other = static_cast<Accumulator *>(lfirst(cell));
		if (other->filter == filter && strcmp(other->path, path) == 0 &&
			(op == nullptr) == (other->op == nullptr) &&
			(op == nullptr || strcmp(other->op, op) == 0))
			return number;
		number++;
	}

	auto *added = static_cast<Accumulator *>(palloc(sizeof(Accumulator)));
	added->op = op;
	added->path = path;
	added->filter = filter;
	plain->accumulators = lappend(plain->accumulators, added);
	return number;
}

/* False if the stage cannot tell whether a column's values fit. */
static bool
add_guard(PlainGroup *plain, const Output *guard, bool numbers)
{
	PlainGuard *added = &plain->guards[plain->guard_count++];
	FieldKind kind = field_kind(guard->argument);

	if (kind == FieldKind::day)
		return false; /* of a date between two the time of day is not seen */
	added->type = guard->argument;
	added->path = guard->path;
	added->numbers = numbers && (guard->argument == INT4OID || guard->argument == INT8OID);
	if (added->numbers)
	{
		added->least = added->greatest = -1;
		added->total = accumulator(plain, "$sum", guard->path);
		plain->number_count++;
		return true;
	}
	added->least = accumulator(plain, "$min", guard->path);
	added->greatest = accumulator(plain, "$max", guard->path);
	added->total = kind == FieldKind::integer || kind == FieldKind::real
					   ? accumulator(plain, "$sum", guard->path)
					   : -1;
	return true;
}

/* Whether each document of a group that passes has a number there. */
static bool
is_all_numbers(const PlainGroup *plain, const char *path)
{
	for (int i = 0; i < plain->guard_count; i++)
		if (plain->guards[i].numbers && strcmp(plain->guards[i].path, path) == 0)
			return true;
	return false;
}

static bool
add_output(PlainGroup *plain, const Output *output)
{
	PlainOutput *added = &plain->outputs[plain->count++];

	added->output = *output;
	added->output.not_null = output->not_null || is_all_numbers(plain, output->path);
	added->value = added->count = -1;
	switch (output->kind)
	{
		case OutputKind::key:
			plain->key_count++;
			return true;
		case OutputKind::count_rows:
			break;
		case OutputKind::count_distinct:
			plain->distinct = output->path;
			break;
		case OutputKind::count_values:
			/* jsonb shows a MinKey, which is less than null, and has no guard. */
			if (output->argument == JSONBOID || output->argument == JSONOID)
				return false;
			break;
		case OutputKind::sum:
		case OutputKind::average:
			added->value = accumulator(plain, "$sum", output->path, output->filter);
			break;
		case OutputKind::least:
			added->value = accumulator(plain, "$min", output->path, output->filter);
			break;
		case OutputKind::greatest:
			added->value = accumulator(plain, "$max", output->path, output->filter);
			break;
	}
	bool counts = output->kind == OutputKind::count_values || output->kind == OutputKind::average;
	if (output->filter >= 0)
		counts = output->kind != OutputKind::least && output->kind != OutputKind::greatest;
	if (counts && (output->filter >= 0 || !added->output.not_null))
		added->count =
			accumulator(plain, nullptr, added->output.not_null ? "" : output->path, output->filter);
	return true;
}

PlainGroup *
plain_group_build(List *item, GroupTry attempt)
{
	auto *plain = static_cast<PlainGroup *>(palloc0(sizeof(PlainGroup)));
	auto *outputs = static_cast<List *>(linitial(item));
	auto *guards = static_cast<List *>(lsecond(item));
	Size width = static_cast<Size>(Max(list_length(outputs), 1));
	bool possible = true;
	ListCell *cell;

	plain->outputs = static_cast<PlainOutput *>(palloc0(sizeof(PlainOutput) * width));
	plain->keys = static_cast<PlainKey *>(palloc0(sizeof(PlainKey) * width));
	plain->guards = static_cast<PlainGuard *>(
		palloc0(sizeof(PlainGuard) * static_cast<Size>(Max(list_length(guards), 1))));
	if (attempt == GroupTry::exact)
		return nullptr;
	foreach (cell, guards)
	{
		Output guard = output_from_list(lfirst_node(List, cell));
		possible = possible && add_guard(plain, &guard, attempt == GroupTry::numbers);
	}
	foreach (cell, outputs)
	{
		Output output = output_from_list(lfirst_node(List, cell));
		possible = possible && add_output(plain, &output);
	}
	if (attempt == GroupTry::numbers && plain->number_count == 0)
		return nullptr;
	return possible ? plain : nullptr;
}

/* Whether _id is the key itself, and no document of keys. */
static bool
has_bare_key(const PlainGroup *plain)
{
	return plain->key_count == 1 && plain->number_count == 0;
}

/* Each key under its name, as "put" writes it. */
template <class PutKey, class PutNumber>
static void
put_key_document(bson_t *group, const PlainGroup *plain, const char *distinct, PutKey put_key,
				 PutNumber put_number)
{
	bson_t keys;

	BSON_APPEND_DOCUMENT_BEGIN(group, "_id", &keys);
	for (int i = 0; i < plain->count; i++)
		if (plain->outputs[i].output.kind == OutputKind::key)
			put_key(&keys, psprintf("v%d", i), plain->outputs[i].output.path);
	for (int i = 0; i < plain->guard_count; i++)
		if (plain->guards[i].numbers)
			put_number(&keys, psprintf("n%d", i), plain->guards[i].path);
	if (distinct != nullptr)
		put_field(&keys, "d", distinct);
	bson_append_document_end(group, &keys);
}

static void
put_is_number(bson_t *keys, const char *name, const char *path)
{
	put_unary(keys, name, "$isNumber",
			  [&](bson_t *call, const char *op) { put_field(call, op, path); });
}

static void
put_bare_key(bson_t *group, const PlainGroup *plain)
{
	for (int i = 0; i < plain->count; i++)
		if (plain->outputs[i].output.kind == OutputKind::key)
			put_field(group, "_id",
					  plain->distinct != nullptr ? psprintf("_id.v%d", i)
												 : plain->outputs[i].output.path);
}

static void
put_keys(bson_t *group, const PlainGroup *plain)
{
	if (plain->distinct == nullptr && plain->key_count + plain->number_count == 0)
		BSON_APPEND_NULL(group, "_id");
	else if (plain->distinct == nullptr && has_bare_key(plain))
		put_bare_key(group, plain);
	else
		put_key_document(group, plain, plain->distinct, put_field, put_is_number);
}

/* The keys of the groups that are put together. */
static void
put_merged_keys(bson_t *group, const PlainGroup *plain)
{
	auto put = [](bson_t *keys, const char *name, const char *path)
	{ put_field(keys, name, psprintf("_id.%s", name)); };

	if (plain->key_count + plain->number_count == 0)
		BSON_APPEND_NULL(group, "_id");
	else if (has_bare_key(plain))
		put_bare_key(group, plain);
	else
		put_key_document(group, plain, nullptr, put, put);
}

/* 1 for a document that is counted: null and missing are not greater than null. */
static void
put_one(bson_t *out, const char *key, const char *path)
{
	if (path[0] == '\0')
	{
		BSON_APPEND_INT32(out, key, 1);
		return;
	}
	put_list(out, key, "$cond",
			 [&](bson_t *cond)
			 {
				 put_list(cond, "0", "$gt",
						  [&](bson_t *pair)
						  {
							  put_field(pair, "0", path);
							  BSON_APPEND_NULL(pair, "1");
						  });
				 BSON_APPEND_INT32(cond, "1", 1);
				 BSON_APPEND_INT32(cond, "2", 0);
			 });
}

static void
put_accumulator(bson_t *group, const char *name, const Accumulator *added,
				const GroupFilters *filters)
{
	bool counts = added->op == nullptr;
	auto put_value = [&](bson_t *out, const char *key)
	{
		if (counts)
			put_one(out, key, added->path);
		else
			put_field(out, key, added->path);
	};
	auto put_nothing = [&](bson_t *out, const char *key)
	{
		if (counts)
			BSON_APPEND_INT32(out, key, 0);
		else
			BSON_APPEND_NULL(out, key);
	};

	put_unary(group, name, counts ? "$sum" : added->op,
			  [&](bson_t *call, const char *op)
			  { put_filtered(call, op, added->filter, filters, true, put_value, put_nothing); });
}

static bool
needs_rows(const PlainGroup *plain)
{
	for (int i = 0; i < plain->count; i++)
	{
		const PlainOutput *output = &plain->outputs[i];
		if (output->output.filter < 0 &&
			(output->output.kind == OutputKind::count_rows ||
			 (output->output.not_null && (output->output.kind == OutputKind::count_values ||
										  output->output.kind == OutputKind::average))))
			return true;
	}
	return false;
}

void
put_plain_group(bson_t *group, const PlainGroup *plain, const GroupFilters *filters)
{
	int i = 0;
	ListCell *cell;

	put_keys(group, plain);
	if (needs_rows(plain))
		put_unary(group, "rows", "$sum",
				  [](bson_t *sum, const char *op) { BSON_APPEND_INT32(sum, op, 1); });
	foreach (cell, plain->accumulators)
		put_accumulator(group, psprintf("a%d", i++), static_cast<Accumulator *>(lfirst(cell)),
						filters);
}

void
put_plain_merge(bson_t *group, const PlainGroup *plain)
{
	int i = 0;
	ListCell *cell;

	put_merged_keys(group, plain);
	if (needs_rows(plain))
		put_merged(group, "rows", "$sum");
	foreach (cell, plain->accumulators)
	{
		auto *added = static_cast<Accumulator *>(lfirst(cell));
		put_merged(group, psprintf("a%d", i++), added->op == nullptr ? "$sum" : added->op);
	}
	put_count_distinct(group, "distinct");
}

/*
 * The groups
 */

static bool
is_whole(bson_type_t type)
{
	return type == BSON_TYPE_INT32 || type == BSON_TYPE_INT64;
}

static bool
is_number(bson_type_t type)
{
	return is_whole(type) || type == BSON_TYPE_DOUBLE || type == BSON_TYPE_DECIMAL128;
}

/* Whether a value is of the one type that a kind of column is stored as; numbers are one for a group's key. */
static bool
is_natural(FieldKind kind, bson_type_t type)
{
	switch (kind)
	{
		case FieldKind::integer:
		case FieldKind::real:
		case FieldKind::decimal:
			return is_number(type);
		case FieldKind::string:
			return type == BSON_TYPE_UTF8;
		case FieldKind::boolean:
			return type == BSON_TYPE_BOOL;
		case FieldKind::instant:
		case FieldKind::wall_clock:
		case FieldKind::day:
			return type == BSON_TYPE_DATE_TIME;
		case FieldKind::uuid:
		case FieldKind::json_text:
		case FieldKind::object_id:
		case FieldKind::other:
			break;
	}
	return false;
}

static bool
find_accumulator(const bson_t *group, int number, bson_iter_t *field)
{
	char name[16];

	snprintf(name, sizeof(name), "a%d", number);
	return bson_iter_init_find(field, group, name);
}

static bool
find_in_keys(const bson_t *group, const char *name, bson_iter_t *field)
{
	bson_iter_t keys;

	return bson_iter_init_find(&keys, group, "_id") && BSON_ITER_HOLDS_DOCUMENT(&keys) &&
		   bson_iter_recurse(&keys, field) && bson_iter_find(field, name);
}

static bool
find_key(const PlainGroup *plain, const bson_t *group, int output, bson_iter_t *field)
{
	return has_bare_key(plain) ? bson_iter_init_find(field, group, "_id")
							   : find_in_keys(group, psprintf("v%d", output), field);
}

static bool
key_agrees(PlainGroup *plain, const bson_t *group, int number)
{
	PlainKey *key = &plain->keys[number];
	bson_iter_t field;

	if (!find_key(plain, group, number, &field))
		key->missing_seen = true;
	else if (BSON_ITER_HOLDS_NULL(&field))
		key->null_seen = true;
	else
		return is_natural(field_kind(plain->outputs[number].output.argument),
						  bson_iter_type(&field));
	return !(key->missing_seen && key->null_seen);
}

static bool
integers_agree(Oid type, const bson_iter_t *least, const bson_iter_t *greatest,
			   const bson_iter_t *total)
{
	int64 limit = type == INT2OID ? PG_INT16_MAX : type == INT4OID ? PG_INT32_MAX : PG_INT64_MAX;

	return is_whole(bson_iter_type(least)) && is_whole(bson_iter_type(greatest)) &&
		   is_whole(bson_iter_type(total)) && bson_iter_as_int64(least) >= -limit - 1 &&
		   bson_iter_as_int64(greatest) <= limit;
}

/* Up to 2^53 a double holds whole numbers; NaN is the least of all and no number's equal. */
static bool
reals_agree(const bson_iter_t *least, const bson_iter_t *greatest, const bson_iter_t *total)
{
	static constexpr double limit = 9007199254740992.0;
	bson_type_t types[] = {bson_iter_type(least), bson_iter_type(greatest), bson_iter_type(total)};

	for (bson_type_t type : types)
		if (!is_number(type) || type == BSON_TYPE_DECIMAL128)
			return false;
	return bson_iter_as_double(least) >= -limit && bson_iter_as_double(greatest) <= limit;
}

static bool
dates_agree(const bson_iter_t *least, const bson_iter_t *greatest)
{
	return BSON_ITER_HOLDS_DATE_TIME(least) && BSON_ITER_HOLDS_DATE_TIME(greatest) &&
		   bson_iter_date_time(least) >= microseconds_to_date(MIN_TIMESTAMP) &&
		   bson_iter_date_time(greatest) < microseconds_to_date(END_TIMESTAMP);
}

/* Numbers alone, all of them whole and in the column's range: an int's is the sum's own, if no long was among its terms. */
static bool
numbers_agree(const PlainGroup *plain, int number, const bson_t *group)
{
	const PlainGuard *guard = &plain->guards[number];
	bson_iter_t field;

	return find_in_keys(group, psprintf("n%d", number), &field) && BSON_ITER_HOLDS_BOOL(&field) &&
		   bson_iter_bool(&field) && find_accumulator(group, guard->total, &field) &&
		   (BSON_ITER_HOLDS_INT32(&field) ||
			(guard->type == INT8OID && BSON_ITER_HOLDS_INT64(&field)));
}

static bool
guard_agrees(const PlainGroup *plain, int number, const bson_t *group)
{
	const PlainGuard *guard = &plain->guards[number];
	bson_iter_t least;
	bson_iter_t greatest;
	bson_iter_t total;
	FieldKind kind = field_kind(guard->type);

	if (guard->numbers)
		return numbers_agree(plain, number, group);
	if (!find_accumulator(group, guard->least, &least) ||
		!find_accumulator(group, guard->greatest, &greatest) ||
		(guard->total >= 0 && !find_accumulator(group, guard->total, &total)))
		return false;
	if (BSON_ITER_HOLDS_NULL(&least))
		return BSON_ITER_HOLDS_NULL(&greatest);
	switch (kind)
	{
		case FieldKind::integer:
			return integers_agree(guard->type, &least, &greatest, &total);
		case FieldKind::real:
			return reals_agree(&least, &greatest, &total);
		case FieldKind::instant:
		case FieldKind::wall_clock:
			return dates_agree(&least, &greatest);
		default:
			return is_natural(kind, bson_iter_type(&least)) &&
				   is_natural(kind, bson_iter_type(&greatest));
	}
}

/* The guard's own sum is of all documents: in the sum of some of them there may be less that cancels out. */
static bool
filtered_sum_agrees(const PlainOutput *output, const bson_t *group)
{
	bool sum = output->output.kind == OutputKind::sum || output->output.kind == OutputKind::average;
	bson_iter_t field;

	return output->output.filter < 0 || !sum ||
		   (find_accumulator(group, output->value, &field) && is_whole(bson_iter_type(&field)));
}

bool
plain_group_agrees(PlainGroup *plain, const bson_t *group)
{
	for (int i = 0; i < plain->guard_count; i++)
		if (!guard_agrees(plain, i, group))
			return false;
	for (int i = 0; i < plain->count; i++)
		if (!filtered_sum_agrees(&plain->outputs[i], group) ||
			(plain->outputs[i].output.kind == OutputKind::key && !key_agrees(plain, group, i)))
			return false;
	return true;
}

/* A sum of no values is 0 there and NULL here: then there is no least value either. */
static bool
is_empty_sum(const PlainGroup *plain, const bson_t *group, const PlainOutput *sum)
{
	const Output *output = &sum->output;
	bson_iter_t least;
	int number = 0;
	ListCell *cell;

	if ((output->kind != OutputKind::sum && output->kind != OutputKind::average) ||
		(output->filter < 0 && is_all_numbers(plain, output->path)))
		return false;
	if (output->filter >= 0)
		return !find_accumulator(group, sum->count, &least) || bson_iter_as_int64(&least) == 0;
	foreach (cell, plain->accumulators)
	{
		auto *other = static_cast<Accumulator *>(lfirst(cell));
		if (other->op != nullptr && strcmp(other->op, "$min") == 0 &&
			strcmp(other->path, output->path) == 0)
			return find_accumulator(group, number, &least) && BSON_ITER_HOLDS_NULL(&least);
		number++;
	}
	elog(ERROR, "path \"%s\" is summed without a guard", output->path);
}

void
plain_group_value(const PlainGroup *plain, const bson_t *group, int number, PlainValue *value)
{
	const PlainOutput *output = &plain->outputs[number];
	bool found;

	value->count = -1;
	if (output->output.kind == OutputKind::key)
		found = find_key(plain, group, number, &value->space);
	else if (output->output.kind == OutputKind::count_distinct)
		found = bson_iter_init_find(&value->space, group, "distinct");
	else if (output->value >= 0)
		found = find_accumulator(group, output->value, &value->space) &&
				!is_empty_sum(plain, group, output);
	else
		found = output->count >= 0 ? find_accumulator(group, output->count, &value->space)
								   : bson_iter_init_find(&value->space, group, "rows");
	value->field = found ? &value->space : nullptr;
	if (output->output.kind == OutputKind::average)
	{
		bson_iter_t count;
		if (output->count >= 0 ? find_accumulator(group, output->count, &count)
							   : bson_iter_init_find(&count, group, "rows"))
			value->count = bson_iter_as_int64(&count);
	}
}

} // namespace bridge
