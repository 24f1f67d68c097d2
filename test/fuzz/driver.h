/*
 * driver.h — what a fuzzer brings along where libFuzzer is not: it damages good documents at random.
 *
 *     NAME_fuzz [-max_total_time=SECONDS] [-seed=N] [folder or file…]
 *
 * The folders hold documents to begin with, among them what was found before; a single file is played once.  The seed is
 * printed and can be given back.  An input that breaks a claim, or that a sanitizer stops at, is kept as "find.bson".
 */
#ifndef PG_TENANCY_FUZZ_DRIVER_H
#define PG_TENANCY_FUZZ_DRIVER_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <bson/bson.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace fuzz
{

using Bytes = std::vector<uint8_t>;

/* A copy of the exact size with the right length, so that the sanitizers see the first byte too far. */
inline bool
as_document(const uint8_t *data, size_t size, Bytes *bytes, bson_t *document)
{
	if (size < 5)
		return false;
	bytes->assign(data, data + size);
	uint32_t length = BSON_UINT32_TO_LE(static_cast<uint32_t>(size));
	memcpy(bytes->data(), &length, sizeof(length));
	(*bytes)[size - 1] = 0;
	return bson_init_static(document, bytes->data(), size);
}

[[noreturn]] inline void
fail(const char *claim, const char *what)
{
	fprintf(stderr, "fuzz: %s: \"%s\"\n", claim, what);
	abort();
}

} // namespace fuzz

#ifndef LIBFUZZER

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "bson/document.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace fuzz
{

using Random = std::mt19937_64;

/* What is being played; read in the last moments of the process. */
inline Bytes &current = *new Bytes;

inline void
keep_find()
{
	std::ofstream("find.bson", std::ios::binary).write(reinterpret_cast<const char *>(current.data()),
													   static_cast<std::streamsize>(current.size()));
}

inline void
play(const Bytes &input)
{
	current = input;
	LLVMFuzzerTestOneInput(input.data(), input.size());
}

/* Few bytes changed, dropped, doubled or spliced from another document. */
inline Bytes
damage(Bytes bytes, const Bytes &other, Random &random)
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
					Bytes piece(position, position + static_cast<ptrdiff_t>(length));
					bytes.insert(position, piece.begin(), piece.end());
				}
				break;
			case 4:
			{
				size_t from = random() % other.size();
				for (size_t i = 0; i < length && at + i < bytes.size() && from + i < other.size(); i++)
					bytes[at + i] = other[from + i];
				break;
			}
		}
	}
	return bytes;
}

/* The documents of a folder in the order of their names, or one. */
inline void
load(const char *path, std::vector<Bytes> *documents)
{
	std::vector<std::filesystem::path> files;

	if (std::filesystem::is_directory(path))
		for (const auto &entry : std::filesystem::directory_iterator(path))
			files.push_back(entry.path());
	else
		files.emplace_back(path);
	std::sort(files.begin(), files.end());
	for (const auto &file : files)
	{
		std::ifstream in(file, std::ios::binary);
		Bytes bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());

		if (!in || bytes.empty())
			fail("file cannot be read", file.c_str());
		documents->push_back(bytes);
	}
}

/* Documents from JSON, and from the command line; false if there is one to be played once. */
inline int
run(int argc, char **argv, const std::vector<const char *> &texts)
{
	long seconds = 5;
	uint64_t seed = std::random_device()();
	uint64_t runs = 0;
	std::vector<Bytes> documents;

	for (const char *text : texts)
	{
		bridge::Document document = bridge::Document::parse(text);
		const uint8_t *data = bson_get_data(document.get());
		documents.emplace_back(data, data + document.get()->len);
	}
	for (int i = 1; i < argc; i++)
	{
		if (strncmp(argv[i], "-max_total_time=", 16) == 0)
			seconds = atol(argv[i] + 16);
		else if (strncmp(argv[i], "-seed=", 6) == 0)
			seed = strtoull(argv[i] + 6, nullptr, 10);
		else
			load(argv[i], &documents);
	}
	printf("seed %llu\n", static_cast<unsigned long long>(seed));
	fflush(stdout);
	signal(SIGABRT, [](int) { keep_find(); });
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_set_death_callback(keep_find);
#endif

	Random random(seed);
	auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);

	for (const auto &document : documents)
		play(document);
	while (runs % 256 != 0 || std::chrono::steady_clock::now() < end)
	{
		play(damage(documents[random() % documents.size()], documents[random() % documents.size()], random));
		runs++;
	}
	printf("%zu documents to begin with, %llu damaged ones\n", documents.size(), static_cast<unsigned long long>(runs));
	return 0;
}

} // namespace fuzz

/* The driver's main(), with documents as JSON to begin with. */
#define FUZZ_MAIN(...) \
	int main(int argc, char **argv) { return fuzz::run(argc, argv, {__VA_ARGS__}); }

#else
#define FUZZ_MAIN(...)
#endif

#endif
