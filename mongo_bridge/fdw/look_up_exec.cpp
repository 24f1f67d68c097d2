/*
 * look_up_exec.cpp — running a join that looks documents up (look_up_join.cpp): batch by batch, pair by pair.
 */
#include "fdw.h"
#include "look_up_join.h"
#include "tenant.h"

namespace bridge
{

/* Rows of one key are cheap but not free. */
static constexpr int rows_per_key = 100;

/* A command has to stay below 16 MB, and a string may be sent as an ObjectId as well. */
static constexpr Size most_key_bytes = 4 * 1024 * 1024;

struct BatchRow
{
	BatchRow *next_of_key;
	BatchRow *next;
	MinimalTuple tuple;
	bool matched;
};

/* Rows whose keys are the same to the byte. */
struct BatchKey
{
	BatchKey *next;
	uint32 hash;
	Datum value;
	BatchRow *rows;
};

/* What comes next of the batch in hand. */
enum class Phase
{
	none,
	matches,
	unmatched /* of an outer join, or an anti-join */
};

struct LookUp
{
	CustomScanState node;
	PlanState *outer;
	ForeignScanState *inner;
	JoinType type;
	ExprState *clauses;
	ExprState *outer_key;
	ExprState *inner_key;
	TupleTableSlot *outer_row;
	int *sources; /* of the scan's columns */

	FmgrInfo outer_hash;
	FmgrInfo inner_hash;
	Oid collation;
	Oid key_type;
	int16 key_length;
	bool key_by_value;
	char key_align;

	/* The batch */
	MemoryContext batch;
	BatchKey **buckets;
	uint32 mask;
	BatchRow *first;
	BatchRow *last;
	Datum *keys;
	int key_count;
	int row_count;
	Size key_bytes;
	int limit; /* of its keys */
	bool outer_ended;

	/* Where it stands */
	Phase phase;
	TupleTableSlot *inner_row;
	uint32 hash;		/* of the inner row's key */
	BatchKey *key;		/* of the same hash */
	BatchRow *row;		/* the last one that was looked at */
	const char *tenant; /* whose documents are read; null: nobody's */
	bool tenant_known;

	/* For EXPLAIN */
	int64 batches;
	int64 looked_up;
};

static List *
look_up_item(const CustomScan *plan, LookUpItem item)
{
	return static_cast<List *>(list_nth(plan->custom_private, static_cast<int>(item)));
}

static void
use_key(LookUp *join, List *key)
{
	RegProcedure inner;
	RegProcedure outer;

	if (!get_op_hash_functions(linitial_oid(key), &inner, &outer))
		elog(ERROR, "operator %u of a look-up join cannot be hashed", linitial_oid(key));
	fmgr_info(outer, &join->outer_hash);
	fmgr_info(inner, &join->inner_hash);
	join->collation = lsecond_oid(key);
	join->key_type = lthird_oid(key);
	get_typlenbyvalalign(join->key_type, &join->key_length, &join->key_by_value, &join->key_align);
}

static void
begin_look_up(CustomScanState *node, EState *estate, int flags)
{
	auto *join = reinterpret_cast<LookUp *>(node);
	auto *plan = reinterpret_cast<CustomScan *>(node->ss.ps.plan);
	PlanState *parent = &node->ss.ps;
	int i = 0;
	ListCell *cell;

	flags &= ~(EXEC_FLAG_REWIND | EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK);
	join->outer = ExecInitNode(static_cast<Plan *>(linitial(plan->custom_plans)), estate, flags);
	join->inner =
		castNode(ForeignScanState,
				 ExecInitNode(static_cast<Plan *>(lsecond(plan->custom_plans)), estate, flags));
	node->custom_ps = list_make2(join->outer, join->inner);
	join->type = static_cast<JoinType>(intVal(look_up_item(plan, LookUpItem::type)));
	join->clauses = ExecInitQual(static_cast<List *>(linitial(plan->custom_exprs)), parent);
	join->outer_key = ExecInitExpr(static_cast<Expr *>(lsecond(plan->custom_exprs)), parent);
	join->inner_key = ExecInitExpr(static_cast<Expr *>(lthird(plan->custom_exprs)), parent);
	join->outer_row =
		ExecInitExtraTupleSlot(estate, ExecGetResultType(join->outer), &TTSOpsMinimalTuple);
	List *sources = look_up_item(plan, LookUpItem::sources);
	join->sources = static_cast<int *>(palloc(sizeof(int) * Max(list_length(sources), 1)));
	foreach (cell, sources)
		join->sources[i++] = lfirst_int(cell);
	use_key(join, look_up_item(plan, LookUpItem::key));
	join->batch = AllocSetContextCreate(estate->es_query_cxt, "tenancy_mongo look-ups",
										ALLOCSET_DEFAULT_SIZES);
	join->limit = first_keys;
}

/* The scan's row of an outer and an inner one; what there is none of is null. */
static void
combine(LookUp *join, TupleTableSlot *outer, TupleTableSlot *inner)
{
	TupleTableSlot *slot = join->node.ss.ss_ScanTupleSlot;
	int width = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	for (int i = 0; i < width; i++)
	{
		int source = join->sources[i];
		TupleTableSlot *from = source >= 0 ? outer : inner;
		int number = source >= 0 ? source : -1 - source;

		slot->tts_isnull[i] = from == nullptr || from->tts_isnull[number];
		slot->tts_values[i] = slot->tts_isnull[i] ? (Datum) 0 : from->tts_values[number];
	}
	ExecStoreVirtualTuple(slot);
	join->node.ss.ps.ps_ExprContext->ecxt_scantuple = slot;
}

static void
show_outer_row(LookUp *join, const BatchRow *row)
{
	ExecStoreMinimalTuple(row->tuple, join->outer_row, false);
	slot_getallattrs(join->outer_row);
}

/*
 * The batch
 */

static bool
is_batch_full(const LookUp *join)
{
	return join->key_count >= join->limit || join->row_count >= join->limit * rows_per_key ||
		   join->key_bytes >= most_key_bytes ||
		   MemoryContextMemAllocated(join->batch, true) >= static_cast<Size>(work_mem) * 1024;
}

static BatchKey *
batch_key(LookUp *join, Datum value, uint32 hash)
{
	BatchKey **bucket = &join->buckets[hash & join->mask];

	for (BatchKey *key = *bucket; key != nullptr; key = key->next)
		if (key->hash == hash &&
			datum_image_eq(key->value, value, join->key_by_value, join->key_length))
			return key;

	auto *key = static_cast<BatchKey *>(palloc(sizeof(BatchKey)));
	key->next = *bucket;
	key->hash = hash;
	key->value = datumCopy(value, join->key_by_value, join->key_length);
	key->rows = nullptr;
	*bucket = key;
	join->keys[join->key_count++] = key->value;
	join->key_bytes += datumGetSize(key->value, join->key_by_value, join->key_length);
	return key;
}

/* Keeps an outer row, but one whose key is null only where it is wanted without a match. */
static void
add_row(LookUp *join, TupleTableSlot *slot)
{
	ExprContext *context = join->node.ss.ps.ps_ExprContext;
	bool isnull;

	slot_getallattrs(slot);
	combine(join, slot, nullptr);
	Datum value = ExecEvalExprSwitchContext(join->outer_key, context, &isnull);
	if (isnull && (join->type == JOIN_INNER || join->type == JOIN_SEMI))
		return;

	MemoryContext caller = MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
	if (!isnull && join->key_length == -1)
		value = PointerGetDatum(PG_DETOAST_DATUM(value));
	uint32 hash =
		isnull ? 0 : DatumGetUInt32(FunctionCall1Coll(&join->outer_hash, join->collation, value));
	MemoryContextSwitchTo(join->batch);
	auto *row = static_cast<BatchRow *>(palloc0(sizeof(BatchRow)));
	row->tuple = ExecCopySlotMinimalTuple(slot);
	if (join->last != nullptr)
		join->last->next = row;
	else
		join->first = row;
	join->last = row;
	join->row_count++;
	if (!isnull)
	{
		BatchKey *key = batch_key(join, value, hash);
		row->next_of_key = key->rows;
		key->rows = row;
	}
	MemoryContextSwitchTo(caller);
}

static void
clear_batch(LookUp *join)
{
	ExecClearTuple(join->outer_row);
	ExecClearTuple(join->node.ss.ss_ScanTupleSlot);
	MemoryContextReset(join->batch);
	join->first = nullptr;
	join->last = nullptr;
	join->key = nullptr;
	join->row = nullptr;
	join->key_count = 0;
	join->row_count = 0;
	join->key_bytes = 0;
	join->phase = Phase::none;
}

/* Reads outer rows, and starts the scan with their keys; false if there are no more rows. */
static bool
load_batch(LookUp *join)
{
	clear_batch(join);
	uint32 size = pg_nextpower2_32(static_cast<uint32>(join->limit));
	join->buckets =
		static_cast<BatchKey **>(MemoryContextAllocZero(join->batch, sizeof(BatchKey *) * size));
	join->mask = size - 1;
	join->keys = static_cast<Datum *>(
		MemoryContextAlloc(join->batch, sizeof(Datum) * static_cast<Size>(join->limit)));

	while (!join->outer_ended && !is_batch_full(join))
	{
		ResetExprContext(join->node.ss.ps.ps_ExprContext);
		TupleTableSlot *slot = ExecProcNode(join->outer);
		join->outer_ended = TupIsNull(slot);
		if (!join->outer_ended)
			add_row(join, slot);
	}
	if (join->first == nullptr)
		return false;
	join->limit = Min(join->limit * 2, most_keys);
	join->phase = Phase::unmatched;
	join->row = join->first;
	if (join->key_count == 0)
		return true;

	MemoryContext caller = MemoryContextSwitchTo(join->batch);
	ArrayType *keys = construct_array(join->keys, join->key_count, join->key_type, join->key_length,
									  join->key_by_value, join->key_align);
	MemoryContextSwitchTo(caller);
	scan_look_up(join->inner, PointerGetDatum(keys));
	join->phase = Phase::matches;
	join->row = nullptr;
	join->batches++;
	join->looked_up += join->key_count;
	return true;
}

/*
 * Joining
 */

/* The next inner row with a key; false at the end of the batch's documents. */
static bool
next_inner_row(LookUp *join)
{
	ExprContext *context = join->node.ss.ps.ps_ExprContext;
	bool isnull = true;

	while (isnull)
	{
		join->inner_row = ExecProcNode(&join->inner->ss.ps);
		if (TupIsNull(join->inner_row))
			return false;
		ResetExprContext(context);
		slot_getallattrs(join->inner_row);
		combine(join, nullptr, join->inner_row);
		Datum value = ExecEvalExprSwitchContext(join->inner_key, context, &isnull);
		if (isnull)
			continue;
		MemoryContext caller = MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
		join->hash = DatumGetUInt32(FunctionCall1Coll(&join->inner_hash, join->collation, value));
		MemoryContextSwitchTo(caller);
	}
	return true;
}

static BatchKey *
of_hash(BatchKey *key, uint32 hash)
{
	while (key != nullptr && key->hash != hash)
		key = key->next;
	return key;
}

/* The next outer row whose key's hash is that of the inner row; null at the end of the batch's documents. */
static BatchRow *
next_candidate(LookUp *join)
{
	if (join->row != nullptr)
		join->row = join->row->next_of_key;
	while (join->row == nullptr)
	{
		join->key = join->key != nullptr ? of_hash(join->key->next, join->hash) : nullptr;
		while (join->key == nullptr)
		{
			if (!next_inner_row(join))
				return nullptr;
			join->key = of_hash(join->buckets[join->hash & join->mask], join->hash);
		}
		join->row = join->key->rows;
	}
	return join->row;
}

static bool
next_match(LookUp *join)
{
	ExprContext *context = join->node.ss.ps.ps_ExprContext;
	bool once = join->type == JOIN_SEMI || join->type == JOIN_ANTI;

	for (;;)
	{
		BatchRow *row = next_candidate(join);
		if (row == nullptr)
			return false;
		CHECK_FOR_INTERRUPTS();
		if (once && row->matched)
			continue;
		ResetExprContext(context);
		show_outer_row(join, row);
		combine(join, join->outer_row, join->inner_row);
		if (!ExecQual(join->clauses, context))
		{
			InstrCountFiltered1(join, 1);
			continue;
		}
		row->matched = true;
		if (join->type != JOIN_ANTI)
			return true;
	}
}

static bool
next_unmatched(LookUp *join)
{
	if (join->type == JOIN_INNER || join->type == JOIN_SEMI)
		return false;
	while (join->row != nullptr)
	{
		BatchRow *row = join->row;

		join->row = row->next;
		if (row->matched)
			continue;
		CHECK_FOR_INTERRUPTS();
		show_outer_row(join, row);
		combine(join, join->outer_row, nullptr);
		return true;
	}
	return false;
}

/* A batch outlives the scan that checks the tenant, and the next one must not be read for another. */
static void
check_tenant(LookUp *join)
{
	if (!scan_follows_tenant(join->inner))
		return;

	const char *tenant = current_tenant();
	if (!join->tenant_known)
	{
		join->tenant = tenant == nullptr
						   ? nullptr
						   : MemoryContextStrdup(join->node.ss.ps.state->es_query_cxt, tenant);
		join->tenant_known = true;
	}
	else if ((tenant == nullptr) != (join->tenant == nullptr) ||
			 (tenant != nullptr && strcmp(tenant, join->tenant) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tenant context has changed while foreign table \"%s\" was being read",
						RelationGetRelationName(join->inner->ss.ss_currentRelation)),
				 errhint("Close cursors before the tenant changes.")));
}

static bool
next_row(LookUp *join)
{
	for (;;)
	{
		if (join->phase == Phase::matches)
		{
			if (next_match(join))
				return true;
			join->phase = Phase::unmatched;
			join->row = join->first;
		}
		if (join->phase == Phase::unmatched && next_unmatched(join))
			return true;
		if (!load_batch(join))
			return false;
	}
}

static TupleTableSlot *
exec_look_up(CustomScanState *node)
{
	auto *join = reinterpret_cast<LookUp *>(node);
	ExprContext *context = node->ss.ps.ps_ExprContext;
	ProjectionInfo *projection = node->ss.ps.ps_ProjInfo;

	check_tenant(join);
	for (;;)
	{
		ResetExprContext(context);
		if (!next_row(join))
			return nullptr;
		if (node->ss.ps.qual == nullptr || ExecQual(node->ss.ps.qual, context))
			return projection != nullptr ? ExecProject(projection) : node->ss.ss_ScanTupleSlot;
		InstrCountFiltered2(node, 1);
	}
}

static void
rescan_look_up(CustomScanState *node)
{
	auto *join = reinterpret_cast<LookUp *>(node);

	clear_batch(join);
	join->outer_ended = false;
	join->tenant_known = false;
	join->limit = first_keys;
	if (node->ss.ps.chgParam != nullptr)
	{
		UpdateChangedParamSet(join->outer, node->ss.ps.chgParam);
		UpdateChangedParamSet(&join->inner->ss.ps, node->ss.ps.chgParam);
	}
	/* What has changed parameters is started anew when it is asked for a row; the inner side is with each batch. */
	if (join->outer->chgParam == nullptr)
		ExecReScan(join->outer);
}

static void
end_look_up(CustomScanState *node)
{
	auto *join = reinterpret_cast<LookUp *>(node);

	ExecEndNode(join->outer);
	ExecEndNode(&join->inner->ss.ps);
}

/*
 * EXPLAIN
 */

static const char *
join_name(JoinType type)
{
	switch (type)
	{
		case JOIN_LEFT:
			return "Left";
		case JOIN_SEMI:
			return "Semi";
		case JOIN_ANTI:
			return "Anti";
		default:
			return "Inner";
	}
}

static void
explain_look_up(CustomScanState *node, List *ancestors, ExplainState *explain)
{
	auto *join = reinterpret_cast<LookUp *>(node);
	auto *plan = reinterpret_cast<CustomScan *>(node->ss.ps.plan);
	List *context = set_deparse_context_plan(explain->deparse_cxt, &plan->scan.plan, ancestors);
	auto *clauses = static_cast<List *>(linitial(plan->custom_exprs));
	List *others = list_copy_tail(clauses, 1);

	ExplainPropertyText("Join Type", join_name(join->type), explain);
	ExplainPropertyText(
		"Look-up Cond",
		deparse_expression(static_cast<Node *>(linitial(clauses)), context, true, false), explain);
	if (others != NIL)
		ExplainPropertyText("Join Filter",
							deparse_expression(reinterpret_cast<Node *>(make_ands_explicit(others)),
											   context, true, false),
							explain);
	ExplainPropertyInteger("Keys per Batch", nullptr, most_keys, explain);
	if (explain->analyze)
	{
		ExplainPropertyInteger("Batches", nullptr, join->batches, explain);
		ExplainPropertyInteger("Keys", nullptr, join->looked_up, explain);
	}
}

/*
 * The table of contents
 */

static const CustomExecMethods exec_methods = {"Foreign Batched Look-up",
											   begin_look_up,
											   exec_look_up,
											   end_look_up,
											   rescan_look_up,
											   nullptr,
											   nullptr,
											   nullptr,
											   nullptr,
											   nullptr,
											   nullptr,
											   nullptr,
											   explain_look_up};

Node *
create_look_up(CustomScan *plan)
{
	auto *join = static_cast<LookUp *>(palloc0(sizeof(LookUp)));
	NodeSetTag(join, T_CustomScanState);
	join->node.methods = &exec_methods;
	return reinterpret_cast<Node *>(join);
}

} // namespace bridge
