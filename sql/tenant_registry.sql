--
-- tenant_registry: tenants as rows, by plain DML, as a mirror or a DBA writes them.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE tenant_registry_test;
\c tenant_registry_test
CREATE EXTENSION tenancy;
SELECT tenancy.register_system('notes', 'Notes', 'notes', 'us');
SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id integer PRIMARY KEY, body text)');
SELECT tenancy.register_system('files', 'Files', 'files', 'us');
SELECT tenancy.register_version('files', '1.0.0', 'CREATE TABLE file (id integer PRIMARY KEY)',
                                dependencies => '{"notes": ">=1.0.0"}');

SELECT tenancy.assign_tier_system('*', 'notes'), tenancy.assign_tier_system('gold', 'files');
SELECT tenancy.create_tenant('reg-1', 'One');

--
-- A row and what follows from it
--
-- a new tenant waits for provisioning, and no context before
INSERT INTO tenancy.tenants (tenant_id, name, database_config, tier)
VALUES ('reg-6', 'Six', '{"type": "shared"}', 'gold');
SELECT tenancy.set_tenant('reg-6');
\echo :SQLSTATE
SELECT tenancy.suspend_tenant('reg-6');
\echo :SQLSTATE
SELECT tenancy.provision_tenant('reg-6');
-- the state acts by itself, even if triggers are off for replication
SET session_replication_role = replica;
UPDATE tenancy.tenants SET status = 'suspended' WHERE tenant_id = 'reg-6';
RESET session_replication_role;
SELECT has_schema_privilege('tenancy_service', 'tenant_reg_6_notes', 'USAGE'),
       has_schema_privilege('tenant_reg_6', 'tenant_reg_6_files', 'USAGE');
UPDATE tenancy.tenants SET status = 'active' WHERE tenant_id = 'reg-6';
SELECT has_schema_privilege('tenancy_service', 'tenant_reg_6_notes', 'USAGE'),
       has_schema_privilege('tenant_reg_6', 'tenant_reg_6_files', 'USAGE');
-- so does the end of the row
DELETE FROM tenancy.tenants WHERE tenant_id = 'reg-6';
SELECT has_schema_privilege('tenancy_service', 'tenant_reg_6_notes', 'USAGE'),
       has_schema_privilege('tenant_reg_6', 'tenant_reg_6_files', 'USAGE');
SELECT tenancy.set_tenant('reg-6');


--
-- Rows that no tenant can have
--
INSERT INTO tenancy.tenants (tenant_id, name, database_config) VALUES ('reg/7', 'Seven', '{"type": "shared"}');
\echo :SQLSTATE
INSERT INTO tenancy.tenants (tenant_id, name, database_config) VALUES ('REG-1', 'One', '{"type": "shared"}');
\echo :SQLSTATE
INSERT INTO tenancy.tenants (tenant_id, name, database_config) VALUES ('reg-7', 'Seven', '{"type": "lost"}');
\echo :SQLSTATE
INSERT INTO tenancy.tenants (tenant_id, name, database_config, status) VALUES ('reg-7', 'Seven', '{"type": "shared"}', 'gone');
\echo :SQLSTATE
INSERT INTO tenancy.tenants (tenant_id, name) VALUES ('reg-7', 'Seven');
INSERT INTO tenancy.tenants (tenant_id, name, database_config) VALUES ('reg-7', 'Seven', '{}');
UPDATE tenancy.tenants SET status = NULL WHERE tenant_id = 'reg-1';
UPDATE tenancy.tenants SET tenant_id = 'reg-8' WHERE tenant_id = 'reg-1';
\echo :SQLSTATE

--
-- The columns, constraints and indexes of the documents
--
\d tenancy.tenants
\d tenancy.tenant_databases
\set VERBOSITY terse
INSERT INTO tenancy.tenant_databases (database_name, type, status) VALUES ('db', 'rented', 'active');
INSERT INTO tenancy.tenant_databases (database_name, type, status) VALUES ('db', 'shared', 'asleep');
INSERT INTO tenancy.tenant_databases (database_name, type, tenants, status) VALUES ('db', 'shared', '{reg-1,reg-2}', 'active');

\c :start_database
DROP DATABASE tenant_registry_test;
DROP ROLE tenant_reg_1, tenant_reg_6;
