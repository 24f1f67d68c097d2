/*
 * server_cursor.h — a cursor on the server: the one mechanism under Cursor and ChangeStream.
 *
 * It sends the opening command and each getMore to one server in one session, and walks the batch where it lies in the
 * reply.  A getMore can be requested ahead, so that the server works on it meanwhile; and the opening command can be sent
 * without waiting, so that several servers work at once.  Its destructor kills what is still open.
 */
#ifdef POSTGRES_H
#error "client/ is pure: include it before the server's headers"
#endif
#ifndef PG_TENANCY_CLIENT_SERVER_CURSOR_H
#define PG_TENANCY_CLIENT_SERVER_CURSOR_H

#include "transaction.h"
#include "wire.h"

namespace bridge
{

/* Walks an array of documents as raw bytes; what it shows lies in the array. */
class Batch
{
public:
	Batch() noexcept = default;
	Batch(const uint8_t *array, uint32_t length) noexcept;

	bool has_next() const noexcept { return next_ < end_; }
	/* The next document, or null at the end or where the array is malformed. */
	const bson_t *next() noexcept;
	bool malformed() const noexcept { return malformed_; }

private:
	const uint8_t *next_ = nullptr;
	const uint8_t *end_ = nullptr; /* the array's closing byte */
	bool malformed_ = false;
	bson_t current_;
};

/* An optime as BSON's timestamp holds it. */
struct ServerTime
{
	uint32_t seconds;
	uint32_t increment;
};

/* What a getMore carries beside the cursor. */
struct GetMore
{
	int batch_size = 0;		  /* 0: the server's choice */
	int max_await_ms = 0;	  /* how long the server waits for a first document (awaitData); 0: not at all */
	int64_t give_up_ms = 0;	  /* how long we wait for the reply; 0: as the socket does */
};

class ServerCursor : private Requester
{
public:
	ServerCursor(std::shared_ptr<Link> link, const char *database);
	~ServerCursor();
	ServerCursor(const ServerCursor &) = delete;
	ServerCursor &operator=(const ServerCursor &) = delete;

	/* What follows is read in a transaction, on its server. */
	void join(const Transaction &transaction);

	/* Both leave the reply's batch in batch().  "what" is the message of an error. */
	void open(const bson_t *command, const std::string &what);
	void get_more(const GetMore &more, const std::string &what);

	/* Sends the getMore that the next get_more() receives; the present batch stays as it is. */
	void request(const GetMore &more, const std::string &what);

	/*
	 * open() in two steps.  The first one sends the command, if the connection stands and is free; if it is not sent, open()
	 * it the other way.
	 */
	bool send_open(const bson_t *command, const std::string &what);
	void finish_open(const std::string &what);

	/*
	 * Whether a reply is awaited, and whether it has come, as far as can be told without waiting: it receives what there
	 * is.  The batch must have been used up.
	 */
	bool awaits_reply() const noexcept { return ahead_ == Ahead::requested; }
	bool reply_has_come(const std::string &what);
	const std::shared_ptr<Link> &link() const noexcept { return link_; }

	/* True while the server keeps the cursor. */
	bool is_open() const noexcept { return id_ != 0; }
	Batch &batch() noexcept { return batch_; }
	const Batch &batch() const noexcept { return batch_; }

	/* From the last reply: postBatchResumeToken (false if there was none), operationTime, atClusterTime ({0, 0}). */
	bool token(bson_t *token) const noexcept;
	ServerTime operation_time() const noexcept { return operation_time_; }
	ServerTime at_cluster_time() const noexcept { return at_cluster_time_; }

private:
	/* A request past the driver: not made, on its way, its reply received by absorb(), or lost. */
	enum class Ahead
	{
		nothing,
		requested,
		received,
		lost
	};

	bool absorb() noexcept override;
	bool absorb_what_came() noexcept override;
	int descriptor() const noexcept override;
	void abandon_request() noexcept;
	void send(mongoc_stream_t *stream, Document *command, const std::string &what);
	Arrival receive_reply(ReplyBuffer *buffer, int32_t timeout_ms) noexcept;
	bool settle(Arrival arrival) noexcept;
	void build_get_more(Document *command, const GetMore &more) const;
	const bson_t *take_reply(const std::string &what);
	void read_reply(const bson_t *reply, const std::string &what);
	void read_cursor(bson_iter_t *field);

	std::shared_ptr<Link> link_;
	std::string database_;
	std::string collection_;
	Session session_; /* ends before the link does */
	bool in_transaction_ = false;

	/* The connection that the cursor was opened on: only over this one are requests made past the driver. */
	std::string host_;
	uint64_t stream_number_ = 0;

	Document reply_;	  /* by the driver */
	ReplyBuffer buffer_;  /* past it: the reply in use */
	ReplyBuffer absorbed_; /* and one that came before it was asked for */
	ReplyBuffer *arriving_ = nullptr; /* the one that a reply comes into */
	size_t received_ = 0;			  /* of its bytes */
	Ahead ahead_ = Ahead::nothing;
	GetMore requested_;
	int32_t request_ = 0;
	bson_t ahead_reply_;
	bson_error_t ahead_error_ = {};

	Batch batch_;
	const uint8_t *token_ = nullptr;
	uint32_t token_length_ = 0;
	ServerTime operation_time_{0, 0};
	ServerTime at_cluster_time_{0, 0};
	uint32_t server_ = 0;
	int64_t id_ = 0;
	bool uncertain_ = false; /* a request was sent, and its reply has not come: who knows what is open */
};

} // namespace bridge

#endif
