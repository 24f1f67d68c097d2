--
-- C: bypass by objects and privileges.  Something beside the table serves its rows, or somebody may do more than read.
--

--: C01 another customer's schema
--: as acme
SELECT note FROM tenant_globex_crm.customers;
SET search_path TO tenant_globex_crm;
SELECT note FROM customers;

--: C02 another customer's schema, opened to everybody by a careless grant
--: as dba
GRANT USAGE ON SCHEMA tenant_globex_crm TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA tenant_globex_crm TO PUBLIC;
--: as acme
SELECT note FROM tenant_globex_crm.customers;

--: C03 a view that runs with the superuser's rights
--: names TI201 shop.all_orders
--: as dba
CREATE VIEW shop.all_orders AS SELECT * FROM shop.orders;
GRANT SELECT ON shop.all_orders TO PUBLIC;
--: as acme
SELECT note FROM shop.all_orders;

--: C04 a view that runs with the rights of the tables' owner
--: as dba
SET ROLE app_owner;
CREATE VIEW shop.all_orders AS SELECT * FROM shop.orders;
GRANT SELECT ON shop.all_orders TO PUBLIC;
--: as acme
SELECT note FROM shop.all_orders;

--: C05 a view with security_invoker, over one without
--: names TI201 shop.inner_orders
--: as dba
CREATE VIEW shop.inner_orders AS SELECT * FROM shop.orders;
CREATE VIEW shop.outer_orders WITH (security_invoker = true) AS SELECT * FROM shop.inner_orders;
GRANT SELECT ON shop.inner_orders, shop.outer_orders TO PUBLIC;
--: as acme
SELECT note FROM shop.outer_orders;

--: C06 a view with a security barrier, which guards another thing
--: names TI201 shop.all_orders
--: as dba
CREATE VIEW shop.all_orders WITH (security_barrier = true) AS SELECT * FROM shop.orders WHERE amount > 0;
GRANT SELECT ON shop.all_orders TO PUBLIC;
--: as acme
SELECT note FROM shop.all_orders;

--: C07 a materialised view
--: report TI203 shop.order_notes
--: as dba
CREATE MATERIALIZED VIEW shop.order_notes AS SELECT note FROM shop.orders;
GRANT SELECT ON shop.order_notes TO PUBLIC;
--: as acme
SELECT note FROM shop.order_notes;

--: C08 a materialised view that its owner refreshes
--: as dba
SET ROLE app_owner;
CREATE MATERIALIZED VIEW shop.order_notes AS SELECT note FROM shop.orders WITH NO DATA;
REFRESH MATERIALIZED VIEW shop.order_notes;
GRANT SELECT ON shop.order_notes TO PUBLIC;
--: as acme
SELECT note FROM shop.order_notes;

--: C09 a SECURITY DEFINER function of the superuser's
--: names TI212 shop.all_notes
--: as dba
CREATE FUNCTION shop.all_notes() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $$ SELECT note FROM shop.orders $$;
--: as acme
SELECT shop.all_notes();

--: C10 a SECURITY DEFINER function of the tables' owner's
--: as dba
SET ROLE app_owner;
CREATE FUNCTION shop.all_notes() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $$ SELECT note FROM shop.orders $$;
--: as acme
SELECT shop.all_notes();

--: C11 the application connects as the tables' owner
--: as dba
ALTER ROLE app_owner LOGIN;
ALTER ROLE app_owner SET app.current_tenant_id = 'acme';
--: as app_owner
SELECT note FROM shop.orders;
SELECT note FROM shop.events_globex;

--: C12 a customer is a member of the tables' owner, and switches the policies off
--: names TI402 acme
--: as dba
GRANT app_owner TO acme;
--: as acme
ALTER TABLE shop.orders DISABLE ROW LEVEL SECURITY;
ALTER TABLE shop.orders NO FORCE ROW LEVEL SECURITY;
SELECT note FROM shop.orders;

--: C13 FORCE taken away, and an application that owns its tables
--: names TI102 shop.orders
--: as dba
ALTER TABLE shop.orders NO FORCE ROW LEVEL SECURITY;
ALTER ROLE app_owner LOGIN;
ALTER ROLE app_owner SET app.current_tenant_id = 'acme';
--: as app_owner
SELECT note FROM shop.orders;

--: C14 row-level security switched off for a maintenance, and not on again
--: names TI101 shop.orders
--: as dba
ALTER TABLE shop.orders DISABLE ROW LEVEL SECURITY;
--: as acme
SELECT note FROM shop.orders;

--: C15 BYPASSRLS for the application
--: names TI401 service
--: as dba
ALTER ROLE service BYPASSRLS;
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT note FROM shop.orders;
COMMIT;

--: C16 BYPASSRLS by membership, which SET ROLE uses
--: names TI402 acme
--: as dba
CREATE ROLE maintenance BYPASSRLS;
GRANT ALL ON shop.orders TO maintenance;
GRANT maintenance TO acme;
--: as acme
SET ROLE maintenance;
SELECT note FROM shop.orders;

--: C17 the application is a superuser
--: report TI401 service
--: as dba
ALTER ROLE service SUPERUSER;
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT note FROM shop.orders;
COMMIT;

--: C18 CREATEROLE makes its bearer a member of the service
--: names TI401 mallory
--: as dba
ALTER ROLE mallory CREATEROLE;
--: as mallory
GRANT tenancy_service TO mallory;
SELECT tenancy.clear_tenant();
SELECT tenancy.set_tenant('globex', false);
SELECT note FROM shop.orders;

--: C19 a customer is a member of the service
--: names TI403 acme
--: as dba
GRANT tenancy_service TO acme;
--: as acme
SELECT tenancy.clear_tenant();
SELECT tenancy.set_tenant('globex', false);
SELECT note FROM shop.orders;

--: C20 set_tenant() for everybody
--: names TI411 set_tenant
--: as dba
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tenancy TO PUBLIC;
--: as acme
SELECT tenancy.clear_tenant();
SELECT tenancy.set_tenant('globex', false);
SELECT note FROM shop.orders;

--: C21 the privilege to set the parameter
--: names TI409
--: as dba
GRANT SET ON PARAMETER app.current_tenant_id TO acme;
--: as acme
SET app.current_tenant_id = 'globex';
RESET app.current_tenant_id;
SET app.current_tenant_id = '';
SET app.current_tenant_id = 'globex';
SELECT note FROM shop.orders;

--: C22 a partition, by its own name
--: as acme
SELECT note FROM shop.events_globex;
SELECT note FROM ONLY shop.events_globex;

--: C23 an inheritance child, by its own name
--: as acme
SELECT note FROM shop.contracts;
SELECT note FROM ONLY shop.documents;

--: C24 a partition that was made later
--: as dba
CREATE TABLE shop.events_rest PARTITION OF shop.events DEFAULT;
GRANT ALL ON shop.events_rest TO PUBLIC;
INSERT INTO shop.events VALUES (1, 'initech', 'GLOBEX-SECRET');
--: as acme
SELECT note FROM shop.events_rest;

--: C25 a table that was attached later
--: as dba
CREATE TABLE tools.old_events (id integer, tenant_id text NOT NULL, note text);
INSERT INTO tools.old_events VALUES (1, 'hooli', 'GLOBEX-SECRET');
GRANT ALL ON tools.old_events TO PUBLIC;
ALTER TABLE shop.events ATTACH PARTITION tools.old_events FOR VALUES IN ('hooli');
--: as acme
SELECT note FROM tools.old_events;
SELECT note FROM shop.events;

--: C26 a table that became a child later
--: as dba
CREATE TABLE tools.letters (id integer, tenant_id text NOT NULL, note text);
INSERT INTO tools.letters VALUES (1, 'globex', 'GLOBEX-SECRET');
GRANT ALL ON tools.letters TO PUBLIC;
ALTER TABLE tools.letters INHERIT shop.documents;
--: as acme
SELECT note FROM tools.letters;
SELECT note FROM shop.documents;

--: C27 a partition that was detached
--: as dba
ALTER TABLE shop.events DETACH PARTITION shop.events_globex;
--: as acme
SELECT note FROM shop.events_globex;

--: C28 a new table in the application's schema
--: as dba
CREATE TABLE shop.payments (id integer, tenant_id text, note text);
INSERT INTO shop.payments VALUES (1, 'globex', 'GLOBEX-SECRET');
GRANT ALL ON shop.payments TO PUBLIC;
--: as acme
SELECT note FROM shop.payments;

--: C29 a copy by CREATE TABLE AS in the application's schema
--: as dba
CREATE TABLE shop.orders_backup AS SELECT * FROM shop.orders;
GRANT ALL ON shop.orders_backup TO PUBLIC;
--: as acme
SELECT note FROM shop.orders_backup;

--: C30 a copy by LIKE INCLUDING ALL in the application's schema, made by a replica's session
--: as dba
SET session_replication_role = replica;
CREATE TABLE shop.orders_backup (LIKE shop.orders INCLUDING ALL);
INSERT INTO shop.orders_backup SELECT * FROM shop.orders;
GRANT ALL ON shop.orders_backup TO PUBLIC;
--: as acme
SELECT note FROM shop.orders_backup;

--: C31 a table that is moved into the application's schema
--: as dba
CREATE TABLE tools.orders_backup AS SELECT * FROM shop.orders;
ALTER TABLE tools.orders_backup SET SCHEMA shop;
GRANT ALL ON shop.orders_backup TO PUBLIC;
--: as acme
SELECT note FROM shop.orders_backup;

--: C32 a copy in a schema that nobody protects
--: report TI101 tools.orders_backup
--: as dba
CREATE TABLE tools.orders_backup AS SELECT * FROM shop.orders;
GRANT SELECT ON tools.orders_backup TO PUBLIC;
--: as acme
SELECT note FROM tools.orders_backup;

--: C33 a table of the application's schema without the tenant's column
--: report TI108 shop.order_lines
--: as dba
CREATE TABLE shop.order_lines (order_id bigint REFERENCES shop.orders, note text);
INSERT INTO shop.order_lines SELECT id, note FROM shop.orders;
GRANT SELECT ON shop.order_lines TO PUBLIC;
--: as acme
SELECT note FROM shop.order_lines;

--: C34 the event trigger switched off, and a new table
--: only ours
--: report TI603
--: as dba
ALTER EVENT TRIGGER tenancy_protect_new_tables DISABLE;
CREATE TABLE shop.payments (id integer, tenant_id text, note text);
INSERT INTO shop.payments VALUES (1, 'globex', 'GLOBEX-SECRET');
GRANT ALL ON shop.payments TO PUBLIC;
--: as acme
SELECT note FROM shop.payments;

--: C35 a policy that somebody adds lets everything through
--: as dba
CREATE POLICY reporting ON shop.orders FOR SELECT USING (true);
CREATE POLICY reporting_too ON shop.orders USING (true) WITH CHECK (true);
--: as acme
SELECT note FROM shop.orders;

--: C36 the restrictive policy dropped, and one that lets everything through
--: report TI105 shop.orders
--: as dba
DROP POLICY IF EXISTS tenant_isolation_floor ON shop.orders;
CREATE POLICY reporting ON shop.orders FOR SELECT USING (true);
--: as acme
SELECT note FROM shop.orders;

--: C37 the restrictive policy narrowed to others, and one that lets everything through
--: report TI105 shop.orders
--: as dba
DROP POLICY IF EXISTS tenant_isolation_floor ON shop.orders;
CREATE POLICY tenant_isolation_floor ON shop.orders AS RESTRICTIVE TO service USING (tenant_id = tenancy.current_tenant());
CREATE POLICY reporting ON shop.orders FOR SELECT USING (true);
--: as acme
SELECT note FROM shop.orders;

--: C38 a policy of one's own with an OR that a setting opens
--: report TI306 tools.tickets
--: as dba
CREATE TABLE tools.tickets (tenant_id text, note text);
INSERT INTO tools.tickets VALUES ('globex', 'GLOBEX-SECRET');
ALTER TABLE tools.tickets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON tools.tickets
    USING (current_setting('app.role', true) = 'ADMIN' OR tenant_id = tenancy.current_tenant());
GRANT SELECT ON tools.tickets TO PUBLIC;
--: as acme
SET app.role = 'ADMIN';
SELECT note FROM tools.tickets;

--: C39 a policy of one's own that reads a setting which anybody writes
--: report TI306 tools.tickets
--: as dba
CREATE TABLE tools.tickets (tenant_id text, note text);
INSERT INTO tools.tickets VALUES ('globex', 'GLOBEX-SECRET');
ALTER TABLE tools.tickets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON tools.tickets USING (tenant_id = current_setting('my.tenant', true));
GRANT SELECT ON tools.tickets TO PUBLIC;
--: as acme
SET my.tenant = 'globex';
SELECT note FROM tools.tickets;

--: C40 the documents' own policy, unchanged
--: as dba
CREATE TABLE tools.tickets (tenant_id text, note text);
INSERT INTO tools.tickets VALUES ('globex', 'GLOBEX-SECRET');
ALTER TABLE tools.tickets ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation_policy ON tools.tickets USING (tenant_id = current_setting('app.current_tenant_id', TRUE));
GRANT SELECT ON tools.tickets TO PUBLIC;
--: as acme
SET app.current_tenant_id = 'globex';
SELECT note FROM tools.tickets;

--: C41 a policy through a function that calls itself immutable
--: report TI303 tools.tickets
--: as dba
CREATE FUNCTION tools.mine() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT tenancy.current_tenant() $$;
CREATE TABLE tools.tickets (tenant_id text, note text);
INSERT INTO tools.tickets VALUES ('globex', 'GLOBEX-SECRET');
ALTER TABLE tools.tickets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON tools.tickets USING (tenant_id = tools.mine());
GRANT SELECT ON tools.tickets TO PUBLIC;
--: as service
SET plan_cache_mode = force_generic_plan;
PREPARE all_tickets AS SELECT note FROM tools.tickets;
BEGIN; SELECT tenancy.set_tenant('globex'); EXECUTE all_tickets; COMMIT;
--: look
BEGIN; SELECT tenancy.set_tenant('acme'); EXECUTE all_tickets; COMMIT;

--: C42 pg_read_all_data
--: names TI402 acme
--: as dba
GRANT pg_read_all_data TO acme;
--: as acme
SELECT note FROM shop.orders;
SELECT note FROM tenant_globex_crm.customers;

--: C43 pg_write_all_data
--: names TI402 acme
--: as dba
GRANT pg_write_all_data TO acme;
--: as acme
UPDATE shop.orders SET note = 'HACKED' WHERE tenant_id = 'globex';
UPDATE tenant_globex_crm.customers SET note = 'HACKED';
INSERT INTO tenant_globex_crm.customers (name, note) VALUES ('x', 'HACKED');

--: C44 pg_read_server_files reads the table's file
--: report TI402 acme
--: as dba
GRANT pg_read_server_files TO acme;
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO acme;
CHECKPOINT;
--: as acme
SELECT encode(pg_read_binary_file(pg_relation_filepath('shop.orders')), 'escape');

--: C45 pg_execute_server_program reads the table's file
--: report TI402 acme
--: as dba
GRANT pg_execute_server_program TO acme;
CHECKPOINT;
--: as acme
CREATE TEMP TABLE lines (line text);
COPY lines FROM PROGRAM 'grep -a -r -o -h "GLOBEX-SECRET-[0-9]*" base';
SELECT DISTINCT line FROM lines;

--: C46 REPLICATION decodes what others write
--: report TI401 acme
--: as dba
ALTER ROLE acme REPLICATION;
--: as acme
SELECT slot_name FROM pg_create_logical_replication_slot('spy', 'test_decoding', true);
--: meanwhile globex
UPDATE shop.orders SET amount = amount WHERE id = 2;
--: again
SELECT data FROM pg_logical_slot_get_changes('spy', NULL, NULL);
SELECT pg_drop_replication_slot('spy');

--: C47 logical decoding without the attribute
--: as acme
SELECT pg_create_logical_replication_slot('spy', 'test_decoding');
CREATE PUBLICATION spy FOR TABLE shop.orders;
CREATE PUBLICATION spy_all FOR ALL TABLES;
CREATE SUBSCRIPTION spy CONNECTION 'dbname=postgres' PUBLICATION spy WITH (connect = false);
SELECT note FROM shop.orders;

--: C48 TRUNCATE granted again
--: names TI404 shop.orders
--: as dba
GRANT ALL ON shop.orders TO acme;
--: as acme
TRUNCATE shop.orders CASCADE;

--: C49 TRIGGER granted again: a trigger sees what others write
--: names TI404 shop.orders
--: as dba
GRANT TRIGGER ON shop.orders TO mallory;
--: as mallory
CREATE TABLE tools.caught (note text);
GRANT INSERT ON tools.caught TO PUBLIC;
CREATE FUNCTION tools.catch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tools.caught VALUES (NEW.note);
    RETURN NEW;
END $$;
GRANT EXECUTE ON FUNCTION tools.catch() TO PUBLIC;
CREATE TRIGGER catch BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION tools.catch();
--: meanwhile globex
INSERT INTO shop.orders (tenant_id, note) VALUES ('globex', 'GLOBEX-SECRET-new');
--: again
SELECT note FROM tools.caught;

--: C50 TRIGGER that nobody has granted
--: as mallory
CREATE TABLE tools.caught (note text);
GRANT INSERT ON tools.caught TO PUBLIC;
CREATE FUNCTION tools.catch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tools.caught VALUES (NEW.note);
    RETURN NEW;
END $$;
CREATE TRIGGER catch BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION tools.catch();
CREATE RULE catch AS ON INSERT TO shop.orders DO ALSO INSERT INTO tools.caught VALUES (NEW.note);
--: meanwhile globex
INSERT INTO shop.orders (tenant_id, note) VALUES ('globex', 'GLOBEX-SECRET-new');
--: again
SELECT note FROM tools.caught;

--: C51 DDL on a table of somebody else's
--: as mallory
ALTER TABLE shop.orders DISABLE ROW LEVEL SECURITY;
ALTER TABLE shop.orders NO FORCE ROW LEVEL SECURITY;
DROP POLICY tenant_isolation_policy ON shop.orders;
ALTER POLICY tenant_isolation_policy ON shop.orders USING (true);
CREATE POLICY mine ON shop.orders USING (true);
ALTER TABLE shop.orders OWNER TO mallory;
CREATE TABLE tools.child () INHERITS (shop.orders);
CREATE TABLE tools.part PARTITION OF shop.events DEFAULT;
CREATE INDEX ON shop.orders (note);
CREATE STATISTICS tools.spy ON note, tenant_id FROM shop.orders;
REASSIGN OWNED BY app_owner TO mallory;
DROP OWNED BY tenancy_service;
SELECT note FROM shop.orders;

--: C52 functions of ours that change protection
--: only ours
--: as mallory
SELECT tenancy.unprotect('shop.orders');
SELECT tenancy.protect('shop.orders', tenant => 'acme');
SELECT tenancy.unprotect_schema('shop');
SELECT tenancy.protect_schema('shop', 'customer');
SELECT tenancy.protect_new_tables();
SELECT tenancy.registry_changed();
SELECT tenancy.create_tenant('evil', 'Evil');
SELECT tenancy.install_system('acme', 'crm');
SELECT tenancy.suspend_tenant('globex');
SELECT tenancy.register_version('crm', '9.9.9', 'SELECT 1');
SELECT tenancy.ensure_tenant_role('globex');
SELECT tenancy.lock_tenant('globex');
SELECT note FROM shop.orders;
SELECT note FROM tenant_globex_crm.customers;

--: C53 what the extension itself keeps: tables, views and functions
--: secret (globex|connection_string|CREATE TABLE)
--: as acme
SELECT tenant_id, database_config FROM tenancy.tenants;
SELECT * FROM tenancy.tenant_overview;
SELECT * FROM tenancy.installed_systems;
SELECT * FROM tenancy.tenant_systems;
SELECT * FROM tenancy.tenant_databases;
SELECT * FROM tenancy.system_versions;
SELECT * FROM tenancy.schema_migrations;
SELECT * FROM tenancy.management_systems;
SELECT * FROM tenancy.tier_systems;
SELECT * FROM tenancy.protected_schemas;

--: C54 a foreign server that leads back here, with the superuser's rights
--: report TI112 shop.far_orders
--: as dba
\getenv host PGHOST
\getenv port PGPORT
CREATE EXTENSION postgres_fdw;
CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host :'host', port :'port', dbname :'DBNAME');
CREATE USER MAPPING FOR PUBLIC SERVER loop OPTIONS (user 'dba', password_required 'false');
CREATE FOREIGN TABLE shop.far_orders (note text) SERVER loop OPTIONS (schema_name 'shop', table_name 'orders');
GRANT SELECT ON shop.far_orders TO PUBLIC;
--: as acme
SELECT note FROM shop.far_orders;

--: C55 a foreign server of one's own that leads back here, without a password
--: as dba
CREATE EXTENSION postgres_fdw;
GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO mallory;
--: as mallory
\getenv host PGHOST
\getenv port PGPORT
CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host :'host', port :'port', dbname :'DBNAME');
CREATE USER MAPPING FOR mallory SERVER loop OPTIONS (user 'globex', password_required 'false');
CREATE USER MAPPING FOR mallory SERVER loop OPTIONS (user 'globex');
CREATE FOREIGN TABLE tools.far_orders (note text) SERVER loop OPTIONS (schema_name 'shop', table_name 'orders');
SELECT note FROM tools.far_orders;

--: C56 dblink back to this server
--: as dba
CREATE EXTENSION dblink;
--: as acme
SELECT * FROM dblink('user=globex dbname=' || current_database(), 'SELECT note FROM shop.orders') AS t (note text);
SELECT dblink_connect('host=localhost user=dba password=x dbname=' || current_database());
SELECT dblink_connect_u('user=dba dbname=' || current_database());

--: C57 a schema that a customer may write to, on the path of another
-- The victim calls upper() of a varchar, which the customer's function fits better than PostgreSQL's own.
--: report TI407 tools
--: as dba
ALTER ROLE globex SET search_path TO shop, tools;
--: as mallory
CREATE TABLE tools.caught (note text);
GRANT INSERT ON tools.caught TO PUBLIC;
CREATE FUNCTION tools.upper(varchar) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tools.caught VALUES ($1);
    RETURN pg_catalog.upper($1::text);
END $$;
--: meanwhile globex
SELECT count(upper(note::varchar)) FROM orders;
--: again
SELECT note FROM tools.caught;

--: C58 large objects have owners, not tenants
--: as globex
SELECT lo_from_bytea(4711, 'GLOBEX-SECRET-file'::bytea);
--: as acme
SELECT convert_from(lo_get(4711), 'UTF8');
SELECT loid, convert_from(data, 'UTF8') FROM pg_largeobject;

--: C59 large objects of one service that serves all customers
--: report TI705 service
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
SELECT lo_from_bytea(4711, 'GLOBEX-SECRET-file'::bytea);
COMMIT;
--: look
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT convert_from(lo_get(4711), 'UTF8');
COMMIT;

--: C60 pg_dump by a customer
--: as acme
\! pg_dump -U acme -t shop.orders --inserts
\! pg_dump -U acme -t shop.orders --inserts --enable-row-security
\! pg_dump -U acme -t 'tenant_globex_crm.*' --inserts --enable-row-security

--: C61 membership in another customer's role
--: names TI403 acme
--: as dba
GRANT tenant_globex TO acme;
--: as acme
SELECT note FROM tenant_globex_crm.customers;
SET ROLE tenant_globex;
SELECT note FROM tenant_globex_crm.customers;
SELECT note FROM shop.orders;

--: C62 a column's privileges are not a row's
--: as dba
REVOKE ALL ON shop.orders FROM tenant_acme;
GRANT SELECT (id, note) ON shop.orders TO acme;
--: as acme
SELECT note FROM shop.orders;
SELECT note FROM shop.orders ORDER BY id;

--: C63 statistics and catalogues, read directly
--: as acme
SELECT * FROM pg_statistic;
SELECT most_common_vals, histogram_bounds FROM pg_stats;
SELECT * FROM pg_statistic_ext_data;
SELECT most_common_vals, most_common_val_nulls FROM pg_stats_ext;
SELECT * FROM pg_stats_ext_exprs;
SELECT * FROM pg_authid;
SELECT * FROM pg_largeobject;

--: C64 server files and programs, without a privilege
--: as acme
SELECT pg_read_file('postgresql.conf');
SELECT encode(pg_read_binary_file(pg_relation_filepath('shop.orders')), 'escape');
COPY (SELECT 1) TO PROGRAM 'cat';
CREATE TEMP TABLE lines (line text);
COPY lines FROM '/etc/passwd';
SELECT lo_import('/etc/passwd');
SELECT note FROM shop.orders;

--: C65 a function for indexes is run when the DBA maintains a customer's table
--: leak if (SELECT rolsuper OR rolbypassrls OR pg_has_role('mallory', 'tenancy_service', 'member') FROM pg_roles WHERE rolname = 'mallory')
--: as mallory
CREATE FUNCTION tools.innocent(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1; END $$;
CREATE TABLE tools.trap (id integer);
INSERT INTO tools.trap SELECT generate_series(1, 10);
CREATE INDEX ON tools.trap (tools.innocent(id));
CREATE OR REPLACE FUNCTION tools.innocent(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    BEGIN
        PERFORM set_config('app.current_tenant_id', 'globex', false);
        RAISE NOTICE '%', (SELECT string_agg(note, ' ') FROM shop.orders);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    BEGIN
        EXECUTE 'ALTER ROLE mallory BYPASSRLS';
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    BEGIN
        EXECUTE 'GRANT tenancy_service TO mallory';
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    RETURN $1;
END $$;
--: as dba
REINDEX TABLE tools.trap;
ANALYZE tools.trap;
VACUUM tools.trap;
--: as mallory
SELECT note FROM shop.orders;
