--
-- policy_plan: what plans ask of the context for each row.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE policy_plan_test TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';
\c policy_plan_test
CREATE EXTENSION tenancy;
SELECT count(tenancy.create_tenant(t, 'Tenant')) FROM unnest(ARRAY['pp-1', 'pp-2', '00000000-0000-0000-0000-0000000000a1', '71']) t;
CREATE ROLE pp_app IN ROLE tenancy_service;
CREATE TABLE texts (tenant_id varchar(50), n integer);
CREATE TABLE uuids (tenant_id uuid, n integer);
CREATE TABLE numbers (tenant_id bigint, n integer);
SELECT tenancy.protect(t) FROM unnest('{texts,uuids,numbers}'::regclass[]) t;
INSERT INTO texts VALUES ('pp-1', 1), ('pp-2', 2), (NULL, 3);
INSERT INTO uuids VALUES ('00000000-0000-0000-0000-0000000000a1', 1), ('00000000-0000-0000-0000-0000000000a2', 2), (NULL, 3);
INSERT INTO numbers VALUES (71, 1), (72, 2), (NULL, 3);
GRANT ALL ON texts, uuids, numbers TO pp_app;

--
-- Filters
--
SET ROLE pp_app;
SET enable_bitmapscan = off;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM texts WHERE n > 0;
EXPLAIN (COSTS OFF) SELECT * FROM uuids;
EXPLAIN (COSTS OFF) SELECT * FROM numbers;
-- the context is asked when the plan runs
PREPARE all_three AS SELECT (SELECT array_agg(n) FROM texts), (SELECT array_agg(n) FROM uuids), (SELECT array_agg(n) FROM numbers);
EXECUTE all_three;
BEGIN;
SELECT tenancy.set_tenant('pp-1');
EXECUTE all_three;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('pp-2');
EXECUTE all_three;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('00000000-0000-0000-0000-0000000000a1');
EXECUTE all_three;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('71');
EXECUTE all_three;
COMMIT;
EXECUTE all_three;
RESET ROLE;
SET tenancy.strict = on;
SET ROLE pp_app;
EXECUTE all_three;
RESET ROLE;
RESET tenancy.strict;
-- either way round, in a subquery and in a UNION; not what compares otherwise
EXPLAIN (COSTS OFF) SELECT FROM texts WHERE tenancy.current_tenant() = tenant_id UNION ALL SELECT FROM texts WHERE tenant_id <> tenancy.current_tenant();
EXPLAIN (COSTS OFF) SELECT (SELECT count(*) FROM uuids u WHERE u.tenant_id = tenancy.current_tenant_uuid() AND u.n = t.n) FROM texts t;
-- nor where a collation takes two tenants for one
-- as ICU's may be, which not every server is built with
CREATE COLLATION pp_ignores_case (provider = libc, locale = 'C.UTF-8');
UPDATE pg_collation SET collisdeterministic = false WHERE collname = 'pp_ignores_case';
EXPLAIN (COSTS OFF) SELECT FROM texts WHERE tenant_id COLLATE pp_ignores_case = tenancy.current_tenant();
EXPLAIN (COSTS OFF) SELECT FROM texts WHERE tenant_id COLLATE "C" = tenancy.current_tenant();
SELECT tenancy.is_current_tenant('pp-1'), tenancy.is_current_tenant(NULL::uuid), tenancy.is_current_tenant(71);
-- an index condition stays
CREATE INDEX ON texts (tenant_id, n);
SET enable_seqscan = off;
RESET enable_indexscan;
EXPLAIN (COSTS OFF) SELECT tenant_id, n, ctid FROM texts WHERE tenant_id = tenancy.current_tenant() ORDER BY n DESC LIMIT 1;
RESET enable_seqscan;
RESET enable_bitmapscan;
RESET enable_indexonlyscan;

--
-- Checks: those that are there twice are made once, and no other is left out
--
SET ROLE pp_app;
BEGIN;
SELECT tenancy.set_tenant('pp-1');
SAVEPOINT s;
INSERT INTO texts VALUES ('pp-1', 4) RETURNING *;
UPDATE texts SET n = n + 10 WHERE n > 0 RETURNING *;
INSERT INTO texts VALUES ('pp-2', 5);
ROLLBACK TO s;
INSERT INTO texts VALUES (NULL, 5);
ROLLBACK TO s;
UPDATE texts SET tenant_id = 'pp-2' RETURNING *;
ROLLBACK TO s;
MERGE INTO texts t USING (VALUES (1), (6)) v(n) ON t.n = v.n WHEN MATCHED THEN UPDATE SET tenant_id = 'pp-2' WHEN NOT MATCHED THEN INSERT VALUES ('pp-1', v.n);
ROLLBACK TO s;
INSERT INTO uuids VALUES ('00000000-0000-0000-0000-0000000000a1', 4);
ROLLBACK;
RESET ROLE;
CREATE POLICY small ON texts AS RESTRICTIVE USING (n < 100) WITH CHECK (n < 50);
SET ROLE pp_app;
BEGIN;
SELECT tenancy.set_tenant('pp-1');
SAVEPOINT s;
INSERT INTO texts VALUES ('pp-1', 50);
ROLLBACK TO s;
UPDATE texts SET n = 50;
ROLLBACK TO s;
INSERT INTO texts VALUES ('pp-1', 49);
ROLLBACK;
RESET ROLE;

--
-- The index that leads with the tenant, where the key alone would do
--
CREATE TABLE items (id bigint PRIMARY KEY, tenant_id bigint NOT NULL, n integer);
INSERT INTO items SELECT g, 71 + g % 10, g FROM generate_series(1, 20000) g;
CREATE INDEX items_by_tenant ON items (tenant_id, id);
VACUUM ANALYZE items;
SELECT tenancy.protect('items');
GRANT SELECT ON items TO pp_app;
SET ROLE pp_app;
BEGIN;
SELECT tenancy.set_tenant('71');
EXPLAIN (COSTS OFF) SELECT n FROM items WHERE id = 10;
EXPLAIN (COSTS OFF) SELECT n FROM items ORDER BY id DESC LIMIT 100;
ROLLBACK;
RESET ROLE;

--
-- Without the extension, and with it again
--
SET client_min_messages = warning;
DROP EXTENSION tenancy CASCADE;
RESET client_min_messages;
EXPLAIN (COSTS OFF) SELECT * FROM texts WHERE n > 0;
CREATE EXTENSION tenancy;
EXPLAIN (COSTS OFF) SELECT FROM texts WHERE tenant_id = tenancy.current_tenant() AND n > 0;

\c :start_database
DROP DATABASE policy_plan_test;
DROP ROLE pp_app, tenant_pp_1, tenant_pp_2, tenant_71, tenant_00000000_0000_0000_0000_0000000000a1;
