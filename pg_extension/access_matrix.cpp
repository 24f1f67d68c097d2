/*
 * access_matrix.cpp — which role class may read and write a table: the answers, row by row.
 *
 *               client            admin                    superadmin
 *   orders      read-write, own   read, those of a scope   read-write, all
 *
 * A policy is one call, tenancy.can(tenant_id, 'client, admin, superadmin').  The planner replaces it by what it comes to
 * for the class in force (access_plan.cpp); where nothing plans, can() answers by itself.
 *
 * A scope is asked for each row, so it is kept as a hash table.
 */
#include "access_matrix.h"

namespace tenancy
{

/*
 * Role classes
 */

RoleSet
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

RoleSet
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

bool
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
 * Tenants as values
 */

ArrayType *
array_of_tenants(const Tenant *const *tenants, int count, IdType type)
{
	const IdTypeFacts &facts = id_type_facts(type);
	auto *ids = static_cast<Datum *>(palloc(Max(count, 1) * sizeof(Datum)));
	int used = 0;

	for (int i = 0; i < count; i++)
		if (datum_of_tenant(tenants[i], type, &ids[used]))
			used++;
	return construct_array(ids, used, facts.type, facts.length, facts.by_value, facts.alignment);
}

const Tenant *const *
reached_tenants(const Context &context, int *count)
{
	uint64 serial;

	if (context.role == ContextRole::admin)
		return scope_members(count, &serial);
	*count = context.role == ContextRole::client ? 1 : 0;
	return &context.tenant;
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
PG_FUNCTION_INFO_V1(tenancy_in_scope_text);
PG_FUNCTION_INFO_V1(tenancy_in_scope_uuid);
PG_FUNCTION_INFO_V1(tenancy_in_scope_bigint);
PG_FUNCTION_INFO_V1(tenancy_is_superadmin);
PG_FUNCTION_INFO_V1(tenancy_current_scope_tenant);
PG_FUNCTION_INFO_V1(tenancy_current_scope_tenant_uuid);
PG_FUNCTION_INFO_V1(tenancy_current_scope_tenant_bigint);
PG_FUNCTION_INFO_V1(tenancy_is_scope_tenant_text);
PG_FUNCTION_INFO_V1(tenancy_is_scope_tenant_uuid);
PG_FUNCTION_INFO_V1(tenancy_is_scope_tenant_bigint);
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
tenancy_is_superadmin(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(tenancy::required_context().role == tenancy::ContextRole::superadmin);
}
}

namespace tenancy
{

/* The only tenant of an admin's scope, looked for once a context: a filter asks for each row. */
static const Tenant *
only_tenant_of_scope()
{
	static uint64 context;
	static const Tenant *only;

	if (unlikely(context != context_serial))
	{
		int count;
		uint64 serial;
		const Tenant *const *members = scope_members(&count, &serial);

		only = count == 1 ? members[0] : nullptr;
		context = context_serial;
	}
	return only;
}

/* The only tenant that the context reaches, or null. */
static inline const Tenant *
only_tenant()
{
	const Context &context = required_context();

	if (context.role == ContextRole::client)
		return context.tenant;
	return context.role == ContextRole::admin ? only_tenant_of_scope() : nullptr;
}

static inline bool
is_only_tenant(const Id &id)
{
	const Tenant *tenant = only_tenant();

	return tenant && is_tenant(tenant, id);
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
tenancy_is_scope_tenant_text(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(tenancy::is_only_tenant(tenancy::text_id(PG_GETARG_TEXT_PP(0))));
}

PGDLLEXPORT Datum
tenancy_is_scope_tenant_uuid(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(tenancy::is_only_tenant(tenancy::uuid_id(PG_GETARG_UUID_P(0))));
}

PGDLLEXPORT Datum
tenancy_is_scope_tenant_bigint(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(tenancy::is_only_tenant(tenancy::bigint_id(PG_GETARG_INT64(0))));
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
