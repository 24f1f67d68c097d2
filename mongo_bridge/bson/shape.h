/*
 * shape.h — what a collection's documents look like: the fields that were seen, and with which types.
 *
 * A Shape is fed with a sample of documents, and with the collection's $jsonSchema validator if it has one.  It tells each
 * field's types: those that occurred, how often, and those that the validator allows.  From these follows the type of
 * column that holds them all.
 *
 * Its memory is bounded: documents that use values as keys ({"2024-01-01": …, "2024-01-02": …}) have fields without end,
 * and after max_fields of them new ones are only noted as left out.
 */
#ifdef POSTGRES_H
#error "bson/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_BSON_SHAPE_H
#define PG_TENANCY_BSON_SHAPE_H

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include <bson/bson.h>

namespace bridge
{

/* BSON's types, as far as columns tell them apart. */
enum class Seen
{
	null, /* undefined as well */
	real,
	string, /* symbol as well */
	object,
	array,
	uuid,
	binary,
	object_id,
	boolean,
	date,
	distant_date, /* out of timestamptz's range */
	integer,
	long_integer,
	decimal,
	other
};
inline constexpr int seen_types = static_cast<int>(Seen::other) + 1;

/* As $type names it; "uuid" is a binData of subtype 4. */
const char *seen_name(Seen type) noexcept;

constexpr uint32_t
seen_bit(Seen type) noexcept
{
	return 1u << static_cast<int>(type);
}

/* The columns that fields become. */
enum class ColumnKind
{
	text,
	object_id,
	integer,
	bigint,
	real,
	numeric,
	boolean,
	timestamp,
	uuid,
	bytea,
	jsonb
};

/* The narrowest kind that holds values of all these types (a set of seen_bit). */
ColumnKind column_kind(uint32_t types) noexcept;

/* A field name that a path can hold: not empty, no dot, no leading dollar, valid UTF-8. */
bool name_fits_path(const char *name) noexcept;

class Shape
{
public:
	static constexpr int max_fields = 5000;

	/* Fields of embedded documents are looked at down to "depth" levels below the top. */
	explicit Shape(int depth) : depth_(depth) {}

	void add(const bson_t *document);

	/* The validator as listCollections shows it; anything in it but $jsonSchema is passed over. */
	void add_validator(const bson_t *validator);

	uint64_t documents() const noexcept { return documents_; }
	bool has_schema() const noexcept { return has_schema_; }
	bool left_out() const noexcept { return left_out_; }

	/* Fields by number; a field's number is greater than its parent's. */
	int count() const noexcept { return static_cast<int>(fields_.size()); }
	const char *name(int field) const noexcept { return fields_[field].name.c_str(); }
	int parent(int field) const noexcept { return fields_[field].parent; } /* -1: none */
	uint64_t seen(int field, Seen type) const noexcept
	{
		return fields_[field].seen[static_cast<int>(type)];
	}
	uint64_t present(int field) const noexcept { return fields_[field].present; } /* documents */

	/* What occurred, what the validator names, and both. */
	uint32_t seen_types_of(int field) const noexcept;
	uint32_t allowed_types_of(int field) const noexcept { return fields_[field].allowed; }
	uint32_t types_of(int field) const noexcept;

	/* The validator demands the field, and a value that is not null. */
	bool required(int field) const noexcept;

private:
	struct Field
	{
		std::string name;
		int parent = -1;
		int level = 0;
		uint32_t allowed = 0;
		bool required = false;
		uint64_t present = 0;
		uint64_t last_document = 0;
		uint64_t seen[seen_types] = {};
	};

	int field_number(int parent, int level, const char *name);
	void walk(bson_iter_t *fields, int parent, int level);
	void walk_schema(const bson_iter_t *schema, int parent, int level);
	void mark_required(const bson_iter_t *names, int parent, int level);

	int depth_;
	uint64_t documents_ = 0;
	bool has_schema_ = false;
	bool left_out_ = false;
	std::vector<Field> fields_;
	std::unordered_map<std::string, int> numbers_; /* by the parent's number and the name */
};

} // namespace bridge

#endif
