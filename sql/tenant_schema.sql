--
-- tenant_schema: a tenant's role and schemas are made, never adopted.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE tenant_schema_test;
\c tenant_schema_test
CREATE EXTENSION tenancy;
SELECT tenancy.register_system('notes', 'Notes', 'notes', 'us');
SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id integer PRIMARY KEY, body text)');
SELECT tenancy.assign_tier_system('*', 'notes');

-- a role and a schema that we did not make
CREATE ROLE tenant_own_4;
SELECT tenancy.create_tenant('own-4', 'Four');
\echo :SQLSTATE
DROP ROLE tenant_own_4;
CREATE SCHEMA tenant_own_4_notes;
SELECT tenancy.create_tenant('own-4', 'Four');
\echo :SQLSTATE
SELECT count(*) FROM pg_roles WHERE rolname = 'tenant_own_4';
DROP SCHEMA tenant_own_4_notes;
-- a role that the DBA names is used, unless it is bound by nothing
CREATE ROLE own_custom;
CREATE ROLE own_super SUPERUSER;
INSERT INTO tenancy.tenants (tenant_id, name, database_config, role_name)
VALUES ('own-4', 'Four', '{"type": "shared"}', 'own_custom');
SELECT tenancy.provision_tenant('own-4');
SELECT role_name, status FROM tenancy.tenants WHERE tenant_id = 'own-4';
INSERT INTO tenancy.tenants (tenant_id, name, database_config, role_name)
VALUES ('own-5', 'Five', '{"type": "shared"}', 'own_super');
SELECT tenancy.provision_tenant('own-5');
\echo :SQLSTATE

\c :start_database
DROP DATABASE tenant_schema_test;
DROP ROLE own_custom, own_super;
