
/*
 * rollout_dry_run.sql — a version tried on one tenant, and taken back.
 *
 * The migrations run for real, on the tenant's own rows, in a subtransaction that is rolled back: times are its times,
 * and the locks that each statement takes are those that its users would wait for.  They are held until the end, which is
 * why a tenant can be named that nobody will miss for a moment, and why lock_timeout is short.
 */

-- The locks of this transaction on relations of a schema that keep others from something: "AccessExclusiveLock on note".
CREATE FUNCTION tenancy.schema_locks(schema_name name) RETURNS text[]
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT coalesce(array_agg(DISTINCT format('%s on %s', l.mode, c.relname)), '{}')
      FROM pg_locks l
      JOIN pg_class c ON c.oid = l.relation
     WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
       AND c.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = schema_locks.schema_name)
       AND c.relkind IN ('r', 'p', 'v', 'S')
       AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
$function$;
COMMENT ON FUNCTION tenancy.schema_locks(name) IS 'the locks of this transaction in a schema that keep others from reading or writing';
REVOKE ALL ON FUNCTION tenancy.schema_locks(name) FROM PUBLIC;

-- The files of a schema's tables, by name: a table that is rewritten gets another one.
CREATE FUNCTION tenancy.schema_files(schema_name name) RETURNS jsonb
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT coalesce(jsonb_object_agg(c.relname, c.relfilenode), '{}')
      FROM pg_depend d
      JOIN pg_class c ON c.oid = d.objid
     WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid = 'pg_class'::regclass
       AND d.refobjid = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = schema_files.schema_name)
       AND c.relkind = 'r'
$function$;
COMMENT ON FUNCTION tenancy.schema_files(name) IS 'the tables of a schema, each with the number of its file';
REVOKE ALL ON FUNCTION tenancy.schema_files(name) FROM PUBLIC;

CREATE FUNCTION tenancy.dry_run_rollout(system_id text, version text DEFAULT NULL, tenant_id text DEFAULT NULL,
                                        lock_timeout interval DEFAULT '200 ms',
                                        OUT step integer, OUT migration_id text, OUT line integer, OUT statement text,
                                        OUT duration interval, OUT locks text[], OUT rewritten text[], OUT outcome text)
    RETURNS SETOF record
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    chosen record;
    part record;
    steps jsonb[] := '{}';
    held text[];
    held_before text[] := '{}';
    files jsonb;
    files_before jsonb;
    began timestamptz;
    message text;
    wanted text := dry_run_rollout.tenant_id;
BEGIN
    SELECT p.tenant_id, p.schema_name, p.migrations, p.action, p.reason INTO chosen
      FROM tenancy.plan_rollout(dry_run_rollout.system_id, dry_run_rollout.version,
                                tenants => CASE WHEN wanted IS NOT NULL THEN ARRAY[wanted] END) p
     ORDER BY p.action <> 'update', p.item_no LIMIT 1;
    IF NOT FOUND OR chosen.action <> 'update' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = CASE WHEN wanted IS NULL THEN format('no tenant of system "%s" would be updated', dry_run_rollout.system_id)
                           ELSE format('tenant "%s" would not be updated', wanted) END,
            DETAIL = coalesce('The tenant ' || chosen.reason || '.', 'No tenant has it.');
    END IF;
    PERFORM tenancy.lock_tenant_row(chosen.tenant_id);

    BEGIN
        PERFORM tenancy.set_lock_timeout(dry_run_rollout.lock_timeout);
        files_before := tenancy.schema_files(chosen.schema_name);
        FOR part IN
            SELECT m.migration_id, s.line, s.statement, s.top_level
              FROM unnest(chosen.migrations) WITH ORDINALITY w(id, place)
              JOIN tenancy.schema_migrations m ON m.migration_id = w.id,
                   tenancy.script_statements(m.migration_sql, chosen.schema_name, chosen.tenant_id) s
             ORDER BY w.place, s.number
        LOOP
            began := clock_timestamp();
            message := 'done';
            BEGIN
                IF part.top_level THEN
                    message := 'not tried: it runs in no transaction';
                ELSE
                    PERFORM tenancy.run_script_statement(chosen.schema_name, chosen.tenant_id, part.statement);
                END IF;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                message := format('%s: %s', SQLSTATE, SQLERRM);
            END;
            held := tenancy.schema_locks(chosen.schema_name);
            files := tenancy.schema_files(chosen.schema_name);
            steps := steps || jsonb_build_object('id', part.migration_id, 'line', part.line, 'statement', part.statement,
                'duration', clock_timestamp() - began, 'outcome', message,
                'locks', ARRAY(SELECT l FROM unnest(held) l WHERE NOT l = ANY (held_before)),
                'rewritten', ARRAY(SELECT f.key FROM jsonb_each_text(files) f
                                    WHERE files_before ? f.key AND files_before ->> f.key <> f.value ORDER BY 1));
            EXIT WHEN message ~ '^[0-9A-Z]{5}: ';
            held_before := held_before || held;
            files_before := files;
        END LOOP;
        -- Takes back what was tried; nobody but this block catches it.
        RAISE EXCEPTION USING ERRCODE = 'TNDRY', MESSAGE = 'the end of a dry run';
    EXCEPTION WHEN SQLSTATE 'TNDRY' THEN
        NULL;
    END;

    RETURN QUERY
        SELECT s.place::integer, s.step ->> 'id', (s.step ->> 'line')::integer, s.step ->> 'statement',
               (s.step ->> 'duration')::interval, ARRAY(SELECT jsonb_array_elements_text(s.step -> 'locks')),
               ARRAY(SELECT jsonb_array_elements_text(s.step -> 'rewritten')), s.step ->> 'outcome'
          FROM unnest(steps) WITH ORDINALITY s(step, place) ORDER BY s.place;
END
$function$;
COMMENT ON FUNCTION tenancy.dry_run_rollout(text, text, text, interval) IS
    'tries the migrations of a rollout on one tenant and takes them back: statements, time, locks, tables that are rewritten, errors';
REVOKE ALL ON FUNCTION tenancy.dry_run_rollout(text, text, text, interval) FROM PUBLIC;
