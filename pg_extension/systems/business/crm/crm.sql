
/*
 * crm.sql — customer relationship management: registration, and functions of its triggers.
 */

CREATE FUNCTION tenancy.crm_record_relationship() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.relationship_status IS DISTINCT FROM OLD.relationship_status THEN
        EXECUTE format('INSERT INTO %I.relationship_history (customer_id, old_status, new_status, changed_by) '
                       'VALUES ($1, $2, $3, $4)', TG_TABLE_SCHEMA)
          USING NEW.id, CASE TG_OP WHEN 'UPDATE' THEN OLD.relationship_status END, NEW.relationship_status,
                session_user::text;
    END IF;
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.crm_record_relationship() IS
    'CRM: writes each change of a customer''s relationship status to relationship_history';

CREATE FUNCTION tenancy.crm_stamp_status() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF NEW.relationship_status IS DISTINCT FROM OLD.relationship_status THEN
        NEW.status_since := now();
    END IF;
    RETURN NEW;
END
$function$;
COMMENT ON FUNCTION tenancy.crm_stamp_status() IS 'CRM: keeps status_since of a customer';

CREATE FUNCTION tenancy.crm_record_stage() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.stage_id IS DISTINCT FROM OLD.stage_id THEN
        EXECUTE format('INSERT INTO %I.opportunity_stages (opportunity_id, stage_id, changed_by) VALUES ($1, $2, $3)',
                       TG_TABLE_SCHEMA)
          USING NEW.id, NEW.stage_id, session_user::text;
    END IF;
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.crm_record_stage() IS 'CRM: writes each stage that an opportunity enters to opportunity_stages';

REVOKE ALL ON FUNCTION tenancy.crm_record_relationship(), tenancy.crm_stamp_status(), tenancy.crm_record_stage() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.crm_record_relationship(), tenancy.crm_stamp_status(), tenancy.crm_record_stage()
    TO tenancy_owner;

SELECT tenancy.register_system('crm', 'CRM', 'crm', 'pg_tenancy',
    'Customer relationship management: customers, interactions, relationship history, opportunities, teams, custom fields');

SELECT tenancy.register_version('crm', '1.0.0', $script$@1.0.0.sql@$script$, 'First version.');

SELECT tenancy.register_version('crm', '1.1.0', $script$@1.1.0.sql@$script$,
    'Addresses in a table, history and velocity of stages, probabilities and lost reasons of opportunities, more channels.',
    verify_sql => $script$@1.1.0--verify.sql@$script$);

SELECT tenancy.register_migration('crm', '1.0.0', '1.1.0', $script$@1.0.0--1.1.0.sql@$script$,
    $script$@1.1.0--1.0.0.sql@$script$, 'Addresses move from JSON into a table.',
    verify_sql => $script$@1.1.0--verify.sql@$script$);

SELECT tenancy.register_sample_data('crm', '1.1.0', $script$@sample_data.sql@$script$,
    $script$@sample_data--remove.sql@$script$);
