/*
 * data_loss.cpp — what a script takes away: seen while it runs, and told as what held rows before.
 *
 * A way back drops what the way there made, and with it what tenants have written since.  What a script will take cannot
 * be read from its text: a DO block, a function, a renamed table or a cascade hide it.  So the script runs in a
 * subtransaction, with the server's own hooks watching:
 *
 *   DROP, of a table or a column, by whichever command    object_access_hook
 *   TRUNCATE                                              object_access_hook
 *   DELETE, UPDATE, MERGE, ON CONFLICT DO UPDATE          ExecutorStart_hook, by the plan
 *   ALTER COLUMN … TYPE that narrows                      types before and after
 *
 * A script that takes nothing has then run, and it stays.  After any other the subtransaction is rolled back, and what
 * was taken is looked at as it was: an empty table, or a column without a value, is no loss.
 */
#include "tenancy.h"

namespace tenancy
{

struct Loss
{
	Oid table;
	AttrNumber column; /* 0: rows */
	bool by_command;   /* DROP or TRUNCATE, not by a query */
};

/* What is watched now.  The list lives longer than the subtransaction. */
struct Watch
{
	MemoryContext memory;
	List *losses; /* of Loss */
};
static Watch *watch;

static object_access_hook_type previous_object_access;
static ExecutorStart_hook_type previous_executor_start;

static void
note_loss(Oid table, AttrNumber column, bool by_command)
{
	ListCell *cell;

	foreach (cell, watch->losses)
	{
		auto *known = static_cast<Loss *>(lfirst(cell));
		if (known->table == table && (known->column == column || known->column == 0))
			return;
	}
	MemoryContext caller = MemoryContextSwitchTo(watch->memory);
	auto *loss = static_cast<Loss *>(palloc(sizeof(Loss)));
	*loss = {table, column, by_command};
	watch->losses = lappend(watch->losses, loss);
	MemoryContextSwitchTo(caller);
}

static void
object_access(ObjectAccessType access, Oid class_oid, Oid object, int column, void *argument)
{
	if (previous_object_access)
		previous_object_access(access, class_oid, object, column, argument);
	if (!watch || class_oid != RelationRelationId)
		return;
	if (access == OAT_DROP)
	{
		auto *drop = static_cast<ObjectAccessDrop *>(argument);
		if (!drop || !(drop->dropflags & PERFORM_DELETION_INTERNAL))
			note_loss(object, column, true);
	}
	else if (access == OAT_TRUNCATE)
		note_loss(object, 0, true);
}

static void
note_columns(Oid table, List *columns)
{
	ListCell *cell;

	foreach (cell, columns)
		note_loss(table, lfirst_int(cell), false);
}

/* What a plan takes from its targets. */
static void
note_modification(const PlannedStmt *statement, const ModifyTable *modification)
{
	ListCell *cell;

	foreach (cell, modification->resultRelations)
	{
		Oid table = rt_fetch(lfirst_int(cell), statement->rtable)->relid;

		if (modification->operation == CMD_DELETE || modification->operation == CMD_MERGE)
			note_loss(table, 0, false);
		else if (modification->operation == CMD_UPDATE)
			note_columns(table, static_cast<List *>(list_nth(modification->updateColnosLists,
															 foreach_current_index(cell))));
		else if (modification->onConflictAction == ONCONFLICT_UPDATE)
			note_columns(table, modification->onConflictCols);
	}
}

/* A ModifyTable stands at the top of a plan: of the statement's, or of a WITH query's. */
static void
executor_start(QueryDesc *query, int flags)
{
	if (watch && !(flags & EXEC_FLAG_EXPLAIN_ONLY))
	{
		PlannedStmt *statement = query->plannedstmt;
		ListCell *cell;

		if (statement->planTree && IsA(statement->planTree, ModifyTable))
			note_modification(statement, (ModifyTable *) statement->planTree);
		foreach (cell, statement->subplans)
			if (lfirst(cell) && IsA(lfirst(cell), ModifyTable))
				note_modification(statement, static_cast<ModifyTable *>(lfirst(cell)));
	}
	(previous_executor_start ? previous_executor_start : standard_ExecutorStart)(query, flags);
}

void
data_loss_init()
{
	previous_object_access = object_access_hook;
	object_access_hook = object_access;
	previous_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
}

/*
 * Types
 */

struct ColumnType
{
	Oid table;
	AttrNumber column;
	Oid type;
	int32 modifier;
};

static List *
column_types(List *relations)
{
	List *types = NIL;
	ListCell *cell;

	foreach (cell, relations)
	{
		char kind = get_rel_relkind(lfirst_oid(cell));

		if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
			continue;
		Relation table = relation_open(lfirst_oid(cell), AccessShareLock);
		for (int i = 0; i < RelationGetNumberOfAttributes(table); i++)
		{
			Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), i);
			auto *type = static_cast<ColumnType *>(palloc(sizeof(ColumnType)));

			*type = {RelationGetRelid(table), attribute->attnum, attribute->atttypid,
					 attribute->atttypmod};
			if (!attribute->attisdropped)
				types = lappend(types, type);
		}
		relation_close(table, AccessShareLock);
	}
	return types;
}

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

static bool
is_text(Oid type)
{
	return type == TEXTOID || type == VARCHAROID;
}

/* What the server converts by itself keeps the value; integers and texts that do not fit are refused by it. */
static bool
keeps_value(Oid from, int32 from_modifier, Oid to, int32 to_modifier)
{
	if ((is_integer(from) && is_integer(to)) || (is_text(from) && is_text(to)))
		return true;
	return (to_modifier == -1 || to_modifier == from_modifier) &&
		   can_coerce_type(1, &from, &to, COERCION_IMPLICIT);
}

static void
note_narrowed_columns(List *types)
{
	ListCell *cell;

	foreach (cell, types)
	{
		auto *before = static_cast<ColumnType *>(lfirst(cell));
		Oid type, collation;
		int32 modifier;

		if (!get_attname(before->table, before->column, true))
			continue; /* it was dropped, which has been noted */
		get_atttypetypmodcoll(before->table, before->column, &type, &modifier, &collation);
		if (!keeps_value(before->type, before->modifier, type, modifier))
			note_loss(before->table, before->column, true);
	}
}

/*
 * Before it was taken
 */

static bool
holds_data(const Loss &loss)
{
	const char *table = quote_qualified_identifier(get_namespace_name(get_rel_namespace(loss.table)),
												   get_rel_name(loss.table));
	const char *condition =
		loss.column == 0 ? ""
						 : psprintf(" WHERE %s IS NOT NULL",
									quote_identifier(get_attname(loss.table, loss.column, false)));
	int result =
		SPI_execute(psprintf("SELECT FROM %s%s LIMIT 1", table, condition), false, 1);

	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not read \"%s\": %s", table, SPI_result_code_string(result));
	return SPI_processed > 0;
}

/*
 * It was there before the script, it is a table, and it holds something.  Of tables outside of the schema only those
 * count that the script does away with: triggers, our own among them, write elsewhere.
 */
static bool
is_loss(const Loss &loss, Oid schema)
{
	char kind = get_rel_relkind(loss.table);

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		return false;
	if (loss.column < 0 || (loss.column > 0 && !get_attname(loss.table, loss.column, true)))
		return false;
	return get_rel_namespace(loss.table) == schema ? holds_data(loss) : loss.by_command;
}

static Datum
losses_as_jsonb(List *losses, Oid schema)
{
	StringInfoData json;
	const char *separator = "";
	ListCell *cell;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	foreach (cell, losses)
	{
		const Loss &loss = *static_cast<Loss *>(lfirst(cell));

		if (!is_loss(loss, schema))
			continue;
		appendStringInfo(&json, "%s{\"schema\": ", separator);
		escape_json(&json, get_namespace_name(get_rel_namespace(loss.table)));
		appendStringInfoString(&json, ", \"table\": ");
		escape_json(&json, get_rel_name(loss.table));
		if (loss.column > 0)
		{
			appendStringInfoString(&json, ", \"column\": ");
			escape_json(&json, get_attname(loss.table, loss.column, false));
		}
		appendStringInfoChar(&json, '}');
		separator = ", ";
	}
	appendStringInfoChar(&json, ']');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* Back out of the subtransaction into the caller's state. */
static void
leave_subtransaction(bool keep, MemoryContext memory, ResourceOwner owner)
{
	watch = nullptr;
	if (keep)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(memory);
	CurrentResourceOwner = owner;
}

/*
 * Runs a script in a subtransaction, which stays if the script took nothing away.  The server leaves an internal
 * subtransaction open when an error passes it by, hence the catch.
 */
static bool
run_watched(SystemScript *script, Watch *watched, List *types)
{
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext memory = watched->memory;

	BeginInternalSubTransaction(nullptr);
	MemoryContextSwitchTo(memory);
	PG_TRY();
	{
		watch = watched;
		run_system_script(script);
		note_narrowed_columns(types);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(memory);
		ErrorData *error = CopyErrorData();

		FlushErrorState();
		leave_subtransaction(false, memory, owner);
		ReThrowError(error);
	}
	PG_END_TRY();
	leave_subtransaction(watched->losses == NIL, memory, owner);
	return watched->losses == NIL;
}

static int
compare_tables(const ListCell *a, const ListCell *b)
{
	Oid left = static_cast<const Loss *>(lfirst(a))->table;
	Oid right = static_cast<const Loss *>(lfirst(b))->table;

	return left < right ? -1 : left > right ? 1 : 0;
}

/*
 * The script is taken back, and its locks with it.  What is looked at, and perhaps archived, is what the second run takes:
 * nobody writes in between.
 */
static void
lock_losing_tables(List *losses)
{
	ListCell *cell;

	list_sort(losses, compare_tables);
	foreach (cell, losses)
		LockRelationOid(static_cast<const Loss *>(lfirst(cell))->table, AccessExclusiveLock);
}

/*
 * Runs a script that takes nothing away, and returns true.  A script that does leaves no trace but what it would take.
 * The caller has connected to SPI.
 */
static bool
run_harmless_script(const TenantSchema &schema, const char *text, Datum *losses)
{
	SystemScript script = {text, schema.name, schema.tenant, false, 0};
	List *known = relations_of_schema(schema.oid);
	Watch watched = {CurrentMemoryContext, NIL};
	bool harmless = run_watched(&script, &watched, column_types(known));

	if (harmless)
		protect_and_grant(schema, known);
	else
	{
		lock_losing_tables(watched.losses);
		*losses = losses_as_jsonb(watched.losses, schema.oid);
	}
	return harmless;
}

} // namespace tenancy

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_run_harmless_script);

PGDLLEXPORT Datum
tenancy_run_harmless_script(PG_FUNCTION_ARGS)
{
	const char *name = NameStr(*PG_GETARG_NAME(2));
	tenancy::TenantSchema schema = {text_to_cstring(PG_GETARG_TEXT_PP(0)),
									NameStr(*PG_GETARG_NAME(1)), name,
									get_namespace_oid(name, false)};
	ErrorContextCallback callback = {error_context_stack, tenancy::migration_error,
									 text_to_cstring(PG_GETARG_TEXT_PP(4))};
	MemoryContext caller = CurrentMemoryContext;
	Datum losses;

	SPI_connect();
	error_context_stack = &callback;
	bool harmless =
		tenancy::run_harmless_script(schema, text_to_cstring(PG_GETARG_TEXT_PP(3)), &losses);
	error_context_stack = callback.previous;
	if (!harmless)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);
		losses = datumCopy(losses, false, -1);
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	if (harmless)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(losses);
}
}
