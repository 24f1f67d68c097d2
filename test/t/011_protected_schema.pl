# Protected schemas and dumps: a dump brings its own policies, and the event trigger must not be in its way.

use strict;
use warnings FATAL => 'all';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'");
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE app IN ROLE pg_monitor');
$node->safe_psql('postgres', q(
	CREATE EXTENSION tenancy;
	CREATE SCHEMA app;
	SELECT tenancy.protect_schema('app');
	SELECT tenancy.create_tenant('tenant-001', 'One');
	SELECT tenancy.register_system('notes', 'Notes', 'notes', 'us');
	SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id serial PRIMARY KEY, body text)');
	SELECT tenancy.install_system('tenant-001', 'notes');
	CREATE TABLE app.orders (id serial PRIMARY KEY, tenant_id text NOT NULL) PARTITION BY RANGE (id);
	CREATE TABLE app.orders_1 PARTITION OF app.orders FOR VALUES FROM (1) TO (100);
	CREATE TABLE app.lines (order_id integer REFERENCES app.orders, tenant_id text);
	CREATE TABLE app.more_lines (note text) INHERITS (app.lines);
	CREATE POLICY only_some ON app.lines AS RESTRICTIVE FOR SELECT TO app USING (order_id > 0);
	GRANT SELECT ON app.orders TO app;
	SELECT tenancy.declare_access('app.orders', 'admin', 'read');
	CREATE TABLE app.gone (tenant_id text);
	SELECT tenancy.declare_access('app.gone', 'admin', 'read');
	DROP TABLE app.gone;
	INSERT INTO app.orders (tenant_id) VALUES ('tenant-001'), ('tenant-002');
	INSERT INTO app.lines VALUES (1, 'tenant-001');));

my $policies = 'SELECT polrelid::regclass, polname, polcmd, polpermissive, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)
	FROM pg_policy ORDER BY polrelid::regclass::text, polname';
my $switches = "SELECT oid::regclass, relrowsecurity, relforcerowsecurity FROM pg_class
	WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text ~ '^(app|tenant_)' ORDER BY oid::regclass::text";

# usage: restore(database, file, label)   What psql complains about.
sub restore
{
	my ($database, $file, $label) = @_;
	my ($out, $err);
	IPC::Run::run([ 'psql', '-Xq', '-f', $file, '-d', $node->connstr($database) ], '>', \$out, '2>', \$err);
	is($err, '', "$label: restored without a word");
	is($node->safe_psql($database, $policies), $node->safe_psql('postgres', $policies), "$label: the same policies")
	  if $label ne 'one schema';
	is($node->safe_psql($database, $switches), $node->safe_psql('postgres', $switches), "$label: the same switches")
	  if $label ne 'one schema';
	return;
}

# A whole database, into an empty one.
my $dump = $node->basedir . '/whole.sql';
$node->command_ok([ 'pg_dump', '--no-sync', '--file', $dump, '-d', $node->connstr('postgres') ], 'dump the database');
$node->safe_psql('postgres', 'CREATE DATABASE whole');
restore('whole', $dump, 'a database');
is($node->safe_psql('whole', 'SELECT schema_name FROM tenancy.protected_schemas'), 'app', 'the registry came along');
is($node->safe_psql('whole', 'SELECT * FROM tenancy.access_rules'), 'app.orders|admin|read', 'and who may do what');
is($node->safe_psql('whole', "SELECT tenancy.protect_ddl('app.orders')"), '', 'from which the same policies follow');
$node->safe_psql('whole', 'CREATE TABLE app.new (tenant_id text)');
is($node->safe_psql('whole', "SELECT count(*) FROM pg_policy WHERE polrelid = 'app.new'::regclass"), '2', 'and protects what comes');

# The same from an archive.
my $archive = $node->basedir . '/whole.dump';
$node->command_ok([ 'pg_dump', '--no-sync', '-Fc', '--file', $archive, '-d', $node->connstr('postgres') ], 'dump into an archive');
$node->safe_psql('postgres', 'CREATE DATABASE archive');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('archive'), $archive ], 'pg_restore');
is($node->safe_psql('archive', $policies), $node->safe_psql('postgres', $policies), 'pg_restore: the same policies');

# One schema, into a database where it is protected already.
$dump = $node->basedir . '/schema.sql';
$node->command_ok([ 'pg_dump', '--no-sync', '-n', 'app', '--file', $dump, '-d', $node->connstr('postgres') ], 'dump the schema');
$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('one', q(
	CREATE EXTENSION tenancy;
	CREATE SCHEMA app;
	SELECT tenancy.protect_schema('app');
	DROP SCHEMA app;));
restore('one', $dump, 'one schema');
my $of_app = "SELECT polrelid::regclass, polname FROM pg_policy WHERE polrelid::regclass::text LIKE 'app.%' ORDER BY polrelid::regclass::text, 2";
is($node->safe_psql('one', $of_app), $node->safe_psql('postgres', $of_app), 'one schema: the same policies');

$node->stop;
done_testing();
