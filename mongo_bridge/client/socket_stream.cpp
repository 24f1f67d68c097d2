/*
 * socket_stream.cpp — non-blocking sockets, poll() in slices, and the driver's table of stream functions over them.
 */
#include <cerrno>
#include <cstring>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "socket_stream.h"

namespace bridge
{

/* A signal ends a slice; the slice is for the signal that came just before it began. */
static constexpr int slice_ms = 100;

/* No stream of the driver's own has this number. */
static constexpr int stream_type = 7000;

static constexpr int max_vectors = 16;

bool
StreamWait::stopped() noexcept
{
	if (refused_)
	{
		errno = ECONNABORTED;
		return true;
	}
	if (!closing_ && (interrupted_seen_ || interrupt_pending()))
	{
		/* Not EINTR: the driver takes that for "try again". */
		interrupted_seen_ = true;
		errno = ECANCELED;
		return true;
	}
	if (deadline_ != 0 && bson_get_monotonic_time() >= deadline_)
	{
		out_of_time_ = true;
		errno = ETIMEDOUT;
		return true;
	}
	return false;
}

int
StreamWait::ready(int fd, short events, int64_t expires) noexcept
{
	for (;;)
	{
		if (stopped())
			return -1;

		int64_t now = bson_get_monotonic_time();
		int64_t left_ms = slice_ms;
		if (expires >= 0)
			left_ms = (expires - now + 999) / 1000;

		struct pollfd polled = {fd, events, 0};
		int64_t until_ms = left_ms < slice_ms ? left_ms : slice_ms;
		if (deadline_ != 0 && (deadline_ - now + 999) / 1000 < until_ms)
			until_ms = (deadline_ - now + 999) / 1000;
		int slice = until_ms < 0 ? 0 : static_cast<int>(until_ms);
		int count = poll(&polled, 1, slice);

		if (count > 0)
			return 1;
		if (count < 0 && errno != EINTR)
			return -1;
		if (count == 0 && expires >= 0 && left_ms <= slice)
			return 0;
	}
}

bool
StreamWait::pause(int ms) noexcept
{
	/* poll() passes over a negative descriptor. */
	return ready(-1, 0, bson_get_monotonic_time() + int64_t{ms} * 1000) == 0;
}

int64_t
StreamWait::expiry(int32_t timeout_ms) const noexcept
{
	if (timeout_ms < 0)
		return -1;
	if (timeout_ms == 0)
		return 0;
	return bson_get_monotonic_time() + (int64_t{timeout_ms} + allowance_ms_) * 1000;
}

void
StreamWait::close_within(int ms) noexcept
{
	closing_ = true;
	limit(ms);
	if (interrupted_seen_)
		refused_ = true;
}

void
StreamWait::limit(int64_t ms) noexcept
{
	deadline_ = ms > 0 ? bson_get_monotonic_time() + ms * 1000 : 0;
	out_of_time_ = false;
}

StreamWait::Bounds
StreamWait::bound(int64_t limit_ms, int32_t allowance_ms) noexcept
{
	Bounds outer = {deadline_, allowance_ms_};

	limit(limit_ms);
	if (outer.deadline != 0 && (deadline_ == 0 || deadline_ > outer.deadline))
		deadline_ = outer.deadline;
	allowance_ms_ = allowance_ms;
	return outer;
}

void
StreamWait::restore(const Bounds &bounds) noexcept
{
	deadline_ = bounds.deadline;
	allowance_ms_ = bounds.allowance_ms;
	out_of_time_ = false;
}

/* The stream: the driver's table first, so that a pointer to the one is a pointer to the other. */
struct SocketStream
{
	mongoc_stream_t table;
	StreamWait *wait;
	int fd;
	int error; /* errno of the last failure */

	/* In the wait's list, as long as it is open. */
	SocketStream *newer;
	SocketStream *older;
	mongoc_stream_t *top; /* the stream that the driver uses: this one, or TLS over it */
	uint64_t number;
	char host[BSON_HOST_NAME_MAX + 7];

	void
	enlist() noexcept
	{
		number = ++wait->streams_made_;
		older = wait->streams_;
		if (older != nullptr)
			older->newer = this;
		wait->streams_ = this;
	}
	void
	strike_off() noexcept
	{
		(newer != nullptr ? newer->older : wait->streams_) = older;
		if (older != nullptr)
			older->newer = newer;
	}
};

mongoc_stream_t *
StreamWait::stream_to(const char *host, uint64_t *number) const noexcept
{
	for (const SocketStream *s = streams_; s != nullptr; s = s->older)
		if (strcmp(s->host, host) == 0)
		{
			*number = s->number;
			return s->top;
		}
	return nullptr;
}

int
StreamWait::descriptor(const char *host, uint64_t number) const noexcept
{
	for (const SocketStream *s = streams_; s != nullptr; s = s->older)
		if (strcmp(s->host, host) == 0)
			return s->number == number ? s->fd : -1;
	return -1;
}

static SocketStream *
socket_of(mongoc_stream_t *stream) noexcept
{
	return reinterpret_cast<SocketStream *>(stream);
}

static ssize_t
fail(SocketStream *stream, int error) noexcept
{
	stream->error = error;
	errno = error;
	return -1;
}

static int
stream_close(mongoc_stream_t *stream) noexcept
{
	SocketStream *s = socket_of(stream);
	int result = 0;

	if (s->fd >= 0)
		result = close(s->fd);
	s->fd = -1;
	return result;
}

static void
stream_destroy(mongoc_stream_t *stream) noexcept
{
	stream_close(stream);
	socket_of(stream)->strike_off();
	bson_free(stream);
}

static int
stream_flush(mongoc_stream_t *) noexcept
{
	return 0;
}

static int
stream_setsockopt(mongoc_stream_t *stream, int level, int name, void *value,
				  mongoc_socklen_t length) noexcept
{
	return setsockopt(socket_of(stream)->fd, level, name, value, length);
}

/* Waits for readiness; -1 with errno and the stream's error set if it does not come. */
static ssize_t
await(SocketStream *s, short events, int64_t expires, bool may_wait) noexcept
{
	if (!may_wait)
		return fail(s, EAGAIN);

	int ready = s->wait->ready(s->fd, events, expires);
	if (ready > 0)
		return 0;
	return fail(s, ready == 0 ? ETIMEDOUT : errno);
}

/* Sends what is left behind "done" bytes, in one call. */
static ssize_t
send_rest(int fd, const mongoc_iovec_t *vectors, size_t count, size_t done) noexcept
{
	struct iovec rest[max_vectors];
	struct msghdr message = {};
	size_t used = 0;

	for (size_t i = 0; i < count && used < max_vectors; i++)
	{
		if (done >= vectors[i].iov_len)
		{
			done -= vectors[i].iov_len;
			continue;
		}
		rest[used].iov_base = static_cast<char *>(static_cast<void *>(vectors[i].iov_base)) + done;
		rest[used].iov_len = vectors[i].iov_len - done;
		done = 0;
		used++;
	}
	message.msg_iov = rest;
	message.msg_iovlen = used;
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static ssize_t
stream_writev(mongoc_stream_t *stream, mongoc_iovec_t *vectors, size_t count,
			  int32_t timeout_ms) noexcept
{
	SocketStream *s = socket_of(stream);
	int64_t expires = s->wait->expiry(timeout_ms);
	size_t total = 0;
	size_t done = 0;

	s->error = 0;
	for (size_t i = 0; i < count; i++)
		total += vectors[i].iov_len;
	if (s->wait->stopped())
		return fail(s, errno);
	while (done < total)
	{
		ssize_t sent = send_rest(s->fd, vectors, count, done);

		if (sent >= 0)
			done += static_cast<size_t>(sent);
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
		{
			if (await(s, POLLOUT, expires, timeout_ms != 0) < 0)
				return s->error == EAGAIN && done > 0 ? static_cast<ssize_t>(done) : -1;
		}
		else if (errno != EINTR)
			return fail(s, errno);
	}
	return static_cast<ssize_t>(done);
}

/* Fills one buffer: all of it, or at least "wanted" bytes. */
static ssize_t
read_buffer(SocketStream *s, char *buffer, size_t size, size_t wanted, int64_t expires,
			bool may_wait) noexcept
{
	size_t done = 0;

	for (;;)
	{
		ssize_t got = recv(s->fd, buffer + done, size - done, 0);

		if (got > 0)
		{
			done += static_cast<size_t>(got);
			if (done == size || done >= wanted)
				return static_cast<ssize_t>(done);
		}
		else if (got == 0)
		{
			s->error = ECONNRESET; /* the server closed the connection */
			errno = ECONNRESET;
			return wanted == 0 ? 0 : -1;
		}
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
		{
			if (await(s, POLLIN, expires, may_wait) < 0)
				return -1;
		}
		else if (errno != EINTR)
			return fail(s, errno);
	}
}

/* The driver always comes with one buffer; the loop is for the interface's sake. */
static ssize_t
stream_readv(mongoc_stream_t *stream, mongoc_iovec_t *vectors, size_t count, size_t min_bytes,
			 int32_t timeout_ms) noexcept
{
	SocketStream *s = socket_of(stream);
	int64_t expires = s->wait->expiry(timeout_ms);
	ssize_t done = 0;

	s->error = 0;
	if (s->wait->stopped())
		return fail(s, errno);
	for (size_t i = 0; i < count; i++)
	{
		size_t had = static_cast<size_t>(done);
		size_t wanted = min_bytes > had ? min_bytes - had : 0;

		if (vectors[i].iov_len == 0)
			continue;
		if (wanted > vectors[i].iov_len)
			wanted = vectors[i].iov_len;

		ssize_t got = read_buffer(s, static_cast<char *>(static_cast<void *>(vectors[i].iov_base)),
								  vectors[i].iov_len, wanted, expires, timeout_ms != 0);
		if (got < 0)
			return -1;
		done += got;
		if (static_cast<size_t>(got) < vectors[i].iov_len || static_cast<size_t>(done) >= min_bytes)
			break;
	}
	return done;
}

static bool
stream_check_closed(mongoc_stream_t *stream) noexcept
{
	SocketStream *s = socket_of(stream);
	char byte;

	if (s->fd < 0)
		return true;
	ssize_t got = recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

static bool
stream_timed_out(mongoc_stream_t *stream) noexcept
{
	return socket_of(stream)->error == ETIMEDOUT;
}

static bool
stream_should_retry(mongoc_stream_t *stream) noexcept
{
	return socket_of(stream)->error == EAGAIN;
}

/*
 * Waits for several streams, when the driver looks for servers.  Once there is no more waiting all of them fail: -1 would
 * make the driver ask again until its timeout.
 */
static ssize_t
stream_poll(mongoc_stream_poll_t *streams, size_t count, int32_t timeout_ms) noexcept
{
	StreamWait *wait = socket_of(streams[0].stream)->wait;
	int64_t expires = timeout_ms < 0 ? -1 : bson_get_monotonic_time() + int64_t{timeout_ms} * 1000;
	auto *polled = static_cast<struct pollfd *>(bson_malloc0(count * sizeof(struct pollfd)));
	ssize_t result;

	for (size_t i = 0; i < count; i++)
	{
		polled[i].fd = socket_of(streams[i].stream)->fd;
		polled[i].events = static_cast<short>(streams[i].events);
	}
	for (;;)
	{
		if (wait->stopped())
		{
			for (size_t i = 0; i < count; i++)
				polled[i].revents = POLLERR;
			result = static_cast<ssize_t>(count);
			break;
		}

		int64_t left_ms =
			expires < 0 ? slice_ms : (expires - bson_get_monotonic_time() + 999) / 1000;
		int slice = left_ms < 0 ? 0 : left_ms < slice_ms ? static_cast<int>(left_ms) : slice_ms;

		result = poll(polled, count, slice);
		if (result > 0 || (result < 0 && errno != EINTR) ||
			(result == 0 && expires >= 0 && left_ms <= slice))
			break;
	}
	for (size_t i = 0; i < count; i++)
		streams[i].revents = polled[i].revents;
	bson_free(polled);
	return result;
}

mongoc_stream_t *
new_socket_stream(int fd, StreamWait *wait, const char *host) noexcept
{
	auto *stream = static_cast<SocketStream *>(bson_malloc0(sizeof(SocketStream)));

	stream->table.type = stream_type;
	stream->table.destroy = stream_destroy;
	stream->table.failed = stream_destroy;
	stream->table.close = stream_close;
	stream->table.flush = stream_flush;
	stream->table.writev = stream_writev;
	stream->table.readv = stream_readv;
	stream->table.setsockopt = stream_setsockopt;
	stream->table.check_closed = stream_check_closed;
	stream->table.poll = stream_poll;
	stream->table.timed_out = stream_timed_out;
	stream->table.should_retry = stream_should_retry;
	stream->wait = wait;
	stream->fd = fd;
	stream->top = &stream->table;
	bson_strncpy(stream->host, host, sizeof(stream->host));
	stream->enlist();
	return &stream->table;
}

/* A dead peer that says nothing is noticed after three minutes, whatever the kernel's default of two hours. */
static void
configure_socket(int fd, int family) noexcept
{
	int on = 1;
	int idle_s = 90;
	int interval_s = 10;
	int probes = 9;
	unsigned unacknowledged_ms = 180000;

	if (family == AF_UNIX)
		return;
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms,
					  sizeof(unacknowledged_ms));
}

/* A connected socket, or -1 with errno. */
static int
connect_address(const struct sockaddr *address, socklen_t length, StreamWait *wait) noexcept
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd < 0)
		return -1;
	configure_socket(fd, address->sa_family);
	if (connect(fd, address, length) < 0)
	{
		error = errno;
		if (error == EINPROGRESS || error == EAGAIN || error == EINTR)
		{
			int ready = wait->ready(
				fd, POLLOUT, bson_get_monotonic_time() + int64_t{wait->connect_timeout_ms} * 1000);
			socklen_t size = sizeof(error);

			if (ready == 0)
				error = ETIMEDOUT;
			else if (ready < 0)
				error = errno;
			else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
				error = errno;
		}
	}
	if (error == 0)
		return fd;
	close(fd);
	errno = error;
	return -1;
}

static void
set_connect_error(bson_error_t *error, const mongoc_host_list_t *host, const char *reason) noexcept
{
	bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT,
				   "could not connect to %s: %s", host->host_and_port, reason);
}

static int
connect_unix(const mongoc_host_list_t *host, StreamWait *wait) noexcept
{
	struct sockaddr_un address = {};

	if (strlen(host->host) >= sizeof(address.sun_path))
	{
		errno = ENAMETOOLONG;
		return -1;
	}
	address.sun_family = AF_UNIX;
	strcpy(address.sun_path, host->host);
	return connect_address(reinterpret_cast<struct sockaddr *>(&address), sizeof(address), wait);
}

/* Tries the addresses of a host one after the other; -1 with "error" set if none answers. */
static int
connect_tcp(const mongoc_host_list_t *host, StreamWait *wait, bson_error_t *error) noexcept
{
	struct addrinfo hints = {};
	struct addrinfo *addresses = nullptr;
	char port[8];
	int fd = -1;

	hints.ai_family = host->family;
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = AI_NUMERICSERV;
	bson_snprintf(port, sizeof(port), "%u", static_cast<unsigned>(host->port));

	/* Looking up a name cannot be interrupted; it ends by the timeouts of resolv.conf, as it does for libpq. */
	int failure = getaddrinfo(host->host, port, &hints, &addresses);
	if (failure != 0)
	{
		bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_NAME_RESOLUTION,
					   "could not translate host name \"%s\" to address: %s", host->host,
					   gai_strerror(failure));
		return -1;
	}
	for (struct addrinfo *a = addresses; a != nullptr && fd < 0; a = a->ai_next)
	{
		fd = connect_address(a->ai_addr, a->ai_addrlen, wait);
		if (fd < 0)
			set_connect_error(error, host, strerror(errno));
		if (fd < 0 && wait->stopped())
			break;
	}
	freeaddrinfo(addresses);
	return fd;
}

/* TLS over a stream, with the certificate and the host's name verified; takes the stream over. */
static mongoc_stream_t *
start_tls(mongoc_stream_t *plain, const mongoc_host_list_t *host, StreamWait *wait,
		  bson_error_t *error) noexcept
{
	mongoc_ssl_opt_t options = wait->tls;
	mongoc_stream_t *tls = mongoc_stream_tls_new_with_hostname(plain, host->host, &options, 1);

	if (tls == nullptr)
	{
		mongoc_stream_destroy(plain);
		set_connect_error(error, host,
						  "TLS could not be set up; check tls_ca_file and tls_certificate_file");
		return nullptr;
	}

	bson_error_t reason = {};
	if (!mongoc_stream_tls_handshake_block(tls, host->host, wait->connect_timeout_ms, &reason))
	{
		set_connect_error(error, host, reason.message);
		mongoc_stream_destroy(tls);
		return nullptr;
	}
	socket_of(plain)->top = tls;
	return tls;
}

mongoc_stream_t *
open_socket_stream(const mongoc_uri_t *, const mongoc_host_list_t *host, void *user_data,
				   bson_error_t *error) noexcept
{
	auto *wait = static_cast<StreamWait *>(user_data);
	int fd;

	if (wait->stopped())
	{
		set_connect_error(error, host, strerror(errno));
		return nullptr;
	}
	if (host->family == AF_UNIX)
	{
		fd = connect_unix(host, wait);
		if (fd < 0)
			set_connect_error(error, host, strerror(errno));
	}
	else
		fd = connect_tcp(host, wait, error);
	if (fd < 0)
		return nullptr;

	mongoc_stream_t *stream = new_socket_stream(fd, wait, host->host_and_port);
	return wait->use_tls ? start_tls(stream, host, wait, error) : stream;
}

} // namespace bridge
