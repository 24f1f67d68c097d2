/*
 * context_access.cpp — how far a context reaches: the role class and the scope.
 *
 *   client       one tenant, its own
 *   admin        the tenants of a scope, and its own if it has one
 *   superadmin   every tenant
 *
 * The class stands in a setting of its own, tenancy.access, so that app.current_tenant_id stays the plain identifier
 * that policies written by hand compare with.  Its form is class:tenant:scope, and it is empty for a client.  The tenant is
 * repeated in it because the two settings can part: one of them may be refused at connect, or be written alone by a
 * role that may SET it.  Access that was given for another tenant is none.
 *
 * A scope lists tenants, and names of lists (@north) that stand in tenancy.scopes; these may change while sessions are
 * open.  Members that are not active are left out, and come back when they are resumed.  The list is worked out once and
 * kept as a sorted array.
 */
#include "own_table.h"
#include "tenant_context.h"

namespace tenancy
{

constexpr AttrNumber Anum_scopes_tenants = 2;

static OwnTable scopes = {"scopes", "scopes_pkey"};

/* The extra data of tenancy.access. */
struct AccessValue
{
	Claims claims;
	bool bound;
	char text[FLEXIBLE_ARRAY_MEMBER]; /* what the claims point into */
};

static char *access_value_string;
static const AccessValue *access_value;

/* The tenants of the scope in force, and of what it was made. */
struct Scope
{
	MemoryContext context;
	uint64 fingerprint;
	uint64 registry;
	uint64 scopes;
	uint64 serial;
	const Tenant **members; /* sorted by identifier */
	int count;
	ArrayType *array;
};
static Scope scope;

static const char *const role_words[] = {"none", "client", "admin", "superadmin"};

const char *
role_word(ContextRole role)
{
	return role_words[(int) role];
}

bool
role_of_word(const char *word, size_t length, ContextRole *role)
{
	for (int i = (int) ContextRole::client; i <= (int) ContextRole::superadmin; i++)
		if (strlen(role_words[i]) == length && memcmp(word, role_words[i], length) == 0)
		{
			*role = (ContextRole) i;
			return true;
		}
	return false;
}

/*
 * Lists
 */

struct Member
{
	const char *text; /* not terminated */
	size_t length;
};

/* Takes the first member off a list; false at its end. */
static bool
next_member(const char **list, Member *member)
{
	if (**list == '\0')
		return false;
	member->text = *list;
	member->length = strcspn(*list, ",");
	*list += member->length;
	if (**list == ',')
		(*list)++;
	return true;
}

static bool
scope_name_is_good(const char *name, size_t length)
{
	if (length < 1 || length > SCOPE_NAME_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!(name[i] >= 'a' && name[i] <= 'z') && !(name[i] >= '0' && name[i] <= '9') && name[i] != '_' &&
			name[i] != '-')
			return false;
	return true;
}

static const char *
member_problem(const Member &member)
{
	char id[TENANT_ID_MAX + 2];

	if (member.length > 0 && member.text[0] == '@')
		return scope_name_is_good(member.text + 1, member.length - 1)
				   ? nullptr
				   : "A scope's name is lower-case letters, digits, \"-\" and \"_\".";
	if (member.length > TENANT_ID_MAX)
		return "A member of the scope is too long to be a tenant identifier.";
	memcpy(id, member.text, member.length);
	id[member.length] = '\0';
	return tenant_id_problem(id);
}

/* Why these claims make no context, as an errdetail sentence; null if they do. */
const char *
claims_problem(const Claims &claims)
{
	const char *list = claims.scope;
	const char *problem = *claims.tenant ? tenant_id_problem(claims.tenant) : nullptr;
	Member member;

	if (problem)
		return problem;
	if (claims.role == ContextRole::client && *claims.tenant == '\0')
		return "A client has a tenant.";
	if (claims.role == ContextRole::admin && *claims.tenant == '\0' && *claims.scope == '\0')
		return "An admin has a tenant or a scope.";
	if (claims.role != ContextRole::admin && *claims.scope)
		return "Only an admin has a scope.";
	while (next_member(&list, &member))
		if ((problem = member_problem(member)) != nullptr)
			return problem;
	return nullptr;
}

/*
 * The setting
 */

const Claims *
access_claims()
{
	return access_value ? &access_value->claims : nullptr;
}

/* Splits class:tenant:scope where it stands. */
static bool
parse_access(char *text, Claims *claims)
{
	char *tenant = strchr(text, ':');
	char *list = tenant ? strchr(tenant + 1, ':') : nullptr;

	if (!list || !role_of_word(text, tenant - text, &claims->role))
		return false;
	*tenant++ = '\0';
	*list++ = '\0';
	claims->tenant = tenant;
	claims->scope = list;
	return claims_problem(*claims) == nullptr;
}

static bool
check_access_now(const Claims *claims, GucSource source)
{
	Claims wanted = combine(setting_tenant(), claims);

	if (source == PGC_S_TEST)
		return true;
	if (source == PGC_S_SESSION && !check_binding(wanted))
		return false;
	if (!claims)
		return check_lock(wanted, false);
	return check_restricted() && check_lock(wanted, false);
}

static bool
check_access(char **value, void **extra, GucSource source)
{
	const char *text = *value ? *value : "";
	size_t length = strlen(text);
	AccessValue *parsed = nullptr;

	*extra = nullptr;
	if (length > 0)
	{
		if (!check_context_source(source))
			return false;
		parsed = static_cast<AccessValue *>(tenancy_guc_malloc(LOG, offsetof(AccessValue, text) + length + 1));
		if (!parsed)
			return false;
		memcpy(parsed->text, text, length + 1);
		parsed->bound = via_of_source(source) == ContextVia::role_binding;
		if (!parse_access(parsed->text, &parsed->claims))
		{
			tenancy_guc_free(parsed);
			GUC_check_errcode(ERRCODE_INVALID_PARAMETER_VALUE);
			GUC_check_errmsg("malformed access \"%s\"", clip_for_message(text));
			GUC_check_errhint("Write it by SELECT tenancy.set_context('tenant-001', 'admin', "
							  "ARRAY['tenant-002']);");
			return false;
		}
	}
	if (can_look_up() && !check_access_now(parsed ? &parsed->claims : nullptr, source))
	{
		if (parsed)
			tenancy_guc_free(parsed);
		return false;
	}
	*extra = parsed;
	return true;
}

static void
assign_access(const char *value, void *extra)
{
	Claims before = claims_before_assignment();

	access_value = static_cast<const AccessValue *>(extra);
	settings_changed(before);
	if (access_value && access_value->bound)
		note_binding();
}

void
context_access_init()
{
	own_table_register(&scopes);
	DefineCustomStringVariable("tenancy.access", "The role class and scope that belong to the tenant in force.",
							   "Only tenancy.set_context(), superusers and roles with SET privilege write it.",
							   &access_value_string, "", PGC_SUSET, GUC_DISALLOW_IN_FILE | GUC_NOT_IN_SAMPLE, check_access,
							   assign_access, nullptr);
}

/* The setting's form of the claims: nothing for a client. */
static const char *
access_text(const Claims &claims)
{
	if (claims.role == ContextRole::none || claims.role == ContextRole::client)
		return "";
	return psprintf("%s:%s:%s", role_word(claims.role), claims.tenant, claims.scope);
}

void
write_access(const Claims &claims, GucAction action)
{
	const char *text = access_text(claims);

	if (*text || access_value)
		write_setting("tenancy.access", text, action);
}

/*
 * The scope in force
 */

struct MemberList
{
	const Tenant **members;
	int count;
	int room;
};

static void
add_member(MemberList *list, const char *id)
{
	const Tenant *tenant = intern_tenant(id);
	TenantState state;

	if (!tenant_is_active(tenant, &state))
		return;
	if (list->count == list->room)
	{
		list->room *= 2;
		list->members = static_cast<const Tenant **>(repalloc(list->members, list->room * sizeof(Tenant *)));
	}
	list->members[list->count++] = tenant;
}

struct NameList
{
	Datum *ids;
	int count;
};

/* Copies: look-ups of tenants are made when the table of scopes is closed. */
static void
read_scope(HeapTuple row, TupleDesc descriptor, void *state)
{
	auto *names = static_cast<NameList *>(state);
	bool null;
	Datum array = heap_getattr(row, Anum_scopes_tenants, descriptor, &null);

	if (!null)
		deconstruct_array(DatumGetArrayTypePCopy(array), TEXTOID, -1, false, TYPALIGN_INT, &names->ids, nullptr,
						  &names->count);
}

static void
add_named_scope(MemberList *list, const char *name)
{
	NameList names = {};

	if (!find_own_table(&scopes) || !visit_own_row(&scopes, name, read_scope, &names))
		return;
	for (int i = 0; i < names.count; i++)
	{
		const char *id = TextDatumGetCString(names.ids[i]);

		if (!tenant_id_problem(id))
			add_member(list, id);
	}
}

static int
compare_members(const void *a, const void *b)
{
	return strcmp((*static_cast<const Tenant *const *>(a))->id, (*static_cast<const Tenant *const *>(b))->id);
}

static MemberList
collect_members(const Claims &claims)
{
	MemberList list = {static_cast<const Tenant **>(palloc(16 * sizeof(Tenant *))), 0, 16};
	const char *rest = claims.scope;
	int unique = 0;
	Member member;

	if (*claims.tenant)
		add_member(&list, claims.tenant);
	while (next_member(&rest, &member))
	{
		const char *text = pnstrdup(member.text, member.length);

		if (*text == '@')
			add_named_scope(&list, text + 1);
		else
			add_member(&list, text);
	}

	qsort(list.members, list.count, sizeof(Tenant *), compare_members);
	for (int i = 0; i < list.count; i++)
		if (i == 0 || list.members[i] != list.members[i - 1])
			list.members[unique++] = list.members[i];
	list.count = unique;
	return list;
}

static ArrayType *
array_of_members(const Tenant *const *members, int count)
{
	Datum *ids = static_cast<Datum *>(palloc(Max(count, 1) * sizeof(Datum)));

	for (int i = 0; i < count; i++)
		ids[i] = PointerGetDatum(members[i]->text);
	return construct_array(ids, count, TEXTOID, -1, false, TYPALIGN_INT);
}

bool
scope_is_fresh()
{
	return scope.context && scope.registry == registry_generation() && scope.scopes == scopes.generation;
}

void
resolve_scope(const Claims &claims)
{
	uint64 fingerprint = identify(claims).fingerprint;
	Scope next = {};

	if (scope_is_fresh() && scope.fingerprint == fingerprint)
		return;

	/* What changes while we look is not in it. */
	next.fingerprint = fingerprint;
	next.registry = registry_generation();
	next.scopes = scopes.generation;
	next.context = AllocSetContextCreate(CurrentMemoryContext, "tenancy scope", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(next.context);
	MemberList list = collect_members(claims);

	next.members = list.members;
	next.count = list.count;
	next.array = array_of_members(list.members, list.count);
	next.serial = scope.serial + 1;
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(next.context, TopMemoryContext);
	if (scope.context)
		MemoryContextDelete(scope.context);
	scope = next;
}

const Tenant *const *
scope_members(int *count, uint64 *serial)
{
	*count = scope.count;
	*serial = scope.serial;
	return scope.members;
}

/*
 * Arguments of SQL functions
 */

static void
check_member_exists(const char *member)
{
	NameList names = {};

	if (*member == '@')
	{
		if (find_own_table(&scopes) && !visit_own_row(&scopes, member + 1, read_scope, &names))
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("scope \"%s\" does not exist", member + 1),
							errhint("SELECT tenancy.define_scope('%s', ARRAY['tenant-001', 'tenant-002']);", member + 1)));
	}
	else if (tenant_state(member) == TenantState::unknown)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("tenant \"%s\" does not exist", member),
						errhint("SELECT tenancy.create_tenant('%s', 'its name');", member)));
}

static const char *
join_members(ArrayType *array)
{
	StringInfoData list;
	Datum *members;
	bool *nulls;
	int count;

	initStringInfo(&list);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &members, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a member of the scope must not be null")));

		const char *id = TextDatumGetCString(members[i]);
		Member member = {id, strlen(id)};
		const char *problem = member_problem(member);

		if (problem)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("malformed member \"%s\" of the scope", clip_for_message(id)),
							errdetail_internal("%s", problem)));
		check_member_exists(id);
		appendStringInfo(&list, "%s%s", i > 0 ? "," : "", id);
	}
	return list.data;
}

/* Raises the errors of what cannot be a context; whether the tenant is active is for the settings to say. */
Claims
claims_of_arguments(const char *tenant, const char *access, ArrayType *members)
{
	Claims claims = {ContextRole::none, tenant ? tenant : "", members ? join_members(members) : ""};

	if (tenant)
		check_tenant_id(tenant);
	if (!access || !role_of_word(access, strlen(access), &claims.role))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("access \"%s\" does not exist", access ? clip_for_message(access) : "NULL"),
						errhint("Access is client, admin or superadmin.")));

	const char *problem = claims_problem(claims);
	if (problem)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("context is incomplete or contradicts itself"),
						errdetail_internal("%s", problem)));
	return claims;
}

/* (tenant text, access text, scope text[], …) */
static Claims
claims_of_call(FunctionCallInfo fcinfo)
{
	return claims_of_arguments(PG_ARGISNULL(0) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(0)),
							   PG_ARGISNULL(1) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(1)),
							   PG_ARGISNULL(2) ? nullptr : PG_GETARG_ARRAYTYPE_P(2));
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_set_context);
PG_FUNCTION_INFO_V1(tenancy_access_value);
PG_FUNCTION_INFO_V1(tenancy_current_access);
PG_FUNCTION_INFO_V1(tenancy_current_scope);

PGDLLEXPORT Datum
tenancy_set_context(PG_FUNCTION_ARGS)
{
	bool is_local = PG_ARGISNULL(3) || PG_GETARG_BOOL(3);

	tenancy::write_context(tenancy::claims_of_call(fcinfo), is_local, tenancy::ContextVia::set_context);
	tenancy::warn_if_lost(is_local, "set_context", "set_context('tenant-001', 'client', is_local => false)");
	PG_RETURN_VOID();
}

/* What tenancy.access must hold for a context; for bind_role(). */
PGDLLEXPORT Datum
tenancy_access_value(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(tenancy::access_text(tenancy::claims_of_call(fcinfo))));
}

/* Never an error: it is how a session asks whether it has a context. */
PGDLLEXPORT Datum
tenancy_current_access(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(tenancy::role_word(tenancy::current_role_class())));
}

/*
 * A query may hold the array while the context changes, and asks for it once a row: so each call site has a copy of its
 * own, which is renewed when something changed.
 */
struct ScopeCopy
{
	uint64 serial;
	ArrayType *array;
};

PGDLLEXPORT Datum
tenancy_current_scope(PG_FUNCTION_ARGS)
{
	const tenancy::Context &context = tenancy::required_context();
	auto *copy = static_cast<ScopeCopy *>(fcinfo->flinfo->fn_extra);

	if (context.role == tenancy::ContextRole::none || context.role == tenancy::ContextRole::superadmin)
		PG_RETURN_NULL();
	if (copy && copy->serial == tenancy::context_serial)
		PG_RETURN_ARRAYTYPE_P(copy->array);

	MemoryContext caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	if (!copy)
		fcinfo->flinfo->fn_extra = copy = static_cast<ScopeCopy *>(palloc0(sizeof(ScopeCopy)));
	copy->array = context.role == tenancy::ContextRole::client
					  ? tenancy::array_of_members(&context.tenant, 1)
					  : DatumGetArrayTypePCopy(PointerGetDatum(tenancy::scope.array));
	copy->serial = tenancy::context_serial;
	MemoryContextSwitchTo(caller);
	PG_RETURN_ARRAYTYPE_P(copy->array);
}
}
