/*
 * group_command.cpp — the $group stage that is exact for whatever the documents hold.
 *
 * Keys and arguments are what the columns show, and each group counts the documents whose values do not fit their columns.
 */
#include <initializer_list>

#include "../bson/value.h"
#include "grouping.h"

namespace bridge
{

static void
put_is_null(bson_t *out, const char *key, const char *path)
{
	put_list(out, key, "$eq",
			 [&](bson_t *equal)
			 {
				 put_field_value(equal, "0", path, path);
				 BSON_APPEND_NULL(equal, "1");
			 });
}

/* Whether the value's type is one of these. */
static void
put_type_is(bson_t *out, const char *key, const char *path,
			std::initializer_list<const char *> types)
{
	put_list(out, key, "$in",
			 [&](bson_t *in)
			 {
				 bson_t names;
				 int i = 0;
				 put_unary(in, "0", "$type",
						   [&](bson_t *call, const char *op)
						   { put_field_value(call, op, path, path); });
				 BSON_APPEND_ARRAY_BEGIN(in, "1", &names);
				 for (const char *type : types)
					 bson_append_utf8(&names, psprintf("%d", i++), -1, type, -1);
				 bson_append_array_end(in, &names);
			 });
}

static void
put_is_number(bson_t *out, const char *key, const char *path)
{
	put_unary(out, key, "$isNumber",
			  [&](bson_t *call, const char *op) { put_field_value(call, op, path, path); });
}

/* {$convert: {input: value, to: type}}, null where that cannot be. */
static void
put_converted(bson_t *out, const char *key, const char *path, const char *type)
{
	put_unary(out, key, "$convert",
			  [&](bson_t *call, const char *op)
			  {
				  bson_t arguments;
				  bson_append_document_begin(call, op, -1, &arguments);
				  put_field_value(&arguments, "input", path, path);
				  BSON_APPEND_UTF8(&arguments, "to", type);
				  BSON_APPEND_NULL(&arguments, "onError");
				  BSON_APPEND_NULL(&arguments, "onNull");
				  bson_append_document_end(call, &arguments);
			  });
}

static void
put_fits_integer(bson_t *out, const char *key, const char *path, int64 least, int64 greatest)
{
	put_list(out, key, "$cond",
			 [&](bson_t *cond)
			 {
				 put_is_number(cond, "0", path);
				 put_list(cond, "1", "$and",
						  [&](bson_t *all)
						  {
							  put_list(all, "0", "$gte",
									   [&](bson_t *pair)
									   {
										   put_field_value(pair, "0", path, path);
										   BSON_APPEND_INT64(pair, "1", least);
									   });
							  put_list(all, "1", "$lte",
									   [&](bson_t *pair)
									   {
										   put_field_value(pair, "0", path, path);
										   BSON_APPEND_INT64(pair, "1", greatest);
									   });
							  put_list(all, "2", "$eq",
									   [&](bson_t *pair)
									   {
										   put_field_value(pair, "0", path, path);
										   put_unary(pair, "1", "$trunc",
													 [&](bson_t *call, const char *op)
													 { put_field_value(call, op, path, path); });
									   });
						  });
				 BSON_APPEND_BOOL(cond, "2", false);
			 });
}

static void
put_fits_real(bson_t *out, const char *key, const char *path)
{
	put_list(out, key, "$cond",
			 [&](bson_t *cond)
			 {
				 put_is_number(cond, "0", path);
				 put_list(cond, "1", "$eq",
						  [&](bson_t *pair)
						  {
							  put_field_value(pair, "0", path, path);
							  put_converted(pair, "1", path, "double");
						  });
				 BSON_APPEND_BOOL(cond, "2", false);
			 });
}

static void
put_fits_date(bson_t *out, const char *key, const char *path, bool whole_day)
{
	put_list(out, key, "$cond",
			 [&](bson_t *cond)
			 {
				 put_type_is(cond, "0", path, {"date"});
				 put_list(cond, "1", "$and",
						  [&](bson_t *all)
						  {
							  put_list(all, "0", "$gte",
									   [&](bson_t *pair)
									   {
										   put_field_value(pair, "0", path, path);
										   BSON_APPEND_DATE_TIME(
											   pair, "1", microseconds_to_date(MIN_TIMESTAMP));
									   });
							  put_list(all, "1", "$lt",
									   [&](bson_t *pair)
									   {
										   put_field_value(pair, "0", path, path);
										   BSON_APPEND_DATE_TIME(
											   pair, "1", microseconds_to_date(END_TIMESTAMP));
									   });
							  if (whole_day)
								  put_list(all, "2", "$eq",
										   [&](bson_t *pair)
										   {
											   put_list(pair, "0", "$mod",
														[&](bson_t *mod)
														{
															put_converted(mod, "0", path, "long");
															BSON_APPEND_INT64(mod, "1", 86400000);
														});
											   BSON_APPEND_INT64(pair, "1", 0);
										   });
						  });
				 BSON_APPEND_BOOL(cond, "2", false);
			 });
}

/* Whether a value that is not null fits its column. */
static void
put_fits(bson_t *out, const char *key, const Output *guard)
{
	const char *path = guard->path;

	switch (field_kind(guard->argument))
	{
		case FieldKind::integer:
			if (guard->argument == INT2OID)
				put_fits_integer(out, key, path, PG_INT16_MIN, PG_INT16_MAX);
			else if (guard->argument == INT4OID)
				put_fits_integer(out, key, path, PG_INT32_MIN, PG_INT32_MAX);
			else
				put_fits_integer(out, key, path, PG_INT64_MIN, PG_INT64_MAX);
			break;
		case FieldKind::real:
			put_fits_real(out, key, path);
			break;
		case FieldKind::decimal:
			put_is_number(out, key, path);
			break;
		case FieldKind::string:
			put_type_is(out, key, path, {"string", "symbol", "objectId"});
			break;
		case FieldKind::boolean:
			put_type_is(out, key, path, {"bool"});
			break;
		case FieldKind::instant:
		case FieldKind::wall_clock:
			put_fits_date(out, key, path, false);
			break;
		case FieldKind::day:
			put_fits_date(out, key, path, true);
			break;
		case FieldKind::uuid:
		case FieldKind::json_text:
		case FieldKind::object_id:
		case FieldKind::other:
			elog(ERROR, "column of path \"%s\" has no guard", path);
	}
}

/* The number of documents of the group that do not fit. */
static void
put_misfits(bson_t *group, List *guards)
{
	ListCell *cell;

	if (guards == NIL)
		return;
	put_unary(group, "misfits", "$sum",
			  [&](bson_t *sum, const char *op)
			  {
				  put_list(sum, op, "$cond",
						   [&](bson_t *cond)
						   {
							   put_list(cond, "0", "$and",
										[&](bson_t *all)
										{
											int i = 0;
											foreach (cell, guards)
											{
												Output guard =
													output_from_list(lfirst_node(List, cell));
												put_list(all, psprintf("%d", i++), "$or",
														 [&](bson_t *any)
														 {
															 put_is_null(any, "0", guard.path);
															 put_fits(any, "1", &guard);
														 });
											}
										});
							   BSON_APPEND_INT32(cond, "1", 0);
							   BSON_APPEND_INT32(cond, "2", 1);
						   });
			  });
}

static void
put_zero(bson_t *out, const char *key)
{
	BSON_APPEND_INT32(out, key, 0);
}

static void
put_null(bson_t *out, const char *key)
{
	BSON_APPEND_NULL(out, key);
}

static void
put_count_values(bson_t *group, const char *name, const Output *output, const GroupFilters *filters)
{
	auto put_one = [&](bson_t *out, const char *key)
	{
		put_list(out, key, "$cond",
				 [&](bson_t *cond)
				 {
					 put_is_null(cond, "0", output->path);
					 BSON_APPEND_INT32(cond, "1", 0);
					 BSON_APPEND_INT32(cond, "2", 1);
				 });
	};

	put_unary(group, name, "$sum",
			  [&](bson_t *sum, const char *op)
			  { put_filtered(sum, op, output->filter, filters, false, put_one, put_zero); });
}

/*
 * A long first, also on the way to a decimal: MongoDB keeps 15 digits of a double that becomes one.
 */
static void
put_sum(bson_t *group, const char *name, const Output *output, const GroupFilters *filters)
{
	auto put_term = [&](bson_t *out, const char *key)
	{
		if (output->argument != INT8OID)
		{
			put_converted(out, key, output->path, "long");
			return;
		}
		put_unary(out, key, "$toDecimal",
				  [&](bson_t *call, const char *decimal)
				  { put_converted(call, decimal, output->path, "long"); });
	};

	put_unary(group, name, "$sum",
			  [&](bson_t *sum, const char *op)
			  { put_filtered(sum, op, output->filter, filters, false, put_term, put_null); });
}

static void
put_output(bson_t *group, int number, const Output *output, const GroupFilters *filters)
{
	auto put_one = [](bson_t *out, const char *key) { BSON_APPEND_INT32(out, key, 1); };
	auto put_value = [&](bson_t *out, const char *key)
	{ put_column_value(out, key, output->path, field_kind(output->argument)); };
	const char *name = psprintf("v%d", number);

	switch (output->kind)
	{
		case OutputKind::key:
		case OutputKind::count_distinct:
			break;
		case OutputKind::count_rows:
			put_unary(group, name, "$sum",
					  [&](bson_t *sum, const char *op) {
						  put_filtered(sum, op, output->filter, filters, false, put_one, put_zero);
					  });
			break;
		case OutputKind::count_values:
			put_count_values(group, name, output, filters);
			break;
		case OutputKind::sum:
		case OutputKind::average:
			put_sum(group, name, output, filters);
			put_count_values(group, psprintf("n%d", number), output, filters);
			break;
		case OutputKind::least:
		case OutputKind::greatest:
			put_unary(
				group, name, output->kind == OutputKind::least ? "$min" : "$max",
				[&](bson_t *call, const char *op)
				{ put_filtered(call, op, output->filter, filters, false, put_value, put_null); });
			break;
	}
}

static bool
has_keys(List *outputs)
{
	ListCell *cell;

	foreach (cell, outputs)
	{
		Output output = output_from_list(lfirst_node(List, cell));
		if (output.kind == OutputKind::key)
			return true;
	}
	return false;
}

/* The keys under _id, each as "put" writes it under its name. */
template <class Put>
static void
put_keys(bson_t *group, List *outputs, const Output *distinct, Put put)
{
	bson_t keys;
	int i = 0;
	ListCell *cell;

	if (!has_keys(outputs) && distinct == nullptr)
	{
		BSON_APPEND_NULL(group, "_id");
		return;
	}
	BSON_APPEND_DOCUMENT_BEGIN(group, "_id", &keys);
	foreach (cell, outputs)
	{
		Output output = output_from_list(lfirst_node(List, cell));
		if (output.kind == OutputKind::key)
			put(&keys, psprintf("v%d", i), &output);
		i++;
	}
	if (distinct != nullptr)
		put(&keys, "d", distinct);
	bson_append_document_end(group, &keys);
}

void
put_exact_group(bson_t *group, List *outputs, List *guards, const GroupFilters *filters)
{
	int i = 0;
	ListCell *cell;

	put_keys(group, outputs, find_distinct(outputs),
			 [](bson_t *keys, const char *name, const Output *key)
			 { put_column_value(keys, name, key->path, field_kind(key->argument)); });
	foreach (cell, outputs)
	{
		Output output = output_from_list(lfirst_node(List, cell));
		put_output(group, i++, &output, filters);
	}
	put_misfits(group, guards);
}

static void
put_output_merge(bson_t *group, int number, const Output *output)
{
	const char *name = psprintf("v%d", number);

	switch (output->kind)
	{
		case OutputKind::key:
			break;
		case OutputKind::count_distinct:
			put_count_distinct(group, name);
			break;
		case OutputKind::sum:
		case OutputKind::average:
			put_merged(group, name, "$sum");
			put_merged(group, psprintf("n%d", number), "$sum");
			break;
		case OutputKind::least:
			put_merged(group, name, "$min");
			break;
		case OutputKind::greatest:
			put_merged(group, name, "$max");
			break;
		case OutputKind::count_rows:
		case OutputKind::count_values:
			put_merged(group, name, "$sum");
			break;
	}
}

void
put_exact_merge(bson_t *group, List *outputs, List *guards)
{
	int i = 0;
	ListCell *cell;

	put_keys(group, outputs, nullptr,
			 [](bson_t *keys, const char *name, const Output *key)
			 { put_field(keys, name, psprintf("_id.%s", name)); });
	foreach (cell, outputs)
	{
		Output output = output_from_list(lfirst_node(List, cell));
		put_output_merge(group, i++, &output);
	}
	if (guards != NIL)
		put_merged(group, "misfits", "$sum");
}

} // namespace bridge
