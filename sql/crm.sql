--
-- crm: the CRM, as a tenant uses it.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE crm_test;
\c crm_test
CREATE EXTENSION tenancy_business CASCADE;
SELECT system_id, name, type, vendor, latest_version FROM tenancy.available_systems ORDER BY 1;
SELECT tenancy.assign_tier_system('*', 'crm');
SELECT tenancy.create_tenant('biz-1', 'One');
SELECT tenancy.create_tenant('biz-2', 'Two');
CREATE ROLE business_service IN ROLE tenancy_service;

-- every item that the documents list under CRM has its tables
SELECT c.relname, c.relkind, obj_description(c.oid, 'pg_class') AS description
  FROM pg_class c WHERE relnamespace = 'tenant_biz_1_crm'::regnamespace AND relkind IN ('r', 'v') ORDER BY relkind, 1;
-- all of them protected and granted, none with a key of somebody else's schema
SELECT count(*) FILTER (WHERE NOT (relrowsecurity AND relforcerowsecurity)) AS unprotected,
       count(*) FILTER (WHERE NOT has_table_privilege('tenancy_service', oid, 'SELECT, INSERT, UPDATE, DELETE')) AS closed,
       count(*) FILTER (WHERE has_table_privilege('tenancy_service', oid, 'TRUNCATE')) AS truncatable
  FROM pg_class WHERE relnamespace = 'tenant_biz_1_crm'::regnamespace AND relkind = 'r';
SELECT count(*) AS foreign_keys, count(*) FILTER (WHERE r.relnamespace <> 'tenant_biz_1_crm'::regnamespace) AS to_elsewhere
  FROM pg_constraint k JOIN pg_class r ON r.oid = k.confrelid
 WHERE k.contype = 'f' AND k.connamespace = 'tenant_biz_1_crm'::regnamespace;
-- and each foreign key an index to be found by
SELECT k.conrelid::regclass, k.conname FROM pg_constraint k
 WHERE k.contype = 'f' AND k.connamespace = 'tenant_biz_1_crm'::regnamespace AND k.confdeltype = 'c'
   AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indkey[0] = k.conkey[1]) ORDER BY 1, 2;

SET ROLE business_service;
SET search_path TO tenant_biz_1_crm, public;
BEGIN;
SELECT tenancy.set_tenant('biz-1');

-- customers, and how the relationship went
INSERT INTO customers (id, name, email, relationship_status)
VALUES ('00000000-0000-0000-0000-000000000001', 'ACME', 'info@acme.example', 'lead'),
       ('00000000-0000-0000-0000-000000000002', 'Bolt', NULL, 'customer');
UPDATE customers SET relationship_status = 'prospect' WHERE name = 'ACME';
UPDATE customers SET relationship_status = 'prospect', phone = '1' WHERE name = 'ACME';
SELECT c.name, h.old_status, h.new_status FROM relationship_history h JOIN customers c ON c.id = h.customer_id ORDER BY h.id;

-- what was said
INSERT INTO contacts (id, customer_id, name, is_primary)
VALUES ('00000000-0000-0000-0000-00000000000c', '00000000-0000-0000-0000-000000000001', 'Ann', true);
INSERT INTO interactions (customer_id, contact_id, channel, direction, subject, occurred_at)
VALUES ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-00000000000c', 'call', 'inbound', 'Asks for a quote', '2026-01-02 10:00+00'),
       ('00000000-0000-0000-0000-000000000001', NULL, 'email', 'outbound', 'The quote', '2026-01-03 10:00+00');

-- what is being sold, through the pipeline that comes with the system
INSERT INTO opportunities (customer_id, stage_id, name, amount, currency)
SELECT '00000000-0000-0000-0000-000000000001', s.id, 'Anvils', 1000, 'EUR' FROM pipeline_stages s WHERE s.name = 'Proposal';
INSERT INTO opportunities (customer_id, stage_id, name, amount, currency)
SELECT '00000000-0000-0000-0000-000000000001', s.id, 'Rockets', 500, 'EUR' FROM pipeline_stages s WHERE s.name = 'Lost';
SELECT name, relationship_status, interactions, last_interaction_at AT TIME ZONE 'UTC' AS last, open_opportunities, open_amount
  FROM customer_overview ORDER BY name;
SELECT stage, outcome, currency, opportunities, amount, expected_amount FROM pipeline_summary ORDER BY position;

-- who looks after whom
WITH team AS (INSERT INTO teams (name) VALUES ('North') RETURNING id),
     member AS (INSERT INTO team_members (team_id, user_id, role) SELECT id, 'ann', 'lead' FROM team)
INSERT INTO team_assignments (team_id, customer_id) SELECT id, '00000000-0000-0000-0000-000000000001' FROM team;
SELECT t.name, a.role, c.name FROM team_assignments a JOIN teams t ON t.id = a.team_id JOIN customers c ON c.id = a.customer_id;

-- fields of the tenant's own, typed
INSERT INTO custom_fields (id, entity, field_key, label, data_type)
VALUES ('00000000-0000-0000-0000-00000000000f', 'customer', 'fleet_size', 'Size of the fleet', 'number');
INSERT INTO custom_field_values (field_id, data_type, entity_id, value)
VALUES ('00000000-0000-0000-0000-00000000000f', 'number', '00000000-0000-0000-0000-000000000001', '12');
SELECT f.label, v.value FROM custom_field_values v JOIN custom_fields f ON f.id = v.field_id;

-- where customers are, how far opportunities have come and how long they stayed
INSERT INTO addresses (customer_id, kind, city, country) VALUES
    ('00000000-0000-0000-0000-000000000001', 'main', 'York', 'GB'), ('00000000-0000-0000-0000-000000000001', 'billing', 'Leeds', 'GB');
UPDATE opportunities SET stage_id = (SELECT id FROM pipeline_stages WHERE name = 'Negotiation'), probability = 90 WHERE name = 'Anvils';
UPDATE opportunities SET lost_reason = 'too loud' WHERE name = 'Rockets';
SELECT name, city, country, status_since IS NOT NULL AS since, open_amount, open_currency FROM customer_overview ORDER BY name;
SELECT stage, currency, opportunities, amount, expected_amount FROM pipeline_summary WHERE opportunities > 0 ORDER BY position;
SELECT stage, entered, moved_on FROM pipeline_velocity ORDER BY position;
-- amounts of two currencies are not added
INSERT INTO opportunities (customer_id, stage_id, name, amount, currency)
SELECT '00000000-0000-0000-0000-000000000001', s.id, 'Springs', 70, 'USD' FROM pipeline_stages s WHERE s.name = 'Proposal';
SELECT name, open_opportunities, open_amount, open_currency FROM customer_overview ORDER BY name;
COMMIT;

-- another tenant has its own CRM, and none of this
RESET search_path;
BEGIN;
SELECT tenancy.set_tenant('biz-2');
SELECT count(*) FROM tenant_biz_2_crm.customers;
SELECT count(*) FROM tenant_biz_1_crm.customers;
SELECT count(*) FROM tenant_biz_1_crm.customer_overview;
SELECT count(*) FROM tenant_biz_2_crm.pipeline_stages;
COMMIT;

--
-- What is refused
--
\set VERBOSITY terse
SET search_path TO tenant_biz_1_crm, public;
SELECT tenancy.set_tenant('biz-1', false);
INSERT INTO customers (name) VALUES ('');
INSERT INTO customers (name, email) VALUES ('Imitator', 'INFO@ACME.example');
INSERT INTO customers (name, relationship_status) VALUES ('Odd', 'enemy');
INSERT INTO interactions (customer_id, channel) VALUES ('00000000-0000-0000-0000-000000000001', 'telepathy');
INSERT INTO contacts (customer_id, name, is_primary) VALUES ('00000000-0000-0000-0000-000000000001', 'Bob', true);
INSERT INTO opportunities (customer_id, stage_id, name, amount) SELECT '00000000-0000-0000-0000-000000000001', id, 'Debt', -1 FROM pipeline_stages;
INSERT INTO team_assignments (team_id) SELECT id FROM teams;
INSERT INTO addresses (customer_id, kind) VALUES ('00000000-0000-0000-0000-000000000001', 'main');
UPDATE opportunities SET probability = 101;
INSERT INTO custom_field_values (field_id, data_type, entity_id, value)
VALUES ('00000000-0000-0000-0000-00000000000f', 'number', '00000000-0000-0000-0000-000000000002', '"many"');
INSERT INTO custom_field_values (field_id, data_type, entity_id, value)
VALUES ('00000000-0000-0000-0000-00000000000f', 'string', '00000000-0000-0000-0000-000000000002', '"many"');
-- a customer takes along what is known of it
DELETE FROM customers WHERE name = 'ACME';
SELECT count(*) FROM interactions;
SELECT count(*) FROM relationship_history;
RESET ALL;
RESET ROLE;

\c :start_database
DROP DATABASE crm_test;
DROP ROLE business_service, tenant_biz_1, tenant_biz_2;
