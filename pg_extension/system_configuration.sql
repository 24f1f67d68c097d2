
/*
 * system_configuration.sql — what a tenant has set for a system, and which of its features are on.
 *
 * A version may say what can be set, by a part of JSON Schema, and which features there are.  Every change is a revision,
 * so that one can see who changed what and go back.
 */

CREATE TABLE tenancy.configuration_revisions (
    tenant_id varchar(50) COLLATE "C" NOT NULL,
    system_id varchar(50) NOT NULL,
    revision integer NOT NULL,
    configurations jsonb,
    features_enabled jsonb,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by name NOT NULL DEFAULT session_user,
    PRIMARY KEY (tenant_id, system_id, revision),
    FOREIGN KEY (tenant_id, system_id) REFERENCES tenancy.tenant_systems (tenant_id, system_id) ON DELETE CASCADE
);
COMMENT ON TABLE tenancy.configuration_revisions IS 'what tenants have set for their systems, each time that it changed';
REVOKE ALL ON tenancy.configuration_revisions FROM PUBLIC;
SELECT pg_extension_config_dump('tenancy.configuration_revisions', '');

-- What is wrong with a value itself, as a sentence; NULL if nothing.
CREATE FUNCTION tenancy.scalar_problem(value jsonb, schema jsonb, path text) RETURNS text
    LANGUAGE sql IMMUTABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT CASE
        WHEN schema ? 'type' AND schema ->> 'type' <> jsonb_typeof(value)
             AND NOT (schema ->> 'type' = 'integer' AND jsonb_typeof(value) = 'number' AND (value #>> '{}')::numeric % 1 = 0)
        THEN format('%s must be of type %s.', path, schema ->> 'type')
        WHEN schema ? 'enum' AND NOT schema -> 'enum' @> jsonb_build_array(value)
        THEN format('%s must be one of %s.', path, schema -> 'enum')
        WHEN jsonb_typeof(value) = 'number' AND (value #>> '{}')::numeric < (schema ->> 'minimum')::numeric
        THEN format('%s must be at least %s.', path, schema ->> 'minimum')
        WHEN jsonb_typeof(value) = 'number' AND (value #>> '{}')::numeric > (schema ->> 'maximum')::numeric
        THEN format('%s must be at most %s.', path, schema ->> 'maximum')
        WHEN jsonb_typeof(value) = 'string' AND length(value #>> '{}') > (schema ->> 'maxLength')::integer
        THEN format('%s must be of at most %s characters.', path, schema ->> 'maxLength')
        WHEN jsonb_typeof(value) = 'string' AND (value #>> '{}') !~ (schema ->> 'pattern')
        THEN format('%s must match %s.', path, schema ->> 'pattern')
    END
$function$;
COMMENT ON FUNCTION tenancy.scalar_problem(jsonb, jsonb, text) IS 'what a value''s own schema says against it';
REVOKE ALL ON FUNCTION tenancy.scalar_problem(jsonb, jsonb, text) FROM PUBLIC;

CREATE FUNCTION tenancy.configuration_problem(value jsonb, schema jsonb, path text DEFAULT '$') RETURNS text
    LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    problem text := tenancy.scalar_problem(value, schema, path);
    member record;
BEGIN
    IF problem IS NOT NULL OR jsonb_typeof(value) NOT IN ('object', 'array') THEN
        RETURN problem;
    END IF;
    IF jsonb_typeof(value) = 'array' THEN
        FOR member IN SELECT e.value, e.n FROM jsonb_array_elements(value) WITH ORDINALITY e(value, n) LOOP
            problem := coalesce(problem, tenancy.configuration_problem(member.value, schema -> 'items', format('%s[%s]', path, member.n - 1)));
        END LOOP;
        RETURN problem;
    END IF;
    SELECT format('%s.%s is missing.', path, r.key) INTO problem
      FROM jsonb_array_elements_text(schema -> 'required') r(key) WHERE NOT value ? r.key LIMIT 1;
    FOR member IN SELECT m.key, m.value FROM jsonb_each(value) m ORDER BY m.key LOOP
        problem := coalesce(problem,
            CASE WHEN schema -> 'properties' ? member.key
                 THEN tenancy.configuration_problem(member.value, schema -> 'properties' -> member.key, path || '.' || member.key)
                 WHEN schema -> 'additionalProperties' = 'false' THEN format('%s.%s is not known.', path, member.key) END);
    END LOOP;
    RETURN problem;
END
$function$;
COMMENT ON FUNCTION tenancy.configuration_problem(jsonb, jsonb, text) IS
    'what a JSON schema says against a value: type, enum, minimum, maximum, maxLength, pattern, items, properties, required, additionalProperties; NULL if nothing';
REVOKE ALL ON FUNCTION tenancy.configuration_problem(jsonb, jsonb, text) FROM PUBLIC;

-- Writes a tenant's configurations and features, and the revision.
CREATE FUNCTION tenancy.write_configuration(installed tenancy.tenant_systems, configurations jsonb, features_enabled jsonb) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    version tenancy.system_versions;
    problem text;
    unknown text;
    new_revision integer;
BEGIN
    SELECT v.* INTO version FROM tenancy.system_versions v WHERE v.version_id = installed.version_id;
    problem := tenancy.configuration_problem(coalesce(write_configuration.configurations, '{}'), version.configuration_schema);
    SELECT f.name INTO unknown FROM jsonb_array_elements_text(write_configuration.features_enabled) f(name)
     WHERE NOT version.features ? f.name LIMIT 1;
    IF problem IS NOT NULL OR unknown IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('version %s of system "%s" cannot be configured like that', version.version, version.system_id),
            DETAIL = coalesce(problem, format('There is no feature "%s".', unknown)),
            HINT = format('SELECT configuration_schema, features FROM tenancy.system_versions WHERE version_id = %L;', version.version_id);
    END IF;
    UPDATE tenancy.tenant_systems i
       SET configurations = write_configuration.configurations, features_enabled = write_configuration.features_enabled, updated_at = timezone('UTC', now())
     WHERE i.tenant_id = installed.tenant_id AND i.system_id = installed.system_id;
    INSERT INTO tenancy.configuration_revisions (tenant_id, system_id, revision, configurations, features_enabled)
    SELECT installed.tenant_id, installed.system_id, coalesce(max(r.revision), 0) + 1,
           write_configuration.configurations, write_configuration.features_enabled
      FROM tenancy.configuration_revisions r
     WHERE r.tenant_id = installed.tenant_id AND r.system_id = installed.system_id
    RETURNING revision INTO new_revision;
    RETURN new_revision;
END
$function$;
COMMENT ON FUNCTION tenancy.write_configuration(tenancy.tenant_systems, jsonb, jsonb) IS 'checks and writes what a tenant has set for a system';
REVOKE ALL ON FUNCTION tenancy.write_configuration(tenancy.tenant_systems, jsonb, jsonb) FROM PUBLIC;

CREATE FUNCTION tenancy.configure_system(tenant_id text, system_id text, configurations jsonb) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    installed tenancy.tenant_systems := tenancy.lock_tenant_system(tenant_id, system_id);
    merged jsonb;
BEGIN
    IF jsonb_typeof(configure_system.configurations) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'configurations must be a JSON object',
            HINT = 'For example {"currency": "EUR"}; a null takes a setting away.';
    END IF;
    SELECT jsonb_object_agg(c.key, c.value) INTO merged
      FROM jsonb_each(coalesce(installed.configurations, '{}') || configure_system.configurations) c
     WHERE c.value <> 'null';
    RETURN tenancy.write_configuration(installed, merged, installed.features_enabled);
END
$function$;
COMMENT ON FUNCTION tenancy.configure_system(text, text, jsonb) IS
    'sets what the object names for a tenant''s system, a null takes it away; returns the revision';
REVOKE ALL ON FUNCTION tenancy.configure_system(text, text, jsonb) FROM PUBLIC;

CREATE FUNCTION tenancy.enable_feature(tenant_id text, system_id text, feature text, enabled boolean DEFAULT true) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    installed tenancy.tenant_systems := tenancy.lock_tenant_system(tenant_id, system_id);
    remaining jsonb := coalesce(installed.features_enabled, '[]') - coalesce(feature, '');
BEGIN
    IF feature IS NULL OR enabled IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'feature and state must not be null';
    END IF;
    RETURN tenancy.write_configuration(installed, installed.configurations,
                                       CASE WHEN enabled THEN remaining || to_jsonb(feature) ELSE remaining END);
END
$function$;
COMMENT ON FUNCTION tenancy.enable_feature(text, text, text, boolean) IS
    'turns a feature of a tenant''s system on or off; returns the revision';
REVOKE ALL ON FUNCTION tenancy.enable_feature(text, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION tenancy.rollback_configuration(tenant_id text, system_id text, revision integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    installed tenancy.tenant_systems := tenancy.lock_tenant_system(tenant_id, system_id);
    former tenancy.configuration_revisions;
BEGIN
    SELECT r.* INTO former
      FROM tenancy.configuration_revisions r
     WHERE r.tenant_id = installed.tenant_id AND r.system_id = installed.system_id AND r.revision = rollback_configuration.revision;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('revision %s of system "%s" of tenant "%s" does not exist', revision, system_id, tenant_id),
            HINT = format('SELECT revision, changed_at FROM tenancy.configuration_revisions WHERE tenant_id = %L AND system_id = %L;',
                          tenant_id, system_id);
    END IF;
    RETURN tenancy.write_configuration(installed, former.configurations, former.features_enabled);
END
$function$;
COMMENT ON FUNCTION tenancy.rollback_configuration(text, text, integer) IS
    'brings the configurations and features of a revision back, as a new one';
REVOKE ALL ON FUNCTION tenancy.rollback_configuration(text, text, integer) FROM PUBLIC;
