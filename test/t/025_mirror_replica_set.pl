# A mirror of a replica set of three: elections while it streams and while it copies, a member that is killed, and writes that
# the set takes back because they never reached a majority.  All the while somebody writes; every row that the mirror
# writes is noted by a trigger, so that nothing can be lost, applied twice or come from a state that was taken back.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Mirror::Node;
use Mongo::ReplicaSet;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $set  = Mongo::ReplicaSet->new('set', 3)->start;
my $node = mirror_node();

sub majority { return $_[0]->command($_[1], $_[2] =~ s/\}$/, "writeConcern": {"w": "majority", "wtimeout": 20000}}/r); }

$set->primary->command('shop', '{"create": "items", "changeStreamPreAndPostImages": {"enabled": true}}');
majority($set->primary, 'shop', '{"insert": "items", "documents": [' . join(', ', map { qq({"_id": "k$_", "rev": $_}) } 1 .. 50) . ']}');
sql(qq(
	CREATE EXTENSION tenancy_mongo CASCADE;
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $set->hosts ]}', replica_set 'rs0', socket_timeout '5000');
	CREATE FOREIGN TABLE items_in_mongo (_id text, rev bigint) SERVER platform OPTIONS (database 'shop', collection 'items');
	CREATE TABLE items (_id text PRIMARY KEY, rev bigint);
	CREATE TABLE seen (_id text, rev bigint, was bigint);
	GRANT INSERT ON seen TO tenancy_mirror;
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN INSERT INTO public.seen VALUES (NEW._id, NEW.rev, CASE TG_OP WHEN ''UPDATE'' THEN OLD.rev END); RETURN NULL; END';
	CREATE TRIGGER note AFTER INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION note();
	SELECT tenancy_mongo.mirror('items_in_mongo', 'items');));
becomes('SELECT count(*) FROM items', '50', 'the first copy');

#
# A writer of its own: each write has a revision that no other has, and counts once the majority has it
#

sub start_writer
{
	pipe(my $stop_in, my $stop) or die "pipe: $!";
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		my $mine = $set->again;
		my ($primary, $rev, $stopped) = (undef, time * 1000, 0);
		$stop_in->blocking(0);
		close $stop;
		until ($stopped)
		{
			eval {
				$primary //= $mine->primary;
				my @some = map { sprintf '{"q": {"_id": "k%d"}, "u": {"$set": {"rev": {"$numberLong": "%d"}}}, "upsert": true}', 1 + rand 80, ++$rev } 1 .. 5;
				$primary->command('shop', '{"update": "items", "ordered": false, "updates": [' . join(', ', @some) . ']}');
				$primary->command('shop', sprintf '{"delete": "items", "deletes": [{"q": {"_id": "k%d"}, "limit": 1}]}', 1 + rand 80) if rand() < 0.1;
				1;
			} or undef $primary;
			usleep(5_000);
			my $read = sysread $stop_in, my $byte, 1;
			$stopped = defined $read && $read == 0;
		}
		POSIX::_exit(0);
	}
	close $stop_in;
	return { pid => $pid, stop => $stop };
}

sub stop_writer
{
	my ($writer) = @_;
	close $writer->{stop};
	waitpid $writer->{pid}, 0;
	return;
}

# Both sides, exactly, and what the trigger has noted.
my $marks = 0;
sub compare
{
	my ($what) = @_;
	my $mark = 'mark-' . ++$marks;
	majority($set->primary, 'shop', qq({"insert": "items", "documents": [{"_id": "$mark", "rev": {"\$numberLong": "-$marks"}}]}));
	becomes("SELECT count(*) FROM items WHERE _id = '$mark'", '1', "$what: level");
	my $theirs = join ' ', sort map { "$_->{_id}=$_->{rev}" } $set->primary->find_all('shop', 'items');
	is(sql(q(SELECT string_agg(_id || '=' || rev, ' ' ORDER BY (_id || '=' || rev) COLLATE "C") FROM items)), $theirs, "$what: both sides are equal");
	is(sql('SELECT count(*) FROM seen WHERE rev <= was'), '0', "$what: no row went back");
	is(sql('SELECT count(*) FROM (SELECT FROM seen GROUP BY _id, rev HAVING count(*) > 1) t'), '0', "$what: nothing was applied twice");
	return;
}

#
# Elections in mid-stream
#

my $writer = start_writer();
for my $round (1, 2)
{
	my $rows = sql('SELECT count(*) FROM seen');
	ok($node->poll_query_until('postgres', "SELECT count(*) > $rows + 100 FROM seen"), 'changes come');
	$set->step_down;
	$rows = sql('SELECT count(*) FROM seen');
	ok($node->poll_query_until('postgres', "SELECT count(*) > $rows + 100 FROM seen"), 'and come again after the primary has stepped down');
}
my $killed = $set->primary;
$killed->kill9;
$set->primary($killed);
my $rows = sql('SELECT count(*) FROM seen');
ok($node->poll_query_until('postgres', "SELECT count(*) > $rows + 100 FROM seen"), 'after the primary was killed');
$killed->start;
$set->wait_for_secondaries;
my $stalled = $set->primary;
$stalled->stall;
# Our writer may wait for the one that hangs; this is written to the new one.
majority($set->primary($stalled), 'shop', '{"insert": "items", "documents": [{"_id": "hung", "rev": {"$numberLong": "-400"}}]}');
becomes(q(SELECT count(*) FROM items WHERE _id = 'hung'), '1', 'after the primary hung (SIGSTOP) and another was elected');
$stalled->continue;
$set->wait_for_secondaries;
stop_writer($writer);
compare('after elections');
is(sql('SELECT resyncs FROM tenancy_mongo.stat_mirror'), '0', 'nothing was copied again');

#
# An election in mid-copy
#

sub insert_many
{
	my ($from, $to) = @_;
	return majority($set->primary, 'shop', '{"insert": "many", "documents": [' . join(', ', map { qq({"_id": $_, "name": "n$_"}) } $from .. $to) . ']}');
}
insert_many($_ * 5000 + 1, $_ * 5000 + 5000) for 0 .. 3;
sql(q(
	CREATE FOREIGN TABLE many_in_mongo (_id int, name text) SERVER platform OPTIONS (database 'shop', collection 'many');
	CREATE TABLE many (_id int PRIMARY KEY, name text);
	CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END';
	CREATE TRIGGER hold BEFORE INSERT ON many FOR EACH ROW WHEN (NEW._id = 7000) EXECUTE FUNCTION hold();));
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(1)');
sql(q(SELECT tenancy_mongo.mirror('many_in_mongo', 'many')));
becomes(q(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted), '1', 'a copy is under way');
$set->step_down;
$set->primary->update('shop', 'many', '{"_id": {"$lt": 100}}', '{"$set": {"name": "changed"}}');
$set->primary->delete('shop', 'many', '{"_id": 20000}');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
my %counts;
my ($now, $deadline) = (-1, time + 60);
until ($now == 19999 || time > $deadline)
{
	$now = sql('SELECT count(*) FROM many');
	$counts{$now}++;
	usleep(20_000);
}
is_deeply([ grep { $_ != 0 && $_ != 20000 && $_ != 19999 } keys %counts ], [], 'readers see nothing or all of the copy');
becomes(q(SELECT count(*) || ' ' || count(*) FILTER (WHERE name = 'changed') FROM many), '19999 99', 'the copy is whole, with what was changed meanwhile');
is(sql(q(SELECT count(*) FROM tenancy_mongo.verify_mirror('many'))), '0', 'and equal');
$holder->quit;

#
# Writes that are taken back: the primary takes them, no other member hears of them, and another one is elected
#

my $old = $set->primary;
$_->fail_point('stopReplProducer', 'alwaysOn') for $set->secondaries;
for my $n (1 .. 20)
{
	$old->command('shop', qq({"insert": "items", "documents": [{"_id": "rolled-$n", "rev": {"\$numberLong": "-10$n"}}], "writeConcern": {"w": 1}}));
	$old->command('shop', qq({"update": "items", "updates": [{"q": {"_id": "k$n"}, "u": {"\$set": {"rev": {"\$numberLong": "9999999999999"}}}}], "writeConcern": {"w": 1}}));
}
is(scalar(grep { $_->{rev} == 9999999999999 || $_->{_id} =~ /^rolled/ } $old->find_all('shop', 'items')) >= 20, 1, 'the primary has them');
my $before = sql('SELECT count(*) FROM seen');
$old->kill9;
$_->fail_point('stopReplProducer', 'off') for grep { $_ != $old } $set->members;
$set->primary($old);
majority($set->primary, 'shop', '{"update": "items", "updates": [{"q": {"_id": "new"}, "u": {"$set": {"rev": {"$numberLong": "-500"}}}, "upsert": true}]}');
$old->start;
$set->wait_for_secondaries;
compare('after a rollback');
is(sql(q(SELECT count(*) FROM items WHERE _id ~ '^rolled' OR rev = 9999999999999)), '0', 'what was taken back is not here');
is(sql(q(SELECT count(*) FROM seen WHERE _id ~ '^rolled' OR rev = 9999999999999)), '0', 'and never was');

unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process crashed');
done_testing();
