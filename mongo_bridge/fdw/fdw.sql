-- The foreign data wrapper, and the way to any other command of MongoDB.

CREATE FUNCTION tenancy_mongo.tenancy_mongo_handler() RETURNS fdw_handler
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'tenancy_mongo_handler';
COMMENT ON FUNCTION tenancy_mongo.tenancy_mongo_handler() IS
    'Handler of the foreign-data wrapper tenancy_mongo.';

CREATE FUNCTION tenancy_mongo.tenancy_mongo_validator(text[], oid) RETURNS void
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'tenancy_mongo_validator';
COMMENT ON FUNCTION tenancy_mongo.tenancy_mongo_validator(text[], oid) IS
    'Checks the options of servers, user mappings, foreign tables and columns of tenancy_mongo.';

CREATE FOREIGN DATA WRAPPER tenancy_mongo
    HANDLER tenancy_mongo.tenancy_mongo_handler
    VALIDATOR tenancy_mongo.tenancy_mongo_validator;
COMMENT ON FOREIGN DATA WRAPPER tenancy_mongo IS
    'MongoDB collections as foreign tables.';

CREATE FUNCTION tenancy_mongo.run_command(server name, database text, command json) RETURNS json
    LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_run_command';
COMMENT ON FUNCTION tenancy_mongo.run_command(name, text, json) IS
    'Runs a command of MongoDB with the connection of a foreign server and returns the reply; needs USAGE on the server.';
REVOKE ALL ON FUNCTION tenancy_mongo.run_command(name, text, json) FROM PUBLIC;
