--
-- E: odd contexts.  Rows are read, or the context is asked for, where nobody thought of it.
--

--: E01 parallel workers
--: as acme
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET parallel_leader_participation = off;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SELECT string_agg(note, ' ') FROM shop.orders;
SELECT max(note) FROM shop.events;
SELECT max(note), min(note) FROM shop.orders o JOIN shop.invoices i ON i.order_id <> o.id;

--: E02 parallel workers of a service, one tenant after the other
--: as service
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET parallel_leader_participation = off;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SET plan_cache_mode = force_generic_plan;
PREPARE all_notes AS SELECT string_agg(note, ' ') FROM shop.orders;
BEGIN; SELECT tenancy.set_tenant('globex'); EXECUTE all_notes; COMMIT;
--: look
BEGIN; SELECT tenancy.set_tenant('acme'); EXECUTE all_notes; COMMIT;
EXECUTE all_notes;

--: E03 a function that calls itself parallel safe changes the context in a worker
--: as acme
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET parallel_leader_participation = off;
CREATE FUNCTION pg_temp.become(text) RETURNS text LANGUAGE plpgsql PARALLEL SAFE AS $$
BEGIN
    PERFORM set_config('app.current_tenant_id', 'globex', true);
    RETURN $1;
END $$;
SELECT max(pg_temp.become(note)) FROM shop.orders;
SELECT note FROM shop.orders;

--: E04 whole rows, casts of rows, and rows as documents
--: as acme
SELECT o FROM shop.orders o;
SELECT shop.orders FROM shop.orders;
SELECT o::text, to_jsonb(o), (o).note FROM shop.orders o;
SELECT json_agg(o) FROM shop.orders o;
SELECT (d::shop.documents).note FROM shop.contracts d;
SELECT array_agg(DISTINCT o) FROM shop.orders o;

--: E05 functions that run a query they are given
--: as acme
SELECT query_to_xml('SELECT note FROM shop.orders', true, false, '');
SELECT table_to_xml('shop.orders', true, false, '');
SELECT schema_to_xml('shop', true, false, '');
SELECT database_to_xml(true, false, '');
SELECT word FROM ts_stat('SELECT to_tsvector(note) FROM shop.orders');
SELECT cursor_to_xml('c', 100, true, false, '');

--: E06 every form of a query: CTEs, recursion, LATERAL, set operations, windows, sub-selects
--: as acme
WITH x AS MATERIALIZED (SELECT * FROM shop.orders) SELECT note FROM x;
WITH RECURSIVE r AS (SELECT id, note FROM shop.orders WHERE id = 2 UNION SELECT o.id, o.note FROM shop.orders o JOIN r ON o.id > r.id) SELECT note FROM r;
SELECT (SELECT string_agg(note, ' ') FROM shop.orders i WHERE i.id > o.id) FROM shop.orders o LIMIT 1;
SELECT x.note FROM shop.orders o, LATERAL (SELECT note FROM shop.invoices i WHERE i.order_id <> o.id) x;
SELECT note FROM shop.orders UNION ALL SELECT note FROM shop.invoices INTERSECT SELECT note FROM shop.invoices;
SELECT first_value(note) OVER (ORDER BY tenant_id DESC) FROM shop.orders;
SELECT DISTINCT ON (tenant_id) note FROM shop.orders ORDER BY tenant_id DESC;
SELECT note FROM shop.orders WHERE tenant_id = 'globex' OR true;
SELECT note FROM shop.orders WHERE tenant_id IN ('acme', 'globex') OR tenant_id IS NULL OR tenant_id IS NOT NULL;
SELECT note FROM shop.orders ORDER BY tenant_id = 'globex' DESC;
TABLE shop.orders;
SELECT note FROM shop.orders TABLESAMPLE SYSTEM (100);

--: E07 COPY out
--: as acme
COPY shop.orders TO STDOUT;
COPY (SELECT * FROM shop.orders) TO STDOUT;
COPY shop.events_globex TO STDOUT;
COPY shop.contracts TO STDOUT;
COPY tenant_globex_crm.customers TO STDOUT;

--: E08 rows of nobody: an empty tenant, and none
--: secret NOBODYS-ROW
--: as dba
ALTER TABLE shop.orders ALTER tenant_id DROP NOT NULL;
INSERT INTO shop.orders (tenant_id, note) VALUES ('', 'NOBODYS-ROW'), (NULL, 'NOBODYS-ROW'), (' ', 'NOBODYS-ROW');
--: as service
SELECT note FROM shop.orders;
BEGIN;
SELECT tenancy.set_tenant('acme');
COMMIT;
SELECT note FROM shop.orders;
BEGIN;
SELECT tenancy.set_tenant('');
SELECT note FROM shop.orders;
ROLLBACK;
BEGIN;
SELECT tenancy.set_tenant(NULL);
SELECT note FROM shop.orders;
ROLLBACK;
SELECT note FROM shop.orders;
BEGIN;
SELECT tenancy.set_tenant(' ');
SELECT note FROM shop.orders;
ROLLBACK;

--: E09 no tenant at all
--: as service
SELECT note FROM shop.orders;
SELECT note FROM tenant_globex_crm.customers;
SELECT note FROM shop.orders WHERE tenancy.current_tenant() IS NULL;

--: E10 identifiers that look like the victim's
--: leak if EXISTS (SELECT FROM tenancy.tenants WHERE tenant_id NOT IN ('acme', 'globex')) AND (SELECT rolname FROM pg_roles WHERE rolname = 'tenant_globex') IS NOT NULL
--: try dba
SELECT tenancy.create_tenant('GLOBEX', 'x');
SELECT tenancy.create_tenant('Globex', 'x');
SELECT tenancy.create_tenant('globex ', 'x');
SELECT tenancy.create_tenant(' globex', 'x');
SELECT tenancy.create_tenant(U&'glob\0435x', 'x');
SELECT tenancy.create_tenant(U&'globex\200B', 'x');
SELECT tenancy.create_tenant(U&'\FF47lobex', 'x');
SELECT tenancy.create_tenant('glo/**/bex', 'x');
SELECT tenancy.create_tenant(E'globex\n', 'x');

--: E11 identifiers that fold to one name
--: leak if (SELECT count(*) FROM tenancy.tenants WHERE tenant_id IN ('north-1', 'north_1', 'North-1')) > 1
--: try dba
SELECT tenancy.create_tenant('north-1', 'x');
SELECT tenancy.create_tenant('north_1', 'x');
SELECT tenancy.create_tenant('North-1', 'x');

--: E12 identifiers that are no identifiers: injection, length, reserved words, NULL
--: leak if EXISTS (SELECT FROM tenancy.tenants WHERE tenant_id NOT IN ('acme', 'globex')) OR (SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory')
--: try dba
SELECT tenancy.create_tenant('x"; ALTER ROLE mallory SUPERUSER; --', 'x');
SELECT tenancy.create_tenant('x''; ALTER ROLE mallory SUPERUSER; --', 'x');
SELECT tenancy.create_tenant('x$$; ALTER ROLE mallory SUPERUSER; $$', 'x');
SELECT tenancy.create_tenant(repeat('a', 51), 'x');
SELECT tenancy.create_tenant(repeat('a', 10000), 'x');
SELECT tenancy.create_tenant('', 'x');
SELECT tenancy.create_tenant(NULL, 'x');
SELECT tenancy.create_tenant('public', 'x');
SELECT tenancy.create_tenant('..', 'x');
SELECT tenancy.create_tenant('%', 'x');

--: E13 a role of the victim's name-to-be, made before
--: leak if pg_has_role('mallory', 'tenant_initech', 'member') AND EXISTS (SELECT FROM tenancy.tenants WHERE tenant_id = 'initech')
--: as dba
ALTER ROLE mallory CREATEROLE;
--: as mallory
CREATE ROLE tenant_initech LOGIN;
GRANT tenant_initech TO mallory;
--: try dba
SELECT tenancy.create_tenant('initech', 'Initech');

--: E14 a schema of the victim's name-to-be, made before
--: leak if (SELECT nspowner = 'mallory'::regrole FROM pg_namespace WHERE nspname = 'tenant_initech_crm') AND EXISTS (SELECT FROM tenancy.tenants WHERE tenant_id = 'initech')
--: as mallory
CREATE SCHEMA tenant_initech_crm;
CREATE TABLE tenant_initech_crm.customers (id serial PRIMARY KEY, name text, note text);
GRANT ALL ON SCHEMA tenant_initech_crm TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA tenant_initech_crm TO PUBLIC;
--: try dba
SELECT tenancy.create_tenant('initech', 'Initech');

--: E15 a table of the customer's that the DBA protects: its functions, domains and defaults run as nobody else
--: leak if (SELECT rolsuper OR rolbypassrls OR pg_has_role('mallory', 'tenancy_service', 'member') FROM pg_roles WHERE rolname = 'mallory')
--: as mallory
CREATE FUNCTION tools.trap() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'ALTER ROLE mallory BYPASSRLS';
    RETURN 'acme';
EXCEPTION WHEN insufficient_privilege THEN
    RETURN 'acme';
END $$;
CREATE FUNCTION tools.check_it(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM tools.trap(); RETURN true; END $$;
CREATE DOMAIN tools.tenant AS text DEFAULT tools.trap() CHECK (tools.check_it(VALUE));
CREATE TABLE tools.trapped (id integer DEFAULT length(tools.trap()), tenant_id tools.tenant CHECK (tools.check_it(tenant_id)), note text);
INSERT INTO tools.trapped (tenant_id) VALUES ('acme');
CREATE INDEX ON tools.trapped (tools.check_it(note)) WHERE tools.check_it(note);
--: as dba
SELECT tenancy.protect('tools.trapped');
--: as mallory
SELECT note FROM shop.orders;

--: E16 a table of the customer's that the event trigger protects, with the superuser's rights
--: leak if (SELECT rolsuper OR rolbypassrls OR pg_has_role('mallory', 'tenancy_service', 'member') FROM pg_roles WHERE rolname = 'mallory')
--: as mallory
CREATE SCHEMA mine;
CREATE FUNCTION mine.trap() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'ALTER ROLE mallory BYPASSRLS';
    RETURN 'acme';
EXCEPTION WHEN insufficient_privilege THEN
    RETURN 'acme';
END $$;
CREATE FUNCTION mine.check_it(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM mine.trap(); RETURN true; END $$;
CREATE DOMAIN mine.tenant AS text DEFAULT mine.trap() CHECK (mine.check_it(VALUE));
SELECT tenancy.protect_schema('mine');
CREATE TABLE mine."x""; ALTER ROLE mallory BYPASSRLS; --" (tenant_id mine.tenant CHECK (mine.check_it(tenant_id)), note text);
CREATE TABLE mine.trapped (id integer DEFAULT length(mine.trap()), tenant_id mine.tenant, note text) PARTITION BY LIST (mine.check_it(tenant_id));
CREATE TABLE mine.made AS SELECT 'acme'::mine.tenant AS tenant_id, mine.trap() AS note;
ALTER TABLE mine.made ADD COLUMN more text DEFAULT mine.trap();
SET row_security = off;
CREATE TABLE mine.evaded (tenant_id mine.tenant);
RESET row_security;
SELECT note FROM shop.orders;

--: E17 a schema that is registered with a column for the next owner of the name
--: leak if (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = 'mallory')
--: as mallory
CREATE SCHEMA billing;
SELECT tenancy.protect_schema('billing', 'x"; ALTER ROLE mallory BYPASSRLS; --');
SELECT tenancy.protect_schema('billing', 'secret');
DROP SCHEMA billing;
--: as dba
CREATE SCHEMA billing;
CREATE TABLE billing.accounts (tenant_id text, note text);
INSERT INTO billing.accounts VALUES ('globex', 'GLOBEX-SECRET');
SELECT tenancy.protect_schema('billing');
GRANT USAGE ON SCHEMA billing TO PUBLIC;
GRANT ALL ON billing.accounts TO PUBLIC;
--: as acme
SELECT note FROM billing.accounts;

--: E18 names that break out of what isolation_report() offers
-- The DBA runs every remedy, as the documentation says.
--: only ours
--: leak if (SELECT rolsuper OR rolbypassrls OR pg_has_role('mallory', 'tenancy_service', 'member') FROM pg_roles WHERE rolname = 'mallory')
--: as mallory
CREATE SCHEMA "a'; ALTER ROLE mallory SUPERUSER; --";
CREATE TABLE "a'; ALTER ROLE mallory SUPERUSER; --"."b""; ALTER ROLE mallory SUPERUSER; --" (tenant_id text, "c'""; ALTER ROLE mallory SUPERUSER; --" text UNIQUE);
GRANT ALL ON "a'; ALTER ROLE mallory SUPERUSER; --"."b""; ALTER ROLE mallory SUPERUSER; --" TO PUBLIC;
CREATE VIEW "a'; ALTER ROLE mallory SUPERUSER; --"."v
; ALTER ROLE mallory SUPERUSER; --" AS SELECT * FROM "a'; ALTER ROLE mallory SUPERUSER; --"."b""; ALTER ROLE mallory SUPERUSER; --";
GRANT ALL ON "a'; ALTER ROLE mallory SUPERUSER; --"."v
; ALTER ROLE mallory SUPERUSER; --" TO PUBLIC;
CREATE FUNCTION "a'; ALTER ROLE mallory SUPERUSER; --"."f'
; ALTER ROLE mallory SUPERUSER; --"() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT 'x'::text $$;
CREATE MATERIALIZED VIEW tools."m'; ALTER ROLE mallory SUPERUSER; --" AS SELECT * FROM shop.orders;
GRANT ALL ON tools."m'; ALTER ROLE mallory SUPERUSER; --" TO PUBLIC;
CREATE POLICY "p'""; ALTER ROLE mallory SUPERUSER; --" ON "a'; ALTER ROLE mallory SUPERUSER; --"."b""; ALTER ROLE mallory SUPERUSER; --" USING (true OR tenant_id = 'x');
ALTER TABLE "a'; ALTER ROLE mallory SUPERUSER; --"."b""; ALTER ROLE mallory SUPERUSER; --" ENABLE ROW LEVEL SECURITY;
ALTER ROLE mallory SET search_path TO '"; ALTER ROLE mallory SUPERUSER; --';
--: try dba
\o /dev/null
SELECT remedy FROM tenancy.isolation_report() WHERE remedy NOT LIKE '--%' \gexec
\o
--: as mallory
SELECT note FROM shop.orders;

--: E19 a query with the superuser's rights over objects of the customer's: isolation_report() itself
--: only ours
--: leak if (SELECT rolsuper OR rolbypassrls OR pg_has_role('mallory', 'tenancy_service', 'member') FROM pg_roles WHERE rolname = 'mallory')
--: as mallory
CREATE FUNCTION tools.trap(text, text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'ALTER ROLE mallory BYPASSRLS';
    RETURN true;
END $$;
CREATE OPERATOR tools.= (LEFTARG = text, RIGHTARG = text, FUNCTION = tools.trap);
CREATE OPERATOR tools.~ (LEFTARG = text, RIGHTARG = text, FUNCTION = tools.trap);
CREATE FUNCTION tools.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'ALTER ROLE mallory BYPASSRLS'; RETURN $1; END $$;
CREATE TABLE tools.tickets (tenant_id text, note text);
ALTER TABLE tools.tickets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tools.tickets USING (tools.trap(tenant_id, note) AND tenant_id OPERATOR(tools.=) 'x');
CREATE VIEW tools.tickets_view AS SELECT tools.trap(tenant_id, note) FROM tools.tickets;
GRANT ALL ON tools.tickets, tools.tickets_view TO PUBLIC;
--: as dba
SET search_path TO tools, pg_catalog;
SELECT count(*) >= 0 FROM tenancy.isolation_report();
SELECT tenancy.protect_ddl('tools.tickets');
SELECT tenancy.protect_advice('tools.tickets');
--: as mallory
SELECT note FROM shop.orders;

--: E20 another database of the server, where the customer may do everything
-- Roles and their bindings are the server's, rows are the database's.
--: as dba
CREATE DATABASE of_mallory OWNER mallory;
--: as mallory
SELECT current_database() AS ours \gset
\c of_mallory
CREATE SCHEMA tenancy;
CREATE TABLE tenancy.tenants (tenant_id text PRIMARY KEY, name text, database_config jsonb, created_at timestamptz, updated_at timestamptz, status text);
INSERT INTO tenancy.tenants VALUES ('globex', 'x', '{}', now(), now(), 'active');
SET app.current_tenant_id = 'globex';
SELECT set_config('app.current_tenant_id', 'globex', false);
ALTER DATABASE of_mallory SET app.current_tenant_id = 'globex';
ALTER ROLE mallory IN DATABASE :"ours" SET app.current_tenant_id = 'globex';
\c :"ours"
SELECT note FROM shop.orders;
--: as dba
DROP DATABASE of_mallory;

--: E21 an extension that customers may install
--: as mallory
CREATE EXTENSION tenancy_mongo;
CREATE EXTENSION tenancy_business;
CREATE EXTENSION pg_trgm SCHEMA tools;
CREATE EXTENSION hstore SCHEMA tools;
DROP EXTENSION tenancy CASCADE;
ALTER EXTENSION tenancy DROP FUNCTION tenancy.current_tenant();
ALTER EXTENSION tenancy UPDATE TO '9.9';
SELECT note FROM shop.orders;

--: E22 an expression index of the customer's own table reads other tables while it is built
--: as mallory
CREATE FUNCTION tools.reads(integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT string_agg(note, ' ') FROM shop.orders $$;
CREATE TABLE tools.t (id integer);
INSERT INTO tools.t VALUES (1);
CREATE INDEX ON tools.t (tools.reads(id));
CREATE MATERIALIZED VIEW tools.m AS SELECT tools.reads(1) AS notes;
SELECT notes FROM tools.m;
CREATE STATISTICS tools.s ON (tools.reads(id)) FROM tools.t;
ANALYZE tools.t;
SELECT tools.reads(1);

--: E23 a customer's materialised view, refreshed by the DBA
--: as mallory
CREATE MATERIALIZED VIEW tools.m AS SELECT note FROM shop.orders WITH NO DATA;
GRANT ALL ON tools.m TO PUBLIC;
--: as dba
REFRESH MATERIALIZED VIEW tools.m;
--: as mallory
SELECT note FROM tools.m;

--: E24 a customer's materialised view, refreshed by the service as another tenant
--: as mallory
CREATE MATERIALIZED VIEW tools.m AS SELECT note FROM shop.orders WITH NO DATA;
GRANT ALL ON tools.m TO PUBLIC;
ALTER MATERIALIZED VIEW tools.m OWNER TO tenant_acme;
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
REFRESH MATERIALIZED VIEW tools.m;
COMMIT;
--: as mallory
SELECT note FROM tools.m;

--: E25 a view of the customer's, read by the victim's session
--: report TI215 tools.report
--: as mallory
CREATE TABLE tools.caught (note text);
GRANT INSERT ON tools.caught TO PUBLIC;
CREATE FUNCTION tools.catch(text) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ INSERT INTO tools.caught VALUES ($1) RETURNING note $$;
CREATE VIEW tools.report AS SELECT count(tools.catch(note)) FROM shop.orders;
GRANT SELECT ON tools.report TO PUBLIC;
--: meanwhile globex
SELECT * FROM tools.report;
--: again
SELECT note FROM tools.caught;

--: E26 security definer functions of the customer's keep the caller's tenant
--: as mallory
CREATE FUNCTION tools.count_mine() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT count(*) FROM shop.orders $$;
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT note FROM shop.orders WHERE tools.count_mine() > 0;
COMMIT;

--: E27 cached plans of one role, used by another in the same session
-- CVE-2024-10976, CVE-2026-14666: policies that depend on the role, below a sub-query.
--: as dba
CREATE FUNCTION shop.notes() RETURNS SETOF text LANGUAGE sql STABLE AS $$ SELECT note FROM (SELECT note FROM shop.orders OFFSET 0) s $$;
CREATE VIEW shop.invoked WITH (security_invoker = true) AS SELECT note FROM shop.orders;
GRANT SELECT ON shop.invoked TO PUBLIC;
GRANT acme, globex TO service;
CREATE ROLE privileged BYPASSRLS;
GRANT privileged TO service;
GRANT SELECT ON shop.orders TO privileged;
GRANT USAGE ON SCHEMA shop TO privileged;
--: as service
SET plan_cache_mode = force_generic_plan;
PREPARE notes AS SELECT * FROM shop.notes();
PREPARE invoked AS WITH x AS (SELECT * FROM shop.invoked) SELECT * FROM x;
SET ROLE privileged;
EXECUTE notes;
EXECUTE invoked;
--: look
SET ROLE acme;
EXECUTE notes;
EXECUTE invoked;

--: E28 statements in one message, and errors in the midst
--: as service
BEGIN\; SELECT tenancy.set_tenant('globex')\; SELECT 1 / 0\; COMMIT;
--: look
SELECT note FROM shop.orders\; SELECT 1;
ROLLBACK;
SELECT note FROM shop.orders;
SELECT tenancy.set_tenant('acme')\; SELECT note FROM shop.orders;
SELECT note FROM shop.orders;

--: E29 a statement of its own without BEGIN: the local tenant ends with it
--: as service
SELECT tenancy.set_tenant('globex');
--: look
SELECT note FROM shop.orders;

--: E30 a client that fetches in pieces, by a cursor that it does not show
--: as service
\set FETCH_COUNT 3
BEGIN;
SELECT tenancy.set_tenant('globex');
SELECT note FROM shop.orders;
COMMIT;
--: look
SELECT note FROM shop.orders;
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT note FROM shop.orders;
COMMIT;

--: E31 row-level security of a table that is read through its own type's functions
--: as acme
CREATE FUNCTION pg_temp.of_row(o shop.orders) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(note, ' ') FROM shop.orders WHERE tenant_id <> o.tenant_id $$;
SELECT pg_temp.of_row(o) FROM shop.orders o LIMIT 1;
SELECT o.of_row FROM (SELECT 1) x, LATERAL (SELECT pg_temp.of_row(o) AS of_row FROM shop.orders o LIMIT 1) o;

--: E32 temporary objects called like the extension's own
--: as mallory
CREATE TEMP TABLE tenants (tenant_id text, status text);
CREATE TEMP VIEW pg_class AS SELECT * FROM pg_catalog.pg_class;
CREATE FUNCTION pg_temp.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'globex' $$;
CREATE FUNCTION pg_temp.current_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'globex' $$;
SET search_path TO pg_temp, shop, pg_catalog;
SELECT note FROM orders;
SELECT pg_temp.current_tenant(), note FROM shop.orders WHERE tenant_id = pg_temp.current_tenant();

--: E33 a collation that takes two tenants for one
-- PostgreSQL compares by it in the policy, if the column has it.
--: as dba
CREATE COLLATION tools.loose (provider = icu, locale = 'und-u-ka-shifted-ks-level1', deterministic = false);
SELECT tenancy.create_tenant('glo-bex', 'another customer');
--: try dba
CREATE TABLE shop.letters (tenant_id text COLLATE tools.loose, note text);
INSERT INTO shop.letters VALUES ('globex', 'GLOBEX-SECRET');
GRANT ALL ON shop.letters TO PUBLIC;
SELECT tenancy.protect_schema('shop');
--: as service
BEGIN;
SELECT tenancy.set_tenant('glo-bex');
SELECT note FROM shop.letters;
COMMIT;

--: E34 a column of blank-padded or shortened text
--: as dba
SELECT tenancy.create_tenant('glob', 'another customer');
CREATE TABLE shop.letters (tenant_id varchar(4), note text);
INSERT INTO shop.letters VALUES (left('globex', 4), 'GLOBEX-SECRET');
GRANT ALL ON shop.letters TO PUBLIC;
SELECT tenancy.protect_schema('shop');
--: as acme
SELECT note FROM shop.letters;

--: E35 logical replication slots and WAL, read by SQL
--: as dba
CREATE EXTENSION pg_walinspect;
--: as acme
SELECT pg_walfile_name(pg_current_wal_lsn());
SELECT * FROM pg_get_wal_records_info_till_end_of_wal('0/1000000');
SELECT pg_logical_slot_peek_changes('spy', NULL, NULL);
SELECT pg_ls_waldir();
SELECT note FROM shop.orders;

--: E36 inspection extensions that a DBA has installed
--: as dba
CREATE EXTENSION pageinspect;
CREATE EXTENSION pgrowlocks;
CREATE EXTENSION pgstattuple;
CREATE EXTENSION pg_freespacemap;
CREATE EXTENSION pg_visibility;
CREATE EXTENSION pg_buffercache;
CREATE EXTENSION amcheck;
--: as acme
SELECT encode(get_raw_page('shop.orders', 0), 'escape');
SELECT * FROM heap_page_items(get_raw_page('shop.orders', 0));
SELECT * FROM bt_page_items('shop.orders_tenant_id_idx', 1);
SELECT * FROM pgstattuple('shop.orders');
SELECT * FROM pg_freespace('shop.orders');
SELECT verify_heapam('shop.orders');

--: E37 cancelling and ending the victim's session
--: leak if (SELECT count(*) FROM tools.pids WHERE survived) = 0
--: as dba
CREATE TABLE tools.pids (pid integer, survived boolean DEFAULT false);
GRANT ALL ON tools.pids TO PUBLIC;
--: as globex
INSERT INTO tools.pids VALUES (pg_backend_pid());
--: meanwhile acme
SELECT pg_cancel_backend(pid), pg_terminate_backend(pid) FROM tools.pids;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'globex' OR backend_type <> 'client backend';
--: again
UPDATE tools.pids SET survived = true;
