# Another version under a running mirror: ALTER EXTENSION UPDATE while its worker works, and pg_upgrade to an installation that lacks the library.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Installation;
use Mongo::Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# An update script is added to it, and the library taken from it.
my $copy    = copied_installation();
my $library = "$copy->{libraries}/tenancy_mongo.so";
my $install = $copy->{root};
append_to_file("$copy->{extension}/tenancy_mongo--1.0--1.0.1.sql", q(
ALTER TABLE tenancy_mongo.mirror_table ADD COLUMN remark text;
CREATE FUNCTION tenancy_mongo.answer() RETURNS integer LANGUAGE sql AS 'SELECT 42';
));

my $mongo = Mongo::Server->new('main')->start;
my $node  = PostgreSQL::Test::Cluster->new('main', install_path => $install);
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'\ntenancy_mongo.mirror_retry_interval = 100");
$node->start;
sub sql { return $node->safe_psql('postgres', $_[0]); }

my $names   = q(SELECT string_agg(_id || '=' || name, ' ' ORDER BY _id) FROM items);
my $streams = q(SELECT state = 'streaming' FROM tenancy_mongo.stat_mirror);
my $objects = qq(
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');
	CREATE FOREIGN TABLE items_in_mongo (_id text, name text) SERVER platform OPTIONS (database 'shop', collection 'items');
	CREATE TABLE items (_id text PRIMARY KEY, name text););
$mongo->insert('shop', 'items', '{"_id": "a", "name": "A"}');
sql("CREATE EXTENSION tenancy_mongo CASCADE; $objects SELECT tenancy_mongo.mirror('items_in_mongo', 'items')");
ok($node->poll_query_until('postgres', $streams), 'a mirror');

#
# ALTER EXTENSION UPDATE
#

sub follows
{
	my ($id, $what) = @_;
	$mongo->insert('shop', 'items', qq({"_id": "$id", "name": "N"}));
	return ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM items WHERE _id = '$id'"), $what);
}
my $start = time;
sql(q(BEGIN; ALTER EXTENSION tenancy_mongo UPDATE TO '1.0.1'; ROLLBACK));
follows('b', 'ALTER EXTENSION UPDATE while a worker runs, rolled back: it goes on');
sql(q(ALTER EXTENSION tenancy_mongo UPDATE TO '1.0.1'));
cmp_ok(time - $start, '<', 4.5, 'ALTER EXTENSION UPDATE does not wait for the worker');
is(sql('SELECT tenancy_mongo.answer()'), '42', 'the new version is there');
follows('c', 'the worker of the same library goes on with it');
sql(q(SELECT tenancy_mongo.refresh_mirror('items')));
ok($node->poll_query_until('postgres', $streams), 'and copies');
is(sql($names), 'a=A b=N c=N', 'nothing is lost');
is(sql('SELECT restarts || $$ $$ || resyncs FROM tenancy_mongo.stat_mirror'), '0 0', 'and nothing had to begin again');

#
# pg_upgrade
#

my $new = PostgreSQL::Test::Cluster->new('upgraded', install_path => $install);
$new->init;
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'\ntenancy_mongo.mirror_retry_interval = 100");
$node->stop;
chdir ${PostgreSQL::Test::Utils::tmp_check};
my $bindir  = "$install/bin";
my @upgrade = ('pg_upgrade', '--no-sync', '-d', $node->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir, '-s', $new->host, '-p', $node->port, '-P', $new->port);
rename $library, "$library.away" or die "rename: $!";
my ($out, $err) = ('', '');
my $failed = !IPC::Run::run([ @upgrade, '--check' ], '>', \$out, '2>', \$err);
ok($failed, 'pg_upgrade to an installation without the library is refused');
like("$out$err", qr/loadable libraries/, 'before anything is changed');
my ($report) = "$out$err" =~ m{(/\S+loadable_libraries\.txt)};
like(slurp_file($report), qr/tenancy_mongo/, 'and the library is named');
rename "$library.away", $library or die "rename: $!";
ok(IPC::Run::run(\@upgrade, '>', \$out, '2>', \$err), 'with it pg_upgrade succeeds') or diag "$out$err";
$new->start;
is($new->safe_psql('postgres', $names), 'a=A b=N c=N', 'the rows are there');
$mongo->insert('shop', 'items', '{"_id": "d", "name": "D"}');
ok($new->poll_query_until('postgres', q(SELECT count(*) = 4 FROM items)), 'and the mirror goes on where it was');
is($new->safe_psql('postgres', 'SELECT state || $$ $$ || resyncs FROM tenancy_mongo.stat_mirror'), 'streaming 0', 'without another copy');

unlike(slurp_file($_->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process crashed') for $node, $new;
done_testing();
