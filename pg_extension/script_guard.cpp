/*
 * script_guard.cpp — what a system's script cannot reach: the tables of other tenants, and the session that runs it.
 *
 * A script runs as tenancy_owner, who owns the tables of every tenant, and with its tenant in force: policies show it that
 * one's rows.  An owner may do more than read, though.  So while the script of one tenant runs, it neither changes, drops nor
 * truncates the tables that are protected for another one or by a column, nor their policies, nor makes triggers and rules
 * on them.  A tenant's name mistyped in a script is an error.
 *
 * A session goes on when the script is over, often as a superuser.  Deferred triggers that the script has made and queued
 * would run as that superuser when the transaction commits, so they run before the script ends; and temporary objects,
 * which come first in the search path, may not be left.
 */
#include "tenancy.h"

namespace tenancy
{

static ScriptScope scope;

static object_access_hook_type previous_object_access;

ScriptScope
guard_script(const char *tenant)
{
	ScriptScope before = scope;

	strlcpy(scope.tenant, tenant, sizeof(scope.tenant));
	scope.nest_level = GetCurrentTransactionNestLevel();
	return before;
}

static void
run(const char *sql)
{
	int result = SPI_execute(sql, false, 0);

	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", sql, SPI_result_code_string(result));
}

/* The first of these that the script's role owns. */
static Oid
find_own(List *objects, int cache, AttrNumber owner_attribute)
{
	ListCell *cell;

	foreach (cell, objects)
	{
		HeapTuple row = SearchSysCache1(cache, ObjectIdGetDatum(lfirst_oid(cell)));
		bool null;

		if (!HeapTupleIsValid(row))
			continue;
		Oid owner = DatumGetObjectId(SysCacheGetAttr(cache, row, owner_attribute, &null));
		ReleaseSysCache(row);
		if (owner == GetUserId())
			return lfirst_oid(cell);
	}
	return InvalidOid;
}

/* What the script's role has in the session's temporary schema, a relation or a function; null if nothing. */
static const char *
temporary_object()
{
	Oid schema, toast_schema;

	GetTempNamespaceState(&schema, &toast_schema);
	if (!OidIsValid(schema))
		return nullptr;
	Oid relation = find_own(objects_of_schema(schema, RelationRelationId), RELOID, Anum_pg_class_relowner);
	if (OidIsValid(relation))
		return get_rel_name(relation);
	Oid function = find_own(objects_of_schema(schema, ProcedureRelationId), PROCOID, Anum_pg_proc_proowner);
	return OidIsValid(function) ? get_func_name(function) : nullptr;
}

/* Still as the script's role. */
void
release_script(const ScriptScope &before)
{
	run("SET CONSTRAINTS ALL IMMEDIATE");
	const char *left = temporary_object();
	if (left)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a system's script cannot leave temporary objects"),
						errdetail("It has left \"%s\", which comes first in the search path of the session.", left),
						errhint("CREATE TEMPORARY TABLE … ON COMMIT DROP is left too: DROP it at the end of the script.")));
	scope = before;
}

/* Another tenant's, or one that all tenants share. */
bool
is_beyond_script(Oid relation)
{
	const char *column, *tenant;

	return scope.nest_level > 0 && has_isolation_policy(relation) && protection_of(relation, &column, &tenant) &&
		   (!tenant || strcmp(tenant, scope.tenant) != 0);
}

void
refuse_to_script(Oid relation)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("script for tenant \"%s\" cannot change table \"%s\"", scope.tenant, get_rel_name(relation)),
					errdetail("The table is not tenant \"%s\"'s.", scope.tenant),
					errhint("Name the tables of the script without a schema, or by @schema@.")));
}

/* The table that an entry of a catalog belongs to, though nobody else may see it yet. */
static Oid
table_of_entry(Oid catalog, Oid index, AttrNumber key, AttrNumber attribute, Oid object)
{
	Relation relation = table_open(catalog, AccessShareLock);
	Oid table = InvalidOid;
	ScanKeyData keys[1];
	bool null;

	ScanKeyInit(&keys[0], key, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	SysScanDesc scan = systable_beginscan(relation, index, true, SnapshotSelf, 1, keys);
	HeapTuple tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		table = DatumGetObjectId(heap_getattr(tuple, attribute, RelationGetDescr(relation), &null));
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return table;
}

static Oid
table_of_object(Oid catalog, Oid object)
{
	switch (catalog)
	{
		case RelationRelationId:
			return get_rel_relkind(object) == RELKIND_INDEX ? IndexGetRelation(object, true) : object;
		case PolicyRelationId:
			return table_of_entry(PolicyRelationId, PolicyOidIndexId, Anum_pg_policy_oid, Anum_pg_policy_polrelid, object);
		case TriggerRelationId:
			return table_of_entry(TriggerRelationId, TriggerOidIndexId, Anum_pg_trigger_oid, Anum_pg_trigger_tgrelid, object);
		case RewriteRelationId:
			return table_of_entry(RewriteRelationId, RewriteOidIndexId, Anum_pg_rewrite_oid, Anum_pg_rewrite_ev_class, object);
		default:
			return InvalidOid;
	}
}

static void
object_access(ObjectAccessType access, Oid class_oid, Oid object, int sub_object, void *arguments)
{
	if (previous_object_access)
		previous_object_access(access, class_oid, object, sub_object, arguments);
	if (likely(scope.nest_level == 0))
		return;
	if (access != OAT_POST_CREATE && access != OAT_POST_ALTER && access != OAT_DROP && access != OAT_TRUNCATE)
		return;
	/* The constraint of a foreign key makes triggers on both tables, which are the server's own. */
	if (access == OAT_POST_CREATE && arguments && static_cast<ObjectAccessPostCreate *>(arguments)->is_internal)
		return;

	Oid table = table_of_object(class_oid, object);
	if (OidIsValid(table) && is_beyond_script(table))
		refuse_to_script(table);
}

/* An error has ended the script. */
static void
transaction_event(XactEvent event, void *)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		scope = {};
}

static void
subtransaction_event(SubXactEvent event, SubTransactionId, SubTransactionId, void *)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && GetCurrentTransactionNestLevel() <= scope.nest_level)
		scope = {};
}

void
script_guard_init()
{
	previous_object_access = object_access_hook;
	object_access_hook = object_access;
	RegisterXactCallback(transaction_event, nullptr);
	RegisterSubXactCallback(subtransaction_event, nullptr);
}

} // namespace tenancy
