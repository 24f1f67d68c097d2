\echo Use "CREATE EXTENSION guard_wall" to load this file. \quit

-- Throws from blue code below live objects: what = error, standard, bad_alloc, foreign, constructor or none.
CREATE FUNCTION guard_wall_throw(what text) RETURNS void
    AS 'MODULE_PATHNAME', 'guard_wall_throw' LANGUAGE C STRICT;

-- Raises a PostgreSQL error from red code above live objects.
CREATE FUNCTION guard_wall_error() RETURNS void
    AS 'MODULE_PATHNAME', 'guard_wall_error' LANGUAGE C STRICT;

-- Leaves objects to the end of the transaction, or of the function's own context.
CREATE FUNCTION guard_wall_own(objects integer, until_transaction_end boolean) RETURNS void
    AS 'MODULE_PATHNAME', 'guard_wall_own' LANGUAGE C STRICT;

-- A failure whose words are as given, with a cancel pending or not.
CREATE FUNCTION guard_wall_fail(message text, detail text, hint text, cancel boolean DEFAULT false) RETURNS void
    AS 'MODULE_PATHNAME', 'guard_wall_fail' LANGUAGE C STRICT;

-- A failure whose message holds bytes that are not UTF-8.
CREATE FUNCTION guard_wall_fail_with_bytes(message bytea) RETURNS void
    AS 'MODULE_PATHNAME', 'guard_wall_fail_with_bytes' LANGUAGE C STRICT;

-- How many objects live: as own<T>() counts them, and as their constructors and destructors do.
CREATE FUNCTION guard_wall_live(OUT owned bigint, OUT constructed bigint)
    AS 'MODULE_PATHNAME', 'guard_wall_live' LANGUAGE C STRICT;

-- The resident memory of this backend.
CREATE FUNCTION guard_wall_resident_kb() RETURNS bigint
    AS 'MODULE_PATHNAME', 'guard_wall_resident_kb' LANGUAGE C STRICT;
