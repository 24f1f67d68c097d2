/*
 * catalogue_row.cpp — rows of the extension's catalogue, read and written without SPI.
 *
 * Where a ready schema is given away, planning would be most of the work: the schema's new name has every session plan each
 * query anew that it keeps, foreign keys' included.  So that path reads and writes rows as the server does with those of its
 * own catalogs.  A row that is inserted here meets indexes and unique constraints.  What the caller has to see to: that its
 * checks hold, and that the rows which its foreign keys name are locked, as the keys' triggers would lock them.
 */
#include "catalogue_row.h"

namespace tenancy
{

Relation
open_catalogue(const char *name, LOCKMODE lock)
{
	Oid table = get_relname_relid(name, get_namespace_oid("tenancy", false));

	if (!OidIsValid(table))
		elog(ERROR, "table \"%s\" of the catalogue does not exist", name);
	return table_open(table, lock);
}

static Oid
find_index(Relation table, const char *name)
{
	Oid index = get_relname_relid(name, RelationGetNamespace(table));

	if (!OidIsValid(index))
		elog(ERROR, "index \"%s\" of the catalogue does not exist", name);
	return index;
}

/* The key of an index's first column, for a scan by index; systable_beginscan() wants the table's column. */
static ScanKeyData
key_of_index(Relation table, Oid index, const char *key)
{
	HeapTuple row = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	ScanKeyData scan_key;

	if (!HeapTupleIsValid(row))
		elog(ERROR, "cache lookup failed for index %u", index);
	AttrNumber attribute = reinterpret_cast<Form_pg_index>(GETSTRUCT(row))->indkey.values[0];
	ReleaseSysCache(row);
	ScanKeyEntryInitialize(&scan_key, 0, attribute, BTEqualStrategyNumber, InvalidOid,
						   TupleDescAttr(RelationGetDescr(table), attribute - 1)->attcollation,
						   F_TEXTEQ, CStringGetTextDatum(key));
	return scan_key;
}

void
visit_catalogue(const char *table_name, const char *index_name, const char *key, CatalogueVisitor visit, void *state)
{
	Relation table = open_catalogue(table_name, AccessShareLock);
	Oid index = find_index(table, index_name);
	ScanKeyData scan_key = key_of_index(table, index, key);
	SysScanDesc scan = systable_beginscan(table, index, true, nullptr, 1, &scan_key);
	HeapTuple row;

	while (HeapTupleIsValid(row = systable_getnext(scan)))
		visit(row, RelationGetDescr(table), state);
	systable_endscan(scan);
	table_close(table, AccessShareLock);
}

char *
catalogue_column(HeapTuple row, TupleDesc columns, const char *name)
{
	return SPI_getvalue(row, columns, SPI_fnumber(columns, name));
}

/* Locks a version of a row, or the newest one that came of it; null if that is not to be had. */
static HeapTuple
lock_version(Relation table, ItemPointerData version, LockTupleMode mode, LockWaitPolicy wait)
{
	uint8 flags = wait == LockWaitBlock ? TUPLE_LOCK_FLAG_FIND_LAST_VERSION : 0;
	TupleTableSlot *slot = table_slot_create(table, nullptr);
	TM_FailureData failure;
	HeapTuple locked = nullptr;

	TM_Result result = table_tuple_lock(table, &version, GetActiveSnapshot(), slot, GetCurrentCommandId(true), mode,
										wait, flags, &failure);
	if (result == TM_Ok)
		locked = ExecCopySlotHeapTuple(slot);
	else if (result != TM_Updated && result != TM_Deleted && result != TM_WouldBlock)
		elog(ERROR, "could not lock a row of \"%s\": %d", RelationGetRelationName(table), result);
	ExecDropSingleTupleTableSlot(slot);
	return locked;
}

HeapTuple
lock_catalogue_row(Relation table, const char *primary_key, const char *key, LockTupleMode mode)
{
	Oid index = find_index(table, primary_key);
	ScanKeyData scan_key = key_of_index(table, index, key);
	SysScanDesc scan = systable_beginscan(table, index, true, nullptr, 1, &scan_key);
	HeapTuple row = systable_getnext(scan);
	ItemPointerData version;

	if (HeapTupleIsValid(row))
		version = row->t_self;
	systable_endscan(scan);
	return HeapTupleIsValid(row) ? lock_version(table, version, mode, LockWaitBlock) : nullptr;
}

HeapTuple
lock_last_free_row(Relation table, const char *index_name, const char *key, CatalogueTest accepts)
{
	Relation index = index_open(find_index(table, index_name), AccessShareLock);
	ScanKeyData scan_key = key_of_index(table, RelationGetRelid(index), key);
	SysScanDesc scan = systable_beginscan_ordered(table, index, nullptr, 1, &scan_key);
	HeapTuple row, locked = nullptr;

	while (!locked && HeapTupleIsValid(row = systable_getnext_ordered(scan, BackwardScanDirection)))
		if (accepts(row, RelationGetDescr(table)))
			locked = lock_version(table, row->t_self, LockTupleExclusive, LockWaitSkip);
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	return locked;
}

/* Foreign keys' are the caller's to replace, and those of the extension are for dumps. */
bool
has_alien_triggers(Relation table)
{
	for (int i = 0; table->trigdesc && i < table->trigdesc->numtriggers; i++)
	{
		const Trigger &trigger = table->trigdesc->triggers[i];

		if (!trigger.tgisinternal &&
			get_func_namespace(trigger.tgfoid) != RelationGetNamespace(table))
			return true;
	}
	return table->rd_rel->relhasrules;
}

void
insert_catalogue_row(Relation table, const CatalogueValue *values, int count)
{
	TupleTableSlot *slot = table_slot_create(table, nullptr);
	EState *estate = CreateExecutorState();
	auto *target = makeNode(ResultRelInfo);

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	for (int i = 0; i < count; i++)
	{
		int column = SPI_fnumber(RelationGetDescr(table), values[i].column) - 1;

		if (column < 0)
			elog(ERROR, "column \"%s\" of \"%s\" does not exist", values[i].column, RelationGetRelationName(table));
		slot->tts_values[column] = values[i].value;
		slot->tts_isnull[column] = false;
	}
	ExecStoreVirtualTuple(slot);

	InitResultRelInfo(target, table, 0, nullptr, 0);
	ExecOpenIndices(target, false);
	simple_table_tuple_insert(table, slot);
	if (target->ri_NumIndices > 0)
		(void) tenancy_insert_index_tuples(target, slot, estate);
	ExecCloseIndices(target);
	ExecDropSingleTupleTableSlot(slot);
	FreeExecutorState(estate);
}

} // namespace tenancy
