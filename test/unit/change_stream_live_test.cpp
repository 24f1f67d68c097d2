/*
 * change_stream_live_test.cpp — change streams of a real replica set, and how they end.
 */
#include "live_test.h"

static std::string
next_operation(ChangeStream &stream)
{
	test::Stopwatch watch;

	while (watch.ms() < 20000)
	{
		if (const bson_t *event = stream.next_event())
		{
			bson_iter_t field;
			std::string words = bson_iter_init_find(&field, event, "operationType")
									? bson_iter_utf8(&field, nullptr)
									: "?";
			return words + " " + std::to_string(number_at(event, "documentKey._id"));
		}
		if (stream.state() != StreamState::open)
			return "ended";
		stream.next_batch(100);
	}
	return "nothing";
}

static Document
only_test_database()
{
	return Document::parse(R"([{"$match": {"ns.db": "test"}}])");
}

TEST_F(ReplicaSetTest, ChangeStreamTellsWhatHappens)
{
	Document pipeline = only_test_database();
	ChangeStream stream(*client_, pipeline.get(), "updateLookup", StreamStart{}, 100);
	auto writer = connect();

	ASSERT_NE(stream.token(), nullptr);
	stream.next_batch(10);
	EXPECT_EQ(stream.next_event(), nullptr);
	Document before(stream.token());

	run(*writer, "test", R"({"insert": "c", "documents": [{"_id": 1}, {"_id": 2}]})");
	run(*writer, "test",
		R"({"update": "c", "updates": [{"q": {"_id": 2}, "u": {"$set": {"x": 1}}}]})");
	run(*writer, "test", R"({"delete": "c", "deletes": [{"q": {"_id": 1}, "limit": 1}]})");
	for (const char *expected : {"insert 1", "insert 2", "update 2", "delete 1"})
		EXPECT_EQ(next_operation(stream), expected);
	EXPECT_GT(stream.operation_seconds(), 1600000000u);

	/* The token is newer than the events, and moves while nothing happens here. */
	Document after(stream.token());
	EXPECT_FALSE(bson_equal(before.get(), after.get()));
	run(*writer, "elsewhere", R"({"insert": "c", "documents": [{"x": 1}]})");
	EXPECT_TRUE(eventually(
		[&]
		{
			stream.next_batch(50);
			return !bson_equal(stream.token(), after.get());
		}));

	/* Again from the first token: the same events. */
	StreamStart start{before.get(), 0, 0};
	ChangeStream again(*client_, pipeline.get(), "updateLookup", start, 2);
	for (const char *expected : {"insert 1", "insert 2", "update 2", "delete 1"})
		EXPECT_EQ(next_operation(again), expected);
	/* And from the last one: none of them. */
	run(*writer, "test", R"({"insert": "c", "documents": [{"_id": 9}]})");
	StreamStart late{after.get(), 0, 0};
	ChangeStream rest(*client_, pipeline.get(), "updateLookup", late, 2);
	EXPECT_EQ(next_operation(rest), "insert 9");
}

TEST_F(ReplicaSetTest, ChangeStreamWaitsForAnEvent)
{
	Document pipeline = only_test_database();
	ChangeStream stream(*client_, pipeline.get(), nullptr, StreamStart{}, 100);
	stream.next_batch(10);

	test::Stopwatch watch;
	stream.next_batch(300);
	EXPECT_GE(watch.ms(), 250);
	EXPECT_LT(watch.ms(), 5000);
	EXPECT_EQ(stream.state(), StreamState::open);

	test::InterruptAfter interrupt(100);
	test::Stopwatch again;
	EXPECT_STREQ(thrown([&] { stream.next_batch(60000); }).state, "57014");
	EXPECT_LT(again.ms(), 200);
}

TEST_F(ReplicaSetTest, ChangeStreamAskedAhead)
{
	Document pipeline = only_test_database();
	ChangeStream stream(*client_, pipeline.get(), nullptr, StreamStart{}, 10);
	auto writer = connect();
	int next = 0;

	for (int i = 0; i < 500; i++)
		run(*writer, "test",
			R"({"insert": "c", "documents": [{"_id": )" + std::to_string(i) + "}]}");
	test::Stopwatch watch;
	while (next < 500 && watch.ms() < 20000)
	{
		stream.next_batch(1000);
		if (next % 3 != 0)
			stream.request_batch();
		while (const bson_t *event = stream.next_event())
			ASSERT_EQ(number_at(event, "documentKey._id"), next++);
		if (next % 100 < 10)
		{
			Document reply = run(*client_, "test", R"({"count": "c"})", true);
			EXPECT_EQ(number_at(reply.get(), "n"), 500);
		}
	}
	EXPECT_EQ(next, 500);
}

/* A token whose collection never was. */
TEST_F(ReplicaSetTest, ChangeStreamFromAnUnknownToken)
{
	Document pipeline = only_test_database();
	ChangeStream stream(*client_, pipeline.get(), nullptr, StreamStart{}, 100);
	const bson_t *event = nullptr;
	bson_iter_t start;
	bson_iter_t data;

	run(*connect(), "test", R"({"insert": "c", "documents": [{"_id": 1}]})");
	ASSERT_TRUE(eventually(
		[&]
		{
			stream.next_batch(50);
			event = stream.next_event();
			return event != nullptr;
		}));
	ASSERT_TRUE(bson_iter_init(&start, event) &&
				bson_iter_find_descendant(&start, "_id._data", &data));
	std::string words = bson_iter_utf8(&data, nullptr);
	words[50] = words[50] == '1' ? '2' : '1';
	Document token;
	BSON_APPEND_UTF8(token.get(), "_data", words.c_str());

	ChangeStream other(*client_, pipeline.get(), nullptr, StreamStart{token.get(), 0, 0}, 100);
	test::Stopwatch watch;
	while (other.state() == StreamState::open && watch.ms() < 10000)
		other.next_batch(50);
	EXPECT_EQ(other.state(), StreamState::token_unusable) << other.state_detail();
	EXPECT_NE(std::string(other.state_detail()).find("resume token was not found"),
			  std::string::npos);
}

TEST_F(ReplicaSetTest, ChangeStreamWithAnOversizedEvent)
{
	std::string ten(10 * 1024 * 1024, 'x');
	Document pipeline = only_test_database();
	ChangeStream stream(*client_, pipeline.get(), "updateLookup", StreamStart{}, 100);
	auto writer = connect();

	run(*writer, "test", R"({"insert": "c", "documents": [{"_id": 1}]})");
	EXPECT_EQ(next_operation(stream), "insert 1");
	Document before(stream.token());
	run(*writer, "test", R"({"insert": "c", "documents": [{"_id": 2}]})");
	run(*writer, "test",
		R"({"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$set": {"x": ")" + ten +
			R"("}}}]})");
	EXPECT_EQ(next_operation(stream), "ended") << "the error takes its batch with it";
	EXPECT_EQ(stream.state(), StreamState::oversized) << stream.state_detail();
	EXPECT_FALSE(client_->broken());

	/* From the token before, one event at a time. */
	ChangeStream slowly(*client_, pipeline.get(), "updateLookup", StreamStart{before.get(), 0, 0},
						1);
	EXPECT_EQ(next_operation(slowly), "insert 2");
	EXPECT_EQ(next_operation(slowly), "ended");
	EXPECT_EQ(slowly.state(), StreamState::oversized);
}

TEST(ShortHistoryTest, ChangeStreamFromTheForgottenPast)
{
	if (no_mongod())
		GTEST_SKIP() << "there is no mongod: set MONGOD";
	Mongod mongod({"--replSet", "rs0", "--oplogSize", "4", "--syncdelay", "1"});
	mongod.start();
	mongod.initiate();
	Client client(options_for(mongod), nullptr);
	ChangeStream stream(client, nullptr, nullptr, StreamStart{}, 100);
	Document token(stream.token());
	std::string megabyte(1024 * 1024, 'x');
	std::string detail;

	EXPECT_TRUE(eventually(
		[&]
		{
			for (int i = 0; i < 12; i++)
				run(client, "test",
					R"({"insert": "c", "documents": [{"x": ")" + megabyte + R"("}]})");
			run(client, "admin", R"({"fsync": 1})");
			ChangeStream late(client, nullptr, nullptr, StreamStart{token.get(), 0, 0}, 100);
			detail = late.state_detail();
			return late.state() == StreamState::history_lost;
		}))
		<< detail;
	EXPECT_NE(detail.find("no longer be in the oplog"), std::string::npos) << detail;
}
