/*
 * script_scope.cpp — what is done otherwise while the script of a system runs.
 *
 * Who runs a script says so here, and features that spare the script what its runner does anyway ask: empty_index.cpp makes
 * indexes without a build, protected_schema.cpp leaves new tables to the runner, which protects all of them at the end, and
 * GRANT … ON ALL TABLES IN SCHEMA of the script's own schema becomes a GRANT on tables by name.  PostgreSQL would read the
 * whole of pg_class for it, which at thousands of tenants takes longer than the rest of the script.
 *
 * An error leaves the scope: the callbacks see the end of the transaction or subtransaction in which it was entered.
 */
#include "tenancy.h"

namespace tenancy
{
namespace
{

Oid schema_in_force = InvalidOid;
int entered_at = 0; /* the nest level of the transaction */
Oid altered = InvalidOid; /* by the ALTER TABLE that runs */

ProcessUtility_hook_type previous_process_utility = nullptr;

void
transaction_ended(XactEvent, void *)
{
	leave_script_schema();
}

void
subtransaction_ended(SubXactEvent event, SubTransactionId, SubTransactionId, void *)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && entered_at >= GetCurrentTransactionNestLevel())
		leave_script_schema();
}

/* True for GRANT or REVOKE on all tables, views and sequences of the script's schema alone. */
bool
is_grant_on_all(const GrantStmt *grant)
{
	return grant->targtype == ACL_TARGET_ALL_IN_SCHEMA &&
		   (grant->objtype == OBJECT_TABLE || grant->objtype == OBJECT_SEQUENCE) &&
		   list_length(grant->objects) == 1 &&
		   get_namespace_oid(strVal(linitial(grant->objects)), true) == schema_in_force;
}

bool
grant_takes(ObjectType type, char relkind)
{
	switch (relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_VIEW:
		case RELKIND_MATVIEW:
		case RELKIND_FOREIGN_TABLE:
			return type == OBJECT_TABLE;
		case RELKIND_SEQUENCE:
			return type == OBJECT_SEQUENCE;
		default:
			return false;
	}
}

/* The same statement with the relations by name; null if there are none. */
PlannedStmt *
grant_by_name(const PlannedStmt *statement)
{
	auto *copy = static_cast<PlannedStmt *>(copyObjectImpl(statement));
	auto *grant = castNode(GrantStmt, copy->utilityStmt);
	char *schema = pstrdup(strVal(linitial(grant->objects)));
	ListCell *cell;

	grant->targtype = ACL_TARGET_OBJECT;
	grant->objects = NIL;
	foreach (cell, relations_of_schema(schema_in_force))
		if (grant_takes(grant->objtype, get_rel_relkind(lfirst_oid(cell))))
			grant->objects = lappend(grant->objects,
									 makeRangeVar(schema, get_rel_name(lfirst_oid(cell)), -1));
	return grant->objects == NIL ? nullptr : copy;
}

/* The table that a statement alters: here its name means what it means to the script. */
Oid
altered_by(Node *statement)
{
	return IsA(statement, AlterTableStmt) ? RangeVarGetRelid(castNode(AlterTableStmt, statement)->relation, NoLock, true)
										  : InvalidOid;
}

void
process_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
				DestReceiver *receiver, QueryCompletion *completion)
{
	const Oid outer = altered;

	if (OidIsValid(schema_in_force) && IsA(statement->utilityStmt, GrantStmt) &&
		is_grant_on_all(castNode(GrantStmt, statement->utilityStmt)))
	{
		statement = grant_by_name(statement);
		if (!statement)
			return;
	}
	if (OidIsValid(schema_in_force))
		altered = altered_by(statement->utilityStmt);
	(previous_process_utility ? previous_process_utility : standard_ProcessUtility)(
		statement, query, read_only_tree, context, params, environment, receiver, completion);
	altered = outer;
}

} // namespace

Oid
script_schema()
{
	return schema_in_force;
}

Oid
table_altered_by_script()
{
	return altered;
}

void
enter_script_schema(Oid schema)
{
	schema_in_force = schema;
	entered_at = GetCurrentTransactionNestLevel();
}

void
leave_script_schema()
{
	schema_in_force = altered = InvalidOid;
	entered_at = 0;
}

void
script_scope_init()
{
	previous_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	RegisterXactCallback(transaction_ended, nullptr);
	RegisterSubXactCallback(subtransaction_ended, nullptr);
}

} // namespace tenancy
