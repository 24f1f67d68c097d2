
/*
 * tenant_registry.sql — who the tenants are, and in which databases they live.
 *
 * The columns, states and indexes are those of MongoDB's tenant_registry, of which both tables can be live mirrors.
 * Rows may come by plain DML as well as by the functions of tenant_lifecycle.sql; the triggers see to both.
 */

CREATE FUNCTION tenancy.fold_tenant_id(tenant_id text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tenancy_fold_tenant_id';
COMMENT ON FUNCTION tenancy.fold_tenant_id(text) IS
    'the form of a tenant identifier that names schemas and roles; two tenants never share one';

CREATE FUNCTION tenancy.schema_name(tenant_id text, system_type text) RETURNS name
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tenancy_schema_name';
COMMENT ON FUNCTION tenancy.schema_name(text, text) IS
    'the schema of one tenant''s system: tenant-001 and crm give tenant_tenant_001_crm';

CREATE TABLE tenancy.tenants (
    tenant_id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    database_config jsonb NOT NULL
        CONSTRAINT tenants_database_type
            CHECK (coalesce(database_config ->> 'type', '') IN ('dedicated', 'shared')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz,
    status text NOT NULL DEFAULT 'provisioning'
        CONSTRAINT tenants_status CHECK (status IN ('active', 'inactive', 'suspended', 'provisioning', 'archived')),
    settings jsonb,
    tier text,
    region text,
    role_name name UNIQUE,
    error_message text,
    folded_id text COLLATE "C" NOT NULL UNIQUE
        GENERATED ALWAYS AS (tenancy.fold_tenant_id(tenant_id)) STORED,
    archived_at timestamptz
);
CREATE INDEX tenants_name_idx ON tenancy.tenants (name);
CREATE INDEX tenants_status_idx ON tenancy.tenants (status);
CREATE INDEX tenants_region_idx ON tenancy.tenants (region);

COMMENT ON TABLE tenancy.tenants IS 'the tenants';
COMMENT ON COLUMN tenancy.tenants.tenant_id IS 'what the tenant is called everywhere; never changes';
COMMENT ON COLUMN tenancy.tenants.database_config IS 'type (dedicated or shared), connection_string, database_name, shard_key';
COMMENT ON COLUMN tenancy.tenants.status IS 'only an active tenant can be in force';
COMMENT ON COLUMN tenancy.tenants.tier IS 'says which systems the tenant gets';
COMMENT ON COLUMN tenancy.tenants.role_name IS 'the role that may use the tenant''s schemas; made by provisioning';
COMMENT ON COLUMN tenancy.tenants.error_message IS 'why the last provisioning failed';
COMMENT ON COLUMN tenancy.tenants.archived_at IS 'since when it is archived; kept by a trigger';
COMMENT ON COLUMN tenancy.tenants.folded_id IS 'tenancy.fold_tenant_id(tenant_id)';

CREATE TABLE tenancy.tenant_databases (
    database_name text COLLATE "C" PRIMARY KEY,
    type text NOT NULL
        CONSTRAINT tenant_databases_type CHECK (type IN ('dedicated', 'shared')),
    tenants text[],
    status text NOT NULL
        CONSTRAINT tenant_databases_status CHECK (status IN ('active', 'provisioning', 'decommissioning', 'archived')),
    created_at timestamptz NOT NULL DEFAULT now(),
    server text,
    region text,
    _id text UNIQUE
);
CREATE INDEX tenant_databases_type_idx ON tenancy.tenant_databases (type);
CREATE INDEX tenant_databases_status_idx ON tenancy.tenant_databases (status);
CREATE INDEX tenant_databases_region_idx ON tenancy.tenant_databases (region);

COMMENT ON TABLE tenancy.tenant_databases IS 'the databases that tenants live in';
COMMENT ON COLUMN tenancy.tenant_databases.tenants IS 'identifiers of the tenants in this database';
COMMENT ON COLUMN tenancy.tenant_databases._id IS 'the document''s key in MongoDB, if it came from there';

REVOKE ALL ON tenancy.tenants, tenancy.tenant_databases FROM PUBLIC;

SELECT pg_extension_config_dump('tenancy.tenants', '');
SELECT pg_extension_config_dump('tenancy.tenant_databases', '');

-- Refuses what would lead two tenants to one schema, and names the other tenant; the constraints are the backstop, whose
-- messages would show the whole row, and with it a connection string.
CREATE FUNCTION tenancy.check_tenant_row() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    other text;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.tenant_id IS DISTINCT FROM OLD.tenant_id THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = format('tenant "%s" cannot be given another identifier', OLD.tenant_id),
            DETAIL = 'Its schemas, its role and its rows are named after it.';
    END IF;

    IF coalesce(NEW.database_config ->> 'type', '') NOT IN ('dedicated', 'shared') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = format('tenant "%s" needs a database of type "dedicated" or "shared"', NEW.tenant_id),
            HINT = 'For example database_config => ''{"type": "shared", "connection_string": "..."}''.';
    END IF;
    IF coalesce(NEW.status, '') NOT IN ('active', 'inactive', 'suspended', 'provisioning', 'archived') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = format('tenant "%s" cannot have the status "%s"', NEW.tenant_id, NEW.status),
            HINT = 'A tenant is active, inactive, suspended, provisioning or archived.';
    END IF;

    NEW.archived_at := CASE WHEN NEW.status = 'archived'
                            THEN coalesce(CASE WHEN TG_OP = 'UPDATE' THEN OLD.archived_at ELSE NEW.archived_at END, now()) END;

    SELECT t.tenant_id INTO other
      FROM tenancy.tenants t
     WHERE t.folded_id = tenancy.fold_tenant_id(NEW.tenant_id) AND t.tenant_id <> NEW.tenant_id;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'unique_violation',
            MESSAGE = format('tenant identifier "%s" is too close to that of tenant "%s"', NEW.tenant_id, other),
            DETAIL = format('Both fold to "%s", which names their schemas and roles.', tenancy.fold_tenant_id(NEW.tenant_id)),
            HINT = 'Choose an identifier that differs in more than case, "-" and "_".';
    END IF;
    RETURN NEW;
END
$function$;
REVOKE ALL ON FUNCTION tenancy.check_tenant_row() FROM PUBLIC;

CREATE FUNCTION tenancy.registry_changed() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'tenancy_registry_changed';
COMMENT ON FUNCTION tenancy.registry_changed() IS 'tells open sessions to look at their tenant''s state again';
REVOKE ALL ON FUNCTION tenancy.registry_changed() FROM PUBLIC;

-- ALWAYS: rows that a replication worker applies count as well.
CREATE TRIGGER check_tenant_row BEFORE INSERT OR UPDATE ON tenancy.tenants
    FOR EACH ROW EXECUTE FUNCTION tenancy.check_tenant_row();
CREATE TRIGGER status_changed AFTER UPDATE OF status ON tenancy.tenants
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION tenancy.registry_changed();
CREATE TRIGGER tenant_deleted AFTER DELETE OR TRUNCATE ON tenancy.tenants
    FOR EACH STATEMENT EXECUTE FUNCTION tenancy.registry_changed();
ALTER TABLE tenancy.tenants ENABLE ALWAYS TRIGGER check_tenant_row;
ALTER TABLE tenancy.tenants ENABLE ALWAYS TRIGGER status_changed;
ALTER TABLE tenancy.tenants ENABLE ALWAYS TRIGGER tenant_deleted;
COMMENT ON FUNCTION tenancy.check_tenant_row() IS 'refuses rows that no tenant can have, such as an identifier that folds to another tenant''s';
