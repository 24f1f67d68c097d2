--
-- Lent rights and lures, of several classes: somebody's code runs with another's rights, or another's rows pass through it.
--

--: C66 a table above protected ones, by inheritance
-- Who reads the parent reads the children by the parent's policies, and it has none.
--: report TI101 tools.above
--: as dba
CREATE TABLE tools.above (tenant_id text, note text);
ALTER TABLE shop.documents INHERIT tools.above;
GRANT SELECT ON tools.above TO PUBLIC;
--: as acme
SELECT note FROM tools.above;

--: C67 a domain of the customer's, which the DBA uses for a column
--: report TI214 tools.mail
--: as mallory
CREATE TABLE tools.caught (note text);
GRANT INSERT ON tools.caught TO PUBLIC;
CREATE DOMAIN tools.mail AS text;
--: as dba
ALTER TABLE shop.orders ADD mail tools.mail;
GRANT ALL ON tools.caught TO PUBLIC;
--: as mallory
CREATE FUNCTION tools.look(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO tools.caught VALUES ($1); RETURN true; END $$;
ALTER DOMAIN tools.mail ADD CHECK (tools.look(VALUE)) NOT VALID;
--: meanwhile globex
INSERT INTO shop.orders (tenant_id, note, mail) VALUES ('globex', 'x', 'GLOBEX-SECRET-mail');
--: again
SELECT note FROM tools.caught;

--: C68 a login check that anybody may call chooses the tenant
--: report TI216 tools.log_in
--: as dba
CREATE FUNCTION tools.log_in(text) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $$ SELECT tenancy.set_tenant($1, false) $$;
ALTER FUNCTION tools.log_in(text) OWNER TO service;
--: as pooled
SELECT tools.log_in('globex');
SELECT note FROM shop.orders;

--: C69 the same function, called by a login that is bound
--: only ours
--: names TI216 tools.log_in
--: as dba
CREATE FUNCTION tools.log_in(text) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $$ SELECT tenancy.set_tenant($1, false) $$;
ALTER FUNCTION tools.log_in(text) OWNER TO service;
--: as acme
SELECT tools.log_in('globex');
SELECT note FROM shop.orders;

--: C70 a trigger function of the superuser's answers with what it sees
--: as dba
CREATE TABLE tools.questions (id integer, answer text);
GRANT ALL ON tools.questions TO PUBLIC;
CREATE FUNCTION tools.answer() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp AS $$
BEGIN
    NEW.answer := (SELECT string_agg(note, ' ') FROM shop.orders);
    RETURN NEW;
END $$;
CREATE TRIGGER answer BEFORE INSERT ON tools.questions FOR EACH ROW EXECUTE FUNCTION tools.answer();
--: as acme
INSERT INTO tools.questions VALUES (1) RETURNING answer;

--: C71 a view of the superuser's, read without a tenant
--: names TI201 shop.all_orders
--: as dba
CREATE VIEW shop.all_orders AS SELECT * FROM shop.orders;
GRANT ALL ON shop.all_orders TO PUBLIC;
--: as service
SELECT note FROM shop.all_orders;
COPY (SELECT note FROM shop.all_orders) TO STDOUT;
DECLARE c CURSOR WITH HOLD FOR SELECT note FROM shop.all_orders;
FETCH ALL FROM c;
PREPARE p AS SELECT note FROM shop.all_orders;
EXECUTE p;

--: C72 a superuser's view and function under a superuser's nested definers
--: only ours
--: names TI201 shop.all_orders
--: as dba
CREATE VIEW shop.all_orders AS SELECT * FROM shop.orders;
GRANT ALL ON shop.all_orders TO PUBLIC;
SET ROLE app_owner;
CREATE FUNCTION shop.inner_notes() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $$ BEGIN RETURN QUERY SELECT note FROM shop.all_orders; END $$;
RESET ROLE;
CREATE FUNCTION shop.outer_notes() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp SET row_security TO off
    AS $$ SELECT shop.inner_notes() $$;
CREATE PROCEDURE shop.tell_notes() LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $$ DECLARE line text; BEGIN FOR line IN SELECT note FROM shop.orders LOOP RAISE NOTICE '%', line; END LOOP; END $$;
--: as acme
SELECT shop.inner_notes();
SELECT shop.outer_notes();
CALL shop.tell_notes();
SELECT query_to_xml('SELECT * FROM shop.all_orders', true, false, '');
MERGE INTO tools.none t USING shop.all_orders o ON false WHEN NOT MATCHED THEN DO NOTHING;

--: C73 updates and deletes through a superuser's function
--: only ours
--: names TI212 shop.wipe
--: as dba
CREATE FUNCTION shop.wipe() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $$ DELETE FROM shop.documents; UPDATE shop.orders SET note = 'HACKED' $$;
CREATE FUNCTION shop.wipe_one(integer) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $$ UPDATE shop.orders SET note = 'HACKED' WHERE id = $1 $$;
--: as acme
SELECT shop.wipe();
SELECT shop.wipe_one(2);

--: C74 the owner's session tries to take the protection off, while it has a tenant
--: only ours
--: as dba
ALTER ROLE app_owner LOGIN;
GRANT tenancy_service TO app_owner;
--: as app_owner
BEGIN;
SELECT tenancy.set_tenant('acme');
--: look
SAVEPOINT s;
ALTER TABLE shop.orders DISABLE ROW LEVEL SECURITY;
ROLLBACK TO s;
ALTER TABLE ONLY shop.orders NO FORCE ROW LEVEL SECURITY;
ROLLBACK TO s;
DROP POLICY tenant_isolation_floor ON shop.orders;
ROLLBACK TO s;
ALTER POLICY tenant_isolation_floor ON shop.orders USING (true) WITH CHECK (true);
ROLLBACK TO s;
SELECT tenancy.unprotect('shop.orders');
ROLLBACK TO s;
SELECT tenancy.clear_tenant();
ALTER TABLE shop.orders DISABLE ROW LEVEL SECURITY;
ROLLBACK TO s;
DO $$ BEGIN EXECUTE 'ALTER TABLE shop.orders NO FORCE ROW LEVEL SECURITY'; END $$;
ROLLBACK TO s;
SELECT note FROM shop.orders;
COMMIT;

--: C75 the owner's session, which has a tenant, has functions called with every row by statements that ask no policy
--: only ours
--: as dba
ALTER ROLE app_owner LOGIN;
ALTER ROLE app_owner SET app.current_tenant_id = 'acme';
GRANT CREATE ON SCHEMA tools TO app_owner;
--: as app_owner
CREATE FUNCTION tools.tell(note text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE 'told: %', note; RETURN true; END $$;
CREATE INDEX ON shop.orders (tools.tell(note));
CREATE INDEX ON shop.documents (id) WHERE tools.tell(note);
ALTER TABLE shop.orders ADD CHECK (tools.tell(note));
ALTER TABLE shop.events ADD CHECK (tools.tell(note));
ALTER TABLE shop.orders ADD CHECK (tools.tell(note)) NOT VALID;
ALTER TABLE shop.customers ALTER note TYPE text USING note || tools.tell(note);
ALTER TABLE shop.orders ADD told boolean GENERATED ALWAYS AS (tools.tell(note)) STORED;
ALTER TABLE shop.orders ADD EXCLUDE USING btree (note WITH =) WHERE (tools.tell(note));
CREATE STATISTICS shop.told ON (tools.tell(note)), id FROM shop.orders;
ANALYZE shop.orders;
CLUSTER shop.orders USING orders_pkey;

--: C76 the owner's session, which has a tenant, leaves a trigger and a rule for others, and empties the table
--: only ours
--: as dba
ALTER ROLE app_owner LOGIN;
ALTER ROLE app_owner SET app.current_tenant_id = 'acme';
GRANT CREATE ON SCHEMA tools TO app_owner;
CREATE TABLE tools.caught (note text);
GRANT ALL ON tools.caught TO PUBLIC;
--: as app_owner
CREATE FUNCTION tools.catch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO tools.caught VALUES (NEW.note); RETURN NEW; END $$;
CREATE TRIGGER catch BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION tools.catch();
CREATE RULE catch AS ON INSERT TO shop.documents DO ALSO INSERT INTO tools.caught VALUES (NEW.note);
ALTER TABLE shop.customers ALTER note SET DEFAULT 'HACKED';
TRUNCATE shop.invoices;
DROP TABLE shop.contracts;
--: meanwhile globex
INSERT INTO shop.orders (tenant_id, note) VALUES ('globex', 'GLOBEX-SECRET-order');
INSERT INTO shop.documents (tenant_id, note) VALUES ('globex', 'GLOBEX-SECRET-new');
INSERT INTO shop.customers (tenant_id) VALUES ('globex');
--: again
SELECT note FROM tools.caught;

--: C77 what ANALYZE keeps of an index on an expression, read by the owner's session, which has a tenant
--: only ours
--: as dba
CREATE INDEX told ON shop.orders (upper(note));
ANALYZE shop.orders;
ALTER ROLE app_owner LOGIN;
ALTER ROLE app_owner SET app.current_tenant_id = 'acme';
--: as app_owner
SELECT histogram_bounds, most_common_vals FROM pg_stats WHERE tablename = 'told';
SELECT * FROM pg_stats_ext_exprs;
SELECT stavalues1 FROM pg_statistic;

--: E41 a rule on a table of the customer's, which others write to
--: report TI215 tools.suggestions
--: as mallory
CREATE TABLE tools.caught (note text);
GRANT INSERT ON tools.caught TO PUBLIC;
CREATE TABLE tools.suggestions (text text);
GRANT INSERT ON tools.suggestions TO PUBLIC;
CREATE RULE more AS ON INSERT TO tools.suggestions DO ALSO INSERT INTO tools.caught SELECT note FROM shop.orders;
--: meanwhile globex
INSERT INTO tools.suggestions VALUES ('be quicker');
--: again
SELECT note FROM tools.caught;

--: E42 a function of the customer's, which others call
--: report TI215 tools.slug
--: as mallory
CREATE TABLE tools.caught (note text);
GRANT INSERT ON tools.caught TO PUBLIC;
CREATE FUNCTION tools.slug(text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tools.caught SELECT note FROM shop.orders;
    RETURN lower($1);
END $$;
--: meanwhile globex
SELECT tools.slug('A B');
--: again
SELECT note FROM tools.caught;

--: B50 a search path that one tenant leaves on the connection leads the next one's rows elsewhere
--: documented
--: as dba
CREATE TABLE tools.documents (id integer, tenant_id text, note text);
GRANT ALL ON tools.documents TO PUBLIC;
--: as service
BEGIN;
SELECT tenancy.set_tenant('acme');
SET search_path TO tools, shop;
COMMIT;
BEGIN;
SELECT tenancy.set_tenant('globex');
INSERT INTO documents VALUES (9, 'globex', 'GLOBEX-SECRET-led-astray');
COMMIT;
--: look
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT note FROM tools.documents;
COMMIT;

--: B51 a temporary table that was made before there was a tenant catches what the next one writes
--: as service
CREATE TEMP TABLE documents (id integer, tenant_id text, note text);
BEGIN;
SELECT tenancy.set_tenant('globex');
INSERT INTO documents VALUES (9, 'globex', 'GLOBEX-SECRET-caught');
COMMIT;
--: look
SELECT note FROM pg_temp.documents;
SELECT tenancy.set_tenant('acme', false);
TABLE pg_temp.documents;

--: G39 an advisory lock that the victim wants
--: documented
--: leak if EXISTS (SELECT FROM shop.orders WHERE id = 2 AND amount = 1)
--: as acme
SELECT pg_advisory_lock(4711);
--: meanwhile globex
SELECT pg_try_advisory_lock(4711) AS got \gset
\if :got
UPDATE shop.orders SET amount = 77 WHERE id = 2;
\endif
--: again
SELECT pg_advisory_unlock_all();
--: as dba
TRUNCATE referee.before;

--: C78 the owner's session, which has a tenant, changes the family of a table: children, partitions, rows that come with them
--: only ours
--: leak if (SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'r') <> 3
--: as dba
ALTER ROLE app_owner LOGIN;
ALTER ROLE app_owner SET app.current_tenant_id = 'acme';
GRANT CREATE ON SCHEMA tools TO app_owner;
--: as app_owner
CREATE TABLE tools.plant (id integer, tenant_id text NOT NULL, note text);
INSERT INTO tools.plant VALUES (99, 'globex', 'HACKED');
ALTER TABLE tools.plant INHERIT shop.documents;
CREATE TABLE tools.child (CHECK (note <> 'x')) INHERITS (shop.documents);
ALTER TABLE shop.events DETACH PARTITION shop.events_globex;
ALTER TABLE shop.events ATTACH PARTITION tools.plant FOR VALUES IN ('initech');
CREATE TABLE tools.part PARTITION OF shop.events DEFAULT;
ALTER TABLE shop.contracts NO INHERIT shop.documents;

--: C79 the owner's session, which has a tenant, refers to a shared table, gives it away and takes it from others
--: only ours
--: secret (?m:^(?:INSERT 0 1|ALTER SEQUENCE|ALTER SCHEMA|GRANT|REVOKE)$)
--: as dba
ALTER ROLE app_owner LOGIN;
ALTER ROLE app_owner SET app.current_tenant_id = 'acme';
GRANT CREATE ON SCHEMA tools TO app_owner;
SELECT format('GRANT CREATE ON DATABASE %I TO app_owner', current_database()) \gexec
--: as app_owner
\set QUIET off
CREATE TABLE tools.guess (id bigint REFERENCES shop.orders);
INSERT INTO tools.guess VALUES (2);
CREATE TABLE tools.guesses (id bigint);
ALTER TABLE tools.guesses ADD FOREIGN KEY (id) REFERENCES shop.orders NOT VALID;
GRANT TRUNCATE ON shop.orders TO acme;
REVOKE ALL ON shop.orders FROM tenant_globex;
REVOKE ALL ON ALL TABLES IN SCHEMA shop FROM tenant_globex;
GRANT CREATE ON SCHEMA shop TO acme;
ALTER SCHEMA shop RENAME TO mine;
ALTER SEQUENCE shop.orders_id_seq RESTART 1;

--: C80 the owner's session, which has a tenant, replaces the functions and checks that a shared table calls
--: only ours
--: as dba
ALTER ROLE app_owner LOGIN;
GRANT CREATE ON SCHEMA tools TO app_owner;
SET ROLE app_owner;
CREATE FUNCTION tools.slug(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
CREATE DOMAIN tools.mail AS text;
CREATE DOMAIN tools.mails AS tools.mail;
CREATE INDEX ON shop.orders (tools.slug(note));
ALTER TABLE shop.orders ADD mail tools.mails;
RESET ROLE;
UPDATE shop.orders SET mail = note;
ALTER ROLE app_owner SET app.current_tenant_id = 'acme';
DELETE FROM referee.before WHERE place = 'shop.orders';
--: as app_owner
CREATE FUNCTION tools.tell(note text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE 'told: %', note; RETURN true; END $$;
CREATE OR REPLACE FUNCTION tools.slug(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE 'told: %', $1; RETURN lower($1); END $$;
ALTER FUNCTION tools.slug(text) SET search_path TO tools;
REINDEX TABLE shop.orders;
ALTER DOMAIN tools.mail ADD CHECK (tools.tell(VALUE));
ALTER DOMAIN tools.mails ADD CHECK (tools.tell(VALUE));

--: C81 a foreign server that leads back here, of which a customer may make tables
--: report TI114 back
--: as dba
CREATE EXTENSION postgres_fdw;
SELECT format($$ CREATE SERVER back FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L) $$, split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database()) \gexec
CREATE USER MAPPING FOR PUBLIC SERVER back OPTIONS (user 'dba', password_required 'false');
GRANT USAGE ON FOREIGN SERVER back TO mallory;
--: as mallory
CREATE FOREIGN TABLE tools.far (note text) SERVER back OPTIONS (schema_name 'shop', table_name 'orders');
SELECT note FROM tools.far;

--: C82 a function of the server's that reads files, granted to a customer
--: report TI412 pg_read_binary_file
--: as dba
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO acme;
CHECKPOINT;
--: as acme
SELECT encode(pg_read_binary_file(pg_relation_filepath('shop.orders')), 'escape');

--: E43 a service's session ends the other sessions of its login, which serve other tenants
--: leak if NOT EXISTS (SELECT FROM shop.orders WHERE id = 2 AND amount = 77)
--: as service
BEGIN;
SELECT tenancy.set_tenant('globex');
SELECT id FROM shop.orders WHERE id = 2 FOR UPDATE;
--: meanwhile service
BEGIN;
SELECT tenancy.set_tenant('acme');
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'service' AND pid <> pg_backend_pid();
COMMIT;
SELECT tenancy.set_tenant('acme', false);
SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE usename = 'service' AND pid <> pg_backend_pid();
--: again
UPDATE shop.orders SET amount = 77 WHERE id = 2;
COMMIT;
--: as dba
TRUNCATE referee.before;

--: C83 a SECURITY DEFINER function of the superuser's, whose names the caller chooses
--: report TI211 tools.is_on_duty
--: leak if (SELECT rolbypassrls FROM pg_roles WHERE rolname = 'mallory')
--: as dba
CREATE TABLE tools.duty (login text);
CREATE FUNCTION tools.is_on_duty(login text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
    AS $$ BEGIN RETURN (SELECT count(*) > 0 FROM duty d WHERE lower(d.login) = is_on_duty.login); END $$;
--: as mallory
CREATE FUNCTION tools.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE mallory BYPASSRLS; RETURN $1; END $$;
SET search_path TO tools, pg_catalog;
INSERT INTO duty VALUES ('me');
CREATE TEMP TABLE duty AS SELECT 'me'::pg_catalog.text AS login;
SELECT tools.is_on_duty('me');

--: C84 a customer owns a schema that holds everybody's tables, and drops one
--: names TI413 shop
--: as dba
ALTER SCHEMA shop OWNER TO acme;
--: as acme
DROP TABLE shop.contracts;

--: C85 a copy in the application's schema that EXPLAIN ANALYZE makes, of which no event trigger hears
--: report TI101 shop.orders_copy
--: as dba
EXPLAIN ANALYZE CREATE TABLE shop.orders_copy AS SELECT * FROM shop.orders;
GRANT SELECT ON shop.orders_copy TO acme;
--: as acme
SELECT note FROM shop.orders_copy;
