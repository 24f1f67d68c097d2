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

#include "server_cursor.h"

namespace bridge
{

/* What ended or interrupted a stream, as plain data; everything else is thrown. */
enum class StreamState
{
	open,
	history_lost,	/* 286: the oplog no longer reaches back to the token */
	token_unusable, /* 280, 260: the token is not found under this pipeline, or came from an invalidate */
	oversized,		/* 10334: an event over 16 MB; what came before it in its batch is not shown, nor in token() */
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
	 * Watches the whole deployment.  "pipeline" is an array document of the stages after $changeStream (null: none);
	 * "full_document" is "updateLookup", "whenAvailable" or "required" (null: none).  batch_size bounds one getMore.
	 *
	 * The server may refuse the start: state() tells after construction already.  What the first reply brought is the
	 * batch of the first next_batch(), and its token that of token().
	 */
	ChangeStream(Client &client, const bson_t *pipeline, const char *full_document,
				 const StreamStart &start, int batch_size);

	/*
	 * Receives the next batch, waiting at most max_await_ms for a first event; an empty batch is no error.  After it
	 * state() tells whether the stream goes on, next_event() walks the batch, and token() is its resume token
	 * (postBatchResumeToken), which is newer than every event of the batch.
	 *
	 * An event is valid until the next call of next_event(), its bytes until the next call of next_batch().
	 */
	void next_batch(int max_await_ms);
	const bson_t *next_event();

	/*
	 * Asks for the batch that the next next_batch() receives, so that the server works on it while this one is applied;
	 * what is in hand stays valid.  The server answers after ahead_await_ms at the latest, with an empty batch if nothing
	 * has happened.  Before any other command of the same Client that reply is waited for: look things up first.
	 */
	void request_batch();
	static constexpr int ahead_await_ms = 100;

	/* The last token that the server sent; null if it never sent one.  It outlives a stream that has ended otherwise. */
	const bson_t *token() const noexcept { return has_token_ ? token_.get() : nullptr; }
	StreamState state() const noexcept { return state_; }
	const char *state_detail() const noexcept { return state_detail_.c_str(); }

	/* The operation time of the last reply: how far the server has come. */
	uint32_t operation_seconds() const noexcept { return cursor_.operation_time().seconds; }
	uint32_t operation_increment() const noexcept { return cursor_.operation_time().increment; }

private:
	void received();
	void ended(const Error &error);

	ServerCursor cursor_;
	int batch_size_;
	bool first_batch_pending_ = true;
	bool has_token_ = false;
	Document token_;
	StreamState state_ = StreamState::open;
	std::string state_detail_;
};

} // namespace bridge

#endif
