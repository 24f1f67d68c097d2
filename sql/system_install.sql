--
-- system_install: a system in a tenant's own schema.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE system_install_test;
\c system_install_test
CREATE EXTENSION tenancy;
SELECT tenancy.create_tenant('sys-1', 'One');
SELECT tenancy.create_tenant('sys-2', 'Two');
SELECT tenancy.create_tenant('O-1', 'Quoted names');

SELECT tenancy.register_system('shop', 'Shop', 'shop', 'us');
SELECT tenancy.register_version('shop', '1.0.0', $$
CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, price numeric);
CREATE TABLE sale (id serial PRIMARY KEY, item_id bigint NOT NULL REFERENCES item, at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON @schema@.sale (item_id);
CREATE TABLE event (at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE event_default PARTITION OF event DEFAULT;
CREATE VIEW sold WITH (security_invoker = true) AS SELECT i.name, count(*) FROM item i JOIN sale s ON s.item_id = i.id GROUP BY 1;
INSERT INTO item (name) VALUES ('welcome, ' || @tenant@);
SET search_path TO public;
$$);
SELECT tenancy.register_version('shop', '1.1.0', 'CREATE TABLE item (id bigint PRIMARY KEY)');

--
-- Installing
--
SHOW search_path;
SELECT tenancy.install_system('sys-1', 'shop', '1.0.0');
SELECT tenancy.install_system('sys-2', 'shop', '1.0.0');
SHOW search_path;
SELECT tenant_id, system_id, version, schema_name, status FROM tenancy.installed_systems ORDER BY 1;

-- everything belongs to tenancy_owner and is protected, partitions too
SELECT relname, relkind, relowner::regrole AS owner, relrowsecurity AS rls, relforcerowsecurity AS forced,
       (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) AS policies
  FROM pg_class c WHERE relnamespace = 'tenant_sys_1_shop'::regnamespace AND relkind IN ('r', 'p', 'v', 'S') ORDER BY 1;
SELECT nspowner::regrole, nspacl FROM pg_namespace WHERE nspname = 'tenant_sys_1_shop';
SELECT relname, grantee::regrole, string_agg(privilege_type, ', ' ORDER BY privilege_type) AS privileges, bool_or(is_grantable) AS grantable
  FROM pg_class, aclexplode(relacl)
 WHERE relnamespace = 'tenant_sys_1_shop'::regnamespace AND relname IN ('item', 'item_id_seq', 'sale_id_seq', 'sold')
   AND privilege_type <> 'MAINTAIN' GROUP BY 1, 2 ORDER BY 1, 2::text;

-- a service sees one tenant's, a tenant's own role its own schema only
CREATE ROLE install_service LOGIN IN ROLE tenancy_service;
CREATE ROLE install_tenant LOGIN IN ROLE tenant_sys_1;
ALTER ROLE install_tenant SET app.current_tenant_id = 'sys-1';
\c - install_service
BEGIN;
SELECT tenancy.set_tenant('sys-2');
SELECT name FROM tenant_sys_2_shop.item;
SELECT name FROM tenant_sys_1_shop.item;
INSERT INTO tenant_sys_2_shop.sale (item_id) SELECT id FROM tenant_sys_2_shop.item;
SELECT * FROM tenant_sys_2_shop.sold;
INSERT INTO tenant_sys_1_shop.item (name) VALUES ('smuggled');
ROLLBACK;
DROP TABLE tenant_sys_2_shop.sale;
CREATE TABLE tenant_sys_2_shop.mine (id integer);
\c - install_tenant
SELECT name FROM tenant_sys_1_shop.item;
SELECT name FROM tenant_sys_2_shop.item;
\c - :start_user

--
-- What is refused
--
SELECT tenancy.install_system('sys-1', 'shop', '1.0.0');
\echo :SQLSTATE
SELECT tenancy.register_system('boutique', 'Boutique', 'shop', 'them');
SELECT tenancy.register_version('boutique', '1.0.0', 'CREATE TABLE dress (id integer)');
SELECT tenancy.install_system('sys-1', 'boutique');
\echo :SQLSTATE
SELECT tenancy.install_system('sys-404', 'shop');
\echo :SQLSTATE
SELECT tenancy.install_system('sys-1', 'market');
\echo :SQLSTATE
SELECT tenancy.install_system('O-1', 'shop', '9.9.9');
\echo :SQLSTATE
SELECT tenancy.install_system('O-1', NULL);
\echo :SQLSTATE
SELECT tenancy.register_system('empty', 'Empty', 'empty', 'us');
SELECT tenancy.install_system('O-1', 'empty');
\echo :SQLSTATE
UPDATE tenancy.management_systems SET status = 'deprecated' WHERE system_id = 'boutique';
SELECT tenancy.install_system('O-1', 'boutique');
\echo :SQLSTATE
SELECT tenancy.register_version('empty', '1.0.0', 'CREATE TABLE e (id integer)', dependencies => '{"shop": ">=1.0.0"}');
SELECT tenancy.install_system('O-1', 'empty');
\echo :SQLSTATE
SELECT tenancy.suspend_tenant('sys-2');
SELECT tenancy.install_system('sys-2', 'empty');
\echo :SQLSTATE
SELECT tenancy.resume_tenant('sys-2');
-- a schema that somebody else made
CREATE SCHEMA tenant_o_1_shop;
SELECT tenancy.install_system('O-1', 'shop');
\echo :SQLSTATE
DROP SCHEMA tenant_o_1_shop;
-- the latest version, if none is named
SELECT tenancy.install_system('O-1', 'shop');
SELECT version FROM tenancy.installed_systems WHERE tenant_id = 'O-1';

--
-- A script that fails leaves nothing, and says where
--
\set SHOW_CONTEXT errors
CREATE FUNCTION try(script text) RETURNS name LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '%', script;
    DELETE FROM tenancy.system_versions WHERE system_id = 'trial';
    DELETE FROM tenancy.management_systems WHERE system_id = 'trial';
    PERFORM tenancy.register_system('trial', 'Trial', 'trial', 'us'), tenancy.register_version('trial', '1.0.0', script);
    RETURN tenancy.install_system('sys-1', 'trial');
END $$;
SELECT try($$
CREATE TABLE a (id integer);

-- refers to what is not there
CREATE TABLE b (id integer REFERENCES c);
$$);
\echo :SQLSTATE
SELECT to_regnamespace('tenant_sys_1_trial') IS NULL AS gone;
\set SHOW_CONTEXT never
-- it is nobody else's role
SELECT try('SET ROLE pg_monitor');
SELECT try('RESET ROLE');
SELECT try('SET SESSION AUTHORIZATION DEFAULT');
\set VERBOSITY sqlstate
SELECT try('CREATE ROLE intruder SUPERUSER');
SELECT try('COPY (SELECT 1) TO PROGRAM ''true''');
\set VERBOSITY default
SELECT try('DROP TABLE tenancy.tenants');
SELECT try('SELECT tenancy.suspend_tenant(''sys-2'')');
SELECT try('CREATE TABLE public.t (id integer)');
SELECT try('VACUUM');
-- what cannot be protected
SELECT try('CREATE TABLE t (id integer); CREATE MATERIALIZED VIEW m AS SELECT * FROM t');
\echo :SQLSTATE
SELECT to_regnamespace('tenant_sys_1_trial') IS NULL AS gone;
-- an odd end of a script is none of our business
SELECT try('CREATE TABLE t (id integer);;; -- the end');

-- the script's objects come first on its path, whatever others have put elsewhere
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT NULL::timestamptz $$;
SET search_path TO evil, pg_catalog, public;
SELECT tenancy.register_system('clock', 'Clock', 'clock', 'us');
SELECT tenancy.register_version('clock', '1.0.0', 'CREATE TABLE tick (at timestamptz DEFAULT now())');
SELECT tenancy.install_system('sys-1', 'clock');
RESET search_path;
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'tenant_sys_1_clock.tick'::regclass;

\c :start_database
DROP DATABASE system_install_test;
DROP ROLE install_service, install_tenant, tenant_sys_1, tenant_sys_2, tenant_o_1;
