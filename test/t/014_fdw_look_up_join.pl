# Joins that look documents up in batches: the same answers as of local tables, whatever is joined and how; tenants, prepared
# statements, rescans, changed rows, memory, and waits that end.
#
# As in 014_fdw_differential.pl the queries of the first part are made by chance, and are the same in each run.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Foreign::Node;
use Mongo::Server;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{DIFFERENTIAL_SEED} || 520417;
$seed = int(rand(1_000_000_000)) if $seed eq 'random';
my $queries = $ENV{DIFFERENTIAL_QUERIES} // 1000;
diag("seed $seed");
srand($seed);

# It measures its memory: a sanitizer must not keep what is freed.
$ENV{ASAN_QUARANTINE_MB} //= 1;

my $mongo = Mongo::Server->new('main')->start;
my $node  = foreign_node($mongo, "timezone = 'Europe/Berlin'");

sub pick { return $_[ rand @_ ]; }
sub number { return map { ($_, qq({"\$numberLong": "$_"}), qq({"\$numberDouble": "$_.0"}), qq({"\$numberDecimal": "$_"}), qq({"\$numberDecimal": "$_.00"})) } @_; }
sub dates { return map { qq({"\$date": {"\$numberLong": "$_"}}) } @_; }

# name => [type, path, BSON values]
my %columns = (
	i => [ 'int', 'i', [ number(-1, 0, 1, 2, 3, 50), '{"$numberInt": "2147483647"}', '{"$numberDouble": "-0.0"}' ] ],
	b => [ 'bigint', 'b', [ number(-1, 0, 1, 50), map { qq({"\$numberLong": "$_"}) } '9007199254740993', '9007199254740992', '9223372036854775807' ] ],
	s => [ 'smallint', 's', [ number(1, 2, 3) ] ],
	f => [ 'float8', 'f', [ number(0, 1, 2), map { qq({"\$numberDouble": "$_"}) } '-0.0', '0.5', '0.1', 'NaN', 'Infinity', '-Infinity', '5e-324' ] ],
	n => [ 'numeric', 'n', [ number(0, 1, 2), map({ qq({"\$numberDouble": "$_"}) } '0.1', '0.5', 'NaN', '1e22'), map { qq({"\$numberDecimal": "$_"}) } '0.1', '0.10', '0.10000000000000000001', 'NaN', '9007199254740993' ] ],
	t => [ 'text', 't', [ map({ qq("$_") } '', 'a', 'A', 'b', 'é', '$t', '650000000000000000000001'), '{"$oid": "650000000000000000000001"}', '{"$oid": "650000000000000000000002"}', '{"$symbol": "a"}' ] ],
	v => [ 'varchar(30)', 'v', [ map { qq("$_") } 'a', 'b', '' ] ],
	c => [ 'char(5)', 'c', [ '"a"', '"a    "', '"b"' ] ],
	o => [ 'boolean', 'o', [ 'true', 'false' ] ],
	z => [ 'timestamptz', 'z', [ dates(0, 1, 1714564800000, 1714564800500) ] ],
	l => [ 'timestamp', 'l', [ dates(0, 1, 1714564800000) ] ],
	d => [ 'date', 'd', [ dates(0, 86400000, -86400000) ] ],
	u => [ 'uuid', 'u', [ '{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}', '"00112233-4455-6677-8899-aabbccddeeff"', '"11112233-4455-6677-8899-AABBCCDDEEFF"' ] ],
	q => [ 'tenancy_mongo.object_id', 'q', [ '{"$oid": "650000000000000000000001"}', '{"$oid": "650000000000000000000002"}' ] ],
	x => [ 'int', 'a.x', [] ],
	j => [ 'jsonb', 'j', [ '{"k": "a"}', '{"k": 1}', '{"k": null}', '[]', '{"k": "1"}', '{"n": {"k": "b"}}' ] ],
	k => [ 'int', '_id', [] ],
	m => [ 'int', 'm', [] ]);
my @names = sort keys %columns;
my @missing = (undef, 'null', '{"$undefined": true}');
my @nested = ('{"x": 1}', '{"x": 2}', '{"x": {"$numberLong": "3"}}', '{"y": 1}', '[{"x": 1}]', '[]', 'null', '{}');

sub document
{
	my ($k, $range) = @_;
	my @fields = (qq("_id": $k), '"m": ' . int(rand $range));
	for my $name (@names)
	{
		my $values = $columns{$name}[2];
		next unless @$values;
		my $value = rand() < 0.2 ? pick(@missing) : pick(@$values);
		push @fields, qq("$columns{$name}[1]": $value) if defined $value;
	}
	push @fields, '"a": ' . pick(@nested) if rand() < 0.9;
	return '{' . join(', ', @fields) . '}';
}
$mongo->insert('test', 'inner', map { document($_, 120) } 0 .. 119);
$mongo->insert('test', 'outer', map { document($_, 200) } 0 .. 199);

my $definition = join ', ', map { "$_ $columns{$_}[0] OPTIONS (path '$columns{$_}[1]')" } @names;
$node->safe_psql('postgres', qq(
	CREATE SERVER other FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0', application_name 'other');
	CREATE FOREIGN TABLE remote ($definition) SERVER m OPTIONS (database 'test', collection 'inner');
	CREATE FOREIGN TABLE foreign_outer ($definition) SERVER other OPTIONS (database 'test', collection 'outer', batch_size '50');
	CREATE FOREIGN TABLE inner_whole ($definition) SERVER m OPTIONS (database 'test', collection 'inner', pushdown 'false');
	CREATE FOREIGN TABLE outer_whole ($definition) SERVER m OPTIONS (database 'test', collection 'outer', pushdown 'false');
	CREATE TABLE reference AS SELECT * FROM inner_whole;
	CREATE TABLE local_outer AS SELECT * FROM outer_whole;
	ANALYZE remote, reference, local_outer, foreign_outer;

	CREATE FUNCTION answer(query text, inner_table text, outer_table text) RETURNS text LANGUAGE plpgsql AS \$\$
	DECLARE
		result text;
	BEGIN
		EXECUTE format('SELECT count(*) || coalesce(array_agg(r::text ORDER BY r::text)::text, '''') FROM (%s) r', replace(replace(query, '{t}', inner_table), '{o}', outer_table)) INTO result;
		RETURN result;
	END \$\$;

	-- Looked up in batches, in whatever way the planner likes without, and locally: what differs.
	CREATE FUNCTION compare(query text, outer_table text) RETURNS SETOF text LANGUAGE plpgsql AS \$\$
	DECLARE
		wanted text := answer(query, 'reference', 'local_outer');
		got text;
	BEGIN
		PERFORM set_config('enable_' || v, 'off', true) FROM unnest('{hashjoin,mergejoin,nestloop}'::text[]) v;
		got := answer(query, 'remote', outer_table);
		IF got <> wanted THEN
			RETURN NEXT format(E'%s\\n  batched %s\\n  wanted  %s', query, left(got, 600), left(wanted, 600));
		END IF;
		PERFORM set_config('enable_' || v, 'on', true) FROM unnest('{hashjoin,mergejoin,nestloop}'::text[]) v;
		PERFORM set_config('tenancy_mongo.enable_batched_lookup', 'off', true);
		got := answer(query, 'remote', outer_table);
		IF got <> wanted THEN
			RETURN NEXT format(E'%s\\n  without batches %s\\n  wanted          %s', query, left(got, 600), left(wanted, 600));
		END IF;
		PERFORM set_config('tenancy_mongo.enable_batched_lookup', 'on', true);
	END \$\$;

	CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS \$\$
	BEGIN
		RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
	END \$\$;
	CREATE FUNCTION look_ups(query text) RETURNS bigint LANGUAGE sql AS \$\$ SELECT count(*) FROM plan(query) p WHERE p ~ 'Foreign Batched Look-up' \$\$;));

#
# Queries by chance
#

# Pairs of an outer and an inner expression that an operator compares.
my @pairs = (
	(map { [ "o.$_", "i.$_" ] } grep { $_ ne 'j' } @names),
	[ 'o.i', 'i.b' ], [ 'o.b', 'i.i' ], [ 'o.s', 'i.m' ], [ 'o.m', 'i.k' ], [ 'o.m + 1', 'i.k' ], [ 'o.k', 'i.m' ], [ 'o.v', 'i.t' ], [ 'o.t', 'i.v' ], [ 'o.m % 7', 'i.x' ],
	[ "o.j->>'k'", 'i.t' ], [ 'o.t', "i.j->>'k'" ], [ "o.j->>'k'", "i.j->>'k'" ], [ 'o.k::bigint * 40000000000', 'i.b' ], [ 'o.i::numeric', 'i.n' ], [ 'lower(o.t)', 'i.t' ], [ 'o.t', "i.j->'n'->>'k'" ],
	[ 'NULL::int', 'i.k' ], [ '5', 'i.k' ], [ 'o.t::name', 'i.t' ], [ 'o.x', 'i.k' ]);

sub equality { my ($o, $i) = @{ pick(@pairs) }; ($o, $i) = ($i, $o) if rand() < 0.3; return pick("$o = $i", "$o = $i", "$i = $o"); }

sub filter
{
	my ($alias) = @_;
	return pick("$alias.m < 60", "$alias.k % 3 = 1", "$alias.o", "$alias.i IS NULL", "$alias.i = 1", "$alias.t >= 'a'", "$alias.f > 0.1", "$alias.n <> 1", "$alias.z IS NOT NULL", "$alias.k + 0 < 100", "$alias.j->>'k' = 'a'");
}

sub join_condition
{
	my @parts = equality();
	push @parts, equality() if rand() < 0.25;
	push @parts, pick('o.m <> i.m', 'o.i IS NOT DISTINCT FROM i.i', 'o.k > i.k', 'coalesce(o.i, i.i) > 0') if rand() < 0.2;
	push @parts, filter('i') if rand() < 0.3;
	return join ' AND ', @parts;
}

my $shown = 'o.k, o.m, i.k AS ik, i.t, i.n';
sub query
{
	my $where = rand() < 0.3 ? ' WHERE ' . filter('o') : '';
	my $and = $where ? "$where AND" : ' WHERE';
	my $on = join_condition();
	return pick(
		"SELECT $shown FROM {o} o JOIN {t} i ON $on$where",
		"SELECT $shown FROM {o} o LEFT JOIN {t} i ON $on$where",
		"SELECT $shown FROM {o} o LEFT JOIN {t} i ON $on$and " . pick('i.k IS NULL', 'i.m IS NULL OR i.m > 40', 'coalesce(i.i, 1) = 1', 'o.i IS DISTINCT FROM i.i'),
		"SELECT o.k, o.t FROM {o} o$and EXISTS (SELECT FROM {t} i WHERE $on)",
		"SELECT o.k, o.t FROM {o} o$and NOT EXISTS (SELECT FROM {t} i WHERE $on)",
		"SELECT o.k FROM {o} o$and o.m IN (SELECT i.k FROM {t} i WHERE " . filter('i') . ')',
		"SELECT o.k, s.* FROM {o} o LEFT JOIN (SELECT k AS ik, m, i, t, n, f, s, b, v, c, o, z, l, d, u, q, x, j, k, coalesce(t, 'none') AS other, 7 AS seven FROM {t}) i ON $on, LATERAL (SELECT i.other, i.seven, i.ik) s$where",
		"SELECT count(*), sum(i.k), min(o.k) FROM {o} o JOIN {t} i ON $on$where",
		"SELECT o.k, i.k AS ik, y.k AS yk, y.t FROM {o} o LEFT JOIN {t} i ON $on LEFT JOIN {t} y ON y.k = i.m" . (rand() < 0.5 ? '' : ' AND y.i = o.i') . $where,
		"SELECT o.k, i.k AS ik, y.k AS yk FROM {o} o JOIN {t} i ON $on JOIN {t} y ON y.m = i.m$where",
		"SELECT o.k, (SELECT count(*) FROM {o} p JOIN {t} y ON y.k = p.m WHERE p.i = o.i) AS n FROM {o} o WHERE o.k < 8",
		"SELECT o.k, i.k AS ik FROM {o} o LEFT JOIN ({o} p JOIN {t} i ON i.k = p.m) ON o.k = p.k AND p.m < 50$where");
}

my $script = "SET client_min_messages = warning;\n";
my @sample;
for my $number (1 .. $queries)
{
	my $query = query();
	my $memory = pick('64kB', '4MB');
	$script .= "SET work_mem = '$memory'; SELECT compare(\$q\$$query\$q\$, '" . pick('local_outer', 'foreign_outer') . "');\n";
	push @sample, $query;
}
is($node->safe_psql('postgres', $script), '', "$queries joins with the same answers (seed $seed)");
my $look_ups = () = $node->safe_psql('postgres', "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off;\n" . join '', map { 'SELECT look_ups($q$' . s/\{t\}/remote/gr =~ s/\{o\}/local_outer/gr . "\$q\$);\n" } @sample) =~ /^[1-9]/mg;
cmp_ok($look_ups, '>', $queries * 0.6, "of which most look up in batches ($look_ups)");

#
# Plans
#

$mongo->insert('test', 'many', map { my $k = $_; map { my $i = $k * 1000 + $_; qq({"_id": $i, "ref": @{[ $i % 1000 ]}, "t": "item $i"}) } 0 .. 999 } 0 .. 19);
$mongo->command('test', '{"createIndexes": "many", "indexes": [{"key": {"ref": 1}, "name": "ref"}]}');
$node->safe_psql('postgres', qq(
	CREATE FOREIGN TABLE many (id int OPTIONS (path '_id'), ref int, t text) SERVER m OPTIONS (database 'test', collection 'many');
	CREATE FOREIGN TABLE tiny (id int OPTIONS (path '_id'), m int) SERVER m OPTIONS (database 'test', collection 'inner');
	CREATE TABLE keys AS SELECT i AS n, (i * 7919) % 20000 AS id, 'x' || i AS pad FROM generate_series(1, 5000) i;
	CREATE INDEX ON keys (n);
	ANALYZE many, tiny, keys;));
sub statements { return sql(join ";\n", @_); }
sub plan_of { return join "\n", split /\n/, sql("SELECT plan(\$q\$$_[0]\$q\$)"); }
my $some = 'SELECT k.n, i.t FROM keys k JOIN many i ON i.id = k.id WHERE k.n';

like(plan_of("$some <= 50"), qr/^Custom Scan \(Foreign Batched Look-up\)\n\s+Join Type: Inner\n\s+Look-up Cond: \(i\.id = k\.id\)\n\s+Keys per Batch: 1000\n\s+->  .*Scan.* on keys k\n(?:.*\n)*\s+->  Foreign Scan on many i$/m, 'fifty rows of many are looked up');
unlike(plan_of("$some = 5"), qr/Nested Loop.*Seq Scan on many/s, 'one row too, one way or the other');
like(plan_of('SELECT * FROM keys k JOIN tiny i ON i.id = k.id'), qr/Hash/, 'a small table is read whole');
unlike(plan_of('SELECT * FROM keys k JOIN tiny i ON i.id = k.id'), qr/Look-up/, 'and nothing looked up');
like(sql("EXPLAIN (VERBOSE, COSTS OFF) $some <= 50"), qr/Remote command: \{"find": "many", "filter": \{"_id": \{"\$in": \{"\$param": "keys of the batch"\}\}\}/, 'EXPLAIN VERBOSE shows the command');
unlike(sql("SET tenancy_mongo.enable_batched_lookup = off; EXPLAIN $some <= 50"), qr/Look-up/, 'the setting turns it off');
like(sql("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) $some <= 2000"), qr/Batches: (\d+)\n\s+Keys: 2000\n/, 'EXPLAIN ANALYZE counts batches and keys');
like(sql("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, FORMAT json) $some <= 2000"), qr/"Keys per Batch": 1000,\s+"Batches": 5,\s+"Keys": 2000/, 'in json as well');
is(sql("SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off; SELECT count(*), count(DISTINCT k.n), sum(i.id - k.id) FROM keys k JOIN many i ON i.id = k.id"), '5000|5000|0', 'five thousand rows in their batches');

# What goes over the wire: one find for each batch.
sub finds { return $mongo->command('admin', [serverStatus => 1])->{metrics}{commands}{find}{total}; }
my $before = finds();
is(sql("SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off; SELECT count(*) FROM keys k JOIN many i ON i.id = k.id WHERE k.n <= 3000"), '3000', 'three thousand rows');
cmp_ok(finds() - $before, '<=', 7, 'with a few commands');
$before = finds();
is(sql("SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off; SELECT count(*) FROM (SELECT i.t FROM keys k JOIN many i ON i.id = k.id LIMIT 5) x"), '5', 'a LIMIT');
is(finds() - $before, 1, 'wants one batch');
$before = finds();
is(sql("SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off; SELECT count(*) FROM (SELECT NULL::int AS id FROM keys OFFSET 0) k LEFT JOIN many i ON i.id = k.id"), '5000', 'rows whose keys are all null');
is(finds() - $before, 0, 'are looked up nowhere');

# What is not looked up: the table that is written, and what has no operator for it.
like(sql('EXPLAIN (COSTS OFF) UPDATE many i SET t = k.pad FROM keys k WHERE i.id = k.id AND k.n < 5'), qr/^Update on many i(?!.*Look-up)/s, 'the table that an UPDATE writes is not looked up');

#
# Prepared statements, rescans, cursors
#

$node->safe_psql('postgres', 'ALTER DATABASE postgres SET enable_hashjoin = off; ALTER DATABASE postgres SET enable_mergejoin = off; ALTER DATABASE postgres SET enable_nestloop = off');
is(statements("SET plan_cache_mode = force_generic_plan; PREPARE p(int) AS SELECT count(*), min(i.t) FROM keys k JOIN many i ON i.id = k.id AND i.ref < 900 WHERE k.n <= \$1", 'EXECUTE p(10); EXECUTE p(1000); EXECUTE p(0)'), statements("SET tenancy_mongo.enable_batched_lookup = off; PREPARE p(int) AS SELECT count(*), min(i.t) FROM keys k JOIN many i ON i.id = k.id AND i.ref < 900 WHERE k.n <= \$1", 'EXECUTE p(10); EXECUTE p(1000); EXECUTE p(0)'), 'a generic plan');
my $rescanned = 'SELECT g, (SELECT count(*) FROM keys k JOIN many i ON i.id = k.id WHERE k.n BETWEEN g AND g + 150), (SELECT count(*) FROM keys k LEFT JOIN many i ON i.id = k.id AND i.ref % 10 = g % 10 WHERE k.n < g AND i.id IS NULL) FROM generate_series(1, 40) g';
like(plan_of($rescanned), qr/SubPlan.*Look-up.*SubPlan.*Look-up/s, 'a subplan');
is(statements($rescanned), statements("SET tenancy_mongo.enable_batched_lookup = off; $rescanned"), 'is run again with other parameters');
is(statements('BEGIN', 'DECLARE c CURSOR FOR SELECT k.n FROM keys k JOIN many i ON i.id = k.id', 'MOVE 150 IN c', 'SELECT count(*) FROM many', 'MOVE 1000 IN c', 'COMMIT') , '20000', 'a cursor beside another scan on its connection');
is(statements('BEGIN', 'DECLARE c SCROLL CURSOR FOR SELECT i.id - k.id FROM keys k JOIN many i ON i.id = k.id', 'FETCH ABSOLUTE 300 FROM c', 'FETCH BACKWARD 1 FROM c', 'COMMIT'), "0\n0", 'a cursor goes backward');
is(statements('WITH RECURSIVE r AS (SELECT 1 AS id, 0 AS depth UNION ALL SELECT i.ref * 2 + 1, depth + 1 FROM r JOIN many i ON i.id = r.id WHERE depth < 8) SELECT count(*) FROM r'), '9', 'a recursive query');

#
# Tenants
#

$mongo->insert('test', 'tasks', map { my $t = $_; map { qq({"_id": "$t-$_", "n": $_, "tenant_id": "tenant-00$t"}) } 1 .. 300 } 1 .. 2);
for my $t (1, 2) { $mongo->insert("tenant_tenant-00${t}_db", 'tasks', map { qq({"_id": $_, "n": $_, "who": "$t"}) } 1 .. 300); }
$node->safe_psql('postgres', q(
	CREATE FOREIGN TABLE tasks (id text OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'test', collection 'tasks', tenant_field 'tenant_id');
	CREATE FOREIGN TABLE routed (n int, who text) SERVER m OPTIONS (database 'tenant_{tenant}_db', collection 'tasks');
	SELECT tenancy.create_tenant('tenant-001', 'One');
	SELECT tenancy.create_tenant('tenant-002', 'Two');
	CREATE ROLE service LOGIN IN ROLE tenancy_service;
	GRANT SELECT ON tasks, routed, keys TO service;));
sub as_tenant { my ($tenant, $query) = @_; return "BEGIN; DO \$\$ BEGIN PERFORM tenancy.set_tenant('$tenant'); END \$\$; $query; COMMIT;"; }
my $tenants = "SET plan_cache_mode = force_generic_plan; PREPARE p AS SELECT min(t.id), max(t.id), count(*) FROM keys k JOIN tasks t ON t.n = k.n; PREPARE r AS SELECT min(t.who), max(t.who), count(*) FROM keys k JOIN routed t ON t.n = k.n;";
like(plan_of('SELECT min(t.id) FROM keys k JOIN tasks t ON t.n = k.n'), qr/Look-up/, 'a tenant\'s share is looked up');
is(statements($tenants, as_tenant('tenant-001', 'EXECUTE p; EXECUTE r'), as_tenant('tenant-002', 'EXECUTE p; EXECUTE r'), 'EXECUTE p'), "1-1|1-99|300\n1|1|300\n2-1|2-99|300\n2|2|300\n||0", 'prepared statements follow the tenant, and without one there is nothing');
like(error_of("$tenants EXECUTE r"), qr/ERROR:  55000: no tenant is in force/, 'nor is there a database');
like(error_of("BEGIN; SET LOCAL app.current_tenant_id = 'tenant-001'; DECLARE c CURSOR FOR SELECT k.n, t.id FROM keys k LEFT JOIN tasks t ON t.n = k.n; FETCH 5 FROM c; COMMIT; BEGIN; SET LOCAL app.current_tenant_id = 'tenant-001'; DECLARE c CURSOR FOR SELECT k.n, t.id FROM keys k LEFT JOIN tasks t ON t.n = k.n; FETCH 5 FROM c; SET LOCAL app.current_tenant_id = 'tenant-002'; FETCH 5 FROM c;"), qr/ERROR:  (?:55000: tenant context has changed while foreign table "tasks" was being read|25001: )/, 'an open join ends when the tenant changes');

# A view with a barrier: what its owner hides is not shown to a function of the caller's.
$node->safe_psql('postgres', q(
	CREATE FUNCTION leak(int) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$;
	CREATE VIEW shown WITH (security_barrier) AS SELECT k.n, i.id, i.ref FROM keys k JOIN many i ON i.id = k.id WHERE i.ref < 3 AND k.n <= 1000;
	CREATE TABLE owned (n int, owner name); INSERT INTO owned SELECT i, CASE i % 2 WHEN 0 THEN 'service' ELSE 'other' END FROM generate_series(1, 10) i;
	ALTER TABLE owned ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON owned USING (owner = current_user);
	GRANT SELECT ON shown, owned, many TO service;));
my ($status, $out, $err) = $node->psql('postgres', 'SET ROLE service; SELECT ref FROM shown WHERE leak(ref)');
is(join(',', sort keys %{ { map { $_ => 1 } $err =~ /saw (\d+)/g } }), '0,1,2', 'what a barrier hides is not seen');
($status, $out, $err) = $node->psql('postgres', 'SET ROLE service; SELECT o.n, i.ref FROM owned o JOIN many i ON i.id = o.n WHERE leak(o.n)');
is(join(',', sort { $a <=> $b } $err =~ /saw (\d+)/g), '2,4,6,8,10', 'nor what a policy hides of the outer table');

#
# Rows that change
#

$node->safe_psql('postgres', 'CREATE TABLE counters (n int PRIMARY KEY, id int, seen text); INSERT INTO counters SELECT i, i, NULL FROM generate_series(1, 5) i; ANALYZE counters');
like(plan_of("UPDATE counters c SET seen = i.t FROM many i WHERE i.id = c.id"), qr/Look-up/, 'an UPDATE of a local table looks up');
my $first = $node->background_psql('postgres');
my $second = $node->background_psql('postgres');
$first->query_safe('BEGIN; UPDATE counters SET id = 4711 WHERE n = 3; UPDATE counters SET id = -1 WHERE n = 4; DELETE FROM counters WHERE n = 5');
my $pid = $second->query_safe('SELECT pg_backend_pid()');
$second->query_until(qr/starts/, "\\echo starts\nUPDATE counters c SET seen = i.t FROM many i WHERE i.id = c.id;\nSELECT 'over';\n");
ok($node->poll_query_until('postgres', "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid"), 'it waits for a row');
$first->query_safe('COMMIT');
$second->query_until(qr/over/, "\n");
is(statements('SELECT n, id, seen FROM counters ORDER BY n'), "1|1|item 1\n2|2|item 2\n3|4711|\n4|-1|", 'and a row that has changed is held against the join again, with the document that was read');
$_->quit for $first, $second;
is(statements("BEGIN", "SELECT c.n, i.t FROM counters c JOIN many i ON i.id = c.id WHERE c.n < 3 ORDER BY 1 FOR UPDATE OF c", 'COMMIT'), "1|item 1\n2|item 2", 'FOR UPDATE');

# In a transaction that has written there, look-ups see what it wrote.
is(statements('BEGIN', "INSERT INTO many VALUES (99999, 1, 'mine')", 'SELECT i.t FROM (VALUES (99999), (5)) k (id) JOIN many i ON i.id = k.id ORDER BY 1', 'ROLLBACK'), "item 5\nmine", 'a transaction sees its own documents');

#
# Memory, and waits
#

$node->safe_psql('postgres', "CREATE TABLE wide AS SELECT i AS n, i % 20000 AS id, repeat('x', 2000) AS pad, 1 AS one FROM generate_series(1, 100000) i; ALTER TABLE wide ALTER pad SET STORAGE PLAIN; ANALYZE wide");
my $session = $node->background_psql('postgres', on_error_stop => 0);
$pid = $session->query_safe('SELECT pg_backend_pid()');
sub memory { my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m; return $kb; }
$session->query_safe('SELECT count(*) FROM keys k JOIN many i ON i.id = k.id WHERE k.n < 200');
my $memory = memory();
is($session->query_safe('SELECT count(*), count(w.pad) FROM wide w JOIN many i ON i.id = w.id'), '100000|100000', 'two hundred megabytes of outer rows');
cmp_ok(memory() - $memory, '<', 16 * 1024, 'are not kept');
is($session->query_safe('SELECT count(*) FROM wide w JOIN many i ON i.ref = w.one'), '2000000', 'a key of all rows');
cmp_ok(memory() - $memory, '<', 16 * 1024, 'neither its rows');

$mongo->stall;
$session->query_until(qr/starts/, "\\echo starts\nSELECT count(*) FROM keys k JOIN many i ON i.id = k.id;\n");
ok($node->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid"), 'it waits for MongoDB');
my $canceled = time;
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
ok($node->poll_query_until('postgres', "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid"), 'a look-up can be cancelled');
cmp_ok(time - $canceled, '<', 8, 'soon');
$mongo->continue;
$session->{stderr} = '';
is($session->query("SET statement_timeout = '100ms'; SELECT count(*) FROM wide w JOIN many i ON i.ref = w.one AND w.n + i.id = -1; RESET statement_timeout"), '', 'a join of too many pairs');
like($session->{stderr}, qr/canceling statement due to statement timeout/, 'ends in time');
ok($mongo->poll_until('has no open cursor', sub { $mongo->open_cursors == 0 }), 'no cursor is left open');
$session->quit;

done_testing();
