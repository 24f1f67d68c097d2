# The empty indexes of systems, which are made without a build: sound, after a crash and on a standby too, and a dump does
# not tell them from those of a plain script.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1, extra => ['--data-checksums']);
$primary->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'\nfsync = on\nlog_min_messages = warning");
$primary->start;
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# Every kind of index, on empty tables and on others; TOAST tables, unlogged, partitioned, exclusion, deferrable, partial.
my $script = q(
	CREATE TABLE plain (id integer PRIMARY KEY, a text UNIQUE, b numeric, c jsonb, d int4range, EXCLUDE USING gist (d WITH &&));
	CREATE INDEX plain_b ON plain (b) INCLUDE (a) WHERE b > 0;
	CREATE INDEX plain_expression ON plain (lower(a), (b + 1));
	CREATE INDEX plain_collation ON plain (a COLLATE "C" text_pattern_ops DESC NULLS LAST);
	CREATE INDEX plain_gin ON plain USING gin (c);
	CREATE INDEX plain_hash ON plain USING hash (a);
	CREATE INDEX plain_brin ON plain USING brin (id);
	CREATE UNIQUE INDEX plain_fill ON plain (id, a) WITH (fillfactor = 70, deduplicate_items = off);
	CREATE UNLOGGED TABLE unlogged (id integer PRIMARY KEY, a text);
	CREATE TABLE late (id integer, a text);
	INSERT INTO late SELECT n, 'row ' || n FROM generate_series(1, 500) n;
	ALTER TABLE late ADD PRIMARY KEY (id);
	CREATE INDEX late_a ON late (a);
	CREATE TABLE part (id integer, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
	CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
	CREATE INDEX part_at ON part (at);
	CREATE TABLE deferred (id integer PRIMARY KEY, no integer UNIQUE DEFERRABLE INITIALLY DEFERRED, up integer REFERENCES deferred DEFERRABLE INITIALLY DEFERRED);
	CREATE VIEW seen WITH (security_invoker = true) AS SELECT id, a FROM plain;
	DO $do$ BEGIN BEGIN CREATE TABLE gone (id integer PRIMARY KEY); RAISE 'undo'; EXCEPTION WHEN raise_exception THEN NULL; END;
		CREATE TABLE kept (id integer PRIMARY KEY); END $do$;
	CREATE TABLE emptied (id integer);
	INSERT INTO emptied VALUES (1);
	DELETE FROM emptied;
	CREATE INDEX emptied_id ON emptied (id);
	GRANT SELECT ON ALL TABLES IN SCHEMA @schema@ TO pg_monitor;
);
$primary->safe_psql('postgres', qq(
	CREATE EXTENSION tenancy;
	CREATE EXTENSION amcheck;
	SELECT tenancy.register_system('shop', 'Shop', 'shop', 'us');
	SELECT tenancy.register_version('shop', '1.0.0', \$script\$$script\$script\$);
	SELECT tenancy.create_tenant('shop-' || n, 'Tenant') FROM generate_series(1, 3) n;
	CHECKPOINT;));

sub sql { return $primary->safe_psql('postgres', $_[0]) }

# How many B-trees a schema has, TOAST indexes too, all of them sound.
sub sound
{
	my ($node, $schema, $unlogged) = @_;
	my $check = $node == $primary ? 'bt_index_parent_check(i.indexrelid, true, true)' : 'bt_index_check(i.indexrelid, true)';
	return $node->safe_psql('postgres', qq(
		WITH t AS (SELECT c.oid, c.reltoastrelid FROM pg_class c WHERE c.relnamespace = '$schema'::regnamespace AND c.relkind = 'r'
			AND (c.relpersistence = 'p' OR $unlogged)),
		i AS (SELECT x.indexrelid FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
			WHERE c.relam = 403 AND c.relkind = 'i' AND x.indisvalid AND x.indisready
			  AND (x.indrelid IN (SELECT oid FROM t) OR x.indrelid IN (SELECT reltoastrelid FROM t)))
		SELECT count(*) FROM i, LATERAL (SELECT $check) c));
}

# An empty one has its metapage and no root; a build would have ended in an fsync.
sub untouched
{
	return sql(qq(SELECT count(*) FROM pg_class WHERE relnamespace = '$_[0]'::regnamespace AND relkind = 'i' AND relam = 403 AND pg_relation_size(oid) = 8192));
}

#
# In the very transaction, then after a crash that finds nothing of it on disk
#
is(sql("BEGIN; SELECT tenancy.install_system('shop-3', 'shop');
	INSERT INTO tenant_shop_3_shop.plain VALUES (1, 'x', 1, '{}', '[1,2)'); SELECT count(*) FROM tenant_shop_3_shop.plain WHERE a = 'x'; ROLLBACK"),
	"tenant_shop_3_shop\n1", 'usable in the transaction that makes them, and rolled back');
sql("SELECT tenancy.install_system('shop-1', 'shop')");
my $count = sound($primary, 'tenant_shop_1_shop', 'true');
cmp_ok($count, '>=', 18, "$count indexes are sound");
cmp_ok(untouched('tenant_shop_1_shop'), '>=', 10, 'the empty ones are a metapage');
$primary->stop('immediate');
$primary->start;
is(sound($primary, 'tenant_shop_1_shop', 'true'), $count, 'all are sound after a crash');

#
# Filled afterwards
#
my $fill = q(SET search_path TO SCHEMA;
	INSERT INTO plain SELECT n, 'text ' || n, n, jsonb_build_object('n', n), int4range(n, n + 1) FROM generate_series(1, 2000) n;
	INSERT INTO plain VALUES (0, (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 60) n), 0, NULL, NULL);
	INSERT INTO plain VALUES (-1, NULL, 0, (SELECT jsonb_agg(md5(n::text)) FROM generate_series(1, 900) n), NULL);
	INSERT INTO unlogged SELECT n, 'u' FROM generate_series(1, 100) n;
	INSERT INTO part SELECT n, '2026-02-01' FROM generate_series(1, 100) n;
	INSERT INTO deferred VALUES (1, 1, 2), (2, 2, 1);
	INSERT INTO kept VALUES (1););
my $look = q~SET search_path TO SCHEMA; SET enable_seqscan = off;
	SELECT (SELECT id FROM plain WHERE a = 'text 77'), (SELECT count(*) FROM plain WHERE b BETWEEN 5 AND 14),
		(SELECT count(*) FROM plain WHERE c @> '{"n": 7}'), (SELECT count(*) FROM plain WHERE d && '[5,8)'),
		(SELECT length(c::text) > 8000 FROM plain WHERE id = -1), (SELECT count(*) FROM part WHERE id < 11), (SELECT count(*) FROM late WHERE a = 'row 9')~;
sql($fill =~ s/SCHEMA/tenant_shop_1_shop/r);
is(sql($look =~ s/SCHEMA/tenant_shop_1_shop/r), '77|10|1|3|t|10|1', 'they find what is inserted');
my ($status, undef, $error) = $primary->psql('postgres', "INSERT INTO tenant_shop_1_shop.plain (id, a) VALUES (90000, 'text 5')");
like($error, qr/duplicate key value violates unique constraint/, 'unique ones are');
is(sound($primary, 'tenant_shop_1_shop', 'true'), $count, 'and sound');
sql("REINDEX SCHEMA tenant_shop_1_shop; VACUUM FULL tenant_shop_1_shop.plain");
is(sound($primary, 'tenant_shop_1_shop', 'true'), $count, 'and after REINDEX');
$primary->stop('immediate');
$primary->start;
is(sql($look =~ s/SCHEMA/tenant_shop_1_shop/r), '77|10|1|3|t|10|1', 'after another crash, too');

#
# A standby that follows, and has no worker
#
sql("SELECT tenancy.set_pool_size('shop', 1)");
ok($primary->poll_query_until('postgres', "SELECT ready = 1 FROM tenancy.stat_pool"), 'a spare');
sql("SELECT tenancy.install_system('shop-2', 'shop')");
sql($fill =~ s/SCHEMA/tenant_shop_2_shop/r);
$primary->wait_for_catchup($standby);
my $logged = sound($primary, 'tenant_shop_2_shop', 'false');
is(sound($standby, 'tenant_shop_2_shop', 'false'), $logged, "$logged indexes are sound on the standby");
is($standby->safe_psql('postgres', $look =~ s/SCHEMA/tenant_shop_2_shop/r), '77|10|1|3|t|10|1', 'and answer there');
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^tenancy'"), 0, 'no worker there');
is($standby->safe_psql('postgres', "SELECT ready >= 0 FROM tenancy.stat_pool"), 't', 'the view can be read');

#
# One dump, whether by plain script, by ours or from the pool
#
sub dumped
{
	my ($schema) = @_;
	my ($out) = run_command([ 'pg_dump', '--schema-only', '--no-sync', '--no-privileges', '--no-owner', '-n', $schema, '-d', $primary->connstr('postgres') ]);
	$out =~ s/$schema/SCHEMA/g;
	$out =~ s/^\\(un)?restrict .*$//mg;
	$out =~ s/^--.*$//mg;
	$out =~ s/CREATE POLICY tenant_isolation_[^;]*;|ALTER TABLE (ONLY )?\S+ (ENABLE|FORCE)( ROW LEVEL SECURITY)?[^;]*;//g;
	$out =~ s/\n+/\n/g;
	return $out;
}
my $schema = 'by_script';
sql("CREATE SCHEMA $schema; SET search_path TO $schema;" . $script =~ s/\@schema\@/$schema/gr);
my $expected = dumped($schema);
like($expected, qr/CREATE INDEX plain_collation/, 'there is a dump');
is(dumped('tenant_shop_1_shop'), $expected, 'a schema by our script is dumped alike');
is(dumped('tenant_shop_2_shop'), $expected, 'and one from the pool');

$standby->stop;
$primary->stop;
unlike(slurp_file($primary->logfile) . slurp_file($standby->logfile), qr/PANIC|TRAP|checksum|invalid page/, 'nothing in the log');
done_testing();
