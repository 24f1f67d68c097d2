
/*
 * schema_drift.sql — how a tenant's schema differs from what its version's script makes.
 *
 * A schema is told as rows, one for each thing that can differ by itself: a column's default apart from its type, a
 * table's FORCE apart from its policies, a grantee apart from the next.  What the version's script would make now is told in
 * the same way, from a schema that is made for the comparison, for the same tenant, and taken back.  Objects are found by
 * their dependency on the schema; nothing here reads a whole catalog.
 */

CREATE FUNCTION tenancy.make_reference(version_id text, tenant_id text, role_name name) RETURNS name
    LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_make_reference';
COMMENT ON FUNCTION tenancy.make_reference(text, text, name) IS
    'makes a version in a schema that its caller takes back; for schema_drift() alone';
REVOKE ALL ON FUNCTION tenancy.make_reference(text, text, name) FROM PUBLIC;

-- With pg_catalog alone in the path every other name is printed with its schema, on both sides alike.
CREATE FUNCTION tenancy.schema_details(schema_name name, OUT kind text, OUT name text, OUT definition text, OUT make_sql text,
                                       OUT drop_sql text) RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH s AS MATERIALIZED (
        SELECT n.oid, n.nspname, n.nspowner, n.nspacl FROM pg_namespace n WHERE n.nspname = schema_details.schema_name),
    member AS MATERIALIZED (
        SELECT d.classid, d.objid FROM s JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = s.oid),
    rel AS MATERIALIZED (
        SELECT c.*, format('%I.%I', s.nspname, c.relname) AS full_name,
               CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS word
          FROM s, member m JOIN pg_class c ON c.oid = m.objid
         WHERE m.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')),
    ind AS MATERIALIZED (
        SELECT x.*, c.relname, c.reloptions, r.full_name AS table_name, format('%I.%I', s.nspname, c.relname) AS full_name,
               EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.conrelid = x.indrelid
                                                     AND k.contype IN ('p', 'u', 'x')) AS is_constraint
          FROM s, rel r JOIN pg_index x ON x.indrelid = r.oid JOIN pg_class c ON c.oid = x.indexrelid),
    att AS MATERIALIZED (
        SELECT a.*, r.full_name, r.relname, r.relkind, format('%I.%I', r.relname, a.attname) AS column_name,
               t.typstorage, t.typcollation, format_type(a.atttypid, a.atttypmod) AS type,
               pg_get_expr(d.adbin, d.adrelid) AS expression
          FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
          JOIN pg_type t ON t.oid = a.atttypid
          LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE r.relkind <> 'S'),
    grants AS (
        SELECT 'schema'::text AS what, 'SCHEMA'::text AS word, quote_ident(s.nspname) AS full_name, s.nspowner AS owner,
               coalesce(s.nspacl, acldefault('n', s.nspowner)) AS acl FROM s
        UNION ALL
        SELECT r.relname, CASE r.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, r.full_name, r.relowner,
               coalesce(r.relacl, acldefault(CASE r.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, r.relowner)) FROM rel r
        UNION ALL
        SELECT p.oid::regprocedure::text, 'FUNCTION', p.oid::regprocedure::text, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
          FROM member m JOIN pg_proc p ON p.oid = m.objid WHERE m.classid = 'pg_proc'::regclass)
    SELECT 'schema owner'::text, 'schema'::text, s.nspowner::regrole::text,
           format('ALTER SCHEMA %I OWNER TO %s', s.nspname, s.nspowner::regrole), NULL::text FROM s
    UNION ALL
    SELECT lower(CASE r.relkind WHEN 'p' THEN 'partitioned table' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE r.word END),
           r.relname, CASE r.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'permanent' END || coalesce(' using ' || a.amname, '')
           || CASE WHEN r.reltablespace <> 0 THEN ' in tablespace ' || r.reltablespace ELSE '' END, NULL, NULL
      FROM rel r LEFT JOIN pg_am a ON a.oid = r.relam
    UNION ALL
    SELECT 'owner', r.relname, r.relowner::regrole::text, format('ALTER %s %s OWNER TO %s', r.word, r.full_name, r.relowner::regrole), NULL FROM rel r
    UNION ALL
    SELECT 'row security', r.relname, CASE WHEN r.relrowsecurity THEN 'enabled' ELSE 'disabled' END,
           format('ALTER TABLE %s %s ROW LEVEL SECURITY', r.full_name, CASE WHEN r.relrowsecurity THEN 'ENABLE' ELSE 'DISABLE' END), NULL
      FROM rel r WHERE r.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'forced row security', r.relname, CASE WHEN r.relforcerowsecurity THEN 'forced' ELSE 'not forced' END,
           format('ALTER TABLE %s %s ROW LEVEL SECURITY', r.full_name, CASE WHEN r.relforcerowsecurity THEN 'FORCE' ELSE 'NO FORCE' END), NULL
      FROM rel r WHERE r.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'replica identity', r.relname, r.relreplident::text || coalesce(' ' || (SELECT i.relname FROM ind i WHERE i.indrelid = r.oid AND i.indisreplident), ''),
           'ALTER TABLE ' || r.full_name || ' REPLICA IDENTITY '
           || CASE r.relreplident WHEN 'd' THEN 'DEFAULT' WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING'
                   ELSE 'USING INDEX ' || (SELECT quote_ident(i.relname) FROM ind i WHERE i.indrelid = r.oid AND i.indisreplident) END, NULL
      FROM rel r WHERE r.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'option', r.relname || ' ' || split_part(o, '=', 1), o, format('ALTER %s %s SET (%s)', r.word, r.full_name, o),
           format('ALTER %s %s RESET (%s)', r.word, r.full_name, split_part(o, '=', 1))
      FROM rel r, unnest(r.reloptions) o
    UNION ALL
    SELECT 'partition key', r.relname, pg_get_partkeydef(r.oid), NULL, NULL FROM rel r WHERE r.relkind = 'p'
    UNION ALL
    SELECT 'parent', format('%s of %s', r.relname, i.inhparent::regclass), coalesce(pg_get_expr(r.relpartbound, r.oid), 'inherits'), NULL, NULL
      FROM rel r JOIN pg_inherits i ON i.inhrelid = r.oid
    UNION ALL
    SELECT 'view definition', r.relname, pg_get_viewdef(r.oid), format('CREATE OR REPLACE VIEW %s%s AS %s', r.full_name, coalesce(' WITH (' || array_to_string(r.reloptions, ', ') || ')', ''), rtrim(pg_get_viewdef(r.oid), ';')),
           format('DROP VIEW %s', r.full_name) FROM rel r WHERE r.relkind IN ('v', 'm')
    UNION ALL
    SELECT 'sequence definition', r.relname, format('%s start %s increment %s from %s to %s cache %s%s', q.seqtypid::regtype, q.seqstart, q.seqincrement,
                  q.seqmin, q.seqmax, q.seqcache, CASE WHEN q.seqcycle THEN ' cycle' ELSE '' END)
           || coalesce(' owned by ' || (SELECT format('%s.%I', d.refobjid::regclass, a.attname) FROM pg_depend d
                 JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')), ''),
           format('ALTER SEQUENCE %s AS %s START %s INCREMENT %s MINVALUE %s MAXVALUE %s CACHE %s %s', r.full_name, q.seqtypid::regtype, q.seqstart,
                  q.seqincrement, q.seqmin, q.seqmax, q.seqcache, CASE WHEN q.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END), NULL
      FROM rel r JOIN pg_sequence q ON q.seqrelid = r.oid
    UNION ALL
    SELECT 'column', a.column_name, a.type,
           CASE WHEN a.relkind IN ('r', 'p') THEN format('ALTER TABLE %s ADD COLUMN %I %s', a.full_name, a.attname, a.type) END, NULL FROM att a
    UNION ALL
    SELECT 'column order', a.relname, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), NULL, NULL FROM att a GROUP BY a.relname
    UNION ALL
    SELECT 'column default', a.column_name, a.expression, format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', a.full_name, a.attname, a.expression),
           format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', a.full_name, a.attname) FROM att a WHERE a.expression IS NOT NULL AND a.attgenerated = ''
    UNION ALL
    SELECT 'column generation', a.column_name, a.expression, NULL, NULL FROM att a WHERE a.attgenerated <> ''
    UNION ALL
    SELECT 'column identity', a.column_name, CASE a.attidentity WHEN 'a' THEN 'always' ELSE 'by default' END,
           format('ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY', a.full_name, a.attname, CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END),
           format('ALTER TABLE %s ALTER COLUMN %I DROP IDENTITY', a.full_name, a.attname) FROM att a WHERE a.attidentity <> ''
    UNION ALL
    SELECT 'column not null', a.column_name, 'not null', format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', a.full_name, a.attname),
           format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', a.full_name, a.attname) FROM att a WHERE a.attnotnull AND a.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'column collation', a.column_name, a.attcollation::regcollation::text, NULL, NULL FROM att a WHERE a.attcollation <> a.typcollation
    UNION ALL
    SELECT 'column storage', a.column_name, a.attstorage::text,
           format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE %s', a.full_name, a.attname,
                  CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'x' THEN 'EXTENDED' ELSE 'MAIN' END), NULL
      FROM att a WHERE a.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'column compression', a.column_name, a.attcompression::text,
           format('ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION %s', a.full_name, a.attname, CASE a.attcompression WHEN 'p' THEN 'pglz' ELSE 'lz4' END),
           format('ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION default', a.full_name, a.attname) FROM att a WHERE a.attcompression <> ''
    UNION ALL
    SELECT 'column statistics', a.column_name, a.attstattarget::text, format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', a.full_name, a.attname, a.attstattarget),
           format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS -1', a.full_name, a.attname) FROM att a WHERE a.attstattarget >= 0
    UNION ALL
    SELECT 'column option', a.column_name || ' ' || split_part(o, '=', 1), o, format('ALTER TABLE %s ALTER COLUMN %I SET (%s)', a.full_name, a.attname, o),
           format('ALTER TABLE %s ALTER COLUMN %I RESET (%s)', a.full_name, a.attname, split_part(o, '=', 1)) FROM att a, unnest(a.attoptions) o
     WHERE o !~ '^pg_' -- a server's own
    UNION ALL
    SELECT 'constraint', format('%s.%I', r.relname, k.conname), pg_get_constraintdef(k.oid)
           || CASE WHEN k.contype <> 'f' AND NOT k.convalidated AND pg_get_constraintdef(k.oid) !~ 'NOT VALID$' THEN ' NOT VALID' ELSE '' END,
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', r.full_name, k.conname, pg_get_constraintdef(k.oid)),
           format('ALTER TABLE %s DROP CONSTRAINT %I', r.full_name, k.conname)
      FROM rel r JOIN pg_constraint k ON k.conrelid = r.oid WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conparentid = 0
    UNION ALL
    SELECT 'index', i.relname, pg_get_indexdef(i.indexrelid), CASE WHEN NOT i.is_constraint THEN pg_get_indexdef(i.indexrelid) END,
           CASE WHEN NOT i.is_constraint THEN format('DROP INDEX %s', i.full_name) END FROM ind i
    UNION ALL
    SELECT 'index state', i.relname, CASE WHEN NOT i.indisvalid OR NOT i.indisready THEN 'invalid' WHEN i.indisclustered THEN 'clustered' ELSE 'valid' END,
           CASE WHEN i.indisclustered THEN format('ALTER TABLE %s CLUSTER ON %I', i.table_name, i.relname) ELSE format('REINDEX INDEX %s', i.full_name) END, NULL
      FROM ind i
    UNION ALL
    SELECT 'policy', format('%s.%I', r.relname, p.polname), x.text, format('CREATE POLICY %I ON %s %s', p.polname, r.full_name, x.text),
           format('DROP POLICY %I ON %s', p.polname, r.full_name)
      FROM rel r JOIN pg_policy p ON p.polrelid = r.oid,
           LATERAL (SELECT CASE WHEN p.polpermissive THEN 'AS PERMISSIVE' ELSE 'AS RESTRICTIVE' END
                           || CASE p.polcmd WHEN 'r' THEN ' FOR SELECT' WHEN 'a' THEN ' FOR INSERT' WHEN 'w' THEN ' FOR UPDATE' WHEN 'd' THEN ' FOR DELETE' ELSE ' FOR ALL' END
                           || ' TO ' || (SELECT string_agg(CASE o WHEN 0 THEN 'PUBLIC' ELSE o::regrole::text END, ', ' ORDER BY o::regrole::text) FROM unnest(p.polroles) o)
                           || coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
                           || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '') AS text) x
    UNION ALL
    SELECT 'trigger', format('%s.%I', r.relname, t.tgname), pg_get_triggerdef(t.oid), pg_get_triggerdef(t.oid), format('DROP TRIGGER %I ON %s', t.tgname, r.full_name)
      FROM rel r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'trigger state', format('%s.%I', r.relname, t.tgname), t.tgenabled::text,
           format('ALTER TABLE %s %s TRIGGER %I', r.full_name, CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END, t.tgname), NULL
      FROM rel r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'rule', format('%s.%I', r.relname, u.rulename), pg_get_ruledef(u.oid) || ' ' || u.ev_enabled::text, pg_get_ruledef(u.oid), format('DROP RULE %I ON %s', u.rulename, r.full_name)
      FROM rel r JOIN pg_rewrite u ON u.ev_class = r.oid WHERE u.rulename <> '_RETURN'
    UNION ALL
    SELECT 'statistics', e.stxname, pg_get_statisticsobjdef(e.oid) || ' target ' || coalesce(e.stxstattarget, -1), pg_get_statisticsobjdef(e.oid), format('DROP STATISTICS %I.%I', s.nspname, e.stxname)
      FROM s, rel r JOIN pg_statistic_ext e ON e.stxrelid = r.oid
    UNION ALL
    SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid) || ' owner ' || p.proowner::regrole, pg_get_functiondef(p.oid),
           format('DROP %s %s', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, p.oid::regprocedure)
      FROM member m JOIN pg_proc p ON p.oid = m.objid WHERE m.classid = 'pg_proc'::regclass AND p.prokind <> 'a'
    UNION ALL
    SELECT 'type', t.typname, CASE t.typtype WHEN 'e' THEN 'enum ' || (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
             WHEN 'd' THEN 'domain ' || format_type(t.typbasetype, t.typtypmod) || CASE WHEN t.typnotnull THEN ' not null' ELSE '' END || coalesce(' default ' || t.typdefault, '')
                  || coalesce(' ' || (SELECT string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid), '')
             WHEN 'c' THEN 'composite ' || (SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0)
             ELSE t.typtype::text END || ' owner ' || t.typowner::regrole, NULL, NULL
      FROM member m JOIN pg_type t ON t.oid = m.objid
     WHERE m.classid = 'pg_type'::regclass AND (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')))
    UNION ALL
    SELECT 'grant', format('%s to %s', g.what, x.grantee), x.privileges, format('GRANT %s ON %s %s TO %s', x.privileges, g.word, g.full_name, x.grantee),
           format('REVOKE ALL ON %s %s FROM %s', g.word, g.full_name, x.grantee)
      FROM grants g, LATERAL (SELECT CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE e.grantee::regrole::text END AS grantee,
                                     string_agg(e.privilege_type || CASE WHEN e.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, ', ' ORDER BY e.privilege_type) AS privileges
                                FROM aclexplode(g.acl) e GROUP BY e.grantee) x
    UNION ALL
    SELECT 'column grant', format('%s to %s', a.column_name, x.grantee), x.privileges,
           (SELECT string_agg(format('GRANT %s (%I) ON %s TO %s', p, a.attname, a.full_name, x.grantee), '; ') FROM unnest(string_to_array(x.privileges, ', ')) p),
           format('REVOKE ALL (%I) ON %s FROM %s', a.attname, a.full_name, x.grantee)
      FROM att a, LATERAL (SELECT CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE e.grantee::regrole::text END AS grantee,
                                  string_agg(e.privilege_type, ', ' ORDER BY e.privilege_type) AS privileges
                             FROM aclexplode(a.attacl) e GROUP BY e.grantee) x
    UNION ALL
    SELECT 'comment', c.what, d.description, format('COMMENT ON %s IS %L', c.what, d.description), format('COMMENT ON %s IS NULL', c.what)
      FROM (SELECT 'pg_namespace'::regclass AS class, s.oid, 0 AS sub, format('SCHEMA %I', s.nspname) AS what FROM s
            UNION ALL SELECT 'pg_class'::regclass, r.oid, 0, r.word || ' ' || r.full_name FROM rel r
            UNION ALL SELECT 'pg_class'::regclass, a.attrelid, a.attnum, format('COLUMN %s.%I', a.full_name, a.attname) FROM att a
            UNION ALL SELECT 'pg_class'::regclass, i.indexrelid, 0, 'INDEX ' || i.full_name FROM ind i
            UNION ALL SELECT 'pg_constraint'::regclass, k.oid, 0, format('CONSTRAINT %I ON %s', k.conname, r.full_name) FROM rel r JOIN pg_constraint k ON k.conrelid = r.oid
            UNION ALL SELECT 'pg_policy'::regclass, p.oid, 0, format('POLICY %I ON %s', p.polname, r.full_name) FROM rel r JOIN pg_policy p ON p.polrelid = r.oid
            UNION ALL SELECT 'pg_trigger'::regclass, t.oid, 0, format('TRIGGER %I ON %s', t.tgname, r.full_name) FROM rel r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
            UNION ALL SELECT 'pg_proc'::regclass, m.objid, 0, 'ROUTINE ' || m.objid::regprocedure FROM member m WHERE m.classid = 'pg_proc'::regclass
           ) c JOIN pg_description d ON d.classoid = c.class AND d.objoid = c.oid AND d.objsubid = c.sub
$function$;
COMMENT ON FUNCTION tenancy.schema_details(name) IS 'everything that a schema consists of, one row for each thing that can differ by itself';
REVOKE ALL ON FUNCTION tenancy.schema_details(name) FROM PUBLIC;

CREATE FUNCTION tenancy.schema_fingerprint(schema_name name) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH told AS (
        SELECT d.kind, d.name, d.definition, i.tenant_id, t.role_name
          FROM tenancy.schema_details(schema_fingerprint.schema_name) d
          LEFT JOIN tenancy.tenant_systems i ON i.schema_name = schema_fingerprint.schema_name
          LEFT JOIN tenancy.tenants t ON t.tenant_id = i.tenant_id
         WHERE d.kind <> 'grant' OR d.name NOT LIKE 'schema to %'),
    line AS (
        SELECT concat_ws(E'\t', kind, name, definition) AS text, tenant_id, role_name FROM told)
    SELECT encode(sha256(convert_to(string_agg(l.text, E'\n' ORDER BY l.text COLLATE "C"), 'UTF8')), 'hex')
      FROM (SELECT replace(replace(replace(text, schema_fingerprint.schema_name, '@schema@'),
                                   coalesce(role_name, '@role@'), '@role@'),
                           coalesce(quote_literal(tenant_id), '@tenant@'), '@tenant@') AS text FROM line) l
$function$;
COMMENT ON FUNCTION tenancy.schema_fingerprint(name) IS
    'a hash of everything that a schema consists of, without its name and its tenant''s; NULL if there is none';
REVOKE ALL ON FUNCTION tenancy.schema_fingerprint(name) FROM PUBLIC;

CREATE FUNCTION tenancy.schema_drift(tenant_id text, system_id text, OUT kind text, OUT name text, OUT expected text, OUT found text,
                                     OUT statement text) RETURNS SETOF record
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
#variable_conflict use_column
DECLARE
    installed record;
    reference name;
    wanted jsonb;
BEGIN
    SELECT i.schema_name, i.version_id, t.role_name, t.status INTO installed
      FROM tenancy.tenant_systems i JOIN tenancy.tenants t ON t.tenant_id = i.tenant_id
     WHERE i.tenant_id = schema_drift.tenant_id AND i.system_id = schema_drift.system_id AND i.schema_name IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('tenant "%s" does not have system "%s"', schema_drift.tenant_id, schema_drift.system_id),
            HINT = format('SELECT system_id, version FROM tenancy.installed_systems WHERE tenant_id = %L;', schema_drift.tenant_id);
    END IF;

    -- What the script makes is looked at and taken back.
    BEGIN
        reference := tenancy.make_reference(installed.version_id, schema_drift.tenant_id, installed.role_name);
        SELECT jsonb_agg(to_jsonb(d)) INTO wanted FROM tenancy.schema_details(reference) d;
        RAISE EXCEPTION USING ERRCODE = 'TN000';
    EXCEPTION WHEN SQLSTATE 'TN000' THEN
        NULL;
    END;

    RETURN QUERY
    WITH w AS (
        SELECT e ->> 'kind' AS kind, e ->> 'name' AS name, e ->> 'definition' AS definition, e ->> 'make_sql' AS make_sql
          FROM jsonb_array_elements(replace(wanted::text, reference, installed.schema_name)::jsonb) e),
    f AS (
        SELECT d.* FROM tenancy.schema_details(installed.schema_name) d)
    SELECT coalesce(w.kind, f.kind), coalesce(w.name, f.name), w.definition, f.definition,
           CASE WHEN w.kind IS NULL THEN f.drop_sql
                WHEN f.kind IS NULL THEN w.make_sql
                WHEN w.kind IN ('constraint', 'index', 'policy', 'trigger', 'rule', 'statistics', 'grant', 'column grant', 'column identity')
                     THEN f.drop_sql || '; ' || w.make_sql
                WHEN w.kind = 'column' THEN format('ALTER TABLE %I.%s', installed.schema_name, split_part(w.name, '.', 1)) || ' ALTER COLUMN '
                     || split_part(w.name, '.', 2) || ' TYPE ' || w.definition
                ELSE w.make_sql END
      FROM w FULL JOIN f ON f.kind = w.kind AND f.name = w.name
     WHERE w.definition IS DISTINCT FROM f.definition
       -- A tenant that is locked out has no USAGE; that is its state, and no drift.
       AND NOT (coalesce(w.kind, f.kind) = 'grant' AND installed.status <> 'active'
                AND coalesce(w.name, f.name) IN ('schema to tenancy_service', 'schema to ' || installed.role_name::text))
     ORDER BY 1, 2;
END
$function$;
COMMENT ON FUNCTION tenancy.schema_drift(text, text) IS
    'the differences between a tenant''s schema and what its version''s script makes, with the statement that mends each';
REVOKE ALL ON FUNCTION tenancy.schema_drift(text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.drifted_schemas(system_id text, OUT tenant_id text, OUT version_id text, OUT schema_name name, OUT fingerprint text,
                                        OUT alike bigint) RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH told AS MATERIALIZED (
        SELECT i.tenant_id, i.version_id, i.schema_name, tenancy.schema_fingerprint(i.schema_name) AS fingerprint
          FROM tenancy.tenant_systems i
         WHERE i.system_id = drifted_schemas.system_id AND i.schema_name IS NOT NULL),
    counted AS (
        SELECT t.*, count(*) OVER (PARTITION BY t.version_id, t.fingerprint) AS alike FROM told t),
    usual AS (
        SELECT DISTINCT ON (c.version_id) c.version_id, c.fingerprint FROM counted c ORDER BY c.version_id, c.alike DESC, c.fingerprint)
    SELECT c.tenant_id, c.version_id, c.schema_name, c.fingerprint, c.alike
      FROM counted c JOIN usual u ON u.version_id = c.version_id
     WHERE c.fingerprint IS DISTINCT FROM u.fingerprint
     ORDER BY c.tenant_id
$function$;
COMMENT ON FUNCTION tenancy.drifted_schemas(text) IS
    'the tenants of a system whose schemas differ from those of most with the same version; schema_drift() tells how';
REVOKE ALL ON FUNCTION tenancy.drifted_schemas(text) FROM PUBLIC;
