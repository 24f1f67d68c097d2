# The network between a mirror and MongoDB: cut, half-open, and leading to another cluster than before; and streams where
# nothing happens while the oplog rolls on.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Mirror::Node;
use Mongo::Proxy;
use Mongo::Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $proxy = Mongo::Proxy->new;
my $mongo = Mongo::Server->new('main', known_as => $proxy->host, extra => [ '--oplogSize', '4', '--syncdelay', '1' ]);
$proxy->lead_to($mongo->port);
$mongo->start;
my $node = mirror_node();

sql(qq(
	CREATE EXTENSION tenancy_mongo CASCADE;
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $proxy->host ]}', replica_set 'rs0', socket_timeout '2000');
	CREATE FOREIGN TABLE items_in_mongo (_id text, rev bigint) SERVER platform OPTIONS (database 'shop', collection 'items');
	CREATE TABLE items (_id text PRIMARY KEY, rev bigint);
	CREATE TABLE seen (_id text, rev bigint);
	GRANT INSERT ON seen TO tenancy_mirror;
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.seen VALUES (NEW._id, NEW.rev); RETURN NULL; END';
	CREATE TRIGGER note AFTER INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION note();));
$mongo->insert('shop', 'items', map { qq({"_id": "k$_", "rev": $_}) } 1 .. 100);
sql(q(SELECT tenancy_mongo.mirror('items_in_mongo', 'items')));
becomes('SELECT count(*) FROM items', '100', 'the first copy');

my $rev = 1000;
sub write_some
{
	$mongo->update('shop', 'items', sprintf('{"_id": "k%d"}', 1 + rand 100), sprintf('{"$set": {"rev": %d}}', ++$rev)) for 1 .. 20;
	return;
}

my $equal = sub {
	my ($what) = @_;
	my $mark = ++$rev;
	$mongo->update('shop', 'items', '{"_id": "k1"}', qq({"\$set": {"rev": $mark}}));
	becomes(q(SELECT rev FROM items WHERE _id = 'k1'), $mark, "$what: level");
	my $theirs = join ' ', sort map { "$_->{_id}=$_->{rev}" } $mongo->find_all('shop', 'items');
	is(sql(q(SELECT string_agg(_id || '=' || rev, ' ' ORDER BY (_id || '=' || rev) COLLATE "C") FROM items)), $theirs, "$what: both sides are equal");
	is(sql('SELECT count(*) FROM (SELECT FROM seen GROUP BY _id, rev HAVING count(*) > 1) t'), '0', "$what: nothing was applied twice");
};

#
# Cut, again and again
#

for (1 .. 5)
{
	write_some();
	my $before = sql('SELECT clock_timestamp()');
	$proxy->cut;
	write_some();
	becomes("SELECT last_error_state LIKE '08%' AND last_error_at > '$before' FROM tenancy_mongo.stat_mirror", 'true', 'a cut network is told of');
	$proxy->heal;
	write_some();
	$equal->('after a cut');
}

#
# Half-open: connections stand and nothing comes
#

$proxy->hole;
write_some();
my $errors = sql(q(SELECT restarts FROM tenancy_mongo.stat_mirror));
ok($node->poll_query_until('postgres', 'SELECT lag_seconds > 2 FROM tenancy_mongo.stat_mirror'), 'the lag of a half-open connection is told of');
ok($node->poll_query_until('postgres', "SELECT restarts > $errors OR worker_pid IS NULL FROM tenancy_mongo.stat_mirror"), 'the worker does not wait for ever');
$proxy->heal;
$proxy->lead_to($mongo->port);
$equal->('after a half-open connection');

# A server that answers nobody does not keep PostgreSQL from stopping.
$proxy->hole;
my $start = time;
$node->stop('fast');
cmp_ok(time - $start, '<', 5, 'a fast shutdown does not wait for MongoDB');
$proxy->heal;
$proxy->lead_to($mongo->port);
$node->start;
$equal->('after a restart');

#
# In pieces: nothing arrives whole
#

$proxy->lead_to($mongo->port);
$proxy->drip;
write_some();
$equal->('through a network that drips');
$proxy->heal;

#
# Errors that pass: each of them once in each command that the worker sends
#

sub fails_once
{
	my ($command, $how, $do) = @_;
	my $count = $mongo->fail_point('failCommand', '{"times": 1}', qq({"failCommands": ["$command"], "appName": "mirror", $how}))->{count};
	$do->();
	$mongo->command('admin', qq({"waitForFailPoint": "failCommand", "timesEntered": @{[ $count + 1 ]}, "maxTimeMS": 20000}));
	return;
}
sub pause_for
{
	my ($do) = @_;
	sql(q(SELECT tenancy_mongo.pause_mirror('platform')));
	$node->poll_query_until('postgres', q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type ~ '^tenancy mirror')) or die 'a worker stays';
	$do->();
	return;
}

# HostUnreachable, NotYetInitialized, NetworkTimeout, ShutdownInProgress, PrimarySteppedDown, ExceededTimeLimit, CursorNotFound, CursorKilled,
# Interrupted…, NotWritablePrimary, SocketException, and Unauthorized.
sql(q(ALTER SERVER platform OPTIONS (ADD application_name 'mirror')));
for my $how ((map { qq("errorCode": $_) } 6, 89, 91, 94, 189, 262, 43, 237, 11600, 11601, 11602, 10107, 9001, 13), '"closeConnection": true')
{
	pause_for(sub {
		write_some();
		fails_once('aggregate', $how, sub { sql(q(SELECT tenancy_mongo.resume_mirror('platform'))) });
	});
	fails_once('find', $how, \&write_some);
	fails_once('getMore', $how, \&write_some);
	$equal->("an error that passes, in aggregate, find and getMore ($how)");
}
$mongo->fail_point('failCommand', 'off');
is(sql('SELECT resyncs FROM tenancy_mongo.stat_mirror'), '0', 'none of them makes it copy again');

#
# Idle, while the oplog rolls over
#

sub oplog_start
{
	my $reply = $mongo->command('local', '{"find": "oplog.rs", "sort": {"$natural": 1}, "limit": 1, "projection": {"ts": 1}}');
	my $time = $reply->{cursor}{firstBatch}[0]{ts}{'$timestamp'};
	return $time->{t} * 2**32 + $time->{i};
}
my $filler = '{"x": "' . 'y' x 100_000 . '"}';
my $last   = $mongo->command('admin', [ ping => 1 ])->{operationTime}{'$timestamp'};
my $mine   = $last->{t} * 2**32 + $last->{i};
my $token  = sql('SELECT last_token_at FROM tenancy_mongo.stat_mirror');
# Slowly: the position of a stream where nothing happens is saved every few seconds.
$mongo->poll_until('has dropped the last event of the mirror', sub {
	$mongo->insert('filler', 'filler', ($filler) x 10);
	$mongo->command('admin', '{"fsync": 1}');
	$mongo->command('filler', '{"drop": "filler"}') if rand() < 0.1;
	usleep(200_000);
	return oplog_start() > $mine;
});
ok($node->poll_query_until('postgres', "SELECT last_token_at > '$token' FROM tenancy_mongo.stat_mirror"), 'an idle stream moves');
$node->restart;
$equal->('after an idle time');
is(sql('SELECT resyncs FROM tenancy_mongo.stat_mirror'), '0', 'an idle stream does not lose its place in the oplog');

#
# Another cluster under the same name
#

my $other = Mongo::Server->new('other', known_as => $proxy->host);
$proxy->lead_to($other->port);
$other->start;
$other->insert('shop', 'items', '{"_id": "foreign", "rev": 1}', '{"_id": "k1", "rev": 1}');
becomes(q(SELECT last_error_state FROM tenancy_mongo.stat_mirror), '55000', 'another cluster behind the same name is refused');
like(sql(q(SELECT last_error FROM tenancy_mongo.stat_mirror)), qr/another MongoDB deployment/, 'and the message says why');
is(sql(q(SELECT count(*) || ' ' || count(*) FILTER (WHERE _id = 'foreign') FROM items)), '100 0', 'nothing of it is here, nothing is lost');
$proxy->lead_to($mongo->port);
$equal->('with the old cluster again');
is(sql('SELECT resyncs FROM tenancy_mongo.stat_mirror'), '0', 'it goes on where it was');
$proxy->lead_to($other->port);
sql(q(SELECT tenancy_mongo.unmirror('items'); TRUNCATE items; SELECT tenancy_mongo.mirror('items_in_mongo', 'items')));
becomes(q(SELECT string_agg(_id, ' ' ORDER BY _id) FROM items), 'foreign k1', 'made again, it mirrors the other one');

unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process crashed');
done_testing();
