/*
 * mongod.h — private mongods for live_test: MONGOD, or the one on PATH.  None outlives the test.
 */
#ifndef PG_TENANCY_TEST_MONGOD_H
#define PG_TENANCY_TEST_MONGOD_H

#include <string>
#include <vector>

#include <sys/types.h>

class Mongod
{
public:
	/* The program; "" if there is none. */
	static std::string program();

	explicit Mongod(std::vector<std::string> arguments);
	~Mongod();
	Mongod(const Mongod &) = delete;
	Mongod &operator=(const Mongod &) = delete;

	/* Starts it on its port; returns once it accepts connections.  Throws, with the log's end, if it does not. */
	void start();
	/* Makes it a replica set of one node; returns once that node is a writable primary. */
	void initiate();
	void kill9();
	void stall();
	void resume();

	const char *host() const { return host_.c_str(); }
	const std::string &directory() const { return directory_; }

private:
	void wait_until_it_listens();

	std::vector<std::string> arguments_;
	std::string directory_;
	std::string host_;
	int port_;
	pid_t pid_ = -1;
};

/* A directory under /tmp that goes with the object. */
class TemporaryDirectory
{
public:
	TemporaryDirectory();
	~TemporaryDirectory();
	const std::string &path() const { return path_; }

private:
	std::string path_;
};

#endif
