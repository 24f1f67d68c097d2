# Rollouts whose migrations run in no transaction, half-way: cancelled there, edited there, without what the new version needs; and
# a tenant that fails at the moment in which its rollout is cancelled.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'\nmax_worker_processes = 16");
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my ($text) = @_;
	my ($status, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$text", on_error_stop => 1);
	return $status == 0 ? 'it succeeded' : $err;
}

sub becomes
{
	my ($query, $expected, $what) = @_;
	return ok($node->poll_query_until('postgres', "SELECT ($query)::text = '$expected'"), $what)
	  || diag sql('SELECT * FROM tenancy.rollout_items; SELECT * FROM tenancy.rollouts');
}

# Each migration has three statements, and one tenant waits at a gate in the second.
sub add_version
{
	my ($version, $from, $column, $arguments) = @_;
	sql("SELECT tenancy.register_version('notes', '$version', 'CREATE TABLE note (id integer)'" . ($arguments // '') . ");
		SELECT tenancy.register_migration('notes', '$from', '$version', \$s\$ALTER TABLE note ADD COLUMN ${column}_1 integer;
			DO \$d\$ BEGIN IF \@tenant\@ = 't1' THEN PERFORM pg_advisory_xact_lock_shared(7); END IF; END \$d\$;
			ALTER TABLE note ADD COLUMN ${column}_2 integer\$s\$, \$s\$ALTER TABLE note DROP COLUMN ${column}_1, DROP COLUMN ${column}_2\$s\$, transactional => false)");
	return;
}

sql(q(CREATE EXTENSION tenancy;
	SELECT tenancy.register_system('notes', 'Notes', 'notes', 'test');
	SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id integer)');
	SELECT tenancy.create_tenant('t' || n, 'Tenant'), tenancy.install_system('t' || n, 'notes') FROM generate_series(1, 2) n));
my $keeper = $node->background_psql('postgres', on_error_stop => 1);
my $versions = q(SELECT string_agg(version, ' ' ORDER BY tenant_id) FROM tenancy.installed_systems);
my $columns  = q(SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'tenant_t1_notes.note'::regclass AND attnum > 0 AND NOT attisdropped);

#
# Cancelled
#

add_version('1.1.0', '1.0.0', 'one');
$keeper->query_safe('SELECT pg_advisory_lock(7)');
my $id = sql("SELECT tenancy.start_rollout('notes', '1.1.0', canary => ARRAY['t1'], workers => 1)");
my $item = "SELECT concat_ws(' ', state, migration_id, steps_done) FROM tenancy.rollout_items WHERE rollout_id = $id AND tenant_id";
ok($node->poll_query_until('postgres', "SELECT attempts > 0 AND steps_done = 1 FROM tenancy.rollout_items WHERE rollout_id = $id AND tenant_id = 't1'"),
	'a tenant is half-way, and waits to be tried again');
sql("SELECT tenancy.cancel_rollout($id)");
becomes("$item = 't1'", 'cancelled notes-1.0.0-1.1.0 1', 'it is cancelled there');
is(sql("$item = 't2'"), 'cancelled 0', 'and so is one that has not begun');
like(error_of("SELECT tenancy.rollback_rollout($id, force => true)"), qr/55006.*half-way through a migration of tenant "t1".*retry_rollout\($id, 't1'\)/s,
	'it is not led back from there, but the way is told');
like(error_of("SELECT tenancy.retry_rollout($id, 't2')"), qr/55000.*rollout $id is cancelled, and no such tenant is half-way/s, 'who has not begun stays where he is');
$keeper->query_safe('SELECT pg_advisory_unlock(7)');
is(sql("SELECT tenancy.retry_rollout($id, 't1')"), '1', 'who is half-way may be finished');
becomes("SELECT state FROM tenancy.rollouts WHERE rollout_id = $id", 'cancelled', 'and the rollout is as cancelled as before');
is(sql($versions), '1.1.0 1.0.0', 'one has the version');
like(error_of("SELECT tenancy.retry_rollout($id)"), qr/55000/, 'nobody is half-way any more');
my $back = sql("SELECT tenancy.rollback_rollout($id, force => true)");
becomes("SELECT state FROM tenancy.rollouts WHERE rollout_id = $back", 'done', 'it is led back');
is(sql("$versions; $columns"), "1.0.0 1.0.0\nid", 'whole');

#
# Edited
#

add_version('1.2.0', '1.0.0', 'two');
$keeper->query_safe('SELECT pg_advisory_lock(7)');
$id = sql("SELECT tenancy.start_rollout('notes', '1.2.0', tenants => ARRAY['t1'], workers => 1, lock_timeout => '10 min')");
ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted)), 'a worker is in the midst of a script');
my $edit = "ALTER TABLE tenancy.schema_migrations DISABLE TRIGGER USER; UPDATE tenancy.schema_migrations SET migration_sql = replace(migration_sql, '%s', '%s') WHERE version_to = '1.2.0';
	ALTER TABLE tenancy.schema_migrations ENABLE TRIGGER USER";
sql(sprintf $edit, 'two_2', 'hasty');
$keeper->query_safe('SELECT pg_advisory_unlock(7)');
becomes("SELECT concat_ws(': ', state, reason) FROM tenancy.rollouts WHERE rollout_id = $id", 'paused: migrations were edited since it was started', 'scripts that are edited there pause the rollout');
becomes("SELECT workers FROM tenancy.rollout_progress WHERE rollout_id = $id", '0', 'and its workers leave');
is(sql($columns), 'id two_1', 'what was written since is not run');
sql(sprintf $edit, 'hasty', 'two_2');
sql("SELECT tenancy.resume_rollout($id)");
becomes("SELECT state FROM tenancy.rollouts WHERE rollout_id = $id", 'done', 'with the old ones it goes on');
is(sql($columns), 'id two_1 two_2', 'from where it stood');

#
# Without what the version needs
#

sql(q(SELECT tenancy.register_system('till', 'Till', 'till', 'test'); SELECT tenancy.register_version('till', '1.0.0', 'CREATE TABLE receipt (id integer)')));
add_version('1.3.0', '1.2.0', 'three', q(, dependencies => '{"till": "^1.0.0"}'));
$id = sql("SELECT tenancy.start_rollout('notes', '1.3.0', tenants => ARRAY['t1'], workers => 1)");
ok($node->poll_query_until('postgres', "SELECT state NOT IN ('running', 'pending') FROM tenancy.rollouts WHERE rollout_id = $id"), 'a version that needs another system');
is(sql("SELECT concat_ws(' ', state, sqlstate, error_message, steps_done) FROM tenancy.rollout_items WHERE rollout_id = $id"), 'failed 55000 system "notes" needs system "till" 0', 'is refused before its first statement');
is(sql($columns), 'id two_1 two_2', 'nothing was done');
sql("SELECT tenancy.install_system('t1', 'till'); SELECT tenancy.retry_rollout($id)");
becomes("SELECT state FROM tenancy.rollouts WHERE rollout_id = $id", 'done', 'with it the version comes');
is(sql("SELECT string_agg(concat_ws(' ', direction, version_from, version_to), ', ' ORDER BY executed_at) FROM tenancy.tenant_system_history WHERE tenant_id = 't1' AND system_id = 'notes' AND migration_id IS NOT NULL"),
	'up 1.0.0 1.1.0, down 1.1.0 1.0.0, up 1.0.0 1.2.0, up 1.2.0 1.3.0', 'the history has each of them once');

#
# A tenant that fails while its rollout is cancelled
#

sql(q(SELECT tenancy.register_version('till', '1.1.0', 'CREATE TABLE receipt (id integer)');
	SELECT tenancy.register_migration('till', '1.0.0', '1.1.0', 'ALTER TABLE receipt ADD COLUMN n integer', 'ALTER TABLE receipt DROP COLUMN n')));
$id = sql("SELECT tenancy.start_rollout('till', '1.1.0', workers => 0, lock_timeout => '1 ms')");
$keeper->query_safe('BEGIN; LOCK TABLE tenant_t1_till.receipt');
my $step = $node->background_psql('postgres', on_error_stop => 1);
$step->query_safe("BEGIN; SELECT action FROM tenancy.rollout_step($id, 0, false)");
my ($out, $err) = ('', '');
my $canceller = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SELECT tenancy.cancel_rollout($id)" ], '>', \$out, '2>', \$err,
	IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
ok($node->poll_query_until('postgres', "SELECT state = 'cancelled' OR EXISTS (SELECT FROM pg_stat_activity WHERE query ~ 'cancel_rollout' AND wait_event_type = 'Lock' AND pid <> pg_backend_pid())
	FROM tenancy.rollouts WHERE rollout_id = $id"), 'a rollout is cancelled while a tenant of it fails');
$step->query_safe('COMMIT');
$keeper->query_safe('COMMIT');
ok($canceller->finish, 'both end') or diag $err;
is(sql("$item"=~ s/rollout_id = \d+ AND tenant_id/rollout_id = $id/r), 'cancelled 0', 'and nobody is left to be tried again');

$_->quit for $step, $keeper;
done_testing();
