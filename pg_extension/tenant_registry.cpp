/*
 * tenant_registry.cpp — what the context asks of the registry: does this tenant exist, is it active.
 *
 * The question comes with every set_tenant(), from roles that may not read tenancy.tenants, at connect and in
 * read-only transactions and standbys.  So the table is looked up by its primary key directly, without SPI: a few
 * microseconds.  The snapshot is a fresh one, whatever the isolation level: a suspension counts from its commit on.
 *
 * The tables' OIDs are kept until the relation cache says that they changed.  A change of a tenant's state sends the
 * same message for the whole table (tenancy_registry_changed() below), at which every backend looks at its own tenant
 * again.
 */
#include "tenancy.h"

namespace tenancy
{

/* Columns of tenancy.tenants; an update script may add some at the end, never reorder them. */
constexpr AttrNumber Anum_tenants_tenant_id = 1;
constexpr AttrNumber Anum_tenants_status = 6;

struct Registry
{
	Oid table;
	Oid primary_key;
};
static Registry registry;

static void
registry_invalidated(Datum, Oid relation)
{
	if (!OidIsValid(registry.table))
		return;
	if (relation == registry.table || relation == registry.primary_key || !OidIsValid(relation))
	{
		registry.table = InvalidOid;
		tenant_context_recheck();
	}
}

/* Finds the extension's own table: one of that name in a schema that somebody else made does not count. */
static bool
find_registry()
{
	static bool callback_registered;

	if (OidIsValid(registry.table))
		return true;
	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(registry_invalidated, (Datum) 0);
		callback_registered = true;
	}

	Oid schema = get_namespace_oid("tenancy", true);
	Oid table = OidIsValid(schema) ? get_relname_relid("tenants", schema) : InvalidOid;
	if (!OidIsValid(table))
		return false;
	Oid extension = getExtensionOfObject(RelationRelationId, table);
	if (!OidIsValid(extension) || extension != get_extension_oid("tenancy", true))
		return false;

	registry.primary_key = get_relname_relid("tenants_pkey", schema);
	registry.table = table;
	return true;
}

static TenantState
state_of_word(const char *word)
{
	if (strcmp(word, "active") == 0)
		return TenantState::active;
	if (strcmp(word, "suspended") == 0)
		return TenantState::suspended;
	if (strcmp(word, "inactive") == 0)
		return TenantState::inactive;
	return TenantState::provisioning;
}

TenantState
tenant_state(const char *id)
{
	if (!find_registry())
		return TenantState::no_registry;

	/* A copy: taking the locks may bring the message that clears it. */
	const Registry found = registry;
	Relation table = try_relation_open(found.table, AccessShareLock);
	if (!table)
		return TenantState::no_registry;
	Relation primary_key = index_open(found.primary_key, AccessShareLock);

	ScanKeyData key;
	ScanKeyEntryInitialize(&key, 0, Anum_tenants_tenant_id, BTEqualStrategyNumber, InvalidOid,
						   primary_key->rd_indcollation[0], F_TEXTEQ,
						   PointerGetDatum(cstring_to_text(id)));
	index_close(primary_key, AccessShareLock);

	SysScanDesc scan = systable_beginscan(table, found.primary_key, true, nullptr, 1, &key);
	HeapTuple tuple = systable_getnext(scan);
	TenantState state = TenantState::unknown;

	if (HeapTupleIsValid(tuple))
	{
		bool null;
		Datum status = heap_getattr(tuple, Anum_tenants_status, RelationGetDescr(table), &null);

		state = null ? TenantState::provisioning : state_of_word(TextDatumGetCString(status));
	}
	systable_endscan(scan);
	relation_close(table, AccessShareLock);
	return state;
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_registry_changed);

/* A trigger: some tenant's state changed, so every backend looks at its own again when this commits. */
PGDLLEXPORT Datum
tenancy_registry_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", "registry_changed")));

	auto *trigger = reinterpret_cast<TriggerData *>(fcinfo->context);
	CacheInvalidateRelcache(trigger->tg_relation);
	return (Datum) 0;
}
}
