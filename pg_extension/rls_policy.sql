
/*
 * rls_policy.sql — protecting a table.  Both run as the caller, who must own the table.
 */

CREATE FUNCTION tenancy.protect("table" regclass, tenant_column name DEFAULT 'tenant_id', tenant text DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_protect';
COMMENT ON FUNCTION tenancy.protect(regclass, name, text) IS
    'row-level security by the tenant in force, on a table and all its children; runs protect_ddl()';

CREATE FUNCTION tenancy.protect_ddl("table" regclass, tenant_column name DEFAULT 'tenant_id', tenant text DEFAULT NULL)
    RETURNS text
    LANGUAGE c VOLATILE SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_protect_ddl';
COMMENT ON FUNCTION tenancy.protect_ddl(regclass, name, text) IS
    'the statements that protect() would run; empty if the table is protected';

CREATE FUNCTION tenancy.unprotect("table" regclass) RETURNS void
    LANGUAGE c VOLATILE SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_unprotect';
COMMENT ON FUNCTION tenancy.unprotect(regclass) IS
    'takes the policies of protect() away, from a table and all its children; runs unprotect_ddl()';

CREATE FUNCTION tenancy.unprotect_ddl("table" regclass) RETURNS text
    LANGUAGE c VOLATILE SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_unprotect_ddl';
COMMENT ON FUNCTION tenancy.unprotect_ddl(regclass) IS
    'the statements that unprotect() would run; empty if the table is not protected';
