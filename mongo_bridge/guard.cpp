/*
 * guard.cpp — the red half of the wall: how a failure of blue code becomes a PostgreSQL error.
 */
#include <cstring>

#include <bson/bson.h>

#include "guard.h"

namespace bridge
{

int64 owned_objects = 0;

/*
 * The words may be a server's, a driver's or a library's.  They end up in logs and tables, which want valid UTF-8.
 */
static void
copy_words(char *to, size_t size, const char *from) noexcept
{
	size_t length = strnlen(from, size - 1);

	/* A cut inside a multibyte character would be an invalid string: step back to a character's start. */
	if (from[length] != '\0')
		while (length > 0 && (static_cast<unsigned char>(from[length]) & 0xC0) == 0x80)
			length--;
	memcpy(to, from, length);
	to[length] = '\0';
	if (!bson_utf8_validate(to, length, false))
		for (char *c = to; *c != '\0'; c++)
			if (static_cast<unsigned char>(*c) >= 0x80)
				*c = '?';
}

void
record_failure(Failure *failure, const char *state, const char *message, const char *detail,
			   const char *hint, int server_code) noexcept
{
	copy_words(failure->state, sizeof(failure->state), state);
	failure->server_code = server_code;
	copy_words(failure->message, sizeof(failure->message), message);
	copy_words(failure->detail, sizeof(failure->detail), detail);
	copy_words(failure->hint, sizeof(failure->hint), hint);
}

void
raise_failure(const Failure *failure)
{
	const char *s = failure->state;

	/* Who asked for the cancel must still be told that nobody knows whether MongoDB has committed. */
	if (strcmp(s, sqlstate::transaction_resolution_unknown) != 0)
		CHECK_FOR_INTERRUPTS();
	ereport(ERROR,
			(errcode(MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4])), errmsg("%s", failure->message),
			 failure->detail[0] ? errdetail("%s", failure->detail) : 0,
			 failure->hint[0] ? errhint("%s", failure->hint) : 0));
	pg_unreachable();
}

} // namespace bridge
