/*
 * bson_datum_fuzz.cpp — arbitrary bytes through the conversions from BSON to SQL types, without a server.
 *
 * Claims: no input makes a conversion read or write beyond what it was given (the sanitizers tell); a document that is
 * accepted holds in SQL what it holds in BSON, number by number and byte by byte; jsonb is laid out as its readers expect,
 * json and the texts of messages are well-formed JSON; and there is no error but that a document is too deep, or that what a
 * message would show is no BSON.
 *
 * With clang it is a libFuzzer target (cmake -DFUZZ=ON); without, driver.h brings a driver.
 */
#include <cmath>
#include <cstring>

#include "bson/document_map.h"
#include "bson/value.h"

#include "../unit/reference.h"
#include "driver.h"

#include "backend.h"
#include "fdw/bson_convert.h"
#include "fdw/bson_datum.h"
#include "fdw/object_id.h"

using namespace bridge;
using fuzz::fail;

static constexpr Oid object_id_oid = FirstNormalObjectId;

bool
bridge::is_object_id_type(Oid type)
{
	return type == object_id_oid;
}

Datum
bridge::object_id_datum(const bson_oid_t *id)
{
	auto *copy = static_cast<bson_oid_t *>(palloc(sizeof(bson_oid_t)));

	*copy = *id;
	return PointerGetDatum(copy);
}

/* varchar(3), numeric(5,2), numeric(3,-2), timestamp(0). */
struct Target
{
	Oid type;
	int32 typmod;
};
static constexpr Target targets[] = {
	{BOOLOID, -1},		 {INT2OID, -1},		 {INT4OID, -1},
	{INT8OID, -1},		 {FLOAT4OID, -1},	 {FLOAT8OID, -1},
	{NUMERICOID, -1},	 {TEXTOID, -1},		 {VARCHAROID, VARHDRSZ + 3},
	{BPCHAROID, VARHDRSZ + 5}, {NAMEOID, -1}, {BYTEAOID, -1},
	{UUIDOID, -1},		 {TIMESTAMPTZOID, -1}, {TIMESTAMPOID, 0},
	{DATEOID, -1},		 {JSONBOID, -1},	 {JSONOID, -1},
	{object_id_oid, -1}, {INT4ARRAYOID, -1}, {NUMERICARRAYOID, -1},
	{TEXTARRAYOID, -1},	 {JSONBARRAYOID, -1},
	{NUMERICOID, ((5 << 16) | 2) + VARHDRSZ}, {NUMERICOID, ((3 << 16) | (-2 & 0x7ff)) + VARHDRSZ}};
static constexpr int target_count = lengthof(targets);

/*
 * jsonb as its readers see it
 */

static int
compare_keys(const char *a, uint32 a_length, const char *b, uint32 b_length)
{
	return a_length != b_length ? (a_length < b_length ? -1 : 1) : memcmp(a, b, a_length);
}

static void check_container(const JsonbContainer *container, size_t room);

static void
check_entry(JEntry entry, const char *data, uint32 offset, uint32 length)
{
	auto padding = static_cast<uint32>(INTALIGN(offset)) - offset;

	if (JBE_ISSTRING(entry))
	{
		if (!pg_verify_mbstr(PG_UTF8, data + offset, static_cast<int>(length), true))
			fail("jsonb holds a string that is no UTF-8", "");
	}
	else if (JBE_ISNUMERIC(entry))
	{
		if (length < padding + VARHDRSZ || VARSIZE(data + INTALIGN(offset)) != length - padding)
			fail("jsonb holds a numeric of another length", "");
	}
	else if (JBE_ISCONTAINER(entry))
	{
		if (length < padding)
			fail("jsonb holds a container without room", "");
		check_container(reinterpret_cast<const JsonbContainer *>(data + INTALIGN(offset)), length - padding);
	}
	else if (length != 0)
		fail("jsonb holds a word with bytes", "");
}

static void
check_container(const JsonbContainer *container, size_t room)
{
	if (room < sizeof(uint32))
		fail("jsonb container is cut", "");
	uint32 count = container->header & JB_CMASK;
	bool is_object = container->header & JB_FOBJECT;
	uint32 entries = is_object ? 2 * count : count;
	auto *data = reinterpret_cast<const char *>(&container->children[entries]);
	const char *key = nullptr;
	uint32 key_length = 0, offset = 0;

	if (room < sizeof(uint32) + entries * sizeof(JEntry))
		fail("jsonb entries are cut", "");
	room -= sizeof(uint32) + entries * sizeof(JEntry);
	for (uint32 i = 0; i < entries; i++)
	{
		JEntry entry = container->children[i];
		uint32 stored = JBE_OFFLENFLD(entry);
		uint32 length = JBE_HAS_OFF(entry) ? stored - offset : stored;

		if (length > room - offset || (JBE_HAS_OFF(entry) && stored < offset))
			fail("jsonb entry does not fit", "");
		check_entry(entry, data, offset, length);
		if (is_object && i < count)
		{
			if (!JBE_ISSTRING(entry))
				fail("jsonb key is no string", "");
			if (key && compare_keys(key, key_length, data + offset, length) >= 0)
				fail("jsonb keys are not in order", "");
			key = data + offset;
			key_length = length;
		}
		offset += length;
	}
	if (offset != room)
		fail("jsonb container has bytes to spare", "");
}

static void
check_jsonb(Datum value)
{
	auto *jsonb = reinterpret_cast<Jsonb *>(DatumGetPointer(value));
	bool is_scalar = jsonb->root.header & JB_FSCALAR;

	if (is_scalar && (!(jsonb->root.header & JB_FARRAY) || (jsonb->root.header & JB_CMASK) != 1))
		fail("jsonb scalar is no array of one", "");
	check_container(&jsonb->root, VARSIZE(jsonb) - VARHDRSZ);
}

/*
 * JSON text
 */

struct Reader
{
	const char *next;
	const char *end;

	char peek() const { return next < end ? *next : '\0'; }
	void space() { while (peek() == ' ') next++; }
	bool take(char c) { space(); return peek() == c && next++ < end; }
};

static bool
read_word(Reader *in, const char *word)
{
	size_t length = strlen(word);

	if (static_cast<size_t>(in->end - in->next) < length || strncmp(in->next, word, length) != 0)
		return false;
	in->next += length;
	return true;
}

static bool
read_string(Reader *in)
{
	if (!in->take('"'))
		return false;
	for (; in->next < in->end && *in->next != '"'; in->next++)
	{
		if (static_cast<unsigned char>(*in->next) < ' ')
			return false;
		if (*in->next != '\\')
			continue;
		in->next++;
		if (in->peek() == 'u')
			in->next += 4;
		else if (!strchr("\"\\/bfnrt", in->peek()))
			return false;
	}
	return in->take('"');
}

static bool
read_digits(Reader *in)
{
	const char *begin = in->next;

	while (in->peek() >= '0' && in->peek() <= '9')
		in->next++;
	return in->next > begin;
}

static bool
read_number(Reader *in)
{
	if (in->peek() == '-')
		in->next++;
	bool zero = in->peek() == '0';
	const char *begin = in->next;
	if (!read_digits(in) || (zero && in->next - begin > 1))
		return false;
	if (in->peek() == '.' && (in->next++, !read_digits(in)))
		return false;
	if (in->peek() != 'e' && in->peek() != 'E')
		return true;
	in->next++;
	if (in->peek() == '+' || in->peek() == '-')
		in->next++;
	return read_digits(in);
}

static bool
read_value(Reader *in)
{
	in->space();
	char open = in->peek();

	if (open == '"')
		return read_string(in);
	if (open != '{' && open != '[')
		return read_word(in, "true") || read_word(in, "false") || read_word(in, "null") || read_number(in);
	char close = open == '{' ? '}' : ']';
	in->next++;
	if (in->take(close))
		return true;
	do
		if ((open == '{' && (!read_string(in) || !in->take(':'))) || !read_value(in))
			return false;
	while (in->take(','));
	return in->take(close);
}

static void
check_json(const char *text, size_t length, const char *what)
{
	Reader in = {text, text + length};

	if (!read_value(&in) || (in.space(), in.next != in.end))
		fail("malformed JSON", what);
	if (!pg_verify_mbstr(PG_UTF8, text, static_cast<int>(length), true))
		fail("JSON that is no UTF-8", what);
}

/*
 * Values
 */

static void
check_whole(const bson_iter_t *field, int64 number)
{
	switch (bson_iter_type(field))
	{
		case BSON_TYPE_INT32:
		case BSON_TYPE_INT64:
			if (bson_iter_as_int64(field) != number)
				fail("another integer", "");
			break;
		case BSON_TYPE_DOUBLE:
			if (bson_iter_double(field) != static_cast<double>(number))
				fail("another integer than the double", "");
			break;
		default:
			if (bson_iter_type(field) != BSON_TYPE_DECIMAL128)
				fail("an integer of what is no number", "");
	}
}

static void
check_numeric(const bson_iter_t *field, Datum value)
{
	std::string text = fuzz::numeric_text(DatumGetNumeric(value));
	double number = bson_iter_type(field) == BSON_TYPE_DOUBLE ? bson_iter_double(field) : 0;

	if (bson_iter_type(field) != BSON_TYPE_DOUBLE)
		return;
	if (std::isnan(number) ? text != "NaN" : strtod(text.c_str(), nullptr) != number)
		fail("another numeric than the double", text.c_str());
}

static void
check_double(const bson_iter_t *field, double value)
{
	double number = bson_iter_type(field) == BSON_TYPE_DOUBLE ? bson_iter_double(field) : value;

	if (bson_iter_type(field) == BSON_TYPE_INT64 && static_cast<int64>(value) != bson_iter_int64(field))
		fail("another double than the integer", "");
	if (memcmp(&number, &value, sizeof(number)) != 0)
		fail("another double", "");
}

static void
check_text_value(const bson_iter_t *field, Datum value)
{
	auto *content = reinterpret_cast<text *>(DatumGetPointer(value));
	uint32 length = VARSIZE(content) - VARHDRSZ;

	if (!pg_verify_mbstr(PG_UTF8, VARDATA(content), static_cast<int>(length), true))
		fail("a text that is no UTF-8", "");
	if (bson_iter_type(field) != BSON_TYPE_UTF8)
		return;
	uint32_t stored;
	const char *bytes = bson_iter_utf8(field, &stored);
	if (stored != length || memcmp(bytes, VARDATA(content), length) != 0)
		fail("another text", "");
}

static void
check_value(const Target &target, const bson_iter_t *field, Datum value)
{
	switch (target.type)
	{
		case INT2OID:
			return check_whole(field, DatumGetInt16(value));
		case INT4OID:
			return check_whole(field, DatumGetInt32(value));
		case INT8OID:
			return check_whole(field, DatumGetInt64(value));
		case FLOAT8OID:
			return check_double(field, DatumGetFloat8(value));
		case NUMERICOID:
			return check_numeric(field, value);
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return check_text_value(field, value);
		case TIMESTAMPTZOID:
			if (DatumGetTimestampTz(value) / 1000 != bson_iter_date_time(field) - INT64CONST(946684800000))
				fail("another moment", "");
			return;
		case JSONBOID:
			return check_jsonb(value);
		case JSONOID:
			return check_json(VARDATA(DatumGetPointer(value)), VARSIZE(DatumGetPointer(value)) - VARHDRSZ, "json");
		default:
			return;
	}
}

static void
convert_field(ValueType *const *types, const bson_iter_t *field)
{
	for (int i = 0; i < target_count; i++)
	{
		Refusal refusal = {nullptr, nullptr};
		Datum value = 0;
		bool null;

		if (!value_convert(types[i], field, &value, &null, &refusal))
		{
			if (!refusal.sqlstate || strlen(refusal.sqlstate) != 5 || !refusal.reason)
				fail("a refusal without a reason", "");
		}
		else if (!null)
			check_value(targets[i], field, value);
	}
}

static void
convert_fields(ValueType *const *types, const bson_t *document)
{
	bson_iter_t field;

	if (bson_iter_init(&field, document))
		while (bson_iter_next(&field))
			convert_field(types, &field);
}

static void
convert_document(ValueType *const *types, const bson_t *document)
{
	Refusal refusal = {nullptr, nullptr};
	Datum value;

	if (jsonb_from_document(document, &value, &refusal))
		check_jsonb(value);
	if (json_from_document(document, &value, &refusal))
		check_value({JSONOID, -1}, nullptr, value);
}

static void
tell_document(ValueType *const *types, const bson_t *document)
{
	const char *text = bson_document_text(document);
	bson_iter_t field;

	check_json(text, strlen(text), "the text of a document");
	if (bson_iter_init(&field, document))
		while (bson_iter_next(&field))
		{
			text = bson_value_text(&field);
			check_json(text, strlen(text), "the text of a message");
		}
}

using Step = void (*)(ValueType *const *types, const bson_t *document);

/* The SQLSTATE that a step ended with, 0 if none. */
static int
error_of(Step step, ValueType *const *types, const bson_t *document)
{
	if (sigsetjmp(fuzz::on_error, 0) != 0)
		return fuzz::error_code;
	step(types, document);
	return 0;
}

extern "C" int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[] = {"_id"};
	static auto *map = new DocumentMap(paths, 1);
	static ValueType *types[target_count];
	fuzz::Bytes bytes;
	bson_t document;

	if (!types[0])
	{
		for (int i = 0; i < target_count; i++)
			types[i] = value_type_build(targets[i].type, targets[i].typmod, CurrentMemoryContext);
		fuzz::keep_memory();
	}
	/* A document whose fields cannot be walked is refused before any is converted. */
	if (!fuzz::as_document(data, size, &bytes, &document) || !map->find(&document))
		return 0;
	for (auto step : {convert_fields, convert_document, tell_document})
	{
		int error = error_of(step, types, &document);

		if (error != 0 && error != ERRCODE_STATEMENT_TOO_COMPLEX &&
			!(error == ERRCODE_DATA_CORRUPTED && step == tell_document && !is_sound(&document)))
			fail("an error", std::to_string(error).c_str());
		fuzz::end_document();
	}
	return 0;
}

FUZZ_MAIN(R"({"_id": 1, "l": {"$numberLong": "9007199254740993"}, "d": 1.5, "e": 1e300, "n": {"$numberDouble": "NaN"}, "z": -0.0})",
		  R"({"_id": "i", "s": "text", "u": "5F0b3e1c-0000-0000-0000-000000000000", "g": "\u00fc\u4e16\ud83d\ude00", "x": "a\u0000b"})",
		  R"({"a": {"$numberDecimal": "1.50"}, "b": {"$numberDecimal": "-1E-6176"}, "c": {"$numberDecimal": "9.99E+6144"}, "d": {"$numberDecimal": "Infinity"}})",
		  R"({"t": {"$date": {"$numberLong": "1714564800123"}}, "u": {"$date": {"$numberLong": "-62135596800000"}}, "v": {"$date": {"$numberLong": "9223372036854775807"}}})",
		  R"({"i": [1, null, 3], "s": ["a", "b"], "n": [1.5, {"$numberDecimal": "2"}], "m": [[1], {"a": 1}], "e": [], "o": {}})",
		  R"({"o": {"$oid": "507f1f77bcf86cd799439011"}, "b": {"$binary": {"base64": "AAEC", "subType": "02"}}, "u": {"$binary": {"base64": "Xws+HAAAAAAAAAAAAAAAAA==", "subType": "04"}}})",
		  R"({"r": {"$regularExpression": {"pattern": "p", "options": "i"}}, "c": {"$code": "f", "$scope": {"a": 1}}, "k": {"$minKey": 1}, "t": {"$timestamp": {"t": 1, "i": 2}}, "y": {"$symbol": "s"}, "w": {"$undefined": true}})",
		  R"({"zz": 1, "a": 2, "b": 3, "aa": 4, "": 5, "deep": {"a": {"b": {"c": [{"d": [[[[]]]]}]}}}, "t": true, "f": false})")
