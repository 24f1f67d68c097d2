# Writing to MongoDB: values, keys, changes, statements of all kinds, errors, and transactions that are undone.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Foreign::Node;
use Mongo::Server;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = Mongo::Server->new('main')->start;
my $alone = Mongo::Server->new('alone', replicas => 0)->start;
my $node  = foreign_node($mongo, "timezone = 'UTC'", 'max_prepared_transactions = 2');
$node->safe_psql('postgres', qq(
	CREATE SERVER alone FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $alone->host ]}');
	CREATE DOMAIN small AS integer CHECK (VALUE < 100);
	CREATE FOREIGN TABLE v (id int OPTIONS (path '_id'), i2 smallint, i4 int, i8 bigint, f4 real, f8 float8, n numeric, b boolean, t text, c char(5), y bytea, u uuid,
		ts timestamptz, lt timestamp, d date, j jsonb, js json, a int[], s text[], p small, o text OPTIONS (path 'ref', object_id 'true'),
		x int OPTIONS (path 'deep.er.x'), z text OPTIONS (path 'deep.z')) SERVER m OPTIONS (database 'test', collection 'v');
	CREATE FOREIGN TABLE w (id text OPTIONS (path '_id'), i int, t text) SERVER m OPTIONS (database 'test', collection 'w', truncatable 'true');
	CREATE FOREIGN TABLE docs (id text OPTIONS (path '_id'), i int, d jsonb OPTIONS (document 'true')) SERVER m OPTIONS (database 'test', collection 'docs');
	CREATE FOREIGN TABLE over (id int OPTIONS (path '_id'), o jsonb, x int OPTIONS (path 'o.x')) SERVER m OPTIONS (database 'test', collection 'over');
	CREATE TABLE l (i int, t text);));

sub documents { return $mongo->command_text('test', qq({"find": "$_[0]", "sort": {"_id": 1}})) =~ s/.*"firstBatch" ?: ?(\[.*?\]), "id" ?:.*/$1/r; }

#
# Values: what is written reads back as the same, and is of the natural type in MongoDB
#

sql(q(INSERT INTO v VALUES (1, 2, 3, 9007199254740993, 0.1, 0.5, 12345678901234567890.12345, true, 'é', 'ab', '\x0001ff', '00112233-4455-6677-8899-aabbccddeeff',
	'2024-05-01 12:00:00.123Z', '2024-05-01 12:00', '2024-02-29', '{"k": [1, 2.5, "x", null, true, {"$oid": "650000000000000000000001"}, 12345678901], "d": {"$date": "2024-05-01T00:00:00Z"}}',
	'{"b": 1, "a": 2}', '{1,NULL,3}', '{a,b}', 7, '650000000000000000000001', 5, 'deep')));
sql(q(INSERT INTO v (id, f4, f8, n, ts, d) VALUES (2, 'NaN', '-Infinity', 'NaN', '1969-12-31 23:59:59.999Z', '0001-01-01'), (3, '1e30', '1e300', '-0.000001', '0044-03-15 BC', '9999-12-31')));
is(sql('SELECT v FROM v WHERE id = 1'),
	'(1,2,3,9007199254740993,0.1,0.5,12345678901234567890.12345,t,é,"ab   ","\\\\x0001ff",00112233-4455-6677-8899-aabbccddeeff,"2024-05-01 12:00:00.123+00","2024-05-01 12:00:00",2024-02-29,'
	. '"{""d"": {""$date"": ""2024-05-01T00:00:00Z""}, ""k"": [1, 2.5, ""x"", null, true, {""$oid"": ""650000000000000000000001""}, 12345678901]}","{""b"": 1, ""a"": 2}","{1,NULL,3}","{a,b}",7,650000000000000000000001,5,deep)',
	'every type comes back as it went');
is(sql(q(SELECT id, f4, f8, n, ts, d FROM v WHERE id > 1 ORDER BY id)), "2|NaN|-Infinity|NaN|1969-12-31 23:59:59.999+00|0001-01-01\n3|1e+30|1e+300|-0.000001|0044-03-15 00:00:00+00 BC|9999-12-31", 'awkward values');
my $types = $mongo->command('test', '{"aggregate": "v", "pipeline": [{"$match": {"_id": 1}}, {"$project": {"t": {"$map": {"input": {"$objectToArray": "$$ROOT"}, "in": {"$concat": ["$$this.k", ":", {"$type": "$$this.v"}]}}}}}], "cursor": {}}');
is(join(' ', @{ $types->{cursor}{firstBatch}[0]{t} }),
	'_id:int i2:int i4:int i8:long f4:double f8:double n:decimal b:bool t:string c:string y:binData u:binData ts:date lt:date d:date j:object js:object a:array s:array p:int ref:objectId deep:object', 'types in MongoDB, in order');
like(documents('v'), qr/"f4" : 0\.1000000000000000055.*"c" : "ab".*"deep" : \{ "er" : \{ "x" : 5 \}, "z" : "deep" \}/, 'a real prints the same, char(n) has no blanks, paths nest');
is(sql(q(INSERT INTO v (id, ts, lt) VALUES (4, '2024-05-01 12:00:00.123456Z', '1969-12-31 23:59:59.9999') RETURNING ts, lt)), '2024-05-01 12:00:00.123+00|1969-12-31 23:59:59.999', 'microseconds are cut, and RETURNING shows it');
unlike(documents('v') =~ s/.*"_id" : 4//r, qr/null|"i2"/, 'NULL is a field that is missing');
for my $case (['n', '1e6145', qr/22003:.*\n.*34 digits/], ['n', '12345678901234567890123456789012345', qr/22003/], ['ts', "'infinity'", qr/22008:.*\n.*infinite/], ['d', "'-infinity'", qr/22008/],
	['a', "'{{1,2},{3,4}}'", qr/2202E/], ['o', "'xyz'", qr/22P02:.*\n.*24 hexadecimal/], ['j', q('{"x": {"$oid": "no"}}'), qr/22P02/])
{
	like(error_of("INSERT INTO v (id, $case->[0]) VALUES (99, $case->[1])"), $case->[2], "$case->[0]: $case->[1] does not fit");
}
is(sql('SELECT count(*) FROM v WHERE id = 99'), '0', 'and nothing of it is stored');

#
# Keys
#

like(sql("INSERT INTO w (i) VALUES (1) RETURNING id"), qr/^[0-9a-f]{24}$/, 'a key is made, and RETURNING shows it');
is(sql("SELECT count(*) FROM w WHERE id = (SELECT id FROM w)"), '1', 'by which the row is found');
like(error_of('INSERT INTO v (i4) VALUES (1)'), qr/23502: column "id" of foreign table "v" needs a value/, 'an ObjectId does not fit an integer');
like(error_of("INSERT INTO w (id) VALUES ('a'), ('b'), ('a')"), qr/23505:.*\n.*E11000.*_id: "a"/, 'a duplicate key');
is(sql("SELECT count(*) FROM w WHERE id IN ('a', 'b')"), '0', 'and nothing of the statement is stored');
sql("INSERT INTO w (id, i) VALUES ('a', 1)");
is(sql("INSERT INTO w (id, i) VALUES ('a', 2), ('b', 2), ('b', 3) ON CONFLICT DO NOTHING RETURNING id, i"), 'b|2', 'ON CONFLICT DO NOTHING returns what was inserted');
is(sql("SELECT id, i FROM w WHERE id IN ('a', 'b') ORDER BY 1"), "a|1\nb|2", 'and leaves what was there');
like(error_of("UPDATE w SET id = 'z'"), qr/0A000: the _id of a document cannot be changed/, 'a key stays');

# Documents with keys of every type are found again.
$mongo->insert('test', 'keys', map { qq({"_id": $_, "n": 0}) } '1', '{"$numberLong": "2"}', '{"$numberDouble": "3.5"}', '"1"', '{"$oid": "650000000000000000000001"}', '"650000000000000000000001"',
	'{"a": 1, "b": [1]}', 'true', '{"$date": "2024-01-01T00:00:00Z"}', '{"$binary": {"base64": "AAEC", "subType": "04"}}', 'null', '{"$numberDecimal": "7.5"}', '{"$timestamp": {"t": 1, "i": 2}}', '{"$minKey": 1}', '{"$numberDouble": "NaN"}');
sql("CREATE FOREIGN TABLE keys (n int) SERVER m OPTIONS (database 'test', collection 'keys')");
is(sql('WITH x AS (UPDATE keys SET n = n + 1 RETURNING n) SELECT count(*), min(n), max(n) FROM x'), '15|1|1', 'an update of documents whose _id no column shows');
is(sql('SELECT count(*), min(n), max(n) FROM keys'), '15|1|1', 'found each one once');
is(sql('WITH x AS (DELETE FROM keys RETURNING n) SELECT count(*), sum(n) FROM x'), '15|15', 'so does a deletion');
is(scalar $mongo->find_all('test', 'keys'), 0, 'of which nothing is left');

#
# UPDATE and DELETE
#

$mongo->insert('test', 'over', '{"_id": 1, "o": {"x": 1, "y": {"deep": [1, {"z": 2}]}}, "other": {"$numberLong": "5"}}', '{"_id": 2, "o": 5}', '{"_id": 3}');
sql('UPDATE over SET x = x + 1 WHERE id = 1');
like(documents('over'), qr/"_id" : 1, "o" : \{ "x" : 2, "y" : \{ "deep" : \[ 1, \{ "z" : 2 \} \] \} \}/, 'a path is set, what stands beside it stays');
sql('UPDATE over SET x = 3 WHERE id = 3');
like(documents('over'), qr/"_id" : 3, "o" : \{ "x" : 3 \}/, 'documents on the way are made');
sql('UPDATE over SET x = NULL WHERE id = 3');
like(documents('over'), qr/"_id" : 3, "o" : \{  \}/, 'NULL takes the field away');
like(error_of('UPDATE over SET x = 1 WHERE id = 2'), qr/22023:.*\n.*Cannot create field 'x'.*\nHINT:  A field is set in a document only/, 'a field below a number cannot be');
$mongo->insert('test', 'above_null', '{"_id": 1, "o": null}', '{"_id": 2, "o": {"x": null}}', '{"_id": 3}');
sql("CREATE FOREIGN TABLE above_null (id int OPTIONS (path '_id'), x int OPTIONS (path 'o.x'), o jsonb) SERVER m OPTIONS (database 'test', collection 'above_null')");
like(error_of("UPDATE above_null SET x = $_ WHERE id = 1"), qr/22023:.*\n.*Cannot create field 'x' in element \{o: null\}/, "nor below a null, x = $_") for '1', 'id';
sql('UPDATE above_null SET x = NULL WHERE id = 1; UPDATE above_null SET x = id WHERE id > 1; UPDATE above_null SET o = NULL WHERE id = 1; UPDATE above_null SET x = 1 WHERE id = 1');
is(sql('SELECT id, x, o FROM above_null ORDER BY 1'), "1|1|{\"x\": 1}\n2|2|{\"x\": 2}\n3|3|{\"x\": 3}", 'the hint helps; a null in its own place, and nothing above, are no hindrance');
like(error_of(q(UPDATE over SET x = 1, o = '{}' WHERE id = 1)), qr/HV000:.*\n.*conflict/, 'nor two changes of one place');
like(error_of(q(INSERT INTO over VALUES (4, '{"y": 1}', 1))), qr/22023: column "o" and a column for a field in it/, 'nor two values');
sql(q(INSERT INTO over VALUES (4, '{"y": 1}', NULL)));
is(sql(q(INSERT INTO docs (d) VALUES ('{"_id": "k", "i": 1, "n": {"$numberLong": "7"}, "z": 1, "a": 2}') RETURNING i IS NULL)), 't', 'a whole document');
like(documents('docs'), qr/\{ "_id" : "k"/, 'with its own key');
sql(q(UPDATE docs SET d = '{"i": 5}' WHERE id = 'k'));
is(documents('docs'), '[ { "_id" : "k", "i" : 5 } ]', 'and replaced, but for the key');
like(error_of(q(UPDATE docs SET d = '{"_id": "other"}')), qr/0A000: the _id of a document cannot be changed/, 'which stays');
like(error_of(q(UPDATE docs SET d = '{}', i = 1)), qr/0A000: column "d" cannot be changed together/, 'a document or fields');
like(error_of(q(INSERT INTO docs VALUES ('x', 1, '{}'))), qr/22023: columns "d" and "id" cannot both have a value/, 'in an insertion too');
like(error_of(q(INSERT INTO docs (d) VALUES ('[1]'))), qr/22023:.*\n.*JSON object/, 'a document is an object');

# Halloween: a statement does not see what it writes.
$mongo->insert('test', 'many', map { qq({"_id": $_, "n": $_}) } $_ * 1000 + 1 .. $_ * 1000 + 1000) for 0 .. 2;
$mongo->command('test', '{"createIndexes": "many", "indexes": [{"key": {"n": 1}, "name": "n"}]}');
sql("CREATE FOREIGN TABLE many (id int OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'test', collection 'many', batch_size '100')");
sql('UPDATE many SET n = n + 1000 WHERE n > 0');
is(sql('SELECT count(*), sum(n - id) FROM many'), '3000|3000000', 'an update over an index moves each document once');
is(sql('UPDATE many SET n = (SELECT max(x.n) FROM many x WHERE x.id <= many.id) WHERE id <= 3; SELECT string_agg(n::text, \',\' ORDER BY id) FROM many WHERE id <= 3'), '1001,1002,1003', 'also where it reads itself in a subquery');
sql('INSERT INTO many SELECT id + 3000, n FROM many');
is(sql('SELECT count(*) FROM many'), '6000', 'an insertion from itself ends');
like(error_of("INSERT INTO many SELECT id + 10000, n FROM many ON CONFLICT DO NOTHING"), qr/0A000: INSERT ... ON CONFLICT DO NOTHING cannot read foreign tables/, 'which ON CONFLICT cannot');
is(sql('WITH x AS (DELETE FROM many WHERE id > 3000 RETURNING id) SELECT count(*) FROM many, (SELECT count(*) FROM x) c WHERE c.count = 3000'), '6000', 'a modifying WITH: the rest sees what was');
is(sql('SELECT count(*) FROM many'), '3000', 'and it is done');
is(sql('WITH d AS (DELETE FROM many WHERE id = 3000) SELECT 1'), '1', 'a modifying WITH that nothing reads');
is(sql('SELECT count(*) FROM many WHERE id = 3000'), '0', 'is done as well');
sql('WITH i AS (INSERT INTO many VALUES (3000, 7)) SELECT 1');
is(sql('SELECT n FROM many WHERE id = 3000'), '7', 'an insertion too');
sql('WITH u AS (UPDATE many SET n = 0 WHERE id = 3000) INSERT INTO many VALUES (3001, 8)');
is(sql('WITH u AS (UPDATE many SET n = n + 1 WHERE id >= 3000), d AS (DELETE FROM many WHERE id = 2999) UPDATE many SET n = -1 WHERE id = 2998; SELECT id, n FROM many WHERE id >= 2998 ORDER BY id'), "2998|-1\n3000|1\n3001|9", 'several in one statement');
is(sql("WITH i AS (INSERT INTO many SELECT id + 3002, n FROM many WHERE n = -1) UPDATE many SET n = -1 WHERE id = 3001; SELECT count(*) FROM many WHERE n = -1"), '3', 'and none sees what another writes');
sql('DELETE FROM many WHERE id > 3000; UPDATE many SET n = 1 WHERE id = 2998; INSERT INTO many VALUES (2999, 1)');
sql('INSERT INTO l VALUES (1, \'x\'), (2, \'y\')');
is(sql('UPDATE many SET n = -l.i FROM l WHERE l.i = many.id RETURNING id, n, t'), "1|-1|x\n2|-2|y", 'UPDATE FROM');
is(sql('DELETE FROM many USING l WHERE l.i = many.id RETURNING id, t'), "1|x\n2|y", 'DELETE USING');

#
# Statements
#

$node->safe_psql('postgres', "COPY w (id, i, t) FROM stdin;\nc1\t1\t\\N\nc2\t2\tx\n\\.\n");
is(sql("SELECT id, i, t FROM w WHERE id LIKE 'c%' ORDER BY 1"), "c1|1|\nc2|2|x", 'COPY FROM');
like(error_of("COPY w (id) FROM stdin;\nc3\nc1\n\\.\n"), qr/23505/, 'COPY of a duplicate');
is(sql("SELECT count(*) FROM w WHERE id = 'c3'"), '0', 'stores nothing');
is(sql('PREPARE p(text, int) AS INSERT INTO w (id, i) VALUES ($1, $2) RETURNING id; ' . join('', map { "EXECUTE p('p$_', $_);" } 1 .. 8)), join("\n", map { "p$_" } 1 .. 8), 'a prepared INSERT');
is(sql('SET plan_cache_mode = force_generic_plan; PREPARE p(text, int) AS UPDATE w SET i = $2 WHERE id = $1 RETURNING i; ' . join('', map { "EXECUTE p('p$_', -$_);" } 1 .. 3)), "-1\n-2\n-3", 'a prepared UPDATE');
sql(q(CREATE VIEW small_w AS SELECT * FROM w WHERE i < 100 WITH CHECK OPTION; INSERT INTO small_w (id, i) VALUES ('v', 5)));
like(error_of("INSERT INTO small_w (id, i) VALUES ('v2', 500)"), qr/44000: new row violates check option/, 'a view with check option');
is(sql("SELECT count(*) FROM w WHERE id = 'v2'"), '0', 'which is undone');
sql(q(CREATE FOREIGN TABLE con (id text OPTIONS (path '_id'), i int NOT NULL CHECK (i > 0), s small DEFAULT 3) SERVER m OPTIONS (database 'test', collection 'con')));
like(error_of("INSERT INTO con (id) VALUES ('x')"), qr/23502: null value in column "i"/, 'NOT NULL is kept');
like(error_of("INSERT INTO con (id, i) VALUES ('x', 0)"), qr/23514: new row for relation "con" violates check constraint/, 'CHECK is kept');
is(sql("INSERT INTO con (id, i) VALUES ('x', 1) RETURNING s, tableoid::regclass"), '3|con', 'DEFAULT, tableoid');
like(error_of('UPDATE con SET i = NULL'), qr/23502/, 'in updates too');

# Triggers: BEFORE may change another column, AFTER sees what was written.
sql(q(
	CREATE FUNCTION before_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.t := ''by trigger''; RETURN NEW; END';
	CREATE TRIGGER b BEFORE UPDATE OR INSERT ON w FOR EACH ROW EXECUTE FUNCTION before_row();
	CREATE FUNCTION after_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO l SELECT count(*), TG_OP FROM w WHERE i = 4242; RETURN NULL; END';
	CREATE TRIGGER a AFTER UPDATE OR INSERT OR DELETE ON w FOR EACH ROW EXECUTE FUNCTION after_row();
	TRUNCATE l;
	UPDATE w SET i = 4242 WHERE id = 'a';
	INSERT INTO w (id, i) VALUES ('t', 4242);
	DELETE FROM w WHERE id = 't';));
is(sql("SELECT i, t FROM w WHERE id = 'a'"), '4242|by trigger', 'a BEFORE trigger changes another column');
is(sql('SELECT * FROM l'), "1|UPDATE\n2|INSERT\n1|DELETE", 'AFTER triggers see what was written');
sql('DROP TRIGGER a ON w; DROP TRIGGER b ON w');

# Partitions
sql(q(CREATE TABLE parted (id text, i int, t text) PARTITION BY LIST (t);
	CREATE TABLE parted_local PARTITION OF parted FOR VALUES IN ('local');
	CREATE FOREIGN TABLE parted_mongo PARTITION OF parted FOR VALUES IN ('mongo') SERVER m OPTIONS (database 'test', collection 'parted');
	ALTER FOREIGN TABLE parted_mongo ALTER id OPTIONS (ADD path '_id');
	INSERT INTO parted SELECT 'k' || i, i, CASE WHEN i % 2 = 0 THEN 'local' ELSE 'mongo' END FROM generate_series(1, 10) i;));
is(sql('SELECT t, count(*) FROM parted GROUP BY t ORDER BY t'), "local|5\nmongo|5", 'rows are routed to a partition');
is(sql('UPDATE parted SET i = -i WHERE i > 8 RETURNING id, i'), "k10|-10\nk9|-9", 'and updated there');
is(sql('DELETE FROM parted WHERE i < 0 RETURNING id'), "k10\nk9", 'and deleted');

like(error_of("INSERT INTO parted VALUES ('a', 1, 'local'), ('b', 2, 'mongo'); UPDATE parted SET t = 'mongo'"), qr/0A000: cannot route tuples into foreign table to be updated "parted_mongo"/, 'an UPDATE that would move rows into a partition that it updates');
is(sql("UPDATE parted SET t = 'mongo' WHERE t = 'local' AND id = 'a'; SELECT id, t FROM parted WHERE id < 'c' ORDER BY 1"), "a|mongo\nb|mongo", 'and one that only moves them');
sql('TRUNCATE w');
is(scalar $mongo->find_all('test', 'w'), 0, 'TRUNCATE by option');
like(error_of('TRUNCATE v'), qr/55000: foreign table "v" does not allow truncating\n.*truncatable/, 'and not without');

#
# What MongoDB refuses
#

$mongo->command('test', '{"create": "valid", "validator": {"$jsonSchema": {"bsonType": "object", "required": ["name"], "properties": {"name": {"bsonType": "string"}, "age": {"bsonType": "int", "maximum": 150}}}}}');
sql("CREATE FOREIGN TABLE valid (id text OPTIONS (path '_id'), name text, age int) SERVER m OPTIONS (database 'test', collection 'valid')");
like(error_of("INSERT INTO valid VALUES ('a', 'Ann', 200)"), qr/23514: could not write.*\n.*failed validation.*\n.*"maximum".*consideredValue" : 200/s, 'a validator, with its details');
like(error_of("INSERT INTO valid VALUES ('a')"), qr/23514:.*missingProperties" : \[ "name" \]/s, 'a missing field');
sql("INSERT INTO valid VALUES ('a', 'Ann')");
like(error_of("UPDATE valid SET age = 151"), qr/23514/, 'in updates too');

#
# Transactions
#

sub session { my @statements = @_; my ($status, $out, $err) = $node->psql('postgres', join(";\n", @statements), on_error_stop => 0); return ($out, $err); }
my $count = 'SELECT count(*) FROM w';
my ($out, $err) = session('BEGIN', "INSERT INTO w (id) VALUES ('1')", $count, "UPDATE w SET i = 7", 'SELECT i FROM w', 'ROLLBACK', $count);
is($out, "1\n7\n0", 'a transaction sees what it wrote, and ROLLBACK undoes it');
($out, $err) = session('BEGIN', "INSERT INTO w (id) VALUES ('1')", 'SELECT 1/0', 'COMMIT', $count);
is($out, '0', 'an error elsewhere undoes it');
($out, $err) = session('BEGIN', "INSERT INTO w (id) VALUES ('1')", 'SAVEPOINT s', $count, 'ROLLBACK TO s', "INSERT INTO w (id) VALUES ('2')", 'COMMIT', $count);
is($out, "1\n2", 'a savepoint since which nothing was written');
($out, $err) = session('BEGIN', 'SAVEPOINT s', "INSERT INTO w (id) VALUES ('3')", 'ROLLBACK TO s', "INSERT INTO w (id) VALUES ('4')", 'COMMIT', $count);
is($out, '3', 'a savepoint before all writes');
($out, $err) = session('BEGIN', "INSERT INTO w (id) VALUES ('5')", 'SAVEPOINT s', "INSERT INTO w (id) VALUES ('6')", 'RELEASE s', 'COMMIT', $count);
is($out, '5', 'a savepoint that is released');
for my $last ($count, 'COMMIT')
{
	($out, $err) = session('BEGIN', "INSERT INTO w (id) VALUES ('7')", 'SAVEPOINT s', "INSERT INTO w (id) VALUES ('8')", 'ROLLBACK TO s', 'SELECT 1', $last, 'ROLLBACK', $count);
	like($err, qr/transaction has lost its writes to MongoDB\nDETAIL:.*savepoints/, "a savepoint between writes: $last fails");
	is($out, "1\n5", 'and nothing is stored');
}
is(sql(q(DO $$ BEGIN BEGIN INSERT INTO w (id) VALUES ('1'); EXCEPTION WHEN unique_violation THEN INSERT INTO w (id) VALUES ('9'); END; END $$; ) . $count), '6', 'an exception around one insertion');
($out, $err) = session('BEGIN', "INSERT INTO w (id) VALUES ('10')", 'DECLARE c CURSOR WITH HOLD FOR SELECT id FROM w ORDER BY id', 'FETCH c', 'COMMIT', 'FETCH c', 'CLOSE c');
is($out, "1\n10", 'a held cursor');
like(error_of("BEGIN; INSERT INTO w (id) VALUES ('p'); PREPARE TRANSACTION 'p';"), qr/0A000: cannot PREPARE/, 'PREPARE TRANSACTION');
is(sql("SELECT count(*) FROM w WHERE id = 'p'"), '0', 'which stores nothing');
# Two servers: neither commits if one of them cannot, whichever is asked first.
sql(qq(CREATE SERVER m2 FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');
	CREATE FOREIGN TABLE w2 (id text OPTIONS (path '_id'), i int) SERVER m2 OPTIONS (database 'test', collection 'w2');
	INSERT INTO w2 VALUES ('there')));
for my $lost ('w', 'w2')
{
	($out, $err) = session('BEGIN', "INSERT INTO w (id) VALUES ('both')", "INSERT INTO w2 (id) VALUES ('both')", 'SAVEPOINT s', "INSERT INTO $lost (id) VALUES ('more')", 'ROLLBACK TO s', 'COMMIT',
		"SELECT (SELECT count(*) FROM w WHERE id = 'both'), (SELECT count(*) FROM w2 WHERE id = 'both')");
	like($err, qr/transaction has lost its writes/, "a transaction that has lost its writes to the server of $lost");
	is($out, '0|0', 'stores nothing on either');
}
is(sql("BEGIN; INSERT INTO w (id) VALUES ('both'); INSERT INTO w2 (id) VALUES ('both'); COMMIT; SELECT (SELECT count(*) FROM w WHERE id = 'both'), (SELECT count(*) FROM w2 WHERE id = 'both')"), '1|1', 'and both commit');
sql("DELETE FROM w WHERE id = 'both'");

# A collection that the transaction has made is no mistake, empty or not.
sql("CREATE FOREIGN TABLE fresh (id text OPTIONS (path '_id'), i int) SERVER m OPTIONS (database 'test', collection 'fresh')");
is(sql("BEGIN; INSERT INTO fresh VALUES ('a', 1); DELETE FROM fresh; SELECT count(*) FROM fresh; INSERT INTO fresh VALUES ('b', 2); COMMIT; SELECT * FROM fresh"), "0\nb|2", 'a collection that the transaction has made');

# A read that fails takes the transaction along.
($out, $err) = session('BEGIN', "INSERT INTO w (id) VALUES ('11')", 'SAVEPOINT s', 'SELECT 1/0', 'ROLLBACK TO s', 'COMMIT', "SELECT count(*) FROM w WHERE id = '11'");
is($out, '1', 'an error that MongoDB knows nothing of costs nothing');
$mongo->fail_point('failCommand', '{"times": 1}', '{"failCommands": ["aggregate"], "errorCode": 112}');
($out, $err) = session('BEGIN', "INSERT INTO w (id) VALUES ('12')", 'SAVEPOINT s', $count, 'ROLLBACK TO s', $count, 'ROLLBACK', "SELECT count(*) FROM w WHERE id IN ('11', '12')");
like($err, qr/ERROR:  could not read.*transaction has lost its writes/s, 'a read that fails there');
is($out, '1', 'undoes what was written');
sql("DELETE FROM w WHERE id = '11'");
like(error_of("BEGIN READ ONLY; INSERT INTO w (id) VALUES ('p');"), qr/25006/, 'READ ONLY');

# Two sessions, one document: the second to write gives up.
{
	my $holder = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \my $in, '>', \my $got);
	$in = "BEGIN; UPDATE w SET i = 1 WHERE id = '1'; SELECT i FROM w WHERE id = '1';\n";
	$holder->pump until $got =~ /1/;
	like(error_of("UPDATE w SET i = 2 WHERE id = '1'"), qr/40001: could not write to collection "test.w"\n.*\nHINT:  Run the statement again/, 'a document that another transaction has changed');
	$in .= "COMMIT;\n\\q\n";
	$holder->finish;
	is(sql("SELECT i FROM w WHERE id = '1'"), '1', 'who keeps it');
}

# No transaction is left open on the server, and no cursor.
$node->psql('postgres', "BEGIN; INSERT INTO w (id) VALUES ('left'); SELECT 1/0");
my $open = $mongo->command('admin', '{"serverStatus": 1}');
is($open->{transactions}{currentOpen}, 0, 'no transaction is left open');
is($open->{metrics}{cursor}{open}{noTimeout} + $open->{metrics}{cursor}{open}{pinned}, 0, 'nor a cursor pinned');

#
# A server that stands alone
#

sql("CREATE FOREIGN TABLE lone (id text OPTIONS (path '_id'), i int) SERVER alone OPTIONS (database 'test', collection 'lone')");
like(error_of("INSERT INTO lone VALUES ('a', 1)"), qr/0A000: could not begin a transaction of MongoDB\n.*stands alone.*\n.*transactions 'false'/, 'has no transactions');
sql("ALTER SERVER alone OPTIONS (ADD transactions 'false')");
sql("INSERT INTO lone VALUES ('a', 1), ('b', 2)");
sql('BEGIN; UPDATE lone SET i = i + 1; ROLLBACK');
is(sql('SELECT * FROM lone ORDER BY 1'), "a|2\nb|3", 'by option writes take effect at once, and no rollback undoes them');
like(error_of("INSERT INTO lone VALUES ('a', 1)"), qr/23505/, 'errors as ever');
sql("ALTER SERVER alone OPTIONS (ADD updatable 'false')");
like(error_of('DELETE FROM lone'), qr/55000: foreign table "lone" does not allow deletes/, 'a server that is not to be written');
sql("ALTER FOREIGN TABLE lone OPTIONS (ADD updatable 'true')");
is(sql('DELETE FROM lone RETURNING id'), "a\nb", 'but for one table');

#
# Lost connections
#

$mongo->fail_point('failCommand', '{"times": 1}', '{"failCommands": ["insert"], "closeConnection": true}');
like(error_of("INSERT INTO w (id) VALUES ('lost')"), qr/08006/, 'a connection that is lost in an insertion');
is(sql("SELECT count(*) FROM w WHERE id = 'lost'"), '0', 'stores nothing');

done_testing();
