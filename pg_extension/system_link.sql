
/*
 * system_link.sql — references between the systems of one tenant.
 *
 * A row of one system names a row of another: a lead its customer.  A foreign key across the two schemas would chain the
 * systems together, so that neither could be uninstalled, rolled back or moved alone.  A link is the reference without
 * the chain: declared, checked when it is declared, and looked through by broken_links().
 */

CREATE TABLE tenancy.system_links (
    tenant_id varchar(50) COLLATE "C" NOT NULL,
    system_id varchar(50) NOT NULL,
    table_name name NOT NULL,
    column_name name NOT NULL,
    linked_system_id varchar(50) NOT NULL,
    linked_table name NOT NULL,
    linked_column name NOT NULL,
    description text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, system_id, table_name, column_name),
    FOREIGN KEY (tenant_id, system_id) REFERENCES tenancy.tenant_systems (tenant_id, system_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, linked_system_id) REFERENCES tenancy.tenant_systems (tenant_id, system_id) ON DELETE CASCADE,
    CONSTRAINT system_links_other CHECK (system_id <> linked_system_id)
);
CREATE INDEX system_links_linked_idx ON tenancy.system_links (tenant_id, linked_system_id);
COMMENT ON TABLE tenancy.system_links IS 'columns of one system of a tenant that name rows of another';
REVOKE ALL ON tenancy.system_links FROM PUBLIC;
SELECT pg_extension_config_dump('tenancy.system_links', '');

-- The schema of a tenant's system, if "table.column" stands in it.
CREATE FUNCTION tenancy.find_column(tenant_id text, system_id text, path text, OUT schema_name name, OUT table_name name,
                                    OUT column_name name)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    parts text[] := parse_ident(path);
BEGIN
    SELECT i.schema_name INTO schema_name FROM tenancy.tenant_systems i
     WHERE i.tenant_id = find_column.tenant_id AND i.system_id = find_column.system_id AND i.schema_name IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('tenant "%s" does not have system "%s"', find_column.tenant_id, find_column.system_id),
            HINT = format('SELECT tenancy.install_system(%L, %L);', find_column.tenant_id, find_column.system_id);
    END IF;
    table_name := parts[1];
    column_name := parts[2];
    IF cardinality(parts) <> 2
       OR NOT EXISTS (SELECT FROM pg_attribute a
                       WHERE a.attrelid = to_regclass(format('%I.%I', schema_name, table_name))
                         AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_column',
            MESSAGE = format('system "%s" of tenant "%s" has no column "%s"', find_column.system_id, find_column.tenant_id, path),
            HINT = 'A column is told as table.column, for example "leads.customer_id".';
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.find_column(text, text, text) IS 'where a column of a tenant''s system stands; an error if it does not';
REVOKE ALL ON FUNCTION tenancy.find_column(text, text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.link_systems(tenant_id text, system_id text, column_path text, linked_system_id text, linked_path text,
                                     description text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    tenant tenancy.tenants := tenancy.lock_tenant_row(link_systems.tenant_id);
    source record;
    target record;
BEGIN
    IF link_systems.system_id = link_systems.linked_system_id THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'a system cannot be linked to itself',
            DETAIL = 'Within one system a foreign key does that.';
    END IF;
    SELECT * INTO source FROM tenancy.find_column(tenant.tenant_id, link_systems.system_id, column_path);
    SELECT * INTO target FROM tenancy.find_column(tenant.tenant_id, link_systems.linked_system_id, linked_path);
    INSERT INTO tenancy.system_links AS l
        (tenant_id, system_id, table_name, column_name, linked_system_id, linked_table, linked_column, description)
    VALUES (tenant.tenant_id, link_systems.system_id, source.table_name, source.column_name, link_systems.linked_system_id,
            target.table_name, target.column_name, link_systems.description)
    ON CONFLICT ON CONSTRAINT system_links_pkey DO UPDATE
        SET linked_system_id = excluded.linked_system_id, linked_table = excluded.linked_table,
            linked_column = excluded.linked_column, description = excluded.description;
END
$function$;
COMMENT ON FUNCTION tenancy.link_systems(text, text, text, text, text, text) IS
    'says that a column of one system of a tenant names rows of another one';
REVOKE ALL ON FUNCTION tenancy.link_systems(text, text, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.unlink_systems(tenant_id text, system_id text, column_path text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    DELETE FROM tenancy.system_links l
     WHERE l.tenant_id = unlink_systems.tenant_id AND l.system_id = unlink_systems.system_id
       AND ARRAY[l.table_name, l.column_name]::text[] = parse_ident(column_path);
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_object',
            MESSAGE = format('column "%s" of system "%s" is not linked', column_path, unlink_systems.system_id);
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.unlink_systems(text, text, text) IS 'takes a link back';
REVOKE ALL ON FUNCTION tenancy.unlink_systems(text, text, text) FROM PUBLIC;

CREATE FUNCTION tenancy.broken_links(tenant_id text, OUT system_id text, OUT column_path text, OUT linked_system_id text,
                                     OUT linked_path text, OUT missing bigint)
    RETURNS SETOF record
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    link record;
BEGIN
    FOR link IN
        SELECT l.*, s.schema_name, t.schema_name AS linked_schema
          FROM tenancy.system_links l
          JOIN tenancy.tenant_systems s ON s.tenant_id = l.tenant_id AND s.system_id = l.system_id
          JOIN tenancy.tenant_systems t ON t.tenant_id = l.tenant_id AND t.system_id = l.linked_system_id
         WHERE l.tenant_id = broken_links.tenant_id AND s.schema_name IS NOT NULL
         ORDER BY l.system_id, l.table_name, l.column_name
    LOOP
        system_id := link.system_id;
        column_path := format('%I.%I', link.table_name, link.column_name);
        linked_system_id := link.linked_system_id;
        linked_path := format('%I.%I', link.linked_table, link.linked_column);
        -- What is not there at all is missing for every row.
        IF to_regclass(quote_ident(link.linked_schema) || '.' || quote_ident(link.linked_table)) IS NULL THEN
            EXECUTE format('SELECT count(%I) FROM %I.%I', link.column_name, link.schema_name, link.table_name) INTO missing;
        ELSE
            EXECUTE format('SELECT count(*) FROM %1$I.%2$I s WHERE s.%3$I IS NOT NULL AND NOT EXISTS '
                           '(SELECT FROM %4$I.%5$I t WHERE t.%6$I = s.%3$I)', link.schema_name, link.table_name,
                           link.column_name, link.linked_schema, link.linked_table, link.linked_column) INTO missing;
        END IF;
        IF missing > 0 THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END
$function$;
COMMENT ON FUNCTION tenancy.broken_links(text) IS 'the links of a tenant that lead nowhere, and for how many rows';
REVOKE ALL ON FUNCTION tenancy.broken_links(text) FROM PUBLIC;
