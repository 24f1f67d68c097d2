# install_stored_logic: validators and indexes of document 001 in a real MongoDB, installed from SQL.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use JSON::PP ();
use Mongo::Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = Mongo::Server->new('main')->start;
my $node  = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'");
$node->start;
$node->safe_psql('postgres', qq(
	CREATE EXTENSION tenancy_mongo CASCADE;
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');));

my $plan = "SELECT database_name, collection_name, action, count(*) FROM tenancy_mongo.install_stored_logic_plan('platform') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";

#
# A plan first, which changes nothing
#

is($node->safe_psql('postgres', $plan), join("\n",
	'task_repository|tasks|create collection|1',
	'task_repository|tasks|create index|8',
	'tenant_registry|tenant_databases|create collection|1',
	'tenant_registry|tenant_databases|create index|4',
	'tenant_registry|tenants|create collection|1',
	'tenant_registry|tenants|create index|4'), 'the plan names every collection and index');
is_deeply($mongo->command('tenant_registry', [listCollections => 1])->{cursor}{firstBatch}, [], 'a plan changes nothing');

#
# Installed, twice
#

is($node->safe_psql('postgres', "SELECT count(*) FROM tenancy_mongo.install_stored_logic('platform')"), '19', 'every step is taken');
is($node->safe_psql('postgres', "SELECT count(*) FROM tenancy_mongo.install_stored_logic('platform')"), '0', 'a second run finds nothing to do');

sub indexes
{
	my ($database, $collection) = @_;
	my $reply = $mongo->command($database, [listIndexes => $collection]);
	return [ sort map { ($_->{unique} ? 'unique ' : '') . $_->{name} } grep { $_->{name} ne '_id_' } @{ $reply->{cursor}{firstBatch} } ];
}

is_deeply(indexes('tenant_registry', 'tenants'), [qw(name_1 region_1 status_1), 'unique tenant_id_1'], 'indexes of tenants');
is_deeply(indexes('tenant_registry', 'tenant_databases'),
	[qw(region_1 status_1 type_1), 'unique database_name_1'], 'indexes of tenant_databases');
is_deeply(indexes('task_repository', 'tasks'),
	[qw(created_at_1 service_id_1 status_1 tenant_id_1 tenant_id_1_status_1 tenant_id_1_type_1 type_1), 'unique task_id_1'],
	'indexes of tasks');
for (['tenant_registry', 'tenants'], ['tenant_registry', 'tenant_databases'], ['task_repository', 'tasks'])
{
	my ($database, $collection) = @$_;
	my $options = $mongo->command($database, qq({"listCollections": 1, "filter": {"name": "$collection"}}))
	  ->{cursor}{firstBatch}[0]{options};
	ok($options->{changeStreamPreAndPostImages}{enabled}, "$collection keeps post-images");
}

#
# The validators refuse what document 001 refuses
#

my %good = (
	tenants => [ 'tenant_registry', {
		tenant_id => 't1', name => 'One', status => 'active', created_at => { '$date' => '2026-01-01T00:00:00Z' },
		database_config => { type => 'shared', connection_string => 'x' } } ],
	tenant_databases => [ 'tenant_registry', {
		database_name => 'd1', type => 'shared', status => 'active', created_at => { '$date' => '2026-01-01T00:00:00Z' },
		tenants => ['t1'] } ],
	tasks => [ 'task_repository', {
		task_id => 'k1', tenant_id => 't1', service_id => 's', type => 'x', status => 'pending', priority => 1.5,
		payload => {}, created_at => { '$date' => '2026-01-01T00:00:00Z' } } ]);
my %required = (
	tenants => [qw(tenant_id name database_config created_at status)],
	tenant_databases => [qw(database_name type status created_at)],
	tasks => [qw(task_id tenant_id service_id type status priority payload created_at)]);
my %wrong = (
	tenants => { status => 'archived', created_at => 'today', name => 5, tier => 1, settings => [], updated_at => 0,
		database_config => { type => 'elsewhere', connection_string => 'x' } },
	tenant_databases => { status => 'suspended', type => 'elsewhere', tenants => [1], server => 5 },
	tasks => { status => 'done', priority => 'high', payload => 'text', completed_at => 'now', error => 'text', result => 1 });

my $json = JSON::PP->new->canonical;
for my $collection (sort keys %good)
{
	my ($database, $document) = @{ $good{$collection} };
	my $try = sub {
		my $done = eval { $mongo->insert($database, $collection, $json->encode($_[0])); 1 };
		return $done ? 'accepted' : $@;
	};

	is($try->($document), 'accepted', "$collection: a right document is accepted");
	like($try->($document), qr/11000/, "$collection: its key is unique");
	for my $field (@{ $required{$collection} })
	{
		my %less = %$document;
		delete $less{$field};
		like($try->(\%less), qr/\b121\b/, "$collection: refused without $field");
	}
	for my $field (sort keys %{ $wrong{$collection} })
	{
		like($try->({ %$document, $field => $wrong{$collection}{$field} }), qr/\b121\b/, "$collection: refused with a wrong $field");
	}
}

# … and in SQL the refusal is an error with MongoDB's own details.
my ($status, $stdout, $stderr) = $node->psql('postgres', q(\set VERBOSITY verbose
	SELECT tenancy_mongo.run_command('platform', 'task_repository', '{"insert": "tasks", "documents": [{"task_id": "k2"}]}')));
like($stderr, qr/ERROR:  23514/, 'a document that breaks the validator is a check violation');
like($stderr, qr/missingProperties/, "the detail holds MongoDB's reasons");

#
# Drift is seen and mended; what is not ours is not touched
#

$mongo->command('tenant_registry', '{"collMod": "tenants", "validationAction": "warn"}');
$mongo->command('task_repository', '{"dropIndexes": "tasks", "index": "tenant_id_1_type_1"}');
$mongo->command('task_repository', '{"createIndexes": "tasks", "indexes": [{"key": {"priority": -1}, "name": "ours"}]}');
is($node->safe_psql('postgres', $plan), "task_repository|tasks|create index|1\ntenant_registry|tenants|modify collection|1", 'drift is seen');
$node->safe_psql('postgres', "SELECT tenancy_mongo.install_stored_logic('platform')");
is($node->safe_psql('postgres', $plan), '', 'and mended');
ok((grep { $_ eq 'ours' } @{ indexes('task_repository', 'tasks') }), "an index of somebody else's stays");

$mongo->command('tenant_registry', '{"drop": "tenant_databases"}');
$mongo->command('tenant_registry', '{"create": "tenant_databases", "viewOn": "tenants", "pipeline": []}');
($status, $stdout, $stderr) = $node->psql('postgres', "SELECT tenancy_mongo.install_stored_logic('platform')");
like($stderr, qr/"tenant_registry.tenant_databases" is not a collection.*HINT:  Rename or drop it/s, 'a view in the way is a clear error');

#
# Not for everybody
#

$node->safe_psql('postgres', 'CREATE ROLE somebody; GRANT USAGE ON FOREIGN SERVER platform TO somebody');
for my $call ("install_stored_logic('platform')", "install_stored_logic_plan('platform')", "mirror_registry('platform')",
	"run_command('platform', 'admin', '{\"ping\": 1}')")
{
	($status, $stdout, $stderr) = $node->psql('postgres', "SET ROLE somebody; SELECT tenancy_mongo.$call");
	like($stderr, qr/permission denied for (schema|function)/, "$call is not for everybody");
}

done_testing();
