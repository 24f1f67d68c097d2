--
-- tenant_lifecycle: creating, provisioning, suspending, resuming, deactivating.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE tenant_lifecycle_test;
\c tenant_lifecycle_test
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
SELECT tenancy.create_tenant('life-1', 'One', tier => 'gold', region => 'eu');
SELECT tenancy.create_tenant('life-2', 'Two', settings => '{"theme": "dark"}',
                             database_config => '{"type": "dedicated", "connection_string": "host=db2", "database_name": "two"}');
SELECT tenant_id, name, status, tier, region, role_name, schemas, error_message FROM tenancy.tenant_overview ORDER BY 1;
SELECT tenant_id, database_config, settings FROM tenancy.tenants ORDER BY 1;

-- dependencies first, each system once; repeating changes nothing
SELECT tenant_id, system_id, version, schema_name, status FROM tenancy.installed_systems ORDER BY installed_at, 1, 4;
SELECT tenancy.provision_tenant('life-1');

-- a system that the tier gains later comes by provisioning again
SELECT tenancy.assign_tier_system('silver', 'files');
UPDATE tenancy.tenants SET tier = 'silver' WHERE tenant_id = 'life-2';
SELECT tenancy.provision_tenant('life-2');
SELECT schemas FROM tenancy.tenant_overview WHERE tenant_id = 'life-2';

-- suspended: no context, no schema, at once and for the open session too
CREATE ROLE life_service LOGIN IN ROLE tenancy_service;
CREATE ROLE life_login LOGIN IN ROLE tenant_life_1;
SET SESSION AUTHORIZATION life_service;
SELECT tenancy.set_tenant('life-1', false);
INSERT INTO tenant_life_1_notes.note VALUES (1, 'hello');
SELECT count(*) FROM tenant_life_1_notes.note;
RESET SESSION AUTHORIZATION;
SELECT tenancy.suspend_tenant('life-1');
SELECT tenancy.suspend_tenant('life-1');
SELECT tenancy.current_tenant() IS NULL AS none, current_setting('app.current_tenant_id') AS setting;
SET SESSION AUTHORIZATION life_service;
SELECT count(*) FROM tenant_life_1_notes.note;
\echo :SQLSTATE
SELECT tenancy.clear_tenant();
SELECT tenancy.set_tenant('life-1', false);
SET SESSION AUTHORIZATION life_login;
SELECT count(*) FROM tenant_life_1_notes.note;
RESET SESSION AUTHORIZATION;

-- resumed: as before
SELECT tenancy.resume_tenant('life-1');
SET SESSION AUTHORIZATION life_service;
BEGIN;
SELECT tenancy.set_tenant('life-1');
SELECT * FROM tenant_life_1_notes.note;
COMMIT;
RESET SESSION AUTHORIZATION;

-- inactive: likewise, and it can come back
SELECT tenancy.deactivate_tenant('life-1');
SELECT tenancy.set_tenant('life-1');
SELECT tenancy.suspend_tenant('life-1');
\echo :SQLSTATE
SELECT tenancy.provision_tenant('life-1');
\echo :SQLSTATE
SELECT tenancy.resume_tenant('life-1');
SELECT tenancy.resume_tenant('life-1');

--
-- What is refused
--
SELECT tenancy.create_tenant('life-1', 'One again');
\echo :SQLSTATE
-- two identifiers that fold to one
SELECT tenancy.create_tenant('Life_1', 'One in disguise');
\echo :SQLSTATE
SELECT tenancy.create_tenant('life 3', 'Malformed');
\echo :SQLSTATE
SELECT tenancy.create_tenant(NULL, 'Nobody');
\echo :SQLSTATE
-- a tier that nobody knows leaves no tenant behind
SELECT tenancy.create_tenant('life-3', 'Three', tier => 'platinum');
\echo :SQLSTATE
SELECT tenancy.create_tenant('life-3', 'Three', database_config => '{"type": "borrowed"}');
\echo :SQLSTATE
SELECT count(*) FROM tenancy.tenants WHERE tenant_id = 'life-3';
SELECT tenancy.suspend_tenant('life-404');
\echo :SQLSTATE
SELECT tenancy.provision_tenant(NULL);
SELECT tenancy.assign_tier_system('gold', 'crm');
\echo :SQLSTATE
SELECT tenancy.assign_tier_system('', 'notes');

\c :start_database
DROP DATABASE tenant_lifecycle_test;
DROP ROLE life_service, life_login, tenant_life_1, tenant_life_2;
