# What goes wrong from outside while tenants are provisioned and updated: twenty sessions at one tenant, kill -9, a lock
# table that is too small.  Nothing half is ever left.

use strict;
use warnings FATAL => 'all';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q(
	shared_preload_libraries = 'tenancy'
	max_connections = 30
	max_locks_per_transaction = 10
	restart_after_crash = on
));
$node->start;
# A script that waits for an advisory lock stops in its middle for as long as we hold that lock.
$node->safe_psql('postgres', q(
	CREATE EXTENSION tenancy;
	SELECT tenancy.register_system('gate', 'Gate', 'gate', 'us'), tenancy.register_system('large', 'Large', 'large', 'us');
	SELECT tenancy.register_version('gate', v, 'CREATE TABLE first (id integer PRIMARY KEY); SELECT pg_advisory_xact_lock(42); CREATE TABLE second (id integer)')
	  FROM unnest(ARRAY['1.0.0', '1.1.0']) v;
	SELECT tenancy.register_migration('gate', '1.0.0', '1.1.0',
		'ALTER TABLE first ADD COLUMN more text; INSERT INTO first VALUES (1); SELECT pg_advisory_xact_lock(42); CREATE TABLE third (id integer)',
		'DROP TABLE third; SELECT pg_advisory_xact_lock(42); ALTER TABLE first DROP COLUMN more');
	SELECT tenancy.register_version('large', '1.0.0', (SELECT string_agg(format('CREATE TABLE t%s (id integer PRIMARY KEY, note text)', n), '; ') FROM generate_series(1, 40) n));
	SELECT tenancy.assign_tier_system('gated', 'gate');));

# Starts a psql that runs in the background.
sub session
{
	my ($sql) = @_;
	my $session = { out => '', err => '' };
	$session->{run} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$session->{out}, '2>', \$session->{err}, IPC::Run::timeout(180));
	return $session;
}

# Holds the gate shut; returns what opens it.
sub shut
{
	my $holder = { in => "SELECT pg_advisory_lock(42);\n", out => '', err => '' };
	$holder->{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$holder->{in}, '>', \$holder->{out}, '2>', \$holder->{err}, IPC::Run::timeout(180));
	$holder->{run}->pump_nb;
	$node->poll_query_until('postgres', q(SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND granted))) or die 'the gate does not shut';
	return $holder;
}

# Waits until somebody stands before the gate; returns his process.
sub waiting
{
	$node->poll_query_until('postgres', q(SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = 42 AND NOT granted)))
		or die 'nobody waits';
	return $node->safe_psql('postgres', q(SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = 42 AND NOT granted));
}

sub open_gate
{
	my ($holder) = @_;
	$holder->{in} .= "\\q\n";
	$holder->{run}->finish;
}

sub new_tenant
{
	my ($tenant) = @_;
	$node->safe_psql('postgres', qq(INSERT INTO tenancy.tenants (tenant_id, name, database_config, tier) VALUES ('$tenant', 'T', '{"type": "shared"}', 'gated')));
}

# All that there is of a tenant.
sub whole
{
	my ($tenant) = @_;
	return $node->safe_psql('postgres', qq(
		SELECT status || ' ' || coalesce(role_name, '-') FROM tenancy.tenants WHERE tenant_id = '$tenant';
		SELECT 'role ' || rolname FROM pg_roles WHERE rolname = 'tenant_$tenant';
		SELECT system_id, version, status FROM tenancy.installed_systems WHERE tenant_id = '$tenant';
		SELECT 'relation ' || relname FROM pg_class WHERE relnamespace = to_regnamespace('tenant_${tenant}_gate') AND relkind = 'r' ORDER BY 1;
		SELECT 'column ' || attname FROM pg_attribute WHERE attrelid = to_regclass('tenant_${tenant}_gate.first') AND attnum > 0 AND NOT attisdropped ORDER BY 1;
		SELECT direction || ' ' || count(*) FROM tenancy.tenant_system_history WHERE tenant_id = '$tenant' GROUP BY direction ORDER BY 1;));
}

# Twenty sessions, one tenant: one does it, the others find it done.
new_tenant('twenty');
my $gate = shut();
my @sessions = map { session(q(SELECT tenancy.provision_tenant('twenty'))) } 1 .. 20;
waiting();
$node->poll_query_until('postgres', q(SELECT count(*) = 19 FROM pg_locks WHERE locktype = 'advisory' AND classid = 1953391481 AND NOT granted))
	or die 'the sessions do not queue';
open_gate($gate);
$_->{run}->finish for @sessions;
is(join('', map { $_->{err} } @sessions), '', 'twenty sessions provision one tenant without an error');
is(whole('twenty'), "active tenant_twenty\nrole tenant_twenty\ngate|1.1.0|installed\nrelation first\nrelation second\ncolumn id\ninstall 1", 'and it is provisioned once');

@sessions = map { session(q(SELECT tenancy.create_tenant('created', 'Created', tier => 'gated'))) } 1 .. 20;
$_->{run}->finish for @sessions;
is(scalar(grep { $_->{out} =~ /^created$/m } @sessions), 1, 'twenty sessions create one tenant: one does');
is(scalar(grep { $_->{err} =~ /42710: tenant "created" already exists/ } @sessions), 19, 'the others are told that it is there');
is(whole('created'), "active tenant_created\nrole tenant_created\ngate|1.1.0|installed\nrelation first\nrelation second\ncolumn id\ninstall 1", 'there is one of it');

# kill -9 in the middle of a provisioning: nothing of it is left, and it can be done again.
# A server that has not noticed yet still answers: only another checkpointer says that it has begun anew.
sub kill_waiting
{
	my ($victim, $gate) = @_;
	my $checkpointer = "backend_type = 'checkpointer'";
	my $before = $node->safe_psql('postgres', "SELECT backend_start FROM pg_stat_activity WHERE $checkpointer");

	kill 'KILL', waiting();
	$victim->{run}->finish;
	open_gate($gate);
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE $checkpointer AND backend_start <> '$before'")
	  or die 'the server does not come back';
}

new_tenant('killed');
$gate = shut();
my $victim = session(q(SELECT tenancy.provision_tenant('killed')));
kill_waiting($victim, $gate);
is(whole('killed'), 'provisioning -', 'kill -9 in the middle of provisioning leaves nothing');
$node->safe_psql('postgres', q(SELECT tenancy.provision_tenant('killed')));
my $provisioned = "active tenant_killed\nrole tenant_killed\ngate|1.1.0|installed\nrelation first\nrelation second\ncolumn id\ninstall 1";
is(whole('killed'), $provisioned, 'provisioned again it is whole');

# The whole server, at once.
new_tenant('stopped');
$gate = shut();
$victim = session(q(SELECT tenancy.provision_tenant('stopped')));
waiting();
$node->stop('immediate');
$victim->{run}->finish;
open_gate($gate);
$node->start;
is(whole('stopped'), 'provisioning -', 'a server that is stopped in the middle leaves nothing');

# The same in an update and in a rollback: the version that was there is whole.
$node->safe_psql('postgres', q(
	SELECT tenancy.create_tenant('moved', 'Moved');
	SELECT tenancy.install_system('moved', 'gate', '1.0.0');));
my $old = "active tenant_moved\nrole tenant_moved\ngate|1.0.0|installed\nrelation first\nrelation second\ncolumn id\ninstall 1";
is(whole('moved'), $old, 'version 1.0.0');
$gate = shut();
$victim = session(q(SELECT tenancy.update_system('moved', 'gate')));
kill_waiting($victim, $gate);
is(whole('moved'), $old, 'kill -9 in the middle of an update leaves the old version whole');
$node->safe_psql('postgres', q(SELECT tenancy.update_system('moved', 'gate')));
my $new = "active tenant_moved\nrole tenant_moved\ngate|1.1.0|installed\nrelation first\nrelation second\nrelation third\ncolumn id\ncolumn more\ninstall 1\nup 1";
is(whole('moved'), $new, 'the update again');
$gate = shut();
$victim = session(q(SELECT tenancy.rollback_system('moved', 'gate', '1.0.0')));
kill_waiting($victim, $gate);
is(whole('moved'), $new, 'kill -9 in the middle of a rollback leaves the new version whole');

# A cancelled update as well, and the session goes on.
$gate = shut();
$victim = session(q(SELECT tenancy.try_rollback_system('moved', 'gate', '1.0.0')));
my $process = waiting();
$node->safe_psql('postgres', "SELECT pg_cancel_backend($process)");
$victim->{run}->finish;
open_gate($gate);
like($victim->{err}, qr/57014/, 'a cancelled query is no failure that is swallowed');
is(whole('moved'), $new, 'and nothing has changed');

# A lock table that is too small: an error, and nothing is left; what fits is dropped part by part.
$node->safe_psql('postgres', q(SELECT tenancy.create_tenant('locks', 'Locks'); SELECT tenancy.install_system('locks', 'large');));
my ($result, $out, $err) = $node->psql('postgres', q(
	BEGIN;
	SELECT tenancy.register_system('huge', 'Huge', 'huge', 'us'),
	       tenancy.register_version('huge', '1.0.0', (SELECT string_agg(format('CREATE TABLE t%s (id serial PRIMARY KEY, note text)', n), '; ') FROM generate_series(1, 3000) n));
	COMMIT;
	SELECT tenancy.install_system('locks', 'huge');));
like($err, qr/out of shared memory|max_locks_per_transaction/, 'a system that the lock table cannot hold is an error');
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('tenant_locks_huge'))), '0', 'which leaves nothing');
# Many systems of moderate size, each of which fits.
$node->safe_psql('postgres', q(
	SELECT tenancy.register_system('s' || n, 'S', 's' || n, 'us'),
	       tenancy.register_version('s' || n, '1.0.0', (SELECT install_sql FROM tenancy.system_versions WHERE version_id = 'large-1.0.0'))
	  FROM generate_series(1, 5) n;));
$node->safe_psql('postgres', "SELECT tenancy.install_system('locks', 's$_')") for 1 .. 5;
$node->safe_psql('postgres', q(SELECT tenancy.archive_tenant('locks')));
$node->safe_psql('postgres', q(SELECT count(*) FROM tenancy.export_tenant('locks')));
($result, $out, $err) = $node->psql('postgres', q(SELECT tenancy.decommission_tenant('locks', 1000000)));
like($err, qr/out of shared memory/, 'which are too many to drop at once');
my $calls = 0;
while ($node->safe_psql('postgres', q(SELECT tenancy.decommission_tenant('locks', 50))) ne '0')
{
	die 'it does not end' if ++$calls > 50;
}
cmp_ok($calls, '>', 3, 'they are dropped in parts');
$node->safe_psql('postgres', q(SELECT tenancy.drop_tenant('locks', 'locks')));
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_namespace WHERE nspname ~ '^tenant_locks')), '0', 'and nothing is left');

$node->stop;
done_testing();
