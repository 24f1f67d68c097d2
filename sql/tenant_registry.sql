--
-- tenant_registry: tenants as rows, by functions and by plain DML.
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

--
-- A tenant's life
--
-- what a tenant gets is said by its tier; * is everybody
SELECT tenancy.assign_tier_system('*', 'notes');
SELECT tenancy.assign_tier_system('gold', 'files');
SELECT tenancy.assign_tier_system('gold', 'files');
SELECT tenancy.create_tenant('reg-1', 'One', tier => 'gold', region => 'eu');
SELECT tenancy.create_tenant('reg-2', 'Two', settings => '{"theme": "dark"}',
                             database_config => '{"type": "dedicated", "connection_string": "host=db2", "database_name": "two"}');
SELECT tenant_id, name, status, tier, region, role_name, schemas, error_message FROM tenancy.tenant_overview ORDER BY 1;
SELECT tenant_id, database_config, settings FROM tenancy.tenants ORDER BY 1;

-- dependencies first, each system once; repeating changes nothing
SELECT tenant_id, system_id, version, schema_name, status FROM tenancy.installed_systems ORDER BY installed_at, 1, 4;
SELECT tenancy.provision_tenant('reg-1');

-- a system that the tier gains later comes by provisioning again
SELECT tenancy.assign_tier_system('silver', 'files');
UPDATE tenancy.tenants SET tier = 'silver' WHERE tenant_id = 'reg-2';
SELECT tenancy.provision_tenant('reg-2');
SELECT schemas FROM tenancy.tenant_overview WHERE tenant_id = 'reg-2';

-- suspended: no context, no schema, at once and for the open session too
CREATE ROLE registry_service LOGIN IN ROLE tenancy_service;
CREATE ROLE registry_login LOGIN IN ROLE tenant_reg_1;
SET SESSION AUTHORIZATION registry_service;
SELECT tenancy.set_tenant('reg-1', false);
INSERT INTO tenant_reg_1_notes.note VALUES (1, 'hello');
SELECT count(*) FROM tenant_reg_1_notes.note;
RESET SESSION AUTHORIZATION;
SELECT tenancy.suspend_tenant('reg-1');
SELECT tenancy.suspend_tenant('reg-1');
SELECT tenancy.current_tenant() IS NULL AS none, current_setting('app.current_tenant_id') AS setting;
SET SESSION AUTHORIZATION registry_service;
SELECT count(*) FROM tenant_reg_1_notes.note;
\echo :SQLSTATE
SELECT tenancy.clear_tenant();
SELECT tenancy.set_tenant('reg-1', false);
SET SESSION AUTHORIZATION registry_login;
SELECT count(*) FROM tenant_reg_1_notes.note;
RESET SESSION AUTHORIZATION;

-- resumed: as before
SELECT tenancy.resume_tenant('reg-1');
SET SESSION AUTHORIZATION registry_service;
BEGIN;
SELECT tenancy.set_tenant('reg-1');
SELECT * FROM tenant_reg_1_notes.note;
COMMIT;
RESET SESSION AUTHORIZATION;

-- inactive: likewise, and it can come back
SELECT tenancy.deactivate_tenant('reg-1');
SELECT tenancy.set_tenant('reg-1');
SELECT tenancy.suspend_tenant('reg-1');
\echo :SQLSTATE
SELECT tenancy.provision_tenant('reg-1');
\echo :SQLSTATE
SELECT tenancy.resume_tenant('reg-1');
SELECT tenancy.resume_tenant('reg-1');

--
-- What is refused
--
SELECT tenancy.create_tenant('reg-1', 'One again');
\echo :SQLSTATE
-- two identifiers that fold to one
SELECT tenancy.create_tenant('Reg_1', 'One in disguise');
\echo :SQLSTATE
SELECT tenancy.create_tenant('reg 3', 'Malformed');
\echo :SQLSTATE
SELECT tenancy.create_tenant(NULL, 'Nobody');
\echo :SQLSTATE
-- a tier that nobody knows leaves no tenant behind
SELECT tenancy.create_tenant('reg-3', 'Three', tier => 'platinum');
\echo :SQLSTATE
SELECT tenancy.create_tenant('reg-3', 'Three', database_config => '{"type": "borrowed"}');
\echo :SQLSTATE
SELECT count(*) FROM tenancy.tenants WHERE tenant_id = 'reg-3';
SELECT tenancy.suspend_tenant('reg-404');
\echo :SQLSTATE
SELECT tenancy.provision_tenant(NULL);
SELECT tenancy.assign_tier_system('gold', 'crm');
\echo :SQLSTATE
SELECT tenancy.assign_tier_system('', 'notes');

-- a role and a schema that we did not make
CREATE ROLE tenant_reg_4;
SELECT tenancy.create_tenant('reg-4', 'Four');
\echo :SQLSTATE
DROP ROLE tenant_reg_4;
CREATE SCHEMA tenant_reg_4_notes;
SELECT tenancy.create_tenant('reg-4', 'Four');
\echo :SQLSTATE
SELECT count(*) FROM pg_roles WHERE rolname = 'tenant_reg_4';
DROP SCHEMA tenant_reg_4_notes;
-- a role that the DBA names is used, unless it is bound by nothing
CREATE ROLE registry_custom;
CREATE ROLE registry_super SUPERUSER;
INSERT INTO tenancy.tenants (tenant_id, name, database_config, role_name)
VALUES ('reg-4', 'Four', '{"type": "shared"}', 'registry_custom');
SELECT tenancy.provision_tenant('reg-4');
SELECT role_name, status FROM tenancy.tenants WHERE tenant_id = 'reg-4';
INSERT INTO tenancy.tenants (tenant_id, name, database_config, role_name)
VALUES ('reg-5', 'Five', '{"type": "shared"}', 'registry_super');
SELECT tenancy.provision_tenant('reg-5');
\echo :SQLSTATE

--
-- Rows by plain DML, as a mirror writes them
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
DROP ROLE registry_service, registry_login, registry_custom, registry_super, tenant_reg_1, tenant_reg_2, tenant_reg_6;
