"""rls_context.py - what it costs to take a tenant: a switch of the context, and the check of a token.

Beside each, set_config() of a setting that is nobody's: the figure is the processor time of the backend over it.  A turn's
transactions go in one message, so that a session which waits for its client, and what the scheduler makes of that, is no part
of a difference of a microsecond.  A token is asked for its tenant, and the plain setting for its value.
"""
import statistics

import rls_tables
from rls_session import Session, alternate

SWITCH_TARGET = 2.0  # microseconds over set_config()
TOKEN_TARGET = 10.0
BATCH = 50
TURNS = 300
TOKENS = BATCH * (TURNS + 1)


def run(lab):
    rls_tables.ensure(lab)
    # Tenants that the session has served before; the registry is asked once for each.
    tenants = [[rls_tables.uuid_of(number) for number in range(1, BATCH + 1)]] * (TURNS + 1)
    compare(lab, "context switch", "SELECT tenancy.set_tenant('{}', true)",
            f"SELECT set_config('{rls_tables.SETTING}', '{{}}', true)", tenants, SWITCH_TARGET)

    tokens = issue(lab)
    batches = [tokens[turn * BATCH:(turn + 1) * BATCH] for turn in range(TURNS + 1)]
    take = ("SELECT set_config('tenancy.token', '{}', false);SELECT tenancy.current_tenant()",
            "SELECT set_config('recipe.token', '{}', false);SELECT current_setting('recipe.token')")
    compare(lab, "check of a token that is new to the session", *take, batches, TOKEN_TARGET)
    few = tokens[:BATCH]
    compare(lab, "check of a token that the session has seen", *take, [few] * (TURNS + 1), TOKEN_TARGET)


def issue(lab):
    with lab.connect(rls_tables.DATABASE) as connection:
        connection.execute("SELECT tenancy.rotate_key()")
        return [token for (token,) in connection.execute(
            f"SELECT tenancy.issue_token(md5('t' || 1 + n % {rls_tables.TENANTS})::uuid::text, login => 'bench_app')"
            f" FROM generate_series(1, {TOKENS}) n")]


def compare(lab, what, ours, plain, batches, target):
    sides = [Session(lab, "bench_app", rls_tables.DATABASE) for _ in (ours, plain)]
    statements = dict(zip(sides, (ours, plain)))

    def play(side, turn):
        message = ";".join(f"BEGIN;{statements[side].format(value)};COMMIT" for value in batches[turn]).encode()
        start = side.seconds()
        side.simple(message)
        return (side.seconds() - start) / len(batches[turn]) * 1e6

    pairs = alternate(sides, play, TURNS)
    for side in sides:
        side.close()
    mine, other = (statistics.median(figures) for figures in zip(*pairs))
    over = statistics.median(a - b for a, b in pairs)
    lab.report.add(f"{what}: with set_config()", mine, "us", other)
    lab.report.add(f"{what}: over set_config()", over, "us", target=f"<= {target} us")
