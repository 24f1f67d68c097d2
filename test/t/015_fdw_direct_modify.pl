# UPDATE and DELETE by one command: when, what is sent, whose documents, and how it ends.  014 compares what is changed with what
# is changed row by row.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Foreign::Node;
use Mongo::Server;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = Mongo::Server->new('main')->start;
my $node  = foreign_node($mongo, "timezone = 'UTC'");
$node->safe_psql('postgres', qq(
	CREATE SERVER at_once FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0', transactions 'false');
	CREATE FOREIGN TABLE items (id int OPTIONS (path '_id'), n int, t text, ts timestamptz, x int OPTIONS (path 'a.x'), o text OPTIONS (object_id 'true')) SERVER m OPTIONS (database 'test', collection 'items');
	CREATE FOREIGN TABLE items_at_once (id int OPTIONS (path '_id'), n int) SERVER at_once OPTIONS (database 'test', collection 'items');
	CREATE FOREIGN TABLE documents (n int, d jsonb OPTIONS (document 'true')) SERVER m OPTIONS (database 'test', collection 'items');
	CREATE FOREIGN TABLE strict (id int OPTIONS (path '_id'), n int NOT NULL, t text, CHECK (n < 50 OR t = 'x')) SERVER m OPTIONS (database 'test', collection 'items');
	CREATE TABLE log (line text);
	CREATE TABLE local (i int);
	INSERT INTO local VALUES (1), (2);));

sub plan_of { return $node->safe_psql('postgres', "EXPLAIN (VERBOSE, COSTS OFF) $_[0]"); }
sub fresh
{
	$mongo->delete('test', 'items', '{}');
	$mongo->insert('test', 'items', map { qq({"_id": $_, "n": $_, "t": "t$_", "other": {"\$numberLong": "$_"}}) } 1 .. 100);
	return;
}
sub tag { my ($statement) = @_; my ($out) = run_command([ 'psql', '-XAt', '-d', $node->connstr('postgres'), '-c', $statement ]); return $out; }
sub commands { my ($name) = @_; return $mongo->command('admin', '{"serverStatus": 1}')->{metrics}{commands}{$name}{total}; }

#
# When
#

fresh();
my $updates = commands('update');
is(tag("UPDATE items SET t = 'x', ts = '2024-05-01 12:00:00.123456Z', n = NULL, x = 5, o = '650000000000000000000001' WHERE n <= 10"), 'UPDATE 10', 'the tag counts');
is(commands('update') - $updates, 1, 'one command');
is($mongo->command_text('test', '{"find": "items", "filter": {"_id": 3}}') =~ s/.*"firstBatch" ?: ?\[(.*?)\], "id" ?:.*/$1/r,
	' { "_id" : 3, "t" : "x", "other" : { "$numberLong" : "3" }, "a" : { "x" : 5 }, "o" : { "$oid" : "650000000000000000000001" }, "ts" : { "$date" : "2024-05-01T12:00:00.123Z" } } ' =~ s/\{ "\$numberLong" : "3" \}/3/r,
	'values of every type, paths, NULL that takes the field away');
is(tag('DELETE FROM items WHERE n BETWEEN 11 AND 30'), 'DELETE 20', 'a deletion');
is(tag('DELETE FROM items WHERE id = 31'), 'DELETE 1', 'of one key');
is(tag('DELETE FROM items WHERE id = 31'), 'DELETE 0', 'of none');
is(tag("UPDATE items SET t = 'y' WHERE n = -5"), 'UPDATE 0', 'nothing to update');
is(tag('UPDATE items SET n = (SELECT 7)'), 'UPDATE 79', 'all of them');
is(tag('DELETE FROM items'), 'DELETE 79', 'all of them');
is(scalar $mongo->find_all('test', 'items'), 0, 'and nothing is left');
like(plan_of('DELETE FROM items WHERE false'), qr/One-Time Filter: false/, 'what cannot be');
is(tag('UPDATE items SET n = 1 / (n - n + 1 - 1) WHERE n = 3'), 'UPDATE 0', 'a value that is never computed');
is(tag('UPDATE items SET n = 1 / (SELECT 0) WHERE n = 3'), 'UPDATE 0', 'nor this one');
fresh();
like(error_of('UPDATE items SET n = 1 / (SELECT 0) WHERE n = 3'), qr/22012/, 'but where there is a row');

like(plan_of($_), qr/Foreign (Update|Delete) on public.items/, "by one command: $_")
	for "UPDATE items SET t = 'x' WHERE n = 5", 'DELETE FROM items', 'UPDATE items SET n = (SELECT max(i) FROM local) WHERE n = (SELECT max(n) FROM items)', "UPDATE items i SET t = now()::text WHERE i.id IN (1, 2)",
	"WITH w AS (SELECT max(i) AS m FROM local) DELETE FROM items WHERE n = (SELECT m FROM w)";
sql('CREATE VIEW checked AS SELECT * FROM items WHERE n < 50 WITH CHECK OPTION; CREATE VIEW plain AS SELECT * FROM items WHERE n < 50');
like(plan_of('UPDATE plain SET t = NULL'), qr/Foreign Update on public.items/, 'by one command: a view');
unlike(plan_of($_), qr/Foreign (Update|Delete)/, "row by row: $_")
	for "UPDATE items SET t = 'x' RETURNING n", 'DELETE FROM items RETURNING n', 'UPDATE items SET n = n + 1', 'UPDATE items SET n = (random() * 10)::int', 'DELETE FROM items WHERE n % 2 = 0', "DELETE FROM items WHERE t LIKE 'a%b'",
	'UPDATE items SET t = NULL FROM local WHERE i = n', 'DELETE FROM items USING local WHERE i = n', 'UPDATE checked SET n = 5', 'WITH d AS (DELETE FROM items) SELECT 1', 'WITH i AS (INSERT INTO local VALUES (3)) DELETE FROM items',
	"UPDATE documents SET d = '{}' WHERE n = 1", 'UPDATE items SET n = (SELECT i FROM local WHERE i = items.id)';
like(plan_of("UPDATE items SET n = 5, t = NULL, ts = now() WHERE n < 10"),
	qr/Remote database: test\n +Remote check: \{"find": "items", "filter": \{"n": \{"\$lt": 10\}\}, "projection": .*\n +Remote command: \{"update": "items", "updates": \[\{"q": \{"n": \{"\$lt": 10\}\}, "u": \{"\$set": \{"n": 5, "ts": \{"\$param": "now\(\)"\}\}, "\$unset": \{"t": ""\}\}, "multi": true, /,
	'EXPLAIN shows the command');
unlike(plan_of('DELETE FROM items WHERE id = 1'), qr/Remote check/, 'a deletion by key needs no look');

# Triggers for each row want the rows; those of a statement see what was and what is.
sql(q(CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log SELECT TG_WHEN || count(*) FROM items WHERE t = ''z''; RETURN NULL; END';
	CREATE TRIGGER before BEFORE UPDATE ON items EXECUTE FUNCTION note();
	CREATE TRIGGER after AFTER UPDATE ON items EXECUTE FUNCTION note();));
is(sql("UPDATE items SET t = 'z' WHERE n > 90; SELECT line FROM log"), "BEFORE0\nAFTER10", 'triggers of the statement');
sql(q(CREATE TRIGGER each AFTER UPDATE ON items FOR EACH ROW EXECUTE FUNCTION note()));
unlike(plan_of("UPDATE items SET t = 'z'"), qr/Foreign Update/, 'row by row: a trigger for each row');
sql('DROP TRIGGER before ON items; DROP TRIGGER after ON items; DROP TRIGGER each ON items');

# Partitions
sql(q(CREATE TABLE parted (id int, n int, t text) PARTITION BY RANGE (n); CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (-1000) TO (0);
	CREATE FOREIGN TABLE parted_items PARTITION OF parted FOR VALUES FROM (0) TO (1000) SERVER m OPTIONS (database 'test', collection 'items');
	ALTER FOREIGN TABLE parted_items ALTER id OPTIONS (ADD path '_id')));
like(plan_of("UPDATE parted SET t = 'p' WHERE n = 5"), qr/Foreign Update on public.parted_items/, 'the one partition that is left');
is(tag("UPDATE parted SET t = 'p' WHERE n = 5"), 'UPDATE 1', 'is updated');
is(tag("UPDATE parted SET t = 'p' WHERE id = 6"), 'UPDATE 1', 'and one of several, row by row');
is(sql("SELECT string_agg(id::text, ',' ORDER BY id) FROM items WHERE t = 'p'"), '5,6', 'both');

#
# What does not fit, and what is refused
#

fresh();
$mongo->insert('test', 'items', '{"_id": 200, "n": 200, "t": 5}', '{"_id": 201, "n": "many"}', '{"_id": 202, "n": [7], "t": "array"}');
like(error_of('UPDATE items SET x = 1 WHERE n > 99'), qr/42804: field "t" of document 200 does not fit/, 'a column that is only read');
is(sql('SELECT count(x) FROM items WHERE id <= 100'), '0', 'and nothing is changed');
like(error_of('DELETE FROM items WHERE n = 7'), qr/42804: field "n" of document 202 does not fit/, 'an array that holds the value');
is(tag('DELETE FROM items WHERE n > 199'), 'DELETE 1', 'a deletion looks at what it compares');
is(sql('SELECT count(*) FROM documents'), '102', 'and nothing else');
like(error_of("UPDATE items SET id = 5 WHERE n = 4"), qr/0A000: the _id of a document cannot be changed/, 'a key stays');
like(error_of("UPDATE items SET o = 'zz' WHERE n = 4"), qr/22P02/, 'a value that cannot be stored');
like(error_of("UPDATE items SET ts = 'infinity' WHERE n = 4"), qr/22008/, 'nor this one');
is(tag("UPDATE items SET ts = 'infinity' WHERE n = 400"), 'UPDATE 0', 'where there is a row');
like(error_of('UPDATE strict SET n = 60 WHERE n = 4'), qr/23514:.*violates check constraint/, 'CHECK');
like(error_of("UPDATE strict SET t = 'y' WHERE n > 40"), qr/23514:.*violates check constraint/, 'of which every row counts');
is(tag("UPDATE strict SET t = 'x' WHERE n > 40"), 'UPDATE 60', 'also where they pass');
like(error_of('UPDATE strict SET n = NULL WHERE n = 4'), qr/23502/, 'NOT NULL');
$mongo->command('test', '{"createIndexes": "items", "indexes": [{"key": {"a.x": 1}, "name": "x", "unique": true, "partialFilterExpression": {"a.x": {"$exists": true}}}]}');
like(error_of('UPDATE items SET x = 1 WHERE n IN (1, 2)'), qr/23505:.*\n.*E11000/, 'a unique index');
is(sql('SELECT count(x) FROM items'), '0', 'and nothing of it is stored');
$mongo->update('test', 'items', '{"_id": 1}', '{"$set": {"a": 5}}');
like(error_of('UPDATE items SET x = 1 WHERE n = 1'), qr/22023:.*\n.*Cannot create field 'x'/, 'a field below a number');
$mongo->command('test', '{"collMod": "items", "validator": {"n": {"$lt": 5000}}}');
like(error_of('UPDATE items SET n = 5000 WHERE n = 3'), qr/23514:.*\n.*failed validation/, 'a validator');

#
# Transactions
#

fresh();
my $count = "SELECT count(*) FROM items WHERE t = 'new'";
is(sql("BEGIN; UPDATE items SET t = 'new' WHERE n <= 10; $count; DELETE FROM items WHERE t = 'new'; SELECT count(*) FROM items; ROLLBACK; SELECT count(*) FROM items WHERE t = 't5'; SELECT count(*) FROM items"), "10\n90\n1\n100", 'ROLLBACK undoes it');
is(sql("BEGIN; SAVEPOINT s; UPDATE items SET t = 'new'; ROLLBACK TO s; UPDATE items SET t = 'new' WHERE n = 1; COMMIT; $count"), '1', 'a savepoint before all writes');
like(error_of("BEGIN; UPDATE items SET t = 'new' WHERE n = 2; SAVEPOINT s; DELETE FROM items WHERE n = 3; ROLLBACK TO s; COMMIT;"), qr/25P02: transaction has lost its writes/, 'one between writes');
is(sql($count, ';SELECT count(*) FROM items'), "1\n100", 'stores nothing');
is(sql("BEGIN; INSERT INTO items (id, n) VALUES (500, 500); UPDATE items SET t = 'own' WHERE n >= 100; COMMIT; SELECT count(*) FROM items WHERE t = 'own'"), '2', 'it sees what the transaction wrote');
is(sql("DO \$\$ BEGIN BEGIN UPDATE items SET t = 'undone'; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END; END \$\$; SELECT count(*) FROM items WHERE t = 'undone'"), '0', 'an exception undoes it');
{
	my $holder = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \my $in, '>', \my $got);
	$in = "BEGIN; UPDATE items SET n = -1 WHERE id = 1; SELECT 'held';\n";
	$holder->pump until $got =~ /held/;
	like(error_of("UPDATE items SET n = -2 WHERE id < 10"), qr/40001: could not write to collection "test.items"\n.*\nHINT:  Run the statement again/, 'a document that another transaction has changed');
	$in .= "COMMIT;\n\\q\n";
	$holder->finish;
	is(sql('SELECT n FROM items WHERE id = 1'), '-1', 'who keeps it');
}
is(tag('UPDATE items_at_once SET n = 9 WHERE id IN (8, 9)'), 'UPDATE 2', 'without transactions');
is(sql('BEGIN; DELETE FROM items_at_once WHERE n = 9; ROLLBACK; SELECT count(*) FROM items WHERE id IN (8, 9)'), '0', 'it takes effect at once');
like(error_of("BEGIN READ ONLY; DELETE FROM items"), qr/25006/, 'READ ONLY');
is(sql('SET plan_cache_mode = force_generic_plan; PREPARE u(text, int) AS UPDATE items SET t = $1 WHERE n = $2;', map({ "EXECUTE u('by $_', $_);" } 20 .. 22), "EXECUTE u(NULL, 23); EXECUTE u('x', NULL);", "SELECT string_agg(coalesce(t, '-'), ',' ORDER BY n) FROM items WHERE n BETWEEN 20 AND 24"),
	'by 20,by 21,by 22,-,t24', 'a prepared UPDATE');
is($mongo->command('admin', '{"serverStatus": 1}')->{transactions}{currentOpen}, 0, 'no transaction is left open');

# A wait ends when it shall, and what MongoDB ends is said to be so.
my $before = sql('SELECT md5(string_agg(d::text, \'\' ORDER BY n)) FROM documents');
$mongo->fail_point('failCommand', '{"times": 1}', '{"failCommands": ["update"], "blockConnection": true, "blockTimeMS": 3000}');
like(error_of("SET statement_timeout = '300ms'; UPDATE items SET t = 'late'"), qr/57014: canceling statement due to statement timeout/, 'statement_timeout');
$mongo->fail_point('failCommand', '{"times": 1}', '{"failCommands": ["update"], "errorCode": 251}');
like(error_of("UPDATE items SET t = 'late'"), qr/40001:.*\n.*\nHINT:  MongoDB has ended the transaction\. .*transactionLifetimeLimitSeconds/, 'a transaction that MongoDB has ended');
$mongo->fail_point('failCommand', '{"times": 1}', '{"failCommands": ["delete"], "errorCode": 388}');
like(error_of('DELETE FROM items'), qr/54000:.*\n.*\nHINT:  Write fewer rows in one transaction/, 'one that is too large');
$mongo->fail_point('failCommand', '{"times": 1}', '{"failCommands": ["update"], "closeConnection": true}');
like(error_of("UPDATE items SET t = 'late'"), qr/08006/, 'a connection that is lost');
is(sql('SELECT md5(string_agg(d::text, \'\' ORDER BY n)) FROM documents'), $before, 'nothing of these is stored');

#
# Tenants: nobody changes another's documents, and nobody gives his own away
#

$mongo->insert('shared', 'tasks', map({ my $t = $_; map { qq({"_id": "$t$_", "tenant_id": "tenant-00$t", "n": $_}) } 1 .. 5 } 1, 2), '{"_id": "both", "tenant_id": ["tenant-001", "tenant-002"], "n": 1}', '{"_id": "none", "n": 1}', '{"_id": "null", "tenant_id": null, "n": 1}');
$mongo->insert("tenant_$_" . '_db', 'tasks', map { qq({"_id": $_, "n": $_}) } 1 .. 5) for 'tenant-001', 'tenant-002';
sql(q(SELECT tenancy.create_tenant('tenant-001', 'one'); SELECT tenancy.create_tenant('tenant-002', 'two');
	CREATE FOREIGN TABLE tasks (id text OPTIONS (path '_id'), tenant_id text, n int, note text) SERVER m OPTIONS (database 'shared', collection 'tasks', tenant_field 'tenant_id');
	CREATE FOREIGN TABLE alias (id text OPTIONS (path '_id'), owner text OPTIONS (path 'tenant_id'), n int) SERVER m OPTIONS (database 'shared', collection 'tasks', tenant_field 'tenant_id');
	CREATE FOREIGN TABLE nameless (id text OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'shared', collection 'tasks', tenant_field 'tenant_id');
	CREATE FOREIGN TABLE routed (id int OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'tenant_{tenant}_db', collection 'tasks');
	CREATE VIEW through AS SELECT * FROM tasks;
	CREATE ROLE service LOGIN IN ROLE tenancy_service;
	GRANT SELECT, INSERT, UPDATE, DELETE ON tasks, alias, nameless, routed, through TO service;));

sub in_context { my ($tenant, $query) = @_; return "BEGIN; DO \$\$ BEGIN PERFORM tenancy.set_tenant('$tenant'); END \$\$; $query; COMMIT;"; }
sub as_tenant { return $node->safe_psql('postgres', in_context(@_), extra_params => [ '-U', 'service' ]); }
sub refused_as { my ($tenant, $query) = @_; my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n" . in_context($tenant, $query), extra_params => [ '-U', 'service' ]); return $err; }
sub others { return join ';', map { $mongo->command_text('shared', qq({"find": "tasks", "filter": $_, "sort": {"_id": 1}})) =~ s/.*"firstBatch" ?: ?(\[.*?\]), "id" ?:.*/$1/r } '{"_id": {"$not": {"$regex": "^1"}}}'; }
my $theirs = others();

like(as_tenant('tenant-001', "EXPLAIN (VERBOSE, COSTS OFF) UPDATE tasks SET note = 'x'"), qr/Foreign Update.*Remote command: \{"update": "tasks", "updates": \[\{"q": \{"tenant_id": \{"\$eq": \{"\$param": "tenancy.current_tenant\(\)"\}, "\$not": \{"\$type": "array"\}\}\}/s, 'the tenant is in the command');
is(as_tenant('tenant-001', "UPDATE $_ SET n = 50"), '', "all of $_") for 'tasks', 'alias', 'nameless', 'through';
is(as_tenant('tenant-001', "UPDATE tasks SET note = 'mine' WHERE $_"), '', "where $_")
	for "id = '21'", "id IN ('11', '21', 'both', 'none')", "tenant_id = 'tenant-002'", "tenant_id = 'tenant-002' OR true", 'tenant_id IS NULL OR n = 1', "tenant_id <> 'tenant-001'", "tenant_id IN ('tenant-001', 'tenant-002')", 'NOT (n = 50)', 'n IS NOT NULL OR n IS NULL';
is(as_tenant('tenant-001', "DELETE FROM alias WHERE $_"), '', "a deletion where $_") for "id = '21'", "owner = 'tenant-002'", "owner IS NULL", "n = 1 OR owner <> 'tenant-001'";
is(others(), $theirs, 'others\' documents, and nobody\'s, are as they were');
is(as_tenant('tenant-001', "SELECT count(*), count(note), min(n) FROM tasks"), '5|5|50', 'the tenant\'s are changed');
like(refused_as('tenant-001', $_), qr/42501: row of foreign table "\w+" would not be the tenant's\nDETAIL:  Field "tenant_id" must be the tenant in force, "tenant-001"/, "$_ is refused")
	for "UPDATE tasks SET tenant_id = 'tenant-002'", "UPDATE tasks SET tenant_id = NULL WHERE n = 50", "UPDATE alias SET owner = 'tenant-002', n = 3", "UPDATE through SET tenant_id = 'tenant-002' WHERE id = '11'", "UPDATE tasks SET tenant_id = (SELECT 'tenant-002')";
is(as_tenant('tenant-001', "UPDATE tasks SET tenant_id = 'tenant-001', n = 51"), '', 'the tenant itself is not');
like(refused_as('tenant-001', "UPDATE tasks SET tenant_id = 'tenant-002' WHERE id = '21'; SELECT 1/0"), qr/22012/, 'where there is no row nothing is refused');
like(error_of("$_"), qr/55000: no tenant is in force/, "without a tenant: $_") for 'UPDATE tasks SET n = 1', 'DELETE FROM nameless', 'DELETE FROM routed';
is($node->safe_psql('postgres', join("\n", "SET plan_cache_mode = force_generic_plan; PREPARE u(int) AS UPDATE nameless SET n = \$1; PREPARE d(int) AS DELETE FROM routed WHERE id = \$1;",
	map({ in_context($_, 'EXECUTE u(' . substr($_, -1) . '); EXECUTE d(' . substr($_, -1) . ')') } 'tenant-001', 'tenant-002', 'tenant-001')), extra_params => [ '-U', 'service' ]), '', 'prepared, with a switch of tenant');
is(as_tenant('tenant-001', 'SELECT min(n), max(n) FROM tasks'), '1|1', 'each meets its own');
is(as_tenant('tenant-002', 'SELECT min(n), max(n) FROM tasks'), '2|2', 'and the other');
is(join(',', map { as_tenant($_, "SELECT string_agg(id::text, '' ORDER BY id) FROM routed") } 'tenant-001', 'tenant-002'), '2345,1345', 'in the tenant\'s database too');
is(scalar $mongo->find_all('shared', 'tasks', '{"_id": {"$in": ["both", "none", "null"]}, "n": 1}'), 3, 'nobody\'s documents stay');
# A trigger that switches the tenant in the middle of the statement does not get it done for another.
sql(q(CREATE FUNCTION switch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN PERFORM tenancy.set_tenant(''tenant-002''); RETURN NULL; END';
	CREATE TRIGGER s BEFORE UPDATE ON tasks EXECUTE FUNCTION switch()));
like(refused_as('tenant-001', 'UPDATE tasks SET n = 77'), qr/ERROR:  (25001|55000)/, 'a switch in the middle');
is(scalar $mongo->find_all('shared', 'tasks', '{"n": 77}'), 0, 'changes nothing');

done_testing();
