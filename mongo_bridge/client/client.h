/*
 * client.h — one connection to a MongoDB deployment.
 *
 * A Client wraps libmongoc's single-threaded client: no thread is ever made.  It owns the wait: its sockets are our own
 * stream (socket_stream.h), which looks at an interrupt flag while it waits, so that a cancel or a shutdown returns at
 * once, whatever the server does.  After an interrupt or a network error the Client is broken() and must be replaced.
 *
 * A cursor shares the connection with the Client that it came from and may outlive it.
 */
#ifdef POSTGRES_H
#error "client/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_CLIENT_CLIENT_H
#define PG_TENANCY_CLIENT_CLIENT_H

#include <memory>

#include <mongoc/mongoc.h>

#include "../bson/document.h"
#include "error.h"
#include "socket_stream.h"

namespace bridge
{

/* Plain data: the strings belong to the caller and are read during construction only.  Null or 0 means not given. */
struct ConnectionOptions
{
	const char *hosts;		 /* "host[:port][,host[:port]…]", or an absolute path of a Unix socket */
	const char *replica_set;
	const char *user;
	const char *password;
	const char *auth_source;	/* default: admin; $external for X.509 */
	const char *auth_mechanism; /* SCRAM-SHA-256 or MONGODB-X509 */
	bool tls;					/* implied by either file */
	const char *tls_ca_file;	/* default: the system's authorities */
	const char *tls_certificate_file; /* PEM file with client certificate and key */
	const char *application_name;
	const char *read_preference; /* primary (default), primaryPreferred, secondary, secondaryPreferred, nearest */
	int connect_timeout_ms;			 /* of one server; default 10 s */
	int server_selection_timeout_ms; /* of finding a suitable server; default 30 s, negative: look once */
	int socket_timeout_ms;			 /* of one reply; default: no limit, as a wait can be interrupted */
};

class Link;

class Client
{
public:
	Client(const ConnectionOptions &options, Interrupted interrupted);
	~Client();
	Client(const Client &) = delete;
	Client &operator=(const Client &) = delete;

	/*
	 * Runs one command on the primary (or by read preference, if "read") and returns the whole reply.  Where the
	 * connection is lost a read is sent once more; anything else is not, as nobody knows whether the server did it.
	 */
	Document command(const char *database, const bson_t *command, bool read = false);

	/* A command that writes, on the primary and outside of transactions; "what" is the message of
	 * an error. */
	Document write(const char *database, const bson_t *command, const std::string &what);

	/* The deployment's identity: the replica set's id (hex), or its name, or "" for a standalone server. */
	std::string deployment_id();

	bool broken() const noexcept;
	void mark_broken() noexcept;
	mongoc_client_t *handle() noexcept;
	const std::shared_ptr<Link> &link() const noexcept { return link_; }

private:
	std::shared_ptr<Link> link_;
};

} // namespace bridge

#endif
