"""mirror_drain.py - how fast a mirror catches up: mixed changes are written while the server is down, and then applied.

The clock starts when the server takes connections and stops when the last change is visible, so that starting the workers and
opening the stream count.  Floor: the C program reads the same events from the change stream, and PostgreSQL writes
as many rows by one INSERT … ON CONFLICT.
"""
import json
import time

from bson import Int64

import tasks
from lab import private_megabytes, say


def run(lab):
    lab.ensure_mirror()
    began = lab.mongo.admin.command("ping")["operationTime"]

    lab.pg_ctl("--mode=fast", "stop")
    say(f"writing {lab.events:,} changes while PostgreSQL is down")
    writer = tasks.Writer(lab.collection, lab.rows)
    writer.write(lab.events)
    tasks.majority(lab.collection).update_one({"_id": tasks.PROBE}, {"$set": {"rev": Int64(1_000_000)}})

    lab.pg_ctl("--log", lab.data + ".log", "start")
    cpu, start = lab.cpu_seconds(), time.monotonic()
    with lab.connect() as connection:
        probe = lambda: connection.execute("SELECT rev FROM bench.copy WHERE _id = %s", (str(tasks.PROBE),)).fetchone()[0]
        lab.wait_until("the last change is applied", 600, lambda: probe() == 1_000_000)
    seconds, cpu = time.monotonic() - start, lab.cpu_seconds() - cpu
    worker = lab.value("SELECT worker_pid FROM tenancy_mongo.stat_mirror WHERE local_table = 'bench.copy'::regclass")
    memory = private_megabytes(worker)
    lab.check_equal()
    say("the copy is equal")

    floor_seconds = floor(lab, began)
    lab.report.add(f"drain of {lab.events:,} mixed changes, events a second", lab.events / seconds, "/s", lab.events / floor_seconds,
                   seconds / floor_seconds, ">= 15,000/s")
    lab.report.add("drain, CPU seconds a million", cpu / lab.events * 1e6, "s")
    lab.report.add("apply worker, private memory after it", memory, "MB")


def floor(lab, began):
    stream = {"$changeStream": {"fullDocument": "updateLookup",
                                "startAtOperationTime": {"$timestamp": {"t": began.time, "i": began.inc + 1}}}}
    command = {"aggregate": tasks.COLLECTION, "pipeline": [stream], "cursor": {"batchSize": 5000}}
    read = lab.floor(json.dumps(command), lab.events)["seconds"]

    with lab.connect() as connection:
        connection.execute(f"CREATE TEMP TABLE changed AS SELECT * FROM bench.copy LIMIT {lab.events}")
        columns = [name for (name,) in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'bench.copy'::regclass AND attnum > 1 ORDER BY attnum")]
        settings = ", ".join(f"{name} = excluded.{name}" for name in columns)
        start = time.monotonic()
        connection.execute("BEGIN")
        connection.execute(f"INSERT INTO bench.copy SELECT * FROM changed ON CONFLICT (_id) DO UPDATE SET {settings}")
        written = time.monotonic() - start
        connection.execute("ROLLBACK")
    return read + written
