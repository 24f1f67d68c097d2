"""rls_cost.py - what a policy costs, as a ratio to the literal WHERE without row-level security.

A contender and the limit take turns on the same pages, a few statements at a time; the figure is the median of the ratios of
neighbours: of the backend's processor time without parallel workers, whose time is not the backend's, and of the clock for
what is parallel on purpose.
"""
import random
import statistics

import rls_tables
from lab import say
from rls_session import Session, alternate

SERIAL = "SET max_parallel_workers_per_gather = 0;"
NO_INDEX = "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off;"
PARALLEL = "SET max_parallel_workers_per_gather = 2; SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0;"
TARGET = 1.10
BATCH = 64  # statements of one turn, of short ones; a multiple of the 32 values that a sequence logs at once
TURNS = 300, 15  # of short statements, of long ones
PAIRS = 6  # of sessions for short statements: where a backend's memory lies makes it faster or slower than its neighbour for life
LONGEST = 4.0  # seconds for one comparison, if that is three turns of each pair


class Work:
    """A statement; {limit} is where the literal conditions on "columns" stand, {id} a key of the first tenant's."""

    def __init__(self, name, sql, columns=("tenant_id",), fixed=(), prepared=False, many=True, settings=SERIAL, by_clock=False, truncates=None,
                 vacuums=None, text=True, one_transaction=False):
        self.name = name
        self.sql = sql
        self.columns = columns
        self.fixed = list(fixed)
        self.prepared = prepared
        self.many = many  # short: a batch is many of them
        self.settings = settings
        self.by_clock = by_clock
        self.truncates = truncates
        self.vacuums = vacuums
        self.text = text  # there are such tables with a tenant of type text
        self.one_transaction = one_transaction  # a turn is, and its end is not counted

    def statement(self, scheme, contender, is_limit):
        conditions = list(self.fixed)
        if is_limit:
            for column in self.columns:
                conditions += scheme.limit(contender, column)
        limit = " WHERE " + " AND ".join(conditions) if conditions else ""
        return self.sql.format(limit=limit, prefix=scheme.prefix, literal=scheme.literal(1), id="{id}")


NEWEST = "SELECT sum(v) FROM (SELECT v FROM bench.{prefix}items{limit} ORDER BY id DESC LIMIT 100) s"
SUM = "SELECT count(*), sum(v) FROM bench.{prefix}items{limit}"
JOIN = "SELECT count(*), sum(quantity) FROM bench.{0}items i JOIN bench.{0}parts p ON p.item_id = i.id"
BY_ID = ["id = {id}"]
BOTH = ("i.tenant_id", "p.tenant_id")

WORKS = [
    Work("point", "SELECT v FROM bench.{prefix}items{limit}", fixed=BY_ID),
    Work("point, prepared", "SELECT v FROM bench.{prefix}items{limit}", fixed=BY_ID, prepared=True),
    Work("newest 100", NEWEST),
    Work("newest 100, prepared", NEWEST, prepared=True),
    Work("insert", "INSERT INTO bench.{prefix}written (tenant_id, v, note) VALUES ({literal}, 1, 'x')", columns=(), prepared=True,
         truncates="written", one_transaction=True),
    Work("update", "UPDATE bench.{prefix}updated SET v = v + 1{limit}", fixed=BY_ID, prepared=True, vacuums="updated"),
    Work("full scan", SUM, many=False, settings=SERIAL + NO_INDEX),
    Work("full scan, parallel", SUM, many=False, settings=NO_INDEX + PARALLEL, by_clock=True),
    Work("sum by index", SUM, many=False),
    Work("join", JOIN.format("") + "{limit}", BOTH, many=False, text=False),
    Work("newest 100, zipf", NEWEST.replace("{prefix}", "zipf_"), text=False),
    Work("sum by index, zipf", SUM.replace("{prefix}", "zipf_"), many=False, text=False),
    Work("join, zipf", JOIN.format("zipf_") + "{limit}", BOTH, many=False, text=False),
    Work("join, zipf, parallel", JOIN.format("zipf_") + "{limit}", BOTH, many=False, settings=PARALLEL, by_clock=True, text=False),
    Work("bulk insert", "INSERT INTO bench.{prefix}written (tenant_id, v, note) SELECT {literal}, g, 'x' FROM generate_series(1, 30000) g",
         columns=(), many=False, truncates="written"),
    Work("1,000 partitions", "SELECT v FROM bench.listed{limit}", fixed=BY_ID, text=False),
    Work("1,000 partitions, prepared", "SELECT v FROM bench.listed{limit}", fixed=BY_ID, prepared=True, text=False),
]


class Side:
    """A statement in a session of its own."""

    def __init__(self, lab, role, work, sql, take=None):
        self.session = Session(lab, role, rls_tables.DATABASE, work.by_clock)
        self.work = work
        self.sql = sql
        for command in (work.settings, take):
            if command:
                self.session.simple(command.encode())
        if work.prepared:
            self.session.prepare(sql.format(id="$1").encode())

    def batch(self, keys):
        """Seconds a statement, and the first value of the last answer."""
        if not self.work.prepared:
            requests = [self.sql.format(id=key).encode() for key in keys]
        else:
            requests = [[str(key).encode()] if "{id}" in self.sql else [] for key in keys]
        if self.work.one_transaction:
            self.session.simple(b"BEGIN")
        start = self.session.seconds()
        result = self.session.each(requests)
        spent = self.session.seconds() - start
        if self.work.one_transaction:
            self.session.simple(b"COMMIT")
        return spent / len(keys), result.get_value(0, 0) if result.ntuples else None


def compare(lab, scheme, contender, work):
    """The median ratio, and both sides' medians in milliseconds."""
    draw = random.Random(1)
    # Rows of the first tenant, which has every thousandth.
    last = (rls_tables.UPDATED_ROWS if work.vacuums else lab.policy_rows) // rls_tables.TENANTS
    keys = [[rls_tables.TENANTS * draw.randint(1, last) for _ in range(BATCH if work.many else 1)] for _ in range(max(TURNS) + 1)]

    def play(side, turn):
        if work.truncates and not work.many:
            lab.execute(f"TRUNCATE bench.{scheme.prefix}{work.truncates}", dbname=rls_tables.DATABASE)
        return side.batch(keys[turn])

    pairs = []
    count = PAIRS if work.many else 1
    for _ in range(count):
        sides = (Side(lab, "bench_app", work, work.statement(scheme, contender, False), scheme.take_sql(contender)),
                 Side(lab, "bench_limit", work, work.statement(scheme, contender, True)))
        pairs += alternate(sides, play, TURNS[0 if work.many else 1] // count, LONGEST / count)
        for side in sides:
            side.session.close()
    if any(ours[1] != limit[1] for ours, limit in pairs):
        raise SystemExit(f"{contender.name}, {work.name}: not the rows that the literal finds")
    ours, limits = zip(*((ours[0], limit[0]) for ours, limit in pairs))
    return (statistics.median(mine / limit for mine, limit in zip(ours, limits)), statistics.median(ours) * 1e3,
            statistics.median(limits) * 1e3)


def run(lab):
    rls_tables.ensure(lab)
    figures = {}
    for scheme in rls_tables.SCHEMES:
        contenders = [contender for contender in scheme.contenders if lab.wants(contender.name)]
        if not contenders:
            continue
        with lab.connect(rls_tables.DATABASE) as connection:
            scheme.install(connection)
        for contender in contenders:
            for work in WORKS:
                if work.text or scheme.kind != "text":
                    figures[contender.name, work.name] = measure(lab, scheme, contender, work)
            say(contender.name + ": " + ", ".join(f"{work.name} {figures[contender.name, work.name][0]:.2f}" for work in WORKS
                                                 if (contender.name, work.name) in figures))
        with lab.connect(rls_tables.DATABASE) as connection:
            scheme.uninstall(connection)
    report(lab, figures)


def measure(lab, scheme, contender, work):
    for verb, table in (("TRUNCATE", work.truncates), ("VACUUM", work.vacuums)):
        if table:
            lab.execute(f"{verb} bench.{scheme.prefix}{table}", dbname=rls_tables.DATABASE)
    return compare(lab, scheme, contender, work)


def report(lab, figures):
    names = list(dict.fromkeys(name for name, _ in figures))
    works = [work.name for work in WORKS]
    cell = lambda text, name, work: text(*figures[name, work]) if (name, work) in figures else "-"
    lab.report.add_table("cost of a policy, as a ratio to the literal WHERE without row-level security", ["", *names],
                         [[work] + [cell(lambda ratio, ours, limit: f"{ratio:.2f}", name, work) for name in names] for work in works])
    lab.report.add_table("the same: milliseconds a statement, policy / literal", ["", *names],
                         [[work] + [cell(lambda ratio, ours, limit: f"{ours:.3g} / {limit:.3g}", name, work) for name in names]
                          for work in works])
    ours = [contender.name for scheme in rls_tables.SCHEMES if scheme.ours for contender in scheme.contenders]
    ratios = [(figure[0], name, work) for (name, work), figure in figures.items() if name in ours]
    if ratios:
        worst, name, work = max(ratios)
        lab.report.add(f"policy against literal WHERE, worst of {len(ratios)}: {work}, {name}", figures[name, work][1], "ms",
                       figures[name, work][2], worst, f"ratio <= {TARGET}")
