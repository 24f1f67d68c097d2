/*
 * service_worker.h — what the workers of tenancy.so that serve one database do alike: of the warm pool and of rollouts.
 */
#ifndef PG_TENANCY_SERVICE_WORKER_H
#define PG_TENANCY_SERVICE_WORKER_H

#include "tenancy.h"

namespace tenancy
{

/*
 * The start of a worker's main function: enters the worker into the launcher's list, connects it to its database and sets
 * what a session's settings must not decide.  Returns what it is for; does not return if the database is held.
 */
Oid service_start(Datum main_arg, TenancyWorkerKind kind);

/* A setting of the worker's own, above what the role, the database or postgresql.conf say, which is meant for sessions. */
void service_set(const char *name, const char *value);

/* Serves interrupts and SIGHUP, after a time or when the latch is set; -1: without end. */
void service_rest(long milliseconds);

} // namespace tenancy

#endif
