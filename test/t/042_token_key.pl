# Keys from a file, and where a token or a key must never be seen: the log, pg_stat_statements, a dump.

use strict;
use warnings FATAL => 'all';

use Digest::SHA qw(hmac_sha256);
use IPC::Run;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
my $keys = $node->data_dir . '/token.keys';
# Not every build of the server brings contrib.
my $statements = -e $node->config_data('--pkglibdir') . '/pg_stat_statements.so';
$node->init;
$node->append_conf('postgresql.conf', $statements ? q(shared_preload_libraries = 'pg_stat_statements, tenancy') : q(shared_preload_libraries = 'tenancy'));
$node->append_conf('postgresql.conf', q(
	tenancy.token_key_file = 'token.keys'
	tenancy.log_switches = on
	pg_stat_statements.track = all
	log_min_duration_statement = -1
	log_statement = none));
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements; GRANT SELECT ON pg_stat_statements TO PUBLIC') if $statements;
$node->safe_psql('postgres', q(
	CREATE EXTENSION tenancy;
	SELECT tenancy.create_tenant('tenant-' || n, 'Tenant') FROM generate_series(1, 2) n;
	CREATE TABLE orders (id integer PRIMARY KEY, tenant_id text NOT NULL);
	INSERT INTO orders SELECT n, 'tenant-' || 1 + n % 2 FROM generate_series(1, 10) n;
	SELECT tenancy.protect('orders');
	CREATE ROLE app LOGIN;
	GRANT SELECT ON orders TO app;));

sub query
{
	my ($sql, $login) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', $login // 'app' ]);
	return $status == 0 ? $out : $err;
}

# The secret of a key, and a token that somebody outside of the server signs with it.
sub secret
{
	my ($letter) = @_;
	return $letter x 64;
}

sub token
{
	my ($key, $letter, $tenant, %other) = @_;
	my $expiry = $other{expiry} // time + 600;
	my $text   = "v1.$key.$tenant.client..$expiry.nonce";
	my $signed = join "\0", $text, $other{database} // 'postgres', $other{login} // 'app';
	my $signature = encode_base64(substr(hmac_sha256($signed, pack('H*', secret($letter))), 0, 16), '');
	$signature =~ tr{+/=}{-_}d;
	return "$text.$signature";
}

sub write_keys
{
	my ($mode, $text) = @_;
	unlink $keys;
	append_to_file($keys, $text);
	chmod $mode, $keys;
	$node->reload;
}

# A backend takes the configuration when it is idle; the next one has it.
sub eventually
{
	my ($sql, $expected, $label) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	my $answer;
	do { $answer = query($sql) } until $answer =~ $expected || time > $deadline;
	like($answer, $expected, $label);
}

my $seen = 'SELECT tenancy.current_tenant(), count(*) FROM orders';

#
# The file
#
my $early = token('auth', 'a', 'tenant-1');
like(query("SET tenancy.token = '$early'; $seen"), qr/Its key "auth" does not exist/, 'no file, no key');
write_keys(0600, "# from the authentication service\n\nauth " . secret('a') . "\nauth2\t" . secret('b') . "  \n");
eventually("SET tenancy.token = '$early'; $seen", qr/^tenant-1\|5$/, 'a token that was signed outside');
is(query("SET tenancy.token = '@{[ token('auth2', 'b', 'tenant-2') ]}'; $seen"), 'tenant-2|5', 'one of the second key');
like(query("SET tenancy.token = '@{[ token('auth2', 'a', 'tenant-2') ]}'"), qr/token is not valid/, 'one that names the wrong key');
like(query("SET tenancy.token = '@{[ token('auth', 'a', 'tenant-1', database => 'other') ]}'"), qr/token is not valid/, 'one of another database');
like(query("SET tenancy.token = '@{[ token('auth', 'a', 'tenant-1', login => 'other') ]}'"), qr/token is not valid/, 'one of another login');
like(query("SET tenancy.token = '@{[ token('auth', 'a', 'tenant-1', expiry => time - 1) ]}'; $seen"), qr/token has expired/, 'an old one');
like(query("SET tenancy.token = '@{[ token('auth', 'a', 'tenant-9') ]}'; $seen"), qr/does not exist/, 'one of a tenant that nobody knows');
like($node->safe_psql('postgres', "SELECT tenancy.issue_token('tenant-1', login => 'app')"), qr/^v1\.auth\./, 'the first key of the file signs');
is($node->safe_psql('postgres', 'SELECT tenancy.rotate_key()'), 'k1', 'a key of the table');
like($node->safe_psql('postgres', "SELECT tenancy.issue_token('tenant-1', login => 'app')"), qr/^v1\.k1\./, 'signs before those of the file');

$node->safe_psql('postgres', q(SELECT tenancy.revoke_key('auth')));
like(query("SET tenancy.token = '$early'; $seen"), qr/key "auth" does not exist or has been revoked/, 'a key of the file can be revoked');

my $second = token('auth2', 'b', 'tenant-2');
write_keys(0640, "auth2 " . secret('b') . "\n");
eventually("SET tenancy.token = '$second'; $seen", qr/Its key "auth2" does not exist/, 'a file that others may read is not read');
write_keys(0600, "auth2 " . secret('b') . "\n");
eventually("SET tenancy.token = '$second'; $seen", qr/^tenant-2\|5$/, 'it is again when it is private');
write_keys(0600, "auth2 abcd\nauth3 " . secret('z') . "\ntoolongname " . secret('c') . "\nauth4 " . secret('c') . "\n");
eventually("SET tenancy.token = '@{[ token('auth4', 'c', 'tenant-1') ]}'; $seen", qr/^tenant-1\|5$/, 'a good line after bad ones');
like(query("SET tenancy.token = '$second'; $seen"), qr/Its key "auth2" does not exist/, 'a short secret is none');
my $log = slurp_file($node->logfile);
like($log, qr/token key file "token.keys" must not be accessible by group or others/, 'the log says what was wrong with the mode');
like($log, qr/syntax error in token key file "token.keys", line $_/, "and with line $_") for 1 .. 3;

# An open session hears of a key that is gone.
my ($in, $out, $err) = ('', '', '');
my $timer = IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default);
my $session = IPC::Run::start([ 'psql', '-XAtq', '-U', 'app', '-d', $node->connstr('postgres'), '-f', '-' ], '<', \$in, '>', \$out, '2>', \$err, $timer);
$in .= "SET tenancy.token = '@{[ token('auth4', 'c', 'tenant-1') ]}'; $seen;\n";
$session->pump until $out =~ /tenant-1\|5/;
write_keys(0600, "# none\n");
my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
until ($err =~ /revoked/ || time > $deadline)
{
	$out = '';
	$in .= "$seen;\n\\echo done\n";
	$session->pump until $out =~ /done/;
}
like($err, qr/key "auth4" does not exist or has been revoked/, 'an open session loses the key with the file');
$in .= "\\q\n";
$session->finish;

#
# Where it must not be seen
#
my $good   = $node->safe_psql('postgres', "SELECT tenancy.issue_token('tenant-1', login => 'app')");
my $forged = $good =~ s/tenant-1/tenant-2/r;
my $other  = $node->safe_psql('postgres', "SELECT tenancy.issue_token('tenant-1', login => 'postgres')");
my $offset = -s $node->logfile;
is(query("SET tenancy.token = '$good'; $seen"), 'tenant-1|5', 'a good token');
like(query("SET tenancy.token = '$forged'"), qr/token is not valid/, 'a forged one');
like(query("SET tenancy.token = '$other'"), qr/token is not valid/, 'one of another login');
like(query("SELECT set_config('tenancy.token', '$forged', false)"), qr/token is not valid/, 'a forged one by set_config()');
like(query("SET tenancy.token = '$good' || 'x'"), qr/syntax error/, 'one in a statement that is none');
$log = slurp_file($node->logfile, $offset);
like($log, qr/tenant context of role "app" changed from none to tenant "tenant-1" by token/, 'the switch log');
like($log, qr/STATEMENT:  SET tenancy.token$/m, 'the statement of an error is in the log, without its value');
my $signatures = join '|', map { quotemeta((split /\./)[7]) } $good, $other;
my $in_log = () = $log =~ /$signatures/g;
is($in_log, 1, 'the log has a token in the statement that could not be parsed, and nowhere else');
SKIP:
{
	skip 'no pg_stat_statements', 2 unless $statements;
	is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_stat_statements WHERE query LIKE 'SET tenancy.token%')), '0', 'pg_stat_statements has no SET of a token');
	is($node->safe_psql('postgres', q(SELECT count(*) > 0 FROM pg_stat_statements WHERE query LIKE 'SELECT tenancy.current_tenant()%')), 't', 'but other statements');
}

# The settings' other ways are named in the switch log as well.
$offset = -s $node->logfile;
$node->safe_psql('postgres', q(
	BEGIN; SELECT tenancy.set_tenant('tenant-1'); COMMIT;
	BEGIN; SELECT tenancy.set_tenant('tenant-1'); COMMIT;
	BEGIN; SELECT tenancy.set_context('tenant-2', 'admin', ARRAY['tenant-1']); COMMIT;
	SET app.current_tenant_id = 'tenant-2'; SELECT tenancy.current_tenant();));
my @switches = slurp_file($node->logfile, $offset) =~ /tenant context of role "\w+" changed from (.*)$/mg;
is_deeply(\@switches, [ 'none to tenant "tenant-1" by set_tenant', 'tenant "tenant-1" to admin of tenant "tenant-2" by set_context',
	'admin of tenant "tenant-2" to tenant "tenant-2" by SET' ], 'each change is logged once, with its authority');

my $dump = '';
IPC::Run::run([ 'pg_dump', '-d', $node->connstr('postgres') ], '>', \$dump) or die 'pg_dump failed';
like($dump, qr/CREATE EXTENSION IF NOT EXISTS tenancy/, 'a dump has the extension');
unlike($dump, qr/token_secrets|signing/, 'and no key');

done_testing();
