/*
 * plan.cpp — estimates, paths and plans of foreign scans.
 *
 * Planning never asks MongoDB anything: an EXPLAIN works while it is down.  A table that was never
 * analysed counts as 100,000 documents, for a guess that is too small is the dearer one: it makes
 * the planner fetch a whole collection where it could look up a few documents.  An equality is
 * taken to find its documents by an index.
 *
 * A LIMIT is pushed if MongoDB returns just the rows that PostgreSQL would count: no condition is
 * left to be evaluated here, and nothing stands between the scan and the LIMIT but a sort that
 * MongoDB can do.  Without a LIMIT such a sort is one of the paths, and a dear one: MongoDB sorts
 * many documents slower than PostgreSQL does.
 */
#include "analyze.h"
#include "fdw.h"

namespace bridge
{

static constexpr double default_tuples = 100000;
static constexpr double tenant_share = 0.005; /* as DEFAULT_EQ_SEL */
static constexpr Cost examine_cost = 0.002; /* of a document, in MongoDB */
static constexpr Cost transfer_cost = 0.02;
static constexpr Cost key_cost = 0.3;		/* of finding one key of many by an index */
static constexpr double sort_penalty = 1.1; /* of a whole sort in MongoDB, against one here */

/* What planning knows of one foreign table: RelOptInfo.fdw_private. */
struct TablePlan
{
	TableOptions options;
	Oid foreign_table;
	bool all_exact; /* every restriction is evaluated in MongoDB alone */
};

static bool
shippable(PlannerInfo *root, RelOptInfo *relation, Expr *clause, Shippable *result)
{
	auto *table = static_cast<TablePlan *>(relation->fdw_private);

	return table->options.pushdown &&
		   clause_shippable(root, relation, table->foreign_table, clause, result);
}

/* Whether an index can be expected to find the documents of a condition. */
static bool
is_equality(const Shippable *part)
{
	ListCell *cell;

	switch (part->condition.comparison)
	{
		case Comparison::equal:
		case Comparison::any_of:
		case Comparison::not_distinct:
		case Comparison::is_true:
			return true;
		case Comparison::either:
			foreach (cell, part->children)
				if (!is_equality(static_cast<Shippable *>(lfirst(cell))))
					return false;
			return true;
		case Comparison::both:
			foreach (cell, part->children)
				if (is_equality(static_cast<Shippable *>(lfirst(cell))))
					return true;
			return false;
		default:
			return false;
	}
}

/*
 * Estimates
 */

void
get_foreign_rel_size(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table)
{
	auto *table = static_cast<TablePlan *>(palloc0(sizeof(TablePlan)));
	bool one_document = false;
	ListCell *cell;

	table->options = table_options(foreign_table);
	table->foreign_table = foreign_table;
	table->all_exact = true;
	relation->fdw_private = table;

	foreach (cell, relation->baserestrictinfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		Shippable part;

		if (!shippable(root, relation, restriction->clause, &part))
			table->all_exact = false;
		else
		{
			table->all_exact = table->all_exact && part.exact;
			one_document = one_document || (part.condition.comparison == Comparison::equal &&
											strcmp(part.condition.path, "_id") == 0);
		}
	}

	if (relation->tuples <= 0)
		relation->tuples = default_tuples;
	if (table->options.tenant_field != nullptr)
	{
		double share = tenant_fraction(foreign_table, relation->max_attr, &table->options,
									   relation->tuples);
		relation->tuples = clamp_row_est(relation->tuples * (share > 0 ? share : tenant_share));
	}
	set_baserel_size_estimates(root, relation);
	if (one_document && table->options.unnest == nullptr)
		relation->rows = 1;
}

struct Estimate
{
	Cost startup;
	Cost total;
};

/* The cost of fetching "rows" documents of a table under these clauses. */
static Estimate
estimate_scan(PlannerInfo *root, RelOptInfo *relation, List *clauses, double rows)
{
	auto *table = static_cast<TablePlan *>(relation->fdw_private);
	double fetched = rows;
	bool by_index = table->options.tenant_field != nullptr;
	List *local = NIL;
	ListCell *cell;
	QualCost evaluation;

	foreach (cell, clauses)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);
		Shippable part;
		bool ships = shippable(root, relation, restriction->clause, &part);

		by_index = by_index || (ships && is_equality(&part));
		if (!ships || !part.exact)
			local = lappend(local, restriction);
		if (!ships)
			fetched /=
				Max(clause_selectivity(root, reinterpret_cast<Node *>(restriction),
									   static_cast<int>(relation->relid), JOIN_INNER, nullptr),
					1e-6);
	}
	fetched = Min(fetched, relation->tuples);
	cost_qual_eval(&evaluation, local, root);

	Estimate result;
	result.startup = round_trip_cost + evaluation.startup + relation->reltarget->cost.startup;
	result.total = result.startup + (by_index ? fetched : relation->tuples) * examine_cost +
				   fetched * (transfer_cost + cpu_tuple_cost + evaluation.per_tuple) +
				   rows * relation->reltarget->cost.per_tuple;
	return result;
}

/*
 * Paths
 */

/* generate_implied_equalities_for_column asks for one column after the other. */
struct EquivalenceSearch
{
	Expr *current;
	List *already_used;
};

static bool
matches_column(PlannerInfo *root, RelOptInfo *relation, EquivalenceClass *equivalence,
			   EquivalenceMember *member, void *argument)
{
	auto *search = static_cast<EquivalenceSearch *>(argument);

	if (search->current != nullptr)
		return equal(member->em_expr, search->current);
	if (list_member(search->already_used, member->em_expr))
		return false;
	search->current = member->em_expr;
	return true;
}

/* The parameterisations under which join clauses become conditions of the remote command. */
static List *
add_parameterization(PlannerInfo *root, RelOptInfo *relation, RestrictInfo *clause, List *found)
{
	Shippable part;

	if (!join_clause_is_movable_to(clause, relation) ||
		!shippable(root, relation, clause->clause, &part))
		return found;

	Relids outer = bms_union(clause->clause_relids, relation->lateral_relids);
	outer = bms_del_member(outer, static_cast<int>(relation->relid));
	if (bms_is_empty(outer))
		return found;
	return list_append_unique_ptr(found, get_baserel_parampathinfo(root, relation, outer));
}

static List *
find_parameterizations(PlannerInfo *root, RelOptInfo *relation)
{
	List *found = NIL;
	ListCell *cell;

	foreach (cell, relation->joininfo)
		found = add_parameterization(root, relation, lfirst_node(RestrictInfo, cell), found);
	if (!relation->has_eclass_joins)
		return found;

	EquivalenceSearch search = {nullptr, NIL};
	for (;;)
	{
		search.current = nullptr;
		List *clauses = generate_implied_equalities_for_column(
			root, relation, matches_column, &search, relation->lateral_referencers);
		if (search.current == nullptr)
			return found;
		foreach (cell, clauses)
			found = add_parameterization(root, relation, lfirst_node(RestrictInfo, cell), found);
		search.already_used = lappend(search.already_used, search.current);
	}
}

/* Documents in the query's order. */
static void
add_sorted_path(PlannerInfo *root, RelOptInfo *relation, const Estimate *plain)
{
	auto *table = static_cast<TablePlan *>(relation->fdw_private);
	double rows = clamp_row_est(relation->rows);
	List *keys;

	if (!sort_shippable(root, relation, table->foreign_table, root->query_pathkeys, &keys))
		return;

	/* All documents are examined and sorted before the first one comes; fetching them is the rest.
	 */
	Cost sorting = sort_penalty * 2 * cpu_operator_cost * rows * log2(Max(rows, 2));
	Cost fetching = rows * (transfer_cost + cpu_tuple_cost);
	Cost total = plain->total + sorting;
	add_path(relation, reinterpret_cast<Path *>(tenancy_foreign_path(
						   root, relation, relation->rows, Max(total - fetching, plain->startup),
						   total, root->query_pathkeys, relation->lateral_relids, keys)));
}

void
get_foreign_paths(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table)
{
	Estimate plain = estimate_scan(root, relation, relation->baserestrictinfo, relation->rows);
	ListCell *cell;

	add_path(relation, reinterpret_cast<Path *>(
						   tenancy_foreign_path(root, relation, relation->rows, plain.startup,
												plain.total, NIL, relation->lateral_relids, NIL)));

	if (!static_cast<TablePlan *>(relation->fdw_private)->options.pushdown)
		return;
	add_sorted_path(root, relation, &plain);
	foreach (cell, find_parameterizations(root, relation))
	{
		auto *parameters = static_cast<ParamPathInfo *>(lfirst(cell));
		List *clauses = list_concat_copy(relation->baserestrictinfo, parameters->ppi_clauses);
		Estimate lookup = estimate_scan(root, relation, clauses, parameters->ppi_rows);

		add_path(relation, reinterpret_cast<Path *>(tenancy_foreign_path(
							   root, relation, parameters->ppi_rows, lookup.startup, lookup.total,
							   NIL, parameters->ppi_req_outer, NIL)));
	}
}

Path *
look_up_path(PlannerInfo *root, RelOptInfo *relation, RestrictInfo *clause, ScalarArrayOpExpr *keys,
			 double count)
{
	auto *table = static_cast<TablePlan *>(relation->fdw_private);
	Shippable part;

	if (!shippable(root, relation, &keys->xpr, &part))
		return nullptr;

	double each =
		relation->rows * clause_selectivity(root, reinterpret_cast<Node *>(clause),
											static_cast<int>(relation->relid), JOIN_INNER, nullptr);
	if (strcmp(part.condition.path, "_id") == 0 && table->options.unnest == nullptr)
		each = Min(each, 1);
	double rows = clamp_row_est(count * each);
	Estimate estimate =
		estimate_scan(root, relation, lappend(list_copy(relation->baserestrictinfo), clause), rows);
	return reinterpret_cast<Path *>(tenancy_foreign_path(root, relation, rows, estimate.startup,
														 estimate.total + count * key_cost, NIL,
														 nullptr, list_make1(keys)));
}

/* The keys of a look-up join's path; null: it has none, but perhaps a sort's. */
static ScalarArrayOpExpr *
look_up_keys(const ForeignPath *path)
{
	return path->fdw_private != NIL && IsA(linitial(path->fdw_private), ScalarArrayOpExpr)
			   ? linitial_node(ScalarArrayOpExpr, path->fdw_private)
			   : nullptr;
}

/* The columns that an upper target needs; false if they are more than plain columns. */
static bool
plain_columns(PathTarget *target, List **columns)
{
	ListCell *cell;

	*columns = pull_var_clause(reinterpret_cast<Node *>(target->exprs),
							   PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS |
								   PVC_RECURSE_PLACEHOLDERS);
	foreach (cell, *columns)
		if (lfirst_node(Var, cell)->varattno <= 0)
			return false;
	return true;
}

static bool
limit_is_shippable(PlannerInfo *root, RelOptInfo *input, const FinalPathExtraData *extra)
{
	Query *query = root->parse;
	auto *table = static_cast<TablePlan *>(input->fdw_private);
	List *columns;

	return extra->limit_needed && query->commandType == CMD_SELECT &&
		   query->limitOption == LIMIT_OPTION_COUNT && query->rowMarks == NIL &&
		   !query->hasTargetSRFs && table->options.pushdown && table->all_exact &&
		   bms_is_empty(input->lateral_relids) && plain_columns(input->reltarget, &columns) &&
		   !contain_volatile_functions(query->limitCount) &&
		   !contain_volatile_functions(query->limitOffset) &&
		   !contain_subplans(query->limitCount) && !contain_subplans(query->limitOffset);
}

/* What the path of an upper relation carries: its table, its sort, and whether it may be asynchronous. */
static List *
upper_item(RelOptInfo *table, List *keys)
{
	auto *plan = static_cast<TablePlan *>(table->fdw_private);

	return list_make3(makeInteger(static_cast<int>(table->relid)), keys,
					  makeInteger(plan->options.async_capable));
}

bool
is_foreign_path_async_capable(ForeignPath *path)
{
	RelOptInfo *relation = path->path.parent;

	if (relation->reloptkind == RELOPT_UPPER_REL)
		return intVal(lthird(path->fdw_private)) != 0;
	return static_cast<TablePlan *>(relation->fdw_private)->options.async_capable;
}

/* What planning knows of an upper relation, which is the table and its sort, or its groups:
 * RelOptInfo.fdw_private. */
struct UpperPlan
{
	RelOptInfo *table;
	List *keys;			  /* of the sort */
	GroupedPlan *grouped; /* null: none */
};

/* Notes that the rows in their order are what MongoDB would give; the scan in that order is among
 * the table's own paths. */
static void
note_sort(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output)
{
	auto *table = static_cast<TablePlan *>(input->fdw_private);
	List *keys;

	if (!table->options.pushdown ||
		!sort_shippable(root, input, table->foreign_table, root->sort_pathkeys, &keys))
		return;

	auto *sorted = static_cast<UpperPlan *>(palloc0(sizeof(UpperPlan)));
	sorted->table = input;
	sorted->keys = keys;
	output->fdw_private = sorted;
}

static void
add_limit_path(PlannerInfo *root, RelOptInfo *input, List *keys, RelOptInfo *output,
			   FinalPathExtraData *extra)
{
	Estimate estimate = estimate_scan(root, input, input->baserestrictinfo, input->rows);
	double rows = input->rows;

	if (!limit_is_shippable(root, input, extra))
		return;
	adjust_limit_rows_costs(&rows, &estimate.startup, &estimate.total, extra->offset_est,
							extra->count_est);
	/* A sort examines all documents for a few. */
	if (keys != NIL)
		estimate.total += input->tuples * examine_cost;
	/* A LIMIT that stops an open cursor has to close it, which is a round trip as well. */
	estimate.startup -= round_trip_cost / 2;
	estimate.total -= round_trip_cost / 2;

	List *item = upper_item(input, keys);
	add_path(output, reinterpret_cast<Path *>(tenancy_foreign_upper_path(
						 root, output, root->upper_targets[UPPERREL_FINAL], rows, estimate.startup,
						 estimate.total, root->sort_pathkeys, item)));
}

/* What GROUP BY or DISTINCT groups by. */
struct GroupRequest
{
	List *clause; /* of SortGroupClauses */
	PathTarget *target;
	List *having;
};

/* Groups that MongoDB makes: it looks at every document that matches, with some arithmetic, and
 * sends one for each group. */
static void
add_group_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output, const GroupRequest *request)
{
	auto *table = static_cast<TablePlan *>(input->fdw_private);
	auto *grouped = static_cast<GroupedPlan *>(palloc0(sizeof(GroupedPlan)));

	if (!table->options.pushdown || table->options.unnest != nullptr || !table->all_exact ||
		root->parse->hasTargetSRFs || !bms_is_empty(input->lateral_relids) ||
		!grouping_shippable(root, input, table->foreign_table, request->clause, request->target,
							request->having, grouped))
		return;

	List *keys = get_sortgrouplist_exprs(request->clause, root->processed_tlist);
	double groups =
		keys == NIL ? 1 : estimate_num_groups(root, keys, input->rows, nullptr, nullptr);
	Estimate scan = estimate_scan(root, input, input->baserestrictinfo, input->rows);
	Cost fetching = input->rows * (transfer_cost + cpu_tuple_cost);
	Cost startup = Max(scan.total - fetching, round_trip_cost) +
				   input->rows * examine_cost * list_length(request->target->exprs);

	auto *upper = static_cast<UpperPlan *>(palloc0(sizeof(UpperPlan)));
	upper->table = input;
	upper->grouped = grouped;
	output->fdw_private = upper;
	add_path(output, reinterpret_cast<Path *>(tenancy_foreign_upper_path(
						 root, output, request->target, groups, startup,
						 startup + groups * (transfer_cost + cpu_tuple_cost), NIL,
						 upper_item(input, NIL))));
}

static void
add_aggregate_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output,
				   const GroupPathExtraData *extra)
{
	GroupRequest request = {root->parse->groupClause, root->upper_targets[UPPERREL_GROUP_AGG],
							reinterpret_cast<List *>(extra->havingQual)};

	if (root->parse->groupingSets == NIL)
		add_group_path(root, input, output, &request);
}

static void
add_distinct_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output)
{
	GroupRequest request = {root->parse->distinctClause, root->upper_targets[UPPERREL_DISTINCT],
							NIL};

	if (!root->parse->hasDistinctOn && !root->parse->hasWindowFuncs)
		add_group_path(root, input, output, &request);
}

void
get_foreign_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input,
						RelOptInfo *output, void *extra)
{
	if (input->fdw_private == nullptr || output->fdw_private != nullptr)
		return;

	/* With a grouping or a join between them, the input is another relation than the table. */
	if (input->reloptkind == RELOPT_BASEREL)
	{
		if (stage == UPPERREL_ORDERED)
			note_sort(root, input, output);
		else if (stage == UPPERREL_GROUP_AGG)
			add_aggregate_path(root, input, output, static_cast<GroupPathExtraData *>(extra));
		else if (stage == UPPERREL_DISTINCT)
			add_distinct_path(root, input, output);
		else if (stage == UPPERREL_FINAL)
			add_limit_path(root, input, NIL, output, static_cast<FinalPathExtraData *>(extra));
	}
	else if (input->reloptkind == RELOPT_UPPER_REL && stage == UPPERREL_FINAL)
	{
		auto *sorted = static_cast<UpperPlan *>(input->fdw_private);
		if (sorted->grouped == nullptr)
			add_limit_path(root, sorted->table, sorted->keys, output,
						   static_cast<FinalPathExtraData *>(extra));
	}
}

/*
 * Plans
 */

/* A plan under construction. */
struct PlanParts
{
	List *conditions;
	List *operands;
	List *local; /* clauses that are evaluated here */
	List *exact; /* clauses that are not, but for the recheck of a row that has changed */
	Bitmapset *wanted;
};

static bool
is_json(Oid type)
{
	return getBaseType(type) == JSONBOID || getBaseType(type) == JSONOID;
}

/*
 * A condition as the plan keeps it.
 *
 * Its column is fetched even if nothing else wants it, so that a value that MongoDB lets pass but that does not fit the column
 * (1.5 < 2 in an integer column) is an error and not a row.  Nothing like that passes IS NULL, and everything fits json.
 */
static List *
add_condition(const Shippable *part, PlanParts *parts)
{
	Condition condition = part->condition;
	ListCell *cell;

	if (part->operand != nullptr)
	{
		condition.operand = list_length(parts->operands);
		parts->operands = lappend(parts->operands, part->operand);
	}
	if (part->column != nullptr && condition.comparison != Comparison::is_null &&
		!is_json(part->column->vartype))
		parts->wanted = bms_add_member(parts->wanted,
									   part->column->varattno - FirstLowInvalidHeapAttributeNumber);

	List *list = condition_to_list(&condition);
	foreach (cell, part->children)
		list = lappend(list, add_condition(static_cast<Shippable *>(lfirst(cell)), parts));
	return list;
}

static void
add_clause(PlannerInfo *root, RelOptInfo *relation, Expr *clause, PlanParts *parts)
{
	Shippable part;

	if (!shippable(root, relation, clause, &part))
	{
		parts->local = lappend(parts->local, clause);
		return;
	}
	if (part.exact)
		parts->exact = lappend(parts->exact, clause);
	else
		parts->local = lappend(parts->local, clause);
	parts->conditions = lappend(parts->conditions, add_condition(&part, parts));
}

static PlanParts
divide_clauses(PlannerInfo *root, RelOptInfo *relation, List *clauses)
{
	PlanParts parts = {};
	ListCell *cell;

	foreach (cell, clauses)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, cell);

		/* A pseudoconstant is a gate above the scan. */
		if (!restriction->pseudoconstant)
			add_clause(root, relation, restriction->clause, &parts);
	}

	/* The target list holds every column above: the relation's own may have been replaced by the query's. */
	pull_varattnos(reinterpret_cast<Node *>(relation->reltarget->exprs), relation->relid,
				   &parts.wanted);
	pull_varattnos(reinterpret_cast<Node *>(parts.local), relation->relid, &parts.wanted);
	return parts;
}

static bool
is_row_identity(const Var *column)
{
	return column->varattno == SelfItemPointerAttributeNumber && column->vartype == BYTEAOID;
}

/* The wanted attribute numbers, without those of system columns; a whole row is 0. */
static List *
attribute_list(Bitmapset *wanted)
{
	List *result = NIL;
	int member = -1;

	while ((member = bms_next_member(wanted, member)) >= 0)
		if (member + FirstLowInvalidHeapAttributeNumber >= 0)
			result = lappend_int(result, member + FirstLowInvalidHeapAttributeNumber);
	return result;
}

static int
add_bound(List **operands, Node *bound)
{
	if (bound == nullptr)
		return -1;
	*operands = lappend(*operands, bound);
	return list_length(*operands) - 1;
}

/* A scan that stands for the LIMIT above it as well: its slot holds just the columns that the target needs. */
static ForeignScan *
plan_limit(PlannerInfo *root, ForeignPath *path, List *tlist)
{
	int relid = intVal(linitial(path->fdw_private));
	RelOptInfo *relation = root->simple_rel_array[relid];
	PlanParts parts = divide_clauses(root, relation, relation->baserestrictinfo);
	List *columns;
	List *slot_columns = NIL;
	ListCell *cell;

	plain_columns(relation->reltarget, &columns);
	List *slot = add_to_flat_tlist(NIL, columns);
	foreach (cell, slot)
	{
		auto *column = reinterpret_cast<Var *>(lfirst_node(TargetEntry, cell)->expr);
		slot_columns = lappend_int(slot_columns, column->varattno);
	}

	int limit = add_bound(&parts.operands, root->parse->limitCount);
	int offset = add_bound(&parts.operands, root->parse->limitOffset);
	List *items = list_make5(parts.conditions, attribute_list(parts.wanted), makeInteger(limit),
							 makeInteger(offset), slot_columns);
	items = lappend(items, lsecond(path->fdw_private));
	items = lappend(items, NIL);
	items = lappend(items, makeInteger(-1));
	return make_foreignscan(tlist, NIL, 0, parts.operands, items, slot, NIL, nullptr);
}

/*
 * The columns of the slot of a scan that feeds an UPDATE or DELETE: all that is above it, the row's
 * identity among them
 * ("ctid", of type bytea), and all that its conditions need.  Another system column than tableoid
 * there is none.
 */
static List *
identity_slot(RelOptInfo *relation, const PlanParts *parts, List **slot_columns)
{
	int flags = PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS | PVC_RECURSE_PLACEHOLDERS;
	List *columns = pull_var_clause(reinterpret_cast<Node *>(relation->reltarget->exprs), flags);
	bool identity = false;
	ListCell *cell;

	*slot_columns = NIL;
	columns = list_concat(columns, pull_var_clause(reinterpret_cast<Node *>(parts->local), flags));
	columns = list_concat(columns, pull_var_clause(reinterpret_cast<Node *>(parts->exact), flags));
	foreach (cell, columns)
		identity = identity || is_row_identity(lfirst_node(Var, cell));
	if (!identity)
		return NIL;
	foreach (cell, columns)
	{
		Var *column = lfirst_node(Var, cell);
		if (column->varattno < 0 && column->varattno != TableOidAttributeNumber &&
			!is_row_identity(column))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("foreign tables of MongoDB have no system columns but tableoid")));
	}

	List *slot = add_to_flat_tlist(NIL, columns);
	foreach (cell, slot)
	{
		auto *column = reinterpret_cast<Var *>(lfirst_node(TargetEntry, cell)->expr);
		*slot_columns = lappend_int(*slot_columns, column->varattno);
	}
	return slot;
}

/* A scan that stands for the grouping above it as well. */
static ForeignScan *
plan_group(PlannerInfo *root, const UpperPlan *upper, List *tlist)
{
	PlanParts parts = divide_clauses(root, upper->table, upper->table->baserestrictinfo);
	List *items = list_make5(parts.conditions, NIL, makeInteger(-1), makeInteger(-1), NIL);

	List *filters = NIL;
	ListCell *cell;

	foreach (cell, upper->grouped->filters)
		filters = lappend(filters, add_condition(static_cast<Shippable *>(lfirst(cell)), &parts));
	items = lappend(items, NIL);
	items = lappend(items, lappend(list_copy(upper->grouped->item), filters));
	items = lappend(items, makeInteger(-1));
	return make_foreignscan(tlist, upper->grouped->having, 0, parts.operands, items,
							upper->grouped->slot, NIL, nullptr);
}

/* The condition whose operand is the keys of a batch; in the plan it is null.  Its number, or -1 if there is none. */
static int
add_look_up(PlannerInfo *root, RelOptInfo *relation, ScalarArrayOpExpr *keys, PlanParts *parts)
{
	Shippable part;

	if (keys == nullptr || !shippable(root, relation, &keys->xpr, &part))
		return -1;
	parts->conditions = lappend(parts->conditions, add_condition(&part, parts));
	return list_length(parts->operands) - 1;
}

ForeignScan *
get_foreign_plan(PlannerInfo *root, RelOptInfo *relation, Oid foreign_table, ForeignPath *path,
				 List *tlist, List *clauses, Plan *outer_plan)
{
	auto *upper = static_cast<UpperPlan *>(relation->fdw_private);
	if (relation->reloptkind == RELOPT_UPPER_REL)
		return upper != nullptr && upper->grouped != nullptr ? plan_group(root, upper, tlist)
															 : plan_limit(root, path, tlist);

	PlanParts parts = divide_clauses(root, relation, clauses);
	ScalarArrayOpExpr *keys = look_up_keys(path);
	int look_up = add_look_up(root, relation, keys, &parts);
	List *slot_columns;
	List *slot = identity_slot(relation, &parts, &slot_columns);
	List *items = list_make5(parts.conditions, attribute_list(parts.wanted), makeInteger(-1),
							 makeInteger(-1), slot_columns);
	items = lappend(items, keys != nullptr ? NIL : path->fdw_private);
	items = lappend(items, NIL);
	items = lappend(items, makeInteger(look_up));
	return make_foreignscan(tlist, parts.local, relation->relid, parts.operands, items, slot,
							parts.exact, outer_plan);
}

} // namespace bridge
