# A PostgreSQL with a foreign server for a MongoDB of the test, and what the tests of foreign tables ask of it.
#
#     my $node = foreign_node($mongo, "timezone = 'UTC'");   starts it, with these lines of configuration besides; the server is "m"
#     sql('CREATE …', 'SELECT 1')                            the answer of one script
#     error_of('SELECT 1/0')                                 what it says on standard error, with the SQLSTATE

package Foreign::Node;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use PostgreSQL::Test::Cluster;

our @EXPORT = qw(foreign_node sql error_of);

my $node;

sub foreign_node
{
	my ($mongo, @configuration) = @_;

	$node = PostgreSQL::Test::Cluster->new('main');
	$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
	$node->append_conf('postgresql.conf', join "\n", "shared_preload_libraries = 'tenancy'", @configuration);
	$node->start;
	sql('CREATE EXTENSION tenancy_mongo CASCADE', ";CREATE SERVER m FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0')");
	return $node;
}

sub sql { return $node->safe_psql('postgres', join "\n", @_); }

sub error_of
{
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]");

	return $err;
}

1;
