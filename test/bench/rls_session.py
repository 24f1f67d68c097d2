"""rls_session.py - two sessions that take turns, and the processor time of their backends.

What else the machine does meets both sides of a turn, and the figure is the median over the turns.  Processor time, where the
kernel tells it, leaves out what a client and the scheduler need.
"""
import os
import time

import psycopg

CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
GOOD = (psycopg.pq.ExecStatus.COMMAND_OK, psycopg.pq.ExecStatus.TUPLES_OK)


class Session:
    def __init__(self, lab, role, dbname, by_clock=False):
        self.connection = lab.connect(dbname, role)
        self.protocol = self.connection.pgconn
        self.schedstat = None if by_clock else f"/proc/{self.protocol.backend_pid}/schedstat"
        if not by_clock:
            share_a_core(self.protocol.backend_pid)
            share_a_core(0)

    def check(self, result):
        if result.status not in GOOD:
            raise SystemExit(result.error_message.decode())
        return result

    def simple(self, sql):
        return self.check(self.protocol.exec_(sql))

    def prepare(self, sql):
        self.check(self.protocol.prepare(b"s", sql))

    def each(self, requests):
        """Statements, each in a transaction of its own and all in one message, so that a session which waits for its client,
        and what the scheduler makes of that, is no part of the figure.  A request is SQL, or the parameters of what was
        prepared.  The last result."""
        self.protocol.enter_pipeline_mode()
        for request in requests:
            if isinstance(request, bytes):
                self.protocol.send_query_params(request, None)
            else:
                self.protocol.send_query_prepared(b"s", request)
            self.protocol.pipeline_sync()
        for _ in requests:
            result = self.check(self.protocol.get_result())
            self.protocol.get_result()  # no more of it
            self.protocol.get_result()  # the end of its transaction
        self.protocol.exit_pipeline_mode()
        return result

    def seconds(self):
        if self.schedstat:
            try:
                with open(self.schedstat, encoding="ascii") as schedstat:
                    return int(schedstat.read().split()[0]) / 1e9
            except OSError:
                self.schedstat = None
        return time.perf_counter()

    def close(self):
        self.connection.close()
        if CORES:
            os.sched_setaffinity(0, CORES)


def share_a_core(pid):
    """Both sides and their client on one core, where the system lets us.  What runs on another one is no matter then, and a
    backend's time is told in full: that of a process that is running is behind by up to a tick."""
    try:
        os.sched_setaffinity(pid, {max(CORES)})
    except (AttributeError, OSError):
        pass


def alternate(sides, play, turns, longest=60.0):
    """One turn to warm up, then pairs of what play(side, turn) gives; the first side is first every other time."""
    pairs, start = [], None
    for turn in range(turns + 1):
        order = sides if turn % 2 else sides[::-1]
        got = {side: play(side, turn) for side in order}
        if turn == 0:
            start = time.monotonic()
            continue
        pairs.append(tuple(got[side] for side in sides))
        if len(pairs) >= 3 and time.monotonic() - start > longest:
            break
    return pairs
