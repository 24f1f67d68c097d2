/*
 * own_table.cpp — the extension's own tables, read without SPI.
 *
 * The context asks them at every set_tenant(), from roles that may not read them, at connect and in read-only
 * transactions and standbys.  So a row is looked up by its primary key directly, in a few microseconds.  The snapshot is
 * a fresh one, whatever the isolation level: a suspension, or a revoked key, counts from its commit on.
 *
 * The tables' OIDs are kept until the relation cache says that they changed.  A trigger of each table sends the same
 * message for the whole table when its rows change in a way that matters (tenancy_registry_changed() below), at which
 * every backend forgets what it knew.
 */
#include "own_table.h"
#include "tenant_context.h"

namespace tenancy
{

static OwnTable *own_tables;

static void
table_invalidated(Datum, Oid relation)
{
	for (OwnTable *own = own_tables; own; own = own->next)
	{
		if (!OidIsValid(own->table))
			continue;
		if (relation == own->table || relation == own->primary_key || !OidIsValid(relation))
		{
			own->table = InvalidOid;
			own->generation++;
			unsettle();
		}
	}
}

void
own_table_register(OwnTable *own)
{
	own->generation = 1;
	own->next = own_tables;
	own_tables = own;
}

/* Finds the extension's own table: one of that name in a schema that somebody else made does not count. */
bool
find_own_table(OwnTable *own)
{
	static bool callback_registered;

	if (OidIsValid(own->table))
		return true;
	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(table_invalidated, (Datum) 0);
		callback_registered = true;
	}

	Oid schema = get_namespace_oid("tenancy", true);
	Oid table = OidIsValid(schema) ? get_relname_relid(own->name, schema) : InvalidOid;
	if (!OidIsValid(table))
		return false;
	Oid extension = getExtensionOfObject(RelationRelationId, table);
	if (!OidIsValid(extension) || extension != get_extension_oid("tenancy", true))
		return false;

	own->primary_key = get_relname_relid(own->index, schema);
	own->table = table;
	return true;
}

bool
visit_own_row(OwnTable *own, const char *key, RowVisitor visit, void *state)
{
	/* A copy: taking the locks may bring the message that clears it. */
	const OwnTable found = *own;
	Relation table = try_relation_open(found.table, AccessShareLock);

	if (!table)
		return false;
	Relation primary_key = index_open(found.primary_key, AccessShareLock);
	ScanKeyData scan_key;
	ScanKeyEntryInitialize(&scan_key, 0, 1, BTEqualStrategyNumber, InvalidOid, primary_key->rd_indcollation[0], F_TEXTEQ,
						   PointerGetDatum(cstring_to_text(key)));
	index_close(primary_key, AccessShareLock);

	SysScanDesc scan = systable_beginscan(table, found.primary_key, true, nullptr, 1, &scan_key);
	HeapTuple row = systable_getnext(scan);
	bool present = HeapTupleIsValid(row);
	if (present)
		visit(row, RelationGetDescr(table), state);
	systable_endscan(scan);
	relation_close(table, AccessShareLock);
	return present;
}

void
visit_own_rows(OwnTable *own, RowVisitor visit, void *state)
{
	Relation table = try_relation_open(own->table, AccessShareLock);
	HeapTuple row;

	if (!table)
		return;
	SysScanDesc scan = systable_beginscan(table, InvalidOid, false, nullptr, 0, nullptr);
	while (HeapTupleIsValid(row = systable_getnext(scan)))
		visit(row, RelationGetDescr(table), state);
	systable_endscan(scan);
	relation_close(table, AccessShareLock);
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_registry_changed);

/* A trigger: rows changed that contexts depend on, so every backend looks at its own again when this commits. */
PGDLLEXPORT Datum
tenancy_registry_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("function \"%s\" was not called by trigger manager", "registry_changed")));

	auto *trigger = reinterpret_cast<TriggerData *>(fcinfo->context);
	CacheInvalidateRelcache(trigger->tg_relation);
	return (Datum) 0;
}
}
