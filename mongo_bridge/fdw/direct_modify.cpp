/*
 * direct_modify.cpp — UPDATE and DELETE by one command.
 *
 * Where MongoDB alone decides which documents are meant, and does the same to each of them, the statement is one command with
 * the scan's filter: {update, multi: true} or {delete, limit: 0}.  That takes conditions that are all exact, and values to set
 * that depend on no row; and nothing here that wants to see each row: the server asks only where there are no row triggers,
 * generated columns or check options, and with RETURNING the way is row by row (modify.cpp).
 *
 * The statement must do what it does row by row, errors included.  A value that does not fit its column, in any column of a row
 * that is updated, and a CHECK constraint are found by looking: so the rows are still read, in the same transaction and thus
 * the same snapshot, but nothing is sent for each.  A deletion reads nothing if it has no conditions, or is of one _id.
 * Without transactions there is no snapshot: a document that comes between the two commands is written all the same.
 *
 * A statement does not see what it writes (modify.cpp): a modifying WITH is done row by row.
 */
#include "../bson/document.h"
#include "../client/client.h"
#include "bson_datum.h"
#include "datum_bson.h"
#include "modify.h"

namespace bridge
{

/* The plan's item. */
enum class DirectItem
{
	columns, /* List of the attribute numbers that are set */
	read,	 /* Integer: whether the rows are to be looked at */
	counted	 /* Integer: whether the statement's command tag counts them */
};

/*
 * Planning
 */

/* The scan that alone feeds the modification of one table; null if there is more between them. */
static ForeignScan *
feeding_scan(ModifyTable *plan, Index relation, int subplan)
{
	Plan *outer = outerPlan(plan);

	if (IsA(outer, Append))
	{
		List *children = reinterpret_cast<Append *>(outer)->appendplans;
		if (subplan >= list_length(children))
			return nullptr;
		outer = static_cast<Plan *>(list_nth(children, subplan));
	}
	if (!IsA(outer, ForeignScan))
		return nullptr;

	auto *scan = reinterpret_cast<ForeignScan *>(outer);
	return scan->scan.scanrelid == relation && scan->scan.plan.qual == NIL ? scan : nullptr;
}

/* Whether the values that columns are set to are the same for every row, and a path can be set to them. */
static bool
values_are_common(Oid foreign_table, List *targets, List *columns)
{
	ListCell *cell;
	ListCell *column;

	if (list_length(targets) < list_length(columns))
		return false;
	forboth(cell, targets, column, columns)
	{
		auto *expression = reinterpret_cast<Node *>(lfirst_node(TargetEntry, cell)->expr);
		ColumnOptions options =
			column_options(foreign_table, static_cast<AttrNumber>(lfirst_int(column)));

		if (contain_var_clause(expression) || contain_volatile_functions(expression) ||
			contain_subplans(expression) || !options.is_field())
			return false;
	}
	return true;
}

/*
 * Whether a scan's conditions pass only values that fit this column: those that equal something, where that cannot be an array
 * that holds it, which is so for _id alone.
 */
static bool
is_kept_clean(List *conditions, const FormData_pg_attribute *attribute, const char *path)
{
	ListCell *cell;

	if (strcmp(path, "_id") != 0 || attribute->atttypmod >= 0 ||
		getBaseType(attribute->atttypid) != attribute->atttypid)
		return false;
	foreach (cell, conditions)
	{
		Condition condition = condition_from_list(lfirst_node(List, cell));

		if (strcmp(condition.path, path) == 0 && condition.kind != FieldKind::json_text &&
			(condition.comparison == Comparison::equal ||
			 condition.comparison == Comparison::any_of))
			return true;
	}
	return false;
}

/* Whether the rows may be refused, so that they must be looked at. */
static bool
must_read(ForeignScan *scan, CmdType operation, Oid foreign_table)
{
	auto *conditions =
		list_nth_node(List, scan->fdw_private, static_cast<int>(PlanItem::conditions));
	auto *attributes =
		list_nth_node(List, scan->fdw_private, static_cast<int>(PlanItem::attributes));
	bool must = operation == CMD_UPDATE ||
				!server_has_transactions(GetForeignTable(foreign_table)->serverid);
	ListCell *cell;

	if (must || attributes == NIL)
		return must;

	Relation table = RelationIdGetRelation(foreign_table);
	foreach (cell, attributes)
	{
		auto number = static_cast<AttrNumber>(lfirst_int(cell));
		must = must || number <= 0 ||
			   !is_kept_clean(conditions, TupleDescAttr(RelationGetDescr(table), number - 1),
							  column_options(foreign_table, number).path);
	}
	RelationClose(table);
	return must;
}

bool
plan_direct_modify(PlannerInfo *root, ModifyTable *plan, Index relation, int subplan)
{
	if ((plan->operation != CMD_UPDATE && plan->operation != CMD_DELETE) ||
		plan->returningLists != NIL || list_length(plan->resultRelations) != 1 ||
		root->query_level != 1 || root->parse->hasModifyingCTE)
		return false;

	ForeignScan *scan = feeding_scan(plan, relation, subplan);
	Oid foreign_table = planner_rt_fetch(relation, root)->relid;
	List *columns =
		plan->operation == CMD_UPDATE ? list_nth_node(List, plan->updateColnosLists, subplan) : NIL;
	if (scan == nullptr || !table_options(foreign_table).pushdown ||
		!values_are_common(foreign_table, scan->scan.plan.targetlist, columns))
		return false;

	scan->operation = plan->operation;
	scan->resultRelation = relation;
	scan->fdw_private =
		lappend(scan->fdw_private,
				list_make3(columns, makeInteger(must_read(scan, plan->operation, foreign_table)),
						   makeInteger(plan->canSetTag)));
	return true;
}

static void *
direct_item(ForeignScan *plan, DirectItem item)
{
	auto *items = list_nth_node(List, plan->fdw_private, static_cast<int>(PlanItem::direct));

	return list_nth(items, static_cast<int>(item));
}

/*
 * Execution
 */

void
begin_direct_modify(ForeignScanState *node, int flags)
{
	auto *plan = reinterpret_cast<ForeignScan *>(node->ss.ps.plan);
	EState *estate = node->ss.ps.state;
	ListCell *cell;

	begin_foreign_scan(node, flags);
	if (flags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	Modify *modify = modify_begin(node->resultRelInfo, estate, plan->operation);
	modify->set_columns = static_cast<List *>(direct_item(plan, DirectItem::columns));
	modify->read = intVal(direct_item(plan, DirectItem::read)) != 0;
	modify->counted = intVal(direct_item(plan, DirectItem::counted)) != 0;
	if (plan->operation == CMD_UPDATE)
		modify->columns = bms_copy(ExecGetAllUpdatedCols(node->resultRelInfo, estate));
	for (int i = 0; i < list_length(modify->set_columns); i++)
	{
		cell = list_nth_cell(plan->scan.plan.targetlist, i);
		modify->set =
			lappend(modify->set, ExecInitExpr(lfirst_node(TargetEntry, cell)->expr, &node->ss.ps));
	}
	modify->slot = ExecInitExtraTupleSlot(estate, RelationGetDescr(modify->table), &TTSOpsVirtual);
	node->resultRelInfo->ri_FdwState = modify;
}

/* The new row in the slot, made of the old one and the values that are set. */
static void
fill_new_row(Modify *modify, const Datum *values, const bool *nulls, const Datum *set,
			 const bool *set_nulls)
{
	TupleTableSlot *slot = modify->slot;
	Size width = static_cast<Size>(slot->tts_tupleDescriptor->natts);
	int i = 0;
	ListCell *cell;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, sizeof(Datum) * width);
	memcpy(slot->tts_isnull, nulls, sizeof(bool) * width);
	foreach (cell, modify->set_columns)
	{
		slot->tts_values[lfirst_int(cell) - 1] = set[i];
		slot->tts_isnull[lfirst_int(cell) - 1] = set_nulls[i++];
	}
	ExecStoreVirtualTuple(slot);
}

/*
 * Reads the rows, so that what is wrong with one is an error, and returns what an UPDATE does to all of them.  Null if there
 * are none: then the values are not even computed.
 */
static const bson_t *
check_rows(ForeignScanState *node, Modify *modify, int64 *count)
{
	ExprContext *context = node->ss.ps.ps_ExprContext;
	bool constrained = RelationGetDescr(modify->table)->constr != nullptr;
	Size width = static_cast<Size>(Max(list_length(modify->set), 1));
	auto *set = static_cast<Datum *>(palloc(sizeof(Datum) * width));
	auto *set_nulls = static_cast<bool *>(palloc(sizeof(bool) * width));
	const bson_t *change = nullptr;
	MemoryContext caller = CurrentMemoryContext;
	Datum *values;
	bool *nulls;
	int i = 0;
	ListCell *cell;

	MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
	for (*count = 0; scan_next_row(node, &values, &nulls); ++*count)
	{
		bool first = *count == 0;

		MemoryContextSwitchTo(caller);
		if (first)
			foreach (cell, modify->set)
			{
				set[i] =
					ExecEvalExpr(static_cast<ExprState *>(lfirst(cell)), context, &set_nulls[i]);
				i++;
			}
		if (modify->operation == CMD_UPDATE && (first || constrained))
		{
			fill_new_row(modify, values, nulls, set, set_nulls);
			modify_check_constraints(node->resultRelInfo, modify->slot, modify->estate);
			if (first)
				change = row_writer_update(modify->writer, modify->slot, modify->columns, nullptr,
										   nullptr);
		}
		MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
		ResetExprContext(context);
	}
	MemoryContextSwitchTo(caller);
	return change;
}

/* {q: filter, u: change, multi: true}, or {q: filter, limit: 0}; "change" is null for the latter. */
static void
put_operation(bson_t *out, const bson_t *filter, const bson_t *change)
{
	BSON_APPEND_DOCUMENT(out, "q", filter);
	if (change != nullptr)
	{
		BSON_APPEND_DOCUMENT(out, "u", change);
		BSON_APPEND_BOOL(out, "multi", true);
	}
	else
		BSON_APPEND_INT32(out, "limit", 0);
	put_simple_collation(out);
}

/* Does it, and returns how many documents were met. */
static int64
change_all(ForeignScanState *node, Modify *modify)
{
	bson_t *filter = new_document();
	Items operations = new_items();
	bson_t *operation = new_document();
	const bson_t *change = nullptr;
	bson_iter_t field;
	int64 count;

	if (!scan_start_filtered(node, filter, modify->read))
		return 0;
	if (modify->read)
	{
		change = check_rows(node, modify, &count);
		if (count == 0)
			return 0;
	}
	put_operation(operation, filter, change);
	operations.add(operation);
	const bson_t *reply = modify_send(modify, modify->operation, operations.array);
	return bson_iter_init_find(&field, reply, "n") ? bson_iter_as_int64(&field) : 0;
}

TupleTableSlot *
iterate_direct_modify(ForeignScanState *node)
{
	auto *modify = static_cast<Modify *>(node->resultRelInfo->ri_FdwState);
	MemoryContext caller = MemoryContextSwitchTo(modify->row_context);
	int64 count = change_all(node, modify);

	MemoryContextSwitchTo(caller);
	MemoryContextReset(modify->row_context);
	if (modify->counted)
		modify->estate->es_processed += static_cast<uint64>(count);
	if (node->ss.ps.instrument != nullptr)
		node->ss.ps.instrument->tuplecount += static_cast<double>(count);
	return ExecClearTuple(node->ss.ss_ScanTupleSlot);
}

void
end_direct_modify(ForeignScanState *node)
{
	end_foreign_scan(node);
}

/*
 * EXPLAIN
 */

/* A value that is set, as $set and $unset have it; what is not known yet is shown as the expression that it is. */
static void
put_shown_value(bson_t *set, bson_t *unset, Relation table, AttrNumber number, Node *expression,
				List *context)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), number - 1);
	ColumnOptions options = column_options(RelationGetRelid(table), number);
	bson_t parameter;

	if (!IsA(expression, Const))
	{
		bson_append_document_begin(set, options.path, -1, &parameter);
		BSON_APPEND_UTF8(&parameter, "$param",
						 deparse_expression(expression, context, true, false));
		bson_append_document_end(set, &parameter);
		return;
	}

	auto *constant = reinterpret_cast<Const *>(expression);
	if (constant->constisnull)
		bson_append_utf8(unset, options.path, -1, "", 0);
	else
		append_datum(set, options.path,
					 datum_type_build(attribute->atttypid, options.object_id, CurrentMemoryContext),
					 constant->constvalue, NameStr(attribute->attname));
}

/* What an UPDATE does to every document. */
static bson_t *
shown_change(ForeignScan *plan, Oid foreign_table, ExplainState *explain)
{
	auto *columns = static_cast<List *>(direct_item(plan, DirectItem::columns));
	List *context =
		set_deparse_context_plan(explain->deparse_cxt, reinterpret_cast<Plan *>(plan), NIL);
	Relation table = RelationIdGetRelation(foreign_table);
	bson_t *change = new_document();
	bson_t *set = new_document();
	bson_t *unset = new_document();
	ListCell *cell;
	ListCell *target;

	forboth(cell, columns, target, plan->scan.plan.targetlist)
		put_shown_value(set, unset, table, static_cast<AttrNumber>(lfirst_int(cell)),
						reinterpret_cast<Node *>(lfirst_node(TargetEntry, target)->expr), context);
	RelationClose(table);
	if (!bson_empty(set))
		BSON_APPEND_DOCUMENT(change, "$set", set);
	if (!bson_empty(unset))
		BSON_APPEND_DOCUMENT(change, "$unset", unset);
	return change;
}

void
explain_direct_modify(ForeignScanState *node, ExplainState *explain)
{
	auto *plan = reinterpret_cast<ForeignScan *>(node->ss.ps.plan);
	Oid foreign_table = exec_rt_fetch(plan->scan.scanrelid, node->ss.ps.state)->relid;
	bson_t *filter = new_document();
	bson_t *command = new_document();
	bson_t *check = new_document();
	bson_t *operation = new_document();
	Items operations = new_items();

	if (!explain->verbose)
		return;

	TableOptions options = table_options(foreign_table);
	FindCommand find = scan_explain_find(node, &options, explain);
	bool sent = deparse_filter(&find, filter) && deparse_scan(&find, check);
	put_operation(operation, filter,
				  plan->operation == CMD_UPDATE ? shown_change(plan, foreign_table, explain)
												: nullptr);
	operations.add(operation);
	BSON_APPEND_UTF8(command, modify_verb(plan->operation), options.collection);
	BSON_APPEND_ARRAY(command, modify_operations_key(plan->operation), operations.array);
	ExplainPropertyText("Remote database", options.database, explain);
	if (sent && intVal(direct_item(plan, DirectItem::read)) != 0)
		ExplainPropertyText("Remote check", bson_document_text(check), explain);
	ExplainPropertyText("Remote command",
						sent ? bson_document_text(command) : "none: no document can match",
						explain);
}

} // namespace bridge
