
/*
 * tenant_context.sql — the tenant in force.
 *
 * What gives it costs the planner next to nothing, as a literal does: of two plans that are equally good it then takes the
 * one that it would take for the literal.
 */

CREATE FUNCTION tenancy.current_tenant() RETURNS text
    LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'tenancy_current_tenant';
COMMENT ON FUNCTION tenancy.current_tenant() IS
    'the tenant in force, or NULL; what policies compare with';

CREATE FUNCTION tenancy.current_tenant_uuid() RETURNS uuid
    LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'tenancy_current_tenant_uuid';
COMMENT ON FUNCTION tenancy.current_tenant_uuid() IS
    'the tenant in force as a uuid; NULL if its identifier is none';

CREATE FUNCTION tenancy.current_tenant_bigint() RETURNS bigint
    LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'tenancy_current_tenant_bigint';
COMMENT ON FUNCTION tenancy.current_tenant_bigint() IS
    'the tenant in force as a number; NULL if its identifier is none';

CREATE FUNCTION tenancy.is_current_tenant_support(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tenancy_is_current_tenant_support';
COMMENT ON FUNCTION tenancy.is_current_tenant_support(internal) IS
    'tells the planner that is_current_tenant() lets every row through';

CREATE FUNCTION tenancy.is_current_tenant(tenant_id text) RETURNS boolean
    LANGUAGE c STABLE LEAKPROOF STRICT PARALLEL SAFE COST 1 SUPPORT tenancy.is_current_tenant_support
    AS 'MODULE_PATHNAME', 'tenancy_is_current_tenant';
CREATE FUNCTION tenancy.is_current_tenant(tenant_id uuid) RETURNS boolean
    LANGUAGE c STABLE LEAKPROOF STRICT PARALLEL SAFE COST 1 SUPPORT tenancy.is_current_tenant_support
    AS 'MODULE_PATHNAME', 'tenancy_is_current_tenant_uuid';
CREATE FUNCTION tenancy.is_current_tenant(tenant_id bigint) RETURNS boolean
    LANGUAGE c STABLE LEAKPROOF STRICT PARALLEL SAFE COST 1 SUPPORT tenancy.is_current_tenant_support
    AS 'MODULE_PATHNAME', 'tenancy_is_current_tenant_bigint';
COMMENT ON FUNCTION tenancy.is_current_tenant(text) IS
    'whether this tenant is in force; what guards the tables of one tenant''s own schema, and what plans ask of a row';
COMMENT ON FUNCTION tenancy.is_current_tenant(uuid) IS 'whether this tenant is in force; what plans ask of a row';
COMMENT ON FUNCTION tenancy.is_current_tenant(bigint) IS 'whether this tenant is in force; what plans ask of a row';

CREATE FUNCTION tenancy.set_tenant(tenant_id text, is_local boolean DEFAULT true) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'tenancy_set_tenant';
COMMENT ON FUNCTION tenancy.set_tenant(text, boolean) IS
    'sets the tenant until the end of the transaction, or for the session; once a transaction';
REVOKE ALL ON FUNCTION tenancy.set_tenant(text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.set_tenant(text, boolean) TO tenancy_service;

CREATE FUNCTION tenancy.clear_tenant() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'tenancy_clear_tenant';
COMMENT ON FUNCTION tenancy.clear_tenant() IS
    'leaves the session without a tenant; the transaction stays bound to the one it has seen';
REVOKE ALL ON FUNCTION tenancy.clear_tenant() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.clear_tenant() TO tenancy_service;
