#include "mongod.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/client.h"

using Clock = std::chrono::steady_clock;

static constexpr auto patience = std::chrono::seconds(60);

std::string
Mongod::program()
{
	if (const char *given = getenv("MONGOD"); given != nullptr && access(given, X_OK) == 0)
		return given;

	std::istringstream path(getenv("PATH") != nullptr ? getenv("PATH") : "");
	std::string directory;
	while (std::getline(path, directory, ':'))
		if (access((directory + "/mongod").c_str(), X_OK) == 0)
			return directory + "/mongod";
	return "";
}

TemporaryDirectory::TemporaryDirectory()
{
	char name[] = "/tmp/pg_tenancy_unit.XXXXXX";

	if (mkdtemp(name) == nullptr)
		throw std::runtime_error("could not make a temporary directory");
	path_ = name;
}

TemporaryDirectory::~TemporaryDirectory()
{
	if (system(("rm -rf '" + path_ + "'").c_str()) != 0)
		fprintf(stderr, "could not remove %s\n", path_.c_str());
}

static int
free_port()
{
	struct sockaddr_in address = {};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, reinterpret_cast<struct sockaddr *>(&address), length) != 0 ||
		getsockname(fd, reinterpret_cast<struct sockaddr *>(&address), &length) != 0)
		throw std::runtime_error("no free port");
	close(fd);
	return ntohs(address.sin_port);
}

Mongod::Mongod(std::vector<std::string> arguments)
	: arguments_(std::move(arguments)), port_(free_port())
{
	char name[] = "/tmp/pg_tenancy_mongod.XXXXXX";

	if (mkdtemp(name) == nullptr)
		throw std::runtime_error("could not make a data directory");
	directory_ = name;
	host_ = "127.0.0.1:" + std::to_string(port_);
}

Mongod::~Mongod()
{
	kill9();
	if (system(("rm -rf '" + directory_ + "'").c_str()) != 0)
		fprintf(stderr, "could not remove %s\n", directory_.c_str());
}

void
Mongod::start()
{
	std::vector<std::string> words = {program(),
									  "--dbpath",
									  directory_,
									  "--port",
									  std::to_string(port_),
									  "--bind_ip",
									  "127.0.0.1",
									  "--unixSocketPrefix",
									  directory_,
									  "--wiredTigerCacheSizeGB",
									  "0.25",
									  "--setParameter",
									  "enableTestCommands=1",
									  "--setParameter",
									  "diagnosticDataCollectionEnabled=false"};
	std::vector<char *> pointers;

	words.insert(words.end(), arguments_.begin(), arguments_.end());
	for (std::string &word : words)
		pointers.push_back(word.data());
	pointers.push_back(nullptr);

	pid_ = fork();
	if (pid_ == 0)
	{
		int log = open((directory_ + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		execv(pointers[0], pointers.data());
		_exit(127);
	}
	wait_until_it_listens();
}

void
Mongod::wait_until_it_listens()
{
	struct sockaddr_in address = {};
	auto end = Clock::now() + patience;

	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(static_cast<uint16_t>(port_));
	while (Clock::now() < end && waitpid(pid_, nullptr, WNOHANG) == 0)
	{
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		bool listens =
			connect(fd, reinterpret_cast<struct sockaddr *>(&address), sizeof(address)) == 0;

		close(fd);
		if (listens)
			return;
		usleep(20000);
	}

	std::ifstream log(directory_ + "/log");
	std::stringstream words;
	words << log.rdbuf();
	std::string text = words.str();
	throw std::runtime_error("mongod does not start:\n" +
							 text.substr(text.size() > 3000 ? text.size() - 3000 : 0));
}

void
Mongod::initiate()
{
	bridge::ConnectionOptions options{};
	options.hosts = host();
	bridge::Client client(options, nullptr);
	std::string config = R"({"replSetInitiate": {"_id": "rs0", "members": [{"_id": 0, "host": ")" +
						 host_ + R"("}]}})";
	auto end = Clock::now() + patience;

	client.command("admin", bridge::Document::parse(config.c_str()).get());
	while (Clock::now() < end)
	{
		bson_iter_t field;
		bridge::Document hello =
			client.command("admin", bridge::Document::parse(R"({"hello": 1})").get());

		if (bson_iter_init_find(&field, hello.get(), "isWritablePrimary") &&
			bson_iter_as_bool(&field))
			return;
		usleep(20000);
	}
	throw std::runtime_error("mongod does not become primary");
}

void
Mongod::kill9()
{
	if (pid_ <= 0)
		return;
	kill(pid_, SIGKILL);
	waitpid(pid_, nullptr, 0);
	pid_ = -1;
}

void
Mongod::stall()
{
	/* It stops thread by thread, in its own time. */
	kill(pid_, SIGSTOP);
	waitpid(pid_, nullptr, WUNTRACED);
}

void
Mongod::resume()
{
	kill(pid_, SIGCONT);
}
