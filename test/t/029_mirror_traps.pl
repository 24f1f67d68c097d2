# What mirrors of MongoDB stumble over: documents that no table can hold, look-ups that find nothing, collections that come and go
# while nobody looks, several changes of one key in one batch, transactions and updates that are large, positions that MongoDB
# does not know, many collections at once.  Each test is named after its trap; docs/testing.md lists them.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use IO::Socket::INET;
use Mirror::Node;
use Mongo::Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $mongo = Mongo::Server->new('main')->start;
my $node  = mirror_node('tenancy_mongo.mirror_batch_size = 200', 'restart_after_crash = on', "statement_timeout = '500ms'", "lock_timeout = '500ms'",
	'max_prepared_transactions = 1');

sub level { return is(sql("SELECT tenancy_mongo.wait_for_mirror('platform', '60 s')"), 't', $_[0]); }

sub pause
{
	sql(q(SELECT tenancy_mongo.pause_mirror('platform')));
	return becomes(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^tenancy mirror'), '0', 'no worker runs');
}

sub resume { return sql(q(SELECT tenancy_mongo.resume_mirror('platform'))); }

# Both sides, exactly; what differs is shown, and not all of it.
sub equal
{
	my ($what) = @_;
	level("$what: level");
	my %theirs = map { $_->{_id} => $_->{name} } $mongo->find_all('shop', 'items');
	my %ours   = map { split /=/, $_, 2 } split /\n/, sql(q(SELECT _id || '=' || name FROM items));
	my @differ = grep { ($ours{$_} // 'no row') ne ($theirs{$_} // 'no document') } sort keys %{ { %ours, %theirs } };
	return is(join(', ', map { "$_: " . substr($ours{$_} // 'no row', 0, 20) . ' instead of ' . substr($theirs{$_} // 'none', 0, 20) } splice @differ, 0, 5), '', $what);
}

sql(qq(
	ALTER ROLE postgres SET statement_timeout = 0; ALTER ROLE postgres SET lock_timeout = 0;
	CREATE EXTENSION tenancy_mongo CASCADE;
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');
	CREATE FOREIGN TABLE items_in_mongo (_id text, name text) SERVER platform OPTIONS (database 'shop', collection 'items');
	CREATE TABLE items (_id text PRIMARY KEY, name text NOT NULL);
	CREATE TABLE seen (_id text, name text, xid xid8 DEFAULT pg_current_xact_id());
	GRANT INSERT ON seen TO tenancy_mirror;
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.seen VALUES (NEW._id, NEW.name); RETURN NULL; END';
	CREATE TRIGGER note AFTER INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION note();
	CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END';));
$mongo->insert('shop', 'items', '{"_id": "x", "name": "first"}');
sql(q(SELECT tenancy_mongo.mirror('items_in_mongo', 'items')));
becomes(q(SELECT state FROM tenancy_mongo.stat_mirror), 'streaming', 'a mirror');

#
# A look-up that finds nothing (trap 3): the update is in one batch, the deletion in the next, and the worker is killed between them
#

pause();
$mongo->update('shop', 'items', '{"_id": "x"}', '{"$set": {"name": "second"}}');
$mongo->insert('shop', 'items', map { qq({"_id": "f$_", "name": "filler"}) } 1 .. 300);
$mongo->insert('shop', 'items', '{"_id": "gate", "name": "gate"}');
$mongo->delete('shop', 'items', '{"_id": "x"}');
sql(q(CREATE TRIGGER hold BEFORE INSERT ON items FOR EACH ROW WHEN (NEW._id = 'gate') EXECUTE FUNCTION hold()));
my $waiting = q(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted);
my $holder  = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(1)');
resume();
becomes($waiting, '1', 'the batch of the update is applied, that of the deletion is not');
is(sql(q(SELECT count(*) > 0 FROM items WHERE _id LIKE 'f%')), 't', 'between the two');
is(sql(q(SELECT name FROM items WHERE _id = 'x')), 'first', 'a look-up that finds nothing leaves the row as it was');
kill 'KILL', sql(q(SELECT worker_pid FROM tenancy_mongo.stat_mirror));
eval { $holder->quit };
ok($node->poll_query_until('postgres', 'SELECT true'), 'killed there');
equal('a look-up that found nothing, and a kill before the deletion');
is(sql(q(SELECT count(*) FROM seen WHERE _id = 'x' AND name <> 'first')), '0', 'and no other state of the row was ever written');
sql('DROP TRIGGER hold ON items');

#
# Coalescing (trap 10): all of it in one batch
#

pause();
$mongo->command('shop', '{"drop": "items"}');
$mongo->insert('shop', 'items', map { qq({"_id": "$_", "name": "before"}) } 'a' .. 'e');
resume();
equal('a first state');
pause();
sql('TRUNCATE seen');
$mongo->update('shop', 'items', '{"_id": "a"}', qq({"\$set": {"name": "a$_"}})) for 1 .. 20;
$mongo->delete('shop', 'items', '{"_id": "b"}');
$mongo->insert('shop', 'items', '{"_id": "b", "name": "again"}');
$mongo->delete('shop', 'items', '{"_id": "b"}');
$mongo->insert('shop', 'items', '{"_id": "b", "name": "third"}');
$mongo->delete('shop', 'items', '{"_id": "c"}');
$mongo->insert('shop', 'items', '{"_id": "n", "name": "new"}');
$mongo->delete('shop', 'items', '{"_id": "n"}');
resume();
equal('many changes of one key in a batch leave the last');
is(sql(q(SELECT string_agg(_id || '=' || name, ' ' ORDER BY _id) FROM seen)), 'a=a20 b=third', 'which is all that is written');
pause();
$mongo->update('shop', 'items', '{"_id": "a"}', '{"$set": {"name": "lost"}}');
$mongo->command('shop', '{"drop": "items"}');
$mongo->insert('shop', 'items', '{"_id": "b", "name": "of the next"}');
$mongo->command('admin', '{"renameCollection": "shop.items", "to": "shop.aside"}');
$mongo->insert('shop', 'items', '{"_id": "c", "name": "of the last"}');
resume();
equal('changes of one key are not taken together across a drop or a rename');

#
# A transaction stays whole, and a large one is no trouble (trap 9)
#

sub transaction
{
	my ($number, @commands) = @_;
	my $id = '"lsid": {"id": {"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA==", "subType": "04"}}}, "txnNumber": {"$numberLong": "' . $number . '"}, "autocommit": false';
	my $start = ', "startTransaction": true';
	for my $command (@commands)
	{
		$mongo->command('shop', $command =~ s/\}$/, $id$start}/r);
		$start = '';
	}
	return $mongo->command('admin', qq({"commitTransaction": 1, $id}));
}
sql('TRUNCATE seen');
transaction(1, map { qq({"insert": "items", "documents": [{"_id": "t$_", "name": "t"}]}) } 1 .. 50);
equal('a transaction');
is(sql(q(SELECT count(*) || ' ' || count(DISTINCT xid) FROM seen WHERE name = 't')), '50 1', 'of MongoDB is one here');
my $pad = 'p' x 1_000_000;
transaction(2, map { qq({"insert": "items", "documents": [{"_id": "large$_", "name": "$pad"}]}) } 1 .. 40);
equal('a transaction of 40 MB');
$mongo->delete('shop', 'items', '{}');
$mongo->command('shop', qq({"aggregate": 1, "pipeline": [{"\$documents": [{"n": {"\$range": [0, 30000]}}]}, {"\$unwind": "\$n"},
	{"\$project": {"_id": {"\$toString": "\$n"}, "name": {"\$concat": ["n", "@{[ 'x' x 500 ]}"]}}}, {"\$out": "items"}], "cursor": {}}));
$mongo->update('shop', 'items', '{}', '{"$set": {"name": "everything"}}');
equal('an update of everything');
my ($status) = slurp_file('/proc/' . sql('SELECT worker_pid FROM tenancy_mongo.stat_mirror') . '/status') =~ /^RssAnon:\s+(\d+)/m;
cmp_ok($status, '<', 60 * 1024, "the worker's private memory stays below 60 MB: $status kB");

#
# Collections that come and go while the worker is down (trap 5), with keys that were there before
#

my @upheavals = (
	[ 'a drop'                => sub { $mongo->command('shop', '{"drop": "items"}') } ],
	[ 'a rename away'         => sub { $mongo->command('admin', '{"renameCollection": "shop.items", "to": "shop.aside", "dropTarget": true}') } ],
	[ 'a rename onto'         => sub { $mongo->insert('shop', 'other', map { qq({"_id": "$_", "name": "other"}) } 'a' .. 'c');
			$mongo->command('admin', '{"renameCollection": "shop.other", "to": "shop.items", "dropTarget": true}') } ],
	[ '$out'                  => sub { $mongo->command('shop', '{"aggregate": 1, "pipeline": [{"$documents": [{"_id": "a", "name": "out"}]}, {"$out": "items"}], "cursor": {}}') } ],
	[ 'dropDatabase'          => sub { $mongo->command('shop', '{"dropDatabase": 1}') } ]);
for my $upheaval (@upheavals)
{
	my ($what, $do) = @$upheaval;
	for my $again (0, 1)
	{
		my $when = $again ? 'and the collection made again' : 'and nothing after it';
		$mongo->command_text('shop', '{"drop": "items"}');
		$mongo->insert('shop', 'items', map { qq({"_id": "$_", "name": "before"}) } 'a' .. 'c');
		equal('before');
		pause();
		$mongo->insert('shop', 'items', '{"_id": "d", "name": "before"}');
		$do->();
		$mongo->command_text('shop', '{"insert": "items", "documents": [{"_id": "b", "name": "after"}, {"_id": "e", "name": "after"}], "ordered": false}') if $again;
		resume();
		equal("$what while the worker is down, $when");
	}
}

# What happened before a copy is in the copy; the stream comes past it later.
for my $upheaval (@upheavals)
{
	my ($what, $do) = @$upheaval;
	pause();
	$mongo->command_text('shop', '{"insert": "items", "documents": [{"_id": "a", "name": "before"}], "ordered": false}');
	$do->();
	$mongo->command_text('shop', '{"insert": "items", "documents": [{"_id": "b", "name": "after"}, {"_id": "e", "name": "after"}], "ordered": false}');
	sql(q(SELECT tenancy_mongo.refresh_mirror('items')));
	resume();
	equal("$what that the stream comes past after a later copy takes nothing away");
}
is(sql(q(SELECT restarts || ' ' || resyncs FROM tenancy_mongo.stat_mirror)), '0 0', 'the stream has gone on all the time');

#
# Documents that are poison (trap 4), by the copy and by the stream: a row or a misfit, and the stream goes on; numbers keep all their digits (trap 14)
#

# {insert: 'poison', documents: [{_id: 'surrogate', t: U+D800 as three bytes}], $db: 'shop'}: what is no UTF-8 cannot be said in JSON.
sub insert_surrogate
{
	my $bson = sub { my $body = join '', @_; return pack('V', length($body) + 5) . $body . "\0"; };
	my $text = sub { my ($name, $value) = @_; return "\x02$name\0" . pack('V', length($value) + 1) . "$value\0"; };
	my $command = $bson->($text->('insert', 'poison'), $text->('$db', 'shop'),
		"\x04documents\0" . $bson->("\x030\0" . $bson->($text->('_id', 'surrogate'), $text->('t', "\xed\xa0\x80"))));
	my $socket = IO::Socket::INET->new(PeerAddr => $mongo->host) or die "connect: $!";
	print {$socket} pack('VVVVVC', 21 + length $command, 1, 0, 2013, 0, 0) . $command;
	$socket->flush;
	read $socket, my $head, 16;
	read $socket, my $reply, unpack('V', $head) - 16;
	return like($reply, qr/n\0\x01\0\0\0/, 'a document that is not UTF-8');
}
sub insert_poison
{
	my $deep = '{"d": ' x 90 . '1' . '}' x 90;
	insert_surrogate();
	$mongo->insert('shop', 'poison',
		'{"_id": "NUL", "t": "a\u0000b"}', '{"_id": "NUL in jsonb", "j": {"a": "a\u0000b"}}',
		'{"_id": "year 242869", "ts": {"$date": {"$numberLong": "7602000000000000"}}}', '{"_id": "no year", "ts": {"$date": {"$numberLong": "9223372036854775807"}}}',
		'{"_id": "NaN", "num": {"$numberDecimal": "NaN"}, "f": {"$numberDouble": "NaN"}}', '{"_id": "infinite", "num": {"$numberDecimal": "-Infinity"}}',
		'{"_id": "34 digits", "num": {"$numberDecimal": "1234567890123456789012345678901234"}}', '{"_id": "tiny", "num": {"$numberDecimal": "1E-6176"}}',
		'{"_id": "2^53+1", "num": {"$numberLong": "9007199254740993"}, "b": {"$numberLong": "9007199254740993"}, "j": {"n": {"$numberLong": "9007199254740993"}}}',
		'{"_id": "-0", "f": {"$numberDouble": "-0.0"}}', '{"_id": "1.5", "b": 1.5}', '{"_id": "1e300", "b": 1e300}', qq({"_id": "deep", "j": $deep}),
		'{"_id": {"a": 1}}', '{"_id": {"$minKey": 1}}', '{"_id": 7}');
	return;
}
my $fine  = q(SELECT string_agg(_id || coalesce(' ' || num, '') || coalesce(' ' || f, '') || coalesce(' ' || b, '') || coalesce(' ' || (j ->> 'n'), ''), ', '
	ORDER BY _id COLLATE "C") FROM poison);
my $aside = q(SELECT string_agg(concat_ws(' ', document_id, path, sqlstate), ', ' ORDER BY document_id COLLATE "C") FROM tenancy_mongo.misfits);
insert_poison();
sql(q(CREATE FOREIGN TABLE poison_in_mongo (_id text, t text, ts timestamptz, num numeric, f float8, b bigint, j jsonb)
		SERVER platform OPTIONS (database 'shop', collection 'poison');
	CREATE TABLE poison (_id text PRIMARY KEY, t text, ts timestamptz, num numeric, f float8, b bigint, j jsonb);
	SELECT tenancy_mongo.mirror('poison_in_mongo', 'poison')));
becomes(q(SELECT state FROM tenancy_mongo.stat_mirror WHERE local_table = 'poison'::regclass), 'streaming', 'poison in a copy');
my ($copied, $misfits) = (sql($fine), sql($aside));
is($copied, '-0 -0, 2^53+1 9007199254740993 9007199254740993 9007199254740993, 34 digits 1234567890123456789012345678901234, NaN NaN NaN, deep, infinite -Infinity, tiny '
	. '0.' . '0' x 6175 . '1, year 242869', 'is a row where the type can hold it, to the last digit');
is($misfits, '"1.5" b 22003, "1e300" b 22003, "NUL in jsonb" j 22021, "NUL" t 22021, "no year" ts 22008, "surrogate" t 22021, 7 _id 42804, {"$minKey": 1} _id 42804, {"a": 1} _id 42804', 'or a misfit')
  or diag $misfits;
$mongo->delete('shop', 'poison', '{}');
level('deleted');
is(sql('SELECT count(*) + (SELECT count(*) FROM tenancy_mongo.misfits) FROM poison'), '0', 'a misfit that is deleted is gone');
insert_poison();
level('poison in the stream');
is(sql($fine), $copied, 'is the same rows');
is(sql($aside), $misfits, 'and misfits');
$mongo->command('shop', '{"update": "poison", "updates": [{"q": {"_id": {"$type": "string"}}, "u": {"$unset": {"t": 1, "ts": 1, "b": 1, "j": 1}}, "multi": true}]}');
level('mended');
is(sql(q(SELECT count(*) FROM poison)), '14', 'a misfit that is mended has its row');
is(sql($aside), '7 _id 42804, {"$minKey": 1} _id 42804, {"a": 1} _id 42804', 'and the others stay aside');
is(sql(q(SELECT DISTINCT restarts FROM tenancy_mongo.stat_mirror)), '0', 'no poison has stopped the stream');

#
# In the server (trap 16): nothing is held while the worker waits, and a lock that it waits for is lag, not failure
#

my $held  = 0;
my $until = time + 3;
while (time < $until)
{
	$held += sql(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^tenancy mirror' AND xact_start < clock_timestamp() - interval '500 ms'));
	usleep(50_000);
}
is($held, 0, 'a worker that waits for events is in no transaction');
is(sql(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'tenancy mirror apply worker' AND backend_xmin IS NOT NULL AND xact_start IS NULL)), '0', 'and holds no snapshot');
sql(q(UPDATE tenancy_mongo.stream SET last_error = NULL, last_error_state = NULL));
my $restarts = sql(q(SELECT DISTINCT restarts FROM tenancy_mongo.stat_mirror));
sql(q(BEGIN; LOCK items IN ACCESS EXCLUSIVE MODE; PREPARE TRANSACTION 'locked'));
$mongo->insert('shop', 'items', '{"_id": "locked", "name": "locked"}');
ok($node->poll_query_until('postgres', q(SELECT lag_seconds > 2 FROM tenancy_mongo.stat_mirror WHERE local_table = 'items'::regclass)), 'a lock on the table is lag');
sql(q(ROLLBACK PREPARED 'locked'));
equal('and no failure');
is(sql(q(SELECT DISTINCT restarts FROM tenancy_mongo.stat_mirror)), $restarts, 'statement_timeout and lock_timeout are not for the worker');

#
# A position that MongoDB does not find (trap 7: error 280): everything is brought level in place, and readers never see less
#

my $cursor = $mongo->command('shop', '{"aggregate": "unmirrored", "pipeline": [{"$changeStream": {}}], "cursor": {}}')->{cursor}{id};
$mongo->insert('shop', 'unmirrored', '{"_id": 1}');
my $event = $mongo->command('shop', qq({"getMore": {"\$numberLong": "@{[ ref $cursor ? $cursor->{'\$numberLong'} : $cursor ]}"}, "collection": "unmirrored"}))->{cursor}{nextBatch}[0]{_id}{_data};
$mongo->insert('shop', 'items', map { qq({"_id": "many$_", "name": "many"}) } 1 .. 500);
equal('before');
my $count = sql('SELECT count(*) FROM items');
pause();
sql("UPDATE tenancy_mongo.stream SET token = '\\x" . unpack('H*', pack('V', length($event) + 17) . "\x02_data\0" . pack('V', length($event) + 1) . "$event\0\0") . "'");
$mongo->update('shop', 'items', '{"_id": "many77"}', '{"$set": {"name": "changed"}}');
sql(q(CREATE TRIGGER hold BEFORE UPDATE ON items FOR EACH ROW WHEN (NEW.name = 'changed') EXECUTE FUNCTION hold()));
$holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(1)');
resume();
becomes($waiting, '1', 'a position that MongoDB does not find: all is copied again');
is(sql('SELECT count(*) FROM items'), $count, 'readers see what was there');
is(sql(q(SELECT name FROM items WHERE _id = 'many77')), 'many', 'until it is whole');
$holder->quit;
equal('and then all of it');
is(sql('SELECT DISTINCT resyncs FROM tenancy_mongo.stat_mirror'), '1', 'which is counted');

#
# Many collections (traps 12 and 13): one stream, and a filter that does not grow with them
#

# The clauses of each stream that somebody reads just now.  (MongoDB keeps those that were left without a word for ten minutes.)
sub streams
{
	my $reply = $mongo->command('admin', '{"aggregate": 1, "pipeline": [{"$currentOp": {"allUsers": true}}], "cursor": {"batchSize": 1000}}');
	my @found;
	for my $op (@{ $reply->{cursor}{firstBatch} })
	{
		my $pipeline = $op->{cursor}{originatingCommand}{pipeline} or next;
		push @found, scalar @{ $pipeline->[1]{'$match'}{'$or'} } if $pipeline->[0]{'$changeStream'} && $pipeline->[1]{'$match'};
	}
	return "@found";
}
sql(join ';', map { my $d = $_; map { qq(CREATE FOREIGN TABLE ${_}_${d}_in_mongo (_id text) SERVER platform OPTIONS (database 'tenant_$d', collection '$_');
	CREATE TABLE ${_}_$d (_id text PRIMARY KEY); SELECT tenancy_mongo.mirror('${_}_${d}_in_mongo', '${_}_$d')) } 'orders', 'bills' } 1 .. 30);
becomes(q(SELECT count(*) FROM tenancy_mongo.stat_mirror WHERE state = 'streaming'), '62', 'sixty collections of thirty databases');
$mongo->insert("tenant_$_", 'bills', qq({"_id": "of $_"})) for 1 .. 30;
level('level');
is(sql(join ' UNION ALL ', map { "SELECT _id FROM bills_$_" } 30), 'of 30', 'each has its own');
# Two clauses for each set of names, and one for dropped databases.
my $deadline = time + 30;
my $streams  = '';
usleep(100_000) until ($streams = streams()) eq '5' || time > $deadline;
is($streams, '5', 'all are one stream, and its filter has no clause for each of them');

unlike(slurp_file($node->logfile), qr/terminated by signal (?!9:)|PANIC|TRAP/, 'no process crashed');
done_testing();
