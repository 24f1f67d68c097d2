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
SET tenancy.allow_bypass = on;
RESET SESSION AUTHORIZATION;

\c :start_database
DROP DATABASE policy_guard_test;
DROP ROLE pgd_app, pgd_owner, pgd_viewer, tenant_pg_1, tenant_pg_2;
