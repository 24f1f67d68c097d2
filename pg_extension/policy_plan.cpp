/*
 * policy_plan.cpp — what a plan still asks of the context for each row, made as cheap as the literal.
 *
 * A policy says "tenant_id = tenancy.current_tenant()", and the planner is left alone with it: it knows the operator, its
 * indexes and its statistics, and that what is equal to one value is equal to each other.  Once the plan stands, three
 * things cost more than a literal would:
 *
 *   a filter    calls two functions a row, one that gives the tenant and one that compares.  It becomes one call,
 *               is_current_tenant(tenant_id) or, for an admin of one tenant, is_scope_tenant(tenant_id), which ask the
 *               context just the same; and what a partition's filter compares with constants, for the planner to see
 *               which it needs, goes where still_in_scope() asks
 *   a bitmap    is asked again, row by row, for an admin's scope: the planner does not see that in_scope(tenant_id) and the
 *               index condition that it became say the same.  It is left for the pages of which the bitmap lost the rows
 *   a check     of a row that is written is made once for each policy that says so; the permissive one and the
 *               floor say the same, and a table that is read as well has them twice.  It is made once
 *
 * An index condition stays as it is: it asks once for a scan.
 */
#include "context_function.h"
#include "tenant_context.h"

namespace tenancy
{

static planner_hook_type previous_planner;

/*
 * Filters
 */

/* The equality is that of bytes. */
static bool
is_plain_equality(const OpExpr *comparison, IdType type)
{
	return comparison->opfuncid == id_type_facts(type).equality &&
		   (type != IdType::text ||
			(OidIsValid(comparison->inputcollid) && get_collation_isdeterministic(comparison->inputcollid)));
}

/* A function that gives a tenant, and the question that says the same of a row. */
struct Question
{
	ContextFunction gives;
	ContextFunction asks;
};
static const Question questions[] = {
	{ContextFunction::current_tenant, ContextFunction::is_current_tenant},
	{ContextFunction::current_scope_tenant, ContextFunction::is_scope_tenant},
};

static const Question *
question_of(Node *node, IdType type)
{
	if (!IsA(node, FuncExpr))
		return nullptr;
	for (const Question &question : questions)
		if (((FuncExpr *) node)->funcid == context_function(question.gives, type))
			return &question;
	return nullptr;
}

/* A condition of one call for one that compares with the tenant of the context, else the condition itself. */
static Node *
cheaper_condition(Node *condition)
{
	auto *comparison = (OpExpr *) condition;

	if (!IsA(condition, OpExpr) || list_length(comparison->args) != 2)
		return condition;

	auto *left = (Node *) linitial(comparison->args), *right = (Node *) lsecond(comparison->args);
	IdType type = id_type(left);
	Node *id = left;
	const Question *question = question_of(right, type);
	if (!question)
	{
		question = question_of(left, type);
		id = right;
	}
	if (!question || !is_plain_equality(comparison, type))
		return condition;
	return (Node *) call_context_function(question->asks, id);
}

static bool
is_for_the_planner(Node *condition)
{
	if (IsA(condition, OpExpr))
		return ((OpExpr *) condition)->location == FOR_THE_PLANNER;
	return IsA(condition, ScalarArrayOpExpr) && ((ScalarArrayOpExpr *) condition)->location == FOR_THE_PLANNER;
}

static bool
asks_scope(List *conditions)
{
	ListCell *cell;

	foreach (cell, conditions)
	{
		auto *call = (FuncExpr *) lfirst(cell);

		if (IsA(call, FuncExpr) && list_length(call->args) == 1 &&
			call->funcid == context_function(ContextFunction::still_in_scope, id_type((Node *) linitial(call->args))))
			return true;
	}
	return false;
}

static List *
cheaper(List *conditions)
{
	ListCell *cell;
	bool asked = asks_scope(conditions);

	foreach (cell, conditions)
	{
		auto *condition = (Node *) lfirst(cell);

		if (asked && is_for_the_planner(condition))
			conditions = foreach_delete_current(conditions, cell);
		else
			lfirst(cell) = cheaper_condition(condition);
	}
	return conditions;
}

/*
 * Bitmap scans
 */

/* column = ANY (current_scope()), which comes to in_scope(column). */
static bool
is_found_by_scope(Node *condition, const FuncExpr *question)
{
	auto *found = (ScalarArrayOpExpr *) condition;

	if (!IsA(condition, ScalarArrayOpExpr) || !found->useOr || !equal(linitial(found->args), linitial(question->args)))
		return false;

	auto *scope = (FuncExpr *) lsecond(found->args);
	IdType type = id_type((Node *) linitial(question->args));
	return IsA(scope, FuncExpr) && scope->funcid == context_function(ContextFunction::current_scope, type) &&
		   found->opfuncid == id_type_facts(type).equality;
}

/* Of a conjunction one is enough, and of a disjunction we know nothing. */
static bool
is_asked_of_index(Plan *bitmap, const FuncExpr *question)
{
	ListCell *cell;

	if (IsA(bitmap, BitmapIndexScan))
	{
		foreach (cell, ((BitmapIndexScan *) bitmap)->indexqualorig)
			if (is_found_by_scope((Node *) lfirst(cell), question))
				return true;
	}
	else if (IsA(bitmap, BitmapAnd))
	{
		foreach (cell, ((BitmapAnd *) bitmap)->bitmapplans)
			if (is_asked_of_index((Plan *) lfirst(cell), question))
				return true;
	}
	return false;
}

/* What the index has asked by tenant_id = ANY (current_scope()) is left for pages of which it has lost the rows. */
static void
tidy_bitmap_scan(BitmapHeapScan *scan)
{
	Plan *plan = &scan->scan.plan;
	ListCell *cell;

	foreach (cell, plan->qual)
	{
		auto *question = (FuncExpr *) lfirst(cell);

		if (!IsA(question, FuncExpr) || list_length(question->args) != 1 ||
			question->funcid != context_function(ContextFunction::in_scope, id_type((Node *) linitial(question->args))) ||
			!is_asked_of_index(plan->lefttree, question))
			continue;
		plan->qual = foreach_delete_current(plan->qual, cell);
		scan->bitmapqualorig = lappend(scan->bitmapqualorig, question);
	}
}

/*
 * Checks
 */

/* The same question, asked before in the list; the one that comes first is the one that fails. */
static bool
is_asked_before(List *checks, const ListCell *cell)
{
	auto *check = (WithCheckOption *) lfirst(cell);
	ListCell *before;

	foreach (before, checks)
	{
		auto *other = (WithCheckOption *) lfirst(before);

		if (before == cell)
			return false;
		if (other->kind == check->kind && other->cascaded == check->cascaded && equal(other->qual, check->qual))
			return true;
	}
	return false;
}

static List *
checks_once(List *checks)
{
	List *once = NIL;
	ListCell *cell;

	foreach (cell, checks)
		if (!is_asked_before(checks, cell))
			once = lappend(once, lfirst(cell));
	foreach (cell, once)
	{
		auto *check = (WithCheckOption *) lfirst(cell);

		check->qual = (Node *) cheaper((List *) check->qual);
	}
	return once;
}

/*
 * Plans
 */

static void tidy(Plan *plan);

static void
tidy_list(List *plans)
{
	ListCell *cell;

	foreach (cell, plans)
		tidy((Plan *) lfirst(cell));
}

static void
tidy(Plan *plan)
{
	ListCell *cell;

	if (!plan)
		return;
	check_stack_depth();
	plan->qual = cheaper(plan->qual);
	switch (nodeTag(plan))
	{
		case T_ModifyTable:
			foreach (cell, ((ModifyTable *) plan)->withCheckOptionLists)
				lfirst(cell) = checks_once((List *) lfirst(cell));
			break;
		case T_BitmapHeapScan:
			tidy_bitmap_scan((BitmapHeapScan *) plan);
			break;
		case T_Append:
			tidy_list(((Append *) plan)->appendplans);
			break;
		case T_MergeAppend:
			tidy_list(((MergeAppend *) plan)->mergeplans);
			break;
		case T_SubqueryScan:
			tidy(((SubqueryScan *) plan)->subplan);
			break;
		case T_CustomScan:
			tidy_list(((CustomScan *) plan)->custom_plans);
			break;
		default:
			break;
	}
	tidy(plan->lefttree);
	tidy(plan->righttree);
}

static PlannedStmt *
plan_statement(Query *query, const char *text, int options, ParamListInfo parameters)
{
	PlannedStmt *statement = (previous_planner ? previous_planner : standard_planner)(query, text, options, parameters);

	if (OidIsValid(context_function(ContextFunction::is_scope_tenant, IdType::uuid)))
	{
		tidy(statement->planTree);
		tidy_list(statement->subplans);
	}
	return statement;
}

void
policy_plan_init()
{
	context_function_init();
	previous_planner = planner_hook;
	planner_hook = plan_statement;
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_is_current_tenant);
PG_FUNCTION_INFO_V1(tenancy_is_current_tenant_uuid);
PG_FUNCTION_INFO_V1(tenancy_is_current_tenant_bigint);
PG_FUNCTION_INFO_V1(tenancy_is_current_tenant_support);

PGDLLEXPORT Datum
tenancy_is_current_tenant(PG_FUNCTION_ARGS)
{
	const tenancy::Tenant *tenant = tenancy::required_context().tenant;

	if (!tenant)
		PG_RETURN_BOOL(false);

	text *id = PG_GETARG_TEXT_PP(0);
	size_t length = VARSIZE_ANY_EXHDR(id);
	PG_RETURN_BOOL(length == VARSIZE(tenant->text) - VARHDRSZ && memcmp(VARDATA_ANY(id), tenant->id, length) == 0);
}

PGDLLEXPORT Datum
tenancy_is_current_tenant_uuid(PG_FUNCTION_ARGS)
{
	const tenancy::Tenant *tenant = tenancy::required_context().tenant;

	PG_RETURN_BOOL(tenant && tenant->is_uuid && memcmp(PG_GETARG_UUID_P(0)->data, tenant->uuid.data, UUID_LEN) == 0);
}

PGDLLEXPORT Datum
tenancy_is_current_tenant_bigint(PG_FUNCTION_ARGS)
{
	const tenancy::Tenant *tenant = tenancy::required_context().tenant;

	PG_RETURN_BOOL(tenant && tenant->is_bigint && tenant->bigint == PG_GETARG_INT64(0));
}

/*
 * The guard of a tenant's own schema lets all rows through or none, and a plan is worth making for the first case only.
 * The planner's own guess for current_tenant() = 'x' is one row in 200, which makes it join by nested loops.
 */
PGDLLEXPORT Datum
tenancy_is_current_tenant_support(PG_FUNCTION_ARGS)
{
	Node *request = (Node *) PG_GETARG_POINTER(0);

	if (!IsA(request, SupportRequestSelectivity))
		PG_RETURN_POINTER(nullptr);
	((SupportRequestSelectivity *) request)->selectivity = 1.0;
	PG_RETURN_POINTER(request);
}
}
