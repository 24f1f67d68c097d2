/*
 * child_worker.cpp — the background workers that a supervisor keeps running.
 *
 * Everything here is red.
 */
#include "child_worker.h"

namespace tenancy
{
namespace
{

constexpr int longest_delay_ms = 15 * 1000;

void
start_child(ChildWorkers *children, ChildWorker *child)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
	worker.bgw_notify_pid = MyProcPid;
	children->describe(child, &worker);

	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	bool registered = RegisterDynamicBackgroundWorker(&worker, &child->handle);
	MemoryContextSwitchTo(caller);

	child->started = GetCurrentTimestamp();
	if (!registered && !children->out_of_slots)
		children->complain(child);
	children->out_of_slots = !registered;
	child->failed = registered && child->failures > 0;
}

void
plan_next_start(const ChildWorkers *children, ChildWorker *child)
{
	int64 delay = Min(longest_delay_ms, static_cast<int64>(children->first_delay_ms) << Min(child->failures, 10));

	delay += (random() % 512) * delay / 2048;
	child->failures++;
	child->next_start = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
}

void
note_end(const ChildWorkers *children, ChildWorker *child)
{
	bool proven = TimestampDifferenceExceeds(child->started, GetCurrentTimestamp(), children->proven_after_ms);

	pfree(child->handle);
	child->handle = nullptr;
	if (proven)
		child->failures = 0;
	if (!proven || children->delay_always)
		plan_next_start(children, child);
}

/* A worker that is not wanted leaves by itself, and tidily; one that hangs is ended. */
long
dismiss(const ChildWorkers *children, ChildWorker *child)
{
	TimestampTz now = GetCurrentTimestamp();
	long left;

	if (children->farewell_ms < 0)
		return -1;
	if (child->unwanted_since == 0)
		child->unwanted_since = now;
	left = TimestampDifferenceMilliseconds(
		now, TimestampTzPlusMilliseconds(child->unwanted_since, children->farewell_ms));
	if (left <= 0)
		TerminateBackgroundWorker(child->handle);
	return Max(left, 100);
}

/* One worker; the milliseconds until it is due, or -1. */
long
attend(ChildWorkers *children, ChildWorker *child)
{
	pid_t pid;

	if (child->handle && GetBackgroundWorkerPid(child->handle, &pid) == BGWH_STOPPED)
		note_end(children, child);
	if (child->handle && !child->wanted)
		return dismiss(children, child);
	child->unwanted_since = 0;
	if (child->handle || !child->wanted)
		return -1;
	if (child->next_start > GetCurrentTimestamp())
		return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), child->next_start);
	start_child(children, child);
	if (!child->handle)
		plan_next_start(children, child);
	return child->handle ? -1 : children->slot_delay_ms;
}

void
end_children(int, Datum children)
{
	ListCell *cell;

	foreach (cell, reinterpret_cast<ChildWorkers *>(DatumGetPointer(children))->list)
	{
		auto *child = static_cast<ChildWorker *>(lfirst(cell));
		if (child->handle)
			TerminateBackgroundWorker(child->handle);
	}
}

} // namespace

void
want_no_children(ChildWorkers *children)
{
	ListCell *cell;

	foreach (cell, children->list)
		static_cast<ChildWorker *>(lfirst(cell))->wanted = false;
}

void
want_child(ChildWorkers *children, Oid subject, int number)
{
	ListCell *cell;

	foreach (cell, children->list)
	{
		auto *child = static_cast<ChildWorker *>(lfirst(cell));
		if (child->subject == subject && child->number == number)
		{
			child->wanted = true;
			return;
		}
	}

	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	auto *child = static_cast<ChildWorker *>(palloc0(sizeof(ChildWorker)));
	children->list = lappend(children->list, child);
	MemoryContextSwitchTo(caller);
	child->subject = subject;
	child->number = number;
	child->wanted = true;
}

long
attend_children(ChildWorkers *children)
{
	long wait = -1;
	ListCell *cell;

	foreach (cell, children->list)
	{
		auto *child = static_cast<ChildWorker *>(lfirst(cell));
		long due = attend(children, child);

		if (due >= 0)
			wait = wait < 0 ? due : Min(wait, due);
		if (!child->handle && !child->wanted)
		{
			children->list = foreach_delete_current(children->list, cell);
			pfree(child);
		}
	}
	return wait;
}

void
end_children_at_exit(ChildWorkers *children)
{
	before_shmem_exit(end_children, PointerGetDatum(children));
}

} // namespace tenancy
