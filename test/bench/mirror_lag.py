"""mirror_lag.py - how long after MongoDB's majority acknowledged a write the mirrored row shows it, at 500 events a second.

All writes wait for the majority.  Probes update one document at random moments, about 20 times a second, and a process of its
own asks PostgreSQL for that row every 2 ms.  Floor: under the same writes, a change stream's reader waits for the same probes.
"""
import multiprocessing
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
        here, best = percentile(ours, share), percentile(floor, share)
        lab.report.add(f"lag at {RATE} events/s, {name}", here, "ms", best, here / best, target)
    lab.wait_until("the mirror is level", 60, lambda: level(lab))
    lab.check_equal()


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000


def level(lab):
    source = tasks.revisions(lab.collection)[str(tasks.PROBE)]
    return lab.value("SELECT rev FROM bench.copy WHERE _id = %s", (str(tasks.PROBE),)) == source


def measure(lab, writer, watch, seconds):
    """The seconds from acknowledgement to sight, one for each probe."""
    context = multiprocessing.get_context("spawn")
    queue, ready, stop = context.Queue(), context.Event(), context.Event()
    watcher = context.Process(target=watch, args=(lab.dsn, lab.mongo_uri, queue, ready, stop), daemon=True)
    watcher.start()
    ready.wait(60)

    acknowledged = {}
    probing = threading.Thread(target=send_probes, args=(lab, acknowledged, seconds))
    probing.start()
    start, done = time.monotonic(), 0
    while (passed := time.monotonic() - start) < seconds:
        due = int(passed * RATE) - done
        if due > 0:
            writer.write(due, "majority")
            done += due
        time.sleep(0.005)
    say(f"{done / (time.monotonic() - start):.0f} events a second were written")
    probing.join()
    last = max(acknowledged)
    stop_value = time.monotonic() + 30
    seen = {}
    while last not in seen and time.monotonic() < stop_value:
        try:
            rev, moment = queue.get(timeout=1)
        except Exception:  # nothing yet
            continue
        seen[rev] = moment
    stop.set()
    watcher.join(10)
    return lags(acknowledged, seen)


def send_probes(lab, acknowledged, seconds):
    client = pymongo.MongoClient(lab.mongo_uri)
    collection = tasks.majority(client[tasks.DATABASE][tasks.COLLECTION])
    rev = int(collection.find_one({"_id": tasks.PROBE})["rev"])
    moments, end = random.Random(11), time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(moments.expovariate(20))
        rev += 1
        collection.update_one({"_id": tasks.PROBE}, {"$set": {"rev": Int64(rev)}})
        acknowledged[rev] = time.monotonic()


def lags(acknowledged, seen):
    """A probe was seen when it or a later one was; one that was never seen is an error."""
    found, moments = [], sorted(seen.items())
    place = 0
    for rev in sorted(acknowledged):
        while place < len(moments) and moments[place][0] < rev:
            place += 1
        if place == len(moments):
            raise SystemExit(f"probe {rev} was never seen")
        found.append(max(0.0, moments[place][1] - acknowledged[rev]))
    return found


# Both watchers put (rev, moment) for each state of the probe that they see. --------------------------------------------


def watch_postgres(dsn, _uri, queue, ready, stop):
    with psycopg.connect(dsn, autocommit=True) as connection:
        last = None
        while not stop.is_set():
            row = connection.execute("SELECT rev FROM bench.copy WHERE _id = %s", (str(tasks.PROBE),), prepare=True).fetchone()
            if row and row[0] != last:
                last = row[0]
                queue.put((last, time.monotonic()))
            ready.set()
            time.sleep(0.002)


def watch_stream(_dsn, uri, queue, ready, stop):
    collection = pymongo.MongoClient(uri)[tasks.DATABASE][tasks.COLLECTION]
    with collection.watch([{"$match": {"documentKey._id": tasks.PROBE}}], max_await_time_ms=200) as stream:
        ready.set()
        while not stop.is_set():
            event = stream.try_next()
            if event:
                queue.put((int(event["updateDescription"]["updatedFields"]["rev"]), time.monotonic()))
