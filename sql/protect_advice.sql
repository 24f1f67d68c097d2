--
-- protect_advice: keys that look past policies, and the statements that mend them.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE protect_advice_test;
\c protect_advice_test
CREATE EXTENSION tenancy;
SELECT tenancy.create_tenant('pa-1', 'One');
SELECT tenancy.create_tenant('pa-2', 'Two');
SELECT tenancy.register_system('notes', 'Notes', 'notes', 'test');
SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id integer PRIMARY KEY, parent integer REFERENCES note)');
SELECT tenancy.install_system('pa-1', 'notes');
SELECT tenancy.install_system('pa-2', 'notes');
CREATE SCHEMA shop;
SELECT tenancy.protect_schema('shop');
\pset null null

-- a key within one tenant's own tables is right
SELECT * FROM tenancy.protect_advice();

--
-- What it looks like without: a row refers to another tenant's, and the error tells which exist
--
CREATE TABLE shop.orders (id integer PRIMARY KEY, tenant_id text NOT NULL, code text);
CREATE TABLE shop.lines (id uuid PRIMARY KEY, tenant_id text NOT NULL, order_id integer REFERENCES shop.orders ON DELETE CASCADE);
CREATE ROLE pa_app IN ROLE tenancy_service;
GRANT USAGE ON SCHEMA shop TO pa_app;
GRANT SELECT, INSERT, DELETE ON shop.orders, shop.lines TO pa_app;
INSERT INTO shop.orders VALUES (1, 'pa-1');
SET ROLE pa_app;
BEGIN;
SELECT tenancy.set_tenant('pa-2');
INSERT INTO shop.lines (id, order_id) VALUES ('00000000-0000-0000-0000-000000000001', 2);
ROLLBACK;
BEGIN;
SELECT tenancy.set_tenant('pa-2');
INSERT INTO shop.lines (id, order_id) VALUES ('00000000-0000-0000-0000-000000000001', 1);
INSERT INTO shop.orders (id) VALUES (1);
ROLLBACK;
RESET ROLE;
SELECT * FROM tenancy.protect_advice() \gx
SELECT code, object FROM tenancy.protect_advice('shop.lines');
-- the foreign keys first, since they hold on to the unique ones
DO $$
DECLARE
    advice record;
BEGIN
    FOR advice IN SELECT * FROM tenancy.protect_advice() LOOP
        EXECUTE advice.remedy;
    END LOOP;
END $$;
SELECT * FROM tenancy.protect_advice();
\d shop.orders
\d shop.lines
SET ROLE pa_app;
BEGIN;
SELECT tenancy.set_tenant('pa-2');
INSERT INTO shop.orders (id) VALUES (1);
INSERT INTO shop.lines (id, order_id) VALUES ('00000000-0000-0000-0000-000000000001', 1);
INSERT INTO shop.lines (id, order_id) VALUES ('00000000-0000-0000-0000-000000000002', 2);
ROLLBACK;
RESET ROLE;

--
-- Every form of a foreign key
--
CREATE TABLE shop.p (a uuid, b integer, tenant_id text NOT NULL, PRIMARY KEY (a, b));
CREATE TABLE shop."C" (x uuid, "Y" integer, tenant_id text NOT NULL, note text,
    CONSTRAINT set_null FOREIGN KEY (x, "Y") REFERENCES shop.p (a, b) ON DELETE SET NULL,
    CONSTRAINT set_some_null FOREIGN KEY (x, "Y") REFERENCES shop.p (a, b) ON DELETE SET NULL ("Y"),
    CONSTRAINT set_default FOREIGN KEY (x, "Y") REFERENCES shop.p (a, b) ON DELETE SET DEFAULT ON UPDATE CASCADE,
    CONSTRAINT deferred FOREIGN KEY (x, "Y") REFERENCES shop.p (a, b) MATCH FULL ON UPDATE RESTRICT ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT update_null FOREIGN KEY (x, "Y") REFERENCES shop.p (a, b) ON UPDATE SET NULL DEFERRABLE);
\pset format unaligned
SELECT object, remedy FROM tenancy.protect_advice('shop."C"');
DO $$
DECLARE
    advice record;
BEGIN
    FOR advice IN SELECT * FROM tenancy.protect_advice() LOOP
        EXECUTE advice.remedy;
    END LOOP;
END $$;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'shop."C"'::regclass ORDER BY 1;
SELECT count(*) FROM tenancy.protect_advice();
-- across the schemas of tenants, and from there to shared tables
ALTER TABLE tenant_pa_2_notes.note ADD COLUMN stolen integer REFERENCES tenant_pa_1_notes.note, ADD COLUMN shared uuid;
CREATE UNIQUE INDEX ON shop.p (a);
ALTER TABLE tenant_pa_2_notes.note ADD FOREIGN KEY (shared) REFERENCES shop.p (a);
SELECT object, reason, remedy FROM tenancy.protect_advice();
DO $$
DECLARE
    advice record;
BEGIN
    FOR advice IN SELECT * FROM tenancy.protect_advice() LOOP
        EXECUTE advice.remedy;
    END LOOP;
END $$;
SELECT count(*) FROM tenancy.protect_advice();
-- partitions follow their parent
CREATE TABLE shop.events (id integer, tenant_id text, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE shop.events_1 PARTITION OF shop.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE shop.event_notes (event integer, at date, tenant_id text, FOREIGN KEY (event, at) REFERENCES shop.events);
SELECT object, remedy FROM tenancy.protect_advice();
DO $$
DECLARE
    advice record;
BEGIN
    FOR advice IN SELECT * FROM tenancy.protect_advice() LOOP
        EXECUTE advice.remedy;
    END LOOP;
END $$;
SELECT count(*) FROM tenancy.protect_advice();

--
-- Every form of a unique key
--
CREATE TABLE shop.u (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id text NOT NULL, guid uuid UNIQUE, name text, room integer, during int4range,
    CONSTRAINT with_include UNIQUE (name) INCLUDE (room), CONSTRAINT nulls UNIQUE NULLS NOT DISTINCT (room, name),
    CONSTRAINT excluded EXCLUDE USING gist (during WITH &&) WHERE (room > 0), CONSTRAINT good UNIQUE (name, tenant_id));
CREATE UNIQUE INDEX "Expr" ON shop.u ((lower(name)), room DESC) INCLUDE (tenant_id) WHERE name <> '';
SELECT code, object, remedy FROM tenancy.protect_advice('shop.u');
DO $$
DECLARE
    advice record;
BEGIN
    FOR advice IN SELECT * FROM tenancy.protect_advice('shop.u') WHERE object NOT LIKE '%excluded%' LOOP
        EXECUTE advice.remedy;
    END LOOP;
END $$;
SELECT code, object FROM tenancy.protect_advice();
-- everybody may ask
SET ROLE pa_app;
SELECT count(*) FROM tenancy.protect_advice('shop.u');
SELECT * FROM tenancy.foreign_key_advice();
RESET ROLE;

\c :start_database
DROP DATABASE protect_advice_test;
DROP ROLE pa_app, tenant_pa_1, tenant_pa_2;
