/*
 * apply.cpp — one batch, one transaction; and which document is to blame if it fails.
 *
 * The rows, the misfits and the stream's new position are one transaction.  First it is tried as a whole, without
 * subtransactions and without locking rows.  If a document is to blame (a constraint, a trigger, a value out of range),
 * everything is rolled back and the batch is done *carefully*: halves of halves in subtransactions, until only the
 * documents that fail are left.  Those are tried again, in order, because what they waited for may be there by now (the
 * other side of a foreign key); then with their rows taken out first, because they may stand in each other's way (two
 * documents that swap a unique value); and what fails still is a misfit, and its row is gone.
 *
 * If the table is to blame (a missing privilege, a dropped function), the table stops and is copied again when that is
 * mended.  If it is the server (disk full, a deadlock, a shutdown), the worker ends and starts over at the old position.
 */
#include "event_batch.h"

namespace bridge
{

namespace
{

/* Files that fail for a reason without an SQLSTATE of its own, such as a quota: that is the disk's fault. */
bool
tells_of_file(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_INTERNAL_ERROR && error->message_id &&
		   strstr(error->message_id, "file \"%s\"");
}

} // namespace

Blame
blame(const ErrorData *error)
{
	const int sqlstate = error->sqlerrcode;

	if (tells_of_file(error))
		return Blame::server;
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case MAKE_SQLSTATE('0', '9', '0', '0', '0'): /* triggered action exception */
		case MAKE_SQLSTATE('2', '1', '0', '0', '0'): /* cardinality violation */
		case MAKE_SQLSTATE('2', '2', '0', '0', '0'): /* data exception */
		case MAKE_SQLSTATE('2', '3', '0', '0', '0'): /* integrity constraint violation */
		case MAKE_SQLSTATE('2', '7', '0', '0', '0'): /* triggered data change violation */
		case MAKE_SQLSTATE('3', '8', '0', '0', '0'): /* external routine exception */
		case MAKE_SQLSTATE('3', '9', '0', '0', '0'): /* external routine invocation exception */
		case MAKE_SQLSTATE('4', '4', '0', '0', '0'): /* with check option violation */
		case MAKE_SQLSTATE('5', '4', '0', '0', '0'): /* program limit exceeded: a key too long */
		case MAKE_SQLSTATE('P', '0', '0', '0', '0'): /* raised by a trigger */
			return Blame::document;
		case MAKE_SQLSTATE('0', 'A', '0', '0', '0'): /* feature not supported */
		case MAKE_SQLSTATE('4', '2', '0', '0', '0'): /* syntax error or access rule violation */
			return Blame::table;
		default:
			if (sqlstate == ERRCODE_INTERNAL_ERROR)
				return Blame::document;
			if (sqlstate == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
				return Blame::table;
			return Blame::server;
	}
}

namespace
{

/* Is this one of the collections that an upheaval took away? */
bool
is_taken_away(const MirrorTable *table, const EventBatch *batch)
{
	if (batch->upheaval == Upheaval::none || strcmp(table->database, batch->from.database) != 0)
		return false;
	return batch->upheaval == Upheaval::drop_database ||
		   strcmp(table->collection, batch->from.collection) == 0;
}

void
apply_change(Applier *applier, const Change *change)
{
	Target *target = applier_target(applier, change->table);
	bson_t document;
	bson_iter_t key;

	CHECK_FOR_INTERRUPTS();
	switch (change->kind)
	{
		case ChangeKind::upsert:
			if (!bson_init_static(&document, change->document, change->document_length))
				elog(ERROR, "malformed document in a change event");
			(void) target_upsert(target, &document, change->time);
			change->table->events += change->routed ? 1 : 0;
			break;
		case ChangeKind::remove:
			if (change_key(change, &key) && target_remove(target, &key))
				change->table->events += change->routed ? 1 : 0;
			break;
		case ChangeKind::look_up:
		case ChangeKind::nothing:
			break;
	}
}

/* What to do with each change of a range. */
enum class Attempt
{
	apply,
	take_out_first /* the row goes, and comes again */
};

/* The tables of some changes that are written as one user, each once. */
int
tables_of(const Change *changes, int from, int to, Oid user, MirrorTable **tables)
{
	int count = 0;

	for (int i = from; i < to; i++)
		if (!changes[i].table->chosen && table_writer(changes[i].table) == user)
		{
			changes[i].table->chosen = true;
			tables[count++] = changes[i].table;
		}
	for (int i = 0; i < count; i++)
		tables[i]->chosen = false;
	return count;
}

/* Applies the changes of a range to the tables that are written as one user; false if a definition has changed. */
bool
apply_as(Oid user, const Change *changes, int from, int to, Attempt how, bool careful)
{
	auto **tables = static_cast<MirrorTable **>(
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(MirrorTable *) * (to - from)));
	int count = tables_of(changes, from, to, user, tables);
	Applier *applier = applier_open(tables, count, RowExclusiveLock, careful);
	bson_iter_t key;

	if (!applier)
		return false;
	for (int i = from; i < to; i++)
	{
		if (table_writer(changes[i].table) != user)
			continue;
		if (how == Attempt::take_out_first && change_key(&changes[i], &key))
		{
			(void) target_remove(applier_target(applier, changes[i].table), &key);
			CommandCounterIncrement();
		}
		apply_change(applier, &changes[i]);
	}
	applier_close(applier);
	pfree(tables);
	return true;
}

/* Applies a range, user by user, mostly one; false if a definition has changed. */
bool
apply_range(const Change *changes, int from, int to, Attempt how, bool careful)
{
	List *users = NIL;
	ListCell *cell;

	for (int i = from; i < to; i++)
		users = list_append_unique_oid(users, table_writer(changes[i].table));
	foreach (cell, users)
		if (!apply_as(lfirst_oid(cell), changes, from, to, how, careful))
			return false;
	list_free(users);
	return true;
}

void
fail_for_changed_definition()
{
	ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					errmsg("a mirrored table changed while rows were applied")));
}

/* ---- carefully ---- */

struct Careful
{
	Change *changes;
	ErrorData **errors; /* by change; null: it is done */
	MemoryContext context;
	bool stop_tables;
};

/* Runs something in a subtransaction; the error if that fails and a document or table is to blame. */
template <class Body>
ErrorData *
try_in_subtransaction(MemoryContext context, Body &&body)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = nullptr;

	BeginInternalSubTransaction(nullptr);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		body();
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (blame(error) == Blame::server)
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	CommandCounterIncrement();
	return error;
}

/* What is rolled back has not been counted. */
ErrorData *
try_range(Careful *careful, int from, int to, Attempt how)
{
	auto *counted = static_cast<int64 *>(
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * (to - from)));

	for (int i = from; i < to; i++)
		counted[i - from] = careful->changes[i].table->events;
	ErrorData *error = try_in_subtransaction(careful->context, [&] {
		if (!apply_range(careful->changes, from, to, how, true))
			fail_for_changed_definition();
	});
	for (int i = from; error && i < to; i++)
		careful->changes[i].table->events = counted[i - from];
	pfree(counted);
	return error;
}

/* Halves of halves, until the changes that fail are alone. */
void
bisect(Careful *careful, int from, int to)
{
	ErrorData *error = try_range(careful, from, to, Attempt::apply);

	if (!error)
		return;
	if (to - from == 1)
	{
		careful->errors[from] = error;
		return;
	}
	FreeErrorData(error);
	bisect(careful, from, from + (to - from) / 2);
	bisect(careful, from + (to - from) / 2, to);
}

void
make_misfit(Careful *careful, int i)
{
	const Change *change = &careful->changes[i];
	const ErrorData *error = careful->errors[i];
	bson_t document;
	Mismatch mismatch = {};

	(void) bson_init_static(&document, change->document, change->document_length);
	mismatch.sqlstate = unpack_sql_state(error->sqlerrcode);
	mismatch.reason = error->message;
	misfit_add(change->table, &document, &mismatch, change->time);
}

/* The last word on a change that failed: applied, a misfit, or its whole table stops. */
void
settle(Careful *careful, int i)
{
	Change *change = &careful->changes[i];
	ErrorData *error;
	Change removal = *change;

	if (change->table->phase == Phase::error)
		return;
	if (blame(careful->errors[i]) == Blame::document)
	{
		if (!try_range(careful, i, i + 1, Attempt::take_out_first))
			return;
		removal.kind = ChangeKind::remove;
		Careful alone = {&removal, nullptr, careful->context, false};
		error = try_range(&alone, 0, 1, Attempt::apply);
		if (!error && change->kind == ChangeKind::upsert)
			make_misfit(careful, i);
		if (!error)
			return;
		careful->errors[i] = error; /* not even its row can go */
	}
	if (!careful->stop_tables)
		ReThrowError(careful->errors[i]);
	stop_table(change->table, careful->errors[i]);
}

/* ---- upheavals ---- */

void
empty_table(MirrorTable *table)
{
	Applier *applier = applier_open(&table, 1, RowExclusiveLock, true);

	if (!applier)
		fail_for_changed_definition();
	(void) target_remove_others(applier_target(applier, table), nullptr);
	applier_close(applier);
	misfit_remove_all(table);
}

/*
 * A collection that is gone takes its rows along; one that became another is copied again.  A table that was copied later
 * than that has what came of it, and its events up to the copy are passed over: so is this.
 */
void
follow_upheaval(Stream *stream, EventBatch *batch, const char *position, bool careful)
{
	for (int i = 0; i < stream->table_count; i++)
	{
		MirrorTable *table = &stream->tables[i];
		ErrorData *error = nullptr;

		if (table->phase != Phase::follow || (table->since && strcmp(position, table->since) <= 0))
			continue;
		if (batch->upheaval == Upheaval::rename &&
			strcmp(table->database, batch->to.database) == 0 &&
			strcmp(table->collection, batch->to.collection) == 0)
			table_set_phase(table, Phase::copy, 0, nullptr);
		else if (!is_taken_away(table, batch))
			continue;
		else if (careful)
			error = try_in_subtransaction(batch->context, [&] { empty_table(table); });
		else
			empty_table(table);
		if (error)
			stop_table(table, error);
	}
}

/* ---- the transaction ---- */

/* Counts a table's events, and tells caches and other listeners of them. */
void
note_events(MirrorTable *table)
{
	table_note_events(table);
	if (mirror_notify)
		Async_Notify("tenancy_mongo_mirror",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(table->local)),
												get_rel_name(table->local)));
}

bool
run_transaction(Stream *stream, EventBatch *batch, const bson_t *token, bool careful)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	check_constraints_at_once();
	if (careful)
		apply_carefully(batch->changes, batch->count, batch->context, true);
	else if (!apply_range(batch->changes, 0, batch->count, Attempt::apply, false))
	{
		AbortCurrentTransaction();
		return false;
	}
	if (batch->upheaval != Upheaval::none)
	{
		CommandCounterIncrement();
		follow_upheaval(stream, batch, token_position(token), careful);
	}
	for (int i = 0; i < stream->table_count; i++)
		if (stream->tables[i].events > 0)
			note_events(&stream->tables[i]);
	stream_save(stream, token);
	PopActiveSnapshot();
	replorigin_session_origin_lsn = position_time(token_position(token));
	replorigin_session_origin_timestamp = GetCurrentTimestamp();
	CommitTransactionCommand();
	return true;
}

/* What a transaction changes in memory, should it be rolled back. */
struct Kept
{
	Phase phase;
	int64 events;
};

Kept *
keep_tables(const Stream *stream, MemoryContext context)
{
	auto *kept =
		static_cast<Kept *>(MemoryContextAlloc(context, sizeof(Kept) * stream->table_count));

	for (int i = 0; i < stream->table_count; i++)
		kept[i] = {stream->tables[i].phase, stream->tables[i].events};
	return kept;
}

void
restore_tables(Stream *stream, const Kept *kept)
{
	for (int i = 0; i < stream->table_count; i++)
	{
		stream->tables[i].phase = kept[i].phase;
		stream->tables[i].events = kept[i].events;
	}
}

} // namespace

void
stop_table(MirrorTable *table, const ErrorData *error)
{
	ereport(WARNING, (errcode(error->sqlerrcode),
					  errmsg("mirror of table %u stopped: %s", table->local, error->message),
					  errhint("It is copied again when the cause is mended.")));
	table_set_phase(table, Phase::error, error->sqlerrcode, error->message);
}

void
check_constraints_at_once()
{
	ConstraintsSetStmt *statement = makeNode(ConstraintsSetStmt);

	statement->deferred = false;
	AfterTriggerSetState(statement);
}

void
apply_carefully(Change *changes, int count, MemoryContext context, bool stop_tables)
{
	Careful careful = {changes, nullptr, context, stop_tables};

	if (count == 0)
		return;
	careful.errors =
		static_cast<ErrorData **>(MemoryContextAllocHuge(context, sizeof(ErrorData *) * count));
	memset(careful.errors, 0, sizeof(ErrorData *) * count);
	bisect(&careful, 0, count);
	for (int i = 0; i < count; i++)
		if (careful.errors[i] && blame(careful.errors[i]) == Blame::document)
			careful.errors[i] = try_range(&careful, i, i + 1, Attempt::apply);
	for (int i = 0; i < count; i++)
		if (careful.errors[i])
			settle(&careful, i);
}

bool
apply_batch(Stream *stream, EventBatch *batch, const bson_t *token)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool applied = false;
	volatile bool failed = false;
	const Kept *kept = keep_tables(stream, batch->context);

	PG_TRY();
	{
		applied = run_transaction(stream, batch, token, false);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(batch->context);
		ErrorData *error = CopyErrorData();

		if (blame(error) == Blame::server)
			PG_RE_THROW();
		FlushErrorState();
		AbortCurrentTransaction();
		restore_tables(stream, kept);
		failed = true;
	}
	PG_END_TRY();

	if (failed)
		applied = run_transaction(stream, batch, token, true);
	MemoryContextSwitchTo(caller);
	if (!applied)
		return false;
	stream_saved(stream, token);
	for (int i = 0; i < stream->table_count; i++)
	{
		stream->tables[i].events = 0;
		stream->tables[i].last_event_at = 0;
	}
	if (batch->upheaval != Upheaval::none)
		look_up_forget(stream->horizon);
	return true;
}

} // namespace bridge
