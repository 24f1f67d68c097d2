/*
 * apply_worker.cpp — one stream: receives, reduces, commits.
 *
 * The worker opens one change stream over the whole deployment, filtered to the mirrored collections, and repeats: take
 * what one getMore gave; reduce it to one change a document (event_batch.cpp); fetch what the events did not bring
 * (look_up.cpp); apply it in one transaction that ends with the new resume token (apply.cpp).  While it waits for events
 * it is in no transaction and holds no snapshot.  Commits do not wait for the disk, because the rows and the token that
 * stands for them are lost or kept together.
 *
 * Nobody else feeds this stream: the worker holds a lock of its own on the server as long as it lives, and each commit
 * checks that the token is still the one that this worker wrote.
 *
 * A table that is new, or whose collection was replaced, is copied between two batches (initial_sync.cpp); the stream
 * then goes on from its old position, and the table takes no notice of events up to its copy's cut.  If the filter has
 * changed, the stream is opened by time: a token is found again only under the filter that it was read under.
 *
 * An event carries its document beside the document's key, and the two may be larger than the 16 MB of a reply.  The server
 * then refuses the batch, and does not say at which event: one batch is received without documents, which are looked up.
 *
 * Every failure of MongoDB or of the network is an ERROR that ends the worker, noted in the catalogue; its supervisor
 * starts it again.
 */
#include <mongoc/mongoc.h>

#include "event_batch.h"
#include "fdw/connection.h"
#include "worker.h"

namespace bridge
{
namespace
{

constexpr int await_ms = 500;
constexpr int save_idle_token_ms = 5000;
constexpr int retry_stopped_table_ms = 60000;
constexpr int wire_version_of_post_images = 17;
constexpr int reply_timeout_ms = 120 * 1000; /* nobody cancels a wait on a half-open connection */

struct Worker
{
	Oid server;
	MemoryContext loop; /* reset with each round */
	Stream *stream;		/* null: to be loaded */
	uint64 generation;
	Client *client; /* null: to be connected */
	MemoryContext client_context;
	bool post_images;	  /* the server can send them */
	ChangeStream *events; /* null: to be opened */
	MemoryContext events_context;
	int batch_size; /* that they were opened with */
	bool slim;		/* without documents, until an event that is too large is passed */
	EventBatch *batch;
	TimestampTz saved_at;
	TimestampTz loaded_at;
};

/* ---- the catalogue ---- */

/*
 * A lock that nobody else asks for: it is on the server, with a sub-object that servers do not have, in the space of
 * advisory locks, which alone outlive an aborted transaction and end with the process.
 */
void
lock_stream(Oid server)
{
	LOCKTAG tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ForeignServerRelationId, server, 1);
	tag.locktag_lockmethodid = USER_LOCKMETHOD;
	if (LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("another worker feeds the mirrors of server %u", server)));
}

/* ---- the replication origin ---- */

void
set_up_origin(Oid server)
{
	StartTransactionCommand();
	RepOriginId origin = replorigin_by_name(origin_name(server), true);
	if (origin == InvalidRepOriginId)
		origin = replorigin_create(origin_name(server));
	tenancy_replorigin_setup(origin);
	replorigin_session_origin = origin;
	CommitTransactionCommand();
}

/*
 * Marks this worker's commits, so that logical replication can tell them from the application's own.  There may be none
 * to be had: then the mirror goes on without.
 */
void
try_to_set_up_origin(Oid server)
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		set_up_origin(server);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		ErrorData *error = CopyErrorData();

		FlushErrorState();
		AbortCurrentTransaction();
		replorigin_session_origin = InvalidRepOriginId;
		ereport(LOG, (errcode(error->sqlerrcode),
					  errmsg("mirror of server %u has no replication origin: %s", server,
							 error->message),
					  errhint("Raise max_replication_slots if logical replication is to tell the "
							  "mirror's changes from others.")));
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
}

/* ---- loading ---- */

void
close_events(Worker *worker)
{
	if (worker->events)
		MemoryContextDelete(worker->events_context);
	worker->events = nullptr;
}

/* Reads the catalogue; false if there is nothing to do any more. */
bool
load(Worker *worker)
{
	const char *old_pipeline =
		worker->stream ? MemoryContextStrdup(worker->loop, worker->stream->open_pipeline) : "";

	worker->generation = tenancy_api()->mirror_generation();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	Stream *stream = stream_load(worker->server, TopMemoryContext);
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker->loop);

	if (!worker->stream && stream)
		look_up_forget(stream->horizon);
	if (worker->stream)
		MemoryContextDelete(worker->stream->context);
	worker->stream = stream;
	worker->loaded_at = GetCurrentTimestamp();
	if (!stream || stream->table_count == 0)
		return false;
	stream->open_pipeline = MemoryContextStrdup(stream->context, stream_filter_text(stream));
	if (strcmp(stream->open_pipeline, old_pipeline) != 0)
		close_events(worker);
	return true;
}

bool
needs_load(const Worker *worker)
{
	if (!worker->stream || worker->generation != tenancy_api()->mirror_generation() ||
		stream_is_stale())
		return true;
	/* What stopped a table may have been mended without a trace in its definition. */
	for (int i = 0; i < worker->stream->table_count; i++)
		if (worker->stream->tables[i].phase == Phase::error &&
			TimestampDifferenceExceeds(worker->loaded_at, GetCurrentTimestamp(),
									   retry_stopped_table_ms))
			return true;
	return false;
}

MirrorTable *
table_to_copy(Stream *stream)
{
	for (int i = 0; i < stream->table_count; i++)
		if (stream->tables[i].phase == Phase::copy)
			return &stream->tables[i];
	return nullptr;
}

bool
any_follows(const Stream *stream)
{
	for (int i = 0; i < stream->table_count; i++)
		if (stream->tables[i].phase == Phase::follow)
			return true;
	return false;
}

/* ---- the server ---- */

int
max_wire_version(Client *client)
{
	return guarded([&] {
		Document hello;
		bson_iter_t version;

		BSON_APPEND_INT32(hello.get(), "hello", 1);
		Document reply = client->command("admin", hello.get());
		return bson_iter_init_find(&version, reply.get(), "maxWireVersion")
				   ? static_cast<int>(bson_iter_as_int64(&version))
				   : 0;
	});
}

/* Another deployment under the same name has other documents, and the position means nothing to it. */
void
check_deployment(Worker *worker)
{
	struct Name
	{
		char text[64];
	};
	Name name = guarded([&] {
		Name result = {};
		std::string id = worker->client->deployment_id();
		strlcpy(result.text, id.c_str(), sizeof(result.text));
		return result;
	});

	if (worker->stream->deployment && strcmp(worker->stream->deployment, name.text) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("server %u is another MongoDB deployment than the one that was mirrored",
						worker->server),
				 errdetail("Its replica set has the id %s, the mirrored one %s.", name.text,
						   worker->stream->deployment),
				 errhint("Connect the server to the old deployment, or remove its mirrors by "
						 "tenancy_mongo.unmirror() and make them again.")));
	if (worker->stream->deployment)
		return;
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	stream_set_deployment(worker->stream, name.text);
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker->loop);
}

void
connect(Worker *worker)
{
	worker->client_context =
		AllocSetContextCreate(TopMemoryContext, "tenancy mirror connection", ALLOCSET_SMALL_SIZES);
	StartTransactionCommand();
	worker->client =
		connection_open(worker->server, GetUserId(), worker->client_context, reply_timeout_ms);
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker->loop);
	worker->post_images = max_wire_version(worker->client) >= wire_version_of_post_images;
	check_deployment(worker);
}

/* ---- the stream ---- */

void
open_events(Worker *worker)
{
	Stream *stream = worker->stream;
	StreamStart start = {};
	bson_t token;
	ClusterTime time = 0;

	worker->events_context = AllocSetContextCreate(TopMemoryContext, "tenancy mirror change stream",
												   ALLOCSET_SMALL_SIZES);
	Document *pipeline = stream_filter(stream, worker->slim, worker->events_context);
	const char *full_document = worker->post_images && !worker->slim ? "whenAvailable" : nullptr;
	if (stream->token && stream->pipeline && strcmp(stream->pipeline, stream->open_pipeline) == 0)
	{
		(void) bson_init_static(&token, reinterpret_cast<uint8_t *>(VARDATA(stream->token)),
								VARSIZE(stream->token) - VARHDRSZ);
		start.resume_token = &token;
	}
	else
		time = stream->token ? position_time(stream->position) : stream->start_at;
	start.operation_seconds = static_cast<uint32_t>(time >> 32);
	start.operation_increment = static_cast<uint32_t>(time);

	worker->events = own<ChangeStream>(worker->events_context, *worker->client, pipeline->get(),
									   full_document, start, mirror_batch_size);
	worker->batch_size = mirror_batch_size;
	worker->saved_at = 0;
}

/* The position is lost: every table is copied again, in place, and readers keep the old rows until then. */
void
start_over(Worker *worker)
{
	ereport(LOG, (errmsg("mirror of server %u lost its position and copies its tables again",
						 worker->server),
				  errdetail("%s", worker->events->state_detail())));
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	stream_forget_position(worker->stream);
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker->loop);
	close_events(worker);
	MemoryContextDelete(worker->stream->context);
	worker->stream = nullptr;
}

void
receive_without_documents(Worker *worker)
{
	if (worker->slim)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("a change event of server %u is larger than 16 MB without its "
							   "document",
							   worker->server),
						errdetail("%s", worker->events->state_detail())));
	ereport(LOG, (errmsg("mirror of server %u meets a change event of more than 16 MB", worker->server),
				  errdetail("The documents of one batch are looked up instead.")));
	worker->slim = true;
	close_events(worker);
}

/* The batch that could not be received is applied: from here on events bring their documents again. */
void
end_slim(Worker *worker)
{
	if (!worker->slim || worker->batch->events == 0)
		return;
	worker->slim = false;
	close_events(worker);
}

/* True if the stream goes on. */
bool
check_events(Worker *worker)
{
	switch (worker->events->state())
	{
		case StreamState::open:
			return true;
		case StreamState::history_lost:
		case StreamState::token_unusable:
			start_over(worker);
			return false;
		case StreamState::closed:
			close_events(worker);
			return false;
		case StreamState::oversized:
			receive_without_documents(worker);
			return false;
	}
	pg_unreachable();
}

/* A token moves though nothing happens; a stored one that stays behind falls out of the oplog. */
bool
must_save_token(const Worker *worker)
{
	const bson_t *token = worker->events->token();

	return token && strcmp(token_position(token), worker->stream->position) != 0 &&
		   (!worker->stream->token ||
			TimestampDifferenceExceeds(worker->saved_at, GetCurrentTimestamp(),
									   save_idle_token_ms));
}

/* Applies what one getMore gave; false if a definition changed and the rest is to be received again. */
bool
apply_received(Worker *worker)
{
	EventBatch *batch = worker->batch;
	/* Look-ups never read before a time that they have shown already. */
	ClusterTime now = Max(cluster_time(worker->events->operation_seconds(),
									   worker->events->operation_increment()),
						  worker->stream->horizon);
	bool last = false;

	while (!last)
	{
		event_batch_read(batch, worker->stream, worker->events);
		last = batch->upheaval == Upheaval::none;
		if (batch->events == 0 && last && !must_save_token(worker))
			break;
		look_up_resolve(worker->stream, batch, worker->client, now);
		route_changes(batch, worker->stream);
		/* The server gathers the next batch while this one is written. */
		if (last && !worker->slim)
			guarded([&] { worker->events->request_batch(); });

		bson_t upheaval;
		if (!last)
			(void) bson_init_static(&upheaval, batch->token, batch->token_length);
		if (!apply_batch(worker->stream, batch, last ? worker->events->token() : &upheaval))
			return false;
		worker->saved_at = GetCurrentTimestamp();
	}
	end_slim(worker);
	return true;
}

/* Up to which of the server's times everything is applied. */
ClusterTime
applied_time(const Worker *worker)
{
	const bson_t *token = worker->events ? worker->events->token() : nullptr;
	ClusterTime time = position_time(token ? token_position(token) : worker->stream->position);

	return worker->batch->in_transaction && time > 0 ? time - 1 : time;
}

void
follow(Worker *worker)
{
	if (worker->events && worker->batch_size != mirror_batch_size)
		close_events(worker);
	oplog_check(worker->stream, worker->client,
				worker->events ? applied_time(worker) : position_time(worker->stream->position), true);
	if (!worker->events)
		open_events(worker);
	if (!check_events(worker))
		return;
	guarded([&] { worker->events->next_batch(await_ms); });
	if (!check_events(worker))
		return;
	if (!apply_received(worker))
	{
		close_events(worker);
		MemoryContextDelete(worker->stream->context);
		worker->stream = nullptr;
		return;
	}
	tenancy_api()->worker_set_level(GetCurrentTimestamp(), applied_time(worker));
}

/* One round; false if there is nothing to do any more. */
bool
work(Worker *worker)
{
	/* Even a worker that has nothing to apply hears of changed definitions. */
	StartTransactionCommand();
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker->loop);
	MemoryContextReset(worker->loop);
	if (needs_load(worker) && !load(worker))
		return false;
	if (!worker->client)
		connect(worker);
	if (MirrorTable *table = table_to_copy(worker->stream))
	{
		close_events(worker);
		initial_sync(worker->stream, table, worker->client);
		MemoryContextDelete(worker->stream->context);
		worker->stream = nullptr;
	}
	else if (any_follows(worker->stream))
		follow(worker);
	else
		worker_sleep(retry_stopped_table_ms);
	return true;
}

/* Notes an error where stat_mirror shows it. */
void
note_error(Oid server, const ErrorData *error)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	stream_note_error(server, error);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

void
run(Oid server)
{
	Worker *worker =
		static_cast<Worker *>(MemoryContextAllocZero(TopMemoryContext, sizeof(Worker)));

	worker->server = server;
	worker->loop =
		AllocSetContextCreate(TopMemoryContext, "tenancy mirror round", ALLOCSET_DEFAULT_SIZES);
	worker->batch = event_batch_create(TopMemoryContext);
	lock_stream(server);
	try_to_set_up_origin(server);
	do
		worker_poll();
	while (work(worker));
}

} // namespace
} // namespace bridge

extern "C"
{
PGDLLEXPORT void tenancy_mongo_apply_worker_main(Datum main_arg);

void
tenancy_mongo_apply_worker_main(Datum main_arg)
{
	using namespace bridge;
	const Oid server = worker_start(main_arg, TENANCY_APPLY_WORKER);

	PG_TRY();
	{
		run(server);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(TopMemoryContext);
		ErrorData *error = CopyErrorData();

		FlushErrorState();
		AbortOutOfAnyTransaction();
		note_error(server, error);
		ReThrowError(error);
	}
	PG_END_TRY();
	proc_exit(0);
}
}
