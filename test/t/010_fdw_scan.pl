# Foreign scans: every BSON type in every column type that can hold it, and an error that says why in all others.

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
$node->safe_psql('postgres', qq(
	CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
	CREATE DOMAIN present AS text NOT NULL;
	CREATE DOMAIN scores AS int[] CHECK (cardinality(VALUE) < 3);));

my $tables = 0;

# A new collection with these documents, and a foreign table over it; returns the table's name.
sub table_over
{
	my ($columns, @documents) = @_;
	my $name = 't' . ++$tables;
	$mongo->insert('test', $name, @documents);
	$node->safe_psql('postgres', "CREATE FOREIGN TABLE $name ($columns) SERVER m OPTIONS (database 'test', collection '$name')");
	return $name;
}

# What one value becomes in a column of a type: the value as text, NULL, or "SQLSTATE reason".
sub value_as
{
	my ($type, $value) = @_;
	my $table = table_over("v $type", qq({"_id": "it", "v": $value}));
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n\\pset null NULL\nSELECT v FROM $table");
	return $out if $status == 0 && $err eq '';
	my ($state)  = $err =~ /ERROR:  (\w{5}): field "v" of document "it" does not fit foreign table "$table"/ or return "unexpected: $err";
	my ($reason) = $err =~ /DETAIL:  The field's type is \w+, the column's type is [^.]*\. (.*)/ or return "unexpected: $err";
	return "$state $reason";
}

my $no_conversion = '42804 There is no conversion between the two types.';
my $fraction      = '22003 The number has a fraction.';
my $range         = '22003 The number is out of the type\'s range.';
my $json_can      = '42804 A column of type jsonb can hold a value of any type.';

sub long    { return qq({"\$numberLong": "$_[0]"}); }
sub double  { return qq({"\$numberDouble": "$_[0]"}); }
sub decimal { return qq({"\$numberDecimal": "$_[0]"}); }
sub date    { return qq({"\$date": {"\$numberLong": "$_[0]"}}); }

my $oid    = '{"$oid": "650000000000000000000001"}';
my $uuid   = '{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}';
my $legacy = '{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "03"}}';
my $bytes  = '{"$binary": {"base64": "AAEC", "subType": "00"}}';

my @cases = (
	# integers: of every number that is one
	[ 'smallint', 5 => 5 ], [ 'smallint', -32768 => -32768 ], [ 'smallint', 32768 => $range ],
	[ 'integer', long(5) => 5 ], [ 'integer', double('5.0') => 5 ], [ 'integer', double('-0.0') => 0 ], [ 'integer', decimal('5') => 5 ],
	[ 'integer', decimal('5.00') => 5 ], [ 'integer', decimal('1E+3') => 1000 ],
	[ 'integer', double('1.5') => $fraction ], [ 'integer', decimal('1.5') => $fraction ], [ 'integer', long(2147483648) => $range ],
	[ 'integer', double('1e300') => $range ], [ 'integer', decimal('1E+6000') => $range ],
	[ 'integer', double('NaN') => '22003 An integer cannot be NaN or infinite.' ], [ 'integer', decimal('-Infinity') => '22003 An integer cannot be NaN or infinite.' ],
	[ 'bigint', long('9223372036854775807') => '9223372036854775807' ], [ 'bigint', decimal('9223372036854775807') => '9223372036854775807' ],
	[ 'bigint', decimal('9223372036854775808') => $range ], [ 'bigint', double('9223372036854775808') => $range ],
	[ 'bigint', double('-9223372036854775808') => '-9223372036854775808' ],
	[ 'integer', '"5"' => $no_conversion ], [ 'integer', 'true' => $no_conversion ], [ 'integer', date(5) => $no_conversion ], [ 'integer', '[5]' => $no_conversion ],

	# floating point: what a double holds exactly; a real that prints the same
	[ 'double precision', double('0.1') => '0.1' ], [ 'double precision', 5 => 5 ], [ 'double precision', double('NaN') => 'NaN' ],
	[ 'double precision', double('-Infinity') => '-Infinity' ], [ 'double precision', long('9007199254740992') => '9.007199254740992e+15' ],
	[ 'double precision', long('9007199254740993') => '22003 A double cannot hold the integer exactly; a column of type bigint can.' ],
	[ 'double precision', long('9223372036854775807') => '22003 A double cannot hold the integer exactly; a column of type bigint can.' ],
	[ 'double precision', decimal('0.5') => '0.5' ], [ 'double precision', decimal('NaN') => 'NaN' ], [ 'double precision', decimal('Infinity') => 'Infinity' ],
	[ 'double precision', decimal('0.1') => '22003 A double cannot hold the decimal exactly; a column of type numeric can.' ],
	[ 'double precision', decimal('1E+6000') => '22003 A double cannot hold the decimal exactly; a column of type numeric can.' ],
	[ 'double precision', decimal('1E-6000') => '22003 A double cannot hold the decimal exactly; a column of type numeric can.' ],
	[ 'real', double('0.1') => '0.1' ], [ 'real', double('3.14') => '3.14' ], [ 'real', 16777216 => '1.6777216e+07' ], [ 'real', double('NaN') => 'NaN' ],
	[ 'real', 16777217 => '22003 A real has too few digits for the number; a column of type double precision has enough.' ],
	[ 'real', double('1e300') => '22003 A real has too few digits for the number; a column of type double precision has enough.' ],
	[ 'double precision', '"0.1"' => $no_conversion ],

	# numeric: decimals exactly, doubles as they print
	[ 'numeric', decimal('9.99') => '9.99' ], [ 'numeric', decimal('1.20') => '1.20' ], [ 'numeric', decimal('1E+3') => '1000' ], [ 'numeric', decimal('1E-20') => '0.00000000000000000001' ],
	[ 'numeric', decimal('1234567890123456789012345678901234') => '1234567890123456789012345678901234' ], [ 'numeric', decimal('-0') => '0' ],
	[ 'numeric', decimal('NaN') => 'NaN' ], [ 'numeric', decimal('-Infinity') => '-Infinity' ], [ 'numeric', double('0.1') => '0.1' ], [ 'numeric', double('-12.34') => '-12.34' ],
	[ 'numeric', double('5.0') => '5' ], [ 'numeric', double('1e22') => '1' . '0' x 22 ], [ 'numeric', double('5e-324') => '0.' . '0' x 323 . '5' ], [ 'numeric', double('NaN') => 'NaN' ],
	[ 'numeric', double('1152921504606846976') => '1152921504606846976' ], [ 'numeric', long('9223372036854775807') => '9223372036854775807' ],
	[ 'numeric(5,2)', double('1.5') => '1.50' ], [ 'numeric(5,2)', decimal('999.99') => '999.99' ], [ 'numeric(5,2)', decimal('1.500') => '1.50' ], [ 'numeric(5,2)', double('NaN') => 'NaN' ],
	[ 'numeric(5,2)', decimal('1.505') => '22003 The number has more digits after the point than the type\'s scale.' ],
	[ 'numeric(5,2)', 1000 => '22003 The number is out of the type\'s precision.' ], [ 'numeric(5,2)', -1000 => '22003 The number is out of the type\'s precision.' ],
	[ 'numeric(5,2)', double('Infinity') => '22003 A numeric with precision and scale cannot be infinite.' ],
	[ 'numeric(3,-2)', 12300 => '12300' ], [ 'numeric(3,-2)', 12345 => '22003 The number has more digits after the point than the type\'s scale.' ],
	[ 'numeric', '"9.99"' => $no_conversion ],

	# booleans
	[ 'boolean', 'true' => 't' ], [ 'boolean', 'false' => 'f' ], [ 'boolean', 1 => $no_conversion ], [ 'boolean', '"true"' => $no_conversion ],

	# strings
	[ 'text', '"é"' => 'é' ], [ 'text', '""' => '' ], [ 'text', $oid => '650000000000000000000001' ], [ 'text', '{"$symbol": "sym"}' => 'sym' ],
	[ 'text', '"a\u0000b"' => '22021 The string contains a NUL character, which PostgreSQL cannot store.' ],
	[ 'text', 5 => $json_can ], [ 'text', '["a"]' => $json_can ], [ 'text', '{"$code": "f"}' => $json_can ],
	[ 'varchar(3)', '"abc"' => 'abc' ], [ 'varchar(3)', '"ééé"' => 'ééé' ], [ 'varchar(3)', '"abcd"' => '22001 The string is longer than the type allows.' ],
	[ 'varchar(3)', '"abc "' => '22001 The string is longer than the type allows.' ], [ 'varchar', '"abcd"' => 'abcd' ],
	[ 'char(3)', '"a"' => 'a  ' ], [ 'char(3)', '"é"' => 'é  ' ], [ 'char(3)', '"abcd"' => '22001 The string is longer than the type allows.' ],
	[ 'name', '"n"' => 'n' ], [ 'name', '"' . 'x' x 64 . '"' => '22001 The string is longer than the type allows.' ],

	# bytes and UUIDs
	[ 'bytea', $bytes => '\x000102' ], [ 'bytea', $uuid => '\x00112233445566778899aabbccddeeff' ], [ 'bytea', $oid => '\x650000000000000000000001' ], [ 'bytea', '"a"' => $no_conversion ],
	[ 'uuid', $uuid => '00112233-4455-6677-8899-aabbccddeeff' ], [ 'uuid', $legacy => '42804 Of binary values, only subtype 4 is a UUID.' ],
	[ 'uuid', '"00112233-4455-6677-8899-aabbccddeeff"' => '00112233-4455-6677-8899-aabbccddeeff' ],
	[ 'uuid', '"00112233-4455-6677-8899-AABBCCDDEEFF"' => '00112233-4455-6677-8899-aabbccddeeff' ],
	(map { [ 'uuid', $_ => '22P02 Of strings, only 8-4-4-4-12 hexadecimal digits are a UUID, their letters all lower or all upper case.' ] }
		'"00112233-4455-6677-8899-AABBCCDDeeff"', '"00112233445566778899aabbccddeeff"', '"00112233-4455-6677-8899-aabbccddeefg"', '""', '"001122334-455-6677-8899-aabbccddeeff"'),

	# dates
	[ 'timestamptz', date(1714564800123) => '2024-05-01 12:00:00.123+00' ], [ 'timestamptz', date(-1) => '1969-12-31 23:59:59.999+00' ],
	[ 'timestamptz', date('9224318015999999') => '294276-12-31 23:59:59.999+00' ], [ 'timestamptz', date('9224318016000000') => '22008 The date is out of the type\'s range.' ],
	[ 'timestamptz', date('9223372036854775807') => '22008 The date is out of the type\'s range.' ], [ 'timestamptz', date('-9223372036854775808') => '22008 The date is out of the type\'s range.' ],
	[ 'timestamptz(0)', date(1714564800000) => '2024-05-01 12:00:00+00' ], [ 'timestamptz(0)', date(1714564800123) => '22008 The date has more digits of a second than the type.' ],
	[ 'timestamp', date(1714564800123) => '2024-05-01 12:00:00.123' ], [ 'date', date(1714521600000) => '2024-05-01' ],
	[ 'date', date(1714564800000) => '22008 The date has a time of day; a column of type timestamptz can hold it.' ],
	[ 'timestamptz', '{"$timestamp": {"t": 1, "i": 1}}' => $no_conversion ], [ 'timestamptz', '"2024-05-01"' => $no_conversion ], [ 'timestamptz', 5 => $no_conversion ],

	# arrays
	[ 'integer[]', '[1, 2, null]' => '{1,2,NULL}' ], [ 'integer[]', '[]' => '{}' ], [ 'integer[]', '[1, 1.5]' => $fraction ], [ 'text[]', '["a", "b c"]' => '{a,"b c"}' ],
	[ 'integer[]', '[[1]]' => '2202E The array has more than one dimension; a column of type jsonb can hold it.' ], [ 'integer[]', '5' => $no_conversion ],
	[ 'jsonb[]', '[[1], {"a": 2}]' => '{[1],"{\"a\": 2}"}' ], [ 'numeric(5,2)[]', '[1, 1000]' => '22003 The number is out of the type\'s precision.' ], [ 'percent[]', '[1, 2]' => '{1,2}' ],
	[ 'percent[]', '[101]' => '23514 The value violates the domain\'s check constraint "percent_check".' ],

	# domains
	[ 'percent', 50 => 50 ], [ 'percent', 101 => '23514 The value violates the domain\'s check constraint "percent_check".' ], [ 'percent', 'null' => 'NULL' ],
	[ 'present', '"x"' => 'x' ], [ 'present', 'null' => '23502 The type\'s domain does not allow null values.' ],
	[ 'scores', '[1, 2]' => '{1,2}' ], [ 'scores', '[1, 2, 3]' => '23514 The value violates the domain\'s check constraint "scores_check".' ],

	# null
	(map { ([ $_, 'null' => 'NULL' ], [ $_, '{"$undefined": true}' => 'NULL' ]) } 'integer', 'text', 'jsonb', 'integer[]', 'timestamptz'),

	# any value as jsonb and json: relaxed Extended JSON
	[ 'jsonb', '{"b": 1, "a": [1, "x", null, true], "c": {}}' => '{"a": [1, "x", null, true], "b": 1, "c": {}}' ],
	[ 'json', '{"b": 1, "a": [1, "x", null, true], "c": {}}' => '{"b": 1, "a": [1, "x", null, true], "c": {}}' ],
	(map { my $type = $_; map { [ $type, @$_ ] }
		[ 5 => 5 ], [ long('9007199254740993') => '9007199254740993' ], [ double('0.1') => '0.1' ], [ double('5.0') => 5 ], [ '"a\"b\\\\\n"' => '"a\"b\\\\\n"' ], [ 'true' => 'true' ],
		[ '[]' => '[]' ], [ '{}' => '{}' ], [ $oid => $oid ], [ date(1714564800123) => '{"$date": "2024-05-01T12:00:00.123Z"}' ], [ date(0) => '{"$date": "1970-01-01T00:00:00Z"}' ],
		[ date(-1) => date(-1) ], [ date('253402300800000') => date('253402300800000') ], [ date('253402300799999') => '{"$date": "9999-12-31T23:59:59.999Z"}' ], [ decimal('9.90') => decimal('9.90') ],
		[ double('NaN') => double('NaN') ], [ double('-Infinity') => double('-Infinity') ], [ $bytes => '{"$binary": {"base64": "AAEC", "subType": "00"}}' ],
		[ '{"$regularExpression": {"pattern": "a/b", "options": "i"}}' => $type eq 'json' ? '{"$regularExpression": {"pattern": "a/b", "options": "i"}}' : '{"$regularExpression": {"options": "i", "pattern": "a/b"}}' ],
		[ '{"$timestamp": {"t": 4294967295, "i": 2}}' => $type eq 'json' ? '{"$timestamp": {"t": 4294967295, "i": 2}}' : '{"$timestamp": {"i": 2, "t": 4294967295}}' ],
		[ '{"$minKey": 1}' => '{"$minKey": 1}' ], [ '{"$maxKey": 1}' => '{"$maxKey": 1}' ], [ '{"$code": "f()"}' => '{"$code": "f()"}' ], [ '{"$symbol": "s"}' => '{"$symbol": "s"}' ],
		[ '{"$code": "f()", "$scope": {"x": 1}}' => '{"$code": "f()", "$scope": {"x": 1}}' ],
		[ '{"$dbPointer": {"$ref": "c", "$id": {"$oid": "650000000000000000000001"}}}' => $type eq 'json' ? '{"$dbPointer": {"$ref": "c", "$id": {"$oid": "650000000000000000000001"}}}' : '{"$dbPointer": {"$id": {"$oid": "650000000000000000000001"}, "$ref": "c"}}' ],
		[ '[{"$undefined": true}]' => '[{"$undefined": true}]' ], [ '{"x": {"y": [' . double('NaN') . ']}}' => '{"x": {"y": [' . double('NaN') . ']}}' ],
		[ '{"x": "a\u0000b"}' => '22021 The string contains a NUL character, which PostgreSQL cannot store.' ] } 'jsonb', 'json'));

for my $case (@cases)
{
	my ($type, $value, $expected) = @$case;
	is(value_as($type, $value), $expected, "$type of " . (length $value > 60 ? substr($value, 0, 60) . ' ...' : $value));
}

#
# Missing, nested, whole documents
#

my $people = table_over(q(_id int, name text, city text OPTIONS (path 'address.city'), street text OPTIONS (path 'address.street.name'), address jsonb,
		again jsonb OPTIONS (path 'address'), document jsonb OPTIONS (document 'true'), text json OPTIONS (document 'true')),
	'{"_id": 1, "name": "a", "address": {"city": "x", "street": {"name": "s"}}}', '{"_id": 2, "name": null, "address": {"street": "no document"}}',
	'{"_id": 3, "address": [{"city": "in an array"}]}', '{"_id": 4, "address": 5}', '{"_id": 5}', '{"_id": 6, "address": {"city": null}}');
is($node->safe_psql('postgres', "SELECT _id, name, city, street, address FROM $people ORDER BY 1"), join("\n",
	'1|a|x|s|{"city": "x", "street": {"name": "s"}}', '2||||{"street": "no document"}', '3||||[{"city": "in an array"}]', '4||||5', '5||||', '6||||{"city": null}'),
	'null, missing and nested fields');
is($node->safe_psql('postgres', "SELECT city, street FROM $people WHERE _id = 1"), 'x|s', 'nested fields without the ones above them');
is($node->safe_psql('postgres', "SELECT address = again AND document -> 'address' = address AND text::jsonb = document FROM $people WHERE _id = 1"), 't', 'one field in two columns; whole documents');
is($node->safe_psql('postgres', "SELECT text FROM $people WHERE _id = 1"), '{"_id": 1, "name": "a", "address": {"city": "x", "street": {"name": "s"}}}', 'json keeps the order of keys');
is($node->safe_psql('postgres', "SELECT $people FROM $people WHERE _id = 5"), '(5,,,,,,"{""_id"": 5}","{""_id"": 5}")', 'a whole row');
is($node->safe_psql('postgres', "SELECT count(*), count(name), count(city) FROM $people"), '6|1|1', 'counts');
is($node->safe_psql('postgres', "SELECT tableoid::regclass, _id FROM $people WHERE _id = 1"), "$people|1", 'tableoid');
$node->safe_psql('postgres', "ALTER FOREIGN TABLE $people DROP name, ADD name2 text OPTIONS (path 'name')");
is($node->safe_psql('postgres', "SELECT _id, city, name2 FROM $people WHERE _id = 1"), '1|x|a', 'a dropped column and an added one');
is($node->safe_psql('postgres', "SELECT count(*) FROM (SELECT $people FROM $people LIMIT 2) _"), '2', 'whole rows under LIMIT');

# Many keys, so that jsonb's table of offsets is used; a key twice; deep nesting.
my $keys = join ', ', map { qq("key_$_": $_) } reverse 1 .. 200;
my $large = table_over(q(j jsonb, t json OPTIONS (path 'j')), qq({"j": {$keys}}), qq({"j": [@{[ join ', ', 1 .. 500 ]}]}), '{"j": {"b": {"x": 1.5}, "aa": "s", "a": null, "c": [[], {}, [{}]]}}',
	'{"j": ' . '{"d": ' x 80 . '1' . '}' x 80 . '}');
is($node->safe_psql('postgres', "SELECT bool_and(j = t::jsonb AND jsonb_send(j) = jsonb_send(t::jsonb) AND pg_column_size(j) = pg_column_size(t::jsonb)) FROM $large"), 't', 'jsonb as PostgreSQL makes it');
is($node->safe_psql('postgres', "SELECT bool_and((j ->> ('key_' || i)) = i::text) FROM $large, generate_series(1, 200) i WHERE j ? 'key_1'"), 't', 'each of 200 keys is found');
is($node->safe_psql('postgres', "SELECT bool_and((j ->> i)::int = i + 1) FROM $large, generate_series(0, 499) i WHERE jsonb_typeof(j) = 'array'"), 't', 'each of 500 elements is found');
my $twice = table_over('j jsonb, t json OPTIONS (path \'j\')', '{"j": {"a": 1, "b": 2, "a": 3}}');
is($node->safe_psql('postgres', "SELECT j, t FROM $twice"), '{"a": 3, "b": 2}|{"a": 1, "b": 2, "a": 3}', 'of a key that comes twice jsonb keeps the last');

#
# A value that does not fit: named by document, field and types; only where it is wanted
#

my $mixed = table_over("_id text, n int, m int OPTIONS (path 'x.m')", '{"_id": "good", "n": 1, "x": {"m": 1}}', '{"_id": "bad", "n": "many", "x": {"m": 2.5}}', '{"_id": {"$oid": "650000000000000000000001"}, "n": 3}');
my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT n FROM $mixed");
like($err, qr/ERROR:  42804: field "n" of document "bad" does not fit foreign table "$mixed"\nDETAIL:  The field's type is string, the column's type is integer\. There is no conversion between the two types\.$/m,
	'the error names document, field and both types, though the document\'s _id was not asked for');
($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT _id, m FROM $mixed");
like($err, qr/ERROR:  22003: field "x\.m" of document "bad" .*\nDETAIL:  The field's type is double, the column's type is integer\. The number has a fraction\./, 'a nested field by its path');
is($node->safe_psql('postgres', "SELECT count(*) FROM $mixed"), '3', 'a field that nobody wants is not looked at');
is($node->safe_psql('postgres', "SELECT _id FROM $mixed WHERE n = 1"), 'good', 'nor a document that a condition excludes');
($status, $out, $err) = $node->psql('postgres', "SELECT _id FROM $mixed WHERE m > 2");
like($err, qr/field "x\.m" of document "bad"/, 'a document that a condition lets through is');
($status, $out, $err) = $node->psql('postgres', "SELECT count(*) FROM $mixed WHERE m > 2");
like($err, qr/a document does not fit foreign table "$mixed"\nDETAIL:.*counted 1 .*\nHINT:.*Select the columns/, 'also where MongoDB counts');

# Reading goes on after an error, on the same connection.
is($node->safe_psql('postgres', "SELECT _id FROM $mixed WHERE _id = '650000000000000000000001'"), '650000000000000000000001', 'an ObjectId is found by its digits');
is($node->safe_psql('postgres', "DO \$\$ BEGIN PERFORM n FROM $mixed; EXCEPTION WHEN datatype_mismatch THEN NULL; END \$\$; SELECT count(*) FROM $mixed"), '3', 'after an error in a subtransaction');

#
# More than one batch, and all that an executor does with a scan
#

$mongo->insert('test', 'many', map { qq({"_id": $_, "n": $_, "s": "$_"}) } ($_ * 1000) .. ($_ * 1000 + 999)) for 0 .. 11;
$node->safe_psql('postgres', q(
	CREATE FOREIGN TABLE many (id int OPTIONS (path '_id'), n int, s text) SERVER m OPTIONS (database 'test', collection 'many');
	CREATE FOREIGN TABLE few_at_once (id int OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'test', collection 'many', batch_size '7');
	CREATE TABLE outer_rows AS SELECT i AS n FROM generate_series(1, 50) i;
	CREATE VIEW many_view AS SELECT n, s FROM many WHERE n > 100;));
is($node->safe_psql('postgres', 'SELECT count(*), sum(n), count(DISTINCT s) FROM many'), '12000|71994000|12000', 'several batches');
is($node->safe_psql('postgres', 'SELECT count(*), sum(n) FROM few_at_once'), '12000|71994000', 'many small batches');
is($node->safe_psql('postgres', 'SELECT count(*) FROM many a JOIN few_at_once b USING (n)'), '12000', 'two scans at once on one connection');
is($node->safe_psql('postgres', 'SELECT n FROM many WHERE n < 5 ORDER BY n DESC LIMIT 2'), "4\n3", 'a sort');
is($node->safe_psql('postgres', 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SELECT count(*) FROM outer_rows JOIN many ON many.n = outer_rows.n + 1'), '50', 'rescans with other parameters');
is($node->safe_psql('postgres', 'SELECT sum((SELECT count(*) FROM many WHERE many.n < o.n)) FROM outer_rows o'), '1275', 'a correlated subquery');
is($node->safe_psql('postgres', 'SELECT count(*) FROM many_view WHERE n < 200'), '99', 'a view');
is($node->safe_psql('postgres', 'BEGIN; DECLARE c SCROLL CURSOR FOR SELECT n FROM many WHERE n < 10; MOVE 9 IN c; FETCH BACKWARD 2 FROM c; COMMIT'), "7\n6", 'a cursor that goes back');
is($node->safe_psql('postgres', 'BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT n FROM many WHERE n < 10; COMMIT; MOVE 8 IN c; FETCH c'), '8', 'a cursor that outlives its transaction');
is($node->safe_psql('postgres', 'CREATE TABLE copied AS SELECT * FROM many; SELECT count(*) FROM copied JOIN many USING (id, n, s)'), '12000', 'a copy equals what was copied');
is($node->safe_psql('postgres', 'UPDATE outer_rows o SET n = -m.n FROM many m WHERE m.n = o.n RETURNING m.s') =~ tr/\n//, 49, 'as the source of an UPDATE');
is($node->safe_psql('postgres', 'PREPARE p(int) AS SELECT s FROM many WHERE n = $1; ' . join('; ', map { "EXECUTE p($_)" } 1 .. 9)), join("\n", 1 .. 9), 'a prepared statement, beyond the sixth time');
is($node->safe_psql('postgres', q(CREATE FUNCTION by_n(int) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT s FROM many WHERE n = $1); END';
	SELECT count(*) FROM generate_series(1, 20) i WHERE by_n(i) = i::text)), '20', 'plpgsql');

# A change of options reaches plans and connections.
$mongo->insert('test', 'other', '{"_id": 1, "n": 77}');
is($node->safe_psql('postgres', q(PREPARE p AS SELECT sum(n) FROM many; EXECUTE p; EXECUTE p; ALTER FOREIGN TABLE many OPTIONS (SET collection 'other'); EXECUTE p;
	ALTER FOREIGN TABLE many OPTIONS (SET collection 'many'); ALTER SERVER m OPTIONS (ADD application_name 'renamed'); EXECUTE p;)), "71994000\n71994000\n77\n71994000", 'altered options');

# A read concern goes along, but not into a transaction, which has its own.
$mongo->command('test', '{"profile": 2}');
is($node->safe_psql('postgres', q(
	ALTER SERVER m OPTIONS (ADD read_concern 'majority');
	SELECT count(*) FROM (SELECT s FROM many WHERE n < 3 OFFSET 0) _;
	SELECT count(*), sum(n) FROM many;
	BEGIN;
	INSERT INTO many VALUES (99999, 3, 'new');
	SELECT count(*) FROM (SELECT s FROM many WHERE n < 4 OFFSET 0) _;
	ROLLBACK;
	ALTER SERVER m OPTIONS (DROP read_concern);)), "3\n12000|71994000\n5", 'a read concern');
my @levels = map { $_->{command}{readConcern}{level} // 'none' } @{ $mongo->command('test', '{"find": "system.profile", "filter": {"ns": "test.many", "appName": "renamed", "op": {"$in": ["query", "command"]}, "command.txnNumber": {"$exists": false}}, "batchSize": 1000}')->{cursor}{firstBatch} };
is("@levels", 'majority majority', 'of scans outside of transactions');
$mongo->command('test', '{"profile": 0}');

# A view of MongoDB, and a capped collection, are collections too.
$mongo->command('test', '{"create": "first_ten", "viewOn": "many", "pipeline": [{"$match": {"n": {"$lt": 10}}}]}');
$node->safe_psql('postgres', "CREATE FOREIGN TABLE first_ten (n int) SERVER m OPTIONS (database 'test', collection 'first_ten')");
is($node->safe_psql('postgres', 'SELECT count(*), sum(n) FROM first_ten WHERE n > 5'), '4|30', 'a view of MongoDB');

#
# run_command
#

like($node->safe_psql('postgres', q(SELECT tenancy_mongo.run_command('m', 'test', '{"count": "many", "query": {"n": {"$gte": 11990}}}'))), qr/^\{"n": 10, "ok": 1/, 'run_command');
is($node->safe_psql('postgres', q(SELECT (tenancy_mongo.run_command('m', 'test', '{"find": "other", "filter": {"n": {"$numberLong": "77"}}}') -> 'cursor' -> 'firstBatch')::text)), '[{"_id": 1, "n": 77}]', 'and a cursor');
($status, $out, $err) = $node->psql('postgres', q(\set VERBOSITY verbose
	SELECT tenancy_mongo.run_command('m', 'test', '{"nonsense": 1}')));
like($err, qr/ERROR:  HV000: could not run command "nonsense" on database "test"\nDETAIL:  no such command/, 'an error of MongoDB');

done_testing();
