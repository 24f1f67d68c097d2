/*
 * tenant_name.cpp — tenant identifiers, and the schema and role names that follow from them.
 *
 * A tenant identifier is 1 to 50 of [A-Za-z0-9_-] and starts with a letter or digit.  It folds to lower case with "-"
 * turned into "_", so that names need no quotes:
 *
 *     tenant-001, crm   →   schema tenant_tenant_001_crm, role tenant_tenant_001
 *
 * "tenant-001", "tenant_001" and "Tenant-001" fold to one name: the registry holds one of them at most.  System types
 * have no underscore, so the last one splits a schema's name and ("a", "b_crm") cannot meet ("a_b", "crm").
 *
 * PostgreSQL cuts names to 63 bytes without a word.  A longer name is therefore cut here, before the type, and gets 12
 * hexadecimal digits of a hash of the folded identifier.  Should two such names meet all the same, the second tenant is
 * refused by the UNIQUE constraint and by the rule that no existing schema is ever adopted.
 */
#include "tenancy.h"

namespace tenancy
{

const char *const tenant_id_hint = "A tenant identifier is 1 to 50 letters, digits, \"-\" and "
								   "\"_\", and starts with a letter or a "
								   "digit, for example \"tenant-001\".";

/* Words that callers use for "no tenant" or "every tenant". */
static const char *const reserved[] = {"all", "default", "none", "null", "public"};

static bool
is_ascii_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* The server's locale has no say in names. */
static char
fold_character(char c)
{
	if (c == '-')
		return '_';
	if (c >= 'A' && c <= 'Z')
		return c - 'A' + 'a';
	return c;
}

const char *
clip_for_message(const char *id)
{
	int length = strlen(id);
	int clipped = pg_mbcliplen(id, length, 80);

	return clipped == length ? id : psprintf("%.*s...", clipped, id);
}

const char *
tenant_id_problem(const char *id)
{
	size_t length = strlen(id);

	if (length == 0)
		return "It is empty.";
	for (const char *c = id; *c; c++)
		if (!is_ascii_alnum(*c) && *c != '_' && *c != '-')
			return psprintf("The character at position %d is not allowed.", (int) (c - id) + 1);
	if (length > TENANT_ID_MAX)
		return psprintf("It is %zu characters long.", length);
	if (!is_ascii_alnum(*id))
		return "It does not start with a letter or a digit.";

	for (const char *word : reserved)
		if (pg_strcasecmp(id, word) == 0)
			return psprintf("\"%s\" is a reserved word.", word);
	return nullptr;
}

void
check_tenant_id(const char *id)
{
	const char *problem = tenant_id_problem(id);

	if (problem)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("malformed tenant identifier \"%s\"", clip_for_message(id)),
						errdetail_internal("%s", problem), errhint("%s", tenant_id_hint)));
}

bool
system_type_is_good(const char *type)
{
	size_t length = strlen(type);
	bool good = length >= 1 && length <= SYSTEM_TYPE_MAX && type[0] >= 'a' && type[0] <= 'z';

	for (const char *c = type; good && *c; c++)
		good = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9');
	return good;
}

static void
check_system_type(const char *type)
{
	if (!system_type_is_good(type))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("malformed system type \"%s\"", clip_for_message(type)),
				 errhint("A system type is 1 to %d lower-case letters and digits, without an "
						 "underscore, and starts with a letter, for example \"crm\".",
						 SYSTEM_TYPE_MAX)));
}

void
fold_tenant_id(const char *id, char folded[TENANT_ID_MAX + 1])
{
	check_tenant_id(id);
	while (*id)
		*folded++ = fold_character(*id++);
	*folded = '\0';
}

/* FNV-1a: the same on every machine and in every version of the server, unlike hash_any(). */
static uint64
name_hash(const char *name)
{
	uint64 hash = UINT64CONST(0xcbf29ce484222325);

	for (; *name; name++)
		hash = (hash ^ (unsigned char) *name) * UINT64CONST(0x100000001b3);
	return hash;
}

void
tenant_schema_name(const char *id, const char *system_type, NameData *name)
{
	char folded[TENANT_ID_MAX + 1];

	fold_tenant_id(id, folded);
	check_system_type(system_type);

	memset(name, 0, sizeof(*name));
	if (snprintf(NameStr(*name), NAMEDATALEN, "tenant_%s_%s", folded, system_type) < NAMEDATALEN)
		return;

	constexpr int hash_digits = 12;
	int room = NAMEDATALEN - 1 - strlen("tenant_") - 1 - hash_digits - 1 - strlen(system_type);

	snprintf(NameStr(*name), NAMEDATALEN, "tenant_%.*s_%012llx_%s", room, folded,
			 (unsigned long long) (name_hash(folded) >> 16), system_type);
}

/* "tenant_" and 50 bytes always fit. */
void
tenant_role_name(const char *id, NameData *name)
{
	char folded[TENANT_ID_MAX + 1];

	static_assert(sizeof("tenant_") + TENANT_ID_MAX <= NAMEDATALEN,
				  "a role's name must not be cut");
	fold_tenant_id(id, folded);
	memset(name, 0, sizeof(*name));
	snprintf(NameStr(*name), NAMEDATALEN, "tenant_%s", folded);
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_fold_tenant_id);
PG_FUNCTION_INFO_V1(tenancy_schema_name);
PG_FUNCTION_INFO_V1(tenancy_check_system_type);

PGDLLEXPORT Datum
tenancy_fold_tenant_id(PG_FUNCTION_ARGS)
{
	char folded[tenancy::TENANT_ID_MAX + 1];

	tenancy::fold_tenant_id(text_to_cstring(PG_GETARG_TEXT_PP(0)), folded);
	PG_RETURN_TEXT_P(cstring_to_text(folded));
}

PGDLLEXPORT Datum
tenancy_schema_name(PG_FUNCTION_ARGS)
{
	Name name = (Name) palloc(NAMEDATALEN);

	tenancy::tenant_schema_name(text_to_cstring(PG_GETARG_TEXT_PP(0)),
								text_to_cstring(PG_GETARG_TEXT_PP(1)), name);
	PG_RETURN_NAME(name);
}

PGDLLEXPORT Datum
tenancy_check_system_type(PG_FUNCTION_ARGS)
{
	tenancy::check_system_type(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_BOOL(true);
}
}
