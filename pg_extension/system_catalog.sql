
/*
 * system_catalog.sql — which systems there are, in which versions, and which tenant has which.
 *
 * A system is a set of tables that a tenant gets in a schema of its own; a version of it is an SQL script.  Columns,
 * types and indexes are those of the management system repository; times are UTC.  What the companion extensions
 * register is not dumped: their CREATE EXTENSION brings it back.
 */

CREATE TABLE tenancy.management_systems (
    system_id varchar(50) PRIMARY KEY
        CONSTRAINT management_systems_id CHECK (system_id ~ '^[a-z][a-z0-9_-]{0,28}$'),
    name varchar(100) NOT NULL,
    description text,
    type varchar(50) NOT NULL
        CONSTRAINT management_systems_type CHECK (type ~ '^[a-z][a-z0-9]{0,23}$'),
    vendor varchar(100) NOT NULL,
    status varchar(20) NOT NULL DEFAULT 'active',
    created_at timestamp NOT NULL DEFAULT timezone('UTC', now()),
    updated_at timestamp NOT NULL DEFAULT timezone('UTC', now()),
    metadata jsonb,
    extension name
);
CREATE INDEX management_systems_type_idx ON tenancy.management_systems (type);
CREATE INDEX management_systems_vendor_idx ON tenancy.management_systems (vendor);
CREATE INDEX management_systems_status_idx ON tenancy.management_systems (status);
COMMENT ON TABLE tenancy.management_systems IS 'the systems that tenants can have';
COMMENT ON COLUMN tenancy.management_systems.type IS 'ends the name of a tenant''s schema; a tenant has one system of a type';
COMMENT ON COLUMN tenancy.management_systems.extension IS 'the extension that registered it; NULL if by hand';

CREATE TABLE tenancy.system_versions (
    version_id varchar(50) PRIMARY KEY,
    system_id varchar(50) NOT NULL REFERENCES tenancy.management_systems (system_id),
    version varchar(20) NOT NULL
        CONSTRAINT system_versions_version CHECK (tenancy.check_version(version)),
    release_notes text,
    schema_version integer NOT NULL,
    is_latest boolean NOT NULL DEFAULT false,
    release_date timestamp NOT NULL DEFAULT timezone('UTC', now()),
    created_at timestamp NOT NULL DEFAULT timezone('UTC', now()),
    dependencies jsonb
        CONSTRAINT system_versions_dependencies CHECK (jsonb_typeof(dependencies) = 'object'),
    compatibility jsonb
        CONSTRAINT system_versions_compatibility CHECK (jsonb_typeof(compatibility) = 'object'),
    install_sql text NOT NULL,
    verify_sql text,
    checksum text NOT NULL,
    configuration_schema jsonb
        CONSTRAINT system_versions_configuration_schema CHECK (jsonb_typeof(configuration_schema) = 'object'),
    features jsonb
        CONSTRAINT system_versions_features CHECK (jsonb_typeof(features) = 'array'),
    extension name,
    UNIQUE (system_id, version),
    UNIQUE (system_id, schema_version)
);
CREATE INDEX system_versions_system_id_idx ON tenancy.system_versions (system_id);
CREATE INDEX system_versions_latest_idx ON tenancy.system_versions (system_id, is_latest);
CREATE INDEX system_versions_schema_version_idx ON tenancy.system_versions (schema_version);
COMMENT ON TABLE tenancy.system_versions IS 'the versions of systems, each with the script that makes it';
COMMENT ON COLUMN tenancy.system_versions.schema_version IS 'counts the versions of one system in the order of their registration';
COMMENT ON COLUMN tenancy.system_versions.is_latest IS 'the highest version, a prerelease only if there is nothing else; kept by a trigger';
COMMENT ON COLUMN tenancy.system_versions.dependencies IS 'object: systems that a tenant must have before, and a range of their versions';
COMMENT ON COLUMN tenancy.system_versions.compatibility IS 'object: ranges for "extension" and "postgresql"; under "conflicts", systems that a tenant may not have';
COMMENT ON COLUMN tenancy.system_versions.install_sql IS 'run with search_path = the tenant''s schema; @schema@ and @tenant@ are replaced';
COMMENT ON COLUMN tenancy.system_versions.verify_sql IS 'queries that must not say false once the script has run';
COMMENT ON COLUMN tenancy.system_versions.checksum IS 'SHA-256 of install_sql, in hexadecimal';
COMMENT ON COLUMN tenancy.system_versions.configuration_schema IS 'JSON schema of a tenant''s configurations; NULL if any will do';
COMMENT ON COLUMN tenancy.system_versions.features IS 'array: the features that a tenant can have; NULL if any will do';

-- Tenants' identifiers have the registry's collation everywhere: with two of them an index would not serve the other.
CREATE TABLE tenancy.tenant_systems (
    tenant_id varchar(50) COLLATE "C" NOT NULL,
    system_id varchar(50) NOT NULL REFERENCES tenancy.management_systems (system_id),
    version_id varchar(50) NOT NULL REFERENCES tenancy.system_versions (version_id),
    status varchar(20) NOT NULL
        CONSTRAINT tenant_systems_status CHECK (status IN ('installed', 'upgrading', 'failed', 'uninstalled')),
    installed_at timestamp NOT NULL DEFAULT timezone('UTC', now()),
    updated_at timestamp NOT NULL DEFAULT timezone('UTC', now()),
    configurations jsonb,
    features_enabled jsonb,
    error_message text,
    schema_name name UNIQUE,
    PRIMARY KEY (tenant_id, system_id),
    CONSTRAINT tenant_systems_schema CHECK ((status IN ('installed', 'upgrading')) = (schema_name IS NOT NULL))
);
CREATE INDEX tenant_systems_tenant_id_idx ON tenancy.tenant_systems (tenant_id);
CREATE INDEX tenant_systems_system_id_idx ON tenancy.tenant_systems (system_id);
CREATE INDEX tenant_systems_status_idx ON tenancy.tenant_systems (status);
COMMENT ON TABLE tenancy.tenant_systems IS 'which tenant has which system, in which version and schema';
COMMENT ON COLUMN tenancy.tenant_systems.status IS 'failed: it could not be installed, error_message says why; uninstalled: it was taken away';
COMMENT ON COLUMN tenancy.tenant_systems.error_message IS 'why the last installation or update failed; what was there before is whole';
COMMENT ON COLUMN tenancy.tenant_systems.schema_name IS 'as it was named when it was made; never computed again; NULL if there is none';

CREATE TABLE tenancy.schema_migrations (
    migration_id varchar(50) PRIMARY KEY,
    system_id varchar(50) NOT NULL REFERENCES tenancy.management_systems (system_id),
    version_from varchar(20) NOT NULL,
    version_to varchar(20) NOT NULL,
    schema_version_from integer NOT NULL,
    schema_version_to integer NOT NULL,
    migration_sql text NOT NULL,
    rollback_sql text,
    description text,
    created_at timestamp NOT NULL DEFAULT timezone('UTC', now()),
    verify_sql text,
    checksum text NOT NULL,
    transactional boolean NOT NULL DEFAULT true,
    extension name
);
CREATE INDEX schema_migrations_system_id_idx ON tenancy.schema_migrations (system_id);
CREATE UNIQUE INDEX schema_migrations_path_idx ON tenancy.schema_migrations (system_id, version_from, version_to);
COMMENT ON TABLE tenancy.schema_migrations IS 'scripts that lead from one version of a system to a later one, and back';
COMMENT ON COLUMN tenancy.schema_migrations.rollback_sql IS 'leads back; NULL if there is no way back';
COMMENT ON COLUMN tenancy.schema_migrations.verify_sql IS 'queries that must not say false once migration_sql has run';
COMMENT ON COLUMN tenancy.schema_migrations.checksum IS 'SHA-256 of the three scripts, in hexadecimal';
COMMENT ON COLUMN tenancy.schema_migrations.transactional IS 'false: its statements commit one by one, by a rollout';

REVOKE ALL ON tenancy.management_systems, tenancy.system_versions, tenancy.tenant_systems, tenancy.schema_migrations
    FROM PUBLIC;

SELECT pg_extension_config_dump('tenancy.management_systems', 'WHERE extension IS NULL');
SELECT pg_extension_config_dump('tenancy.system_versions', 'WHERE extension IS NULL');
SELECT pg_extension_config_dump('tenancy.tenant_systems', '');
SELECT pg_extension_config_dump('tenancy.schema_migrations', 'WHERE extension IS NULL');

CREATE FUNCTION tenancy.mark_latest_version() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    UPDATE tenancy.system_versions v
       SET is_latest = NOT v.is_latest
     WHERE v.is_latest IS DISTINCT FROM NOT EXISTS (
               SELECT FROM tenancy.system_versions w
                WHERE w.system_id = v.system_id AND w.version <> v.version
                  AND (tenancy.is_prerelease(v.version)::integer - tenancy.is_prerelease(w.version)::integer,
                       tenancy.compare_versions(w.version, v.version)) > (0, 0));
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.mark_latest_version() IS 'keeps is_latest on the highest version of each system';
REVOKE ALL ON FUNCTION tenancy.mark_latest_version() FROM PUBLIC;
CREATE TRIGGER mark_latest_version AFTER INSERT OR DELETE ON tenancy.system_versions
    FOR EACH STATEMENT EXECUTE FUNCTION tenancy.mark_latest_version();

CREATE FUNCTION tenancy.freeze_version() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = format('version %s of system "%s" cannot be changed', OLD.version, OLD.system_id),
        DETAIL = 'Tenants may have been given its script already.',
        HINT = 'Register a new version.';
END
$function$;
COMMENT ON FUNCTION tenancy.freeze_version() IS 'refuses to change a registered script';
REVOKE ALL ON FUNCTION tenancy.freeze_version() FROM PUBLIC;
CREATE TRIGGER freeze_version BEFORE UPDATE ON tenancy.system_versions
    FOR EACH ROW WHEN (OLD.system_id IS DISTINCT FROM NEW.system_id OR OLD.version IS DISTINCT FROM NEW.version
                       OR OLD.install_sql IS DISTINCT FROM NEW.install_sql OR OLD.checksum IS DISTINCT FROM NEW.checksum
                       OR OLD.verify_sql IS DISTINCT FROM NEW.verify_sql OR OLD.dependencies IS DISTINCT FROM NEW.dependencies
                       OR OLD.schema_version IS DISTINCT FROM NEW.schema_version)
    EXECUTE FUNCTION tenancy.freeze_version();

CREATE FUNCTION tenancy.check_script(install_sql text) RETURNS void
    LANGUAGE c STABLE STRICT
    AS 'MODULE_PATHNAME', 'tenancy_check_script';
COMMENT ON FUNCTION tenancy.check_script(text) IS 'raises an error if a system''s script cannot be parsed';
REVOKE ALL ON FUNCTION tenancy.check_script(text) FROM PUBLIC;

CREATE FUNCTION tenancy.check_system_type(type text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tenancy_check_system_type';
COMMENT ON FUNCTION tenancy.check_system_type(text) IS 'raises an error if a schema''s name cannot end in this type';
REVOKE ALL ON FUNCTION tenancy.check_system_type(text) FROM PUBLIC;

CREATE FUNCTION tenancy.registering_extension() RETURNS name
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'tenancy_registering_extension';
COMMENT ON FUNCTION tenancy.registering_extension() IS 'the extension whose script is running, or NULL';
REVOKE ALL ON FUNCTION tenancy.registering_extension() FROM PUBLIC;

CREATE FUNCTION tenancy.register_system(system_id text, name text, type text, vendor text,
                                        description text DEFAULT NULL, metadata jsonb DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    registering name := tenancy.registering_extension();
    present tenancy.management_systems;
BEGIN
    IF register_system.system_id IS NULL OR register_system.system_id !~ '^[a-z][a-z0-9_-]{0,28}$' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('malformed system identifier "%s"', register_system.system_id),
            HINT = 'A system identifier is 1 to 29 lower-case letters, digits, "-" and "_", and starts with a letter.';
    END IF;
    PERFORM tenancy.check_system_type(register_system.type);

    SELECT s.* INTO present FROM tenancy.management_systems s WHERE s.system_id = register_system.system_id FOR UPDATE;
    IF FOUND AND present.extension IS DISTINCT FROM registering OR FOUND AND registering IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'duplicate_object',
            MESSAGE = format('system "%s" is registered already', register_system.system_id),
            DETAIL = coalesce('Extension "' || present.extension || '" registered it.', 'It was registered by hand.'),
            HINT = format('A new version of it: SELECT tenancy.register_version(%L, ''1.1.0'', ''CREATE TABLE ...'');', register_system.system_id);
    END IF;

    -- An extension that was dropped and is created again finds its rows.
    INSERT INTO tenancy.management_systems (system_id, name, type, vendor, description, metadata, extension)
    VALUES (register_system.system_id, register_system.name, register_system.type, register_system.vendor,
            register_system.description, register_system.metadata, registering)
    ON CONFLICT (system_id) DO UPDATE
        SET name = excluded.name, type = excluded.type, vendor = excluded.vendor, description = excluded.description,
            metadata = excluded.metadata, updated_at = timezone('UTC', now());
    RETURN register_system.system_id;
END
$function$;
COMMENT ON FUNCTION tenancy.register_system(text, text, text, text, text, jsonb) IS
    'adds a system to the catalogue';
REVOKE ALL ON FUNCTION tenancy.register_system(text, text, text, text, text, jsonb) FROM PUBLIC;

CREATE VIEW tenancy.available_systems AS
    SELECT s.system_id, s.name, s.type, s.vendor, s.status, v.version AS latest_version, v.release_date, s.description
      FROM tenancy.management_systems s
      LEFT JOIN tenancy.system_versions v ON v.system_id = s.system_id AND v.is_latest;
COMMENT ON VIEW tenancy.available_systems IS 'the systems that tenants can have, with their latest versions';
REVOKE ALL ON tenancy.available_systems FROM PUBLIC;

CREATE VIEW tenancy.available_versions AS
    SELECT v.system_id, v.version, v.is_latest, v.schema_version, v.release_date, v.release_notes, v.dependencies, v.compatibility,
           v.configuration_schema, v.features, v.checksum
      FROM tenancy.system_versions v;
COMMENT ON VIEW tenancy.available_versions IS 'the versions of the systems, without their scripts';
REVOKE ALL ON tenancy.available_versions FROM PUBLIC;

CREATE FUNCTION tenancy.get_system(system_id text) RETURNS tenancy.available_systems
    LANGUAGE plpgsql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    found_system tenancy.available_systems;
BEGIN
    SELECT s.* INTO found_system FROM tenancy.available_systems s WHERE s.system_id = get_system.system_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('system "%s" does not exist', get_system.system_id),
            HINT = 'SELECT system_id FROM tenancy.available_systems;';
    END IF;
    RETURN found_system;
END
$function$;
COMMENT ON FUNCTION tenancy.get_system(text) IS 'one system with its latest version; an error if there is none';
REVOKE ALL ON FUNCTION tenancy.get_system(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.get_system(text) TO pg_monitor;
GRANT SELECT ON tenancy.available_versions TO pg_monitor;
