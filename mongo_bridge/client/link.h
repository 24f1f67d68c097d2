/*
 * link.h — the driver's client together with its wait: what a Client and its cursors share.
 */
#ifdef POSTGRES_H
#error "client/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_CLIENT_LINK_H
#define PG_TENANCY_CLIENT_LINK_H

#include <map>
#include <string>

#include "client.h"

namespace bridge
{

/* Shared, because the cursors of a transaction read in its session. */
using Session = std::shared_ptr<mongoc_client_session_t>;

/* Somebody who has sent a request past the driver and has not yet received the reply. */
class Requester
{
public:
	/* Receives it now, because the connection is wanted for something else; false if it is lost. */
	virtual bool absorb() noexcept = 0;

	/* The same without waiting: what has come.  False if that is not all. */
	virtual bool absorb_what_came() noexcept = 0;

	/* Readable when more of it comes; negative if there is none any more. */
	virtual int descriptor() const noexcept = 0;

protected:
	~Requester() = default;
};

class Link
{
public:
	Link(const ConnectionOptions &options, Interrupted interrupted);
	~Link();
	Link(const Link &) = delete;
	Link &operator=(const Link &) = delete;

	/*
	 * A server for reads (by read preference) or writes.  Looks for one until the server selection timeout, since a
	 * replica set that elects a primary has none for some seconds.
	 */
	uint32_t select_server(bool for_writes, const std::string &what);

	/* A session of its own, without causal consistency, so that nothing is added to its commands but its id. */
	Session start_session(const std::string &what);

	/* Runs a command.  "reply" must be initialised; what it held is destroyed, and it stays initialised. */
	void run_read(const char *database, const bson_t *command, bson_t *reply,
				  const std::string &what);
	void run_write(const char *database, const bson_t *command, bson_t *reply,
				   const std::string &what);

	/* The same on one server in one session, exactly as given; the driver does not repeat it. */
	void run_on(uint32_t server, mongoc_client_session_t *session, const char *database,
				const bson_t *command, bson_t *reply, const std::string &what);

	/* The same for destructors: bounded in time, never throws, and the reply is not looked at. */
	void run_last(uint32_t server, mongoc_client_session_t *session, const char *database,
				  const bson_t *command) noexcept;

	/* Ends the session's transaction, as a destructor does. */
	void abort_last(mongoc_client_session_t *session) noexcept;

	/* Whether a server can have transactions: alone it cannot. */
	bool has_transactions(uint32_t server) const noexcept;

	/* Throws if nothing may be sent: the link is broken, or the interrupt has come, which by itself breaks nothing. */
	void check(const std::string &what);

	/*
	 * For requests past the driver (wire.h): where a server is, and the stream to it, which is the driver's own.  A
	 * requester makes the connection free, sends, claims it, receives, and releases it.
	 */
	std::string host_of(uint32_t server);
	mongoc_stream_t *
	stream_to(const std::string &host, uint64_t *number) const noexcept
	{
		return wait_.stream_to(host.c_str(), number);
	}
	int32_t next_request() noexcept { return ++requests_; }
	int32_t socket_timeout_ms() const noexcept { return socket_timeout_ms_; }
	void make_free(const std::string &what);
	bool is_free() const noexcept { return requester_ == nullptr; }
	const Requester *requester() const noexcept { return requester_; }

	/* Makes it free if that takes no waiting; false if it is not. */
	bool make_free_at_once() noexcept;

	/*
	 * The stream to a server over which the driver has logged in, be it just now; null if there is none.  What the driver
	 * adds to a command that reads there.
	 */
	mongoc_stream_t *stream_logged_in(uint32_t server, const std::string &host,
									  mongoc_client_session_t *session, uint64_t *number);
	void remember_login(const std::string &host, uint64_t number) { logins_[host] = number; }
	void append_read_preference(uint32_t server, bson_t *command) const noexcept;
	void claim(Requester *requester) noexcept { requester_ = requester; }
	void release() noexcept { requester_ = nullptr; }

	/* Throws the Error of what the driver or wire.h reported, and marks the link broken if it is. */
	[[noreturn]] void fail(const bson_error_t &error, const bson_t *reply, const std::string &what);

	/* Notes that a session may hold a cursor that nobody can close: a later connection ends it (left_behind.h). */
	void leave_behind(uint32_t server, const mongoc_client_session_t *session);

	/*
	 * A farewell, of a destructor for example, is bounded in time; many of them, of a statement that ends, share it: so
	 * many milliseconds are left.
	 */
	static int64_t begin_farewell() noexcept;
	static void end_farewell() noexcept;

	StreamWait &wait() noexcept { return wait_; }
	bool broken() const noexcept { return broken_; }
	void mark_broken() noexcept;
	mongoc_client_t *driver() noexcept { return client_; }

private:
	void settle() noexcept;
	void end_left_behind(uint32_t server);

	StreamWait wait_;
	std::string tls_ca_file_;
	std::string tls_certificate_file_;
	std::string user_;
	mongoc_client_t *client_ = nullptr;
	int64_t server_selection_timeout_us_;
	int32_t socket_timeout_ms_;
	Requester *requester_ = nullptr;
	std::map<std::string, uint64_t> logins_; /* by host: the stream's number */
	int32_t requests_ = 1 << 30; /* the driver counts from 0 */
	bool broken_ = false;
};

} // namespace bridge

#endif
