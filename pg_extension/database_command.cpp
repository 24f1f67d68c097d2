/*
 * database_command.cpp — commands that need a database to themselves.
 *
 * DROP DATABASE, ALTER DATABASE … RENAME and SET TABLESPACE, and CREATE DATABASE … TEMPLATE fail after five seconds if
 * anybody is connected to the database, and our workers are always connected.  They may be issued from any database, so
 * that the library that is loaded everywhere must see them: it asks the workers to leave before the command and keeps
 * new ones out until its transaction ends, whether by commit (the database may be gone) or by an error (it is not).
 *
 * DROP EXTENSION needs no empty database, but locks that a worker may hold for as long as a first copy takes.
 *
 * Only a role that could run the command has this power over the workers.
 */
#include "tenancy.h"

namespace tenancy
{
namespace
{

ProcessUtility_hook_type previous_process_utility = nullptr;

void
hold_by_name(const char *name)
{
	Oid database = get_database_oid(name, true);

	if (OidIsValid(database) &&
		tenancy_object_ownercheck(DatabaseRelationId, database, GetUserId()))
		launcher_hold_database(database);
}

/* The server's own have_createdb_privilege() is not to be had in every minor release. */
bool
may_create_databases()
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	bool may = superuser();

	if (HeapTupleIsValid(tuple))
	{
		may |= reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple))->rolcreatedb;
		ReleaseSysCache(tuple);
	}
	return may;
}

/* A template may be copied by its owner, or by whoever may create databases if it is marked as one. */
void
hold_template(const char *name)
{
	Oid database = get_database_oid(name, true);
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool marked;

	if (!HeapTupleIsValid(tuple))
		return;
	marked = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple))->datistemplate;
	ReleaseSysCache(tuple);
	if (may_create_databases() &&
		(marked || tenancy_object_ownercheck(DatabaseRelationId, database, GetUserId())))
		launcher_hold_database(database);
}

/* The value of an option that names a database or a tablespace, or null. */
const char *
named_option(List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst_node(DefElem, cell);
		if (strcmp(option->defname, name) == 0)
			return option->arg ? defGetString(option) : nullptr;
	}
	return nullptr;
}

void
hold_for_extensions(DropStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->objects)
	{
		const char *name = strVal(lfirst(cell));
		Oid extension;

		if (strcmp(name, "tenancy") != 0 && strcmp(name, "tenancy_mongo") != 0)
			continue;
		extension = get_extension_oid(name, true);
		if (OidIsValid(extension) &&
			tenancy_object_ownercheck(ExtensionRelationId, extension, GetUserId()))
			launcher_hold_database(MyDatabaseId);
	}
}

void
hold_what_it_needs(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			hold_by_name(reinterpret_cast<DropdbStmt *>(statement)->dbname);
			break;
		case T_RenameStmt:
			if (reinterpret_cast<RenameStmt *>(statement)->renameType == OBJECT_DATABASE)
				hold_by_name(reinterpret_cast<RenameStmt *>(statement)->subname);
			break;
		case T_AlterDatabaseStmt:
		{
			AlterDatabaseStmt *alter = reinterpret_cast<AlterDatabaseStmt *>(statement);
			if (named_option(alter->options, "tablespace"))
				hold_by_name(alter->dbname);
			break;
		}
		case T_CreatedbStmt:
		{
			CreatedbStmt *create = reinterpret_cast<CreatedbStmt *>(statement);
			const char *source = named_option(create->options, "template");
			hold_template(source ? source : "template1");
			break;
		}
		case T_DropStmt:
			if (reinterpret_cast<DropStmt *>(statement)->removeType == OBJECT_EXTENSION)
				hold_for_extensions(reinterpret_cast<DropStmt *>(statement));
			break;
		default:
			break;
	}
}

void
process_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
				DestReceiver *receiver, QueryCompletion *completion)
{
	/* In an aborted transaction nothing runs but its end, and no catalog may be read. */
	if (IsTransactionState())
		hold_what_it_needs(statement->utilityStmt);

	(previous_process_utility ? previous_process_utility : standard_ProcessUtility)(
		statement, query, read_only_tree, context, params, environment, receiver, completion);
}

} // namespace

void
database_command_init()
{
	previous_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}

} // namespace tenancy
