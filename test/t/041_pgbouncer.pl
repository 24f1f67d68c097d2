# PgBouncer in transaction mode: a thousand clients over twenty server connections, each of which sees its own tenant.
# By the token, which PgBouncer carries from client to server, and by set_tenant() within the transaction.

use strict;
use warnings FATAL => 'all';

use FindBin;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $program = $ENV{PGBOUNCER} or die 'PGBOUNCER does not name a PgBouncer of version 1.20 or newer';
my $client  = "$FindBin::RealBin/../../build/pool_client";
my $timeout = $PostgreSQL::Test::Utils::timeout_default;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'\nmax_connections = 60\nfsync = off");
$node->start;
my $longest = 'x' x 50;
$node->safe_psql('postgres', qq(
	CREATE EXTENSION tenancy;
	SELECT count(tenancy.create_tenant('tenant-' || n, 'Tenant')) FROM generate_series(0, 99) n;
	SELECT tenancy.create_tenant('$longest', 'Longest');
	SELECT tenancy.rotate_key();
	CREATE TABLE orders (id integer PRIMARY KEY, tenant_id text NOT NULL);
	INSERT INTO orders SELECT n, 'tenant-' || n % 100 FROM generate_series(0, 9999) n;
	INSERT INTO orders VALUES (10000, '$longest');
	CREATE TABLE plain_orders AS TABLE orders;
	SELECT tenancy.protect('orders');
	CREATE ROLE app LOGIN;
	CREATE ROLE service LOGIN IN ROLE tenancy_service;
	GRANT SELECT ON orders, plain_orders TO app, service;));

# usage: start_pooler(name, line of configuration…)   Returns the directory of its socket.
my @poolers;

sub start_pooler
{
	my ($name, @lines) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir_short;
	my $log       = "$PostgreSQL::Test::Utils::log_path/pgbouncer_$name.log";
	append_to_file("$directory/users.txt", qq("app" ""\n"service" ""\n));
	append_to_file("$directory/pgbouncer.ini", join("\n",
		'[databases]', "postgres = host=@{[ $node->host ]} port=@{[ $node->port ]}",
		"single = host=@{[ $node->host ]} port=@{[ $node->port ]} dbname=postgres pool_size=1",
		'[pgbouncer]', 'listen_addr =', 'listen_port = 6432', "unix_socket_dir = $directory", 'auth_type = trust',
		"auth_file = $directory/users.txt", 'pool_mode = transaction', 'default_pool_size = 20', 'max_client_conn = 1500',
		'max_prepared_statements = 0', "logfile = $log", 'log_connections = 0', 'log_disconnections = 0', @lines)
		  . "\n");
	push @poolers, IPC::Run::start([ 'bash', '-c', 'ulimit -n 4096 2> /dev/null; exec "$0" -q "$1"', $program, "$directory/pgbouncer.ini" ],
		'<', \undef, '>', \my $out, '2>&1');
	my $deadline = time + $timeout;
	until (system("psql -XAtq -h $directory -p 6432 -U app -d postgres -c 'SELECT 1' > /dev/null 2>&1") == 0)
	{
		die "PgBouncer does not start: " . slurp_file($log) if time > $deadline;
		$poolers[-1]->pump_nb;
	}
	return $directory;
}
END { $_->kill_kill for @poolers }

my $pool = start_pooler('tracked', 'track_extra_parameters = tenancy.token');

#
# Load
#
my $tokens = "$PostgreSQL::Test::Utils::tmp_check/tokens";
append_to_file($tokens, $node->safe_psql('postgres', "SELECT tenancy.issue_token('tenant-' || n, login => 'app') FROM generate_series(0, 99) n") . "\n");

for my $way ([ 'token', 'app', $tokens ], [ 'local', 'service' ])
{
	my ($out, $err) = ('', '');
	my $good = IPC::Run::run([ $client, "host=$pool port=6432 dbname=postgres user=$way->[1]", $way->[0], 1000, 5, @$way[ 2 .. $#$way ] ],
		'>', \$out, '2>', \$err);
	ok($good, "1,000 clients see their own rows only, by $way->[0]") or diag("$out$err");
	note($out);
	my ($transactions) = $out =~ /(\d+) transactions, 0 wrong, 0 errors/;
	cmp_ok($transactions // 0, '>=', 4000, "with some transactions for each, by $way->[0]");
	cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE usename = '$way->[1]'"), '<=', 20,
		"over no more than 20 server connections, by $way->[0]");
}
is($node->safe_psql('postgres', q(SELECT count(*) FROM tenancy.stat_tenants WHERE tenant LIKE 'tenant-%' AND transactions > 0)), '100', 'each tenant has had transactions');

#
# One server connection for all clients
#
my %sessions;
my $seen = 'SELECT coalesce(tenancy.current_tenant(), tenancy.current_access()), count(*) FROM orders';

# usage: ask(session, sql)   A psql of its own for each name, connected to the pool of one.
sub ask
{
	my ($name, $sql, %other) = @_;
	my $session = $sessions{$name} //= do
	{
		my %new = (in => '', out => '', err => '');
		local $ENV{PGOPTIONS} = $other{options} // '';
		$new{harness} = IPC::Run::start([ 'psql', '-XAtq', '-h', $other{pool} // $pool, '-p', 6432, '-U', 'app', '-d', 'single', '-f', '-' ],
			'<', \$new{in}, '>', \$new{out}, '2>', \$new{err}, IPC::Run::timer($timeout));
		\%new;
	};
	$session->{out} = $session->{err} = '';
	$session->{in} .= "$sql;\n\\echo done\n\\warn done\n";
	$session->{harness}->pump until ($session->{out} =~ /^done\n/m && $session->{err} =~ /^done\n/m) || !$session->{harness}->pumpable;
	return "$session->{out}$session->{err}" =~ s/^done\n//gmr =~ s/\n$//r;
}

sub token
{
	my ($arguments) = @_;
	return $node->safe_psql('postgres', "SELECT tenancy.issue_token($arguments, login => 'app')");
}

my $one  = token("'tenant-1'");
$node->safe_psql('postgres', "SELECT tenancy.define_scope('thirteenchars', ARRAY['$longest'])");
my $long = token("'$longest', 'admin', ARRAY['\@thirteenchars']");
my $wide = token("NULL, 'admin', ARRAY['" . join("','", map { "tenant-$_" } 10 .. 15) . "']");
is(length $long, 120, 'a token of the greatest length');
is(ask('one', "SET tenancy.token = '$one'; $seen"), 'tenant-1|100', 'a client with a token');
is(ask('none', $seen), 'none|0', 'one without, on the same server connection');
is(ask('long', "SET tenancy.token = '$long'; $seen"), "$longest|1", 'one with a long token');
is(ask('wide', "SET tenancy.token = '$wide'; $seen"), 'admin|0', 'one with a scope');
for my $round (1 .. 3)
{
	is(ask('one', $seen), 'tenant-1|100', "the first again, $round");
	is(ask('long', $seen), "$longest|1", "the long one again, $round");
	is(ask('none', $seen), 'none|0', "the one without again, $round");
	is(ask('wide', 'SELECT cardinality(tenancy.current_scope())'), '6', "the one with a scope again, $round");
}
is(ask('one', "RESET tenancy.token; $seen"), 'none|0', 'a token is dropped');
is(ask('long', $seen), "$longest|1", 'by its client only');
is(ask('one', $seen), 'none|0', 'and stays dropped');

# A transaction keeps what it has seen while others wait.
is(ask('one', "SET tenancy.token = '$one'; BEGIN; $seen"), 'tenant-1|100', 'a transaction');
like(ask('one', "SET tenancy.token = '$long'"), qr/cannot change the context/, 'does not change its token');
is(ask('one', "ROLLBACK; $seen"), 'tenant-1|100', 'and has it afterwards');

# What ceases to be good is refused to its client, and costs nobody a connection.
my $backend = ask('none', 'SELECT pg_backend_pid()');
my $brief   = token("'tenant-2', lifetime => '3 seconds'");
ask('brief', "SET tenancy.token = '$brief'");
my $deadline = time + $timeout;
1 until ask('brief', $seen) =~ /token has expired/ || time > $deadline;
like(ask('brief', $seen), qr/token has expired/, 'an expired token is refused');
is(ask('none', $seen), 'none|0', 'others go on');
like(ask('brief', $seen), qr/token has expired/, 'it is again, with a message of its own');
is(ask('brief', "SET tenancy.token = '" . token("'tenant-2'") . "'; $seen"), 'tenant-2|100', 'and renewed on the same connection');
$node->safe_psql('postgres', q(SELECT tenancy.suspend_tenant('tenant-2')));
like(ask('brief', $seen), qr/tenant "tenant-2" of the token is not active/, 'a suspended tenant is refused');
is(ask('one', $seen), 'tenant-1|100', 'others go on, again');
$node->safe_psql('postgres', q(SELECT tenancy.resume_tenant('tenant-2')));
is(ask('brief', $seen), 'tenant-2|100', 'a resumed one comes back');
$node->safe_psql('postgres', q(SELECT tenancy.revoke_key('k1'), tenancy.rotate_key()));
like(ask('brief', $seen), qr/has been revoked/, 'a revoked key');
is(ask('none', $seen), 'none|0', 'others go on, a third time');
is(ask('none', 'SELECT pg_backend_pid()'), $backend, 'all of it on one server connection');

#
# A client that says at connect what PgBouncer cannot carry has the token of whoever was there before it, unless the
# server connection is reset after each transaction.
#
my $strict = start_pooler('reset', 'track_extra_parameters = tenancy.token', 'server_reset_query = RESET tenancy.token', 'server_reset_query_always = 1');
my $new    = token("'tenant-1'");
is(ask('victim', "SET tenancy.token = '$new'; $seen", pool => $strict), 'tenant-1|100', 'with a reset after each transaction: a token');
is(ask('victim', $seen), 'tenant-1|100', 'is set again for each transaction');
is(ask('long option', $seen, pool => $strict, options => '-c tenancy.token=' . 'x' x 200), 'none|0', 'a startup option that is not carried brings nothing');
is(ask('upper case', $seen, pool => $strict, options => '-c tenancy.token=' . uc $new) =~ /tenant-1/, '', 'nor one that differs in case');

for my $session (values %sessions)
{
	$session->{in} .= "\\q\n";
	$session->{harness}->finish if $session->{harness}->pumpable;
}
done_testing();
