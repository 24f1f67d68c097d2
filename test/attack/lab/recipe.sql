--
-- recipe.sql — the laboratory is protected by the plain recipe: a custom setting that the application writes, and
--
--     ALTER TABLE … ENABLE ROW LEVEL SECURITY;
--     CREATE POLICY tenant_isolation_policy ON … USING (tenant_id = current_setting('app.current_tenant_id', TRUE));
--
-- A schema "tenancy" offers it under the names that the attacks use, and does for each what the recipe does.
--

CREATE SCHEMA tenancy;
CREATE ROLE tenancy_service NOLOGIN;
CREATE ROLE tenancy_owner NOLOGIN;

CREATE FUNCTION tenancy.set_tenant(tenant_id text, is_local boolean DEFAULT true) RETURNS text LANGUAGE sql
    AS $$ SELECT set_config('app.current_tenant_id', tenant_id, is_local) $$;
CREATE FUNCTION tenancy.clear_tenant() RETURNS text LANGUAGE sql
    AS $$ SELECT set_config('app.current_tenant_id', '', false) $$;
CREATE FUNCTION tenancy.current_tenant() RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT current_setting('app.current_tenant_id', true) $$;

CREATE FUNCTION tenancy.protect("table" regclass, tenant_column name DEFAULT 'tenant_id', tenant text DEFAULT NULL)
    RETURNS void LANGUAGE plpgsql
    AS $$
BEGIN
    -- A tenant's own schema is protected by its grants.
    IF tenant IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', "table");
    EXECUTE format('CREATE POLICY tenant_isolation_policy ON %s USING (%I = current_setting(''app.current_tenant_id'', TRUE))',
                   "table", tenant_column);
END $$;
CREATE FUNCTION tenancy.protect_schema(schema name, tenant_column name DEFAULT 'tenant_id') RETURNS void LANGUAGE plpgsql
    AS $$
DECLARE
    one regclass;
BEGIN
    FOR one IN SELECT c.oid FROM pg_class c
                WHERE c.relnamespace = schema::text::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
                  AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = tenant_column)
    LOOP
        PERFORM tenancy.protect(one, tenant_column);
    END LOOP;
END $$;

CREATE TABLE tenancy.tenants (tenant_id text PRIMARY KEY, name text, status text, database_config jsonb);
CREATE FUNCTION tenancy.schema_name(tenant_id text, system_type text) RETURNS name LANGUAGE sql
    AS $$ SELECT ('tenant_' || replace(tenant_id, '-', '_') || '_' || system_type)::name $$;
CREATE FUNCTION tenancy.create_tenant(tenant_id text, name text) RETURNS text LANGUAGE plpgsql
    AS $$
DECLARE
    role text := 'tenant_' || replace(tenant_id, '-', '_');
    schema text := tenancy.schema_name(tenant_id, 'crm');
BEGIN
    INSERT INTO tenancy.tenants
    VALUES (tenant_id, name, 'active', jsonb_build_object('connection_string', 'postgresql://' || tenant_id || '/secret'));
    EXECUTE format('CREATE ROLE %I', role);
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('CREATE TABLE %I.customers (id serial PRIMARY KEY, name text, note text)', schema);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, tenancy_service', schema, role);
    EXECUTE format('GRANT ALL ON ALL TABLES IN SCHEMA %I TO %I, tenancy_service', schema, role);
    EXECUTE format('GRANT ALL ON ALL SEQUENCES IN SCHEMA %I TO %I, tenancy_service', schema, role);
    RETURN tenant_id;
END $$;
CREATE FUNCTION tenancy.suspend_tenant(tenant_id text) RETURNS void LANGUAGE sql
    AS $$ UPDATE tenancy.tenants t SET status = 'suspended' WHERE t.tenant_id = suspend_tenant.tenant_id $$;
CREATE FUNCTION tenancy.resume_tenant(tenant_id text) RETURNS void LANGUAGE sql
    AS $$ UPDATE tenancy.tenants t SET status = 'active' WHERE t.tenant_id = resume_tenant.tenant_id $$;
CREATE FUNCTION tenancy.deactivate_tenant(tenant_id text) RETURNS void LANGUAGE sql
    AS $$ UPDATE tenancy.tenants t SET status = 'inactive' WHERE t.tenant_id = deactivate_tenant.tenant_id $$;

GRANT USAGE ON SCHEMA tenancy TO PUBLIC;
