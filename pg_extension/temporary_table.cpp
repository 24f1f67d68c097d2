/*
 * temporary_table.cpp — what a tenant has put into a temporary table, the next one does not read.
 *
 * A temporary table lives as long as the connection, and a pooler hands that to somebody else.  Who comes next could read
 * what it holds; worse, a table that takes the name of a real one comes first in the search path, and catches what the next
 * tenant writes.  Policies cannot help: the session owns the table.
 *
 * So a temporary table or view belongs to the context under which it was made, and a query that names it under another one,
 * or under none, is refused.  It is not dropped, since the tenant may come back to this connection; DISCARD TEMP drops it.
 * What was made when there was no context is everybody's until somebody writes to it, and then his who did: a client that
 * has no tenant could otherwise leave such a table for the next one's rows.  TRUNCATE frees it again.  One that empties
 * itself at each commit keeps nothing.
 *
 * Whose a table is goes with the transaction: what is rolled back, an emptying or a first row, has not made it anybody
 * else's.
 *
 * A temporary type would be found before the server's own, and cannot be watched: what the next tenant casts to it would be
 * told to its checks and casts.  So roles that policies bind make none where tenants are served; nor a temporary table that
 * has a type's name, nor a cast of a temporary table's rows.
 *
 * A session that has made none of these pays nothing.
 */
#include "tenant_context.h"

namespace tenancy
{

struct TemporaryTable
{
	Oid relation;	/* the key */
	Identity owner; /* of the class "none": nobody's yet */
	bool is_dropped; /* by this transaction */
};

static HTAB *tables;

enum class ChangeKind
{
	created,
	dropped,
	owned /* by somebody else, or by nobody */
};

/* What this transaction has done to a table, in TopTransactionContext. */
struct TableChange
{
	ChangeKind kind;
	Oid relation;
	SubTransactionId subtransaction;
	Identity owner; /* who was its owner before */
};

static List *changes;

static object_access_hook_type previous_object_access;
static ExecutorCheckPerms_hook_type previous_check_permissions;
static ProcessUtility_hook_type previous_process_utility;

/* What EXPLAIN ANALYZE executes is the statement inside. */
static Node *
executed_statement(Node *statement)
{
	if (!IsA(statement, ExplainStmt))
		return statement;
	auto *query = reinterpret_cast<Query *>(reinterpret_cast<ExplainStmt *>(statement)->query);
	return IsA(query, Query) && query->utilityStmt ? query->utilityStmt : statement;
}

/* The relation that a statement makes, if it makes one that queries can name. */
static RangeVar *
relation_of_statement(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreateStmt:
			return reinterpret_cast<CreateStmt *>(statement)->relation;
		case T_CreateTableAsStmt:
			return reinterpret_cast<CreateTableAsStmt *>(statement)->into->rel;
		case T_ViewStmt:
			return reinterpret_cast<ViewStmt *>(statement)->view;
		default:
			return nullptr;
	}
}

static bool
empties_itself(Node *statement)
{
	OnCommitAction action = ONCOMMIT_NOOP;

	if (IsA(statement, CreateStmt))
		action = reinterpret_cast<CreateStmt *>(statement)->oncommit;
	else if (IsA(statement, CreateTableAsStmt))
		action = reinterpret_cast<CreateTableAsStmt *>(statement)->into->onCommit;
	return action == ONCOMMIT_DELETE_ROWS || action == ONCOMMIT_DROP;
}

/* The context that the transaction has, or has had; null if none. */
static const Identity *
transaction_identity()
{
	(void) context_in_force();
	return transaction_lock();
}

static TemporaryTable *
find_table(Oid relation)
{
	return static_cast<TemporaryTable *>(hash_search(tables, &relation, HASH_FIND, nullptr));
}

static void
note_change(ChangeKind kind, Oid relation, const Identity &owner)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	auto *change = static_cast<TableChange *>(palloc(sizeof(TableChange)));

	*change = {kind, relation, GetCurrentSubTransactionId(), owner};
	changes = lappend(changes, change);
	MemoryContextSwitchTo(caller);
}

static void
set_owner(TemporaryTable *table, const Identity &owner)
{
	note_change(ChangeKind::owned, table->relation, table->owner);
	table->owner = owner;
}

static void
note_owner(Oid relation, const Identity &owner)
{

	if (!tables)
	{
		HASHCTL control = {};

		control.keysize = sizeof(Oid);
		control.entrysize = sizeof(TemporaryTable);
		tables = hash_create("tenancy temporary tables", 16, &control, HASH_ELEM | HASH_BLOBS);
	}

	/* IF NOT EXISTS may have met another tenant's. */
	if (find_table(relation))
		return;
	note_change(ChangeKind::created, relation, owner);
	auto *table = static_cast<TemporaryTable *>(hash_search(tables, &relation, HASH_ENTER, nullptr));
	table->owner = owner;
	table->is_dropped = false;
}

/* It would be found before a type of the same name: the server's, or one of a schema's. */
static bool
hides_type(const char *name)
{
	CatCList *types = SearchSysCacheList1(TYPENAMENSP, CStringGetDatum(name));
	bool found = false;

	for (int i = 0; i < types->n_members && !found; i++)
	{
		auto *type = reinterpret_cast<Form_pg_type>(GETSTRUCT(&types->members[i]->tuple));

		/* A table's rows are a type as well, which nobody casts to. */
		found = !isAnyTempNamespace(type->typnamespace) &&
				(!OidIsValid(type->typrelid) ||
				 get_rel_relkind(type->typrelid) == RELKIND_COMPOSITE_TYPE);
	}
	ReleaseSysCacheList(types);
	return found;
}

/* A role that policies bind, where there are tenants. */
static bool
may_lure()
{
	return OidIsValid(get_extension_oid("tenancy", true)) && !has_bypassrls_privilege(GetUserId());
}

static void
check_name(const char *name)
{
	if (may_lure() && hides_type(name))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a temporary table cannot have the name of type \"%s\"", name),
				 errdetail("The next client of this connection would find it in the type's place."),
				 errhint("Choose another name.")));
}

static void
note_relation(const RangeVar *name, bool keeps_rows)
{
	const Identity nobody = {};
	const Identity *owner = transaction_identity();
	Oid relation = RangeVarGetRelid(name, NoLock, true);

	if (!OidIsValid(relation) || !isTempNamespace(get_rel_namespace(relation)))
		return;
	check_name(name->relname);
	if (owner || keeps_rows)
		note_owner(relation, owner ? *owner : nobody);
}

/* It holds nobody's rows any more; nor do those that it is read together with. */
static void
note_truncation(Oid relation)
{
	TemporaryTable *table = find_table(relation);

	if (table && !has_subclass(relation))
		set_owner(table, {});
}

static void
note_drop(Oid relation)
{
	TemporaryTable *table = find_table(relation);

	if (!table)
		return;
	note_change(ChangeKind::dropped, relation, table->owner);
	table->is_dropped = true;
}

static void
object_access(ObjectAccessType access, Oid class_oid, Oid object, int sub_object, void *arguments)
{
	if (previous_object_access)
		previous_object_access(access, class_oid, object, sub_object, arguments);
	if (likely(!tables) || class_oid != RelationRelationId || sub_object != 0)
		return;
	if (access == OAT_TRUNCATE)
		note_truncation(object);
	else if (access == OAT_DROP)
		note_drop(object);
}

/* Takes back what was done since a subtransaction began, the last change first. */
static void
undo_changes(SubTransactionId since)
{
	while (changes != NIL)
	{
		auto *change = static_cast<TableChange *>(llast(changes));

		if (change->subtransaction < since)
			return;
		if (change->kind == ChangeKind::created)
			(void) hash_search(tables, &change->relation, HASH_REMOVE, nullptr);
		else if (change->kind == ChangeKind::owned)
			find_table(change->relation)->owner = change->owner;
		else
			find_table(change->relation)->is_dropped = false;
		changes = list_delete_last(changes);
	}
}

static void
forget_dropped()
{
	ListCell *cell;

	foreach (cell, changes)
	{
		auto *change = static_cast<TableChange *>(lfirst(cell));

		if (change->kind == ChangeKind::dropped)
			(void) hash_search(tables, &change->relation, HASH_REMOVE, nullptr);
	}
}

static void
transaction_event(XactEvent event, void *)
{
	if (event == XACT_EVENT_COMMIT)
		forget_dropped();
	else if (event == XACT_EVENT_ABORT)
		undo_changes(InvalidSubTransactionId);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		changes = NIL;
}

static void
subtransaction_event(SubXactEvent event, SubTransactionId subtransaction, SubTransactionId, void *)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		undo_changes(subtransaction);
}

/* The first who writes to a table of nobody's owns it from then on. */
static bool
may_use(TemporaryTable *table, AclMode wanted)
{
	const Identity *identity = transaction_identity();

	if (table->owner.role == ContextRole::none)
	{
		if (identity && (wanted & (ACL_INSERT | ACL_UPDATE)))
			set_owner(table, *identity);
		return true;
	}
	return (identity && identity->fingerprint == table->owner.fingerprint) || has_bypassrls_privilege(GetUserId());
}

[[noreturn]] static void
refuse_table(const TemporaryTable *table)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("temporary table \"%s\" was made for another tenant", get_rel_name(table->relation)),
					errdetail("It was made for %s.", describe(table->owner)),
					errhint("Drop what the session has left: DISCARD TEMP;")));
}

/* The table that a role may not use among one and those that are read with it, or null. */
static TemporaryTable *
refused_table(Oid relation, AclMode wanted)
{
	ListCell *cell;

	if (!OidIsValid(relation))
		return nullptr;
	TemporaryTable *table = find_table(relation);
	if (table && !may_use(table, wanted))
		return table;
	if (!has_subclass(relation))
		return nullptr;
	foreach (cell, find_all_inheritors(relation, NoLock, nullptr))
	{
		table = find_table(lfirst_oid(cell));
		if (table && !may_use(table, ACL_NO_RIGHTS))
			return table;
	}
	return nullptr;
}

/* The first table that the context may not use, or null. */
static TemporaryTable *
any_refused_table()
{
	HASH_SEQ_STATUS scan;

	hash_seq_init(&scan, tables);
	while (auto *table = static_cast<TemporaryTable *>(hash_seq_search(&scan)))
		if (!table->is_dropped && !may_use(table, ACL_NO_RIGHTS))
		{
			hash_seq_term(&scan);
			return table;
		}
	return nullptr;
}

/* The session owns its tables, and sees what ANALYZE has kept of their values. */
static bool
tells_values(Oid relation)
{
	return relation == StatisticRelationId || relation == StatisticExtDataRelationId;
}

static bool
check_permissions(List *range_table TENANCY_PERMISSIONS_PARAMETER, bool complain)
{
	ListCell *cell;

	if (previous_check_permissions && !previous_check_permissions(range_table TENANCY_PERMISSIONS, complain))
		return false;
	if (likely(!tables) || IsParallelWorker())
		return true;

	foreach (cell, TENANCY_PERMISSION_LIST(range_table))
	{
		auto *entry = static_cast<TenancyPermission *>(lfirst(cell));
		TemporaryTable *table = tells_values(entry->relid) ? any_refused_table()
														   : refused_table(entry->relid, entry->requiredPerms);

		if (!table)
			continue;
		if (!complain)
			return false;
		refuse_table(table);
	}
	return true;
}

/* What a statement changes that reads the rows by expressions of its own, or leaves something to run with them. */
static RangeVar *
changed_relation(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			return reinterpret_cast<AlterTableStmt *>(statement)->relation;
		case T_IndexStmt:
			return reinterpret_cast<IndexStmt *>(statement)->relation;
		case T_CreateTrigStmt:
			return reinterpret_cast<CreateTrigStmt *>(statement)->relation;
		case T_RuleStmt:
			return reinterpret_cast<RuleStmt *>(statement)->relation;
		case T_ViewStmt:
			return reinterpret_cast<ViewStmt *>(statement)->view;
		case T_CreateStatsStmt:
		{
			auto *from = static_cast<Node *>(linitial(reinterpret_cast<CreateStatsStmt *>(statement)->relations));
			return IsA(from, RangeVar) ? reinterpret_cast<RangeVar *>(from) : nullptr;
		}
		default:
			return nullptr;
	}
}

static bool
makes_type(Node *statement)
{
	return IsA(statement, CreateDomainStmt) || IsA(statement, CreateEnumStmt) || IsA(statement, CreateRangeStmt) ||
		   IsA(statement, CompositeTypeStmt);
}

/* The schema of a type that a statement makes, or invalid. */
static Oid
schema_of_new_type(Node *statement)
{
	char *name;

	switch (nodeTag(statement))
	{
		case T_CreateDomainStmt:
			return QualifiedNameGetCreationNamespace(reinterpret_cast<CreateDomainStmt *>(statement)->domainname, &name);
		case T_CreateEnumStmt:
			return QualifiedNameGetCreationNamespace(reinterpret_cast<CreateEnumStmt *>(statement)->typeName, &name);
		case T_CreateRangeStmt:
			return QualifiedNameGetCreationNamespace(reinterpret_cast<CreateRangeStmt *>(statement)->typeName, &name);
		case T_CompositeTypeStmt:
			return RangeVarGetCreationNamespace(reinterpret_cast<CompositeTypeStmt *>(statement)->typevar);
		default:
			return InvalidOid;
	}
}

/*
 * A type in pg_temp comes before those of the server, as the next tenant's '…'::text would find: its checks would run with
 * what the next one casts.  Nothing tells who uses a type, so roles that policies bind make none.
 */
static void
check_new_type(Node *statement)
{
	if (isTempNamespace(schema_of_new_type(statement)) && may_lure())
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("a session that serves tenants cannot make a temporary type"),
						errdetail("It would take the name of one of the next tenant's on this connection."),
						errhint("Make it in a schema.")));
}

static bool
is_temporary_type(const TypeName *name)
{
	Oid type = LookupTypeNameOid(nullptr, name, true);
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));

	if (!HeapTupleIsValid(tuple))
		return false;
	Oid schema = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple))->typnamespace;
	ReleaseSysCache(tuple);
	return isTempNamespace(schema);
}

static void
check_cast(const CreateCastStmt *cast)
{
	if ((is_temporary_type(cast->sourcetype) || is_temporary_type(cast->targettype)) && may_lure())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a session that serves tenants cannot make a cast of a temporary type"),
				 errdetail("The next client of this connection would call its function."),
				 errhint("Make the type in a schema.")));
}

static void
check_rename(const RenameStmt *rename)
{
	Oid relation = rename->relation ? RangeVarGetRelid(rename->relation, NoLock, true) : InvalidOid;

	if (OidIsValid(relation) && !rename->subname && isTempNamespace(get_rel_namespace(relation)))
		check_name(rename->newname);
}

/* What would be found instead of what the next client means. */
static void
check_lure(Node *statement)
{
	if (makes_type(statement))
		check_new_type(statement);
	else if (IsA(statement, CreateCastStmt))
		check_cast(castNode(CreateCastStmt, statement));
	else if (IsA(statement, RenameStmt))
		check_rename(castNode(RenameStmt, statement));
}

/* No privilege is asked for where the owner changes a table. */
static void
check_change(Node *statement)
{
	const RangeVar *name = changed_relation(statement);
	TemporaryTable *table = nullptr;

	if (name)
		table = refused_table(RangeVarGetRelid(name, NoLock, true), ACL_NO_RIGHTS);
	else if (IsA(statement, AlterDomainStmt))
		table = any_refused_table();
	if (table)
		refuse_table(table);
}

static void
process_utility(PlannedStmt *statement, const char *query, bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *environment, DestReceiver *receiver,
				QueryCompletion *completion)
{
	Node *command = executed_statement(statement->utilityStmt);
	RangeVar *made = relation_of_statement(command);
	bool keeps_rows = made && !empties_itself(command);

	if (unlikely(tables) && IsTransactionState())
		check_change(command);
	if (IsTransactionState())
		check_lure(command);
	(previous_process_utility ? previous_process_utility : standard_ProcessUtility)(
		statement, query, read_only_tree, context, params, environment, receiver, completion);

	if (made)
		note_relation(made, keeps_rows);
}

void
temporary_table_init()
{
	previous_check_permissions = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = check_permissions;
	previous_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	previous_object_access = object_access_hook;
	object_access_hook = object_access;
	RegisterXactCallback(transaction_event, nullptr);
	RegisterSubXactCallback(subtransaction_event, nullptr);
}

} // namespace tenancy
