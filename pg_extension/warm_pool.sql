
/*
 * warm_pool.sql — schemas that are ready before their tenants come: how many there shall be, which there are.
 *
 * A worker (bgworker/pool_worker.cpp) calls refill_pool() until the pool is full, and again when a spare was taken.  Each
 * call makes or drops one spare, so that a transaction holds the locks of one.
 */

CREATE TABLE tenancy.pool_sizes (
    system_id varchar(50) PRIMARY KEY,
    size integer NOT NULL
        CONSTRAINT pool_sizes_size CHECK (size BETWEEN 0 AND 1000)
);
COMMENT ON TABLE tenancy.pool_sizes IS 'how many spares a system''s latest version shall have; tenancy.pool_size where nothing is said';

CREATE TABLE tenancy.spares (
    schema_name name PRIMARY KEY,
    version_id varchar(50) NOT NULL,
    state text NOT NULL DEFAULT 'ready'
        CONSTRAINT spares_state CHECK (state IN ('ready', 'discarded')),
    placeholder text NOT NULL,
    tenant_columns text[] NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX spares_version_id_idx ON tenancy.spares (version_id, made_at);
COMMENT ON TABLE tenancy.spares IS 'schemas in which a version''s script has run and which no tenant has yet';
COMMENT ON COLUMN tenancy.spares.state IS 'a discarded one is not given away any more, and dropped';
COMMENT ON COLUMN tenancy.spares.placeholder IS 'the tenant that it was made for, which does not exist';
COMMENT ON COLUMN tenancy.spares.tenant_columns IS 'tables and columns, in turn, in whose rows the script wrote the tenant';

CREATE TABLE tenancy.pool_failures (
    version_id varchar(50) PRIMARY KEY,
    failures integer NOT NULL,
    sqlstate text NOT NULL,
    error text NOT NULL,
    failed_at timestamptz NOT NULL,
    next_try timestamptz NOT NULL
);
COMMENT ON TABLE tenancy.pool_failures IS 'why a version''s spare could not be made, and when it is tried again';

REVOKE ALL ON tenancy.pool_sizes, tenancy.spares, tenancy.pool_failures FROM PUBLIC;

-- A dump holds the schemas of the spares, so it holds their rows; they are spares where it is restored.
SELECT pg_extension_config_dump('tenancy.pool_sizes', '');
SELECT pg_extension_config_dump('tenancy.spares', '');

CREATE FUNCTION tenancy.make_spare(version_id text) RETURNS name
    LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_make_spare';
COMMENT ON FUNCTION tenancy.make_spare(text) IS 'makes one spare of a version; for refill_pool() alone';
REVOKE ALL ON FUNCTION tenancy.make_spare(text) FROM PUBLIC;

CREATE FUNCTION tenancy.settle_spare() RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_settle_spare';
COMMENT ON FUNCTION tenancy.settle_spare() IS
    'clears the pages of the spare that this session made in a transaction before; for refill_pool() alone';
REVOKE ALL ON FUNCTION tenancy.settle_spare() FROM PUBLIC;

CREATE FUNCTION tenancy.wake_pool() RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'tenancy_wake_pool';
COMMENT ON FUNCTION tenancy.wake_pool() IS 'has the pool''s worker look at what there is to do, when the transaction commits';
REVOKE ALL ON FUNCTION tenancy.wake_pool() FROM PUBLIC;

-- What the pool is to hold: the latest version of each system, as many as its size says.
CREATE VIEW tenancy.pool_targets AS
    SELECT v.version_id, s.system_id, v.version,
           coalesce(p.size, current_setting('tenancy.pool_size')::integer) AS size
      FROM tenancy.management_systems s
      JOIN tenancy.system_versions v ON v.system_id = s.system_id AND v.is_latest
      LEFT JOIN tenancy.pool_sizes p ON p.system_id = s.system_id
     WHERE s.status = 'active';
COMMENT ON VIEW tenancy.pool_targets IS 'the versions that the pool is for, and how many spares each shall have';
REVOKE ALL ON tenancy.pool_targets FROM PUBLIC;

CREATE VIEW tenancy.stat_pool AS
    SELECT t.system_id, t.version, t.size, coalesce(s.ready, 0) AS ready,
           CASE WHEN t.size = 0 THEN 'off'
                WHEN f.next_try = 'infinity' THEN 'refused'
                WHEN coalesce(s.ready, 0) >= t.size THEN 'full'
                WHEN f.version_id IS NOT NULL THEN 'failing'
                ELSE 'filling' END AS state,
           s.oldest, s.newest, f.failures, f.sqlstate, f.error, f.failed_at,
           nullif(f.next_try, 'infinity') AS next_try
      FROM tenancy.pool_targets t
      LEFT JOIN LATERAL (SELECT count(*) AS ready, min(p.made_at) AS oldest, max(p.made_at) AS newest
                           FROM tenancy.spares p
                          WHERE p.version_id = t.version_id AND p.state = 'ready') s ON true
      LEFT JOIN tenancy.pool_failures f ON f.version_id = t.version_id;
COMMENT ON VIEW tenancy.stat_pool IS 'the warm pool: how many spares each system has, and what hinders it';
REVOKE ALL ON tenancy.stat_pool FROM PUBLIC;
GRANT SELECT ON tenancy.stat_pool TO pg_monitor;

CREATE FUNCTION tenancy.set_pool_size(system_id text, size integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT FROM tenancy.management_systems s WHERE s.system_id = set_pool_size.system_id) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('system "%s" does not exist', set_pool_size.system_id),
            HINT = 'SELECT system_id FROM tenancy.available_systems;';
    END IF;
    IF set_pool_size.size NOT BETWEEN 0 AND 1000 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('a pool cannot hold %s spares', set_pool_size.size),
            HINT = 'Give a size of 0 to 1000, or NULL for the setting "tenancy.pool_size".';
    END IF;
    IF set_pool_size.size IS NULL THEN
        DELETE FROM tenancy.pool_sizes p WHERE p.system_id = set_pool_size.system_id;
    ELSE
        INSERT INTO tenancy.pool_sizes (system_id, size) VALUES (set_pool_size.system_id, set_pool_size.size)
            ON CONFLICT (system_id) DO UPDATE SET size = excluded.size;
    END IF;
    -- Whoever sets a size has mended what hindered it, or wants to see it again.
    DELETE FROM tenancy.pool_failures f
     USING tenancy.system_versions v
     WHERE v.version_id = f.version_id AND v.system_id = set_pool_size.system_id;
    PERFORM tenancy.wake_pool();
END
$function$;
COMMENT ON FUNCTION tenancy.set_pool_size(text, integer) IS
    'how many ready schemas of a system''s latest version the pool keeps; NULL: as tenancy.pool_size says';
REVOKE ALL ON FUNCTION tenancy.set_pool_size(text, integer) FROM PUBLIC;

-- Drops one spare and its row.
CREATE FUNCTION tenancy.drop_spare(schema_name name) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp SET client_min_messages TO warning
    AS $function$
#variable_conflict use_column
BEGIN
    -- Only what is a spare: a tenant's schema may have been given the name of one that is gone.
    IF EXISTS (SELECT FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
                WHERE n.nspname = drop_spare.schema_name AND r.rolname = 'tenancy_owner'
                  AND n.nspname ~ '^tenancy_spare_[0-9a-f]{16}$')
       AND NOT EXISTS (SELECT FROM tenancy.tenant_systems i WHERE i.schema_name = drop_spare.schema_name) THEN
        EXECUTE format('DROP SCHEMA %I CASCADE', drop_spare.schema_name);
    END IF;
    DELETE FROM tenancy.spares s WHERE s.schema_name = drop_spare.schema_name;
END
$function$;
COMMENT ON FUNCTION tenancy.drop_spare(name) IS 'drops a spare; for the pool alone';
REVOKE ALL ON FUNCTION tenancy.drop_spare(name) FROM PUBLIC;

-- Notes why a spare could not be made; what cannot be made at all is not tried again until its size is set.
CREATE FUNCTION tenancy.note_pool_failure(version_id text, sqlstate text, error text) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    INSERT INTO tenancy.pool_failures AS f (version_id, failures, sqlstate, error, failed_at, next_try)
    VALUES (note_pool_failure.version_id, 1, note_pool_failure.sqlstate, note_pool_failure.error, clock_timestamp(),
            CASE WHEN note_pool_failure.sqlstate = '0A000' THEN 'infinity'
                 ELSE clock_timestamp() + interval '1 second' END)
    ON CONFLICT (version_id) DO UPDATE
        SET failures = f.failures + 1, sqlstate = excluded.sqlstate, error = excluded.error, failed_at = excluded.failed_at,
            next_try = CASE WHEN excluded.sqlstate = '0A000' THEN 'infinity'
                            ELSE clock_timestamp() + (1 + random() / 4)
                                 * least(interval '10 minutes', interval '1 second' * 2 ^ least(f.failures, 10)) END
$function$;
COMMENT ON FUNCTION tenancy.note_pool_failure(text, text, text) IS 'notes why a spare could not be made; for the pool alone';
REVOKE ALL ON FUNCTION tenancy.note_pool_failure(text, text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.refill_pool(OUT action text, OUT wait_ms bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    stale name;
    target text;
    state text;
    message text;
    detail text;
BEGIN
    -- One at a time, or two would make more than there shall be.
    PERFORM pg_advisory_xact_lock(1953391472, 0);
    PERFORM tenancy.settle_spare();

    SELECT s.schema_name INTO stale
      FROM tenancy.spares s
     WHERE s.schema_name NOT IN (
               SELECT k.schema_name FROM tenancy.pool_targets t,
                      LATERAL (SELECT p.schema_name FROM tenancy.spares p
                                WHERE p.version_id = t.version_id AND p.state = 'ready'
                                  AND EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = p.schema_name)
                                ORDER BY p.made_at LIMIT t.size) k)
       FOR UPDATE SKIP LOCKED LIMIT 1;
    IF FOUND THEN
        PERFORM tenancy.drop_spare(stale);
        action := 'dropped';
        wait_ms := 0;
        RETURN;
    END IF;

    SELECT t.version_id INTO target
      FROM tenancy.pool_targets t
     WHERE (SELECT count(*) FROM tenancy.spares s WHERE s.version_id = t.version_id) < t.size
       AND NOT EXISTS (SELECT FROM tenancy.pool_failures f
                        WHERE f.version_id = t.version_id AND f.next_try > clock_timestamp())
     ORDER BY (SELECT count(*) FROM tenancy.spares s WHERE s.version_id = t.version_id)::float8 / t.size, t.version_id
     LIMIT 1;
    IF FOUND THEN
        BEGIN
            PERFORM tenancy.make_spare(target);
            DELETE FROM tenancy.pool_failures f WHERE f.version_id = target;
            action := 'made';
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
            PERFORM tenancy.note_pool_failure(target, state, message || coalesce('. ' || nullif(detail, ''), ''));
            action := 'failed';
        END;
        wait_ms := 0;
        RETURN;
    END IF;

    SELECT extract(epoch FROM min(f.next_try) - clock_timestamp()) * 1000 INTO wait_ms
      FROM tenancy.pool_targets t JOIN tenancy.pool_failures f ON f.version_id = t.version_id
     WHERE t.size > 0 AND f.next_try < 'infinity';
    IF wait_ms IS NOT NULL THEN
        action := 'waiting';
        wait_ms := greatest(wait_ms, 1);
    ELSIF EXISTS (SELECT FROM tenancy.pool_targets t WHERE t.size > 0) THEN
        action := 'full';
    ELSE
        action := 'off';
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.refill_pool() IS
    'makes or drops one spare; says made, dropped, failed, waiting, full or off, and in how many milliseconds to call it again';
REVOKE ALL ON FUNCTION tenancy.refill_pool() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.refill_pool() TO tenancy_worker;

CREATE FUNCTION tenancy.empty_pool() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    spare name;
    dropped integer := 0;
BEGIN
    -- With those that an extension of an earlier life left behind.
    FOR spare IN
        SELECT n.nspname FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
         WHERE n.nspname >= 'tenancy_spare_' AND n.nspname < 'tenancy_sparea' AND r.rolname = 'tenancy_owner'
           AND n.nspname ~ '^tenancy_spare_[0-9a-f]{16}$'
    LOOP
        -- Whoever is being given it has its row, and is about to rename it.
        PERFORM FROM tenancy.spares s WHERE s.schema_name = spare FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND AND EXISTS (SELECT FROM tenancy.spares s WHERE s.schema_name = spare);
        PERFORM tenancy.drop_spare(spare);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM tenancy.spares;
    RETURN dropped;
END
$function$;
COMMENT ON FUNCTION tenancy.empty_pool() IS
    'drops every spare and says how many there were; the worker makes new ones where a size is set';
REVOKE ALL ON FUNCTION tenancy.empty_pool() FROM PUBLIC;
