/*
 * CRM 1.1.0 to 1.0.0.  What 1.0.0 has no place for is put aside under "1.1.0" in metadata and address, from where an
 * update takes it back: no row is lost.
 */
DROP VIEW pipeline_velocity, pipeline_summary, customer_overview;

UPDATE interactions
   SET metadata = coalesce(metadata, '{}') || jsonb_build_object('1.1.0', jsonb_build_object('channel', channel)),
       channel = CASE channel WHEN 'video' THEN 'meeting' ELSE 'chat' END
 WHERE channel IN ('sms', 'social', 'video');
ALTER TABLE interactions
    DROP CONSTRAINT interactions_channel_check,
    ADD CONSTRAINT interactions_channel_check
        CHECK (channel IN ('email', 'call', 'meeting', 'chat', 'letter', 'note'));

DROP TRIGGER record_stage ON opportunities;
ALTER TABLE opportunities DISABLE TRIGGER touch;
UPDATE opportunities o
   SET metadata = coalesce(o.metadata, '{}') || jsonb_build_object('1.1.0', jsonb_strip_nulls(jsonb_build_object(
           'probability', o.probability,
           'lost_reason', o.lost_reason,
           'stages', (SELECT jsonb_agg(to_jsonb(h) - 'opportunity_id' ORDER BY h.id)
                        FROM opportunity_stages h WHERE h.opportunity_id = o.id))));
ALTER TABLE opportunities ENABLE TRIGGER touch;
DROP TABLE opportunity_stages;
DROP INDEX opportunities_expected_idx;
ALTER TABLE opportunities DROP COLUMN probability, DROP COLUMN lost_reason;

ALTER TABLE customers ADD COLUMN address jsonb CHECK (jsonb_typeof(address) = 'object');
COMMENT ON COLUMN customers.address IS 'object with street, city, region, postal_code and country';
ALTER TABLE customers DISABLE TRIGGER touch;
UPDATE customers c
   SET address = coalesce(a.main, '{}')
                 || CASE WHEN a.others IS NULL THEN '{}' ELSE jsonb_build_object('1.1.0', a.others) END
  FROM (SELECT customer_id,
               (jsonb_agg(value) FILTER (WHERE kind = 'main')) -> 0 AS main,
               jsonb_object_agg(kind, value) FILTER (WHERE kind <> 'main') AS others
          FROM addresses,
               LATERAL (SELECT coalesce(details, '{}') || jsonb_strip_nulls(jsonb_build_object(
                                   'street', street, 'city', city, 'region', region, 'postal_code', postal_code,
                                   'country', country)) AS value) v
         GROUP BY customer_id) a
 WHERE a.customer_id = c.id;
ALTER TABLE customers ENABLE TRIGGER touch;
DROP TABLE addresses;
DROP TRIGGER stamp_status ON customers;
ALTER TABLE customers DROP COLUMN status_since;

CREATE VIEW customer_overview WITH (security_invoker = true) AS
    SELECT c.id, c.name, c.relationship_status, c.owner_id,
           i.interactions, i.last_interaction_at, o.open_opportunities, o.open_amount, o.open_currency
      FROM customers c
     CROSS JOIN LATERAL (SELECT count(*) AS interactions, max(occurred_at) AS last_interaction_at
                           FROM interactions WHERE customer_id = c.id) i
     CROSS JOIN LATERAL (SELECT count(*) AS open_opportunities,
                                CASE WHEN min(p.currency) = max(p.currency) THEN sum(p.amount) END AS open_amount,
                                CASE WHEN min(p.currency) = max(p.currency) THEN min(p.currency) END AS open_currency
                           FROM opportunities p JOIN pipeline_stages s ON s.id = p.stage_id
                          WHERE p.customer_id = c.id AND s.outcome = 'open') o;
COMMENT ON VIEW customer_overview IS 'each customer with what was said last and what is open; no sum over several currencies';

CREATE VIEW pipeline_summary WITH (security_invoker = true) AS
    SELECT l.name AS pipeline, s.position, s.name AS stage, s.outcome, o.currency,
           count(o.id) AS opportunities, sum(o.amount) AS amount,
           round(sum(o.amount * s.probability / 100), 2) AS expected_amount
      FROM pipelines l
      JOIN pipeline_stages s ON s.pipeline_id = l.id
      LEFT JOIN opportunities o ON o.stage_id = s.id
     GROUP BY l.name, s.position, s.name, s.outcome, o.currency;
COMMENT ON VIEW pipeline_summary IS 'opportunities by stage and currency, weighted by their probability';
