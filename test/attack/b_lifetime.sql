--
-- B: lifetime.  The context ends, changes or is taken away; what somebody has kept from before goes on serving rows.
--

--: B01 a local context ends with COMMIT
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
COMMIT;
--: look
SELECT note FROM shop.orders;

--: B02 a local context ends with ROLLBACK, and with an error
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
ROLLBACK;
--: look
SELECT note FROM shop.orders;
BEGIN;
SELECT tenancy.set_tenant('globex'), 1 / 0;
ROLLBACK;
SELECT note FROM shop.orders;

--: B03 the session's context of the request before serves the next one, which sets its own
--: as service
SELECT tenancy.set_tenant('globex', false);
--: look
BEGIN;
SAVEPOINT one;
SELECT tenancy.set_tenant('acme');
ROLLBACK TO one;
SELECT tenancy.set_tenant('acme', false);
SELECT note FROM shop.orders;
COMMIT;

--: B04 the session's context of the request before serves the next one, which sets none
-- A service that sets the tenant for the session, on a connection that a pooler hands to somebody else.
--: report TI704 service
--: as service
SELECT tenancy.set_tenant('globex', false);
--: look
SELECT note FROM shop.orders;

--: B05 clear_tenant() is rolled back and the tenant is in force again
--: as service
SELECT tenancy.set_tenant('acme', false);
BEGIN;
SELECT tenancy.clear_tenant();
SELECT tenancy.set_tenant('globex', false);
ROLLBACK;
--: look
SELECT note FROM shop.orders;

--: B06 a session's context, set in a transaction that fails at its very end
--: as dba
CREATE TABLE shop.deferred (id integer PRIMARY KEY, other integer REFERENCES shop.deferred DEFERRABLE INITIALLY DEFERRED);
GRANT ALL ON shop.deferred TO service;
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex', false);
INSERT INTO shop.deferred VALUES (1, 2);
COMMIT;
--: look
SELECT note FROM shop.orders;

--: B07 DISCARD ALL leaves the session's context
--: as service
SELECT tenancy.set_tenant('globex', false);
DISCARD ALL;
--: look
SELECT note FROM shop.orders;

--: B08 a cursor WITH HOLD, fetched by the next tenant
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
DECLARE held CURSOR WITH HOLD FOR SELECT note FROM shop.orders;
COMMIT;
--: look
BEGIN;
SELECT tenancy.set_tenant('acme');
FETCH ALL FROM held;
COMMIT;

--: B09 a cursor WITH HOLD, fetched without a tenant
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
DECLARE held CURSOR WITH HOLD FOR SELECT note FROM shop.orders;
COMMIT;
--: look
FETCH ALL FROM held;

--: B10 an open cursor, fetched after the tenant was cleared
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
DECLARE opened CURSOR FOR SELECT note FROM shop.orders;
FETCH 1 FROM opened;
--: look
SELECT tenancy.clear_tenant();
FETCH ALL FROM opened;
COMMIT;

--: B11 an open cursor whose rows were sorted before the tenant was cleared
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
DECLARE opened CURSOR FOR SELECT note FROM shop.orders ORDER BY note;
FETCH 1 FROM opened;
--: look
SELECT tenancy.clear_tenant();
FETCH ALL FROM opened;
COMMIT;

--: B12 an open cursor, declared before there was a tenant
--: as service
BEGIN;
DECLARE opened CURSOR FOR SELECT note FROM shop.orders;
FETCH 1 FROM opened;
SELECT tenancy.set_tenant('acme');
--: look
FETCH ALL FROM opened;
COMMIT;

--: B13 a generic plan of the tenant before
--: as service
SET plan_cache_mode = force_generic_plan;
PREPARE all_orders AS SELECT note FROM shop.orders;
PREPARE one_event AS SELECT note FROM shop.events WHERE id = $1;
BEGIN; SELECT tenancy.set_tenant('globex'); EXECUTE all_orders; EXECUTE one_event(1); COMMIT;
--: look
BEGIN; SELECT tenancy.set_tenant('acme'); EXECUTE all_orders; EXECUTE one_event(1); COMMIT;
EXECUTE all_orders;
EXECUTE one_event(1);

--: B14 a custom plan that becomes generic at the sixth time
--: as service
PREPARE one_order(bigint) AS SELECT note FROM shop.orders WHERE id = $1;
BEGIN; SELECT tenancy.set_tenant('globex'); EXECUTE one_order(2); EXECUTE one_order(2); EXECUTE one_order(2); COMMIT;
BEGIN; SELECT tenancy.set_tenant('globex'); EXECUTE one_order(2); EXECUTE one_order(2); EXECUTE one_order(2); COMMIT;
--: look
BEGIN; SELECT tenancy.set_tenant('acme'); EXECUTE one_order(2); COMMIT;
EXECUTE one_order(2);

--: B15 the cached plans of a PL/pgSQL function
--: as service
CREATE FUNCTION pg_temp.orders() RETURNS SETOF text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY SELECT note FROM shop.orders WHERE id > 0;
END $$;
BEGIN; SELECT tenancy.set_tenant('globex'); SELECT count(pg_temp.orders()) FROM generate_series(1, 10); COMMIT;
--: look
BEGIN; SELECT tenancy.set_tenant('acme'); SELECT pg_temp.orders(); COMMIT;
SELECT pg_temp.orders();

--: B16 simple expressions of PL/pgSQL, evaluated once and kept
--: as service
CREATE FUNCTION pg_temp.who() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    mine text := tenancy.current_tenant();
BEGIN
    RETURN (SELECT string_agg(note, ' ') FROM shop.orders WHERE tenant_id = mine);
END $$;
BEGIN; SELECT tenancy.set_tenant('globex'); SELECT length(pg_temp.who()); COMMIT;
--: look
BEGIN; SELECT tenancy.set_tenant('acme'); SELECT pg_temp.who(); COMMIT;

--: B17 a function that calls itself immutable, folded into a kept plan
--: as service
CREATE FUNCTION pg_temp.mine() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT tenancy.current_tenant() $$;
SET plan_cache_mode = force_generic_plan;
PREPARE my_orders AS SELECT note FROM shop.orders WHERE tenant_id = pg_temp.mine();
BEGIN; SELECT tenancy.set_tenant('globex'); EXECUTE my_orders; COMMIT;
--: look
BEGIN; SELECT tenancy.set_tenant('acme'); EXECUTE my_orders; COMMIT;

--: B18 a loop over a query that goes on behind COMMIT and another set_tenant()
--: as service
CREATE PROCEDURE pg_temp.mix() LANGUAGE plpgsql AS $$
DECLARE
    line record;
BEGIN
    PERFORM tenancy.set_tenant('globex');
    FOR line IN SELECT note FROM shop.orders LOOP
        COMMIT;
        PERFORM tenancy.set_tenant('acme');
        RAISE NOTICE '% sees %', tenancy.current_tenant(), line.note;
    END LOOP;
END $$;
--: look
CALL pg_temp.mix();

--: B19 a procedure commits, and its local tenant with it
--: as service
CREATE PROCEDURE pg_temp.commits() LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tenancy.set_tenant('globex');
    COMMIT;
    RAISE NOTICE 'then: %', (SELECT string_agg(note, ' ') FROM shop.orders);
END $$;
CALL pg_temp.commits();

--: B20 a temporary table of the tenant before
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
CREATE TEMP TABLE work AS SELECT note FROM shop.orders;
COMMIT;
--: look
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT note FROM work;
COMMIT;

--: B21 a temporary table that takes the name of a real one, and catches what the next tenant writes
--: as service
SET search_path TO shop;
BEGIN;
SELECT tenancy.set_tenant('acme');
CREATE TEMP TABLE documents (id integer, tenant_id text, note text);
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('globex');
INSERT INTO documents VALUES (9, 'globex', 'GLOBEX-SECRET-caught');
COMMIT;
--: look
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT note FROM documents;
COMMIT;

--: B22 a temporary function that takes the name of a real one
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
CREATE TEMP TABLE caught (note text);
GRANT ALL ON caught TO PUBLIC;
CREATE FUNCTION pg_temp.upper(text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'caught %', $1;
    RETURN $1;
END $$;
SET search_path TO pg_temp, shop;
COMMIT;
--: look
BEGIN;
SELECT tenancy.set_tenant('globex');
SELECT count(upper(note)) FROM shop.orders;
COMMIT;

--: B23 a suspended tenant's open session
--: secret acme-note
--: as acme
SELECT count(*) FROM shop.orders;
--: meanwhile dba
SELECT tenancy.suspend_tenant('acme');
--: look
SELECT note FROM shop.orders;
SELECT note FROM shop.events_acme;
SELECT note FROM tenant_acme_crm.customers;

--: B24 a suspended tenant's open transaction, with a snapshot from before
--: secret acme-note
--: as acme
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM shop.orders;
--: meanwhile dba
SELECT tenancy.suspend_tenant('acme');
--: look
SELECT note FROM shop.orders;
COMMIT;

--: B25 a suspended tenant's open cursor
--: secret acme-note
--: as acme
BEGIN;
DECLARE opened CURSOR FOR SELECT note FROM shop.orders;
FETCH 1 FROM opened;
--: meanwhile dba
SELECT tenancy.suspend_tenant('acme');
--: look
SELECT 1;
FETCH ALL FROM opened;
COMMIT;

--: B26 a suspended tenant's open cursor, with rows that were sorted before and one that decides but once
--: secret acme-note
--: as acme
BEGIN;
DECLARE sorted CURSOR FOR SELECT note FROM shop.orders ORDER BY note;
DECLARE decided CURSOR FOR SELECT note FROM tenant_acme_crm.customers ORDER BY note, id;
FETCH 0 FROM decided;
FETCH 1 FROM sorted;
--: meanwhile dba
SELECT tenancy.suspend_tenant('acme');
--: look
FETCH ALL FROM sorted;
COMMIT;

--: B27 a suspended tenant's held cursor
--: secret acme-note
--: as acme
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT note FROM shop.orders;
COMMIT;
--: meanwhile dba
SELECT tenancy.suspend_tenant('acme');
--: look
FETCH ALL FROM held;

--: B28 a suspended tenant's prepared statement with a generic plan
--: secret acme-note
--: as acme
SET plan_cache_mode = force_generic_plan;
PREPARE all_orders AS SELECT note FROM shop.orders;
PREPARE all_customers AS SELECT note FROM tenant_acme_crm.customers;
EXECUTE all_orders;
EXECUTE all_customers;
--: meanwhile dba
SELECT tenancy.suspend_tenant('acme');
--: look
EXECUTE all_orders;
EXECUTE all_customers;

--: B29 a suspended tenant connects anew
--: secret acme-note
--: as dba
SELECT tenancy.suspend_tenant('acme');
--: as acme
SELECT note FROM shop.orders;
SELECT note FROM tenant_acme_crm.customers;

--: B30 a service names a suspended tenant
--: secret acme-note
--: as dba
SELECT tenancy.suspend_tenant('acme');
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
ROLLBACK;
BEGIN;
SAVEPOINT one;
SELECT tenancy.set_tenant('acme');
ROLLBACK TO one;
SELECT note FROM shop.orders;
SELECT note FROM tenant_acme_crm.customers;
COMMIT;
SELECT tenancy.set_tenant('acme', false);
SELECT note FROM shop.orders;

--: B31 a service's session that carries a tenant who is suspended meanwhile
--: secret acme-note
--: as service
SELECT tenancy.set_tenant('acme', false);
--: meanwhile dba
SELECT tenancy.suspend_tenant('acme');
--: look
SELECT note FROM shop.orders;
BEGIN;
SELECT note FROM shop.orders;
COMMIT;

--: B32 an ended tenant: inactive, then deleted from the registry
--: secret acme-note
--: as acme
SELECT count(*) FROM shop.orders;
--: meanwhile dba
SELECT tenancy.deactivate_tenant('acme');
--: look
SELECT note FROM shop.orders;
--: meanwhile dba
DELETE FROM tenancy.tenants WHERE tenant_id = 'acme';
--: again
SELECT note FROM shop.orders;
--: as acme
SELECT note FROM shop.orders;

--: B33 a suspended tenant's parallel scan
--: secret acme-note
--: as acme
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET plan_cache_mode = force_generic_plan;
PREPARE longest AS SELECT max(note) FROM shop.orders;
EXECUTE longest;
--: meanwhile dba
SELECT tenancy.suspend_tenant('acme');
--: look
EXECUTE longest;

--: B34 a suspended tenant writes
--: as acme
SELECT count(*) FROM shop.orders;
--: meanwhile dba
SELECT tenancy.suspend_tenant('acme');
UPDATE shop.orders SET note = 'frozen' WHERE tenant_id = 'acme';
--: look
--: leak if EXISTS (SELECT FROM shop.orders WHERE note = 'HACKED')
UPDATE shop.orders SET note = 'HACKED';
INSERT INTO shop.orders (tenant_id, note) VALUES ('acme', 'HACKED');
INSERT INTO shop.orders (note) VALUES ('HACKED');

--: B35 a tenant that is not provisioned yet
--: only ours
--: secret INITECH-SECRET
--: as dba
INSERT INTO tenancy.tenants (tenant_id, name, database_config, status) VALUES ('initech', 'Initech', '{"type": "shared"}', 'provisioning');
INSERT INTO shop.orders (tenant_id, note) VALUES ('initech', 'INITECH-SECRET');
--: as service
BEGIN;
SELECT tenancy.set_tenant('initech');
SELECT note FROM shop.orders;
COMMIT;

--: B36 a tenant that nobody registered
--: secret INITECH-SECRET
--: as dba
INSERT INTO shop.orders (tenant_id, note) VALUES ('initech', 'INITECH-SECRET');
--: as service
BEGIN;
SELECT tenancy.set_tenant('initech');
SELECT note FROM shop.orders;
COMMIT;
SELECT tenancy.set_tenant('initech', false);
SELECT note FROM shop.orders;

--: B37 an identifier is given a second time, to somebody else
--: secret GLOBEX-SECRET-crm
--: as dba
DELETE FROM tenancy.tenants WHERE tenant_id = 'globex';
--: try dba
SELECT tenancy.create_tenant('globex', 'another customer');
--: as dba
CREATE ROLE second LOGIN;
GRANT tenant_globex TO second;
ALTER ROLE second SET app.current_tenant_id = 'globex';
--: as second
SELECT note FROM tenant_globex_crm.customers;

--: B38 a snapshot that somebody exported
--: as globex
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pg_export_snapshot() AS snapshot \gset
\setenv SNAPSHOT :snapshot
--: meanwhile acme
\getenv snapshot SNAPSHOT
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET TRANSACTION SNAPSHOT :'snapshot';
SELECT note FROM shop.orders;
COMMIT;
--: look
COMMIT;

--: B39 a prepared transaction is committed by another tenant
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
UPDATE shop.orders SET amount = amount WHERE false;
PREPARE TRANSACTION 'left behind';
--: look
SELECT note FROM shop.orders;
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT note FROM shop.orders;
COMMIT;
COMMIT PREPARED 'left behind';
SELECT note FROM shop.orders;

--: B40 a deferred trigger runs when the tenant is gone
--: as dba
CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'at the end: %', (SELECT string_agg(note, ' ') FROM shop.orders);
    RETURN NULL;
END $$;
CREATE TABLE shop.signals (id integer);
CREATE CONSTRAINT TRIGGER tell AFTER INSERT ON shop.signals DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION shop.tell();
GRANT ALL ON shop.signals TO PUBLIC;
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
INSERT INTO shop.signals VALUES (1);
--: look
SELECT tenancy.clear_tenant();
COMMIT;

--: B41 a bound login's DISCARD ALL, RESET ALL and SET SESSION AUTHORIZATION DEFAULT
--: as acme
DISCARD ALL;
SELECT note FROM shop.orders;
RESET ALL;
RESET SESSION AUTHORIZATION;
RESET ROLE;
SELECT note FROM shop.orders;

--: B42 a bound login's binding is taken away: the session that stays open, and the next one
--: secret acme-note
--: as dba
ALTER ROLE acme RESET app.current_tenant_id;
--: as acme
SELECT note FROM shop.orders;

--: B52 a temporary table of the tenant before, which a TRUNCATE that is rolled back makes nobody's
--: only ours
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
CREATE TEMP TABLE work AS SELECT note FROM shop.orders;
COMMIT;
--: look
BEGIN;
TRUNCATE work;
ROLLBACK;
SELECT note FROM work;
BEGIN;
SELECT tenancy.set_tenant('acme');
SAVEPOINT s;
TRUNCATE work;
ROLLBACK TO s;
SELECT note FROM work;
COMMIT;

--: B53 a temporary table of the tenant before, read by statements that ask for no privilege
--: only ours
--: as service
CREATE FUNCTION pg_temp.tell(note text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE 'told: %', note; RETURN true; END $$;
BEGIN;
SELECT tenancy.set_tenant('globex');
CREATE TEMP TABLE work AS SELECT note FROM shop.orders;
ANALYZE work;
COMMIT;
--: look
SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'work';
BEGIN;
SELECT tenancy.set_tenant('acme');
SAVEPOINT s;
CREATE INDEX ON work (pg_temp.tell(note));
ROLLBACK TO s;
ALTER TABLE work ADD CHECK (pg_temp.tell(note));
ROLLBACK TO s;
ALTER TABLE work ALTER note TYPE boolean USING pg_temp.tell(note);
ROLLBACK TO s;
CREATE TEMP TABLE whole (note text);
ALTER TABLE work INHERIT whole;
SELECT note FROM whole;
ROLLBACK TO s;
CREATE STATISTICS pg_temp.s ON (pg_temp.tell(note)), note FROM work;
ANALYZE work;
ROLLBACK TO s;
SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'work';
COMMIT;

--: B54 a temporary table that EXPLAIN ANALYZE has made
--: only ours
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
EXPLAIN ANALYZE CREATE TEMP TABLE work AS SELECT note FROM shop.orders;
COMMIT;
--: look
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT note FROM work;
COMMIT;

--: B55 a temporary type takes the name of one of the server's, and is told what the next tenant casts
--: only ours
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
CREATE FUNCTION pg_temp.tell(note pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('loot.' || 'note', note, false); RETURN true; END $$;
CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.tell(VALUE));
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('globex');
SELECT note::text FROM shop.orders WHERE note IS NOT NULL;
COMMIT;
--: look
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT current_setting('loot.note', true);
COMMIT;

--: B56 a temporary table takes the name of a type, and a cast tells what the next tenant casts
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
CREATE TEMP TABLE text (a pg_catalog.text);
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('acme');
CREATE TEMP TABLE lure (a pg_catalog.text);
ALTER TABLE lure RENAME TO text;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('acme');
CREATE FUNCTION pg_temp.tell(pg_catalog.text) RETURNS pg_temp.text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('my.caught', coalesce(current_setting('my.caught', true), '') OPERATOR(pg_catalog.||) $1, false);
    RETURN ROW($1)::pg_temp.text;
END $$;
CREATE CAST (pg_catalog.text AS pg_temp.text) WITH FUNCTION pg_temp.tell(pg_catalog.text);
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('globex');
SELECT count(note::text) FROM shop.orders;
COMMIT;
--: look
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT current_setting('my.caught', true);
COMMIT;

--: B57 a cast of a temporary table's rows, and a temporary type, made before there is a token
--: as pooled
CREATE TEMP TABLE lure (a text);
CREATE FUNCTION pg_temp.tell(text) RETURNS lure LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('my.caught', coalesce(current_setting('my.caught', true), '') OPERATOR(pg_catalog.||) $1, false);
    RETURN ROW($1)::lure;
END $$;
CREATE CAST (text AS lure) WITH FUNCTION pg_temp.tell(text) AS IMPLICIT;
CREATE FUNCTION pg_temp.check(pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('my.caught', coalesce(current_setting('my.caught', true), '') OPERATOR(pg_catalog.||) $1, false);
    RETURN true;
END $$;
CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.check(VALUE));
SELECT ('GLOBEX-' || 'SECRET-cast')::pg_catalog.text::lure;
SELECT 'GLOBEX-SECRET-typed'::text;
--: look
SELECT current_setting('my.caught', true);

--: B58 a prepared statement of the tenant before stands under the name that the next one's driver uses
--: documented
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
PREPARE s_1 AS SELECT set_config('my.caught', string_agg(note, ' '), false) FROM shop.orders;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('globex');
EXECUTE s_1;
COMMIT;
--: look
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT current_setting('my.caught', true);
COMMIT;

--: B59 the text of statements and cursors that the tenant before has left on the connection
--: as service
SELECT tenancy.set_tenant('globex', false);
PREPARE look_up AS SELECT 'GLOBEX-SECRET-prepared' AS customer;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT 'GLOBEX-SECRET-cursor' AS customer;
COMMIT;
SELECT tenancy.clear_tenant();
--: look
SELECT statement FROM pg_prepared_statements;
SELECT statement FROM pg_cursors;
SELECT tenancy.set_tenant('acme', false);
SELECT statement FROM pg_prepared_statements;
SELECT statement FROM pg_cursors;
SELECT * FROM pg_prepared_statement();
SELECT tenancy.set_tenant('acme', false);
SELECT statement FROM pg_prepared_statements;
