/*
 * shape.cpp — walking documents and JSON schemas for the types of fields.
 */
#include <cstring>

#include "shape.h"

namespace bridge
{

static constexpr const char *names[seen_types] = {
	"null",		"double", "string", "object", "array", "uuid",	  "binData", "objectId",
	"bool",		"date",	  "date out of range", "int", "long", "decimal", "other"};

/* The first and the last millisecond of timestamptz: 4714-11-24 BC to 294276-12-31. */
static constexpr int64_t first_date = -210866803200000;
static constexpr int64_t last_date = 9224318015999999;

static constexpr uint32_t all_numbers = seen_bit(Seen::real) | seen_bit(Seen::integer) |
										seen_bit(Seen::long_integer) | seen_bit(Seen::decimal);

const char *
seen_name(Seen type) noexcept
{
	return names[static_cast<int>(type)];
}

static Seen
seen_type(const bson_iter_t *field) noexcept
{
	switch (bson_iter_type(field))
	{
		case BSON_TYPE_NULL:
		case BSON_TYPE_UNDEFINED:
			return Seen::null;
		case BSON_TYPE_DOUBLE:
			return Seen::real;
		case BSON_TYPE_UTF8:
		case BSON_TYPE_SYMBOL:
			return Seen::string;
		case BSON_TYPE_DOCUMENT:
			return Seen::object;
		case BSON_TYPE_ARRAY:
			return Seen::array;
		case BSON_TYPE_BINARY:
		{
			bson_subtype_t subtype;
			uint32_t length;
			const uint8_t *bytes;

			bson_iter_binary(field, &subtype, &length, &bytes);
			return subtype == BSON_SUBTYPE_UUID && length == 16 ? Seen::uuid : Seen::binary;
		}
		case BSON_TYPE_OID:
			return Seen::object_id;
		case BSON_TYPE_BOOL:
			return Seen::boolean;
		case BSON_TYPE_DATE_TIME:
		{
			int64_t date = bson_iter_date_time(field);
			return date >= first_date && date <= last_date ? Seen::date : Seen::distant_date;
		}
		case BSON_TYPE_INT32:
			return Seen::integer;
		case BSON_TYPE_INT64:
			return Seen::long_integer;
		case BSON_TYPE_DECIMAL128:
			return Seen::decimal;
		default:
			return Seen::other;
	}
}

/*
 * Columns
 */

static bool
within(uint32_t types, uint32_t wider) noexcept
{
	return (types & ~wider) == 0;
}

/* Numbers: an int fits a double exactly, a long does not. */
static ColumnKind
number_kind(uint32_t types) noexcept
{
	if (types == seen_bit(Seen::integer))
		return ColumnKind::integer;
	if (within(types, seen_bit(Seen::integer) | seen_bit(Seen::long_integer)))
		return ColumnKind::bigint;
	if (within(types, seen_bit(Seen::integer) | seen_bit(Seen::real)))
		return ColumnKind::real;
	return ColumnKind::numeric;
}

ColumnKind
column_kind(uint32_t types) noexcept
{
	types &= ~seen_bit(Seen::null);
	if (types == 0)
		return ColumnKind::jsonb; /* nothing is known of it, and this holds everything */
	if (types == seen_bit(Seen::object_id))
		return ColumnKind::object_id;
	if (within(types, seen_bit(Seen::string) | seen_bit(Seen::object_id)))
		return ColumnKind::text;
	if (within(types, all_numbers))
		return number_kind(types);
	if (types == seen_bit(Seen::boolean))
		return ColumnKind::boolean;
	if (types == seen_bit(Seen::date))
		return ColumnKind::timestamp;
	if (types == seen_bit(Seen::uuid))
		return ColumnKind::uuid;
	if (within(types, seen_bit(Seen::uuid) | seen_bit(Seen::binary)))
		return ColumnKind::bytea;
	return ColumnKind::jsonb;
}

bool
name_fits_path(const char *name) noexcept
{
	return name[0] != '\0' && name[0] != '$' && strchr(name, '.') == nullptr &&
		   bson_utf8_validate(name, strlen(name), false);
}

/*
 * Fields
 */

/* -1 if there are too many. */
int
Shape::field_number(int parent, int level, const char *name)
{
	std::string key = std::to_string(parent) + '/' + name;
	auto found = numbers_.find(key);

	if (found != numbers_.end())
		return found->second;
	if (count() >= max_fields)
	{
		left_out_ = true;
		return -1;
	}

	Field field;
	field.name = name;
	field.parent = parent;
	field.level = level;
	fields_.push_back(std::move(field));
	numbers_.emplace(std::move(key), count() - 1);
	return count() - 1;
}

uint32_t
Shape::seen_types_of(int field) const noexcept
{
	uint32_t types = 0;

	for (int i = 0; i < seen_types; i++)
		if (fields_[field].seen[i] > 0)
			types |= 1u << i;
	return types;
}

uint32_t
Shape::types_of(int field) const noexcept
{
	uint32_t types = seen_types_of(field);
	uint32_t allowed = fields_[field].allowed;

	/* A schema that says binData may mean UUIDs and nothing else. */
	if ((types & seen_bit(Seen::uuid)) != 0 && (types & seen_bit(Seen::binary)) == 0)
		allowed &= ~seen_bit(Seen::binary);
	return types | allowed;
}

bool
Shape::required(int field) const noexcept
{
	for (int i = field; i >= 0; i = fields_[i].parent)
		if (!fields_[i].required || fields_[i].allowed == 0 ||
			(fields_[i].allowed & seen_bit(Seen::null)) != 0)
			return false;
	return true;
}

/*
 * Documents
 */

void
Shape::add(const bson_t *document)
{
	bson_iter_t fields;

	documents_++;
	if (bson_iter_init(&fields, document))
		walk(&fields, -1, 0);
}

void
Shape::walk(bson_iter_t *fields, int parent, int level)
{
	while (bson_iter_next(fields))
	{
		int number = field_number(parent, level, bson_iter_key(fields));
		bson_iter_t below;

		/* Of two fields with one name the first counts, as everywhere. */
		if (number < 0 || fields_[number].last_document == documents_)
			continue;
		fields_[number].last_document = documents_;
		fields_[number].present++;
		fields_[number].seen[static_cast<int>(seen_type(fields))]++;
		if (level < depth_ && BSON_ITER_HOLDS_DOCUMENT(fields) && bson_iter_recurse(fields, &below))
			walk(&below, number, level + 1);
	}
}

/*
 * Schemas
 */

/* What a name of bsonType or type stands for; 0 for one that nobody knows. */
static uint32_t
named_types(const char *name) noexcept
{
	struct Alias
	{
		const char *name;
		uint32_t types;
	};
	static constexpr Alias aliases[] = {
		{"number", all_numbers},
		{"integer", seen_bit(Seen::integer) | seen_bit(Seen::long_integer)},
		{"boolean", seen_bit(Seen::boolean)},
		{"undefined", seen_bit(Seen::null)},
		{"symbol", seen_bit(Seen::string)},
		/* A schema does not tell the subtypes apart; the sample may. */
		{"binData", seen_bit(Seen::binary)},
	};

	for (const Alias &alias : aliases)
		if (strcmp(alias.name, name) == 0)
			return alias.types;
	for (int i = 0; i < seen_types; i++)
		if (strcmp(names[i], name) == 0 && i != static_cast<int>(Seen::uuid) &&
			i != static_cast<int>(Seen::other))
			return 1u << i;
	return seen_bit(Seen::other);
}

/* The types of {bsonType: …} or {type: …}, else those of the values of {enum: […]}. */
static uint32_t
schema_types(const bson_iter_t *schema)
{
	uint32_t types = 0;
	bson_iter_t keyword;

	if (!bson_iter_recurse(schema, &keyword))
		return 0;
	while (bson_iter_next(&keyword))
	{
		const char *key = bson_iter_key(&keyword);
		bool is_enum = strcmp(key, "enum") == 0;
		bson_iter_t item;

		if (!is_enum && strcmp(key, "bsonType") != 0 && strcmp(key, "type") != 0)
			continue;
		if (BSON_ITER_HOLDS_UTF8(&keyword) && !is_enum)
			return named_types(bson_iter_utf8(&keyword, nullptr));
		if (!BSON_ITER_HOLDS_ARRAY(&keyword) || !bson_iter_recurse(&keyword, &item))
			continue;
		if (!is_enum)
			types = 0; /* it says more than the enum's values before it */
		while (bson_iter_next(&item))
			if (is_enum)
				types |= seen_bit(seen_type(&item));
			else if (BSON_ITER_HOLDS_UTF8(&item))
				types |= named_types(bson_iter_utf8(&item, nullptr));
		if (!is_enum)
			return types;
	}
	return types;
}

void
Shape::add_validator(const bson_t *validator)
{
	bson_iter_t part;
	bson_iter_t item;
	bson_iter_t schema;

	if (!bson_iter_init(&part, validator))
		return;
	while (bson_iter_next(&part))
	{
		if (strcmp(bson_iter_key(&part), "$jsonSchema") == 0 && BSON_ITER_HOLDS_DOCUMENT(&part))
		{
			has_schema_ = true;
			walk_schema(&part, -1, 0);
		}
		else if (strcmp(bson_iter_key(&part), "$and") == 0 && BSON_ITER_HOLDS_ARRAY(&part) &&
				 bson_iter_recurse(&part, &item))
			while (bson_iter_next(&item))
				if (BSON_ITER_HOLDS_DOCUMENT(&item) && bson_iter_recurse(&item, &schema) &&
					bson_iter_find(&schema, "$jsonSchema") && BSON_ITER_HOLDS_DOCUMENT(&schema))
				{
					has_schema_ = true;
					walk_schema(&schema, -1, 0);
				}
	}
}

void
Shape::walk_schema(const bson_iter_t *schema, int parent, int level)
{
	bson_iter_t keyword;
	bson_iter_t property;

	if (bson_iter_recurse(schema, &keyword) && bson_iter_find(&keyword, "properties") &&
		BSON_ITER_HOLDS_DOCUMENT(&keyword) && bson_iter_recurse(&keyword, &property))
		while (bson_iter_next(&property))
		{
			int number = field_number(parent, level, bson_iter_key(&property));

			if (number < 0 || !BSON_ITER_HOLDS_DOCUMENT(&property))
				continue;
			fields_[number].allowed |= schema_types(&property);
			if (level < depth_)
				walk_schema(&property, number, level + 1);
		}
	if (bson_iter_recurse(schema, &keyword) && bson_iter_find(&keyword, "required") &&
		BSON_ITER_HOLDS_ARRAY(&keyword))
		mark_required(&keyword, parent, level);
}

void
Shape::mark_required(const bson_iter_t *names_array, int parent, int level)
{
	bson_iter_t item;

	if (!bson_iter_recurse(names_array, &item))
		return;
	while (bson_iter_next(&item))
		if (BSON_ITER_HOLDS_UTF8(&item))
		{
			int number = field_number(parent, level, bson_iter_utf8(&item, nullptr));
			if (number >= 0)
				fields_[number].required = true;
		}
}

} // namespace bridge
