/*
 * document_map.cpp — one walk through a raw document, by a trie of the wanted paths.
 *
 * Each level of the trie that has fields below it stands for one nesting level of the documents.  Beside its wanted
 * fields it keeps a layout: the keys in the order in which the last documents brought them, wanted or not.  A walk
 * compares each key with the one that the layout expects; only where they differ does it search.
 *
 * The bytes are read here and not by bson_iter_next, which decodes every field that it passes: a field that nobody
 * wants costs a comparison and the size of its type.  Every length is checked against the document's own, which was
 * checked against the buffer's.
 */
#include <cstring>
#include <string>

#include "document_map.h"
#include "error.h"

namespace bridge
{

/* MongoDB nests 100 levels at most (200 in what the server itself stores). */
static constexpr int max_depth = 200;

/* How many keys of a level the layout keeps, and how long; further and longer ones are searched for. */
static constexpr int layout_slots = 64;
static constexpr size_t layout_key_size = 30;

struct DocumentMap::Level
{
	/* A field of this level that is wanted, or that has wanted fields below it. */
	struct Child
	{
		std::string key;
		std::vector<int> columns;
		std::unique_ptr<Level> below;
		uint64_t document = 0; /* the number of the document that it was last found in */
	};

	/* A key of the layout with its NUL, and the child that it means (-1: not wanted). */
	struct Slot
	{
		int16_t child;
		uint8_t size;
		char key[layout_key_size + 1];
	};

	std::vector<Child> children;
	Slot layout[layout_slots];
	int used = 0;
	int misses = 0; /* keys that the layout did not foresee, less those that it did */

	int child_named(const char *key, size_t length) const noexcept;
	void add(const char *path, int column, int depth);
	int search(const char *key, uint32_t key_length, int *position) noexcept;
	void forget() noexcept;
};

DocumentMap::DocumentMap(const char *const *paths, int count)
	: root_(std::make_unique<Level>()), fields_(static_cast<size_t>(count))
{
	for (int i = 0; i < count; i++)
		if (paths[i] != nullptr)
			root_->add(paths[i], i, 1);
}

DocumentMap::~DocumentMap() = default;

void
DocumentMap::Level::add(const char *path, int column, int depth)
{
	size_t length = strcspn(path, ".");
	int found = child_named(path, length);

	if (depth > max_depth)
		throw Error(sqlstate::program_limit_exceeded, "path of a column is nested too deeply",
					"MongoDB nests documents " + std::to_string(max_depth) +
						" levels deep at most.");
	if (found < 0)
	{
		found = static_cast<int>(children.size());
		children.emplace_back();
		children.back().key.assign(path, length);
	}

	Child &child = children[static_cast<size_t>(found)];
	if (path[length] == '\0')
		child.columns.push_back(column);
	else
	{
		if (!child.below)
			child.below = std::make_unique<Level>();
		child.below->add(path + length + 1, column, depth + 1);
	}
}

int
DocumentMap::Level::child_named(const char *key, size_t length) const noexcept
{
	for (size_t i = 0; i < children.size(); i++)
		if (children[i].key.size() == length && memcmp(children[i].key.data(), key, length) == 0)
			return static_cast<int>(i);
	return -1;
}

/*
 * A key that the layout did not expect at this position: finds its child and lets the layout learn.  A key that comes
 * later in the layout means that the ones before it are absent from this document.
 */
int
DocumentMap::Level::search(const char *key, uint32_t key_length, int *position) noexcept
{
	size_t size = key_length + 1;

	for (int i = *position + 1; i < used; i++)
		if (layout[i].size == size && memcmp(layout[i].key, key, size) == 0)
		{
			*position = i + 1;
			return layout[i].child;
		}

	int child = child_named(key, key_length);

	misses += 2;
	if (*position == used && used < layout_slots && size <= sizeof(layout[0].key))
	{
		layout[used].child = static_cast<int16_t>(child);
		layout[used].size = static_cast<uint8_t>(size);
		memcpy(layout[used].key, key, size);
		*position = ++used;
	}
	return child;
}

/* A layout that errs more often than not is of another kind of document: the next one teaches it anew. */
void
DocumentMap::Level::forget() noexcept
{
	if (misses > 4 * layout_slots)
		used = misses = 0;
	else if (misses < 0)
		misses = 0;
}

static uint32_t
read_uint32(const uint8_t *bytes) noexcept
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return BSON_UINT32_FROM_LE(value);
}

/*
 * The size of a value of this type at "offset", or 0 if there is none (or none that fits: the caller checks that it
 * ends before the document does).  A value without content has size 0 as well: "ok" tells.
 */
static uint64_t
value_size(uint8_t type, const uint8_t *data, uint32_t length, uint32_t offset, bool *ok) noexcept
{
	uint32_t left = length - offset;

	*ok = true;
	switch (type)
	{
		case BSON_TYPE_NULL:
		case BSON_TYPE_UNDEFINED:
		case BSON_TYPE_MINKEY:
		case BSON_TYPE_MAXKEY:
			return 0;
		case BSON_TYPE_BOOL:
			return 1;
		case BSON_TYPE_INT32:
			return 4;
		case BSON_TYPE_DOUBLE:
		case BSON_TYPE_DATE_TIME:
		case BSON_TYPE_TIMESTAMP:
		case BSON_TYPE_INT64:
			return 8;
		case BSON_TYPE_OID:
			return 12;
		case BSON_TYPE_DECIMAL128:
			return 16;
		case BSON_TYPE_UTF8:
		case BSON_TYPE_CODE:
		case BSON_TYPE_SYMBOL:
			*ok = left >= 5;
			return *ok ? uint64_t{4} + read_uint32(data + offset) : 0;
		case BSON_TYPE_DBPOINTER:
			*ok = left >= 5;
			return *ok ? uint64_t{16} + read_uint32(data + offset) : 0;
		case BSON_TYPE_BINARY:
			*ok = left >= 5;
			return *ok ? uint64_t{5} + read_uint32(data + offset) : 0;
		case BSON_TYPE_DOCUMENT:
		case BSON_TYPE_ARRAY:
		case BSON_TYPE_CODEWSCOPE:
			*ok = left >= 5 && read_uint32(data + offset) >= 5;
			return *ok ? read_uint32(data + offset) : 0;
		case BSON_TYPE_REGEX:
		{
			const void *pattern_end = memchr(data + offset, '\0', left);
			if (pattern_end == nullptr)
				break;
			uint32_t used =
				static_cast<uint32_t>(static_cast<const uint8_t *>(pattern_end) - data) + 1 -
				offset;
			const void *options_end = memchr(data + offset + used, '\0', left - used);
			if (options_end == nullptr)
				break;
			return static_cast<uint64_t>(static_cast<const uint8_t *>(options_end) - data) + 1 -
				   offset;
		}
		default:
			break;
	}
	*ok = false;
	return 0;
}

bool
DocumentMap::find(const bson_t *document) noexcept
{
	document_++;
	if (walk(root_.get(), bson_get_data(document), document->len))
		return true;
	document_++; /* what was found so far is of no document */
	return false;
}

/* Walks one document; "length" is how many bytes there are, which the document's own length must equal. */
bool
DocumentMap::walk(Level *level, const uint8_t *data, uint32_t length) noexcept
{
	if (length < 5 || read_uint32(data) != length || data[length - 1] != 0)
		return false;

	uint32_t offset = 4;
	int position = 0;
	size_t wanted = level->children.size();

	level->forget();
	while (wanted > 0 && data[offset] != 0)
	{
		uint32_t element = offset++;
		const char *key = reinterpret_cast<const char *>(data + offset);
		const Level::Slot *slot = &level->layout[position];
		uint32_t key_length;
		int child;

		if (position < level->used && slot->size <= length - offset &&
			memcmp(key, slot->key, slot->size) == 0)
		{
			key_length = slot->size - 1u;
			child = slot->child;
			position++;
			level->misses--;
		}
		else
		{
			key_length = static_cast<uint32_t>(strnlen(key, length - offset));
			if (key_length == length - offset)
				return false;
			child = level->search(key, key_length, &position);
		}

		bool ok;
		offset += key_length + 1;
		uint64_t size = value_size(data[element], data, length, offset, &ok);
		/* The document's last byte is its own end: a value must stop before it. */
		if (!ok || offset + size > length - 1)
			return false;
		if (child >= 0 && level->children[static_cast<size_t>(child)].document != document_)
		{
			if (!take(level, child, data, length, element, key_length))
				return false;
			wanted--;
		}
		offset += static_cast<uint32_t>(size);
	}
	return wanted == 0 || offset == length - 1;
}

/* Notes a wanted field for its columns, and goes down if there are wanted fields below it. */
bool
DocumentMap::take(Level *level, int child, const uint8_t *data, uint32_t length, uint32_t offset,
				  uint32_t key_length) noexcept
{
	Level::Child &wanted = level->children[static_cast<size_t>(child)];

	wanted.document = document_;
	for (int column : wanted.columns)
	{
		Field &field = fields_[static_cast<size_t>(column)];

		if (!bson_iter_init_from_data_at_offset(&field.iter, data, length, offset, key_length))
			return false;
		field.document = document_;
	}
	if (wanted.below && data[offset] == BSON_TYPE_DOCUMENT)
	{
		uint32_t value = offset + 1 + key_length + 1;
		return walk(wanted.below.get(), data + value, read_uint32(data + value));
	}
	return true;
}

} // namespace bridge
