# A disk that is full: provisioning, an update, a rollout and the pool's worker that meet it fail with its error, leave everything
# whole, and succeed when there is room.
#
# No file system is needed for it.  The server's processes may write no file beyond a size, and one that ends in the middle of a
# block gives what a full disk gives: a block that was not written to its end.  Later releases of PostgreSQL meet the limit
# otherwise, and have no SQLSTATE for it.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $room = 4 * 1024 * 1024 + 4096;
my $full = qr/53100|XX000/;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => ['--wal-segsize=1']);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tenancy'\nmax_worker_processes = 16");
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my ($text) = @_;
	my ($status, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$text", on_error_stop => 1);
	return $status == 0 ? 'it succeeded' : $err;
}

sub fill_disk
{
	my ($pid) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	command_ok([ 'prlimit', "--fsize=$room:", '--pid', $pid ], 'the disk is full');
	return;
}

sub make_room { $node->restart; return; }

# Schemas and spares that nobody knows of.
my $torn = q(SELECT count(*) FROM pg_namespace n WHERE (n.nspname ~ '^tenant_' AND NOT EXISTS (SELECT FROM tenancy.tenant_systems s WHERE s.schema_name = n.nspname))
	OR (n.nspname ~ '^tenancy_spare_' AND NOT EXISTS (SELECT FROM tenancy.spares s WHERE s.schema_name = n.nspname)));

my $much = q(INSERT INTO note SELECT g, repeat('x', 1000) FROM generate_series(1, 5000) g);
sql(qq(CREATE EXTENSION tenancy;
	SELECT tenancy.register_system('notes', 'Notes', 'notes', 'us'), tenancy.register_system('heavy', 'Heavy', 'heavy', 'us');
	SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id integer, body text)');
	SELECT tenancy.create_tenant('t' || n, 'Tenant'), tenancy.install_system('t' || n, 'notes') FROM generate_series(1, 3) n;
	SELECT tenancy.register_version('notes', '1.1.0', 'CREATE TABLE note (id integer, body text, more integer)');
	SELECT tenancy.register_migration('notes', '1.0.0', '1.1.0', \$\$ALTER TABLE note ADD COLUMN more integer; $much\$\$, 'ALTER TABLE note DROP COLUMN more');
	SELECT tenancy.register_version('heavy', '1.0.0', \$\$CREATE TABLE note (id integer, body text); $much\$\$);
	SELECT tenancy.assign_tier_system('rich', 'heavy')));
my $state = q(SELECT string_agg(concat_ws(' ', i.tenant_id, i.version, a.attname), ', ' ORDER BY i.tenant_id) FROM tenancy.installed_systems i
	LEFT JOIN pg_attribute a ON a.attrelid = format('%I.note', i.schema_name)::regclass AND a.attname = 'more' WHERE i.system_id = 'notes');

#
# An update, a rollout, provisioning, a pool
#

fill_disk();
like(error_of(q(SELECT tenancy.update_system('t1', 'notes'))), qr/ERROR:  $full: could not (extend|write)/, 'an update fails');
is(sql($state), 't1 1.0.0, t2 1.0.0, t3 1.0.0', 'and its tenant is where it was');

my $id = sql(q(SELECT tenancy.start_rollout('notes', tenants => ARRAY['t1', 't2'], on_error => 'continue', max_attempts => 1)));
ok($node->poll_query_until('postgres', "SELECT state = 'failed' FROM tenancy.rollouts WHERE rollout_id = $id"), 'a rollout fails');
is(sql("SELECT count(*) FROM tenancy.rollout_items WHERE rollout_id = $id AND state = 'failed' AND sqlstate IN ('53100', 'XX000') AND error_message ~ 'could not (extend|write)'"), '2', 'each of its tenants with the error');
is(sql($state), 't1 1.0.0, t2 1.0.0, t3 1.0.0', 'and all are where they were');

like(error_of(q(SELECT tenancy.create_tenant('t9', 'Rich', tier => 'rich'))), qr/ERROR:  $full: could not (extend|write)/, 'provisioning fails');
is(sql(q(SELECT count(*) FROM tenancy.tenants WHERE tenant_id = 't9')), '0', 'and leaves no tenant');

sql(q(SELECT tenancy.set_pool_size('heavy', 1)));
ok($node->poll_query_until('postgres', q(SELECT error ~ 'could not (extend|write)' FROM tenancy.stat_pool WHERE system_id = 'heavy')), "the pool's worker fails, and says why");
is(sql(q(SELECT count(*) FROM tenancy.spares)), '0', 'and leaves no spare');
is(sql($torn), '0', 'nothing is left of anything');

make_room();
sql(q(UPDATE tenancy.pool_failures SET next_try = '-infinity' WHERE next_try < 'infinity'));
sql(q(SELECT tenancy.set_pool_size('heavy', 1)));
is(sql(q(SELECT tenancy.update_system('t3', 'notes'))), '1.1.0', 'with room the update succeeds');
sql("SELECT tenancy.retry_rollout($id)");
ok($node->poll_query_until('postgres', "SELECT state = 'done' FROM tenancy.rollouts WHERE rollout_id = $id"), 'and the rollout, where it is tried again');
is(sql($state), 't1 1.1.0 more, t2 1.1.0 more, t3 1.1.0 more', 'all have the version');
sql(q(SELECT tenancy.create_tenant('t9', 'Rich', tier => 'rich')));
is(sql(q(SELECT status FROM tenancy.tenants WHERE tenant_id = 't9')), 'active', 'and provisioning');
ok($node->poll_query_until('postgres', q(SELECT state = 'full' FROM tenancy.stat_pool WHERE system_id = 'heavy')), 'and the pool is full');
is(sql($torn), '0', 'with nothing left over');

done_testing();
