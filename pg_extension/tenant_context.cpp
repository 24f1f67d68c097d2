/*
 * tenant_context.cpp — the setting that names the tenant in force, and who may write it.
 *
 * Threat model.  A tenant's session runs SQL that we do not trust: injected text, a hostile customer's query, a client
 * that chooses its own startup options.  It must not become another tenant.  So the context is neither a placeholder
 * setting, which anybody may SET, nor a variable of this process, which would survive a rollback.  It is one setting
 * defined in C (app.current_tenant_id, or what tenancy.context_setting says), and guc.c does the rest: only superusers
 * and roles with GRANT SET ON PARAMETER may write it, savepoints and rollbacks restore it, DISCARD ALL clears it,
 * parallel workers receive it, standbys have it, and current_setting() reads it, as policies written by hand do.
 *
 * Trusted service roles write it with tenancy.set_tenant(), whose EXECUTE is not PUBLIC's.
 *
 * Lock once.  A transaction sees one tenant at most: the first one that is in force stays until the end, whatever is
 * cleared or rolled back in between.  SQL injected into a service's transaction cannot go on to the next tenant, and a
 * pooled connection that still carries somebody else's session context makes an error, not a mixture.
 *
 * The registry is asked when the setting is written (tenant_registry.cpp), and again after it changed: a suspended
 * tenant's open sessions see no rows from their next statement on.
 */
#include "tenancy.h"

namespace tenancy
{

/*
 * A tenant that this process has served.  These are never freed, because current_tenant() hands out pointers into them
 * and a query may hold one while the setting changes: about 200 bytes for each different tenant.
 */
struct Tenant
{
	char id[TENANT_ID_MAX + 1];							/* the key of "tenants" */
	alignas(int32) char text[VARHDRSZ + TENANT_ID_MAX]; /* the same as a text datum */
};

static HTAB *tenants;

/* The settings' values as guc.c keeps them. */
static char *context_setting_name;
static char *context_value;

/* The tenant in force; null for none. */
static const Tenant *in_force;

/* The registry has said that the tenant in force is not active any more. */
static bool voided;
static bool recheck_pending;

/* The tenant that the transaction "lxid" is locked to. */
static const Tenant *locked;
static LocalTransactionId locked_lxid = InvalidLocalTransactionId;

/* Whoever keeps plans by the role class. */
static void (*role_class_changed)();

static const Tenant *
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
	}
	return tenant;
}

/* Asks the registry again, if it changed since; not while an error or the start of the process forbids to look. */
static void
recheck()
{
	if (!IsTransactionState() || !OidIsValid(MyDatabaseId))
		return;

	recheck_pending = false;
	TenantState state = tenant_state(in_force->id);
	bool was_voided = voided;

	voided = state != TenantState::active && state != TenantState::no_registry;
	if (voided != was_voided && role_class_changed)
		role_class_changed();
}

static inline const Tenant *
effective_tenant()
{
	if (likely(in_force != nullptr) && unlikely(recheck_pending))
		recheck();
	return voided ? nullptr : in_force;
}

const char *
current_tenant()
{
	const Tenant *tenant = effective_tenant();

	return tenant ? tenant->id : nullptr;
}

ContextRole
current_role_class()
{
	return effective_tenant() ? ContextRole::client : ContextRole::none;
}

void
on_role_class_change(void (*callback)())
{
	role_class_changed = callback;
}

void
tenant_context_recheck()
{
	recheck_pending = true;
}

static LocalTransactionId
current_lxid()
{
	return MyProc ? tenancy_my_lxid() : InvalidLocalTransactionId;
}

/* The tenant that this transaction may not leave, or null. */
static const Tenant *
transaction_tenant()
{
	LocalTransactionId lxid = current_lxid();

	if (LocalTransactionIdIsValid(lxid) && locked_lxid == lxid)
		return locked;
	return in_force;
}

static bool
check_lock(const char *id)
{
	const Tenant *tenant = transaction_tenant();

	if (!tenant || strcmp(tenant->id, id) == 0)
		return true;

	GUC_check_errcode(ERRCODE_ACTIVE_SQL_TRANSACTION);
	GUC_check_errmsg("cannot change the tenant from \"%s\" to \"%s\" in this transaction",
					 tenant->id, id);
	GUC_check_errdetail("A transaction that has seen a tenant keeps it until it ends.");
	if (tenant == in_force && locked_lxid != current_lxid())
		GUC_check_errhint("The session carries \"%s\".  Clear it in a transaction of its own: "
						  "SELECT tenancy.clear_tenant();",
						  tenant->id);
	else
		GUC_check_errhint("COMMIT or ROLLBACK first.");
	return false;
}

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
	}
	GUC_check_errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE);
	return false;
}

/* A context for everybody would be no context. */
static bool
check_source(const char *id, GucSource source)
{
	switch (source)
	{
		case PGC_S_FILE:
		case PGC_S_ARGV:
		case PGC_S_ENV_VAR:
		case PGC_S_GLOBAL:
			GUC_check_errcode(ERRCODE_CANT_CHANGE_RUNTIME_PARAM);
			GUC_check_errmsg("the tenant cannot be set for the whole server");
			GUC_check_errhint("Bind one role instead: ALTER ROLE login SET %s = '%s';",
							  context_setting_name, id);
			return false;
		default:
			return true;
	}
}

/*
 * Runs before the setting takes a value; what it puts into "extra" reaches assign_context().  May raise no error of
 * its own where it can be helped: guc.c decides whether a refusal is an error or, at connect, a warning.
 */
static bool
check_context(char **value, void **extra, GucSource source)
{
	const char *id = *value;

	*extra = nullptr;
	if (!id || *id == '\0')
		return true;

	const char *problem = tenant_id_problem(id);
	if (problem)
	{
		GUC_check_errcode(ERRCODE_INVALID_PARAMETER_VALUE);
		GUC_check_errmsg("malformed tenant identifier \"%s\"", clip_for_message(id));
		GUC_check_errdetail("%s", problem);
		GUC_check_errhint("%s", tenant_id_hint);
		return false;
	}
	if (!check_source(id, source))
		return false;

	/* The leader of a parallel query has asked all of this before. */
	if (IsTransactionState() && OidIsValid(MyDatabaseId) && !InitializingParallelWorker)
	{
		if (source == PGC_S_TEST)
		{
			/* ALTER ROLE … SET may come before the tenant does; the check that counts is at connect. */
			TenantState state = tenant_state(id);
			if (state == TenantState::unknown)
				ereport(NOTICE, (errcode(ERRCODE_UNDEFINED_OBJECT),
								 errmsg("tenant \"%s\" does not exist", id)));
			return true;
		}

		/*
		 * A security-restricted operation runs functions of a table's owner for somebody else, such as the expression
		 * of an index under REINDEX.  They have no business with the context.
		 */
		if (InSecurityRestrictedOperation())
		{
			GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
			GUC_check_errmsg("cannot set the tenant within a security-restricted operation");
			return false;
		}
		if (!check_lock(id) || !check_state(id, tenant_state(id)))
			return false;
	}

	auto *tenant = static_cast<const Tenant **>(tenancy_guc_malloc(LOG, sizeof(const Tenant *)));
	if (!tenant)
		return false;
	*tenant = intern_tenant(id);
	*extra = tenant;
	return true;
}

/*
 * Runs when the setting takes or gets back a value, at the end of a transaction too: it must not fail.  There the
 * process has no local transaction id any more, so a value that is merely restored locks nothing.
 */
static void
assign_context(const char *value, void *extra)
{
	const Tenant *tenant = extra ? *static_cast<const Tenant **>(extra) : nullptr;
	LocalTransactionId lxid = current_lxid();

	if (LocalTransactionIdIsValid(lxid) && locked_lxid != lxid && (in_force || tenant))
	{
		locked = in_force ? in_force : tenant;
		locked_lxid = lxid;
	}

	bool class_changes = (in_force && !voided) != (tenant != nullptr);

	in_force = tenant;
	voided = false;
	if (class_changes && role_class_changed)
		role_class_changed();

	/* A parallel worker takes the leader's value unchecked, and looks for itself when it is first asked. */
	recheck_pending = InitializingParallelWorker;
}

/* current_setting() tells no more than current_tenant(), so that hand-written policies close with a suspension too. */
static const char *
show_context(void)
{
	const Tenant *tenant = effective_tenant();

	return tenant ? tenant->id : "";
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
	DefineCustomStringVariable("tenancy.context_setting",
							   "Name of the setting that holds the tenant in force.", nullptr,
							   &context_setting_name, "app.current_tenant_id", PGC_POSTMASTER, 0,
							   check_setting_name, nullptr, nullptr);

	/*
	 * Not GUC_NOT_WHILE_SEC_REST: it would also refuse an application's own SECURITY DEFINER function that checks a
	 * login and then calls set_tenant().  check_context() refuses the half of it that matters.
	 */
	DefineCustomStringVariable(
		context_setting_name, "The tenant in force.",
		"Only tenancy.set_tenant(), superusers and roles with SET privilege write it.",
		&context_value, "", PGC_SUSET, GUC_DISALLOW_IN_FILE | GUC_NOT_IN_SAMPLE, check_context,
		assign_context, show_context);
}

static void
write_context(const char *value, GucAction action)
{
	set_config_option(context_setting_name, value, PGC_SUSET, PGC_S_SESSION, action, true, 0,
					  false);
}

/*
 * As SET LOCAL does: outside of a transaction block it is gone with the statement, which nobody wants who types it.
 * Within a function it has its use; a function's frame shows as an error context.
 */
static void
warn_if_lost()
{
	if (!IsTransactionBlock() && error_context_stack == nullptr)
		ereport(WARNING,
				(errcode(ERRCODE_NO_ACTIVE_SQL_TRANSACTION),
				 errmsg("set_tenant() without a transaction block ends with its statement"),
				 errhint("BEGIN first, or set it for the session: SELECT "
						 "tenancy.set_tenant('tenant-001', false);")));
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_set_tenant);
PG_FUNCTION_INFO_V1(tenancy_clear_tenant);
PG_FUNCTION_INFO_V1(tenancy_current_tenant);
PG_FUNCTION_INFO_V1(tenancy_current_access);
PG_FUNCTION_INFO_V1(tenancy_current_scope);
PG_FUNCTION_INFO_V1(tenancy_is_current_tenant);
PG_FUNCTION_INFO_V1(tenancy_is_current_tenant_support);

PGDLLEXPORT Datum
tenancy_set_tenant(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("tenant identifier must not be null"),
						errhint("To have no tenant: SELECT tenancy.clear_tenant();")));

	char *id = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool is_local = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);

	tenancy::check_tenant_id(id);
	tenancy::write_context(id, is_local ? GUC_ACTION_LOCAL : GUC_ACTION_SET);
	if (is_local)
		tenancy::warn_if_lost();
	PG_RETURN_TEXT_P(cstring_to_text(id));
}

PGDLLEXPORT Datum
tenancy_clear_tenant(PG_FUNCTION_ARGS)
{
	tenancy::write_context("", GUC_ACTION_SET);
	PG_RETURN_VOID();
}

PGDLLEXPORT Datum
tenancy_current_tenant(PG_FUNCTION_ARGS)
{
	const tenancy::Tenant *tenant = tenancy::effective_tenant();

	if (!tenant)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(tenant->text);
}

PGDLLEXPORT Datum
tenancy_current_access(PG_FUNCTION_ARGS)
{
	static const char *const words[] = {"none", "client", "admin", "superadmin"};

	PG_RETURN_TEXT_P(cstring_to_text(words[(int) tenancy::current_role_class()]));
}

/* A client's scope is its own tenant. */
PGDLLEXPORT Datum
tenancy_current_scope(PG_FUNCTION_ARGS)
{
	const tenancy::Tenant *tenant = tenancy::effective_tenant();

	if (!tenant)
		PG_RETURN_NULL();
	Datum id = PointerGetDatum(tenant->text);
	PG_RETURN_ARRAYTYPE_P(construct_array(&id, 1, TEXTOID, -1, false, TYPALIGN_INT));
}

/* What guards the tables of one tenant's own schema. */
PGDLLEXPORT Datum
tenancy_is_current_tenant(PG_FUNCTION_ARGS)
{
	const tenancy::Tenant *tenant = tenancy::effective_tenant();

	if (!tenant)
		PG_RETURN_BOOL(false);

	text *id = PG_GETARG_TEXT_PP(0);
	size_t length = VARSIZE_ANY_EXHDR(id);
	PG_RETURN_BOOL(length == VARSIZE(tenant->text) - VARHDRSZ &&
				   memcmp(VARDATA_ANY(id), tenant->id, length) == 0);
}

/*
 * The guard lets all rows through or none, and a plan is worth making for the first case only.  The planner's own guess
 * for current_tenant() = 'x' is one row in 200, which makes it join by nested loops.
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
