# The warm pool and its worker: refilled in the background, claimed by many at once, killed in the middle.

use strict;
use warnings FATAL => 'all';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q(
	shared_preload_libraries = 'tenancy'
	restart_after_crash = on
	max_worker_processes = 16
	max_locks_per_transaction = 64
	log_min_messages = warning));
$node->start;

my $script = join "\n", (map {
		"CREATE TABLE t$_ (id integer PRIMARY KEY, tenant text NOT NULL DEFAULT \@tenant\@, body text UNIQUE, up integer REFERENCES t$_);
		 CREATE INDEX t${_}_idx ON t$_ (tenant);"
	} 1 .. 6),
	"CREATE VIEW v WITH (security_invoker = true) AS SELECT id, body FROM t1;",
	"INSERT INTO t1 VALUES (1, \@tenant\@, 'seed');";
$node->safe_psql('postgres', qq(
	CREATE EXTENSION tenancy;
	SELECT tenancy.register_system('shop', 'Shop', 'shop', 'us');
	SELECT tenancy.register_version('shop', '1.0.0', \$script\$$script\$script\$);
	SELECT tenancy.create_tenant('shop-' || n, 'Tenant') FROM generate_series(1, 60) n;));

my $workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'tenancy pool worker'";
my $spares  = "SELECT count(*) FROM tenancy.spares";
# Every spare has its schema, and every schema its spare.
my $torn = "SELECT count(*) FROM (SELECT nspname FROM pg_namespace WHERE nspname ~ '^tenancy_spare_') n
	FULL JOIN tenancy.spares s ON s.schema_name = n.nspname WHERE s.schema_name IS NULL OR n.nspname IS NULL";

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub until_true
{
	my ($query, $name, $database) = @_;
	ok($node->poll_query_until($database // 'postgres', $query), $name);
}

#
# Refilled
#
is(sql($workers), 0, 'no pool, no worker');
sql("SELECT tenancy.set_pool_size('shop', 3)");
until_true("SELECT state = 'full' AND ready = 3 FROM tenancy.stat_pool", 'a size makes spares');
is(sql($workers), 1, 'one worker');
is(sql("SELECT DISTINCT nspowner::regrole FROM pg_namespace WHERE nspname ~ '^tenancy_spare_'"), 'tenancy_owner', "the owner is the scripts' role");
my $before = sql('SELECT schema_name::regnamespace::oid FROM tenancy.spares ORDER BY 1');
is(sql("SELECT tenancy.install_system('shop-1', 'shop')"), 'tenant_shop_1_shop', 'one is claimed');
my $oid = sql("SELECT 'tenant_shop_1_shop'::regnamespace::oid");
like($before, qr/^$oid$/m, 'it was a spare');
until_true("SELECT ready = 3 FROM tenancy.stat_pool", 'and another takes its place');
is(sql('SELECT tenant, body FROM tenant_shop_1_shop.t1'), 'shop-1|seed', 'its rows are the tenant\'s');

# The rows of the catalogs have room beside them: a claim leaves them on their pages, and their indexes as they are.
my $places = "SELECT c.relnamespace, r.id, (r.place::text::point)[0] AS page FROM pg_class c,
	LATERAL (SELECT c.oid AS id, c.ctid AS place UNION ALL SELECT p.oid, p.ctid FROM pg_policy p WHERE p.polrelid = c.oid
		UNION ALL SELECT d.oid, d.ctid FROM pg_attrdef d WHERE d.adrelid = c.oid) r
	WHERE c.relkind IN ('r', 'v') AND c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^tenan(cy_spare|t_shop)_')";
sql("CREATE TABLE places AS $places; SELECT tenancy.install_system('shop-2', 'shop')");
my ($moved, $rows) = split /\|/, sql("SELECT count(*) FILTER (WHERE a.page <> b.page), count(*) FROM places b JOIN ($places) a USING (relnamespace, id)
	WHERE a.relnamespace = 'tenant_shop_2_shop'::regnamespace");
cmp_ok($rows, '==', 25, 'seven relations, twelve policies and six defaults are changed');
cmp_ok($moved, '<=', 6, "$moved of them go to another page");

sql("SELECT tenancy.set_pool_size('shop', 1)");
until_true("SELECT ready = 1 AND count = 1 FROM tenancy.stat_pool, (SELECT count(*) FROM pg_namespace WHERE nspname ~ '^tenancy_spare_') n",
	'a smaller size drops the rest');
sql("SELECT tenancy.set_pool_size('shop', 0)");
until_true("SELECT count(*) = 0 FROM tenancy.spares", 'no size, no spares');
until_true("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'tenancy pool worker')", 'and no worker');

# The setting that counts where nothing is said
sql("SELECT tenancy.set_pool_size('shop', NULL)");
$node->append_conf('postgresql.conf', 'tenancy.pool_size = 2');
$node->reload;
until_true("SELECT ready = 2 FROM tenancy.stat_pool", 'the setting is heard of');

#
# Twenty sessions at once
#
sql("SELECT tenancy.set_pool_size('shop', 20)");
until_true("SELECT ready = 20 FROM tenancy.stat_pool", 'twenty spares');
my $gate = $node->background_psql('postgres', on_error_stop => 0);
$gate->query_safe('SELECT pg_advisory_lock(1)');
my (@sessions, @outputs);
for my $n (3 .. 22)
{
	my $output = '';
	push @outputs, \$output;
	push @sessions, IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
			"SET application_name = 'claim'; SELECT pg_advisory_lock_shared(1); SELECT tenancy.install_system('shop-$n', 'shop')" ],
		'<', \undef, '>', \$output, '2>', \$output);
}
until_true("SELECT count(*) = 20 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", 'all wait at the gate');
$gate->query_safe('SELECT pg_advisory_unlock(1)');
$_->finish for @sessions;
$gate->quit;
is(join("\n", map { my ($line) = $$_ =~ /(tenant_\w+|ERROR.*)/; $line // $$_ } @outputs), join("\n", map { "tenant_shop_${_}_shop" } 3 .. 22), 'all succeed');
# One that the worker has made meanwhile is as good.  A claim leaves the indexes as their own transaction made them; a script makes new ones.
is(sql("SELECT count(*), count(DISTINCT i.schema_name) FROM tenancy.tenant_systems i WHERE i.tenant_id NOT IN ('shop-1', 'shop-2') AND i.xmin::text <>
	(SELECT x.xmin::text FROM pg_index x WHERE x.indrelid = (i.schema_name || '.t1')::regclass LIMIT 1)"), '20|20', 'and each has a spare of its own');
is(sql("SELECT count(*) FROM tenancy.tenant_systems i WHERE NOT EXISTS (SELECT FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
	WHERE c.relnamespace = i.schema_name::regnamespace AND pg_get_expr(p.polqual, p.polrelid) LIKE '%' || quote_literal(i.tenant_id) || '%')"),
	0, 'whose policies name its tenant');
is(sql("SELECT count(*) FROM pg_policy WHERE pg_get_expr(polqual, polrelid) LIKE '%spare-%' AND polrelid::regclass::text LIKE 'tenant%'"), 0, 'and no placeholder');
until_true("SELECT ready = 20 FROM tenancy.stat_pool", 'the pool is full again');

# A claim holds the locks of its own schema, however many tenants there are.
my $locks = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()";
my ($few) = sql("BEGIN; SELECT tenancy.install_system('shop-30', 'shop'); $locks; COMMIT") =~ /(\d+)$/;
sql("SELECT tenancy.install_system('shop-' || n, 'shop') FROM generate_series(31, 40) n");
my ($many) = sql("BEGIN; SELECT tenancy.install_system('shop-41', 'shop'); $locks; COMMIT") =~ /(\d+)$/;
cmp_ok($many, '<=', $few, "$many locks at 33 tenants, $few at 22");

# A spare that is younger than its claimer's snapshot: its rows are moved all the same.
my $old = $node->background_psql('postgres');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tenancy.tenants');
sql("SELECT tenancy.set_pool_size('shop', 0)");
until_true('SELECT count(*) = 0 FROM tenancy.spares', 'all older ones are gone');
sql("SELECT tenancy.set_pool_size('shop', 1)");
until_true("SELECT ready = 1 FROM tenancy.stat_pool", 'a spare is made after a snapshot was taken');
$before = sql('SELECT schema_name::regnamespace::oid FROM tenancy.spares');
$old->query_safe("SELECT tenancy.install_system('shop-44', 'shop'); COMMIT");
$old->quit;
is(sql("SELECT 'tenant_shop_44_shop'::regnamespace::oid"), $before, 'and given to the transaction that has it');
is(sql('SELECT tenant, body FROM tenant_shop_44_shop.t1'), 'shop-44|seed', 'with its rows');

#
# A version is superseded
#
sql("SELECT tenancy.set_pool_size('shop', 2)");
until_true("SELECT ready = 2 FROM tenancy.stat_pool", 'two spares');
sql("SELECT tenancy.register_version('shop', '1.1.0', 'CREATE TABLE t1 (id integer PRIMARY KEY, new text)')");
is(sql("SELECT tenancy.install_system('shop-42', 'shop', '1.0.0')"), 'tenant_shop_42_shop', 'the old one can be had');
is(sql("SELECT count(*) FROM information_schema.columns WHERE table_schema = 'tenant_shop_42_shop' AND table_name = 't1'"), 4, 'by its script');
sql("SELECT tenancy.install_system('shop-43', 'shop')");
is(sql("SELECT count(*) FROM information_schema.columns WHERE table_schema = 'tenant_shop_43_shop'"), 2, 'a new tenant gets the new one');
until_true("SELECT count(*) = 2 AND bool_and(version_id = 'shop-1.1.0') FROM tenancy.spares", 'and so does the pool');
is(sql($torn), 0, 'nothing is left of the others');

#
# Killed
#
sub kill_backend
{
	my ($pid) = @_;
	my $before = sql("SELECT backend_start FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
	PostgreSQL::Test::Utils::system_or_bail('kill', '-KILL', $pid);
	# The server ends all others and recovers.
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'checkpointer' AND backend_start <> '$before'"), 'the server is back');
}

# ... while it makes a spare: the script waits for a lock that we hold
sql("SELECT tenancy.register_version('shop', '1.2.0', 'CREATE TABLE t1 (id integer PRIMARY KEY); SELECT pg_advisory_xact_lock(2); CREATE TABLE t2 (id integer)')");
my $holder = $node->background_psql('postgres', on_error_stop => 0);
$holder->query_safe('SELECT pg_advisory_lock(2)');
$node->append_conf('postgresql.conf', "lock_timeout = 0");
sql("SELECT tenancy.set_pool_size('shop', 3)");
until_true("SELECT count(*) = 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.backend_type = 'tenancy pool worker' AND NOT l.granted",
	'the worker is in the middle of a script');
kill_backend(sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'tenancy pool worker'"));
eval { $holder->quit };
until_true("SELECT ready = 3 FROM tenancy.stat_pool WHERE state = 'full'", 'a worker is back and has filled the pool');
is(sql($torn), 0, 'nothing is half made');

# ... a session that has claimed one and not committed
my $claimer = $node->background_psql('postgres', on_error_stop => 0);
$claimer->query_safe("BEGIN; SELECT tenancy.install_system('shop-50', 'shop')");
my $pid = $claimer->query_safe('SELECT pg_backend_pid()');
is($claimer->query_safe("SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_shop_50_shop'"), 1, 'a session has renamed a spare');
kill_backend($pid);
eval { $claimer->quit };
is(sql("SELECT to_regnamespace('tenant_shop_50_shop')"), '', 'its tenant has no schema');
is(sql($torn), 0, 'the spare is one again');
is(sql("SELECT count(*) FROM tenancy.spares"), 3, 'none is lost');
is(sql("SELECT tenancy.install_system('shop-50', 'shop')"), 'tenant_shop_50_shop', 'and it is provisioned again');

#
# A dump holds spares that are spares where it is restored
#
until_true("SELECT ready = 3 FROM tenancy.stat_pool", 'three spares');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
my $dump = "$PostgreSQL::Test::Utils::tmp_check/dump.sql";
$node->command_ok([ 'pg_dump', '--no-sync', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('restored') ], 'restore');
$before = $node->safe_psql('restored', 'SELECT schema_name::regnamespace::oid FROM tenancy.spares');
is(scalar(split /\n/, $before), 3, 'with three spares');
$node->safe_psql('restored', "SELECT tenancy.install_system('shop-51', 'shop')");
$oid = $node->safe_psql('restored', "SELECT 'tenant_shop_51_shop'::regnamespace::oid");
like($before, qr/^$oid$/m, 'one is claimed there');
until_true("SELECT ready = 3 FROM tenancy.stat_pool", 'and the pool is refilled there', 'restored');
is($node->safe_psql('restored', $torn), 0, 'whole');

#
# In nobody's way
#
until_true("SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'tenancy pool worker'", 'a worker in each database');
is($node->psql('postgres', 'DROP DATABASE restored'), 0, 'DROP DATABASE at once');
is($node->psql('postgres', 'SET client_min_messages = error; DROP EXTENSION tenancy CASCADE'), 0, 'DROP EXTENSION');
until_true("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'tenancy pool worker')", 'no worker stays');
$node->safe_psql('postgres', 'SET client_min_messages = error; CREATE EXTENSION tenancy');
cmp_ok(sql('SELECT tenancy.empty_pool()'), '>=', 3, 'what an earlier life left can be dropped');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|could not find function "tenancy_pool/, 'nothing of ours in the log');
done_testing();
