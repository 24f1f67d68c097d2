# database 'tenant_{tenant}_db': a foreign table over the database of the tenant in force, and of no other, by whatever path.

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

# Tenants whose ids fold to one another's neighbours, and one whose database is not there.
$mongo->insert('tenant_tenant-001_db', 'insights', '{"_id": 1, "t": "one", "n": 1}', '{"_id": 2, "t": "one", "n": 2}');
$mongo->insert('tenant_tenant-002_db', 'insights', '{"_id": 1, "t": "two", "n": 10}', '{"_id": 3, "t": "two", "n": 30}', '{"_id": 4, "t": "two", "n": 40}');
$mongo->insert('tenant_tenant-002_db', 'secret', '{"_id": 1, "word": "swordfish"}');
$mongo->insert('tenant_a_db', 'insights', '{"_id": 1, "t": "a"}');
$mongo->insert('tenant__db', 'insights', '{"_id": 1, "t": "nobody"}');
$mongo->insert('tenant_{tenant}_db', 'insights', '{"_id": 1, "t": "literal"}');
$mongo->insert('shared', 'insights', '{"_id": 1, "t": "shared", "tenant_id": "tenant-001"}');

$node->safe_psql('postgres', qq(
	CREATE FOREIGN TABLE insights (id int OPTIONS (path '_id'), t text, n int) SERVER m OPTIONS (database 'tenant_{tenant}_db', collection 'insights', truncatable 'true');
	CREATE FOREIGN TABLE bound (id int OPTIONS (path '_id'), t text, owner text) SERVER m OPTIONS (database 'tenant_{tenant}_db', collection 'both', tenant_field 'owner');
	CREATE FOREIGN TABLE mentions (id int OPTIONS (path '_id'), insight int) SERVER m OPTIONS (database 'database_of_tenant_{tenant}', collection 'mentions');
	CREATE FOREIGN TABLE anywhere (id int OPTIONS (path '_id'), t text) SERVER m OPTIONS (database '{tenant}', collection 'insights');
	SELECT tenancy.create_tenant(id, id) FROM unnest('{tenant-001,tenant-002,a,tenant-003,admin,LOCAL,local-1}'::text[]) id;
	SELECT tenancy.create_tenant(repeat('x', 50), 'long');
	CREATE ROLE service LOGIN IN ROLE tenancy_service;
	CREATE VIEW through AS SELECT * FROM insights;
	CREATE FUNCTION count_insights() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM insights); END';
	GRANT SELECT ON through TO service;
	GRANT SELECT, INSERT, UPDATE, DELETE ON insights, bound TO service;));

sub in_context { my ($tenant, $query) = @_; return "BEGIN; DO \$\$ BEGIN PERFORM tenancy.set_tenant('$tenant'); END \$\$; $query; COMMIT;"; }
sub as_tenant { my ($tenant, $query, %options) = @_; return $node->safe_psql('postgres', in_context($tenant, $query), %options); }
sub refused
{
	my ($query, $wanted, $what, %options) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query", %options);
	like($err, $wanted, $what);
	return $err;
}

#
# Reads
#

is(as_tenant('tenant-001', 'SELECT string_agg(id || t, \',\' ORDER BY id) FROM insights'), '1one,2one', 'a tenant reads its database');
is(as_tenant('tenant-002', 'SELECT string_agg(id || t, \',\' ORDER BY id) FROM insights'), '1two,3two,4two', 'and the other its own');
is(as_tenant('a', 'SELECT t FROM insights'), 'a', 'and a third');
is(as_tenant('tenant-001', 'SELECT count(*), sum(n) FROM insights'), '2|3', 'aggregates');
is(as_tenant('tenant-002', 'SELECT id FROM insights WHERE n > 5 ORDER BY id DESC LIMIT 2'), "4\n3", 'conditions, order, LIMIT');
is(as_tenant('tenant-001', "SELECT count(*) FROM insights WHERE t = 'two'"), '0', 'no condition shows another\'s');
is(as_tenant('tenant-001', 'SELECT t FROM through', extra_params => [ '-U', 'service' ]), "one\none", 'through a view');
is(as_tenant('tenant-002', 'SELECT count_insights()'), '3', 'through a function');
is(as_tenant('tenant-002', 'SELECT count(*) FROM generate_series(1, 2) i, LATERAL (SELECT id FROM insights WHERE id >= i - i OFFSET 0) t'), '6', 'rescans');
is(as_tenant('tenant-001', 'SELECT a.id FROM insights a JOIN insights b USING (id) ORDER BY 1'), "1\n2", 'joined with itself');
my $plan = as_tenant('tenant-001', 'EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM insights');
like($plan, qr/Remote database: tenant_\{tenant\}_db/, 'EXPLAIN shows the option');
is($node->safe_psql('postgres', 'EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM insights'), $plan, 'also without a tenant');

# An empty answer is looked into once for each database, not at each scan.
sub lists { return $mongo->command('admin', '{"serverStatus": 1}')->{metrics}{commands}{listCollections}{total}; }
my $lists = lists();
my $empty = 'PERFORM 1 FROM insights WHERE id = 999;';
$node->safe_psql('postgres', join "\n", map { in_context($_, "DO \$\$ BEGIN $empty $empty $empty $empty END \$\$") } 'tenant-001', 'tenant-002', 'tenant-001');
is(lists() - $lists, 2, 'twelve empty scans of two databases ask twice for the collection');
refused(in_context('tenant-002', 'SELECT id FROM insights WHERE id = 999') . in_context('tenant-003', 'SELECT id FROM insights'), qr/HV00R: collection "tenant_tenant-003_db\.insights" of foreign table "insights" does not exist/, 'what is known of one says nothing of another');

# Nobody's database is none.
my $without = qr/ERROR:  55000: no tenant is in force\nDETAIL:  Database "tenant_\{tenant\}_db" is the tenant's\.\nHINT:  SELECT tenancy\.set_tenant/;
refused($_, $without, "without a tenant: $_") for 'SELECT * FROM insights', 'SELECT count(*) FROM insights', 'SELECT * FROM through', 'SELECT count_insights()', 'SELECT * FROM bound', 'EXPLAIN ANALYZE SELECT * FROM insights';

#
# A switch of tenant
#

is($node->safe_psql('postgres', join("\n", 'SET plan_cache_mode = force_generic_plan; PREPARE p AS SELECT string_agg(t, \',\' ORDER BY id) FROM insights; PREPARE v(int) AS SELECT t FROM through WHERE id = $1;',
	map { in_context($_, 'EXECUTE p; EXECUTE v(1); SELECT count_insights()') } 'tenant-001', 'tenant-002', 'tenant-001')), "one,one\none\n2\ntwo,two,two\ntwo\n3\none,one\none\n2", 'prepared plans, views and functions follow');
refused("PREPARE p AS SELECT t FROM insights;\n" . in_context('tenant-001', 'EXECUTE p') . 'EXECUTE p;', $without, 'to nobody as well');
my ($status, $out, $err) = $node->psql('postgres', q(\set VERBOSITY verbose
	BEGIN;
	SAVEPOINT s;
	SET LOCAL app.current_tenant_id = 'tenant-001';
	DECLARE c CURSOR FOR SELECT id FROM insights;
	FETCH c;
	SELECT tenancy.clear_tenant();
	FETCH c;));
like($err, qr/ERROR:  55000: /, 'an open cursor does not go on without its tenant');

#
# Writes
#

as_tenant('tenant-001', "INSERT INTO insights VALUES (5, 'new', 5); UPDATE insights SET n = 6 WHERE id IN (1, 3); DELETE FROM insights WHERE id = 2", extra_params => [ '-U', 'service' ]);
sub stored { return join ' ', map { "$_->{_id}:$_->{n}" } $mongo->find_all("tenant_$_[0]_db", 'insights'); }
is(stored('tenant-001'), '1:6 5:5', 'written is the tenant\'s database');
is(stored('tenant-002'), '1:10 3:30 4:40', 'and no other');
is($node->safe_psql('postgres', join("\n", 'PREPARE i(int) AS INSERT INTO insights VALUES ($1, \'p\', $1);', in_context('tenant-001', 'EXECUTE i(7)'), in_context('tenant-002', 'EXECUTE i(8)'))) . stored('tenant-001') . ' | ' . stored('tenant-002'),
	'1:6 5:5 7:7 | 1:10 3:30 4:40 8:8', 'a prepared INSERT follows');
as_tenant('tenant-001', "COPY insights FROM PROGRAM 'echo 9,copied,9' CSV");
is(stored('tenant-001'), '1:6 5:5 7:7 9:9', 'COPY');
as_tenant('tenant-001', 'TRUNCATE insights');
is(stored('tenant-001') . ' | ' . stored('tenant-002'), ' | 1:10 3:30 4:40 8:8', 'TRUNCATE');
$node->safe_psql('postgres', "BEGIN; SET LOCAL app.current_tenant_id = 'tenant-002'; INSERT INTO insights VALUES (50, 'x', 1); ROLLBACK");
is(stored('tenant-002'), '1:10 3:30 4:40 8:8', 'a rollback');
refused($_, qr/ERROR:  55000: no tenant is in force/, "without a tenant: $_") for "INSERT INTO insights VALUES (60, 'x', 1)", 'UPDATE insights SET n = 1', 'DELETE FROM insights', 'TRUNCATE insights', "INSERT INTO bound VALUES (1, 'x')";
is(as_tenant('tenant-001', "INSERT INTO bound VALUES (1, 'mine') RETURNING owner"), 'tenant-001', 'with a tenant_field as well');
$mongo->insert('tenant_tenant-001_db', 'both', '{"_id": 2, "t": "astray", "owner": "tenant-002"}');
is(as_tenant('tenant-001', 'SELECT t FROM bound'), 'mine', 'both bind');
$mongo->command('tenant_tenant-002_db', '{"collMod": "insights", "validator": {"n": {"$lt": 100}}}');
refused(in_context('tenant-002', "INSERT INTO insights VALUES (99, 'x', 1000)"), qr/23514/, 'the validator is the tenant\'s');
is(as_tenant('tenant-001', "INSERT INTO insights VALUES (99, 'x', 1000) RETURNING n"), '1000', 'and not the other\'s');

#
# Databases that are not there, and what errors tell
#

my $missing = refused(in_context('tenant-003', 'SELECT * FROM insights'), qr/HV00R: collection "tenant_tenant-003_db\.insights" of foreign table "insights" does not exist/, 'a tenant without a database');
unlike($missing, qr/tenant-00[12]/, 'hears of no other');
is(as_tenant('tenant-001', 'SELECT count(*) FROM insights WHERE id < 0'), '0', 'an empty answer is one');
refused("BEGIN; SET LOCAL app.current_tenant_id = 'tenant-001'; SELECT count(*) FROM insights; COMMIT; BEGIN; SET LOCAL app.current_tenant_id = 'tenant-003'; SELECT * FROM insights; COMMIT", qr/HV00R/, 'what is known of one database says nothing of another');
$mongo->insert('tenant_tenant-001_db', 'insights', '{"_id": "text"}');
my $misfit = refused(in_context('tenant-001', 'SELECT id FROM insights ORDER BY n'), qr/42804: field "_id" of document "text" does not fit/, 'a misfit');
unlike($misfit, qr/tenant-002/, 'is the tenant\'s own');
$mongo->delete('tenant_tenant-001_db', 'insights', '{"_id": "text"}');

#
# Names
#

refused(in_context('admin', 'SELECT * FROM anywhere'), qr/42602: the tenant in force has no database "\{tenant\}"\nDETAIL:  The database is MongoDB's own\./, 'a tenant that is called as a database of MongoDB');
refused(in_context('LOCAL', 'SELECT * FROM anywhere'), qr/42602: /, 'in capitals');
refused(in_context('x' x 50, 'SELECT * FROM mentions'), qr/42602: .*\nDETAIL:  The database's name would be longer than 63 bytes\./, 'a name that is too long');
refused("BEGIN; SET LOCAL app.current_tenant_id = '$_'; SELECT * FROM insights", qr/ERROR:  (?!HV00R|00000)\w{5}: /, "a tenant called $_") for 'a/b', 'a.b', '$a', 'a b', '../tenant-002', 'tenant-002_db\\0', '{tenant}', "x\xc3\xbc";
refused("ALTER FOREIGN TABLE mentions OPTIONS (SET database '$_')", qr/22023: invalid value for option "database"/, "database $_") for '{tenant', 'tenant}', '{tenant}{tenant}', '{other}', '{{tenant}}', 'a.b', 'a/b', 'a\\b', 'a b', 'a"b', '$a', 'x' x 64, '';
$node->safe_psql('postgres', "ALTER FOREIGN TABLE mentions OPTIONS (SET database '" . 'x' x 63 . "')");

#
# A tenant's role can change nothing of it
#

refused("ALTER FOREIGN TABLE insights OPTIONS (SET database 'tenant_tenant-002_db')", qr/42501: must be owner/, 'the options', extra_params => [ '-U', 'service' ]);
refused("CREATE FOREIGN TABLE pg_temp.mine (id int) SERVER m OPTIONS (database 'tenant_tenant-002_db', collection 'secret')", qr/42501: permission denied for foreign server m/, 'a table of its own', extra_params => [ '-U', 'service' ]);
refused("SELECT tenancy_mongo.run_command('m', 'tenant_tenant-002_db', '{\"find\": \"secret\"}')", qr/42501: /, 'commands', extra_params => [ '-U', 'service' ]);
refused("SELECT * FROM tenancy_mongo.describe_collection('m', 'tenant_tenant-002_db', 'secret')", qr/42501: /, 'descriptions', extra_params => [ '-U', 'service' ]);
refused(in_context('tenant-001', "SELECT tenancy.set_tenant('tenant-002')"), qr/25001|already/, 'another tenant in the same transaction', extra_params => [ '-U', 'service' ]);
is(as_tenant('tenant-001', "SELECT t FROM insights WHERE t = '{tenant}' OR t = 'tenant_tenant-002_db' OR t = '\$t'", extra_params => [ '-U', 'service' ]), '', 'a value is a value');
is(as_tenant('tenant-001', 'SELECT count(*) FROM insights "tenant_tenant-002_db" WHERE "tenant_tenant-002_db".id > 0', extra_params => [ '-U', 'service' ]), '1', 'an alias is an alias');

#
# IMPORT FOREIGN SCHEMA, mirrors
#

$node->safe_psql('postgres', 'CREATE SCHEMA imported; CREATE SCHEMA nobodys');
refused('IMPORT FOREIGN SCHEMA "tenant_{tenant}_db" FROM SERVER m INTO nobodys', $without, 'an import without a tenant');
is($node->safe_psql('postgres', q(BEGIN; SET LOCAL app.current_tenant_id = 'tenant-002'; IMPORT FOREIGN SCHEMA "tenant_{tenant}_db" FROM SERVER m INTO imported; COMMIT;
	SELECT relname || ' ' || ftoptions[1] FROM pg_foreign_table JOIN pg_class ON oid = ftrelid WHERE relnamespace = 'imported'::regnamespace ORDER BY 1)),
	"insights database=tenant_{tenant}_db\nsecret database=tenant_{tenant}_db", 'an import of the tenant\'s makes tables for all tenants');
is(as_tenant('tenant-001', 'SELECT count(*) FROM imported.insights'), '1', 'one tenant');
is(as_tenant('tenant-002', 'SELECT count(*) FROM imported.insights'), '4', 'another');
refused(q(BEGIN; SET LOCAL app.current_tenant_id = 'tenant-002'; IMPORT FOREIGN SCHEMA "{tenant}{tenant}" FROM SERVER m INTO nobodys), qr/ERROR:  (HV00Q|22023)/, 'a pattern that is none');
$node->safe_psql('postgres', 'CREATE TABLE local (id int PRIMARY KEY, t text, n int)');
refused("SELECT tenancy_mongo.mirror('insights', 'local')", qr/0A000: cannot mirror foreign table "insights"\nDETAIL:  Its database follows the tenant context/, 'no mirror');
is($node->safe_psql('postgres', "SELECT count(*) FROM tenancy.isolation_report() WHERE object = 'insights'"), '0', 'isolation_report() has nothing to say');

done_testing();
