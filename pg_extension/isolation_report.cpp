/*
 * isolation_report.cpp — reads the policies of a database: which of them keep tenants apart?
 *
 * isolation_report() is SQL over the catalogues but for this one question, whose answer stands in parsed expressions.  An
 * expression is *bound* if the rows that it lets through are one tenant's.  It is bound if it compares a column with
 * something that is not in the row and not a constant; if one arm of an AND is bound, or every arm of an OR.  What is not
 * recognised is not bound: a report that errs should err on that side.
 *
 * How well it is bound depends on what the column is compared with:
 *
 *   tenant    the tenant in force, by a function of ours or current_setting() of the context's own name
 *   derived   something that a sub-select finds in a table
 *   other     another setting, a function of somebody else's, the role: what these are worth is for the report to say
 */
#include "tenancy.h"

namespace tenancy
{

/* From the worst to the best. */
enum class Bond
{
	open,
	derived,
	other,
	tenant,
	closed /* lets nothing through */
};

struct Binding
{
	Bond bond;
	AttrNumber column; /* of the comparison; 0 for all columns alike */
};

/* What the two expressions of a policy call. */
struct PolicyShape
{
	const char *context_setting;
	Oid our_schema;
	List *settings;		/* String nodes: what current_setting() reads; "?" for a computed name */
	List *functions;	/* OIDs: what is neither built in nor ours */
	bool branches;		/* an OR */
	bool reads_context; /* the context, by current_setting() */
};

/* What one side of a comparison is made of. */
struct Sources
{
	PolicyShape *shape;
	bool context;
	bool foreign;  /* a setting that is not the context, a function, the role */
	bool relation; /* a sub-select from a table */
};

static const char *const bond_names[] = {"open", "derived", "other", "tenant", "closed"};

static Binding bind_expression(PolicyShape *shape, Node *node);

static bool
is_ours(const PolicyShape *shape, Oid function)
{
	return OidIsValid(shape->our_schema) && get_func_namespace(function) == shape->our_schema;
}

static bool
is_our(const PolicyShape *shape, Oid function, const char *const *names)
{
	if (!is_ours(shape, function))
		return false;

	const char *name = get_func_name(function);
	for (; *names; names++)
		if (name && strcmp(name, *names) == 0)
			return true;
	return false;
}

/* The functions of ours that read the context, and those that compare a column with it. */
static const char *const readers[] = {"current_tenant",
									  "current_tenant_uuid",
									  "current_tenant_bigint",
									  "current_scope",
									  "current_scope_uuid",
									  "current_scope_bigint",
									  "current_scope_tenant",
									  "current_scope_tenant_uuid",
									  "current_scope_tenant_bigint",
									  nullptr};
static const char *const comparers[] = {"can", "in_scope", nullptr};
static const char *const guards[] = {"is_current_tenant", nullptr};

/* The setting that a call of current_setting() reads; null if the function is another one. */
static const char *
setting_of_call(const FuncExpr *call)
{
	if (call->funcid != F_CURRENT_SETTING_TEXT && call->funcid != F_CURRENT_SETTING_TEXT_BOOL)
		return nullptr;

	auto *name = (Const *) linitial(call->args);
	if (!IsA(name, Const) || name->constisnull)
		return "?";
	return TextDatumGetCString(name->constvalue);
}

static bool
remember_function(Oid function, void *context)
{
	auto *shape = static_cast<PolicyShape *>(context);

	if (function >= FirstNormalObjectId && !is_ours(shape, function))
		shape->functions = list_append_unique_oid(shape->functions, function);
	return false;
}

/* Fills in a policy's shape. */
static bool
shape_walker(Node *node, void *context)
{
	auto *shape = static_cast<PolicyShape *>(context);

	if (!node)
		return false;
	if (IsA(node, FuncExpr))
	{
		const char *setting = setting_of_call((FuncExpr *) node);

		if (setting)
			shape->settings = list_append_unique(shape->settings, makeString(pstrdup(setting)));
		if (setting && pg_strcasecmp(setting, shape->context_setting) == 0)
			shape->reads_context = true;
	}
	if (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop == OR_EXPR)
		shape->branches = true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, tenancy_walker(shape_walker), context, 0);
	(void) check_functions_in_node(node, remember_function, context);
	return expression_tree_walker(node, tenancy_walker(shape_walker), context);
}

static bool
sources_walker(Node *node, void *context)
{
	auto *sources = static_cast<Sources *>(context);
	PolicyShape *shape = sources->shape;

	if (!node)
		return false;
	if (IsA(node, FuncExpr))
	{
		auto *call = (FuncExpr *) node;
		const char *setting = setting_of_call(call);

		if (is_our(shape, call->funcid, readers) ||
			(setting && pg_strcasecmp(setting, shape->context_setting) == 0))
			sources->context = true;
		else if (setting || call->funcid >= FirstNormalObjectId)
			sources->foreign = true;
	}
	else if (IsA(node, SQLValueFunction))
		sources->foreign = true;
	else if (IsA(node, RangeTblEntry))
	{
		if (((RangeTblEntry *) node)->rtekind == RTE_RELATION)
			sources->relation = true;
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, tenancy_walker(sources_walker), context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, tenancy_walker(sources_walker), context);
}

/* The column of this row that an expression is, whatever it is cast to; 0 if it is none. */
static AttrNumber
row_column(Node *node)
{
	for (;;)
	{
		if (IsA(node, Var))
			return ((Var *) node)->varlevelsup == 0 ? Max(((Var *) node)->varattno, 0) : 0;
		if (IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, CoerceViaIO))
			node = (Node *) ((CoerceViaIO *) node)->arg;
		else if (IsA(node, CoerceToDomain))
			node = (Node *) ((CoerceToDomain *) node)->arg;
		else if (IsA(node, CollateExpr))
			node = (Node *) ((CollateExpr *) node)->arg;
		else if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcformat != COERCE_EXPLICIT_CALL &&
				 list_length(((FuncExpr *) node)->args) >= 1)
			node = (Node *) linitial(((FuncExpr *) node)->args);
		else
			return 0;
	}
}

/* What it is worth to compare a column with "value". */
static Bond
bond_of(PolicyShape *shape, Node *value)
{
	Sources sources = {shape};

	if (contain_vars_of_level(value, 0))
		return Bond::open;
	(void) sources_walker(value, &sources);
	if (sources.relation)
		return Bond::derived;
	if (sources.foreign)
		return Bond::other;
	return sources.context ? Bond::tenant : Bond::open;
}

static Binding
bind_comparison(PolicyShape *shape, Oid equality, List *arguments)
{
	if (list_length(arguments) != 2 ||
		!op_mergejoinable(equality, exprType((Node *) linitial(arguments))))
		return {Bond::open, 0};

	auto *left = (Node *) linitial(arguments), *right = (Node *) lsecond(arguments);
	AttrNumber column = row_column(left);

	if (column > 0)
		return {bond_of(shape, right), column};
	column = row_column(right);
	return {column > 0 ? bond_of(shape, left) : Bond::open, column};
}

/* IN (SELECT …) and EXISTS: derived if they look at this row. */
static Binding
bind_sublink(SubLink *sublink)
{
	if (sublink->subLinkType == ANY_SUBLINK && sublink->testexpr && IsA(sublink->testexpr, OpExpr))
	{
		auto *test = (OpExpr *) sublink->testexpr;
		AttrNumber column = row_column((Node *) linitial(test->args));

		return {column > 0 ? Bond::derived : Bond::open, column};
	}
	return {contain_vars_of_level(sublink->subselect, 1) ? Bond::derived : Bond::open, 0};
}

/* A function that says by itself whether the row may be seen. */
static Binding
bind_call(PolicyShape *shape, FuncExpr *call)
{
	AttrNumber column = call->args ? row_column((Node *) linitial(call->args)) : 0;

	if (is_our(shape, call->funcid, guards))
		return {Bond::tenant, 0};
	if (is_our(shape, call->funcid, comparers))
		return {column > 0 || IsA(linitial(call->args), Const) ? Bond::tenant : Bond::open, column};
	if (call->funcid >= FirstNormalObjectId && contain_vars_of_level((Node *) call->args, 0))
		return {Bond::other, column};
	return {Bond::open, 0};
}

static Binding
bind_boolean(PolicyShape *shape, BoolExpr *expression)
{
	if (expression->boolop == NOT_EXPR)
		return {Bond::open, 0};

	bool conjunction = expression->boolop == AND_EXPR;
	Binding result = {conjunction ? Bond::open : Bond::closed, 0};
	ListCell *cell;

	foreach (cell, expression->args)
	{
		Binding arm = bind_expression(shape, (Node *) lfirst(cell));

		if (conjunction ? arm.bond > result.bond : result.bond == Bond::closed)
			result = arm;
		else if (!conjunction && arm.bond != Bond::closed)
			result = arm.column == result.column ? Binding{Min(arm.bond, result.bond), arm.column}
												 : Binding{Bond::open, 0};
	}
	return result;
}

static Binding
bind_expression(PolicyShape *shape, Node *node)
{
	if (!node)
		return {Bond::closed, 0};

	switch (nodeTag(node))
	{
		case T_BoolExpr:
			return bind_boolean(shape, (BoolExpr *) node);
		case T_OpExpr:
			return bind_comparison(shape, ((OpExpr *) node)->opno, ((OpExpr *) node)->args);
		case T_ScalarArrayOpExpr:
			if (!((ScalarArrayOpExpr *) node)->useOr)
				return {Bond::open, 0};
			return bind_comparison(shape, ((ScalarArrayOpExpr *) node)->opno,
								   ((ScalarArrayOpExpr *) node)->args);
		case T_FuncExpr:
			return bind_call(shape, (FuncExpr *) node);
		case T_SubLink:
			return bind_sublink((SubLink *) node);
		case T_BooleanTest:
			if (((BooleanTest *) node)->booltesttype != IS_TRUE)
				return {Bond::open, 0};
			return bind_expression(shape, (Node *) ((BooleanTest *) node)->arg);
		case T_Const:
		{
			auto *constant = (Const *) node;
			bool lets_through = !constant->constisnull && DatumGetBool(constant->constvalue);

			return {lets_through ? Bond::open : Bond::closed, 0};
		}
		default:
			return {Bond::open, 0};
	}
}

static Datum
settings_array(List *settings)
{
	ArrayBuildState *state = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	ListCell *cell;

	foreach (cell, settings)
		accumArrayResult(state, CStringGetTextDatum(strVal(lfirst(cell))), false, TEXTOID,
						 CurrentMemoryContext);
	return makeArrayResult(state, CurrentMemoryContext);
}

static Datum
functions_array(List *functions)
{
	ArrayBuildState *state = initArrayResult(OIDOID, CurrentMemoryContext, false);
	ListCell *cell;

	foreach (cell, functions)
		accumArrayResult(state, ObjectIdGetDatum(lfirst_oid(cell)), false, OIDOID,
						 CurrentMemoryContext);
	return makeArrayResult(state, CurrentMemoryContext);
}

/* One row of policy_shapes(). */
static void
put_policy(ReturnSetInfo *result, HeapTuple tuple, TupleDesc descriptor, PolicyShape shape)
{
	Node *visible = policy_expression(tuple, Anum_pg_policy_polqual, descriptor);
	Node *checked = policy_expression(tuple, Anum_pg_policy_polwithcheck, descriptor);

	(void) shape_walker(visible, &shape);
	(void) shape_walker(checked, &shape);

	Binding reads = bind_expression(&shape, visible);
	Binding writes = checked ? bind_expression(&shape, checked) : reads;
	Datum values[] = {
		ObjectIdGetDatum(((Form_pg_policy) GETSTRUCT(tuple))->oid),
		CStringGetTextDatum(bond_names[(int) reads.bond]),
		Int16GetDatum(reads.column),
		CStringGetTextDatum(bond_names[(int) writes.bond]),
		Int16GetDatum(writes.column),
		settings_array(shape.settings),
		functions_array(shape.functions),
		BoolGetDatum(shape.branches),
		BoolGetDatum(shape.reads_context),
	};
	bool nulls[lengthof(values)] = {};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_policy_shapes);

PGDLLEXPORT Datum
tenancy_policy_shapes(PG_FUNCTION_ARGS)
{
	auto *result = (ReturnSetInfo *) fcinfo->resultinfo;
	tenancy::PolicyShape shape = {};
	HeapTuple tuple;

	InitMaterializedSRF(fcinfo, 0);
	shape.context_setting = GetConfigOption("tenancy.context_setting", false, false);
	shape.our_schema = get_namespace_oid("tenancy", true);

	MemoryContext scratch =
		AllocSetContextCreate(CurrentMemoryContext, "tenancy policy", ALLOCSET_DEFAULT_SIZES);
	Relation policies = table_open(PolicyRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(policies, InvalidOid, false, nullptr, 0, nullptr);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		MemoryContext caller = MemoryContextSwitchTo(scratch);

		CHECK_FOR_INTERRUPTS();
		tenancy::put_policy(result, tuple, RelationGetDescr(policies), shape);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(scratch);
	}
	systable_endscan(scan);
	table_close(policies, AccessShareLock);
	MemoryContextDelete(scratch);
	PG_RETURN_NULL();
}
}
