/*
 * Marketing: sample data, for version 1.1.0.  Its keys are fixed, so that it can be loaded again and removed.
 */
INSERT INTO contacts (id, email, company, country, customer_id, properties, subscribed_at, unsubscribed_at, given_name, family_name) VALUES
    ('5a000000-0000-4000-8000-000000000101', 'ada@sample.example', 'Anvils Ltd', 'GB', '5a000000-0000-4000-8000-000000000101',
     '{"industry": "manufacturing"}',
     now() - interval '100 days', NULL, 'Ada', 'Forge'),
    ('5a000000-0000-4000-8000-000000000102', 'ben@sample.example', 'Hammers SA', 'FR', NULL, '{"industry": "manufacturing"}',
     now() - interval '90 days', NULL, 'Ben', 'Hammer'),
    ('5a000000-0000-4000-8000-000000000103', 'carla@sample.example', 'Brook Inc', 'US', NULL, '{"industry": "food"}',
     now() - interval '80 days', NULL, 'Carla', 'Brook'),
    ('5a000000-0000-4000-8000-000000000104', 'dora@sample.example', NULL, 'US', NULL, '{}',
     now() - interval '70 days', now() - interval '5 days', 'Dora', 'Gate')
ON CONFLICT DO NOTHING;
INSERT INTO segments (id, name, description, kind, definition) VALUES
    ('5a000000-0000-4000-8000-000000000201', 'Sample: makers', 'people in manufacturing', 'dynamic', '{"industry": "manufacturing"}'),
    ('5a000000-0000-4000-8000-000000000202', 'Sample: friends', 'people whom we know', 'static', NULL)
ON CONFLICT DO NOTHING;
INSERT INTO segment_members (segment_id, contact_id) VALUES
    ('5a000000-0000-4000-8000-000000000202', '5a000000-0000-4000-8000-000000000101'),
    ('5a000000-0000-4000-8000-000000000202', '5a000000-0000-4000-8000-000000000103'),
    ('5a000000-0000-4000-8000-000000000202', '5a000000-0000-4000-8000-000000000104')
ON CONFLICT DO NOTHING;

INSERT INTO campaigns (id, name, channel, goal, status, starts_at, ends_at, budget, currency, owner_id) VALUES
    ('5a000000-0000-4000-8000-000000000301', 'Sample: spring letter', 'email', 'sell anvils', 'completed',
     now() - interval '60 days', now() - interval '30 days', 1000, 'EUR', 'sample-ann'),
    ('5a000000-0000-4000-8000-000000000302', 'Sample: search', 'search', 'be found', 'running',
     now() - interval '40 days', NULL, 2000, 'EUR', 'sample-bob'),
    ('5a000000-0000-4000-8000-000000000303', 'Sample: fair', 'event', 'meet people', 'paused',
     now() + interval '30 days', now() + interval '33 days', 5000, 'EUR', 'sample-ann')
ON CONFLICT DO NOTHING;
INSERT INTO campaign_segments (campaign_id, segment_id) VALUES
    ('5a000000-0000-4000-8000-000000000301', '5a000000-0000-4000-8000-000000000201'),
    ('5a000000-0000-4000-8000-000000000303', '5a000000-0000-4000-8000-000000000202')
ON CONFLICT DO NOTHING;
INSERT INTO assets (id, name, kind, title, tags) VALUES
    ('5a000000-0000-4000-8000-000000000401', 'Sample: letter', 'email', 'Anvils in spring', '{anvil,spring}'),
    ('5a000000-0000-4000-8000-000000000402', 'Sample: landing page', 'page', 'Anvils', '{anvil}'),
    ('5a000000-0000-4000-8000-000000000403', 'Sample: handbook', 'document', 'How to choose an anvil', '{anvil,guide}')
ON CONFLICT DO NOTHING;
INSERT INTO asset_versions (asset_id, version, url, published_at) VALUES
    ('5a000000-0000-4000-8000-000000000402', 1, 'https://sample.example/anvils', now() - interval '100 days'),
    ('5a000000-0000-4000-8000-000000000402', 2, 'https://sample.example/anvils-2', now() - interval '50 days'),
    ('5a000000-0000-4000-8000-000000000403', 1, 'https://sample.example/handbook.pdf', now() - interval '50 days')
ON CONFLICT DO NOTHING;
INSERT INTO campaign_assets (campaign_id, asset_id) VALUES
    ('5a000000-0000-4000-8000-000000000301', '5a000000-0000-4000-8000-000000000401'),
    ('5a000000-0000-4000-8000-000000000302', '5a000000-0000-4000-8000-000000000402')
ON CONFLICT DO NOTHING;
INSERT INTO campaign_metrics (campaign_id, day, impressions, clicks, spend) VALUES
    ('5a000000-0000-4000-8000-000000000301', current_date - 59, 1200, 60, 150),
    ('5a000000-0000-4000-8000-000000000301', current_date - 58, 800, 20, 50),
    ('5a000000-0000-4000-8000-000000000302', current_date - 39, 5000, 50, 100)
ON CONFLICT DO NOTHING;

INSERT INTO engagements (id, contact_id, campaign_id, asset_id, kind, occurred_at, channel) OVERRIDING SYSTEM VALUE
SELECT v.id, ('5a000000-0000-4000-8000-0000000001' || v.contact)::uuid, ('5a000000-0000-4000-8000-0000000003' || v.campaign)::uuid,
       ('5a000000-0000-4000-8000-0000000004' || v.asset)::uuid, v.kind, now() - v.age::interval, v.channel
  FROM (VALUES
            (-12, '01', '01', '01', 'sent', '59 days', 'email'), (-11, '02', '01', '01', 'sent', '59 days', 'email'),
            (-10, '01', '01', '01', 'open', '59 days', 'email'), (-9, '01', '01', '01', 'click', '59 days', 'email'),
            (-8, '01', '01', '02', 'visit', '59 days', 'email'), (-7, '02', '01', '01', 'open', '58 days', 'email'),
            (-6, '01', '02', '02', 'visit', '39 days', 'search'), (-5, '01', '02', '03', 'download', '39 days', 'search'),
            (-4, '01', '02', '02', 'form', '38 days', 'search'), (-3, '03', '02', '02', 'visit', '30 days', 'search'),
            (-2, '03', NULL, '02', 'visit', '2 days', 'direct'), (-1, '04', '01', '01', 'unsubscribe', '5 days', 'email'))
       AS v (id, contact, campaign, asset, kind, age, channel)
ON CONFLICT DO NOTHING;

INSERT INTO ab_tests (id, campaign_id, name, hypothesis, started_at, ended_at) VALUES
    ('5a000000-0000-4000-8000-000000000501', '5a000000-0000-4000-8000-000000000301', 'Sample: subject line',
     'A question is opened more often', now() - interval '60 days', now() - interval '59 days')
ON CONFLICT DO NOTHING;
INSERT INTO ab_variants (test_id, variant, asset_id, description, participants, conversions) VALUES
    ('5a000000-0000-4000-8000-000000000501', 'A', '5a000000-0000-4000-8000-000000000401', 'a statement', 1000, 100),
    ('5a000000-0000-4000-8000-000000000501', 'B', '5a000000-0000-4000-8000-000000000401', 'a question', 1000, 140)
ON CONFLICT DO NOTHING;

INSERT INTO conversions (id, contact_id, kind, value, currency, converted_at) VALUES
    ('5a000000-0000-4000-8000-000000000601', '5a000000-0000-4000-8000-000000000101', 'sale', 2160, 'EUR', now() - interval '30 days')
ON CONFLICT DO NOTHING;
INSERT INTO attributions (conversion_id, model, campaign_id, credit) VALUES
    ('5a000000-0000-4000-8000-000000000601', 'first_touch', '5a000000-0000-4000-8000-000000000301', 1),
    ('5a000000-0000-4000-8000-000000000601', 'last_touch', '5a000000-0000-4000-8000-000000000302', 1),
    ('5a000000-0000-4000-8000-000000000601', 'linear', '5a000000-0000-4000-8000-000000000301', 0.4),
    ('5a000000-0000-4000-8000-000000000601', 'linear', '5a000000-0000-4000-8000-000000000302', 0.6)
ON CONFLICT DO NOTHING;
