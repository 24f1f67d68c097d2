/*
 * error.cpp — which SQLSTATE, detail and hint belong to what the driver and the server report.
 *
 * The driver's error has a domain and a code; from a server's reply the domain is MONGOC_ERROR_SERVER and the code is
 * MongoDB's own.  The reply holds the server's words in full, where the driver's error cuts them at 500 bytes, and for a
 * document that broke a validator the reasons (errInfo).
 */
#include <cstring>

#include <mongoc/mongoc.h>

#include "../bson/value.h"
#include "error.h"

namespace bridge
{

/* MongoDB's error codes that mean something of their own here. */
namespace server_code
{
enum : int
{
	unauthorized = 13,
	authentication_failed = 18,
	namespace_not_found = 26,
	path_not_viable = 28,
	max_time_ms_expired = 50,
	shutdown_in_progress = 91,
	write_conflict = 112,
	document_validation_failure = 121,
	primary_stepped_down = 189,
	no_such_transaction = 251,
	transaction_too_large = 257,
	bson_object_too_large = 10334,
	not_writable_primary = 10107,
	duplicate_key = 11000,
	interrupted_at_shutdown = 11600,
	interrupted = 11601,
	interrupted_due_to_repl_state_change = 11602,
	transaction_too_large_for_cache = 388,
	not_primary_no_secondary_ok = 13435,
	not_primary_or_secondary = 13436,
	update_result_too_large = 17419,
	upsert_result_too_large = 17420
};
} // namespace server_code

/* What a message needs beside its words. */
struct Meaning
{
	const char *sqlstate;
	const char *hint;
};

static constexpr Meaning bad_credentials = {
	sqlstate::invalid_authorization,
	"Check \"user\", \"password\" and \"auth_source\" of the entry of the credentials file that "
	"the option \"credentials\" names."};
static constexpr Meaning no_server = {
	sqlstate::unable_to_connect,
	"Check the options \"hosts\", \"replica_set\" and \"tls\" of the foreign server."};
static constexpr Meaning lost_connection = {sqlstate::connection_failure,
											"The next statement makes a new connection."};

static Meaning
meaning_of_server_code(int code)
{
	switch (code)
	{
		case server_code::authentication_failed:
			return bad_credentials;
		case server_code::unauthorized:
			return {sqlstate::insufficient_privilege,
					"Grant the privilege to the MongoDB user with grantRolesToUser, or name "
					"another entry in the option \"credentials\"."};
		case server_code::namespace_not_found:
			return {sqlstate::fdw_table_not_found,
					"Check the options \"database\" and \"collection\" of the foreign table."};
		case server_code::max_time_ms_expired:
		case server_code::interrupted:
			return {sqlstate::query_canceled, ""};
		case server_code::path_not_viable:
			return {sqlstate::invalid_parameter_value,
					"A field is set in a document only. Give the field above it a document, by a "
					"jsonb column of its own, or take it away: UPDATE ... SET ... = NULL;"};
		case server_code::document_validation_failure:
			return {sqlstate::check_violation, ""};
		case server_code::duplicate_key:
			return {sqlstate::unique_violation, ""};
		case server_code::write_conflict:
			return {"40001", "Run the statement again."};
		case server_code::no_such_transaction:
			return {"40001",
					"MongoDB has ended the transaction. Run it again; if it takes longer than "
					"MongoDB's transactionLifetimeLimitSeconds (60), write fewer rows in one "
					"transaction, or let writes take effect at once: ALTER SERVER ... OPTIONS (ADD "
					"transactions 'false');"};
		case server_code::transaction_too_large:
		case server_code::transaction_too_large_for_cache:
			return {sqlstate::program_limit_exceeded,
					"Write fewer rows in one transaction, or let writes take effect at once: ALTER "
					"SERVER ... OPTIONS (ADD transactions 'false');"};
		case server_code::bson_object_too_large:
		case server_code::update_result_too_large:
		case server_code::upsert_result_too_large:
			return {sqlstate::program_limit_exceeded, "A document of MongoDB holds at most 16 MB."};
		case server_code::shutdown_in_progress:
		case server_code::primary_stepped_down:
		case server_code::not_writable_primary:
		case server_code::interrupted_at_shutdown:
		case server_code::interrupted_due_to_repl_state_change:
		case server_code::not_primary_no_secondary_ok:
		case server_code::not_primary_or_secondary:
			return {sqlstate::connection_failure,
					"The replica set is changing its primary; run the statement again."};
		default:
			return {sqlstate::fdw_error, ""};
	}
}

static Meaning
meaning_of_driver_error(const bson_error_t &error)
{
	switch (error.domain)
	{
		case MONGOC_ERROR_CLIENT:
			if (error.code == MONGOC_ERROR_CLIENT_AUTHENTICATE)
				return bad_credentials;
			return {sqlstate::fdw_error, ""};
		case MONGOC_ERROR_SCRAM:
		case MONGOC_ERROR_SASL:
			return bad_credentials;
		case MONGOC_ERROR_SERVER_SELECTION:
			return no_server;
		case MONGOC_ERROR_STREAM:
			if (error.code == MONGOC_ERROR_STREAM_CONNECT ||
				error.code == MONGOC_ERROR_STREAM_NAME_RESOLUTION ||
				error.code == MONGOC_ERROR_STREAM_NOT_ESTABLISHED)
				return no_server;
			return lost_connection;
		case MONGOC_ERROR_PROTOCOL:
			return lost_connection;
		case MONGOC_ERROR_COMMAND:
			return {sqlstate::invalid_parameter_value, ""};
		default:
			return {sqlstate::fdw_error, ""};
	}
}

bool
is_connection_error(const bson_error_t &error) noexcept
{
	switch (error.domain)
	{
		case MONGOC_ERROR_STREAM:
		case MONGOC_ERROR_PROTOCOL:
		case MONGOC_ERROR_SERVER_SELECTION:
		case MONGOC_ERROR_CLIENT:
		case MONGOC_ERROR_SCRAM:
		case MONGOC_ERROR_SASL:
			return true;
		default:
			return false;
	}
}

/* Error number "code" of the server, whose words stand in the document that "where" goes through. */
[[noreturn]] static void
throw_server_error(int code, const bson_t *where, const char *fallback, const std::string &what)
{
	Meaning meaning = meaning_of_server_code(code);
	std::string detail;
	bson_iter_t field;

	if (where != nullptr && bson_iter_init_find(&field, where, "errmsg") &&
		BSON_ITER_HOLDS_UTF8(&field))
		detail = bson_iter_utf8(&field, nullptr);
	if (detail.empty())
		detail = fallback;
	if (where != nullptr && bson_iter_init_find(&field, where, "errInfo"))
		detail += "\n" + value_json(&field);
	throw Error(meaning.sqlstate, what, detail, meaning.hint, code);
}

/*
 * The driver's message begins with how it looked for a server; what each server said follows in brackets, and that is
 * what a user can act upon.
 */
static std::string
selection_detail(const char *message)
{
	const char *servers = strchr(message, '[');

	if (servers != nullptr)
		return servers;
	return "No server is suitable: the replica set has another name, or no member in the state "
		   "that is needed.";
}

void
throw_driver_error(const bson_error_t &error, const bson_t *reply, const std::string &what)
{
	if (reply != nullptr)
		check_write_errors(reply, what);
	if (error.domain == MONGOC_ERROR_SERVER || error.domain == MONGOC_ERROR_WRITE_CONCERN)
		throw_server_error(static_cast<int>(error.code), reply, error.message, what);

	Meaning meaning = meaning_of_driver_error(error);
	throw Error(meaning.sqlstate, what,
				error.domain == MONGOC_ERROR_SERVER_SELECTION ? selection_detail(error.message)
															  : std::string(error.message),
				meaning.hint);
}

/* The document at "field" as a bson_t that looks into the reply; false if it is none. */
static bool
sub_document(const bson_iter_t *field, bson_t *document)
{
	const uint8_t *data;
	uint32_t length;

	if (!BSON_ITER_HOLDS_DOCUMENT(field))
		return false;
	bson_iter_document(field, &length, &data);
	return bson_init_static(document, data, length);
}

static int
code_of(const bson_t *error)
{
	bson_iter_t field;

	return bson_iter_init_find(&field, error, "code") ? static_cast<int>(bson_iter_as_int64(&field))
													  : 0;
}

void
check_write_errors(const bson_t *reply, const std::string &what)
{
	bson_iter_t field;
	bson_iter_t first;
	bson_t error;

	if (bson_iter_init_find(&field, reply, "writeErrors") && BSON_ITER_HOLDS_ARRAY(&field) &&
		bson_iter_recurse(&field, &first) && bson_iter_next(&first) && sub_document(&first, &error))
		throw_server_error(code_of(&error), &error, "", what);
	if (bson_iter_init_find(&field, reply, "writeConcernError") && sub_document(&field, &error))
		throw_server_error(code_of(&error), &error, "", what);
}

} // namespace bridge
