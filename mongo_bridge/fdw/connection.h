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
 * USER MAPPING has come since.  It lives until the session ends or a later call replaces it, so ask for it at every use;
 * what was opened on it keeps its own hold of the link.  "kept" tells whether it was there before.
 */
Client *connection_get(Oid server, Oid user, bool *kept = nullptr);

/*
 * A Client of its own for who keeps streams open across transactions; it lives as long as "context".  Where the server has
 * no socket_timeout it waits "reply_timeout_ms" for a reply; 0: for ever.
 */
Client *connection_open(Oid server, Oid user, MemoryContext context, int reply_timeout_ms);

/* The flags a wait looks at: query cancel, termination, the postmaster's death. */
bool connection_interrupted() noexcept;

} // namespace bridge

#endif
