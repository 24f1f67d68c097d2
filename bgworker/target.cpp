/*
 * target.cpp — changes to rows.
 *
 * Rows are written through the executor's functions for replicated changes, below SQL: constraints, indexes, generated
 * columns and triggers do their work; row-level security does not, on purpose, because the mirror is no tenant and must
 * hold every tenant's rows.  Who may read them is decided by the table's policies.
 *
 * Defaults, constraints, index expressions and triggers are the table owner's code, so that they run as the table's owner
 * in a security-restricted operation, and what they set is undone: as the workers' role they could write to everybody's
 * mirrors.  A superuser's table is written as the workers' role instead, which can do less.
 *
 * A row is found by the key's index under a dirty snapshot, as a logical replication worker finds it: what another
 * session has not committed yet is waited for.  A row that would not change is left alone, so that a copy that is made
 * again costs what has really changed.
 */
#include "mirror.h"

namespace bridge
{

constexpr int load_rows = 1000;
constexpr Size load_bytes = 4 * 1024 * 1024;

struct BulkLoad
{
	TupleTableSlot *slots[load_rows];
	int count;
	Size bytes;
	BulkInsertState state;
	MemoryContext rows;
};

struct Target
{
	MirrorTable *table;
	Applier *applier;
	Relation relation;
	ResultRelInfo *result;
	Relation index;
	IndexScanDesc scan; /* null: not yet begun */
	SnapshotData dirty;
	TupleTableSlot *old_row;
	TupleTableSlot *new_row;
	BulkLoad *load; /* null: none */
};

struct Applier
{
	EState *estate;
	EPQState epq;
	bool careful;
	Oid caller; /* whom we were before we became the tables' owner */
	int caller_context;
	int settings; /* nest level: what triggers set ends with the applier */
	int count;
	Target targets[FLEXIBLE_ARRAY_MEMBER];
};

/* ---- opening and closing ---- */

static void
open_target(Applier *applier, Target *target, MirrorTable *table, int range_index)
{
	target->table = table;
	table->target_number = range_index - 1;
	target->applier = applier;
	target->result = makeNode(ResultRelInfo);
	InitResultRelInfo(target->result, target->relation, range_index, nullptr, 0);
	ExecOpenIndices(target->result, false);
	applier->estate->es_opened_result_relations =
		lappend(applier->estate->es_opened_result_relations, target->result);
	target->index = index_open(table->mapping->key_index, RowExclusiveLock);
	target->old_row = table_slot_create(target->relation, &applier->estate->es_tupleTable);
	target->new_row =
		ExecInitExtraTupleSlot(applier->estate, RelationGetDescr(target->relation), &TTSOpsVirtual);
	InitDirtySnapshot(target->dirty);
}

Oid
table_writer(const MirrorTable *table)
{
	return superuser_arg(table->owner) ? GetSessionUserId() : table->owner;
}

/* An error gives the caller back as well: the end of a transaction or subtransaction restores its user. */
static void
become_writer(Applier *applier, const MirrorTable *table)
{
	Oid writer = table_writer(table);

	GetUserIdAndSecContext(&applier->caller, &applier->caller_context);
	applier->settings = NewGUCNestLevel();
	if (writer != applier->caller)
		SetUserIdAndSecContext(writer, applier->caller_context | SECURITY_LOCAL_USERID_CHANGE |
										   SECURITY_RESTRICTED_OPERATION);
}

Applier *
applier_open(MirrorTable *const *tables, int count, LOCKMODE lock, bool careful)
{
	auto *applier =
		static_cast<Applier *>(palloc0(offsetof(Applier, targets) + sizeof(Target) * count));
	List *range_table = NIL;

	/* All locks first: behind them the definitions stand still, and a change of one has been noticed. */
	applier->careful = careful;
	for (int i = 0; i < count; i++)
	{
		applier->targets[i].relation = try_table_open(tables[i]->local, lock);
		if (!applier->targets[i].relation || stream_is_stale())
			return nullptr;
	}

	become_writer(applier, tables[0]);
	applier->count = count;
	applier->estate = CreateExecutorState();
	applier->estate->es_output_cid = GetCurrentCommandId(true);
	for (int i = 0; i < count; i++)
	{
		RangeTblEntry *entry = makeNode(RangeTblEntry);

		entry->rtekind = RTE_RELATION;
		entry->relid = tables[i]->local;
		entry->relkind = RELKIND_RELATION;
		entry->rellockmode = lock;
		range_table = lappend(range_table, entry);
	}
	tenancy_init_range_table(applier->estate, range_table);
	tenancy_init_epq(&applier->epq, applier->estate);
	for (int i = 0; i < count; i++)
		open_target(applier, &applier->targets[i], tables[i], i + 1);
	AfterTriggerBeginQuery();
	return applier;
}

void
applier_close(Applier *applier)
{
	AfterTriggerEndQuery(applier->estate);
	EvalPlanQualEnd(&applier->epq);
	for (int i = 0; i < applier->count; i++)
	{
		Target *target = &applier->targets[i];

		if (target->scan)
			index_endscan(target->scan);
		if (target->load)
			FreeBulkInsertState(target->load->state);
		index_close(target->index, NoLock);
		ExecCloseIndices(target->result);
	}
	ExecResetTupleTable(applier->estate->es_tupleTable, false);
	for (int i = 0; i < applier->count; i++)
		table_close(applier->targets[i].relation, NoLock);
	/* AFTER triggers may have opened more. */
	applier->estate->es_opened_result_relations = NIL;
	ExecCloseResultRelations(applier->estate);
	FreeExecutorState(applier->estate);
	AtEOXact_GUC(false, applier->settings);
	SetUserIdAndSecContext(applier->caller, applier->caller_context);
	pfree(applier);
}

Target *
applier_target(Applier *applier, const MirrorTable *table)
{
	int number = table->target_number;

	if (number >= applier->count || applier->targets[number].table != table)
		elog(ERROR, "table %u is not open", table->local);
	return &applier->targets[number];
}

/* ---- finding a row ---- */

/* Locks the row in old_row; false if it moved meanwhile and is to be looked for again. */
static bool
lock_row(Target *target)
{
	TM_FailureData failure;
	TM_Result result;

	PushActiveSnapshot(GetLatestSnapshot());
	result = table_tuple_lock(target->relation, &target->old_row->tts_tid, GetActiveSnapshot(),
							  target->old_row, GetCurrentCommandId(false), LockTupleExclusive,
							  LockWaitBlock, 0, &failure);
	PopActiveSnapshot();
	return result == TM_Ok;
}

/*
 * One look at the index; in "wait_for" the transaction that has the last word on the row.  The scan is one for all rows,
 * and what it allocates on its way must live as long: the caller's context lives as long as one row.
 */
static bool
scan_for_row(Target *target, ScanKey key, TransactionId *wait_for)
{
	MemoryContext caller = MemoryContextSwitchTo(target->applier->estate->es_query_cxt);
	bool found;

	if (!target->scan)
		target->scan = tenancy_index_beginscan(target->relation, target->index, &target->dirty, 1);
	index_rescan(target->scan, key, 1, nullptr, 0);
	found = index_getnext_slot(target->scan, ForwardScanDirection, target->old_row);
	MemoryContextSwitchTo(caller);
	if (!found)
		return false;
	*wait_for = TransactionIdIsValid(target->dirty.xmin) ? target->dirty.xmin : target->dirty.xmax;
	return true;
}

/* Finds the row with this key and leaves it in old_row. */
static bool
find_row(Target *target, Datum value)
{
	const Mapping *mapping = target->table->mapping;
	ScanKeyData key;

	ScanKeyEntryInitialize(&key, 0, 1, BTEqualStrategyNumber, InvalidOid, mapping->key_collation,
						   mapping->key_equal, value);
	for (;;)
	{
		TransactionId wait_for = InvalidTransactionId;

		CHECK_FOR_INTERRUPTS();
		if (!scan_for_row(target, &key, &wait_for))
			return false;
		if (TransactionIdIsValid(wait_for))
			XactLockTableWait(wait_for, nullptr, nullptr, XLTW_None);
		else if (!target->applier->careful || lock_row(target))
			return true;
	}
}

/* ---- writing a row ---- */

/* Fills the columns that documents do not: for a new row from the defaults. */
static void
fill_defaults(Target *target)
{
	const Mapping *mapping = target->table->mapping;
	ExprContext *context = GetPerTupleExprContext(target->applier->estate);
	TupleTableSlot *row = target->new_row;

	memset(row->tts_isnull, true, sizeof(bool) * row->tts_tupleDescriptor->natts);
	for (int i = 0; i < mapping->default_count; i++)
	{
		int column = mapping->default_columns[i] - 1;
		row->tts_values[column] =
			ExecEvalExpr(mapping->defaults[i], context, &row->tts_isnull[column]);
	}
}

/* … and for an existing one from itself. */
static void
keep_columns(Target *target)
{
	int count = target->new_row->tts_tupleDescriptor->natts;

	slot_getallattrs(target->old_row);
	memcpy(target->new_row->tts_values, target->old_row->tts_values, sizeof(Datum) * count);
	memcpy(target->new_row->tts_isnull, target->old_row->tts_isnull, sizeof(bool) * count);
}

/* Copies the converted document into the new row; true if that changes anything. */
static bool
fill_row(Target *target)
{
	const Mapping *mapping = target->table->mapping;
	TupleTableSlot *row = target->new_row;
	bool changed = false;

	for (int i = 0; i < mapping->foreign_natts; i++)
	{
		int column = mapping->to_local[i] - 1;
		Form_pg_attribute attribute;

		if (column < 0)
			continue;
		attribute = TupleDescAttr(row->tts_tupleDescriptor, column);
		if (!changed)
			changed =
				row->tts_isnull[column] != mapping->isnull[i] ||
				(!mapping->isnull[i] && !datum_image_eq(row->tts_values[column], mapping->values[i],
														attribute->attbyval, attribute->attlen));
		row->tts_values[column] = mapping->values[i];
		row->tts_isnull[column] = mapping->isnull[i];
	}
	return changed;
}

static ItemPointer
write_row(Target *target)
{
	Applier *applier = target->applier;
	const Mapping *mapping = target->table->mapping;

	ExecClearTuple(target->new_row);
	if (find_row(target, mapping->values[mapping->foreign_key - 1]))
	{
		keep_columns(target);
		if (!fill_row(target))
			return &target->old_row->tts_tid;
		ExecStoreVirtualTuple(target->new_row);
		ExecSimpleRelationUpdate(target->result, applier->estate, &applier->epq, target->old_row,
								 target->new_row);
	}
	else
	{
		fill_defaults(target);
		(void) fill_row(target);
		ExecStoreVirtualTuple(target->new_row);
		ExecSimpleRelationInsert(target->result, applier->estate, target->new_row);
	}
	return ItemPointerIsValid(&target->new_row->tts_tid) ? &target->new_row->tts_tid : nullptr;
}

static void
delete_row(Target *target, TupleTableSlot *row)
{
	ExecSimpleRelationDelete(target->result, target->applier->estate, &target->applier->epq, row);
}

/* A document that fits no longer leaves no older state of itself behind. */
static void
put_aside(Target *target, const bson_t *document, const Mismatch *mismatch, ClusterTime time)
{
	bson_iter_t id;
	Datum key;

	if (bson_iter_init_find(&id, document, "_id") &&
		mapping_convert_key(target->table->mapping, &id, &key) && find_row(target, key))
		delete_row(target, target->old_row);
	misfit_add(target->table, document, mismatch, time);
}

static void
take_back(Target *target, const bson_iter_t *id)
{
	if (target->table->misfits)
		misfit_remove(target->table, bson_value_text(id));
}

ItemPointer
target_upsert(Target *target, const bson_t *document, ClusterTime time)
{
	EState *estate = target->applier->estate;
	Mismatch mismatch;
	bson_iter_t id;
	ItemPointer where = nullptr;

	ResetPerTupleExprContext(estate);
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	if (mapping_convert(target->table->mapping, document, &mismatch))
	{
		where = write_row(target);
		if (bson_iter_init_find(&id, document, "_id"))
			take_back(target, &id);
	}
	else
		put_aside(target, document, &mismatch, time);
	MemoryContextSwitchTo(caller);
	return where;
}

bool
target_remove(Target *target, const bson_iter_t *id)
{
	EState *estate = target->applier->estate;
	bool found;
	Datum key;

	ResetPerTupleExprContext(estate);
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	found = mapping_convert_key(target->table->mapping, id, &key) && find_row(target, key);
	if (found)
		delete_row(target, target->old_row);
	take_back(target, id);
	MemoryContextSwitchTo(caller);
	return found;
}

ItemPointer
target_locate(Target *target, const bson_t *document)
{
	EState *estate = target->applier->estate;
	ItemPointer where = nullptr;
	bson_iter_t id;
	Datum key;

	ResetPerTupleExprContext(estate);
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	if (bson_iter_init_find(&id, document, "_id") &&
		mapping_convert_key(target->table->mapping, &id, &key) && find_row(target, key))
		where = &target->old_row->tts_tid;
	MemoryContextSwitchTo(caller);
	return where;
}

/* ---- removing what was not seen ---- */

/*
 * A bitmap of row addresses, by block.  It takes half a percent of the table's size, and does not forget.
 */
constexpr int set_bytes_of_block = (MaxHeapTuplesPerPage + 8) / 8;

struct TidSet
{
	uint8 *bits;
	BlockNumber blocks;
};

TidSet *
tid_set_create()
{
	return static_cast<TidSet *>(palloc0(sizeof(TidSet)));
}

void
tid_set_add(TidSet *set, ItemPointer tid)
{
	BlockNumber block = ItemPointerGetBlockNumber(tid);
	OffsetNumber offset = ItemPointerGetOffsetNumber(tid);

	if (block >= set->blocks)
	{
		BlockNumber blocks = Max(block + 1, set->blocks * 2);
		Size size = static_cast<Size>(blocks) * set_bytes_of_block;
		Size used = static_cast<Size>(set->blocks) * set_bytes_of_block;

		set->bits =
			static_cast<uint8 *>(set->bits ? repalloc_huge(set->bits, size)
										   : MemoryContextAllocHuge(CurrentMemoryContext, size));
		memset(set->bits + used, 0, size - used);
		set->blocks = blocks;
	}
	set->bits[static_cast<Size>(block) * set_bytes_of_block + offset / 8] |= 1 << (offset % 8);
}

bool
tid_set_has(const TidSet *set, ItemPointer tid)
{
	BlockNumber block = ItemPointerGetBlockNumber(tid);
	OffsetNumber offset = ItemPointerGetOffsetNumber(tid);

	return set && block < set->blocks &&
		   (set->bits[static_cast<Size>(block) * set_bytes_of_block + offset / 8] &
			(1 << (offset % 8)));
}

int64
target_remove_others(Target *target, TidSet *keep)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(target->relation, snapshot, 0, nullptr);
	TupleTableSlot *row = table_slot_create(target->relation, nullptr);
	int64 removed = 0;

	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		CHECK_FOR_INTERRUPTS();
		if (tid_set_has(keep, &row->tts_tid))
			continue;
		ResetPerTupleExprContext(target->applier->estate);
		delete_row(target, row);
		removed++;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
	UnregisterSnapshot(snapshot);
	return removed;
}

/* ---- loading in bulk ---- */

bool
target_is_empty(Target *target)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(target->relation, snapshot, 0, nullptr);
	TupleTableSlot *row = table_slot_create(target->relation, nullptr);
	bool empty = !table_scan_getnextslot(scan, ForwardScanDirection, row);

	ExecDropSingleTupleTableSlot(row);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	return empty;
}

bool
target_can_load(Target *target)
{
	const TriggerDesc *triggers = target->relation->trigdesc;

	return !triggers || (!triggers->trig_insert_before_row && !triggers->trig_insert_instead_row);
}

/* What is made here lives as long as the applier; the rows themselves until the next flush. */
static BulkLoad *
open_load(Target *target)
{
	EState *estate = target->applier->estate;
	MemoryContext caller = MemoryContextSwitchTo(estate->es_query_cxt);
	auto *load = static_cast<BulkLoad *>(palloc0(sizeof(BulkLoad)));

	load->state = GetBulkInsertState();
	load->rows =
		AllocSetContextCreate(CurrentMemoryContext, "tenancy mirror load", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < load_rows; i++)
		load->slots[i] =
			ExecInitExtraTupleSlot(estate, RelationGetDescr(target->relation), &TTSOpsVirtual);
	MemoryContextSwitchTo(caller);
	return load;
}

/* Completes the converted document in the next slot and checks it. */
static void
fill_slot(Target *target)
{
	const TupleConstr *constraints = RelationGetDescr(target->relation)->constr;
	EState *estate = target->applier->estate;

	target->new_row = target->load->slots[target->load->count];
	ExecClearTuple(target->new_row);
	fill_defaults(target);
	(void) fill_row(target);
	ExecStoreVirtualTuple(target->new_row);
	if (constraints && constraints->has_generated_stored)
		ExecComputeStoredGenerated(target->result, estate, target->new_row, CMD_INSERT);
	if (constraints)
		ExecConstraints(target->result, target->new_row, estate);
}

void
target_load(Target *target, const bson_t *document, ClusterTime time)
{
	Mismatch mismatch;

	if (!target->load)
		target->load = open_load(target);

	BulkLoad *load = target->load;
	MemoryContext caller = MemoryContextSwitchTo(load->rows);
	if (mapping_convert(target->table->mapping, document, &mismatch))
	{
		fill_slot(target);
		load->count++;
		load->bytes += document->len;
	}
	else
		misfit_add(target->table, document, &mismatch, time);
	MemoryContextSwitchTo(caller);
	if (load->count == load_rows || load->bytes >= load_bytes)
		target_load_flush(target);
}

void
target_load_flush(Target *target)
{
	BulkLoad *load = target->load;
	EState *estate = target->applier->estate;

	if (!load || load->count == 0)
		return;
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	table_multi_insert(target->relation, load->slots, load->count, GetCurrentCommandId(true),
					   TABLE_INSERT_SKIP_FSM, load->state);
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < load->count; i++)
	{
		List *recheck = NIL;

		if (target->result->ri_NumIndices > 0)
			recheck = tenancy_insert_index_tuples(target->result, load->slots[i], estate);
		ExecARInsertTriggers(estate, target->result, load->slots[i], recheck, nullptr);
		list_free(recheck);
		ExecClearTuple(load->slots[i]);
		ResetPerTupleExprContext(estate);
	}
	MemoryContextReset(load->rows);
	load->count = 0;
	load->bytes = 0;
}

} // namespace bridge
