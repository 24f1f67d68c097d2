--
-- tenant_route: where a tenant lives, and who is told.
--
\set SHOW_CONTEXT never
\pset null (null)
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE tenant_route_template;
\c tenant_route_template
CREATE EXTENSION tenancy;
SELECT tenancy.register_system('notes', 'Notes', 'notes', 'us');
SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id integer PRIMARY KEY, body text)');
SELECT tenancy.register_system('files', 'Files', 'files', 'us');
SELECT tenancy.register_version('files', '2.0.0', 'CREATE TABLE file (id integer PRIMARY KEY)');
SELECT tenancy.assign_tier_system('gold', 'notes'), tenancy.assign_tier_system('gold', 'files');
\c :start_database
CREATE DATABASE tenant_route_test TEMPLATE tenant_route_template STRATEGY wal_log;
\c tenant_route_test
SELECT tenancy.create_tenant('route-1', 'One', tier => 'gold', region => 'eu');
SELECT tenancy.create_tenant('route-2', 'Two', database_config => '{"type": "dedicated", "database_name": "two", "connection_string": "postgresql://u:hush@db2/two"}');

-- a row for each system; without any, one row
SELECT * FROM tenancy.route('route-1');
SELECT * FROM tenancy.route('route-2');
SELECT tenancy.uninstall_system('route-1', 'files');
SELECT * FROM tenancy.route('route-1');
SELECT count(*) FROM tenancy.route(NULL);
-- the databases that are active say who is in them, a dedicated one first
INSERT INTO tenancy.tenant_databases (database_name, type, tenants, status, server, region) VALUES
    ('everybody', 'shared', '{route-1,route-2}', 'active', 'pg1', 'us'),
    ('two_new', 'dedicated', '{route-2}', 'provisioning', 'pg2', 'us');
SELECT * FROM tenancy.route('route-1');
SELECT * FROM tenancy.route('route-2');
UPDATE tenancy.tenant_databases SET status = 'active' WHERE database_name = 'two_new';
SELECT * FROM tenancy.route('route-2');
SELECT tenancy.suspend_tenant('route-2');
SELECT status FROM tenancy.route('route-2');
SELECT * FROM tenancy.route('route-3');
\echo :SQLSTATE

-- a service may ask while it has no tenant, or for the one it has; others may not
CREATE ROLE route_service LOGIN IN ROLE tenancy_service;
CREATE ROLE route_nobody LOGIN;
\c - route_service
SELECT database_name, schema_name FROM tenancy.route('route-1');
BEGIN;
SELECT tenancy.set_tenant('route-1');
SELECT schema_name FROM tenancy.route('route-1');
SELECT schema_name FROM tenancy.route('route-2');
\echo :SQLSTATE
ROLLBACK;
\c - route_nobody
SELECT * FROM tenancy.route('route-1');
\c - :start_user

--
-- A database of its own, from a template that has the systems
--
\c :start_database
CREATE DATABASE tenant_route_own TEMPLATE tenant_route_template STRATEGY wal_log;
\c tenant_route_own
SELECT tenancy.create_tenant('route-4', 'Four', tier => 'gold');
\c tenant_route_test
INSERT INTO tenancy.tenants (tenant_id, name, status, database_config) VALUES ('route-4', 'Four', 'active', '{"type": "dedicated", "database_name": "tenant_route_own"}');
INSERT INTO tenancy.tenant_databases (database_name, type, tenants, status) VALUES ('tenant_route_own', 'dedicated', '{route-4}', 'active');
SELECT database_name AS own FROM tenancy.route('route-4') \gset
\c :own
SELECT schema_name FROM tenancy.route('route-4');

\c :start_database
DROP DATABASE tenant_route_own;
DROP DATABASE tenant_route_test;
DROP DATABASE tenant_route_template;
DROP ROLE tenant_route_1, tenant_route_2, tenant_route_4, route_service, route_nobody;
