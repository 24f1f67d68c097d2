--
-- role_binding: a login that is one tenant's, and what it tries to leave it.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE role_binding_test;
\c role_binding_test
CREATE EXTENSION tenancy;

SELECT count(tenancy.create_tenant('bound-' || n, 'Tenant ' || n)) FROM generate_series(1, 3) n;
CREATE TABLE orders (id integer PRIMARY KEY, tenant_id text NOT NULL);
INSERT INTO orders SELECT n, 'bound-' || 1 + n % 3 FROM generate_series(1, 30) n;
SELECT tenancy.protect('orders');
CREATE VIEW seen WITH (security_invoker) AS
    SELECT tenancy.current_tenant() AS tenant, tenancy.current_access() AS access, tenancy.current_scope() AS scope,
           (SELECT count(*) FROM orders) AS orders;
CREATE ROLE bound_alice LOGIN;
CREATE ROLE bound_service LOGIN IN ROLE tenancy_service;
CREATE ROLE bound_auditor LOGIN;
CREATE ROLE bound_root LOGIN;
CREATE ROLE bound_helper LOGIN CREATEROLE;
GRANT bound_alice TO bound_helper WITH ADMIN OPTION;
GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO PUBLIC;
GRANT SELECT ON seen TO PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.set_context TO bound_service;

SELECT tenancy.bind_role('bound_alice', 'bound-1');
SELECT tenancy.bind_role('bound_service', 'bound-2');
SELECT tenancy.bind_role('bound_auditor', 'bound-1', 'admin', ARRAY['bound-3']);
SELECT tenancy.bind_role('bound_root', NULL, 'superadmin');
SELECT * FROM tenancy.role_bindings ORDER BY role_name;

-- what cannot be bound
SELECT tenancy.bind_role('bound_nobody', 'bound-1');
\echo :SQLSTATE
SELECT tenancy.bind_role('bound_alice', 'bound-404');
\echo :SQLSTATE
SELECT tenancy.bind_role('bound_alice', NULL);
SELECT tenancy.bind_role('bound_alice', 'bound-1', 'owner');
SELECT tenancy.bind_role(:'start_user', 'bound-1');
\echo :SQLSTATE
SELECT tenancy.bind_role('pg_monitor', 'bound-1');
\c - bound_helper
SELECT tenancy.bind_role('bound_alice', 'bound-2');
\echo :SQLSTATE
ALTER ROLE bound_alice SET app.current_tenant_id = 'bound-2';
ALTER ROLE bound_alice IN DATABASE role_binding_test SET tenancy.access = 'superadmin:bound-1:';
ALTER ROLE bound_alice IN DATABASE role_binding_test RESET app.current_tenant_id;
ALTER ROLE bound_alice RESET ALL;

-- in force from the first statement on
\c - bound_alice
SELECT * FROM seen;
\c - bound_auditor
SELECT tenancy.current_tenant(), tenancy.current_access(), tenancy.current_scope();
\c - bound_root
SELECT tenancy.current_tenant(), tenancy.current_access(), tenancy.current_scope();
-- but only where it was said
\c :start_database bound_alice
SHOW app.current_tenant_id;
\c role_binding_test bound_alice

-- the role cannot leave it
SET app.current_tenant_id = 'bound-2';
\echo :SQLSTATE
SET app.current_tenant_id = '';
RESET app.current_tenant_id;
SET tenancy.access = 'superadmin:bound-1:';
RESET tenancy.access;
RESET ALL;
SELECT * FROM seen;
DISCARD ALL;
SELECT * FROM seen;
ALTER ROLE bound_alice RESET ALL;
ALTER ROLE bound_alice IN DATABASE role_binding_test RESET ALL;
SELECT tenancy.unbind_role('bound_alice');
BEGIN; SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; COMMIT;
\! PGOPTIONS="-c app.current_tenant_id=bound-2" psql -X -d role_binding_test -U bound_alice -c "SELECT 1" 2>&1 | sed 's/.*FATAL/FATAL/'
\c
SELECT * FROM seen;

-- not even with what a service may do
\c - bound_service
SELECT * FROM seen;
SELECT tenancy.set_tenant('bound-1');
\echo :SQLSTATE
SELECT tenancy.clear_tenant();
\echo :SQLSTATE
SELECT tenancy.set_context(NULL, 'superadmin');
SELECT tenancy.set_context('bound-2', 'admin', ARRAY['bound-1']);
BEGIN;
SELECT tenancy.set_tenant('bound-2');
SELECT * FROM seen;
COMMIT;
SELECT * FROM seen;

-- nor with a token of somebody else's; one of its own changes nothing
\c - :start_user
SELECT tenancy.rotate_key();
SELECT tenancy.issue_token('bound-1', login => 'bound_alice') AS own, tenancy.issue_token('bound-2', login => 'bound_alice') AS other,
       tenancy.issue_token('bound-1', 'superadmin', login => 'bound_alice') AS risen \gset
\c - bound_alice
SET tenancy.token = :'own';
SELECT * FROM seen;
SET tenancy.token = :'other';
\echo :SQLSTATE
SET tenancy.token = :'risen';
\set start 'dbname=role_binding_test user=bound_alice options=\'-c tenancy.token='
\set other :start:other'\''
\c -reuse-previous=off :other
SELECT tenancy.current_access();
SELECT * FROM orders;
\echo :SQLSTATE
\c -reuse-previous=off 'dbname=role_binding_test user=bound_alice'

-- prepared plans, savepoints and errors
PREPARE mine AS SELECT count(*) FROM orders;
EXECUTE mine;
BEGIN;
SAVEPOINT a;
SET app.current_tenant_id = 'bound-2';
ROLLBACK TO a;
EXECUTE mine;
COMMIT;

-- a suspended tenant's login connects, and sees nothing
\c - :start_user
SELECT tenancy.suspend_tenant('bound-1');
\! psql -X -q -d role_binding_test -U bound_alice -c "SELECT * FROM seen"
-- the admin's access was for this tenant, so that nothing of it is left
\! psql -X -q -d role_binding_test -U bound_auditor -c "SELECT * FROM seen"
\c - bound_alice
SELECT * FROM seen;
\! psql -X -q -At -d role_binding_test -c "SELECT tenancy.resume_tenant('bound-1')"
SELECT * FROM seen;
\c - :start_user

-- another binding, and none, count for new sessions
SELECT tenancy.bind_role('bound_auditor', 'bound-2');
\c - bound_auditor
SELECT * FROM seen;
\c - :start_user
SELECT tenancy.unbind_role('bound_auditor');
SELECT tenancy.unbind_role('bound_auditor');
SELECT * FROM tenancy.role_bindings ORDER BY role_name;
\c - bound_auditor
SELECT * FROM seen;

\c :start_database :start_user
DROP DATABASE role_binding_test;
DROP ROLE bound_alice, bound_service, bound_auditor, bound_root, bound_helper, tenant_bound_1, tenant_bound_2, tenant_bound_3;
