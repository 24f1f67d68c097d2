# Foreign scans that wait together: an Append over several servers has all of them work at once, and gives the rows that it
# gives one after the other; in transactions, with tenants, over TLS, cancelled, cut off and stopped by a LIMIT.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Foreign::Node;
use Mongo::Proxy;
use Mongo::Server;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# It measures its memory: a sanitizer must not keep what is freed.
$ENV{ASAN_QUARANTINE_MB} //= 1;

my $keys = PostgreSQL::Test::Utils::tempdir('keys');
sub openssl { system_or_bail('openssl', @_); return; }
openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/O=Test/CN=authority', '-addext', 'subjectAltName = IP:127.0.0.1', '-keyout', "$keys/key", '-out', "$keys/ca.pem");
append_to_file("$keys/server.pem", slurp_file("$keys/ca.pem") . slurp_file("$keys/key"));

# It is forked off first: it would keep the pipes to the servers' shells open.
my $proxy = Mongo::Proxy->new;
my @mongos = (
	Mongo::Server->new('main')->start,
	Mongo::Server->new('second')->start,
	Mongo::Server->new('secure', replicas => 0, uri_options => "tls=true&tlsCAFile=$keys/ca.pem",
		extra => [ '--tlsMode', 'requireTLS', '--tlsCertificateKeyFile', "$keys/server.pem", '--tlsCAFile', "$keys/ca.pem", '--tlsAllowConnectionsWithoutCertificates' ])->start);
$proxy->lead_to($mongos[1]->port);
my $node = foreign_node($mongos[0], "timezone = 'UTC'", "max_parallel_workers_per_gather = 0");
my $file = $node->data_dir . '/tenancy_mongo.conf';
append_to_file($file, "[secure]\ntls_ca_file = $keys/ca.pem\n");
chmod 0600, $file;
sql(qq(CREATE SERVER s1 FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongos[1]->host ]}', replica_set 'rs0');
	CREATE SERVER s2 FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongos[2]->host ]}', tls 'true', credentials 'secure');
	CREATE SERVER far FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $proxy->host ]}', server_selection_timeout '1000');));
my @servers = qw(m s1 s2);

# Seven partitions: two for each server, of which one is empty, and one that is here.
my $columns = "part text NOT NULL, id int, n int, x double precision, m numeric, w text, at timestamptz, flag boolean, d jsonb";
my @awkward = ('"n": 3', '"n": null, "x": {"$numberDouble": "NaN"}', '"x": {"$numberDouble": "-0.0"}, "w": ""', '"n": {"$numberLong": "7"}, "m": {"$numberDecimal": "1.50"}, "w": "Ünï\\u20ac"',
	'"x": {"$numberDouble": "Infinity"}, "flag": true, "d": {"a": [1, null, {"b": "c"}]}', '"w": "a", "at": {"$date": "2024-05-01T12:00:00.5Z"}, "flag": false', '"n": -1, "x": 2.5, "m": {"$numberDecimal": "NaN"}, "d": "text"', '"d": null, "w": null');
sql("CREATE TABLE events ($columns) PARTITION BY LIST (part)", "; CREATE TABLE events_local PARTITION OF events FOR VALUES IN ('local')");
sql("INSERT INTO events SELECT 'local', i, i % 5, i / 2.0, i, 'w' || i, '2024-01-01Z', i % 2 = 0, '{}' FROM generate_series(1, 50) i");
for my $i (0 .. 5)
{
	my $mongo = $mongos[ $i % 3 ];
	my $name  = "part_$i";
	my $width = $i == 4 ? 0 : 700 * ($i + 1);
	my $large = '"pad": "' . ('p' x 300) . '"';
	$mongo->command('test', qq({"create": "$name"}));
	$mongo->insert('test', $name, map { qq({"_id": $_, "part": "$i", "tenant_id": "tenant-00@{[ $_ % 2 + 1 ]}", $large, $awkward[ $_ % @awkward ]}) } 1 .. $width) if $width;
	my $partition = $columns =~ s/id int/id int OPTIONS (path '_id')/r;
	sql("CREATE FOREIGN TABLE $name ($partition) SERVER $servers[ $i % 3 ] OPTIONS (database 'test', collection '$name', batch_size '@{[ 97 * ($i + 1) ]}');
		ALTER TABLE events ATTACH PARTITION $name FOR VALUES IN ('$i');");
}
sql("ALTER SERVER $_ OPTIONS (ADD async_capable 'true')") for @servers;

sub session { return $node->background_psql('postgres', on_error_stop => 0); }
sub seconds { my ($session, $query) = @_; my $started = time; $session->query_safe($query); return time - $started; }
sub slow { my ($ms, @mongos) = @_; $_->fail_point('failCommand', $ms ? 'alwaysOn' : 'off', $ms ? qq({"failCommands": ["find", "aggregate", "getMore"], "blockConnection": true, "blockTimeMS": $ms}) : undef) for @mongos; return; }
sub no_cursors { my ($what) = @_; for my $mongo (@mongos) { ok($mongo->poll_until('has no open cursor', sub { $mongo->open_cursors == 0 }), $what); } return; }
my $version = $node->safe_psql('postgres', 'SHOW server_version_num');
my $cancellable = $version >= 180000 || ($version >= 170005 && $version < 180000) || ($version >= 160009 && $version < 170000) || ($version >= 150013 && $version < 160000);

#
# Who is asynchronous
#

sub asynchronous { my ($query, $settings) = @_; my $plan = sql($settings // '', "; EXPLAIN (COSTS off) $query"); return scalar(() = $plan =~ /Async Foreign Scan/g); }
is(asynchronous('SELECT * FROM events'), $cancellable ? 6 : 0, 'scans below an Append are asynchronous, if the server lets them be cancelled');
is(asynchronous('SELECT * FROM events', 'SET enable_async_append = off'), 0, 'unless the server is told otherwise');
is(asynchronous('SELECT * FROM part_0'), 0, 'alone there is nothing to wait together with');
is(asynchronous('SELECT id FROM part_0 WHERE n > 2 UNION ALL SELECT n FROM part_1'), $cancellable ? 2 : 0, 'UNION ALL');
is(asynchronous('SELECT count(*) FROM part_0 UNION ALL SELECT count(*) FROM part_1'), $cancellable ? 2 : 0, 'of groups that MongoDB makes');
is(asynchronous('(SELECT id FROM part_0 LIMIT 3) UNION ALL (SELECT id FROM part_1 LIMIT 3)'), $cancellable ? 2 : 0, 'and of limits');
is(asynchronous('SELECT * FROM events', "BEGIN; ALTER FOREIGN TABLE part_0 OPTIONS (ADD async_capable 'false'); ALTER SERVER s1 OPTIONS (SET async_capable 'false')"), $cancellable ? 3 : 0, 'a table says otherwise than its server');
is(asynchronous('SELECT * FROM events', "BEGIN; ALTER SERVER m OPTIONS (ADD socket_timeout '60000')"), $cancellable ? 4 : 0, 'a server with a socket_timeout is not');
is(asynchronous('SELECT * FROM events', "BEGIN; ALTER SERVER m OPTIONS (DROP async_capable)"), $cancellable ? 4 : 0, 'by default none is');
like(error_of("ALTER FOREIGN TABLE part_0 OPTIONS (ADD async_capable 'perhaps')"), qr/ERROR:  22023: invalid value for option "async_capable"/, 'it is true or false');

#
# The same rows
#

my @queries = (
	'SELECT * FROM events',
	'SELECT part, id FROM events WHERE n > 0',
	"SELECT id, w FROM events WHERE w LIKE 'Ü%' OR w = ''",
	'SELECT part, id, x FROM events WHERE abs(x) >= 1',
	'SELECT id FROM events WHERE abs(id) = 699',
	'SELECT id FROM events WHERE abs(id) < 0',
	'SELECT part, count(*), count(n), sum(n), max(w), min(at) FROM events GROUP BY part',
	'SELECT count(*) FROM part_0 UNION ALL SELECT count(*) FROM part_1 UNION ALL SELECT count(n) FROM part_2 UNION ALL SELECT count(*) FROM part_4',
	'SELECT n, count(*), sum(n) FROM part_0 GROUP BY n UNION ALL SELECT n, count(*), sum(n) FROM part_1 GROUP BY n UNION ALL SELECT n, count(*), sum(n) FROM part_3 GROUP BY n',
	'(SELECT id FROM part_0 ORDER BY id LIMIT 3) UNION ALL (SELECT id FROM part_1 ORDER BY id LIMIT 400 OFFSET 5) UNION ALL (SELECT id FROM part_3 ORDER BY id LIMIT 3)',
	'SELECT a.part, a.id, b.part FROM events a JOIN events b ON a.id = b.id + 1 AND a.n = 3 AND b.part IN (\'0\', \'3\')',
	'SELECT o, (SELECT count(*) FROM events e WHERE e.id = o) FROM generate_series(1, 12) o',
	'SELECT o, e.part, e.w FROM generate_series(690, 702) o, LATERAL (SELECT * FROM events e WHERE e.id = o OFFSET 0) e',
	'SELECT o FROM generate_series(1, 5) o WHERE EXISTS (SELECT FROM events e WHERE e.id = o + 1400)',
	"SELECT * FROM events WHERE part IN ('0', '3')",
	"SELECT tableoid::regclass, id FROM events WHERE part = (SELECT '2')",
	"SELECT d FROM events WHERE d -> 'a' IS NOT NULL",
	'SELECT part_0::text FROM part_0 UNION ALL SELECT part_3::text FROM part_3',
	'SELECT DISTINCT w FROM events',
	'SELECT sum(id) OVER (PARTITION BY part ORDER BY id), part, id FROM events WHERE id < 20',
	'WITH e AS MATERIALIZED (SELECT * FROM events) SELECT e.part, count(*) FROM e JOIN e f USING (part, id) GROUP BY 1',
	'SELECT id FROM part_0 UNION ALL SELECT id FROM part_3 UNION ALL SELECT id FROM part_0 UNION ALL SELECT id FROM part_3');
my $session = session();
my $rows = 0;
for my $query (@queries)
{
	my @answers = map { [ sort split /\n/, $session->query_safe("SET enable_async_append = $_;\nSET enable_hashjoin = on;\n$query") ] } qw(off on);
	is_deeply($answers[1], $answers[0], "the same rows: $query");
	$rows += @{ $answers[0] };
	my @nested = sort split /\n/, $session->query_safe("SET enable_hashjoin = off;\nSET enable_mergejoin = off;\n$query;\nRESET enable_hashjoin; RESET enable_mergejoin");
	is_deeply(\@nested, $answers[0], 'and with nested loops') if $query =~ /JOIN|LATERAL/ && @{ $answers[0] } < 5000;
}
cmp_ok($rows, '>', 20000, 'which are many');
no_cursors('no cursor is left open');

#
# At once
#

if ($cancellable)
{
	for my $case ([ 'SELECT sum(id) FROM (SELECT id FROM part_0 WHERE id < 50 UNION ALL SELECT id FROM part_1 WHERE id < 50 UNION ALL SELECT id FROM part_2 WHERE id < 50) u', 'scans' ],
		[ 'SELECT count(*) FROM part_0 UNION ALL SELECT count(*) FROM part_1 UNION ALL SELECT count(*) FROM part_2', 'groups' ])
	{
		my ($query, $what) = @$case;
		$session->query_safe($query);
		slow(800, @mongos);
		my $together = seconds($session, "SET enable_async_append = on;\n$query");
		my $after    = seconds($session, "SET enable_async_append = off;\n$query");
		slow(0, @mongos);
		cmp_ok($after, '>=', 2.4, "$what of three slow servers take the sum of their times, one after the other: $after");
		cmp_ok($together, '<', 1.7, "and about one's at once: $together");
	}
	$session->query_safe('SET enable_async_append = on');

	# A slow server keeps no other one's rows: the first row is there before the slow one has answered.
	slow(1500, $mongos[0]);
	my $started = time;
	$session->query_safe("BEGIN;\nDECLARE c CURSOR FOR SELECT id FROM part_0 UNION ALL SELECT id FROM part_1;\nFETCH 50 FROM c");
	cmp_ok(time - $started, '<', 1.2, 'rows of the others come before those of a slow server');
	like($session->query_safe("FETCH ALL FROM c"), qr/\A(\d+\n){2049}\d+\z/, 'which come as well');
	$session->query_safe('COMMIT');
	slow(0, $mongos[0]);
}

#
# LIMIT, errors and what is left behind
#

for my $round (1 .. 3)
{
	is($session->query_safe('SELECT count(*) FROM (SELECT id FROM events LIMIT 120) e'), '120', "round $round: a LIMIT");
	$session->query('SELECT 1 / (id - 300) FROM events');
	$session->query("SELECT m::int FROM events WHERE abs(id) > 0 AND part = '0'");
	$session->{stderr} = '';
}
no_cursors('after LIMITs and errors there is no cursor');
slow(700, $mongos[1]);
$session->query_safe("BEGIN;\nDECLARE c CURSOR FOR SELECT id FROM events;\nFETCH 60 FROM c;\nCLOSE c;\nCOMMIT");
slow(0, $mongos[1]);
is($session->query_safe('SELECT count(*) FROM (SELECT * FROM part_1 OFFSET 0) e'), '1400', 'a request that nobody waits for any more does not keep the next one');
no_cursors('and leaves no cursor');

$mongos[1]->insert('test', 'part_1', '{"_id": 5000, "part": "1", "n": "misfit"}');
like(error_of('SELECT n FROM events'), qr/ERROR:  42804: .*\n?.*5000/, 'a value that does not fit is told with its document, while the other servers are read');
$mongos[1]->delete('test', 'part_1', '{"_id": 5000}');
sql("CREATE FOREIGN TABLE missing (id int) SERVER m OPTIONS (database 'test', collection 'missing')");
like(error_of('SELECT id FROM part_0 UNION ALL SELECT id FROM missing'), qr/ERROR:  HV00R: /, 'a collection that does not exist is an error');

#
# Transactions
#

my $counts = "SELECT part, count(*) FROM events WHERE part IN ('0', '1', '3') GROUP BY part ORDER BY part";
is($session->query_safe($counts), "0|700\n1|1400\n3|2800", 'before the transaction');
$session->query_safe("BEGIN;\nDECLARE early CURSOR FOR SELECT id FROM part_0 UNION ALL SELECT id FROM part_1;\nFETCH 10 FROM early");
$session->query_safe("INSERT INTO part_0 (part, id, n) VALUES ('0', 9001, 1), ('0', 9002, 2)");
is($session->query_safe($counts), "0|702\n1|1400\n3|2800", 'what the transaction has written is read');
$session->query_safe('DELETE FROM part_0 WHERE id = 9001; UPDATE part_3 SET n = 77 WHERE id <= 3');
is($session->query_safe($counts), "0|701\n1|1400\n3|2800", 'and what it has deleted is not');
is($session->query_safe("SELECT count(*) FROM events WHERE n = 77"), '3', 'what it has updated is found');
is($session->query_safe("SELECT count(id) FROM (SELECT id FROM part_0 UNION ALL SELECT id FROM part_3 UNION ALL SELECT id FROM part_2) u WHERE abs(id) > 0"), '5601', 'scans of two connections, one of which is in the transaction');
is(scalar(split /\n/, $session->query_safe('FETCH ALL FROM early')), 2090, 'a cursor that was open before goes on with what it saw');
$session->query_safe('ROLLBACK');
is($session->query_safe($counts), "0|700\n1|1400\n3|2800", 'and it is gone');

$session->query_safe("BEGIN;\nUPDATE part_0 SET n = 55 WHERE id = 650");
is($session->query_safe("SELECT count(*) FROM events WHERE n = 55"), '1', 'written in this transaction, read asynchronously elsewhere');
$session->query_safe('ROLLBACK');

#
# Parallel workers have connections of their own, which do not see that: they get no foreign scan
#

my $forced = $version >= 160000 ? 'debug_parallel_query' : 'force_parallel_mode';
sql('CREATE TABLE local (id int, part text)', "; INSERT INTO local SELECT i % 3000, i % 7 FROM generate_series(1, 50000) i; ANALYZE local");
$session->query_safe("SET max_parallel_workers_per_gather = 2;\nSET parallel_setup_cost = 0;\nSET parallel_tuple_cost = 0;\nSET min_parallel_table_scan_size = 0;\nSET $forced = on");
for my $query ('SELECT count(*) FROM events', 'SELECT id FROM part_0', 'SELECT count(*) FROM local JOIN part_0 USING (id)', 'SELECT count(*) FROM local JOIN events USING (id, part)', "SELECT id FROM part_0 UNION ALL SELECT id FROM part_1 UNION ALL SELECT id FROM local", 'SELECT count(*) FROM local WHERE id IN (SELECT id FROM part_1)')
{
	my $plan   = $session->query_safe("EXPLAIN (COSTS off) $query");
	my $inside = 0;
	my $gather;
	for my $line (split /\n/, $plan)
	{
		my ($indent) = $line =~ /^( *)/;
		undef $gather if defined $gather && length $indent <= $gather;
		$gather = length $indent if $line =~ /Gather/;
		$inside++ if $line =~ /Foreign Scan/ && defined $gather;
	}
	is($inside, 0, "no parallel worker reads a foreign table: $query");
}
like($session->query_safe('EXPLAIN (COSTS off) SELECT count(*) FROM local'), qr/Gather/, 'a local table they do read');
$session->query_safe("BEGIN;\nINSERT INTO part_0 (part, id) VALUES ('0', 2999)");
is($session->query_safe('SELECT count(*) FROM local JOIN part_0 USING (id) WHERE id = 2999'), $session->query_safe('SELECT count(*) FROM local WHERE id = 2999'), 'and what the transaction has written is joined');
$session->query_safe("ROLLBACK;\nRESET $forced;\nRESET max_parallel_workers_per_gather;\nRESET parallel_setup_cost;\nRESET parallel_tuple_cost;\nRESET min_parallel_table_scan_size");

#
# Tenants
#

sql(qq(CREATE FOREIGN TABLE of_tenant_0 (id int OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'test', collection 'part_0', tenant_field 'tenant_id');
	CREATE FOREIGN TABLE of_tenant_1 (id int OPTIONS (path '_id'), n int) SERVER s1 OPTIONS (database 'test', collection 'part_1', tenant_field 'tenant_id');
	CREATE FOREIGN TABLE routed_0 (id int OPTIONS (path '_id')) SERVER m OPTIONS (database 'tenant_{tenant}_db', collection 'orders');
	CREATE FOREIGN TABLE routed_1 (id int OPTIONS (path '_id')) SERVER s1 OPTIONS (database 'tenant_{tenant}_db', collection 'orders');
	SELECT tenancy.create_tenant('tenant-001', 'One');
	SELECT tenancy.create_tenant('tenant-002', 'Two');));
for my $tenant (1, 2)
{
	$mongos[$_]->insert("tenant_tenant-00${tenant}_db", 'orders', map { qq({"_id": @{[ $tenant * 1000 + $_ ]}}) } 1 .. 200 * $tenant) for 0, 1;
}
$session->query_safe('PREPARE tenants AS SELECT count(id), min(id % 2), max(id % 2) FROM (SELECT id FROM of_tenant_0 WHERE abs(id) > 0 UNION ALL SELECT id FROM of_tenant_1) u');
$session->query_safe('PREPARE databases AS SELECT count(id), min(id / 1000), max(id / 1000) FROM (SELECT id FROM routed_0 UNION ALL SELECT id FROM routed_1) u');
$session->query_safe('SET plan_cache_mode = force_generic_plan');
is($session->query_safe('EXECUTE tenants'), '0||', 'without a tenant there are no rows');
for my $tenant (1, 2, 1)
{
	$session->query_safe("BEGIN;\nSELECT tenancy.set_tenant('tenant-00$tenant')");
	is($session->query_safe('EXECUTE tenants'), '1050|' . ($tenant - 1) . '|' . ($tenant - 1), "tenant $tenant: its documents on all servers, by a plan that served another");
	is($session->query_safe('EXECUTE databases'), 400 * $tenant . "|$tenant|$tenant", "tenant $tenant: its databases on all servers");
	$session->query_safe('COMMIT');
}
#
# Waits that end
#

my $pid = $session->query_safe('SELECT pg_backend_pid()');
if ($cancellable)
{
	$session->query_safe($counts);
	$_->stall for @mongos;
	$session->query_until(qr/starts/, "\\echo starts\nSELECT count(*) FROM events WHERE abs(id) > 0;\n");
	$node->poll_query_until('postgres', "SELECT wait_event = 'AppendReady' FROM pg_stat_activity WHERE pid = $pid") or die 'it does not wait';
	my $started = time;
	sql("SELECT pg_cancel_backend($pid)");
	$node->poll_query_until('postgres', "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid");
	cmp_ok(time - $started, '<', 1.5, 'a cancel ends the wait for three servers that stall');
	$_->continue for @mongos;
	$_->wait_for_primary for @mongos[ 0, 1 ];
	$session->query('SELECT 1');
	$session->{stderr} = '';
	is($session->query_safe('SELECT count(*) FROM events'), '11250', 'and the session goes on, connected to all of them');
	$_->stall for @mongos;
	$started = time;
	like(error_of("SET statement_timeout = '400ms'; SELECT * FROM part_0 UNION ALL SELECT * FROM part_1"), qr/ERROR:  57014: canceling statement due to statement timeout/, 'so does statement_timeout');
	cmp_ok(time - $started, '<', 2.5, 'in time');
	$session->query_until(qr/again/, "\\echo again\nSELECT count(*) FROM events WHERE abs(id) > 0;\n");
	$node->poll_query_until('postgres', "SELECT wait_event = 'AppendReady' FROM pg_stat_activity WHERE pid = $pid") or die 'it does not wait';
	$started = time;
	sql("SELECT pg_terminate_backend($pid, 5000)");
	cmp_ok(time - $started, '<', 2, 'and termination');
	$_->continue for @mongos;
	$_->wait_for_primary for @mongos[ 0, 1 ];
	$session = session();
}

#
# A connection that is cut is an error, never a short result; one that died unnoticed is made anew
#

sql(qq(CREATE FOREIGN TABLE far_1 (id int OPTIONS (path '_id')) SERVER far OPTIONS (database 'test', collection 'part_1', batch_size '50', async_capable 'true');
	CREATE FOREIGN TABLE far_5 (id int OPTIONS (path '_id')) SERVER far OPTIONS (database 'test', collection 'part_3', batch_size '50', async_capable 'true');));
$mongos[1]->command('test', '{"create": "part_3"}');
$mongos[1]->insert('test', 'part_3', map { qq({"_id": $_}) } 1 .. 500);
my $far = 'SELECT id FROM far_1 UNION ALL SELECT id FROM part_0 UNION ALL SELECT id FROM far_5';
for my $round (1 .. 3)
{
	is($session->query_safe("SELECT count(id) FROM ($far) f"), '2600', "round $round: through a network");
	$session->query_safe("BEGIN;\nDECLARE c CURSOR FOR $far;\nMOVE @{[ 40 * $round ]} IN c");
	$proxy->cut;
	my $rest = $session->query('FETCH ALL FROM c') // '';
	is($rest, '', "round $round: that is cut in the middle of a scan: an error");
	like($session->{stderr}, qr/ERROR:  .*far|connection|collection/, 'with words');
	$session->query('ROLLBACK');
	$session->{stderr} = '';
	$proxy->heal;
}
is($session->query_safe("SELECT count(id) FROM ($far) f"), '2600', 'the session goes on');
$mongos[1]->restart;
$proxy->lead_to($mongos[1]->port);
is($session->query_safe("SELECT count(id) FROM ($far) f"), '2600', 'connections that died since the last statement are made anew');
is($session->query_safe($counts), "0|700\n1|1400\n3|2800", 'of each server');
my $other = session();
$mongos[1]->stop;
like(error_of("SELECT id FROM part_0 UNION ALL SELECT id FROM far_1"), qr/ERROR:  0800[16]: /, 'a server that is gone is an error');
$mongos[1]->start;
$other->quit;

#
# Memory
#

# Of the session that was ended while servers stalled there may be some: MongoDB ends them.
my @cursors = map { $_->open_cursors } @mongos;
$pid = $session->query_safe('SELECT pg_backend_pid()');
sub memory { my ($kb) = slurp_file("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m; return $kb; }
my $many = 'PERFORM count(id) FROM (SELECT id FROM part_0 UNION ALL SELECT id FROM part_3 UNION ALL SELECT id FROM part_1 UNION ALL SELECT id FROM part_2) u; PERFORM id FROM events LIMIT 200; PERFORM count(*) FROM part_0 UNION ALL SELECT count(*) FROM part_1';
$session->query_safe("DO \$\$ BEGIN FOR i IN 1 .. 40 LOOP $many; END LOOP; END \$\$");
my $memory = memory();
$session->query_safe("DO \$\$ BEGIN FOR i IN 1 .. 150 LOOP $many; END LOOP; END \$\$");
cmp_ok(memory() - $memory, '<', 2048, 'the session has not grown by two megabytes');
is(scalar(my @threads = glob "/proc/$pid/task/*"), 1, 'there is no thread in it');
for my $i (0 .. 2) { ok($mongos[$i]->poll_until('has no more open cursors', sub { $mongos[$i]->open_cursors <= $cursors[$i] }), 'nor is there one more cursor'); }
$session->quit;

done_testing();
