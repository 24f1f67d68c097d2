# The context on a hot standby and in read-only transactions: nothing of it needs to write.

use strict;
use warnings FATAL => 'all';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'\nmax_parallel_workers_per_gather = 2");
$primary->start;
$primary->safe_psql('postgres', q(
	CREATE EXTENSION tenancy;
	SELECT tenancy.create_tenant('tenant-' || n, 'Tenant') FROM generate_series(1, 3) n;
	SELECT tenancy.rotate_key();
	CREATE TABLE orders (id integer PRIMARY KEY, tenant_id text NOT NULL, note text);
	INSERT INTO orders SELECT n, 'tenant-' || 1 + n % 3, 'order ' || n FROM generate_series(1, 3000) n;
	SELECT tenancy.protect('orders');
	CREATE ROLE app LOGIN;
	CREATE ROLE service LOGIN IN ROLE tenancy_service;
	CREATE ROLE bound LOGIN;
	GRANT SELECT ON orders TO app, service, bound;
	SELECT tenancy.bind_role('bound', 'tenant-3');
	SELECT tenancy.define_scope('both', ARRAY['tenant-1', 'tenant-2']);));

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

# usage: query(node, login, sql)   Its output, or the error.
sub query
{
	my ($node, $login, $sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', $login ]);
	return $status == 0 ? $out : $err;
}

my $seen  = q(SELECT tenancy.current_tenant(), count(*), min(tenant_id), max(tenant_id) FROM orders);
my $token = $primary->safe_psql('postgres', "SELECT tenancy.issue_token('tenant-1', login => 'app')");
my $scope = $primary->safe_psql('postgres', "SELECT tenancy.issue_token(NULL, 'admin', ARRAY['\@both'], 'app')");

is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'the standby is one');
for my $node ($primary, $standby)
{
	my $name     = $node->name;
	my $readonly = 'SET default_transaction_read_only = on;';

	is(query($node, 'app', "$readonly $seen"), '|0||', "$name: no context, no rows");
	is(query($node, 'app', "$readonly SET tenancy.token = '$token'; $seen"), 'tenant-1|1000|tenant-1|tenant-1', "$name: a token");
	is(query($node, 'app', "$readonly BEGIN; SET LOCAL tenancy.token = '$token'; $seen; COMMIT; $seen"),
		"tenant-1|1000|tenant-1|tenant-1\n|0||", "$name: a token for one transaction");
	is(query($node, 'app', "$readonly SET tenancy.token = '$scope'; SELECT tenancy.current_access(), tenancy.current_scope()"),
		'admin|{tenant-1,tenant-2}', "$name: a token with the name of a scope");
	is(query($node, 'service', "$readonly BEGIN; SELECT tenancy.set_tenant('tenant-2'); $seen; COMMIT"),
		"tenant-2\ntenant-2|1000|tenant-2|tenant-2", "$name: set_tenant()");
	is(query($node, 'bound', "$readonly $seen"), 'tenant-3|1000|tenant-3|tenant-3', "$name: a bound role");
	like(query($node, 'app', "$readonly SET tenancy.token = 'v1.k1.tenant-1.client..9999999999.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA'"),
		qr/token is not valid/, "$name: a forged token");
	like(query($node, 'service', "$readonly SELECT tenancy.set_tenant('tenant-404')"), qr/does not exist/, "$name: an unknown tenant");

	# The plan is parallel, and the workers do all of the work.
	my $parallel = q(SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
		SET parallel_leader_participation = off; SET enable_indexscan = off; SET enable_bitmapscan = off;);
	like(query($node, 'app', "$parallel SET tenancy.token = '$token'; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) $seen"),
		qr/Workers Launched: [12]/, "$name: workers are started");
	is(query($node, 'app', "$parallel SET tenancy.token = '$token'; SELECT count(*), min(tenant_id), max(tenant_id) FROM orders WHERE note LIKE 'order%'"),
		'1000|tenant-1|tenant-1', "$name: workers have the token");
	is(query($node, 'service', "$parallel SELECT tenancy.set_tenant('tenant-2', false);
		SELECT count(*), min(tenant_id), max(tenant_id) FROM orders WHERE note LIKE 'order%'"),
		"tenant-2\n1000|tenant-2|tenant-2", "$name: workers have the tenant");
	is(query($node, 'app', "$parallel SELECT count(*) FROM orders WHERE note LIKE 'order%'"), '0', "$name: workers have no tenant where there is none");

	is($node->safe_psql('postgres', "SELECT transactions > 0, denied > 0 FROM tenancy.stat_tenants WHERE tenant = 'tenant-2' OR tenant IS NULL ORDER BY tenant"),
		"t|f\nt|t", "$name: what tenants do is counted");
}

# Issuing needs no write; making keys does.
my $issued = $standby->safe_psql('postgres', "SELECT tenancy.issue_token('tenant-2', login => 'app')");
is(query($primary, 'app', "SET tenancy.token = '$issued'; $seen"), 'tenant-2|1000|tenant-2|tenant-2', 'a token of the standby is good on the primary');
like(query($standby, 'postgres', 'SELECT tenancy.rotate_key()'), qr/read-only transaction|during recovery/, 'a standby makes no keys');

# What happens on the primary reaches open sessions of the standby.
my ($in, $out, $err) = ('', '', '');
my $timer   = IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default);
my $session = IPC::Run::start([ 'psql', '-XAtq', '-U', 'app', '-d', $standby->connstr('postgres'), '-f', '-' ], '<', \$in, '>', \$out, '2>', \$err, $timer);

# usage: ask(sql, pattern, label)   The session repeats the question until the answer is that one.
sub ask
{
	my ($sql, $pattern, $label) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	for (;;)
	{
		$out = $err = '';
		$in .= "$sql;\n\\echo done\n";
		$session->pump until $out =~ /done/;
		last if "$out$err" =~ $pattern || time > $deadline;
	}
	like("$out$err", $pattern, $label);
}
ask("SET tenancy.token = '$token'; $seen", qr/tenant-1\|1000/, 'an open session of the standby');
$primary->safe_psql('postgres', q(SELECT tenancy.suspend_tenant('tenant-1')));
ask($seen, qr/tenant "tenant-1" of the token is not active/, 'hears that its tenant is suspended');
$primary->safe_psql('postgres', q(SELECT tenancy.resume_tenant('tenant-1')));
ask($seen, qr/tenant-1\|1000/, 'and that it is resumed');
ask('BEGIN ISOLATION LEVEL REPEATABLE READ; ' . $seen, qr/tenant-1\|1000/, 'in a transaction with one snapshot');
$primary->safe_psql('postgres', q(SELECT tenancy.revoke_key('k1')));
ask($seen, qr/key "k1" does not exist or has been revoked/, 'it hears that the key is revoked');
$in .= "\\q\n";
$session->finish;

$standby->promote;
is($standby->safe_psql('postgres', 'SELECT tenancy.rotate_key()'), 'k2', 'promoted, it makes keys');
$issued = $standby->safe_psql('postgres', "SELECT tenancy.issue_token('tenant-2', login => 'app')");
is(query($standby, 'app', "SET tenancy.token = '$issued'; $seen"), 'tenant-2|1000|tenant-2|tenant-2', 'and takes their tokens');

done_testing();
