
/*
 * system_install.sql — giving a tenant a system.
 */

CREATE FUNCTION tenancy.install_system(tenant_id text, system_id text, version text DEFAULT NULL,
                                       with_dependencies boolean DEFAULT false) RETURNS name
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_install_system';
COMMENT ON FUNCTION tenancy.install_system(text, text, text, boolean) IS
    'makes a system in a schema of the tenant''s own and returns the schema; the latest version if none is named';
REVOKE ALL ON FUNCTION tenancy.install_system(text, text, text, boolean) FROM PUBLIC;

CREATE VIEW tenancy.installed_systems AS
    SELECT i.tenant_id, i.system_id, s.type, v.version, i.schema_name, i.status, i.installed_at, i.error_message
      FROM tenancy.tenant_systems i
      JOIN tenancy.management_systems s ON s.system_id = i.system_id
      JOIN tenancy.system_versions v ON v.version_id = i.version_id
     WHERE i.status <> 'uninstalled';
COMMENT ON VIEW tenancy.installed_systems IS 'which tenant has which system, in which version and schema';
REVOKE ALL ON tenancy.installed_systems FROM PUBLIC;
