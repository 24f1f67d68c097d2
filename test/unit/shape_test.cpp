/*
 * shape_test.cpp — which types a Shape finds, and which column holds them.
 */
#include <gtest/gtest.h>

#include "bson/document.h"
#include "bson/shape.h"

namespace bridge
{

static void
add(Shape *shape, const char *json)
{
	Document document = Document::parse(json);
	shape->add(document.get());
}

static int
find(const Shape &shape, const char *name, int parent = -1)
{
	for (int i = 0; i < shape.count(); i++)
		if (shape.parent(i) == parent && strcmp(shape.name(i), name) == 0)
			return i;
	return -1;
}

static ColumnKind
kind_of(std::initializer_list<Seen> types)
{
	uint32_t set = 0;
	for (Seen type : types)
		set |= seen_bit(type);
	return column_kind(set);
}

TEST(ColumnKind, IsTheNarrowestThatHoldsAll)
{
	EXPECT_EQ(kind_of({}), ColumnKind::jsonb);
	EXPECT_EQ(kind_of({Seen::null}), ColumnKind::jsonb);
	EXPECT_EQ(kind_of({Seen::integer, Seen::null}), ColumnKind::integer);
	EXPECT_EQ(kind_of({Seen::integer, Seen::long_integer}), ColumnKind::bigint);
	EXPECT_EQ(kind_of({Seen::integer, Seen::real}), ColumnKind::real);
	EXPECT_EQ(kind_of({Seen::long_integer, Seen::real}), ColumnKind::numeric);
	EXPECT_EQ(kind_of({Seen::decimal}), ColumnKind::numeric);
	EXPECT_EQ(kind_of({Seen::object_id}), ColumnKind::object_id);
	EXPECT_EQ(kind_of({Seen::object_id, Seen::string}), ColumnKind::text);
	EXPECT_EQ(kind_of({Seen::uuid}), ColumnKind::uuid);
	EXPECT_EQ(kind_of({Seen::uuid, Seen::string}), ColumnKind::jsonb);
	EXPECT_EQ(kind_of({Seen::uuid, Seen::binary}), ColumnKind::bytea);
	EXPECT_EQ(kind_of({Seen::date, Seen::distant_date}), ColumnKind::jsonb);
	EXPECT_EQ(kind_of({Seen::boolean, Seen::integer}), ColumnKind::jsonb);
}

TEST(Shape, CountsWhatOccurs)
{
	Shape shape(0);
	add(&shape, R"({"_id": 1, "a": 1, "o": {"x": 1}})");
	add(&shape, R"({"_id": 2, "a": "x"})");
	add(&shape, R"({"_id": 3, "a": null})");
	int a = find(shape, "a");
	ASSERT_GE(a, 0);
	EXPECT_EQ(shape.documents(), 3u);
	EXPECT_EQ(shape.present(a), 3u);
	EXPECT_EQ(shape.seen(a, Seen::integer), 1u);
	EXPECT_EQ(shape.seen(a, Seen::string), 1u);
	EXPECT_EQ(shape.seen(a, Seen::null), 1u);
	EXPECT_EQ(shape.present(find(shape, "o")), 1u);
	EXPECT_EQ(find(shape, "x", find(shape, "o")), -1) << "no level was asked for";
}

TEST(Shape, LooksIntoDocumentsButNotArrays)
{
	Shape shape(1);
	add(&shape, R"({"o": {"x": {"y": 1}}, "l": [{"z": 1}]})");
	int o = find(shape, "o");
	int x = find(shape, "x", o);
	ASSERT_GE(x, 0);
	EXPECT_EQ(shape.seen(x, Seen::object), 1u);
	EXPECT_EQ(find(shape, "y", x), -1);
	EXPECT_EQ(shape.count(), 3);
}

TEST(Shape, TheFirstOfTwoFieldsCounts)
{
	Shape shape(0);
	add(&shape, R"({"a": 1, "a": "x"})");
	EXPECT_EQ(shape.present(find(shape, "a")), 1u);
	EXPECT_EQ(shape.seen(find(shape, "a"), Seen::string), 0u);
}

TEST(Shape, IsBounded)
{
	Shape shape(0);
	for (int i = 0; i < Shape::max_fields + 10; i++)
		add(&shape, ("{\"k" + std::to_string(i) + "\": 1}").c_str());
	EXPECT_EQ(shape.count(), Shape::max_fields);
	EXPECT_TRUE(shape.left_out());
}

TEST(Shape, ReadsValidators)
{
	Shape shape(1);
	Document validator = Document::parse(R"({"$and": [{"$jsonSchema": {"required": ["a", "b", "c"], "properties": {
		"a": {"bsonType": "string"}, "b": {"bsonType": ["int", "null"]}, "c": {"enum": ["x", 1]}, "d": {"type": "number"},
		"k": {"bsonType": "binData"}, "o": {"bsonType": "object", "properties": {"x": {"bsonType": "date"}}}}}}]})");
	shape.add_validator(validator.get());
	EXPECT_TRUE(shape.has_schema());
	EXPECT_TRUE(shape.required(find(shape, "a")));
	EXPECT_FALSE(shape.required(find(shape, "b"))) << "null is a value of it";
	EXPECT_EQ(shape.types_of(find(shape, "c")), seen_bit(Seen::string) | seen_bit(Seen::integer));
	EXPECT_EQ(column_kind(shape.types_of(find(shape, "d"))), ColumnKind::numeric);
	EXPECT_EQ(shape.types_of(find(shape, "x", find(shape, "o"))), seen_bit(Seen::date));
	EXPECT_EQ(column_kind(shape.types_of(find(shape, "k"))), ColumnKind::bytea);
	add(&shape, R"({"k": {"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}})");
	EXPECT_EQ(column_kind(shape.types_of(find(shape, "k"))), ColumnKind::uuid);
}

TEST(Shape, PassesOverSchemasThatAreNone)
{
	for (const char *json : {R"({"$jsonSchema": 5})", R"({"$jsonSchema": {"properties": 5, "required": "a"}})",
							 R"({"$and": [5, {"$jsonSchema": []}]})", R"({"$jsonSchema": {"properties": {"a": 1, "b": {"bsonType": 5}}}})",
							 R"({"$jsonSchema": {"required": [1, null], "properties": {"a": {"bsonType": [1], "enum": 5}}}})"})
	{
		Shape shape(2);
		Document validator = Document::parse(json);
		shape.add_validator(validator.get());
		for (int i = 0; i < shape.count(); i++)
			EXPECT_EQ(shape.types_of(i), 0u) << json;
	}
}

TEST(Names, ThatAPathCanHold)
{
	EXPECT_TRUE(name_fits_path("a"));
	EXPECT_TRUE(name_fits_path("a b$"));
	EXPECT_FALSE(name_fits_path(""));
	EXPECT_FALSE(name_fits_path("$a"));
	EXPECT_FALSE(name_fits_path("a.b"));
	EXPECT_FALSE(name_fits_path("\xff"));
}

} // namespace bridge
