--
-- system_uninstall: taking systems away, dependents, archives, installing again.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE system_uninstall_test;
\c system_uninstall_test
CREATE EXTENSION tenancy;
SELECT tenancy.register_system('base', 'Base', 'base', 'us'), tenancy.register_system('middle', 'Middle', 'middle', 'us'),
       tenancy.register_system('top', 'Top', 'top', 'us');
SELECT tenancy.register_version('base', '1.0.0', 'CREATE TABLE b (id serial PRIMARY KEY, t text)');
SELECT tenancy.register_version('middle', '1.0.0', 'CREATE TABLE m (id serial PRIMARY KEY)', dependencies => '{"base": ">=1.0.0 <2.0.0"}');
SELECT tenancy.register_version('top', '1.0.0', 'CREATE TABLE t (id serial PRIMARY KEY)', dependencies => '{"middle": "^1.0.0", "base": "*"}');
SELECT tenancy.create_tenant('un-1', 'One');
CREATE ROLE uninstall_service LOGIN IN ROLE tenancy_service;

-- the order follows from the dependencies
SELECT tenancy.install_system('un-1', 'top');
\echo :SQLSTATE
SELECT tenancy.install_system('un-1', 'top', with_dependencies => true);
SELECT system_id FROM tenancy.tenant_system_history ORDER BY history_id;
INSERT INTO tenant_un_1_base.b (t) VALUES ('kept');

-- what others need stays
SELECT tenancy.uninstall_system('un-1', 'base');
\echo :SQLSTATE
SELECT tenancy.uninstall_system('un-1', 'middle');
SELECT count(*) FROM tenancy.installed_systems;
SELECT tenancy.uninstall_system('un-1', 'top');
SELECT tenancy.uninstall_system('un-1', 'top');
\echo :SQLSTATE
SELECT tenancy.install_system('un-1', 'top');

-- unless CASCADE is said: those that need others go first
SELECT tenancy.uninstall_system('un-1', 'base', cascade => true);
SELECT direction, system_id, version_from, schema_name FROM tenancy.tenant_system_history WHERE direction = 'uninstall' ORDER BY history_id;
SELECT system_id, status, schema_name FROM tenancy.tenant_systems ORDER BY 1;
SELECT count(*) FROM tenancy.installed_systems;
SELECT schemas FROM tenancy.tenant_overview;

-- the data is in an archive that nobody else can use
SELECT archive_id, system_id, version_id, reason, schema_name, original_schema FROM tenancy.archives ORDER BY 1;
SELECT nspname, nspacl FROM pg_namespace WHERE nspname ~ '^tenancy_archive' ORDER BY 1;
SET SESSION AUTHORIZATION uninstall_service;
BEGIN;
SELECT tenancy.set_tenant('un-1');
SELECT * FROM tenancy_archive_4.b;
ROLLBACK;
RESET SESSION AUTHORIZATION;

-- provisioning does not bring back what was taken away by hand
SELECT tenancy.assign_tier_system('*', 'base');
SELECT tenancy.provision_tenant('un-1');
SELECT count(*) FROM tenancy.installed_systems;
-- it can be installed again, empty, or brought back as it was
SELECT tenancy.install_system('un-1', 'base');
SELECT count(*) FROM tenant_un_1_base.b;
SELECT tenancy.restore_archive(4);
\echo :SQLSTATE
SELECT tenancy.uninstall_system('un-1', 'base');
SELECT tenancy.restore_archive(4);
SELECT system_id, version, schema_name, status FROM tenancy.installed_systems;
SET SESSION AUTHORIZATION uninstall_service;
BEGIN;
SELECT tenancy.set_tenant('un-1');
SELECT * FROM tenant_un_1_base.b;
INSERT INTO tenant_un_1_base.b (t) VALUES ('more') RETURNING *;
COMMIT;
RESET SESSION AUTHORIZATION;
SELECT tenancy.restore_archive(4);
-- not without what it needs
SELECT tenancy.restore_archive(2);
\echo :SQLSTATE
SELECT tenancy.restore_archive(3);
SELECT tenancy.restore_archive(2);
SELECT system_id, version, schema_name FROM tenancy.installed_systems ORDER BY 1;

-- archives go by their deadline, in parts that a transaction's locks allow
SELECT tenancy.uninstall_system('un-1', 'base', true);
SELECT count(*) FROM tenancy.archives WHERE schema_name IS NOT NULL;
UPDATE tenancy.archives SET expires_at = now() WHERE schema_name IS NOT NULL;
SELECT tenancy.purge_archives(1);
SELECT tenancy.purge_archives();
SELECT count(*) FROM pg_namespace WHERE nspname ~ '^tenancy_archive|^tenant_un_1';

-- a suspended tenant's system that comes back stays closed
SELECT tenancy.install_system('un-1', 'base');
SELECT tenancy.uninstall_system('un-1', 'base');
SELECT tenancy.suspend_tenant('un-1');
SELECT tenancy.restore_archive((SELECT max(archive_id) FROM tenancy.archives));
SELECT has_schema_privilege('tenancy_service', 'tenant_un_1_base', 'USAGE') AS open;
SELECT tenancy.resume_tenant('un-1');
SELECT has_schema_privilege('tenancy_service', 'tenant_un_1_base', 'USAGE') AS open;

--
-- Cycles of dependencies
--
SELECT tenancy.register_version('base', '2.0.0', 'SELECT 1', dependencies => '{"top": "*"}');
\echo :SQLSTATE
SELECT tenancy.register_version('base', '2.0.0', 'SELECT 1', dependencies => '{"base": "*"}');
SELECT tenancy.register_version('base', '2.0.0', 'SELECT 1', dependencies => '{"middle": ">1"}');
-- ranges are kept when versions change
SELECT tenancy.register_version('base', '2.0.0', 'SELECT 1'), tenancy.register_version('base', '1.5.0', 'SELECT 1');
SELECT tenancy.register_migration('base', '1.0.0', '2.0.0', 'SELECT 1', 'SELECT 1'),
       tenancy.register_migration('base', '1.0.0', '1.5.0', 'SELECT 1', 'SELECT 1');
SELECT tenancy.create_tenant('un-2', 'Two');
SELECT system_id, version FROM tenancy.installed_systems WHERE tenant_id = 'un-2';
SELECT tenancy.install_system('un-2', 'middle');
\echo :SQLSTATE
SELECT tenancy.rollback_system('un-2', 'base', '1.0.0');
SELECT tenancy.create_tenant('un-3', 'Three');
SELECT tenancy.uninstall_system('un-3', 'base');
-- the latest in range, not the latest
SELECT tenancy.install_system('un-3', 'middle', with_dependencies => true);
SELECT system_id, version FROM tenancy.installed_systems WHERE tenant_id = 'un-3' ORDER BY 1;
SELECT tenancy.rollback_system('un-3', 'base', '1.0.0');
SELECT tenancy.install_system('un-1', 'middle');
SELECT tenancy.update_system('un-1', 'base');
\echo :SQLSTATE
SELECT tenancy.update_system('un-1', 'base', '1.5.0');
-- what cannot be read
SELECT tenancy.register_version('base', '3.0.0', 'SELECT 1', dependencies => '{"nowhere": "*"}');
SELECT tenancy.register_version('base', '3.0.0', 'SELECT 1', dependencies => '{"top": ">>1"}');
\echo :SQLSTATE
SELECT tenancy.register_version('base', '3.0.0', 'SELECT 1', dependencies => '{"top": 1}');
\echo :SQLSTATE

\c :start_database
DROP DATABASE system_uninstall_test;
DROP ROLE uninstall_service, tenant_un_1, tenant_un_2, tenant_un_3;
