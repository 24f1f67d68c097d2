
-- registry.sql: the tenant registry that lives in MongoDB and acts here.
--
-- Three steps, so that nothing is lost between two databases that share no transaction:
--
--   1. The mirror copies tenant_registry.tenants into tenancy_mongo.registry_tenants, exactly as MongoDB has it.  A trigger
--      puts each tenant that changed into registry_queue, in the mirror's own transaction.
--   2. The registry worker takes tenants from the queue, one transaction a step, and makes tenancy.tenants agree:
--      provisions, suspends, resumes, deactivates.
--   3. A status that changed here (a tenant became active, or a DBA suspended it) is due to MongoDB: push_status.  The
--      update is conditional on the status that MongoDB had, so that of two changes at one time MongoDB's stays.
--
-- Between sending that update and seeing it come back through the stream, the mirrored document is older than what is
-- known here.  settle_at holds the update's cluster time; until the stream has passed it the mirrored status does not
-- count.  Every step may be repeated: a crash leaves the queue row, and the queue row is the whole state.

-- The mirrored collections --------------------------------------------------------------------------------------------

CREATE TABLE tenancy_mongo.registry_tenants (
    _id text PRIMARY KEY,
    tenant_id text NOT NULL,
    name text NOT NULL,
    database_config jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    status text NOT NULL CHECK (status IN ('active', 'inactive', 'suspended', 'provisioning')),
    settings jsonb,
    tier text,
    region text
);
CREATE INDEX registry_tenants_tenant_id_idx ON tenancy_mongo.registry_tenants (tenant_id);
COMMENT ON TABLE tenancy_mongo.registry_tenants IS 'mirror of tenant_registry.tenants: the tenant documents as MongoDB has them';
REVOKE ALL ON TABLE tenancy_mongo.registry_tenants FROM PUBLIC;

-- MongoDB keeps task_id unique; here the index only finds it, since a batch of changes may pass through states in which
-- two rows share one.
CREATE TABLE tenancy.tasks (
    _id text PRIMARY KEY,
    task_id text NOT NULL,
    tenant_id text NOT NULL,
    service_id text NOT NULL,
    type text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    priority numeric NOT NULL,
    payload jsonb NOT NULL,
    result jsonb,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    error jsonb
);
CREATE INDEX tasks_task_id_idx ON tenancy.tasks (task_id);
CREATE INDEX tasks_tenant_id_idx ON tenancy.tasks (tenant_id);
CREATE INDEX tasks_service_id_idx ON tenancy.tasks (service_id);
CREATE INDEX tasks_status_idx ON tenancy.tasks (status);
CREATE INDEX tasks_type_idx ON tenancy.tasks (type);
CREATE INDEX tasks_created_at_idx ON tenancy.tasks (created_at);
CREATE INDEX tasks_tenant_id_status_idx ON tenancy.tasks (tenant_id, status);
CREATE INDEX tasks_tenant_id_type_idx ON tenancy.tasks (tenant_id, type);
COMMENT ON TABLE tenancy.tasks IS 'mirror of task_repository.tasks: a tenant sees its own tasks, nobody writes here but the mirror';

-- Everybody may ask, and the policies answer with the rows of the tenant in force: without a context, with none.
SELECT tenancy.protect('tenancy.tasks'::pg_catalog.regclass);
REVOKE ALL ON TABLE tenancy.tasks FROM PUBLIC;
GRANT SELECT ON TABLE tenancy.tasks TO PUBLIC;

-- The queue -----------------------------------------------------------------------------------------------------------

CREATE TABLE tenancy_mongo.registry_queue (
    tenant_id text PRIMARY KEY,
    push_status text,
    push_expected text,
    settle_at bigint,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    last_error_sqlstate text,
    last_error_message text,
    error_written boolean NOT NULL DEFAULT false,
    queued_at timestamptz NOT NULL DEFAULT pg_catalog.now()
) WITH (fillfactor = 50);
CREATE INDEX registry_queue_next_attempt_at_idx ON tenancy_mongo.registry_queue (next_attempt_at);
COMMENT ON TABLE tenancy_mongo.registry_queue IS 'tenants whose two sides do not agree yet; the registry worker empties it';
COMMENT ON COLUMN tenancy_mongo.registry_queue.push_status IS 'status that MongoDB is to be told; null if nothing is due to it';
COMMENT ON COLUMN tenancy_mongo.registry_queue.push_expected IS 'status that MongoDB must still have for that';
COMMENT ON COLUMN tenancy_mongo.registry_queue.error_written IS 'the tenant''s document holds last_error_message';
COMMENT ON COLUMN tenancy_mongo.registry_queue.settle_at IS 'cluster time (seconds * 2^32 + increment) that the stream must pass before the mirrored status counts again';
REVOKE ALL ON TABLE tenancy_mongo.registry_queue FROM PUBLIC;

CREATE FUNCTION tenancy_mongo.wake_registry_worker() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'tenancy_mongo_wake_registry_worker';
COMMENT ON FUNCTION tenancy_mongo.wake_registry_worker() IS 'wakes this database''s registry worker when the transaction commits';
REVOKE ALL ON FUNCTION tenancy_mongo.wake_registry_worker() FROM PUBLIC;

-- A new change asks for a new attempt at once, whatever wait an earlier failure has set.
CREATE FUNCTION tenancy_mongo._enqueue_tenant(tenant text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $function$
BEGIN
    INSERT INTO tenancy_mongo.registry_queue AS q (tenant_id) VALUES (tenant)
        ON CONFLICT (tenant_id) DO UPDATE SET next_attempt_at = pg_catalog.now(), attempts = 0;
    PERFORM tenancy_mongo.wake_registry_worker();
END
$function$;
REVOKE ALL ON FUNCTION tenancy_mongo._enqueue_tenant(text) FROM PUBLIC;

CREATE FUNCTION tenancy_mongo._registry_tenants_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO pg_catalog, pg_temp
AS $function$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM tenancy_mongo._enqueue_tenant(OLD.tenant_id);
    END IF;
    IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.tenant_id <> OLD.tenant_id) THEN
        PERFORM tenancy_mongo._enqueue_tenant(NEW.tenant_id);
    END IF;
    RETURN NULL;
END
$function$;
REVOKE ALL ON FUNCTION tenancy_mongo._registry_tenants_changed() FROM PUBLIC;

CREATE TRIGGER registry_tenants_insert_delete AFTER INSERT OR DELETE ON tenancy_mongo.registry_tenants
    FOR EACH ROW EXECUTE FUNCTION tenancy_mongo._registry_tenants_changed();
CREATE TRIGGER registry_tenants_update AFTER UPDATE ON tenancy_mongo.registry_tenants
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION tenancy_mongo._registry_tenants_changed();

-- A status changed here: if MongoDB knows the tenant and says otherwise, it is to be told.
CREATE FUNCTION tenancy_mongo._tenant_status_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO pg_catalog, pg_temp
AS $function$
DECLARE
    mirrored text;
    -- MongoDB's validator does not know "archived".
    told text := CASE NEW.status WHEN 'archived' THEN 'inactive' ELSE NEW.status END;
BEGIN
    SELECT r.status INTO mirrored FROM tenancy_mongo.registry_tenants r WHERE r.tenant_id = NEW.tenant_id;
    IF FOUND THEN
        PERFORM tenancy_mongo._enqueue_tenant(NEW.tenant_id);
        UPDATE tenancy_mongo.registry_queue q
           SET push_status = CASE WHEN told <> mirrored THEN told END,
               push_expected = CASE WHEN told <> mirrored THEN mirrored END
         WHERE q.tenant_id = NEW.tenant_id;
    END IF;
    RETURN NULL;
END
$function$;
REVOKE ALL ON FUNCTION tenancy_mongo._tenant_status_changed() FROM PUBLIC;

CREATE TRIGGER tenancy_mongo_status AFTER UPDATE OF status ON tenancy.tenants
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status AND NEW.status <> 'provisioning')
    EXECUTE FUNCTION tenancy_mongo._tenant_status_changed();

CREATE VIEW tenancy_mongo.stat_registry AS
    SELECT q.tenant_id,
           r.status AS mongo_status,
           t.status AS local_status,
           CASE WHEN q.last_error_sqlstate IS NOT NULL THEN 'failed'
                WHEN q.push_status IS NOT NULL THEN 'to be written back'
                WHEN q.settle_at IS NOT NULL THEN 'written back'
                ELSE 'queued' END AS state,
           q.attempts,
           q.next_attempt_at,
           q.last_error_sqlstate,
           q.last_error_message,
           q.queued_at
      FROM tenancy_mongo.registry_queue q
      LEFT JOIN tenancy_mongo.registry_tenants r USING (tenant_id)
      LEFT JOIN tenancy.tenants t USING (tenant_id);
COMMENT ON VIEW tenancy_mongo.stat_registry IS 'tenants whose two sides do not agree yet, with the last error of those that failed';
REVOKE ALL ON TABLE tenancy_mongo.stat_registry FROM PUBLIC;
GRANT SELECT ON TABLE tenancy_mongo.stat_registry TO pg_monitor;

-- What is written to MongoDB ------------------------------------------------------------------------------------------

-- Updates a tenant's document if it still is as "filter" says; returns the cluster time of the answer.
CREATE FUNCTION tenancy_mongo._update_tenant_document(server name, filter json, change json) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $function$
DECLARE
    cluster_time json;
BEGIN
    cluster_time := tenancy_mongo.run_command(server, 'tenant_registry', pg_catalog.json_build_object(
        'update', 'tenants',
        'updates', pg_catalog.json_build_array(pg_catalog.json_build_object('q', filter, 'u', change)),
        'writeConcern', pg_catalog.json_build_object('w', 'majority'))) #> '{operationTime,$timestamp}';
    RETURN ((cluster_time ->> 't')::bigint << 32) + (cluster_time ->> 'i')::bigint;
END
$function$;
REVOKE ALL ON FUNCTION tenancy_mongo._update_tenant_document(name, json, json) FROM PUBLIC;

CREATE FUNCTION tenancy_mongo._push_status(server name, queued tenancy_mongo.registry_queue) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $function$
DECLARE
    written_at bigint;
BEGIN
    written_at := tenancy_mongo._update_tenant_document(server,
        pg_catalog.json_build_object('tenant_id', queued.tenant_id, 'status', queued.push_expected),
        pg_catalog.json_build_object(
            '$set', pg_catalog.json_build_object('status', queued.push_status),
            '$unset', pg_catalog.json_build_object('error', ''),
            '$currentDate', pg_catalog.json_build_object('updated_at', true)));
    UPDATE tenancy_mongo.registry_queue q
       SET push_status = NULL, push_expected = NULL, settle_at = written_at,
           attempts = 0, last_error_sqlstate = NULL, last_error_message = NULL, error_written = false
     WHERE q.tenant_id = queued.tenant_id;
END
$function$;
REVOKE ALL ON FUNCTION tenancy_mongo._push_status(name, tenancy_mongo.registry_queue) FROM PUBLIC;

-- Makes tenancy.tenants agree with MongoDB ----------------------------------------------------------------------------

-- The columns that only describe the tenant.
CREATE FUNCTION tenancy_mongo._follow_description(document tenancy_mongo.registry_tenants) RETURNS tenancy.tenants
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $function$
DECLARE
    tenant tenancy.tenants;
BEGIN
    INSERT INTO tenancy.tenants AS t
        (tenant_id, name, database_config, created_at, updated_at, status, settings, tier, region)
    VALUES (document.tenant_id, document.name, document.database_config, document.created_at, document.updated_at,
            'provisioning', document.settings, document.tier, document.region)
    ON CONFLICT (tenant_id) DO UPDATE
        SET name = excluded.name, database_config = excluded.database_config, created_at = excluded.created_at,
            updated_at = excluded.updated_at, settings = excluded.settings, tier = excluded.tier, region = excluded.region
        WHERE (t.name, t.database_config, t.created_at, t.updated_at, t.settings, t.tier, t.region)
            IS DISTINCT FROM (excluded.name, excluded.database_config, excluded.created_at, excluded.updated_at,
                              excluded.settings, excluded.tier, excluded.region);
    SELECT t.* INTO STRICT tenant FROM tenancy.tenants t WHERE t.tenant_id = document.tenant_id;
    RETURN tenant;
END
$function$;
REVOKE ALL ON FUNCTION tenancy_mongo._follow_description(tenancy_mongo.registry_tenants) FROM PUBLIC;

-- The status, which acts: triggers on tenancy.tenants open and close the tenant's schemas as it says.
CREATE FUNCTION tenancy_mongo._follow_status(document tenancy_mongo.registry_tenants, tenant tenancy.tenants) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $function$
DECLARE
    -- A document that is being provisioned wants the tenant to be active.
    wanted text := CASE document.status WHEN 'provisioning' THEN 'active' ELSE document.status END;
BEGIN
    IF wanted = 'active' AND (document.status = 'provisioning' OR tenant.role_name IS NULL) THEN
        -- Asked for again, what stands stands, and what its tier gained since is installed.
        UPDATE tenancy.tenants t SET status = 'provisioning'
         WHERE t.tenant_id = document.tenant_id AND t.status NOT IN ('provisioning', 'active');
        PERFORM tenancy.provision_tenant(document.tenant_id);
    ELSIF tenant.status <> wanted AND (tenant.status, wanted) <> ('archived', 'inactive') THEN
        UPDATE tenancy.tenants t SET status = wanted WHERE t.tenant_id = document.tenant_id;
    END IF;
    IF document.status = 'provisioning' THEN
        UPDATE tenancy_mongo.registry_queue q SET push_status = 'active', push_expected = 'provisioning'
         WHERE q.tenant_id = document.tenant_id;
    END IF;
END
$function$;
REVOKE ALL ON FUNCTION tenancy_mongo._follow_status(tenancy_mongo.registry_tenants, tenancy.tenants) FROM PUBLIC;

CREATE FUNCTION tenancy_mongo._follow_document(followed text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $function$
DECLARE
    document tenancy_mongo.registry_tenants;
    documents bigint;
BEGIN
    PERFORM tenancy.lock_tenant(followed);
    SELECT pg_catalog.count(*) INTO documents FROM tenancy_mongo.registry_tenants r WHERE r.tenant_id = followed;
    IF documents > 1 THEN
        RAISE EXCEPTION 'more than one document names tenant "%"', followed
            USING ERRCODE = 'cardinality_violation',
                  DETAIL = pg_catalog.format('The collection tenant_registry.tenants holds %s.', documents),
                  HINT = 'Delete all but one; the unique index that install_stored_logic() makes prevents it.';
    ELSIF documents = 1 THEN
        SELECT r.* INTO STRICT document FROM tenancy_mongo.registry_tenants r WHERE r.tenant_id = followed;
        PERFORM tenancy_mongo._follow_status(document, tenancy_mongo._follow_description(document));
    ELSE
        -- A tenant whose document is gone keeps its data and loses its access.
        UPDATE tenancy.tenants t SET status = 'inactive' WHERE t.tenant_id = followed AND t.status <> 'inactive';
    END IF;
END
$function$;
REVOKE ALL ON FUNCTION tenancy_mongo._follow_document(text) FROM PUBLIC;

-- How far the stream has come, as a cluster time; a resume token's hexadecimal data begins with a type byte and that.
CREATE FUNCTION tenancy_mongo._stream_cluster_time(server name) RETURNS bigint
    LANGUAGE sql STABLE
    SET search_path TO pg_catalog, pg_temp
AS $function$
    SELECT coalesce(('x' || pg_catalog.convert_from(pg_catalog.substring(t.token, 18, 16), 'UTF8'))::bit(64)::bigint, 0)
      FROM tenancy_mongo.stream t
      JOIN pg_catalog.pg_foreign_server s ON s.oid = t.server
     WHERE s.srvname = _stream_cluster_time.server
$function$;
REVOKE ALL ON FUNCTION tenancy_mongo._stream_cluster_time(name) FROM PUBLIC;

-- One step for one tenant ---------------------------------------------------------------------------------------------

-- All or nothing; what fails is for the caller to record.
CREATE FUNCTION tenancy_mongo._reconcile(server name, queued tenancy_mongo.registry_queue) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $function$
BEGIN
    IF queued.push_status IS NOT NULL THEN
        PERFORM tenancy_mongo._push_status(server, queued);
        RETURN;
    ELSIF queued.settle_at > tenancy_mongo._stream_cluster_time(server) THEN
        UPDATE tenancy_mongo.registry_queue q
           SET next_attempt_at = pg_catalog.clock_timestamp() + interval '50 ms'
         WHERE q.tenant_id = queued.tenant_id;
        RETURN;
    END IF;

    PERFORM tenancy_mongo._follow_document(queued.tenant_id);
    UPDATE tenancy.tenants t SET error_message = NULL
     WHERE t.tenant_id = queued.tenant_id AND t.error_message IS NOT NULL;
    -- Done, unless a status is now due to MongoDB: then the next step sends it, and takes the error away with it.
    DELETE FROM tenancy_mongo.registry_queue q WHERE q.tenant_id = queued.tenant_id AND q.push_status IS NULL;
    IF NOT FOUND THEN
        UPDATE tenancy_mongo.registry_queue q SET settle_at = NULL WHERE q.tenant_id = queued.tenant_id;
    ELSIF queued.error_written THEN
        PERFORM tenancy_mongo._update_tenant_document(server,
            pg_catalog.json_build_object('tenant_id', queued.tenant_id),
            pg_catalog.json_build_object('$unset', pg_catalog.json_build_object('error', '')));
    END IF;
END
$function$;
REVOKE ALL ON FUNCTION tenancy_mongo._reconcile(name, tenancy_mongo.registry_queue) FROM PUBLIC;

-- Records a failure here and in the document, and sets the next attempt 1, 2, 4 … 64 s later; a change of the document
-- or of the tenant brings it forward.  If MongoDB cannot be told now, the next attempt tries that again too.
CREATE FUNCTION tenancy_mongo._record_failure(
    server name, queued tenancy_mongo.registry_queue, failure_sqlstate text, failure_message text
) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $function$
DECLARE
    written boolean := queued.error_written
        AND (queued.last_error_sqlstate, queued.last_error_message) IS NOT DISTINCT FROM (failure_sqlstate, failure_message);
BEGIN
    IF NOT written THEN
        BEGIN
            PERFORM tenancy_mongo._update_tenant_document(server,
                pg_catalog.json_build_object('tenant_id', queued.tenant_id),
                pg_catalog.json_build_object(
                    '$set', pg_catalog.json_build_object('error.code', failure_sqlstate, 'error.message', failure_message),
                    '$currentDate', pg_catalog.json_build_object('error.at', true)));
            written := true;
        EXCEPTION WHEN OTHERS THEN
            RAISE LOG 'could not write the error of tenant "%" to MongoDB: %', queued.tenant_id, SQLERRM
                USING ERRCODE = SQLSTATE;
        END;
    END IF;
    UPDATE tenancy_mongo.registry_queue q
       SET attempts = queued.attempts + 1,
           next_attempt_at = pg_catalog.clock_timestamp() + interval '1 second' * (1 << least(queued.attempts, 6)),
           last_error_sqlstate = failure_sqlstate,
           last_error_message = failure_message,
           error_written = written
     WHERE q.tenant_id = queued.tenant_id;
    -- A tenant that failed at its first step has no row yet, and one whose identifier is refused never will.
    BEGIN
        PERFORM tenancy_mongo._follow_description(r) FROM tenancy_mongo.registry_tenants r WHERE r.tenant_id = queued.tenant_id;
    EXCEPTION WHEN invalid_parameter_value OR unique_violation OR check_violation THEN
        NULL;
    END;
    UPDATE tenancy.tenants t SET error_message = failure_message
     WHERE t.tenant_id = queued.tenant_id AND t.error_message IS DISTINCT FROM failure_message;
END
$function$;
REVOKE ALL ON FUNCTION tenancy_mongo._record_failure(name, tenancy_mongo.registry_queue, text, text) FROM PUBLIC;

CREATE FUNCTION tenancy_mongo.reconcile_next(server name) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
    SET search_path TO pg_catalog, pg_temp
AS $function$
DECLARE
    queued tenancy_mongo.registry_queue;
    failure_message text;
    failure_sqlstate text;
BEGIN
    SELECT q.* INTO queued FROM tenancy_mongo.registry_queue q
     WHERE q.next_attempt_at <= pg_catalog.clock_timestamp()
     ORDER BY q.next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    BEGIN
        PERFORM tenancy_mongo._reconcile(server, queued);
        RETURN queued.tenant_id;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS failure_message = MESSAGE_TEXT, failure_sqlstate = RETURNED_SQLSTATE;
    END;
    RAISE LOG 'could not reconcile tenant "%": %', queued.tenant_id, failure_message USING ERRCODE = failure_sqlstate;
    PERFORM tenancy_mongo._record_failure(server, queued, failure_sqlstate, failure_message);
    RETURN queued.tenant_id;
END
$function$;
COMMENT ON FUNCTION tenancy_mongo.reconcile_next(name) IS 'does one step for one queued tenant and returns its id, or null if none is due; the registry worker calls it';
REVOKE ALL ON FUNCTION tenancy_mongo.reconcile_next(name) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy_mongo.reconcile_next(name) TO tenancy_mirror;

-- How long the worker may sleep: milliseconds until the next tenant is due, null if none is queued.
CREATE FUNCTION tenancy_mongo._next_reconcile_ms() RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO pg_catalog, pg_temp
AS $function$
    SELECT greatest(0, least(60000, pg_catalog.ceil(1000 * extract(epoch FROM
               (SELECT min(q.next_attempt_at) FROM tenancy_mongo.registry_queue q) - pg_catalog.clock_timestamp()))))::integer
     WHERE EXISTS (SELECT FROM tenancy_mongo.registry_queue)
$function$;
REVOKE ALL ON FUNCTION tenancy_mongo._next_reconcile_ms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy_mongo._next_reconcile_ms() TO tenancy_mirror;

-- mirror_registry() ---------------------------------------------------------------------------------------------------

-- The supervisor, which mirror() and unmirror() wake at commit, starts or ends the registry worker by this.
CREATE FUNCTION tenancy_mongo._set_stream_registry(server name, acts boolean) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $function$
    UPDATE tenancy_mongo.stream t SET registry = acts
      FROM pg_catalog.pg_foreign_server s
     WHERE s.oid = t.server AND s.srvname = _set_stream_registry.server
$function$;
REVOKE ALL ON FUNCTION tenancy_mongo._set_stream_registry(name, boolean) FROM PUBLIC;

CREATE FUNCTION tenancy_mongo.mirror_registry(server name) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM FROM pg_catalog.pg_foreign_server s WHERE s.srvname = server;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'server "%" does not exist', server
            USING ERRCODE = 'undefined_object',
                  HINT = pg_catalog.format('CREATE SERVER %I FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts ''localhost:27017'');', server);
    ELSIF pg_catalog.to_regclass('tenancy_mongo.mongo_tenants') IS NOT NULL THEN
        RAISE EXCEPTION 'this database mirrors a tenant registry already'
            USING ERRCODE = 'duplicate_object',
                  HINT = 'To move it to another server, run first: SELECT tenancy_mongo.unmirror_registry();';
    END IF;

    EXECUTE pg_catalog.format($ddl$
        CREATE FOREIGN TABLE tenancy_mongo.mongo_tenants (
            _id text, tenant_id text, name text, database_config jsonb, created_at timestamptz, updated_at timestamptz,
            status text, settings jsonb, tier text, region text
        ) SERVER %1$I OPTIONS (database 'tenant_registry', collection 'tenants');
        CREATE FOREIGN TABLE tenancy_mongo.mongo_tenant_databases (
            _id text, database_name text, type text, tenants text[], status text, created_at timestamptz, server text,
            region text
        ) SERVER %1$I OPTIONS (database 'tenant_registry', collection 'tenant_databases');
        CREATE FOREIGN TABLE tenancy_mongo.mongo_tasks (
            _id text, task_id text, tenant_id text, service_id text, type text, status text, priority numeric,
            payload jsonb, result jsonb, created_at timestamptz, updated_at timestamptz, started_at timestamptz,
            completed_at timestamptz, error jsonb
        ) SERVER %1$I OPTIONS (database 'task_repository', collection 'tasks', tenant_field 'tenant_id');
    $ddl$, server);
    PERFORM tenancy_mongo.mirror('tenancy_mongo.mongo_tenants', 'tenancy_mongo.registry_tenants');
    PERFORM tenancy_mongo.mirror('tenancy_mongo.mongo_tenant_databases', 'tenancy.tenant_databases');
    PERFORM tenancy_mongo.mirror('tenancy_mongo.mongo_tasks', 'tenancy.tasks');
    PERFORM tenancy_mongo._set_stream_registry(server, true);
END
$function$;
COMMENT ON FUNCTION tenancy_mongo.mirror_registry(name) IS 'mirrors the tenant registry and the task repository of a MongoDB server and lets the registry act: provisioning, suspending, resuming';
REVOKE ALL ON FUNCTION tenancy_mongo.mirror_registry(name) FROM PUBLIC;

CREATE FUNCTION tenancy_mongo.unmirror_registry() RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path TO pg_catalog, pg_temp
AS $function$
DECLARE
    server name;
BEGIN
    SELECT s.srvname INTO server
      FROM pg_catalog.pg_foreign_table f
      JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver
     WHERE f.ftrelid = pg_catalog.to_regclass('tenancy_mongo.mongo_tenants');
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this database mirrors no tenant registry'
            USING ERRCODE = 'undefined_object',
                  HINT = 'To mirror one, run: SELECT tenancy_mongo.mirror_registry(''platform'');';
    END IF;
    PERFORM tenancy_mongo._set_stream_registry(server, false);
    PERFORM tenancy_mongo.unmirror('tenancy_mongo.registry_tenants');
    PERFORM tenancy_mongo.unmirror('tenancy.tenant_databases');
    PERFORM tenancy_mongo.unmirror('tenancy.tasks');
    DROP FOREIGN TABLE tenancy_mongo.mongo_tenants, tenancy_mongo.mongo_tenant_databases, tenancy_mongo.mongo_tasks;
    TRUNCATE tenancy_mongo.registry_queue, tenancy_mongo.registry_tenants, tenancy.tenant_databases, tenancy.tasks;
END
$function$;
COMMENT ON FUNCTION tenancy_mongo.unmirror_registry() IS 'stops mirroring the tenant registry; tenants and their schemas stay as they are';
REVOKE ALL ON FUNCTION tenancy_mongo.unmirror_registry() FROM PUBLIC;
