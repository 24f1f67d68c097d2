"""rollout.py - a version rolled out to many tenants, beside two sessions that run the bare statements.

The system has 10 tables, 20 indexes besides the keys, 5 foreign keys, 2 views and policies on every table; the migration is
one ADD COLUMN, one CREATE INDEX, one UPDATE.  The floor is two psql sessions over the same schemas, each with half of them, a
transaction and one message for each tenant: no version row, no lock on the tenant, no retry, nothing that says who is done.
Rounds alternate, and each ends with the column dropped.  Memory is what the workers' processes have resident for themselves:
the server's shared buffers, which count for every process that has touched them, are told in a line of their own.
"""
import os
import statistics
import subprocess
import threading
import time

import psycopg

from lab import say

DATABASE = "bench_rollout"
TABLES = ["account", "stage", "note", "tag", "audit", "contact", "lead", "opportunity", "activity", "attachment"]
REFERENCES = {"contact": "account", "lead": "stage", "opportunity": "account", "activity": "contact", "attachment": "note"}
UP = ["ALTER TABLE {}lead ADD COLUMN priority int NOT NULL DEFAULT 0", "CREATE INDEX lead_priority_idx ON {}lead (priority)",
      "UPDATE {}lead SET priority = 1 WHERE status = 'new'"]
DOWN = "ALTER TABLE {}lead DROP COLUMN priority"


def run(lab):
    bench = Bench(lab)
    bench.prepare()
    floors, ours, memory, shared = [], [], [], []
    for number in range(lab.rounds):
        floors.append(bench.bare_statements())
        bench.undo_bare_statements()
        seconds, private, whole = bench.roll_out()
        ours.append(seconds)
        memory.append(private)
        shared.append(whole)
        bench.undo_rollout()
        say(f"round {number + 1}: {seconds:.2f} s, bare statements {floors[-1]:.2f} s")
    here, floor = statistics.median(ours), statistics.median(floors)
    lab.report.add(f"rollout to {lab.tenants:,} tenants, 2 workers; floor: 2 psql sessions", here, "s", floor, here / floor, "<= 1.10")
    for what, figures, target in (("without shared buffers", memory, "<= 1.50"), ("with them", shared, "")):
        ratio, most = max(figures)
        lab.report.add(f"memory of a worker at its most, {what}; floor: after {Bench.FEW} tenants", most, "MB", most / ratio, ratio, target)


def install_script():
    statements = []
    for table in TABLES:
        other = REFERENCES.get(table)
        foreign = f", {other}_id uuid, CONSTRAINT {table}_{other}_fk FOREIGN KEY ({other}_id) REFERENCES {other} (id)" if other else ""
        statements.append(f"""CREATE TABLE {table} (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id text NOT NULL DEFAULT @tenant@,
            name text NOT NULL, status text NOT NULL DEFAULT 'new', amount numeric(12,2), payload jsonb, owner_id uuid,
            created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz{foreign})""")
    for table in TABLES:
        second = f"{REFERENCES[table]}_id" if table in REFERENCES else "created_at"
        statements += [f"CREATE INDEX {table}_status_idx ON {table} (tenant_id, status)", f"CREATE INDEX {table}_second_idx ON {table} ({second})"]
    return statements + [
        """CREATE VIEW open_lead WITH (security_invoker) AS SELECT l.id, l.name, g.name AS stage
            FROM lead l LEFT JOIN stage g ON g.id = l.stage_id WHERE l.status = 'new'""",
        """CREATE VIEW account_value WITH (security_invoker) AS SELECT a.id, a.name, sum(o.amount) AS amount
            FROM account a LEFT JOIN opportunity o ON o.account_id = a.id GROUP BY a.id, a.name""",
        "INSERT INTO stage (name, status) VALUES ('new', 'on'), ('qualified', 'on'), ('won', 'on'), ('lost', 'on')",
        "INSERT INTO lead (name, status, amount) VALUES ('a', 'new', 1), ('b', 'new', 2), ('c', 'old', 3), ('d', 'new', 4)"]


class Bench:
    FEW = 10

    def __init__(self, lab):
        self.lab = lab
        self.dsn = lab.dsn(DATABASE)
        self.schemas = []

    def connect(self):
        return psycopg.connect(self.dsn, autocommit=True)

    def execute(self, sql, parameters=None):
        with self.connect() as connection:
            cursor = connection.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else None

    def prepare(self):
        self.lab.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        self.lab.execute(f"CREATE DATABASE {DATABASE}")
        for role, in self.lab.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^tenant_r[0-9]+$'"):
            self.lab.execute(f'DROP ROLE "{role}"')
        self.execute("CREATE EXTENSION tenancy")
        self.execute("SELECT tenancy.register_system('bench', 'Bench', 'bench', 'bench')")
        for version in ("1.0.0", "1.1.0"):
            up = [statement.format("") for statement in UP] if version == "1.1.0" else []
            self.execute("SELECT tenancy.register_version('bench', %s, %s)", (version, ";\n".join(install_script() + up)))
        self.execute("SELECT tenancy.register_migration('bench', '1.0.0', '1.1.0', %s)",
                     (";\n".join(statement.format("") for statement in UP),))
        say(f"making {self.lab.tenants:,} tenants")
        threads = [threading.Thread(target=self.make_tenants, args=(half,)) for half in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.schemas = [row[0] for row in self.execute("SELECT schema_name FROM tenancy.installed_systems ORDER BY 1")]
        if len(self.schemas) != self.lab.tenants:
            raise SystemExit(f"{len(self.schemas)} schemas were made")

    def make_tenants(self, half):
        with self.connect() as connection:
            connection.execute("SET synchronous_commit = off")
            for number in range(half, self.lab.tenants, 2):
                connection.execute(f"SELECT tenancy.create_tenant('r{number}', 'Tenant'), tenancy.install_system('r{number}', 'bench', '1.0.0')")

    def settle(self):
        self.execute("VACUUM (ANALYZE) pg_class, pg_attribute, pg_depend, pg_index, tenancy.rollout_items, tenancy.tenant_systems")
        self.lab.execute("CHECKPOINT")

    def bare_statements(self):
        self.settle()
        scripts = ["".join(r"BEGIN\; " + r"\; ".join(statement.format(f'"{schema}".') for statement in UP) + "\\; COMMIT;\n"
                           for schema in self.schemas[half::2]) for half in (0, 1)]
        start = time.monotonic()
        sessions = [subprocess.Popen([os.path.join(self.lab.bindir, "psql"), "-qX", "-v", "ON_ERROR_STOP=1", self.dsn], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) for _ in scripts]
        feeders = [threading.Thread(target=session.communicate, args=(script,)) for session, script in zip(sessions, scripts)]
        for feeder in feeders:
            feeder.start()
        for feeder in feeders:
            feeder.join()
        seconds = time.monotonic() - start
        if any(session.returncode for session in sessions):
            raise SystemExit("a psql session has failed")
        self.check(len(self.schemas))
        return seconds

    def check(self, count):
        found = self.execute("SELECT count(*) FROM pg_attribute WHERE attname = 'priority' AND NOT attisdropped AND attrelid::regclass::text ~ 'lead$'")[0][0]
        if found != count:
            raise SystemExit(f"{found} tenants of {count} have the column")

    def undo_bare_statements(self):
        with self.connect() as connection:
            for schema in self.schemas:
                connection.execute(DOWN.format(f'"{schema}".'))

    def state(self, rollout):
        return self.execute("SELECT state FROM tenancy.rollouts WHERE rollout_id = %s", (rollout,))[0][0]

    def wait_for(self, rollout, watch=None):
        deadline = time.monotonic() + 600
        with self.connect() as connection:
            while True:
                state = connection.execute("SELECT state FROM tenancy.rollouts WHERE rollout_id = %s", (rollout,)).fetchone()[0]
                if state != "running":
                    break
                if watch:
                    watch(connection)
                if time.monotonic() > deadline:
                    raise SystemExit(f"rollout {rollout} does not end")
                time.sleep(0.1)    # rarely, since asking takes CPU from what is measured
        if state != "done":
            raise SystemExit(f"rollout {rollout}: {self.execute('SELECT * FROM tenancy.rollout_progress')}")

    def roll_out(self):
        """Seconds; how much a worker grew after its first tenants, and its most megabytes, without shared buffers and with them."""
        self.settle()
        samples = []

        def watch(connection):
            pids = [row[0] for row in connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'tenancy rollout worker'")]
            samples.extend((time.time(), *megabytes) for megabytes in map(resident_megabytes, pids) if megabytes)

        start = time.time()
        rollout = self.execute("SELECT tenancy.start_rollout('bench', workers => 2)")[0][0]
        self.wait_for(rollout, watch)
        seconds = self.execute("SELECT extract(epoch FROM finished_at)::float8 FROM tenancy.rollouts WHERE rollout_id = %s", (rollout,))[0][0] - start
        self.check(len(self.schemas))
        few = self.execute(f"""SELECT extract(epoch FROM finished_at)::float8 FROM tenancy.rollout_items WHERE rollout_id = %s
                               ORDER BY finished_at OFFSET {2 * self.FEW - 1} LIMIT 1""", (rollout,))[0][0]
        early = next(sample for sample in samples if sample[0] >= few)
        most = [max(sample[column] for sample in samples) for column in range(3)]
        return seconds, (most[1] / early[1], most[1]), (most[2] / early[2], most[2])

    def undo_rollout(self):
        """Without a rollback, which would keep what the column held in an archive."""
        self.undo_bare_statements()
        self.execute("UPDATE tenancy.tenant_systems SET version_id = 'bench-1.0.0'")


def resident_megabytes(pid):
    """Without shared buffers, and with them; None if the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in status if line.startswith("Rss")}
        return (kilobytes["RssAnon"] + kilobytes["RssFile"]) / 1024, sum(kilobytes.values()) / 1024
    except (OSError, KeyError):
        return None
