/*
 * known_table.h — what a session remembers of foreign tables.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_KNOWN_TABLE_H
#define PG_TENANCY_FDW_KNOWN_TABLE_H

#include "fdw.h"

namespace bridge
{

/* Whether the table's collection has been found in a database; a tenant's says nothing of another's. */
bool collection_is_known(Oid foreign_table, const char *database);
void remember_collection(Oid foreign_table, const char *database);

/* The way that the groups of a grouping's item were got at last; the quickest where nothing is known. */
GroupTry known_group_try(Oid foreign_table, List *item);
void remember_group_try(Oid foreign_table, List *item, GroupTry attempt);

} // namespace bridge

#endif
