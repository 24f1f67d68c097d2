
/*
 * support.sql — customer support: registration, and functions of its triggers.
 */

CREATE FUNCTION tenancy.support_promise() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.sla_policy_id IS NULL
       OR TG_OP = 'UPDATE' AND NEW.priority IS DISTINCT FROM OLD.priority THEN
        EXECUTE format('SELECT id FROM %I.sla_policies WHERE priority = $1 AND is_active', TG_TABLE_SCHEMA)
           INTO NEW.sla_policy_id USING NEW.priority;
    END IF;
    RETURN NEW;
END
$function$;
COMMENT ON FUNCTION tenancy.support_promise() IS 'Support: gives a ticket the service level of its priority';

CREATE FUNCTION tenancy.support_advance() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    phase text;
    allowed boolean;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.status IS NOT DISTINCT FROM OLD.status THEN
            RETURN NEW;
        END IF;
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.status_transitions WHERE from_status = $1 AND to_status = $2)',
                       TG_TABLE_SCHEMA)
           INTO allowed USING OLD.status, NEW.status;
        IF NOT allowed THEN
            RAISE EXCEPTION USING
                ERRCODE = 'check_violation',
                MESSAGE = format('ticket %s cannot go from status "%s" to "%s"', NEW.number, OLD.status, NEW.status),
                HINT = format('INSERT INTO %I.status_transitions VALUES (%L, %L);', TG_TABLE_SCHEMA, OLD.status, NEW.status);
        END IF;
    END IF;
    EXECUTE format('SELECT phase FROM %I.statuses WHERE status = $1', TG_TABLE_SCHEMA) INTO phase USING NEW.status;
    NEW.solved_at := CASE WHEN phase IN ('solved', 'closed') THEN coalesce(NEW.solved_at, now()) END;
    RETURN NEW;
END
$function$;
COMMENT ON FUNCTION tenancy.support_advance() IS
    'Support: refuses a status to which the workflow does not lead, and keeps solved_at';

CREATE FUNCTION tenancy.support_pause() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    is_waiting boolean;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.status IS NOT DISTINCT FROM OLD.status THEN
        RETURN NEW;
    END IF;
    EXECUTE format('SELECT phase = ''waiting'' FROM %I.statuses WHERE status = $1', TG_TABLE_SCHEMA)
       INTO is_waiting USING NEW.status;
    IF TG_OP = 'INSERT' THEN
        NEW.waiting_since := CASE WHEN is_waiting THEN coalesce(NEW.waiting_since, NEW.created_at) END;
    ELSE
        NEW.waiting := NEW.waiting + coalesce(now() - OLD.waiting_since, '0');
        NEW.waiting_since := CASE WHEN is_waiting THEN now() END;
    END IF;
    RETURN NEW;
END
$function$;
COMMENT ON FUNCTION tenancy.support_pause() IS 'Support: stops the clock of a ticket while the customer is to answer';

CREATE FUNCTION tenancy.support_note_response() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    EXECUTE format('UPDATE %I.tickets SET first_responded_at = $2 WHERE id = $1 AND first_responded_at IS NULL',
                   TG_TABLE_SCHEMA)
      USING NEW.ticket_id, NEW.created_at;
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.support_note_response() IS 'Support: notes on a ticket when it was first answered';

CREATE FUNCTION tenancy.support_record_event() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    EXECUTE format('INSERT INTO %I.ticket_events (ticket_id, field, old_value, new_value, changed_by, changed_at) '
                   'SELECT $1, v.field, v.old_value, v.new_value, $2, $3 '
                   'FROM (VALUES (''status'', $4, $5), (''priority'', $6, $7), (''queue'', $8, $9), (''agent'', $10, $11)) '
                   'AS v (field, old_value, new_value) WHERE v.old_value IS DISTINCT FROM v.new_value', TG_TABLE_SCHEMA)
      USING NEW.id, session_user::text, CASE TG_OP WHEN 'INSERT' THEN NEW.created_at ELSE now() END,
            CASE TG_OP WHEN 'UPDATE' THEN OLD.status END, NEW.status,
            CASE TG_OP WHEN 'UPDATE' THEN OLD.priority END, NEW.priority,
            CASE TG_OP WHEN 'UPDATE' THEN OLD.queue_id::text END, NEW.queue_id::text,
            CASE TG_OP WHEN 'UPDATE' THEN OLD.agent_id::text END, NEW.agent_id::text;
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.support_record_event() IS 'Support: writes what is changed on a ticket to ticket_events';

REVOKE ALL ON FUNCTION tenancy.support_promise(), tenancy.support_advance(), tenancy.support_pause(),
    tenancy.support_note_response(), tenancy.support_record_event() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.support_promise(), tenancy.support_advance(), tenancy.support_pause(),
    tenancy.support_note_response(), tenancy.support_record_event() TO tenancy_owner;

SELECT tenancy.register_system('support', 'Support', 'support', 'pg_tenancy',
    'Customer support: tickets, workflow, service levels, satisfaction');

SELECT tenancy.register_version('support', '1.0.0', $script$@1.0.0.sql@$script$, 'First version.');

SELECT tenancy.register_version('support', '1.1.0', $script$@1.1.0.sql@$script$,
    'Tags in a table, a clock that stands while the customer is to answer, more channels, net promoter score.',
    verify_sql => $script$@1.1.0--verify.sql@$script$);

SELECT tenancy.register_migration('support', '1.0.0', '1.1.0', $script$@1.0.0--1.1.0.sql@$script$,
    $script$@1.1.0--1.0.0.sql@$script$, 'Tags move from an array into a table, and waiting is counted.',
    verify_sql => $script$@1.1.0--verify.sql@$script$);

SELECT tenancy.register_sample_data('support', '1.1.0', $script$@sample_data.sql@$script$,
    $script$@sample_data--remove.sql@$script$);
