# The catalogue of systems and what tenants have survive: a dump and its restore, by several jobs in any order too;
# pg_upgrade; ALTER EXTENSION UPDATE.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Installation;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $preload = "shared_preload_libraries = 'tenancy'";

sub new_server
{
	my ($name, %params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, %params);
	$node->init;
	$node->append_conf('postgresql.conf', $preload);
	$node->start;
	return $node;
}

# Every table that is to be kept, all rows of it; and what guards the tenants' tables.
sub everything
{
	my ($node, $database) = @_;
	my @tables = split /\n/, $node->safe_psql($database, q(
		SELECT c.oid::regclass FROM pg_extension e, unnest(e.extconfig) u(oid) JOIN pg_class c ON c.oid = u.oid
		 WHERE c.relkind = 'r' AND e.extname IN ('tenancy', 'tenancy_business') ORDER BY 1::text));
	my $all = '';
	for my $table (@tables)
	{
		$all .= "$table\n" . $node->safe_psql($database, "SELECT to_jsonb(t) - 'created_at' - 'updated_at' - 'release_date' - 'homepage' FROM $table t ORDER BY 1") . "\n";
	}
	return $all . $node->safe_psql($database, q(
		SELECT n.nspname, n.nspowner::regrole, coalesce(n.nspacl, acldefault('n', n.nspowner)) FROM pg_namespace n WHERE nspname ~ '^tenan' ORDER BY 1;
		SELECT c.oid::regclass, c.relowner::regrole, c.relacl, c.relrowsecurity, c.relforcerowsecurity, pg_get_expr(p.polqual, p.polrelid)
		  FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid
		 WHERE c.relnamespace::regnamespace::text ~ '^tenan.*_' AND c.relkind IN ('r', 'v', 'S')
		 ORDER BY c.oid::regclass::text, p.polname;
		SELECT body FROM tenant_t_1_notes.note ORDER BY 1;
		SELECT body FROM tenant_t_2_notes.note ORDER BY 1;));
}

# The lines that differ, not all of them.
sub same
{
	my ($got, $expected, $what) = @_;
	my (%got, %expected);
	$got{$_}++ for split /\n/, $got;
	$expected{$_}++ for split /\n/, $expected;
	my @lines = ((map { "- $_" } grep { !$got{$_} } sort keys %expected), (map { "+ $_" } grep { !$expected{$_} } sort keys %got));
	is(join("\n", splice(@lines, 0, 20)), '', $what);
}

# The catalogue goes on where it was: another version, an update of a tenant, an archive that comes back, no orphan.
my $new_tenants = 0;

sub still_works
{
	my ($node, $database, $what) = @_;
	my $tenant = 'new-' . ++$new_tenants;
	is($node->safe_psql($database, q(
		SELECT string_agg(system_id || ' ' || version, ', ' ORDER BY 1) FROM tenancy.system_versions WHERE is_latest)),
		$node->safe_psql($database, q(
		SELECT string_agg(system_id || ' ' || latest_version, ', ' ORDER BY 1) FROM tenancy.available_systems)),
		"$what: one latest version each");
	is($node->safe_psql($database, qq(
		SELECT tenancy.register_version('notes', '3.0.0', 'CREATE TABLE note (id serial PRIMARY KEY, body text)');
		SELECT tenancy.register_migration('notes', '2.0.0', '3.0.0', 'ALTER TABLE note ADD COLUMN extra text');
		SELECT tenancy.update_system('t-1', 'notes');
		SELECT tenancy.update_system('t-2', 'notes');
		SELECT tenancy.create_tenant('$tenant', 'New');
		SELECT tenancy.restore_archive(1);)),
		"notes-3.0.0\nnotes-2.0.0-3.0.0\n3.0.0\n3.0.0\n$tenant\n", "$what: versions, updates, provisioning, archives");
	my ($result, $out, $err) = $node->psql($database, q(
		INSERT INTO tenancy.tenant_systems (tenant_id, system_id, version_id, status) VALUES ('t-1', 'ghost', 'ghost-1.0.0', 'failed')));
	like($err, qr/violates foreign key constraint/, "$what: foreign keys hold again");
	($result, $out, $err) = $node->psql($database, q(
		SELECT tenancy.register_migration('notes', '1.0.0', '2.0.0', 'CREATE TABLE other (id integer)')));
	like($err, qr/migration "notes-1.0.0-2.0.0" cannot be changed/, "$what: what a tenant has had is frozen");
}

my $node = new_server('main');
$node->safe_psql('postgres', q(
	CREATE EXTENSION tenancy;
	CREATE EXTENSION tenancy_business;
	SELECT tenancy.register_system('notes', 'Notes', 'notes', 'us'), tenancy.register_system('files', 'Files', 'files', 'us');
	SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id serial PRIMARY KEY, body text)'),
	       tenancy.register_version('notes', '2.0.0', 'CREATE TABLE note (id serial PRIMARY KEY, body text, at timestamptz)'),
	       tenancy.register_version('files', '1.0.0', 'CREATE TABLE file (id serial PRIMARY KEY)', dependencies => '{"notes": ">=1.0.0"}'),
	       tenancy.register_version('crm', '9.0.0', 'CREATE TABLE customers (id integer)');
	SELECT tenancy.register_migration('notes', '1.0.0', '2.0.0', 'ALTER TABLE note ADD COLUMN at timestamptz', 'ALTER TABLE note DROP COLUMN at');
	SELECT tenancy.assign_tier_system('gold', 'notes'), tenancy.assign_tier_system('gold', 'files');
	SELECT tenancy.create_tenant('t-1', 'One', tier => 'gold'), tenancy.create_tenant('t-2', 'Two'), tenancy.create_tenant('t-3', 'Three');
	SELECT tenancy.install_system('t-2', 'notes', '1.0.0'), tenancy.install_system('t-3', 'crm', '1.0.0');
	INSERT INTO tenant_t_1_notes.note (body) VALUES ('first');
	INSERT INTO tenant_t_2_notes.note (body) VALUES ('second');
	SELECT tenancy.update_system('t-2', 'notes');
	SELECT tenancy.uninstall_system('t-1', 'files');
	SELECT tenancy.uninstall_system('t-3', 'crm');
	SELECT tenancy.suspend_tenant('t-3');));
# The largest tables are loaded first, and these refer to small ones.
$node->safe_psql('postgres', q(
	INSERT INTO tenancy.tenant_systems (tenant_id, system_id, version_id, status, error_message)
	SELECT 'gone-' || n, 'notes', 'notes-1.0.0', 'failed', repeat(md5(n::text), 20) FROM generate_series(1, 3000) n;
	INSERT INTO tenancy.archives (tenant_id, system_id, version_id, reason, original_schema, expires_at)
	VALUES ('t-1', 'notes', 'notes-1.0.0', 'rollback', 'tenant_t_1_notes', 'infinity');
	INSERT INTO tenancy.archived_tables (archive_id, table_name, row_count)
	SELECT max(archive_id), n, n FROM tenancy.archives, generate_series(1, 20000) n GROUP BY n;));
my $before = everything($node, 'postgres');
like($before, qr/crm-9.0.0/, 'there is something to keep');

# By psql, one table after another.
my $directory = $node->basedir;
$node->command_ok([ 'pg_dump', '--no-sync', '--file', "$directory/plain.sql", '-d', $node->connstr('postgres') ], 'plain dump');
$node->safe_psql('postgres', 'CREATE DATABASE plain TEMPLATE template0');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$directory/plain.sql", '-d', $node->connstr('plain') ], 'plain restore');
same(everything($node, 'plain'), $before, 'a plain dump brings all of it');
still_works($node, 'plain', 'plain');
$node->safe_psql('postgres', 'DROP DATABASE plain');

# By jobs, in an order that foreign keys know nothing of; and once more, since it is not always the same one.
$node->command_ok([ 'pg_dump', '--no-sync', '-Fd', '-j', '2', '--file', "$directory/parallel", '-d', $node->connstr('postgres') ], 'dump by jobs');
for my $jobs (2, 4, 8)
{
	$node->safe_psql('postgres', 'CREATE DATABASE parallel TEMPLATE template0');
	$node->command_ok([ 'pg_restore', '--exit-on-error', '-j', $jobs, '-d', $node->connstr('parallel'), "$directory/parallel" ], "restore by $jobs jobs");
	same(everything($node, 'parallel'), $before, "$jobs jobs bring all of it");
	still_works($node, 'parallel', "$jobs jobs") if $jobs == 8;
	$node->safe_psql('postgres', 'DROP DATABASE parallel');
}
# In one transaction the keys are looked at again after the load.
$node->safe_psql('postgres', 'CREATE DATABASE single TEMPLATE template0');
$node->command_ok([ 'psql', '-Xq', '-1', '-v', 'ON_ERROR_STOP=1', '-f', "$directory/plain.sql", '-d', $node->connstr('single') ], 'restore in one transaction');
same(everything($node, 'single'), $before, 'one transaction brings all of it');
$node->safe_psql('postgres', 'DROP DATABASE single');

# pg_upgrade, to a server of the same release: what it carries over does not depend on the release.
my $new = PostgreSQL::Test::Cluster->new('upgraded');
$new->init;
$new->append_conf('postgresql.conf', $preload);
$node->stop;
chomp(my $bindir = `pg_config --bindir`);
chdir ${PostgreSQL::Test::Utils::tmp_check};
$new->command_ok([ 'pg_upgrade', '--no-sync', '-d', $node->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir,
		'-s', $new->host, '-p', $node->port, '-P', $new->port ], 'pg_upgrade');
$new->start;
same(everything($new, 'postgres'), $before, 'pg_upgrade carries all of it over');
still_works($new, 'postgres', 'upgraded');
$new->stop;

# The next version of the extension: its update script stands in a copy of the installation.
my $copy = copied_installation();
append_to_file("$copy->{extension}/tenancy--1.0--1.0.1.sql", q(
ALTER TABLE tenancy.management_systems ADD COLUMN homepage text;
CREATE TABLE tenancy.added (system_id varchar(50) REFERENCES tenancy.management_systems);
SELECT pg_extension_config_dump('tenancy.added', '');
));
$node = new_server('next', install_path => $copy->{root});
$node->safe_psql('postgres', 'CREATE DATABASE updated TEMPLATE template0');
$node->command_ok([ 'psql', '-Xq', '-c', 'CREATE ROLE tenancy_owner', '-c', 'CREATE ROLE tenancy_service', '-c', 'CREATE ROLE tenant_t_1',
		'-c', 'CREATE ROLE tenant_t_2', '-c', 'CREATE ROLE tenant_t_3', '-d', $node->connstr('updated') ], 'roles');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-j', '2', '-d', $node->connstr('updated'), "$directory/parallel" ], 'restore');
same(everything($node, 'updated'), $before, 'as it was');
$node->safe_psql('updated', q(ALTER EXTENSION tenancy UPDATE TO '1.0.1'));
(my $after = everything($node, 'updated')) =~ s/^tenancy\.added\n//m;
same($after, $before, 'ALTER EXTENSION UPDATE keeps all of it');
still_works($node, 'updated', 'updated');
$node->stop;

done_testing();
