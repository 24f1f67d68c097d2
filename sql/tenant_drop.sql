--
-- tenant_drop: archived, exported, decommissioned, dropped.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE tenant_drop_test;
\c tenant_drop_test
CREATE EXTENSION tenancy;
SELECT tenancy.register_system('notes', 'Notes', 'notes', 'us'), tenancy.register_system('files', 'Files', 'files', 'us');
SELECT tenancy.register_version('notes', '1.0.0', $$
CREATE TABLE note (id integer PRIMARY KEY, body text);
CREATE TABLE log (at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE log_2026 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
$$);
SELECT tenancy.register_version('files', '1.0.0', 'CREATE TABLE file (id serial PRIMARY KEY)', dependencies => '{"notes": "*"}');
SELECT tenancy.assign_tier_system('*', 'notes'), tenancy.assign_tier_system('*', 'files');
SELECT tenancy.create_tenant('drop-1', 'One', database_config => '{"type": "shared", "connection_string": "postgresql://secret@host/db"}');
SELECT tenancy.create_tenant('drop-2', 'Two');
INSERT INTO tenant_drop_1_notes.note VALUES (1, 'mine'), (2, E'two\nlines');
INSERT INTO tenant_drop_1_notes.log VALUES ('2026-07-07');
INSERT INTO tenant_drop_2_notes.note VALUES (1, 'theirs');
-- what tenants share
CREATE TABLE orders (id integer PRIMARY KEY, tenant_id text NOT NULL);
CREATE TABLE lines (order_id integer REFERENCES orders, tenant_id text NOT NULL);
SELECT tenancy.protect('orders'), tenancy.protect('lines');
INSERT INTO orders VALUES (1, 'drop-1'), (2, 'drop-2');
INSERT INTO lines VALUES (1, 'drop-1'), (2, 'drop-2');
INSERT INTO tenancy.tenant_databases (database_name, type, tenants, status) VALUES ('shared_db', 'shared', '{drop-1,drop-2}', 'active');
CREATE ROLE drop_login LOGIN IN ROLE tenant_drop_1;
CREATE ROLE drop_service LOGIN IN ROLE tenancy_service;
SELECT tenancy.uninstall_system('drop-1', 'files');

--
-- Archived: locked out, all is kept
--
SELECT tenancy.drop_tenant('drop-1', 'drop-1');
\echo :SQLSTATE
SET SESSION AUTHORIZATION drop_service;
SELECT tenancy.set_tenant('drop-1', false);
RESET SESSION AUTHORIZATION;
SELECT tenancy.archive_tenant('drop-1');
SELECT tenancy.archive_tenant('drop-1');
SELECT tenancy.current_tenant() IS NULL AS none;
SELECT tenancy.clear_tenant();
SELECT tenancy.set_tenant('drop-1', false);
\echo :SQLSTATE
SET SESSION AUTHORIZATION drop_login;
SELECT * FROM tenant_drop_1_notes.note;
RESET SESSION AUTHORIZATION;
SELECT status, archived_at IS NOT NULL AS archived FROM tenancy.tenants WHERE tenant_id = 'drop-1';
SELECT tenancy.resume_tenant('drop-1');
\echo :SQLSTATE
SELECT tenancy.provision_tenant('drop-1');
SELECT tenancy.install_system('drop-1', 'files');
\echo :SQLSTATE
SELECT tenancy.archive_tenant('drop-404');
-- and back
SELECT tenancy.deactivate_tenant('drop-1');
SELECT tenancy.resume_tenant('drop-1');
SELECT status, archived_at FROM tenancy.tenants WHERE tenant_id = 'drop-1';
SET SESSION AUTHORIZATION drop_login;
BEGIN;
SELECT count(*) FROM tenant_drop_1_notes.note;
ROLLBACK;
RESET SESSION AUTHORIZATION;

--
-- Exported
--
-- before it is archived counts for nothing: it may change
SELECT count(*) > 0 AS some FROM tenancy.export_tenant('drop-1');
SELECT tenancy.archive_tenant('drop-1');
SELECT tenancy.drop_tenant('drop-1', 'drop-1');
\echo :SQLSTATE
SELECT tenancy.decommission_tenant('drop-1');
SELECT table_name, row_data - '{created_at,updated_at,archived_at,installed_at,executed_at,duration,expires_at}'::text[] AS row_data
  FROM tenancy.export_tenant('drop-1') ORDER BY table_name COLLATE "C", row_data ->> 'history_id', row_data::text COLLATE "C";
SELECT tenant_id, exported_by = session_user AS us, table_count, row_count, dropped_at FROM tenancy.tenant_exports ORDER BY export_id;
SELECT tenancy.export_tenant('drop-404');

--
-- Dropped
--
SELECT tenancy.drop_tenant('drop-1', 'drop-2');
\echo :SQLSTATE
SELECT tenancy.drop_tenant('drop-1', NULL);
\echo :SQLSTATE
SELECT tenancy.bind_role('drop_login', 'drop-1');
SELECT tenancy.drop_tenant('drop-1', 'drop-1');
\echo :SQLSTATE
SELECT tenancy.unbind_role('drop_login');
-- in parts, if its tables are many
SELECT tenancy.decommission_tenant('drop-1', 1);
SELECT to_regclass('tenant_drop_1_notes.note') IS NOT NULL AS not_yet;
SELECT tenancy.drop_tenant('drop-1', 'drop-1');
SELECT tenant_id FROM tenancy.tenants;
SELECT tenant_id, count(*) FROM tenancy.tenant_systems GROUP BY 1;
SELECT count(*) FROM tenancy.archives;
SELECT nspname FROM pg_namespace WHERE nspname ~ '^tenan.*_' ORDER BY 1;
SELECT rolname FROM pg_roles WHERE rolname ~ '^tenant_drop' ORDER BY 1;
SELECT * FROM orders;
SELECT * FROM lines;
SELECT tenants FROM tenancy.tenant_databases;
SELECT body FROM tenant_drop_2_notes.note;
SELECT dropped_at IS NOT NULL AS dropped FROM tenancy.tenant_exports;
SELECT count(*) > 0 AS history FROM tenancy.tenant_system_history WHERE tenant_id = 'drop-1';
-- a new tenant of that name starts from nothing
SELECT tenancy.create_tenant('drop-1', 'One again');
SELECT count(*) FROM tenant_drop_1_notes.note;
SELECT tenancy.archive_tenant('drop-1');
SELECT tenancy.drop_tenant('drop-1', 'drop-1');
-- what a role still owns is not dropped with it, and what it may do elsewhere holds it
SELECT count(*) > 0 AS exported FROM tenancy.export_tenant('drop-1');
CREATE TABLE found (id integer);
ALTER TABLE found OWNER TO tenant_drop_1;
GRANT CONNECT ON DATABASE :start_database TO tenant_drop_1;
\c :start_database
CREATE TABLE tenant_drop_found (id integer);
ALTER TABLE tenant_drop_found OWNER TO tenant_drop_1;
\c tenant_drop_test
\set VERBOSITY terse
SELECT tenancy.drop_tenant('drop-1', 'drop-1');
\set VERBOSITY default
SELECT relowner::regrole FROM pg_class WHERE relname = 'found';
SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname = 'tenant_drop_1';
SELECT tenancy.create_tenant('drop-1', 'One once more');
\echo :SQLSTATE

\c :start_database
DROP TABLE tenant_drop_found;
DROP DATABASE tenant_drop_test;
DROP ROLE drop_login, drop_service, tenant_drop_1, tenant_drop_2;
