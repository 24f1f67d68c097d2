--
-- access_matrix: which role class may read and write a table, planned for the class in force.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE access_matrix_test;
\c access_matrix_test
CREATE EXTENSION tenancy;
SELECT count(tenancy.create_tenant('am-' || i, 'Tenant')) FROM generate_series(1, 4) i;
SELECT tenancy.define_scope('north', ARRAY['am-2', 'am-3']);
CREATE ROLE am_app IN ROLE tenancy_service;
CREATE ROLE am_owner;
GRANT EXECUTE ON FUNCTION tenancy.set_context(text, text, text[], boolean) TO am_app;

--
-- Declaring
--
CREATE TABLE orders (id integer PRIMARY KEY, tenant_id varchar(50) NOT NULL, amount integer);
SELECT tenancy.protect('orders');
\pset format unaligned
\pset tuples_only on
SELECT tenancy.declare_access_ddl('orders', 'admin', 'read');
SELECT tenancy.declare_access('orders', 'admin', 'read');
SELECT 'left to do: ' || quote_literal(tenancy.protect_ddl('orders'));
SELECT tenancy.declare_access_ddl('orders', 'superadmin', 'read-write');
SELECT tenancy.declare_access('orders', 'superadmin', 'read-write');
SELECT 'left to do: ' || quote_literal(tenancy.protect_ddl('orders'));
\pset format aligned
\pset tuples_only off
-- before there are policies, and back to what is the default
CREATE TABLE everybody (id integer, tenant_id uuid);
SELECT tenancy.declare_access('everybody', 'client', 'none');
SELECT tenancy.declare_access('everybody', 'admin', 'read-write');
SELECT tenancy.declare_access('everybody', 'superadmin', 'read');
SELECT tenancy.protect('everybody');
SELECT polname, polcmd, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) FROM pg_policy WHERE polrelid = 'everybody'::regclass ORDER BY 1;
SELECT tenancy.declare_access('everybody', 'admin', 'none');
SELECT tenancy.declare_access('everybody', 'superadmin', 'none');
SELECT polname, polcmd, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) FROM pg_policy WHERE polrelid = 'everybody'::regclass ORDER BY 1;
SELECT tenancy.declare_access('everybody', 'client', 'read-write');
SELECT polname, polcmd, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) FROM pg_policy WHERE polrelid = 'everybody'::regclass ORDER BY 1;
SELECT * FROM tenancy.access_matrix ORDER BY "table"::text;
SELECT code, object FROM tenancy.isolation_report() WHERE code NOT IN ('TI502', 'TI602') AND code < 'TI7';
DROP TABLE everybody;
SELECT * FROM tenancy.access_matrix;

--
-- Who sees and writes what; each statement has one generic plan for all of it
--
INSERT INTO orders SELECT i, 'am-' || 1 + i % 4, i FROM generate_series(1, 40) i;
GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO am_app;
SET ROLE am_app;
SET plan_cache_mode = force_generic_plan;
PREPARE seen AS SELECT coalesce(string_agg(DISTINCT tenant_id, ' ' ORDER BY tenant_id), '') AS tenants, count(*) FROM orders;
PREPARE written AS WITH w AS (UPDATE orders SET amount = amount RETURNING tenant_id)
    SELECT coalesce(string_agg(DISTINCT tenant_id, ' ' ORDER BY tenant_id), '') AS tenants, count(*) FROM w;
CREATE FUNCTION pg_temp.seen(OUT tenants text) LANGUAGE plpgsql AS $$
BEGIN
    SELECT coalesce(string_agg(DISTINCT o.tenant_id, ' ' ORDER BY o.tenant_id), '') INTO tenants FROM public.orders o;
END $$;
EXECUTE seen;
EXECUTE written;
BEGIN;
SELECT tenancy.set_tenant('am-1');
EXECUTE seen;
EXECUTE written;
SELECT pg_temp.seen();
COMMIT;
EXECUTE seen;
BEGIN;
SELECT tenancy.set_context('am-1', 'admin', ARRAY['@north']);
EXECUTE seen;
EXECUTE written;
SELECT pg_temp.seen();
COMMIT;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['am-4']);
EXECUTE seen;
EXECUTE written;
SELECT pg_temp.seen();
ROLLBACK;
BEGIN;
SELECT tenancy.set_context(NULL, 'superadmin');
EXECUTE seen;
EXECUTE written;
SELECT pg_temp.seen();
COMMIT;
EXECUTE seen;
SELECT pg_temp.seen();
-- savepoints and sessions
BEGIN;
SAVEPOINT a;
SELECT tenancy.set_context('am-2', 'superadmin');
EXECUTE seen;
ROLLBACK TO a;
EXECUTE seen;
ROLLBACK;
SELECT tenancy.set_context('am-3', 'admin', ARRAY['am-3', 'am-4'], false);
EXECUTE seen;
BEGIN;
EXECUTE seen;
COMMIT;
SELECT tenancy.clear_tenant();
EXECUTE seen;
SELECT tenancy.set_tenant('am-3', false);
EXECUTE seen;
-- what a class may not do
SELECT tenancy.clear_tenant();
BEGIN;
SELECT tenancy.set_context('am-1', 'admin', ARRAY['am-2']);
SELECT count(*) FROM orders WHERE tenant_id = 'am-3';
DELETE FROM orders;
INSERT INTO orders VALUES (100, 'am-1', 1);
ROLLBACK;
BEGIN;
SELECT tenancy.set_context(NULL, 'superadmin');
INSERT INTO orders VALUES (100, 'am-1', 1), (101, 'am-2', 1);
DELETE FROM orders WHERE id > 99;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('am-1');
INSERT INTO orders VALUES (100, 'am-1', 1);
INSERT INTO orders VALUES (101, 'am-2', 1);
ROLLBACK;
-- without a context nobody, and under strict not even the question
SET ROLE am_app;
EXECUTE seen;
RESET ROLE;
SET tenancy.strict = on;
SET ROLE am_app;
EXECUTE seen;
\echo :SQLSTATE
BEGIN;
SELECT tenancy.set_context(NULL, 'superadmin');
EXECUTE seen;
COMMIT;
EXECUTE seen;
RESET ROLE;
RESET tenancy.strict;

--
-- Plans
--
CREATE INDEX orders_tenant ON orders (tenant_id, id);
DROP INDEX orders_tenant_id_idx;
INSERT INTO orders SELECT i, 'am-' || 1 + i % 4, i FROM generate_series(1001, 6000) i;
ANALYZE orders;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET ROLE am_app;
PREPARE newest AS SELECT id FROM orders ORDER BY id DESC LIMIT 3;
PREPARE one AS SELECT id FROM orders WHERE amount >= 0;
BEGIN;
SELECT tenancy.set_tenant('am-1');
EXPLAIN (COSTS OFF) EXECUTE newest;
EXECUTE newest;
COMMIT;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['am-2']);
EXPLAIN (COSTS OFF) EXECUTE newest;
EXECUTE newest;
COMMIT;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['am-2', 'am-3']);
EXPLAIN (COSTS OFF) EXECUTE one;
EXECUTE newest;
COMMIT;
-- the end of a context replans nothing: the next one is most likely of the same class
EXPLAIN (COSTS OFF) EXECUTE one;
BEGIN;
SELECT tenancy.set_context(NULL, 'superadmin');
EXPLAIN (COSTS OFF) EXECUTE newest;
EXECUTE newest;
COMMIT;
RESET ROLE;
RESET enable_seqscan;
RESET enable_bitmapscan;
-- how many rows the planner expects
CREATE FUNCTION pg_temp.expected(query text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
SET ROLE am_app;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['am-2', 'am-3']);
SELECT pg_temp.expected('SELECT * FROM orders') BETWEEN 2400 AND 2600 AS half;
COMMIT;
BEGIN;
SELECT tenancy.set_context(NULL, 'superadmin');
SELECT pg_temp.expected('SELECT * FROM orders') AS all;
COMMIT;
RESET ROLE;

-- an array on a column that does not lead cannot keep an index's order
CREATE TABLE regions (region text, tenant_id text, n integer);
SELECT tenancy.protect('regions');
SELECT tenancy.declare_access('regions', 'admin', 'read');
DROP INDEX regions_tenant_id_idx;
CREATE INDEX ON regions (region, tenant_id, n);
INSERT INTO regions SELECT 'r' || i % 3, 'am-' || 1 + i % 4, i FROM generate_series(1, 3000) i;
ANALYZE regions;
GRANT SELECT ON regions TO am_app;
SET ROLE am_app;
SET enable_sort = off;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['am-4', 'am-2', 'am-3']);
SELECT count(*) AS in_order FROM (SELECT r, lag(r) OVER () AS before FROM (SELECT ROW(region, tenant_id) AS r FROM regions WHERE region > 'r0' ORDER BY region, tenant_id) o) s
 WHERE r >= before;
COMMIT;
RESET ROLE;
RESET enable_sort;

--
-- Partitions: pruned for clients and admins
--
-- a key to group by that has one value only is shown up to 15
CREATE FUNCTION pg_temp.plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line !~ 'Group Key:' THEN
            RETURN NEXT line;
        END IF;
    END LOOP;
END $$;
CREATE TABLE events (tenant_id text, at date) PARTITION BY LIST (tenant_id);
CREATE TABLE events_1 PARTITION OF events FOR VALUES IN ('am-1');
CREATE TABLE events_2 PARTITION OF events FOR VALUES IN ('am-2');
CREATE TABLE events_3 PARTITION OF events FOR VALUES IN ('am-3');
INSERT INTO events SELECT 'am-' || 1 + i % 3, now() FROM generate_series(1, 30) i;
SELECT tenancy.protect('events');
SELECT tenancy.declare_access('events', 'admin', 'read');
GRANT SELECT, INSERT ON events, events_1 TO am_app;
SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = 'events_1'::regclass AND polname = 'tenant_isolation_floor';
SET enable_bitmapscan = off;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SET ROLE am_app;
PREPARE events AS SELECT tenant_id, count(*) FROM events GROUP BY 1 ORDER BY 1;
EXECUTE events;
BEGIN;
SELECT tenancy.set_tenant('am-1');
SELECT pg_temp.plan_of('EXECUTE events');
EXECUTE events;
INSERT INTO events VALUES ('am-1', now());
INSERT INTO events VALUES ('am-2', now());
ROLLBACK;
BEGIN;
SELECT tenancy.set_tenant('am-2');
SELECT pg_temp.plan_of('EXECUTE events');
EXECUTE events;
COMMIT;
EXECUTE events;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['am-1', 'am-3']);
SELECT pg_temp.plan_of('EXECUTE events');
EXECUTE events;
SELECT tenant_id, count(*) FROM events_1 GROUP BY 1 ORDER BY 1;
INSERT INTO events VALUES ('am-1', now());
ROLLBACK;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['am-1', 'am-2']);
EXECUTE events;
COMMIT;
BEGIN;
SELECT tenancy.set_context('am-3', 'admin', NULL);
SELECT pg_temp.plan_of('EXECUTE events');
EXECUTE events;
COMMIT;
-- a named scope that changes, while the plan is cached
RESET ROLE;
SELECT tenancy.define_scope('moving', ARRAY['am-1']);
SET ROLE am_app;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['@moving', 'am-2']);
EXECUTE events;
COMMIT;
RESET ROLE;
SELECT tenancy.define_scope('moving', ARRAY['am-3']);
SET ROLE am_app;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['@moving', 'am-2']);
EXECUTE events;
COMMIT;
RESET ROLE;
SET tenancy.strict = on;
SET ROLE am_app;
EXECUTE events;
RESET ROLE;
RESET tenancy.strict;
RESET ROLE;
RESET enable_bitmapscan;
RESET enable_indexscan;
RESET enable_indexonlyscan;
-- a partition has its parent's access, or its own; one that comes later too
CREATE TABLE events_4 PARTITION OF events FOR VALUES IN ('am-4');
SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = 'events_4'::regclass AND polname = 'tenant_isolation_floor';
SELECT tenancy.declare_access('events_4', 'superadmin', 'read');
SELECT tenancy.protect_ddl('events') = '' AS settled;
SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = 'events_4'::regclass AND polname = 'tenant_isolation_floor';

--
-- A tenant's own tables; types of identifiers
--
SELECT tenancy.register_system('notes', 'Notes', 'notes', 'test');
SELECT tenancy.register_version('notes', '1.0.0', $$
CREATE TABLE note (body text);
SELECT tenancy.declare_access('note', 'admin', 'read');
INSERT INTO note VALUES ('of ' || @tenant@);
$$);
SELECT tenancy.install_system('am-1', 'notes');
SELECT tenancy.install_system('am-2', 'notes');
SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = 'tenant_am_2_notes.note'::regclass AND polname = 'tenant_isolation_floor';
SET ROLE am_app;
BEGIN;
SELECT tenancy.set_context('am-1', 'admin', ARRAY['am-2']);
SELECT * FROM tenant_am_1_notes.note UNION ALL SELECT * FROM tenant_am_2_notes.note;
INSERT INTO tenant_am_1_notes.note VALUES ('mine');
ROLLBACK;
BEGIN;
SELECT tenancy.set_context('am-1', 'admin', ARRAY['am-1']);
SELECT * FROM tenant_am_1_notes.note UNION ALL SELECT * FROM tenant_am_2_notes.note;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('am-2');
SELECT * FROM tenant_am_1_notes.note UNION ALL SELECT * FROM tenant_am_2_notes.note;
COMMIT;
RESET ROLE;

SELECT count(tenancy.create_tenant(t, 'Tenant')) FROM unnest(ARRAY['00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002', '17', '18', '019']) t;
CREATE TABLE by_uuid (id integer, tenant_id uuid);
CREATE TABLE by_bigint (id integer, tenant_id bigint);
SELECT tenancy.declare_access(t, 'admin', 'read-write'), tenancy.declare_access(t, 'superadmin', 'read'), tenancy.protect(t) FROM unnest('{by_uuid,by_bigint}'::regclass[]) t;
INSERT INTO by_uuid VALUES (1, '00000000-0000-0000-0000-000000000001'), (2, '00000000-0000-0000-0000-000000000002'), (3, '00000000-0000-0000-0000-000000000003'), (4, NULL);
INSERT INTO by_bigint VALUES (17, 17), (18, 18), (19, 19), (20, NULL);
GRANT SELECT, INSERT ON by_uuid, by_bigint TO am_app;
SET ROLE am_app;
PREPARE ids AS SELECT ARRAY(SELECT id FROM by_uuid ORDER BY 1), ARRAY(SELECT id FROM by_bigint ORDER BY 1);
BEGIN;
SELECT tenancy.set_tenant('17');
EXECUTE ids;
INSERT INTO by_bigint (id) VALUES (21) RETURNING *;
ROLLBACK;
BEGIN;
SELECT tenancy.set_tenant('00000000-0000-0000-0000-000000000002');
EXECUTE ids;
COMMIT;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['18']);
EXECUTE ids;
COMMIT;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['18', '17', 'am-1', '019', '00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002']);
EXECUTE ids;
SELECT tenancy.current_scope_uuid(), tenancy.current_scope_bigint(), tenancy.current_scope_tenant();
INSERT INTO by_uuid VALUES (5, '00000000-0000-0000-0000-000000000001');
INSERT INTO by_uuid VALUES (5, '00000000-0000-0000-0000-000000000003');
ROLLBACK;
BEGIN;
SELECT tenancy.set_context(NULL, 'superadmin');
EXECUTE ids;
COMMIT;

RESET ROLE;
-- a filter of a scope of one is one call, of each type
CREATE FUNCTION pg_temp.filters(tables regclass[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    name regclass;
BEGIN
    FOREACH name IN ARRAY tables LOOP
        FOR line IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT id FROM %s', name) LOOP
            IF line ~ 'Filter|Cond' THEN
                RETURN NEXT name || ':' || line;
            END IF;
        END LOOP;
    END LOOP;
END $$;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SET enable_bitmapscan = off;
SET ROLE am_app;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['am-2']);
SELECT pg_temp.filters('{orders,by_uuid,by_bigint}');
PREPARE filtered AS SELECT count(*), min(tenant_id), max(tenant_id) FROM orders;
EXECUTE filtered;
COMMIT;
EXECUTE filtered;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['am-3']);
EXECUTE filtered;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('am-1');
EXECUTE filtered;
COMMIT;
SELECT tenancy.is_scope_tenant('am-1'::text) AS without_a_context;
BEGIN;
SELECT tenancy.set_context('am-1', 'admin', ARRAY['am-2', 'am-3']);
SELECT tenancy.is_scope_tenant('am-1'::text) AS one_of_three;
COMMIT;
BEGIN;
SELECT tenancy.set_context(NULL, 'superadmin');
SELECT tenancy.is_scope_tenant('am-1'::text) AS one_of_all;
COMMIT;
RESET ROLE;
-- a bitmap that an index has made for the scope is not asked again of its rows, whatever else the filter asks
SET enable_seqscan = off;
SET enable_bitmapscan = on;
SET ROLE am_app;
PREPARE by_bitmap AS SELECT count(*), min(tenant_id), max(tenant_id) FROM orders WHERE amount >= 0;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['am-2', 'am-3']);
EXPLAIN (COSTS OFF) EXECUTE by_bitmap;
EXECUTE by_bitmap;
-- another tenant's column is another question
EXPLAIN (COSTS OFF) SELECT id FROM orders WHERE tenancy.in_scope('am-2'::text);
COMMIT;
EXECUTE by_bitmap;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['am-3', 'am-4']);
EXECUTE by_bitmap;
COMMIT;
RESET ROLE;
RESET enable_seqscan;
RESET enable_bitmapscan;
RESET enable_indexscan;
RESET enable_indexonlyscan;
-- a uuid has no collation, and the index gives its order
CREATE INDEX ON by_uuid (tenant_id, id);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_sort = off;
SET ROLE am_app;
PREPARE newest_uuid AS SELECT id FROM by_uuid ORDER BY id DESC LIMIT 1;
BEGIN;
SELECT tenancy.set_tenant('00000000-0000-0000-0000-000000000002');
EXPLAIN (COSTS OFF) EXECUTE newest_uuid;
EXECUTE newest_uuid;
COMMIT;
RESET ROLE;
RESET enable_seqscan;
RESET enable_bitmapscan;
RESET enable_sort;
SET ROLE am_app;

--
-- Where nothing is planned
--
CREATE FUNCTION pg_temp.answers(classes text, OUT own boolean, OUT other boolean, OUT nobody boolean) LANGUAGE plpgsql AS $$
BEGIN
    own := tenancy.can('am-1', classes);
    other := tenancy.can('am-4', classes);
    nobody := tenancy.can(NULL::text, classes);
END $$;
CREATE FUNCTION pg_temp.all_answers(OUT classes text, OUT own boolean, OUT other boolean, OUT nobody boolean) RETURNS SETOF record LANGUAGE sql AS
    $$ SELECT c, (pg_temp.answers(c)).* FROM unnest(ARRAY['', 'client', 'admin', 'superadmin', 'client,admin  superadmin', NULL]) c $$;
SELECT * FROM pg_temp.all_answers();
BEGIN;
SELECT tenancy.set_tenant('am-1');
SELECT * FROM pg_temp.all_answers();
COMMIT;
BEGIN;
SELECT tenancy.set_context('am-1', 'admin', ARRAY['@north']);
SELECT * FROM pg_temp.all_answers();
COMMIT;
BEGIN;
SELECT tenancy.set_context(NULL, 'superadmin');
SELECT * FROM pg_temp.all_answers();
COMMIT;
RESET ROLE;

--
-- What is refused
--
SELECT tenancy.declare_access('orders', 'owner', 'read');
\echo :SQLSTATE
SELECT tenancy.declare_access('orders', 'admin', 'write');
\echo :SQLSTATE
SELECT tenancy.declare_access('orders', NULL, 'read');
\echo :SQLSTATE
SELECT tenancy.declare_access(1::regclass, 'admin', 'read');
\echo :SQLSTATE
SELECT tenancy.can('am-1', 'client, owner');
\echo :SQLSTATE
SET ROLE am_owner;
SELECT tenancy.declare_access('orders', 'admin', 'read-write');
\echo :SQLSTATE
RESET ROLE;
ALTER TABLE orders OWNER TO am_owner;
SET ROLE am_owner;
SELECT tenancy.declare_access('orders', 'admin', 'read-write');
SELECT * FROM tenancy.access_rules;
RESET ROLE;
SELECT tenancy.unprotect('orders');
SELECT polname FROM pg_policy WHERE polrelid = 'orders'::regclass;

\c :start_database
DROP DATABASE access_matrix_test;
DROP ROLE am_app, am_owner, tenant_am_1, tenant_am_2, tenant_am_3, tenant_am_4, tenant_17, tenant_18, tenant_019,
    tenant_00000000_0000_0000_0000_000000000001, tenant_00000000_0000_0000_0000_000000000002;
