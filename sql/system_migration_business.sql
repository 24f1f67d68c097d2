--
-- system_migration_business: a system that was updated is the one that is installed new, and one that was rolled back is
-- the old one; nobody loses a row on the way.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE system_migration_test;
\c system_migration_test
SET client_min_messages TO warning;
CREATE EXTENSION tenancy_business CASCADE;
SELECT tenancy.create_tenant('mig-old', 'Updated'), tenancy.create_tenant('mig-new', 'Installed new');
SELECT system_id, version, is_latest, release_notes FROM tenancy.system_versions ORDER BY 1, 2;
SELECT tenancy.install_system('mig-old', system_id, '1.0.0'), tenancy.install_system('mig-new', system_id)
  FROM tenancy.management_systems ORDER BY system_id;
CREATE VIEW place AS
    SELECT tenant_id, system_id, schema_name, version FROM tenancy.installed_systems;

-- whatever can be said about a schema, line by line, without its name and its tenant's
CREATE FUNCTION detail(schema name, tenant text) RETURNS TABLE (kind text, object text, detail text)
    LANGUAGE sql SET search_path TO pg_catalog, pg_temp
    AS $function$
    WITH relation AS (SELECT c.* FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident(detail.schema))),
    line AS (
        SELECT 'relation' AS kind, c.relname::text AS object,
               concat_ws(' ', c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relpersistence,
                         pg_get_userbyid(c.relowner), (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(c.relacl) a),
                         obj_description(c.oid, 'pg_class')) AS detail
          FROM relation c
        UNION ALL
        SELECT 'column', c.relname || '.' || a.attname,
               concat_ws(' ', row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod),
                         a.attnotnull, a.attidentity, a.attgenerated, a.attcollation, a.attstorage, a.attacl,
                         pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
          FROM relation c
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE c.relkind IN ('r', 'v', 'p')
        UNION ALL
        SELECT 'constraint', c.relname || '.' || k.conname,
               concat_ws(' ', pg_get_constraintdef(k.oid), k.convalidated, k.conislocal, obj_description(k.oid, 'pg_constraint'))
          FROM relation c JOIN pg_constraint k ON k.conrelid = c.oid
        UNION ALL
        SELECT 'index', c.relname, concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisreplident)
          FROM relation c JOIN pg_index i ON i.indexrelid = c.oid
        UNION ALL
        SELECT 'trigger', c.relname || '.' || t.tgname, concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
          FROM relation c JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
        UNION ALL
        SELECT 'policy', c.relname || '.' || p.polname,
               concat_ws(' ', p.polcmd, p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, c.oid), '/',
                         pg_get_expr(p.polwithcheck, c.oid))
          FROM relation c JOIN pg_policy p ON p.polrelid = c.oid
        UNION ALL
        SELECT 'view', c.relname, pg_get_viewdef(c.oid) FROM relation c WHERE c.relkind = 'v'
        UNION ALL
        SELECT 'sequence', c.relname,
               concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle)
          FROM relation c JOIN pg_sequence s ON s.seqrelid = c.oid)
    SELECT kind, object, replace(replace(replace(line.detail, detail.schema || '.', ''), quote_literal(detail.tenant), '@tenant@'),
                                 (SELECT role_name FROM tenancy.tenants WHERE tenant_id = detail.tenant) || '=', '@role@=')
      FROM line;
$function$;

-- all rows, but for the keys that a migration makes
CREATE FUNCTION contents(schema name) RETURNS TABLE (relation name, content jsonb)
    LANGUAGE plpgsql AS $function$
BEGIN
    FOR relation IN SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(schema) AND relkind = 'r' ORDER BY 1 LOOP
        RETURN QUERY EXECUTE format('SELECT %L::name, to_jsonb(t) - CASE WHEN %1$L IN (''addresses'', ''opportunity_stages'', '
            '''lead_sources'', ''tags'') THEN ''{id,created_at}'' ELSE ''{source_id,tag_id}'' END::text[] FROM %I.%1$I t', relation, schema);
    END LOOP;
END
$function$;

-- what differs between two tenants, or two moments
CREATE TABLE snapshot (label text, system_id text, kind text, object text, detail text);
CREATE TABLE rows_of (label text, system_id text, relation name, content jsonb);
CREATE PROCEDURE remember(label text) LANGUAGE sql AS $procedure$
    INSERT INTO snapshot SELECT label, p.system_id, d.* FROM place p, detail(p.schema_name, p.tenant_id) d WHERE p.tenant_id = 'mig-old';
    INSERT INTO rows_of SELECT label, p.system_id, c.* FROM place p, contents(p.schema_name) c WHERE p.tenant_id = 'mig-old';
$procedure$;
INSERT INTO snapshot
SELECT 'new', p.system_id, d.* FROM place p, detail(p.schema_name, p.tenant_id) d WHERE p.tenant_id = 'mig-new';
CREATE FUNCTION differences(one text, other text) RETURNS TABLE (side text, system_id text, kind text, object text, detail text)
    LANGUAGE sql AS $function$
    (SELECT one, s.system_id, s.kind, s.object, s.detail FROM snapshot s WHERE label = one
     EXCEPT ALL SELECT one, s.system_id, s.kind, s.object, s.detail FROM snapshot s WHERE label = other)
    UNION ALL
    (SELECT other, s.system_id, s.kind, s.object, s.detail FROM snapshot s WHERE label = other
     EXCEPT ALL SELECT other, s.system_id, s.kind, s.object, s.detail FROM snapshot s WHERE label = one)
    ORDER BY 2, 3, 4, 1;
$function$;
CREATE FUNCTION without_metadata(content jsonb) RETURNS jsonb LANGUAGE sql AS $function$
    SELECT CASE WHEN jsonb_typeof(content -> 'metadata') = 'object' AND content -> 'metadata' ? '1.1.0'
                THEN jsonb_set(content, '{metadata}', coalesce(nullif((content -> 'metadata') - '1.1.0', '{}'), 'null'))
                ELSE content END
$function$;
CREATE FUNCTION row_differences(one text, other text) RETURNS TABLE (side text, system_id text, relation name, content jsonb)
    LANGUAGE sql AS $function$
    (SELECT one, r.system_id, r.relation, r.content FROM rows_of r WHERE label = one
     EXCEPT ALL SELECT one, r.system_id, r.relation, r.content FROM rows_of r WHERE label = other)
    UNION ALL
    (SELECT other, r.system_id, r.relation, r.content FROM rows_of r WHERE label = other
     EXCEPT ALL SELECT other, r.system_id, r.relation, r.content FROM rows_of r WHERE label = one)
    ORDER BY 2, 3, 1, 4;
$function$;

--
-- Rows in version 1.0.0
--
SELECT tenancy.set_tenant('mig-old', false);
SET search_path TO tenant_mig_old_crm, public;
INSERT INTO customers (id, name, relationship_status, address, created_at, updated_at) VALUES
    ('00000000-0000-0000-0000-000000000001', 'Plain', 'lead', '{"street": "1 Road", "city": "York", "country": "GB"}', '2026-01-01', '2026-01-02'),
    ('00000000-0000-0000-0000-000000000002', 'Odd', 'customer', '{"city": "Bonn", "floor": 3, "postal_code": 53111}', '2026-01-01', '2026-01-02'),
    ('00000000-0000-0000-0000-000000000003', 'Empty', 'lead', '{}', '2026-01-01', '2026-01-02'),
    ('00000000-0000-0000-0000-000000000004', 'None', 'lead', NULL, '2026-01-01', '2026-01-02');
INSERT INTO opportunities (id, customer_id, stage_id, name, amount, metadata, created_at, updated_at)
SELECT '00000000-0000-0000-0000-000000000011', '00000000-0000-0000-0000-000000000001', id, 'Deal', 10, '{"mine": 1}', '2026-01-01', '2026-01-02'
  FROM pipeline_stages WHERE name = 'Proposal';
INSERT INTO interactions (customer_id, channel, subject) VALUES ('00000000-0000-0000-0000-000000000001', 'call', 'Called');
SET search_path TO tenant_mig_old_sales, public;
INSERT INTO leads (id, name, source, updated_at) VALUES
    ('00000000-0000-0000-0000-000000000001', 'Ann', 'fair', '2026-01-02'), ('00000000-0000-0000-0000-000000000002', 'Bob', 'fair', '2026-01-02'),
    ('00000000-0000-0000-0000-000000000003', 'Cleo', ' web ', '2026-01-02'), ('00000000-0000-0000-0000-000000000004', 'Dora', NULL, '2026-01-02');
INSERT INTO deals (id, stage_id, name, amount)
SELECT ('00000000-0000-0000-0000-00000000001' || position)::uuid, id, 'In ' || name, 10 FROM pipeline_stages;
INSERT INTO products (id, sku, name, list_price) VALUES ('00000000-0000-0000-0000-000000000021', 'A', 'Anvil', 100);
INSERT INTO pricing_rules (product_id, name, kind, value) VALUES ('00000000-0000-0000-0000-000000000021', 'Ten off', 'percent', 10);
INSERT INTO periods (id, name, span) VALUES ('00000000-0000-0000-0000-000000000031', '2026', '[2026-01-01,2027-01-01)');
INSERT INTO quotas (id, period_id, user_id, target, currency)
VALUES ('00000000-0000-0000-0000-000000000032', '00000000-0000-0000-0000-000000000031', 'ann', 100, 'USD');
SET search_path TO tenant_mig_old_marketing, public;
INSERT INTO contacts (id, email, name, updated_at) VALUES
    ('00000000-0000-0000-0000-000000000001', 'ann@a.example', 'Ann Lee', '2026-01-02'), ('00000000-0000-0000-0000-000000000002', 'b@a.example', 'Bob', '2026-01-02'),
    ('00000000-0000-0000-0000-000000000003', 'c@a.example', 'Cleo  van der Berg', '2026-01-02'), ('00000000-0000-0000-0000-000000000004', 'd@a.example', NULL, '2026-01-02'),
    ('00000000-0000-0000-0000-000000000005', 'e@a.example', ' Eve ', '2026-01-02');
INSERT INTO campaigns (id, name, channel, status, starts_at)
VALUES ('00000000-0000-0000-0000-000000000011', 'Letter', 'email', 'scheduled', '2026-01-01');
INSERT INTO assets (id, name, kind, url, published_at, metadata)
VALUES ('00000000-0000-0000-0000-000000000021', 'Page', 'page', 'https://a.example/1', '2026-01-01', '{"mine": 1}'),
       ('00000000-0000-0000-0000-000000000022', 'Draft', 'page', NULL, NULL, NULL);
INSERT INTO engagements (contact_id, campaign_id, kind) VALUES
    ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000011', 'click'),
    ('00000000-0000-0000-0000-000000000001', NULL, 'visit');
SET search_path TO tenant_mig_old_support, public;
INSERT INTO requesters (id, name) VALUES ('00000000-0000-0000-0000-000000000001', 'Ann');
INSERT INTO tickets (id, requester_id, subject, tags, created_at, status) VALUES
    ('00000000-0000-0000-0000-000000000011', '00000000-0000-0000-0000-000000000001', 'Broken', '{fault,loud}', '2026-01-01', 'pending'),
    ('00000000-0000-0000-0000-000000000012', '00000000-0000-0000-0000-000000000001', 'Quiet', '{}', '2026-01-01', 'new'),
    ('00000000-0000-0000-0000-000000000013', '00000000-0000-0000-0000-000000000001', 'Loud', '{loud}', '2026-01-01', 'new');
INSERT INTO ticket_events (ticket_id, field, old_value, new_value, changed_at) VALUES
    ('00000000-0000-0000-0000-000000000013', 'status', 'new', 'pending', '2026-01-02'),
    ('00000000-0000-0000-0000-000000000013', 'status', 'pending', 'new', '2026-01-05');
INSERT INTO satisfaction_surveys (ticket_id, sent_at, answered_at, score, answers)
VALUES ('00000000-0000-0000-0000-000000000011', '2026-01-01', '2026-01-02', 4, '{"nps": 9, "color": "red"}');
RESET search_path;
SELECT tenancy.clear_tenant();
CALL remember('1.0.0');

--
-- Update: the same as a new installation, and the rows have moved
--
SELECT tenancy.update_system('mig-old', system_id) FROM tenancy.management_systems ORDER BY system_id;
CALL remember('1.1.0');
SELECT count(*) > 1000 AS compared FROM snapshot WHERE label = 'new';
SELECT * FROM differences('new', '1.1.0');
SELECT tenancy.set_tenant('mig-old', false);
SELECT c.name, a.kind, a.street, a.city, a.postal_code, a.country, a.details
  FROM tenant_mig_old_crm.customers c LEFT JOIN tenant_mig_old_crm.addresses a ON a.customer_id = c.id ORDER BY c.id;
SELECT name, relationship_status, status_since = h.changed_at AS since_its_last_change, updated_at AT TIME ZONE 'UTC' AS untouched
  FROM tenant_mig_old_crm.customers c JOIN tenant_mig_old_crm.relationship_history h ON h.customer_id = c.id ORDER BY c.id;
SELECT s.name AS stage, h.entered_at AT TIME ZONE 'UTC' AS entered_at
  FROM tenant_mig_old_crm.opportunity_stages h JOIN tenant_mig_old_crm.pipeline_stages s ON s.id = h.stage_id;
SELECT l.name, s.name AS source FROM tenant_mig_old_sales.leads l LEFT JOIN tenant_mig_old_sales.lead_sources s ON s.id = l.source_id ORDER BY l.id;
SELECT name, forecast_category FROM tenant_mig_old_sales.deals ORDER BY id;
SELECT '[' || given_name || ']' AS given_name, '[' || family_name || ']' AS family_name FROM tenant_mig_old_marketing.contacts ORDER BY id;
SELECT a.name, v.version, v.url FROM tenant_mig_old_marketing.assets a LEFT JOIN tenant_mig_old_marketing.asset_versions v ON v.asset_id = a.id ORDER BY a.id;
SELECT kind, channel FROM tenant_mig_old_marketing.engagements ORDER BY id;
SELECT t.subject, t.waiting, t.waiting_since AT TIME ZONE 'UTC' AS waiting_since, string_agg(g.name, ', ' ORDER BY x.position) AS tags
  FROM tenant_mig_old_support.tickets t LEFT JOIN tenant_mig_old_support.ticket_tags x ON x.ticket_id = t.id
  LEFT JOIN tenant_mig_old_support.tags g ON g.id = x.tag_id GROUP BY t.id ORDER BY t.id;
SELECT score, nps, answers FROM tenant_mig_old_support.satisfaction_surveys;

-- an update to where a system is does nothing
SELECT tenancy.update_system('mig-old', 'crm');

--
-- Rollback at once: nothing has changed
--
SELECT tenancy.clear_tenant();
SELECT tenancy.rollback_system('mig-old', system_id, '1.0.0', force => true) FROM tenancy.management_systems ORDER BY system_id;
CALL remember('back');
SELECT * FROM differences('1.0.0', 'back');
-- no row either, but for what version 1.1.0 knew besides and has put aside
SELECT count(*) AS put_aside FROM rows_of WHERE label = 'back' AND content -> 'metadata' ? '1.1.0';
UPDATE rows_of SET content = without_metadata(content) WHERE label = 'back';
SELECT count(*) > 100 AS compared FROM rows_of WHERE label = 'back';
SELECT * FROM row_differences('1.0.0', 'back');
SELECT tenancy.update_system('mig-old', system_id) FROM tenancy.management_systems ORDER BY system_id;

--
-- Rows that only 1.1.0 can hold outlive a rollback
--
SELECT tenancy.set_tenant('mig-old', false);
SET search_path TO tenant_mig_old_crm, public;
INSERT INTO addresses (customer_id, kind, city) VALUES ('00000000-0000-0000-0000-000000000001', 'billing', 'Leeds'),
    ('00000000-0000-0000-0000-000000000004', 'shipping', 'Hull');
INSERT INTO interactions (customer_id, channel, subject, metadata) VALUES
    ('00000000-0000-0000-0000-000000000001', 'sms', 'Short', '{"mine": 1}'), ('00000000-0000-0000-0000-000000000001', 'video', 'Seen', NULL);
UPDATE opportunities SET probability = 33, lost_reason = 'none yet';
UPDATE opportunities SET stage_id = (SELECT id FROM pipeline_stages WHERE name = 'Negotiation');
SET search_path TO tenant_mig_old_sales, public;
INSERT INTO pricing_rules (product_id, name, kind, value) VALUES ('00000000-0000-0000-0000-000000000021', 'Fixed', 'fixed_price', 70);
UPDATE quotas SET stretch_target = 150;
UPDATE deals SET forecast_category = 'commit' WHERE name = 'In Prospecting';
SET search_path TO tenant_mig_old_marketing, public;
UPDATE campaigns SET status = 'paused';
INSERT INTO asset_versions VALUES ('00000000-0000-0000-0000-000000000021', 2, 'https://a.example/2', '2026-02-01');
UPDATE scoring_rules SET half_life = '30 days' WHERE kind = 'open';
UPDATE contacts SET given_name = 'Mary Ann', family_name = 'Lee' WHERE given_name = 'Ann';
SET search_path TO tenant_mig_old_support, public;
INSERT INTO tickets (requester_id, subject, channel) VALUES ('00000000-0000-0000-0000-000000000001', 'Hello', 'chat');
UPDATE satisfaction_surveys SET nps = 3;
RESET search_path;
SELECT tenancy.clear_tenant();
CALL remember('1.1.0 used');
SELECT tenancy.rollback_system('mig-old', system_id, '1.0.0', force => true) FROM tenancy.management_systems ORDER BY system_id;
CALL remember('back again');
SELECT * FROM differences('1.0.0', 'back again');
SELECT tenancy.set_tenant('mig-old', false);
SELECT name, address FROM tenant_mig_old_crm.customers ORDER BY id;
SELECT channel, subject, metadata FROM tenant_mig_old_crm.interactions ORDER BY subject;
SELECT name, kind, is_active FROM tenant_mig_old_sales.pricing_rules ORDER BY name;
SELECT name, source FROM tenant_mig_old_sales.leads ORDER BY id;
SELECT '[' || name || ']' AS name FROM tenant_mig_old_marketing.contacts ORDER BY id;
SELECT name, url, metadata FROM tenant_mig_old_marketing.assets ORDER BY id;
SELECT subject, channel, tags FROM tenant_mig_old_support.tickets ORDER BY subject;
SELECT score, answers FROM tenant_mig_old_support.satisfaction_surveys;
SELECT tenancy.clear_tenant();
SELECT tenancy.update_system('mig-old', system_id) FROM tenancy.management_systems ORDER BY system_id;
CALL remember('1.1.0 again');
SELECT * FROM differences('new', '1.1.0 again');
SELECT * FROM row_differences('1.1.0 used', '1.1.0 again');

--
-- What holds for every table of every system, installed, updated or rolled back
--
SELECT tenancy.create_tenant('mig-first', 'Has what was first');
SELECT tenancy.install_system('mig-first', system_id, '1.0.0') FROM tenancy.management_systems ORDER BY system_id;
CREATE VIEW tenant_relation AS
    SELECT c.* FROM pg_class c JOIN place p ON c.relnamespace = to_regnamespace(p.schema_name) WHERE c.relkind IN ('r', 'v');
SELECT p.tenant_id, p.system_id, p.version, count(*) FILTER (WHERE c.relkind = 'r') AS tables, count(*) FILTER (WHERE c.relkind = 'v') AS views
  FROM place p JOIN pg_class c ON c.relnamespace = to_regnamespace(p.schema_name) GROUP BY 1, 2, 3 ORDER BY 1, 2;
-- a comment on each table, view and column of a table
SELECT c.oid::regclass FROM tenant_relation c WHERE obj_description(c.oid, 'pg_class') IS NULL;
SELECT c.oid::regclass, a.attname FROM tenant_relation c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relkind = 'r' AND col_description(c.oid, a.attnum) IS NULL;
-- an index for each foreign key, which begins with its first column
SELECT count(*) > 100 AS foreign_keys FROM tenant_relation c JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f';
SELECT k.conrelid::regclass, k.conname FROM tenant_relation c JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f'
 WHERE NOT EXISTS (SELECT FROM pg_index i
                    WHERE i.indrelid = k.conrelid AND i.indisvalid
                      AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', (
                          SELECT attname FROM pg_attribute WHERE attrelid = k.conrelid AND attnum = k.conkey[1])))
                      AND i.indkey[0] = k.conkey[1]);
-- row-level security that binds the owner too, a policy that lets in and one that keeps out
SELECT c.oid::regclass FROM tenant_relation c
 WHERE c.relkind = 'r' AND NOT (c.relrowsecurity AND c.relforcerowsecurity
       AND (SELECT count(*) FILTER (WHERE polpermissive) = 1 AND count(*) FILTER (WHERE NOT polpermissive) = 1 FROM pg_policy WHERE polrelid = c.oid));
-- views with the caller's rights
SELECT c.oid::regclass FROM tenant_relation c WHERE c.relkind = 'v' AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false);
-- usable, and no more
SELECT c.oid::regclass FROM tenant_relation c
 WHERE NOT has_table_privilege('tenancy_service', c.oid, 'SELECT') OR NOT has_table_privilege('tenancy_service', c.oid, 'INSERT')
    OR NOT has_table_privilege('tenancy_service', c.oid, 'UPDATE') OR NOT has_table_privilege('tenancy_service', c.oid, 'DELETE')
    OR has_table_privilege('tenancy_service', c.oid, 'TRUNCATE, REFERENCES, TRIGGER');
-- neither functions nor types of a tenant's own, and no foreign key to another schema
SELECT p.proname FROM pg_proc p JOIN place s ON p.pronamespace = to_regnamespace(s.schema_name);
SELECT t.typname FROM pg_type t JOIN place s ON t.typnamespace = to_regnamespace(s.schema_name) WHERE t.typrelid = 0 AND t.typelem = 0;
SELECT k.conrelid::regclass, k.conname FROM tenant_relation c JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f'
  JOIN pg_class r ON r.oid = k.confrelid WHERE r.relnamespace <> c.relnamespace;
-- money has a precision, and a moment a time zone
SELECT c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod)
  FROM tenant_relation c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relkind = 'r' AND a.atttypid IN ('real'::regtype, 'double precision'::regtype, 'money'::regtype, 'timestamp'::regtype, 'char'::regtype,
                                          'varchar'::regtype, 'bpchar'::regtype, 'json'::regtype)
    OR c.relkind = 'r' AND a.atttypid = 'numeric'::regtype AND a.atttypmod = -1;

-- and schema_drift() finds nothing either
SELECT p.tenant_id, p.system_id, p.version, d.kind, d.name FROM place p, tenancy.schema_drift(p.tenant_id, p.system_id) d ORDER BY 1, 2, 4, 5;
-- nothing of it is on the list of what is not isolated
SELECT count(*) > 0 AS looked FROM tenancy.isolation_report();
SELECT code, severity, object FROM tenancy.isolation_report() WHERE object ~ 'tenant_mig';

\c :start_database
DROP DATABASE system_migration_test;
DROP ROLE tenant_mig_old, tenant_mig_new, tenant_mig_first;
