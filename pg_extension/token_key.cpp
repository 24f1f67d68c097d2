/*
 * token_key.cpp — the keys that tokens are signed with.
 *
 * They stand in tenancy.token_secrets, which only superusers read (not even pg_read_all_data does, for the table has
 * row-level security without a policy), or in the file that tenancy.token_key_file names, for those who want no key in
 * their backups or who sign outside of the database.  They never leave the server: no function returns one.
 *
 * Rotation: one key signs, the one before it still verifies, everything older is revoked.  A revoked key keeps its row, so
 * that its identifier bars a key of the same name in the file, and is never given again.
 *
 * Each process reads them when it first needs one, and again after the table or the configuration changed.
 */
#include <sys/stat.h>

#include "own_table.h"
#include "tenant_context.h"

namespace tenancy
{

constexpr AttrNumber Anum_token_secrets_key_id = 1;
constexpr AttrNumber Anum_token_secrets_status = 2;
constexpr AttrNumber Anum_token_secrets_secret = 3;

constexpr int MAX_KEYS = 64;
constexpr int MIN_SECRET = 32; /* bytes */

static OwnTable token_secrets = {"token_secrets", "token_secrets_pkey"};
static char *token_key_file;

struct Keys
{
	bool loaded;
	uint64 generation; /* of the table when it was read */
	int count;
	TokenKey keys[MAX_KEYS]; /* of length 0 if revoked */
};
static Keys cache;
static uint64 times_loaded;

bool
key_id_is_good(const char *id, size_t length)
{
	if (length < 1 || length > KEY_ID_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isascii((unsigned char) id[i]) || (!isalnum((unsigned char) id[i]) && id[i] != '_' && id[i] != '-'))
			return false;
	return true;
}

static TokenKey *
find_key(const char *id)
{
	for (int i = 0; i < cache.count; i++)
		if (strcmp(cache.keys[i].id, id) == 0)
			return &cache.keys[i];
	return nullptr;
}

static TokenKey *
find_signing_key()
{
	for (int i = 0; i < cache.count; i++)
		if (cache.keys[i].signs)
			return &cache.keys[i];
	return nullptr;
}

/* The first of a name counts: the table is read before the file. */
static void
add_key(const char *id, const uint8 *secret, int length, bool signs)
{
	if (cache.count == MAX_KEYS || find_key(id))
		return;

	TokenKey *key = &cache.keys[cache.count++];
	strlcpy(key->id, id, sizeof(key->id));
	key->signs = signs;
	key->length = Min(length, (int) sizeof(key->secret));
	memcpy(key->secret, secret, key->length);
}

static void
read_key(HeapTuple row, TupleDesc descriptor, void *)
{
	bool null, revoked;
	const char *id = TextDatumGetCString(heap_getattr(row, Anum_token_secrets_key_id, descriptor, &null));
	const char *status = TextDatumGetCString(heap_getattr(row, Anum_token_secrets_status, descriptor, &null));
	Datum secret = heap_getattr(row, Anum_token_secrets_secret, descriptor, &revoked);

	if (revoked)
		add_key(id, nullptr, 0, false);
	else
	{
		bytea *bytes = DatumGetByteaPP(secret);

		add_key(id, (const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), strcmp(status, "signing") == 0);
	}
}

/* A line of the file: an identifier, blanks, and the secret in hexadecimal.  False if it is something else. */
static bool
parse_line(char *line, const char **id, uint8 *secret, int *length)
{
	char *rest = line + strspn(line, " \t\r\n");

	*id = rest;
	if (*rest == '\0' || *rest == '#')
	{
		*id = nullptr;
		return true;
	}
	rest += strcspn(rest, " \t\r\n");
	if (*rest)
		*rest++ = '\0';
	rest += strspn(rest, " \t\r\n");

	size_t digits = strspn(rest, "0123456789abcdefABCDEF");
	if (!key_id_is_good(*id, strlen(*id)) || rest[digits + strspn(rest + digits, " \t\r\n")] != '\0' || digits % 2 ||
		digits < 2 * MIN_SECRET || digits > 2 * sizeof(TokenKey::secret))
		return false;
	for (*length = 0; *length < (int) digits / 2; (*length)++)
	{
		char pair[3] = {rest[2 * *length], rest[2 * *length + 1], '\0'};

		secret[*length] = (uint8) strtoul(pair, nullptr, 16);
	}
	return true;
}

/* Whoever else may write the file could make themselves every tenant. */
static bool
file_is_private(FILE *file)
{
	struct stat status;

	return fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

/*
 * The first key of the file signs if none of the table does.  What is wrong with the file is the administrator's
 * affair and goes to the log; a key that is not read verifies nothing.
 */
static void
read_key_file()
{
	char line[512];
	int number = 0;
	FILE *file = AllocateFile(token_key_file, "r");

	if (!file)
	{
		ereport(LOG, (errcode_for_file_access(), errmsg("could not open token key file \"%s\": %m", token_key_file)));
		return;
	}
	if (!file_is_private(file))
	{
		ereport(LOG, (errcode(ERRCODE_CONFIG_FILE_ERROR),
					  errmsg("token key file \"%s\" must not be accessible by group or others", token_key_file),
					  errhint("chmod 600 %s", token_key_file)));
		FreeFile(file);
		return;
	}
	while (fgets(line, sizeof(line), file))
	{
		const char *id;
		uint8 secret[sizeof(TokenKey::secret)];
		int length;

		number++;
		if (!parse_line(line, &id, secret, &length))
			ereport(LOG, (errcode(ERRCODE_CONFIG_FILE_ERROR),
						  errmsg("syntax error in token key file \"%s\", line %d", token_key_file, number),
						  errdetail("A line is an identifier of at most %d characters and %d to %d bytes in hexadecimal.",
									KEY_ID_MAX, MIN_SECRET, (int) sizeof(secret))));
		else if (id)
			add_key(id, secret, length, !find_signing_key());
		explicit_bzero(secret, sizeof(secret));
	}
	explicit_bzero(line, sizeof(line));
	FreeFile(file);
}

static void
load_keys()
{
	if (cache.loaded && cache.generation == token_secrets.generation)
		return;

	explicit_bzero(&cache, sizeof(cache));
	uint64 generation = token_secrets.generation;
	if (find_own_table(&token_secrets))
		visit_own_rows(&token_secrets, read_key, nullptr);
	if (token_key_file && *token_key_file)
		read_key_file();
	cache.generation = generation;
	cache.loaded = true;
	times_loaded++;
}

uint64
token_key_generation()
{
	return times_loaded;
}

const TokenKey *
find_token_key(const char *id)
{
	load_keys();

	const TokenKey *key = find_key(id);
	return key && key->length > 0 ? key : nullptr;
}

const TokenKey *
signing_key()
{
	load_keys();
	return find_signing_key();
}

static void
assign_key_file(const char *, void *)
{
	cache.loaded = false;
	unsettle();
}

void
token_key_init()
{
	own_table_register(&token_secrets);

	/* For administrators who want no key in their backups, or an authentication service that signs by itself. */
	DefineCustomStringVariable("tenancy.token_key_file", "File with keys that tokens are signed with.", nullptr,
							   &token_key_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, assign_key_file, nullptr);
}

} // namespace tenancy
