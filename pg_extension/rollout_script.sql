
/*
 * rollout_script.sql — migrations that do not run in a transaction, statement by statement.
 *
 * CREATE INDEX CONCURRENTLY commits in its midst, and a backfill of many rows should.  Such a migration is registered
 * with transactional => false, and a background worker runs it: each statement in a transaction of its own, which also
 * moves the cursor (steps_done) on.  Statements that refuse a transaction are marked as begun (step_started), run, and
 * then counted: a crash in between leaves a mark, and whoever comes next looks at what is there.  An index that is valid
 * was done; one that is not is dropped and made again.
 *
 * From its first statement to its last the tenant's lock is held by the worker's session.  A tenant whose state is
 * "running" and whose lock is free was left by a crash.
 */

-- The next migration of a tenant's way, or the one that has begun.
CREATE FUNCTION tenancy.current_migration(rollout tenancy.rollouts, item tenancy.rollout_items, present text)
    RETURNS tenancy.schema_migrations
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    next_id text := item.migration_id;
    migration tenancy.schema_migrations;
BEGIN
    IF next_id IS NULL THEN
        SELECT p.migration_id INTO next_id
          FROM tenancy.migration_path(rollout.system_id, present, item.version_to) p ORDER BY p.step LIMIT 1;
    END IF;
    SELECT m.* INTO migration FROM tenancy.schema_migrations m WHERE m.migration_id = next_id;
    RETURN migration;
END
$function$;
COMMENT ON FUNCTION tenancy.current_migration(tenancy.rollouts, tenancy.rollout_items, text) IS
    'the migration that a tenant is in, or the next one of its way';
REVOKE ALL ON FUNCTION tenancy.current_migration(tenancy.rollouts, tenancy.rollout_items, text) FROM PUBLIC;

-- Takes a tenant for this session; what the caller is to do then.
CREATE FUNCTION tenancy.take_script(rollout tenancy.rollouts, item tenancy.rollout_items, present text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF item.state <> 'running' AND NOT tenancy.hold_tenant(item.tenant_id) THEN
        PERFORM tenancy.fail_item(item, clock_timestamp(), '55P03', format('tenant "%s" is locked by somebody else', item.tenant_id),
                                  NULL, NULL, NULL);
        RETURN 'next';
    END IF;
    UPDATE tenancy.rollout_items i
       SET state = 'running', started_at = coalesce(i.started_at, clock_timestamp()), worker_pid = pg_backend_pid(),
           version_from = CASE WHEN i.started_at IS NULL THEN present ELSE i.version_from END
     WHERE i.rollout_id = item.rollout_id AND i.tenant_id = item.tenant_id;
    RETURN 'script';
END
$function$;
COMMENT ON FUNCTION tenancy.take_script(tenancy.rollouts, tenancy.rollout_items, text) IS
    'takes a tenant for a session that runs scripts for it';
REVOKE ALL ON FUNCTION tenancy.take_script(tenancy.rollouts, tenancy.rollout_items, text) FROM PUBLIC;

-- What a broken statement left is removed.  True if it was not broken but done.
CREATE FUNCTION tenancy.clear_broken_step(schema_name name, statement text, index_name name) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    creates boolean := statement ~* '^create\s';
    found_index record;
BEGIN
    FOR found_index IN
        SELECT c.relname, x.indisvalid AND x.indisready AS is_good
          FROM pg_class c JOIN pg_index x ON x.indexrelid = c.oid
         WHERE c.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = clear_broken_step.schema_name)
           AND (c.relname = clear_broken_step.index_name OR NOT x.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$')
    LOOP
        IF found_index.relname = clear_broken_step.index_name AND found_index.is_good THEN
            RETURN creates;
        END IF;
        EXECUTE format('DROP INDEX %I.%I', schema_name, found_index.relname);
    END LOOP;
    -- An index that was to be dropped, and is not there.
    RETURN index_name IS NOT NULL AND NOT creates;
END
$function$;
COMMENT ON FUNCTION tenancy.clear_broken_step(name, text, name) IS
    'drops invalid indexes that a broken statement left; true if the statement was done';
REVOKE ALL ON FUNCTION tenancy.clear_broken_step(name, text, name) FROM PUBLIC;

-- The last act of a migration: what it made is protected, it is verified, and the tenant has the version.
CREATE FUNCTION tenancy.settle_script(rollout tenancy.rollouts, item tenancy.rollout_items, schema_name name,
                                      migration tenancy.schema_migrations) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    is_up boolean := rollout.reverts IS NULL;
    installed tenancy.tenant_systems;
BEGIN
    SELECT i.* INTO installed FROM tenancy.tenant_systems i
     WHERE i.tenant_id = item.tenant_id AND i.system_id = rollout.system_id;
    PERFORM tenancy.settle_schema(item.tenant_id,
                (SELECT t.role_name FROM tenancy.tenants t WHERE t.tenant_id = item.tenant_id), schema_name,
                CASE WHEN is_up THEN migration.verify_sql END);
    PERFORM tenancy.note_migration(installed, migration, is_up, item.started_at);
    PERFORM tenancy.note_version(installed, tenancy.find_version(rollout.system_id,
                CASE WHEN is_up THEN migration.version_to ELSE migration.version_from END));
    UPDATE tenancy.rollout_items i SET migration_id = NULL, steps_done = 0, step_started = false
     WHERE i.rollout_id = item.rollout_id AND i.tenant_id = item.tenant_id;
END
$function$;
COMMENT ON FUNCTION tenancy.settle_script(tenancy.rollouts, tenancy.rollout_items, name, tenancy.schema_migrations) IS
    'ends a migration that ran statement by statement';
REVOKE ALL ON FUNCTION tenancy.settle_script(tenancy.rollouts, tenancy.rollout_items, name, tenancy.schema_migrations) FROM PUBLIC;

-- Moves the cursor: past a statement, or to its middle.
CREATE FUNCTION tenancy.move_cursor(item tenancy.rollout_items, migration_id text, steps_done integer, step_started boolean)
    RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    UPDATE tenancy.rollout_items i
       SET migration_id = move_cursor.migration_id, steps_done = move_cursor.steps_done, step_started = move_cursor.step_started
     WHERE i.rollout_id = item.rollout_id AND i.tenant_id = item.tenant_id
$function$;
COMMENT ON FUNCTION tenancy.move_cursor(tenancy.rollout_items, text, integer, boolean) IS
    'writes down how far a tenant has come in a migration that does not run in a transaction';
REVOKE ALL ON FUNCTION tenancy.move_cursor(tenancy.rollout_items, text, integer, boolean) FROM PUBLIC;

-- The next statement of a script, run here; or given to the caller, who runs it outside a transaction.
CREATE FUNCTION tenancy.run_script_step(rollout tenancy.rollouts, item tenancy.rollout_items,
                                        migration tenancy.schema_migrations, schema_name name) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    step record;
    touched bigint;
BEGIN
    PERFORM tenancy.set_lock_timeout(rollout.lock_timeout);
    SELECT s.* INTO step
      FROM tenancy.script_statements(CASE WHEN rollout.reverts IS NULL THEN migration.migration_sql ELSE migration.rollback_sql END,
                                     run_script_step.schema_name, item.tenant_id) s
     WHERE s.number = item.steps_done + 1;
    IF NOT FOUND THEN
        PERFORM tenancy.settle_script(rollout, item, run_script_step.schema_name, migration);
    ELSIF NOT step.top_level THEN
        touched := tenancy.run_script_statement(run_script_step.schema_name, item.tenant_id, step.statement);
        IF NOT step.repeated OR touched = 0 THEN
            PERFORM tenancy.move_cursor(item, migration.migration_id, item.steps_done + 1, false);
        END IF;
        SET CONSTRAINTS ALL IMMEDIATE;
    ELSIF item.step_started AND tenancy.clear_broken_step(run_script_step.schema_name, step.statement, step.index_name) THEN
        PERFORM tenancy.move_cursor(item, migration.migration_id, item.steps_done + 1, false);
    ELSE
        PERFORM tenancy.move_cursor(item, migration.migration_id, item.steps_done, true);
        PERFORM tenancy.set_lock_timeout('0');
        RETURN step.statement;
    END IF;
    PERFORM tenancy.set_lock_timeout('0');
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.run_script_step(tenancy.rollouts, tenancy.rollout_items, tenancy.schema_migrations, name) IS
    'runs the next statement of a tenant''s script; or returns it, if it must run outside a transaction';
REVOKE ALL ON FUNCTION tenancy.run_script_step(tenancy.rollouts, tenancy.rollout_items, tenancy.schema_migrations, name) FROM PUBLIC;

CREATE FUNCTION tenancy.script_step(rollout_id integer, tenant_id text, OUT action text, OUT statement text,
                                    OUT schema_name name)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    rollout tenancy.rollouts;
    item tenancy.rollout_items;
    migration tenancy.schema_migrations;
    present text := NULL;
    step_to text;
    message text;
    detail text;
    hint text;
    context text;
BEGIN
    SELECT r.* INTO rollout FROM tenancy.rollouts r WHERE r.rollout_id = script_step.rollout_id;
    SELECT i.* INTO item FROM tenancy.rollout_items i
     WHERE i.rollout_id = script_step.rollout_id AND i.tenant_id = script_step.tenant_id AND i.state = 'running' FOR UPDATE;
    IF NOT FOUND OR rollout.state = 'paused' OR tenancy.scripts_were_edited(rollout) THEN
        action := 'over';
        RETURN;
    END IF;
    present := tenancy.version_of_tenant(item.tenant_id, rollout.system_id);
    SELECT i.schema_name INTO schema_name FROM tenancy.tenant_systems i
     WHERE i.tenant_id = item.tenant_id AND i.system_id = rollout.system_id;
    action := 'next';
    IF present IS NULL THEN
        PERFORM tenancy.skip_item(item, 'is gone, or does not have the system any more');
    ELSIF present = item.version_to AND item.migration_id IS NULL THEN
        PERFORM tenancy.finish_item(item, item.version_from, item.started_at);
    ELSE
        migration := tenancy.current_migration(rollout, item, present);
        step_to := CASE WHEN rollout.reverts IS NULL THEN migration.version_to ELSE migration.version_from END;
        BEGIN
            IF migration.transactional OR migration.migration_id IS NULL THEN
                PERFORM tenancy.move_tenant(rollout, item.tenant_id, coalesce(step_to, item.version_to));
            ELSE
                IF item.migration_id IS NULL THEN
                    PERFORM tenancy.check_tenant_dependencies(item.tenant_id, rollout.system_id, item.version_to,
                                (tenancy.find_version(rollout.system_id, item.version_to)).version_id);
                END IF;
                statement := tenancy.run_script_step(rollout, item, migration, schema_name);
                IF statement IS NOT NULL THEN
                    action := 'statement';
                END IF;
            END IF;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
                context = PG_EXCEPTION_CONTEXT;
            PERFORM tenancy.fail_item(item, item.started_at, SQLSTATE, message, detail, hint, context);
        END;
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.script_step(integer, text) IS
    'one step of a tenant''s migrations, some of which run outside a transaction; says what the caller does after commit: next, statement or over';
REVOKE ALL ON FUNCTION tenancy.script_step(integer, text) FROM PUBLIC;

CREATE FUNCTION tenancy.script_ran(rollout_id integer, tenant_id text, sqlstate text, message text, detail text, hint text)
    RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    item tenancy.rollout_items;
BEGIN
    SELECT i.* INTO item FROM tenancy.rollout_items i
     WHERE i.rollout_id = script_ran.rollout_id AND i.tenant_id = script_ran.tenant_id FOR UPDATE;
    IF script_ran.sqlstate IS NULL THEN
        PERFORM tenancy.move_cursor(item, item.migration_id, item.steps_done + 1, false);
    ELSE
        PERFORM tenancy.fail_item(item, item.started_at, script_ran.sqlstate, message, detail, hint, NULL);
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.script_ran(integer, text, text, text, text, text) IS
    'writes down how a statement went that ran outside a transaction';
REVOKE ALL ON FUNCTION tenancy.script_ran(integer, text, text, text, text, text) FROM PUBLIC;

-- What background workers ask and say.
CREATE FUNCTION tenancy.running_rollouts(OUT rollout_id integer, OUT workers integer) RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT r.rollout_id, r.workers FROM tenancy.rollouts r WHERE r.state = 'running' AND r.workers > 0 ORDER BY r.rollout_id
$function$;
COMMENT ON FUNCTION tenancy.running_rollouts() IS 'the rollouts that background workers work on, and how many they ask for';
REVOKE ALL ON FUNCTION tenancy.running_rollouts() FROM PUBLIC;

-- A migration that brings the server down would do so for ever: workers come back, and no attempt was written down.
CREATE FUNCTION tenancy.worker_started(rollout_id integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    rollout tenancy.rollouts;
    mark bigint;
BEGIN
    SELECT r.* INTO rollout FROM tenancy.rollouts r WHERE r.rollout_id = worker_started.rollout_id FOR UPDATE;
    IF rollout.state IS DISTINCT FROM 'running' THEN
        RETURN false;
    END IF;
    SELECT count(*) FILTER (WHERE i.state NOT IN ('pending', 'running')) + coalesce(sum(i.attempts + i.steps_done), 0) INTO mark
      FROM tenancy.rollout_items i WHERE i.rollout_id = rollout.rollout_id;
    PERFORM set_config('synchronous_commit', 'on', true);
    UPDATE tenancy.rollouts r
       SET progress_mark = mark, idle_starts = CASE WHEN mark = r.progress_mark THEN r.idle_starts + 1 ELSE 0 END
     WHERE r.rollout_id = rollout.rollout_id
    RETURNING r.* INTO rollout;
    IF rollout.idle_starts <= 4 + 3 * rollout.workers THEN
        RETURN true;
    END IF;
    UPDATE tenancy.rollouts r
       SET state = 'paused', reason = format('background workers started %s times and finished no tenant; the server''s log says why', rollout.idle_starts)
     WHERE r.rollout_id = rollout.rollout_id;
    RETURN false;
END
$function$;
COMMENT ON FUNCTION tenancy.worker_started(integer) IS
    'a background worker has started; false if there is nothing to do, or if too many have come to nothing';
REVOKE ALL ON FUNCTION tenancy.worker_started(integer) FROM PUBLIC;

CREATE FUNCTION tenancy.note_rollout_problem(rollout_id integer, problem text) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    UPDATE tenancy.rollouts r SET reason = problem
     WHERE r.rollout_id = note_rollout_problem.rollout_id AND r.state = 'running' AND r.reason IS DISTINCT FROM problem
$function$;
COMMENT ON FUNCTION tenancy.note_rollout_problem(integer, text) IS 'writes down what hinders a rollout, or that nothing does';
REVOKE ALL ON FUNCTION tenancy.note_rollout_problem(integer, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION tenancy.running_rollouts(), tenancy.worker_started(integer),
    tenancy.note_rollout_problem(integer, text), tenancy.rollout_step(integer, bigint, boolean),
    tenancy.script_step(integer, text), tenancy.script_ran(integer, text, text, text, text, text) TO tenancy_worker;
