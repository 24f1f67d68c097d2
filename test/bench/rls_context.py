"""rls_context.py - what it costs to take a tenant: a switch within a transaction, and the check of a token.

Beside each, set_config() of a setting that is nobody's: the figure is the processor time of the backend over it.
"""
import statistics

import rls_tables
from rls_session import Session, alternate

SWITCH_TARGET = 2.0  # microseconds over set_config()
TOKEN_TARGET = 10.0
BATCH = 50
TURNS = 60
TOKENS = BATCH * (TURNS + 1)


def run(lab):
    rls_tables.ensure(lab)
    # Tenants that the session has served before; the registry is asked once for each.
    tenants = [[rls_tables.uuid_of(number) for number in range(1, BATCH + 1)]] * (TURNS + 1)
    compare(lab, "context switch within a transaction", "SELECT tenancy.set_tenant($1, true)",
            f"SELECT set_config('{rls_tables.SETTING}', $1, true)", tenants, SWITCH_TARGET, transaction=True)

    tokens = issue(lab)
    batches = [tokens[turn * BATCH:(turn + 1) * BATCH] for turn in range(TURNS + 1)]
    take = "SELECT set_config('tenancy.token', $1, false)", "SELECT set_config('recipe.token', $1, false)"
    compare(lab, "check of a token that is new to the session", *take, batches, TOKEN_TARGET)
    few = tokens[:BATCH]
    compare(lab, "check of a token that the session has seen", *take, [few] * (TURNS + 1), TOKEN_TARGET)


def issue(lab):
    with lab.connect(rls_tables.DATABASE) as connection:
        connection.execute("SELECT tenancy.rotate_key()")
        return [token for (token,) in connection.execute(
            f"SELECT tenancy.issue_token(md5('t' || 1 + n % {rls_tables.TENANTS})::uuid::text, login => 'bench_app')"
            f" FROM generate_series(1, {TOKENS}) n")]


def compare(lab, what, ours, plain, batches, target, transaction=False):
    sides = [Session(lab, "bench_app", rls_tables.DATABASE) for _ in (ours, plain)]
    for side, sql in zip(sides, (ours, plain)):
        side.prepare(sql.encode())

    def play(side, turn):
        start = side.seconds()
        for value in batches[turn]:
            if transaction:
                side.simple(b"BEGIN")
            side.prepared(value.encode())
            if transaction:
                side.simple(b"COMMIT")
        return (side.seconds() - start) / len(batches[turn]) * 1e6

    pairs = alternate(sides, play, TURNS)
    for side in sides:
        side.close()
    mine, other = (statistics.median(figures) for figures in zip(*pairs))
    over = statistics.median(a - b for a, b in pairs)
    lab.report.add(f"{what}: with set_config()", mine, "us", other)
    lab.report.add(f"{what}: over set_config()", over, "us", target=f"<= {target} us")
