/*
 * mirror_catalog.cpp — the stream, mirror_table and misfits tables, as the workers read and write them.
 *
 * Everything is written in the transaction that it belongs to: a stream's position with the rows that it stands for, a
 * table's phase with its copy, a misfit with the position of the event that brought it.  A kill at any moment loses both
 * or neither.  The position is written by compare-and-swap on the one that this worker read: should two workers ever feed
 * one stream, the second to commit fails and neither row nor event counts twice.
 */
#include "statement.h"
#include "fdw/option.h"

namespace bridge
{

void
statement_execute(Statement *statement, Datum *values, const char *nulls)
{
	int result;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (!statement->plan)
	{
		statement->plan = SPI_prepare(statement->text, statement->count, statement->types);
		if (!statement->plan || SPI_keepplan(statement->plan) != 0)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	}
	result = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(result));
}

uint64
statement_run(Statement *statement, Datum *values, const char *nulls)
{
	statement_execute(statement, values, nulls);
	uint64 processed = SPI_processed;
	SPI_finish();
	return processed;
}

Datum
statement_column(uint64 row, int number, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, isnull);
}

const char *
statement_text(uint64 row, int number)
{
	bool isnull;
	Datum value = statement_column(row, number, &isnull);

	return isnull ? nullptr : TextDatumGetCString(value);
}

namespace
{

Datum
text_or_null(const char *text, char *null)
{
	*null = text ? ' ' : 'n';
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

/* ---- reading ---- */

Statement select_stream = {
	"SELECT stream_id, deployment, token, start_at, pipeline, horizon FROM tenancy_mongo.stream "
	"WHERE server = $1 AND database = $2 AND NOT paused",
	2,
	{OIDOID, OIDOID},
	nullptr};

Statement select_tables = {
	"SELECT local_table::oid, foreign_table::oid, phase, definition, since, tenant "
	"FROM tenancy_mongo.mirror_table WHERE stream_id = $1 ORDER BY local_table::oid",
	1,
	{INT4OID},
	nullptr};

Statement select_misfits = {
	"SELECT hashtextextended(document_id, 0) FROM tenancy_mongo.misfits WHERE local_table = $1",
	1,
	{REGCLASSOID},
	nullptr};

void
remember_misfit(MirrorTable *table, int64 hash)
{
	if (!table->misfits)
	{
		HASHCTL control = {};

		control.keysize = sizeof(int64);
		control.entrysize = sizeof(int64);
		table->misfits = hash_create("mirror misfits", 64, &control, HASH_ELEM | HASH_BLOBS);
	}
	(void) hash_search(table->misfits, &hash, HASH_ENTER, nullptr);
}

void
load_misfits(MirrorTable *table)
{
	Datum values[] = {ObjectIdGetDatum(table->local)};

	statement_execute(&select_misfits, values, nullptr);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool isnull;
		remember_misfit(table, DatumGetInt64(statement_column(i, 1, &isnull)));
	}
	SPI_finish();
}

/* The caller's context is the stream's. */
void
read_stream_row(Stream *stream, MemoryContext context)
{
	bool isnull;

	MemoryContext spi = MemoryContextSwitchTo(context);
	stream->id = DatumGetInt32(statement_column(0, 1, &isnull));
	stream->deployment = statement_text(0, 2);
	Datum token = statement_column(0, 3, &isnull);
	stream->token = isnull ? nullptr : DatumGetByteaPCopy(token);
	stream->start_at = DatumGetInt64(statement_column(0, 4, &isnull));
	stream->pipeline = statement_text(0, 5);
	stream->horizon = DatumGetInt64(statement_column(0, 6, &isnull));
	stream->position = "";
	if (stream->token)
	{
		bson_t bson;
		if (!bson_init_static(&bson, reinterpret_cast<uint8_t *>(VARDATA(stream->token)),
							  VARSIZE(stream->token) - VARHDRSZ))
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("the resume token of stream %d is damaged", stream->id)));
		stream->position = pstrdup(token_position(&bson));
	}
	MemoryContextSwitchTo(spi);
}

void
read_table_rows(Stream *stream)
{
	Datum values[] = {Int32GetDatum(stream->id)};
	bool isnull;

	statement_execute(&select_tables, values, nullptr);
	MemoryContext spi = MemoryContextSwitchTo(stream->context);
	stream->table_count = static_cast<int>(SPI_processed);
	stream->tables =
		static_cast<MirrorTable *>(palloc0(sizeof(MirrorTable) * Max(1, stream->table_count)));
	for (int i = 0; i < stream->table_count; i++)
	{
		MirrorTable *table = &stream->tables[i];

		table->local = DatumGetObjectId(statement_column(i, 1, &isnull));
		table->foreign = DatumGetObjectId(statement_column(i, 2, &isnull));
		table->phase = static_cast<Phase>(DatumGetChar(statement_column(i, 3, &isnull)));
		table->definition = statement_text(i, 4);
		table->since = statement_text(i, 5);
		table->tenant = statement_text(i, 6);
	}
	MemoryContextSwitchTo(spi);
	SPI_finish();
}

/* Has the workers' role what it needs?  The owner may have taken it away again. */
bool
may_write(Relation local, MappingProblem *problem)
{
	const AclMode needed = ACL_SELECT | ACL_INSERT | ACL_UPDATE | ACL_DELETE;

	if (pg_class_aclmask(RelationGetRelid(local), GetUserId(), needed, ACLMASK_ALL) == needed)
		return true;
	*problem = {ERRCODE_INSUFFICIENT_PRIVILEGE,
				psprintf("permission denied for table %s", RelationGetRelationName(local)), nullptr,
				nullptr};
	return false;
}

/* A table that is one tenant's must not become everybody's because an option was dropped. */
bool
may_tell_tenants(const MirrorTable *table, const TableOptions *options, MappingProblem *problem)
{
	if (!table->tenant || tells_tenants_apart(options))
		return true;
	*problem = {ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
				psprintf("foreign table \"%s\" does not tell which documents are a tenant's",
						 get_rel_name(table->foreign)),
				nullptr, nullptr};
	return false;
}

/* What, when it changes, makes another copy necessary. */
const char *
definition_of(const MirrorTable *table)
{
	return psprintf("%s.%s\n%s%s%s%s", table->database, table->collection,
					table->tenant_field ? "tenant_field " : "",
					table->tenant_field ? table->tenant_field : "", table->tenant_field ? "\n" : "",
					table->mapping->definition);
}

/* Builds a table's mapping and decides its phase; false if one of the two tables is gone. */
bool
prepare_table(Stream *stream, MirrorTable *table)
{
	MappingProblem problem;
	Relation foreign = try_relation_open(table->foreign, AccessShareLock);
	Relation local = foreign ? try_relation_open(table->local, AccessShareLock) : nullptr;

	if (!local)
	{
		if (foreign)
			relation_close(foreign, AccessShareLock);
		return false;
	}

	MemoryContext caller = MemoryContextSwitchTo(stream->context);
	TableOptions options = table_options(table->foreign);
	table->owner = local->rd_rel->relowner;
	table->database = tenant_database(options.database, table->tenant);
	table->collection = options.collection;
	table->tenant_field = table->tenant ? options.tenant_field : nullptr;
	table->mapping = may_write(local, &problem) && may_tell_tenants(table, &options, &problem)
						 ? mapping_build(foreign, local, stream->context, &problem)
						 : nullptr;
	if (table->mapping)
		table->mapping->definition = definition_of(table);
	MemoryContextSwitchTo(caller);

	if (!table->mapping)
		table_set_phase(table, Phase::error, problem.sqlstate, problem.message);
	else if (table->phase == Phase::error ||
			 (table->phase == Phase::follow &&
			  (!table->definition || strcmp(table->definition, table->mapping->definition) != 0)))
		table_set_phase(table, Phase::copy, 0, nullptr);
	load_misfits(table);
	relation_close(local, NoLock);
	relation_close(foreign, NoLock);
	return true;
}

/* One of the two tables was dropped without unmirror(), with its schema or owner perhaps. */
void
forget_table(MirrorTable *table)
{
	static Statement remove = {
		"DELETE FROM tenancy_mongo.mirror_table WHERE local_table = $1", 1, {REGCLASSOID}, nullptr};
	Datum values[] = {ObjectIdGetDatum(table->local)};

	misfit_remove_all(table);
	(void) statement_run(&remove, values);
}

Stream *watched = nullptr; /* the stream whose definitions are watched */
bool stale = false;

void
relation_changed(Datum, Oid relation)
{
	for (int i = 0; watched && !stale && i < watched->table_count; i++)
		stale = relation == InvalidOid || relation == watched->tables[i].local ||
				relation == watched->tables[i].foreign;
}

void
options_changed(Datum, int, uint32)
{
	stale = true;
}

void
watch(Stream *stream)
{
	static bool registered = false;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(FOREIGNTABLEREL, options_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(FOREIGNSERVEROID, options_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(USERMAPPINGOID, options_changed, (Datum) 0);
		registered = true;
	}
	watched = stream;
}

void
destroy_misfits(void *arg)
{
	Stream *stream = static_cast<Stream *>(arg);

	if (watched == stream)
		watched = nullptr;

	for (int i = 0; i < stream->table_count; i++)
		if (stream->tables[i].misfits)
			hash_destroy(stream->tables[i].misfits);
}

} // namespace

bool
catalog_exists()
{
	Oid schema = get_namespace_oid("tenancy_mongo", true);

	return OidIsValid(get_extension_oid("tenancy_mongo", true)) && OidIsValid(schema) &&
		   OidIsValid(get_relname_relid("stream", schema)) &&
		   OidIsValid(get_relname_relid("mirror_table", schema));
}

bool
stream_is_stale()
{
	return stale;
}

Stream *
stream_load(Oid server, MemoryContext parent)
{
	Datum values[] = {ObjectIdGetDatum(server), ObjectIdGetDatum(MyDatabaseId)};
	int kept = 0;

	if (!catalog_exists())
		return nullptr;
	statement_execute(&select_stream, values, nullptr);
	if (SPI_processed == 0)
	{
		SPI_finish();
		return nullptr;
	}

	MemoryContext context =
		AllocSetContextCreate(parent, "tenancy mirror stream", ALLOCSET_DEFAULT_SIZES);
	Stream *stream = static_cast<Stream *>(MemoryContextAllocZero(context, sizeof(Stream)));
	stream->context = context;
	stream->server = server;
	read_stream_row(stream, context);
	SPI_finish();

	auto *callback = static_cast<MemoryContextCallback *>(
		MemoryContextAlloc(context, sizeof(MemoryContextCallback)));
	callback->func = destroy_misfits;
	callback->arg = stream;
	MemoryContextRegisterResetCallback(context, callback);

	read_table_rows(stream);
	stale = false;
	watch(stream);
	for (int i = 0; i < stream->table_count; i++)
		if (prepare_table(stream, &stream->tables[i]))
			stream->tables[kept++] = stream->tables[i];
		else
			forget_table(&stream->tables[i]);
	stream->table_count = kept;
	route_build(stream);
	return stream;
}

/* ---- writing: the stream ---- */

static bytea *
token_bytes(const bson_t *token, MemoryContext context)
{
	bytea *bytes = static_cast<bytea *>(MemoryContextAlloc(context, VARHDRSZ + token->len));

	SET_VARSIZE(bytes, VARHDRSZ + token->len);
	memcpy(VARDATA(bytes), bson_get_data(token), token->len);
	return bytes;
}

void
stream_save(Stream *stream, const bson_t *token)
{
	static Statement update = {
		"UPDATE tenancy_mongo.stream SET token = $2, last_token_at = clock_timestamp(), "
		"horizon = greatest(horizon, $4), events = events + $5, transactions = transactions + 1, "
		"last_event_at = coalesce($6, last_event_at), pipeline = $7 "
		"WHERE stream_id = $1 AND token IS NOT DISTINCT FROM $3",
		7,
		{INT4OID, BYTEAOID, BYTEAOID, INT8OID, INT8OID, TIMESTAMPTZOID, TEXTOID},
		nullptr};
	char nulls[] = "       ";
	Datum values[] = {Int32GetDatum(stream->id),
					  PointerGetDatum(token_bytes(token, CurrentMemoryContext)),
					  PointerGetDatum(stream->token),
					  Int64GetDatum(stream->horizon),
					  Int64GetDatum(stream->events),
					  TimestampTzGetDatum(stream->last_event_at),
					  CStringGetTextDatum(stream->open_pipeline)};
	nulls[2] = stream->token ? ' ' : 'n';
	nulls[5] = stream->last_event_at ? ' ' : 'n';
	if (statement_run(&update, values, nulls) != 1)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("the mirror's stream was moved by somebody else"),
						errdetail("Nothing of this batch is applied.")));
}

void
stream_saved(Stream *stream, const bson_t *token)
{
	if (stream->token)
	{
		pfree(stream->token);
		pfree(const_cast<char *>(stream->position));
	}
	stream->token = token_bytes(token, stream->context);
	stream->position = MemoryContextStrdup(stream->context, token_position(token));
	stream->pipeline = stream->open_pipeline;
	stream->events = 0;
	stream->last_event_at = 0;
}

void
stream_set_deployment(Stream *stream, const char *deployment)
{
	static Statement update = {
		"UPDATE tenancy_mongo.stream SET deployment = $2 WHERE stream_id = $1",
		2,
		{INT4OID, TEXTOID},
		nullptr};
	Datum values[] = {Int32GetDatum(stream->id), CStringGetTextDatum(deployment)};

	(void) statement_run(&update, values);
	stream->deployment = MemoryContextStrdup(stream->context, deployment);
}

void
stream_forget_position(Stream *stream)
{
	static Statement update_stream = {
		"UPDATE tenancy_mongo.stream SET token = NULL, start_at = NULL, pipeline = NULL, "
		"resyncs = resyncs + 1 WHERE stream_id = $1",
		1,
		{INT4OID},
		nullptr};
	static Statement update_tables = {
		"UPDATE tenancy_mongo.mirror_table SET phase = 'i', since = NULL "
		"WHERE stream_id = $1 AND phase <> 'e'",
		1,
		{INT4OID},
		nullptr};
	Datum values[] = {Int32GetDatum(stream->id)};

	(void) statement_run(&update_stream, values);
	(void) statement_run(&update_tables, values);
}

void
stream_note_error(Oid server, const ErrorData *error)
{
	static Statement update = {
		"UPDATE tenancy_mongo.stream SET last_error = $3, last_error_state = $4, "
		"last_error_at = clock_timestamp() WHERE server = $1 AND database = $2",
		4,
		{OIDOID, OIDOID, TEXTOID, TEXTOID},
		nullptr};
	Datum values[] = {ObjectIdGetDatum(server), ObjectIdGetDatum(MyDatabaseId),
					  CStringGetTextDatum(error->message ? error->message : ""),
					  CStringGetTextDatum(unpack_sql_state(error->sqlerrcode))};

	if (catalog_exists())
		(void) statement_run(&update, values);
}

/* ---- writing: tables ---- */

void
stream_raise_horizon(Stream *stream, ClusterTime time)
{
	static Statement update = {
		"UPDATE tenancy_mongo.stream SET horizon = greatest(horizon, $2) WHERE stream_id = $1",
		2,
		{INT4OID, INT8OID},
		nullptr};
	Datum values[] = {Int32GetDatum(stream->id), Int64GetDatum(time)};

	(void) statement_run(&update, values);
}

void
stream_note_oplog(Stream *stream, int64 seconds_left)
{
	static Statement update = {
		"UPDATE tenancy_mongo.stream SET oplog_left = make_interval(secs => $2) WHERE stream_id = $1",
		2,
		{INT4OID, FLOAT8OID},
		nullptr};
	Datum values[] = {Int32GetDatum(stream->id), Float8GetDatum(static_cast<float8>(seconds_left))};
	MemoryContext caller = CurrentMemoryContext;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	(void) statement_run(&update, values);
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
}

bool
table_note_copied(Stream *stream, MirrorTable *table, ClusterTime cut, int64 rows)
{
	static Statement update_table = {
		"UPDATE tenancy_mongo.mirror_table SET phase = 'r', since = $2, definition = $3, "
		"rows_copied = $4, copied_at = clock_timestamp(), last_error = NULL, "
		"last_error_state = NULL, last_error_at = NULL WHERE local_table = $1 AND stream_id = $5",
		5,
		{REGCLASSOID, TEXTOID, TEXTOID, INT8OID, INT4OID},
		nullptr};
	/* A stream without a position starts where its first copy was cut. */
	static Statement update_stream = {"UPDATE tenancy_mongo.stream SET start_at = $2 "
									  "WHERE stream_id = $1 AND token IS NULL AND start_at IS NULL",
									  2,
									  {INT4OID, INT8OID},
									  nullptr};
	char *since = position_after(cut);
	Datum values[] = {ObjectIdGetDatum(table->local), CStringGetTextDatum(since),
					  CStringGetTextDatum(table->mapping->definition), Int64GetDatum(rows),
					  Int32GetDatum(stream->id)};
	Datum stream_values[] = {Int32GetDatum(stream->id), Int64GetDatum(cut)};

	if (statement_run(&update_table, values) != 1)
		return false;
	(void) statement_run(&update_stream, stream_values);
	return true;
}

void
table_set_phase(MirrorTable *table, Phase phase, int sqlstate, const char *message)
{
	static Statement update = {
		"UPDATE tenancy_mongo.mirror_table SET phase = $2, last_error = coalesce($3, last_error), "
		"last_error_state = coalesce($4, last_error_state), "
		"last_error_at = CASE WHEN $3 IS NULL THEN last_error_at ELSE clock_timestamp() END "
		"WHERE local_table = $1 AND (phase <> $2 OR last_error IS DISTINCT FROM $3)",
		4,
		{REGCLASSOID, CHAROID, TEXTOID, TEXTOID},
		nullptr};
	char nulls[] = "    ";
	Datum values[4] = {ObjectIdGetDatum(table->local), CharGetDatum(static_cast<char>(phase))};

	values[2] = text_or_null(message, &nulls[2]);
	values[3] = text_or_null(message ? unpack_sql_state(sqlstate) : nullptr, &nulls[3]);
	(void) statement_run(&update, values, nulls);
	table->phase = phase;
}

void
table_note_events(MirrorTable *table)
{
	static Statement update = {"UPDATE tenancy_mongo.mirror_table SET events = events + $2, "
							   "last_event_at = $3 WHERE local_table = $1",
							   3,
							   {REGCLASSOID, INT8OID, TIMESTAMPTZOID},
							   nullptr};
	Datum values[] = {ObjectIdGetDatum(table->local), Int64GetDatum(table->events),
					  TimestampTzGetDatum(table->last_event_at)};

	(void) statement_run(&update, values);
}

/* ---- in the middle of writing rows ---- */

/*
 * The user is then the table's owner, and whatever the owner's triggers have set is in force: so these statements are run
 * as the worker's role, and every name in them is qualified.
 */
static uint64
run_as_worker(Statement *statement, Datum *values, const char *nulls = nullptr)
{
	Oid user;
	int context;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(GetSessionUserId(), context);
	uint64 processed = statement_run(statement, values, nulls);
	SetUserIdAndSecContext(user, context);
	return processed;
}

bool
table_is_mirrored(const MirrorTable *table)
{
	static Statement select = {
		"SELECT FROM tenancy_mongo.mirror_table WHERE local_table OPERATOR(pg_catalog.=) $1",
		1,
		{REGCLASSOID},
		nullptr};
	Datum values[] = {ObjectIdGetDatum(table->local)};

	return run_as_worker(&select, values) == 1;
}

static int64
misfit_hash(const char *document_id)
{
	return DatumGetInt64(DirectFunctionCall2Coll(hashtextextended, DEFAULT_COLLATION_OID,
												 CStringGetTextDatum(document_id),
												 Int64GetDatum(0)));
}

bool
misfit_possible(const MirrorTable *table, const char *document_id)
{
	int64 hash;

	if (!table->misfits || hash_get_num_entries(table->misfits) == 0)
		return false;
	hash = misfit_hash(document_id);
	return hash_search(table->misfits, &hash, HASH_FIND, nullptr) != nullptr;
}

void
misfit_add(MirrorTable *table, const bson_t *document, const Mismatch *mismatch, ClusterTime time)
{
	static Statement insert = {
		"INSERT INTO tenancy_mongo.misfits (local_table, namespace, document_id, path, reason, "
		"sqlstate, document, cluster_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		8,
		{REGCLASSOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID},
		nullptr};
	char nulls[] = "        ";
	bson_iter_t id;
	const char *document_id =
		bson_iter_init_find(&id, document, "_id") ? bson_value_text(&id) : "null";
	Datum values[8] = {ObjectIdGetDatum(table->local),
					   CStringGetTextDatum(psprintf("%s.%s", table->database, table->collection)),
					   CStringGetTextDatum(document_id)};

	misfit_remove(table, document_id);
	values[3] = text_or_null(mismatch->path, &nulls[3]);
	values[4] = CStringGetTextDatum(mismatch->reason);
	values[5] = CStringGetTextDatum(mismatch->sqlstate);
	values[6] = CStringGetTextDatum(bson_document_text(document));
	values[7] = TimestampTzGetDatum(cluster_time_to_timestamp(time));
	(void) run_as_worker(&insert, values, nulls);
	/* Should the transaction fail, the set knows one too many: it is asked before a DELETE, no more. */
	remember_misfit(table, misfit_hash(document_id));
}

void
misfit_remove(MirrorTable *table, const char *document_id)
{
	static Statement remove = {
		"DELETE FROM tenancy_mongo.misfits WHERE local_table OPERATOR(pg_catalog.=) $1 "
		"AND pg_catalog.hashtextextended(document_id, 0) OPERATOR(pg_catalog.=) "
		"pg_catalog.hashtextextended($2, 0) AND document_id OPERATOR(pg_catalog.=) $2",
		2,
		{REGCLASSOID, TEXTOID},
		nullptr};

	if (!misfit_possible(table, document_id))
		return;
	Datum values[] = {ObjectIdGetDatum(table->local), CStringGetTextDatum(document_id)};
	(void) run_as_worker(&remove, values);
}

void
misfit_remove_all(MirrorTable *table)
{
	static Statement remove = {
		"DELETE FROM tenancy_mongo.misfits WHERE local_table OPERATOR(pg_catalog.=) $1",
		1,
		{REGCLASSOID},
		nullptr};
	Datum values[] = {ObjectIdGetDatum(table->local)};

	(void) run_as_worker(&remove, values);
}

/* ---- positions ---- */

/*
 * "82", then the cluster time, then more that orders the events of one time.  Whatever that is, "FF" is behind it.
 */
char *
position_after(ClusterTime time)
{
	return psprintf("82%08X%08XFF", static_cast<uint32>(time >> 32), static_cast<uint32>(time));
}

ClusterTime
position_time(const char *position)
{
	char seconds[9];
	char increment[9];

	if (strlen(position) < 18)
		return 0;
	strlcpy(seconds, position + 2, sizeof(seconds));
	strlcpy(increment, position + 10, sizeof(increment));
	return cluster_time(strtoul(seconds, nullptr, 16), strtoul(increment, nullptr, 16));
}

const char *
token_position(const bson_t *token)
{
	bson_iter_t iter;

	if (!bson_iter_init_find(&iter, token, "_data") || !BSON_ITER_HOLDS_UTF8(&iter))
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
						errmsg("the server's resume token has an unknown form")));
	return bson_iter_utf8(&iter, nullptr);
}

} // namespace bridge
