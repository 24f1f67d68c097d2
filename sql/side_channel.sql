--
-- side_channel: what tells more than the rows that policies let through, and how it is closed.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS superuser \gset
CREATE DATABASE side_channel_test;
\c side_channel_test
CREATE EXTENSION tenancy;
SELECT tenancy.create_tenant('sc-1', 'One'), tenancy.create_tenant('sc-2', 'Two');
CREATE ROLE sc_app LOGIN IN ROLE tenancy_service;
CREATE ROLE sc_owner;
CREATE TABLE parcels (id integer, tenant_id text NOT NULL);
ALTER TABLE parcels OWNER TO sc_owner;
SELECT tenancy.protect('parcels');
GRANT SELECT, INSERT, UPDATE, DELETE ON parcels TO sc_app;
CREATE VIEW all_parcels WITH (security_invoker) AS SELECT * FROM parcels;
GRANT SELECT, UPDATE ON all_parcels TO sc_app;
CREATE TABLE free (id integer);
GRANT ALL ON free TO sc_app;

--
-- LOCK TABLE keeps every tenant out
--
SET ROLE sc_app;
BEGIN;
LOCK TABLE parcels IN ROW EXCLUSIVE MODE;
LOCK TABLE parcels IN SHARE MODE;
ROLLBACK;
BEGIN;
SELECT tenancy.set_tenant('sc-1');
LOCK TABLE all_parcels;
ROLLBACK;
BEGIN;
SELECT tenancy.set_tenant('sc-1');
LOCK TABLE free, parcels;
ROLLBACK;
BEGIN;
LOCK TABLE free;
COMMIT;
RESET ROLE;
-- an owner who has no tenant migrates, one who has does not
SET ROLE sc_owner;
BEGIN;
LOCK TABLE parcels;
COMMIT;
RESET ROLE;
GRANT tenancy_service TO sc_owner;
SET ROLE sc_owner;
BEGIN;
SELECT tenancy.set_tenant('sc-1');
LOCK TABLE parcels;
ROLLBACK;
RESET ROLE;
REVOKE tenancy_service FROM sc_owner;
-- superusers go free
BEGIN;
SELECT tenancy.set_tenant('sc-1');
LOCK TABLE parcels;
ROLLBACK;

--
-- currtid2() goes past policies
--
SET ROLE sc_app;
SELECT currtid2('parcels', '(0,1)');
BEGIN;
SELECT tenancy.set_tenant('sc-1');
SELECT currtid2('parcels', '(0,1)');
ROLLBACK;
RESET ROLE;

-- sessions of the same login, and the text of what was prepared on the connection
SET SESSION AUTHORIZATION sc_app;
SELECT pg_cancel_backend(0);
BEGIN;
SELECT tenancy.set_tenant('sc-1');
SAVEPOINT s;
SELECT pg_cancel_backend(0);
ROLLBACK TO s;
SELECT pg_terminate_backend(0);
ROLLBACK TO s;
PREPARE look AS SELECT 'of sc-1';
SELECT statement FROM pg_prepared_statements;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('sc-2');
SAVEPOINT s;
SELECT statement FROM pg_prepared_statements;
ROLLBACK TO s;
SELECT statement FROM pg_cursors;
COMMIT;
SELECT statement FROM pg_prepared_statements;
RESET SESSION AUTHORIZATION;
SELECT statement FROM pg_prepared_statements;
DISCARD ALL;
SET SESSION AUTHORIZATION sc_app;
SELECT statement FROM pg_prepared_statements;
RESET SESSION AUTHORIZATION;

--
-- The report
--
CREATE VIEW report AS SELECT * FROM tenancy.isolation_report() WHERE code >= 'TI7' AND code <> 'TI707';
CREATE PROCEDURE mend(wanted text) LANGUAGE plpgsql AS $$
DECLARE
    finding record;
BEGIN
    FOR finding IN SELECT * FROM report r WHERE r.code = wanted LOOP
        RAISE NOTICE '% %: %', finding.severity, finding.object, finding.reason;
        EXECUTE finding.remedy;
    END LOOP;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nothing found of %', wanted;
    END IF;
    IF EXISTS (SELECT FROM report r WHERE r.code = wanted) THEN
        RAISE EXCEPTION 'still there: %', wanted;
    END IF;
END $$;
SELECT code, object FROM report;

-- plans
SET ROLE sc_app;
EXPLAIN (COSTS OFF) SELECT 1;
RESET ROLE;
CALL mend('TI701');
SHOW tenancy.hide_plans;
\c
SHOW tenancy.hide_plans;
EXPLAIN (COSTS OFF) SELECT 1;
SET ROLE sc_app;
EXPLAIN (COSTS OFF) SELECT 1;
SET tenancy.hide_plans = off;
SET debug_print_plan = on;
SELECT 1;
RESET debug_print_plan;
RESET ROLE;
SET SESSION AUTHORIZATION sc_app;
EXPLAIN (COSTS OFF) SELECT 1;
SET debug_print_plan = on;
SELECT 1;
RESET debug_print_plan;
SELECT 1;
RESET SESSION AUTHORIZATION;

-- statistics
SET SESSION AUTHORIZATION sc_app;
SELECT pg_relation_size('parcels') >= 0 AS size, count(*) >= 0 AS locks FROM pg_locks;
RESET SESSION AUTHORIZATION;
CALL mend('TI702');
SET SESSION AUTHORIZATION sc_app;
SELECT pg_relation_size('parcels');
SELECT pg_total_relation_size('parcels');
SELECT pg_stat_get_live_tuples('parcels'::regclass);
SELECT count(*) FROM pg_locks;
SELECT count(*) FROM pg_stat_user_tables;
SELECT count(*) >= 0 AS still FROM pg_stat_activity;
RESET SESSION AUTHORIZATION;
GRANT pg_monitor TO sc_owner;
SET SESSION AUTHORIZATION sc_owner;
SELECT pg_relation_size('parcels') >= 0 AS size, count(*) >= 0 AS locks FROM pg_locks;
RESET SESSION AUTHORIZATION;
REVOKE pg_monitor FROM sc_owner;

-- a login that serves every tenant
CALL mend('TI703');
CALL mend('TI704');
\c - sc_app
SHOW track_activities;
SELECT tenancy.set_tenant('sc-1', false);
SELECT tenancy.clear_tenant();
BEGIN;
SELECT tenancy.set_tenant('sc-1');
COMMIT;
SET tenancy.local_only = off;
SELECT lo_from_bytea(4711, 'of sc-1');
\c - :superuser
SELECT code, severity, object, reason, remedy FROM report;
SELECT lo_unlink(4711);
TABLE report;
ALTER ROLE sc_app RESET track_activities;
SELECT code FROM report;
ALTER DATABASE side_channel_test SET track_activities = off;
TABLE report;

-- what is sent elsewhere, and whoever may log in
SET client_min_messages TO error; -- wal_level may be too low for publications, of which this is no test
CREATE PUBLICATION sc_all FOR TABLE parcels;
CREATE PUBLICATION sc_one FOR TABLE parcels WHERE (tenant_id = 'sc-1');
RESET client_min_messages;
SELECT code, severity, object, reason, remedy FROM report;
DROP PUBLICATION sc_all;
TABLE report;
SELECT count(*) = (SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust') AS all_named
  FROM tenancy.isolation_report() WHERE code = 'TI707';

\c :start_database
DROP DATABASE side_channel_test;
DROP ROLE sc_app, sc_owner, tenant_sc_1, tenant_sc_2;
