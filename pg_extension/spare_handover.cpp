/*
 * spare_handover.cpp — a ready schema becomes a tenant's: its name, its grants, and all that names the tenant.
 *
 * This is what a tenant waits for, so nothing here is parsed or planned.  The server would do the same for ALTER SCHEMA …
 * RENAME, GRANT, ALTER POLICY, ALTER COLUMN … SET DEFAULT and UPDATE, sixty statements for a system of ten tables; here each
 * catalog is opened once and each of its rows written once.  What is read and written then, the pool has made ready when it
 * made the spare: leave_room() and settle_spare().
 *
 * The catalogs' rows are changed and the objects not made anew: no dependency changes with a constant, and those of the grants
 * are noted.  Every table's description is invalidated, in other sessions too, when the transaction commits.
 */
#include "spare.h"
#include "catalogue_row.h"

namespace tenancy
{
namespace
{

/* A catalog that many rows of are changed in; its indexes are opened once. */
struct OpenCatalog
{
	Relation relation;
	CatalogIndexState indexes;
};

OpenCatalog
open_catalog(Oid catalog)
{
	Relation relation = table_open(catalog, RowExclusiveLock);

	return {relation, CatalogOpenIndexes(relation)};
}

void
close_catalog(const OpenCatalog &catalog)
{
	CatalogCloseIndexes(catalog.indexes);
	table_close(catalog.relation, RowExclusiveLock);
}

/* ---- the schema's rows in the catalogs ---- */

void
write_row(const OpenCatalog &catalog, HeapTuple row, int times)
{
	for (int written = 0; written < times; written++)
	{
		if (written > 0)
			CommandCounterIncrement();
		CatalogTupleUpdateWithInfo(catalog.relation, &row->t_self, row, catalog.indexes);
	}
}

/* Objects that were made together have numbers close to each other: no more are skipped in a scan than a few tables have. */
constexpr Oid widest_gap = 100;

/* Reads the rows that a catalog has of a schema's relations, whose numbers are in order. */
template <typename Visitor>
void
visit_rows(const OpenCatalog &catalog, Oid index, AttrNumber key_attribute, List *relations, Visitor visit)
{
	TupleDesc descriptor = RelationGetDescr(catalog.relation);

	for (int first = 0, last; first < list_length(relations); first = last + 1)
	{
		ScanKeyData keys[2];
		HeapTuple tuple;
		bool null;

		for (last = first; last + 1 < list_length(relations); last++)
			if (list_nth_oid(relations, last + 1) - list_nth_oid(relations, last) > widest_gap)
				break;
		ScanKeyInit(&keys[0], key_attribute, BTGreaterEqualStrategyNumber, F_OIDGE,
					ObjectIdGetDatum(list_nth_oid(relations, first)));
		ScanKeyInit(&keys[1], key_attribute, BTLessEqualStrategyNumber, F_OIDLE,
					ObjectIdGetDatum(list_nth_oid(relations, last)));
		SysScanDesc scan = systable_beginscan(catalog.relation, index, true, nullptr, 2, keys);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
			if (list_member_oid(relations, DatumGetObjectId(heap_getattr(tuple, key_attribute, descriptor, &null))))
				visit(tuple);
		systable_endscan(scan);
	}
}

Form_pg_class
relation_form(const ListCell *cell)
{
	return reinterpret_cast<Form_pg_class>(GETSTRUCT(static_cast<HeapTuple>(lfirst(cell))));
}

/* The rows of pg_class of some relations. */
List *
relation_rows(const OpenCatalog &catalog, List *relations)
{
	List *rows = NIL;

	visit_rows(catalog, ClassOidIndexId, Anum_pg_class_oid, relations,
			   [&rows](HeapTuple tuple) { rows = lappend(rows, heap_copytuple(tuple)); });
	return rows;
}

/* ---- binding ---- */

/* A text constant as it stands in stored expressions, from its value on. */
struct StoredConstant
{
	const char *text;
	size_t length;
};

StoredConstant
stored_constant(const char *value)
{
	constexpr const char *field = ":constvalue ";
	Const *constant = makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1, CStringGetTextDatum(value), false, false);
	const char *text = strstr(nodeToString(constant), field);

	if (!text)
		elog(ERROR, "a constant is not stored as expected");
	return {text, strlen(text)};
}

/* What becomes what: the placeholder, which is random and so in no expression by chance, and the tenant. */
struct Binding
{
	StoredConstant placeholder;
	StoredConstant tenant;
	int times; /* that a row is written */
};

/* The stored expression with the tenant in it; null if the placeholder is not in it. */
char *
bound_expression(Datum stored, const Binding &binding)
{
	const char *rest = TextDatumGetCString(stored);
	const char *found = strstr(rest, binding.placeholder.text);
	StringInfoData bound;

	if (!found)
		return nullptr;
	initStringInfo(&bound);
	for (; found; found = strstr(rest, binding.placeholder.text))
	{
		appendBinaryStringInfo(&bound, rest, static_cast<int>(found - rest));
		appendBinaryStringInfo(&bound, binding.tenant.text, static_cast<int>(binding.tenant.length));
		rest = found + binding.placeholder.length;
	}
	appendStringInfoString(&bound, rest);
	return bound.data;
}

/*
 * Binds the expressions that a catalog keeps of a schema's tables: pg_policy and pg_attrdef.  The row of the catalog is
 * changed and the object not made anew, which would cost ten times as much; no dependency changes with a constant.
 */
void
bind_row(const OpenCatalog &catalog, HeapTuple tuple, const AttrNumber (&expressions)[2], const Binding &binding)
{
	TupleDesc descriptor = RelationGetDescr(catalog.relation);
	Datum values[Natts_pg_policy] = {};
	bool nulls[Natts_pg_policy] = {}, replace[Natts_pg_policy] = {};
	bool changed = false;

	for (AttrNumber expression : expressions)
	{
		bool null = true;
		Datum stored = expression > 0 ? heap_getattr(tuple, expression, descriptor, &null) : 0;
		char *bound = null ? nullptr : bound_expression(stored, binding);

		if (!bound)
			continue;
		values[expression - 1] = CStringGetTextDatum(bound);
		replace[expression - 1] = changed = true;
	}
	if (changed)
		write_row(catalog, heap_modify_tuple(tuple, descriptor, values, nulls, replace), binding.times);
}

static_assert(Natts_pg_attrdef <= Natts_pg_policy, "bind_row() holds a row of either");

void
bind_tables(List *relations, const Binding &binding)
{
	const AttrNumber conditions[] = {Anum_pg_policy_polqual, Anum_pg_policy_polwithcheck};
	const AttrNumber defaults[] = {Anum_pg_attrdef_adbin, 0};
	OpenCatalog policies = open_catalog(PolicyRelationId);
	OpenCatalog columns = open_catalog(AttrDefaultRelationId);
	List *tables = NIL;
	ListCell *cell;

	foreach (cell, relations)
	{
		char kind = relation_form(cell)->relkind;

		if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
			continue;
		tables = lappend_oid(tables, relation_form(cell)->oid);
		CacheInvalidateRelcacheByTuple(static_cast<HeapTuple>(lfirst(cell)));
	}
	visit_rows(policies, PolicyPolrelidPolnameIndexId, Anum_pg_policy_polrelid, tables,
			   [&](HeapTuple row) { bind_row(policies, row, conditions, binding); });
	visit_rows(columns, AttrDefaultIndexId, Anum_pg_attrdef_adrelid, tables,
			   [&](HeapTuple row) { bind_row(columns, row, defaults, binding); });
	close_catalog(columns);
	close_catalog(policies);
}

/* ---- granting ---- */

/* An access control list in which a role has more privileges. */
Acl *
acl_with(Acl *acl, Oid owner, Oid role, AclMode privileges)
{
	AclItem item;

	item.ai_grantee = role;
	item.ai_grantor = owner;
	ACLITEM_SET_PRIVS_GOPTIONS(item, privileges, ACL_NO_RIGHTS);
	return aclupdate(acl, &item, ACL_MODECHG_ADD, owner, DROP_RESTRICT);
}

bool
acl_names(const Acl *acl, Oid role)
{
	for (int i = 0; i < ACL_NUM(acl); i++)
		if (ACL_DAT(acl)[i].ai_grantee == role || ACL_DAT(acl)[i].ai_grantor == role)
			return true;
	return false;
}

/* That an object's list names a role.  updateAclDependencies() notes the same, but opens the catalog for each. */
struct Mention
{
	Oid catalog;
	Oid object;
	Oid role;
};

void
note_mentions(const Mention *mentions, int count)
{
	OpenCatalog catalog = open_catalog(SharedDependRelationId);
	auto **slots = static_cast<TupleTableSlot **>(palloc(count * sizeof(TupleTableSlot *)));

	for (int i = 0; i < count; i++)
	{
		TupleTableSlot *slot = slots[i] =
			MakeSingleTupleTableSlot(RelationGetDescr(catalog.relation), &TTSOpsHeapTuple);

		shdepLockAndCheckObject(AuthIdRelationId, mentions[i].role);
		ExecClearTuple(slot);
		memset(slot->tts_isnull, false, slot->tts_tupleDescriptor->natts * sizeof(bool));
		slot->tts_values[Anum_pg_shdepend_dbid - 1] = ObjectIdGetDatum(MyDatabaseId);
		slot->tts_values[Anum_pg_shdepend_classid - 1] = ObjectIdGetDatum(mentions[i].catalog);
		slot->tts_values[Anum_pg_shdepend_objid - 1] = ObjectIdGetDatum(mentions[i].object);
		slot->tts_values[Anum_pg_shdepend_objsubid - 1] = Int32GetDatum(0);
		slot->tts_values[Anum_pg_shdepend_refclassid - 1] = ObjectIdGetDatum(AuthIdRelationId);
		slot->tts_values[Anum_pg_shdepend_refobjid - 1] = ObjectIdGetDatum(mentions[i].role);
		slot->tts_values[Anum_pg_shdepend_deptype - 1] = CharGetDatum(SHARED_DEPENDENCY_ACL);
		ExecStoreVirtualTuple(slot);
	}
	CatalogTuplesMultiInsertWithInfo(catalog.relation, slots, count, catalog.indexes);
	for (int i = 0; i < count; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	close_catalog(catalog);
}

/* What the tenant's role may do with a relation of its schema; nothing with what holds no rows. */
AclMode
privileges_on(Oid relation, char kind)
{
	switch (kind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_VIEW:
			return ACL_SELECT | ACL_INSERT | ACL_UPDATE | ACL_DELETE;
		case RELKIND_SEQUENCE:
			return sequence_needs_grant(relation) ? ACL_USAGE : ACL_NO_RIGHTS;
		default:
			return ACL_NO_RIGHTS;
	}
}

/* GRANT on relations to one role, as ExecuteGrantStmt() does it, without a statement's parsing and look-ups for each. */
int
grant_relations(const OpenCatalog &catalog, List *relations, Oid owner, Oid role, Mention *mentions)
{
	int count = 0;
	ListCell *cell;

	foreach (cell, relations)
	{
		auto *row = static_cast<HeapTuple>(lfirst(cell));
		char kind = relation_form(cell)->relkind;
		Oid relation = relation_form(cell)->oid;
		AclMode privileges = privileges_on(relation, kind);
		Datum values[Natts_pg_class] = {};
		bool nulls[Natts_pg_class] = {}, replace[Natts_pg_class] = {};
		bool null;

		if (privileges == ACL_NO_RIGHTS)
			continue;
		Datum stored = heap_getattr(row, Anum_pg_class_relacl, RelationGetDescr(catalog.relation), &null);
		Acl *acl = null ? acldefault(kind == RELKIND_SEQUENCE ? OBJECT_SEQUENCE : OBJECT_TABLE, owner)
						: DatumGetAclPCopy(stored);
		if (!acl_names(acl, role))
			mentions[count++] = {RelationRelationId, relation, role};
		values[Anum_pg_class_relacl - 1] = PointerGetDatum(acl_with(acl, owner, role, privileges));
		replace[Anum_pg_class_relacl - 1] = true;
		write_row(catalog, heap_modify_tuple(row, RelationGetDescr(catalog.relation), values, nulls, replace), 1);
	}
	return count;
}

/* ALTER SCHEMA … RENAME and GRANT USAGE to the role and the services, in one: they change one row. */
int
rename_and_open(const TenantSchema &schema, Oid owner, Oid role, Mention *mentions)
{
	const Oid grantees[] = {role, get_role_oid("tenancy_service", false)};
	HeapTuple tuple = SearchSysCacheCopy1(NAMESPACEOID, ObjectIdGetDatum(schema.oid));
	Datum values[Natts_pg_namespace] = {};
	bool nulls[Natts_pg_namespace] = {}, replace[Natts_pg_namespace] = {};
	int count = 0;
	bool null;
	NameData name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %u", schema.oid);
	Datum stored = SysCacheGetAttr(NAMESPACEOID, tuple, Anum_pg_namespace_nspacl, &null);
	Acl *acl = null ? acldefault(OBJECT_SCHEMA, owner) : DatumGetAclPCopy(stored);
	for (Oid grantee : grantees)
	{
		if (!acl_names(acl, grantee))
			mentions[count++] = {NamespaceRelationId, schema.oid, grantee};
		acl = acl_with(acl, owner, grantee, ACL_USAGE);
	}

	namestrcpy(&name, schema.name);
	values[Anum_pg_namespace_nspname - 1] = NameGetDatum(&name);
	values[Anum_pg_namespace_nspacl - 1] = PointerGetDatum(acl);
	replace[Anum_pg_namespace_nspname - 1] = replace[Anum_pg_namespace_nspacl - 1] = true;
	Relation relation = table_open(NamespaceRelationId, RowExclusiveLock);
	tuple = heap_modify_tuple(tuple, RelationGetDescr(relation), values, nulls, replace);
	CatalogTupleUpdate(relation, &tuple->t_self, tuple);
	InvokeObjectPostAlterHook(NamespaceRelationId, schema.oid, 0);
	table_close(relation, RowExclusiveLock);
	return count;
}

/* ---- functions ---- */

/*
 * The settings that a function keeps, as with SET search_path FROM CURRENT, hold the schema's name as text.  Both names are
 * plain identifiers, and that of a spare is random, so it stands there for the schema alone.
 */
Datum
renamed_settings(ArrayType *settings, const Spare &spare, const TenantSchema &schema)
{
	ArrayBuildState *renamed = nullptr;
	Datum *values;
	bool *nulls;
	int count;

	deconstruct_array(settings, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
	for (int i = 0; i < count; i++)
		renamed = accumArrayResult(renamed,
								   DirectFunctionCall3Coll(replace_text, C_COLLATION_OID, values[i],
														   CStringGetTextDatum(spare.schema), CStringGetTextDatum(schema.name)),
								   nulls[i], TEXTOID, CurrentMemoryContext);
	return makeArrayResult(renamed, CurrentMemoryContext);
}

void
rename_in_functions(List *functions, const TenantSchema &schema, const Spare &spare)
{
	ListCell *cell;

	if (functions == NIL)
		return;
	OpenCatalog catalog = open_catalog(ProcedureRelationId);
	foreach (cell, functions)
	{
		HeapTuple tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(lfirst_oid(cell)));
		Datum values[Natts_pg_proc] = {};
		bool nulls[Natts_pg_proc] = {}, replace[Natts_pg_proc] = {};
		bool null;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for function %u", lfirst_oid(cell));
		Datum settings = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proconfig, &null);
		if (null)
			continue;
		values[Anum_pg_proc_proconfig - 1] = renamed_settings(DatumGetArrayTypeP(settings), spare, schema);
		replace[Anum_pg_proc_proconfig - 1] = true;
		tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog.relation), values, nulls, replace);
		CatalogTupleUpdateWithInfo(catalog.relation, &tuple->t_self, tuple, catalog.indexes);
		InvokeObjectPostAlterHook(ProcedureRelationId, lfirst_oid(cell), 0);
	}
	close_catalog(catalog);
}

/* ---- rows ---- */

/*
 * Whether rows can be changed as a replication worker changes them, without a statement and its plan: nothing but our own
 * policies, which let all through that stands in the schema, would have a say in which rows those are.
 */
bool
moves_directly(Relation table)
{
	ListCell *cell;

	if (table->rd_rel->relkind != RELKIND_RELATION || table->rd_rel->relhassubclass || has_alien_triggers(table))
		return false;
	foreach (cell, table->rd_rsdesc ? table->rd_rsdesc->policies : NIL)
		if (strncmp(static_cast<RowSecurityPolicy *>(lfirst(cell))->policy_name, "tenant_isolation_", 17) != 0)
			return false;
	return true;
}

bool
has_publications()
{
	Relation catalog = table_open(PublicationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 0, nullptr);
	bool found = HeapTupleIsValid(systable_getnext(scan));

	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/* Notes for a table what the server would find out by a dozen look-ups, where there is no publication. */
void
note_unpublished(Relation table)
{
	if (table->rd_pubdesc || has_publications())
		return;
	auto *nothing = static_cast<PublicationDesc *>(MemoryContextAlloc(CacheMemoryContext, sizeof(PublicationDesc)));
	memset(nothing, true, sizeof(*nothing)); /* each row may be changed */
	nothing->pubactions = {};
	table->rd_pubdesc = nothing;
}

/* What rows are changed with: indexes, checks, generated columns and foreign keys are seen to. */
struct RowChange
{
	EState *estate;
	EPQState epq;
	ResultRelInfo *target;
};

void
begin_change(Relation table, RowChange *change)
{
	RangeTblEntry *entry = makeNode(RangeTblEntry);

	entry->rtekind = RTE_RELATION;
	entry->relid = RelationGetRelid(table);
	entry->relkind = RELKIND_RELATION;
	entry->rellockmode = RowExclusiveLock;
	change->estate = CreateExecutorState();
	change->estate->es_output_cid = GetCurrentCommandId(true);
	tenancy_init_range_table(change->estate, list_make1(entry));
	tenancy_init_epq(&change->epq, change->estate);
	change->target = makeNode(ResultRelInfo);
	InitResultRelInfo(change->target, table, 1, nullptr, 0);
	ExecOpenIndices(change->target, false);
	AfterTriggerBeginQuery();
}

void
end_change(RowChange *change)
{
	AfterTriggerEndQuery(change->estate);
	EvalPlanQualEnd(&change->epq);
	ExecCloseIndices(change->target);
	ExecResetTupleTable(change->estate->es_tupleTable, false);
	FreeExecutorState(change->estate);
}

bool
holds(TupleTableSlot *row, AttrNumber column, const char *value)
{
	bool null;
	Datum datum = slot_getattr(row, column, &null);

	return !null && strcmp(TextDatumGetCString(datum), value) == 0;
}

/* The tenant as the column's type has it; an error if that is too short. */
Datum
tenant_in_column(Form_pg_attribute column, const char *tenant)
{
	Datum value = CStringGetTextDatum(tenant);

	if (column->atttypid == VARCHAROID)
		value = DirectFunctionCall3(varchar, value, Int32GetDatum(column->atttypmod), BoolGetDatum(false));
	return value;
}

/* UPDATE … SET column = tenant WHERE column = placeholder. */
void
move_rows(Relation table, AttrNumber column, const Spare &spare, const char *tenant, Snapshot snapshot)
{
	Datum value = tenant_in_column(TupleDescAttr(RelationGetDescr(table), column - 1), tenant);
	int columns = RelationGetDescr(table)->natts;
	RowChange change;

	note_unpublished(table);
	begin_change(table, &change);
	TupleTableSlot *old_row = table_slot_create(table, &change.estate->es_tupleTable);
	TupleTableSlot *new_row = table_slot_create(table, &change.estate->es_tupleTable);
	TableScanDesc scan = table_beginscan(table, snapshot, 0, nullptr);
	while (table_scan_getnextslot(scan, ForwardScanDirection, old_row))
	{
		if (!holds(old_row, column, spare.placeholder))
			continue;
		slot_getallattrs(old_row);
		ExecClearTuple(new_row);
		memcpy(new_row->tts_values, old_row->tts_values, columns * sizeof(Datum));
		memcpy(new_row->tts_isnull, old_row->tts_isnull, columns * sizeof(bool));
		new_row->tts_values[column - 1] = value;
		ExecStoreVirtualTuple(new_row);
		ExecSimpleRelationUpdate(change.target, change.estate, &change.epq, old_row, new_row);
		ResetPerTupleExprContext(change.estate);
	}
	table_endscan(scan);
	end_change(&change);
}

/* The same by a statement. */
void
update_rows(const char *name, const char *column, const Spare &spare, const char *tenant, Snapshot snapshot)
{
	const char *quoted = quote_identifier(column);
	SPIPlanPtr plan = SPI_prepare(psprintf("UPDATE %s SET %s = %s WHERE %s = %s", name, quoted, quote_literal_cstr(tenant),
										   quoted, quote_literal_cstr(spare.placeholder)),
								  0, nullptr);

	if (!plan || SPI_execute_snapshot(plan, nullptr, nullptr, snapshot, InvalidSnapshot, false, true, 0) < 0)
		elog(ERROR, "could not give rows of \"%s\" to a tenant: %s", name, SPI_result_code_string(SPI_result));
}

Oid
relation_named(List *relations, const char *name)
{
	ListCell *cell;

	foreach (cell, relations)
		if (strcmp(NameStr(relation_form(cell)->relname), name) == 0)
			return relation_form(cell)->oid;
	return InvalidOid;
}

/* A spare may be younger than the transaction's snapshot, so what it holds is read with one of this moment. */
void
bind_column(const TenantSchema &schema, List *relations, const TenantColumn &bound, const Spare &spare)
{
	Oid oid = relation_named(relations, bound.table);
	Relation table = OidIsValid(oid) ? table_open(oid, RowExclusiveLock) : nullptr;
	int column = table ? SPI_fnumber(RelationGetDescr(table), bound.column) : SPI_ERROR_NOATTRIBUTE;

	if (column <= 0)
		elog(ERROR, "column \"%s\" of \"%s\" is not there any more", bound.column, bound.table);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	if (moves_directly(table))
		move_rows(table, static_cast<AttrNumber>(column), spare, schema.tenant, snapshot);
	else
		update_rows(quote_qualified_identifier(get_namespace_name(schema.oid), bound.table), bound.column, spare,
					schema.tenant, snapshot);
	UnregisterSnapshot(snapshot);
	table_close(table, NoLock);
	CommandCounterIncrement();
}

/* Policies and defaults first: a row that is moved to the tenant must meet them. */
void
bind_relations(const TenantSchema &schema, List *relations, const Spare &spare)
{
	ListCell *cell;

	bind_tables(relations, {stored_constant(spare.placeholder), stored_constant(schema.tenant), 1});
	CommandCounterIncrement();
	if (spare.columns == NIL)
		return;

	/* The checks, indexes and generated columns that they meet are the script's. */
	BorrowedRole borrowed = begin_script(schema.tenant, schema.oid);
	foreach (cell, spare.columns)
		bind_column(schema, relations, *static_cast<TenantColumn *>(lfirst(cell)), spare);
	end_script(borrowed);
}

/* ---- before ---- */

/* Opens a catalog for reading and has its rows of a schema's relations read. */
void
read_rows(Oid catalog, Oid index, AttrNumber key_attribute, List *relations)
{
	OpenCatalog opened = {table_open(catalog, AccessShareLock), nullptr};

	visit_rows(opened, index, key_attribute, relations, [](HeapTuple) {});
	table_close(opened.relation, AccessShareLock);
}

/* The schema of the spare that this session made last, and has not settled. */
Oid unsettled = InvalidOid;

} // namespace

void
bind_spare(const TenantSchema &schema, const Spare &spare)
{
	OpenCatalog catalog = open_catalog(RelationRelationId);

	bind_relations(schema, relation_rows(catalog, relations_of_schema(schema.oid)), spare);
	close_catalog(catalog);
}

/*
 * The catalogs' rows of a new schema fill their pages, so that one more version of each would go elsewhere and into every index.
 * Written twice more, without a change, they stand on pages of which half can be used again.
 */
void
leave_room(const TenantSchema &schema, const Spare &spare)
{
	OpenCatalog catalog = open_catalog(RelationRelationId);
	List *relations = relation_rows(catalog, relations_of_schema(schema.oid));
	ListCell *cell;

	foreach (cell, relations)
		if (privileges_on(relation_form(cell)->oid, relation_form(cell)->relkind) != ACL_NO_RIGHTS)
			write_row(catalog, heap_copytuple(static_cast<HeapTuple>(lfirst(cell))), 2);
	close_catalog(catalog);
	bind_tables(relations, {stored_constant(spare.placeholder), stored_constant(spare.placeholder), 2});
	CommandCounterIncrement();
	unsettled = schema.oid;
}

/*
 * Pages are pruned by who reads them, as soon as nobody can need the old versions.  Here that is the pool, when the spare's
 * transaction is over, and not the tenant who gets it.
 */
void
settle_spare()
{
	if (!OidIsValid(unsettled))
		return;
	List *relations = relations_of_schema(unsettled);

	read_rows(RelationRelationId, ClassOidIndexId, Anum_pg_class_oid, relations);
	read_rows(PolicyRelationId, PolicyPolrelidPolnameIndexId, Anum_pg_policy_polrelid, relations);
	read_rows(AttrDefaultRelationId, AttrDefaultIndexId, Anum_pg_attrdef_adrelid, relations);
	read_rows(AttributeRelationId, AttributeRelidNumIndexId, Anum_pg_attribute_attrelid, relations);
	read_rows(IndexRelationId, IndexIndrelidIndexId, Anum_pg_index_indrelid, relations);
	read_rows(TriggerRelationId, TriggerRelidNameIndexId, Anum_pg_trigger_tgrelid, relations);
	unsettled = InvalidOid;
}

void
hand_over(const TenantSchema &schema, const Spare &spare)
{
	Oid role = get_role_oid(schema.role, false);
	Oid owner = tenancy_owner();
	OpenCatalog catalog = open_catalog(RelationRelationId);
	List *functions = NIL;
	List *relations =
		relation_rows(catalog, objects_of_schema(schema.oid, RelationRelationId, ProcedureRelationId, &functions));
	auto *mentions = static_cast<Mention *>(palloc((list_length(relations) + 2) * sizeof(Mention)));

	int count = rename_and_open(schema, owner, role, mentions);
	count += grant_relations(catalog, relations, owner, role, mentions + count);
	close_catalog(catalog);
	note_mentions(mentions, count);
	rename_in_functions(functions, schema, spare);
	bind_relations(schema, relations, spare);
}

} // namespace tenancy
