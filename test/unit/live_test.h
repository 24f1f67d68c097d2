/*
 * live_test.h — what the tests against real mongods share.
 */
#ifndef PG_TENANCY_TEST_LIVE_TEST_H
#define PG_TENANCY_TEST_LIVE_TEST_H

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "client/change_stream.h"
#include "client/cursor.h"

#include "interrupt.h"
#include "mongod.h"

using namespace bridge;

inline ConnectionOptions
options_for(const Mongod &mongod)
{
	ConnectionOptions options{};

	options.hosts = mongod.host();
	options.server_selection_timeout_ms = 10000;
	return options;
}

inline Document
run(Client &client, const char *database, const std::string &command, bool read = false)
{
	return client.command(database, Document::parse(command.c_str()).get(), read);
}

template <class Body>
inline Error
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
inline int64_t
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
inline bool
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

inline bool
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
		Document command = Document::parse((R"({"find": "c", "sort": {"_id": 1}, "batchSize": )" +
											std::to_string(batch_size) + "}")
											   .c_str());
		return std::make_unique<Cursor>(*client_, "test", command.get(), "collection \"c\"");
	}
	static int64_t
	open_cursors()
	{
		auto client = connect();
		return number_at(run(*client, "admin", R"({"serverStatus": 1})").get(),
						 "metrics.cursor.open.total");
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
		run(*client, "admin",
			R"({"configureFailPoint": "failCommand", "mode": )" + mode + R"(, "data": )" + data +
				"}");
	}

	static inline Mongod *mongod = nullptr;
	std::unique_ptr<Client> client_;
};

#endif
