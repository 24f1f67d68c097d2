/*
 * client_live_test.cpp — clients, cursors and change streams against real mongods: a replica set, a server that wants a
 * password, one that wants TLS; stalled ones, killed ones.
 */
#include <memory>

#include <gtest/gtest.h>

#include "client/change_stream.h"
#include "client/cursor.h"

#include "interrupt.h"
#include "mongod.h"

using namespace bridge;

static ConnectionOptions
options_for(const Mongod &mongod)
{
	ConnectionOptions options{};

	options.hosts = mongod.host();
	options.server_selection_timeout_ms = 10000;
	return options;
}

static Document
run(Client &client, const char *database, const std::string &command, bool read = false)
{
	return client.command(database, Document::parse(command.c_str()).get(), read);
}

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
			EXPECT_EQ(words.find("s3cret"), std::string::npos) << words;
		return e;
	}
	ADD_FAILURE() << "nothing was thrown";
	return Error("00000", "");
}

/* A number somewhere in a document: "metrics.cursor.open.total". */
static int64_t
number_at(const bson_t *document, const char *path)
{
	bson_iter_t start;
	bson_iter_t field;

	if (bson_iter_init(&start, document) && bson_iter_find_descendant(&start, path, &field))
		return bson_iter_as_int64(&field);
	return -1;
}

/* Waits until a condition holds. */
template <class Condition>
static bool
eventually(Condition &&condition)
{
	test::Stopwatch watch;

	while (!condition())
	{
		if (watch.ms() > 20000)
			return false;
		usleep(10000);
	}
	return true;
}

static bool
no_mongod()
{
	return Mongod::program().empty();
}

/*
 * A replica set of one node
 */

class ReplicaSetTest : public testing::Test
{
protected:
	static void
	SetUpTestSuite()
	{
		if (no_mongod())
			return;
		mongod = new Mongod({"--replSet", "rs0", "--oplogSize", "64"});
		mongod->start();
		mongod->initiate();
	}
	static void
	TearDownTestSuite()
	{
		delete mongod;
		mongod = nullptr;
	}
	void
	SetUp() override
	{
		if (mongod == nullptr)
			GTEST_SKIP() << "there is no mongod: set MONGOD";
		client_ = connect();
		run(*client_, "test", R"({"dropDatabase": 1})");
	}
	static std::unique_ptr<Client>
	connect()
	{
		ConnectionOptions options = options_for(*mongod);

		options.replica_set = "rs0";
		return std::make_unique<Client>(options, test::interrupted);
	}
	void
	insert_numbers(int count)
	{
		std::string command = R"({"insert": "c", "documents": [)";

		for (int i = 0; i < count; i++)
			command += (i > 0 ? ", " : "") + (R"({"_id": )" + std::to_string(i) + "}");
		run(*client_, "test", command + "]}");
	}
	std::unique_ptr<Cursor>
	find_numbers(int batch_size)
	{
		Document command = Document::parse(
			(R"({"find": "c", "sort": {"_id": 1}, "batchSize": )" + std::to_string(batch_size) + "}").c_str());
		return std::make_unique<Cursor>(*client_, "test", command.get(), "collection \"c\"");
	}
	static int64_t
	open_cursors()
	{
		auto client = connect();
		return number_at(run(*client, "admin", R"({"serverStatus": 1})").get(), "metrics.cursor.open.total");
	}
	static int64_t
	value_of(const bson_t *document)
	{
		return number_at(document, "_id");
	}
	/* The next times so many of these commands come, the server does this. */
	static void
	fail_point(const std::string &mode, const std::string &data)
	{
		auto client = connect();
		run(*client, "admin", R"({"configureFailPoint": "failCommand", "mode": )" + mode + R"(, "data": )" + data + "}");
	}

	static Mongod *mongod;
	std::unique_ptr<Client> client_;
};

Mongod *ReplicaSetTest::mongod = nullptr;

TEST_F(ReplicaSetTest, KnowsTheDeployment)
{
	std::string id = client_->deployment_id();

	EXPECT_EQ(id.size(), 24u) << id;
	EXPECT_EQ(connect()->deployment_id(), id);
}

TEST_F(ReplicaSetTest, ByUnixSocket)
{
	std::string path = mongod->directory() + "/mongodb-" + std::string(strchr(mongod->host(), ':') + 1) + ".sock";
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

	EXPECT_STREQ(thrown([&] { run(*client_, "test", R"({"collMod": "nowhere"})"); }).state, "HV00R");
	EXPECT_STREQ(thrown([&] { run(*client_, "test", R"({"noSuchCommand": 1})"); }).state, "HV000");
	fail_point(R"({"times": 1})", R"({"failCommands": ["find"], "errorCode": 50})");
	EXPECT_STREQ(thrown([&] { run(*client_, "test", R"({"find": "c"})", true); }).state, "57014");
	EXPECT_FALSE(client_->broken());
}

TEST_F(ReplicaSetTest, DocumentsThatAreTooLarge)
{
	std::string half(9 * 1024 * 1024, 'x');

	run(*client_, "test", R"({"insert": "c", "documents": [{"_id": 1, "a": ")" + half + R"("}]})");
	Error e = thrown([&] {
		run(*client_, "test",
			R"({"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$set": {"b": ")" + half + R"("}}}]})");
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
		run(*client_, "test", R"({"insert": "c", "documents": [{"_id": )" + std::to_string(i) + R"(, "x": ")" + megabyte + R"("}]})");
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
	Error e = thrown([&] {
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
	Error e = thrown([&] {
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
	std::string time = R"({"$timestamp": {"t": )" + std::to_string(cursor.at_cluster_time().seconds) + R"(, "i": )" +
					   std::to_string(cursor.at_cluster_time().increment) + "}}";
	Document again = Document::parse(
		(R"({"find": "c", "readConcern": {"level": "snapshot", "atClusterTime": )" + time + "}}").c_str());
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
	fail_point(R"({"times": 1})", R"({"failCommands": ["find"], "blockConnection": true, "blockTimeMS": 5000})");
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
		EXPECT_STREQ(thrown([&] { Cursor cursor(*client_, "test", command.get(), "c"); }).state, "57014");
		client_.reset();
	}
	auto other = connect();
	EXPECT_TRUE(eventually([&] {
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
	Error e = thrown([&] {
		while (cursor->next() != nullptr)
			;
	});
	EXPECT_STREQ(e.state, "08006") << e.detail;

	ConnectionOptions options = options_for(*mongod);
	options.server_selection_timeout_ms = -1;
	Client refused(options, nullptr);
	EXPECT_STREQ(thrown([&] { refused.deployment_id(); }).state, "08001");

	mongod->start();
	EXPECT_EQ(number_at(run(*connect(), "test", R"({"count": "c"})", true).get(), "n"), 100) << "it elects itself meanwhile";
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

/*
 * Change streams
 */

static std::string
next_operation(ChangeStream &stream)
{
	test::Stopwatch watch;

	while (watch.ms() < 20000)
	{
		if (const bson_t *event = stream.next_event())
		{
			bson_iter_t field;
			std::string words = bson_iter_init_find(&field, event, "operationType") ? bson_iter_utf8(&field, nullptr) : "?";
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
	run(*writer, "test", R"({"update": "c", "updates": [{"q": {"_id": 2}, "u": {"$set": {"x": 1}}}]})");
	run(*writer, "test", R"({"delete": "c", "deletes": [{"q": {"_id": 1}, "limit": 1}]})");
	for (const char *expected : {"insert 1", "insert 2", "update 2", "delete 1"})
		EXPECT_EQ(next_operation(stream), expected);
	EXPECT_GT(stream.operation_seconds(), 1600000000u);

	/* The token is newer than the events, and moves while nothing happens here. */
	Document after(stream.token());
	EXPECT_FALSE(bson_equal(before.get(), after.get()));
	run(*writer, "elsewhere", R"({"insert": "c", "documents": [{"x": 1}]})");
	EXPECT_TRUE(eventually([&] {
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

/* A token whose collection never was. */
TEST_F(ReplicaSetTest, ChangeStreamFromAnUnknownToken)
{
	Document pipeline = only_test_database();
	ChangeStream stream(*client_, pipeline.get(), nullptr, StreamStart{}, 100);
	const bson_t *event = nullptr;
	bson_iter_t start;
	bson_iter_t data;

	run(*connect(), "test", R"({"insert": "c", "documents": [{"_id": 1}]})");
	ASSERT_TRUE(eventually([&] {
		stream.next_batch(50);
		event = stream.next_event();
		return event != nullptr;
	}));
	ASSERT_TRUE(bson_iter_init(&start, event) && bson_iter_find_descendant(&start, "_id._data", &data));
	std::string words = bson_iter_utf8(&data, nullptr);
	words[50] = words[50] == '1' ? '2' : '1';
	Document token;
	BSON_APPEND_UTF8(token.get(), "_data", words.c_str());

	ChangeStream other(*client_, pipeline.get(), nullptr, StreamStart{token.get(), 0, 0}, 100);
	test::Stopwatch watch;
	while (other.state() == StreamState::open && watch.ms() < 10000)
		other.next_batch(50);
	EXPECT_EQ(other.state(), StreamState::token_unusable) << other.state_detail();
	EXPECT_NE(std::string(other.state_detail()).find("resume token was not found"), std::string::npos);
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
	run(*writer, "test", R"({"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$set": {"x": ")" + ten + R"("}}}]})");
	EXPECT_EQ(next_operation(stream), "ended") << "the error takes its batch with it";
	EXPECT_EQ(stream.state(), StreamState::oversized) << stream.state_detail();
	EXPECT_FALSE(client_->broken());

	/* From the token before, one event at a time. */
	ChangeStream slowly(*client_, pipeline.get(), "updateLookup", StreamStart{before.get(), 0, 0}, 1);
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

	EXPECT_TRUE(eventually([&] {
		for (int i = 0; i < 12; i++)
			run(client, "test", R"({"insert": "c", "documents": [{"x": ")" + megabyte + R"("}]})");
		run(client, "admin", R"({"fsync": 1})");
		ChangeStream late(client, nullptr, nullptr, StreamStart{token.get(), 0, 0}, 100);
		detail = late.state_detail();
		return late.state() == StreamState::history_lost;
	})) << detail;
	EXPECT_NE(detail.find("no longer be in the oplog"), std::string::npos) << detail;
}

/*
 * A server that wants a password
 */

class PasswordTest : public testing::Test
{
protected:
	static void
	SetUpTestSuite()
	{
		if (no_mongod())
			return;
		mongod = new Mongod({"--auth"});
		mongod->start();
		Client client(options_for(*mongod), nullptr);
		run(client, "admin", R"({"createUser": "root", "pwd": "s3cret@:/%", "roles": ["root"]})");
		Client root(options_of("root", "s3cret@:/%"), nullptr);
		run(root, "shop", R"({"createUser": "reader", "pwd": "s3cret", "roles": [{"role": "read", "db": "shop"}],
			"mechanisms": ["SCRAM-SHA-256"]})");
		run(root, "shop", R"({"insert": "items", "documents": [{"_id": 1}]})");
	}
	static void
	TearDownTestSuite()
	{
		delete mongod;
		mongod = nullptr;
	}
	void
	SetUp() override
	{
		if (mongod == nullptr)
			GTEST_SKIP() << "there is no mongod: set MONGOD";
	}
	static ConnectionOptions
	options_of(const char *user, const char *password)
	{
		ConnectionOptions options = options_for(*mongod);

		options.user = user;
		options.password = password;
		options.server_selection_timeout_ms = 1000;
		return options;
	}

	static Mongod *mongod;
};

Mongod *PasswordTest::mongod = nullptr;

TEST_F(PasswordTest, RightOne)
{
	ConnectionOptions options = options_of("reader", "s3cret");

	options.auth_source = "shop";
	for (const char *mechanism : {static_cast<const char *>(nullptr), "SCRAM-SHA-256"})
	{
		options.auth_mechanism = mechanism;
		Client client(options, nullptr);
		EXPECT_EQ(number_at(run(client, "shop", R"({"count": "items"})", true).get(), "n"), 1);
	}
}

TEST_F(PasswordTest, WrongOnes)
{
	ConnectionOptions options = options_of("reader", "not s3cret");

	options.auth_source = "shop";
	for (const char *user : {"reader", "nobody"})
	{
		options.user = user;
		Client client(options, nullptr);
		test::Stopwatch watch;
		Error e = thrown([&] { run(client, "shop", R"({"count": "items"})", true); });
		EXPECT_STREQ(e.state, "28000") << e.detail;
		EXPECT_NE(e.hint.find("credentials"), std::string::npos) << e.hint;
		EXPECT_LT(watch.ms(), 5000);
		EXPECT_TRUE(client.broken());
	}

	/* The right one at the wrong database. */
	options = options_of("reader", "s3cret");
	Client client(options, nullptr);
	EXPECT_STREQ(thrown([&] { run(client, "shop", R"({"count": "items"})", true); }).state, "28000");
}

TEST_F(PasswordTest, NoneAndTooFewRights)
{
	Client nobody(options_for(*mongod), nullptr);
	EXPECT_STREQ(thrown([&] { run(nobody, "shop", R"({"count": "items"})", true); }).state, "42501");

	ConnectionOptions options = options_of("reader", "s3cret");
	options.auth_source = "shop";
	Client reader(options, nullptr);
	Error e = thrown([&] { run(reader, "shop", R"({"insert": "items", "documents": [{"_id": 2}]})"); });
	EXPECT_STREQ(e.state, "42501");
	EXPECT_FALSE(e.hint.empty());
	EXPECT_EQ(reader.deployment_id(), "") << "not permitted, and no replica set";
}

/*
 * A server that wants TLS
 */

class TlsTest : public testing::Test
{
protected:
	static void
	SetUpTestSuite()
	{
		if (no_mongod())
			return;
		keys = new TemporaryDirectory();
		make_keys();
		mongod = new Mongod({"--auth", "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", file("server.pem"),
							 "--tlsCAFile", file("ca.pem"), "--tlsAllowConnectionsWithoutCertificates"});
		mongod->start();
		Client client(tls_options(), nullptr);
		run(client, "admin", R"({"createUser": "root", "pwd": "s3cret", "roles": ["root"]})");
		ConnectionOptions options = tls_options();
		options.user = "root";
		options.password = "s3cret";
		Client root(options, nullptr);
		run(root, "$external", R"({"createUser": "CN=pg_tenancy,O=Clients", "roles": [{"role": "readWrite", "db": "shop"}]})");
	}
	static void
	TearDownTestSuite()
	{
		delete mongod;
		mongod = nullptr;
		delete keys;
		keys = nullptr;
	}
	void
	SetUp() override
	{
		if (mongod == nullptr)
			GTEST_SKIP() << "there is no mongod: set MONGOD";
	}

	/* Two authorities; certificates of the first for the server (127.0.0.1 alone) and for a client. */
	static void
	make_keys()
	{
		std::string script = "cd '" + keys->path() + "' && exec 2> log && "
			"for ca in ca other; do openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$ca "
			"-keyout $ca.key -out $ca.pem || exit 1; done && "
			"sign() { openssl req -newkey rsa:2048 -nodes -subj \"$2\" -keyout $1.key -out $1.csr && "
			"printf '%s\\n' \"$3\" > $1.ext && openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial "
			"-days 2 -extfile $1.ext -out $1.crt && cat $1.key $1.crt > $1.pem; } && "
			"sign server /O=Servers/CN=mongod subjectAltName=IP:127.0.0.1 && "
			"sign client /O=Clients/CN=pg_tenancy extendedKeyUsage=clientAuth";
		if (system(script.c_str()) != 0)
			throw std::runtime_error("openssl could not make certificates");
	}
	static std::string
	file(const char *name)
	{
		return keys->path() + "/" + name;
	}
	static ConnectionOptions
	tls_options(const char *authority = "ca.pem")
	{
		static std::string path;
		ConnectionOptions options = options_for(*mongod);

		path = file(authority);
		options.tls = true;
		options.tls_ca_file = path.c_str();
		options.server_selection_timeout_ms = -1;
		return options;
	}
	static Error
	refused(const ConnectionOptions &options)
	{
		Client client(options, nullptr);
		Error e = thrown([&] { run(client, "admin", R"({"hello": 1})"); });
		EXPECT_STREQ(e.state, "08001") << e.message << e.detail;
		EXPECT_TRUE(client.broken());
		return e;
	}

	static TemporaryDirectory *keys;
	static Mongod *mongod;
};

TemporaryDirectory *TlsTest::keys = nullptr;
Mongod *TlsTest::mongod = nullptr;

TEST_F(TlsTest, KnownAuthority)
{
	Client client(tls_options(), nullptr);
	EXPECT_NO_THROW(run(client, "admin", R"({"hello": 1})"));

	/* A file says that TLS is wanted, even if the option does not. */
	ConnectionOptions options = tls_options();
	options.tls = false;
	Client implied(options, nullptr);
	EXPECT_NO_THROW(run(implied, "admin", R"({"hello": 1})"));
}

TEST_F(TlsTest, UnknownAuthority)
{
	Error e = refused(tls_options("other.pem"));
	EXPECT_NE(e.detail.find("certificate"), std::string::npos) << e.detail;

	/* Nor is it one of the system's. */
	ConnectionOptions options = tls_options();
	options.tls_ca_file = nullptr;
	refused(options);
}

TEST_F(TlsTest, AnotherHostsCertificate)
{
	std::string host = "localhost" + std::string(strchr(mongod->host(), ':'));
	ConnectionOptions options = tls_options();

	options.hosts = host.c_str();
	Error e = refused(options);
	EXPECT_NE(e.detail.find("ertificate"), std::string::npos) << e.detail;
}

TEST_F(TlsTest, WithoutTls)
{
	ConnectionOptions options = options_for(*mongod);

	options.server_selection_timeout_ms = -1;
	Error e = refused(options);
	EXPECT_NE(e.hint.find("\"tls\""), std::string::npos);
}

TEST_F(TlsTest, ClientCertificateIsAUser)
{
	std::string certificate = file("client.pem");
	ConnectionOptions options = tls_options();

	options.tls_certificate_file = certificate.c_str();
	options.auth_mechanism = "MONGODB-X509";
	Client client(options, nullptr);
	run(client, "shop", R"({"insert": "items", "documents": [{"_id": 1}]})");
	EXPECT_STREQ(thrown([&] { run(client, "other", R"({"insert": "items", "documents": [{"_id": 1}]})"); }).state, "42501");

	/* The server's certificate is a good one, but nobody's. */
	certificate = file("server.pem");
	options.tls_certificate_file = certificate.c_str();
	Client nobody(options, nullptr);
	EXPECT_STREQ(thrown([&] { run(nobody, "shop", R"({"count": "items"})", true); }).state, "28000");

	std::string no_certificate = file("ca.key");
	options.tls_certificate_file = no_certificate.c_str();
	refused(options);
}

TEST_F(TlsTest, ManyBytes)
{
	ConnectionOptions options = tls_options();
	options.user = "root";
	options.password = "s3cret";
	Client client(options, nullptr);
	std::string big(200000, 'x');

	run(client, "shop", R"({"delete": "big", "deletes": [{"q": {}, "limit": 0}]})");
	for (int i = 0; i < 100; i++)
		run(client, "shop", R"({"insert": "big", "documents": [{"x": ")" + big + R"("}]})");
	Document find = Document::parse(R"({"find": "big", "batchSize": 30})");
	Cursor cursor(client, "shop", find.get(), "big");
	int count = 0;
	while (cursor.next() != nullptr)
		count++;
	EXPECT_EQ(count, 100);
}

TEST_F(TlsTest, StalledServerAndAnInterrupt)
{
	Client client(tls_options(), test::interrupted);
	run(client, "admin", R"({"hello": 1})");
	mongod->stall();
	{
		test::InterruptAfter interrupt(100);
		test::Stopwatch watch;
		EXPECT_STREQ(thrown([&] { run(client, "admin", R"({"hello": 1})"); }).state, "57014");
		EXPECT_LT(watch.ms(), 200);
	}
	{
		test::InterruptAfter interrupt(100);
		test::Stopwatch watch;
		Client another(tls_options(), test::interrupted);
		EXPECT_STREQ(thrown([&] { run(another, "admin", R"({"hello": 1})"); }).state, "57014");
		EXPECT_LT(watch.ms(), 200);
	}
	mongod->resume();
}
