/*
 * context_lifetime.cpp — what ends a context that is set, and what must not outlive it.
 *
 *   statements    each looks at the clock if there is a token, and hears of suspensions and revoked keys
 *   cursors       one that is open when the context ceases to be good gives no more rows
 *   held cursors  DECLARE … WITH HOLD copies rows that outlive the transaction.  They are closed when the session's
 *                 context changes; and a transaction that has set its own context may not leave one behind, since whoever
 *                 has the pooled connection next could read it
 *   loops         of a procedure that commits: PostgreSQL keeps the rows that are left.  The context cannot become another
 *                 one before the loop is over
 *   transactions  at the end nothing is settled any more
 */
#include "tenant_context.h"

namespace tenancy
{

static ExecutorStart_hook_type previous_executor_start;
static ExecutorRun_hook_type previous_executor_run;
static ExecutorEnd_hook_type previous_executor_end;
static ProcessUtility_hook_type previous_process_utility;

static List *held_cursors; /* names; some may be closed by now */
static bool close_pending;

/* A loop of PL/pgSQL over the rows of a context; it may be over by now. */
struct Loop
{
	char *portal;
	Identity context;
};
static List *loops;

/* A plan takes locks and so hears of invalidations before it runs, but not of every relation every time. */
static void
statement_begins()
{
	if (likely(!context_is_set()))
		return;
	AcceptInvalidationMessages();
	if (unlikely(settled && token_expired_now()))
		unsettle();
}

/*
 * Held cursors
 */

static void
note_held_cursor(const char *name)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	held_cursors = lappend(held_cursors, pstrdup(name));
	MemoryContextSwitchTo(caller);
}

void
close_held_cursors_later()
{
	close_pending = held_cursors != NIL;
}

/* The cursor, or null; a procedure's loop has one as well, which is its own affair. */
static Portal
held_cursor(const char *name)
{
	Portal portal = GetPortalByName(name);

	if (!PortalIsValid(portal) || !(portal->cursorOptions & CURSOR_OPT_HOLD) || portal->portalPinned ||
		portal->status == PORTAL_ACTIVE)
		return nullptr;
	return portal;
}

static void
close_held_cursors()
{
	ListCell *cell;

	close_pending = false;
	foreach (cell, held_cursors)
	{
		Portal portal = held_cursor(static_cast<const char *>(lfirst(cell)));

		if (portal)
			PortalDrop(portal, false);
	}
	list_free_deep(held_cursors);
	held_cursors = NIL;
}

static void
refuse_to_leave_cursors()
{
	ListCell *cell;

	foreach (cell, held_cursors)
	{
		const char *name = static_cast<const char *>(lfirst(cell));
		Portal portal = held_cursor(name);

		if (!portal || portal->creation_time < GetCurrentTransactionStartTimestamp())
			continue;

		/* It holds its rows already, and would survive the error. */
		PortalDrop(portal, false);
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cursor \"%s\" cannot be held longer than its transaction", name),
				 errdetail("The transaction has set the tenant, and somebody else may have the connection next."),
				 errhint("CLOSE it, or set the tenant for the session in a transaction before.")));
	}
}

/*
 * Loops
 */

static bool
is_loop(Portal portal)
{
	return PortalIsValid(portal) && portal->portalPinned;
}

/* Of rows that policies have chosen: a list of tenants, to serve one after the other, is none. */
static void
note_loop(const char *portal, const PlannedStmt *plan)
{
	const Identity *context = transaction_lock();
	ListCell *cell;

	if (!context || has_bypassrls_privilege(GetUserId()) || !reads_isolated_table(plan))
		return;
	foreach (cell, loops)
		if (strcmp(static_cast<Loop *>(lfirst(cell))->portal, portal) == 0)
			return;

	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	auto *loop = static_cast<Loop *>(palloc(sizeof(Loop)));

	loop->portal = pstrdup(portal);
	loop->context = *context;
	loops = lappend(loops, loop);
	MemoryContextSwitchTo(caller);
}

/* The context whose rows a loop goes on with, if it is another one; null if none does. */
const Identity *
context_of_loop(const Identity &next)
{
	ListCell *cell;

	foreach (cell, loops)
	{
		auto *loop = static_cast<Loop *>(lfirst(cell));
		Portal portal = GetPortalByName(loop->portal);

		if (!is_loop(portal))
		{
			loops = foreach_delete_current(loops, cell);
			pfree(loop->portal);
			pfree(loop);
		}
		else if (portal->autoHeld && loop->context.fingerprint != next.fingerprint)
			return &loop->context;
	}
	return nullptr;
}

/*
 * Hooks
 */

static void
executor_start(QueryDesc *query, int flags)
{
	statement_begins();
	check_plan_starts(query->plannedstmt);
	(previous_executor_start ? previous_executor_start : standard_ExecutorStart)(query, flags);
}

static void
executor_run(QueryDesc *query, ScanDirection direction, uint64 count TENANCY_EXECUTE_ONCE_PARAMETER)
{
	/* A loop goes on by the choice of its function, which may have ended the context itself. */
	if (unlikely(is_loop(ActivePortal)))
		note_loop(ActivePortal->name, query->plannedstmt);
	else if (unlikely(query->already_executed))
	{
		statement_begins();
		if (context_was_lost())
			raise_context_lost();
	}
	if (previous_executor_run)
		previous_executor_run(query, direction, count TENANCY_EXECUTE_ONCE);
	else
		standard_ExecutorRun(query, direction, count TENANCY_EXECUTE_ONCE);
	stat_rows(query->operation, query->estate->es_processed);
}

static void
executor_end(QueryDesc *query)
{
	(previous_executor_end ? previous_executor_end : standard_ExecutorEnd)(query);
	if (unlikely(close_pending) && IsTransactionState())
		close_held_cursors();
}

static void
process_utility(PlannedStmt *statement, const char *query, bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *environment, DestReceiver *receiver,
				QueryCompletion *completion)
{
	Node *command = statement->utilityStmt;

	/* The statement may be gone when it has run: a procedure that commits can drop its own plan. */
	auto *declare = reinterpret_cast<DeclareCursorStmt *>(command);
	const char *held = IsA(command, DeclareCursorStmt) && (declare->options & CURSOR_OPT_HOLD)
						   ? pstrdup(declare->portalname)
						   : nullptr;
	bool fetches = IsA(command, FetchStmt);
	bool copies = IsA(command, CopyStmt) && reinterpret_cast<CopyStmt *>(command)->is_from;

	if (unlikely(close_pending) && IsTransactionState())
		close_held_cursors();
	if (fetches)
	{
		statement_begins();
		if (context_was_lost())
			raise_context_lost();
	}
	(previous_process_utility ? previous_process_utility : standard_ProcessUtility)(
		statement, query, read_only_tree, context, params, environment, receiver, completion);

	if (held)
		note_held_cursor(held);
	if (copies && completion)
		stat_rows(CMD_INSERT, completion->nprocessed);

	/* The server still looks at a cursor that was just fetched from. */
	if (unlikely(close_pending) && IsTransactionState() && !fetches)
		close_held_cursors();
}

/*
 * A system's script sees the rows of the tenant in whose schema it runs, whichever tenant the session has, and whether the
 * tenant is active or not.  It is no switch and locks nothing: the next script may be another tenant's.
 */
const Tenant *script_tenant;
static SubTransactionId script_began;

void
enter_script(const char *tenant)
{
	script_tenant = intern_tenant(tenant);
	script_began = GetCurrentSubTransactionId();
	script_changed();
}

void
leave_script()
{
	script_tenant = nullptr;
	script_changed();
}

/* A subtransaction was rolled back, or with InvalidSubTransactionId the whole: the script may have begun within it. */
static void
script_rolled_back(SubTransactionId subtransaction)
{
	if (script_tenant && script_began >= subtransaction)
		leave_script();
}

static void
transaction_event(XactEvent event, void *)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (unlikely(held_cursors != NIL) && transaction_lock() && context_written_in_transaction())
				refuse_to_leave_cursors();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			script_rolled_back(InvalidSubTransactionId);
			stat_transaction_ends();
			writing_via = ContextVia::setting;
			unsettle();
			break;
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			unsettle();
			break;
		default:
			break;
	}
}

/* What an error has interrupted was settled as nothing. */
static void
subtransaction_event(SubXactEvent event, SubTransactionId subtransaction, SubTransactionId, void *)
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	script_rolled_back(subtransaction);
	writing_via = ContextVia::setting;
	unsettle();
}

void
context_lifetime_init()
{
	previous_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
	previous_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = executor_run;
	previous_executor_end = ExecutorEnd_hook;
	ExecutorEnd_hook = executor_end;
	previous_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	RegisterXactCallback(transaction_event, nullptr);
	RegisterSubXactCallback(subtransaction_event, nullptr);
}

} // namespace tenancy
