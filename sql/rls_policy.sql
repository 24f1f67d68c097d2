--
-- rls_policy: protecting tables.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE rls_policy_test;
\c rls_policy_test
CREATE EXTENSION tenancy;
SELECT tenancy.create_tenant('rls-1', 'One');
SELECT tenancy.create_tenant('rls-2', 'Two');
CREATE ROLE rls_owner;
CREATE ROLE rls_app IN ROLE tenancy_service;
CREATE ROLE rls_other;
CREATE SCHEMA shop AUTHORIZATION rls_owner;
GRANT USAGE ON SCHEMA shop TO PUBLIC;

--
-- The text is what runs
--
SET ROLE rls_owner;
CREATE TABLE shop.orders (id serial PRIMARY KEY, tenant_id varchar(50) NOT NULL, amount integer);
GRANT ALL ON shop.orders TO rls_app WITH GRANT OPTION;
GRANT TRIGGER ON shop.orders TO PUBLIC;
GRANT REFERENCES (id) ON shop.orders TO rls_other;
GRANT ALL ON SEQUENCE shop.orders_id_seq TO rls_app;
\pset format unaligned
\pset tuples_only on
-- MAINTAIN came with 17
SELECT replace(tenancy.protect_ddl('shop.orders'), ', MAINTAIN', '') AS protect_ddl;
SELECT tenancy.protect('shop.orders');
SELECT 'left to do: ' || quote_literal(tenancy.protect_ddl('shop.orders'));
SELECT tenancy.protect('shop.orders');
\pset format aligned
\pset tuples_only off
\d shop.orders
SELECT polname, polpermissive AS permissive, polroles::regrole[], polcmd, pg_get_expr(polqual, polrelid) AS using,
       pg_get_expr(polwithcheck, polrelid) AS with_check
  FROM pg_policy WHERE polrelid = 'shop.orders'::regclass ORDER BY 1 DESC;
CREATE VIEW shop.privileges AS
    SELECT relname, grantee::regrole, string_agg(privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END, ', ' ORDER BY privilege_type) AS privileges
      FROM pg_class, aclexplode(relacl)
     WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'S') AND grantee <> relowner GROUP BY 1, 2;
SELECT * FROM shop.privileges ORDER BY 1, 2;

-- what is taken away later is put back, and only that
ALTER TABLE shop.orders NO FORCE ROW LEVEL SECURITY;
ALTER POLICY tenant_isolation_floor ON shop.orders USING (true);
GRANT TRUNCATE ON shop.orders TO rls_other;
SELECT replace(tenancy.protect_ddl('shop.orders'), ', MAINTAIN', '') AS protect_ddl;
SELECT tenancy.protect('shop.orders');
-- a floor for some roles only is no floor; a narrower way in is the owner's choice
ALTER POLICY tenant_isolation_floor ON shop.orders TO rls_app;
ALTER POLICY tenant_isolation_policy ON shop.orders TO rls_app;
SELECT tenancy.protect_ddl('shop.orders');
SELECT tenancy.protect('shop.orders');
RESET ROLE;

--
-- What it does
--
GRANT SELECT ON shop.orders TO rls_other;
SET ROLE rls_app;
BEGIN;
SELECT tenancy.set_tenant('rls-1');
INSERT INTO shop.orders (amount) VALUES (10), (11) RETURNING *;
INSERT INTO shop.orders (tenant_id, amount) VALUES ('rls-2', 1);
ROLLBACK;
BEGIN;
SELECT tenancy.set_tenant('rls-1');
INSERT INTO shop.orders (amount) VALUES (10), (11);
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('rls-2');
SELECT * FROM shop.orders;
UPDATE shop.orders SET amount = 0;
DELETE FROM shop.orders;
INSERT INTO shop.orders (amount) VALUES (20);
COPY (SELECT tenant_id, amount FROM shop.orders) TO STDOUT;
COMMIT;
TRUNCATE shop.orders;
SELECT setval('shop.orders_id_seq', 1);
COPY shop.orders TO STDOUT;

-- a permissive policy that somebody adds does not open the floor
RESET ROLE;
CREATE POLICY everybody ON shop.orders USING (true) WITH CHECK (true);
SET ROLE rls_app;
SELECT count(*) FROM shop.orders;
BEGIN;
SELECT tenancy.set_tenant('rls-2');
SELECT tenant_id, count(*) FROM shop.orders GROUP BY 1;
COMMIT;

-- the owner is bound too
SET ROLE rls_owner;
SELECT count(*) FROM shop.orders;
INSERT INTO shop.orders (tenant_id, amount) VALUES ('rls-1', 12);
RESET ROLE;

--
-- The documents' own policy on a table is replaced by ours
--
CREATE TABLE users (id integer PRIMARY KEY, tenant_id text);
CREATE INDEX ON users (tenant_id, id);
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation_policy ON users
    USING (tenant_id = current_setting('app.current_tenant_id', TRUE));
SELECT tenancy.protect_ddl('users');

--
-- Partitions and children
--
CREATE TABLE events (id integer, tenant_id text, at date) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (tenant_id);
CREATE TABLE events_2025_1 PARTITION OF events_2025 FOR VALUES IN ('rls-1');
CREATE TABLE events_2025_2 (at date, junk text, id integer, tenant_id text);
ALTER TABLE events_2025_2 DROP COLUMN junk;
ALTER TABLE events_2025 ATTACH PARTITION events_2025_2 FOR VALUES IN ('rls-2');
INSERT INTO events VALUES (1, 'rls-1', '2025-05-05'), (2, 'rls-2', '2025-05-05');
GRANT SELECT, TRUNCATE ON events, events_2025, events_2025_1, events_2025_2 TO rls_app;
SELECT replace(tenancy.protect_ddl('events'), ', MAINTAIN', '') AS protect_ddl;
SELECT tenancy.protect('events');
SELECT tenancy.protect_ddl('events') = '' AS protected, tenancy.protect_ddl('events_2025_2') = '' AS child_protected;
-- a partition that comes later is protected as it comes
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
SELECT tenancy.protect_ddl('events');
SET ROLE rls_app;
BEGIN;
SELECT tenancy.set_tenant('rls-1');
SELECT * FROM events;
SELECT * FROM events_2025;
SELECT * FROM events_2025_2;
COMMIT;
RESET ROLE;

CREATE TABLE documents (id integer, tenant_id text);
CREATE TABLE contracts (signed date) INHERITS (documents);
SELECT tenancy.protect('documents');
SELECT tenancy.protect_ddl('contracts') = '' AS child_protected;

-- a partition elsewhere cannot have policies, so it is closed but through its parent
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE TABLE archive (id integer, tenant_id text, at date) PARTITION BY RANGE (at);
CREATE FOREIGN TABLE archive_old PARTITION OF archive FOR VALUES FROM ('2000-01-01') TO ('2020-01-01') SERVER nowhere;
GRANT SELECT, INSERT ON archive_old TO rls_app, PUBLIC;
CREATE INDEX ON ONLY archive (tenant_id);
SELECT tenancy.protect_ddl('archive');
SELECT tenancy.protect('archive');
SELECT has_table_privilege('rls_app', 'archive_old', 'SELECT, INSERT') AS open, tenancy.protect_ddl('archive') = '' AS protected;
SELECT tenancy.protect('archive_old');
\echo :SQLSTATE

--
-- A table that is one tenant's as a whole
--
CREATE FUNCTION pg_temp.explain(query text) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    RETURN plan;
END $$;
CREATE TABLE notes (id integer);
SELECT tenancy.protect_ddl('notes', tenant => 'rls-1');
SELECT tenancy.protect('notes', tenant => 'rls-1');
GRANT SELECT, INSERT ON notes TO rls_app;
INSERT INTO notes SELECT generate_series(1, 1000);
ANALYZE notes;
SET ROLE rls_app;
-- the planner expects all rows, as it should for whom they are, and not one in 200
SELECT (plan -> 0 -> 'Plan' ->> 'Plan Rows')::integer AS expected FROM pg_temp.explain('SELECT * FROM notes') plan;
SELECT count(*) FROM notes;
BEGIN;
SELECT tenancy.set_tenant('rls-1');
SELECT count(*) FROM notes;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('rls-2');
SELECT count(*) FROM notes;
INSERT INTO notes VALUES (2);
ROLLBACK;
RESET ROLE;

--
-- Sequences: an identity column needs no privilege, a serial one needs USAGE; neither is to be read or set
--
CREATE TABLE counted (id integer GENERATED ALWAYS AS IDENTITY, old_id serial, tenant_id text);
GRANT ALL ON counted, counted_id_seq, counted_old_id_seq TO rls_app;
SELECT replace(tenancy.protect_ddl('counted'), ', MAINTAIN', '') AS protect_ddl;
SELECT tenancy.protect('counted');
SET ROLE rls_app;
BEGIN;
SELECT tenancy.set_tenant('rls-1');
INSERT INTO counted DEFAULT VALUES RETURNING *;
COMMIT;
SELECT last_value FROM counted_id_seq;
SELECT last_value FROM counted_old_id_seq;
RESET ROLE;

--
-- Odd names
--
CREATE SCHEMA "My Schema";
CREATE TABLE "My Schema"."Tab""le; DROP TABLE users" ("Tenant Id" text);
SELECT tenancy.protect_ddl('"My Schema"."Tab""le; DROP TABLE users"', 'Tenant Id');
SELECT tenancy.protect('"My Schema"."Tab""le; DROP TABLE users"', 'Tenant Id');
SELECT tenancy.protect_ddl('"My Schema"."Tab""le; DROP TABLE users"', 'Tenant Id') = '' AS protected;

--
-- What is refused
--
CREATE TABLE plain (id integer, tenant_id json);
SELECT tenancy.protect('plain');
\echo :SQLSTATE
SELECT tenancy.protect('plain', 'customer');
\echo :SQLSTATE
SELECT tenancy.protect('plain', 'ctid');
SELECT tenancy.protect('plain', tenant => 'rls 1');
\echo :SQLSTATE
SELECT tenancy.protect('nothing');
\echo :SQLSTATE
SELECT tenancy.protect(1::regclass);
\echo :SQLSTATE
SELECT tenancy.protect(NULL);
\echo :SQLSTATE
CREATE VIEW viewed AS SELECT * FROM plain;
SELECT tenancy.protect('viewed');
\echo :SQLSTATE
SET ROLE rls_app;
SELECT tenancy.protect('plain', tenant => 'rls-1');
\echo :SQLSTATE
SELECT tenancy.protect_ddl('plain', tenant => 'rls-1');
RESET ROLE;

-- operators of somebody else's are not taken for ours
CREATE SCHEMA evil;
CREATE FUNCTION evil.yes(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.yes);
CREATE TABLE victim (tenant_id text);
SET search_path TO evil, pg_catalog, public;
SELECT tenancy.protect('victim');
RESET search_path;
SELECT oprnamespace::regnamespace FROM pg_depend d JOIN pg_operator o ON o.oid = d.refobjid
 WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_operator'::regclass AND o.oid >= 16384;
SELECT tenancy.protect_ddl('victim') = '' AS protected;

\c :start_database
DROP DATABASE rls_policy_test;
DROP ROLE rls_owner, rls_app, rls_other, tenant_rls_1, tenant_rls_2;
