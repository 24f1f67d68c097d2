/*
 * transaction.h — the transactions of MongoDB that belong to the local one.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_TRANSACTION_H
#define PG_TENANCY_FDW_TRANSACTION_H

#ifndef POSTGRES_H
#include "../client/transaction.h"
#include "../guard.h"
#endif

namespace bridge
{

/* The local transaction's transaction on this server as this user; null if it has written nothing
 * there. */
Transaction *transaction_current(Oid server, Oid user);

/* A read in that transaction has failed, and so MongoDB has aborted it. */
void transaction_read_failed(Oid server, Oid user);

/* The transaction that transaction_current gives, begun if there is none.  Null if the server's option "transactions" is off: writes take
 * effect at once. */
Transaction *transaction_for_writes(Oid server, Oid user);

/*
 * Runs a command that writes, in the local transaction's transaction if the server has them.  The
 * reply belongs to the current memory context.
 */
const bson_t *transaction_write(Oid server, Oid user, const char *database, const bson_t *command,
								const char *what);

} // namespace bridge

#endif
