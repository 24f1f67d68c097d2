"""provision.py - a tenant's schema, ready and by its script, beside the same objects by plain SQL in one open session.

The system is that of rollout.py.  The floors make its tables, indexes, keys, views, rows, one policy a table and the grants:
"plain" as people write it, keys added afterwards and GRANT ... ON ALL TABLES, and "lean", keys within CREATE TABLE and grants by
name.  Each is one message and one transaction.  Ours makes two policies a table, and rows in the catalogue besides.  All take
turns at each number of tenants that are there already, which the lean statements make; a row that is made durable goes with
them, since no provisioning can be faster than that, and a tenant that is created with its role and, by its tier, a ready schema.
The first and the last number are measured with fsync off besides, which leaves the CPU alone.  Suspending is measured with tenants who have the system four times.
"""
import statistics
import threading
import time

import rollout
from lab import say

DATABASE = "bench_provision"
SPARES = 24
SAMPLES = 20
SYSTEMS = 4
SUSPENDED = 10


def run(lab):
    bench = Bench(lab)
    bench.prepare()
    levels, last = {}, max(lab.levels)
    for level in lab.levels:
        bench.fill(level)
        levels[level] = bench.measure()
        if level in (min(lab.levels), last):
            report_cpu(lab.report, level, bench.measure_without_fsync())
    for level, times in levels.items():
        report_level(lab.report, level, times)
    for ours, target in (("warm", "flat"), ("cold", "<= 1.30")):
        report(lab.report, f"growth of {ours} from {min(lab.levels):,} to {last:,} tenants", levels[last][ours], levels[min(lab.levels)][ours], target)
    lab.report.add(f"suspend of a tenant with {SYSTEMS} systems at {last:,} tenants", bench.suspend(), "ms", target="<= 5 ms")


def report(report, what, here, floor, target):
    report.add(what, here, "ms", floor, here / floor, target)


def report_level(lines, level, times):
    what = f"provision at {level:,} tenants,"
    report(lines, f"{what} warm; floor: a durable row", times["warm"], times["row"], "<= 2 ms at 1,000")
    report(lines, f"{what} warm, with create_tenant(); floor: a durable row", times["create"], times["row"], "")
    report(lines, f"{what} cold; floor: plain statements", times["cold"], times["plain"], "<= 0.40")
    report(lines, f"{what} cold; floor: lean statements", times["cold"], times["lean"], "<= 0.70")


def report_cpu(lines, level, times):
    what = f"provision at {level:,} tenants, fsync off,"
    report(lines, f"{what} warm; floor: a row", times["warm"], times["row"], "")
    report(lines, f"{what} cold; floor: plain statements", times["cold"], times["plain"], "<= 1.00")
    report(lines, f"{what} cold; floor: lean statements", times["cold"], times["lean"], "<= 1.00")


def statements(schema, tenant, lean):
    """The objects of rollout.py's system, in a schema of their own."""
    literal, later, body = f"'{tenant}'", [], []
    for statement in rollout.install_script():
        statement = statement.replace("@tenant@", literal)
        if not lean and " FOREIGN KEY " in statement:
            table, constraint = statement.split()[2], statement.rsplit(", CONSTRAINT ", 1)[1].rstrip()[:-1]
            later.append(f"ALTER TABLE {table} ADD CONSTRAINT {constraint}")
            statement = statement.rsplit(", CONSTRAINT ", 1)[0] + ")"
        body.append(statement)
    policies = [text for table in rollout.TABLES for text in (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant_only ON {table} USING (tenant_id = current_setting('app.current_tenant_id', true))")]
    names = ", ".join(rollout.TABLES + ["open_lead", "account_value"]) if lean else f"ALL TABLES IN SCHEMA {schema}"
    grants = [f"GRANT USAGE ON SCHEMA {schema} TO bench_app", f"GRANT SELECT, INSERT, UPDATE, DELETE ON {names} TO bench_app"]
    return ["BEGIN", f"CREATE SCHEMA {schema}", f"SET LOCAL search_path TO {schema}"] + body + later + policies + grants + ["COMMIT"]


class Bench:
    def __init__(self, lab):
        self.lab = lab
        self.number = 0
        self.there = 0
        self.watch = None  # a session that sees whether the pool's worker is at rest, without a new one beside what is timed

    def execute(self, sql, parameters=None):
        return self.lab.execute(sql, parameters, DATABASE)

    def prepare(self):
        self.lab.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        self.lab.execute(f"CREATE DATABASE {DATABASE}")
        for role, in self.lab.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^(tenant_p[0-9]+|bench_app)$'"):
            self.lab.execute(f'DROP ROLE "{role}"')
        self.lab.execute("CREATE ROLE bench_app")
        self.execute("CREATE EXTENSION tenancy")
        self.execute("CREATE TABLE durable (n int)")
        for system in ["warm", "cold"] + [f"own{n}" for n in range(SYSTEMS)]:
            self.execute(f"SELECT tenancy.register_system('{system}', 'Bench', '{system}', 'bench')")
            self.execute(f"SELECT tenancy.register_version('{system}', '1.0.0', %s)", (";\n".join(rollout.install_script()),))
        self.execute("SELECT tenancy.assign_tier_system('pooled', 'warm')")
        self.execute(f"SELECT tenancy.set_pool_size('warm', {SPARES})")

    def fill(self, level):
        say(f"making {level:,} tenants")
        todo = range(self.there, level)
        self.there = max(self.there, level)

        def work(part):
            with self.lab.connect(DATABASE) as connection:
                connection.execute("SET synchronous_commit = off")
                for number in part:
                    connection.execute(";".join(statements(f"fill_{number}", "fill", True)), prepare=False)
        threads = [threading.Thread(target=work, args=(todo[half::2],)) for half in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.execute("VACUUM (ANALYZE) pg_class, pg_attribute, pg_type, pg_index, pg_depend, pg_constraint, pg_namespace")
        self.execute("CHECKPOINT")

    def measure(self):
        times = {"row": [], "create": [], "plain": [], "lean": [], "cold": [], "warm": []}
        sessions = {name: self.lab.connect(DATABASE) for name in times}
        self.watch = self.lab.connect(DATABASE)
        for sample in range(SAMPLES + 1):
            for name, session in sessions.items():
                self.lab.wait_until("the pool to be full", 120, self.pool_is_full)
                text = self.prepare_sample(name, session)
                begin = time.perf_counter()
                session.execute(text, prepare=False)
                if sample:  # the first warms the session's caches
                    times[name].append((time.perf_counter() - begin) * 1000)
        for session in [*sessions.values(), self.watch]:
            session.close()
        return {name: statistics.median(values) for name, values in times.items()}

    def pool_is_full(self):
        return self.watch.execute("SELECT ready FROM tenancy.stat_pool WHERE system_id = 'warm'").fetchone()[0] == SPARES

    def prepare_sample(self, name, session):
        """What is to be timed, for a tenant of its own."""
        self.number += 1
        if name == "row":
            return "INSERT INTO durable VALUES (1)"
        if name in ("plain", "lean"):
            return ";".join(statements(f"own_{self.number}", f"p{self.number}", name == "lean"))
        if name == "create":
            return f"SELECT tenancy.create_tenant('p{self.number}', 'Tenant', 'pooled')"
        session.execute(f"SELECT tenancy.create_tenant('p{self.number}', 'Tenant')")
        return f"SELECT tenancy.install_system('p{self.number}', '{name}')"

    def measure_without_fsync(self):
        self.set_fsync("off")
        times = self.measure()
        self.set_fsync("on")
        return times

    def set_fsync(self, value):
        self.execute(f"ALTER SYSTEM SET fsync = {value}")
        self.execute("SELECT pg_reload_conf()")
        self.lab.wait_until(f"fsync is {value}", 30, lambda: self.execute("SHOW fsync")[0][0] == value)

    def suspend(self):
        times = []
        with self.lab.connect(DATABASE) as session:
            for _ in range(SUSPENDED + 1):
                self.number += 1
                tenant = f"p{self.number}"
                session.execute(f"SELECT tenancy.create_tenant('{tenant}', 'Tenant')")
                for n in range(SYSTEMS):
                    session.execute(f"SELECT tenancy.install_system('{tenant}', 'own{n}')")
                begin = time.perf_counter()
                session.execute(f"SELECT tenancy.suspend_tenant('{tenant}')", prepare=False)
                times.append((time.perf_counter() - begin) * 1000)
        return statistics.median(times[1:])
