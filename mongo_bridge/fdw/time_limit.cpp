/*
 * time_limit.cpp — how long MongoDB may work for a statement that has a time limit of its own.
 *
 * A client that dies or is cut off leaves its command behind, and the server works on.  So a command carries, as maxTimeMS,
 * what is left of the statement's time, and a little more, so that the statement's own end comes first: 57014 either way, and
 * never a short result.
 *
 * The server counts the time that it works for a cursor over all its batches, and takes no other limit with getMore.  The
 * rows of a portal that lives on can be fetched by many statements, each with a time of its own: such scans have no limit.
 */
#include "fdw.h"

namespace bridge
{

static constexpr int64 grace_ms = 500;

/* Milliseconds to the end of the statement, or of its transaction; negative: there is no limit. */
static int64
milliseconds_left()
{
	static constexpr TimeoutId limits[] = {TENANCY_STATEMENT_TIMEOUTS};
	TimestampTz now = GetCurrentTimestamp();
	int64 left = -1;

	for (TimeoutId limit : limits)
	{
		if (!get_timeout_active(limit))
			continue;
		int64 ms = Max((get_timeout_finish_time(limit) - now + 999) / 1000, 0);
		left = left < 0 ? ms : Min(left, ms);
	}
	return left;
}

void
put_time_limit(bson_t *command)
{
	int64 left = milliseconds_left();

	if (left >= 0)
		BSON_APPEND_INT32(command, "maxTimeMS",
						  static_cast<int32>(Min(left + grace_ms, PG_INT32_MAX)));
}

/* Simple queries, EXECUTE and the protocol's unnamed portal end with their statement. */
void
put_scan_time_limit(bson_t *command)
{
	if (ActivePortal == nullptr || !ActivePortal->visible || ActivePortal->name[0] == '\0')
		put_time_limit(command);
}

} // namespace bridge
