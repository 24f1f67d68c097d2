
/*
 * semantic_version.sql — versions and ranges of versions; pure functions, for everybody.
 */

CREATE FUNCTION tenancy.check_version(version text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tenancy_check_version';
COMMENT ON FUNCTION tenancy.check_version(text) IS 'true, or an error if this is no semantic version';

CREATE FUNCTION tenancy.compare_versions(version text, other text) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tenancy_compare_versions';
COMMENT ON FUNCTION tenancy.compare_versions(text, text) IS
    '-1, 0 or 1 by the precedence of semantic versions: 1.1.0-rc.1 comes before 1.1.0, 1.9.0 before 1.10.0';

CREATE FUNCTION tenancy.is_prerelease(version text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tenancy_is_prerelease';
COMMENT ON FUNCTION tenancy.is_prerelease(text) IS 'true for 1.1.0-rc.1, false for 1.1.0';

CREATE FUNCTION tenancy.version_satisfies(version text, range text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'tenancy_version_satisfies';
COMMENT ON FUNCTION tenancy.version_satisfies(text, text) IS
    'whether a version is in a range such as ">=1.0.0 <2.0.0", "^1.2.0", "~1.2" or "1.x || 3.0.0"';
