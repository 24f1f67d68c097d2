# The copy of a large collection: killed half-way, with its worker, the postmaster or mongod, or stopped by a full disk, it goes on
# where it was, and what was read is not read again, also if MongoDB no longer reads at its time or its cursor is lost; so does the copy
# of one tenant's part; several processes read it; readers see nothing of it until it is whole.

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
my $node = mirror_node('restart_after_crash = on', "tenancy_mongo.mirror_resumable_copy_from = '1MB'", 'tenancy_mongo.mirror_copy_workers = 1',
	'max_prepared_transactions = 2');

#
# A collection of about 100 MB whose _ids are of several types, two of which the table cannot hold
#

my $pad = 'x' x 2000;
$mongo->command('shop', qq({"aggregate": 1, "pipeline": [{"\$documents": [{"n": {"\$range": [0, 48000]}}]}, {"\$unwind": "\$n"},
	{"\$project": {"_id": {"\$concat": ["s", {"\$toString": "\$n"}]}, "rev": {"\$toLong": 1}, "pad": "$pad"}}, {"\$out": "big"}], "cursor": {}}));
$mongo->insert('shop', 'big', map { sprintf '{"_id": {"$oid": "%024x"}, "rev": 1, "pad": "%s"}', $_, $pad } 1 .. 1000);
$mongo->insert('shop', 'big', map { (qq({"_id": $_, "rev": 1}), qq({"_id": {"a": $_}, "rev": 1})) } 1 .. 10);
my $all = 49_000;

sql(qq(
	CREATE EXTENSION tenancy_mongo CASCADE;
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');
	CREATE FOREIGN TABLE big_in_mongo (_id text, rev bigint, pad text) SERVER platform OPTIONS (database 'shop', collection 'big');
	CREATE TABLE big (_id text PRIMARY KEY, rev bigint, pad text);
	CREATE TABLE went_back (_id text);
	GRANT INSERT ON went_back TO tenancy_mirror;
	CREATE FUNCTION note_went_back() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.went_back VALUES (NEW._id); RETURN NULL; END';
	CREATE TRIGGER went_back AFTER UPDATE ON big FOR EACH ROW WHEN (NEW.rev < OLD.rev) EXECUTE FUNCTION note_went_back();
	CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END';
	CREATE TABLE kept (range int, chunk int, written xid);));

# Chunks are of 4 MB.
sub hold_at
{
	my ($chunk) = @_;
	sql(qq(DROP TRIGGER IF EXISTS hold ON tenancy_mongo.initial_sync_chunk;
		CREATE TRIGGER hold BEFORE INSERT ON tenancy_mongo.initial_sync_chunk FOR EACH ROW WHEN (NEW.chunk = $chunk) EXECUTE FUNCTION hold();));
	my $holder = $node->background_psql('postgres');
	$holder->query_safe('SELECT pg_advisory_lock(1)');
	return $holder;
}

my $half    = 16;    # chunks
my $waiting = q(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted);

sub returned { return $mongo->command('admin', '{"serverStatus": 1}')->{metrics}{document}{returned}; }

# Begins a copy from nothing and waits until it is half done; what has been read then is noted.
sub copy_half
{
	sql(q(SELECT tenancy_mongo.unmirror('big'))) if sql('SELECT count(*) FROM tenancy_mongo.mirror_table') > 0;
	is(sql('SELECT count(*) FROM tenancy_mongo.initial_sync_chunk'), '0', 'nothing is left of the copy before');
	sql('TRUNCATE big, kept');
	my $holder = hold_at($half);
	sql(q(SELECT tenancy_mongo.mirror('big_in_mongo', 'big')));
	becomes($waiting, '1', 'a copy is under way');
	is(sql('SELECT count(*) FROM big'), '0', 'and shows nothing');
	is(sql(qq(SELECT concat_ws(' ', phase, documents BETWEEN 1500 * $half AND 2500 * $half, documents_expected > 48000, documents_per_second > 0, time_left > '0 s',
		ranges, ranges_done) FROM tenancy_mongo.progress_initial_sync)), 'reading t t t t 1 0', 'it tells how far it is');
	sql('INSERT INTO kept SELECT range, chunk, xmin FROM tenancy_mongo.initial_sync_chunk; CHECKPOINT');
	return $holder;
}

# What was kept is still there when the copy is to be loaded, and the rest came to it.  Loading waits for a lock that outlives
# every kill.
sub goes_on
{
	my ($what, $fault) = @_;
	my $read   = -returned();
	my $holder = copy_half();
	sql(q(BEGIN; LOCK big IN SHARE MODE; PREPARE TRANSACTION 'hold'));
	$read += $fault->($holder);
	becomes(q(SELECT count(*) FROM tenancy_mongo.initial_sync_range WHERE done), '1', "$what: the rest is read");
	is(sql('SELECT count(*) FROM kept k JOIN tenancy_mongo.initial_sync_chunk c USING (range, chunk) WHERE c.xmin = k.written'), $half, "$what: what was read has stayed");
	$read += returned();
	cmp_ok($read, '<', 1.5 * $all, "$what: and was not read again: MongoDB has returned $read documents");
	is(sql('SELECT count(*) FROM big'), '0', "$what: readers see nothing of it");
	sql(q(ROLLBACK PREPARED 'hold'));
	is_whole($what);
	return;
}

sub is_whole
{
	my ($what) = @_;
	becomes(q(SELECT state FROM tenancy_mongo.stat_mirror), 'streaming', "$what: it is loaded");
	is(sql(q(SELECT tenancy_mongo.wait_for_mirror('platform', '60 s'))), 't', "$what: level");
	is(sql('SELECT count(*) FROM big'), $all, "$what: all documents");
	is(sql(q(SELECT count(*) FROM tenancy_mongo.verify_mirror('big'))), '0', "$what: equal");
	is(sql('SELECT count(*) FROM tenancy_mongo.misfits'), '20', "$what: what does not fit is put aside");
	is(sql('SELECT count(*) + (SELECT count(*) FROM tenancy_mongo.initial_sync) FROM tenancy_mongo.initial_sync_chunk'), '0', "$what: nothing is left over");
	is(sql('SELECT count(*) FROM went_back'), '0', "$what: no row went back");
	return;
}

goes_on('worker', sub {
	my ($holder) = @_;
	kill 'KILL', sql(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'tenancy mirror apply worker'));
	eval { $holder->quit };
	ok($node->poll_query_until('postgres', 'SELECT true'), 'worker: the server is back');
	return 0;
});

goes_on('worker ended', sub {
	my ($holder) = @_;
	sql(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'tenancy mirror apply worker'));
	$holder->quit;
	return 0;
});

goes_on('postmaster', sub {
	my ($holder) = @_;
	$node->kill9;
	eval { $holder->quit };
	my $deadline = time + 60;
	until ($node->start(fail_ok => 1))
	{
		die 'the server does not start' if time > $deadline;
		$node->stop('fast', fail_ok => 1);
	}
	return 0;
});

# What is read after the restart is of another time than what was read before: here everything changes meanwhile.
goes_on('mongod', sub {
	my ($holder) = @_;
	$mongo->update('shop', 'big', '{"_id": {"$in": ["s1", "s10000", "s9", "s9999", {"$oid": "000000000000000000000001"}]}}', '{"$set": {"rev": {"$numberLong": "2"}}}');
	$mongo->delete('shop', 'big', '{"_id": {"$in": ["s2", "s10001", "s8", "s9998", {"$oid": "000000000000000000000002"}]}}');
	$mongo->insert('shop', 'big', map { qq({"_id": "$_", "rev": 1}) } '0new', 's1new', 's8new', 'snew', 'znew');
	my $returned = returned();
	$mongo->kill9;
	$mongo->start;
	$returned -= returned();
	$holder->quit;
	return $returned;
});
is(sql(q(SELECT string_agg(_id || ' ' || rev, ', ' ORDER BY _id COLLATE "C") FROM big WHERE rev > 1 OR pad IS NULL)),
	'000000000000000000000001 2, 0new 1, s1 2, s10000 2, s1new 1, s8new 1, s9 2, s9999 2, snew 1, znew 1', 'mongod: what changed meanwhile is there');

# MongoDB no longer reads at the time of the copy (trap 8: five minutes by default, here one second), and then its cursor is gone.
sub cannot_read_at_cut
{
	my ($seconds, $increment) = split / /, sql('SELECT (cut >> 32) || $$ $$ || (cut & 4294967295) FROM tenancy_mongo.initial_sync');
	$mongo->insert('shop', 'other', '{"x": 1}');
	my $reply = $mongo->command_text('shop', qq({"find": "big", "limit": 1, "readConcern": {"level": "snapshot", "atClusterTime": {"\$timestamp": {"t": $seconds, "i": $increment}}}}));
	return $reply =~ /"code" *: *(?:239|246)\b/;
}
sub kill_cursors
{
	my $reply = $mongo->command('admin', '{"aggregate": 1, "pipeline": [{"$currentOp": {"allUsers": true, "idleCursors": true}}, {"$match": {"ns": "shop.big", "type": "idleCursor"}}], "cursor": {}}');
	my @ids = map { ref $_->{cursor}{cursorId} ? $_->{cursor}{cursorId}{'$numberLong'} : $_->{cursor}{cursorId} } @{ $reply->{cursor}{firstBatch} };
	$mongo->command('shop', '{"killCursors": "big", "cursors": [' . join(', ', map { qq({"\$numberLong": "$_"}) } @ids) . ']}') if @ids;
	return cmp_ok(scalar @ids, '>', 0, "MongoDB closes the copy's cursor");
}
$half = 6;
goes_on('a copy of more than five minutes', sub {
	my ($holder) = @_;
	$mongo->command('admin', '{"setParameter": 1, "minSnapshotHistoryWindowInSeconds": 1}');
	$mongo->poll_until('does not read at the time of the copy', \&cannot_read_at_cut);
	$mongo->update('shop', 'big', '{"_id": {"$in": ["s1", "s9999"]}}', '{"$set": {"rev": {"$numberLong": "3"}}}');
	$mongo->delete('shop', 'big', '{"_id": {"$in": ["s7", "s9997"]}}');
	$mongo->insert('shop', 'big', '{"_id": "s7new", "rev": 1}', '{"_id": "znewest", "rev": 1}');
	kill_cursors();    # one that is open reads on, the next one does not
	$holder->quit;
	becomes('SELECT in_the_past FROM tenancy_mongo.initial_sync', 'false', 'a copy of more than five minutes reads on in the present');
	return 0;
});
is(sql(q(SELECT count(*) FROM big WHERE rev = 3 OR _id IN ('s7new', 'znewest', 's7', 's9997'))), '4', 'a copy of more than five minutes: what changed meanwhile is there');
$mongo->command('admin', '{"setParameter": 1, "minSnapshotHistoryWindowInSeconds": 300}');
goes_on('a cursor that MongoDB has closed', sub {
	my ($holder) = @_;
	kill_cursors();
	$holder->quit;
	return 0;
});
$half = 16;

#
# One tenant's part of a shared collection, with _ids of several types; killed half-way as well
#

$mongo->command('shop', qq({"aggregate": 1, "pipeline": [{"\$documents": [{"n": {"\$range": [0, 20000]}}]}, {"\$unwind": "\$n"},
	{"\$project": {"_id": {"\$cond": [{"\$lt": ["\$n", 6000]}, "\$n", {"\$concat": ["s", {"\$toString": "\$n"}]}]}, "tenantId": {"\$cond": [{"\$mod": ["\$n", 4]}, "t-1", "t-2"]}, "pad": "$pad"}},
	{"\$out": "parts"}], "cursor": {}}));
$mongo->command('shop', '{"createIndexes": "parts", "indexes": [{"key": {"tenantId": 1}, "name": "tenantId"}]}');
sql(q(SELECT tenancy_mongo.unmirror('big'); SELECT tenancy.create_tenant('t-1', 't-1'), tenancy.create_tenant('t-2', 't-2');
	CREATE FOREIGN TABLE parts_in_mongo (_id jsonb, pad text) SERVER platform OPTIONS (database 'shop', collection 'parts', tenant_field 'tenantId');
	CREATE TABLE part (_id jsonb PRIMARY KEY, pad text); CREATE TABLE small_part (LIKE part INCLUDING ALL);));
sub copy_part
{
	my ($table, $tenant, $documents) = @_;
	my $part_holder = hold_at(4);
	my $read = -returned();
	sql('TRUNCATE kept');
	sql("SELECT tenancy_mongo.mirror('parts_in_mongo', '$table', '$tenant')");
	becomes($waiting, '1', "$tenant: a copy is under way");
	sql('INSERT INTO kept SELECT range, chunk, xmin FROM tenancy_mongo.initial_sync_chunk');
	is(sql("SELECT count(*) FROM $table"), '0', "$tenant: and shows nothing");
	sql("BEGIN; LOCK $table IN SHARE MODE; PREPARE TRANSACTION 'hold'");
	kill 'KILL', sql(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'tenancy mirror apply worker'));
	eval { $part_holder->quit };
	ok($node->poll_query_until('postgres', 'SELECT true'), "$tenant: killed");
	becomes(q(SELECT count(*) FROM tenancy_mongo.initial_sync_range WHERE done), '1', "$tenant: the rest is read");
	is(sql('SELECT count(*) FROM kept k JOIN tenancy_mongo.initial_sync_chunk c USING (range, chunk) WHERE c.xmin = k.written'), '4', "$tenant: what was read of a tenant's part has stayed");
	cmp_ok($read + returned(), '<', 1.5 * $documents, "$tenant: and was not read again");
	sql(q(ROLLBACK PREPARED 'hold'));
	becomes("SELECT state FROM tenancy_mongo.stat_mirror WHERE tenant = '$tenant'", 'streaming', "$tenant: it is loaded");
	is(sql("SELECT count(*) FROM $table"), $documents, "$tenant: all of the tenant's documents, whatever their _ids");
	is(sql("SELECT count(*) FROM tenancy_mongo.verify_mirror('$table')"), '0', "$tenant: equal");
	return;
}
copy_part('part', 't-1', 15000);
sql('DROP TRIGGER hold ON tenancy_mongo.initial_sync_chunk');
sql(q(SELECT tenancy_mongo.mirror('parts_in_mongo', 'small_part', 't-2')));
becomes('SELECT count(*) FROM small_part', '5000', "another tenant's part beside it");
is(sql(q(SELECT tenancy_mongo.wait_for_mirror('platform', '60 s'))), 't', 'both stream');
sql(q(SELECT tenancy_mongo.unmirror('part'), tenancy_mongo.unmirror('small_part')));
is(sql('SELECT count(*) + (SELECT count(*) FROM tenancy_mongo.initial_sync) FROM tenancy_mongo.initial_sync_chunk'), '0', 'nothing is left over of them');
sql(q(TRUNCATE big; SELECT tenancy_mongo.mirror('big_in_mongo', 'big')));
is_whole('a copy that nobody disturbs');

#
# A definition that changes meanwhile, a pause, and a mirror that is removed half-way
#

my $holder = copy_half();
sql('ALTER TABLE big ADD COLUMN half bigint');
sql(q(ALTER FOREIGN TABLE big_in_mongo ADD COLUMN half bigint OPTIONS (path 'rev')));
$holder->quit;
is_whole('a column more');
is(sql('SELECT count(*) FROM big WHERE half IS DISTINCT FROM rev'), '0', 'is filled');

$holder = copy_half();
sql(q(SELECT tenancy_mongo.pause_mirror('platform')));
$holder->quit;
becomes(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'tenancy mirror apply worker'), '0', 'a copy that is paused');
cmp_ok(sql('SELECT count(*) FROM tenancy_mongo.initial_sync_chunk'), '>=', 16, 'keeps what it has read');
sql(q(SELECT tenancy_mongo.resume_mirror('platform')));
is_whole('resumed');

copy_half()->quit;
sql(q(SELECT tenancy_mongo.unmirror('big')));
is(sql('SELECT count(*) + (SELECT count(*) FROM tenancy_mongo.initial_sync) FROM tenancy_mongo.initial_sync_chunk'), '0', 'a mirror that is removed leaves nothing');
becomes(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'tenancy mirror (apply|copy) worker'), '0', 'and nobody at work');

#
# Several processes, one of which is ended
#

$node->append_conf('postgresql.conf', 'tenancy_mongo.mirror_copy_workers = 3');
$node->reload;
sql('TRUNCATE big');
$holder = hold_at(0);
sql(q(SELECT tenancy_mongo.mirror('big_in_mongo', 'big')));
becomes($waiting, '3', 'three processes read');
is(sql(q(SELECT concat_ws(' ', phase, ranges, ranges_done) FROM tenancy_mongo.progress_initial_sync)), 'reading 12 0', 'twelve ranges');
is(sql(q(SELECT count(DISTINCT reader) FROM tenancy_mongo.initial_sync_range)), '3', 'each another');
sql(q(SELECT pg_terminate_backend(min(pid)) FROM pg_stat_activity WHERE backend_type = 'tenancy mirror copy worker'));
becomes($waiting, '2', 'one is ended');
$holder->quit;
is_whole('by those that are left');

# There are eight slots for workers, some of them taken.
$node->append_conf('postgresql.conf', 'tenancy_mongo.mirror_copy_workers = 16');
$node->reload;
sql(q(SELECT tenancy_mongo.unmirror('big'); TRUNCATE big));
$holder = hold_at(0);
sql(q(SELECT tenancy_mongo.mirror('big_in_mongo', 'big')));
becomes("SELECT ($waiting) BETWEEN 3 AND 8", 'true', 'as many read as there are slots');
$holder->quit;
is_whole('without slots for all');

#
# A disk that is full half-way: the server's processes may write no file beyond a size that ends in the middle of a block
#

$node->append_conf('postgresql.conf', 'tenancy_mongo.mirror_copy_workers = 1');
$node->reload;
sql(q(SELECT tenancy_mongo.unmirror('big'); TRUNCATE big; DROP TRIGGER hold ON tenancy_mongo.initial_sync_chunk));
becomes(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'tenancy mirror (apply|copy) worker'), '0', 'all workers have left');
sql('ALTER TABLE tenancy_mongo.initial_sync_chunk ALTER COLUMN documents SET STORAGE EXTERNAL');    # or all of it has room
my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
command_ok([ 'prlimit', '--fsize=' . (40 * 1024 * 1024 + 4096) . ':', '--pid', $postmaster ], 'the disk is full');
sql(q(SELECT tenancy_mongo.mirror('big_in_mongo', 'big')));
becomes(q(SELECT last_error_state IN ('53100', 'XX000') AND last_error ~ 'could not (extend|write)' FROM tenancy_mongo.stat_mirror), 'true', 'which is told of');
cmp_ok(sql('SELECT count(*) FROM tenancy_mongo.initial_sync_chunk'), '>', 0, 'what was read before stays');
is(sql('SELECT count(*) FROM big'), '0', 'and nothing is shown');
$node->restart;
is_whole('with room again');

my $log = slurp_file($node->logfile);
unlike($log, qr/ERROR: .*(copy of|initial_sync|mirror_table)/, 'nobody fails because a mirror changes or goes');
like($log, qr/mirror goes on with its copy of shop.big behind \d+ documents/, 'the log tells of what goes on');
unlike($log, qr/terminated by signal (?!9:)|PANIC|TRAP/, 'no process crashed');
done_testing();
