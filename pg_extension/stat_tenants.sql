
/*
 * stat_tenants.sql — what each tenant does.
 */

CREATE FUNCTION tenancy.stat_tenants(OUT tenant text, OUT transactions bigint, OUT statements bigint,
                                     OUT rows_read bigint, OUT rows_written bigint, OUT denied bigint,
                                     OUT switches bigint, OUT last_seen timestamptz)
    RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED STRICT
    AS 'MODULE_PATHNAME', 'tenancy_stat_tenants';
COMMENT ON FUNCTION tenancy.stat_tenants() IS 'what the view tenancy.stat_tenants shows';
REVOKE ALL ON FUNCTION tenancy.stat_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.stat_tenants() TO pg_monitor;

CREATE VIEW tenancy.stat_tenants AS
    SELECT s.tenant, s.transactions, s.statements, s.rows_read, s.rows_written, s.denied, s.switches, s.last_seen
      FROM tenancy.stat_tenants() s;
COMMENT ON VIEW tenancy.stat_tenants IS
    'what each tenant has done in this database; * sums up those that there was no room for, NULL had no tenant';
REVOKE ALL ON tenancy.stat_tenants FROM PUBLIC;
GRANT SELECT ON tenancy.stat_tenants TO pg_monitor;

CREATE FUNCTION tenancy.stat_tenants_reset(tenant text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'tenancy_stat_tenants_reset';
COMMENT ON FUNCTION tenancy.stat_tenants_reset(text) IS 'sets the counters of one tenant, or of all in this database, to nothing';
REVOKE ALL ON FUNCTION tenancy.stat_tenants_reset(text) FROM PUBLIC;
