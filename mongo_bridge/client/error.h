/*
 * error.h — what the driver and the server report, as an Error.
 */
#ifdef POSTGRES_H
#error "client/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_CLIENT_ERROR_H
#define PG_TENANCY_CLIENT_ERROR_H

#include <string>

#include <bson/bson.h>

#include "../bson/error.h"

namespace bridge
{

/*
 * Throws what the driver reported: network and authentication failures, and replies with "ok": 0 or a write error.
 * "what" says what was tried, as the primary message ('could not read collection "tasks"'); "reply" may be null.
 */
[[noreturn]] void throw_driver_error(const bson_error_t &error, const bson_t *reply,
									 const std::string &what);

/*
 * Throws if a reply that says "ok": 1 holds a write error or a write concern error all the same: the driver does not
 * look into the replies of plain commands.
 */
void check_write_errors(const bson_t *reply, const std::string &what);

/* True if the connection is of no more use after this error. */
bool is_connection_error(const bson_error_t &error) noexcept;

} // namespace bridge

#endif
