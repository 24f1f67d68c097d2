/*
 * tenancy.sql — the roles that the extension needs, and who may enter its schema.
 */

-- complain if this file is read by psql and not by CREATE EXTENSION
\echo Use "CREATE EXTENSION tenancy" to load this file. \quit

-- Until the end of this script: no object of somebody else's is found by a name without a schema.
SET LOCAL search_path TO pg_catalog, pg_temp;

-- A schema that somebody else made could hold anything; its owner could drop what we put there.
DO $do$
BEGIN
    IF EXISTS (SELECT FROM pg_namespace n
                WHERE n.nspname = 'tenancy'
                  AND n.nspowner <>
                      (SELECT r.oid FROM pg_roles r WHERE r.rolname = CURRENT_USER)) THEN
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
    wanted name;
    present pg_roles;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['tenancy_owner', 'tenancy_service']::name[] LOOP
        SELECT r.* INTO present FROM pg_roles r WHERE r.rolname = wanted;
        IF NOT FOUND THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        ELSIF present.rolsuper OR present.rolbypassrls THEN
            RAISE EXCEPTION USING
                ERRCODE = 'object_not_in_prerequisite_state',
                MESSAGE = format('role "%s" exists and is not bound by row-level security', wanted),
                DETAIL = 'It would see the rows of every tenant.',
                HINT = format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS;', wanted);
        END IF;
    END LOOP;
END
$do$;

-- Everybody may look up tenancy.current_tenant(); what else is here is granted by name.
GRANT USAGE ON SCHEMA tenancy TO PUBLIC;
