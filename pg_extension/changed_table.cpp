/*
 * changed_table.cpp — which table a change of an object concerns.
 *
 * What an object access hook is told of is seldom the table itself: a policy, a trigger, an index, a constraint, a default, a
 * sequence, a place in a family of tables.  And a function or a type concerns the tables whose checks, indexes and columns
 * use it.  The guards ask here whose table it is.
 */
#include "tenancy.h"

namespace tenancy
{

bool
changes_object(ObjectAccessType access, void *arguments)
{
	if (access == OAT_POST_CREATE)
		return !arguments || !static_cast<ObjectAccessPostCreate *>(arguments)->is_internal;
	return access == OAT_POST_ALTER || access == OAT_DROP || access == OAT_TRUNCATE;
}

/*
 * An attribute of an entry in a catalog, though nobody else may see the entry yet: the OID of what it belongs to.
 */
static Oid
attribute_of_entry(Oid catalog, Oid index, AttrNumber key, AttrNumber attribute, Oid object)
{
	Relation relation = table_open(catalog, AccessShareLock);
	Oid value = InvalidOid;
	ScanKeyData keys[1];
	bool null;

	ScanKeyInit(&keys[0], key, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	SysScanDesc scan = systable_beginscan(relation, index, true, SnapshotSelf, 1, keys);
	HeapTuple tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		value = DatumGetObjectId(heap_getattr(tuple, attribute, RelationGetDescr(relation), &null));
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return value;
}

static Oid
attribute_of_constraint(Oid constraint, AttrNumber attribute)
{
	return attribute_of_entry(ConstraintRelationId, ConstraintOidIndexId, Anum_pg_constraint_oid,
							  attribute, constraint);
}

static Oid
table_of_relation(Oid relation)
{
	const char kind = get_rel_relkind(relation);
	Oid table;
	int32 column;

	if (kind == RELKIND_SEQUENCE &&
		(sequenceIsOwned(relation, DEPENDENCY_AUTO, &table, &column) ||
		 sequenceIsOwned(relation, DEPENDENCY_INTERNAL, &table, &column)))
		return table;
	/* One that is being made has no kind yet. */
	if (kind != '\0' && kind != RELKIND_INDEX && kind != RELKIND_PARTITIONED_INDEX)
		return relation;

	table = attribute_of_entry(IndexRelationId, IndexRelidIndexId, Anum_pg_index_indexrelid,
							   Anum_pg_index_indrelid, relation);
	return OidIsValid(table) ? table : relation;
}

Oid
table_of_object(ObjectAccessType access, Oid catalog, Oid object, void *arguments)
{
	switch (catalog)
	{
		case RelationRelationId:
			return table_of_relation(object);
		case InheritsRelationId:
			/* The child is named; its rows are the parent's. */
			return access == OAT_POST_ALTER
					   ? static_cast<ObjectAccessPostAlter *>(arguments)->auxiliary_id
					   : InvalidOid;
		case PolicyRelationId:
			return attribute_of_entry(PolicyRelationId, PolicyOidIndexId, Anum_pg_policy_oid,
									  Anum_pg_policy_polrelid, object);
		case TriggerRelationId:
			return attribute_of_entry(TriggerRelationId, TriggerOidIndexId, Anum_pg_trigger_oid,
									  Anum_pg_trigger_tgrelid, object);
		case RewriteRelationId:
			return attribute_of_entry(RewriteRelationId, RewriteOidIndexId, Anum_pg_rewrite_oid,
									  Anum_pg_rewrite_ev_class, object);
		case ConstraintRelationId:
			return attribute_of_constraint(object, Anum_pg_constraint_conrelid);
		case StatisticExtRelationId:
			return attribute_of_entry(StatisticExtRelationId, StatisticExtOidIndexId,
									  Anum_pg_statistic_ext_oid, Anum_pg_statistic_ext_stxrelid,
									  object);
		case AttrDefaultRelationId:
			/* The server names one that it makes by its table, and one that it drops by itself. */
			return access == OAT_POST_CREATE
					   ? object
					   : attribute_of_entry(AttrDefaultRelationId, AttrDefaultOidIndexId,
											Anum_pg_attrdef_oid, Anum_pg_attrdef_adrelid, object);
		default:
			return InvalidOid;
	}
}

Oid
table_referred_to(Oid constraint)
{
	return attribute_of_constraint(constraint, Anum_pg_constraint_confrelid);
}

/* The schema of what is no table; a type that is a table's is made and dropped with it. */
Oid
schema_of_object(Oid catalog, Oid object)
{
	switch (catalog)
	{
		case NamespaceRelationId:
			return object;
		case RelationRelationId:
			if (Oid schema = get_rel_namespace(object))
				return schema;
			return attribute_of_entry(RelationRelationId, ClassOidIndexId, Anum_pg_class_oid,
									  Anum_pg_class_relnamespace, object);
		case ProcedureRelationId:
			return attribute_of_entry(ProcedureRelationId, ProcedureOidIndexId, Anum_pg_proc_oid,
									  Anum_pg_proc_pronamespace, object);
		case TypeRelationId:
			return attribute_of_entry(TypeRelationId, TypeOidIndexId, Anum_pg_type_oid,
									  Anum_pg_type_typnamespace, object);
		default:
			return InvalidOid;
	}
}

static List *
objects_that_use(Oid catalog, Oid object)
{
	Relation depend = table_open(DependRelationId, AccessShareLock);
	List *users = NIL;
	ScanKeyData keys[2];
	HeapTuple tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(catalog));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	SysScanDesc scan = systable_beginscan(depend, DependReferenceIndexId, true, nullptr, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		auto *form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
		auto *user = static_cast<ObjectAddress *>(palloc(sizeof(ObjectAddress)));

		*user = {form->classid, form->objid, form->objsubid};
		users = lappend(users, user);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return users;
}

/*
 * A check of a domain: the first table with a column of it that is wanted.  A domain's own checks are among what uses it, so
 * none is asked for "whose", whence we come.
 */
static Oid
table_of_domain_check(Oid constraint, Oid whose, bool (*is_wanted)(Oid table))
{
	Oid domain = attribute_of_constraint(constraint, Anum_pg_constraint_contypid);

	return OidIsValid(domain) && domain != whose ? table_that_uses(TypeRelationId, domain, is_wanted) : InvalidOid;
}

/* The first table that is wanted among those which use a function, a type or an operator, or invalid. */
Oid
table_that_uses(Oid catalog, Oid object, bool (*is_wanted)(Oid table))
{
	ListCell *cell;

	check_stack_depth();
	foreach (cell, objects_that_use(catalog, object))
	{
		auto *user = static_cast<ObjectAddress *>(lfirst(cell));
		Oid table = table_of_object(OAT_DROP, user->classId, user->objectId, nullptr);

		if (OidIsValid(table))
		{
			if (is_wanted(table))
				return table;
			continue;
		}
		if (user->classId == ConstraintRelationId)
			table = table_of_domain_check(user->objectId, object, is_wanted);
		else if (user->classId == TypeRelationId || user->classId == OperatorRelationId)
			table = table_that_uses(user->classId, user->objectId, is_wanted);
		if (OidIsValid(table))
			return table;
	}
	return InvalidOid;
}

Oid
table_of_domain_check(Oid constraint, bool (*is_wanted)(Oid table))
{
	return table_of_domain_check(constraint, InvalidOid, is_wanted);
}

} // namespace tenancy
