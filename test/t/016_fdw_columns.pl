# Columns that are no plain field: ObjectIds as a type of their own, and what no other column holds.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Foreign::Node;
use Mongo::Server;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = Mongo::Server->new('main')->start;
my $node  = foreign_node($mongo, "timezone = 'UTC'");

sub stored { my ($collection, $filter) = @_; return $mongo->command_text('test', qq({"find": "$collection", "filter": $filter, "sort": {"_id": 1}})) =~ s/.*"firstBatch" ?: ?\[ ?(.*?) ?\], "id" ?:.*/$1/r; }

#
# ObjectIds
#

sub oid { return sprintf '{"$oid": "65000000%016x"}', $_[0]; }
sub id  { return sprintf '65000000%016x', $_[0]; }
$mongo->insert('test', 'orders', map({ '{"_id": ' . oid($_) . ', "customer": ' . ($_ % 5 ? oid(1000 + $_ % 5) : 'null') . qq(, "n": $_, "others": [) . oid($_) . ', null]}' } 1 .. 50), '{"_id": ' . oid(300) . ', "n": 300}');
sql(q(CREATE FOREIGN TABLE orders (_id tenancy_mongo.object_id, customer tenancy_mongo.object_id, n int, others tenancy_mongo.object_id[]) SERVER m OPTIONS (database 'test', collection 'orders');
	CREATE FOREIGN TABLE unpushed (_id tenancy_mongo.object_id, customer tenancy_mongo.object_id, n int) SERVER m OPTIONS (database 'test', collection 'orders', pushdown 'false');
	CREATE TABLE copy AS SELECT * FROM unpushed; CREATE TABLE customers AS SELECT DISTINCT customer AS id FROM unpushed WHERE customer IS NOT NULL;));
is(sql('SELECT _id, customer, _id::timestamptz, others[1] FROM orders WHERE n = 1'), id(1) . '|' . id(1001) . '|2023-09-12 06:06:56+00|' . id(1), 'an ObjectId is read');
my $compared = 0;
for my $condition (map({ my $op = $_; map { "$_->[0] $op '$_->[1]'" } [ '_id', id(7) ], [ '_id', id(0) ], [ 'customer', id(1002) ], [ 'customer', id(9999) ] } '=', '<>', '<', '<=', '>', '>='), "_id IN ('" . id(3) . "', '" . id(4) . "')", "customer = ANY (ARRAY['" . id(1001) . "', NULL]::tenancy_mongo.object_id[])",
	"customer NOT IN ('" . id(1001) . "')", 'customer IS NULL', 'customer IS NOT NULL', "customer IS DISTINCT FROM '" . id(1001) . "'", "NOT (customer = '" . id(1001) . "') OR n < 3", '_id::timestamptz > \'2020-01-01\'', "_id = (SELECT max(_id::text)::tenancy_mongo.object_id FROM copy)", "_id::text LIKE '%5'")
{
	my @answers = map { sql("SELECT count(*), sum(n), string_agg(_id::text, ',' ORDER BY _id) FROM $_ WHERE $condition") } 'orders', 'copy';
	is($answers[0], $answers[1], "the same where $condition");
}
for my $order ('customer, _id', 'customer NULLS FIRST, _id DESC', 'customer DESC, _id', '_id DESC')
{
	is(sql("SELECT n FROM orders ORDER BY $order LIMIT 7"), sql("SELECT n FROM copy ORDER BY $order LIMIT 7"), "the same in the order of $order");
}
like(sql('EXPLAIN (VERBOSE, COSTS OFF) SELECT n FROM orders WHERE _id = \'' . id(5) . "'"), qr/"filter": \{"_id": \{"\$eq": \{"\$oid": "@{[ id(5) ]}"\}\}\}/, 'MongoDB looks it up');
is(sql('SELECT count(*), count(DISTINCT customer) FROM orders'), '51|4', 'aggregates');
is(sql('SELECT customer, count(*) FROM orders GROUP BY customer ORDER BY 1 LIMIT 2'), id(1001) . "|10\n" . id(1002) . '|10', 'groups');
is(sql('SELECT count(*) FROM customers c JOIN orders o ON o.customer = c.id'), '40', 'a join');
sql("INSERT INTO orders (n) VALUES (1000); INSERT INTO orders VALUES ('" . id(2000) . "', '" . id(1001) . "', 2000, ARRAY['" . id(5) . "', NULL]::tenancy_mongo.object_id[]); UPDATE orders SET customer = '" . id(1004) . "' WHERE _id = '" . id(3) . "'; DELETE FROM orders WHERE _id = '" . id(4) . "'");
is(stored('orders', '{"n": 2000}'), '{ "_id" : { "$oid" : "' . id(2000) . '" }, "customer" : { "$oid" : "' . id(1001) . '" }, "n" : 2000, "others" : [ { "$oid" : "' . id(5) . '" }, null ] }', 'written as ObjectIds');
is(sql('SELECT _id IS NOT NULL FROM orders WHERE n = 1000; SELECT customer FROM orders WHERE n = 3; SELECT count(*) FROM orders WHERE n = 4'), "t\n" . id(1004) . "\n0", 'made, changed, deleted');
$mongo->insert('test', 'orders', '{"_id": "text", "n": -1}', '{"_id": 5, "customer": "' . id(1) . '", "n": -2}');
like(error_of('SELECT * FROM orders WHERE n = -1'), qr/42804: field "_id" of document "text" does not fit foreign table "orders"/, 'what is no ObjectId does not fit');
like(error_of('SELECT customer FROM orders WHERE n = -2'), qr/42804: field "customer".*\nDETAIL:  The field's type is string, the column's type is tenancy_mongo.object_id/, 'nor its digits');
like(error_of("SELECT * FROM orders WHERE _id = 'xyz'"), qr/22P02: invalid input syntax for type object_id: "xyz"/, 'nor other text');

# A mirror's key
sql(q(CREATE TABLE ids (_id tenancy_mongo.object_id PRIMARY KEY, n int); INSERT INTO ids SELECT _id, n FROM orders WHERE n > 0));
is(sql("SELECT n FROM ids WHERE _id = '" . id(7) . "'"), '7', 'a key of a local table');

#
# The rest
#

$mongo->insert('test', 'docs', '{"_id": 1, "n": 5, "a": {"b": 1, "c": {"$numberLong": "2"}, "e": {}}, "long": {"$numberLong": "7"}, "dec": {"$numberDecimal": "1.50"}, "list": [1, {"x": 2}], "when": {"$date": "2024-05-01T00:00:00Z"}}',
	'{"_id": 2, "a": {"b": 2}}', '{"_id": 3, "n": 1, "a": 5}', '{"_id": 4, "n": null, "a": [{"b": 1}], "x.y": 1}', '{"_id": 5, "a": {}}');
sql(q(CREATE FOREIGN TABLE docs (id int OPTIONS (path '_id'), n int, b int OPTIONS (path 'a.b'), rest jsonb OPTIONS (rest 'true')) SERVER m OPTIONS (database 'test', collection 'docs');
	CREATE FOREIGN TABLE all_rest (rest jsonb OPTIONS (rest 'true')) SERVER m OPTIONS (database 'test', collection 'docs');
	CREATE FOREIGN TABLE json_rest (id int OPTIONS (path '_id'), rest json OPTIONS (rest 'true')) SERVER m OPTIONS (database 'test', collection 'docs');
	CREATE FOREIGN TABLE made (id int OPTIONS (path '_id'), n int, b int OPTIONS (path 'a.b'), rest jsonb OPTIONS (rest 'true')) SERVER m OPTIONS (database 'test', collection 'made');));
is(sql('SELECT id, n, b, rest FROM docs ORDER BY id'), join("\n", '1|5|1|{"a": {"c": 2, "e": {}}, "dec": {"$numberDecimal": "1.50"}, "list": [1, {"x": 2}], "long": 7, "when": {"$date": "2024-05-01T00:00:00Z"}}',
	'2||2|{}', '3|1||{"a": 5}', '4|||{"a": [{"b": 1}], "x.y": 1}', '5|||{"a": {}}'), 'what no other column holds');
is(sql('SELECT rest FROM all_rest WHERE rest ->> \'_id\' = \'2\''), '{"a": {"b": 2}, "_id": 2}', 'all of it, where there is no other column');
is(sql('SELECT rest FROM json_rest WHERE id = 2'), '{"a": {"b": 2}}', 'as json');
is(sql("SELECT id FROM docs WHERE rest ->> 'long' = '7'"), '1', 'is compared here');
is(sql("SELECT count(*) FROM docs WHERE rest ? 'b' OR rest IS NULL"), '0', 'and is never null');
is(sql('SELECT count(*), count(rest) FROM docs'), '5|5', 'counted');

# INSERT
sql(q(INSERT INTO made SELECT * FROM docs WHERE id IN (2, 3, 5); INSERT INTO made VALUES (10, 1, NULL, NULL), (11, NULL, 3, '{"a": {"d": 4}, "z": {"$oid": "650000000000000000000001"}}')));
is(stored('made', '{"_id": {"$lt": 10}}'), stored('docs', '{"_id": {"$in": [2, 3, 5]}}'), 'a copy is the same');
is(stored('made', '{"_id": 10}'), '{ "_id" : 10, "n" : 1 }', 'NULL is nothing');
is(stored('made', '{"_id": 11}'), '{ "_id" : 11, "a" : { "b" : 3, "d" : 4 }, "z" : { "$oid" : "650000000000000000000001" } }', 'merged into one document');
like(error_of("INSERT INTO made VALUES (20, $_)"), qr/22023: column "rest" cannot hold field "\w+"\nDETAIL:  Another column is that field/, "$_ is refused") for q(1, NULL, '{"n": 2}'), q(NULL, NULL, '{"n": null}'), q(NULL, 1, '{"a": 5}'), q(NULL, NULL, '{"a": {"b": 5}}'), q(NULL, NULL, '{"_id": 20}');
like(error_of("INSERT INTO made VALUES (20, 1, 1, '[1]')"), qr/22023:.*\n.*JSON object/, 'it is an object');
is(sql('SELECT count(*) FROM made WHERE id = 20'), '0', 'and nothing of these is stored');

# UPDATE
sub updated { my ($rest) = @_; sql("UPDATE made SET rest = $rest WHERE id = 1"); return stored('made', '{"_id": 1}'); }
$mongo->delete('test', 'made', '{"_id": 1}');
$mongo->insert('test', 'made', '{"_id": 1, "n": {"$numberLong": "5"}, "a": {"b": 1, "c": {"$numberLong": "2"}}, "long": {"$numberLong": "4294967296000"}, "small": {"$numberLong": "7"}, "gone": 1}');
is(updated(q((rest || '{"new": {"x": [1]}}') - 'gone')), '{ "_id" : 1, "n" : 5, "a" : { "b" : 1, "c" : 2 }, "long" : 4294967296000, "small" : 7, "new" : { "x" : [ 1 ] } }', 'what differs is set or taken away');
is($mongo->command('test', '{"aggregate": "made", "pipeline": [{"$match": {"_id": 1}}, {"$project": {"t": [{"$type": "$small"}, {"$type": "$a.c"}, {"$type": "$n"}]}}], "cursor": {}}')->{cursor}{firstBatch}[0]{t}[$_], 'long', 'what stays keeps its type') for 0, 1, 2;
is(updated(q(jsonb_set(rest, '{a,c}', '3'))), '{ "_id" : 1, "n" : 5, "a" : { "b" : 1, "c" : 3 }, "long" : 4294967296000, "small" : 7, "new" : { "x" : [ 1 ] } }', 'beside a column in an embedded document');
is(updated(q('{"a": {"k": 1}}')), '{ "_id" : 1, "n" : 5, "a" : { "b" : 1, "k" : 1 } }', 'another rest');
is(updated(q('{}')), '{ "_id" : 1, "n" : 5, "a" : { "b" : 1 } }', 'none');
sql(q(UPDATE made SET n = 6, b = 2, rest = '{"r": 1}' WHERE id = 1));
is(stored('made', '{"_id": 1}'), '{ "_id" : 1, "n" : 6, "a" : { "b" : 2 }, "r" : 1 }', 'with other columns');
is(sql(q(UPDATE made SET rest = '{"r": 2}' WHERE id = 1 RETURNING rest)), '{"r": 2}', 'RETURNING');
like(error_of("UPDATE made SET rest = '$_' WHERE id = 1"), qr/22023: column "rest" cannot hold field/, "$_ is refused") for '{"n": 1}', '{"a": 5}', '{"a": {"b": 3}}';
like(error_of("UPDATE made SET rest = '{\"_id\": 2}' WHERE id = 1"), qr/0A000: the _id of a document cannot be changed/, 'a key stays');
like(error_of("UPDATE made SET rest = '$_' WHERE id = 1"), qr/0A000: field "\S*" of column "rest" cannot be changed/, "$_ is refused") for '{"x.y": 1}', '{"$set": 1}', '{"": 1}';
like(error_of('UPDATE made SET rest = NULL WHERE id = 1'), qr/23502: column "rest" cannot be set to NULL\n.*\nHINT:  Set it to '\{\}'/, 'not NULL');
is(stored('made', '{"_id": 1}'), '{ "_id" : 1, "n" : 6, "a" : { "b" : 2 }, "r" : 2 }', 'and nothing of these is stored');
sql(q(UPDATE made SET rest = '{"a": 6}' WHERE id = 3; UPDATE made SET rest = rest || '{"q": 1}' WHERE id IN (2, 5)));
is(stored('made', '{"_id": {"$in": [2, 3, 5]}}'), '{ "_id" : 2, "a" : { "b" : 2 }, "q" : 1 }, { "_id" : 3, "n" : 1, "a" : 6 }, { "_id" : 5, "a" : {  }, "q" : 1 }', 'embedded documents that are none');
like(error_of(q(UPDATE made SET rest = '{"a": {"b": 1}}' WHERE id = 3)), qr/22023/, 'and one that becomes the column\'s');

# Tenants
$mongo->insert('test', 'tenants', '{"_id": 1, "tenant_id": "tenant-001", "meta": {"owner": "tenant-001", "x": 1}}', '{"_id": 2, "tenant_id": "tenant-002", "meta": {"owner": "tenant-002"}}');
sql(q(SELECT tenancy.create_tenant('tenant-001', 'one'); SELECT tenancy.create_tenant('tenant-002', 'two');
	CREATE FOREIGN TABLE tenants (id int OPTIONS (path '_id'), rest jsonb OPTIONS (rest 'true')) SERVER m OPTIONS (database 'test', collection 'tenants', tenant_field 'tenant_id');
	CREATE FOREIGN TABLE owners (id int OPTIONS (path '_id'), rest jsonb OPTIONS (rest 'true')) SERVER m OPTIONS (database 'test', collection 'tenants', tenant_field 'meta.owner');));
sub in_context { return "BEGIN; DO \$\$ BEGIN PERFORM tenancy.set_tenant('tenant-001'); END \$\$; $_[0]; COMMIT;"; }
is(sql(in_context('SELECT id, rest FROM tenants')), '1|{"meta": {"x": 1, "owner": "tenant-001"}, "tenant_id": "tenant-001"}', 'a tenant sees its rest');
like(error_of(in_context($_)), qr/42501: row of foreign table "\w+" would not be the tenant's/, "$_ is refused")
	for q(UPDATE tenants SET rest = '{"tenant_id": "tenant-002"}'), q(UPDATE tenants SET rest = '{}'), q(UPDATE tenants SET rest = '{"tenant_id": ["tenant-001", "tenant-002"]}'), q(UPDATE tenants SET rest = rest - 'tenant_id'),
	q(INSERT INTO tenants VALUES (9, '{"tenant_id": "tenant-002"}')), q(INSERT INTO tenants VALUES (9, '{"tenant_id": null}')), q(INSERT INTO tenants VALUES (9, '{"tenant_id": {"x": 1}}')),
	q(UPDATE owners SET rest = '{"meta": {"owner": "tenant-002"}}'), q(UPDATE owners SET rest = '{"meta": 5}'), q(UPDATE owners SET rest = '{"meta": {}}'), q(UPDATE owners SET rest = '{}'), q(INSERT INTO owners VALUES (9, '{"meta": 5}')), q(INSERT INTO owners VALUES (9, '{"meta": {"owner": "tenant-002"}}'));
sql(in_context(q(UPDATE tenants SET rest = rest || '{"more": 1}'; INSERT INTO tenants VALUES (3, '{"y": 1}'); INSERT INTO owners VALUES (4, '{"meta": {"k": 1}}'), (5, NULL))));
is(stored('tenants', '{}'), '{ "_id" : 1, "tenant_id" : "tenant-001", "meta" : { "owner" : "tenant-001", "x" : 1 }, "more" : 1 }, { "_id" : 2, "tenant_id" : "tenant-002", "meta" : { "owner" : "tenant-002" } }, { "_id" : 3, "tenant_id" : "tenant-001", "y" : 1 }, '
	. '{ "_id" : 4, "meta" : { "owner" : "tenant-001", "k" : 1 } }, { "_id" : 5, "meta" : { "owner" : "tenant-001" } }', 'the tenant is kept, and filled in');

#
# Elements of arrays as rows
#

$mongo->insert('test', 'carts', '{"_id": 1, "buyer": "ann", "tenant_id": "tenant-001", "items": [{"sku": "a", "n": 2, "tags": ["x", "y"]}, {"sku": "b", "n": 1}, {"sku": "c"}]}', '{"_id": 2, "buyer": "bob", "tenant_id": "tenant-002", "items": [{"sku": "a", "n": 5, "tenant_id": "tenant-001"}, null]}',
	'{"_id": 3, "buyer": "cat", "tenant_id": "tenant-001", "items": []}', '{"_id": 4, "buyer": "dan", "tenant_id": "tenant-001"}', '{"_id": 5, "buyer": "eve", "tenant_id": "tenant-002", "items": {"sku": "single", "n": 9}}', '{"_id": 6, "buyer": "fay", "items": null}');
my $items = "id int OPTIONS (path '_id'), buyer text, sku text OPTIONS (path 'items.sku'), n int OPTIONS (path 'items.n')";
sql(qq(CREATE FOREIGN TABLE items ($items, tags text[] OPTIONS (path 'items.tags')) SERVER m OPTIONS (database 'test', collection 'carts', unnest 'items', updatable 'true', truncatable 'true');
	CREATE FOREIGN TABLE items_unpushed ($items) SERVER m OPTIONS (database 'test', collection 'carts', unnest 'items', pushdown 'false');
	CREATE FOREIGN TABLE elements (id int OPTIONS (path '_id'), item jsonb OPTIONS (path 'items'), rest jsonb OPTIONS (rest 'true'), d jsonb OPTIONS (document 'true')) SERVER m OPTIONS (database 'test', collection 'carts', unnest 'items');
	CREATE FOREIGN TABLE tags (id int OPTIONS (path '_id'), tag text OPTIONS (path 'items.0.tags')) SERVER m OPTIONS (database 'test', collection 'carts', unnest 'items.0.tags');
	CREATE FOREIGN TABLE tenant_items (id int OPTIONS (path '_id'), sku text OPTIONS (path 'items.sku')) SERVER m OPTIONS (database 'test', collection 'carts', unnest 'items', tenant_field 'tenant_id');
	CREATE FOREIGN TABLE elements_tenant (id int OPTIONS (path '_id'), sku text OPTIONS (path 'items.sku')) SERVER m OPTIONS (database 'test', collection 'carts', unnest 'items', tenant_field 'items.tenant_id');));
is(sql('SELECT id, buyer, sku, n, tags FROM items WHERE id < 7 ORDER BY id, sku'), "1|ann|a|2|{x,y}\n1|ann|b|1|\n1|ann|c||\n2|bob|a|5|\n2|bob|||\n5|eve|single|9|", 'a row of each element; none of an array without; what is no array is its own element');
is(sql('SELECT id, item FROM elements WHERE id IN (1, 2) ORDER BY id, item NULLS LAST'), qq(1|{"sku": "c"}\n1|{"n": 1, "sku": "b"}\n1|{"n": 2, "sku": "a", "tags": ["x", "y"]}\n2|{"n": 5, "sku": "a", "tenant_id": "tenant-001"}\n2|), 'as jsonb');
is(sql("SELECT rest, d FROM elements WHERE item ->> 'sku' = 'b'"), '{"buyer": "ann", "tenant_id": "tenant-001"}|{"_id": 1, "buyer": "ann", "items": {"n": 1, "sku": "b"}, "tenant_id": "tenant-001"}', 'the document has the element in the array\'s place');
for my $query (map({ "SELECT count(*), sum(n), string_agg(sku, ',' ORDER BY id, sku) FROM {t} WHERE id < 7 AND $_" } 'n = 2', 'n > 1', "sku = 'a'", "sku IN ('a', 'single')", 'n IS NULL', 'sku IS NOT NULL', "buyer = 'ann'", "buyer = 'ann' AND n >= 1", "buyer = 'ann' OR n = 5", "NOT (n = 2)", "sku <> 'a'", "buyer LIKE 'a%' AND sku LIKE 'a%'", 'n IS DISTINCT FROM 2', 'id = 1', 'n = id'),
	'SELECT id, sku FROM {t} WHERE id < 7 ORDER BY n NULLS FIRST, sku LIMIT 3', 'SELECT id, n FROM {t} WHERE n IS NOT NULL AND id < 7 ORDER BY n DESC, id LIMIT 2 OFFSET 1', 'SELECT buyer, count(*), sum(n) FROM {t} WHERE id < 7 GROUP BY buyer ORDER BY 1', 'SELECT count(*) FROM {t} WHERE id < 7', 'SELECT DISTINCT buyer FROM {t} WHERE id < 7 ORDER BY 1', 'SELECT max(n) FROM {t} WHERE id < 7',
	'SELECT i, sku FROM generate_series(1, 5) i JOIN {t} ON id = i AND id < 7 ORDER BY 1, 2')
{
	is(sql($query =~ s/\{t\}/items/r), sql($query =~ s/\{t\}/items_unpushed/r), "pushed and not: $query");
}
like(sql("EXPLAIN (VERBOSE, COSTS OFF) SELECT sku FROM items WHERE buyer = 'ann' AND n > 1 LIMIT 5"), qr/Remote command: \{"aggregate": "carts", "pipeline": \[\{"\$unwind": "\$items"\}, \{"\$match": .*\{"\$limit": 5\}\]/, 'the command');
$mongo->insert('test', 'carts', '{"_id": 7, "buyer": "guy", "items": [{"sku": 5, "n": 1.5}]}');
like(error_of('SELECT sku FROM items WHERE buyer = \'guy\''), qr/42804: field "items.sku" of document 7 does not fit/, 'what does not fit is told with its document');
like(error_of('SELECT n FROM items WHERE n > 1 AND id = 7'), qr/22003|42804/, 'also under a condition');
is(sql('SELECT count(*) FROM tags'), '0', 'a path does not go through an array');
like(error_of($_), qr/55000: foreign table "items" does not allow/, "$_ is refused") for 'INSERT INTO items VALUES (1)', 'UPDATE items SET n = 1', 'DELETE FROM items', 'TRUNCATE items';
like(error_of('ANALYZE items'), qr/cannot analyze this foreign table/, 'nor is it analysed');
like(error_of('CREATE TABLE local_items (LIKE items); SELECT tenancy_mongo.mirror(\'items\', \'local_items\')'), qr/0A000: cannot mirror foreign table "items"\nDETAIL:  Its rows are elements of arrays/, 'nor mirrored');
is(sql(in_context("SELECT id, sku FROM tenant_items ORDER BY sku")), "1|a\n1|b\n1|c", 'a tenant sees the elements of its documents');
is(sql(in_context("SELECT id, sku FROM tenant_items WHERE sku = 'a' OR id = 2")), '1|a', 'and of no other');
is(sql(in_context('SELECT count(*) FROM elements_tenant')), '0', 'an element says of no document whose it is');
is(sql('SELECT count(*) FROM tenant_items'), '0', 'without a tenant there is nothing');

# IMPORT
sql(q(CREATE SCHEMA imported; IMPORT FOREIGN SCHEMA test LIMIT TO (orders, docs) FROM SERVER m INTO imported OPTIONS (rest 'n', object_ids 'object_id')));
like(sql(q(SELECT attname, format_type(atttypid, atttypmod), attfdwoptions FROM pg_attribute WHERE attrelid = 'imported.docs'::regclass AND attnum > 0 ORDER BY attnum)), qr/^n_\w+\|integer\|\{path=n\}$/m, 'a field of the name of the rest gets another');
is(sql(q(SELECT attname, format_type(atttypid, atttypmod), attfdwoptions FROM pg_attribute WHERE attrelid = 'imported.docs'::regclass AND attfdwoptions::text ~ 'rest')), 'n|jsonb|{rest=true}', 'which is there');
is(sql(q(SELECT format_type(atttypid, atttypmod), attfdwoptions FROM pg_attribute WHERE attrelid = 'imported.orders'::regclass AND attname = 'customer')), 'text|', 'strings and ObjectIds are text');
$mongo->delete('test', 'orders', '{"n": {"$lt": 0}}');
sql(q(CREATE SCHEMA clean; IMPORT FOREIGN SCHEMA test LIMIT TO (orders) FROM SERVER m INTO clean OPTIONS (object_ids 'object_id')));
is(sql(q(SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || coalesce(attfdwoptions::text, ''), ', ' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'clean.orders'::regclass AND attname IN ('_id', 'customer'))), '_id tenancy_mongo.object_id, customer tenancy_mongo.object_id', 'ObjectIds alone have their type');
is(sql("SELECT n FROM clean.orders WHERE _id = '" . id(5) . "'"), '5', 'which works');
like(error_of("IMPORT FOREIGN SCHEMA test FROM SERVER m INTO clean OPTIONS (object_ids 'yes')"), qr/22023: invalid value for option "object_ids"\nDETAIL:  It must be text or object_id/, 'or is refused');

done_testing();
