/*
 * analyze.h — ANALYZE of foreign tables, and what planning makes of it.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_ANALYZE_H
#define PG_TENANCY_FDW_ANALYZE_H

#ifndef POSTGRES_H
#include "../client/client.h"
#include "../guard.h"
#endif
#include "option.h"

namespace bridge
{

bool analyze_foreign_table(Relation table, AcquireSampleRowsFunc *sample, BlockNumber *pages);

/* Which part of a collection's documents one tenant has, from the statistics of the tenant's column; 0: unknown. */
double tenant_fraction(Oid foreign_table, AttrNumber natts, const TableOptions *options,
					   double tuples);

} // namespace bridge

#endif
