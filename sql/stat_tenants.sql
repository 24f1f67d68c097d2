--
-- stat_tenants: what each tenant does, and what is refused to it.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE stat_tenants_test;
\c stat_tenants_test
CREATE EXTENSION tenancy;

SELECT count(tenancy.create_tenant('stat-' || n, 'Tenant ' || n)) FROM generate_series(1, 3) n;
SELECT tenancy.suspend_tenant('stat-3');
CREATE TABLE orders (id integer PRIMARY KEY, tenant_id text NOT NULL);
INSERT INTO orders SELECT n, 'stat-' || 1 + n % 2 FROM generate_series(1, 100) n;
SELECT tenancy.protect('orders');
CREATE ROLE stat_service LOGIN IN ROLE tenancy_service;
CREATE ROLE stat_monitor LOGIN IN ROLE pg_monitor;
GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO stat_service;
CREATE VIEW counted AS SELECT tenant, transactions AS txs, statements, rows_read AS read, rows_written AS written, denied, switches FROM tenancy.stat_tenants ORDER BY tenant COLLATE "C";

-- what the superuser did above had no tenant
SELECT * FROM counted;

\c - stat_service
-- one transaction: set_tenant(), then 50 rows, 5 inserted, 50 updated, 3 deleted
BEGIN;
SELECT tenancy.set_tenant('stat-1');
SELECT count(*) AS all FROM (SELECT * FROM orders) o;
INSERT INTO orders (id) SELECT n FROM generate_series(1001, 1005) n;
UPDATE orders SET id = id WHERE id < 1000;
DELETE FROM orders WHERE id > 1002;
COMMIT;
-- rolled back, it has been work all the same
BEGIN;
SELECT tenancy.set_tenant('stat-1');
INSERT INTO orders (id) VALUES (2000);
ROLLBACK;
-- for the session: set_tenant() and two statements, each a transaction
SELECT tenancy.set_tenant('stat-2', false);
SELECT id FROM orders ORDER BY id LIMIT 7;
COPY (SELECT * FROM orders ORDER BY id LIMIT 2) TO STDOUT;
\c - :start_user
SELECT * FROM counted;

-- a cursor counts what it gave, a function's statements count in its statement
\c - stat_service
BEGIN;
SELECT tenancy.set_tenant('stat-2');
DECLARE c CURSOR FOR SELECT * FROM orders ORDER BY id;
FETCH 3 FROM c;
MOVE 2 IN c;
FETCH 4 FROM c;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('stat-1');
DO $$ BEGIN FOR n IN 1 .. 10 LOOP INSERT INTO orders (id) VALUES (3000 + n); END LOOP; END $$;
COMMIT;
\c - :start_user
SELECT * FROM counted;

-- what is refused
SELECT tenancy.stat_tenants_reset();
SELECT * FROM counted;
\c - stat_service
SELECT tenancy.set_tenant('stat-404');
SELECT tenancy.set_tenant('stat-3');
BEGIN; SELECT tenancy.set_tenant('stat-1'); SELECT tenancy.set_tenant('stat-2'); ROLLBACK;
SET tenancy.token = 'v1.k1.stat-1.client..9999999999.AAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA';
SELECT count(*) FROM orders;
RESET tenancy.token;
\c - :start_user
SELECT * FROM counted;
SELECT last_seen BETWEEN now() - interval '1 minute' AND now() AS just_now FROM tenancy.stat_tenants;

-- who may look
\c - stat_service
SELECT * FROM tenancy.stat_tenants;
\echo :SQLSTATE
SELECT tenancy.stat_tenants_reset();
\c - stat_monitor
SELECT tenant FROM tenancy.stat_tenants ORDER BY tenant COLLATE "C";
SELECT tenancy.stat_tenants_reset();
\c - :start_user
SELECT tenancy.stat_tenants_reset('stat-1');
SELECT tenant FROM tenancy.stat_tenants ORDER BY tenant COLLATE "C";

-- each database has its own
\c :start_database
CREATE DATABASE stat_tenants_other;
\c stat_tenants_other
CREATE EXTENSION tenancy;
SELECT count(*) FROM tenancy.stat_tenants;
\c stat_tenants_test
SELECT count(*) FROM tenancy.stat_tenants;

-- bounded: 5,000 at most, and sums stay true
SELECT tenancy.stat_tenants_reset();
INSERT INTO tenancy.tenants (tenant_id, name, database_config, status)
SELECT 'many-' || n, 'Many', '{"type": "shared"}', 'active' FROM generate_series(1, 6000) n;
CREATE PROCEDURE each() LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 1 .. 6000 LOOP
        PERFORM tenancy.set_tenant('many-' || n);
        COMMIT;
    END LOOP;
END $$;
CALL each();
SELECT count(*) BETWEEN 4000 AND 5001 AS bounded, sum(transactions), sum(transactions) FILTER (WHERE tenant = '*') >= 1000 AS others FROM tenancy.stat_tenants;

\c :start_database
DROP DATABASE stat_tenants_test;
DROP DATABASE stat_tenants_other;
DROP ROLE stat_service, stat_monitor, tenant_stat_1, tenant_stat_2, tenant_stat_3;
