
/*
 * tenancy_business.sql — management systems for businesses, as rows in the catalogue of tenancy: CRM, Sales, Marketing and
 * Support.
 *
 * SYSTEM/VERSION.sql makes a version, SYSTEM/FROM--TO.sql leads from one to another; SYSTEM/SYSTEM.sql registers them and
 * holds the functions of triggers, one for all tenants: they find the tenant's tables by the schema of the table that
 * fired them, and run with the rights and in the context of whoever changed it.
 */

-- complain if this file is read by psql and not by CREATE EXTENSION
\echo Use "CREATE EXTENSION tenancy_business" to load this file. \quit

CREATE FUNCTION tenancy.business_touch() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$function$;
COMMENT ON FUNCTION tenancy.business_touch() IS 'keeps updated_at';
REVOKE ALL ON FUNCTION tenancy.business_touch() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.business_touch() TO tenancy_owner;
