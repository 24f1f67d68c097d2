/*
 * cursor.h — the documents of one find or aggregate command, batch by batch.
 *
 * The command is sent exactly as given (EXPLAIN shows the same one) under a session of the cursor's own, and getMore
 * commands fetch the rest.  The batch lies in the reply's buffer: a document that next() returns is valid until the
 * following call.  The destructor kills a cursor that is still open on the server, unless the connection is broken.
 */
#ifdef POSTGRES_H
#error "client/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_CLIENT_CURSOR_H
#define PG_TENANCY_CLIENT_CURSOR_H

#include "client.h"

namespace bridge
{

class Cursor
{
public:
	/* "what" names the thing read in error messages: 'collection "tasks"'. */
	Cursor(Client &client, const char *database, const bson_t *command, const char *what);
	~Cursor();
	Cursor(const Cursor &) = delete;
	Cursor &operator=(const Cursor &) = delete;

	/* The next document, or null at the end.  Asks the server for a batch when the present one is used up. */
	const bson_t *next();

	/* True if next() will answer from the batch in hand. */
	bool has_buffered() const noexcept;

	/* Sets what later getMore commands carry; 0 leaves it to the server. */
	void set_batch_size(int documents) noexcept { batch_size_ = documents; }
	void set_max_time_ms(int64_t ms) noexcept { max_time_ms_ = ms; }

	/* A snapshot read's cluster time, as the first reply told it; {0, 0} if it told none. */
	struct Timestamp
	{
		uint32_t seconds;
		uint32_t increment;
	};
	Timestamp at_cluster_time() const noexcept { return at_cluster_time_; }

private:
	void receive(const bson_t *reply, const char *batch_name);
	void get_more();

	Client &client_;
	std::string database_;
	std::string collection_;
	std::string what_;
	mongoc_client_session_t *session_ = nullptr;
	uint32_t server_id_ = 0;
	int64_t cursor_id_ = 0;
	int batch_size_ = 0;
	int64_t max_time_ms_ = 0;
	Timestamp at_cluster_time_{0, 0};
	bson_t reply_;
	bson_iter_t batch_;
	bson_t current_;
	bool in_batch_ = false;
	bool lookahead_ = false;
};

} // namespace bridge

#endif
