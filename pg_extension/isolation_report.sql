
/*
 * isolation_report.sql — what is not isolated, and the statement that mends it.
 *
 * One function a class of findings, each of which reads the catalogues once, for all tables.  They run with the rights of
 * isolation_report() and are for it alone.  docs/isolation_report.md has an entry for every code.
 */

CREATE VIEW tenancy.isolation_codes (code, severity, title) AS VALUES
    ('TI101', 'error', 'table without row-level security'),
    ('TI102', 'error', 'row-level security that does not bind the owner'),
    ('TI103', 'warning', 'row-level security without a policy'),
    ('TI104', 'warning', 'table without a floor'),
    ('TI105', 'error', 'policy that lets other tenants'' rows be read'),
    ('TI106', 'error', 'policy that lets other tenants'' rows be written'),
    ('TI107', 'error', 'child of a protected table that is not protected'),
    ('TI108', 'warning', 'table of a protected schema without the tenant''s column'),
    ('TI109', 'warning', 'unprotected table that refers to protected rows'),
    ('TI110', 'error', 'owner of a protected table as whom applications run'),
    ('TI111', 'warning', 'table of a tenant''s schema with another owner'),
    ('TI112', 'error', 'foreign table that is not bound to the tenant'),
    ('TI113', 'error', 'table of one tenant''s schema that is another''s'),
    ('TI114', 'error', 'foreign server that applications may use'),
    ('TI201', 'error', 'view that goes past policies'),
    ('TI202', 'warning', 'view that runs as its owner'),
    ('TI203', 'error', 'materialized view of tenants'' rows'),
    ('TI204', 'error', 'rule that goes past policies'),
    ('TI211', 'error', 'SECURITY DEFINER function without a pinned search_path'),
    ('TI212', 'error', 'SECURITY DEFINER function that goes past policies'),
    ('TI213', 'warning', 'function that is taken for leakproof'),
    ('TI214', 'error', 'function of a protected table that an application can change'),
    ('TI215', 'warning', 'object of a tenant''s that others may use'),
    ('TI216', 'warning', 'function that may choose the tenant'),
    ('TI301', 'warning', 'policy that decides by OR'),
    ('TI302', 'notice', 'policy that reads the setting itself'),
    ('TI303', 'error', 'policy whose function is IMMUTABLE'),
    ('TI304', 'warning', 'policy that decides by a function of somebody else''s'),
    ('TI305', 'error', 'policy that believes a table which tenants can write'),
    ('TI306', 'error', 'policy that believes a setting which anybody can write'),
    ('TI401', 'error', 'application role that policies do not bind'),
    ('TI402', 'error', 'application role that can become one which policies do not bind'),
    ('TI403', 'error', 'tenant''s role that reaches another tenant'),
    ('TI404', 'error', 'privilege that goes past policies'),
    ('TI405', 'warning', 'privilege to set a sequence'),
    ('TI406', 'warning', 'default privilege that goes past policies'),
    ('TI407', 'error', 'privilege to create objects beside protected ones'),
    ('TI408', 'error', 'privilege on a tenant''s schema'),
    ('TI409', 'error', 'privilege to write the tenant''s setting'),
    ('TI410', 'error', 'tenant that is set where it should not be'),
    ('TI411', 'error', 'privilege on the extension''s own objects'),
    ('TI412', 'warning', 'privilege on the server''s own objects'),
    ('TI413', 'error', 'schema or database that an application owns'),
    ('TI501', 'error', 'foreign key that reaches other tenants'' rows'),
    ('TI502', 'warning', 'unique key over all tenants'),
    ('TI503', 'notice', 'generated key over all tenants'),
    ('TI601', 'error', 'library that is loaded too late'),
    ('TI602', 'warning', 'server with known errors in row-level security'),
    ('TI603', 'error', 'trigger of the extension that does not fire'),
    ('TI604', 'warning', 'publication of all tables'),
    ('TI605', 'error', 'role of the extension with other attributes'),
    ('TI606', 'error', 'setting that opens what policies do not bind'),
    ('TI607', 'warning', 'statements that other tenants'' sessions can read'),
    ('TI701', 'notice', 'plans that tell of other tenants'' rows'),
    ('TI702', 'notice', 'statistics that tell of other tenants'' rows'),
    ('TI703', 'notice', 'statements of one login that all its tenants can read'),
    ('TI704', 'notice', 'service that may leave a tenant on its connection'),
    ('TI705', 'warning', 'large objects of a service'),
    ('TI706', 'notice', 'publication of tenants'' rows'),
    ('TI707', 'notice', 'login that nothing is asked of');
COMMENT ON VIEW tenancy.isolation_codes IS 'the findings that isolation_report() knows';
GRANT SELECT ON tenancy.isolation_codes TO pg_monitor;

CREATE TABLE tenancy.accepted_findings (
    code text NOT NULL,
    object text NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    accepted_by name NOT NULL DEFAULT current_user,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (code, object)
);
COMMENT ON TABLE tenancy.accepted_findings IS 'findings that somebody answers for; isolation_report() shows them as accepted';
COMMENT ON COLUMN tenancy.accepted_findings.object IS 'as isolation_report() names it';
REVOKE ALL ON tenancy.accepted_findings FROM PUBLIC;
GRANT SELECT ON tenancy.accepted_findings TO pg_monitor;
SELECT pg_extension_config_dump('tenancy.accepted_findings', '');

CREATE FUNCTION tenancy.policy_shapes(OUT policy oid, OUT reads text, OUT reads_column smallint, OUT writes text,
                                      OUT writes_column smallint, OUT settings text[], OUT functions oid[],
                                      OUT branches boolean, OUT reads_context boolean) RETURNS SETOF record
    LANGUAGE c STABLE SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_policy_shapes';
COMMENT ON FUNCTION tenancy.policy_shapes() IS
    'how the rows that each policy lets through are bound: tenant, other, derived, open or closed; and what it calls';
REVOKE ALL ON FUNCTION tenancy.policy_shapes() FROM PUBLIC;

/*
 * The tables that hold tenants' rows, with what guards each: a policy that reads the context, the schema of a tenant or a
 * protected one, a column of the name; and all that is above or below those by inheritance.
 */
CREATE TYPE tenancy.isolation_table AS (
    relation oid, name text, kind "char", owner oid, schema oid,
    tenant text,                -- whose schema it stands in
    tenant_column name,         -- what tells rows apart
    registered boolean,         -- in a protected schema
    parent oid,
    secured boolean, forced boolean, policies bigint,
    floor boolean,              -- a restrictive policy binds every command of everybody
    reads_bound boolean, writes_bound boolean,
    protect text                -- the statement that protects it
);
COMMENT ON TYPE tenancy.isolation_table IS 'a table that holds tenants'' rows, and what guards it';

CREATE FUNCTION tenancy.isolation_tables() RETURNS SETOF tenancy.isolation_table
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH RECURSIVE shapes AS MATERIALIZED (
        SELECT p.polrelid, p.polcmd, p.polpermissive, p.polroles, s.*
          FROM tenancy.policy_shapes() s JOIN pg_policy p ON p.oid = s.policy
    ),
    context_columns AS (
        SELECT s.polrelid, max(CASE WHEN s.reads = 'tenant' THEN s.reads_column WHEN s.writes = 'tenant' THEN s.writes_column END) AS attnum
          FROM shapes s WHERE 'tenant' IN (s.reads, s.writes) GROUP BY s.polrelid
    ),
    seed AS (
        SELECT c.oid, a.attname AS tenant_column, i.tenant_id AS tenant, r.schema_name IS NOT NULL AS registered
          FROM pg_class c
          JOIN pg_namespace n ON n.oid = c.relnamespace
          LEFT JOIN context_columns b ON b.polrelid = c.oid
          LEFT JOIN tenancy.tenant_systems i ON i.schema_name = n.nspname
          LEFT JOIN tenancy.protected_schemas r ON r.schema_name = n.nspname
          LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                                  AND CASE WHEN b.attnum > 0 THEN a.attnum = b.attnum
                                           ELSE a.attname = coalesce(r.tenant_column, 'tenant_id') END
         WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
           AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
           AND (b.polrelid IS NOT NULL OR i.schema_name IS NOT NULL OR r.schema_name IS NOT NULL OR a.attnum IS NOT NULL)
           AND (c.relrowsecurity OR NOT EXISTS (
                SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                 WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_extension'::regclass
                   AND d.deptype = 'e' AND e.extname IN ('tenancy', 'tenancy_mongo')))
    ),
    kinship (a, b) AS (
        SELECT i.inhparent, i.inhrelid FROM pg_inherits i UNION ALL SELECT i.inhrelid, i.inhparent FROM pg_inherits i
    ),
    relatives AS (
        SELECT s.* FROM seed s
        UNION
        SELECT k.b, r.tenant_column, r.tenant, false FROM relatives r JOIN kinship k ON k.a = r.oid
    ),
    family AS (
        SELECT DISTINCT ON (r.oid) r.oid, a.attname AS tenant_column, coalesce(a.attnum, 0) AS attnum, r.tenant, r.registered
          FROM relatives r
          LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND a.attname = r.tenant_column AND a.attnum > 0
         ORDER BY r.oid, r.registered DESC, r.tenant, a.attnum
    ),
    verdicts AS (
        SELECT s.polrelid, k.cmd, s.polpermissive, s.polroles,
               (k.cmd = 'a' OR s.reads IN ('closed', 'derived')
                    OR s.reads IN ('tenant', 'other') AND s.reads_column IN (0, f.attnum))
               AND (k.cmd IN ('r', 'd') OR s.writes IN ('closed', 'derived')
                    OR s.writes IN ('tenant', 'other') AND s.writes_column IN (0, f.attnum)) AS bound
          FROM family f JOIN shapes s ON s.polrelid = f.oid
          JOIN (VALUES ('r'), ('a'), ('w'), ('d')) k(cmd) ON s.polcmd IN ('*', k.cmd::"char")
    ),
    commands AS (
        SELECT v.polrelid, v.cmd, bool_or(NOT v.polpermissive AND v.polroles = '{0}' AND v.bound) AS floor,
               bool_and(NOT v.polpermissive OR v.bound) AS bound
          FROM verdicts v GROUP BY v.polrelid, v.cmd
    ),
    guards AS (
        SELECT c.polrelid, bool_and(c.floor) AND count(*) = 4 AS floor,
               bool_and(c.floor OR c.bound) FILTER (WHERE c.cmd = 'r') AS reads_bound,
               bool_and(c.floor OR c.bound) FILTER (WHERE c.cmd <> 'r') AS writes_bound
          FROM commands c GROUP BY c.polrelid
    )
    SELECT c.oid, format('%I.%I', n.nspname, c.relname), c.relkind, c.relowner, c.relnamespace, f.tenant, f.tenant_column, f.registered,
           (SELECT i.inhparent FROM pg_inherits i JOIN family p ON p.oid = i.inhparent WHERE i.inhrelid = c.oid
             ORDER BY i.inhseqno LIMIT 1),
           c.relrowsecurity, c.relforcerowsecurity,
           (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid),
           coalesce(g.floor, false), coalesce(g.reads_bound, true), coalesce(g.writes_bound, true),
           format('SELECT tenancy.protect(%L%s);', format('%I.%I', n.nspname, c.relname),
                  CASE WHEN f.tenant IS NOT NULL THEN format(', tenant => %L', f.tenant)
                       WHEN f.tenant_column <> 'tenant_id' THEN format(', %L', f.tenant_column) END)
      FROM family f
      JOIN pg_class c ON c.oid = f.oid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN guards g ON g.polrelid = c.oid
$function$;
COMMENT ON FUNCTION tenancy.isolation_tables() IS 'the tables that hold tenants'' rows, and what guards each';
REVOKE ALL ON FUNCTION tenancy.isolation_tables() FROM PUBLIC;

-- Who else than its owner has one of some privileges by an access control list: names, ready for REVOKE.
CREATE FUNCTION tenancy.acl_grantees(acl aclitem[], owner oid, privileges text[], roles oid[] DEFAULT NULL) RETURNS text
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT string_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, ', ')
      FROM aclexplode(acl) x
     WHERE x.grantee <> owner AND x.privilege_type = ANY (privileges) AND (roles IS NULL OR x.grantee = ANY (roles))
$function$;
COMMENT ON FUNCTION tenancy.acl_grantees(aclitem[], oid, text[], oid[]) IS 'who but its owner has a privilege on an object';
REVOKE ALL ON FUNCTION tenancy.acl_grantees(aclitem[], oid, text[], oid[]) FROM PUBLIC;

/*
 * The roles that applications and tenants act as: tenancy_service, tenants' roles, those who are bound to a tenant, those
 * with grants on tenants' tables; and everybody who can become one of them.  0 is PUBLIC.
 */
CREATE TYPE tenancy.isolation_role AS (role oid, name text, tenant text, service boolean, member boolean);
COMMENT ON TYPE tenancy.isolation_role IS 'a role that applications or tenants act as: whose it is, or a service, itself or by membership';

CREATE FUNCTION tenancy.isolation_roles(tables tenancy.isolation_table[]) RETURNS SETOF tenancy.isolation_role
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH RECURSIVE setting AS (SELECT current_setting('tenancy.context_setting') AS name),
    seed (role, tenant, service) AS (
        SELECT r.oid, t.tenant_id, false FROM tenancy.tenants t JOIN pg_roles r ON r.rolname = t.role_name
        UNION
        SELECT r.oid, NULL, true FROM pg_roles r WHERE r.rolname = 'tenancy_service'
        UNION
        SELECT s.setrole, substr(c, strpos(c, '=') + 1), false
          FROM pg_db_role_setting s, unnest(s.setconfig) c
         WHERE s.setrole <> 0 AND lower(split_part(c, '=', 1)) = lower((SELECT name FROM setting)) AND c !~ '=$'
        UNION
        SELECT x.grantee, NULL, false
          FROM unnest(tables) t JOIN pg_class c ON c.oid = t.relation,
               LATERAL aclexplode(c.relacl) x JOIN pg_roles r ON r.oid = x.grantee
         WHERE x.grantee <> c.relowner AND NOT r.rolsuper AND r.rolname !~ '^pg_'
           AND r.rolname NOT IN ('tenancy_owner', 'tenancy_mirror')
    ),
    reach (role, tenant, service, member) AS (
        SELECT s.role, s.tenant, s.service, false FROM seed s
        UNION
        SELECT m.member, r.tenant, r.service, true FROM reach r JOIN pg_auth_members m ON m.roleid = r.role
    )
    SELECT DISTINCT r.role, pg_get_userbyid(r.role)::text, r.tenant, r.service, r.member FROM reach r
    UNION ALL
    SELECT 0, 'PUBLIC', NULL, false, false
$function$;
COMMENT ON FUNCTION tenancy.isolation_roles(tenancy.isolation_table[]) IS 'the roles that applications and tenants act as';
REVOKE ALL ON FUNCTION tenancy.isolation_roles(tenancy.isolation_table[]) FROM PUBLIC;

-- TI1xx, but for views and the like: tables and their policies' verdicts.
CREATE FUNCTION tenancy.report_tables(tables tenancy.isolation_table[], roles tenancy.isolation_role[],
                                      OUT code text, OUT object text, OUT reason text, OUT remedy text) RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH tables AS MATERIALIZED (
        SELECT t.*, o.rolname, o.rolcanlogin, o.rolsuper,
               t.tenant IS NOT NULL OR t.tenant_column IS NOT NULL AS bindable
          FROM unnest(tables) t JOIN pg_roles o ON o.oid = t.owner
    ),
    families AS (
        SELECT t.*, p.name AS parent_name, p.protect AS parent_protect
          FROM tables t LEFT JOIN tables p ON p.relation = t.parent AND p.secured
    ),
    exposed AS MATERIALIZED (SELECT DISTINCT r.role FROM unnest(roles) r)
    SELECT 'TI101', 'table ' || t.name, 'every row is everybody''s who may read the table', t.protect
      FROM families t WHERE t.kind <> 'f' AND t.bindable AND NOT t.secured AND t.parent_name IS NULL
    UNION ALL
    SELECT 'TI102', 'table ' || t.name, format('its owner, %s, sees every tenant''s rows', quote_ident(t.rolname)),
           format('ALTER TABLE %s FORCE ROW LEVEL SECURITY;', t.name)
      FROM families t WHERE t.secured AND NOT t.forced AND t.parent_name IS NULL
    UNION ALL
    SELECT 'TI103', 'table ' || t.name, 'no policy lets anybody see a row', t.protect
      FROM families t WHERE t.bindable AND t.secured AND t.policies = 0 AND t.parent_name IS NULL
    UNION ALL
    SELECT 'TI104', 'table ' || t.name, 'the next permissive policy lets through what this one keeps back', t.protect
      FROM families t WHERE t.bindable AND t.secured AND t.policies > 0 AND NOT t.floor AND t.reads_bound AND t.writes_bound AND t.parent_name IS NULL
    UNION ALL
    SELECT 'TI107', 'table ' || t.name, format('who names it in a query is not bound by the policies of %s', t.parent_name), t.parent_protect
      FROM families t
     WHERE t.kind <> 'f' AND t.parent_name IS NOT NULL AND (NOT t.secured OR NOT t.forced OR t.policies = 0)
    UNION ALL
    SELECT 'TI108', 'table ' || t.name, 'nothing says whose a row is',
           format('ALTER TABLE %s ADD COLUMN %I text;', t.name, s.tenant_column)
      FROM families t
      JOIN pg_namespace n ON n.oid = t.schema JOIN tenancy.protected_schemas s ON s.schema_name = n.nspname
     WHERE t.kind <> 'f' AND t.registered AND NOT t.bindable AND t.policies = 0
    UNION ALL
    SELECT 'TI109', format('table %I.%I', n.nspname, c.relname), format('it refers to rows of %s, and shows which to everybody who may read it', p.name),
           format(E'ALTER TABLE %1$I.%2$I ADD COLUMN %3$I text;\nUPDATE %1$I.%2$I child SET %3$I = parent.%3$I FROM %4$s parent\n'
                  '    WHERE (%5$s) = (%6$s);\nSELECT tenancy.protect(%7$L%8$s);', n.nspname, c.relname, p.tenant_column, p.name,
                  tenancy.key_columns(k.conrelid, k.conkey, 'child.'),
                  tenancy.key_columns(k.confrelid, k.confkey, 'parent.'),
                  format('%I.%I', n.nspname, c.relname),
                  CASE WHEN p.tenant_column <> 'tenant_id' THEN format(', %L', p.tenant_column) END)
      FROM (SELECT DISTINCT ON (k.conrelid) k.* FROM pg_constraint k WHERE k.contype = 'f' ORDER BY k.conrelid, k.oid) k
      JOIN families p ON p.relation = k.confrelid AND p.secured AND p.tenant_column IS NOT NULL
      JOIN pg_class c ON c.oid = k.conrelid AND NOT c.relrowsecurity JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE NOT EXISTS (SELECT FROM tables t WHERE t.relation = k.conrelid)
    UNION ALL
    SELECT 'TI110', 'table ' || t.name, format('applications run as its owner, %s, who may switch row-level security off', quote_ident(t.rolname)),
           format('ALTER TABLE %s OWNER TO tenancy_owner;', t.name)
      FROM families t
     WHERE t.secured AND NOT t.rolsuper AND (t.rolcanlogin OR t.owner IN (SELECT e.role FROM exposed e))
    UNION ALL
    SELECT 'TI111', 'table ' || t.name, format('it is %s''s and not tenancy_owner''s', quote_ident(t.rolname)),
           format('ALTER TABLE %s OWNER TO tenancy_owner;', t.name)
      FROM families t
      JOIN pg_namespace n ON n.oid = t.schema JOIN tenancy.tenant_systems s ON s.schema_name = n.nspname
     WHERE t.rolname <> 'tenancy_owner' AND (t.rolsuper OR NOT t.rolcanlogin AND t.owner NOT IN (SELECT e.role FROM exposed e))
    UNION ALL
    SELECT 'TI112', 'foreign table ' || t.name, 'PostgreSQL has no policies for foreign tables',
           CASE WHEN w.fdwname = 'tenancy_mongo' AND t.parent_name IS NULL AND t.tenant_column IS NOT NULL
                THEN format('ALTER FOREIGN TABLE %s OPTIONS (ADD tenant_field %L);', t.name, t.tenant_column)
                ELSE format('REVOKE ALL ON %s FROM %s;', t.name, tenancy.acl_grantees(c.relacl, c.relowner,
                            ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN'])) END
      FROM families t
      JOIN pg_class c ON c.oid = t.relation
      JOIN pg_foreign_table f ON f.ftrelid = t.relation JOIN pg_foreign_server s ON s.oid = f.ftserver
      JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
     WHERE NOT EXISTS (SELECT FROM unnest(f.ftoptions) o WHERE o ~ '^tenant_field=' OR o ~ '^database=.*\{tenant\}')
       AND tenancy.acl_grantees(c.relacl, c.relowner, ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) IS NOT NULL
    UNION ALL
    SELECT 'TI113', 'table ' || t.name, format('it stands in a schema of tenant %L and shows its rows to tenant %L', t.tenant, p.tenant), t.protect
      FROM families t, LATERAL tenancy.protection(t.relation) p
     WHERE t.tenant IS NOT NULL AND t.secured AND p.tenant <> t.tenant
    UNION ALL
    SELECT 'TI114', 'foreign server ' || quote_ident(s.srvname), format('%s may make foreign tables of it, which ask for no tenant', v.grantees),
           format('REVOKE USAGE ON FOREIGN SERVER %I FROM %s CASCADE;', s.srvname, v.grantees)
      FROM pg_foreign_server s,
           LATERAL (SELECT tenancy.acl_grantees(s.srvacl, s.srvowner, ARRAY['USAGE'], ARRAY(SELECT e.role FROM exposed e)) AS grantees) v
     WHERE v.grantees IS NOT NULL
$function$;
COMMENT ON FUNCTION tenancy.report_tables(tenancy.isolation_table[], tenancy.isolation_role[]) IS 'findings about tables';
REVOKE ALL ON FUNCTION tenancy.report_tables(tenancy.isolation_table[], tenancy.isolation_role[]) FROM PUBLIC;

-- TI2xx: what reads tenants' rows with somebody else's rights.
CREATE FUNCTION tenancy.report_views(tables tenancy.isolation_table[], roles tenancy.isolation_role[],
                                      OUT code text, OUT object text, OUT reason text, OUT remedy text) RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH RECURSIVE tables AS MATERIALIZED (SELECT t.relation, t.name FROM unnest(tables) t),
    uses AS MATERIALIZED (
        SELECT DISTINCT r.ev_class AS relation, r.oid AS rule, r.rulename, r.ev_type, d.refobjid AS used
          FROM pg_rewrite r
          JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    ),
    readers AS (
        SELECT t.relation, t.name FROM tables t
        UNION
        SELECT u.relation, r.name FROM readers r JOIN uses u ON u.used = r.relation AND u.ev_type = '1' AND u.relation <> u.used
    ),
    views AS (
        SELECT c.oid, c.relkind, c.relowner, c.relacl, format('%I.%I', n.nspname, c.relname) AS name, min(r.name) AS reads,
               o.rolname, o.rolsuper OR o.rolbypassrls AS unbound,
               'security_invoker=true' = ANY (c.reloptions) OR 'security_invoker=on' = ANY (c.reloptions)
                   OR 'security_invoker=1' = ANY (c.reloptions) OR 'security_invoker=yes' = ANY (c.reloptions) AS invoker,
               tenancy.acl_grantees(c.relacl, c.relowner, ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS grantees
          FROM readers r JOIN pg_class c ON c.oid = r.relation AND c.relkind IN ('v', 'm')
          JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
         WHERE NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_extension'::regclass
                              AND d.deptype = 'e' AND e.extname ~ '^tenancy')
         GROUP BY c.oid, n.nspname, o.rolname, o.rolsuper, o.rolbypassrls
    )
    SELECT CASE WHEN v.unbound THEN 'TI201' ELSE 'TI202' END, 'view ' || v.name,
           CASE WHEN v.unbound THEN format('it shows %s as %s sees it, whom policies do not bind', v.reads, quote_ident(v.rolname))
                ELSE format('it reads %s with the rights of %s', v.reads, quote_ident(v.rolname)) END,
           format('ALTER VIEW %s SET (security_invoker = true);', v.name)
      FROM views v WHERE v.relkind = 'v' AND NOT coalesce(v.invoker, false) AND v.grantees IS NOT NULL
    UNION ALL
    SELECT 'TI203', 'materialized view ' || v.name, format('it holds rows of %s, and has no policies', v.reads),
           format('REVOKE ALL ON %s FROM %s;', v.name, v.grantees)
      FROM views v WHERE v.relkind = 'm' AND v.grantees IS NOT NULL
    UNION ALL
    SELECT DISTINCT 'TI204', format('rule %I on %I.%I', u.rulename, n.nspname, c.relname),
           format('it reads or writes %s with the rights of %s', t.name, quote_ident(o.rolname)),
           format('DROP RULE %I ON %I.%I;', u.rulename, n.nspname, c.relname)
      FROM uses u JOIN tables t ON t.relation = u.used
      JOIN pg_class c ON c.oid = u.relation JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_roles o ON o.oid = c.relowner AND (o.rolsuper OR o.rolbypassrls)
     WHERE u.ev_type <> '1'
$function$;
COMMENT ON FUNCTION tenancy.report_views(tenancy.isolation_table[], tenancy.isolation_role[]) IS 'findings about views and rules';
REVOKE ALL ON FUNCTION tenancy.report_views(tenancy.isolation_table[], tenancy.isolation_role[]) FROM PUBLIC;

CREATE FUNCTION tenancy.report_functions(tables tenancy.isolation_table[], roles tenancy.isolation_role[],
                                      OUT code text, OUT object text, OUT reason text, OUT remedy text) RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH exposed AS MATERIALIZED (SELECT DISTINCT r.role FROM unnest(roles) r),
    functions AS MATERIALIZED (
        SELECT p.oid, p.prosecdef, p.proleakproof, p.prorettype, p.proowner, n.nspname, n.oid AS schema,
               format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS name,
               CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS kind,
               o.rolname, o.rolsuper OR o.rolbypassrls AS unbound,
               (SELECT substr(c, 13) FROM unnest(p.proconfig) c WHERE c ~ '^search_path=') AS path,
               tenancy.acl_grantees(coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner, ARRAY['EXECUTE'],
                                    ARRAY(SELECT e.role FROM exposed e)) AS grantees
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles o ON o.oid = p.proowner
         WHERE (p.prosecdef OR p.proleakproof) AND p.oid >= 16384 AND n.nspname NOT IN ('pg_catalog', 'information_schema')
           AND n.nspname !~ '^pg_temp'
           AND NOT EXISTS (SELECT FROM pg_depend d
                            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                              AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e')
    )
    SELECT 'TI211', 'function ' || f.name, 'who calls it chooses which objects its names mean',
           format('ALTER %s %s SET search_path TO pg_catalog, %I, pg_temp;', f.kind, f.name, f.nspname)
      FROM functions f
     WHERE f.prosecdef AND f.grantees IS NOT NULL AND coalesce(f.path !~ '(^|, *)"?pg_temp"?$' AND f.path !~ '^("")?$', true)
    UNION ALL
    SELECT 'TI212', 'function ' || f.name, format('policies do not bind %s, as whom it runs', quote_ident(f.rolname)),
           format('REVOKE EXECUTE ON %s %s FROM %s;', f.kind, f.name, f.grantees)
      FROM functions f
     WHERE f.prosecdef AND f.unbound AND f.grantees IS NOT NULL AND f.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
    UNION ALL
    SELECT 'TI213', 'function ' || f.name, 'it is called with rows that policies keep back, and could tell them',
           format('ALTER FUNCTION %s NOT LEAKPROOF;', f.name)
      FROM functions f WHERE f.proleakproof
    UNION ALL
    SELECT DISTINCT 'TI214', format('function %s of %s', u.function::regprocedure, t.name),
           format('%s owns it and decides what it does with other tenants'' rows', quote_ident(u.rolname)),
           format('ALTER ROUTINE %s OWNER TO tenancy_owner;', u.function::regprocedure)
      FROM (SELECT p.oid AS function, o.rolname, p.proowner,
                   coalesce(tr.tgrelid, co.conrelid, ad.adrelid, po.polrelid, ix.indrelid) AS relation
              FROM exposed e JOIN pg_proc p ON p.proowner = e.role JOIN pg_roles o ON o.oid = p.proowner AND NOT o.rolsuper
              JOIN pg_depend d ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid
              LEFT JOIN pg_trigger tr ON d.classid = 'pg_trigger'::regclass AND tr.oid = d.objid
              LEFT JOIN pg_constraint co ON d.classid = 'pg_constraint'::regclass AND co.oid = d.objid
              LEFT JOIN pg_attrdef ad ON d.classid = 'pg_attrdef'::regclass AND ad.oid = d.objid
              LEFT JOIN pg_policy po ON d.classid = 'pg_policy'::regclass AND po.oid = d.objid
              LEFT JOIN pg_index ix ON d.classid = 'pg_class'::regclass AND ix.indexrelid = d.objid) u
      JOIN unnest(tables) t ON t.relation = u.relation AND t.owner <> u.proowner
    UNION ALL
    SELECT DISTINCT 'TI214', format('type %s of %s', y.oid::regtype, t.name),
           format('%s owns it and decides what its checks do with other tenants'' rows', quote_ident(o.rolname)),
           format('ALTER %s %s OWNER TO tenancy_owner;', CASE y.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, y.oid::regtype)
      FROM unnest(tables) t JOIN pg_attribute a ON a.attrelid = t.relation AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_type y ON y.oid = a.atttypid AND y.typtype IN ('d', 'b') AND y.typowner <> t.owner
      JOIN exposed e ON e.role = y.typowner JOIN pg_roles o ON o.oid = y.typowner AND NOT o.rolsuper
    UNION ALL
    SELECT DISTINCT 'TI214', format('function %s of %s', c.function::regprocedure, t.name),
           format('%s owns it and decides what it does with other tenants'' rows', quote_ident(o.rolname)),
           format('ALTER ROUTINE %s OWNER TO tenancy_owner;', c.function::regprocedure)
      FROM unnest(tables) t JOIN pg_attribute a ON a.attrelid = t.relation AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_constraint k ON k.contypid = a.atttypid
      JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid AND d.refclassid = 'pg_proc'::regclass
      JOIN pg_proc p ON p.oid = d.refobjid JOIN exposed e ON e.role = p.proowner
      JOIN pg_roles o ON o.oid = p.proowner AND NOT o.rolsuper, LATERAL (SELECT p.oid AS function) c
     WHERE p.proowner <> t.owner
    UNION ALL
    SELECT 'TI216', 'function ' || f.name, format('it runs as %s, who may choose any tenant; whoever calls it may, if it does not look', quote_ident(f.rolname)),
           format('REVOKE EXECUTE ON %s %s FROM %s;', f.kind, f.name, f.grantees)
      FROM functions f
     WHERE f.prosecdef AND NOT f.unbound AND f.grantees IS NOT NULL AND f.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
       AND (has_function_privilege(f.proowner, 'tenancy.set_tenant(text, boolean)', 'EXECUTE')
            OR has_function_privilege(f.proowner, 'tenancy.set_context(text, text, text[], boolean)', 'EXECUTE')
            OR has_function_privilege(f.proowner, 'tenancy.issue_token(text, text, text[], name, interval)', 'EXECUTE'))
$function$;
COMMENT ON FUNCTION tenancy.report_functions(tenancy.isolation_table[], tenancy.isolation_role[]) IS 'findings about functions and triggers';
REVOKE ALL ON FUNCTION tenancy.report_functions(tenancy.isolation_table[], tenancy.isolation_role[]) FROM PUBLIC;

-- TI105, TI106 and TI3xx: policies one by one.
CREATE FUNCTION tenancy.report_policies(tables tenancy.isolation_table[], roles tenancy.isolation_role[],
                                      OUT code text, OUT object text, OUT reason text, OUT remedy text) RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH policies AS MATERIALIZED (
        SELECT t.*, p.oid, p.polname, p.polcmd, p.polpermissive, s.reads, s.reads_column, s.writes, s.writes_column,
               s.settings, s.functions, s.branches, s.reads_context, coalesce(a.attnum, 0) AS attnum,
               format('policy %I on %s', p.polname, t.name) AS object,
               CASE WHEN p.polname IN ('tenant_isolation_policy', 'tenant_isolation_floor', 'tenant_isolation_insert',
                                       'tenant_isolation_update', 'tenant_isolation_delete') THEN ''
                    ELSE format(E'DROP POLICY %I ON %s;\n', p.polname, t.name) END || t.protect AS remedy
          FROM tenancy.policy_shapes() s
          JOIN pg_policy p ON p.oid = s.policy
          JOIN unnest(tables) t ON t.relation = p.polrelid
          LEFT JOIN pg_attribute a ON a.attrelid = t.relation AND a.attname = t.tenant_column
    ),
    open AS (
        SELECT p.*, p.polcmd IN ('*', 'r') AND (p.reads = 'open' OR p.reads IN ('tenant', 'other') AND p.reads_column NOT IN (0, p.attnum)) AS reads_open,
               p.polcmd IN ('*', 'w', 'd') AND (p.reads = 'open' OR p.reads IN ('tenant', 'other') AND p.reads_column NOT IN (0, p.attnum))
               OR p.polcmd IN ('*', 'a', 'w') AND (p.writes = 'open' OR p.writes IN ('tenant', 'other') AND p.writes_column NOT IN (0, p.attnum)) AS writes_open
          FROM policies p WHERE p.polpermissive
    ),
    writable AS (
        SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name,
               tenancy.acl_grantees(c.relacl, c.relowner, ARRAY['INSERT', 'UPDATE', 'DELETE'], ARRAY(SELECT r.role FROM unnest(roles) r)) AS grantees
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
                          AND d.objid IN (SELECT p.oid FROM policies p WHERE p.relation <> c.oid))
    ),
    -- what ALTER SYSTEM, ALTER ROLE and superusers alone may write
    guarded AS (SELECT lower(s.name) AS name FROM pg_settings s WHERE s.context <> 'user')
    SELECT 'TI105', p.object, 'it lets rows through whosever they are, and no floor keeps them back', p.remedy
      FROM open p WHERE p.secured AND NOT p.reads_bound AND p.reads_open
    UNION ALL
    SELECT 'TI106', p.object, 'it lets rows be written whosever they are, and no floor keeps them back', p.remedy
      FROM open p WHERE p.secured AND NOT p.writes_bound AND p.writes_open AND NOT (NOT p.reads_bound AND p.reads_open)
    UNION ALL
    SELECT 'TI301', p.object, 'an OR cannot use the index that leads with the tenant, and each arm is another way in', p.remedy
      FROM policies p WHERE p.branches
    UNION ALL
    SELECT 'TI302', p.object, 'current_setting() is parsed for each row; tenancy.current_tenant() is not', p.remedy
      FROM policies p WHERE p.reads_context AND NOT p.branches
    UNION ALL
    SELECT 'TI303', p.object, format('%s is called once a plan, and a cached plan keeps the tenant that it was made for', f.oid::regprocedure),
           format('ALTER FUNCTION %s STABLE;', f.oid::regprocedure)
      FROM policies p, unnest(p.functions) fn JOIN pg_proc f ON f.oid = fn
     WHERE f.provolatile = 'i' AND f.pronargs = 0
    UNION ALL
    SELECT 'TI304', p.object, format('what %s decides is not known%s', string_agg(f.oid::regprocedure::text, ', ' ORDER BY f.oid),
                                     CASE WHEN bool_or(f.proparallel <> 's') THEN ', and no parallel plan can call it'
                                          WHEN bool_or(f.provolatile = 'v') THEN ', and it is called for each row' END), p.remedy
      FROM policies p, unnest(p.functions) fn JOIN pg_proc f ON f.oid = fn
     GROUP BY p.object, p.remedy
    UNION ALL
    SELECT 'TI305', p.object, format('%s may write %s, which it looks the tenant up in', w.grantees, w.name),
           format('REVOKE INSERT, UPDATE, DELETE ON %s FROM %s;', w.name, w.grantees)
      FROM policies p
      JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> p.relation
      JOIN writable w ON w.oid = d.refobjid AND w.grantees IS NOT NULL
     WHERE p.polpermissive AND NOT p.floor
       AND NOT EXISTS (SELECT FROM unnest(tables) t WHERE t.relation = w.oid AND t.secured AND t.writes_bound)
     GROUP BY p.object, w.grantees, w.name
    UNION ALL
    SELECT 'TI306', p.object, format('everybody may SET %s', string_agg(s, ', ' ORDER BY s)), p.remedy
      FROM policies p, unnest(p.settings) s
     WHERE p.polpermissive AND NOT p.floor AND lower(s) NOT IN (SELECT g.name FROM guarded g) AND s <> '?'
       AND lower(s) <> lower(current_setting('tenancy.context_setting'))
     GROUP BY p.object, p.remedy
$function$;
COMMENT ON FUNCTION tenancy.report_policies(tenancy.isolation_table[], tenancy.isolation_role[]) IS 'findings about policies';
REVOKE ALL ON FUNCTION tenancy.report_policies(tenancy.isolation_table[], tenancy.isolation_role[]) FROM PUBLIC;

-- TI4xx: who is bound by policies, and who may do what they do not cover.
CREATE FUNCTION tenancy.report_roles(tables tenancy.isolation_table[], roles tenancy.isolation_role[],
                                      OUT code text, OUT object text, OUT reason text, OUT remedy text) RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH RECURSIVE exposed AS MATERIALIZED (SELECT r.* FROM unnest(roles) r WHERE r.role <> 0),
    roles AS MATERIALIZED (
        SELECT r.oid, r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolreplication
          FROM pg_roles r WHERE r.oid IN (SELECT e.role FROM exposed e)
    ),
    -- whoever becomes one of these is not bound any more
    unbound AS (
        SELECT r.oid, r.rolname, 'whom policies do not bind'::text AS why FROM pg_roles r WHERE r.rolsuper OR r.rolbypassrls
        UNION ALL
        SELECT r.oid, r.rolname, 'who can change roles or use what policies do not cover' FROM pg_roles r
         WHERE NOT (r.rolsuper OR r.rolbypassrls)
           AND (r.rolcreaterole OR r.rolreplication
                OR r.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program',
                                 'pg_read_all_data', 'pg_write_all_data', 'pg_maintain', 'pg_signal_backend',
                                 'pg_read_all_stats', 'pg_monitor', 'pg_create_subscription', 'tenancy_mirror'))
        UNION ALL
        SELECT r.oid, r.rolname, 'who owns protected tables' FROM pg_roles r
         WHERE NOT (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolreplication)
           AND (r.rolname = 'tenancy_owner' OR r.oid IN (SELECT t.owner FROM unnest(tables) t WHERE t.secured))
    ),
    can_become (role, via, becomes) AS (
        SELECT m.member, m.roleid, m.roleid FROM pg_auth_members m WHERE m.member IN (SELECT r.oid FROM roles r)
        UNION
        SELECT b.role, b.via, m.roleid FROM can_become b JOIN pg_auth_members m ON m.member = b.becomes
    )
    SELECT 'TI401', 'role ' || quote_ident(r.rolname),
           'it is ' || concat_ws(', ', CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,
                                 CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END, CASE WHEN r.rolreplication THEN 'REPLICATION' END),
           format('ALTER ROLE %I %s;', r.rolname,
                  concat_ws(' ', CASE WHEN r.rolsuper THEN 'NOSUPERUSER' END, CASE WHEN r.rolbypassrls THEN 'NOBYPASSRLS' END,
                            CASE WHEN r.rolcreaterole THEN 'NOCREATEROLE' END, CASE WHEN r.rolreplication THEN 'NOREPLICATION' END))
      FROM roles r
     WHERE (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolreplication) AND r.rolname <> 'tenancy_service'
    UNION ALL
    (SELECT DISTINCT ON (r.oid, u.oid) 'TI402', 'role ' || quote_ident(r.rolname), format('it can become %s, %s', quote_ident(u.rolname), u.why),
           format('REVOKE %I FROM %I;', pg_get_userbyid(b.via), r.rolname)
      FROM roles r JOIN can_become b ON b.role = r.oid JOIN unbound u ON u.oid = b.becomes
     WHERE NOT r.rolsuper
     ORDER BY r.oid, u.oid, pg_get_userbyid(b.via))
    UNION ALL
    SELECT 'TI403', 'role ' || quote_ident(t.name),
           CASE WHEN t.service THEN format('it is tenant %L''s, and may choose any tenant', t.tenant)
                ELSE format('it reaches the tenants %s', array_to_string(t.tenants, ', ')) END,
           (SELECT string_agg(DISTINCT format('REVOKE %I FROM %I;', pg_get_userbyid(m.roleid), t.name), E'\n')
              FROM pg_auth_members m JOIN exposed g ON g.role = m.roleid
             WHERE m.member = t.role AND (g.service OR g.tenant <> t.tenant))
      FROM (SELECT e.role, e.name, bool_or(e.service) AS service, array_agg(DISTINCT e.tenant) FILTER (WHERE e.tenant IS NOT NULL) AS tenants,
                   coalesce(min(e.tenant) FILTER (WHERE NOT e.member), min(e.tenant)) AS tenant,
                   bool_or(e.tenant IS NOT NULL AND NOT e.member) AS own
              FROM exposed e GROUP BY e.role, e.name) t
     WHERE CASE WHEN t.service THEN t.own ELSE cardinality(t.tenants) > 1 END
$function$;
COMMENT ON FUNCTION tenancy.report_roles(tenancy.isolation_table[], tenancy.isolation_role[]) IS 'findings about roles and their memberships';
REVOKE ALL ON FUNCTION tenancy.report_roles(tenancy.isolation_table[], tenancy.isolation_role[]) FROM PUBLIC;

CREATE FUNCTION tenancy.report_privileges(tables tenancy.isolation_table[], roles tenancy.isolation_role[],
                                      OUT code text, OUT object text, OUT reason text, OUT remedy text) RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH tables AS MATERIALIZED (SELECT * FROM unnest(tables)),
    roles AS MATERIALIZED (SELECT * FROM unnest(roles)),
    exposed AS (SELECT array_agg(DISTINCT r.role) AS all_roles,
                       -- those who may not choose a tenant
                       array_agg(DISTINCT r.role) FILTER (WHERE r.role NOT IN (SELECT s.role FROM roles s WHERE s.service)) AS tenants
                  FROM roles r),
    past AS (SELECT ARRAY['TRUNCATE', 'REFERENCES', 'TRIGGER']
                    || CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN ARRAY['MAINTAIN'] END AS privileges),
    acls AS (
        SELECT t.name, c.relacl AS acl, t.owner FROM tables t JOIN pg_class c ON c.oid = t.relation WHERE c.relacl IS NOT NULL AND t.kind <> 'f'
        UNION ALL
        SELECT t.name, a.attacl, t.owner FROM tables t JOIN pg_attribute a ON a.attrelid = t.relation AND a.attacl IS NOT NULL WHERE t.kind <> 'f'
    ),
    granted AS (
        SELECT a.name, string_agg(DISTINCT x.privilege_type, ', ') AS privileges,
               string_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, ', ') AS grantees
          FROM acls a, past p, LATERAL aclexplode(a.acl) x
         WHERE x.grantee <> a.owner AND x.privilege_type = ANY (p.privileges)
         GROUP BY a.name
    )
    SELECT 'TI404', 'table ' || g.name, format('%s has %s', g.grantees, g.privileges),
           format('REVOKE %s ON %s FROM %s CASCADE;', g.privileges, g.name, g.grantees)
      FROM granted g
    UNION ALL
    SELECT 'TI405', format('sequence %I.%I', n.nspname, c.relname), format('%s may set it, and break everybody''s inserts', v.grantees),
           format('REVOKE UPDATE ON SEQUENCE %I.%I FROM %s CASCADE;', n.nspname, c.relname, v.grantees)
      FROM tables t
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.relation AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
      JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace,
           LATERAL (SELECT tenancy.acl_grantees(c.relacl, c.relowner, ARRAY['UPDATE']) AS grantees) v
     WHERE v.grantees IS NOT NULL
    UNION ALL
    SELECT 'TI406', format('default privileges of %I', pg_get_userbyid(d.defaclrole)) || coalesce(' in schema ' || quote_ident(n.nspname), ''),
           format('%s gets %s on new tables', v.grantees, v.privileges),
           format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE %s ON TABLES FROM %s;', pg_get_userbyid(d.defaclrole),
                  ' IN SCHEMA ' || quote_ident(n.nspname), v.privileges, v.grantees)
      FROM pg_default_acl d CROSS JOIN past p LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace,
           LATERAL (SELECT string_agg(DISTINCT x.privilege_type, ', ') AS privileges,
                           string_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, ', ') AS grantees
                      FROM aclexplode(d.defaclacl) x
                     WHERE x.grantee <> d.defaclrole AND x.privilege_type = ANY (p.privileges)) v
     WHERE d.defaclobjtype = 'r' AND v.grantees IS NOT NULL
       AND (n.oid IS NULL OR n.oid IN (SELECT t.schema FROM tables t))
    UNION ALL
    SELECT 'TI407', 'schema ' || quote_ident(n.nspname), format('%s may make functions and tables here that others'' statements find', v.grantees),
           format('REVOKE CREATE ON SCHEMA %I FROM %s;', n.nspname, v.grantees)
      FROM pg_namespace n CROSS JOIN exposed e,
           LATERAL (SELECT tenancy.acl_grantees(n.nspacl, n.nspowner, ARRAY['CREATE'], e.all_roles) AS grantees) v
     WHERE v.grantees IS NOT NULL
       AND (n.oid IN (SELECT t.schema FROM tables t) OR n.nspname IN ('public', 'tenancy', 'tenancy_mongo')
            OR n.nspname IN (SELECT s.schema_name FROM tenancy.protected_schemas s UNION ALL SELECT s.schema_name FROM tenancy.tenant_systems s)
            OR quote_ident(n.nspname) IN (SELECT btrim(p) FROM pg_db_role_setting s, unnest(s.setconfig) c, string_to_table(substr(c, 13), ',') p
                                           WHERE c ~ '^search_path='))
    UNION ALL
    SELECT 'TI408', 'schema ' || quote_ident(n.nspname),
           format('%s may use it, and it is tenant %L''s%s', v.grantees, s.tenant_id, CASE WHEN t.status <> 'active' THEN ', which is ' || t.status END),
           format('REVOKE ALL ON SCHEMA %I FROM %s;', n.nspname, v.grantees)
      FROM tenancy.tenant_systems s JOIN pg_namespace n ON n.nspname = s.schema_name LEFT JOIN tenancy.tenants t ON t.tenant_id = s.tenant_id,
           LATERAL (SELECT string_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, ', ') AS grantees
                      FROM aclexplode(n.nspacl) x
                     WHERE x.grantee <> n.nspowner
                       AND NOT (t.status = 'active' AND pg_get_userbyid(x.grantee) IN (t.role_name, 'tenancy_service'))) v
     WHERE v.grantees IS NOT NULL AND t.status IS DISTINCT FROM 'provisioning'
    UNION ALL
    SELECT 'TI409', 'parameter ' || a.parname, format('%s may write it', string_agg(DISTINCT g.name, ', ')),
           format('REVOKE %s ON PARAMETER %s FROM %s;', string_agg(DISTINCT x.privilege_type, ', '), a.parname, string_agg(DISTINCT g.quoted, ', '))
      FROM pg_parameter_acl a CROSS JOIN exposed e, LATERAL aclexplode(a.paracl) x,
           LATERAL (SELECT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END AS quoted,
                           CASE x.grantee WHEN 0 THEN 'everybody' ELSE quote_ident(pg_get_userbyid(x.grantee)) END AS name) g
     WHERE x.grantee = ANY (e.tenants)
       AND (a.parname = lower(current_setting('tenancy.context_setting')) OR a.parname ~ '^tenancy'
            OR a.parname IN ('session_replication_role', 'event_triggers', 'lo_compat_privileges', 'allow_system_table_mods',
                             'session_preload_libraries', 'local_preload_libraries', 'shared_preload_libraries', 'dynamic_library_path',
                             'extension_control_path', 'jit_provider', 'archive_library', 'archive_command', 'restore_command',
                             'ssl_passphrase_command'))
     GROUP BY a.parname
    UNION ALL
    SELECT 'TI410', CASE WHEN s.setdatabase = 0 THEN 'all roles' ELSE 'database ' || quote_ident(d.datname) END,
           format('every session starts as tenant %L', substr(c, strpos(c, '=') + 1)),
           CASE WHEN s.setdatabase = 0 THEN format('ALTER ROLE ALL RESET %s;', split_part(c, '=', 1))
                ELSE format('ALTER DATABASE %I RESET %s;', d.datname, split_part(c, '=', 1)) END
      FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c
     WHERE s.setrole = 0 AND (d.oid IS NULL OR d.datname = current_database())
       AND (lower(split_part(c, '=', 1)) = lower(current_setting('tenancy.context_setting')) OR c ~ '^tenancy\.token=') AND c !~ '=$'
    UNION ALL
    SELECT 'TI411', format('function %s', p.oid::regprocedure), format('%s may call it', v.grantees),
           format('REVOKE ALL ON FUNCTION %s FROM %s;', p.oid::regprocedure, v.grantees)
      FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid AND x.extname ~ '^tenancy'
      JOIN pg_proc p ON p.oid = d.objid
      LEFT JOIN pg_init_privs i ON i.classoid = d.classid AND i.objoid = d.objid AND i.objsubid = 0
      CROSS JOIN exposed e,
           LATERAL (SELECT string_agg(DISTINCT CASE n.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(n.grantee)) END, ', ') AS grantees
                      FROM aclexplode(p.proacl) n
                     WHERE n.grantee = ANY (CASE WHEN p.proname IN ('set_tenant', 'clear_tenant', 'set_context', 'issue_token') THEN e.tenants ELSE e.all_roles END)
                       AND NOT EXISTS (SELECT FROM aclexplode(coalesce(i.initprivs, acldefault('f', p.proowner))) o WHERE o.grantee = n.grantee)) v
     WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND v.grantees IS NOT NULL
    UNION ALL
    SELECT 'TI411', format('table %I.%I', n.nspname, c.relname), format('%s has privileges on it', v.grantees),
           format('REVOKE ALL ON %I.%I FROM %s;', n.nspname, c.relname, v.grantees)
      FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid AND x.extname IN ('tenancy', 'tenancy_mongo')
      JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT c.relrowsecurity
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_init_privs i ON i.classoid = d.classid AND i.objoid = d.objid AND i.objsubid = 0
      CROSS JOIN exposed e,
           LATERAL (SELECT string_agg(DISTINCT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END, ', ') AS grantees
                      FROM aclexplode(c.relacl) g
                     WHERE g.grantee = ANY (e.all_roles)
                       AND NOT EXISTS (SELECT FROM aclexplode(i.initprivs) o WHERE o.grantee = g.grantee AND o.privilege_type = g.privilege_type)) v
     WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND v.grantees IS NOT NULL
    UNION ALL
    -- what PostgreSQL or an extension keeps from everybody, since it reads files, rows or statements whosever they are
    SELECT 'TI412', o.kind || ' ' || o.name, format('%s has privileges on it, which everybody has been denied', v.grantees),
           format('REVOKE ALL ON %s %s FROM %s;', upper(o.kind), o.name, v.grantees)
      FROM (SELECT 'function' AS kind, p.oid::regprocedure::text AS name, p.proacl AS acl, i.initprivs
              FROM pg_init_privs i JOIN pg_proc p ON i.classoid = 'pg_proc'::regclass AND p.oid = i.objoid AND p.prokind = 'f'
            UNION ALL
            SELECT 'table', format('%I.%I', n.nspname, c.relname), c.relacl, i.initprivs
              FROM pg_init_privs i JOIN pg_class c ON i.classoid = 'pg_class'::regclass AND c.oid = i.objoid AND i.objsubid = 0
              JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'v')) o
     CROSS JOIN exposed e,
           LATERAL (SELECT string_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, ', ') AS grantees
                      FROM aclexplode(o.acl) x
                     WHERE x.grantee = ANY (e.all_roles)
                       AND NOT EXISTS (SELECT FROM aclexplode(o.initprivs) was
                                        WHERE was.grantee IN (0, x.grantee) AND was.privilege_type = x.privilege_type)) v
     WHERE v.grantees IS NOT NULL AND o.name !~ '^tenancy'
    UNION ALL
    SELECT 'TI413', 'schema ' || quote_ident(n.nspname), format('%s owns it, and may drop what stands in it and make what others'' statements find', quote_ident(r.rolname)),
           format('ALTER SCHEMA %I OWNER TO tenancy_owner;', n.nspname)
      FROM pg_namespace n CROSS JOIN exposed e
      JOIN pg_roles r ON r.oid = CASE pg_get_userbyid(n.nspowner) WHEN 'pg_database_owner'
                                      THEN (SELECT d.datdba FROM pg_database d WHERE d.datname = current_database()) ELSE n.nspowner END
     WHERE r.oid = ANY (e.all_roles) AND NOT r.rolsuper AND n.nspname <> 'public'
       AND (n.oid IN (SELECT t.schema FROM tables t WHERE t.secured)
            OR n.nspname IN (SELECT s.schema_name FROM tenancy.protected_schemas s UNION ALL SELECT s.schema_name FROM tenancy.tenant_systems s))
    UNION ALL
    SELECT 'TI413', 'database ' || quote_ident(d.datname), format('%s owns it, and may drop it', quote_ident(r.rolname)),
           format('ALTER DATABASE %I OWNER TO %I;', d.datname, (SELECT pg_get_userbyid(x.extowner) FROM pg_extension x WHERE x.extname = 'tenancy'))
      FROM pg_database d CROSS JOIN exposed e JOIN pg_roles r ON r.oid = d.datdba
     WHERE d.datname = current_database() AND r.oid = ANY (e.all_roles) AND NOT r.rolsuper
$function$;
COMMENT ON FUNCTION tenancy.report_privileges(tenancy.isolation_table[], tenancy.isolation_role[]) IS 'findings about privileges';
REVOKE ALL ON FUNCTION tenancy.report_privileges(tenancy.isolation_table[], tenancy.isolation_role[]) FROM PUBLIC;

-- TI6xx.  The arguments are for tests.
CREATE FUNCTION tenancy.report_server(version integer DEFAULT current_setting('server_version_num')::integer,
                                      OUT code text, OUT object text, OUT reason text, OUT remedy text) RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT 'TI602', 'server', format('release %s.%s has errors in row-level security that %s.%s mends', version / 10000, version % 10000,
                                     version / 10000, f.minor),
           format('-- Install PostgreSQL %s.%s or later, and restart the server.', version / 10000, f.minor)
      FROM (VALUES (15, 20), (16, 16), (17, 12), (18, 6)) f(major, minor)
     WHERE version / 10000 = f.major AND version % 10000 < f.minor
    UNION ALL
    SELECT 'TI603', 'event trigger tenancy_protect_new_tables',
           CASE WHEN t.oid IS NULL THEN 'it does not exist' WHEN t.evtenabled = 'D' THEN 'it is disabled'
                ELSE 'session_replication_role = replica switches it off' END || '; new tables are not protected',
           CASE WHEN t.oid IS NULL THEN '-- It went with a DROP. Install the extension anew: CREATE EXTENSION tenancy'
                ELSE 'ALTER EVENT TRIGGER tenancy_protect_new_tables ENABLE ALWAYS;' END
      FROM (SELECT) one LEFT JOIN pg_event_trigger t ON t.evtname = 'tenancy_protect_new_tables'
     WHERE t.evtenabled IS DISTINCT FROM 'A'
    UNION ALL
    SELECT 'TI603', format('trigger %I on %I.%I', t.tgname, n.nspname, c.relname), 'it is disabled',
           format('ALTER TABLE %I.%I ENABLE ALWAYS TRIGGER %I;', n.nspname, c.relname, t.tgname)
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE t.tgenabled = 'D'
       AND EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname ~ '^tenancy'
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e')
    UNION ALL
    SELECT 'TI603', 'parameter event_triggers', 'it is off; new tables are not protected', 'ALTER SYSTEM SET event_triggers = on; -- then: SELECT pg_reload_conf();'
     WHERE current_setting('event_triggers', true) = 'off'
    UNION ALL
    SELECT 'TI604', 'publication ' || quote_ident(p.pubname), 'it sends every tenant''s rows, those of new tables and the extension''s own too',
           format(E'DROP PUBLICATION %1$I;\nCREATE PUBLICATION %1$I FOR TABLES IN SCHEMA %2$s WITH (publish = %3$L, publish_via_partition_root = %4$s);',
                  p.pubname, coalesce(s.names, 'public'),
                  concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
                            CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END), p.pubviaroot::text)
      FROM pg_publication p,
           (SELECT string_agg(DISTINCT quote_ident(n.nspname), ', ') AS names
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname !~ '^pg_'
               AND n.nspname NOT IN ('information_schema', 'tenancy', 'tenancy_mongo')) s
     WHERE p.puballtables
    UNION ALL
    SELECT 'TI605', 'role ' || quote_ident(r.rolname), 'it is ' || w.wrong, format('ALTER ROLE %I %s;', r.rolname, w.mends)
      FROM pg_authid r,
           LATERAL (SELECT string_agg(v.wrong, ', '), string_agg(v.mends, ' ')
                      FROM (VALUES (r.rolsuper, 'SUPERUSER', 'NOSUPERUSER'),
                                   (r.rolbypassrls AND r.rolname <> 'tenancy_mirror', 'BYPASSRLS', 'NOBYPASSRLS'),
                                   (r.rolcreaterole, 'CREATEROLE', 'NOCREATEROLE'), (r.rolreplication, 'REPLICATION', 'NOREPLICATION'),
                                   (r.rolcanlogin AND r.rolname <> 'tenancy_mirror', 'LOGIN', 'NOLOGIN'),
                                   (r.rolname = 'tenancy_mirror' AND r.rolconnlimit <> 0, 'open to connections', 'CONNECTION LIMIT 0'),
                                   (r.rolname = 'tenancy_mirror' AND r.rolpassword IS NOT NULL, 'given a password', 'PASSWORD NULL'))
                             v(bad, wrong, mends) WHERE v.bad) w(wrong, mends)
     WHERE r.rolname IN ('tenancy_owner', 'tenancy_service', 'tenancy_mirror') AND w.wrong IS NOT NULL
    UNION ALL
    SELECT 'TI606', 'parameter ' || s.name, 'large objects are open to everybody', format('ALTER SYSTEM SET %s = off; -- then: SELECT pg_reload_conf();', s.name)
      FROM pg_settings s WHERE s.name = 'lo_compat_privileges' AND s.setting = 'on'
    UNION ALL
    SELECT 'TI607', format('view %I.%I', n.nspname, c.relname), 'tenants that share a login see the text of each other''s statements',
           format('REVOKE SELECT ON %I.%I FROM PUBLIC;', n.nspname, c.relname)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relname = 'pg_stat_statements' AND c.relkind = 'v'
       AND EXISTS (SELECT FROM aclexplode(c.relacl) x WHERE x.grantee = 0)
$function$;
COMMENT ON FUNCTION tenancy.report_server(integer) IS 'findings about the server and the database';
REVOKE ALL ON FUNCTION tenancy.report_server(integer) FROM PUBLIC;

CREATE FUNCTION tenancy.isolation_report(OUT code text, OUT severity text, OUT object text, OUT reason text, OUT remedy text)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp SET jit TO off
    AS $function$
DECLARE
    tables tenancy.isolation_table[];
    roles tenancy.isolation_role[];
BEGIN
    -- What comes below calls the library, which refuses to be loaded late.
    IF NOT 'tenancy' = ANY (string_to_array(translate(current_setting('shared_preload_libraries'), ' "', ''), ',')) THEN
        RETURN QUERY
            SELECT c.code, c.severity, 'server'::text, 'anybody can set a tenant in a session that has not loaded the library yet'::text,
                   '-- postgresql.conf: shared_preload_libraries = ''tenancy''. Restart the server, and ask again.'::text
              FROM tenancy.isolation_codes c WHERE c.code = 'TI601';
        RETURN;
    END IF;

    tables := ARRAY(SELECT t FROM tenancy.isolation_tables() t);
    roles := ARRAY(SELECT r FROM tenancy.isolation_roles(tables) r);
    RETURN QUERY
        SELECT f.code, CASE WHEN a.code IS NULL THEN c.severity ELSE 'accepted' END, f.object,
               f.reason || CASE WHEN a.code IS NULL THEN '' ELSE format('; accepted by %s: %s', quote_ident(a.accepted_by), a.reason) END, f.remedy
          FROM (SELECT * FROM tenancy.report_tables(tables, roles) UNION ALL SELECT * FROM tenancy.report_views(tables, roles)
                UNION ALL SELECT * FROM tenancy.report_functions(tables, roles) UNION ALL SELECT * FROM tenancy.report_policies(tables, roles)
                UNION ALL SELECT * FROM tenancy.report_roles(tables, roles) UNION ALL SELECT * FROM tenancy.report_privileges(tables, roles)
                UNION ALL SELECT * FROM tenancy.report_lures(tables, roles) UNION ALL SELECT * FROM tenancy.report_side_channels(tables, roles)
                UNION ALL SELECT * FROM tenancy.protect_advice() UNION ALL SELECT * FROM tenancy.report_server()) f
          JOIN tenancy.isolation_codes c ON c.code = f.code
          LEFT JOIN tenancy.accepted_findings a ON a.code = f.code AND a.object = f.object
         ORDER BY array_position(ARRAY['error', 'warning', 'notice', 'accepted'], CASE WHEN a.code IS NULL THEN c.severity ELSE 'accepted' END),
                  f.code, f.object;
END
$function$;
COMMENT ON FUNCTION tenancy.isolation_report() IS
    'what is not isolated: code, severity, object, reason, and the statement that mends it';
REVOKE ALL ON FUNCTION tenancy.isolation_report() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.isolation_report() TO pg_monitor;

CREATE FUNCTION tenancy.accept_finding(code text, object text, reason text) RETURNS void
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF NOT EXISTS (SELECT FROM tenancy.isolation_codes c WHERE c.code = accept_finding.code) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('finding "%s" does not exist', accept_finding.code),
            HINT = 'SELECT * FROM tenancy.isolation_codes;';
    END IF;
    IF coalesce(btrim(accept_finding.reason), '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'a finding is accepted for a reason';
    END IF;
    INSERT INTO tenancy.accepted_findings AS a (code, object, reason) VALUES (accept_finding.code, accept_finding.object, accept_finding.reason)
        ON CONFLICT ON CONSTRAINT accepted_findings_pkey
        DO UPDATE SET reason = excluded.reason, accepted_by = excluded.accepted_by, accepted_at = excluded.accepted_at;
END
$function$;
COMMENT ON FUNCTION tenancy.accept_finding(text, text, text) IS
    'answers for a finding, with a reason; to take it back, delete it from accepted_findings';
REVOKE ALL ON FUNCTION tenancy.accept_finding(text, text, text) FROM PUBLIC;
