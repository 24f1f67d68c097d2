--
-- mirror: what can be a mirror and who may make one.  No mirror is committed here, so that no MongoDB is asked; what one
-- does is tested by test/t/020_mirror.pl.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE mirror_test ENCODING 'UTF8' TEMPLATE template0;
\c mirror_test
SET client_min_messages = warning;
CREATE EXTENSION tenancy_mongo CASCADE;
RESET client_min_messages;
CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'localhost:1');
CREATE SCHEMA shop;
CREATE FOREIGN TABLE shop.items_in_mongo (_id text, name text, price numeric(8,2), city text OPTIONS (path 'address.city'))
    SERVER platform OPTIONS (database 'shop', collection 'items', tenant_field 'tenant_id');
CREATE TABLE shop.items (_id text PRIMARY KEY, name text, price numeric(8,2), city text, note text DEFAULT 'ours');

-- a mirror, and its end
BEGIN;
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.items');
SELECT server, local_table, foreign_table, state, rows_copied, events_applied, misfits, worker_pid FROM tenancy_mongo.stat_mirror;
SELECT privilege_type FROM information_schema.role_table_grants WHERE grantee = 'tenancy_mirror' AND table_schema = 'shop' ORDER BY 1;
SAVEPOINT a;
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.items');
\echo :SQLSTATE
ROLLBACK TO a;
SELECT tenancy_mongo.unmirror('shop.items');
SELECT count(*) FROM tenancy_mongo.stream;
SELECT has_table_privilege('tenancy_mirror', 'shop.items', 'SELECT, INSERT, UPDATE, DELETE');
SELECT tenancy_mongo.unmirror('shop.items');
\echo :SQLSTATE
ROLLBACK;

-- columns
CREATE TABLE shop.other (_id text PRIMARY KEY, name text, price numeric(8,2));
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.other');
\echo :SQLSTATE
ALTER TABLE shop.other ADD COLUMN city varchar(10);
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.other');
ALTER TABLE shop.other ALTER COLUMN city TYPE text, ALTER COLUMN price TYPE numeric(6,2);
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.other');
ALTER TABLE shop.other ALTER COLUMN price TYPE numeric;
BEGIN;
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.other');
ROLLBACK;
ALTER TABLE shop.other DROP COLUMN name, ADD COLUMN name text GENERATED ALWAYS AS (city || '!') STORED;
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.other');

-- the key
CREATE FOREIGN TABLE shop.keyless (name text) SERVER platform OPTIONS (database 'shop', collection 'items');
SELECT tenancy_mongo.mirror('shop.keyless', 'shop.items');
\echo :SQLSTATE
CREATE TABLE shop.unkeyed (_id text, name text, price numeric(8,2), city text, UNIQUE (_id, name));
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.unkeyed');
\echo :SQLSTATE
CREATE UNIQUE INDEX ON shop.unkeyed (_id) WHERE name <> '';
CREATE UNIQUE INDEX ON shop.unkeyed (lower(_id));
CREATE INDEX ON shop.unkeyed (_id);
ALTER TABLE shop.unkeyed ADD UNIQUE (_id) DEFERRABLE;
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.unkeyed');
BEGIN;
CREATE UNIQUE INDEX ON shop.unkeyed (_id) INCLUDE (name);
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.unkeyed');
ROLLBACK;
-- as ICU's may be, which not every server is built with
CREATE COLLATION shop.loose (provider = libc, locale = 'C.UTF-8');
UPDATE pg_collation SET collisdeterministic = false WHERE collname = 'loose';
CREATE UNIQUE INDEX ON shop.unkeyed (_id COLLATE shop.loose);
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.unkeyed');
\echo :SQLSTATE

-- the table
INSERT INTO shop.items VALUES ('x');
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.items');
\echo :SQLSTATE
DELETE FROM shop.items;
CREATE UNLOGGED TABLE shop.fleeting (LIKE shop.items INCLUDING ALL);
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.fleeting');
\echo :SQLSTATE
CREATE TABLE shop.parted (LIKE shop.items) PARTITION BY LIST (_id);
CREATE TABLE shop.part PARTITION OF shop.parted (PRIMARY KEY (_id)) DEFAULT;
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.parted');
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.part');
CREATE VIEW shop.looked_at AS SELECT * FROM shop.items;
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.looked_at');
\echo :SQLSTATE
SELECT tenancy_mongo.mirror('shop.items', 'shop.items_in_mongo');
\echo :SQLSTATE
CREATE FOREIGN TABLE shop.routed (_id text) SERVER platform OPTIONS (database 'tenant_{tenant}_db', collection 'items');
CREATE TABLE shop.ids (_id text PRIMARY KEY);
SELECT tenancy_mongo.mirror('shop.routed', 'shop.ids');
\echo :SQLSTATE
SELECT tenancy_mongo.mirror('shop.routed', 'shop.ids', 'nobody');
\echo :SQLSTATE
SELECT tenancy_mongo.mirror('shop.keyless', 'shop.ids', 'nobody');
\echo :SQLSTATE
CREATE FOREIGN DATA WRAPPER another;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER another;
CREATE FOREIGN TABLE shop.elsewhere (_id text) SERVER elsewhere;
SELECT tenancy_mongo.mirror('shop.elsewhere', 'shop.ids');
\echo :SQLSTATE

-- privileges
CREATE ROLE regress_mirror_owner;
ALTER TABLE shop.items OWNER TO regress_mirror_owner;
GRANT USAGE ON SCHEMA shop TO regress_mirror_owner;
SET ROLE regress_mirror_owner;
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.items');
RESET ROLE;
GRANT USAGE ON SCHEMA tenancy_mongo TO regress_mirror_owner;
SET ROLE regress_mirror_owner;
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.items');
\echo :SQLSTATE
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER platform TO regress_mirror_owner;
SET ROLE regress_mirror_owner;
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.items');
RESET ROLE;
GRANT SELECT ON shop.items_in_mongo TO regress_mirror_owner;
BEGIN;
SET ROLE regress_mirror_owner;
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.items');
RESET ROLE;
ALTER TABLE shop.items OWNER TO CURRENT_USER;
SET ROLE regress_mirror_owner;
SELECT tenancy_mongo.unmirror('shop.items');
\echo :SQLSTATE
ROLLBACK;
SET ROLE regress_mirror_owner;
SELECT tenancy_mongo.mirror('shop.items_in_mongo', 'shop.ids');
SELECT * FROM tenancy_mongo.misfits;
SELECT * FROM tenancy_mongo.stat_mirror;
UPDATE tenancy_mongo.stream SET registry = true;
SELECT tenancy_mongo.adopt_mirrors();
RESET ROLE;
GRANT pg_monitor TO regress_mirror_owner;
SET ROLE regress_mirror_owner;
SELECT * FROM tenancy_mongo.stat_mirror;
RESET ROLE;
SELECT rolsuper, rolbypassrls, rolcreaterole, rolconnlimit, rolcanlogin, rolpassword IS NULL AS no_password
  FROM pg_authid WHERE rolname = 'tenancy_mirror';

-- a mirror whose tables go is forgotten with them
SET client_min_messages = warning;
DROP EXTENSION tenancy_mongo CASCADE;
RESET client_min_messages;
SELECT count(*) FROM shop.items;
\c :start_database :start_user
DROP DATABASE mirror_test;
DROP ROLE regress_mirror_owner;
