
/*
 * tenant_schema.sql — parts that the functions for tenants' lives are made of; for those functions alone.
 */

CREATE FUNCTION tenancy.lock_tenant(tenant_id text) RETURNS void
    LANGUAGE c VOLATILE STRICT
    AS 'MODULE_PATHNAME', 'tenancy_lock_tenant';
COMMENT ON FUNCTION tenancy.lock_tenant(text) IS
    'keeps other sessions from provisioning or changing this tenant until the transaction ends';
REVOKE ALL ON FUNCTION tenancy.lock_tenant(text) FROM PUBLIC;

CREATE FUNCTION tenancy.ensure_tenant_role(tenant_id text) RETURNS name
    LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_ensure_tenant_role';
COMMENT ON FUNCTION tenancy.ensure_tenant_role(text) IS
    'makes the tenant''s role if it has none, and returns its name';
REVOKE ALL ON FUNCTION tenancy.ensure_tenant_role(text) FROM PUBLIC;
