/*
 * side_channel.cpp — statements that tell or touch more than the rows which policies let through.
 *
 *   LOCK TABLE   whoever may write a table may lock it, and keeps every tenant out.  A role that policies bind locks rows
 *   currtid2()   asks for the privilege to read a table and not for its policies: it tells which rows others have changed
 *   signals      a login may cancel and end its own sessions, and those are all tenants' if it serves them all
 *   statements   a connection keeps the text of what was prepared and of held cursors, the last tenant's values in it
 *   EXPLAIN      shows estimates from statistics of all rows, and counts those that a policy has filtered out.  It is
 *                everybody's in PostgreSQL, and developers need it; tenancy.hide_plans closes it, and what prints plans into
 *                the session's own log
 *
 * Roles that policies do not bind are left alone.  docs/threat-model.md lists what is left.
 */
#include "tenant_context.h"

namespace tenancy
{

static bool hide_plans;

static ProcessUtility_hook_type previous_process_utility;
static object_access_hook_type previous_object_access;
static planner_hook_type previous_planner;

/*
 * Locks
 */

/* An owner who has no tenant migrates the table. */
static bool
may_lock_out_others(Oid relation)
{
	if (check_enable_rls(relation, GetUserId(), true) != RLS_ENABLED)
		return get_rel_relkind(relation) != RELKIND_VIEW || !context_is_set() || superuser_arg(GetOuterUserId());
	return !context_is_set() && tenancy_object_ownercheck(RelationRelationId, relation, GetUserId());
}

static void
check_locks(const LockStmt *statement)
{
	ListCell *cell;

	if (statement->mode <= RowExclusiveLock)
		return;
	foreach (cell, statement->relations)
	{
		Oid relation = RangeVarGetRelid(lfirst_node(RangeVar, cell), NoLock, true);

		if (!OidIsValid(relation) || may_lock_out_others(relation))
			continue;
		stat_denied(setting_tenant());
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("cannot lock table \"%s\" against other tenants", get_rel_name(relation)),
						errhint("Lock rows, by SELECT … FOR UPDATE, or take an advisory lock of the tenant's.")));
	}
}

/*
 * Plans
 */

static bool
may_see_plans()
{
	return !hide_plans || has_bypassrls_privilege(GetUserId()) || superuser_arg(GetOuterUserId());
}

[[noreturn]] static void
refuse_plan()
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("plans are hidden"),
					errdetail("A plan tells how many rows other tenants have."),
					errhint("A superuser may show them to a role: ALTER ROLE … SET tenancy.hide_plans = off;")));
}

/*
 * This prints the plan as a message, which client_min_messages = log sends to the client.  A function that planning calls
 * may have switched it on.
 */
static PlannedStmt *
plan(Query *query, const char *text, int options, ParamListInfo params)
{
	PlannedStmt *result =
		(previous_planner ? previous_planner : standard_planner)(query, text, options, params);

	if (unlikely(Debug_print_plan) && !may_see_plans())
		refuse_plan();
	return result;
}

static void
process_utility(PlannedStmt *statement, const char *query, bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *environment, DestReceiver *receiver,
				QueryCompletion *completion)
{
	Node *command = statement->utilityStmt;
	bool discards_all =
		IsA(command, DiscardStmt) && castNode(DiscardStmt, command)->target == DISCARD_ALL;

	if (IsA(command, LockStmt))
		check_locks(reinterpret_cast<LockStmt *>(command));
	else if (IsA(command, ExplainStmt) && !may_see_plans())
		refuse_plan();
	(previous_process_utility ? previous_process_utility : standard_ProcessUtility)(
		statement, query, read_only_tree, context, params, environment, receiver, completion);
	if (discards_all)
		session_was_reset();
}

/*
 * Functions
 */

/* What a function would do or tell that is other tenants'; null if nothing. */
static const char *
harm_of_call(Oid function)
{
	switch (function)
	{
		case F_CURRTID2:
			return context_is_set() ? "It reads rows that policies hide." : nullptr;
		case F_PG_CANCEL_BACKEND:
		case F_PG_TERMINATE_BACKEND:
			return context_is_set() && !role_is_bound()
					   ? "Other sessions of this login serve other tenants."
					   : nullptr;
		case F_PG_PREPARED_STATEMENT:
		case F_PG_CURSOR:
			return session_served_another()
					   ? "The text of statements on this connection is another tenant's too."
					   : nullptr;
		default:
			return nullptr;
	}
}

static void
object_access(ObjectAccessType access, Oid class_oid, Oid object, int sub_object, void *arguments)
{
	if (previous_object_access)
		previous_object_access(access, class_oid, object, sub_object, arguments);
	if (access != OAT_FUNCTION_EXECUTE || likely(object >= FirstNormalObjectId))
		return;

	const char *harm = harm_of_call(object);
	if (unlikely(harm) && !has_bypassrls_privilege(GetUserId()))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for function %s", get_func_name(object)),
						errdetail_internal("%s", harm)));
}

void
side_channel_init()
{
	/* For whoever lets customers run SQL of their own. */
	DefineCustomBoolVariable("tenancy.hide_plans", "Refuses EXPLAIN to roles that policies bind.", nullptr, &hide_plans,
							 false, PGC_SUSET, 0, nullptr, nullptr, nullptr);

	previous_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	previous_object_access = object_access_hook;
	object_access_hook = object_access;
	previous_planner = planner_hook;
	planner_hook = plan;
}

} // namespace tenancy
