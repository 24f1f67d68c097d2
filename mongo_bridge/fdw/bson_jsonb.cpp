/*
 * bson_jsonb.cpp — any BSON value as jsonb, as json, and as text for messages.
 *
 * One walk feeds one of two sinks: JsonbSink builds jsonb's own representation, so that no JSON text is ever made on the
 * way; TextSink writes text.  The mapping is MongoDB's relaxed Extended JSON (version 2): strings, numbers, booleans,
 * null, objects and arrays are themselves, what JSON lacks is an object with one key that starts with a dollar sign:
 *
 *   ObjectId       {"$oid": "650000000000000000000001"}
 *   date           {"$date": "2024-05-01T12:00:00.123Z"}, beyond the years 1970 to 9999 {"$date": {"$numberLong": "…"}}
 *   decimal        {"$numberDecimal": "9.99"}
 *   NaN, infinity  {"$numberDouble": "NaN"}
 *   binary         {"$binary": {"base64": "…", "subType": "04"}}
 *   regex          {"$regularExpression": {"pattern": "…", "options": "…"}}
 *   others         $timestamp, $symbol, $code (and $scope), $dbPointer, $minKey, $maxKey, $undefined
 *
 * Of two equal keys in one object jsonb keeps the last, as it does for JSON text; json keeps both.
 */
#include <cmath>

#include "../bson/value.h"
#include "bson_convert.h"
#include "bson_datum.h"
#include "jsonb_builder.h"

namespace bridge
{

/*
 * What a sink does with a string that a text cannot hold: data refuses it, a message shows it with replacement
 * characters.
 */
enum class Strictness
{
	strict,
	lenient
};

static char *
readable_copy(const char *bytes, uint32 length, uint32 *new_length)
{
	StringInfoData copy;

	initStringInfo(&copy);
	for (uint32 i = 0; i < length;)
	{
		int size = bytes[i] == '\0' ? -1
									: pg_encoding_verifymbchar(PG_UTF8, bytes + i,
															   static_cast<int>(length - i));
		if (size > 0)
			appendBinaryStringInfo(&copy, bytes + i, size);
		else
			appendBinaryStringInfo(&copy, "\xEF\xBF\xBD", 3);
		i += static_cast<uint32>(Max(size, 1));
	}
	*new_length = static_cast<uint32>(copy.len);
	return copy.data;
}

static bool
check_string(Strictness strictness, const char **bytes, uint32 *length, Refusal *refusal)
{
	if (check_text(*bytes, *length, refusal))
		return true;
	if (strictness == Strictness::strict)
		return false;
	*bytes = readable_copy(*bytes, *length, length);
	return true;
}

/*
 * The sinks.  Both are plain data on the stack of red frames.
 */

struct JsonbSink
{
	Strictness strictness;
	Refusal *refusal;
	JsonbBuilder builder;

	void begin_object() { builder.begin(false); }
	void end_object() { builder.end(); }
	void begin_array() { builder.begin(true); }
	void end_array() { builder.end(); }
	void whole(int64 value) { builder.number(int64_to_numeric(value)); }
	void real(double value) { builder.number(numeric_from_double(value)); }
	void boolean(bool truth) { builder.boolean(truth); }
	void null() { builder.null(); }

	bool
	key(const char *bytes, uint32 length)
	{
		if (!check_string(strictness, &bytes, &length, refusal))
			return false;
		builder.key(bytes, length);
		return true;
	}

	bool
	string(const char *bytes, uint32 length)
	{
		if (!check_string(strictness, &bytes, &length, refusal))
			return false;
		builder.string(bytes, length);
		return true;
	}
};

struct TextSink
{
	Strictness strictness;
	Refusal *refusal;
	StringInfoData out;
	bool separate; /* a comma goes before what comes next */

	void
	comma()
	{
		if (separate)
			appendBinaryStringInfo(&out, ", ", 2);
		separate = true;
	}

	void
	open(char bracket)
	{
		comma();
		appendStringInfoCharMacro(&out, bracket);
		separate = false;
	}

	void
	close(char bracket)
	{
		appendStringInfoCharMacro(&out, bracket);
		separate = true;
	}
	void begin_object() { open('{'); }
	void end_object() { close('}'); }
	void begin_array() { open('['); }
	void end_array() { close(']'); }

	void
	quote(const char *bytes, uint32 length)
	{
		appendStringInfoCharMacro(&out, '"');
		for (uint32 i = 0; i < length; i++)
		{
			static constexpr char escaped[] = "\"\\\b\f\n\r\t";
			static constexpr char escapes[] = "\"\\bfnrt";
			unsigned char c = static_cast<unsigned char>(bytes[i]);

			if (c >= ' ' && c != '"' && c != '\\')
				appendStringInfoCharMacro(&out, static_cast<char>(c));
			else if (auto *found = static_cast<const char *>(memchr(escaped, c, sizeof(escaped) - 1)))
			{
				appendStringInfoCharMacro(&out, '\\');
				appendStringInfoCharMacro(&out, escapes[found - escaped]);
			}
			else
				appendStringInfo(&out, "\\u%04x", c);
		}
		appendStringInfoCharMacro(&out, '"');
	}

	bool
	key(const char *bytes, uint32 length)
	{
		if (!check_string(strictness, &bytes, &length, refusal))
			return false;
		comma();
		quote(bytes, length);
		appendBinaryStringInfo(&out, ": ", 2);
		separate = false;
		return true;
	}

	bool
	string(const char *bytes, uint32 length)
	{
		if (!check_string(strictness, &bytes, &length, refusal))
			return false;
		comma();
		quote(bytes, length);
		return true;
	}

	void
	whole(int64 value)
	{
		comma();
		appendStringInfo(&out, INT64_FORMAT, value);
	}

	void
	real(double value)
	{
		char text[DOUBLE_SHORTEST_DECIMAL_LEN];

		comma();
		appendBinaryStringInfo(&out, text, double_to_shortest_decimal_buf(value, text));
	}

	void
	boolean(bool truth)
	{
		comma();
		appendStringInfoString(&out, truth ? "true" : "false");
	}

	void
	null()
	{
		comma();
		appendStringInfoString(&out, "null");
	}
};

static_assert(std::is_trivially_destructible_v<JsonbSink>);
static_assert(std::is_trivially_destructible_v<TextSink>);

/*
 * The walk
 */

/*
 * {"$key": "text"}, for texts of our own making.  The copy is for JsonbSink, which reads strings when the value is
 * complete: they must be a part of the document or be allocated.
 */
template <class Sink>
static bool
put_wrapped(Sink *sink, const char *key, const char *text)
{
	sink->begin_object();
	sink->key(key, strlen(key));
	sink->string(pstrdup(text), strlen(text));
	sink->end_object();
	return true;
}

template <class Sink>
static bool
put_one(Sink *sink, const char *key)
{
	sink->begin_object();
	sink->key(key, strlen(key));
	sink->whole(1);
	sink->end_object();
	return true;
}

template <class Sink>
static bool
put_double(Sink *sink, double value)
{
	if (std::isnan(value))
		return put_wrapped(sink, "$numberDouble", "NaN");
	if (std::isinf(value))
		return put_wrapped(sink, "$numberDouble", value > 0 ? "Infinity" : "-Infinity");
	sink->real(value);
	return true;
}

template <class Sink>
static bool
put_date(Sink *sink, int64 ms)
{
	static constexpr int64 ms_per_day = INT64_C(86400000);
	static constexpr int64 year_10000 = INT64_C(253402300800000);
	char text[64];

	if (ms < 0 || ms >= year_10000)
	{
		snprintf(text, sizeof(text), INT64_FORMAT, ms);
		sink->begin_object();
		sink->key("$date", 5);
		put_wrapped(sink, "$numberLong", text);
		sink->end_object();
		return true;
	}

	int year;
	int month;
	int day;
	int of_day = static_cast<int>(ms % ms_per_day);
	j2date(static_cast<int>(ms / ms_per_day) + UNIX_EPOCH_JDATE, &year, &month, &day);
	int length = snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d", year, month, day,
						  of_day / 3600000, of_day / 60000 % 60, of_day / 1000 % 60);
	if (of_day % 1000 != 0)
		length += snprintf(text + length, sizeof(text) - length, ".%03d", of_day % 1000);
	strlcpy(text + length, "Z", sizeof(text) - length);
	return put_wrapped(sink, "$date", text);
}

template <class Sink>
static bool
put_binary(Sink *sink, const bson_iter_t *field)
{
	bson_subtype_t subtype;
	uint32 length;
	const uint8_t *bytes;
	bson_iter_binary(field, &subtype, &length, &bytes);
	int size = pg_b64_enc_len(static_cast<int>(length));
	auto *encoded = static_cast<char *>(palloc(size + 1));
	int used = tenancy_b64_encode(bytes, static_cast<int>(length), encoded, size);

	sink->begin_object();
	sink->key("$binary", 7);
	sink->begin_object();
	sink->key("base64", 6);
	sink->string(encoded, used);
	sink->key("subType", 7);
	sink->string(psprintf("%02x", subtype & 0xff), 2);
	sink->end_object();
	sink->end_object();
	return true;
}

template <class Sink>
static bool
put_regex(Sink *sink, const bson_iter_t *field)
{
	const char *options;
	const char *pattern = bson_iter_regex(field, &options);

	sink->begin_object();
	sink->key("$regularExpression", 18);
	sink->begin_object();
	sink->key("pattern", 7);
	if (!sink->string(pattern, strlen(pattern)))
		return false;
	sink->key("options", 7);
	if (!sink->string(options, strlen(options)))
		return false;
	sink->end_object();
	sink->end_object();
	return true;
}

template <class Sink>
static bool
put_timestamp(Sink *sink, const bson_iter_t *field)
{
	uint32 seconds;
	uint32 increment;

	bson_iter_timestamp(field, &seconds, &increment);
	sink->begin_object();
	sink->key("$timestamp", 10);
	sink->begin_object();
	sink->key("t", 1);
	sink->whole(seconds);
	sink->key("i", 1);
	sink->whole(increment);
	sink->end_object();
	sink->end_object();
	return true;
}

template <class Sink>
static bool
put_db_pointer(Sink *sink, const bson_iter_t *field)
{
	uint32 length;
	const char *collection;
	const bson_oid_t *id;

	bson_iter_dbpointer(field, &length, &collection, &id);
	sink->begin_object();
	sink->key("$dbPointer", 10);
	sink->begin_object();
	sink->key("$ref", 4);
	if (!sink->string(collection, length))
		return false;
	sink->key("$id", 3);
	put_wrapped(sink, "$oid", object_id_text(*id).text);
	sink->end_object();
	sink->end_object();
	return true;
}

template <class Sink>
static bool put_fields(Sink *sink, bson_iter_t *item, bool is_array);

template <class Sink>
static bool
put_container(Sink *sink, const bson_iter_t *field, bool is_array)
{
	bson_iter_t item;

	if (!bson_iter_recurse(field, &item))
		return refuse(sink->refusal, "22000", "The document is malformed.");
	return put_fields(sink, &item, is_array);
}

/* {"$symbol": "…"} and {"$code": "…"} with {"$scope": {…}}: strings that come from the document. */
template <class Sink>
static bool
put_code(Sink *sink, const bson_iter_t *field)
{
	uint32 length;
	uint32 scope_length = 0;
	const uint8_t *scope = nullptr;
	const char *text;
	bson_type_t type = bson_iter_type_unsafe(field);

	if (type == BSON_TYPE_SYMBOL)
		text = bson_iter_symbol(field, &length);
	else if (type == BSON_TYPE_CODE)
		text = bson_iter_code(field, &length);
	else
		text = bson_iter_codewscope(field, &length, &scope_length, &scope);

	const char *key = type == BSON_TYPE_SYMBOL ? "$symbol" : "$code";
	sink->begin_object();
	sink->key(key, strlen(key));
	if (!sink->string(text, length))
		return false;
	if (scope != nullptr)
	{
		bson_iter_t item;

		sink->key("$scope", 6);
		if (!bson_iter_init_from_data(&item, scope, scope_length) ||
			!put_fields(sink, &item, false))
			return refuse(sink->refusal, "22000", "The document is malformed.");
	}
	sink->end_object();
	return true;
}

/* The types that JSON lacks. */
template <class Sink>
static bool
put_extended(Sink *sink, const bson_iter_t *field)
{
	bson_decimal128_t decimal;

	switch (bson_iter_type_unsafe(field))
	{
		case BSON_TYPE_OID:
			return put_wrapped(sink, "$oid", object_id_text(*bson_iter_oid_unsafe(field)).text);
		case BSON_TYPE_DATE_TIME:
			return put_date(sink, bson_iter_date_time(field));
		case BSON_TYPE_DECIMAL128:
			bson_iter_decimal128(field, &decimal);
			return put_wrapped(sink, "$numberDecimal", decimal_text(decimal).text);
		case BSON_TYPE_BINARY:
			return put_binary(sink, field);
		case BSON_TYPE_REGEX:
			return put_regex(sink, field);
		case BSON_TYPE_TIMESTAMP:
			return put_timestamp(sink, field);
		case BSON_TYPE_SYMBOL:
		case BSON_TYPE_CODE:
		case BSON_TYPE_CODEWSCOPE:
			return put_code(sink, field);
		case BSON_TYPE_DBPOINTER:
			return put_db_pointer(sink, field);
		case BSON_TYPE_MINKEY:
			return put_one(sink, "$minKey");
		case BSON_TYPE_MAXKEY:
			return put_one(sink, "$maxKey");
		case BSON_TYPE_UNDEFINED:
			sink->begin_object();
			sink->key("$undefined", 10);
			sink->boolean(true);
			sink->end_object();
			return true;
		default:
			return refuse(sink->refusal, "22000", "The document is malformed.");
	}
}

template <class Sink>
static bool
put_value(Sink *sink, const bson_iter_t *field)
{
	uint32 length;
	const char *bytes;

	switch (bson_iter_type_unsafe(field))
	{
		case BSON_TYPE_UTF8:
			bytes = bson_iter_utf8(field, &length);
			return sink->string(bytes, length);
		case BSON_TYPE_INT32:
			sink->whole(bson_iter_int32_unsafe(field));
			return true;
		case BSON_TYPE_INT64:
			sink->whole(bson_iter_int64_unsafe(field));
			return true;
		case BSON_TYPE_DOUBLE:
			return put_double(sink, bson_iter_double_unsafe(field));
		case BSON_TYPE_BOOL:
			sink->boolean(bson_iter_bool_unsafe(field));
			return true;
		case BSON_TYPE_NULL:
			sink->null();
			return true;
		case BSON_TYPE_DOCUMENT:
			return put_container(sink, field, false);
		case BSON_TYPE_ARRAY:
			return put_container(sink, field, true);
		default:
			return put_extended(sink, field);
	}
}

template <class Sink>
static bool
put_fields(Sink *sink, bson_iter_t *item, bool is_array)
{
	check_stack_depth();
	if (is_array)
		sink->begin_array();
	else
		sink->begin_object();
	while (bson_iter_next(item))
	{
		if (!is_array && !sink->key(bson_iter_key_unsafe(item), bson_iter_key_len(item)))
			return false;
		if (!put_value(sink, item))
			return false;
	}
	/* bson_iter_next stops at the end and at an error alike. */
	if (item->err_off != 0)
		return refuse(sink->refusal, "22000", "The document is malformed.");
	if (is_array)
		sink->end_array();
	else
		sink->end_object();
	return true;
}

template <class Sink>
static bool
put_document(Sink *sink, const bson_t *document)
{
	bson_iter_t item;

	if (!bson_iter_init(&item, document))
		return refuse(sink->refusal, "22000", "The document is malformed.");
	return put_fields(sink, &item, false);
}

/*
 * The ways in
 */

static JsonbSink
jsonb_sink(Strictness strictness, Refusal *refusal)
{
	JsonbSink sink = {};

	sink.strictness = strictness;
	sink.refusal = refusal;
	return sink;
}

static TextSink
text_sink(Strictness strictness, Refusal *refusal)
{
	TextSink sink = {};

	sink.strictness = strictness;
	sink.refusal = refusal;
	initStringInfo(&sink.out);
	return sink;
}

bool
jsonb_from_field(const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	JsonbSink sink = jsonb_sink(Strictness::strict, refusal);

	if (!put_value(&sink, field))
		return false;
	*value = JsonbPGetDatum(sink.builder.finish());
	return true;
}

bool
jsonb_from_document(const bson_t *document, Datum *value, Refusal *refusal)
{
	JsonbSink sink = jsonb_sink(Strictness::strict, refusal);

	if (!put_document(&sink, document))
		return false;
	*value = JsonbPGetDatum(sink.builder.finish());
	return true;
}

static Datum
json_datum(const TextSink *sink)
{
	return PointerGetDatum(cstring_to_text_with_len(sink->out.data, sink->out.len));
}

bool
json_from_field(const bson_iter_t *field, Datum *value, Refusal *refusal)
{
	TextSink sink = text_sink(Strictness::strict, refusal);

	if (!put_value(&sink, field))
		return false;
	*value = json_datum(&sink);
	return true;
}

bool
json_from_document(const bson_t *document, Datum *value, Refusal *refusal)
{
	TextSink sink = text_sink(Strictness::strict, refusal);

	if (!put_document(&sink, document))
		return false;
	*value = json_datum(&sink);
	return true;
}

/* The lenient ways fail only for a document that is no BSON. */
[[noreturn]] static void
report_malformed()
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("malformed BSON document")));
	pg_unreachable();
}

Jsonb *
bson_to_jsonb(const bson_t *document)
{
	Refusal refusal;
	JsonbSink sink = jsonb_sink(Strictness::lenient, &refusal);

	if (!put_document(&sink, document))
		report_malformed();
	return sink.builder.finish();
}

char *
bson_value_text(const bson_iter_t *field)
{
	Refusal refusal;
	TextSink sink = text_sink(Strictness::lenient, &refusal);

	if (!put_value(&sink, field))
		report_malformed();
	return sink.out.data;
}

char *
bson_document_text(const bson_t *document)
{
	Refusal refusal;
	TextSink sink = text_sink(Strictness::lenient, &refusal);

	if (!put_document(&sink, document))
		report_malformed();
	return sink.out.data;
}

} // namespace bridge
