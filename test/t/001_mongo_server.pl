# The harness itself: what the other tests believe about their mongod.
use strict;
use warnings FATAL => 'all';

use Mongo::Server;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = Mongo::Server->new('main')->start;

$mongo->insert('shop', 'items', map { qq({"_id": $_, "n": {"\$numberLong": "$_"}, "s": "é\\n"}) } 1 .. 2500);
is(scalar($mongo->find_all('shop', 'items')), 2500, 'find_all reads beyond one batch');
is(scalar($mongo->find_all('shop', 'items', '{"n": {"$gt": 2000}}')), 500, 'find_all filters');
is($mongo->update('shop', 'items', '{"_id": 5}', '{"$set": {"n": 0}}'), 1, 'update tells how many it met');
is($mongo->delete('shop', 'items', '{"_id": {"$gt": 2490}}'), 10, 'delete tells how many it met');

$mongo->kill9;
$mongo->start;
is(scalar($mongo->find_all('shop', 'items')), 2490, 'the data outlives kill -9');

$mongo->stall;
$mongo->continue;
$mongo->restart;
is(($mongo->find_all('shop', 'items', '{"_id": 5}'))[0]{n}, 0, 'and a stall and a restart');

ok(!eval { $mongo->command('shop', '{"nonsense": 1}') }, 'an unknown command dies');
like($@, qr/no such command.*\(code 59\)/, 'with the server\'s words and code');
ok(!eval { $mongo->insert('shop', 'items', '{"_id": 5}') }, 'so does a write error');
like($@, qr/duplicate key/, 'with its words');

$mongo->fail_point('failCommand', '{"times": 1}', '{"failCommands": ["ping"], "errorCode": 91}');
ok(!eval { $mongo->command('shop', [ ping => 1 ]) }, 'a fail point fails');
ok($mongo->command('shop', [ ping => 1 ]), 'as often as asked');
like($mongo->open_cursors, qr/^\d+$/, 'open_cursors counts');

my $guarded = Mongo::Server->new('guarded', auth => 1)->start;
$guarded->restart;
is($guarded->insert('shop', 'items', '{"_id": 1}'), 1, 'with auth, the harness logs in');

my $alone = Mongo::Server->new('alone', replicas => 0)->start;
is($alone->command('admin', [ hello => 1 ])->{setName}, undef, 'a standalone server is in no replica set');
$alone->stall;    # and END ends it all the same

done_testing();
