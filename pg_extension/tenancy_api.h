/*
 * tenancy_api.h — what tenancy.so offers to other libraries of the server process.
 *
 * tenancy_mongo.so must know the tenant in force without linking against tenancy.so.  It finds this table of functions
 * by the rendezvous variable "tenancy_api", as plpgsql's plug-ins find theirs.
 */
#ifndef PG_TENANCY_TENANCY_API_H
#define PG_TENANCY_TENANCY_API_H

#include "pg.h"

struct TenancyApi
{
	int version; /* TENANCY_API_VERSION of the library that filled it */

	/* The tenant in force, or null.  The string is valid until the setting changes. */
	const char *(*current_tenant)(void);

	/* Wakes the launcher: a database gained or lost a mirror. */
	void (*wake_launcher)(void);
};

#define TENANCY_API_VERSION 1
#define TENANCY_API_RENDEZVOUS "tenancy_api"

#endif
