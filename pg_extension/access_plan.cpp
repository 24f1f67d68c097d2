/*
 * access_plan.cpp — the access matrix in plans: can(), planned for the role class in force.
 *
 * The obvious policy is an OR of three arms.  It cannot use the index that leads with the tenant, so the newest 100 rows of a
 * tenant cost 400 times as much, and each arm is another way in.  Here the planner asks the support function of can()
 * what the call comes to:
 *
 *   client                     tenant_id = tenancy.current_tenant()          the index, and the statistics of that tenant
 *   admin of one tenant        tenant_id = tenancy.current_scope_tenant()    the same
 *   admin                      tenancy.in_scope(tenant_id)                   a look into a hash table, or the index by = ANY
 *   superadmin                 true                                          no condition at all
 *   a class that is not named  false
 *
 * A cached plan was made for a class.  It names an invalidation item of ours, and when the session goes over to another
 * class the item is fired and such plans are made anew; a change of the tenant alone replans nothing, nor does the end of
 * a transaction that takes its context with it.
 *
 * A table that is partitioned by the tenant is another matter: to open one partition of a thousand, and not all, the
 * planner must see the identifier itself.  So there the context is put into the plan, beside a question that lets nothing
 * through once the context is another one, and a second item replans such statements when the tenant changes.
 *
 * That rows are nobody else's never hangs on such items: every form asks the context when it runs.  Only the superadmin's
 * has nothing left to ask, so its plans bear a third item, by which they are known when they start.
 */
#include "access_matrix.h"

namespace tenancy
{

/*
 * Cached plans
 */

/* For whom plans are made. */
enum class PlanClass
{
	client,
	admin_of_one,
	admin,
	superadmin
};
static PlanClass plan_class = PlanClass::client;

/* The context that stands in the plans for partitioned tables, if there are such plans. */
static bool folded;
static uint64 folded_fingerprint;
static uint64 folded_scope;

/* Our invalidation items.  They stand among those of functions, where the cache of plans looks for items. */
constexpr int ITEM_CACHE = PROCOID;
constexpr uint32 CLASS_ITEM = 0x74656e43;
constexpr uint32 CONTEXT_ITEM = 0x74656e58;
constexpr uint32 SUPERADMIN_ITEM = 0x74656e53;

/* As far as the claims tell without a look at catalogs: a named scope counts as several tenants. */
static bool
names_one_tenant(const Claims &claims)
{
	if (*claims.scope == '\0')
		return true;
	return *claims.tenant == '\0' && *claims.scope != '@' && !strchr(claims.scope, ',');
}

static PlanClass
plan_class_of(const Claims &claims)
{
	switch (claims.role)
	{
		case ContextRole::admin:
			return names_one_tenant(claims) ? PlanClass::admin_of_one : PlanClass::admin;
		case ContextRole::superadmin:
			return PlanClass::superadmin;
		default:
			return PlanClass::client;
	}
}

static uint64
scope_serial()
{
	int count;
	uint64 serial;

	(void) scope_members(&count, &serial);
	return serial;
}

/*
 * From an assign hook.  Plans of a client and an admin are right without a context, since they ask
 * for it, so a context that ends replans nothing: the next one is most likely of the same class.
 */
static void
context_changed(const Claims &claims)
{
	if (claims.role == ContextRole::none && plan_class != PlanClass::superadmin)
		return;

	PlanClass next = plan_class_of(claims);
	if (next != plan_class)
	{
		plan_class = next;
		CallSyscacheCallbacks(ITEM_CACHE, CLASS_ITEM);
	}
	if (folded && (identify(claims).fingerprint != folded_fingerprint || scope_serial() != folded_scope))
	{
		folded = false;
		CallSyscacheCallbacks(ITEM_CACHE, CONTEXT_ITEM);
	}
}

void
access_plan_init()
{
	on_context_change(context_changed);
}

static bool
has_item(List *items, uint32 hash)
{
	ListCell *cell;

	foreach (cell, items)
	{
		auto *item = lfirst_node(PlanInvalItem, cell);

		if (item->cacheId == ITEM_CACHE && item->hashValue == hash)
			return true;
	}
	return false;
}

static void
depend_on(PlannerInfo *root, uint32 hash)
{
	if (has_item(root->glob->invalItems, hash))
		return;

	auto *item = makeNode(PlanInvalItem);
	item->cacheId = ITEM_CACHE;
	item->hashValue = hash;
	root->glob->invalItems = lappend(root->glob->invalItems, item);
}

void
check_plan_starts(const PlannedStmt *plan)
{
	if (likely(!has_item(plan->invalItems, SUPERADMIN_ITEM)) ||
		required_context().role == ContextRole::superadmin)
		return;
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("statement was planned for a superadmin, who is not in force any more"),
					errhint("Run it again.")));
}

/*
 * Conditions
 */

static Oid
equality_of(IdType type)
{
	return lookup_type_cache(id_type_facts(type).type, TYPECACHE_EQ_OPR)->eq_opr;
}

static Node *
equal_to(Node *id, Expr *value, Oid collation)
{
	IdType type = id_type(id);
	Expr *clause = make_opclause(equality_of(type), BOOLOID, false, (Expr *) id, value, InvalidOid, collation);

	((OpExpr *) clause)->opfuncid = id_type_facts(type).equality;
	return (Node *) clause;
}

static Node *
equal_to_any(Node *id, Expr *array, Oid collation)
{
	auto *clause = makeNode(ScalarArrayOpExpr);
	IdType type = id_type(id);

	clause->opno = equality_of(type);
	clause->opfuncid = id_type_facts(type).equality;
	clause->useOr = true;
	clause->inputcollid = collation;
	clause->args = list_make2(id, array);
	clause->location = -1;
	return (Node *) clause;
}

/* id = ANY (current_scope()) */
static Node *
any_of_scope(Node *id, Oid collation)
{
	return equal_to_any(id, call_context_function(ContextFunction::current_scope, id), collation);
}

static Node *
in_scope(Node *id)
{
	return (Node *) call_context_function(ContextFunction::in_scope, id);
}

/*
 * The context as a part of the plan
 */

static bool
is_partitioned_by(PlannerInfo *root, Node *id)
{
	while (IsA(id, RelabelType))
		id = (Node *) ((RelabelType *) id)->arg;
	if (!IsA(id, Var) || ((Var *) id)->varlevelsup != 0 || IS_SPECIAL_VARNO(((Var *) id)->varno))
		return false;

	RangeTblEntry *entry = rt_fetch(((Var *) id)->varno, root->parse->rtable);
	if (entry->rtekind != RTE_RELATION || entry->relkind != RELKIND_PARTITIONED_TABLE)
		return false;

	Relation table = table_open(entry->relid, NoLock);
	PartitionKey key = RelationGetPartitionKey(table);
	bool result = key->partnatts == 1 && key->partattrs[0] == ((Var *) id)->varattno &&
				  (key->strategy == PARTITION_STRATEGY_LIST || key->strategy == PARTITION_STRATEGY_HASH);
	table_close(table, NoLock);
	return result;
}

static Expr *
constant_of(const IdTypeFacts &facts, Datum value)
{
	return (Expr *) makeConst(facts.type, -1, facts.collation, facts.length, value, false, facts.by_value);
}

static Expr *
constant_array_of(const IdTypeFacts &facts, ArrayType *value)
{
	return (Expr *) makeConst(facts.array, -1, facts.collation, -1, PointerGetDatum(value), false, false);
}

/*
 * The identifier is one of those that are in force now, and they still are.  Null without a context: that plan must ask for
 * one, so that it is missed under tenancy.strict, and be made anew when there is one.
 */
static Node *
plan_with_context(PlannerInfo *root, Node *id, Oid collation)
{
	const Context &context = context_in_force();
	IdType type = id_type(id);
	const IdTypeFacts &facts = id_type_facts(type);
	Node *equality;
	Datum datum;
	int count;
	const Tenant *const *tenants = reached_tenants(context, &count);

	depend_on(root, CONTEXT_ITEM);
	folded = true;
	folded_fingerprint = context_fingerprint();
	folded_scope = scope_serial();
	if (context.role == ContextRole::none)
		return nullptr;

	if (count == 1 && datum_of_tenant(tenants[0], type, &datum))
	{
		equality = equal_to(id, constant_of(facts, datum), collation);
		((OpExpr *) equality)->location = FOR_THE_PLANNER;
	}
	else
	{
		equality = equal_to_any(id, constant_array_of(facts, array_of_tenants(tenants, count, type)), collation);
		((ScalarArrayOpExpr *) equality)->location = FOR_THE_PLANNER;
	}

	/* Asked of the row and not of the constant, which would put a node of its own above each scan. */
	Expr *still = call_context_function(ContextFunction::still_in_scope, (Node *) copyObject(id));
	return (Node *) make_andclause(list_make2(equality, still));
}

/* What a call of can() comes to for the class that plans are made for. */
static Node *
plan_can(PlannerInfo *root, FuncExpr *call)
{
	auto *id = (Node *) linitial(call->args);
	auto *words = (Const *) lsecond(call->args);
	/* The words have a collation even where the identifier has none, and another one than the index's loses the index. */
	Oid collation = OidIsValid(exprCollation(id)) ? call->inputcollid : InvalidOid;

	if (!IsA(words, Const) || words->constisnull)
		return nullptr;
	RoleSet roles = parse_roles(TextDatumGetCString(words->constvalue));

	(void) context_in_force(); /* which says what the class is */
	depend_on(root, CLASS_ITEM);
	if (plan_class == PlanClass::superadmin)
	{
		bool named = roles & role_bit(ContextRole::superadmin);

		if (named)
			depend_on(root, SUPERADMIN_ITEM);
		return (Node *) makeBoolConst(named, false);
	}

	ContextRole role = plan_class == PlanClass::client ? ContextRole::client : ContextRole::admin;
	if (!(roles & role_bit(role)))
		return (Node *) makeBoolConst(false, false);
	if (is_partitioned_by(root, id))
	{
		Node *condition = plan_with_context(root, id, collation);

		if (condition)
			return condition;
	}
	if (plan_class == PlanClass::admin || !contain_var_clause(id))
		return in_scope(id);
	return equal_to(id, call_context_function(role == ContextRole::client ? ContextFunction::current_tenant
																			 : ContextFunction::current_scope_tenant, id),
					collation);
}

/*
 * in_scope(column) by an index: column = ANY (current_scope()).  Up to 16 an array on any but the leading column loses
 * the index's order, and the planner would not know, since it sees our function there.
 */
static List *
index_condition(SupportRequestIndexCondition *request)
{
	auto *call = (FuncExpr *) request->node;

	if (!IsA(call, FuncExpr) || request->indexarg != 0 || !request->index->amsearcharray || request->indexcol != 0)
		return NIL;

	auto *id = (Node *) linitial(call->args);
	auto *clause = (ScalarArrayOpExpr *) any_of_scope(id, call->inputcollid);
	if (!op_in_opfamily(clause->opno, request->opfamily) ||
		(OidIsValid(request->indexcollation) && request->indexcollation != clause->inputcollid))
		return NIL;
	request->lossy = false;
	return list_make1(clause);
}

static void
estimate_in_scope(SupportRequestSelectivity *request)
{
	auto *id = (Node *) linitial(request->args);

	if (!contain_var_clause(id))
		request->selectivity = 1.0;
	else
		request->selectivity =
			scalararraysel(request->root, (ScalarArrayOpExpr *) any_of_scope(id, request->inputcollid),
						   request->is_join, request->varRelid, request->jointype, request->sjinfo);
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_can_support);
PG_FUNCTION_INFO_V1(tenancy_in_scope_support);

PGDLLEXPORT Datum
tenancy_can_support(PG_FUNCTION_ARGS)
{
	auto *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestSimplify) && ((SupportRequestSimplify *) request)->root)
		PG_RETURN_POINTER(tenancy::plan_can(((SupportRequestSimplify *) request)->root,
											((SupportRequestSimplify *) request)->fcall));
	PG_RETURN_POINTER(nullptr);
}

PGDLLEXPORT Datum
tenancy_in_scope_support(PG_FUNCTION_ARGS)
{
	auto *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestIndexCondition))
		PG_RETURN_POINTER(tenancy::index_condition((SupportRequestIndexCondition *) request));
	if (IsA(request, SupportRequestSelectivity))
	{
		tenancy::estimate_in_scope((SupportRequestSelectivity *) request);
		PG_RETURN_POINTER(request);
	}
	PG_RETURN_POINTER(nullptr);
}
}
