/*
 * stub_test.h — what the tests against the stub server share.
 */
#ifndef PG_TENANCY_TEST_STUB_TEST_H
#define PG_TENANCY_TEST_STUB_TEST_H

#include <gtest/gtest.h>

#include "client/change_stream.h"
#include "client/cursor.h"

#include "interrupt.h"
#include "stub_server.h"

using namespace bridge;

inline constexpr char secret[] = "s3cret";

inline ConnectionOptions
options_for(const char *hosts)
{
	ConnectionOptions options{};

	options.hosts = hosts;
	options.server_selection_timeout_ms = -1;
	return options;
}

/* What a body throws; it must not show the secret. */
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
			EXPECT_EQ(words.find(secret), std::string::npos) << words;
		return e;
	}
	ADD_FAILURE() << "nothing was thrown";
	return Error("00000", "");
}

inline Document
ping()
{
	return Document::parse(R"({"ping": 1})");
}

#endif
