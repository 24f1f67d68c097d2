"""fdw_scan.py - a foreign scan of all documents, against a C program that reads the same cursor and visits every key.

The floor's command is the one that EXPLAIN (VERBOSE) shows, so both read the same bytes in the same batches.  The rows stay in
the server (EXPLAIN ANALYZE): what a client's protocol costs is not the wrapper's.
"""
import json
import re
import statistics

SCANS = [
    ("SELECT status", "SELECT status FROM bench.tasks", 1.5),
    ("SELECT *", "SELECT * FROM bench.tasks", 2.0),
]


def run(lab):
    lab.prepare()
    expected = lab.rows + 1  # the probe
    with lab.connect() as connection:
        assert connection.execute("SELECT count(*) FROM bench.tasks").fetchone() == (expected,)
        for name, sql, target in SCANS:
            command = sent_command(connection, sql)
            floor = lab.floor(command)
            assert floor["documents"] == expected, floor

            # In turn, so that what else the machine does meets both.
            floors, ours = [], []
            for _ in range(3):
                floors.append(lab.floor(command)["seconds"])
                ours.append(execution_seconds(connection, sql))
            here, best = statistics.median(ours), statistics.median(floors)
            lab.report.add(f"scan of {lab.rows:,} documents, {name}", here, "s", best, here / best, f"ratio <= {target}")


def sent_command(connection, sql):
    plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN (VERBOSE, COSTS OFF) {sql}"))
    return re.search(r"\{.*\}", plan).group(0)


def execution_seconds(connection, sql):
    (plan,) = connection.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}").fetchone()
    plan = plan if isinstance(plan, list) else json.loads(plan)
    return plan[0]["Execution Time"] / 1000
