# Operations on a server with mirrors: definitions that change, a second worker for a stream, a full disk, also under the WAL, no memory,
# shutdown while a synchronous standby is missing, an oplog that is about to be lost, replication origins that nobody needs any more.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Mirror::Node;
use Mongo::Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $mongo = Mongo::Server->new('main')->start;
my $node = mirror_node();

sub level { return is(sql("SELECT tenancy_mongo.wait_for_mirror('platform', '60 s')"), 't', $_[0]); }

sub oplog_seconds
{
	my ($order) = @_;
	my $reply = $mongo->command('local', qq({"find": "oplog.rs", "sort": {"\$natural": $order}, "limit": 1, "projection": {"ts": 1}}));
	return $reply->{cursor}{firstBatch}[0]{ts}{'$timestamp'}{t};
}

my $definition = qq(
	CREATE EXTENSION tenancy_mongo CASCADE;
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');
	CREATE FOREIGN TABLE items_in_mongo (_id text, name text, price numeric) SERVER platform OPTIONS (database 'shop', collection 'items');
	CREATE TABLE items (_id text PRIMARY KEY, name text NOT NULL, price numeric););
sql($definition);
$mongo->insert('shop', 'items', '{"_id": "a", "name": "A", "price": 1, "color": "red"}', '{"_id": "b", "name": "B", "price": "cheap", "color": "blue"}',
	'{"_id": "c", "price": 3}');
sql(q(SELECT tenancy_mongo.mirror('items_in_mongo', 'items')));
becomes(q(SELECT state FROM tenancy_mongo.stat_mirror), 'streaming', 'a mirror');
my $paused_at = oplog_seconds(-1);

#
# The oplog: the mirror is paused for longer than the oplog is old, and the log warns before it is too late
#

sql(q(SELECT tenancy_mongo.pause_mirror('platform')));
becomes(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^tenancy mirror'), '0', 'paused');

#
# Meanwhile: definitions that change while nobody looks, documents that did not fit
#

is(sql(q(SELECT string_agg(document_id, ' ' ORDER BY document_id) FROM tenancy_mongo.misfits)), '"b" "c"', 'two misfits');
sql(q(ALTER TABLE items ADD COLUMN color text; ALTER FOREIGN TABLE items_in_mongo ADD COLUMN color text));
my $from     = -s $node->logfile;
my $need     = 2 * ($paused_at - oplog_seconds(1)) + 16;
my $deadline = time + 120;
until (oplog_seconds(-1) - oplog_seconds(1) > $need || time > $deadline)
{
	$mongo->insert('elsewhere', 'things', '{"x": 1}');
	usleep(200_000);
}
sql(q(SELECT tenancy_mongo.resume_mirror('platform')));
becomes(q(SELECT string_agg(_id || color, ' ' ORDER BY _id) FROM items), 'ared', 'a column that was added while it was paused is back-filled');
level('level');
like(slurp_file($node->logfile, $from), qr/WARNING:  mirror of server \d+ has used more than half of MongoDB's oplog.*?DETAIL:  It is \d+ s behind.*?HINT:  .*replSetResizeOplog/s,
	'the log warned that half of the oplog was used up');
becomes(q(SELECT (oplog_left > '0 s')::text FROM tenancy_mongo.stat_mirror), 'true', 'stat_mirror tells how much was left');

sql(q(ALTER TABLE items ALTER COLUMN price TYPE jsonb USING to_jsonb(price); ALTER FOREIGN TABLE items_in_mongo ALTER COLUMN price TYPE jsonb));
becomes(q(SELECT string_agg(_id || price, ' ' ORDER BY _id) FROM items), 'a1 b"cheap"', 'a misfit is tried again when the type changes');
sql(q(ALTER TABLE items ALTER COLUMN name DROP NOT NULL));
becomes(q(SELECT string_agg(_id, ' ' ORDER BY _id) FROM items), 'a b c', 'and when a column need not be filled any more');
is(sql('SELECT count(*) FROM tenancy_mongo.misfits'), '0', 'no misfit is left');
sql(q(ALTER TABLE items RENAME TO goods; CREATE SCHEMA store; ALTER TABLE goods SET SCHEMA store));
$mongo->insert('shop', 'items', '{"_id": "d", "name": "D"}');
level('level');
is(sql('SELECT count(*) FROM store.goods'), '4', 'a table that is renamed and moved stays a mirror');
sql(q(ALTER TABLE store.goods SET SCHEMA public; ALTER TABLE goods RENAME TO items));
sql(q(TRUNCATE items));
is(sql(q(SELECT count(*) FROM tenancy_mongo.verify_mirror('items', repair => true))), '4', 'somebody has emptied the table');
becomes('SELECT count(*) FROM items', '4', 'repaired');
becomes(q(SELECT state FROM tenancy_mongo.stat_mirror), 'streaming', 'it streams');

#
# A second worker for a stream: one that hangs holds the lock, and one that moved the position is noticed
#

my $pid = sql('SELECT worker_pid FROM tenancy_mongo.stat_mirror');
$from = -s $node->logfile;
kill 'STOP', $pid;
sql(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'tenancy mirror supervisor'));
ok($node->wait_for_log(qr/another worker feeds the mirrors of server \d+/, $from), 'while a worker hangs, no second one feeds its stream');
kill 'CONT', $pid;
$mongo->insert('shop', 'items', '{"_id": "e", "name": "E"}');
level('when it is gone, the next one does');
$from = -s $node->logfile;
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK items');
$mongo->insert('shop', 'items', '{"_id": "f", "name": "F"}');
becomes(q(SELECT count(*) FROM pg_locks WHERE relation = 'items'::regclass AND NOT granted), '1', 'a batch waits');
sql(q(UPDATE tenancy_mongo.stream SET token = token || '\x00'));
$locker->query_safe('COMMIT');
$locker->quit;
ok($node->wait_for_log(qr/the mirror's stream was moved by somebody else/, $from), 'a position that somebody else moved is not written over');
is(sql(q(SELECT count(*) FROM items WHERE _id = 'f')), '0', 'and nothing of that batch is here');
sql(q(UPDATE tenancy_mongo.stream SET token = substr(token, 1, length(token) - 1)));
level('with the position it had, it goes on');
is(sql(q(SELECT string_agg(_id, ' ' ORDER BY _id) FROM items)), 'a b c d e f', 'with everything');

#
# What the server cannot do just now is no document's fault: the worker waits, and keeps its position
#

sql(q(CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN RAISE EXCEPTION ''could not extend file "base/1/2": No space left on device'' USING ERRCODE = ''disk_full''; END';
	CREATE TRIGGER full_disk BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION full_disk()));
$mongo->insert('shop', 'items', '{"_id": "g", "name": "G"}');
becomes(q(SELECT last_error_state FROM tenancy_mongo.stat_mirror), '53100', 'a full disk is told of');
my $restarts = sql('SELECT restarts FROM tenancy_mongo.stat_mirror');
ok($node->poll_query_until('postgres', "SELECT restarts > $restarts FROM tenancy_mongo.stat_mirror"), 'the worker tries again');
is(sql('SELECT count(*) FROM tenancy_mongo.misfits'), '0', 'no document is called a misfit for it');
sql('DROP TRIGGER full_disk ON items');
level('with room again it goes on');
is(sql(q(SELECT count(*) FROM items WHERE _id = 'g')), '1', 'and nothing is lost');

#
# No memory: the worker may take no more than it has.  It ends with an error, the server lives, the next one goes on
#

$pid = sql('SELECT worker_pid FROM tenancy_mongo.stat_mirror');
my ($size) = slurp_file("/proc/$pid/status") =~ /^VmSize:\s+(\d+) kB/m;
my $up = sql('SELECT pg_postmaster_start_time()');
$from = -s $node->logfile;
command_ok([ 'prlimit', '--as=' . ($size + 8 * 1024) * 1024 . ':', '--pid', $pid ], 'the worker may take eight megabytes more');
$mongo->insert('shop', 'items', qq({"_id": "large$_", "name": ") . 'L' x 15_000_000 . '"}') for 1 .. 3;
level('the next one has applied it');
like(slurp_file($node->logfile, $from), qr/ERROR:.*(?:\n.*DETAIL:.*)?memory/, 'a worker without memory ends with an error');
unlike(slurp_file($node->logfile, $from), qr/terminated by signal|PANIC|reinitializing/, 'and not by a crash');
is(sql(q(SELECT count(*) FROM items WHERE length(name) = 15000000)), '3', 'nothing is lost, nor put aside');
is(sql('SELECT pg_postmaster_start_time()'), $up, 'the server has lived all the time');
$mongo->delete('shop', 'items', '{"_id": {"$regex": "^large"}}');

#
# A full disk under the WAL: PostgreSQL goes down (PANIC) and stays down until there is room.  Then nothing is lost or applied twice
#

sql(q(CREATE TABLE written (_id text, xid xid8 DEFAULT pg_current_xact_id()); GRANT INSERT ON written TO tenancy_mirror;
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.written VALUES (NEW._id); RETURN NULL; END';
	CREATE TRIGGER note AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION note()));
$node->append_conf('postgresql.conf', "restart_after_crash = off\nwal_recycle = off\nmin_wal_size = 32MB");
$node->restart;
$from = -s $node->logfile;
my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
command_ok([ 'prlimit', '--fsize=' . 12 * 1024 * 1024 . ':', '--pid', $postmaster ], 'the disk has no room for another segment of WAL');
my $inserted = 0;
my $panic    = qr/PANIC:  could not write to (?:log file|file "pg_wal)/;
$deadline = time + 60;
until (slurp_file($node->logfile, $from) =~ $panic || time > $deadline)
{
	$mongo->insert('shop', 'items', map { qq({"_id": "wal@{[ ++$inserted ]}", "name": "w"}) } 1 .. 100);
	$node->psql('postgres', 'SELECT pg_switch_wal()');
	usleep(20_000);
}
like(slurp_file($node->logfile, $from), $panic, 'a full disk under the WAL stops PostgreSQL');
$mongo->insert('shop', 'items', '{"_id": "meanwhile", "name": "m"}');
usleep(50_000) until !-f $node->data_dir . '/postmaster.pid' || time > $deadline;
$node->_update_pid(0);
$node->start;
level('with room again');
is(sql(q(SELECT count(*) || ' ' || count(*) FILTER (WHERE _id = 'meanwhile') FROM items WHERE _id ~ '^(wal|meanwhile)')), $inserted + 1 . ' 1', 'nothing is lost');
is(sql(q(SELECT count(*) - count(DISTINCT _id) FROM written)), '0', 'and nothing applied twice');
is(sql(q(SELECT count(*) FROM tenancy_mongo.verify_mirror('items'))), '0', 'both sides are equal');
sql('DROP TRIGGER note ON items; DROP TABLE written');

#
# Synchronous replication without a standby
#

$node->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
$node->reload;
ok($node->poll_query_until('postgres', q(SELECT setting = 'nobody' FROM pg_settings WHERE name = 'synchronous_standby_names')), 'a standby is missing');
$mongo->insert('shop', 'items', '{"_id": "h", "name": "H"}');
becomes(q(SELECT count(*) FROM items WHERE _id = 'h'), '1', 'the mirror does not wait for it');
my $start = time;
$node->stop('fast');
cmp_ok(time - $start, '<', 5, 'nor does a fast shutdown');
$node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$node->start;
level('level');

#
# Origins of streams that are gone
#

my $origins = 'SELECT count(*) FROM pg_replication_origin';
is(sql($origins), '1', 'the stream has an origin');
sql('CREATE DATABASE other TEMPLATE template0');
$node->safe_psql('other', "$definition SELECT tenancy_mongo.mirror('items_in_mongo', 'items')");
becomes($origins, '2', 'another database has one of its own');
sql('DROP DATABASE other WITH (FORCE)');
sql(q(SELECT tenancy_mongo.pause_mirror('platform'), tenancy_mongo.resume_mirror('platform')));
becomes($origins, '1', "it is given back when the database is gone");

# Somebody has the origin of a paused mirror in use, and that mirror is removed.
my $origin = sql('SELECT roname FROM pg_replication_origin');
sql(q(SELECT tenancy_mongo.pause_mirror('platform')));
becomes(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'tenancy mirror apply worker'), '0', 'the worker has left');
my $holder = $node->background_psql('postgres');
$holder->query_safe("SELECT pg_replication_origin_session_setup('$origin')");
sql(qq(SELECT tenancy_mongo.unmirror('items');
	CREATE SERVER second FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');
	CREATE FOREIGN TABLE second_in_mongo (_id text) SERVER second OPTIONS (database 'shop', collection 'items');
	CREATE TABLE second_items (_id text PRIMARY KEY);
	SELECT tenancy_mongo.mirror('second_in_mongo', 'second_items')));
becomes(q(SELECT state FROM tenancy_mongo.stat_mirror), 'streaming', 'an origin that is in use keeps no other mirror waiting');
is(sql($origins), '2', 'and stays');
$holder->quit;
becomes($origins, '1', 'until it is free');
sql(q(DROP EXTENSION tenancy_mongo CASCADE));
becomes($origins, '0', 'and with the extension the last one');

unlike(slurp_file($node->logfile), qr/terminated by signal (?!6:)|TRAP/, 'no process crashed but for the WAL that had no room');
done_testing();
