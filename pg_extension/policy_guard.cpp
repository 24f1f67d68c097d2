/*
 * policy_guard.cpp — a tenant in force is a promise: no statement of the session reads past the policies.
 *
 * PostgreSQL asks a table's policies on behalf of the role that reads, and lends roles: a view reads as its owner, a
 * SECURITY DEFINER function as its own.  If that is a superuser, as it is wherever one role makes everything, the policies
 * are silent and the statement shows every tenant's rows.  So it is if somebody has switched row-level security off for a
 * maintenance, if FORCE is gone, or if the application's login has BYPASSRLS.  Nobody who set the tenant wanted that.
 *
 * So, where a table has an isolation policy that does not bind the role as which it is read:
 *
 *   under a tenant      SELECT, UPDATE and DELETE are refused.  INSERT is not: a trigger of the owner's keeps its journal
 *   under no tenant     only a view that lends its owner's freedom is refused.  Whoever looks a login up before there is a
 *                       tenant does it by a function, a backup by its role
 *
 * Superusers go free, since they could do anything; so does a superadmin's context, and the server's own checks of foreign
 * keys.  tenancy.allow_bypass lifts it: for a role, a database, or one function that somebody answers for.
 *
 * And a session that has a tenant does not change what protects it, even if its role owns the table; nor the table, if it is
 * not this tenant's alone.  An owner's CREATE INDEX, CHECK or ALTER COLUMN … USING calls a function with every row, a trigger
 * does with those that others write, a key tells which rows there are, and TRUNCATE asks no policy.  Nor does it change the
 * login itself, if that serves other tenants too: a password, a search path, a membership stay when the tenant has gone.
 *
 * A relation is looked at once, and remembered until its catalog entries or somebody's privileges change.
 */
#include "tenant_context.h"

namespace tenancy
{

struct GuardedTable
{
	Oid relation;	/* the key */
	bool isolated;	/* it has an isolation policy */
	Oid binds;		/* the role that its policies were last seen to bind */
};

static HTAB *tables;
static uint64 changes; /* grows with each message that something changed */

static bool allow_bypass;

static ExecutorCheckPerms_hook_type previous_check_permissions;
static ProcessUtility_hook_type previous_process_utility;
static object_access_hook_type previous_object_access;

/*
 * What is known of a table
 */

static void
forget_table(Datum, Oid relation)
{
	changes++;
	if (!tables)
		return;
	if (OidIsValid(relation))
		(void) hash_search(tables, &relation, HASH_REMOVE, nullptr);
	else
	{
		hash_destroy(tables);
		tables = nullptr;
	}
}

static void
forget_roles(Datum, int, uint32)
{
	forget_table((Datum) 0, InvalidOid);
}

static HTAB *
known_tables()
{
	HASHCTL control = {};

	if (tables)
		return tables;
	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(GuardedTable);
	tables = hash_create("tenancy guarded tables", 64, &control, HASH_ELEM | HASH_BLOBS);
	return tables;
}

/* Looking at catalogs may bring the message that the answer has changed; it is right then, and not kept. */
static GuardedTable
look_at(Oid relation, Oid role)
{
	uint64 before = changes;
	GuardedTable seen = {relation, has_isolation_policy(relation), InvalidOid};

	if (seen.isolated && check_enable_rls(relation, role, true) == RLS_ENABLED)
		seen.binds = role;
	if (before == changes)
		*static_cast<GuardedTable *>(hash_search(known_tables(), &relation, HASH_ENTER, nullptr)) = seen;
	return seen;
}

static bool
is_isolated(Oid relation)
{
	const GuardedTable *known =
		tables ? static_cast<GuardedTable *>(hash_search(tables, &relation, HASH_FIND, nullptr)) : nullptr;

	return known ? known->isolated : look_at(relation, GetUserId()).isolated;
}

bool
reads_isolated_table(const PlannedStmt *plan)
{
	ListCell *cell;

	foreach (cell, plan->rtable)
	{
		auto *entry = lfirst_node(RangeTblEntry, cell);

		if (entry->rtekind == RTE_RELATION && entry->relid >= FirstNormalObjectId && is_isolated(entry->relid))
			return true;
	}
	return false;
}

/* The table has no isolation policy, or its policies bind the role. */
static bool
is_good_for(Oid relation, Oid role)
{
	const GuardedTable *known =
		tables ? static_cast<GuardedTable *>(hash_search(tables, &relation, HASH_FIND, nullptr)) : nullptr;

	if (likely(known && (!known->isolated || known->binds == role)))
		return true;

	GuardedTable seen = look_at(relation, role);
	return !seen.isolated || seen.binds == role;
}

/*
 * Reading
 */

/* The role that the session has chosen is above all this, or these are checks of the server's own. */
static bool
goes_free()
{
	return allow_bypass || superuser_arg(GetOuterUserId()) || InNoForceRLSOperation() ||
		   current_role_class() == ContextRole::superadmin;
}

static const char *
hint_of_refusal(Oid relation, Oid role, bool by_view)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	const char *name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation));
	bool secured = false, forced = false;

	if (HeapTupleIsValid(tuple))
	{
		secured = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relrowsecurity;
		forced = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relforcerowsecurity;
		ReleaseSysCache(tuple);
	}
	if (!secured)
		return psprintf("ALTER TABLE %s ENABLE ROW LEVEL SECURITY;", name);
	if (by_view)
		return "ALTER VIEW … SET (security_invoker = true); SELECT * FROM tenancy.isolation_report(); tells which.";
	if (!forced && !has_bypassrls_privilege(role))
		return psprintf("ALTER TABLE %s FORCE ROW LEVEL SECURITY;", name);
	if (role == GetOuterUserId())
		return psprintf("ALTER ROLE %s NOBYPASSRLS; or, if you answer for it: ALTER ROLE %s SET tenancy.allow_bypass = on;",
						quote_identifier(GetUserNameFromId(role, true)), quote_identifier(GetUserNameFromId(role, true)));
	return "Give the function to a role that policies bind; or, if you answer for it: ALTER FUNCTION … SET "
		   "tenancy.allow_bypass = on;";
}

[[noreturn]] static void
refuse_to_read(Oid relation, Oid role, bool by_view)
{
	const char *tenant = current_tenant();

	stat_denied(tenant ? tenant : "");
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("policies of table \"%s\" do not bind role \"%s\"", get_rel_name(relation),
					GetUserNameFromId(role, true)),
			 by_view ? errdetail("A view reads it with the rights of that role, and would show every tenant's rows.")
					 : errdetail("The statement would reach every tenant's rows, and %s is in force.",
								 transaction_lock() ? describe(*transaction_lock()) : "a tenant"),
			 errhint("%s", hint_of_refusal(relation, role, by_view))));
}

/* One table of a statement.  "owner" is whose rights a view lends, or invalid. */
static bool
may_read(Oid relation, AclMode wanted, Oid owner, bool has_context, bool complain)
{
	bool by_view = OidIsValid(owner) && owner != GetUserId();
	Oid role = OidIsValid(owner) ? owner : GetUserId();

	if (!(wanted & (ACL_SELECT | ACL_UPDATE | ACL_DELETE)) || !(by_view || has_context) || relation < FirstNormalObjectId)
		return true;
	if (likely(is_good_for(relation, role)) || goes_free())
		return true;
	/* Without a tenant only a view that frees somebody who is bound. */
	if (!has_context && check_enable_rls(relation, GetUserId(), true) != RLS_ENABLED)
		return true;
	if (complain)
		refuse_to_read(relation, role, by_view);
	return false;
}

/* Statistics of an index on an expression are the owner's to read, and hold what its functions made of every row. */
static bool
tells_others_values(Oid relation)
{
	return relation == StatisticRelationId && !goes_free() && !has_bypassrls_privilege(GetUserId());
}

[[noreturn]] static void
refuse_statistics()
{
	stat_denied(setting_tenant());
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("cannot read statistics of values in a session that has a tenant"),
					errdetail("They are of the rows of all tenants."),
					errhint("Connect as a role that is bound to no tenant, and leave the tenant unset.")));
}

static bool
check_permissions(List *range_table TENANCY_PERMISSIONS_PARAMETER, bool complain)
{
	bool has_context = context_is_set();
	ListCell *cell;

	if (previous_check_permissions && !previous_check_permissions(range_table TENANCY_PERMISSIONS, complain))
		return false;
	if (IsParallelWorker())
		return true;

	foreach (cell, TENANCY_PERMISSION_LIST(range_table))
	{
		auto *entry = static_cast<TenancyPermission *>(lfirst(cell));

		if (has_context && TENANCY_IS_RELATION(entry) && unlikely(tells_others_values(entry->relid)))
		{
			if (!complain)
				return false;
			refuse_statistics();
		}
		if (TENANCY_IS_RELATION(entry) &&
			!may_read(entry->relid, entry->requiredPerms, entry->checkAsUser, has_context, complain))
			return false;
	}
	return true;
}

/*
 * Changing
 */

/* The table whose protection a statement would take away, or invalid. */
static Oid
unprotected_by(Node *statement)
{
	RangeVar *table = nullptr;
	ListCell *cell;

	if (IsA(statement, AlterPolicyStmt))
		table = reinterpret_cast<AlterPolicyStmt *>(statement)->table;
	else if (IsA(statement, RenameStmt) && reinterpret_cast<RenameStmt *>(statement)->renameType == OBJECT_POLICY)
		table = reinterpret_cast<RenameStmt *>(statement)->relation;
	else if (IsA(statement, DropStmt) && reinterpret_cast<DropStmt *>(statement)->removeType == OBJECT_POLICY)
	{
		/* One policy a statement: its table's name, and then its own. */
		List *name = linitial_node(List, reinterpret_cast<DropStmt *>(statement)->objects);
		table = makeRangeVarFromNameList(list_truncate(list_copy(name), list_length(name) - 1));
	}
	else if (IsA(statement, AlterTableStmt))
		foreach (cell, reinterpret_cast<AlterTableStmt *>(statement)->cmds)
		{
			AlterTableType type = lfirst_node(AlterTableCmd, cell)->subtype;

			if (type == AT_DisableRowSecurity || type == AT_NoForceRowSecurity)
				table = reinterpret_cast<AlterTableStmt *>(statement)->relation;
		}
	return table ? RangeVarGetRelid(table, NoLock, true) : InvalidOid;
}

/* The session has a tenant, and its role is not above all this. */
static bool
has_bound_tenant()
{
	return (context_is_set() || role_is_bound()) && !superuser_arg(GetOuterUserId());
}

static void
check_change(Node *statement)
{
	Oid relation = unprotected_by(statement);

	if (OidIsValid(relation) && is_beyond_script(relation))
		refuse_to_script(relation);
	if (!OidIsValid(relation) || !has_bound_tenant() || !is_isolated(relation))
		return;
	stat_denied(setting_tenant());
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("cannot change what protects table \"%s\" in a session that has a tenant", get_rel_name(relation)),
					errhint("Connect as a role that is bound to no tenant, and leave the tenant unset.")));
}

/* It is isolated, and holds the rows of others than the tenant in force. */
static bool
is_shared(Oid relation)
{
	const char *column, *tenant, *own;

	if (!is_isolated(relation))
		return false;
	if (!protection_of(relation, &column, &tenant) || !tenant)
		return true;
	own = current_tenant();
	return !own || strcmp(own, tenant) != 0;
}

[[noreturn]] static void
refuse_to_change(Oid table)
{
	stat_denied(setting_tenant());
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg("cannot change table \"%s\" in a session that has a tenant", get_rel_name(table)),
		 errdetail("It holds rows of other tenants, which the owner's statements reach past the "
				   "policies."),
		 errhint("Connect as a role that is bound to no tenant, and leave the tenant unset.")));
}

static void
check_table(Oid table)
{
	if (OidIsValid(table) && is_shared(table))
		refuse_to_change(table);
}

static void
check_schema(Oid schema)
{
	ListCell *cell;

	if (!OidIsValid(schema))
		return;
	foreach (cell, relations_of_schema(schema))
		check_table(lfirst_oid(cell));
}

/* It has a tenant, and neither its role nor what runs is above all this: a tenant's session may make another tenant. */
static bool
may_not_change()
{
	Oid user;
	int security;

	if (likely(!has_bound_tenant()))
		return false;
	GetUserIdAndSecContext(&user, &security);
	return !(security & TENANCY_SECURITY_OWN) && !script_runs() && !protection_runs() && !goes_free() &&
		   !has_bypassrls_privilege(user);
}

/* What a table consists of, what refers to it, and the code that its checks and indexes call. */
static void
object_access(ObjectAccessType access, Oid class_oid, Oid object, int sub_object, void *arguments)
{
	if (previous_object_access)
		previous_object_access(access, class_oid, object, sub_object, arguments);
	if (!changes_object(access, arguments) || !may_not_change())
		return;

	check_table(table_of_object(access, class_oid, object, arguments));
	if (class_oid == ConstraintRelationId && access == OAT_POST_CREATE)
	{
		check_table(table_referred_to(object));
		check_table(table_of_domain_check(object, is_shared));
	}
	else if (class_oid == ProcedureRelationId || class_oid == TypeRelationId)
		check_table(table_that_uses(class_oid, object, is_shared));
	else if (class_oid == NamespaceRelationId && access == OAT_POST_ALTER)
		check_schema(object);
}

/* No hook tells of these. */
static void
check_grant(const GrantStmt *grant)
{
	ListCell *cell;

	foreach (cell, grant->objects)
	{
		Node *object = static_cast<Node *>(lfirst(cell));

		if (IsA(object, RangeVar))
		{
			Oid relation = RangeVarGetRelid(castNode(RangeVar, object), NoLock, true);

			if (OidIsValid(relation))
				check_table(table_of_object(OAT_POST_ALTER, RelationRelationId, relation, nullptr));
		}
		else if (grant->objtype == OBJECT_SCHEMA || grant->targtype == ACL_TARGET_ALL_IN_SCHEMA)
			check_schema(get_namespace_oid(strVal(object), true));
	}
}

/* One of these roles is the one that has logged in. */
static bool
names_login(List *roles)
{
	ListCell *cell;

	foreach (cell, roles)
		if (get_rolespec_oid(lfirst_node(RoleSpec, cell), true) == GetSessionUserId())
			return true;
	return false;
}

static bool
grants_login(const GrantRoleStmt *grant)
{
	ListCell *cell;

	foreach (cell, grant->granted_roles)
	{
		const char *name = lfirst_node(AccessPriv, cell)->priv_name;

		if (name && get_role_oid(name, true) == GetSessionUserId())
			return true;
	}
	return false;
}

static bool
changes_login(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_AlterRoleStmt:
			return names_login(list_make1(castNode(AlterRoleStmt, statement)->role));
		case T_AlterRoleSetStmt:
			return castNode(AlterRoleSetStmt, statement)->role &&
				   names_login(list_make1(castNode(AlterRoleSetStmt, statement)->role));
		case T_DropOwnedStmt:
			return names_login(castNode(DropOwnedStmt, statement)->roles);
		case T_ReassignOwnedStmt:
			return names_login(castNode(ReassignOwnedStmt, statement)->roles);
		case T_GrantRoleStmt:
			return grants_login(castNode(GrantRoleStmt, statement));
		default:
			return false;
	}
}

/* A role may change its own password, settings and privileges; those of a login that serves all tenants are not one tenant's. */
static void
check_login()
{
	if (role_is_bound())
		return;
	stat_denied(setting_tenant());
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("cannot change role \"%s\" in a session that has a tenant",
						   GetUserNameFromId(GetSessionUserId(), true)),
					errdetail("The sessions of other tenants start with it."),
					errhint("Leave the tenant unset, or connect as another role.")));
}

static void
process_utility(PlannedStmt *statement, const char *query, bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *environment, DestReceiver *receiver,
				QueryCompletion *completion)
{
	Node *command = statement->utilityStmt;

	/* Whether there is a tenant is not asked by others: a token may only be set until somebody asks. */
	if (IsTransactionState() && (IsA(command, AlterTableStmt) || IsA(command, DropStmt) || IsA(command, AlterPolicyStmt) ||
								 IsA(command, RenameStmt)))
		check_change(command);
	else if (IsA(command, GrantStmt) && may_not_change())
		check_grant(castNode(GrantStmt, command));
	else if (changes_login(command) && may_not_change())
		check_login();
	(previous_process_utility ? previous_process_utility : standard_ProcessUtility)(
		statement, query, read_only_tree, context, params, environment, receiver, completion);
}

void
policy_guard_init()
{
	/* For whoever answers for a view, a function or a role that reads every tenant's rows for one of them. */
	DefineCustomBoolVariable("tenancy.allow_bypass",
							 "Lets statements of a tenant's session read past policies by lent rights.", nullptr,
							 &allow_bypass, false, PGC_SUSET, 0, nullptr, nullptr, nullptr);

	CacheRegisterRelcacheCallback(forget_table, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, forget_roles, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget_roles, (Datum) 0);
	previous_check_permissions = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = check_permissions;
	previous_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	previous_object_access = object_access_hook;
	object_access_hook = object_access;
}

} // namespace tenancy
