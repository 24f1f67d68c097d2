/*
 * system_schema.cpp — what a script made in a tenant's schema: found, protected and granted.
 *
 * Relations are listed by their dependency on the schema.  GRANT … ON ALL TABLES IN SCHEMA would read the whole of
 * pg_class, as does every question by namespace, which at thousands of tenants costs more than everything else here.
 */
#include "tenancy.h"

namespace tenancy
{

/* What stands in a schema of the objects of one catalog, by their dependency on it; with what another has, in the same scan. */
List *
objects_of_schema(Oid schema, Oid catalog, Oid other_catalog, List **others)
{
	Relation depend = table_open(DependRelationId, AccessShareLock);
	List *objects = NIL;
	ScanKeyData keys[2];
	HeapTuple tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(NamespaceRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(schema));
	SysScanDesc scan = systable_beginscan(depend, DependReferenceIndexId, true, nullptr, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		auto *form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->classid == catalog)
			objects = lappend_oid(objects, form->objid);
		else if (form->classid == other_catalog)
			*others = lappend_oid(*others, form->objid);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	list_sort(objects, list_oid_cmp);
	return objects;
}

List *
relations_of_schema(Oid schema)
{
	return objects_of_schema(schema, RelationRelationId);
}

static void
append_name(StringInfo names, const char *schema, Oid relation)
{
	appendStringInfo(names, "%s%s", names->len > 0 ? ", " : "",
					 quote_qualified_identifier(schema, get_rel_name(relation)));
}

/*
 * An identity column counts without a privilege of the user's.  Other sequences are usable but not readable: what stands
 * in them, no policy hides.
 */
bool
sequence_needs_grant(Oid sequence)
{
	Oid table;
	int32 column;

	return !sequenceIsOwned(sequence, DEPENDENCY_INTERNAL, &table, &column);
}

static void
grant(const char *privileges, const char *kind, const char *names, const TenantSchema &schema)
{
	if (*names == '\0')
		return;
	int result = SPI_execute(psprintf("GRANT %s ON %s %s TO %s, tenancy_service", privileges, kind,
									  names, quote_identifier(schema.role)),
							 false, 0);
	if (result < 0)
		elog(ERROR, "could not grant: %s", SPI_result_code_string(result));
}

[[noreturn]] static void
refuse_relation(Oid relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a system cannot hold \"%s\"", get_rel_name(relation)),
			 errdetail("PostgreSQL has no row-level security for materialized views and foreign tables.")));
}

/* A script may do much in a schema, but not away with it, nor rename it. */
static void
check_schema_stands(const TenantSchema &schema)
{
	if (get_namespace_oid(schema.name, true) != schema.oid)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("schema \"%s\" is not there any more", schema.name),
						errdetail("A system's script may not drop or rename its schema."),
						errhint("SELECT tenancy.uninstall_system(%s, ...);",
								quote_literal_cstr(schema.tenant))));
}

/*
 * Is a table protected as it was before this transaction?  To protect it anew would lock it, and a migration of one
 * table must not lock the others of a tenant.
 */
static bool
protection_stands(Oid table)
{
	HeapTuple row = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	bool stands = false;
	int policies = 0;
	ScanKeyData key;
	HeapTuple policy;

	if (HeapTupleIsValid(row))
	{
		auto *form = reinterpret_cast<Form_pg_class>(GETSTRUCT(row));
		stands = form->relrowsecurity && form->relforcerowsecurity;
		ReleaseSysCache(row);
	}
	if (!stands)
		return false;

	Relation catalog = table_open(PolicyRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_policy_polrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(table));
	SysScanDesc scan =
		systable_beginscan(catalog, PolicyPolrelidPolnameIndexId, true, nullptr, 1, &key);
	while (HeapTupleIsValid(policy = systable_getnext(scan)))
	{
		const char *name = NameStr(reinterpret_cast<Form_pg_policy>(GETSTRUCT(policy))->polname);

		stands &= !TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetRawXmin(policy->t_data));
		policies += strcmp(name, "tenant_isolation_policy") == 0 ||
					strcmp(name, "tenant_isolation_floor") == 0;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return stands && policies == 2;
}

/*
 * Policies and grants for what a script made, by the role that owns it.  What was there before it, "known", keeps the
 * grants that it has; a policy that the script took away comes back.
 */
void
protect_and_grant(const TenantSchema &schema, List *known)
{
	BorrowedRole borrowed = become_owner("pg_catalog, pg_temp");
	StringInfoData tables, sequences;
	ListCell *cell;

	check_schema_stands(schema);
	initStringInfo(&tables);
	initStringInfo(&sequences);
	foreach (cell, relations_of_schema(schema.oid))
	{
		Oid relation = lfirst_oid(cell);
		bool is_new = !list_member_oid(known, relation);

		switch (get_rel_relkind(relation))
		{
			case RELKIND_RELATION:
			case RELKIND_PARTITIONED_TABLE:
				if (is_new || !protection_stands(relation))
					protect_table(relation, nullptr, schema.tenant);
				if (is_new)
					append_name(&tables, schema.name, relation);
				break;
			case RELKIND_VIEW:
				if (is_new)
					append_name(&tables, schema.name, relation);
				break;
			case RELKIND_SEQUENCE:
				if (is_new && sequence_needs_grant(relation))
					append_name(&sequences, schema.name, relation);
				break;
			case RELKIND_MATVIEW:
			case RELKIND_FOREIGN_TABLE:
				refuse_relation(relation);
			default:
				break;
		}
	}

	grant("SELECT, INSERT, UPDATE, DELETE", "TABLE", tables.data, schema);
	grant("USAGE", "SEQUENCE", sequences.data, schema);
	become_caller(borrowed);
}

void
grant_usage(const TenantSchema &schema)
{
	BorrowedRole borrowed = become_owner("pg_catalog, pg_temp");

	grant("USAGE", "SCHEMA", quote_identifier(schema.name), schema);
	become_caller(borrowed);
}

} // namespace tenancy
