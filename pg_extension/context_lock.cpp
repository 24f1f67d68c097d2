/*
 * context_lock.cpp — what keeps a transaction to one context, and a bound role to its own.
 *
 * The first context that is in force in a transaction stays until its end, whatever is cleared or rolled back in between.  A
 * role that a superuser has bound leaves its context by no authority of its own.
 *
 * Check hooks ask here, and leave the message to guc.c; what is settled is asked again, since a setting can have been
 * accepted where nothing could be compared yet.
 */
#include "tenant_context.h"

namespace tenancy
{

/* The context that the transaction "lock_lxid" is locked to. */
static Identity lock;
static LocalTransactionId lock_lxid = InvalidLocalTransactionId;
static bool lock_of_session; /* the context was there before the transaction */

/* The last transaction that wrote a setting, and what its role is bound to. */
static LocalTransactionId written_lxid = InvalidLocalTransactionId;
static bool bound;
static Identity binding;

/* Why check_lock() refuses: the server keeps what the check hooks say to itself. */
static int refusal;

Identity
identify(const Claims &claims)
{
	Identity identity = {};

	identity.role = claims.role;
	if (claims.role == ContextRole::none)
		return identity;
	strlcpy(identity.tenant, claims.tenant, sizeof(identity.tenant));
	identity.fingerprint = hash_bytes_extended((const unsigned char *) claims.tenant, strlen(claims.tenant),
											   (uint64) claims.role);
	if (*claims.scope)
		identity.fingerprint = hash_bytes_extended((const unsigned char *) claims.scope, strlen(claims.scope),
												   identity.fingerprint);
	return identity;
}

const char *
describe(const Identity &identity)
{
	if (identity.role == ContextRole::none)
		return "none";
	if (identity.tenant[0] == '\0')
		return role_word(identity.role);
	if (identity.role == ContextRole::client)
		return psprintf("tenant \"%s\"", identity.tenant);
	return psprintf("%s of tenant \"%s\"", role_word(identity.role), identity.tenant);
}

/*
 * The lock
 */

static LocalTransactionId
current_lxid()
{
	return MyProc ? tenancy_my_lxid() : InvalidLocalTransactionId;
}

const Identity *
transaction_lock()
{
	LocalTransactionId lxid = current_lxid();

	return LocalTransactionIdIsValid(lxid) && lock_lxid == lxid ? &lock : nullptr;
}

bool
context_written_in_transaction()
{
	LocalTransactionId lxid = current_lxid();

	return LocalTransactionIdIsValid(lxid) && written_lxid == lxid;
}

void
note_write()
{
	written_lxid = current_lxid();
}

/* What comes with a connection comes in two settings, and what a leader passes on is whole at the end only. */
static bool
may_engage_lock()
{
	LocalTransactionId lxid = current_lxid();

	return IsNormalProcessingMode() && !InitializingParallelWorker && LocalTransactionIdIsValid(lxid) && lock_lxid != lxid;
}

void
engage_lock(const Identity &identity)
{
	if (identity.role == ContextRole::none || !may_engage_lock())
		return;
	lock = identity;
	lock_lxid = current_lxid();
	lock_of_session = !context_written_in_transaction();
	stat_seen(lock.tenant);
}

void
engage_lock(const Claims &claims)
{
	if (claims.role != ContextRole::none && may_engage_lock())
		engage_lock(identify(claims));
}

/* What the session brings into the transaction, as far as another context may not take its place. */
static Claims
session_claims(bool by_token)
{
	Claims claims = setting_claims();
	const Claims *token = token_claims();

	if (claims.role == ContextRole::none && !by_token && token)
		return *token;
	return claims;
}

static void
hint_at_lock(const Identity &held, bool of_transaction)
{
	const Claims *token = token_claims();

	if (!of_transaction && setting_claims().role != ContextRole::none)
		GUC_check_errhint("The session carries %s.  Clear it in a transaction of its own: "
						  "SELECT tenancy.clear_tenant();",
						  describe(held));
	else if (!of_transaction && token && identify(*token).fingerprint == held.fingerprint)
		GUC_check_errhint("The session carries a token.  Drop it in a transaction of its own: RESET tenancy.token;");
	else
		GUC_check_errhint("COMMIT or ROLLBACK first.");
}

/* A procedure that commits within a loop goes on with the rows that it has. */
static bool
check_loops(const Identity &next)
{
	const Identity *kept = context_of_loop(next);

	if (!kept)
		return true;
	stat_denied(kept->tenant);
	GUC_check_errcode(refusal = ERRCODE_OBJECT_IN_USE);
	GUC_check_errmsg("cannot change the context to %s while a loop goes on with rows of %s", describe(next), describe(*kept));
	GUC_check_errhint("End the loop first: collect what it needs in an array.");
	return false;
}

bool
check_lock(const Claims &wanted, bool by_token)
{
	/* What comes with a connection is compared when it is all there, by true_claims(). */
	if (wanted.role == ContextRole::none || !IsNormalProcessingMode())
		return true;

	const Identity *locked = transaction_lock();
	Identity held = locked ? *locked : identify(session_claims(by_token));
	Identity next = identify(wanted);

	if (held.role == ContextRole::none || held.fingerprint == next.fingerprint)
		return check_loops(next);

	stat_denied(held.tenant);
	GUC_check_errcode(refusal = ERRCODE_ACTIVE_SQL_TRANSACTION);
	if (held.role == ContextRole::client && next.role == ContextRole::client)
		GUC_check_errmsg("cannot change the tenant from \"%s\" to \"%s\" in this transaction", held.tenant, next.tenant);
	else
		GUC_check_errmsg("cannot change the context from %s to %s in this transaction", describe(held), describe(next));
	GUC_check_errdetail("A transaction that has seen a tenant keeps it until it ends.");
	hint_at_lock(held, locked && !lock_of_session);
	return false;
}

void
require_lock(const Claims &claims)
{
	if (claims.role == ContextRole::client && !access_claims() && !bound)
		return;
	GUC_check_errmsg_string = GUC_check_errdetail_string = GUC_check_errhint_string = nullptr;
	if (check_lock(claims, false))
		return;
	ereport(ERROR,
			(errcode(refusal), errmsg_internal("%s", GUC_check_errmsg_string),
			 GUC_check_errdetail_string ? errdetail_internal("%s", GUC_check_errdetail_string) : 0,
			 errhint("%s", GUC_check_errhint_string)));
}

/*
 * The binding
 */

void
note_binding()
{
	bound = true;
	binding = identify(setting_claims());
}

bool
binding_allows(const Claims &wanted)
{
	return !bound || identify(wanted).fingerprint == binding.fingerprint || superuser_arg(GetSessionUserId());
}

bool
role_is_bound()
{
	return bound;
}

bool
check_binding(const Claims &wanted)
{
	if (binding_allows(wanted))
		return true;

	stat_denied(binding.tenant);
	GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
	GUC_check_errmsg("role \"%s\" is bound to %s", GetUserNameFromId(GetSessionUserId(), true), describe(binding));
	GUC_check_errhint("A superuser may unbind it: SELECT tenancy.unbind_role('%s');",
					  GetUserNameFromId(GetSessionUserId(), true));
	return false;
}

/*
 * A security-restricted operation runs functions of a table's owner for somebody else, such as the expression of an
 * index under REINDEX.  They have no business with the context.
 */
bool
check_restricted()
{
	if (!InSecurityRestrictedOperation())
		return true;
	GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
	GUC_check_errmsg("cannot set the tenant within a security-restricted operation");
	return false;
}

} // namespace tenancy
