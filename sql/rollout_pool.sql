--
-- rollout_pool: a version comes while spares of the old one are ready, and tenants come while it is rolled out.  Steps are
-- taken by hand: the pool's worker is kept out of this database.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE rollout_pool_test;
\c rollout_pool_test
CREATE EXTENSION tenancy;
REVOKE CONNECT ON DATABASE rollout_pool_test FROM PUBLIC, tenancy_worker;
SELECT tenancy.register_system('memo', 'Memo', 'memo', 'us');
SELECT tenancy.register_version('memo', '1.0.0', 'CREATE TABLE memo (id integer PRIMARY KEY, owner text DEFAULT @tenant@); INSERT INTO memo (id) VALUES (1)');
SELECT count(tenancy.create_tenant('pool-' || n, 'Tenant')) FROM generate_series(1, 9) n;
SELECT count(tenancy.install_system('pool-' || n, 'memo')) FROM generate_series(1, 4) n;
INSERT INTO tenancy.pool_sizes VALUES ('memo', 2);
SELECT action FROM tenancy.refill_pool();
SELECT action FROM tenancy.refill_pool();

-- which spare is taken for whom
CREATE VIEW spares AS SELECT s.version_id, s.state, count(*) FROM tenancy.spares s GROUP BY 1, 2 ORDER BY 1, 2;
CREATE VIEW versions AS
    SELECT i.tenant_id, v.version, has_schema_privilege(t.role_name, i.schema_name, 'USAGE') AS open,
           EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = format('%I.memo', i.schema_name)::regclass AND a.attname = 'priority') AS has_column,
           (SELECT count(*) FROM tenancy.schema_drift(i.tenant_id, i.system_id)) AS drift
      FROM tenancy.tenant_systems i JOIN tenancy.system_versions v USING (version_id) JOIN tenancy.tenants t ON t.tenant_id = i.tenant_id
     ORDER BY i.tenant_id;

-- a new version: the spares of the old one are given to nobody who asks for the latest
SELECT tenancy.register_version('memo', '1.1.0', 'CREATE TABLE memo (id integer PRIMARY KEY, owner text DEFAULT @tenant@); INSERT INTO memo (id) VALUES (1); ALTER TABLE memo ADD COLUMN priority integer NOT NULL DEFAULT 0');
SELECT tenancy.register_migration('memo', '1.0.0', '1.1.0', 'ALTER TABLE memo ADD COLUMN priority integer NOT NULL DEFAULT 0', 'ALTER TABLE memo DROP COLUMN priority');
SELECT * FROM spares;
SELECT tenancy.install_system('pool-5', 'memo');
SELECT tenancy.install_system('pool-6', 'memo', '1.0.0');
SELECT * FROM spares;

-- a rollout stands still in the middle: its canary is done, the others are not
SELECT tenancy.start_rollout('memo', canary => ARRAY['pool-2'], workers => 0) AS rollout \gset
SELECT action FROM tenancy.rollout_step(:rollout, 0, false);
SELECT tenancy.pause_rollout(:rollout);
SELECT * FROM versions;

-- the pool goes over to the new version meanwhile, and tenants come from it and by the script of the old one
SELECT action FROM tenancy.refill_pool();
SELECT action FROM tenancy.refill_pool();
SELECT action FROM tenancy.refill_pool();
SELECT action FROM tenancy.refill_pool();
SELECT action FROM tenancy.refill_pool();
SELECT * FROM spares;
SELECT tenancy.install_system('pool-7', 'memo');
SELECT tenancy.install_system('pool-8', 'memo', '1.0.0');
SELECT * FROM spares;

-- a spare is taken in the very transaction in which a tenant is led there
BEGIN;
SELECT tenancy.install_system('pool-9', 'memo');
SELECT tenancy.update_system('pool-1', 'memo');
ROLLBACK;
SELECT * FROM spares;

-- the rollout goes on: those who came with the old version are led along, those from the pool have nothing to be done
SELECT tenancy.resume_rollout(:rollout);
CALL tenancy.run_rollout(:rollout);
SELECT tenant_id, state, version_from, version_to FROM tenancy.rollout_items WHERE rollout_id = :rollout ORDER BY tenant_id;
SELECT * FROM versions;
SELECT tenant_id, owner FROM (VALUES ('pool-1')) t(tenant_id), LATERAL (SELECT owner FROM tenant_pool_1_memo.memo) m
UNION ALL SELECT 'pool-7', owner FROM tenant_pool_7_memo.memo;

-- back again: the tenant from the pool, which was not led there, keeps its version
SELECT tenancy.rollback_rollout(:rollout, force => true, workers => 0) AS back \gset
CALL tenancy.run_rollout(:back);
SELECT tenant_id, state, version_to FROM tenancy.rollout_items WHERE rollout_id = :back ORDER BY tenant_id;
SELECT * FROM versions;

\c :start_database
DROP DATABASE rollout_pool_test;
DO $do$
DECLARE r name;
BEGIN
    FOR r IN SELECT rolname FROM pg_roles WHERE rolname ~ '^tenant_pool_' LOOP EXECUTE format('DROP ROLE %I', r); END LOOP;
END $do$;
