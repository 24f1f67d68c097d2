# The registry acts: a tenant document in MongoDB becomes an isolated tenant here, and what happens here is told there.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Mongo::Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $mongo = Mongo::Server->new('main')->start;
my $node  = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'");
$node->start;
$node->safe_psql('postgres', qq(
	CREATE EXTENSION tenancy_mongo CASCADE;
	CREATE EXTENSION tenancy_business;
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');
	SELECT tenancy.assign_tier_system('standard', 'crm');
	SELECT tenancy_mongo.install_stored_logic('platform');));

sub tenant_document
{
	my ($id, %fields) = @_;
	my %all = (
		tenant_id => qq("$id"), name => qq("Tenant $id"), status => '"provisioning"', tier => '"standard"',
		created_at => '{"$date": "2026-01-01T00:00:00Z"}',
		database_config => '{"type": "shared", "connection_string": "postgresql://elsewhere/secret"}', %fields);
	return '{' . join(', ', map { qq("$_": $all{$_}) } sort keys %all) . '}';
}

sub document
{
	my ($id) = @_;
	return ($mongo->find_all('tenant_registry', 'tenants', qq({"tenant_id": "$id"})))[0];
}

sub set_document
{
	my ($id, $change) = @_;
	$mongo->update('tenant_registry', 'tenants', qq({"tenant_id": "$id"}), $change);
	return;
}

sub queue_empty
{
	my ($id) = @_;
	return $node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM tenancy_mongo.registry_queue WHERE tenant_id = '$id')");
}

# Both sides say so, and nothing is left to do.
sub settled
{
	my ($id, $status, $what) = @_;
	$node->poll_query_until('postgres', "SELECT status = '$status' FROM tenancy.tenants WHERE tenant_id = '$id'")
	  or diag $node->safe_psql('postgres', 'SELECT * FROM tenancy_mongo.stat_registry');
	$mongo->poll_until("has $id $status", sub { document($id)->{status} eq $status });
	return ok(queue_empty($id), $what);
}

sub refused
{
	my ($sql, $pattern, $what) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return like($stderr, $pattern, $what);
}

# One statement in a transaction of the application, in a tenant's context.
sub as_app
{
	my ($tenant, $sql) = @_;
	my $answer = $node->safe_psql('postgres', "SET ROLE app; BEGIN; SELECT tenancy.set_tenant('$tenant'); $sql; COMMIT");
	return $answer =~ s/\A[^\n]*\n?//r;
}

#
# What was in MongoDB before
#

$mongo->insert('tenant_registry', 'tenants', tenant_document('tenant-000', status => '"active"'));
$node->safe_psql('postgres', "SELECT tenancy_mongo.mirror_registry('platform')");
settled('tenant-000', 'active', 'a tenant that was active in MongoDB before gets its schemas');
refused("SELECT tenancy_mongo.mirror_registry('platform')", qr/42710.*unmirror_registry/s, 'one registry a database');
refused("SELECT tenancy_mongo.mirror_registry('nowhere')", qr/42704.*CREATE SERVER nowhere/s, 'a server that does not exist');

#
# Provisioning
#

my $start = time;
$mongo->insert('tenant_registry', 'tenants', tenant_document('tenant-001'), tenant_document('tenant-002', region => '"eu"'));
settled('tenant-001', 'active', 'a tenant document becomes an active tenant');
note sprintf 'tenant-001 was active on both sides after %.2f s', time - $start;
settled('tenant-002', 'active', 'and so does a second');
is($node->safe_psql('postgres', "SELECT schema_name FROM tenancy.tenant_systems WHERE tenant_id = 'tenant-001'"),
	'tenant_tenant_001_crm', 'its schema has the name of the rule');
is($node->safe_psql('postgres', "SELECT region FROM tenancy.tenants WHERE tenant_id = 'tenant-002'"), 'eu', 'fields are copied');
ok(document('tenant-001')->{updated_at}, 'the document says when it was updated');

#
# Tasks: MongoDB's rows joined with relational rows, one tenant's only
#

$mongo->insert('task_repository', 'tasks', map {
	my ($n, $tenant) = ($_, $_ % 2 ? 'tenant-001' : 'tenant-002');
	qq({"task_id": "task-$n", "tenant_id": "$tenant", "service_id": "s", "type": "call", "status": "pending", "priority": $n, )
	  . qq("payload": {"customer": "Ada"}, "created_at": {"\$date": "2026-01-0${n}T00:00:00Z"}})
} 1 .. 5);
$node->safe_psql('postgres', q(
	CREATE ROLE app LOGIN; GRANT tenancy_service TO app;
	CREATE ROLE clerk LOGIN; GRANT tenant_tenant_001 TO clerk;));
ok($node->poll_query_until('postgres', 'SELECT count(*) = 5 FROM tenancy.tasks'), 'tasks are mirrored');
as_app('tenant-001', "INSERT INTO tenant_tenant_001_crm.customers (name) VALUES ('Ada')");
is(as_app('tenant-001', "SELECT t.task_id, c.name FROM tenancy.tasks t JOIN tenant_tenant_001_crm.customers c "
	  . "ON c.name = t.payload ->> 'customer' ORDER BY t.task_id"),
	"task-1|Ada\ntask-3|Ada\ntask-5|Ada", 'tasks of MongoDB join relational rows');
is(as_app('tenant-002', 'SELECT count(*) FROM tenant_tenant_001_crm.customers'), '0', "the other tenant's rows are invisible");
is(as_app('tenant-002', 'SELECT task_id FROM tenancy.tasks ORDER BY 1'), "task-2\ntask-4", 'so are its tasks');
is($node->safe_psql('postgres', 'SET ROLE app; SELECT count(*) FROM tenancy.tasks'), '0', 'without a context there are none');
refused('SET ROLE app; INSERT INTO tenancy.tasks SELECT * FROM tenancy.tasks', qr/42501/, 'nobody writes to the mirror');
refused("SET ROLE clerk; SET app.current_tenant_id = 'tenant-002'", qr/42501/, 'the context cannot be forged');
refused('SET ROLE app; SELECT * FROM tenancy.tenants', qr/42501/, 'connection strings are not shown');

#
# Suspended and active, both ways
#

set_document('tenant-001', '{"$set": {"status": "suspended"}}');
settled('tenant-001', 'suspended', 'suspended in MongoDB, suspended here');
refused("SET ROLE app; SELECT tenancy.set_tenant('tenant-001')", qr/55000.*suspended/s, 'its context is refused');
set_document('tenant-001', '{"$set": {"status": "active"}}');
settled('tenant-001', 'active', 'active in MongoDB, active here');
is(as_app('tenant-001', 'SELECT count(*) FROM tenant_tenant_001_crm.customers'), '1', 'its rows are there again');

$node->safe_psql('postgres', "SELECT tenancy.suspend_tenant('tenant-002')");
settled('tenant-002', 'suspended', 'suspended here, suspended in MongoDB');
$node->safe_psql('postgres', "SELECT tenancy.resume_tenant('tenant-002')");
settled('tenant-002', 'active', 'active here, active in MongoDB');
$node->safe_psql('postgres', "SELECT tenancy.deactivate_tenant('tenant-002')");
settled('tenant-002', 'inactive', 'inactive here, inactive in MongoDB');
set_document('tenant-002', '{"$set": {"status": "active", "name": "Renamed"}}');
settled('tenant-002', 'active', 'and back');
is($node->safe_psql('postgres', "SELECT name FROM tenancy.tenants WHERE tenant_id = 'tenant-002'"), 'Renamed', 'a new name follows');

# Of two changes at one time one stays, the same on both sides.
$node->safe_psql('postgres', "SELECT tenancy.suspend_tenant('tenant-002')");
set_document('tenant-002', '{"$set": {"status": "inactive"}}');
$mongo->poll_until('agrees', sub {
	document('tenant-002')->{status} eq $node->safe_psql('postgres', "SELECT status FROM tenancy.tenants WHERE tenant_id = 'tenant-002'")
	  && $node->safe_psql('postgres', "SELECT count(*) FROM tenancy_mongo.registry_queue WHERE tenant_id = 'tenant-002'") == 0 });
pass('two changes at one time settle on one status');

#
# What fails is told on both sides, and mended by mending the document
#

$mongo->insert('tenant_registry', 'tenants',
	tenant_document('tenant-003', tier => '"platinum"'), tenant_document('tenant_001'), tenant_document('no/tenant'));
for (['tenant-003', '42704', qr/platinum/], ['tenant_001', '23505', qr/tenant_001/], ['no/tenant', '22023', qr/no\/tenant/])
{
	my ($id, $sqlstate, $words) = @$_;
	$mongo->poll_until("has the error of $id", sub { document($id)->{error} });
	is(document($id)->{error}{code}, $sqlstate, "$id: the document holds the SQLSTATE");
	like(document($id)->{error}{message}, $words, "$id: and the message");
	is(document($id)->{status}, 'provisioning', "$id: and is still to be provisioned");
	ok($node->poll_query_until('postgres', "SELECT state || ' ' || last_error_sqlstate = 'failed $sqlstate' FROM tenancy_mongo.stat_registry WHERE tenant_id = '$id'"),
		"$id: stat_registry says so too");
}
like($node->safe_psql('postgres', "SELECT status, error_message FROM tenancy.tenants WHERE tenant_id = 'tenant-003'"),
	qr/^provisioning\|.*platinum/, 'and so does the tenant');
set_document('tenant-003', '{"$set": {"tier": "standard"}}');
settled('tenant-003', 'active', 'a mended document is provisioned');
ok(!document('tenant-003')->{error}, 'and the error is taken out of it');
is($node->safe_psql('postgres', "SELECT error_message IS NULL FROM tenancy.tenants WHERE tenant_id = 'tenant-003'"), 't', 'on both sides');

#
# A document deleted; both servers killed in between
#

$mongo->delete('tenant_registry', 'tenants', '{"tenant_id": "tenant-003"}');
ok($node->poll_query_until('postgres', "SELECT status = 'inactive' FROM tenancy.tenants WHERE tenant_id = 'tenant-003'"),
	'a tenant whose document is deleted is inactive and keeps its data');

my @many = map { sprintf 'burst-%02d', $_ } 1 .. 20;
$mongo->insert('tenant_registry', 'tenants', map { tenant_document($_) } @many);
ok($node->poll_query_until('postgres', "SELECT count(*) > 2 FROM tenancy.tenants WHERE tenant_id ~ '^burst' AND status = 'active'"), 'some of many are active');
$node->stop('immediate');
$mongo->kill9;
$mongo->start;
$node->start;
settled($_, 'active', "$_ is active on both sides after a crash of both") for @many;
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^tenant_burst_.*_crm\$'"), '20', 'one schema each, no more');

#
# Given up again
#

$node->safe_psql('postgres', 'SELECT tenancy_mongo.unmirror_registry()');
is($node->safe_psql('postgres', "SELECT status FROM tenancy.tenants WHERE tenant_id = 'tenant-001'"), 'active', 'tenants stay when the registry is no longer mirrored');
refused('SELECT tenancy_mongo.unmirror_registry()', qr/42704.*mirror_registry/s, 'nothing to unmirror');

done_testing();
