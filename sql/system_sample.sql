--
-- system_sample: rows to try a system with, and being rid of them.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE system_sample_test;
\c system_sample_test
SET client_min_messages TO warning;
CREATE EXTENSION tenancy_business CASCADE;
SELECT tenancy.create_tenant('try-1', 'One'), tenancy.create_tenant('try-2', 'Two');
SELECT tenancy.install_system(t.tenant_id, s.system_id) FROM tenancy.tenants t, tenancy.management_systems s ORDER BY 1;
SELECT system_id, version, extension FROM tenancy.system_samples ORDER BY 1;

-- how many rows each table or view of a tenant has, as the tenant sees it
CREATE FUNCTION row_counts(tenant text) RETURNS TABLE (system_id text, relation name, is_view boolean, n bigint)
    LANGUAGE plpgsql AS $function$
DECLARE
    known record;
BEGIN
    FOR known IN SELECT i.system_id, i.schema_name, c.relname, c.relkind = 'v' AS is_view
                   FROM tenancy.installed_systems i JOIN pg_class c ON c.relnamespace = to_regnamespace(i.schema_name)
                  WHERE i.tenant_id = tenant AND c.relkind IN ('r', 'v') ORDER BY 1, 2, 3 LOOP
        system_id := known.system_id; relation := known.relname; is_view := known.is_view;
        EXECUTE format('SELECT count(*) FROM %I.%I', known.schema_name, known.relname) INTO n;
        RETURN NEXT;
    END LOOP;
END
$function$;
CREATE TABLE counted (label text, system_id text, relation name, is_view boolean, n bigint);
INSERT INTO counted SELECT 'before', r.* FROM row_counts('try-1') r;

-- the session needs no context, and gets none
SELECT tenancy.load_sample_data('try-1', s.system_id) FROM tenancy.management_systems s ORDER BY s.system_id;
SELECT tenancy.current_tenant();
INSERT INTO counted SELECT 'loaded', r.* FROM row_counts('try-1') r;
-- each table and view has something to show
SELECT system_id, relation FROM counted WHERE label = 'loaded' AND n = 0;
SELECT system_id, count(*) FILTER (WHERE NOT is_view) AS tables, count(*) FILTER (WHERE is_view) AS views, sum(n) FILTER (WHERE NOT is_view) AS rows
  FROM counted WHERE label = 'loaded' GROUP BY 1 ORDER BY 1;
SELECT tenancy.verify_system('try-1', s.system_id) FROM tenancy.management_systems s;
-- samples of different systems know each other
SELECT tenancy.link_systems('try-1', 'sales', 'leads.customer_id', 'crm', 'customers.id');
SELECT tenancy.link_systems('try-1', 'marketing', 'contacts.customer_id', 'crm', 'customers.id');
SELECT tenancy.link_systems('try-1', 'support', 'requesters.customer_id', 'crm', 'customers.id');
SELECT * FROM tenancy.broken_links('try-1');
SELECT c.name, l.name AS lead, m.email AS contact, t.subject AS ticket
  FROM tenant_try_1_crm.customers c JOIN tenant_try_1_sales.leads l ON l.customer_id = c.id
  JOIN tenant_try_1_marketing.contacts m ON m.customer_id = c.id
  JOIN tenant_try_1_support.requesters r ON r.customer_id = c.id JOIN tenant_try_1_support.tickets t ON t.requester_id = r.id ORDER BY t.subject;
-- loaded again it is the same
SELECT tenancy.load_sample_data('try-1', s.system_id) FROM tenancy.management_systems s ORDER BY s.system_id;
INSERT INTO counted SELECT 'again', r.* FROM row_counts('try-1') r;
SELECT a.system_id, a.relation, a.n, b.n FROM counted a JOIN counted b USING (system_id, relation) WHERE a.label = 'loaded' AND b.label = 'again' AND a.n <> b.n;
-- the neighbour has got none of it, and sees none
CREATE ROLE sample_service IN ROLE tenancy_service;
SET ROLE sample_service;
SELECT tenancy.set_tenant('try-2', false);
SELECT count(*) FROM tenant_try_2_crm.customers;
SELECT count(*) FROM tenant_try_1_crm.customers;
SELECT tenancy.clear_tenant();
SELECT tenancy.set_tenant('try-1', false);
SELECT name, city FROM tenant_try_1_crm.customer_overview ORDER BY name;
-- rows of the tenant's own stay
INSERT INTO tenant_try_1_crm.customers (name) VALUES ('Mine');
SELECT tenancy.clear_tenant();
RESET ROLE;
SELECT tenancy.remove_sample_data('try-1', 'crm');
SELECT system_id, column_path, linked_system_id, linked_path, missing FROM tenancy.broken_links('try-1') ORDER BY 1;
SELECT tenancy.remove_sample_data('try-1', s.system_id) FROM tenancy.management_systems s ORDER BY s.system_id;
INSERT INTO counted SELECT 'removed', r.* FROM row_counts('try-1') r;
SELECT a.system_id, a.relation, a.n AS before, b.n AS removed FROM counted a JOIN counted b USING (system_id, relation)
 WHERE a.label = 'before' AND b.label = 'removed' AND NOT a.is_view AND a.n <> b.n ORDER BY 1, 2;
SELECT tenancy.load_sample_data('try-1', 'crm');

--
-- Sample data of one's own, and what is refused
--
SELECT tenancy.register_system('notes', 'Notes', 'notes', 'us');
SELECT tenancy.register_version('notes', '1.0.0', 'CREATE TABLE note (id integer PRIMARY KEY, body text);');
SELECT tenancy.install_system('try-1', 'notes');
SELECT tenancy.load_sample_data('try-1', 'notes');
SELECT tenancy.register_sample_data('notes', '1.0.0', 'INSERT INTO note VALUES (1, @tenant@) ON CONFLICT DO NOTHING;', 'DELETE FROM note WHERE id = 1;');
SELECT tenancy.load_sample_data('try-1', 'notes');
SELECT * FROM tenant_try_1_notes.note;
-- other sample data than it had
SELECT tenancy.register_sample_data('notes', '1.0.0', 'INSERT INTO nowhere VALUES (1);', 'DELETE FROM note WHERE id = 1;');
SELECT tenancy.load_sample_data('try-1', 'notes');
SELECT tenancy.remove_sample_data('try-1', 'notes');
SELECT count(*) FROM tenant_try_1_notes.note;
SELECT tenancy.rollback_system('try-1', 'sales', '1.0.0', force => true);
SELECT tenancy.load_sample_data('try-1', 'sales');
SELECT tenancy.load_sample_data('nobody', 'crm');
SELECT tenancy.load_sample_data('try-2', 'notes');
SELECT tenancy.register_sample_data('nothing', '1.0.0', 'SELECT 1', 'SELECT 1');
SELECT tenancy.register_sample_data('notes', '9.0.0', 'SELECT 1', 'SELECT 1');
SELECT tenancy.register_sample_data('notes', '1.0.0', 'SELCT 1', 'SELECT 1');
SELECT tenancy.register_sample_data('notes', '1.0.0', NULL, 'SELECT 1');
SET ROLE sample_service;
SELECT tenancy.load_sample_data('try-1', 'crm');
SELECT tenancy.remove_sample_data('try-1', 'crm');
SELECT tenancy.register_sample_data('notes', '1.0.0', 'SELECT 1', 'SELECT 1');
SELECT tenancy.run_sample_script('try-1', 'crm', false);
SELECT count(*) FROM tenancy.system_samples;
RESET ROLE;

\c :start_database
DROP DATABASE system_sample_test;
DROP ROLE sample_service, tenant_try_1, tenant_try_2;
