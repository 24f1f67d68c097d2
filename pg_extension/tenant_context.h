/*
 * tenant_context.h — what the files of the tenant context share.
 *
 *   tenant_context.cpp     the tenant's setting, and the context in force
 *   context_lock.cpp       identities of contexts; the lock of a transaction, the binding of a role
 *   context_access.cpp     the setting beside it: the role class and its scope
 *   context_token.cpp      the signed token, a third setting, which everybody may write
 *   token_key.cpp          the keys that sign tokens
 *   context_lifetime.cpp   statements, cursors and the ends of transactions
 *   temporary_table.cpp    temporary tables, which outlive transactions
 *   policy_guard.cpp       no reading past policies under a tenant
 *   side_channel.cpp       statements that tell more than rows
 *   stat_tenants.cpp       what is counted
 */
#ifndef PG_TENANCY_TENANT_CONTEXT_H
#define PG_TENANCY_TENANT_CONTEXT_H

#include "tenancy.h"

namespace tenancy
{

/*
 * A tenant that this process has served.  These are never freed, because current_tenant() hands out pointers into them
 * and a query may hold one while the setting changes: about 200 bytes for each different tenant.
 */
struct Tenant
{
	char id[TENANT_ID_MAX + 1];							/* the key of the table of tenants */
	bool is_uuid;										/* the identifier is one, and */
	bool is_bigint;										/* is one, in the only form that counts */
	alignas(int32) char text[VARHDRSZ + TENANT_ID_MAX]; /* the identifier as a text datum */
	pg_uuid_t uuid;
	int64 bigint;
	uint64 active_in; /* the generation of the registry in which it was seen to be active */
};

const Tenant *intern_tenant(const char *id);

/* True if the registry has this tenant as an active one now, or if there is no registry here. */
bool tenant_is_active(const Tenant *tenant, TenantState *state);

/* What a setting or a token says.  The strings stand in the setting's extra data and are never null. */
struct Claims
{
	ContextRole role;
	const char *tenant; /* "" for none */
	const char *scope;	/* tenants and @names of scopes, separated by commas; "" for none */
};

constexpr Claims no_claims = {ContextRole::none, "", ""};

/* How a context came about. */
enum class ContextVia
{
	setting,
	set_tenant,
	set_context,
	role_binding,
	token
};

/* A context as it is compared and told. */
struct Identity
{
	ContextRole role;
	char tenant[TENANT_ID_MAX + 1];
	uint64 fingerprint;
};

Identity identify(const Claims &claims);

/* The fingerprint of the context in force; 0 for none. */
uint64 context_fingerprint();

/* For messages: tenant "a", admin of tenant "a", superadmin. */
const char *describe(const Identity &identity);

/* The context in force.  Read it by context_in_force() only. */
struct Context
{
	ContextRole role;
	const Tenant *tenant; /* null for none; an admin or superadmin may have none */
	ContextVia via;
};

extern Context effective;
extern bool settled;
extern uint64 context_serial; /* another one whenever the context may be another one */
void settle();

static inline const Context &
context_in_force()
{
	if (unlikely(!settled))
		settle();
	return effective;
}

/* There is no context: raises the error of a token that is not good, or of what tenancy.strict requires. */
void raise_if_required();

static inline const Context &
required_context()
{
	const Context &context = context_in_force();

	if (unlikely(context.role == ContextRole::none))
		raise_if_required();
	return context;
}

/*
 * Calls back when the claims may have become others, mostly from an assign hook: the function must
 * not fail, allocate or read catalogs.  Nobody has checked the claims yet; and a token can expire
 * between planning and execution, so a plan that leaves the tenant's condition out for a role class
 * must still ask for that class when it runs.
 */
void on_context_change(void (*callback)(const Claims &claims));

/* Something changed that the context in force depends on. */
void unsettle();

/* The tenant in whose schema a system's script runs, or null; it is in force before all else. */
extern const Tenant *script_tenant;
void script_changed();

/* Something is set, if only an expired token. */
bool context_is_set();

/* What is set is not in force: it is not good, or the transaction has had a context and has it no more. */
bool context_was_lost();
[[noreturn]] void raise_context_lost();

/* The transaction has had a context: whose, or null. */
const Identity *transaction_lock();

/* Locks the transaction to a context, unless it is locked to one. */
void engage_lock(const Identity &identity);
void engage_lock(const Claims &claims);

/* A setting of the context was written within this transaction. */
bool context_written_in_transaction();
void note_write();

/* Before anything is written: where two settings are written, one after the other, an error would name the first. */
void require_lock(const Claims &claims);

/* A role that a superuser has bound to a context leaves it by no authority of its own. */
bool binding_allows(const Claims &wanted);

/* Check hooks ask whether a context may come into force in this transaction; they set the GUC_check_… of the answer. */
bool check_lock(const Claims &wanted, bool by_token);
bool check_binding(const Claims &wanted);
bool check_restricted();
bool check_context_source(GucSource source);
bool can_look_up();
ContextVia via_of_source(GucSource source);

/* Assign hooks say that a setting changed; "before" is what setting_claims() was. */
Claims claims_before_assignment();
void settings_changed(const Claims &before);
void token_changed();

/* The value that a setting just took is one that a superuser has bound the role to. */
void note_binding();

/* A superuser has bound the role that has logged in to a context. */
bool role_is_bound();

/* The claims of the two settings, none if they do not agree. */
Claims setting_claims();
Claims combine(const char *tenant, const Claims *access);

/* Another context than now was in force in this session, and what it keeps may be another tenant's. */
bool session_served_another();
void session_was_reset();

/* The value of the tenant's setting, "" for none. */
const char *setting_tenant();

/* Who is writing the settings, for whatever writes them through C. */
extern ContextVia writing_via;

void write_setting(const char *name, const char *value, GucAction action);
void write_context(const Claims &claims, bool is_local, ContextVia via);
void warn_if_lost(bool is_local, const char *function, const char *example);

/* context_access.cpp */
constexpr int SCOPE_NAME_MAX = 40;
void context_access_init();
const Claims *access_claims(); /* null if the setting is empty */
const char *role_word(ContextRole role);
bool role_of_word(const char *word, size_t length, ContextRole *role);
const char *claims_problem(const Claims &claims);
Claims claims_of_arguments(const char *tenant, const char *access, ArrayType *scope);
void write_access(const Claims &claims, GucAction action);
void resolve_scope(const Claims &claims);

/* The scope that was resolved last is still that of its claims. */
bool scope_is_fresh();

/* The tenants of the scope in force, which context_in_force() has settled; another serial number,
 * other tenants. */
const Tenant *const *scope_members(int *count, uint64 *serial);

/* access_plan.cpp: a plan that was made for a superadmin starts for nobody else. */
void check_plan_starts(const PlannedStmt *plan);

/* context_token.cpp */
void context_token_init();
const Claims *token_claims(); /* null if there is no token; nobody has checked them yet */

/* What is wrong with the token in the setting. */
enum class TokenProblem
{
	none,
	unknown_key,
	forged,
	expired,
	tenant,		  /* its tenant is not active */
	other_context /* the transaction, the session or the role has another context */
};
TokenProblem verify_token();
bool token_expired_now();
[[noreturn]] void raise_token_problem(TokenProblem problem, TenantState state);

/* token_key.cpp */
void token_key_init();
constexpr int KEY_ID_MAX = 8;
struct TokenKey
{
	char id[KEY_ID_MAX + 1];
	bool signs;
	int length;
	uint8 secret[64];
};
const TokenKey *find_token_key(const char *id);
const TokenKey *signing_key();

/* Another number whenever the keys were read again; never 0. */
uint64 token_key_generation();
bool key_id_is_good(const char *id, size_t length);

/* context_lifetime.cpp */
void context_lifetime_init();
void close_held_cursors_later();
const Identity *context_of_loop(const Identity &next);

/* temporary_table.cpp */
void temporary_table_init();

/* policy_guard.cpp, side_channel.cpp */
void policy_guard_init();
bool reads_isolated_table(const PlannedStmt *plan);
void side_channel_init();

/* stat_tenants.cpp */
void stat_tenants_init();
void stat_denied(const char *tenant);
void stat_switched();
void stat_seen(const char *tenant);
void stat_rows(CmdType operation, uint64 rows);
void stat_transaction_ends();

} // namespace tenancy

#endif
