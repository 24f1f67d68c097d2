# IMPORT FOREIGN SCHEMA: columns and types from the validator and from what is stored, names that SQL would not take as they
# are, tables that show a tenant's documents only, and a word about what is not as one might think.

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

my $schemas = 0;

# Imports into a new schema; returns its name and what was said.
sub import_database
{
	my ($database, $limit, $options) = @_;
	my $schema = 's' . ++$schemas;
	my ($status, $out, $err) = $node->psql('postgres', qq(\\set VERBOSITY verbose
		CREATE SCHEMA $schema;
		IMPORT FOREIGN SCHEMA "$database" ) . ($limit // '') . qq( FROM SERVER m INTO $schema ) . ($options ? "OPTIONS ($options)" : ''));
	return ($schema, $err =~ s/^psql:<stdin>:\d+: //mgr =~ s/^LOCATION:.*\n//mgr);
}

# "name type [NOT NULL] [options]" of each column.
sub columns
{
	my ($schema, $table) = @_;
	return $node->safe_psql('postgres', qq(SELECT concat_ws(' ', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NOT NULL' END, attfdwoptions::text)
		FROM pg_attribute WHERE attrelid = '$schema.$table'::regclass AND attnum > 0 ORDER BY attnum));
}
sub tables { return $node->safe_psql('postgres', "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = '$_[0]'::regnamespace AND relkind = 'f'"); }
sub table_options { return $node->safe_psql('postgres', "SELECT array_to_string(ftoptions, ' ') FROM pg_foreign_table WHERE ftrelid = '$_[0]'::regclass"); }

#
# Types from what is stored
#

my $oid  = '{"$oid": "650000000000000000000001"}';
my $uuid = '{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}';
my $bin  = '{"$binary": {"base64": "AAEC", "subType": "00"}}';
my $long = '{"$numberLong": "5000000000"}';
my $deci = '{"$numberDecimal": "9.99"}';
my $date = '{"$date": "2024-05-01T12:00:00Z"}';
my %fields = (
	string => [ '"a"', 'null' ], integer => [ '1', '2' ], long => [ '1', $long ], double => [ '1.5', '2' ], number => [ '1.5', $long ], decimal => [ $deci, '1' ],
	yes => [ 'true', 'null' ], date => [ $date, $date ], id => [ $oid, 'null' ], id_or_text => [ $oid, '"x"' ], uuid => [ $uuid, $uuid ], bytes => [ $uuid, $bin ],
	object => [ '{"a": 1}', 'null' ], array => [ '[1]', '[]' ], mixed => [ '1', '"a"' ], nothing => [ 'null', 'null' ], regex => [ '{"$regularExpression": {"pattern": "a", "options": ""}}', 'null' ],
	distant => [ '{"$date": {"$numberLong": "9300000000000000"}}', $date ]);
my @names = sort keys %fields;
for my $i (0, 1)
{
	$mongo->insert('types', 'things', '{' . join(', ', qq("_id": $i), map { qq("$_": $fields{$_}[$i]) } @names) . '}');
}
my ($schema, $said) = import_database('types');
is(columns($schema, 'things'), join("\n", '_id integer', map { my $c = $_; (grep { /^$c / } (
	'string text', 'integer integer', 'long bigint', 'double double precision', 'number numeric', 'decimal numeric', 'yes boolean', 'date timestamp with time zone',
	'id text {object_id=true}', 'id_or_text text', 'uuid uuid', 'bytes bytea', 'object jsonb', 'array jsonb', 'mixed jsonb', 'nothing jsonb', 'regex jsonb', 'distant jsonb'))[0] } @names), 'a type for each field');
is($node->safe_psql('postgres', qq(SELECT string, integer, long, double, number, decimal, yes, date, id, id_or_text, uuid, bytes, object, "array", mixed FROM $schema.things WHERE _id = 0)),
	'a|1|1|1.5|1.5|9.99|t|2024-05-01 12:00:00+00|650000000000000000000001|650000000000000000000001|00112233-4455-6677-8899-aabbccddeeff|\x00112233445566778899aabbccddeeff|{"a": 1}|[1]|1', 'which can be read');
is($node->safe_psql('postgres', "SELECT count(*) FROM (SELECT * FROM $schema.things OFFSET 0) t"), '2', 'all of them');
like($said, qr/^NOTICE:  00000: foreign table "things" is made from 2 documents\nDETAIL:  /, 'what is not as one might think is told');
like($said, qr/Field "mixed" is jsonb: values of several types, or of one that SQL lacks: string \(1\), int \(1\)\./, 'several types');
like($said, qr/Field "nothing" is jsonb: no value was seen: null \(2\)\./, 'no type');
like($said, qr/Field "id_or_text" is text: strings and ObjectIds/, 'two kinds of id');
like($said, qr/HINT:  SELECT \* FROM tenancy_mongo\.describe_collection\('m', 'types', 'things'\);/, 'and where more is told');
unlike($said, qr/Field "(string|object|array|integer)"/, 'and not of others');
is($node->safe_psql('postgres', q(SELECT bson_types, documents, required, column_name, column_type, remark FROM tenancy_mongo.describe_collection('m', 'types', 'things') WHERE path = 'mixed')),
	'string (1), int (1)|2|f|mixed|jsonb|values of several types, or of one that SQL lacks', 'describe_collection()');

# _id of every kind.
for my $case ([ 'text', '"a"', 'text' ], [ 'uuid', $uuid, 'uuid' ], [ 'bigint', $long, 'bigint' ], [ 'object', '{"a": 1}', 'jsonb' ], [ 'oid', $oid, 'text {object_id=true}' ], [ 'deci', $deci, 'numeric' ])
{
	$mongo->insert('ids', $case->[0], qq({"_id": $case->[1], "n": 1}));
}
($schema, $said) = import_database('ids');
is($said, '', 'nothing to say');
is(tables($schema), 'bigint deci object oid text uuid', 'a table for each collection');
is((split /\n/, columns($schema, "\"$_->[0]\""))[0], "_id $_->[1]", "_id: $_->[1]") for [ 'text', 'text' ], [ 'uuid', 'uuid' ], [ 'bigint', 'bigint' ], [ 'object', 'jsonb' ], [ 'oid', 'text {object_id=true}' ], [ 'deci', 'numeric' ];
is($node->safe_psql('postgres', qq(SELECT n FROM $schema."oid" WHERE _id = '650000000000000000000001')), '1', 'looked up');
$node->safe_psql('postgres', qq(INSERT INTO $schema."oid" VALUES ('650000000000000000000002', 2)));
is($mongo->find_all('ids', 'oid', '{"_id": {"$type": "objectId"}}'), 2, 'and written as it was');

#
# The validator
#

$mongo->command('valid', q({"create": "tasks", "validator": {"$jsonSchema": {"bsonType": "object", "required": ["_id", "title", "state", "maybe"],
	"properties": {"_id": {"bsonType": "string"}, "title": {"bsonType": "string"}, "state": {"enum": ["open", "done"]}, "maybe": {"bsonType": ["string", "null"]}, "amount": {"bsonType": ["int", "long"]},
		"price": {"bsonType": "number"}, "key": {"bsonType": "binData"}, "where": {"bsonType": "object", "required": ["city"], "properties": {"city": {"bsonType": "string"}, "zip": {"type": "string"}}}, "tags": {"bsonType": "array"}, "free": {}}}}}));
($schema, $said) = import_database('valid', undef, "not_null 'true'");
my $of_validator = "_id text NOT NULL\ntitle text NOT NULL\nstate text NOT NULL\nmaybe text\namount bigint\nprice numeric\nkey bytea\nwhere jsonb\ntags jsonb\nfree jsonb";
is(columns($schema, 'tasks'), $of_validator, 'a validator is enough');
like($said, qr/is made from a validator and 0 documents/, 'it is told');
$mongo->insert('valid', 'tasks', qq({"_id": "1", "title": "a", "state": "open", "maybe": null, "amount": 1, "key": $uuid, "free": 5, "beside": true}));
($schema) = import_database('valid', undef, "not_null 'true'");
is(columns($schema, 'tasks'), ($of_validator =~ s/key bytea/key uuid/r =~ s/free jsonb/free integer/r) . "\nbeside boolean", 'what is stored says more');
($schema) = import_database('valid');
unlike(columns($schema, 'tasks'), qr/NOT NULL/, 'NOT NULL is for who asks for it');
$mongo->command('valid', '{"insert": "tasks", "documents": [{"_id": "2", "state": 5, "maybe": 1, "amount": "many"}], "bypassDocumentValidation": true}');
($schema, $said) = import_database('valid', undef, "not_null 'true'");
is(join("\n", (split /\n/, columns($schema, 'tasks'))[0 .. 4]), "_id text NOT NULL\ntitle text\nstate jsonb NOT NULL\nmaybe jsonb\namount jsonb", 'a validator does not bind what is stored');
like($said, qr/Field "title" is text: the validator requires it, but stored documents lack it: string \(1\)\./, 'which is told');
is($node->safe_psql('postgres', "SELECT count(*) FROM (SELECT * FROM $schema.tasks OFFSET 0) t WHERE title IS NULL"), '1', 'and read');
$mongo->command('valid', '{"collMod": "tasks", "validationAction": "warn"}');
($schema) = import_database('valid', undef, "not_null 'true', sample_size '0'");
is(columns($schema, 'tasks'), $of_validator =~ s/ NOT NULL//gr, 'a validator that only warns, and no sample');

#
# Embedded documents, whole documents
#

$mongo->command('valid', '{"drop": "tasks"}');
$mongo->insert('deep', 'd', '{"_id": 1, "a": {"b": 1, "c": {"d": "x", "e": [1]}}, "a_b": true, "m": {"x": 1}, "o": {"a.b": 1, "ok": 1}}', '{"_id": 2, "a": null, "m": 5}');
($schema, $said) = import_database('deep', undef, "flatten '1'");
my $columns = columns($schema, 'd');
my ($suffixed) = $columns =~ /^(a_b_[0-9a-f]{8}) integer \{path=a\.b\}$/m;
ok($suffixed, 'two paths for one name: the nested one gets a suffix');
is($columns, "_id integer\n$suffixed integer {path=a.b}\na_c jsonb {path=a.c}\na_b boolean\nm jsonb\no_ok integer {path=o.ok}", 'one level');
like($said, qr/Field "o\.a\.b" is left out: a path cannot hold its name: int \(1\)\./, 'a name with a dot is left out');
is($node->safe_psql('postgres', "SELECT _id, $suffixed, a_c, a_b, m, o_ok FROM $schema.d ORDER BY _id"), qq(1|1|{"d": "x", "e": [1]}|t|{"x": 1}|1\n2||||5|), 'rows');
($schema) = import_database('deep', undef, "flatten '2', document 'everything'");
is(columns($schema, 'd'), "_id integer\n$suffixed integer {path=a.b}\na_c_d text {path=a.c.d}\na_c_e jsonb {path=a.c.e}\na_b boolean\nm jsonb\no_ok integer {path=o.ok}\neverything jsonb {document=true}", 'two levels, and the document');
is($node->safe_psql('postgres', "SELECT everything -> 'o' FROM $schema.d WHERE _id = 1"), '{"ok": 1, "a.b": 1}', 'which has what the columns lack');
($schema) = import_database('deep', undef, "document 'm'");
like(columns($schema, 'd'), qr/^m_[0-9a-f]{8} jsonb \{path=m\}$/m, 'a field with the name of the document\'s column');

#
# Names
#

my $name200 = 'n' x 200;
my $umlauts = "\xc3\xbc" x 60;
my @hostile = ('Name', 'name', 'NAME', 'user', 'with "quotes"', "apostrophe's", 'back\\\\slash', "; DROP TABLE x; --", "\xc3\xbcnic\xc3\xb6de \xf0\x9f\x90\x98", 'ctid', 'tableoid', ' ', '%s%n', $name200, $name200 . '2', $umlauts, '$dollar', 'dot.ted', '');
my $i = 0;
$mongo->insert('names', 'fields', '{"_id": 1, ' . join(', ', map { '"' . (s/"/\\"/gr) . '": ' . ++$i } @hostile) . '}');
($schema, $said) = import_database('names');
is($node->safe_psql('postgres', qq(SELECT count(*) FROM pg_attribute WHERE attrelid = '$schema.fields'::regclass AND attnum > 0)), @hostile - 3 + 1, 'all names but those that a path cannot hold');
like($said, qr/Field "\Q$_\E" is left out: a path cannot hold its name/, "\"$_\" is left out") for '$dollar', 'dot.ted', '';
is($node->safe_psql('postgres', qq(SELECT "Name", name, "NAME", "user", "with ""quotes""", "apostrophe's", "back\\slash", "; DROP TABLE x; --", "\xc3\xbcnic\xc3\xb6de \xf0\x9f\x90\x98", " ", "%s%n" FROM $schema.fields)),
	'1|2|3|4|5|6|7|8|9|12|13', 'each column reads its field');
is($node->safe_psql('postgres', qq(SELECT count(DISTINCT v) FROM $schema.fields f, LATERAL jsonb_each(to_jsonb(f)) e(k, v))), @hostile - 3, 'the cut ones as well');
my $cut = $node->safe_psql('postgres', qq(SELECT string_agg(attname || ' ' || length(attname::text), ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '$schema.fields'::regclass AND attname ~ '_[0-9a-f]{8}\$'));
like($cut, qr/^ctid_\w{8} 13 tableoid_\w{8} 17 n{54}_\w{8} 63 n{54}_\w{8} 63 (?:\xc3\xbc){27}_\w{8} \d+$/, 'suffixes of names that are cut or the server\'s');
($schema) = import_database('names', undef, "names 'fold'");
like(columns($schema, 'fields'), qr/^name_\w{8} integer \{path=Name\}\nname integer\nname_\w{8} integer \{path=NAME\}$/m, 'folded names: the one that is spelt so keeps it');
$mongo->insert('names', 'camel', '{"_id": 1, "userId": 1, "UserId": 2, "createdAt": 3}');
($schema) = import_database('names', 'LIMIT TO (camel)', "names 'fold'");
like(columns($schema, 'camel'), qr/^_id integer\nuserid_\w{8} integer \{path=userId\}\nuserid_\w{8} integer \{path=UserId\}\ncreatedat integer \{path=createdAt\}$/, 'if none is, none does');

my @collections = ('Plain', 'plain', 'with "quotes"', "apostrophe's", 'dotted.name', "\xc3\xbcnic\xc3\xb6de", 'c' x 100, 'select');
$mongo->insert('collections', s/"/\\"/gr, '{"_id": 1, "n": 1}') for @collections;
($schema, $said) = import_database('collections');
is($said, '', 'hostile collections');
is($node->safe_psql('postgres', qq(SELECT count(*) FROM $schema.$_)), '1', "table $_") for '"Plain"', 'plain', '"with ""quotes"""', '"apostrophe\'s"', '"dotted.name"', "\"\xc3\xbcnic\xc3\xb6de\"", '"select"';
like(tables($schema), qr/\bc{54}_\w{8}\b/, 'a name that is cut');
($schema) = import_database('collections', undef, "names 'fold'");
like(tables($schema), qr/\bplain plain_\w{8}\b/, 'folded');
($schema) = import_database('collections', 'LIMIT TO (plain, "Plain")');
is(tables($schema), 'Plain plain', 'LIMIT TO');
($schema) = import_database('collections', 'EXCEPT (plain, "Plain", "nothing")');
unlike(tables($schema), qr/plain/i, 'EXCEPT');
($schema, $said) = import_database('collections', 'LIMIT TO (plain, missing)');
like($said, qr/^ERROR:  HV00R: no collection of database "collections" becomes a foreign table "missing"\nDETAIL:  /, 'LIMIT TO what is not there');
($schema, $said) = import_database('no_database');
like($said, qr/^ERROR:  HV00Q: database "no_database" has no collections/, 'a database that is not there');
($schema, $said) = import_database("o'hare\"\"s");
like($said, qr/^ERROR:  \w{5}: /, 'nor one with quotes');

# A field for every value: no more columns than a table can have, and the common fields among them.
$mongo->insert('wide', 'w', map { my $n = $_; qq({"_id": $n, "common": 1, ) . join(', ', map { qq("k${n}_$_": 1) } 1 .. 400) . '}' } 1 .. 20);
($schema, $said) = import_database('wide', undef, "sample_size '20'");
like(columns($schema, 'w'), qr/^_id integer\n.*^common integer/ms, 'a document per key: what all documents have');
like($said, qr/there are too many fields, and it is in few documents/, 'the rest is left out');
like($said, qr/^And \d+ more\.$/m, 'in a few words');

#
# Views, system collections, time series
#

$mongo->insert('kinds', 'base', '{"_id": 1, "n": 1}', '{"_id": 2, "n": 2}');
$mongo->command('kinds', '{"create": "twice", "viewOn": "base", "pipeline": [{"$project": {"n": {"$multiply": ["$n", 2]}}}]}');
$mongo->command('kinds', '{"create": "points", "timeseries": {"timeField": "at"}}');
$mongo->insert('kinds', 'points', qq({"at": $date, "v": 1}));
($schema) = import_database('kinds');
is(tables($schema), 'base points twice', 'no system collections');
is($node->safe_psql('postgres', "SELECT string_agg(n::text, ',' ORDER BY n) FROM $schema.twice"), '2,4', 'a view');
is($node->safe_psql('postgres', "SELECT v FROM $schema.points"), '1', 'a time series');
is(table_options("$schema.twice"), 'database=kinds collection=twice updatable=false', 'which cannot be written');
is(table_options("$schema.base"), 'database=kinds collection=base', 'as tables can');
($schema) = import_database('kinds', 'LIMIT TO ("system.views")');
is(tables($schema), 'system.views', 'a system collection, for who names it');

#
# Tenants
#

$mongo->insert('tenants', 'orders', '{"_id": 1, "tenant_id": "tenant-001", "n": 1}', '{"_id": 2, "tenant_id": "tenant-002", "n": 2, "insolvent_since": 2020}');
$mongo->insert('tenants', 'others', '{"_id": 1, "n": 1}');
$node->safe_psql('postgres', "SELECT tenancy.create_tenant('tenant-001', 'One')");
($schema, $said) = import_database('tenants', undef, "tenant_field 'tenant_id', updatable 'false'");
is(table_options("$schema.orders"), 'database=tenants collection=orders tenant_field=tenant_id updatable=false', 'each table is bound to the tenant');
like($said, qr/table "others" is made from 1 documents\nDETAIL:  No document that was seen has the tenant's field "tenant_id"\./, 'one without the field is told');
is($node->safe_psql('postgres', "SELECT count(*) FROM $schema.orders; BEGIN; DO \$\$ BEGIN PERFORM tenancy.set_tenant('tenant-001'); END \$\$; SELECT _id FROM $schema.orders; SELECT count(*) FROM $schema.others; COMMIT"), "0\n1\n0", 'and shows nothing');
($schema, $said) = import_database('tenants', undef, "tenant_field '\$where'");
like($said, qr/^ERROR:  22023: invalid value for option "tenant_field"/m, 'a path that is none');

#
# Options and privileges
#

for my $case ([ "sample_size '-1'", '22023' ], [ "sample_size '1e3'", '22023' ], [ "flatten '1000'", '22023' ], [ "names 'upper'", '22023' ], [ "not_null 'perhaps'", '42601' ], [ "document ''", '22023' ], [ "documents 'x'", 'HV00D' ])
{
	($schema, $said) = import_database('kinds', undef, $case->[0]);
	like($said, qr/^ERROR:  $case->[1]: /, "$case->[0]: $case->[1]");
}
$node->safe_psql('postgres', 'CREATE ROLE tenant LOGIN; CREATE ROLE keeper LOGIN; GRANT CREATE ON DATABASE postgres TO tenant, keeper; GRANT USAGE ON FOREIGN SERVER m TO keeper; GRANT USAGE ON SCHEMA tenancy_mongo TO tenant, keeper');
sub said_to { my ($role, $query) = @_; my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query", extra_params => [ '-U', $role ]); return $err eq '' ? $out : $err; }
like(said_to('tenant', 'CREATE SCHEMA t; IMPORT FOREIGN SCHEMA kinds FROM SERVER m INTO t'), qr/42501: permission denied for foreign server m/, 'without USAGE on the server');
like(said_to('tenant', "SELECT * FROM tenancy_mongo.describe_collection('m', 'kinds', 'base')"), qr/42501: permission denied for function describe_collection/, 'without EXECUTE');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION tenancy_mongo.describe_collection TO tenant');
like(said_to('tenant', "SELECT * FROM tenancy_mongo.describe_collection('m', 'kinds', 'base')"), qr/42501: permission denied for foreign server m/, 'with it, but without USAGE');
# What another tenant's documents look like is told to nobody but who may see all.
$node->safe_psql('postgres', 'GRANT tenancy_service TO keeper; CREATE SCHEMA ours; CREATE SCHEMA all_of_them; GRANT CREATE, USAGE ON SCHEMA ours, all_of_them TO keeper');
my $as_one = "DO \$\$ BEGIN PERFORM tenancy.set_tenant('tenant-001'); END \$\$;";
my $import = "IMPORT FOREIGN SCHEMA tenants LIMIT TO (orders) FROM SERVER m";
like(said_to('keeper', "$import INTO ours OPTIONS (tenant_field 'tenant_id')"), qr/42501: permission denied to look at the documents of all tenants\n.*\n.*SELECT tenancy\.set_tenant/, 'without a tenant no sample of all');
like(said_to('keeper', "BEGIN; $as_one $import INTO ours OPTIONS (tenant_field 'tenant_id', not_null 'true')"), qr/42501: permission denied to look at the documents of all tenants\n.*\n.*not_null/, 'nor a look at all for NOT NULL');
unlike(said_to('keeper', "BEGIN; $as_one $import INTO ours OPTIONS (tenant_field 'tenant_id'); COMMIT"), qr/ERROR/, 'with a tenant');
is(columns('ours', 'orders'), "_id integer\ntenant_id text\nn integer", 'the columns are those of its documents');
unlike(said_to('keeper', "$import INTO all_of_them OPTIONS (tenant_field 'tenant_id', sample_size '0')"), qr/ERROR/, 'or of the validator alone');
$node->safe_psql('postgres', 'DROP FOREIGN TABLE all_of_them.orders; GRANT EXECUTE ON FUNCTION tenancy_mongo.describe_collection TO keeper');
unlike(said_to('keeper', "$import INTO all_of_them OPTIONS (tenant_field 'tenant_id')"), qr/ERROR/, 'who may describe all tenants\' documents');
like(columns('all_of_them', 'orders'), qr/insolvent_since/, 'has all their fields');
$node->safe_psql('postgres', 'REVOKE EXECUTE ON FUNCTION tenancy_mongo.describe_collection FROM keeper');
is(said_to('keeper', 'CREATE SCHEMA k; IMPORT FOREIGN SCHEMA kinds LIMIT TO (base) FROM SERVER m INTO k; SELECT count(*) FROM k.base'), '2', 'with USAGE');
my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT * FROM tenancy_mongo.describe_collection('m', 'kinds', 'missing')");
like($err, qr/HV00R: collection "kinds\.missing" does not exist/, 'a collection that is not there');
($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT * FROM tenancy_mongo.describe_collection('m', 'kinds', 'base', -1)");
like($err, qr/22023: /, 'a sample size that is none');

#
# Faults: a connection that has died since, a server that does not answer
#

is($node->safe_psql('postgres', "SELECT count(*) FROM tenancy_mongo.describe_collection('m', 'kinds', 'base')"), '2', 'two fields');
my $background = $node->background_psql('postgres', on_error_stop => 0);
$background->query_safe('SELECT count(*) FROM s1.things');
$mongo->restart;
is($background->query_safe("SELECT count(*) FROM tenancy_mongo.describe_collection('m', 'kinds', 'base')"), '2', 'over a connection that has died');
my $background_pid = $background->query('SELECT pg_backend_pid()');
$mongo->stall;
$background->query_until(qr/starts/, "\\echo starts\nSELECT count(*) FROM tenancy_mongo.describe_collection('m', 'kinds', 'base');\n");
ok($node->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $background_pid"), 'a wait for the first answer is shown as one');
$mongo->continue;
$background->quit;
$mongo->stall;
($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET statement_timeout = '300ms'; CREATE SCHEMA stalled; IMPORT FOREIGN SCHEMA kinds FROM SERVER m INTO stalled");
$mongo->continue;
like($err, qr/57014: canceling statement due to statement timeout/, 'a server that does not answer');
$mongo->poll_until('has no open cursor', sub { $mongo->open_cursors == 0 });
is($mongo->open_cursors, 0, 'no cursor is left open');

done_testing();
