# What goes wrong with foreign scans: each a clear error, soon, and nothing is left behind in MongoDB.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use IPC::Run ();
use Mongo::Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $mongo   = Mongo::Server->new('main')->start;
my $guarded = Mongo::Server->new('guarded', auth => 1)->start;
my $node    = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'");
$node->start;

my $closed_port = PostgreSQL::Test::Cluster::get_free_port();
$node->safe_psql('postgres', qq(
	CREATE EXTENSION tenancy_mongo CASCADE;
	CREATE SERVER m FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');
	CREATE SERVER unreachable FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '127.0.0.1:$closed_port', server_selection_timeout '500');
	CREATE SERVER nameless FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'nobody.invalid', server_selection_timeout '500');
	CREATE SERVER other_set FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs1', server_selection_timeout '500');
	CREATE SERVER guarded FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $guarded->host ]}', replica_set 'rs0', credentials 'right');
	CREATE FOREIGN TABLE many (id int OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'test', collection 'many', batch_size '100');
	CREATE FOREIGN TABLE missing (id int) SERVER m OPTIONS (database 'test', collection 'missing');
	CREATE FOREIGN TABLE nowhere (id int) SERVER m OPTIONS (database 'no_database', collection 'missing');
	CREATE FOREIGN TABLE of_unreachable (id int) SERVER unreachable OPTIONS (database 'test', collection 'many');
	CREATE FOREIGN TABLE of_nameless (id int) SERVER nameless OPTIONS (database 'test', collection 'many');
	CREATE FOREIGN TABLE of_other_set (id int) SERVER other_set OPTIONS (database 'test', collection 'many');
	CREATE FOREIGN TABLE of_guarded (id int OPTIONS (path '_id')) SERVER guarded OPTIONS (database 'test', collection 'secret');));
$mongo->insert('test', 'many', map { qq({"_id": $_, "n": $_}) } ($_ * 1000) .. ($_ * 1000 + 999)) for 0 .. 9;

#
# Sessions
#

sub session
{
	my $session = { in => '', out => '', err => '', turn => 0 };
	$session->{psql} = IPC::Run::start(
		[ 'psql', '-XqAt', '-v', 'VERBOSITY=verbose', '-v', 'SHOW_CONTEXT=never', '-d', $node->connstr('postgres'), '-f', '-' ],
		'<', \$session->{in}, '>', \$session->{out}, '2>', \$session->{err},
		$session->{timer} = IPC::Run::timeout(60));
	$session->{pid} = ask($session, 'SELECT pg_backend_pid()');
	return $session;
}

# Starts a statement.
sub say_to
{
	my ($session, $sql) = @_;
	$session->{timer}->start(60);
	@$session{qw(out err)} = ('', '');
	$session->{turn}++;
	$session->{started} = time;
	$session->{in} .= "$sql;\n\\echo end of $session->{turn}\n\\warn end of $session->{turn}\n";
	$session->{psql}->pump_nb while length $session->{in};
	return;
}

# Waits for its end; returns output, error and seconds.
sub hear
{
	my ($session) = @_;
	my $end = "end of $session->{turn}\n";
	$session->{psql}->pump until $session->{out} =~ /\Q$end\E/ && $session->{err} =~ /\Q$end\E/;
	my $seconds = time - $session->{started};
	s/\Q$end\E// for @$session{qw(out err)};
	chomp(my $out = $session->{out});
	return ($out, $session->{err} =~ s/^psql:<stdin>:\d+: //mgr, $seconds);
}

sub converse { my ($session, $sql) = @_; say_to($session, $sql); return hear($session); }
sub ask      { my ($out, $err) = converse(@_); die $err if $err; return $out; }

sub no_cursor_is_left
{
	my ($what) = @_;
	ok(eval { $mongo->poll_until('has no open cursor', sub { $mongo->open_cursors == 0 }) }, "no cursor is left open after $what");
	return;
}

# The backend is in MongoDB's hands: it has sent a command and is not answered.
sub wait_until_waiting
{
	my ($session) = @_;
	return $node->poll_query_until('postgres', "SELECT state = 'active' AND wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $session->{pid}");
}

my $session = session();
my ($out, $err, $seconds);

# A server that stalls does so without end here, one that is busy for twenty seconds, and what waits for neither takes a moment.
my $soon = 8;

#
# Unreachable
#

($out, $err, $seconds) = converse($session, 'SELECT * FROM of_unreachable');
like($err, qr/^ERROR:  08001: could not read collection "test\.many"\nDETAIL:  .*127\.0\.0\.1:$closed_port.*Connection refused.*\nHINT:  /m, 'nobody listens');
cmp_ok($seconds, '<', $soon, 'is told after the timeout');
($out, $err) = converse($session, 'SELECT * FROM of_nameless');
like($err, qr/^ERROR:  08001: .*\nDETAIL:  .*nobody\.invalid.*\nHINT:  /m, 'a host without address');
($out, $err) = converse($session, 'SELECT * FROM of_other_set');
like($err, qr/^ERROR:  08001: .*\nDETAIL:  .*replica set has another name.*\nHINT:  .*"replica_set"/m, 'another replica set');
is(ask($session, 'SELECT count(*) FROM many'), '10000', 'and the session goes on with others');

#
# Credentials
#

my $file = $node->data_dir . '/tenancy_mongo.conf';
sub write_credentials
{
	my ($mode, $text) = @_;
	unlink $file;
	append_to_file($file, $text);
	chmod $mode, $file or die;
	return;
}
$guarded->insert('test', 'secret', '{"_id": 42}');
$guarded->command('admin', [createUser => 'reader', pwd => 'p@ss:w/rd %41', roles => [ { role => 'read', db => 'test' } ]]);
$guarded->command('test', '{"createRole": "finder", "privileges": [{"resource": {"db": "test", "collection": "secret"}, "actions": ["find"]}], "roles": []}');
$guarded->command('admin', '{"createUser": "finder", "pwd": "f", "roles": [{"role": "finder", "db": "test"}]}');
$guarded->command('admin', '{"createUser": "stranger", "pwd": "s", "roles": []}');

($out, $err) = converse($session, 'SELECT * FROM of_guarded');
like($err, qr/^ERROR:  F0000: could not read credentials file ".*tenancy_mongo\.conf": No such file/m, 'no credentials file');
my $entries = "[right]\nuser = reader\npassword = p\@ss:w/rd %41\n\n[wrong]\nuser = reader\npassword = s3cret\n\n[finder]\nuser = finder\npassword = f\n\n[stranger]\nuser = stranger\npassword = s\n";
write_credentials(0644, $entries);
($out, $err) = converse($session, 'SELECT * FROM of_guarded');
like($err, qr/^ERROR:  F0000: credentials file ".*" /m, 'a credentials file that others can read is refused');
write_credentials(0600, "[right]\nuser = reader\nnonsense s3cret\n");
($out, $err) = converse($session, 'SELECT * FROM of_guarded');
like($err, qr/^ERROR:  F0000: .*line 3/m, 'a line that is none is named by its number');
unlike($err, qr/s3cret/, 'and not by its text');
write_credentials(0600, $entries);
is(ask($session, 'SELECT * FROM of_guarded'), '42', 'with the right password, special characters and all');

ask($session, "CREATE USER MAPPING FOR PUBLIC SERVER guarded OPTIONS (credentials 'wrong')");
($out, $err) = converse($session, 'SELECT * FROM of_guarded');
like($err, qr/^ERROR:  28000: .*\nDETAIL:  .*[Aa]uthentication failed.*\nHINT:  /m, 'a wrong password, by a mapping for PUBLIC');
unlike($err, qr/s3cret/, 'is not shown');
ask($session, "CREATE USER MAPPING FOR CURRENT_USER SERVER guarded OPTIONS (credentials 'right')");
is(ask($session, 'SELECT * FROM of_guarded'), '42', 'a mapping of one\'s own comes first');
ask($session, "ALTER USER MAPPING FOR CURRENT_USER SERVER guarded OPTIONS (SET credentials 'stranger')");
($out, $err) = converse($session, 'SELECT * FROM of_guarded');
like($err, qr/^ERROR:  42501: could not read collection "test\.secret"\nDETAIL:  .*not authorized/m, 'an altered mapping is used at once, and is told that it may not read');
ask($session, "ALTER USER MAPPING FOR CURRENT_USER SERVER guarded OPTIONS (SET credentials 'finder')");
is(ask($session, 'SELECT * FROM of_guarded WHERE id = 1'), '', 'a user who may find and nothing else gets an empty answer');
ask($session, "ALTER USER MAPPING FOR CURRENT_USER SERVER guarded OPTIONS (SET credentials 'nobody')");
($out, $err) = converse($session, 'SELECT * FROM of_guarded');
like($err, qr/^ERROR:  42704: .*"nobody"/m, 'an entry that is not there');
ask($session, 'DROP USER MAPPING FOR CURRENT_USER SERVER guarded; DROP USER MAPPING FOR PUBLIC SERVER guarded');
is(ask($session, 'SELECT * FROM of_guarded'), '42', 'without mappings it is the server\'s own');
unlike(slurp_file($node->logfile), qr/p\@ss:w|password = /, 'no password is in the log');

#
# Collections that do not exist
#

($out, $err) = converse($session, 'SELECT * FROM missing');
like($err, qr/^ERROR:  HV00R: collection "test\.missing" of foreign table "missing" does not exist\nHINT:  .*ALTER FOREIGN TABLE public\.missing OPTIONS/m, 'a collection that does not exist');
($out, $err) = converse($session, 'SELECT * FROM nowhere');
like($err, qr/^ERROR:  HV00R: collection "no_database\.missing"/m, 'a database that does not exist');
$mongo->command('test', [create => 'missing']);
is(ask($session, 'SELECT * FROM missing'), '', 'an empty collection is empty');
is(ask($session, 'SELECT * FROM many WHERE id = -1'), '', 'as is an answer');
ask($session, "ALTER FOREIGN TABLE missing OPTIONS (SET collection 'misspelt')");
($out, $err) = converse($session, 'SELECT * FROM missing');
like($err, qr/^ERROR:  HV00R: collection "test\.misspelt"/m, 'an altered name is looked for anew');

#
# In the middle of a scan: an error, and never a short answer
#

sub open_scan
{
	my ($rows) = @_;
	ask($session, "BEGIN; DECLARE c CURSOR FOR SELECT id FROM many; MOVE $rows IN c");
	return;
}

open_scan(50);
$mongo->command('admin', '{"killAllSessions": []}');
($out, $err) = converse($session, 'FETCH ALL FROM c');
like($err, qr/^ERROR:  \w{5}: could not read collection "test\.many"\nDETAIL:  /m, 'a killed cursor');
unlike($err, qr/^ERROR:  XX/m, 'is no internal error');
ask($session, 'ROLLBACK');
is(ask($session, 'SELECT count(*) FROM many'), '10000', 'the next scan is whole');

open_scan(50);
$mongo->fail_point('failCommand', '{"times": 1}', '{"failCommands": ["getMore"], "errorCode": 11601}');
($out, $err) = converse($session, 'FETCH ALL FROM c');
like($err, qr/^ERROR:  /m, 'a getMore that fails');
ask($session, 'ROLLBACK');

$mongo->fail_point('failCommand', '{"times": 1}', '{"failCommands": ["getMore"], "closeConnection": true}');
($out, $err) = converse($session, 'SELECT count(*) FROM (SELECT * FROM many OFFSET 0) m');
like($err, qr/^ERROR:  08006: could not read collection "test\.many"/m, 'a connection that closes in the middle');
is(ask($session, 'SELECT count(*) FROM many'), '10000', 'is replaced');

open_scan(50);
$mongo->kill9;
($out, $err) = converse($session, 'FETCH ALL FROM c');
like($err, qr/^ERROR:  08006: /m, 'mongod is killed in the middle');
ask($session, 'ROLLBACK');
$mongo->start;
is(ask($session, 'SELECT count(*) FROM many'), '10000', 'after its restart the session goes on');
$mongo->restart;
is(ask($session, 'SELECT count(*) FROM many'), '10000', 'a restart between two statements goes unnoticed');

#
# Cursors
#

is(ask($session, 'SELECT id FROM many WHERE id + 0 >= 0 LIMIT 1') =~ /^\d+$/ ? 'a row' : '', 'a row', 'a scan that ends early');
no_cursor_is_left('a scan that ends early');
($out, $err) = converse($session, 'SELECT 1 / (id - 500) FROM many');
like($err, qr/division by zero/, 'an error of PostgreSQL\'s own in the middle');
no_cursor_is_left('an error');
open_scan(10);
cmp_ok($mongo->open_cursors, '>', 0, 'an open cursor is one');
ask($session, 'ROLLBACK');
no_cursor_is_left('a rollback');
ask($session, "BEGIN; SAVEPOINT s; DECLARE c CURSOR FOR SELECT id FROM many; MOVE 10 IN c; ROLLBACK TO s");
no_cursor_is_left('a rollback to a savepoint');
ask($session, 'COMMIT');
($out, $err) = converse($session, "SET statement_timeout = '300ms'; SELECT count(*) FROM many WHERE (SELECT count(*) FROM generate_series(1, 100000 + n)) > 0; RESET statement_timeout");
like($err, qr/^ERROR:  57014: /m, 'a timeout between two batches');
no_cursor_is_left('a cancel');

#
# Waiting ends soon: by timeout, by cancel, by termination, whatever phase the scan is in
#

my %phases = (
	'a new connection'   => sub { $session = session(); },
	'a kept connection'  => sub { ask($session, 'SELECT count(*) FROM many'); },
	'the next batch'     => sub { open_scan(50); },
);
my %statements = ('the next batch' => 'FETCH ALL FROM c');

for my $phase (sort keys %phases)
{
	my $statement = $statements{$phase} // 'SELECT count(*) FROM many';

	$phases{$phase}->();
	ask($session, "SET statement_timeout = '300ms'");
	$mongo->stall;
	($out, $err, $seconds) = converse($session, $statement);
	like($err, qr/^ERROR:  57014: canceling statement due to statement timeout/m, "$phase: statement_timeout");
	cmp_ok($seconds, '<', $soon, "$phase: in time");
	$mongo->continue;
	converse($session, 'ROLLBACK; RESET statement_timeout');
	is(ask($session, 'SELECT count(*) FROM many'), '10000', "$phase: and on");

	$phases{$phase}->();
	$mongo->stall;
	say_to($session, $statement);
	wait_until_waiting($session);
	my $canceled = time;
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($session->{pid})");
	($out, $err) = hear($session);
	$seconds = time - $canceled;
	like($err, qr/^ERROR:  57014: canceling statement due to user request/m, "$phase: cancel");
	cmp_ok($seconds, '<', $soon, "$phase: soon");
	$mongo->continue;
	converse($session, 'ROLLBACK');
}

# Closing a cursor on a server that stalls does not keep the session.
open_scan(50);
$mongo->stall;
($out, $err, $seconds) = converse($session, 'ROLLBACK');
cmp_ok($seconds, '<', $soon, 'a rollback does not wait for a server that stalls');
$mongo->continue;
is(ask($session, 'SELECT count(*) FROM many'), '10000', 'and on');

# A server that is busy, instead of one that stalls.
$mongo->fail_point('failCommand', 'alwaysOn', '{"failCommands": ["find", "listCollections"], "blockConnection": true, "blockTimeMS": 20000, "appName": "pg_tenancy"}');
($out, $err, $seconds) = converse($session, "SET statement_timeout = '300ms'; SELECT count(*) FROM (SELECT * FROM many OFFSET 0) m; RESET statement_timeout");
like($err, qr/^ERROR:  57014: /m, 'a find that blocks');
cmp_ok($seconds, '<', $soon, 'in time');
$mongo->fail_point('failCommand', 'off');
is(ask($session, 'SELECT count(*) FROM many'), '10000', 'and on');

# Termination.
$mongo->stall;
say_to($session, 'SELECT count(*) FROM many');
wait_until_waiting($session);
my $terminated = time;
$node->safe_psql('postgres', "SELECT pg_terminate_backend($session->{pid}, 5000)");
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $session->{pid})"), 'a backend that is terminated ends');
cmp_ok(time - $terminated, '<', $soon, 'soon');
$mongo->continue;

done_testing();
