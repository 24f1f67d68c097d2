
/*
 * system_version.sql — registering versions of systems and the migrations between them.
 *
 * What can be wrong with a version is told to the one who registers it, and not to the first tenant who gets it: scripts
 * are parsed, ranges are read, a cycle of dependencies is refused.  What a tenant has been given is frozen.
 */

-- An error if dependencies are not an object of ranges by other systems that are registered.
CREATE FUNCTION tenancy.check_dependencies(system_id text, dependencies jsonb) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    needed record;
BEGIN
    IF jsonb_typeof(dependencies) <> 'object' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'dependencies must be a JSON object',
            HINT = 'For example {"users": ">=1.0.0"}.';
    END IF;
    FOR needed IN SELECT d.key, d.value FROM jsonb_each(dependencies) d ORDER BY d.key LOOP
        IF needed.key = check_dependencies.system_id
           OR NOT EXISTS (SELECT FROM tenancy.management_systems s WHERE s.system_id = needed.key) THEN
            RAISE EXCEPTION USING
                ERRCODE = 'undefined_object',
                MESSAGE = format('system "%s" cannot depend on system "%s"', check_dependencies.system_id, needed.key),
                DETAIL = 'A system depends on other systems that are registered.';
        END IF;
        IF jsonb_typeof(needed.value) <> 'string' THEN
            RAISE EXCEPTION USING
                ERRCODE = 'invalid_parameter_value',
                MESSAGE = format('the range of versions of system "%s" must be a string', needed.key),
                HINT = format('For example {%s: ">=1.0.0 <2.0.0"}.', to_json(needed.key));
        END IF;
        PERFORM tenancy.version_satisfies('1.0.0', needed.value #>> '{}');
    END LOOP;
END
$function$;
COMMENT ON FUNCTION tenancy.check_dependencies(text, jsonb) IS
    'raises an error if a system cannot have these dependencies';
REVOKE ALL ON FUNCTION tenancy.check_dependencies(text, jsonb) FROM PUBLIC;

-- An error if a system would need itself, by whichever versions: no order could install its tenants' systems.
CREATE FUNCTION tenancy.check_dependency_cycle(system_id text, dependencies jsonb) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    way text[];
BEGIN
    WITH RECURSIVE edge (system_id, needs) AS (
        SELECT DISTINCT v.system_id::text, d.key
          FROM tenancy.system_versions v, jsonb_object_keys(v.dependencies) d(key)
    ), walk (at, way) AS (
        SELECT d.key, ARRAY[check_dependency_cycle.system_id, d.key]
          FROM jsonb_object_keys(check_dependency_cycle.dependencies) d(key)
        UNION ALL
        SELECT e.needs, w.way || e.needs
          FROM walk w JOIN edge e ON e.system_id = w.at
         WHERE w.at <> check_dependency_cycle.system_id
    )
    SELECT w.way INTO way FROM walk w WHERE w.at = check_dependency_cycle.system_id
     ORDER BY cardinality(w.way), w.way LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_object_definition',
            MESSAGE = format('system "%s" would depend on itself', check_dependency_cycle.system_id),
            DETAIL = 'The cycle is: ' || array_to_string(way, ' -> ') || '.',
            HINT = 'A dependency counts whichever versions it stands in; link systems that need each other: tenancy.link_systems().';
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.check_dependency_cycle(text, jsonb) IS
    'raises an error if a system would depend on itself, directly or by others';
REVOKE ALL ON FUNCTION tenancy.check_dependency_cycle(text, jsonb) FROM PUBLIC;

-- An error if compatibility is not {"extension": range, "postgresql": range, "conflicts": {system: range, …}}.
CREATE FUNCTION tenancy.check_compatibility(compatibility jsonb) RETURNS void
    LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    stated record;
BEGIN
    IF jsonb_typeof(compatibility) <> 'object'
       OR EXISTS (SELECT FROM jsonb_object_keys(compatibility) c(key)
                   WHERE c.key NOT IN ('extension', 'postgresql', 'conflicts'))
       OR jsonb_typeof(compatibility -> 'conflicts') <> 'object' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'malformed compatibility',
            DETAIL = 'It is an object of the ranges "extension" and "postgresql" and an object of ranges "conflicts".',
            HINT = 'For example {"extension": ">=1.0", "postgresql": ">=15", "conflicts": {"oldcrm": "*"}}.';
    END IF;
    FOR stated IN
        SELECT c.key, c.value FROM jsonb_each(compatibility - 'conflicts') c
        UNION ALL
        SELECT c.key, c.value FROM jsonb_each(compatibility -> 'conflicts') c
    LOOP
        IF jsonb_typeof(stated.value) <> 'string' THEN
            RAISE EXCEPTION USING
                ERRCODE = 'invalid_parameter_value',
                MESSAGE = format('the range of versions of "%s" must be a string', stated.key);
        END IF;
        PERFORM tenancy.version_satisfies('1.0.0', stated.value #>> '{}');
    END LOOP;
END
$function$;
COMMENT ON FUNCTION tenancy.check_compatibility(jsonb) IS 'raises an error if compatibility is malformed';
REVOKE ALL ON FUNCTION tenancy.check_compatibility(jsonb) FROM PUBLIC;

CREATE FUNCTION tenancy.script_checksum(VARIADIC scripts text[]) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tenancy_script_checksum';
COMMENT ON FUNCTION tenancy.script_checksum(text[]) IS
    'SHA-256, in hexadecimal: of one script as it is, of several as the JSON array of them';
REVOKE ALL ON FUNCTION tenancy.script_checksum(text[]) FROM PUBLIC;

-- Locks the system that a version or a migration is registered for, so that one comes after the other.
CREATE FUNCTION tenancy.lock_system(system_id text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    PERFORM FROM tenancy.management_systems s WHERE s.system_id = lock_system.system_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('system "%s" does not exist', lock_system.system_id),
            HINT = format('SELECT tenancy.register_system(%L, ''its name'', ''its type'', ''its vendor'');', lock_system.system_id);
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.lock_system(text) IS 'locks a system in the catalogue; an error if there is none';
REVOKE ALL ON FUNCTION tenancy.lock_system(text) FROM PUBLIC;

CREATE FUNCTION tenancy.register_version(system_id text, version text, install_sql text,
                                         release_notes text DEFAULT NULL, dependencies jsonb DEFAULT NULL,
                                         compatibility jsonb DEFAULT NULL, verify_sql text DEFAULT NULL,
                                         configuration_schema jsonb DEFAULT NULL, features jsonb DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    registering name := tenancy.registering_extension();
    present tenancy.system_versions;
    new_id text := register_version.system_id || '-' || register_version.version;
BEGIN
    PERFORM tenancy.check_version(coalesce(register_version.version, ''));
    IF register_version.install_sql IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'null_value_not_allowed', MESSAGE = 'the script of a system must not be null';
    END IF;
    PERFORM tenancy.lock_system(register_version.system_id);
    PERFORM tenancy.check_script(register_version.install_sql);
    PERFORM tenancy.check_script(register_version.verify_sql);
    PERFORM tenancy.check_dependencies(register_version.system_id, register_version.dependencies);
    PERFORM tenancy.check_compatibility(register_version.compatibility);

    SELECT v.* INTO present FROM tenancy.system_versions v WHERE v.version_id = new_id;
    IF FOUND THEN
        IF registering IS NOT NULL AND present.extension = registering
           AND present.install_sql = register_version.install_sql THEN
            RETURN new_id;
        END IF;
        RAISE EXCEPTION USING
            ERRCODE = 'duplicate_object',
            MESSAGE = format('version %s of system "%s" is registered already', register_version.version,
                             register_version.system_id),
            HINT = 'Register a new version.';
    END IF;

    -- Two halves of a cycle must not be registered at once.
    LOCK TABLE tenancy.system_versions IN SHARE ROW EXCLUSIVE MODE;
    PERFORM tenancy.check_dependency_cycle(register_version.system_id, register_version.dependencies);
    INSERT INTO tenancy.system_versions
        (version_id, system_id, version, release_notes, schema_version, dependencies, compatibility, install_sql,
         verify_sql, checksum, configuration_schema, features, extension)
    SELECT new_id, register_version.system_id, register_version.version, register_version.release_notes,
           coalesce(max(v.schema_version), 0) + 1, register_version.dependencies, register_version.compatibility,
           register_version.install_sql, register_version.verify_sql,
           tenancy.script_checksum(register_version.install_sql), register_version.configuration_schema,
           register_version.features, registering
      FROM tenancy.system_versions v WHERE v.system_id = register_version.system_id;
    RETURN new_id;
END
$function$;
COMMENT ON FUNCTION tenancy.register_version(text, text, text, text, jsonb, jsonb, text, jsonb, jsonb) IS
    'adds a version of a system: the script that makes it in a tenant''s schema';
REVOKE ALL ON FUNCTION tenancy.register_version(text, text, text, text, jsonb, jsonb, text, jsonb, jsonb) FROM PUBLIC;

-- "crm-1.0.0-1.1.0", as far as that fits.
CREATE FUNCTION tenancy.migration_id(system_id text, version_from text, version_to text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT CASE WHEN length(m.id) <= 50 THEN m.id ELSE left(m.id, 37) || '-' || left(md5(m.id), 12) END
      FROM (SELECT system_id || '-' || version_from || '-' || version_to) m(id)
$function$;
COMMENT ON FUNCTION tenancy.migration_id(text, text, text) IS 'the key of a migration in schema_migrations';
REVOKE ALL ON FUNCTION tenancy.migration_id(text, text, text) FROM PUBLIC;

-- An error unless both versions are registered and the second one is the later.
CREATE FUNCTION tenancy.check_migration_versions(system_id text, version_from text, version_to text) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    missing text;
BEGIN
    SELECT w.version INTO missing
      FROM unnest(ARRAY[version_from, version_to]) w(version)
     WHERE NOT EXISTS (SELECT FROM tenancy.system_versions v
                        WHERE v.system_id = check_migration_versions.system_id AND v.version = w.version)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('version %s of system "%s" does not exist', coalesce(missing, 'NULL'), check_migration_versions.system_id),
            HINT = format('SELECT tenancy.register_version(%L, %L, ''CREATE TABLE ...'');',
                          check_migration_versions.system_id, missing);
    END IF;
    IF tenancy.compare_versions(version_from, version_to) >= 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('a migration cannot lead from version %s to version %s', version_from, version_to),
            DETAIL = 'A migration leads to a later version.',
            HINT = 'The way back is the rollback_sql of the migration that leads there.';
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.check_migration_versions(text, text, text) IS
    'raises an error if no migration can lead from one version to the other';
REVOKE ALL ON FUNCTION tenancy.check_migration_versions(text, text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.register_migration(system_id text, version_from text, version_to text, migration_sql text,
                                           rollback_sql text DEFAULT NULL, description text DEFAULT NULL,
                                           verify_sql text DEFAULT NULL, transactional boolean DEFAULT true) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    registering name := tenancy.registering_extension();
    new_id text := tenancy.migration_id(register_migration.system_id, register_migration.version_from,
                                        register_migration.version_to);
    new_checksum text := tenancy.script_checksum(register_migration.migration_sql, register_migration.rollback_sql,
                                                 register_migration.verify_sql);
BEGIN
    IF register_migration.migration_sql IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'null_value_not_allowed', MESSAGE = 'the script of a migration must not be null';
    END IF;
    PERFORM tenancy.lock_system(register_migration.system_id);
    PERFORM tenancy.check_migration_versions(register_migration.system_id, register_migration.version_from,
                                             register_migration.version_to);
    PERFORM tenancy.check_script(register_migration.migration_sql);
    PERFORM tenancy.check_script(register_migration.rollback_sql);
    PERFORM tenancy.check_script(register_migration.verify_sql);

    -- As long as no tenant has had it, a migration may be corrected; freeze_migration() says when it may not.
    INSERT INTO tenancy.schema_migrations AS m
        (migration_id, system_id, version_from, version_to, schema_version_from, schema_version_to, migration_sql,
         rollback_sql, description, verify_sql, checksum, transactional, extension)
    SELECT new_id, f.system_id, f.version, t.version, f.schema_version, t.schema_version,
           register_migration.migration_sql, register_migration.rollback_sql, register_migration.description,
           register_migration.verify_sql, new_checksum, coalesce(register_migration.transactional, true), registering
      FROM tenancy.system_versions f JOIN tenancy.system_versions t ON t.system_id = f.system_id
     WHERE f.system_id = register_migration.system_id AND f.version = register_migration.version_from
       AND t.version = register_migration.version_to
    ON CONFLICT (migration_id) DO UPDATE
        SET migration_sql = excluded.migration_sql, rollback_sql = excluded.rollback_sql,
            description = excluded.description, verify_sql = excluded.verify_sql, checksum = excluded.checksum,
            transactional = excluded.transactional, extension = excluded.extension;
    RETURN new_id;
END
$function$;
COMMENT ON FUNCTION tenancy.register_migration(text, text, text, text, text, text, text, boolean) IS
    'adds a script that leads from one version of a system to a later one, and one that leads back';
REVOKE ALL ON FUNCTION tenancy.register_migration(text, text, text, text, text, text, text, boolean) FROM PUBLIC;
