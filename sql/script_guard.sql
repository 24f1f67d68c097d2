--
-- script_guard: what a system's script cannot reach.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE script_guard_test;
\c script_guard_test
CREATE EXTENSION tenancy;
REVOKE CONNECT ON DATABASE script_guard_test FROM PUBLIC, tenancy_worker;
SELECT tenancy.create_tenant('guard-1', 'One'), tenancy.create_tenant('guard-2', 'Two');
SELECT tenancy.register_system('base', 'Base', 'base', 'us'), tenancy.register_system('evil', 'Evil', 'evil', 'somebody');
SELECT tenancy.register_version('base', '1.0.0', $$
CREATE TABLE item (id integer PRIMARY KEY, name text DEFAULT 'new', price numeric);
CREATE INDEX item_price ON item (price);
CREATE VIEW items WITH (security_invoker = true) AS SELECT name FROM item;
CREATE FUNCTION price() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE SEQUENCE numbers;
CREATE TABLE parts (id integer NOT NULL, note text) PARTITION BY LIST (id);
INSERT INTO item VALUES (1, @tenant@);
$$);
SELECT tenancy.install_system('guard-1', 'base'), tenancy.install_system('guard-2', 'base');

-- Runs a script for the first tenant, and says how it ended.
CREATE FUNCTION attempt(script text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM tenancy.register_version('evil', '1.0.0', 'CREATE TABLE own (id integer PRIMARY KEY, note text); ' || script);
    PERFORM tenancy.install_system('guard-1', 'evil');
    RAISE EXCEPTION 'undo' USING ERRCODE = 'TT000';
EXCEPTION
    WHEN SQLSTATE 'TT000' THEN
        RETURN 'done';
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
        RETURN format('%s: %s. %s', SQLSTATE, SQLERRM, detail);
END $$;

--
-- Another tenant's tables, and what belongs to them
--
SELECT attempt('CREATE INDEX ON tenant_guard_2_base.item (name)');
SELECT attempt('CREATE UNIQUE INDEX ON tenant_guard_2_base.item ((1))');
SELECT attempt('DROP INDEX tenant_guard_2_base.item_price');
SELECT attempt('ALTER TABLE tenant_guard_2_base.item ADD CHECK (false) NOT VALID');
SELECT attempt('ALTER TABLE tenant_guard_2_base.item ALTER COLUMN name SET DEFAULT ''HACKED''');
SELECT attempt('ALTER TABLE tenant_guard_2_base.item ALTER COLUMN name DROP DEFAULT');
SELECT attempt('ALTER TABLE tenant_guard_2_base.item RENAME COLUMN name TO gone');
SELECT attempt('ALTER TABLE own ADD FOREIGN KEY (id) REFERENCES tenant_guard_2_base.item');
SELECT attempt('CREATE TABLE child () INHERITS (tenant_guard_2_base.item)');
SELECT attempt('CREATE TABLE child (LIKE tenant_guard_2_base.item); ALTER TABLE child INHERIT tenant_guard_2_base.item');
SELECT attempt('ALTER TABLE tenant_guard_2_base.parts ATTACH PARTITION own DEFAULT');
SELECT attempt('CREATE TABLE part PARTITION OF tenant_guard_2_base.parts DEFAULT');

--
-- The rest of another tenant's schema
--
SELECT attempt('CREATE TABLE tenant_guard_2_base.own (id integer)');
SELECT attempt('CREATE OR REPLACE VIEW tenant_guard_2_base.items AS SELECT ''HACKED'' AS name');
SELECT attempt('DROP VIEW tenant_guard_2_base.items');
SELECT attempt('CREATE OR REPLACE FUNCTION tenant_guard_2_base.price() RETURNS integer LANGUAGE sql AS ''SELECT 2''');
SELECT attempt('DROP FUNCTION tenant_guard_2_base.price()');
SELECT attempt('ALTER FUNCTION tenant_guard_2_base.price() SECURITY DEFINER');
SELECT attempt('CREATE FUNCTION tenant_guard_2_base.more() RETURNS integer LANGUAGE sql AS ''SELECT 2''');
SELECT attempt('ALTER SEQUENCE tenant_guard_2_base.numbers RESTART 7');
SELECT attempt('DROP SEQUENCE tenant_guard_2_base.numbers');
SELECT attempt('CREATE DOMAIN tenant_guard_2_base.name AS text');
SELECT attempt('ALTER SCHEMA tenant_guard_2_base RENAME TO gone');
SELECT attempt('ALTER TABLE own SET SCHEMA tenant_guard_2_base');
SELECT attempt('REVOKE ALL ON tenant_guard_2_base.item FROM tenancy_service, tenant_guard_2');
SELECT attempt('REVOKE ALL ON SCHEMA tenant_guard_2_base FROM tenant_guard_2');
SELECT attempt('GRANT TRIGGER ON ALL TABLES IN SCHEMA tenant_guard_2_base TO tenant_guard_1');
SELECT attempt('ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO tenant_guard_1');
SELECT attempt('ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO tenant_guard_1');
SELECT attempt('ALTER DEFAULT PRIVILEGES IN SCHEMA tenant_guard_2_base GRANT ALL ON TABLES TO tenant_guard_1');

-- its own, and those of its tenant
SELECT attempt('CREATE INDEX ON own (note); CREATE UNIQUE INDEX own_note ON own (note); DROP INDEX own_note; ALTER TABLE own ADD CHECK (id > 0), ALTER note SET DEFAULT ''x''');
SELECT attempt('CREATE TABLE other (id integer REFERENCES own, note text DEFAULT ''x''); CREATE VIEW v AS SELECT * FROM own; CREATE OR REPLACE VIEW v AS SELECT * FROM own; CREATE DOMAIN d AS text; CREATE SEQUENCE s; DROP SEQUENCE s');
SELECT attempt('ALTER TABLE own ADD FOREIGN KEY (id) REFERENCES tenant_guard_1_base.item; CREATE INDEX ON tenant_guard_1_base.item (name); CREATE OR REPLACE VIEW tenant_guard_1_base.items WITH (security_invoker = true) AS SELECT name || '''' AS name FROM tenant_guard_1_base.item');
SELECT attempt('ALTER DEFAULT PRIVILEGES IN SCHEMA @schema@ GRANT SELECT ON TABLES TO pg_monitor; GRANT SELECT ON own TO pg_monitor');

--
-- The session that runs it
--
SELECT attempt('PREPARE s1 AS SELECT 1');
SELECT attempt('DEALLOCATE ALL');
SELECT attempt('DISCARD TEMP');
SELECT attempt('LISTEN here');
SELECT attempt('UNLISTEN *');
SELECT attempt('DECLARE later CURSOR WITH HOLD FOR SELECT 1');
SELECT attempt($$ DO 'BEGIN EXECUTE ''PREPARE s1 AS SELECT 1''; END' $$);
-- a deferred trigger that puts itself off again
SELECT attempt($$
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN IF NEW.id < 9 THEN SET CONSTRAINTS ALL DEFERRED; INSERT INTO @schema@.own VALUES (NEW.id + 1); END IF; RETURN NULL; END';
CREATE CONSTRAINT TRIGGER again AFTER INSERT ON own DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION again();
INSERT INTO own VALUES (1);
$$);
SELECT attempt($$
CREATE TABLE a (id integer PRIMARY KEY, b integer);
CREATE TABLE b (id integer PRIMARY KEY REFERENCES a);
ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED;
INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1); SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;
$$);

--
-- One script at a time; the one that tried is over, and so is its tenant
--
GRANT EXECUTE ON FUNCTION tenancy.install_system TO tenancy_owner;
GRANT USAGE ON SCHEMA tenancy TO tenancy_owner;
SELECT tenancy.register_system('more', 'More', 'more', 'somebody');
SELECT tenancy.register_version('more', '1.0.0', 'CREATE TABLE t (id integer)');
SELECT attempt($$ SELECT tenancy.install_system('guard-2', 'more') $$);
SELECT attempt($$ DO 'BEGIN PERFORM tenancy.install_system(''guard-2'', ''more''); EXCEPTION WHEN OTHERS THEN RAISE NOTICE ''% as %'', SQLERRM, tenancy.current_tenant(); END'; CREATE INDEX ON tenant_guard_2_base.item (name) $$);
SELECT tenancy.current_tenant(), current_user = session_user AS myself;
CREATE INDEX ON tenant_guard_2_base.item (name);
SELECT tenancy.install_system('guard-2', 'more');

--
-- A function that a script has left acts within the same bounds, for whoever calls it
--
SELECT tenancy.register_version('evil', '2.0.0', $$
CREATE TABLE own (id serial PRIMARY KEY, note text);
CREATE FUNCTION act(statement text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE statement; RETURN ''done''; END';
$$);
SELECT tenancy.install_system('guard-1', 'evil', '2.0.0');
CREATE ROLE sg_app IN ROLE tenancy_service;
CREATE FUNCTION call(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    detail text;
BEGIN
    SELECT tenant_guard_1_evil.act(statement) INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN format('%s: %s. %s', SQLSTATE, SQLERRM, detail);
END $$;
GRANT USAGE ON SCHEMA public TO sg_app;
SET SESSION AUTHORIZATION sg_app;
BEGIN;
SELECT tenancy.set_tenant('guard-1');
SELECT call('CREATE OR REPLACE FUNCTION tenant_guard_2_base.price() RETURNS integer LANGUAGE sql AS ''SELECT 2''');
SELECT call('DROP VIEW tenant_guard_2_base.items');
SELECT call('CREATE TABLE tenant_guard_2_base.own (id integer)');
SELECT call('GRANT ALL ON ALL TABLES IN SCHEMA tenant_guard_2_base TO tenant_guard_1');
SELECT call('ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO tenant_guard_1');
SELECT call('ALTER SEQUENCE tenant_guard_2_base.numbers RESTART 7');
SELECT call('SELECT setval(''tenant_guard_2_base.numbers'', 7)');
SELECT call('SELECT last_value FROM tenant_guard_2_base.numbers');
SELECT call('SELECT * FROM tenant_guard_2_base.items');
-- and does what it is for
SELECT call('INSERT INTO tenant_guard_1_evil.own (note) SELECT name FROM tenant_guard_1_base.items');
SELECT call('SELECT tenant_guard_1_base.price()');
SELECT call('ALTER TABLE tenant_guard_1_evil.own ADD more text; CREATE INDEX ON tenant_guard_1_evil.own (more); GRANT SELECT ON tenant_guard_1_evil.own TO pg_monitor');
SELECT call('PREPARE guard_1 AS SELECT 1; DEALLOCATE guard_1');
ROLLBACK;
-- with no tenant there is nothing that it may change
SELECT call('ALTER TABLE tenant_guard_2_base.item DISABLE ROW LEVEL SECURITY');
SELECT call('TRUNCATE tenant_guard_2_base.item');
SELECT call('DROP VIEW tenant_guard_1_base.items');
RESET SESSION AUTHORIZATION;
-- a superuser's own affair
SELECT call('ALTER SEQUENCE tenant_guard_2_base.numbers RESTART 7');
DROP OWNED BY sg_app;
DROP ROLE sg_app;

--
-- A spare is looked at and bound with the rights of its script
--
CREATE FUNCTION public.tell() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'as %, %', current_user, regexp_replace(coalesce(tenancy.current_tenant(), 'nobody'), '[0-9a-f]{16}', 'N');
    RETURN true;
END $$;
SELECT tenancy.register_version('more', '2.0.0', $$
CREATE TABLE t (id integer, owner text CHECK (public.tell()));
INSERT INTO t VALUES (1, @tenant@);
$$);
SELECT tenancy.set_pool_size('more', 1);
SELECT action FROM tenancy.refill_pool();
SELECT version, state, error FROM tenancy.stat_pool;
SELECT tenancy.install_system('guard-1', 'more');
SELECT tenancy.current_tenant(), current_user = session_user AS myself;

-- an attempt that is cancelled is no reason to refuse the version
CREATE OR REPLACE FUNCTION public.tell() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF tenancy.current_tenant() = 'trial' THEN
        RAISE EXCEPTION 'cancelled for a test' USING ERRCODE = 'query_canceled';
    END IF;
    RETURN true;
END $$;
SELECT tenancy.refill_pool();
\echo :SQLSTATE
SELECT state, error FROM tenancy.stat_pool;
SELECT tenancy.current_tenant(), current_user = session_user AS myself;
CREATE OR REPLACE FUNCTION public.tell() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF tenancy.current_tenant() = 'trial' THEN
        RAISE EXCEPTION 'full for a test' USING ERRCODE = 'disk_full';
    END IF;
    RETURN true;
END $$;
SELECT action FROM tenancy.refill_pool();
SELECT state, error FROM tenancy.stat_pool;

\c :start_database
DROP DATABASE script_guard_test;
DROP ROLE tenant_guard_1, tenant_guard_2;
