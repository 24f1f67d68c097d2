-- An ObjectId as a type of its own: 12 bytes, in the order of MongoDB.  Its operators stand in pg_catalog, where every search_path
-- finds them: WHERE _id = '...' would be an error otherwise.

CREATE TYPE tenancy_mongo.object_id;

CREATE FUNCTION tenancy_mongo.object_id_in(cstring) RETURNS tenancy_mongo.object_id
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_in';
COMMENT ON FUNCTION tenancy_mongo.object_id_in(cstring) IS 'Input of object_id: 24 hexadecimal digits.';

CREATE FUNCTION tenancy_mongo.object_id_out(tenancy_mongo.object_id) RETURNS cstring
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_out';
COMMENT ON FUNCTION tenancy_mongo.object_id_out(tenancy_mongo.object_id) IS 'Output of object_id.';

CREATE FUNCTION tenancy_mongo.object_id_recv(internal) RETURNS tenancy_mongo.object_id
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_recv';
COMMENT ON FUNCTION tenancy_mongo.object_id_recv(internal) IS 'Binary input of object_id: 12 bytes.';

CREATE FUNCTION tenancy_mongo.object_id_send(tenancy_mongo.object_id) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_send';
COMMENT ON FUNCTION tenancy_mongo.object_id_send(tenancy_mongo.object_id) IS 'Binary output of object_id.';

CREATE TYPE tenancy_mongo.object_id (
    INPUT = tenancy_mongo.object_id_in, OUTPUT = tenancy_mongo.object_id_out,
    RECEIVE = tenancy_mongo.object_id_recv, SEND = tenancy_mongo.object_id_send,
    INTERNALLENGTH = 12, ALIGNMENT = char);
COMMENT ON TYPE tenancy_mongo.object_id IS 'An ObjectId of MongoDB.';

CREATE FUNCTION tenancy_mongo.object_id_lt(tenancy_mongo.object_id, tenancy_mongo.object_id) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_lt';
COMMENT ON FUNCTION tenancy_mongo.object_id_lt(tenancy_mongo.object_id, tenancy_mongo.object_id) IS 'Implementation of < for object_id.';

CREATE FUNCTION tenancy_mongo.object_id_le(tenancy_mongo.object_id, tenancy_mongo.object_id) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_le';
COMMENT ON FUNCTION tenancy_mongo.object_id_le(tenancy_mongo.object_id, tenancy_mongo.object_id) IS 'Implementation of <= for object_id.';

CREATE FUNCTION tenancy_mongo.object_id_eq(tenancy_mongo.object_id, tenancy_mongo.object_id) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_eq';
COMMENT ON FUNCTION tenancy_mongo.object_id_eq(tenancy_mongo.object_id, tenancy_mongo.object_id) IS 'Implementation of = for object_id.';

CREATE FUNCTION tenancy_mongo.object_id_ne(tenancy_mongo.object_id, tenancy_mongo.object_id) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_ne';
COMMENT ON FUNCTION tenancy_mongo.object_id_ne(tenancy_mongo.object_id, tenancy_mongo.object_id) IS 'Implementation of <> for object_id.';

CREATE FUNCTION tenancy_mongo.object_id_ge(tenancy_mongo.object_id, tenancy_mongo.object_id) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_ge';
COMMENT ON FUNCTION tenancy_mongo.object_id_ge(tenancy_mongo.object_id, tenancy_mongo.object_id) IS 'Implementation of >= for object_id.';

CREATE FUNCTION tenancy_mongo.object_id_gt(tenancy_mongo.object_id, tenancy_mongo.object_id) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_gt';
COMMENT ON FUNCTION tenancy_mongo.object_id_gt(tenancy_mongo.object_id, tenancy_mongo.object_id) IS 'Implementation of > for object_id.';

CREATE OPERATOR pg_catalog.< (
    FUNCTION = tenancy_mongo.object_id_lt, LEFTARG = tenancy_mongo.object_id, RIGHTARG = tenancy_mongo.object_id,
    COMMUTATOR = OPERATOR(pg_catalog.>), NEGATOR = OPERATOR(pg_catalog.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
COMMENT ON OPERATOR pg_catalog.< (tenancy_mongo.object_id, tenancy_mongo.object_id) IS 'Compares the bytes, as MongoDB does.';

CREATE OPERATOR pg_catalog.<= (
    FUNCTION = tenancy_mongo.object_id_le, LEFTARG = tenancy_mongo.object_id, RIGHTARG = tenancy_mongo.object_id,
    COMMUTATOR = OPERATOR(pg_catalog.>=), NEGATOR = OPERATOR(pg_catalog.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
COMMENT ON OPERATOR pg_catalog.<= (tenancy_mongo.object_id, tenancy_mongo.object_id) IS 'Compares the bytes, as MongoDB does.';

CREATE OPERATOR pg_catalog.= (
    FUNCTION = tenancy_mongo.object_id_eq, LEFTARG = tenancy_mongo.object_id, RIGHTARG = tenancy_mongo.object_id,
    COMMUTATOR = OPERATOR(pg_catalog.=), NEGATOR = OPERATOR(pg_catalog.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
COMMENT ON OPERATOR pg_catalog.= (tenancy_mongo.object_id, tenancy_mongo.object_id) IS 'Compares the bytes, as MongoDB does.';

CREATE OPERATOR pg_catalog.<> (
    FUNCTION = tenancy_mongo.object_id_ne, LEFTARG = tenancy_mongo.object_id, RIGHTARG = tenancy_mongo.object_id,
    COMMUTATOR = OPERATOR(pg_catalog.<>), NEGATOR = OPERATOR(pg_catalog.=), RESTRICT = neqsel, JOIN = neqjoinsel);
COMMENT ON OPERATOR pg_catalog.<> (tenancy_mongo.object_id, tenancy_mongo.object_id) IS 'Compares the bytes, as MongoDB does.';

CREATE OPERATOR pg_catalog.>= (
    FUNCTION = tenancy_mongo.object_id_ge, LEFTARG = tenancy_mongo.object_id, RIGHTARG = tenancy_mongo.object_id,
    COMMUTATOR = OPERATOR(pg_catalog.<=), NEGATOR = OPERATOR(pg_catalog.<), RESTRICT = scalargesel, JOIN = scalargejoinsel);
COMMENT ON OPERATOR pg_catalog.>= (tenancy_mongo.object_id, tenancy_mongo.object_id) IS 'Compares the bytes, as MongoDB does.';

CREATE OPERATOR pg_catalog.> (
    FUNCTION = tenancy_mongo.object_id_gt, LEFTARG = tenancy_mongo.object_id, RIGHTARG = tenancy_mongo.object_id,
    COMMUTATOR = OPERATOR(pg_catalog.<), NEGATOR = OPERATOR(pg_catalog.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel);
COMMENT ON OPERATOR pg_catalog.> (tenancy_mongo.object_id, tenancy_mongo.object_id) IS 'Compares the bytes, as MongoDB does.';

CREATE FUNCTION tenancy_mongo.object_id_cmp(tenancy_mongo.object_id, tenancy_mongo.object_id) RETURNS integer
    LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_cmp';
COMMENT ON FUNCTION tenancy_mongo.object_id_cmp(tenancy_mongo.object_id, tenancy_mongo.object_id) IS 'Less than, equal to or greater than zero, for indexes.';

CREATE FUNCTION tenancy_mongo.object_id_hash(tenancy_mongo.object_id) RETURNS integer
    LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_hash';
COMMENT ON FUNCTION tenancy_mongo.object_id_hash(tenancy_mongo.object_id) IS 'Hash of an object_id.';

CREATE FUNCTION tenancy_mongo.object_id_hash_extended(tenancy_mongo.object_id, bigint) RETURNS bigint
    LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_hash_extended';
COMMENT ON FUNCTION tenancy_mongo.object_id_hash_extended(tenancy_mongo.object_id, bigint) IS 'Hash of an object_id with a seed.';

CREATE OPERATOR CLASS tenancy_mongo.object_id_ops DEFAULT FOR TYPE tenancy_mongo.object_id USING btree AS
    OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
    FUNCTION 1 tenancy_mongo.object_id_cmp(tenancy_mongo.object_id, tenancy_mongo.object_id);
COMMENT ON OPERATOR CLASS tenancy_mongo.object_id_ops USING btree IS 'The order of ObjectIds.';

CREATE OPERATOR CLASS tenancy_mongo.object_id_ops DEFAULT FOR TYPE tenancy_mongo.object_id USING hash AS
    OPERATOR 1 pg_catalog.=,
    FUNCTION 1 tenancy_mongo.object_id_hash(tenancy_mongo.object_id), FUNCTION 2 tenancy_mongo.object_id_hash_extended(tenancy_mongo.object_id, bigint);
COMMENT ON OPERATOR CLASS tenancy_mongo.object_id_ops USING hash IS 'Equality of ObjectIds.';

CREATE FUNCTION tenancy_mongo.object_id_created_at(tenancy_mongo.object_id) RETURNS timestamptz
    LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_created_at';
COMMENT ON FUNCTION tenancy_mongo.object_id_created_at(tenancy_mongo.object_id) IS 'The second in which an ObjectId was made, by the clock of who made it.';

CREATE FUNCTION tenancy_mongo.object_id_to_bytea(tenancy_mongo.object_id) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'tenancy_mongo_object_id_to_bytea';
COMMENT ON FUNCTION tenancy_mongo.object_id_to_bytea(tenancy_mongo.object_id) IS 'The 12 bytes of an ObjectId.';

CREATE CAST (tenancy_mongo.object_id AS timestamptz) WITH FUNCTION tenancy_mongo.object_id_created_at(tenancy_mongo.object_id);
COMMENT ON CAST (tenancy_mongo.object_id AS timestamptz) IS 'The second in which an ObjectId was made.';
CREATE CAST (tenancy_mongo.object_id AS bytea) WITH FUNCTION tenancy_mongo.object_id_to_bytea(tenancy_mongo.object_id);
COMMENT ON CAST (tenancy_mongo.object_id AS bytea) IS 'The 12 bytes of an ObjectId.';
CREATE CAST (tenancy_mongo.object_id AS text) WITH INOUT AS ASSIGNMENT;
COMMENT ON CAST (tenancy_mongo.object_id AS text) IS 'The 24 digits of an ObjectId.';
CREATE CAST (text AS tenancy_mongo.object_id) WITH INOUT AS ASSIGNMENT;
COMMENT ON CAST (text AS tenancy_mongo.object_id) IS 'An ObjectId of its 24 digits.';
