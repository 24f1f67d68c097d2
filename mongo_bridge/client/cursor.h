/*
 * cursor.h — the documents of one find or aggregate command, batch by batch.
 *
 * The command is sent exactly as given (EXPLAIN shows the same one) under a session of the cursor's own, and getMore
 * commands fetch the rest.  The batch lies in the reply's buffer: a document that next() returns is valid until the
 * following call.  The destructor kills a cursor that is still open on the server, unless the connection is broken.
 *
 * A cursor never ends early: if the server killed it or the connection broke, next() throws, now and in every later call.
 */
#ifdef POSTGRES_H
#error "client/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_CLIENT_CURSOR_H
#define PG_TENANCY_CLIENT_CURSOR_H

#include <optional>

#include "server_cursor.h"

namespace bridge
{

class Cursor
{
public:
	/* "what" names the thing read in error messages: 'collection "tasks"'. */
	Cursor(Client &client, const char *database, const bson_t *command, const char *what);

	/* The same in a transaction, which sees what it has written itself. */
	Cursor(const Transaction &transaction, const char *database, const bson_t *command,
		   const char *what);

	/*
	 * The same without waiting for the server.  An open() that could not be sent is to be made anew, the other way; what was
	 * sent is finished by finish_open(), when reply_has_come().
	 */
	explicit Cursor(Client &client, const char *database, const char *what);
	bool send_open(const bson_t *command) { return cursor_.send_open(command, what_); }
	void finish_open() { cursor_.finish_open(what_); }

	/* From here on next() requests a batch ahead only if nobody else has a request on the connection. */
	void set_patient() noexcept { patient_ = true; }

	/*
	 * Whether next(), or finish_open(), will not wait.  If it will, a request is on its way, be it somebody else's on the
	 * same connection.
	 */
	bool is_ready();

	/* Whether it is the cursor's own. */
	bool awaits_reply() const noexcept { return cursor_.awaits_reply(); }
	const std::shared_ptr<Link> &link() const noexcept { return cursor_.link(); }

	/* The next document, or null at the end.  Asks the server for a batch when the present one is used up. */
	const bson_t *next();

	/* True if next() will answer from the batch in hand. */
	bool has_buffered() const noexcept { return cursor_.batch().has_next(); }

	/* Sets what later getMore commands carry; 0 leaves it to the server. */
	void set_batch_size(int documents) noexcept { more_.batch_size = documents; }

	/*
	 * How long to wait for the reply of a later getMore (0: no limit); after that next() throws 57014 and the client is
	 * broken.  The wait is ours: the server refuses maxTimeMS on such a getMore, and counts it against the maxTimeMS of
	 * the command that opened the cursor.
	 */
	void set_max_time_ms(int64_t ms) noexcept { more_.give_up_ms = ms; }

	/* A snapshot read's cluster time, as the first reply told it; {0, 0} if it told none. */
	using Timestamp = ServerTime;
	Timestamp at_cluster_time() const noexcept { return cursor_.at_cluster_time(); }

private:
	std::string what_;
	ServerCursor cursor_;
	GetMore more_;
	bool failed_ = false;
	bool patient_ = false;
};

/* A cursor's home: the cursor is opened after its home was made, and can be closed before it is left. */
struct CursorHome
{
	std::optional<Cursor> cursor;
};

} // namespace bridge

#endif
