# Control of mirrors: pause and resume, waiting for one's own writes, copying again, comparing with MongoDB, notifications,
# and what logical replication sees.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Mirror::Node;
use Mongo::Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# MongoDB writes nothing by itself: waiting for that would be seen.
my $mongo = Mongo::Server->new('main', extra => [ '--setParameter', 'writePeriodicNoops=false' ])->start;
my $node = mirror_node('wal_level = logical', 'max_replication_slots = 4');

sub refused
{
	my ($sql, $pattern, $what) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return like($stderr, $pattern, $what);
}

sql(qq(
	CREATE EXTENSION tenancy_mongo CASCADE;
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');
	CREATE FOREIGN TABLE items_in_mongo (_id text, name text, price numeric) SERVER platform OPTIONS (database 'shop', collection 'items');
	CREATE TABLE items (_id text PRIMARY KEY, name text NOT NULL, price numeric, own text);
	CREATE ROLE other; GRANT USAGE ON SCHEMA tenancy_mongo TO other;
	SELECT tenancy_mongo.mirror('items_in_mongo', 'items');));
my $state = 'SELECT state FROM tenancy_mongo.stat_mirror';
my $names = q(SELECT coalesce(string_agg(_id || '=' || name, ' ' ORDER BY _id), 'none') FROM items);
my $wait  = q(SELECT tenancy_mongo.wait_for_mirror('platform'));
becomes($state, 'streaming', 'a mirror');

#
# Reading one's own writes
#

my $rounds = 0;
for my $n (1 .. 50)
{
	$mongo->insert('shop', 'items', qq({"_id": "own", "name": "n$n"})) if $n == 1;
	$mongo->update('shop', 'items', '{"_id": "own"}', qq({"\$set": {"name": "n$n"}}));
	$rounds++ if sql("$wait; SELECT name FROM items WHERE _id = 'own'") eq "t\nn$n";
}
is($rounds, 50, 'after wait_for_mirror() each write is visible');
$mongo->insert('elsewhere', 'things', '{"_id": 1}');
my $start = time;
is(sql($wait), 't', 'a write that no mirror follows is waited for as well');
cmp_ok(time - $start, '<', 30, 'but not until MongoDB has nothing else to say');
refused("BEGIN ISOLATION LEVEL REPEATABLE READ; $wait", qr/ERROR:  25001.*HINT:  Call it before BEGIN/s, 'not where the snapshot stays');
refused("SET ROLE other; $wait", qr/ERROR:  42501/, 'USAGE on the server is needed');
refused(q(SELECT tenancy_mongo.wait_for_mirror('nowhere')), qr/ERROR:  42704.*server "nowhere" does not exist/s, 'a server that is not there');
refused(q(SELECT tenancy_mongo.wait_for_mirror('platform', '-1 s')), qr/ERROR:  22023/, 'a negative timeout');

#
# Pause and resume
#

sql(q(SELECT tenancy_mongo.pause_mirror('platform')));
becomes(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^tenancy mirror'), '0', 'paused: no worker runs');
is(sql($state), 'paused', 'and stat_mirror says so');
$mongo->insert('shop', 'items', '{"_id": "late", "name": "late"}');
is(sql(q(SELECT tenancy_mongo.wait_for_mirror('platform', '200 ms'))), 'f', 'waiting for a paused mirror ends in time');
is(sql($names), 'own=n50', 'nothing comes');
$node->restart;
is(sql($state), 'paused', 'also after a restart');
sql(q(SELECT tenancy_mongo.resume_mirror('platform')));
is(sql($wait), 't', 'resumed');
is(sql($names), 'late=late own=n50', 'it has made up for the pause');
is(sql('SELECT resyncs FROM tenancy_mongo.stat_mirror'), '0', 'without another copy');
refused(q(SET ROLE other; SELECT tenancy_mongo.pause_mirror('platform')), qr/ERROR:  42501/, "only the server's owner pauses");

#
# Comparing, and copying again
#

my $verify = q(SELECT coalesce(string_agg(key || ' ' || problem, ', ' ORDER BY key), 'none') FROM tenancy_mongo.verify_mirror('items'));
$mongo->insert('shop', 'items', (map { qq({"_id": "k$_", "name": "name $_", "price": $_}) } 1 .. 300), '{"_id": "misfit", "price": 1}');
is(sql($wait), 't', 'level');
is(sql($verify), 'none', 'a sound mirror has no differences, and misfits are none');
sql(q(UPDATE items SET own = 'mine' WHERE _id = 'k1'));
is(sql($verify), 'none', "nor are columns that are the table's own");
sql(q(DELETE FROM items WHERE _id = 'k2'; UPDATE items SET price = 0.5 WHERE _id = 'k3'; INSERT INTO items VALUES ('k0', 'made up');
	DELETE FROM tenancy_mongo.misfits));
is(sql($verify), '"misfit" not among the misfits, k0 not in MongoDB, k2 missing, k3 differs', 'each difference is named');
is(sql('SELECT count(*) FROM items'), '302', 'and nothing is touched');
my $untouched = sql(q(SELECT xmin FROM items WHERE _id = 'k1'));
is(sql(q(SELECT count(*) FROM tenancy_mongo.verify_mirror('items', repair => true))), '4', 'with repair');
becomes('SELECT count(*) FROM tenancy_mongo.misfits', '1', 'the table is copied again');
becomes($state, 'streaming', 'and streams');
is(sql($verify), 'none', 'all differences are gone');
is(sql(q(SELECT xmin = $$) . $untouched . q($$, own FROM items WHERE _id = 'k1')), 't|mine', 'a row that was right was not touched');
sql(q(UPDATE items SET price = 0.5 WHERE _id = 'k3'; SELECT tenancy_mongo.refresh_mirror('items')));
becomes(q(SELECT price FROM items WHERE _id = 'k3'), '3', 'refresh_mirror() copies without a comparison');
becomes($state, 'streaming', 'and streams');
refused(q(SET ROLE other; SELECT tenancy_mongo.verify_mirror('items')), qr/ERROR:  42501/, 'only the owner compares');
refused(q(SET ROLE other; SELECT tenancy_mongo.refresh_mirror('items')), qr/ERROR:  42501/, 'or copies again');
refused(q(CREATE TABLE plain (); SELECT tenancy_mongo.verify_mirror('plain')), qr/ERROR:  42704.*"plain" is not a mirror/s, 'a table that is no mirror');

# While somebody writes, what is on its way is no difference.
my $writer = fork // die "fork: $!";
if ($writer == 0)
{
	my $mine  = $mongo->again;
	my $until = time + 6;
	while (time < $until)
	{
		$mine->update('shop', 'items', '{}', sprintf('{"$set": {"price": %d}}', rand 1000)) if rand() < 0.1;
		$mine->update('shop', 'items', sprintf('{"_id": "k%d"}', 1 + rand 300), sprintf('{"$set": {"name": "n%d"}}', rand 1000)) for 1 .. 20;
		$mine->delete('shop', 'items', '{"_id": "flicker"}');
		$mine->insert('shop', 'items', '{"_id": "flicker", "name": "f"}');
	}
	POSIX::_exit(0);
}
my $sound = 0;
my $runs  = 0;
while (waitpid($writer, POSIX::WNOHANG()) == 0)
{
	$runs++;
	my $found = sql($verify);
	$sound++ if $found eq 'none';
	diag $found if $found ne 'none';
}
cmp_ok($runs, '>', 2, 'compared while it changed');
is($sound, $runs, 'and nothing that was on its way was called a difference');

# What a comparison allocates for a row goes with the row.
sql(q(INSERT INTO items SELECT 'stray-' || n || repeat('k', 400), 'stray' FROM generate_series(1, 100000) n));
my $session = $node->background_psql('postgres');
$session->query_safe('SET client_min_messages = warning');
my $pid = $session->query_safe('SELECT pg_backend_pid()');
sub peak_memory { return slurp_file("/proc/$pid/status") =~ /^VmPeak:\s+(\d+) kB/m ? $1 / 1024 : die "no VmPeak"; }
$session->query_safe(q(SELECT count(*) FROM tenancy_mongo.verify_mirror('items') WHERE false));
my $before = peak_memory();
$session->query_safe(q(INSERT INTO items SELECT 'more-' || n || repeat('k', 400), 'stray' FROM generate_series(1, 100000) n));
is($session->query_safe(q(SELECT count(*) FROM tenancy_mongo.verify_mirror('items'))), '10000', 'a table with many rows of its own');
cmp_ok(peak_memory() - $before, '<', 64, sprintf('is compared in little memory: %.1f MB more', peak_memory() - $before));
$session->quit;
sql(q(DELETE FROM items WHERE name = 'stray'));

#
# The progress of a copy
#

sql(q(CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END'));
$mongo->insert('shop', 'many', map { qq({"_id": $_, "name": "many $_"}) } 1 .. 3000);
sql(q(CREATE FOREIGN TABLE many_in_mongo (_id int, name text) SERVER platform OPTIONS (database 'shop', collection 'many');
	CREATE TABLE many (_id int PRIMARY KEY, name text);
	CREATE TRIGGER hold BEFORE INSERT ON many FOR EACH ROW WHEN (NEW._id = 2500) EXECUTE FUNCTION hold()));
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(1)');
sql(q(SELECT tenancy_mongo.mirror('many_in_mongo', 'many')));
becomes(q(SELECT concat_ws(' ', local_table, documents, documents_expected, bytes > 60000, documents_per_second > 0, time_left > '0 s')
	FROM tenancy_mongo.progress_initial_sync), 'many 2000 3000 t t t', 'a copy tells how far it is');
is(sql('SELECT count(*) FROM many'), '0', 'and shows nothing of it');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
$holder->quit;
becomes('SELECT count(*) FROM many', '3000', 'until it is whole');
is(sql('SELECT count(*) FROM tenancy_mongo.progress_initial_sync'), '0', 'then there is no progress any more');

#
# Notifications
#

$node->append_conf('postgresql.conf', 'tenancy_mongo.mirror_notify = on');
$node->reload;
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN tenancy_mongo_mirror');
my $told = '';
for my $n (1 .. 600)
{
	$mongo->update('shop', 'items', '{"_id": "k1"}', qq({"\$set": {"name": "told $n"}}));
	sql($wait);
	$told = $listener->query('SELECT 1');
	last if $told =~ /Asynchronous notification/;
}
like($told, qr/"tenancy_mongo_mirror" with payload "public.items"/, 'a listener hears which mirror has changed');
$listener->quit;

#
# Logical replication
#

sql(q(SELECT pg_create_logical_replication_slot('all', 'test_decoding'), pg_create_logical_replication_slot('local', 'test_decoding')));
sql(q(INSERT INTO items VALUES ('by hand', 'x'); DELETE FROM items WHERE _id = 'by hand'));
$mongo->update('shop', 'items', '{"_id": "k1"}', '{"$set": {"name": "decoded"}}');
is(sql($wait), 't', 'level');
ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_logical_slot_peek_changes('all', NULL, NULL) WHERE data ~ 'decoded')),
	"logical replication sees the mirror's changes");
my $changes = q(SELECT count(*) FILTER (WHERE data ~ 'decoded'), count(*) FILTER (WHERE data ~ 'by hand') FROM pg_logical_slot_get_changes);
is(sql("$changes('all', NULL, NULL)"), '1|2', 'among the others');
is(sql("$changes('local', NULL, NULL, 'only-local', '1')"), '0|2', 'or leaves them out, by their origin');
is(sql(q(SELECT count(*), bool_and(remote_lsn > '0/0') FROM pg_replication_origin_status WHERE external_id ~ '^tenancy_mirror_')), '1|t',
	'the origin tells of the progress');
sql(q(SELECT tenancy_mongo.unmirror('items'), tenancy_mongo.unmirror('many')));
becomes(q(SELECT count(*) FROM pg_replication_origin), '0', 'it goes with the last mirror');
sql(q(TRUNCATE items; SELECT tenancy_mongo.mirror('items_in_mongo', 'items')));
becomes(q(SELECT count(*) FROM pg_replication_origin), '1', 'and comes with the next');
sql(q(SELECT tenancy_mongo.pause_mirror('platform')));
becomes(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^tenancy mirror'), '0', 'paused');
sql(q(SELECT tenancy_mongo.unmirror('items')));
becomes(q(SELECT count(*) FROM pg_replication_origin), '0', 'the origin of a mirror that ended while it was paused is gone too');

unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process crashed');
done_testing();
