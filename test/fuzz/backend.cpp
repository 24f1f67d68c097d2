/*
 * backend.cpp — see backend.h.  Of the server's own code only libpgcommon and libpgport are linked: decimals of doubles,
 * verification of UTF-8, base64, printf.
 */
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "backend.h"

namespace fuzz
{

sigjmp_buf on_error;
int error_code;

/* Pieces of memory, freed together. */
static std::vector<void *> pieces;

static void *
piece(Size size)
{
	void *memory = malloc(Max(size, 1));

	pieces.push_back(memory);
	return memory;
}

void
end_document()
{
	for (void *memory : pieces)
		free(memory);
	pieces.clear();
}

void
keep_memory()
{
	/* Never freed, and never lost. */
	static auto *kept = new std::vector<void *>;

	kept->insert(kept->end(), pieces.begin(), pieces.end());
	pieces.clear();
}

[[noreturn]] static void
not_expected(const char *function)
{
	fprintf(stderr, "fuzz: %s() was called\n", function);
	abort();
}

/*
 * Numeric: 0.digits times 10 to the power of "point"; no digit is a zero at either end.
 */
struct Number
{
	char word; /* N, I; else a number */
	bool negative;
	int point;
	std::string digits;
};

static void
trim(Number *number)
{
	size_t first = number->digits.find_first_not_of('0');

	if (first == std::string::npos)
	{
		*number = {'\0', false, 0, ""};
		return;
	}
	number->point -= static_cast<int>(first);
	number->digits.erase(0, first);
	number->digits.erase(number->digits.find_last_not_of('0') + 1);
}

static Number
parse(const std::string &text)
{
	Number number = {'\0', text[0] == '-', 0, ""};
	size_t i = number.negative;
	bool point = false;

	if (text.compare(i, std::string::npos, "NaN") == 0)
		number.word = 'N';
	else if (text.compare(i, 3, "Inf") == 0)
		number.word = 'I';
	if (number.word)
		return number;
	for (; i < text.size() && text[i] != 'e' && text[i] != 'E'; i++)
	{
		if (text[i] == '.')
		{
			point = true;
			continue;
		}
		if (text[i] < '0' || text[i] > '9')
			not_expected("numeric_in with no number");
		number.digits += text[i];
		number.point += !point;
	}
	if (i < text.size())
		number.point += atoi(text.c_str() + i + 1);
	trim(&number);
	return number;
}

static std::string
print(const Number &number)
{
	if (number.word)
		return number.word == 'N' ? "NaN" : number.negative ? "-Infinity" : "Infinity";
	if (number.digits.empty())
		return "0";
	return (number.negative ? "-0." : "0.") + number.digits + "e" + std::to_string(number.point);
}

std::string
numeric_text(Numeric value)
{
	return std::string(VARDATA(value), VARSIZE(value) - VARHDRSZ);
}

static Number
number_of(Datum value)
{
	return parse(numeric_text(DatumGetNumeric(value)));
}

static Numeric
numeric_of(const Number &number)
{
	std::string text = print(number);
	auto *value = static_cast<char *>(piece(VARHDRSZ + text.size()));

	SET_VARSIZE(value, VARHDRSZ + text.size());
	memcpy(VARDATA(value), text.data(), text.size());
	return reinterpret_cast<Numeric>(value);
}

/* NaN is greater than all else, as in the server. */
static int
rank(const Number &number)
{
	if (number.word == 'N')
		return 3;
	if (number.word == 'I')
		return number.negative ? -2 : 2;
	return number.digits.empty() ? 0 : number.negative ? -1 : 1;
}

static int
compare_numbers(const Number &a, const Number &b)
{
	if (rank(a) != rank(b) || rank(a) == 0 || a.word)
		return rank(a) - rank(b);
	int size = a.point != b.point ? a.point - b.point : a.digits.compare(b.digits);
	return a.negative ? -size : size;
}

static Number
rounded(Number number, int scale)
{
	int kept = number.point + scale;

	if (number.word || kept >= static_cast<int>(number.digits.size()))
		return number;
	if (kept < 0)
		return {'\0', false, 0, ""};
	bool up = number.digits[static_cast<size_t>(kept)] >= '5';
	number.digits.resize(static_cast<size_t>(kept));
	for (int i = kept - 1; up && i >= 0; i--)
	{
		char &digit = number.digits[static_cast<size_t>(i)];

		up = digit == '9';
		digit = up ? '0' : static_cast<char>(digit + 1);
	}
	if (up)
	{
		number.digits.insert(0, "1");
		number.point++;
	}
	trim(&number);
	return number;
}

} // namespace fuzz

using namespace fuzz;

extern "C"
{

MemoryContext CurrentMemoryContext;

void *palloc(Size size) { return piece(size); }
void *palloc0(Size size) { return memset(piece(size), 0, size); }
void pfree(void *pointer) {}
void *MemoryContextAlloc(MemoryContext context, Size size) { return piece(size); }
void *MemoryContextAllocZero(MemoryContext context, Size size) { return palloc0(size); }
void MemoryContextReset(MemoryContext context) {}

void *
repalloc(void *pointer, Size size)
{
	auto old = std::find(pieces.rbegin(), pieces.rend(), pointer);

	if (old == pieces.rend())
		not_expected("repalloc of something else");
	*old = realloc(pointer, size);
	return *old;
}

char *
pstrdup(const char *text)
{
	return strcpy(static_cast<char *>(piece(strlen(text) + 1)), text);
}

/* Errors */

bool
errstart_cold(int level, const char *domain)
{
	error_code = ERRCODE_INTERNAL_ERROR;
	return true;
}

int
errcode(int code)
{
	error_code = code;
	return 0;
}

int errmsg(const char *format, ...) { return 0; }
int errmsg_internal(const char *format, ...) { return 0; }
int errdetail(const char *format, ...) { return 0; }
int errhint(const char *format, ...) { return 0; }
void errfinish(const char *file, int line, const char *function) { siglongjmp(on_error, 1); }

void
check_stack_depth(void)
{
	static char *base;
	char here;

	if (!base)
		base = &here;
	if (labs(base - &here) > 2 * 1024 * 1024)
	{
		error_code = ERRCODE_STATEMENT_TOO_COMPLEX;
		siglongjmp(on_error, 1);
	}
}

/* Function calls */

static Datum
call(PGFunction function, short count, Datum a, Datum b, Datum c)
{
	LOCAL_FCINFO(info, 3);

	InitFunctionCallInfoData(*info, nullptr, count, InvalidOid, nullptr, nullptr);
	info->args[0] = {a, false};
	info->args[1] = {b, false};
	info->args[2] = {c, false};
	return function(info);
}

Datum DirectFunctionCall1Coll(PGFunction function, Oid collation, Datum a) { return call(function, 1, a, 0, 0); }
Datum DirectFunctionCall2Coll(PGFunction function, Oid collation, Datum a, Datum b) { return call(function, 2, a, b, 0); }
Datum DirectFunctionCall3Coll(PGFunction function, Oid collation, Datum a, Datum b, Datum c) { return call(function, 3, a, b, c); }

/* Numbers */

Datum numeric_in(PG_FUNCTION_ARGS) { PG_RETURN_NUMERIC(numeric_of(parse(PG_GETARG_CSTRING(0)))); }
Datum numeric_round(PG_FUNCTION_ARGS) { PG_RETURN_NUMERIC(numeric_of(rounded(number_of(PG_GETARG_DATUM(0)), PG_GETARG_INT32(1)))); }
Datum numeric(PG_FUNCTION_ARGS) { return PG_GETARG_DATUM(0); }
Datum numeric_cmp(PG_FUNCTION_ARGS) { PG_RETURN_INT32(compare_numbers(number_of(PG_GETARG_DATUM(0)), number_of(PG_GETARG_DATUM(1)))); }
bool numeric_is_nan(Numeric value) { return number_of(NumericGetDatum(value)).word == 'N'; }
bool numeric_is_inf(Numeric value) { return number_of(NumericGetDatum(value)).word == 'I'; }
Numeric int64_to_numeric(int64 value) { return numeric_of(parse(std::to_string(value))); }

Datum
numeric_abs(PG_FUNCTION_ARGS)
{
	Number number = number_of(PG_GETARG_DATUM(0));

	number.negative = false;
	PG_RETURN_NUMERIC(numeric_of(number));
}

Datum
numeric_int8(PG_FUNCTION_ARGS)
{
	Number number = number_of(PG_GETARG_DATUM(0));
	std::string digits = number.digits;

	if (number.word || number.point < static_cast<int>(digits.size()) || number.point > 19)
		not_expected("numeric_int8 of what is no bigint");
	digits.append(static_cast<size_t>(number.point) - digits.size(), '0');
	PG_RETURN_INT64(digits.empty() ? 0 : std::stoll((number.negative ? "-" : "") + digits));
}

Numeric
int64_div_fast_to_numeric(int64 value, int scale)
{
	Number number = parse(std::to_string(value));

	number.point -= scale;
	trim(&number);
	return numeric_of(number);
}

/* Text */

bool
pg_verify_mbstr(int encoding, const char *text, int length, bool no_error)
{
	return pg_encoding_verifymbstr(encoding, text, length) == length;
}

int
pg_mbstrlen_with_len(const char *text, int length)
{
	int count = 0;

	for (int i = 0; i < length && text[i]; count++)
		i += pg_encoding_mblen(PG_UTF8, text + i);
	return count;
}

text *
cstring_to_text_with_len(const char *bytes, int length)
{
	auto *result = static_cast<text *>(piece(VARHDRSZ + static_cast<Size>(length)));

	SET_VARSIZE(result, VARHDRSZ + length);
	memcpy(VARDATA(result), bytes, static_cast<size_t>(length));
	return result;
}

Datum bpchar(PG_FUNCTION_ARGS) { return PG_GETARG_DATUM(0); }
struct varlena *pg_detoast_datum(struct varlena *value) { return value; }

/* Dates: of the typmods only 0, whole seconds, is asked for */

#if PG_VERSION_NUM >= 160000
bool
AdjustTimestampForTypmod(Timestamp *time, int32 typmod, Node *context)
#else
void
AdjustTimestampForTypmod(Timestamp *time, int32 typmod)
#endif
{
	*time -= *time % USECS_PER_SEC;
#if PG_VERSION_NUM >= 160000
	return true;
#endif
}

/* Proleptic Gregorian, days since the noon of -4713-11-24. */
void
j2date(int days, int *year, int *month, int *day)
{
	int64 shifted = static_cast<int64>(days) - 1721119; /* since March 1, 0000 */
	int64 era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int64 of_era = shifted - era * 146097;
	int64 years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64 of_year = of_era - (365 * years + years / 4 - years / 100);
	int64 shifted_month = (5 * of_year + 2) / 153;

	*day = static_cast<int>(of_year - (153 * shifted_month + 2) / 5 + 1);
	*month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
	*year = static_cast<int>(years + era * 400 + (*month <= 2));
}

/* Types: all that the fuzzer knows are base types and arrays of them */

Oid getBaseTypeAndTypmod(Oid type, int32 *typmod) { return type; }
bool DomainHasConstraints(Oid type) { return false; }
int16 get_typlen(Oid type) { not_expected("get_typlen"); }
void InitDomainConstraintRef(Oid type, DomainConstraintRef *ref, MemoryContext context, bool states) { not_expected("InitDomainConstraintRef"); }
void UpdateDomainConstraintRef(DomainConstraintRef *ref) { not_expected("UpdateDomainConstraintRef"); }
ExprContext *CreateStandaloneExprContext(void) { not_expected("CreateStandaloneExprContext"); }
bool ExecCheck(ExprState *state, ExprContext *context) { not_expected("ExecCheck"); }
Datum MakeExpandedObjectReadOnlyInternal(Datum value) { not_expected("MakeExpandedObjectReadOnlyInternal"); }

Oid
get_element_type(Oid type)
{
	switch (type)
	{
		case INT4ARRAYOID:
			return INT4OID;
		case NUMERICARRAYOID:
			return NUMERICOID;
		case TEXTARRAYOID:
			return TEXTOID;
		case JSONBARRAYOID:
			return JSONBOID;
		default:
			return InvalidOid;
	}
}

/* Arrays: the elements are counted, and what they refer to is read. */

struct ArrayBuildState *
initArrayResult(Oid element, MemoryContext context, bool own_context)
{
	return static_cast<ArrayBuildState *>(palloc0(sizeof(ArrayBuildState)));
}

ArrayBuildState *
accumArrayResult(ArrayBuildState *state, Datum element, bool null, Oid type, MemoryContext context)
{
	if (!null && type != INT4OID)
	{
		auto *value = static_cast<text *>(piece(VARSIZE(DatumGetPointer(element))));

		memcpy(value, DatumGetPointer(element), VARSIZE(DatumGetPointer(element)));
	}
	state->nelems++;
	return state;
}

Datum
makeArrayResult(ArrayBuildState *state, MemoryContext context)
{
	return Int32GetDatum(state->nelems);
}

} // extern "C"
