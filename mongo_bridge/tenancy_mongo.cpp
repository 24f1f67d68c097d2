/*
 * tenancy_mongo.cpp — the table of contents of tenancy_mongo.so.
 *
 *   bson/, client/   pure C++: documents, connections, cursors, change streams; they know nothing of PostgreSQL
 *   fdw/             the foreign data wrapper, in postgres_fdw's file names
 *   stored_logic/    what is installed in MongoDB: validators and indexes, one JSON file a collection
 *   registry/        the tenant registry that lives in MongoDB and acts here
 *   ../bgworker/     the mirror: supervisor, apply worker, initial sync; and the registry's worker
 *
 * The library is mapped by the backends and workers that touch MongoDB, never by the postmaster.
 */
#include <mongoc/mongoc.h>

#include "client/client.h"
#include "fdw/connection.h"
#include "guard.h"
#include "tenancy_mongo.h"

namespace bridge
{
char *credentials_file = nullptr;
}

extern "C"
{
PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	/* Where the secrets are is the server's affair: a session cannot point it elsewhere. */
	DefineCustomStringVariable("tenancy_mongo.credentials_file",
							   "File that holds the credentials which servers and user mappings name.",
							   "Relative paths start at the data directory.  The file must not be "
							   "readable by group or others.",
							   &bridge::credentials_file, "tenancy_mongo.conf", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
	bridge::mirror_init();
	bridge::modify_init();
	bridge::look_up_init();
	MarkGUCPrefixReserved("tenancy_mongo");
}
}
