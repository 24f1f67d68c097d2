/*
 * credentials_test.cpp — the credentials file: what it may hold, who may read it, and that no message shows its text.
 */
#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bson/error.h"
#include "client/credentials.h"

using namespace bridge;

static constexpr char secret[] = "s3cret";

/* The error that reading "text" ends with; it must not show any of the text. */
static Error
refused(const std::string &text, const char *name = "a")
{
	try
	{
		parse_credentials(text, "the file", name);
	}
	catch (const Error &e)
	{
		for (const std::string &words : {e.message, e.detail, e.hint})
			EXPECT_EQ(words.find(secret), std::string::npos) << words;
		return e;
	}
	ADD_FAILURE() << "read: " << text;
	return Error("XX000", "");
}

TEST(Credentials, ReadsTheSectionThatIsNamed)
{
	const char *text = "# comment\n"
					   "; another\n"
					   "[a]\n"
					   "user = alice\n"
					   "password = one\n"
					   "\n"
					   "[ b ]\r\n"
					   "  user=bob  \r\n"
					   "\tpassword = p # w=x;'\"y \r\n"
					   "auth_source = $external\n"
					   "auth_mechanism = SCRAM-SHA-256\n"
					   "tls_ca_file = /etc/ssl/ca file.pem\n"
					   "tls_certificate_file = /etc/ssl/me.pem";
	Credentials a = parse_credentials(text, "f", "a");
	EXPECT_EQ(a.user, "alice");
	EXPECT_EQ(a.password, "one");
	EXPECT_EQ(a.auth_source, "");

	Credentials b = parse_credentials(text, "f", "b");
	EXPECT_EQ(b.user, "bob");
	EXPECT_EQ(b.password, "p # w=x;'\"y");
	EXPECT_EQ(b.auth_source, "$external");
	EXPECT_EQ(b.auth_mechanism, "SCRAM-SHA-256");
	EXPECT_EQ(b.tls_ca_file, "/etc/ssl/ca file.pem");
	EXPECT_EQ(b.tls_certificate_file, "/etc/ssl/me.pem");
}

TEST(Credentials, NamesTheLineAndNeverItsText)
{
	Error e = refused("[a]\nuser = x\npassword s3cret\n");
	EXPECT_STREQ(e.state, "F0000");
	EXPECT_EQ(e.message, "syntax error in credentials file \"the file\", line 3");

	EXPECT_NE(refused("[a]\ns3cret = x\n").message.find("line 2"), std::string::npos);
	EXPECT_NE(refused("password = s3cret\n[a]\n").message.find("line 1"), std::string::npos);
	EXPECT_NE(refused("[a\nuser = s3cret\n").message.find("line 1"), std::string::npos);
	EXPECT_NE(refused("[]\n").message.find("line 1"), std::string::npos);
	EXPECT_NE(refused("[a]\npassword = s3cret\npassword = s3cret\n").message.find("line 3"),
			  std::string::npos);
	EXPECT_NE(refused("[a]\n[b]\n[a]\n").message.find("line 3"), std::string::npos);
	EXPECT_NE(refused(std::string("[a]\npassword = s3\0cret\n", 22)).message.find("line 2"),
			  std::string::npos);
}

TEST(Credentials, ErrorsOfOtherSectionsCount)
{
	EXPECT_NE(refused("[a]\nuser = x\n[b]\nnonsense\n").message.find("line 4"), std::string::npos);
}

TEST(Credentials, UnknownNames)
{
	Error e = refused("[b]\npassword = s3cret\n");
	EXPECT_STREQ(e.state, "42704");
	EXPECT_EQ(e.message, "credentials \"a\" do not exist");
	EXPECT_EQ(e.hint, "Add a section [a] to the file \"the file\".");
	EXPECT_STREQ(refused("").state, "42704");
}

class CredentialsFile : public testing::Test
{
protected:
	void
	SetUp() override
	{
		char name[] = "/tmp/pg_tenancy_unit.XXXXXX";
		directory_ = mkdtemp(name);
		file_ = directory_ + "/credentials";
		std::ofstream(file_) << "[a]\nuser = alice\npassword = s3cret\n";
		chmod(file_.c_str(), 0600);
	}
	void
	TearDown() override
	{
		unlink(file_.c_str());
		rmdir(directory_.c_str());
	}
	Error
	refused()
	{
		try
		{
			read_credentials(file_.c_str(), "a");
		}
		catch (const Error &e)
		{
			return e;
		}
		ADD_FAILURE() << "read";
		return Error("XX000", "");
	}

	std::string directory_;
	std::string file_;
};

TEST_F(CredentialsFile, IsRead)
{
	EXPECT_EQ(read_credentials(file_.c_str(), "a").password, secret);
	chmod(file_.c_str(), 0400);
	EXPECT_EQ(read_credentials(file_.c_str(), "a").user, "alice");
}

TEST_F(CredentialsFile, IsRefusedIfOthersMayReadIt)
{
	for (mode_t mode : {0640, 0604, 0644, 0660, 0610})
	{
		chmod(file_.c_str(), mode);
		Error e = refused();
		EXPECT_STREQ(e.state, "F0000");
		EXPECT_NE(e.message.find("group or world access"), std::string::npos);
		EXPECT_EQ(e.hint, "Run: chmod 0600 " + file_);
	}
}

TEST_F(CredentialsFile, IsRefusedIfItIsNoFile)
{
	unlink(file_.c_str());
	EXPECT_NE(refused().message.find("No such file"), std::string::npos);

	ASSERT_EQ(mkfifo(file_.c_str(), 0600), 0);
	EXPECT_NE(refused().message.find("not a regular file"), std::string::npos);
	unlink(file_.c_str());

	ASSERT_EQ(mkdir(file_.c_str(), 0700), 0);
	EXPECT_NE(refused().message.find("not a regular file"), std::string::npos);
	rmdir(file_.c_str());
}

TEST_F(CredentialsFile, IsRefusedIfItIsEndless)
{
	std::ofstream(file_) << std::string(2 * 1024 * 1024, '\n');
	EXPECT_NE(refused().message.find("File too large"), std::string::npos);
}
