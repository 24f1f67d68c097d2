# A PostgreSQL whose mirrors try again at once, and what their tests ask of it.
#
#     my $node = mirror_node('wal_level = logical');      starts it, with these lines of configuration besides
#     sql('SELECT 1')                                     its answer
#     becomes('SELECT count(*) FROM items', 5, 'all')     a test: it is so before the deadline

package Mirror::Node;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use Test::More;

our @EXPORT = qw(mirror_node sql becomes);

my $node;

sub mirror_node
{
	$node = PostgreSQL::Test::Cluster->new('main');
	$node->init;
	$node->append_conf('postgresql.conf', join "\n", "shared_preload_libraries = 'tenancy'", 'tenancy_mongo.mirror_retry_interval = 100', @_);
	$node->start;
	return $node;
}

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub becomes
{
	my ($query, $expected, $what) = @_;
	return ok($node->poll_query_until('postgres', "SELECT ($query)::text = \$expected\$$expected\$expected\$"), $what)
	  || diag('now: ', sql($query), "\n", sql('SELECT * FROM tenancy_mongo.stat_mirror; SELECT * FROM tenancy_mongo.misfits'));
}

1;
