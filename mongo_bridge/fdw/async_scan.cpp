/*
 * async_scan.cpp — foreign scans that wait together: below an Append, all servers work at once.
 *
 * The Append requests a row of each of its asynchronous scans.  A scan that has none sends what it has to ask, or finds it
 * sent ahead, and is pending; when it has all of them asked, the Append waits for their sockets and notifies those that are
 * readable.  Nothing here waits: a reply is received as far as it has come.
 *
 * One connection carries one request at a time.  A scan that finds it taken, by another scan of this Append or of anybody
 * else, waits for the socket as well, takes that reply off for who has asked for it, and then sends its own.
 *
 * What cannot be done without waiting is done so: connecting, and scans in a transaction of MongoDB, whose commands the driver
 * numbers.  Such a scan is simply never pending.
 */
#include "../client/cursor.h"
#include "../client/link.h"
#include "connection.h"
#include "scan.h"
#include "transaction.h"

namespace bridge
{

static ForeignScanState *
requestee_of(const AsyncRequest *request)
{
	return castNode(ForeignScanState, request->requestee);
}

static Scan *
scan_of(const AsyncRequest *request)
{
	return static_cast<Scan *>(requestee_of(request)->fdw_state);
}

/*
 * Sending and receiving
 */

/* Sends the command, or leaves it to who waits for its end; false if the connection is taken. */
static bool
send_command(Scan *scan)
{
	if (transaction_current(scan->server, scan->user) != nullptr)
		return true;

	Client *client = connection_get(scan->server, scan->user, &scan->kept);
	if (!client->link()->make_free_at_once())
		return false;

	const char *what = collection_words(scan);
	CursorHome *home = own<CursorHome>(scan->context);
	Failure failure;

	scan->sent_at = GetCurrentTimestamp();
	scan->home = home;
	if (!attempt(&failure,
				 [&]
				 {
					 home->cursor.emplace(*client, scan->options.database, what);
					 scan->sent = home->cursor->send_open(scan->command);
				 }) &&
		!worth_another_try(&failure, client->broken(), scan->kept, scan->sent_at))
		raise_failure(&failure);
	if (!scan->sent)
		return true;
	home->cursor->set_batch_size(later_batch_size(scan));
	home->cursor->set_patient();
	return true;
}

void
finish_cursor(Scan *scan, const bson_t *command)
{
	CursorHome *home = scan->home;
	Failure failure;

	if (attempt(&failure, [&] { home->cursor->finish_open(); }))
		return;

	Link *link = home->cursor->link().get();
	if (!worth_another_try(&failure, link->broken(), scan->kept, scan->sent_at))
		raise_failure(&failure);
	CHECK_FOR_INTERRUPTS();

	/* The driver has not seen the reply: it would ask the same server again. */
	link->mark_broken();
	guarded([&] { home->cursor.reset(); });
	open_cursor(scan, command);
}

static bool
cursor_is_ready(Scan *scan)
{
	CursorHome *home = scan->home;

	return guarded([&] { return home->cursor->is_ready(); });
}

/* Whether the scan's next row can be had without waiting, or only by waiting; if not, a request is on its way. */
static bool
advance(ForeignScanState *node, Scan *scan)
{
	if (!scan->started && scan_prepare(node, scan))
	{
		MemoryContext caller = MemoryContextSwitchTo(scan->context);
		scan->command = scan_command(scan);
		MemoryContextSwitchTo(caller);
	}
	if (scan->command != nullptr)
	{
		MemoryContext caller = MemoryContextSwitchTo(scan->context);
		bool free = scan->sent || send_command(scan);
		MemoryContextSwitchTo(caller);
		if (!free || (scan->sent && !cursor_is_ready(scan)))
			return false;
		scan_open(node, scan);
	}
	if (scan->finished)
		return true;

	/* What is in hand is used up first; behind it there may be nothing yet. */
	bool buffered = scan->home->cursor->has_buffered();
	scan->ready = !buffered && cursor_is_ready(scan);
	return buffered || scan->ready;
}

/* The next row, the end, or neither yet. */
static void
produce(AsyncRequest *request)
{
	ForeignScanState *node = requestee_of(request);
	Scan *scan = scan_of(request);

	while (advance(node, scan))
	{
		/* Conditions that are evaluated here may leave no row of a batch. */
		TupleTableSlot *row = node->ss.ps.ExecProcNodeReal(&node->ss.ps);

		if (!TupIsNull(row) || scan->finished)
		{
			ExecAsyncRequestDone(request, row);
			return;
		}
		CHECK_FOR_INTERRUPTS();
	}
	ExecAsyncRequestPending(request);
}

/*
 * What the Append calls
 */

void
foreign_async_request(AsyncRequest *request)
{
	produce(request);
}

void
foreign_async_notify(AsyncRequest *request)
{
	produce(request);
}

/* The connection that the scan waits for. */
static Link *
link_of(Scan *scan)
{
	return scan->command == nullptr || scan->sent
			   ? scan->home->cursor->link().get()
			   : connection_get(scan->server, scan->user)->link().get();
}

/* Whether another scan of the Append has the event of this connection: whose reply it is, or else the first that waits for it. */
static bool
another_waits(const AppendState *append, const AsyncRequest *request, const Link *link)
{
	for (int i = 0; i < append->as_nplans; i++)
	{
		const AsyncRequest *other = append->as_asyncrequests[i];

		if (other == nullptr || other == request || !other->callback_pending ||
			requestee_of(other)->fdwroutine->ForeignAsyncRequest != foreign_async_request ||
			link_of(scan_of(other)) != link)
			continue;
		Scan *scan = scan_of(other);
		bool own_reply = (scan->command == nullptr || scan->sent) &&
						 scan->home->cursor->awaits_reply();
		if (own_reply || other->request_index < request->request_index)
			return true;
	}
	return false;
}

void
foreign_async_configure_wait(AsyncRequest *request)
{
	auto *append = castNode(AppendState, request->requestor);
	Scan *scan = scan_of(request);

	/* What is there without waiting, because somebody else has taken it off the connection, is given at once. */
	request->callback_pending = false;
	produce(request);
	if (request->request_complete)
	{
		ExecAsyncResponse(request);
		if (request->requestee->instrument)
			InstrUpdateTupleCount(request->requestee->instrument,
								  TupIsNull(request->result) ? 0.0 : 1.0);
		SetLatch(MyLatch);
		return;
	}

	Link *link = link_of(scan);
	if (another_waits(append, request, link))
		return;
	int descriptor = link->requester() != nullptr ? link->requester()->descriptor() : -1;
	if (descriptor < 0)
		SetLatch(MyLatch); /* it is lost, which the next call says */
	else
		AddWaitEventToSet(append->as_eventset, WL_SOCKET_READABLE, descriptor, nullptr, request);
}

} // namespace bridge
