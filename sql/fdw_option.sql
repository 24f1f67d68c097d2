--
-- fdw_option: options of servers, user mappings, foreign tables and columns; no MongoDB is asked.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE fdw_option_test ENCODING 'UTF8' TEMPLATE template0;
\c fdw_option_test
SET client_min_messages = warning;
CREATE EXTENSION tenancy_mongo CASCADE;
RESET client_min_messages;

-- servers
CREATE SERVER m FOREIGN DATA WRAPPER tenancy_mongo;
\echo :SQLSTATE
CREATE SERVER m FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (host 'localhost');
\echo :SQLSTATE
CREATE SERVER m FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'db1:27017,db2:27017', replica_set 'rs0', read_preference 'secondaryPreferred',
    connect_timeout '1000', server_selection_timeout '1000', socket_timeout '0', application_name 'me', tls 'true', credentials 'platform');
CREATE SERVER local FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '/tmp/mongodb-27017.sock');
CREATE SERVER ipv6 FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts '[::1]:27017,[fe80::1]');

-- secrets are never SQL text, and a refusal does not repeat them
CREATE SERVER s FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'mongodb://me:s3cret@db1');
\echo :SQLSTATE
CREATE SERVER s FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'me:s3cret@db1:27017');
CREATE SERVER s FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'db1', password 's3cret');
CREATE USER MAPPING FOR CURRENT_USER SERVER m OPTIONS (username 'me', password 's3cret');

-- values
DO $$
DECLARE
    bad text[];
BEGIN
    FOREACH bad SLICE 1 IN ARRAY ARRAY[
        ['hosts', ''], ['hosts', 'a b'], ['hosts', 'db1:'], ['hosts', 'db1:0'], ['hosts', 'db1:65536'], ['hosts', 'db1:1x'], ['hosts', ',db1'], ['hosts', 'db1,'],
        ['hosts', 'db1/admin'], ['hosts', 'db1?tls=false'], ['hosts', '[::1'], ['hosts', '[::1]27017'], ['hosts', ':27017'],
        ['read_preference', 'any'], ['read_concern', 'any'], ['tls', 'maybe'], ['connect_timeout', '0'], ['connect_timeout', '-1'], ['connect_timeout', '1s'], ['connect_timeout', '2147483648'],
        ['connect_timeout', '1.5'], ['socket_timeout', 'never'], ['credentials', '']]
    LOOP
        BEGIN
            EXECUTE format('ALTER SERVER ipv6 OPTIONS (%s %I %L)', CASE bad[1] WHEN 'hosts' THEN 'SET' ELSE 'ADD' END, bad[1], bad[2]);
            RAISE WARNING 'accepted: %', bad;
        EXCEPTION WHEN invalid_parameter_value THEN
        END;
    END LOOP;
END $$;
ALTER SERVER ipv6 OPTIONS (ADD connect_timeout '0');
ALTER SERVER ipv6 OPTIONS (ADD read_preference 'any');

-- foreign tables
CREATE FOREIGN TABLE t (a int) SERVER m;
\echo :SQLSTATE
CREATE FOREIGN TABLE t (a int) SERVER m OPTIONS (database 'd');
CREATE FOREIGN TABLE t (a int) SERVER m OPTIONS (database 'd', collection 'c', table 't');
CREATE FOREIGN TABLE t (a int) SERVER m OPTIONS (database 'd', collection 'c', batch_size '0');
CREATE FOREIGN TABLE t (a int) SERVER m OPTIONS (database 'd', collection 'c', batch_size '1000001');
CREATE FOREIGN TABLE t (a int) SERVER m OPTIONS (database 'd', collection 'c', tenant_field '$where');
CREATE FOREIGN TABLE t (a int) SERVER m OPTIONS (database 'd', collection 'c', pushdown 'perhaps');
CREATE FOREIGN TABLE t (a int OPTIONS (path 'x.y'), b jsonb OPTIONS (document 'true'), c text OPTIONS (path '1'))
    SERVER m OPTIONS (database 'd', collection 'c', tenant_field 'owner.tenant_id', batch_size '100', pushdown 'true');

-- columns
ALTER FOREIGN TABLE t ALTER a OPTIONS (SET path '');
ALTER FOREIGN TABLE t ALTER a OPTIONS (SET path 'x..y');
ALTER FOREIGN TABLE t ALTER a OPTIONS (SET path 'x.');
ALTER FOREIGN TABLE t ALTER a OPTIONS (SET path 'x.$y');
\echo :SQLSTATE
ALTER FOREIGN TABLE t ALTER a OPTIONS (ADD document 'true');
ALTER FOREIGN TABLE t ALTER a OPTIONS (ADD column_name 'x');
ALTER FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (ADD debug 'true');

-- types that no BSON value fits, and a whole document in a number: told before anything is asked
CREATE FOREIGN TABLE intervals (i interval) SERVER m OPTIONS (database 'd', collection 'c');
SELECT * FROM intervals;
\echo :SQLSTATE
CREATE FOREIGN TABLE whole (i int OPTIONS (document 'true')) SERVER m OPTIONS (database 'd', collection 'c');
SELECT * FROM whole;
CREATE FOREIGN TABLE vectors (i int2vector, j int[][]) SERVER m OPTIONS (database 'd', collection 'c');
SELECT i FROM vectors;

-- who may name credentials: somebody who may read the server's files
CREATE ROLE fdw_option_owner;
CREATE ROLE fdw_option_reader IN ROLE pg_read_server_files;
GRANT USAGE ON FOREIGN DATA WRAPPER tenancy_mongo TO fdw_option_owner, fdw_option_reader;
GRANT USAGE ON FOREIGN SERVER m TO fdw_option_owner, fdw_option_reader;
SET ROLE fdw_option_owner;
CREATE SERVER own FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'db1', credentials 'platform');
\echo :SQLSTATE
CREATE SERVER own FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'db1', tls 'false');
CREATE USER MAPPING FOR CURRENT_USER SERVER m OPTIONS (credentials 'platform');
CREATE USER MAPPING FOR CURRENT_USER SERVER m;
CREATE SERVER own FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'db1');
ALTER SERVER own OPTIONS (SET hosts 'db2');
RESET ROLE;
-- with credentials on it, its owner cannot point it elsewhere
ALTER SERVER own OPTIONS (ADD credentials 'platform');
SET ROLE fdw_option_owner;
ALTER SERVER own OPTIONS (SET hosts 'elsewhere');
SET ROLE fdw_option_reader;
CREATE SERVER readers FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'db1', credentials 'platform', tls 'true');
RESET ROLE;

-- run_command: for nobody, and with USAGE of the server besides
SET ROLE fdw_option_owner;
SELECT tenancy_mongo.run_command('m', 'd', '{"ping": 1}');
\echo :SQLSTATE
RESET ROLE;
GRANT USAGE ON SCHEMA tenancy_mongo TO fdw_option_owner;
GRANT EXECUTE ON FUNCTION tenancy_mongo.run_command TO fdw_option_owner;
SET ROLE fdw_option_owner;
SELECT tenancy_mongo.run_command('readers', 'd', '{"ping": 1}');
\echo :SQLSTATE
RESET ROLE;
SELECT tenancy_mongo.run_command('nowhere', 'd', '{"ping": 1}');
SELECT tenancy_mongo.run_command('ipv6', 'd', '[1, 2]');
\echo :SQLSTATE
SELECT tenancy_mongo.run_command('ipv6', 'd', '{"ping": {"$oid": "no"}}');
\echo :SQLSTATE
CREATE FOREIGN DATA WRAPPER other;
CREATE SERVER other FOREIGN DATA WRAPPER other;
SELECT tenancy_mongo.run_command('other', 'd', '{"ping": 1}');

-- the credentials' file is the server's affair, and must be there; its path is not the test's
SHOW tenancy_mongo.credentials_file;
SET tenancy_mongo.credentials_file = '/tmp/mine';
\set VERBOSITY sqlstate
SELECT tenancy_mongo.run_command('m', 'd', '{"ping": 1}');
\set VERBOSITY default

-- a foreign table of a database in another encoding
CREATE DATABASE fdw_option_latin ENCODING 'LATIN1' TEMPLATE template0;
\c fdw_option_latin
SET client_min_messages = warning;
CREATE EXTENSION tenancy_mongo CASCADE;
RESET client_min_messages;
CREATE SERVER m FOREIGN DATA WRAPPER tenancy_mongo OPTIONS (hosts 'db1');
SELECT tenancy_mongo.run_command('m', 'd', '{"ping": 1}');
\echo :SQLSTATE

\c fdw_option_test
DROP OWNED BY fdw_option_owner, fdw_option_reader CASCADE;
DROP ROLE fdw_option_owner, fdw_option_reader;
\c :start_database :start_user
DROP DATABASE fdw_option_test;
DROP DATABASE fdw_option_latin;
