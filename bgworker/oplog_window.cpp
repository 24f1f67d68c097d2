/*
 * oplog_window.cpp — how long a stream may still be behind.
 *
 * A position that MongoDB's oplog no longer reaches is lost, and everything has to be copied again.  So the worker looks,
 * once a minute and in the middle of long copies, how far the oplog reaches back, and warns when it has used up half of
 * that: then there is as much time again to do something about it.
 *
 * A stream where nothing happens stands still for ten seconds at a time (the server's own no-op writer moves it): that is
 * not called being behind.
 *
 * To ask is a privilege of its own in MongoDB, clusterMonitor; without it nobody warns.
 */
#include "event_batch.h"

namespace bridge
{
namespace
{

constexpr int check_every_ms = 60 * 1000;
constexpr int warn_every_ms = 10 * 60 * 1000;
constexpr int64 at_least_behind_s = 15;

struct Window
{
	bool known;
	int64 from; /* seconds of cluster time */
	int64 to;
};

/* {"oplog": {"earliestOptime": …, "latestOptime": …}} of serverStatus. */
Window
read_window(Client *client)
{
	Window window = {};
	Failure failure;

	/* Not being allowed to, or being asked of a server that does not tell, is no failure of the mirror. */
	(void) attempt(&failure, [&] {
		Document command;
		bson_iter_t reply_iter, from, to;
		uint32_t increment;
		uint32_t from_seconds, to_seconds;

		BSON_APPEND_INT32(command.get(), "serverStatus", 1);
		BSON_APPEND_INT32(command.get(), "oplog", 1);
		for (const char *section : {"metrics", "wiredTiger", "locks", "tcmalloc", "repl"})
			BSON_APPEND_INT32(command.get(), section, 0);
		Document reply = client->command("admin", command.get());
		if (!bson_iter_init(&reply_iter, reply.get()) ||
			!bson_iter_find_descendant(&reply_iter, "oplog.earliestOptime", &from) ||
			!BSON_ITER_HOLDS_TIMESTAMP(&from) || !bson_iter_init(&reply_iter, reply.get()) ||
			!bson_iter_find_descendant(&reply_iter, "oplog.latestOptime", &to) ||
			!BSON_ITER_HOLDS_TIMESTAMP(&to))
			return;
		bson_iter_timestamp(&from, &from_seconds, &increment);
		bson_iter_timestamp(&to, &to_seconds, &increment);
		window = {true, from_seconds, to_seconds};
	});
	return window;
}

void
warn(Oid server, int64 behind, int64 window)
{
	static TimestampTz warned_at = 0;

	if (behind < at_least_behind_s || behind * 2 <= window ||
		(warned_at && !TimestampDifferenceExceeds(warned_at, GetCurrentTimestamp(), warn_every_ms)))
		return;
	warned_at = GetCurrentTimestamp();
	ereport(WARNING,
			(errcode(ERRCODE_FDW_ERROR),
			 errmsg("mirror of server %u has used more than half of MongoDB's oplog", server),
			 errdetail("It is %lld s behind, and the oplog reaches back %lld s.  Beyond that all its "
					   "tables are copied again.",
					   static_cast<long long>(behind), static_cast<long long>(window)),
			 errhint("Find out what holds the mirror up (tenancy_mongo.stat_mirror), or enlarge the "
					 "oplog: db.adminCommand({replSetResizeOplog: 1, size: megabytes})")));
}

} // namespace

void
oplog_check(Stream *stream, Client *client, ClusterTime position, bool save)
{
	static TimestampTz checked_at = 0;
	const int64 reached = static_cast<int64>(position >> 32);

	if (position == 0 ||
		(checked_at && !TimestampDifferenceExceeds(checked_at, GetCurrentTimestamp(), check_every_ms)))
		return;
	checked_at = GetCurrentTimestamp();
	Window window = read_window(client);
	if (!window.known)
		return;
	warn(stream->server, window.to - reached, window.to - window.from);
	if (save)
		stream_note_oplog(stream, Max(reached - window.from, 0));
}

} // namespace bridge
