
/*
 * system_rollback.sql — leading a tenant's system back to an earlier version.
 *
 * The way back of a migration drops what its way there made.  If that holds anything by now the rollback is refused, and
 * the error names it; by force, what would be lost is copied into an archive first.
 */

CREATE FUNCTION tenancy.run_harmless_script(tenant_id text, role_name name, schema_name name, script text, description text)
    RETURNS jsonb
    LANGUAGE c VOLATILE STRICT
    AS 'MODULE_PATHNAME', 'tenancy_run_harmless_script';
COMMENT ON FUNCTION tenancy.run_harmless_script(text, name, name, text, text) IS
    'runs a script unless it takes something away; NULL if it has run, else what it would take and what that holds';
REVOKE ALL ON FUNCTION tenancy.run_harmless_script(text, name, name, text, text) FROM PUBLIC;

-- What a rollback would lose, in words; NULL if it is nothing.
CREATE FUNCTION tenancy.describe_losses(losses jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT string_agg(CASE WHEN l.value ? 'column'
                           THEN format('column "%s" of table "%s" holds values', l.value ->> 'column', l.value ->> 'table')
                           ELSE format('table "%s" holds rows', l.value ->> 'table') END, '; '
                      ORDER BY l.value ->> 'table', l.value ->> 'column')
      FROM jsonb_array_elements(losses) l
$function$;
COMMENT ON FUNCTION tenancy.describe_losses(jsonb) IS 'what a rollback would lose, in words';
REVOKE ALL ON FUNCTION tenancy.describe_losses(jsonb) FROM PUBLIC;

CREATE FUNCTION tenancy.run_rollback(installed tenancy.tenant_systems, role_name name, script text, description text,
                                     goal text, force boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    losses jsonb := tenancy.run_harmless_script(installed.tenant_id, role_name, installed.schema_name, script, description);
    foreign_loss jsonb;
BEGIN
    IF losses IS NULL THEN
        RETURN;
    END IF;
    SELECT l.value INTO foreign_loss FROM jsonb_array_elements(losses) l WHERE l.value ->> 'schema' <> installed.schema_name;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'a rollback may only touch its own schema',
            DETAIL = format('The %s would take from table "%s" in schema "%s".', description, foreign_loss ->> 'table',
                            foreign_loss ->> 'schema');
    END IF;
    IF losses <> '[]' THEN
        IF NOT coalesce(force, false) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'object_not_in_prerequisite_state',
                MESSAGE = format('the %s would lose data', description),
                DETAIL = upper(left(tenancy.describe_losses(losses), 1)) || substr(tenancy.describe_losses(losses), 2) || '.',
                HINT = format('To keep it in an archive and go on: SELECT tenancy.rollback_system(%L, %L, %L, force => true);',
                              installed.tenant_id, installed.system_id, goal);
        END IF;
        PERFORM tenancy.archive_losses(installed, losses);
    END IF;
    PERFORM tenancy.run_migration(installed.tenant_id, role_name, installed.schema_name, script, description);
END
$function$;
COMMENT ON FUNCTION tenancy.run_rollback(tenancy.tenant_systems, name, text, text, text, boolean) IS
    'runs the way back of a migration; what it would lose refuses it, or is archived by force';
REVOKE ALL ON FUNCTION tenancy.run_rollback(tenancy.tenant_systems, name, text, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION tenancy.rollback_system(tenant_id text, system_id text, version text, force boolean DEFAULT false) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    installed tenancy.tenant_systems := tenancy.lock_tenant_system(tenant_id, system_id);
    wanted tenancy.system_versions;
    present text := (SELECT v.version FROM tenancy.system_versions v WHERE v.version_id = installed.version_id);
BEGIN
    IF version IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'version must not be null';
    END IF;
    wanted := tenancy.find_version(system_id, version);
    IF wanted.version_id = installed.version_id THEN
        RETURN present;
    END IF;
    IF tenancy.compare_versions(wanted.version, present) > 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('tenant "%s" has version %s of system "%s", which is earlier than %s', tenant_id, present,
                             system_id, wanted.version),
            HINT = format('SELECT tenancy.update_system(%L, %L, %L);', tenant_id, system_id, wanted.version);
    END IF;
    PERFORM tenancy.move_system(installed, wanted, present, force);
    RETURN wanted.version;
END
$function$;
COMMENT ON FUNCTION tenancy.rollback_system(text, text, text, boolean) IS
    'leads a tenant''s system back to an earlier version and returns it; by force, what that would lose is archived';
REVOKE ALL ON FUNCTION tenancy.rollback_system(text, text, text, boolean) FROM PUBLIC;
