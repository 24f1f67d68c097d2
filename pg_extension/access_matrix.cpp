/*
 * access_matrix.cpp — which role class may read and write a table, in one condition that is planned
 * for the class in force.
 *
 *               client            admin                    superadmin
 *   orders      read-write, own   read, those of a scope   read-write, all
 *
 * The obvious policy is an OR of three arms.  It cannot use the index that leads with the tenant,
 * so the newest 100 rows of a tenant cost 400 times as much, and each arm is another way in.  Here
 * the policy is one call, tenancy.can(tenant_id, 'client, admin, superadmin'), and the planner asks
 * its support function what the call comes to:
 *
 *   client                     tenant_id = tenancy.current_tenant()         the index, and the
 * statistics of that tenant admin of one tenant        tenant_id = tenancy.current_scope_tenant()
 * the same admin                      tenancy.in_scope(tenant_id)                  a look into a
 * hash table, or the index by = ANY superadmin                 true no condition at all a class
 * that is not named  false
 *
 * A cached plan was made for a class.  It names an invalidation item of ours, and when the session
 * goes over to another class the item is fired and such plans are made anew; a change of the tenant
 * alone replans nothing, nor does the end of a transaction that takes its context with it.
 *
 * A table that is partitioned by the tenant is another matter: to open one partition of a thousand,
 * and not all, the planner must see the identifier itself.  So there the context is put into the
 * plan, beside a question that lets nothing through once the context is another one, and a second
 * item replans such statements when the tenant changes.
 *
 * That rows are nobody else's never hangs on such items: every form asks the context when it runs.
 * Only the superadmin's has nothing left to ask, so its plans bear a third item, by which they are
 * known when they start.
 *
 * Where nothing plans, can() answers by itself.
 */
#include "context_function.h"
#include "tenant_context.h"

namespace tenancy
{

/*
 * Role classes
 */

static RoleSet
role_bit(ContextRole role)
{
	return role == ContextRole::none ? 0 : 1u << ((int) role - 1);
}

static RoleSet
role_set_of(const char *word, size_t length)
{
	ContextRole role;

	if (!role_of_word(word, length, &role))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("role class \"%s\" does not exist", clip_for_message(pnstrdup(word, length))),
						errhint("A role class is client, admin or superadmin.")));
	return role_bit(role);
}

RoleSet
role_set_of_word(const char *word)
{
	return role_set_of(word, strlen(word));
}

/* 'client, admin' */
static RoleSet
parse_roles(const char *text)
{
	RoleSet roles = 0;

	while (*text)
	{
		size_t length = strcspn(text, ", ");

		if (length > 0)
			roles |= role_set_of(text, length);
		text += length;
		text += strspn(text, ", ");
	}
	return roles;
}

const char *
words_of_roles(RoleSet roles)
{
	StringInfoData words;
	const ContextRole all[] = {ContextRole::client, ContextRole::admin, ContextRole::superadmin};

	initStringInfo(&words);
	for (ContextRole role : all)
		if (roles & role_bit(role))
			appendStringInfo(&words, "%s%s", words.len > 0 ? ", " : "", role_word(role));
	return words.data;
}

/*
 * Answers, row by row
 */

/* An identifier as it comes from a row. */
struct Id
{
	IdType type;
	const char *data;
	size_t length;
	int64 number;
};

static Id
text_id(const text *value)
{
	return {IdType::text, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), 0};
}

static Id
uuid_id(const pg_uuid_t *value)
{
	return {IdType::uuid, reinterpret_cast<const char *>(value->data), UUID_LEN, 0};
}

static Id
bigint_id(int64 value)
{
	return {IdType::bigint, nullptr, 0, value};
}

static Id
id_of_datum(Datum datum, IdType type)
{
	switch (type)
	{
		case IdType::text:
			return text_id(DatumGetTextPP(datum));
		case IdType::uuid:
			return uuid_id(DatumGetUUIDP(datum));
		case IdType::bigint:
			break;
	}
	return bigint_id(DatumGetInt64(datum));
}

static inline bool
is_tenant(const Tenant *tenant, const Id &id)
{
	switch (id.type)
	{
		case IdType::text:
			return id.length == VARSIZE(tenant->text) - VARHDRSZ && memcmp(id.data, tenant->id, id.length) == 0;
		case IdType::uuid:
			return tenant->is_uuid && memcmp(id.data, tenant->uuid.data, UUID_LEN) == 0;
		case IdType::bigint:
			return tenant->is_bigint && tenant->bigint == id.number;
	}
	return false;
}

/* Up to eight bytes as a number. */
static inline uint64
load_bytes(const char *data, size_t length)
{
	uint64 word = 0;

	if (likely(length == sizeof(word)))
		memcpy(&word, data, sizeof(word));
	else
		memcpy(&word, data, length);
	return word;
}

/* Identifiers are short and differ at their ends; hash_bytes() takes as long as everything else
 * here. */
static inline uint32
hash_of_id(const Id &id)
{
	constexpr uint64 MIX = UINT64CONST(0x9e3779b97f4a7c15);
	uint64 hash;

	if (id.type == IdType::bigint)
		hash = (uint64) id.number;
	else if (id.length <= 8)
		hash = load_bytes(id.data, id.length);
	else
	{
		hash = load_bytes(id.data + id.length - 8, 8);
		for (size_t at = 0; at + 8 < id.length; at += 8)
			hash = (hash ^ load_bytes(id.data + at, 8)) * MIX;
	}
	/* A product carries upwards only, and it is the last characters that differ: fold before and
	 * after. */
	hash = (hash ^ (hash >> 32)) * MIX;
	hash = (hash ^ (hash >> 32)) * MIX;
	return (uint32) (hash >> 32);
}

/* The scope in force as a hash table: open addressing, never more than half full. */
struct ScopeTable
{
	uint64 context; /* the context that it was last looked at for, and */
	uint64 scope;	/* the serial number of the scope that it was made from */
	uint32 mask;
	const Tenant **slots;
};
static ScopeTable scope_tables[3];

/* The tenant's identifier in a type; false if it has none there.  The datum may point into the tenant. */
static bool
datum_of_tenant(const Tenant *tenant, IdType type, Datum *datum)
{
	switch (type)
	{
		case IdType::text:
			*datum = PointerGetDatum(tenant->text);
			return true;
		case IdType::uuid:
			*datum = UUIDPGetDatum(&tenant->uuid);
			return tenant->is_uuid;
		case IdType::bigint:
			*datum = Int64GetDatum(tenant->bigint);
			return tenant->is_bigint;
	}
	return false;
}

static void
fill_scope_table(ScopeTable *table, IdType type)
{
	int count;
	uint64 serial;
	const Tenant *const *members = scope_members(&count, &serial);
	uint32 size = pg_nextpower2_32(Max(count, 4) * 2);

	table->context = context_serial;
	if (table->slots && table->scope == serial)
		return;
	if (table->slots)
		pfree(table->slots);
	table->slots = nullptr;
	table->slots = static_cast<const Tenant **>(MemoryContextAllocZero(TopMemoryContext, size * sizeof(Tenant *)));
	table->mask = size - 1;
	for (int i = 0; i < count; i++)
	{
		Datum datum;

		if (!datum_of_tenant(members[i], type, &datum))
			continue;
		uint32 slot = hash_of_id(id_of_datum(datum, type)) & table->mask;
		while (table->slots[slot])
			slot = (slot + 1) & table->mask;
		table->slots[slot] = members[i];
	}
	table->scope = serial;
}

static inline bool
in_scope_table(const Id &id)
{
	ScopeTable *table = &scope_tables[(int) id.type];

	if (unlikely(table->context != context_serial))
		fill_scope_table(table, id.type);
	for (uint32 slot = hash_of_id(id) & table->mask; table->slots[slot]; slot = (slot + 1) & table->mask)
		if (is_tenant(table->slots[slot], id))
			return true;
	return false;
}

/* Whether the context reaches the tenant. */
static inline bool
reaches(const Context &context, const Id &id)
{
	switch (context.role)
	{
		case ContextRole::none:
			return false;
		case ContextRole::client:
			return is_tenant(context.tenant, id);
		case ContextRole::admin:
			return in_scope_table(id);
		case ContextRole::superadmin:
			return true;
	}
	return false;
}

/* A parameter would not do: plpgsql keeps an expression's state from one value of it to the next. */
static bool
roles_are_constant(FunctionCallInfo fcinfo)
{
	Node *call = fcinfo->flinfo->fn_expr;

	return call && IsA(call, FuncExpr) && IsA(lsecond(((FuncExpr *) call)->args), Const);
}

/* The roles of a call of can(), which are as good as always constant. */
static RoleSet
roles_of_call(FunctionCallInfo fcinfo)
{
	auto *known = static_cast<RoleSet *>(fcinfo->flinfo->fn_extra);

	if (known)
		return *known;
	RoleSet roles = PG_ARGISNULL(1) ? 0 : parse_roles(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (roles_are_constant(fcinfo))
	{
		known = static_cast<RoleSet *>(MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(RoleSet)));
		*known = roles;
		fcinfo->flinfo->fn_extra = known;
	}
	return roles;
}

static bool
can(FunctionCallInfo fcinfo, const Id &id)
{
	const Context &context = required_context();

	if (!(role_bit(context.role) & roles_of_call(fcinfo)))
		return false;
	return context.role == ContextRole::superadmin || (!PG_ARGISNULL(0) && reaches(context, id));
}

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
access_matrix_init()
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
equality_of(Node *id)
{
	return lookup_type_cache(exprType(id), TYPECACHE_EQ_OPR)->eq_opr;
}

static Node *
equal_to(Node *id, Expr *value, Oid collation)
{
	Expr *clause =
		make_opclause(equality_of(id), BOOLOID, false, (Expr *) id, value, InvalidOid, collation);

	set_opfuncid((OpExpr *) clause);
	return (Node *) clause;
}

static Node *
equal_to_any(Node *id, Expr *array, Oid collation)
{
	auto *clause = makeNode(ScalarArrayOpExpr);

	clause->opno = equality_of(id);
	clause->opfuncid = get_opcode(clause->opno);
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

/* The tenants' identifiers as an array of a type; those that are none of that type are left out. */
static ArrayType *
array_of_tenants(const Tenant *const *tenants, int count, IdType type)
{
	static const Oid element_types[] = {TEXTOID, UUIDOID, INT8OID};
	Oid element_type = element_types[(int) type];
	auto *ids = static_cast<Datum *>(palloc(Max(count, 1) * sizeof(Datum)));
	int used = 0;
	int16 length;
	bool by_value;
	char alignment;

	for (int i = 0; i < count; i++)
		if (datum_of_tenant(tenants[i], type, &ids[used]))
			used++;
	get_typlenbyvalalign(element_type, &length, &by_value, &alignment);
	return construct_array(ids, used, element_type, length, by_value, alignment);
}

/* The tenants that the context reaches, if it reaches some and not all. */
static const Tenant *const *
reached_tenants(const Context &context, int *count)
{
	uint64 serial;

	if (context.role == ContextRole::admin)
		return scope_members(count, &serial);
	*count = context.role == ContextRole::client ? 1 : 0;
	return &context.tenant;
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
	Oid id_oid = exprType(id), array_oid = get_array_type(id_oid);
	Node *equality, *still;
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
		Const *constant = makeConst(id_oid, -1, get_typcollation(id_oid), get_typlen(id_oid), datum, false, get_typbyval(id_oid));

		equality = equal_to(id, (Expr *) constant, collation);
		still = in_scope((Node *) copyObject(constant));
	}
	else
	{
		Datum array = PointerGetDatum(array_of_tenants(tenants, count, type));

		equality = equal_to_any(
			id, (Expr *) makeConst(array_oid, -1, get_typcollation(array_oid), -1, array, false, false), collation);
		still = in_scope((Node *) copyObject(id));
	}
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
	return equal_to(id, call_context_function(role == ContextRole::client ? ContextFunction::current_tenant : ContextFunction::current_scope_tenant, id),
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

/*
 * SQL
 */

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_can_text);
PG_FUNCTION_INFO_V1(tenancy_can_uuid);
PG_FUNCTION_INFO_V1(tenancy_can_bigint);
PG_FUNCTION_INFO_V1(tenancy_can_support);
PG_FUNCTION_INFO_V1(tenancy_in_scope_text);
PG_FUNCTION_INFO_V1(tenancy_in_scope_uuid);
PG_FUNCTION_INFO_V1(tenancy_in_scope_bigint);
PG_FUNCTION_INFO_V1(tenancy_in_scope_support);
PG_FUNCTION_INFO_V1(tenancy_is_superadmin);
PG_FUNCTION_INFO_V1(tenancy_current_scope_tenant);
PG_FUNCTION_INFO_V1(tenancy_current_scope_tenant_uuid);
PG_FUNCTION_INFO_V1(tenancy_current_scope_tenant_bigint);
PG_FUNCTION_INFO_V1(tenancy_current_scope_uuid);
PG_FUNCTION_INFO_V1(tenancy_current_scope_bigint);

PGDLLEXPORT Datum
tenancy_can_text(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(tenancy::can(
		fcinfo, PG_ARGISNULL(0) ? tenancy::bigint_id(0) : tenancy::text_id(PG_GETARG_TEXT_PP(0))));
}

PGDLLEXPORT Datum
tenancy_can_uuid(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(tenancy::can(fcinfo, PG_ARGISNULL(0) ? tenancy::bigint_id(0) : tenancy::uuid_id(PG_GETARG_UUID_P(0))));
}

PGDLLEXPORT Datum
tenancy_can_bigint(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(tenancy::can(fcinfo, tenancy::bigint_id(PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0))));
}

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
tenancy_in_scope_text(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(tenancy::reaches(tenancy::required_context(), tenancy::text_id(PG_GETARG_TEXT_PP(0))));
}

PGDLLEXPORT Datum
tenancy_in_scope_uuid(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(tenancy::reaches(tenancy::required_context(), tenancy::uuid_id(PG_GETARG_UUID_P(0))));
}

PGDLLEXPORT Datum
tenancy_in_scope_bigint(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(tenancy::reaches(tenancy::required_context(), tenancy::bigint_id(PG_GETARG_INT64(0))));
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

PGDLLEXPORT Datum
tenancy_is_superadmin(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(tenancy::required_context().role == tenancy::ContextRole::superadmin);
}
}

namespace tenancy
{

/* The only tenant that the context reaches, or null. */
static const Tenant *
only_tenant()
{
	const Context &context = required_context();

	if (context.role == ContextRole::client)
		return context.tenant;
	if (context.role != ContextRole::admin)
		return nullptr;

	int count;
	uint64 serial;
	const Tenant *const *members = scope_members(&count, &serial);
	return count == 1 ? members[0] : nullptr;
}

/* current_scope() as an array of another type.  Made anew for each call: the planner's estimates and scans ask once. */
static Datum
scope_array(IdType type, FunctionCallInfo fcinfo)
{
	const Context &context = required_context();
	int count;
	const Tenant *const *tenants = reached_tenants(context, &count);

	if (context.role == ContextRole::none || context.role == ContextRole::superadmin)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(array_of_tenants(tenants, count, type));
}

} // namespace tenancy

extern "C"
{
PGDLLEXPORT Datum
tenancy_current_scope_tenant(PG_FUNCTION_ARGS)
{
	const tenancy::Tenant *tenant = tenancy::only_tenant();

	if (!tenant)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(tenant->text);
}

PGDLLEXPORT Datum
tenancy_current_scope_tenant_uuid(PG_FUNCTION_ARGS)
{
	const tenancy::Tenant *tenant = tenancy::only_tenant();

	if (!tenant || !tenant->is_uuid)
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(&tenant->uuid);
}

PGDLLEXPORT Datum
tenancy_current_scope_tenant_bigint(PG_FUNCTION_ARGS)
{
	const tenancy::Tenant *tenant = tenancy::only_tenant();

	if (!tenant || !tenant->is_bigint)
		PG_RETURN_NULL();
	PG_RETURN_INT64(tenant->bigint);
}

PGDLLEXPORT Datum
tenancy_current_scope_uuid(PG_FUNCTION_ARGS)
{
	return tenancy::scope_array(tenancy::IdType::uuid, fcinfo);
}

PGDLLEXPORT Datum
tenancy_current_scope_bigint(PG_FUNCTION_ARGS)
{
	return tenancy::scope_array(tenancy::IdType::bigint, fcinfo);
}
}
