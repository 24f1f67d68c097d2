# isolation_report: a server that does not preload the library, and the line for continuous integration.

use strict;
use warnings FATAL => 'all';

use FindBin;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION tenancy');

# The line from docs/isolation_report.md, as a shell runs it.
my ($line) = slurp_file("$FindBin::RealBin/../../docs/isolation_report.md") =~ /^(report=\$\(psql .*)$/m;
ok($line, 'the page has the line');

# usage: ci()   Its exit status and output.
sub ci
{
	local ($ENV{PGHOST}, $ENV{PGPORT}, $ENV{PGDATABASE}) = ($node->host, $node->port, 'postgres');
	my ($out, $err);
	IPC::Run::run([ 'sh', '-c', $line ], '>', \$out, '2>', \$err);
	return ($? >> 8, $out . $err);
}

# An old server is a finding too, though not of this test.
$node->safe_psql('postgres', "SELECT tenancy.accept_finding('TI602', 'server', 'the test runs on what there is')");
is((ci())[0], 0, 'nothing is wrong: the exit status is 0');

$node->safe_psql('postgres', 'CREATE TABLE open (id uuid, tenant_id text)');
my ($status, $output) = ci();
isnt($status, 0, 'an error: it is not');
like($output, qr/^TI101 error table public\.open: /, 'and the line prints the finding');
$node->safe_psql('postgres', q(SELECT tenancy.protect('open'); ALTER POLICY tenant_isolation_policy ON open USING (tenant_id = current_setting('app.current_tenant_id'))));
is((ci())[0], 0, 'a notice is no failure');

$node->stop;
isnt((ci())[0], 0, 'no answer is a failure');
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->start;
is($node->safe_psql('postgres', 'SELECT code, severity, object FROM tenancy.isolation_report()'), 'TI601|error|server', 'a library that comes too late is the only finding');
isnt((ci())[0], 0, 'and a failure');
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'plpgsql, tenancy'");
$node->restart;
is((ci())[0], 0, 'the remedy mends it');
$node->stop;

done_testing();
