"""fdw_statements.py - statements that are not scans: look-ups by _id, groups, insertions, and changes of many rows, each beside the driver's own way.

Look-ups are medians of single statements on one connection; the floor is pymongo's find_one of the same keys.  Groups are
compared with the pipeline that a hand would write.  INSERT ... SELECT goes into a collection with two indexes, as insert_many
of the same documents does.  UPDATE and DELETE of many rows are compared with update_many and delete_many, in a transaction as
theirs is, and with the same statement row by row, which is what RETURNING makes of it.
"""
import statistics
import time

import bson
from bson.raw_bson import RawBSONDocument

import tasks

LOOKUPS = 1000
INSERTED = 100_000
CHANGED = 10_000
GROUPS = "SELECT status, count(*), sum(priority) FROM bench.tasks GROUP BY status"
PIPELINE = [{"$group": {"_id": "$status", "n": {"$sum": 1}, "s": {"$sum": "$priority"}}}]


def run(lab):
    lab.prepare()
    with lab.connect() as connection:
        lookups(lab, connection)
        groups(lab, connection)
        insertions(lab, connection)
        changes(lab, connection)


def milliseconds(function, arguments):
    times = []
    for argument in arguments:
        started = time.perf_counter()
        function(argument)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def lookups(lab, connection):
    keys = [tasks.document_id(i * 7919 % lab.rows) for i in range(LOOKUPS)]
    names = [str(key) for key in keys]
    connection.execute("PREPARE by_id(text) AS SELECT task_id, status FROM bench.tasks WHERE _id = $1")

    def literal(name):
        assert connection.execute(f"SELECT task_id, status FROM bench.tasks WHERE _id = '{name}'").rowcount == 1

    def prepared(name):
        assert connection.execute(f"EXECUTE by_id('{name}')").rowcount == 1

    def driver(key):
        assert lab.collection.find_one({"_id": key}, {"task_id": 1, "status": 1}) is not None

    for function, arguments in ((driver, keys), (literal, names), (prepared, names)):
        milliseconds(function, arguments[:50])
    floor = milliseconds(driver, keys)
    for what, function in (("literal", literal), ("prepared", prepared)):
        here = milliseconds(function, names)
        lab.report.add(f"look-up by _id, {what}", here, "ms", floor, here / floor, "ratio <= 1.3")


def seconds(function, repeat=3):
    return statistics.median(milliseconds(lambda _: function(), [None]) for _ in range(repeat)) / 1000


def groups(lab, connection):
    wanted = {d["_id"]: (d["n"], d["s"]) for d in lab.collection.aggregate(PIPELINE)}
    assert {status: (n, s) for status, n, s in connection.execute(GROUPS)} == wanted
    floor = seconds(lambda: list(lab.collection.aggregate(PIPELINE)))
    here = seconds(lambda: connection.execute(GROUPS).fetchall())
    lab.report.add(f"count and sum of {lab.rows:,} documents by status", here, "s", floor, here / floor, "ratio <= 1.2")


def insertions(lab, connection):
    database = lab.mongo.get_database(tasks.DATABASE, codec_options=bson.CodecOptions(document_class=RawBSONDocument))
    count = min(INSERTED, lab.rows)
    columns = "task_id, tenant_id, service_id, type, status, priority, payload, result, created_at, updated_at, rev"
    connection.execute("DROP TABLE IF EXISTS bench.source")
    connection.execute(f"CREATE UNLOGGED TABLE bench.source AS SELECT {columns} FROM bench.tasks LIMIT {count}")
    connection.execute(f"""
        CREATE FOREIGN TABLE bench.sink ({tasks.COLUMNS}) SERVER bench OPTIONS (database '{tasks.DATABASE}', collection 'sink')""")
    sink = database["sink"]

    def fresh():
        sink.drop()
        sink.create_index("task_id")
        sink.create_index([("tenant_id", 1), ("status", 1)])

    def ours():
        connection.execute(f"INSERT INTO bench.sink ({columns}) SELECT * FROM bench.source")

    def driver():
        for first in range(0, count, 1000):
            sink.insert_many(documents[first:first + 1000])

    fresh()
    ours()
    documents = list(sink.find())
    assert len(documents) == count
    times = {ours: [], driver: []}
    for _ in range(3):
        for function in times:
            fresh()
            times[function].append(seconds(function, 1))
    sink.drop()
    here, floor = (statistics.median(times[function]) for function in (ours, driver))
    lab.report.add(f"INSERT ... SELECT of {count:,} rows", here, "s", floor, here / floor, "ratio <= 2")


def changes(lab, connection):
    """The documents are those of a copy, of which CHANGED ones are meant; an index finds them."""
    database = lab.mongo[tasks.DATABASE]
    copy = database["changed"]
    connection.execute(f"""
        CREATE FOREIGN TABLE bench.changed ({tasks.COLUMNS}, part int) SERVER bench OPTIONS (database '{tasks.DATABASE}', collection 'changed')""")

    def fresh():
        copy.drop()
        lab.collection.aggregate([
            {"$limit": 2 * CHANGED},
            {"$set": {"part": 0}},
            {"$out": "changed"}])
        copy.create_index("part")

    def in_transaction(function):
        def run():
            with lab.mongo.start_session() as session, session.start_transaction():
                function(session)
        return run

    fresh()
    keys = [d["_id"] for d in copy.find({}, {"_id": 1}).sort("_id", 1).limit(CHANGED)]
    rows = len(keys)
    changed = {"$set": {"status": "archived", "priority": 9}}
    statement = "UPDATE bench.changed SET status = 'archived', priority = 9 WHERE part = 1"
    update = in_transaction(lambda session: copy.update_many({"part": 1}, changed, session=session))
    delete = in_transaction(lambda session: copy.delete_many({"part": 1}, session=session))
    ways = {
        "UPDATE": (update, lambda: connection.execute(statement), lambda: connection.execute(statement + " RETURNING 1")),
        "DELETE": (delete, lambda: connection.execute("DELETE FROM bench.changed WHERE part = 1"),
                   lambda: connection.execute("WITH d AS (DELETE FROM bench.changed WHERE part = 1) SELECT")),
    }
    for what, functions in ways.items():
        times = [[] for _ in functions]
        for _ in range(5):
            for i, function in enumerate(functions):
                fresh()
                copy.update_many({"_id": {"$in": keys}}, {"$set": {"part": 1}})
                times[i].append(seconds(function, 1))
                left = copy.count_documents({"part": 1, "status": "archived"}) if what == "UPDATE" else copy.count_documents({"part": 1})
                assert left == (rows if what == "UPDATE" else 0)
        floor, here, one_by_one = (statistics.median(t) for t in times)
        lab.report.add(f"{what} of {rows:,} rows by one command", here, "s", floor, here / floor, "ratio <= 2")
        lab.report.add(f"{what} of {rows:,} rows, row by row", one_by_one, "s", floor, one_by_one / floor, "")
    copy.drop()
    connection.execute("DROP FOREIGN TABLE bench.changed")
