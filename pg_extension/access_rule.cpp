/*
 * access_rule.cpp — declare_access(): which role classes may read and write a table.
 *
 * A declaration is a row, and protect() writes the policies that follow from it (rls_policy.cpp).  Without one a table is its
 * clients': each reads and writes its own rows, nobody else anything.  A partition or child has its parent's, unless it has
 * one of its own.
 */
#include "tenancy.h"

namespace tenancy
{

/* Columns of tenancy.access_rules. */
constexpr AttrNumber Anum_access_rules_table = 1;
constexpr AttrNumber Anum_access_rules_role_class = 2;
constexpr AttrNumber Anum_access_rules_mode = 3;

static const char *const MODE_NONE = "none";
static const char *const MODE_READ = "read";
static const char *const MODE_READ_WRITE = "read-write";

static DeclaredAccess
default_access()
{
	RoleSet client = role_set_of_word("client");

	return {client, client, true};
}

static void
set_access(DeclaredAccess *access, RoleSet role, const char *mode)
{
	RoleSet client = role_set_of_word("client");

	access->readers &= ~role;
	access->writers &= ~role;
	if (strcmp(mode, MODE_NONE) != 0)
		access->readers |= role;
	if (strcmp(mode, MODE_READ_WRITE) == 0)
		access->writers |= role;
	access->is_default = access->readers == client && access->writers == client;
}

/* The table's own declaration; false if it has none. */
static bool
own_access(Oid table, DeclaredAccess *access)
{
	Oid schema = get_namespace_oid("tenancy", false);
	Relation rules = table_open(get_relname_relid("access_rules", schema), AccessShareLock);
	bool found = false;
	ScanKeyData key;
	HeapTuple tuple;

	*access = default_access();
	ScanKeyInit(&key, Anum_access_rules_table, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	SysScanDesc scan =
		systable_beginscan(rules, get_relname_relid("access_rules_pkey", schema), true, nullptr, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		TupleDesc descriptor = RelationGetDescr(rules);
		bool null;
		Datum role = heap_getattr(tuple, Anum_access_rules_role_class, descriptor, &null);
		Datum mode = heap_getattr(tuple, Anum_access_rules_mode, descriptor, &null);

		set_access(access, role_set_of_word(TextDatumGetCString(role)), TextDatumGetCString(mode));
		found = true;
	}
	systable_endscan(scan);
	table_close(rules, AccessShareLock);
	return found;
}

static bool
inherited_access(Oid table, const PendingAccess *pending, DeclaredAccess *access)
{
	if (pending && pending->table == table)
	{
		*access = pending->access;
		return true;
	}
	if (own_access(table, access))
		return true;

	Relation inherits = table_open(InheritsRelationId, AccessShareLock);
	bool found = false;
	ScanKeyData key;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
	SysScanDesc scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, nullptr, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = inherited_access(((Form_pg_inherits) GETSTRUCT(tuple))->inhparent, pending, access);
	systable_endscan(scan);
	table_close(inherits, AccessShareLock);
	return found;
}

DeclaredAccess
declared_access(Oid table, const PendingAccess *pending)
{
	DeclaredAccess access;

	return inherited_access(table, pending, &access) ? access : default_access();
}

/* A call of declare_access(). */
struct Declaration
{
	Oid table;
	const char *role_class;
	const char *mode;
};

static void
check_mode(const char *mode)
{
	if (strcmp(mode, MODE_NONE) != 0 && strcmp(mode, MODE_READ) != 0 && strcmp(mode, MODE_READ_WRITE) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("access mode \"%s\" does not exist", clip_for_message(mode)),
						errhint("An access mode is none, read or read-write.")));
}

static Declaration
declaration_of_call(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("table, role class and access mode must not be null")));

	Declaration declaration = {PG_GETARG_OID(0), text_to_cstring(PG_GETARG_TEXT_PP(1)),
							   text_to_cstring(PG_GETARG_TEXT_PP(2))};
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(declaration.table)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", declaration.table)));
	(void) role_set_of_word(declaration.role_class);
	check_mode(declaration.mode);
	check_table_owner(declaration.table);
	return declaration;
}

static const char *
registration_sql(const Declaration &declaration)
{
	const char *name = quote_qualified_identifier(
		get_namespace_name(get_rel_namespace(declaration.table)), get_rel_name(declaration.table));

	return psprintf("INSERT INTO tenancy.access_rules (\"table\", role_class, mode) VALUES (%s, %s, %s)\n"
					"    ON CONFLICT (\"table\", role_class) DO UPDATE SET mode = excluded.mode;\n",
					quote_literal_cstr(name), quote_literal_cstr(declaration.role_class),
					quote_literal_cstr(declaration.mode));
}

/* Policies follow at once where there are some. */
static void
declare(const Declaration &declaration)
{
	const char *column, *tenant;

	run_as_extension(registration_sql(declaration));
	CommandCounterIncrement();
	if (protection_of(declaration.table, &column, &tenant))
		protect_table(declaration.table, column, tenant);
}

static char *
declare_sql(const Declaration &declaration)
{
	PendingAccess pending = {declaration.table, {}};
	const char *column, *tenant;

	pending.access = declared_access(declaration.table, nullptr);
	set_access(&pending.access, role_set_of_word(declaration.role_class), declaration.mode);
	const char *policies =
		protection_of(declaration.table, &column, &tenant)
			? protection_sql(declaration.table, column, tenant, AccessShareLock, &pending)
			: "";
	return psprintf("%s%s", registration_sql(declaration), policies);
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_declare_access);
PG_FUNCTION_INFO_V1(tenancy_declare_access_ddl);

PGDLLEXPORT Datum
tenancy_declare_access(PG_FUNCTION_ARGS)
{
	tenancy::declare(tenancy::declaration_of_call(fcinfo));
	PG_RETURN_VOID();
}

PGDLLEXPORT Datum
tenancy_declare_access_ddl(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(tenancy::declare_sql(tenancy::declaration_of_call(fcinfo))));
}
}
