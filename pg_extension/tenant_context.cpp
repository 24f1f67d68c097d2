/*
 * tenant_context.cpp — the setting that names the tenant in force, and who may write it.
 *
 * Threat model.  A tenant's session runs SQL that we do not trust: injected text, a hostile customer's query, a client
 * that chooses its own startup options.  It must not become another tenant.  So the context is neither a placeholder
 * setting, which anybody may SET, nor a variable of this process, which would survive a rollback.  It is settings
 * defined in C, and guc.c does the rest: savepoints and rollbacks restore them, DISCARD ALL clears them, parallel
 * workers receive them, standbys have them, and current_setting() reads them, as policies written by hand do.
 *
 *   app.current_tenant_id   the tenant (or what tenancy.context_setting says); superusers and roles with GRANT SET ON
 *                           PARAMETER may write it, services call set_tenant() or set_context()
 *   tenancy.access          beside it, the role class and the scope; empty for a client (context_access.cpp)
 *   tenancy.token           everybody may write it, and it counts for what is signed (context_token.cpp)
 *
 * The first two come before the third; where they disagree, nothing is in force.
 *
 * Lock once.  A transaction sees one context at most: the first one that is in force stays until the end, whatever is
 * cleared or rolled back in between.  SQL injected into a service's transaction cannot go on to the next tenant, and a
 * pooled connection that still carries somebody else's session context makes an error, not a mixture.  A token is
 * different in one point: that of the session may be replaced until the transaction has asked for it, since a pooler
 * does just that.
 *
 * What is in force follows from the settings, the registry, the keys and the clock.  It is worked out when it is asked
 * for ("settled") and kept until one of them changes, so that a policy costs a comparison and a pointer: a suspended
 * tenant's open sessions see no rows from their next statement on.
 */
#include "tenant_context.h"

namespace tenancy
{

/* The extra data of app.current_tenant_id. */
struct TenantValue
{
	const Tenant *tenant;
	ContextVia via;
};

static HTAB *tenants;

/* The settings' values as guc.c keeps them. */
static char *context_setting_name;
static char *context_value;
static bool strict;
static bool local_only;

static const TenantValue *tenant_value;
ContextVia writing_via = ContextVia::setting;

/* What settle() found. */
Context effective;
bool settled;
uint64 context_serial;
static TokenProblem problem;
static TenantState state_of_problem;
static bool lost; /* the settings name a tenant that is not active */

/* Whoever keeps plans by the context. */
static void (*context_changed)(const Claims &claims);

/* For the switch log. */
static Identity last_identity;

/* Whose statements the session keeps: a fingerprint, or 0 for nobody's; and more than one context's. */
static uint64 kept_for;
static bool served_another;
static bool log_switches;

/*
 * Tenants
 */

static bool
parse_uuid(const char *id, pg_uuid_t *uuid)
{
	if (strlen(id) != 36)
		return false;
	for (int i = 0; i < 36; i++)
		if ((i == 8 || i == 13 || i == 18 || i == 23) ? id[i] != '-' : !isxdigit((unsigned char) id[i]))
			return false;
	*uuid = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(id)));
	return true;
}

/* One form for each number: "7" and "007" are two tenants, and one of them is the number 7. */
static bool
parse_bigint(const char *id, int64 *number)
{
	size_t length = strlen(id);
	uint64 value = 0;

	if (length > 19 || (id[0] == '0' && length > 1))
		return false;
	for (const char *c = id; *c; c++)
	{
		if (*c < '0' || *c > '9')
			return false;
		value = value * 10 + (*c - '0');
	}
	*number = (int64) value;
	return value <= (uint64) PG_INT64_MAX;
}

const Tenant *
intern_tenant(const char *id)
{
	bool found;

	if (!tenants)
	{
		HASHCTL control = {};

		control.keysize = sizeof(Tenant::id);
		control.entrysize = sizeof(Tenant);
		tenants = hash_create("tenancy tenants", 64, &control, HASH_ELEM | HASH_STRINGS);
	}

	auto *tenant = static_cast<Tenant *>(hash_search(tenants, id, HASH_ENTER, &found));
	if (!found)
	{
		SET_VARSIZE(tenant->text, VARHDRSZ + strlen(id));
		memcpy(VARDATA(tenant->text), id, strlen(id));
		tenant->is_uuid = parse_uuid(id, &tenant->uuid);
		tenant->is_bigint = parse_bigint(id, &tenant->bigint);
		tenant->active_in = 0;
	}
	return tenant;
}

/*
 * A tenant that was active stays so until the registry says that something changed.  What a transaction sees that has
 * written is not remembered: it may be its own work, and be rolled back.
 */
bool
tenant_is_active(const Tenant *tenant, TenantState *state)
{
	uint64 generation = registry_generation();

	if (tenant->active_in == generation)
	{
		*state = TenantState::active;
		return true;
	}
	*state = tenant_state(tenant->id);
	if (*state == TenantState::active && !TransactionIdIsValid(GetTopTransactionIdIfAny()))
		const_cast<Tenant *>(tenant)->active_in = generation;
	return *state == TenantState::active || *state == TenantState::no_registry;
}

/*
 * The context in force
 */

const char *
setting_tenant()
{
	return tenant_value ? tenant_value->tenant->id : "";
}

/* Access that was given for one tenant says nothing about another. */
Claims
combine(const char *tenant, const Claims *access)
{
	if (access)
		return strcmp(access->tenant, tenant) == 0 ? *access : no_claims;
	if (*tenant == '\0')
		return no_claims;
	return {ContextRole::client, tenant, ""};
}

Claims
setting_claims()
{
	return combine(setting_tenant(), access_claims());
}

bool
context_is_set()
{
	return tenant_value || access_claims() || token_claims();
}

void
unsettle()
{
	settled = false;
}

/* From an assign hook at times: the callback may not fail. */
static void
announce(const Claims &claims)
{
	if (context_changed)
		context_changed(claims);
}

void
on_context_change(void (*callback)(const Claims &claims))
{
	context_changed = callback;
}

static const char *
via_word(ContextVia via)
{
	switch (via)
	{
		case ContextVia::setting:
			return "SET";
		case ContextVia::set_tenant:
			return "set_tenant";
		case ContextVia::set_context:
			return "set_context";
		case ContextVia::role_binding:
			return "role binding";
		case ContextVia::token:
			return "token";
	}
	return "";
}

/* The session has gone over to another context; a transaction that goes back to none is no switch. */
static void
note_switch(const Identity &next, ContextVia via)
{
	if (IsParallelWorker())
		return;
	served_another = served_another || (kept_for != 0 && kept_for != next.fingerprint);
	kept_for = next.fingerprint;
	if (next.fingerprint == last_identity.fingerprint)
		return;
	stat_switched();
	if (log_switches)
		ereport(LOG_SERVER_ONLY,
				(errmsg("tenant context of role \"%s\" changed from %s to %s by %s",
						GetUserNameFromId(GetUserId(), true), describe(last_identity), describe(next), via_word(via)),
				 errhidestmt(true), errhidecontext(true)));
	/* What lastval() and currval() know is the other tenant's. */
	if (last_identity.role != ContextRole::none)
		ResetSequenceCaches();
	last_identity = next;
}

bool
session_served_another()
{
	return served_another || (kept_for != 0 && context_fingerprint() != kept_for);
}

/* By DISCARD ALL, upon which there are neither statements nor cursors. */
void
session_was_reset()
{
	served_another = false;
	kept_for = 0;
}

uint64
context_fingerprint()
{
	return context_in_force().role == ContextRole::none ? 0 : last_identity.fingerprint;
}

/* What the settings or the token claim, as far as it is true. */
static Claims
true_claims(ContextVia *via)
{
	Claims claims = setting_claims();
	const Claims *token = token_claims();
	const Identity *locked = transaction_lock();

	*via = tenant_value ? tenant_value->via : ContextVia::setting;
	if (token)
	{
		if (claims.role != ContextRole::none && identify(claims).fingerprint != identify(*token).fingerprint)
			problem = TokenProblem::other_context;
		else if (claims.role == ContextRole::none)
		{
			claims = *token;
			*via = ContextVia::token;
			problem = verify_token();
		}
	}
	if (problem == TokenProblem::none && claims.role != ContextRole::none &&
		((locked && identify(claims).fingerprint != locked->fingerprint) || !binding_allows(claims)))
		problem = TokenProblem::other_context;
	return problem == TokenProblem::none ? claims : no_claims;
}

/*
 * What was found before, for the next transaction of a session that keeps its context: it holds as long as no setting was
 * written, and the registry, the keys, the clock and the transaction's lock have nothing against it.
 */
static struct Outcome
{
	Context context;
	Identity identity;
	bool reusable;
} outcome;

static bool
outcome_holds()
{
	const Context &context = outcome.context;
	const Identity *locked = transaction_lock();

	return outcome.reusable && IsTransactionState() && (!locked || locked->fingerprint == outcome.identity.fingerprint) &&
		   (!context.tenant || context.tenant->active_in == registry_generation()) &&
		   (context.role != ContextRole::admin || scope_is_fresh()) &&
		   (context.via != ContextVia::token || verify_token() == TokenProblem::none);
}

/*
 * Works out what is in force.  Looking at catalogs may bring the message that something changed, which unsettles again;
 * an error leaves no context behind.
 */
void
settle()
{
	effective = {};
	settled = true;
	if (unlikely(script_tenant))
	{
		effective = {ContextRole::client, script_tenant, ContextVia::set_tenant};
		context_serial++;
		return;
	}
	if (likely(outcome_holds()))
	{
		effective = outcome.context;
		engage_lock(outcome.identity);
		return;
	}
	settled = outcome.reusable = false;
	context_serial++;
	problem = TokenProblem::none;
	lost = false;
	if (!IsTransactionState() || !OidIsValid(MyDatabaseId))
		return;
	settled = true;

	Context next = {};
	Claims claims = true_claims(&next.via);

	next.role = claims.role;
	if (*claims.tenant)
	{
		TenantState state;

		next.tenant = intern_tenant(claims.tenant);
		if (!tenant_is_active(next.tenant, &state))
		{
			if (next.via == ContextVia::token)
				problem = TokenProblem::tenant;
			state_of_problem = state;
			lost = true;
			next = {};
		}
	}
	if (next.role == ContextRole::admin)
		resolve_scope(claims);
	announce(next.role == ContextRole::none ? no_claims : claims);
	if (next.role != ContextRole::none)
	{
		Identity identity = identify(claims);

		engage_lock(identity);
		note_switch(identity, next.via);
		outcome = {next, identity, !role_is_bound()};
	}
	effective = next;
}

[[noreturn]] static void
raise_no_tenant()
{
	stat_denied("");
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("no tenant is in force"),
					errdetail("Under tenancy.strict a protected table cannot be read without a tenant."),
					errhint("Set one first: BEGIN; SELECT tenancy.set_tenant('tenant-001');")));
}

void
raise_if_required()
{
	if (problem != TokenProblem::none)
		raise_token_problem(problem, state_of_problem);
	if (!strict || !IsTransactionState())
		return;
	if (lost)
		raise_context_lost();
	raise_no_tenant();
}

bool
context_was_lost()
{
	return context_in_force().role == ContextRole::none && (problem != TokenProblem::none || lost || transaction_lock());
}

void
raise_context_lost()
{
	if (problem != TokenProblem::none)
		raise_token_problem(problem, state_of_problem);
	if (!lost)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("no tenant is in force any more"),
						errdetail("The cursor was read for %s.", describe(*transaction_lock())),
						errhint("CLOSE the cursor before the tenant is cleared.")));
	stat_denied(setting_tenant());
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("tenant \"%s\" is not active any more", setting_tenant())));
}

const char *
current_tenant()
{
	const Context &context = context_in_force();

	return context.tenant ? context.tenant->id : nullptr;
}

ContextRole
current_role_class()
{
	return context_in_force().role;
}

/*
 * Changes of the settings.  From assign hooks, at the end of a transaction too: nothing here may fail.  There the process
 * has no local transaction id any more, so a value that is merely restored locks nothing.
 */

static void
something_changed()
{
	const Claims *token = token_claims();
	Claims claims = setting_claims();

	note_write();
	outcome.reusable = false;
	unsettle();
	close_held_cursors_later();
	announce(claims.role == ContextRole::none && token ? *token : claims);
}

void
settings_changed(const Claims &before)
{
	engage_lock(before);
	something_changed();
	engage_lock(setting_claims());
}

/* A script's tenant is in force now, or is it no more. */
void
script_changed()
{
	outcome.reusable = false;
	unsettle();
	announce(script_tenant ? Claims{ContextRole::client, script_tenant->id, ""} : setting_claims());
}

/* That a token is good was seen by the check hook, or will be when it is asked for. */
void
token_changed()
{
	something_changed();
}

/*
 * The setting
 */

/* What is wrong with a tenant in this state; true if nothing. */
static bool
check_state(const char *id, TenantState state)
{
	switch (state)
	{
		case TenantState::no_registry:
		case TenantState::active:
			return true;
		case TenantState::unknown:
			stat_denied("");
			GUC_check_errcode(ERRCODE_UNDEFINED_OBJECT);
			GUC_check_errmsg("tenant \"%s\" does not exist", id);
			GUC_check_errhint("SELECT tenancy.create_tenant('%s', 'its name');", id);
			return false;
		case TenantState::provisioning:
			GUC_check_errmsg("tenant \"%s\" is still being provisioned", id);
			GUC_check_errhint("SELECT tenancy.provision_tenant('%s');", id);
			break;
		case TenantState::suspended:
			GUC_check_errmsg("tenant \"%s\" is suspended", id);
			GUC_check_errhint("SELECT tenancy.resume_tenant('%s');", id);
			break;
		case TenantState::inactive:
			GUC_check_errmsg("tenant \"%s\" is inactive", id);
			GUC_check_errhint("SELECT tenancy.resume_tenant('%s');", id);
			break;
		case TenantState::archived:
			GUC_check_errmsg("tenant \"%s\" is archived", id);
			GUC_check_errhint("SELECT tenancy.deactivate_tenant('%s');", id);
			break;
	}
	stat_denied(id);
	GUC_check_errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE);
	return false;
}

/* A context for everybody would be no context. */
bool
check_context_source(GucSource source)
{
	switch (source)
	{
		case PGC_S_FILE:
		case PGC_S_ARGV:
		case PGC_S_ENV_VAR:
		case PGC_S_GLOBAL:
			GUC_check_errcode(ERRCODE_CANT_CHANGE_RUNTIME_PARAM);
			GUC_check_errmsg("the tenant cannot be set for the whole server");
			GUC_check_errhint("Bind one role instead: SELECT tenancy.bind_role('login', 'tenant-001');");
			return false;
		default:
			return true;
	}
}

/* The leader of a parallel query has asked everything before. */
bool
can_look_up()
{
	return IsTransactionState() && OidIsValid(MyDatabaseId) && !InitializingParallelWorker;
}

ContextVia
via_of_source(GucSource source)
{
	return source == PGC_S_DATABASE || source == PGC_S_USER || source == PGC_S_DATABASE_USER ? ContextVia::role_binding
																							: writing_via;
}

/* What only a running transaction can answer. */
static bool
check_context_now(const char *id, GucSource source)
{
	Claims wanted = combine(id, access_claims());

	if (source == PGC_S_SESSION && !check_binding(wanted))
		return false;
	if (*id == '\0')
		return true;
	if (source == PGC_S_TEST)
	{
		/* ALTER ROLE … SET may come before the tenant does; the check that counts is at connect. */
		if (tenant_state(id) == TenantState::unknown)
			ereport(NOTICE, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("tenant \"%s\" does not exist", id)));
		return true;
	}

	TenantState state;

	AcceptInvalidationMessages();
	if (!check_restricted() || !check_lock(wanted, false))
		return false;
	if (tenant_is_active(intern_tenant(id), &state))
		return true;
	if (via_of_source(source) != ContextVia::role_binding)
		return check_state(id, state);

	/* The login stays bound all the same, and is let in again when its tenant is. */
	ereport(WARNING, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					  errmsg("tenant \"%s\" is not active, so nothing of it can be seen", id)));
	return true;
}

/*
 * Runs before the setting takes a value; what it puts into "extra" reaches assign_context().  May raise no error of
 * its own where it can be helped: guc.c decides whether a refusal is an error or, at connect, a warning.
 */
static bool
check_context(char **value, void **extra, GucSource source)
{
	const char *id = *value ? *value : "";

	*extra = nullptr;
	if (*id)
	{
		const char *wrong = tenant_id_problem(id);

		if (wrong)
		{
			GUC_check_errcode(ERRCODE_INVALID_PARAMETER_VALUE);
			GUC_check_errmsg("malformed tenant identifier \"%s\"", clip_for_message(id));
			GUC_check_errdetail("%s", wrong);
			GUC_check_errhint("%s", tenant_id_hint);
			return false;
		}
		if (!check_context_source(source))
			return false;
	}
	if (can_look_up() && !check_context_now(id, source))
		return false;
	if (*id == '\0')
		return true;

	auto *parsed = static_cast<TenantValue *>(tenancy_guc_malloc(LOG, sizeof(TenantValue)));
	if (!parsed)
		return false;
	parsed->tenant = intern_tenant(id);
	parsed->via = via_of_source(source);
	*extra = parsed;
	return true;
}

/* A parallel worker frees what its own connect has set before it takes the leader's settings. */
Claims
claims_before_assignment()
{
	return InitializingParallelWorker ? no_claims : setting_claims();
}

static void
assign_context(const char *value, void *extra)
{
	Claims before = claims_before_assignment();

	tenant_value = static_cast<const TenantValue *>(extra);
	settings_changed(before);
	if (tenant_value && tenant_value->via == ContextVia::role_binding)
		note_binding();
}

/* current_setting() tells no more than current_tenant(), so that hand-written policies close with a suspension too. */
static const char *
show_context(void)
{
	const char *tenant = current_tenant();

	return tenant ? tenant : "";
}

static bool
check_setting_name(char **value, void **extra, GucSource source)
{
	const char *dot = strchr(*value, '.');

	if (dot && dot != *value && dot[1] != '\0' && strlen(*value) < NAMEDATALEN)
		return true;
	GUC_check_errdetail("A setting's name has two parts, for example app.current_tenant_id.");
	return false;
}

void
tenant_context_init()
{
	/*
	 * For whoever has policies that read a setting of another name.  It is read once, here, when the server's
	 * configuration files have been read already.
	 */
	DefineCustomStringVariable("tenancy.context_setting", "Name of the setting that holds the tenant in force.", nullptr,
							   &context_setting_name, "app.current_tenant_id", PGC_POSTMASTER, 0,
							   check_setting_name, nullptr, nullptr);

	/*
	 * Not GUC_NOT_WHILE_SEC_REST: it would also refuse an application's own SECURITY DEFINER function that checks a
	 * login and then calls set_tenant().  check_restricted() refuses the half of it that matters.
	 */
	DefineCustomStringVariable(context_setting_name, "The tenant in force.",
							   "Only tenancy.set_tenant(), superusers and roles with SET privilege write it.",
							   &context_value, "", PGC_SUSET, GUC_DISALLOW_IN_FILE | GUC_NOT_IN_SAMPLE,
							   check_context, assign_context, show_context);

	/* For whoever would rather see an error than an empty result: a forgotten tenant is a bug of the application. */
	DefineCustomBoolVariable("tenancy.strict", "Makes it an error to read a protected table without a tenant.", nullptr,
							 &strict, false, PGC_SUSET, 0, nullptr, nullptr, nullptr);

	/* For whoever shares connections: what a transaction leaves behind, the next client would have. */
	DefineCustomBoolVariable("tenancy.local_only", "Lets set_tenant() and set_context() set the tenant for a transaction only.",
							 nullptr, &local_only, false, PGC_SUSET, 0, nullptr, nullptr, nullptr);

	/* For auditors: who went over to which tenant, and by what authority. */
	DefineCustomBoolVariable("tenancy.log_switches", "Logs each change of a session's tenant context.", nullptr,
							 &log_switches, false, PGC_SUSET, 0, nullptr, nullptr, nullptr);

	context_access_init();
	token_key_init();
	context_token_init();
	context_lifetime_init();
	temporary_table_init();
	policy_guard_init();
	side_channel_init();
	stat_tenants_init();
}

/*
 * Writing
 */

void
write_setting(const char *name, const char *value, GucAction action)
{
	set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, action, true, 0, false);
}

/* Access comes first and goes last: it says nothing while the tenant is not the one that it is for. */
void
write_context(const Claims &claims, bool is_local, ContextVia via)
{
	GucAction action = is_local ? GUC_ACTION_LOCAL : GUC_ACTION_SET;

	if (local_only && !is_local && claims.role != ContextRole::none)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("the tenant can be set for a transaction only"),
						errdetail("tenancy.local_only is on, since connections are shared."),
						errhint("BEGIN; SELECT tenancy.set_tenant('tenant-001');")));
	require_lock(claims);
	writing_via = via;
	if (claims.role != ContextRole::none)
		write_access(claims, action);
	write_setting(context_setting_name, claims.tenant, action);
	if (claims.role == ContextRole::none)
		write_access(claims, action);
	writing_via = ContextVia::setting;
	(void) context_in_force();
}

/*
 * As SET LOCAL does: outside of a transaction block it is gone with the statement, which nobody wants who types it.
 * Within a function it has its use; a function's frame shows as an error context.
 */
void
warn_if_lost(bool is_local, const char *function, const char *example)
{
	if (is_local && !IsTransactionBlock() && error_context_stack == nullptr)
		ereport(WARNING, (errcode(ERRCODE_NO_ACTIVE_SQL_TRANSACTION),
						  errmsg("%s() without a transaction block ends with its statement", function),
						  errhint("BEGIN first, or set it for the session: SELECT tenancy.%s;", example)));
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_set_tenant);
PG_FUNCTION_INFO_V1(tenancy_clear_tenant);
PG_FUNCTION_INFO_V1(tenancy_current_tenant);
PG_FUNCTION_INFO_V1(tenancy_current_tenant_uuid);
PG_FUNCTION_INFO_V1(tenancy_current_tenant_bigint);

PGDLLEXPORT Datum
tenancy_set_tenant(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("tenant identifier must not be null"),
				 errhint("To have no tenant: SELECT tenancy.clear_tenant();")));

	char *id = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool is_local = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);

	tenancy::check_tenant_id(id);
	tenancy::write_context({tenancy::ContextRole::client, id, ""}, is_local, tenancy::ContextVia::set_tenant);
	tenancy::warn_if_lost(is_local, "set_tenant", "set_tenant('tenant-001', false)");
	PG_RETURN_TEXT_P(cstring_to_text(id));
}

PGDLLEXPORT Datum
tenancy_clear_tenant(PG_FUNCTION_ARGS)
{
	tenancy::write_context(tenancy::no_claims, false, tenancy::ContextVia::set_tenant);
	PG_RETURN_VOID();
}

PGDLLEXPORT Datum
tenancy_current_tenant(PG_FUNCTION_ARGS)
{
	const tenancy::Tenant *tenant = tenancy::required_context().tenant;

	if (!tenant)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(tenant->text);
}

PGDLLEXPORT Datum
tenancy_current_tenant_uuid(PG_FUNCTION_ARGS)
{
	const tenancy::Tenant *tenant = tenancy::required_context().tenant;

	if (!tenant || !tenant->is_uuid)
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(&tenant->uuid);
}

PGDLLEXPORT Datum
tenancy_current_tenant_bigint(PG_FUNCTION_ARGS)
{
	const tenancy::Tenant *tenant = tenancy::required_context().tenant;

	if (!tenant || !tenant->is_bigint)
		PG_RETURN_NULL();
	PG_RETURN_INT64(tenant->bigint);
}
}
