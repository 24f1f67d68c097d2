--
-- privileges: what the extension gives to whom, and the habits that keep it so.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE privileges_test;
\c privileges_test

-- a schema that somebody else made is not moved into
CREATE ROLE privileges_nobody LOGIN;
CREATE SCHEMA tenancy AUTHORIZATION privileges_nobody;
CREATE EXTENSION tenancy;
\echo :SQLSTATE
DROP SCHEMA tenancy;
-- nor are roles used that row-level security does not bind
DO $$
BEGIN
    IF to_regrole('tenancy_owner') IS NULL THEN
        CREATE ROLE tenancy_owner;
    END IF;
END $$;
ALTER ROLE tenancy_owner BYPASSRLS;
CREATE EXTENSION tenancy;
\echo :SQLSTATE
ALTER ROLE tenancy_owner NOBYPASSRLS;
CREATE EXTENSION tenancy_business CASCADE;
SELECT rolname, rolsuper, rolbypassrls, rolcanlogin, rolcreaterole FROM pg_roles WHERE rolname IN ('tenancy_owner', 'tenancy_service') ORDER BY 1;

CREATE TEMP VIEW member AS
    SELECT d.classid, d.objid FROM pg_depend d
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
       AND d.refobjid IN (SELECT oid FROM pg_extension WHERE extname IN ('tenancy', 'tenancy_business'));

-- what everybody may do: look up the tenant in force, and protect own tables
SELECT p.oid::regprocedure AS function FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
 WHERE has_function_privilege('privileges_nobody', p.oid, 'EXECUTE') ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT c.oid::regclass AS relation FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
 WHERE has_table_privilege('privileges_nobody', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER');
-- what services may do besides
SELECT p.oid::regprocedure AS function FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
 WHERE has_function_privilege('tenancy_service', p.oid, 'EXECUTE')
   AND NOT has_function_privilege('privileges_nobody', p.oid, 'EXECUTE') ORDER BY p.oid::regprocedure::text COLLATE "C";
-- monitoring reads what holds no connection string
SELECT c.oid::regclass AS relation FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
 WHERE has_table_privilege('pg_monitor', c.oid, 'SELECT') ORDER BY c.oid::regclass::text COLLATE "C";
SELECT attrelid::regclass AS relation, attname FROM member m JOIN pg_attribute a ON m.classid = 'pg_class'::regclass AND a.attrelid = m.objid
 WHERE has_table_privilege('pg_monitor', attrelid, 'SELECT') AND attname IN ('database_config', 'install_sql', 'settings');

-- habits: a pinned path for whoever runs with another's rights, and a comment on everything
SELECT p.oid::regprocedure AS unpinned FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
 WHERE p.prosecdef AND NOT coalesce(p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false);
SELECT pg_describe_object(m.classid, m.objid, 0) AS without_comment FROM member m
 WHERE m.classid IN ('pg_proc'::regclass, 'pg_class'::regclass) AND obj_description(m.objid, m.classid::regclass::name) IS NULL
   AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = m.objid AND c.relkind IN ('i', 'S', 'c'));
-- what a dump must hold
SELECT c::regclass AS dumped, condition FROM pg_extension, unnest(extconfig, extcondition) u(c, condition) WHERE extname = 'tenancy' ORDER BY c::regclass::text COLLATE "C";

-- the parts that lifecycle functions are made of are not for others to call
\c - privileges_nobody
SELECT tenancy.create_tenant('priv-1', 'Mine');
SELECT tenancy.install_system('priv-1', 'crm');
SELECT tenancy.register_version('crm', '9.0.0', 'SELECT 1');
SELECT tenancy.enforce_status('priv-1', 'privileges_nobody', 'active');
SELECT tenancy.ensure_tenant_role('priv-1');
SELECT * FROM tenancy.tenants;
SELECT * FROM tenancy.tenant_overview;
INSERT INTO tenancy.tenants (tenant_id, name, database_config) VALUES ('priv-1', 'Mine', '{"type": "shared"}');
CREATE TABLE tenancy.mine (id integer);
-- nor to hang on a table
CREATE TEMP TABLE own (id integer);
CREATE TRIGGER changed AFTER INSERT ON own FOR EACH STATEMENT EXECUTE FUNCTION tenancy.registry_changed();

\c :start_database :start_user
DROP DATABASE privileges_test;
DROP ROLE privileges_nobody;
