# One stream for many tenants: a shared collection whose documents go to the schemas of their tenants, and move between them;
# a database for each tenant; and a table that takes everything beside them.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Mirror::Node;
use Mongo::Server;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seed = $ENV{FAULT_SEED} // int(rand(1_000_000));
srand $seed;
note "FAULT_SEED=$seed";

my $mongo = Mongo::Server->new('main')->start;
my $node = mirror_node('tenancy_mongo.mirror_batch_size = 200', 'restart_after_crash = on');

sub refused
{
	my ($sql, $pattern, $what) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return like($stderr, $pattern, $what);
}

sub level { return is(sql("SELECT tenancy_mongo.wait_for_mirror('platform', '60 s')"), 't', $_[0]); }

# What each tenant has, and what the table of all has.
sub tenants_have
{
	my ($expected, $what) = @_;
	level("level: $what");
	return is(sql(q(SELECT string_agg(tenant || ':' || ids, ' ' ORDER BY tenant) FROM (
		SELECT tenant, string_agg(_id, ',' ORDER BY _id) AS ids FROM public.held GROUP BY tenant) h)), $expected, $what);
}

#
# Three tenants with a system of their own each, and one that comes later
#

sql(qq(
	CREATE EXTENSION tenancy_mongo CASCADE;
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');
	SELECT tenancy.register_system('desk', 'Desk', 'desk', 'us');
	SELECT tenancy.register_version('desk', '1.0.0', 'CREATE TABLE \@schema\@.tasks (_id text PRIMARY KEY, title text NOT NULL, rev bigint);
		CREATE TABLE \@schema\@.notes (_id text PRIMARY KEY, body text)');
	SELECT tenancy.create_tenant(t, t), tenancy.install_system(t, 'desk') FROM unnest('{t-1,t-2,t-3,t-4}'::text[]) t;
	CREATE FOREIGN TABLE tasks_in_mongo (_id text, title text, rev bigint) SERVER platform
		OPTIONS (database 'shared', collection 'tasks', tenant_field 'org.tenant');
	CREATE FOREIGN TABLE notes_in_mongo (_id text, body text) SERVER platform OPTIONS (database 'data_{tenant}', collection 'notes');
	CREATE FOREIGN TABLE all_in_mongo (_id text, org jsonb, rev bigint) SERVER platform
		OPTIONS (database 'shared', collection 'tasks');
	CREATE TABLE everything (_id text PRIMARY KEY, org jsonb, rev bigint);
	CREATE VIEW held AS SELECT 't-1' AS tenant, * FROM tenant_t_1_desk.tasks UNION ALL SELECT 't-2', * FROM tenant_t_2_desk.tasks
		UNION ALL SELECT 't-3', * FROM tenant_t_3_desk.tasks;));
$mongo->insert('shared', 'tasks',
	'{"_id": "a", "title": "A", "org": {"tenant": "t-1"}}', '{"_id": "b", "title": "B", "org": {"tenant": "t-2"}}',
	'{"_id": "c", "title": "C", "org": {"tenant": "t-1"}}', '{"_id": "nobody", "title": "N"}',
	'{"_id": "unknown", "title": "U", "org": {"tenant": "t-99"}}', '{"_id": "two", "title": "T", "org": {"tenant": ["t-1", "t-2"]}}',
	'{"_id": "both", "title": "T", "org": [{"tenant": "t-1"}, {"tenant": "t-2"}]}', '{"_id": "number", "title": "T", "org": {"tenant": 1}}');
$mongo->insert("data_t-$_", 'notes', qq({"_id": "n$_", "body": "of $_"})) for 1 .. 3;

my $mirror_all = q(SELECT tenancy_mongo.mirror('%s', format('%%I.%s', schema_name)::regclass, tenant_id)
	FROM tenancy.tenant_systems WHERE system_id = 'desk' AND tenant_id <> 't-4' ORDER BY tenant_id);
sql(sprintf($mirror_all, "$_\_in_mongo", $_)) for 'tasks', 'notes';
sql(q(SELECT tenancy_mongo.mirror('all_in_mongo', 'everything')));
becomes(q(SELECT count(*) FILTER (WHERE state = 'streaming') FROM tenancy_mongo.stat_mirror), '7', 'seven mirrors stream');
tenants_have('t-1:a,c t-2:b', 'the first copy goes to the tenants; what is nobody\'s goes nowhere');
is(sql('SELECT count(*) FROM everything'), '8', 'a table of all has all');
is(sql(q(SELECT (SELECT body FROM tenant_t_1_desk.notes) || (SELECT body FROM tenant_t_3_desk.notes))), 'of 1of 3', 'each database goes to its tenant');
is(sql(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'tenancy mirror apply worker')), '1', 'one worker');
is(sql(q(SELECT count(*) FROM tenancy_mongo.stream)), '1', 'and one stream');
is(sql(q(SET ROLE tenant_t_1; SELECT count(*) FROM tenant_t_1_desk.tasks)), '0', 'without its context a tenant reads nothing');
is(sql(q(BEGIN; SELECT FROM tenancy.set_tenant('t-1'); SET LOCAL ROLE tenant_t_1; SELECT count(*) FROM tenant_t_1_desk.tasks)), '2', 'with it, its own');
refused('SET ROLE tenant_t_1; SELECT count(*) FROM tenant_t_2_desk.tasks', qr/42501/, 'and no other');
refused(q(SELECT tenancy_mongo.mirror('tasks_in_mongo', 'tenant_t_4_desk.tasks', 't-1')), qr/22023.*schema "tenant_t_4_desk" is not tenant "t-1"/s,
	"a tenant's documents do not go to another's schema");

#
# The stream: each change with look-ups first, then with post-images
#

for my $images ('false', 'true')
{
	$mongo->command('shared', qq({"collMod": "tasks", "changeStreamPreAndPostImages": {"enabled": $images}}));
	$mongo->insert('shared', 'tasks', '{"_id": "d", "title": "D", "org": {"tenant": "t-3"}}');
	tenants_have('t-1:a,c t-2:b t-3:d', "images $images: an insert");
	$mongo->update('shared', 'tasks', '{"_id": "a"}', '{"$set": {"title": "A2"}}');
	$mongo->update('shared', 'tasks', '{"_id": "c"}', '{"$set": {"org.tenant": "t-2"}}');
	tenants_have('t-1:a t-2:b,c t-3:d', "images $images: a document that changes its tenant moves");
	is(sql(q(SELECT title FROM tenant_t_1_desk.tasks WHERE _id = 'a')), 'A2', 'one that does not is changed where it is');
	$mongo->update('shared', 'tasks', '{"_id": "c"}', '{"$set": {"org": {"tenant": "t-3"}}}');
	tenants_have('t-1:a t-2:b t-3:c,d', "images $images: what stands above the field is set");
	$mongo->update('shared', 'tasks', '{"_id": "c"}', '{"$unset": {"org": 1}}');
	tenants_have('t-1:a t-2:b t-3:d', "images $images: a document that loses its tenant goes");
	$mongo->update('shared', 'tasks', '{"_id": "c"}', '{"$set": {"org": {"tenant": "t-1"}}}');
	$mongo->command('shared', '{"update": "tasks", "updates": [{"q": {"_id": "b"}, "u": {"title": "B2", "org": {"tenant": "t-1"}}}]}');
	tenants_have('t-1:a,b,c t-3:d', "images $images: a replaced document moves too");
	$mongo->update('shared', 'tasks', '{"_id": "b"}', '{"$set": {"org.tenant": "t-2", "title": null}}');
	tenants_have('t-1:a,c t-3:d', "images $images: one that does not fit its new tenant's table leaves the old one");
	is(sql(q(SELECT local_table, document_id FROM tenancy_mongo.misfits)), 'tenant_t_2_desk.tasks|"b"', 'and is a misfit of the new');
	$mongo->update('shared', 'tasks', '{"_id": "b"}', '{"$set": {"org.tenant": "t-3"}}');
	level('the misfit moves');
	is(sql(q(SELECT local_table, document_id FROM tenancy_mongo.misfits)), 'tenant_t_3_desk.tasks|"b"', 'a misfit moves as well');
	$mongo->update('shared', 'tasks', '{"_id": "b"}', '{"$set": {"org.tenant": "t-2", "title": "B"}}');
	$mongo->delete('shared', 'tasks', '{"_id": "d"}');
	tenants_have('t-1:a,c t-2:b', "images $images: mended, and a deletion");
	is(sql('SELECT count(*) FROM tenancy_mongo.misfits'), '0', 'no misfit is left');
	is(sql('SELECT count(*) FROM everything'), '8', 'the table of all has all');
}
is(sql(q(SELECT events_applied > 0, last_event_at IS NOT NULL FROM tenancy_mongo.stat_mirror WHERE tenant = 't-3' AND local_table = 'tenant_t_3_desk.tasks'::regclass)),
	't|t', 'events are counted by tenant');
sql(q(UPDATE tenant_t_1_desk.tasks SET title = 'wrong' WHERE _id = 'a'; INSERT INTO tenant_t_1_desk.tasks VALUES ('b', 'of another tenant')));
is(sql(q(SELECT string_agg(key || ' ' || problem, ', ' ORDER BY key) FROM tenancy_mongo.verify_mirror('tenant_t_1_desk.tasks', repair => true))),
	'a differs, b not in MongoDB', "verify_mirror() compares what is the tenant's");
becomes(q(SELECT string_agg(_id || title, ' ' ORDER BY _id) FROM tenant_t_1_desk.tasks), 'aA2 cC', 'and mends it');

#
# A database for each tenant and a field as well, so that one foreign table has a route in each; documents with the same _id
#

sql(q(CREATE FOREIGN TABLE orders_in_mongo (_id text, rev bigint) SERVER platform
		OPTIONS (database 'data_{tenant}', collection 'orders', tenant_field 'tenantId');
	CREATE TABLE tenant_t_1_desk.orders (_id text PRIMARY KEY, rev bigint);
	CREATE TABLE tenant_t_2_desk.orders (_id text PRIMARY KEY, rev bigint)));
$mongo->insert("data_t-$_", 'orders', qq({"_id": "same", "tenantId": "t-$_", "rev": 1})) for 1, 2;
sql("SELECT tenancy_mongo.mirror('orders_in_mongo', 'tenant_t_$_\_desk.orders', 't-$_')") for 1, 2;
becomes(q(SELECT count(*) FROM tenancy_mongo.stat_mirror WHERE state = 'streaming'), '9', 'two mirrors more');
my $orders = q(SELECT (SELECT string_agg(_id || rev, ' ') FROM tenant_t_1_desk.orders WHERE _id = 'same') || ' '
	|| (SELECT string_agg(_id || rev, ' ') FROM tenant_t_2_desk.orders));
is(sql($orders), 'same1 same1', 'each has its own');

# The document of the first is looked up in a batch that ends before the event of the second.
sql(q(SELECT tenancy_mongo.pause_mirror('platform')));
becomes(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'tenancy mirror apply worker'), '0', 'the worker has left');
$mongo->update('data_t-1', 'orders', '{"_id": "same"}', '{"$set": {"rev": 2}}');
$mongo->insert('data_t-1', 'orders', map { qq({"_id": "o$_", "tenantId": "t-1", "rev": 1}) } 1 .. 300);
$mongo->update('data_t-2', 'orders', '{"_id": "same"}', '{"$set": {"rev": 3}}');
sql(q(SELECT tenancy_mongo.resume_mirror('platform')));
level('the updates of both');
is(sql($orders), 'same2 same3', "a look-up for one tenant does not pass over another's event of the same _id");
is(sql('SELECT count(*) FROM tenant_t_1_desk.orders'), '301', 'and nothing else is lost');

#
# Random writes and moves, a worker that is killed, readers that look all the time
#

my $writer = fork // die "fork: $!";
if ($writer == 0)
{
	my $mine  = $mongo->again;
	my $until = time + 12;
	my $rev   = 0;
	my $there = sub { my @t = ('"t-1"', '"t-2"', '"t-3"', '"t-9"', 'null'); return $t[ rand @t ]; };
	while (time < $until)
	{
		my $id = sprintf '"r%d"', rand 60;
		my $op = rand;
		$rev++;
		if ($op < 0.3) { $mine->command_text('shared', qq({"insert": "tasks", "documents": [{"_id": $id, "title": "r", "rev": $rev, "org": {"tenant": @{[ $there->() ]}}}]})); }
		elsif ($op < 0.5) { $mine->update('shared', 'tasks', qq({"_id": $id}), qq({"\$set": {"rev": $rev}})); }
		elsif ($op < 0.8) { $mine->update('shared', 'tasks', qq({"_id": $id}), qq({"\$set": {"rev": $rev, "org.tenant": @{[ $there->() ]}}})); }
		elsif ($op < 0.9) { $mine->command('shared', qq({"update": "tasks", "updates": [{"q": {"_id": $id}, "u": {"title": "p", "rev": $rev, "org": {"tenant": @{[ $there->() ]}}}}]})); }
		else { $mine->delete('shared', 'tasks', qq({"_id": $id})); }
		if (rand() < 0.002) { $mine->command_text('shared', sprintf '{"collMod": "tasks", "changeStreamPreAndPostImages": {"enabled": %s}}', rand() < 0.5 ? 'true' : 'false'); }
	}
	POSIX::_exit(0);
}
my $twice = 0;
my $looks = 0;
my $next  = time + 2;
my $kills = 0;
while (waitpid($writer, POSIX::WNOHANG()) == 0)
{
	my ($status, $found) = $node->psql('postgres', 'SELECT count(*) - count(DISTINCT _id) FROM held');
	if ($status == 0) { $looks++; $twice += $found; }
	if (time > $next)
	{
		my (undef, $pid) = $node->psql('postgres', "SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'tenancy mirror apply worker'");
		$kills += kill($kills % 2 ? 'KILL' : 'TERM', $pid) if $pid;
		$next = time + 2;
	}
	usleep(10_000);
}
cmp_ok($kills, '>', 1, 'the worker was killed');
cmp_ok($looks, '>', 50, 'readers looked');
is($twice, 0, 'no document was ever seen with two tenants');
ok($node->poll_query_until('postgres', "SELECT tenancy_mongo.wait_for_mirror('platform', '10 s')"), 'level after the storm');
my %expected;
for my $document ($mongo->find_all('shared', 'tasks'))
{
	my $tenant = ref $document->{org} eq 'HASH' ? $document->{org}{tenant} : undef;
	push @{ $expected{$tenant} }, "$document->{_id}=" . ($document->{rev} // '') if defined $tenant && $tenant =~ /^t-[123]$/;
}
for my $tenant (qw(t-1 t-2 t-3))
{
	is(sql("SELECT string_agg(_id || '=' || coalesce(rev::text, ''), ' ' ORDER BY (_id || '=' || coalesce(rev::text, '')) COLLATE \"C\") FROM held WHERE tenant = '$tenant'"),
		join(' ', sort @{ $expected{$tenant} // [] }), "$tenant has its documents and no others");
}
is(sql('SELECT count(*) FROM everything'), scalar($mongo->find_all('shared', 'tasks')), 'the table of all has all');

#
# Tenants that come and go
#

sql(q(SELECT tenancy_mongo.mirror('tasks_in_mongo', 'tenant_t_4_desk.tasks', 't-4')));
becomes(q(SELECT state FROM tenancy_mongo.stat_mirror WHERE tenant = 't-4'), 'streaming', 'a tenant that comes later');
$mongo->update('shared', 'tasks', '{"_id": "a"}', '{"$set": {"org.tenant": "t-4"}}');
level('level');
is(sql(q(SELECT (SELECT string_agg(_id, ',') FROM tenant_t_4_desk.tasks) || ' ' || (SELECT count(*) FROM tenant_t_1_desk.tasks WHERE _id = 'a'))), 'a 0',
	'takes part');
sql(q(SELECT tenancy_mongo.unmirror('tenant_t_4_desk.tasks')));
sql(q(ALTER FOREIGN TABLE tasks_in_mongo OPTIONS (DROP tenant_field)));
becomes(q(SELECT string_agg(DISTINCT state, ' ') FROM tenancy_mongo.stat_mirror WHERE foreign_table = 'tasks_in_mongo'::regclass), 'error',
	'a foreign table that no longer tells tenants apart stops their mirrors');
$mongo->insert('shared', 'tasks', '{"_id": "secret", "title": "S", "org": {"tenant": "t-2"}}');
level('level');
is(sql(q(SELECT count(*) FROM held WHERE _id = 'secret')), '0', 'and shows nothing to anybody');
sql(q(ALTER FOREIGN TABLE tasks_in_mongo OPTIONS (ADD tenant_field 'org.tenant')));
becomes(q(SELECT string_agg(tenant, ' ') FROM held WHERE _id = 'secret'), 't-2', 'until it does again');
$mongo->command('shared', '{"drop": "tasks"}');
becomes('SELECT (SELECT count(*) FROM held) + (SELECT count(*) FROM everything)', '0', 'a dropped collection is gone everywhere');

#
# A system whose script makes the mirror: a new tenant needs nobody
#

sql(q(
	CREATE FOREIGN TABLE chores_in_mongo (_id text, title text) SERVER platform OPTIONS (database 'shared', collection 'chores', tenant_field 'org.tenant');
	GRANT USAGE ON SCHEMA tenancy_mongo TO tenancy_owner;
	GRANT USAGE ON FOREIGN SERVER platform TO tenancy_owner;
	GRANT SELECT ON chores_in_mongo TO tenancy_owner;
	SELECT tenancy.register_system('chores', 'Chores', 'chores', 'us');
	SELECT tenancy.register_version('chores', '1.0.0', 'CREATE TABLE @schema@.chores (_id text PRIMARY KEY, title text);
		SELECT tenancy_mongo.mirror(''public.chores_in_mongo'', ''@schema@.chores'', @tenant@)');
	SELECT tenancy.assign_tier_system('mirrored', 'chores')));
$mongo->insert('shared', 'chores', '{"_id": "before", "title": "B", "org": {"tenant": "t-5"}}');
sql(q(SELECT tenancy.create_tenant('t-5', 't-5', tier => 'mirrored')));
becomes(q(SELECT state FROM tenancy_mongo.stat_mirror WHERE tenant = 't-5'), 'streaming', 'a system that mirrors its table');
$mongo->insert('shared', 'chores', '{"_id": "after", "title": "A", "org": {"tenant": "t-5"}}', '{"_id": "other", "title": "O", "org": {"tenant": "t-6"}}');
level('level');
is(sql(q(SELECT string_agg(_id, ' ' ORDER BY _id) FROM tenant_t_5_chores.chores)), 'after before', "has its tenant's documents");
sql(q(SELECT tenancy.create_tenant('t-6', 't-6', tier => 'mirrored')));
becomes(q(SELECT string_agg(_id, ' ') FROM tenant_t_6_chores.chores), 'other', 'as has that of the next tenant');

unlike(slurp_file($node->logfile), qr/terminated by signal (?!9:)|PANIC|TRAP/, 'no process crashed');
done_testing();
