# For some minutes somebody writes at random while faults happen: the apply worker, the postmaster and mongod are killed with -9,
# workers are ended, PostgreSQL is restarted, the network is cut or half-open, mongod hangs, collections are renamed away and
# onto each other, dropped, and their database with them.  Then both sides are compared, document by document: nothing is lost,
# doubled or stale, and no row ever went back to an older state.  After that the oplog is lost, and once a copy fails half-way.
#
#     FAULT_SEED=n repeats a run's choices, FAULT_SECONDS=n sets how long it writes (default 60, 300 in "make check"; a soak is 1800),
#     FAULT_PAUSE=n the seconds between two faults (default: at random up to three)

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Digest::MD5 qw(md5_hex);
use JSON::PP ();
use Mongo::Proxy;
use Mongo::Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seed    = $ENV{FAULT_SEED}    // int(rand(1_000_000));
my $seconds = $ENV{FAULT_SECONDS} // 60;
srand $seed;
diag "FAULT_SEED=$seed FAULT_SECONDS=$seconds";

my $json  = JSON::PP->new->canonical->allow_nonref;
my $proxy = Mongo::Proxy->new;
my $mongo = Mongo::Server->new('main', known_as => $proxy->host);
$proxy->lead_to($mongo->port);
$mongo->start;
my $node  = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', qq(
shared_preload_libraries = 'tenancy'
tenancy_mongo.mirror_retry_interval = 100
tenancy_mongo.mirror_batch_size = 200
tenancy_mongo.mirror_resumable_copy_from = 0
restart_after_crash = on
max_wal_size = 1GB));
$node->start;

# One collection keeps post-images, of the other updates are looked up.
$mongo->command('shop', '{"create": "imaged", "changeStreamPreAndPostImages": {"enabled": true}}');
my @collections = ('imaged', 'plain');
$node->safe_psql('postgres', qq(
	CREATE EXTENSION tenancy_mongo CASCADE;
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $proxy->host ]}', replica_set 'rs0', socket_timeout '1000');
	CREATE TABLE went_back (_id text, old_rev bigint, new_rev bigint);
	GRANT INSERT ON went_back TO tenancy_mirror;
	CREATE FUNCTION note_went_back() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN INSERT INTO public.went_back VALUES (NEW._id, OLD.rev, NEW.rev); RETURN NULL; END';));
for my $collection (@collections)
{
	my $columns = 'rev bigint, name text, n int, deep text';
	$node->safe_psql('postgres', qq(
		CREATE FOREIGN TABLE ${collection}_in_mongo (_id text, @{[ $columns =~ s/deep text/deep text OPTIONS (path 'a.b')/r ]},
			document jsonb OPTIONS (document 'true')) SERVER platform OPTIONS (database 'shop', collection '$collection');
		CREATE TABLE $collection (_id text PRIMARY KEY, @{[ $columns =~ s/name text/name text NOT NULL/r ]}, document jsonb);
		CREATE TRIGGER went_back AFTER UPDATE ON $collection FOR EACH ROW WHEN (NEW.rev < OLD.rev) EXECUTE FUNCTION note_went_back();));
}

#
# Writing
#

my $rev  = 0;
my $drop = 0.001;    # the share of commands that drop a collection
my %done = (insert => 0, update => 0, replace => 0, delete => 0, drop => 0);
my @ids  = ((map { qq("key-$_") } 1 .. 150), map { sprintf '{"$oid": "%024x"}', $_ } 1 .. 150);

sub fields
{
	my $name = rand() < 0.03 ? 'null' : '"' . join('', map { chr(97 + rand 26) } 1 .. 5) . "\xc3\xa4\"";
	my $n    = rand() < 0.02 ? '"none"' : int(rand 1000);
	return sprintf('"rev": %d, "name": %s, "n": %s, "a": {"b": "deep %d", "list": [1, "two", {"c": %d}]}, "pad": "%s"',
		++$rev, $name, $n, rand 100, rand 100, 'x' x rand 300);
}

# One command of up to ten writes; the keys are few, so that a batch of the mirror holds several changes of one.
sub write_something
{
	my $collection = $collections[ rand @collections ];
	my $kind       = rand();
	my @some       = map { $ids[ rand @ids ] } 1 .. 1 + rand 10;
	my $concern    = rand() < 0.1 ? '"majority"' : 1;

	my ($done, $command) =
	    $kind < 0.35 ? ('insert', qq("insert": "$collection", "documents": [) . join(', ', map { qq({"_id": $_, @{[ fields() ]}}) } @some) . ']')
	  : $kind < 0.70 ? ('update', qq("update": "$collection", "updates": [)
		  . join(', ', map { qq({"q": {"_id": $_}, "u": {"\$set": {@{[ fields() ]}}}}) } @some) . ']')
	  : $kind < 0.80 ? ('replace', qq("update": "$collection", "updates": [)
		  . join(', ', map { qq({"q": {"_id": $_}, "u": {"_id": $_, @{[ fields() ]}}, "upsert": true}) } @some) . ']')
	  : $kind < 1 - $drop ? ('delete', qq("delete": "$collection", "deletes": [) . join(', ', map { qq({"q": {"_id": $_}, "limit": 1}) } @some) . ']')
	  : ('drop', qq("drop": "$collection"));
	$command .= ', "ordered": false' unless $done eq 'drop';
	my $reply = $json->decode($mongo->command_text('shop', qq({$command, "writeConcern": {"w": $concern}})));
	$done{$done} += $reply->{n} // ($reply->{ok} ? 1 : 0);
	return;
}

#
# Killing
#

my %killed = (worker => 0, postmaster => 0, mongod => 0);
my %done_to;

sub kill_worker
{
	my ($status, $pid) = $node->psql('postgres', "SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'tenancy mirror apply worker'");
	return if $status != 0 || !$pid;
	$killed{worker} += kill 'KILL', $pid;
	return;
}

sub kill_postmaster
{
	$node->kill9;
	# Until its processes have noticed, a new one refuses to start.
	my $deadline = time + 60;
	until ($node->start(fail_ok => 1))
	{
		die 'the server does not start' if time > $deadline;
		usleep(100_000);
		$node->stop('fast', fail_ok => 1);
	}
	$killed{postmaster}++;
	return;
}

sub kill_mongod
{
	$mongo->kill9;
	$mongo->start;
	$killed{mongod}++;
	return;
}

#
# Other faults
#

sub end_workers
{
	my ($type) = @_;
	$node->psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'tenancy mirror $type'");
	return;
}

# A moment that is none in which nothing happens: somebody writes.
sub write_for
{
	my ($time) = @_;
	my $until = time + $time;
	write_something() while time < $until;
	return;
}

sub stall_mongod
{
	$mongo->stall;
	my $until = time + 0.5 + rand 2;
	usleep(10_000) while time < $until;
	$mongo->continue;
	return;
}

my @faults = (
	['worker ended'     => sub { end_workers('apply worker') }],
	['supervisor ended' => sub { end_workers('supervisor') }],
	['restart'          => sub { $node->restart }],
	['network cut'      => sub { $proxy->cut; write_for(rand 1); $proxy->heal }],
	['half-open'        => sub { $proxy->hole; write_for(rand 3); $proxy->heal; $proxy->lead_to($mongo->port) if rand() < 0.5 }],
	['mongod hangs'     => \&stall_mongod],
	['renamed away'     => sub { $mongo->command_text('admin', '{"renameCollection": "shop.plain", "to": "shop.aside", "dropTarget": true}') }],
	# Its documents are old, and would be rows that go back: they are changed first.
	['renamed onto'     => sub { $mongo->command_text('shop', qq({"update": "aside", "updates": [{"q": {}, "u": {"\$set": {"rev": @{[ ++$rev ]}}}, "multi": true}]}));
			$mongo->command_text('admin', '{"renameCollection": "shop.aside", "to": "shop.plain", "dropTarget": true}') }],
	['images change'    => sub { $mongo->command_text('shop', sprintf '{"collMod": "imaged", "changeStreamPreAndPostImages": {"enabled": %s}}', rand() < 0.7 ? 'true' : 'false') }],
	['pause'            => sub { $node->psql('postgres', "SELECT tenancy_mongo.pause_mirror('platform')"); write_for(rand 1);
			$node->psql('postgres', "SELECT tenancy_mongo.resume_mirror('platform')") }],
	['refresh'          => sub { $node->psql('postgres', "SELECT tenancy_mongo.refresh_mirror('imaged')") }],
	['dropDatabase'     => sub { $mongo->command_text('shop', '{"dropDatabase": 1}') if rand() < 0.3 }],
);

sub some_fault
{
	my $fault = $faults[ rand @faults ];
	$fault->[1]->();
	$done_to{ $fault->[0] }++;
	return;
}

#
# Comparing
#

# The mirror has come past everything that was written before the call.
my $marks = 0;
sub wait_until_level
{
	my ($what) = @_;
	my $mark = 'mark-' . ++$marks;
	for my $collection (@collections)
	{
		$mongo->insert('shop', $collection, qq({"_id": "$mark", "rev": @{[ ++$rev ]}, "name": "mark"}));
		ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM $collection WHERE _id = '$mark'"), "$what: $collection is level");
	}
	return;
}

# Of the oldest (1) or the newest (-1) entry, as one number that grows.
sub oplog_time
{
	my ($order) = @_;
	my $reply = $mongo->command('local', qq({"find": "oplog.rs", "sort": {"\$natural": $order}, "limit": 1, "projection": {"ts": 1}}));
	my $time  = $reply->{cursor}{firstBatch}[0]{ts}{'$timestamp'};
	return $time->{t} * 2**32 + $time->{i};
}

sub fits
{
	my ($document) = @_;
	return defined $document->{name} && (!defined $document->{n} || $document->{n} =~ /^\d+$/);
}

sub key
{
	my ($document) = @_;
	return ref $document->{_id} ? $document->{_id}{'$oid'} : $document->{_id};
}

# Strings stay bytes throughout.  The _id is compared as the key; how jsonb shows an ObjectId is another matter.
sub digest
{
	my ($document) = @_;
	my %rest = %$document;
	delete $rest{_id};
	return md5_hex($json->encode(\%rest));
}

sub compare
{
	my ($collection, $what) = @_;
	my (%expected, %misfits, %found);
	for my $document ($mongo->find_all('shop', $collection))
	{
		if (fits($document)) { $expected{ key($document) } = join '|', digest($document), $document->{rev}, $document->{name}, $document->{a}{b} // ''; }
		else                 { $misfits{ key($document) }  = digest($document); }
	}
	my $rows = $node->safe_psql('postgres', "SELECT _id, rev, name, deep, document FROM $collection", extra_params => [ '-F', "\t" ]);
	for my $row (split /\n/, $rows)
	{
		my ($id, $rev, $name, $deep, $document) = split /\t/, $row, 5;
		$found{$id} = join '|', digest($json->decode($document)), $rev, $name, $deep;
	}
	my @lost  = grep { !exists $found{$_} } sort keys %expected;
	my @extra = grep { !exists $expected{$_} } sort keys %found;
	my @stale = grep { exists $found{$_} && $found{$_} ne $expected{$_} } sort keys %expected;
	is("@lost",  '', "$what: nothing of $collection is lost");
	is("@extra", '', "$what: nothing is there that is not in MongoDB");
	is("@stale", '', "$what: nothing is stale") or diag map { "$_: $found{$_} instead of $expected{$_}\n" } @stale;

	my $asides = $node->safe_psql('postgres', "SELECT document FROM tenancy_mongo.misfits WHERE local_table = '$collection'::regclass");
	my %asides;
	for my $text (split /\n/, $asides)
	{
		my $document = $json->decode($text);
		fail("$what: a misfit twice") if $asides{ key($document) };
		$asides{ key($document) } = digest($document);
	}
	return is_deeply(\%asides, \%misfits, "$what: the misfits are those documents that do not fit")
	  && note sprintf '%s: %d rows, %d misfits', $collection, scalar keys %found, scalar keys %asides;
}

#
# The minute
#

write_something() for 1 .. 100;
$node->safe_psql('postgres', "SELECT tenancy_mongo.mirror('${_}_in_mongo', '$_')") for @collections;
my $end   = time + $seconds;
my $next  = time + 1;
my @kills = (\&kill_worker, \&kill_postmaster, \&kill_mongod);
# Each kill waits for the server to be back, so that a slow machine needs longer than the minute for as many.
my $enough   = $ENV{FAULT_PAUSE} ? 1 : int($seconds / 30) + 1;
my $deadline = $end + 4 * $seconds;
for (my $turn = 0; time < $end || time < $deadline && grep { $killed{$_} < $enough } keys %killed;)
{
	write_something();
	next if time < $next;
	if   ($turn % 2) { some_fault(); }
	else             { $kills[ ($turn / 2) % @kills ]->(); }
	$turn++;
	$next = time + ($ENV{FAULT_PAUSE} // 0.3 + rand 2.5);
}
diag join ', ', map { "$_: $done_to{$_}" } sort keys %done_to;
diag join ', ', (map { "$done{$_} $_" } sort keys %done), map { "$_ killed $killed{$_} times" } sort keys %killed;
cmp_ok($killed{$_}, '>=', $enough, "the $_ was killed") for sort keys %killed;

wait_until_level('after the minute');
compare($_, 'after the minute') for @collections;
is($node->safe_psql('postgres', 'SELECT * FROM went_back'), '', 'no row ever went back to an older state');

#
# A copy that is killed half-way
#

$node->safe_psql('postgres', q(
	SELECT tenancy_mongo.unmirror('plain'); TRUNCATE plain;
	CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END';
	CREATE TRIGGER slow BEFORE INSERT ON plain FOR EACH ROW WHEN (NEW._id = 'key-77') EXECUTE FUNCTION slow()));
$mongo->command('shop', '{"update": "plain", "updates": [{"q": {"_id": "key-77"}, "u": {"name": "slow", "rev": 1}, "upsert": true}]}');
my $session = $node->background_psql('postgres');
$session->query_safe('SELECT pg_advisory_lock(1)');
$node->safe_psql('postgres', "SELECT tenancy_mongo.mirror('plain_in_mongo', 'plain')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), 'a copy is under way');
write_something() for 1 .. 50;
kill_postmaster();
write_something() for 1 .. 50;
wait_until_level('after a copy that was killed');
compare($_, 'after a copy that was killed') for @collections;

#
# The oplog is lost: all is copied again, in place
#

my $short = Mongo::Server->new('short', extra => [ '--oplogSize', '4', '--syncdelay', '1' ])->start;
$node->safe_psql('postgres', qq(
	DROP TRIGGER slow ON plain;
	SELECT tenancy_mongo.unmirror('plain'), tenancy_mongo.unmirror('imaged');
	TRUNCATE plain, imaged, went_back;
	ALTER SERVER platform OPTIONS (SET hosts '@{[ $short->host ]}', DROP socket_timeout);));
$mongo->stop;
$mongo = $short;
write_something() for 1 .. 200;
$node->safe_psql('postgres', "SELECT tenancy_mongo.mirror('${_}_in_mongo', '$_')") for @collections;
wait_until_level('with a short oplog');
$drop = 0;
my $quiet = q("_id": "quiet", "name": "quiet", "rev": 1);
$mongo->insert('shop', 'plain', "{$quiet}");
wait_until_level('before the oplog is lost');
my $untouched = $node->safe_psql('postgres', "SELECT xmin FROM plain WHERE _id = 'quiet'");
$node->stop;
my $lost = oplog_time(-1);
write_something() for 1 .. 100;

# mongod truncates its oplog in its own time, after a checkpoint.
my $filler = '{"x": "' . 'y' x 200_000 . '"}';
$mongo->poll_until('has dropped what the mirror would read next', sub {
	$mongo->insert('filler', 'filler', ($filler) x 10);
	$mongo->command('admin', '{"fsync": 1}');
	return oplog_time(1) > $lost;
});
$node->start;
wait_until_level('after the oplog was lost');
compare($_, 'after the oplog was lost') for @collections;
is($node->safe_psql('postgres', 'SELECT max(resyncs) FROM tenancy_mongo.stat_mirror'), '1', 'all was copied again, once')
  or diag $node->safe_psql('postgres', 'SELECT * FROM tenancy_mongo.stat_mirror', extra_params => ['-x']);
is($node->safe_psql('postgres', "SELECT xmin FROM plain WHERE _id = 'quiet'"), $untouched, 'a row that was right was not touched');
is($node->safe_psql('postgres', 'SELECT * FROM went_back'), '', 'and no row went back');

# Killed on purpose by signal 9, and by nothing else.
my $log = slurp_file($node->logfile);
unlike($log, qr/terminated by signal (?!9:)|PANIC|TRAP/, 'no worker crashed by itself');

done_testing();
