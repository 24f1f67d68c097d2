# What regress tests of the context cannot show: how the server is started, standbys, and a dump that is restored.

use strict;
use warnings FATAL => 'all';

use IPC::Run qw(pump finish start timer);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

sub new_node
{
	my ($name, $conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf', $conf);
	return $node;
}

# A session that stays open: returns a function that runs a query in it.  The marker's quotes keep it from matching its
# own echo.
sub open_session
{
	my ($node, $role) = @_;
	my ($in, $out, $serial) = ('', '', 0);
	my $timer = timer($PostgreSQL::Test::Utils::timeout_default);
	my $psql  = start [ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=0', '-d', $node->connstr('postgres') . " user=$role" ],
		'<', \$in, '>', \$out, '2>', \$out, $timer;
	return sub {
		my ($query) = @_;
		return $psql->finish unless defined $query;
		$serial++;
		$out = '';
		$in .= "$query\n\\echo end-$serial\n";
		pump $psql until $out =~ /^end-$serial$/m;
		$out =~ s/^end-$serial\n//m;
		chomp $out;
		return $out;
	};
}

# Without preloading there is no context, and the error says what to write where.
{
	my $node = new_node('late', '');
	$node->start;
	my ($rc, $out, $err) = $node->psql('postgres', 'CREATE EXTENSION tenancy');
	isnt($rc, 0, 'the extension wants to be preloaded');
	like($err, qr/HINT: .*shared_preload_libraries = 'tenancy'/, 'and says how');
	($rc, $out, $err) = $node->psql('postgres', "LOAD 'tenancy'");
	isnt($rc, 0, 'nor can the library be loaded later');
	$node->stop;
}

# A tenant in the server's configuration would be everybody's.
{
	my $node = new_node('everybody', "shared_preload_libraries = 'tenancy'\napp.current_tenant_id = 'tenant-001'");
	$node->start;
	is($node->safe_psql('postgres', "SHOW app.current_tenant_id"), '', 'a tenant in postgresql.conf is in force for nobody');
	like(slurp_file($node->logfile), qr/WARNING: .*the tenant cannot be set for the whole server/, 'and the log tells so');

	$node->append_conf('postgresql.conf', "tenancy.context_setting = 'my.tenant'");
	$node->restart;
	$node->safe_psql('postgres', "CREATE EXTENSION tenancy; SELECT tenancy.create_tenant('tenant-001', 'One')");
	is($node->safe_psql('postgres', "SELECT tenancy.set_tenant('tenant-001', false); SHOW my.tenant"),
		"tenant-001\ntenant-001", 'the setting can have another name');
	$node->stop;

	$node->append_conf('postgresql.conf', "tenancy.context_setting = 'tenant'");
	$node->start;
	is($node->safe_psql('postgres', 'SHOW tenancy.context_setting'), 'app.current_tenant_id', 'but not one that cannot be a setting');
	like(slurp_file($node->logfile), qr/invalid value for parameter "tenancy.context_setting": "tenant"/, 'and the log tells so');
	$node->stop;
}

my $primary = new_node('primary', "shared_preload_libraries = 'tenancy'");
$primary->start;
$primary->safe_psql('postgres', q(
	CREATE EXTENSION tenancy_business CASCADE;
	SELECT tenancy.register_version('crm', '9.0.0', 'CREATE TABLE customers (id uuid PRIMARY KEY, name text, mood text)');
	SELECT tenancy.register_system('notes', 'Notes', 'notes', 'us');
	SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id serial, body text)');
	SELECT tenancy.assign_tier_system('*', 'notes'), tenancy.assign_tier_system('gold', 'crm');
	SELECT tenancy.create_tenant('tenant-001', 'One', 'gold'), tenancy.create_tenant('tenant-002', 'Two');
	SELECT tenancy.create_tenant('tenant-003', 'Three');
	SELECT tenancy.install_system('tenant-003', 'crm', '1.0.0');
	CREATE TABLE orders (id integer, tenant_id text);
	INSERT INTO orders VALUES (1, 'tenant-001'), (2, 'tenant-002'), (3, 'tenant-002');
	SELECT tenancy.protect('orders');
	CREATE ROLE service LOGIN IN ROLE tenancy_service;
	CREATE ROLE bound LOGIN;
	ALTER ROLE bound SET app.current_tenant_id = 'tenant-001';
	GRANT SELECT ON orders TO service, bound;));

# A standby has the context, and what becomes of tenants reaches its open sessions.
{
	$primary->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($primary, 'base', has_streaming => 1);
	$standby->start;
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

	my $session = open_session($standby, 'service');
	is($session->("SELECT tenancy.set_tenant('tenant-002', false);"), 'tenant-002', 'a standby takes a tenant');
	is($session->('SELECT count(*) FROM orders;'), '2', 'and shows its rows');
	like($session->("SELECT tenancy.set_tenant('tenant-404');"), qr/cannot change the tenant from "tenant-002"/, 'and keeps to it');
	is($standby->safe_psql('postgres', 'SELECT tenancy.current_tenant(), count(*) FROM orders', connstr => $standby->connstr('postgres') . ' user=bound'),
		'tenant-001|1', 'nor does a bound role see more');

	$primary->safe_psql('postgres', "SELECT tenancy.suspend_tenant('tenant-002')");
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	is($session->('SELECT count(*), tenancy.current_tenant() IS NULL FROM orders;'), '0|t', 'a suspension reaches the open session there');
	$primary->safe_psql('postgres', "SELECT tenancy.resume_tenant('tenant-002')");
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	is($session->('SELECT count(*) FROM orders;'), '2', 'and so does its end');
	$session->();
	$standby->stop;
}

# A dump holds the tenants, what they have, and what guards it.
{
	my $dump = $primary->basedir . '/dump.sql';
	$primary->command_ok([ 'pg_dumpall', '--no-sync', '--file', $dump, '-d', $primary->connstr('postgres') ], 'dump');
	my $copy = new_node('copy', "shared_preload_libraries = 'tenancy'");
	$copy->start;
	my ($out, $err);
	IPC::Run::run([ 'psql', '-Xq', '-f', $dump, '-d', $copy->connstr('postgres') ], '>', \$out, '2>', \$err);
	unlike($err, qr/ERROR(?!.*role "[^"]*" already exists)/, 'restore');

	for my $query (
		'SELECT * FROM tenancy.tenants ORDER BY 1',
		'SELECT * FROM tenancy.installed_systems ORDER BY 1, 2',
		'SELECT version_id, schema_version, is_latest, checksum, extension FROM tenancy.system_versions ORDER BY 1',
		'SELECT * FROM tenancy.tier_systems ORDER BY 1, 2',
		'SELECT polrelid::regclass, polname, polpermissive, pg_get_expr(polqual, polrelid) FROM pg_policy ORDER BY polrelid::regclass::text, 2',
		'SELECT oid::regclass, relowner::regrole, relrowsecurity, relforcerowsecurity, relacl::text FROM pg_class WHERE relnamespace::regnamespace::text LIKE \'tenant_%\' ORDER BY oid::regclass::text',
		'SELECT nspname, nspowner::regrole, nspacl::text FROM pg_namespace WHERE nspname LIKE \'tenant_%\' ORDER BY 1')
	{
		is($copy->safe_psql('postgres', $query), $primary->safe_psql('postgres', $query), "the same: $query");
	}
	is($copy->safe_psql('postgres', 'SELECT tenancy.current_tenant(), count(*) FROM orders', connstr => $copy->connstr('postgres') . ' user=bound'),
		'tenant-001|1', 'and it is bound as before');
	is($copy->safe_psql('postgres', "SELECT tenancy.create_tenant('tenant-004', 'Four', 'gold')"), 'tenant-004', 'life goes on');
	$copy->stop;
}

done_testing();
