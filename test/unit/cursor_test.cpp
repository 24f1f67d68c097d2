/*
 * cursor_test.cpp — cursors against a stub server: what is sent, and replies that no real server gives.
 */
#include <algorithm>
#include <atomic>
#include <functional>
#include <map>

#include "stub_test.h"

static Document
find()
{
	return Document::parse(R"({"find": "c", "filter": {"x": 1}, "batchSize": 2})");
}

static std::string
batch(const char *which, const char *id, const char *documents)
{
	return std::string(
			   R"({"ok": 1, "operationTime": {"$timestamp": {"t": 9, "i": 1}}, "cursor": {"id": {"$numberLong": ")") +
		   id + R"("}, "ns": "db.c", ")" + which + R"(": )" + documents + "}}";
}

/* A server with a cursor of two batches; the second one is the test's. */
class CursorTest : public testing::Test
{
protected:
	void
	serve(StubServer::Answer second)
	{
		server_ = std::make_unique<StubServer>(
			[second](const std::string &name)
			{
				if (name == "find")
					return StubServer::reply(
						batch("firstBatch", "5", R"([{"_id": 1}, {"_id": 2}])").c_str());
				if (name == "getMore")
					return second;
				return StubServer::reply(R"({"ok": 1})");
			});
		client_ = std::make_unique<Client>(options_for(server_->host()), test::interrupted);
		cursor_ = std::make_unique<Cursor>(*client_, "db", find().get(), "collection \"c\"");
	}
	std::string
	next()
	{
		const bson_t *document = cursor_->next();
		return document != nullptr ? document_json(document) : "end";
	}
	static std::string
	document_json(const bson_t *document)
	{
		return Document(document).json();
	}
	bool
	received(const char *name)
	{
		auto names = server_->names();
		return std::find(names.begin(), names.end(), name) != names.end();
	}
	/* Everything that can follow a second batch that fails. */
	void
	expect_failure(const char *state)
	{
		EXPECT_EQ(next(), R"({ "_id" : 1 })");
		EXPECT_EQ(next(), R"({ "_id" : 2 })");
		Error e = thrown([&] { next(); });
		EXPECT_STREQ(e.state, state) << e.detail;
		EXPECT_EQ(e.message, "could not read collection \"c\"");
		e = thrown([&] { next(); });
		EXPECT_EQ(e.detail, "The cursor failed before.") << "a failed cursor has no end";
	}

	std::unique_ptr<StubServer> server_;
	std::unique_ptr<Client> client_;
	std::unique_ptr<Cursor> cursor_;
};

TEST_F(CursorTest, ReadsBatchAfterBatch)
{
	serve(StubServer::reply(batch("nextBatch", "0", R"([{"_id": 3}])").c_str()));
	cursor_->set_batch_size(7);
	EXPECT_TRUE(cursor_->has_buffered());
	EXPECT_EQ(next(), R"({ "_id" : 1 })");
	EXPECT_TRUE(cursor_->has_buffered());
	EXPECT_EQ(next(), R"({ "_id" : 2 })");
	EXPECT_FALSE(cursor_->has_buffered());
	EXPECT_EQ(next(), R"({ "_id" : 3 })");
	EXPECT_EQ(next(), "end");
	EXPECT_EQ(next(), "end");
	cursor_.reset();
	EXPECT_FALSE(received("killCursors")) << "it was read to its end";

	/* The command as given, one session, and the cursor's number. */
	Document first = Document::parse(server_->received()[0].c_str());
	Document second = Document::parse(server_->received()[1].c_str());
	EXPECT_EQ(
		server_->received()[0].find(R"({ "find" : "c", "filter" : { "x" : 1 }, "batchSize" : 2, )"),
		0u);
	EXPECT_EQ(
		server_->received()[1].find(R"({ "getMore" : 5, "collection" : "c", "batchSize" : 7, )"),
		0u);
	bson_iter_t one;
	bson_iter_t two;
	ASSERT_TRUE(bson_iter_init_find(&one, first.get(), "lsid"));
	ASSERT_TRUE(bson_iter_init_find(&two, second.get(), "lsid"));
	EXPECT_TRUE(bson_equal(Document::parse(R"({})").get(), Document().get()));
	EXPECT_EQ(0, memcmp(bson_iter_value(&one)->value.v_doc.data,
						bson_iter_value(&two)->value.v_doc.data,
						bson_iter_value(&one)->value.v_doc.data_len));
}

TEST_F(CursorTest, EmptyBatchIsNotTheEnd)
{
	int calls = 0;
	StubServer server(
		[&](const std::string &name)
		{
			if (name == "find")
				return StubServer::reply(batch("firstBatch", "5", "[]").c_str());
			return StubServer::reply(++calls < 3
										 ? batch("nextBatch", "5", "[]").c_str()
										 : batch("nextBatch", "0", R"([{"_id": 1}])").c_str());
		});
	Client client(options_for(server.host()), nullptr);
	Cursor cursor(client, "db", find().get(), "c");

	EXPECT_NE(cursor.next(), nullptr);
	EXPECT_EQ(cursor.next(), nullptr);
	EXPECT_EQ(calls, 3);
}

TEST_F(CursorTest, DestructorKillsWhatIsOpen)
{
	serve(StubServer::silence());
	next();
	cursor_.reset();
	EXPECT_TRUE(received("killCursors"));
	std::string kill = server_->received().back();
	EXPECT_EQ(kill.find(R"({ "killCursors" : "c", "cursors" : [ 5 ], )"), 0u) << kill;
	EXPECT_FALSE(client_->broken());
}

TEST_F(CursorTest, OutlivesItsClient)
{
	serve(StubServer::reply(batch("nextBatch", "0", R"([{"_id": 3}])").c_str()));
	client_.reset();
	EXPECT_EQ(next(), R"({ "_id" : 1 })");
	EXPECT_EQ(next(), R"({ "_id" : 2 })");
	EXPECT_EQ(next(), R"({ "_id" : 3 })");
	EXPECT_EQ(next(), "end");
}

TEST_F(CursorTest, KilledOnTheServer)
{
	serve(StubServer::reply(R"({"ok": 0, "code": 43, "errmsg": "cursor id 5 not found"})"));
	expect_failure("HV000");
	EXPECT_FALSE(client_->broken());
	cursor_.reset();
	EXPECT_FALSE(received("killCursors")) << "there is none any more";
}

TEST_F(CursorTest, ConnectionLost)
{
	serve(StubServer::hang_up());
	expect_failure("08006");
	EXPECT_TRUE(client_->broken());
	cursor_.reset();
	EXPECT_FALSE(received("killCursors"));
}

TEST_F(CursorTest, ReplyWithoutACursor)
{
	serve(StubServer::reply(R"({"ok": 1})"));
	expect_failure("HV000");
}

TEST_F(CursorTest, MalformedBatches)
{
	/* A batch of something else than documents. */
	serve(StubServer::reply(batch("nextBatch", "0", R"([{"_id": 3}, 4])").c_str()));
	EXPECT_EQ(next(), R"({ "_id" : 1 })");
	EXPECT_EQ(next(), R"({ "_id" : 2 })");
	EXPECT_EQ(next(), R"({ "_id" : 3 })");
	EXPECT_EQ(thrown([&] { next(); }).detail, "The server sent a malformed batch.");
	EXPECT_EQ(thrown([&] { next(); }).detail, "The cursor failed before.");

	/* A document whose length goes beyond the batch, or falls short. */
	for (int wrong : {-4, 1, 1000000})
	{
		Document reply =
			Document::parse(batch("nextBatch", "0", R"([{"unmistakable": 3}])").c_str());
		auto *data = const_cast<uint8_t *>(bson_get_data(reply.get()));
		std::string bytes(reinterpret_cast<char *>(data), reply.get()->len);
		size_t at = bytes.find("unmistakable") - 5;
		data[at] = static_cast<uint8_t>(data[at] + wrong);
		data[at + 2] = static_cast<uint8_t>(wrong >> 16);
		serve(StubServer::reply(reply.get()));
		next();
		next();
		EXPECT_EQ(thrown([&] { next(); }).detail, "The server sent a malformed batch.") << wrong;
	}
}

TEST_F(CursorTest, InterruptInAGetMore)
{
	serve(StubServer::silence());
	next();
	next();
	test::InterruptAfter interrupt(50);
	test::Stopwatch watch;
	EXPECT_STREQ(thrown([&] { next(); }).state, "57014");
	cursor_.reset();
	client_.reset();
	EXPECT_LT(watch.ms(), 200) << "with all destructors";
}

TEST_F(CursorTest, TimeForAGetMore)
{
	serve(StubServer::silence());
	cursor_->set_max_time_ms(150);
	next();
	next();
	test::Stopwatch watch;
	Error e = thrown([&] { next(); });
	EXPECT_STREQ(e.state, "57014");
	EXPECT_EQ(e.detail, "MongoDB did not answer in time.");
	EXPECT_GE(watch.ms(), 140);
	EXPECT_LT(watch.ms(), 1000);
	EXPECT_TRUE(client_->broken());
}

/*
 * Requests ahead: from the second batch on, the next getMore is on its way while a batch is read
 */

/* A server with endless cursors of one document a batch, numbered from the cursor's id. */
class RequestAheadTest : public testing::Test
{
protected:
	RequestAheadTest()
		: server_([this](const std::string &name) { return answer(name); }),
		  client_(options_for(server_.host()), test::interrupted)
	{
	}
	StubServer::Answer
	answer(const std::string &name)
	{
		if (name == "find")
			return StubServer::reply(
				batch("firstBatch", std::to_string(++finds_).c_str(), R"([{"first": 1}])").c_str());
		if (name != "getMore")
			return StubServer::reply(R"({"ok": 1})");
		usleep(static_cast<useconds_t>(delay_us_));
		if (++get_mores_ == hang_up_at_)
			return StubServer::hang_up();
		if (answer_)
			return answer_();

		/* Which cursor is asked for tells the command itself. */
		int64_t id = number_of(server_.received().back());
		std::string document = "[{\"of\": " + std::to_string(id) +
							   ", \"call\": " + std::to_string(++calls_[id]) + "}]";
		return StubServer::reply(
			batch("nextBatch", std::to_string(id).c_str(), document.c_str()).c_str());
	}
	static int64_t
	number_of(const std::string &command)
	{
		return atoll(command.c_str() + strlen(R"({ "getMore" : )"));
	}
	std::unique_ptr<Cursor>
	open()
	{
		return std::make_unique<Cursor>(client_, "db", find().get(), "c");
	}
	static std::string
	next(Cursor &cursor)
	{
		return Document(cursor.next()).json();
	}
	static std::string
	expected(int cursor, int call)
	{
		return "{ \"of\" : " + std::to_string(cursor) + ", \"call\" : " + std::to_string(call) +
			   " }";
	}
	long
	sent(const char *name)
	{
		auto names = server_.names();
		return std::count(names.begin(), names.end(), name);
	}
	bool
	arrives(const char *name, long count)
	{
		test::Stopwatch watch;

		while (sent(name) < count && watch.ms() < 5000)
			usleep(1000);
		return sent(name) >= count;
	}

	std::atomic<int> finds_{0};
	std::atomic<int> delay_us_{0};
	std::atomic<int> hang_up_at_{0};
	int get_mores_ = 0;
	std::function<StubServer::Answer()> answer_;
	std::map<int64_t, int> calls_;
	StubServer server_;
	Client client_;
};

TEST_F(RequestAheadTest, IsMadeFromTheSecondBatchOn)
{
	auto cursor = open();
	next(*cursor);
	EXPECT_EQ(sent("getMore"), 0) << "nobody has asked for more";
	EXPECT_EQ(next(*cursor), expected(1, 1));
	EXPECT_TRUE(arrives("getMore", 2)) << "the batch after this one";
	EXPECT_EQ(next(*cursor), expected(1, 2));
	EXPECT_TRUE(arrives("getMore", 3));
}

TEST_F(RequestAheadTest, SeveralCursorsAndCommandsInBetween)
{
	auto one = open();
	auto two = open();

	next(*one);
	next(*two);
	for (int call = 1; call < 20; call++)
	{
		const bson_t *document = one->next();
		ASSERT_EQ(next(*two), expected(2, call));
		client_.command("db", ping().get());
		ASSERT_EQ(Document(document).json(), expected(1, call)) << "it stays where it is";
		if (call % 5 == 0)
		{
			auto three = open();
			next(*three);
			next(*three);
		}
	}
	EXPECT_FALSE(client_.broken());
}

TEST_F(RequestAheadTest, DestructorWaitsForTheReplyAndKills)
{
	auto cursor = open();
	next(*cursor);
	delay_us_ = 50000;
	next(*cursor);
	EXPECT_TRUE(arrives("getMore", 2));
	cursor.reset();
	EXPECT_EQ(sent("killCursors"), 1);
	EXPECT_EQ(server_.names().back(), "killCursors");
	EXPECT_FALSE(client_.broken());
	client_.command("db", ping().get());
}

TEST_F(RequestAheadTest, DestructorDoesNotWaitLong)
{
	auto cursor = open();
	next(*cursor);
	next(*cursor);
	delay_us_ = 1500000;
	next(*cursor);
	EXPECT_TRUE(arrives("getMore", 3));
	test::Stopwatch watch;
	cursor.reset();
	EXPECT_LT(watch.ms(), 1000);
	EXPECT_TRUE(client_.broken());
}

/* An interrupt between two batches, which is where most of a scan's time goes, costs no connection. */
TEST_F(RequestAheadTest, InterruptBetweenBatches)
{
	auto cursor = open();
	next(*cursor);
	next(*cursor);
	EXPECT_TRUE(arrives("getMore", 2));
	test::interrupt_flag = 1;
	EXPECT_STREQ(thrown([&] { next(*cursor); }).state, "57014");
	test::interrupt_flag = 0;
	cursor.reset();
	EXPECT_FALSE(client_.broken());
	client_.command("db", ping().get());
}

TEST_F(RequestAheadTest, InterruptInAWait)
{
	auto cursor = open();
	next(*cursor);
	answer_ = [] { return StubServer::silence(); };
	delay_us_ = 0;
	test::InterruptAfter interrupt(50);
	test::Stopwatch watch;
	EXPECT_STREQ(thrown([&] { next(*cursor); }).state, "57014");
	cursor.reset();
	EXPECT_LT(watch.ms(), 200);
	EXPECT_TRUE(client_.broken());
}

/* The reply was lost while somebody else wanted the connection: both learn of it. */
TEST_F(RequestAheadTest, LostWhileAnotherCommandRuns)
{
	auto cursor = open();
	hang_up_at_ = 3;
	next(*cursor);
	next(*cursor);
	EXPECT_EQ(next(*cursor), expected(1, 2));
	EXPECT_STREQ(thrown([&] { client_.command("db", ping().get()); }).state, "08006");
	EXPECT_TRUE(client_.broken());
	EXPECT_STREQ(thrown([&] { next(*cursor); }).state, "08006");
}

TEST_F(RequestAheadTest, MessagesThatAreNoReply)
{
	using Bytes = StubServer::Bytes;
	const Bytes good = StubServer::reply(batch("nextBatch", "9", R"([{"x": 1}])").c_str()).bytes;
	auto changed = [&](size_t at, uint8_t value)
	{
		Bytes bytes = good;
		bytes[at] = value;
		return bytes;
	};
	Bytes cut(good.begin(), good.end() - 7);
	Bytes longer = good;
	longer.resize(good.size() + 9);

	struct
	{
		const char *what;
		Bytes bytes;
		bool answers_the_request;
	} const cases[] = {
		{"another request's", good, false},
		{"another kind of message", changed(12, 1), true},
		{"more to come", changed(16, 2), true},
		{"flags that nobody knows", changed(17, 0xff), true},
		{"a section of another kind", changed(20, 1), true},
		{"a document larger than the message", changed(23, 0x7f), true},
		{"a document smaller than it may be", changed(21, 4), true},
		{"a length beyond all bounds", changed(3, 0x7f), true},
		{"a length of nothing", Bytes(25, 0), true},
		{"less than it says", cut, true},
		{"more than it says", longer, true},
	};

	for (const auto &c : cases)
	{
		Client client(options_for(server_.host()), test::interrupted);
		Cursor cursor(client, "db", find().get(), "c");
		answer_ = [&]
		{
			StubServer::Answer answer{c.bytes};
			answer.hang_up = true;
			answer.answers_the_request = c.answers_the_request;
			return answer;
		};
		next(cursor);
		Error e = thrown([&] { next(cursor); });
		EXPECT_STREQ(e.state, "08006") << c.what;
		EXPECT_TRUE(client.broken()) << c.what;
	}
}

TEST_F(RequestAheadTest, ReplyWithAChecksum)
{
	answer_ = []
	{
		StubServer::Answer answer =
			StubServer::reply(batch("nextBatch", "0", R"([{"x": 1}])").c_str());
		answer.bytes.resize(answer.bytes.size() + 4, 0xcc);
		answer.bytes[0] = static_cast<uint8_t>(answer.bytes[0] + 4);
		answer.bytes[16] = 1;
		return answer;
	};
	auto cursor = open();
	next(*cursor);
	EXPECT_EQ(next(*cursor), R"({ "x" : 1 })");
	EXPECT_EQ(cursor->next(), nullptr);
}

/*
 * Commands that are sent without waiting: who asks is told when the reply is there, and what it is no later than open() would
 */

class SentAheadTest : public RequestAheadTest
{
protected:
	std::unique_ptr<Cursor>
	send()
	{
		auto cursor = std::make_unique<Cursor>(client_, "db", "c");
		EXPECT_TRUE(cursor->send_open(find().get()));
		cursor->set_patient();
		return cursor;
	}
	/* How often it was not ready before it was. */
	static int
	wait_for(Cursor &cursor)
	{
		test::Stopwatch watch;
		int tries = 0;

		for (; !cursor.is_ready() && watch.ms() < 5000; tries++)
			usleep(1000);
		return tries;
	}
	static int
	milliseconds(const test::Stopwatch &watch)
	{
		return static_cast<int>(watch.ms());
	}
};

TEST_F(SentAheadTest, OpensWithoutWaiting)
{
	auto cursor = send();
	EXPECT_TRUE(cursor->awaits_reply());
	wait_for(*cursor);
	cursor->finish_open();
	EXPECT_EQ(sent("ping"), 1) << "the driver logs in";
	EXPECT_EQ(next(*cursor), R"({ "first" : 1 })");

	/* Later batches. */
	delay_us_ = 100000;
	test::Stopwatch watch;
	EXPECT_FALSE(cursor->is_ready());
	EXPECT_LT(milliseconds(watch), 50);
	EXPECT_GT(wait_for(*cursor), 2);
	EXPECT_EQ(next(*cursor), expected(1, 1));
	EXPECT_TRUE(arrives("getMore", 2)) << "ahead";
	delay_us_ = 0;
	cursor.reset();

	auto again = send();
	wait_for(*again);
	again->finish_open();
	EXPECT_EQ(sent("ping"), 1) << "once for a connection";
}

TEST_F(SentAheadTest, SendsTheSameCommand)
{
	auto one = open();
	auto two = send();
	wait_for(*two);
	two->finish_open();

	std::vector<std::string> finds;
	for (const std::string &command : server_.received())
		if (command.find(R"({ "find")") == 0)
			finds.push_back(command.substr(0, command.find("lsid")) +
							command.substr(command.find("$db")));
	ASSERT_EQ(finds.size(), 2u);
	/* Where they part is the order of what is added. */
	EXPECT_EQ(finds[1].find(R"({ "find" : "c", "filter" : { "x" : 1 }, "batchSize" : 2, )"), 0u);
	EXPECT_EQ(finds[0].find("primaryPreferred") == std::string::npos,
			  finds[1].find("primaryPreferred") == std::string::npos)
		<< finds[0] << finds[1];
}

TEST_F(SentAheadTest, RepliesThatComeInPieces)
{
	auto cursor = send();
	wait_for(*cursor);
	cursor->finish_open();
	next(*cursor);
	answer_ = []
	{
		StubServer::Answer answer =
			StubServer::reply(batch("nextBatch", "1", R"([{"x": 1}, {"x": 2}])").c_str());
		answer.pause_us = 1000;
		return answer;
	};
	EXPECT_GT(wait_for(*cursor), 10);
	EXPECT_EQ(next(*cursor), R"({ "x" : 1 })");

	/* A part of the next one is there when somebody else wants the connection: the whole is taken off first. */
	EXPECT_EQ(next(*cursor), R"({ "x" : 2 })");
	EXPECT_FALSE(cursor->is_ready());
	usleep(20000);
	EXPECT_FALSE(cursor->is_ready());
	client_.command("db", ping().get());
	EXPECT_TRUE(cursor->is_ready());
	EXPECT_EQ(next(*cursor), R"({ "x" : 1 })");
	EXPECT_FALSE(client_.broken());
}

TEST_F(SentAheadTest, OneRequestAtATime)
{
	auto one = send();
	Cursor two(client_, "db", "c");
	EXPECT_FALSE(two.send_open(find().get())) << "the connection is taken";
	while (!client_.link()->make_free_at_once())
		usleep(1000);
	EXPECT_TRUE(two.send_open(find().get()));
	EXPECT_TRUE(one->is_ready()) << "its reply was taken off";
	one->finish_open();
	EXPECT_EQ(next(*one), R"({ "first" : 1 })");
	EXPECT_FALSE(one->is_ready()) << "and it asks for no more while the other one waits";
	EXPECT_EQ(sent("getMore"), 0);
	wait_for(two);
	two.finish_open();
	EXPECT_EQ(next(two), R"({ "first" : 1 })");
	wait_for(*one);
	EXPECT_EQ(next(*one), expected(1, 1));
}

TEST_F(SentAheadTest, DestructorKillsWhatWasOpened)
{
	send().reset();
	EXPECT_EQ(sent("killCursors"), 1);

	/* And what somebody else has taken off the connection. */
	auto cursor = send();
	client_.command("db", ping().get());
	cursor.reset();
	EXPECT_EQ(sent("killCursors"), 2);
	EXPECT_FALSE(client_.broken());
}

TEST_F(SentAheadTest, Lost)
{
	auto cursor = send();
	wait_for(*cursor);
	cursor->finish_open();
	next(*cursor);
	answer_ = [] { return StubServer::hang_up(); };
	wait_for(*cursor);
	EXPECT_STREQ(thrown([&] { next(*cursor); }).state, "08006");
	EXPECT_TRUE(client_.broken());
	EXPECT_STREQ(thrown([&] { next(*cursor); }).state, "HV000");
}

TEST_F(SentAheadTest, RefusedByTheServer)
{
	StubServer server(
		[](const std::string &name)
		{
			return StubServer::reply(name == "find" ? R"({"ok": 0, "code": 13, "errmsg": "no"})"
													: R"({"ok": 1})");
		});
	Client client(options_for(server.host()), test::interrupted);
	Cursor cursor(client, "db", "c");
	EXPECT_TRUE(cursor.send_open(find().get()));
	wait_for(cursor);
	Error e = thrown([&] { cursor.finish_open(); });
	EXPECT_STREQ(e.state, "42501");
	EXPECT_FALSE(client.broken());
}

TEST_F(SentAheadTest, InterruptBreaksNothing)
{
	auto cursor = send();
	wait_for(*cursor);
	cursor->finish_open();
	next(*cursor);
	answer_ = [] { return StubServer::silence(); };
	EXPECT_FALSE(cursor->is_ready());
	test::interrupt_flag = 1;
	EXPECT_STREQ(thrown([&] { cursor->is_ready(); }).state, "57014");
	test::interrupt_flag = 0;
	EXPECT_FALSE(client_.broken());
}

/* Several servers that stall: the farewells share their time. */
TEST_F(SentAheadTest, FarewellsShareTheirTime)
{
	std::vector<std::unique_ptr<StubServer>> servers;
	std::vector<std::unique_ptr<Client>> clients;
	std::vector<std::unique_ptr<Cursor>> cursors;

	for (int i = 0; i < 6; i++)
	{
		servers.push_back(std::make_unique<StubServer>(
			[](const std::string &name)
			{
				return name == "find" ? StubServer::silence() : StubServer::reply(R"({"ok": 1})");
			}));
		clients.push_back(
			std::make_unique<Client>(options_for(servers.back()->host()), test::interrupted));
		cursors.push_back(std::make_unique<Cursor>(*clients.back(), "db", "c"));
		EXPECT_TRUE(cursors.back()->send_open(find().get()));
	}
	usleep(300000); /* what earlier tests have spent is forgotten */
	test::Stopwatch watch;
	cursors.clear();
	EXPECT_LT(milliseconds(watch), 1000);
	for (auto &client : clients)
		EXPECT_TRUE(client->broken());
}

/* A wait that was given up may leave a cursor: the next connection ends its session. */
TEST_F(SentAheadTest, NextConnectionEndsWhatWasLeft)
{
	std::atomic<bool> silent{true};
	StubServer server(
		[&](const std::string &name)
		{
			return name == "find" && silent ? StubServer::silence()
											: StubServer::reply(R"({"ok": 1})");
		});
	{
		Client client(options_for(server.host()), test::interrupted);
		Cursor cursor(client, "db", "c");
		EXPECT_TRUE(cursor.send_open(find().get()));
	}
	std::string sent = server.received().back();
	size_t at = sent.find("base64");
	std::string session = sent.substr(at, sent.find('}', at) - at);
	auto killed = [&]
	{
		for (const std::string &command : server.received())
			if (command.find("killSessions") != std::string::npos)
				return command.find(session) != std::string::npos;
		return false;
	};
	EXPECT_FALSE(killed());
	silent = false;

	{
		Client client(options_for(server.host()), test::interrupted);
		client.command("db", ping().get());
		EXPECT_TRUE(killed());
		client.command("db", ping().get());
	}
	auto names = server.names();
	EXPECT_EQ(std::count(names.begin(), names.end(), "killSessions"), 1);
}
