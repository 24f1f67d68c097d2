# maxTimeMS: what is left of a statement's time goes with its commands, so that MongoDB does not work on for a client that is
# gone or cut off.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Foreign::Node;
use Mongo::Server;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $mongo = Mongo::Server->new('main')->start;
my $node  = foreign_node($mongo, 'restart_after_crash = on');

# A view that takes a second for each document: two minutes for the first batch, if it is let.
$mongo->insert('test', 'docs', map { qq({"_id": $_, "n": @{[ $_ % 7 ]}}) } 1 .. 1200);
$mongo->command('test', '{"create": "slow", "viewOn": "docs", "pipeline": [{"$match": {"$expr": {"$function": {"body": "function() { var end = Date.now() + 1000; while (Date.now() < end) {} return true; }", "args": [], "lang": "js"}}}}]}');
$node->safe_psql('postgres', q(
	CREATE FOREIGN TABLE docs (id int OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'test', collection 'docs', batch_size '100');
	CREATE FOREIGN TABLE slow (id int OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'test', collection 'slow');
	SELECT count(*) FROM docs;));

sub commands_of
{
	my ($filter) = @_;
	return @{ $mongo->command('test', qq({"find": "system.profile", "filter": {"appName": "pg_tenancy", $filter}, "batchSize": 1000}))->{cursor}{firstBatch} };
}
# The commands of ours that the server works on.
sub working { return scalar grep { ($_->{appName} // '') eq 'pg_tenancy' && ($_->{ns} // '') =~ /^test\./ } @{ $mongo->command('admin', '{"aggregate": 1, "pipeline": [{"$currentOp": {}}], "cursor": {}}')->{cursor}{firstBatch} }; }

#
# Which commands have a limit
#

$mongo->command('test', '{"profile": 2}');
sub limits { my @limits = map { $_->{command}{maxTimeMS} // 'none' } commands_of($_[0]); $mongo->command('test', '{"profile": 0}'); $mongo->command('test', '{"drop": "system.profile"}'); $mongo->command('test', '{"profile": 2}'); return @limits; }
my $finds = '"command.find": "docs"';

sql('SELECT count(*) FROM (SELECT * FROM docs OFFSET 0) d');
is_deeply([ limits($finds) ], ['none'], 'without statement_timeout there is no limit');
sql("SET statement_timeout = '1min'; SELECT count(*) FROM (SELECT * FROM docs OFFSET 0) d");
my @limits = limits($finds);
is(scalar @limits, 1, 'a scan');
cmp_ok($limits[0], '>', 30_000, 'has what is left');
cmp_ok($limits[0], '<=', 60_500, 'and half a second more');
sql("SET statement_timeout = '1min'; SELECT count(*) FROM docs GROUP BY n");
cmp_ok((limits('"command.aggregate": "docs"'))[0], '<=', 60_500, 'an aggregate too');
sql("SET statement_timeout = '1min'; PREPARE p AS SELECT * FROM docs WHERE id < 5; EXECUTE p");
cmp_ok((limits($finds))[0], '<=', 60_500, 'and a prepared statement');
sql("SET statement_timeout = '1min'; UPDATE docs SET n = 7 WHERE id = 7; INSERT INTO docs VALUES (5000, 1); DELETE FROM docs WHERE id = 5000");
is(scalar(grep { $_ ne 'none' && $_ <= 60_500 } limits('"op": {"$in": ["update", "insert", "remove", "command"]}, "command.ordered": true')) > 0 ? 'limited' : '', 'limited', 'and what is written') or diag(explain([ commands_of('"op": {"$ne": "x"}') ]));
sql("SET statement_timeout = '1min'; BEGIN; DECLARE c CURSOR FOR SELECT * FROM docs; FETCH 5 FROM c; COMMIT");
is_deeply([ limits($finds) ], ['none'], 'a cursor has a time of its own in each statement');
sql(q(SET statement_timeout = '1min'; DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM docs LOOP END LOOP; END $$));
is_deeply([ limits($finds) ], ['none'], 'as a loop of plpgsql has');
$mongo->command('test', '{"profile": 0}');

#
# It expires: an error, and no short result
#

$mongo->fail_point('maxTimeAlwaysTimeOut', 'alwaysOn', '{}');
like(error_of("SET statement_timeout = '1min'; SELECT * FROM docs"), qr/ERROR:  57014: could not read collection "test\.docs"\nDETAIL:  .*time limit/, 'a find that runs out of time');
is(sql("SET statement_timeout = '1min'; BEGIN; DECLARE c CURSOR FOR SELECT * FROM docs; MOVE 1000 IN c; FETCH 1 FROM c; COMMIT") =~ /^\d+\|\d$/ ? 'a row' : '', 'a row', 'what has no limit does not');
like(error_of("SET statement_timeout = '1min'; INSERT INTO docs VALUES (6000, 1)"), qr/ERROR:  57014: could not write to collection/, 'nor is anything written in part');
$mongo->fail_point('maxTimeAlwaysTimeOut', 'off');
is(sql('SELECT count(*) FROM docs'), '1200', 'all documents, and no other');
$mongo->fail_point('failCommand', '{"times": 1}', '{"failCommands": ["getMore"], "errorCode": 50}');
like(error_of("SET statement_timeout = '1min'; SELECT * FROM docs"), qr/ERROR:  57014: could not read collection "test\.docs"/, 'a getMore that runs out of time');

my $started = time;
like(error_of("SET statement_timeout = '1s'; SELECT * FROM slow"), qr/ERROR:  57014: canceling statement due to statement timeout/, 'the statement\'s own limit speaks first');
cmp_ok(time - $started, '<', 8, 'in time');
ok($mongo->poll_until('has no command of ours', sub { working() == 0 }), 'and the server stops as well');

#
# A client that is gone, and one that is cut off
#

my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_until(qr/starts/, "\\echo starts\nSET statement_timeout = '3s';\nSELECT * FROM slow;\n");
ok($mongo->poll_until('works for us', sub { working() > 0 }), 'a command is under way');
kill 'STOP', $pid;
$started = time;
ok($mongo->poll_until('has no command of ours', sub { working() == 0 }), 'its client answers no more: the server ends it');
cmp_ok(time - $started, '<', 20, 'a little after the statement\'s time');
kill 'CONT', $pid;
ok($node->poll_query_until('postgres', "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid"), 'the client comes back');
$session->query('SELECT 1');
like($session->{stderr}, qr/ERROR:  canceling statement due to statement timeout/, 'to an error');
$session->quit;

$session = $node->background_psql('postgres', on_error_stop => 0);
$pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_until(qr/starts/, "\\echo starts\nSET statement_timeout = '5s';\nSELECT * FROM slow;\n");
ok($mongo->poll_until('works for us', sub { working() > 0 }), 'another one');
kill 'KILL', $pid;
ok($mongo->poll_until('has no command of ours', sub { working() == 0 }), 'its client is killed: the server ends it');
eval { $session->quit };
ok($node->poll_query_until('postgres', 'SELECT true'), 'PostgreSQL starts again');

done_testing();
