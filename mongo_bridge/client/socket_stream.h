/*
 * socket_stream.h — the sockets under the driver, and the wait in which a session can be cancelled.
 *
 * libmongoc has no callback for a program that must stop waiting: a cancel would take effect when the server answers or
 * the socket's timeout passes.  It does let a program bring its own streams.  Ours waits in slices of 100 ms at most and
 * looks at an interrupt flag in between; a signal ends the slice at once.  When the flag is up every read, write and
 * connect of this wait fails, now and later, so that whatever the driver tries next ends at once as well.
 *
 * The driver calls these functions from C: nothing in them throws.
 */
#ifdef POSTGRES_H
#error "client/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_CLIENT_SOCKET_STREAM_H
#define PG_TENANCY_CLIENT_SOCKET_STREAM_H

#include <cstdint>

#include <mongoc/mongoc.h>

namespace bridge
{

/* True if the process should stop waiting.  It is called in a wait: it may read flags and nothing else. */
using Interrupted = bool (*)() noexcept;

struct SocketStream;

/* How the streams of one driver client wait, and which there are. */
class StreamWait
{
public:
	explicit StreamWait(Interrupted interrupted) noexcept : interrupted_(interrupted) {}

	/* True, with errno set, if there is no more waiting: interrupted, refused, or out of time. */
	bool stopped() noexcept;

	/* Waits until fd is ready (1), "expires" (monotonic µs; -1: never) has passed (0), or there is no more waiting (-1). */
	int ready(int fd, short events, int64_t expires) noexcept;

	/* Sleeps; false if there is no more waiting. */
	bool pause(int ms) noexcept;

	/* The time at which a wait of that many milliseconds is over; negative waits for ever. */
	int64_t expiry(int32_t timeout_ms) const noexcept;

	/* An interrupt was seen in a wait; it is never forgotten. */
	bool interrupted() const noexcept { return interrupted_seen_; }
	/* The flag is up, whether or not anybody waits. */
	bool interrupt_pending() const noexcept { return interrupted_ != nullptr && interrupted_(); }
	/* The time limit of the present call has passed. */
	bool out_of_time() const noexcept { return out_of_time_; }

	/* Everything fails from now on. */
	void refuse() noexcept { refused_ = true; }
	/* From here on, interrupts are not looked at and all waits together last no longer than this: for destructors. */
	void close_within(int ms) noexcept;
	/* Limits the waits of the calls that follow; 0 takes the limit away. */
	void limit(int64_t ms) noexcept;

	/*
	 * Limits them as well, but no later than they are already, and says what the server itself waits before it answers,
	 * which is added to the driver's own timeouts.  Returns what restore() wants.
	 */
	struct Bounds
	{
		int64_t deadline;
		int32_t allowance_ms;
	};
	Bounds bound(int64_t limit_ms, int32_t allowance_ms) noexcept;
	void restore(const Bounds &bounds) noexcept;

	/*
	 * The newest open stream to a host ("name:port"), or null; its number tells it from the ones before and after it.
	 */
	mongoc_stream_t *stream_to(const char *host, uint64_t *number) const noexcept;
	/* Its socket; negative if that stream is the newest to its host no more. */
	int descriptor(const char *host, uint64_t number) const noexcept;

	int connect_timeout_ms = 10000;
	bool use_tls = false;
	mongoc_ssl_opt_t tls = {};

private:
	friend struct SocketStream;

	SocketStream *streams_ = nullptr; /* the open ones, the newest first */
	uint64_t streams_made_ = 0;
	Interrupted interrupted_;
	bool interrupted_seen_ = false;
	bool refused_ = false;
	bool closing_ = false;
	bool out_of_time_ = false;
	int32_t allowance_ms_ = 0;
	int64_t deadline_ = 0;
};

/*
 * Connects to one server: a mongoc_stream_initiator_t whose user data is a StreamWait.  The connection stands (and TLS is
 * agreed) when it returns, which it does within the wait's connect timeout for each address of the host.
 */
mongoc_stream_t *open_socket_stream(const mongoc_uri_t *uri, const mongoc_host_list_t *host,
									void *user_data, bson_error_t *error) noexcept;

/* A stream over a connected, non-blocking socket, which it closes in the end. */
mongoc_stream_t *new_socket_stream(int fd, StreamWait *wait, const char *host = "") noexcept;

} // namespace bridge

#endif
