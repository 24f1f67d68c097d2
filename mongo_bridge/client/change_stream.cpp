/*
 * change_stream.cpp — the aggregate that opens a change stream, and which errors end it as expected.
 */
#include "change_stream.h"

namespace bridge
{

static const char what[] = "could not read the change stream";

static void
append_change_stream_stage(bson_t *pipeline, const char *full_document, const StreamStart &start)
{
	bson_t stage;
	bson_t options;

	BSON_APPEND_DOCUMENT_BEGIN(pipeline, "0", &stage);
	BSON_APPEND_DOCUMENT_BEGIN(&stage, "$changeStream", &options);
	BSON_APPEND_BOOL(&options, "allChangesForCluster", true);
	if (full_document != nullptr)
		BSON_APPEND_UTF8(&options, "fullDocument", full_document);
	if (start.resume_token != nullptr)
		BSON_APPEND_DOCUMENT(&options, "startAfter", start.resume_token);
	else if (start.operation_seconds != 0)
		BSON_APPEND_TIMESTAMP(&options, "startAtOperationTime", start.operation_seconds,
							  start.operation_increment);
	bson_append_document_end(&stage, &options);
	bson_append_document_end(pipeline, &stage);
}

/* The caller's stages, numbered from 1. */
static void
append_stages(bson_t *pipeline, const bson_t *stages)
{
	bson_iter_t stage;
	uint32_t position = 1;

	if (stages == nullptr)
		return;
	if (!bson_iter_init(&stage, stages))
		throw Error(sqlstate::invalid_parameter_value, what, "The pipeline is malformed.");
	while (bson_iter_next(&stage))
	{
		char buffer[16];
		const char *key;
		size_t length = bson_uint32_to_string(position++, &key, buffer, sizeof(buffer));

		bson_append_iter(pipeline, key, static_cast<int>(length), &stage);
	}
}

static Document
open_command(const bson_t *stages, const char *full_document, const StreamStart &start,
			 int batch_size)
{
	Document command;
	bson_t pipeline;
	bson_t cursor;

	BSON_APPEND_INT32(command.get(), "aggregate", 1);
	BSON_APPEND_ARRAY_BEGIN(command.get(), "pipeline", &pipeline);
	append_change_stream_stage(&pipeline, full_document, start);
	append_stages(&pipeline, stages);
	bson_append_array_end(command.get(), &pipeline);
	BSON_APPEND_DOCUMENT_BEGIN(command.get(), "cursor", &cursor);
	if (batch_size > 0)
		BSON_APPEND_INT32(&cursor, "batchSize", batch_size);
	bson_append_document_end(command.get(), &cursor);
	return command;
}

ChangeStream::ChangeStream(Client &client, const bson_t *pipeline, const char *full_document,
						   const StreamStart &start, int batch_size)
	: cursor_(client.link(), "admin"), batch_size_(batch_size)
{
	Document command = open_command(pipeline, full_document, start, batch_size);

	try
	{
		cursor_.open(command.get(), what);
		received();
	}
	catch (const Error &e)
	{
		ended(e);
	}
}

void
ChangeStream::next_batch(int max_await_ms)
{
	GetMore more;

	if (first_batch_pending_)
	{
		first_batch_pending_ = false;
		return;
	}
	if (state_ != StreamState::open)
		throw Error(sqlstate::fdw_error, what, "The stream has ended: " + state_detail_);
	more.batch_size = batch_size_;
	more.max_await_ms = max_await_ms;
	try
	{
		cursor_.get_more(more, what);
		received();
	}
	catch (const Error &e)
	{
		ended(e);
	}
}

void
ChangeStream::request_batch()
{
	GetMore more;

	if (first_batch_pending_ || state_ != StreamState::open)
		return;
	more.batch_size = batch_size_;
	more.max_await_ms = ahead_await_ms;
	cursor_.request(more, what);
}

const bson_t *
ChangeStream::next_event()
{
	if (first_batch_pending_)
		return nullptr;

	const bson_t *event = cursor_.batch().next();
	if (event == nullptr && cursor_.batch().malformed())
		throw Error(sqlstate::fdw_error, what, "The server sent a malformed batch.");
	return event;
}

/* Keeps the reply's token, which must outlive the reply. */
void
ChangeStream::received()
{
	bson_t token;

	if (cursor_.token(&token))
	{
		token_.clear();
		has_token_ = bson_concat(token_.get(), &token);
	}
	if (!cursor_.is_open())
	{
		state_ = StreamState::closed;
		state_detail_ = "The server closed the cursor.";
	}
}

void
ChangeStream::ended(const Error &error)
{
	switch (error.server_code)
	{
		case 286: /* ChangeStreamHistoryLost */
			state_ = StreamState::history_lost;
			break;
		case 280: /* ChangeStreamFatalError */
		case 260: /* InvalidResumeToken */
			state_ = StreamState::token_unusable;
			break;
		case 10334: /* BSONObjectTooLarge */
			state_ = StreamState::oversized;
			break;
		default:
			throw error;
	}
	state_detail_ = error.detail;
}

} // namespace bridge
