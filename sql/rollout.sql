--
-- rollout: what is planned, tried and done, by a session; background workers are in 070_rollout.pl.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE rollout_test;
\c rollout_test
CREATE EXTENSION tenancy;
SELECT tenancy.register_system('memo', 'Memo', 'memo', 'us');
SELECT tenancy.register_version('memo', v, 'CREATE TABLE memo (id integer PRIMARY KEY, n integer); INSERT INTO memo VALUES (1, 1)')
  FROM unnest(ARRAY['1.0.0', '1.1.0', '1.2.0']) v;
SELECT count(tenancy.create_tenant('roll-' || n, 'Tenant', region => CASE WHEN n < 3 THEN 'eu' ELSE 'us' END)) FROM generate_series(1, 6) n;
SELECT count(tenancy.install_system('roll-' || n, 'memo', '1.0.0')) FROM generate_series(1, 6) n;
SELECT tenancy.register_migration('memo', '1.0.0', '1.1.0', 'ALTER TABLE memo ADD COLUMN a integer; UPDATE memo SET a = n; ALTER TABLE memo ALTER COLUMN a SET NOT NULL',
    'ALTER TABLE memo DROP COLUMN a');
SELECT tenancy.register_migration('memo', '1.1.0', '1.2.0', 'CREATE INDEX CONCURRENTLY memo_n ON memo (n)', 'DROP INDEX memo_n', transactional => false);

--
-- Planning and trying
--
SELECT item_no, wave, tenant_id, schema_name, version_from, version_to, migrations, action FROM
    tenancy.plan_rollout('memo', '1.1.0', canary => ARRAY['roll-4'], waves => ARRAY['2', '20%']);
SELECT tenant_id, wave, migrations FROM tenancy.plan_rollout('memo', canary_size => '1', region => 'eu');
SELECT step, line, statement, locks, rewritten, outcome FROM tenancy.dry_run_rollout('memo', '1.1.0', 'roll-2');
SELECT step, statement, outcome FROM tenancy.dry_run_rollout('memo', '1.2.0', 'roll-2');
SELECT count(*) FROM tenancy.rollouts;
SELECT DISTINCT version FROM tenancy.installed_systems;

--
-- What is refused
--
SELECT tenancy.plan_rollout('memo', waves => ARRAY['some']);
\echo :SQLSTATE
SELECT tenancy.start_rollout('memo', '9.0.0');
\echo :SQLSTATE
SELECT tenancy.start_rollout('memo', canary => ARRAY['roll-9']);
\echo :SQLSTATE
SELECT tenancy.start_rollout('memo', on_error => 'shrug');
\echo :SQLSTATE
SELECT tenancy.start_rollout('memo', '1.2.0', workers => 0);
\echo :SQLSTATE
SELECT tenancy.dry_run_rollout('memo', '1.0.0');
\echo :SQLSTATE
CALL tenancy.run_rollout(1);
\echo :SQLSTATE
CALL tenancy.run_rollout(NULL);
\echo :SQLSTATE
SELECT tenancy.pause_rollout(1);
\echo :SQLSTATE

--
-- A rollout in a session: one tenant fails, the others are done
--
UPDATE tenant_roll_3_memo.memo SET n = NULL;
SELECT tenancy.start_rollout('memo', '1.1.0', canary => ARRAY['roll-4'], waves => ARRAY['2'], workers => 0) AS rollout \gset
SELECT tenancy.start_rollout('memo', '1.1.0');
\echo :SQLSTATE
SELECT state, total, pending, percent, wave, last_wave, workers FROM tenancy.rollout_progress;
BEGIN;
CALL tenancy.run_rollout(:rollout);
\echo :SQLSTATE
ROLLBACK;
CALL tenancy.run_rollout(:rollout);
SELECT state, reason, done, failed, pending, failures FROM tenancy.rollout_progress;
SELECT tenant_id, wave, state, attempts, sqlstate, error_message, error_detail FROM tenancy.rollout_items ORDER BY item_no;
SELECT tenant_id, version FROM tenancy.installed_systems ORDER BY 1;
SELECT count(*) FROM pg_attribute WHERE attrelid = 'tenant_roll_3_memo.memo'::regclass AND attname = 'a';
SELECT tenancy.resume_rollout(:rollout);
CALL tenancy.run_rollout(:rollout);
SELECT state, done, failed FROM tenancy.rollout_progress;
SELECT tenancy.resume_rollout(:rollout);
\echo :SQLSTATE
SELECT tenancy.retry_rollout(:rollout, 'roll-4');
\echo :SQLSTATE
UPDATE tenant_roll_3_memo.memo SET n = 3;
SELECT tenancy.retry_rollout(:rollout);
CALL tenancy.run_rollout(:rollout);
SELECT state, done, failed, percent, failures, finished_at IS NOT NULL AS finished FROM tenancy.rollout_progress;
SELECT a FROM tenant_roll_3_memo.memo;

--
-- The way back: refused where it would lose data, archived by force
--
SELECT tenancy.rollback_rollout(:rollout, workers => 0) AS back \gset
CALL tenancy.run_rollout(:back);
SELECT tenant_id, state, sqlstate, error_message FROM tenancy.rollout_items WHERE rollout_id = :back ORDER BY item_no LIMIT 2;
SELECT tenancy.cancel_rollout(:back, 'with force, then');
SELECT tenancy.rollback_rollout(:rollout, force => true, workers => 0) AS back \gset
CALL tenancy.run_rollout(:back);
SELECT rollout_id = :rollout AS first, reverts = :rollout AS reverts, state, reason, done FROM tenancy.rollout_progress ORDER BY rollout_id;
SELECT DISTINCT version FROM tenancy.installed_systems;
SELECT tenancy.rollback_rollout(:rollout);
\echo :SQLSTATE

--
-- Who may
--
CREATE ROLE rollout_nobody LOGIN;
\c - rollout_nobody
SELECT * FROM tenancy.rollout_progress;
SELECT tenancy.start_rollout('memo');
CALL tenancy.run_rollout(1);
SELECT tenancy.rollout_step(1, 0, true);
\c - :start_user
SELECT rolname, rolsuper, rolbypassrls, rolcanlogin, rolcreaterole, rolconnlimit FROM pg_roles WHERE rolname = 'tenancy_worker';

\c :start_database
DROP DATABASE rollout_test;
DROP ROLE tenant_roll_1, tenant_roll_2, tenant_roll_3, tenant_roll_4, tenant_roll_5, tenant_roll_6, rollout_nobody;
