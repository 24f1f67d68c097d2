/*
 * policy_cost.cpp — what the planner reckons for a question to the context that an index scan asks once.
 *
 * current_tenant() costs what a function costs, so that of two plans the one with fewer filters wins.  But the planner
 * charges the question of an index condition to the start of the scan, and where both plans read one row that makes up
 * for what a filter costs: a tie, which the index without the tenant wins by its earlier start.  Its pages are spread
 * over all tenants' rows, those of an index that leads with the tenant lie together.  So the one question is free.
 */
#include "context_function.h"

namespace tenancy
{

static get_relation_info_hook_type previous_relation_info;

static bool
asks_context(Node *operand)
{
	auto *call = (FuncExpr *) operand;

	if (!IsA(operand, FuncExpr) || call->args != NIL)
		return false;
	for (int i = 0; i < ID_TYPES; i++)
	{
		auto type = (IdType) i;

		if (call->funcid == context_function(ContextFunction::current_tenant, type) ||
			call->funcid == context_function(ContextFunction::current_scope_tenant, type) ||
			call->funcid == context_function(ContextFunction::current_scope, type))
			return true;
	}
	return false;
}

static Node *
compared_with(Expr *condition)
{
	List *arguments = IsA(condition, OpExpr)			  ? ((OpExpr *) condition)->args
					  : IsA(condition, ScalarArrayOpExpr) ? ((ScalarArrayOpExpr *) condition)->args
														  : NIL;

	return list_length(arguments) == 2 ? (Node *) lsecond(arguments) : nullptr;
}

/* What genericcostestimate() has charged for the questions of this path's conditions. */
static Cost
cost_of_questions(PlannerInfo *root, IndexPath *path)
{
	Cost sum = 0;
	ListCell *cell, *condition;

	foreach (cell, path->indexclauses)
		foreach (condition, ((IndexClause *) lfirst(cell))->indexquals)
		{
			Node *operand = compared_with(((RestrictInfo *) lfirst(condition))->clause);
			QualCost cost;

			if (!operand || !asks_context(operand))
				continue;
			cost_qual_eval_node(&cost, operand, root);
			sum += cost.startup + cost.per_tuple;
		}
	return sum;
}

static void
estimate_btree(PlannerInfo *root, IndexPath *path, double loops, Cost *startup, Cost *total, Selectivity *selectivity,
			   double *correlation, double *pages)
{
	btcostestimate(root, path, loops, startup, total, selectivity, correlation, pages);

	Cost free = cost_of_questions(root, path);
	*startup -= free;
	*total -= free;
}

static void
relation_info(PlannerInfo *root, Oid relation, bool inherited, RelOptInfo *rel)
{
	ListCell *cell;

	if (previous_relation_info)
		previous_relation_info(root, relation, inherited, rel);
	if (!OidIsValid(context_function(ContextFunction::current_tenant, IdType::text)))
		return;
	foreach (cell, rel->indexlist)
	{
		auto *index = (IndexOptInfo *) lfirst(cell);

		if (index->relam == BTREE_AM_OID)
			index->amcostestimate = reinterpret_cast<decltype(index->amcostestimate)>(estimate_btree);
	}
}

void
policy_cost_init()
{
	previous_relation_info = get_relation_info_hook;
	get_relation_info_hook = relation_info;
}

} // namespace tenancy
