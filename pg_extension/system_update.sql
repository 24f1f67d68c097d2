
/*
 * system_update.sql — leading a tenant's system from one version to another, and back.
 *
 * One transaction holds the scripts, what they made and its protection, the version row and the history: a tenant is in
 * the old version or in the new one.  The way is the shortest chain of migrations, as that of ALTER EXTENSION … UPDATE.
 */

CREATE TABLE tenancy.tenant_system_history (
    history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id varchar(50) COLLATE "C" NOT NULL,
    system_id varchar(50) NOT NULL,
    direction text NOT NULL
        CONSTRAINT tenant_system_history_direction CHECK (direction IN ('install', 'up', 'down', 'uninstall', 'restore')),
    version_from varchar(20),
    version_to varchar(20),
    migration_id varchar(50),
    checksum text,
    schema_name name,
    executed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    executed_by name NOT NULL DEFAULT session_user,
    duration interval,
    sqlstate text,
    error_message text
);
CREATE INDEX tenant_system_history_tenant_idx ON tenancy.tenant_system_history (tenant_id, system_id, history_id);
CREATE INDEX tenant_system_history_migration_idx ON tenancy.tenant_system_history (migration_id) WHERE migration_id IS NOT NULL;
COMMENT ON TABLE tenancy.tenant_system_history IS 'what was done to each tenant''s systems, and what was tried in vain';
COMMENT ON COLUMN tenancy.tenant_system_history.direction IS 'install, up, down, uninstall, or restore from an archive';
COMMENT ON COLUMN tenancy.tenant_system_history.checksum IS 'of the scripts that ran';
COMMENT ON COLUMN tenancy.tenant_system_history.sqlstate IS 'NULL if it went well';
REVOKE ALL ON tenancy.tenant_system_history FROM PUBLIC;
REVOKE ALL ON SEQUENCE tenancy.tenant_system_history_history_id_seq FROM PUBLIC;
SELECT pg_extension_config_dump('tenancy.tenant_system_history', '');
SELECT pg_extension_config_dump('tenancy.tenant_system_history_history_id_seq', '');

-- Two tenants who are said to have had one migration have had the same one.
CREATE FUNCTION tenancy.freeze_migration() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF EXISTS (SELECT FROM tenancy.tenant_system_history h
                WHERE h.migration_id = OLD.migration_id AND h.sqlstate IS NULL) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('migration "%s" cannot be changed', OLD.migration_id),
            DETAIL = 'Tenants have been given its script already.',
            HINT = 'Register a new version, and a migration that leads to it.';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$function$;
COMMENT ON FUNCTION tenancy.freeze_migration() IS 'refuses to change a migration that a tenant has had';
REVOKE ALL ON FUNCTION tenancy.freeze_migration() FROM PUBLIC;
CREATE TRIGGER freeze_migration BEFORE UPDATE ON tenancy.schema_migrations
    FOR EACH ROW WHEN ((OLD.migration_id, OLD.system_id, OLD.version_from, OLD.version_to, OLD.migration_sql,
                        OLD.rollback_sql, OLD.verify_sql, OLD.checksum, OLD.transactional)
                       IS DISTINCT FROM
                       (NEW.migration_id, NEW.system_id, NEW.version_from, NEW.version_to, NEW.migration_sql,
                        NEW.rollback_sql, NEW.verify_sql, NEW.checksum, NEW.transactional))
    EXECUTE FUNCTION tenancy.freeze_migration();
CREATE TRIGGER keep_migration BEFORE DELETE ON tenancy.schema_migrations
    FOR EACH ROW EXECUTE FUNCTION tenancy.freeze_migration();

-- Breadth first, so that the first way found is a shortest one; no version is looked at twice.
CREATE FUNCTION tenancy.migration_path(system_id text, version_from text, version_to text,
                                       OUT step integer, OUT direction text, OUT migration_id text,
                                       OUT step_from text, OUT step_to text)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    up boolean := tenancy.compare_versions(version_to, version_from) > 0;
    frontier text[] := ARRAY[version_from];
    came_from jsonb := '{}';
    found_now jsonb;
    way text[] := ARRAY[version_to];
BEGIN
    -- One step leads there from most versions; a rollout asks for each tenant.
    SELECT m.migration_id INTO migration_id FROM tenancy.schema_migrations m
     WHERE m.system_id = migration_path.system_id
       AND m.version_from = CASE WHEN up THEN migration_path.version_from ELSE migration_path.version_to END
       AND m.version_to = CASE WHEN up THEN migration_path.version_to ELSE migration_path.version_from END
       AND (up OR m.rollback_sql IS NOT NULL);
    IF FOUND THEN
        step := 1;
        direction := CASE WHEN up THEN 'up' ELSE 'down' END;
        step_from := migration_path.version_from;
        step_to := migration_path.version_to;
        RETURN NEXT;
        RETURN;
    END IF;

    WHILE NOT version_to = ANY (frontier) LOOP
        SELECT jsonb_object_agg(e.next, jsonb_build_array(e.previous, e.id)) INTO found_now
          FROM (SELECT DISTINCT ON (n.next) n.next, n.previous, n.id
                  FROM (SELECT CASE WHEN up THEN m.version_to ELSE m.version_from END,
                               CASE WHEN up THEN m.version_from ELSE m.version_to END, m.migration_id
                          FROM tenancy.schema_migrations m
                         WHERE m.system_id = migration_path.system_id AND (up OR m.rollback_sql IS NOT NULL)
                       ) n(next, previous, id)
                 WHERE n.previous = ANY (frontier) AND NOT came_from ? n.next AND n.next <> migration_path.version_from
                 ORDER BY n.next, n.id) e;
        IF found_now IS NULL THEN
            RETURN;
        END IF;
        came_from := came_from || found_now;
        frontier := ARRAY(SELECT jsonb_object_keys(found_now));
    END LOOP;

    WHILE way[1] <> version_from LOOP
        way := (came_from -> way[1] ->> 0) || way;
    END LOOP;
    direction := CASE WHEN up THEN 'up' ELSE 'down' END;
    step := 0;
    WHILE step < cardinality(way) - 1 LOOP
        step := step + 1;
        step_from := way[step];
        step_to := way[step + 1];
        migration_id := came_from -> step_to ->> 1;
        RETURN NEXT;
    END LOOP;
END
$function$;
COMMENT ON FUNCTION tenancy.migration_path(text, text, text) IS
    'the shortest chain of migrations from one version to another; no row if there is none';
REVOKE ALL ON FUNCTION tenancy.migration_path(text, text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.run_migration(tenant_id text, role_name name, schema_name name, script text, description text)
    RETURNS void
    LANGUAGE c VOLATILE STRICT
    AS 'MODULE_PATHNAME', 'tenancy_run_migration';
COMMENT ON FUNCTION tenancy.run_migration(text, name, name, text, text) IS
    'runs a script in a tenant''s schema as its owner, and protects and grants what it made';
REVOKE ALL ON FUNCTION tenancy.run_migration(text, name, name, text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.run_verification(tenant_id text, schema_name name, verify_sql text, description text) RETURNS void
    LANGUAGE c VOLATILE STRICT
    AS 'MODULE_PATHNAME', 'tenancy_run_verification';
COMMENT ON FUNCTION tenancy.run_verification(text, name, text, text) IS
    'runs queries in a tenant''s schema as its owner; an error if one says false';
REVOKE ALL ON FUNCTION tenancy.run_verification(text, name, text, text) FROM PUBLIC;

-- A tenant's system, locked, for a change of its version; an error if the tenant does not have it.
CREATE FUNCTION tenancy.lock_tenant_system(tenant_id text, system_id text, wanted boolean DEFAULT true) RETURNS tenancy.tenant_systems
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    tenant tenancy.tenants := tenancy.lock_tenant_row(lock_tenant_system.tenant_id);
    present tenancy.tenant_systems;
BEGIN
    SELECT i.* INTO present FROM tenancy.tenant_systems i
     WHERE i.tenant_id = tenant.tenant_id AND i.system_id = lock_tenant_system.system_id AND i.schema_name IS NOT NULL
       FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('tenant "%s" does not have system "%s"', tenant.tenant_id, lock_tenant_system.system_id),
            HINT = CASE WHEN wanted THEN format('SELECT tenancy.install_system(%L, %L);', tenant.tenant_id, lock_tenant_system.system_id)
                        ELSE format('SELECT system_id FROM tenancy.installed_systems WHERE tenant_id = %L;', tenant.tenant_id) END;
    END IF;
    RETURN present;
END
$function$;
COMMENT ON FUNCTION tenancy.lock_tenant_system(text, text, boolean) IS 'locks a tenant and its system and returns the latter''s row';
REVOKE ALL ON FUNCTION tenancy.lock_tenant_system(text, text, boolean) FROM PUBLIC;

-- The version of that name, or the latest one; an error if there is none.
CREATE FUNCTION tenancy.find_version(system_id text, version text) RETURNS tenancy.system_versions
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    wanted tenancy.system_versions;
BEGIN
    SELECT v.* INTO wanted FROM tenancy.system_versions v
     WHERE v.system_id = find_version.system_id
       AND (v.version = find_version.version OR find_version.version IS NULL AND v.is_latest);
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('version %s of system "%s" does not exist', find_version.version, find_version.system_id),
            HINT = format('SELECT version FROM tenancy.system_versions WHERE system_id = %L;', find_version.system_id);
    END IF;
    RETURN wanted;
END
$function$;
COMMENT ON FUNCTION tenancy.find_version(text, text) IS 'a version of a system, the latest if none is named';
REVOKE ALL ON FUNCTION tenancy.find_version(text, text) FROM PUBLIC;

-- In plpgsql: a session that leads many tenants plans these two once.
CREATE FUNCTION tenancy.note_migration(installed tenancy.tenant_systems, migration tenancy.schema_migrations, is_up boolean,
                                       began timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    INSERT INTO tenancy.tenant_system_history
        (tenant_id, system_id, direction, version_from, version_to, migration_id, checksum, schema_name, executed_at, duration)
    VALUES (installed.tenant_id, installed.system_id, CASE WHEN is_up THEN 'up' ELSE 'down' END,
            CASE WHEN is_up THEN migration.version_from ELSE migration.version_to END,
            CASE WHEN is_up THEN migration.version_to ELSE migration.version_from END,
            migration.migration_id, migration.checksum, installed.schema_name, began, clock_timestamp() - began);
END
$function$;
COMMENT ON FUNCTION tenancy.note_migration(tenancy.tenant_systems, tenancy.schema_migrations, boolean, timestamptz) IS
    'writes down that a migration was run for a tenant';
REVOKE ALL ON FUNCTION tenancy.note_migration(tenancy.tenant_systems, tenancy.schema_migrations, boolean, timestamptz) FROM PUBLIC;

CREATE FUNCTION tenancy.note_version(installed tenancy.tenant_systems, reached tenancy.system_versions) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    UPDATE tenancy.tenant_systems i
       SET version_id = reached.version_id, status = 'installed', error_message = NULL, updated_at = timezone('UTC', now())
     WHERE i.tenant_id = installed.tenant_id AND i.system_id = installed.system_id;
END
$function$;
COMMENT ON FUNCTION tenancy.note_version(tenancy.tenant_systems, tenancy.system_versions) IS
    'writes down that a tenant has a version of a system';
REVOKE ALL ON FUNCTION tenancy.note_version(tenancy.tenant_systems, tenancy.system_versions) FROM PUBLIC;

-- One migration of a path, up or down, for one tenant.
CREATE FUNCTION tenancy.apply_migration(installed tenancy.tenant_systems, migration_id text, direction text, goal text,
                                        force boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    migration tenancy.schema_migrations;
    began timestamptz := clock_timestamp();
    is_up boolean := direction = 'up';
    from_version text;
    to_version text;
    description text;
    role_name name := tenancy.ensure_tenant_role(installed.tenant_id);
BEGIN
    SELECT m.* INTO migration FROM tenancy.schema_migrations m WHERE m.migration_id = apply_migration.migration_id;
    IF migration.checksum <> tenancy.script_checksum(migration.migration_sql, migration.rollback_sql, migration.verify_sql) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('migration "%s" has been edited', migration.migration_id),
            DETAIL = 'Its scripts are not those that were registered.',
            HINT = 'Bring the registered scripts back, or register a new version and a migration that leads to it.';
    END IF;
    IF NOT migration.transactional THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = format('migration "%s" does not run in a transaction', migration.migration_id),
            HINT = format('A rollout runs it: SELECT tenancy.start_rollout(%L, %L);', migration.system_id, migration.version_to);
    END IF;
    from_version := CASE WHEN is_up THEN migration.version_from ELSE migration.version_to END;
    to_version := CASE WHEN is_up THEN migration.version_to ELSE migration.version_from END;

    description := format('%s of system "%s" from version %s to %s for tenant "%s"',
                          CASE WHEN is_up THEN 'update' ELSE 'rollback' END, installed.system_id, from_version, to_version,
                          installed.tenant_id);
    IF is_up THEN
        PERFORM tenancy.run_migration(installed.tenant_id, role_name, installed.schema_name, migration.migration_sql, description);
        PERFORM tenancy.run_verification(installed.tenant_id, installed.schema_name, migration.verify_sql, description);
    ELSE
        PERFORM tenancy.run_rollback(installed, role_name, migration.rollback_sql, description, goal, force);
    END IF;
    PERFORM tenancy.note_migration(installed, migration, is_up, began);
END
$function$;
COMMENT ON FUNCTION tenancy.apply_migration(tenancy.tenant_systems, text, text, text, boolean) IS 'runs one migration for one tenant and writes it down';
REVOKE ALL ON FUNCTION tenancy.apply_migration(tenancy.tenant_systems, text, text, text, boolean) FROM PUBLIC;

-- Leads a tenant's system to a version along the path; both directions.
CREATE FUNCTION tenancy.move_system(installed tenancy.tenant_systems, wanted tenancy.system_versions, from_version text,
                                    force boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    path record;
    steps integer := 0;
BEGIN
    PERFORM tenancy.check_tenant_dependencies(installed.tenant_id, installed.system_id, wanted.version, wanted.version_id);
    FOR path IN SELECT * FROM tenancy.migration_path(installed.system_id, from_version, wanted.version) ORDER BY step LOOP
        PERFORM tenancy.apply_migration(installed, path.migration_id, path.direction, wanted.version, force);
        steps := steps + 1;
    END LOOP;
    IF steps = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('no migration leads from version %s of system "%s" to version %s', from_version,
                             installed.system_id, wanted.version),
            DETAIL = CASE WHEN tenancy.compare_versions(wanted.version, from_version) < 0
                          THEN 'A way back needs a rollback_sql in every migration.'
                          ELSE 'A way is a chain of registered migrations, each from one version to a later one.' END,
            HINT = format('SELECT tenancy.register_migration(%L, %L, %L, ''ALTER TABLE ...'');', installed.system_id,
                          CASE WHEN tenancy.compare_versions(wanted.version, from_version) < 0 THEN wanted.version ELSE from_version END,
                          CASE WHEN tenancy.compare_versions(wanted.version, from_version) < 0 THEN from_version ELSE wanted.version END);
    END IF;
    PERFORM tenancy.note_version(installed, wanted);
END
$function$;
COMMENT ON FUNCTION tenancy.move_system(tenancy.tenant_systems, tenancy.system_versions, text, boolean) IS
    'leads a tenant''s system to a version by the shortest chain of migrations';
REVOKE ALL ON FUNCTION tenancy.move_system(tenancy.tenant_systems, tenancy.system_versions, text, boolean) FROM PUBLIC;

CREATE FUNCTION tenancy.update_system(tenant_id text, system_id text, version text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    installed tenancy.tenant_systems := tenancy.lock_tenant_system(tenant_id, system_id);
    wanted tenancy.system_versions := tenancy.find_version(system_id, version);
    present text := (SELECT v.version FROM tenancy.system_versions v WHERE v.version_id = installed.version_id);
BEGIN
    IF wanted.version_id = installed.version_id THEN
        RETURN present;
    END IF;
    IF tenancy.compare_versions(wanted.version, present) < 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('tenant "%s" has version %s of system "%s", which is later than %s', tenant_id, present,
                             system_id, wanted.version),
            HINT = format('SELECT tenancy.rollback_system(%L, %L, %L);', tenant_id, system_id, wanted.version);
    END IF;
    PERFORM tenancy.move_system(installed, wanted, present, false);
    RETURN wanted.version;
END
$function$;
COMMENT ON FUNCTION tenancy.update_system(text, text, text) IS
    'leads a tenant''s system to a later version, the latest if none is named, and returns it';
REVOKE ALL ON FUNCTION tenancy.update_system(text, text, text) FROM PUBLIC;
