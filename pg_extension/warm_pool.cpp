/*
 * warm_pool.cpp — schemas that are ready before their tenants come.
 *
 * A spare is a schema in which a version's script has run, like a tenant's but for a placeholder, under a name that says
 * nothing.  Giving it to a tenant is an ALTER SCHEMA … RENAME and the binding of what names the tenant: the policies, the
 * defaults and rows in which the script wrote @tenant@, and the grants to the tenant's role.  That costs the same however
 * many tenants there are.
 *
 * A spare is executed from the script, never copied from another schema, so that it has every detail of one.  Scripts whose
 * outcome depends on the tenant in other ways are refused (spare_script.cpp), and a spare is bound once for trial when it is
 * made: what cannot be bound then is not kept.
 *
 * Nobody sees a spare.  No role has USAGE on its schema, and its policies let the placeholder through, which is random and
 * no tenant.  Its row in tenancy.spares and its schema come and go in one transaction: a claim that is rolled back gives it
 * back, a crash leaves either both or none, and a dump that holds its schema holds its row.
 */
#include "tenancy.h"

namespace tenancy
{
namespace
{

constexpr int random_bytes = 8;

/* A spare, as its row says. */
struct Spare
{
	const char *schema;
	const char *placeholder;
	const char *bindings; /* statements that put the tenant into rows; may be empty */
};

/* ---- binding ---- */

struct Replacement
{
	const char *from;
	const char *to;
	bool found;
};

/* Puts the tenant into the constants of an expression that are the placeholder. */
bool
replace_constants(Node *node, Replacement *replacement)
{
	if (!node)
		return false;
	if (IsA(node, Const))
	{
		auto *constant = castNode(Const, node);

		if (!constant->constisnull && constant->constlen == -1 &&
			(constant->consttype == TEXTOID || constant->consttype == VARCHAROID ||
			 constant->consttype == BPCHAROID) &&
			strcmp(TextDatumGetCString(constant->constvalue), replacement->from) == 0)
		{
			constant->constvalue = CStringGetTextDatum(replacement->to);
			replacement->found = true;
		}
		return false;
	}
	return expression_tree_walker(node, tenancy_walker(replace_constants), replacement);
}

/* The stored expression with the tenant in it; null if the placeholder is not in it. */
char *
bound_expression(Datum stored, const Spare &spare, const char *tenant)
{
	Replacement replacement = {spare.placeholder, tenant, false};
	auto *expression = (Node *) stringToNode(TextDatumGetCString(stored));

	(void) replace_constants(expression, &replacement);
	return replacement.found ? nodeToString(expression) : nullptr;
}

/*
 * Binds the expressions that a catalog keeps of a table, one row each: pg_policy and pg_attrdef.  The row of the catalog is
 * changed and not the object made anew, which would cost ten times as much; no dependency changes with a constant.
 */
bool
bind_rows(Oid catalog, Oid index, AttrNumber key_attribute, Oid table,
		  const AttrNumber (&expressions)[2], const Spare &spare, const char *tenant)
{
	Relation relation = table_open(catalog, RowExclusiveLock);
	TupleDesc descriptor = RelationGetDescr(relation);
	bool any = false;
	ScanKeyData key;
	HeapTuple tuple;

	ScanKeyInit(&key, key_attribute, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	SysScanDesc scan = systable_beginscan(relation, index, true, nullptr, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Datum values[Natts_pg_policy] = {};
		bool nulls[Natts_pg_policy] = {}, replace[Natts_pg_policy] = {};
		bool changed = false;

		for (AttrNumber expression : expressions)
		{
			bool null = true;
			Datum stored = expression > 0 ? heap_getattr(tuple, expression, descriptor, &null) : 0;
			char *bound = null ? nullptr : bound_expression(stored, spare, tenant);

			if (!bound)
				continue;
			values[expression - 1] = CStringGetTextDatum(bound);
			replace[expression - 1] = changed = true;
		}
		if (!changed)
			continue;
		any = true;
		tuple = heap_modify_tuple(tuple, descriptor, values, nulls, replace);
		CatalogTupleUpdate(relation, &tuple->t_self, tuple);
	}
	systable_endscan(scan);
	table_close(relation, RowExclusiveLock);
	return any;
}

static_assert(Natts_pg_attrdef <= Natts_pg_policy, "bind_rows() holds a row of either");

void
bind_table(Oid table, const Spare &spare, const char *tenant)
{
	const AttrNumber conditions[] = {Anum_pg_policy_polqual, Anum_pg_policy_polwithcheck};
	const AttrNumber defaults[] = {Anum_pg_attrdef_adbin, 0};
	bool changed = bind_rows(PolicyRelationId, PolicyPolrelidPolnameIndexId,
							 Anum_pg_policy_polrelid, table, conditions, spare, tenant);

	changed |= bind_rows(AttrDefaultRelationId, AttrDefaultIndexId, Anum_pg_attrdef_adrelid, table,
						 defaults, spare, tenant);
	if (changed)
		CacheInvalidateRelcacheByRelid(table);
}

/* ---- granting ---- */

/*
 * GRANT to one role, as ExecuteGrantStmt() does it, without a statement's parsing and look-ups for each of many relations.
 */
void
grant_to(Oid catalog, int cache, Oid object, AttrNumber acl_attribute, Oid owner, ObjectType type,
		 Oid role, AclMode privileges)
{
	HeapTuple tuple = SearchSysCacheCopy1(cache, ObjectIdGetDatum(object));
	Oid *old_members, *new_members;
	Datum values[Natts_pg_class] = {};
	bool nulls[Natts_pg_class] = {}, replace[Natts_pg_class] = {};
	bool null;
	AclItem item;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for object %u", object);
	Datum stored = SysCacheGetAttr(cache, tuple, acl_attribute, &null);
	Acl *acl = null ? acldefault(type, owner) : DatumGetAclPCopy(stored);
	int old_count = null ? 0 : aclmembers(acl, &old_members);

	item.ai_grantee = role;
	item.ai_grantor = owner;
	ACLITEM_SET_PRIVS_GOPTIONS(item, privileges, ACL_NO_RIGHTS);
	acl = aclupdate(acl, &item, ACL_MODECHG_ADD, owner, DROP_RESTRICT);
	int new_count = aclmembers(acl, &new_members);

	values[acl_attribute - 1] = PointerGetDatum(acl);
	replace[acl_attribute - 1] = true;
	Relation relation = table_open(catalog, RowExclusiveLock);
	tuple = heap_modify_tuple(tuple, RelationGetDescr(relation), values, nulls, replace);
	CatalogTupleUpdate(relation, &tuple->t_self, tuple);
	updateAclDependencies(catalog, object, 0, owner, old_count, null ? nullptr : old_members,
						  new_count, new_members);
	table_close(relation, RowExclusiveLock);
}

static_assert(Natts_pg_namespace <= Natts_pg_class, "grant_to() holds a row of either");

void
grant_relation(Oid relation, Oid owner, Oid role)
{
	switch (get_rel_relkind(relation))
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_VIEW:
			grant_to(RelationRelationId, RELOID, relation, Anum_pg_class_relacl, owner,
					 OBJECT_TABLE, role, ACL_SELECT | ACL_INSERT | ACL_UPDATE | ACL_DELETE);
			break;
		case RELKIND_SEQUENCE:
			if (sequence_needs_grant(relation))
				grant_to(RelationRelationId, RELOID, relation, Anum_pg_class_relacl, owner,
						 OBJECT_SEQUENCE, role, ACL_USAGE);
			break;
		default:
			break;
	}
}

/* ---- a spare becomes a tenant's schema ---- */

/* Policies and defaults first: a row that is moved to the tenant must meet them. */
void
bind(Oid schema, const char *name, const Spare &spare, const char *tenant)
{
	ListCell *cell;

	foreach (cell, relations_of_schema(schema))
	{
		char kind = get_rel_relkind(lfirst_oid(cell));

		if (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE)
			bind_table(lfirst_oid(cell), spare, tenant);
	}
	CommandCounterIncrement();
	if (!*spare.bindings)
		return;

	/* The checks, indexes and generated columns that they meet are the script's. */
	BorrowedRole borrowed = begin_script(tenant, schema);
	run(substitute_script(spare.bindings, name, tenant));
	end_script(borrowed);
}

void
hand_over(const TenantSchema &schema, const Spare &spare)
{
	Oid role = get_role_oid(schema.role, false);
	const Oid grantees[] = {role, get_role_oid("tenancy_service", false)};
	Oid owner = tenancy_owner();
	ListCell *cell;

	RenameSchema(spare.schema, schema.name);
	CommandCounterIncrement();
	bind(schema.oid, schema.name, spare, schema.tenant);
	foreach (cell, relations_of_schema(schema.oid))
		grant_relation(lfirst_oid(cell), owner, role);
	for (Oid grantee : grantees)
	{
		grant_to(NamespaceRelationId, NAMESPACEOID, schema.oid, Anum_pg_namespace_nspacl, owner,
				 OBJECT_SCHEMA, grantee, ACL_USAGE);
		CommandCounterIncrement();
	}
}

/* Takes the oldest spare of the latest version that nobody else is taking; its row goes. */
bool
take_row(const char *version_id, Spare *spare)
{
	static SPIPlanPtr plan;
	Oid type = TEXTOID;
	Datum value = CStringGetTextDatum(version_id);

	if (!plan)
	{
		SPIPlanPtr prepared = SPI_prepare_cursor(
			"DELETE FROM tenancy.spares d WHERE d.schema_name = (SELECT s.schema_name "
			"FROM tenancy.spares s WHERE s.version_id = $1 AND s.state = 'ready' "
			"AND EXISTS (SELECT FROM tenancy.system_versions v "
			"WHERE v.version_id = $1 AND v.is_latest) "
			"ORDER BY s.made_at LIMIT 1 FOR UPDATE SKIP LOCKED) "
			"RETURNING d.schema_name, d.placeholder, d.bindings",
			1, &type, CURSOR_OPT_GENERIC_PLAN);
		if (!prepared || SPI_keepplan(prepared) != 0)
			elog(ERROR, "could not prepare: %s", SPI_result_code_string(SPI_result));
		plan = prepared;
	}
	if (SPI_execute_plan(plan, &value, nullptr, false, 1) != SPI_OK_DELETE_RETURNING)
		elog(ERROR, "could not take a spare: %s", SPI_result_code_string(SPI_result));
	if (SPI_processed == 0)
		return false;
	spare->schema = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	spare->placeholder = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	spare->bindings = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3);
	return true;
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

/* The statement that puts the tenant into one column; null if the column does not hold the placeholder. */
const char *
column_binding(Relation table, Form_pg_attribute column, const char *version_id,
			   const SpareWords &words)
{
	const char *name = quote_qualified_identifier(words.schema, RelationGetRelationName(table));
	const char *quoted = quote_identifier(NameStr(column->attname));
	uint64 whole = count_rows(psprintf("SELECT count(*) FROM %s WHERE %s::text = %s", name, quoted,
									   quote_literal_cstr(words.tenant)));
	uint64 held = count_rows(psprintf("SELECT count(*) FROM %s WHERE %s::text LIKE %s", name, quoted,
									  quote_literal_cstr(psprintf("%%%s%%", words.tenant))));

	if (held == 0)
		return nullptr;
	if (whole != held || (column->atttypid != TEXTOID && column->atttypid != VARCHAROID))
		refuse(version_id, "the tenant is a part of a value in a row that it makes");
	if (is_watched(table))
		refuse(version_id, "a trigger or rule watches a table with rows of the tenant");
	return psprintf("UPDATE @schema@.%s SET %s = @tenant@ WHERE %s = %s;\n",
					quote_identifier(RelationGetRelationName(table)), quoted, quoted,
					quote_literal_cstr(words.tenant));
}

bool
has_placeholder(Relation table, const SpareWords &words)
{
	return count_rows(psprintf(
			   "SELECT count(*) FROM (SELECT FROM %s t WHERE t::text LIKE %s LIMIT 1) h",
			   quote_qualified_identifier(words.schema, RelationGetRelationName(table)),
			   quote_literal_cstr(psprintf("%%%s%%", words.tenant)))) > 0;
}

/* The statements that put the tenant into rows.  Types and their functions are the script's, so this runs as it does. */
const char *
find_bindings(Oid schema, const char *version_id, const SpareWords &words)
{
	StringInfoData bindings;
	ListCell *cell;

	initStringInfo(&bindings);
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
			const char *binding = column_binding(table, column, version_id, words);
			if (binding)
				appendStringInfoString(&bindings, binding);
		}
		table_close(table, AccessShareLock);
	}
	end_script(borrowed);
	return bindings.data;
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
		bind(schema.oid, schema.name, spare, "trial");
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
	Oid types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Datum values[] = {CStringGetTextDatum(spare.schema), CStringGetTextDatum(version_id),
					  CStringGetTextDatum(spare.placeholder), CStringGetTextDatum(spare.bindings)};
	int result = SPI_execute_with_args(
		"INSERT INTO tenancy.spares (schema_name, version_id, placeholder, bindings) "
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
	schema.oid = make_system_schema(schema, script, verification);

	bool names_tenant = strstr(script, "@tenant@") != nullptr;
	Spare spare = {words.schema, words.tenant,
				   names_tenant ? find_bindings(schema.oid, version_id, words) : ""};
	refusal = failure_of_binding(schema, spare);
	if (refusal)
		refuse(version_id, refusal);
	write_row(version_id, spare);
	return words.schema;
}

} // namespace

Oid
make_system_schema(const TenantSchema &wanted, const char *script, const char *verification)
{
	TenantSchema schema = wanted;
	SystemScript installation = {script, schema.name, schema.tenant, false, 0};

	refuse_nested_script();
	schema.oid = create_tenant_schema(schema.tenant, schema.name);
	run_system_script(&installation);
	protect_and_grant(schema, NIL);
	if (verification)
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
	const char *script, *verification;
	Name result = (Name) palloc0(NAMEDATALEN);

	SPI_connect();
	tenancy::read_scripts(text_to_cstring(PG_GETARG_TEXT_PP(0)), &script, &verification);
	tenancy::TenantSchema schema = {text_to_cstring(PG_GETARG_TEXT_PP(1)),
									NameStr(*PG_GETARG_NAME(2)), tenancy::random_words().schema,
									InvalidOid};
	schema.oid = tenancy::make_system_schema(schema, script, nullptr);
	tenancy::grant_usage(schema);
	namestrcpy(result, schema.name);
	SPI_finish();
	PG_RETURN_NAME(result);
}

PGDLLEXPORT Datum
tenancy_wake_pool(PG_FUNCTION_ARGS)
{
	tenancy::service_wake(TENANCY_POOL_WORKER);
	PG_RETURN_VOID();
}
}
