/*
 * server_cursor.cpp — find, aggregate, getMore and killCursors as plain commands.
 */
#include <cstring>

#include "server_cursor.h"

namespace bridge
{

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

/* The number of the cursor that a reply leaves open; 0: none. */
static int64_t
cursor_of_reply(const bson_t *reply) noexcept
{
	bson_iter_t field;
	bson_iter_t id;

	return bson_iter_init(&field, reply) && bson_iter_find_descendant(&field, "cursor.id", &id)
			   ? bson_iter_as_int64(&id)
			   : 0;
}

ServerCursor::~ServerCursor()
{
	Document kill;
	bson_t ids;

	if (ahead_ == Ahead::requested)
		abandon_request();
	if (ahead_ == Ahead::received)
		id_ = cursor_of_reply(&ahead_reply_);
	if (id_ != 0)
	{
		bson_append_utf8(kill.get(), "killCursors", -1, collection_.c_str(), -1);
		BSON_APPEND_ARRAY_BEGIN(kill.get(), "cursors", &ids);
		BSON_APPEND_INT64(&ids, "0", id_);
		bson_append_array_end(kill.get(), &ids);
		link_->run_last(server_, session_.get(), database_.c_str(), kill.get());
	}
	if ((id_ != 0 || uncertain_) && link_->broken() && !in_transaction_)
		link_->leave_behind(server_, session_.get());
}

/* Nobody wants the reply any more, but the connection must be rid of it. */
void
ServerCursor::abandon_request() noexcept
{
	link_->release();
	if (link_->broken() || link_->wait().interrupt_pending())
	{
		link_->mark_broken();
		return;
	}
	requested_.give_up_ms = link_->begin_farewell() + requested_.max_await_ms;
	if (!absorb())
		link_->mark_broken();
	link_->end_farewell();
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
	uncertain_ = true;
	link_->run_on(server_, session_.get(), database_.c_str(), command, reply_.get(), what);
	uncertain_ = false;
	read_reply(reply_.get(), what);
	if (id_ != 0)
	{
		host_ = link_->host_of(server_);
		(void) link_->stream_to(host_, &stream_number_);
		link_->remember_login(host_, stream_number_);
	}
}

bool
ServerCursor::send_open(const bson_t *command, const std::string &what)
{
	bson_iter_t collection;
	Document sent(command);

	if (in_transaction_ || !link_->is_free())
		return false;
	server_ = link_->select_server(false, what);
	session_ = link_->start_session(what);
	host_ = link_->host_of(server_);

	mongoc_stream_t *stream = link_->stream_logged_in(server_, host_, session_.get(), &stream_number_);
	if (stream == nullptr)
		return false;
	if (bson_iter_init(&collection, command) && bson_iter_next(&collection) &&
		BSON_ITER_HOLDS_UTF8(&collection))
		collection_ = bson_iter_utf8(&collection, nullptr);
	link_->append_read_preference(server_, sent.get());
	send(stream, &sent, what);
	return true;
}

void
ServerCursor::finish_open(const std::string &what)
{
	link_->check(what);
	read_reply(take_reply(what), what);
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
	requested_ = more;
	send(stream, &command, what);
}

/* A command, in the cursor's session and past the driver.  Who fails leaves nothing to kill. */
void
ServerCursor::send(mongoc_stream_t *stream, Document *command, const std::string &what)
{
	bson_error_t error = {};

	BSON_APPEND_DOCUMENT(command->get(), "lsid", mongoc_client_session_get_lsid(session_.get()));
	bson_append_utf8(command->get(), "$db", -1, database_.c_str(), -1);
	request_ = link_->next_request();
	received_ = 0;
	uncertain_ = true;
	if (!wire_send(stream, request_, command->get(), link_->socket_timeout_ms(), &error))
	{
		id_ = 0;
		link_->fail(error, nullptr, what);
	}
	link_->claim(this);
	ahead_ = Ahead::requested;
}

/* A call's own bounds of its waits, within those of its caller, taken away when it ends. */
namespace
{
class WaitBounds
{
public:
	WaitBounds(StreamWait &wait, const GetMore &more) noexcept
		: wait_(wait), outer_(wait.bound(more.give_up_ms, more.max_await_ms))
	{
	}
	~WaitBounds() { wait_.restore(outer_); }
	WaitBounds(const WaitBounds &) = delete;
	WaitBounds &operator=(const WaitBounds &) = delete;

private:
	StreamWait &wait_;
	StreamWait::Bounds outer_;
};
} // namespace

/* Into that buffer, or the one in which a part of it is. */
Arrival
ServerCursor::receive_reply(ReplyBuffer *buffer, int32_t timeout_ms) noexcept
{
	uint64_t number = 0;
	mongoc_stream_t *stream = link_->stream_to(host_, &number);

	if (stream == nullptr || number != stream_number_)
	{
		bson_set_error(&ahead_error_, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET,
					   "the connection was closed");
		return Arrival::lost;
	}
	if (received_ == 0)
		arriving_ = buffer;
	return wire_receive(stream, request_, timeout_ms, arriving_, &received_, &ahead_reply_,
						&ahead_error_);
}

/* Notes what became of the request; false if nothing has yet. */
bool
ServerCursor::settle(Arrival arrival) noexcept
{
	if (arrival == Arrival::part)
		return false;
	ahead_ = arrival == Arrival::whole ? Ahead::received : Ahead::lost;
	uncertain_ = arrival != Arrival::whole;
	return true;
}

bool
ServerCursor::absorb() noexcept
{
	WaitBounds bounds(link_->wait(), requested_);

	(void) settle(receive_reply(&absorbed_, link_->socket_timeout_ms()));
	return ahead_ == Ahead::received;
}

bool
ServerCursor::absorb_what_came() noexcept
{
	bool settled = settle(receive_reply(&absorbed_, 0));

	if (ahead_ == Ahead::lost)
		link_->mark_broken();
	return settled;
}

int
ServerCursor::descriptor() const noexcept
{
	return link_->wait().descriptor(host_.c_str(), stream_number_);
}

bool
ServerCursor::reply_has_come(const std::string &what)
{
	if (ahead_ != Ahead::requested)
		return true;
	link_->check(what);
	batch_ = Batch();
	if (!settle(receive_reply(&buffer_, 0)))
		return false;
	link_->release();
	return true;
}

/* The reply to what was requested, wherever it is by now. */
const bson_t *
ServerCursor::take_reply(const std::string &what)
{
	if (ahead_ == Ahead::requested)
	{
		link_->release();
		(void) settle(receive_reply(&buffer_, link_->socket_timeout_ms()));
	}
	bool received = ahead_ == Ahead::received;
	if (received && arriving_ == &absorbed_)
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
	uncertain_ = true;
	link_->run_on(server_, session_.get(), database_.c_str(), command.get(), reply_.get(), what);
	uncertain_ = false;
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
