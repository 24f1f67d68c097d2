/*
 * system_install.cpp — running a system's script in a tenant's schema as the owner role.
 *
 * One transaction makes the schema, runs the script, protects what it made and grants it: it is all there or nothing.
 * The script runs as tenancy_owner, never as the superuser who owns the extension, with search_path = the schema and
 * pg_temp last.  It is trusted with the schemas of tenants, not with the server.
 *
 * What the script made is listed by its dependency on the schema.  GRANT … ON ALL TABLES IN SCHEMA would read the whole
 * of pg_class, which at thousands of tenants costs more than everything else here.
 */
#include "tenancy.h"

namespace tenancy
{

struct Installation
{
	const char *tenant;
	const char *system;
	const char *version;
	const char *version_id;
	const char *type;
	const char *script;
	NameData schema;
	NameData role;
	int line; /* of the statement that runs */
};

static void
installation_error(void *argument)
{
	auto *installation = static_cast<const Installation *>(argument);

	if (installation->line > 0)
		errcontext("line %d of the script", installation->line);
	errcontext("installation of system \"%s\" version %s for tenant \"%s\"", installation->system,
			   installation->version, installation->tenant);
}

/* A query of text parameters; its first row's columns as strings, null if there is no row. */
template <int count>
static char **
query_row(const char *query, const char *const (&parameters)[count])
{
	Oid types[count];
	Datum values[count];
	char nulls[count];

	for (int i = 0; i < count; i++)
	{
		types[i] = TEXTOID;
		values[i] = parameters[i] ? CStringGetTextDatum(parameters[i]) : (Datum) 0;
		nulls[i] = parameters[i] ? ' ' : 'n';
	}
	int result = SPI_execute_with_args(query, count, types, values, nulls, false, 1);
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", query, SPI_result_code_string(result));
	if (SPI_processed == 0 || !SPI_tuptable)
		return nullptr;

	int columns = SPI_tuptable->tupdesc->natts;
	auto **row = static_cast<char **>(palloc(columns * sizeof(char *)));
	for (int i = 0; i < columns; i++)
		row[i] = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1);
	return row;
}

static void
check_tenant(const char *tenant)
{
	char **row = query_row(
		"SELECT t.status FROM tenancy.tenants t WHERE t.tenant_id = $1 FOR UPDATE", {tenant});

	if (!row)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("tenant \"%s\" does not exist", tenant),
			 errhint("SELECT tenancy.create_tenant(%s, 'its name');", quote_literal_cstr(tenant))));
	if (strcmp(row[0], "active") != 0 && strcmp(row[0], "provisioning") != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("tenant \"%s\" is %s", tenant, row[0]),
						errhint("SELECT tenancy.resume_tenant(%s);", quote_literal_cstr(tenant))));
}

/* Finds the version, the latest if none is named, and fills the installation from it. */
static void
find_version(Installation *installation)
{
	const char *system = installation->system;
	char **row = query_row(
		"SELECT s.type, s.status FROM tenancy.management_systems s WHERE s.system_id = $1",
		{system});

	if (!row)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("system \"%s\" does not exist", system),
				 errhint("SELECT system_id FROM tenancy.available_systems;  The CRM comes with "
						 "CREATE EXTENSION tenancy_business;")));
	installation->type = row[0];
	if (strcmp(row[1], "active") != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("system \"%s\" is %s", system, row[1]),
			 errhint(
				 "UPDATE tenancy.management_systems SET status = 'active' WHERE system_id = %s;",
				 quote_literal_cstr(system))));

	row = query_row("SELECT v.version, v.version_id, v.install_sql FROM tenancy.system_versions v "
					"WHERE v.system_id = $1 AND (v.version = $2 OR ($2 IS NULL AND v.is_latest))",
					{system, installation->version});
	if (!row && installation->version)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("version %s of system \"%s\" does not exist", installation->version,
							   system),
						errhint("SELECT version FROM tenancy.system_versions WHERE system_id = %s;",
								quote_literal_cstr(system))));
	if (!row)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("system \"%s\" has no version", system),
				 errhint("SELECT tenancy.register_version(%s, '1.0.0', 'CREATE TABLE ...');",
						 quote_literal_cstr(system))));
	installation->version = row[0];
	installation->version_id = row[1];
	installation->script = row[2];
}

static void
check_not_installed(const Installation &installation)
{
	char **row = query_row("SELECT s.system_id, v.version FROM tenancy.tenant_systems i "
						   "JOIN tenancy.management_systems s ON s.system_id = i.system_id "
						   "JOIN tenancy.system_versions v ON v.version_id = i.version_id "
						   "WHERE i.tenant_id = $1 AND s.type = $2",
						   {installation.tenant, installation.type});

	if (!row)
		return;
	if (strcmp(row[0], installation.system) == 0)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("tenant \"%s\" has system \"%s\" already", installation.tenant,
							   installation.system),
						errdetail("It has version %s.", row[1])));
	ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
					errmsg("tenant \"%s\" has another system of type \"%s\"", installation.tenant,
						   installation.type),
					errdetail("It is \"%s\", and both would use the schema \"%s\".", row[0],
							  NameStr(installation.schema))));
}

static void
check_dependencies(const Installation &installation)
{
	char **row = query_row(
		"SELECT d.key, d.value FROM tenancy.system_versions v, "
		"pg_catalog.jsonb_each_text(v.dependencies) d "
		"WHERE v.version_id = $2 AND NOT EXISTS (SELECT FROM tenancy.tenant_systems i "
		"WHERE i.tenant_id = $1 AND i.system_id = d.key AND i.status = 'installed') ORDER BY d.key",
		{installation.tenant, installation.version_id});

	if (row)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("system \"%s\" needs system \"%s\"", installation.system, row[0]),
				 errdetail("Tenant \"%s\" does not have it.", installation.tenant),
				 errhint("SELECT tenancy.install_system(%s, %s);",
						 quote_literal_cstr(installation.tenant), quote_literal_cstr(row[0]))));
}

static void
run_script(Installation *installation)
{
	const char *schema = NameStr(installation->schema);
	List *statements =
		split_script(substitute_script(installation->script, schema, installation->tenant));
	BorrowedRole borrowed = become_owner(psprintf("%s, pg_temp", quote_identifier(schema)));
	ListCell *cell;

	foreach (cell, statements)
	{
		auto *statement = static_cast<ScriptStatement *>(lfirst(cell));

		CHECK_FOR_INTERRUPTS();
		installation->line = statement->line;
		int result = SPI_execute(statement->text, false, 0);
		if (result < 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a system's script cannot hold this statement: %s", statement->text)));
	}
	installation->line = 0;
	become_caller(borrowed);
}

/* The relations of a schema, by their dependency on it. */
static List *
relations_of_schema(Oid schema)
{
	Relation depend = table_open(DependRelationId, AccessShareLock);
	List *relations = NIL;
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

		if (form->classid == RelationRelationId)
			relations = lappend_oid(relations, form->objid);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	list_sort(relations, list_oid_cmp);
	return relations;
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
static bool
needs_grant(Oid sequence)
{
	Oid table;
	int32 column;

	return !sequenceIsOwned(sequence, DEPENDENCY_INTERNAL, &table, &column);
}

static void
grant(const char *privileges, const char *kind, const char *names, const Installation &installation)
{
	if (*names == '\0')
		return;
	int result = SPI_execute(psprintf("GRANT %s ON %s %s TO %s, tenancy_service", privileges, kind,
									  names, quote_identifier(NameStr(installation.role))),
							 false, 0);
	if (result < 0)
		elog(ERROR, "could not grant: %s", SPI_result_code_string(result));
}

/* Policies and grants for what the script made, by the role that owns it. */
static void
protect_and_grant(const Installation &installation, Oid schema)
{
	const char *schema_name = NameStr(installation.schema);
	BorrowedRole borrowed = become_owner("pg_catalog, pg_temp");
	StringInfoData tables, sequences;
	ListCell *cell;

	initStringInfo(&tables);
	initStringInfo(&sequences);
	foreach (cell, relations_of_schema(schema))
	{
		Oid relation = lfirst_oid(cell);

		switch (get_rel_relkind(relation))
		{
			case RELKIND_RELATION:
			case RELKIND_PARTITIONED_TABLE:
				protect_table(relation, nullptr, installation.tenant);
				append_name(&tables, schema_name, relation);
				break;
			case RELKIND_VIEW:
				append_name(&tables, schema_name, relation);
				break;
			case RELKIND_SEQUENCE:
				if (needs_grant(relation))
					append_name(&sequences, schema_name, relation);
				break;
			case RELKIND_MATVIEW:
			case RELKIND_FOREIGN_TABLE:
				ereport(
					ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a system cannot hold \"%s\"", get_rel_name(relation)),
					 errdetail(
						 "PostgreSQL has no row-level security for materialized views and foreign "
						 "tables.")));
			default:
				break;
		}
	}

	grant("USAGE", "SCHEMA", quote_identifier(schema_name), installation);
	grant("SELECT, INSERT, UPDATE, DELETE", "TABLE", tables.data, installation);
	grant("USAGE", "SEQUENCE", sequences.data, installation);
	become_caller(borrowed);
}

static void
install(Installation *installation)
{
	ErrorContextCallback callback = {error_context_stack, installation_error, installation};

	error_context_stack = &callback;
	Oid schema = create_tenant_schema(installation->tenant, NameStr(installation->schema));
	run_script(installation);
	protect_and_grant(*installation, schema);
	error_context_stack = callback.previous;

	query_row("INSERT INTO tenancy.tenant_systems (tenant_id, system_id, version_id, status, "
			  "schema_name) "
			  "VALUES ($1, $2, $3, 'installed', $4)",
			  {installation->tenant, installation->system, installation->version_id,
			   NameStr(installation->schema)});
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_install_system);

PGDLLEXPORT Datum
tenancy_install_system(PG_FUNCTION_ARGS)
{
	tenancy::Installation installation = {};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("tenant and system must not be null")));
	installation.tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	installation.system = text_to_cstring(PG_GETARG_TEXT_PP(1));
	installation.version = PG_ARGISNULL(2) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(2));

	SPI_connect();
	tenancy::lock_tenant(installation.tenant);
	tenancy::check_tenant(installation.tenant);
	tenancy::find_version(&installation);
	tenancy::tenant_schema_name(installation.tenant, installation.type, &installation.schema);
	tenancy::check_not_installed(installation);
	tenancy::check_dependencies(installation);
	tenancy::ensure_tenant_role(installation.tenant, &installation.role);
	tenancy::install(&installation);
	SPI_finish();

	Name schema = (Name) palloc(sizeof(NameData));
	memcpy(schema, &installation.schema, sizeof(NameData));
	PG_RETURN_NAME(schema);
}
}
