/*
 * datum_bson.cpp — from Datums to BSON.
 *
 * A value becomes what its column reads back as the same value: whole numbers int or long by the
 * column's width, numeric a decimal, times a date.  What BSON cannot hold is an error, with one
 * exception that callers see to: a date keeps milliseconds, so that microseconds are cut before a
 * row comes here.
 *
 * jsonb is relaxed Extended JSON, as it is read: {"$oid": …} is an ObjectId again.  Of its numbers,
 * whole ones become int or long, others double where a double reads back as the same number, else
 * decimal.
 */
#include "../bson/document.h"
#include "../bson/value.h"
#include "bson_convert.h"
#include "datum_bson.h"
#include "object_id.h"

namespace bridge
{

[[noreturn]] static void
refuse_value(int sqlstate, const char *column, const char *detail)
{
	ereport(ERROR, (errcode(sqlstate),
					errmsg("value of column \"%s\" cannot be stored in MongoDB", column),
					errdetail("%s", detail)));
	pg_unreachable();
}

DatumType *
datum_type_build(Oid type, bool object_id, MemoryContext context)
{
	auto *result = static_cast<DatumType *>(MemoryContextAllocZero(context, sizeof(DatumType)));

	result->type = getBaseType(type);
	result->object_id = object_id || is_object_id_type(result->type);
	get_typlenbyvalalign(result->type, &result->length, &result->by_value, &result->align);

	Oid element = get_element_type(result->type);
	if (OidIsValid(element) && result->type != NAMEOID)
		result->element = datum_type_build(element, object_id, context);
	return result;
}

/*
 * Numbers
 */

static void
append_decimal(bson_t *out, const char *key, const char *digits, const char *column)
{
	bson_decimal128_t decimal;

	if (!bson_decimal128_from_string(digits, &decimal))
		refuse_value(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, column,
					 "A decimal of MongoDB has at most 34 digits.");
	bson_append_decimal128(out, key, -1, &decimal);
}

static void
append_json_number(bson_t *out, const char *key, Numeric number, const char *column)
{
	char *digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));

	if (digits[strspn(digits, "-0123456789")] == '\0')
	{
		errno = 0;
		long long whole = strtoll(digits, nullptr, 10);
		if (errno == 0)
		{
			if (whole >= PG_INT32_MIN && whole <= PG_INT32_MAX)
				bson_append_int32(out, key, -1, static_cast<int32>(whole));
			else
				bson_append_int64(out, key, -1, whole);
			return;
		}
	}

	double nearest = strtod(digits, nullptr);
	Numeric back = numeric_from_double(nearest);
	if (DatumGetBool(
			DirectFunctionCall2(numeric_eq, NumericGetDatum(back), NumericGetDatum(number))))
		bson_append_double(out, key, -1, nearest);
	else
		append_decimal(out, key, digits, column);
}

/* The double that prints as the real does: 0.1 and not 0.10000000149011612. */
static double
double_of_real(float value)
{
	char text[FLOAT_SHORTEST_DECIMAL_LEN];

	float_to_shortest_decimal_buf(value, text);
	return strtod(text, nullptr);
}

/*
 * JSON
 */

/* Text of Extended JSON to one value. */
static void
append_json_text(bson_t *out, const char *key, const char *text)
{
	char *wrapped = psprintf("{\"v\": %s}", text);
	auto *parsed = own<Document>(CurrentMemoryContext);
	bson_iter_t value;

	guarded([&] { *parsed = Document::parse(wrapped); });
	if (bson_iter_init_find(&value, parsed->get(), "v"))
		bson_append_iter(out, key, -1, &value);
}

static bool
is_extended(const JsonbValue *key)
{
	static constexpr const char *words[] = {
		"$oid",			  "$date",	   "$numberInt", "$numberLong",		   "$numberDouble",
		"$numberDecimal", "$binary",   "$uuid",		 "$regularExpression", "$timestamp",
		"$symbol",		  "$code",	   "$scope",	 "$dbPointer",		   "$minKey",
		"$maxKey",		  "$undefined"};

	for (const char *word : words)
		if (static_cast<size_t>(key->val.string.len) == strlen(word) &&
			memcmp(key->val.string.val, word, strlen(word)) == 0)
			return true;
	return false;
}

static void append_members(bson_t *out, JsonbContainer *container, const char *column);

static bool
container_is_extended(JsonbContainer *container)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbValue value;

	return JsonbIteratorNext(&iterator, &value, true) == WJB_BEGIN_OBJECT &&
		   JsonbIteratorNext(&iterator, &value, true) == WJB_KEY && is_extended(&value);
}

static void
append_container(bson_t *out, const char *key, JsonbContainer *container, int length,
				 const char *column)
{
	bson_t inner;

	check_stack_depth();
	if (container_is_extended(container))
		append_json_text(out, key, JsonbToCString(nullptr, container, length));
	else if (JsonContainerIsArray(container))
	{
		bson_append_array_begin(out, key, -1, &inner);
		append_members(&inner, container, column);
		bson_append_array_end(out, &inner);
	}
	else
	{
		bson_append_document_begin(out, key, -1, &inner);
		append_members(&inner, container, column);
		bson_append_document_end(out, &inner);
	}
}

static void
append_json_value(bson_t *out, const char *key, const JsonbValue *value, const char *column)
{
	switch (value->type)
	{
		case jbvNull:
			bson_append_null(out, key, -1);
			break;
		case jbvString:
			bson_append_utf8(out, key, -1, value->val.string.val, value->val.string.len);
			break;
		case jbvNumeric:
			append_json_number(out, key, value->val.numeric, column);
			break;
		case jbvBool:
			bson_append_bool(out, key, -1, value->val.boolean);
			break;
		case jbvBinary:
			append_container(out, key, value->val.binary.data, value->val.binary.len, column);
			break;
		default:
			elog(ERROR, "unexpected type %d of a jsonb value", static_cast<int>(value->type));
	}
}

/* The members of an object, or the elements of an array. */
static void
append_members(bson_t *out, JsonbContainer *container, const char *column)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue value;
	const char *key = nullptr;
	int index = 0;

	/* The container's own beginning; what is nested in it comes as one value each. */
	(void) JsonbIteratorNext(&iterator, &value, true);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		switch (token)
		{
			case WJB_KEY:
				key = pnstrdup(value.val.string.val, static_cast<Size>(value.val.string.len));
				break;
			case WJB_VALUE:
				append_json_value(out, key, &value, column);
				break;
			case WJB_ELEM:
				append_json_value(out, psprintf("%d", index++), &value, column);
				break;
			default:
				break;
		}
}

static void
append_jsonb(bson_t *out, const char *key, Jsonb *jsonb, const char *column)
{
	JsonbValue scalar;

	if (JB_ROOT_IS_SCALAR(jsonb))
	{
		JsonbExtractScalar(&jsonb->root, &scalar);
		append_json_value(out, key, &scalar, column);
	}
	else
		append_container(out, key, &jsonb->root, static_cast<int>(VARSIZE(jsonb)), column);
}

/*
 * Strings and dates
 */

static void
append_string(bson_t *out, const char *key, const DatumType *type, const char *text, int length,
			  const char *column)
{
	if (!type->object_id)
	{
		bson_append_utf8(out, key, -1, text, length);
		return;
	}

	bson_oid_t id;
	if (!object_id_from_text(pnstrdup(text, static_cast<Size>(length)), &id))
		refuse_value(ERRCODE_INVALID_TEXT_REPRESENTATION, column,
					 "The column's option \"object_id\" asks for the 24 hexadecimal digits of an "
					 "ObjectId.");
	bson_append_oid(out, key, -1, &id);
}

static void
append_date(bson_t *out, const char *key, int64 microseconds, const char *column)
{
	if (TIMESTAMP_NOT_FINITE(microseconds))
		refuse_value(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, column,
					 "A date of MongoDB cannot be infinite.");
	bson_append_date_time(out, key, -1, microseconds_to_date(microseconds));
}

static void
append_day(bson_t *out, const char *key, DateADT day, const char *column)
{
	if (DATE_NOT_FINITE(day))
		refuse_value(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, column,
					 "A date of MongoDB cannot be infinite.");

	/* A date reaches further than a timestamp: in milliseconds both fit. */
	bson_append_date_time(out, key, -1,
						  (static_cast<int64>(day) + POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
							  SECS_PER_DAY * 1000);
}

static void
append_array(bson_t *out, const char *key, const DatumType *type, Datum value, const char *column)
{
	ArrayType *array = DatumGetArrayTypeP(value);
	const DatumType *element = type->element;
	Datum *elements;
	bool *nulls;
	int count;
	bson_t inner;

	if (ARR_NDIM(array) > 1)
		refuse_value(ERRCODE_ARRAY_SUBSCRIPT_ERROR, column,
					 "The array has more than one dimension; a column of type jsonb can hold it.");
	deconstruct_array(array, ARR_ELEMTYPE(array), element->length, element->by_value,
					  element->align, &elements, &nulls, &count);
	bson_append_array_begin(out, key, -1, &inner);
	for (int i = 0; i < count; i++)
	{
		const char *index = psprintf("%d", i);
		if (nulls[i])
			bson_append_null(&inner, index, -1);
		else
			append_datum(&inner, index, element, elements[i], column);
	}
	bson_append_array_end(out, &inner);
}

void
append_datum(bson_t *out, const char *key, const DatumType *type, Datum value, const char *column)
{
	if (type->element != nullptr)
	{
		append_array(out, key, type, value, column);
		return;
	}
	switch (type->type)
	{
		case BOOLOID:
			bson_append_bool(out, key, -1, DatumGetBool(value));
			break;
		case INT2OID:
			bson_append_int32(out, key, -1, DatumGetInt16(value));
			break;
		case INT4OID:
			bson_append_int32(out, key, -1, DatumGetInt32(value));
			break;
		case INT8OID:
			bson_append_int64(out, key, -1, DatumGetInt64(value));
			break;
		case FLOAT4OID:
			bson_append_double(out, key, -1, double_of_real(DatumGetFloat4(value)));
			break;
		case FLOAT8OID:
			bson_append_double(out, key, -1, DatumGetFloat8(value));
			break;
		case NUMERICOID:
			append_decimal(out, key, DatumGetCString(DirectFunctionCall1(numeric_out, value)),
						   column);
			break;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		{
			text *string = DatumGetTextPP(value);
			int length = static_cast<int>(VARSIZE_ANY_EXHDR(string));
			if (type->type == BPCHAROID)
				length = bpchartruelen(VARDATA_ANY(string), length);
			append_string(out, key, type, VARDATA_ANY(string), length, column);
			break;
		}
		case NAMEOID:
		{
			const char *name = NameStr(*DatumGetName(value));
			append_string(out, key, type, name, static_cast<int>(strlen(name)), column);
			break;
		}
		case BYTEAOID:
		{
			bytea *bytes = DatumGetByteaPP(value);
			bson_append_binary(out, key, -1, BSON_SUBTYPE_BINARY,
							   reinterpret_cast<const uint8_t *>(VARDATA_ANY(bytes)),
							   static_cast<uint32_t>(VARSIZE_ANY_EXHDR(bytes)));
			break;
		}
		case UUIDOID:
			bson_append_binary(out, key, -1, BSON_SUBTYPE_UUID, DatumGetUUIDP(value)->data,
							   UUID_LEN);
			break;
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
			append_date(out, key, DatumGetTimestamp(value), column);
			break;
		case DATEOID:
			append_day(out, key, DatumGetDateADT(value), column);
			break;
		case JSONBOID:
			append_jsonb(out, key, DatumGetJsonbP(value), column);
			break;
		case JSONOID:
			append_json_text(out, key, TextDatumGetCString(value));
			break;
		default:
			if (!type->object_id)
				elog(ERROR, "column \"%s\" has no conversion to BSON", column);
			bson_append_oid(out, key, -1, datum_object_id(value));
			break;
	}
}

const bson_t *
document_from_datum(const DatumType *type, Datum value, const char *column)
{
	auto *wrapper = own<Document>(CurrentMemoryContext);
	auto *document = own<Document>(CurrentMemoryContext);
	bson_iter_t field;
	const uint8_t *data;
	uint32_t length;
	bson_t inner;

	append_datum(wrapper->get(), "v", type, value, column);
	if (!bson_iter_init_find(&field, wrapper->get(), "v") || !BSON_ITER_HOLDS_DOCUMENT(&field))
		refuse_value(ERRCODE_INVALID_PARAMETER_VALUE, column, "A document is a JSON object.");
	bson_iter_document(&field, &length, &data);
	bson_init_static(&inner, data, length);
	bson_concat(document->get(), &inner);
	return document->get();
}

} // namespace bridge
