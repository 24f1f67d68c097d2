--
-- F: generated DDL.  A table with an odd name or shape is protected; is it?  And may somebody make the generator say more?
--

--: F01 names with quotes, semicolons and comments
--: as dba
CREATE TABLE shop."o""; DROP TABLE shop.orders; --" ("tenant_id" text, note text);
INSERT INTO shop."o""; DROP TABLE shop.orders; --" VALUES ('globex', 'GLOBEX-SECRET');
GRANT ALL ON shop."o""; DROP TABLE shop.orders; --" TO PUBLIC;
SELECT tenancy.protect_schema('shop');
--: as acme
SELECT note FROM shop."o""; DROP TABLE shop.orders; --";

--: F02 names with line breaks, dollars, percent signs and backslashes
--: as dba
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SET quote_all_identifiers = on;
CREATE TABLE shop."a
b$$c%s%I\'d" (tenant_id text, note text);
INSERT INTO shop."a
b$$c%s%I\'d" VALUES ('globex', 'GLOBEX-SECRET');
GRANT ALL ON shop."a
b$$c%s%I\'d" TO PUBLIC;
SELECT tenancy.protect_schema('shop');
--: as acme
SELECT note FROM shop."a
b$$c%s%I\'d";

--: F03 a tenant column whose name is a condition
--: as dba
CREATE TABLE tools.t ("tenant_id = tenant_id OR tenant_id" text, tenant_id text, note text);
INSERT INTO tools.t VALUES ('globex', 'globex', 'GLOBEX-SECRET');
GRANT ALL ON tools.t TO PUBLIC;
SELECT tenancy.protect('tools.t', 'tenant_id = tenant_id OR tenant_id');
--: as acme
SELECT note FROM tools.t;

--: F04 a tenant column called like a keyword, a function or our schema
--: as dba
CREATE TABLE tools.t1 ("current_user" text, note text);
CREATE TABLE tools.t2 ("tenancy.current_tenant()" text, note text);
CREATE TABLE tools.t3 (tenancy text, current_tenant text, note text);
CREATE TABLE tools.t4 ("select" text, note text);
INSERT INTO tools.t1 VALUES ('globex', 'GLOBEX-SECRET');
INSERT INTO tools.t2 VALUES ('globex', 'GLOBEX-SECRET');
INSERT INTO tools.t3 VALUES ('globex', 'acme', 'GLOBEX-SECRET');
INSERT INTO tools.t4 VALUES ('globex', 'GLOBEX-SECRET');
GRANT ALL ON tools.t1, tools.t2, tools.t3, tools.t4 TO PUBLIC;
SELECT tenancy.protect('tools.t1', 'current_user'), tenancy.protect('tools.t2', 'tenancy.current_tenant()'),
       tenancy.protect('tools.t3', 'tenancy'), tenancy.protect('tools.t4', 'select');
--: as acme
SELECT note FROM tools.t1;
SELECT note FROM tools.t2;
SELECT note FROM tools.t3;
SELECT note FROM tools.t4;

--: F05 names of 63 bytes, in several alphabets
--: as dba
SELECT 'CREATE TABLE shop.' || quote_ident(repeat('ж', 31)) || ' (tenant_id text, ' || quote_ident(repeat('水', 21)) || ' text)' \gexec
SELECT 'CREATE TABLE shop.' || quote_ident(repeat('x', 63)) || ' (tenant_id text, note text)' \gexec
SELECT format('INSERT INTO shop.%I VALUES (''globex'', ''GLOBEX-SECRET'')', name) FROM unnest(ARRAY[repeat('ж', 31), repeat('x', 63)]) name \gexec
SELECT format('GRANT ALL ON shop.%I TO PUBLIC', name) FROM unnest(ARRAY[repeat('ж', 31), repeat('x', 63)]) name \gexec
SELECT tenancy.protect_schema('shop');
--: as acme
SELECT format('SELECT * FROM shop.%I', name) FROM unnest(ARRAY[repeat('ж', 31), repeat('x', 63)]) name \gexec

--: F06 an operator and a function of somebody else's on the path while protect() runs
--: as mallory
CREATE FUNCTION tools.yes(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE FUNCTION tools.yes(varchar, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE OPERATOR tools.= (LEFTARG = text, RIGHTARG = text, FUNCTION = tools.yes);
CREATE OPERATOR tools.= (LEFTARG = varchar, RIGHTARG = text, FUNCTION = tools.yes);
--: as dba
CREATE TABLE shop.t (tenant_id text, note text);
CREATE TABLE shop.v (tenant_id varchar, note text);
INSERT INTO shop.t VALUES ('globex', 'GLOBEX-SECRET');
INSERT INTO shop.v VALUES ('globex', 'GLOBEX-SECRET');
GRANT ALL ON shop.t, shop.v TO PUBLIC;
SET search_path TO tools, pg_catalog;
SELECT tenancy.protect('shop.t'), tenancy.protect('shop.v');
--: as acme
SET search_path TO tools, pg_catalog;
SELECT note FROM shop.t;
SELECT note FROM shop.v;

--: F07 a policy of our name that says something else
--: as dba
CREATE TABLE tools.t (tenant_id text, note text);
INSERT INTO tools.t VALUES ('globex', 'GLOBEX-SECRET');
GRANT ALL ON tools.t TO PUBLIC;
CREATE POLICY tenant_isolation_policy ON tools.t USING (true);
SELECT to_regproc('tenancy.protect_ddl') IS NOT NULL AS ours \gset
\if :ours
SELECT tenancy.protect('tools.t');
\else
ALTER TABLE tools.t ENABLE ROW LEVEL SECURITY;
\endif
--: as acme
SELECT note FROM tools.t;

--: F08 a policy of our name with our text, but not ours: another function, another type, another column
--: only ours
--: as dba
CREATE SCHEMA decoy;
CREATE FUNCTION decoy.current_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'globex' $$;
CREATE TABLE tools.t (tenant_id text, other text, note text);
INSERT INTO tools.t VALUES ('globex', 'acme', 'GLOBEX-SECRET');
GRANT ALL ON tools.t TO PUBLIC;
CREATE POLICY tenant_isolation_policy ON tools.t USING (other = tenancy.current_tenant()) WITH CHECK (other = tenancy.current_tenant());
CREATE POLICY tenant_isolation_floor ON tools.t AS RESTRICTIVE USING (tenant_id = decoy.current_tenant()) WITH CHECK (true);
SELECT tenancy.protect('tools.t');
--: as acme
SELECT note FROM tools.t;

--: F09 partitions whose columns stand in another order
--: as dba
CREATE TABLE shop.log (id integer, tenant_id text, note text) PARTITION BY RANGE (id);
CREATE TABLE shop.log_1 (note text, junk text, tenant_id text, id integer);
ALTER TABLE shop.log_1 DROP COLUMN junk;
ALTER TABLE shop.log ATTACH PARTITION shop.log_1 FOR VALUES FROM (0) TO (10);
CREATE TABLE shop.log_2 PARTITION OF shop.log FOR VALUES FROM (10) TO (20) PARTITION BY LIST (tenant_id);
CREATE TABLE shop.log_2_rest PARTITION OF shop.log_2 DEFAULT;
INSERT INTO shop.log VALUES (1, 'globex', 'GLOBEX-SECRET'), (11, 'globex', 'GLOBEX-SECRET');
GRANT ALL ON shop.log, shop.log_1, shop.log_2, shop.log_2_rest TO PUBLIC;
SELECT tenancy.protect_schema('shop');
--: as acme
SELECT note FROM shop.log;
SELECT note FROM shop.log_1;
SELECT note FROM shop.log_2;
SELECT note FROM shop.log_2_rest;

--: F10 a child of two parents
--: as dba
CREATE TABLE shop.p1 (tenant_id text, note text);
CREATE TABLE shop.p2 (tenant_id text, owner text);
CREATE TABLE shop.both () INHERITS (shop.p1, shop.p2);
INSERT INTO shop.both VALUES ('globex', 'GLOBEX-SECRET', 'x');
GRANT ALL ON shop.p1, shop.p2, shop.both TO PUBLIC;
SELECT tenancy.protect_schema('shop');
--: as acme
SELECT note FROM shop.p1;
SELECT note FROM shop.both;
SELECT p2 FROM shop.p2;
SELECT b FROM shop.both b;

--: F11 a table of a type
--: as dba
CREATE TYPE tools.row_type AS (tenant_id text, note text);
CREATE TABLE shop.typed OF tools.row_type;
INSERT INTO shop.typed VALUES ('globex', 'GLOBEX-SECRET');
GRANT ALL ON shop.typed TO PUBLIC;
SELECT tenancy.protect_schema('shop');
--: as acme
SELECT note FROM shop.typed;

--: F12 an unlogged table, and one whose tenant column is generated
--: as dba
CREATE UNLOGGED TABLE shop.fast (tenant_id text, note text);
CREATE TABLE shop.generated (owner text, note text, tenant_id text GENERATED ALWAYS AS (lower(owner)) STORED);
INSERT INTO shop.fast VALUES ('globex', 'GLOBEX-SECRET');
INSERT INTO shop.generated VALUES ('Globex', 'GLOBEX-SECRET');
GRANT ALL ON shop.fast, shop.generated TO PUBLIC;
SELECT tenancy.protect_schema('shop');
--: as acme
SELECT note FROM shop.fast;
SELECT note FROM shop.generated;
INSERT INTO shop.generated (owner, note) VALUES ('GLOBEX', 'HACKED');
UPDATE shop.generated SET owner = 'globex';

--: F13 a domain over text
--: as dba
CREATE DOMAIN tools.tenant AS text;
CREATE TABLE shop.domained (tenant_id tools.tenant, note text);
INSERT INTO shop.domained VALUES ('globex', 'GLOBEX-SECRET');
GRANT ALL ON shop.domained TO PUBLIC;
SELECT tenancy.protect_schema('shop');
--: as acme
SELECT note FROM shop.domained;

--: F14 protect() for one tenant: an identifier that is a condition
--: as dba
CREATE TABLE tools.t (note text);
INSERT INTO tools.t VALUES ('GLOBEX-SECRET');
--: try dba
SELECT tenancy.protect('tools.t', tenant => 'globex'' OR true --');
SELECT tenancy.protect('tools.t', tenant => E'globex\' OR true --');
SELECT tenancy.protect('tools.t', tenant => 'globex') IS NULL;
GRANT SELECT ON tools.t TO tenant_globex;
--: as acme
SELECT note FROM tools.t;

--: F15 what protect_ddl() returns, run as it stands
--: only ours
--: as dba
CREATE TABLE tools."t'able" (tenant_id text, note text) PARTITION BY LIST (tenant_id);
CREATE TABLE tools."par""t" PARTITION OF tools."t'able" DEFAULT;
INSERT INTO tools."t'able" VALUES ('globex', 'GLOBEX-SECRET');
GRANT ALL ON tools."t'able", tools."par""t" TO PUBLIC;
SELECT tenancy.protect_ddl('tools."t''able"') \gexec
--: as acme
SELECT note FROM tools."t'able";
SELECT note FROM tools."par""t";

--: F16 a column that is renamed, dropped or retyped afterwards
--: as dba
CREATE TABLE shop.renamed (tenant_id text, note text);
CREATE TABLE shop.retyped (tenant_id varchar(50), note text);
CREATE TABLE shop.dropped (tenant_id text, note text);
INSERT INTO shop.renamed VALUES ('globex', 'GLOBEX-SECRET');
INSERT INTO shop.retyped VALUES ('globex', 'GLOBEX-SECRET');
INSERT INTO shop.dropped VALUES ('globex', 'GLOBEX-SECRET');
GRANT ALL ON shop.renamed, shop.retyped, shop.dropped TO PUBLIC;
SELECT tenancy.protect_schema('shop');
ALTER TABLE shop.renamed RENAME tenant_id TO customer_id;
--: try dba
ALTER TABLE shop.retyped ALTER tenant_id TYPE varchar(60);
ALTER TABLE shop.dropped DROP COLUMN tenant_id;
ALTER TABLE shop.dropped DROP COLUMN tenant_id CASCADE;
--: as acme
SELECT note FROM shop.renamed;
SELECT note FROM shop.retyped;
SELECT note FROM shop.dropped;

--: F17 a table that is moved, renamed and given to somebody else
--: as dba
CREATE TABLE shop.wandering (tenant_id text, note text);
INSERT INTO shop.wandering VALUES ('globex', 'GLOBEX-SECRET');
GRANT ALL ON shop.wandering TO PUBLIC;
SELECT tenancy.protect_schema('shop');
ALTER TABLE shop.wandering SET SCHEMA tools;
ALTER TABLE tools.wandering RENAME TO archive;
ALTER TABLE tools.archive OWNER TO mallory;
--: as acme
SELECT note FROM tools.archive;
--: as mallory
SELECT note FROM tools.archive;

--: F18 the system's script of a vendor changes another tenant's schema
--: only ours
--: as dba
SELECT tenancy.register_system('evil', 'Evil', 'evil', 'somebody');
SELECT tenancy.register_version('evil', '1.0.0', $$
    ALTER TABLE tenant_globex_crm.customers NO FORCE ROW LEVEL SECURITY;
    CREATE TABLE loot AS SELECT * FROM tenant_globex_crm.customers;
    ALTER TABLE tenant_globex_crm.customers FORCE ROW LEVEL SECURITY;
$$);
--: try dba
SELECT tenancy.install_system('acme', 'evil');
--: as acme
SELECT note FROM tenant_acme_evil.loot;

--: F19 the system's script of a vendor looks at another tenant's rows
--: only ours
--: as dba
SELECT tenancy.register_system('evil', 'Evil', 'evil', 'somebody');
SELECT tenancy.register_version('evil', '1.0.0', $$
    CREATE TABLE loot (note text);
    INSERT INTO loot SELECT note FROM tenant_globex_crm.customers;
    CREATE VIEW spy AS SELECT * FROM tenant_globex_crm.customers;
    CREATE FUNCTION spy() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS 'SELECT note FROM tenant_globex_crm.customers';
$$);
SELECT tenancy.register_version('evil', '1.0.1', $$
    CREATE VIEW spy AS SELECT * FROM tenant_globex_crm.customers;
    CREATE FUNCTION spy() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS 'SELECT note FROM tenant_globex_crm.customers';
$$);
--: try dba
SELECT tenancy.install_system('acme', 'evil', '1.0.0');
SELECT tenancy.install_system('acme', 'evil', '1.0.1');
--: as acme
SELECT note FROM tenant_acme_evil.loot;
SELECT note FROM tenant_acme_evil.spy;
SELECT tenant_acme_evil.spy();

--: F20 the system's script of a vendor wants more than schemas
--: only ours
--: leak if (SELECT bool_or(rolsuper OR rolbypassrls) FROM pg_roles WHERE rolname IN ('tenancy_owner', 'tenant_acme', 'mallory')) OR pg_has_role('tenant_acme', 'tenancy_service', 'member')
--: as dba
SELECT tenancy.register_system('evil', 'Evil', 'evil', 'somebody');
SELECT tenancy.register_version('evil', '1.0.0', $$ ALTER ROLE tenancy_owner BYPASSRLS; $$);
SELECT tenancy.register_version('evil', '1.0.1', $$ RESET ROLE; ALTER ROLE mallory SUPERUSER; $$);
SELECT tenancy.register_version('evil', '1.0.2', $$ SET SESSION AUTHORIZATION dba; ALTER ROLE mallory SUPERUSER; $$);
SELECT tenancy.register_version('evil', '1.0.3', $$ GRANT tenancy_service TO tenant_acme; $$);
SELECT tenancy.register_version('evil', '1.0.5', $$ UPDATE tenancy.tenants SET role_name = 'dba'; $$);
SELECT tenancy.register_version('evil', '1.0.6', $$ DO 'BEGIN PERFORM set_config(''role'', ''dba'', false); EXECUTE ''ALTER ROLE mallory SUPERUSER''; END'; $$);
--: try dba
SELECT tenancy.register_version('evil', '1.0.4', $$ COMMIT; ALTER ROLE mallory SUPERUSER; $$);
SELECT format('SELECT tenancy.install_system(''acme'', ''evil'', %L)', version) FROM tenancy.system_versions WHERE system_id = 'evil' ORDER BY version \gexec
--: as mallory
SELECT note FROM shop.orders;

--: F21 a system's script leaves a table open
--: only ours
--: as dba
SELECT tenancy.register_system('loose', 'Loose', 'loose', 'somebody');
SELECT tenancy.register_version('loose', '1.0.0', $$
    CREATE TABLE parts (id integer, note text) PARTITION BY RANGE (id);
    CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (10);
    CREATE TABLE open (note text);
    ALTER TABLE open DISABLE ROW LEVEL SECURITY;
    CREATE VIEW all_of_it AS SELECT note FROM open UNION ALL SELECT note FROM parts;
    GRANT ALL ON parts, part, open, all_of_it TO PUBLIC;
    GRANT USAGE ON SCHEMA @schema@ TO PUBLIC;
    INSERT INTO part VALUES (1, 'GLOBEX-SECRET');
    INSERT INTO open VALUES ('GLOBEX-SECRET');
$$);
SELECT tenancy.install_system('globex', 'loose');
--: as acme
SELECT note FROM tenant_globex_loose.parts;
SELECT note FROM tenant_globex_loose.part;
SELECT note FROM tenant_globex_loose.open;
SELECT note FROM tenant_globex_loose.all_of_it;

--: F22 the system's script of a vendor leaves a deferred trigger, which would run as whoever installs it
--: only ours
--: leak if (SELECT bool_or(rolsuper OR rolbypassrls) FROM pg_roles WHERE rolname = 'mallory')
--: as dba
SELECT tenancy.register_system('evil', 'Evil', 'evil', 'somebody');
SELECT tenancy.register_version('evil', '1.0.0', $$
    CREATE TABLE parts (id integer);
    CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE ''ALTER ROLE mallory SUPERUSER''; RETURN NULL; EXCEPTION WHEN insufficient_privilege THEN RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER later AFTER INSERT ON parts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION later();
$$);
SELECT tenancy.register_version('evil', '1.0.1', 'CREATE TABLE parts (id integer);');
SELECT tenancy.register_migration('evil', '1.0.0', '1.0.1', 'INSERT INTO parts VALUES (1);');
SELECT tenancy.install_system('acme', 'evil', '1.0.0');
--: try dba
SELECT tenancy.update_system('acme', 'evil', '1.0.1');
--: as mallory
SELECT note FROM shop.orders;

--: F23 the system's script of a vendor leaves temporary objects in the session that installs it
--: only ours
--: leak if (SELECT bool_or(rolsuper OR rolbypassrls) FROM pg_roles WHERE rolname = 'mallory')
--: as dba
SELECT tenancy.register_system('evil', 'Evil', 'evil', 'somebody');
SELECT tenancy.register_version('evil', '1.0.0', $$
    CREATE TABLE parts (id integer);
    CREATE FUNCTION pg_temp.trap() RETURNS name LANGUAGE plpgsql AS 'BEGIN EXECUTE ''ALTER ROLE mallory SUPERUSER''; RETURN NULL; END';
    CREATE TEMP VIEW pg_roles AS SELECT pg_temp.trap() AS rolname;
$$);
--: try dba
SELECT tenancy.install_system('acme', 'evil');
SELECT rolname FROM pg_roles;
--: as mallory
SELECT note FROM shop.orders;

--: F24 the system's script of a vendor destroys what another tenant has
--: only ours
--: as dba
SELECT tenancy.register_system('evil', 'Evil', 'evil', 'somebody');
SELECT tenancy.register_version('evil', '1.0.0', 'TRUNCATE tenant_globex_crm.customers;');
SELECT tenancy.register_version('evil', '1.0.1', 'DROP TABLE tenant_globex_crm.customers;');
SELECT tenancy.register_version('evil', '1.0.2', 'DROP SCHEMA tenant_globex_crm CASCADE;');
SELECT tenancy.register_version('evil', '1.0.3', $$ UPDATE tenant_globex_crm.customers SET note = 'HACKED'; $$);
SELECT tenancy.register_version('evil', '1.0.4', $$ INSERT INTO tenant_globex_crm.customers (note) VALUES ('HACKED'); $$);
SELECT tenancy.register_version('evil', '1.0.5', $$ DO 'BEGIN DELETE FROM tenant_globex_crm.customers; END'; $$);
SELECT tenancy.register_version('evil', '1.0.6', $$ SELECT tenancy.unprotect('tenant_globex_crm.customers'); $$);
SELECT tenancy.register_version('evil', '1.0.7', $$ CREATE RULE r AS ON INSERT TO tenant_globex_crm.customers DO INSTEAD NOTHING; $$);
SELECT tenancy.register_version('evil', '1.0.8', $$ CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER t BEFORE INSERT ON tenant_globex_crm.customers FOR EACH ROW EXECUTE FUNCTION t(); $$);
SELECT tenancy.register_version('evil', '1.0.9', $$ CREATE POLICY p ON tenant_globex_crm.customers AS RESTRICTIVE USING (false); $$);
--: try dba
SELECT tenancy.install_system('acme', 'evil', '1.0.0');
SELECT tenancy.uninstall_system('acme', 'evil');
SELECT tenancy.install_system('acme', 'evil', '1.0.1');
SELECT tenancy.uninstall_system('acme', 'evil');
SELECT tenancy.install_system('acme', 'evil', '1.0.2');
SELECT tenancy.uninstall_system('acme', 'evil');
SELECT tenancy.install_system('acme', 'evil', '1.0.3');
SELECT tenancy.uninstall_system('acme', 'evil');
SELECT tenancy.install_system('acme', 'evil', '1.0.4');
SELECT tenancy.uninstall_system('acme', 'evil');
SELECT tenancy.install_system('acme', 'evil', '1.0.5');
SELECT tenancy.uninstall_system('acme', 'evil');
SELECT tenancy.install_system('acme', 'evil', '1.0.6');
SELECT tenancy.uninstall_system('acme', 'evil');
SELECT tenancy.install_system('acme', 'evil', '1.0.7');
SELECT tenancy.uninstall_system('acme', 'evil');
SELECT tenancy.install_system('acme', 'evil', '1.0.8');
SELECT tenancy.uninstall_system('acme', 'evil');
SELECT tenancy.install_system('acme', 'evil', '1.0.9');
SELECT tenancy.uninstall_system('acme', 'evil');
--: leak if (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'tenant_globex_crm.customers'::regclass AND NOT tgisinternal) + (SELECT count(*) FROM pg_rewrite WHERE ev_class = 'tenant_globex_crm.customers'::regclass) + (SELECT count(*) FROM pg_policy WHERE polrelid = 'tenant_globex_crm.customers'::regclass) <> 2
--: as acme
SELECT note FROM tenant_globex_crm.customers;

--: F25 the system's script of a vendor says what other tenants' tables are made with
--: only ours
--: as dba
SELECT tenancy.register_system('evil', 'Evil', 'evil', 'somebody');
SELECT tenancy.register_version('evil', '1.0.0', $$
    CREATE TABLE parts (id integer);
    ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO tenant_acme;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO tenant_acme;
$$);
SELECT tenancy.register_system('desk', 'Desk', 'desk', 'us');
SELECT tenancy.register_version('desk', '1.0.0', $$ CREATE TABLE tickets (note text); INSERT INTO tickets VALUES ('x'); $$);
--: try dba
SELECT tenancy.install_system('acme', 'evil');
SELECT tenancy.install_system('globex', 'desk');
--: leak if has_table_privilege('tenant_acme', 'tenant_globex_desk.tickets', 'TRUNCATE') OR (SELECT count(*) FROM tenant_globex_desk.tickets) = 0
--: as acme
TRUNCATE tenant_globex_desk.tickets;

--: F26 the system's script of a vendor makes its table a child of another tenant's
--: only ours
--: as dba
SELECT tenancy.register_system('evil', 'Evil', 'evil', 'somebody');
SELECT tenancy.register_version('evil', '1.0.0', $$ CREATE TABLE spare () INHERITS (tenant_globex_crm.customers); INSERT INTO spare (name) VALUES ('HACKED'); $$);
SELECT tenancy.register_version('evil', '1.0.1', $$ CREATE TABLE spare (LIKE tenant_globex_crm.customers); ALTER TABLE spare INHERIT tenant_globex_crm.customers; INSERT INTO spare (id, name) VALUES (9, 'HACKED'); $$);
--: try dba
SELECT tenancy.install_system('acme', 'evil', '1.0.0');
SELECT tenancy.install_system('acme', 'evil', '1.0.1');
--: leak if EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'tenant_globex_crm.customers'::regclass)
--: as acme
SELECT note FROM tenant_globex_crm.customers;

--: F27 the system's script of a vendor puts a view, a function, a key and an index of its own where another tenant's are
--: only ours
--: as dba
SELECT tenancy.register_system('evil', 'Evil', 'evil', 'somebody');
SELECT tenancy.register_version('evil', '1.0.0', $$ CREATE VIEW tenant_globex_crm.names AS SELECT 'HACKED' AS name; $$);
SELECT tenancy.register_version('evil', '1.0.1', $$ CREATE FUNCTION tenant_globex_crm.upper(text) RETURNS text LANGUAGE sql AS 'SELECT $1'; $$);
SELECT tenancy.register_version('evil', '1.0.2', $$ CREATE TABLE parts (id integer REFERENCES tenant_globex_crm.customers); INSERT INTO parts VALUES (1); $$);
SELECT tenancy.register_version('evil', '1.0.3', $$ CREATE UNIQUE INDEX ON tenant_globex_crm.customers ((1)); $$);
SELECT tenancy.register_version('evil', '1.0.4', $$ REVOKE ALL ON tenant_globex_crm.customers FROM tenant_globex; $$);
--: try dba
SELECT format('SELECT tenancy.install_system(''acme'', ''evil'', %L)', version) FROM tenancy.system_versions WHERE system_id = 'evil' ORDER BY version \gexec
--: leak if to_regclass('tenant_globex_crm.names') IS NOT NULL OR to_regproc('tenant_globex_crm.upper') IS NOT NULL OR to_regclass('tenant_acme_evil.parts') IS NOT NULL OR (SELECT count(*) FROM pg_index WHERE indrelid = 'tenant_globex_crm.customers'::regclass) <> 1 OR NOT has_table_privilege('tenant_globex', 'tenant_globex_crm.customers', 'SELECT')
--: as acme
SELECT note FROM tenant_globex_crm.customers;

--: F28 the system's script of a vendor leaves a prepared statement, a cursor and a trigger that come to life when it has ended
--: only ours
--: leak if (SELECT bool_or(rolsuper OR rolbypassrls) FROM pg_roles WHERE rolname = 'mallory')
--: as dba
SELECT tenancy.register_system('evil', 'Evil', 'evil', 'somebody');
SELECT tenancy.register_version('evil', '1.0.0', $$
    CREATE FUNCTION trap() RETURNS integer LANGUAGE plpgsql AS 'BEGIN EXECUTE ''ALTER ROLE mallory SUPERUSER''; RETURN 1; EXCEPTION WHEN insufficient_privilege THEN RETURN 0; END';
    PREPARE s_1 AS SELECT @schema@.trap();
$$);
SELECT tenancy.register_version('evil', '1.0.1', $$
    CREATE FUNCTION trap() RETURNS integer LANGUAGE plpgsql AS 'BEGIN EXECUTE ''ALTER ROLE mallory SUPERUSER''; RETURN 1; EXCEPTION WHEN insufficient_privilege THEN RETURN 0; END';
    DECLARE later CURSOR WITH HOLD FOR SELECT @schema@.trap();
$$);
SELECT tenancy.register_version('evil', '1.0.2', $$
    CREATE TABLE parts (id integer);
    CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.id = 1 THEN SET CONSTRAINTS ALL DEFERRED; INSERT INTO @schema@.parts VALUES (2); ELSE EXECUTE ''ALTER ROLE mallory SUPERUSER''; END IF; RETURN NULL; EXCEPTION WHEN insufficient_privilege THEN RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER trap AFTER INSERT ON parts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trap();
    INSERT INTO parts VALUES (1);
$$);
--: try dba
SELECT tenancy.install_system('acme', 'evil', '1.0.0');
EXECUTE s_1;
SELECT tenancy.install_system('acme', 'evil', '1.0.1');
FETCH ALL FROM later;
SELECT tenancy.install_system('acme', 'evil', '1.0.2');
--: as mallory
SELECT note FROM shop.orders;

--: F29 functions that the system's script of a vendor has left, called by its tenant with the rights of the scripts' role
--: only ours
--: as dba
SELECT tenancy.register_system('evil', 'Evil', 'evil', 'somebody');
SELECT tenancy.register_version('evil', '1.0.0', $$
    CREATE FUNCTION run(statement text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
        'DECLARE answer text; BEGIN EXECUTE statement INTO answer; RETURN answer; EXCEPTION WHEN syntax_error THEN EXECUTE statement; RETURN NULL; END';
    CREATE FUNCTION act(statement text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE statement; END';
    CREATE TABLE parts (id integer);
$$);
SELECT tenancy.install_system('acme', 'evil');
--: as acme
SELECT tenant_acme_evil.run('SELECT note FROM tenant_globex_crm.customers');
SELECT tenant_acme_evil.act('ALTER TABLE tenant_globex_crm.customers DISABLE ROW LEVEL SECURITY');
SELECT tenant_acme_evil.act('ALTER TABLE tenant_globex_crm.customers ALTER note SET DEFAULT ''HACKED''');
SELECT tenant_acme_evil.act('CREATE POLICY p ON tenant_globex_crm.customers USING (true)');
SELECT tenant_acme_evil.act('TRUNCATE tenant_globex_crm.customers');
SELECT tenant_acme_evil.act('DROP TABLE tenant_globex_crm.customers');
SELECT tenant_acme_evil.act('DROP SCHEMA tenant_globex_crm CASCADE');
SELECT tenant_acme_evil.act('UPDATE tenant_globex_crm.customers SET note = ''HACKED''');
SELECT tenant_acme_evil.act('CREATE RULE r AS ON INSERT TO tenant_globex_crm.customers DO INSTEAD NOTHING');
SELECT tenant_acme_evil.act('CREATE INDEX ON tenant_globex_crm.customers ((1/(id-id)))');
SELECT tenant_acme_evil.act('SELECT tenancy.set_tenant(''globex'')');
SELECT tenant_acme_evil.run('SELECT note FROM tenant_globex_crm.customers');

--: F30 the same functions, at what has no policies: another tenant's views, functions, sequences and privileges
--: only ours
--: secret HACKED
--: as dba
SELECT tenancy.register_system('desk', 'Desk', 'desk', 'us');
SELECT tenancy.register_version('desk', '1.0.0', $$
    CREATE TABLE t (id serial PRIMARY KEY, note text);
    CREATE VIEW v AS SELECT note FROM t;
    CREATE FUNCTION price() RETURNS integer LANGUAGE sql AS 'SELECT 1';
$$);
SELECT tenancy.register_system('evil', 'Evil', 'evil', 'somebody');
SELECT tenancy.register_version('evil', '1.0.0', $$
    CREATE FUNCTION run(statement text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS 'DECLARE answer text; BEGIN EXECUTE statement INTO answer; RETURN ''HACKED'' || answer; END';
    CREATE FUNCTION act(statement text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE statement; RETURN ''HACKED''; END';
    CREATE TABLE parts (id integer);
$$);
SELECT tenancy.install_system('globex', 'desk');
SELECT tenancy.install_system('acme', 'evil');
--: as acme
SELECT tenant_acme_evil.act('CREATE OR REPLACE FUNCTION tenant_globex_desk.price() RETURNS integer LANGUAGE sql AS ''SELECT 2''');
SELECT tenant_acme_evil.act('CREATE FUNCTION tenant_globex_desk.upper(text) RETURNS text LANGUAGE sql AS ''SELECT $1''');
SELECT tenant_acme_evil.act('DROP FUNCTION tenant_globex_desk.price()');
SELECT tenant_acme_evil.act('CREATE OR REPLACE VIEW tenant_globex_desk.v AS SELECT NULL::text AS note');
SELECT tenant_acme_evil.act('DROP VIEW tenant_globex_desk.v');
SELECT tenant_acme_evil.act('CREATE TABLE tenant_globex_desk.x (id integer)');
SELECT tenant_acme_evil.act('CREATE TABLE tenant_acme_evil.x () INHERITS (tenant_globex_desk.t)');
SELECT tenant_acme_evil.act('CREATE TABLE tenant_acme_evil.y (id integer REFERENCES tenant_globex_desk.t)');
SELECT tenant_acme_evil.act('ALTER SEQUENCE tenant_globex_desk.t_id_seq RESTART 1');
SELECT tenant_acme_evil.act('SELECT setval(''tenant_globex_desk.t_id_seq'', 1)');
SELECT tenant_acme_evil.act('GRANT USAGE ON SCHEMA tenant_globex_desk TO acme');
SELECT tenant_acme_evil.act('REVOKE ALL ON tenant_globex_desk.t FROM tenant_globex');
SELECT tenant_acme_evil.act('ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO acme');
SELECT tenant_acme_evil.act('ALTER SCHEMA tenant_globex_desk OWNER TO tenant_acme');
SELECT tenant_acme_evil.act('DROP OWNED BY tenancy_owner');
SELECT tenant_acme_evil.run('SELECT last_value FROM tenant_globex_desk.t_id_seq');
SELECT tenant_acme_evil.run('SELECT count(*) FROM tenant_globex_desk.v');

--: F31 the same functions, called by a service that has set no tenant
--: only ours
--: secret HACKED
--: as dba
SELECT tenancy.register_system('evil', 'Evil', 'evil', 'somebody');
SELECT tenancy.register_version('evil', '1.0.0', $$
    CREATE FUNCTION act(statement text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE statement; RETURN ''HACKED''; END';
    CREATE TABLE parts (id integer);
$$);
SELECT tenancy.install_system('acme', 'evil');
--: as service
SELECT tenant_acme_evil.act('ALTER TABLE tenant_globex_crm.customers DISABLE ROW LEVEL SECURITY');
SELECT tenant_acme_evil.act('CREATE POLICY p ON tenant_globex_crm.customers USING (true)');
SELECT tenant_acme_evil.act('TRUNCATE tenant_globex_crm.customers');
SELECT tenant_acme_evil.act('DROP TABLE tenant_globex_crm.customers');
SELECT tenant_acme_evil.act('GRANT USAGE ON SCHEMA tenant_globex_crm TO acme');
SELECT tenant_acme_evil.act('ALTER TABLE tenant_globex_crm.customers ADD CHECK (id <> 1) NOT VALID');
