/*
 * option.h — the options of servers, user mappings, foreign tables and their columns: the one place that knows them.
 *
 *   server         hosts, replica_set, credentials, tls, read_preference, connect_timeout, server_selection_timeout,
 *                  socket_timeout (milliseconds), application_name, transactions, updatable,
 *                  async_capable
 *   user mapping   credentials
 *   foreign table  database, collection, tenant_field, batch_size, pushdown, updatable, truncatable, unnest,
 *                  async_capable
 *   column         path, document ('true': the whole document), rest ('true': what no other column holds),
 *                  object_id ('true': written as an ObjectId)
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_OPTION_H
#define PG_TENANCY_FDW_OPTION_H

#ifndef POSTGRES_H
#include "../client/client.h"
#include "../guard.h"
#endif

namespace bridge
{

/* A foreign table's options; strings live in the current memory context. */
struct TableOptions
{
	const char *database; /* as it is given: route_database() makes a name of it */
	const char *collection;
	const char *tenant_field; /* null: documents are everybody's */
	bool routed;			  /* the database follows the tenant */
	int batch_size;			  /* documents of a batch; 0: not given */
	const char *read_concern; /* the table's, else the server's; null: neither has one */
	bool pushdown;			  /* false: every condition is evaluated here */
	bool updatable;			  /* may be written, by its own option or else the server's */
	bool truncatable;		  /* TRUNCATE may delete all documents */
	const char *unnest;		  /* path of an array: a row is one of its elements; null: a document */
	bool async_capable;		  /* its scans may wait together with others */
};

/* A column's options. */
struct ColumnOptions
{
	const char *path; /* the option, else the column's name */
	bool document;	  /* the column holds the whole document */
	bool rest;		  /* the column holds the fields that no other column holds */
	bool object_id;	  /* its text is written as an ObjectId */

	/* Whether it is read from one field. */
	bool
	is_field() const
	{
		return !document && !rest;
	}
};

/* Whether what the table shows depends on the tenant in force. */
inline bool
follows_tenant(const TableOptions *options)
{
	return options->tenant_field != nullptr || options->routed;
}

TableOptions table_options(Oid foreign_table);
ColumnOptions column_options(Oid foreign_table, AttrNumber attribute);

/*
 * The options of a server as a user sees them: the mapping's credentials before the server's.  A user without a mapping
 * gets the server's own credentials.  Secrets are read from tenancy_mongo.credentials_file, never from the catalogue.
 */
ConnectionOptions server_options(Oid server, Oid user);

/* An ERROR unless an option's value is a path. */
void check_path(const char *name, const char *value);

/* A server of this wrapper by its name; the second one is an error unless the current user has USAGE on it. */
ForeignServer *mongo_server(const char *name);
ForeignServer *usable_server(const char *name);

/* Whether writes belong to a transaction of MongoDB. */
bool server_has_transactions(Oid server);

/* The user's mapping for a server, else the one for PUBLIC, else InvalidOid. */
Oid user_mapping_id(Oid server, Oid user);

} // namespace bridge

#endif
