/*
 * Sales: sample data, for version 1.1.0.  Its keys are fixed, so that it can be loaded again and removed.
 */
INSERT INTO teams (id, name, region) VALUES
    ('5a000000-0000-4000-8000-000000000001', 'Sample: Europe', 'EU'),
    ('5a000000-0000-4000-8000-000000000002', 'Sample: America', 'US')
ON CONFLICT DO NOTHING;
INSERT INTO team_members (team_id, user_id, role, joined_on) VALUES
    ('5a000000-0000-4000-8000-000000000001', 'sample-ann', 'manager', current_date - 400),
    ('5a000000-0000-4000-8000-000000000001', 'sample-bob', 'representative', current_date - 300),
    ('5a000000-0000-4000-8000-000000000002', 'sample-cleo', 'representative', current_date - 200)
ON CONFLICT DO NOTHING;

INSERT INTO products (id, sku, name, unit, list_price, currency) VALUES
    ('5a000000-0000-4000-8000-000000000101', 'SAMPLE-ANVIL', 'Anvil', 'piece', 200, 'EUR'),
    ('5a000000-0000-4000-8000-000000000102', 'SAMPLE-CARE', 'Care of anvils', 'year', 60, 'EUR')
ON CONFLICT DO NOTHING;
INSERT INTO product_configurations (product_id, name, options, price_adjustment, is_default) VALUES
    ('5a000000-0000-4000-8000-000000000101', 'light', '{"weight_kg": 20}', 0, true),
    ('5a000000-0000-4000-8000-000000000101', 'heavy', '{"weight_kg": 60, "horn": true}', 80, false)
ON CONFLICT DO NOTHING;
INSERT INTO pricing_rules (id, product_id, name, kind, value, min_quantity, priority) VALUES
    ('5a000000-0000-4000-8000-000000000201', '5a000000-0000-4000-8000-000000000101', 'Sample: by the dozen', 'percent', 10, 12, 1),
    ('5a000000-0000-4000-8000-000000000202', '5a000000-0000-4000-8000-000000000101', 'Sample: by the hundred', 'fixed_price',
     150, 100, 2)
ON CONFLICT DO NOTHING;

INSERT INTO lead_sources (id, name) VALUES
    ('5a000000-0000-4000-8000-000000000301', 'Sample: fair'),
    ('5a000000-0000-4000-8000-000000000302', 'Sample: website')
ON CONFLICT DO NOTHING;
INSERT INTO leads (id, name, company, email, status, owner_id, team_id, source_id, estimated_value, currency, customer_id, created_at,
                   converted_at)
VALUES
    ('5a000000-0000-4000-8000-000000000401', 'Ada Forge', 'Anvils Ltd', 'ada@sample.example', 'converted', 'sample-ann',
     '5a000000-0000-4000-8000-000000000001', '5a000000-0000-4000-8000-000000000301', 10000, 'EUR',
     '5a000000-0000-4000-8000-000000000101', now() - interval '40 days', now() - interval '30 days'),
    ('5a000000-0000-4000-8000-000000000402', 'Ben Hammer', 'Hammers SA', 'ben@sample.example', 'qualified', 'sample-bob',
     '5a000000-0000-4000-8000-000000000001', '5a000000-0000-4000-8000-000000000302', 5000, 'EUR',
     NULL, now() - interval '9 days', NULL),
    ('5a000000-0000-4000-8000-000000000403', 'Carla Brook', 'Brook Inc', 'carla@sample.example', 'new', 'sample-cleo',
     '5a000000-0000-4000-8000-000000000002', '5a000000-0000-4000-8000-000000000302', NULL, 'USD',
     NULL, now() - interval '1 day', NULL),
    ('5a000000-0000-4000-8000-000000000404', 'Dora Gate', NULL, 'dora@sample.example', 'unqualified', 'sample-cleo',
     '5a000000-0000-4000-8000-000000000002', NULL, NULL, 'USD', NULL, now() - interval '20 days', NULL)
ON CONFLICT DO NOTHING;
INSERT INTO deals (id, lead_id, stage_id, name, owner_id, team_id, amount, currency, expected_close_date, closed_at,
                   created_at, forecast_category)
SELECT v.id::uuid, v.lead_id::uuid, s.id, v.name, v.owner_id, v.team_id::uuid, v.amount, v.currency,
       current_date + v.expected, CASE WHEN v.outcome <> 'open' THEN now() END, now() - v.age::interval, v.forecast
  FROM (VALUES
            ('5a000000-0000-4000-8000-000000000501', '5a000000-0000-4000-8000-000000000401', 'won', 0, 'A dozen anvils',
             'sample-ann', '5a000000-0000-4000-8000-000000000001', 2160, 'EUR', 0, '30 days', 'closed'),
            ('5a000000-0000-4000-8000-000000000502', '5a000000-0000-4000-8000-000000000402', 'open', 2, 'Anvils for Hammers SA',
             'sample-bob', '5a000000-0000-4000-8000-000000000001', 5000, 'EUR', 40, '8 days', 'best_case'),
            ('5a000000-0000-4000-8000-000000000503', NULL, 'lost', 0, 'Care for Gate', 'sample-cleo',
             '5a000000-0000-4000-8000-000000000002', 600, 'USD', 0, '50 days', 'omitted'),
            ('5a000000-0000-4000-8000-000000000504', NULL, 'won', 0, 'Care for Brook', 'sample-cleo',
             '5a000000-0000-4000-8000-000000000002', 900, 'USD', 0, '25 days', 'closed'))
       AS v (id, lead_id, outcome, place, name, owner_id, team_id, amount, currency, expected, age, forecast)
 CROSS JOIN LATERAL (SELECT id FROM pipeline_stages WHERE outcome = v.outcome ORDER BY position OFFSET v.place LIMIT 1) s
ON CONFLICT DO NOTHING;
INSERT INTO deal_items (deal_id, line, product_id, configuration, quantity, unit_price, discount_percent) VALUES
    ('5a000000-0000-4000-8000-000000000501', 1, '5a000000-0000-4000-8000-000000000101', 'light', 12, 200, 10),
    ('5a000000-0000-4000-8000-000000000502', 1, '5a000000-0000-4000-8000-000000000101', 'heavy', 20, 250, 0),
    ('5a000000-0000-4000-8000-000000000504', 1, '5a000000-0000-4000-8000-000000000102', NULL, 15, 60, 0)
ON CONFLICT DO NOTHING;
INSERT INTO deal_stages (id, deal_id, stage_id, entered_at, changed_by) OVERRIDING SYSTEM VALUE
SELECT -1, '5a000000-0000-4000-8000-000000000502', id, now() - interval '15 days', 'sample'
  FROM pipeline_stages WHERE outcome = 'open' ORDER BY position LIMIT 1
ON CONFLICT DO NOTHING;

-- The period in which today is, a quarter unless the tenant has one.
INSERT INTO periods (id, name, span)
SELECT '5a000000-0000-4000-8000-000000000601', 'Sample: ' || to_char(q.day, 'YYYY "Q"Q'),
       daterange(q.day, (q.day + interval '3 months')::date)
  FROM (SELECT date_trunc('quarter', current_date::timestamp)::date AS day) q
ON CONFLICT DO NOTHING;
INSERT INTO quotas (id, period_id, team_id, user_id, measure, target, currency, stretch_target)
SELECT v.id::uuid, p.id, v.team_id::uuid, v.user_id, v.measure, v.target, v.currency, v.stretch_target
  FROM periods p,
       (VALUES ('5a000000-0000-4000-8000-000000000701', '5a000000-0000-4000-8000-000000000001', NULL, 'revenue', 10000, 'EUR', 12000),
               ('5a000000-0000-4000-8000-000000000702', NULL, 'sample-ann', 'deals', 1, NULL, NULL),
               ('5a000000-0000-4000-8000-000000000703', NULL, 'sample-cleo', 'revenue', 600, 'USD', 1000))
       AS v (id, team_id, user_id, measure, target, currency, stretch_target)
 WHERE p.span @> current_date
ON CONFLICT DO NOTHING;
