/*
 * catalogue_row.h — rows of the extension's catalogue, read and written without SPI.
 */
#ifndef PG_TENANCY_CATALOGUE_ROW_H
#define PG_TENANCY_CATALOGUE_ROW_H

#include "pg.h"

namespace tenancy
{

/* Opens a table of the schema "tenancy"; table_close() closes it. */
Relation open_catalogue(const char *name, LOCKMODE lock);

/* Every row that has a key in an index's first column. */
using CatalogueVisitor = void (*)(HeapTuple row, TupleDesc columns, void *state);
void visit_catalogue(const char *table, const char *index, const char *key, CatalogueVisitor visit, void *state);

/* A column as text, or null. */
char *catalogue_column(HeapTuple row, TupleDesc columns, const char *name);

/* Locks the newest version of the row of a primary key, and returns it; null if there is none. */
HeapTuple lock_catalogue_row(Relation table, const char *primary_key, const char *key, LockTupleMode mode);

/* Locks the last row of a key, in the order of an index, that nobody else has locked and that a test accepts. */
using CatalogueTest = bool (*)(HeapTuple row, TupleDesc columns);
HeapTuple lock_last_free_row(Relation table, const char *index, const char *key, CatalogueTest accepts);

/* Somebody's trigger wants to hear of rows that come, so that they must come by a statement. */
bool has_alien_triggers(Relation table);

/* What a row holds; the columns that are not named are NULL. */
struct CatalogueValue
{
	const char *column;
	Datum value;
};
void insert_catalogue_row(Relation table, const CatalogueValue *values, int count);

} // namespace tenancy

#endif
