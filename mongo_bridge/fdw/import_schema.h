/*
 * import_schema.h — IMPORT FOREIGN SCHEMA.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_IMPORT_SCHEMA_H
#define PG_TENANCY_FDW_IMPORT_SCHEMA_H

#ifndef POSTGRES_H
#include "../guard.h"
#endif

namespace bridge
{

List *import_foreign_schema(ImportForeignSchemaStmt *statement, Oid server);

} // namespace bridge

#endif
