/*
 * tenant_route.sql — where a tenant lives: server, database, schemas.
 *
 * A service asks before it has a tenant, on the database that keeps the registry, and connects to where the answer leads.
 * The connection string is no part of it: it may hold a password, and a service has its own for each server.
 */

-- The database that says it has the tenant is asked first; a tenant's own row, which MongoDB's documents require, says it too.
CREATE FUNCTION tenancy.route(tenant_id text, OUT status text, OUT region text, OUT server text, OUT database_name text,
                              OUT system_id text, OUT version text, OUT schema_name name)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    place record;
BEGIN
    IF tenancy.current_tenant() <> route.tenant_id THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = format('permission denied to ask where tenant "%s" lives', route.tenant_id),
            DETAIL = 'Another tenant is in force.',
            HINT = 'SELECT tenancy.clear_tenant();';
    END IF;
    SELECT t.status, coalesce(d.region, t.region) AS region, d.server,
           coalesce(d.database_name, t.database_config ->> 'database_name', current_database()) AS database_name INTO place
      FROM tenancy.tenants t
      LEFT JOIN tenancy.tenant_databases d ON t.tenant_id = ANY (d.tenants) AND d.status = 'active'
     WHERE t.tenant_id = route.tenant_id
     ORDER BY d.type, d.database_name -- a dedicated one before a shared one
     LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('tenant "%s" does not exist', route.tenant_id),
            HINT = format('SELECT tenancy.create_tenant(%L, ''its name'');', route.tenant_id);
    END IF;
    RETURN QUERY
        SELECT place.status, place.region, place.server, place.database_name, i.system_id::text, i.version::text, i.schema_name
          FROM (SELECT) AS one
          LEFT JOIN tenancy.installed_systems i ON i.tenant_id = route.tenant_id AND i.schema_name IS NOT NULL
         ORDER BY i.system_id;
END
$function$;
COMMENT ON FUNCTION tenancy.route(text) IS 'where a tenant lives: server, database, and a row for each of its systems with the schema';
REVOKE ALL ON FUNCTION tenancy.route(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.route(text) TO tenancy_service, pg_monitor;
