--
-- G: writes.  A customer changes, plants, locks out or destroys what is another's.
--

--: G01 INSERT with another's identifier
--: as acme
INSERT INTO shop.orders (tenant_id, note) VALUES ('globex', 'HACKED');
INSERT INTO shop.orders (tenant_id, note) VALUES ('acme', 'mine'), ('globex', 'HACKED');
INSERT INTO shop.orders (tenant_id, note) SELECT 'globex', 'HACKED' FROM generate_series(1, 3);

--: G02 UPDATE gives a row to another
--: as acme
UPDATE shop.orders SET tenant_id = 'globex', note = 'HACKED';
UPDATE shop.orders SET (tenant_id, note) = (SELECT 'globex', 'HACKED') WHERE id = 1;
UPDATE shop.orders SET (tenant_id, note) = ROW ('globex', 'HACKED');

--: G03 UPDATE of another's rows
--: as acme
UPDATE shop.orders SET note = 'HACKED' WHERE tenant_id = 'globex';
UPDATE shop.orders SET note = 'HACKED' WHERE id = 2;
UPDATE shop.events SET note = 'HACKED' WHERE tenant_id = 'globex';

--: G04 DELETE of another's rows
--: as acme
DELETE FROM shop.orders WHERE tenant_id = 'globex';
DELETE FROM shop.documents;
DELETE FROM ONLY shop.contracts;
DELETE FROM shop.events_globex;

--: G05 rows stolen: another's row becomes mine
--: as acme
UPDATE shop.orders SET tenant_id = 'acme' WHERE tenant_id = 'globex';
UPDATE shop.orders SET tenant_id = 'acme' WHERE id = 2;
UPDATE shop.orders SET tenant_id = DEFAULT;
SELECT note FROM shop.orders;

--: G06 ON CONFLICT DO UPDATE reaches another's row
--: as acme
INSERT INTO shop.orders (id, tenant_id, note) VALUES (2, 'acme', 'x') ON CONFLICT (id) DO UPDATE SET note = 'HACKED';
INSERT INTO shop.orders (id, tenant_id, note) VALUES (2, 'acme', 'x') ON CONFLICT (id) DO UPDATE SET tenant_id = 'acme' RETURNING note;
INSERT INTO shop.orders (id, tenant_id, note) VALUES (2, 'acme', 'x') ON CONFLICT (id) DO UPDATE SET note = orders.note || 'HACKED' RETURNING orders.note;
INSERT INTO shop.customers (tenant_id, email) VALUES ('acme', 'boss@globex.example') ON CONFLICT (email) DO UPDATE SET note = 'HACKED' WHERE customers.note LIKE 'G%' RETURNING note;

--: G07 ON CONFLICT gives my row to another
--: as acme
INSERT INTO shop.orders (id, tenant_id, note) VALUES (1, 'acme', 'x') ON CONFLICT (id) DO UPDATE SET tenant_id = 'globex', note = 'HACKED';
INSERT INTO shop.orders AS o (id, tenant_id, note) VALUES (1, 'globex', 'HACKED') ON CONFLICT (id) DO UPDATE SET tenant_id = excluded.tenant_id, note = excluded.note;

--: G08 ON CONFLICT through a view
-- CVE-2026-16237
--: as dba
CREATE VIEW shop.my_orders WITH (security_invoker = true) AS SELECT * FROM shop.orders;
GRANT ALL ON shop.my_orders TO PUBLIC;
--: as acme
INSERT INTO shop.my_orders (id, tenant_id, note) VALUES (2, 'acme', 'x') ON CONFLICT (id) DO UPDATE SET note = 'HACKED' RETURNING note;
INSERT INTO shop.my_orders (tenant_id, note) VALUES ('globex', 'HACKED');
UPDATE shop.my_orders SET tenant_id = 'globex', note = 'HACKED';
DELETE FROM shop.my_orders WHERE id = 2;

--: G09 a function that tells, evaluated in ON CONFLICT before the policy
-- CVE-2026-120154
--: as acme
CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    RAISE NOTICE 'told %', $1;
    RETURN true;
END $$;
INSERT INTO shop.orders AS o (id, tenant_id, note) VALUES (2, 'acme', 'x')
    ON CONFLICT (id) DO UPDATE SET note = 'HACKED' WHERE pg_temp.tell(o.note) RETURNING o.note;
INSERT INTO shop.customers AS c (tenant_id, email) VALUES ('acme', 'boss@globex.example')
    ON CONFLICT (email) DO UPDATE SET note = 'HACKED' WHERE pg_temp.tell(c.note);

--: G10 MERGE
--: as acme
MERGE INTO shop.orders o USING generate_series(1, 100) n ON o.id = n WHEN MATCHED THEN UPDATE SET note = 'HACKED', tenant_id = 'globex';
MERGE INTO shop.orders o USING generate_series(1, 100) n ON o.id = n WHEN MATCHED AND o.tenant_id = 'globex' THEN DELETE;
MERGE INTO shop.orders o USING (VALUES (2)) v (n) ON o.id = n AND o.tenant_id = 'globex' WHEN MATCHED THEN UPDATE SET note = 'HACKED' WHEN NOT MATCHED THEN DO NOTHING;
MERGE INTO shop.orders o USING (VALUES (5000)) v (n) ON o.id = n WHEN NOT MATCHED THEN INSERT (id, tenant_id, note) VALUES (n, 'globex', 'HACKED');

--: G11 data-modifying CTEs and RETURNING
--: as acme
WITH gone AS (DELETE FROM shop.orders WHERE tenant_id = 'globex' RETURNING *) SELECT note FROM gone;
WITH made AS (INSERT INTO shop.orders (tenant_id, note) VALUES ('globex', 'HACKED') RETURNING *) SELECT * FROM made;
WITH changed AS (UPDATE shop.orders SET amount = 0 RETURNING note) SELECT note FROM changed WHERE note LIKE 'G%';
COPY (DELETE FROM shop.orders WHERE tenant_id <> 'acme' RETURNING note) TO STDOUT;

--: G12 UPDATE … FROM and DELETE … USING
--: as acme
UPDATE shop.invoices i SET note = 'HACKED' FROM shop.orders o WHERE i.order_id = 2 OR o.tenant_id = 'globex';
UPDATE shop.orders o SET note = i.note FROM shop.invoices i WHERE i.tenant_id = 'globex' RETURNING o.note;
DELETE FROM shop.invoices i USING shop.orders o WHERE i.order_id = o.id + 1;

--: G13 COPY in
--: as acme
COPY shop.orders (tenant_id, note) FROM STDIN;
globex	HACKED
\.
COPY shop.events FROM STDIN;
9	globex	HACKED
\.
COPY shop.events_globex FROM STDIN;
9	globex	HACKED
\.

--: G14 partitions: routed, named directly, moved by UPDATE
--: as acme
INSERT INTO shop.events VALUES (9, 'globex', 'HACKED');
INSERT INTO shop.events_globex VALUES (9, 'globex', 'HACKED');
UPDATE shop.events SET tenant_id = 'globex', note = 'HACKED';
UPDATE shop.events_acme SET tenant_id = 'globex', note = 'HACKED';
UPDATE shop.events_globex SET note = 'HACKED';

--: G15 inheritance: through the parent and the child
--: as acme
UPDATE shop.documents SET note = 'HACKED' WHERE tenant_id = 'globex';
UPDATE ONLY shop.documents SET note = 'HACKED' WHERE tenant_id <> 'acme';
UPDATE shop.contracts SET note = 'HACKED', tenant_id = 'globex';
INSERT INTO shop.contracts VALUES (9, 'globex', 'HACKED');

--: G16 another customer's schema
--: as acme
INSERT INTO tenant_globex_crm.customers (name, note) VALUES ('x', 'HACKED');
UPDATE tenant_globex_crm.customers SET note = 'HACKED';
DELETE FROM tenant_globex_crm.customers;
TRUNCATE tenant_globex_crm.customers;
DROP SCHEMA tenant_globex_crm CASCADE;

--: G17 the service names another customer's schema than the tenant's
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT note FROM tenant_globex_crm.customers;
UPDATE tenant_globex_crm.customers SET note = 'HACKED';
INSERT INTO tenant_globex_crm.customers (name, note) VALUES ('x', 'HACKED');
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('acme');
UPDATE tenant_globex_crm.customers SET note = 'HACKED';
DELETE FROM tenant_globex_crm.customers;
COMMIT;

--: G18 TRUNCATE
--: as acme
TRUNCATE shop.orders CASCADE;
TRUNCATE shop.events_globex;
TRUNCATE ONLY shop.contracts;

--: G19 writing without a tenant
--: as service
INSERT INTO shop.orders (tenant_id, note) VALUES ('globex', 'HACKED');
INSERT INTO shop.orders (tenant_id, note) VALUES ('', 'HACKED');
INSERT INTO shop.orders (tenant_id, note) VALUES (NULL, 'HACKED');
UPDATE shop.orders SET note = 'HACKED';
DELETE FROM shop.orders;

--: G20 rows of nobody: an empty tenant and none, written by a tenant
--: as dba
ALTER TABLE shop.orders ALTER tenant_id DROP NOT NULL;
--: as acme
INSERT INTO shop.orders (tenant_id, note) VALUES ('', 'HACKED');
INSERT INTO shop.orders (tenant_id, note) VALUES (NULL, 'HACKED');
UPDATE shop.orders SET tenant_id = NULL, note = 'HACKED';
UPDATE shop.orders SET tenant_id = '', note = 'HACKED';

--: G21 the column's default, and OVERRIDING
--: as acme
INSERT INTO shop.orders (id, tenant_id, note) OVERRIDING USER VALUE VALUES (3, 'globex', 'HACKED');
ALTER TABLE shop.orders ALTER tenant_id SET DEFAULT 'globex';
INSERT INTO shop.orders (note) VALUES ('HACKED');
INSERT INTO shop.orders DEFAULT VALUES;
DELETE FROM shop.orders WHERE note = 'HACKED' AND tenant_id = 'acme';

--: G22 a cascade reaches another's row
-- An invoice of globex hangs on an order of acme: the application has mixed them up.
--: report TI501 invoices_order_id_fkey
--: as dba
INSERT INTO shop.invoices VALUES (3, 'globex', 1, 'GLOBEX-SECRET');
TRUNCATE referee.before;
INSERT INTO referee.before SELECT * FROM referee.rows() WHERE owner = 'globex';
--: as acme
DELETE FROM shop.orders WHERE id = 1;

--: G23 another's order is held by my invoice, so that it cannot be deleted
--: report TI501 parcels_order_id_fkey
--: as dba
CREATE TABLE shop.parcels (id integer PRIMARY KEY, tenant_id text NOT NULL, order_id bigint REFERENCES shop.orders, note text);
GRANT ALL ON shop.parcels TO tenant_acme, tenant_globex;
SELECT tenancy.protect_schema('shop');
--: leak if EXISTS (SELECT FROM shop.orders WHERE id = 4)
--: as acme
INSERT INTO shop.parcels VALUES (1, 'acme', 4, 'mine');
--: as dba
TRUNCATE referee.before;
--: as globex
DELETE FROM shop.orders WHERE id = 4;

--: G24 setval() sends the next inserts of all into a wall
--: leak if (SELECT last_value FROM shop.orders_id_seq) < 80 OR (SELECT last_value FROM shop.customers_id_seq) > 1000
--: as acme
SELECT setval('shop.orders_id_seq', 1, false);
SELECT setval('shop.customers_id_seq', 2147483647);
ALTER SEQUENCE shop.orders_id_seq RESTART;
ALTER TABLE shop.orders ALTER id RESTART;

--: G25 numbers taken in advance, so that the victim's inserts fail
--: report TI503 orders_pkey
--: leak if NOT EXISTS (SELECT FROM shop.orders WHERE note = 'new of globex')
--: as acme
INSERT INTO shop.orders (id, tenant_id, note) SELECT n, 'acme', 'mine' FROM generate_series(81, 100) n;
--: as globex
INSERT INTO shop.orders (tenant_id, note) VALUES ('globex', 'new of globex');

--: G26 an address taken in advance
--: report TI502 customers_email_key
--: leak if NOT EXISTS (SELECT FROM shop.customers WHERE note = 'new of globex')
--: as acme
INSERT INTO shop.customers (tenant_id, email) VALUES ('acme', 'new@globex.example');
--: as globex
INSERT INTO shop.customers (tenant_id, email, note) VALUES ('globex', 'new@globex.example', 'new of globex');

--: G27 LOCK TABLE keeps everybody out
--: leak if EXISTS (SELECT FROM shop.orders WHERE id = 2 AND amount = 1)
--: as acme
BEGIN;
LOCK TABLE shop.orders IN ACCESS EXCLUSIVE MODE;
--: meanwhile globex
SET lock_timeout = '200ms';
UPDATE shop.orders SET amount = 77 WHERE id = 2;
--: again
COMMIT;
--: as dba
TRUNCATE referee.before;

--: G28 an updatable view of the superuser's
--: names TI201 shop.all_orders
--: as dba
CREATE VIEW shop.all_orders AS SELECT * FROM shop.orders;
GRANT ALL ON shop.all_orders TO PUBLIC;
--: as acme
UPDATE shop.all_orders SET note = 'HACKED' WHERE tenant_id = 'globex';

--: G29 an updatable view of the tables' owner's
--: as dba
SET ROLE app_owner;
CREATE VIEW shop.all_orders AS SELECT * FROM shop.orders;
GRANT ALL ON shop.all_orders TO PUBLIC;
--: as acme
UPDATE shop.all_orders SET note = 'HACKED' WHERE tenant_id = 'globex';
INSERT INTO shop.all_orders (tenant_id, note) VALUES ('globex', 'HACKED');
DELETE FROM shop.all_orders WHERE tenant_id = 'globex';

--: G30 a function of the tables' owner's that writes
--: as dba
SET ROLE app_owner;
CREATE FUNCTION shop.rename_all(text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $$ UPDATE shop.orders SET note = $1 $$;
--: as acme
SELECT shop.rename_all('HACKED');

--: G31 a policy that checks what is read, and not what is written
--: report TI106 tools.tickets
--: as dba
CREATE TABLE tools.tickets (tenant_id text, note text);
ALTER TABLE tools.tickets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON tools.tickets USING (tenant_id = tenancy.current_tenant()) WITH CHECK (true);
GRANT ALL ON tools.tickets TO PUBLIC;
--: leak if EXISTS (SELECT FROM tools.tickets WHERE tenant_id = 'globex')
--: as acme
INSERT INTO tools.tickets VALUES ('globex', 'HACKED');

--: G32 a cursor's current row
--: as acme
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM shop.orders FOR UPDATE;
FETCH 1 FROM c;
UPDATE shop.orders SET note = 'HACKED', tenant_id = 'globex' WHERE CURRENT OF c;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM shop.orders;
FETCH 2 FROM c;
DELETE FROM shop.orders WHERE CURRENT OF c;
ROLLBACK;
UPDATE shop.orders SET note = 'HACKED' WHERE ctid = (SELECT max(ctid) FROM shop.orders) OR tenant_id = 'globex' AND ctid > '(0,0)';
DELETE FROM shop.orders WHERE note = 'HACKED' AND tenant_id = 'acme';

--: G33 writes of a service as no more than one tenant a transaction
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
INSERT INTO shop.orders (tenant_id, note) VALUES ('globex', 'HACKED');
ROLLBACK;
BEGIN;
SELECT tenancy.set_tenant('acme');
SAVEPOINT one;
SELECT tenancy.set_tenant('globex');
ROLLBACK TO one;
INSERT INTO shop.orders (tenant_id, note) SELECT 'globex', 'HACKED' WHERE tenancy.current_tenant() = 'acme';
COMMIT;

--: G34 a deferred constraint and a trigger of the owner's, under another tenant
--: as dba
CREATE FUNCTION shop.copy_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE shop.orders SET note = NEW.note WHERE id = NEW.order_id;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER copy_note AFTER INSERT OR UPDATE ON shop.invoices DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION shop.copy_note();
--: as acme
INSERT INTO shop.invoices VALUES (50, 'acme', 2, 'HACKED');
UPDATE shop.invoices SET order_id = 2, note = 'HACKED';
--: as dba
DELETE FROM shop.invoices WHERE tenant_id = 'acme';
