/*
 * connection.h — one Client per foreign server and user mapping, kept for the session.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_CONNECTION_H
#define PG_TENANCY_FDW_CONNECTION_H

#ifndef POSTGRES_H
#include "../client/client.h"
#include "../guard.h"
#endif

namespace bridge
{

/*
 * The Client for this server as this user, made or made anew if there is none, it is broken, or an ALTER SERVER or ALTER
 * USER MAPPING has come since.  It lives until the session ends or the next call replaces it; a cursor must not outlive
 * the transaction that it was opened in.
 */
Client *connection_get(Oid server, Oid user);

/* The flags a wait looks at: query cancel, termination. */
bool connection_interrupted() noexcept;

} // namespace bridge

#endif
