/*
 * rls_policy.cpp — protect(), and the text that it runs.
 *
 * What a table needs so that a tenant sees its own rows only, and what people forget:
 *
 *   ENABLE and FORCE      without FORCE the owner, often the application's own role, is not bound
 *   two policies          tenant_isolation_policy lets the tenant's rows through; tenant_isolation_floor is restrictive, so
 *                         that no permissive policy that is added later can let more through
 *   WITH CHECK            a row cannot be written, or moved by UPDATE, to another tenant
 *   a default             the tenant's column fills itself in
 *   an index              that leads with the tenant's column, else every query reads every tenant's rows
 *   REVOKE                TRUNCATE goes past policies; TRIGGER runs code with other users' rows; REFERENCES tells whether a
 *                         key exists; MAINTAIN locks everybody out; setval() on a sequence breaks everybody's inserts
 *   every child           a partition that is named in a query is bound by its own policies only
 *
 * protect_ddl() writes the statements for what is missing, so it writes nothing for a table that is
 * protected already; protect() runs that very text, as the caller.  What is missing is decided on
 * the parsed form: a policy of that name which says something else is replaced.
 *
 * The condition calls current_tenant() bare.  It is a C function of a few nanoseconds, so that the
 * popular wrapping in (SELECT …) gains nothing and would hide the value from the planner.
 */
#include "tenancy.h"

namespace tenancy
{

static const char *const POLICY = "tenant_isolation_policy";
static const char *const FLOOR = "tenant_isolation_floor";
/* These exist where some class may only read. */
static const char *const INSERT_POLICY = "tenant_isolation_insert";
static const char *const UPDATE_POLICY = "tenant_isolation_update";
static const char *const DELETE_POLICY = "tenant_isolation_delete";

struct PolicySpec
{
	const char *name;
	char command; /* as in pg_policy.polcmd */
	bool permissive;
	const char *condition; /* null: not wanted */
};
constexpr int POLICY_COUNT = 5;

/* One table's protection: what it is to be, and the statements so far. */
struct Protection
{
	Relation table;
	const char *name;	   /* of the table, qualified and quoted */
	const char *column;	   /* the tenant's column; null if the whole table is one tenant's */
	const char *reader;	   /* the function that gives the tenant in force in the column's type */
	PolicySpec policies[POLICY_COUNT];
	bool index_from_parent;
	StringInfo sql;
};

static const char *
qualified_name(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
									  get_rel_name(relation));
}

/* The condition as CREATE POLICY would store it. */
static Node *
parse_condition(const Protection &protection, const char *condition)
{
	ParseState *state = make_parsestate(nullptr);
	ParseNamespaceItem *item = addRangeTableEntryForRelation(
		state, protection.table, AccessShareLock, nullptr, false, false);
	List *parsed = raw_parser(psprintf("SELECT 1 WHERE %s", condition), RAW_PARSE_DEFAULT);
	Node *where = castNode(SelectStmt, linitial_node(RawStmt, parsed)->stmt)->whereClause;

	addNSItemToQuery(state, item, false, true, true);
	Node *parsed_condition = transformWhereClause(state, where, EXPR_KIND_POLICY, "POLICY");
	assign_expr_collations(state, parsed_condition);
	free_parsestate(state);
	return parsed_condition;
}

Node *
policy_expression(HeapTuple policy, AttrNumber attribute, TupleDesc descriptor)
{
	bool null;
	Datum stored = heap_getattr(policy, attribute, descriptor, &null);

	return null ? nullptr : (Node *) stringToNode(TextDatumGetCString(stored));
}

/* The policy of a table by its name, or null; the caller ends the scan. */
static HeapTuple
find_policy(Relation policies, Oid table, const char *name, SysScanDesc *scan)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], Anum_pg_policy_polrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(table));
	ScanKeyInit(&keys[1], Anum_pg_policy_polname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(name));
	*scan = systable_beginscan(policies, PolicyPolrelidPolnameIndexId, true, nullptr, 2, keys);
	return systable_getnext(*scan);
}

/* The name of the column that one side of a condition of ours is, or null. */
static const char *
column_of_operand(Oid table, void *operand)
{
	auto *node = (Node *) operand;

	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return IsA(node, Var) ? get_attname(table, ((Var *) node)->varattno, true) : nullptr;
}

/* A restrictive policy must bind everybody; who the permissive one is for, the owner may narrow. */
static bool
policy_roles_suffice(HeapTuple tuple, TupleDesc descriptor, bool permissive)
{
	if (permissive)
		return true;

	bool null;
	ArrayType *roles =
		DatumGetArrayTypeP(heap_getattr(tuple, Anum_pg_policy_polroles, descriptor, &null));
	return ArrayGetNItems(ARR_NDIM(roles), ARR_DIMS(roles)) == 1 &&
		   *(Oid *) ARR_DATA_PTR(roles) == InvalidOid;
}

/* Which of the two expressions a policy for a command has. */
static bool
has_using(char command)
{
	return command != 'a';
}

static bool
has_check(char command)
{
	return command == '*' || command == 'a' || command == 'w';
}

static const char *
words_of_command(char command)
{
	switch (command)
	{
		case 'r':
			return " FOR SELECT";
		case 'a':
			return " FOR INSERT";
		case 'w':
			return " FOR UPDATE";
		case 'd':
			return " FOR DELETE";
		default:
			return "";
	}
}

static bool
policy_is_as_specified(const Protection &protection, const PolicySpec &policy, HeapTuple tuple,
					   TupleDesc descriptor)
{
	auto *form = (Form_pg_policy) GETSTRUCT(tuple);
	Node *condition = parse_condition(protection, policy.condition);
	Node *using_part = has_using(policy.command) ? condition : nullptr;
	Node *check_part = has_check(policy.command) ? condition : nullptr;

	return form->polcmd == policy.command && form->polpermissive == policy.permissive &&
		   policy_roles_suffice(tuple, descriptor, policy.permissive) &&
		   equal(policy_expression(tuple, Anum_pg_policy_polqual, descriptor), using_part) &&
		   equal(policy_expression(tuple, Anum_pg_policy_polwithcheck, descriptor), check_part);
}

static void
emit_policy(const Protection &protection, const PolicySpec &policy)
{
	Relation policies = table_open(PolicyRelationId, AccessShareLock);
	SysScanDesc scan;
	HeapTuple tuple = find_policy(policies, RelationGetRelid(protection.table), policy.name, &scan);
	bool present = HeapTupleIsValid(tuple);
	bool good = present && policy.condition &&
				policy_is_as_specified(protection, policy, tuple, RelationGetDescr(policies));

	systable_endscan(scan);
	table_close(policies, AccessShareLock);

	if (present && !good)
		appendStringInfo(protection.sql, "DROP POLICY %s ON %s;\n", policy.name, protection.name);
	if (good || !policy.condition)
		return;
	appendStringInfo(protection.sql, "CREATE POLICY %s ON %s%s%s", policy.name, protection.name,
					 policy.permissive ? "" : " AS RESTRICTIVE", words_of_command(policy.command));
	if (has_using(policy.command))
		appendStringInfo(protection.sql, "\n    USING (%s)", policy.condition);
	if (has_check(policy.command))
		appendStringInfo(protection.sql, "\n    WITH CHECK (%s)", policy.condition);
	appendStringInfoString(protection.sql, ";\n");
}

static bool
has_leading_index(Relation table, AttrNumber attribute)
{
	bool found = false;
	List *indexes = RelationGetIndexList(table);
	ListCell *cell;

	foreach (cell, indexes)
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		found = found || (index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indisvalid &&
						  index->rd_index->indkey.values[0] == attribute &&
						  RelationGetIndexPredicate(index) == NIL);
		index_close(index, NoLock);
	}
	return found;
}

static void
emit_column(const Protection &protection)
{
	AttrNumber attribute = get_attnum(RelationGetRelid(protection.table), protection.column);
	Form_pg_attribute form = TupleDescAttr(RelationGetDescr(protection.table), attribute - 1);
	const char *column = quote_identifier(protection.column);

	if (!form->atthasdef)
		appendStringInfo(protection.sql, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s;\n",
						 protection.name, column, protection.reader);
	if (!protection.index_from_parent && !has_leading_index(protection.table, attribute))
		appendStringInfo(protection.sql, "CREATE INDEX ON %s (%s);\n", protection.name, column);
}

/* Those to whom an access control list gives one of "privileges", without the owner. */
static List *
grantees_of(Datum acl_datum, Oid owner, AclMode privileges, List *grantees)
{
	Acl *acl = DatumGetAclP(acl_datum);
	AclItem *items = ACL_DAT(acl);

	for (int i = 0; i < ACL_NUM(acl); i++)
		if ((ACLITEM_GET_PRIVS(items[i]) & privileges) && items[i].ai_grantee != owner)
			grantees = list_append_unique_oid(grantees, items[i].ai_grantee);
	return grantees;
}

static List *
relation_grantees(Oid relation, AclMode privileges)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	List *grantees = NIL;
	bool null;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	Oid owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	int natts = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	Datum acl = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relacl, &null);
	if (!null)
		grantees = grantees_of(acl, owner, privileges, grantees);
	ReleaseSysCache(tuple);

	/* Columns have lists of their own; revoking from the table revokes there too. */
	for (AttrNumber attribute = 1; attribute <= natts; attribute++)
	{
		tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(attribute));
		if (!HeapTupleIsValid(tuple))
			continue;
		acl = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attacl, &null);
		if (!null)
			grantees = grantees_of(acl, owner, privileges, grantees);
		ReleaseSysCache(tuple);
	}
	return grantees;
}

static void
emit_revoke(StringInfo sql, Oid relation, AclMode privileges, const char *what)
{
	List *grantees = relation_grantees(relation, privileges);
	ListCell *cell;

	if (grantees == NIL)
		return;
	appendStringInfo(sql, "REVOKE %s %s FROM ", what, qualified_name(relation));
	foreach (cell, grantees)
	{
		Oid grantee = lfirst_oid(cell);

		appendStringInfo(sql, "%s%s", foreach_current_index(cell) > 0 ? ", " : "",
						 OidIsValid(grantee) ? quote_identifier(GetUserNameFromId(grantee, false))
											 : "PUBLIC");
	}

	/* CASCADE: what a grantee with grant option has passed on goes too. */
	appendStringInfoString(sql, " CASCADE;\n");
}

/* A foreign table cannot have policies; through its parent it is read without privileges of its own. */
static void
emit_foreign_child(const Protection &protection)
{
	emit_revoke(protection.sql, RelationGetRelid(protection.table), ACL_ALL_RIGHTS_RELATION,
				"ALL ON");
}

/*
 * What stands in a sequence tells how many rows all tenants have made.  An identity column counts without a privilege of
 * whoever inserts; nextval() of the default of another needs USAGE.
 */
static void
emit_sequence(const Protection &protection, Oid sequence)
{
	Oid table;
	int32 column;

	if (sequenceIsOwned(sequence, DEPENDENCY_INTERNAL, &table, &column))
		emit_revoke(protection.sql, sequence, ACL_USAGE | ACL_SELECT | ACL_UPDATE, "ALL ON SEQUENCE");
	else
		emit_revoke(protection.sql, sequence, ACL_SELECT | ACL_UPDATE, "SELECT, UPDATE ON SEQUENCE");
}

static void
emit_table(const Protection &protection)
{
	Oid relation = RelationGetRelid(protection.table);
	ListCell *cell;

	bool enabled = protection.table->rd_rel->relrowsecurity;
	bool forced = protection.table->rd_rel->relforcerowsecurity;
	if (!enabled || !forced)
		appendStringInfo(protection.sql, "ALTER TABLE %s %s%s%s;\n", protection.name,
						 enabled ? "" : "ENABLE ROW LEVEL SECURITY",
						 !enabled && !forced ? ", " : "",
						 forced ? "" : "FORCE ROW LEVEL SECURITY");
	for (const PolicySpec &policy : protection.policies)
		emit_policy(protection, policy);
	if (protection.column)
		emit_column(protection);

	emit_revoke(protection.sql, relation, TENANCY_ACL_PAST_POLICIES,
				TENANCY_ACL_PAST_POLICIES_WORDS " ON");
	foreach (cell, getOwnedSequences(relation))
		emit_sequence(protection, lfirst_oid(cell));
}

void
check_table_owner(Oid table)
{
	if (!tenancy_object_ownercheck(RelationRelationId, table, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(table)),
					   get_rel_name(table));
}

static void
check_kind(Relation table, bool is_child)
{
	switch (table->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			break;
		case RELKIND_FOREIGN_TABLE:
			if (is_child)
				break;
			ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
							errmsg("foreign table \"%s\" cannot have row-level security",
								   RelationGetRelationName(table)),
							errhint("A foreign table of tenancy_mongo is bound to the tenant by "
									"its option tenant_field.")));
			break;
		default:
			ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
							errmsg("\"%s\" is not a table", RelationGetRelationName(table)),
							errhint("A view is protected by its tables: ALTER VIEW %s SET "
									"(security_invoker = true);",
									qualified_name(RelationGetRelid(table)))));
	}

	check_table_owner(RelationGetRelid(table));
}

/* The function that gives the tenant in force in a type, as SQL; null for a type that no tenant can
 * have. */
static const char *
reader_of_type(Oid type)
{
	switch (getBaseType(type))
	{
		case TEXTOID:
		case VARCHAROID:
			return "tenancy.current_tenant()";
		case UUIDOID:
			return "tenancy.current_tenant_uuid()";
		case INT8OID:
			return "tenancy.current_tenant_bigint()";
		default:
			return nullptr;
	}
}

static void
check_column(Relation table, const char *column)
{
	AttrNumber attribute = get_attnum(RelationGetRelid(table), column);

	if (attribute == InvalidAttrNumber || attribute < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist", column,
						RelationGetRelationName(table)),
				 errdetail("The tenant's column says whose a row is."),
				 errhint("ALTER TABLE %s ADD COLUMN %s text; or name another column, or the one "
						 "tenant that the table "
						 "belongs to.",
						 qualified_name(RelationGetRelid(table)), quote_identifier(column))));

	if (!reader_of_type(get_atttype(RelationGetRelid(table), attribute)))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" is of type %s, not text, uuid or bigint",
						column, RelationGetRelationName(table),
						format_type_be(get_atttype(RelationGetRelid(table), attribute))),
				 errhint("ALTER TABLE %s ALTER COLUMN %s TYPE text;",
						 qualified_name(RelationGetRelid(table)), quote_identifier(column))));

	/* "tenant-1" and "tenant1" are equal to some collations, and are two tenants. */
	Oid collation = TupleDescAttr(RelationGetDescr(table), attribute - 1)->attcollation;
	if (OidIsValid(collation) && !get_collation_isdeterministic(collation))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" has a collation that takes different tenants for one",
						column, RelationGetRelationName(table)),
				 errdetail("Collation \"%s\" is not deterministic.", get_collation_name(collation)),
				 errhint("ALTER TABLE %s ALTER COLUMN %s TYPE text COLLATE \"C\";",
						 qualified_name(RelationGetRelid(table)), quote_identifier(column))));
}

/* The condition that lets a set of role classes through. */
static const char *
condition_for(const Protection &protection, const char *tenant, RoleSet roles, bool plain)
{
	const char *id = tenant ? quote_literal_cstr(tenant) : quote_identifier(protection.column);

	if (!plain)
		return psprintf("tenancy.can(%s, %s)", id, quote_literal_cstr(words_of_roles(roles)));
	return tenant ? psprintf("tenancy.is_current_tenant(%s)", id)
				  : psprintf("%s = %s", id, protection.reader);
}

/* can() lets the planner see which partitions are the tenant's. */
static bool
is_partitioned_by(Relation table, const char *column)
{
	PartitionKey key = RelationGetPartitionKey(table);

	return key && column && key->partnatts == 1 &&
		   key->partattrs[0] == get_attnum(RelationGetRelid(table), column);
}

static void
specify_policies(Protection *protection, const char *tenant, const DeclaredAccess &access)
{
	bool plain = access.is_default && !is_partitioned_by(protection->table, protection->column);
	const char *readable = condition_for(*protection, tenant, access.readers, plain);
	const char *writable = access.writers && access.writers != access.readers
							   ? condition_for(*protection, tenant, access.writers, false)
							   : nullptr;
	bool together = access.writers == access.readers;
	const PolicySpec policies[POLICY_COUNT] = {
		{POLICY, together ? '*' : 'r', true, readable}, {FLOOR, '*', false, readable},
		{INSERT_POLICY, 'a', true, writable},			{UPDATE_POLICY, 'w', true, writable},
		{DELETE_POLICY, 'd', true, writable},
	};

	memcpy(protection->policies, policies, sizeof(policies));
}

static void
emit_relation(Relation relation, const char *column, const char *tenant, bool is_child,
			  const DeclaredAccess &access, StringInfo sql)
{
	Protection protection = {};

	check_kind(relation, is_child);
	if (!tenant)
		check_column(relation, column);
	protection.table = relation;
	protection.name = qualified_name(RelationGetRelid(relation));
	protection.sql = sql;
	protection.index_from_parent = is_child && relation->rd_rel->relispartition;
	if (!tenant)
	{
		protection.column = column;
		protection.reader = reader_of_type(get_atttype(
			RelationGetRelid(relation), get_attnum(RelationGetRelid(relation), column)));
	}
	specify_policies(&protection, tenant, access);
	if (relation->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		emit_foreign_child(protection);
	else
		emit_table(protection);
}

char *
protection_sql(Oid table, const char *column, const char *tenant, LOCKMODE lock,
			   const PendingAccess *pending)
{
	StringInfoData sql;
	ListCell *cell;

	if (tenant)
		check_tenant_id(tenant);
	initStringInfo(&sql);
	foreach (cell, find_all_inheritors(table, lock, nullptr))
	{
		Relation relation = relation_open(lfirst_oid(cell), NoLock);

		emit_relation(relation, column, tenant, lfirst_oid(cell) != table,
					  declared_access(lfirst_oid(cell), pending), &sql);
		relation_close(relation, NoLock);
	}
	return sql.data;
}

static void
connect_and_run(const char *sql)
{
	if (*sql == '\0')
		return;
	SPI_connect();
	run(sql);
	SPI_finish();
}

static bool is_protecting;

bool
protection_runs()
{
	return is_protecting;
}

/* policy_guard.cpp keeps a tenant's session from changing a protected table, and this one is about to become one. */
void
protect_table(Oid table, const char *column, const char *tenant)
{
	bool is_within = is_protecting;
	const char *statements = protection_sql(table, column, tenant, AccessExclusiveLock);

	is_protecting = is_within || !has_isolation_policy(table);
	PG_TRY();
	{
		connect_and_run(statements);
	}
	PG_FINALLY();
	{
		is_protecting = is_within;
	}
	PG_END_TRY();
}

bool
has_isolation_policy(Oid table)
{
	Relation policies = table_open(PolicyRelationId, AccessShareLock);
	const char *const names[] = {FLOOR, POLICY};
	int found = 0;

	for (const char *name : names)
	{
		SysScanDesc scan;

		found += HeapTupleIsValid(find_policy(policies, table, name, &scan));
		systable_endscan(scan);
	}
	table_close(policies, AccessShareLock);
	return found > 0;
}

bool
protection_of(Oid table, const char **column, const char **tenant)
{
	Relation policies = table_open(PolicyRelationId, AccessShareLock);
	SysScanDesc scan;
	HeapTuple tuple = find_policy(policies, table, FLOOR, &scan);
	Node *condition = HeapTupleIsValid(tuple) ? policy_expression(tuple, Anum_pg_policy_polqual,
																  RelationGetDescr(policies))
											  : nullptr;

	*column = *tenant = nullptr;
	if (condition && IsA(condition, OpExpr))
		*column = column_of_operand(table, linitial(((OpExpr *) condition)->args));
	else if (condition && IsA(condition, FuncExpr))
	{
		auto *call = (FuncExpr *) condition;
		auto *argument = call->args ? (Node *) linitial(call->args) : nullptr;

		if (argument && IsA(argument, Const) && !((Const *) argument)->constisnull)
			*tenant = TextDatumGetCString(((Const *) argument)->constvalue);
		else if (argument)
			*column = column_of_operand(table, argument);
	}
	systable_endscan(scan);
	table_close(policies, AccessShareLock);
	return *column || *tenant;
}

/* True if the column's default is the tenant in force. */
static bool
default_is_ours(Relation table, AttrNumber attribute)
{
	Form_pg_attribute form = TupleDescAttr(RelationGetDescr(table), attribute - 1);
	Node *value =
		form->atthasdef && !form->attgenerated ? build_column_default(table, attribute) : nullptr;

	while (value)
	{
		if (IsA(value, RelabelType))
			value = (Node *) ((RelabelType *) value)->arg;
		else if (IsA(value, CoerceToDomain))
			value = (Node *) ((CoerceToDomain *) value)->arg;
		else if (IsA(value, FuncExpr) && ((FuncExpr *) value)->args)
			value = (Node *) linitial(((FuncExpr *) value)->args);
		else
			break;
	}
	return value && IsA(value, FuncExpr) &&
		   get_func_namespace(((FuncExpr *) value)->funcid) == get_namespace_oid("tenancy", true);
}

static bool
is_name_of_ours(const char *policy)
{
	const char *const names[] = {POLICY, FLOOR, INSERT_POLICY, UPDATE_POLICY, DELETE_POLICY};

	for (const char *name : names)
		if (strcmp(policy, name) == 0)
			return true;
	return false;
}

static void
emit_unprotect(StringInfo sql, Relation table)
{
	Relation policies = table_open(PolicyRelationId, AccessShareLock);
	const char *name = qualified_name(RelationGetRelid(table)), *column, *tenant;
	int others = 0;
	ScanKeyData key;
	HeapTuple tuple;

	if (protection_of(RelationGetRelid(table), &column, &tenant) && column &&
		default_is_ours(table, get_attnum(RelationGetRelid(table), column)))
		appendStringInfo(sql, "ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT;\n", name,
						 quote_identifier(column));

	ScanKeyInit(&key, Anum_pg_policy_polrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationGetRelid(table)));
	SysScanDesc scan =
		systable_beginscan(policies, PolicyPolrelidPolnameIndexId, true, nullptr, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		const char *policy = NameStr(((Form_pg_policy) GETSTRUCT(tuple))->polname);

		if (is_name_of_ours(policy))
			appendStringInfo(sql, "DROP POLICY %s ON %s;\n", policy, name);
		else
			others++;
	}
	systable_endscan(scan);
	table_close(policies, AccessShareLock);

	if (others == 0 && table->rd_rel->relforcerowsecurity)
		appendStringInfo(sql, "ALTER TABLE %s NO FORCE ROW LEVEL SECURITY;\n", name);
	if (others == 0 && table->rd_rel->relrowsecurity)
		appendStringInfo(sql, "ALTER TABLE %s DISABLE ROW LEVEL SECURITY;\n", name);
}

/* What takes the protection away from a table and its children.  Indexes stay, and what was revoked
 * stays revoked. */
static char *
unprotection_sql(Oid table, LOCKMODE lock)
{
	StringInfoData sql;
	ListCell *cell;

	initStringInfo(&sql);
	foreach (cell, find_all_inheritors(table, lock, nullptr))
	{
		Relation relation = relation_open(lfirst_oid(cell), NoLock);

		check_kind(relation, lfirst_oid(cell) != table);
		if (relation->rd_rel->relkind != RELKIND_FOREIGN_TABLE)
			emit_unprotect(&sql, relation);
		relation_close(relation, NoLock);
	}
	return sql.data;
}

/* The arguments of both functions, (table, tenant_column, tenant). */
struct ProtectArguments
{
	Oid table;
	const char *column;
	const char *tenant;
};

static Oid
table_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("table must not be null")));

	Oid table = PG_GETARG_OID(0);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(table)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", table)));
	return table;
}

static ProtectArguments
protect_arguments(FunctionCallInfo fcinfo)
{
	ProtectArguments arguments = {};

	if (PG_ARGISNULL(0) || (PG_ARGISNULL(1) && PG_ARGISNULL(2)))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("table and tenant column must not be null")));
	arguments.table = table_argument(fcinfo);
	if (!PG_ARGISNULL(1))
		arguments.column = pstrdup(NameStr(*PG_GETARG_NAME(1)));
	if (!PG_ARGISNULL(2))
		arguments.tenant = text_to_cstring(PG_GETARG_TEXT_PP(2));
	return arguments;
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_protect);
PG_FUNCTION_INFO_V1(tenancy_protect_ddl);
PG_FUNCTION_INFO_V1(tenancy_unprotect);
PG_FUNCTION_INFO_V1(tenancy_unprotect_ddl);
PG_FUNCTION_INFO_V1(tenancy_protection);
PG_FUNCTION_INFO_V1(tenancy_key_columns);

PGDLLEXPORT Datum
tenancy_protect(PG_FUNCTION_ARGS)
{
	tenancy::ProtectArguments arguments = tenancy::protect_arguments(fcinfo);

	tenancy::protect_table(arguments.table, arguments.column, arguments.tenant);
	PG_RETURN_VOID();
}

PGDLLEXPORT Datum
tenancy_protect_ddl(PG_FUNCTION_ARGS)
{
	tenancy::ProtectArguments arguments = tenancy::protect_arguments(fcinfo);

	PG_RETURN_TEXT_P(cstring_to_text(tenancy::protection_sql(arguments.table, arguments.column,
															 arguments.tenant, AccessShareLock)));
}

PGDLLEXPORT Datum
tenancy_unprotect(PG_FUNCTION_ARGS)
{
	tenancy::connect_and_run(tenancy::unprotection_sql(tenancy::table_argument(fcinfo), AccessExclusiveLock));
	PG_RETURN_VOID();
}

PGDLLEXPORT Datum
tenancy_unprotect_ddl(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(
		tenancy::unprotection_sql(tenancy::table_argument(fcinfo), AccessShareLock)));
}

PGDLLEXPORT Datum
tenancy_protection(PG_FUNCTION_ARGS)
{
	const char *column, *tenant;
	TupleDesc descriptor;

	if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	(void) tenancy::protection_of(PG_GETARG_OID(0), &column, &tenant);

	NameData name = {};
	bool nulls[] = {!column, !tenant};
	Datum values[] = {NameGetDatum(&name), tenant ? CStringGetTextDatum(tenant) : (Datum) 0};

	if (column)
		namestrcpy(&name, column);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

PGDLLEXPORT Datum
tenancy_key_columns(PG_FUNCTION_ARGS)
{
	Oid relation = PG_GETARG_OID(0);
	const char *prefix = text_to_cstring(PG_GETARG_TEXT_PP(2));
	StringInfoData columns;
	Datum *key;
	int count;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), INT2OID, sizeof(int16), true, TYPALIGN_SHORT, &key,
					  nullptr, &count);
	initStringInfo(&columns);
	for (int i = 0; i < count; i++)
	{
		const char *column = get_attname(relation, DatumGetInt16(key[i]), true);

		if (column)
			appendStringInfo(&columns, "%s%s%s", columns.len > 0 ? ", " : "", prefix,
							 quote_identifier(column));
	}
	PG_RETURN_TEXT_P(cstring_to_text(columns.data));
}
}
