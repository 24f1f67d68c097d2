--
-- hostile_name: identifiers that fold together, are reserved, quoted, unicode, long or SQL: right, or a clear refusal that leaves nothing.
--
\set SHOW_CONTEXT never
-- psql of different releases count the width of some characters differently
\pset format unaligned
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE hostile_name_test ENCODING 'UTF8' TEMPLATE template0;
\c hostile_name_test
CREATE EXTENSION tenancy;
SELECT tenancy.register_system('notes', 'Notes', 'notes', 'us');
SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id integer, who text DEFAULT @tenant@); INSERT INTO note VALUES (1)');
SELECT tenancy.assign_tier_system('*', 'notes');
CREATE FUNCTION outcome(id text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    who text;
    row_of tenancy.tenants;
BEGIN
    PERFORM tenancy.create_tenant(id, 'Somebody');
    SELECT * INTO row_of FROM tenancy.tenants t WHERE t.tenant_id = id;
    EXECUTE format('SELECT who FROM %I.note', tenancy.schema_name(id, 'notes')) INTO who;
    RETURN CASE WHEN who = id THEN 'made' ELSE 'WRONG: ' || who END;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || left(SQLERRM, 90);
END $$;
CREATE TABLE hostile (n integer GENERATED ALWAYS AS IDENTITY, id text);
INSERT INTO hostile (id) VALUES
    -- good, however odd
    ('hn-1'), ('0'), ('9-lives'), ('UPPER'), ('a--b'), ('hn_select'), ('select'), ('user'), ('pg_x'), ('tenant_001'), ('hn-1-notes'),
    (repeat('x', 50)), (repeat('y', 49) || '1'), (repeat('y', 49) || '2'), ('information_schema'), ('template0'), ('postgres'), ('owner2'),
    -- fold to one that is there
    ('HN-1'), ('hn_1'), ('Hn_1'), ('upper'), ('a__b'), ('a_-b'), ('hn-select'), ('pg-x'), ('TENANT-001'),
    -- close to the names of our own roles
    ('owner'), ('service'),
    -- reserved
    ('all'), ('ALL'), ('none'), ('Null'), ('default'), ('public'), ('PUBLIC'),
    -- no identifiers
    (''), (' '), ('hn 1'), (' hn-9'), ('hn-9 '), (E'hn\n9'), (E'hn\t9'), ('-hn'), ('_hn'), ('hn.9'), ('hn"9'), ('"hn-9"'), ('hn''9'), ('hn;9'), ('hn/9'), ('../hn'),
    ('hn%9'), ('hn$9'), ('hn@9'), ('hn\9'), ('hn*'), ('@tenant@'), ('@schema@'), ('%I'), ('x''; DROP TABLE tenancy.tenants; --'), ('$$'), ('x); DROP SCHEMA tenancy CASCADE; --'),
    (repeat('z', 51)), (repeat('z', 200)), (repeat('ü', 60)),
    -- letters that look like others, or are none
    ('tenänt'), ('ＡＢＣ'), ('ﬁle'), ('ıd'), ('K' || chr(8490)), ('а'), (chr(8203) || 'hn'), ('hn' || chr(8238)), ('hn' || chr(65279)), ('é'), ('e' || chr(769)), ('名前'), ('💥'), (NULL);
SELECT quote_literal(CASE WHEN length(id) > 40 THEN left(id, 10) || '... ' || length(id) ELSE id END) AS id, outcome(id) FROM hostile ORDER BY n;

-- only what was made is there, each with one schema and one role of its own
SELECT count(*) AS tenants, count(DISTINCT role_name) AS roles, count(DISTINCT schemas[1]) AS schemas, count(*) FILTER (WHERE cardinality(schemas) <> 1) AS wrong,
       (SELECT count(*) FROM pg_namespace WHERE nspname ~ '^tenant_') AS all_schemas,
       (SELECT count(*) FROM pg_roles r JOIN tenancy.tenants t ON t.role_name = r.rolname WHERE r.rolcanlogin OR r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication) AS strong
  FROM tenancy.tenant_overview;
SELECT max(length(schema_name)) FROM tenancy.installed_systems;
-- a tenant's role may use its own schema and nothing else
SELECT t.tenant_id, n.nspname FROM tenancy.tenants t, pg_namespace n
 WHERE n.nspname ~ '^tenan' AND has_schema_privilege(t.role_name, n.oid, 'USAGE') AND n.nspname <> tenancy.schema_name(t.tenant_id, 'notes') AND n.nspname <> 'tenancy'
    OR n.nspname ~ '^tenan' AND has_schema_privilege(t.role_name, n.oid, 'CREATE');

--
-- Squatters
--
CREATE ROLE hostile_squatter LOGIN;
GRANT CREATE ON DATABASE hostile_name_test TO hostile_squatter;
SET SESSION AUTHORIZATION hostile_squatter;
CREATE SCHEMA tenant_squat_notes;
CREATE TABLE tenant_squat_notes.note (id integer, who text);
RESET SESSION AUTHORIZATION;
SELECT tenancy.create_tenant('squat', 'Squatted');
\echo :SQLSTATE
SELECT count(*) FROM tenancy.tenants WHERE tenant_id = 'squat';
SELECT nspowner::regrole, nspacl FROM pg_namespace WHERE nspname = 'tenant_squat_notes';
CREATE ROLE tenant_squat2 LOGIN SUPERUSER;
SELECT tenancy.create_tenant('squat2', 'Squatted');
\echo :SQLSTATE
DROP ROLE tenant_squat2;

--
-- Trojans: in the caller's search_path, in public, in pg_temp
--
CREATE SCHEMA trojan;
CREATE FUNCTION trojan.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trojan'; END $$;
CREATE FUNCTION trojan.quote_ident(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trojan'; END $$;
CREATE FUNCTION trojan.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'trojan'; END $$;
CREATE FUNCTION trojan.eq(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trojan'; END $$;
CREATE OPERATOR trojan.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trojan.eq);
CREATE FUNCTION trojan.eq(varchar, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trojan'; END $$;
CREATE OPERATOR trojan.= (LEFTARG = varchar, RIGHTARG = text, FUNCTION = trojan.eq);
CREATE TABLE trojan.note (id integer);
CREATE TEMP TABLE tenants (id integer);
CREATE TEMP TABLE note (id integer);
SET search_path TO trojan, pg_temp, pg_catalog, public;
SELECT tenancy.register_version('notes', '1.1.0', 'CREATE TABLE note (id integer, who text DEFAULT @tenant@, at timestamptz DEFAULT now())');
SELECT tenancy.register_migration('notes', '1.0.0', '1.1.0', 'ALTER TABLE note ADD COLUMN at timestamptz DEFAULT now()', 'ALTER TABLE note DROP COLUMN at');
SELECT tenancy.update_system('hn-1', 'notes');
SELECT tenancy.rollback_system('hn-1', 'notes', '1.0.0', true);
SELECT tenancy.create_tenant('hn-2', 'After');
SELECT tenancy.uninstall_system('hn-2', 'notes');
SELECT tenancy.restore_archive(2);
SELECT tenancy.suspend_tenant('hn-2'), tenancy.archive_tenant('hn-2');
SELECT count(*) > 0 AS exported FROM tenancy.export_tenant('hn-2');
SELECT tenancy.drop_tenant('hn-2', 'hn-2');
SELECT count(*) FROM trojan.note;
RESET search_path;

SELECT 'DROP ROLE ' || string_agg(quote_ident(role_name), ', ') AS drop_roles FROM tenancy.tenants \gset
\c :start_database
DROP DATABASE hostile_name_test;
:drop_roles;
DROP ROLE hostile_squatter;
