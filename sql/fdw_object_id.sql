--
-- fdw_object_id: the type object_id, and columns for the rest of a document, without MongoDB.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE fdw_object_id_test ENCODING 'UTF8' TEMPLATE template0;
\c fdw_object_id_test
SET client_min_messages = warning;
CREATE EXTENSION tenancy_mongo CASCADE;
RESET client_min_messages;
SET timezone = 'UTC';

-- text, and what is none
SELECT '650000000000000000000001'::tenancy_mongo.object_id, '65000000000000000000ABCD'::tenancy_mongo.object_id;
SELECT ''::tenancy_mongo.object_id;
SELECT '65000000000000000000000'::tenancy_mongo.object_id;
SELECT '65000000000000000000000g'::tenancy_mongo.object_id;
\echo :SQLSTATE
SELECT NULL::tenancy_mongo.object_id IS NULL AS isnull;

-- casts
SELECT '650000000000000000000001'::tenancy_mongo.object_id::text, '650000000000000000000001'::text::tenancy_mongo.object_id,
    '650000000000000000000001'::tenancy_mongo.object_id::timestamptz, '650000000000000000000001'::tenancy_mongo.object_id::bytea;
SELECT '000000000000000000000000'::tenancy_mongo.object_id::timestamptz, 'ffffffffffffffffffffffff'::tenancy_mongo.object_id::timestamptz, '80000000ffffffffffffffff'::tenancy_mongo.object_id::timestamptz;

-- order and equality, by operators that every path finds
SHOW search_path;
SELECT a, b, a < b AS lt, a <= b AS le, a = b AS eq, a <> b AS ne, a >= b AS ge, a > b AS gt
    FROM (VALUES ('650000000000000000000001'::tenancy_mongo.object_id), ('650000000000000000000002')) x(a), (VALUES ('650000000000000000000001'::tenancy_mongo.object_id), ('800000000000000000000000')) y(b) ORDER BY a, b;
SELECT '650000000000000000000001'::tenancy_mongo.object_id IN ('650000000000000000000001', '650000000000000000000002') AS among;
SET search_path TO pg_catalog;
SELECT '650000000000000000000001'::tenancy_mongo.object_id = '650000000000000000000001' AS eq;
RESET search_path;

-- indexes, sorts, groups, joins
CREATE TABLE ids (id tenancy_mongo.object_id PRIMARY KEY, other tenancy_mongo.object_id);
INSERT INTO ids SELECT lpad(to_hex(i * 7919 % 1000), 24, '0')::tenancy_mongo.object_id, lpad(to_hex(i % 10), 24, '0')::tenancy_mongo.object_id FROM generate_series(1, 999) i;
CREATE INDEX ids_other ON ids USING hash (other);
INSERT INTO ids VALUES ('000000000000000000000001');
ANALYZE ids;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM ids WHERE id = '0000000000000000000000ff';
SELECT id FROM ids WHERE id >= '0000000000000000000000ff' ORDER BY id LIMIT 3;
SELECT id FROM ids ORDER BY id DESC LIMIT 2;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM ids WHERE other = '000000000000000000000003';
SELECT count(*) FROM ids WHERE other = '000000000000000000000003';
RESET enable_seqscan;
SELECT other, count(*) FROM ids GROUP BY other ORDER BY other LIMIT 3;
SET enable_mergejoin = off; SET enable_nestloop = off;
SELECT count(*) FROM ids a JOIN ids b ON a.other = b.id;
SET enable_mergejoin = on; SET enable_hashjoin = off;
SELECT count(*) FROM ids a JOIN ids b ON a.other = b.id;
RESET enable_nestloop; RESET enable_hashjoin;
CREATE TABLE parted (id tenancy_mongo.object_id) PARTITION BY HASH (id);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parted SELECT id FROM ids;
SELECT count(*) FROM parted WHERE id = '0000000000000000000000ff';
SELECT amname, amvalidate(c.oid) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod WHERE opcname = 'object_id_ops' ORDER BY 1;
-- binary
SELECT encode(tenancy_mongo.object_id_send('650000000000000000000001'), 'hex');

-- MongoDB compares them
CREATE SERVER nowhere FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'nowhere.invalid:1');
CREATE FOREIGN TABLE docs (_id tenancy_mongo.object_id, owner tenancy_mongo.object_id, n int OPTIONS (path 'a.n'), others tenancy_mongo.object_id[], rest jsonb OPTIONS (rest 'true')) SERVER nowhere OPTIONS (database 'db', collection 'docs');
EXPLAIN (VERBOSE, COSTS OFF) SELECT n FROM docs WHERE _id = '650000000000000000000001' AND owner > '650000000000000000000001' AND owner <> '65000000000000000000000f';
EXPLAIN (VERBOSE, COSTS OFF) SELECT n FROM docs WHERE _id IN ('650000000000000000000001', '650000000000000000000002') ORDER BY _id NULLS FIRST LIMIT 5;
EXPLAIN (VERBOSE, COSTS OFF) SELECT n FROM docs WHERE _id::timestamptz > '2024-01-01';
EXPLAIN (VERBOSE, COSTS OFF) UPDATE docs SET owner = '650000000000000000000001' WHERE _id = '650000000000000000000002';
-- the rest is fetched with all, and compared here
EXPLAIN (VERBOSE, COSTS OFF) SELECT rest FROM docs WHERE rest ->> 'x' = 'y' AND n = 1;
EXPLAIN (VERBOSE, COSTS OFF) UPDATE docs SET rest = '{}' WHERE n = 1;
CREATE FOREIGN TABLE wrong (rest text OPTIONS (rest 'true')) SERVER nowhere OPTIONS (database 'db', collection 'docs');
SELECT * FROM wrong;
\echo :SQLSTATE
CREATE FOREIGN TABLE two (d jsonb OPTIONS (rest 'true', document 'true')) SERVER nowhere OPTIONS (database 'db', collection 'docs');
SELECT * FROM two;
\echo :SQLSTATE
CREATE FOREIGN TABLE maybe (d jsonb OPTIONS (rest 'maybe')) SERVER nowhere OPTIONS (database 'db', collection 'docs');
DROP TABLE ids, parted;

\c :start_database :start_user
DROP DATABASE fdw_object_id_test;
