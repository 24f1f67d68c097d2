/*
 * modify.h — what the two ways of writing share: row by row (modify.cpp) and by one command (direct_modify.cpp).
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_MODIFY_H
#define PG_TENANCY_FDW_MODIFY_H

#include "fdw.h"
#include "row_document.h"

namespace bridge
{

/* ResultRelInfo.ri_FdwState */
struct Modify
{
	Relation table;
	TableOptions options;
	Oid server;
	Oid user;
	CmdType operation;
	const char *tenant;
	RowWriter *writer;
	Bitmapset *columns; /* that the UPDATE names */
	EState *estate;
	MemoryContext row_context; /* reset with every row */

	/* Row by row */
	bool skip_duplicates; /* ON CONFLICT DO NOTHING */
	bool deferred;		  /* nothing is sent before the end */
	AttrNumber id;		  /* of the plan's row */
	AttrNumber old_row;
	bool by_trigger; /* a trigger may change other columns */
	Document *batch;
	int count;
	int batch_size;
	BufFile *waiting; /* batches that are full; null: none */
	int waiting_count;

	/* By one command */
	List *set;			  /* of ExprState: the columns' new values, by number … */
	List *set_columns;	  /* … of these attributes */
	bool read;			  /* the rows are looked at first */
	bool counted;		  /* the statement's own rows */
	TupleTableSlot *slot; /* of the table */
};

/* Checks that the table may be written, and takes the tenant. */
Modify *modify_begin(ResultRelInfo *relation, EState *estate, CmdType operation);

/* "update" and "updates", and so on. */
const char *modify_verb(CmdType operation);
const char *modify_operations_key(CmdType operation);

/* Sends an array of operations in the transaction of MongoDB, and returns the reply. */
const bson_t *modify_send(const Modify *modify, CmdType operation, const bson_t *operations);

/* NOT NULL and CHECK: the server leaves them to the foreign side, which does not know them. */
void modify_check_constraints(ResultRelInfo *relation, TupleTableSlot *slot, EState *estate);

} // namespace bridge

#endif
