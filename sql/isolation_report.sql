--
-- isolation_report: each finding appears, its remedy is run as it stands, and it is gone.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE isolation_report_test;
\c isolation_report_test
CREATE EXTENSION tenancy;
SELECT tenancy.create_tenant('ir-1', 'One');
SELECT tenancy.create_tenant('ir-2', 'Two');
SELECT tenancy.register_system('notes', 'Notes', 'notes', 'test');
SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id serial PRIMARY KEY, body text); CREATE VIEW notes WITH (security_invoker) AS SELECT * FROM note;');
SELECT tenancy.install_system('ir-1', 'notes');
SELECT tenancy.install_system('ir-2', 'notes');
CREATE ROLE ir_app LOGIN IN ROLE tenancy_service;
CREATE ROLE ir_login LOGIN;
CREATE ROLE ir_owner;
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO ir_app;

-- nothing is wrong yet; how old the server is, and what PostgreSQL shows to everybody, is not for this test
CREATE VIEW report AS SELECT * FROM tenancy.isolation_report() WHERE code <> 'TI602' AND code < 'TI7';
TABLE report;
-- one that is right
CREATE TABLE app.good (id uuid PRIMARY KEY, tenant_id text NOT NULL, name text);
SELECT tenancy.protect('app.good');
GRANT SELECT, INSERT, UPDATE, DELETE ON app.good TO ir_app;
TABLE report;

-- Runs the remedies of a code; what is left of it, and of all.
CREATE PROCEDURE mend(wanted text) LANGUAGE plpgsql AS $$
DECLARE
    finding record;
    found CONSTANT report[] := ARRAY(SELECT r FROM report r WHERE r.code = wanted);
BEGIN
    IF found = '{}' THEN
        RAISE EXCEPTION 'nothing found of %', wanted;
    END IF;
    FOREACH finding IN ARRAY found LOOP
        RAISE NOTICE '% % %', finding.code, finding.severity,
            replace(finding.object || ': ' || finding.reason || E'\n' || finding.remedy, quote_ident(SESSION_USER), '<superuser>');
        EXECUTE finding.remedy;
    END LOOP;
    FOR finding IN SELECT * FROM report LOOP
        IF finding.code = wanted THEN
            RAISE EXCEPTION 'still there: % %', finding.object, finding.reason;
        END IF;
        RAISE NOTICE '    and also % %: %', finding.code, finding.object, finding.reason;
    END LOOP;
END $$;
\set VERBOSITY terse

--
-- TI1xx: tables
--
CREATE TABLE app.t (id uuid PRIMARY KEY, tenant_id text NOT NULL, owner text);
GRANT SELECT ON app.t TO ir_app;
CALL mend('TI101');
ALTER TABLE app.t NO FORCE ROW LEVEL SECURITY;
CALL mend('TI102');
DROP POLICY tenant_isolation_policy ON app.t;
DROP POLICY tenant_isolation_floor ON app.t;
CALL mend('TI103');
DROP POLICY tenant_isolation_floor ON app.t;
CALL mend('TI104');
-- a floor for some is none, and one that lets through is none
ALTER POLICY tenant_isolation_floor ON app.t TO ir_app;
CALL mend('TI104');
ALTER POLICY tenant_isolation_floor ON app.t WITH CHECK (true);
CALL mend('TI104');

-- permissive policies are OR-ed; with the floor they do no harm
CREATE POLICY everybody ON app.t USING (true);
TABLE report;
DROP POLICY tenant_isolation_floor ON app.t;
CALL mend('TI105');
DROP POLICY tenant_isolation_floor ON app.t;
CREATE POLICY support ON app.t FOR SELECT TO ir_login USING (owner IS NOT NULL);
CALL mend('TI105');
DROP POLICY tenant_isolation_floor ON app.t;
CREATE POLICY constant ON app.t FOR SELECT USING (tenant_id = 'ir-1');
CALL mend('TI105');
DROP POLICY tenant_isolation_floor ON app.t;
CREATE POLICY other_column ON app.t FOR SELECT USING (owner = CURRENT_USER);
CALL mend('TI105');
DROP POLICY tenant_isolation_floor ON app.t;
CREATE POLICY writes ON app.t FOR INSERT WITH CHECK (true);
CALL mend('TI106');
DROP POLICY tenant_isolation_floor ON app.t;
ALTER POLICY tenant_isolation_policy ON app.t WITH CHECK (owner IS NOT NULL);
CALL mend('TI106');
DROP POLICY tenant_isolation_floor ON app.t;
CREATE POLICY deletes ON app.t FOR DELETE USING (tenant_id IS NOT NULL);
CALL mend('TI106');
-- the role instead of the context, a sub-select: not ours, but bound
DROP POLICY tenant_isolation_policy ON app.t;
DROP POLICY tenant_isolation_floor ON app.t;
CREATE POLICY by_role ON app.t USING (tenant_id = CURRENT_USER);
CALL mend('TI104');
DROP POLICY by_role ON app.t;

-- partitions and children
CREATE TABLE app.events (tenant_id text NOT NULL, at date) PARTITION BY RANGE (at);
SELECT tenancy.protect('app.events');
SET row_security = off;
CREATE TABLE app.events_2025 PARTITION OF app.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
RESET row_security;
CALL mend('TI107');
ALTER TABLE app.events_2025 NO FORCE ROW LEVEL SECURITY;
CALL mend('TI107');
-- a table above protected ones shows what they keep back
CREATE TABLE app.above (tenant_id text);
ALTER TABLE app.t INHERIT app.above;
CALL mend('TI101');
ALTER TABLE app.t NO INHERIT app.above;
DROP TABLE app.events, app.above;

-- protected schemas
CREATE SCHEMA billing;
SELECT tenancy.protect_schema('billing', 'customer');
CREATE TABLE billing.invoices (id uuid PRIMARY KEY);
CALL mend('TI108');
SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = 'billing.invoices'::regclass;
-- what refers to protected rows holds the same tenants' data
CREATE TABLE app.parent (id uuid PRIMARY KEY, tenant_id text NOT NULL DEFAULT 'ir-1');
INSERT INTO app.parent VALUES ('00000000-0000-0000-0000-000000000001');
SELECT tenancy.protect('app.parent');
CREATE TABLE app.child (parent_id uuid REFERENCES app.parent, preference text);
INSERT INTO app.child VALUES ('00000000-0000-0000-0000-000000000001');
CALL mend('TI109');
SELECT tenant_id FROM app.child;
CALL mend('TI501');

-- owners
ALTER TABLE app.t OWNER TO ir_login;
CALL mend('TI110');
ALTER TABLE app.t OWNER TO tenancy_service;
CALL mend('TI110');
ALTER TABLE tenant_ir_1_notes.note OWNER TO ir_owner;
CALL mend('TI111');

SELECT tenancy.protect('tenant_ir_1_notes.note', tenant => 'ir-2');
CALL mend('TI113');

-- foreign tables
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE app.elsewhere (tenant_id text) SERVER nowhere;
TABLE report;
GRANT SELECT ON app.elsewhere TO ir_app, PUBLIC;
CALL mend('TI112');
ALTER FOREIGN DATA WRAPPER nowhere RENAME TO tenancy_mongo;
GRANT SELECT ON app.elsewhere TO ir_app;
CALL mend('TI112');
GRANT USAGE ON FOREIGN SERVER nowhere TO ir_app, PUBLIC;
CALL mend('TI114');
DROP FOREIGN TABLE app.elsewhere;

--
-- TI2xx: views and functions
--
CREATE VIEW app.v AS SELECT * FROM app.good;
CREATE VIEW app.v2 AS SELECT count(*) FROM app.v;
TABLE report;
GRANT SELECT ON app.v2 TO ir_app;
CALL mend('TI201');
GRANT SELECT ON app.v TO PUBLIC;
CALL mend('TI201');
ALTER VIEW app.v RESET (security_invoker);
ALTER VIEW app.v OWNER TO ir_owner;
CALL mend('TI202');
DROP VIEW app.v2;
CREATE MATERIALIZED VIEW app.m AS SELECT * FROM app.v;
TABLE report;
GRANT SELECT ON app.m TO ir_app;
CALL mend('TI203');
CREATE TABLE app.log (id uuid);
CREATE RULE copied AS ON INSERT TO app.good DO ALSO INSERT INTO app.log VALUES (NEW.id);
CALL mend('TI204');
CREATE RULE back AS ON INSERT TO app.log DO ALSO INSERT INTO app.good VALUES (NEW.id, 'ir-1');
CALL mend('TI204');

CREATE FUNCTION app.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM app.good';
ALTER FUNCTION app.f() OWNER TO ir_owner;
CALL mend('TI211');
ALTER FUNCTION app.f() SET search_path TO app, pg_catalog;
CALL mend('TI211');
ALTER FUNCTION app.f() SET search_path TO '';
TABLE report;
REVOKE EXECUTE ON FUNCTION app.f() FROM PUBLIC;
ALTER FUNCTION app.f() RESET search_path;
TABLE report;
GRANT EXECUTE ON FUNCTION app.f() TO ir_app;
CALL mend('TI211');
ALTER FUNCTION app.f() OWNER TO CURRENT_USER;
CALL mend('TI212');
CREATE PROCEDURE app.p() LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp AS 'SELECT 1';
CALL mend('TI212');
CREATE FUNCTION app.leaks(text) RETURNS boolean LANGUAGE plpgsql LEAKPROOF AS 'BEGIN RAISE NOTICE ''%'', $1; RETURN true; END';
CALL mend('TI213');
GRANT CREATE ON SCHEMA app TO ir_app;
CREATE FUNCTION app.trojan() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
ALTER FUNCTION app.trojan() OWNER TO ir_app;
REVOKE CREATE ON SCHEMA app FROM ir_app;
CREATE TRIGGER trojan AFTER INSERT ON app.good FOR EACH ROW EXECUTE FUNCTION app.trojan();
CALL mend('TI214');
ALTER FUNCTION app.trojan() OWNER TO CURRENT_USER;
CREATE FUNCTION app.check_name(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
ALTER TABLE app.good ADD CHECK (app.check_name(name)), ALTER name SET DEFAULT app.check_name('')::text;
CREATE FUNCTION app.lower_name(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN lower($1); END';
CREATE INDEX ON app.good (app.lower_name(name));
TABLE report;
ALTER FUNCTION app.check_name(text) OWNER TO ir_login;
ALTER FUNCTION app.lower_name(text) OWNER TO ir_app;
GRANT SELECT ON app.good TO ir_login;
CALL mend('TI214');

-- a domain of an application's: its checks see every tenant's rows
CREATE FUNCTION app.check_mail(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
CREATE DOMAIN app.mail AS text CHECK (app.check_mail(VALUE));
ALTER TABLE app.good ADD mail app.mail;
TABLE report;
ALTER DOMAIN app.mail OWNER TO ir_app;
ALTER FUNCTION app.check_mail(text) OWNER TO ir_app;
CALL mend('TI214');
ALTER TABLE app.good DROP mail;
DROP DOMAIN app.mail;

-- a login check: who owns it may choose the tenant
CREATE FUNCTION app.log_in(text) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp AS 'SELECT tenancy.set_tenant($1)';
ALTER FUNCTION app.log_in(text) OWNER TO ir_app;
GRANT EXECUTE ON FUNCTION app.log_in(text) TO ir_login;
CALL mend('TI216');
DROP FUNCTION app.log_in(text);

-- what a tenant's login has made and others may use: their rows pass through it
CREATE ROLE ir_tenant LOGIN IN ROLE tenant_ir_1;
CREATE SCHEMA workshop AUTHORIZATION ir_tenant;
SET ROLE ir_tenant;
CREATE VIEW workshop.sums AS SELECT 1 AS one;
CREATE FUNCTION workshop.add(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1 + 1';
GRANT SELECT ON workshop.sums TO PUBLIC;
RESET ROLE;
TABLE report;
GRANT USAGE ON SCHEMA workshop TO tenant_ir_2;
CALL mend('TI215');
-- its own tenant's roles may
GRANT SELECT ON workshop.sums TO tenant_ir_1;
TABLE report;
DROP SCHEMA workshop CASCADE;
DROP ROLE ir_tenant;

--
-- TI3xx: policies
--
CREATE POLICY matrix ON app.t USING (tenant_id = tenancy.current_tenant() OR tenant_id = ANY (tenancy.current_scope()));
CALL mend('TI301');
ALTER POLICY tenant_isolation_policy ON app.t USING (tenant_id = current_setting('app.current_tenant_id', true));
CALL mend('TI302');
ALTER POLICY tenant_isolation_policy ON app.t USING (tenant_id = (SELECT nullif(current_setting('APP.current_tenant_id'), '')));
CALL mend('TI302');
CREATE FUNCTION app.tenant() RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS 'BEGIN RETURN tenancy.current_tenant(); END';
CREATE POLICY by_function ON app.t USING (tenant_id = app.tenant());
CALL mend('TI303');
CALL mend('TI304');
CREATE FUNCTION app.may_see(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN $1 = tenancy.current_tenant(); END';
CREATE POLICY by_verdict ON app.t FOR SELECT USING (app.may_see(tenant_id));
CALL mend('TI304');
CREATE TABLE app.membership (login text, tenant text);
GRANT SELECT, INSERT ON app.membership TO ir_app;
DROP POLICY tenant_isolation_policy ON app.t;
DROP POLICY tenant_isolation_floor ON app.t;
CREATE POLICY by_membership ON app.t USING (tenant_id IN (SELECT m.tenant FROM app.membership m WHERE m.login = CURRENT_USER));
CALL mend('TI305');
SELECT tenancy.protect('app.t');
DROP POLICY by_membership ON app.t;
DROP POLICY tenant_isolation_floor ON app.t;
CREATE POLICY by_setting ON app.t USING (tenant_id = current_setting('my.tenant', true));
CALL mend('TI306');
DROP POLICY tenant_isolation_floor ON app.t;
CREATE POLICY by_claims ON app.t USING (tenant_id = (SELECT current_setting('request.jwt.claims')::json ->> 'tenant'));
CALL mend('TI306');

--
-- TI4xx: roles and privileges
--
ALTER ROLE ir_app BYPASSRLS CREATEROLE;
CALL mend('TI401');
CREATE ROLE ir_backup BYPASSRLS;
TABLE report;
GRANT SELECT ON app.good TO ir_backup;
CALL mend('TI401');
ALTER ROLE ir_backup BYPASSRLS;
REVOKE SELECT ON app.good FROM ir_backup;
CREATE ROLE ir_group;
GRANT ir_backup TO ir_group;
GRANT ir_group TO ir_app;
CALL mend('TI402');
GRANT tenancy_owner TO ir_app;
CALL mend('TI402');
GRANT pg_read_server_files TO tenant_ir_1;
CALL mend('TI402');
GRANT pg_read_all_data TO tenant_ir_1;
CALL mend('TI402');
GRANT pg_signal_backend TO tenant_ir_1;
CALL mend('TI402');
GRANT tenant_ir_1 TO tenant_ir_2;
CALL mend('TI403');
GRANT tenancy_service TO tenant_ir_2;
CALL mend('TI403');
-- a login of a tenant's
GRANT tenant_ir_1 TO ir_login;
ALTER ROLE ir_login SET app.current_tenant_id = 'ir-1';
TABLE report;
GRANT tenant_ir_2 TO ir_login;
CALL mend('TI403');
GRANT tenancy_service TO ir_login;
CALL mend('TI403');

GRANT TRUNCATE, TRIGGER ON app.good TO ir_app, PUBLIC;
GRANT REFERENCES (id) ON app.good TO ir_login;
CALL mend('TI404');
CREATE TABLE app.numbered (id serial, tenant_id text);
SELECT tenancy.protect('app.numbered');
GRANT ALL ON SEQUENCE app.numbered_id_seq TO ir_app;
CALL mend('TI405');
ALTER DEFAULT PRIVILEGES GRANT TRUNCATE ON TABLES TO ir_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT TRUNCATE ON TABLES TO PUBLIC;
CALL mend('TI406');
GRANT CREATE ON SCHEMA app TO ir_app;
GRANT CREATE ON SCHEMA public TO PUBLIC;
CALL mend('TI407');
GRANT USAGE ON SCHEMA tenant_ir_1_notes TO tenant_ir_2, PUBLIC;
CALL mend('TI408');
SELECT tenancy.suspend_tenant('ir-2');
GRANT USAGE ON SCHEMA tenant_ir_2_notes TO tenancy_service;
CALL mend('TI408');
SELECT tenancy.resume_tenant('ir-2');
GRANT SET ON PARAMETER app.current_tenant_id TO ir_app;
TABLE report;
GRANT SET ON PARAMETER app.current_tenant_id TO tenant_ir_1, PUBLIC;
GRANT SET ON PARAMETER session_replication_role TO tenant_ir_1;
GRANT ALTER SYSTEM ON PARAMETER archive_command TO tenant_ir_1;
CALL mend('TI409');
REVOKE SET ON PARAMETER app.current_tenant_id FROM ir_app;
ALTER DATABASE isolation_report_test SET app.current_tenant_id = 'ir-1';
CALL mend('TI410');
GRANT EXECUTE ON FUNCTION tenancy.set_tenant(text, boolean) TO tenant_ir_1, ir_app;
GRANT EXECUTE ON FUNCTION tenancy.create_tenant(text, text, text, text, jsonb, jsonb) TO tenancy_service;
GRANT SELECT ON tenancy.tenants TO tenancy_service;
CALL mend('TI411');
REVOKE EXECUTE ON FUNCTION tenancy.set_tenant(text, boolean) FROM ir_app;
GRANT EXECUTE ON FUNCTION pg_read_file(text) TO ir_app, PUBLIC;
GRANT SELECT ON pg_statistic TO tenant_ir_1;
GRANT SELECT ON pg_class TO tenant_ir_1;
CALL mend('TI412');
REVOKE SELECT ON pg_class FROM tenant_ir_1;
ALTER SCHEMA app OWNER TO ir_app;
CALL mend('TI413');
ALTER SCHEMA app OWNER TO CURRENT_USER;
ALTER DATABASE isolation_report_test OWNER TO ir_app;
CALL mend('TI413');

--
-- TI5xx: keys; protect_advice() has the rest
--
ALTER TABLE app.t ADD COLUMN email text UNIQUE, ADD COLUMN number integer;
CALL mend('TI502');
CREATE UNIQUE INDEX ON app.t (lower(email)) WHERE owner IS NOT NULL;
CALL mend('TI502');
ALTER TABLE app.numbered ADD PRIMARY KEY (id);
CALL mend('TI503');

--
-- TI6xx: the server
--
SELECT code, object, reason, remedy FROM tenancy.report_server(150019) WHERE code = 'TI602';
SELECT code, object, reason, remedy FROM tenancy.report_server(180005) WHERE code = 'TI602';
SELECT code FROM tenancy.report_server(150020) UNION ALL SELECT code FROM tenancy.report_server(160016)
    UNION ALL SELECT code FROM tenancy.report_server(170012) UNION ALL SELECT code FROM tenancy.report_server(190000);
ALTER EVENT TRIGGER tenancy_protect_new_tables DISABLE;
CALL mend('TI603');
ALTER EVENT TRIGGER tenancy_protect_new_tables ENABLE;
CALL mend('TI603');
ALTER TABLE tenancy.tenants DISABLE TRIGGER enforce_status;
CALL mend('TI603');
SET client_min_messages TO error; -- wal_level may be too low for publications, of which this is no test
CREATE PUBLICATION everything FOR ALL TABLES;
SELECT code, severity, object, remedy FROM report;
DO $$ BEGIN EXECUTE (SELECT remedy FROM report); END $$;
RESET client_min_messages;
TABLE report;
SELECT count(*) > 0 AS some, bool_or(tablename = 'tenants') AS tenants FROM pg_publication_tables WHERE pubname = 'everything';
DROP PUBLICATION everything;
ALTER ROLE tenancy_owner LOGIN BYPASSRLS;
ALTER ROLE tenancy_service CREATEROLE;
CALL mend('TI605');
SET lo_compat_privileges = on;
SELECT code, object, reason, remedy FROM report;
SELECT remedy FROM report WHERE code = 'TI606' \gexec
ALTER SYSTEM RESET lo_compat_privileges;
RESET lo_compat_privileges;
TABLE report;

CREATE VIEW public.pg_stat_statements AS SELECT 'query' AS query;
GRANT SELECT ON public.pg_stat_statements TO PUBLIC;
CALL mend('TI607');

--
-- Findings that somebody answers for
--
CREATE TABLE app.open (id uuid, tenant_id text);
SELECT tenancy.accept_finding('TI101', 'table app.open', 'nobody but us can read it');
SELECT code, severity, object, regexp_replace(reason, 'by \S+:', 'by …:') AS reason FROM report;
SELECT tenancy.accept_finding('TI101', 'table app.open', ' ');
SELECT tenancy.accept_finding('TI999', 'table app.open', 'why not');
DELETE FROM tenancy.accepted_findings;
SELECT code, severity, object FROM report;
DROP TABLE app.open;

--
-- Who may ask
--
SET ROLE ir_app;
SELECT * FROM tenancy.isolation_report();
RESET ROLE;
GRANT pg_monitor TO ir_owner;
SET ROLE ir_owner;
SELECT count(*) FROM tenancy.isolation_report() WHERE code <> 'TI602' AND code < 'TI7';
SELECT tenancy.accept_finding('TI101', 'table app.open', 'nobody but us can read it');
RESET ROLE;
REVOKE pg_monitor FROM ir_owner;

\c :start_database
DROP DATABASE isolation_report_test;
DROP ROLE ir_app, ir_login, ir_owner, ir_backup, ir_group, tenant_ir_1, tenant_ir_2;
