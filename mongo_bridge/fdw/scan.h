/*
 * scan.h — a running scan: what scan.cpp and async_scan.cpp share.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_FDW_SCAN_H
#define PG_TENANCY_FDW_SCAN_H

#ifndef POSTGRES_H
#include "../client/cursor.h"
#endif
#include "bson_datum.h"
#include "fdw.h"

namespace bridge
{

/* ForeignScanState.fdw_state */
struct Scan
{
	Relation table;
	TableOptions options;
	const char *database; /* as the option gives it; in "options" it is the tenant's */
	Oid server;
	Oid user;
	ColumnMap *columns;
	FindCommand find;
	List *operand_states;	  /* of ExprState */
	Operand *look_up;		  /* that a join gives, as "keys"; null: none */
	Datum keys;
	AttrNumber *slot_columns; /* by the slot's position; null: the slot is the table's */
	int slot_width;
	GroupReader *groups; /* null: rows are documents */
	Tuplestorestate *gathered; /* the groups of the quick command; null: none */
	TupleTableSlot *gathered_slot;
	Datum *values; /* of a whole row, if the slot is not */
	bool *nulls;

	bool asynchronous;		   /* it waits together with others (async_scan.cpp) */

	/* From the start of a scan to its end or the next rescan. */
	MemoryContext context;
	CursorHome *home;
	GroupTry attempt; /* how groups are asked for */
	bool started;
	bool finished;
	bool seen;	   /* a document has come */
	bool returned; /* a row has been given */

	/* While an asynchronous one is on its way. */
	const bson_t *command; /* that is to open the cursor; null: it has */
	bool sent;			   /* the command has gone out */
	bool ready;			   /* behind the batch in hand there is more, or what there is must be waited for */
	bool kept;			   /* over a connection that was there before */
	TimestampTz sent_at;
};

/* Takes what the scan asks with, the tenant and the operands; false if there is nothing to ask for. */
bool scan_prepare(ForeignScanState *node, Scan *scan);

/* The command that opens the cursor; null if no document can match. */
bson_t *scan_command(Scan *scan);

/* Opens the cursor, with what was prepared, and waits for it; groups are read whole. */
void scan_open(ForeignScanState *node, Scan *scan);

/* By one command, on a connection that may have to be made. */
void open_cursor(Scan *scan, const bson_t *command);

/* Whether a command that has failed is worth a second try, over a new connection. */
bool worth_another_try(const Failure *failure, bool broken, bool kept, TimestampTz started);

/* What errors call the collection that is read, and how large its batches are. */
const char *collection_words(const Scan *scan);
int later_batch_size(const Scan *scan);

/* async_scan.cpp: takes the reply to a command that was sent without waiting. */
void finish_cursor(Scan *scan, const bson_t *command);

} // namespace bridge

#endif
