/*
 * spare.h — a ready schema, between the pool that keeps it (warm_pool.cpp) and its hand-over to a tenant.
 */
#ifndef PG_TENANCY_SPARE_H
#define PG_TENANCY_SPARE_H

#include "tenancy.h"

namespace tenancy
{

/* A column with rows in which the script wrote @tenant@. */
struct TenantColumn
{
	const char *table;
	const char *column;
};

/* A spare, as its row says. */
struct Spare
{
	const char *schema;
	const char *placeholder;
	List *columns; /* of TenantColumn */
};

/* spare_handover.cpp */
void hand_over(const TenantSchema &schema, const Spare &spare);

/* The part of it that may fail because of what the script made: policies, defaults and rows get their tenant. */
void bind_spare(const TenantSchema &schema, const Spare &spare);

/* Has the hand-over find room for the rows of the catalogs that it changes. */
void leave_room(const TenantSchema &schema, const Spare &spare);

/* Once that is committed: has the pages cleared of what was there before. */
void settle_spare();

} // namespace tenancy

#endif
