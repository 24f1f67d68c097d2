/*
 * semantic_version.cpp — versions of systems, and the ranges that dependencies are told in.
 *
 * A version is that of semver.org without build metadata: three numbers and perhaps a prerelease, "1.2.0-rc.1".  Two
 * versions that differ in build metadata alone would have the same precedence, so that neither could be the later one.
 *
 * A range is the one that npm made common:
 *
 *     range        set || set || …           one of the sets
 *     set          comparator comparator …   all of them
 *     comparator   >1.2.3  >=1.2.3  <1.2.3  <=1.2.3  =1.2.3  1.2.3  ^1.2.3  ~1.2.3  1.2  1.x  *
 *
 * Every comparator comes down to bounds: ^1.2.3 is >=1.2.3 <2.0.0, and ^0.2.3 is >=0.2.3 <0.3.0, since before 1.0.0 the
 * second number is the one that breaks things.  A part that is left out stands for all of its values: ">1.2" is >=1.3.0.
 *
 * A prerelease is in a range only if the set names a prerelease of the same three numbers: who asks for >=1.0.0 has not
 * asked for 2.0.0-alpha.
 */
#include "tenancy.h"

namespace tenancy
{

/* VARCHAR(20) in the documents. */
constexpr int VERSION_MAX = 20;
constexpr int NUMBER_DIGITS = 6;

struct Version
{
	int parts[3];
	int given;			/* how many of the three a range has named */
	const char *prerelease; /* without the hyphen; null if it is none */
	int prerelease_length;
};

/* The bounds that a comparator comes down to; a given of 0 is no bound. */
struct Bounds
{
	Version lower, upper;
	bool lower_included, upper_included;
};

static bool
is_identifier_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

static bool
is_number(const char *text, int length)
{
	for (int i = 0; i < length; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return length > 0;
}

/* The identifiers of a prerelease: not empty, and numbers without leading zeros.  Null if they are malformed. */
static const char *
scan_prerelease(const char *text)
{
	for (;;)
	{
		const char *begin = text;

		while (is_identifier_character(*text))
			text++;
		int length = text - begin;
		if (length == 0 || (length > 1 && *begin == '0' && is_number(begin, length)))
			return nullptr;
		if (*text != '.')
			return text;
		text++;
	}
}

/* One of the three numbers.  In a range "x" and "*" leave it open.  Null if it is malformed. */
static const char *
scan_part(const char *text, Version *version, int part, bool in_range)
{
	if (in_range && (*text == 'x' || *text == 'X' || *text == '*'))
	{
		version->given = Min(version->given, part);
		return text + 1;
	}

	const char *begin = text;
	int value = 0;
	while (*text >= '0' && *text <= '9' && text - begin <= NUMBER_DIGITS)
		value = value * 10 + (*text++ - '0');
	int length = text - begin;
	if (length == 0 || length > NUMBER_DIGITS || (length > 1 && *begin == '0'))
		return nullptr;
	version->parts[part] = value;
	return text;
}

/*
 * Reads a version and returns what stands behind it; null if it is malformed.  In a range, parts may be left out from
 * the right.
 */
static const char *
scan_version(const char *text, Version *version, bool in_range)
{
	*version = {};
	version->given = 3;
	for (int part = 0; part < 3; part++)
	{
		if (part > 0 && *text != '.')
		{
			if (!in_range)
				return nullptr;
			version->given = Min(version->given, part);
			break;
		}
		text = scan_part(part > 0 ? text + 1 : text, version, part, in_range);
		if (!text)
			return nullptr;
	}
	for (int part = version->given; part < 3; part++)
		version->parts[part] = 0;

	if (*text == '-' && version->given == 3)
	{
		version->prerelease = text + 1;
		text = scan_prerelease(text + 1);
		version->prerelease_length = text ? text - version->prerelease : 0;
	}
	return text;
}

static Version
parse_version(const char *text)
{
	Version version;
	const char *end = strlen(text) > VERSION_MAX ? nullptr : scan_version(text, &version, false);

	if (!end || *end)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("malformed version \"%s\"", clip_for_message(text)),
						errhint("A version is three numbers and perhaps a prerelease, at most %d "
								"characters, for example \"1.0.0\" or \"1.1.0-rc.1\".",
								VERSION_MAX)));
	return version;
}

/* Numbers by their value and before words; words by their bytes. */
static int
compare_identifiers(const char *a, int a_length, const char *b, int b_length)
{
	bool a_number = is_number(a, a_length), b_number = is_number(b, b_length);

	if (a_number != b_number)
		return a_number ? -1 : 1;
	if (a_number && a_length != b_length)
		return a_length < b_length ? -1 : 1;
	int order = memcmp(a, b, Min(a_length, b_length));
	return order != 0 ? order : a_length - b_length;
}

static int
compare_prereleases(const Version &a, const Version &b)
{
	const char *a_at = a.prerelease, *b_at = b.prerelease;
	const char *a_end = a_at + a.prerelease_length, *b_end = b_at + b.prerelease_length;

	while (a_at < a_end && b_at < b_end)
	{
		auto *a_dot = static_cast<const char *>(memchr(a_at, '.', a_end - a_at));
		auto *b_dot = static_cast<const char *>(memchr(b_at, '.', b_end - b_at));
		const char *a_stop = a_dot ? a_dot : a_end, *b_stop = b_dot ? b_dot : b_end;
		int order = compare_identifiers(a_at, a_stop - a_at, b_at, b_stop - b_at);

		if (order != 0)
			return order;
		a_at = a_stop + 1;
		b_at = b_stop + 1;
	}
	/* What has more identifiers is the later one. */
	return (a_at < a_end) - (b_at < b_end);
}

static int
compare_versions(const Version &a, const Version &b)
{
	for (int part = 0; part < 3; part++)
		if (a.parts[part] != b.parts[part])
			return a.parts[part] < b.parts[part] ? -1 : 1;
	if (!a.prerelease || !b.prerelease)
		return (b.prerelease != nullptr) - (a.prerelease != nullptr);
	int order = compare_prereleases(a, b);
	return (order > 0) - (order < 0);
}

/* The first version behind all that agree with "version" in its parts up to "part". */
static Version
next_version(Version version, int part)
{
	version.parts[part]++;
	for (int i = part + 1; i < 3; i++)
		version.parts[i] = 0;
	version.given = 3;
	version.prerelease = nullptr;
	return version;
}

/* The part that ^ lets nothing to the left of change: the first that is not zero. */
static int
caret_part(const Version &version)
{
	int part = 0;

	while (part < version.given - 1 && part < 2 && version.parts[part] == 0)
		part++;
	return part;
}

static Bounds
bounds_of(const char *comparison, const Version &version)
{
	Bounds bounds = {};
	bool is_partial = version.given < 3;

	if (version.given == 0)
		return bounds; /* any version; what < and > say of it means nothing else */
	if (comparison[0] == '<')
	{
		bool past = comparison[1] == '=' && is_partial;

		bounds.upper = past ? next_version(version, version.given - 1) : version;
		bounds.upper_included = comparison[1] == '=' && !is_partial;
	}
	else if (comparison[0] == '>')
	{
		bool past = comparison[1] != '=' && is_partial;

		bounds.lower = past ? next_version(version, version.given - 1) : version;
		bounds.lower_included = comparison[1] == '=' || is_partial;
	}
	else
	{
		bounds.lower = version;
		bounds.lower_included = true;
		bounds.upper = version;
		if (comparison[0] == '^')
			bounds.upper = next_version(version, caret_part(version));
		else if (comparison[0] == '~')
			bounds.upper = next_version(version, version.given == 1 ? 0 : 1);
		else if (is_partial)
			bounds.upper = next_version(version, version.given - 1);
		else
			bounds.upper_included = true;
	}
	return bounds;
}

static bool
within(const Version &version, const Bounds &bounds)
{
	if (bounds.lower.given > 0)
	{
		int order = compare_versions(version, bounds.lower);
		if (order < 0 || (order == 0 && !bounds.lower_included))
			return false;
	}
	if (bounds.upper.given > 0)
	{
		int order = compare_versions(version, bounds.upper);
		if (order > 0 || (order == 0 && !bounds.upper_included))
			return false;
	}
	return true;
}

static const char *
skip_spaces(const char *text)
{
	while (isspace((unsigned char) *text))
		text++;
	return text;
}

/* The comparison that a comparator begins with: "" for a bare version. */
static const char *
scan_comparison(const char **text)
{
	static const char *const comparisons[] = {">=", "<=", ">", "<", "=", "^", "~"};

	for (const char *comparison : comparisons)
	{
		size_t length = strlen(comparison);
		if (strncmp(*text, comparison, length) == 0)
		{
			*text = skip_spaces(*text + length);
			return comparison;
		}
	}
	return "";
}

[[noreturn]] static void
malformed_range(const char *range)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("malformed range of versions \"%s\"", clip_for_message(range)),
					errhint("For example \">=1.0.0 <2.0.0\", \"^1.2.0\", \"~1.2\", \"1.x || 3.0.0\" "
							"or \"*\".")));
}

/* True if the set, from "text" to "||" or the end, holds the version; moves "text" there. */
static bool
satisfies_set(const Version &version, const char **text, const char *range)
{
	const char *at = skip_spaces(*text);
	bool holds = true, names_prerelease = false;

	if (*at == '\0' || *at == '|')
		malformed_range(range);
	while (*at && *at != '|')
	{
		Version named;
		const char *comparison = scan_comparison(&at);

		at = scan_version(at, &named, true);
		if (!at || (*at && *at != '|' && !isspace((unsigned char) *at)))
			malformed_range(range);
		holds &= within(version, bounds_of(comparison, named));
		names_prerelease |= named.prerelease && memcmp(named.parts, version.parts, sizeof(named.parts)) == 0;
		at = skip_spaces(at);
	}
	*text = at;
	return holds && (!version.prerelease || names_prerelease);
}

/* Reads the range to its end, so that a mistake in it is told whatever the version. */
static bool
satisfies(const Version &version, const char *range)
{
	const char *at = range;
	bool holds = satisfies_set(version, &at, range);

	while (*at)
	{
		if (at[0] != '|' || at[1] != '|')
			malformed_range(range);
		at += 2;
		holds |= satisfies_set(version, &at, range);
	}
	return holds;
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_check_version);
PG_FUNCTION_INFO_V1(tenancy_compare_versions);
PG_FUNCTION_INFO_V1(tenancy_is_prerelease);
PG_FUNCTION_INFO_V1(tenancy_version_satisfies);

PGDLLEXPORT Datum
tenancy_check_version(PG_FUNCTION_ARGS)
{
	(void) tenancy::parse_version(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_BOOL(true);
}

PGDLLEXPORT Datum
tenancy_compare_versions(PG_FUNCTION_ARGS)
{
	tenancy::Version a = tenancy::parse_version(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	tenancy::Version b = tenancy::parse_version(text_to_cstring(PG_GETARG_TEXT_PP(1)));

	PG_RETURN_INT32(tenancy::compare_versions(a, b));
}

PGDLLEXPORT Datum
tenancy_is_prerelease(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(tenancy::parse_version(text_to_cstring(PG_GETARG_TEXT_PP(0))).prerelease != nullptr);
}

PGDLLEXPORT Datum
tenancy_version_satisfies(PG_FUNCTION_ARGS)
{
	tenancy::Version version = tenancy::parse_version(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	PG_RETURN_BOOL(tenancy::satisfies(version, text_to_cstring(PG_GETARG_TEXT_PP(1))));
}
}
