
/*
 * system_sample.sql — rows to try a system with, and how to be rid of them.
 *
 * A system's sample data is a script for one version of it that loads and one that removes.  Both run as a migration does:
 * as the owner of the tenant's schema, whom FORCE ROW LEVEL SECURITY does not bind meanwhile, so the session needs no
 * context and does not get one.
 */

CREATE TABLE tenancy.system_samples (
    system_id varchar(50) NOT NULL,
    version varchar(20) NOT NULL,
    load_sql text NOT NULL,
    remove_sql text NOT NULL,
    created_at timestamp NOT NULL DEFAULT timezone('UTC', now()),
    extension name,
    PRIMARY KEY (system_id, version),
    FOREIGN KEY (system_id, version) REFERENCES tenancy.system_versions (system_id, version) ON DELETE CASCADE
);
COMMENT ON TABLE tenancy.system_samples IS 'sample data of systems, for one version each';
COMMENT ON COLUMN tenancy.system_samples.load_sql IS 'can run again: what is there already stays as it is';
COMMENT ON COLUMN tenancy.system_samples.remove_sql IS 'deletes what load_sql inserts';
COMMENT ON COLUMN tenancy.system_samples.extension IS 'the extension that registered it; NULL if by hand';
REVOKE ALL ON tenancy.system_samples FROM PUBLIC;
SELECT pg_extension_config_dump('tenancy.system_samples', 'WHERE extension IS NULL');

CREATE FUNCTION tenancy.register_sample_data(system_id text, version text, load_sql text, remove_sql text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    registering name := tenancy.registering_extension();
BEGIN
    IF register_sample_data.load_sql IS NULL OR register_sample_data.remove_sql IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'null_value_not_allowed', MESSAGE = 'the scripts of sample data must not be null';
    END IF;
    PERFORM tenancy.lock_system(register_sample_data.system_id);
    PERFORM tenancy.find_version(register_sample_data.system_id, coalesce(register_sample_data.version, ''));
    PERFORM tenancy.check_script(register_sample_data.load_sql);
    PERFORM tenancy.check_script(register_sample_data.remove_sql);
    INSERT INTO tenancy.system_samples (system_id, version, load_sql, remove_sql, extension)
    VALUES (register_sample_data.system_id, register_sample_data.version, register_sample_data.load_sql,
            register_sample_data.remove_sql, registering)
    ON CONFLICT (system_id, version) DO UPDATE
        SET load_sql = excluded.load_sql, remove_sql = excluded.remove_sql, extension = excluded.extension;
END
$function$;
COMMENT ON FUNCTION tenancy.register_sample_data(text, text, text, text) IS
    'gives a version of a system sample data, or other sample data than it had';
REVOKE ALL ON FUNCTION tenancy.register_sample_data(text, text, text, text) FROM PUBLIC;

-- Runs the script that loads or the one that removes, for the version that the tenant has.
CREATE FUNCTION tenancy.run_sample_script(tenant_id text, system_id text, remove boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    installed tenancy.tenant_systems := tenancy.lock_tenant_system(tenant_id, system_id);
    present text := (SELECT v.version FROM tenancy.system_versions v WHERE v.version_id = installed.version_id);
    sample tenancy.system_samples;
BEGIN
    SELECT s.* INTO sample FROM tenancy.system_samples s
     WHERE s.system_id = installed.system_id AND s.version = present;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('there is no sample data for version %s of system "%s"', present, system_id),
            DETAIL = coalesce((SELECT format('There is some for version %s.', string_agg(s.version, ', ' ORDER BY s.version))
                                 FROM tenancy.system_samples s WHERE s.system_id = installed.system_id HAVING count(*) > 0),
                              'There is none for other versions either.'),
            HINT = coalesce((SELECT format('SELECT tenancy.update_system(%L, %L, %L);', installed.tenant_id, s.system_id, s.version)
                               FROM tenancy.system_samples s
                              WHERE s.system_id = installed.system_id AND tenancy.compare_versions(s.version, present) > 0
                              LIMIT 1),
                            format('SELECT tenancy.register_sample_data(%L, %L, ''INSERT ...'', ''DELETE ...'');',
                                   installed.system_id, present));
    END IF;
    PERFORM tenancy.run_migration(installed.tenant_id, tenancy.ensure_tenant_role(installed.tenant_id), installed.schema_name,
                                  CASE WHEN remove THEN sample.remove_sql ELSE sample.load_sql END,
                                  format('sample data of system "%s" version %s for tenant "%s"', system_id, present, tenant_id));
END
$function$;
COMMENT ON FUNCTION tenancy.run_sample_script(text, text, boolean) IS 'loads or removes sample data';
REVOKE ALL ON FUNCTION tenancy.run_sample_script(text, text, boolean) FROM PUBLIC;

CREATE FUNCTION tenancy.load_sample_data(tenant_id text, system_id text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT tenancy.run_sample_script(tenant_id, system_id, false)
$function$;
COMMENT ON FUNCTION tenancy.load_sample_data(text, text) IS 'loads the sample data of a tenant''s system; what is there already stays as it is';
REVOKE ALL ON FUNCTION tenancy.load_sample_data(text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.remove_sample_data(tenant_id text, system_id text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT tenancy.run_sample_script(tenant_id, system_id, true)
$function$;
COMMENT ON FUNCTION tenancy.remove_sample_data(text, text) IS 'deletes the sample data of a tenant''s system, and what hangs on it';
REVOKE ALL ON FUNCTION tenancy.remove_sample_data(text, text) FROM PUBLIC;
