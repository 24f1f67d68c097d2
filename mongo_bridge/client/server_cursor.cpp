/*
 * server_cursor.cpp — find, aggregate, getMore and killCursors as plain commands.
 */
#include <cstring>

#include "server_cursor.h"

namespace bridge
{

/* How long a destructor waits for a reply that nobody wants any more. */
static constexpr int farewell_ms = 500;

Batch::Batch(const uint8_t *array, uint32_t length) noexcept
	: next_(array + 4), end_(array + length - 1)
{
}

const bson_t *
Batch::next() noexcept
{
	if (next_ >= end_)
		return nullptr;

	/* Type, the index as text, and the document with its length in front. */
	auto key_end = static_cast<const uint8_t *>(
		memchr(next_ + 1, '\0', static_cast<size_t>(end_ - next_) - 1));
	if (*next_ == BSON_TYPE_DOCUMENT && key_end != nullptr && end_ - key_end > 5)
	{
		const uint8_t *document = key_end + 1;
		uint32_t length;

		memcpy(&length, document, sizeof(length));
		length = BSON_UINT32_FROM_LE(length);
		if (length <= static_cast<size_t>(end_ - document) &&
			bson_init_static(&current_, document, length))
		{
			next_ = document + length;
			return &current_;
		}
	}
	malformed_ = true;
	next_ = end_;
	return nullptr;
}

ServerCursor::ServerCursor(std::shared_ptr<Link> link, const char *database)
	: link_(std::move(link)), database_(database)
{
}

ServerCursor::~ServerCursor()
{
	Document kill;
	bson_t ids;

	if (ahead_ == Ahead::requested)
		abandon_request();
	if (id_ == 0)
		return;
	bson_append_utf8(kill.get(), "killCursors", -1, collection_.c_str(), -1);
	BSON_APPEND_ARRAY_BEGIN(kill.get(), "cursors", &ids);
	BSON_APPEND_INT64(&ids, "0", id_);
	bson_append_array_end(kill.get(), &ids);
	link_->run_last(server_, session_.get(), database_.c_str(), kill.get());
}

/*
 * Nobody wants the reply any more, but the connection must be rid of it.  It tells whether there is still a cursor to
 * kill.
 */
void
ServerCursor::abandon_request() noexcept
{
	bson_iter_t reply;
	bson_iter_t id;

	link_->release();
	if (link_->broken() || link_->wait().interrupt_pending())
	{
		link_->mark_broken();
		return;
	}
	requested_.give_up_ms = farewell_ms + requested_.max_await_ms;
	if (!absorb())
		link_->mark_broken();
	else if (bson_iter_init(&reply, &ahead_reply_) &&
			 bson_iter_find_descendant(&reply, "cursor.id", &id))
		id_ = bson_iter_as_int64(&id);
}

void
ServerCursor::join(const Transaction &transaction)
{
	session_ = transaction.session();
	server_ = transaction.server();
	in_transaction_ = true;
}

void
ServerCursor::open(const bson_t *command, const std::string &what)
{
	if (!in_transaction_)
	{
		server_ = link_->select_server(false, what);
		session_ = link_->start_session(what);
	}
	link_->run_on(server_, session_.get(), database_.c_str(), command, reply_.get(), what);
	read_reply(reply_.get(), what);
	if (id_ != 0)
	{
		host_ = link_->host_of(server_);
		(void) link_->stream_to(host_, &stream_number_);
	}
}

void
ServerCursor::build_get_more(Document *command, const GetMore &more) const
{
	bson_t *c = command->get();

	BSON_APPEND_INT64(c, "getMore", id_);
	bson_append_utf8(c, "collection", -1, collection_.c_str(), -1);
	if (more.batch_size > 0)
		BSON_APPEND_INT32(c, "batchSize", more.batch_size);
	if (more.max_await_ms > 0)
		BSON_APPEND_INT32(c, "maxTimeMS", more.max_await_ms);
}

void
ServerCursor::request(const GetMore &more, const std::string &what)
{
	uint64_t number = 0;
	bson_error_t error = {};
	Document command;

	/* A transaction's commands are numbered by the driver. */
	if (ahead_ != Ahead::nothing || id_ == 0 || in_transaction_)
		return;
	link_->make_free(what);

	/* The driver may have lost the connection and made another; on that one it has yet to log in. */
	mongoc_stream_t *stream = link_->stream_to(host_, &number);
	if (stream == nullptr || number != stream_number_)
		return;

	build_get_more(&command, more);
	BSON_APPEND_DOCUMENT(command.get(), "lsid", mongoc_client_session_get_lsid(session_.get()));
	bson_append_utf8(command.get(), "$db", -1, database_.c_str(), -1);
	requested_ = more;
	request_ = link_->next_request();
	if (!wire_send(stream, request_, command.get(), link_->socket_timeout_ms(), &error))
	{
		id_ = 0;
		link_->fail(error, nullptr, what);
	}
	link_->claim(this);
	ahead_ = Ahead::requested;
}

/* A call's own bounds of its waits, taken away when it ends. */
namespace
{
class WaitBounds
{
public:
	WaitBounds(StreamWait &wait, const GetMore &more) noexcept : wait_(wait)
	{
		wait_.allow(more.max_await_ms);
		wait_.limit(more.give_up_ms);
	}
	~WaitBounds()
	{
		wait_.allow(0);
		wait_.limit(0);
	}
	WaitBounds(const WaitBounds &) = delete;
	WaitBounds &operator=(const WaitBounds &) = delete;

private:
	StreamWait &wait_;
};
} // namespace

bool
ServerCursor::receive_reply(ReplyBuffer *buffer) noexcept
{
	uint64_t number = 0;
	mongoc_stream_t *stream = link_->stream_to(host_, &number);

	if (stream == nullptr || number != stream_number_)
	{
		bson_set_error(&ahead_error_, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET,
					   "the connection was closed");
		return false;
	}
	return wire_receive(stream, request_, link_->socket_timeout_ms(), buffer, &ahead_reply_,
						&ahead_error_);
}

bool
ServerCursor::absorb() noexcept
{
	WaitBounds bounds(link_->wait(), requested_);

	ahead_ = receive_reply(&absorbed_) ? Ahead::received : Ahead::lost;
	return ahead_ == Ahead::received;
}

/* The reply to what was requested, wherever it is by now. */
const bson_t *
ServerCursor::take_reply(const std::string &what)
{
	bool received = ahead_ == Ahead::received;

	if (ahead_ == Ahead::requested)
	{
		link_->release();
		received = receive_reply(&buffer_);
	}
	else if (received)
		std::swap(buffer_, absorbed_);
	ahead_ = Ahead::nothing;
	if (!received)
		link_->fail(ahead_error_, nullptr, what);
	if (!wire_is_ok(&ahead_reply_, &ahead_error_))
		link_->fail(ahead_error_, &ahead_reply_, what);
	return &ahead_reply_;
}

void
ServerCursor::get_more(const GetMore &more, const std::string &what)
{
	link_->check(what);
	request(more, what);
	batch_ = Batch();
	token_ = nullptr;

	WaitBounds bounds(link_->wait(), more);
	if (ahead_ != Ahead::nothing)
	{
		/* A getMore that fails leaves no cursor behind, or a broken connection: nothing to kill in either case. */
		id_ = 0;
		read_reply(take_reply(what), what);
		return;
	}

	Document command;
	build_get_more(&command, more);
	id_ = 0;
	link_->run_on(server_, session_.get(), database_.c_str(), command.get(), reply_.get(), what);
	read_reply(reply_.get(), what);
}

static ServerTime
timestamp_of(const bson_iter_t *field)
{
	ServerTime time{0, 0};

	if (BSON_ITER_HOLDS_TIMESTAMP(field))
		bson_iter_timestamp(field, &time.seconds, &time.increment);
	return time;
}

void
ServerCursor::read_reply(const bson_t *reply, const std::string &what)
{
	bson_iter_t field;
	bson_iter_t cursor;
	bool found = false;

	if (bson_iter_init(&field, reply))
		while (bson_iter_next(&field))
		{
			const char *key = bson_iter_key(&field);

			if (strcmp(key, "cursor") == 0 && BSON_ITER_HOLDS_DOCUMENT(&field) &&
				bson_iter_recurse(&field, &cursor))
			{
				found = true;
				while (bson_iter_next(&cursor))
					read_cursor(&cursor);
			}
			else if (strcmp(key, "operationTime") == 0)
				operation_time_ = timestamp_of(&field);
		}
	if (!found)
		throw Error(sqlstate::fdw_error, what, "The command does not return a cursor.",
					"Only commands that return a cursor, such as find and aggregate, can be read.");
}

/* One field of the reply's "cursor". */
void
ServerCursor::read_cursor(bson_iter_t *field)
{
	const char *key = bson_iter_key(field);

	if (strcmp(key, "id") == 0)
		id_ = bson_iter_as_int64(field);
	else if (strcmp(key, "ns") == 0 && BSON_ITER_HOLDS_UTF8(field))
	{
		const char *name = bson_iter_utf8(field, nullptr);
		const char *dot = strchr(name, '.');
		collection_ = dot != nullptr ? dot + 1 : name;
	}
	else if ((strcmp(key, "firstBatch") == 0 || strcmp(key, "nextBatch") == 0) &&
			 BSON_ITER_HOLDS_ARRAY(field))
	{
		const uint8_t *data;
		uint32_t length;
		bson_iter_array(field, &length, &data);
		batch_ = Batch(data, length);
	}
	else if (strcmp(key, "postBatchResumeToken") == 0 && BSON_ITER_HOLDS_DOCUMENT(field))
		bson_iter_document(field, &token_length_, &token_);
	else if (strcmp(key, "atClusterTime") == 0)
		at_cluster_time_ = timestamp_of(field);
}

bool
ServerCursor::token(bson_t *token) const noexcept
{
	return token_ != nullptr && bson_init_static(token, token_, token_length_);
}

} // namespace bridge
