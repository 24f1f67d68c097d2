/*
 * link.h — the driver's client together with its wait: what a Client and its cursors share.
 */
#ifdef POSTGRES_H
#error "client/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_CLIENT_LINK_H
#define PG_TENANCY_CLIENT_LINK_H

#include "client.h"

namespace bridge
{

struct SessionDeleter
{
	void
	operator()(mongoc_client_session_t *session) const noexcept
	{
		mongoc_client_session_destroy(session);
	}
};
using Session = std::unique_ptr<mongoc_client_session_t, SessionDeleter>;

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

	StreamWait &wait() noexcept { return wait_; }
	bool broken() const noexcept { return broken_; }
	void mark_broken() noexcept;
	mongoc_client_t *driver() noexcept { return client_; }

private:
	[[noreturn]] void fail(const bson_error_t &error, const bson_t *reply, const std::string &what);
	void check_usable(const std::string &what);

	StreamWait wait_;
	std::string tls_ca_file_;
	std::string tls_certificate_file_;
	mongoc_client_t *client_ = nullptr;
	int64_t server_selection_timeout_us_;
	bool broken_ = false;
};

} // namespace bridge

#endif
