/*
 * change_stream_test.cpp — change streams against a stub server: what is sent, and how they end.
 */
#include "stub_test.h"

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

TEST_F(ChangeStreamTest, AsksAhead)
{
	int calls = 0;
	server_ = std::make_unique<StubServer>(
		[&](const std::string &name)
		{
			if (name == "aggregate")
				return StubServer::reply(open_.c_str());
			if (name != "getMore")
				return StubServer::reply(R"({"ok": 1})");
			calls++;
			return StubServer::reply(reply("nextBatch", "5",
										   ("[{\"n\": " + std::to_string(calls + 1) + "}]").c_str(),
										   ("T" + std::to_string(calls + 1)).c_str())
										 .c_str());
		});
	Client client(options_for(server_->host()), test::interrupted);
	ChangeStream stream(client, nullptr, nullptr, StreamStart{}, 10);

	stream.request_batch();
	EXPECT_EQ(server_->names().size(), 1u) << "the first batch is here already";
	stream.next_batch(1000);
	const bson_t *event = stream.next_event();
	stream.request_batch();
	stream.request_batch();
	client.command("db", ping().get());
	EXPECT_EQ(server_->names().size(), 3u) << "asked for once";
	EXPECT_NE(server_->received()[1].find(R"("maxTimeMS" : 100, )"), std::string::npos);
	EXPECT_EQ(Document(event).json(), R"({ "n" : 1 })") << "it stays where it is";
	EXPECT_EQ(token(stream), R"({ "_data" : "T1" })") << "and so does the token";

	stream.next_batch(1000);
	EXPECT_EQ(Document(stream.next_event()).json(), R"({ "n" : 2 })");
	EXPECT_EQ(token(stream), R"({ "_data" : "T2" })");
	stream.request_batch();
	stream.next_batch(1000);
	EXPECT_EQ(Document(stream.next_event()).json(), R"({ "n" : 3 })");
	EXPECT_EQ(calls, 2);
}

TEST_F(ChangeStreamTest, ErrorOfABatchAskedForAhead)
{
	serve(open_, R"({"ok": 0, "errmsg": "words", "code": 286})");
	ChangeStream stream(*client_, nullptr, nullptr, StreamStart{}, 10);
	stream.next_batch(10);
	stream.request_batch();
	EXPECT_EQ(stream.state(), StreamState::open);
	EXPECT_NE(stream.next_event(), nullptr);
	stream.next_batch(10);
	EXPECT_EQ(stream.state(), StreamState::history_lost);
	EXPECT_STREQ(stream.state_detail(), "words");
	stream.request_batch();
	EXPECT_FALSE(client_->broken());
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
