/*
 * Marketing 1.1.0 to 1.0.0.  What 1.0.0 has no place for is put aside under "1.1.0" in metadata and properties, from where
 * an update takes it back.  Of an engagement's channel only what its campaign tells comes back.
 */
DROP VIEW channel_summary, touchpoint_attribution, lead_scores;

UPDATE scoring_rules
   SET metadata = coalesce(metadata, '{}') || jsonb_build_object('1.1.0', jsonb_build_object('half_life', half_life))
 WHERE half_life IS NOT NULL;
ALTER TABLE scoring_rules DROP COLUMN half_life;
DROP INDEX engagements_touch_idx;
ALTER TABLE engagements DROP COLUMN channel;

-- The latest version stands in the row again, the others wait in metadata.
ALTER TABLE assets ADD COLUMN url text, ADD COLUMN published_at timestamptz;
COMMENT ON COLUMN assets.url IS 'where it is';
COMMENT ON COLUMN assets.published_at IS 'since when it can be seen; NULL: not yet';
ALTER TABLE assets DISABLE TRIGGER touch;
UPDATE assets a
   SET url = v.url,
       published_at = v.published_at,
       metadata = CASE WHEN o.others IS NULL THEN a.metadata
                       ELSE coalesce(a.metadata, '{}') || jsonb_build_object('1.1.0', o.others) END
  FROM asset_versions v
 CROSS JOIN LATERAL (SELECT jsonb_agg(to_jsonb(w) - 'asset_id' ORDER BY w.version) AS others
                       FROM asset_versions w WHERE w.asset_id = v.asset_id AND w.version < v.version) o
 WHERE v.asset_id = a.id AND v.version = (SELECT max(version) FROM asset_versions WHERE asset_id = a.id);
ALTER TABLE assets ENABLE TRIGGER touch;
DROP TABLE asset_versions;

ALTER TABLE campaigns DISABLE TRIGGER touch;
UPDATE campaigns
   SET status = 'scheduled',
       metadata = coalesce(metadata, '{}') || jsonb_build_object('1.1.0', jsonb_build_object('status', status))
 WHERE status = 'paused';
ALTER TABLE campaigns ENABLE TRIGGER touch;
ALTER TABLE campaigns
    DROP CONSTRAINT campaigns_status_check,
    ADD CONSTRAINT campaigns_status_check
        CHECK (status IN ('draft', 'scheduled', 'running', 'completed', 'cancelled'));

ALTER TABLE contacts ADD COLUMN name text;
COMMENT ON COLUMN contacts.name IS 'full name';
ALTER TABLE contacts DISABLE TRIGGER touch;
UPDATE contacts
   SET name = concat_ws(' ', given_name, family_name),
       properties = CASE WHEN strpos(given_name, ' ') > 0 OR given_name IS NULL
                         THEN properties || jsonb_build_object('1.1.0', jsonb_build_object(
                                  'given_name', given_name, 'family_name', family_name))
                         ELSE properties END
 WHERE num_nonnulls(given_name, family_name) > 0;
ALTER TABLE contacts ENABLE TRIGGER touch;
ALTER TABLE contacts DROP COLUMN given_name, DROP COLUMN family_name;

CREATE VIEW lead_scores WITH (security_invoker = true) AS
    SELECT c.id AS contact_id, c.email, coalesce(sum(r.points * e.counted), 0)::numeric AS score,
           max(e.last_at) AS last_engagement_at
      FROM contacts c
      LEFT JOIN (scoring_rules r
                 CROSS JOIN LATERAL (SELECT contact_id, least(count(*), r.max_count) AS counted, max(occurred_at) AS last_at
                                       FROM engagements WHERE kind = r.kind GROUP BY contact_id) e)
             ON e.contact_id = c.id AND r.is_active
     GROUP BY c.id, c.email;
COMMENT ON VIEW lead_scores IS 'the points that each person has earned';
