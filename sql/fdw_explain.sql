--
-- fdw_explain: the command that is sent for a query, without sending it.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE fdw_explain_test ENCODING 'UTF8' TEMPLATE template0;
\c fdw_explain_test
SET client_min_messages = warning;
CREATE EXTENSION tenancy_mongo CASCADE;
RESET client_min_messages;
CREATE SERVER nowhere FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'nowhere.invalid:1');
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE FOREIGN TABLE docs (
    _id text, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision, n numeric, n2 numeric(10,2), t text, v varchar(20), c char(4), nm name,
    b boolean, ts timestamptz, lt timestamp, d date, u uuid, y bytea, j jsonb, a int[], p percent,
    owner_name text OPTIONS (path 'owner.name'), owner jsonb, city text OPTIONS (path 'owner.address.city'),
    document jsonb OPTIONS (document 'true')
) SERVER nowhere OPTIONS (database 'db', collection 'docs');

-- a locale that every machine has, by a name that nobody knows to order by bytes
CREATE COLLATION lexical (provider = libc, locale = 'C.UTF-8@other');
CREATE FUNCTION command(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
        IF line ~ 'Remote command|Filter:' THEN
            -- how 17 calls what was $0
            RETURN NEXT replace(ltrim(line), '(InitPlan 1).col1', '$0');
        END IF;
    END LOOP;
END $$;
CREATE FUNCTION filter(condition text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(line, '^Remote command: \{"find": "docs", ("filter": (.*), )?"projection.*$', '\2')
      FROM command('SELECT _id FROM docs WHERE ' || condition) line;
$$;

-- projection: what the query needs, each field once, and nothing else
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM docs;
EXPLAIN (COSTS OFF) SELECT i4 FROM docs;
SELECT command('SELECT i4 FROM docs');
SELECT command('SELECT _id, i4 + i8 FROM docs WHERE length(t) > 3');
SELECT command('SELECT count(*) FROM docs');
SELECT command('SELECT owner_name, owner, city FROM docs');
SELECT command('SELECT owner_name, city FROM docs');
SELECT command('SELECT document FROM docs');
SELECT command('SELECT docs FROM docs');
SELECT command('SELECT tableoid::regclass FROM docs');
SELECT command('SELECT i4 FROM docs WHERE i8 = 1');
SELECT command('SELECT i4 FROM docs WHERE j IS NOT NULL AND i8 IS NULL');

-- conditions
SELECT filter('i4 = 5');
SELECT filter('5 < i4 AND i2 >= 1 AND i8 <= 9223372036854775807');
SELECT filter('i4 BETWEEN 1 AND 2');
SELECT filter('i4 IN (1, 2, NULL)');
SELECT filter('i4 = ANY (''{3,4}''::bigint[])');
SELECT filter('p = 5');
SELECT filter('f8 > 1.5');
SELECT filter('f8 = ''NaN''');
SELECT filter('f8 < ''NaN''');
SELECT filter('f8 > ''NaN''');
SELECT filter('n = 5');
SELECT filter('n >= 5');
SELECT filter('n = 0.1');
SELECT filter('n IN (1, 2.5)');
SELECT filter('n2 < 0.1');
SELECT filter('t = ''x''');
SELECT filter('t = ''$i4''');
SELECT filter('v = ''x'' AND nm = ''y''');
SELECT filter('t = ''x'' COLLATE lexical');
SELECT filter('t < ''x'' COLLATE "C"');
SELECT filter('t < ''x'' COLLATE lexical');
SELECT filter('_id = ''650000000000000000000001''');
SELECT filter('_id = ''650000000000000000000001x''');
SELECT filter('_id > ''65''');
SELECT filter('_id > ''650000000000000000000001''');
SELECT filter('_id <= ''zz''');
SELECT filter('_id IN (''650000000000000000000001'', ''a'')');
SELECT filter('b');
SELECT filter('NOT b');
SELECT filter('b IS NOT TRUE');
SELECT filter('b IS UNKNOWN');
SELECT filter('ts >= ''2024-05-01 12:00:00.5Z''');
SELECT filter('ts >= ''2024-05-01 12:00:00.5001Z''');
SELECT filter('ts = ''2024-05-01 12:00:00.5001Z''');
SELECT filter('ts < ''infinity''');
SELECT filter('ts > ''infinity''');
SELECT filter('lt < ''2024-05-01 12:00''');
SELECT filter('d = ''2024-05-01''');
SELECT filter('u = ''00112233-4455-6677-8899-aabbccddeeff''');
SELECT filter('i4 IS NULL');
SELECT filter('i4 IS NOT NULL');
SELECT filter('j IS NOT NULL');
SELECT filter('city IS NULL');
SELECT filter('city = ''Berlin''');
SELECT filter('city IS NOT NULL');

-- conditions that stay
SELECT filter('i4 <> 5');
SELECT filter('i4 = 1 OR i8 = 2');
SELECT filter('NOT (i4 IN (1, 2))');
SELECT filter('f4 = 1.5');
SELECT filter('c = ''x''');
SELECT filter('y = ''\x00''');
SELECT filter('u < ''00112233-4455-6677-8899-aabbccddeeff''');
SELECT filter('t LIKE ''x%''');
SELECT filter('i4::text = ''5''');
SELECT filter('i4 = 5.5');
SELECT filter('i4 = i8');
SELECT filter('i4 = (random() * 5)::int');
SELECT filter('j = ''1''');
SELECT filter('a = ''{1}''');
SELECT filter('document IS NOT NULL');
SELECT filter('lt < ''2024-05-01 12:00Z''::timestamptz');
SELECT filter('i4 = 1 AND length(t) = 2 AND t = ''xx''');

-- nothing can match: nothing is asked, not even of a server that is not there
SELECT command('SELECT i4 FROM docs WHERE i4 = NULL');
SELECT command('SELECT i4 FROM docs WHERE i4 = ANY (''{}'')');
SELECT command('SELECT i4 FROM docs WHERE ts = ''2024-05-01 12:00:00.0001Z''');
SELECT i4 FROM docs WHERE i4 = (SELECT NULL::int);
SELECT i4 FROM docs WHERE ts > 'infinity';
SELECT i4 FROM docs LIMIT 0;

-- what is known only later: parameters, subqueries, the outer side of a join
SET plan_cache_mode = force_generic_plan;
PREPARE p(int, text, timestamptz, int[]) AS SELECT _id FROM docs WHERE i4 = $1 AND t = $2 AND ts < $3 - interval '1 day' AND i8 = ANY ($4);
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE p(1, 'x', now(), '{1}');
EXECUTE p(NULL, 'x', now(), '{1}');
RESET plan_cache_mode;
SELECT command('SELECT _id FROM docs WHERE i4 = (SELECT max(x) FROM generate_series(1, 3) x)');
CREATE TABLE wanted (x int, s text);
INSERT INTO wanted SELECT i FROM generate_series(1, 10) i;
ANALYZE wanted;
EXPLAIN (VERBOSE, COSTS OFF) SELECT docs._id FROM wanted JOIN docs ON docs.i8 = wanted.x;
SET tenancy_mongo.enable_batched_lookup = off;
EXPLAIN (VERBOSE, COSTS OFF) SELECT docs._id FROM wanted JOIN docs ON docs.i8 = wanted.x;
RESET tenancy_mongo.enable_batched_lookup;
SELECT command('SELECT _id FROM docs WHERE ts > current_date AND t = current_setting(''application_name'')');

-- LIMIT goes along if nothing stands between
SELECT command('SELECT i4 FROM docs LIMIT 5');
SELECT command('SELECT i4, t || ''x'' FROM docs WHERE i4 > 3 LIMIT 5 OFFSET 10');
SELECT command('SELECT 1 FROM docs LIMIT 5');
SELECT command('SELECT i4 FROM docs LIMIT (SELECT 5)');
EXPLAIN (VERBOSE, COSTS OFF) SELECT i4, upper(t) FROM docs WHERE i4 > 3 LIMIT 5;
EXPLAIN (COSTS OFF) SELECT i4 FROM docs WHERE i4 % 3 = 1 LIMIT 5;
EXPLAIN (COSTS OFF) SELECT i4 FROM docs WHERE n = 0.5 LIMIT 5;
EXPLAIN (COSTS OFF) SELECT DISTINCT i4 FROM docs LIMIT 5;
EXPLAIN (COSTS OFF) SELECT generate_series(1, i4) FROM docs LIMIT 5;
EXPLAIN (COSTS OFF) SELECT docs FROM docs LIMIT 5;
EXPLAIN (COSTS OFF) SELECT * FROM docs LIMIT 5 FOR UPDATE;

-- ORDER BY with LIMIT: by find where MongoDB's order is PostgreSQL's, nulls included; else by a pipeline that ranks nulls and NaN
CREATE FUNCTION ordered(clauses text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(line, '"allowDiskUse".*$', '…') FROM command('SELECT i4 FROM docs ' || clauses) line;
$$;
EXPLAIN (VERBOSE, COSTS OFF) SELECT i4 FROM docs ORDER BY i4 NULLS FIRST LIMIT 5;
SELECT ordered('ORDER BY i4 DESC NULLS LAST, ts NULLS FIRST LIMIT 5 OFFSET 2');
SELECT ordered('WHERE ts > ''2024-01-01Z'' ORDER BY ts DESC LIMIT 5');
SELECT ordered('ORDER BY i4 LIMIT 5');
SELECT ordered('ORDER BY i4 DESC LIMIT 5');
SELECT ordered('ORDER BY f8 NULLS FIRST LIMIT 5');
SELECT ordered('WHERE city IS NOT NULL ORDER BY city COLLATE "C" LIMIT 5');
SELECT ordered('WHERE t > ''x'' ORDER BY t COLLATE "C" LIMIT (SELECT 3)');
ALTER FOREIGN TABLE docs ALTER d SET NOT NULL;
SELECT ordered('ORDER BY d, i4 NULLS FIRST LIMIT 5');
EXPLAIN (VERBOSE, COSTS OFF) SELECT document FROM docs ORDER BY i4 LIMIT 5;
-- with conditions that stay here, all rows are needed
EXPLAIN (COSTS OFF) SELECT i4 FROM docs WHERE i4 % 3 = 1 ORDER BY i4 NULLS FIRST LIMIT 5;
-- orders that MongoDB does not have
SELECT ordered('ORDER BY n LIMIT 5');
SELECT ordered('ORDER BY u LIMIT 5');
SELECT ordered('ORDER BY t COLLATE lexical LIMIT 5');
SELECT ordered('ORDER BY c COLLATE "C" LIMIT 5');
SELECT ordered('ORDER BY j LIMIT 5');
SELECT ordered('ORDER BY i4 + 1 LIMIT 5');
SELECT ordered('ORDER BY i4 NULLS FIRST FETCH FIRST 5 ROWS WITH TIES');
-- many rows are sorted here
EXPLAIN (COSTS OFF) SELECT i4 FROM docs ORDER BY i4 NULLS FIRST;

-- aggregates: a group counts the documents whose values do not fit; HAVING is evaluated here
SELECT command('SELECT b, count(*) FROM docs GROUP BY b HAVING count(*) > 5');
SELECT command('SELECT count(i4), sum(i8) FROM docs WHERE i8 > 5');
SELECT command('SELECT min(ts), max(t COLLATE "C") FROM docs WHERE t = ''x''');
EXPLAIN (COSTS OFF) SELECT b, avg(i4) FROM docs GROUP BY b;
-- the different values of one column are one more key of a first stage
SELECT command('SELECT b, count(DISTINCT i4), sum(i8) FROM docs GROUP BY b');
-- conditions of single aggregates
SELECT command('SELECT count(*) FILTER (WHERE t <> ''$x'' AND ts < ''2024-05-01 12:00:00.5001Z''), max(ts) FILTER (WHERE b IS NOT TRUE) FROM docs');
PREPARE f(int, int[]) AS SELECT sum(i8) FILTER (WHERE i4 = $1 OR i4 = ANY ($2)) FROM docs;
SET plan_cache_mode = force_generic_plan;
SELECT command('EXECUTE f(1, ''{2}'')');
RESET plan_cache_mode;
-- and those that stay
SELECT command('SELECT count(DISTINCT i4), count(DISTINCT i8) FROM docs');
SELECT command('SELECT sum(DISTINCT i4) FROM docs');
EXPLAIN (COSTS OFF) SELECT count(*) FILTER (WHERE f8 > 1) FROM docs;
EXPLAIN (COSTS OFF) SELECT count(*) FILTER (WHERE t LIKE 'x%') FROM docs;
EXPLAIN (COSTS OFF) SELECT count(*) FROM docs WHERE n = 0.5;
EXPLAIN (COSTS OFF) SELECT sum(n), sum(f8) FROM docs;
EXPLAIN (COSTS OFF) SELECT count(p) FROM docs;
EXPLAIN (COSTS OFF) SELECT b, count(*) FROM docs GROUP BY ROLLUP (b);

-- the tenant's own: shown to everybody, and nothing without a tenant
CREATE FOREIGN TABLE tasks (task_id text, status text) SERVER nowhere OPTIONS (database 'db', collection 'tasks', tenant_field 'tenant_id');
EXPLAIN (VERBOSE, COSTS OFF) SELECT task_id FROM tasks;
EXPLAIN (VERBOSE, COSTS OFF) SELECT task_id FROM tasks WHERE status = 'open' LIMIT 1;
SELECT * FROM tasks;

-- a read concern: the table's, else the server's
ALTER SERVER nowhere OPTIONS (ADD read_concern 'majority');
EXPLAIN (VERBOSE, COSTS OFF) SELECT task_id FROM tasks WHERE status = 'open';
ALTER FOREIGN TABLE tasks OPTIONS (ADD read_concern 'local');
EXPLAIN (VERBOSE, COSTS OFF) SELECT count(*) FROM tasks;
ALTER FOREIGN TABLE tasks OPTIONS (DROP read_concern);
ALTER SERVER nowhere OPTIONS (DROP read_concern);

-- pushdown 'false', a batch size
ALTER FOREIGN TABLE docs OPTIONS (ADD pushdown 'false', ADD batch_size '100');
EXPLAIN (VERBOSE, COSTS OFF) SELECT i4 FROM docs WHERE i4 = 3 LIMIT 5;

-- writes: what they read, and which command follows
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO tasks VALUES ('x');
EXPLAIN (VERBOSE, COSTS OFF) UPDATE tasks SET status = 'open' WHERE task_id = 'x' RETURNING status;
EXPLAIN (VERBOSE, COSTS OFF) DELETE FROM tasks WHERE status = 'done' RETURNING task_id;
UPDATE tasks SET status = 'open' WHERE ctid = '(0,1)';
-- by one command, if nobody wants to see the rows: the check reads what is changed
EXPLAIN (VERBOSE, COSTS OFF) UPDATE tasks SET status = 'open' WHERE task_id = 'x';
EXPLAIN (VERBOSE, COSTS OFF) UPDATE tasks SET status = NULL, task_id = upper(current_user);
EXPLAIN (VERBOSE, COSTS OFF) DELETE FROM tasks WHERE status IN ('done', 'failed');
EXPLAIN (VERBOSE, COSTS OFF) DELETE FROM tasks;
EXPLAIN (COSTS OFF) UPDATE tasks SET status = task_id;
EXPLAIN (COSTS OFF) DELETE FROM tasks WHERE length(status) > 3;
INSERT INTO tasks VALUES ('x');
ALTER FOREIGN TABLE tasks OPTIONS (ADD updatable 'false');
INSERT INTO tasks VALUES ('x');
SELECT is_insertable_into FROM information_schema.tables WHERE (table_schema, table_name) = ('public', 'tasks');
TRUNCATE tasks;

\c :start_database :start_user
DROP DATABASE fdw_explain_test;
