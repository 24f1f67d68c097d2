/*
 * wire.cpp — OP_MSG: a header of four integers, flags, and one section that holds a document.
 *
 * What comes from the network is checked before it is believed: lengths against what a server may send and against each
 * other, the kind of message, and that it answers the request.
 */
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "wire.h"

namespace bridge
{

static constexpr int32_t op_msg = 2013;
static constexpr uint32_t checksum_present = 1;

/* The header, and what OP_MSG puts before the document. */
static constexpr size_t header_size = 16;
static constexpr size_t prefix_size = header_size + 4 + 1;
static constexpr size_t checksum_size = 4;
static constexpr size_t smallest_document = 5;

/* maxMessageSizeBytes of every server. */
static constexpr size_t max_message_size = 48000000;

static constexpr size_t first_buffer_size = 64 * 1024;

uint8_t *
ReplyBuffer::grow(size_t size, size_t kept) noexcept
{
	if (size <= capacity_)
		return memory_.get();

	size_t wanted = capacity_ > 0 ? capacity_ : first_buffer_size;
	while (wanted < size)
		wanted *= 2;

	auto *memory = static_cast<uint8_t *>(malloc(wanted));
	if (memory == nullptr)
		return nullptr;
	if (kept > 0)
		memcpy(memory, memory_.get(), kept);
	memory_.reset(memory);
	capacity_ = wanted;
	return memory;
}

static void
put_int32(uint8_t *to, int32_t value) noexcept
{
	uint32_t little = BSON_UINT32_TO_LE(static_cast<uint32_t>(value));

	memcpy(to, &little, sizeof(little));
}

static uint32_t
get_uint32(const uint8_t *from) noexcept
{
	uint32_t little;

	memcpy(&little, from, sizeof(little));
	return BSON_UINT32_FROM_LE(little);
}

static bool
broken(bson_error_t *error, const char *what) noexcept
{
	bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, "%s: %s", what,
				   strerror(errno));
	return false;
}

static bool
malformed(bson_error_t *error) noexcept
{
	bson_set_error(error, MONGOC_ERROR_PROTOCOL, MONGOC_ERROR_PROTOCOL_INVALID_REPLY,
				   "The server sent a malformed message.");
	return false;
}

bool
wire_send(mongoc_stream_t *stream, int32_t request, const bson_t *command, int32_t timeout_ms,
		  bson_error_t *error) noexcept
{
	uint8_t prefix[prefix_size] = {};
	size_t size = sizeof(prefix) + command->len;
	mongoc_iovec_t vectors[2];

	put_int32(prefix, static_cast<int32_t>(size));
	put_int32(prefix + 4, request);
	put_int32(prefix + 12, op_msg);
	vectors[0] = {reinterpret_cast<char *>(prefix), sizeof(prefix)};
	vectors[1] = {reinterpret_cast<char *>(const_cast<uint8_t *>(bson_get_data(command))),
				  command->len};
	if (mongoc_stream_writev(stream, vectors, 2, timeout_ms) != static_cast<ssize_t>(size))
		return broken(error, "could not send to the server");
	return true;
}

/* The document of a whole message. */
static bool
find_document(const uint8_t *message, size_t size, int32_t request, bson_t *reply,
			  bson_error_t *error) noexcept
{
	uint32_t flags = get_uint32(message + header_size);
	size_t end = size - ((flags & checksum_present) != 0 ? checksum_size : 0);
	const uint8_t *document = message + prefix_size;

	if (get_uint32(message + 8) != static_cast<uint32_t>(request) ||
		get_uint32(message + 12) != op_msg || (flags & ~checksum_present) != 0 ||
		message[prefix_size - 1] != 0 || end < prefix_size + smallest_document ||
		get_uint32(document) > end - prefix_size ||
		!bson_init_static(reply, document, get_uint32(document)))
		return malformed(error);
	return true;
}

/* Until "wanted" bytes of the message are there, or as many as have come. */
static Arrival
read_message(mongoc_stream_t *stream, uint8_t *message, size_t capacity, size_t wanted,
			 int32_t timeout_ms, size_t *received, bson_error_t *error) noexcept
{
	while (*received < wanted)
	{
		size_t missing = wanted - *received;
		ssize_t got = mongoc_stream_read(stream, message + *received, capacity - *received,
										 timeout_ms == 0 ? 1 : missing, timeout_ms);

		if (got <= 0 && timeout_ms == 0 && mongoc_stream_should_retry(stream))
			return Arrival::part;
		if (got <= 0)
		{
			broken(error, "could not receive from the server");
			return Arrival::lost;
		}
		*received += static_cast<size_t>(got);
	}
	return Arrival::whole;
}

Arrival
wire_receive(mongoc_stream_t *stream, int32_t request, int32_t timeout_ms, ReplyBuffer *buffer,
			 size_t *received, bson_t *reply, bson_error_t *error) noexcept
{
	uint8_t *message = buffer->grow(first_buffer_size, *received);

	if (message == nullptr)
	{
		broken(error, "could not receive from the server");
		return Arrival::lost;
	}

	/* There is but one reply on its way: what comes after the header belongs to it. */
	Arrival arrival = read_message(stream, message, buffer->capacity(), header_size, timeout_ms,
								   received, error);
	if (arrival != Arrival::whole)
		return arrival;

	size_t size = get_uint32(message);
	if (size < prefix_size + smallest_document || size > max_message_size || *received > size)
	{
		malformed(error);
		return Arrival::lost;
	}
	message = buffer->grow(size, *received);
	if (message == nullptr)
	{
		broken(error, "could not receive from the server");
		return Arrival::lost;
	}
	arrival = read_message(stream, message, size, size, timeout_ms, received, error);
	if (arrival != Arrival::whole)
		return arrival;
	return find_document(message, size, request, reply, error) ? Arrival::whole : Arrival::lost;
}

bool
wire_is_ok(const bson_t *reply, bson_error_t *error) noexcept
{
	bson_iter_t field;
	uint32_t code = 0;
	const char *words = "The server gave no reason.";

	if (bson_iter_init_find(&field, reply, "ok") && bson_iter_as_bool(&field))
		return true;
	if (bson_iter_init_find(&field, reply, "code"))
		code = static_cast<uint32_t>(bson_iter_as_int64(&field));
	if (bson_iter_init_find(&field, reply, "errmsg") && BSON_ITER_HOLDS_UTF8(&field))
		words = bson_iter_utf8(&field, nullptr);
	bson_set_error(error, MONGOC_ERROR_SERVER, code, "%s", words);
	return false;
}

} // namespace bridge
