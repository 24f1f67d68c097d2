--
-- strict_mode: a forgotten tenant is an error and not an empty result.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE strict_mode_test;
\c strict_mode_test
CREATE EXTENSION tenancy;

SELECT tenancy.create_tenant('strict-1', 'One');
CREATE TABLE orders (id integer PRIMARY KEY, tenant_id text NOT NULL);
INSERT INTO orders SELECT n, 'strict-1' FROM generate_series(1, 10) n;
SELECT tenancy.protect('orders');
CREATE TABLE own (id integer);
INSERT INTO own VALUES (1);
SELECT tenancy.protect('own', tenant => 'strict-1');
CREATE TABLE open (id integer);
CREATE ROLE strict_service LOGIN IN ROLE tenancy_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON orders, own, open TO strict_service;

-- off, it is an empty result
\c - strict_service
SHOW tenancy.strict;
SELECT count(*) FROM orders;
-- and nobody else's to decide
SET tenancy.strict = on;
\echo :SQLSTATE

\c - :start_user
ALTER ROLE strict_service IN DATABASE strict_mode_test SET tenancy.strict = on;
\c - strict_service
SET tenancy.strict = off;
\echo :SQLSTATE
SELECT count(*) FROM orders;
\echo :SQLSTATE
SELECT * FROM orders WHERE id = 1;
SELECT count(*) FROM own;
UPDATE orders SET id = id;
DELETE FROM orders;
INSERT INTO orders (id) VALUES (11);
INSERT INTO orders (id, tenant_id) VALUES (11, 'strict-1');
SELECT tenancy.current_tenant();
SELECT tenancy.current_scope();
SELECT tenancy.current_tenant_uuid();
-- what needs no tenant goes on, and whether there is one can be asked
SELECT count(*) FROM open;
SELECT tenancy.current_access(), current_setting('app.current_tenant_id') AS setting;

-- with a tenant it is as ever, and afterwards an error again
BEGIN;
SELECT tenancy.set_tenant('strict-1');
SELECT count(*) FROM orders;
SELECT count(*) FROM own;
COMMIT;
SELECT count(*) FROM orders;

-- a suspended tenant is told by its name
SELECT tenancy.set_tenant('strict-1', false);
SELECT count(*) FROM orders;
\! psql -X -q -At -d strict_mode_test -c "SELECT tenancy.suspend_tenant('strict-1')"
SELECT count(*) FROM orders;
\echo :SQLSTATE
SELECT count(*) FROM open;

-- caught, it is no end
DO $$
BEGIN
    PERFORM tenancy.clear_tenant();
    PERFORM count(*) FROM orders;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'caught: %', SQLERRM;
END $$;

\c :start_database :start_user
DROP DATABASE strict_mode_test;
DROP ROLE strict_service, tenant_strict_1;
