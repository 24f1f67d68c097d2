/*
 * modify.cpp — INSERT, UPDATE, DELETE, COPY and TRUNCATE.
 *
 * Each row becomes one document or one operation of a batch, which is sent when it is full and when
 * the statement ends, in the transaction of MongoDB that belongs to the local one
 * (transaction.cpp).
 *
 * A statement does not see what it writes.  PostgreSQL's own tables have snapshots for that; here
 * nothing is sent before all is read: updates and deletions wait for the end of the statement, and
 * so do insertions where the statement reads foreign tables.  Batches that wait go into a temporary
 * file, so memory stays bounded.  The end comes before AFTER triggers fire.
 *
 * A row is found again by its _id, whatever its type: a scan that feeds an UPDATE or DELETE gives
 * it as "ctid", which is bytea then and holds the _id as a document of BSON
 * (AddForeignUpdateTargets).
 */
#include "../bson/document.h"
#include "../client/client.h"
#include "../client/transaction.h"
#include "bson_datum.h"
#include "connection.h"
#include "fdw.h"
#include "modify.h"
#include "row_document.h"
#include "tenant.h"
#include "transaction.h"
#include "../tenancy_mongo.h"

namespace bridge
{

/* A batch is sent at so many operations or bytes; MongoDB takes 100,000 and 16 MB at most. */
static constexpr int default_batch_size = 10000;
static constexpr int max_batch_size = 100000;
static constexpr uint32_t max_batch_bytes = 8 * 1024 * 1024;

static constexpr char whole_row_name[] = "wholerow";

/* The statements' modifications that have something to send, the newest first. */
static List *pending = NIL;
static ExecutorFinish_hook_type next_executor_finish = nullptr;

/*
 * Planning
 */

void
add_foreign_update_targets(PlannerInfo *root, Index index, RangeTblEntry *entry, Relation table)
{
	Var *id = makeVar(static_cast<int>(index), SelfItemPointerAttributeNumber, BYTEAOID, -1,
					  InvalidOid, 0);

	add_row_identity_var(root, id, index, row_id_name);

	/* What DELETE … RETURNING shows; for UPDATE the server asks for it. */
	if (root->parse->commandType == CMD_DELETE && root->parse->returningList != NIL)
		add_row_identity_var(root, makeWholeRowVar(entry, static_cast<int>(index), 0, false), index,
							 whole_row_name);
}

List *
plan_foreign_modify(PlannerInfo *root, ModifyTable *plan, Index, int)
{
	if (plan->onConflictAction == ONCONFLICT_UPDATE)
		elog(ERROR, "unexpected ON CONFLICT DO UPDATE");
	return list_make1(makeInteger(plan->onConflictAction == ONCONFLICT_NOTHING));
}

int
is_foreign_rel_updatable(Relation table)
{
	return table_options(RelationGetRelid(table)).updatable
			   ? (1 << CMD_INSERT) | (1 << CMD_UPDATE) | (1 << CMD_DELETE)
			   : 0;
}

/*
 * Begin
 */

/* Whether a statement reads foreign tables beside writing one; whose they are hardly matters. */
static bool
reads_foreign_tables(EState *estate)
{
	int count = 0;
	ListCell *cell;

	foreach (cell, estate->es_range_table)
	{
		RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
		if (entry->rtekind == RTE_RELATION && entry->relkind == RELKIND_FOREIGN_TABLE)
			count++;
	}
	return count > 1;
}

static void
check_updatable(const Modify *modify)
{
	if (!modify->options.updatable)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign table \"%s\" does not allow writes",
						RelationGetRelationName(modify->table)),
				 modify->options.unnest != nullptr
					 ? errdetail("Its rows are the elements of arrays.")
					 : errdetail("Its option \"updatable\", or that of its server, is false.")));
}

static const char *
take_tenant(Modify *modify)
{
	if (!follows_tenant(&modify->options))
		return nullptr;

	const char *tenant = current_tenant();
	if (tenant == nullptr)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("no tenant is in force"),
				 errdetail("Foreign table \"%s\" takes the documents of a tenant only.",
						   RelationGetRelationName(modify->table)),
				 errhint("SELECT tenancy.set_tenant('...');")));
	modify->options.database = route_database(modify->options.database);
	return pstrdup(tenant);
}

Modify *
modify_begin(ResultRelInfo *relation, EState *estate, CmdType operation)
{
	auto *modify = static_cast<Modify *>(palloc0(sizeof(Modify)));
	Oid foreign_table = RelationGetRelid(relation->ri_RelationDesc);

	modify->table = relation->ri_RelationDesc;
	modify->options = table_options(foreign_table);
	modify->server = GetForeignTable(foreign_table)->serverid;
	modify->user = tenancy_modify_user(relation, estate);
	modify->operation = operation;
	check_updatable(modify);
	modify->deferred = operation != CMD_INSERT || reads_foreign_tables(estate);
	modify->tenant = take_tenant(modify);
	modify->writer =
		row_writer_build(modify->table, &modify->options, modify->tenant, estate->es_query_cxt);
	modify->estate = estate;
	modify->row_context =
		AllocSetContextCreate(estate->es_query_cxt, "tenancy_mongo row", ALLOCSET_DEFAULT_SIZES);
	modify->batch = own<Document>(estate->es_query_cxt);
	modify->batch_size =
		Min(modify->options.batch_size > 0 ? modify->options.batch_size : default_batch_size,
			max_batch_size);

	/* Reads of the statement, and the writes that follow from them, are of one snapshot. */
	if (operation != CMD_INSERT)
		(void) transaction_for_writes(modify->server, modify->user);
	return modify;
}

static void
note_pending(Modify *modify)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	pending = lcons(modify, pending);
	MemoryContextSwitchTo(caller);
}

static void
forget_pending(void *modify)
{
	pending = list_delete_ptr(pending, modify);
}

/* However the statement ends, the list does not keep what is gone. */
static void
register_pending(Modify *modify)
{
	auto *callback = static_cast<MemoryContextCallback *>(
		MemoryContextAlloc(modify->estate->es_query_cxt, sizeof(MemoryContextCallback)));

	callback->func = forget_pending;
	callback->arg = modify;
	note_pending(modify);
	MemoryContextRegisterResetCallback(modify->estate->es_query_cxt, callback);
}

void
begin_foreign_modify(ModifyTableState *state, ResultRelInfo *relation, List *items, int, int flags)
{
	if (flags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	EState *estate = state->ps.state;
	Modify *modify = modify_begin(relation, estate, state->operation);
	List *targets = outerPlanState(state)->plan->targetlist;

	modify->skip_duplicates = intVal(linitial(items)) != 0;
	if (modify->skip_duplicates && modify->deferred)
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("INSERT ... ON CONFLICT DO NOTHING cannot read foreign tables"),
			 errdetail("Whether there is a conflict must be known row by row, while the statement "
					   "still reads."),
			 errhint("CREATE TEMPORARY TABLE ... AS SELECT ... first, and insert from that.")));
	if (state->operation != CMD_INSERT)
	{
		modify->id = ExecFindJunkAttributeInTlist(targets, row_id_name);
		modify->old_row = ExecFindJunkAttributeInTlist(targets, whole_row_name);
		if (!AttributeNumberIsValid(modify->id))
			elog(ERROR, "could not find junk column \"%s\"", row_id_name);
	}
	if (state->operation == CMD_UPDATE)
	{
		modify->columns =
			bms_copy(ExecGetAllUpdatedCols(relation, estate)); /* which may be of a row's memory */
		modify->by_trigger =
			relation->ri_TrigDesc != nullptr && relation->ri_TrigDesc->trig_update_before_row;
	}
	register_pending(modify);
	relation->ri_FdwState = modify;
}

/* COPY, and rows that are routed to a partition. */
void
begin_foreign_insert(ModifyTableState *state, ResultRelInfo *relation)
{
	auto *plan = reinterpret_cast<ModifyTable *>(state->ps.plan);

	/* An UPDATE of a partitioned table has one state for each partition: it is either updated or inserted into. */
	if (relation->ri_FdwState != nullptr)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot route tuples into foreign table to be updated \"%s\"",
							   RelationGetRelationName(relation->ri_RelationDesc))));
	Modify *modify = modify_begin(relation, state->ps.state, CMD_INSERT);

	modify->skip_duplicates = plan != nullptr && plan->onConflictAction == ONCONFLICT_NOTHING;
	register_pending(modify);
	relation->ri_FdwState = modify;
}

/*
 * Batches
 */

const char *
modify_verb(CmdType operation)
{
	switch (operation)
	{
		case CMD_INSERT:
			return "insert";
		case CMD_UPDATE:
			return "update";
		default:
			return "delete";
	}
}

const char *
modify_operations_key(CmdType operation)
{
	switch (operation)
	{
		case CMD_INSERT:
			return "documents";
		case CMD_UPDATE:
			return "updates";
		default:
			return "deletes";
	}
}

static void
check_tenant(const Modify *modify)
{
	if (!follows_tenant(&modify->options))
		return;

	const char *tenant = current_tenant();
	if (tenant == nullptr || strcmp(tenant, modify->tenant) != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("tenant context has changed while foreign table \"%s\" was being "
							   "written",
							   RelationGetRelationName(modify->table))));
}

const bson_t *
modify_send(const Modify *modify, CmdType operation, const bson_t *operations)
{
	bson_t *command = new_document();
	const char *what = psprintf("could not write to collection \"%s.%s\"", modify->options.database,
								modify->options.collection);

	check_tenant(modify);
	bson_append_utf8(command, modify_verb(operation), -1, modify->options.collection, -1);
	bson_append_array(command, modify_operations_key(operation), -1, operations);
	BSON_APPEND_BOOL(command, "ordered", true);
	put_time_limit(command);
	return transaction_write(modify->server, modify->user, modify->options.database, command, what);
}

static void
send_batch(Modify *modify, const bson_t *operations)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "tenancy_mongo batch", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);

	(void) modify_send(modify, modify->operation, operations);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

static void
put_aside(Modify *modify, const bson_t *operations)
{
	MemoryContext caller = MemoryContextSwitchTo(modify->estate->es_query_cxt);
	uint32_t length = operations->len;

	if (modify->waiting == nullptr)
		modify->waiting = BufFileCreateTemp(false);
	BufFileWrite(modify->waiting, &length, sizeof(length));
	BufFileWrite(modify->waiting, const_cast<uint8_t *>(bson_get_data(operations)), length);
	modify->waiting_count++;
	MemoryContextSwitchTo(caller);
}

static void
read_exactly(BufFile *file, void *to, size_t size)
{
	if (BufFileRead(file, to, size) != size)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not read a batch of documents from its temporary file")));
}

static void
send_waiting(Modify *modify)
{
	bson_t operations;
	uint32_t length;

	if (BufFileSeek(modify->waiting, 0, 0, SEEK_SET) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not rewind the temporary file of a batch of documents")));
	for (; modify->waiting_count > 0; modify->waiting_count--)
	{
		read_exactly(modify->waiting, &length, sizeof(length));
		auto *data = static_cast<uint8_t *>(palloc_extended(length, MCXT_ALLOC_HUGE));
		read_exactly(modify->waiting, data, length);
		bson_init_static(&operations, data, length);
		send_batch(modify, &operations);
		pfree(data);
	}
	BufFileClose(modify->waiting);
	modify->waiting = nullptr;
}

static void
batch_is_full(Modify *modify)
{
	if (modify->deferred)
		put_aside(modify, modify->batch->get());
	else
		send_batch(modify, modify->batch->get());
	bson_reinit(modify->batch->get());
	modify->count = 0;
}

static void
add_operation(Modify *modify, const bson_t *operation)
{
	char space[16];
	const char *key;
	bson_t *batch = modify->batch->get();

	if (modify->count > 0 && batch->len + operation->len > max_batch_bytes)
		batch_is_full(modify);
	size_t length =
		bson_uint32_to_string(static_cast<uint32_t>(modify->count), &key, space, sizeof(space));
	bson_append_document(batch, key, static_cast<int>(length), operation);
	if (++modify->count >= modify->batch_size)
		batch_is_full(modify);
}

static bool
has_unsent(const Modify *modify)
{
	return modify->waiting != nullptr || modify->count > 0;
}

/* Sends all that is left. */
static void
finish(Modify *modify)
{
	if (modify->waiting != nullptr)
		send_waiting(modify);
	if (modify->count > 0)
	{
		send_batch(modify, modify->batch->get());
		bson_reinit(modify->batch->get());
	}
	modify->count = 0;
}

/* The first of a statement's modifications, or the first that has something to send; null: none. */
static Modify *
find_pending(const EState *estate, bool unsent)
{
	ListCell *cell;

	foreach (cell, pending)
	{
		auto *modify = static_cast<Modify *>(lfirst(cell));
		if (modify->estate == estate && (!unsent || has_unsent(modify)))
			return modify;
	}
	return nullptr;
}

/*
 * A modifying WITH that nothing reads is run by the server when the statement ends, after this hook: so that it reads what was
 * there before the statement, and its writes go with the others, it is run here.  The server then finds it at its end.
 */
static void
run_unread(EState *estate)
{
	MemoryContext caller = MemoryContextSwitchTo(estate->es_query_cxt);
	ListCell *cell;

	estate->es_direction = ForwardScanDirection;
	foreach (cell, estate->es_auxmodifytables)
		do
			ResetPerTupleExprContext(estate);
		while (!TupIsNull(ExecProcNode(static_cast<PlanState *>(lfirst(cell)))));
	MemoryContextSwitchTo(caller);
}

static void
executor_finish(QueryDesc *query)
{
	EState *estate = query->estate;

	if (find_pending(estate, false) != nullptr)
	{
		run_unread(estate);
		/* Sending may not, but the list changes when it does: start anew each time. */
		while (Modify *modify = find_pending(estate, true))
			finish(modify);
	}
	if (next_executor_finish != nullptr)
		next_executor_finish(query);
	else
		standard_ExecutorFinish(query);
}

void
modify_init()
{
	next_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = executor_finish;
}

/*
 * Rows
 */

/* NOT NULL and CHECK: the server leaves them to the foreign side, which does not know them. */
void
modify_check_constraints(ResultRelInfo *relation, TupleTableSlot *slot, EState *estate)
{
	if (RelationGetDescr(relation->ri_RelationDesc)->constr != nullptr)
		ExecConstraints(relation, slot, estate);
}

static bool
is_update_operator(const char *key)
{
	return key[0] == '$' || strchr(key, '.') != nullptr;
}

/* {q: {_id}, u: {$setOnInsert: …}, upsert: true} writes the document if there is none of its _id,
 * and says so. */
static bool
insert_unless_there(Modify *modify, const bson_t *document)
{
	bson_t *operation = new_document();
	bson_t *operations = new_document();
	bson_t *id = new_document();
	bson_t *rest = new_document();
	bson_t inner;
	bson_iter_t field;

	bson_iter_init(&field, document);
	while (bson_iter_next(&field))
	{
		const char *key = bson_iter_key(&field);
		if (is_update_operator(key))
			ereport(
				ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ON CONFLICT DO NOTHING cannot insert a document with field \"%s\"", key),
				 errdetail("A name with a dot, or a dollar sign in front, is an operator or a path "
						   "there.")));
		bson_append_iter(strcmp(key, "_id") == 0 ? id : rest, nullptr, 0, &field);
	}

	bson_t equal;
	bson_iter_init_find(&field, id, "_id");
	BSON_APPEND_DOCUMENT_BEGIN(operation, "q", &inner);
	BSON_APPEND_DOCUMENT_BEGIN(&inner, "_id", &equal);
	bson_append_iter(&equal, "$eq", -1, &field);
	bson_append_document_end(&inner, &equal);
	bson_append_document_end(operation, &inner);
	BSON_APPEND_DOCUMENT_BEGIN(operation, "u", &inner);
	BSON_APPEND_DOCUMENT(&inner, "$setOnInsert", rest);
	bson_append_document_end(operation, &inner);
	BSON_APPEND_BOOL(operation, "upsert", true);
	put_simple_collation(operation);
	BSON_APPEND_DOCUMENT(operations, "0", operation);

	const bson_t *reply = modify_send(modify, CMD_UPDATE, operations);
	return bson_iter_init_find(&field, reply, "upserted");
}

TupleTableSlot *
exec_foreign_insert(EState *estate, ResultRelInfo *relation, TupleTableSlot *slot, TupleTableSlot *)
{
	auto *modify = static_cast<Modify *>(relation->ri_FdwState);
	MemoryContext caller = MemoryContextSwitchTo(modify->row_context);
	bool inserted = true;

	const bson_t *document = row_writer_insert(modify->writer, slot);
	modify_check_constraints(relation, slot, estate);
	if (modify->skip_duplicates)
		inserted = insert_unless_there(modify, document);
	else
		add_operation(modify, document);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(modify->row_context);
	return inserted ? slot : nullptr;
}

/* {_id: …}, from the row that the scan gave. */
static void
read_id(const Modify *modify, TupleTableSlot *row, bson_t *id)
{
	bool isnull;
	Datum datum = ExecGetJunkAttribute(row, modify->id, &isnull);

	if (isnull)
		elog(ERROR, "junk column \"%s\" is null", row_id_name);
	bytea *bytes = DatumGetByteaP(datum);
	if (!bson_init_static(id, reinterpret_cast<const uint8_t *>(VARDATA(bytes)),
						  VARSIZE(bytes) - VARHDRSZ))
		elog(ERROR, "junk column \"%s\" is malformed", row_id_name);
}

static HeapTupleHeader
read_old_row(const Modify *modify, TupleTableSlot *row)
{
	bool isnull = true;
	Datum datum = (Datum) 0;

	if (AttributeNumberIsValid(modify->old_row))
		datum = ExecGetJunkAttribute(row, modify->old_row, &isnull);
	if (isnull)
		elog(ERROR, "junk column \"%s\" is null", whole_row_name);
	return DatumGetHeapTupleHeader(datum);
}

static void
set_tuple(HeapTuple tuple, HeapTupleHeader header)
{
	tuple->t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple->t_self);
	tuple->t_tableOid = InvalidOid;
	tuple->t_data = header;
}

/* The columns that an UPDATE names, and those that a trigger has changed. */
static Bitmapset *
changed_columns(const Modify *modify, TupleTableSlot *slot, TupleTableSlot *row)
{
	TupleDesc descriptor = RelationGetDescr(modify->table);
	Bitmapset *columns = bms_copy(modify->columns);
	HeapTupleData old;

	if (!modify->by_trigger)
		return columns;
	set_tuple(&old, read_old_row(modify, row));
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
		bool old_is_null;
		bool new_is_null;

		if (attribute->attisdropped)
			continue;
		Datum before = heap_getattr(&old, i + 1, descriptor, &old_is_null);
		Datum after = slot_getattr(slot, i + 1, &new_is_null);
		if (old_is_null != new_is_null ||
			(!old_is_null && !datumIsEqual(before, after, attribute->attbyval, attribute->attlen)))
			columns = bms_add_member(columns, i + 1 - FirstLowInvalidHeapAttributeNumber);
	}
	return columns;
}

/* What the column of the rest held. */
static NullableDatum
read_old_rest(const Modify *modify, const Bitmapset *columns, TupleTableSlot *row)
{
	AttrNumber attribute = row_writer_rest(modify->writer);
	NullableDatum result = {(Datum) 0, true};
	HeapTupleData old;

	if (!AttributeNumberIsValid(attribute) ||
		!bms_is_member(attribute - FirstLowInvalidHeapAttributeNumber, columns))
		return result;
	set_tuple(&old, read_old_row(modify, row));
	result.value = heap_getattr(&old, attribute, RelationGetDescr(modify->table), &result.isnull);
	return result;
}

TupleTableSlot *
exec_foreign_update(EState *estate, ResultRelInfo *relation, TupleTableSlot *slot,
					TupleTableSlot *row)
{
	auto *modify = static_cast<Modify *>(relation->ri_FdwState);
	MemoryContext caller = MemoryContextSwitchTo(modify->row_context);
	bson_t *operation = new_document();
	bson_t *filter = new_document();
	bson_t id;

	modify_check_constraints(relation, slot, estate);
	read_id(modify, row, &id);
	Bitmapset *columns = changed_columns(modify, slot, row);
	NullableDatum old_rest = read_old_rest(modify, columns, row);
	const bson_t *change = row_writer_update(modify->writer, slot, columns, &id, &old_rest);
	row_writer_filter(modify->writer, filter, &id);
	BSON_APPEND_DOCUMENT(operation, "q", filter);
	BSON_APPEND_DOCUMENT(operation, "u", change);
	put_simple_collation(operation);
	if (!bson_empty(change))
		add_operation(modify, operation);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(modify->row_context);
	return slot;
}

TupleTableSlot *
exec_foreign_delete(EState *, ResultRelInfo *relation, TupleTableSlot *slot, TupleTableSlot *row)
{
	auto *modify = static_cast<Modify *>(relation->ri_FdwState);
	MemoryContext caller = MemoryContextSwitchTo(modify->row_context);
	bson_t *operation = new_document();
	bson_t *filter = new_document();
	bson_t id;

	read_id(modify, row, &id);
	row_writer_filter(modify->writer, filter, &id);
	BSON_APPEND_DOCUMENT(operation, "q", filter);
	BSON_APPEND_INT32(operation, "limit", 1);
	put_simple_collation(operation);
	add_operation(modify, operation);
	if (AttributeNumberIsValid(modify->old_row))
	{
		HeapTupleData old;
		set_tuple(&old, read_old_row(modify, row));
		MemoryContextSwitchTo(slot->tts_mcxt);
		ExecForceStoreHeapTuple(heap_copytuple(&old), slot, true);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(modify->row_context);
	return slot;
}

void
end_foreign_modify(EState *, ResultRelInfo *relation)
{
	auto *modify = static_cast<Modify *>(relation->ri_FdwState);

	/* COPY has no ExecutorFinish. */
	if (modify != nullptr)
		finish(modify);
}

/*
 * TRUNCATE
 */

static void
truncate(Relation table)
{
	Modify modify = {};
	Oid foreign_table = RelationGetRelid(table);
	bson_t *filter = new_document();
	bson_t *operation = new_document();
	bson_t *operations = new_document();

	modify.table = table;
	modify.options = table_options(foreign_table);
	modify.server = GetForeignTable(foreign_table)->serverid;
	modify.user = GetUserId();
	check_updatable(&modify);
	if (!modify.options.truncatable)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("foreign table \"%s\" does not allow truncating",
							   RelationGetRelationName(table)),
						errhint("ALTER FOREIGN TABLE %s OPTIONS (ADD truncatable 'true');",
								quote_identifier(RelationGetRelationName(table)))));
	modify.tenant = take_tenant(&modify);
	if (modify.options.tenant_field != nullptr)
	{
		Operand tenant = {CSTRINGOID, CStringGetDatum(modify.tenant), false, nullptr};
		put_tenant(filter, modify.options.tenant_field, &tenant);
	}
	BSON_APPEND_DOCUMENT(operation, "q", filter);
	BSON_APPEND_INT32(operation, "limit", 0);
	put_simple_collation(operation);
	BSON_APPEND_DOCUMENT(operations, "0", operation);
	(void) modify_send(&modify, CMD_DELETE, operations);
}

void
exec_foreign_truncate(List *tables, DropBehavior, bool)
{
	ListCell *cell;

	foreach (cell, tables)
		truncate(static_cast<Relation>(lfirst(cell)));
}

/*
 * EXPLAIN
 */

void
explain_foreign_modify(ModifyTableState *state, ResultRelInfo *relation, List *, int,
					   ExplainState *explain)
{
	if (!explain->verbose)
		return;

	TableOptions options = table_options(RelationGetRelid(relation->ri_RelationDesc));
	ExplainPropertyText("Remote database", options.database, explain);
	ExplainPropertyText("Remote command",
						psprintf("%s \"%s\"", modify_verb(state->operation), options.collection),
						explain);
}

} // namespace bridge
