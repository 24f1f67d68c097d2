/*
 * document_test.cpp — documents with an owner, and extended JSON in and out.
 */
#include <gtest/gtest.h>

#include "bson/document.h"
#include "bson/error.h"

using bridge::Document;
using bridge::Error;

static void
expect_refused(const char *json)
{
	try
	{
		Document::parse(json);
		ADD_FAILURE() << "parsed: " << json;
	}
	catch (const Error &e)
	{
		EXPECT_STREQ(e.state, "22P02") << json;
		EXPECT_EQ(e.message, "invalid extended JSON");
		EXPECT_FALSE(e.detail.empty()) << json;
	}
}

TEST(Document, ParsesRelaxedAndCanonicalJson)
{
	EXPECT_EQ(Document::parse(R"({"a": 1, "b": {"$numberLong": "2"}})").json(),
			  R"({ "a" : 1, "b" : 2 })");
	EXPECT_EQ(Document::parse(R"( {"d": {"$numberDecimal": "1.50"}} )").json(),
			  R"({ "d" : { "$numberDecimal" : "1.50" } })");
	EXPECT_EQ(Document::parse("{}").json(), "{ }");
}

TEST(Document, KeepsTheOrderOfKeys)
{
	EXPECT_EQ(Document::parse(R"({"z": 1, "a": 2, "m": 3})").json(),
			  R"({ "z" : 1, "a" : 2, "m" : 3 })");
}

TEST(Document, RefusesWhatIsNoDocument)
{
	expect_refused("");
	expect_refused("   ");
	expect_refused("1");
	expect_refused("null");
	expect_refused("\"text\"");
	expect_refused("{");
	expect_refused("{\"a\": 1");
	expect_refused("{a: 1}");
	expect_refused("{\"a\": 1,}");
	expect_refused("{\"a\\u0000b\": 1}");
	expect_refused("{\"a\": {\"$oid\": \"xyz\"}}");
}

TEST(Document, RefusesTextAfterTheEnd)
{
	expect_refused("{\"a\": 1} {\"b\": 2}");
	expect_refused("{\"a\": 1} x");
	expect_refused("{\"a\": 1}]");
	/* Brackets inside of strings end nothing. */
	EXPECT_EQ(Document::parse(R"({"a": "} {", "b": "\"}"} )").json(),
			  R"({ "a" : "} {", "b" : "\"}" })");
}

TEST(Document, RefusesBottomlessNesting)
{
	std::string deep;

	for (int i = 0; i < 100000; i++)
		deep += "{\"a\":";
	expect_refused(deep.c_str());
}

TEST(Document, MovesWhatItHolds)
{
	std::string big(10000, 'x');
	Document small = Document::parse(R"({"a": 1})");
	Document large;

	BSON_APPEND_UTF8(large.get(), "big", big.c_str());
	Document small_moved(std::move(small));
	Document large_moved(std::move(large));
	EXPECT_EQ(small_moved.json(), R"({ "a" : 1 })");
	EXPECT_TRUE(bson_has_field(large_moved.get(), "big"));

	/* What was moved from is empty and of use. */
	EXPECT_EQ(bson_count_keys(large.get()), 0u);
	BSON_APPEND_INT32(large.get(), "again", 1);
	EXPECT_EQ(large.json(), R"({ "again" : 1 })");
}

TEST(Document, CopiesAndClears)
{
	Document first = Document::parse(R"({"a": 1})");
	Document copy(first.get());

	first.clear();
	EXPECT_EQ(first.json(), "{ }");
	EXPECT_EQ(copy.json(), R"({ "a" : 1 })");
}
