# Fifteen traps that foreign data wrappers for MongoDB have fallen into, each under its number: wrong answers without an error,
# most of them.  What is right is what PostgreSQL answers for a local table with the same rows.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Foreign::Node;
use Mongo::Proxy;
use Mongo::Server;
use PostgreSQL::Test::Utils;
use Test::More;

my $proxy = Mongo::Proxy->new; # before anything that it would keep open
my $mongo = Mongo::Server->new('main')->start;
my $node  = foreign_node($mongo, "timezone = 'UTC'");

# A collection, the foreign table of it, and a local table of what the foreign table shows.
sub collection
{
	my ($name, $columns, @documents) = @_;

	$mongo->command('test', [ create => $name ]);
	$mongo->insert('test', $name, splice(@documents, 0, 500)) while @documents;
	sql("CREATE FOREIGN TABLE $name ($columns) SERVER m OPTIONS (database 'test', collection '$name');",
		"CREATE TABLE ${name}_local AS SELECT * FROM $name;");
	return;
}

# One query to both, with %s where the table's name goes.
sub same
{
	my ($name, @queries) = @_;

	for my $query (@queries)
	{
		is(sql($query =~ s/%s/$name/gr), sql($query =~ s/%s/${name}_local/gr), $query);
	}
	return;
}

subtest '1: a string that begins with a dollar sign is a string' => sub {
	collection('dollars', 'id int OPTIONS (path \'_id\'), t text, tenant_id text',
		map { sprintf '{"_id": %d, "t": "%s", "tenant_id": "x%d"}', $_, ('$t', '$tenant_id', '$$ROOT', 'plain')[ $_ % 4 ], $_ } 1 .. 20);
	same('dollars', map { ("SELECT count(*) FROM %s WHERE t = '$_'", "SELECT count(*), min(id) FROM %s WHERE t <> '$_' GROUP BY t ORDER BY 2",
		"SELECT count(*) FROM %s WHERE t IN ('$_', 'none')", "SELECT id FROM %s WHERE tenant_id = '$_' OR t < '$_' ORDER BY id",
		"SELECT t, count(*) FROM %s GROUP BY t HAVING max(t) = '$_'") } '$t', '$tenant_id', '$$ROOT', '$nothing');
	same('dollars', "SELECT CASE WHEN t = '\$t' THEN 'is' ELSE t END, count(*) FROM %s GROUP BY 1 ORDER BY 1");
	sql("UPDATE dollars SET tenant_id = '\$t' WHERE t = '\$t'; UPDATE dollars_local SET tenant_id = '\$t' WHERE t = '\$t'");
	same('dollars', 'SELECT * FROM %s ORDER BY id');
};

subtest '2: a field that is missing is neither less, nor equal, nor different' => sub {
	collection('gaps', 'id int OPTIONS (path \'_id\'), i int, j int, t text',
		(map { qq({"_id": $_, "i": @{[ $_ % 5 ]}, "j": 2, "t": "a"}) } 1 .. 10), '{"_id": 11}', '{"_id": 12, "i": null, "j": null, "t": null}', '{"_id": 13, "j": 1}');
	same('gaps', map { "SELECT id FROM %s WHERE $_ ORDER BY id" } 'i < 3', 'i <= 3', 'i <> 3', 'NOT i = 3', 'NOT i < 3', 'i = j', 'i <> j', 'i < j', 'NOT (i = j)',
		'i = j OR j = 1', 'NOT (i = 3 OR t = \'a\')', 'i IS NULL', 'i IS NOT NULL', 'i IS DISTINCT FROM 3', 'i IS NOT DISTINCT FROM j', 'i NOT IN (1, 2)', 'i NOT IN (1, NULL)',
		'(i < 3) IS NULL', '(i < 3) IS NOT TRUE', 'coalesce(i, 0) < 3', 't LIKE \'a%\'', 'NOT t LIKE \'a%\'', 'i BETWEEN 1 AND 2', 'NOT i BETWEEN 1 AND 2', 'i = ANY (ARRAY[1, NULL])');
	for ('DELETE FROM %s WHERE i < 3', 'DELETE FROM %s WHERE NOT i = 4')
	{
		my $statement = $_;
		sql($statement =~ s/%s/$_/r) for 'gaps', 'gaps_local';
		same('gaps', 'SELECT id FROM %s ORDER BY id');
	}
};

subtest '3: a scan that breaks in the middle is an error' => sub {
	collection('long', 'id int OPTIONS (path \'_id\'), pad text', map { qq({"_id": $_, "pad": "@{[ 'x' x 300 ]}"}) } 1 .. 20000);
	$proxy->lead_to($mongo->port);
	sql("CREATE SERVER through FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $proxy->host ]}', server_selection_timeout '2000');",
		"CREATE FOREIGN TABLE far (id int OPTIONS (path '_id'), pad text) SERVER through OPTIONS (database 'test', collection 'long', batch_size '100');");
	for ([ 'the network is cut', sub { $proxy->cut } ],
		[ 'the cursor is killed', sub { $mongo->fail_point('failCommand', '{"times": 1}', '{"failCommands": ["getMore"], "errorCode": 43}') } ],
		[ 'a getMore fails', sub { $mongo->fail_point('failCommand', '{"times": 1}', '{"failCommands": ["getMore"], "errorCode": 96}') } ])
	{
		my ($what, $break) = @$_;
		my $session = $node->background_psql('postgres', on_error_stop => 0);

		$session->query_safe("BEGIN; DECLARE c CURSOR FOR SELECT id FROM far");
		is(scalar(split /\n/, $session->query('FETCH 150 FROM c')), 150, "$what: the first rows come");
		$break->();
		my $rows = $session->query('FETCH ALL FROM c');
		is($rows, '', 'no short result');
		like($session->{stderr}, qr/ERROR/, 'but an error');
		$session->quit;
		$proxy->heal;
		is(sql('SELECT count(*), count(pad) FROM far'), '20000|20000', 'and all of them afterwards');
	}
};

subtest '4: aggregates over nothing' => sub {
	same('gaps', 'SELECT count(*) FROM %s WHERE id > 1000', 'SELECT count(i), sum(i), min(i), max(t), avg(i) FROM %s WHERE id > 1000', 'SELECT sum(i) FROM %s WHERE i IS NULL',
		'SELECT i, count(*) FROM %s WHERE i IS NULL GROUP BY i', 'SELECT j, count(*), sum(i) FROM %s GROUP BY j ORDER BY j', 'SELECT count(*) FROM %s HAVING count(*) > 100',
		'SELECT j FROM %s GROUP BY j HAVING sum(i) > 0 AND sum(id) > 0 AND max(i) < 100 ORDER BY j', 'SELECT bool_and(i < 10), array_agg(i ORDER BY id) FROM %s');
};

subtest '5: ORDER BY and LIMIT, NULLS FIRST and LAST, NaN, WITH TIES' => sub {
	collection('sorted', 'id int OPTIONS (path \'_id\'), d double precision, t text COLLATE "C"',
		(map { sprintf '{"_id": %d, "d": {"$numberDouble": "%s"}, "t": "%s"}', $_, qw(NaN -Infinity 1.5 -0.0 0.0 Infinity 1.5)[ $_ % 7 ], ('b', 'B', 'zz', '', 'ab')[ $_ % 5 ] } 1 .. 35),
		'{"_id": 36}', '{"_id": 37, "d": null, "t": null}');
	same('sorted', map { my $key = $_; map +( "SELECT $key FROM %s ORDER BY $key $_, id LIMIT 12", "SELECT id, $key FROM %s ORDER BY $key $_, id OFFSET 3 LIMIT 9"),
		'', 'DESC', 'NULLS FIRST', 'DESC NULLS LAST' } 'd', 't');
	same('sorted', 'SELECT d FROM %s WHERE length(t) = 1 ORDER BY d, id LIMIT 3', 'SELECT count(*) FROM (SELECT d FROM %s ORDER BY d FETCH FIRST 4 ROWS WITH TIES) x',
		'SELECT DISTINCT d FROM %s ORDER BY d', 'SELECT min(d), max(d) FROM %s', "SELECT count(*) FROM %s WHERE d > 1", "SELECT count(*) FROM %s WHERE d = 'NaN'", "SELECT count(*) FROM %s WHERE d >= 'Infinity'",
		'SELECT count(*) FROM %s WHERE d = 0', 'SELECT d, count(*) FROM %s GROUP BY d ORDER BY d');
};

subtest '6: values of other types are neither compared nor unwrapped' => sub {
	my @values = ('1', '"1"', 'true', '[1]', '[1, 5]', '{"x": 1}', '{"$regularExpression": {"pattern": "1", "options": ""}}', '5', '"5"', 'false', 'null', '{"$date": "1970-01-01T00:00:00.001Z"}');
	collection('mixed', 'id int OPTIONS (path \'_id\'), v jsonb, x jsonb OPTIONS (path \'v.x\')', map { qq({"_id": $_, "v": $values[ $_ - 1 ]}) } 1 .. @values);
	same('mixed', map { "SELECT id FROM %s WHERE $_ ORDER BY id" } q(v = '1'), q(v = '[1]'), q(v = '"1"'), q(v <> '1'), q(v = 'true'), q(x = '1'), q(x IS NULL), q(v ->> 'x' = '1'),
		q(v = '{"x": 1}'), q(v IN ('5', 'false')), q(v IS NULL), q(v @> '[1]'));
	sql("CREATE FOREIGN TABLE mixed_int (id int OPTIONS (path '_id'), v int) SERVER m OPTIONS (database 'test', collection 'mixed')");
	like(error_of('SELECT * FROM mixed_int ORDER BY id'), qr/42804: field "v" of document 2 does not fit/, 'a value that does not fit is named');
	is(sql('SELECT count(*) FROM mixed_int WHERE id IN (1, 8, 11)'), '3', 'where it is not asked for it is in nobody\'s way');
};

subtest '7: columns that hold less than BSON does' => sub {
	collection('narrow', 'id int OPTIONS (path \'_id\'), n numeric, d double precision, at timestamptz, t text',
		'{"_id": 1, "n": {"$numberDecimal": "1.005"}, "d": 0.1, "at": {"$date": "2024-05-01T00:00:00Z"}, "t": "ab"}',
		'{"_id": 2, "n": {"$numberDecimal": "1.00"}, "d": 0.5, "at": {"$date": "2024-05-01T12:00:00.123Z"}, "t": "ab "}',
		'{"_id": 3, "n": {"$numberDecimal": "2"}, "d": 16777217, "at": {"$date": "2024-05-02T00:00:00Z"}, "t": "abcdef"}');
	sql("CREATE FOREIGN TABLE narrower (id int OPTIONS (path '_id'), n numeric(4,2), d real, at date, t varchar(3), c char(4) OPTIONS (path 't')) SERVER m OPTIONS (database 'test', collection 'narrow')");
	my %refused = (n => 1, d => 3, at => 2, t => 3, c => 3);
	like(error_of("SELECT $_ FROM narrower WHERE id = $refused{$_}"), qr/(22003|22008|22001): field ".*" of document $refused{$_} does not fit/, "$_: nothing is rounded or cut") for sort keys %refused;
	is(sql("SELECT id FROM narrower WHERE at = '2024-05-01' AND id <> 2"), '1', 'a day');
	is(sql("SELECT id FROM narrower WHERE c = 'ab' AND id < 3 ORDER BY id"), "1\n2", 'char(n) compares without its padding');
	same('narrow', "SELECT id FROM %s WHERE n = 1", "SELECT id FROM %s WHERE d = 0.1::real", "SELECT id FROM %s WHERE at::date = '2024-05-01' ORDER BY id", "SELECT id FROM %s WHERE at = '2024-05-01 12:00:00.123'",
		"SELECT id FROM %s WHERE t = 'ab'", "SELECT id FROM %s WHERE t::char(5) = 'ab' ORDER BY id", q(SELECT id FROM %s ORDER BY t COLLATE "und-x-icu" DESC LIMIT 2));
};

subtest '8: arithmetic is PostgreSQL\'s' => sub {
	collection('sums', 'id int OPTIONS (path \'_id\'), i int, b bigint, at timestamptz', '{"_id": 1, "i": 7, "b": 9, "at": {"$date": "2024-02-29T00:00:00Z"}}',
		'{"_id": 2, "i": -7, "b": {"$numberLong": "9223372036854775807"}, "at": {"$date": "2024-03-31T10:00:00Z"}}', '{"_id": 3, "i": 2147483647, "b": 4, "at": null}');
	same('sums', map { "SELECT id FROM %s WHERE $_ ORDER BY id" } 'i / 2 = 3', 'i % 4 = 3', '-i = 7', '|/ b::float8 = 2', "at + interval '1 month' = '2024-03-29'", "at - interval '1 day' < '2024-03-01'",
		'i::bigint * 2 > 4294967293', "date_trunc('month', at) = '2024-03-01'", 'extract(day FROM at) = 29', 'sign(i) = -1', 'abs(i) = 7');
	same('sums', 'SELECT sum(b), avg(b), sum(i), max(b) FROM %s');
	like(error_of('SELECT id FROM sums WHERE i + 1 > 0'), qr/22003: integer out of range/, 'an overflow is an error');
	like(error_of('SELECT id FROM sums WHERE 1 / (i - 7) = 0'), qr/22012: division by zero/, 'and so is a division by zero');
};

subtest '9: constants that BSON has no like of' => sub {
	same('sorted', map { "SELECT count(*) FROM %s WHERE d $_" } "< 'NaN'", "= 'Infinity'", "> '-Infinity'", '= 1e308', '< 1e-320');
	same('sums', map { "SELECT id FROM %s WHERE $_ ORDER BY id" } "at < 'infinity'", "at > '-infinity'", "at = 'infinity'", "at >= '2024-02-29 00:00:00.000001'", "at > '200000-01-01'", 'b < 1e400', 'b = 9007199254740993',
		'b > 9223372036854775806', 'b < 99999999999999999999::numeric', 'i = 7.5');
	collection('ids', 'id text OPTIONS (path \'_id\')', '{"_id": {"$oid": "650000000000000000000001"}}', '{"_id": "x"}', '{"_id": "650000000000000000000002"}');
	same('ids', map { "SELECT id FROM %s WHERE id = '$_'" } '650000000000000000000001', '65000000000000000000000', 'zz0000000000000000000001', 'x', '650000000000000000000002', '65000000000000000000000A', '');
};

subtest '10: values that fit nowhere, or look like something else' => sub {
	$mongo->command('test', [ create => 'odd' ]);
	$mongo->insert('test', 'odd', '{"_id": 1, "i": {"$numberLong": "40000"}}', '{"_id": 2, "i": {"$numberLong": "3000000000"}}', '{"_id": 3, "i": {"$numberDouble": "1e19"}}', '{"_id": 4, "t": "a\u0000b"}',
		'{"_id": 5, "at": {"$date": {"$numberLong": "9223372036854775807"}}}', '{"_id": 6, "a": [1, null, 3]}', '{"_id": 7, "j": {"n": {"$numberDouble": "NaN"}, "d": {"$numberDecimal": "1.50"}, "l": {"$numberLong": "9007199254740993"}}}',
		'{"_id": 8, "AGG_1": 5, "count": 6, "j": {"AGG_1": 7}}');
	sql("CREATE FOREIGN TABLE odd (id int OPTIONS (path '_id'), s smallint OPTIONS (path 'i'), i int, b bigint OPTIONS (path 'i'), t text, at timestamptz, a int[], j jsonb, \"AGG_1\" int, count int) SERVER m OPTIONS (database 'test', collection 'odd')");
	like(error_of("SELECT $_->[0] FROM odd WHERE id = $_->[1]"), qr/$_->[2]: field/, "$_->[0] of document $_->[1] is refused")
		for [ 's', 1, '22003' ], [ 'i', 2, '22003' ], [ 'b', 3, '22003' ], [ 't', 4, '22021' ], [ 'at', 5, '22008' ];
	is(sql('SELECT a FROM odd WHERE id = 6'), '{1,NULL,3}', 'an array keeps its nulls');
	is(sql('SELECT j FROM odd WHERE id = 7'), '{"d": {"$numberDecimal": "1.50"}, "l": 9007199254740993, "n": {"$numberDouble": "NaN"}}', 'a document keeps what JSON lacks');
	is(sql('SELECT "AGG_1", count, j FROM odd WHERE id = 8'), '5|6|{"AGG_1": 7}', 'a name that looks internal');
	is(sql('SELECT sum("AGG_1"), max(count), count(*) FROM odd'), '5|6|8', 'in aggregates too');
	sql(q(INSERT INTO odd (id, j) VALUES (9, '{"big": 3000000000, "bigger": 9007199254740993, "deep": [1.5, null, "x"]}')));
	is(sql('SELECT j FROM odd WHERE id = 9'), '{"big": 3000000000, "deep": [1.5, null, "x"], "bigger": 9007199254740993}', 'written numbers are not clipped');
};

subtest '11: an update meets each row once' => sub {
	collection('counted', 'id int OPTIONS (path \'_id\'), i int', map { qq({"_id": $_, "i": $_}) } 1 .. 1000);
	$mongo->command('test', [ createIndexes => 'counted', indexes => [ { key => { i => 1 }, name => 'i' } ] ]);
	sql('UPDATE counted SET i = i + 1 WHERE i > 0; UPDATE counted_local SET i = i + 1');
	same('counted', 'SELECT sum(i), min(i), max(i), count(*) FROM %s');
	sql('UPDATE counted SET i = i + (SELECT count(*) FROM counted_local) WHERE i BETWEEN 1 AND 2000; UPDATE counted_local SET i = i + 1000');
	same('counted', 'SELECT sum(i), min(i), max(i), count(*) FROM %s');
};

subtest '12: triggers, defaults, check options, dropped columns, tableoid, whole rows' => sub {
	sql("CREATE FOREIGN TABLE orders (id int OPTIONS (path '_id'), gone int, i int DEFAULT 5, note text) SERVER m OPTIONS (database 'test', collection 'orders')", ';',
		q(CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := 'stamped ' || coalesce(NEW.i, 0); RETURN NEW; END $$;
		CREATE TRIGGER stamp BEFORE INSERT OR UPDATE OF i ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
		ALTER FOREIGN TABLE orders DROP COLUMN gone; ALTER FOREIGN TABLE orders ADD COLUMN late text OPTIONS (path 'l');
		CREATE VIEW small AS SELECT * FROM orders WHERE i < 10 WITH CHECK OPTION;));
	is(sql("INSERT INTO orders (id) VALUES (1) RETURNING *"), '1|5|stamped 5|', 'default and trigger');
	is(sql("UPDATE orders SET i = 6 WHERE id = 1 RETURNING *"), '1|6|stamped 6|', 'the trigger changes another column');
	is(sql('SELECT * FROM orders'), '1|6|stamped 6|', 'which is written');
	like(error_of('UPDATE small SET i = 50'), qr/44000/, 'check option');
	is(sql("UPDATE orders SET late = 'x' RETURNING tableoid::regclass, orders"), 'orders|(1,6,"stamped 6",x)', 'tableoid and whole row');
	is(sql('SELECT tableoid::regclass, o FROM orders o WHERE o IS NOT NULL'), 'orders|(1,6,"stamped 6",x)', 'in a scan');
};

subtest '13: plans that are kept' => sub {
	my $loop = join '', map { "EXECUTE p($_);" } 1 .. 8;
	is(sql("PREPARE p(int) AS SELECT i FROM counted WHERE id = \$1; $loop"), join("\n", map { $_ + 1001 } 1 .. 8), 'prepared, past the sixth execution');
	is(sql("SET plan_cache_mode = force_generic_plan; PREPARE p(int) AS SELECT count(*) FROM counted WHERE id <= \$1; $loop"), join("\n", 1 .. 8), 'a generic plan');
	is(sql("PREPARE p(int) AS UPDATE counted SET i = 0 WHERE id = \$1 RETURNING id; $loop"), join("\n", 1 .. 8), 'an UPDATE');
	sql('CREATE FUNCTION look(n int) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT sum(i) FROM counted WHERE id < n); END $$');
	is(sql('SELECT count(look(g)) FROM generate_series(2, 12) g'), '11', 'in PL/pgSQL');
	is(sql("PREPARE p AS SELECT count(*) FROM counted; EXECUTE p; ALTER FOREIGN TABLE counted OPTIONS (SET collection 'sorted'); EXECUTE p; ALTER FOREIGN TABLE counted OPTIONS (SET collection 'counted'); EXECUTE p;"), "1000\n37\n1000", 'an altered table');
};

subtest '14: what is rolled back was never there' => sub {
	my $there = 'SELECT count(*), sum(i) FROM counted';
	my $before = sql($there);
	sql('BEGIN; INSERT INTO counted VALUES (5000, 1); UPDATE counted SET i = 3; DELETE FROM counted WHERE id < 500; ROLLBACK;');
	is(sql($there), $before, 'ROLLBACK');
	like(error_of('INSERT INTO counted SELECT 6000 + g, 10 / (g - 50) FROM generate_series(1, 100) g'), qr/22012/, 'a statement that fails');
	is(sql($there), $before, 'leaves nothing');
	like(error_of('INSERT INTO counted SELECT CASE WHEN g = 60 THEN 1 ELSE 6000 + g END, 1 FROM generate_series(1, 100) g'), qr/23505/, 'a duplicate key');
	is(sql($there), $before, 'leaves nothing');
	error_of('BEGIN; INSERT INTO counted VALUES (7000, 1); SAVEPOINT s; INSERT INTO counted VALUES (7001, 1); ROLLBACK TO s; COMMIT;');
	ok(sql('SELECT count(*) FROM counted WHERE id = 7001') == 0, 'nor does a savepoint leave rows behind');
	is(sql('SELECT count(*) FROM counted WHERE id >= 6000 AND id < 7000'), '0', 'nothing is left');
};

subtest '15: no cursor is left open, no memory taken for good, no secret shown' => sub {
	# Those of a connection that was cut are the server's to find.
	my $open = $mongo->open_cursors;
	error_of('SELECT 1 / (20000 - id) FROM long') for 1 .. 10;
	error_of("SET statement_timeout = '30ms'; SELECT count(*) FROM long a JOIN long b ON a.pad < b.pad") for 1 .. 3;
	sql('SELECT id FROM long LIMIT 1; BEGIN; DECLARE c CURSOR FOR SELECT * FROM long; FETCH 5 FROM c; COMMIT;');
	ok($mongo->poll_until('has no open cursor', sub { $mongo->open_cursors <= $open }), 'no cursor after errors, timeouts and limits');
	my $session = $node->background_psql('postgres');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my $memory = sub { slurp_file("/proc/$pid/status") =~ /RssAnon:\s+(\d+)/; $1 };
	$session->query_safe('SELECT count(id), max(pad) FROM long WHERE length(pad) > 1') for 1 .. 3;
	my $begin = $memory->();
	$session->query_safe('SELECT count(id), max(pad) FROM long WHERE length(pad) > 1') for 1 .. 20;
	cmp_ok($memory->() - $begin, '<', 1024, '400,000 documents later the session has not grown by a megabyte');
	$session->quit;
	like(error_of("CREATE SERVER uri FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'mongodb://app:hu%2Fsh\@localhost')"), qr/ERROR/, 'a URI with a password is refused');
	unlike(error_of("CREATE SERVER uri FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'mongodb://app:hu%2Fsh\@localhost')") =~ s/^.*STATEMENT.*$//mrs, qr/hu%2Fsh/, 'and not shown');
};

done_testing();
