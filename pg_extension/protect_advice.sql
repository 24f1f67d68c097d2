
/*
 * protect_advice.sql — constraints that look past policies, and the statements that make them look at one tenant.
 *
 * PostgreSQL checks keys with all rows in view.  A foreign key without the tenant's column lets a row refer to another
 * tenant's, and cascades reach it; its error tells whether a key exists.  So does that of a unique key.
 */

CREATE FUNCTION tenancy.protection("table" oid, OUT tenant_column name, OUT tenant text) RETURNS record
    LANGUAGE c STABLE STRICT SET search_path TO pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'tenancy_protection';
COMMENT ON FUNCTION tenancy.protection(oid) IS
    'how protect() protects a table: by a column, or for a tenant; NULLs if it does not';

-- The tables whose rows are told apart by a column: by that of their protection, else by one called tenant_id.
CREATE FUNCTION tenancy.tenant_columns(OUT relation oid, OUT tenant_column name, OUT attribute smallint, OUT tenant text)
    RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT c.oid, a.attname, a.attnum, p.tenant
      FROM pg_class c
      LEFT JOIN LATERAL tenancy.protection(CASE WHEN c.relrowsecurity THEN c.oid END) p ON true
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND p.tenant IS NULL
                              AND a.attname = coalesce(p.tenant_column, 'tenant_id')
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
       AND (a.attnum IS NOT NULL OR p.tenant IS NOT NULL)
       AND NOT EXISTS (SELECT FROM pg_namespace n
                        WHERE n.oid = c.relnamespace
                          AND (n.nspname ~ '^pg_' OR n.nspname = 'information_schema'
                               OR n.nspname IN ('tenancy', 'tenancy_mongo') AND NOT c.relrowsecurity))
$function$;
COMMENT ON FUNCTION tenancy.tenant_columns() IS
    'the tables that have a tenant''s column, or belong to one tenant';
REVOKE ALL ON FUNCTION tenancy.tenant_columns() FROM PUBLIC;

CREATE FUNCTION tenancy.key_columns(relation oid, key smallint[], prefix text DEFAULT '') RETURNS text
    LANGUAGE c STABLE STRICT
    AS 'MODULE_PATHNAME', 'tenancy_key_columns';
COMMENT ON FUNCTION tenancy.key_columns(oid, smallint[], text) IS 'the columns of a key as SQL, in its order';
REVOKE ALL ON FUNCTION tenancy.key_columns(oid, smallint[], text) FROM PUBLIC;

CREATE FUNCTION tenancy.foreign_key_advice(OUT code text, OUT relation oid, OUT object text, OUT reason text, OUT remedy text)
    RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH tenants AS MATERIALIZED (SELECT * FROM tenancy.tenant_columns()),
    keys AS (
        SELECT c.*, format('%I.%I', cn.nspname, cc.relname) AS child_name, format('%I.%I', pn.nspname, pc.relname) AS parent_name,
               pc.relname AS parent_relname,
               child.tenant_column AS child_column, child.tenant AS child_tenant,
               parent.tenant_column AS parent_column, parent.attribute AS parent_attribute, parent.tenant AS parent_tenant,
               tenancy.key_columns(c.conrelid, c.conkey) AS child_key,
               tenancy.key_columns(c.conrelid, coalesce(c.confdelsetcols, c.conkey)) AS set_key,
               tenancy.key_columns(c.confrelid, c.confkey) AS parent_key
          FROM pg_constraint c
          JOIN tenants parent ON parent.relation = c.confrelid
          JOIN pg_class pc ON pc.oid = c.confrelid JOIN pg_namespace pn ON pn.oid = pc.relnamespace
          JOIN pg_class cc ON cc.oid = c.conrelid JOIN pg_namespace cn ON cn.oid = cc.relnamespace
          LEFT JOIN tenants child ON child.relation = c.conrelid
         WHERE c.contype = 'f' AND c.conparentid = 0
           -- a table that is one tenant's may refer to that tenant's tables; a key that pairs the columns is as it should be
           AND (parent.tenant IS DISTINCT FROM child.tenant
                OR child.attribute IS NOT NULL
                   AND NOT EXISTS (SELECT FROM unnest(c.conkey, c.confkey) k(child_attribute, parent_attribute)
                                    WHERE k.child_attribute = child.attribute AND k.parent_attribute = parent.attribute))
    )
    SELECT 'TI501', k.conrelid, format('constraint %I on %s', k.conname, k.child_name),
           CASE WHEN k.parent_tenant IS NOT NULL THEN format('the key refers to rows of tenant %L', k.parent_tenant)
                ELSE format('a row may refer to another tenant''s row of %s, and the error tells which exist', k.parent_name) END,
           CASE WHEN k.child_column IS NULL OR k.parent_column IS NULL
                THEN format('ALTER TABLE %s DROP CONSTRAINT %I;', k.child_name, k.conname)
                ELSE concat(
                    CASE WHEN NOT EXISTS (SELECT FROM pg_index i
                                           WHERE i.indrelid = k.confrelid AND i.indisunique AND i.indpred IS NULL AND i.indisvalid
                                             AND i.indnkeyatts = cardinality(k.confkey) + 1
                                             AND i.indkey::smallint[] @> (k.confkey || k.parent_attribute))
                         THEN format(E'CREATE UNIQUE INDEX IF NOT EXISTS %I ON %s (%I, %s);\n',
                                     left(k.parent_relname, 40) || '_tenant_' || substr(md5(k.parent_key), 1, 6) || '_key',
                                     k.parent_name, k.parent_column, k.parent_key) END,
                    format(E'ALTER TABLE %s DROP CONSTRAINT %I,\n    ADD CONSTRAINT %I FOREIGN KEY (%I, %s) REFERENCES %s (%I, %s)',
                           k.child_name, k.conname, k.conname, k.child_column, k.child_key, k.parent_name, k.parent_column, k.parent_key),
                    CASE k.confupdtype WHEN 'c' THEN ' ON UPDATE CASCADE' WHEN 'r' THEN ' ON UPDATE RESTRICT' END,
                    CASE k.confdeltype WHEN 'c' THEN ' ON DELETE CASCADE' WHEN 'r' THEN ' ON DELETE RESTRICT'
                                       WHEN 'n' THEN ' ON DELETE SET NULL (' || k.set_key || ')'
                                       WHEN 'd' THEN ' ON DELETE SET DEFAULT (' || k.set_key || ')' END,
                    CASE WHEN k.condeferrable THEN ' DEFERRABLE' END, CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' END,
                    ';') END
      FROM keys k
$function$;
COMMENT ON FUNCTION tenancy.foreign_key_advice() IS 'foreign keys that reach from one tenant''s rows to another''s';
REVOKE ALL ON FUNCTION tenancy.foreign_key_advice() FROM PUBLIC;

CREATE FUNCTION tenancy.unique_key_advice(OUT code text, OUT relation oid, OUT object text, OUT reason text, OUT remedy text)
    RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH keys AS (
        SELECT t.relation, t.tenant_column, c.oid AS constraint_oid, c.conname, c.contype, i.indexrelid, ic.relname AS index_name,
               format('%I.%I', n.nspname, r.relname) AS name,
               -- nobody guesses a uuid, and nobody learns much from a number that a sequence gave
               EXISTS (SELECT FROM pg_attribute a
                        WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::smallint[]) AND a.atttypid = 'uuid'::regtype) AS unguessable,
               i.indnkeyatts = 1
               AND EXISTS (SELECT FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                            WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                              AND (a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) ~ '^nextval\(')) AS generated
          FROM tenancy.tenant_columns() t
          JOIN pg_class r ON r.oid = t.relation AND NOT r.relispartition
          JOIN pg_namespace n ON n.oid = r.relnamespace
          JOIN pg_index i ON i.indrelid = t.relation AND (i.indisunique OR i.indisexclusion)
          JOIN pg_class ic ON ic.oid = i.indexrelid
          LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u', 'x')
         WHERE t.attribute IS NOT NULL
           AND t.attribute <> ALL ((i.indkey::smallint[])[0 : i.indnkeyatts - 1])
    )
    SELECT CASE WHEN k.generated THEN 'TI503' ELSE 'TI502' END, k.relation,
           CASE WHEN k.constraint_oid IS NOT NULL THEN format('constraint %I on %s', k.conname, k.name)
                ELSE format('index %I on %s', k.index_name, k.name) END,
           CASE WHEN k.generated THEN 'the key''s numbers tell how many rows all tenants make'
                ELSE 'a tenant learns from the error whether another one has a value, and cannot use it itself' END,
           CASE WHEN k.constraint_oid IS NOT NULL
                THEN format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s;', k.name, k.conname, k.conname,
                            regexp_replace(pg_get_constraintdef(k.constraint_oid), '\(',
                                           CASE k.contype WHEN 'x' THEN format('(%I WITH =, ', k.tenant_column)
                                                          ELSE format('(%I, ', k.tenant_column) END))
                ELSE format(E'DROP INDEX %s;\n%s;', k.indexrelid::regclass,
                            regexp_replace(pg_get_indexdef(k.indexrelid), '( USING \w+ )\(',
                                           format('\1(%I, ', k.tenant_column))) END
      FROM keys k
     WHERE NOT k.unguessable
$function$;
COMMENT ON FUNCTION tenancy.unique_key_advice() IS 'unique keys that compare one tenant''s rows with another''s';
REVOKE ALL ON FUNCTION tenancy.unique_key_advice() FROM PUBLIC;

CREATE FUNCTION tenancy.protect_advice("table" regclass DEFAULT NULL, OUT code text, OUT object text, OUT reason text, OUT remedy text)
    RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
    SELECT a.code, a.object, a.reason, a.remedy
      FROM (SELECT * FROM tenancy.foreign_key_advice() UNION ALL SELECT * FROM tenancy.unique_key_advice()) a
     WHERE a.relation = "table" OR "table" IS NULL
     ORDER BY a.code, a.object
$function$;
COMMENT ON FUNCTION tenancy.protect_advice(regclass) IS
    'keys of a table, or of all tables, that look past policies, and the statements that make them look at one tenant';
