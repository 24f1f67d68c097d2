/*
 * stub_server.h — a MongoDB server that answers what a test tells it to, for replies that no real one gives.
 *
 * It greets the driver as a standalone server and hands every other command to the test's function, in a thread of its
 * own.  What the function returns goes out as the reply; without one the server is silent, or closes the connection.
 */
#ifndef PG_TENANCY_TEST_STUB_SERVER_H
#define PG_TENANCY_TEST_STUB_SERVER_H

#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bson/document.h"

class StubServer
{
public:
	using Bytes = std::vector<uint8_t>;

	/* What to do with a command: send these bytes (a whole message), or nothing, and perhaps hang up. */
	struct Answer
	{
		Bytes bytes;
		bool hang_up = false;
		int pause_us = 0; /* between any two bytes */
		bool answers_the_request = true;
	};
	using Handler = std::function<Answer(const std::string &name)>;

	explicit StubServer(Handler handler) : handler_(std::move(handler))
	{
		struct sockaddr_in address = {};
		socklen_t length = sizeof(address);

		address.sin_family = AF_INET;
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		listener_ = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(listener_, reinterpret_cast<struct sockaddr *>(&address), length) != 0 ||
			listen(listener_, 10) != 0 ||
			getsockname(listener_, reinterpret_cast<struct sockaddr *>(&address), &length) != 0)
			throw std::runtime_error("no port for the stub server");
		host_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
		thread_ = std::thread([this] { serve(); });
	}
	~StubServer()
	{
		stop_ = true;
		thread_.join();
		close(listener_);
	}

	const char *host() const { return host_.c_str(); }

	/* The commands received, as relaxed JSON; names alone. */
	std::vector<std::string>
	received()
	{
		std::lock_guard<std::mutex> lock(mutex_);
		return received_;
	}
	std::vector<std::string>
	names()
	{
		std::lock_guard<std::mutex> lock(mutex_);
		return names_;
	}

	/* A reply as OP_MSG. */
	static Answer
	reply(const char *json)
	{
		return reply(bridge::Document::parse(json).get());
	}
	static Answer
	reply(const bson_t *document)
	{
		Bytes body(5, 0); /* flags, and the kind of the section */
		body.insert(body.end(), bson_get_data(document), bson_get_data(document) + document->len);
		return {message(2013, body)};
	}
	static Answer silence() { return {}; }
	static Answer
	hang_up(Bytes first = {})
	{
		Answer answer{std::move(first)};
		answer.hang_up = true;
		return answer;
	}

	static Bytes
	message(int32_t opcode, const Bytes &body)
	{
		int32_t header[4] = {static_cast<int32_t>(sizeof(header) + body.size()), 1, 0, opcode};
		Bytes bytes(sizeof(header));

		memcpy(bytes.data(), header, sizeof(header));
		bytes.insert(bytes.end(), body.begin(), body.end());
		return bytes;
	}

private:
	void
	serve()
	{
		while (!stop_)
		{
			struct pollfd polled = {listener_, POLLIN, 0};
			if (poll(&polled, 1, 20) <= 0)
				continue;
			int fd = accept(listener_, nullptr, nullptr);
			while (fd >= 0 && handle_message(fd))
				;
			close(fd);
		}
	}

	bool
	read_exactly(int fd, uint8_t *buffer, size_t size)
	{
		size_t done = 0;

		while (done < size && !stop_)
		{
			struct pollfd polled = {fd, POLLIN, 0};
			if (poll(&polled, 1, 20) <= 0)
				continue;
			ssize_t got = read(fd, buffer + done, size - done);
			if (got <= 0)
				return false;
			done += static_cast<size_t>(got);
		}
		return done == size;
	}

	bool
	handle_message(int fd)
	{
		int32_t header[4];

		if (!read_exactly(fd, reinterpret_cast<uint8_t *>(header), sizeof(header)))
			return false;
		Bytes body(static_cast<size_t>(header[0]) - sizeof(header));
		if (!read_exactly(fd, body.data(), body.size()))
			return false;

		/* OP_QUERY is the driver's first greeting; everything else is OP_MSG. */
		size_t at = header[3] == 2004 ? 4 + strlen(reinterpret_cast<char *>(&body[4])) + 1 + 8 : 5;
		bson_t command;
		if (!bson_init_static(&command, &body[at], body.size() - at) && !shorten(&command, body, at))
			return false;
		request_ = header[1];
		return header[3] == 2004 ? greet(fd) : answer(fd, &command);
	}

	/* The document need not fill the message: a checksum or a second document may follow. */
	static bool
	shorten(bson_t *command, const Bytes &body, size_t at)
	{
		uint32_t length;
		memcpy(&length, &body[at], sizeof(length));
		return bson_init_static(command, &body[at], length);
	}

	static const char *
	greeting()
	{
		return R"({"ismaster": true, "maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000,
			"maxWriteBatchSize": 100000, "logicalSessionTimeoutMinutes": 30, "minWireVersion": 0,
			"maxWireVersion": 17, "ok": 1})";
	}

	bool
	greet(int fd)
	{
		bridge::Document hello = bridge::Document::parse(greeting());
		Bytes body(20, 0);

		body[16] = 1; /* one document */
		body.insert(body.end(), bson_get_data(hello.get()),
					bson_get_data(hello.get()) + hello.get()->len);
		return send(fd, {message(1, body)});
	}

	bool
	answer(int fd, const bson_t *command)
	{
		bson_iter_t first;
		bson_iter_init(&first, command);
		bson_iter_next(&first);
		std::string name = bson_iter_key(&first);

		if (name == "hello" || name == "isMaster" || name == "ismaster")
			return send(fd, reply(greeting()));
		{
			std::lock_guard<std::mutex> lock(mutex_);
			bridge::Document copy(command);
			received_.push_back(copy.json());
			names_.push_back(name);
		}
		if (name == "endSessions")
			return send(fd, reply(R"({"ok": 1})"));
		return send(fd, handler_(name));
	}

	bool
	send(int fd, Answer answer)
	{
		if (answer.bytes.size() >= 16 && answer.answers_the_request)
			memcpy(&answer.bytes[8], &request_, sizeof(request_));
		size_t step = answer.pause_us > 0 ? 1 : answer.bytes.size();

		for (size_t at = 0; at < answer.bytes.size() && !stop_; at += step)
		{
			if (::send(fd, &answer.bytes[at], step, MSG_NOSIGNAL) != static_cast<ssize_t>(step))
				return false;
			if (answer.pause_us > 0)
				usleep(static_cast<useconds_t>(answer.pause_us));
		}
		return !answer.hang_up;
	}

	Handler handler_;
	int32_t request_ = 0;
	int listener_;
	std::string host_;
	std::atomic<bool> stop_{false};
	std::mutex mutex_;
	std::vector<std::string> received_;
	std::vector<std::string> names_;
	std::thread thread_;
};

#endif
