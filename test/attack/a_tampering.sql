--
-- A: tampering with the context.  A customer's SQL tries to become another customer.
--

--: A01 SET
--: as acme
SET app.current_tenant_id = 'globex';
SELECT note FROM shop.orders;

--: A02 SET LOCAL within a transaction
--: as acme
BEGIN;
SET LOCAL app.current_tenant_id = 'globex';
SELECT note FROM shop.orders;
ROLLBACK;
BEGIN;
SET LOCAL app.current_tenant_id = 'globex';
COMMIT;
SELECT note FROM shop.orders;

--: A03 set_config(), for the session and for the transaction
--: as acme
SELECT set_config('app.current_tenant_id', 'globex', false);
SELECT note FROM shop.orders;
SELECT set_config('app.current_tenant_id', 'globex', true), (SELECT string_agg(note, ',') FROM shop.orders);

--: A04 UPDATE pg_settings
--: as acme
UPDATE pg_settings SET setting = 'globex' WHERE name = 'app.current_tenant_id';
SELECT note FROM shop.orders;

--: A05 a function's SET clause
--: as acme
CREATE FUNCTION pg_temp.spy() RETURNS SETOF text LANGUAGE sql SET app.current_tenant_id = 'globex'
    AS 'SELECT note FROM shop.orders';
SELECT pg_temp.spy();

--: A06 a procedure's SET clause, and ALTER FUNCTION … SET
--: as acme
CREATE FUNCTION pg_temp.spy() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT note FROM shop.orders; END $$;
ALTER FUNCTION pg_temp.spy() SET app.current_tenant_id = 'globex';
SELECT pg_temp.spy();
ALTER FUNCTION pg_temp.spy() SET app.current_tenant_id FROM CURRENT;
SELECT pg_temp.spy();

--: A07 the client's start-up options
--: as acme with -c app.current_tenant_id=globex
SELECT note FROM shop.orders;

--: A08 the start-up options, in other letters
--: as acme with --App.Current-Tenant-Id=globex -c APP.CURRENT_TENANT_ID=globex
SELECT note FROM shop.orders;

--: A09 the name in other letters
--: as acme
SET "APP.Current_Tenant_ID" = 'globex';
SET App.CURRENT_TENANT_ID TO globex;
SELECT set_config('aPP.current_tenant_iD', 'globex', false);
SELECT note FROM shop.orders;

--: A10 RESET leads to another value than the role's own
--: as acme
RESET app.current_tenant_id;
SELECT set_config('app.current_tenant_id', NULL, false);
SET app.current_tenant_id TO DEFAULT;
SELECT note FROM shop.orders;
RESET ALL;
SELECT note FROM shop.orders;

--: A11 a role's own settings: ALTER ROLE … SET for itself
--: as acme
ALTER ROLE acme SET app.current_tenant_id = 'globex';
ALTER ROLE CURRENT_USER IN DATABASE :"DBNAME" SET app.current_tenant_id = 'globex';
--: as acme
SELECT note FROM shop.orders;

--: A12 a role's own settings: ALTER ROLE … RESET unbinds, the session then sets at will
--: as acme
ALTER ROLE acme RESET app.current_tenant_id;
ALTER ROLE acme RESET ALL;
--: as acme
SET app.current_tenant_id = 'globex';
SELECT note FROM shop.orders;

--: A13 ALTER DATABASE … SET, and ALTER ROLE ALL
--: as mallory
ALTER DATABASE :"DBNAME" SET app.current_tenant_id = 'globex';
ALTER ROLE ALL SET app.current_tenant_id = 'globex';
--: as acme
SELECT note FROM shop.orders;

--: A14 ALTER SYSTEM and a reload
--: as mallory
ALTER SYSTEM SET app.current_tenant_id = 'globex';
SELECT pg_reload_conf();
--: as mallory
SELECT note FROM shop.orders;

--: A15 calling the setter itself
--: as acme
SELECT tenancy.set_tenant('globex');
SELECT tenancy.set_tenant('globex', false);
SELECT note FROM shop.orders;

--: A16 clearing the context first, then calling the setter
--: as acme
SELECT tenancy.clear_tenant();
DISCARD ALL;
SELECT tenancy.set_tenant('globex', false);
SELECT note FROM shop.orders;

--: A17 the setter under a name of one's own
--: as mallory
CREATE FUNCTION tools.become(text, boolean) RETURNS text LANGUAGE c AS '$libdir/tenancy', 'tenancy_set_tenant';
CREATE FUNCTION tools.become(text) RETURNS text LANGUAGE sql AS $$ SELECT tenancy.set_tenant($1, false) $$;
SELECT tools.become('globex', false);
SELECT tools.become('globex');
SELECT note FROM shop.orders;

--: A18 a DO block that swallows the refusal, again and again
--: as acme
DO $$
BEGIN
    FOR attempt IN 1..10 LOOP
        BEGIN
            PERFORM set_config('app.current_tenant_id', 'globex', attempt % 2 = 0);
        EXCEPTION WHEN OTHERS THEN
            RAISE NOTICE 'refused';
        END;
    END LOOP;
END $$;
SELECT note FROM shop.orders;

--: A19 a value that a check might read otherwise: blanks, letters, quotes, lists
--: as acme
SELECT set_config('app.current_tenant_id', 'globex ', false);
SELECT set_config('app.current_tenant_id', 'GLOBEX', false);
SELECT set_config('app.current_tenant_id', 'acme'' OR ''1''=''1', false);
SELECT set_config('app.current_tenant_id', 'acme,globex', false);
SELECT set_config('app.current_tenant_id', '%', false);
SELECT note FROM shop.orders;
SELECT set_config('app.current_tenant_id', 'globex', false), count(*) FILTER (WHERE tenant_id <> 'acme') AS others FROM shop.orders;
SELECT note FROM shop.orders;

--: A20 GRANT SET ON PARAMETER to oneself
--: as mallory
GRANT SET ON PARAMETER app.current_tenant_id TO mallory;
GRANT ALTER SYSTEM ON PARAMETER app.current_tenant_id TO mallory;
SET app.current_tenant_id = 'globex';
SELECT note FROM shop.orders;

--: A21 another role's setting: SET ROLE and SESSION AUTHORIZATION
--: as acme
SET ROLE tenant_globex;
SET SESSION AUTHORIZATION globex;
SET ROLE tenancy_service;
SET ROLE NONE;
SELECT note FROM shop.orders;

--: A22 the role chosen by the start-up options
--: as acme with -c role=globex
SELECT note FROM shop.orders;
--: as acme with -c session_authorization=globex
SELECT note FROM shop.orders;
--: as acme
ALTER ROLE acme SET role = 'tenant_globex';
--: as acme
SELECT note FROM shop.orders;

--: A23 a service's session: SQL injected behind set_tenant() names another tenant
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
--: look
SELECT tenancy.set_tenant('globex');
SELECT note FROM shop.orders;
ROLLBACK;

--: A24 a service's session: injected SET and set_config()
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
--: look
SAVEPOINT one;
SET LOCAL app.current_tenant_id = 'globex';
ROLLBACK TO one;
SELECT set_config('app.current_tenant_id', 'globex', true);
ROLLBACK TO one;
SELECT set_config('app.current_tenant_id', 'globex', true), count(*) FROM shop.orders;
ROLLBACK TO one;
SET app.current_tenant_id = 'globex';
SELECT note FROM shop.orders;
COMMIT;
SELECT note FROM shop.orders;

--: A25 a service's session: clear, then set within the same transaction
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
--: look
SELECT tenancy.clear_tenant();
SELECT tenancy.set_tenant('globex');
SELECT note FROM shop.orders;
COMMIT;

--: A26 a service's session: RESET ALL opens the lock of the transaction
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
--: look
RESET ALL;
SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE;
SELECT tenancy.set_tenant('globex');
SELECT note FROM shop.orders;
COMMIT;

--: A27 a service's session: a subtransaction is rolled back, and the lock with it
--: as service
BEGIN;
SAVEPOINT one;
SELECT tenancy.set_tenant('acme');
--: look
ROLLBACK TO one;
SELECT tenancy.set_tenant('globex');
SELECT note FROM shop.orders;
COMMIT;

--: A28 a service's session: an exception block takes the context back
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
--: look
DO $$
BEGIN
    PERFORM tenancy.clear_tenant();
    PERFORM tenancy.set_tenant('globex');
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE '%', SQLERRM;
END $$;
DO $$
DECLARE
    line text;
BEGIN
    FOR line IN SELECT note FROM shop.orders LOOP
        RAISE NOTICE '%', line;
    END LOOP;
END $$;
COMMIT;

--: A29 a service's session: set_tenant() and the query in one statement, in either order
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
--: look
WITH one AS MATERIALIZED (SELECT tenancy.set_tenant('globex')) SELECT o.note FROM one, shop.orders o;
ROLLBACK;
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT note, tenancy.set_tenant('globex') FROM shop.orders;
ROLLBACK;

--: A30 a service's session: the value changes between two rows of one query
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
--: look
SELECT note FROM shop.orders WHERE tenancy.set_tenant(CASE WHEN id % 2 = 0 THEN 'globex' ELSE 'acme' END) IS NOT NULL;
ROLLBACK;

--: A31 a placeholder of the same name, before the library is loaded
-- A placeholder is what the server keeps for a setting that nobody has defined: a policy that reads it believes it.
--: as acme with -c app.current_tenant_id=globex -c app.current_tenant_id=globex
SELECT note FROM shop.orders;
LOAD 'tenancy';
SELECT note FROM shop.orders;

--: A32 another setting that decides where the tenant is read from
--: as acme with -c tenancy.context_setting=my.tenant -c my.tenant=globex
SELECT note FROM shop.orders;
--: as acme
SET tenancy.context_setting = 'my.tenant';
SET my.tenant = 'globex';
SELECT set_config('app.current_tenant_id', 'globex', false);
SELECT note FROM shop.orders;

--: A33 settings that switch policies off
--: as acme
SET row_security = off;
SELECT note FROM shop.orders;
SET row_security = on;
SET session_replication_role = replica;
SET allow_system_table_mods = on;
UPDATE pg_class SET relrowsecurity = false WHERE relname = 'orders';
DELETE FROM pg_policy;
SELECT note FROM shop.orders;

--: A34 settings of one's own role that switch policies off
--: as acme
ALTER ROLE acme SET row_security = off;
ALTER ROLE acme SET session_preload_libraries = '/tmp/evil';
ALTER ROLE acme BYPASSRLS;
ALTER ROLE acme SUPERUSER;
--: as acme
SELECT note FROM shop.orders;

--: A35 a function that is called like ours, found first
--: as mallory
CREATE SCHEMA mine;
CREATE FUNCTION mine.current_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'globex' $$;
CREATE FUNCTION mine.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'globex' $$;
CREATE FUNCTION mine.eq(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE OPERATOR mine.= (LEFTARG = text, RIGHTARG = text, FUNCTION = mine.eq);
SET search_path TO mine, pg_catalog, shop;
SELECT note FROM orders;

--: A36 our function, replaced
--: as mallory
CREATE OR REPLACE FUNCTION tenancy.current_tenant() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'globex' $$;
ALTER FUNCTION tenancy.current_tenant() RENAME TO old_tenant;
ALTER SCHEMA tenancy RENAME TO old_tenancy;
DROP SCHEMA tenancy CASCADE;
CREATE FUNCTION tenancy.current_tenant(text DEFAULT '') RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'globex' $$;
SELECT note FROM shop.orders;

--: A37 the registry is made to say what one likes
--: as mallory
UPDATE tenancy.tenants SET tenant_id = 'acme' WHERE tenant_id = 'globex';
INSERT INTO tenancy.tenants (tenant_id, name, status, database_config) VALUES ('globex2', 'x', 'active', '{"type": "shared"}');
DELETE FROM tenancy.tenants;
CREATE TRIGGER t AFTER UPDATE ON tenancy.tenants FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
SELECT database_config FROM tenancy.tenants;
SELECT note FROM shop.orders;

--: A59 a service's session: the login itself is changed, for all sessions that come
--: leak if EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE r.rolname = 'service') OR (SELECT rolpassword IS NOT NULL FROM pg_authid WHERE rolname = 'service') OR NOT has_schema_privilege('service', 'shop', 'USAGE') OR pg_has_role('mallory', 'service', 'MEMBER')
--: as dba
REVOKE USAGE ON SCHEMA shop FROM PUBLIC;
GRANT USAGE ON SCHEMA shop TO service, tenant_acme, tenant_globex, pooled;
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
ALTER ROLE service SET search_path TO tools, shop;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('acme');
ALTER ROLE CURRENT_USER IN DATABASE postgres SET default_transaction_read_only TO on;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('acme');
ALTER USER service PASSWORD 'mine now';
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('acme');
GRANT service TO mallory;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('acme');
DROP OWNED BY service;
COMMIT;
