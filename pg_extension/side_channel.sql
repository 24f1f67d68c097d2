
/*
 * side_channel.sql — TI7xx: what PostgreSQL shows to everybody, and TI215: what a tenant leaves for others to run.
 *
 * Nothing here is a mistake of the DBA's: PostgreSQL comes so.  These are notices, for whoever lets tenants run SQL of their own.
 */

-- A setting that a role's next session will have: its own here, its own, the database's, everybody's, the server's.
CREATE FUNCTION tenancy.setting_of_role(setting text, role oid) RETURNS text
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT coalesce((SELECT substr(c, strpos(c, '=') + 1)
                       FROM pg_db_role_setting s, unnest(s.setconfig) c
                      WHERE s.setrole IN (0, setting_of_role.role)
                        AND s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
                        AND lower(split_part(c, '=', 1)) = setting_of_role.setting
                      ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1),
                    (SELECT p.reset_val FROM pg_settings p
                      WHERE p.name = setting_of_role.setting AND p.source NOT IN ('database', 'user', 'database user')),
                    (SELECT p.boot_val FROM pg_settings p WHERE p.name = setting_of_role.setting))
$function$;
COMMENT ON FUNCTION tenancy.setting_of_role(text, oid) IS 'the value of a setting with which a role''s next session starts in this database';
REVOKE ALL ON FUNCTION tenancy.setting_of_role(text, oid) FROM PUBLIC;

-- The views and functions of PostgreSQL's that count a table's rows, pages and locks, whosever they are.
CREATE FUNCTION tenancy.open_statistics(OUT object text, OUT is_function boolean) RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT format('pg_catalog.%I', c.relname), false
      FROM pg_class c
     WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'v'
       AND (c.relname IN ('pg_locks', 'pg_stat_database') OR c.relname ~ '^pg_stat(io)?(_xact)?_(all|user|sys)_(tables|indexes|sequences)$')
       AND EXISTS (SELECT FROM aclexplode(c.relacl) x WHERE x.grantee = 0)
    UNION ALL
    SELECT format('pg_catalog.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)), true
      FROM pg_proc p
     WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
       AND (p.proname IN ('pg_lock_status', 'pg_blocking_pids', 'pg_relation_size', 'pg_table_size', 'pg_indexes_size', 'pg_total_relation_size', 'pg_database_size')
            OR p.proname ~ '^pg_stat_get_(xact_)?(numscans|tuples_|live_|dead_|mod_|ins_|blocks_|db_(tuples|blocks|xact)_)')
       AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) x WHERE x.grantee = 0))
$function$;
COMMENT ON FUNCTION tenancy.open_statistics() IS 'PostgreSQL''s own views and functions that count all tenants'' rows and that everybody may read';
REVOKE ALL ON FUNCTION tenancy.open_statistics() FROM PUBLIC;

CREATE FUNCTION tenancy.report_side_channels(tables tenancy.isolation_table[], roles tenancy.isolation_role[],
                                      OUT code text, OUT object text, OUT reason text, OUT remedy text) RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH services AS MATERIALIZED (
        SELECT DISTINCT r.role, quote_ident(r.name) AS name
          FROM unnest(roles) r JOIN pg_roles a ON a.oid = r.role
         WHERE r.service AND a.rolcanlogin AND NOT a.rolsuper
    )
    SELECT 'TI701', 'database ' || quote_ident(current_database()), 'EXPLAIN shows estimates from all rows, and counts those that a policy hides',
           format('ALTER DATABASE %I SET tenancy.hide_plans = on;', current_database())
     WHERE tenancy.setting_of_role('tenancy.hide_plans', 0) <> 'on'
    UNION ALL
    SELECT 'TI702', 'database ' || quote_ident(current_database()), 'everybody may read how many rows, pages and locks a table has',
           string_agg(CASE WHEN s.is_function
                           THEN format(E'REVOKE EXECUTE ON FUNCTION %1$s FROM PUBLIC;\nGRANT EXECUTE ON FUNCTION %1$s TO pg_monitor;', s.object)
                           ELSE format(E'REVOKE SELECT ON %1$s FROM PUBLIC;\nGRANT SELECT ON %1$s TO pg_monitor;', s.object) END, E'\n' ORDER BY s.object)
      FROM tenancy.open_statistics() s HAVING count(*) > 0
    UNION ALL
    SELECT 'TI703', 'role ' || s.name, 'its sessions read the text of each other''s statements in pg_stat_activity',
           format('ALTER ROLE %s SET track_activities = off;', s.name)
      FROM services s WHERE tenancy.setting_of_role('track_activities', s.role) <> 'off'
    UNION ALL
    SELECT 'TI704', 'role ' || s.name, 'it may set a tenant for the session, and leave it on a connection that others get',
           format('ALTER ROLE %s SET tenancy.local_only = on;', s.name)
      FROM services s WHERE tenancy.setting_of_role('tenancy.local_only', s.role) <> 'on'
    UNION ALL
    SELECT 'TI705', 'large objects of ' || s.name,
           format('%s serves every tenant, and each of them can read these: %s', s.name,
                  array_to_string((array_agg(l.oid ORDER BY l.oid))[1:10], ', ') || CASE WHEN count(*) > 10 THEN ', …' ELSE '' END),
           '-- Keep files in a column of type bytea of a protected table, or give each tenant''s large objects to the tenant''s own role.'
      FROM pg_largeobject_metadata l
      JOIN services s ON s.role = l.lomowner OR EXISTS (SELECT FROM aclexplode(l.lomacl) x WHERE x.grantee = s.role)
     GROUP BY s.name
    UNION ALL
    SELECT 'TI706', 'publication ' || quote_ident(p.pubname),
           format('it sends the rows of all tenants, to which policies do not apply: %s',
                  array_to_string((array_agg(DISTINCT t.name))[1:10], ', ') || CASE WHEN count(DISTINCT t.name) > 10 THEN ', …' ELSE '' END),
           '-- For a subscriber of one tenant''s: ALTER PUBLICATION … SET TABLE … WHERE (tenant_id = ''…'')'
      FROM pg_publication p
      JOIN pg_publication_tables g ON g.pubname = p.pubname AND g.rowfilter IS NULL
      JOIN unnest(tables) t ON t.name = format('%I.%I', g.schemaname, g.tablename) AND t.tenant IS NULL
     WHERE NOT p.puballtables
     GROUP BY p.pubname
    UNION ALL
    SELECT 'TI707', format('line %s of pg_hba.conf', h.line_number), 'whoever reaches the server may be any of its users',
           format('-- %s, line %s: replace trust by scram-sha-256 or peer. Then: SELECT pg_reload_conf();', current_setting('hba_file'), h.line_number)
      FROM pg_hba_file_rules h WHERE h.auth_method = 'trust'
$function$;
COMMENT ON FUNCTION tenancy.report_side_channels(tenancy.isolation_table[], tenancy.isolation_role[]) IS
    'findings about what PostgreSQL shows to everybody';
REVOKE ALL ON FUNCTION tenancy.report_side_channels(tenancy.isolation_table[], tenancy.isolation_role[]) FROM PUBLIC;

-- TI215.  Who runs somebody's code gives it what he sees; a view is code as well.
CREATE FUNCTION tenancy.report_lures(tables tenancy.isolation_table[], roles tenancy.isolation_role[],
                                      OUT code text, OUT object text, OUT reason text, OUT remedy text) RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH owners AS MATERIALIZED (
        SELECT r.role, min(quote_ident(r.name)) AS name, min(r.tenant) AS tenant
          FROM unnest(roles) r WHERE r.role <> 0 AND r.tenant IS NOT NULL GROUP BY r.role HAVING NOT bool_or(r.service)
    ),
    -- who is of the same tenant, or could act as the owner anyway
    objects AS (
        SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END AS kind, 'TABLE' AS word,
               format('%I.%I', n.nspname, c.relname) AS name, c.relowner AS owner, c.relacl AS acl, n.oid AS schema
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN owners o ON o.role = c.relowner
         WHERE c.relkind IN ('v', 'm', 'r', 'p', 'f') AND n.nspname !~ '^pg_(temp|toast)'
        UNION ALL
        SELECT 'function', 'ROUTINE', format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), p.proowner,
               coalesce(p.proacl, acldefault('f', p.proowner)), n.oid
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN owners o ON o.role = p.proowner
         WHERE n.nspname !~ '^pg_temp' AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
    ),
    lent AS (
        SELECT b.kind, b.word, b.name, b.owner,
               string_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, ', ') AS grantees
          FROM objects b JOIN owners o ON o.role = b.owner, LATERAL aclexplode(b.acl) x
         WHERE x.grantee <> b.owner
           AND NOT EXISTS (SELECT FROM owners s WHERE s.role = x.grantee AND s.tenant = o.tenant)
           -- whoever is granted it must reach it
           AND EXISTS (SELECT FROM pg_namespace n, LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) u
                        WHERE n.oid = b.schema AND u.privilege_type = 'USAGE' AND u.grantee <> b.owner)
         GROUP BY b.kind, b.word, b.name, b.owner
    )
    SELECT 'TI215', l.kind || ' ' || l.name,
           format('%s made it, and what others do with it runs code of tenant %L', o.name, o.tenant),
           format('REVOKE ALL ON %s %s FROM %s;', l.word, l.name, l.grantees)
      FROM lent l JOIN owners o ON o.role = l.owner
$function$;
COMMENT ON FUNCTION tenancy.report_lures(tenancy.isolation_table[], tenancy.isolation_role[]) IS
    'findings about objects of tenants that others may use';
REVOKE ALL ON FUNCTION tenancy.report_lures(tenancy.isolation_table[], tenancy.isolation_role[]) FROM PUBLIC;
