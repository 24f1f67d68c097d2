
/*
 * tenant_lifecycle.sql — a tenant's life: provisioning → active ⇄ suspended → inactive → archived;
 * tenant_drop.sql has its end.
 *
 * Each step is one transaction over rows, under the tenant's lock, and may be repeated: what is done already stays.
 * The effects of a state on grants hang on the row itself, so that a row which a mirror writes has them too.
 */

CREATE TABLE tenancy.tier_systems (
    tier text NOT NULL,
    system_id varchar(50) NOT NULL REFERENCES tenancy.management_systems (system_id),
    PRIMARY KEY (tier, system_id)
);
COMMENT ON TABLE tenancy.tier_systems IS 'the systems that tenants of a tier get; tier * is every tenant';
REVOKE ALL ON tenancy.tier_systems FROM PUBLIC;
SELECT pg_extension_config_dump('tenancy.tier_systems', '');

CREATE FUNCTION tenancy.assign_tier_system(tier text, system_id text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
BEGIN
    IF coalesce(assign_tier_system.tier, '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'a tier must have a name',
            HINT = format('For every tenant: SELECT tenancy.assign_tier_system(''*'', %L);', assign_tier_system.system_id);
    END IF;
    IF NOT EXISTS (SELECT FROM tenancy.management_systems s WHERE s.system_id = assign_tier_system.system_id) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('system "%s" does not exist', assign_tier_system.system_id),
            HINT = 'SELECT system_id FROM tenancy.available_systems;  The CRM comes with CREATE EXTENSION tenancy_business;';
    END IF;
    INSERT INTO tenancy.tier_systems (tier, system_id)
    VALUES (assign_tier_system.tier, assign_tier_system.system_id)
    ON CONFLICT DO NOTHING;
END
$function$;
COMMENT ON FUNCTION tenancy.assign_tier_system(text, text) IS
    'says that tenants of a tier get a system; tier * is every tenant';
REVOKE ALL ON FUNCTION tenancy.assign_tier_system(text, text) FROM PUBLIC;

-- The state of a tenant, locked; an error if there is no such tenant.
CREATE FUNCTION tenancy.lock_tenant_row(tenant_id text) RETURNS tenancy.tenants
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    tenant tenancy.tenants;
BEGIN
    IF lock_tenant_row.tenant_id IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'null_value_not_allowed', MESSAGE = 'tenant identifier must not be null';
    END IF;
    PERFORM tenancy.lock_tenant(lock_tenant_row.tenant_id);
    SELECT t.* INTO tenant FROM tenancy.tenants t WHERE t.tenant_id = lock_tenant_row.tenant_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('tenant "%s" does not exist', lock_tenant_row.tenant_id),
            HINT = format('SELECT tenancy.create_tenant(%L, ''its name'');', lock_tenant_row.tenant_id);
    END IF;
    RETURN tenant;
END
$function$;
COMMENT ON FUNCTION tenancy.lock_tenant_row(text) IS 'locks a tenant and returns its row';
REVOKE ALL ON FUNCTION tenancy.lock_tenant_row(text) FROM PUBLIC;

-- Opens or closes the schemas of a tenant, or one of them, to its role and to the services.
CREATE FUNCTION tenancy.enforce_status(tenant_id text, role_name name, status text, only_schema name DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    schema_name name;
    grantees text := CASE WHEN enforce_status.role_name IS NOT NULL
                          THEN format('tenancy_service, %I', enforce_status.role_name)
                          ELSE 'tenancy_service' END;
BEGIN
    FOR schema_name IN
        SELECT i.schema_name FROM tenancy.tenant_systems i
         WHERE i.tenant_id = enforce_status.tenant_id AND i.schema_name IS NOT NULL
           AND (only_schema IS NULL OR i.schema_name = only_schema)
         ORDER BY i.schema_name
    LOOP
        IF enforce_status.status = 'active' THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO %s', schema_name, grantees);
        ELSE
            EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM %s', schema_name, grantees);
        END IF;
    END LOOP;
END
$function$;
COMMENT ON FUNCTION tenancy.enforce_status(text, name, text, name) IS
    'opens a tenant''s schemas if it is active, closes them if not';
REVOKE ALL ON FUNCTION tenancy.enforce_status(text, name, text, name) FROM PUBLIC;

CREATE FUNCTION tenancy.tenant_status_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM tenancy.enforce_status(OLD.tenant_id, OLD.role_name, 'inactive');
    ELSIF NEW.status <> 'provisioning' THEN
        PERFORM tenancy.enforce_status(NEW.tenant_id, NEW.role_name, NEW.status);
    END IF;
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.tenant_status_changed() IS 'opens or closes a tenant''s schemas as its state says';
REVOKE ALL ON FUNCTION tenancy.tenant_status_changed() FROM PUBLIC;

CREATE TRIGGER enforce_status AFTER UPDATE OF status ON tenancy.tenants
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION tenancy.tenant_status_changed();
CREATE TRIGGER enforce_deletion AFTER DELETE ON tenancy.tenants
    FOR EACH ROW EXECUTE FUNCTION tenancy.tenant_status_changed();
ALTER TABLE tenancy.tenants ENABLE ALWAYS TRIGGER enforce_status;
ALTER TABLE tenancy.tenants ENABLE ALWAYS TRIGGER enforce_deletion;

-- The systems of a tenant's tier that it does not have and could be given now.  What was taken away from it by hand stays away.
CREATE FUNCTION tenancy.missing_systems(tenant_id text, tier text, OUT system_id text, OUT ready boolean)
    RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT DISTINCT a.system_id,
           -- Most need nothing, and a tenant waits for the answer.
           coalesce(v.dependencies, '{}') = '{}'
           OR NOT EXISTS (SELECT FROM tenancy.unmet_dependencies(missing_systems.tenant_id, v.version_id))
      FROM tenancy.tier_systems a
      LEFT JOIN tenancy.system_versions v ON v.system_id = a.system_id AND v.is_latest
     WHERE a.tier IN ('*', missing_systems.tier)
       AND NOT EXISTS (SELECT FROM tenancy.tenant_systems i
                        WHERE i.tenant_id = missing_systems.tenant_id AND i.system_id = a.system_id
                          AND i.status <> 'failed')
$function$;
COMMENT ON FUNCTION tenancy.missing_systems(text, text) IS
    'the systems of a tier that a tenant does not have, and whether what they need is there';
REVOKE ALL ON FUNCTION tenancy.missing_systems(text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.provision_tenant(tenant_id text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    tenant tenancy.tenants := tenancy.lock_tenant_row(provision_tenant.tenant_id);
    next_system text;
    missing bigint;
BEGIN
    IF tenant.status NOT IN ('provisioning', 'active') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('tenant "%s" is %s', tenant.tenant_id, tenant.status),
            HINT = format('SELECT tenancy.%s(%L);', CASE tenant.status WHEN 'archived' THEN 'deactivate_tenant' ELSE 'resume_tenant' END,
                          tenant.tenant_id);
    END IF;
    IF tenant.tier IS NOT NULL AND NOT EXISTS (SELECT FROM tenancy.tier_systems a WHERE a.tier = tenant.tier) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('tier "%s" of tenant "%s" does not exist', tenant.tier, tenant.tenant_id),
            HINT = format('Say what its tenants get, for example: SELECT tenancy.assign_tier_system(%L, ''crm'');',
                          tenant.tier);
    END IF;

    PERFORM tenancy.ensure_tenant_role(tenant.tenant_id);
    LOOP
        -- What others need comes first; a system that waits in vain makes install_system() say for what.
        SELECT m.system_id, count(*) OVER () INTO next_system, missing
          FROM tenancy.missing_systems(tenant.tenant_id, tenant.tier) m
         ORDER BY m.ready DESC, m.system_id LIMIT 1;
        EXIT WHEN NOT FOUND;
        PERFORM tenancy.install_system(tenant.tenant_id, next_system);
        EXIT WHEN missing = 1;
    END LOOP;

    UPDATE tenancy.tenants t
       SET status = 'active', error_message = NULL, updated_at = now()
     WHERE t.tenant_id = tenant.tenant_id AND (t.status <> 'active' OR t.error_message IS NOT NULL);
END
$function$;
COMMENT ON FUNCTION tenancy.provision_tenant(text) IS
    'gives a tenant its role and its tier''s systems and makes it active; may be repeated';
REVOKE ALL ON FUNCTION tenancy.provision_tenant(text) FROM PUBLIC;

CREATE FUNCTION tenancy.create_tenant(tenant_id text, name text, tier text DEFAULT NULL, region text DEFAULT NULL,
                                      database_config jsonb DEFAULT NULL, settings jsonb DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
BEGIN
    IF create_tenant.tenant_id IS NULL OR create_tenant.name IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'null_value_not_allowed', MESSAGE = 'tenant identifier and name must not be null';
    END IF;
    PERFORM tenancy.lock_tenant(create_tenant.tenant_id);
    IF EXISTS (SELECT FROM tenancy.tenants t WHERE t.tenant_id = create_tenant.tenant_id) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'duplicate_object',
            MESSAGE = format('tenant "%s" already exists', create_tenant.tenant_id);
    END IF;
    INSERT INTO tenancy.tenants (tenant_id, name, tier, region, database_config, settings, status)
    VALUES (create_tenant.tenant_id, create_tenant.name, create_tenant.tier, create_tenant.region,
            coalesce(create_tenant.database_config,
                     jsonb_build_object('type', 'shared', 'database_name', current_database(),
                                        'connection_string', 'postgresql:///' || current_database())),
            create_tenant.settings, 'provisioning');
    PERFORM tenancy.provision_tenant(create_tenant.tenant_id);
    RETURN create_tenant.tenant_id;
END
$function$;
COMMENT ON FUNCTION tenancy.create_tenant(text, text, text, text, jsonb, jsonb) IS
    'registers a tenant and provisions it';
REVOKE ALL ON FUNCTION tenancy.create_tenant(text, text, text, text, jsonb, jsonb) FROM PUBLIC;

-- Moves a tenant to a state, from one of those that lead there.
CREATE FUNCTION tenancy.change_status(tenant_id text, new_status text, from_states text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    tenant tenancy.tenants := tenancy.lock_tenant_row(change_status.tenant_id);
BEGIN
    IF tenant.status = change_status.new_status THEN
        -- The row may have come from elsewhere: its effects may not.
        PERFORM tenancy.enforce_status(tenant.tenant_id, tenant.role_name, tenant.status);
    ELSIF tenant.status = ANY (change_status.from_states) THEN
        UPDATE tenancy.tenants t SET status = change_status.new_status, updated_at = now()
         WHERE t.tenant_id = tenant.tenant_id;
    ELSE
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('tenant "%s" is %s', tenant.tenant_id,
                             CASE tenant.status WHEN 'provisioning' THEN 'still being provisioned'
                                                ELSE tenant.status END),
            DETAIL = format('It can become %s from: %s.', change_status.new_status,
                            array_to_string(change_status.from_states, ', ')),
            HINT = format('SELECT tenancy.%s(%L);',
                          CASE tenant.status WHEN 'provisioning' THEN 'provision_tenant' WHEN 'archived' THEN 'deactivate_tenant'
                                             ELSE 'resume_tenant' END,
                          tenant.tenant_id);
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.change_status(text, text, text[]) IS 'moves a tenant to another state';
REVOKE ALL ON FUNCTION tenancy.change_status(text, text, text[]) FROM PUBLIC;

CREATE FUNCTION tenancy.suspend_tenant(tenant_id text) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$ SELECT tenancy.change_status(tenant_id, 'suspended', ARRAY['active']) $function$;
COMMENT ON FUNCTION tenancy.suspend_tenant(text) IS
    'locks a tenant out, open sessions too; its data stays';
REVOKE ALL ON FUNCTION tenancy.suspend_tenant(text) FROM PUBLIC;

CREATE FUNCTION tenancy.resume_tenant(tenant_id text) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$ SELECT tenancy.change_status(tenant_id, 'active', ARRAY['suspended', 'inactive']) $function$;
COMMENT ON FUNCTION tenancy.resume_tenant(text) IS 'lets a suspended or inactive tenant in again';
REVOKE ALL ON FUNCTION tenancy.resume_tenant(text) FROM PUBLIC;

CREATE FUNCTION tenancy.deactivate_tenant(tenant_id text) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$ SELECT tenancy.change_status(tenant_id, 'inactive', ARRAY['active', 'suspended', 'archived']) $function$;
COMMENT ON FUNCTION tenancy.deactivate_tenant(text) IS
    'ends a tenant''s life without touching its data';
REVOKE ALL ON FUNCTION tenancy.deactivate_tenant(text) FROM PUBLIC;

CREATE VIEW tenancy.tenant_overview AS
    SELECT t.tenant_id, t.name, t.status, t.tier, t.region, t.role_name,
           ARRAY(SELECT i.schema_name FROM tenancy.tenant_systems i
                  WHERE i.tenant_id = t.tenant_id AND i.schema_name IS NOT NULL
                  ORDER BY i.schema_name) AS schemas,
           t.created_at, t.updated_at, t.error_message
      FROM tenancy.tenants t;
COMMENT ON VIEW tenancy.tenant_overview IS 'the tenants without their connection strings, and the schemas that they have';
REVOKE ALL ON tenancy.tenant_overview FROM PUBLIC;
GRANT SELECT ON tenancy.tenant_overview, tenancy.installed_systems, tenancy.available_systems TO pg_monitor;
