/*
 * value.h — what a single BSON value is called, and how it reads as text.
 */
#ifdef POSTGRES_H
#error "bson/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_BSON_VALUE_H
#define PG_TENANCY_BSON_VALUE_H

#include <string>

#include <bson/bson.h>

namespace bridge
{

/* The name that MongoDB's $type gives a type: "objectId", "int", "long", "decimal" … */
const char *bson_type_name(bson_type_t type) noexcept;

/* A decimal's text, as numeric's input reads it: digits and exponent, "NaN", "Infinity", "-Infinity". */
struct DecimalText
{
	char text[BSON_DECIMAL128_STRING];
};
DecimalText decimal_text(const bson_decimal128_t &decimal) noexcept;

/* An ObjectId's 24 lower-case hexadecimal digits, and back; false if the text is anything else. */
struct ObjectIdText
{
	char text[25];
};
ObjectIdText object_id_text(const bson_oid_t &id) noexcept;
bool object_id_from_text(const char *text, bson_oid_t *id) noexcept;

/*
 * A BSON date is milliseconds since 1970, a timestamp of PostgreSQL microseconds since 2000.  The way there is false if
 * the date is out of an int64's range; the way back rounds towards the past, as MongoDB keeps no finer time.
 */
bool date_to_microseconds(int64_t bson_ms, int64_t *postgres_us) noexcept;
int64_t microseconds_to_date(int64_t postgres_us) noexcept;

/* One value as extended JSON; relaxed is for people, canonical keeps every type. */
enum class JsonFormat
{
	relaxed,
	canonical
};
std::string value_json(const bson_iter_t *field, JsonFormat format = JsonFormat::relaxed);
std::string document_json(const bson_t *document, JsonFormat format = JsonFormat::relaxed);

} // namespace bridge

#endif
