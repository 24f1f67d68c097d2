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
 * A session that has made none pays nothing.
 */
#include "tenant_context.h"

namespace tenancy
{

struct TemporaryTable
{
	Oid relation;	/* the key */
	Identity owner; /* of the class "none": nobody's yet */
};

static HTAB *tables;

static ExecutorCheckPerms_hook_type previous_check_permissions;
static ProcessUtility_hook_type previous_process_utility;

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

static void
note_owner(Oid relation, const Identity &owner)
{
	bool found;

	if (!tables)
	{
		HASHCTL control = {};

		control.keysize = sizeof(Oid);
		control.entrysize = sizeof(TemporaryTable);
		tables = hash_create("tenancy temporary tables", 16, &control, HASH_ELEM | HASH_BLOBS);
	}

	/* IF NOT EXISTS may have met another tenant's. */
	auto *table = static_cast<TemporaryTable *>(hash_search(tables, &relation, HASH_ENTER, &found));
	if (!found)
		table->owner = owner;
}

static void
note_relation(const RangeVar *name, bool keeps_rows)
{
	const Identity nobody = {};
	const Identity *owner = transaction_identity();
	Oid relation = RangeVarGetRelid(name, NoLock, true);

	if (OidIsValid(relation) && isTempNamespace(get_rel_namespace(relation)) && (owner || keeps_rows))
		note_owner(relation, owner ? *owner : nobody);
}

/* It holds nobody's rows any more. */
static void
note_truncation(const TruncateStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->relations)
	{
		Oid relation = RangeVarGetRelid(lfirst_node(RangeVar, cell), NoLock, true);
		auto *table = static_cast<TemporaryTable *>(hash_search(tables, &relation, HASH_FIND, nullptr));

		if (table)
			table->owner = {};
	}
}

/* The first who writes to a table of nobody's owns it from then on. */
static bool
may_use(TemporaryTable *table, AclMode wanted)
{
	const Identity *identity = transaction_identity();

	if (table->owner.role == ContextRole::none)
	{
		if (identity && (wanted & (ACL_INSERT | ACL_UPDATE)))
			table->owner = *identity;
		return true;
	}
	return (identity && identity->fingerprint == table->owner.fingerprint) || has_bypassrls_privilege(GetUserId());
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
		auto *table = static_cast<TemporaryTable *>(hash_search(tables, &entry->relid, HASH_FIND, nullptr));

		if (!table || may_use(table, entry->requiredPerms))
			continue;
		if (!complain)
			return false;
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("temporary table \"%s\" was made for another tenant", get_rel_name(entry->relid)),
						errdetail("It was made for %s.", describe(table->owner)),
						errhint("Drop what the session has left: DISCARD TEMP;")));
	}
	return true;
}

static void
process_utility(PlannedStmt *statement, const char *query, bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *environment, DestReceiver *receiver,
				QueryCompletion *completion)
{
	Node *command = statement->utilityStmt;
	RangeVar *made = relation_of_statement(command);
	bool keeps_rows = made && !empties_itself(command);
	bool truncates = IsA(command, TruncateStmt);

	(previous_process_utility ? previous_process_utility : standard_ProcessUtility)(
		statement, query, read_only_tree, context, params, environment, receiver, completion);

	if (made)
		note_relation(made, keeps_rows);
	else if (truncates && tables)
		note_truncation(reinterpret_cast<TruncateStmt *>(command));
}

void
temporary_table_init()
{
	previous_check_permissions = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = check_permissions;
	previous_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}

} // namespace tenancy
