/*
 * secure_live_test.cpp — a mongod that wants a password, and one that wants TLS.
 */
#include "live_test.h"

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
		run(root, "shop",
			R"({"createUser": "reader", "pwd": "s3cret", "roles": [{"role": "read", "db": "shop"}],
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
	EXPECT_STREQ(thrown([&] { run(client, "shop", R"({"count": "items"})", true); }).state,
				 "28000");
}

TEST_F(PasswordTest, NoneAndTooFewRights)
{
	Client nobody(options_for(*mongod), nullptr);
	EXPECT_STREQ(thrown([&] { run(nobody, "shop", R"({"count": "items"})", true); }).state,
				 "42501");

	ConnectionOptions options = options_of("reader", "s3cret");
	options.auth_source = "shop";
	Client reader(options, nullptr);
	Error e =
		thrown([&] { run(reader, "shop", R"({"insert": "items", "documents": [{"_id": 2}]})"); });
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
		mongod = new Mongod({"--auth", "--tlsMode", "requireTLS", "--tlsCertificateKeyFile",
							 file("server.pem"), "--tlsCAFile", file("ca.pem"),
							 "--tlsAllowConnectionsWithoutCertificates"});
		mongod->start();
		Client client(tls_options(), nullptr);
		run(client, "admin", R"({"createUser": "root", "pwd": "s3cret", "roles": ["root"]})");
		ConnectionOptions options = tls_options();
		options.user = "root";
		options.password = "s3cret";
		Client root(options, nullptr);
		run(root, "$external",
			R"({"createUser": "CN=pg_tenancy,O=Clients", "roles": [{"role": "readWrite", "db": "shop"}]})");
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
		std::string script =
			"cd '" + keys->path() +
			"' && exec 2> log && "
			"for ca in ca other; do openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "
			"/CN=$ca "
			"-keyout $ca.key -out $ca.pem || exit 1; done && "
			"sign() { openssl req -newkey rsa:2048 -nodes -subj \"$2\" -keyout $1.key -out $1.csr "
			"&& "
			"printf '%s\\n' \"$3\" > $1.ext && openssl x509 -req -in $1.csr -CA ca.pem -CAkey "
			"ca.key -CAcreateserial "
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
	EXPECT_STREQ(
		thrown([&] { run(client, "other", R"({"insert": "items", "documents": [{"_id": 1}]})"); })
			.state,
		"42501");

	/* The server's certificate is a good one, but nobody's. */
	certificate = file("server.pem");
	options.tls_certificate_file = certificate.c_str();
	Client nobody(options, nullptr);
	EXPECT_STREQ(thrown([&] { run(nobody, "shop", R"({"count": "items"})", true); }).state,
				 "28000");

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
