"""rls_tables.py - two million rows of a thousand tenants, the roles that read them, and the policies that are compared.

Uniform: 2,000 rows a tenant.  Zipf: the first tenant has a tenth of all, the last some 150.  What has no policy is read by
a role with BYPASSRLS, which writes the literal WHERE: the limit that every figure is a ratio to, on the very same pages.
"""
import hashlib

from lab import say

DATABASE = "rls"
TENANTS = 1000
UPDATED_ROWS = 100_000

# The recipes keep their tenant in a setting that anybody may write, as they do where there is no extension.
SETTING = "recipe.tenant_id"
CLAIMS = "request.jwt.claims"

CREATE = """
CREATE EXTENSION tenancy;
CREATE ROLE bench_app LOGIN IN ROLE tenancy_service;
CREATE ROLE bench_limit LOGIN BYPASSRLS;
GRANT EXECUTE ON FUNCTION tenancy.set_context(text, text, text[], boolean) TO bench_app;
SELECT count(tenancy.create_tenant(md5('t' || n)::uuid::text, 'Tenant')), count(tenancy.create_tenant('tenant-' || n, 'Tenant'))
  FROM generate_series(1, {tenants}) n;

CREATE SCHEMA bench;
GRANT USAGE ON SCHEMA bench TO bench_app, bench_limit;
CREATE UNLOGGED TABLE bench.source AS
    SELECT g AS id, 1 + (g::bigint * 7919 % {tenants})::integer AS uniform,
           least({tenants}, greatest(1, floor(exp(ln({tenants} + 1) * ((hashint8extended(g, 7) & 9007199254740991) / 9007199254740991.0)))))::integer AS zipf
      FROM generate_series(1, {rows}) g;
CREATE TABLE bench.items AS
    SELECT id::bigint, md5('t' || uniform)::uuid AS tenant_id, id % 1000 AS v, 'note ' || id AS note FROM bench.source;
CREATE TABLE bench.zipf_items AS
    SELECT id::bigint, md5('t' || zipf)::uuid AS tenant_id, id % 1000 AS v, 'note ' || id AS note FROM bench.source;
CREATE TABLE bench.text_items AS
    SELECT id::bigint, 'tenant-' || uniform AS tenant_id, id % 1000 AS v, 'note ' || id AS note FROM bench.source;
CREATE TABLE bench.parts AS SELECT id, tenant_id, id AS item_id, v AS quantity FROM bench.items WHERE id % 4 = 0;
CREATE TABLE bench.zipf_parts AS SELECT id, tenant_id, id AS item_id, v AS quantity FROM bench.zipf_items WHERE id % 4 = 0;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{{items,zipf_items,text_items,parts,zipf_parts}}'::text[] LOOP
        EXECUTE format('ALTER TABLE bench.%I ADD PRIMARY KEY (id), ALTER tenant_id SET NOT NULL', name);
        EXECUTE format('CREATE INDEX ON bench.%I (tenant_id, %I)', name, CASE WHEN name LIKE '%parts' THEN 'item_id' ELSE 'id' END);
    END LOOP;
END $$;
DROP TABLE bench.source;

CREATE UNLOGGED TABLE bench.written (id bigserial, tenant_id uuid NOT NULL, v integer, note text);
CREATE UNLOGGED TABLE bench.text_written (id bigserial, tenant_id text NOT NULL, v integer, note text);
CREATE UNLOGGED TABLE bench.updated WITH (fillfactor = 40) AS SELECT id, tenant_id, v FROM bench.items WHERE id <= {updated};
CREATE UNLOGGED TABLE bench.text_updated WITH (fillfactor = 40) AS SELECT id, tenant_id, v FROM bench.text_items WHERE id <= {updated};
ALTER TABLE bench.updated ADD PRIMARY KEY (id);
ALTER TABLE bench.text_updated ADD PRIMARY KEY (id);
CREATE INDEX ON bench.updated (tenant_id);
CREATE INDEX ON bench.text_updated (tenant_id);

CREATE TABLE bench.listed (id bigint, tenant_id uuid NOT NULL, v integer, PRIMARY KEY (tenant_id, id)) PARTITION BY LIST (tenant_id);
DO $$
BEGIN
    FOR n IN 1 .. {tenants} LOOP
        EXECUTE format('CREATE TABLE bench.listed_%s PARTITION OF bench.listed FOR VALUES IN (%L)', n, md5('t' || n)::uuid);
    END LOOP;
END $$;
INSERT INTO bench.listed SELECT id, tenant_id, v FROM bench.items WHERE id <= 200000;
GRANT ALL ON ALL TABLES IN SCHEMA bench TO bench_app, bench_limit;
GRANT ALL ON ALL SEQUENCES IN SCHEMA bench TO bench_app, bench_limit;
"""

UUID_TABLES = ("items", "zipf_items", "parts", "zipf_parts", "written", "updated", "listed")
TEXT_TABLES = ("text_items", "text_written", "text_updated")


def ensure(lab):
    """For the parts that need the rows, whichever runs first."""
    if not lab.value("SELECT count(*) FROM pg_database WHERE datname = %s", (DATABASE,)):
        create(lab)


def create(lab):
    say(f"making {lab.policy_rows:,} rows of {TENANTS:,} tenants")
    lab.execute(f"CREATE DATABASE {DATABASE}")
    with lab.connect(DATABASE) as connection:
        connection.execute(CREATE.format(tenants=TENANTS, rows=lab.policy_rows, updated=UPDATED_ROWS))
        connection.execute("VACUUM ANALYZE")


def uuid_of(number):
    digits = hashlib.md5(f"t{number}".encode()).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def text_of(number):
    return f"tenant-{number}"


class Contender:
    """How a session takes a tenant, and what it sees then."""

    def __init__(self, name, take, sees=(1,)):
        self.name = name
        self.take = take  # SQL; {tenant} and {scope} are identifiers
        self.sees = sees  # numbers of tenants; None for all


class Scheme:
    """A way to keep tenants apart: what is put on the tables, and who lives by it."""

    def __init__(self, contenders, condition=None, kind="uuid", matrix=False):
        self.contenders = contenders
        self.condition = condition  # of the policy; None for what protect() makes
        self.kind = kind
        self.matrix = matrix  # declare_access() for all classes before
        self.ours = condition is None
        self.tables = UUID_TABLES if kind == "uuid" else TEXT_TABLES
        self.prefix = "" if kind == "uuid" else "text_"

    def identifier(self, number):
        return uuid_of(number) if self.kind == "uuid" else text_of(number)

    def literal(self, number):
        return f"'{self.identifier(number)}'::{self.kind}"

    def take_sql(self, contender):
        scope = ", ".join(f"'{self.identifier(number)}'" for number in contender.sees or ())
        return contender.take.format(tenant=self.identifier(1), scope=scope)

    def limit(self, contender, column):
        """The literal conditions that come to the same."""
        if contender.sees is None:
            return []
        if len(contender.sees) == 1:
            return [f"{column} = {self.literal(contender.sees[0])}"]
        return [f"{column} IN ({', '.join(self.literal(number) for number in contender.sees)})"]

    def install(self, connection):
        for table in self.tables:
            if self.condition:
                connection.execute(f"""
                    ALTER TABLE bench.{table} ENABLE ROW LEVEL SECURITY;
                    CREATE POLICY recipe ON bench.{table} USING ({self.condition}) WITH CHECK ({self.condition});""")
                continue
            if self.matrix:
                connection.execute(f"""
                    INSERT INTO tenancy.access_rules ("table", role_class, mode)
                        SELECT 'bench.{table}', unnest('{{admin,superadmin}}'::text[]), 'read-write';""")
            connection.execute(f"SELECT tenancy.protect('bench.{table}')")

    def uninstall(self, connection):
        for table in self.tables:
            if self.condition:
                connection.execute(f"DROP POLICY recipe ON bench.{table}; ALTER TABLE bench.{table} DISABLE ROW LEVEL SECURITY;")
            else:
                connection.execute(f"SELECT tenancy.unprotect('bench.{table}')")
        connection.execute("DELETE FROM tenancy.access_rules")


SET_TENANT = "SELECT tenancy.set_tenant('{tenant}', false)"
SET_ADMIN = "SELECT tenancy.set_context(NULL, 'admin', ARRAY[{scope}], false)"
SET_SUPERADMIN = "SELECT tenancy.set_context(NULL, 'superadmin', is_local => false)"
SET_RECIPE = f"SELECT set_config('{SETTING}', '{{tenant}}', false)"
SET_CLAIMS = (f"SELECT set_config('{CLAIMS}', '{{{{\"sub\": \"{{tenant}}\", \"tenant_id\": \"{{tenant}}\", \"role\": \"authenticated\", "
              "\"email\": \"a@b.c\", \"exp\": 1999999999, \"app_metadata\": {{\"provider\": \"email\"}}}}', false)")

SCHEMES = [
    Scheme([Contender("ours", SET_TENANT)]),
    Scheme([Contender("ours: client", SET_TENANT),
            Contender("ours: admin of 1", SET_ADMIN),
            Contender("ours: admin of 5", SET_ADMIN, (1, 2, 3, 4, 5)),
            Contender("ours: admin of 50", SET_ADMIN, tuple(range(1, 51))),
            Contender("ours: superadmin", SET_SUPERADMIN, None)], matrix=True),
    Scheme([Contender("ours, text", SET_TENANT)], kind="text"),
    Scheme([Contender("current_setting()::uuid", SET_RECIPE)], f"tenant_id = current_setting('{SETTING}', true)::uuid"),
    Scheme([Contender("(SELECT …::uuid)", SET_RECIPE)], f"tenant_id = (SELECT current_setting('{SETTING}', true)::uuid)"),
    Scheme([Contender("jwt claims", SET_CLAIMS)],
           f"tenant_id = (current_setting('{CLAIMS}', true)::json ->> 'tenant_id')::uuid"),
    Scheme([Contender("text = current_setting()", SET_RECIPE)], f"tenant_id = current_setting('{SETTING}', true)", kind="text"),
]
