/*
 * left_behind.h — sessions whose cursors nobody could close, because a wait was given up or the connection broke.
 *
 * MongoDB would keep such a cursor for ten minutes.  The process remembers the session that it belongs to, and the next
 * connection to the same server as the same user ends it, with all that it holds.
 */
#ifdef POSTGRES_H
#error "client/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_CLIENT_LEFT_BEHIND_H
#define PG_TENANCY_CLIENT_LEFT_BEHIND_H

#include <string>

#include <mongoc/mongoc.h>

namespace bridge
{

/* "owner" is the server and the user. */
void leave_behind(const std::string &owner, const bson_t *session) noexcept;

/* Whether there is anybody's at all, which there hardly ever is. */
bool anything_left_behind() noexcept;

/* Writes the command that ends an owner's sessions; false if there are none. */
bool put_left_behind(const std::string &owner, bson_t *command);
void forget_left_behind(const std::string &owner) noexcept;

} // namespace bridge

#endif
