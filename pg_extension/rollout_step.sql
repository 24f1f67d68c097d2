
/*
 * rollout_step.sql — one tenant of a rollout, and what comes after it.
 *
 * rollout_step() does one thing in the transaction that it is called in, and says what the caller is to do after commit:
 * call it again, wait, or stop.  The caller is a background worker or a session that runs tenancy.run_rollout(); any
 * number of them work on one rollout, and know of each other only by the locks on rows.
 *
 * A tenant's migrations run in a subtransaction.  What fails is rolled back to where the tenant was, and the same
 * transaction writes down why: nobody else can take the tenant in between.  A tenant that cannot be locked at once goes
 * to the end of the queue; nobody waits for it, and those who wait behind our lock request wait no longer than
 * lock_timeout.
 *
 * Locks are taken in one order: items, the rollout, the system.
 */

CREATE FUNCTION tenancy.script_statements(script text, schema_name name, tenant_id text,
                                          OUT number integer, OUT line integer, OUT statement text,
                                          OUT top_level boolean, OUT repeated boolean, OUT index_name name)
    RETURNS SETOF record
    LANGUAGE c STABLE STRICT
    AS 'MODULE_PATHNAME', 'tenancy_script_statements';
COMMENT ON FUNCTION tenancy.script_statements(text, name, text) IS
    'the statements of a system''s script for one schema; which of them run in no transaction, and which until no row is left';
REVOKE ALL ON FUNCTION tenancy.script_statements(text, name, text) FROM PUBLIC;

CREATE FUNCTION tenancy.run_script_statement(schema_name name, tenant_id text, statement text) RETURNS bigint
    LANGUAGE c VOLATILE STRICT
    AS 'MODULE_PATHNAME', 'tenancy_run_script_statement';
COMMENT ON FUNCTION tenancy.run_script_statement(name, text, text) IS
    'runs one statement of a script in a tenant''s schema as its owner, and returns how many rows it touched';
REVOKE ALL ON FUNCTION tenancy.run_script_statement(name, text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.settle_schema(tenant_id text, role_name name, schema_name name, verify_sql text) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'tenancy_settle_schema';
COMMENT ON FUNCTION tenancy.settle_schema(text, name, name, text) IS
    'protects and grants what a script that ran in no transaction has made, and verifies it';
REVOKE ALL ON FUNCTION tenancy.settle_schema(text, name, name, text) FROM PUBLIC;

CREATE FUNCTION tenancy.hold_tenant(tenant_id text) RETURNS boolean
    LANGUAGE c VOLATILE STRICT
    AS 'MODULE_PATHNAME', 'tenancy_hold_tenant';
COMMENT ON FUNCTION tenancy.hold_tenant(text) IS
    'takes a tenant''s lock until the session ends or gives it up; false if somebody else has it';
REVOKE ALL ON FUNCTION tenancy.hold_tenant(text) FROM PUBLIC;

-- The version of a tenant's system; NULL if the tenant or its system is gone.
CREATE FUNCTION tenancy.version_of_tenant(tenant_id text, system_id text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    RETURN (
    SELECT v.version
      FROM tenancy.tenant_systems i
      JOIN tenancy.system_versions v ON v.version_id = i.version_id
      JOIN tenancy.tenants t ON t.tenant_id = i.tenant_id
     WHERE i.tenant_id = version_of_tenant.tenant_id AND i.system_id = version_of_tenant.system_id
       AND i.schema_name IS NOT NULL);
END
$function$;
COMMENT ON FUNCTION tenancy.version_of_tenant(text, text) IS 'the version of a tenant''s system; NULL if it has none';
REVOKE ALL ON FUNCTION tenancy.version_of_tenant(text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.skip_item(item tenancy.rollout_items, reason text) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    UPDATE tenancy.rollout_items i
       SET state = 'skipped', reason = skip_item.reason, finished_at = clock_timestamp(), migration_id = NULL,
           steps_done = 0, step_started = false, worker_pid = NULL
     WHERE i.rollout_id = item.rollout_id AND i.tenant_id = item.tenant_id
$function$;
COMMENT ON FUNCTION tenancy.skip_item(tenancy.rollout_items, text) IS 'writes down that nothing was to be done for a tenant';
REVOKE ALL ON FUNCTION tenancy.skip_item(tenancy.rollout_items, text) FROM PUBLIC;

CREATE FUNCTION tenancy.finish_item(item tenancy.rollout_items, version_from text, began timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    UPDATE tenancy.rollout_items i
       SET state = 'done', version_from = finish_item.version_from, attempts = i.attempts + 1,
           started_at = coalesce(i.started_at, began), finished_at = clock_timestamp(), migration_id = NULL,
           steps_done = 0, step_started = false, sqlstate = NULL, error_message = NULL, error_detail = NULL,
           error_hint = NULL, error_context = NULL, worker_pid = pg_backend_pid()
     WHERE i.rollout_id = item.rollout_id AND i.tenant_id = item.tenant_id;
END
$function$;
COMMENT ON FUNCTION tenancy.finish_item(tenancy.rollout_items, text, timestamptz) IS 'writes down that a tenant is done';
REVOKE ALL ON FUNCTION tenancy.finish_item(tenancy.rollout_items, text, timestamptz) FROM PUBLIC;

-- Pauses a rollout if a tenant that has just failed is one too many.
CREATE FUNCTION tenancy.judge_rollout(item tenancy.rollout_items, sqlstate text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    rollout tenancy.rollouts;
    failed integer;
    verdict text;
BEGIN
    SELECT r.* INTO rollout FROM tenancy.rollouts r WHERE r.rollout_id = item.rollout_id FOR UPDATE;
    SELECT count(*) - rollout.failures_accepted INTO failed FROM tenancy.rollout_items i
     WHERE i.rollout_id = rollout.rollout_id AND i.state = 'failed';
    verdict := CASE
        WHEN item.wave = 0 THEN format('tenant "%s" of the canary failed with SQLSTATE %s', item.tenant_id, judge_rollout.sqlstate)
        WHEN rollout.on_error = 'stop' THEN format('tenant "%s" failed with SQLSTATE %s', item.tenant_id, judge_rollout.sqlstate)
        WHEN failed > rollout.error_budget THEN format('%s tenants failed, which is more than the error budget of %s', failed, rollout.error_budget)
        END;
    IF verdict IS NOT NULL THEN
        UPDATE tenancy.rollouts r SET state = 'paused', reason = verdict
         WHERE r.rollout_id = rollout.rollout_id AND r.state = 'running';
        PERFORM tenancy.wake_rollouts();
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.judge_rollout(tenancy.rollout_items, text) IS 'pauses a rollout if too many tenants have failed';
REVOKE ALL ON FUNCTION tenancy.judge_rollout(tenancy.rollout_items, text) FROM PUBLIC;

-- What may be over the next time: a lock, a deadlock, a full disk.
CREATE FUNCTION tenancy.is_passing_error(sqlstate text, message text) RETURNS boolean
    LANGUAGE sql IMMUTABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT sqlstate IN ('55P03', '40P01', '40001') OR sqlstate LIKE '53%'
        OR sqlstate = 'XX000' AND message LIKE 'tuple concurrently %'
$function$;
COMMENT ON FUNCTION tenancy.is_passing_error(text, text) IS 'whether an error may be over if one tries again';
REVOKE ALL ON FUNCTION tenancy.is_passing_error(text, text) FROM PUBLIC;

-- Writes down why a tenant failed: for good, or to be tried again from the end of the queue, after a time that doubles.
CREATE FUNCTION tenancy.fail_item(item tenancy.rollout_items, began timestamptz, sqlstate text, message text,
                                  detail text, hint text, context text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    rollout tenancy.rollouts;
    attempt integer := item.attempts + 1;
    again boolean;
BEGIN
    SELECT r.* INTO rollout FROM tenancy.rollouts r WHERE r.rollout_id = item.rollout_id;
    again := tenancy.is_passing_error(fail_item.sqlstate, message) AND attempt < rollout.max_attempts;
    IF again THEN
        -- Whoever cancels it at this moment passes this tenant over: one of the two waits for the other.
        SELECT r.* INTO rollout FROM tenancy.rollouts r WHERE r.rollout_id = item.rollout_id FOR SHARE;
    END IF;
    UPDATE tenancy.rollout_items i
       SET state = CASE WHEN again AND rollout.state = 'cancelled' THEN 'cancelled' WHEN again THEN 'pending' ELSE 'failed' END,
           attempts = attempt, queue_no = i.item_no + (attempt::bigint << 32),
           not_before = clock_timestamp() + least('15 s', rollout.lock_timeout * (1 << least(attempt - 1, 10))) * (0.5 + random()),
           started_at = coalesce(i.started_at, began), finished_at = CASE WHEN again THEN NULL ELSE clock_timestamp() END,
           sqlstate = fail_item.sqlstate, error_message = message, error_detail = nullif(detail, ''),
           error_hint = nullif(hint, ''), error_context = nullif(context, ''), worker_pid = pg_backend_pid()
     WHERE i.rollout_id = item.rollout_id AND i.tenant_id = item.tenant_id;
    IF NOT again THEN
        PERFORM tenancy.judge_rollout(item, fail_item.sqlstate);
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.fail_item(tenancy.rollout_items, timestamptz, text, text, text, text, text) IS
    'writes down why a tenant failed, and whether it is tried again';
REVOKE ALL ON FUNCTION tenancy.fail_item(tenancy.rollout_items, timestamptz, text, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.set_lock_timeout(lock_timeout interval) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    PERFORM set_config('lock_timeout', round(extract(epoch FROM lock_timeout) * 1000)::integer::text, true);
END
$function$;
COMMENT ON FUNCTION tenancy.set_lock_timeout(interval) IS 'how long this transaction waits for a lock';
REVOKE ALL ON FUNCTION tenancy.set_lock_timeout(interval) FROM PUBLIC;

-- Leads a tenant to a version, there or back.
CREATE FUNCTION tenancy.move_tenant(rollout tenancy.rollouts, tenant_id text, version text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    PERFORM tenancy.set_lock_timeout(rollout.lock_timeout);
    IF rollout.reverts IS NULL THEN
        PERFORM tenancy.update_system(tenant_id, rollout.system_id, version);
    ELSE
        PERFORM tenancy.rollback_system(tenant_id, rollout.system_id, version, rollout.force);
    END IF;
    -- What is checked at commit would fail where nobody writes down why.
    SET CONSTRAINTS ALL IMMEDIATE;
    PERFORM tenancy.set_lock_timeout('0');
END
$function$;
COMMENT ON FUNCTION tenancy.move_tenant(tenancy.rollouts, text, text) IS 'leads a tenant to a version, there or back';
REVOKE ALL ON FUNCTION tenancy.move_tenant(tenancy.rollouts, text, text) FROM PUBLIC;

-- One tenant, in this transaction; its item is locked.
CREATE FUNCTION tenancy.run_item(rollout tenancy.rollouts, item tenancy.rollout_items, present text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    began timestamptz := clock_timestamp();
    message text;
    detail text;
    hint text;
    context text;
BEGIN
    BEGIN
        PERFORM tenancy.move_tenant(rollout, item.tenant_id, item.version_to);
        PERFORM tenancy.finish_item(item, present, began);
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
            context = PG_EXCEPTION_CONTEXT;
        -- Scripts that were edited a moment ago are not this tenant's fault: it goes on waiting.
        IF NOT tenancy.scripts_were_edited(rollout) THEN
            PERFORM tenancy.fail_item(item, began, SQLSTATE, message, detail, hint, context);
        END IF;
    END;
END
$function$;
COMMENT ON FUNCTION tenancy.run_item(tenancy.rollouts, tenancy.rollout_items, text) IS
    'leads one tenant to its version, and writes down how that went';
REVOKE ALL ON FUNCTION tenancy.run_item(tenancy.rollouts, tenancy.rollout_items, text) FROM PUBLIC;

-- Takes the next tenant of the wave, after a place in the queue.
CREATE FUNCTION tenancy.claim_item(rollout_id integer, wave integer, after bigint) RETURNS tenancy.rollout_items
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    item tenancy.rollout_items;
BEGIN
    SELECT i.* INTO item FROM tenancy.rollout_items i
     WHERE i.rollout_id = claim_item.rollout_id AND i.wave = claim_item.wave AND i.state = 'pending'
       AND i.queue_no > after AND i.not_before <= clock_timestamp()
     ORDER BY i.queue_no LIMIT 1 FOR UPDATE SKIP LOCKED;
    RETURN item;
END
$function$;
COMMENT ON FUNCTION tenancy.claim_item(integer, integer, bigint) IS
    'locks the next tenant of a wave that nobody works on; NULL if there is none';
REVOKE ALL ON FUNCTION tenancy.claim_item(integer, integer, bigint) FROM PUBLIC;

-- Takes a tenant that a worker left half-way through a script: nobody holds it any more.
CREATE FUNCTION tenancy.adopt_item(rollout_id integer) RETURNS tenancy.rollout_items
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    item tenancy.rollout_items;
BEGIN
    FOR item IN
        SELECT i.* FROM tenancy.rollout_items i WHERE i.rollout_id = adopt_item.rollout_id AND i.state = 'running'
         ORDER BY i.queue_no FOR UPDATE SKIP LOCKED
    LOOP
        IF tenancy.hold_tenant(item.tenant_id) THEN
            RETURN item;
        END IF;
    END LOOP;
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.adopt_item(integer) IS 'takes a tenant that was left half-way through a script';
REVOKE ALL ON FUNCTION tenancy.adopt_item(integer) FROM PUBLIC;

-- Tenants that came with an older version since the rollout began: those that began before it and were made after.
CREATE FUNCTION tenancy.add_late_tenants(rollout tenancy.rollouts) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF rollout.reverts IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Waits for those who are being installed.
    PERFORM tenancy.lock_system(rollout.system_id);
    INSERT INTO tenancy.rollout_items (rollout_id, tenant_id, item_no, wave, version_from, version_to, queue_no)
    SELECT rollout.rollout_id, c.tenant_id, l.item_no + c.place, greatest(rollout.current_wave, 1), c.version_from,
           rollout.version, l.item_no + c.place
      FROM (SELECT n.*, (row_number() OVER (ORDER BY n.tenant_id COLLATE "C"))::integer AS place
              FROM tenancy.rollout_candidates(rollout.system_id, rollout.version, rollout.tenants, rollout.tier, rollout.region) n
             WHERE n.action = 'update'
               AND NOT EXISTS (SELECT FROM tenancy.rollout_items i
                                WHERE i.rollout_id = rollout.rollout_id AND i.tenant_id = n.tenant_id)) c,
           (SELECT coalesce(max(i.item_no), 0) AS item_no FROM tenancy.rollout_items i
             WHERE i.rollout_id = rollout.rollout_id) l;
    RETURN FOUND;
END
$function$;
COMMENT ON FUNCTION tenancy.add_late_tenants(tenancy.rollouts) IS
    'adds tenants to a rollout that have come since it began; false if there are none';
REVOKE ALL ON FUNCTION tenancy.add_late_tenants(tenancy.rollouts) FROM PUBLIC;

-- Scripts that are not those that the rollout was started with lead tenants to different places.
CREATE FUNCTION tenancy.scripts_were_edited(rollout tenancy.rollouts) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF tenancy.rollout_checksum(rollout.migrations) = rollout.checksum THEN
        RETURN false;
    END IF;
    UPDATE tenancy.rollouts r SET state = 'paused', reason = 'migrations were edited since it was started'
     WHERE r.rollout_id = rollout.rollout_id AND r.state = 'running';
    PERFORM tenancy.wake_rollouts();
    RETURN true;
END
$function$;
COMMENT ON FUNCTION tenancy.scripts_were_edited(tenancy.rollouts) IS
    'pauses a rollout whose migrations are not those that it was started with; false if they are';
REVOKE ALL ON FUNCTION tenancy.scripts_were_edited(tenancy.rollouts) FROM PUBLIC;

-- It was, and runs again for those alone that were half-way.
CREATE FUNCTION tenancy.was_cancelled(rollout tenancy.rollouts) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT EXISTS (SELECT FROM tenancy.rollout_items i WHERE i.rollout_id = rollout.rollout_id AND i.state = 'cancelled')
$function$;
COMMENT ON FUNCTION tenancy.was_cancelled(tenancy.rollouts) IS
    'whether a rollout was cancelled and runs again only for tenants that were half-way through a migration';
REVOKE ALL ON FUNCTION tenancy.was_cancelled(tenancy.rollouts) FROM PUBLIC;

CREATE FUNCTION tenancy.end_rollout(rollout tenancy.rollouts) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    failed boolean := EXISTS (SELECT FROM tenancy.rollout_items i WHERE i.rollout_id = rollout.rollout_id AND i.state = 'failed');
    cancelled boolean := tenancy.was_cancelled(rollout);
BEGIN
    -- Workers do not wait for the disk; who reads "done" may rely on it.
    PERFORM set_config('synchronous_commit', 'on', true);
    UPDATE tenancy.rollouts r
       SET state = CASE WHEN cancelled THEN 'cancelled' WHEN failed THEN 'failed' ELSE 'done' END, reason = NULL,
           finished_at = clock_timestamp()
     WHERE r.rollout_id = rollout.rollout_id;
    UPDATE tenancy.rollouts r SET state = 'rolled_back'
     WHERE r.rollout_id = rollout.reverts AND NOT failed AND NOT cancelled;
    PERFORM tenancy.wake_rollouts();
END
$function$;
COMMENT ON FUNCTION tenancy.end_rollout(tenancy.rollouts) IS 'ends a rollout that has nothing left to do';
REVOKE ALL ON FUNCTION tenancy.end_rollout(tenancy.rollouts) FROM PUBLIC;

-- Nobody is to be taken in this wave: others are at work, or some are to be tried again, or the next wave begins.
CREATE FUNCTION tenancy.advance_rollout(rollout_id integer, OUT action text, OUT wait_ms integer)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    rollout tenancy.rollouts;
    due timestamptz;
    next_wave integer;
BEGIN
    SELECT r.* INTO rollout FROM tenancy.rollouts r WHERE r.rollout_id = advance_rollout.rollout_id FOR UPDATE;
    IF rollout.state <> 'running' THEN
        action := 'next';
        RETURN;
    END IF;
    SELECT min(CASE i.state WHEN 'running' THEN 'infinity' ELSE i.not_before END) INTO due FROM tenancy.rollout_items i
     WHERE i.rollout_id = rollout.rollout_id AND i.wave <= rollout.current_wave AND i.state IN ('pending', 'running');
    IF due IS NOT NULL THEN
        action := 'wait';
        -- What is due and was not to be had is being worked on.
        wait_ms := CASE WHEN due <= clock_timestamp() THEN 50
                        ELSE extract(epoch FROM least(due, clock_timestamp() + interval '1 s') - clock_timestamp()) * 1000 + 1 END;
        RETURN;
    END IF;

    action := 'next';
    SELECT min(i.wave) INTO next_wave FROM tenancy.rollout_items i
     WHERE i.rollout_id = rollout.rollout_id AND i.state = 'pending';
    IF next_wave IS NULL THEN
        IF tenancy.scripts_were_edited(rollout) THEN
            RETURN;
        ELSIF NOT tenancy.was_cancelled(rollout) AND tenancy.add_late_tenants(rollout) THEN
            PERFORM tenancy.bind_rollout(rollout.rollout_id);
        ELSE
            PERFORM tenancy.end_rollout(rollout);
        END IF;
    ELSE
        UPDATE tenancy.rollouts r SET current_wave = next_wave WHERE r.rollout_id = rollout.rollout_id;
        PERFORM tenancy.wake_rollouts();
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.advance_rollout(integer) IS
    'leads a rollout to its next wave or to its end, if nobody of this wave is left';
REVOKE ALL ON FUNCTION tenancy.advance_rollout(integer) FROM PUBLIC;

CREATE FUNCTION tenancy.rollout_step(rollout_id integer, after bigint, in_worker boolean, OUT action text,
                                     OUT queue_no bigint, OUT wait_ms integer, OUT tenant_id text, OUT verdict text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    rollout tenancy.rollouts;
    item tenancy.rollout_items;
    present text;
BEGIN
    SELECT r.* INTO rollout FROM tenancy.rollouts r WHERE r.rollout_id = rollout_step.rollout_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('rollout %s does not exist', rollout_step.rollout_id);
    ELSIF rollout.state <> 'running' THEN
        action := 'stop';
        IF rollout.state IN ('paused', 'failed', 'cancelled') THEN
            verdict := CASE rollout.state WHEN 'failed' THEN format('rollout %s is over, and tenants have failed', rollout.rollout_id)
                            ELSE format('rollout %s is %s', rollout.rollout_id, rollout.state) || coalesce(': ' || rollout.reason, '') END;
        END IF;
        RETURN;
    ELSIF tenancy.scripts_were_edited(rollout) THEN
        action := 'next';
        RETURN;
    END IF;
    IF rollout.scripted THEN
        IF NOT in_worker THEN
            action := 'worker';
            RETURN;
        END IF;
        item := tenancy.adopt_item(rollout.rollout_id);
    END IF;
    IF item.tenant_id IS NULL THEN
        item := tenancy.claim_item(rollout.rollout_id, rollout.current_wave, after);
        IF item.tenant_id IS NULL AND after > 0 THEN
            item := tenancy.claim_item(rollout.rollout_id, rollout.current_wave, 0);
        END IF;
    END IF;
    IF item.tenant_id IS NULL THEN
        SELECT a.action, a.wait_ms INTO action, wait_ms FROM tenancy.advance_rollout(rollout.rollout_id) a;
        RETURN;
    END IF;

    action := 'next';
    queue_no := item.queue_no;
    present := tenancy.version_of_tenant(item.tenant_id, rollout.system_id);
    IF item.state = 'running' THEN
        -- Adopted from a session that ended: script_step() knows how far it is, be it done.
        action := tenancy.take_script(rollout, item, present);
        tenant_id := item.tenant_id;
    ELSIF present IS NULL THEN
        PERFORM tenancy.skip_item(item, 'is gone, or does not have the system any more');
    ELSIF item.migration_id IS NULL AND present = item.version_to THEN
        PERFORM tenancy.skip_item(item, 'has this version');
    ELSIF item.migration_id IS NULL
          AND tenancy.compare_versions(present, item.version_to) * (CASE WHEN rollout.reverts IS NULL THEN 1 ELSE -1 END) > 0 THEN
        PERFORM tenancy.skip_item(item, format('has version %s', present));
    ELSIF NOT rollout.scripted THEN
        PERFORM tenancy.run_item(rollout, item, present);
    ELSE
        action := tenancy.take_script(rollout, item, present);
        tenant_id := item.tenant_id;
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.rollout_step(integer, bigint, boolean) IS
    'the next tenant of a rollout, or the next wave; says what the caller does after commit: next, wait, script, worker or stop';
REVOKE ALL ON FUNCTION tenancy.rollout_step(integer, bigint, boolean) FROM PUBLIC;

CREATE PROCEDURE tenancy.run_rollout(rollout_id integer)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'tenancy_run_rollout';
COMMENT ON PROCEDURE tenancy.run_rollout(integer) IS
    'works on a rollout until it is over or paused, a transaction for each tenant; any number of sessions may at once';
REVOKE ALL ON PROCEDURE tenancy.run_rollout(integer) FROM PUBLIC;
