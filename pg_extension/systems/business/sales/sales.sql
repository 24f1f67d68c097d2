
/*
 * sales.sql — sales automation: registration, and functions of its triggers.
 */

CREATE FUNCTION tenancy.sales_stamp_closing() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    outcome text;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.stage_id IS NOT DISTINCT FROM OLD.stage_id THEN
        RETURN NEW;
    END IF;
    EXECUTE format('SELECT outcome FROM %I.pipeline_stages WHERE id = $1', TG_TABLE_SCHEMA)
       INTO outcome USING NEW.stage_id;
    NEW.closed_at := CASE WHEN outcome <> 'open' THEN coalesce(NEW.closed_at, now()) END;
    RETURN NEW;
END
$function$;
COMMENT ON FUNCTION tenancy.sales_stamp_closing() IS 'Sales: keeps closed_at of a deal';

CREATE FUNCTION tenancy.sales_automate_lead() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    EXECUTE format('INSERT INTO %1$I.tasks (lead_id, rule_id, title, assignee_id, due_at) '
                   'SELECT $1, r.id, r.task_title, $2, $3 + r.due_after FROM %1$I.automation_rules r '
                   'WHERE r.is_active AND r.event = ''lead_created''', TG_TABLE_SCHEMA)
      USING NEW.id, NEW.owner_id, NEW.created_at;
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.sales_automate_lead() IS 'Sales: makes the tasks that a new lead entails';

CREATE FUNCTION tenancy.sales_automate_deal() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.stage_id IS NOT DISTINCT FROM OLD.stage_id THEN
        RETURN NULL;
    END IF;
    EXECUTE format('INSERT INTO %I.deal_stages (deal_id, stage_id, entered_at, changed_by) VALUES ($1, $2, $3, $4)',
                   TG_TABLE_SCHEMA)
      USING NEW.id, NEW.stage_id, CASE TG_OP WHEN 'INSERT' THEN NEW.created_at ELSE now() END, session_user::text;
    EXECUTE format('INSERT INTO %1$I.tasks (deal_id, rule_id, title, assignee_id, due_at) '
                   'SELECT $1, r.id, r.task_title, $2, now() + r.due_after FROM %1$I.automation_rules r '
                   'WHERE r.is_active AND r.event = ''stage_entered'' AND r.stage_id = $3', TG_TABLE_SCHEMA)
      USING NEW.id, NEW.owner_id, NEW.stage_id;
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.sales_automate_deal() IS
    'Sales: writes each stage that a deal enters to deal_stages, and makes the tasks that it entails';

REVOKE ALL ON FUNCTION tenancy.sales_stamp_closing(), tenancy.sales_automate_lead(), tenancy.sales_automate_deal()
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.sales_stamp_closing(), tenancy.sales_automate_lead(), tenancy.sales_automate_deal()
    TO tenancy_owner;

SELECT tenancy.register_system('sales', 'Sales', 'sales', 'pg_tenancy',
    'Sales automation: leads, deals, tasks that come by themselves, products and prices, quotas, performance');

SELECT tenancy.register_version('sales', '1.0.0', $script$@1.0.0.sql@$script$, 'First version.');

SELECT tenancy.register_version('sales', '1.1.0', $script$@1.1.0.sql@$script$,
    'Sources of leads in a table, fixed prices, forecast, stretch targets, sales by product.',
    verify_sql => $script$@1.1.0--verify.sql@$script$);

SELECT tenancy.register_migration('sales', '1.0.0', '1.1.0', $script$@1.0.0--1.1.0.sql@$script$,
    $script$@1.1.0--1.0.0.sql@$script$, 'Sources of leads move from text into a table.',
    verify_sql => $script$@1.1.0--verify.sql@$script$);

SELECT tenancy.register_sample_data('sales', '1.1.0', $script$@sample_data.sql@$script$,
    $script$@sample_data--remove.sql@$script$);
