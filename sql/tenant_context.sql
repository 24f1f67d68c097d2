--
-- tenant_context: the tenant in force, who may set it, and how others try to.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE tenant_context_test;
\c tenant_context_test
CREATE EXTENSION tenancy;

SELECT tenancy.create_tenant('tenant-001', 'One');
SELECT tenancy.create_tenant('tenant-002', 'Two');
SELECT tenancy.create_tenant('tenant-003', 'Three');
SELECT tenancy.suspend_tenant('tenant-003');

-- One table under protect(), one under the documents' own policy, unchanged.
CREATE TABLE orders (id integer PRIMARY KEY, tenant_id text NOT NULL, note text);
INSERT INTO orders SELECT n, 'tenant-00' || 1 + n % 2, 'order ' || n FROM generate_series(1, 1000) n;
SELECT tenancy.protect('orders');
CREATE TABLE users (id integer PRIMARY KEY, tenant_id varchar(50) NOT NULL);
INSERT INTO users VALUES (1, 'tenant-001'), (2, 'tenant-002'), (3, 'tenant-002');
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation_policy ON users
    USING (tenant_id = current_setting('app.current_tenant_id', TRUE));

CREATE ROLE context_service LOGIN IN ROLE tenancy_service;
CREATE ROLE context_tenant LOGIN;
GRANT SELECT, INSERT, UPDATE, DELETE ON orders, users TO context_service, context_tenant;

--
-- A service sets the tenant for a transaction
--
\c - context_service
SELECT tenancy.current_tenant() IS NULL AS none, count(*) FROM orders;
BEGIN;
SELECT tenancy.set_tenant('tenant-002');
SELECT tenancy.current_tenant(), current_setting('app.current_tenant_id'), count(*) FROM orders;
SELECT count(*) FROM users;
COMMIT;
SELECT tenancy.current_tenant() IS NULL AS none, count(*) FROM orders;
SELECT count(*) FROM users;

-- without BEGIN it would be gone at once, which is worth a warning
SELECT tenancy.set_tenant('tenant-002');
SELECT tenancy.current_tenant() IS NULL AS none;

-- but not within a function, where it holds until the function's statement ends
DO $$
BEGIN
    PERFORM tenancy.set_tenant('tenant-002');
    RAISE NOTICE 'sees % orders', (SELECT count(*) FROM orders);
END $$;
SELECT tenancy.current_tenant() IS NULL AS none;

-- for the session
SELECT tenancy.set_tenant('tenant-001', false);
SELECT count(*) FROM orders;
SELECT tenancy.clear_tenant();
SELECT tenancy.current_tenant() IS NULL AS none, count(*) FROM orders;

-- a row is written for the tenant in force, and for nobody else
BEGIN;
SELECT tenancy.set_tenant('tenant-001');
INSERT INTO orders (id, note) VALUES (2001, 'mine') RETURNING tenant_id;
SAVEPOINT a;
INSERT INTO orders (id, tenant_id) VALUES (2002, 'tenant-002');
ROLLBACK TO a;
UPDATE orders SET tenant_id = 'tenant-002' WHERE id = 2001;
ROLLBACK;
INSERT INTO orders (id, note) VALUES (2003, 'nobody''s');

--
-- Once in a transaction
--
BEGIN;
SELECT tenancy.set_tenant('tenant-001');
SELECT tenancy.set_tenant('tenant-001');
SELECT tenancy.set_tenant('tenant-002');
\echo :SQLSTATE
ROLLBACK;

-- neither clearing nor a savepoint opens the lock
BEGIN;
SELECT tenancy.set_tenant('tenant-001');
SELECT tenancy.clear_tenant();
SELECT count(*) FROM orders;
SELECT tenancy.set_tenant('tenant-002');
ROLLBACK;
BEGIN;
SAVEPOINT a;
SELECT tenancy.set_tenant('tenant-001');
ROLLBACK TO a;
SELECT tenancy.current_tenant() IS NULL AS none;
SAVEPOINT b;
SELECT tenancy.set_tenant('tenant-002');
ROLLBACK TO b;
SELECT tenancy.set_tenant('tenant-001');
COMMIT;

-- a session's context that somebody has left behind is an error, not a mixture
SELECT tenancy.set_tenant('tenant-001', false);
BEGIN;
SELECT tenancy.set_tenant('tenant-002');
ROLLBACK;
SELECT tenancy.clear_tenant();
BEGIN;
SELECT tenancy.set_tenant('tenant-002');
COMMIT;

-- a procedure's transactions are transactions
CREATE PROCEDURE pg_temp.each_tenant() LANGUAGE plpgsql AS $$
DECLARE
    tenant text;
BEGIN
    FOREACH tenant IN ARRAY ARRAY['tenant-001', 'tenant-002'] LOOP
        PERFORM tenancy.set_tenant(tenant);
        RAISE NOTICE '% has % users', tenant, (SELECT count(*) FROM users);
        COMMIT;
    END LOOP;
END $$;
CALL pg_temp.each_tenant();

-- a rolled back transaction leaves the session as it was
SELECT tenancy.set_tenant('tenant-001', false);
BEGIN;
SELECT tenancy.clear_tenant();
SELECT tenancy.current_tenant() IS NULL AS none;
ROLLBACK;
SELECT tenancy.current_tenant();

-- poolers reset sessions
DISCARD ALL;
SELECT tenancy.current_tenant() IS NULL AS none, count(*) FROM orders;
SELECT tenancy.set_tenant('tenant-001', false);
RESET ALL;
SELECT tenancy.current_tenant() IS NULL AS none;

--
-- Plans are not one tenant's
--
SET plan_cache_mode = force_generic_plan;
PREPARE mine AS SELECT min(id), count(*) FROM orders;
BEGIN; SELECT tenancy.set_tenant('tenant-001'); EXECUTE mine; COMMIT;
BEGIN; SELECT tenancy.set_tenant('tenant-002'); EXECUTE mine; COMMIT;
EXECUTE mine;
RESET plan_cache_mode;

-- and parallel workers have the leader's tenant
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
BEGIN;
SELECT tenancy.set_tenant('tenant-002');
EXPLAIN (COSTS OFF) SELECT count(*) FROM orders WHERE note LIKE 'order%';
SELECT count(*) FROM orders WHERE note LIKE 'order%';
SELECT count(*) FROM users;
COMMIT;
RESET ALL;

-- the planner sees the value: the index on tenant_id serves
SET enable_seqscan = off;
BEGIN;
SELECT tenancy.set_tenant('tenant-002');
EXPLAIN (COSTS OFF) SELECT * FROM orders WHERE note = 'x';
ROLLBACK;
RESET ALL;

--
-- Tenants that cannot be in force
--
SELECT tenancy.set_tenant('tenant-404');
\echo :SQLSTATE
SELECT tenancy.set_tenant('tenant-003');
\echo :SQLSTATE
SELECT tenancy.set_tenant('tenant-001; DROP TABLE orders');
\echo :SQLSTATE
SELECT tenancy.set_tenant('Ünal');
SELECT tenancy.set_tenant('-x');
SELECT tenancy.set_tenant('none');
SELECT tenancy.set_tenant(repeat('x', 51));
SELECT tenancy.set_tenant(repeat('y', 3000) || '!');
SELECT tenancy.set_tenant('');
SELECT tenancy.set_tenant(NULL);
\echo :SQLSTATE

--
-- A tenant's own SQL
--
\c - context_tenant
SELECT tenancy.set_tenant('tenant-001');
\echo :SQLSTATE
SELECT tenancy.clear_tenant();
SET app.current_tenant_id = 'tenant-001';
\echo :SQLSTATE
SET LOCAL app.current_tenant_id = 'tenant-001';
\set VERBOSITY sqlstate
SET SESSION "App.Current_Tenant_ID" = 'tenant-001';
\set VERBOSITY default
SELECT set_config('app.current_tenant_id', 'tenant-001', false);
SELECT set_config('app.current_tenant_id', '', true);
RESET app.current_tenant_id;
UPDATE pg_settings SET setting = 'tenant-001' WHERE name = 'app.current_tenant_id';
ALTER ROLE context_tenant SET app.current_tenant_id = 'tenant-001';
CREATE FUNCTION pg_temp.as_other() RETURNS bigint LANGUAGE sql SET app.current_tenant_id = 'tenant-001'
    AS 'SELECT count(*) FROM orders';
SELECT pg_temp.as_other();
CREATE FUNCTION pg_temp.as_definer() RETURNS text LANGUAGE sql SECURITY DEFINER
    AS $$ SELECT set_config('app.current_tenant_id', 'tenant-001', true) $$;
SELECT pg_temp.as_definer();
CREATE FUNCTION pg_temp.set_tenant() RETURNS text LANGUAGE c AS '$libdir/tenancy', 'tenancy_set_tenant';
SET tenancy.context_setting = 'app.other';
SET tenancy.anything = 'x';
SET ROLE tenancy_service;
SET SESSION AUTHORIZATION context_service;
SELECT count(*) FROM tenancy.tenants;
SELECT tenancy.current_tenant() IS NULL AS none, count(*) FROM orders;

-- when it connects
\! PGOPTIONS="-c app.current_tenant_id=tenant-001" psql -X -d tenant_context_test -U context_tenant -c "SELECT 1" 2>&1 | sed 's/.*FATAL/FATAL/'

-- a function that looks like ours, found before ours, changes nothing for the policy
CREATE FUNCTION pg_temp.current_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'tenant-001' $$;
SET search_path TO pg_temp, tenancy, public;
SELECT count(*) FROM orders;
RESET search_path;

--
-- Roles that may write the setting themselves are checked likewise
--
\c - context_service
SET app.current_tenant_id = 'tenant-001';
\c - :start_user
GRANT SET ON PARAMETER app.current_tenant_id TO context_service;
\c - context_service
SET app.current_tenant_id = 'tenant-404';
\echo :SQLSTATE
SET app.current_tenant_id = 'tenant-003';
\echo :SQLSTATE
SET app.current_tenant_id = 'a b';
\echo :SQLSTATE
BEGIN;
SET LOCAL app.current_tenant_id = 'tenant-001';
SELECT count(*) FROM users;
SET LOCAL app.current_tenant_id = 'tenant-002';
\echo :SQLSTATE
ROLLBACK;
SET app.current_tenant_id = '';
SELECT tenancy.current_tenant() IS NULL AS none;
\c - :start_user
REVOKE SET ON PARAMETER app.current_tenant_id FROM context_service;

--
-- A role that is bound to its tenant by a superuser
--
ALTER ROLE context_tenant SET app.current_tenant_id = 'tenant-404';
ALTER ROLE context_tenant SET app.current_tenant_id = 'tenant 1';
ALTER ROLE context_tenant SET app.current_tenant_id = 'tenant-001';
\c - context_tenant
SELECT tenancy.current_tenant(), count(*) FROM orders;
SET app.current_tenant_id = 'tenant-002';
RESET app.current_tenant_id;
RESET ALL;
DISCARD ALL;
SELECT tenancy.current_tenant(), count(*) FROM orders;
-- a parallel worker connects as the bound role does, and then takes the leader's settings
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET parallel_leader_participation = off;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT max(note) FROM orders;
SELECT max(note) FROM orders;
RESET ALL;

-- suspended, it can still connect, and sees nothing
\c - :start_user
SELECT tenancy.suspend_tenant('tenant-001');
\! psql -X -q -d tenant_context_test -U context_tenant -c "SELECT tenancy.current_tenant() IS NULL AS none, count(*) FROM orders" 2>&1
SELECT tenancy.resume_tenant('tenant-001');

-- for everybody is for nobody
ALTER SYSTEM SET app.current_tenant_id = 'tenant-001';
ALTER ROLE ALL SET app.current_tenant_id = 'tenant-001';
\! psql -X -q -d tenant_context_test -c "SELECT tenancy.current_tenant() IS NULL AS none" 2>&1
ALTER ROLE ALL RESET app.current_tenant_id;

-- An application's own function may check a login and then set the tenant.
CREATE FUNCTION enter(secret text) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $$ SELECT tenancy.set_tenant('tenant-002') WHERE secret = 'sesame' $$;
SET SESSION AUTHORIZATION context_service;
BEGIN;
SELECT enter('sesame');
SELECT count(*) FROM users;
COMMIT;
RESET SESSION AUTHORIZATION;

-- What runs for somebody else, such as the expression of an index, has no business with the context.
CREATE FUNCTION sneaky(id integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM tenancy.set_tenant('tenant-002');
    RETURN id;
END $$;
CREATE INDEX ON users (sneaky(id));
\echo :SQLSTATE

-- where the extension is not, only the form of the identifier is checked
\c :start_database
SET app.current_tenant_id = 'tenant-404';
SHOW app.current_tenant_id;
SET app.current_tenant_id = 'a b';

DROP DATABASE tenant_context_test;
DROP ROLE context_service, context_tenant, tenant_tenant_001, tenant_tenant_002, tenant_tenant_003;
