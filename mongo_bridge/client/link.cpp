/*
 * link.cpp — making the driver's client from options, and running commands on it.
 *
 * The URI is made by the driver's setters from a list of hosts that can hold nothing else: a secret is never part of a
 * string that somebody parses, prints or logs.
 */
#include <cctype>
#include <cstring>

#include <unistd.h>

#include "left_behind.h"
#include "link.h"

namespace bridge
{

static constexpr int default_connect_timeout_ms = 10000;
static constexpr int default_server_selection_timeout_ms = 30000;

/* The driver does not look for servers more often than that. */
static constexpr int selection_interval_ms = 500;

/* How long a destructor may take to tell the server that something has ended, and how long it may always. */
static constexpr int64_t farewell_ms = 500;
static constexpr int64_t least_farewell_ms = 50;

namespace
{
struct UriDeleter
{
	void
	operator()(mongoc_uri_t *uri) const noexcept
	{
		mongoc_uri_destroy(uri);
	}
};
struct ReadPrefsDeleter
{
	void
	operator()(mongoc_read_prefs_t *prefs) const noexcept
	{
		mongoc_read_prefs_destroy(prefs);
	}
};
using Uri = std::unique_ptr<mongoc_uri_t, UriDeleter>;
using ReadPrefs = std::unique_ptr<mongoc_read_prefs_t, ReadPrefsDeleter>;
} // namespace

static bool
given(const char *option)
{
	return option != nullptr && option[0] != '\0';
}

[[noreturn]] static void
bad_option(const char *option, const char *detail, const char *hint = "")
{
	throw Error(sqlstate::invalid_parameter_value,
				std::string("invalid value for option \"") + option + "\"", detail, hint);
}

/* Once in a process, when the first client is made. */
static void
initialize_driver()
{
	static bool done = false;

	if (done)
		return;
	/* The driver would write to stderr, past the server's log; what matters comes back as errors. */
	mongoc_log_set_handler(nullptr, nullptr);
	mongoc_init();
	mongoc_handshake_data_append("pg_tenancy", nullptr, nullptr);
	done = true;
}

/* "mongodb://" and the hosts, each of which may hold the characters of names, addresses and ports only. */
static std::string
hosts_uri(const char *hosts)
{
	std::string uri = "mongodb://";

	if (!given(hosts))
		bad_option("hosts", "No host is given.",
				   "Name the servers as host:port, separated by commas.");
	if (strstr(hosts, "://") != nullptr || strchr(hosts, '@') != nullptr)
		bad_option("hosts", "It must not be a URI, nor hold a user or a password.",
				   "Name the servers as host:port, separated by commas, and put the user into the "
				   "credentials file.");
	for (const char *c = hosts; *c != '\0'; c++)
	{
		bool path = hosts[0] == '/';

		if (isalnum(static_cast<unsigned char>(*c)) ||
			strchr(path ? "._-" : "._-:[],", *c) != nullptr)
			uri += *c;
		else if (path && *c >= ' ' && *c < 127)
		{
			char escaped[4];
			bson_snprintf(escaped, sizeof(escaped), "%%%02X", static_cast<unsigned>(*c));
			uri += escaped;
		}
		else
			bad_option("hosts",
					   "It holds a character that is not part of a host's name or address.",
					   "Name the servers as host:port, separated by commas.");
	}
	return uri + "/";
}

static void
set_credentials(mongoc_uri_t *uri, const ConnectionOptions &options, bool tls)
{
	const char *mechanism = options.auth_mechanism;
	bool x509 = given(mechanism) && strcmp(mechanism, "MONGODB-X509") == 0;

	if (given(mechanism) && !x509 && strcmp(mechanism, "SCRAM-SHA-256") != 0)
		bad_option("auth_mechanism", "Supported are SCRAM-SHA-256 and MONGODB-X509.");
	if (x509 && (!tls || !given(options.tls_certificate_file)))
		bad_option("auth_mechanism", "MONGODB-X509 needs TLS with a client certificate.",
				   "Set tls_certificate_file in the credentials file.");
	if (!x509 && given(options.user) != given(options.password))
		bad_option(given(options.user) ? "password" : "user", "User and password belong together.");
	if (given(mechanism) && !x509 && !given(options.user))
		bad_option("user", "SCRAM-SHA-256 needs a user and a password.");

	if (given(options.user) && !mongoc_uri_set_username(uri, options.user))
		bad_option("user", "It must be valid UTF-8.");
	if (given(options.password) && !x509 && !mongoc_uri_set_password(uri, options.password))
		bad_option("password", "It must be valid UTF-8.");
	if (given(mechanism) && !mongoc_uri_set_auth_mechanism(uri, mechanism))
		bad_option("auth_mechanism", "The driver does not support it.");

	const char *source = given(options.auth_source) ? options.auth_source
						 : x509						? "$external"
						 : given(options.user)		? "admin"
													: nullptr;
	if (source != nullptr && !mongoc_uri_set_auth_source(uri, source))
		bad_option("auth_source", "It must be valid UTF-8.");
}

static ReadPrefs
read_preference(const char *name)
{
	static constexpr struct
	{
		const char *name;
		mongoc_read_mode_t mode;
	} modes[] = {{"primary", MONGOC_READ_PRIMARY},
				 {"primaryPreferred", MONGOC_READ_PRIMARY_PREFERRED},
				 {"secondary", MONGOC_READ_SECONDARY},
				 {"secondaryPreferred", MONGOC_READ_SECONDARY_PREFERRED},
				 {"nearest", MONGOC_READ_NEAREST}};

	if (!given(name))
		return ReadPrefs(mongoc_read_prefs_new(MONGOC_READ_PRIMARY));
	for (const auto &known : modes)
		if (strcmp(known.name, name) == 0)
			return ReadPrefs(mongoc_read_prefs_new(known.mode));
	bad_option("read_preference",
			   "It must be primary, primaryPreferred, secondary, secondaryPreferred or nearest.");
}

static Uri
make_uri(const ConnectionOptions &options, int connect_timeout_ms, int socket_timeout_ms, bool tls)
{
	bson_error_t error = {};
	std::string hosts = hosts_uri(options.hosts);
	Uri uri(mongoc_uri_new_with_error(hosts.c_str(), &error));

	if (!uri)
		bad_option("hosts", error.message, "Name the servers as host:port, separated by commas.");
	if (given(options.replica_set) &&
		!mongoc_uri_set_option_as_utf8(uri.get(), MONGOC_URI_REPLICASET, options.replica_set))
		bad_option("replica_set", "It must be valid UTF-8.");
	if (!mongoc_uri_set_appname(
			uri.get(), given(options.application_name) ? options.application_name : "pg_tenancy"))
		bad_option("application_name", "It must be valid UTF-8 of at most 128 bytes.");
	set_credentials(uri.get(), options, tls);
	mongoc_uri_set_read_prefs_t(uri.get(), read_preference(options.read_preference).get());
	mongoc_uri_set_option_as_int32(uri.get(), MONGOC_URI_CONNECTTIMEOUTMS, connect_timeout_ms);
	mongoc_uri_set_option_as_int32(uri.get(), MONGOC_URI_SOCKETTIMEOUTMS, socket_timeout_ms);
	/* We look again ourselves, so that looking can be interrupted. */
	mongoc_uri_set_option_as_bool(uri.get(), MONGOC_URI_SERVERSELECTIONTRYONCE, true);
	return uri;
}

static void
check_readable(const char *option, const std::string &file)
{
	if (!file.empty() && access(file.c_str(), R_OK) != 0)
		throw Error(sqlstate::config_file_error,
					"could not read file \"" + file + "\": " + strerror(errno),
					std::string("It is named by \"") + option + "\".");
}

Link::Link(const ConnectionOptions &options, Interrupted interrupted)
	: wait_(interrupted), tls_ca_file_(given(options.tls_ca_file) ? options.tls_ca_file : ""),
	  tls_certificate_file_(given(options.tls_certificate_file) ? options.tls_certificate_file : ""),
	  user_(given(options.user) ? options.user : tls_certificate_file_)
{
	wait_.use_tls = options.tls || !tls_ca_file_.empty() || !tls_certificate_file_.empty();
	wait_.connect_timeout_ms =
		options.connect_timeout_ms > 0 ? options.connect_timeout_ms : default_connect_timeout_ms;
	int selection_ms = options.server_selection_timeout_ms;
	server_selection_timeout_us_ = int64_t{selection_ms < 0	   ? 0
										   : selection_ms == 0 ? default_server_selection_timeout_ms
															   : selection_ms} *
								   1000;

	/* The driver takes 0 for "do not wait at all". */
	socket_timeout_ms_ = options.socket_timeout_ms > 0 ? options.socket_timeout_ms : INT32_MAX;

	initialize_driver();
	Uri uri = make_uri(options, wait_.connect_timeout_ms, socket_timeout_ms_, wait_.use_tls);
	check_readable("tls_ca_file", tls_ca_file_);
	check_readable("tls_certificate_file", tls_certificate_file_);

	bson_error_t error = {};
	client_ = mongoc_client_new_from_uri_with_error(uri.get(), &error);
	if (client_ == nullptr)
		throw_driver_error(error, nullptr, "could not set up a MongoDB client");
	mongoc_client_set_error_api(client_, MONGOC_ERROR_API_VERSION_2);
	if (wait_.use_tls)
	{
		wait_.tls.ca_file = tls_ca_file_.empty() ? nullptr : tls_ca_file_.c_str();
		wait_.tls.pem_file =
			tls_certificate_file_.empty() ? nullptr : tls_certificate_file_.c_str();
		/* For X.509: the driver reads the user's name from the certificate. */
		mongoc_client_set_ssl_opts(client_, &wait_.tls);
	}
	/* Comes last: it takes the place of the driver's own TLS set-up. */
	mongoc_client_set_stream_initiator(client_, open_socket_stream, &wait_);
}

Link::~Link()
{
	/* The driver tells the server which sessions have ended, but not over a broken connection. */
	if (broken_)
		mongoc_client_reset(client_);
	wait_.close_within(static_cast<int>(farewell_ms));
	mongoc_client_destroy(client_);
}

void
Link::mark_broken() noexcept
{
	broken_ = true;
	wait_.refuse();
}

void
Link::fail(const bson_error_t &error, const bson_t *reply, const std::string &what)
{
	bool interrupted = wait_.interrupted();
	bool out_of_time = wait_.out_of_time();

	if (interrupted || out_of_time || is_connection_error(error))
		mark_broken();
	if (interrupted)
		throw Error(sqlstate::query_canceled, what, "The wait for MongoDB was interrupted.");
	if (out_of_time)
		throw Error(sqlstate::query_canceled, what, "MongoDB did not answer in time.");
	throw_driver_error(error, reply, what);
}

/* Whoever waits for a reply receives it, before something else is sent. */
void
Link::settle() noexcept
{
	if (requester_ != nullptr && !requester_->absorb())
		mark_broken();
	requester_ = nullptr;
}

bool
Link::make_free_at_once() noexcept
{
	if (requester_ != nullptr && requester_->absorb_what_came())
		requester_ = nullptr;
	return requester_ == nullptr;
}

void
Link::make_free(const std::string &what)
{
	settle();
	check(what);
}

std::string
Link::host_of(uint32_t server)
{
	mongoc_server_description_t *description =
		mongoc_client_get_server_description(client_, server);
	std::string host;

	if (description != nullptr)
		host = mongoc_server_description_host(description)->host_and_port;
	mongoc_server_description_destroy(description);
	return host;
}

/* The driver's options of a command that goes to one server in one session. */
static bool
build_options(Document *options, uint32_t server, mongoc_client_session_t *session,
			  bson_error_t *error) noexcept
{
	return BSON_APPEND_INT32(options->get(), "serverId", static_cast<int32_t>(server)) &&
		   mongoc_client_session_append(session, options->get(), error);
}

/* The driver logs in before its first command. */
mongoc_stream_t *
Link::stream_logged_in(uint32_t server, const std::string &host, mongoc_client_session_t *session,
					   uint64_t *number)
{
	bson_error_t error = {};
	Document ping;
	Document options;
	mongoc_stream_t *stream = stream_to(host, number);
	auto login = logins_.find(host);

	if (stream != nullptr && login != logins_.end() && login->second == *number)
		return mongoc_stream_check_closed(stream) ? nullptr : stream;

	BSON_APPEND_INT32(ping.get(), "ping", 1);
	if (!build_options(&options, server, session, &error) ||
		!mongoc_client_command_with_opts(client_, "admin", ping.get(), nullptr, options.get(),
										 nullptr, &error))
		return nullptr;
	stream = stream_to(host, number);
	if (stream != nullptr)
		remember_login(host, *number);
	return stream;
}

/* Who asks for no other than the primary and is led to one server by name takes it as it is. */
void
Link::append_read_preference(uint32_t server, bson_t *command) const noexcept
{
	static constexpr const char *names[] = {"primary", "secondary", "primaryPreferred",
											"secondaryPreferred", "nearest"};
	static constexpr mongoc_read_mode_t modes[] = {
		MONGOC_READ_PRIMARY, MONGOC_READ_SECONDARY, MONGOC_READ_PRIMARY_PREFERRED,
		MONGOC_READ_SECONDARY_PREFERRED, MONGOC_READ_NEAREST};
	mongoc_server_description_t *description =
		mongoc_client_get_server_description(client_, server);
	const char *type =
		description != nullptr ? mongoc_server_description_type(description) : "Unknown";
	mongoc_read_mode_t mode = mongoc_read_prefs_get_mode(mongoc_client_get_read_prefs(client_));
	const char *name = names[0];
	bson_t preference;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (modes[i] == mode)
			name = names[i];
	if (mode == MONGOC_READ_PRIMARY && strncmp(type, "RS", 2) == 0 &&
		strcmp(type, "RSPrimary") != 0)
		name = names[2];
	if (name != names[0])
	{
		BSON_APPEND_DOCUMENT_BEGIN(command, "$readPreference", &preference);
		BSON_APPEND_UTF8(&preference, "mode", name);
		bson_append_document_end(command, &preference);
	}
	mongoc_server_description_destroy(description);
}

/* What farewells have cost lately: forgotten four times as fast as it was spent, and never so much that none is possible. */
static int64_t farewell_spent_us;
static int64_t farewell_changed_us;

int64_t
Link::begin_farewell() noexcept
{
	int64_t now = bson_get_monotonic_time();

	farewell_spent_us -= 4 * (now - farewell_changed_us);
	if (farewell_spent_us < 0)
		farewell_spent_us = 0;
	farewell_changed_us = now;

	int64_t left_ms = farewell_ms - farewell_spent_us / 1000;
	return left_ms > least_farewell_ms ? left_ms : least_farewell_ms;
}

void
Link::end_farewell() noexcept
{
	int64_t now = bson_get_monotonic_time();

	farewell_spent_us += now - farewell_changed_us;
	farewell_changed_us = now;
}

void
Link::check(const std::string &what)
{
	if (wait_.interrupted())
		throw Error(sqlstate::query_canceled, what, "The wait for MongoDB was interrupted.");
	if (broken_)
		throw Error(sqlstate::connection_failure, what,
					"The connection to MongoDB was lost before.");
	if (wait_.interrupt_pending())
		throw Error(sqlstate::query_canceled, what, "The wait for MongoDB was interrupted.");
}

uint32_t
Link::select_server(bool for_writes, const std::string &what)
{
	int64_t give_up = bson_get_monotonic_time() + server_selection_timeout_us_;

	bson_error_t error = {};

	make_free(what);
	for (;;)
	{
		bson_error_t newest = {};
		mongoc_server_description_t *server = mongoc_client_select_server(
			client_, for_writes, for_writes ? nullptr : mongoc_client_get_read_prefs(client_),
			&newest);

		if (server != nullptr)
		{
			uint32_t id = mongoc_server_description_id(server);
			mongoc_server_description_destroy(server);
			if (anything_left_behind())
				end_left_behind(id);
			return id;
		}
		/* When it has struck the last server off its list, the driver has no words left. */
		if (newest.message[0] != '\0' || error.domain == 0)
			error = newest;
		if (error.domain != MONGOC_ERROR_SERVER_SELECTION || error.message[0] == '\0' ||
			bson_get_monotonic_time() >= give_up || !wait_.pause(selection_interval_ms))
			fail(error, nullptr, what);
	}
}

void
Link::leave_behind(uint32_t server, const mongoc_client_session_t *session)
{
	bridge::leave_behind(host_of(server) + " " + user_, mongoc_client_session_get_lsid(session));
}

/* Whether the server has ended them or never heard of them: they are forgotten, unless it could not be asked. */
void
Link::end_left_behind(uint32_t server)
{
	std::string owner = host_of(server) + " " + user_;
	bson_error_t error = {};
	Document command;
	Document options;

	BSON_APPEND_INT32(options.get(), "serverId", static_cast<int32_t>(server));
	if (put_left_behind(owner, command.get()) &&
		(mongoc_client_command_with_opts(client_, "admin", command.get(), nullptr, options.get(),
										 nullptr, &error) ||
		 !is_connection_error(error)))
		forget_left_behind(owner);
}

Session
Link::start_session(const std::string &what)
{
	bson_error_t error = {};
	std::unique_ptr<mongoc_session_opt_t, decltype(&mongoc_session_opts_destroy)> options(
		mongoc_session_opts_new(), mongoc_session_opts_destroy);

	mongoc_session_opts_set_causal_consistency(options.get(), false);
	Session session(mongoc_client_start_session(client_, options.get(), &error),
					mongoc_client_session_destroy);
	if (!session)
		fail(error, nullptr, what);
	return session;
}

void
Link::run_read(const char *database, const bson_t *command, bson_t *reply, const std::string &what)
{
	bson_error_t error = {};

	select_server(false, what);
	bson_destroy(reply);
	if (!mongoc_client_read_command_with_opts(client_, database, command, nullptr, nullptr, reply,
											  &error))
		fail(error, reply, what);
	check_write_errors(reply, what);
}

void
Link::run_write(const char *database, const bson_t *command, bson_t *reply, const std::string &what)
{
	bson_error_t error = {};

	select_server(true, what);
	bson_destroy(reply);
	if (!mongoc_client_write_command_with_opts(client_, database, command, nullptr, reply, &error))
		fail(error, reply, what);
	check_write_errors(reply, what);
}

void
Link::run_on(uint32_t server, mongoc_client_session_t *session, const char *database,
			 const bson_t *command, bson_t *reply, const std::string &what)
{
	bson_error_t error = {};
	Document options;

	make_free(what);
	if (!build_options(&options, server, session, &error))
		fail(error, nullptr, what);
	bson_destroy(reply);
	/* A transaction reads from the primary. */
	const mongoc_read_prefs_t *preference = mongoc_client_session_in_transaction(session)
												? nullptr
												: mongoc_client_get_read_prefs(client_);
	if (!mongoc_client_command_with_opts(client_, database, command, preference, options.get(),
										 reply, &error))
		fail(error, reply, what);
}

bool
Link::has_transactions(uint32_t server) const noexcept
{
	mongoc_server_description_t *description =
		mongoc_client_get_server_description(client_, server);
	bool alone = description != nullptr &&
				 strcmp(mongoc_server_description_type(description), "Standalone") == 0;

	mongoc_server_description_destroy(description);
	return !alone;
}

void
Link::abort_last(mongoc_client_session_t *session) noexcept
{
	bson_error_t error = {};

	wait_.limit(begin_farewell());
	settle();
	if (!broken_ && !wait_.interrupted() &&
		(!mongoc_client_session_abort_transaction(session, &error) || wait_.interrupted() ||
		 wait_.out_of_time()))
		mark_broken();
	wait_.limit(0);
	end_farewell();
}

void
Link::run_last(uint32_t server, mongoc_client_session_t *session, const char *database,
			   const bson_t *command) noexcept
{
	bson_error_t error = {};
	Document options;

	wait_.limit(begin_farewell());
	settle();
	if (!broken_ && !wait_.interrupted() && build_options(&options, server, session, &error) &&
		!mongoc_client_command_with_opts(client_, database, command, nullptr, options.get(),
										 nullptr, &error) &&
		(is_connection_error(error) || wait_.interrupted() || wait_.out_of_time()))
		mark_broken();
	wait_.limit(0);
	end_farewell();
}

} // namespace bridge
