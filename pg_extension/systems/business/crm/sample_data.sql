/*
 * CRM: sample data, for version 1.1.0.  Its keys are fixed, so that it can be loaded again and removed.
 */
INSERT INTO teams (id, name, description) VALUES
    ('5a000000-0000-4000-8000-000000000001', 'Sample: North', 'Customers north of the river'),
    ('5a000000-0000-4000-8000-000000000002', 'Sample: South', 'Customers south of the river')
ON CONFLICT DO NOTHING;
INSERT INTO team_members (team_id, user_id, role) VALUES
    ('5a000000-0000-4000-8000-000000000001', 'sample-ann', 'lead'),
    ('5a000000-0000-4000-8000-000000000001', 'sample-bob', 'member'),
    ('5a000000-0000-4000-8000-000000000002', 'sample-cleo', 'lead')
ON CONFLICT DO NOTHING;

INSERT INTO customers (id, kind, name, email, phone, industry, source, owner_id, relationship_status, created_at, status_since)
VALUES
    ('5a000000-0000-4000-8000-000000000101', 'organization', 'Sample Anvils Ltd', 'anvils@sample.example', '+44 20 7946 0101',
     'manufacturing', 'fair', 'sample-ann', 'customer', now() - interval '200 days', now() - interval '90 days'),
    ('5a000000-0000-4000-8000-000000000102', 'organization', 'Sample Bridges AG', 'bridges@sample.example', '+41 44 668 18 00',
     'construction', 'referral', 'sample-bob', 'prospect', now() - interval '60 days', now() - interval '20 days'),
    ('5a000000-0000-4000-8000-000000000103', 'organization', 'Sample Coffee Inc', 'coffee@sample.example', NULL,
     'food', 'website', 'sample-cleo', 'lead', now() - interval '10 days', now() - interval '10 days'),
    ('5a000000-0000-4000-8000-000000000104', 'person', 'Dora Sample', 'dora@sample.example', NULL,
     NULL, 'website', 'sample-cleo', 'lost', now() - interval '150 days', now() - interval '30 days')
ON CONFLICT DO NOTHING;
INSERT INTO addresses (customer_id, kind, street, city, postal_code, country) VALUES
    ('5a000000-0000-4000-8000-000000000101', 'main', '1 Forge Lane', 'Sheffield', 'S1 1AA', 'GB'),
    ('5a000000-0000-4000-8000-000000000101', 'billing', 'PO Box 7', 'Leeds', 'LS1 1AA', 'GB'),
    ('5a000000-0000-4000-8000-000000000102', 'main', 'Seestrasse 5', 'Zürich', '8002', 'CH'),
    ('5a000000-0000-4000-8000-000000000103', 'main', '12 Pike Street', 'Seattle', '98101', 'US')
ON CONFLICT DO NOTHING;
INSERT INTO contacts (id, customer_id, name, position, email, is_primary) VALUES
    ('5a000000-0000-4000-8000-000000000201', '5a000000-0000-4000-8000-000000000101', 'Ada Forge', 'buyer',
     'ada@sample.example', true),
    ('5a000000-0000-4000-8000-000000000202', '5a000000-0000-4000-8000-000000000101', 'Ben Hammer', 'engineer', NULL, false),
    ('5a000000-0000-4000-8000-000000000203', '5a000000-0000-4000-8000-000000000102', 'Carla Brücke', 'director', NULL, true)
ON CONFLICT DO NOTHING;

INSERT INTO pipelines (id, name) VALUES ('5a000000-0000-4000-8000-000000000300', 'Sample')
ON CONFLICT DO NOTHING;
INSERT INTO pipeline_stages (id, pipeline_id, name, position, probability, outcome) VALUES
    ('5a000000-0000-4000-8000-000000000301', '5a000000-0000-4000-8000-000000000300', 'First talk', 1, 20, 'open'),
    ('5a000000-0000-4000-8000-000000000302', '5a000000-0000-4000-8000-000000000300', 'Offer', 2, 50, 'open'),
    ('5a000000-0000-4000-8000-000000000303', '5a000000-0000-4000-8000-000000000300', 'Won', 3, 100, 'won'),
    ('5a000000-0000-4000-8000-000000000304', '5a000000-0000-4000-8000-000000000300', 'Lost', 4, 0, 'lost')
ON CONFLICT DO NOTHING;
INSERT INTO opportunities (id, customer_id, stage_id, name, amount, currency, owner_id, expected_close_date, closed_at,
                           created_at, probability, lost_reason)
VALUES
    ('5a000000-0000-4000-8000-000000000401', '5a000000-0000-4000-8000-000000000101', '5a000000-0000-4000-8000-000000000303',
     'A hundred anvils', 12000, 'GBP', 'sample-ann', NULL, now() - interval '40 days', now() - interval '120 days', NULL, NULL),
    ('5a000000-0000-4000-8000-000000000402', '5a000000-0000-4000-8000-000000000101', '5a000000-0000-4000-8000-000000000302',
     'Maintenance of anvils', 3000, 'GBP', 'sample-ann', current_date + 30, NULL, now() - interval '30 days', 80, NULL),
    ('5a000000-0000-4000-8000-000000000403', '5a000000-0000-4000-8000-000000000102', '5a000000-0000-4000-8000-000000000301',
     'Bolts for a bridge', 45000, 'CHF', 'sample-bob', current_date + 90, NULL, now() - interval '20 days', NULL, NULL),
    ('5a000000-0000-4000-8000-000000000404', '5a000000-0000-4000-8000-000000000104', '5a000000-0000-4000-8000-000000000304',
     'A garden gate', 400, 'EUR', 'sample-cleo', NULL, now() - interval '30 days', now() - interval '80 days', NULL, 'price')
ON CONFLICT DO NOTHING;
INSERT INTO opportunity_stages (id, opportunity_id, stage_id, entered_at, changed_by) OVERRIDING SYSTEM VALUE VALUES
    (-3, '5a000000-0000-4000-8000-000000000401', '5a000000-0000-4000-8000-000000000301', now() - interval '120 days', 'sample'),
    (-2, '5a000000-0000-4000-8000-000000000401', '5a000000-0000-4000-8000-000000000302', now() - interval '100 days', 'sample'),
    (-1, '5a000000-0000-4000-8000-000000000402', '5a000000-0000-4000-8000-000000000301', now() - interval '30 days', 'sample')
ON CONFLICT DO NOTHING;

INSERT INTO interactions (id, customer_id, contact_id, opportunity_id, channel, direction, subject, body, user_id, occurred_at)
VALUES
    ('5a000000-0000-4000-8000-000000000501', '5a000000-0000-4000-8000-000000000101', '5a000000-0000-4000-8000-000000000201',
     '5a000000-0000-4000-8000-000000000401', 'call', 'inbound', 'Asks for anvils', 'A hundred, by spring.', 'sample-ann',
     now() - interval '120 days'),
    ('5a000000-0000-4000-8000-000000000502', '5a000000-0000-4000-8000-000000000101', '5a000000-0000-4000-8000-000000000201',
     '5a000000-0000-4000-8000-000000000401', 'email', 'outbound', 'Our offer', NULL, 'sample-ann', now() - interval '100 days'),
    ('5a000000-0000-4000-8000-000000000503', '5a000000-0000-4000-8000-000000000102', '5a000000-0000-4000-8000-000000000203',
     '5a000000-0000-4000-8000-000000000403', 'video', 'outbound', 'First talk', NULL, 'sample-bob', now() - interval '20 days'),
    ('5a000000-0000-4000-8000-000000000504', '5a000000-0000-4000-8000-000000000103', NULL, NULL, 'social', 'inbound',
     'Likes our beans', NULL, 'sample-cleo', now() - interval '9 days')
ON CONFLICT DO NOTHING;
INSERT INTO team_assignments (id, team_id, customer_id, opportunity_id, role) VALUES
    ('5a000000-0000-4000-8000-000000000601', '5a000000-0000-4000-8000-000000000001',
     '5a000000-0000-4000-8000-000000000101', NULL, 'owner'),
    ('5a000000-0000-4000-8000-000000000602', '5a000000-0000-4000-8000-000000000002',
     NULL, '5a000000-0000-4000-8000-000000000403', 'support')
ON CONFLICT DO NOTHING;
INSERT INTO custom_fields (id, entity, field_key, label, data_type) VALUES
    ('5a000000-0000-4000-8000-000000000701', 'customer', 'sample_employees', 'Employees', 'number')
ON CONFLICT DO NOTHING;
INSERT INTO custom_field_values (field_id, data_type, entity_id, value) VALUES
    ('5a000000-0000-4000-8000-000000000701', 'number', '5a000000-0000-4000-8000-000000000101', '120')
ON CONFLICT DO NOTHING;
