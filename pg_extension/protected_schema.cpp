/*
 * protected_schema.cpp — schemas whose tables are protected, those of today and those of tomorrow.
 *
 * Most leaks begin with a table that somebody added and nobody protected.  So protect_schema()
 * protects the tables that are there and writes the schema down, and an event trigger protects what
 * comes later:
 *
 *   in a protected schema        by the schema's tenant column, as soon as a table has it
 *   in a tenant's own schema     for that tenant
 *   below a protected table      as the table above it, wherever the partition or child stands
 *
 * However a table comes there: CREATE TABLE, CREATE TABLE AS, SELECT INTO, a column that is added
 * or renamed, ATTACH PARTITION, INHERIT, SET SCHEMA.  The trigger is enabled ALWAYS, since
 * session_replication_role would switch it off.
 *
 * Two who make tables are left alone.  A script of CREATE EXTENSION protects its own tables.  A
 * dump brings its policies along, and would fail on ours; pg_dump's scripts run with row_security
 * off, which is how they are known.  Whoever switches it off to evade the trigger gets a table that
 * isolation_report() names.
 *
 * What the trigger runs belongs to protection_sql() alone: quoted names, no expression of a user.
 */
#include "tenancy.h"

namespace tenancy
{

/* Runs a query of one text or name parameter. */
static void
run_with(const char *query, const char *parameter)
{
	Oid type = TEXTOID;
	Datum value = CStringGetTextDatum(parameter);
	int result = SPI_execute_with_args(query, 1, &type, &value, nullptr, false, 0);

	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", query, SPI_result_code_string(result));
}

static Oid
check_schema(const char *schema)
{
	Oid namespace_oid = get_namespace_oid(schema, false);

	if (IsCatalogNamespace(namespace_oid) || IsToastNamespace(namespace_oid) ||
		isAnyTempNamespace(namespace_oid) || strcmp(schema, "information_schema") == 0)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("schema \"%s\" cannot be protected", schema),
						errdetail("It is one of PostgreSQL's own.")));
	if (!tenancy_object_ownercheck(NamespaceRelationId, namespace_oid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_SCHEMA, schema);
	return namespace_oid;
}

/*
 * The tables of a schema, but for those whose parent stands there too: it takes them along.  "with"
 * says whether they have the column or lack it.
 */
static List *
tables_of_schema(Oid schema, const char *column, bool with)
{
	Oid types[] = {OIDOID, NAMEOID, BOOLOID};
	NameData name;
	List *tables = NIL;

	namestrcpy(&name, column);
	Datum values[] = {ObjectIdGetDatum(schema), NameGetDatum(&name), BoolGetDatum(with)};
	MemoryContext caller = CurrentMemoryContext;

	SPI_connect();
	SPI_execute_with_args(
		"SELECT c.oid FROM pg_class c WHERE c.relnamespace = $1 AND c.relkind IN ('r', 'p') "
		"AND NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent "
		"WHERE i.inhrelid = c.oid AND p.relnamespace = $1) "
		"AND EXISTS (SELECT FROM pg_attribute a "
		"WHERE a.attrelid = c.oid AND a.attname = $2 AND a.attnum > 0) = $3 ORDER BY c.relname",
		3, types, values, nullptr, true, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool null;
		Oid table =
			DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &null));
		MemoryContext spi = MemoryContextSwitchTo(caller);

		tables = lappend_oid(tables, table);
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	return tables;
}

/* A schema of a tenant's system is protected for that tenant already. */
static void
check_not_tenants(const char *schema)
{
	SPI_connect();
	run_with("SELECT tenant_id FROM tenancy.tenant_systems WHERE schema_name = $1::name", schema);
	if (SPI_processed > 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("schema \"%s\" is protected for tenant \"%s\"", schema,
							   SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1)),
						errdetail("It holds a system of that tenant, and new tables in it are "
								  "protected too.")));
	SPI_finish();
}

static const char *
registration_sql(const char *schema, const char *column)
{
	return psprintf(
		"INSERT INTO tenancy.protected_schemas (schema_name, tenant_column) VALUES (%s, %s)\n"
		"    ON CONFLICT (schema_name) DO UPDATE SET tenant_column = excluded.tenant_column;\n",
		quote_literal_cstr(schema), quote_literal_cstr(column));
}

/* Tables without the column belong to everybody or to a table that has it; which, only their owner
 * knows. */
static void
warn_of_rest(Oid namespace_oid, const char *schema, const char *column)
{
	List *rest = tables_of_schema(namespace_oid, column, false);
	StringInfoData names;
	ListCell *cell;

	if (rest == NIL)
		return;
	initStringInfo(&names);
	foreach (cell, rest)
		appendStringInfo(&names, "%s%s", foreach_current_index(cell) > 0 ? ", " : "",
						 get_rel_name(lfirst_oid(cell)));
	ereport(WARNING,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("some tables of schema \"%s\" have no column \"%s\" and stay as they are",
					schema, column),
			 errdetail("They are: %s.", names.data),
			 errhint("ALTER TABLE %s.%s ADD COLUMN %s text; protects a table.",
					 quote_identifier(schema), quote_identifier(get_rel_name(linitial_oid(rest))),
					 quote_identifier(column))));
}

/* The registry belongs to the extension's owner; who may write into it has been checked. */
static BorrowedRole
become_extension_owner()
{
	HeapTuple tuple =
		SearchSysCache1(RELOID, ObjectIdGetDatum(get_relname_relid(
									"protected_schemas", get_namespace_oid("tenancy", false))));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "relation \"tenancy.protected_schemas\" does not exist");
	Oid owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;

	ReleaseSysCache(tuple);
	return become_role(owner, "pg_catalog, pg_temp");
}

void
run_as_extension(const char *sql)
{
	BorrowedRole borrowed = become_extension_owner();

	SPI_connect();
	run(sql);
	SPI_finish();
	become_caller(borrowed);
}

static void
protect_schema(const char *schema, const char *column)
{
	Oid namespace_oid = check_schema(schema);
	BorrowedRole borrowed = become_extension_owner();
	ListCell *cell;

	check_not_tenants(schema);
	become_caller(borrowed);
	foreach (cell, tables_of_schema(namespace_oid, column, true))
		protect_table(lfirst_oid(cell), column, nullptr);
	run_as_extension(registration_sql(schema, column));
	warn_of_rest(namespace_oid, schema, column);
}

static char *
protect_schema_sql(const char *schema, const char *column)
{
	StringInfoData sql;
	ListCell *cell;

	initStringInfo(&sql);
	foreach (cell, tables_of_schema(check_schema(schema), column, true))
		appendStringInfoString(&sql,
							   protection_sql(lfirst_oid(cell), column, nullptr, AccessShareLock));
	appendStringInfoString(&sql, registration_sql(schema, column));
	return sql.data;
}

/*
 * The event trigger
 */

/* True if a statement may have brought a table, or a table under what binds it. */
static bool
may_bring_table(Node *statement)
{
	ListCell *cell;

	switch (nodeTag(statement))
	{
		case T_RenameStmt:
			return ((RenameStmt *) statement)->renameType == OBJECT_COLUMN;
		case T_AlterTableStmt:
			foreach (cell, ((AlterTableStmt *) statement)->cmds)
				switch (lfirst_node(AlterTableCmd, cell)->subtype)
				{
					case AT_AddColumn:
					case AT_AttachPartition:
					case AT_AddInherit:
						return true;
					default:
						break;
				}
			return false;
		case T_CreateSchemaStmt:
			return castNode(CreateSchemaStmt, statement)->schemaElts != NIL;
		default:
			return true;
	}
}

/* A protected table above this one, by partitions or inheritance: its protection is this one's as
 * well. */
static Oid
protected_ancestor(Oid table, const char **column, const char **tenant)
{
	Relation inherits = table_open(InheritsRelationId, AccessShareLock);
	Oid ancestor = InvalidOid;
	ScanKeyData key;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(table));
	SysScanDesc scan =
		systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, nullptr, 1, &key);
	while (!OidIsValid(ancestor) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid parent = ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent;

		ancestor = protection_of(parent, column, tenant)
					   ? parent
					   : protected_ancestor(parent, column, tenant);
	}
	systable_endscan(scan);
	table_close(inherits, AccessShareLock);
	return ancestor;
}

static void
warn_of_missing_column(Oid table, const char *schema, const char *column)
{
	ereport(WARNING, (errcode(ERRCODE_UNDEFINED_COLUMN),
					  errmsg("table \"%s\" of protected schema \"%s\" has no column \"%s\"",
							 get_rel_name(table), schema, column),
					  errdetail("Every tenant's session may see what is in it."),
					  errhint("ALTER TABLE %s ADD COLUMN %s text; protects it.",
							  quote_qualified_identifier(schema, get_rel_name(table)),
							  quote_identifier(column))));
}

/* Protects what a table is to be: like the table above it, for its schema's tenant, or by its
 * schema's column. */
static void
protect_new_table(Oid table, const char *schema, const char *schema_column,
				  const char *schema_tenant, bool is_new)
{
	const char *column, *tenant;
	bool is_foreign = get_rel_relkind(table) == RELKIND_FOREIGN_TABLE;
	Oid like = protection_of(table, &column, &tenant) ? table
													  : protected_ancestor(table, &column, &tenant);

	/* A foreign table has no policies of its own: it is its parent's protection that closes it. */
	if (OidIsValid(like))
		protect_table(is_foreign ? like : table, column, tenant);
	else if (is_foreign)
		return;
	else if (schema_tenant)
		protect_table(table, nullptr, schema_tenant);
	else if (schema_column && get_attnum(table, schema_column) > 0)
		protect_table(table, schema_column, nullptr);
	else if (schema_column && is_new)
		warn_of_missing_column(table, schema, schema_column);
}

/* Columns and nothing else: what is attached or inherits may stand elsewhere. */
static bool
adds_columns(const AlterTableStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->cmds)
		if (lfirst_node(AlterTableCmd, cell)->subtype == AT_AttachPartition ||
			lfirst_node(AlterTableCmd, cell)->subtype == AT_AddInherit)
			return false;
	return statement->objtype == OBJECT_TABLE;
}

/* Whoever runs a system's script protects its tables when it has ended, at a fraction of the cost. */
static bool
is_left_to_script(Node *statement)
{
	Oid table = InvalidOid;

	if (!OidIsValid(script_schema()))
		return false;
	/* An event trigger has a search path of its own; the name of a table that was made is qualified by now. */
	if (IsA(statement, CreateStmt))
		table = RangeVarGetRelid(castNode(CreateStmt, statement)->relation, NoLock, true);
	else if (IsA(statement, AlterTableStmt) && adds_columns(castNode(AlterTableStmt, statement)))
		table = table_altered_by_script();
	return OidIsValid(table) && get_rel_namespace(table) == script_schema();
}

/* The tables of the statement that ended, as far as something could protect them.  Kept: CREATE
 * TABLE comes in crowds. */
static SPIPlanPtr
new_tables_plan()
{
	static SPIPlanPtr plan;
	const char *query = "SELECT DISTINCT c.oid, n.nspname, p.tenant_column, s.tenant_id "
						"FROM pg_event_trigger_ddl_commands() e JOIN pg_class c ON c.oid = e.objid "
						"JOIN pg_namespace n ON n.oid = c.relnamespace "
						"LEFT JOIN tenancy.protected_schemas p ON p.schema_name = n.nspname "
						"LEFT JOIN tenancy.tenant_systems s ON s.schema_name = n.nspname "
						"WHERE e.classid = 'pg_class'::regclass AND NOT e.in_extension "
						"AND c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' "
						"AND (p.schema_name IS NOT NULL OR s.schema_name IS NOT NULL "
						"OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) "
						"OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid)) "
						"ORDER BY c.oid";

	if (plan)
		return plan;
	SPIPlanPtr prepared = SPI_prepare(query, 0, nullptr);
	if (!prepared || SPI_keepplan(prepared) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", query, SPI_result_code_string(SPI_result));
	return plan = prepared;
}

static void
protect_new_tables(bool are_new)
{
	SPI_connect();
	int result = SPI_execute_plan(new_tables_plan(), nullptr, nullptr, false, 0);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not list new tables: %s", SPI_result_code_string(result));

	SPITupleTable *rows = SPI_tuptable;
	for (uint64 i = 0; i < rows->numvals; i++)
	{
		bool null;
		Oid table = DatumGetObjectId(SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &null));

		protect_new_table(table, SPI_getvalue(rows->vals[i], rows->tupdesc, 2),
						  SPI_getvalue(rows->vals[i], rows->tupdesc, 3),
						  SPI_getvalue(rows->vals[i], rows->tupdesc, 4), are_new);
	}
	SPI_finish();
}

/* A protected schema stays protected under its new name. */
static void
follow_rename(const char *from, const char *to)
{
	SPI_connect();
	run(psprintf("DELETE FROM tenancy.protected_schemas WHERE schema_name = %s; "
				 "UPDATE tenancy.protected_schemas SET schema_name = %s WHERE schema_name = %s",
				 quote_literal_cstr(to), quote_literal_cstr(to), quote_literal_cstr(from)));
	SPI_finish();
}

static void
name_arguments(FunctionCallInfo fcinfo, const char **schema, const char **column)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("schema and tenant column must not be null")));
	*schema = pstrdup(NameStr(*PG_GETARG_NAME(0)));
	*column = pstrdup(NameStr(*PG_GETARG_NAME(1)));
}

} // namespace tenancy

extern "C"
{
	PG_FUNCTION_INFO_V1(tenancy_protect_schema);
	PG_FUNCTION_INFO_V1(tenancy_protect_schema_ddl);
	PG_FUNCTION_INFO_V1(tenancy_unprotect_schema);
	PG_FUNCTION_INFO_V1(tenancy_protect_new_tables);

	PGDLLEXPORT Datum
	tenancy_protect_schema(PG_FUNCTION_ARGS)
	{
		const char *schema, *column;

		tenancy::name_arguments(fcinfo, &schema, &column);
		tenancy::protect_schema(schema, column);
		PG_RETURN_VOID();
	}

	PGDLLEXPORT Datum
	tenancy_protect_schema_ddl(PG_FUNCTION_ARGS)
	{
		const char *schema, *column;

		tenancy::name_arguments(fcinfo, &schema, &column);
		PG_RETURN_TEXT_P(cstring_to_text(tenancy::protect_schema_sql(schema, column)));
	}

	PGDLLEXPORT Datum
	tenancy_unprotect_schema(PG_FUNCTION_ARGS)
	{
		if (PG_ARGISNULL(0))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("schema must not be null")));
		const char *schema = pstrdup(NameStr(*PG_GETARG_NAME(0)));

		/* The name of a schema that is gone may still be written down; that one is for superusers
		 * to remove. */
		if (OidIsValid(get_namespace_oid(schema, true)) || !superuser())
			(void) tenancy::check_schema(schema);
		tenancy::run_as_extension(
			psprintf("DELETE FROM tenancy.protected_schemas WHERE schema_name = %s",
					 quote_literal_cstr(schema)));
		PG_RETURN_VOID();
	}

	PGDLLEXPORT Datum
	tenancy_protect_new_tables(PG_FUNCTION_ARGS)
	{
		if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
			ereport(ERROR, (errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
							errmsg("function \"%s\" was not called by event trigger manager",
								   "protect_new_tables")));

		auto *trigger = reinterpret_cast<EventTriggerData *>(fcinfo->context);
		Node *statement = trigger->parsetree;

		if (IsA(statement, RenameStmt) && ((RenameStmt *) statement)->renameType == OBJECT_SCHEMA)
			tenancy::follow_rename(((RenameStmt *) statement)->subname,
								   ((RenameStmt *) statement)->newname);
		else if (!creating_extension && row_security && tenancy::may_bring_table(statement) &&
				 !tenancy::is_left_to_script(statement))
			tenancy::protect_new_tables(!IsA(statement, AlterTableStmt) &&
										!IsA(statement, RenameStmt));
		PG_RETURN_NULL();
	}
}
