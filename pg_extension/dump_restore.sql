
/*
 * dump_restore.sql — the tables of this extension can be loaded in any order.
 *
 * pg_restore --jobs loads the tables of an extension in no order of their foreign keys: those of other tables are made
 * after the data, those of an extension's tables are there already, and a tenant's system may come before the system.
 * pg_dump's archives do not carry that order.  So while a dump is loaded, which is known by row_security being off, the
 * keys are not looked at: a consistent dump has consistent rows.
 *
 * A trigger before the statement sets session_replication_role to replica for it, and one after it, which is enabled
 * ALWAYS, sets it back.  Both are made for every foreign key between tables that are dumped.
 */

CREATE FUNCTION tenancy.begin_load() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    PERFORM set_config('session_replication_role', 'replica', true);
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.begin_load() IS 'lets the rows of a dump come before those that they refer to';
REVOKE ALL ON FUNCTION tenancy.begin_load() FROM PUBLIC;

CREATE FUNCTION tenancy.end_load() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    PERFORM set_config('session_replication_role', 'origin', true);
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.end_load() IS 'ends what begin_load() has begun';
REVOKE ALL ON FUNCTION tenancy.end_load() FROM PUBLIC;

CREATE FUNCTION tenancy.load_in_any_order(extension name) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    referring regclass;
BEGIN
    FOR referring IN
        SELECT DISTINCT c.conrelid
          FROM pg_constraint c
          JOIN pg_extension e ON c.conrelid = ANY (e.extconfig)
         WHERE c.contype = 'f' AND e.extname = load_in_any_order.extension
    LOOP
        EXECUTE format('CREATE TRIGGER begin_load BEFORE INSERT ON %s FOR EACH STATEMENT '
                       'WHEN (current_setting(''row_security'') = ''off'') EXECUTE FUNCTION tenancy.begin_load()', referring);
        EXECUTE format('CREATE TRIGGER z_end_load AFTER INSERT ON %s FOR EACH STATEMENT '
                       'WHEN (current_setting(''row_security'') = ''off'') EXECUTE FUNCTION tenancy.end_load()', referring);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER z_end_load', referring);
    END LOOP;
END
$function$;
COMMENT ON FUNCTION tenancy.load_in_any_order(name) IS
    'lets a dump load the tables of an extension in any order; for the end of its script';
REVOKE ALL ON FUNCTION tenancy.load_in_any_order(name) FROM PUBLIC;

SELECT tenancy.load_in_any_order('tenancy');

-- The versions that CREATE EXTENSION has brought and those of the dump have one latest between them.
ALTER TABLE tenancy.system_versions ENABLE ALWAYS TRIGGER mark_latest_version;
