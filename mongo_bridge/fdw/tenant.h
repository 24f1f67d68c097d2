/*
 * tenant.h — the tenant in force, as tenancy.so knows it.
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

} // namespace bridge

#endif
