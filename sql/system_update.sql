--
-- system_update: migrations, the way between two versions, update and rollback of a tenant's system.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE system_update_test;
\c system_update_test
CREATE EXTENSION tenancy;
SELECT tenancy.create_tenant('upd-1', 'One'), tenancy.create_tenant('upd-2', 'Two');
SELECT tenancy.register_system('shop', 'Shop', 'shop', 'us');
SELECT tenancy.register_version('shop', v, 'CREATE TABLE item (id integer PRIMARY KEY, name text); INSERT INTO item VALUES (1, @tenant@)')
  FROM unnest(ARRAY['1.0.0', '1.1.0', '1.2.0', '2.0.0', '2.1.0-rc.1', '3.0.0-beta']) v;
SELECT version, schema_version, is_latest FROM tenancy.system_versions ORDER BY schema_version;

--
-- Migrations
--
SELECT tenancy.register_migration('shop', '1.0.0', '1.1.0', $$
ALTER TABLE item ADD COLUMN price numeric;
UPDATE item SET price = 10;
CREATE TABLE sale (id serial PRIMARY KEY, item_id integer NOT NULL REFERENCES item);
CREATE VIEW sold WITH (security_invoker = true) AS SELECT i.name, count(s.id) FROM item i LEFT JOIN sale s ON s.item_id = i.id GROUP BY 1;
INSERT INTO sale (item_id) SELECT id FROM item;
$$, $$DROP VIEW sold; DROP TABLE sale; ALTER TABLE item DROP COLUMN price$$, 'Prices and sales.',
    $$SELECT count(*) > 0 AND bool_and(price = 10) FROM item; SELECT count(*) = 1 FROM sale$$);
SELECT tenancy.register_migration('shop', '1.1.0', '1.2.0', 'CREATE TABLE review (id integer PRIMARY KEY)', 'DROP TABLE review');
SELECT tenancy.register_migration('shop', '1.2.0', '2.0.0', 'ALTER TABLE item ADD COLUMN sku text', 'ALTER TABLE item DROP COLUMN sku');
SELECT migration_id, version_from, version_to, schema_version_from, schema_version_to, description, transactional, length(checksum)
  FROM tenancy.schema_migrations ORDER BY 1;
SELECT * FROM tenancy.migration_path('shop', '1.0.0', '2.0.0');
SELECT * FROM tenancy.migration_path('shop', '2.0.0', '1.0.0');
SELECT * FROM tenancy.migration_path('shop', '1.0.0', '2.1.0-rc.1');
-- a short cut is taken
SELECT tenancy.register_migration('shop', '1.1.0', '2.0.0', 'CREATE TABLE review (id integer PRIMARY KEY); ALTER TABLE item ADD COLUMN sku text');
SELECT * FROM tenancy.migration_path('shop', '1.0.0', '2.0.0');
-- but not back, since it has no way back
SELECT * FROM tenancy.migration_path('shop', '2.0.0', '1.0.0');

--
-- Updating
--
SELECT tenancy.install_system('upd-1', 'shop', '1.0.0'), tenancy.install_system('upd-2', 'shop', '1.0.0');
SELECT tenancy.update_system('upd-1', 'shop', '1.1.0');
SELECT tenancy.update_system('upd-1', 'shop', '1.1.0');
SELECT * FROM tenant_upd_1_shop.sold;
-- what is new is protected and granted, what was there has kept both
SELECT relname, relkind, relrowsecurity AS rls, relforcerowsecurity AS forced, (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) AS policies,
       replace(relacl::text, 'arwdDxtm', 'arwdDxt') AS relacl FROM pg_class c WHERE relnamespace = 'tenant_upd_1_shop'::regnamespace AND relkind IN ('r', 'v', 'S') ORDER BY 1;
SELECT version, status FROM tenancy.installed_systems WHERE tenant_id = 'upd-1';
SELECT tenancy.update_system('upd-1', 'shop');
SELECT direction, version_from, version_to, migration_id, schema_name, executed_by = session_user AS us, duration > '0' AS lasted, sqlstate
  FROM tenancy.tenant_system_history WHERE tenant_id = 'upd-1' ORDER BY history_id;
SELECT column_name FROM information_schema.columns WHERE table_schema = 'tenant_upd_1_shop' AND table_name = 'item' ORDER BY ordinal_position;

-- a policy that a script drops comes back
SELECT tenancy.register_version('shop', '2.0.1', 'CREATE TABLE item (id integer PRIMARY KEY, name text)');
SELECT tenancy.register_migration('shop', '2.0.0', '2.0.1', $$
DROP POLICY tenant_isolation_policy ON item;
DROP POLICY tenant_isolation_floor ON item;
ALTER TABLE item NO FORCE ROW LEVEL SECURITY;
ALTER TABLE item DISABLE ROW LEVEL SECURITY;
$$, 'SELECT 1');
SELECT tenancy.update_system('upd-1', 'shop');
SELECT relrowsecurity, relforcerowsecurity, (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) AS policies
  FROM pg_class c WHERE oid = 'tenant_upd_1_shop.item'::regclass;

--
-- What fails leaves the schema as it was
--
SELECT tenancy.register_version('shop', '2.0.2', 'CREATE TABLE item (id integer PRIMARY KEY, name text)');
SELECT tenancy.register_migration('shop', '2.0.1', '2.0.2', $$
CREATE TABLE half (id integer);

-- divides
SELECT 1 / (id - id) FROM item;
$$);
\set SHOW_CONTEXT errors
SELECT tenancy.update_system('upd-1', 'shop');
\set SHOW_CONTEXT never
SELECT to_regclass('tenant_upd_1_shop.half') IS NULL AS gone, version, status FROM tenancy.installed_systems WHERE tenant_id = 'upd-1';
-- no tenant has had it, so it may be corrected
SELECT tenancy.register_migration('shop', '2.0.1', '2.0.2', 'CREATE TABLE half (id integer)', verify_sql => 'SELECT true; SELECT count(*) > 5 FROM item');
SELECT tenancy.update_system('upd-1', 'shop');
\echo :SQLSTATE
SELECT to_regclass('tenant_upd_1_shop.half') IS NULL AS gone;
SELECT tenancy.register_migration('shop', '2.0.1', '2.0.2', 'CREATE TABLE half (id integer)', verify_sql => 'SELECT count(*) = 1 FROM item');
SELECT tenancy.update_system('upd-1', 'shop');

-- what tenants have had is frozen
SELECT tenancy.register_migration('shop', '2.0.1', '2.0.2', 'CREATE TABLE whole (id integer)');
\echo :SQLSTATE
DELETE FROM tenancy.schema_migrations WHERE version_to = '2.0.2';
UPDATE tenancy.schema_migrations SET description = 'Halves.' WHERE version_to = '2.0.2';
-- and told apart from what was registered
SET session_replication_role = replica;
UPDATE tenancy.schema_migrations SET migration_sql = 'CREATE TABLE smuggled (id integer)' WHERE migration_id = 'shop-1.0.0-1.1.0';
RESET session_replication_role;
SELECT tenancy.update_system('upd-2', 'shop', '1.1.0');
\echo :SQLSTATE

--
-- What is refused
--
SELECT tenancy.update_system('upd-2', 'shop', '3.0.0-beta');
\echo :SQLSTATE
SELECT tenancy.update_system('upd-1', 'shop', '1.0.0');
\echo :SQLSTATE
SELECT tenancy.update_system('upd-1', 'shop', '9.9.9');
\echo :SQLSTATE
SELECT tenancy.update_system('upd-1', 'market');
\echo :SQLSTATE
SELECT tenancy.update_system('upd-404', 'shop');
\echo :SQLSTATE
SELECT tenancy.register_migration('shop', '1.1.0', '1.0.0', 'SELECT 1');
\echo :SQLSTATE
SELECT tenancy.register_migration('shop', '1.1.0', '1.1.0', 'SELECT 1');
SELECT tenancy.register_migration('shop', '1.1.0', '4.0.0', 'SELECT 1');
\echo :SQLSTATE
SELECT tenancy.register_migration('shop', '1.1.0', '2.0.0', 'SELEC 1');
\echo :SQLSTATE
SELECT tenancy.register_migration('shop', '1.1.0', '2.0.0', NULL);
SELECT tenancy.register_migration('market', '1.1.0', '2.0.0', 'SELECT 1');
-- a migration whose statements commit one by one is not for here
SELECT tenancy.register_migration('shop', '2.0.2', '2.1.0-rc.1', 'CREATE INDEX CONCURRENTLY ON item (name)', transactional => false);
SELECT tenancy.update_system('upd-1', 'shop', '2.1.0-rc.1');
\echo :SQLSTATE

--
-- A script sees its tenant's rows, and nobody else's
--
SELECT tenancy.register_system('diary', 'Diary', 'diary', 'us');
SELECT tenancy.register_version('diary', v, 'CREATE TABLE entry (id integer, body text); CREATE TABLE seen (who text, n bigint, tenant text)')
  FROM unnest(ARRAY['1.0.0', '1.1.0', '1.2.0']) v;
SELECT tenancy.install_system('upd-1', 'diary', '1.0.0'), tenancy.install_system('upd-2', 'diary', '1.0.0');
INSERT INTO tenant_upd_1_diary.entry VALUES (1, 'mine');
INSERT INTO tenant_upd_2_diary.entry VALUES (1, 'theirs'), (2, 'theirs');
SELECT tenancy.register_migration('diary', '1.0.0', '1.1.0', $$
INSERT INTO seen SELECT 'own', count(*), tenancy.current_tenant() FROM entry;
DO $do$ BEGIN PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END $do$;
UPDATE entry SET body = upper(body);
INSERT INTO seen SELECT 'other', count(*), tenancy.current_tenant() FROM tenant_upd_2_diary.entry;
UPDATE tenant_upd_2_diary.entry SET body = 'overwritten';
DELETE FROM tenant_upd_2_diary.entry;
$$);
SELECT tenancy.register_migration('diary', '1.1.0', '1.2.0', 'UPDATE entry SET body = NULL; SELECT 1 / 0');
-- of a suspended tenant, in a session that has another one
SELECT tenancy.suspend_tenant('upd-1');
BEGIN;
SELECT tenancy.set_tenant('upd-2');
SELECT tenancy.update_system('upd-1', 'diary', '1.1.0');
SELECT tenancy.current_tenant();
SAVEPOINT s;
SELECT tenancy.update_system('upd-1', 'diary', '1.2.0');
ROLLBACK TO s;
SELECT tenancy.current_tenant();
COMMIT;
SELECT tenancy.update_system('upd-1', 'diary', '1.2.0');
SELECT tenancy.current_tenant() IS NULL AS none;
SELECT * FROM tenant_upd_1_diary.seen ORDER BY who DESC;
SELECT * FROM tenant_upd_1_diary.entry;
SELECT * FROM tenant_upd_2_diary.entry ORDER BY 1;
SELECT tenancy.resume_tenant('upd-1');

--
-- Back
--
SELECT tenancy.rollback_system('upd-1', 'shop', '2.0.0');
\echo :SQLSTATE
SELECT tenancy.install_system('upd-2', 'shop', '1.1.0');
SELECT tenancy.rollback_system('upd-2', 'shop', '2.0.0');
\echo :SQLSTATE
SELECT tenancy.rollback_system('upd-2', 'shop', NULL);

--
-- Taking a system away, and verifying one
--
SELECT tenancy.verify_system('upd-2', 'shop') IS NULL AS has_none;
SELECT tenancy.register_system('till', 'Till', 'till', 'us');
SELECT tenancy.register_version('till', '1.0.0', 'CREATE TABLE receipt (id integer)', dependencies => '{"shop": "^1.0.0"}',
                                verify_sql => 'SELECT count(*) = 0 FROM receipt');
SELECT tenancy.install_system('upd-1', 'till');
\echo :SQLSTATE
SELECT tenancy.install_system('upd-2', 'till');
SELECT tenancy.verify_system('upd-2', 'till');
SELECT tenancy.uninstall_system('upd-2', 'shop');
\echo :SQLSTATE
SELECT tenancy.uninstall_system('upd-2', 'shop', cascade => true);
SELECT to_regnamespace('tenant_upd_2_shop') IS NULL AND to_regnamespace('tenant_upd_2_till') IS NULL AS gone;
SELECT system_id, status, schema_name FROM tenancy.tenant_systems WHERE tenant_id = 'upd-2' ORDER BY 1;
SELECT tenancy.install_system('upd-2', 'till', with_dependencies => true);
SELECT system_id, version, schema_name FROM tenancy.installed_systems WHERE tenant_id = 'upd-2' ORDER BY 1;

\c :start_database
DROP DATABASE system_update_test;
DROP ROLE tenant_upd_1, tenant_upd_2;
