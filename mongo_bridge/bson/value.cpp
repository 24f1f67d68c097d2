/*
 * value.cpp — names and texts of single BSON values.
 */
#include <memory>

#include "document.h"
#include "error.h"
#include "value.h"

namespace bridge
{

const char *
bson_type_name(bson_type_t type) noexcept
{
	switch (type)
	{
		case BSON_TYPE_DOUBLE:
			return "double";
		case BSON_TYPE_UTF8:
			return "string";
		case BSON_TYPE_DOCUMENT:
			return "object";
		case BSON_TYPE_ARRAY:
			return "array";
		case BSON_TYPE_BINARY:
			return "binData";
		case BSON_TYPE_UNDEFINED:
			return "undefined";
		case BSON_TYPE_OID:
			return "objectId";
		case BSON_TYPE_BOOL:
			return "bool";
		case BSON_TYPE_DATE_TIME:
			return "date";
		case BSON_TYPE_NULL:
			return "null";
		case BSON_TYPE_REGEX:
			return "regex";
		case BSON_TYPE_DBPOINTER:
			return "dbPointer";
		case BSON_TYPE_CODE:
			return "javascript";
		case BSON_TYPE_SYMBOL:
			return "symbol";
		case BSON_TYPE_CODEWSCOPE:
			return "javascriptWithScope";
		case BSON_TYPE_INT32:
			return "int";
		case BSON_TYPE_TIMESTAMP:
			return "timestamp";
		case BSON_TYPE_INT64:
			return "long";
		case BSON_TYPE_DECIMAL128:
			return "decimal";
		case BSON_TYPE_MAXKEY:
			return "maxKey";
		case BSON_TYPE_MINKEY:
			return "minKey";
		case BSON_TYPE_EOD:
			break;
	}
	return "unknown";
}

DecimalText
decimal_text(const bson_decimal128_t &decimal) noexcept
{
	DecimalText result;

	bson_decimal128_to_string(&decimal, result.text);
	return result;
}

ObjectIdText
object_id_text(const bson_oid_t &id) noexcept
{
	ObjectIdText result;

	bson_oid_to_string(&id, result.text);
	return result;
}

bool
object_id_from_text(const char *text, bson_oid_t *id) noexcept
{
	size_t length = strlen(text);

	if (!bson_oid_is_valid(text, length))
		return false;
	bson_oid_init_from_string(id, text);
	return true;
}

/* 2000-01-01 in milliseconds since 1970. */
static constexpr int64_t postgres_epoch_ms = 946684800000;

bool
date_to_microseconds(int64_t bson_ms, int64_t *postgres_us) noexcept
{
	int64_t ms;

	return !__builtin_sub_overflow(bson_ms, postgres_epoch_ms, &ms) &&
		   !__builtin_mul_overflow(ms, INT64_C(1000), postgres_us);
}

int64_t
microseconds_to_date(int64_t postgres_us) noexcept
{
	int64_t ms = postgres_us / 1000;

	if (postgres_us % 1000 < 0)
		ms--;
	return ms + postgres_epoch_ms;
}

std::string
document_json(const bson_t *document, JsonFormat format)
{
	std::unique_ptr<char, decltype(&bson_free)> text(
		format == JsonFormat::relaxed ? bson_as_relaxed_extended_json(document, nullptr)
									  : bson_as_canonical_extended_json(document, nullptr),
		bson_free);

	if (!text)
		throw Error(sqlstate::internal_error, "malformed BSON document");
	return text.get();
}

/* libbson writes documents only: '{ "v" : 1 }' without what stands around the value. */
std::string
value_json(const bson_iter_t *field, JsonFormat format)
{
	static constexpr char before[] = "{ \"v\" : ";
	static constexpr char after[] = " }";
	Document wrapper;

	if (!bson_append_iter(wrapper.get(), "v", 1, field))
		throw Error(sqlstate::internal_error, "malformed BSON value");

	std::string text = document_json(wrapper.get(), format);
	return text.substr(strlen(before), text.size() - strlen(before) - strlen(after));
}

} // namespace bridge
