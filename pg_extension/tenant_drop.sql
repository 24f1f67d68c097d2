
/*
 * tenant_drop.sql — the end of a tenant's life: archived, exported, decommissioned, dropped.
 *
 * Dropping is for ever.  So a tenant must have been archived, which locks it out; exported since then, so that what was
 * exported is what is dropped; and whoever drops it types its identifier again.
 */

CREATE FUNCTION tenancy.archive_tenant(tenant_id text) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$ SELECT tenancy.change_status(tenant_id, 'archived', ARRAY['active', 'suspended', 'inactive']) $function$;
COMMENT ON FUNCTION tenancy.archive_tenant(text) IS 'locks a tenant out for good; its data stays until it is dropped';
REVOKE ALL ON FUNCTION tenancy.archive_tenant(text) FROM PUBLIC;

-- The tenant, locked, if it may be dropped.
CREATE FUNCTION tenancy.check_droppable(tenant_id text) RETURNS tenancy.tenants
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    tenant tenancy.tenants := tenancy.lock_tenant_row(check_droppable.tenant_id);
    bound text;
    mirrored boolean := false;
BEGIN
    IF tenant.status <> 'archived' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('tenant "%s" is %s', tenant.tenant_id, tenant.status),
            DETAIL = 'Only an archived tenant can be dropped.',
            HINT = format('SELECT tenancy.archive_tenant(%L);', tenant.tenant_id);
    END IF;
    IF NOT EXISTS (SELECT FROM tenancy.tenant_exports e
                    WHERE e.tenant_id = tenant.tenant_id AND e.exported_at >= tenant.archived_at AND e.dropped_at IS NULL) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('tenant "%s" has not been exported since it was archived', tenant.tenant_id),
            HINT = format('\copy (SELECT * FROM tenancy.export_tenant(%L)) TO ''%s.jsonl''', tenant.tenant_id, tenant.tenant_id);
    END IF;
    SELECT string_agg(format('"%s"', b.role_name), ', ') INTO bound FROM tenancy.role_bindings b WHERE b.tenant = tenant.tenant_id;
    IF bound IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'dependent_objects_still_exist',
            MESSAGE = format('logins are bound to tenant "%s"', tenant.tenant_id),
            DETAIL = 'They are: ' || bound || '.',
            HINT = 'SELECT tenancy.unbind_role(role_name) FROM tenancy.role_bindings WHERE tenant = ' || quote_literal(tenant.tenant_id) || ';';
    END IF;
    IF to_regclass('tenancy_mongo.registry_tenants') IS NOT NULL THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM tenancy_mongo.registry_tenants r WHERE r.tenant_id = $1)' INTO mirrored USING tenant.tenant_id;
    END IF;
    IF mirrored THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('tenant "%s" is in MongoDB''s registry', tenant.tenant_id),
            DETAIL = 'It would come back from there.',
            HINT = format('In MongoDB: db.getSiblingDB("tenant_registry").tenants.deleteOne({tenant_id: "%s"})', tenant.tenant_id);
    END IF;
    RETURN tenant;
END
$function$;
COMMENT ON FUNCTION tenancy.check_droppable(text) IS 'locks a tenant that may be dropped; an error if it may not';
REVOKE ALL ON FUNCTION tenancy.check_droppable(text) FROM PUBLIC;

CREATE FUNCTION tenancy.decommission_tenant(tenant_id text, max_relations integer DEFAULT 1000) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    tenant tenancy.tenants := tenancy.check_droppable(decommission_tenant.tenant_id);
    budget integer := max_relations;
    gone name;
BEGIN
    FOR gone IN SELECT * FROM tenancy.schemas_of_tenant(tenant.tenant_id) s ORDER BY 1 LOOP
        EXIT WHEN budget <= 0;
        budget := budget - tenancy.drop_schema_part(gone, budget);
        IF to_regnamespace(quote_ident(gone)) IS NULL THEN
            DELETE FROM tenancy.tenant_systems i WHERE i.schema_name = gone;
            UPDATE tenancy.archives a SET schema_name = NULL WHERE a.schema_name = gone;
        END IF;
    END LOOP;
    RETURN (SELECT count(*) FROM tenancy.schemas_of_tenant(tenant.tenant_id));
END
$function$;
COMMENT ON FUNCTION tenancy.decommission_tenant(text, integer) IS
    'drops the schemas of an archived tenant, as far as one transaction''s locks go; returns how many are left';
REVOKE ALL ON FUNCTION tenancy.decommission_tenant(text, integer) FROM PUBLIC;

-- Rows that others refer to go last: in each round the tables that no other one left refers to, or one of a circle.
CREATE FUNCTION tenancy.delete_shared_rows(tenant_id text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    tables regclass[];
    columns name[];
    referring regclass[];
    referred regclass[];
    remaining regclass[];
    free regclass[];
    target regclass;
    deleted bigint;
    total bigint := 0;
BEGIN
    SELECT coalesce(array_agg(t.relation), '{}'), array_agg(t.tenant_column) INTO tables, columns FROM tenancy.shared_tables() t;
    SELECT array_agg(c.conrelid), array_agg(c.confrelid) INTO referring, referred
      FROM pg_constraint c WHERE c.contype = 'f' AND c.conrelid = ANY (tables) AND c.confrelid <> c.conrelid;
    remaining := tables;
    WHILE cardinality(remaining) > 0 LOOP
        free := ARRAY(SELECT r.relation FROM unnest(remaining) WITH ORDINALITY r(relation, place)
                       WHERE NOT EXISTS (SELECT FROM unnest(referring, referred) k(referring, referred)
                                          WHERE k.referred = r.relation AND k.referring = ANY (remaining))
                       ORDER BY r.place);
        IF cardinality(free) = 0 THEN
            free := remaining[1:1];
        END IF;
        FOREACH target IN ARRAY free LOOP
            EXECUTE format('DELETE FROM %s t WHERE t.%I::text = %L', target, columns[array_position(tables, target)],
                           delete_shared_rows.tenant_id);
            GET DIAGNOSTICS deleted = ROW_COUNT;
            total := total + deleted;
        END LOOP;
        remaining := ARRAY(SELECT r.relation FROM unnest(remaining) WITH ORDINALITY r(relation, place)
                            WHERE r.relation <> ALL (free) ORDER BY r.place);
    END LOOP;
    RETURN total;
END
$function$;
COMMENT ON FUNCTION tenancy.delete_shared_rows(text) IS 'deletes a tenant''s rows in the tables that tenants share';
REVOKE ALL ON FUNCTION tenancy.delete_shared_rows(text) FROM PUBLIC;

-- Something in another database, or somebody's object, may hold the role; then it stays, and can do nothing.
CREATE FUNCTION tenancy.drop_tenant_role(role_name name) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    reason text;
BEGIN
    IF to_regrole(quote_ident(role_name)) IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('REASSIGN OWNED BY %I TO tenancy_owner', role_name);
    EXECUTE format('DROP OWNED BY %I', role_name);
    BEGIN
        EXECUTE format('DROP ROLE %I', role_name);
    EXCEPTION WHEN dependent_objects_still_exist THEN
        GET STACKED DIAGNOSTICS reason = PG_EXCEPTION_DETAIL;
        RAISE WARNING USING
            ERRCODE = 'dependent_objects_still_exist',
            MESSAGE = format('role "%s" stays', role_name),
            DETAIL = reason,
            HINT = format('DROP ROLE %I;', role_name);
    END;
END
$function$;
COMMENT ON FUNCTION tenancy.drop_tenant_role(name) IS 'drops a tenant''s role, unless something else holds it';
REVOKE ALL ON FUNCTION tenancy.drop_tenant_role(name) FROM PUBLIC;

CREATE FUNCTION tenancy.drop_tenant(tenant_id text, confirmation text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    tenant tenancy.tenants;
    schemas_left integer;
BEGIN
    IF drop_tenant.confirmation IS DISTINCT FROM drop_tenant.tenant_id THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('dropping tenant "%s" is not confirmed', drop_tenant.tenant_id),
            HINT = format('Type its identifier twice: SELECT tenancy.drop_tenant(%L, %1$L);', drop_tenant.tenant_id);
    END IF;
    tenant := tenancy.check_droppable(drop_tenant.tenant_id);
    schemas_left := tenancy.decommission_tenant(tenant.tenant_id);
    IF schemas_left > 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'configuration_limit_exceeded',
            MESSAGE = format('tenant "%s" has too many tables to drop in one transaction', tenant.tenant_id),
            HINT = format('Until it returns 0, each in a transaction of its own: SELECT tenancy.decommission_tenant(%L);', tenant.tenant_id);
    END IF;
    PERFORM tenancy.delete_shared_rows(tenant.tenant_id);
    DELETE FROM tenancy.tenant_systems i WHERE i.tenant_id = tenant.tenant_id;
    DELETE FROM tenancy.archives a WHERE a.tenant_id = tenant.tenant_id;
    UPDATE tenancy.tenant_databases d SET tenants = array_remove(d.tenants, tenant.tenant_id)
     WHERE tenant.tenant_id = ANY (d.tenants);
    DELETE FROM tenancy.tenants t WHERE t.tenant_id = tenant.tenant_id;
    PERFORM tenancy.drop_tenant_role(tenant.role_name);
    UPDATE tenancy.tenant_exports e SET dropped_at = now() WHERE e.tenant_id = tenant.tenant_id AND e.dropped_at IS NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.drop_tenant(text, text) IS
    'drops an archived and exported tenant with all that it has; its identifier must be typed twice';
REVOKE ALL ON FUNCTION tenancy.drop_tenant(text, text) FROM PUBLIC;
