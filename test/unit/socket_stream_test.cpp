/*
 * socket_stream_test.cpp — the driver's stream over our sockets: what it reads and writes, and how its waits end.
 *
 * In a process with threads SIGALRM may go to any of them; these tests have none, so that it ends poll() as it does in a
 * backend.
 */
#include <cerrno>
#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/socket_stream.h"

#include "interrupt.h"

using namespace bridge;

struct StreamDeleter
{
	void
	operator()(mongoc_stream_t *stream) const
	{
		mongoc_stream_destroy(stream);
	}
};

class SocketStreamTest : public testing::Test
{
protected:
	void
	SetUp() override
	{
		int fds[2];

		ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		stream_.reset(new_socket_stream(fds[0], &wait_));
		peer_ = fds[1];
	}
	void
	TearDown() override
	{
		hang_up();
	}
	void
	hang_up()
	{
		if (peer_ >= 0)
			close(peer_);
		peer_ = -1;
	}
	void
	peer_writes(const std::string &text)
	{
		ASSERT_EQ(write(peer_, text.data(), text.size()), ssize_t(text.size()));
	}
	/* What one read gives: the text, or the errno in brackets. */
	std::string
	read(size_t size, size_t min_bytes, int timeout_ms)
	{
		std::string buffer(size, '\0');
		ssize_t got = mongoc_stream_read(stream_.get(), buffer.data(), size, min_bytes, timeout_ms);

		if (got < 0)
			return "[" + std::string(strerror(errno)) + "]";
		return buffer.substr(0, static_cast<size_t>(got));
	}

	StreamWait wait_{test::interrupted};
	std::unique_ptr<mongoc_stream_t, StreamDeleter> stream_;
	int peer_ = -1;
};

TEST_F(SocketStreamTest, ReadsWhatIsThere)
{
	peer_writes("hello");
	EXPECT_EQ(read(100, 0, 1000), "hello");
	peer_writes("hello");
	EXPECT_EQ(read(2, 2, 1000), "he");
	EXPECT_EQ(read(3, 3, 1000), "llo");
}

TEST_F(SocketStreamTest, WaitsForAsManyBytesAsAreWanted)
{
	test::Stopwatch watch;

	peer_writes("half");
	EXPECT_EQ(read(8, 8, 250), "[Connection timed out]");
	EXPECT_GE(watch.ms(), 240);
	EXPECT_LT(watch.ms(), 1000);
	EXPECT_TRUE(mongoc_stream_timed_out(stream_.get()));
	EXPECT_FALSE(mongoc_stream_should_retry(stream_.get()));
}

TEST_F(SocketStreamTest, DoesNotWaitIfToldSo)
{
	EXPECT_EQ(read(8, 0, 0), "[Resource temporarily unavailable]");
	EXPECT_TRUE(mongoc_stream_should_retry(stream_.get()));
	EXPECT_FALSE(mongoc_stream_timed_out(stream_.get()));
	peer_writes("x");
	EXPECT_EQ(read(8, 0, 0), "x");
}

TEST_F(SocketStreamTest, TheOtherSideHangsUp)
{
	EXPECT_FALSE(mongoc_stream_check_closed(stream_.get()));
	peer_writes("ab");
	hang_up();
	EXPECT_FALSE(mongoc_stream_check_closed(stream_.get())) << "there is something left to read";
	EXPECT_EQ(read(2, 2, 1000), "ab");
	EXPECT_TRUE(mongoc_stream_check_closed(stream_.get()));
	EXPECT_EQ(read(2, 2, 1000), "[Connection reset by peer]");
	EXPECT_EQ(read(2, 0, 1000), "");

	/* No SIGPIPE. */
	char byte = 'x';
	EXPECT_EQ(mongoc_stream_write(stream_.get(), &byte, 1, 1000), -1);
	EXPECT_EQ(errno, EPIPE);
}

TEST_F(SocketStreamTest, WritesManyVectors)
{
	char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	mongoc_iovec_t vectors[36];
	char buffer[64];

	for (size_t i = 0; i < 36; i++)
		vectors[i] = {text + i, 1};
	EXPECT_EQ(mongoc_stream_writev(stream_.get(), vectors, 36, 1000), 36);
	ASSERT_EQ(::read(peer_, buffer, sizeof(buffer)), 36);
	EXPECT_EQ(std::string(buffer, 36), text);
}

TEST_F(SocketStreamTest, WritesAsMuchAsTheOtherSideTakes)
{
	std::string big(4 * 1024 * 1024, 'x');
	test::Stopwatch watch;

	/* Nobody reads: what fits goes, the rest times out. */
	EXPECT_EQ(mongoc_stream_write(stream_.get(), big.data(), big.size(), 200), -1);
	EXPECT_EQ(errno, ETIMEDOUT);
	EXPECT_GE(watch.ms(), 190);
	/* A stream that may not wait tells how much went. */
	while (::read(peer_, big.data(), 1000) > 0)
		;
	ssize_t sent = mongoc_stream_write(stream_.get(), big.data(), big.size(), 0);
	EXPECT_GT(sent, 0);
	EXPECT_LT(sent, ssize_t(big.size()));
}

/* A signal ends the wait at once, not at the end of a slice. */
TEST_F(SocketStreamTest, InterruptEndsAReadAtOnce)
{
	test::InterruptAfter interrupt(20);
	test::Stopwatch watch;

	EXPECT_EQ(read(8, 8, 60000), "[Operation canceled]");
	EXPECT_GE(watch.ms(), 15);
	EXPECT_LT(watch.ms(), 90);
	EXPECT_TRUE(wait_.interrupted());
	EXPECT_FALSE(mongoc_stream_should_retry(stream_.get())) << "the driver would go on";
}

TEST_F(SocketStreamTest, InterruptEndsAWriteAtOnce)
{
	std::string big(4 * 1024 * 1024, 'x');
	test::InterruptAfter interrupt(20);
	test::Stopwatch watch;

	EXPECT_EQ(mongoc_stream_write(stream_.get(), big.data(), big.size(), 60000), -1);
	EXPECT_EQ(errno, ECANCELED);
	EXPECT_LT(watch.ms(), 90);
}

/* The flag may go up without a signal for this thread: the slice bounds the delay. */
TEST_F(SocketStreamTest, InterruptWithoutASignal)
{
	static test::Stopwatch *started;
	test::Stopwatch watch;

	started = &watch;
	StreamWait late([]() noexcept { return started->ms() > 30; });
	EXPECT_EQ(late.ready(peer_, POLLIN, -1), -1);
	EXPECT_LT(watch.ms(), 200);
}

TEST_F(SocketStreamTest, InterruptIsNotForgotten)
{
	{
		test::InterruptAfter interrupt(1);
		EXPECT_EQ(read(8, 8, 60000), "[Operation canceled]");
	}
	peer_writes("too late");
	EXPECT_EQ(read(8, 8, 1000), "[Operation canceled]");

	mongoc_stream_poll_t polled = {stream_.get(), POLLIN, 0};
	EXPECT_EQ(mongoc_stream_poll(&polled, 1, 60000), 1);
	EXPECT_EQ(polled.revents, POLLERR) << "-1 would make the driver ask again";
}

TEST_F(SocketStreamTest, RefusedWaitFailsAtOnce)
{
	peer_writes("x");
	wait_.refuse();
	EXPECT_EQ(read(1, 1, 60000), "[Software caused connection abort]");
	EXPECT_FALSE(wait_.pause(1000));
}

TEST_F(SocketStreamTest, LimitEndsAWait)
{
	test::Stopwatch watch;

	wait_.limit(150);
	EXPECT_EQ(read(1, 1, 60000), "[Connection timed out]");
	EXPECT_TRUE(wait_.out_of_time());
	EXPECT_GE(watch.ms(), 140);
	EXPECT_LT(watch.ms(), 400);
	wait_.limit(0);
	peer_writes("x");
	EXPECT_EQ(read(1, 1, 60000), "x");
	EXPECT_FALSE(wait_.out_of_time());
}

/* A destructor's wait is bounded and does not look at interrupts. */
TEST_F(SocketStreamTest, ClosingWait)
{
	test::InterruptAfter interrupt(10);
	test::Stopwatch watch;

	wait_.close_within(120);
	EXPECT_EQ(read(1, 1, 60000), "[Connection timed out]");
	EXPECT_GE(watch.ms(), 110);
	EXPECT_FALSE(wait_.interrupted());
}

TEST_F(SocketStreamTest, AllowanceIsAddedToTimeouts)
{
	test::Stopwatch watch;

	(void) wait_.bound(0, 200);
	EXPECT_EQ(read(1, 1, 50), "[Connection timed out]");
	EXPECT_GE(watch.ms(), 240);
}

TEST_F(SocketStreamTest, PollTellsWhoIsReady)
{
	int fds[2];
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	std::unique_ptr<mongoc_stream_t, StreamDeleter> other(new_socket_stream(fds[0], &wait_));
	mongoc_stream_poll_t polled[2] = {{stream_.get(), POLLIN, 0}, {other.get(), POLLIN, 0}};

	EXPECT_EQ(mongoc_stream_poll(polled, 2, 120), 0);
	EXPECT_EQ(write(fds[1], "x", 1), 1);
	EXPECT_EQ(mongoc_stream_poll(polled, 2, 10000), 1);
	EXPECT_EQ(polled[0].revents, 0);
	EXPECT_EQ(polled[1].revents, POLLIN);
	close(fds[1]);
}

class ConnectTest : public testing::Test
{
protected:
	/* The stream to a host, or null with the error's words in message_. */
	std::unique_ptr<mongoc_stream_t, StreamDeleter>
	connect(const char *name, uint16_t port, int family = AF_UNSPEC)
	{
		mongoc_host_list_t host = {};
		bson_error_t error = {};

		snprintf(host.host, sizeof(host.host), "%s", name);
		snprintf(host.host_and_port, sizeof(host.host_and_port), "%.200s:%u", name, port);
		host.port = port;
		host.family = family;
		std::unique_ptr<mongoc_stream_t, StreamDeleter> stream(
			open_socket_stream(nullptr, &host, &wait_, &error));
		message_ = error.message;
		return stream;
	}

	/* A socket that listens on 127.0.0.1, with its port. */
	static int
	listen_somewhere(int backlog, uint16_t *port)
	{
		struct sockaddr_in address = {};
		socklen_t length = sizeof(address);
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		address.sin_family = AF_INET;
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		EXPECT_EQ(bind(fd, reinterpret_cast<struct sockaddr *>(&address), length), 0);
		EXPECT_EQ(listen(fd, backlog), 0);
		EXPECT_EQ(getsockname(fd, reinterpret_cast<struct sockaddr *>(&address), &length), 0);
		*port = ntohs(address.sin_port);
		return fd;
	}

	StreamWait wait_{test::interrupted};
	std::string message_;
};

TEST_F(ConnectTest, ByTcpAndByUnixSocket)
{
	uint16_t port;
	int fd = listen_somewhere(5, &port);
	EXPECT_NE(connect("127.0.0.1", port), nullptr) << message_;
	close(fd);

	std::string path = "/tmp/pg_tenancy_unit." + std::to_string(getpid()) + ".sock";
	struct sockaddr_un address = {};
	address.sun_family = AF_UNIX;
	strcpy(address.sun_path, path.c_str());
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ASSERT_EQ(bind(fd, reinterpret_cast<struct sockaddr *>(&address), sizeof(address)), 0);
	ASSERT_EQ(listen(fd, 5), 0);
	EXPECT_NE(connect(path.c_str(), 27017, AF_UNIX), nullptr) << message_;
	close(fd);
	unlink(path.c_str());
	EXPECT_EQ(connect(path.c_str(), 27017, AF_UNIX), nullptr);
	EXPECT_NE(message_.find("No such file"), std::string::npos) << message_;
	EXPECT_EQ(connect(std::string(150, 'p').c_str(), 27017, AF_UNIX), nullptr);
	EXPECT_NE(message_.find("File name too long"), std::string::npos) << message_;
}

TEST_F(ConnectTest, NobodyListens)
{
	uint16_t port;
	close(listen_somewhere(1, &port));
	EXPECT_EQ(connect("127.0.0.1", port), nullptr);
	EXPECT_EQ(message_,
			  "could not connect to 127.0.0.1:" + std::to_string(port) + ": Connection refused");
}

TEST_F(ConnectTest, UnknownHost)
{
	EXPECT_EQ(connect("no.such.host.invalid", 27017), nullptr);
	EXPECT_NE(message_.find("could not translate host name \"no.such.host.invalid\""),
			  std::string::npos);
}

/* A full backlog drops what comes: connect() hangs, as it does where a firewall drops. */
class SilentHostTest : public ConnectTest
{
protected:
	void
	SetUp() override
	{
		listener_ = listen_somewhere(0, &port_);
		for (int &fd : fillers_)
		{
			struct sockaddr_in address = {};

			address.sin_family = AF_INET;
			address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
			address.sin_port = htons(port_);
			fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
			(void) ::connect(fd, reinterpret_cast<struct sockaddr *>(&address), sizeof(address));
		}
	}
	void
	TearDown() override
	{
		for (int fd : fillers_)
			close(fd);
		close(listener_);
	}

	int listener_;
	uint16_t port_;
	int fillers_[4];
};

TEST_F(SilentHostTest, TimeoutEndsConnecting)
{
	test::Stopwatch watch;

	wait_.connect_timeout_ms = 200;
	EXPECT_EQ(connect("127.0.0.1", port_), nullptr);
	EXPECT_NE(message_.find("Connection timed out"), std::string::npos) << message_;
	EXPECT_GE(watch.ms(), 190);
	EXPECT_LT(watch.ms(), 1000);
}

TEST_F(SilentHostTest, InterruptEndsConnecting)
{
	test::InterruptAfter interrupt(20);
	test::Stopwatch watch;

	EXPECT_EQ(connect("127.0.0.1", port_), nullptr);
	EXPECT_LT(watch.ms(), 90);
	EXPECT_TRUE(wait_.interrupted());
}
