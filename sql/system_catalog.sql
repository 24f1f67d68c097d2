--
-- system_catalog: which systems there are, in which versions.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE system_catalog_test;
\c system_catalog_test
CREATE EXTENSION tenancy;

--
-- A system and its versions
--
SELECT tenancy.register_system('helpdesk', 'Helpdesk', 'support', 'us', 'Tickets and answers', '{"icon": "bell"}');
SELECT tenancy.register_version('helpdesk', '1.9.0', 'CREATE TABLE ticket (id integer)', 'First.');
SELECT tenancy.register_version('helpdesk', '1.10.0', 'CREATE TABLE ticket (id bigint)', 'Larger.');
-- a fix for the old line does not become the latest
SELECT tenancy.register_version('helpdesk', '1.9.1', 'CREATE TABLE ticket (id integer NOT NULL)');
SELECT version_id, version, schema_version, is_latest, release_notes FROM tenancy.system_versions ORDER BY schema_version;
SELECT system_id, name, type, vendor, status, latest_version, description FROM tenancy.available_systems;
SELECT checksum = encode(sha256(convert_to(install_sql, 'UTF8')), 'hex') AS right FROM tenancy.system_versions;
DELETE FROM tenancy.system_versions WHERE version = '1.10.0';
SELECT version FROM tenancy.system_versions WHERE is_latest;

--
-- What is refused
--
SELECT tenancy.register_system('helpdesk', 'Helpdesk', 'support', 'them');
\echo :SQLSTATE
SELECT tenancy.register_system('Help Desk', 'Helpdesk', 'support', 'us');
\echo :SQLSTATE
SELECT tenancy.register_system('helpdesk2', 'Helpdesk', 'help_desk', 'us');
\echo :SQLSTATE
SELECT tenancy.register_version('helpdesk', '1.9.0', 'CREATE TABLE ticket (id integer)');
\echo :SQLSTATE
SELECT tenancy.register_version('helpdesk', '2', 'CREATE TABLE ticket (id integer)');
\echo :SQLSTATE
SELECT tenancy.register_version('desk', '1.0.0', 'CREATE TABLE ticket (id integer)');
\echo :SQLSTATE
SELECT tenancy.register_version('helpdesk', '2.0.0', NULL);
\echo :SQLSTATE
SELECT tenancy.register_version('helpdesk', '2.0.0', ' -- nothing ');
\echo :SQLSTATE
SELECT tenancy.register_version('helpdesk', '2.0.0', 'SELECT 1', dependencies => '["crm"]');
\echo :SQLSTATE
SELECT tenancy.register_version('helpdesk', '2.0.0', 'SELECT 1', dependencies => '{"crm": "*"}');
\echo :SQLSTATE
SELECT tenancy.register_version('helpdesk', '2.0.0', 'SELECT 1', dependencies => '{"helpdesk": "*"}');

-- a script's mistakes meet the one who registers it, by line
\set SHOW_CONTEXT errors
SELECT tenancy.register_version('helpdesk', '2.0.0', $$
CREATE TABLE ticket (id integer);
CREATE TABEL answer (id integer);
$$);
\echo :SQLSTATE
SELECT tenancy.register_version('helpdesk', '2.0.0', $$
CREATE TABLE ticket (id integer);
-- all or nothing, they say
COMMIT;
$$);
\echo :SQLSTATE
SELECT tenancy.register_version('helpdesk', '2.0.0', 'COPY ticket FROM stdin');
\echo :SQLSTATE
\set SHOW_CONTEXT never

-- what tenants have been given does not change behind their backs
UPDATE tenancy.system_versions SET install_sql = 'SELECT 1' WHERE version = '1.9.0';
\echo :SQLSTATE
UPDATE tenancy.system_versions SET release_notes = 'The very first.' WHERE version = '1.9.0';

--
-- What an extension registers is its own: not dumped, and found again
--
CREATE EXTENSION tenancy_business;
SELECT system_id, extension FROM tenancy.management_systems ORDER BY 1;
SELECT tenancy.register_system('crm', 'Mine', 'crm', 'us');
DROP EXTENSION tenancy_business;
CREATE EXTENSION tenancy_business;
SELECT system_id, count(*) FROM tenancy.system_versions GROUP BY 1 ORDER BY 1;
-- but a version of ours for its system is ours
SELECT tenancy.register_version('crm', '1.0.1', 'SELECT 1');
SELECT version, extension, is_latest FROM tenancy.system_versions WHERE system_id = 'crm' ORDER BY 1;

--
-- The columns and indexes of the documents
--
\d tenancy.management_systems
\d tenancy.system_versions
\d tenancy.tenant_systems
\d tenancy.schema_migrations

\c :start_database
DROP DATABASE system_catalog_test;
