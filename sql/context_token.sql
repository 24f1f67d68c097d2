--
-- context_token: a signed context, its keys, and what is refused.
--
-- No message and no view may show a token or a secret: the test's tokens stay in psql variables, and a command that holds
-- one is never echoed with its value.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE context_token_test;
\c context_token_test
CREATE EXTENSION tenancy;

SELECT count(tenancy.create_tenant('token-' || n, 'Tenant ' || n)) FROM generate_series(1, 4) n;
CREATE TABLE orders (id integer PRIMARY KEY, tenant_id text NOT NULL, note text);
INSERT INTO orders SELECT n, 'token-' || 1 + n % 4, 'order ' || n FROM generate_series(1, 1000) n;
SELECT tenancy.protect('orders');
CREATE VIEW seen WITH (security_invoker) AS
    SELECT tenancy.current_tenant() AS tenant, tenancy.current_access() AS access, tenancy.current_scope() AS scope,
           current_setting('app.current_tenant_id') AS setting, (SELECT count(*) FROM orders) AS orders;

CREATE ROLE token_app LOGIN;
CREATE ROLE token_other LOGIN;
CREATE ROLE token_issuer LOGIN;
CREATE ROLE token_service LOGIN IN ROLE tenancy_service;
CREATE ROLE token_reader LOGIN IN ROLE pg_read_all_data, pg_monitor;
GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO token_app, token_other, token_service;
GRANT SELECT ON seen TO token_app, token_other, token_service;
GRANT EXECUTE ON FUNCTION tenancy.issue_token TO token_issuer;

-- without a key nothing is signed, and nothing is believed
SELECT tenancy.issue_token('token-1');
\echo :SQLSTATE
SELECT tenancy.rotate_key();
SELECT key_id, status, revoked_at FROM tenancy.token_keys;

--
-- Who may issue
--
\c - token_app
SELECT tenancy.issue_token('token-1');
\echo :SQLSTATE
SELECT tenancy.rotate_key();
SELECT tenancy.revoke_key('k1');
SELECT * FROM tenancy.token_secrets;
SELECT * FROM tenancy.token_keys;
\c - token_reader
SELECT * FROM tenancy.token_secrets;
SELECT key_id, status FROM tenancy.token_keys;
\c - token_issuer
SELECT tenancy.issue_token('token-1', login => 'token_app') AS one, tenancy.issue_token('token-2', login => 'token_app') AS two,
       tenancy.issue_token('token-1', login => 'token_app') AS again, tenancy.issue_token('token-1', login => 'token_other') AS others,
       tenancy.issue_token('token-1', login => 'token_service') AS service, tenancy.issue_token('token-1') AS own,
       tenancy.issue_token('token-3', login => 'token_app', lifetime => '1 second') AS short,
       tenancy.issue_token('token-1', 'admin', ARRAY['token-2', 'token-4'], 'token_app') AS admin,
       tenancy.issue_token(NULL, 'superadmin', login => 'token_app') AS root \gset
-- what it looks like; two of the same are not the same
SELECT regexp_replace(:'one', '\.\d{10}\.[\w-]{8}\.[\w-]{22}$', '.<expiry>.<nonce>.<signature>') AS form, :'one' <> :'again' AS differ;
SELECT regexp_replace(:'admin', '\.\d{10}\.[\w-]{8}\.[\w-]{22}$', '') AS admin, regexp_replace(:'root', '\.\d{10}\.[\w-]{8}\.[\w-]{22}$', '') AS root;

SELECT tenancy.issue_token('token-404');
\echo :SQLSTATE
SELECT tenancy.issue_token('token 1');
SELECT tenancy.issue_token(NULL);
SELECT tenancy.issue_token('token-1', 'owner');
SELECT tenancy.issue_token('token-1', login => 'token_nobody');
\echo :SQLSTATE
SELECT tenancy.issue_token('token-1', lifetime => '0');
SELECT tenancy.issue_token('token-1', lifetime => '-1 day');
SELECT tenancy.issue_token('token-1', lifetime => '1 day 1 second');
\echo :SQLSTATE
SELECT tenancy.issue_token('token-1', lifetime => NULL);
-- poolers carry no more than this
SELECT tenancy.issue_token('token-1', 'admin', ARRAY['token-2', 'token-3', 'token-4', 'token-1', 'token-2', 'token-3', 'token-4', 'token-1', 'token-2']);
\echo :SQLSTATE

--
-- Taking it
--
\c - token_app
SELECT tenancy.current_tenant() IS NULL AS none, count(*) FROM orders;
SET tenancy.token = :'one';
SELECT * FROM seen;
-- over transactions, rollbacks and savepoints
BEGIN;
SELECT tenant, orders FROM seen;
SAVEPOINT a;
RESET tenancy.token;
SELECT tenant, orders FROM seen;
ROLLBACK TO a;
SELECT tenant, orders FROM seen;
ROLLBACK;
SELECT tenant, orders FROM seen;
-- written rows are its tenant's
BEGIN;
INSERT INTO orders (id) VALUES (2001) RETURNING tenant_id;
UPDATE orders SET tenant_id = 'token-2' WHERE id = 2001;
ROLLBACK;
-- the next one, in a transaction of its own
SET tenancy.token = :'two';
SELECT tenant, orders FROM seen;
DISCARD ALL;
SELECT tenant, orders FROM seen;
SELECT set_config('tenancy.token', :'one', false) IS NOT NULL AS set;
SELECT tenant, orders FROM seen;
RESET ALL;
SELECT tenant, orders FROM seen;
SET tenancy.token = '';
SET tenancy.token = 'none';
SELECT tenant, orders FROM seen;
BEGIN;
SET LOCAL tenancy.token = :'one';
SELECT tenant, orders FROM seen;
COMMIT;
SELECT tenant, orders FROM seen;
-- classes and scopes
SET tenancy.token = :'admin';
SELECT * FROM seen;
SET tenancy.token = :'root';
SELECT * FROM seen;
RESET tenancy.token;

-- at connect
\set start 'dbname=context_token_test user=token_app options=\'-c tenancy.token='
\set good :start:one'\''
\set foreign :start:others'\''
\c -reuse-previous=off :good
SELECT * FROM seen;
DISCARD ALL;
SELECT tenant, orders FROM seen;
SELECT name FROM pg_settings WHERE name = 'tenancy.token';
\c -reuse-previous=off :foreign
SELECT tenancy.current_access(), current_setting('app.current_tenant_id') AS setting;
SELECT count(*) FROM orders;
\echo :SQLSTATE
\! psql -X -d "dbname=context_token_test user=token_app options='-c tenancy.token=v2'" -c "SELECT 1" 2>&1 | sed 's/.*FATAL/FATAL/'
\c -reuse-previous=off 'dbname=context_token_test user=token_app'

--
-- Once in a transaction
--
SET tenancy.token = :'one';
BEGIN;
SET tenancy.token = :'two';
SELECT tenant, orders FROM seen;
SET tenancy.token = :'one';
\echo :SQLSTATE
ROLLBACK;
SELECT tenant, orders FROM seen;
BEGIN;
SELECT count(*) FROM orders;
SET tenancy.token = :'two';
ROLLBACK;
BEGIN;
SELECT count(*) FROM orders;
RESET tenancy.token;
SELECT count(*) FROM orders;
SET tenancy.token = :'admin';
ROLLBACK;
BEGIN;
SELECT count(*) FROM orders;
SET tenancy.token = :'again';
SELECT count(*) FROM orders;
COMMIT;
-- what a savepoint brings back counts no more
BEGIN;
SAVEPOINT a;
SET tenancy.token = :'two';
SELECT count(*) FROM orders;
ROLLBACK TO a;
SELECT count(*) FROM orders;
\echo :SQLSTATE
ROLLBACK;
SELECT count(*) FROM orders;
-- in functions, and where an error is caught
DO $$
BEGIN
    PERFORM count(*) FROM orders;
    BEGIN
        PERFORM set_config('tenancy.token', 'none', false);
        PERFORM 1 / 0;
    EXCEPTION WHEN division_by_zero THEN
        RAISE NOTICE 'caught, sees % orders of %', (SELECT count(*) FROM orders), tenancy.current_tenant();
    END;
END $$;
RESET tenancy.token;

-- a service's transaction is not taken over, nor does it take over a token's
\c - token_service
BEGIN;
SELECT tenancy.set_tenant('token-2');
SET tenancy.token = :'service';
\echo :SQLSTATE
ROLLBACK;
SELECT tenancy.set_tenant('token-2', false);
SET tenancy.token = :'service';
SELECT tenancy.clear_tenant();
SET tenancy.token = :'service';
SELECT tenant, orders FROM seen;
BEGIN;
SELECT tenancy.set_tenant('token-1');
SELECT tenancy.set_tenant('token-2');
ROLLBACK;
BEGIN;
SELECT tenancy.set_tenant('token-2');
ROLLBACK;
RESET tenancy.token;

--
-- What is refused
--
\c - token_app
SET tenancy.token = 'token-1';
\echo :SQLSTATE
SET tenancy.token = 'v1.k1.token-1.client..9999999999.AAAAAAAA';
SET tenancy.token = 'v1.k1.token-1.client..9999999999.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA.';
SET tenancy.token = 'v2.k1.token-1.client..9999999999.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA';
SET tenancy.token = 'v1.k1.token-1.none..9999999999.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA';
SET tenancy.token = 'v1.k1.token-1.client.token-2.9999999999.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA';
SET tenancy.token = 'v1.k1..client..9999999999.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA';
SET tenancy.token = 'v1.k1.token-1.client..-1.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA';
SET tenancy.token = 'v1.k1.token-1.client..999999999999.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA';
SET tenancy.token = 'v1..token-1.client..9999999999.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA';
SELECT set_config('tenancy.token', repeat('x', 121), false);
SELECT set_config('tenancy.token', E'v1.k1.token-1\n.client..9999999999.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA', false);
-- a signature of nobody, and one of no key
SET tenancy.token = 'v1.k1.token-1.client..9999999999.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA';
\echo :SQLSTATE
SET tenancy.token = 'v1.k9.token-1.client..9999999999.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA';
SELECT count(*) FROM orders;
\echo :SQLSTATE
SELECT tenancy.current_access(), current_setting('app.current_tenant_id') AS setting;
INSERT INTO orders (id) VALUES (3001);
RESET tenancy.token;
-- every character counts
SET test.token = :'one';
DO $$
DECLARE
    token text := current_setting('test.token');
    changed text;
    accepted integer := 0;
    tried integer := 0;
BEGIN
    FOR i IN 1 .. length(token) LOOP
        changed := overlay(token PLACING CASE substr(token, i, 1) WHEN 'A' THEN 'B' WHEN '1' THEN '2' ELSE 'A' END FROM i FOR 1);
        tried := tried + 1;
        BEGIN
            PERFORM set_config('tenancy.token', changed, true);
            PERFORM count(*) FROM orders;
            accepted := accepted + 1;
        EXCEPTION WHEN invalid_authorization_specification OR invalid_parameter_value THEN
            NULL;
        END;
    END LOOP;
    RAISE NOTICE '% of % accepted', accepted, CASE WHEN tried = length(token) THEN 'all' END;
END $$;
-- parts of two do not make a third
SELECT regexp_replace(:'two', '\.[^.]*$', '') || '.' || split_part(:'one', '.', 8) AS mixed, upper(:'one') AS upper, :'one' || ' ' AS longer,
       replace(:'one', 'token-1.client.', '.superadmin.') AS risen, replace(:'admin', 'token-2,token-4', '') AS narrowed,
       regexp_replace(:'one', '\.\d{10}\.', '.9999999999.') AS prolonged \gset
SET tenancy.token = :'mixed';
SET tenancy.token = :'upper';
SET tenancy.token = :'longer';
SET tenancy.token = :'risen';
SET tenancy.token = :'narrowed';
SET tenancy.token = :'prolonged';
-- another login's, the issuer's own, and another database's
SET tenancy.token = :'others';
\echo :SQLSTATE
SET tenancy.token = :'own';
\c - :start_user
CREATE DATABASE context_token_copy TEMPLATE context_token_test;
\c context_token_copy token_app
SET tenancy.token = :'one';
SELECT count(*) FROM orders;
\c context_token_test :start_user
DROP DATABASE context_token_copy;
SET tenancy.token = :'one';

-- it is not for keeping
\c - token_app
ALTER ROLE token_app SET tenancy.token = :'one';
\echo :SQLSTATE
CREATE FUNCTION pg_temp.with_token() RETURNS bigint LANGUAGE sql SET tenancy.token = :'one' AS 'SELECT count(*) FROM orders';
\c - :start_user
ALTER DATABASE context_token_test SET tenancy.token = :'one';
ALTER SYSTEM SET tenancy.token = :'one';
-- nor for an index's expression to set
CREATE FUNCTION sneaky(id integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM set_config('tenancy.token', 'v1.k1.token-1.client..9999999999.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA', true);
    RETURN id;
END $$;
CREATE INDEX ON orders (sneaky(id));
\echo :SQLSTATE

-- nor for looking at: injected SQL does not find it
\c - token_app
SET tenancy.token = :'one';
SELECT regexp_replace(current_setting('tenancy.token', true), '\d{10}\.[\w-]{8}', '<expiry>.<nonce>');
SELECT set_config('tenancy.token', :'one', false) <> :'one' AS hidden, position(split_part(:'one', '.', 8) IN current_setting('tenancy.token')) AS signature;
CREATE TEMP TABLE loot (found text);
CREATE FUNCTION pg_temp.look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE NOTICE 'a deferred trigger sees %', regexp_replace(current_setting('tenancy.token'), '\d{10}\.[\w-]{8}', '<expiry>.<nonce>'); RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER look AFTER INSERT ON loot DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.look();
INSERT INTO loot VALUES ('');
SELECT count(*) FROM pg_settings WHERE name = 'tenancy.token';
SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid() AND query LIKE '%v1.k1%' AND query NOT LIKE '%pg_stat_activity%';
-- what another session of the login sees of it
SET tenancy.token = :'one' \; SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid();
RESET tenancy.token;

--
-- Lifetime
--
SET tenancy.token = :'short';
\echo :SQLSTATE
-- good or over by now: wait until it is over
DO $$
BEGIN
    FOR i IN 1 .. 10000 LOOP
        EXIT WHEN tenancy.current_access() = 'none' OR clock_timestamp() > statement_timestamp() + interval '60 s';
        PERFORM pg_sleep_for('1 ms');
    END LOOP;
END $$;
SELECT tenancy.current_access(), current_setting('app.current_tenant_id') AS setting;
\set VERBOSITY terse
SELECT count(*) FROM orders;
\echo :SQLSTATE
INSERT INTO orders (id) VALUES (3001);
EXECUTE nothing;
SET tenancy.token = :'short';
SELECT count(*) FROM orders;
\set VERBOSITY default
SET tenancy.token = :'one';
SELECT count(*) FROM orders;

-- a transaction that goes on, its cursor and the loop of a function
\c - token_issuer
SELECT tenancy.issue_token('token-3', login => 'token_app', lifetime => '2 seconds') AS dying \gset
\c - token_app
SET tenancy.token = :'dying';
\set VERBOSITY terse
BEGIN;
DECLARE mine CURSOR FOR SELECT tenant_id FROM orders;
FETCH mine;
SAVEPOINT a;
DO $$
BEGIN
    LOOP
        PERFORM count(*) FROM orders;
        IF clock_timestamp() > statement_timestamp() + interval '60 s' THEN
            RAISE 'it has outlived its time';
        END IF;
    END LOOP;
END $$;
\echo :SQLSTATE
ROLLBACK TO a;
FETCH mine;
\echo :SQLSTATE
ROLLBACK;
\set VERBOSITY default
RESET tenancy.token;

--
-- Tenants that are not active
--
SET tenancy.token = :'two';
SELECT count(*) FROM orders;
\! psql -X -q -At -d context_token_test -c "SELECT tenancy.suspend_tenant('token-2')"
SELECT count(*) FROM orders;
\echo :SQLSTATE
RESET tenancy.token;
SET tenancy.token = :'two';
SELECT count(*) FROM orders;
SELECT tenancy.current_access(), current_setting('app.current_tenant_id') AS setting;
\! psql -X -q -At -d context_token_test -c "SELECT tenancy.resume_tenant('token-2')"
SELECT count(*) FROM orders;
\c - :start_user
SELECT tenancy.suspend_tenant('token-2');
SELECT tenancy.issue_token('token-2');
\echo :SQLSTATE
SELECT tenancy.resume_tenant('token-2');

--
-- Rotation and revocation
--
\c - token_app
SET tenancy.token = :'one';
SELECT count(*) FROM orders;
\! psql -X -q -At -d context_token_test -c "SELECT tenancy.rotate_key()"
SELECT count(*) FROM orders;
\c - token_issuer
SELECT tenancy.issue_token('token-1', login => 'token_app') AS newer \gset
SELECT split_part(:'newer', '.', 2) AS key;
\c - token_app
SET tenancy.token = :'newer';
SELECT count(*) FROM orders;
SET tenancy.token = :'one';
SELECT count(*) FROM orders;
\! psql -X -q -At -d context_token_test -c "SELECT tenancy.rotate_key()"
SELECT count(*) FROM orders;
\echo :SQLSTATE
SET tenancy.token = :'newer';
SELECT count(*) FROM orders;
-- in the middle of a transaction
BEGIN;
SELECT count(*) FROM orders;
\! psql -X -q -At -d context_token_test -c "SELECT tenancy.revoke_key('k2')"
SELECT count(*) FROM orders;
ROLLBACK;
\c - :start_user
SELECT key_id, status, revoked_at IS NOT NULL AS revoked FROM tenancy.token_keys ORDER BY key_id;
SELECT count(*) AS with_secret FROM tenancy.token_secrets WHERE secret IS NOT NULL;
SELECT tenancy.revoke_key('k3');
SELECT tenancy.issue_token('token-1');
SELECT tenancy.rotate_key();
SELECT tenancy.revoke_key('file-1');
SELECT tenancy.revoke_key('a key');
\echo :SQLSTATE

--
-- Plans, parallel workers, read-only transactions
--
\c - token_issuer
SELECT tenancy.issue_token('token-1', login => 'token_app') AS one, tenancy.issue_token('token-2', login => 'token_app') AS two,
       tenancy.issue_token('token-1', 'admin', ARRAY['token-2'], 'token_app') AS admin \gset
\c - token_app
SET plan_cache_mode = force_generic_plan;
PREPARE mine AS SELECT min(id), count(*) FROM orders;
SET tenancy.token = :'one';
EXECUTE mine;
SET tenancy.token = :'two';
EXECUTE mine;
RESET tenancy.token;
EXECUTE mine;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET parallel_leader_participation = off;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SET tenancy.token = :'two';
EXPLAIN (COSTS OFF) SELECT count(*) FROM orders WHERE note LIKE 'order%';
SELECT count(*) FROM orders WHERE note LIKE 'order%';
BEGIN READ ONLY;
SELECT count(*) FROM orders;
COMMIT;
BEGIN READ ONLY;
SET LOCAL tenancy.token = :'one';
SELECT count(*) FROM orders;
COMMIT;
-- one that is no good is none in the workers either
SET tenancy.token = 'v1.k9.token-1.client..9999999999.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA';
SELECT count(*) FROM orders WHERE note LIKE 'order%';
\echo :SQLSTATE
RESET ALL;

\c :start_database :start_user
DROP DATABASE context_token_test;
DROP ROLE token_app, token_other, token_issuer, token_service, token_reader, tenant_token_1, tenant_token_2, tenant_token_3, tenant_token_4;
