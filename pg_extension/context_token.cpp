/*
 * context_token.cpp — a context that the application hands to the database signed.
 *
 * Threat model.  Behind a pooler in transaction mode, or where nobody may be trusted to call set_tenant(), whoever
 * speaks SQL is the tenant, or an application that a tenant has talked into something.  So everybody may write
 * tenancy.token, and it counts only for what is signed: somebody with EXECUTE on issue_token() has said that this login
 * may be this tenant, in this database, until then.
 *
 *     v1.<key id>.<tenant>.<role>.<scope>.<expiry>.<nonce>.<signature>
 *
 * The signature is HMAC-SHA256, cut to 128 bits, over what stands before it and over the names of the database and of
 * the login.  These two are not spelled out: the server knows them, and a token must be short.  PgBouncer, which carries
 * the setting from client to server connection because it is reported (GUC_REPORT), leaves out values of more than 125
 * bytes without a word; the client would run with the token of whoever had the connection before.  Longer tokens are
 * therefore neither issued nor taken.  For the same reason "no token" is the word "none": PgBouncer up to 1.23 does not
 * carry an empty value either.
 *
 * What a token says is checked when it is first asked for, not only when it is set: at connect there is no catalog yet,
 * in a parallel worker the leader's value must be taken as it is, and a pooler repeats a token that was good when its
 * client set it.  PgBouncer closes a server connection on which its SET has failed.  So a token whose time is over, whose
 * key is gone or whose tenant is suspended can be set, and what is refused is to do anything with it; one that is malformed
 * or forged cannot be set.  Expiry is compared at the start of every statement, a revoked key voids open sessions.
 *
 * The value is a secret while it lasts.  No message holds it, SHOW leaves out the signature, and what pg_stat_activity and
 * pg_stat_statements would show of a SET is replaced.
 */
#include "tenant_context.h"

namespace tenancy
{

constexpr int TOKEN_MAX = 120;	  /* bytes; what PgBouncer carries, and a little less */
constexpr int SIGNATURE_BYTES = 16; /* of the 32 */
constexpr int NONCE_BYTES = 6;
constexpr int FIELDS = 8;
constexpr int VERIFIED_MAX = 5000; /* tokens to remember, about 200 bytes each */
static const char *const no_token = "none";
static const char *const hidden_statement = "SET tenancy.token";

/* The extra data of tenancy.token. */
struct TokenValue
{
	Claims claims;
	const char *key_id;
	const char *signature;
	TimestampTz expires;
	int signed_length; /* of "whole", up to the dot before the signature */
	char whole[TOKEN_MAX + 1];
	char text[TOKEN_MAX + 1]; /* the same, cut into fields */
};

static char *token_string;
static const TokenValue *token;
static int token_lifetime_max;
static ProcessUtility_hook_type previous_process_utility;

/*
 * Encoding
 */

/* base64url without padding: each input has one form only. */
static void
encode(const uint8 *bytes, int length, char *text)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32 pending = 0;
	int bits = 0;

	for (int i = 0; i < length; i++)
	{
		pending = (pending << 8) | bytes[i];
		for (bits += 8; bits >= 6; bits -= 6)
			*text++ = alphabet[(pending >> (bits - 6)) & 63];
	}
	if (bits > 0)
		*text++ = alphabet[(pending << (6 - bits)) & 63];
	*text = '\0';
}

constexpr int
encoded_length(int bytes)
{
	return (bytes * 8 + 5) / 6;
}

/* The signature of "text" for this database and a login; false if the library of the server fails. */
static bool
sign(const TokenKey *key, const char *text, int length, const char *login, char signature[encoded_length(SIGNATURE_BYTES) + 1])
{
	const char *database = get_database_name(MyDatabaseId);
	uint8 digest[PG_SHA256_DIGEST_LENGTH];
	pg_hmac_ctx *context = pg_hmac_create(PG_SHA256);

	/* The zero bytes keep names apart: none can hold one. */
	bool good = context && database && pg_hmac_init(context, key->secret, key->length) >= 0 &&
				pg_hmac_update(context, (const uint8 *) text, length) >= 0 &&
				pg_hmac_update(context, (const uint8 *) "", 1) >= 0 &&
				pg_hmac_update(context, (const uint8 *) database, strlen(database)) >= 0 &&
				pg_hmac_update(context, (const uint8 *) "", 1) >= 0 &&
				pg_hmac_update(context, (const uint8 *) login, strlen(login)) >= 0 &&
				pg_hmac_final(context, digest, sizeof(digest)) >= 0;

	if (context)
		pg_hmac_free(context);
	if (good)
		encode(digest, SIGNATURE_BYTES, signature);
	return good;
}

/* Takes as long for a wrong signature as for a good one, whatever the first wrong character. */
static bool
equal_in_constant_time(const char *a, const char *b, size_t length)
{
	volatile unsigned char difference = 0;

	for (size_t i = 0; i < length; i++)
		difference = difference | (a[i] ^ b[i]);
	return difference == 0;
}

/*
 * Parsing
 */

static bool
parse_expiry(const char *text, TimestampTz *expires)
{
	int64 seconds = 0;

	if (*text == '\0' || strlen(text) > 11)
		return false;
	for (; *text; text++)
	{
		if (*text < '0' || *text > '9')
			return false;
		seconds = seconds * 10 + (*text - '0');
	}
	*expires = (seconds - (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) * USECS_PER_SEC;
	return true;
}

/* The form alone; null if it is good, else an errdetail sentence. */
static const char *
parse_token(const char *value, TokenValue *parsed)
{
	char *fields[FIELDS];
	int count = 0;
	size_t length = strlen(value);

	if (length > TOKEN_MAX)
		return psprintf("It is longer than %d bytes, which poolers do not carry.", TOKEN_MAX);
	memcpy(parsed->whole, value, length + 1);
	memcpy(parsed->text, value, length + 1);

	for (char *rest = parsed->text; rest && count < FIELDS; count++)
	{
		fields[count] = rest;
		rest = strchr(rest, '.');
		if (rest)
			*rest++ = '\0';
		if (count == FIELDS - 1 && rest)
			return "It does not have eight fields.";
	}
	if (count != FIELDS || strcmp(fields[0], "v1") != 0)
		return "It does not have eight fields, the first of which is \"v1\".";

	parsed->key_id = fields[1];
	parsed->claims.tenant = fields[2];
	parsed->claims.scope = fields[4];
	parsed->signature = fields[7];
	parsed->signed_length = length - strlen(fields[7]) - 1;
	if (!key_id_is_good(fields[1], strlen(fields[1])) ||
		!role_of_word(fields[3], strlen(fields[3]), &parsed->claims.role) ||
		!parse_expiry(fields[5], &parsed->expires) || strlen(fields[7]) != encoded_length(SIGNATURE_BYTES) ||
		claims_problem(parsed->claims))
		return "One of its fields is not what it should be.";
	return nullptr;
}

/*
 * Verification
 */

const Claims *
token_claims()
{
	return token ? &token->claims : nullptr;
}

/* Compared with the clock, but in a parallel worker with the start of the leader's statement. */
static bool
is_expired(const TokenValue *value)
{
	return value->expires <= (IsParallelWorker() ? GetCurrentStatementStartTimestamp() : GetCurrentTimestamp());
}

bool
token_expired_now()
{
	return token && is_expired(token);
}

/*
 * Tokens whose signature this process has found good, by their whole text.  One is asked for when it is set and when it is
 * used, and behind a pooler the same tokens come again and again.
 */
struct Verified
{
	char whole[TOKEN_MAX + 1];
	Oid login;
};

static Verified
verified_key(const TokenValue *value)
{
	Verified key = {};

	strlcpy(key.whole, value->whole, sizeof(key.whole));
	key.login = GetSessionUserId();
	return key;
}

/* The tokens of the keys that are in force; a key that goes takes all of them with it. */
static HTAB *
verified_tokens()
{
	static HTAB *verified;
	static uint64 generation;
	HASHCTL control = {};

	if (verified && generation == token_key_generation() && hash_get_num_entries(verified) < VERIFIED_MAX)
		return verified;
	if (verified)
		hash_destroy(verified);
	verified = nullptr;
	control.keysize = control.entrysize = sizeof(Verified);
	verified = hash_create("tenancy verified tokens", 32, &control, HASH_ELEM | HASH_BLOBS);
	generation = token_key_generation();
	return verified;
}

static bool
signature_is_good(const TokenValue *value, const TokenKey *key)
{
	char signature[encoded_length(SIGNATURE_BYTES) + 1];
	Verified known = verified_key(value);
	HTAB *verified = verified_tokens();

	if (hash_search(verified, &known, HASH_FIND, nullptr))
		return true;

	const char *login = GetUserNameFromId(known.login, true);
	if (!login || !sign(key, value->whole, value->signed_length, login, signature) ||
		!equal_in_constant_time(signature, value->signature, encoded_length(SIGNATURE_BYTES)))
		return false;
	(void) hash_search(verified, &known, HASH_ENTER, nullptr);
	return true;
}

static TokenProblem
verify(const TokenValue *value)
{
	const TokenKey *key = find_token_key(value->key_id);

	if (!key)
		return TokenProblem::unknown_key;
	if (!signature_is_good(value, key))
		return TokenProblem::forged;
	return is_expired(value) ? TokenProblem::expired : TokenProblem::none;
}

TokenProblem
verify_token()
{
	return verify(token);
}

static const char *const forged_message = "token is not valid";
static const char *const forged_detail =
	"It was not signed by this database for this login, or it was changed afterwards.";

void
raise_token_problem(TokenProblem problem, TenantState state)
{
	stat_denied(!token || problem == TokenProblem::forged || problem == TokenProblem::unknown_key ? ""
																								: token->claims.tenant);
	switch (problem)
	{
		case TokenProblem::none:
			break;
		case TokenProblem::unknown_key:
			ereport(ERROR, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION), errmsg("%s", forged_message),
							errdetail("Its key \"%s\" does not exist or has been revoked.", token->key_id),
							errhint("Ask for a new token, or drop it: RESET tenancy.token;")));
		case TokenProblem::forged:
			ereport(ERROR, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION), errmsg("%s", forged_message),
							errdetail_internal("%s", forged_detail)));
		case TokenProblem::expired:
			ereport(ERROR, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION), errmsg("token has expired"),
							errdetail("It was good until %s.", timestamptz_to_str(token->expires)),
							errhint("Ask for a new token, or drop it: RESET tenancy.token;")));
		case TokenProblem::tenant:
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							state == TenantState::unknown
								? errmsg("tenant \"%s\" of the token does not exist", token->claims.tenant)
								: errmsg("tenant \"%s\" of the token is not active", token->claims.tenant)));
		case TokenProblem::other_context:
			if (!token)
				ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
								errmsg("session has another context than its transaction or its role"),
								errhint("COMMIT or ROLLBACK first.")));
			ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
							errmsg("token is for another context than the one in force"),
							errdetail("The session, its role or its transaction has %s, the token is for %s.",
									  describe(transaction_lock() ? *transaction_lock() : identify(setting_claims())),
									  describe(identify(token->claims))),
							errhint("Drop the token: RESET tenancy.token;")));
	}
	pg_unreachable();
}

/*
 * The setting
 */

/* A token that is stored can be read by others and outlives its time. */
static bool
check_token_source(GucSource source)
{
	switch (source)
	{
		case PGC_S_DEFAULT:
		case PGC_S_DYNAMIC_DEFAULT:
		case PGC_S_CLIENT:
		case PGC_S_INTERACTIVE:
		case PGC_S_SESSION:
			return true;
		default:
			GUC_check_errcode(ERRCODE_CANT_CHANGE_RUNTIME_PARAM);
			GUC_check_errmsg("a token cannot be stored in a configuration");
			GUC_check_errhint("Set it in the session that it is for, as a bound parameter: "
							  "SELECT set_config('tenancy.token', $1, false);");
			return false;
	}
}

/* The empty value means the same and is not carried by every pooler. */
static bool
say_none(char **value)
{
	char *none = tenancy_guc_strdup(LOG, no_token);

	if (!none)
		return false;
	if (*value)
		tenancy_guc_free(*value);
	*value = none;
	return true;
}

/*
 * Other sessions of the same login may read what this one runs, and the log has the statement of an error.  A value that
 * came as a bound parameter is in neither.
 */
static void
hide_from_reports(const char *value)
{
	if (!debug_query_string || !strstr(debug_query_string, value))
		return;
	debug_query_string = hidden_statement;
	pgstat_report_activity(STATE_RUNNING, hidden_statement);
}

static bool
check_token_now(const TokenValue *parsed)
{
	AcceptInvalidationMessages();
	if (!check_restricted() || !check_binding(parsed->claims))
		return false;
	if (verify(parsed) == TokenProblem::forged)
	{
		stat_denied("");
		GUC_check_errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION);
		GUC_check_errmsg("%s", forged_message);
		GUC_check_errdetail("%s", forged_detail);
		GUC_check_errhint("Issue it for this login: SELECT tenancy.issue_token('tenant-001', login => '%s');",
						  GetUserNameFromId(GetSessionUserId(), true));
		return false;
	}
	return check_lock(parsed->claims, true);
}

static bool
check_token(char **value, void **extra, GucSource source)
{
	TokenValue parsed = {};

	*extra = nullptr;
	if (!*value || **value == '\0')
		return say_none(value);
	if (strcmp(*value, no_token) == 0)
		return true;
	if (!InitializingParallelWorker && !check_token_source(source))
		return false;
	hide_from_reports(*value);

	const char *problem = parse_token(*value, &parsed);
	if (problem)
	{
		GUC_check_errcode(ERRCODE_INVALID_PARAMETER_VALUE);
		GUC_check_errmsg("malformed token");
		GUC_check_errdetail("%s", problem);
		GUC_check_errhint("SELECT tenancy.issue_token('tenant-001');");
		return false;
	}
	if (source == PGC_S_SESSION && can_look_up() && !check_token_now(&parsed))
		return false;

	auto *copy = static_cast<TokenValue *>(tenancy_guc_malloc(LOG, sizeof(TokenValue)));
	if (!copy)
		return false;
	(void) parse_token(*value, copy);
	*extra = copy;
	return true;
}

static void
assign_token(const char *value, void *extra)
{
	token = static_cast<const TokenValue *>(extra);
	token_changed();
}

/*
 * The report of the protocol goes to the client that has sent the token, and is what a pooler sends on.  Injected SQL, which
 * asks by SHOW or current_setting(), gets it without its signature.  What tells them apart is that nothing runs when the
 * report is made; deferred triggers run without a portal, but with a snapshot.
 */
static const char *
show_token(void)
{
	static char shown[TOKEN_MAX + sizeof(".<signature>")];

	if (!token)
		return no_token;
	if (ActivePortal == nullptr && !ActiveSnapshotSet() && !IsParallelWorker())
		return token->whole;
	snprintf(shown, sizeof(shown), "%.*s.<signature>", token->signed_length, token->whole);
	return shown;
}

/*
 * pg_stat_statements keeps one entry for each different SET, with its value.  It leaves alone what has no query
 * identifier, as long as we come before it: tenancy is loaded after it.
 */
static void
process_utility(PlannedStmt *statement, const char *query, bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *environment, DestReceiver *receiver,
				QueryCompletion *completion)
{
	PlannedStmt anonymous;
	auto *set = reinterpret_cast<VariableSetStmt *>(statement->utilityStmt);

	if (IsA(statement->utilityStmt, VariableSetStmt) && set->name && pg_strcasecmp(set->name, "tenancy.token") == 0)
	{
		anonymous = *statement;
		anonymous.queryId = 0;
		statement = &anonymous;
	}
	(previous_process_utility ? previous_process_utility : standard_ProcessUtility)(
		statement, query, read_only_tree, context, params, environment, receiver, completion);
}

void
context_token_init()
{
	/* pg_settings would show the value that it is reset to, which is that of the client's startup options. */
	DefineCustomStringVariable("tenancy.token", "A signed tenant context; \"none\" for none.",
							   "tenancy.issue_token() makes it.", &token_string, no_token, PGC_USERSET,
							   GUC_REPORT | GUC_NO_SHOW_ALL | GUC_DISALLOW_IN_FILE | GUC_NOT_IN_SAMPLE, check_token,
							   assign_token, show_token);

	/* For administrators who would not have somebody issue tokens that live for years. */
	DefineCustomIntVariable("tenancy.token_lifetime_max", "The longest lifetime that a token may be issued for.", nullptr,
							&token_lifetime_max, SECS_PER_DAY, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr,
							nullptr);

	previous_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}

/*
 * Issuing
 */

static TimestampTz
expiry_of_lifetime(Interval *lifetime)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz expires = DatumGetTimestampTz(
		DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), IntervalPGetDatum(lifetime)));

	if (expires <= now || expires - now > (int64) token_lifetime_max * USECS_PER_SEC)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("lifetime of a token is out of range"),
						errdetail("It must be positive and not longer than %d seconds.", token_lifetime_max),
						errhint("The setting tenancy.token_lifetime_max says how long it may be.")));
	return expires;
}

static void
check_can_be_issued(const Claims &claims)
{
	TenantState state;

	if (*claims.tenant == '\0' || tenant_is_active(intern_tenant(claims.tenant), &state))
		return;
	if (state == TenantState::unknown)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("tenant \"%s\" does not exist", claims.tenant),
						errhint("SELECT tenancy.create_tenant('%s', 'its name');", claims.tenant)));
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("tenant \"%s\" is not active", claims.tenant),
					errhint("SELECT tenancy.resume_tenant('%s');", claims.tenant)));
}

static char *
issue(const Claims &claims, const char *login, TimestampTz expires)
{
	const TokenKey *key = signing_key();
	char signature[encoded_length(SIGNATURE_BYTES) + 1], nonce[encoded_length(NONCE_BYTES) + 1];
	uint8 random[NONCE_BYTES];

	if (!key)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("there is no key to sign tokens with"),
						errhint("SELECT tenancy.rotate_key();")));
	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
	encode(random, sizeof(random), nonce);

	/* Seconds, rounded up: a token is good for its lifetime at least. */
	int64 seconds = (expires + USECS_PER_SEC - 1) / USECS_PER_SEC +
					(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	char *text = psprintf("v1.%s.%s.%s.%s." INT64_FORMAT ".%s", key->id, claims.tenant, role_word(claims.role),
						  claims.scope, seconds, nonce);

	if (strlen(text) + 1 + encoded_length(SIGNATURE_BYTES) > TOKEN_MAX)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("token would be longer than %d bytes", TOKEN_MAX),
						errdetail("Longer ones are not carried by poolers."),
						errhint("Give the scope a name: SELECT tenancy.define_scope('north', ARRAY['tenant-001', "
								"'tenant-002']); and issue the token for ARRAY['@north'].")));
	if (!sign(key, text, strlen(text), login, signature))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not sign the token")));
	return psprintf("%s.%s", text, signature);
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_issue_token);

/* (tenant text, access text, scope text[], login name, lifetime interval) */
PGDLLEXPORT Datum
tenancy_issue_token(PG_FUNCTION_ARGS)
{
	using namespace tenancy;

	if (PG_ARGISNULL(4))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("lifetime of a token must not be null")));

	Claims claims = claims_of_arguments(PG_ARGISNULL(0) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(0)),
										PG_ARGISNULL(1) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(1)),
										PG_ARGISNULL(2) ? nullptr : PG_GETARG_ARRAYTYPE_P(2));
	Oid login = PG_ARGISNULL(3) ? GetSessionUserId() : get_role_oid(NameStr(*PG_GETARG_NAME(3)), false);
	TimestampTz expires = expiry_of_lifetime(PG_GETARG_INTERVAL_P(4));

	check_can_be_issued(claims);
	PG_RETURN_TEXT_P(cstring_to_text(issue(claims, GetUserNameFromId(login, false), expires)));
}
}
