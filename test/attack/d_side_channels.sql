--
-- D: side channels.  The row is not shown, but something tells that it is there, or what stands in it.
--

--: D01 a cheap function that tells what it is given
--: as acme
CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    RAISE NOTICE 'told %', $1;
    RETURN true;
END $$;
SELECT count(*) FROM shop.orders WHERE pg_temp.tell(note);
SELECT count(*) FROM shop.events WHERE pg_temp.tell(note) AND id > 0;
SELECT count(*) FROM tenant_globex_crm.customers WHERE pg_temp.tell(note);

--: D02 a cheap function beside an index scan that the customer's condition drives
--: as acme
CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    RAISE NOTICE 'told %', $1;
    RETURN true;
END $$;
SET enable_seqscan = off;
SELECT count(*) FROM shop.orders WHERE id BETWEEN 1 AND 100 AND pg_temp.tell(note);
SELECT count(*) FROM shop.customers WHERE email > '' AND pg_temp.tell(note);

--: D03 an operator whose function tells
--: as acme
CREATE FUNCTION pg_temp.tell(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    RAISE NOTICE 'told %', $1;
    RETURN true;
END $$;
CREATE OPERATOR pg_temp.<~> (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.tell, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
SELECT count(*) FROM shop.orders WHERE note OPERATOR(pg_temp.<~>) 'x';

--: D04 an operator whose function tells, called by the planner with the statistics
-- Selectivity functions call the operator with the most common values (CVE-2017-7484, CVE-2025-8713).
--: as acme
CREATE FUNCTION pg_temp.tell(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    RAISE NOTICE 'told %', $1;
    RETURN true;
END $$;
CREATE OPERATOR pg_temp.<~> (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.tell, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
EXPLAIN (COSTS OFF) SELECT * FROM shop.orders WHERE note OPERATOR(pg_temp.<~>) 'x';
EXPLAIN (COSTS OFF) SELECT * FROM shop.customers WHERE email OPERATOR(pg_temp.<~>) 'x';
EXPLAIN (COSTS OFF) SELECT * FROM shop.documents WHERE note OPERATOR(pg_temp.<~>) 'x';
EXPLAIN (COSTS OFF) SELECT * FROM shop.events WHERE note OPERATOR(pg_temp.<~>) 'x';
EXPLAIN (COSTS OFF) SELECT * FROM shop.orders a JOIN shop.customers b ON a.note OPERATOR(pg_temp.<~>) b.note;

--: D05 the same with a partition and a child, named directly
--: as dba
ALTER TABLE shop.events ALTER note SET STATISTICS 100;
CREATE STATISTICS shop.of_events ON note, tenant_id FROM shop.events_globex;
CREATE STATISTICS shop.of_orders ON note, tenant_id FROM shop.orders;
ANALYZE shop.events, shop.events_globex, shop.orders;
--: as acme
CREATE FUNCTION pg_temp.tell(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    RAISE NOTICE 'told %', $1;
    RETURN true;
END $$;
CREATE OPERATOR pg_temp.<~> (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.tell, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
EXPLAIN (COSTS OFF) SELECT * FROM shop.events_globex WHERE note OPERATOR(pg_temp.<~>) 'x';
EXPLAIN (COSTS OFF) SELECT * FROM shop.events_globex WHERE note OPERATOR(pg_temp.<~>) 'x' AND tenant_id OPERATOR(pg_temp.<~>) 'x';
EXPLAIN (COSTS OFF) SELECT * FROM shop.orders WHERE note OPERATOR(pg_temp.<~>) 'x' AND tenant_id OPERATOR(pg_temp.<~>) 'x';
EXPLAIN (COSTS OFF) SELECT * FROM shop.contracts WHERE note OPERATOR(pg_temp.<~>) 'x';

--: D06 an error of a cast names the value
--: as acme
SELECT note::integer FROM shop.orders;
SELECT count(*) FROM shop.orders WHERE note::integer = 1;
SELECT count(*) FROM shop.orders WHERE amount > 0 AND note::integer > 0;
SELECT count(*) FROM shop.customers WHERE (note || email)::integer > 0;

--: D07 an error of a division tells that there is such a row
--: world DELETE FROM shop.orders WHERE note = 'GLOBEX-SECRET-7'
--: as acme
SELECT count(*) FROM shop.orders WHERE 1 / (CASE WHEN note = 'GLOBEX-SECRET-7' THEN 0 ELSE 1 END) > 0;
SELECT 1 / (CASE WHEN EXISTS (SELECT FROM shop.orders WHERE note = 'GLOBEX-SECRET-7') THEN 0 ELSE 1 END);
SELECT count(*) FROM shop.orders WHERE id = 14 AND 1 / (CASE WHEN note = 'GLOBEX-SECRET-7' THEN 0 ELSE 1 END) > 0;

--: D08 functions that tell, in every other place of a query
--: as acme
CREATE FUNCTION pg_temp.tell(text) RETURNS text LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    RAISE NOTICE 'told %', $1;
    RETURN $1;
END $$;
SELECT count(*) FROM shop.orders GROUP BY pg_temp.tell(note);
SELECT count(pg_temp.tell(note)) FILTER (WHERE pg_temp.tell(note) > '') FROM shop.orders HAVING max(pg_temp.tell(note)) > '';
SELECT 1 FROM shop.orders ORDER BY pg_temp.tell(note) LIMIT 1;
SELECT count(*) FROM shop.orders a JOIN shop.orders b ON pg_temp.tell(a.note) = pg_temp.tell(b.note);
SELECT count(*) FROM shop.orders a LEFT JOIN shop.customers b ON pg_temp.tell(b.note) = a.note;
SELECT count(*) FROM shop.invoices i, LATERAL (SELECT pg_temp.tell(note) FROM shop.orders o WHERE o.id = i.order_id OFFSET 0) x;
SELECT count(*) OVER (PARTITION BY pg_temp.tell(note)) FROM shop.orders;
UPDATE shop.orders SET note = note WHERE pg_temp.tell(note) = 'x';
DELETE FROM shop.orders WHERE pg_temp.tell(note) = 'x' RETURNING pg_temp.tell(note);
SELECT FROM shop.orders TABLESAMPLE BERNOULLI (length(pg_temp.tell('100'))) WHERE pg_temp.tell(note) = 'x';

--: D09 a condition pushed through a view into the table
--: as mallory
CREATE FUNCTION tools.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    RAISE NOTICE 'told %', $1;
    RETURN true;
END $$;
CREATE VIEW tools.mine AS SELECT * FROM shop.orders WHERE tools.tell(note);
CREATE VIEW tools.mine_too WITH (security_invoker = true) AS SELECT * FROM shop.orders;
SELECT count(*) FROM tools.mine;
SELECT count(*) FROM tools.mine_too WHERE tools.tell(note);

--: D10 a function that calls itself leakproof
--: as mallory
CREATE FUNCTION tools.tell(text) RETURNS boolean LANGUAGE plpgsql LEAKPROOF COST 0.0000001 AS $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$;
CREATE FUNCTION tools.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$;
ALTER FUNCTION tools.tell(text) LEAKPROOF;
SELECT count(*) FROM shop.orders WHERE tools.tell(note);

--: D11 a function that a DBA has called leakproof, for speed
--: report TI213 tools.tell
--: as dba
CREATE FUNCTION tools.tell(text) RETURNS boolean LANGUAGE plpgsql LEAKPROOF COST 0.0000001 AS $$
BEGIN
    RAISE DEBUG 'told %', $1;
    RETURN true;
END $$;
--: as acme
SET client_min_messages = debug;
SELECT count(*) FROM shop.orders WHERE tools.tell(note);

--: D12 a UNIQUE constraint over all customers: an address is taken
--: report TI502 customers_email_key
--: world DELETE FROM shop.customers WHERE email = 'boss@globex.example'
--: as acme
INSERT INTO shop.customers (id, tenant_id, email) VALUES (100, 'acme', 'boss@globex.example');

--: D13 the same by ON CONFLICT, without an error
--: report TI502 customers_email_key
--: world DELETE FROM shop.customers WHERE email = 'boss@globex.example'
--: as acme
INSERT INTO shop.customers (id, tenant_id, email) VALUES (100, 'acme', 'boss@globex.example') ON CONFLICT DO NOTHING RETURNING id;

--: D14 a primary key over all customers: a number is taken
--: report TI503 orders_pkey
--: world DELETE FROM shop.invoices WHERE order_id = 6; DELETE FROM shop.orders WHERE id = 6
--: as acme
INSERT INTO shop.orders (id, tenant_id, note) VALUES (6, 'acme', 'probe');

--: D15 a UNIQUE constraint that leads with the tenant tells nothing
--: as dba
CREATE TABLE shop.members (tenant_id text NOT NULL, email text, note text, UNIQUE (tenant_id, email));
INSERT INTO shop.members VALUES ('globex', 'boss@globex.example', 'GLOBEX-SECRET');
GRANT ALL ON shop.members TO PUBLIC;
SELECT tenancy.protect_schema('shop');
--: world DELETE FROM shop.members
--: as acme
INSERT INTO shop.members VALUES ('acme', 'boss@globex.example');
INSERT INTO shop.members VALUES ('globex', 'boss@globex.example');

--: D16 a foreign key: another's order is there
--: report TI501 invoices_order_id_fkey
--: world DELETE FROM shop.orders WHERE id = 8
--: as acme
INSERT INTO shop.invoices VALUES (100, 'acme', 8, 'probe');

--: D17 a foreign key from a table of one's own
--: world DELETE FROM shop.orders WHERE id = 8
--: as mallory
CREATE TABLE tools.probe (order_id bigint REFERENCES shop.orders);
INSERT INTO tools.probe VALUES (8);

--: D18 a foreign key the other way: somebody's invoice hangs on my order
--: report TI501 parcels_order_id_fkey
--: as dba
CREATE TABLE shop.parcels (id integer PRIMARY KEY, tenant_id text NOT NULL, order_id bigint REFERENCES shop.orders, note text);
INSERT INTO shop.parcels VALUES (1, 'globex', 1, 'GLOBEX-SECRET');
SELECT tenancy.protect_schema('shop');
--: world DELETE FROM shop.parcels
--: as acme
DELETE FROM shop.invoices WHERE order_id = 1;
DELETE FROM shop.orders WHERE id = 1 RETURNING id;

--: D19 the details of a conflict's error name the other row's values
--: as dba
CREATE EXTENSION btree_gist;
CREATE TABLE shop.bookings (tenant_id text NOT NULL, room text, during tstzrange, note text, EXCLUDE USING gist (room WITH =, during WITH &&));
INSERT INTO shop.bookings VALUES ('globex', 'blue', '[2026-01-01, 2026-01-02]', 'x');
GRANT ALL ON shop.bookings TO PUBLIC;
SELECT tenancy.protect_schema('shop');
--: secret 2026-01-01
--: as acme
INSERT INTO shop.bookings VALUES ('acme', 'blue', '[2026-01-01 10:00, 2026-01-01 11:00]', 'x');
INSERT INTO shop.bookings VALUES ('acme', 'blue', '[2025-12-31, 2026-02-02]', 'x');

--: D20 an exclusion constraint over all customers: a room is taken
--: report TI502 bookings
--: as dba
CREATE EXTENSION btree_gist;
CREATE TABLE shop.bookings (tenant_id text NOT NULL, room text, during tstzrange, note text, EXCLUDE USING gist (room WITH =, during WITH &&));
INSERT INTO shop.bookings VALUES ('globex', 'blue', '[2026-01-01, 2026-01-02]', 'x');
GRANT ALL ON shop.bookings TO PUBLIC;
SELECT tenancy.protect_schema('shop');
--: world DELETE FROM shop.bookings
--: as acme
INSERT INTO shop.bookings VALUES ('acme', 'blue', '[2025-12-31, 2026-02-02]', 'x');

--: D21 a refused row is shown in the error
--: as dba
ALTER TABLE shop.orders ADD CHECK (amount > 0) NOT VALID;
--: as acme
UPDATE shop.orders SET amount = -1;
UPDATE shop.orders SET tenant_id = 'globex', amount = -1 WHERE tenant_id = 'globex';
INSERT INTO shop.orders (tenant_id, note, amount) SELECT 'acme', max(note), -1 FROM shop.orders;

--: D22 the planner's estimates: how many rows another customer has
--: report TI701
--: world DELETE FROM shop.events WHERE tenant_id = 'globex'; DELETE FROM shop.orders WHERE tenant_id = 'globex'; ANALYZE
--: as acme
EXPLAIN SELECT * FROM shop.orders;

--: D23 the planner's estimates: whether a value is there
-- A condition by a leakproof operator may use the statistics of rows that a policy hides.
--: report TI701
--: world UPDATE shop.orders SET customer = 'x' WHERE tenant_id = 'globex'; ANALYZE shop.orders
--: as dba
UPDATE shop.orders SET customer = 'Umbrella Corporation' WHERE tenant_id = 'globex';
TRUNCATE referee.before;
ANALYZE shop.orders;
--: as acme
EXPLAIN SELECT * FROM shop.orders WHERE customer = 'Umbrella Corporation';

--: D24 EXPLAIN ANALYZE counts what a filter has removed
--: report TI701
--: world DELETE FROM shop.customers WHERE tenant_id = 'globex'
--: as acme
SET enable_indexscan = off;
SET enable_bitmapscan = off;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM shop.customers;

--: D25 a look-up's work: whether a number is taken
--: report TI701
--: world DELETE FROM shop.orders WHERE id = 14
--: as dba
INSERT INTO shop.orders (tenant_id, note) SELECT 'acme', 'acme-note' FROM generate_series(1, 5000);
ANALYZE shop.orders;
--: as acme
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM shop.orders WHERE id = 14;

--: D26 sizes and counters of a shared table
--: report TI702
--: world INSERT INTO shop.orders (tenant_id, note) SELECT 'globex', 'x' FROM generate_series(1, 1000); ANALYZE shop.orders
--: as acme
SELECT pg_relation_size('shop.orders'), pg_total_relation_size('shop.orders');
SELECT n_live_tup, n_tup_ins FROM pg_stat_user_tables WHERE relname = 'orders';
SELECT pg_stat_get_live_tuples('shop.orders'::regclass);

--: D27 the place of one's own new row
--: documented
--: world INSERT INTO shop.orders (tenant_id, note) SELECT 'globex', 'x' FROM generate_series(1, 1000)
--: as acme
INSERT INTO shop.orders (id, tenant_id, note) VALUES (100000, 'acme', 'probe') RETURNING ctid;

--: D28 the gaps of a sequence that all customers share
--: report TI503 orders_pkey
--: world INSERT INTO shop.orders (tenant_id, note) VALUES ('globex', 'x')
--: as acme
INSERT INTO shop.orders (tenant_id, note) VALUES ('acme', 'probe') RETURNING id;

--: D29 a sequence, read directly
--: world INSERT INTO shop.orders (tenant_id, note) VALUES ('globex', 'x')
--: as acme
SELECT last_value FROM shop.orders_id_seq;
SELECT last_value FROM pg_sequences WHERE schemaname = 'shop' AND sequencename = 'orders_id_seq';
SELECT pg_sequence_last_value('shop.orders_id_seq');

--: D30 the number that somebody else drew in this session
--: secret 4711
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
SELECT count(*) FROM (SELECT nextval('shop.customers_id_seq') FROM generate_series(1, 4709)) drawn;
COMMIT;
--: look
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT lastval();
SELECT currval('shop.customers_id_seq');
COMMIT;

--: D31 currtid2() finds rows that policies hide
-- It asks for the privilege to read the table and not for policies.
--: world UPDATE shop.orders SET amount = 0 WHERE note = 'GLOBEX-SECRET-1'
--: as acme
SELECT currtid2('shop.orders', ctid_of_another) FROM unnest(ARRAY['(0,1)', '(0,2)', '(0,3)', '(0,4)']::tid[]) ctid_of_another;

--: D32 rows by their places
--: as acme
SELECT note FROM shop.orders WHERE ctid = ANY (ARRAY(SELECT format('(0,%s)', n)::tid FROM generate_series(1, 100) n));
SELECT note FROM shop.orders WHERE ctid >= '(0,0)' AND ctid < '(1000,0)';

--: D33 the text of another login's queries
--: as globex
SELECT 'GLOBEX-SECRET-literal';
--: meanwhile acme
SELECT query FROM pg_stat_activity WHERE datname = current_database();
SELECT query FROM pg_stat_get_activity(NULL);
--: again
SELECT 1;

--: D34 the text of another customer's queries, when one service serves both
--: report TI703 service
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
SELECT count(*) FROM shop.orders WHERE note = 'GLOBEX-SECRET-literal';
--: look
--: meanwhile service
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
COMMIT;

--: D35 the names of the other customers, in the catalogues
--: documented
--: secret tenant_globex
--: as acme
SELECT nspname FROM pg_namespace;
SELECT rolname FROM pg_roles;
SELECT oid::regclass FROM pg_class;

--: D36 messages of NOTIFY
--: documented
--: as acme
LISTEN changes;
--: meanwhile globex
NOTIFY changes, 'GLOBEX-SECRET-changed';
--: again
SELECT 1;

--: D37 locks tell who works on what
--: report TI702
--: secret tenant_globex_crm
--: as globex
BEGIN;
SELECT count(*) FROM tenant_globex_crm.customers;
--: meanwhile acme
SELECT relation::regclass, mode FROM pg_locks WHERE relation > 16384;
--: again
COMMIT;

--: D38 statistics that the extension keeps of other tenants
--: secret globex
--: as acme
SELECT * FROM tenancy.stat_tenants;
SELECT tenancy.stat_tenants_reset();
SELECT * FROM tenancy.isolation_report();
SELECT * FROM tenancy.policy_shapes();

--: D39 do the errors of our functions tell whether a tenant exists
--: world DELETE FROM tenancy.tenants WHERE tenant_id = 'globex'
--: as acme
SELECT tenancy.set_tenant('globex');
SELECT set_config('app.current_tenant_id', 'globex', false);
SELECT count(*) FROM shop.orders WHERE tenant_id = 'globex';

--: D40 a function of the table's owner that a default or a generated column calls
--: as dba
CREATE TABLE shop.words (tenant_id text, note text, folded text GENERATED ALWAYS AS (lower(note)) STORED);
INSERT INTO shop.words VALUES ('globex', 'GLOBEX-SECRET');
GRANT ALL ON shop.words TO PUBLIC;
SELECT tenancy.protect_schema('shop');
--: as acme
INSERT INTO shop.words (tenant_id, note) VALUES ('acme', 'x');
UPDATE shop.words SET note = note || '!' RETURNING folded;
SELECT upper(folded) FROM shop.words;

--: D41 VACUUM, ANALYZE and CLUSTER by a customer
--: world DELETE FROM shop.orders WHERE tenant_id = 'globex'
--: as acme
SET client_min_messages = info;
ANALYZE VERBOSE shop.orders;
VACUUM VERBOSE shop.orders;
CLUSTER VERBOSE shop.orders;

--: D42 plans printed for debugging
--: as acme
SET client_min_messages = debug5;
SET debug_print_plan = on;
SET debug_print_rewritten = on;
SELECT count(*) FROM shop.orders WHERE customer = 'x';

--: D43 a join that a hidden row would multiply
--: world DELETE FROM shop.invoices WHERE tenant_id = 'globex'
--: as acme
SELECT count(*) FROM shop.orders o LEFT JOIN shop.invoices i ON true;
SELECT count(*) FROM shop.invoices i NATURAL FULL JOIN shop.orders o;
SELECT EXISTS (SELECT FROM shop.invoices WHERE order_id = 2);
SELECT id FROM shop.orders EXCEPT SELECT order_id FROM shop.invoices ORDER BY 1;

--: D44 row locks: whether a hidden row is held
--: as globex
BEGIN;
SELECT id FROM shop.orders WHERE id = 2 FOR UPDATE;
--: meanwhile acme
SET lock_timeout = '100ms';
SELECT count(*) FROM (SELECT id FROM shop.orders FOR UPDATE NOWAIT) locked;
SELECT 'could lock ' || note FROM shop.orders WHERE id = 2 FOR UPDATE SKIP LOCKED;
UPDATE shop.orders SET note = 'HACKED' WHERE id = 2;
--: again
COMMIT;

--: D45 how many rows a table has, in the catalogue that plans are made from
--: documented
--: world INSERT INTO shop.orders (tenant_id, note) SELECT 'globex', 'x' FROM generate_series(1, 1000); ANALYZE shop.orders
--: as acme
SELECT reltuples, relpages FROM pg_class WHERE oid = 'shop.orders'::regclass;

--: D46 plans, statistics, statements and sessions, when the DBA has followed the report
--: only ours
--: world DELETE FROM shop.customers WHERE tenant_id = 'globex'; ANALYZE
--: as dba
SELECT remedy FROM tenancy.isolation_report() WHERE code IN ('TI701', 'TI702', 'TI703', 'TI704') \gexec
--: as acme
EXPLAIN SELECT * FROM shop.customers;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM shop.customers;
SET debug_print_plan = on;
SET client_min_messages = log;
SELECT count(*) FROM shop.customers;
SET debug_print_plan = off;
DO $$ DECLARE line text; BEGIN FOR line IN EXPLAIN SELECT * FROM shop.customers LOOP RAISE NOTICE '%', line; END LOOP; END $$;
CREATE FUNCTION pg_temp.plan() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN SELECT * FROM shop.customers'; END $$;
SELECT * FROM pg_temp.plan();
SELECT pg_relation_size('shop.customers'), pg_stat_get_live_tuples('shop.customers'::regclass);
SELECT n_live_tup FROM pg_stat_user_tables WHERE relname = 'customers';
SELECT count(*) FROM pg_locks;
--: as service
SELECT tenancy.set_tenant('globex', false);
SELECT count(*) FROM shop.orders WHERE note = 'GLOBEX-SECRET-literal';
--: look
SELECT note FROM shop.orders;
--: meanwhile service
SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();

--: D47 plans printed for debugging, switched on by a function that planning calls
--: only ours
--: secret \{PLANNEDSTMT
--: as dba
SELECT format('ALTER DATABASE %I SET tenancy.hide_plans = on', current_database()) \gexec
--: as mallory
SET client_min_messages TO log;
CREATE FUNCTION tools.reveal() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM set_config('debug_print_plan', 'on', false); RETURN 1; END $$;
SELECT count(*) FROM shop.orders WHERE amount > tools.reveal();
