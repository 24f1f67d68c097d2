/*
 * script_guard.cpp — what a system's script cannot reach: what other tenants have, and the session that runs it.
 *
 * A script runs as tenancy_owner, who owns the tables of every tenant, and with its tenant in force: policies show it that
 * one's rows.  An owner may do more than read, though.  So while the script of one tenant runs, it makes, changes and drops
 * nothing in another tenant's schema, grants and revokes nothing there, and neither changes nor truncates tables that are
 * protected by a column, nor their policies, triggers, rules, indexes and constraints.  Nor does it say what tables of later
 * tenants are made with.  A tenant's name mistyped in a script is an error.
 *
 * A session goes on when the script is over, often as a superuser.  Deferred triggers that the script has made and queued
 * would run as that superuser when the transaction commits, so they run before the script ends, and cannot put themselves off
 * again; a cursor WITH HOLD would run its functions then, so there is none.  Statements that are prepared under the name of
 * one of a driver's would run in its place, and temporary objects come first in the search path: neither may be left.
 *
 * There is one script at a time: one that installs another would have the rights of both.
 *
 * What a script leaves can act for it later.  A SECURITY DEFINER function runs as the scripts' role, whoever calls it, and so
 * owns what all tenants have.  It is bound as a script is, to the tenant that is in force then, or to none; and since no
 * script reads for it, it uses nothing of another tenant's that has no policies.  Superusers and members of that role go free.
 */
#include "tenant_context.h"

namespace tenancy
{

static struct
{
	char tenant[TENANT_ID_MAX + 1];
	Oid schema;
	int nest_level; /* of the transaction in which it began; 0 if no script runs */
	bool is_ending;
} scope;

static object_access_hook_type previous_object_access;
static ExecutorCheckPerms_hook_type previous_check_permissions;
static ProcessUtility_hook_type previous_process_utility;

void
refuse_nested_script()
{
	if (scope.nest_level > 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("a system's script cannot run another one"),
						errdetail("The script for tenant \"%s\" has not ended.", scope.tenant),
						errhint("Let the system depend on the other one: the dependencies argument of tenancy.register_version().")));
}

void
guard_script(const char *tenant, Oid schema)
{
	strlcpy(scope.tenant, tenant, sizeof(scope.tenant));
	scope.schema = schema;
	scope.is_ending = false;
	scope.nest_level = GetCurrentTransactionNestLevel();
}

/* The first of these that the script's role owns. */
static Oid
find_own(List *objects, int cache, AttrNumber owner_attribute)
{
	ListCell *cell;

	foreach (cell, objects)
	{
		HeapTuple row = SearchSysCache1(cache, ObjectIdGetDatum(lfirst_oid(cell)));
		bool null;

		if (!HeapTupleIsValid(row))
			continue;
		Oid owner = DatumGetObjectId(SysCacheGetAttr(cache, row, owner_attribute, &null));
		ReleaseSysCache(row);
		if (owner == GetUserId())
			return lfirst_oid(cell);
	}
	return InvalidOid;
}

/* What the script's role has in the session's temporary schema, a relation or a function; null if nothing. */
static const char *
temporary_object()
{
	Oid schema, toast_schema;

	GetTempNamespaceState(&schema, &toast_schema);
	if (!OidIsValid(schema))
		return nullptr;
	Oid relation = find_own(objects_of_schema(schema, RelationRelationId), RELOID, Anum_pg_class_relowner);
	if (OidIsValid(relation))
		return get_rel_name(relation);
	Oid function = find_own(objects_of_schema(schema, ProcedureRelationId), PROCOID, Anum_pg_proc_proowner);
	return OidIsValid(function) ? get_func_name(function) : nullptr;
}

/* Still as the script's role. */
void
release_script()
{
	scope.is_ending = true;
	run("SET CONSTRAINTS ALL IMMEDIATE");
	const char *left = temporary_object();
	if (left)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a system's script cannot leave temporary objects"),
						errdetail("It has left \"%s\", which comes first in the search path of the session.", left),
						errhint("CREATE TEMPORARY TABLE … ON COMMIT DROP is left too: DROP it at the end of the script.")));
	scope = {};
}

/* A function lends the rights of the scripts' role; no code of ours has taken them, nor a check of a foreign key. */
static bool
rights_are_lent()
{
	constexpr int lent = SECURITY_LOCAL_USERID_CHANGE;
	Oid user;
	int security;

	GetUserIdAndSecContext(&user, &security);
	if (likely((security & (lent | SECURITY_NOFORCE_RLS | TENANCY_SECURITY_OWN)) != lent))
		return false;
	return user == get_role_oid("tenancy_owner", true) &&
		   !is_member_of_role(GetOuterUserId(), user);
}

static bool
is_bounded()
{
	return unlikely(script_runs() || rights_are_lent());
}

/* Whose script runs, or who calls the function of one: "" if there is no tenant. */
static const char *
bounded_tenant()
{
	const char *tenant = script_runs() ? scope.tenant : current_tenant();

	return tenant ? tenant : "";
}

/* Another tenant's, or one that all tenants share. */
bool
is_beyond_script(Oid relation)
{
	const char *column, *tenant;

	return is_bounded() && has_isolation_policy(relation) &&
		   protection_of(relation, &column, &tenant) &&
		   (!tenant || strcmp(tenant, bounded_tenant()) != 0);
}

[[noreturn]] static void
refuse(const char *kind, const char *name)
{
	const char *tenant = bounded_tenant();
	bool is_script = script_runs();

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 is_script
				 ? errmsg("script for tenant \"%s\" cannot change %s \"%s\"", tenant, kind, name)
				 : errmsg("function of a system's script cannot use %s \"%s\"", kind, name),
			 *tenant ? errdetail("The %s is not tenant \"%s\"'s.", kind, tenant)
					 : errdetail("No tenant is in force."),
			 is_script ? errhint("Name the objects of the script without a schema, or by @schema@.")
					   : 0));
}

void
refuse_to_script(Oid relation)
{
	refuse("table", get_rel_name(relation));
}

/* A schema of tenants' that is not one of the script's tenant. */
static bool
is_foreign_schema(Oid schema)
{
	if (!OidIsValid(schema) || (script_runs() && schema == scope.schema) ||
		isAnyTempNamespace(schema) ||
		!SearchSysCacheExists1(NAMESPACEOID, ObjectIdGetDatum(schema)) ||
		!tenancy_object_ownercheck(NamespaceRelationId, schema, tenancy_owner()))
		return false;

	const char *name = get_namespace_name(schema);
	const char *type = name ? strrchr(name, '_') : nullptr;
	NameData own = {};

	if (type && system_type_is_good(type + 1) && !tenant_id_problem(bounded_tenant()))
		tenant_schema_name(bounded_tenant(), type + 1, &own);
	return !name || strcmp(name, NameStr(own)) != 0;
}

/* By its name: the scripts' role may own others too, which tenants share. */
static bool
is_tenants_schema(Oid schema)
{
	const char *name = get_namespace_name(schema);

	return name && strncmp(name, "tenant_", strlen("tenant_")) == 0;
}

static void
check_schema(Oid schema)
{
	if (is_foreign_schema(schema))
		refuse("schema", get_namespace_name(schema));
}

/* A key that refers to another tenant's table keeps its rows from being deleted. */
static void
check_referenced_table(Oid constraint)
{
	const char *column, *tenant;
	Oid table = table_referred_to(constraint);

	if (OidIsValid(table) && is_beyond_script(table) && protection_of(table, &column, &tenant) && tenant)
		refuse_to_script(table);
}

bool
script_runs()
{
	return scope.nest_level > 0;
}

static void
object_access(ObjectAccessType access, Oid class_oid, Oid object, int sub_object, void *arguments)
{
	if (previous_object_access)
		previous_object_access(access, class_oid, object, sub_object, arguments);
	if (access == OAT_FUNCTION_EXECUTE &&
		unlikely(object == F_SETVAL_REGCLASS_INT8 || object == F_SETVAL_REGCLASS_INT8_BOOL) &&
		rights_are_lent() && !script_runs())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("function of a system's script cannot use function \"setval\""),
						errdetail("The sequence may be another tenant's."),
						errhint("ALTER SEQUENCE … RESTART WITH …;")));
	if (!changes_object(access, arguments) || !is_bounded())
		return;

	Oid table = table_of_object(access, class_oid, object, arguments);
	if (OidIsValid(table) && is_beyond_script(table))
		refuse_to_script(table);
	if (class_oid == ConstraintRelationId && access == OAT_POST_CREATE)
		check_referenced_table(object);
	check_schema(OidIsValid(table) ? schema_of_object(RelationRelationId, table) : schema_of_object(class_oid, object));
}

/* What has policies is bound by them; a view or a sequence of another tenant's is not. */
static bool
check_permissions(List *range_table TENANCY_PERMISSIONS_PARAMETER, bool complain)
{
	ListCell *cell;

	if (previous_check_permissions &&
		!previous_check_permissions(range_table TENANCY_PERMISSIONS, complain))
		return false;
	if (likely(!rights_are_lent()) || script_runs() || IsParallelWorker())
		return true;

	foreach (cell, TENANCY_PERMISSION_LIST(range_table))
	{
		auto *entry = static_cast<TenancyPermission *>(lfirst(cell));

		if (!TENANCY_IS_RELATION(entry) || entry->requiredPerms == 0 || entry->relid < FirstNormalObjectId)
			continue;

		Oid schema = get_rel_namespace(entry->relid);
		if (!is_tenants_schema(schema) || !is_foreign_schema(schema) || has_isolation_policy(entry->relid))
			continue;
		if (!complain)
			return false;
		check_schema(schema);
	}
	return true;
}

/*
 * Statements
 */

[[noreturn]] static void
refuse_statement(const char *what, const char *why)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("a system's script cannot use %s", what), errdetail_internal("%s", why)));
}

static void
check_relation(const RangeVar *name)
{
	Oid relation = RangeVarGetRelid(name, NoLock, true);

	if (OidIsValid(relation))
		check_schema(get_rel_namespace(relation));
}

/* The rows of a child are also its parent's. */
static void
check_children(const AlterTableStmt *statement)
{
	ListCell *cell;

	foreach (cell, statement->cmds)
	{
		auto *command = lfirst_node(AlterTableCmd, cell);

		if (command->subtype == AT_AddInherit)
			check_relation(castNode(RangeVar, command->def));
		else if (command->subtype == AT_AttachPartition)
			check_relation(statement->relation);
	}
}

static void
check_grant(const GrantStmt *grant)
{
	ListCell *cell;

	foreach (cell, grant->objects)
	{
		Node *object = static_cast<Node *>(lfirst(cell));

		if (IsA(object, RangeVar))
			check_relation(castNode(RangeVar, object));
		else if (grant->objtype == OBJECT_SCHEMA || grant->targtype == ACL_TARGET_ALL_IN_SCHEMA)
			check_schema(get_namespace_oid(strVal(object), true));
	}
}

/* For the tables of one schema a script may say what it likes. */
static void
check_default_privileges(const AlterDefaultPrivilegesStmt *statement)
{
	bool has_schemas = false;
	ListCell *option, *cell;

	foreach (option, statement->options)
	{
		auto *element = lfirst_node(DefElem, option);

		if (strcmp(element->defname, "schemas") != 0)
			continue;
		has_schemas = true;
		foreach (cell, castNode(List, element->arg))
			check_schema(get_namespace_oid(strVal(lfirst(cell)), true));
	}
	if (!has_schemas)
		refuse_statement("ALTER DEFAULT PRIVILEGES without IN SCHEMA", "The tables of other tenants would be made with them.");
}

static void
check_session(Node *statement)
{
	const char *in_session = "It would be left in the session that runs the script.";

	switch (nodeTag(statement))
	{
		case T_PrepareStmt:
			refuse_statement("PREPARE", in_session);
		case T_DeallocateStmt:
			refuse_statement("DEALLOCATE", "What is prepared is the session's.");
		case T_DiscardStmt:
			refuse_statement("DISCARD", "What would be discarded is the session's.");
		case T_ListenStmt:
			refuse_statement("LISTEN", in_session);
		case T_UnlistenStmt:
			refuse_statement("UNLISTEN", "What is listened to is the session's.");
		case T_DeclareCursorStmt:
			if (castNode(DeclareCursorStmt, statement)->options & CURSOR_OPT_HOLD)
				refuse_statement("a cursor WITH HOLD", in_session);
			break;
		case T_ConstraintsSetStmt:
			if (scope.is_ending && castNode(ConstraintsSetStmt, statement)->deferred)
				refuse_statement("SET CONSTRAINTS … DEFERRED in a trigger", "It would run when the script has ended.");
			break;
		default:
			break;
	}
}

static void
check_statement(Node *statement)
{
	ListCell *cell;

	switch (nodeTag(statement))
	{
		case T_CreateStmt:
			foreach (cell, castNode(CreateStmt, statement)->inhRelations)
				check_relation(lfirst_node(RangeVar, cell));
			break;
		case T_AlterTableStmt:
			check_children(castNode(AlterTableStmt, statement));
			break;
		case T_GrantStmt:
			check_grant(castNode(GrantStmt, statement));
			break;
		case T_AlterDefaultPrivilegesStmt:
			check_default_privileges(castNode(AlterDefaultPrivilegesStmt, statement));
			break;
		default:
			if (script_runs())
				check_session(statement);
	}
}

static void
process_utility(PlannedStmt *statement, const char *query, bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *environment, DestReceiver *receiver,
				QueryCompletion *completion)
{
	if (is_bounded())
		check_statement(statement->utilityStmt);
	(previous_process_utility ? previous_process_utility : standard_ProcessUtility)(
		statement, query, read_only_tree, context, params, environment, receiver, completion);
}

/* An error has ended the script. */
static void
transaction_event(XactEvent event, void *)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		scope = {};
}

static void
subtransaction_event(SubXactEvent event, SubTransactionId, SubTransactionId, void *)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && GetCurrentTransactionNestLevel() <= scope.nest_level)
		scope = {};
}

void
script_guard_init()
{
	previous_object_access = object_access_hook;
	object_access_hook = object_access;
	previous_check_permissions = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = check_permissions;
	previous_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	RegisterXactCallback(transaction_event, nullptr);
	RegisterSubXactCallback(subtransaction_event, nullptr);
}

} // namespace tenancy
