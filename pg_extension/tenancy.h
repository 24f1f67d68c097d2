/*
 * tenancy.h — what the features of tenancy.so offer each other.
 */
#ifndef PG_TENANCY_TENANCY_H
#define PG_TENANCY_TENANCY_H

#include "pg.h"
#include "tenancy_api.h"

namespace tenancy
{

/* Each feature's part of _PG_init, in the order in which tenancy.cpp calls them. */
void tenant_context_init();
void database_command_init();
void launcher_init();

/* tenant_context.cpp: the tenant in force, or null. */
const char *current_tenant();

/* launcher.cpp: what it offers to tenancy_mongo.so; tenancy_api.h describes them. */
void launcher_wake();
void workers_wake();
bool worker_enter(Oid database, TenancyWorkerKind kind);
void supervisor_report(bool has_work);
uint64 mirror_generation();

/*
 * launcher.cpp: ends every worker of ours in a database and keeps new ones out until the transaction is over; for
 * commands that need the database to themselves.
 */
void launcher_hold_database(Oid database);

} // namespace tenancy

#endif
