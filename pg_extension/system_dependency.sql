
/*
 * system_dependency.sql — what a tenant must have for a version of a system, and who would miss what it has.
 *
 * A version names the systems that it needs by ranges of versions.  Whenever a tenant's systems change, both sides are
 * looked at: what the new version needs must be there, and what the tenant has must go on having what it needs.
 */

-- What a tenant has: only that counts as a dependency.
CREATE VIEW tenancy.tenant_versions AS
    SELECT i.tenant_id, i.system_id, v.version, v.version_id, v.dependencies, v.compatibility
      FROM tenancy.tenant_systems i
      JOIN tenancy.system_versions v ON v.version_id = i.version_id
     WHERE i.schema_name IS NOT NULL;
COMMENT ON VIEW tenancy.tenant_versions IS 'the systems that tenants have, with what their versions need';
REVOKE ALL ON tenancy.tenant_versions FROM PUBLIC;

CREATE FUNCTION tenancy.unmet_dependencies(tenant_id text, version_id text, OUT system_id text, OUT range text, OUT present text)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    RETURN QUERY
    SELECT d.key, d.value, h.version::text
      FROM tenancy.system_versions v
     CROSS JOIN jsonb_each_text(v.dependencies) d
      LEFT JOIN tenancy.tenant_versions h ON h.tenant_id = unmet_dependencies.tenant_id AND h.system_id = d.key
     WHERE v.version_id = unmet_dependencies.version_id
       AND (h.version IS NULL OR NOT tenancy.version_satisfies(h.version, d.value))
     ORDER BY d.key;
END
$function$;
COMMENT ON FUNCTION tenancy.unmet_dependencies(text, text) IS
    'what a version needs and a tenant does not have, or has in another version';
REVOKE ALL ON FUNCTION tenancy.unmet_dependencies(text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.broken_dependents(tenant_id text, system_id text, new_version text, OUT dependent text, OUT version text,
                                          OUT range text)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    RETURN QUERY
    SELECT h.system_id::text, h.version::text, h.dependencies ->> broken_dependents.system_id
      FROM tenancy.tenant_versions h
     WHERE h.tenant_id = broken_dependents.tenant_id AND h.dependencies ? broken_dependents.system_id
       AND (broken_dependents.new_version IS NULL
            OR NOT tenancy.version_satisfies(broken_dependents.new_version,
                                             h.dependencies ->> broken_dependents.system_id))
     ORDER BY h.system_id;
END
$function$;
COMMENT ON FUNCTION tenancy.broken_dependents(text, text, text) IS
    'a tenant''s systems that need this one in another version than the new one; NULL is none at all';
REVOKE ALL ON FUNCTION tenancy.broken_dependents(text, text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.matching_version(system_id text, range text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT v.version
      FROM tenancy.system_versions v
     WHERE v.system_id = matching_version.system_id AND tenancy.version_satisfies(v.version, matching_version.range)
       AND NOT EXISTS (SELECT FROM tenancy.system_versions w
                        WHERE w.system_id = v.system_id AND tenancy.version_satisfies(w.version, matching_version.range)
                          AND tenancy.compare_versions(w.version, v.version) > 0)
$function$;
COMMENT ON FUNCTION tenancy.matching_version(text, text) IS 'the latest version of a system in a range; NULL if there is none';
REVOKE ALL ON FUNCTION tenancy.matching_version(text, text) FROM PUBLIC;

-- The line to type so that a tenant has a system in a range of versions.
CREATE FUNCTION tenancy.dependency_hint(tenant_id text, system_id text, range text, present text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT CASE WHEN w.version IS NULL
                THEN format('No version of system "%s" is in the range %s.', system_id, range)
                WHEN present IS NULL
                THEN format('SELECT tenancy.install_system(%L, %L, %L);', tenant_id, system_id, w.version)
                WHEN tenancy.compare_versions(w.version, present) > 0
                THEN format('SELECT tenancy.update_system(%L, %L, %L);', tenant_id, system_id, w.version)
                ELSE format('SELECT tenancy.rollback_system(%L, %L, %L);', tenant_id, system_id, w.version) END
      FROM tenancy.matching_version(system_id, range) w(version)
$function$;
COMMENT ON FUNCTION tenancy.dependency_hint(text, text, text, text) IS
    'the statement that gives a tenant a system in a range of versions';
REVOKE ALL ON FUNCTION tenancy.dependency_hint(text, text, text, text) FROM PUBLIC;

-- Why a version cannot be had, here or by this tenant, in words; NULL if it can.
CREATE FUNCTION tenancy.incompatibility(tenant_id text, system_id text, version text, compatibility jsonb) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT CASE WHEN NOT tenancy.version_satisfies(e.version, incompatibility.compatibility ->> 'extension')
                THEN format('It needs tenancy %s, and this is %s.', compatibility ->> 'extension', e.version)
                WHEN NOT tenancy.version_satisfies(p.version, incompatibility.compatibility ->> 'postgresql')
                THEN format('It needs PostgreSQL %s, and this is %s.', compatibility ->> 'postgresql', p.version)
                ELSE (SELECT format('System "%s" %s of tenant "%s" does not go together with it.', h.system_id, h.version, h.tenant_id)
                        FROM tenancy.tenant_versions h
                       WHERE h.tenant_id = incompatibility.tenant_id AND h.system_id <> incompatibility.system_id
                         AND (tenancy.version_satisfies(h.version, incompatibility.compatibility -> 'conflicts' ->> h.system_id)
                              OR tenancy.version_satisfies(incompatibility.version,
                                                           h.compatibility -> 'conflicts' ->> incompatibility.system_id))
                       ORDER BY h.system_id LIMIT 1) END
      FROM (SELECT regexp_replace(x.extversion || '.0.0', '^(\d+\.\d+\.\d+).*', '\1') FROM pg_extension x WHERE x.extname = 'tenancy') e(version),
           (SELECT format('%s.%s.0', n.number / 10000, n.number % 10000)
              FROM (SELECT current_setting('server_version_num')::integer) n(number)) p(version)
$function$;
COMMENT ON FUNCTION tenancy.incompatibility(text, text, text, jsonb) IS
    'why a version cannot be had, for this server and extension or beside the tenant''s other systems; NULL if it can';
REVOKE ALL ON FUNCTION tenancy.incompatibility(text, text, text, jsonb) FROM PUBLIC;

CREATE FUNCTION tenancy.check_tenant_dependencies(tenant_id text, system_id text, version text, version_id text) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    unmet record;
    broken text;
    problem text;
    wanted tenancy.system_versions;
    has_conflicts boolean;
    is_needed boolean;
BEGIN
    -- Most versions need nothing and nobody: a rollout asks this for each tenant.
    IF NOT EXISTS (SELECT FROM tenancy.system_versions v
                    WHERE v.version_id = check_tenant_dependencies.version_id
                      AND (v.dependencies IS NOT NULL OR v.compatibility IS NOT NULL))
       AND NOT EXISTS (SELECT FROM tenancy.tenant_versions h
                        WHERE h.tenant_id = check_tenant_dependencies.tenant_id
                          AND (h.dependencies ? check_tenant_dependencies.system_id OR h.compatibility ? 'conflicts')) THEN
        RETURN;
    END IF;
    SELECT v.* INTO wanted FROM tenancy.system_versions v WHERE v.version_id = check_tenant_dependencies.version_id;
    SELECT bool_or(h.compatibility ? 'conflicts'), bool_or(h.dependencies ? check_tenant_dependencies.system_id)
      INTO has_conflicts, is_needed
      FROM tenancy.tenant_versions h WHERE h.tenant_id = check_tenant_dependencies.tenant_id;
    IF wanted.compatibility IS NOT NULL OR has_conflicts THEN
        problem := tenancy.incompatibility(check_tenant_dependencies.tenant_id, wanted.system_id, wanted.version, wanted.compatibility);
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('version %s of system "%s" is not compatible', check_tenant_dependencies.version, check_tenant_dependencies.system_id),
            DETAIL = problem,
            HINT = format('SELECT version, compatibility FROM tenancy.system_versions WHERE system_id = %L;', check_tenant_dependencies.system_id);
    END IF;
    FOR unmet IN
        SELECT d.* FROM tenancy.unmet_dependencies(check_tenant_dependencies.tenant_id, check_tenant_dependencies.version_id) d
         WHERE wanted.dependencies IS NOT NULL
    LOOP
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('system "%s" needs system "%s"', check_tenant_dependencies.system_id, unmet.system_id),
            DETAIL = CASE WHEN unmet.present IS NULL
                          THEN format('Tenant "%s" does not have it.', check_tenant_dependencies.tenant_id)
                          ELSE format('Version %s needs %s, and tenant "%s" has version %s.', check_tenant_dependencies.version,
                                      unmet.range, check_tenant_dependencies.tenant_id, unmet.present) END,
            HINT = tenancy.dependency_hint(check_tenant_dependencies.tenant_id, unmet.system_id, unmet.range, unmet.present);
    END LOOP;

    IF is_needed IS NOT TRUE THEN
        RETURN;
    END IF;
    SELECT string_agg(format('"%s" %s needs %s', b.dependent, b.version, b.range), ', ') INTO broken
      FROM tenancy.broken_dependents(check_tenant_dependencies.tenant_id, check_tenant_dependencies.system_id,
                                     check_tenant_dependencies.version) b;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'dependent_objects_still_exist',
            MESSAGE = format('other systems of tenant "%s" need another version of system "%s" than %s',
                             check_tenant_dependencies.tenant_id, check_tenant_dependencies.system_id,
                             check_tenant_dependencies.version),
            DETAIL = 'System ' || broken || '.',
            HINT = 'Update or uninstall them first.';
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.check_tenant_dependencies(text, text, text, text) IS
    'raises an error if a tenant''s systems would not go together with this version';
REVOKE ALL ON FUNCTION tenancy.check_tenant_dependencies(text, text, text, text) FROM PUBLIC;
