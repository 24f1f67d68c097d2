/*
 * value_test.cpp — names and texts of single values.
 */
#include <climits>

#include <gtest/gtest.h>

#include "bson/document.h"
#include "bson/value.h"

using namespace bridge;

static std::string
value_of(const char *json, JsonFormat format = JsonFormat::relaxed)
{
	Document document = Document::parse(json);
	bson_iter_t field;

	EXPECT_TRUE(bson_iter_init_find(&field, document.get(), "a"));
	return value_json(&field, format);
}

TEST(Value, TypeNamesAreThoseOfMongoDB)
{
	static const struct
	{
		bson_type_t type;
		const char *name;
	} types[] = {
		{BSON_TYPE_DOUBLE, "double"},
		{BSON_TYPE_UTF8, "string"},
		{BSON_TYPE_DOCUMENT, "object"},
		{BSON_TYPE_ARRAY, "array"},
		{BSON_TYPE_BINARY, "binData"},
		{BSON_TYPE_UNDEFINED, "undefined"},
		{BSON_TYPE_OID, "objectId"},
		{BSON_TYPE_BOOL, "bool"},
		{BSON_TYPE_DATE_TIME, "date"},
		{BSON_TYPE_NULL, "null"},
		{BSON_TYPE_REGEX, "regex"},
		{BSON_TYPE_DBPOINTER, "dbPointer"},
		{BSON_TYPE_CODE, "javascript"},
		{BSON_TYPE_SYMBOL, "symbol"},
		{BSON_TYPE_CODEWSCOPE, "javascriptWithScope"},
		{BSON_TYPE_INT32, "int"},
		{BSON_TYPE_TIMESTAMP, "timestamp"},
		{BSON_TYPE_INT64, "long"},
		{BSON_TYPE_DECIMAL128, "decimal"},
		{BSON_TYPE_MINKEY, "minKey"},
		{BSON_TYPE_MAXKEY, "maxKey"},
	};

	for (const auto &t : types)
		EXPECT_STREQ(bson_type_name(t.type), t.name);
	EXPECT_STREQ(bson_type_name(static_cast<bson_type_t>(99)), "unknown");
}

TEST(Value, DecimalTextsAreNumericInput)
{
	for (const char *text :
		 {"0", "-0", "1.50", "-12345.678901234567890123456789", "1E+3", "1E-6176",
		  "9.999999999999999999999999999999999E+6144", "NaN", "Infinity", "-Infinity"})
	{
		bson_decimal128_t decimal;

		ASSERT_TRUE(bson_decimal128_from_string(text, &decimal)) << text;
		EXPECT_STREQ(decimal_text(decimal).text, text);
	}
}

TEST(Value, ObjectIdsThereAndBack)
{
	bson_oid_t id;

	ASSERT_TRUE(object_id_from_text("507f1f77bcf86cd799439011", &id));
	EXPECT_STREQ(object_id_text(id).text, "507f1f77bcf86cd799439011");
	ASSERT_TRUE(object_id_from_text("507F1F77BCF86CD799439011", &id));
	EXPECT_STREQ(object_id_text(id).text, "507f1f77bcf86cd799439011");
	for (const char *text : {"", "507f1f77bcf86cd79943901", "507f1f77bcf86cd7994390111",
							 "507f1f77bcf86cd79943901g", "507f1f77bcf86cd79943901 "})
		EXPECT_FALSE(object_id_from_text(text, &id)) << text;
}

TEST(Value, DatesThereAndBack)
{
	int64_t us;

	ASSERT_TRUE(date_to_microseconds(946684800000, &us));
	EXPECT_EQ(us, 0);
	ASSERT_TRUE(date_to_microseconds(0, &us));
	EXPECT_EQ(us, INT64_C(-946684800000000));
	EXPECT_EQ(microseconds_to_date(us), 0);
	ASSERT_TRUE(date_to_microseconds(-1, &us));
	EXPECT_EQ(microseconds_to_date(us), -1);

	/* Microseconds are cut towards the past on both sides of zero. */
	EXPECT_EQ(microseconds_to_date(999), 946684800000);
	EXPECT_EQ(microseconds_to_date(1000), 946684800001);
	EXPECT_EQ(microseconds_to_date(-1), 946684799999);
	EXPECT_EQ(microseconds_to_date(-1000), 946684799999);
	EXPECT_EQ(microseconds_to_date(-1001), 946684799998);

	EXPECT_FALSE(date_to_microseconds(INT64_MAX, &us));
	EXPECT_FALSE(date_to_microseconds(INT64_MIN, &us));
	microseconds_to_date(INT64_MIN);
	microseconds_to_date(INT64_MAX);
}

TEST(Value, JsonOfOneValue)
{
	EXPECT_EQ(value_of(R"({"a": 1})"), "1");
	EXPECT_EQ(value_of(R"({"a": "x } y"})"), R"("x } y")");
	EXPECT_EQ(value_of(R"({"a": null})"), "null");
	EXPECT_EQ(value_of(R"({"a": [1, {"b": 2}]})"), R"([ 1, { "b" : 2 } ])");
	EXPECT_EQ(value_of(R"({"a": []})"), "[  ]");
	EXPECT_EQ(value_of(R"({"a": 1})", JsonFormat::canonical), R"({ "$numberInt" : "1" })");
	EXPECT_EQ(value_of(R"({"a": {"$oid": "507f1f77bcf86cd799439011"}})"),
			  R"({ "$oid" : "507f1f77bcf86cd799439011" })");
}

TEST(Value, JsonComesBackAsItWas)
{
	const char *json =
		R"({"i": 1, "l": {"$numberLong": "2"}, "d": 1.5, "m": {"$numberDecimal": "1.50"},
		"t": {"$date": "2024-02-29T12:34:56.789Z"}, "b": {"$binary": {"base64": "AAEC", "subType": "00"}},
		"r": {"$regularExpression": {"pattern": "^a", "options": "i"}}, "n": null, "x": true,
		"o": {"$oid": "507f1f77bcf86cd799439011"}, "s": {"$timestamp": {"t": 1, "i": 2}}, "k": {"$minKey": 1}})";
	Document document = Document::parse(json);
	std::string canonical = document_json(document.get(), JsonFormat::canonical);

	Document again = Document::parse(canonical.c_str());
	ASSERT_EQ(document.get()->len, again.get()->len);
	EXPECT_EQ(memcmp(bson_get_data(document.get()), bson_get_data(again.get()), again.get()->len),
			  0);
}
