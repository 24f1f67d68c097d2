
-- ---------------------------------------------------------------------------------------------------------------------
-- Control of mirrors: pausing, copying again, waiting.
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION tenancy_mongo.pause_mirror(server name) RETURNS void
LANGUAGE c STRICT VOLATILE
SET search_path TO pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'tenancy_mongo_pause_mirror';
COMMENT ON FUNCTION tenancy_mongo.pause_mirror(name) IS
    'stops the mirrors of a server; they keep their position';

CREATE FUNCTION tenancy_mongo.resume_mirror(server name) RETURNS void
LANGUAGE c STRICT VOLATILE
SET search_path TO pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'tenancy_mongo_resume_mirror';
COMMENT ON FUNCTION tenancy_mongo.resume_mirror(name) IS
    'lets the mirrors of a server go on where they were paused';

CREATE FUNCTION tenancy_mongo.refresh_mirror(local_table regclass) RETURNS void
LANGUAGE c STRICT VOLATILE
SET search_path TO pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'tenancy_mongo_refresh_mirror';
COMMENT ON FUNCTION tenancy_mongo.refresh_mirror(regclass) IS
    'copies a mirrored table again, in place: readers see the old rows until then';

CREATE FUNCTION tenancy_mongo.wait_for_mirror(server name, timeout interval DEFAULT '10 seconds') RETURNS boolean
LANGUAGE c STRICT VOLATILE
SET search_path TO pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'tenancy_mongo_wait_for_mirror';
COMMENT ON FUNCTION tenancy_mongo.wait_for_mirror(name, interval) IS
    'waits until what was written to MongoDB before the call is visible in its mirrors; false if that takes too long';

CREATE FUNCTION tenancy_mongo.verify_mirror(local_table regclass, repair boolean DEFAULT false,
                                            OUT key text, OUT problem text) RETURNS SETOF record
LANGUAGE c STRICT VOLATILE
SET search_path TO pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'tenancy_mongo_verify_mirror';
COMMENT ON FUNCTION tenancy_mongo.verify_mirror(regclass, boolean) IS
    'compares a mirrored table with its collection and names each difference; repair copies the table again, in place';
