
/*
 * role_binding.sql — a login that is one tenant's.
 *
 * The binding is PostgreSQL's own ALTER ROLE … IN DATABASE … SET, on settings that only a superuser may write: in force
 * from the first statement of a session, and nothing that the role can do changes it (tenant_context.cpp refuses even what
 * tenancy_service may do).  Both functions run as the caller, who must be a superuser.
 */

-- A setting's name as ALTER ROLE wants it.
CREATE FUNCTION tenancy.quoted_setting(setting text) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path TO pg_catalog, pg_temp
    AS $function$ SELECT string_agg(quote_ident(p.part), '.' ORDER BY p.n)
                    FROM regexp_split_to_table(setting, '\.') WITH ORDINALITY p(part, n) $function$;
COMMENT ON FUNCTION tenancy.quoted_setting(text) IS 'a setting''s name, its parts quoted';
REVOKE ALL ON FUNCTION tenancy.quoted_setting(text) FROM PUBLIC;

CREATE FUNCTION tenancy.bind_role("role" name, tenant text, access text DEFAULT 'client', scope text[] DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    target pg_roles;
    access_value text := tenancy.access_value(bind_role.tenant, bind_role.access, bind_role.scope);
    prefix text := format('ALTER ROLE %I IN DATABASE %I SET ', bind_role."role", current_database());
BEGIN
    SELECT r.* INTO target FROM pg_roles r WHERE r.rolname = bind_role."role";
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('role "%s" does not exist', bind_role."role"),
            HINT = format('CREATE ROLE %I LOGIN;', bind_role."role");
    END IF;
    IF target.rolsuper OR target.rolbypassrls THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('role "%s" is not bound by row-level security', bind_role."role"),
            HINT = format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS;', bind_role."role");
    END IF;
    IF bind_role.tenant IS NOT NULL
       AND NOT EXISTS (SELECT FROM tenancy.tenants t WHERE t.tenant_id = bind_role.tenant) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('tenant "%s" does not exist', bind_role.tenant),
            HINT = format('SELECT tenancy.create_tenant(%L, ''its name'');', bind_role.tenant);
    END IF;
    EXECUTE prefix || format('%s TO %L', tenancy.quoted_setting(current_setting('tenancy.context_setting')),
                             coalesce(bind_role.tenant, ''));
    EXECUTE prefix || format('tenancy.access TO %L', access_value);
END
$function$;
COMMENT ON FUNCTION tenancy.bind_role(name, text, text, text[]) IS
    'gives each new session of a login one context in this database, which it cannot leave';
REVOKE ALL ON FUNCTION tenancy.bind_role(name, text, text, text[]) FROM PUBLIC;

CREATE FUNCTION tenancy.unbind_role("role" name) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    prefix text := format('ALTER ROLE %I IN DATABASE %I RESET ', unbind_role."role", current_database());
BEGIN
    EXECUTE prefix || tenancy.quoted_setting(current_setting('tenancy.context_setting'));
    EXECUTE prefix || 'tenancy.access';
END
$function$;
COMMENT ON FUNCTION tenancy.unbind_role(name) IS 'new sessions of the login have no context of their own any more';
REVOKE ALL ON FUNCTION tenancy.unbind_role(name) FROM PUBLIC;

CREATE VIEW tenancy.role_bindings AS
    SELECT r.rolname AS role_name,
           nullif(b.tenant, '') AS tenant,
           CASE WHEN coalesce(b.access, '') = '' THEN 'client' ELSE split_part(b.access, ':', 1) END AS access,
           string_to_array(nullif(split_part(coalesce(b.access, ''), ':', 3), ''), ',') AS scope
      FROM (SELECT s.setrole,
                   max(c.value) FILTER (WHERE c.name = current_setting('tenancy.context_setting')) AS tenant,
                   max(c.value) FILTER (WHERE c.name = 'tenancy.access') AS access
              FROM pg_catalog.pg_db_role_setting s
             CROSS JOIN LATERAL (SELECT left(o.line, strpos(o.line, '=') - 1) AS name,
                                        substr(o.line, strpos(o.line, '=') + 1) AS value
                                   FROM unnest(s.setconfig) o(line)) c
             WHERE s.setrole <> 0
               AND s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()))
             GROUP BY s.setrole, s.setdatabase) b
      JOIN pg_catalog.pg_roles r ON r.oid = b.setrole
     WHERE coalesce(b.tenant, '') <> '' OR coalesce(b.access, '') <> '';
COMMENT ON VIEW tenancy.role_bindings IS 'the logins that are bound to a context in this database';
REVOKE ALL ON tenancy.role_bindings FROM PUBLIC;
GRANT SELECT ON tenancy.role_bindings TO pg_monitor;
