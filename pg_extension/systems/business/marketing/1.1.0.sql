/*
 * Marketing 1.1.0: campaigns, the audience and its segments, content and how it does, what people did, the score that
 * they earn by it, A/B tests, and which campaign a conversion is owed to.
 *
 * The tables stand in a schema of one tenant, so they have no tenant column, and need no other system.  Foreign keys
 * stand inside CREATE TABLE, which spares their validation; each has an index.  A column that a later version replaces
 * stands last.
 */
CREATE TABLE contacts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    company text,
    country text,
    customer_id uuid,
    properties jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(properties) = 'object'),
    subscribed_at timestamptz,
    unsubscribed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    given_name text,
    family_name text,
    CHECK (unsubscribed_at >= subscribed_at)
);
CREATE UNIQUE INDEX contacts_email_key ON contacts (lower(email));
CREATE INDEX contacts_customer_idx ON contacts (customer_id) WHERE customer_id IS NOT NULL;
COMMENT ON TABLE contacts IS 'the audience: people who may be written to';
COMMENT ON COLUMN contacts.id IS 'key';
COMMENT ON COLUMN contacts.email IS 'unique whatever its case';
COMMENT ON COLUMN contacts.company IS 'where the person works';
COMMENT ON COLUMN contacts.country IS 'name or ISO 3166 code';
COMMENT ON COLUMN contacts.customer_id IS
    'key of the customer in the CRM, where the tenant has one: a link, no foreign key';
COMMENT ON COLUMN contacts.properties IS 'object of whatever else is known, for segments';
COMMENT ON COLUMN contacts.subscribed_at IS 'when the person agreed to be written to; NULL: did not';
COMMENT ON COLUMN contacts.unsubscribed_at IS 'when the person took that back';
COMMENT ON COLUMN contacts.created_at IS 'when the row was made';
COMMENT ON COLUMN contacts.updated_at IS 'when the row was last changed; kept by a trigger';
COMMENT ON COLUMN contacts.given_name IS 'first name';
COMMENT ON COLUMN contacts.family_name IS 'what follows it';
CREATE TRIGGER touch BEFORE UPDATE ON contacts
    FOR EACH ROW EXECUTE FUNCTION tenancy.business_touch();

CREATE TABLE segments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE CHECK (name <> ''),
    description text,
    kind text NOT NULL DEFAULT 'static' CHECK (kind IN ('static', 'dynamic')),
    definition jsonb CHECK (jsonb_typeof(definition) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'dynamic') = (definition IS NOT NULL))
);
COMMENT ON TABLE segments IS 'parts of the audience';
COMMENT ON COLUMN segments.id IS 'key';
COMMENT ON COLUMN segments.name IS 'unique name';
COMMENT ON COLUMN segments.description IS 'who is in it';
COMMENT ON COLUMN segments.kind IS 'static: its members are listed; dynamic: found by the definition';
COMMENT ON COLUMN segments.definition IS 'object that the properties of its members contain; of dynamic segments only';
COMMENT ON COLUMN segments.created_at IS 'when the row was made';

CREATE TABLE segment_members (
    segment_id uuid NOT NULL REFERENCES segments ON DELETE CASCADE,
    contact_id uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
    added_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (segment_id, contact_id)
);
CREATE INDEX segment_members_contact_idx ON segment_members (contact_id);
COMMENT ON TABLE segment_members IS 'who is listed in a static segment';
COMMENT ON COLUMN segment_members.segment_id IS 'the segment; its members are forgotten with it';
COMMENT ON COLUMN segment_members.contact_id IS 'the member';
COMMENT ON COLUMN segment_members.added_at IS 'since when';

CREATE TABLE campaigns (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE CHECK (name <> ''),
    channel text NOT NULL CHECK (channel IN ('email', 'social', 'search', 'display', 'event', 'print')),
    goal text,
    status text NOT NULL DEFAULT 'draft'
        CHECK (status IN ('draft', 'scheduled', 'running', 'paused', 'completed', 'cancelled')),
    starts_at timestamptz,
    ends_at timestamptz,
    budget numeric(14, 2) CHECK (budget >= 0),
    currency text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
    owner_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    metadata jsonb CHECK (jsonb_typeof(metadata) = 'object'),
    CHECK (ends_at > starts_at),
    CHECK (status IN ('draft', 'cancelled') OR starts_at IS NOT NULL)
);
CREATE INDEX campaigns_status_idx ON campaigns (status, starts_at);
COMMENT ON TABLE campaigns IS 'campaign definitions';
COMMENT ON COLUMN campaigns.id IS 'key';
COMMENT ON COLUMN campaigns.name IS 'unique name';
COMMENT ON COLUMN campaigns.channel IS 'by which means it reaches people';
COMMENT ON COLUMN campaigns.goal IS 'what it is to bring about';
COMMENT ON COLUMN campaigns.status IS 'how far it is; needs a start unless draft or cancelled';
COMMENT ON COLUMN campaigns.starts_at IS 'begin';
COMMENT ON COLUMN campaigns.ends_at IS 'end; NULL: open';
COMMENT ON COLUMN campaigns.budget IS 'what it may cost, in the currency';
COMMENT ON COLUMN campaigns.currency IS 'ISO 4217 code of budget and spend';
COMMENT ON COLUMN campaigns.owner_id IS 'the user who answers for it';
COMMENT ON COLUMN campaigns.created_at IS 'when the row was made';
COMMENT ON COLUMN campaigns.updated_at IS 'when the row was last changed; kept by a trigger';
COMMENT ON COLUMN campaigns.metadata IS 'object of whatever else is known';
CREATE TRIGGER touch BEFORE UPDATE ON campaigns
    FOR EACH ROW EXECUTE FUNCTION tenancy.business_touch();

CREATE TABLE campaign_segments (
    campaign_id uuid NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    segment_id uuid NOT NULL REFERENCES segments ON DELETE CASCADE,
    is_excluded boolean NOT NULL DEFAULT false,
    PRIMARY KEY (campaign_id, segment_id)
);
CREATE INDEX campaign_segments_segment_idx ON campaign_segments (segment_id);
COMMENT ON TABLE campaign_segments IS 'to which segments a campaign goes';
COMMENT ON COLUMN campaign_segments.campaign_id IS 'the campaign';
COMMENT ON COLUMN campaign_segments.segment_id IS 'the segment';
COMMENT ON COLUMN campaign_segments.is_excluded IS 'whether the segment is left out instead';

CREATE TABLE assets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE CHECK (name <> ''),
    kind text NOT NULL CHECK (kind IN ('email', 'page', 'form', 'image', 'video', 'document', 'advertisement')),
    title text,
    tags text[] NOT NULL DEFAULT '{}',
    owner_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    metadata jsonb CHECK (jsonb_typeof(metadata) = 'object')
);
CREATE INDEX assets_tags_idx ON assets USING gin (tags);
COMMENT ON TABLE assets IS 'content assets';
COMMENT ON COLUMN assets.id IS 'key';
COMMENT ON COLUMN assets.name IS 'unique name';
COMMENT ON COLUMN assets.kind IS 'what it is';
COMMENT ON COLUMN assets.title IS 'what people see above it';
COMMENT ON COLUMN assets.tags IS 'words to find it by';
COMMENT ON COLUMN assets.owner_id IS 'the user who answers for it';
COMMENT ON COLUMN assets.created_at IS 'when the row was made';
COMMENT ON COLUMN assets.updated_at IS 'when the row was last changed; kept by a trigger';
COMMENT ON COLUMN assets.metadata IS 'object of whatever else is known';
CREATE TRIGGER touch BEFORE UPDATE ON assets
    FOR EACH ROW EXECUTE FUNCTION tenancy.business_touch();

CREATE TABLE asset_versions (
    asset_id uuid NOT NULL REFERENCES assets ON DELETE CASCADE,
    version integer NOT NULL CHECK (version > 0),
    url text,
    published_at timestamptz,
    PRIMARY KEY (asset_id, version)
);
COMMENT ON TABLE asset_versions IS 'where each version of a piece of content is, and since when it can be seen';
COMMENT ON COLUMN asset_versions.asset_id IS 'the content; its versions go with it';
COMMENT ON COLUMN asset_versions.version IS 'counts from 1';
COMMENT ON COLUMN asset_versions.url IS 'where it is';
COMMENT ON COLUMN asset_versions.published_at IS 'since when it can be seen; NULL: not yet';

CREATE TABLE campaign_assets (
    campaign_id uuid NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    asset_id uuid NOT NULL REFERENCES assets ON DELETE CASCADE,
    PRIMARY KEY (campaign_id, asset_id)
);
CREATE INDEX campaign_assets_asset_idx ON campaign_assets (asset_id);
COMMENT ON TABLE campaign_assets IS 'which content a campaign uses';
COMMENT ON COLUMN campaign_assets.campaign_id IS 'the campaign';
COMMENT ON COLUMN campaign_assets.asset_id IS 'the content';

CREATE TABLE campaign_metrics (
    campaign_id uuid NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    day date NOT NULL,
    impressions bigint NOT NULL DEFAULT 0 CHECK (impressions >= 0),
    clicks bigint NOT NULL DEFAULT 0 CHECK (clicks >= 0),
    spend numeric(14, 2) NOT NULL DEFAULT 0 CHECK (spend >= 0),
    PRIMARY KEY (campaign_id, day),
    CHECK (clicks <= impressions)
);
COMMENT ON TABLE campaign_metrics IS 'campaign performance metrics, a row a day, as the channel reports them';
COMMENT ON COLUMN campaign_metrics.campaign_id IS 'the campaign; its figures go with it';
COMMENT ON COLUMN campaign_metrics.day IS 'the day';
COMMENT ON COLUMN campaign_metrics.impressions IS 'how often it was shown';
COMMENT ON COLUMN campaign_metrics.clicks IS 'how often it was clicked';
COMMENT ON COLUMN campaign_metrics.spend IS 'what it cost, in the campaign''s currency';

CREATE TABLE engagements (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contact_id uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
    campaign_id uuid REFERENCES campaigns ON DELETE SET NULL,
    asset_id uuid REFERENCES assets ON DELETE SET NULL,
    kind text NOT NULL
        CHECK (kind IN ('sent', 'open', 'click', 'visit', 'download', 'form', 'attend', 'unsubscribe', 'bounce')),
    occurred_at timestamptz NOT NULL DEFAULT now(),
    channel text NOT NULL DEFAULT 'direct'
        CHECK (channel IN ('email', 'social', 'search', 'display', 'event', 'print', 'direct'))
);
CREATE INDEX engagements_contact_idx ON engagements (contact_id, occurred_at);
CREATE INDEX engagements_campaign_idx ON engagements (campaign_id, kind);
CREATE INDEX engagements_asset_idx ON engagements (asset_id, kind);
CREATE INDEX engagements_touch_idx ON engagements (contact_id, occurred_at)
    WHERE campaign_id IS NOT NULL AND kind IN ('click', 'visit', 'download', 'form', 'attend');
COMMENT ON TABLE engagements IS 'what people did with campaigns and content';
COMMENT ON COLUMN engagements.id IS 'key';
COMMENT ON COLUMN engagements.contact_id IS 'who; what a person did goes with the person';
COMMENT ON COLUMN engagements.campaign_id IS 'through which campaign, if any';
COMMENT ON COLUMN engagements.asset_id IS 'with which content, if any';
COMMENT ON COLUMN engagements.kind IS 'what happened';
COMMENT ON COLUMN engagements.occurred_at IS 'when';
COMMENT ON COLUMN engagements.channel IS 'by which means the person came; direct: without a campaign';

CREATE TABLE scoring_rules (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    kind text NOT NULL
        CHECK (kind IN ('sent', 'open', 'click', 'visit', 'download', 'form', 'attend', 'unsubscribe', 'bounce')),
    points integer NOT NULL CHECK (points <> 0),
    max_count integer CHECK (max_count > 0),
    is_active boolean NOT NULL DEFAULT true,
    metadata jsonb CHECK (jsonb_typeof(metadata) = 'object'),
    half_life interval CHECK (half_life > '0')
);
COMMENT ON TABLE scoring_rules IS 'how many points a person earns by what';
COMMENT ON COLUMN scoring_rules.id IS 'key';
COMMENT ON COLUMN scoring_rules.name IS 'unique name';
COMMENT ON COLUMN scoring_rules.kind IS 'the kind of engagement that it counts';
COMMENT ON COLUMN scoring_rules.points IS 'for each; below 0 they are lost';
COMMENT ON COLUMN scoring_rules.max_count IS 'how many of the latest count; NULL: all';
COMMENT ON COLUMN scoring_rules.is_active IS 'whether it is used';
COMMENT ON COLUMN scoring_rules.metadata IS 'object of whatever else is known';
COMMENT ON COLUMN scoring_rules.half_life IS 'after which time the points count half; NULL: they stay';

CREATE TABLE ab_tests (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    campaign_id uuid REFERENCES campaigns ON DELETE CASCADE,
    name text NOT NULL UNIQUE,
    hypothesis text,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz CHECK (ended_at > started_at)
);
CREATE INDEX ab_tests_campaign_idx ON ab_tests (campaign_id);
COMMENT ON TABLE ab_tests IS 'A/B tests';
COMMENT ON COLUMN ab_tests.id IS 'key';
COMMENT ON COLUMN ab_tests.campaign_id IS 'the campaign that it is part of, if any';
COMMENT ON COLUMN ab_tests.name IS 'unique name';
COMMENT ON COLUMN ab_tests.hypothesis IS 'what is to be found out';
COMMENT ON COLUMN ab_tests.started_at IS 'begin';
COMMENT ON COLUMN ab_tests.ended_at IS 'end; NULL while it runs';

CREATE TABLE ab_variants (
    test_id uuid NOT NULL REFERENCES ab_tests ON DELETE CASCADE,
    variant text NOT NULL CHECK (variant ~ '^[A-Z]$'),
    asset_id uuid REFERENCES assets ON DELETE SET NULL,
    description text,
    participants integer NOT NULL DEFAULT 0 CHECK (participants >= 0),
    conversions integer NOT NULL DEFAULT 0,
    PRIMARY KEY (test_id, variant),
    CHECK (conversions BETWEEN 0 AND participants)
);
CREATE INDEX ab_variants_asset_idx ON ab_variants (asset_id);
COMMENT ON TABLE ab_variants IS 'what is tested against what, and the results; A is the control';
COMMENT ON COLUMN ab_variants.test_id IS 'the test; its variants go with it';
COMMENT ON COLUMN ab_variants.variant IS 'A to Z';
COMMENT ON COLUMN ab_variants.asset_id IS 'the content that the participants see';
COMMENT ON COLUMN ab_variants.description IS 'how it differs';
COMMENT ON COLUMN ab_variants.participants IS 'how many people were given it';
COMMENT ON COLUMN ab_variants.conversions IS 'how many of them did what was hoped for';

CREATE TABLE conversions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    contact_id uuid NOT NULL REFERENCES contacts ON DELETE CASCADE,
    kind text NOT NULL DEFAULT 'sale' CHECK (kind IN ('lead', 'trial', 'sale', 'renewal')),
    value numeric(14, 2) NOT NULL DEFAULT 0 CHECK (value >= 0),
    currency text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
    converted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX conversions_contact_idx ON conversions (contact_id, converted_at);
COMMENT ON TABLE conversions IS 'what people did that was worth something';
COMMENT ON COLUMN conversions.id IS 'key';
COMMENT ON COLUMN conversions.contact_id IS 'who';
COMMENT ON COLUMN conversions.kind IS 'lead, trial, sale or renewal';
COMMENT ON COLUMN conversions.value IS 'what it is worth, in the currency';
COMMENT ON COLUMN conversions.currency IS 'ISO 4217 code';
COMMENT ON COLUMN conversions.converted_at IS 'when';

CREATE TABLE attributions (
    conversion_id uuid NOT NULL REFERENCES conversions ON DELETE CASCADE,
    model text NOT NULL CHECK (model IN ('first_touch', 'last_touch', 'linear', 'manual')),
    campaign_id uuid NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    credit numeric(7, 6) NOT NULL CHECK (credit > 0 AND credit <= 1),
    PRIMARY KEY (conversion_id, model, campaign_id)
);
CREATE INDEX attributions_campaign_idx ON attributions (campaign_id, model);
COMMENT ON TABLE attributions IS 'attribution data: which share of a conversion is owed to which campaign, by which model';
COMMENT ON COLUMN attributions.conversion_id IS 'the conversion; its shares go with it';
COMMENT ON COLUMN attributions.model IS 'how the shares were found';
COMMENT ON COLUMN attributions.campaign_id IS 'the campaign';
COMMENT ON COLUMN attributions.credit IS 'the share; those of one conversion and model add up to 1';

CREATE VIEW audience WITH (security_invoker = true) AS
    SELECT s.id AS segment_id, s.name AS segment, c.id AS contact_id, c.email
      FROM segments s
      JOIN contacts c ON CASE s.kind WHEN 'dynamic' THEN c.properties @> s.definition
                                     ELSE EXISTS (SELECT FROM segment_members m
                                                   WHERE m.segment_id = s.id AND m.contact_id = c.id) END
     WHERE c.subscribed_at IS NOT NULL AND c.unsubscribed_at IS NULL;
COMMENT ON VIEW audience IS 'who is in each segment, listed or found, and may be written to';

CREATE VIEW lead_scores WITH (security_invoker = true) AS
    SELECT c.id AS contact_id, c.email, coalesce(round(sum(e.points), 1), 0) AS score,
           max(e.occurred_at) AS last_engagement_at,
           CASE WHEN coalesce(sum(e.points), 0) >= 50 THEN 'hot' WHEN sum(e.points) >= 20 THEN 'warm' ELSE 'cold' END AS grade
      FROM contacts c
      LEFT JOIN (SELECT g.contact_id, g.occurred_at,
                        r.points * CASE WHEN r.half_life IS NULL THEN 1
                                        ELSE power(0.5, greatest(extract(epoch FROM now() - g.occurred_at), 0)
                                                        / extract(epoch FROM r.half_life)) END AS points
                   FROM scoring_rules r
                   JOIN (SELECT contact_id, kind, occurred_at,
                                row_number() OVER (PARTITION BY contact_id, kind ORDER BY occurred_at DESC, id DESC) AS latest
                           FROM engagements) g ON g.kind = r.kind AND (r.max_count IS NULL OR g.latest <= r.max_count)
                  WHERE r.is_active) e ON e.contact_id = c.id
     GROUP BY c.id, c.email;
COMMENT ON VIEW lead_scores IS 'the points that each person has earned and still has, and a grade';

CREATE VIEW campaign_performance WITH (security_invoker = true) AS
    SELECT c.id AS campaign_id, c.name AS campaign, c.channel, c.status, c.currency, c.budget,
           m.spend, round(100 * m.spend / nullif(c.budget, 0), 1) AS budget_percent, m.impressions, m.clicks,
           round(100.0 * m.clicks / nullif(m.impressions, 0), 2) AS click_percent,
           round(m.spend / nullif(m.clicks, 0), 2) AS cost_per_click,
           e.sent, e.opened, round(100.0 * e.opened / nullif(e.sent, 0), 1) AS open_percent,
           a.conversions, a.revenue, round((a.revenue - m.spend) / nullif(m.spend, 0) * 100, 1) AS return_percent
      FROM campaigns c
     CROSS JOIN LATERAL (SELECT coalesce(sum(spend), 0) AS spend, coalesce(sum(impressions), 0) AS impressions,
                                coalesce(sum(clicks), 0) AS clicks
                           FROM campaign_metrics WHERE campaign_id = c.id) m
     CROSS JOIN LATERAL (SELECT count(DISTINCT contact_id) FILTER (WHERE kind = 'sent') AS sent,
                                count(DISTINCT contact_id) FILTER (WHERE kind = 'open') AS opened
                           FROM engagements WHERE campaign_id = c.id) e
     CROSS JOIN LATERAL (SELECT count(*) AS conversions,
                                coalesce(round(sum(v.value * t.credit) FILTER (WHERE v.currency = c.currency), 2), 0) AS revenue
                           FROM attributions t JOIN conversions v ON v.id = t.conversion_id
                          WHERE t.campaign_id = c.id AND t.model = 'last_touch') a;
COMMENT ON VIEW campaign_performance IS
    'what each campaign cost and brought, by last touch; revenue in other currencies does not count';

CREATE VIEW content_performance WITH (security_invoker = true) AS
    SELECT a.id AS asset_id, a.name AS asset, a.kind, count(DISTINCT e.contact_id) AS people,
           count(e.id) FILTER (WHERE e.kind IN ('open', 'visit')) AS views,
           count(e.id) FILTER (WHERE e.kind IN ('click', 'download', 'form', 'attend')) AS actions,
           round(100.0 * count(e.id) FILTER (WHERE e.kind IN ('click', 'download', 'form', 'attend'))
                 / nullif(count(e.id) FILTER (WHERE e.kind IN ('open', 'visit')), 0), 1) AS action_percent,
           max(e.occurred_at) AS last_engagement_at
      FROM assets a
      LEFT JOIN engagements e ON e.asset_id = a.id
     GROUP BY a.id;
COMMENT ON VIEW content_performance IS 'how many people saw each piece of content, and did something';

CREATE VIEW ab_test_results WITH (security_invoker = true) AS
    SELECT t.id AS test_id, t.name AS test, v.variant, v.participants, v.conversions, r.rate AS conversion_percent,
           round((v.conversions::numeric / nullif(v.participants, 0) / nullif(c.conversions::numeric / nullif(c.participants, 0), 0) - 1)
                 * 100, 1) AS lift_percent,
           round(z.z::numeric, 3) AS z_score, abs(z.z) > 1.96 AS is_significant
      FROM ab_tests t
      JOIN ab_variants v ON v.test_id = t.id
      LEFT JOIN ab_variants c ON c.test_id = t.id AND c.variant = 'A' AND v.variant <> 'A'
     CROSS JOIN LATERAL (SELECT round(100.0 * v.conversions / nullif(v.participants, 0), 2) AS rate) r
     CROSS JOIN LATERAL (SELECT (v.conversions + c.conversions)::float8 / nullif(v.participants + c.participants, 0) AS p) p
     CROSS JOIN LATERAL (SELECT (v.conversions::float8 / nullif(v.participants, 0)
                                 - c.conversions::float8 / nullif(c.participants, 0))
                                / nullif(sqrt(p.p * (1 - p.p) * (1.0 / nullif(v.participants, 0)
                                                                 + 1.0 / nullif(c.participants, 0))), 0) AS z) z;
COMMENT ON VIEW ab_test_results IS 'each variant against the control A: lift, z of the difference, and whether it holds at 95 %';

CREATE VIEW attributed_revenue WITH (security_invoker = true) AS
    SELECT t.model, c.name AS campaign, v.currency, count(*) AS conversions, round(sum(v.value * t.credit), 2) AS revenue
      FROM attributions t
      JOIN conversions v ON v.id = t.conversion_id
      JOIN campaigns c ON c.id = t.campaign_id
     GROUP BY t.model, c.name, v.currency;
COMMENT ON VIEW attributed_revenue IS 'what each campaign brought, by model and currency';

CREATE VIEW touchpoint_attribution WITH (security_invoker = true) AS
    SELECT v.id AS conversion_id, t.campaign_id, v.value, v.currency, count(*) AS touches,
           round(count(*) FILTER (WHERE t.place = 1)::numeric, 6) AS first_touch,
           round(count(*) FILTER (WHERE t.place = t.touches)::numeric, 6) AS last_touch,
           round(count(*)::numeric / max(t.touches), 6) AS linear
      FROM conversions v
     CROSS JOIN LATERAL (SELECT campaign_id, row_number() OVER (ORDER BY occurred_at, id) AS place,
                                count(*) OVER () AS touches
                           FROM engagements
                          WHERE contact_id = v.contact_id AND campaign_id IS NOT NULL
                            AND kind IN ('click', 'visit', 'download', 'form', 'attend')
                            AND occurred_at <= v.converted_at AND occurred_at > v.converted_at - interval '90 days') t
     GROUP BY v.id, v.value, v.currency, t.campaign_id;
COMMENT ON VIEW touchpoint_attribution IS
    'which share of a conversion each campaign has by what the person did in the 90 days before, by three models';

CREATE VIEW channel_summary WITH (security_invoker = true) AS
    SELECT channel, count(*) AS engagements, count(DISTINCT contact_id) AS people,
           count(*) FILTER (WHERE kind IN ('click', 'download', 'form', 'attend')) AS actions,
           count(*) FILTER (WHERE kind = 'unsubscribe') AS unsubscribed
      FROM engagements
     GROUP BY channel;
COMMENT ON VIEW channel_summary IS 'what people did, by the means by which they came';

INSERT INTO scoring_rules (name, kind, points, max_count)
VALUES ('Opened', 'open', 1, 10), ('Clicked', 'click', 5, 10), ('Visited', 'visit', 2, 20), ('Downloaded', 'download', 10, 5),
       ('Filled in a form', 'form', 20, 3), ('Attended', 'attend', 25, 3), ('Unsubscribed', 'unsubscribe', -50, 1);
