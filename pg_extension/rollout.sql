
/*
 * rollout.sql — leading all tenants of a system to a version: what is to be done, and how it stands.
 *
 * A rollout is a row, and each of its tenants is one.  Whoever works on it (rollout_step.sql; background workers, or
 * sessions that CALL tenancy.run_rollout()) takes one tenant, and one transaction holds that tenant's migrations, its
 * version row and the state of its item: what a crash leaves is done or to be done.  Nothing is kept in memory that the
 * rows do not say, so that "resume" is to go on.
 *
 *   running ⇄ paused → cancelled              by request; "paused" also by itself: canary, on_error, error_budget
 *   running → done                            every tenant has the version
 *   running → failed → running                all were tried and some have failed; retry_rollout() goes on
 *   done, failed, cancelled → rolled_back     by a rollout of its own, which leads the tenants back that were done
 */

-- Background workers of this extension connect as this role; a client cannot.
DO $do$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'tenancy_worker') THEN
        CREATE ROLE tenancy_worker LOGIN CONNECTION LIMIT 0;
    ELSIF EXISTS (SELECT FROM pg_roles r
                   WHERE r.rolname = 'tenancy_worker'
                     AND (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolreplication OR NOT r.rolcanlogin)) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'role "tenancy_worker" exists and cannot serve background workers',
            DETAIL = 'It must log in and be neither superuser nor exempt from row-level security, nor create roles or replicate.',
            HINT = 'ALTER ROLE tenancy_worker LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION CONNECTION LIMIT 0;';
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO tenancy_worker', current_database());
END
$do$;

CREATE TABLE tenancy.rollouts (
    rollout_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system_id varchar(50) NOT NULL REFERENCES tenancy.management_systems (system_id),
    version varchar(20),
    reverts integer REFERENCES tenancy.rollouts (rollout_id),
    force boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'running'
        CONSTRAINT rollouts_state CHECK (state IN ('running', 'paused', 'done', 'failed', 'cancelled', 'rolled_back')),
    reason text,
    workers integer NOT NULL,
    lock_timeout interval NOT NULL,
    max_attempts integer NOT NULL,
    on_error text NOT NULL
        CONSTRAINT rollouts_on_error CHECK (on_error IN ('stop', 'continue')),
    error_budget integer,
    tenants text[],
    tier text,
    region text,
    canary text[],
    canary_size text,
    waves text[],
    current_wave integer NOT NULL DEFAULT 0,
    failures_accepted integer NOT NULL DEFAULT 0,
    migrations text[] NOT NULL DEFAULT '{}',
    checksum text NOT NULL,
    scripted boolean NOT NULL DEFAULT false,
    progress_mark bigint NOT NULL DEFAULT 0,
    idle_starts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by name NOT NULL DEFAULT session_user,
    finished_at timestamptz,
    CONSTRAINT rollouts_target CHECK ((version IS NULL) = (reverts IS NOT NULL))
);
CREATE UNIQUE INDEX rollouts_active_idx ON tenancy.rollouts (system_id) WHERE state IN ('running', 'paused');
COMMENT ON TABLE tenancy.rollouts IS 'rollouts of versions to all tenants of a system; one of a system at a time';
COMMENT ON COLUMN tenancy.rollouts.version IS 'where the tenants are led to; NULL if back, each to where it came from';
COMMENT ON COLUMN tenancy.rollouts.reverts IS 'the rollout that this one rolls back';
COMMENT ON COLUMN tenancy.rollouts.force IS 'roll back also where data will be lost';
COMMENT ON COLUMN tenancy.rollouts.reason IS 'why it is paused, or what hinders it';
COMMENT ON COLUMN tenancy.rollouts.workers IS 'background workers that it asks for; 0: sessions run it, CALL tenancy.run_rollout()';
COMMENT ON COLUMN tenancy.rollouts.error_budget IS 'how many tenants may fail before it pauses, with on_error = continue; NULL: any number';
COMMENT ON COLUMN tenancy.rollouts.current_wave IS 'tenants of later waves wait; wave 0 is the canary';
COMMENT ON COLUMN tenancy.rollouts.failures_accepted IS 'how many tenants had failed when somebody resumed it';
COMMENT ON COLUMN tenancy.rollouts.migrations IS 'the migrations that its tenants'' paths consist of';
COMMENT ON COLUMN tenancy.rollouts.checksum IS 'of the scripts of these migrations, when it was started';
COMMENT ON COLUMN tenancy.rollouts.scripted IS 'true if one of these migrations does not run in a transaction';
COMMENT ON COLUMN tenancy.rollouts.progress_mark IS 'a number that grows with progress, as the last worker that started found it';
COMMENT ON COLUMN tenancy.rollouts.idle_starts IS 'how often in a row a worker found no progress since one started before';

CREATE TABLE tenancy.rollout_items (
    rollout_id integer NOT NULL REFERENCES tenancy.rollouts (rollout_id) ON DELETE CASCADE,
    tenant_id varchar(50) COLLATE "C" NOT NULL,
    item_no integer NOT NULL,
    wave integer NOT NULL,
    state text NOT NULL DEFAULT 'pending'
        CONSTRAINT rollout_items_state CHECK (state IN ('pending', 'running', 'done', 'failed', 'skipped', 'cancelled')),
    reason text,
    version_from varchar(20) NOT NULL,
    version_to varchar(20) NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    queue_no bigint NOT NULL,
    not_before timestamptz NOT NULL DEFAULT '-infinity',
    migration_id varchar(50),
    steps_done integer NOT NULL DEFAULT 0,
    step_started boolean NOT NULL DEFAULT false,
    sqlstate text,
    error_message text,
    error_detail text,
    error_hint text,
    error_context text,
    started_at timestamptz,
    finished_at timestamptz,
    worker_pid integer,
    PRIMARY KEY (rollout_id, tenant_id)
);
CREATE INDEX rollout_items_queue_idx ON tenancy.rollout_items (rollout_id, wave, queue_no) WHERE state = 'pending';
CREATE INDEX rollout_items_open_idx ON tenancy.rollout_items (rollout_id, state) WHERE state IN ('running', 'failed');
COMMENT ON TABLE tenancy.rollout_items IS 'the tenants of rollouts, each with how it fared';
COMMENT ON COLUMN tenancy.rollout_items.item_no IS 'the order in which tenants are taken, within a wave';
COMMENT ON COLUMN tenancy.rollout_items.reason IS 'why it was skipped';
COMMENT ON COLUMN tenancy.rollout_items.state IS 'running: half-way through a migration that does not run in a transaction';
COMMENT ON COLUMN tenancy.rollout_items.queue_no IS 'its place in the queue; a tenant that could not be locked goes to the end';
COMMENT ON COLUMN tenancy.rollout_items.not_before IS 'when it may be tried again';
COMMENT ON COLUMN tenancy.rollout_items.migration_id IS 'the migration that does not run in a transaction and has begun';
COMMENT ON COLUMN tenancy.rollout_items.steps_done IS 'how many of its statements are done';
COMMENT ON COLUMN tenancy.rollout_items.step_started IS 'true if the next statement may be done in part';

REVOKE ALL ON tenancy.rollouts, tenancy.rollout_items FROM PUBLIC;
REVOKE ALL ON SEQUENCE tenancy.rollouts_rollout_id_seq FROM PUBLIC;
SELECT pg_extension_config_dump('tenancy.rollouts', '');
SELECT pg_extension_config_dump('tenancy.rollouts_rollout_id_seq', '');
SELECT pg_extension_config_dump('tenancy.rollout_items', '');

-- How many tenants "5" or "10%" of so many are; at least one.
CREATE FUNCTION tenancy.group_size(size text, total bigint) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE STRICT SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF size ~ '^[1-9][0-9]{0,8}$' THEN
        RETURN size::integer;
    ELSIF size ~ '^(100|[0-9]{1,2}(\.[0-9]{1,3})?)%$' THEN
        RETURN greatest(1, ceil(total * rtrim(size, '%')::numeric / 100))::integer;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'invalid_parameter_value',
        MESSAGE = format('malformed size of a group of tenants: "%s"', size),
        HINT = 'A size is a number of tenants, ''20'', or a share of them, ''5%''.';
END
$function$;
COMMENT ON FUNCTION tenancy.group_size(text, bigint) IS 'how many tenants a size such as ''20'' or ''5%'' means';
REVOKE ALL ON FUNCTION tenancy.group_size(text, bigint) FROM PUBLIC;

-- The tenants that have a system and pass the filters, with what a rollout would do to each.
CREATE FUNCTION tenancy.rollout_candidates(system_id text, version text, tenants text[], tier text, region text,
                                           OUT tenant_id text, OUT version_from text, OUT schema_name name,
                                           OUT migrations text[], OUT action text, OUT reason text)
    RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH candidate AS (
        SELECT i.tenant_id, v.version, i.schema_name
          FROM tenancy.tenant_systems i
          JOIN tenancy.system_versions v ON v.version_id = i.version_id
          JOIN tenancy.tenants t ON t.tenant_id = i.tenant_id
         WHERE i.system_id = rollout_candidates.system_id AND i.schema_name IS NOT NULL
           AND (rollout_candidates.tenants IS NULL OR i.tenant_id = ANY (rollout_candidates.tenants))
           AND (rollout_candidates.tier IS NULL OR t.tier = rollout_candidates.tier)
           AND (rollout_candidates.region IS NULL OR t.region = rollout_candidates.region)
    ), way AS MATERIALIZED (
        SELECT d.version, tenancy.compare_versions(d.version, rollout_candidates.version) AS ahead,
               ARRAY(SELECT p.migration_id
                       FROM tenancy.migration_path(rollout_candidates.system_id, d.version, rollout_candidates.version) p
                      ORDER BY p.step) AS migrations
          FROM (SELECT DISTINCT c.version FROM candidate c) d
    )
    SELECT c.tenant_id, c.version, c.schema_name,
           CASE WHEN w.ahead < 0 THEN w.migrations ELSE '{}' END,
           CASE WHEN w.ahead >= 0 THEN 'skip' WHEN w.migrations = '{}' THEN 'refuse' ELSE 'update' END,
           CASE WHEN w.ahead = 0 THEN 'has this version'
                WHEN w.ahead > 0 THEN 'has a later version'
                WHEN w.migrations = '{}' THEN 'no migration leads there' END
      FROM candidate c JOIN way w ON w.version = c.version
$function$;
COMMENT ON FUNCTION tenancy.rollout_candidates(text, text, text[], text, text) IS
    'the tenants that a rollout would concern, and the migrations that lead each of them to the version';
REVOKE ALL ON FUNCTION tenancy.rollout_candidates(text, text, text[], text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.plan_rollout(system_id text, version text DEFAULT NULL, canary text[] DEFAULT NULL,
                                     canary_size text DEFAULT NULL, waves text[] DEFAULT NULL,
                                     tenants text[] DEFAULT NULL, tier text DEFAULT NULL, region text DEFAULT NULL,
                                     OUT item_no integer, OUT wave integer, OUT tenant_id text, OUT schema_name name,
                                     OUT version_from text, OUT version_to text, OUT migrations text[],
                                     OUT action text, OUT reason text)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    target text := (tenancy.find_version(plan_rollout.system_id, plan_rollout.version)).version;
    total bigint;
    stranger text;
    bounds integer[] := '{}';
    bound integer := 0;
    size text;
BEGIN
    SELECT count(*) FILTER (WHERE c.action = 'update') INTO total
      FROM tenancy.rollout_candidates(plan_rollout.system_id, target, plan_rollout.tenants, plan_rollout.tier,
                                      plan_rollout.region) c;
    SELECT n INTO stranger
      FROM unnest(plan_rollout.canary || plan_rollout.tenants) n
     WHERE NOT EXISTS (SELECT FROM tenancy.rollout_candidates(plan_rollout.system_id, target, plan_rollout.tenants,
                                                              plan_rollout.tier, plan_rollout.region) c
                        WHERE c.tenant_id = n)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('tenant "%s" is not among those of this rollout', stranger),
            DETAIL = format('A rollout concerns tenants that have system "%s" and pass its filters.', plan_rollout.system_id);
    END IF;
    FOREACH size IN ARRAY coalesce(plan_rollout.waves, '{}') LOOP
        bound := least(bound::bigint + tenancy.group_size(size, total), 2147483647)::integer;
        bounds := bounds || bound;
    END LOOP;

    -- The canary first, then wave after wave; whom the waves leave over is the last one.
    RETURN QUERY
        WITH ordered AS (
            SELECT c.*, c.tenant_id = ANY (coalesce(plan_rollout.canary, '{}')) AS named,
                   row_number() OVER (PARTITION BY c.action ORDER BY
                       NOT c.tenant_id = ANY (coalesce(plan_rollout.canary, '{}')), c.tenant_id COLLATE "C") AS place
              FROM tenancy.rollout_candidates(plan_rollout.system_id, target, plan_rollout.tenants, plan_rollout.tier,
                                              plan_rollout.region) c
        ), grouped AS (
            SELECT o.*, o.named OR o.place <= coalesce(tenancy.group_size(plan_rollout.canary_size, total), 0) AS is_canary
              FROM ordered o
        )
        SELECT (row_number() OVER (ORDER BY g.action DESC, NOT g.is_canary, g.place))::integer,
               CASE WHEN g.action <> 'update' THEN NULL
                    WHEN g.is_canary THEN 0
                    ELSE 1 + (SELECT count(*)::integer FROM unnest(bounds) b
                               WHERE b < g.place - (SELECT count(*) FROM grouped k WHERE k.is_canary AND k.action = 'update'))
               END,
               g.tenant_id, g.schema_name, g.version_from, target, g.migrations, g.action, g.reason
          FROM grouped g
         ORDER BY 1;
END
$function$;
COMMENT ON FUNCTION tenancy.plan_rollout(text, text, text[], text, text[], text[], text, text) IS
    'what start_rollout() with the same arguments would do: which tenants, in which waves and order, by which migrations';
REVOKE ALL ON FUNCTION tenancy.plan_rollout(text, text, text[], text, text[], text[], text, text) FROM PUBLIC;

-- What the scripts of some migrations are now; what is stored as their checksum may have been edited too.
CREATE FUNCTION tenancy.rollout_checksum(migrations text[]) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    RETURN tenancy.script_checksum(VARIADIC '{rollout}'::text[] || ARRAY(
        SELECT unnest(ARRAY[m.migration_id, m.migration_sql, m.rollback_sql, m.verify_sql, m.transactional::text])
          FROM tenancy.schema_migrations m WHERE m.migration_id = ANY (migrations)
         ORDER BY m.migration_id COLLATE "C"));
END
$function$;
COMMENT ON FUNCTION tenancy.rollout_checksum(text[]) IS 'SHA-256, in hexadecimal, of the scripts of some migrations';
REVOKE ALL ON FUNCTION tenancy.rollout_checksum(text[]) FROM PUBLIC;

CREATE FUNCTION tenancy.wake_rollouts() RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'tenancy_wake_rollouts';
COMMENT ON FUNCTION tenancy.wake_rollouts() IS 'at commit, tells the background workers that a rollout has changed';
REVOKE ALL ON FUNCTION tenancy.wake_rollouts() FROM PUBLIC;

CREATE FUNCTION tenancy.count_rollout_workers(rollout_id integer) RETURNS integer
    LANGUAGE c VOLATILE STRICT
    AS 'MODULE_PATHNAME', 'tenancy_count_rollout_workers';
COMMENT ON FUNCTION tenancy.count_rollout_workers(integer) IS 'how many background workers a rollout has now';
REVOKE ALL ON FUNCTION tenancy.count_rollout_workers(integer) FROM PUBLIC;

CREATE FUNCTION tenancy.rollout_worker_problem() RETURNS text
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'tenancy_rollout_worker_problem';
COMMENT ON FUNCTION tenancy.rollout_worker_problem() IS 'why no background worker can be had; NULL if one can';
REVOKE ALL ON FUNCTION tenancy.rollout_worker_problem() FROM PUBLIC;

-- An error if a rollout of the system is under way.  The system's row is locked, so that one start comes after another.
CREATE FUNCTION tenancy.check_no_rollout(system_id text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    active tenancy.rollouts;
BEGIN
    PERFORM tenancy.lock_system(check_no_rollout.system_id);
    SELECT r.* INTO active FROM tenancy.rollouts r
     WHERE r.system_id = check_no_rollout.system_id AND r.state IN ('running', 'paused');
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_in_use',
            MESSAGE = format('rollout %s of system "%s" is %s', active.rollout_id, active.system_id, active.state),
            DETAIL = 'A system has one rollout at a time.',
            HINT = format('Wait for it (SELECT * FROM tenancy.rollout_progress;), or end it: SELECT tenancy.cancel_rollout(%s);',
                          active.rollout_id);
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.check_no_rollout(text) IS 'raises an error if a rollout of this system is under way';
REVOKE ALL ON FUNCTION tenancy.check_no_rollout(text) FROM PUBLIC;

-- Arguments that are out of range; a NULL is as bad.
CREATE FUNCTION tenancy.check_rollout_options(workers integer, lock_timeout interval, max_attempts integer,
                                              on_error text, error_budget integer) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    wrong text := CASE
        WHEN coalesce(workers NOT BETWEEN 0 AND 64, true) THEN '"workers" must be from 0 to 64'
        WHEN coalesce(lock_timeout NOT BETWEEN '1 ms' AND '1 hour', true) THEN '"lock_timeout" must be from 1 ms to 1 hour'
        WHEN coalesce(max_attempts NOT BETWEEN 1 AND 1000, true) THEN '"max_attempts" must be from 1 to 1000'
        WHEN coalesce(on_error NOT IN ('stop', 'continue'), true) THEN '"on_error" must be ''stop'' or ''continue'''
        WHEN error_budget < 0 THEN '"error_budget" must not be negative'
        WHEN error_budget IS NOT NULL AND on_error = 'stop' THEN '"error_budget" goes with on_error => ''continue'''
        END;
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = wrong;
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.check_rollout_options(integer, interval, integer, text, integer) IS
    'raises an error if a rollout cannot run with these options';
REVOKE ALL ON FUNCTION tenancy.check_rollout_options(integer, interval, integer, text, integer) FROM PUBLIC;

-- Tells who starts a rollout that nobody would run it.
CREATE FUNCTION tenancy.announce_rollout(rollout tenancy.rollouts) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    problem text := tenancy.rollout_worker_problem();
    limits integer := current_setting('max_worker_processes')::integer;
BEGIN
    -- A supervisor and a worker at least; what is no background worker has one of these names.
    IF problem IS NULL AND limits < 2 +
       (SELECT count(*) FROM pg_stat_get_activity(NULL) a
         WHERE a.backend_type NOT IN ('client backend', 'autovacuum launcher', 'autovacuum worker', 'walsender',
                   'walreceiver', 'walwriter', 'walsummarizer', 'background writer', 'checkpointer', 'startup', 'archiver',
                   'logger', 'slotsync worker', 'io worker', 'standalone backend', 'tenancy rollout supervisor',
                   'tenancy rollout worker'))
    THEN
        problem := format('All of the %s background worker slots (max_worker_processes) are in use.', limits);
    END IF;
    PERFORM tenancy.wake_rollouts();
    IF rollout.workers > 0 AND problem IS NOT NULL THEN
        RAISE WARNING USING
            ERRCODE = 'configuration_limit_exceeded',
            MESSAGE = format('no background worker will run rollout %s', rollout.rollout_id),
            DETAIL = problem,
            HINT = format('It can be run by any number of sessions: CALL tenancy.run_rollout(%s);', rollout.rollout_id);
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.announce_rollout(tenancy.rollouts) IS
    'wakes the background workers, and warns if there will be none';
REVOKE ALL ON FUNCTION tenancy.announce_rollout(tenancy.rollouts) FROM PUBLIC;

CREATE FUNCTION tenancy.start_rollout(system_id text, version text DEFAULT NULL, canary text[] DEFAULT NULL,
                                      canary_size text DEFAULT NULL, waves text[] DEFAULT NULL,
                                      workers integer DEFAULT 2, lock_timeout interval DEFAULT '200 ms',
                                      max_attempts integer DEFAULT 10, on_error text DEFAULT 'stop',
                                      error_budget integer DEFAULT NULL, tenants text[] DEFAULT NULL,
                                      tier text DEFAULT NULL, region text DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    rollout tenancy.rollouts;
    plan record;
    target text;
BEGIN
    PERFORM tenancy.check_rollout_options(workers, lock_timeout, max_attempts, on_error, error_budget);
    PERFORM tenancy.check_no_rollout(start_rollout.system_id);
    target := (tenancy.find_version(start_rollout.system_id, start_rollout.version)).version;
    INSERT INTO tenancy.rollouts AS r
        (system_id, version, workers, lock_timeout, max_attempts, on_error, error_budget, tenants, tier, region, canary,
         canary_size, waves, checksum)
    VALUES (start_rollout.system_id, target, start_rollout.workers, start_rollout.lock_timeout,
            start_rollout.max_attempts, start_rollout.on_error, start_rollout.error_budget, start_rollout.tenants,
            start_rollout.tier, start_rollout.region, start_rollout.canary, start_rollout.canary_size,
            start_rollout.waves, '')
    RETURNING r.* INTO rollout;

    INSERT INTO tenancy.rollout_items
        (rollout_id, tenant_id, item_no, wave, state, reason, version_from, version_to, queue_no)
    SELECT rollout.rollout_id, p.tenant_id, p.item_no, coalesce(p.wave, 0),
           CASE p.action WHEN 'skip' THEN 'skipped' WHEN 'update' THEN 'pending' ELSE 'failed' END,
           p.reason, p.version_from, p.version_to, p.item_no
      FROM tenancy.plan_rollout(rollout.system_id, target, rollout.canary, rollout.canary_size, rollout.waves,
                                rollout.tenants, rollout.tier, rollout.region) p;
    SELECT min(i.tenant_id) AS tenant_id, i.version_from, count(*) AS tenants INTO plan
      FROM tenancy.rollout_items i WHERE i.rollout_id = rollout.rollout_id AND i.state = 'failed'
     GROUP BY i.version_from LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('no migration leads from version %s of system "%s" to version %s', plan.version_from,
                             rollout.system_id, target),
            DETAIL = format('%s tenants have that version, for example "%s".', plan.tenants, plan.tenant_id),
            HINT = format('SELECT tenancy.register_migration(%L, %L, %L, ''ALTER TABLE ...'');', rollout.system_id,
                          plan.version_from, target);
    END IF;

    rollout := tenancy.bind_rollout(rollout.rollout_id);
    IF rollout.scripted AND rollout.workers = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'this rollout needs a background worker',
            DETAIL = 'A migration that does not run in a transaction cannot be run by CALL tenancy.run_rollout().',
            HINT = 'Say workers => 1, or more.';
    END IF;
    PERFORM tenancy.announce_rollout(rollout);
    RETURN rollout.rollout_id;
END
$function$;
COMMENT ON FUNCTION tenancy.start_rollout(text, text, text[], text, text[], integer, interval, integer, text, integer, text[], text, text) IS
    'leads the tenants of a system to a version, the latest if none is named, wave after wave; returns the rollout''s number';

-- Writes down which migrations a rollout consists of, and what they are now; begins with its first wave.
CREATE FUNCTION tenancy.bind_rollout(rollout_id integer) RETURNS tenancy.rollouts
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    rollout tenancy.rollouts;
    used text[];
BEGIN
    SELECT array_agg(DISTINCT p.migration_id) INTO used
      FROM tenancy.rollouts r,
           (SELECT DISTINCT i.version_from, i.version_to FROM tenancy.rollout_items i
             WHERE i.rollout_id = bind_rollout.rollout_id AND i.state IN ('pending', 'running', 'failed')) w,
           tenancy.migration_path(r.system_id, w.version_from, w.version_to) p
     WHERE r.rollout_id = bind_rollout.rollout_id;
    UPDATE tenancy.rollouts r
       SET migrations = coalesce(used, '{}'), checksum = tenancy.rollout_checksum(used),
           scripted = EXISTS (SELECT FROM tenancy.schema_migrations m WHERE m.migration_id = ANY (used) AND NOT m.transactional),
           current_wave = coalesce((SELECT min(i.wave) FROM tenancy.rollout_items i
                                     WHERE i.rollout_id = r.rollout_id AND i.state IN ('pending', 'running')), 0)
     WHERE r.rollout_id = bind_rollout.rollout_id
    RETURNING r.* INTO rollout;
    RETURN rollout;
END
$function$;
COMMENT ON FUNCTION tenancy.bind_rollout(integer) IS 'writes down which migrations a rollout consists of, and their checksum';
REVOKE ALL ON FUNCTION tenancy.bind_rollout(integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION tenancy.start_rollout(text, text, text[], text, text[], integer, interval, integer, text, integer, text[], text, text) FROM PUBLIC;

-- A rollout's row, locked; an error unless it is in one of some states.
CREATE FUNCTION tenancy.lock_rollout(rollout_id integer, states text[], purpose text) RETURNS tenancy.rollouts
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    rollout tenancy.rollouts;
BEGIN
    SELECT r.* INTO rollout FROM tenancy.rollouts r WHERE r.rollout_id = lock_rollout.rollout_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('rollout %s does not exist', coalesce(lock_rollout.rollout_id::text, 'NULL')),
            HINT = 'SELECT rollout_id, system_id, state FROM tenancy.rollout_progress;';
    ELSIF NOT rollout.state = ANY (states) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('rollout %s cannot be %s: it is %s', rollout.rollout_id, purpose, rollout.state),
            DETAIL = format('It could be if it were %s.', array_to_string(states, ' or '));
    END IF;
    RETURN rollout;
END
$function$;
COMMENT ON FUNCTION tenancy.lock_rollout(integer, text[], text) IS 'locks a rollout and returns its row';
REVOKE ALL ON FUNCTION tenancy.lock_rollout(integer, text[], text) FROM PUBLIC;

CREATE FUNCTION tenancy.pause_rollout(rollout_id integer, reason text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    rollout tenancy.rollouts := tenancy.lock_rollout(rollout_id, ARRAY['running', 'paused'], 'paused');
BEGIN
    UPDATE tenancy.rollouts r
       SET state = 'paused', reason = coalesce(pause_rollout.reason, 'requested by ' || session_user)
     WHERE r.rollout_id = rollout.rollout_id AND r.state = 'running';
    PERFORM tenancy.wake_rollouts();
END
$function$;
COMMENT ON FUNCTION tenancy.pause_rollout(integer, text) IS
    'halts a rollout: tenants that are being worked on are finished, no other is begun';
REVOKE ALL ON FUNCTION tenancy.pause_rollout(integer, text) FROM PUBLIC;

-- Lets a rollout run on.  Scripts that were edited are taken on only if no tenant has had the old ones.
CREATE FUNCTION tenancy.restart_rollout(rollout tenancy.rollouts) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF rollout.state IN ('failed', 'cancelled') THEN
        PERFORM tenancy.check_no_rollout(rollout.system_id);
    END IF;
    IF tenancy.rollout_checksum(rollout.migrations) <> rollout.checksum
       AND EXISTS (SELECT FROM tenancy.rollout_items i
                    WHERE i.rollout_id = rollout.rollout_id AND (i.state IN ('done', 'running') OR i.migration_id IS NOT NULL)) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('migrations of rollout %s have been edited since it was started', rollout.rollout_id),
            DETAIL = 'Tenants have been given the scripts that were there then.',
            HINT = format('Bring them back, or end this rollout and start another: SELECT tenancy.cancel_rollout(%s);', rollout.rollout_id);
    END IF;
    rollout := tenancy.bind_rollout(rollout.rollout_id);
    UPDATE tenancy.rollouts r
       SET state = 'running', reason = NULL, finished_at = NULL, idle_starts = 0,
           failures_accepted = (SELECT count(*) FROM tenancy.rollout_items i
                                 WHERE i.rollout_id = rollout.rollout_id AND i.state = 'failed')
     WHERE r.rollout_id = rollout.rollout_id;
    PERFORM tenancy.announce_rollout(rollout);
END
$function$;
COMMENT ON FUNCTION tenancy.restart_rollout(tenancy.rollouts) IS 'lets a rollout run on';
REVOKE ALL ON FUNCTION tenancy.restart_rollout(tenancy.rollouts) FROM PUBLIC;

CREATE FUNCTION tenancy.resume_rollout(rollout_id integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    rollout tenancy.rollouts := tenancy.lock_rollout(rollout_id, ARRAY['running', 'paused'], 'resumed');
BEGIN
    IF rollout.state = 'paused' THEN
        PERFORM tenancy.restart_rollout(rollout);
    ELSE
        PERFORM tenancy.announce_rollout(rollout);
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.resume_rollout(integer) IS
    'lets a paused rollout run on; tenants that have failed stay so, and are not counted again';
REVOKE ALL ON FUNCTION tenancy.resume_rollout(integer) FROM PUBLIC;

CREATE FUNCTION tenancy.retry_rollout(rollout_id integer, tenant_id text DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    rollout tenancy.rollouts := tenancy.lock_rollout(rollout_id, ARRAY['running', 'paused', 'failed', 'cancelled'], 'retried');
    again integer;
BEGIN
    UPDATE tenancy.rollout_items i
       SET state = CASE i.state WHEN 'running' THEN 'running' ELSE 'pending' END, attempts = 0, queue_no = i.item_no,
           not_before = '-infinity', finished_at = NULL
     WHERE i.rollout_id = rollout.rollout_id
       AND CASE WHEN rollout.state <> 'cancelled' THEN i.state = 'failed'
                -- What was cancelled stays so, but for those whose migration does not run in a transaction and has begun.
                ELSE i.state = 'running' OR i.state IN ('failed', 'cancelled') AND i.migration_id IS NOT NULL END
       AND (retry_rollout.tenant_id IS NULL OR i.tenant_id = retry_rollout.tenant_id);
    GET DIAGNOSTICS again = ROW_COUNT;
    IF again = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = CASE WHEN rollout.state = 'cancelled'
                           THEN format('rollout %s is cancelled, and no such tenant is half-way through a migration', rollout.rollout_id)
                           WHEN retry_rollout.tenant_id IS NULL
                           THEN format('no tenant of rollout %s has failed', rollout.rollout_id)
                           ELSE format('tenant "%s" has not failed in rollout %s', retry_rollout.tenant_id, rollout.rollout_id) END,
            HINT = format('SELECT tenant_id, sqlstate, error_message FROM tenancy.rollout_items WHERE rollout_id = %s AND state = ''failed'';',
                          rollout.rollout_id);
    END IF;
    PERFORM tenancy.restart_rollout(rollout);
    RETURN again;
END
$function$;
COMMENT ON FUNCTION tenancy.retry_rollout(integer, text) IS
    'tries tenants that have failed again, one or all of them, and lets the rollout run on; returns how many';
REVOKE ALL ON FUNCTION tenancy.retry_rollout(integer, text) FROM PUBLIC;

CREATE FUNCTION tenancy.cancel_rollout(rollout_id integer, reason text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    rollout tenancy.rollouts := tenancy.lock_rollout(rollout_id, ARRAY['running', 'paused'], 'cancelled');
BEGIN
    UPDATE tenancy.rollouts r
       SET state = 'cancelled', reason = coalesce(cancel_rollout.reason, 'requested by ' || session_user),
           finished_at = clock_timestamp()
     WHERE r.rollout_id = rollout.rollout_id;
    -- Whoever is being worked on is finished, and says so itself.
    UPDATE tenancy.rollout_items i SET state = 'cancelled'
      FROM (SELECT w.tenant_id FROM tenancy.rollout_items w
             WHERE w.rollout_id = rollout.rollout_id AND w.state = 'pending' FOR UPDATE SKIP LOCKED) w
     WHERE i.rollout_id = rollout.rollout_id AND i.tenant_id = w.tenant_id;
    PERFORM tenancy.wake_rollouts();
END
$function$;
COMMENT ON FUNCTION tenancy.cancel_rollout(integer, text) IS
    'ends a rollout: tenants that are being worked on are finished, the others keep the version that they have';
REVOKE ALL ON FUNCTION tenancy.cancel_rollout(integer, text) FROM PUBLIC;

CREATE FUNCTION tenancy.rollback_rollout(rollout_id integer, force boolean DEFAULT false, workers integer DEFAULT NULL,
                                         on_error text DEFAULT 'stop', error_budget integer DEFAULT NULL)
    RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    rollout tenancy.rollouts;
    back tenancy.rollouts;
    stuck text;
BEGIN
    -- Items first, the rollout after: as those who work on it.  This waits for tenants that are being worked on.
    PERFORM FROM tenancy.rollout_items i
      WHERE i.rollout_id = rollback_rollout.rollout_id AND i.state IN ('pending', 'running') FOR UPDATE;
    rollout := tenancy.lock_rollout(rollback_rollout.rollout_id, ARRAY['running', 'paused', 'done', 'failed', 'cancelled'], 'rolled back');
    PERFORM tenancy.check_rollout_options(coalesce(rollback_rollout.workers, rollout.workers), rollout.lock_timeout,
                                          rollout.max_attempts, rollback_rollout.on_error, rollback_rollout.error_budget);
    IF rollout.reverts IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('rollout %s is a rollback itself', rollout.rollout_id),
            HINT = format('SELECT tenancy.start_rollout(%L);', rollout.system_id);
    END IF;
    SELECT i.tenant_id INTO stuck FROM tenancy.rollout_items i
     WHERE i.rollout_id = rollout.rollout_id AND (i.state = 'running' OR i.state <> 'done' AND i.migration_id IS NOT NULL) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_in_use',
            MESSAGE = format('rollout %s is half-way through a migration of tenant "%s"', rollout.rollout_id, stuck),
            DETAIL = 'The migration does not run in a transaction, so that it has to be finished before it can be rolled back.',
            HINT = format('SELECT tenancy.retry_rollout(%s, %L);', rollout.rollout_id, stuck);
    END IF;
    IF rollout.state IN ('running', 'paused') THEN
        PERFORM tenancy.cancel_rollout(rollout.rollout_id, 'rolled back by ' || session_user);
    END IF;
    PERFORM tenancy.check_no_rollout(rollout.system_id);

    INSERT INTO tenancy.rollouts AS r
        (system_id, reverts, force, workers, lock_timeout, max_attempts, on_error, error_budget, checksum)
    VALUES (rollout.system_id, rollout.rollout_id, coalesce(rollback_rollout.force, false),
            coalesce(rollback_rollout.workers, rollout.workers), rollout.lock_timeout, rollout.max_attempts,
            rollback_rollout.on_error, rollback_rollout.error_budget, '')
    RETURNING r.* INTO back;
    INSERT INTO tenancy.rollout_items (rollout_id, tenant_id, item_no, wave, version_from, version_to, queue_no)
    SELECT back.rollout_id, n.tenant_id, n.number, 1, n.version_to, n.version_from, n.number
      FROM (SELECT i.*, (row_number() OVER (ORDER BY i.item_no DESC))::integer AS number FROM tenancy.rollout_items i
             WHERE i.rollout_id = rollout.rollout_id AND i.state = 'done') n;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('no tenant has been updated by rollout %s', rollout.rollout_id);
    END IF;
    back := tenancy.bind_rollout(back.rollout_id);
    IF back.scripted AND NOT back.force THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('rollout %s cannot be rolled back without force', rollout.rollout_id),
            DETAIL = 'A migration that does not run in a transaction is led back without a look at what that loses.',
            HINT = format('SELECT tenancy.rollback_rollout(%s, force => true);', rollout.rollout_id);
    END IF;
    PERFORM tenancy.announce_rollout(back);
    RETURN back.rollout_id;
END
$function$;
COMMENT ON FUNCTION tenancy.rollback_rollout(integer, boolean, integer, text, integer) IS
    'ends a rollout and leads the tenants back that it has updated, each to where it came from; returns the number of the rollout that does it';
REVOKE ALL ON FUNCTION tenancy.rollback_rollout(integer, boolean, integer, text, integer) FROM PUBLIC;

CREATE VIEW tenancy.rollout_progress AS
    SELECT r.rollout_id, r.system_id, r.version, r.reverts, r.state, r.reason,
           c.total, c.done, c.skipped, c.failed, c.running, c.pending, c.retrying, c.cancelled,
           CASE WHEN c.total > 0 THEN round(100.0 * (c.total - c.pending - c.running) / c.total, 1) ELSE 100 END AS percent,
           r.current_wave AS wave, c.last_wave,
           CASE WHEN r.state IN ('running', 'paused') THEN tenancy.count_rollout_workers(r.rollout_id) ELSE 0 END AS workers,
           round((c.rate)::numeric, 2) AS tenants_per_second,
           CASE WHEN r.state = 'running' AND c.rate > 0
                THEN make_interval(secs => round(((c.pending + c.running) / c.rate)::numeric)::double precision) END AS eta,
           f.failures, r.created_at, c.first_start AS started_at, r.finished_at
      FROM tenancy.rollouts r
      CROSS JOIN LATERAL (SELECT coalesce(r.finished_at, clock_timestamp()) AS until) o
      CROSS JOIN LATERAL (
          SELECT k.*, CASE WHEN k.recent > 0
                           THEN k.recent / greatest(extract(epoch FROM o.until - greatest(k.first_start, o.until - interval '1 minute')), 0.001)
                      END AS rate
            FROM (SELECT count(*) AS total, count(*) FILTER (WHERE i.state = 'done') AS done,
                         count(*) FILTER (WHERE i.state = 'skipped') AS skipped,
                         count(*) FILTER (WHERE i.state = 'failed') AS failed,
                         count(*) FILTER (WHERE i.state = 'running') AS running,
                         count(*) FILTER (WHERE i.state = 'pending') AS pending,
                         count(*) FILTER (WHERE i.state = 'pending' AND i.attempts > 0) AS retrying,
                         count(*) FILTER (WHERE i.state = 'cancelled') AS cancelled,
                         max(i.wave) AS last_wave, min(i.started_at) AS first_start,
                         count(*) FILTER (WHERE i.state IN ('done', 'failed') AND i.finished_at > o.until - interval '1 minute') AS recent
                    FROM tenancy.rollout_items i WHERE i.rollout_id = r.rollout_id) k) c
      CROSS JOIN LATERAL (
          SELECT jsonb_object_agg(s.sqlstate, s.tenants) AS failures
            FROM (SELECT i.sqlstate, count(*) AS tenants FROM tenancy.rollout_items i
                   WHERE i.rollout_id = r.rollout_id AND i.state = 'failed' GROUP BY i.sqlstate) s) f;
COMMENT ON VIEW tenancy.rollout_progress IS
    'how each rollout stands: tenants by state, wave, rate of the last minute, what is left of time, failures by SQLSTATE';
REVOKE ALL ON tenancy.rollout_progress FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.count_rollout_workers(integer) TO pg_monitor;
GRANT SELECT ON tenancy.rollout_progress TO pg_monitor;
