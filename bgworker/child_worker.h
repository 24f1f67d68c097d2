/*
 * child_worker.h — the background workers that a supervisor keeps running: of rollouts, and of mirrors.
 *
 * The postmaster never restarts them.  A worker that ended is started again by its supervisor as long as it is wanted:
 * after a delay that doubles up to fifteen seconds if it comes to nothing, with jitter, so that what failed together does
 * not come back together.
 *
 * Both libraries have this file's functions.  Everything here is red.
 */
#ifndef PG_TENANCY_CHILD_WORKER_H
#define PG_TENANCY_CHILD_WORKER_H

#include "tenancy_api.h"

namespace tenancy
{

struct ChildWorker
{
	Oid subject; /* the rollout or the foreign server that it is for */
	int number;	 /* which of the workers of that */
	bool wanted;
	TimestampTz unwanted_since; /* 0: it is wanted */
	BackgroundWorkerHandle *handle;
	TimestampTz started;
	TimestampTz next_start;
	int failures;
	bool failed; /* before it was last started; whoever counts it clears it */
};

struct ChildWorkers
{
	/* Fills in the library, the function, the names and what the worker is told. */
	void (*describe)(const ChildWorker *child, BackgroundWorker *worker);
	/* Says that no slot is free for it; once, until there is one. */
	void (*complain)(const ChildWorker *child);
	int first_delay_ms;	 /* after a failure */
	int proven_after_ms; /* a worker that lived so long has not failed again, and */
	bool delay_always;	 /* waits for its next start all the same */
	int slot_delay_ms;	 /* until a slot is asked for again */
	int farewell_ms;	 /* until a worker that is not wanted is ended; -1: it ends by itself, whenever that is */

	List *list;
	bool out_of_slots;
};

/* Before the supervisor says which it wants: none. */
void want_no_children(ChildWorkers *children);

void want_child(ChildWorkers *children, Oid subject, int number);

/* Starts and ends workers as wished, and forgets those that are neither wanted nor there; the milliseconds until one is due, or -1. */
long attend_children(ChildWorkers *children);

/* Workers end with their supervisor: its successor could not know them. */
void end_children_at_exit(ChildWorkers *children);

} // namespace tenancy

#endif
