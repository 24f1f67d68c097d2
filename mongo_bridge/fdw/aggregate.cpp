/*
 * aggregate.cpp — GROUP BY and aggregates: which ones MongoDB may compute, how, and the rows that
 * come of it.
 *
 * What is computed there is what is computed here, to the last digit, or it stays here:
 *
 *   keys        integers, doubles, booleans, dates, strings: there as here, 1 and 1.0 are one
 * group, so are null and missing. Not numeric, where a double and a decimal that look the same are
 * two values there; not uuid. count       of rows, or of values that are not null. sum, avg    of
 * integers, as long for smallint and integer and as decimal for bigint, so that nothing overflows
 * into a double; avg is divided here.  Sums of doubles depend on the order of their terms, as
 * everywhere. min, max    of integers, dates, and strings where the collation compares bytes;
 * bool_and, bool_or likewise.
 *
 * A value that does not fit its column is an error when a row is read, and here no row is.  So each
 * group counts the documents whose values do not fit, of the columns that an aggregate or a
 * condition looks at; more than none is an error. HAVING is evaluated here, on the groups.  Without
 * GROUP BY there is one row even where no document matches.
 */
#include "../bson/document.h"
#include "../bson/value.h"
#include "../client/client.h"
#include "bson_convert.h"
#include "fdw.h"

namespace bridge
{

/* What a column of the result is made of. */
enum class OutputKind
{
	key,
	count_rows,
	count_values,
	sum,
	average,
	least,
	greatest
};

struct Output
{
	OutputKind kind;
	const char *path; /* of the argument, or the key; "" for count(*) */
	Oid argument;	  /* its type */
	Oid result;		  /* the column's type and typmod */
	int32 typmod;
};

/*
 * How a plan keeps them: a list of outputs, and one of guarded columns, each with the same five
 * things.
 */

static List *
output_to_list(const Output *output)
{
	return list_make5(makeInteger(static_cast<int>(output->kind)),
					  makeString(pstrdup(output->path)),
					  makeInteger(static_cast<int>(output->argument)),
					  makeInteger(static_cast<int>(output->result)), makeInteger(output->typmod));
}

static Output
output_from_list(List *list)
{
	Output output;

	output.kind = static_cast<OutputKind>(intVal(linitial(list)));
	output.path = strVal(lsecond(list));
	output.argument = static_cast<Oid>(intVal(lthird(list)));
	output.result = static_cast<Oid>(intVal(lfourth(list)));
	output.typmod = intVal(list_nth(list, 4));
	return output;
}

/*
 * Planning
 */

/* The query's grouping under construction. */
struct Grouping
{
	PlannerInfo *root;
	RelOptInfo *relation;
	Oid foreign_table;
	List *outputs;
	List *guards;
	List *slot; /* TargetEntries, one for each output */
};

/* Whether put_fits() can tell if a value fits the column; "trivial": every value does. */
static bool
can_guard(const Var *column, bool *trivial)
{
	*trivial = column->vartype == JSONBOID || column->vartype == JSONOID;
	if (*trivial)
		return true;
	if (column->vartypmod >= 0 || getBaseType(column->vartype) != column->vartype)
		return false;
	switch (field_kind(column->vartype))
	{
		case FieldKind::uuid:
		case FieldKind::other:
			return false;
		case FieldKind::string:
			return column->vartype == TEXTOID || column->vartype == VARCHAROID;
		default:
			return true;
	}
}

static bool
add_guard(Grouping *grouping, const Var *column, const char *path)
{
	Output guard = {OutputKind::key, path, column->vartype, column->vartype, -1};
	bool trivial;

	if (!can_guard(column, &trivial))
		return false;
	if (!trivial)
		grouping->guards = list_append_unique(grouping->guards, output_to_list(&guard));
	return true;
}

/* Every condition but IS NULL lets values pass that do not fit: an array matches by each of its
 * elements. */
static bool
guard_condition(Grouping *grouping, const Shippable *part)
{
	return part->condition.comparison == Comparison::is_null ||
		   add_guard(grouping, part->column, part->condition.path);
}

static bool
guard_conditions(Grouping *grouping)
{
	ListCell *cell;

	foreach (cell, grouping->relation->baserestrictinfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		Shippable part;

		if (restriction->pseudoconstant)
			return false;
		if (!clause_shippable(grouping->root, grouping->relation, grouping->foreign_table,
							  restriction->clause, &part) ||
			!part.exact || !guard_condition(grouping, &part))
			return false;
	}
	return true;
}

static const char *
column_path(const Grouping *grouping, const Var *column)
{
	ColumnOptions options = column_options(grouping->foreign_table, column->varattno);

	return options.document ? nullptr : options.path;
}

static void
add_output(Grouping *grouping, const Output *output, Expr *expression, Index reference)
{
	ListCell *cell;

	foreach (cell, grouping->slot)
		if (equal(lfirst_node(TargetEntry, cell)->expr, expression))
			return;
	TargetEntry *entry =
		makeTargetEntry(static_cast<Expr *>(copyObject(expression)),
						static_cast<AttrNumber>(list_length(grouping->slot) + 1), nullptr, false);
	entry->ressortgroupref = reference;
	grouping->slot = lappend(grouping->slot, entry);
	grouping->outputs = lappend(grouping->outputs, output_to_list(output));
}

static bool
add_key(Grouping *grouping, Expr *expression, Index reference)
{
	Var *column = column_of(grouping->relation, expression);

	if (column == nullptr)
		return false;
	const char *path = column_path(grouping, column);
	Oid collation = exprCollation(reinterpret_cast<Node *>(expression));
	switch (field_kind(getBaseType(column->vartype)))
	{
		case FieldKind::decimal:
		case FieldKind::uuid:
		case FieldKind::other:
			return false;
		case FieldKind::string:
			if (!OidIsValid(collation) || !get_collation_isdeterministic(collation))
				return false;
			break;
		default:
			break;
	}
	if (path == nullptr)
		return false;

	Node *node = reinterpret_cast<Node *>(expression);
	Output output = {OutputKind::key, path, getBaseType(column->vartype), column->vartype,
					 column->vartypmod};
	if (exprType(node) != column->vartype)
	{
		output.result = exprType(node);
		output.typmod = -1;
	}
	add_output(grouping, &output, expression, reference);
	return true;
}

/* What an aggregate function of the system is; false if it is none of those that are known here. */
static bool
kind_of_aggregate(const Aggref *aggregate, OutputKind *kind)
{
	if (aggregate->aggfnoid >= FirstGenbkiObjectId)
		return false;

	const char *name = get_func_name(aggregate->aggfnoid);
	if (strcmp(name, "count") == 0)
		*kind = aggregate->aggstar ? OutputKind::count_rows : OutputKind::count_values;
	else if (strcmp(name, "sum") == 0)
		*kind = OutputKind::sum;
	else if (strcmp(name, "avg") == 0)
		*kind = OutputKind::average;
	else if (strcmp(name, "min") == 0 || strcmp(name, "bool_and") == 0 ||
			 strcmp(name, "every") == 0)
		*kind = OutputKind::least;
	else if (strcmp(name, "max") == 0 || strcmp(name, "bool_or") == 0)
		*kind = OutputKind::greatest;
	else
		return false;
	return true;
}

static bool
argument_is_exact(OutputKind kind, const Var *column, Oid collation)
{
	FieldKind field = field_kind(column->vartype);

	switch (kind)
	{
		case OutputKind::count_values:
			return true;
		case OutputKind::sum:
		case OutputKind::average:
			return field == FieldKind::integer;
		case OutputKind::least:
		case OutputKind::greatest:
			return field != FieldKind::real && sorts_alike(field, collation);
		default:
			return false;
	}
}

static bool
add_aggregate(Grouping *grouping, Aggref *aggregate)
{
	Output output = {OutputKind::count_rows, "", InvalidOid, aggregate->aggtype, -1};

	if (aggregate->agglevelsup != 0 || aggregate->aggkind != AGGKIND_NORMAL ||
		aggregate->aggorder != NIL || aggregate->aggdistinct != NIL ||
		aggregate->aggfilter != nullptr || aggregate->aggsplit != AGGSPLIT_SIMPLE ||
		!kind_of_aggregate(aggregate, &output.kind))
		return false;
	if (output.kind != OutputKind::count_rows)
	{
		if (list_length(aggregate->args) != 1)
			return false;
		/* An argument that was cast, even to a type of the same form, is not taken for a column. */
		Expr *argument = linitial_node(TargetEntry, aggregate->args)->expr;
		bool relabelled = IsA(argument, RelabelType);
		Var *column = column_of(grouping->relation, argument);
		if (column == nullptr || (relabelled && column->vartype != VARCHAROID) ||
			!argument_is_exact(output.kind, column, aggregate->inputcollid))
			return false;
		output.path = column_path(grouping, column);
		output.argument = column->vartype;
		if (output.path == nullptr || !add_guard(grouping, column, output.path))
			return false;
	}
	add_output(grouping, &output, reinterpret_cast<Expr *>(aggregate), 0);
	return true;
}

/* The aggregates in an expression; a column in it must be a key. */
static bool
add_parts(Grouping *grouping, Node *expression)
{
	List *parts = pull_var_clause(expression, PVC_INCLUDE_AGGREGATES | PVC_INCLUDE_PLACEHOLDERS);
	ListCell *cell;

	foreach (cell, parts)
	{
		auto *part = static_cast<Node *>(lfirst(cell));
		if (IsA(part, Aggref))
		{
			if (!add_aggregate(grouping, reinterpret_cast<Aggref *>(part)))
				return false;
		}
		else
		{
			bool known = false;
			ListCell *entry;
			foreach (entry, grouping->slot)
				known = known || equal(lfirst_node(TargetEntry, entry)->expr, part);
			if (!known)
				return false;
		}
	}
	return true;
}

bool
grouping_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, PathTarget *target,
				   List *having, GroupedPlan *plan)
{
	Grouping grouping = {root, relation, foreign_table, NIL, NIL, NIL};
	int i = 0;
	ListCell *cell;

	if (!guard_conditions(&grouping))
		return false;

	/* The keys first: what else stands in the target may use them. */
	foreach (cell, target->exprs)
	{
		Index reference = get_pathtarget_sortgroupref(target, i++);
		if (reference != 0 &&
			get_sortgroupref_clause_noerr(reference, root->parse->groupClause) != nullptr &&
			!add_key(&grouping, static_cast<Expr *>(lfirst(cell)), reference))
			return false;
	}
	/* GROUP BY a constant: of no document there is no group, which a command without keys does not say. */
	if (root->parse->groupClause != NIL && grouping.outputs == NIL)
		return false;
	i = 0;
	foreach (cell, target->exprs)
	{
		Index reference = get_pathtarget_sortgroupref(target, i++);
		bool is_key = reference != 0 &&
					  get_sortgroupref_clause_noerr(reference, root->parse->groupClause) != nullptr;
		if (!is_key && !add_parts(&grouping, static_cast<Node *>(lfirst(cell))))
			return false;
	}
	if (!add_parts(&grouping, reinterpret_cast<Node *>(having)))
		return false;

	plan->item = list_make2(grouping.outputs, grouping.guards);
	plan->slot = grouping.slot;
	plan->having = having;
	return true;
}

/*
 * The command
 */

/* {op: argument}, where "put" appends the argument under the key that it is given. */
template <class Put>
static void
put_unary(bson_t *out, const char *key, const char *op, Put put)
{
	bson_t call;

	bson_append_document_begin(out, key, -1, &call);
	put(&call, op);
	bson_append_document_end(out, &call);
}

template <class Put>
static void
put_list(bson_t *out, const char *key, const char *op, Put put)
{
	put_unary(out, key, op,
			  [&](bson_t *call, const char *name)
			  {
				  bson_t arguments;
				  bson_append_array_begin(call, name, -1, &arguments);
				  put(&arguments);
				  bson_append_array_end(call, &arguments);
			  });
}

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
put_count_values(bson_t *group, const char *name, const char *path)
{
	put_unary(group, name, "$sum",
			  [&](bson_t *sum, const char *op)
			  {
				  put_list(sum, op, "$cond",
						   [&](bson_t *cond)
						   {
							   put_is_null(cond, "0", path);
							   BSON_APPEND_INT32(cond, "1", 0);
							   BSON_APPEND_INT32(cond, "2", 1);
						   });
			  });
}

/*
 * A long first, also on the way to a decimal: MongoDB keeps 15 digits of a double that becomes one.
 */
static void
put_sum(bson_t *group, const char *name, const Output *output)
{
	put_unary(group, name, "$sum",
			  [&](bson_t *sum, const char *op)
			  {
				  if (output->argument != INT8OID)
				  {
					  put_converted(sum, op, output->path, "long");
					  return;
				  }
				  put_unary(sum, op, "$toDecimal",
							[&](bson_t *call, const char *decimal)
							{ put_converted(call, decimal, output->path, "long"); });
			  });
}

static void
put_output(bson_t *group, int number, const Output *output)
{
	const char *name = psprintf("v%d", number);

	switch (output->kind)
	{
		case OutputKind::key:
			break;
		case OutputKind::count_rows:
			put_unary(group, name, "$sum",
					  [&](bson_t *sum, const char *op) { BSON_APPEND_INT32(sum, op, 1); });
			break;
		case OutputKind::count_values:
			put_count_values(group, name, output->path);
			break;
		case OutputKind::sum:
		case OutputKind::average:
			put_sum(group, name, output);
			put_count_values(group, psprintf("n%d", number), output->path);
			break;
		case OutputKind::least:
		case OutputKind::greatest:
			put_unary(group, name, output->kind == OutputKind::least ? "$min" : "$max",
					  [&](bson_t *call, const char *op)
					  { put_column_value(call, op, output->path, field_kind(output->argument)); });
			break;
	}
}

static void
put_keys(bson_t *group, List *outputs)
{
	bson_t keys;
	bool any = false;
	int i = 0;
	ListCell *cell;

	foreach (cell, outputs)
	{
		Output output = output_from_list(lfirst_node(List, cell));
		any = any || output.kind == OutputKind::key;
	}
	if (!any)
	{
		BSON_APPEND_NULL(group, "_id");
		return;
	}
	BSON_APPEND_DOCUMENT_BEGIN(group, "_id", &keys);
	foreach (cell, outputs)
	{
		Output output = output_from_list(lfirst_node(List, cell));
		if (output.kind == OutputKind::key)
			put_column_value(&keys, psprintf("v%d", i), output.path, field_kind(output.argument));
		i++;
	}
	bson_append_document_end(group, &keys);
}

void
deparse_group(const FindCommand *find, const bson_t *filter, bson_t *command)
{
	auto *outputs = static_cast<List *>(linitial(find->group));
	auto *guards = static_cast<List *>(lsecond(find->group));
	Items stages = new_items();
	bson_t *group = new_document();
	int i = 0;
	ListCell *cell;

	if (!bson_empty(filter))
		add_stage(&stages, "$match", filter);
	put_keys(group, outputs);
	foreach (cell, outputs)
	{
		Output output = output_from_list(lfirst_node(List, cell));
		put_output(group, i++, &output);
	}
	put_misfits(group, guards);
	add_stage(&stages, "$group", group);
	put_pipeline(command, find, &stages);
}

/*
 * Rows
 */

struct GroupReader
{
	int count;
	Output *outputs;
	ValueType **types; /* of the outputs */
	bool has_keys;
};

GroupReader *
group_reader_build(List *item, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	auto *reader = static_cast<GroupReader *>(palloc0(sizeof(GroupReader)));
	auto *outputs = static_cast<List *>(linitial(item));
	Size size = static_cast<Size>(Max(list_length(outputs), 1));
	ListCell *cell;

	reader->outputs = static_cast<Output *>(palloc(sizeof(Output) * size));
	reader->types = static_cast<ValueType **>(palloc(sizeof(ValueType *) * size));
	foreach (cell, outputs)
	{
		Output *output = &reader->outputs[reader->count];
		*output = output_from_list(lfirst_node(List, cell));
		reader->has_keys = reader->has_keys || output->kind == OutputKind::key;
		/* What is divided here, or summed as a decimal, comes as a number. */
		Oid type = output->kind == OutputKind::average ? NUMERICOID : output->result;
		reader->types[reader->count++] = value_type_build(type, output->typmod, context);
	}
	MemoryContextSwitchTo(caller);
	return reader;
}

bool
group_has_keys(const GroupReader *reader)
{
	return reader->has_keys;
}

static void
read_value(const GroupReader *reader, Relation table, int number, const bson_iter_t *field,
		   Datum *value, bool *isnull)
{
	Refusal refusal;

	if (value_convert(reader->types[number], field, value, isnull, &refusal))
		return;

	const char *s = refusal.sqlstate;
	ereport(ERROR, (errcode(MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4])),
					errmsg("a value of field \"%s\" does not fit foreign table \"%s\"",
						   reader->outputs[number].path, RelationGetRelationName(table)),
					errdetail("%s", refusal.reason)));
}

static int64
whole_field(const bson_t *group, const char *name)
{
	bson_iter_t field;

	return bson_iter_init_find(&field, group, name) ? bson_iter_as_int64(&field) : 0;
}

static void
check_misfits(const bson_t *group, Relation table)
{
	int64 misfits = whole_field(group, "misfits");

	if (misfits > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg_plural("a document does not fit foreign table \"%s\"",
							   "documents do not fit foreign table \"%s\"",
							   static_cast<unsigned long>(misfits), RelationGetRelationName(table)),
				 errdetail("MongoDB has counted " INT64_FORMAT
						   " whose values do not fit the columns that the query aggregates or "
						   "compares.",
						   misfits),
				 errhint("Select the columns without an aggregate: the error names document and "
						 "field.")));
}

static Datum
divide(Datum sum, int64 count)
{
	return DirectFunctionCall2(numeric_div, sum, NumericGetDatum(int64_to_numeric(count)));
}

void
group_reader_fill(const GroupReader *reader, Relation table, const bson_t *group, Datum *values,
				  bool *nulls)
{
	bson_iter_t field;
	bson_iter_t keys;

	check_misfits(group, table);
	for (int i = 0; i < reader->count; i++)
	{
		const Output *output = &reader->outputs[i];
		const char *name = psprintf("v%d", i);
		const bson_iter_t *found = nullptr;

		if (output->kind == OutputKind::key)
		{
			if (bson_iter_init_find(&keys, group, "_id") && bson_iter_recurse(&keys, &field) &&
				bson_iter_find(&field, name))
				found = &field;
		}
		else if (bson_iter_init_find(&field, group, name))
			found = &field;

		nulls[i] = true;
		if (output->kind == OutputKind::sum || output->kind == OutputKind::average)
		{
			int64 count = whole_field(group, psprintf("n%d", i));
			if (count == 0)
				continue;
			read_value(reader, table, i, found, &values[i], &nulls[i]);
			if (output->kind == OutputKind::average)
				values[i] = divide(values[i], count);
		}
		else
			read_value(reader, table, i, found, &values[i], &nulls[i]);
	}
}

/* The one row of a query without GROUP BY that no document matches. */
void
group_reader_empty(const GroupReader *reader, Datum *values, bool *nulls)
{
	for (int i = 0; i < reader->count; i++)
	{
		OutputKind kind = reader->outputs[i].kind;
		nulls[i] = kind != OutputKind::count_rows && kind != OutputKind::count_values;
		values[i] = Int64GetDatum(0);
	}
}

} // namespace bridge
