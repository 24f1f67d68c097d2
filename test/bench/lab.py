"""lab.py - what the parts of the benchmark share: the two servers, CPU seconds of processes, floors, and the report."""
import json
import os
import re
import subprocess
import sys
import time

import psycopg
import pymongo

import tasks

TICKS = os.sysconf("SC_CLK_TCK")


class Lab:
    def __init__(self, arguments):
        self.rows = arguments.rows
        self.events = arguments.events
        self.seconds = arguments.seconds
        self.pgbouncer = arguments.pgbouncer
        self.pool_client = arguments.pool_client
        self.policy_rows = arguments.policy_rows
        self.only = re.compile(arguments.only)
        self.tenants = arguments.tenants
        self.rounds = arguments.rounds
        self.levels = [int(level) for level in arguments.levels.split(",")]
        self.mongo_host = arguments.mongo
        self.mongo_uri = f"mongodb://{arguments.mongo}/?replicaSet=rs0"
        self.server = f"host={arguments.socket} port={arguments.port}"
        self.data = arguments.data
        self.bindir = arguments.bindir
        self.cursor_floor = arguments.cursor_floor
        self.report = Report()
        self.mongo = pymongo.MongoClient(self.mongo_uri, tz_aware=True)
        self.collection = self.mongo[tasks.DATABASE][tasks.COLLECTION]
        self.loaded = None

    # The servers ----------------------------------------------------------------------------------------------------

    def dsn(self, dbname="postgres", user="postgres"):
        return f"{self.server} dbname={dbname} user={user}"

    def connect(self, dbname="postgres", user="postgres"):
        return psycopg.connect(self.dsn(dbname, user), autocommit=True)

    def execute(self, sql, parameters=None, dbname="postgres"):
        with self.connect(dbname) as connection:
            cursor = connection.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else None

    def value(self, sql, parameters=None, dbname="postgres"):
        return self.execute(sql, parameters, dbname)[0][0]

    def wants(self, contender):
        return self.only.search(contender)

    @staticmethod
    def as_server():
        """What runs a command as the user whose servers they are."""
        return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def pg_ctl(self, *arguments):
        subprocess.run([*self.as_server(), os.path.join(self.bindir, "pg_ctl"), "--pgdata", self.data, "--wait", *arguments],
                       check=True, stdout=subprocess.DEVNULL)

    def prepare(self):
        """Loads the documents once, and makes the foreign table anew."""
        if self.loaded is None:
            say(f"loading {self.rows:,} documents into MongoDB")
            tasks.load(self.collection, self.rows)
            self.loaded = self.rows
        self.execute(f"""
            DROP SCHEMA IF EXISTS bench CASCADE;
            DROP SERVER IF EXISTS bench CASCADE;
            CREATE SCHEMA bench;
            CREATE SERVER bench FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '{self.mongo_host}', replica_set 'rs0');
            CREATE FOREIGN TABLE bench.tasks ({tasks.COLUMNS}) SERVER bench
                OPTIONS (database '{tasks.DATABASE}', collection '{tasks.COLLECTION}');""")

    # The mirror -----------------------------------------------------------------------------------------------------

    def start_mirror(self):
        self.execute(f"""
            CREATE TABLE bench.copy ({tasks.COLUMNS}, PRIMARY KEY (_id));
            SELECT tenancy_mongo.mirror('bench.tasks', 'bench.copy');""")

    def wait_until(self, what, seconds, condition):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit(f"gave up waiting until {what}: {self.execute('SELECT * FROM tenancy_mongo.stat_mirror')}")
            time.sleep(0.05)

    def mirror_state(self):
        return self.value("SELECT state FROM tenancy_mongo.stat_mirror WHERE local_table = 'bench.copy'::regclass")

    def ensure_mirror(self):
        """For the parts that need a mirror that is up, whichever ran before."""
        if self.value("SELECT to_regclass('bench.copy') IS NULL"):
            self.prepare()
            self.start_mirror()
        self.wait_until("the mirror streams", 600, lambda: self.mirror_state() == "streaming")

    def check_equal(self):
        """Both sides hold the same documents in the same state, or the figures are worth nothing."""
        ours = {key: rev for key, rev in self.execute("SELECT _id, rev FROM bench.copy")}
        theirs = tasks.revisions(self.collection)
        if ours != theirs:
            missing, extra = len(theirs.keys() - ours.keys()), len(ours.keys() - theirs.keys())
            stale = sum(1 for key in ours.keys() & theirs.keys() if ours[key] != theirs[key])
            raise SystemExit(f"the copy is wrong: {missing} missing, {extra} too many, {stale} stale")

    # Floors ---------------------------------------------------------------------------------------------------------

    def floor(self, command, documents=None):
        """Reads the cursor that a command opens, with libmongoc, and visits every key."""
        arguments = [self.cursor_floor, self.mongo_uri, tasks.DATABASE] + ([str(documents)] if documents else [])
        done = subprocess.run(arguments, input=command, text=True, check=True, capture_output=True)
        return json.loads(done.stdout)

    def cpu_seconds(self):
        """Of all processes of both servers so far."""
        with open(os.path.join(self.data, "postmaster.pid"), encoding="ascii") as pid_file:
            postmaster = int(pid_file.readline())
        return tree_cpu(postmaster) + tree_cpu(self.mongo.admin.command("serverStatus")["pid"])


def process_times(pid):
    """Parent, and CPU seconds of the process and of its ended children; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return int(fields[1]), sum(int(field) for field in fields[11:15]) / TICKS


def tree_cpu(root):
    times = {int(pid): process_times(pid) for pid in os.listdir("/proc") if pid.isdigit()}
    times = {pid: found for pid, found in times.items() if found}
    total, members = 0.0, [root]
    while members:
        member = members.pop()
        total += times[member][1] if member in times else 0
        members += [pid for pid, (parent, _) in times.items() if parent == member]
    return total


def private_megabytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        return sum(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024


def say(text):
    print(f"... {text}", file=sys.stderr, flush=True)


class Report:
    """One line a figure: what, how much, the floor of the same run, the ratio, the target; and tables."""

    def __init__(self):
        self.lines = []
        self.tables = []

    def add(self, what, figure, unit, floor=None, ratio=None, target=""):
        self.lines.append((what, f"{figure:,.{digits(figure)}f} {unit}",
                           f"{floor:,.{digits(floor)}f}" if floor is not None else "",
                           f"{ratio:.2f}" if ratio is not None else "", target))
        say(" ".join(part for part in self.lines[-1] if part))

    def add_table(self, title, header, rows):
        self.tables.append((title, header, rows))

    def print(self):
        for title, header, rows in self.tables:
            print(title + "\n")
            print_table(header, rows)
            print()
        if self.lines:
            print_table(("figure", "here", "floor", "ratio", "target"), self.lines)


def print_table(header, rows):
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, ["-" * width for width in widths], *rows]:
        print(" | ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())


def digits(number):
    return 2 if abs(number) < 10 else 1 if abs(number) < 1000 else 0
