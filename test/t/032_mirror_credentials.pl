# A mirror of a MongoDB with users: a password that is changed, a role that is taken away in mid-stream, another certificate.  Each is told
# where an operator looks, with its cause and without a secret, and when it is mended the mirror goes on where it was.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Mirror::Node;
use Mongo::Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = Mongo::Server->new('guarded', auth => 1)->start;
my $node  = mirror_node();
my $file  = $node->data_dir . '/tenancy_mongo.conf';

sub credentials
{
	my ($password, $more) = @_;
	unlink $file;
	append_to_file($file, "[mirror]\nuser = mirror\npassword = $password\n" . ($more // ''));
	chmod 0600, $file or die;
	return;
}
my $level = sub {
	my ($what) = @_;
	ok($node->poll_query_until('postgres', q(SELECT tenancy_mongo.wait_for_mirror('platform', '1 s'))), "$what: level");
	return is(sql(q(SELECT string_agg(_id, ' ' ORDER BY _id) FROM items)), join(' ', map { $_->{_id} } $mongo->find_all('shop', 'items')), "$what: both sides are equal");
};
my $told = q(SELECT last_error_state FROM tenancy_mongo.stat_mirror);

$mongo->insert('shop', 'items', '{"_id": "a"}');
$mongo->command('admin', '{"createUser": "mirror", "pwd": "s3cret-one", "roles": ["readAnyDatabase"]}');
credentials('s3cret-one');
sql(qq(
	CREATE EXTENSION tenancy_mongo CASCADE;
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0', credentials 'mirror');
	CREATE FOREIGN TABLE items_in_mongo (_id text) SERVER platform OPTIONS (database 'shop', collection 'items');
	CREATE TABLE items (_id text PRIMARY KEY);
	SELECT tenancy_mongo.mirror('items_in_mongo', 'items');));
$level->('a user with the role readAnyDatabase');
is(sql('SELECT oplog_left IS NULL FROM tenancy_mongo.stat_mirror'), 't', 'who may not ask for the oplog');

# A role that is taken away in mid-stream: MongoDB refuses the next getMore.
$mongo->command('admin', '{"revokeRolesFromUser": "mirror", "roles": ["readAnyDatabase"]}');
$mongo->insert('shop', 'items', '{"_id": "b"}');
becomes($told, '42501', 'a role that is taken away in mid-stream is told of');
like(sql('SELECT last_error FROM tenancy_mongo.stat_mirror'), qr/could not (read|open|follow)|not authorized/, 'with what is refused');
$mongo->command('admin', '{"grantRolesToUser": "mirror", "roles": ["readAnyDatabase"]}');
$level->('with the role again');

# A password that was changed; the connections that stand are ended, as by a restart.
$mongo->command('admin', '{"updateUser": "mirror", "pwd": "s3cret-two"}');
$mongo->restart;
$mongo->insert('shop', 'items', '{"_id": "c"}');
becomes($told, '28000', 'a password that was changed is told of');
credentials('s3cret-two');
$level->('with the new password');
is(sql('SELECT resyncs FROM tenancy_mongo.stat_mirror'), '0', 'nothing was copied again');

my $log = slurp_file($node->logfile);
unlike($log, qr/s3cret/, 'no password is in the log');
is(sql(q(SELECT count(*) FROM tenancy_mongo.stream WHERE last_error ~ 's3cret')), '0', 'nor in the catalogue');
like($log, qr/ERROR: .*\n.*DETAIL: .*([Aa]uthentication failed|not authorized)/, 'the cause is');

#
# TLS: the server comes back with a certificate of another authority
#

my $keys = PostgreSQL::Test::Utils::tempdir('keys');
sub openssl { system_or_bail('openssl', @_); return; }
sub authority
{
	my ($name) = @_;
	openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', "/O=Test/CN=$name", '-keyout', "$keys/$name.key", '-out', "$keys/$name.pem");
	return;
}
sub certificate
{
	my ($authority) = @_;
	openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/O=Servers/CN=server', '-keyout', "$keys/server.key", '-out', "$keys/server.csr");
	openssl('x509', '-req', '-days', '30', '-in', "$keys/server.csr", '-CA', "$keys/$authority.pem", '-CAkey', "$keys/$authority.key", '-CAcreateserial',
		'-extfile', "$keys/server.cnf", '-out', "$keys/server.crt");
	unlink "$keys/server.pem";
	append_to_file("$keys/server.pem", slurp_file("$keys/server.crt") . slurp_file("$keys/server.key"));
	chmod 0600, "$keys/server.pem";
	return;
}
append_to_file("$keys/server.cnf", 'subjectAltName = IP:127.0.0.1');
authority($_) for 'ours', 'other';
certificate('ours');
append_to_file("$keys/both.pem", slurp_file("$keys/ours.pem") . slurp_file("$keys/other.pem"));
my $secure = Mongo::Server->new('secure', uri_options => "tls=true&tlsCAFile=$keys/both.pem",
	extra => [ '--tlsMode', 'requireTLS', '--tlsCertificateKeyFile', "$keys/server.pem", '--tlsCAFile', "$keys/both.pem", '--tlsAllowConnectionsWithoutCertificates' ])->start;
credentials('s3cret-two', "\n[secure]\ntls_ca_file = $keys/ours.pem\n");
$secure->insert('shop', 'things', '{"_id": "a"}');
sql(qq(CREATE SERVER secure FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $secure->host ]}', replica_set 'rs0', tls 'true', credentials 'secure', server_selection_timeout '2000');
	CREATE FOREIGN TABLE things_in_mongo (_id text) SERVER secure OPTIONS (database 'shop', collection 'things');
	CREATE TABLE things (_id text PRIMARY KEY);
	SELECT tenancy_mongo.mirror('things_in_mongo', 'things')));
becomes('SELECT count(*) FROM things', '1', 'a mirror over TLS');
$secure->stop;
certificate('other');
my $from = -s $node->logfile;
$secure->start;
$secure->insert('shop', 'things', '{"_id": "b"}');
becomes(q(SELECT last_error_state LIKE '08%' FROM tenancy_mongo.stat_mirror WHERE server = 'secure'), 'true', 'a certificate of an authority that is not ours is told of');
$node->wait_for_log(qr/ERROR: .*\n.*(certificate|TLS)/i, $from);
is(sql('SELECT count(*) FROM things'), '1', 'and nothing comes over that connection');
$secure->stop;
certificate('ours');
$secure->start;
becomes('SELECT count(*) FROM things', '2', 'with a certificate of ours it goes on');

unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process crashed');
done_testing();
