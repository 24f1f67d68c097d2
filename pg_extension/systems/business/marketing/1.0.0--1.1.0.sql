/*
 * Marketing 1.0.0 to 1.1.0: names have two parts, content has versions, campaigns can pause, points fade, and what people
 * did says by which means they came.
 *
 * What a rollback from 1.1.0 put aside under "1.1.0" in metadata and properties comes back.
 */
-- The first blank parts a name, so that both parts with a blank between them are the name again.
ALTER TABLE contacts ADD COLUMN given_name text, ADD COLUMN family_name text;
COMMENT ON COLUMN contacts.given_name IS 'first name';
COMMENT ON COLUMN contacts.family_name IS 'what follows it';
ALTER TABLE contacts DISABLE TRIGGER touch;
UPDATE contacts
   SET given_name = CASE WHEN properties ? '1.1.0' THEN properties -> '1.1.0' ->> 'given_name'
                         WHEN strpos(name, ' ') > 0 THEN left(name, strpos(name, ' ') - 1) ELSE name END,
       family_name = CASE WHEN properties ? '1.1.0' THEN properties -> '1.1.0' ->> 'family_name'
                          WHEN strpos(name, ' ') > 0 THEN substr(name, strpos(name, ' ') + 1) END,
       properties = properties - '1.1.0'
 WHERE name IS NOT NULL;
ALTER TABLE contacts ENABLE TRIGGER touch;
ALTER TABLE contacts DROP COLUMN name;

ALTER TABLE campaigns
    DROP CONSTRAINT campaigns_status_check,
    ADD CONSTRAINT campaigns_status_check
        CHECK (status IN ('draft', 'scheduled', 'running', 'paused', 'completed', 'cancelled'));
ALTER TABLE campaigns DISABLE TRIGGER touch;
UPDATE campaigns
   SET status = CASE status WHEN 'scheduled' THEN 'paused' ELSE status END,
       metadata = nullif(metadata - '1.1.0', '{}')
 WHERE metadata ? '1.1.0';
ALTER TABLE campaigns ENABLE TRIGGER touch;

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
INSERT INTO asset_versions (asset_id, version, url, published_at)
SELECT a.id, v.version, v.url, v.published_at
  FROM assets a,
       jsonb_to_recordset(a.metadata -> '1.1.0') AS v (version integer, url text, published_at timestamptz);
INSERT INTO asset_versions (asset_id, version, url, published_at)
SELECT a.id, coalesce(1 + (SELECT max(v.version) FROM asset_versions v WHERE v.asset_id = a.id), 1), a.url, a.published_at
  FROM assets a
 WHERE num_nonnulls(a.url, a.published_at) > 0;
ALTER TABLE assets DISABLE TRIGGER touch;
UPDATE assets SET metadata = nullif(metadata - '1.1.0', '{}') WHERE metadata ? '1.1.0';
ALTER TABLE assets ENABLE TRIGGER touch;
ALTER TABLE assets DROP COLUMN url, DROP COLUMN published_at;

ALTER TABLE engagements
    ADD COLUMN channel text NOT NULL DEFAULT 'direct'
        CHECK (channel IN ('email', 'social', 'search', 'display', 'event', 'print', 'direct'));
COMMENT ON COLUMN engagements.channel IS 'by which means the person came; direct: without a campaign';
UPDATE engagements e SET channel = c.channel FROM campaigns c WHERE c.id = e.campaign_id;
CREATE INDEX engagements_touch_idx ON engagements (contact_id, occurred_at)
    WHERE campaign_id IS NOT NULL AND kind IN ('click', 'visit', 'download', 'form', 'attend');

ALTER TABLE scoring_rules ADD COLUMN half_life interval CHECK (half_life > '0');
COMMENT ON COLUMN scoring_rules.half_life IS 'after which time the points count half; NULL: they stay';
UPDATE scoring_rules
   SET half_life = (metadata -> '1.1.0' ->> 'half_life')::interval,
       metadata = nullif(metadata - '1.1.0', '{}')
 WHERE metadata ? '1.1.0';

CREATE OR REPLACE VIEW lead_scores WITH (security_invoker = true) AS
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
