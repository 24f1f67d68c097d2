/*
 * tenancy.sql — the roles that the extension needs, and who may enter its schema.
 */

-- complain if this file is read by psql and not by CREATE EXTENSION
\echo Use "CREATE EXTENSION tenancy" to load this file. \quit

-- A schema that somebody else made could hold anything; its owner could drop what we put there.
DO $do$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace n
                WHERE n.nspname OPERATOR(pg_catalog.=) 'tenancy'
                  AND n.nspowner OPERATOR(pg_catalog.<>)
                      (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER)) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'schema "tenancy" exists and belongs to another role',
            HINT = 'Drop it, or rename it: ALTER SCHEMA tenancy RENAME TO tenancy_old;';
    END IF;
END
$do$;

-- Roles are shared by all databases, so another database's installation may have made them.
DO $do$
DECLARE
    wanted pg_catalog.name;
    present pg_catalog.pg_roles;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['tenancy_owner', 'tenancy_service']::pg_catalog.name[] LOOP
        SELECT r.* INTO present FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) wanted;
        IF NOT FOUND THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted);
        ELSIF present.rolsuper OR present.rolbypassrls THEN
            RAISE EXCEPTION USING
                ERRCODE = 'object_not_in_prerequisite_state',
                MESSAGE = pg_catalog.format('role "%s" exists and is not bound by row-level security', wanted),
                DETAIL = 'It would see the rows of every tenant.',
                HINT = pg_catalog.format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS;', wanted);
        END IF;
    END LOOP;
END
$do$;

-- Everybody may look up tenancy.current_tenant(); what else is here is granted by name.
GRANT USAGE ON SCHEMA tenancy TO PUBLIC;
