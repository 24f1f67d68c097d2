# Pushdown gives the same answers: every condition over every kind of value, evaluated by MongoDB and by PostgreSQL.
#
# One list holds values of every BSON type, the awkward ones among them.  For each column type the documents that fit are
# found by reading one after the other; they become a collection of their own (clean), whose rows, read without pushdown,
# stand in a local table.  Then each condition must give
#   - on the clean collection, the rows that PostgreSQL gives on the local table;
#   - on the collection with every document (dirty), those rows too, or an error because of a document that does not fit;
#   - under LIMIT, as many of those rows as asked for.
# Conditions come as literals, as a value that is known only when the scan starts, and commuted.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Foreign::Node;
use Mongo::Server;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = Mongo::Server->new('main')->start;
my $node  = foreign_node($mongo, "timezone = 'Europe/Berlin'");

#
# Values
#

my @numbers = (
	(map { $_, qq({"\$numberLong": "$_"}), qq({"\$numberDouble": "$_.0"}), qq({"\$numberDecimal": "$_"}) } -1, 0, 1, 2, 5, 100),
	(map { qq({"\$numberLong": "$_"}) } '32768', '2147483647', '2147483648', '9007199254740991', '9007199254740992',
		'9007199254740993', '9223372036854775807', '-9223372036854775808'),
	(map { qq({"\$numberDouble": "$_"}) } '-0.0', '0.1', '0.5', '1.5', '2.675', '-1.5', '3.14', '1e15', '9007199254740992', '1e22', '1e23', '1e300',
		'1.7976931348623157e308', '5e-324', '123456.789', '16777217', '9223372036854775808', 'NaN', 'Infinity', '-Infinity'),
	(map { qq({"\$numberDecimal": "$_"}) } '0.1', '0.5', '1.50', '2.675', '0.1000000000000000055511151231257827', '9007199254740993', '1E+3', '1E-20', '3.14',
		'1E+6144', '-0', 'NaN', 'Infinity', '-Infinity'));
my @strings = (
	(map { qq("$_") } '', 'a', 'A', 'b', 'ab', 'abc', 'abc ', '$a', '$tenant', 'é', 'z', '~', '\u0001', 'zażółć', '10', '9',
		'650000000000000000000001', '65000000000000000000000', '6500000000000000000000011', '65000000000000000000000A', '64ffffffffffffffffffffff',
		'g', '0', 'longer than thirty characters, by far'),
	'{"$oid": "650000000000000000000001"}', '{"$oid": "650000000000000000000002"}', '{"$oid": "ffffffffffffffffffffffff"}',
	'{"$oid": "000000000000000000000000"}', '{"$oid": "abcdef000000000000000000"}', '{"$symbol": "abc"}', '{"$symbol": "zz"}');
my @dates = map { qq({"\$date": {"\$numberLong": "$_"}}) } 0, 1, -1, 86400000, 1714564800000, 1714564800500, 1714564800123, -62135596800000,
	-210866803200001, -210866803200000, 9224318015999999, 9224318016000000, '9223372036854775807', '-9223372036854775808', 1709164800000;
my @others = ('true', 'false', 'null', '{"$undefined": true}',
	'{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}', '{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "03"}}',
	'{"$binary": {"base64": "AAEC", "subType": "00"}}', '"00112233-4455-6677-8899-aabbccddeeff"', '"00112233-4455-6677-8899-AABBCCDDEEFF"',
	'"00112233-4455-6677-8899-AABBCCDDeeff"', '"11112233-4455-6677-8899-aabbccddeeff"',
	'{}', '{"x": 1}', '{"x": null}', '[]', '[1]', '[1, 2]', '[null]', '[1, null]', '["a"]', '["a", null]', '[true]', '[[1]]', '[{"x": 1}]',
	'{"$regularExpression": {"pattern": "a", "options": ""}}', '{"$code": "f()"}', '{"$timestamp": {"t": 1, "i": 1}}', '{"$minKey": 1}', '{"$maxKey": 1}',
	'{"x": {"$numberDouble": "NaN"}}');
my @values = (@numbers, @strings, @dates, @others);

# Documents: the value in a field; the value below another one; and arrays where documents are expected.
my %flat;
my %nested;
my $k = 0;
$flat{ $k++ } = qq("v": $_) for @values;
$flat{ $k++ } = '"w": 1';
$k = 0;
for my $value (@numbers[ 0 .. 11 ], @strings[ 0 .. 5 ], $strings[16], $strings[24], @dates[ 0 .. 4 ], @others)
{
	$nested{ $k++ } = qq("a": {"b": $value});
	$nested{ $k++ } = qq("a": [{"b": $value}]);
}
$nested{ $k++ } = $_ for '"a": 5', '"a": null', '"a": []', '"a": {}', '"a": [null]', '"a": [{"b": 1}, {"c": 2}]', '"a": [[{"b": 1}]]', '"w": 1';

sub fill
{
	my ($collection, %documents) = @_;
	my @lines = map { qq({"k": $_, $documents{$_}}) } sort { $a <=> $b } keys %documents;
	$mongo->command('test', [ create => $collection ]);
	$mongo->insert('test', $collection, splice(@lines, 0, 100)) while @lines;
	return;
}
fill('dirty_flat', %flat);
fill('dirty_nested', %nested);

#
# Types, and constants to compare with
#

my @whole = (-1, 0, 1, 2, 5, 100, 32767);
my @big = ('9007199254740993', '9007199254740992', '2147483648', '9223372036854775807', '-9223372036854775808');
my @reals = map { "'$_'::float8" } '-1', '0', '-0', '0.1', '0.5', '1', '1.5', '2', '3.14', '1e15', '9007199254740992', '1e300', 'NaN', 'Infinity', '-Infinity';
my @decimals = map { "'$_'::numeric" } '-1', '0', '0.1', '0.5', '1', '1.50', '2', '2.675', '3.14', '9007199254740993', '9007199254740992', '1e23', '1e22', '1e400',
	'0.1000000000000000055511151231257827', '123456.789', 'NaN', 'Infinity', '-Infinity';
my @texts = map { "'$_'" } '', 'a', 'A', 'ab', 'abc', 'abc ', '$a', '$tenant', 'é', 'z', '~', '10', '6', '65', '650000000000000000000001', '65000000000000000000000',
	'650000000000000000000001x', '65000000000000000000000A', '65000000000000000000000g', '650000000000000000000002', 'f', 'ffffffffffffffffffffffff', 'fffffffffffffffffffffffff', 'g',
	'0', '000000000000000000000000', '9z', ' ', 'zażółć';
my @instants = map { "'$_'::timestamptz" } '1970-01-01 00:00Z', '1970-01-01 00:00:00.001Z', '1970-01-01 00:00:00.0005Z', '1969-12-31 23:59:59.9985Z', '2024-05-01 12:00Z',
	'2024-05-01 12:00:00.5Z', '2024-05-01 12:00:00.500001Z', '2024-05-01 12:00:00.499999Z', '2024-05-01 12:00:00.123Z', 'infinity', '-infinity', '4714-11-24 00:00Z BC';
my @walls = map { s/timestamptz$/timestamp/r =~ s/Z(?=[' ])//r } @instants;
my @days = map { "'$_'::date" } '1970-01-01', '1970-01-02', '1969-12-31', '2024-05-01', '2024-02-29', 'infinity', '-infinity', '4714-11-24 BC', '5874897-12-31';

my %types = (
	int2 => [ smallint => @whole, @big ],
	int4 => [ integer => @whole, @big ],
	int8 => [ bigint => @whole, @big ],
	float8 => [ 'double precision' => @reals ],
	float4 => [ real => @reals ],
	decimal => [ numeric => @decimals ],
	price => [ 'numeric(10,2)' => @decimals ],
	text => [ text => @texts ],
	varchar => [ 'varchar(30)' => @texts ],
	name => [ name => @texts ],
	char => [ 'char(10)' => @texts ],
	bool => [ boolean => 'true', 'false' ],
	instant => [ timestamptz => @instants, @days, @walls ],
	wall => [ timestamp => @walls, @days ],
	day => [ date => @days, "'2024-05-01 12:00'::timestamp" ],
	uuid => [ uuid => map { "'$_'::uuid" } '00112233-4455-6677-8899-aabbccddeeff', '11112233-4455-6677-8899-aabbccddeeff', '00000000-0000-0000-0000-000000000000' ],
	bytes => [ bytea => "'\\x000102'::bytea", "'\\x650000000000000000000001'::bytea" ],
	ints => [ 'integer[]' => "'{1}'::integer[]", "'{}'::integer[]" ],
	strings => [ 'text[]' => "'{a}'::text[]" ],
	jsonb => [ jsonb => "'1'::jsonb", "'null'::jsonb", "'[1]'::jsonb" ],
	domain => [ small => @whole ],
	domain_text => [ word => @texts ]);

$node->safe_psql('postgres', q(
	CREATE DOMAIN small AS integer CHECK (VALUE < 1000);
	CREATE DOMAIN word AS text CHECK (length(VALUE) < 20);

	-- The keys of the documents that fit.
	CREATE FUNCTION fitting(foreign_table text, keys int) RETURNS SETOF int LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 0 .. keys - 1 LOOP
			BEGIN
				EXECUTE format('SELECT v FROM %I WHERE k = %s', foreign_table, i);
				RETURN NEXT i;
			EXCEPTION WHEN data_exception OR integrity_constraint_violation OR datatype_mismatch THEN
			END;
		END LOOP;
	END $$;

	-- One condition, in all its shapes; returns what is wrong.
	CREATE FUNCTION compare(condition text, clean text, dirty text, reference text) RETURNS SETOF text LANGUAGE plpgsql AS $$
	DECLARE
		wanted int[];
		got int[];
		number int;
		counted bigint;
	BEGIN
		BEGIN
			EXECUTE format('SELECT array_agg(k ORDER BY k) FROM %I WHERE %s', reference, condition) INTO wanted;
		EXCEPTION WHEN undefined_function OR undefined_object OR datetime_field_overflow THEN
			RETURN;		-- no such operator, or PostgreSQL has no answer either
		END;
		EXECUTE format('SELECT array_agg(k ORDER BY k) FROM %I WHERE %s', clean, condition) INTO got;
		IF got IS DISTINCT FROM wanted THEN
			RETURN NEXT format('%s WHERE %s: %s, not %s', clean, condition, got, wanted);
		END IF;
		EXECUTE format('SELECT count(*) FROM %I WHERE %s', clean, condition) INTO counted;
		IF counted <> coalesce(array_length(wanted, 1), 0) THEN
			RETURN NEXT format('%s WHERE %s: count %s, not %s', clean, condition, counted, wanted);
		END IF;
		FOREACH number IN ARRAY ARRAY[1, 3, 1000] LOOP
			EXECUTE format('SELECT array_agg(k ORDER BY k) FROM (SELECT k FROM %I WHERE %s LIMIT %s) _', clean, condition, number) INTO got;
			IF coalesce(array_length(got, 1), 0) <> least(coalesce(array_length(wanted, 1), 0), number) OR NOT coalesce(got <@ wanted, true) THEN
				RETURN NEXT format('%s WHERE %s LIMIT %s: %s, not of %s', clean, condition, number, got, wanted);
			END IF;
		END LOOP;
		BEGIN
			EXECUTE format('SELECT array_agg(k ORDER BY k) FROM %I WHERE %s', dirty, condition) INTO got;
			IF got IS DISTINCT FROM wanted THEN
				RETURN NEXT format('%s WHERE %s: %s, not %s', dirty, condition, got, wanted);
			END IF;
		EXCEPTION WHEN data_exception OR integrity_constraint_violation OR datatype_mismatch THEN
		END;
		BEGIN
			EXECUTE format('SELECT count(*) FROM %I WHERE %s', dirty, condition) INTO counted;
			IF counted <> coalesce(array_length(wanted, 1), 0) THEN
				RETURN NEXT format('%s WHERE %s: count %s, not %s', dirty, condition, counted, wanted);
			END IF;
		EXCEPTION WHEN data_exception OR integrity_constraint_violation OR datatype_mismatch THEN
		END;
	END $$;));

for my $shape (['flat', 'v', \%flat], ['nested', 'a.b', \%nested])
{
	my ($name, $path, $documents) = @$shape;

	for my $type (sort keys %types)
	{
		my ($sql_type, @constants) = @{ $types{$type} };
		my $id      = "${name}_$type";
		my $columns = "(k int, v $sql_type OPTIONS (path '$path')) SERVER m OPTIONS (database 'test', collection";

		$node->safe_psql('postgres', qq{
			CREATE FOREIGN TABLE dirty_$id $columns 'dirty_$name');
			CREATE FOREIGN TABLE clean_$id $columns 'clean_$id');
			CREATE FOREIGN TABLE local_$id $columns 'clean_$id', pushdown 'false');});
		my $keys = $node->safe_psql('postgres', "SELECT fitting('dirty_$id', " . keys(%$documents) . ')');
		my %fitting = map { $_ => $documents->{$_} } split /\n/, $keys;
		fill("clean_$id", %fitting);
		$node->safe_psql('postgres', "CREATE TABLE reference_$id AS SELECT * FROM local_$id");

		my @conditions = ('v IS NULL', 'v IS NOT NULL', 'NOT (v IS NULL)', 'v IS NULL AND k >= 3');
		push @conditions, map { "v $_" } 'IS TRUE', 'IS FALSE', 'IS NOT TRUE', 'IS NOT FALSE', 'IS UNKNOWN', 'IS NOT UNKNOWN' if $type eq 'bool';
		push @conditions, 'v', 'NOT v', 'v AND k > 3' if $type eq 'bool';
		for my $constant (@constants)
		{
			push @conditions, "v $_ $constant", "$constant $_ v", "v $_ (SELECT $constant)" for '=', '<', '<=', '>', '>=';
			push @conditions, "v <> $constant";
			push @conditions, "v IN ($constant, $constants[0])", "v = ANY (ARRAY[$constant, NULL])", "v = ANY (ARRAY(SELECT $constant))",
				"v > $constant AND v <= $constants[-1]";
		}
		push @conditions, "v = ANY (ARRAY[" . join(', ', @constants[ 0 .. ($#constants > 6 ? 6 : $#constants) ]) . '])' unless $type =~ /^(instant|wall|day)$/;
		push @conditions, "v = NULL", "v IN (NULL)", "v = ANY (NULL)";

		my $script = "SET client_min_messages = warning;\n";
		for my $condition (@conditions)
		{
			$script .= "SELECT compare(\$c\$$condition\$c\$, 'clean_$id', 'dirty_$id', 'reference_$id');\n";
		}
		my $wrong = $node->safe_psql('postgres', $script);
		is($wrong, '', "$name $sql_type: " . @conditions . ' conditions over ' . keys(%fitting) . ' of ' . keys(%$documents) . ' documents');
	}
}

#
# Orders: every kind of column, in each direction, nulls at either end
#

for my $type (sort keys %types)
{
	for my $name ('flat', 'nested')
	{
		my $wrong = '';
		for my $order (map { my $direction = $_; map { "v $direction $_" } 'NULLS FIRST', 'NULLS LAST' } 'ASC', 'DESC')
		{
			my ($remote, $here) = map {
				my $table = $_;
				$node->safe_psql('postgres', join ';', map { "SELECT array_agg(k) FROM (SELECT k FROM ${table}_${name}_$type ORDER BY $order, k DESC LIMIT $_) _" } 4, 30, 1000)
			} 'clean', 'reference';
			$wrong .= "$order: $remote, not $here\n" if $remote ne $here;
		}
		is($wrong, '', "$name $types{$type}[0]: ORDER BY with LIMIT") unless $type =~ /^(ints|strings)$/ && $name eq 'nested';
	}
}

#
# The same with an ORDER of the database that is not that of bytes: "<" stays here, "=" goes.
# A server without ICU has a locale at least whose name says nothing.
#
$node->safe_psql('postgres', q(
	DO $$ BEGIN
		IF EXISTS (SELECT FROM pg_collation WHERE collname = 'de-x-icu') THEN
			CREATE COLLATION german FROM "de-x-icu";
		ELSE
			CREATE COLLATION german (provider = libc, locale = 'C.UTF-8@other');
		END IF;
	END $$;));
$node->safe_psql('postgres', qq(
	CREATE FOREIGN TABLE german (k int, v text COLLATE german) SERVER m OPTIONS (database 'test', collection 'clean_flat_text');
	CREATE FOREIGN TABLE german_dirty (k int, v text COLLATE german) SERVER m OPTIONS (database 'test', collection 'dirty_flat');
	CREATE TABLE german_reference (k int, v text COLLATE german);
	INSERT INTO german_reference SELECT * FROM local_flat_text;));
is($node->safe_psql('postgres', join "\n", map {
	my $constant = $_;
	map { "SELECT compare(\$c\$v $_ $constant\$c\$, 'german', 'german_dirty', 'german_reference');" } '=', '<', '<=', '>', '>='
} @texts), '', 'a linguistic collation');

# A collection whose own collation takes "a" for "A".
$mongo->command('test', '{"create": "loose", "collation": {"locale": "en", "strength": 1}}');
$mongo->insert('test', 'loose', '{"k": 1, "v": "a"}', '{"k": 2, "v": "A"}', '{"k": 3, "v": "á"}');
$node->safe_psql('postgres', "CREATE FOREIGN TABLE loose (k int, v text) SERVER m OPTIONS (database 'test', collection 'loose')");
is($node->safe_psql('postgres', "SELECT k FROM loose WHERE v = 'a'"), '1', 'a collection with a collation of its own');

#
# What is pushed, and what is not
#

sub plan_of
{
	my ($query) = @_;
	return $node->safe_psql('postgres', "SET timezone = 'UTC'; EXPLAIN (VERBOSE, COSTS OFF) $query");
}
for my $condition ('v = 1', 'v <= 1', '1 < v', 'v >= 1', 'v IN (1, 2)', 'v IS NULL', 'v IS NOT NULL', 'v = (SELECT 1)', 'v = 1 AND k = 2')
{
	unlike(plan_of("SELECT k FROM clean_flat_int4 WHERE $condition"), qr/Filter:/, "integer: $condition is pushed");
}
unlike(plan_of("SELECT k FROM clean_flat_text WHERE v = 'a'"), qr/Filter:/, 'text: = is pushed');
unlike(plan_of("SELECT k FROM clean_flat_text WHERE v < 'a'"), qr/Filter:/, 'text: < is pushed under C');
like(plan_of("SELECT k FROM german WHERE v < 'a'"), qr/Filter:/, 'text: < is not pushed under another collation');
unlike(plan_of("SELECT k FROM german WHERE v < 'a'"), qr/\$lt/, 'nor in part');
unlike(plan_of("SELECT k FROM german WHERE v = 'a'"), qr/Filter:/, 'text: = is pushed under a deterministic collation');
unlike(plan_of("SELECT k FROM $_"), qr/Filter:/, "$_ is pushed") for "german WHERE v <> 'a'", "german WHERE v LIKE 'a%'", "german WHERE v NOT LIKE 'a%'", "german WHERE starts_with(v, 'a')", "german WHERE v NOT IN ('a', 'b')",
	"clean_flat_text WHERE v = 'a' OR k = 2 AND v > 'b'", "clean_flat_int4 WHERE v IS DISTINCT FROM 1", "clean_flat_int4 WHERE (v = 1 OR k > 5) IS NOT TRUE", "clean_flat_int4 WHERE (v > 1) IS UNKNOWN", "clean_flat_bool WHERE v OR k = 1";
like(plan_of("SELECT k FROM clean_flat_text WHERE v LIKE 'a%b'"), qr/Filter: .*~~.*\n.*\n.*"\$regex": "\^a"/, 'a pattern with more in it is pushed in part and rechecked');
like(plan_of("SELECT k FROM clean_flat_int4 WHERE v = 1 OR k = 2 AND length(v::text) = 1"), qr/Filter: .*length.*\n.*\n.*"\$or": \[\{"v": \{"\$eq": 1\}\}, \{"k": \{"\$eq": 2\}\}\]/, 'OR: of each side what can be');
like(plan_of("SELECT k FROM clean_flat_int4 WHERE $_"), qr/Filter:(?!.*filter")/s, "$_ is not") for 'v = 1 OR length(v::text) = 1', 'v + 1 = 2', '(v = 1 AND length(v::text) = 1) IS NOT TRUE';
like(plan_of("SELECT k FROM clean_flat_decimal WHERE v <> 0.1"), qr/Filter:(?!.*filter")/s, 'nor <> of what does not compare alike');
like(plan_of("SELECT k FROM clean_flat_text WHERE v LIKE '%a'"), qr/Filter:(?!.*filter")/s, 'nor a pattern that begins with anything');
unlike(plan_of("SELECT k FROM clean_flat_decimal WHERE v > 5"), qr/Filter:/, 'numeric: a small integer is exact');
like(plan_of("SELECT k FROM clean_flat_decimal WHERE v > 0.1"), qr/Filter: .*\n.*\n.*gte/, 'numeric: a fraction is pushed and rechecked');
like(plan_of("SELECT k FROM clean_flat_char WHERE v = 'a'"), qr/Filter:/, 'char(n) is not pushed');
like(plan_of("SELECT k FROM clean_flat_int4 WHERE v = 1 AND length(k::text) = 1"), qr/Filter: \(length.*\n.*\n.*"v": \{"\$eq": 1\}/, 'AND: clause by clause');
unlike(plan_of("SELECT k FROM clean_flat_int4 WHERE v = 1 LIMIT 5"), qr/^Limit/, 'LIMIT is pushed over exact conditions');
like(plan_of("SELECT k FROM clean_flat_int4 WHERE v = 1 LIMIT 5 OFFSET 2"), qr/"skip": 2, "limit": 5/, 'and OFFSET');
like(plan_of("SELECT k FROM clean_flat_decimal WHERE v = 0.1 LIMIT 5"), qr/^Limit/, 'LIMIT is not pushed over others');
like(plan_of("SELECT k FROM clean_flat_int4 WHERE v + 1 <> 1 LIMIT 5"), qr/^Limit/, 'nor over conditions that stay here');
like(plan_of("SELECT k FROM clean_flat_decimal ORDER BY v LIMIT 5"), qr/^Limit/, 'nor over a sort that stays here');
like(plan_of("SELECT k FROM clean_flat_int4 ORDER BY k FETCH FIRST 5 ROWS WITH TIES"), qr/^Limit/, 'nor WITH TIES');
unlike(plan_of("SELECT k FROM clean_flat_int4 ORDER BY v LIMIT 5"), qr/^Limit|Sort/, 'a sort goes with its LIMIT');
like(plan_of("SELECT k FROM clean_flat_int4 ORDER BY v NULLS FIRST LIMIT 5"), qr/"find": .*"sort": \{"v": 1\}/, 'as find\'s own where the nulls are where MongoDB has them');
like(plan_of("SELECT count(*) FROM clean_flat_int4 LIMIT 5"), qr/^Limit/, 'nor over an aggregate');
for my $aggregate ('count(*)', 'count(v)', 'sum(v)', 'avg(v)', 'min(v)', 'max(v)')
{
	like(plan_of("SELECT $aggregate FROM clean_flat_int4"), qr/"\$group"/, "$aggregate of integers is pushed");
	is($node->safe_psql('postgres', "SELECT $aggregate FROM clean_flat_int4"), $node->safe_psql('postgres', "SELECT $aggregate FROM reference_flat_int4"), "$aggregate: the same answer");
	my ($failed, $nothing, $words) = $node->psql('postgres', "SELECT $aggregate FROM dirty_flat_int4");
	like($words, $aggregate eq 'count(*)' ? qr/^$/ : qr/documents do not fit foreign table "dirty_flat_int4"\nDETAIL:.*counted \d+.*\nHINT:/, "$aggregate: values that do not fit are an error");
}
for my $aggregate ('sum(v)', 'avg(v)', 'min(v)', 'max(v)')
{
	unlike(plan_of("SELECT $aggregate FROM clean_flat_$_"), qr/"\$group"/, "$aggregate of $_ is not") for 'float8', 'decimal';
}
for my $aggregate ('count(DISTINCT v)', 'count(DISTINCT v), sum(k), count(*), max(DISTINCT v)', map({ "$_ FILTER (WHERE k > 5 AND (v IS NULL OR v <> 3))" } 'count(*)', 'count(v)', 'sum(v)', 'avg(v)', 'min(v)', 'max(v)'), 'count(*) FILTER (WHERE v IN (1, 2) IS NOT TRUE), count(*)')
{
	like(plan_of("SELECT $aggregate FROM clean_flat_int4"), qr/"\$group"/, "$aggregate is pushed");
	is($node->safe_psql('postgres', "SELECT $aggregate FROM clean_flat_int4"), $node->safe_psql('postgres', "SELECT $aggregate FROM reference_flat_int4"), "$aggregate: the same answer");
	my ($failed, $nothing, $words) = $node->psql('postgres', "SELECT $aggregate FROM dirty_flat_int4");
	like($words, qr/documents do not fit foreign table "dirty_flat_int4"/, "$aggregate: values that do not fit are an error");
}
unlike(plan_of("SELECT $_ FROM clean_flat_int4"), qr/"\$group"/, "$_ is not") for 'count(DISTINCT v), count(DISTINCT k)', 'sum(DISTINCT v)', 'count(DISTINCT v) FILTER (WHERE k > 1)', 'count(v) FILTER (WHERE k + 1 > 1)', 'count(v) FILTER (WHERE random() > 0.5)', 'count(DISTINCT v + 1)', 'array_agg(v)', 'sum(v + 1)', 'stddev(v)';
like(plan_of('SELECT v, count(*) FROM clean_flat_text GROUP BY v HAVING count(*) > 1'), qr/Filter: .*count\(\*\).*"\$group"/s, 'groups, and HAVING on them');
like(plan_of("SELECT DISTINCT $_"), qr/^Foreign Scan|\n *-> *Foreign Scan.*"\$group"/s, "DISTINCT $_ is pushed") for 'v FROM clean_flat_text', 'v, k FROM clean_flat_int4 WHERE k > 1';
like(plan_of('SELECT DISTINCT v FROM clean_flat_text ORDER BY v LIMIT 2'), qr/^Limit.*Sort.*"\$group"/s, 'below a sort');
unlike(plan_of("SELECT DISTINCT $_"), qr/"\$group"/, "DISTINCT $_ is not") for 'v FROM clean_flat_decimal', 'ON (v) v, k FROM clean_flat_int4', 'v + 1 FROM clean_flat_int4', '1 FROM clean_flat_int4', 'v, row_number() OVER () FROM clean_flat_int4';
unlike(plan_of('SELECT v, count(*) FROM clean_flat_decimal GROUP BY v'), qr/"\$group"/, 'no groups by numeric');
unlike(plan_of('SELECT count(*) FROM clean_flat_int4 WHERE v + 1 <> 1'), qr/"\$group"/, 'nor over conditions that stay here');
is($node->safe_psql('postgres', 'SELECT count(*), count(v), sum(v), avg(v), max(v) FROM clean_flat_int4 WHERE k = -1'), '0|0|||', 'aggregates of nothing');
is($node->safe_psql('postgres', "SELECT count(*) FROM clean_flat_int4 WHERE k = -1 GROUP BY 'x'::text"), '', 'by a constant: no group');
is($node->safe_psql('postgres', 'SELECT count(*) FROM clean_flat_int4 WHERE v = NULL'), '0', 'of what cannot be');
is($node->safe_psql('postgres', 'SELECT v, count(*) FROM clean_flat_int4 WHERE k = -1 GROUP BY v'), '', 'and groups of nothing');
is($node->safe_psql('postgres', 'SELECT count(*) + 1, 2 * max(k) - count(k) FROM clean_flat_int4 WHERE v = 1'), $node->safe_psql('postgres', 'SELECT count(*) + 1, 2 * max(k) - count(k) FROM reference_flat_int4 WHERE v = 1'), 'expressions over aggregates');
like(plan_of("SELECT k FROM local_flat_int4 WHERE v = 1"), qr/Filter:/, 'pushdown \'false\' pushes nothing');

# What nests tests of truth doubles with each of them: a few go, and a plan does not grow without bounds.
my $nested_truth = "v = 1";
$nested_truth = "(k > $_ AND $nested_truth) IS UNKNOWN" for 1 .. 3;
unlike(plan_of("SELECT k FROM clean_flat_int4 WHERE $nested_truth"), qr/Filter:/, 'three tests of truth in one another are pushed');
$nested_truth = "(k > $_ AND $nested_truth) IS UNKNOWN" for 4 .. 16;
my $plan = plan_of("SELECT k FROM clean_flat_int4 WHERE $nested_truth");
like($plan, qr/Filter:/, 'sixteen stay here');
cmp_ok(length $plan, '<', 20_000, 'and their plan is a short one');

# Groups that do not fit work_mem, read more than once.
$mongo->insert('test', 'spilled', map { qq({"k": $_, "n": @{[ $_ % 3000 ]}, "s": "text @{[ 'x' x ($_ % 90) ]} $_"}) } $_ * 1000 .. $_ * 1000 + 999) for 0 .. 5;
$node->safe_psql('postgres', q(
	CREATE FOREIGN TABLE spilled (k int, n int, s text) SERVER m OPTIONS (database 'test', collection 'spilled');
	CREATE TABLE spilled_reference AS SELECT * FROM spilled;
	ANALYZE spilled_reference;));
my ($spilled, $wanted) = map { $node->safe_psql('postgres', qq(SET work_mem = '64kB'; SET enable_material = off;
	SELECT i, count(*), sum(c), sum(b), md5(string_agg(s, ',' ORDER BY n)) FROM generate_series(0, 2) i, LATERAL (SELECT n, count(*) AS c, sum(k) AS b, max(s COLLATE "C") AS s FROM $_ WHERE n >= i * 10 GROUP BY n OFFSET 0) g GROUP BY i ORDER BY i)) } 'spilled', 'spilled_reference';
is($spilled, $wanted, 'groups on disk');

# What is tried first, and what comes when it fails.
sub group_commands { return scalar @{ $mongo->command('test', qq({"find": "system.profile", "filter": {"ns": "test.$_[0]", "command.aggregate": {"\$exists": true}}, "batchSize": 1000}))->{cursor}{firstBatch} }; }
for my $case ([ 'whole', 1, 1, '{"n": 1, "b": {"$numberLong": "5"}}', '{"n": 2, "b": 7}' ], [ 'lacking', 2, 1, '{"n": 1, "b": {"$numberLong": "5"}}', '{"b": 7}' ], [ 'wide', 2, 1, '{"n": 1, "b": 1}', '{"n": {"$numberLong": "2"}, "b": 1}' ],
	[ 'overflow', 2, 1, '{"n": 2147483647, "b": 1}', '{"n": 2147483647, "b": 1}' ], [ 'doubled', 3, 1, '{"n": 1, "b": 1}', '{"n": {"$numberDouble": "1.0"}, "b": 1}' ], [ 'torn', 3, 1, '{"n": 1, "b": {"$numberLong": "9223372036854775807"}}', '{"n": 1, "b": {"$numberLong": "9223372036854775807"}}' ])
{
	my ($name, $first, $second, @documents) = @$case;
	$mongo->insert('test', $name, @documents);
	$node->safe_psql('postgres', "CREATE FOREIGN TABLE $name (n int, b bigint) SERVER m OPTIONS (database 'test', collection '$name')");
	$mongo->command('test', '{"profile": 0}');
	eval { $mongo->command('test', '{"drop": "system.profile"}') };
	$mongo->command('test', '{"profile": 2}');
	my $query = "SELECT count(*), sum(n), sum(b), avg(n), count(n), min(b), max(b) FROM $name";
	my $got = $node->safe_psql('postgres', "$query; $query; ANALYZE $name; $query");
	my $here = $node->safe_psql('postgres', "ALTER FOREIGN TABLE $name OPTIONS (ADD pushdown 'false'); $query");
	is($got, "$here\n$here\n$here", "$name: the same answer, again and again");
	# ANALYZE asks for the size, twice, and for the documents.
	is(group_commands($name), 2 * $first + $second + 3, "$name: $first commands, and $second when that is known");
}
$mongo->command('test', '{"profile": 0}');

# A pattern that ends in the middle of an escape is an error for who gets that far.
$mongo->insert('test', 'escapes', '{"k": 1, "v": "xy"}', '{"k": 2, "v": "ab"}', '{"k": 3, "v": "abc"}');
$node->safe_psql('postgres', "CREATE FOREIGN TABLE escapes (k int, v text) SERVER m OPTIONS (database 'test', collection 'escapes')");
for my $pattern ("'ab\\'", "(SELECT 'ab\\'::text)")
{
	my ($failed, $nothing, $words) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT k FROM escapes WHERE v LIKE $pattern");
	like($words, qr/ERROR:  22025: LIKE pattern must not end with escape character/, "LIKE $pattern is an error");
	is($node->safe_psql('postgres', "SELECT k FROM escapes WHERE v LIKE $pattern AND k < 3"), '', 'but not for strings that do not');
}

# LIMIT's own corner cases.
is($node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT k FROM clean_flat_int4 LIMIT 0) _'), '0', 'LIMIT 0');
is($node->safe_psql('postgres', 'SELECT count(*) = (SELECT count(*) FROM reference_flat_int4) FROM (SELECT k FROM clean_flat_int4 LIMIT NULL) _'), 't', 'LIMIT NULL');
is($node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT k FROM clean_flat_int4 LIMIT (SELECT 3) OFFSET (SELECT 1)) _'), '3', 'a LIMIT that is computed');
my ($status, $out, $err) = $node->psql('postgres', 'SELECT k FROM clean_flat_int4 LIMIT (SELECT -1)');
like($err, qr/LIMIT must not be negative/, 'a negative LIMIT');

#
# Prepared statements: the generic plan answers as the custom one does, for values of all kinds
#

for my $case (['flat_text', 'text', "'a'", "'\$a'", "'650000000000000000000001'", 'NULL'], ['flat_int8', 'bigint', 5, '9223372036854775807', 'NULL'],
	['flat_float8', 'float8', "'NaN'", 0.5, 'NULL'], ['flat_instant', 'timestamptz', "'2024-05-01 12:00:00.500001Z'", "'infinity'", 'NULL'],
	['flat_decimal', 'numeric', 0.1, 5, "'NaN'"])
{
	my ($id, $type, @arguments) = @$case;
	for my $op ('=', '<=', '>')
	{
		my ($remote, $here) = map {
			my $table = $_;
			$node->safe_psql('postgres', join ';', 'SET plan_cache_mode = force_generic_plan',
				"PREPARE p($type) AS SELECT coalesce(array_agg(k ORDER BY k)::text, 'none') FROM ${table}_$id WHERE v $op \$1",
				map { "EXECUTE p($_)" } @arguments);
		} 'clean', 'reference';
		is($remote, $here, "prepared: $type $op");
	}
}
is($node->safe_psql('postgres', q(SET plan_cache_mode = force_generic_plan; PREPARE p(int[]) AS SELECT count(*) FROM clean_flat_int4 WHERE v = ANY($1);
	EXECUTE p('{1,2}'); EXECUTE p('{}'); EXECUTE p(NULL); EXECUTE p('{1,NULL}');)),
	$node->safe_psql('postgres', q(PREPARE p(int[]) AS SELECT count(*) FROM reference_flat_int4 WHERE v = ANY($1);
	EXECUTE p('{1,2}'); EXECUTE p('{}'); EXECUTE p(NULL); EXECUTE p('{1,NULL}');)), 'prepared: = ANY ($1)');

#
# Parameters from a join: one command for each outer row, and only what it asks for comes back
#

$mongo->insert('test', 'many', map { qq({"_id": $_, "n": $_}) } 1 .. 5000);
$mongo->command('test', '{"createIndexes": "many", "indexes": [{"key": {"n": 1}, "name": "n"}]}');
$node->safe_psql('postgres', q(
	CREATE FOREIGN TABLE many (id int OPTIONS (path '_id'), n int) SERVER m OPTIONS (database 'test', collection 'many');
	CREATE TABLE wanted AS SELECT i * 100 AS n FROM generate_series(1, 20) i; ANALYZE wanted;));
like(plan_of('SELECT many.id FROM wanted JOIN many USING (n)'), qr/Look-up.*"n": \{"\$in": \{"\$param": "keys of the batch"/s, 'a join with a small table looks up');
like(plan_of('SELECT many.id FROM wanted, LATERAL (SELECT id FROM many WHERE n = wanted.n ORDER BY id LIMIT 1) many'), qr/Nested Loop.*"n": \{"\$eq": \{"\$param": /s, 'a subquery of each row one by one');
is($node->safe_psql('postgres', 'SELECT count(*), sum(many.id) FROM wanted JOIN many USING (n)'), '20|21000', 'and finds');
is($node->safe_psql('postgres', 'SELECT count(*) FROM wanted LEFT JOIN LATERAL (SELECT * FROM many WHERE many.n > wanted.n LIMIT 2) m ON true'), '40', 'LATERAL with LIMIT');
is($node->safe_psql('postgres', 'SELECT count(*) FROM wanted w WHERE EXISTS (SELECT FROM many m WHERE m.n = w.n)'), '20', 'a semijoin');

done_testing();
