/*
 * tenant_schema.cpp — what a tenant owns by name: its role and the schemas of its systems.
 *
 * Both are made here and never adopted: a role or a schema that is there already belongs to somebody, with grants and
 * members that we know nothing of.  Schemas belong to tenancy_owner, which is no superuser and bound by row-level
 * security; scripts of systems run as that role.  A lock on the folded identifier, held to the end of the transaction,
 * keeps two sessions from working on one tenant, or on two that fold to one.
 */
#include "tenancy.h"
#include "catalogue_row.h"

namespace tenancy
{

/* The first half of the advisory lock's key: "tncy". */
constexpr int32 TENANT_LOCK_CLASS = 0x746e6379;

static Datum
tenant_lock_key(const char *id)
{
	char folded[TENANT_ID_MAX + 1];

	fold_tenant_id(id, folded);
	uint32 hash = DatumGetUInt32(hash_any((unsigned char *) folded, strlen(folded)));
	return Int32GetDatum((int32) hash);
}

void
lock_tenant(const char *id)
{
	DirectFunctionCall2(pg_advisory_xact_lock_int4, Int32GetDatum(TENANT_LOCK_CLASS),
						tenant_lock_key(id));
}

bool
hold_tenant(const char *id)
{
	return DatumGetBool(DirectFunctionCall2(
		pg_try_advisory_lock_int4, Int32GetDatum(TENANT_LOCK_CLASS), tenant_lock_key(id)));
}

/* A superuser's grants and another's BYPASSRLS would make the policies of a tenant's tables idle. */
static void
check_role_is_bound(Oid role)
{
	if (!has_bypassrls_privilege(role))
		return;

	const char *name = GetUserNameFromId(role, false);
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("role \"%s\" is not bound by row-level security", name),
					errdetail("It would see the rows of every tenant."),
					errhint("ALTER ROLE %s NOSUPERUSER NOBYPASSRLS;", quote_identifier(name))));
}

Oid
tenancy_owner()
{
	Oid owner = get_role_oid("tenancy_owner", true);

	if (!OidIsValid(owner))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("role \"%s\" does not exist", "tenancy_owner"),
						errdetail("Schemas of tenants belong to it."),
						errhint("CREATE ROLE tenancy_owner NOLOGIN;")));
	check_role_is_bound(owner);
	return owner;
}

void
run(const char *sql)
{
	int result = SPI_execute(sql, false, 0);

	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", sql, SPI_result_code_string(result));
}

struct RegisteredRole
{
	bool found; /* the tenant is */
	const char *role;
};

static void
note_role(HeapTuple row, TupleDesc columns, void *state)
{
	auto *registration = static_cast<RegisteredRole *>(state);

	registration->found = true;
	registration->role = catalogue_column(row, columns, "role_name");
}

/* The tenant's role by its name in the registry, or by the rule if it has none yet, which is when it is made. */
void
ensure_tenant_role(const char *id, NameData *role)
{
	Oid argument_types[] = {TEXTOID, NAMEOID};
	Datum arguments[] = {CStringGetTextDatum(id), NameGetDatum(role)};
	RegisteredRole registration = {};

	visit_catalogue("tenants", "tenants_pkey", id, note_role, &registration);
	if (!registration.found)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("tenant \"%s\" does not exist", id)));

	const char *registered = registration.role;
	if (registered)
		namestrcpy(role, registered);
	else
		tenant_role_name(id, role);

	Oid present = get_role_oid(NameStr(*role), true);
	if (OidIsValid(present) && registered)
	{
		check_role_is_bound(present);
		return;
	}
	if (OidIsValid(present))
		ereport(
			ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("role \"%s\" already exists", NameStr(*role)),
			 errdetail(
				 "It was not made for tenant \"%s\" of this database, so it is not used for it.",
				 id),
			 errhint("Move it out of the way: ALTER ROLE %s RENAME TO %s;",
					 quote_identifier(NameStr(*role)),
					 quote_identifier(psprintf("old_%s", NameStr(*role))))));

	run(psprintf("CREATE ROLE %s NOLOGIN", quote_identifier(NameStr(*role))));
	SPI_execute_with_args(
		"UPDATE tenancy.tenants SET role_name = $2 WHERE tenant_id OPERATOR(pg_catalog.=) $1", 2,
		argument_types, arguments, nullptr, false, 0);
}

void
check_schema_is_free(const char *id, const char *schema)
{
	if (OidIsValid(get_namespace_oid(schema, true)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_SCHEMA), errmsg("schema \"%s\" already exists", schema),
				 errdetail("It was not made for tenant \"%s\", so it is not used for it.", id),
				 errhint("Move it out of the way: ALTER SCHEMA %s RENAME TO %s;",
						 quote_identifier(schema), quote_identifier(psprintf("old_%s", schema)))));
}

Oid
create_tenant_schema(const char *id, const char *schema)
{
	check_schema_is_free(id, schema);
	run(psprintf("CREATE SCHEMA %s AUTHORIZATION %s", quote_identifier(schema),
				 quote_identifier(GetUserNameFromId(tenancy_owner(), false))));
	return get_namespace_oid(schema, false);
}

BorrowedRole
become_owner(const char *search_path)
{
	return become_role(tenancy_owner(), search_path);
}

BorrowedRole
become_role(Oid role, const char *search_path)
{
	BorrowedRole borrowed;

	GetUserIdAndSecContext(&borrowed.caller, &borrowed.security_context);
	borrowed.guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", search_path, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	SetUserIdAndSecContext(role, borrowed.security_context | SECURITY_LOCAL_USERID_CHANGE |
									 TENANCY_SECURITY_OWN);
	return borrowed;
}

void
become_caller(const BorrowedRole &borrowed)
{
	SetUserIdAndSecContext(borrowed.caller, borrowed.security_context);
	/* As if aborted: a plain SET in a script would otherwise outlive it. */
	AtEOXact_GUC(false, borrowed.guc_level);
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_lock_tenant);
PG_FUNCTION_INFO_V1(tenancy_ensure_tenant_role);

PGDLLEXPORT Datum
tenancy_lock_tenant(PG_FUNCTION_ARGS)
{
	tenancy::lock_tenant(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

PGDLLEXPORT Datum
tenancy_ensure_tenant_role(PG_FUNCTION_ARGS)
{
	Name role = (Name) palloc0(NAMEDATALEN);

	SPI_connect();
	tenancy::ensure_tenant_role(text_to_cstring(PG_GETARG_TEXT_PP(0)), role);
	SPI_finish();
	PG_RETURN_NAME(role);
}
}
