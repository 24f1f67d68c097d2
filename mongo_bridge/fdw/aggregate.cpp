/*
 * aggregate.cpp — GROUP BY, DISTINCT and aggregates: which ones MongoDB may compute, how, and the rows that come of it.
 *
 * What is computed there is what is computed here, to the last digit, or it stays here:
 *
 *   keys        integers, doubles, booleans, dates, strings: there as here, 1 and 1.0 are one group, so are null and
 *               missing.  Not numeric, where a double and a decimal that look the same are two values there; not uuid.
 *   count       of rows, or of values that are not null; of the different values of one column, which are one more key of a
 *               first stage, whose groups a second one puts together.
 *   sum, avg    of integers, as long for smallint and integer and as decimal for bigint, so that nothing overflows into a
 *               double; avg is divided here.  Sums of doubles depend on the order of their terms, as everywhere.
 *   min, max    of integers, dates, and strings where the collation compares bytes; bool_and, bool_or likewise.
 *
 * A value that does not fit its column is an error when a row is read, and here no row is.  So each group counts the
 * documents whose values do not fit, of the columns that an aggregate or a condition looks at; more than none is an error.
 * HAVING is evaluated here, on the groups.  Without GROUP BY there is one row even where no document matches.
 */
#include "../client/client.h"
#include "bson_convert.h"
#include "grouping.h"

namespace bridge
{

List *
output_to_list(const Output *output)
{
	List *list = list_make5(
		makeInteger(static_cast<int>(output->kind)), makeString(pstrdup(output->path)),
		makeInteger(static_cast<int>(output->argument)),
		makeInteger(static_cast<int>(output->result)), makeInteger(output->typmod));

	return list_concat(list,
					   list_make2(makeInteger(output->not_null), makeInteger(output->filter)));
}

Output
output_from_list(List *list)
{
	Output output;

	output.kind = static_cast<OutputKind>(intVal(linitial(list)));
	output.path = strVal(lsecond(list));
	output.argument = static_cast<Oid>(intVal(lthird(list)));
	output.result = static_cast<Oid>(intVal(lfourth(list)));
	output.typmod = intVal(list_nth(list, 4));
	output.not_null = intVal(list_nth(list, 5)) != 0;
	output.filter = intVal(list_nth(list, 6));
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
	List *filters;		 /* of Shippable */
	const char *distinct; /* path of the column whose different values are counted; null: none */
	Bitmapset *asked;	 /* columns of which it is known whether a condition leaves a null … */
	Bitmapset *not_null; /* … and of which none does */
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
		case FieldKind::json_text:
		case FieldKind::object_id:
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
	Output guard = {OutputKind::key, path, column->vartype, column->vartype, -1, false};
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
	ListCell *cell;

	if (is_junction(&part->condition))
	{
		foreach (cell, part->children)
			if (!guard_condition(grouping, static_cast<Shippable *>(lfirst(cell))))
				return false;
		return true;
	}
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

	return options.is_field() ? options.path : nullptr;
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

/* Whether values are one group there just if they are here. */
static bool
groups_alike(const Var *column, Oid collation)
{
	switch (field_kind(getBaseType(column->vartype)))
	{
		case FieldKind::decimal:
		case FieldKind::uuid:
		case FieldKind::json_text:
		case FieldKind::object_id:
		case FieldKind::other:
			return false;
		case FieldKind::string:
			return OidIsValid(collation) && get_collation_isdeterministic(collation);
		default:
			return true;
	}
}

static bool
add_key(Grouping *grouping, Expr *expression, Index reference)
{
	Var *column = column_of(grouping->relation, expression);

	if (column == nullptr ||
		!groups_alike(column, exprCollation(reinterpret_cast<Node *>(expression))))
		return false;
	const char *path = column_path(grouping, column);
	if (path == nullptr)
		return false;

	Node *node = reinterpret_cast<Node *>(expression);
	Output output = {OutputKind::key, path, getBaseType(column->vartype), column->vartype,
					 column->vartypmod, false};
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
		case OutputKind::count_distinct:
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
leaves_no_null(Grouping *grouping, Var *column)
{
	if (!bms_is_member(column->varattno, grouping->asked))
	{
		grouping->asked = bms_add_member(grouping->asked, column->varattno);
		if (condition_leaves_no_null(grouping->root, grouping->relation, grouping->foreign_table,
									 column))
			grouping->not_null = bms_add_member(grouping->not_null, column->varattno);
	}
	return bms_is_member(column->varattno, grouping->not_null);
}

/* All columns of an aggregate's condition are read for every row, IS NULL or not. */
static bool
guard_filter(Grouping *grouping, const Shippable *part)
{
	ListCell *cell;

	if (!is_junction(&part->condition))
		return add_guard(grouping, part->column, part->condition.path);
	foreach (cell, part->children)
		if (!guard_filter(grouping, static_cast<Shippable *>(lfirst(cell))))
			return false;
	return true;
}

static bool
add_filter(Grouping *grouping, Expr *clause, int *number)
{
	auto *part = static_cast<Shippable *>(palloc(sizeof(Shippable)));

	if (clause == nullptr)
		return true;
	if (!clause_shippable(grouping->root, grouping->relation, grouping->foreign_table, clause,
						  part) ||
		!part->exact || !filter_is_possible(part) || !guard_filter(grouping, part))
		return false;
	*number = list_length(grouping->filters);
	grouping->filters = lappend(grouping->filters, part);
	return true;
}

/* There is one more key, so there is one such column.  Of least and greatest values it does not matter. */
static bool
make_distinct(Grouping *grouping, const Aggref *aggregate, const Var *column, Output *output)
{
	if (output->kind == OutputKind::least || output->kind == OutputKind::greatest)
		return true;
	if (output->kind != OutputKind::count_values || output->filter >= 0 ||
		!groups_alike(column, aggregate->inputcollid) ||
		(grouping->distinct != nullptr && strcmp(grouping->distinct, output->path) != 0))
		return false;
	grouping->distinct = output->path;
	output->kind = OutputKind::count_distinct;
	return true;
}

static bool
add_aggregate(Grouping *grouping, Aggref *aggregate)
{
	Output output = {OutputKind::count_rows, "", InvalidOid, aggregate->aggtype, -1, false};

	if (aggregate->agglevelsup != 0 || aggregate->aggkind != AGGKIND_NORMAL ||
		aggregate->aggorder != NIL ||
		aggregate->aggsplit != AGGSPLIT_SIMPLE || !kind_of_aggregate(aggregate, &output.kind) ||
		!add_filter(grouping, aggregate->aggfilter, &output.filter))
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
		output.not_null = leaves_no_null(grouping, column);
		if (output.path == nullptr || !add_guard(grouping, column, output.path) ||
			(aggregate->aggdistinct != NIL && !make_distinct(grouping, aggregate, column, &output)))
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

static bool
is_key(List *clause, Index reference)
{
	return reference != 0 && get_sortgroupref_clause_noerr(reference, clause) != nullptr;
}

bool
grouping_shippable(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, List *clause,
				   PathTarget *target, List *having, GroupedPlan *plan)
{
	Grouping grouping = {root, relation, foreign_table, NIL, NIL, NIL, NIL, nullptr, nullptr, nullptr};
	int i = 0;
	ListCell *cell;

	if (!guard_conditions(&grouping))
		return false;

	/* The keys first: what else stands in the target may use them. */
	foreach (cell, target->exprs)
	{
		Index reference = get_pathtarget_sortgroupref(target, i++);
		if (is_key(clause, reference) &&
			!add_key(&grouping, static_cast<Expr *>(lfirst(cell)), reference))
			return false;
	}
	/* GROUP BY a constant: of no document there is no group, which a command without keys does not say. */
	if (clause != NIL && grouping.outputs == NIL)
		return false;
	i = 0;
	foreach (cell, target->exprs)
	{
		Index reference = get_pathtarget_sortgroupref(target, i++);
		if (!is_key(clause, reference) && !add_parts(&grouping, static_cast<Node *>(lfirst(cell))))
			return false;
	}
	if (!add_parts(&grouping, reinterpret_cast<Node *>(having)))
		return false;

	plan->item = list_make2(grouping.outputs, grouping.guards);
	plan->filters = grouping.filters;
	plan->slot = grouping.slot;
	plan->having = having;
	return true;
}

/*
 * The command
 */

const Output *
find_distinct(List *outputs)
{
	ListCell *cell;

	foreach (cell, outputs)
	{
		Output output = output_from_list(lfirst_node(List, cell));
		if (output.kind == OutputKind::count_distinct)
			return static_cast<Output *>(memcpy(palloc(sizeof(Output)), &output, sizeof(Output)));
	}
	return nullptr;
}

void
put_merged(bson_t *group, const char *name, const char *op)
{
	put_unary(group, name, op,
			  [&](bson_t *call, const char *key) { put_field(call, key, name); });
}

void
put_count_distinct(bson_t *group, const char *name)
{
	put_unary(group, name, "$sum",
			  [&](bson_t *sum, const char *op)
			  {
				  put_list(sum, op, "$cond",
						   [&](bson_t *cond)
						   {
							   put_list(cond, "0", "$gt",
										[&](bson_t *pair)
										{
											put_field(pair, "0", "_id.d");
											BSON_APPEND_NULL(pair, "1");
										});
							   BSON_APPEND_INT32(cond, "1", 1);
							   BSON_APPEND_INT32(cond, "2", 0);
						   });
			  });
}

void
deparse_group(const FindCommand *find, const bson_t *filter, bson_t *command)
{
	auto *outputs = static_cast<List *>(linitial(find->group));
	auto *guards = static_cast<List *>(lsecond(find->group));
	Items stages = new_items();
	bson_t *group = new_document();
	bson_t *merge = new_document();

	if (!bson_empty(filter))
		add_stage(&stages, "$match", filter);
	GroupFilters filters = {static_cast<List *>(lthird(find->group)), find->operands};
	if (find->plain != nullptr)
		put_plain_group(group, find->plain, &filters);
	else
		put_exact_group(group, outputs, guards, &filters);
	add_stage(&stages, "$group", group);
	if (find_distinct(outputs) != nullptr)
	{
		if (find->plain != nullptr)
			put_plain_merge(merge, find->plain);
		else
			put_exact_merge(merge, outputs, guards);
		add_stage(&stages, "$group", merge);
	}
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

static Datum
divide(Datum sum, int64 count)
{
	return DirectFunctionCall2(numeric_div, sum, NumericGetDatum(int64_to_numeric(count)));
}

/* The groups of the quick command; false if they are not what the exact one would give. */
bool
group_reader_fill_plain(const GroupReader *reader, PlainGroup *plain, const bson_t *group,
						Datum *values, bool *nulls)
{
	Refusal refusal;

	if (!plain_group_agrees(plain, group))
		return false;
	for (int i = 0; i < reader->count; i++)
	{
		PlainValue value;

		plain_group_value(plain, group, i, &value);
		if (!value_convert(reader->types[i], value.field, &values[i], &nulls[i], &refusal))
			return false;
		if (value.count > 0 && !nulls[i])
			values[i] = divide(values[i], value.count);
	}
	return true;
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
		nulls[i] = kind != OutputKind::count_rows && kind != OutputKind::count_values &&
				   kind != OutputKind::count_distinct;
		values[i] = Int64GetDatum(0);
	}
}

} // namespace bridge
