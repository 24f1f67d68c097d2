"""mirror_copy.py - the first copy of a mirror: documents a second, and CPU seconds of all processes for a million.

Floor: the C program reads all documents, and then PostgreSQL copies the rows that came of them into a like table.
"""
import json
import time

import tasks
from lab import say


def run(lab):
    lab.prepare()
    cpu, start = lab.cpu_seconds(), time.monotonic()
    lab.start_mirror()
    lab.wait_until("the mirror streams", 1800, lambda: lab.mirror_state() == "streaming")
    seconds, cpu = time.monotonic() - start, lab.cpu_seconds() - cpu
    lab.check_equal()
    say("the copy is equal")

    floor_seconds, floor_cpu = floor(lab)
    documents = lab.rows + 1
    lab.report.add("initial copy, documents a second", documents / seconds, "/s", documents / floor_seconds,
                   seconds / floor_seconds, ">= 30,000/s")
    lab.report.add("initial copy, CPU seconds a million", cpu / documents * 1e6, "s", floor_cpu / documents * 1e6, cpu / floor_cpu,
                   "<= 25 s")


def floor(lab):
    """Seconds and CPU seconds: of reading, and of writing what was read."""
    cpu, start = lab.cpu_seconds(), time.monotonic()
    read = lab.floor(json.dumps({"find": tasks.COLLECTION, "filter": {}}))
    with lab.connect() as connection:
        connection.execute(f"CREATE TABLE bench.floor ({tasks.COLUMNS}, PRIMARY KEY (_id))")
        connection.execute("INSERT INTO bench.floor SELECT * FROM bench.copy")
    seconds = time.monotonic() - start
    cpu = lab.cpu_seconds() - cpu + read["cpu_seconds"]
    lab.execute("DROP TABLE bench.floor")
    return seconds, cpu
