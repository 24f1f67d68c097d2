# Rollouts by background workers: canary and waves, pause, resume, cancel, errors that stop and errors that do not, a tenant
# that somebody holds, tenants that come and go meanwhile, and the way back.

use strict;
use warnings FATAL => 'all';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'\nmax_worker_processes = 16\nlog_min_messages = warning");
$node->start;

my $tenants = 40;
$node->safe_psql('postgres', qq(
	CREATE EXTENSION tenancy;
	SELECT tenancy.register_system('notes', 'Notes', 'notes', 'test');
	SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id integer PRIMARY KEY, body text NOT NULL, n integer);
		INSERT INTO note SELECT g, ''note'', g FROM generate_series(1, 3) g');
	SELECT tenancy.create_tenant(format('t%s', to_char(n, 'FM000')), 'Tenant', NULL, CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END)
	  FROM generate_series(1, $tenants) n;
	SELECT tenancy.install_system(tenant_id, 'notes') FROM tenancy.tenants;));

# usage: add_version(version, from, up, down[, extra arguments of register_migration])
sub add_version
{
	my ($version, $from, $up, $down, $more) = @_;
	my $script = $node->safe_psql('postgres', "SELECT install_sql FROM tenancy.system_versions WHERE system_id = 'notes' AND version = '$from'");
	$node->safe_psql('postgres', "SELECT tenancy.register_version('notes', '$version', \$s\$$script;\n$up\$s\$);
		SELECT tenancy.register_migration('notes', '$from', '$version', \$s\$$up\$s\$, \$s\$$down\$s\$" . ($more // '') . ')');
	return;
}

sub sql
{
	my ($text) = @_;
	return $node->safe_psql('postgres', $text);
}

# The error of a statement that must fail, with its SQLSTATE.
sub error_of
{
	my ($text) = @_;
	my ($status, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$text", on_error_stop => 1);
	return $status == 0 ? 'it succeeded' : $err;
}

sub wait_for
{
	my ($rollout, $state, $label) = @_;
	ok($node->poll_query_until('postgres', "SELECT state = '$state' FROM tenancy.rollouts WHERE rollout_id = $rollout"), $label)
	  or diag sql("SELECT * FROM tenancy.rollout_progress WHERE rollout_id = $rollout");
	return;
}

sub states
{
	my ($rollout) = @_;
	return sql("SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM tenancy.rollout_items WHERE rollout_id = $rollout GROUP BY 1) s");
}

sub versions
{
	return sql("SELECT string_agg(version || ' ' || n, ', ' ORDER BY version) FROM (SELECT version, count(*) AS n FROM tenancy.installed_systems GROUP BY 1) s");
}

# Those schemas whose tables are not as their version says.
my $column = 'priority';
my $since  = '1.1.0';
sub torn
{
	return sql("SELECT string_agg(i.tenant_id, ' ') FROM tenancy.installed_systems i
		WHERE (tenancy.compare_versions(i.version, '$since') >= 0) IS DISTINCT FROM
		      EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = format('%I.note', i.schema_name)::regclass AND a.attname = '$column' AND NOT a.attisdropped)");
}

# A session that stays in its transaction.
sub open_session
{
	my ($text) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 1);
	$session->query_safe($text);
	return $session;
}

#
# Plan, waves, the end
#

add_version('1.1.0', '1.0.0', 'ALTER TABLE note ADD COLUMN priority integer NOT NULL DEFAULT 0; CREATE INDEX note_priority ON note (priority); UPDATE note SET priority = 1 WHERE n > 1',
	'ALTER TABLE note DROP COLUMN priority');
is(sql("SELECT string_agg(format('%s: %s', wave, n), ', ' ORDER BY wave) FROM (SELECT wave, count(*) AS n FROM
	tenancy.plan_rollout('notes', canary => ARRAY['t007'], canary_size => '5%', waves => ARRAY['10%', '7']) GROUP BY 1) s"),
	'0: 2, 1: 4, 2: 7, 3: 27', 'a plan: canary by name and by size, waves by share and by number, the rest');
is(sql("SELECT string_agg(tenant_id, ' ' ORDER BY item_no) FROM tenancy.plan_rollout('notes', canary => ARRAY['t007']) WHERE item_no < 4"),
	't007 t001 t002', 'the canary comes first');
is(sql("SELECT count(*) FROM tenancy.plan_rollout('notes', region => 'even')"), '20', 'a plan for a region');
is(sql('SELECT count(*) FROM tenancy.rollouts'), '0', 'a plan has no effect');

is(sql("SELECT step, migration_id, statement, locks, rewritten, outcome, duration > '0' FROM tenancy.dry_run_rollout('notes', tenant_id => 't009')"),
	"1|notes-1.0.0-1.1.0|ALTER TABLE note ADD COLUMN priority integer NOT NULL DEFAULT 0|{\"AccessExclusiveLock on note\"}|{}|done|t\n"
	  . "2|notes-1.0.0-1.1.0|CREATE INDEX note_priority ON note (priority)|{\"ShareLock on note\"}|{}|done|t\n"
	  . '3|notes-1.0.0-1.1.0|UPDATE note SET priority = 1 WHERE n > 1|{}|{}|done|t', 'a dry run tells statements, locks and time');
is(versions(), "1.0.0 $tenants", 'and changes nothing');
is(torn(), '', 'in the tables neither');
like(error_of("SELECT tenancy.dry_run_rollout('notes', '1.0.0')"), qr/55000.*no tenant of system "notes" would be updated/s, 'a dry run of nothing');

my $id = sql("SELECT tenancy.start_rollout('notes', canary => ARRAY['t007'], waves => ARRAY['10%', '7'])");
wait_for($id, 'done', 'a rollout runs to its end');
is(states($id), "done $tenants", 'all tenants are done');
is(versions(), "1.1.0 $tenants", 'and have the version');
is(torn(), '', 'and the tables of it');
is(sql("SELECT count(*) FROM tenancy.rollout_items a JOIN tenancy.rollout_items b ON a.rollout_id = b.rollout_id AND a.wave < b.wave
	WHERE a.rollout_id = $id AND a.finished_at > b.started_at"), '0', 'no wave began before the one before it was over');
is(sql("SELECT priority, count(*) FROM tenant_t003_notes.note GROUP BY 1 ORDER BY 1"), "0|1\n1|2", 'rows were updated');
is(sql("SELECT state, total, done, failed, percent, wave, last_wave, workers, failures IS NULL, tenants_per_second > 0, eta IS NULL FROM tenancy.rollout_progress WHERE rollout_id = $id"),
	"done|$tenants|$tenants|0|100.0|3|3|0|t|t|t", 'progress');
is(sql("SELECT count(DISTINCT worker_pid) BETWEEN 1 AND 2 FROM tenancy.rollout_items WHERE rollout_id = $id"), 't', 'by no more workers than it asked for');

my $again = sql("SELECT tenancy.start_rollout('notes')");
wait_for($again, 'done', 'a rollout with nothing to do');
is(states($again), "skipped $tenants", 'tenants that have the version are skipped');
is(sql("SELECT DISTINCT reason FROM tenancy.rollout_items WHERE rollout_id = $again"), 'has this version', 'and it says why');

#
# The way back
#

my $back = sql("SELECT tenancy.rollback_rollout($id)");
wait_for($back, 'paused', 'a rollback that would lose data stops');
is(sql("SELECT DISTINCT sqlstate FROM tenancy.rollout_items WHERE rollout_id = $back AND state = 'failed'"), '55000', 'it is refused');
is(versions(), "1.1.0 $tenants", 'nobody is led back');
is(torn(), '', 'and all are whole');
sql("SELECT tenancy.cancel_rollout($back)");
$back = sql("SELECT tenancy.rollback_rollout($id, force => true)");
wait_for($back, 'done', 'a rollout is rolled back');
is(versions(), "1.0.0 $tenants", 'all tenants are back');
is(torn(), '', 'and their tables');
is(sql("SELECT state FROM tenancy.rollouts WHERE rollout_id = $id"), 'rolled_back', 'the rollout says so');
like(error_of("SELECT tenancy.rollback_rollout($id)"), qr/55000.*cannot be rolled back: it is rolled_back/s, 'it is not rolled back twice');
like(error_of("SELECT tenancy.rollback_rollout($back)"), qr/55000.*is a rollback itself/s, 'nor is the rollback');

#
# A tenant that somebody holds does not hold up the others
#

my $holder = open_session('BEGIN; SELECT count(*) FROM tenant_t005_notes.note');
$id = sql("SELECT tenancy.start_rollout('notes', lock_timeout => '20 ms', max_attempts => 1000)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 39 FROM tenancy.rollout_items WHERE rollout_id = $id AND state = 'done'"),
	'the others are done while one tenant is held');
is(sql("SELECT tenant_id, sqlstate FROM tenancy.rollout_items WHERE rollout_id = $id AND state <> 'done'"), 't005|55P03', 'the one that is left could not be locked');
ok($node->poll_query_until('postgres', "SELECT attempts > 2 FROM tenancy.rollout_items WHERE rollout_id = $id AND tenant_id = 't005'"), 'it is tried again and again');
is(sql("SELECT retrying FROM tenancy.rollout_progress WHERE rollout_id = $id"), '1', 'the view tells');
$holder->query_safe('COMMIT');
wait_for($id, 'done', 'released, it is done too');
is(torn(), '', 'as a whole');

# Held for longer than it is tried, it fails, and is named.
add_version('1.2.0', '1.1.0', 'ALTER TABLE note ADD COLUMN held integer', 'ALTER TABLE note DROP COLUMN held');
($column, $since) = ('held', '1.2.0');
$holder->query_safe('BEGIN; SELECT count(*) FROM tenant_t005_notes.note');
$id = sql("SELECT tenancy.start_rollout('notes', lock_timeout => '10 ms', max_attempts => 3, on_error => 'continue')");
wait_for($id, 'failed', 'tried in vain');
is(states($id), 'done 39, failed 1', 'one tenant failed');
is(sql("SELECT tenant_id, attempts, sqlstate, error_message FROM tenancy.rollout_items WHERE rollout_id = $id AND state = 'failed'"),
	't005|3|55P03|canceling statement due to lock timeout', 'and is named');
is(sql("SELECT failures FROM tenancy.rollout_progress WHERE rollout_id = $id"), '{"55P03": 1}', 'failures by SQLSTATE');
$holder->query_safe('COMMIT');
is(sql("SELECT tenancy.retry_rollout($id, 't005')"), '1', 'it is tried again');
wait_for($id, 'done', 'and done');
like(error_of("SELECT tenancy.retry_rollout($id)"), qr/55000.*cannot be retried: it is done/s, 'nobody is left to be retried');

#
# Failures
#

# The migration of 1.3.0 fails where a note has no number.
add_version('1.3.0', '1.2.0', 'ALTER TABLE note ADD COLUMN strict integer; ALTER TABLE note ALTER COLUMN n SET NOT NULL', 'ALTER TABLE note DROP COLUMN strict; ALTER TABLE note ALTER COLUMN n DROP NOT NULL');
($column, $since) = ('strict', '1.3.0');
sql("UPDATE tenant_t020_notes.note SET n = NULL WHERE id = 1");
is(sql("SELECT step, outcome FROM tenancy.dry_run_rollout('notes', tenant_id => 't020')"),
	"1|done\n2|23502: column \"n\" of relation \"note\" contains null values", 'a dry run tells the error that a tenant would have');
$id = sql("SELECT tenancy.start_rollout('notes', canary => ARRAY['t020', 't001'], on_error => 'continue')");
wait_for($id, 'paused', 'a canary that fails stops the rollout');
like(sql("SELECT reason FROM tenancy.rollouts WHERE rollout_id = $id"), qr/tenant "t020" of the canary failed with SQLSTATE 23502/, 'and it says why');
is(sql("SELECT count(*) FROM tenancy.rollout_items WHERE rollout_id = $id AND wave > 0 AND state <> 'pending'"), '0', 'nobody else is touched');
is(torn(), '', 'the one that failed is whole');
like(error_of("SELECT tenancy.start_rollout('notes')"), qr/55006.*rollout $id of system "notes" is paused.*cancel_rollout\($id\)/s, 'a second rollout of the system is refused');
sql("SELECT tenancy.cancel_rollout($id)");
like(error_of("SELECT tenancy.resume_rollout($id)"), qr/55000.*cannot be resumed: it is cancelled/s, 'what is cancelled is not resumed');
is(sql("SELECT count(*) FROM tenancy.rollout_items WHERE rollout_id = $id AND state = 'pending'"), '0', 'a cancelled rollout leaves nobody waiting');

$id = sql("SELECT tenancy.start_rollout('notes', workers => 1)");
wait_for($id, 'paused', 'on_error = stop stops');
is(sql("SELECT tenant_id, sqlstate, attempts, error_message, error_context ~ 'ALTER TABLE note ALTER COLUMN n' FROM tenancy.rollout_items WHERE rollout_id = $id AND state = 'failed'"),
	't020|23502|1|column "n" of relation "note" contains null values|t', 'the tenant and its error are named');
is(sql("SELECT bool_and((i.state = 'pending') = (i.item_no > f.item_no)) FROM tenancy.rollout_items i, tenancy.rollout_items f
	WHERE i.rollout_id = $id AND i.state IN ('pending', 'done') AND f.rollout_id = $id AND f.state = 'failed'"), 't', 'those before it are done, those after it are not');
sql("SELECT tenancy.resume_rollout($id)");
wait_for($id, 'failed', 'resumed, it goes on without the one that failed');
is(states($id) =~ s/, skipped \d+//r, states($id) =~ /done (\d+)/ ? "done $1, failed 1" : '', 'one is left');
sql("UPDATE tenant_t020_notes.note SET n = 0 WHERE id = 1");
sql("SELECT tenancy.retry_rollout($id)");
wait_for($id, 'done', 'mended, it is done too');
is(versions(), "1.3.0 $tenants", 'all have the version');
is(torn(), '', 'and the tables of it');

# A budget of errors.
add_version('1.4.0', '1.3.0', 'ALTER TABLE note ADD COLUMN unique_n integer; CREATE UNIQUE INDEX note_n ON note (n)', 'DROP INDEX note_n; ALTER TABLE note DROP COLUMN unique_n');
($column, $since) = ('unique_n', '1.4.0');
sql("DO \$\$ BEGIN FOR i IN 1 .. 30 BY 3 LOOP EXECUTE format('UPDATE %I.note SET n = 5', 'tenant_t' || to_char(i, 'FM000') || '_notes'); END LOOP; END \$\$");
$id = sql("SELECT tenancy.start_rollout('notes', workers => 3, on_error => 'continue', error_budget => 4)");
wait_for($id, 'paused', 'more errors than the budget pause it');
is(sql("SELECT failed >= 5 AND failed <= 7 AND failures = jsonb_build_object('23505', failed) FROM tenancy.rollout_progress WHERE rollout_id = $id"), 't', 'just beyond the budget');
like(sql("SELECT reason FROM tenancy.rollouts WHERE rollout_id = $id"), qr/more than the error budget of 4/, 'and it says why');
sql("SELECT tenancy.resume_rollout($id)");
ok($node->poll_query_until('postgres', "SELECT state IN ('failed', 'paused') FROM tenancy.rollouts WHERE rollout_id = $id"), 'resumed, it counts anew');
sql("SELECT tenancy.resume_rollout($id)") if sql("SELECT state FROM tenancy.rollouts WHERE rollout_id = $id") eq 'paused';
wait_for($id, 'failed', 'it ends');
is(states($id), 'done 30, failed 10', 'ten failed, the others are done');
is(torn(), '', 'each is whole');

# The way back of a rollout that was not finished leads only those back that were done.
$back = sql("SELECT tenancy.rollback_rollout($id, force => true)");
wait_for($back, 'done', 'a rollout that failed is rolled back');
is(states($back), 'done 30', 'only those that were done are led back');
is(versions(), "1.3.0 $tenants", 'all are at the version of before');
is(torn(), '', 'as a whole');

#
# Pause, resume, cancel; tenants that come and go
#

# All but three tenants wait at a gate, so that there is something to pause.
my $gate = 'pg_advisory_lock(7)';
my $pass = "DO \$d\$ BEGIN IF \@tenant\@ > 't003' THEN PERFORM pg_advisory_xact_lock_shared(7); END IF; END \$d\$";
my $keeper = open_session("SELECT $gate");
add_version('1.5.0', '1.3.0', "ALTER TABLE note ADD COLUMN slow integer; $pass", 'ALTER TABLE note DROP COLUMN slow');
($column, $since) = ('slow', '1.5.0');
$id = sql("SELECT tenancy.start_rollout('notes', '1.5.0')");
ok($node->poll_query_until('postgres', "SELECT count(*) >= 3 FROM tenancy.rollout_items WHERE rollout_id = $id AND state = 'done'"), 'some are done');
sql("SELECT tenancy.pause_rollout($id, 'lunch')");
ok($node->poll_query_until('postgres', "SELECT workers = 0 FROM tenancy.rollout_progress WHERE rollout_id = $id"), 'paused, its workers leave');
my $done = sql("SELECT count(*) FROM tenancy.rollout_items WHERE rollout_id = $id AND state = 'done'");
is($done, '3', 'before all are done');
$keeper->query_safe('SELECT pg_advisory_unlock(7)');
is(sql("SELECT state, reason FROM tenancy.rollouts WHERE rollout_id = $id"), 'paused|lunch', 'it says why');
is(torn(), '', 'nobody is in between');

# Meanwhile one is suspended, one loses the system, one is updated by hand, and two come: one new, one with the old version.
sql("SELECT tenancy.suspend_tenant('t038'); DELETE FROM tenancy.tenants WHERE tenant_id = 't037'; SELECT tenancy.update_system('t036', 'notes', '1.5.0');
	SELECT tenancy.create_tenant('t900', 'New'), tenancy.install_system('t900', 'notes', '1.5.0');
	SELECT tenancy.create_tenant('t901', 'Old'), tenancy.install_system('t901', 'notes', '1.3.0')");
sql("SELECT tenancy.resume_rollout($id)");
wait_for($id, 'done', 'resumed, it goes to its end');
is(sql("SELECT tenant_id, state, reason FROM tenancy.rollout_items WHERE rollout_id = $id AND tenant_id IN ('t036', 't037', 't038', 't900', 't901') ORDER BY 1"),
	"t036|skipped|has this version\nt037|skipped|is gone, or does not have the system any more\nt038|done|\nt901|done|", 'whoever came or went meanwhile');
is(sql("SELECT string_agg(DISTINCT version, ' ') FROM tenancy.installed_systems WHERE tenant_id <> 't037'"), '1.5.0', 'all have the version');
is(sql("SELECT status FROM tenancy.tenants WHERE tenant_id = 't038'"), 'suspended', 'who was suspended still is');

add_version('1.6.0', '1.5.0', "ALTER TABLE note ADD COLUMN slower integer; $pass", 'ALTER TABLE note DROP COLUMN slower');
$keeper->query_safe("SELECT $gate");
$id = sql("SELECT tenancy.start_rollout('notes', '1.6.0')");
ok($node->poll_query_until('postgres', "SELECT count(*) >= 3 FROM tenancy.rollout_items WHERE rollout_id = $id AND state = 'done'"), 'some are done');
sql("SELECT tenancy.cancel_rollout($id, 'no')");
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM tenancy.rollout_items WHERE rollout_id = $id AND state IN ('pending', 'running')) AND NOT EXISTS
	(SELECT FROM pg_stat_activity WHERE backend_type = 'tenancy rollout worker')"), 'cancelled, nobody works on it');
is(sql("SELECT state, reason, (SELECT count(*) FROM tenancy.installed_systems WHERE version = '1.6.0') = done AND cancelled > 0 FROM tenancy.rollout_progress WHERE rollout_id = $id"),
	'cancelled|no|t', 'who was done stays done');
$keeper->query_safe('SELECT pg_advisory_unlock(7)');
$back = sql("SELECT tenancy.rollback_rollout($id, force => true)");
wait_for($back, 'done', 'a cancelled rollout is rolled back');
is(sql("SELECT string_agg(DISTINCT version, ' ') FROM tenancy.installed_systems WHERE tenant_id <> 't037'"), '1.5.0', 'all are at the version of before');

#
# Scripts that were edited
#

$keeper->query_safe("SELECT $gate");
$id = sql("SELECT tenancy.start_rollout('notes', '1.6.0', canary => ARRAY['t001'], waves => ARRAY['2'])");
ok($node->poll_query_until('postgres', "SELECT count(*) >= 3 FROM tenancy.rollout_items WHERE rollout_id = $id AND state = 'done'"), 'some are done');
sql("ALTER TABLE tenancy.schema_migrations DISABLE TRIGGER USER;
	UPDATE tenancy.schema_migrations SET migration_sql = migration_sql || ' /* better */' WHERE version_to = '1.6.0';
	ALTER TABLE tenancy.schema_migrations ENABLE TRIGGER USER");
$keeper->query_safe('SELECT pg_advisory_unlock(7)');
wait_for($id, 'paused', 'a migration that is edited meanwhile pauses the rollout');
is(sql("SELECT reason FROM tenancy.rollouts WHERE rollout_id = $id"), 'migrations were edited since it was started', 'and it says why');
like(error_of("SELECT tenancy.resume_rollout($id)"), qr/55000.*migrations of rollout $id have been edited/s, 'it is not resumed with other scripts');
sql("ALTER TABLE tenancy.schema_migrations DISABLE TRIGGER USER;
	UPDATE tenancy.schema_migrations SET migration_sql = replace(migration_sql, ' /* better */', '') WHERE version_to = '1.6.0';
	ALTER TABLE tenancy.schema_migrations ENABLE TRIGGER USER;
	SELECT tenancy.resume_rollout($id)");
wait_for($id, 'done', 'with the old scripts it is');

#
# Two sessions start a rollout at once; sessions run one; no worker is to be had
#

add_version('1.7.0', '1.6.0', 'ALTER TABLE note ADD COLUMN seven integer', 'ALTER TABLE note DROP COLUMN seven');
($column, $since) = ('seven', '1.7.0');
my $first  = open_session("BEGIN; SELECT tenancy.start_rollout('notes', workers => 0)");
my ($out, $err) = ('', '');
my $second = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SELECT tenancy.start_rollout('notes')" ], '>', \$out, '2>', \$err,
	IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default));
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%start_rollout%'"), 'a second start waits for the first');
$first->query_safe('COMMIT');
$second->finish;
like($err, qr/rollout \d+ of system "notes" is running/, 'and is refused');
$first->quit;
$id = sql("SELECT max(rollout_id) FROM tenancy.rollouts");
is(sql("SELECT workers FROM tenancy.rollout_progress WHERE rollout_id = $id"), '0', 'a rollout for sessions has no workers');

like(error_of("BEGIN; CALL tenancy.run_rollout($id); COMMIT"), qr/2D000.*inside a transaction block/s, 'no rollout in a transaction block');
my @sessions;
for my $number (1 .. 3)
{
	my %session = (out => '', err => '');
	$session{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "CALL tenancy.run_rollout($id)" ], '>', \$session{out}, '2>', \$session{err},
		IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default));
	push @sessions, \%session;
}
$_->{run}->finish for @sessions;
is(join('', map { $_->{err} } @sessions), '', 'three sessions run a rollout at once');
is(sql("SELECT state FROM tenancy.rollouts WHERE rollout_id = $id"), 'done', 'and end it');
is(sql("SELECT count(*), max(attempts) FROM tenancy.rollout_items WHERE rollout_id = $id AND state = 'done'"), ($tenants + 1) . '|1', 'each tenant was done once');
is(sql("SELECT count(*) FROM tenancy.tenant_system_history WHERE version_to = '1.7.0' AND direction = 'up'"), $tenants + 1, 'the history says the same');

add_version('1.8.0', '1.7.0', 'ALTER TABLE note ADD COLUMN eight integer', 'ALTER TABLE note DROP COLUMN eight');
$node->append_conf('postgresql.conf', 'tenancy.max_rollout_workers = 0');
$node->reload;
ok($node->poll_query_until('postgres', "SELECT current_setting('tenancy.max_rollout_workers') = '0'"), 'no workers allowed');
my ($stdout, $stderr);
$node->psql('postgres', "SELECT tenancy.start_rollout('notes')", stdout => \$stdout, stderr => \$stderr);
like($stderr, qr/WARNING:  no background worker will run rollout $stdout\n.*max_rollout_workers is 0.*CALL tenancy.run_rollout\($stdout\)/s, 'who starts a rollout is told that nobody will run it');
sql("CALL tenancy.run_rollout($stdout)");
wait_for($stdout, 'done', 'but for a session');
$node->append_conf('postgresql.conf', 'tenancy.max_rollout_workers = 4');
$node->reload;

#
# Refusals
#

add_version('2.0.0', '1.8.0', 'ALTER TABLE note ALTER COLUMN body TYPE varchar; ALTER TABLE note ALTER COLUMN n TYPE bigint', 'ALTER TABLE note ALTER COLUMN n TYPE integer');
is(sql("SELECT step, locks, rewritten FROM tenancy.dry_run_rollout('notes', '2.0.0')"), "1|{\"AccessExclusiveLock on note\"}|{}\n2|{\"ShareLock on note\"}|{note}", 'a dry run tells which tables are rewritten');
like(error_of("SELECT tenancy.start_rollout('notes', '3.0.0')"), qr/42704.*version 3.0.0 of system "notes" does not exist/s, 'an unknown version');
like(error_of("SELECT tenancy.start_rollout('nothing')"), qr/42704.*system "nothing" does not exist/s, 'an unknown system');
like(error_of("SELECT tenancy.start_rollout('notes', tenants => ARRAY['nobody'])"), qr/42704.*tenant "nobody" is not among those/s, 'an unknown tenant');
like(error_of("SELECT tenancy.start_rollout('notes', waves => ARRAY['many'])"), qr/22023.*malformed size/s, 'a wave of no size');
like(error_of("SELECT tenancy.start_rollout('notes', on_error => 'ignore')"), qr/22023.*"on_error" must be/s, 'an unknown on_error');
like(error_of("SELECT tenancy.start_rollout('notes', error_budget => 3)"), qr/22023.*"error_budget" goes with/s, 'a budget without continue');
like(error_of("SELECT tenancy.start_rollout('notes', workers => 100)"), qr/22023.*"workers" must be/s, 'too many workers');
like(error_of("SELECT tenancy.pause_rollout(4711)"), qr/42704.*rollout 4711 does not exist/s, 'an unknown rollout');
like(error_of("CALL tenancy.run_rollout(4711)"), qr/42704.*rollout 4711 does not exist/s, 'an unknown rollout to run');
sql("SELECT tenancy.register_version('notes', '3.0.0', 'CREATE TABLE note (id integer)')");
like(error_of("SELECT tenancy.start_rollout('notes', '3.0.0')"), qr/42704.*no migration leads from version 1.8.0.*41 tenants have that version/s, 'a version to which no migration leads');
is(sql("SELECT count(*) FROM tenancy.rollouts WHERE state IN ('running', 'paused')"), '0', 'nothing of that has begun');

$holder->quit;
$node->stop;
unlike(slurp_file($node->logfile), qr/terminated by signal|rollout (worker|supervisor)" .* exited with exit code [1-9]/, 'no worker crashed or failed');

done_testing();
