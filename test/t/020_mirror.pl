# The mirror: first copy, change stream, misfits, collections that come and go, and who may have one.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Mirror::Node;
use Mongo::Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = Mongo::Server->new('main')->start;
my $node = mirror_node();
$node->safe_psql('postgres', qq(
	CREATE EXTENSION tenancy_mongo CASCADE;
	CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '@{[ $mongo->host ]}', replica_set 'rs0');
	CREATE SCHEMA shop;
	CREATE FOREIGN TABLE shop.items_in_mongo (_id text, name text, price numeric, city text OPTIONS (path 'address.city'),
		tags jsonb, document jsonb OPTIONS (document 'true')) SERVER platform OPTIONS (database 'shop', collection 'items');
	CREATE TABLE shop.items (_id text PRIMARY KEY, name text NOT NULL, price numeric CHECK (price >= 0), city text, tags jsonb,
		document jsonb, code text UNIQUE, noted_at timestamptz NOT NULL DEFAULT now(), upper_name text GENERATED ALWAYS AS (upper(name)) STORED);));

sub refused
{
	my ($sql, $pattern, $what) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return like($stderr, $pattern, $what);
}

# What came from MongoDB before the moment of the call is here, and the rest of the stream as well.
my $marks = 0;
sub level
{
	my $mark = 'mark-' . ++$marks;
	$mongo->insert('shop', 'items', qq({"_id": "$mark", "name": "mark"}));
	return $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM shop.items WHERE _id = '$mark'");
}

my $names    = q(SELECT string_agg(_id || '=' || name, ' ' ORDER BY _id) FROM shop.items WHERE name <> 'mark');
my $misfits  = q(SELECT coalesce(string_agg(document_id || ' ' || coalesce(path, '-') || ' ' || sqlstate, ', ' ORDER BY document_id), 'none') FROM tenancy_mongo.misfits);
my $state    = q(SELECT string_agg(local_table || ' ' || state, ', ' ORDER BY local_table::text) FROM tenancy_mongo.stat_mirror);
my $oid      = '65f64617461001f000000038';

my $mirror_items = "SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.items')";
sql(q(CREATE ROLE owner; CREATE ROLE other; GRANT ALL ON SCHEMA shop TO owner, other; ALTER TABLE shop.items OWNER TO owner;
	GRANT USAGE ON SCHEMA tenancy_mongo TO owner; GRANT USAGE ON FOREIGN SERVER platform TO owner; GRANT SELECT ON shop.items_in_mongo TO owner));

#
# The first copy
#

$mongo->insert('shop', 'items',
	'{"_id": "a", "name": "Apple", "price": {"$numberDecimal": "1.50"}, "address": {"city": "Ulm"}, "tags": ["x", 1]}',
	qq({"_id": {"\$oid": "$oid"}, "name": "Pear"}),
	'{"_id": "no name", "price": 1}',
	'{"_id": "no number", "name": "n", "price": "cheap"}',
	'{"_id": "negative", "name": "n", "price": -1}',
	'{"_id": {"k": 1}, "name": "n"}');
sql("SET ROLE owner; $mirror_items");
becomes($names, "$oid=Pear a=Apple", 'documents that fit are copied');
is(sql("SELECT price, city, tags, document ->> 'name', upper_name, noted_at IS NOT NULL FROM shop.items WHERE _id = 'a'"),
	'1.50|Ulm|["x", 1]|Apple|APPLE|t', 'columns, paths, generated columns and defaults');
becomes($misfits, '"negative" - 23514, "no name" name 23502, "no number" price 42804, {"k": 1} _id 42804', 'those that do not are misfits');
like(sql(q(SELECT reason FROM tenancy_mongo.misfits WHERE document_id = '"negative"')), qr/check constraint "items_price_check"/, 'with the reason');
like(sql(q(SELECT document FROM tenancy_mongo.misfits WHERE document_id = '"no number"')), qr/"price" : "cheap"|"price": "cheap"/, 'and the document');
becomes($state, 'shop.items streaming', 'stat_mirror says that it streams');
is(sql('SELECT rows_copied, misfits, last_error IS NULL FROM tenancy_mongo.stat_mirror'), '6|4|t', 'and what it copied');
refused("SET ROLE owner; $mirror_items", qr/42710.*unmirror\('shop\.items'\)|55000.*not empty/s, 'a mirror is made once');

#
# The stream
#

$mongo->insert('shop', 'items', '{"_id": "b", "name": "Beet"}');
$mongo->update('shop', 'items', '{"_id": "a"}', '{"$set": {"name": "Avocado", "address.city": "Bonn"}}');
$mongo->delete('shop', 'items', qq({"_id": {"\$oid": "$oid"}}));
becomes($names, 'a=Avocado b=Beet', 'insert, update and delete');
is(sql("SELECT city, upper_name FROM shop.items WHERE _id = 'a'"), 'Bonn|AVOCADO', 'the nested field too');

sql(q(UPDATE shop.items SET code = 'local' WHERE _id = 'a'));
$mongo->command('shop', '{"update": "items", "updates": [{"q": {"_id": "a"}, "u": {"name": "Almond", "price": 3}}]}');
becomes(q(SELECT name || ' ' || price || ' ' || code || ' ' || coalesce(city, 'nowhere') FROM shop.items WHERE _id = 'a'), 'Almond 3 local nowhere',
	"a replaced document; a column that is the table's own stays");

$mongo->command('shop', '{"delete": "items", "deletes": [{"q": {"_id": "b"}, "limit": 1}]}');
$mongo->insert('shop', 'items', '{"_id": "b", "name": "Bean"}');
becomes($names, 'a=Almond b=Bean', 'deleted and inserted again');

#
# Misfits come and go
#

$mongo->update('shop', 'items', '{"_id": "no name"}', '{"$set": {"name": "Nut"}}');
$mongo->update('shop', 'items', '{"_id": "negative"}', '{"$set": {"price": 1}}');
$mongo->delete('shop', 'items', '{"_id": {"k": 1}}');
becomes($misfits, '"no number" price 42804', 'a misfit that is mended or deleted is one no longer');
becomes($names, 'a=Almond b=Bean negative=n no name=Nut', 'and has its row');
$mongo->update('shop', 'items', '{"_id": "a"}', '{"$set": {"price": -3}}');
$mongo->insert('shop', 'items', qq({"_id": "$oid", "name": "Twin"}));
becomes($misfits, qq("$oid" _id 23505, "a" - 23514, "no number" price 42804),
	'what breaks a constraint is one, and a string that looks like an ObjectId');
becomes($names, 'b=Bean negative=n no name=Nut', 'and leaves no older row');
$mongo->update('shop', 'items', '{"_id": "a"}', '{"$set": {"price": {"$numberDouble": "NaN"}}}');
$mongo->update('shop', 'items', '{"_id": "b"}', '{"$set": {"name": "nul\u0000nul"}}');
$mongo->delete('shop', 'items', qq({"_id": "$oid"}));
becomes(q(SELECT price::text FROM shop.items WHERE _id = 'a'), 'NaN', 'a NaN fits numeric');
becomes($misfits, '"b" name 22021, "no number" price 42804', 'a NUL character fits no text')
  or diag sql('SELECT * FROM tenancy_mongo.misfits');
$mongo->delete('shop', 'items', '{"_id": {"$in": ["b", "no number"]}}');
becomes($misfits, 'none', 'deleted misfits are gone');

# Two documents that swap a unique value within one batch are no misfits; nor is a row whose parent comes later in it.
sql(q(CREATE FOREIGN TABLE shop.seats_in_mongo (_id text, person text, room text) SERVER platform OPTIONS (database 'shop', collection 'seats');
	CREATE FOREIGN TABLE shop.rooms_in_mongo (_id text) SERVER platform OPTIONS (database 'shop', collection 'rooms');
	CREATE TABLE shop.rooms (_id text PRIMARY KEY);
	CREATE TABLE shop.seats (_id text PRIMARY KEY, person text UNIQUE, room text REFERENCES shop.rooms DEFERRABLE INITIALLY DEFERRED, own int);
	SELECT tenancy_mongo.mirror('shop.seats_in_mongo', 'shop.seats');
	SELECT tenancy_mongo.mirror('shop.rooms_in_mongo', 'shop.rooms')));
becomes($state, 'shop.items streaming, shop.rooms streaming, shop.seats streaming', 'a second and a third mirror join the stream');
$mongo->insert('shop', 'items', '{"_id": "still", "name": "here"}');
becomes($names, 'a=Almond negative=n no name=Nut still=here', 'the first goes on');
$mongo->insert('shop', 'rooms', '{"_id": "r1"}');
$mongo->insert('shop', 'seats', '{"_id": "s1", "person": "Ada", "room": "r1"}', '{"_id": "s2", "person": "Bob", "room": "r1"}');
becomes(q(SELECT string_agg(_id || person, ' ' ORDER BY _id) FROM shop.seats), 's1Ada s2Bob', 'two seats');

# A batch in one piece: the worker waits for a lock while all is written.
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK shop.seats, shop.rooms');
$mongo->update('shop', 'seats', '{"_id": "s1"}', '{"$set": {"person": "nobody"}}');
ok($node->poll_query_until('postgres', q(SELECT count(*) > 0 FROM pg_locks WHERE relation = 'shop.seats'::regclass AND NOT granted)),
	'the worker waits for the lock');
$mongo->update('shop', 'seats', '{"_id": "s1"}', '{"$set": {"person": "none"}}');
$mongo->update('shop', 'seats', '{"_id": "s2"}', '{"$set": {"person": "Ada"}}');
$mongo->update('shop', 'seats', '{"_id": "s1"}', '{"$set": {"person": "Bob"}}');
$mongo->insert('shop', 'seats', '{"_id": "s3", "person": "Cyd", "room": "r2"}', '{"_id": "s4", "person": "Dan", "room": "r9"}');
$mongo->insert('shop', 'rooms', '{"_id": "r2"}');
$locker->query_safe('COMMIT');
$locker->quit;
becomes(q(SELECT string_agg(_id || person, ' ' ORDER BY _id) FROM shop.seats), 's1Bob s2Ada s3Cyd', 'swapped values and a later parent are no misfits');
becomes($misfits, '"s4" - 23503', 'a parent that never comes makes one');
refused('BEGIN; DELETE FROM shop.rooms; SET CONSTRAINTS ALL IMMEDIATE', qr/23503/, 'constraints are real');

#
# Row-level security and privileges
#

sql(q(ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY; ALTER TABLE shop.items FORCE ROW LEVEL SECURITY;
	GRANT SELECT ON shop.items TO other));
$mongo->update('shop', 'items', '{"_id": "still"}', '{"$set": {"name": "there"}}');
becomes($names, 'a=Almond negative=n no name=Nut still=there', 'the mirror writes below row-level security');
is(sql('SET ROLE other; SELECT count(*) FROM shop.items'), '0', 'which decides what others read');
sql('ALTER TABLE shop.items NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY');
is(sql(q(SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = 'tenancy_mirror')), 'f', "the workers' role is no superuser");
is(sql(q(SELECT string_agg(DISTINCT usename, ' ') FROM pg_stat_activity WHERE backend_type ~ '^tenancy mirror')), 'tenancy_mirror', 'and they are it');
my ($status, $stdout, $stderr) = $node->psql('postgres', 'SELECT 1', connstr => $node->connstr('postgres') . ' user=tenancy_mirror');
like($stderr, qr/too many connections for role "tenancy_mirror"/, 'a client cannot be');

# What the owner's triggers do, they do as the owner, and nothing of it stays.
sql(q(SET ROLE owner; CREATE TABLE shop.seen (who name, path text);
	CREATE FUNCTION shop.look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO shop.seen VALUES (current_user, current_setting('search_path'));
		PERFORM set_config('search_path', 'shop', false);
		IF NEW.name = 'thief' THEN PERFORM count(*) FROM tenancy_mongo.misfits; END IF;
		IF NEW.name = 'changeling' THEN SET ROLE tenancy_mirror; END IF;
		IF NEW.name = 'sleeper' THEN EXECUTE 'DECLARE sleeper CURSOR WITH HOLD FOR SELECT 1'; END IF;
		RETURN NEW; END $$;
	CREATE TRIGGER look BEFORE INSERT OR UPDATE ON shop.items FOR EACH ROW EXECUTE FUNCTION shop.look()));
$mongo->insert('shop', 'items', '{"_id": "seen", "name": "seen"}');
becomes(q(SELECT string_agg(DISTINCT who || ' ' || path, ', ') FROM shop.seen), 'owner pg_catalog, pg_temp', "a trigger runs as the table's owner");
$mongo->insert('shop', 'items', '{"_id": "seen2", "name": "seen"}');
becomes('SELECT count(*) FROM shop.seen', '2', 'again');
is(sql('SELECT count(DISTINCT path) FROM shop.seen'), '1', 'a setting that a trigger changes is changed back');
for my $name ('thief', 'changeling', 'sleeper')
{
	$mongo->insert('shop', 'items', qq({"_id": "$name", "name": "$name"}));
	becomes(q(SELECT state || ' ' || last_error_state FROM tenancy_mongo.stat_mirror WHERE local_table = 'shop.items'::regclass), 'error 42501',
		"a $name gets nothing");
	sql(q(DROP TRIGGER look ON shop.items));
	becomes($state, 'shop.items streaming, shop.rooms streaming, shop.seats streaming', 'mended');
	sql(q(CREATE TRIGGER look BEFORE INSERT OR UPDATE ON shop.items FOR EACH ROW EXECUTE FUNCTION shop.look()));
}
sql(q(DROP TRIGGER look ON shop.items));
$mongo->delete('shop', 'items', '{"_id": {"$in": ["seen", "seen2", "thief", "changeling", "sleeper"]}}');
becomes($names, 'a=Almond negative=n no name=Nut still=there', 'as before');

sql('REVOKE UPDATE ON shop.rooms FROM tenancy_mirror');
$mongo->insert('shop', 'rooms', '{"_id": "r3"}');
becomes($state, 'shop.items streaming, shop.rooms error, shop.seats streaming', 'a table whose privileges were taken away stops alone');
is(sql(q(SELECT last_error_state, last_error FROM tenancy_mongo.stat_mirror WHERE local_table = 'shop.rooms'::regclass)),
	'42501|permission denied for table rooms', 'and says why');
sql('GRANT UPDATE ON shop.rooms TO tenancy_mirror');
becomes($state, 'shop.items streaming, shop.rooms streaming, shop.seats streaming', 'it goes on when they are back');
becomes(q(SELECT string_agg(_id, ' ' ORDER BY _id) FROM shop.rooms), 'r1 r2 r3', 'with what it missed');

#
# Definitions that change
#

sql(q(ALTER TABLE shop.rooms ADD COLUMN floor int; ALTER FOREIGN TABLE shop.rooms_in_mongo ADD COLUMN floor int));
$mongo->update('shop', 'rooms', '{"_id": "r1"}', '{"$set": {"floor": 1}}');
becomes(q(SELECT string_agg(_id || coalesce(floor, 0), ' ' ORDER BY _id) FROM shop.rooms), 'r11 r20 r30', 'a new column');
sql(q(ALTER FOREIGN TABLE shop.rooms_in_mongo ALTER COLUMN floor OPTIONS (ADD path 'level')));
becomes(q(SELECT string_agg(_id || coalesce(floor, 0), ' ' ORDER BY _id) FROM shop.rooms), 'r10 r20 r30', 'a new path brings the old documents too');
sql(q(ALTER TABLE shop.rooms DROP COLUMN floor));
becomes($state, 'shop.items streaming, shop.rooms error, shop.seats streaming', 'a column that is missing stops the table');
sql(q(ALTER FOREIGN TABLE shop.rooms_in_mongo DROP COLUMN floor));
becomes($state, 'shop.items streaming, shop.rooms streaming, shop.seats streaming', 'until the two match again');

#
# Collections that come and go
#

$mongo->command('admin', '{"renameCollection": "shop.rooms", "to": "shop.halls"}');
becomes($misfits, '"s4" - 23503', 'misfits before');
becomes($state, 'shop.items streaming, shop.rooms error, shop.seats streaming', 'rows that are referred to cannot be taken away');
is(sql(q(SELECT last_error_state FROM tenancy_mongo.stat_mirror WHERE local_table = 'shop.rooms'::regclass)), '23503', 'and that is told');
$mongo->command('admin', '{"renameCollection": "shop.halls", "to": "shop.rooms"}');
sql(q(ALTER TABLE shop.seats DROP CONSTRAINT seats_room_fkey));
becomes(q(SELECT string_agg(_id, ' ' ORDER BY _id) FROM shop.rooms), 'r1 r2 r3', 'a collection renamed back');
becomes($state, 'shop.items streaming, shop.rooms streaming, shop.seats streaming', 'all stream');
sql(q(SELECT tenancy_mongo.unmirror('shop.rooms'), tenancy_mongo.unmirror('shop.seats')));
is(sql('SELECT count(*) FROM shop.rooms'), '3', 'unmirror() keeps the rows');
becomes($misfits, 'none', 'and forgets the misfits');
is(sql(q(SELECT has_table_privilege('tenancy_mirror', 'shop.rooms', 'SELECT, INSERT, UPDATE, DELETE'))), 'f', "and the role's privileges");
ok(level(), 'the rest streams on');
is(sql('SELECT count(*) FROM shop.rooms'), '3', 'what is no mirror stays as it is');

$mongo->command('admin', '{"renameCollection": "shop.items", "to": "shop.things"}');
becomes('SELECT count(*) FROM shop.items', '0', 'renamed away: the rows are gone');
$mongo->insert('shop', 'items', '{"_id": "a", "name": "Anew"}');
becomes($names, 'a=Anew', 'made again with a key that was there before');
$mongo->command('admin', '{"renameCollection": "shop.things", "to": "shop.items", "dropTarget": true}');
becomes($names, 'a=Almond negative=n no name=Nut still=there', 'renamed onto: the other documents');
is(sql(q(SELECT code IS NULL FROM shop.items WHERE _id = 'a')), 't', "with their rows' own columns gone");
$mongo->command('shop', '{"drop": "items"}');
becomes('SELECT count(*) FROM shop.items', '0', 'dropped');
$mongo->insert('shop', 'items', '{"_id": "a", "name": "Third"}', '{"_id": "bad"}');
becomes($names, 'a=Third', 'made again');
becomes($misfits, '"bad" name 23502', 'with a misfit');
$mongo->command('shop', '{"dropDatabase": 1}');
becomes('SELECT count(*) FROM shop.items', '0', 'its database dropped');
becomes($misfits, 'none', 'misfits go with their collection');
ok(level(), 'and the stream goes on');

#
# Events of more than 16 MB: what an update sets is told of twice, and a key stands in the document, beside it and in the token
#

my $nine = 9_000_000;
my $key  = 'k' x 20_000;
$mongo->insert('shop', 'items', '{"_id": "wide", "name": "Wide"}');
$mongo->update('shop', 'items', '{"_id": "wide"}', '{"$set": {"price": 2, "pad": "' . 'p' x $nine . '"}}');
becomes(q(SELECT price || ' ' || length(document ->> 'pad') FROM shop.items WHERE _id = 'wide'), "2 $nine", 'an update of 18 MB');
$mongo->command('shop', '{"collMod": "items", "changeStreamPreAndPostImages": {"enabled": true}}');
$mongo->insert('shop', 'items', qq({"_id": "$key", "name": "Key", "pad": ") . 'p' x $nine . '"}');
$mongo->update('shop', 'items', '{"name": "Key"}', '{"$set": {"more": "' . 'm' x (16_740_000 - $nine) . '"}}');
$mongo->insert('shop', 'items', '{"_id": "behind", "name": "Behind"}');
becomes(q(SELECT name FROM shop.items WHERE _id = 'behind'), 'Behind', 'a post-image too large for its event does not stop the stream');
is(sql(q(SELECT length(_id), length(document ->> 'pad') + length(document ->> 'more') FROM shop.items WHERE name = 'Key')), '20000|16740000', 'and its row is there');
like(slurp_file($node->logfile), qr/meets a change event of more than 16 MB/, 'the log tells of it');
$mongo->delete('shop', 'items', '{}');
ok(level(), 'and the stream goes on');

#
# MongoDB is away
#

$mongo->kill9;
becomes(q(SELECT (last_error_state LIKE '08%')::text FROM tenancy_mongo.stat_mirror), 'true', 'a server that is away is told of');
$mongo->restart;
ok(level(), 'and the mirror comes back');
becomes(q(SELECT (restarts > 0)::text FROM tenancy_mongo.stat_mirror), 'true', 'restarts are counted');

#
# The end of the last mirror ends the workers
#

sql("SELECT tenancy_mongo.unmirror('shop.items')");
becomes(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^tenancy mirror'), '0', 'no mirror, no worker');
sql("TRUNCATE shop.items; $mirror_items");
ok(level(), 'and it can be made again');
my $log = slurp_file($node->logfile);
unlike($log, qr/terminated by signal|PANIC|TRAP/, 'no worker crashed');

done_testing();
