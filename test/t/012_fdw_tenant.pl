# tenant_field: a foreign table shows the documents of the tenant in force, and without a tenant nothing, whoever asks.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Foreign::Node;
use Mongo::Server;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = Mongo::Server->new('main')->start;
my $node  = foreign_node($mongo);

$mongo->insert('test', 'tasks',
	'{"_id": 1, "tenant_id": "tenant-001", "title": "one"}', '{"_id": 2, "tenant_id": "tenant-002", "title": "two"}', '{"_id": 3, "tenant_id": "tenant-001", "title": "three"}',
	'{"_id": 4, "title": "nobody\'s"}', '{"_id": 5, "tenant_id": null, "title": "null\'s"}', '{"_id": 6, "tenant_id": "", "title": "empty"}', '{"_id": 7, "tenant_id": "TENANT-001", "title": "upper case"}',
	'{"_id": 8, "tenant_id": 1, "title": "a number"}', '{"_id": 9, "tenant_id": "$tenant_id", "title": "a field\'s name"}', '{"_id": 10, "tenant_id": {"$oid": "650000000000000000000001"}, "title": "an ObjectId"}',
	'{"_id": 11, "owner": {"tenant": "tenant-002"}, "tenant_id": "tenant-001", "title": "nested"}',
	'{"_id": 12, "tenant_id": ["tenant-001", "tenant-002"], "title": "an array"}', '{"_id": 13, "tenant_id": [["tenant-001"]], "title": "arrays"}',
	'{"_id": 14, "tenant_id": {"tenant_id": "tenant-001"}, "title": "a document"}', '{"_id": 15, "owner": [{"tenant": "tenant-002"}], "title": "an array above"}');
$mongo->command('test', '{"createIndexes": "tasks", "indexes": [{"key": {"tenant_id": 1}, "name": "tenant"}]}');

$node->safe_psql('postgres', qq(
	CREATE FOREIGN TABLE tasks (id int OPTIONS (path '_id'), title text, tenant_id text) SERVER m OPTIONS (database 'test', collection 'tasks', tenant_field 'tenant_id');
	CREATE FOREIGN TABLE by_owner (id int OPTIONS (path '_id')) SERVER m OPTIONS (database 'test', collection 'tasks', tenant_field 'owner.tenant');
	CREATE FOREIGN TABLE everything (id int OPTIONS (path '_id'), title text) SERVER m OPTIONS (database 'test', collection 'tasks');
	CREATE FOREIGN TABLE missing (id int) SERVER m OPTIONS (database 'test', collection 'missing', tenant_field 'tenant_id');
	SELECT tenancy.create_tenant('tenant-001', 'One');
	SELECT tenancy.create_tenant('tenant-002', 'Two');
	SELECT tenancy.create_tenant('650000000000000000000001', 'Looks like an ObjectId');
	CREATE ROLE service LOGIN IN ROLE tenancy_service;
	GRANT SELECT ON tasks TO service;
	CREATE VIEW view_of_owner AS SELECT * FROM tasks;
	GRANT SELECT ON view_of_owner TO service;));

# Runs statements and returns the output of all but set_tenant.
sub as_tenant
{
	my ($tenant, $query) = @_;
	return $node->safe_psql('postgres', "BEGIN; DO \$\$ BEGIN PERFORM tenancy.set_tenant('$tenant'); END \$\$; $query; COMMIT;");
}

# How many commands of ours on the collection MongoDB has been sent.
sub commands
{
	my ($collection) = @_;
	return scalar @{ $mongo->command('test', qq({"find": "system.profile", "filter": {"ns": "test.$collection", "appName": "pg_tenancy"}, "batchSize": 1000}))->{cursor}{firstBatch} };
}
$mongo->command('test', '{"profile": 2}');

#
# Rows
#

is(as_tenant('tenant-001', 'SELECT id FROM tasks ORDER BY 1'), "1\n3\n11", 'a tenant sees its own');
is(as_tenant('tenant-002', 'SELECT id FROM tasks ORDER BY 1'), '2', 'and the other its own');
is(as_tenant('650000000000000000000001', 'SELECT id FROM tasks'), '', 'a tenant is a string, though a text column shows ObjectIds');
is(as_tenant('tenant-001', 'SELECT count(*) FROM tasks'), '3', 'a count');
is(as_tenant('tenant-001', 'SELECT id FROM tasks WHERE id = 2'), '', 'nothing of the other\'s by its key');
is(as_tenant('tenant-001', "SELECT id FROM tasks WHERE tenant_id = 'tenant-002'"), '', 'nor by its tenant');
is(as_tenant('tenant-001', 'SELECT id FROM tasks WHERE title IS NOT NULL OR true ORDER BY id LIMIT 1'), '1', 'with a condition that stays here');
is(as_tenant('tenant-001', 'SELECT count(*) FROM (SELECT * FROM tasks LIMIT 10) _'), '3', 'under LIMIT');
is(as_tenant('tenant-002', 'SELECT id FROM by_owner'), '11', 'a nested field');
is(as_tenant('tenant-001', 'SELECT id FROM tasks ORDER BY id DESC LIMIT 2'), "11\n3", 'under ORDER BY and LIMIT');
is(as_tenant('tenant-001', 'SELECT id FROM tasks ORDER BY title COLLATE "C" LIMIT 10'), "11\n1\n3", 'in a pipeline');
like($node->safe_psql('postgres', 'EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM tasks ORDER BY title LIMIT 10'),
	qr/"pipeline": \[\{"\$match": \{"tenant_id": \{"\$eq": \{"\$param": "tenancy.current_tenant\(\)"\}, "\$not": \{"\$type": "array"\}\}\}\}/, 'whose first stage is the tenant');
is(as_tenant('tenant-001', 'SELECT count(*), sum(id), min(title COLLATE "C") FROM tasks'), '3|15|nested', 'in aggregates');
is(as_tenant('tenant-002', 'SELECT tenant_id, count(*) FROM tasks GROUP BY tenant_id'), 'tenant-002|1', 'in groups');
like($node->safe_psql('postgres', 'EXPLAIN (VERBOSE, COSTS OFF) SELECT title, count(*) FROM tasks GROUP BY title'),
	qr/"pipeline": \[\{"\$match": \{"tenant_id": .*\}, \{"\$group"/, 'after the tenant');
is(as_tenant('tenant-001', 'SELECT tasks.id FROM tasks JOIN everything USING (id) WHERE everything.title = \'one\''), '1', 'in a join');
$node->safe_psql('postgres', "ALTER FOREIGN TABLE tasks OPTIONS (ADD pushdown 'false')");
is(as_tenant('tenant-002', 'SELECT id FROM tasks'), '2', 'pushdown \'false\' does not mean the tenant');
$node->safe_psql('postgres', 'ALTER FOREIGN TABLE tasks OPTIONS (DROP pushdown)');

#
# No tenant: no rows, and MongoDB hears nothing
#

my $before = commands('tasks');
cmp_ok($before, '>', 10, 'the commands of scans are counted');
is($node->safe_psql('postgres', 'SELECT count(*) FROM tasks'), '0', 'without a tenant there are no rows, for a superuser either');
is($node->safe_psql('postgres', 'SELECT count(*), max(id) FROM tasks'), '0|', 'aggregates have one row of nothing');
is($node->safe_psql('postgres', 'SELECT count(*) FROM tasks', extra_params => [ '-U', 'service' ]), '0', 'nor for a service');
like($node->safe_psql('postgres', 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT id FROM tasks'),
	qr/^Foreign Scan on tasks \(actual rows=0(\.00)? loops=1\)$/m, 'nor under EXPLAIN ANALYZE');
is($node->safe_psql('postgres', 'SELECT count(*) FROM missing'), '0', 'nor of a collection that is not there');
is(commands('tasks'), $before, 'and no command is sent');

#
# Plans outlive tenants
#

is($node->safe_psql('postgres', q(
	SET plan_cache_mode = force_generic_plan;
	PREPARE p AS SELECT string_agg(id::text, ',' ORDER BY id) FROM tasks;
	EXECUTE p;
	BEGIN; DO $$ BEGIN PERFORM tenancy.set_tenant('tenant-001'); END $$; EXECUTE p; COMMIT;
	BEGIN; DO $$ BEGIN PERFORM tenancy.set_tenant('tenant-002'); END $$; EXECUTE p; COMMIT;
	EXECUTE p;)), "\n1,3,11\n2\n", 'a prepared plan follows the tenant');
is($node->safe_psql('postgres', q(
	CREATE FUNCTION titles() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM tasks); END';
	SELECT titles();
	BEGIN; DO $$ BEGIN PERFORM tenancy.set_tenant('tenant-001'); END $$; SELECT titles(); COMMIT;
	BEGIN; DO $$ BEGIN PERFORM tenancy.set_tenant('tenant-002'); END $$; SELECT titles(); COMMIT;
	SELECT titles();)), "0\n3\n1\n0", 'so does plpgsql\'s');

# A savepoint takes the tenant back, and an open cursor does not go on as another.
my ($status, $out, $err) = $node->psql('postgres', q(\set VERBOSITY verbose
	BEGIN;
	SAVEPOINT s;
	DO $$ BEGIN PERFORM tenancy.set_tenant('tenant-001'); END $$;
	SELECT count(*) FROM tasks;
	ROLLBACK TO s;
	SELECT count(*) FROM tasks;
	COMMIT;
	BEGIN;
	SET LOCAL app.current_tenant_id = 'tenant-001';
	DECLARE c CURSOR FOR SELECT id FROM tasks;
	FETCH c;
	SELECT tenancy.clear_tenant();
	FETCH c;));
is($out =~ s/\n+$//r, "3\n0\n1", 'rows before the tenant goes');
like($err, qr/ERROR:  55000: no tenant is in force any more/, 'and an error after');

# Groups are kept here before the first one is shown; they are the tenant's all the same.
my $groups = 'DECLARE c CURSOR FOR SELECT title, count(*) FROM tasks GROUP BY title';
($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nBEGIN; SET LOCAL app.current_tenant_id = 'tenant-001'; $groups; FETCH c; SELECT tenancy.clear_tenant(); FETCH c;");
like($out, qr/^\w+\|1\n*$/, 'a cursor on groups: one before the tenant goes');
like($err, qr/ERROR:  55000: no tenant is in force any more/, 'and an error after');
($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nBEGIN; $groups; SAVEPOINT s; SET LOCAL app.current_tenant_id = 'tenant-001'; FETCH c; ROLLBACK TO s; FETCH c;");
like($out, qr/^\w+\|1\n*$/, 'a savepoint that takes the tenant back');
like($err, qr/ERROR:  55000: no tenant is in force any more/, 'ends it as well');

# Rescans ask anew.
is(as_tenant('tenant-002', 'SET LOCAL enable_material = off; SELECT count(*) FROM generate_series(1, 3) i, LATERAL (SELECT id FROM tasks WHERE id >= i - i OFFSET 0) t'), '3', 'rescans');

#
# Writes: a tenant's own documents and no others
#

$node->safe_psql('postgres', q(
	CREATE FOREIGN TABLE written (id int OPTIONS (path '_id'), n int, tenant_id text) SERVER m OPTIONS (database 'test', collection 'written', tenant_field 'tenant_id', truncatable 'true');
	CREATE FOREIGN TABLE hidden (id int OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'test', collection 'written', tenant_field 'tenant_id');
	CREATE FOREIGN TABLE whole (d jsonb OPTIONS (document 'true')) SERVER m OPTIONS (database 'test', collection 'written', tenant_field 'tenant_id');
	CREATE FOREIGN TABLE deep (id int OPTIONS (path '_id'), o jsonb, p jsonb) SERVER m OPTIONS (database 'test', collection 'deep', tenant_field 'o.t');
	CREATE FOREIGN TABLE deep_column (id int OPTIONS (path '_id'), t text OPTIONS (path 'o.t'), x int OPTIONS (path 'o.x')) SERVER m OPTIONS (database 'test', collection 'deep', tenant_field 'o.t');
	CREATE FOREIGN TABLE below (id int OPTIONS (path '_id'), x int OPTIONS (path 'tenant_id.x')) SERVER m OPTIONS (database 'test', collection 'written', tenant_field 'tenant_id');
	CREATE FOREIGN TABLE twice (id int OPTIONS (path '_id'), d json OPTIONS (document 'true')) SERVER m OPTIONS (database 'test', collection 'written', tenant_field 'tenant_id');));
sub refused
{
	my ($tenant, $query, $what, $wanted) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nBEGIN; SET LOCAL app.current_tenant_id = '$tenant'; $query; COMMIT;");
	like($err, $wanted // qr/42501: row of foreign table ".*" would not be the tenant's/, $what);
}
sub stored { return join ' ', map { "$_->{_id}:" . (ref $_->{tenant_id} ? 'not a string' : $_->{tenant_id} // 'none') } $mongo->find_all('test', 'written'); }

is(as_tenant('tenant-001', "INSERT INTO written (id) VALUES (1) RETURNING tenant_id"), 'tenant-001', 'the tenant is filled in');
as_tenant('tenant-001', "INSERT INTO written VALUES (2, 1, 'tenant-001'); INSERT INTO hidden VALUES (3, 1)");
as_tenant('tenant-002', q(INSERT INTO hidden VALUES (4, 1); INSERT INTO whole VALUES ('{"_id": 5, "n": 1}'), ('{"_id": 6, "tenant_id": "tenant-002"}')));
is(stored(), '1:tenant-001 2:tenant-001 3:tenant-001 4:tenant-002 5:tenant-002 6:tenant-002', 'also where no column shows it, and in whole documents');
refused('tenant-001', "INSERT INTO written VALUES (9, 1, 'tenant-002')", 'a row of another tenant');
refused('tenant-001', q(INSERT INTO whole VALUES ('{"_id": 9, "tenant_id": "tenant-002"}')), 'a document of another tenant');
refused('tenant-001', qq(INSERT INTO whole VALUES ('{"_id": 9, "tenant_id": $_}')), "a document of tenant $_") for '["tenant-001"]', 'null', '{"$oid": "650000000000000000000001"}', '{"tenant_id": "tenant-001"}';
refused('tenant-001', q(INSERT INTO twice (d) VALUES ('{"_id": 9, "tenant_id": "tenant-001", "tenant_id": "tenant-002"}')), 'a document that names two');
refused('tenant-001', "UPDATE written SET tenant_id = 'tenant-002'", 'a row moved to another tenant');
refused('tenant-001', 'UPDATE written SET tenant_id = NULL', 'or to nobody');
refused('tenant-001', q(UPDATE whole SET d = '{"n": 1}'), 'a document that loses its tenant');
refused('tenant-001', q(UPDATE whole SET d = '{"tenant_id": "tenant-002"}'), 'or gets another');
refused('tenant-001', 'UPDATE below SET x = 1', 'a path below the tenant', qr/22023:.*\n.*Cannot create field/);
is(as_tenant('tenant-001', 'UPDATE written SET n = 7, tenant_id = tenant_id RETURNING id'), "1\n2\n3", 'an update meets the tenant\'s own');
is(as_tenant('tenant-001', 'UPDATE written SET n = 8 WHERE id = 4 RETURNING id'), '', 'and not the other\'s by its key');
is(as_tenant('tenant-001', 'DELETE FROM written WHERE id IN (3, 4) RETURNING id'), '3', 'nor does a deletion');
is(as_tenant('tenant-002', 'WITH x AS (DELETE FROM hidden RETURNING *) SELECT count(*) FROM x'), '3', 'a deletion of all');
is(stored(), '1:tenant-001 2:tenant-001', 'leaves the other\'s');
as_tenant('tenant-002', 'INSERT INTO written VALUES (5, 1); TRUNCATE written');
is(stored(), '1:tenant-001 2:tenant-001', 'so does TRUNCATE');
refused('tenant-002', 'INSERT INTO written VALUES (1, 1)', 'another tenant\'s key is taken', qr/23505/);
is(as_tenant('tenant-002', 'INSERT INTO written VALUES (1, 1) ON CONFLICT DO NOTHING RETURNING id'), '', 'also to ON CONFLICT');
for my $query ('INSERT INTO written VALUES (9, 1)', 'UPDATE written SET n = 1', 'DELETE FROM written', 'TRUNCATE written')
{
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query");
	like($err, qr/55000: no tenant is in force/, "without a tenant: $query");
}
is(stored(), '1:tenant-001 2:tenant-001', 'nothing has changed');

as_tenant('tenant-001', q(INSERT INTO deep VALUES (1, '{"t": "tenant-001", "x": 1}'), (2, NULL); INSERT INTO deep_column (id, x) VALUES (3, 5)));
is(as_tenant('tenant-001', 'SELECT id, t FROM deep_column ORDER BY id'), "1|tenant-001\n2|tenant-001\n3|tenant-001", 'a nested field is filled in');
refused('tenant-001', qq(INSERT INTO deep VALUES (9, '$_')), "a nested field in $_") for '{"t": "tenant-002"}', '{"x": 1}', '5', '[{"t": "tenant-001"}]';
refused('tenant-001', qq(UPDATE deep SET o = $_), "a nested field that becomes $_") for q('{"t": "tenant-002"}'), q('{}'), 'NULL', q('"x"');
is(as_tenant('tenant-001', 'UPDATE deep SET p = \'1\' RETURNING id'), "1\n2\n3", 'beside it all goes');

# The tenant that a transaction began with is the one that it commits as; a prepared statement follows.
is($node->safe_psql('postgres', q(
	PREPARE p(int) AS INSERT INTO hidden VALUES ($1, 0);
	BEGIN; SET LOCAL app.current_tenant_id = 'tenant-001'; EXECUTE p(101); COMMIT;
	BEGIN; SET LOCAL app.current_tenant_id = 'tenant-002'; EXECUTE p(102); COMMIT;)) . stored(), '1:tenant-001 2:tenant-001 101:tenant-001 102:tenant-002', 'a prepared INSERT follows the tenant');

#
# Privileges
#

is($node->safe_psql('postgres', "BEGIN; DO \$\$ BEGIN PERFORM tenancy.set_tenant('tenant-001'); END \$\$; SELECT count(*) FROM tasks; SELECT count(*) FROM view_of_owner; COMMIT", extra_params => [ '-U', 'service' ]),
	"3\n3", 'a service under a tenant, by the table and by a view');
($status, $out, $err) = $node->psql('postgres', 'SELECT * FROM everything', extra_params => [ '-U', 'service' ]);
like($err, qr/permission denied for foreign table everything/, 'and not where it has no privilege');
($status, $out, $err) = $node->psql('postgres', "BEGIN; SELECT tenancy.set_tenant('tenant-001'); DELETE FROM tasks", extra_params => [ '-U', 'service' ]);
like($err, qr/permission denied for foreign table tasks/, 'nor may it write where it may read');

# The key itself may be the tenant: one document each.
$node->safe_psql('postgres', "CREATE FOREIGN TABLE own (id text OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'test', collection 'own', tenant_field '_id')");
$mongo->insert('test', 'own', '{"_id": "tenant-002", "n": 2}');
is(as_tenant('tenant-001', 'INSERT INTO own (n) VALUES (1); UPDATE own SET n = n + 10; SELECT * FROM own'), 'tenant-001|11', 'a tenant whose key is the tenant');
is(as_tenant('tenant-002', 'DELETE FROM own RETURNING *'), 'tenant-002|2', 'and another');
is(as_tenant('tenant-001', 'SELECT * FROM own'), 'tenant-001|11', 'each its own');

done_testing();
