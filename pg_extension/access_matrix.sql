
/*
 * access_matrix.sql — which role class may read and write a table.
 */

CREATE FUNCTION tenancy.in_scope_support(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tenancy_in_scope_support';
COMMENT ON FUNCTION tenancy.in_scope_support(internal) IS
    'tells the planner how many rows in_scope() lets through, and which index finds them';

CREATE FUNCTION tenancy.in_scope(tenant_id text) RETURNS boolean
    LANGUAGE c STABLE STRICT LEAKPROOF PARALLEL SAFE COST 1 SUPPORT tenancy.in_scope_support
    AS 'MODULE_PATHNAME', 'tenancy_in_scope_text';
CREATE FUNCTION tenancy.in_scope(tenant_id uuid) RETURNS boolean
    LANGUAGE c STABLE STRICT LEAKPROOF PARALLEL SAFE COST 1 SUPPORT tenancy.in_scope_support
    AS 'MODULE_PATHNAME', 'tenancy_in_scope_uuid';
CREATE FUNCTION tenancy.in_scope(tenant_id bigint) RETURNS boolean
    LANGUAGE c STABLE STRICT LEAKPROOF PARALLEL SAFE COST 1 SUPPORT tenancy.in_scope_support
    AS 'MODULE_PATHNAME', 'tenancy_in_scope_bigint';
COMMENT ON FUNCTION tenancy.in_scope(text) IS 'whether the context reaches a tenant';
COMMENT ON FUNCTION tenancy.in_scope(uuid) IS 'whether the context reaches a tenant';
COMMENT ON FUNCTION tenancy.in_scope(bigint) IS 'whether the context reaches a tenant';

-- A little dearer than a comparison, so that it is asked of those rows only that are wanted otherwise.
CREATE FUNCTION tenancy.still_in_scope(tenant_id text) RETURNS boolean
    LANGUAGE c STABLE STRICT LEAKPROOF PARALLEL SAFE COST 2 SUPPORT tenancy.is_current_tenant_support
    AS 'MODULE_PATHNAME', 'tenancy_in_scope_text';
CREATE FUNCTION tenancy.still_in_scope(tenant_id uuid) RETURNS boolean
    LANGUAGE c STABLE STRICT LEAKPROOF PARALLEL SAFE COST 2 SUPPORT tenancy.is_current_tenant_support
    AS 'MODULE_PATHNAME', 'tenancy_in_scope_uuid';
CREATE FUNCTION tenancy.still_in_scope(tenant_id bigint) RETURNS boolean
    LANGUAGE c STABLE STRICT LEAKPROOF PARALLEL SAFE COST 2 SUPPORT tenancy.is_current_tenant_support
    AS 'MODULE_PATHNAME', 'tenancy_in_scope_bigint';
COMMENT ON FUNCTION tenancy.still_in_scope(text) IS 'in_scope(), asked again by a plan that was made for the tenants in force';
COMMENT ON FUNCTION tenancy.still_in_scope(uuid) IS 'in_scope(), asked again by a plan that was made for the tenants in force';
COMMENT ON FUNCTION tenancy.still_in_scope(bigint) IS 'in_scope(), asked again by a plan that was made for the tenants in force';

CREATE FUNCTION tenancy.is_superadmin() RETURNS boolean
    LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 1 SUPPORT tenancy.is_current_tenant_support
    AS 'MODULE_PATHNAME', 'tenancy_is_superadmin';
COMMENT ON FUNCTION tenancy.is_superadmin() IS 'whether the context reaches every tenant';

CREATE FUNCTION tenancy.current_scope_tenant() RETURNS text
    LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'tenancy_current_scope_tenant';
CREATE FUNCTION tenancy.current_scope_tenant_uuid() RETURNS uuid
    LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'tenancy_current_scope_tenant_uuid';
CREATE FUNCTION tenancy.current_scope_tenant_bigint() RETURNS bigint
    LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'tenancy_current_scope_tenant_bigint';
COMMENT ON FUNCTION tenancy.current_scope_tenant() IS 'the only tenant that the context reaches, or NULL';
COMMENT ON FUNCTION tenancy.current_scope_tenant_uuid() IS 'the only tenant that the context reaches, as a uuid, or NULL';
COMMENT ON FUNCTION tenancy.current_scope_tenant_bigint() IS 'the only tenant that the context reaches, as a number, or NULL';

CREATE FUNCTION tenancy.is_scope_tenant(tenant_id text) RETURNS boolean
    LANGUAGE c STABLE STRICT LEAKPROOF PARALLEL SAFE COST 1 SUPPORT tenancy.is_current_tenant_support
    AS 'MODULE_PATHNAME', 'tenancy_is_scope_tenant_text';
CREATE FUNCTION tenancy.is_scope_tenant(tenant_id uuid) RETURNS boolean
    LANGUAGE c STABLE STRICT LEAKPROOF PARALLEL SAFE COST 1 SUPPORT tenancy.is_current_tenant_support
    AS 'MODULE_PATHNAME', 'tenancy_is_scope_tenant_uuid';
CREATE FUNCTION tenancy.is_scope_tenant(tenant_id bigint) RETURNS boolean
    LANGUAGE c STABLE STRICT LEAKPROOF PARALLEL SAFE COST 1 SUPPORT tenancy.is_current_tenant_support
    AS 'MODULE_PATHNAME', 'tenancy_is_scope_tenant_bigint';
COMMENT ON FUNCTION tenancy.is_scope_tenant(text) IS 'whether this tenant is the only one that the context reaches; what plans ask of a row';
COMMENT ON FUNCTION tenancy.is_scope_tenant(uuid) IS 'whether this tenant is the only one that the context reaches; what plans ask of a row';
COMMENT ON FUNCTION tenancy.is_scope_tenant(bigint) IS 'whether this tenant is the only one that the context reaches; what plans ask of a row';

CREATE FUNCTION tenancy.current_scope_uuid() RETURNS uuid[]
    LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'tenancy_current_scope_uuid';
CREATE FUNCTION tenancy.current_scope_bigint() RETURNS bigint[]
    LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'tenancy_current_scope_bigint';
COMMENT ON FUNCTION tenancy.current_scope_uuid() IS 'the tenants that the context reaches whose identifiers are uuids';
COMMENT ON FUNCTION tenancy.current_scope_bigint() IS 'the tenants that the context reaches whose identifiers are numbers';

CREATE FUNCTION tenancy.can_support(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tenancy_can_support';
COMMENT ON FUNCTION tenancy.can_support(internal) IS 'plans can() for the role class in force';

CREATE FUNCTION tenancy.can(tenant_id text, role_classes text) RETURNS boolean
    LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 1 SUPPORT tenancy.can_support
    AS 'MODULE_PATHNAME', 'tenancy_can_text';
CREATE FUNCTION tenancy.can(tenant_id uuid, role_classes text) RETURNS boolean
    LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 1 SUPPORT tenancy.can_support
    AS 'MODULE_PATHNAME', 'tenancy_can_uuid';
CREATE FUNCTION tenancy.can(tenant_id bigint, role_classes text) RETURNS boolean
    LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 1 SUPPORT tenancy.can_support
    AS 'MODULE_PATHNAME', 'tenancy_can_bigint';
COMMENT ON FUNCTION tenancy.can(text, text) IS
    'whether the context reaches a tenant, and its role class is one of those that are named; what policies ask';
COMMENT ON FUNCTION tenancy.can(uuid, text) IS
    'whether the context reaches a tenant, and its role class is one of those that are named; what policies ask';
COMMENT ON FUNCTION tenancy.can(bigint, text) IS
    'whether the context reaches a tenant, and its role class is one of those that are named; what policies ask';

CREATE TABLE tenancy.access_rules (
    "table" regclass,
    role_class text COLLATE "C" NOT NULL CHECK (role_class IN ('client', 'admin', 'superadmin')),
    mode text COLLATE "C" NOT NULL CHECK (mode IN ('none', 'read', 'read-write')),
    PRIMARY KEY ("table", role_class)
);
COMMENT ON TABLE tenancy.access_rules IS 'what declare_access() declared; a client reads and writes its own rows where nothing is';
REVOKE ALL ON tenancy.access_rules FROM PUBLIC;
SELECT pg_extension_config_dump('tenancy.access_rules', '');

CREATE VIEW tenancy.access_matrix AS
    SELECT r."table", coalesce(max(r.mode) FILTER (WHERE r.role_class = 'client'), 'read-write') AS client,
           coalesce(max(r.mode) FILTER (WHERE r.role_class = 'admin'), 'none') AS admin,
           coalesce(max(r.mode) FILTER (WHERE r.role_class = 'superadmin'), 'none') AS superadmin
      FROM tenancy.access_rules r GROUP BY r."table";
COMMENT ON VIEW tenancy.access_matrix IS 'which role class may do what with the tables that have a declaration';
REVOKE ALL ON tenancy.access_matrix FROM PUBLIC;
GRANT SELECT ON tenancy.access_matrix TO pg_monitor;

CREATE FUNCTION tenancy.declare_access("table" regclass, role_class text, mode text) RETURNS void
    LANGUAGE c VOLATILE SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_declare_access';
COMMENT ON FUNCTION tenancy.declare_access(regclass, text, text) IS
    'gives a role class access to a table: none, read or read-write; runs declare_access_ddl()';

CREATE FUNCTION tenancy.declare_access_ddl("table" regclass, role_class text, mode text) RETURNS text
    LANGUAGE c VOLATILE SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_declare_access_ddl';
COMMENT ON FUNCTION tenancy.declare_access_ddl(regclass, text, text) IS 'the statements that declare_access() would run';

-- A rule must not outlive its table: the OID could come to another one.
CREATE FUNCTION tenancy.forget_dropped_tables() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    DELETE FROM tenancy.access_rules r
     WHERE r."table" IN (SELECT d.objid FROM pg_event_trigger_dropped_objects() d WHERE d.classid = 'pg_class'::regclass);
END
$function$;
COMMENT ON FUNCTION tenancy.forget_dropped_tables() IS 'removes the access rules of tables that are dropped';
REVOKE ALL ON FUNCTION tenancy.forget_dropped_tables() FROM PUBLIC;
CREATE EVENT TRIGGER tenancy_forget_dropped_tables ON sql_drop EXECUTE FUNCTION tenancy.forget_dropped_tables();
COMMENT ON EVENT TRIGGER tenancy_forget_dropped_tables IS 'removes the access rules of tables that are dropped';
ALTER EVENT TRIGGER tenancy_forget_dropped_tables ENABLE ALWAYS;
