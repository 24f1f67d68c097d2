--
-- temporary_table: what a session has kept from a tenant, and the next one tries to read.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE temporary_table_test;
\c temporary_table_test
CREATE EXTENSION tenancy;
SELECT tenancy.create_tenant('temp-1', 'One'), tenancy.create_tenant('temp-2', 'Two');
CREATE DOMAIN told AS text;
CREATE TABLE orders (id serial, tenant_id text, note text);
INSERT INTO orders (tenant_id, note) VALUES ('temp-1', 'of one'), ('temp-2', 'of two'), ('temp-2', 'of two too');
SELECT tenancy.protect('orders');
CREATE ROLE temp_service LOGIN IN ROLE tenancy_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO temp_service;
GRANT USAGE ON SEQUENCE orders_id_seq TO temp_service;
ALTER DOMAIN told OWNER TO temp_service;

\c - temp_service
CREATE TEMP TABLE nobodys AS SELECT 'nobody''s' AS note;

--
-- A temporary table is the tenant's that has made it
--
BEGIN;
SELECT tenancy.set_tenant('temp-1');
CREATE TEMP TABLE work AS SELECT note FROM orders;
CREATE TEMP VIEW work_view AS SELECT note FROM work;
SELECT note INTO TEMP work_into FROM orders;
CREATE TEMP TABLE orders (note text);
SELECT * FROM work, work_view, work_into, nobodys;
COMMIT;

BEGIN;
SELECT tenancy.set_tenant('temp-2');
SAVEPOINT a;
SELECT * FROM work;
\echo :SQLSTATE
ROLLBACK TO a;
SELECT * FROM work_view;
ROLLBACK TO a;
SELECT count(*) FROM work_into;
ROLLBACK TO a;
COPY work TO STDOUT;
ROLLBACK TO a;
INSERT INTO work VALUES ('x');
ROLLBACK TO a;
-- a name in the way of a real table's is an error, not a trap
INSERT INTO orders (note) VALUES ('mine');
ROLLBACK TO a;
-- nor does IF NOT EXISTS or OR REPLACE make it another's
CREATE TEMP TABLE IF NOT EXISTS work (note text);
SELECT * FROM work;
ROLLBACK TO a;
-- what was there before a tenant was is everybody's
SELECT * FROM nobodys;
COMMIT;

-- nor without a tenant; it may be dropped, by anybody
SELECT * FROM work;
CREATE FUNCTION pg_temp.notes() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM work); END $$;
SELECT pg_temp.notes();
DROP TABLE orders;

-- the tenant has it back
BEGIN;
SELECT tenancy.set_tenant('temp-1');
SELECT pg_temp.notes();
COMMIT;
DISCARD TEMP;
BEGIN;
SELECT tenancy.set_tenant('temp-2');
CREATE TEMP TABLE work AS SELECT note FROM orders;
SELECT count(*) FROM work;
COMMIT;

--
-- A cursor ends with the tenant whose rows it has
--
BEGIN;
SELECT tenancy.set_tenant('temp-2');
DECLARE sorted CURSOR FOR SELECT note FROM orders ORDER BY note;
FETCH 1 FROM sorted;
SELECT tenancy.clear_tenant();
FETCH 1 FROM sorted;
\echo :SQLSTATE
ROLLBACK;

-- a held one when the tenant is suspended
SELECT tenancy.set_tenant('temp-2', false);
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT note FROM orders ORDER BY note;
COMMIT;
FETCH 1 FROM held;
\! psql -X -q -d temporary_table_test -c "SELECT FROM tenancy.suspend_tenant('temp-2')"
FETCH 1 FROM held;
\echo :SQLSTATE
\! psql -X -q -d temporary_table_test -c "SELECT FROM tenancy.resume_tenant('temp-2')"
FETCH 1 FROM held;
SELECT tenancy.clear_tenant();

--
-- The last number of a sequence is the tenant's that has drawn it
--
BEGIN;
SELECT tenancy.set_tenant('temp-1');
INSERT INTO orders (note) VALUES ('new');
SELECT lastval() = currval('orders_id_seq') AS same;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('temp-2');
SELECT count(*) FROM orders;
SELECT lastval();
ROLLBACK;

-- nobody's table is his who writes to it first, until it is emptied; one that empties itself stays everybody's
\c - temp_service
CREATE TEMP TABLE scratch (note text);
CREATE TEMP TABLE fleeting (note text) ON COMMIT DELETE ROWS;
BEGIN;
SELECT tenancy.set_tenant('temp-1');
SELECT count(*) FROM scratch;
INSERT INTO scratch VALUES ('of one');
INSERT INTO fleeting VALUES ('of one');
SELECT * FROM scratch;
COMMIT;
SELECT * FROM scratch;
SELECT * FROM fleeting;
BEGIN;
SELECT tenancy.set_tenant('temp-2');
SAVEPOINT s;
SELECT * FROM scratch;
ROLLBACK TO s;
INSERT INTO scratch VALUES ('of two');
ROLLBACK TO s;
INSERT INTO fleeting VALUES ('of two');
TRUNCATE scratch;
COPY scratch FROM STDIN;
of two
\.
SELECT * FROM scratch;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('temp-1');
SELECT * FROM scratch;
ROLLBACK;

--
-- What is rolled back has not made a table anybody else's
--
\c - temp_service
CREATE TEMP TABLE kept (note text);
BEGIN;
SELECT tenancy.set_tenant('temp-1');
INSERT INTO kept VALUES ('of one');
COMMIT;
-- an emptying
BEGIN; TRUNCATE kept; ROLLBACK;
SELECT * FROM kept;
BEGIN; SAVEPOINT a; TRUNCATE kept; ROLLBACK TO a; COMMIT;
SELECT * FROM kept;
BEGIN; SAVEPOINT a; SAVEPOINT b; TRUNCATE kept; RELEASE b; ROLLBACK TO a; COMMIT;
BEGIN;
SELECT tenancy.set_tenant('temp-2');
SELECT * FROM kept;
ROLLBACK;
BEGIN;
SELECT tenancy.set_tenant('temp-2');
TRUNCATE kept;
INSERT INTO kept VALUES ('of two');
SELECT * FROM kept;
ROLLBACK;
SELECT * FROM kept;
BEGIN;
SELECT tenancy.set_tenant('temp-1');
SELECT * FROM kept;
COMMIT;
-- a drop
BEGIN; DROP TABLE kept; ROLLBACK;
SELECT * FROM kept;
-- and a first row
BEGIN; SAVEPOINT a; TRUNCATE kept; RELEASE a; COMMIT;
BEGIN;
SELECT tenancy.set_tenant('temp-1');
INSERT INTO kept VALUES ('of one');
ROLLBACK;
SELECT * FROM kept;

-- TRUNCATE ONLY leaves what is read together with it
CREATE TEMP TABLE whole (note text);
BEGIN;
SELECT tenancy.set_tenant('temp-1');
INSERT INTO whole VALUES ('of one');
CREATE TEMP TABLE part () INHERITS (whole);
INSERT INTO part VALUES ('part of one');
COMMIT;
BEGIN; TRUNCATE ONLY whole; COMMIT;
SELECT * FROM whole;
-- a part of another's makes the whole his
DISCARD TEMP;
CREATE TEMP TABLE whole (note text);
BEGIN;
SELECT tenancy.set_tenant('temp-1');
CREATE TEMP TABLE part () INHERITS (whole);
INSERT INTO part VALUES ('part of one');
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('temp-2');
SELECT * FROM whole;
ROLLBACK;

-- EXPLAIN ANALYZE makes one too
BEGIN;
SELECT tenancy.set_tenant('temp-1');
DO $$ BEGIN EXECUTE 'EXPLAIN (ANALYZE, SUMMARY OFF) CREATE TEMP TABLE explained AS SELECT note FROM orders'; END $$;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('temp-2');
SELECT * FROM explained;
ROLLBACK;

--
-- Nor do statements read it that ask for no privilege, or leave something behind for its owner
--
DISCARD TEMP;
CREATE FUNCTION pg_temp.tell(note text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE 'told: %', note; RETURN true; END $$;
CREATE FUNCTION pg_temp.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'told: %', NEW.note; RETURN NEW; END $$;
BEGIN;
SELECT tenancy.set_tenant('temp-1');
CREATE TEMP TABLE own (note told);
INSERT INTO own VALUES ('of one');
CREATE TEMP VIEW own_view AS SELECT * FROM own;
ANALYZE own;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('temp-2');
SAVEPOINT s;
CREATE INDEX ON own (pg_temp.tell(note));
ROLLBACK TO s;
ALTER TABLE own ADD CHECK (pg_temp.tell(note));
ROLLBACK TO s;
ALTER TABLE own ALTER note TYPE boolean USING pg_temp.tell(note);
ROLLBACK TO s;
CREATE TRIGGER tell BEFORE INSERT ON own FOR EACH ROW EXECUTE FUNCTION pg_temp.tell();
ROLLBACK TO s;
CREATE RULE tell AS ON INSERT TO own DO INSTEAD NOTHING;
ROLLBACK TO s;
CREATE STATISTICS pg_temp.told ON (pg_temp.tell(note)), note FROM own;
ROLLBACK TO s;
CREATE OR REPLACE TEMP VIEW own_view AS SELECT ''::told AS note;
ROLLBACK TO s;
DROP VIEW own_view;
SAVEPOINT s;
ALTER DOMAIN told ADD CHECK (pg_temp.tell(VALUE));
ROLLBACK TO s;
COMMIT;
SELECT most_common_vals FROM pg_stats WHERE tablename = 'own';
DROP TABLE own;
SELECT count(*) FROM pg_stats WHERE tablename = 'own';

--
-- A type in pg_temp would be found before the server's
--
CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.tell(VALUE));
SET search_path TO pg_temp;
CREATE TYPE mood AS ENUM ('sad');
CREATE TYPE pair AS (a integer, b integer);
CREATE TYPE span AS RANGE (subtype = integer);
RESET search_path;
-- a table's rows are a type too
CREATE TEMP TABLE text (a integer);
CREATE TEMP VIEW told AS SELECT 1 AS a;
CREATE TEMP TABLE point AS SELECT 1 AS a;
CREATE TEMP TABLE orders (a integer);
ALTER TABLE orders RENAME a TO text;
ALTER TABLE orders RENAME TO told;
CREATE CAST (text AS orders) WITH INOUT AS IMPLICIT;
CREATE CAST (orders AS text) WITH INOUT;
SELECT to_regclass('pg_temp.text'), to_regclass('pg_temp.told'), to_regclass('pg_temp.point'), count(*) FROM pg_temp.orders;
DISCARD TEMP;

-- a procedure serves one tenant after the other, by a list of them; a loop over one tenant's rows is over before the next one
RESET ALL;
DISCARD TEMP;
CREATE TEMP TABLE turns AS SELECT unnest(ARRAY['temp-1', 'temp-2', 'temp-1']) AS tenant;
CREATE PROCEDURE pg_temp.serve() LANGUAGE plpgsql AS $$
DECLARE
    turn record;
BEGIN
    FOR turn IN SELECT tenant FROM turns LOOP
        PERFORM tenancy.set_tenant(turn.tenant);
        RAISE NOTICE '% has %', tenancy.current_tenant(), (SELECT string_agg(note, ', ') FROM orders);
        COMMIT;
    END LOOP;
END $$;
CALL pg_temp.serve();
CREATE PROCEDURE pg_temp.mix() LANGUAGE plpgsql AS $$
DECLARE
    line record;
BEGIN
    PERFORM tenancy.set_tenant('temp-2');
    FOR line IN SELECT note FROM orders LOOP
        RAISE NOTICE '% reads %', tenancy.current_tenant(), line.note;
        COMMIT;
        PERFORM tenancy.set_tenant('temp-1');
    END LOOP;
END $$;
CALL pg_temp.mix();
-- the loop is over, and so is what it kept
BEGIN;
SELECT tenancy.set_tenant('temp-1');
COMMIT;

\c :start_database :start_user
DROP DATABASE temporary_table_test;
DROP ROLE temp_service, tenant_temp_1, tenant_temp_2;
