/*
 * mirror_command.cpp — mirror() and unmirror().
 *
 * Who may: the owner of the local table, who may also read the foreign table and use its server.  A mirror reads the
 * whole collection with the server's credentials of the workers' role, whatever tenant_field the foreign table is bound
 * to; what tenants see of the copy is up to the local table's policies.
 *
 * The functions run as their caller, so that these checks mean something; only the catalogue's own rows are written as
 * the catalogue's owner.
 */
#include "mirror.h"
#include "fdw/option.h"

namespace bridge
{
namespace
{

constexpr const char *mirror_role = "tenancy_mirror";

/* What is kept of a statement's first row: columns that are passed by value and not null. */
struct Row
{
	Datum *columns;
	int count;
	char **text; /* null: not wanted */
	MemoryContext context;
};

void
keep_row(Row row)
{
	bool isnull;

	if (SPI_processed > 0 && row.text)
	{
		char *text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		*row.text = text ? MemoryContextStrdup(row.context, text) : nullptr;
	}
	for (int i = 0; SPI_processed > 0 && i < row.count; i++)
		row.columns[i] =
			SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &isnull);
}

/* Runs one statement, as the owner of the mirror's catalogue if asked to. */
uint64
run(const char *statement, int count, Oid *types, Datum *values, bool as_catalogue, Row row = {})
{
	Oid user;
	int context;
	uint64 processed;
	int result;

	GetUserIdAndSecContext(&user, &context);
	if (as_catalogue)
	{
		Oid catalogue = get_relname_relid("stream", get_namespace_oid("tenancy_mongo", false));
		HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(catalogue));
		Oid owner;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for relation %u", catalogue);
		owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
		SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE);
	}
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = SPI_execute_with_args(statement, count, types, values, nullptr, false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
	processed = SPI_processed;
	keep_row(row);
	SPI_finish();
	SetUserIdAndSecContext(user, context);
	return processed;
}

void
check_foreign_table(Relation foreign, ForeignServer *server)
{
	const char *name = RelationGetRelationName(foreign);

	if (server->fdwid != GetForeignDataWrapperByName("tenancy_mongo", false)->fdwid)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("foreign table \"%s\" is not one of tenancy_mongo", name)));
	if (tenancy_foreign_server_aclcheck(server->serverid, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, server->servername);
	if (pg_class_aclcheck(RelationGetRelid(foreign), GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_TABLE, name);
}

/* Which documents are meant?  A tenant must be told from others, and there must be one where it matters. */
void
check_tenant(Relation foreign, Relation local, const char *tenant)
{
	const char *name = RelationGetRelationName(foreign);
	TableOptions options = table_options(RelationGetRelid(foreign));

	if (options.unnest != nullptr)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot mirror foreign table \"%s\"", name),
				 errdetail("Its rows are elements of arrays, and a mirror's are documents."),
				 errhint("Mirror a foreign table without the option \"unnest\", with a column of "
						 "jsonb for the array.")));
	if (!tenant && strstr(options.database, "{tenant}"))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot mirror foreign table \"%s\"", name),
				 errdetail("Its database follows the tenant context, and a mirror has none."),
				 errhint("Make a mirror for each tenant: SELECT tenancy_mongo.mirror('%s', "
						 "local_table, tenant_id);",
						 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(foreign)),
													name))));
	if (!tenant)
		return;
	if (!tells_tenants_apart(&options))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign table \"%s\" does not tell which documents are a tenant's", name),
				 errhint("ALTER FOREIGN TABLE %s OPTIONS (ADD tenant_field 'tenantId');",
						 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(foreign)),
													name))));

	Oid types[] = {TEXTOID, NAMEOID};
	Datum values[] = {CStringGetTextDatum(tenant),
					  CStringGetDatum(get_namespace_name(RelationGetNamespace(local)))};
	if (run("SELECT FROM tenancy.tenants WHERE tenant_id = $1", 1, types, values, true) == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("tenant \"%s\" does not exist", tenant),
						errhint("SELECT tenancy.create_tenant(%s, 'name');", quote_literal_cstr(tenant))));
	if (run("SELECT FROM tenancy.tenant_systems WHERE schema_name = $2 AND tenant_id <> $1", 2, types,
			values, true) > 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("schema \"%s\" is not tenant \"%s\"'s",
							   get_namespace_name(RelationGetNamespace(local)), tenant)));
}

void
check_local_table(Relation local)
{
	const char *name = RelationGetRelationName(local);

	if (!tenancy_object_ownercheck(RelationRelationId, RelationGetRelid(local), GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, name);
	if (local->rd_rel->relkind != RELKIND_RELATION || local->rd_rel->relispartition ||
		local->rd_rel->relhassubclass || IsSystemRelation(local))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" cannot be a mirror", name),
				 errdetail("A mirror is a plain table, no partition, parent or system table.")));
	if (!RelationIsPermanent(local))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" cannot be a mirror", name),
				 errdetail("An unlogged or temporary table would lose rows that its stream "
						   "has passed.")));
}

/* Looks below row-level security: rows that the caller does not see count as well. */
void
check_empty(Relation local)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(local, snapshot, 0, nullptr);
	TupleTableSlot *slot = table_slot_create(local, nullptr);
	bool empty = !table_scan_getnextslot(scan, ForwardScanDirection, slot);

	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	if (!empty)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("table \"%s\" is not empty", RelationGetRelationName(local)),
						errdetail("A mirror holds the rows of its foreign table and no others."),
						errhint("TRUNCATE %s;", quote_qualified_identifier(
													get_namespace_name(RelationGetNamespace(local)),
													RelationGetRelationName(local)))));
}

void
check_mapping(Relation foreign, Relation local)
{
	MappingProblem problem;

	if (!mapping_build(foreign, local, CurrentMemoryContext, &problem))
		ereport(ERROR, (errcode(problem.sqlstate), errmsg("%s", problem.message),
						problem.detail ? errdetail("%s", problem.detail) : 0,
						problem.hint ? errhint("%s", problem.hint) : 0));
}

/* A copy of a database must not feed on, and write to, what the original serves. */
void
check_stream(Oid server, const char *server_name)
{
	Oid types[] = {OIDOID, OIDOID};
	Datum values[] = {ObjectIdGetDatum(server), ObjectIdGetDatum(MyDatabaseId)};

	if (run("SELECT FROM tenancy_mongo.stream WHERE server = $1 AND database <> $2", 2, types,
			values, true) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the mirrors of server \"%s\" belong to another database", server_name),
				 errdetail("This database is a copy, and its mirrors do not run."),
				 errhint("SELECT tenancy_mongo.adopt_mirrors();")));
}

void
register_mirror(Oid foreign, Oid local, Oid server, const char *tenant)
{
	Oid types[] = {OIDOID, OIDOID, REGCLASSOID, REGCLASSOID, TEXTOID};
	Datum values[] = {ObjectIdGetDatum(server), ObjectIdGetDatum(MyDatabaseId),
					  ObjectIdGetDatum(foreign), ObjectIdGetDatum(local),
					  CStringGetTextDatum(tenant ? tenant : "")};

	run("INSERT INTO tenancy_mongo.stream (server, database) VALUES ($1, $2) "
		"ON CONFLICT (server) DO NOTHING",
		2, types, values, true);
	if (run("INSERT INTO tenancy_mongo.mirror_table (local_table, foreign_table, stream_id, tenant) "
			"SELECT $4, $3, stream_id, nullif($5, '') FROM tenancy_mongo.stream "
			"WHERE server = $1 AND database = $2 ON CONFLICT (local_table) DO NOTHING",
			5, types, values, true) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("table \"%s\" is a mirror already", get_rel_name(local)),
				 errhint("SELECT tenancy_mongo.unmirror('%s');",
						 quote_qualified_identifier(get_namespace_name(get_rel_namespace(local)),
													get_rel_name(local)))));
}

} // namespace

uint64
catalogue_run(const char *statement, int count, Oid *types, Datum *values)
{
	return run(statement, count, types, values, true);
}

bool
catalogue_select(const char *statement, int count, Oid *types, Datum *values, Datum *columns,
				 int column_count)
{
	return run(statement, count, types, values, true, {columns, column_count}) > 0;
}

char *
catalogue_text(const char *statement, int count, Oid *types, Datum *values)
{
	char *text = nullptr;

	run(statement, count, types, values, true, {nullptr, 0, &text, CurrentMemoryContext});
	return text;
}

void
check_owner(Oid local)
{
	const char *name = get_rel_name(local);

	if (!name)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", local)));
	if (!tenancy_object_ownercheck(RelationRelationId, local, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, name);
}

} // namespace bridge

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_mongo_mirror);
PG_FUNCTION_INFO_V1(tenancy_mongo_unmirror);
PG_FUNCTION_INFO_V1(tenancy_mongo_adopt_mirrors);
PG_FUNCTION_INFO_V1(tenancy_mongo_mirror_worker);
PGDLLEXPORT Datum tenancy_mongo_mirror(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum tenancy_mongo_unmirror(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum tenancy_mongo_adopt_mirrors(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum tenancy_mongo_mirror_worker(PG_FUNCTION_ARGS);

Datum
tenancy_mongo_mirror(PG_FUNCTION_ARGS)
{
	using namespace bridge;
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();

	Oid foreign_id = PG_GETARG_OID(0);
	Oid local_id = PG_GETARG_OID(1);
	const char *tenant = PG_ARGISNULL(2) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(2));

	if (get_rel_relkind(foreign_id) != RELKIND_FOREIGN_TABLE)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a foreign table",
							   get_rel_name(foreign_id) ? get_rel_name(foreign_id) : "?")));

	/* Against other writers until the mirror is committed: the table is to stay empty for it. */
	Relation foreign = table_open(foreign_id, AccessShareLock);
	Relation local = table_open(local_id, ShareRowExclusiveLock);
	ForeignServer *server = GetForeignServer(GetForeignTable(foreign_id)->serverid);

	check_foreign_table(foreign, server);
	check_local_table(local);
	check_tenant(foreign, local, tenant);
	check_mapping(foreign, local);
	check_empty(local);
	check_stream(server->serverid, server->servername);
	register_mirror(foreign_id, local_id, server->serverid, tenant);
	run(psprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s",
				 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(local)),
											RelationGetRelationName(local)),
				 mirror_role),
		0, nullptr, nullptr, false);
	table_close(local, NoLock);
	table_close(foreign, NoLock);
	tenancy_api()->wake_launcher();
	PG_RETURN_VOID();
}

Datum
tenancy_mongo_unmirror(PG_FUNCTION_ARGS)
{
	using namespace bridge;
	Oid local_id = PG_GETARG_OID(0);
	Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(local_id)};

	check_owner(local_id);
	const char *name = get_rel_name(local_id);
	run("DELETE FROM tenancy_mongo.misfits WHERE local_table = $1", 1, types, values, true);
	if (run("DELETE FROM tenancy_mongo.mirror_table WHERE local_table = $1", 1, types, values,
			true) == 0)
		fail_for_no_mirror(local_id);
	run("DELETE FROM tenancy_mongo.stream s WHERE NOT EXISTS "
		"(SELECT FROM tenancy_mongo.mirror_table m WHERE m.stream_id = s.stream_id)",
		0, nullptr, nullptr, true);
	run(psprintf("REVOKE SELECT, INSERT, UPDATE, DELETE ON %s FROM %s",
				 quote_qualified_identifier(get_namespace_name(get_rel_namespace(local_id)), name),
				 mirror_role),
		0, nullptr, nullptr, false);
	tenancy_api()->wake_launcher();
	PG_RETURN_VOID();
}

Datum
tenancy_mongo_adopt_mirrors(PG_FUNCTION_ARGS)
{
	using namespace bridge;
	Oid types[] = {OIDOID};
	Datum values[] = {ObjectIdGetDatum(MyDatabaseId)};
	uint64 adopted = run("UPDATE tenancy_mongo.stream SET database = $1 WHERE database <> $1", 1,
						 types, values, false);

	tenancy_api()->wake_launcher();
	PG_RETURN_INT32(static_cast<int32>(adopted));
}

Datum
tenancy_mongo_mirror_worker(PG_FUNCTION_ARGS)
{
	using namespace bridge;
	TupleDesc descriptor;
	Datum values[2];
	bool isnull[2];
	TimestampTz level_at = 0;
	pid_t pid = tenancy_api()->worker_look_up(PG_GETARG_OID(0), TENANCY_APPLY_WORKER, &level_at);

	if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	descriptor = BlessTupleDesc(descriptor);
	values[0] = Int32GetDatum(pid);
	isnull[0] = pid == 0;
	values[1] = TimestampTzGetDatum(level_at);
	isnull[1] = level_at == 0;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(descriptor, values, isnull)));
}
}
