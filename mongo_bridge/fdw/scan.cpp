/*
 * scan.cpp — running a foreign scan, and showing it.
 *
 * A scan starts when its first row is asked for: only then are the operands of its conditions known.  Starting means to
 * compute them, to write the command and to open a cursor; everything that belongs to it lives in one memory context,
 * whose reset closes the cursor, be it at a rescan, at the end or in the wake of an ERROR.
 *
 * A table with a tenant_field shows the documents of the tenant in force and nothing else, whoever asks.  Without a
 * tenant nothing is sent to MongoDB.  A scan that is still open when the tenant changes ends with an error.
 */
#include "../client/cursor.h"
#include "../client/transaction.h"
#include "connection.h"
#include "known_table.h"
#include "scan.h"
#include "tenant.h"
#include "transaction.h"

namespace bridge
{

/*
 * Plans
 */

static List *
plan_item(ForeignScan *plan, PlanItem item)
{
	return static_cast<List *>(list_nth(plan->fdw_private, static_cast<int>(item)));
}

static Operand *
plan_bound(ForeignScan *plan, PlanItem item, Operand *operands)
{
	int number = intVal(list_nth(plan->fdw_private, static_cast<int>(item)));

	return number >= 0 ? &operands[number] : nullptr;
}

static Index
scanned_relation(ForeignScan *plan)
{
	return plan->scan.scanrelid > 0
			   ? plan->scan.scanrelid
			   : static_cast<Index>(bms_next_member(tenancy_scan_relids(plan), -1));
}

/* column_map_build's set, which is never empty: an empty one would mean all columns. */
static Bitmapset *
wanted_columns(ForeignScan *plan)
{
	Bitmapset *wanted =
		bms_make_singleton(TableOidAttributeNumber - FirstLowInvalidHeapAttributeNumber);
	ListCell *cell;

	foreach (cell, plan_item(plan, PlanItem::attributes))
		wanted = bms_add_member(wanted, lfirst_int(cell) - FirstLowInvalidHeapAttributeNumber);
	return wanted;
}

/* What does not depend on the operands' values. */
static FindCommand
describe_find(ForeignScan *plan, const TableOptions *options, Oid foreign_table, TupleDesc row)
{
	FindCommand find = {};
	int count = list_length(plan->fdw_exprs);

	find.collection = options->collection;
	find.tenant_field = options->tenant_field;
	find.unnest = options->unnest;
	find.batch_size = options->batch_size;
	find.read_concern = options->read_concern;
	find.conditions = plan_item(plan, PlanItem::conditions);
	find.operands = static_cast<Operand *>(palloc0(sizeof(Operand) * Max(count, 1)));
	find.sort = plan_item(plan, PlanItem::sort);
	find.group = plan_item(plan, PlanItem::group);
	find.limit = plan_bound(plan, PlanItem::limit, find.operands);
	find.offset = plan_bound(plan, PlanItem::offset, find.operands);
	for (int i = 0; i < count; i++)
		find.operands[i].type = exprType(static_cast<Node *>(list_nth(plan->fdw_exprs, i)));

	/* Of an element, what does not fit is told with its document. */
	bool whole_row = list_member_int(plan_item(plan, PlanItem::attributes), 0);
	if (options->unnest != nullptr ||
		list_member_int(plan_item(plan, PlanItem::slot_columns), SelfItemPointerAttributeNumber))
		find.paths = lappend(find.paths, makeString(pstrdup("_id")));
	for (int i = 0; i < row->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(row, i);
		if (attribute->attisdropped ||
			!(whole_row ||
			  list_member_int(plan_item(plan, PlanItem::attributes), attribute->attnum)))
			continue;
		ColumnOptions column = column_options(foreign_table, attribute->attnum);
		find.whole = find.whole || !column.is_field();
		find.paths = lappend(find.paths, makeString(pstrdup(column.path)));
	}
	return find;
}

/*
 * Begin
 */

static void
use_slot_columns(Scan *scan, List *columns)
{
	int natts = RelationGetNumberOfAttributes(scan->table);
	ListCell *cell;

	scan->slot_columns =
		static_cast<AttrNumber *>(palloc(sizeof(AttrNumber) * Max(list_length(columns), 1)));
	foreach (cell, columns)
		scan->slot_columns[scan->slot_width++] = static_cast<AttrNumber>(lfirst_int(cell));
	scan->values = static_cast<Datum *>(palloc0(sizeof(Datum) * Max(natts, 1)));
	scan->nulls = static_cast<bool *>(palloc0(sizeof(bool) * Max(natts, 1)));
}

void
begin_foreign_scan(ForeignScanState *node, int flags)
{
	auto *plan = reinterpret_cast<ForeignScan *>(node->ss.ps.plan);
	EState *estate = node->ss.ps.state;

	if (flags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	auto *scan = static_cast<Scan *>(palloc0(sizeof(Scan)));
	Index relation = scanned_relation(plan);
	scan->table = tenancy_scanned_relation(estate, relation);
	Oid foreign_table = RelationGetRelid(scan->table);
	scan->options = table_options(foreign_table);
	scan->database = scan->options.database;
	scan->server = GetForeignTable(foreign_table)->serverid;
	scan->user = tenancy_scan_user(plan, exec_rt_fetch(relation, estate));
	scan->columns = column_map_build(scan->table, wanted_columns(plan), estate->es_query_cxt);
	scan->find = describe_find(plan, &scan->options, foreign_table, RelationGetDescr(scan->table));
	scan->operand_states = ExecInitExprList(plan->fdw_exprs, &node->ss.ps);
	scan->look_up = plan_bound(plan, PlanItem::look_up, scan->find.operands);
	if (scan->find.group != NIL)
	{
		scan->groups = group_reader_build(scan->find.group, estate->es_query_cxt);
		scan->gathered_slot = MakeSingleTupleTableSlot(
			node->ss.ss_ScanTupleSlot->tts_tupleDescriptor, &TTSOpsMinimalTuple);
	}
	else if (plan_item(plan, PlanItem::slot_columns) != NIL || plan->scan.scanrelid == 0)
		use_slot_columns(scan, plan_item(plan, PlanItem::slot_columns));
	scan->asynchronous = node->ss.ps.async_capable;
	scan->context =
		AllocSetContextCreate(estate->es_query_cxt, "tenancy_mongo scan", ALLOCSET_DEFAULT_SIZES);
	node->fdw_state = scan;
}

/*
 * The tenant
 */

/* The tenant of the scan that starts; false if there is none. */
static bool
take_tenant(Scan *scan)
{
	if (!follows_tenant(&scan->options))
		return true;

	scan->options.database = route_database(scan->database);
	const char *tenant = current_tenant();
	if (tenant == nullptr)
		return false;
	scan->find.tenant.type = CSTRINGOID;
	scan->find.tenant.value = CStringGetDatum(pstrdup(tenant));
	return true;
}

static void
check_tenant(Scan *scan)
{
	if (!follows_tenant(&scan->options))
		return;

	const char *tenant = current_tenant();
	if (tenant == nullptr || strcmp(tenant, DatumGetCString(scan->find.tenant.value)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tenant context has changed while foreign table \"%s\" was being read",
						RelationGetRelationName(scan->table)),
				 errhint("Close cursors before the tenant changes.")));
}

/*
 * The cursor
 */

static void
compute_operands(ForeignScanState *node, Scan *scan)
{
	ExprContext *context = node->ss.ps.ps_ExprContext;
	int i = 0;
	ListCell *cell;

	foreach (cell, scan->operand_states)
	{
		Operand *operand = &scan->find.operands[i++];
		operand->value =
			ExecEvalExpr(static_cast<ExprState *>(lfirst(cell)), context, &operand->isnull);
	}
	if (scan->look_up != nullptr)
	{
		scan->look_up->value = scan->keys;
		scan->look_up->isnull = scan->keys == (Datum) 0;
	}
}

/*
 * Without the option the first batch is the server's own choice, which is a small one: many scans want no more.  The later
 * ones are large enough to make round trips cheap, and small enough to stay in the processor's cache and the backend small.
 */
static constexpr int default_batch_size = 5000;

/* How long a connection that died unnoticed may take to show it. */
static constexpr int stale_connection_ms = 1000;

/* The server answered, but it is not the primary any more, or not for long. */
static bool
primary_has_changed(const Failure *failure)
{
	return failure->server_code != 0 && strcmp(failure->state, sqlstate::connection_failure) == 0;
}

/* A kept connection may have died since its last use, and a primary may have changed: then there is a second try. */
bool
worth_another_try(const Failure *failure, bool broken, bool kept, TimestampTz started)
{
	return primary_has_changed(failure) ||
		   (kept && broken &&
			!TimestampDifferenceExceeds(started, GetCurrentTimestamp(), stale_connection_ms));
}

const char *
collection_words(const Scan *scan)
{
	return psprintf("collection \"%s.%s\"", scan->options.database, scan->options.collection);
}

int
later_batch_size(const Scan *scan)
{
	return scan->options.batch_size > 0 ? scan->options.batch_size : default_batch_size;
}

/* Once the local transaction has written it reads in MongoDB's transaction, of which there is but one: no second try. */
void
open_cursor(Scan *scan, const bson_t *command)
{
	TimestampTz started = GetCurrentTimestamp();
	const char *what = collection_words(scan);
	bool kept = false;
	Transaction *transaction = transaction_current(scan->server, scan->user);
	Client *client =
		transaction == nullptr ? connection_get(scan->server, scan->user, &kept) : nullptr;
	CursorHome *home = own<CursorHome>(scan->context);
	Failure failure;
	auto open = [&]
	{
		if (transaction != nullptr)
			home->cursor.emplace(*transaction, scan->options.database, command, what);
		else
			home->cursor.emplace(*client, scan->options.database, command, what);
	};

	pgstat_report_wait_start(PG_WAIT_EXTENSION);
	if (!attempt(&failure, open))
	{
		if (transaction != nullptr)
			transaction_read_failed(scan->server, scan->user);
		if (client == nullptr || !worth_another_try(&failure, client->broken(), kept, started))
			raise_failure(&failure);
		CHECK_FOR_INTERRUPTS();
		client = connection_get(scan->server, scan->user);
		guarded(open);
	}
	pgstat_report_wait_end();
	home->cursor->set_batch_size(later_batch_size(scan));
	if (scan->asynchronous)
		home->cursor->set_patient();
	scan->home = home;
}

/*
 * A collection that does not exist is empty to MongoDB, but most often a mistake.  So the first empty answer of a table is
 * looked into, and it is remembered which have been found.
 */

/* Asks for the collection by name; a user who may not ask is taken at his word. */
static bool
collection_exists(Scan *scan)
{
	static constexpr int unauthorized = 13;
	Client *client = connection_get(scan->server, scan->user);
	bson_t *command = new_document();
	bson_t filter;
	Failure failure;
	bool exists = false;

	BSON_APPEND_INT32(command, "listCollections", 1);
	BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &filter);
	BSON_APPEND_UTF8(&filter, "name", scan->options.collection);
	bson_append_document_end(command, &filter);
	BSON_APPEND_BOOL(command, "nameOnly", true);
	BSON_APPEND_BOOL(command, "authorizedCollections", true);

	bool asked =
		attempt(&failure,
				[&]
				{
					Document reply = client->command(scan->options.database, command, true);
					bson_iter_t field;
					bson_iter_t found;
					exists = bson_iter_init(&field, reply.get()) &&
							 bson_iter_find_descendant(&field, "cursor.firstBatch.0", &found);
				});
	if (!asked && failure.server_code != unauthorized)
		raise_failure(&failure);
	return exists || !asked;
}

static void
check_collection(Scan *scan)
{
	/* What the transaction itself has created is not to be seen outside of it. */
	if (collection_is_known(RelationGetRelid(scan->table), scan->options.database) ||
		transaction_current(scan->server, scan->user) != nullptr)
		return;
	if (!scan->seen && !collection_exists(scan))
		ereport(
			ERROR,
			(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
			 errmsg("collection \"%s.%s\" of foreign table \"%s\" does not exist",
					scan->options.database, scan->options.collection,
					RelationGetRelationName(scan->table)),
			 errhint(
				 "Create the collection, or correct the name: ALTER FOREIGN TABLE %s OPTIONS (SET "
				 "collection '...');",
				 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(scan->table)),
											RelationGetRelationName(scan->table)))));
	remember_collection(RelationGetRelid(scan->table), scan->options.database);
}

/*
 * A projection may lack _id, which a complaint must name.  So a document is looked up that the scan would meet and that
 * holds the same value in the same place.
 */
static const char *
find_document_id(Scan *scan, const bson_t *document, const char *path)
{
	Client *client = connection_get(scan->server, scan->user);
	bson_t *filter = new_document();
	bson_t *command = new_document();
	bson_t *value = new_document();
	Items both = new_items();
	bson_iter_t field;
	bson_iter_t misfit;
	Failure failure;

	if (!bson_iter_init(&field, document) || !bson_iter_find_descendant(&field, path, &misfit) ||
		!deparse_filter(&scan->find, filter))
		return nullptr;
	bson_t inner;
	bson_append_document_begin(value, path, -1, &inner);
	bson_append_iter(&inner, "$eq", -1, &misfit);
	bson_append_document_end(value, &inner);
	both.add(filter);
	both.add(value);

	bson_t all;
	bson_t projection;
	BSON_APPEND_UTF8(command, "find", scan->options.collection);
	BSON_APPEND_DOCUMENT_BEGIN(command, "filter", &all);
	BSON_APPEND_ARRAY(&all, "$and", both.array);
	bson_append_document_end(command, &all);
	BSON_APPEND_DOCUMENT_BEGIN(command, "projection", &projection);
	BSON_APPEND_INT32(&projection, "_id", 1);
	bson_append_document_end(command, &projection);
	BSON_APPEND_INT64(command, "limit", 1);

	CursorHome *home = own<CursorHome>(CurrentMemoryContext);
	const bson_t *found = nullptr;
	if (!attempt(&failure,
				 [&]
				 {
					 home->cursor.emplace(*client, scan->options.database, command,
										  "the document's _id");
					 found = home->cursor->next();
				 }))
		return nullptr;
	return found != nullptr && bson_iter_init_find(&field, found, "_id") ? bson_value_text(&field)
																		 : nullptr;
}

/*
 * Rows
 */

/* pg_stat_activity shows a wait for MongoDB as one of an extension; an ERROR ends it as well. */
static const bson_t *
read_document(Scan *scan)
{
	Cursor *cursor = &*scan->home->cursor;
	const bson_t *document = nullptr;
	bool waits = !cursor->has_buffered();
	Failure failure;

	if (waits)
		pgstat_report_wait_start(PG_WAIT_EXTENSION);
	if (unlikely(!attempt(&failure, [&] { document = cursor->next(); })))
	{
		transaction_read_failed(scan->server, scan->user);
		raise_failure(&failure);
	}
	if (waits)
		pgstat_report_wait_end();
	return document;
}

static const bson_t *
next_document(Scan *scan)
{
	const bson_t *document = read_document(scan);

	if (!scan->seen)
	{
		scan->seen = document != nullptr;
		MemoryContext caller = MemoryContextSwitchTo(scan->context);
		check_collection(scan);
		MemoryContextSwitchTo(caller);
	}
	return document;
}

static void
convert(Scan *scan, const bson_t *document, Datum *values, bool *nulls)
{
	Mismatch mismatch;

	if (likely(column_map_convert(scan->columns, document, values, nulls, &mismatch)))
		return;
	if (mismatch.document_id == nullptr && mismatch.path[0] != '\0')
		mismatch.document_id = find_document_id(scan, document, mismatch.path);
	CHECK_FOR_INTERRUPTS();
	report_mismatch(&mismatch, scan->table);
}

/* {_id: …} as bytea: by this an UPDATE or DELETE finds the document again. */
static Datum
row_id(const Scan *scan, const bson_t *document)
{
	bson_t *id = new_document();
	bson_iter_t field;

	if (!bson_iter_init_find(&field, document, "_id"))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a document of foreign table \"%s\" has no _id",
							   RelationGetRelationName(scan->table)),
						errdetail("Without it the document cannot be found again.")));
	bson_append_iter(id, nullptr, 0, &field);

	auto *bytes = static_cast<bytea *>(palloc(VARHDRSZ + id->len));
	SET_VARSIZE(bytes, VARHDRSZ + id->len);
	memcpy(VARDATA(bytes), bson_get_data(id), id->len);
	return PointerGetDatum(bytes);
}

/* A column of a slot that is not the table's: an attribute, or what else a scan that feeds an
 * UPDATE has to give. */
static void
fill_slot_column(Scan *scan, const bson_t *document, AttrNumber attribute, Datum *value,
				 bool *isnull)
{
	*isnull = false;
	switch (attribute)
	{
		case SelfItemPointerAttributeNumber:
			*value = row_id(scan, document);
			break;
		case TableOidAttributeNumber:
			*value = ObjectIdGetDatum(RelationGetRelid(scan->table));
			break;
		case InvalidAttrNumber:
			*value = heap_copy_tuple_as_datum(
				heap_form_tuple(RelationGetDescr(scan->table), scan->values, scan->nulls),
				RelationGetDescr(scan->table));
			break;
		default:
			*value = scan->values[attribute - 1];
			*isnull = scan->nulls[attribute - 1];
			break;
	}
}

static void
fill_slot(Scan *scan, const bson_t *document, TupleTableSlot *slot)
{
	if (scan->groups != nullptr)
		group_reader_fill(scan->groups, scan->table, document, slot->tts_values, slot->tts_isnull);
	else if (scan->slot_columns == nullptr)
		convert(scan, document, slot->tts_values, slot->tts_isnull);
	else
	{
		convert(scan, document, scan->values, scan->nulls);
		for (int i = 0; i < scan->slot_width; i++)
			fill_slot_column(scan, document, scan->slot_columns[i], &slot->tts_values[i],
							 &slot->tts_isnull[i]);
	}
	ExecStoreVirtualTuple(slot);
}

/* Aggregates without GROUP BY have a row even where there is no document: also without a tenant. */
static void
fill_empty_slot(Scan *scan, TupleTableSlot *slot)
{
	if (scan->groups == nullptr || scan->returned || group_has_keys(scan->groups))
		return;
	group_reader_empty(scan->groups, slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
	scan->returned = true;
}

/*
 * Start
 */

bson_t *
scan_command(Scan *scan)
{
	bson_t *command = new_document();

	/* A transaction of MongoDB has a read concern of its own. */
	scan->find.read_concern = transaction_current(scan->server, scan->user) == nullptr
								  ? scan->options.read_concern
								  : nullptr;
	if (!deparse_scan(&scan->find, command))
		return nullptr;
	put_scan_time_limit(command);
	return command;
}

static bool
open_scan(Scan *scan)
{
	const bson_t *command = scan->command != nullptr ? scan->command : scan_command(scan);
	bool sent = scan->sent;

	scan->command = nullptr;
	scan->sent = false;
	if (command == nullptr)
		return false;
	if (sent)
		finish_cursor(scan, command);
	else
		open_cursor(scan, command);
	return true;
}

/* Keeps the groups of the quick command; false if one of them is not what the exact command would give. */
static bool
gather_groups(ForeignScanState *node, Scan *scan)
{
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	MemoryContext row =
		AllocSetContextCreate(scan->context, "tenancy_mongo group", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(row);
	bool agrees = true;

	while (agrees)
	{
		MemoryContextReset(row);
		CHECK_FOR_INTERRUPTS();
		const bson_t *group = next_document(scan);
		if (group == nullptr)
			break;
		agrees = group_reader_fill_plain(scan->groups, scan->find.plain, group, slot->tts_values,
										 slot->tts_isnull);
		if (agrees)
			tuplestore_putvalues(scan->gathered, slot->tts_tupleDescriptor, slot->tts_values,
								 slot->tts_isnull);
	}
	MemoryContextSwitchTo(caller);
	return agrees;
}

static GroupTry
next_try(GroupTry attempt)
{
	return attempt == GroupTry::numbers ? GroupTry::natural : GroupTry::exact;
}

/* The quickest way to ask for groups that there is, of those that have not failed. */
static void
choose_try(Scan *scan)
{
	scan->find.plain = nullptr;
	while (scan->attempt != GroupTry::exact)
	{
		scan->find.plain = plain_group_build(scan->find.group, scan->attempt);
		if (scan->find.plain != nullptr)
			return;
		scan->attempt = next_try(scan->attempt);
	}
}

/*
 * Groups are asked for the quick ways first, where there are some.  If the documents turn out to be of a kind for which the
 * answer would be another, what has come is forgotten, and the next command is run.  Documents seldom change their kind, so the
 * next scan of that sort begins where this one has ended, until the table or a server is altered or analysed.
 */
static void
start_groups(ForeignScanState *node, Scan *scan)
{
	while (scan->attempt != GroupTry::exact)
	{
		scan->gathered = tuplestore_begin_heap(false, false, work_mem);
		if (!open_scan(scan) || gather_groups(node, scan))
			return;
		tuplestore_end(scan->gathered);
		scan->gathered = nullptr;
		guarded([&] { scan->home->cursor.reset(); });
		scan->attempt = next_try(scan->attempt);
		remember_group_try(RelationGetRelid(scan->table), scan->find.group, scan->attempt);
		choose_try(scan);
	}
	scan->finished = !open_scan(scan);
}

bool
scan_prepare(ForeignScanState *node, Scan *scan)
{
	MemoryContext caller = MemoryContextSwitchTo(scan->context);
	bool asks = take_tenant(scan);

	scan->started = true;
	scan->finished = true; /* unless there is something to read */
	scan->seen = false;
	scan->returned = false;
	if (asks)
		compute_operands(node, scan);
	if (asks && scan->groups != nullptr)
	{
		scan->attempt = known_group_try(RelationGetRelid(scan->table), scan->find.group);
		choose_try(scan);
	}
	MemoryContextSwitchTo(caller);
	return asks;
}

void
scan_open(ForeignScanState *node, Scan *scan)
{
	MemoryContext caller = MemoryContextSwitchTo(scan->context);

	if (scan->groups != nullptr)
		start_groups(node, scan);
	else
		scan->finished = !open_scan(scan);
	MemoryContextSwitchTo(caller);
}

/* Closes the cursor and forgets everything that belongs to it. */
static void
stop(Scan *scan)
{
	if (scan->gathered != nullptr)
	{
		ExecClearTuple(scan->gathered_slot);
		tuplestore_end(scan->gathered);
	}
	scan->gathered = nullptr;
	scan->home = nullptr;
	scan->command = nullptr;
	scan->sent = false;
	MemoryContextReset(scan->context);
}

/* The next group that was kept; false: none.  One that comes from disk lives until the slot is cleared, longer than a row. */
static bool
next_gathered(Scan *scan, TupleTableSlot *slot)
{
	int width = slot->tts_tupleDescriptor->natts;

	if (scan->gathered == nullptr)
		return false;
	check_tenant(scan);
	MemoryContext caller = MemoryContextSwitchTo(scan->context);
	bool found = tuplestore_gettupleslot(scan->gathered, true, false, scan->gathered_slot);
	MemoryContextSwitchTo(caller);
	if (!found)
		return false;
	slot_getallattrs(scan->gathered_slot);
	memcpy(slot->tts_values, scan->gathered_slot->tts_values,
		   sizeof(Datum) * static_cast<size_t>(width));
	memcpy(slot->tts_isnull, scan->gathered_slot->tts_isnull,
		   sizeof(bool) * static_cast<size_t>(width));
	ExecStoreVirtualTuple(slot);
	scan->returned = true;
	return true;
}

TupleTableSlot *
iterate_foreign_scan(ForeignScanState *node)
{
	auto *scan = static_cast<Scan *>(node->fdw_state);
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);
	if (unlikely(!scan->started) && scan_prepare(node, scan))
		scan_open(node, scan);
	if (scan->finished)
	{
		if (!next_gathered(scan, slot))
			fill_empty_slot(scan, slot);
		return slot;
	}

	/* An asynchronous one is told when there is more. */
	if (scan->asynchronous && !scan->home->cursor->has_buffered())
	{
		if (!scan->ready)
			return slot;
		scan->ready = false;
	}

	check_tenant(scan);
	const bson_t *document = next_document(scan);
	if (document == nullptr)
	{
		scan->finished = true;
		stop(scan);
		fill_empty_slot(scan, slot);
	}
	else
	{
		fill_slot(scan, document, slot);
		scan->returned = true;
	}
	return slot;
}

/*
 * For a change of all that the scan finds, by one command (direct_modify.cpp)
 */

bool
scan_start_filtered(ForeignScanState *node, bson_t *filter, bool read)
{
	auto *scan = static_cast<Scan *>(node->fdw_state);
	MemoryContext caller = MemoryContextSwitchTo(scan->context);
	bool matches = take_tenant(scan);

	scan->started = true;
	scan->finished = true;
	scan->seen = false;
	if (matches)
	{
		compute_operands(node, scan);
		matches = deparse_filter(&scan->find, filter);
	}
	if (matches && read)
		scan->finished = !open_scan(scan);
	MemoryContextSwitchTo(caller);
	return matches;
}

bool
scan_next_row(ForeignScanState *node, Datum **values, bool **nulls)
{
	auto *scan = static_cast<Scan *>(node->fdw_state);

	CHECK_FOR_INTERRUPTS();
	if (scan->finished)
		return false;
	check_tenant(scan);
	const bson_t *document = next_document(scan);
	if (document == nullptr)
	{
		scan->finished = true;
		stop(scan);
		return false;
	}
	convert(scan, document, scan->values, scan->nulls);
	*values = scan->values;
	*nulls = scan->nulls;
	return true;
}

void
rescan_foreign_scan(ForeignScanState *node)
{
	auto *scan = static_cast<Scan *>(node->fdw_state);

	stop(scan);
	scan->started = false;
}

void
scan_look_up(ForeignScanState *node, Datum keys)
{
	static_cast<Scan *>(node->fdw_state)->keys = keys;
	ExecReScan(&node->ss.ps);
}

bool
scan_follows_tenant(ForeignScanState *node)
{
	return follows_tenant(&static_cast<Scan *>(node->fdw_state)->options);
}

void
end_foreign_scan(ForeignScanState *node)
{
	auto *scan = static_cast<Scan *>(node->fdw_state);

	/* The rest goes with the query; a cursor that is still open should not wait for that. */
	if (scan != nullptr)
		stop(scan);
}

/*
 * EXPLAIN
 */

/* Constants have their values; what is computed when the scan starts is shown as the expression that it is. */
static void
name_operands(FindCommand *find, ForeignScan *plan, ExplainState *explain)
{
	List *context =
		set_deparse_context_plan(explain->deparse_cxt, reinterpret_cast<Plan *>(plan), NIL);
	int i = 0;
	ListCell *cell;

	foreach (cell, plan->fdw_exprs)
	{
		auto *expression = static_cast<Node *>(lfirst(cell));
		Operand *operand = &find->operands[i++];

		if (IsA(expression, Const))
		{
			operand->value = reinterpret_cast<Const *>(expression)->constvalue;
			operand->isnull = reinterpret_cast<Const *>(expression)->constisnull;
		}
		else
			operand->name = deparse_expression(expression, context, true, false);
	}
	Operand *look_up = plan_bound(plan, PlanItem::look_up, find->operands);
	if (look_up != nullptr)
		look_up->name = "keys of the batch";
	find->tenant.name = "tenancy.current_tenant()";
}

FindCommand
scan_explain_find(ForeignScanState *node, const TableOptions *options, ExplainState *explain)
{
	auto *plan = reinterpret_cast<ForeignScan *>(node->ss.ps.plan);
	Oid foreign_table = exec_rt_fetch(scanned_relation(plan), node->ss.ps.state)->relid;
	Relation table = RelationIdGetRelation(foreign_table);
	FindCommand find = describe_find(plan, options, foreign_table, RelationGetDescr(table));

	RelationClose(table);
	name_operands(&find, plan, explain);
	return find;
}

static const char *
table_name(Oid foreign_table, ExplainState *explain)
{
	const char *name = get_rel_name(foreign_table);

	return explain->verbose ? quote_qualified_identifier(
								  get_namespace_name(get_rel_namespace(foreign_table)), name)
							: quote_identifier(name);
}

static bool
explain_command(const char *label, const FindCommand *find, ExplainState *explain)
{
	bson_t *command = new_document();
	bool sent = deparse_scan(find, command);

	ExplainPropertyText(
		label, sent ? bson_document_text(command) : "none: no document can match", explain);
	return sent;
}

/* The command; of groups that which is tried first, and what follows if its answer is not to be had. */
static void
explain_commands(FindCommand *find, ExplainState *explain)
{
	static constexpr const char *labels[] = {
		"Remote command", "Remote command if values are missing",
		"Remote command if values differ in type"};
	bool first = true;
	bool sent = true;

	for (GroupTry attempt = GroupTry::numbers; find->group != NIL && attempt != GroupTry::exact;
		 attempt = next_try(attempt))
	{
		find->plain = plain_group_build(find->group, attempt);
		if (find->plain != nullptr && sent)
		{
			sent = explain_command(labels[first ? 0 : 1], find, explain);
			first = false;
		}
	}
	find->plain = nullptr;
	if (sent)
		explain_command(labels[first ? 0 : 2], find, explain);
}

void
explain_foreign_scan(ForeignScanState *node, ExplainState *explain)
{
	auto *plan = reinterpret_cast<ForeignScan *>(node->ss.ps.plan);
	Oid foreign_table = exec_rt_fetch(scanned_relation(plan), node->ss.ps.state)->relid;

	/* Such a plan is of no relation to the server, which leaves out the name. */
	if (plan->scan.scanrelid == 0)
		ExplainPropertyText(
			"Relations",
			psprintf("%s on (%s)", plan_item(plan, PlanItem::group) != NIL ? "Aggregate" : "Limit",
					 table_name(foreign_table, explain)),
			explain);
	if (!explain->verbose)
		return;

	TableOptions options = table_options(foreign_table);
	FindCommand find = scan_explain_find(node, &options, explain);

	ExplainPropertyText("Remote database", options.database, explain);
	explain_commands(&find, explain);
}

} // namespace bridge
