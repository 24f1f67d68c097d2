/*
 * tenant.h — the tenant in force, as tenancy.so knows it, and the database that is the tenant's.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_TENANT_H
#define PG_TENANCY_FDW_TENANT_H

#include "pg.h"

namespace bridge
{

/* Null if there is none; an ERROR if the library tenancy is not loaded.  Valid until the setting
 * changes. */
const char *current_tenant();

/*
 * A database's name of MongoDB: with the tenant in force where "pattern" says {tenant}, else the pattern as it is.  Without a
 * tenant, or with one that cannot be part of a name, an ERROR.  In the current memory context.
 */
inline constexpr char tenant_placeholder[] = "{tenant}";
inline constexpr size_t max_database_name = 63;

const char *route_database(const char *pattern);

} // namespace bridge

#endif
