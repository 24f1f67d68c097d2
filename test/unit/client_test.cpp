/*
 * client_test.cpp — clients against a stub server: options, commands, and replies that no real server gives.
 */
#include "stub_test.h"

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
