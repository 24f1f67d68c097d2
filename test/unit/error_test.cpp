/*
 * error_test.cpp — which SQLSTATE, detail and hint an error of the driver or the server becomes.
 */
#include <gtest/gtest.h>
#include <mongoc/mongoc.h>

#include "bson/document.h"
#include "client/error.h"

using namespace bridge;

static const std::string what = "could not try";

static bson_error_t
driver_error(uint32_t domain, uint32_t code, const char *message)
{
	bson_error_t error;

	bson_set_error(&error, domain, code, "%s", message);
	return error;
}

/* The Error that a driver's error and a reply become. */
static Error
thrown(const bson_error_t &error, const char *reply = nullptr)
{
	try
	{
		if (reply != nullptr)
			throw_driver_error(error, Document::parse(reply).get(), what);
		throw_driver_error(error, nullptr, what);
	}
	catch (const Error &e)
	{
		EXPECT_EQ(e.message, what);
		return e;
	}
}

static Error
server_error(int code)
{
	return thrown(driver_error(MONGOC_ERROR_SERVER, static_cast<uint32_t>(code), "cut"),
				  R"({"ok": 0, "errmsg": "the server's words"})");
}

TEST(Error, CodesOfTheServer)
{
	static const struct
	{
		int code;
		const char *state;
		bool hint;
	} codes[] = {{13, "42501", true},	  {18, "28000", true},	   {26, "HV00R", true},
				 {50, "57014", false},	  {91, "08006", true},	   {112, "40001", true},
				 {121, "23514", false},	  {189, "08006", true},	   {10107, "08006", true},
				 {10334, "54000", true},  {11000, "23505", false}, {11600, "08006", true},
				 {11601, "57014", false}, {11602, "08006", true},  {13435, "08006", true},
				 {13436, "08006", true},  {17419, "54000", true},  {59, "HV000", false},
				 {99999, "HV000", false}};

	for (const auto &c : codes)
	{
		Error e = server_error(c.code);
		EXPECT_STREQ(e.state, c.state) << c.code;
		EXPECT_EQ(e.server_code, c.code);
		EXPECT_EQ(e.detail, "the server's words");
		EXPECT_EQ(!e.hint.empty(), c.hint) << c.code;
	}
}

TEST(Error, DriverDomains)
{
	static const struct
	{
		uint32_t domain;
		uint32_t code;
		const char *state;
		bool connection;
	} domains[] = {
		{MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE, "28000", true},
		{MONGOC_ERROR_SCRAM, MONGOC_ERROR_SCRAM_PROTOCOL_ERROR, "28000", true},
		{MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_FAILURE, "08001", true},
		{MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, "08001", true},
		{MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_NAME_RESOLUTION, "08001", true},
		{MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, "08006", true},
		{MONGOC_ERROR_PROTOCOL, MONGOC_ERROR_PROTOCOL_INVALID_REPLY, "08006", true},
		{MONGOC_ERROR_COMMAND, MONGOC_ERROR_COMMAND_INVALID_ARG, "22023", false},
		{MONGOC_ERROR_BSON, MONGOC_ERROR_BSON_INVALID, "HV000", false},
	};

	for (const auto &d : domains)
	{
		bson_error_t error = driver_error(d.domain, d.code, "[the driver's words]");
		Error e = thrown(error);
		EXPECT_STREQ(e.state, d.state) << d.domain;
		EXPECT_EQ(e.server_code, 0);
		EXPECT_EQ(e.detail, "[the driver's words]");
		EXPECT_EQ(is_connection_error(error), d.connection) << d.domain;
	}
}

TEST(Error, SelectionTellsWhatTheServersSaid)
{
	Error e = thrown(
		driver_error(MONGOC_ERROR_SERVER_SELECTION, 1,
					 "No suitable servers found (`x` set): [refused by 'a:1'] [refused by 'b:1']"));
	EXPECT_EQ(e.detail, "[refused by 'a:1'] [refused by 'b:1']");
	e = thrown(
		driver_error(MONGOC_ERROR_SERVER_SELECTION, 1, "No suitable servers found (`x` set)"));
	EXPECT_EQ(e.detail.find('`'), std::string::npos);
	EXPECT_NE(e.hint.find("\"hosts\""), std::string::npos);
}

TEST(Error, ReplyHasTheWordsInFull)
{
	std::string words(2000, 'w');
	Error e = thrown(driver_error(MONGOC_ERROR_SERVER, 59, "cut"),
					 ("{\"ok\": 0, \"errmsg\": \"" + words + "\"}").c_str());
	EXPECT_EQ(e.detail, words);
	e = thrown(driver_error(MONGOC_ERROR_SERVER, 59, "of the driver"), "{\"ok\": 0}");
	EXPECT_EQ(e.detail, "of the driver");
}

TEST(Error, WriteErrorsOfAReplyThatIsOk)
{
	Document fine = Document::parse(R"({"ok": 1, "n": 1, "writeErrors": []})");
	check_write_errors(fine.get(), what);

	Document failed = Document::parse(R"({"ok": 1, "n": 0, "writeErrors": [{"index": 0, "code": 121,
		"errmsg": "Document failed validation", "errInfo": {"details": {"reason": "too small"}}},
		{"index": 1, "code": 11000, "errmsg": "second"}]})");
	try
	{
		check_write_errors(failed.get(), what);
		FAIL();
	}
	catch (const Error &e)
	{
		EXPECT_STREQ(e.state, "23514");
		EXPECT_EQ(e.server_code, 121);
		EXPECT_EQ(e.detail,
				  "Document failed validation\n{ \"details\" : { \"reason\" : \"too small\" } }");
	}
}

TEST(Error, WriteConcernErrorOfAReplyThatIsOk)
{
	Document failed = Document::parse(
		R"({"ok": 1, "n": 1, "writeConcernError": {"code": 91, "errmsg": "shutting down"}})");

	EXPECT_THROW(check_write_errors(failed.get(), what), Error);
	Error e = thrown(driver_error(MONGOC_ERROR_WRITE_CONCERN, 91, "x"),
					 R"({"ok": 1, "writeConcernError": {"code": 91, "errmsg": "shutting down"}})");
	EXPECT_STREQ(e.state, "08006");
	EXPECT_EQ(e.detail, "shutting down");
}

TEST(Error, HostileReplies)
{
	for (const char *reply :
		 {R"({"writeErrors": 1})", R"({"writeErrors": [1]})", R"({"writeErrors": {}})",
		  R"({"writeConcernError": "x"})", R"({"errmsg": 1})", "{}"})
	{
		Error e = thrown(driver_error(MONGOC_ERROR_SERVER, 1, "words"), reply);
		EXPECT_EQ(e.detail, "words") << reply;
	}
}
