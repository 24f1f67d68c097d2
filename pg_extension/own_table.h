/*
 * own_table.h — the extension's own tables, read without SPI.
 */
#ifndef PG_TENANCY_OWN_TABLE_H
#define PG_TENANCY_OWN_TABLE_H

#include "pg.h"

namespace tenancy
{

/* A table of the schema "tenancy" that is looked up by a text key.  Static; own_table.cpp fills it. */
struct OwnTable
{
	const char *name;
	const char *index; /* its primary key */
	Oid table;
	Oid primary_key;
	uint64 generation; /* grows whenever the table's contents may have changed */
	OwnTable *next;
};

/* Hears of changes from now on; from _PG_init. */
void own_table_register(OwnTable *own);

/* False if the extension is not installed in this database. */
bool find_own_table(OwnTable *own);

/* What is to be done with a row, while the table is open. */
using RowVisitor = void (*)(HeapTuple row, TupleDesc descriptor, void *state);

/* The row of a key; false if there is none. */
bool visit_own_row(OwnTable *own, const char *key, RowVisitor visit, void *state);

/* Every row. */
void visit_own_rows(OwnTable *own, RowVisitor visit, void *state);

} // namespace tenancy

#endif
