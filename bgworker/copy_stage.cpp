/*
 * copy_stage.cpp — the catalogue of copies that are under way, and reading back what they have read.  See copy_stage.h.
 */
#include "copy_stage.h"
#include "event_batch.h"

namespace bridge
{

int mirror_copy_workers = 2;
int mirror_resumable_copy_from = 128;

namespace
{

constexpr int ranges_of_worker =
	4; /* so that one that is larger than thought does not keep all waiting */

template <class Body>
void
in_transaction(Body &&body)
{
	MemoryContext caller = CurrentMemoryContext;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	body();
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
}

bytea *
bytes_column(int number, MemoryContext context)
{
	bool isnull;
	Datum value = statement_column(0, number, &isnull);
	MemoryContext caller = MemoryContextSwitchTo(context);
	bytea *bytes = isnull ? nullptr : DatumGetByteaPCopy(value);

	MemoryContextSwitchTo(caller);
	return bytes;
}

Datum
bytes_or_null(const bytea *bytes, char *null)
{
	*null = bytes ? ' ' : 'n';
	return PointerGetDatum(bytes);
}

/*
 * The copy stands for its cut only as long as the stream has not passed it: a table that was stopped meanwhile has missed
 * what happened.
 */
bool
is_valid(const Stream *stream, ClusterTime cut)
{
	return (stream->token ? position_time(stream->position) : stream->start_at) <= cut;
}

bool
select_copy(Stage *stage)
{
	static Statement select = {
		"SELECT source, cut, in_the_past, tenant_field, tenant FROM tenancy_mongo.initial_sync "
		"WHERE local_table = $1",
		1,
		{REGCLASSOID},
		nullptr};
	Datum values[] = {ObjectIdGetDatum(stage->local)};
	bool isnull;

	statement_execute(&select, values);
	const bool found = SPI_processed == 1;
	if (found)
	{
		MemoryContext spi = MemoryContextSwitchTo(stage->context);
		stage->what = statement_text(0, 1);
		stage->cut = DatumGetInt64(statement_column(0, 2, &isnull));
		stage->in_the_past = DatumGetBool(statement_column(0, 3, &isnull));
		stage->tenant_field = statement_text(0, 4);
		stage->tenant = statement_text(0, 5);
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
	return found;
}

void
insert_copy(const Stage *stage)
{
	static Statement insert = {
		"INSERT INTO tenancy_mongo.initial_sync (local_table, source, cut, tenant_field, tenant) "
		"VALUES ($1, $2, $3, $4, $5)",
		5,
		{REGCLASSOID, TEXTOID, INT8OID, TEXTOID, TEXTOID},
		nullptr};
	Datum values[] = {ObjectIdGetDatum(stage->local), CStringGetTextDatum(stage->what),
					  Int64GetDatum(stage->cut), (Datum) 0, (Datum) 0};

	if (stage->tenant_field)
	{
		values[3] = CStringGetTextDatum(stage->tenant_field);
		values[4] = CStringGetTextDatum(stage->tenant);
	}
	(void) statement_run(&insert, values, stage->tenant_field ? nullptr : "   nn");
}

void
insert_range(const Stage *stage, int number, const bytea *lower, const bytea *upper)
{
	static Statement insert = {"INSERT INTO tenancy_mongo.initial_sync_range (local_table, range, "
							   "lower, upper) VALUES ($1, $2, $3, $4)",
							   4,
							   {REGCLASSOID, INT4OID, BYTEAOID, BYTEAOID},
							   nullptr};
	char nulls[] = "    ";
	Datum values[4] = {ObjectIdGetDatum(stage->local), Int32GetDatum(number)};

	values[2] = bytes_or_null(lower, &nulls[2]);
	values[3] = bytes_or_null(upper, &nulls[3]);
	(void) statement_run(&insert, values, nulls);
}

bool
same_or_none(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The copy that was left off, if it is one of the same documents and still stands for its cut. */
bool
find_copy(Stage *stage, const Stream *stream)
{
	const Stage wanted = *stage;

	if (!select_copy(stage))
		return false;
	if (strcmp(stage->what, wanted.what) == 0 &&
		same_or_none(stage->tenant_field, wanted.tenant_field) &&
		same_or_none(stage->tenant, wanted.tenant) && is_valid(stream, stage->cut))
		return true;
	stage_remove(stage);
	*stage = wanted;
	return false;
}

/* The bounds of the ranges.  A tenant's part is not split: nobody knows where in the collection it is. */
Bounds
split_collection(Client *client, const MirrorTable *table)
{
	if (table->tenant_field || mirror_copy_workers <= 1)
		return {0, nullptr};
	return find_bounds(client, table, mirror_copy_workers * ranges_of_worker);
}

Stage *
stage_create(Oid local, Oid server, MemoryContext context)
{
	Stage *stage = static_cast<Stage *>(MemoryContextAllocZero(context, sizeof(Stage)));

	stage->context = context;
	stage->chunk_context =
		AllocSetContextCreate(context, "copied documents", ALLOCSET_DEFAULT_SIZES);
	stage->local = local;
	stage->server = server;
	return stage;
}

/* A collection's name has no dot that its database's has not. */
void
split_source(Stage *stage)
{
	char *dot;

	stage->database = MemoryContextStrdup(stage->context, stage->what);
	dot = const_cast<char *>(strchr(stage->database, '.'));
	*dot = '\0';
	stage->collection = dot + 1;
}

} // namespace

Stage *
stage_open(Stream *stream, const MirrorTable *table, Client *client, MemoryContext context)
{
	Stage *stage = stage_create(table->local, stream->server, context);
	MemoryContext caller = MemoryContextSwitchTo(context);
	bool found = false;

	stage->what = psprintf("%s.%s", table->database, table->collection);
	stage->tenant_field = table->tenant_field;
	stage->tenant = table->tenant_field ? table->tenant : nullptr;
	in_transaction([&] { found = find_copy(stage, stream); });
	if (!found && collection_size(client, table) <
					  static_cast<int64>(mirror_resumable_copy_from) * 1024 * 1024)
		stage = nullptr;
	else if (!found)
	{
		stage->cut = cluster_time_now(client);
		stage->in_the_past = true;
		Bounds bounds = split_collection(client, table);
		in_transaction(
			[&]
			{
				insert_copy(stage);
				for (int i = 0; i <= bounds.count; i++)
					insert_range(stage, i, i > 0 ? bounds.keys[i - 1] : nullptr,
								 i < bounds.count ? bounds.keys[i] : nullptr);
			});
	}
	if (stage)
		split_source(stage);
	MemoryContextSwitchTo(caller);
	return stage;
}

Stage *
stage_attach(Oid local, Oid server, MemoryContext context)
{
	Stage *stage = stage_create(local, server, context);
	bool found = false;

	in_transaction([&] { found = select_copy(stage); });
	if (!found)
		return nullptr;
	split_source(stage);
	return stage;
}

/* ---- ranges ---- */

Range *
stage_take_range(Stage *stage, MemoryContext context)
{
	static Statement take = {
		"UPDATE tenancy_mongo.initial_sync_range SET reader = pg_backend_pid() WHERE local_table = "
		"$1 "
		"AND range = (SELECT range FROM tenancy_mongo.initial_sync_range WHERE local_table = $1 "
		"AND "
		"reader IS NULL AND NOT done ORDER BY range LIMIT 1 FOR UPDATE SKIP LOCKED) "
		"RETURNING range, lower, upper, last, chunks",
		1,
		{REGCLASSOID},
		nullptr};
	Datum values[] = {ObjectIdGetDatum(stage->local)};
	Range *range = nullptr;
	bool isnull;

	in_transaction(
		[&]
		{
			statement_execute(&take, values);
			if (SPI_processed == 1)
			{
				range = static_cast<Range *>(MemoryContextAllocZero(context, sizeof(Range)));
				range->number = DatumGetInt32(statement_column(0, 1, &isnull));
				range->lower = bytes_column(2, context);
				range->upper = bytes_column(3, context);
				range->last = bytes_column(4, context);
				range->chunks = DatumGetInt32(statement_column(0, 5, &isnull));
			}
			SPI_finish();
		});
	return range;
}

void
stage_free_ranges(const Stage *stage)
{
	static Statement update = {"UPDATE tenancy_mongo.initial_sync_range SET reader = NULL WHERE "
							   "local_table = $1 AND NOT done AND reader IS NOT NULL",
							   1,
							   {REGCLASSOID},
							   nullptr};
	Datum values[] = {ObjectIdGetDatum(stage->local)};

	in_transaction([&] { (void) statement_run(&update, values); });
}

Progress
stage_progress(const Stage *stage)
{
	static Statement select = {
		"SELECT coalesce(sum(documents), 0)::bigint, coalesce(sum(bytes), 0)::bigint "
		"FROM tenancy_mongo.initial_sync_range WHERE local_table = $1",
		1,
		{REGCLASSOID},
		nullptr};
	Datum values[] = {ObjectIdGetDatum(stage->local)};
	Progress progress = {};
	bool isnull;

	in_transaction(
		[&]
		{
			statement_execute(&select, values);
			progress.documents = DatumGetInt64(statement_column(0, 1, &isnull));
			progress.bytes = DatumGetInt64(statement_column(0, 2, &isnull));
			SPI_finish();
		});
	return progress;
}

static void
insert_chunk(const Stage *stage, const Range *range, bytea *documents)
{
	static Statement insert = {"INSERT INTO tenancy_mongo.initial_sync_chunk (local_table, range, "
							   "chunk, documents) VALUES ($1, $2, $3, $4)",
							   4,
							   {REGCLASSOID, INT4OID, INT4OID, BYTEAOID},
							   nullptr};
	Datum values[] = {ObjectIdGetDatum(stage->local), Int32GetDatum(range->number),
					  Int32GetDatum(range->chunks), PointerGetDatum(documents)};

	(void) statement_run(&insert, values);
}

static bool
advance_range(const Stage *stage, const Range *range, int64 count, int64 bytes, bytea *last,
			  bool done)
{
	static Statement update = {
		"UPDATE tenancy_mongo.initial_sync_range SET last = coalesce($4, last), chunks = chunks + "
		"$8, "
		"documents = documents + $5, bytes = bytes + $6, done = $7 "
		"WHERE local_table = $1 AND range = $2 AND chunks = $3 AND NOT done",
		8,
		{REGCLASSOID, INT4OID, INT4OID, BYTEAOID, INT8OID, INT8OID, BOOLOID, INT4OID},
		nullptr};
	char nulls[] = "        ";
	Datum values[8] = {ObjectIdGetDatum(stage->local), Int32GetDatum(range->number),
					   Int32GetDatum(range->chunks)};

	values[3] = bytes_or_null(last, &nulls[3]);
	values[4] = Int64GetDatum(count);
	values[5] = Int64GetDatum(bytes);
	values[6] = BoolGetDatum(done);
	values[7] = Int32GetDatum(count > 0 ? 1 : 0);
	return statement_run(&update, values, nulls) == 1;
}

bool
stage_add_chunk(const Stage *stage, Range *range, bytea *documents, int64 count, bytea *last,
				bool done)
{
	bool ours = false;

	in_transaction(
		[&]
		{
			ours = advance_range(stage, range, count, VARSIZE(documents) - VARHDRSZ, last, done);
			if (ours && count > 0)
				insert_chunk(stage, range, documents);
		});
	range->chunks += count > 0 ? 1 : 0;
	return ours;
}

void
stage_leave_the_past(Stage *stage)
{
	static Statement update = {
		"UPDATE tenancy_mongo.initial_sync SET in_the_past = false WHERE local_table = $1",
		1,
		{REGCLASSOID},
		nullptr};
	Datum values[] = {ObjectIdGetDatum(stage->local)};

	in_transaction([&] { (void) statement_run(&update, values); });
	stage->in_the_past = false;
}

/* ---- reading back ---- */

void
stage_rewind(Stage *stage)
{
	(void) select_copy(stage); /* another process may have left the past */
	stage->range = stage->chunk = -1;
	stage->next = stage->end = nullptr;
}

/*
 * While the rows are written the user is the table's owner, and what its triggers have set is in force: the statement is
 * run as the worker's role, and its names are qualified.
 */
static bool
next_chunk(Stage *stage)
{
	static Statement select = {
		"SELECT range, chunk, documents FROM tenancy_mongo.initial_sync_chunk "
		"WHERE local_table OPERATOR(pg_catalog.=) $1 AND "
		"ROW(range, chunk) OPERATOR(pg_catalog.>) ROW($2, $3) ORDER BY range, chunk LIMIT 1",
		3,
		{REGCLASSOID, INT4OID, INT4OID},
		nullptr};
	Datum values[] = {ObjectIdGetDatum(stage->local), Int32GetDatum(stage->range),
					  Int32GetDatum(stage->chunk)};
	Oid user;
	int context;
	bool isnull;

	MemoryContextReset(stage->chunk_context);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(GetSessionUserId(), context);
	statement_execute(&select, values);
	const bool found = SPI_processed == 1;
	if (found)
	{
		stage->range = DatumGetInt32(statement_column(0, 1, &isnull));
		stage->chunk = DatumGetInt32(statement_column(0, 2, &isnull));
		bytea *documents = bytes_column(3, stage->chunk_context);
		stage->next = reinterpret_cast<const uint8_t *>(VARDATA(documents));
		stage->end = stage->next + VARSIZE(documents) - VARHDRSZ;
	}
	SPI_finish();
	SetUserIdAndSecContext(user, context);
	return found;
}

const bson_t *
stage_next(Stage *stage, bson_t *space)
{
	uint32_t length;

	if (stage->next == stage->end && !next_chunk(stage))
		return nullptr;
	memcpy(&length, stage->next, sizeof(length));
	length = BSON_UINT32_FROM_LE(length);
	if (length > stage->end - stage->next || !bson_init_static(space, stage->next, length))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("what was read of %s is damaged", stage->what)));
	stage->next += length;
	return space;
}

/*
 * If nobody else's chunks are there, their table is truncated, which gives the disk back at once.  It is not waited for: who
 * else loads holds a lock, and then the rows are deleted.
 */
void
stage_remove(const Stage *stage)
{
	static Statement others = {
		"SELECT FROM tenancy_mongo.initial_sync_chunk WHERE local_table <> $1 LIMIT 1",
		1,
		{REGCLASSOID},
		nullptr};
	static Statement truncate = {"TRUNCATE tenancy_mongo.initial_sync_chunk", 0, {}, nullptr};
	static Statement remove = {
		"DELETE FROM tenancy_mongo.initial_sync WHERE local_table = $1", 1, {REGCLASSOID}, nullptr};
	Datum values[] = {ObjectIdGetDatum(stage->local)};
	Oid chunks = get_relname_relid("initial_sync_chunk", get_namespace_oid("tenancy_mongo", false));

	if (ConditionalLockRelationOid(chunks, AccessExclusiveLock) &&
		statement_run(&others, values) == 0)
		(void) statement_run(&truncate, nullptr);
	(void) statement_run(&remove, values);
}

} // namespace bridge
