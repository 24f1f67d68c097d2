--
-- policy_guard: under a tenant nothing reads past the policies, whatever lends it the right.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS superuser \gset
CREATE DATABASE policy_guard_test;
\c policy_guard_test
CREATE EXTENSION tenancy;
SELECT tenancy.create_tenant('pg-1', 'One'), tenancy.create_tenant('pg-2', 'Two');
CREATE ROLE pgd_app LOGIN IN ROLE tenancy_service;
CREATE ROLE pgd_owner;
CREATE SCHEMA guarded;
GRANT USAGE ON SCHEMA guarded TO PUBLIC;
CREATE TABLE guarded.notes (id integer, tenant_id text NOT NULL, note text);
INSERT INTO guarded.notes VALUES (1, 'pg-1', 'one'), (2, 'pg-2', 'two');
SELECT tenancy.protect('guarded.notes');
GRANT SELECT, INSERT, UPDATE, DELETE ON guarded.notes TO pgd_app, pgd_owner;

-- runs a statement as the application, under tenant pg-1 and under none
CREATE PROCEDURE guarded.try(statement text) LANGUAGE plpgsql AS $$
DECLARE
    seen text;
    hint text;
BEGIN
    FOREACH seen IN ARRAY ARRAY['pg-1', NULL] LOOP
        BEGIN
            SET LOCAL SESSION AUTHORIZATION pgd_app;
            IF seen IS NOT NULL THEN
                PERFORM tenancy.set_tenant(seen);
            END IF;
            EXECUTE statement INTO seen;
            RAISE NOTICE '%: %', coalesce(tenancy.current_tenant(), 'no tenant'), coalesce(seen, 'nothing');
            RAISE EXCEPTION 'undo';
        EXCEPTION
            WHEN raise_exception THEN NULL;
            WHEN insufficient_privilege THEN
                GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
                RAISE NOTICE '%: % (%)', coalesce(seen, 'no tenant'), SQLERRM, replace(hint, CURRENT_USER, '<superuser>');
        END;
        COMMIT;
    END LOOP;
END $$;
\set VERBOSITY terse
CALL guarded.try($$ SELECT string_agg(note, ' ') FROM guarded.notes $$);

-- a view of the superuser's
CREATE VIEW guarded.seen AS SELECT * FROM guarded.notes;
ALTER TABLE guarded.notes OWNER TO pgd_owner;
GRANT SELECT, INSERT, UPDATE ON guarded.seen TO pgd_app;
CREATE ROLE pgd_viewer BYPASSRLS;
GRANT USAGE ON SCHEMA guarded TO pgd_viewer;
GRANT SELECT, INSERT, UPDATE ON guarded.notes TO pgd_viewer;
ALTER VIEW guarded.seen OWNER TO pgd_viewer;
CALL guarded.try($$ SELECT string_agg(note, ' ') FROM guarded.seen $$);
CALL guarded.try($$ UPDATE guarded.seen SET note = 'x' RETURNING note $$);
CREATE VIEW guarded.outer_view WITH (security_invoker) AS SELECT * FROM guarded.seen;
GRANT SELECT ON guarded.outer_view TO pgd_app;
CALL guarded.try($$ SELECT string_agg(note, ' ') FROM guarded.outer_view $$);
ALTER VIEW guarded.seen SET (security_invoker = true);
CALL guarded.try($$ SELECT string_agg(note, ' ') FROM guarded.seen $$);
ALTER VIEW guarded.seen RESET (security_invoker);
ALTER VIEW guarded.seen OWNER TO pgd_owner;
CALL guarded.try($$ SELECT string_agg(note, ' ') FROM guarded.seen $$);

-- a function of the same role: not under a tenant; before there is one it looks a login up
CREATE FUNCTION guarded.all_notes() RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $$ BEGIN RETURN (SELECT string_agg(note, ' ' ORDER BY note) FROM guarded.notes); END $$;
ALTER FUNCTION guarded.all_notes() OWNER TO pgd_viewer;
CALL guarded.try($$ SELECT guarded.all_notes() $$);
-- its owner answers for it
GRANT SET ON PARAMETER tenancy.allow_bypass TO pgd_viewer;
ALTER FUNCTION guarded.all_notes() SET tenancy.allow_bypass = on;
CALL guarded.try($$ SELECT guarded.all_notes() $$);
REVOKE SET ON PARAMETER tenancy.allow_bypass FROM pgd_viewer;
-- a journal is kept
CREATE FUNCTION guarded.keep() RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $$ BEGIN INSERT INTO guarded.notes VALUES (3, 'pg-2', 'kept'); RETURN 'kept'; END $$;
ALTER FUNCTION guarded.keep() OWNER TO pgd_viewer;
CALL guarded.try($$ SELECT guarded.keep() $$);

-- row-level security switched off, or not forced, or a role that it does not bind
ALTER TABLE guarded.notes DISABLE ROW LEVEL SECURITY;
CALL guarded.try($$ SELECT string_agg(note, ' ' ORDER BY note) FROM guarded.notes $$);
ALTER TABLE guarded.notes ENABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
CALL guarded.try($$ SELECT string_agg(note, ' ') FROM guarded.notes $$);
GRANT pgd_owner TO pgd_app;
CALL guarded.try($$ SELECT string_agg(note, ' ' ORDER BY note) FROM guarded.notes $$);
ALTER TABLE guarded.notes FORCE ROW LEVEL SECURITY;
REVOKE pgd_owner FROM pgd_app;
ALTER ROLE pgd_app BYPASSRLS;
CALL guarded.try($$ SELECT string_agg(note, ' ' ORDER BY note) FROM guarded.notes $$);
CALL guarded.try($$ DELETE FROM guarded.notes RETURNING note $$);
ALTER ROLE pgd_app SET tenancy.allow_bypass = on;
SET tenancy.allow_bypass = on;
CALL guarded.try($$ SELECT string_agg(note, ' ' ORDER BY note) FROM guarded.notes $$);
RESET tenancy.allow_bypass;
ALTER ROLE pgd_app NOBYPASSRLS;
CALL guarded.try($$ SELECT string_agg(note, ' ') FROM guarded.notes $$);

-- COPY asks too, superusers and superadmins go free, foreign keys are checked
ALTER TABLE guarded.notes DISABLE ROW LEVEL SECURITY;
BEGIN;
SELECT tenancy.set_tenant('pg-1');
SELECT count(*) FROM guarded.notes;
SET LOCAL ROLE pgd_app;
SELECT count(*) FROM guarded.notes;
ROLLBACK;
SET SESSION AUTHORIZATION pgd_app;
BEGIN;
SELECT tenancy.set_tenant('pg-1');
COPY guarded.notes TO STDOUT;
ROLLBACK;
RESET SESSION AUTHORIZATION;
GRANT EXECUTE ON FUNCTION tenancy.set_context(text, text, text[], boolean) TO pgd_app;
SET SESSION AUTHORIZATION pgd_app;
BEGIN;
SELECT tenancy.set_context(NULL, 'superadmin');
SELECT count(*) FROM guarded.notes;
ROLLBACK;
RESET SESSION AUTHORIZATION;
REVOKE EXECUTE ON FUNCTION tenancy.set_context(text, text, text[], boolean) FROM pgd_app;
ALTER TABLE guarded.notes ENABLE ROW LEVEL SECURITY, OWNER TO CURRENT_USER, ADD PRIMARY KEY (id);
CREATE TABLE guarded.lines (tenant_id text NOT NULL, note integer REFERENCES guarded.notes ON DELETE CASCADE);
SELECT tenancy.protect('guarded.lines');
GRANT SELECT, INSERT, DELETE ON guarded.lines TO pgd_app;
CALL guarded.try($$ INSERT INTO guarded.lines VALUES (tenancy.current_tenant(), 1) RETURNING note $$);
CALL guarded.try($$ DELETE FROM guarded.notes RETURNING note $$);

-- what a cached plan has seen is looked at again
SET SESSION AUTHORIZATION pgd_app;
PREPARE notes AS SELECT note FROM guarded.notes;
BEGIN;
SELECT tenancy.set_tenant('pg-1');
EXECUTE notes;
COMMIT;
RESET SESSION AUTHORIZATION;
ALTER TABLE guarded.notes DISABLE ROW LEVEL SECURITY;
SET SESSION AUTHORIZATION pgd_app;
BEGIN;
SELECT tenancy.set_tenant('pg-1');
EXECUTE notes;
ROLLBACK;
RESET SESSION AUTHORIZATION;
ALTER TABLE guarded.notes ENABLE ROW LEVEL SECURITY;

--
-- A session that has a tenant changes neither what protects it nor what is not its own
--
ALTER TABLE guarded.notes OWNER TO pgd_owner;
GRANT pgd_owner TO pgd_app;
SET SESSION AUTHORIZATION pgd_app;
BEGIN;
SELECT tenancy.set_tenant('pg-1');
SAVEPOINT s;
ALTER TABLE guarded.notes DISABLE ROW LEVEL SECURITY;
ROLLBACK TO s;
ALTER TABLE guarded.notes ADD COLUMN more text, NO FORCE ROW LEVEL SECURITY;
ROLLBACK TO s;
DROP POLICY tenant_isolation_floor ON guarded.notes;
ROLLBACK TO s;
ALTER POLICY tenant_isolation_policy ON guarded.notes USING (true);
ROLLBACK TO s;
ALTER POLICY tenant_isolation_policy ON guarded.notes RENAME TO other;
ROLLBACK TO s;
SELECT tenancy.unprotect('guarded.notes');
ROLLBACK TO s;
SET LOCAL search_path TO guarded;
DROP POLICY tenant_isolation_floor ON notes;
ROLLBACK TO s;
ALTER TABLE guarded.notes ADD COLUMN more text;
ROLLBACK;
BEGIN;
ALTER TABLE guarded.notes DISABLE ROW LEVEL SECURITY;
ROLLBACK;

-- nor the family of such a table, its privileges, what refers to it and what it calls
RESET SESSION AUTHORIZATION;
ALTER SCHEMA guarded OWNER TO pgd_owner;
SET ROLE pgd_owner;
CREATE TABLE guarded.parts (tenant_id text NOT NULL, note text) PARTITION BY LIST (tenant_id);
CREATE TABLE guarded.part PARTITION OF guarded.parts FOR VALUES IN ('pg-1');
CREATE FUNCTION guarded.check_note(text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE DOMAIN guarded.word AS text;
CREATE DOMAIN guarded.words AS guarded.word;
CREATE TABLE guarded.called (tenant_id text NOT NULL CHECK (guarded.check_note(tenant_id)), word guarded.words, number serial);
SELECT tenancy.protect('guarded.parts'), tenancy.protect('guarded.called');
RESET ROLE;
-- what one statement says under the tenant, as the owner
CREATE PROCEDURE public.change(statement text) LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL SESSION AUTHORIZATION pgd_app;
    PERFORM tenancy.set_tenant('pg-1');
    SET LOCAL ROLE pgd_owner;
    EXECUTE statement;
    RAISE EXCEPTION 'undo';
EXCEPTION
    WHEN raise_exception THEN RAISE NOTICE 'done: %', statement;
    WHEN insufficient_privilege THEN RAISE NOTICE '%', SQLERRM;
END $$;
GRANT CREATE ON SCHEMA public TO pgd_owner;
CALL public.change('CREATE TABLE public.child () INHERITS (guarded.notes)');
CALL public.change('CREATE TABLE public.child (LIKE guarded.notes); ALTER TABLE public.child INHERIT guarded.notes');
CALL public.change('CREATE TABLE public.part PARTITION OF guarded.parts DEFAULT');
CALL public.change('ALTER TABLE guarded.parts DETACH PARTITION guarded.part');
CALL public.change('GRANT TRUNCATE ON guarded.notes TO PUBLIC');
CALL public.change('REVOKE SELECT ON ALL TABLES IN SCHEMA guarded FROM pgd_app');
CALL public.change('GRANT CREATE ON SCHEMA guarded TO PUBLIC');
CALL public.change('ALTER SCHEMA guarded RENAME TO mine');
CALL public.change('ALTER SEQUENCE guarded.called_number_seq RESTART');
CALL public.change('CREATE TABLE public.guess (id integer REFERENCES guarded.notes)');
CALL public.change('CREATE OR REPLACE FUNCTION guarded.check_note(text) RETURNS boolean LANGUAGE sql AS ''SELECT false''');
CALL public.change('ALTER FUNCTION guarded.check_note(text) SECURITY DEFINER');
CALL public.change('ALTER DOMAIN guarded.word ADD CHECK (guarded.check_note(VALUE))');
CALL public.change('ALTER DOMAIN guarded.words SET NOT NULL');
-- what is nobody else's
CALL public.change('CREATE SCHEMA AUTHORIZATION pgd_owner');
CALL public.change('CREATE TABLE public.own (id serial PRIMARY KEY, tenant_id text); GRANT SELECT ON public.own TO PUBLIC; ALTER TABLE public.own ADD CHECK (id > 0); DROP TABLE public.own');
CALL public.change('CREATE FUNCTION public.own() RETURNS integer LANGUAGE sql AS ''SELECT 1''; CREATE DOMAIN public.own AS text; ALTER DOMAIN public.own SET NOT NULL');
CALL public.change('CREATE DOMAIN public.own AS text CHECK (VALUE <> ''a''); ALTER DOMAIN public.own ADD CHECK (VALUE <> ''b''); ALTER DOMAIN public.own SET NOT NULL');
CALL public.change('CREATE TABLE public.own (tenant_id text NOT NULL, note text); SELECT tenancy.protect(''public.own''); INSERT INTO public.own VALUES (''pg-1'', ''x'')');
CALL public.change('CREATE TABLE public.own (tenant_id text NOT NULL); SELECT tenancy.protect(''public.own''); ALTER TABLE public.own ADD note text');
SELECT tenancy.protect_schema('guarded');
CALL public.change('CREATE TABLE guarded.fresh (id integer PRIMARY KEY, tenant_id text NOT NULL); INSERT INTO guarded.fresh VALUES (1, ''pg-1'')');
CALL public.change('CREATE TABLE guarded.fresh AS SELECT * FROM guarded.notes');
CALL public.change('ANALYZE guarded.notes');

-- it may make another tenant, with tables of that one's
SELECT tenancy.register_system('pgd', 'Guarded', 'pgd', 'test');
SELECT tenancy.register_version('pgd', '1.0.0', 'CREATE TABLE t (id serial PRIMARY KEY, note text)');
SELECT tenancy.assign_tier_system('*', 'pgd');
GRANT EXECUTE ON FUNCTION tenancy.create_tenant(text, text, text, text, jsonb, jsonb) TO pgd_app;
SET SESSION AUTHORIZATION pgd_app;
BEGIN;
SELECT tenancy.set_tenant('pg-1');
SELECT tenancy.create_tenant('pg-3', 'Three');
COMMIT;
RESET SESSION AUTHORIZATION;
SELECT relrowsecurity, relforcerowsecurity, has_table_privilege('tenant_pg_3', oid, 'SELECT') AS granted
  FROM pg_class WHERE oid = 'tenant_pg_3_pgd.t'::regclass;

-- nor the login, which serves others too
SET SESSION AUTHORIZATION pgd_app;
BEGIN;
SELECT tenancy.set_tenant('pg-1');
SAVEPOINT s;
ALTER ROLE pgd_app SET search_path TO public;
ROLLBACK TO s;
ALTER ROLE CURRENT_USER PASSWORD NULL;
ROLLBACK TO s;
DROP OWNED BY pgd_app;
ROLLBACK TO s;
REASSIGN OWNED BY SESSION_USER TO pgd_owner;
ROLLBACK TO s;
GRANT pgd_app TO pgd_owner;
ROLLBACK;
ALTER ROLE pgd_app SET search_path TO public;
ALTER ROLE pgd_app RESET search_path;
RESET SESSION AUTHORIZATION;
-- one of a tenant's may
CREATE ROLE pgd_login LOGIN;
ALTER ROLE pgd_login SET app.current_tenant_id = 'pg-1';
\c - pgd_login
ALTER ROLE pgd_login SET search_path TO public;
ALTER ROLE pgd_login RESET search_path;
\c - :superuser
SET SESSION AUTHORIZATION pgd_app;
SET tenancy.allow_bypass = on;
RESET SESSION AUTHORIZATION;

\c :start_database
DROP DATABASE policy_guard_test;
DROP ROLE pgd_app, pgd_login, pgd_owner, pgd_viewer, tenant_pg_1, tenant_pg_2, tenant_pg_3;
