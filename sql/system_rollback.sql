--
-- system_rollback: the way back, what it would lose, and archives.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE system_rollback_test;
\c system_rollback_test
CREATE EXTENSION tenancy;
SELECT tenancy.create_tenant('rb-1', 'One');
SELECT tenancy.register_system('shop', 'Shop', 'shop', 'us');
SELECT tenancy.register_version('shop', v, 'CREATE TABLE item (id integer PRIMARY KEY, name text, size bigint)')
  FROM unnest(ARRAY['1.0.0', '1.1.0']) v;
SELECT tenancy.register_migration('shop', '1.0.0', '1.1.0', $$
ALTER TABLE item ADD COLUMN price numeric;
CREATE TABLE sale (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item_id integer REFERENCES item, note text);
CREATE TABLE refund (sale_id integer PRIMARY KEY REFERENCES sale);
CREATE TABLE visit (at date NOT NULL, who text) PARTITION BY RANGE (at);
CREATE TABLE visit_2026 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
$$, $$
DROP TABLE visit;
DROP TABLE refund, sale;
ALTER TABLE item DROP COLUMN price;
$$);
SELECT tenancy.install_system('rb-1', 'shop', '1.0.0');

-- what is empty is no loss
SELECT tenancy.update_system('rb-1', 'shop');
INSERT INTO tenant_rb_1_shop.item (id, name) VALUES (1, 'one'), (2, 'two'), (3, 'three');
SELECT tenancy.rollback_system('rb-1', 'shop', '1.0.0');
SELECT version FROM tenancy.installed_systems;
SELECT to_regclass('tenant_rb_1_shop.sale') IS NULL AS gone, count(*) FROM tenant_rb_1_shop.item;
SELECT count(*) FROM tenancy.archives;

-- what holds something is: nothing has changed
SELECT tenancy.update_system('rb-1', 'shop');
UPDATE tenant_rb_1_shop.item SET price = id * 10 WHERE id > 1;
INSERT INTO tenant_rb_1_shop.sale (item_id, note) SELECT id, repeat(id::text, 5000) FROM tenant_rb_1_shop.item;
INSERT INTO tenant_rb_1_shop.refund VALUES (2);
INSERT INTO tenant_rb_1_shop.visit VALUES ('2026-05-05', 'me');
SELECT tenancy.rollback_system('rb-1', 'shop', '1.0.0');
\echo :SQLSTATE
SELECT version FROM tenancy.installed_systems;
SELECT count(*) FROM tenant_rb_1_shop.sale;

-- by force it is archived first
SELECT tenancy.rollback_system('rb-1', 'shop', '1.0.0', force => true);
SELECT archive_id, tenant_id, system_id, version_id, reason, schema_name, original_schema, expires_at - archived_at AS kept FROM tenancy.archives;
SELECT table_name, column_names, key_names, row_count FROM tenancy.archived_tables ORDER BY 1;
SELECT id, price FROM tenancy_archive_1.item ORDER BY 1;
SELECT direction, version_from, version_to FROM tenancy.tenant_system_history ORDER BY history_id;
-- nobody but its owner may look
SELECT nspowner::regrole = current_user::regrole AS ours, nspacl FROM pg_namespace WHERE nspname = 'tenancy_archive_1';
-- it comes back where there is room for it
SELECT tenancy.restore_archive(1);
\echo :SQLSTATE
SELECT tenancy.update_system('rb-1', 'shop');
SELECT tenancy.restore_archive(1);
SELECT id, price FROM tenant_rb_1_shop.item ORDER BY 1;
SELECT s.id, item_id, length(note), r.sale_id FROM tenant_rb_1_shop.sale s LEFT JOIN tenant_rb_1_shop.refund r ON r.sale_id = s.id ORDER BY 1;
SELECT * FROM tenant_rb_1_shop.visit;
SELECT restored_at IS NOT NULL AS restored FROM tenancy.archives;
-- past its deadline it goes
SELECT tenancy.purge_archives();
UPDATE tenancy.archives SET expires_at = now();
SELECT tenancy.purge_archives();
SELECT to_regnamespace('tenancy_archive_1') IS NULL AS gone;
SELECT tenancy.restore_archive(1);
\echo :SQLSTATE
SELECT tenancy.restore_archive(404);

--
-- However it is taken away
--
TRUNCATE tenant_rb_1_shop.refund, tenant_rb_1_shop.sale, tenant_rb_1_shop.visit;
CREATE TABLE way (n integer GENERATED ALWAYS AS IDENTITY, script text);
INSERT INTO way (script) VALUES
    ('SELECT 1'),
    ('CREATE TABLE t (id integer); INSERT INTO t VALUES (1); DELETE FROM t; UPDATE t SET id = 2; TRUNCATE t; DROP TABLE t'),
    ('ALTER TABLE item ADD COLUMN x integer; UPDATE item SET x = 1; ALTER TABLE item DROP COLUMN x'),
    ('DROP TABLE sale CASCADE'),
    ('ALTER TABLE item ALTER COLUMN size TYPE integer'),
    ('ALTER TABLE item ALTER COLUMN name TYPE varchar(100)'),
    ('ALTER TABLE item ALTER COLUMN price TYPE double precision'),
    ('CREATE INDEX ON item (name); DROP INDEX item_name_idx; ALTER TABLE item ALTER COLUMN name SET NOT NULL'),
    ('INSERT INTO item (id, name) VALUES (4, ''four'')'),
    -- losses from here on
    ('ALTER TABLE item DROP COLUMN name'),
    ('DROP TABLE item CASCADE'),
    ('ALTER TABLE item RENAME TO harmless; DROP TABLE harmless CASCADE'),
    ('DO $do$ BEGIN EXECUTE ''DROP TA'' || ''BLE item CASCADE''; END $do$'),
    ('DROP SCHEMA @schema@ CASCADE'),
    ('TRUNCATE item CASCADE'),
    ('DELETE FROM item'),
    ('WITH gone AS (DELETE FROM item RETURNING *) SELECT count(*) FROM gone'),
    ('UPDATE item SET name = NULL'),
    ('INSERT INTO item VALUES (1) ON CONFLICT (id) DO UPDATE SET name = NULL'),
    ('MERGE INTO item USING (VALUES (1)) v(id) ON v.id = item.id WHEN MATCHED THEN DELETE'),
    ('ALTER TABLE item ALTER COLUMN price TYPE integer'),
    ('ALTER TABLE item ALTER COLUMN name TYPE integer USING length(name)'),
    ('ALTER TABLE item RENAME COLUMN name TO n; ALTER TABLE item DROP COLUMN n'),
    ('CREATE TABLE copy AS SELECT id FROM item; DROP TABLE item CASCADE; ALTER TABLE copy RENAME TO item');
SELECT tenancy.register_version('shop', '1.1.' || n, 'CREATE TABLE item (id integer)') IS NOT NULL AS v,
       tenancy.register_migration('shop', '1.1.0', '1.1.' || n, 'SELECT 1', script) IS NOT NULL AS m
  FROM way ORDER BY n;
CREATE FUNCTION outcome(n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM tenancy.update_system('rb-1', 'shop', '1.1.' || n);
    PERFORM tenancy.rollback_system('rb-1', 'shop', '1.1.0');
    RAISE SQLSTATE 'OK000';
EXCEPTION
    WHEN SQLSTATE 'OK000' THEN
        RETURN 'goes';
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
        RETURN SQLSTATE || ' ' || detail;
END $$;
SET client_min_messages = warning;
SELECT script, outcome(n) FROM way ORDER BY n;

-- each of them can be forced, and what it took comes back
CREATE FUNCTION forced(n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before text := (SELECT string_agg(i::text, ' ' ORDER BY id) FROM tenant_rb_1_shop.item i);
    after text;
BEGIN
    PERFORM tenancy.update_system('rb-1', 'shop', '1.1.' || n);
    PERFORM tenancy.rollback_system('rb-1', 'shop', '1.1.0', true);
    PERFORM tenancy.restore_archive((SELECT max(archive_id) FROM tenancy.archives));
    after := (SELECT string_agg(i::text, ' ' ORDER BY id) FROM tenant_rb_1_shop.item i);
    RAISE SQLSTATE 'OK000' USING MESSAGE = CASE WHEN after = before THEN 'the same' ELSE after END;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END $$;
SELECT script, forced(n) FROM way WHERE script ~ '^(TRUNCATE|DELETE|WITH|UPDATE|INSERT INTO item VALUES|MERGE|DROP SCHEMA)' ORDER BY n;
RESET client_min_messages;

-- never what is not the tenant's own
CREATE TABLE public.precious (id integer);
ALTER TABLE public.precious OWNER TO tenancy_owner;
INSERT INTO public.precious VALUES (1);
SELECT tenancy.register_version('shop', '1.2.0', 'CREATE TABLE item (id integer)');
SELECT tenancy.register_migration('shop', '1.1.0', '1.2.0', 'SELECT 1', 'DROP TABLE public.precious');
SELECT tenancy.update_system('rb-1', 'shop', '1.2.0');
SELECT tenancy.rollback_system('rb-1', 'shop', '1.1.0', force => true);
\echo :SQLSTATE
SELECT count(*) FROM public.precious;

-- a way back that fails leaves everything
SELECT tenancy.register_version('shop', '1.3.0', 'CREATE TABLE item (id integer)');
SELECT tenancy.register_migration('shop', '1.2.0', '1.3.0', 'SELECT 1', 'DELETE FROM item; SELECT 1 / 0');
SELECT tenancy.update_system('rb-1', 'shop', '1.3.0');
SELECT tenancy.rollback_system('rb-1', 'shop', '1.2.0', force => true);
SELECT version, (SELECT count(*) FROM tenant_rb_1_shop.item) FROM tenancy.installed_systems;

-- what has failed leaves no watch behind: a session's own statements are nobody's loss
SELECT tenancy.rollback_system('rb-1', 'shop', '1.2.0');
DELETE FROM tenant_rb_1_shop.item WHERE id = 1;
DROP TABLE public.precious;

\c :start_database
DROP DATABASE system_rollback_test;
DROP ROLE tenant_rb_1;
