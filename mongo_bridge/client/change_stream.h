/*
 * change_stream.h — a change stream that shows its batches.
 *
 * libmongoc's own change stream hands out one event after the other and resumes by itself.  The mirror needs the
 * opposite: it must know what one getMore gave, because that is one transaction, and it resumes only from the token
 * that it committed.  So this class sends the aggregate and getMore commands itself and never resumes.
 */
#ifdef POSTGRES_H
#error "client/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_CLIENT_CHANGE_STREAM_H
#define PG_TENANCY_CLIENT_CHANGE_STREAM_H

#include "client.h"

namespace bridge
{

/* What ended or interrupted a stream, as plain data; everything else is thrown. */
enum class StreamState
{
	open,
	history_lost,	/* 286: the oplog no longer reaches back to the token */
	token_unusable, /* 280, 260: the token is not found under this pipeline, or came from an invalidate */
	oversized,		/* 10334: an event over 16 MB */
	closed			/* the server closed the cursor (invalidate) */
};

struct StreamStart
{
	const bson_t *resume_token;	 /* startAfter; null: not given */
	uint32_t operation_seconds;	 /* startAtOperationTime; 0: not given */
	uint32_t operation_increment;
};

class ChangeStream
{
public:
	/*
	 * Watches the whole deployment.  "pipeline" is an array document of the stages after $changeStream;
	 * "full_document" is "updateLookup", "whenAvailable" or "required".  batch_size bounds one getMore.
	 */
	ChangeStream(Client &client, const bson_t *pipeline, const char *full_document,
				 const StreamStart &start, int batch_size);
	~ChangeStream();
	ChangeStream(const ChangeStream &) = delete;
	ChangeStream &operator=(const ChangeStream &) = delete;

	/*
	 * Receives the next batch, waiting at most max_await_ms for a first event; an empty batch is no error.  After it
	 * state() tells whether the stream goes on, next_event() walks the batch, and token() is its resume token
	 * (postBatchResumeToken), which is newer than every event of the batch.
	 */
	void next_batch(int max_await_ms);
	const bson_t *next_event() noexcept;
	const bson_t *token() const noexcept;
	StreamState state() const noexcept { return state_; }
	const char *state_detail() const noexcept { return state_detail_.c_str(); }

	/* The operation time of the last reply: how far the server has come. */
	uint32_t operation_seconds() const noexcept { return operation_seconds_; }
	uint32_t operation_increment() const noexcept { return operation_increment_; }

private:
	void receive(const bson_t *reply, const char *batch_name);
	bool classify(const Error &error);

	Client &client_;
	mongoc_client_session_t *session_ = nullptr;
	uint32_t server_id_ = 0;
	int64_t cursor_id_ = 0;
	int batch_size_;
	bool first_batch_pending_ = false;
	bson_t reply_;
	bson_iter_t batch_;
	bson_t current_;
	bson_t token_;
	bool in_batch_ = false;
	StreamState state_ = StreamState::open;
	std::string state_detail_;
	uint32_t operation_seconds_ = 0;
	uint32_t operation_increment_ = 0;
};

} // namespace bridge

#endif
