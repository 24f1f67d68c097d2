/*
 * client_test.cpp — clients, cursors and change streams against a stub server: options, the commands that are sent, and
 * replies that no real server gives.
 */
#include <algorithm>

#include <gtest/gtest.h>

#include "client/change_stream.h"
#include "client/cursor.h"

#include "interrupt.h"
#include "stub_server.h"

using namespace bridge;

static constexpr char secret[] = "s3cret";

static ConnectionOptions
options_for(const char *hosts)
{
	ConnectionOptions options{};

	options.hosts = hosts;
	options.server_selection_timeout_ms = -1;
	return options;
}

/* What a body throws; it must not show the secret. */
template <class Body>
static Error
thrown(Body &&body)
{
	try
	{
		body();
	}
	catch (const Error &e)
	{
		for (const std::string &words : {e.message, e.detail, e.hint})
			EXPECT_EQ(words.find(secret), std::string::npos) << words;
		return e;
	}
	ADD_FAILURE() << "nothing was thrown";
	return Error("00000", "");
}

static Error
refused(const ConnectionOptions &options)
{
	Error e = thrown([&] { Client client(options, nullptr); });
	EXPECT_STREQ(e.state, "22023") << e.message;
	return e;
}

/*
 * Options
 */

TEST(ClientOptions, HostsAreNamesAndPortsOnly)
{
	for (const char *hosts : {"", "user:s3cret@host", "mongodb://host", "mongodb+srv://host",
							  "host/?ssl=true", "host?x", "a b", "host%00", "host,", ",host",
							  "host:0x", "host:99999", "host:-1", "[::1", "a\nb", "h\xc3\xb6st"})
	{
		Error e = refused(options_for(hosts));
		EXPECT_EQ(e.message, "invalid value for option \"hosts\"") << hosts;
		EXPECT_FALSE(e.hint.empty()) << hosts;
	}
	refused(options_for(nullptr));
	for (const char *hosts :
		 {"host", "host:1", "a:1,b:2,c", "10.0.0.1", "[::1]:27017", "my-host_1.example.org",
		  "/tmp/mongodb-27017.sock", "/tmp/a b%?/mongodb.sock"})
		EXPECT_NO_THROW(Client(options_for(hosts), nullptr)) << hosts;
}

TEST(ClientOptions, UserAndPasswordBelongTogether)
{
	ConnectionOptions options = options_for("host");

	options.user = "u";
	EXPECT_EQ(refused(options).message, "invalid value for option \"password\"");
	options.user = nullptr;
	options.password = secret;
	EXPECT_EQ(refused(options).message, "invalid value for option \"user\"");
	options.user = "u@:/?#";
	options.password = "s3cret@:/?#%";
	EXPECT_NO_THROW(Client(options, nullptr));
}

TEST(ClientOptions, Mechanisms)
{
	ConnectionOptions options = options_for("host");

	options.auth_mechanism = "PLAIN";
	EXPECT_EQ(refused(options).message, "invalid value for option \"auth_mechanism\"");
	options.auth_mechanism = "SCRAM-SHA-256";
	refused(options);
	options.user = "u";
	options.password = secret;
	EXPECT_NO_THROW(Client(options, nullptr));
	options = options_for("host");
	options.auth_mechanism = "MONGODB-X509";
	EXPECT_EQ(refused(options).detail, "MONGODB-X509 needs TLS with a client certificate.");
}

TEST(ClientOptions, OthersThatAreWrong)
{
	ConnectionOptions options = options_for("host");
	options.read_preference = "somewhere";
	EXPECT_EQ(refused(options).message, "invalid value for option \"read_preference\"");

	std::string long_name(200, 'x');
	options = options_for("host");
	options.application_name = long_name.c_str();
	EXPECT_EQ(refused(options).message, "invalid value for option \"application_name\"");

	options = options_for("host");
	options.tls_ca_file = "/nonexistent/ca.pem";
	Error e = thrown([&] { Client client(options, nullptr); });
	EXPECT_STREQ(e.state, "F0000");
	EXPECT_EQ(e.message, "could not read file \"/nonexistent/ca.pem\": No such file or directory");
}

/*
 * Commands
 */

static Document
ping()
{
	return Document::parse(R"({"ping": 1})");
}

TEST(Client, RunsCommands)
{
	StubServer server([](const std::string &)
					  { return StubServer::reply(R"({"ok": 1, "answer": 42})"); });
	Client client(options_for(server.host()), nullptr);

	EXPECT_EQ(client.command("db", ping().get()).json(), R"({ "ok" : 1, "answer" : 42 })");
	EXPECT_EQ(client.command("db", ping().get(), true).json(), R"({ "ok" : 1, "answer" : 42 })");
	EXPECT_EQ(thrown([&] { client.command("db", Document().get()); }).message,
			  "command for MongoDB is empty");
	EXPECT_FALSE(client.broken());
}

TEST(Client, ErrorsOfTheServerLeaveTheConnection)
{
	StubServer server(
		[](const std::string &name)
		{
			return StubServer::reply(
				name == "ping"
					? R"({"ok": 0, "code": 13, "errmsg": "not authorized"})"
					: R"({"ok": 1, "writeErrors": [{"index": 0, "code": 11000, "errmsg": "E11000 dup"}]})");
		});
	Client client(options_for(server.host()), nullptr);

	Error e = thrown([&] { client.command("db", ping().get()); });
	EXPECT_STREQ(e.state, "42501");
	EXPECT_EQ(e.message, "could not run command \"ping\" on database \"db\"");
	EXPECT_EQ(e.detail, "not authorized");
	e = thrown([&] { client.command("db", Document::parse(R"({"insert": "c"})").get()); });
	EXPECT_STREQ(e.state, "23505");
	EXPECT_FALSE(client.broken());
}

TEST(Client, BrokenConnectionsAreNotUsedAgain)
{
	StubServer server([](const std::string &) { return StubServer::hang_up(); });
	Client client(options_for(server.host()), nullptr);

	EXPECT_STREQ(
		thrown([&] { client.command("db", Document::parse(R"({"drop": "c"})").get()); }).state,
		"08006");
	EXPECT_TRUE(client.broken());
	size_t sent = server.names().size();
	Error e = thrown([&] { client.command("db", ping().get()); });
	EXPECT_STREQ(e.state, "08006");
	EXPECT_EQ(e.detail, "The connection to MongoDB was lost before.");
	EXPECT_EQ(server.names().size(), sent);
}

TEST(Client, RepliesThatAreNone)
{
	StubServer::Bytes cut = StubServer::reply(R"({"ok": 1, "text": "0123456789"})").bytes;
	cut.resize(cut.size() - 5);
	StubServer::Bytes monstrous = {0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0xdd, 7, 0, 0};
	StubServer::Bytes tiny = {3, 0, 0, 0};

	for (const auto &bytes : {cut, monstrous, tiny})
	{
		StubServer server([&](const std::string &) { return StubServer::hang_up(bytes); });
		Client client(options_for(server.host()), nullptr);

		EXPECT_STREQ(
			thrown([&] { client.command("db", Document::parse(R"({"drop": "c"})").get()); }).state,
			"08006");
		EXPECT_TRUE(client.broken());
	}
}

TEST(Client, SilentServerAndAnInterrupt)
{
	StubServer server([](const std::string &) { return StubServer::silence(); });
	Client client(options_for(server.host()), test::interrupted);
	long ms;

	{
		test::InterruptAfter interrupt(50);
		test::Stopwatch watch;
		Error e = thrown([&] { client.command("db", ping().get()); });
		ms = watch.ms();
		EXPECT_STREQ(e.state, "57014");
	}
	EXPECT_LT(ms, 200);
	EXPECT_TRUE(client.broken());
}

TEST(Client, TricklingServerAndAnInterrupt)
{
	StubServer server(
		[](const std::string &)
		{
			StubServer::Answer answer = StubServer::reply(
				R"({"ok": 1, "text": "0123456789012345678901234567890123456789"})");
			answer.pause_us = 20000;
			return answer;
		});
	Client client(options_for(server.host()), test::interrupted);
	test::InterruptAfter interrupt(200);
	test::Stopwatch watch;

	EXPECT_STREQ(thrown([&] { client.command("db", ping().get()); }).state, "57014");
	EXPECT_LT(watch.ms(), 400);
}

TEST(Client, SocketTimeout)
{
	StubServer server([](const std::string &) { return StubServer::silence(); });
	ConnectionOptions options = options_for(server.host());
	options.socket_timeout_ms = 150;
	Client client(options, nullptr);
	test::Stopwatch watch;

	EXPECT_STREQ(
		thrown([&] { client.command("db", Document::parse(R"({"drop": "c"})").get()); }).state,
		"08006");
	EXPECT_GE(watch.ms(), 140);
	EXPECT_LT(watch.ms(), 2000);
	EXPECT_TRUE(client.broken());
}

/* An interrupt that came before anything was sent costs no connection. */
TEST(Client, InterruptBetweenCommands)
{
	StubServer server([](const std::string &) { return StubServer::reply(R"({"ok": 1})"); });
	Client client(options_for(server.host()), test::interrupted);

	client.command("db", ping().get());
	test::interrupt_flag = 1;
	EXPECT_STREQ(thrown([&] { client.command("db", ping().get()); }).state, "57014");
	EXPECT_FALSE(client.broken());
	test::interrupt_flag = 0;
	client.command("db", ping().get());
	EXPECT_EQ(server.names().size(), 2u);
}

TEST(Client, NobodyListens)
{
	test::Stopwatch watch;
	Client client(options_for("127.0.0.1:1"), nullptr);
	Error e = thrown([&] { client.command("db", ping().get()); });

	EXPECT_STREQ(e.state, "08001");
	EXPECT_NE(e.detail.find("could not connect to 127.0.0.1:1: Connection refused"),
			  std::string::npos)
		<< e.detail;
	EXPECT_NE(e.hint.find("\"hosts\""), std::string::npos);
	EXPECT_LT(watch.ms(), 1000);
	EXPECT_TRUE(client.broken());
}

TEST(Client, LooksForAServerUntilTheTimeout)
{
	ConnectionOptions options = options_for("127.0.0.1:1");
	options.server_selection_timeout_ms = 700;
	Client client(options, test::interrupted);
	test::Stopwatch watch;

	EXPECT_STREQ(thrown([&] { client.command("db", ping().get()); }).state, "08001");
	EXPECT_GE(watch.ms(), 650);
	EXPECT_LT(watch.ms(), 3000);

	options.server_selection_timeout_ms = 60000;
	Client patient(options, test::interrupted);
	test::InterruptAfter interrupt(50);
	test::Stopwatch again;
	EXPECT_STREQ(thrown([&] { patient.command("db", ping().get()); }).state, "57014");
	EXPECT_LT(again.ms(), 200);
}

TEST(Client, DeploymentWithoutReplicaSet)
{
	StubServer server(
		[](const std::string &) {
			return StubServer::reply(
				R"({"ok": 0, "code": 76, "errmsg": "not running with --replSet"})");
		});
	Client client(options_for(server.host()), nullptr);

	EXPECT_EQ(client.deployment_id(), "");
}

/*
 * Cursors
 */

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
 * Change streams
 */

class ChangeStreamTest : public testing::Test
{
protected:
	/* A server that answers the aggregate with one reply and each getMore with the other. */
	void
	serve(const std::string &first, const std::string &more)
	{
		server_ = std::make_unique<StubServer>(
			[first, more](const std::string &name)
			{
				return StubServer::reply(name == "aggregate" ? first.c_str()
										 : name == "getMore" ? more.c_str()
															 : R"({"ok": 1})");
			});
		client_ = std::make_unique<Client>(options_for(server_->host()), test::interrupted);
	}
	static std::string
	reply(const char *which, const char *id, const char *events, const char *token)
	{
		return std::string(
				   R"({"ok": 1, "operationTime": {"$timestamp": {"t": 9, "i": 2}}, "cursor": {"id": {"$numberLong": ")") +
			   id + R"("}, "ns": "admin.$cmd.aggregate", ")" + which + R"(": )" + events +
			   R"(, "postBatchResumeToken": {"_data": ")" + token + R"("}}})";
	}
	static std::string
	token(const ChangeStream &stream)
	{
		return stream.token() != nullptr ? Document(stream.token()).json() : "none";
	}

	std::unique_ptr<StubServer> server_;
	std::unique_ptr<Client> client_;
	const std::string open_ = reply("firstBatch", "5", R"([{"n": 1}])", "T1");
};

TEST_F(ChangeStreamTest, ShowsBatchesAndTokens)
{
	serve(open_, reply("nextBatch", "5", R"([{"n": 2}, {"n": 3}])", "T2"));
	Document pipeline = Document::parse(R"([{"$match": {"x": 1}}, {"$project": {"y": 1}}])");
	Document resume = Document::parse(R"({"_data": "T0"})");
	StreamStart start{resume.get(), 7, 8};
	ChangeStream stream(*client_, pipeline.get(), "updateLookup", start, 100);

	EXPECT_EQ(
		server_->received()[0].find(
			R"({ "aggregate" : 1, "pipeline" : [ { "$changeStream" : { "allChangesForCluster" : true, "fullDocument" : "updateLookup", "startAfter" : { "_data" : "T0" } } }, { "$match" : { "x" : 1 } }, { "$project" : { "y" : 1 } } ], "cursor" : { "batchSize" : 100 }, )"),
		0u)
		<< server_->received()[0];
	EXPECT_EQ(token(stream), R"({ "_data" : "T1" })");
	EXPECT_EQ(stream.next_event(), nullptr) << "the first batch is that of next_batch()";

	stream.next_batch(100);
	EXPECT_EQ(Document(stream.next_event()).json(), R"({ "n" : 1 })");
	EXPECT_EQ(stream.next_event(), nullptr);
	EXPECT_EQ(server_->names().size(), 1u) << "no getMore for what is here";

	stream.next_batch(100);
	EXPECT_EQ(token(stream), R"({ "_data" : "T2" })");
	EXPECT_EQ(Document(stream.next_event()).json(), R"({ "n" : 2 })");
	EXPECT_EQ(Document(stream.next_event()).json(), R"({ "n" : 3 })");
	EXPECT_EQ(stream.next_event(), nullptr);
	EXPECT_EQ(stream.operation_seconds(), 9u);
	EXPECT_EQ(stream.operation_increment(), 2u);
	EXPECT_EQ(stream.state(), StreamState::open);
	EXPECT_EQ(
		server_->received()[1].find(
			R"({ "getMore" : 5, "collection" : "$cmd.aggregate", "batchSize" : 100, "maxTimeMS" : 100, )"),
		0u)
		<< server_->received()[1];
}

TEST_F(ChangeStreamTest, StartsAtATime)
{
	serve(open_, open_);
	ChangeStream stream(*client_, nullptr, nullptr, StreamStart{nullptr, 7, 8}, 0);
	EXPECT_NE(
		server_->received()[0].find(
			R"({ "$changeStream" : { "allChangesForCluster" : true, "startAtOperationTime" : { "$timestamp" : { "t" : 7, "i" : 8 } } } } ])"),
		std::string::npos)
		<< server_->received()[0];
}

TEST_F(ChangeStreamTest, ErrorsThatEndAStream)
{
	static const struct
	{
		int code;
		StreamState state;
	} ends[] = {{286, StreamState::history_lost},
				{280, StreamState::token_unusable},
				{260, StreamState::token_unusable},
				{10334, StreamState::oversized}};

	for (const auto &end : ends)
	{
		std::string error =
			R"({"ok": 0, "errmsg": "words", "code": )" + std::to_string(end.code) + "}";

		serve(error, error);
		ChangeStream refused(*client_, nullptr, nullptr, StreamStart{}, 10);
		EXPECT_EQ(refused.state(), end.state) << end.code;
		EXPECT_STREQ(refused.state_detail(), "words");
		EXPECT_EQ(refused.token(), nullptr);

		serve(open_, error);
		ChangeStream stream(*client_, nullptr, nullptr, StreamStart{}, 10);
		stream.next_batch(10);
		EXPECT_EQ(stream.state(), StreamState::open);
		stream.next_batch(10);
		EXPECT_EQ(stream.state(), end.state) << end.code;
		EXPECT_EQ(stream.next_event(), nullptr);
		EXPECT_EQ(token(stream), R"({ "_data" : "T1" })") << "the last one known";
		EXPECT_STREQ(thrown([&] { stream.next_batch(10); }).state, "HV000");
		EXPECT_FALSE(client_->broken());
	}
}

TEST_F(ChangeStreamTest, OtherErrorsAreThrown)
{
	std::string error = R"({"ok": 0, "errmsg": "words", "code": 13})";

	serve(error, error);
	EXPECT_STREQ(
		thrown([&] { ChangeStream stream(*client_, nullptr, nullptr, StreamStart{}, 10); }).state,
		"42501");
	serve(open_, error);
	ChangeStream stream(*client_, nullptr, nullptr, StreamStart{}, 10);
	stream.next_batch(10);
	EXPECT_STREQ(thrown([&] { stream.next_batch(10); }).state, "42501");
}

TEST_F(ChangeStreamTest, ServerClosesTheCursor)
{
	serve(open_, reply("nextBatch", "0", R"([{"last": 1}])", "T2"));
	ChangeStream stream(*client_, nullptr, nullptr, StreamStart{}, 10);
	stream.next_batch(10);
	stream.next_batch(10);
	EXPECT_EQ(stream.state(), StreamState::closed);
	EXPECT_NE(stream.next_event(), nullptr) << "the last batch is there";
	EXPECT_EQ(token(stream), R"({ "_data" : "T2" })");
}

TEST_F(ChangeStreamTest, WaitIsLongerThanTheSocketsTimeout)
{
	server_ = std::make_unique<StubServer>(
		[this](const std::string &name)
		{
			if (name == "getMore")
				usleep(300000);
			return StubServer::reply(
				name == "aggregate" ? open_.c_str() : reply("nextBatch", "5", "[]", "T2").c_str());
		});
	ConnectionOptions options = options_for(server_->host());
	options.socket_timeout_ms = 100;
	Client client(options, nullptr);
	ChangeStream stream(client, nullptr, nullptr, StreamStart{}, 10);
	stream.next_batch(300);
	EXPECT_NO_THROW(stream.next_batch(300));
}

TEST_F(ChangeStreamTest, InterruptInAWait)
{
	server_ = std::make_unique<StubServer>(
		[this](const std::string &name)
		{ return name == "getMore" ? StubServer::silence() : StubServer::reply(open_.c_str()); });
	Client client(options_for(server_->host()), test::interrupted);
	ChangeStream stream(client, nullptr, nullptr, StreamStart{}, 10);
	stream.next_batch(10);

	test::InterruptAfter interrupt(50);
	test::Stopwatch watch;
	EXPECT_STREQ(thrown([&] { stream.next_batch(60000); }).state, "57014");
	EXPECT_LT(watch.ms(), 200);
	EXPECT_TRUE(client.broken());
}
