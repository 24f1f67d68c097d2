/*
 * client_live_test.cpp — commands and cursors against a real replica set of one node, which is stalled and killed as well.
 */
#include "live_test.h"

TEST_F(ReplicaSetTest, KnowsTheDeployment)
{
	std::string id = client_->deployment_id();

	EXPECT_EQ(id.size(), 24u) << id;
	EXPECT_EQ(connect()->deployment_id(), id);
}

TEST_F(ReplicaSetTest, ByUnixSocket)
{
	std::string path =
		mongod->directory() + "/mongodb-" + std::string(strchr(mongod->host(), ':') + 1) + ".sock";
	ConnectionOptions options{};

	options.hosts = path.c_str();
	Client client(options, nullptr);
	EXPECT_EQ(client.deployment_id(), client_->deployment_id());
}

TEST_F(ReplicaSetTest, WrongReplicaSet)
{
	ConnectionOptions options = options_for(*mongod);

	options.replica_set = "another";
	options.server_selection_timeout_ms = 300;
	Client client(options, nullptr);
	Error e = thrown([&] { client.deployment_id(); });
	EXPECT_STREQ(e.state, "08001");
	EXPECT_NE(e.detail.find("the replica set has another name"), std::string::npos) << e.detail;
	EXPECT_NE(e.hint.find("\"replica_set\""), std::string::npos);
}

TEST_F(ReplicaSetTest, ErrorsOfCommands)
{
	insert_numbers(1);
	Error e = thrown([&] { insert_numbers(1); });
	EXPECT_STREQ(e.state, "23505");
	EXPECT_NE(e.detail.find("E11000"), std::string::npos) << e.detail;

	run(*client_, "test",
		R"({"create": "v", "validator": {"$jsonSchema": {"properties": {"n": {"bsonType": "int", "minimum": 3}}}}})");
	e = thrown([&] { run(*client_, "test", R"({"insert": "v", "documents": [{"n": 1}]})"); });
	EXPECT_STREQ(e.state, "23514");
	EXPECT_NE(e.detail.find("Document failed validation"), std::string::npos) << e.detail;
	EXPECT_NE(e.detail.find("comparison failed"), std::string::npos) << "the reasons: " << e.detail;

	EXPECT_STREQ(thrown([&] { run(*client_, "test", R"({"collMod": "nowhere"})"); }).state,
				 "HV00R");
	EXPECT_STREQ(thrown([&] { run(*client_, "test", R"({"noSuchCommand": 1})"); }).state, "HV000");
	fail_point(R"({"times": 1})", R"({"failCommands": ["find"], "errorCode": 50})");
	EXPECT_STREQ(thrown([&] { run(*client_, "test", R"({"find": "c"})", true); }).state, "57014");
	EXPECT_FALSE(client_->broken());
}

TEST_F(ReplicaSetTest, DocumentsThatAreTooLarge)
{
	std::string half(9 * 1024 * 1024, 'x');

	run(*client_, "test", R"({"insert": "c", "documents": [{"_id": 1, "a": ")" + half + R"("}]})");
	Error e = thrown(
		[&]
		{
			run(*client_, "test",
				R"({"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$set": {"b": ")" + half +
					R"("}}}]})");
		});
	EXPECT_STREQ(e.state, "54000") << e.detail;
}

/* A read is sent again.  A write is not, as nobody knows whether it was done: that is the caller's affair. */
TEST_F(ReplicaSetTest, ConnectionLostInACommand)
{
	insert_numbers(3);
	fail_point(R"({"times": 1})", R"({"failCommands": ["count"], "closeConnection": true})");
	EXPECT_EQ(number_at(run(*client_, "test", R"({"count": "c"})", true).get(), "n"), 3);
	fail_point(R"({"times": 1})", R"({"failCommands": ["insert"], "closeConnection": true})");
	EXPECT_STREQ(thrown([&] { insert_numbers(3); }).state, "08006");
	EXPECT_TRUE(client_->broken());
}

/* An idle connection that the server has closed meanwhile is made anew, without an error. */
TEST_F(ReplicaSetTest, IdleConnectionThatTheServerClosed)
{
	insert_numbers(3);
	usleep(1100 * 1000); /* the driver looks at connections that were idle for a second */
	mongod->kill9();
	mongod->start();
	EXPECT_EQ(number_at(run(*client_, "test", R"({"count": "c"})").get(), "n"), 3);
	EXPECT_FALSE(client_->broken());
}

TEST_F(ReplicaSetTest, CursorReadsEverything)
{
	insert_numbers(1000);
	for (int size : {1, 7, 1000, 5000})
	{
		auto cursor = find_numbers(size);
		int next = 0;

		cursor->set_batch_size(size);
		while (const bson_t *document = cursor->next())
			ASSERT_EQ(value_of(document), next++);
		EXPECT_EQ(next, 1000);
		EXPECT_EQ(cursor->next(), nullptr);
		if (size == 1)
			size = 100;
	}
}

TEST_F(ReplicaSetTest, CursorOfNothing)
{
	EXPECT_EQ(find_numbers(10)->next(), nullptr);
}

TEST_F(ReplicaSetTest, CursorOfLargeBatches)
{
	std::string megabyte(1024 * 1024, 'x');

	for (int i = 0; i < 40; i++)
		run(*client_, "test",
			R"({"insert": "c", "documents": [{"_id": )" + std::to_string(i) + R"(, "x": ")" +
				megabyte + R"("}]})");
	auto cursor = find_numbers(1000);
	int count = 0;
	while (const bson_t *document = cursor->next())
	{
		ASSERT_EQ(value_of(document), count++);
		ASSERT_GT(document->len, megabyte.size());
	}
	EXPECT_EQ(count, 40);
}

TEST_F(ReplicaSetTest, CursorIsKilledWhenItGoes)
{
	insert_numbers(100);
	int64_t before = open_cursors();
	auto cursor = find_numbers(10);
	cursor->next();
	EXPECT_EQ(open_cursors(), before + 1);
	cursor.reset();
	EXPECT_EQ(open_cursors(), before);
	EXPECT_FALSE(client_->broken());
}

TEST_F(ReplicaSetTest, CursorKilledOnTheServerIsAnError)
{
	insert_numbers(100);
	auto cursor = find_numbers(10);
	auto other = connect();
	run(*other, "test", R"({"killAllSessions": []})");
	Error e = thrown(
		[&]
		{
			while (cursor->next() != nullptr)
				;
		});
	EXPECT_STREQ(e.state, "HV000") << e.detail;
	EXPECT_EQ(e.message, "could not read collection \"c\"");
	EXPECT_GT(e.server_code, 0);
	EXPECT_THROW(cursor->next(), Error) << "a failed cursor has no end";
}

TEST_F(ReplicaSetTest, ConnectionLostInAScanIsAnError)
{
	insert_numbers(100);
	auto cursor = find_numbers(10);
	fail_point(R"({"times": 1})", R"({"failCommands": ["getMore"], "closeConnection": true})");
	Error e = thrown(
		[&]
		{
			while (cursor->next() != nullptr)
				;
		});
	EXPECT_STREQ(e.state, "08006") << e.detail;
	EXPECT_TRUE(client_->broken());
}

TEST_F(ReplicaSetTest, SeveralCursorsAtATime)
{
	insert_numbers(50);
	auto one = find_numbers(3);
	auto two = find_numbers(4);
	for (int i = 0; i < 50; i++)
	{
		ASSERT_EQ(value_of(one->next()), i);
		ASSERT_EQ(value_of(two->next()), i);
	}
	EXPECT_EQ(one->next(), nullptr);
	EXPECT_EQ(two->next(), nullptr);
}

/* Batches that are asked for ahead, of several cursors and sizes, with commands in between. */
TEST_F(ReplicaSetTest, BatchesAskedForAhead)
{
	std::string text(20000, 'x');
	std::string command = R"({"insert": "c", "documents": [)";
	for (int i = 0; i < 600; i++)
		command += (i > 0 ? ", " : "") +
				   (R"({"_id": )" + std::to_string(i) + R"(, "x": ")" + text + R"("})");
	run(*client_, "test", command + "]}");
	int64_t before = open_cursors();

	auto one = find_numbers(10);
	auto two = find_numbers(20);
	one->set_batch_size(70);
	two->set_batch_size(3);
	for (int i = 0; i < 600; i++)
	{
		const bson_t *document = one->next();
		ASSERT_EQ(value_of(two->next()), i);
		ASSERT_EQ(value_of(document), i);
		if (i % 100 == 0)
		{
			Document reply = run(*client_, "test", R"({"count": "c"})", true);
			EXPECT_EQ(number_at(reply.get(), "n"), 600);
		}
		if (i % 150 == 0)
		{
			auto three = find_numbers(5);
			for (int n = 0; n < 25; n++)
				ASSERT_EQ(value_of(three->next()), n);
		}
	}
	EXPECT_EQ(one->next(), nullptr);
	EXPECT_EQ(two->next(), nullptr);
	EXPECT_EQ(open_cursors(), before);
	EXPECT_FALSE(client_->broken());
}

TEST_F(ReplicaSetTest, SnapshotTellsItsTime)
{
	insert_numbers(20);
	Document command = Document::parse(
		R"({"find": "c", "sort": {"_id": 1}, "batchSize": 5, "readConcern": {"level": "snapshot"}})");
	Cursor cursor(*client_, "test", command.get(), "c");
	EXPECT_GT(cursor.at_cluster_time().seconds, 1600000000u);

	/* What is written meanwhile is not seen. */
	run(*client_, "test", R"({"delete": "c", "deletes": [{"q": {}, "limit": 0}]})");
	int count = 0;
	while (cursor.next() != nullptr)
		count++;
	EXPECT_EQ(count, 20);

	/* The same cut again. */
	std::string time = R"({"$timestamp": {"t": )" +
					   std::to_string(cursor.at_cluster_time().seconds) + R"(, "i": )" +
					   std::to_string(cursor.at_cluster_time().increment) + "}}";
	Document again = Document::parse(
		(R"({"find": "c", "readConcern": {"level": "snapshot", "atClusterTime": )" + time + "}}")
			.c_str());
	Cursor second(*client_, "test", again.get(), "c");
	count = 0;
	while (second.next() != nullptr)
		count++;
	EXPECT_EQ(count, 20);
}

/* The server works on a command for long; the interrupt comes by a signal, as a cancel does. */
TEST_F(ReplicaSetTest, InterruptOfALongCommand)
{
	insert_numbers(10);
	fail_point(R"({"times": 1})",
			   R"({"failCommands": ["find"], "blockConnection": true, "blockTimeMS": 5000})");
	test::InterruptAfter interrupt(100);
	test::Stopwatch watch;
	EXPECT_STREQ(thrown([&] { find_numbers(10); }).state, "57014");
	EXPECT_TRUE(client_->broken());
	client_.reset();
	EXPECT_GE(watch.ms(), 95);
	EXPECT_LT(watch.ms(), 200);
	RecordProperty("latency_ms", static_cast<int>(watch.ms() - 100));
}

/* A client that goes away ends what the server does for it. */
TEST_F(ReplicaSetTest, InterruptEndsTheWorkOfTheServer)
{
	insert_numbers(10);
	int64_t before = open_cursors();
	{
		test::InterruptAfter interrupt(100);
		Document command = Document::parse(
			R"x({"find": "c", "filter": {"$where": "sleep(500) || true"}, "comment": "to be interrupted"})x");
		EXPECT_STREQ(thrown([&] { Cursor cursor(*client_, "test", command.get(), "c"); }).state,
					 "57014");
		client_.reset();
	}
	auto other = connect();
	EXPECT_TRUE(eventually(
		[&]
		{
			Document running = run(*other, "admin",
								   R"({"aggregate": 1, "pipeline": [{"$currentOp": {}},
			{"$match": {"command.comment": "to be interrupted"}}], "cursor": {}})",
								   true);
			return running.json().find("to be interrupted") == std::string::npos;
		}));
	EXPECT_EQ(open_cursors(), before);
}

TEST_F(ReplicaSetTest, StalledServerAndAnInterrupt)
{
	insert_numbers(100);
	auto cursor = find_numbers(10);
	for (int i = 0; i < 10; i++)
		cursor->next();
	mongod->stall();
	{
		test::InterruptAfter interrupt(100);
		test::Stopwatch watch;
		EXPECT_STREQ(thrown([&] { cursor->next(); }).state, "57014");
		cursor.reset();
		client_.reset();
		EXPECT_LT(watch.ms(), 200);
	}
	{
		/* Connecting works, the kernel does it; the greeting does not come. */
		test::InterruptAfter interrupt(100);
		test::Stopwatch watch;
		client_ = connect();
		EXPECT_STREQ(thrown([&] { client_->deployment_id(); }).state, "57014");
		client_.reset();
		EXPECT_LT(watch.ms(), 200);
	}
	mongod->resume();
}

/* Nobody waits for a stalled server for the sake of good manners. */
TEST_F(ReplicaSetTest, StalledServerAndDestructors)
{
	insert_numbers(100);
	auto cursor = find_numbers(10);
	mongod->stall();
	test::Stopwatch watch;
	cursor.reset();
	client_.reset();
	EXPECT_LT(watch.ms(), 1500);
	mongod->resume();
}

TEST_F(ReplicaSetTest, ServerDiesAndComesBack)
{
	insert_numbers(100);
	auto cursor = find_numbers(10);
	auto idle = connect();
	EXPECT_FALSE(idle->deployment_id().empty());

	mongod->kill9();
	Error e = thrown(
		[&]
		{
			while (cursor->next() != nullptr)
				;
		});
	EXPECT_STREQ(e.state, "08006") << e.detail;

	ConnectionOptions options = options_for(*mongod);
	options.server_selection_timeout_ms = -1;
	Client refused(options, nullptr);
	EXPECT_STREQ(thrown([&] { refused.deployment_id(); }).state, "08001");

	mongod->start();
	EXPECT_EQ(number_at(run(*connect(), "test", R"({"count": "c"})", true).get(), "n"), 100)
		<< "it elects itself meanwhile";
}

/* A statement that comes while no primary is there waits for one. */
TEST_F(ReplicaSetTest, WaitsForAPrimary)
{
	run(*client_, "admin", R"({"replSetStepDown": 2, "force": true})");
	auto client = connect();
	test::Stopwatch watch;
	EXPECT_NO_THROW(run(*client, "test", R"({"insert": "c", "documents": [{"_id": 2}]})"));
	EXPECT_GE(watch.ms(), 500) << "there was a primary all the time";
}
