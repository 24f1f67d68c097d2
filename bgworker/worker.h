/*
 * worker.h — what every background worker of tenancy_mongo.so does alike.
 *
 * Everything here is red.
 */
#ifndef PG_TENANCY_WORKER_H
#define PG_TENANCY_WORKER_H

#include "tenancy_api.h"

namespace bridge
{

/* tenancy.so's functions; an error tells what to do if the library is not loaded. */
const TenancyApi *tenancy_api();

/*
 * The start of a worker's main function: enters the worker into the launcher's list, connects it to its database as
 * tenancy_mirror and sets what a session's settings must not decide.  Returns the foreign server that it serves; does
 * not return if the database is held.
 */
Oid worker_start(Datum main_arg, TenancyWorkerKind kind);

/* Serves interrupts and SIGHUP; worker_sleep() waits for the latch first, -1: without end. */
void worker_poll();
void worker_sleep(long milliseconds);

} // namespace bridge

#endif
