/*
 * wire.h — a command and its reply as two steps, past the driver.
 *
 * The driver sends a command and waits for the reply in one call, takes memory for each reply anew and copies it.  A
 * cursor can do better: the getMore for the next batch is sent before the present one is used, so that the server reads
 * on while we do, and all replies go into one piece of memory.  The connection is the driver's own, with its
 * authentication and its TLS; only the message (OP_MSG) is made here.
 */
#ifdef POSTGRES_H
#error "client/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_CLIENT_WIRE_H
#define PG_TENANCY_CLIENT_WIRE_H

#include <cstdint>
#include <memory>

#include <mongoc/mongoc.h>

namespace bridge
{

/* Memory for replies; it grows to the largest and is kept. */
class ReplyBuffer
{
public:
	/* At least so many bytes, of which the first "kept" stay what they are.  Null if there is no memory. */
	uint8_t *grow(size_t size, size_t kept) noexcept;
	size_t capacity() const noexcept { return capacity_; }

private:
	struct Free
	{
		void operator()(uint8_t *memory) const noexcept { free(memory); }
	};
	std::unique_ptr<uint8_t, Free> memory_;
	size_t capacity_ = 0;
};

/*
 * Sends a command, complete with "$db" and "lsid".  False, with the driver's kind of error set, if the connection is of
 * no more use.
 */
bool wire_send(mongoc_stream_t *stream, int32_t request, const bson_t *command, int32_t timeout_ms,
			   bson_error_t *error) noexcept;

/* How much of a reply is there; "lost" as above. */
enum class Arrival
{
	whole,
	part,
	lost
};

/*
 * Receives the reply to that request; "reply" looks into the buffer.  Without waiting (timeout_ms is 0) it takes what has
 * come, and goes on behind "received" bytes in the next call.
 */
Arrival wire_receive(mongoc_stream_t *stream, int32_t request, int32_t timeout_ms,
					 ReplyBuffer *buffer, size_t *received, bson_t *reply,
					 bson_error_t *error) noexcept;

/* False, with the server's error set, if the reply says that the command failed. */
bool wire_is_ok(const bson_t *reply, bson_error_t *error) noexcept;

} // namespace bridge

#endif
