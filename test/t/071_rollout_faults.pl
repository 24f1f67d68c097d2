# Rollouts under faults: a worker and the postmaster are killed with -9 in the midst, a migration fails at tenant 43 of 100,
# migrations that run in no transaction break at every point, there are no worker slots, a standby is promoted, the database is
# dropped, and all of it is dumped and restored.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
# So few locks that a transaction over all tenants could not have them.
$node->append_conf('postgresql.conf', qq(
shared_preload_libraries = 'tenancy'
max_worker_processes = 16
max_locks_per_transaction = 10
max_connections = 20
tenancy.rollout_worker_tenants = 10
restart_after_crash = on
log_min_messages = warning));
$node->start;

my $tenants = 100;
$node->safe_psql('postgres', qq(
	CREATE EXTENSION tenancy;
	SELECT tenancy.register_system('notes', 'Notes', 'notes', 'test');
	SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id integer PRIMARY KEY, body text NOT NULL, n integer);
		INSERT INTO note SELECT g, ''note'', g FROM generate_series(1, 20) g');));
$node->safe_psql('postgres', join ';', map { sprintf q(SELECT tenancy.create_tenant('t%03d', 'Tenant'); SELECT tenancy.install_system('t%03d', 'notes')), $_, $_ } 1 .. $tenants);

sub sql
{
	my ($text, $database) = @_;
	return $node->safe_psql($database // 'postgres', $text);
}

sub error_of
{
	my ($text) = @_;
	my ($status, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$text", on_error_stop => 1);
	return $status == 0 ? 'it succeeded' : $err;
}

sub add_version
{
	my ($version, $from, $up, $down, $transactional) = @_;
	sql("SELECT tenancy.register_version('notes', '$version', 'CREATE TABLE note (id integer)');
		SELECT tenancy.register_migration('notes', '$from', '$version', \$s\$$up\$s\$, \$s\$$down\$s\$, transactional => " . ($transactional // 'true') . ')');
	return;
}

# A server that is being killed or recovers answers nobody.
sub wait_until
{
	my ($query, $label) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	my $answer   = '';
	while (time < $deadline)
	{
		(my $status, $answer) = $node->psql('postgres', $query);
		last if $status == 0 && $answer eq 't';
		usleep(20_000);
	}
	is($answer, 't', $label) or diag $node->safe_psql('postgres', 'SELECT * FROM tenancy.rollout_progress');
	return;
}

sub wait_for
{
	my ($rollout, $state, $label) = @_;
	wait_until("SELECT state = '$state' FROM tenancy.rollouts WHERE rollout_id = $rollout", $label);
	return;
}

sub states
{
	my ($rollout) = @_;
	return sql("SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM tenancy.rollout_items WHERE rollout_id = $rollout GROUP BY 1) s");
}

# Tenants whose version, item and tables do not say the same.
sub torn
{
	my ($rollout, $column, $version) = @_;
	return sql("SELECT string_agg(i.tenant_id, ' ') FROM tenancy.installed_systems i
		JOIN tenancy.rollout_items r ON r.tenant_id = i.tenant_id AND r.rollout_id = $rollout
		WHERE NOT ((i.version = '$version') = (r.state = 'done') AND (r.state = 'done') =
		      EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = format('%I.note', i.schema_name)::regclass AND a.attname = '$column' AND NOT a.attisdropped))");
}

my $moment = q(DO $d$ DECLARE until timestamptz := clock_timestamp() + '25 ms'; BEGIN WHILE clock_timestamp() < until LOOP END LOOP; END $d$);

#
# A worker, killed again and again: the server restarts each time
#

add_version('1.1.0', '1.0.0', "ALTER TABLE note ADD COLUMN one integer NOT NULL DEFAULT 0; UPDATE note SET one = 1; $moment", 'ALTER TABLE note DROP COLUMN one');
my $id    = sql("SELECT tenancy.start_rollout('notes', '1.1.0', workers => 2)");
my $kills = 0;
for my $mark (10, 40, 70)
{
	wait_until("SELECT count(*) >= $mark FROM tenancy.rollout_items WHERE rollout_id = $id AND state = 'done'", "$mark tenants are done");
	my ($status, $pid) = $node->psql('postgres', "SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'tenancy rollout worker'");
	my $before = sql("SELECT backend_start FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
	next unless $status == 0 && $pid && kill 'KILL', $pid;
	$kills++;
	wait_until("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'checkpointer' AND backend_start <> '$before'", 'the server is back');
	is(torn($id, 'one', '1.1.0'), '', 'nobody is torn');
}
cmp_ok($kills, '>=', 1, "$kills workers were killed with -9");
wait_for($id, 'done', 'the rollout goes on to its end by itself');
is(states($id), "done $tenants", 'all tenants are done');
is(torn($id, 'one', '1.1.0'), '', 'as a whole');
is(sql("SELECT count(*) FROM tenancy.tenant_system_history WHERE version_to = '1.1.0' AND direction = 'up'"), $tenants, 'each once');

#
# The postmaster
#

add_version('1.2.0', '1.1.0', "ALTER TABLE note ADD COLUMN two integer NOT NULL DEFAULT 0; UPDATE note SET two = 1; $moment", 'ALTER TABLE note DROP COLUMN two');
$id = sql("SELECT tenancy.start_rollout('notes', '1.2.0', workers => 2)");
wait_until("SELECT count(*) >= 20 FROM tenancy.rollout_items WHERE rollout_id = $id AND state = 'done'", 'some tenants are done');
$node->kill9;
my $deadline = time + 60;
until ($node->start(fail_ok => 1))
{
	# Until its processes have noticed, a new one refuses to start.
	die 'the server does not start' if time > $deadline;
	usleep(100_000);
	$node->stop('fast', fail_ok => 1);
}
is(torn($id, 'two', '1.2.0'), '', 'after kill -9 of the postmaster nobody is torn');
wait_for($id, 'done', 'the rollout goes on to its end by itself');
is(states($id), "done $tenants", 'all tenants are done');
is(torn($id, 'two', '1.2.0'), '', 'as a whole');
is(sql("SELECT max(n) <= 10 FROM (SELECT count(*) AS n FROM tenancy.rollout_items WHERE rollout_id = $id AND started_at > pg_postmaster_start_time() GROUP BY worker_pid) s"), 't', 'no worker works on more tenants than the setting allows');

#
# A migration that fails at tenant 43 of 100
#

add_version('1.3.0', '1.2.0', 'ALTER TABLE note ADD COLUMN three integer; UPDATE note SET three = n; ALTER TABLE note ALTER COLUMN three SET NOT NULL', 'ALTER TABLE note DROP COLUMN three');
sql('UPDATE tenant_t043_notes.note SET n = NULL WHERE id = 7');
$id = sql("SELECT tenancy.start_rollout('notes', '1.3.0', on_error => 'continue')");
wait_for($id, 'failed', 'a rollout with a tenant that fails');
is(states($id), 'done 99, failed 1', 'the others are done');
is(torn($id, 'three', '1.3.0'), '', 'the one is whole');
is(sql("SELECT tenant_id, version_from, sqlstate, error_message FROM tenancy.rollout_items WHERE rollout_id = $id AND state = 'failed'"),
	't043|1.2.0|23502|column "three" of relation "note" contains null values', 'and named');
sql("UPDATE tenant_t043_notes.note SET n = 7 WHERE id = 7; SELECT tenancy.retry_rollout($id)");
wait_for($id, 'done', 'mended, it is done');
is(torn($id, 'three', '1.3.0'), '', 'as a whole');

#
# Migrations that run in no transaction
#

my $script = 'ALTER TABLE note ADD COLUMN four integer; CREATE INDEX CONCURRENTLY note_four ON note (four);
	UPDATE note SET four = n WHERE ctid = ANY (ARRAY(SELECT ctid FROM note WHERE four IS NULL LIMIT 7)) /* repeat */; ANALYZE note; VACUUM note';
add_version('1.4.0', '1.3.0', $script, 'DROP INDEX CONCURRENTLY note_four; ALTER TABLE note DROP COLUMN four', 'false');
add_version('1.5.0', '1.4.0', 'ALTER TABLE note ADD COLUMN five integer', 'ALTER TABLE note DROP COLUMN five');
like(error_of("SELECT tenancy.update_system('t001', 'notes', '1.4.0')"), qr/0A000.*does not run in a transaction/s, 'one tenant is not updated by such a migration');
like(error_of("SELECT tenancy.start_rollout('notes', '1.4.0', workers => 0)"), qr/22023.*needs a background worker/s, 'nor does a session run it');
$id = sql("SELECT tenancy.start_rollout('notes', '1.5.0', tenants => ARRAY(SELECT tenant_id FROM tenancy.tenants WHERE tenant_id < 't020'))");
like(error_of("CALL tenancy.run_rollout($id)"), qr/0A000.*needs a background worker/s, 'a session that tries is told') if sql("SELECT state = 'running' FROM tenancy.rollouts WHERE rollout_id = $id") eq 't';
wait_for($id, 'done', 'a worker does, and what comes after it');
is(states($id), 'done 19', 'all are done');
is(torn($id, 'five', '1.5.0'), '', 'as a whole');
is(sql(q(SELECT indisvalid, indisready FROM pg_index WHERE indexrelid = 'tenant_t007_notes.note_four'::regclass)), 't|t', 'the index is valid');
is(sql('SELECT count(*) FROM tenant_t007_notes.note WHERE four = n'), '20', 'all rows are filled, in more than one go');
is(sql("SELECT string_agg(direction || ' ' || version_to, ', ' ORDER BY history_id) FROM tenancy.tenant_system_history WHERE tenant_id = 't007' AND version_to > '1.3.0'"), 'up 1.4.0, up 1.5.0', 'the history tells both steps');
is(sql(q(SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'tenant_t007_notes.note_four'::regclass)), 'tenancy_owner', 'the index is its owner\'s');

like(error_of("SELECT tenancy.rollback_rollout($id)"), qr/55000.*cannot be rolled back without force/s, 'nobody looks at what such a way back loses, so it is refused');
my $back = sql("SELECT tenancy.rollback_rollout($id, force => true)");
wait_for($back, 'done', 'the way back runs in no transaction either');
is(sql("SELECT count(*) FROM tenancy.installed_systems WHERE version = '1.3.0' AND tenant_id < 't020'"), '19', 'all are back');
is(sql(q(SELECT to_regclass('tenant_t007_notes.note_four') IS NULL)), 't', 'the index is gone');

# A reader with an old snapshot holds up CREATE INDEX CONCURRENTLY, which is killed then and leaves an invalid index.
my $reader = $node->background_psql('postgres', on_error_stop => 0);
$reader->query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tenant_t050_notes.note");
$id = sql("SELECT tenancy.start_rollout('notes', '1.4.0', tenants => ARRAY['t001', 't002', 't003'], workers => 1)");
wait_until("SELECT count(*) = 1 FROM pg_index WHERE NOT indisvalid AND indexrelid::regclass::text ~ 'note_four' AND indisready", 'an index is being made');
is(sql("SELECT state, steps_done, step_started FROM tenancy.rollout_items WHERE rollout_id = $id AND tenant_id = 't001'"), 'running|1|t', 'the cursor stands before it');
is(sql("SELECT running, pending FROM tenancy.rollout_progress WHERE rollout_id = $id"), '1|2', 'the view tells');
like(error_of("SET lock_timeout = '100 ms'; SELECT tenancy.suspend_tenant('t001')"), qr/55P03/, 'nobody else works on the tenant');
kill 'KILL', sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'tenancy rollout worker'");
$reader->{run}->kill_kill if $reader->{run};
wait_for($id, 'done', 'after kill -9 the next worker goes on');
is(states($id), 'done 3', 'all are done');
is(sql("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), '0', 'no invalid index is left');
is(sql("SELECT count(*) FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid WHERE c.relname = 'note_four' AND x.indisvalid"), '3', 'but those that were wanted');
is(sql("SELECT string_agg(DISTINCT version, ' ') FROM tenancy.installed_systems WHERE tenant_id <= 't003'"), '1.4.0', 'all have the version');

# Killed after the index was made and before that was written down: it is found.
sql("INSERT INTO tenancy.rollouts (system_id, version, workers, lock_timeout, max_attempts, on_error, checksum) VALUES ('notes', '1.4.0', 1, '200 ms', 10, 'stop', '');
	INSERT INTO tenancy.rollout_items (rollout_id, tenant_id, item_no, wave, state, version_from, version_to, queue_no, migration_id, steps_done, step_started, started_at)
	SELECT max(rollout_id), 't030', 1, 1, 'running', '1.3.0', '1.4.0', 1, 'notes-1.3.0-1.4.0', 1, true, now() FROM tenancy.rollouts;
	ALTER TABLE tenant_t030_notes.note ADD COLUMN four integer; CREATE INDEX note_four ON tenant_t030_notes.note (four);
	UPDATE tenancy.rollouts SET state = 'paused' WHERE rollout_id = (SELECT max(rollout_id) FROM tenancy.rollouts);");
$id = sql('SELECT max(rollout_id) FROM tenancy.rollouts');
my $index = sql(q(SELECT 'tenant_t030_notes.note_four'::regclass::oid));
sql("UPDATE tenancy.rollouts SET migrations = ARRAY['notes-1.3.0-1.4.0'], checksum = tenancy.rollout_checksum(ARRAY['notes-1.3.0-1.4.0']) WHERE rollout_id = $id; SELECT tenancy.resume_rollout($id)");
# The rollout is over when those that came late are done too.
wait_for($id, 'done', 'a step that was done and not counted');
is(sql("SELECT state, attempts FROM tenancy.rollout_items WHERE rollout_id = $id AND tenant_id = 't030'"), 'done|1', 'is counted');
is(sql(q(SELECT 'tenant_t030_notes.note_four'::regclass::oid)), $index, 'and not done again');

# What fails half-way is told with its step, and goes on from there.
add_version('1.6.0', '1.4.0', 'ALTER TABLE note ADD COLUMN six integer; CREATE UNIQUE INDEX CONCURRENTLY note_body ON note (body)', 'DROP INDEX note_body', 'false');
sql("UPDATE tenant_t002_notes.note SET body = 'note ' || id");
$id = sql("SELECT tenancy.start_rollout('notes', '1.6.0', tenants => ARRAY['t001', 't002'], on_error => 'continue')");
wait_for($id, 'failed', 'an index that cannot be made');
is(sql("SELECT tenant_id, state, sqlstate, migration_id, steps_done FROM tenancy.rollout_items WHERE rollout_id = $id ORDER BY 1"),
	"t001|failed|23505|notes-1.4.0-1.6.0|1\nt002|done|||0", 'its tenant, error and step are named');
like(error_of("SELECT tenancy.rollback_rollout($id)"), qr/55006.*half-way through a migration of tenant "t001"/s, 'nobody is led back from half-way');
sql("UPDATE tenant_t001_notes.note SET body = 'note ' || id; SELECT tenancy.retry_rollout($id)");
wait_for($id, 'done', 'mended, it goes on where it stood');
is(sql("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), '0', 'no invalid index is left');

#
# A migration that brings the server down
#

add_version('1.7.0', '1.6.0', 'ALTER TABLE note ADD COLUMN seven integer; DO $d$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_catalog.clock_timestamp(); END $d$', 'ALTER TABLE note DROP COLUMN seven');
sql('GRANT pg_signal_backend TO tenancy_owner');
$id = sql("SELECT tenancy.start_rollout('notes', '1.7.0', tenants => ARRAY['t001'], workers => 1)");
wait_for($id, 'paused', 'workers that come to nothing pause the rollout');
like(sql("SELECT reason FROM tenancy.rollouts WHERE rollout_id = $id"), qr/background workers started \d+ times and finished no tenant/, 'and it says why');
sql("SELECT tenancy.cancel_rollout($id)");

#
# No worker slots
#

add_version('1.8.0', '1.6.0', 'ALTER TABLE note ADD COLUMN eight integer', 'ALTER TABLE note DROP COLUMN eight');
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$node->restart;
my ($stdout, $stderr);
$node->psql('postgres', "SELECT tenancy.start_rollout('notes', '1.8.0', tenants => ARRAY['t001', 't002'])", stdout => \$stdout, stderr => \$stderr);
like($stderr, qr/WARNING:  no background worker will run rollout $stdout\n.*max_worker_processes.*CALL tenancy.run_rollout/s, 'who starts a rollout is told that there are no slots');
sql("CALL tenancy.run_rollout($stdout)");
wait_for($stdout, 'done', 'a session runs it');
$node->append_conf('postgresql.conf', 'max_worker_processes = 16');
$node->restart;

#
# A standby
#

add_version('1.9.0', '1.8.0', "ALTER TABLE note ADD COLUMN nine integer; $moment", 'ALTER TABLE note DROP COLUMN nine');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$id = sql("SELECT tenancy.start_rollout('notes', '1.9.0', workers => 1, tenants => ARRAY['t001', 't002'])");
sql("SELECT tenancy.pause_rollout($id)");
wait_until("SELECT workers = 0 FROM tenancy.rollout_progress WHERE rollout_id = $id", 'paused');
sql("UPDATE tenancy.rollouts SET state = 'running' WHERE rollout_id = $id");
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT state, workers FROM tenancy.rollout_progress WHERE rollout_id = $id"), 'running|0', 'a standby shows a rollout that runs, and has no worker');
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'tenancy%'"), '0', 'nor any other process of ours');
$standby->promote;
ok($standby->poll_query_until('postgres', "SELECT state = 'done' FROM tenancy.rollouts WHERE rollout_id = $id"), 'promoted, it goes on');
$standby->stop;

#
# Commands that need the database or the extension to themselves; dump and restore
#

sql("SELECT tenancy.cancel_rollout($id)");
# A DROP EXTENSION locks each object of the extension: for that the lock table needs its usual size.
$node->adjust_conf('postgresql.conf', 'max_locks_per_transaction', '64');
$node->restart;
sql("CREATE DATABASE other");
sql(q(CREATE EXTENSION tenancy;
	SELECT tenancy.register_system('slow', 'Slow', 'slow', 'test');
	SELECT tenancy.register_version('slow', '1.0.0', 'CREATE TABLE note (id integer)');
	SELECT tenancy.create_tenant('o1', 'One'), tenancy.create_tenant('o2', 'Two');
	SELECT tenancy.install_system('o1', 'slow'), tenancy.install_system('o2', 'slow');
	SELECT tenancy.register_version('slow', '1.1.0', 'CREATE TABLE note (id integer)');
	SELECT tenancy.register_migration('slow', '1.0.0', '1.1.0', 'ALTER TABLE note ADD COLUMN n integer;
		DO $d$ DECLARE until timestamptz := clock_timestamp() + ''1 min''; BEGIN WHILE clock_timestamp() < until LOOP END LOOP; END $d$')), 'other');
my $dumped = sql(q(SELECT tenancy.start_rollout('slow', workers => 0)), 'other');
my ($dump, undef) = run_command([ 'pg_dump', '-d', $node->connstr('other') ]);
sql("SELECT tenancy.cancel_rollout($dumped)", 'other');
sql(q(SELECT tenancy.start_rollout('slow', workers => 1)), 'other');
ok($node->poll_query_until('other', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'tenancy rollout worker' AND datname = 'other' AND backend_xid IS NOT NULL"), 'a worker is at work in another database');
$node->psql('other', 'DROP EXTENSION tenancy CASCADE', stderr => \$stderr);
is(sql("SELECT count(*) FROM pg_extension WHERE extname = 'tenancy'", 'other'), '0', 'DROP EXTENSION is not held up');
sql('DROP DATABASE other');
is(sql("SELECT count(*) FROM pg_database WHERE datname = 'other'"), '0', 'nor is DROP DATABASE');

sql('CREATE DATABASE restored');
open my $file, '>', "$PostgreSQL::Test::Utils::tmp_check/dump.sql" or die;
print $file $dump;
close $file;
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', "$PostgreSQL::Test::Utils::tmp_check/dump.sql" ], 'a dump is restored');
is(sql('SELECT r.rollout_id, r.state, count(*) FROM tenancy.rollouts r JOIN tenancy.rollout_items USING (rollout_id) GROUP BY 1, 2', 'restored'), "$dumped|running|2", 'with the rollout and its tenants');
sql("SELECT tenancy.cancel_rollout($dumped)", 'restored');
cmp_ok(sql(q(SELECT tenancy.start_rollout('slow', workers => 0)), 'restored'), '>', $dumped, 'and its numbers go on');
sql('DROP DATABASE restored');
$node->stop;

done_testing();
