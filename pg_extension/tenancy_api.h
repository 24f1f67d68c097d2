/*
 * tenancy_api.h — what tenancy.so offers to other libraries of the server process.
 *
 * tenancy_mongo.so must know the tenant in force without linking against tenancy.so.  It finds this table of functions
 * by the rendezvous variable "tenancy_api", as plpgsql's plug-ins find theirs.
 */
#ifndef PG_TENANCY_TENANCY_API_H
#define PG_TENANCY_TENANCY_API_H

#include "pg.h"

enum TenancyWorkerKind
{
	TENANCY_SUPERVISOR,			/* of mirrors: one a database */
	TENANCY_APPLY_WORKER,		/* one a foreign server */
	TENANCY_REGISTRY_WORKER,	/* one a foreign server whose registry acts */
	TENANCY_ROLLOUT_SUPERVISOR, /* one a database */
	TENANCY_ROLLOUT_WORKER,		/* some for each rollout that runs */
	TENANCY_POOL_WORKER,		/* one a database */
	TENANCY_COPY_WORKER			/* some beside an apply worker, while it copies */
};

/* The start of a worker's bgw_extra; its argument is its database. */
struct TenancyWorkerArguments
{
	Oid role;	/* which it connects as */
	Oid server; /* the foreign server that it serves, if it is one server's */
};

struct TenancyApi
{
	int version; /* TENANCY_API_VERSION of the library that filled it */

	/* The tenant in force, or null.  The string is valid until the setting changes. */
	const char *(*current_tenant)(void);

	/*
	 * At commit, wakes the launcher and this database's workers: a mirror was made, changed or removed.
	 */
	void (*wake_launcher)(void);

	/* At commit, wakes this database's workers: there is something for one of them to do. */
	void (*wake_workers)(void);

	/*
	 * A worker enters itself before it connects to its database.  False: somebody needs the database without us, or
	 * has a supervisor already; the worker exits.
	 */
	bool (*worker_enter)(Oid database, enum TenancyWorkerKind kind, Oid server);

	/*
	 * A worker says when it last was level with its server, and up to which of the server's times it has applied
	 * everything; a backend asks, and gets 0 if there is no such worker, or waits, and gets false after the timeout.
	 */
	void (*worker_set_level)(TimestampTz when, uint64 applied);
	bool (*worker_wait)(Oid server, uint64 applied, long timeout_ms);
	pid_t (*worker_look_up)(Oid server, enum TenancyWorkerKind kind, TimestampTz *level_at);

	/* A supervisor tells the launcher whether its database has any work for its service. */
	void (*supervisor_report)(bool has_work);

	/* Grows whenever a mirror changes: a worker that sees another number reads the catalogue again. */
	uint64 (*mirror_generation)(void);
};

#define TENANCY_API_VERSION 1
#define TENANCY_API_RENDEZVOUS "tenancy_api"

#endif
