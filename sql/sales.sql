--
-- sales: sales automation, as a tenant uses it.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE sales_test;
\c sales_test
SET client_min_messages TO warning;
CREATE EXTENSION tenancy_business CASCADE;
-- it needs no other system
SELECT tenancy.assign_tier_system('*', 'sales');
SELECT tenancy.create_tenant('shop-1', 'One'), tenancy.create_tenant('shop-2', 'Two');
SELECT tenant_id, system_id, version, schema_name FROM tenancy.installed_systems ORDER BY 1, 2;
SELECT c.relname, c.relkind, obj_description(c.oid, 'pg_class') AS description
  FROM pg_class c WHERE relnamespace = 'tenant_shop_1_sales'::regnamespace AND relkind IN ('r', 'v') ORDER BY relkind, 1;
CREATE ROLE sales_service IN ROLE tenancy_service;

SET ROLE sales_service;
SET search_path TO tenant_shop_1_sales, public;
SELECT tenancy.set_tenant('shop-1', false);

--
-- Lead management
--
INSERT INTO teams (id, name) VALUES ('00000000-0000-0000-0000-00000000000a', 'North'), ('00000000-0000-0000-0000-00000000000b', 'South');
INSERT INTO team_members (team_id, user_id, role) VALUES
    ('00000000-0000-0000-0000-00000000000a', 'ann', 'manager'), ('00000000-0000-0000-0000-00000000000b', 'bob', 'representative');
INSERT INTO lead_sources (id, name) VALUES ('00000000-0000-0000-0000-0000000000f1', 'fair'), ('00000000-0000-0000-0000-0000000000f2', 'website');
INSERT INTO leads (id, name, status, owner_id, team_id, source_id, created_at, converted_at) VALUES
    ('00000000-0000-0000-0000-000000000001', 'Ada', 'new', 'ann', '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-0000000000f1', '2020-01-01', NULL),
    ('00000000-0000-0000-0000-000000000002', 'Ben', 'contacted', 'ann', '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-0000000000f1', '2020-01-01', NULL),
    ('00000000-0000-0000-0000-000000000003', 'Cy', 'converted', 'ann', '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-0000000000f1', '2020-01-01', '2020-01-11'),
    ('00000000-0000-0000-0000-000000000004', 'Di', 'converted', 'bob', '00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-0000000000f1', '2020-01-01', '2020-01-21'),
    ('00000000-0000-0000-0000-000000000005', 'Ed', 'unqualified', 'bob', '00000000-0000-0000-0000-00000000000b', NULL, '2020-01-01', NULL);
SELECT * FROM lead_funnel ORDER BY source;

--
-- Sales process automation: tasks come by themselves, and the history of a deal
--
SELECT l.name, t.title, t.assignee_id, t.due_at - l.created_at AS due_after, r.name AS rule
  FROM tasks t JOIN leads l ON l.id = t.lead_id JOIN automation_rules r ON r.id = t.rule_id ORDER BY l.name LIMIT 2;
INSERT INTO deals (id, lead_id, stage_id, name, owner_id, team_id, amount, currency, expected_close_date, created_at)
SELECT v.id::uuid, v.lead::uuid, s.id, v.name, v.owner, t.id, v.amount, 'EUR', '2020-04-15', '2020-01-12'
  FROM (VALUES ('00000000-0000-0000-0000-000000000011', '00000000-0000-0000-0000-000000000003', 'Prospecting', 'Anvils', 'ann', 'North', 1000),
               ('00000000-0000-0000-0000-000000000012', '00000000-0000-0000-0000-000000000004', 'Prospecting', 'Bolts', 'bob', 'South', 400),
               ('00000000-0000-0000-0000-000000000013', NULL, 'Negotiation', 'Chains', 'ann', 'North', 600)) v(id, lead, stage, name, owner, team, amount)
  JOIN pipeline_stages s ON s.name = v.stage JOIN teams t ON t.name = v.team;
UPDATE deals SET stage_id = (SELECT id FROM pipeline_stages WHERE name = 'Proposal') WHERE name IN ('Anvils', 'Bolts');
UPDATE deals SET stage_id = (SELECT id FROM pipeline_stages WHERE name = 'Proposal'), amount = 500 WHERE name = 'Bolts';
SELECT d.name, t.title, t.assignee_id, t.done_at FROM tasks t JOIN deals d ON d.id = t.deal_id ORDER BY d.name;
UPDATE deals SET stage_id = (SELECT id FROM pipeline_stages WHERE name = 'Won') WHERE name = 'Anvils';
UPDATE deals SET stage_id = (SELECT id FROM pipeline_stages WHERE name = 'Lost') WHERE name = 'Bolts';
SELECT d.name, s.name AS stage, h.changed_by = session_user AS by_me
  FROM deal_stages h JOIN deals d ON d.id = h.deal_id JOIN pipeline_stages s ON s.id = h.stage_id ORDER BY d.name, h.id;
SELECT name, closed_at IS NOT NULL AS closed FROM deals ORDER BY name;
-- a deal that is taken up again is open
UPDATE deals SET stage_id = (SELECT id FROM pipeline_stages WHERE name = 'Proposal') WHERE name = 'Bolts';
SELECT name, closed_at FROM deals WHERE name = 'Bolts';
UPDATE deals SET stage_id = (SELECT id FROM pipeline_stages WHERE name = 'Lost') WHERE name = 'Bolts';

--
-- Products, their configurations, rules of price
--
INSERT INTO products (id, sku, name, list_price, currency) VALUES
    ('00000000-0000-0000-0000-000000000021', 'ANVIL', 'Anvil', 200, 'EUR'), ('00000000-0000-0000-0000-000000000022', 'CARE', 'Care', 60, 'EUR');
INSERT INTO product_configurations (product_id, name, options, price_adjustment, is_default) VALUES
    ('00000000-0000-0000-0000-000000000021', 'light', '{"kg": 20}', 0, true), ('00000000-0000-0000-0000-000000000021', 'heavy', '{"kg": 60}', 80, false);
INSERT INTO pricing_rules (product_id, name, kind, value, min_quantity, valid, priority) VALUES
    ('00000000-0000-0000-0000-000000000021', 'Dozen', 'percent', 10, 12, '(,)', 1),
    ('00000000-0000-0000-0000-000000000021', 'Hundred', 'fixed_price', 150, 100, '(,)', 2),
    ('00000000-0000-0000-0000-000000000021', 'Long ago', 'amount', 199, 1, '(,2020-01-01)', 9),
    (NULL, 'Everything', 'amount', 5, 1, '(,)', 0);
SELECT sku, configuration, min_quantity, base_price, rule, unit_price FROM price_list ORDER BY sku, configuration, min_quantity;
INSERT INTO deal_items (deal_id, line, product_id, configuration, quantity, unit_price, discount_percent) VALUES
    ('00000000-0000-0000-0000-000000000011', 1, '00000000-0000-0000-0000-000000000021', 'light', 4, 200, 12.5),
    ('00000000-0000-0000-0000-000000000011', 2, '00000000-0000-0000-0000-000000000022', NULL, 5, 60, 0);
SELECT line, quantity, unit_price, discount_percent, amount FROM deal_items ORDER BY line;
SELECT sku, currency, deals, quantity, revenue, average_discount_percent FROM product_sales ORDER BY sku;

--
-- Quotas and targets
--
INSERT INTO periods (id, name, span) VALUES
    ('00000000-0000-0000-0000-000000000031', 'now', daterange(current_date - 10, current_date + 10)),
    ('00000000-0000-0000-0000-000000000032', 'January', '[2020-01-01,2020-02-01)');
INSERT INTO quotas (period_id, team_id, user_id, measure, target, currency, stretch_target) VALUES
    ('00000000-0000-0000-0000-000000000031', '00000000-0000-0000-0000-00000000000a', NULL, 'revenue', 4000, 'EUR', 5000),
    ('00000000-0000-0000-0000-000000000031', '00000000-0000-0000-0000-00000000000a', NULL, 'deals', 2, NULL, NULL),
    ('00000000-0000-0000-0000-000000000031', NULL, 'ann', 'revenue', 500, 'EUR', NULL),
    ('00000000-0000-0000-0000-000000000031', NULL, 'ann', 'deals', 1, NULL, NULL),
    ('00000000-0000-0000-0000-000000000031', NULL, 'bob', 'revenue', 500, 'USD', NULL),
    ('00000000-0000-0000-0000-000000000032', NULL, 'bob', 'leads', 2, NULL, NULL),
    ('00000000-0000-0000-0000-000000000032', '00000000-0000-0000-0000-00000000000a', NULL, 'leads', 4, NULL, NULL);
SELECT period, team, user_id, measure, currency, target, reached, attainment_percent, stretch_target, stretch_percent
  FROM quota_attainment ORDER BY period, team NULLS LAST, user_id, measure;

--
-- Analytics
--
SELECT stage, outcome, currency, deals, amount, expected_amount FROM pipeline_summary ORDER BY position;
SELECT team, user_id, currency, open_deals, won_deals, lost_deals, win_percent, revenue, average_deal FROM team_performance ORDER BY team, user_id;
SELECT stage, entered, moved_on, moved_on_percent FROM stage_conversion ORDER BY position;
SELECT * FROM sales_forecast;

-- another tenant has none of it
SELECT tenancy.clear_tenant();
SELECT tenancy.set_tenant('shop-2', false);
SELECT count(*) FROM deals;
SELECT count(*) FROM team_performance;
SELECT count(*) FROM tenant_shop_2_sales.pipeline_stages;
SELECT tenancy.clear_tenant();

--
-- What is refused
--
\set VERBOSITY terse
SELECT tenancy.set_tenant('shop-1', false);
INSERT INTO leads (name, status) VALUES ('Zoe', 'converted');
INSERT INTO leads (name, converted_at) VALUES ('Zoe', now());
INSERT INTO leads (name) VALUES ('');
INSERT INTO team_members (team_id, user_id) VALUES ('00000000-0000-0000-0000-00000000000b', 'ann');
INSERT INTO deals (stage_id, lead_id, name) SELECT id, '00000000-0000-0000-0000-000000000003', 'Twice' FROM pipeline_stages LIMIT 1;
INSERT INTO deal_items (deal_id, line, product_id, configuration, quantity, unit_price)
VALUES ('00000000-0000-0000-0000-000000000011', 3, '00000000-0000-0000-0000-000000000022', 'light', 1, 1);
INSERT INTO deal_items (deal_id, line, product_id, quantity, unit_price, amount)
VALUES ('00000000-0000-0000-0000-000000000011', 3, '00000000-0000-0000-0000-000000000022', 1, 1, 99);
INSERT INTO pricing_rules (name, kind, value) VALUES ('Too much', 'percent', 101);
INSERT INTO pricing_rules (name, kind, value) VALUES ('Of what?', 'fixed_price', 1);
INSERT INTO product_configurations (product_id, name, is_default) VALUES ('00000000-0000-0000-0000-000000000021', 'other', true);
INSERT INTO periods (name, span) VALUES ('Overlaps', '[2020-01-31,2020-03-01)');
INSERT INTO periods (name, span) VALUES ('Endless', '[2030-01-01,)');
INSERT INTO quotas (period_id, user_id, team_id, target, currency)
SELECT '00000000-0000-0000-0000-000000000032', 'ann', id, 1, 'EUR' FROM teams WHERE name = 'North';
INSERT INTO quotas (period_id, user_id, measure, target, currency) VALUES ('00000000-0000-0000-0000-000000000032', 'ann', 'deals', 1, 'EUR');
INSERT INTO quotas (period_id, user_id, measure, target, stretch_target) VALUES ('00000000-0000-0000-0000-000000000032', 'ann', 'deals', 5, 4);
DELETE FROM pipeline_stages WHERE name = 'Won';
DELETE FROM products WHERE sku = 'ANVIL';
-- a lead may go, its deal stays
DELETE FROM leads WHERE name = 'Cy';
SELECT name, lead_id FROM deals WHERE name = 'Anvils';
RESET ALL;
RESET ROLE;

\c :start_database
DROP DATABASE sales_test;
DROP ROLE sales_service, tenant_shop_1, tenant_shop_2;
