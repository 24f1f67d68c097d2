/*
 * service_worker.cpp — what the workers of tenancy.so that serve one database do alike.
 *
 * None waits for the disk: each can find out after a crash what is left to do.
 */
#include "service_worker.h"

namespace tenancy
{

void
service_set(const char *name, const char *value)
{
	SetConfigOption(name, value, PGC_USERSET, PGC_S_OVERRIDE);
}

Oid
service_start(Datum main_arg, TenancyWorkerKind kind)
{
	const Oid database = DatumGetObjectId(main_arg);
	TenancyWorkerArguments arguments;

	memcpy(&arguments, MyBgworkerEntry->bgw_extra, sizeof(arguments));
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	if (!worker_enter(database, kind, arguments.server))
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(database, arguments.role, 0);

	service_set("search_path", "pg_catalog, pg_temp");
	service_set("synchronous_commit", "off");
	service_set("statement_timeout", "0");
	service_set("lock_timeout", "0");
	service_set("default_transaction_read_only", "off");
	service_set("default_transaction_isolation", "read committed");
	service_set("idle_in_transaction_session_timeout", "0");
	service_set("row_security", "on");
	return arguments.server;
}

void
service_rest(long milliseconds)
{
	pgstat_report_activity(STATE_IDLE, nullptr);
	if (milliseconds != 0)
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (milliseconds > 0 ? WL_TIMEOUT : 0),
						 milliseconds, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

} // namespace tenancy
