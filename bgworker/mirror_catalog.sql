-- ---------------------------------------------------------------------------------------------------------------------
-- The mirror: live copies of foreign tables.
--
--   stream         one change stream a foreign server: where it stands, and how it fares
--   mirror_table   one row a mirrored table: what it copies, in which phase
--   misfits        documents that do not fit their table; they come back when they are mended
--   initial_sync   a copy of a large collection that is under way, its ranges of _id, and what has been read of them
--
-- The rows of the first two are written by mirror() and unmirror() and by the workers, always in the transaction whose
-- rows they describe.  They are not dumped: what a dump restores is a table, not a mirror.
-- ---------------------------------------------------------------------------------------------------------------------

-- The workers' role.  A background worker passes the connection limit, a client never does.
DO $block$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) 'tenancy_mirror') THEN
        CREATE ROLE tenancy_mirror LOGIN CONNECTION LIMIT 0;
    ELSIF EXISTS (SELECT FROM pg_catalog.pg_roles
                  WHERE rolname OPERATOR(pg_catalog.=) 'tenancy_mirror'
                    AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolreplication OR NOT rolcanlogin)) THEN
        RAISE EXCEPTION 'role "tenancy_mirror" exists and cannot serve the mirror'
            USING ERRCODE = 'invalid_role_specification',
                  DETAIL = 'The workers'' role logs in and is neither superuser nor may pass row-level security, create roles or replicate.',
                  HINT = 'ALTER ROLE tenancy_mirror LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION;';
    END IF;
    EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO tenancy_mirror', pg_catalog.current_database());
END
$block$;

GRANT USAGE ON SCHEMA tenancy_mongo TO tenancy_mirror;

CREATE TABLE tenancy_mongo.stream (
    stream_id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server        oid NOT NULL UNIQUE,
    database      oid NOT NULL,
    deployment    text,
    token         bytea,
    start_at      bigint,
    pipeline      text,
    horizon       bigint NOT NULL DEFAULT 0,
    registry      boolean NOT NULL DEFAULT false,
    paused        boolean NOT NULL DEFAULT false,
    events        bigint NOT NULL DEFAULT 0,
    transactions  bigint NOT NULL DEFAULT 0,
    resyncs       bigint NOT NULL DEFAULT 0,
    restarts      bigint NOT NULL DEFAULT 0,
    last_event_at timestamptz,
    last_token_at timestamptz,
    oplog_left    interval,
    last_error    text,
    last_error_state text,
    last_error_at timestamptz
) WITH (fillfactor = 20);
COMMENT ON TABLE tenancy_mongo.stream IS 'one change stream a foreign server: its position and how it fares';
COMMENT ON COLUMN tenancy_mongo.stream.database IS 'the database whose workers run it: a copy of that database does not';
COMMENT ON COLUMN tenancy_mongo.stream.deployment IS 'the id of the replica set that the position belongs to';
COMMENT ON COLUMN tenancy_mongo.stream.token IS 'the resume token of the last transaction, as BSON';
COMMENT ON COLUMN tenancy_mongo.stream.start_at IS 'the cluster time to start from while there is no token';
COMMENT ON COLUMN tenancy_mongo.stream.pipeline IS 'the namespaces that the token was read under';
COMMENT ON COLUMN tenancy_mongo.stream.horizon IS 'the newest cluster time that a looked-up document has shown';
COMMENT ON COLUMN tenancy_mongo.stream.oplog_left IS 'how far the oplog reached back beyond the position, when it was last looked at';
COMMENT ON COLUMN tenancy_mongo.stream.registry IS 'the tenant registry on this server acts here';
COMMENT ON COLUMN tenancy_mongo.stream.paused IS 'pause_mirror() was called: no worker runs';

CREATE TABLE tenancy_mongo.mirror_table (
    local_table   regclass PRIMARY KEY,
    foreign_table regclass NOT NULL,
    stream_id     integer NOT NULL REFERENCES tenancy_mongo.stream,
    phase         "char" NOT NULL DEFAULT 'i' CHECK (phase OPERATOR(pg_catalog.=) ANY ('{i,r,e}')),
    definition    text,
    since         text COLLATE "C",
    tenant        text,
    copied_at     timestamptz,
    rows_copied   bigint NOT NULL DEFAULT 0,
    events        bigint NOT NULL DEFAULT 0,
    last_event_at timestamptz,
    last_error    text,
    last_error_state text,
    last_error_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE tenancy_mongo.mirror_table IS 'the mirrored tables';
COMMENT ON COLUMN tenancy_mongo.mirror_table.phase IS 'i: to be copied; r: follows the stream; e: stopped by an error of its own';
COMMENT ON COLUMN tenancy_mongo.mirror_table.definition IS 'the namespace and columns that the rows were copied by';
COMMENT ON COLUMN tenancy_mongo.mirror_table.tenant IS 'whose documents the table holds; null: everybody''s';
COMMENT ON COLUMN tenancy_mongo.mirror_table.since IS 'changes up to this position of the stream are in the copy already';
CREATE INDEX mirror_table_stream_id ON tenancy_mongo.mirror_table (stream_id);

CREATE TABLE tenancy_mongo.misfits (
    local_table  regclass NOT NULL,
    namespace    text NOT NULL,
    document_id  text NOT NULL,
    path         text,
    reason       text NOT NULL,
    sqlstate     text NOT NULL,
    document     text NOT NULL,
    cluster_time timestamptz,
    noted_at     timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE tenancy_mongo.misfits IS 'documents that do not fit their mirrored table, until they are mended or deleted';
COMMENT ON COLUMN tenancy_mongo.misfits.document IS 'the whole document as relaxed extended JSON';
CREATE INDEX misfits_document ON tenancy_mongo.misfits
    (local_table, pg_catalog.hashtextextended(document_id, 0));

CREATE TABLE tenancy_mongo.initial_sync (
    local_table regclass PRIMARY KEY REFERENCES tenancy_mongo.mirror_table ON DELETE CASCADE,
    source      text NOT NULL,
    tenant_field text,
    tenant      text,
    cut         bigint NOT NULL,
    in_the_past boolean NOT NULL DEFAULT true,
    started_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE tenancy_mongo.initial_sync IS 'copies of large collections that are under way';
COMMENT ON COLUMN tenancy_mongo.initial_sync.source IS 'the collection that is copied';
COMMENT ON COLUMN tenancy_mongo.initial_sync.tenant_field IS 'only documents where this is the tenant are copied; null: all';
COMMENT ON COLUMN tenancy_mongo.initial_sync.cut IS 'the cluster time that the copy stands for';
COMMENT ON COLUMN tenancy_mongo.initial_sync.in_the_past IS 'all was read at the cut, nothing later';

CREATE TABLE tenancy_mongo.initial_sync_range (
    local_table regclass NOT NULL REFERENCES tenancy_mongo.initial_sync ON DELETE CASCADE,
    range       integer NOT NULL,
    lower       bytea,
    upper       bytea,
    last        bytea,
    chunks      integer NOT NULL DEFAULT 0,
    documents   bigint NOT NULL DEFAULT 0,
    bytes       bigint NOT NULL DEFAULT 0,
    reader      integer,
    done        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (local_table, range)
) WITH (fillfactor = 50);
COMMENT ON TABLE tenancy_mongo.initial_sync_range IS 'the ranges of _id that a copy is read by, and how far each is';
COMMENT ON COLUMN tenancy_mongo.initial_sync_range.last IS 'the last _id that was read, as a document; lower and upper bound likewise';
COMMENT ON COLUMN tenancy_mongo.initial_sync_range.reader IS 'the process that reads it';

CREATE TABLE tenancy_mongo.initial_sync_chunk (
    local_table regclass NOT NULL,
    range       integer NOT NULL,
    chunk       integer NOT NULL,
    documents   bytea NOT NULL,
    PRIMARY KEY (local_table, range, chunk),
    FOREIGN KEY (local_table, range) REFERENCES tenancy_mongo.initial_sync_range ON DELETE CASCADE
);

-- Compressed by lz4, which costs less than writing what it saves; where the server was built without it, not at all.
DO $block$
BEGIN
    ALTER TABLE tenancy_mongo.initial_sync_chunk ALTER COLUMN documents SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    ALTER TABLE tenancy_mongo.initial_sync_chunk ALTER COLUMN documents SET STORAGE EXTERNAL;
END
$block$;
COMMENT ON TABLE tenancy_mongo.initial_sync_chunk IS 'documents that were read and are not yet in their table, as BSON, one after the other';

GRANT SELECT, UPDATE, DELETE ON tenancy_mongo.stream, tenancy_mongo.mirror_table TO tenancy_mirror;
GRANT SELECT, INSERT, DELETE ON tenancy_mongo.misfits TO tenancy_mirror;
GRANT SELECT, INSERT, UPDATE, DELETE ON tenancy_mongo.initial_sync, tenancy_mongo.initial_sync_range TO tenancy_mirror;
GRANT SELECT, INSERT, DELETE, TRUNCATE ON tenancy_mongo.initial_sync_chunk TO tenancy_mirror;

CREATE FUNCTION tenancy_mongo.mirror(foreign_table regclass, local_table regclass, tenant text DEFAULT NULL) RETURNS void
LANGUAGE c VOLATILE
SET search_path TO pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'tenancy_mongo_mirror';
COMMENT ON FUNCTION tenancy_mongo.mirror(regclass, regclass, text) IS
    'makes an empty local table a live copy of a foreign table, or of what in it is one tenant''s';

CREATE FUNCTION tenancy_mongo.unmirror(local_table regclass) RETURNS void
LANGUAGE c STRICT VOLATILE
SET search_path TO pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'tenancy_mongo_unmirror';
COMMENT ON FUNCTION tenancy_mongo.unmirror(regclass) IS
    'ends a mirror; the local table keeps its rows';

CREATE FUNCTION tenancy_mongo.adopt_mirrors() RETURNS integer
LANGUAGE c STRICT VOLATILE
SET search_path TO pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'tenancy_mongo_adopt_mirrors';
COMMENT ON FUNCTION tenancy_mongo.adopt_mirrors() IS
    'lets the mirrors of a copied database run in the copy; tells how many streams that are';
REVOKE ALL ON FUNCTION tenancy_mongo.adopt_mirrors() FROM PUBLIC;

CREATE FUNCTION tenancy_mongo.mirror_worker(server oid, OUT pid integer, OUT level_at timestamptz) RETURNS record
LANGUAGE c STRICT VOLATILE
SET search_path TO pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'tenancy_mongo_mirror_worker';
COMMENT ON FUNCTION tenancy_mongo.mirror_worker(oid) IS
    'the running apply worker of a server, and when it was last level with MongoDB';
REVOKE ALL ON FUNCTION tenancy_mongo.mirror_worker(oid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy_mongo.mirror_worker(oid) TO pg_monitor;

CREATE VIEW tenancy_mongo.stat_mirror AS
SELECT s.srvname AS server,
       m.local_table,
       m.foreign_table,
       CASE WHEN st.database OPERATOR(pg_catalog.<>) d.oid THEN 'detached'
            WHEN st.paused THEN 'paused'
            WHEN m.phase OPERATOR(pg_catalog.=) 'e' THEN 'error'
            WHEN w.pid IS NULL THEN 'stopped'
            WHEN m.phase OPERATOR(pg_catalog.=) 'r' THEN 'streaming'
            WHEN c.relid IS NOT NULL THEN 'copying'
            ELSE 'waiting' END AS state,
       COALESCE(c.tuples_processed, m.rows_copied) AS rows_copied,
       m.copied_at,
       m.events AS events_applied,
       -- A worker that waits is level, and says so with every reply: twice a second.
       CASE WHEN m.phase OPERATOR(pg_catalog.=) 'r' THEN
           GREATEST(0, EXTRACT(epoch FROM pg_catalog.clock_timestamp()
               OPERATOR(pg_catalog.-) GREATEST(w.level_at, st.last_token_at)) OPERATOR(pg_catalog.-) 0.5)
       END::double precision AS lag_seconds,
       m.last_event_at,
       st.last_token_at,
       COALESCE(m.last_error, st.last_error) AS last_error,
       COALESCE(m.last_error_state, st.last_error_state) AS last_error_state,
       COALESCE(m.last_error_at, st.last_error_at) AS last_error_at,
       st.restarts,
       st.resyncs,
       (SELECT pg_catalog.count(*) FROM tenancy_mongo.misfits f
        WHERE f.local_table OPERATOR(pg_catalog.=) m.local_table) AS misfits,
       w.pid AS worker_pid,
       m.tenant,
       st.oplog_left
FROM tenancy_mongo.mirror_table m
     JOIN tenancy_mongo.stream st USING (stream_id)
     JOIN pg_catalog.pg_database d ON d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
     LEFT JOIN pg_catalog.pg_foreign_server s ON s.oid OPERATOR(pg_catalog.=) st.server
     LEFT JOIN LATERAL tenancy_mongo.mirror_worker(st.server) w ON true
     LEFT JOIN pg_catalog.pg_stat_progress_copy c
         ON c.relid OPERATOR(pg_catalog.=) m.local_table::oid AND c.pid OPERATOR(pg_catalog.=) w.pid;
COMMENT ON VIEW tenancy_mongo.stat_mirror IS 'one row a mirrored table: its state, its lag, its last error';
GRANT SELECT ON tenancy_mongo.stat_mirror TO pg_monitor;

-- COPY's progress, and parameters beyond it: how many documents there are, how many had been read before this run, when it
-- began, and what it does.
CREATE VIEW tenancy_mongo.progress_initial_sync AS
SELECT s.srvname AS server,
       m.local_table,
       c.pid,
       CASE WHEN c.param14 OPERATOR(pg_catalog.=) 1 THEN 'reading'
            WHEN c.param14 OPERATOR(pg_catalog.=) 2 THEN 'loading' ELSE 'copying' END AS phase,
       c.param3 AS documents,
       NULLIF(c.param11, 0) AS documents_expected,
       c.param1 AS bytes,
       COALESCE(y.started_at, a.xact_start) AS started_at,
       r.rate AS documents_per_second,
       CASE WHEN r.rate OPERATOR(pg_catalog.>) 0 AND c.param11 OPERATOR(pg_catalog.>) 0 THEN pg_catalog.make_interval(secs =>
           GREATEST(0, c.param11 OPERATOR(pg_catalog.-) c.param3)::double precision OPERATOR(pg_catalog./) r.rate)
       END AS time_left,
       (SELECT pg_catalog.count(*) FROM tenancy_mongo.initial_sync_range g
        WHERE g.local_table OPERATOR(pg_catalog.=) m.local_table) AS ranges,
       (SELECT pg_catalog.count(*) FROM tenancy_mongo.initial_sync_range g
        WHERE g.local_table OPERATOR(pg_catalog.=) m.local_table AND g.done) AS ranges_done
FROM pg_catalog.pg_stat_get_progress_info('COPY') c
     JOIN tenancy_mongo.mirror_table m ON m.local_table::oid OPERATOR(pg_catalog.=) c.relid
     JOIN tenancy_mongo.stream st USING (stream_id)
     JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) c.pid
         AND a.backend_type OPERATOR(pg_catalog.=) 'tenancy mirror apply worker'
     LEFT JOIN tenancy_mongo.initial_sync y USING (local_table)
     LEFT JOIN pg_catalog.pg_foreign_server s ON s.oid OPERATOR(pg_catalog.=) st.server
     CROSS JOIN LATERAL (SELECT (c.param3 OPERATOR(pg_catalog.-) c.param12) OPERATOR(pg_catalog./) NULLIF(
         EXTRACT(epoch FROM pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.-) (c.param13 OPERATOR(pg_catalog./) 1000.0), 0)::double precision) r(rate)
WHERE c.datid OPERATOR(pg_catalog.=) st.database;
COMMENT ON VIEW tenancy_mongo.progress_initial_sync IS 'the copies that are under way: how far they are and how long they will take';
GRANT SELECT ON tenancy_mongo.progress_initial_sync TO pg_monitor;
