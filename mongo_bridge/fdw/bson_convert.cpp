/*
 * bson_convert.cpp — one BSON value to one SQL type.
 *
 * The rule: a value fits a type if the type holds exactly that value.  Numbers may change their width and kind where
 * nothing is lost (1.0 is an integer, 1.5 is none); nothing is rounded, cut, wrapped around or made NULL.  A double in a
 * numeric column is the shortest decimal that reads back as that double, which is what everybody prints.  Strings are not
 * parsed into other types, with one exception: uuid, which half of the drivers write as a string.
 *
 * Pushdown (shippable.cpp) relies on this: a condition is sent only where MongoDB's comparison of the stored values and
 * PostgreSQL's comparison of the converted ones agree.
 */
#include <cmath>
#include <limits>

#include "../bson/value.h"
#include "bson_convert.h"
#include "object_id.h"

namespace bridge
{

static constexpr char datatype_mismatch[] = "42804";
static constexpr char numeric_out_of_range[] = "22003";
static constexpr char datetime_out_of_range[] = "22008";
static constexpr char string_too_long[] = "22001";
static constexpr char bad_characters[] = "22021";
static constexpr char bad_array[] = "2202E"; /* array_subscript_error */

static bool
refuse_type(Refusal *refusal, const char *reason = "There is no conversion between the two types.")
{
	return refuse(refusal, datatype_mismatch, reason);
}

/*
 * Numbers
 */

Numeric
numeric_from_decimal(const bson_decimal128_t *value)
{
	DecimalText decimal = decimal_text(*value);

	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(decimal.text),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* The digits of "12.34" as an integer and how many follow the point; false if there is an exponent or a word. */
static bool
plain_decimal(const char *text, int length, int64 *digits, int *scale)
{
	bool negative = text[0] == '-';
	int64 value = 0;

	*scale = 0;
	for (int i = negative; i < length; i++)
	{
		if (text[i] >= '0' && text[i] <= '9')
			value = value * 10 + (text[i] - '0');
		else if (text[i] == '.')
			*scale = length - i - 1;
		else
			return false;
	}
	*digits = negative ? -value : value;
	return true;
}

Numeric
numeric_from_double(double value)
{
	char text[DOUBLE_SHORTEST_DECIMAL_LEN];
	int64 digits;
	int scale;

	if (rint(value) == value && FLOAT8_FITS_IN_INT64(value))
		return int64_to_numeric(static_cast<int64>(value));

	/* At most 17 digits: they fit an integer. */
	int length = double_to_shortest_decimal_buf(value, text);
	if (plain_decimal(text, length, &digits, &scale))
		return int64_div_fast_to_numeric(digits, scale);
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static int
compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

static Numeric
round_to(Numeric value, int scale)
{
	return DatumGetNumeric(
		DirectFunctionCall2(numeric_round, NumericGetDatum(value), Int32GetDatum(scale)));
}

static bool
whole_from_decimal(const bson_iter_t *field, int64 *value, Refusal *refusal)
{
	bson_decimal128_t decimal;

	bson_iter_decimal128(field, &decimal);
	Numeric number = numeric_from_decimal(&decimal);

	if (numeric_is_nan(number) || numeric_is_inf(number))
		return refuse(refusal, numeric_out_of_range, "An integer cannot be NaN or infinite.");
	if (compare(number, int64_to_numeric(PG_INT64_MIN)) < 0 ||
		compare(number, int64_to_numeric(PG_INT64_MAX)) > 0)
		return refuse(refusal, numeric_out_of_range, "The number is out of the type's range.");
	if (compare(number, round_to(number, 0)) != 0)
		return refuse(refusal, numeric_out_of_range, "The number has a fraction.");
	*value = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(number)));
	return true;
}

static bool
whole_from_double(double number, int64 *value, Refusal *refusal)
{
	if (!std::isfinite(number))
		return refuse(refusal, numeric_out_of_range, "An integer cannot be NaN or infinite.");
	if (rint(number) != number)
		return refuse(refusal, numeric_out_of_range, "The number has a fraction.");
	if (!FLOAT8_FITS_IN_INT64(number))
		return refuse(refusal, numeric_out_of_range, "The number is out of the type's range.");
	*value = static_cast<int64>(number);
	return true;
}

static bool
whole_number(const bson_iter_t *field, int64 *value, Refusal *refusal)
{
	switch (bson_iter_type_unsafe(field))
	{
		case BSON_TYPE_INT32:
			*value = bson_iter_int32_unsafe(field);
			return true;
		case BSON_TYPE_INT64:
			*value = bson_iter_int64_unsafe(field);
			return true;
		case BSON_TYPE_DOUBLE:
			return whole_from_double(bson_iter_double_unsafe(field), value, refusal);
		case BSON_TYPE_DECIMAL128:
			return whole_from_decimal(field, value, refusal);
		default:
			return refuse_type(refusal);
	}
}

static bool
to_int2(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	int64 number;

	if (!whole_number(field, &number, refusal))
		return false;
	if (number < PG_INT16_MIN || number > PG_INT16_MAX)
		return refuse(refusal, numeric_out_of_range, "The number is out of the type's range.");
	*value = Int16GetDatum(static_cast<int16>(number));
	return true;
}

static bool
to_int4(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	int64 number;

	if (!whole_number(field, &number, refusal))
		return false;
	if (number < PG_INT32_MIN || number > PG_INT32_MAX)
		return refuse(refusal, numeric_out_of_range, "The number is out of the type's range.");
	*value = Int32GetDatum(static_cast<int32>(number));
	return true;
}

static bool
to_int8(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	int64 number;

	if (!whole_number(field, &number, refusal))
		return false;
	*value = Int64GetDatum(number);
	return true;
}

/* A decimal of 34 digits that a double holds exactly has at most 48 digits after the point: 5 to the 49th has 35. */
static bool
double_from_decimal(const bson_iter_t *field, double *value, Refusal *refusal)
{
	static constexpr char inexact[] =
		"A double cannot hold the decimal exactly; a column of type numeric can.";
	bson_decimal128_t decimal;

	bson_iter_decimal128(field, &decimal);
	Numeric number = numeric_from_decimal(&decimal);

	if (numeric_is_nan(number))
		*value = std::numeric_limits<double>::quiet_NaN();
	else if (numeric_is_inf(number))
		*value = strtod(decimal_text(decimal).text, nullptr);
	else
	{
		*value = strtod(decimal_text(decimal).text, nullptr);
		if (!std::isfinite(*value))
			return refuse(refusal, numeric_out_of_range, inexact);
		Datum exact = DirectFunctionCall3(numeric_in, CStringGetDatum(psprintf("%.50f", *value)),
										  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
		if (compare(number, DatumGetNumeric(exact)) != 0)
			return refuse(refusal, numeric_out_of_range, inexact);
	}
	return true;
}

static bool
double_number(const bson_iter_t *field, double *value, Refusal *refusal)
{
	switch (bson_iter_type_unsafe(field))
	{
		case BSON_TYPE_DOUBLE:
			*value = bson_iter_double_unsafe(field);
			return true;
		case BSON_TYPE_INT32:
			*value = bson_iter_int32_unsafe(field);
			return true;
		case BSON_TYPE_INT64:
		{
			int64 whole = bson_iter_int64_unsafe(field);
			*value = static_cast<double>(whole);
			if (!FLOAT8_FITS_IN_INT64(*value) || static_cast<int64>(*value) != whole)
				return refuse(
					refusal, numeric_out_of_range,
					"A double cannot hold the integer exactly; a column of type bigint can.");
			return true;
		}
		case BSON_TYPE_DECIMAL128:
			return double_from_decimal(field, value, refusal);
		default:
			return refuse_type(refusal);
	}
}

static bool
to_float8(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	double number;

	if (!double_number(field, &number, refusal))
		return false;
	*value = Float8GetDatum(number);
	return true;
}

/* A double fits a real if both print the same decimal: 0.1 does, 16777217 does not. */
static bool
to_float4(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	double number;

	if (!double_number(field, &number, refusal))
		return false;

	float narrow = static_cast<float>(number);
	if (static_cast<double>(narrow) != number && !std::isnan(number))
	{
		char wide_text[DOUBLE_SHORTEST_DECIMAL_LEN];
		char narrow_text[FLOAT_SHORTEST_DECIMAL_LEN];

		double_to_shortest_decimal_buf(number, wide_text);
		float_to_shortest_decimal_buf(narrow, narrow_text);
		if (strcmp(wide_text, narrow_text) != 0)
			return refuse(
				refusal, numeric_out_of_range,
				"A real has too few digits for the number; a column of type double precision "
				"has enough.");
	}
	*value = Float4GetDatum(narrow);
	return true;
}

static bool
apply_precision(const ValueType *type, Numeric number, Datum *value, Refusal *refusal)
{
	/* The scale's 11 bits are signed, as numeric.c packs them. */
	int scale = (((type->typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;

	if (numeric_is_nan(number))
	{
		*value = NumericGetDatum(number);
		return true;
	}
	if (numeric_is_inf(number))
		return refuse(refusal, numeric_out_of_range,
					  "A numeric with precision and scale cannot be infinite.");
	if (compare(number, round_to(number, scale)) != 0)
		return refuse(refusal, numeric_out_of_range,
					  "The number has more digits after the point than the type's scale.");

	Numeric absolute = DatumGetNumeric(DirectFunctionCall1(numeric_abs, NumericGetDatum(number)));
	if (compare(absolute, type->limit) >= 0)
		return refuse(refusal, numeric_out_of_range, "The number is out of the type's precision.");
	*value = DirectFunctionCall2(numeric, NumericGetDatum(number), Int32GetDatum(type->typmod));
	return true;
}

static bool
to_numeric(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	Numeric number;

	switch (bson_iter_type_unsafe(field))
	{
		case BSON_TYPE_INT32:
			number = int64_to_numeric(bson_iter_int32_unsafe(field));
			break;
		case BSON_TYPE_INT64:
			number = int64_to_numeric(bson_iter_int64_unsafe(field));
			break;
		case BSON_TYPE_DOUBLE:
			number = numeric_from_double(bson_iter_double_unsafe(field));
			break;
		case BSON_TYPE_DECIMAL128:
		{
			bson_decimal128_t decimal;
			bson_iter_decimal128(field, &decimal);
			number = numeric_from_decimal(&decimal);
			break;
		}
		default:
			return refuse_type(refusal);
	}
	if (type->limit != nullptr)
		return apply_precision(type, number, value, refusal);
	*value = NumericGetDatum(number);
	return true;
}

static bool
to_bool(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	if (bson_iter_type_unsafe(field) != BSON_TYPE_BOOL)
		return refuse_type(refusal);
	*value = BoolGetDatum(bson_iter_bool_unsafe(field));
	return true;
}

/*
 * Strings and bytes
 */

bool
check_text(const char *bytes, uint32 length, Refusal *refusal)
{
	if (likely(pg_verify_mbstr(PG_UTF8, bytes, static_cast<int>(length), true)))
		return true;
	return refuse(refusal, bad_characters,
				  memchr(bytes, '\0', length) != nullptr
					  ? "The string contains a NUL character, which PostgreSQL cannot store."
					  : "The string is not valid UTF-8.");
}

/* What a text column shows: a string, a symbol (the same to MongoDB), an ObjectId as its 24 digits. */
static bool
text_bytes(const bson_iter_t *field, const char **bytes, uint32 *length, ObjectIdText *id,
		   Refusal *refusal)
{
	switch (bson_iter_type_unsafe(field))
	{
		case BSON_TYPE_UTF8:
			*bytes = bson_iter_utf8(field, length);
			return check_text(*bytes, *length, refusal);
		case BSON_TYPE_SYMBOL:
			*bytes = bson_iter_symbol(field, length);
			return check_text(*bytes, *length, refusal);
		case BSON_TYPE_OID:
			*id = object_id_text(*bson_iter_oid_unsafe(field));
			*bytes = id->text;
			*length = 24;
			return true;
		default:
			return refuse_type(refusal, "A column of type jsonb can hold a value of any type.");
	}
}

/* varchar(n) and char(n) count characters. */
static bool
fits_characters(const ValueType *type, const char *bytes, uint32 length, Refusal *refusal)
{
	if (type->typmod < VARHDRSZ || length <= static_cast<uint32>(type->typmod - VARHDRSZ) ||
		pg_mbstrlen_with_len(bytes, static_cast<int>(length)) <= type->typmod - VARHDRSZ)
		return true;
	return refuse(refusal, string_too_long, "The string is longer than the type allows.");
}

static bool
to_text(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	const char *bytes;
	uint32 length;
	ObjectIdText id;

	if (!text_bytes(field, &bytes, &length, &id, refusal) ||
		!fits_characters(type, bytes, length, refusal))
		return false;
	*value = PointerGetDatum(cstring_to_text_with_len(bytes, static_cast<int>(length)));
	return true;
}

static bool
to_bpchar(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	const char *bytes;
	uint32 length;
	ObjectIdText id;

	if (!text_bytes(field, &bytes, &length, &id, refusal) ||
		!fits_characters(type, bytes, length, refusal))
		return false;

	text *plain = cstring_to_text_with_len(bytes, static_cast<int>(length));
	/* bpchar() pads; the value is known to fit. */
	*value = type->typmod < VARHDRSZ
				 ? PointerGetDatum(plain)
				 : DirectFunctionCall3(bpchar, PointerGetDatum(plain), Int32GetDatum(type->typmod),
									   BoolGetDatum(false));
	return true;
}

static bool
to_name(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	const char *bytes;
	uint32 length;
	ObjectIdText id;

	if (!text_bytes(field, &bytes, &length, &id, refusal))
		return false;
	if (length >= NAMEDATALEN)
		return refuse(refusal, string_too_long, "The string is longer than the type allows.");

	auto *result = static_cast<Name>(palloc0(NAMEDATALEN));
	memcpy(NameStr(*result), bytes, length);
	*value = NameGetDatum(result);
	return true;
}

static Datum
bytea_from(const uint8_t *bytes, uint32 length)
{
	auto *result = static_cast<bytea *>(palloc(VARHDRSZ + length));

	SET_VARSIZE(result, VARHDRSZ + length);
	memcpy(VARDATA(result), bytes, length);
	return PointerGetDatum(result);
}

static bool
to_bytea(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	const uint8_t *bytes;
	uint32 length;
	bson_subtype_t subtype;

	switch (bson_iter_type_unsafe(field))
	{
		case BSON_TYPE_BINARY:
			bson_iter_binary(field, &subtype, &length, &bytes);
			*value = bytea_from(bytes, length);
			return true;
		case BSON_TYPE_OID:
			*value = bytea_from(bson_iter_oid_unsafe(field)->bytes, 12);
			return true;
		default:
			return refuse_type(refusal);
	}
}

static bool
to_object_id(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	if (bson_iter_type_unsafe(field) != BSON_TYPE_OID)
		return refuse_type(refusal, "A column of type text can hold the digits of an ObjectId, "
									"and strings.");
	*value = object_id_datum(bson_iter_oid_unsafe(field));
	return true;
}

/* 8-4-4-4-12 digits, all their letters lower case or all upper case: what pushdown can look for. */
static bool
parse_uuid(const char *text, uint32 length, pg_uuid_t *uuid)
{
	static constexpr char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	bool lower = false;
	bool upper = false;
	int digits = 0;

	if (length != sizeof(form) - 1)
		return false;
	for (uint32 i = 0; i < length; i++)
	{
		int digit;
		if (text[i] >= '0' && text[i] <= '9')
			digit = text[i] - '0';
		else if (text[i] >= 'a' && text[i] <= 'f')
			digit = text[i] - 'a' + 10, lower = true;
		else if (text[i] >= 'A' && text[i] <= 'F')
			digit = text[i] - 'A' + 10, upper = true;
		else
			digit = -1;
		if ((form[i] == '-') != (text[i] == '-') || (form[i] == 'x' && digit < 0))
			return false;
		if (digit < 0)
			continue;
		unsigned char *byte = &uuid->data[digits / 2];
		*byte = static_cast<unsigned char>(digits % 2 == 0 ? digit << 4 : *byte | digit);
		digits++;
	}
	return !(lower && upper);
}

static bool
to_uuid(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	auto *uuid = static_cast<pg_uuid_t *>(palloc(sizeof(pg_uuid_t)));
	uint32 length;

	*value = UUIDPGetDatum(uuid);
	switch (bson_iter_type_unsafe(field))
	{
		case BSON_TYPE_BINARY:
		{
			const uint8_t *bytes;
			bson_subtype_t subtype;
			bson_iter_binary(field, &subtype, &length, &bytes);
			if (subtype != BSON_SUBTYPE_UUID || length != UUID_LEN)
				return refuse_type(refusal, "Of binary values, only subtype 4 is a UUID.");
			memcpy(uuid->data, bytes, UUID_LEN);
			return true;
		}
		case BSON_TYPE_UTF8:
		{
			const char *text = bson_iter_utf8(field, &length);
			if (!parse_uuid(text, length, uuid))
				return refuse(
					refusal, "22P02",
					"Of strings, only 8-4-4-4-12 hexadecimal digits are a UUID, their letters "
					"all lower or all upper case.");
			return true;
		}
		default:
			return refuse_type(refusal);
	}
}

/*
 * Dates: milliseconds since 1970, always UTC
 */

static bool
timestamp_from_date(const bson_iter_t *field, int64 *microseconds, Refusal *refusal)
{
	if (bson_iter_type_unsafe(field) != BSON_TYPE_DATE_TIME)
		return refuse_type(refusal);
	if (!date_to_microseconds(bson_iter_date_time(field), microseconds) ||
		!IS_VALID_TIMESTAMP(*microseconds))
		return refuse(refusal, datetime_out_of_range, "The date is out of the type's range.");
	return true;
}

/* timestamptz and timestamp; the latter is the time of day in UTC. */
static bool
to_timestamp(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	int64 microseconds;

	if (!timestamp_from_date(field, &microseconds, refusal))
		return false;
	if (type->typmod >= 0)
	{
		Timestamp rounded = microseconds;
		tenancy_round_timestamp(&rounded, type->typmod);
		if (rounded != microseconds)
			return refuse(refusal, datetime_out_of_range,
						  "The date has more digits of a second than the type.");
	}
	*value = TimestampTzGetDatum(microseconds);
	return true;
}

static bool
to_date(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	int64 microseconds;

	if (!timestamp_from_date(field, &microseconds, refusal))
		return false;
	if (microseconds % USECS_PER_DAY != 0)
		return refuse(refusal, datetime_out_of_range,
					  "The date has a time of day; a column of type timestamptz can hold it.");
	*value = DateADTGetDatum(static_cast<DateADT>(microseconds / USECS_PER_DAY));
	return true;
}

/*
 * Documents and arrays
 */

static bool
to_jsonb(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	return jsonb_from_field(field, value, refusal);
}

static bool
to_json(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	return json_from_field(field, value, refusal);
}

static bool
to_array(const ValueType *type, const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	bson_iter_t item;
	ArrayBuildState *array = nullptr;

	if (bson_iter_type_unsafe(field) != BSON_TYPE_ARRAY)
		return refuse_type(refusal);
	if (!bson_iter_recurse(field, &item))
		return refuse(refusal, datatype_mismatch, "The array is malformed.");

	array = initArrayResult(type->element->declared, CurrentMemoryContext, false);
	while (bson_iter_next(&item))
	{
		Datum element;
		bool isnull;

		if (bson_iter_type_unsafe(&item) == BSON_TYPE_ARRAY && type->element->convert != to_jsonb &&
			type->element->convert != to_json)
			return refuse(
				refusal, bad_array,
				"The array has more than one dimension; a column of type jsonb can hold it.");
		if (!value_convert(type->element, &item, &element, &isnull, refusal))
			return false;
		accumArrayResult(array, element, isnull, type->element->declared, CurrentMemoryContext);
	}
	*value = makeArrayResult(array, CurrentMemoryContext);
	return true;
}

/*
 * Types
 */

static decltype(ValueType::convert)
converter_for(Oid type)
{
	switch (type)
	{
		case BOOLOID:
			return to_bool;
		case INT2OID:
			return to_int2;
		case INT4OID:
			return to_int4;
		case INT8OID:
			return to_int8;
		case FLOAT4OID:
			return to_float4;
		case FLOAT8OID:
			return to_float8;
		case NUMERICOID:
			return to_numeric;
		case TEXTOID:
		case VARCHAROID:
			return to_text;
		case BPCHAROID:
			return to_bpchar;
		case NAMEOID:
			return to_name;
		case BYTEAOID:
			return to_bytea;
		case UUIDOID:
			return to_uuid;
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
			return to_timestamp;
		case DATEOID:
			return to_date;
		case JSONBOID:
			return to_jsonb;
		case JSONOID:
			return to_json;
		default:
			return is_object_id_type(type) ? to_object_id : nullptr;
	}
}

static void
add_domain(ValueType *result, Oid domain, MemoryContext context)
{
	result->domain = static_cast<DomainConstraintRef *>(
		MemoryContextAllocZero(context, sizeof(DomainConstraintRef)));
	InitDomainConstraintRef(domain, result->domain, context, true);

	MemoryContext caller = MemoryContextSwitchTo(context);
	result->domain_context = CreateStandaloneExprContext();
	MemoryContextSwitchTo(caller);
}

static bool
add_element(ValueType *result, Oid element, MemoryContext context)
{
	result->element = value_type_build(element, result->typmod, context);
	if (result->element == nullptr || result->element->convert == to_array)
		return false;
	result->convert = to_array;
	return true;
}

ValueType *
value_type_build(Oid type, int32 typmod, MemoryContext context)
{
	auto *result = static_cast<ValueType *>(MemoryContextAllocZero(context, sizeof(ValueType)));

	result->declared = type;
	result->typmod = typmod;
	result->type = getBaseTypeAndTypmod(type, &result->typmod);
	result->convert = converter_for(result->type);
	if (result->convert == nullptr)
	{
		Oid element = get_element_type(result->type);
		if (!OidIsValid(element) || result->type == INT2VECTOROID || result->type == OIDVECTOROID ||
			!add_element(result, element, context))
			return nullptr;
	}
	if (result->type != type && DomainHasConstraints(type))
		add_domain(result, type, context);
	if (result->type == NUMERICOID && result->typmod >= VARHDRSZ)
	{
		int precision = ((result->typmod - VARHDRSZ) >> 16) & 0xffff;
		int scale = (((result->typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
		MemoryContext caller = MemoryContextSwitchTo(context);

		result->limit = DatumGetNumeric(
			DirectFunctionCall3(numeric_in, CStringGetDatum(psprintf("1e%d", precision - scale)),
								ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
		MemoryContextSwitchTo(caller);
	}
	return result;
}

/* CoerceToDomain's checks, but with an answer instead of an error: the mirror goes on. */
static bool
check_domain(const ValueType *type, Datum value, bool isnull, Refusal *refusal)
{
	ListCell *cell;

	UpdateDomainConstraintRef(type->domain);
	foreach (cell, type->domain->constraints)
	{
		auto *constraint = static_cast<DomainConstraintState *>(lfirst(cell));

		if (constraint->constrainttype == DOM_CONSTRAINT_NOTNULL)
		{
			if (isnull)
				return refuse(refusal, "23502", "The type's domain does not allow null values.");
			continue;
		}

		bool is_varlena = get_typlen(type->type) == -1;
		type->domain_context->domainValue_datum =
			MakeExpandedObjectReadOnly(value, isnull, is_varlena ? -1 : 0);
		type->domain_context->domainValue_isNull = isnull;
		bool passes = ExecCheck(constraint->check_exprstate, type->domain_context);
		ResetExprContext(type->domain_context);
		if (!passes)
			return refuse(refusal, "23514",
						  psprintf("The value violates the domain's check constraint \"%s\".",
								   constraint->name));
	}
	return true;
}

bool
value_convert(const ValueType *type, const bson_iter_t *field, Datum *value, bool *isnull,
			  Refusal *refusal)
{
	bson_type_t stored = field != nullptr ? bson_iter_type_unsafe(field) : BSON_TYPE_NULL;

	*isnull = stored == BSON_TYPE_NULL || stored == BSON_TYPE_UNDEFINED;
	if (*isnull)
		*value = (Datum) 0;
	else if (!type->convert(type, field, value, refusal))
		return false;
	return likely(type->domain == nullptr) || check_domain(type, *value, *isnull, refusal);
}

} // namespace bridge
