/*
 * temporary_table.cpp — what a tenant has put into a temporary table, the next one does not read.
 *
 * A temporary table lives as long as the connection, and a pooler hands that to somebody else.  Who comes next could read
 * what it holds; worse, a table that takes the name of a real one comes first in the search path, and catches what the next
 * tenant writes.  Policies cannot help: the session owns the table.
 *
 * So a temporary table or view belongs to the context under which it was made, and a query that names it under another one,
 * or under none, is refused.  It is not dropped, since the tenant may come back to this connection; DISCARD TEMP drops it.
 * What was made when there was no context is everybody's.
 *
 * A session that has made none pays nothing.
 */
#include "tenant_context.h"

namespace tenancy
{

struct TemporaryTable
{
	Oid relation;	/* the key */
	Identity owner;
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
note_relation(const RangeVar *name)
{
	const Identity *owner = transaction_identity();
	Oid relation = owner ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;

	if (OidIsValid(relation) && isTempNamespace(get_rel_namespace(relation)))
		note_owner(relation, *owner);
}

static bool
may_read(const TemporaryTable *table)
{
	const Identity *identity = transaction_identity();

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

	foreach (cell, range_table)
	{
		auto *entry = lfirst_node(RangeTblEntry, cell);
		auto *table = static_cast<TemporaryTable *>(hash_search(tables, &entry->relid, HASH_FIND, nullptr));

		if (!table || may_read(table))
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
	RangeVar *made = relation_of_statement(statement->utilityStmt);

	(previous_process_utility ? previous_process_utility : standard_ProcessUtility)(
		statement, query, read_only_tree, context, params, environment, receiver, completion);

	if (made && context_is_set())
		note_relation(made);
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
