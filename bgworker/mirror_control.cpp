/*
 * mirror_control.cpp — pausing mirrors, copying one again, waiting for them.
 *
 * A pause is a column of the stream's row: the workers read it as they read every other change of the catalogue, and end.
 * The position stays, and with it what a resumed stream has to make up for; the oplog goes on without it.
 *
 * To wait is to ask MongoDB for its present and then to sleep until the worker has applied everything up to there.  The
 * worker says so in shared memory, because a position is written to the catalogue only with changes, or now and then.
 */
#include <mongoc/mongoc.h>

#include "event_batch.h"
#include "fdw/connection.h"
#include "fdw/option.h"

namespace bridge
{
namespace
{

constexpr long look_again_ms = 20;

/* The server, if the current user owns it: a pause concerns the tables of all who mirror from it. */
Oid
own_server(const char *name)
{
	ForeignServer *server = mongo_server(name);

	if (!tenancy_object_ownercheck(ForeignServerRelationId, server->serverid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, name);
	return server->serverid;
}

void
fail_for_no_mirrors(const char *server)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("server \"%s\" has no mirrors", server),
			 errhint("SELECT server, local_table FROM tenancy_mongo.stat_mirror;")));
}

void
set_paused(const char *name, bool paused)
{
	Oid types[] = {OIDOID, BOOLOID};
	Datum values[] = {ObjectIdGetDatum(own_server(name)), BoolGetDatum(paused)};

	if (catalogue_run("UPDATE tenancy_mongo.stream SET paused = $2 WHERE server = $1", 2, types,
					  values) == 0)
		fail_for_no_mirrors(name);
	tenancy_api()->wake_launcher();
}

bool
is_mirrored(Oid server)
{
	Oid types[] = {OIDOID};
	Datum values[] = {ObjectIdGetDatum(server)};

	return catalogue_run("SELECT FROM tenancy_mongo.stream WHERE server = $1", 1, types, values) >
		   0;
}

long
milliseconds(Interval *interval)
{
	float8 seconds = DatumGetFloat8(DirectFunctionCall2(interval_part, CStringGetTextDatum("epoch"),
														IntervalPGetDatum(interval)));

	if (!(seconds >= 0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("timeout must not be negative")));
	return seconds * 1000 < INT_MAX ? static_cast<long>(seconds * 1000) : INT_MAX;
}

/* Is the table, or any of the server's, still to be copied?  What it is to show is not there, wherever the stream is. */
bool
is_to_be_copied(Oid server, Oid local)
{
	Oid types[] = {OIDOID, OIDOID};
	Datum values[] = {ObjectIdGetDatum(server), ObjectIdGetDatum(local)};

	return catalogue_run("SELECT FROM tenancy_mongo.mirror_table JOIN tenancy_mongo.stream "
						 "USING (stream_id) WHERE server = $1 AND $2 IN (0, local_table::oid) AND "
						 "phase = 'i'",
						 2, types, values) > 0;
}

} // namespace

bool
wait_for_stream(Oid server, Oid local, ClusterTime time, long timeout_ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);

	for (;;)
	{
		long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

		if (!tenancy_api()->worker_wait(server, time, left))
			return false;
		if (!is_to_be_copied(server, local))
			return true;
		if (left <= 0)
			return false;
		/* A collection was replaced, or a mirror made: when it is copied, the stream must come past the time again. */
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(left, look_again_ms), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

void
fail_for_no_mirror(Oid local)
{
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("table \"%s\" is not a mirror", get_rel_name(local)),
					errhint("SELECT local_table FROM tenancy_mongo.stat_mirror;")));
}

void
refresh_mirror(Oid local)
{
	Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(local)};

	if (catalogue_run("UPDATE tenancy_mongo.mirror_table SET phase = 'i' WHERE local_table = $1", 1,
					  types, values) == 0)
		fail_for_no_mirror(local);
	tenancy_api()->wake_launcher();
}

void
check_sees_what_comes(const char *function)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot be used in a transaction of isolation level %s", function,
						XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errdetail("Such a transaction does not see what is committed while it runs."),
				 errhint("Call it before BEGIN.")));
}

} // namespace bridge

extern "C"
{
PG_FUNCTION_INFO_V1(tenancy_mongo_pause_mirror);
PG_FUNCTION_INFO_V1(tenancy_mongo_resume_mirror);
PG_FUNCTION_INFO_V1(tenancy_mongo_refresh_mirror);
PG_FUNCTION_INFO_V1(tenancy_mongo_wait_for_mirror);
PGDLLEXPORT Datum tenancy_mongo_pause_mirror(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum tenancy_mongo_resume_mirror(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum tenancy_mongo_refresh_mirror(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum tenancy_mongo_wait_for_mirror(PG_FUNCTION_ARGS);

Datum
tenancy_mongo_pause_mirror(PG_FUNCTION_ARGS)
{
	bridge::set_paused(NameStr(*PG_GETARG_NAME(0)), true);
	PG_RETURN_VOID();
}

Datum
tenancy_mongo_resume_mirror(PG_FUNCTION_ARGS)
{
	bridge::set_paused(NameStr(*PG_GETARG_NAME(0)), false);
	PG_RETURN_VOID();
}

Datum
tenancy_mongo_refresh_mirror(PG_FUNCTION_ARGS)
{
	bridge::check_owner(PG_GETARG_OID(0));
	bridge::refresh_mirror(PG_GETARG_OID(0));
	PG_RETURN_VOID();
}

Datum
tenancy_mongo_wait_for_mirror(PG_FUNCTION_ARGS)
{
	using namespace bridge;
	ForeignServer *server = usable_server(NameStr(*PG_GETARG_NAME(0)));
	long timeout = milliseconds(PG_GETARG_INTERVAL_P(1));

	check_sees_what_comes("wait_for_mirror()");
	if (!is_mirrored(server->serverid))
		fail_for_no_mirrors(server->servername);

	ClusterTime now = cluster_time_now(connection_get(server->serverid, GetUserId()));
	PG_RETURN_BOOL(wait_for_stream(server->serverid, InvalidOid, now, timeout));
}
}
