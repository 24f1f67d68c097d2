/*
 * warm_pool.cpp — schemas that are ready before their tenants come.
 *
 * A spare is a schema in which a version's script has run, like a tenant's but for a placeholder, under a name that says
 * nothing.  Giving it to a tenant is an ALTER SCHEMA … RENAME and the binding of what names the tenant: the policies, the
 * defaults and rows in which the script wrote @tenant@, and the grants to the tenant's role.  That costs the same however
 * many tenants there are (spare_handover.cpp).
 *
 * A spare is executed from the script, never copied from another schema, so that it has every detail of one.  Scripts whose
 * outcome depends on the tenant in other ways are refused (spare_script.cpp), and a spare is bound once for trial when it is
 * made: what cannot be bound then is not kept.
 *
 * Nobody sees a spare.  No role has USAGE on its schema, and its policies let the placeholder through, which is random and
 * no tenant.  Its row in tenancy.spares and its schema come and go in one transaction: a claim that is rolled back gives it
 * back, a crash leaves either both or none, and a dump that holds its schema holds its row.
 */
#include "spare.h"
#include "catalogue_row.h"

namespace tenancy
{
namespace
{

constexpr int random_bytes = 8;

/* ---- a spare is taken ---- */

/* A row's tables and columns, which alternate in an array. */
List *
columns_of_array(HeapTuple row, TupleDesc columns)
{
	bool null;
	Datum array = heap_getattr(row, SPI_fnumber(columns, "tenant_columns"), columns, &null);
	List *found = NIL;
	Datum *names;
	int count;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &names, nullptr, &count);
	for (int i = 0; i + 1 < count; i += 2)
	{
		auto *column = static_cast<TenantColumn *>(palloc(sizeof(TenantColumn)));

		*column = {TextDatumGetCString(names[i]), TextDatumGetCString(names[i + 1])};
		found = lappend(found, column);
	}
	return found;
}

Datum
array_of_columns(List *columns)
{
	auto *names = static_cast<Datum *>(palloc((2 * list_length(columns) + 1) * sizeof(Datum)));
	int count = 0;
	ListCell *cell;

	foreach (cell, columns)
	{
		auto *column = static_cast<TenantColumn *>(lfirst(cell));

		names[count++] = CStringGetTextDatum(column->table);
		names[count++] = CStringGetTextDatum(column->column);
	}
	return PointerGetDatum(construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT));
}

bool
is_ready(HeapTuple row, TupleDesc columns)
{
	return strcmp(catalogue_column(row, columns, "state"), "ready") == 0;
}

/*
 * Takes the newest spare of a version that nobody else is taking; its row goes.  The pages that hold the newest are in memory,
 * and were logged whole since the last checkpoint if any were: the oldest would cost six times as much WAL.
 */
bool
take_row(const char *version_id, Spare *spare)
{
	Relation spares = open_catalogue("spares", RowExclusiveLock);
	TupleDesc columns = RelationGetDescr(spares);
	HeapTuple row = lock_last_free_row(spares, "spares_version_id_idx", version_id, is_ready);

	if (row)
	{
		*spare = {catalogue_column(row, columns, "schema_name"), catalogue_column(row, columns, "placeholder"),
				  columns_of_array(row, columns)};
		CatalogTupleDelete(spares, &row->t_self);
		CommandCounterIncrement();
	}
	table_close(spares, RowExclusiveLock);
	return row != nullptr;
}

/* ---- a spare is made ---- */

SpareWords
random_words()
{
	uint8 random[random_bytes];
	char digits[2 * random_bytes + 1];

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not generate the name of a spare schema")));
	hex_encode((const char *) random, sizeof(random), digits);
	digits[2 * random_bytes] = '\0';
	return {psprintf("tenancy_spare_%s", digits), psprintf("spare-%s", digits)};
}

[[noreturn]] void
refuse(const char *version_id, const char *why)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("version \"%s\" cannot be kept ready", version_id), errdetail_internal("Its script: %s.", why),
					errhint("It is installed by its script, as without a pool.")));
}

uint64
count_rows(const char *query)
{
	bool null;

	run(query);
	return DatumGetInt64(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null));
}

/* Those of foreign keys watch no column that is not a key's. */
bool
is_watched(Relation table)
{
	for (int i = 0; table->trigdesc && i < table->trigdesc->numtriggers; i++)
		if (!table->trigdesc->triggers[i].tgisinternal)
			return true;
	return table->rd_rel->relhasrules;
}

/* Whether a column holds the placeholder, so that it has to be given its tenant; an error if it could not be. */
bool
names_tenant(Relation table, Form_pg_attribute column, const char *version_id,
			   const SpareWords &words)
{
	const char *name = quote_qualified_identifier(words.schema, RelationGetRelationName(table));
	const char *quoted = quote_identifier(NameStr(column->attname));
	uint64 whole = count_rows(psprintf("SELECT count(*) FROM %s WHERE %s::text = %s", name, quoted,
									   quote_literal_cstr(words.tenant)));
	uint64 held = count_rows(psprintf("SELECT count(*) FROM %s WHERE %s::text LIKE %s", name, quoted,
									  quote_literal_cstr(psprintf("%%%s%%", words.tenant))));

	if (held == 0)
		return false;
	if (whole != held || (column->atttypid != TEXTOID && column->atttypid != VARCHAROID))
		refuse(version_id, "the tenant is a part of a value in a row that it makes");
	if (is_watched(table))
		refuse(version_id, "a trigger or rule watches a table with rows of the tenant");
	return true;
}

bool
has_placeholder(Relation table, const SpareWords &words)
{
	return count_rows(psprintf(
			   "SELECT count(*) FROM (SELECT FROM %s t WHERE t::text LIKE %s LIMIT 1) h",
			   quote_qualified_identifier(words.schema, RelationGetRelationName(table)),
			   quote_literal_cstr(psprintf("%%%s%%", words.tenant)))) > 0;
}

/* The columns whose rows name the tenant.  Types and their functions are the script's, so this runs as it does. */
List *
find_columns(Oid schema, const char *version_id, const SpareWords &words)
{
	List *found = NIL;
	ListCell *cell;

	BorrowedRole borrowed = begin_script(words.tenant, schema);
	foreach (cell, relations_of_schema(schema))
	{
		char kind = get_rel_relkind(lfirst_oid(cell));

		if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
			continue;
		Relation table = table_open(lfirst_oid(cell), AccessShareLock);
		if (!has_placeholder(table, words))
		{
			table_close(table, AccessShareLock);
			continue;
		}
		for (int i = 0; i < RelationGetNumberOfAttributes(table); i++)
		{
			Form_pg_attribute column = TupleDescAttr(RelationGetDescr(table), i);

			if (column->attisdropped || column->attgenerated || table->rd_rel->relispartition)
				continue;
			if (!names_tenant(table, column, version_id, words))
				continue;
			auto *bound = static_cast<TenantColumn *>(palloc(sizeof(TenantColumn)));
			*bound = {pstrdup(RelationGetRelationName(table)), pstrdup(NameStr(column->attname))};
			found = lappend(found, bound);
		}
		table_close(table, AccessShareLock);
	}
	end_script(borrowed);
	return found;
}

/* No fault of the script's: another attempt may go well. */
bool
may_pass(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_SYSTEM_ERROR:
			return true;
		default:
			return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
	}
}

/* Binds it and takes that back: what fails here would have failed with a tenant, and is a reason to refuse. */
const char *
failure_of_binding(const TenantSchema &schema, const Spare &spare)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = nullptr;

	BeginInternalSubTransaction(nullptr);
	MemoryContextSwitchTo(context);
	/* Whoever begins a subtransaction ends it, also after an error. */
	PG_TRY();
	{
		bind_spare({"trial", schema.role, schema.name, schema.oid}, spare);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (!error)
		return nullptr;
	if (may_pass(error))
		ReThrowError(error);
	return psprintf("its rows could not be given to a tenant (%s)", error->message);
}

void
write_row(const char *version_id, const Spare &spare)
{
	Oid types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID};
	Datum values[] = {CStringGetTextDatum(spare.schema), CStringGetTextDatum(version_id),
					  CStringGetTextDatum(spare.placeholder), array_of_columns(spare.columns)};
	int result = SPI_execute_with_args(
		"INSERT INTO tenancy.spares (schema_name, version_id, placeholder, tenant_columns) "
		"VALUES ($1, $2, $3, $4)",
		4, types, values, nullptr, false, 0);

	if (result < 0)
		elog(ERROR, "could not note a spare: %s", SPI_result_code_string(result));
}

/* The scripts of a version: how it is made, and null or how it is verified. */
void
read_scripts(const char *version_id, const char **script, const char **verification)
{
	Oid type = TEXTOID;
	Datum value = CStringGetTextDatum(version_id);

	SPI_execute_with_args("SELECT v.install_sql, v.verify_sql FROM tenancy.system_versions v "
						  "WHERE v.version_id = $1 FOR KEY SHARE",
						  1, &type, &value, nullptr, false, 1);
	if (SPI_processed == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("version \"%s\" does not exist", version_id)));
	*script = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	*verification = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
}

const char *
make_spare(const char *version_id)
{
	SpareWords words = random_words();
	const char *script, *verification;

	read_scripts(version_id, &script, &verification);
	const char *refusal = spare_refusal(script, words);
	if (refusal)
		refuse(version_id, refusal);

	TenantSchema schema = {words.tenant, "tenancy_service", words.schema, InvalidOid};
	schema.oid = make_system_schema(schema, version_id, true);

	Spare spare = {words.schema, words.tenant,
				   strstr(script, "@tenant@") ? find_columns(schema.oid, version_id, words) : NIL};
	refusal = failure_of_binding(schema, spare);
	if (refusal)
		refuse(version_id, refusal);
	leave_room(schema, spare);
	write_row(version_id, spare);
	return words.schema;
}

} // namespace

Oid
make_system_schema(const TenantSchema &wanted, const char *version_id, bool verifies)
{
	TenantSchema schema = wanted;
	const char *script, *verification;

	refuse_nested_script();
	read_scripts(version_id, &script, &verification);
	SystemScript installation = {script, schema.name, schema.tenant, false, 0};
	schema.oid = create_tenant_schema(schema.tenant, schema.name);
	run_system_script(&installation);
	protect_and_grant(schema, NIL);
	if (verifies && verification)
	{
		SystemScript check = {verification, schema.name, schema.tenant, true, 0};
		run_system_script(&check);
	}
	return schema.oid;
}

int pool_size = 0;

/* Whether the worker has anything to do for a version that was not ready. */
static bool
pool_wants(const char *version_id)
{
	Oid type = TEXTOID;
	Datum value = CStringGetTextDatum(version_id);

	SPI_execute_with_args(
		"SELECT FROM tenancy.pool_targets t WHERE t.version_id = $1 AND t.size > 0", 1, &type,
		&value, nullptr, false, 1);
	return SPI_processed > 0;
}

bool
claim_spare(const char *version_id, TenantSchema *schema)
{
	Spare spare;

	refuse_nested_script();
	/* A schema that somebody renamed or dropped leaves its row behind. */
	do
	{
		if (!take_row(version_id, &spare))
		{
			if (pool_wants(version_id))
				service_wake(TENANCY_POOL_WORKER);
			return false;
		}
		schema->oid = get_namespace_oid(spare.schema, true);
	} while (!OidIsValid(schema->oid));

	check_schema_is_free(schema->tenant, schema->name);
	hand_over(*schema, spare);
	service_wake(TENANCY_POOL_WORKER);
	return true;
}

void
warm_pool_init()
{
	DefineCustomIntVariable("tenancy.pool_size",
							"Sets how many ready schemas of each system the warm pool keeps.",
							"tenancy.set_pool_size() says otherwise for one system.", &pool_size, 0, 0,
							1000, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_make_spare);
PG_FUNCTION_INFO_V1(tenancy_settle_spare);
PG_FUNCTION_INFO_V1(tenancy_wake_pool);
PG_FUNCTION_INFO_V1(tenancy_make_reference);

PGDLLEXPORT Datum
tenancy_make_spare(PG_FUNCTION_ARGS)
{
	Name result = (Name) palloc0(NAMEDATALEN);

	SPI_connect();
	namestrcpy(result, tenancy::make_spare(text_to_cstring(PG_GETARG_TEXT_PP(0))));
	SPI_finish();
	PG_RETURN_NAME(result);
}

/* A version as a tenant would have it, in a schema that schema_drift() takes back. */
PGDLLEXPORT Datum
tenancy_make_reference(PG_FUNCTION_ARGS)
{
	Name result = (Name) palloc0(NAMEDATALEN);

	SPI_connect();
	tenancy::TenantSchema schema = {text_to_cstring(PG_GETARG_TEXT_PP(1)),
									NameStr(*PG_GETARG_NAME(2)), tenancy::random_words().schema,
									InvalidOid};
	schema.oid = tenancy::make_system_schema(schema, text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	tenancy::grant_usage(schema);
	namestrcpy(result, schema.name);
	SPI_finish();
	PG_RETURN_NAME(result);
}

PGDLLEXPORT Datum
tenancy_settle_spare(PG_FUNCTION_ARGS)
{
	tenancy::settle_spare();
	PG_RETURN_VOID();
}

PGDLLEXPORT Datum
tenancy_wake_pool(PG_FUNCTION_ARGS)
{
	tenancy::service_wake(TENANCY_POOL_WORKER);
	PG_RETURN_VOID();
}
}
