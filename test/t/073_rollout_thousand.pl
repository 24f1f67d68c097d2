# A thousand tenants, whose migration fails at one of them, while a session holds the table of another and a worker is killed: the
# others are done and wait for nobody, each once; the two are whole and named, and are done when nothing is in the way any more.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $tenants = 1000;
my ($broken, $held) = ('t0437', 't0100');

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
# A lock table that holds the tables of some tenants, by far not of all.
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'tenancy'
max_worker_processes = 16
max_locks_per_transaction = 10
max_connections = 20
restart_after_crash = on
fsync = off
log_min_messages = warning));
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]) }

# A server that recovers answers nobody.
sub wait_until
{
	my ($query, $label) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	my ($status, $answer) = (1, '');
	until ($status == 0 && $answer eq 't' || time > $deadline)
	{
		($status, $answer) = $node->psql('postgres', $query);
	}
	is($answer, 't', $label) or diag sql('SELECT * FROM tenancy.rollout_progress');
	return;
}

sql(q(
	CREATE EXTENSION tenancy;
	SELECT tenancy.register_system('notes', 'Notes', 'notes', 'test');
	SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id integer PRIMARY KEY, n integer); INSERT INTO note SELECT g, g FROM generate_series(1, 3) g');
	SELECT tenancy.register_version('notes', '1.1.0', 'CREATE TABLE note (id integer PRIMARY KEY, n integer, twice integer NOT NULL)');
	SELECT tenancy.register_migration('notes', '1.0.0', '1.1.0', 'ALTER TABLE note ADD COLUMN twice integer; UPDATE note SET twice = 2 * n;
		ALTER TABLE note ALTER COLUMN twice SET NOT NULL; CREATE INDEX note_twice_idx ON note (twice)', 'ALTER TABLE note DROP COLUMN twice');));
sql(join ';', map { sprintf q(SELECT tenancy.create_tenant('t%04d', 'Tenant'), tenancy.install_system('t%04d', 'notes', '1.0.0')), $_, $_ } 1 .. $tenants);
is(sql('SELECT count(*) FROM tenancy.installed_systems'), $tenants, 'a thousand tenants');

sub states
{
	my ($id) = @_;
	return sql("SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM tenancy.rollout_items WHERE rollout_id = $id GROUP BY 1) s");
}

# Those who have a part of the version, of its column and of its index; all by one snapshot, since others may be led meanwhile.
my $torn = q(SELECT count(*) FROM tenancy.installed_systems i, to_regclass(format('%I.note', i.schema_name)) AS note
	WHERE (i.version = '1.1.0') IS DISTINCT FROM EXISTS (SELECT FROM pg_attribute WHERE attrelid = note AND attname = 'twice' AND NOT attisdropped)
	   OR (i.version = '1.1.0') IS DISTINCT FROM EXISTS (SELECT FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid WHERE x.indrelid = note AND c.relname = 'note_twice_idx'));

sql("UPDATE tenant_${broken}_notes.note SET n = NULL WHERE id = 2");
my $reader = $node->background_psql('postgres');
$reader->query_safe("BEGIN; SELECT count(*) FROM tenant_${held}_notes.note");

my $id = sql(q(SELECT tenancy.start_rollout('notes', '1.1.0', on_error => 'continue', lock_timeout => '50 ms', max_attempts => 1000)));
wait_until("SELECT count(*) = @{[ $tenants - 2 ]} FROM tenancy.rollout_items WHERE rollout_id = $id AND state = 'done'", 'all others are done, while a reader holds one table');
is(sql("SELECT tenant_id, state, version_from, sqlstate, error_message FROM tenancy.rollout_items WHERE rollout_id = $id AND tenant_id = '$broken'"),
	"$broken|failed|1.0.0|23502|column \"twice\" of relation \"note\" contains null values", 'the one that fails is named');
is(sql("SELECT tenant_id, sqlstate FROM tenancy.rollout_items WHERE rollout_id = $id AND state NOT IN ('done', 'failed')"), "$held|55P03", 'and so is the one that is held');
is(sql($torn), '0', 'everybody is whole');
is(sql("SELECT n FROM tenant_${broken}_notes.note ORDER BY id"), "1\n\n3", 'the one that failed has its rows as they were');
$reader->quit;
wait_until("SELECT state = 'failed' FROM tenancy.rollouts WHERE rollout_id = $id", 'let go, that one is done, and the rollout over');
is(states($id), 'done 999, failed 1', 'but for one');
sql("UPDATE tenant_${broken}_notes.note SET n = 2 WHERE id = 2; SELECT tenancy.retry_rollout($id)");
wait_until("SELECT state = 'done' FROM tenancy.rollouts WHERE rollout_id = $id", 'which is done when it is mended');
is(sql($torn), '0', 'everybody is whole');
is(sql("SELECT count(*), count(DISTINCT tenant_id) FROM tenancy.tenant_system_history WHERE direction = 'up' AND sqlstate IS NULL"), "$tenants|$tenants", 'and was led there once');

# All the way back, with a worker that is killed in the midst.
my $back = sql("SELECT tenancy.rollback_rollout($id, force => true)");
wait_until("SELECT count(*) >= 400 FROM tenancy.rollout_items WHERE rollout_id = $back AND state = 'done'", 'four hundred are back');
my $before = sql("SELECT backend_start FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
my $pid    = sql("SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'tenancy rollout worker'");
PostgreSQL::Test::Utils::system_or_bail('kill', '-KILL', $pid);
wait_until("SELECT backend_start <> '$before' FROM pg_stat_activity WHERE backend_type = 'checkpointer'", 'a worker is killed, and the server is back');
is(sql($torn), '0', 'everybody is whole');
wait_until("SELECT state = 'done' FROM tenancy.rollouts WHERE rollout_id = $back", 'the way back goes on to its end by itself');
is(states($back), "done $tenants", 'all are back');
is(sql($torn), '0', 'as a whole');
is(sql(q(SELECT DISTINCT version FROM tenancy.installed_systems)), '1.0.0', 'at the version of before');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|out of shared memory/, 'and the lock table was large enough');
done_testing();
