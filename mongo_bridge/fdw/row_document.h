/*
 * row_document.h — from rows to documents and to the operators that change them; the tenant's word
 * in both.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_ROW_DOCUMENT_H
#define PG_TENANCY_FDW_ROW_DOCUMENT_H

#ifndef POSTGRES_H
#include "../bson/document.h"
#include "../guard.h"
#endif
#include "option.h"

namespace bridge
{

struct RowWriter;

/* "tenant" is the tenant in force, null for a table without tenant_field. */
RowWriter *row_writer_build(Relation foreign_table, const TableOptions *options, const char *tenant,
							MemoryContext context);

/*
 * The document of a new row.  What MongoDB would not give back as it is changes in the slot: a
 * generated _id, the tenant that was filled in, times cut to milliseconds.  The document is valid
 * until the next call.
 */
const bson_t *row_writer_insert(RowWriter *writer, TupleTableSlot *slot);

/*
 * An update's operators, or the new document, for the columns that were assigned.  "id" is a document with the _id alone;
 * "old_rest" what the column row_writer_rest() held before.  Both may be null if nothing is assigned that holds a document.
 */
const bson_t *row_writer_update(RowWriter *writer, TupleTableSlot *slot, Bitmapset *columns,
								const bson_t *id, const NullableDatum *old_rest);

/* The column for what no other column holds; InvalidAttrNumber: there is none. */
AttrNumber row_writer_rest(const RowWriter *writer);

/* {_id: …} and the tenant. */
void row_writer_filter(RowWriter *writer, bson_t *filter, const bson_t *id);

} // namespace bridge

#endif
