--
-- marketing: marketing automation, as a tenant uses it.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE marketing_test;
\c marketing_test
SET client_min_messages TO warning;
CREATE EXTENSION tenancy_business CASCADE;
-- it needs no other system
SELECT tenancy.assign_tier_system('*', 'marketing');
SELECT tenancy.create_tenant('ad-1', 'One'), tenancy.create_tenant('ad-2', 'Two');
SELECT tenant_id, system_id, version, schema_name FROM tenancy.installed_systems ORDER BY 1, 2;
SELECT c.relname, c.relkind, obj_description(c.oid, 'pg_class') AS description
  FROM pg_class c WHERE relnamespace = 'tenant_ad_1_marketing'::regnamespace AND relkind IN ('r', 'v') ORDER BY relkind, 1;
CREATE ROLE marketing_service IN ROLE tenancy_service;

SET ROLE marketing_service;
SET search_path TO tenant_ad_1_marketing, public;
SELECT tenancy.set_tenant('ad-1', false);

--
-- The audience and its segments
--
INSERT INTO contacts (id, email, properties, subscribed_at, unsubscribed_at, given_name, family_name) VALUES
    ('00000000-0000-0000-0000-000000000001', 'ada@a.example', '{"industry": "steel", "size": 10}', '2020-01-01', NULL, 'Ada', 'Forge'),
    ('00000000-0000-0000-0000-000000000002', 'ben@a.example', '{"industry": "steel"}', '2020-01-01', NULL, 'Ben', NULL),
    ('00000000-0000-0000-0000-000000000003', 'cy@a.example', '{"industry": "food"}', '2020-01-01', '2020-02-01', 'Cy', NULL),
    ('00000000-0000-0000-0000-000000000004', 'di@a.example', '{"industry": "steel"}', NULL, NULL, 'Di', NULL);
INSERT INTO segments (id, name, kind, definition) VALUES
    ('00000000-0000-0000-0000-000000000011', 'steel', 'dynamic', '{"industry": "steel"}'), ('00000000-0000-0000-0000-000000000012', 'friends', 'static', NULL);
INSERT INTO segment_members (segment_id, contact_id) VALUES
    ('00000000-0000-0000-0000-000000000012', '00000000-0000-0000-0000-000000000002'), ('00000000-0000-0000-0000-000000000012', '00000000-0000-0000-0000-000000000003');
-- only who agreed and has not taken that back
SELECT segment, email FROM audience ORDER BY segment, email;

--
-- Campaigns, their figures, content and what people did
--
INSERT INTO campaigns (id, name, channel, status, starts_at, ends_at, budget, currency) VALUES
    ('00000000-0000-0000-0000-000000000021', 'Letter', 'email', 'running', '2020-01-01', '2020-03-01', 500, 'EUR'),
    ('00000000-0000-0000-0000-000000000022', 'Search', 'search', 'paused', '2020-01-01', NULL, 0, 'EUR'),
    ('00000000-0000-0000-0000-000000000023', 'Someday', 'print', 'draft', NULL, NULL, NULL, 'EUR');
INSERT INTO campaign_segments (campaign_id, segment_id) VALUES ('00000000-0000-0000-0000-000000000021', '00000000-0000-0000-0000-000000000011');
INSERT INTO campaign_metrics (campaign_id, day, impressions, clicks, spend) VALUES
    ('00000000-0000-0000-0000-000000000021', '2020-01-01', 900, 40, 100), ('00000000-0000-0000-0000-000000000021', '2020-01-02', 100, 10, 25.50),
    ('00000000-0000-0000-0000-000000000022', '2020-01-01', 100, 0, 10);
INSERT INTO assets (id, name, kind, tags) VALUES
    ('00000000-0000-0000-0000-000000000031', 'letter', 'email', '{anvil}'), ('00000000-0000-0000-0000-000000000032', 'page', 'page', '{anvil,new}'),
    ('00000000-0000-0000-0000-000000000033', 'unseen', 'video', '{}');
INSERT INTO asset_versions (asset_id, version, url) VALUES
    ('00000000-0000-0000-0000-000000000032', 1, 'https://a.example/1'), ('00000000-0000-0000-0000-000000000032', 2, 'https://a.example/2');
INSERT INTO campaign_assets (campaign_id, asset_id) VALUES ('00000000-0000-0000-0000-000000000021', '00000000-0000-0000-0000-000000000031');
INSERT INTO engagements (contact_id, campaign_id, asset_id, kind, occurred_at, channel)
SELECT ('00000000-0000-0000-0000-00000000000' || v.contact)::uuid, ('00000000-0000-0000-0000-00000000002' || v.campaign)::uuid,
       ('00000000-0000-0000-0000-00000000003' || v.asset)::uuid, v.kind, v.occurred_at::timestamptz, v.channel
  FROM (VALUES ('1', '1', '1', 'sent', '2020-01-01 08:00', 'email'), ('2', '1', '1', 'sent', '2020-01-01 08:00', 'email'),
               ('1', '1', '1', 'open', '2020-01-01 09:00', 'email'), ('1', '1', '1', 'open', '2020-01-01 10:00', 'email'),
               ('1', '1', '1', 'click', '2020-01-01 10:01', 'email'), ('1', '1', '2', 'visit', '2020-01-01 10:02', 'email'),
               ('1', '2', '2', 'visit', '2020-01-10 10:00', 'search'), ('1', '2', '2', 'form', '2020-01-10 10:05', 'search'),
               ('2', NULL, '2', 'visit', '2020-01-11', 'direct'), ('3', '1', '1', 'unsubscribe', '2020-02-01', 'email'),
               ('1', '2', '2', 'visit', '2020-03-01', 'search')) v(contact, campaign, asset, kind, occurred_at, channel);
SELECT name FROM assets WHERE tags @> '{new}';
SELECT asset, kind, people, views, actions, action_percent, last_engagement_at AT TIME ZONE 'UTC' AS last FROM content_performance ORDER BY asset;
SELECT * FROM channel_summary ORDER BY channel;

--
-- Lead scoring: by rules, as many as count, and points that fade
--
SELECT kind, points, max_count, half_life FROM scoring_rules ORDER BY kind;
SELECT email, score, grade FROM lead_scores ORDER BY email;
UPDATE scoring_rules SET max_count = 1 WHERE kind = 'open';
UPDATE scoring_rules SET is_active = false WHERE kind = 'unsubscribe';
SELECT email, score, grade FROM lead_scores ORDER BY email;
INSERT INTO engagements (contact_id, kind, occurred_at)
VALUES ('00000000-0000-0000-0000-000000000004', 'form', now() - interval '30 days'), ('00000000-0000-0000-0000-000000000004', 'attend', now() - interval '60 days'),
       ('00000000-0000-0000-0000-000000000004', 'attend', now());
UPDATE scoring_rules SET half_life = '30 days' WHERE kind IN ('form', 'attend');
SELECT email, score, grade FROM lead_scores WHERE email = 'di@a.example';

--
-- A/B tests
--
INSERT INTO ab_tests (id, campaign_id, name) VALUES
    ('00000000-0000-0000-0000-000000000041', '00000000-0000-0000-0000-000000000021', 'subject'), ('00000000-0000-0000-0000-000000000042', NULL, 'none');
INSERT INTO ab_variants (test_id, variant, asset_id, participants, conversions) VALUES
    ('00000000-0000-0000-0000-000000000041', 'A', '00000000-0000-0000-0000-000000000031', 1000, 100), ('00000000-0000-0000-0000-000000000041', 'B', NULL, 1000, 140),
    ('00000000-0000-0000-0000-000000000041', 'C', NULL, 1000, 110), ('00000000-0000-0000-0000-000000000042', 'A', NULL, 0, 0), ('00000000-0000-0000-0000-000000000042', 'B', NULL, 0, 0);
SELECT test, variant, participants, conversions, conversion_percent, lift_percent, z_score, is_significant FROM ab_test_results ORDER BY test DESC, variant;

--
-- Attribution: by what people did, and what is kept of it
--
INSERT INTO conversions (id, contact_id, value, currency, converted_at)
VALUES ('00000000-0000-0000-0000-000000000051', '00000000-0000-0000-0000-000000000001', 1000, 'EUR', '2020-02-01');
SELECT c.name AS campaign, t.touches, t.first_touch, t.last_touch, t.linear
  FROM touchpoint_attribution t JOIN campaigns c ON c.id = t.campaign_id ORDER BY 1;
INSERT INTO attributions (conversion_id, model, campaign_id, credit)
SELECT t.conversion_id, m.model, t.campaign_id, m.credit
  FROM touchpoint_attribution t, LATERAL (VALUES ('first_touch', t.first_touch), ('last_touch', t.last_touch), ('linear', t.linear)) m(model, credit)
 WHERE m.credit > 0;
SELECT * FROM attributed_revenue ORDER BY model, campaign;
SELECT campaign, status, spend, budget_percent, impressions, clicks, click_percent, cost_per_click, sent, opened, open_percent, conversions, revenue, return_percent
  FROM campaign_performance ORDER BY campaign;
RESET ROLE;
SELECT tenancy.verify_system('ad-1', 'marketing');

-- another tenant has none of it
SELECT tenancy.clear_tenant();
SET ROLE marketing_service;
SELECT tenancy.set_tenant('ad-2', false);
SELECT count(*) FROM contacts;
SELECT count(*) FROM campaign_performance;
SELECT count(*) FROM tenant_ad_2_marketing.scoring_rules;
SELECT tenancy.clear_tenant();

--
-- What is refused
--
\set VERBOSITY terse
SELECT tenancy.set_tenant('ad-1', false);
INSERT INTO contacts (email) VALUES ('nobody');
INSERT INTO contacts (email) VALUES ('ADA@A.example');
INSERT INTO contacts (email, subscribed_at, unsubscribed_at) VALUES ('z@a.example', '2020-01-02', '2020-01-01');
INSERT INTO segments (name, kind) VALUES ('undefined', 'dynamic');
INSERT INTO campaigns (name, channel, status) VALUES ('When?', 'email', 'running');
INSERT INTO campaigns (name, channel, starts_at, ends_at) VALUES ('Backwards', 'email', '2020-01-02', '2020-01-01');
INSERT INTO campaign_metrics (campaign_id, day, impressions, clicks) VALUES ('00000000-0000-0000-0000-000000000021', '2020-01-03', 1, 2);
INSERT INTO campaign_metrics (campaign_id, day) VALUES ('00000000-0000-0000-0000-000000000021', '2020-01-01');
INSERT INTO engagements (contact_id, kind) VALUES ('00000000-0000-0000-0000-000000000001', 'telepathy');
INSERT INTO scoring_rules (name, kind, points) VALUES ('Nothing', 'open', 0);
INSERT INTO ab_variants (test_id, variant, participants, conversions) VALUES ('00000000-0000-0000-0000-000000000041', 'D', 1, 2);
INSERT INTO attributions (conversion_id, model, campaign_id, credit)
VALUES ('00000000-0000-0000-0000-000000000051', 'manual', '00000000-0000-0000-0000-000000000021', 1.1);
-- a person is forgotten with all that he or she did
DELETE FROM contacts WHERE email = 'ada@a.example';
SELECT count(*) FROM engagements WHERE contact_id = '00000000-0000-0000-0000-000000000001';
SELECT count(*) FROM attributions;
RESET ALL;
RESET ROLE;

\c :start_database
DROP DATABASE marketing_test;
DROP ROLE marketing_service, tenant_ad_1, tenant_ad_2;
