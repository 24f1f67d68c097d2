
/*
 * system_attempt.sql — what may fail without an error: for workers and services that go on with the next tenant.
 *
 * Each runs in a subtransaction: what fails leaves nothing but a note of it, in the system's or the tenant's row and in
 * the history.  A cancelled query and a lost connection are no failures of the tenant's and pass.
 */

CREATE FUNCTION tenancy.record_failure(tenant_id text, system_id text, direction text, version text, failure text, message text)
    RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_variable
BEGIN
    UPDATE tenancy.tenant_systems i
       SET error_message = message, updated_at = timezone('UTC', now())
     WHERE i.tenant_id = tenant_id AND i.system_id = system_id;
    INSERT INTO tenancy.tenant_system_history (tenant_id, system_id, direction, version_from, version_to, schema_name, sqlstate, error_message)
    SELECT record_failure.tenant_id, record_failure.system_id, record_failure.direction, v.version, record_failure.version,
           i.schema_name, record_failure.failure, record_failure.message
      FROM (SELECT) nothing
      LEFT JOIN tenancy.tenant_systems i ON i.tenant_id = record_failure.tenant_id AND i.system_id = record_failure.system_id
      LEFT JOIN tenancy.system_versions v ON v.version_id = i.version_id AND i.schema_name IS NOT NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.record_failure(text, text, text, text, text, text) IS
    'writes down that a tenant''s system could not be installed, updated or rolled back';
REVOKE ALL ON FUNCTION tenancy.record_failure(text, text, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.try_update_system(tenant_id text, system_id text, version text DEFAULT NULL, OUT reached text,
                                          OUT failure text, OUT message text, OUT detail text, OUT hint text, OUT context text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    reached := tenancy.update_system(tenant_id, system_id, version);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS failure = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
    PERFORM tenancy.record_failure(tenant_id, system_id, 'up', version, failure, message);
END
$function$;
COMMENT ON FUNCTION tenancy.try_update_system(text, text, text) IS
    'update_system(), but a failure is written down and returned: failure is its SQLSTATE';
REVOKE ALL ON FUNCTION tenancy.try_update_system(text, text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.try_rollback_system(tenant_id text, system_id text, version text, force boolean DEFAULT false,
                                            OUT reached text, OUT failure text, OUT message text, OUT detail text, OUT hint text,
                                            OUT context text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    reached := tenancy.rollback_system(tenant_id, system_id, version, force);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS failure = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
    PERFORM tenancy.record_failure(tenant_id, system_id, 'down', version, failure, message);
END
$function$;
COMMENT ON FUNCTION tenancy.try_rollback_system(text, text, text, boolean) IS
    'rollback_system(), but a failure is written down and returned: failure is its SQLSTATE';
REVOKE ALL ON FUNCTION tenancy.try_rollback_system(text, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION tenancy.try_install_system(tenant_id text, system_id text, version text DEFAULT NULL,
                                           with_dependencies boolean DEFAULT false, OUT schema_name name,
                                           OUT failure text, OUT message text, OUT detail text, OUT hint text, OUT context text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
BEGIN
    schema_name := tenancy.install_system(tenant_id, system_id, version, with_dependencies);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS failure = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
    -- A system that the tenant has, or that it had, keeps its row.
    INSERT INTO tenancy.tenant_systems (tenant_id, system_id, version_id, status)
    SELECT t.tenant_id, v.system_id, v.version_id, 'failed'
      FROM tenancy.tenants t, tenancy.system_versions v
     WHERE t.tenant_id = try_install_system.tenant_id AND v.system_id = try_install_system.system_id
       AND (v.version = try_install_system.version OR try_install_system.version IS NULL AND v.is_latest)
    ON CONFLICT DO NOTHING;
    PERFORM tenancy.record_failure(try_install_system.tenant_id, try_install_system.system_id, 'install',
                                   try_install_system.version, failure, message);
END
$function$;
COMMENT ON FUNCTION tenancy.try_install_system(text, text, text, boolean) IS
    'install_system(), but a failure is written down and returned: failure is its SQLSTATE';
REVOKE ALL ON FUNCTION tenancy.try_install_system(text, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION tenancy.try_provision_tenant(tenant_id text, OUT failure text, OUT message text, OUT detail text, OUT hint text,
                                             OUT context text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    PERFORM tenancy.provision_tenant(tenant_id);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS failure = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
    UPDATE tenancy.tenants t SET error_message = message WHERE t.tenant_id = try_provision_tenant.tenant_id;
END
$function$;
COMMENT ON FUNCTION tenancy.try_provision_tenant(text) IS
    'provision_tenant(), but a failure is written down and returned: failure is its SQLSTATE';
REVOKE ALL ON FUNCTION tenancy.try_provision_tenant(text) FROM PUBLIC;
