/*
 * document_map_fuzz.cpp — arbitrary bytes through DocumentMap, and its answers against libbson's own iterator.
 *
 * With clang it is a libFuzzer target (cmake -DFUZZ=ON); without, driver.h brings a driver.
 *
 * Two claims: no input makes the map read outside of the document (the sanitizers tell), and in a document that libbson
 * finds valid the map finds the fields that a plain search finds.
 */
#include <cstring>

#include "bson/document_map.h"

#include "../unit/reference.h"
#include "driver.h"

using namespace bridge;
using fuzz::fail;

static const char *const paths[] = {"_id", "a",	   "a.b",	 "a.b.c", "d.e",
									"",	   "list", "list.0", nullptr};
static constexpr int path_count = sizeof(paths) / sizeof(paths[0]);

static void
compare(const DocumentMap &map, const bson_t *document)
{
	for (int i = 0; i < path_count; i++)
	{
		bson_iter_t expected;
		const bson_iter_t *field = map.field(i);
		bool exists = paths[i] != nullptr && plain_search(document, paths[i], &expected);

		if (exists != (field != nullptr))
			fail(exists ? "field not found" : "field that is not there", paths[i]);
		if (exists && (bson_iter_type(field) != bson_iter_type(&expected) ||
					   field->raw + field->off != expected.raw + expected.off))
			fail("another field", paths[i]);
	}
}

extern "C" int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* One map for all inputs: what it remembers of one document must not harm the next. */
	static auto *map = new DocumentMap(paths, path_count);
	fuzz::Bytes bytes;
	bson_t document;

	if (!fuzz::as_document(data, size, &bytes, &document))
		return 0;

	bool valid = is_sound(&document);
	bool found = map->find(&document);
	if (valid && !found)
		fail("valid document refused", "");
	if (valid)
		compare(*map, &document);
	for (int i = 0; found && i < path_count; i++)
		if (map->field(i) != nullptr)
			bson_iter_value(const_cast<bson_iter_t *>(map->field(i)));
	return 0;
}

FUZZ_MAIN(R"({"_id": 1, "a": {"b": {"c": 2}}, "d": {"e": 3}, "list": [1, 2]})",
		  R"({"d": {"e": "text"}, "a": {"x": 1, "b": {"y": [], "c": {"$numberDecimal": "1.5"}}}, "_id": "i"})",
		  R"({"": 1, "list": {"0": true}, "a": null, "r": {"$regularExpression": {"pattern": "p", "options": "i"}}})",
		  R"({"_id": {"$oid": "507f1f77bcf86cd799439011"}, "b": {"$binary": {"base64": "AAEC", "subType": "02"}}, "a": 1})",
		  R"({"c": {"$code": "f", "$scope": {"a": 1}}, "k": {"$minKey": 1}, "t": {"$timestamp": {"t": 1, "i": 2}}, "a": {}})")
