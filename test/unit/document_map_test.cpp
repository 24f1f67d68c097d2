/*
 * document_map_test.cpp — the fields of documents by their paths, in good documents and bad ones.
 */
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "bson/document.h"
#include "bson/document_map.h"
#include "bson/error.h"
#include "bson/value.h"

#include "reference.h"

using namespace bridge;

/* What the map finds in a document, as JSON: "-" for what is missing, "malformed" for a document that is. */
static std::string
found(DocumentMap &map, int columns, const bson_t *document)
{
	std::string all;

	if (!map.find(document))
	{
		for (int i = 0; i < columns; i++)
			EXPECT_EQ(map.field(i), nullptr) << "a malformed document has no fields";
		return "malformed";
	}
	for (int i = 0; i < columns; i++)
	{
		const bson_iter_t *field = map.field(i);
		all += (i > 0 ? " " : "") + (field != nullptr ? value_json(field) : std::string("-"));
	}
	return all;
}

class DocumentMapTest : public testing::Test
{
protected:
	void
	paths(std::vector<const char *> paths)
	{
		columns_ = static_cast<int>(paths.size());
		map_ = std::make_unique<DocumentMap>(paths.data(), columns_);
	}
	std::string
	in(const char *json)
	{
		return found(*map_, columns_, Document::parse(json).get());
	}
	std::string
	in(const bson_t *document)
	{
		return found(*map_, columns_, document);
	}

	std::unique_ptr<DocumentMap> map_;
	int columns_ = 0;
};

TEST_F(DocumentMapTest, FindsFieldsOfTheTopLevel)
{
	paths({"_id", nullptr, "name", "none"});
	EXPECT_EQ(in(R"({"_id": 7, "x": [1, 2], "name": "n"})"), R"(7 - "n" -)");
	EXPECT_EQ(in(R"({})"), "- - - -");
}

TEST_F(DocumentMapTest, FindsEmbeddedFields)
{
	paths({"a.b.c", "a.b", "a.x", "b.c"});
	EXPECT_EQ(in(R"({"a": {"x": 1, "b": {"c": 2}}})"), R"(2 { "c" : 2 } 1 -)");
	EXPECT_EQ(in(R"({"a": {"b": 5}, "b": {"c": null}})"), "- 5 - null");
	EXPECT_EQ(in(R"({"a": 1, "b": {}})"), "- - - -");
}

TEST_F(DocumentMapTest, OnePathForSeveralColumns)
{
	paths({"a", "a", "a.b"});
	EXPECT_EQ(in(R"({"a": {"b": 1}})"), R"({ "b" : 1 } { "b" : 1 } 1)");
}

TEST_F(DocumentMapTest, ArraysHaveNoFields)
{
	paths({"a.b", "a.0", "a"});
	EXPECT_EQ(in(R"({"a": [{"b": 1}]})"), R"(- - [ { "b" : 1 } ])");
}

TEST_F(DocumentMapTest, EmptyKeys)
{
	paths({"", "a.", ".b"});
	EXPECT_EQ(in(R"({"": {"b": 1}, "a": {"": 2}})"), R"({ "b" : 1 } 2 1)");
}

TEST_F(DocumentMapTest, KeysThatBeginAlike)
{
	paths({"ab", "a", "abc"});
	EXPECT_EQ(in(R"({"abcd": 0, "abc": 1, "a": 2, "ab": 3})"), "3 2 1");
	EXPECT_EQ(in(R"({"ab": 3, "abc": 1, "a": 2, "abcd": 0})"), "3 2 1");
}

TEST_F(DocumentMapTest, FirstOfTwoFieldsWins)
{
	paths({"a", "b.c", "b.d"});
	Document twice;
	bson_t embedded;
	BSON_APPEND_INT32(twice.get(), "a", 1);
	BSON_APPEND_DOCUMENT_BEGIN(twice.get(), "b", &embedded);
	BSON_APPEND_INT32(&embedded, "c", 2);
	BSON_APPEND_INT32(&embedded, "c", 3);
	bson_append_document_end(twice.get(), &embedded);
	BSON_APPEND_INT32(twice.get(), "a", 4);
	BSON_APPEND_DOCUMENT_BEGIN(twice.get(), "b", &embedded);
	BSON_APPEND_INT32(&embedded, "d", 5);
	bson_append_document_end(twice.get(), &embedded);

	for (int i = 0; i < 3; i++)
		EXPECT_EQ(in(twice.get()), "1 2 -");
}

/* What the layout remembers must never change an answer: all orders, with fields absent, after each other. */
TEST_F(DocumentMapTest, AnyOrderOfFields)
{
	std::vector<int> order = {0, 1, 2, 3, 4};

	paths({"k0", "k1", "k2", "k3", "k4"});
	for (int round = 0; round < 2; round++)
		do
			for (unsigned absent = 0; absent < 32; absent++)
			{
				Document document;
				std::string expected[5] = {"-", "-", "-", "-", "-"};

				for (int k : order)
				{
					std::string key = "k" + std::to_string(k);
					if ((absent & (1u << k)) != 0)
						key = "other" + key;
					else
						expected[k] = std::to_string(k);
					BSON_APPEND_INT32(document.get(), key.c_str(), k);
				}
				ASSERT_EQ(in(document.get()), expected[0] + " " + expected[1] + " " + expected[2] +
												  " " + expected[3] + " " + expected[4]);
			}
		while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(DocumentMapTest, MoreAndLongerKeysThanTheLayoutHolds)
{
	std::string longest(200, 'k');
	paths({"k150", longest.c_str(), "k3"});
	for (int round = 0; round < 20; round++)
	{
		Document document;

		for (int k = 0; k < 200; k++)
			BSON_APPEND_INT32(document.get(), ("k" + std::to_string((k + round) % 200)).c_str(), k);
		BSON_APPEND_INT32(document.get(), longest.c_str(), -1);
		EXPECT_EQ(in(document.get()), std::to_string((350 - round) % 200) + " -1 " +
										  std::to_string((203 - round) % 200));
	}
}

TEST_F(DocumentMapTest, CollectionsThatChange)
{
	paths({"wanted"});
	for (int kind = 0; kind < 5; kind++)
		for (int i = 0; i < 200; i++)
		{
			Document document;
			for (int k = 0; k < 30; k++)
				BSON_APPEND_INT32(document.get(),
								  ("kind" + std::to_string(kind) + "_" + std::to_string(k)).c_str(),
								  k);
			BSON_APPEND_INT32(document.get(), "wanted", i);
			ASSERT_EQ(in(document.get()), std::to_string(i));
		}
}

/* Every type between two wanted fields: its size must be known exactly. */
TEST_F(DocumentMapTest, PassesOverEveryType)
{
	Document document;
	bson_t *b = document.get();
	Document embedded = Document::parse(R"({"after": "not this", "x": [1]})");
	Document array = Document::parse(R"([{"after": "not this"}, 2])");
	bson_oid_t oid = {};
	bson_decimal128_t decimal = {1, 2};
	const uint8_t bytes[] = {0, 1, 2, 0};

	paths({"before", "after"});
	BSON_APPEND_INT32(b, "before", 1);
	BSON_APPEND_DOUBLE(b, "double", 0);
	BSON_APPEND_UTF8(b, "string", "");
	bson_append_utf8(b, "string with NUL", -1, "a\0b", 3);
	BSON_APPEND_DOCUMENT(b, "object", embedded.get());
	BSON_APPEND_ARRAY(b, "array", array.get());
	BSON_APPEND_BINARY(b, "binary", BSON_SUBTYPE_BINARY, bytes, sizeof(bytes));
	BSON_APPEND_BINARY(b, "old binary", BSON_SUBTYPE_BINARY_DEPRECATED, bytes, sizeof(bytes));
	BSON_APPEND_BINARY(b, "empty binary", BSON_SUBTYPE_USER, bytes, 0);
	BSON_APPEND_UNDEFINED(b, "undefined");
	BSON_APPEND_OID(b, "oid", &oid);
	BSON_APPEND_BOOL(b, "bool", true);
	BSON_APPEND_DATE_TIME(b, "date", 0);
	BSON_APPEND_NULL(b, "null");
	BSON_APPEND_REGEX(b, "regex", "", "");
	BSON_APPEND_REGEX(b, "regex with options", "^a", "im");
	BSON_APPEND_DBPOINTER(b, "dbpointer", "c", &oid);
	BSON_APPEND_CODE(b, "code", "f()");
	BSON_APPEND_SYMBOL(b, "symbol", "s");
	BSON_APPEND_CODE_WITH_SCOPE(b, "code with scope", "f()", embedded.get());
	BSON_APPEND_INT32(b, "int", 0);
	BSON_APPEND_TIMESTAMP(b, "timestamp", 1, 2);
	BSON_APPEND_INT64(b, "long", 0);
	BSON_APPEND_DECIMAL128(b, "decimal", &decimal);
	BSON_APPEND_MINKEY(b, "minkey");
	BSON_APPEND_MAXKEY(b, "maxkey");
	BSON_APPEND_INT32(b, "after", 2);
	EXPECT_EQ(in(b), "1 2");
	EXPECT_EQ(in(b), "1 2");
}

/* Cuts a document short at every byte, and sets every byte to every value: no answer may be wrong, none may crash. */
TEST_F(DocumentMapTest, DamagedDocuments)
{
	Document good = Document::parse(
		R"({"s": "text", "r": {"$regularExpression": {"pattern": "a", "options": "i"}}, "o": {"p": {"q": 1}}, "last": 2})");
	std::vector<uint8_t> bytes(bson_get_data(good.get()),
							   bson_get_data(good.get()) + good.get()->len);
	int malformed = 0;

	paths({"o.p.q", "last", "never"});
	EXPECT_EQ(in(good.get()), "1 2 -");
	for (size_t length = 5; length < bytes.size(); length++)
	{
		std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(length));
		uint32_t claimed = static_cast<uint32_t>(length);
		bson_t document;

		/* As it comes, with a length that lies about what is there … */
		if (bson_init_static(&document, cut.data(), cut.size()))
			ADD_FAILURE() << "libbson took a document that is cut short";
		/* … and with the right length and end, so that the damage is inside. */
		memcpy(cut.data(), &claimed, sizeof(claimed));
		cut.back() = 0;
		ASSERT_TRUE(bson_init_static(&document, cut.data(), cut.size()));
		malformed += in(&document) == "malformed";
	}
	EXPECT_GT(malformed, 0);

	for (size_t at = 4; at + 1 < bytes.size(); at++)
		for (int value = 0; value < 256; value++)
		{
			std::vector<uint8_t> damaged = bytes;
			bson_t document;

			damaged[at] = static_cast<uint8_t>(value);
			ASSERT_TRUE(bson_init_static(&document, damaged.data(), damaged.size()));
			if (map_->find(&document))
				continue;
			EXPECT_FALSE(is_sound(&document)) << at << " " << value;
		}
}

TEST_F(DocumentMapTest, MalformedAfterTheLastWantedFieldIsNotRead)
{
	Document good = Document::parse(R"({"a": 1, "b": "text"})");
	std::vector<uint8_t> bytes(bson_get_data(good.get()),
							   bson_get_data(good.get()) + good.get()->len);
	bson_t document;

	bytes[4 + 7] = 0x77; /* the type of "b" */
	ASSERT_TRUE(bson_init_static(&document, bytes.data(), bytes.size()));
	paths({"a"});
	EXPECT_EQ(in(&document), "1");
	paths({"a", "c"});
	EXPECT_EQ(in(&document), "malformed");
	EXPECT_EQ(in(good.get()), "1 -");
}

TEST_F(DocumentMapTest, BottomlessPathIsRefused)
{
	std::string path = "a";

	for (int i = 0; i < 199; i++)
		path += ".a";
	paths({path.c_str()});
	EXPECT_EQ(in("{}"), "-");
	path += ".a";
	EXPECT_THROW(paths({path.c_str()}), Error);
}
