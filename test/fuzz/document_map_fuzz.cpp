/*
 * document_map_fuzz.cpp — arbitrary bytes through DocumentMap, and its answers against libbson's own iterator.
 *
 * With clang it is a libFuzzer target (cmake -DFUZZ=ON); without, it brings a driver of its own that damages good
 * documents at random.  The seed is printed and can be given back:
 *
 *     document_map_fuzz -max_total_time=5 [-seed=N]
 *
 * Two claims: no input makes the map read outside of the document (the sanitizers tell), and in a document that libbson
 * finds valid the map finds the fields that a plain search finds.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "bson/document.h"
#include "bson/document_map.h"

#include "../unit/reference.h"

using namespace bridge;

static const char *const paths[] = {"_id", "a",	   "a.b",	 "a.b.c", "d.e",
									"",	   "list", "list.0", nullptr};
static constexpr int path_count = sizeof(paths) / sizeof(paths[0]);

static void
fail(const char *claim, const char *path)
{
	fprintf(stderr, "document_map_fuzz: %s: \"%s\"\n", claim, path);
	abort();
}

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
	bson_t document;

	if (size < 5)
		return 0;

	/* A copy of the exact size, with the right length, so that the sanitizers see the first byte too far. */
	std::vector<uint8_t> bytes(data, data + size);
	uint32_t length = BSON_UINT32_TO_LE(static_cast<uint32_t>(size));
	memcpy(bytes.data(), &length, sizeof(length));
	bytes[size - 1] = 0;
	if (!bson_init_static(&document, bytes.data(), size))
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

#ifndef LIBFUZZER

#include <chrono>
#include <random>

static std::vector<std::vector<uint8_t>>
seeds()
{
	static const char *const texts[] = {
		R"({"_id": 1, "a": {"b": {"c": 2}}, "d": {"e": 3}, "list": [1, 2]})",
		R"({"d": {"e": "text"}, "a": {"x": 1, "b": {"y": [], "c": {"$numberDecimal": "1.5"}}}, "_id": "i"})",
		R"({"": 1, "list": {"0": true}, "a": null, "r": {"$regularExpression": {"pattern": "p", "options": "i"}}})",
		R"({"_id": {"$oid": "507f1f77bcf86cd799439011"}, "b": {"$binary": {"base64": "AAEC", "subType": "02"}}, "a": 1})",
		R"({"c": {"$code": "f", "$scope": {"a": 1}}, "k": {"$minKey": 1}, "t": {"$timestamp": {"t": 1, "i": 2}}, "a": {}})"};
	std::vector<std::vector<uint8_t>> all;

	for (const char *text : texts)
	{
		Document document = Document::parse(text);
		const uint8_t *data = bson_get_data(document.get());
		all.emplace_back(data, data + document.get()->len);
	}
	return all;
}

using Random = std::mt19937_64;

/* Few bytes changed, dropped, doubled or spliced from another document. */
static std::vector<uint8_t>
damage(std::vector<uint8_t> bytes, const std::vector<uint8_t> &other, Random &random)
{
	static const uint8_t telling[] = {0, 1, 2, 3, 4, 5, 7, 8, 0x0b, 0x0c, 0x0f, 0x13, 0x7f, 0xff};

	for (uint64_t changes = random() % 4 + 1; changes > 0; changes--)
	{
		size_t at = random() % bytes.size();
		auto position = bytes.begin() + static_cast<ptrdiff_t>(at);
		size_t length = random() % 12 + 1;

		switch (random() % 5)
		{
			case 0:
				bytes[at] = static_cast<uint8_t>(random());
				break;
			case 1:
				bytes[at] = telling[random() % sizeof(telling)];
				break;
			case 2:
				if (bytes.size() > length + at + 8)
					bytes.erase(position, position + static_cast<ptrdiff_t>(length));
				break;
			case 3:
				if (at + length < bytes.size())
				{
					std::vector<uint8_t> piece(position, position + static_cast<ptrdiff_t>(length));
					bytes.insert(position, piece.begin(), piece.end());
				}
				break;
			case 4:
			{
				size_t from = random() % other.size();
				for (size_t i = 0; i < length && at + i < bytes.size() && from + i < other.size();
					 i++)
					bytes[at + i] = other[from + i];
				break;
			}
		}
	}
	return bytes;
}

int
main(int argc, char **argv)
{
	long seconds = 5;
	uint64_t seed = std::random_device()();

	for (int i = 1; i < argc; i++)
	{
		if (strncmp(argv[i], "-max_total_time=", 16) == 0)
			seconds = atol(argv[i] + 16);
		else if (strncmp(argv[i], "-seed=", 6) == 0)
			seed = strtoull(argv[i] + 6, nullptr, 10);
	}
	printf("seed %llu\n", static_cast<unsigned long long>(seed));
	fflush(stdout);

	Random random(seed);
	auto documents = seeds();
	auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
	uint64_t runs = 0;

	for (const auto &document : documents)
		LLVMFuzzerTestOneInput(document.data(), document.size());
	while (runs % 1024 != 0 || std::chrono::steady_clock::now() < end)
	{
		const auto &base = documents[random() % documents.size()];
		const auto &other = documents[random() % documents.size()];
		std::vector<uint8_t> input = damage(base, other, random);

		LLVMFuzzerTestOneInput(input.data(), input.size());
		runs++;
	}
	printf("%llu documents\n", static_cast<unsigned long long>(runs));
	return 0;
}

#endif
