--
-- context_access: how far a context reaches, and the forms of a tenant's identifier.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE context_access_test;
\c context_access_test
CREATE EXTENSION tenancy;

SELECT count(tenancy.create_tenant('access-' || n, 'Tenant ' || n)) FROM generate_series(1, 5) n;
SELECT tenancy.create_tenant('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'A uuid');
SELECT tenancy.create_tenant('9223372036854775807', 'A number');
SELECT tenancy.create_tenant('007', 'Not the number 7');
SELECT tenancy.create_tenant('9223372036854775808', 'One too many');
SELECT tenancy.suspend_tenant('access-4');

-- Policies by hand: what the functions say is what is seen.
CREATE TABLE orders (id integer PRIMARY KEY, tenant_id text NOT NULL);
INSERT INTO orders SELECT n, 'access-' || n FROM generate_series(1, 5) n;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY by_scope ON orders USING (tenant_id = ANY (tenancy.current_scope()));
CREATE VIEW seen WITH (security_invoker) AS
    SELECT tenancy.current_tenant() AS tenant, tenancy.current_access() AS access, tenancy.current_scope() AS scope,
           (SELECT string_agg(id::text, ',' ORDER BY id) FROM orders) AS orders;

CREATE ROLE access_service LOGIN IN ROLE tenancy_service;
CREATE ROLE access_portal LOGIN IN ROLE tenancy_service;
GRANT SELECT, INSERT, UPDATE ON orders TO access_service, access_portal;
GRANT SELECT ON seen TO access_service, access_portal;
GRANT EXECUTE ON FUNCTION tenancy.set_context(text, text, text[], boolean) TO access_portal;

-- a service has set_tenant(), and not what reaches further
\c - access_service
SELECT tenancy.set_context('access-1', 'superadmin');
\echo :SQLSTATE
SET tenancy.access = 'superadmin::';
\echo :SQLSTATE
SELECT set_config('tenancy.access', 'superadmin::', true);
SELECT tenancy.define_scope('mine', ARRAY['access-1']);
SELECT * FROM tenancy.scopes;
BEGIN;
SELECT tenancy.set_tenant('access-1');
SELECT * FROM seen;
COMMIT;
SELECT * FROM seen;

--
-- Classes
--
\c - access_portal
BEGIN; SELECT tenancy.set_context('access-1', 'client'); SELECT * FROM seen; COMMIT;
BEGIN; SELECT tenancy.set_context('access-1', 'admin', ARRAY['access-3', 'access-2', 'access-3']); SELECT * FROM seen; COMMIT;
BEGIN; SELECT tenancy.set_context(NULL, 'admin', ARRAY['access-3']); SELECT * FROM seen; COMMIT;
BEGIN; SELECT tenancy.set_context(NULL, 'superadmin'); SELECT * FROM seen; COMMIT;
BEGIN; SELECT tenancy.set_context('access-1', 'superadmin'); SELECT * FROM seen; COMMIT;
SELECT * FROM seen;

-- as hand-written policies read it
BEGIN;
SELECT tenancy.set_context('access-1', 'admin', ARRAY['access-2']);
SELECT current_setting('app.current_tenant_id'), current_setting('tenancy.access');
COMMIT;

-- for the session; set together, cleared together, restored together
SELECT tenancy.set_context('access-1', 'admin', ARRAY['access-2'], false);
SELECT * FROM seen;
BEGIN;
SELECT tenancy.clear_tenant();
SELECT * FROM seen;
ROLLBACK;
SELECT * FROM seen;
BEGIN;
SAVEPOINT a;
SELECT tenancy.clear_tenant();
ROLLBACK TO a;
SELECT * FROM seen;
COMMIT;
DISCARD ALL;
SELECT * FROM seen;

-- what cannot be
SELECT tenancy.set_context('access-1', 'owner');
\echo :SQLSTATE
SELECT tenancy.set_context('access-1', NULL);
SELECT tenancy.set_context('access-1', 'none');
SELECT tenancy.set_context(NULL, 'client');
SELECT tenancy.set_context(NULL, 'admin');
SELECT tenancy.set_context('access-1', 'client', ARRAY['access-2']);
SELECT tenancy.set_context(NULL, 'superadmin', ARRAY['access-2']);
SELECT tenancy.set_context('access-1', 'admin', ARRAY['access-404']);
\echo :SQLSTATE
SELECT tenancy.set_context('access-1', 'admin', ARRAY['access-2,access-3']);
SELECT tenancy.set_context('access-1', 'admin', ARRAY['a:b']);
SELECT tenancy.set_context('access-1', 'admin', ARRAY[NULL, 'access-2']);
SELECT tenancy.set_context('access-1', 'admin', ARRAY['']);
SELECT tenancy.set_context('access-4', 'admin', ARRAY['access-1']);
\echo :SQLSTATE
SELECT tenancy.set_context('access-404', 'client');
\echo :SQLSTATE

--
-- Lock once covers the class and the scope
--
BEGIN;
SELECT tenancy.set_tenant('access-1');
SELECT tenancy.set_context('access-1', 'superadmin');
\echo :SQLSTATE
ROLLBACK;
BEGIN; SELECT tenancy.set_context('access-1', 'admin', ARRAY['access-2']); SELECT tenancy.set_tenant('access-1'); ROLLBACK;
BEGIN;
SELECT tenancy.set_context('access-1', 'admin', ARRAY['access-2']);
SELECT tenancy.set_context('access-1', 'admin', ARRAY['access-2']);
SELECT tenancy.set_context('access-1', 'admin', ARRAY['access-3']);
ROLLBACK;
BEGIN;
SELECT tenancy.set_context(NULL, 'superadmin');
SELECT tenancy.clear_tenant();
SELECT * FROM seen;
SAVEPOINT a;
SELECT tenancy.set_tenant('access-1');
ROLLBACK TO a;
SELECT tenancy.set_context(NULL, 'superadmin');
SELECT * FROM seen;
COMMIT;
SELECT tenancy.set_context(NULL, 'superadmin', NULL, false);
BEGIN; SELECT tenancy.set_tenant('access-1'); ROLLBACK;
SELECT tenancy.clear_tenant();

--
-- Members that are not active are left out, at once
--
SELECT tenancy.set_context('access-1', 'admin', ARRAY['access-2', 'access-4', 'access-5'], false);
SELECT * FROM seen;
\! psql -X -q -At -d context_access_test -c "SELECT tenancy.suspend_tenant('access-2'), tenancy.resume_tenant('access-4')"
SELECT * FROM seen;
\! psql -X -q -At -d context_access_test -c "SELECT tenancy.resume_tenant('access-2'), tenancy.suspend_tenant('access-4')"
SELECT * FROM seen;
\! psql -X -q -At -d context_access_test -c "SELECT tenancy.suspend_tenant('access-1')"
SELECT * FROM seen;
\! psql -X -q -At -d context_access_test -c "SELECT tenancy.resume_tenant('access-1')"
SELECT tenancy.clear_tenant();

--
-- Scopes with a name
--
\c - :start_user
SELECT tenancy.define_scope('north', ARRAY['access-2', 'access-3']);
SELECT tenancy.define_scope('North', ARRAY['access-2']);
SELECT tenancy.define_scope('south', ARRAY['access-404']);
SELECT tenancy.define_scope('south', NULL);
SELECT tenancy.drop_scope('south');
\c - access_portal
SELECT tenancy.set_context(NULL, 'admin', ARRAY['@south']);
\echo :SQLSTATE
SELECT tenancy.set_context(NULL, 'admin', ARRAY['@No Name']);
SELECT tenancy.set_context(NULL, 'admin', ARRAY['@north', 'access-5'], false);
SELECT * FROM seen;
\! psql -X -q -At -d context_access_test -c "SELECT tenancy.define_scope('north', ARRAY['access-1'])"
SELECT * FROM seen;
\! psql -X -q -At -d context_access_test -c "SELECT tenancy.drop_scope('north')"
SELECT * FROM seen;
SELECT tenancy.clear_tenant();

--
-- Whoever may SET one of the settings alone gets nothing by it
--
\c - :start_user
GRANT SET ON PARAMETER tenancy.access, app.current_tenant_id TO access_service;
\c - access_service
SET tenancy.access = 'admin:access-1:access-2';
SELECT * FROM seen;
SET app.current_tenant_id = 'access-3';
SELECT * FROM seen;
SET app.current_tenant_id = '';
SET app.current_tenant_id = 'access-1';
SELECT * FROM seen;
SET tenancy.access = 'superadmin:access-1:';
\echo :SQLSTATE
RESET ALL;
SET tenancy.access = 'admin';
\echo :SQLSTATE
SET tenancy.access = 'none::';
SET tenancy.access = 'admin::';
SET tenancy.access = 'client:access-1:access-2';
SET tenancy.access = 'admin::a b';
SET tenancy.access = 'admin:access-1:access-2:access-3';
BEGIN;
SET LOCAL tenancy.access = 'superadmin::';
SELECT * FROM seen;
ROLLBACK;
SELECT * FROM seen;
\c - :start_user
REVOKE SET ON PARAMETER tenancy.access, app.current_tenant_id FROM access_service;
ALTER SYSTEM SET tenancy.access = 'superadmin::';
ALTER ROLE ALL SET tenancy.access = 'superadmin::';
\! psql -X -q -At -d context_access_test -c "SELECT tenancy.current_access()" 2>&1
ALTER ROLE ALL RESET tenancy.access;

--
-- Plans and parallel workers
--
\c - access_portal
SET plan_cache_mode = force_generic_plan;
PREPARE mine AS SELECT string_agg(id::text, ',' ORDER BY id) FROM orders;
BEGIN; SELECT tenancy.set_context(NULL, 'admin', ARRAY['access-1', 'access-3']); EXECUTE mine; COMMIT;
BEGIN; SELECT tenancy.set_tenant('access-2'); EXECUTE mine; COMMIT;
EXECUTE mine;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
BEGIN;
SELECT tenancy.set_context('access-1', 'admin', ARRAY['access-5', 'access-3']);
EXPLAIN (COSTS OFF) SELECT count(*) FROM orders;
SELECT count(*) FROM orders;
COMMIT;
RESET ALL;

--
-- Identifiers of other types; "007" is not the number 7
--
CREATE FUNCTION pg_temp.forms(id text, OUT tenant text, OUT number bigint, OUT uuid uuid) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tenancy.set_tenant(id);
    SELECT tenancy.current_tenant(), tenancy.current_tenant_bigint(), tenancy.current_tenant_uuid() INTO tenant, number, uuid;
END $$;
SELECT * FROM pg_temp.forms('access-1');
SELECT * FROM pg_temp.forms('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
SELECT * FROM pg_temp.forms('9223372036854775807');
SELECT * FROM pg_temp.forms('9223372036854775808');
SELECT * FROM pg_temp.forms('007');
SELECT tenancy.current_tenant_bigint() IS NULL AND tenancy.current_tenant_uuid() IS NULL AS none;

--
-- A held cursor does not go from one tenant to the next
--
SELECT tenancy.set_tenant('access-1', false);
BEGIN;
DECLARE mine CURSOR WITH HOLD FOR SELECT * FROM orders;
COMMIT;
FETCH mine;
SELECT tenancy.clear_tenant();
FETCH mine;
BEGIN;
SELECT tenancy.set_tenant('access-1');
DECLARE mine CURSOR WITH HOLD FOR SELECT * FROM orders;
COMMIT;
\echo :SQLSTATE
FETCH mine;
BEGIN;
SELECT tenancy.set_tenant('access-1');
DECLARE mine CURSOR WITH HOLD FOR SELECT * FROM orders;
FETCH mine;
CLOSE mine;
COMMIT;
-- nor does one that was declared first
BEGIN;
DECLARE mine CURSOR WITH HOLD FOR SELECT * FROM orders;
SELECT tenancy.set_tenant('access-1');
COMMIT;
FETCH mine;
-- one that is open gives no more rows when its tenant is suspended
BEGIN;
SELECT tenancy.set_context('access-1', 'admin', ARRAY['access-2', 'access-3']);
DECLARE mine CURSOR FOR SELECT * FROM orders ORDER BY id;
FETCH mine;
\! psql -X -q -At -d context_access_test -c "SELECT tenancy.suspend_tenant('access-1')"
FETCH mine;
\echo :SQLSTATE
ROLLBACK;

\c :start_database :start_user
DROP DATABASE context_access_test;
DO $$
DECLARE r name;
BEGIN
    FOR r IN SELECT rolname FROM pg_roles WHERE rolname LIKE 'tenant\_access\_%' OR rolname IN ('access_service', 'access_portal', 'tenant_a0eebc99_9c0b_4ef8_bb6d_6bb9bd380a11', 'tenant_9223372036854775807', 'tenant_9223372036854775808', 'tenant_007') LOOP
        EXECUTE format('DROP ROLE %I', r);
    END LOOP;
END $$;
