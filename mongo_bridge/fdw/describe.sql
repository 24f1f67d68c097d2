-- What a collection's documents look like, and the columns that IMPORT FOREIGN SCHEMA makes of them.

CREATE FUNCTION tenancy_mongo.describe_collection(
    server name, database text, collection text, sample_size integer DEFAULT 1000, flatten integer DEFAULT 0,
    OUT path text, OUT bson_types text, OUT documents bigint, OUT required boolean,
    OUT column_name text, OUT column_type text, OUT remark text)
    RETURNS SETOF record
    LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_describe_collection';
COMMENT ON FUNCTION tenancy_mongo.describe_collection(name, text, text, integer, integer) IS
    'The fields of a collection, with the types that a sample has and the columns that IMPORT FOREIGN SCHEMA would make; needs USAGE on the server.';
REVOKE ALL ON FUNCTION tenancy_mongo.describe_collection(name, text, text, integer, integer) FROM PUBLIC;
