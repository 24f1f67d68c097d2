/*
 * mongo_command.cpp — a MongoDB shell for tests and for the demo: one line in, one line out.
 *
 *     mongo_command [--canonical] host[:port]
 *
 * Reads lines "database<TAB>command", the command as extended JSON, and prints each reply as one line of extended JSON
 * (relaxed unless --canonical).  A line that starts with '#' and an empty line are skipped.  What goes wrong is a line
 * too, {"error": "…", "code": N}, and the program goes on; its exit status is 1 if there was any.
 *
 * It talks to the one named server, whatever that server thinks of itself: a test wants to ask a node that is not yet
 * a member of a replica set.  After a network error the next command has a fresh connection.
 *
 * Environment: MONGO_USER and MONGO_PASSWORD (never arguments: those everybody sees), MONGO_URI_OPTIONS such as
 * "tls=true&tlsCAFile=ca.pem".
 */
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include <mongoc/mongoc.h>

namespace
{

std::string
environment(const char *name)
{
	const char *value = getenv(name);
	return value ? value : "";
}

std::string
escaped(const std::string &text)
{
	std::string result;
	for (unsigned char c : text)
	{
		char hex[4];
		snprintf(hex, sizeof(hex), "%%%02X", c);
		result += isalnum(c) ? std::string(1, static_cast<char>(c)) : std::string(hex);
	}
	return result;
}

std::string
uri_of(const std::string &host)
{
	std::string user = environment("MONGO_USER");
	std::string options = environment("MONGO_URI_OPTIONS");
	std::string uri = "mongodb://";

	if (!user.empty())
		uri += escaped(user) + ":" + escaped(environment("MONGO_PASSWORD")) + "@";
	uri += host + "/?directConnection=true&serverSelectionTimeoutMS=5000&appName=mongo_command";
	if (!user.empty())
		uri += "&authSource=admin";
	if (!options.empty())
		uri += "&" + options;
	return uri;
}

/* An error as a line of JSON; libbson does the escaping. */
void
print_error(const char *message, unsigned code)
{
	bson_t *line = BCON_NEW("error", BCON_UTF8(message), "code",
							BCON_INT32(static_cast<int32_t>(code)));
	char *json = bson_as_relaxed_extended_json(line, nullptr);

	puts(json);
	bson_free(json);
	bson_destroy(line);
}

class Shell
{
public:
	Shell(std::string uri, bool canonical) : uri_(std::move(uri)), canonical_(canonical) {}
	~Shell() { disconnect(); }
	Shell(const Shell &) = delete;
	Shell &operator=(const Shell &) = delete;

	/* Runs one line and prints one; false if that was an error. */
	bool run(const std::string &line);

private:
	bool connect();
	void disconnect();
	bool send(const std::string &database, const bson_t *command);
	void print(const bson_t *reply) const;

	std::string uri_;
	bool canonical_;
	mongoc_client_t *client_ = nullptr;
};

bool
Shell::run(const std::string &line)
{
	size_t tab = line.find('\t');
	if (tab == std::string::npos)
	{
		print_error("a line is: database, tab, command as JSON", 0);
		return false;
	}

	bson_error_t error;
	std::string json = line.substr(tab + 1);
	bson_t *command = bson_new_from_json(reinterpret_cast<const uint8_t *>(json.data()),
										 static_cast<ssize_t>(json.size()), &error);
	if (!command)
	{
		print_error(error.message, error.code);
		return false;
	}
	bool ok = connect() && send(line.substr(0, tab), command);
	bson_destroy(command);
	return ok;
}

bool
Shell::connect()
{
	if (client_)
		return true;

	bson_error_t error;
	mongoc_uri_t *uri = mongoc_uri_new_with_error(uri_.c_str(), &error);
	if (!uri)
	{
		print_error(error.message, error.code);
		return false;
	}
	client_ = mongoc_client_new_from_uri(uri);
	mongoc_uri_destroy(uri);
	if (!client_)
	{
		print_error("could not make a client", 0);
		return false;
	}
	mongoc_client_set_error_api(client_, MONGOC_ERROR_API_VERSION_2);
	return true;
}

void
Shell::disconnect()
{
	if (client_)
		mongoc_client_destroy(client_);
	client_ = nullptr;
}

bool
Shell::send(const std::string &database, const bson_t *command)
{
	bson_t reply;
	bson_error_t error;
	bool ok = mongoc_client_command_simple(client_, database.c_str(), command, nullptr, &reply,
										   &error);
	if (ok)
		print(&reply);
	else
	{
		print_error(error.message, error.code);
		if (error.domain != MONGOC_ERROR_SERVER)
			disconnect();
	}
	bson_destroy(&reply);
	return ok;
}

void
Shell::print(const bson_t *reply) const
{
	char *json = canonical_ ? bson_as_canonical_extended_json(reply, nullptr)
							: bson_as_relaxed_extended_json(reply, nullptr);
	puts(json);
	bson_free(json);
}

} // namespace

int
main(int argc, char **argv)
{
	bool canonical = argc == 3 && std::string(argv[1]) == "--canonical";
	if (argc != (canonical ? 3 : 2))
	{
		fputs("usage: mongo_command [--canonical] host[:port] < commands\n", stderr);
		return 2;
	}

	mongoc_init();
	mongoc_log_set_handler(nullptr, nullptr); /* the driver's own words come as errors, or do not matter */
	bool all_well = true;
	{
		Shell shell(uri_of(argv[argc - 1]), canonical);
		for (std::string line; std::getline(std::cin, line);)
		{
			if (line.empty() || line[0] == '#')
				continue;
			all_well = shell.run(line) && all_well;
			fflush(stdout);
		}
	}
	mongoc_cleanup();
	return all_well ? 0 : 1;
}
