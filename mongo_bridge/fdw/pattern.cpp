/*
 * pattern.cpp — LIKE and starts_with: what is fixed at the start of a pattern.
 *
 * 'ab%' finds the strings that begin with "ab", which an index can serve, and nothing else has to be looked at.  A pattern with
 * more behind its first wildcard is reduced to its beginning, and evaluated here as well.
 */
#include "../bson/document.h"
#include "../bson/value.h"
#include "fdw.h"

namespace bridge
{

/* MongoDB takes regular expressions of 32 kB. */
static constexpr size_t max_prefix = 1000;

/* Cuts what is too long, at the beginning of a character. */
static void
limit_prefix(Pattern *pattern)
{
	size_t length = strlen(pattern->prefix);

	if (length <= max_prefix)
		return;
	length = static_cast<size_t>(pg_mbcliplen(pattern->prefix, static_cast<int>(length),
											  static_cast<int>(max_prefix)));
	pattern->prefix[length] = '\0';
	pattern->exact = pattern->whole = false;
}

Pattern
pattern_read(Comparison comparison, const char *text)
{
	Pattern pattern = {static_cast<char *>(palloc(strlen(text) + 1)), false, true};
	char *to = pattern.prefix;

	if (comparison == Comparison::starts_with)
		to = stpcpy(to, text);
	else
	{
		pattern.whole = true;
		for (; *text != '\0' && *text != '%' && *text != '_'; text++)
		{
			/* A backslash at the end is an error for the strings that reach it, which the local evaluation tells. */
			if (*text == '\\' && *++text == '\0')
			{
				pattern.whole = pattern.exact = false;
				break;
			}
			*to++ = *text;
		}
		if (*text != '\0')
		{
			pattern.whole = false;
			pattern.exact = text[strspn(text, "%")] == '\0';
		}
	}
	*to = '\0';
	limit_prefix(&pattern);
	return pattern;
}

/* Letters, digits and everything beyond ASCII are themselves. */
static const char *
regular_expression(const char *prefix)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, '^');
	for (; *prefix != '\0'; prefix++)
	{
		unsigned char c = static_cast<unsigned char>(*prefix);
		if (c < 0x80 && !isalnum(c) && c != '_')
			appendStringInfoChar(&text, '\\');
		appendStringInfoChar(&text, *prefix);
	}
	return text.data;
}

/* The ObjectIds whose digits begin so; false if there are none. */
static bool
put_object_id_range(bson_t *out, const char *path, const char *prefix)
{
	size_t length = strlen(prefix);
	char digits[25];
	bson_oid_t least;
	bson_oid_t greatest;
	bson_t range;

	if (length > 24 || strspn(prefix, "0123456789abcdef") != length)
		return false;
	memset(digits, '0', 24);
	memcpy(digits, prefix, length);
	digits[24] = '\0';
	object_id_from_text(digits, &least);
	memset(digits + length, 'f', 24 - length);
	object_id_from_text(digits, &greatest);
	bson_append_document_begin(out, path, -1, &range);
	BSON_APPEND_OID(&range, "$gte", &least);
	BSON_APPEND_OID(&range, "$lte", &greatest);
	bson_append_document_end(out, &range);
	return true;
}

void
put_prefix(bson_t *out, const char *path, const char *prefix)
{
	Items alternatives = new_items();
	bson_t *string = new_document();
	bson_t *ids = new_document();
	bson_t inner;

	bson_append_document_begin(string, path, -1, &inner);
	BSON_APPEND_UTF8(&inner, "$regex", regular_expression(prefix));
	bson_append_document_end(string, &inner);
	alternatives.add(string);
	if (put_object_id_range(ids, path, prefix))
		alternatives.add(ids);
	put_together(out, "$or", &alternatives);
}

} // namespace bridge
