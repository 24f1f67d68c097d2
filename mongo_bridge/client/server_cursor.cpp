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

ServerCursor::~ServerCursor()
{
	Document kill;
	bson_t ids;

	if (id_ == 0)
		return;
	bson_append_utf8(kill.get(), "killCursors", -1, collection_.c_str(), -1);
	BSON_APPEND_ARRAY_BEGIN(kill.get(), "cursors", &ids);
	BSON_APPEND_INT64(&ids, "0", id_);
	bson_append_array_end(kill.get(), &ids);
	link_->run_last(server_, session_.get(), database_.c_str(), kill.get());
}

void
ServerCursor::open(const bson_t *command, const std::string &what)
{
	server_ = link_->select_server(false, what);
	session_ = link_->start_session(what);
	link_->run_on(server_, session_.get(), database_.c_str(), command, reply_.get(), what);
	receive(what);
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

void
ServerCursor::get_more(const GetMore &more, const std::string &what)
{
	Document command;
	int64_t id = id_;

	BSON_APPEND_INT64(command.get(), "getMore", id);
	bson_append_utf8(command.get(), "collection", -1, collection_.c_str(), -1);
	if (more.batch_size > 0)
		BSON_APPEND_INT32(command.get(), "batchSize", more.batch_size);
	if (more.max_await_ms > 0)
		BSON_APPEND_INT32(command.get(), "maxTimeMS", more.max_await_ms);

	/* A getMore that fails leaves no cursor behind, or a broken connection: nothing to kill in either case. */
	id_ = 0;
	batch_ = Batch();
	token_ = nullptr;

	WaitBounds bounds(link_->wait(), more);
	link_->run_on(server_, session_.get(), database_.c_str(), command.get(), reply_.get(), what);
	receive(what);
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
ServerCursor::receive(const std::string &what)
{
	bson_iter_t reply;
	bson_iter_t cursor;
	bool found = false;

	batch_ = Batch();
	token_ = nullptr;
	if (bson_iter_init(&reply, reply_.get()))
		while (bson_iter_next(&reply))
		{
			const char *key = bson_iter_key(&reply);

			if (strcmp(key, "cursor") == 0 && BSON_ITER_HOLDS_DOCUMENT(&reply) &&
				bson_iter_recurse(&reply, &cursor))
			{
				found = true;
				while (bson_iter_next(&cursor))
					read_cursor(&cursor);
			}
			else if (strcmp(key, "operationTime") == 0)
				operation_time_ = timestamp_of(&reply);
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
