/*
 * jsonb_builder.cpp — the layout of jsonb, as utils/jsonb.h describes it.
 */
#include <type_traits>

#include "jsonb_builder.h"

namespace bridge
{

using Part = JsonbBuilder::Part;

static constexpr int few_keys = 24;

void
JsonbBuilder::add(JEntry type, const char *data, uint32 length)
{
	if (used == room)
	{
		room = Max(32, room * 2);
		auto *larger = static_cast<Part *>(palloc(sizeof(Part) * static_cast<Size>(room)));
		if (used > 0)
			memcpy(larger, parts, sizeof(Part) * static_cast<Size>(used));
		parts = larger;
	}
	parts[used++] = {next_key, next_key_length, length, type, data};
}

void
JsonbBuilder::key(const char *bytes, uint32 length)
{
	next_key = bytes;
	next_key_length = length;
}

void
JsonbBuilder::string(const char *bytes, uint32 length)
{
	add(JENTRY_ISSTRING, bytes, length);
}

void
JsonbBuilder::number(Numeric value)
{
	add(JENTRY_ISNUMERIC, reinterpret_cast<const char *>(value), VARSIZE(value));
}

void
JsonbBuilder::boolean(bool value)
{
	add(value ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE, nullptr, 0);
}

void
JsonbBuilder::null()
{
	add(JENTRY_ISNULL, nullptr, 0);
}

/* A container's own key is kept in a part that stands before its parts. */
void
JsonbBuilder::begin(bool is_array)
{
	if (depth == level_room)
	{
		level_room = Max(8, level_room * 2);
		auto *larger = static_cast<Level *>(palloc(sizeof(Level) * static_cast<Size>(level_room)));
		if (depth > 0)
			memcpy(larger, levels, sizeof(Level) * static_cast<Size>(depth));
		levels = larger;
	}
	add(JENTRY_ISCONTAINER, nullptr, 0);
	levels[depth++] = {used, is_array};
}

/* The order of jsonb's keys: by length, then by bytes. */
static int
compare_keys(const Part *a, const Part *b)
{
	if (a->key_length != b->key_length)
		return a->key_length < b->key_length ? -1 : 1;
	return memcmp(a->key, b->key, a->key_length);
}

static int
compare_parts(const void *a, const void *b)
{
	auto *left = static_cast<const Part *>(a);
	auto *right = static_cast<const Part *>(b);
	int order = compare_keys(left, right);

	/* Equal keys stay in their order: what comes later lies later in the document. */
	return order != 0 ? order : left->key < right->key ? -1 : 1;
}

static void
sort_parts(Part *parts, int count)
{
	if (count > few_keys)
	{
		qsort(parts, static_cast<size_t>(count), sizeof(Part), compare_parts);
		return;
	}
	for (int i = 1; i < count; i++)
	{
		Part part = parts[i];
		int at = i;

		for (; at > 0 && compare_keys(&parts[at - 1], &part) > 0; at--)
			parts[at] = parts[at - 1];
		parts[at] = part;
	}
}

/* Of equal keys the last stays. */
static int
remove_duplicates(Part *parts, int count)
{
	int kept = 0;

	for (int i = 0; i < count; i++)
		if (i + 1 == count || compare_keys(&parts[i], &parts[i + 1]) != 0)
			parts[kept++] = parts[i];
	return kept;
}

void
JsonbBuilder::end()
{
	Level level = levels[--depth];
	int count = used - level.first;

	if (!level.is_array)
	{
		sort_parts(parts + level.first, count);
		count = remove_duplicates(parts + level.first, count);
	}

	Jsonb *container = write(parts + level.first, count, level.is_array ? JB_FARRAY : JB_FOBJECT);
	Part *own = &parts[level.first - 1];
	own->data = reinterpret_cast<const char *>(&container->root);
	own->length = VARSIZE(container) - VARHDRSZ;
	used = level.first;
}

Jsonb *
JsonbBuilder::finish()
{
	/* A value that is no container is an array of one that says so. */
	if (parts[0].type != JENTRY_ISCONTAINER)
		return write(parts, 1, JB_FARRAY | JB_FSCALAR);
	return reinterpret_cast<Jsonb *>(const_cast<char *>(parts[0].data) - VARHDRSZ);
}

static bool
is_aligned_type(JEntry type)
{
	return type == JENTRY_ISNUMERIC || type == JENTRY_ISCONTAINER;
}

/* Writes entries and their data; every 32nd entry tells where it ends, the others how long they are. */
struct EntryWriter
{
	JEntry *entries;
	char *data;
	uint32 offset; /* of what comes next, from the start of the data */
	int index;

	void
	put(JEntry type, const char *bytes, uint32 length)
	{
		uint32 start = offset;

		if (is_aligned_type(type))
			while (offset != INTALIGN(offset))
				data[offset++] = '\0';
		if (length > 0)
			memcpy(data + offset, bytes, length);
		offset += length;
		entries[index] = index % JB_OFFSET_STRIDE == 0 ? type | offset | JENTRY_HAS_OFF
													   : type | (offset - start);
		index++;
	}
};

Jsonb *
JsonbBuilder::write(const Part *from, int count, uint32 flags)
{
	bool is_object = (flags & JB_FOBJECT) != 0;
	int entries = is_object ? count * 2 : count;
	Size size = 0;

	for (int i = 0; i < count; i++)
		size += (is_object ? from[i].key_length : 0) + from[i].length + 3;
	if (size > JENTRY_OFFLENMASK || count > static_cast<int>(JB_CMASK))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("document is too large for type jsonb")));

	Size head =
		offsetof(Jsonb, root) + sizeof(uint32) + sizeof(JEntry) * static_cast<Size>(entries);
	auto *result = static_cast<Jsonb *>(palloc(head + size));
	EntryWriter writer = {result->root.children, reinterpret_cast<char *>(result) + head, 0, 0};

	result->root.header = static_cast<uint32>(count) | flags;
	if (is_object)
		for (int i = 0; i < count; i++)
			writer.put(JENTRY_ISSTRING, from[i].key, from[i].key_length);
	for (int i = 0; i < count; i++)
		writer.put(from[i].type, from[i].data, from[i].length);
	SET_VARSIZE(result, head + writer.offset);
	return result;
}

} // namespace bridge
