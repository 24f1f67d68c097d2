# Things that run out: the lock table in shared memory, replication origins, worker slots for more databases than fit.  Each is told of, nobody crashes,
# what can run does, and the rest follows when there is room.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Mirror::Node;
use Mongo::Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = Mongo::Server->new('main')->start;
my $node  = mirror_node('wal_level = logical', 'max_replication_slots = 1', 'max_connections = 12', 'max_worker_processes = 10',
	'restart_after_crash = off');

my $definition = qq(
	CREATE EXTENSION tenancy_mongo CASCADE;
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');
	CREATE FOREIGN TABLE items_in_mongo (_id text) SERVER platform OPTIONS (database 'shop', collection 'items');
	CREATE TABLE items (_id text PRIMARY KEY););
my $mirror = q(SELECT tenancy_mongo.mirror('items_in_mongo', 'items'));

#
# Origins: there is room for one, and somebody has it
#

sql($definition);
sql(q(SELECT pg_replication_origin_create('of somebody')));
my $somebody = $node->background_psql('postgres');
$somebody->query_safe(q(SELECT pg_replication_origin_session_setup('of somebody')));
my $from = -s $node->logfile;
$mongo->insert('shop', 'items', '{"_id": "a"}');
sql($mirror);
becomes('SELECT count(*) FROM items', '1', 'a mirror that finds no replication origin free runs without');
ok($node->wait_for_log(qr/LOG:  mirror of server \d+ has no replication origin: .*\n.*HINT:  Raise max_replication_slots/, $from), 'and says which setting to raise');
is(sql(q(SELECT state FROM tenancy_mongo.stat_mirror)), 'streaming', 'it streams');
$somebody->quit;

#
# Locks: a session has taken all that the table can hold
#

my $locker = $node->background_psql('postgres');
$locker->query_safe(q(SET client_min_messages = warning; BEGIN;
	DO $$ BEGIN FOR n IN 1 .. 200000 LOOP
		BEGIN PERFORM pg_advisory_xact_lock(n); EXCEPTION WHEN out_of_memory THEN RETURN; END;
	END LOOP; END $$));
$from = -s $node->logfile;
$mongo->insert('shop', 'items', '{"_id": "b"}');
ok($node->wait_for_log(qr/ERROR:  out of shared memory.*?LOG:  background worker "tenancy mirror (?:apply worker|supervisor)"[^\n]* exited with exit code 1/s, $from), 'a lock table that is full is told of');
$locker->query_safe('ROLLBACK');
$locker->quit;
becomes('SELECT count(*) FROM items', '2', 'with room again the mirror goes on');
is(sql('SELECT count(*) FROM tenancy_mongo.misfits'), '0', 'no document was blamed');

#
# More databases with mirrors than there are worker slots
#

for my $n (1 .. 6)
{
	sql("CREATE DATABASE more$n TEMPLATE template0");
	$node->safe_psql("more$n", "$definition $mirror");
}
my $running = q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'tenancy mirror apply worker');
ok($node->wait_for_log(qr/out of background worker slots.*Raise max_worker_processes/s), 'more databases than slots: it is told of');
ok($node->poll_query_until('postgres', "SELECT ($running) BETWEEN 3 AND 6"), 'those that have slots run');
$node->append_conf('postgresql.conf', 'max_worker_processes = 24');
$node->restart;
becomes($running, '7', 'with slots for all, all run');
$mongo->insert('shop', 'items', '{"_id": "c"}');
ok($node->poll_query_until("more$_", 'SELECT count(*) = 3 FROM items'), "and follow: $_") for 1 .. 6;

unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process crashed');
done_testing();
