/*
 * error.h — what the pure layers throw.
 *
 * An Error carries what a PostgreSQL message needs (SQLSTATE, primary message, detail, hint), written by the rules of
 * PostgreSQL's message style: the message is lower case and without a full stop, the driver's or the server's own words
 * are the detail.  It never carries a secret: nobody may put a password or a URI with one into it.
 */
#ifdef POSTGRES_H
#error "bson/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_BSON_ERROR_H
#define PG_TENANCY_BSON_ERROR_H

#include <cstring>
#include <exception>
#include <string>
#include <utility>

namespace bridge
{

/* The SQLSTATEs that the pure layers know by name. */
namespace sqlstate
{
inline constexpr char unable_to_connect[] = "08001";	 /* …_establish_sqlconnection */
inline constexpr char connection_failure[] = "08006";	 /* connection_failure */
inline constexpr char invalid_authorization[] = "28000"; /* …_specification */
inline constexpr char insufficient_privilege[] = "42501";
inline constexpr char check_violation[] = "23514"; /* a validator refused the document */
inline constexpr char unique_violation[] = "23505";
inline constexpr char query_canceled[] = "57014";
inline constexpr char out_of_memory[] = "53200";
inline constexpr char program_limit_exceeded[] = "54000";
inline constexpr char invalid_parameter_value[] = "22023";
inline constexpr char invalid_json_text[] = "22P02"; /* invalid_text_representation */
inline constexpr char config_file_error[] = "F0000";
inline constexpr char undefined_object[] = "42704";
inline constexpr char feature_not_supported[] = "0A000";
inline constexpr char transaction_resolution_unknown[] = "08007";
inline constexpr char fdw_error[] = "HV000";
inline constexpr char fdw_table_not_found[] = "HV00R"; /* the collection does not exist */
inline constexpr char internal_error[] = "XX000";
} // namespace sqlstate

class Error : public std::exception
{
public:
	Error(const char *sqlstate, std::string primary, std::string details = {},
		  std::string hints = {}, int code = 0)
		: message(std::move(primary)), detail(std::move(details)), hint(std::move(hints)),
		  server_code(code)
	{
		memcpy(state, sqlstate, sizeof(state)); /* always five characters */
	}

	const char *what() const noexcept override { return message.c_str(); }

	char state[6];
	std::string message;
	std::string detail;
	std::string hint;
	int server_code; /* MongoDB's code, 0 where it did not come from a server's reply */
};

} // namespace bridge

#endif
