
/*
 * system_uninstall.sql — taking a system away from a tenant.
 */

CREATE FUNCTION tenancy.uninstall_system(tenant_id text, system_id text, cascade boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    installed tenancy.tenant_systems := tenancy.lock_tenant_system(tenant_id, system_id, wanted => false);
    dependents text[];
    dependent text;
    archive tenancy.archives;
BEGIN
    SELECT array_agg(format('"%s" %s needs %s', b.dependent, b.version, b.range) ORDER BY b.dependent) INTO dependents
      FROM tenancy.broken_dependents(uninstall_system.tenant_id, uninstall_system.system_id, NULL) b;
    IF dependents IS NOT NULL AND NOT coalesce(cascade, false) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'dependent_objects_still_exist',
            MESSAGE = format('cannot uninstall system "%s" of tenant "%s" because other systems need it', system_id, tenant_id),
            DETAIL = 'System ' || array_to_string(dependents, ', ') || '.',
            HINT = format('To uninstall them as well: SELECT tenancy.uninstall_system(%L, %L, cascade => true);', tenant_id, system_id);
    END IF;
    LOOP
        SELECT b.dependent INTO dependent FROM tenancy.broken_dependents(uninstall_system.tenant_id, uninstall_system.system_id, NULL) b LIMIT 1;
        EXIT WHEN NOT FOUND;
        PERFORM tenancy.uninstall_system(tenant_id, dependent, true);
    END LOOP;

    -- Renamed and closed, which takes no time; its time to be dropped comes with the archive's deadline.
    archive := tenancy.open_archive(installed, 'uninstall');
    PERFORM tenancy.enforce_status(installed.tenant_id, tenancy.ensure_tenant_role(installed.tenant_id), 'inactive',
                                   installed.schema_name);
    EXECUTE format('ALTER SCHEMA %I OWNER TO CURRENT_USER', installed.schema_name);
    EXECUTE format('ALTER SCHEMA %I RENAME TO %I', installed.schema_name, archive.schema_name);
    UPDATE tenancy.tenant_systems i
       SET status = 'uninstalled', schema_name = NULL, error_message = NULL, updated_at = timezone('UTC', now())
     WHERE i.tenant_id = installed.tenant_id AND i.system_id = installed.system_id;
    INSERT INTO tenancy.tenant_system_history (tenant_id, system_id, direction, version_from, schema_name)
    SELECT installed.tenant_id, installed.system_id, 'uninstall', v.version, installed.schema_name
      FROM tenancy.system_versions v WHERE v.version_id = installed.version_id;
END
$function$;
COMMENT ON FUNCTION tenancy.uninstall_system(text, text, boolean) IS
    'takes a system away from a tenant; with cascade, those that need it as well';
REVOKE ALL ON FUNCTION tenancy.uninstall_system(text, text, boolean) FROM PUBLIC;

CREATE FUNCTION tenancy.verify_system(tenant_id text, system_id text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    installed tenancy.tenant_systems := tenancy.lock_tenant_system(tenant_id, system_id);
    verification text := (SELECT v.verify_sql FROM tenancy.system_versions v WHERE v.version_id = installed.version_id);
BEGIN
    IF verification IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM tenancy.run_verification(installed.tenant_id, installed.schema_name, verification,
                                     format('verification of system "%s" for tenant "%s"', system_id, tenant_id));
    RETURN true;
END
$function$;
COMMENT ON FUNCTION tenancy.verify_system(text, text) IS
    'runs the verification of the version that a tenant has: true, an error, or NULL if the version has none';
REVOKE ALL ON FUNCTION tenancy.verify_system(text, text) FROM PUBLIC;
