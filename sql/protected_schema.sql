--
-- protected_schema: the tables of a schema, those of today and those of tomorrow.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE protected_schema_test;
\c protected_schema_test
CREATE EXTENSION tenancy;
SELECT tenancy.create_tenant('ps-1', 'One');
SELECT tenancy.create_tenant('ps-2', 'Two');
CREATE ROLE ps_owner;
CREATE ROLE ps_app IN ROLE tenancy_service;
CREATE ROLE ps_other;
CREATE SCHEMA app AUTHORIZATION ps_owner;
GRANT USAGE ON SCHEMA app TO ps_app;

-- which tables of a schema are protected, and by what
CREATE VIEW state AS
    SELECT c.relnamespace::regnamespace || '.' || c.relname AS "table", c.relrowsecurity AND c.relforcerowsecurity AS forced,
           string_agg(DISTINCT pg_get_expr(p.polqual, c.oid), ' / ') AS condition, count(p.oid) AS policies
      FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid
     WHERE c.relkind IN ('r', 'p') AND c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'tenancy')
       AND c.relpersistence <> 't'
     GROUP BY c.oid ORDER BY 1;
GRANT SELECT ON state TO PUBLIC;

--
-- The tables of today
--
SET ROLE ps_owner;
CREATE TABLE app.orders (id integer PRIMARY KEY, tenant_id text NOT NULL);
CREATE TABLE app.old_orders (closed date) INHERITS (app.orders);
CREATE TABLE app.countries (code text PRIMARY KEY);
\pset format unaligned
\pset tuples_only on
SELECT tenancy.protect_schema_ddl('app');
SELECT tenancy.protect_schema('app');
\pset format aligned
\pset tuples_only off
TABLE state;
RESET ROLE;
SELECT schema_name, tenant_column FROM tenancy.protected_schemas;
-- it may be repeated
SET ROLE ps_owner;
SELECT tenancy.protect_schema('app');

--
-- The tables of tomorrow, however they come
--
CREATE TABLE app.invoices (id integer, tenant_id text);
CREATE TABLE app.copied AS SELECT * FROM app.orders;
SELECT * INTO app.selected FROM app.orders;
CREATE TABLE app.liked (LIKE app.orders INCLUDING ALL);
CREATE TABLE app.later (id integer);
CREATE TABLE app.renamed (id integer, tenant text);
CREATE UNLOGGED TABLE app.unlogged (tenant_id varchar(50) DEFAULT 'ps-1');
CREATE TEMP TABLE temporary (tenant_id text);
SELECT relrowsecurity FROM pg_class WHERE oid = 'temporary'::regclass;
ALTER TABLE app.later ADD COLUMN note text;
ALTER TABLE app.later ADD COLUMN tenant_id text;
ALTER TABLE app.renamed RENAME COLUMN tenant TO tenant_id;
RESET ROLE;
CREATE TABLE public.moved (tenant_id text);
ALTER TABLE public.moved SET SCHEMA app;
TABLE state;

-- what it does for whom makes the table
GRANT SELECT, INSERT ON app.invoices TO ps_app;
SET ROLE ps_app;
BEGIN;
SELECT tenancy.set_tenant('ps-1');
INSERT INTO app.invoices VALUES (1) RETURNING *;
INSERT INTO app.invoices VALUES (2, 'ps-2');
ROLLBACK;
RESET ROLE;

-- replicas too
SET session_replication_role = replica;
CREATE TABLE app.replicated (tenant_id text);
RESET session_replication_role;
SELECT * FROM state WHERE "table" = 'app.replicated';
SELECT evtenabled FROM pg_event_trigger WHERE evtname = 'tenancy_protect_new_tables';

--
-- Below a protected table, wherever
--
CREATE TABLE public.events (tenant_id text, at date) PARTITION BY RANGE (at);
SELECT tenancy.protect('public.events');
CREATE TABLE public.events_2025 PARTITION OF public.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY RANGE (at);
CREATE TABLE public.events_2025_1 PARTITION OF public.events_2025 FOR VALUES FROM ('2025-01-01') TO ('2025-07-01');
CREATE TABLE public.events_2026 (at date, tenant_id text);
CREATE TABLE public.events_2027 (tenant_id text, at date) PARTITION BY RANGE (at);
CREATE TABLE public.events_2027_1 PARTITION OF public.events_2027 FOR VALUES FROM ('2027-01-01') TO ('2027-07-01');
SELECT * FROM state WHERE "table" LIKE 'public.events%';
ALTER TABLE public.events ATTACH PARTITION public.events_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
ALTER TABLE public.events ATTACH PARTITION public.events_2027 FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
CREATE TABLE public.old_moved (tenant_id text, why text);
ALTER TABLE public.old_moved INHERIT app.moved;
SELECT * FROM state WHERE "table" LIKE 'public.%';
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ps_other;
CREATE FOREIGN TABLE public.events_2020 PARTITION OF public.events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') SERVER nowhere;
CREATE FOREIGN TABLE app.elsewhere (tenant_id text) SERVER nowhere;
SELECT has_table_privilege('ps_other', 'public.events_2020', 'SELECT') AS open;
ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM ps_other;

--
-- In the schema of a tenant's system
--
SELECT tenancy.register_system('ledger', 'Ledger', 'ledger', 'test');
SELECT tenancy.register_version('ledger', '1.0.0', 'CREATE TABLE accounts (id integer); CREATE TABLE entries (id integer) PARTITION BY RANGE (id);');
SELECT tenancy.install_system('ps-1', 'ledger');
SET ROLE tenancy_owner;
CREATE TABLE tenant_ps_1_ledger.added (id integer);
CREATE TABLE tenant_ps_1_ledger.entries_1 PARTITION OF tenant_ps_1_ledger.entries FOR VALUES FROM (1) TO (10);
RESET ROLE;
SELECT * FROM state WHERE "table" LIKE 'tenant_ps%';
SELECT tenancy.protect_schema('tenant_ps_1_ledger');
\echo :SQLSTATE

--
-- Who is left alone
--
-- a dump brings its own policies
SET row_security = off;
CREATE TABLE app.restored (tenant_id text);
RESET row_security;
SELECT * FROM state WHERE "table" = 'app.restored';
DROP TABLE app.restored;
-- a type that no tenant can have is refused with its table
CREATE TABLE app.wrong (tenant_id json);
\echo :SQLSTATE

--
-- A schema may be renamed, dropped and made again
--
ALTER SCHEMA app RENAME TO application;
CREATE TABLE application.after_rename (tenant_id text);
SELECT * FROM state WHERE "table" = 'application.after_rename';
SELECT schema_name FROM tenancy.protected_schemas;
CREATE SCHEMA brief;
SELECT tenancy.protect_schema('brief', 'customer');
DROP SCHEMA brief;
CREATE SCHEMA brief CREATE TABLE notes (customer text);
SELECT * FROM state WHERE "table" = 'brief.notes';
-- a rename onto a name that was written down
DROP SCHEMA brief CASCADE;
ALTER SCHEMA application RENAME TO brief;
SELECT * FROM tenancy.protected_schemas WHERE protected_at IS NULL OR schema_name <> 'brief' OR tenant_column <> 'tenant_id';
SELECT tenancy.unprotect_schema('brief');
CREATE TABLE brief.unprotected (tenant_id text);
SELECT * FROM state WHERE "table" IN ('brief.unprotected', 'brief.invoices');

--
-- unprotect
--
\pset format unaligned
\pset tuples_only on
SELECT tenancy.unprotect_ddl('brief.orders');
SELECT tenancy.unprotect('brief.orders');
SELECT 'left to do: ' || quote_literal(tenancy.unprotect_ddl('brief.orders'));
-- others' policies keep their switches
CREATE POLICY mine ON brief.invoices USING (id > 0);
SELECT tenancy.unprotect_ddl('brief.invoices');
-- a default of the owner's own stays
SELECT tenancy.unprotect_ddl('brief.unlogged');
\pset format aligned
\pset tuples_only off
SELECT * FROM state WHERE "table" LIKE 'brief.%orders';
SELECT tenancy.unprotect(NULL);
\echo :SQLSTATE
SET ROLE ps_other;
SELECT tenancy.unprotect('brief.invoices');
\echo :SQLSTATE
RESET ROLE;

--
-- What is refused
--
SET ROLE ps_other;
SELECT tenancy.protect_schema('brief');
\echo :SQLSTATE
SELECT tenancy.unprotect_schema('brief');
\echo :SQLSTATE
SELECT tenancy.unprotect_schema('no_such_schema');
\echo :SQLSTATE
RESET ROLE;
SELECT tenancy.protect_schema('no_such_schema');
\echo :SQLSTATE
SELECT tenancy.protect_schema('pg_catalog');
\echo :SQLSTATE
SELECT tenancy.protect_schema(NULL);
\echo :SQLSTATE
SELECT tenancy.protect_schema('brief', 'no_such_column');
SELECT tenancy.unprotect_schema('no_such_schema');
SELECT tenancy.protect_new_tables();

\c :start_database
DROP DATABASE protected_schema_test;
DROP ROLE ps_owner, ps_app, ps_other, tenant_ps_1, tenant_ps_2;
