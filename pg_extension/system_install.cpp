/*
 * system_install.cpp — running a system's script in a tenant's schema as the owner role.
 *
 * One transaction makes the schema, runs the script, protects what it made and grants it: it is all there or nothing.
 * Where the pool has a schema ready (warm_pool.cpp), it is bound to the tenant instead.
 */
#include "tenancy.h"
#include "catalogue_row.h"

namespace tenancy
{

struct Installation
{
	const char *tenant;
	const char *system;
	const char *version;
	const char *version_id;
	const char *type;
	const char *status; /* of the system */
	const char *checksum;
	bool is_latest;
	bool has_demands;	/* the version asks for other systems, or for versions of something */
	bool is_first;		/* the tenant has no system yet */
	bool has_row;		/* it had this one before, or it could not be installed */
	NameData schema;
	NameData role;
	bool with_dependencies;
};

static void
installation_error(void *argument)
{
	auto *installation = static_cast<const Installation *>(argument);

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

/* Locks the tenant's row. */
static void
check_tenant(const char *tenant)
{
	Relation tenants = open_catalogue("tenants", RowShareLock);
	HeapTuple row = lock_catalogue_row(tenants, "tenants_pkey", tenant, LockTupleExclusive);

	if (!row)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("tenant \"%s\" does not exist", tenant),
			 errhint("SELECT tenancy.create_tenant(%s, 'its name');", quote_literal_cstr(tenant))));
	const char *status = catalogue_column(row, RelationGetDescr(tenants), "status");
	if (strcmp(status, "active") != 0 && strcmp(status, "provisioning") != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("tenant \"%s\" is %s", tenant, status),
						errhint("SELECT tenancy.%s(%s);",
								strcmp(status, "archived") == 0 ? "deactivate_tenant" : "resume_tenant",
								quote_literal_cstr(tenant))));
	table_close(tenants, NoLock);
}

static void
note_version(HeapTuple row, TupleDesc columns, void *state)
{
	auto *installation = static_cast<Installation *>(state);
	const char *version = catalogue_column(row, columns, "version");
	bool is_latest = strcmp(catalogue_column(row, columns, "is_latest"), "t") == 0;

	if (installation->version ? strcmp(version, installation->version) != 0 : !is_latest)
		return;
	installation->version = version;
	installation->version_id = catalogue_column(row, columns, "version_id");
	installation->checksum = catalogue_column(row, columns, "checksum");
	installation->is_latest = is_latest;
	installation->has_demands =
		catalogue_column(row, columns, "dependencies") || catalogue_column(row, columns, "compatibility");
}

static void
note_system(HeapTuple row, TupleDesc columns, void *state)
{
	auto *installation = static_cast<Installation *>(state);

	installation->type = catalogue_column(row, columns, "type");
	installation->status = catalogue_column(row, columns, "status");
}

static void
note_installed(HeapTuple row, TupleDesc columns, void *state)
{
	auto *installation = static_cast<Installation *>(state);

	if (catalogue_column(row, columns, "schema_name"))
		installation->is_first = false;
	if (strcmp(catalogue_column(row, columns, "system_id"), installation->system) == 0)
		installation->has_row = true;
}

/* Finds the version, the latest if none is named, and fills the installation from it. */
static void
find_version(Installation *installation)
{
	const char *system = installation->system;

	visit_catalogue("management_systems", "management_systems_pkey", system, note_system, installation);
	if (!installation->type)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("system \"%s\" does not exist", system),
				 errhint("SELECT system_id FROM tenancy.available_systems;  The CRM comes with "
						 "CREATE EXTENSION tenancy_business;")));
	if (strcmp(installation->status, "active") != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("system \"%s\" is %s", system, installation->status),
			 errhint(
				 "UPDATE tenancy.management_systems SET status = 'active' WHERE system_id = %s;",
				 quote_literal_cstr(system))));

	visit_catalogue("system_versions", "system_versions_system_id_idx", system, note_version, installation);
	if (!installation->version_id && installation->version)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("version %s of system \"%s\" does not exist", installation->version,
							   system),
						errhint("SELECT version FROM tenancy.system_versions WHERE system_id = %s;",
								quote_literal_cstr(system))));
	if (!installation->version_id)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("system \"%s\" has no version", system),
				 errhint("SELECT tenancy.register_version(%s, '1.0.0', 'CREATE TABLE ...');",
						 quote_literal_cstr(system))));
}

static void
check_not_installed(Installation *pending)
{
	pending->is_first = true;
	visit_catalogue("tenant_systems", "tenant_systems_pkey", pending->tenant, note_installed, pending);
	if (pending->is_first)
		return;

	const Installation &installation = *pending;
	char **row = query_row("SELECT s.system_id, v.version FROM tenancy.tenant_systems i "
						   "JOIN tenancy.management_systems s ON s.system_id = i.system_id "
						   "JOIN tenancy.system_versions v ON v.version_id = i.version_id "
						   "WHERE i.tenant_id = $1 AND s.type = $2 AND i.schema_name IS NOT NULL",
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

/* Installs what is missing; check_tenant_dependencies() says what is still wrong then. */
static void
install_dependencies(const Installation &installation)
{
	char **row;

	while ((row = query_row("SELECT d.system_id, tenancy.matching_version(d.system_id, d.range) "
							"FROM tenancy.unmet_dependencies($1, $2) d WHERE d.present IS NULL",
							{installation.tenant, installation.version_id})))
	{
		if (!row[1])
			return;
		query_row("SELECT tenancy.install_system($1, $2, $3, true)",
				  {installation.tenant, row[0], row[1]});
	}
}

static void
check_dependencies(const Installation &installation)
{
	/* Nothing is asked of most: the long question costs as much as the rest of a ready schema's installation. */
	if (!installation.has_demands &&
		(installation.is_first ||
		 !query_row("SELECT 1 FROM tenancy.tenant_versions h WHERE h.tenant_id = $1 "
					"AND (h.dependencies ? $2 OR h.compatibility ? 'conflicts')",
					{installation.tenant, installation.system})))
		return;
	if (installation.with_dependencies)
		install_dependencies(installation);
	query_row("SELECT tenancy.check_tenant_dependencies($1, $2, $3, $4)",
			  {installation.tenant, installation.system, installation.version,
			   installation.version_id});
}

/* What the foreign keys of tenant_systems would lock. */
static void
lock_version(const Installation &installation)
{
	const struct
	{
		const char *table;
		const char *primary_key;
		const char *key;
	} referenced[] = {{"management_systems", "management_systems_pkey", installation.system},
					  {"system_versions", "system_versions_pkey", installation.version_id}};

	for (const auto &row : referenced)
	{
		Relation table = open_catalogue(row.table, RowShareLock);

		if (!lock_catalogue_row(table, row.primary_key, row.key, LockTupleKeyShare))
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
							errmsg("version %s of system \"%s\" does not exist any more",
								   installation.version, installation.system)));
		table_close(table, NoLock);
	}
}

/* The row stays when a system is taken away, and with it its configurations. */
static void
write_system(const Installation &installation)
{
	Relation table = open_catalogue("tenant_systems", RowExclusiveLock);
	Datum now = TimestampGetDatum(GetCurrentTransactionStartTimestamp()); /* UTC, as it is stored */
	const CatalogueValue values[] = {{"tenant_id", CStringGetTextDatum(installation.tenant)},
									 {"system_id", CStringGetTextDatum(installation.system)},
									 {"version_id", CStringGetTextDatum(installation.version_id)},
									 {"status", CStringGetTextDatum("installed")},
									 {"installed_at", now},
									 {"updated_at", now},
									 {"schema_name", NameGetDatum(&installation.schema)}};

	if (!installation.has_row && !has_alien_triggers(table))
	{
		lock_version(installation);
		insert_catalogue_row(table, values, lengthof(values));
	}
	else
		query_row("INSERT INTO tenancy.tenant_systems AS i "
				  "(tenant_id, system_id, version_id, status, schema_name) "
				  "VALUES ($1, $2, $3, 'installed', $4) "
				  "ON CONFLICT (tenant_id, system_id) DO UPDATE "
				  "SET version_id = excluded.version_id, status = excluded.status, "
				  "schema_name = excluded.schema_name, error_message = NULL, "
				  "installed_at = excluded.installed_at, updated_at = excluded.updated_at",
				  {installation.tenant, installation.system, installation.version_id,
				   NameStr(installation.schema)});
	table_close(table, NoLock);
}

static void
write_history(const Installation &installation)
{
	Relation table = open_catalogue("tenant_system_history", RowExclusiveLock);

	if (has_alien_triggers(table))
		query_row("INSERT INTO tenancy.tenant_system_history "
				  "(tenant_id, system_id, direction, version_to, checksum, schema_name, executed_at, "
				  "duration) "
				  "VALUES ($1, $2, 'install', $3, $5, $4, pg_catalog.statement_timestamp(), "
				  "pg_catalog.clock_timestamp() - pg_catalog.statement_timestamp())",
				  {installation.tenant, installation.system, installation.version,
				   NameStr(installation.schema), installation.checksum});
	else
	{
		Oid sequence = get_relname_relid("tenant_system_history_history_id_seq", RelationGetNamespace(table));
		Datum begun = TimestampTzGetDatum(GetCurrentStatementStartTimestamp());
		NameData user;

		namestrcpy(&user, GetUserNameFromId(GetSessionUserId(), false));
		const CatalogueValue values[] = {
			{"history_id", Int64GetDatum(nextval_internal(sequence, false))},
			{"tenant_id", CStringGetTextDatum(installation.tenant)},
			{"system_id", CStringGetTextDatum(installation.system)},
			{"direction", CStringGetTextDatum("install")},
			{"version_to", CStringGetTextDatum(installation.version)},
			{"checksum", CStringGetTextDatum(installation.checksum)},
			{"schema_name", NameGetDatum(&installation.schema)},
			{"executed_at", begun},
			{"executed_by", NameGetDatum(&user)},
			{"duration", DirectFunctionCall2(timestamp_mi, TimestampTzGetDatum(GetCurrentTimestamp()), begun)}};
		insert_catalogue_row(table, values, lengthof(values));
	}
	table_close(table, NoLock);
}

static void
install(Installation *installation)
{
	ErrorContextCallback callback = {error_context_stack, installation_error, installation};

	error_context_stack = &callback;
	TenantSchema schema = {installation->tenant, NameStr(installation->role),
						   NameStr(installation->schema), InvalidOid};
	if (!installation->is_latest || !claim_spare(installation->version_id, &schema))
	{
		schema.oid = make_system_schema(schema, installation->version_id, true);
		grant_usage(schema);
	}
	write_system(*installation);
	write_history(*installation);
	error_context_stack = callback.previous;
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

	installation.with_dependencies = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);

	SPI_connect();
	tenancy::lock_tenant(installation.tenant);
	tenancy::check_tenant(installation.tenant);
	tenancy::find_version(&installation);
	tenancy::tenant_schema_name(installation.tenant, installation.type, &installation.schema);
	tenancy::check_not_installed(&installation);
	tenancy::check_dependencies(installation);
	tenancy::ensure_tenant_role(installation.tenant, &installation.role);
	tenancy::install(&installation);
	SPI_finish();

	Name schema = (Name) palloc(sizeof(NameData));
	memcpy(schema, &installation.schema, sizeof(NameData));
	PG_RETURN_NAME(schema);
}
}
