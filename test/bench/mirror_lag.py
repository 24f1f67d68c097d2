"""mirror_lag.py - how long until the mirrored row shows a write, at 500 events a second.

All writes wait for MongoDB's majority.  Probes update one document at random moments, about 20 times a second, and a process of
its own asks PostgreSQL for that row every 2 ms.  Two clocks: from the majority's acknowledgement, and from sending the write.
Floor of the second: under the same writes, a change stream's reader waits for the same probes.  (It often sees one before the
acknowledgement, so the first has none.)
"""
import multiprocessing
import queue
import random
import threading
import time

import psycopg
import pymongo
from bson import Int64

import tasks
from lab import say

RATE = 500


def run(lab):
    lab.ensure_mirror()
    writer = tasks.Writer(lab.collection, 0)
    # Numbers of its own: an earlier part has changed the documents that it knew.
    writer.next = lab.rows * 10
    writer.write(1000)

    ours = measure(lab, writer, watch_postgres, lab.seconds)
    floor = measure(lab, writer, watch_stream, max(5, lab.seconds / 3))
    for name, share, target in (("p50", 0.50, ""), ("p95", 0.95, ""), ("p99", 0.99, "<= 100 ms")):
        lab.report.add(f"lag at {RATE} events/s after the acknowledgement, {name}", percentile(ours.acknowledged, share), "ms",
                       target=target)
    for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99)):
        here, best = percentile(ours.sent, share), percentile(floor.sent, share)
        lab.report.add(f"lag at {RATE} events/s after sending, {name}", here, "ms", best, here / best)
    lab.wait_until("the mirror is level", 60, lambda: level(lab))
    lab.check_equal()


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000


def level(lab):
    source = tasks.revisions(lab.collection)[str(tasks.PROBE)]
    return lab.value("SELECT rev FROM bench.copy WHERE _id = %s", (str(tasks.PROBE),)) == source


def measure(lab, writer, watch, seconds):
    context = multiprocessing.get_context("spawn")
    sights, ready, stop = context.Queue(), context.Event(), context.Event()
    watcher = context.Process(target=watch, args=(lab.dsn(), lab.mongo_uri, sights, ready, stop), daemon=True)
    watcher.start()
    ready.wait(60)

    probes = {}
    probing = threading.Thread(target=send_probes, args=(lab, probes, seconds))
    probing.start()
    write_steadily(writer, seconds)
    probing.join()
    seen = collect(sights, max(probes))
    stop.set()
    watcher.join(10)
    return Lags(probes, seen)


def write_steadily(writer, seconds):
    start, done = time.monotonic(), 0
    while (passed := time.monotonic() - start) < seconds:
        due = int(passed * RATE) - done
        if due > 0:
            writer.write(due, "majority")
            done += due
        time.sleep(0.005)
    say(f"{done / (time.monotonic() - start):.0f} events a second were written")


def send_probes(lab, probes, seconds):
    """Fills in when each rev of the probe was sent, and when it was acknowledged."""
    client = pymongo.MongoClient(lab.mongo_uri)
    collection = tasks.majority(client[tasks.DATABASE][tasks.COLLECTION])
    rev = int(collection.find_one({"_id": tasks.PROBE})["rev"])
    moments, end = random.Random(11), time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(moments.expovariate(20))
        rev += 1
        sent = time.monotonic()
        collection.update_one({"_id": tasks.PROBE}, {"$set": {"rev": Int64(rev)}})
        probes[rev] = (sent, time.monotonic())


def collect(sights, last):
    """What the watcher has seen, up to the last probe."""
    seen, deadline = {}, time.monotonic() + 30
    while last not in seen and time.monotonic() < deadline:
        try:
            rev, moment = sights.get(timeout=1)
            seen[rev] = moment
        except queue.Empty:
            pass
    return sorted(seen.items())


class Lags:
    """The seconds until each probe was seen, or a later one: from its sending, and from its acknowledgement."""

    def __init__(self, probes, seen):
        self.sent, self.acknowledged = [], []
        place = 0
        for rev, (sent, acknowledged) in sorted(probes.items()):
            while place < len(seen) and seen[place][0] < rev:
                place += 1
            if place == len(seen):
                raise SystemExit(f"probe {rev} was never seen")
            self.sent.append(seen[place][1] - sent)
            self.acknowledged.append(max(0.0, seen[place][1] - acknowledged))


# Both watchers put (rev, moment) for each state of the probe that they see. --------------------------------------------


def watch_postgres(dsn, _uri, sights, ready, stop):
    with psycopg.connect(dsn, autocommit=True) as connection:
        last = None
        while not stop.is_set():
            row = connection.execute("SELECT rev FROM bench.copy WHERE _id = %s", (str(tasks.PROBE),), prepare=True).fetchone()
            if row and row[0] != last:
                last = row[0]
                sights.put((last, time.monotonic()))
            ready.set()
            time.sleep(0.002)


def watch_stream(_dsn, uri, sights, ready, stop):
    collection = pymongo.MongoClient(uri)[tasks.DATABASE][tasks.COLLECTION]
    with collection.watch([{"$match": {"documentKey._id": tasks.PROBE}}], max_await_time_ms=200) as stream:
        ready.set()
        while not stop.is_set():
            event = stream.try_next()
            if event:
                sights.put((int(event["updateDescription"]["updatedFields"]["rev"]), time.monotonic()))
