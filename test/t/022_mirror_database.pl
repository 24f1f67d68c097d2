# Commands that need a database to themselves, and the workers that sit in it: they succeed at once, and the workers come
# back where they are still wanted and nowhere else.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Mongo::Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $mongo = Mongo::Server->new('main')->start;
my $node  = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'\ntenancy_mongo.mirror_retry_interval = 100");
$node->start;
$mongo->insert('shop', 'items', map { qq({"_id": "k$_", "name": "n$_"}) } 1 .. 100);

sub make_mirror
{
	my ($database) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0");
	$node->safe_psql($database, qq(
		CREATE EXTENSION tenancy_mongo CASCADE;
		CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');
		CREATE FOREIGN TABLE items_in_mongo (_id text, name text) SERVER platform OPTIONS (database 'shop', collection 'items');
		CREATE TABLE items (_id text PRIMARY KEY, name text);
		SELECT tenancy_mongo.mirror('items_in_mongo', 'items');));
	return;
}

sub streams
{
	my ($database, $what) = @_;
	return ok($node->poll_query_until($database, "SELECT state = 'streaming' FROM tenancy_mongo.stat_mirror"), $what);
}

# The command succeeds, and does not find its way as the server would without us: by waiting five seconds for whoever uses the
# database.
sub at_once
{
	my ($database, $sql, $what) = @_;
	my $start = time;
	my ($status, $stdout, $stderr) = $node->psql($database, $sql);
	my $seconds = time - $start;
	is($status, 0, $what) or diag $stderr;
	return cmp_ok($seconds, '<', 4.5, sprintf('… at once: %.2f s', $seconds));
}

sub workers
{
	my ($database) = @_;
	return "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^tenancy mirror' AND datname = '$database'";
}

sub no_workers
{
	my ($database, $what) = @_;
	return ok($node->poll_query_until('postgres', "SELECT (@{[ workers($database) ]}) = 0"), $what);
}

# For five seconds nothing that the pattern describes is logged.
sub quiet
{
	my ($pattern, $what) = @_;
	my $from     = -s $node->logfile;
	my $deadline = time + 5;
	usleep(100_000) until time > $deadline || slurp_file($node->logfile, $from) =~ $pattern;
	return unlike(slurp_file($node->logfile, $from), $pattern, $what);
}

my $starts = qr/FATAL|does not exist|supervisor.*exited/;

#
# DROP EXTENSION
#

make_mirror('one');
streams('one', 'a mirror');
at_once('one', 'BEGIN; DROP EXTENSION tenancy_mongo CASCADE; ROLLBACK', 'DROP EXTENSION, rolled back');
streams('one', 'the mirror goes on');
$mongo->insert('shop', 'items', '{"_id": "late", "name": "late"}');
ok($node->poll_query_until('one', "SELECT count(*) = 101 FROM items"), 'with what is new');
at_once('one', 'DROP EXTENSION tenancy_mongo CASCADE', 'DROP EXTENSION');
no_workers('one', 'no worker is left');
is($node->safe_psql('one', 'SELECT count(*) FROM items'), '101', 'the rows are');
$node->safe_psql('one', qq(
	CREATE EXTENSION tenancy_mongo;
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');
	CREATE FOREIGN TABLE items_in_mongo (_id text, name text) SERVER platform OPTIONS (database 'shop', collection 'items');
	TRUNCATE items; SELECT tenancy_mongo.mirror('items_in_mongo', 'items');));
streams('one', 'it can be made again');

# While a first copy holds its locks.
$mongo->fail_point('failCommand', 'alwaysOn',
	'{"failCommands": ["find"], "blockConnection": true, "blockTimeMS": 60000}');
$node->safe_psql('one', q(
	CREATE FOREIGN TABLE more_in_mongo (_id text, name text) SERVER platform OPTIONS (database 'shop', collection 'items');
	CREATE TABLE more (_id text PRIMARY KEY, name text);
	SELECT tenancy_mongo.mirror('more_in_mongo', 'more');));
ok($node->poll_query_until('one', "SELECT state = 'copying' FROM tenancy_mongo.stat_mirror WHERE local_table = 'more'::regclass"), 'a copy has begun');
at_once('one', 'BEGIN; DROP EXTENSION tenancy_mongo CASCADE; ROLLBACK', 'DROP EXTENSION in the middle of a copy');
ok($node->poll_query_until('one', "SELECT state = 'copying' FROM tenancy_mongo.stat_mirror WHERE local_table = 'more'::regclass"), 'the copy begins again');
at_once('one', 'SELECT tenancy_mongo.unmirror(\'more\')', 'unmirror() in the middle of a copy');
$mongo->fail_point('failCommand', 'off');

#
# CREATE DATABASE … TEMPLATE, ALTER DATABASE, DROP DATABASE
#

at_once('postgres', 'CREATE DATABASE copy TEMPLATE one', 'CREATE DATABASE … TEMPLATE');
streams('one', 'the template goes on');
at_once('postgres', 'ALTER DATABASE one RENAME TO two', 'ALTER DATABASE … RENAME');
streams('two', 'and goes on under its new name');
is($node->safe_psql('postgres', workers('copy')), '0', 'a copied database has no workers');
is($node->safe_psql('copy', 'SELECT DISTINCT state FROM tenancy_mongo.stat_mirror'), 'detached', 'its mirrors are detached');
my ($status, $stdout, $stderr) = $node->psql('copy', q(CREATE FOREIGN TABLE f (_id text) SERVER platform OPTIONS (database 'd', collection 'c');
	CREATE TABLE l (_id text PRIMARY KEY); SELECT tenancy_mongo.mirror('f', 'l')));
like($stderr, qr/belong to another database.*adopt_mirrors/s, 'and say how to change that');
$node->safe_psql('copy', 'SELECT tenancy_mongo.adopt_mirrors()');
streams('copy', 'adopt_mirrors() lets them run');
$mongo->insert('shop', 'items', '{"_id": "both", "name": "both"}');
ok($node->poll_query_until($_, q(SELECT count(*) = 1 FROM items WHERE _id = 'both')), "$_ follows") for 'two', 'copy';

$node->safe_psql('postgres', 'CREATE ROLE nobody; CREATE ROLE maker CREATEDB');
my $worker = $node->safe_psql('postgres', workers('copy') =~ s/count\(\*\)/min(pid)/r);
($status, $stdout, $stderr) = $node->psql('postgres', "SET ROLE nobody; DROP DATABASE copy");
like($stderr, qr/must be owner/, 'who may not drop a database …');
($status, $stdout, $stderr) = $node->psql('postgres', "SET ROLE maker; CREATE DATABASE theft TEMPLATE copy");
like($stderr, qr/permission denied to copy database/, '… or copy it …');
is($node->safe_psql('postgres', workers('copy') =~ s/count\(\*\)/min(pid)/r), $worker, '… does not stop its workers');

at_once('postgres', 'DROP DATABASE copy', 'DROP DATABASE while a worker sits in it');
at_once('postgres', 'DROP DATABASE two WITH (FORCE)', 'DROP DATABASE … WITH (FORCE)');

# Its workers are just starting, or have not begun to.
for my $n (1 .. 3)
{
	make_mirror("young$n");
	at_once('postgres', "DROP DATABASE young$n", 'DROP DATABASE while its workers start');
}
quiet($starts, 'nobody tries to go where no database is');

# A command that fails gives the database back.
make_mirror('three');
streams('three', 'a mirror');
my $guest = $node->background_psql('three');
$guest->query_safe('SELECT 1');
($status, $stdout, $stderr) = $node->psql('postgres', 'DROP DATABASE three');
like($stderr, qr/is being accessed by other users/, 'a database with guests is not dropped');
streams('three', 'and its mirror comes back');
$guest->quit;

#
# Tables that go with their schema or their owner
#

$node->safe_psql('three', q(CREATE ROLE leaver; CREATE SCHEMA gone;
	CREATE FOREIGN TABLE gone.more_in_mongo (_id text, name text) SERVER platform OPTIONS (database 'shop', collection 'items');
	CREATE TABLE gone.more (_id text PRIMARY KEY, name text);
	CREATE TABLE left_behind (_id text PRIMARY KEY, name text);
	SELECT tenancy_mongo.mirror('gone.more_in_mongo', 'gone.more'), tenancy_mongo.mirror('items_in_mongo', 'left_behind');
	ALTER TABLE left_behind OWNER TO leaver;));
ok($node->poll_query_until('three', q(SELECT count(*) = 3 FROM tenancy_mongo.stat_mirror WHERE state = 'streaming')), 'three mirrors');
at_once('three', 'BEGIN; DROP SCHEMA gone CASCADE; ROLLBACK', 'DROP SCHEMA of a mirrored table, rolled back');
at_once('three', 'DROP SCHEMA gone CASCADE', 'DROP SCHEMA of a mirrored table');
at_once('three', 'DROP OWNED BY leaver', 'DROP OWNED by the owner of a mirrored table');
ok($node->poll_query_until('three', q(SELECT string_agg(local_table::text, ' ') = 'items' FROM tenancy_mongo.mirror_table)), 'their mirrors are gone');
$mongo->insert('shop', 'items', '{"_id": "stays", "name": "stays"}');
ok($node->poll_query_until('three', q(SELECT count(*) = 1 FROM items WHERE _id = 'stays')), 'and the third goes on');

#
# Workers that are ended come back; servers that are dropped stay away
#

$node->safe_psql('three', q(CREATE ROLE signaller IN ROLE pg_signal_backend));
$worker = $node->safe_psql('postgres', workers('three') =~ s/count\(\*\)/min(pid)/r . " AND backend_type ~ 'apply'");
is($node->safe_psql('three', "SET ROLE signaller; SELECT pg_terminate_backend($worker)"), 't', 'a member of pg_signal_backend can end a worker');
ok($node->poll_query_until('postgres', workers('three') =~ s/count\(\*\)/count(*) = 1/r . " AND backend_type ~ 'apply' AND pid <> $worker"), 'and it comes back');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'tenancy mirror supervisor'");
$mongo->insert('shop', 'items', '{"_id": "after", "name": "after"}');
ok($node->poll_query_until('three', q(SELECT count(*) = 1 FROM items WHERE _id = 'after')), 'a supervisor that is ended comes back');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'tenancy launcher'");
$node->restart;
streams('three', 'after a restart the launcher finds the mirror');
$node->safe_psql('three', 'DROP SERVER platform CASCADE');
no_workers('three', 'without its server a mirror has no workers');
is($node->safe_psql('three', 'SELECT count(*) FROM tenancy_mongo.mirror_table'), '0', 'and is forgotten');
quiet($starts, 'and nobody tries again');

#
# Too few worker slots: said once, with the line that mends it
#

$node->append_conf('postgresql.conf', 'max_worker_processes = 3');
$node->restart;
my $log = -s $node->logfile;
make_mirror('four');
$node->wait_for_log(qr/out of background worker slots.*Raise max_worker_processes/s, $log);
pass('too few worker slots are told of');
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
streams('four', 'and with enough of them the mirror streams');
$node->safe_psql('postgres', 'DROP DATABASE four');

#
# A standby has the rows and no workers, until it is promoted
#

make_mirror('five');
streams('five', 'a mirror');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$mongo->insert('shop', 'items', '{"_id": "standby", "name": "s"}');
ok($standby->poll_query_until('five', q(SELECT count(*) = 1 FROM items WHERE _id = 'standby')), 'a standby has the rows');
is($standby->safe_psql('postgres', q(SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^tenancy')), '0', 'and no workers');
$node->stop;
$standby->promote;
$mongo->insert('shop', 'items', '{"_id": "promoted", "name": "p"}');
ok($standby->poll_query_until('five', q(SELECT count(*) = 1 FROM items WHERE _id = 'promoted')), 'promoted, it takes over');

unlike(slurp_file($_->logfile), qr/terminated by signal|PANIC|TRAP/, 'no worker crashed') for $node, $standby;

done_testing();
