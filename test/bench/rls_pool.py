"""rls_pool.py - a thousand clients of PgBouncer over twenty server connections, in transaction mode.

Each client has a tenant of its own by a token that it set once, so that PgBouncer sends a SET to the server before nearly every
transaction.  Beside it: the same query with a literal WHERE and no context; and that with an application_name of each
client's own, which PgBouncer carries in the same way: what carrying costs whoever asks.  By the clock, in turn.
"""
import os
import pathlib
import re
import resource
import statistics
import subprocess
import tempfile
import time

import rls_tables
from lab import say

TARGET = 0.8
CLIENTS = 1000
SECONDS = 3
ROUNDS = 3
QUERIES = 5  # of the transaction block
PORT = 6432


def run(lab):
    if not lab.pgbouncer:
        say("no PgBouncer: its part is left out")
        return
    rls_tables.ensure(lab)
    prepare(lab)
    with tempfile.TemporaryDirectory(prefix="pg_tenancy_pool.", dir="/tmp") as directory:
        tokens = write_tokens(lab, directory)
        pooler = start(lab, directory)
        try:
            for queries, name in ((0, "one query"), (QUERIES, f"BEGIN, {QUERIES} queries, COMMIT")):
                compare(lab, directory, tokens, queries, name)
        finally:
            pooler.terminate()
            pooler.wait()


def prepare(lab):
    with lab.connect(rls_tables.DATABASE) as connection:
        connection.execute("""
            DROP TABLE IF EXISTS public.orders, public.plain_orders;
            CREATE TABLE public.orders AS SELECT n AS id, 'tenant-' || n % 1000 AS tenant_id FROM generate_series(0, 99999) n;
            ALTER TABLE public.orders ADD PRIMARY KEY (id), ALTER tenant_id SET NOT NULL;
            CREATE INDEX ON public.orders (tenant_id, id);
            CREATE TABLE public.plain_orders (LIKE public.orders INCLUDING ALL);
            INSERT INTO public.plain_orders TABLE public.orders;
            GRANT SELECT ON public.orders, public.plain_orders TO bench_app;
            ANALYZE public.orders, public.plain_orders;
            SELECT tenancy.protect('public.orders');""")
        if not connection.execute("SELECT FROM tenancy.tenants WHERE tenant_id = 'tenant-0'").fetchall():
            connection.execute("SELECT tenancy.create_tenant('tenant-0', 'Tenant')")
        connection.execute("SELECT tenancy.rotate_key()")


def write_tokens(lab, directory):
    rows = lab.execute("SELECT tenancy.issue_token('tenant-' || n, login => 'bench_app') FROM generate_series(0, 999) n",
                       dbname=rls_tables.DATABASE)
    path = pathlib.Path(directory, "tokens")
    path.write_text("".join(token + "\n" for (token,) in rows), encoding="ascii")
    return path


def start(lab, directory):
    pathlib.Path(directory, "users.txt").write_text('"bench_app" ""\n', encoding="ascii")
    pathlib.Path(directory, "pgbouncer.ini").write_text(f"""[databases]
{rls_tables.DATABASE} = {lab.server}
[pgbouncer]
listen_addr =
listen_port = {PORT}
unix_socket_dir = {directory}
auth_type = trust
auth_file = {directory}/users.txt
pool_mode = transaction
default_pool_size = 20
max_client_conn = {CLIENTS + 100}
max_prepared_statements = 0
track_extra_parameters = tenancy.token
log_connections = 0
log_disconnections = 0
logfile = {directory}/log
""", encoding="ascii")
    as_server = lab.as_server()
    if as_server:
        subprocess.run(["chown", "-R", "postgres:", directory], check=True)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * CLIENTS, files) if files > 0 else 4 * CLIENTS, files))
    pooler = subprocess.Popen([*as_server, lab.pgbouncer, "-q", f"{directory}/pgbouncer.ini"])
    deadline = time.monotonic() + 30
    while not os.path.exists(f"{directory}/.s.PGSQL.{PORT}"):
        if pooler.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("PgBouncer does not start: " + pathlib.Path(directory, "log").read_text(encoding="utf-8", errors="replace"))
        time.sleep(0.05)
    return pooler


def compare(lab, directory, tokens, queries, name):
    rates = {way: [] for way in ("plain", "named", "token")}
    for way in rates:  # each server connection has seen the tenants and their tokens
        play(lab, directory, way, tokens, queries)
    for _ in range(ROUNDS):
        for way, found in rates.items():
            found.append(play(lab, directory, way, tokens, queries))
    plain, named, token = (statistics.median(found) for found in rates.values())
    of_plain = statistics.median(ours / theirs for ours, theirs in zip(rates["token"], rates["plain"]))
    of_named = statistics.median(ours / theirs for ours, theirs in zip(rates["token"], rates["named"]))
    lab.report.add(f"PgBouncer, {name}: tracked token, of no context", token, "/s", plain, of_plain, f">= {TARGET}")
    lab.report.add(f"PgBouncer, {name}: tracked token, of a tracked application_name", token, "/s", named, of_named)


def play(lab, directory, way, tokens, queries):
    """Transactions a second; the client fails if any answer is another tenant's."""
    done = subprocess.run([lab.pool_client, f"host={directory} port={PORT} dbname={rls_tables.DATABASE} user=bench_app", way,
                           str(CLIENTS), str(SECONDS), str(tokens), str(queries)], check=True, capture_output=True, text=True)
    return float(re.match(r"(\d+) transactions/s", done.stdout).group(1))
