# ANALYZE of foreign tables: what is counted and sampled, estimates that follow from it, and statistics that show no tenant
# another one's values.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Foreign::Node;
use Mongo::Server;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $mongo = Mongo::Server->new('main')->start;
my $node  = foreign_node($mongo);

# 4000 documents of 20 tenants: n is unique, "kind" has four values of which one is rare, "gone" is in half of them.
for my $part (0 .. 3)
{
	$mongo->insert('test', 'orders', map {
		my $kind = $_ % 400 == 0 ? 'rare' : (qw(one two three))[ $_ % 3 ];
		qq({"_id": $_, "tenant_id": "tenant-@{[ sprintf '%03d', $_ % 20 ]}", "n": $_, "kind": "$kind", "o": {"x": @{[ $_ % 10 ]}}, "tags": ["a", "b$_"]) . ($_ % 2 ? ', "gone": 1}' : '}')
	} $part * 1000 .. $part * 1000 + 999);
}
$mongo->command('test', '{"create": "view", "viewOn": "orders", "pipeline": [{"$match": {"kind": "rare"}}]}');
$mongo->command('test', '{"create": "empty"}');
$mongo->insert('tenant_tenant-001_db', 'orders', map { qq({"_id": $_, "secret": "one's $_"}) } 1 .. 50);
my $columns = "id int OPTIONS (path '_id'), tenant_id text, n int, kind text, x int OPTIONS (path 'o.x'), tags text[], gone int";
$node->safe_psql('postgres', qq(
	CREATE FOREIGN TABLE orders ($columns) SERVER m OPTIONS (database 'test', collection 'orders');
	CREATE FOREIGN TABLE protected ($columns, d jsonb OPTIONS (document 'true')) SERVER m OPTIONS (database 'test', collection 'orders', tenant_field 'tenant_id');
	CREATE FOREIGN TABLE routed (id int OPTIONS (path '_id'), secret text) SERVER m OPTIONS (database 'tenant_{tenant}_db', collection 'orders');
	CREATE FOREIGN TABLE view (id int OPTIONS (path '_id'), kind text) SERVER m OPTIONS (database 'test', collection 'view');
	CREATE FOREIGN TABLE empty (id int OPTIONS (path '_id')) SERVER m OPTIONS (database 'test', collection 'empty');
	CREATE FOREIGN TABLE missing (id int) SERVER m OPTIONS (database 'test', collection 'missing');
	SELECT tenancy.create_tenant('tenant-001', 'One');
	CREATE ROLE service LOGIN IN ROLE tenancy_service;
	GRANT SELECT ON orders, protected, routed TO service;));

# The planner's number of rows.
sub estimate
{
	my ($query) = @_;
	my ($rows) = $node->safe_psql('postgres', "EXPLAIN $query") =~ /Foreign Scan on .* rows=(\d+)/;
	return $rows;
}
sub near { my ($got, $wanted, $what) = @_; cmp_ok($got, '>=', $wanted * 0.7, "$what: $got, not much less than $wanted"); cmp_ok($got, '<=', $wanted * 1.4, "$what: nor more"); return; }
sub statistics { return $node->safe_psql('postgres', "SELECT attname, null_frac, n_distinct, most_common_vals IS NOT NULL, histogram_bounds IS NOT NULL, most_common_elems IS NOT NULL FROM pg_stats WHERE tablename = '$_[0]' ORDER BY attname"); }

#
# A plain table
#

is(estimate('SELECT * FROM orders'), 100000, 'before ANALYZE a table has 100,000 rows');
my ($status, $out, $err) = $node->psql('postgres', 'ANALYZE VERBOSE orders');
like($err, qr/INFO:  "orders": collection "test\.orders" has 4000 documents, 4000 rows in sample/, 'ANALYZE tells what it saw');
is($node->safe_psql('postgres', "SELECT reltuples, relpages > 10 FROM pg_class WHERE relname = 'orders'"), '4000|t', 'the documents are counted');
is(estimate('SELECT * FROM orders'), 4000, 'which planning knows');
near(estimate('SELECT * FROM orders WHERE n < 1000'), 1000, 'a range');
near(estimate("SELECT * FROM orders WHERE kind = 'one'"), 1330, 'a common value');
near(estimate("SELECT * FROM orders WHERE kind = 'rare'"), 10, 'a rare one');
near(estimate('SELECT * FROM orders WHERE x = 3'), 400, 'a path');
near(estimate('SELECT * FROM orders WHERE gone IS NULL'), 2000, 'missing fields are nulls');
is(statistics('orders'), "gone|0.5|1|t|f|f\nid|0|-1|f|t|f\nkind|0|4|t|f|f\nn|0|-1|f|t|f\ntags|0|-1|f|t|t\ntenant_id|0|20|t|f|f\nx|0|10|t|f|f", 'statistics like any table\'s');
is(estimate('SELECT * FROM orders WHERE id = 5'), 1, 'a look-up');
$node->safe_psql('postgres', 'SET default_statistics_target = 1; ANALYZE orders');
($status, $out, $err) = $node->psql('postgres', 'SET default_statistics_target = 1; ANALYZE VERBOSE orders');
like($err, qr/has 4000 documents, 300 rows in sample/, 'a sample of a larger collection');
is(estimate('SELECT * FROM orders'), 4000, 'does not change the count');
near(estimate('SELECT * FROM orders WHERE n < 2000'), 2000, 'a range by the sample');
($status, $out, $err) = $node->psql('postgres', "SET maintenance_work_mem = '1MB'; ANALYZE VERBOSE protected");
like($err, qr/has 4000 documents, ([1-9]\d{2,3}) rows in sample/, 'the sample holds no more than maintenance_work_mem');
cmp_ok(($err =~ /(\d+) rows in sample/)[0], '<', 4000, 'which makes it a smaller one');

is($node->safe_psql('postgres', "ANALYZE view; SELECT reltuples FROM pg_class WHERE relname = 'view'"), '10', 'a view is counted');
is($node->safe_psql('postgres', "ANALYZE empty; SELECT reltuples FROM pg_class WHERE relname = 'empty'"), '0', 'an empty collection');
($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nANALYZE missing");
like($err, qr/HV00R: collection "test\.missing" of foreign table "missing" does not exist/, 'a collection that is not there');

#
# Tenants: no value is kept
#

$node->safe_psql('postgres', 'ANALYZE protected');
is(statistics('protected'), "d|0|-1|f|f|f\ngone|0.5|1|f|f|f\nid|0|-1|f|f|f\nkind|0|4|f|f|f\nn|0|-1|f|f|f\ntags|0|-1|f|f|f\ntenant_id|0|20|f|f|f\nx|0|10|f|f|f", 'shares and numbers, and no values');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_statistic WHERE starelid = 'protected'::regclass AND (stakind1 <> 0 OR stavalues1 IS NOT NULL OR stanumbers1 IS NOT NULL OR stakind2 <> 0 OR stakind3 <> 0 OR stakind4 <> 0 OR stakind5 <> 0)"), '0', 'not in the catalogue either');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stats WHERE tablename = 'protected' AND (most_common_vals IS NOT NULL OR histogram_bounds IS NOT NULL OR most_common_elems IS NOT NULL OR most_common_freqs IS NOT NULL OR correlation IS NOT NULL)", extra_params => [ '-U', 'service' ]), '0', 'nor to a tenant\'s service');
near(estimate('SELECT * FROM protected'), 200, 'a tenant\'s share: a twentieth');
near(estimate("SELECT * FROM protected WHERE kind = 'one'"), 50, 'an equality');
is($node->safe_psql('postgres', "ALTER FOREIGN TABLE orders OPTIONS (ADD tenant_field 'tenant_id'); ANALYZE orders; SELECT count(*) FROM pg_stats WHERE tablename = 'orders' AND (most_common_vals IS NOT NULL OR histogram_bounds IS NOT NULL)"), '0', 'values of before are gone after the next ANALYZE');

# Nor does anything else outlive the change: extended statistics, and columns that are not analysed any more.
my $outlived = "SELECT (SELECT count(*) FROM pg_statistic WHERE starelid = 'turned'::regclass AND (stavalues1 IS NOT NULL OR stanumbers1 IS NOT NULL)) || ' ' || (SELECT count(*) FROM pg_statistic_ext_data JOIN pg_statistic_ext ON oid = stxoid WHERE stxrelid = 'turned'::regclass)";
$node->safe_psql('postgres', qq(
	CREATE FOREIGN TABLE turned ($columns) SERVER m OPTIONS (database 'test', collection 'orders');
	CREATE STATISTICS turned_statistics (mcv, ndistinct) ON kind, x FROM turned;
	ANALYZE turned;));
like($node->safe_psql('postgres', $outlived), qr/^[1-9]\d* 1$/, 'a table of everybody\'s has values and extended statistics');
is($node->safe_psql('postgres', "ALTER FOREIGN TABLE turned ALTER kind SET STATISTICS 0, OPTIONS (ADD tenant_field 'tenant_id'); ANALYZE turned; $outlived"), '0 0', 'one that follows the tenant since has neither, in no column');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stats WHERE tablename = 'turned' AND attname = 'x' AND n_distinct = 10"), '1', 'but what it may have');
$node->safe_psql('postgres', "ALTER FOREIGN TABLE turned OPTIONS (DROP tenant_field); ALTER FOREIGN TABLE turned ALTER kind SET STATISTICS -1; ANALYZE turned");
is($node->safe_psql('postgres', "ALTER FOREIGN TABLE turned OPTIONS (ADD tenant_field 'tenant_id', SET collection 'empty'); ANALYZE turned; $outlived"), '0 0', 'nor where there is no document');

# As a partition: the parent's statistics have none of its values.
is($node->safe_psql('postgres', q(
	CREATE TABLE parent (id int, tenant_id text) PARTITION BY LIST (tenant_id);
	CREATE FOREIGN TABLE part PARTITION OF parent DEFAULT SERVER m OPTIONS (database 'test', collection 'orders', tenant_field 'tenant_id');
	ALTER FOREIGN TABLE part ALTER id OPTIONS (ADD path '_id');
	ANALYZE parent;
	SELECT count(*) FROM pg_stats WHERE tablename IN ('parent', 'part') AND (most_common_vals IS NOT NULL OR histogram_bounds IS NOT NULL);)), '0', 'as a partition');

($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nANALYZE routed");
like($err, qr/55000: no tenant is in force/, 'a table that follows the tenant wants one');
is($node->safe_psql('postgres', "BEGIN; SET LOCAL app.current_tenant_id = 'tenant-001'; ANALYZE routed; COMMIT; SELECT reltuples FROM pg_class WHERE relname = 'routed'"), '50', 'with one it is the tenant\'s');
is(statistics('routed'), "id|0|-1|f|f|f\nsecret|0|-1|f|f|f", 'and shows no value to the next one');
$node->safe_psql('postgres', 'ANALYZE');
pass('ANALYZE of everything leaves it alone');

#
# What goes wrong
#

$mongo->insert('test', 'misfits', (map { qq({"_id": $_, "n": $_}) } 1 .. 20), '{"_id": 21, "n": "a string"}', '{"_id": 22, "n": 1.5}');
$node->safe_psql('postgres', "CREATE FOREIGN TABLE misfits (id int OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'test', collection 'misfits')");
($status, $out, $err) = $node->psql('postgres', 'ANALYZE misfits');
like($err, qr/WARNING:  2 sampled documents do not fit foreign table "misfits"\nDETAIL:  Field "n" of document 21 is string, the column integer\./, 'documents that do not fit are told');
is($node->safe_psql('postgres', "SELECT reltuples FROM pg_class WHERE oid = 'misfits'::regclass"), '22', 'and counted');
$node->safe_psql('postgres', "CREATE FOREIGN TABLE hidden_misfits (id int OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'test', collection 'misfits', tenant_field 'tenant_id')");
($status, $out, $err) = $node->psql('postgres', 'ANALYZE hidden_misfits');
like($err, qr/WARNING:  2 sampled documents do not fit foreign table "hidden_misfits"\nDETAIL:  Field "n" of a document is string, the column integer\./, 'of a table that follows the tenant without the _id, which may be another\'s');
for my $phase ([ 'the count', 'listCollections' ], [ 'the sample', 'aggregate' ])
{
	$mongo->fail_point('failCommand', 'alwaysOn', qq({"failCommands": ["$phase->[1]"], "blockConnection": true, "blockTimeMS": 5000, "appName": "pg_tenancy"}));
	my $started = time;
	($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET statement_timeout = '300ms'; ANALYZE misfits");
	my $seconds = time - $started;
	$mongo->fail_point('failCommand', 'off');
	like($err, qr/57014: canceling statement due to statement timeout/, "$phase->[0]: a timeout");
	cmp_ok($seconds, '<', 1.5, "$phase->[0]: in time");
}
$mongo->fail_point('failCommand', '{"times": 1}', '{"failCommands": ["aggregate"], "errorCode": 11601, "appName": "pg_tenancy"}');
($status, $out, $err) = $node->psql('postgres', 'ANALYZE misfits');
like($err, qr/ERROR:  could not read collection "test\.misfits"/, 'an error of MongoDB\'s is one');
$mongo->poll_until('has no open cursor', sub { $mongo->open_cursors == 0 });
is($mongo->open_cursors, 0, 'no cursor is left open');

# Planning asks MongoDB nothing.
$mongo->stall;
is(estimate('SELECT * FROM misfits'), 22, 'planning does not wait for a server that stalls');
$mongo->continue;

done_testing();
