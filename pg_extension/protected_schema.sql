
/*
 * protected_schema.sql — schemas whose tables are protected, the future ones too.
 */

CREATE TABLE tenancy.protected_schemas (
    schema_name name PRIMARY KEY,
    tenant_column name NOT NULL,
    protected_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE tenancy.protected_schemas IS 'schemas whose new tables are protected as they come';
COMMENT ON COLUMN tenancy.protected_schemas.tenant_column IS 'the column that says whose a row is';
REVOKE ALL ON tenancy.protected_schemas FROM PUBLIC;
GRANT SELECT ON tenancy.protected_schemas TO pg_monitor;
SELECT pg_extension_config_dump('tenancy.protected_schemas', '');

CREATE FUNCTION tenancy.protect_schema(schema name, tenant_column name DEFAULT 'tenant_id') RETURNS void
    LANGUAGE c VOLATILE SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_protect_schema';
COMMENT ON FUNCTION tenancy.protect_schema(name, name) IS
    'protects every table of a schema that has the column, and those that come later; runs protect_schema_ddl()';

CREATE FUNCTION tenancy.protect_schema_ddl(schema name, tenant_column name DEFAULT 'tenant_id') RETURNS text
    LANGUAGE c VOLATILE SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_protect_schema_ddl';
COMMENT ON FUNCTION tenancy.protect_schema_ddl(name, name) IS
    'the statements that protect_schema() would run';

CREATE FUNCTION tenancy.unprotect_schema(schema name) RETURNS void
    LANGUAGE c VOLATILE SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_unprotect_schema';
COMMENT ON FUNCTION tenancy.unprotect_schema(name) IS
    'leaves new tables of a schema alone again; those that are protected stay so';

CREATE FUNCTION tenancy.protect_new_tables() RETURNS event_trigger
    LANGUAGE c SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_protect_new_tables';
COMMENT ON FUNCTION tenancy.protect_new_tables() IS
    'protects a table as soon as it is in a protected schema, in a tenant''s schema or below a protected table';
REVOKE ALL ON FUNCTION tenancy.protect_new_tables() FROM PUBLIC;

CREATE EVENT TRIGGER tenancy_protect_new_tables ON ddl_command_end
    WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE SCHEMA', 'CREATE FOREIGN TABLE',
                 'ALTER TABLE', 'ALTER SCHEMA')
    EXECUTE FUNCTION tenancy.protect_new_tables();
COMMENT ON EVENT TRIGGER tenancy_protect_new_tables IS 'protects new tables; see tenancy.protected_schemas';

-- session_replication_role would switch it off otherwise.
ALTER EVENT TRIGGER tenancy_protect_new_tables ENABLE ALWAYS;
