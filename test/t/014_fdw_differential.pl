# Thousands of queries that nobody thought of: each runs on a foreign table with pushdown and on a local copy of its rows.
#
# The documents hold the awkward values of every type that fit the columns; the copy is read without pushdown.  Queries are
# made of conditions, orders, bounds, DISTINCT, groups and aggregates by chance, and their results compared, in order where
# they have one.  The queries are the same in each run, so that a failure is the fault of a change; DIFFERENTIAL_SEED=random
# makes others and prints their seed, DIFFERENTIAL_SEED=n plays them again, DIFFERENTIAL_QUERIES says how many.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../support";

use Foreign::Node;
use Mongo::Server;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed    = $ENV{DIFFERENTIAL_SEED} || 348246396;
$seed = int(rand(1_000_000_000)) if $seed eq 'random';
my $queries = $ENV{DIFFERENTIAL_QUERIES} // 3000;
diag("seed $seed");
srand($seed);

my $mongo = Mongo::Server->new('main')->start;
my $node  = foreign_node($mongo, "timezone = 'Europe/Berlin'");

#
# Documents
#

sub pick { return $_[ rand @_ ]; }

my @missing = (undef, 'null', '{"$undefined": true}');
sub number { return map { ($_, qq({"\$numberLong": "$_"}), qq({"\$numberDouble": "$_.0"}), qq({"\$numberDecimal": "$_"}), qq({"\$numberDecimal": "$_.00"})) } @_; }

# name => [type, path, BSON values, SQL constants]
my %columns = (
	i => [ 'int', 'i', [ number(-2, -1, 0, 1, 2, 3, 7), '{"$numberInt": "2147483647"}', '{"$numberInt": "-2147483648"}', '{"$numberDouble": "-0.0"}' ],
		[ -2, 0, 1, 2, 3, 7, 2147483647 ] ],
	b => [ 'bigint', 'b', [ number(-1, 0, 1, 5), map({ qq({"\$numberLong": "$_"}) } '9007199254740993', '9007199254740992', '9223372036854775807', '-9223372036854775808'),
			'{"$numberDouble": "9007199254740992"}' ], [ -1, 0, 1, 5, '9007199254740993', '9007199254740992', '9223372036854775807' ] ],
	s => [ 'smallint', 's', [ number(1, 2, 3) ], [ 1, 2 ] ],
	f => [ 'float8', 'f', [ number(0, 1, 2), map({ qq({"\$numberDouble": "$_"}) } '-0.0', '0.5', '0.1', '1.5', '-1.5', '1e300', '5e-324', 'NaN', 'Infinity', '-Infinity'),
			'{"$numberDecimal": "0.5"}', '{"$numberDecimal": "NaN"}', '{"$numberDecimal": "-0"}' ],
		[ map { "'$_'::float8" } '0', '0.5', '0.1', '1', 'NaN', 'Infinity', '-Infinity' ] ],
	n => [ 'numeric', 'n', [ number(0, 1, 2), map({ qq({"\$numberDouble": "$_"}) } '0.1', '0.5', '1.5', 'NaN', '1e22'),
			map({ qq({"\$numberDecimal": "$_"}) } '0.1', '0.10', '0.10000000000000000001', 'NaN', '9007199254740993', '1E+30'), '{"$numberLong": "9007199254740993"}' ],
		[ map { "'$_'::numeric" } '0', '0.1', '0.5', '1', '1.5', 'NaN', '9007199254740993' ] ],
	t => [ 'text', 't', [ map({ qq("$_") } '', 'a', 'A', 'b', 'ab', 'abc', 'B', '$a', '$t', 'é', 'z', '~', '10', '9', '650000000000000000000001', 'ab_c', 'ab%', 'a\\\\b', 'a.c', 'true'),
			'{"$oid": "650000000000000000000001"}', '{"$oid": "650000000000000000000002"}', '{"$oid": "0000000000000000000000ff"}', '{"$symbol": "abc"}' ],
		[ map { "'$_'" } '', 'a', 'A', 'ab', 'abc', '$a', '$t', 'é', '9', '650000000000000000000001', '65', 'z' ] ],
	v => [ 'varchar(30)', 'v', [ map { qq("$_") } 'x', 'y', 'xy', 'X', '' ], [ "'x'", "'y'", "''" ] ],
	o => [ 'boolean', 'o', [ 'true', 'false' ], [ 'true', 'false' ] ],
	z => [ 'timestamptz', 'z', [ map { qq({"\$date": {"\$numberLong": "$_"}}) } 0, 1, -1, 1714564800000, 1714564800500, 1711846799999, 1711846800000, -62135596800000 ],
		[ map { "'$_'::timestamptz" } '1970-01-01 00:00Z', '2024-05-01 12:00Z', '2024-05-01 12:00:00.5Z', '2024-05-01 12:00:00.500001Z', 'infinity', '-infinity' ] ],
	l => [ 'timestamp', 'l', [ map { qq({"\$date": {"\$numberLong": "$_"}}) } 0, 1, 1714564800000 ], [ map { "'$_'::timestamp" } '1970-01-01', '2024-05-01 12:00' ] ],
	d => [ 'date', 'd', [ map { qq({"\$date": {"\$numberLong": "$_"}}) } 0, 86400000, -86400000, 1709164800000 ], [ map { "'$_'::date" } '1970-01-01', '2024-02-29', 'infinity' ] ],
	u => [ 'uuid', 'u', [ '{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}', '"00112233-4455-6677-8899-aabbccddeeff"', '"11112233-4455-6677-8899-aabbccddeeff"' ],
		[ map { "'$_'::uuid" } '00112233-4455-6677-8899-aabbccddeeff', '11112233-4455-6677-8899-aabbccddeeff' ] ],
	x => [ 'int', 'a.x', [], [ 1, 2 ] ],
	y => [ 'text', 'a.y', [], [ "'p'", "'q'" ] ],
	j => [ 'jsonb', 'j', [ '1', '"a"', '{"k": 1}', '[1, 2]', '[null]', '{}', '{"k": "v"}', '{"k": "v", "n": {"k": "w"}}', '{"n": {"k": "v"}}', '{"k": "1"}', '{"k": ["v"]}', '[{"k": "v"}]', '{"k": true}',
			'{"k": "true"}', '{"n": [{"k": "v"}]}', '{"k": null}', '{"k": {"$symbol": "v"}}', '{"k": {"$numberDouble": "1.5"}}', '{"k": {"$oid": "650000000000000000000001"}}' ], [ "'1'::jsonb", "'{}'::jsonb" ] ],
	k => [ 'int', 'k', [], [ 10, 100, 200 ] ],
	m => [ 'int NOT NULL', 'm', [], [ 1, 2, 3 ] ]);
my @names = sort keys %columns;

# Of the clean collection: what a column's own type is stored as, so that groups need no exact command.
my %natural = (i => qr/^-?\d/, b => qr/numberLong/, s => qr/^\d/, f => qr/numberDouble": "-?[\d.]+"/, n => qr/numberDecimal": "[\d.]+"/, t => qr/^"/, j => qr/^[1"]|"n"/);

my @nested = ('{"x": 1, "y": "p"}', '{"x": 2, "y": "q"}', '{"x": {"$numberLong": "1"}}', '{"y": null}', '[{"x": 1, "y": "p"}]', '[]', '5', 'null', '{}', '[[{"x": 2}]]');

sub document
{
	my ($k, $clean) = @_;
	my @fields = (qq("_id": $k), qq("k": $k), '"m": ' . int(rand 5));
	for my $name (@names)
	{
		my $values = $columns{$name}[2];
		next unless @$values;
		$values = [ grep { $_ =~ $natural{$name} } @$values ] if $clean && $natural{$name};
		my $value = rand() < 0.15 ? ($clean ? undef : pick(@missing)) : pick(@$values);
		push @fields, qq("$columns{$name}[1]": $value) if defined $value;
	}
	push @fields, '"a": ' . pick($clean ? @nested[ 0, 1 ] : @nested) if rand() < 0.9;
	return '{' . join(', ', @fields) . '}';
}
$mongo->insert('test', 'docs', map { document($_) } $_ * 100 .. $_ * 100 + 99) for 0 .. 2;
$mongo->insert('test', 'clean', map { document($_, 1) } 0 .. 199);
$mongo->command('test', '{"createIndexes": "docs", "indexes": [{"key": {"i": 1}, "name": "i"}, {"key": {"m": 1, "k": -1}, "name": "m"}, {"key": {"a.x": 1}, "name": "x"}, {"key": {"t": 1}, "name": "t"}]}');

my $definition = join ', ', map { "$_ $columns{$_}[0] OPTIONS (path '$columns{$_}[1]')" } @names;
$definition =~ s/ NOT NULL( OPTIONS \([^)]*\))/$1 NOT NULL/;
$node->safe_psql('postgres', qq(
	CREATE FOREIGN TABLE remote ($definition) SERVER m OPTIONS (database 'test', collection 'docs');
	CREATE FOREIGN TABLE unpushed ($definition) SERVER m OPTIONS (database 'test', collection 'docs', pushdown 'false');
	CREATE TABLE reference AS SELECT * FROM unpushed;
	CREATE FOREIGN TABLE clean ($definition) SERVER m OPTIONS (database 'test', collection 'clean');
	CREATE FOREIGN TABLE clean_unpushed ($definition) SERVER m OPTIONS (database 'test', collection 'clean', pushdown 'false');
	CREATE TABLE clean_reference AS SELECT * FROM clean_unpushed;
	CREATE TABLE wanted AS SELECT i AS w, 'a' || i AS q FROM generate_series(0, 9) i;
	ANALYZE reference, clean_reference, wanted;

	CREATE FUNCTION compare(query text, ordered boolean, is_clean boolean) RETURNS SETOF text LANGUAGE plpgsql AS \$\$
	DECLARE
		tables text[] := CASE WHEN is_clean THEN ARRAY['clean_reference', 'clean'] ELSE ARRAY['reference', 'remote'] END;
		results text[] := '{}';
		result text;
	BEGIN
		FOR i IN 1 .. 2 LOOP
			BEGIN
				EXECUTE format(CASE WHEN ordered THEN 'SELECT count(*) || array_agg(r::text)::text FROM (%s) r'
					ELSE 'SELECT count(*) || array_agg(r::text ORDER BY r::text)::text FROM (%s) r' END, replace(query, '{t}', tables[i])) INTO result;
			EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
				result := 'ERROR ' || SQLSTATE;
			END;
			results := results || coalesce(result, 'nothing');
		END LOOP;
		IF results[1] <> results[2] THEN
			RETURN NEXT format(E'%s\\n  got    %s\\n  wanted %s', query, left(results[2], 600), left(results[1], 600));
		END IF;
	END \$\$;

	-- What the foreign scan of a query does beside reading: s(ort), l(imit), a(ggregate).
	CREATE FUNCTION pushed(query text) RETURNS text LANGUAGE plpgsql AS \$\$
	DECLARE
		line text;
		result text := '';
	BEGIN
		FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || replace(query, '{t}', 'remote') LOOP
			IF line ~ 'Remote command' THEN
				result := concat(CASE WHEN line ~ '"filter"|match' THEN 'f' END, CASE WHEN line ~ 'sort"' THEN 's' END, CASE WHEN line ~ 'limit"' THEN 'l' END, CASE WHEN line ~ 'group"' THEN 'a' END);
			END IF;
		END LOOP;
		RETURN result;
	END \$\$;));

#
# Queries
#

sub constant { return pick(@{ $columns{ $_[0] }[3] }); }

sub condition
{
	my ($depth) = @_;
	my $name = pick(@names);
	my $kind = rand;
	return '(' . join(pick(' OR ', ' AND '), map { condition($depth + 1) } 0 .. 1 + int(rand 2)) . ')' if $depth < 2 && $kind < 0.16;
	return 'NOT (' . condition($depth + 1) . ')' if $depth < 2 && $kind < 0.2;
	return '(' . condition($depth + 1) . ') IS ' . pick('', 'NOT ') . pick('TRUE', 'FALSE', 'UNKNOWN') if $depth < 2 && $kind < 0.25;
	return "$name IS " . pick('NULL', 'NOT NULL') if $kind < 0.35;
	return pick('o', 'NOT o', 'o IS TRUE', 'o IS NOT TRUE', 'o IS FALSE', 'o IS NOT FALSE', 'o IS UNKNOWN', 'o IS NOT UNKNOWN') if $kind < 0.42;
	$name = 'i' if $name eq 'j';
	return "$name IN (" . join(', ', map { constant($name) } 1 .. 3) . ')' if $kind < 0.5;
	return "$name = ANY (ARRAY[" . join(', ', constant($name), constant($name), 'NULL') . '])' if $kind < 0.55;
	return "$name IS " . pick('', 'NOT ') . 'DISTINCT FROM ' . constant($name) if $kind < 0.6;
	return "$name NOT IN (" . join(', ', map { constant($name) } 1 .. 2) . ')' if $kind < 0.61;
	return "$name <> ALL (ARRAY[" . pick('', constant($name), constant($name) . ', NULL') . "]::$columns{$name}[0]\[])" =~ s/ NOT NULL//r if $kind < 0.62;
	return "$name " . pick('=', '<>', 'IS DISTINCT FROM', 'IS NOT DISTINCT FROM') . ' (SELECT ' . pick('NULL::' . $columns{$name}[0] =~ s/ NOT NULL//r, constant($name)) . ')' if $kind < 0.63;
	return pick("j->>'k'", "j->'n'->>'k'", "j->'k'->>'k'") . pick(" = 'v'", " = 'w'", " = '1'", " = 'true'", " <> 'v'", " IN ('v', 'w')", " IN ('v', '1.5')", " NOT IN ('v')", ' IS NULL', " = (SELECT 'v'::text)") if $kind < 0.66;
	return pick("t LIKE 'a%'", "t LIKE 'ab\\_%'", "t LIKE '%b%'", "t NOT LIKE 'a%'", "t LIKE 'a.c%'", "t ~ '^a'", "starts_with(t, 'a')", "t LIKE '65%'", "v LIKE 'x%'", "lower(t) = 'a'", "t LIKE 'abc'", "t NOT LIKE 'abc'", "t LIKE '%'", "t NOT LIKE '%'", "t LIKE '\$%'", "t LIKE 'a\\\\%'",
		"t LIKE 'a_c'", "t LIKE (SELECT 'ab%'::text)", "t NOT LIKE '650%'", "t LIKE '650000000000000000000001%'", "t LIKE '~%'", "t LIKE 'é%'", "t LIKE 'ab\\%'", "t ^@ 'ab'", "starts_with(t, '65')", "starts_with(t, '')", "y LIKE 'p%'", "y NOT LIKE 'p%'", "t LIKE NULL") if $kind < 0.72;
	return pick("$name = (SELECT " . constant($name) . ')', pick('b', 's', 'f', 'n', 'x', 'k', 'm') . ' = i', "k % 3 = 1", "$name BETWEEN " . constant($name) . ' AND ' . constant($name)) if $kind < 0.78;
	return "$name " . pick('=', '<', '<=', '>', '>=', '<>') . ' ' . constant($name);
}

sub conditions
{
	my $count = pick(0, 0, 0, 1, 1, 1, 2, 3);
	return $count ? ' WHERE ' . join(' AND ', map { condition(0) } 1 .. $count) : '';
}

sub bounds
{
	my $bounds = rand() < 0.5 ? ' LIMIT ' . pick(0, 1, 2, 3, 10, 1000, '(SELECT 4)') : '';
	$bounds .= ' OFFSET ' . pick(0, 1, 5, 50) if rand() < 0.25;
	return $bounds;
}

sub shuffled
{
	my %at = map { $_ => rand } @_;
	return sort { $at{$a} <=> $at{$b} } keys %at;
}

sub order
{
	my @keys = (shuffled(grep { $_ ne 'k' } @_))[ 0 .. int(rand 3) ];
	return map { $_ . pick('', ' ASC', ' DESC') . pick('', '', ' NULLS FIRST', ' NULLS LAST') } grep { defined } @keys;
}

# Ordered, with k at the end, so that there is one right answer.
sub sorted_query
{
	my @columns = (shuffled(@names))[ 0 .. int(rand 4) ];
	my @keys = (order(grep { $_ ne 'j' } @names), 'k' . pick('', ' DESC'));
	return 'SELECT ' . join(', ', @columns) . ' FROM {t}' . conditions() . ' ORDER BY ' . join(', ', @keys) . bounds();
}

# Any rows that many: only their number is known.
sub bounded_query
{
	return 'SELECT ' . pick('1', 'NULL') . ' AS one FROM {t}' . conditions() . bounds();
}

# Of equal values that look different (0 and -0, 1 and 1.0) any may stand for a group.
sub shown { return map { $_ eq 'n' ? 'trim_scale(n) AS n' : $_ eq 'f' ? 'f + 0 AS f' : $_ } @_; }

sub plain_query
{
	my @columns = (shuffled(@names))[ 0 .. int(rand 5) ];
	my $distinct = pick('DISTINCT ', '', '');
	return "SELECT $distinct" . join(', ', $distinct ? shown(@columns) : @columns) . ' FROM {t}' . conditions();
}

sub aggregate
{
	my $name = pick(@names);
	return 'count(*)' if rand() < 0.2;
	my $filter = rand() < 0.25 ? ' FILTER (WHERE ' . condition(1) . ')' : '';
	return pick('count(*)', "count($name)") . $filter if rand() < 0.25;
	return "count(DISTINCT $name)$filter" if rand() < 0.2;
	# Sums of doubles depend on the order of their terms: whole numbers only.
	return pick('sum', 'avg', 'min', 'max') . '(' . pick('i', 'b', 's', 'n', 'm', 'k', 'x') . ")$filter" if rand() < 0.6;
	return pick('bool_and', 'bool_or') . "(o)$filter" if rand() < 0.15;
	return pick('min', 'max') . '(' . pick('i', 'b', 's', 'f', 'n', 't', 'v', 'z', 'l', 'd', 'm', 'k', 'x', 'y') . ")$filter";
}

sub aggregate_query
{
	my @groups = rand() < 0.7 ? (shuffled(grep { $_ ne 'k' } @names))[ 0 .. int(rand 2) ] : ();
	my @aggregates = map { aggregate() . " AS g$_" } 0 .. int(rand 4);
	s/\b(?:min|max)\(n\).*?(?= AS g)/trim_scale($&)/, s/\b(?:min|max)\(f\).*?(?= AS g)/$& + 0/ for @aggregates;
	my $query = 'SELECT ' . join(', ', shown(@groups), @aggregates) . ' FROM {t}' . conditions();
	$query .= ' GROUP BY ' . join(', ', @groups) if @groups;
	$query .= ' HAVING ' . pick('count(*) > 3', 'sum(i) > 2', 'max(k) < 250', 'count(i) > 1 AND min(k) >= 0', 'count(DISTINCT m) > 1') if rand() < 0.3;
	return $query;
}

sub join_query
{
	return pick(
		'SELECT k, w FROM wanted JOIN {t} ON i = w' . conditions(),
		'SELECT k, w FROM wanted LEFT JOIN {t} ON m = w AND ' . condition(1),
		'SELECT w FROM wanted WHERE ' . pick('', 'NOT ') . 'EXISTS (SELECT FROM {t} WHERE m = w AND ' . condition(1) . ')',
		'SELECT w, x.k FROM wanted, LATERAL (SELECT k FROM {t} WHERE i >= w ORDER BY m, k DESC LIMIT 2) x',
		'SELECT a.k, b.k AS kb FROM {t} a JOIN {t} b ON a.i = b.k' . (rand() < 0.5 ? ' WHERE a.m = 2' : ''),
		'SELECT w, (SELECT count(*) FROM {t} WHERE m = w) AS n FROM wanted');
}

my $script = "SET client_min_messages = warning;\n";
my @sample;
for my $number (1 .. $queries)
{
	my $chance = rand;
	my ($query, $ordered) =
		$chance < 0.4 ? (sorted_query(), 'true')
		: $chance < 0.5 ? (bounded_query(), 'false')
		: $chance < 0.6 ? (plain_query(), 'false')
		: $chance < 0.95 ? (aggregate_query(), 'false')
		: (join_query(), 'false');
	my $clean = rand() < 0.4 ? 'true' : 'false';
	$script .= "SELECT compare(\$q\$$query\$q\$, $ordered, $clean);\n";
	push @sample, $query if $number % 10 == 0;
}
# An order of two keys in which a null and an undefined must tie, and the aggregates with conditions of every kind.
for my $is_clean ('true', 'false')
{
	$script .= "SELECT compare(\$q\$SELECT i, t, k FROM {t} ORDER BY i, t$_, k LIMIT 1000\$q\$, true, $is_clean);\n" for '', ' NULLS FIRST', ' DESC';
	for my $name (grep { $_ !~ /^[jknfu]$/ } @names)
	{
		for my $test ((map { my $op = $_; map { "$name $op $_" } @{ $columns{$name}[3] } } '=', '<>', '<', '<=', '>', '>='), "$name IS NULL", "$name IS NOT NULL", "$name IN (" . join(', ', @{ $columns{$name}[3] }) . ')', "$name NOT IN (" . join(', ', @{ $columns{$name}[3] }) . ')', "($name = $columns{$name}[3][0]) IS NOT TRUE")
		{
			$script .= "SELECT compare(\$q\$SELECT m, count(*) FILTER (WHERE $test) AS a, count(i) FILTER (WHERE $test) AS b, sum(b) FILTER (WHERE $test) AS c, avg(i) FILTER (WHERE $test AND m > 1) AS d, min(z) FILTER (WHERE $test OR i = 1) AS e, sum(k) AS f FROM {t} GROUP BY m\$q\$, false, $is_clean);\n";
		}
		$script .= "SELECT compare(\$q\$SELECT $_ count(DISTINCT $name) AS a, count(*) AS b, sum(i) AS c, avg(b) AS d, min(i) AS e, max(t) AS f, count(i) FILTER (WHERE m > 1) AS g FROM {t}\$q\$ || '" . ($_ && " GROUP BY $_" =~ s/,$//r) . "', false, $is_clean);\n" for '', 'm,', 'o,', 'i,';
	}
}
is($node->safe_psql('postgres', $script), '', "$queries queries with the same answers (seed $seed)");

# The comparison is worth something only if much of it was pushed.
my %pushed;
$pushed{$_}++ for map { split // } split /\n/, $node->safe_psql('postgres', join '', map { "SELECT pushed(\$q\$$_\$q\$);\n" } @sample);
cmp_ok($pushed{f} // 0, '>', @sample * 0.2, 'many conditions are pushed');
cmp_ok($pushed{s} // 0, '>', @sample * 0.05, 'many sorts are pushed');
cmp_ok($pushed{l} // 0, '>', @sample * 0.05, 'many bounds are pushed');
cmp_ok($pushed{a} // 0, '>', @sample * 0.03, 'many aggregates are pushed');
note(join ', ', map { "$_: $pushed{$_}" } sort keys %pushed);

#
# UPDATE and DELETE: by one command, and row by row.  Each is undone; what it says, and what the collection is then, must be the
# same.  A third of the documents of the dirty collection have a value that does not fit.
#

my @misfits = ('{"$numberDouble": "1.5"}', '"x"', '[1]', '{"q": 1}', '"2024"', 'true', '{"$numberLong": "99999999999"}');
sub spoiled
{
	my ($k) = @_;
	my $document = document($k);
	my $field = pick('i', 'b', 't', 'v', 'o', 'z', 'n', 'm', 'd', 'u', 'a');
	my $value = pick(@misfits);
	$document =~ s/"$field": (?:"[^"]*"|[^,{}\[\]]+|\{[^{}]*(?:\{[^{}]*\})?\})(?=[,}])/"$field": $value/;
	return $document;
}
$mongo->insert('test', 'fit', map { document($_) } 0 .. 149);
$mongo->insert('test', 'dirty', map { $_ % 3 ? document($_) : spoiled($_) } 0 .. 149);
$mongo->command('test', qq({"createIndexes": "$_", "indexes": [{"key": {"i": 1}, "name": "i"}, {"key": {"m": 1, "k": -1}, "name": "m"}, {"key": {"t": 1}, "name": "t"}]})) for 'fit', 'dirty';
$node->safe_psql('postgres', join '', map { qq(
	CREATE FOREIGN TABLE $_ ($definition, w int CHECK (w < 100)) SERVER m OPTIONS (database 'test', collection '$_');
	CREATE FOREIGN TABLE ${_}_documents (k json OPTIONS (path '_id'), d json OPTIONS (document 'true')) SERVER m OPTIONS (database 'test', collection '$_');) } 'fit', 'dirty');
$node->safe_psql('postgres', q(
	-- A modifying WITH, and RETURNING, are done row by row; a deletion that returns something would read more than one that does not.
	CREATE FUNCTION outcome(statement text, documents text, rows boolean) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		count bigint;
		state text;
	BEGIN
		EXECUTE CASE WHEN NOT rows THEN statement WHEN statement ~ '^UPDATE' THEN statement || ' RETURNING 1' ELSE 'WITH x AS (' || statement || ') SELECT' END;
		GET DIAGNOSTICS count = ROW_COUNT;
		EXECUTE format('SELECT count(*) || coalesce(md5(string_agg(d::text, \'\' ORDER BY k::text)), \'\') FROM %I', documents) INTO state;
		RAISE EXCEPTION 'done: % %', CASE WHEN statement ~ '^UPDATE' THEN count END, state;
	EXCEPTION WHEN OTHERS THEN
		RETURN SQLSTATE || ' ' || SQLERRM;
	END $$;
	CREATE FUNCTION compare_changes(statement text, tablename text) RETURNS SETOF text LANGUAGE plpgsql AS $$
	DECLARE
		got text := outcome(replace(statement, '{t}', tablename), tablename || '_documents', false);
		wanted text := outcome(replace(statement, '{t}', tablename), tablename || '_documents', true);
	BEGIN
		RETURN NEXT concat(CASE WHEN got = wanted THEN 'same' ELSE format(E'%s\n  got    %s\n  wanted %s', statement, got, wanted) END, ' ', substr(wanted, 1, 5));
	END $$;
	CREATE FUNCTION is_direct(statement text) RETURNS boolean LANGUAGE plpgsql AS $$
	DECLARE
		line text;
	BEGIN
		FOR line IN EXECUTE 'EXPLAIN ' || replace(statement, '{t}', 'fit') LOOP
			IF line ~ 'Foreign (Update|Delete)' THEN
				RETURN true;
			END IF;
		END LOOP;
		RETURN false;
	END $$;) =~ s/\\'/''/gr);

sub assignment
{
	my ($name) = @_;
	return "$name = NULL" if rand() < 0.15;
	return "$name = " . pick('5', '99', '(SELECT 7)', '100') if $name eq 'w';
	return "$name = " . pick(q('[1, {"k": 2.5}]'), q('{"$oid": "650000000000000000000001"}'), q('"s"')) if $name eq 'j';
	my $type = $columns{$name}[0] =~ s/ NOT NULL//r;
	my @finite = grep { $_ !~ /infinity/ } @{ $columns{$name}[3] };
	return "$name = " . pick(pick(@finite), '(SELECT ' . pick(@finite) . "::$type)", 'coalesce(NULL, ' . pick(@finite) . "::$type)");
}

sub change
{
	my @conditions = map { condition(0) } 1 .. pick(1, 1, 2);
	push @conditions, 'k ' . pick('< 20', '= 100', '>= 130', 'IN (1, 2, 3)', 'BETWEEN 40 AND 60') if rand() < 0.5;
	return 'DELETE FROM {t} WHERE ' . join ' AND ', @conditions if rand() < 0.4;
	my @set = (shuffled('w', grep { $_ ne 'x' && $_ ne 'y' || rand() < 0.2 } @names))[ 0 .. pick(0, 0, 1, 2) ];
	return 'UPDATE {t} SET ' . join(', ', map { assignment($_) } @set) . ' WHERE ' . join ' AND ', @conditions;
}

my $changes = int($queries / 3);
my @changes = map { change() } 1 .. $changes;
my @answers = split /\n(?=same|\w)/, $node->safe_psql('postgres', "SET client_min_messages = warning;\n" . join '', map { "SELECT compare_changes(\$q\$$_\$q\$, '" . pick('fit', 'dirty') . "');\n" } @changes);
is(join("\n", grep { !/^same/ } @answers), '', "$changes statements change the same, and fail the same (seed $seed)");
is(scalar @answers, $changes, 'all of them');
my $direct = grep { $_ eq 't' } split /\n/, $node->safe_psql('postgres', join '', map { "SELECT is_direct(\$q\$$_\$q\$);\n" } @changes[ 0 .. $changes / 5 ]);
cmp_ok($direct, '>', $changes / 5 * 0.5, 'many by one command');
my %states;
$states{ (split)[1] }++ for @answers;
note("direct: $direct of ", int($changes / 5), ', ', join ', ', map { "$_: $states{$_}" } sort keys %states);
cmp_ok($states{P0001} // 0, '>', $changes * 0.4, 'many of them do something');
cmp_ok($changes - ($states{P0001} // 0), '>', $changes * 0.05, 'and some fail');

done_testing();
