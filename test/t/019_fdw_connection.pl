# Connections: TLS and X.509, options that change in an open session, a primary that changes, waits that end and that keep
# nobody else, and a session that does not grow.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use IO::Socket::INET;
use Mongo::ReplicaSet;
use Mongo::Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

# It measures its memory: a sanitizer must not keep what is freed.
$ENV{ASAN_QUARANTINE_MB} //= 1;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION tenancy_mongo CASCADE');

# An error's words, and the seconds that it took.
sub refused
{
	my ($query, $wanted, $what) = @_;
	my $started = time;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query");
	my $seconds = time - $started;
	like($err, $wanted, $what);
	return $seconds;
}

# A session that outlives errors.
sub session { return $node->background_psql('postgres', on_error_stop => 0); }

# Its errors of before are none of a statement's that must not fail.
sub run_safe { my ($session, $query) = @_; $session->{stderr} = ''; return $session->query_safe($query); }

#
# A replica set of three, whose primary changes
#

my $set   = Mongo::ReplicaSet->new('set', 3)->start;
my $hosts = $set->hosts;
$set->primary->insert('test', 'many', map { qq({"_id": $_, "n": $_}) } 1 .. 1000);
$node->safe_psql('postgres', qq(
	CREATE SERVER m FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '$hosts', replica_set 'rs0');
	CREATE SERVER readers FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '$hosts', replica_set 'rs0', read_preference 'secondary');
	CREATE FOREIGN TABLE many (id int OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'test', collection 'many', batch_size '100');
	CREATE FOREIGN TABLE from_secondary (id int OPTIONS (path '_id'), n int) SERVER readers OPTIONS (database 'test', collection 'many');));

# How many finds of ours a server has had.
sub finds { my ($server) = @_; return $server->command('admin', [serverStatus => 1])->{metrics}{commands}{find}{total} + $server->command('admin', [serverStatus => 1])->{metrics}{commands}{aggregate}{total}; }

my $session = session();
is($session->query('SELECT count(*) FROM (SELECT * FROM many OFFSET 0) m'), '1000', 'read from the primary');
run_safe($session, 'INSERT INTO many VALUES (1001, 1)');
my %before = map { $_->port => finds($_) } $set->secondaries;
is($session->query('SELECT count(*) FROM (SELECT * FROM from_secondary WHERE n > 0 OFFSET 0) m') =~ /^100[01]$/ ? 'rows' : '', 'rows', 'read_preference secondary reads');
ok((grep { finds($_) > $before{ $_->port } } $set->secondaries), 'from a secondary');

for my $round (1 .. 2)
{
	$set->step_down;
	is(run_safe($session, 'SELECT count(*) > 1000 FROM (SELECT * FROM many OFFSET 0) m'), 't', "round $round: a session reads from the new primary, and notices nothing");
	is(run_safe($session, "INSERT INTO many VALUES (200$round, 1) RETURNING id"), "200$round", "round $round: and writes to it");
}

# The primary dies under an open scan: an error, never a short answer; then the next one serves.
my $old = $set->primary;
run_safe($session, 'BEGIN; DECLARE c CURSOR FOR SELECT id FROM many; MOVE 50 IN c');
$old->kill9;
my $rest = $session->query('FETCH ALL FROM c') // '';
is($rest, '', 'a primary that dies in the middle of a scan is an error');
$session->query('ROLLBACK');
$set->primary($old);
my $rows = '';
for my $try (1 .. 3) { $rows = $session->query('SELECT count(*) > 1000 FROM (SELECT * FROM many OFFSET 0) m') // ''; last if $rows eq 't'; }
is($rows, 't', 'and the session goes on with the next primary');
$session->quit;
$_->kill9 for grep { $_->pid } $set->members;

#
# Options that change in an open session
#

my $here  = Mongo::Server->new('here', replicas => 0)->start;
my $there = Mongo::Server->new('there', replicas => 0)->start;
$here->insert('test', 't', map { qq({"_id": $_, "w": "here"}) } 1 .. 300);
$there->insert('test', 't', map { qq({"_id": $_, "w": "there"}) } 1 .. 300);
$node->safe_psql('postgres', qq(
	CREATE SERVER s FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $here->host ]}');
	CREATE FOREIGN TABLE t (id int OPTIONS (path '_id'), w text) SERVER s OPTIONS (database 'test', collection 't', batch_size '100');));
$session = session();
is($session->query('SELECT w FROM t WHERE id = 1'), 'here', 'one server');
run_safe($session, 'BEGIN; DECLARE c CURSOR FOR SELECT w FROM t; MOVE 50 IN c; COMMIT');
$node->safe_psql('postgres', "ALTER SERVER s OPTIONS (SET hosts '@{[ $there->host ]}')");
is($session->query('SELECT w FROM t WHERE id = 1'), 'there', 'ALTER SERVER in another session: the next statement goes elsewhere');
run_safe($session, 'BEGIN; DECLARE c CURSOR FOR SELECT w FROM t; MOVE 50 IN c');
run_safe($session, "ALTER SERVER s OPTIONS (SET hosts '@{[ $here->host ]}')");
is($session->query('FETCH 200 FROM c') =~ s/\n.*//sr, 'there', 'a scan that is under way stays where it is');
is($session->query('SELECT w FROM t WHERE id = 1'), 'here', 'beside a new one');
run_safe($session, 'COMMIT');
run_safe($session, "ALTER SERVER s OPTIONS (ADD application_name 'renamed')");
run_safe($session, 'SELECT w FROM t WHERE id = 1');
# MongoDB notices a closed connection in its own time.
sub our_connections
{
	my $operations = $_[0]->command('admin', '{"aggregate": 1, "pipeline": [{"$currentOp": {"allUsers": true, "idleConnections": true}}], "cursor": {}}');
	return scalar grep { ($_->{appName} // '') =~ /^(pg_tenancy|renamed)$/ } @{ $operations->{cursor}{firstBatch} };
}
ok($here->poll_until('has one connection of ours', sub { our_connections($here) == 1 }), 'no connection is left over');
ok($there->poll_until('has no connection of ours', sub { our_connections($there) == 0 }), 'nor on the server of before');

#
# The session's own size, and threads
#

my $pid = $session->query('SELECT pg_backend_pid()');
sub memory { my ($kb) = slurp_file("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m; return $kb; }
run_safe($session, 'SELECT count(*) FROM (SELECT * FROM t OFFSET 0) x') for 1 .. 20;
run_safe($session, 'DO $$ BEGIN FOR i IN 1 .. 300 LOOP PERFORM count(*) FROM (SELECT * FROM t OFFSET 0) x; END LOOP; END $$');
my $memory = memory();
run_safe($session, 'DO $$ BEGIN FOR i IN 1 .. 1500 LOOP PERFORM count(*) FROM (SELECT * FROM t OFFSET 0) x; END LOOP; END $$');
cmp_ok(memory() - $memory, '<', 1024, '1500 scans later the session has not grown by a megabyte');
is(scalar(my @threads = glob "/proc/$pid/task/*"), 1, 'there is no thread in it');
run_safe($session, "DO \$\$ BEGIN FOR i IN 1 .. 500 LOOP BEGIN PERFORM 1 / (id - 250) FROM t; EXCEPTION WHEN division_by_zero THEN END; END LOOP; END \$\$");
cmp_ok(memory() - $memory, '<', 2048, 'nor have 500 errors made it grow');
ok($here->poll_until('has no open cursor', sub { $here->open_cursors == 0 }), 'no cursor is left open');

#
# A wait keeps nobody else: DROP DATABASE sends a barrier to all backends
#

$here->stall;
my $waiting = session();
my $waiting_pid = $waiting->query('SELECT pg_backend_pid()');
$waiting->query_until(qr/starts/, "\\echo starts\nSELECT count(*) FROM t;\n");
$node->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $waiting_pid") or die 'it does not wait';
my $started = time;
$node->safe_psql('postgres', q(SET statement_timeout = '20s';
CREATE DATABASE dropped;
DROP DATABASE dropped;));
cmp_ok(time - $started, '<', 15, 'DROP DATABASE does not wait for a session that waits for MongoDB');
is($node->safe_psql('postgres', "SELECT state FROM pg_stat_activity WHERE pid = $waiting_pid"), 'active', 'which still does');
$here->continue;
$waiting->quit;
$session->quit;

#
# Waits that end: connecting, TLS, committing
#

my $silent = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', Proto => 'tcp') or die $!;
for my $case ([ 'silent', "hosts '127.0.0.1:@{[ $silent->sockport ]}'" ], [ 'silent_tls', "hosts '127.0.0.1:@{[ $silent->sockport ]}', tls 'true'" ], [ 'nowhere', "hosts '192.0.2.1:27017'" ])
{
	my ($name, $options) = @$case;
	$node->safe_psql('postgres', "CREATE SERVER $name FOREIGN DATA WRAPPER tenancy_mongo OPTIONS ($options); CREATE FOREIGN TABLE of_$name (id int) SERVER $name OPTIONS (database 'test', collection 't')");
	my $seconds = refused("SET statement_timeout = '300ms'; SELECT * FROM of_$name", qr/ERROR:  (57014: canceling statement due to statement timeout|08001: )/, "$name: a timeout ends it");
	cmp_ok($seconds, '<', 1.6, "$name: in time");
}
my $alone = Mongo::Server->new('alone')->start;
$alone->insert('test', 't', '{"_id": 1}');
$node->safe_psql('postgres', qq(CREATE SERVER s2 FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $alone->host ]}', replica_set 'rs0');
	CREATE FOREIGN TABLE t2 (id int OPTIONS (path '_id')) SERVER s2 OPTIONS (database 'test', collection 't')));
$alone->fail_point('failCommand', 'alwaysOn', '{"failCommands": ["commitTransaction"], "blockConnection": true, "blockTimeMS": 5000, "appName": "pg_tenancy"}');
# The server takes no statement_timeout while it commits; a cancel it does.
$waiting = session();
$waiting_pid = $waiting->query('SELECT pg_backend_pid()');
$waiting->query_until(qr/starts/, "\\set VERBOSITY verbose\n\\echo starts\nINSERT INTO t2 VALUES (2);\n");
$node->poll_query_until('postgres', "SELECT query ~ 'INSERT' AND state = 'active' AND backend_xid IS NULL FROM pg_stat_activity WHERE pid = $waiting_pid") or die 'it does not commit';
$alone->poll_until('is asked to commit', sub { grep { ($_->{command}{commitTransaction} // 0) } @{ $alone->command('admin', '{"aggregate": 1, "pipeline": [{"$currentOp": {"allUsers": true}}], "cursor": {}}')->{cursor}{firstBatch} } });
$started = time;
$node->safe_psql('postgres', "SELECT pg_cancel_backend($waiting_pid)");
ok($node->poll_query_until('postgres', "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $waiting_pid"), 'a commit that is not answered: a cancel ends it');
cmp_ok(time - $started, '<', 1.5, 'in time');
$waiting->query('SELECT 1');
like($waiting->{stderr}, qr/ERROR:  08007: .*\nDETAIL:  .*\n?.*It is not known whether MongoDB has committed\./, 'and the error says that nobody knows, not that somebody cancelled');
$waiting->quit;
$alone->fail_point('failCommand', 'off');
is($node->safe_psql('postgres', 'SELECT count(*) > 0 FROM t2'), 't', 'and on');

#
# TLS and X.509
#

my $keys = PostgreSQL::Test::Utils::tempdir('keys');
sub openssl { system_or_bail('openssl', @_); return; }
openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/O=Test/CN=authority', '-keyout', "$keys/ca.key", '-out', "$keys/ca.pem");
sub certificate
{
	my ($name, $subject, $extension) = @_;
	append_to_file("$keys/$name.cnf", $extension);
	openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', $subject, '-keyout', "$keys/$name.key", '-out', "$keys/$name.csr");
	openssl('x509', '-req', '-days', '30', '-in', "$keys/$name.csr", '-CA', "$keys/ca.pem", '-CAkey', "$keys/ca.key", '-CAcreateserial', '-extfile', "$keys/$name.cnf", '-out', "$keys/$name.crt");
	append_to_file("$keys/$name.pem", slurp_file("$keys/$name.crt") . slurp_file("$keys/$name.key"));
	chmod 0600, "$keys/$name.pem";
	return;
}
certificate('server', '/O=Servers/CN=server', 'subjectAltName = IP:127.0.0.1');
certificate('client', '/O=Users/CN=reader', 'extendedKeyUsage = clientAuth');
certificate('stranger', '/O=Users/CN=stranger', 'extendedKeyUsage = clientAuth');

my $secure = Mongo::Server->new('secure', replicas => 0, auth => 1, uri_options => "tls=true&tlsCAFile=$keys/ca.pem",
	extra => [ '--tlsMode', 'requireTLS', '--tlsCertificateKeyFile', "$keys/server.pem", '--tlsCAFile', "$keys/ca.pem", '--tlsAllowConnectionsWithoutCertificates' ])->start;
$secure->insert('test', 't', '{"_id": 42}');
$secure->command('$external', '{"createUser": "CN=reader,O=Users", "roles": [{"role": "read", "db": "test"}]}');
$secure->command('admin', '{"createUser": "reader", "pwd": "p", "roles": [{"role": "read", "db": "test"}], "mechanisms": ["SCRAM-SHA-256"]}');
my $file = $node->data_dir . '/tenancy_mongo.conf';
append_to_file($file, "[password]\nuser = reader\npassword = p\ntls_ca_file = $keys/ca.pem\n\n[unverified]\nuser = reader\npassword = p\n\n[x509]\nauth_mechanism = MONGODB-X509\ntls_ca_file = $keys/ca.pem\ntls_certificate_file = $keys/client.pem\n"
	  . "\n[stranger]\nauth_mechanism = MONGODB-X509\ntls_ca_file = $keys/ca.pem\ntls_certificate_file = $keys/stranger.pem\n");
chmod 0600, $file;
$node->safe_psql('postgres', qq(
	CREATE SERVER secure FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $secure->host ]}', tls 'true', credentials 'password', server_selection_timeout '1000');
	CREATE FOREIGN TABLE of_secure (id int OPTIONS (path '_id')) SERVER secure OPTIONS (database 'test', collection 't');));
$session = session();
is($session->query('SELECT id FROM of_secure'), '42', 'SCRAM-SHA-256 over TLS, with the authority that is known');
run_safe($session, "ALTER SERVER secure OPTIONS (SET credentials 'x509')");
is($session->query('SELECT id FROM of_secure'), '42', 'a certificate is a user');
refused("ALTER SERVER secure OPTIONS (SET credentials 'stranger'); SELECT id FROM of_secure", qr/ERROR:  28000: /, 'one that nobody knows is none');
refused("ALTER SERVER secure OPTIONS (SET credentials 'unverified'); SELECT id FROM of_secure", qr/ERROR:  08001: .*\n.*(certificate|TLS)/i, 'an authority that nobody knows is refused by default');
refused("ALTER SERVER secure OPTIONS (SET credentials 'password', SET hosts 'localhost:@{[ $secure->port ]}'); SELECT id FROM of_secure", qr/ERROR:  08001: /, 'so is another host\'s certificate');
refused("ALTER SERVER secure OPTIONS (ADD tls_insecure 'true')", qr/HV00D: invalid option "tls_insecure"/, 'and there is no way around');
$node->safe_psql('postgres', "ALTER SERVER secure OPTIONS (SET hosts '@{[ $secure->host ]}')");
is($session->query('SELECT id FROM of_secure'), '42', 'the right one again');
$session->quit;

done_testing();
