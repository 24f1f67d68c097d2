
/*
 * context_access.sql — how far a context reaches.
 */

CREATE TABLE tenancy.scopes (
    scope_name text COLLATE "C" PRIMARY KEY
        CONSTRAINT scopes_name CHECK (scope_name ~ '^[a-z0-9_-]{1,40}$'),
    tenants text[] NOT NULL
        CONSTRAINT scopes_tenants CHECK (array_position(tenants, NULL) IS NULL AND coalesce(array_ndims(tenants), 1) = 1)
);
COMMENT ON TABLE tenancy.scopes IS 'named lists of tenants; @name in the scope of an admin stands for the list';
COMMENT ON COLUMN tenancy.scopes.tenants IS 'tenant identifiers; what no active tenant has counts for nothing';
REVOKE ALL ON tenancy.scopes FROM PUBLIC;
SELECT pg_extension_config_dump('tenancy.scopes', '');

CREATE TRIGGER scope_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tenancy.scopes
    FOR EACH STATEMENT EXECUTE FUNCTION tenancy.registry_changed();
ALTER TABLE tenancy.scopes ENABLE ALWAYS TRIGGER scope_changed;

CREATE FUNCTION tenancy.define_scope(scope_name text, tenants text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    missing text;
BEGIN
    IF define_scope.scope_name IS NULL OR define_scope.tenants IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'null_value_not_allowed', MESSAGE = 'name and tenants of a scope must not be null';
    END IF;
    IF define_scope.scope_name !~ '^[a-z0-9_-]{1,40}$' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('malformed scope name "%s"', left(define_scope.scope_name, 80)),
            HINT = 'A scope''s name is 1 to 40 lower-case letters, digits, "-" and "_".';
    END IF;
    SELECT m.id INTO missing FROM unnest(define_scope.tenants) m(id)
     WHERE NOT EXISTS (SELECT FROM tenancy.tenants t WHERE t.tenant_id = m.id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('tenant "%s" does not exist', missing),
            HINT = format('SELECT tenancy.create_tenant(%L, ''its name'');', missing);
    END IF;
    INSERT INTO tenancy.scopes AS s (scope_name, tenants) VALUES (define_scope.scope_name, define_scope.tenants)
        ON CONFLICT ON CONSTRAINT scopes_pkey DO UPDATE SET tenants = EXCLUDED.tenants;
END
$function$;
COMMENT ON FUNCTION tenancy.define_scope(text, text[]) IS
    'gives a list of tenants a name, or a name another list; open sessions see it from their next statement on';
REVOKE ALL ON FUNCTION tenancy.define_scope(text, text[]) FROM PUBLIC;

CREATE FUNCTION tenancy.drop_scope(scope_name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    DELETE FROM tenancy.scopes s WHERE s.scope_name = drop_scope.scope_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object', MESSAGE = format('scope "%s" does not exist', drop_scope.scope_name);
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.drop_scope(text) IS 'forgets a named list of tenants; whoever had it reaches them no more';
REVOKE ALL ON FUNCTION tenancy.drop_scope(text) FROM PUBLIC;

CREATE FUNCTION tenancy.set_context(tenant text, access text, scope text[] DEFAULT NULL, is_local boolean DEFAULT true)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'tenancy_set_context';
COMMENT ON FUNCTION tenancy.set_context(text, text, text[], boolean) IS
    'sets tenant, role class and scope together, until the end of the transaction or for the session';
REVOKE ALL ON FUNCTION tenancy.set_context(text, text, text[], boolean) FROM PUBLIC;

CREATE FUNCTION tenancy.current_access() RETURNS text
    LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'tenancy_current_access';
COMMENT ON FUNCTION tenancy.current_access() IS
    'how far the context reaches: none, client (one tenant), admin (those of a scope) or superadmin (all)';

CREATE FUNCTION tenancy.current_scope() RETURNS text[]
    LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 1
    AS 'MODULE_PATHNAME', 'tenancy_current_scope';
COMMENT ON FUNCTION tenancy.current_scope() IS
    'the tenants that the context reaches, or NULL: nobody''s, or a superadmin''s';

CREATE FUNCTION tenancy.access_value(tenant text, access text, scope text[]) RETURNS text
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'tenancy_access_value';
COMMENT ON FUNCTION tenancy.access_value(text, text, text[]) IS 'what the setting tenancy.access holds for a context';
REVOKE ALL ON FUNCTION tenancy.access_value(text, text, text[]) FROM PUBLIC;
