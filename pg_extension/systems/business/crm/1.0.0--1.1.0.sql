/*
 * CRM 1.0.0 to 1.1.0: addresses have a table, opportunities remember their stages, channels of today.
 *
 * What a rollback from 1.1.0 put aside under "1.1.0" in metadata and address comes back.
 */
ALTER TABLE customers ADD COLUMN status_since timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN customers.status_since IS 'since when the relationship stands there; kept by a trigger';
ALTER TABLE customers DISABLE TRIGGER touch;
UPDATE customers c
   SET status_since = coalesce((SELECT max(h.changed_at) FROM relationship_history h WHERE h.customer_id = c.id),
                               c.created_at);
ALTER TABLE customers ENABLE TRIGGER touch;
CREATE TRIGGER stamp_status BEFORE UPDATE OF relationship_status ON customers
    FOR EACH ROW EXECUTE FUNCTION tenancy.crm_stamp_status();

CREATE TABLE addresses (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
    kind text NOT NULL DEFAULT 'main' CHECK (kind IN ('main', 'billing', 'shipping', 'visiting')),
    street text,
    city text,
    region text,
    postal_code text,
    country text,
    details jsonb CHECK (jsonb_typeof(details) = 'object'),
    UNIQUE (customer_id, kind)
);
CREATE INDEX addresses_place_idx ON addresses (country, city);
COMMENT ON TABLE addresses IS 'where customers are, one address of a kind each';
COMMENT ON COLUMN addresses.id IS 'key';
COMMENT ON COLUMN addresses.customer_id IS 'whose address; goes with the customer';
COMMENT ON COLUMN addresses.kind IS 'main, billing, shipping or visiting';
COMMENT ON COLUMN addresses.street IS 'street and number';
COMMENT ON COLUMN addresses.city IS 'town';
COMMENT ON COLUMN addresses.region IS 'state, province or county';
COMMENT ON COLUMN addresses.postal_code IS 'as it is written there';
COMMENT ON COLUMN addresses.country IS 'name or ISO 3166 code';
COMMENT ON COLUMN addresses.details IS 'object of whatever else is known';


-- A key whose value is a string has a column; the rest of the object stays an object.
INSERT INTO addresses (customer_id, kind, street, city, region, postal_code, country, details)
SELECT c.id, a.kind, s.value ->> 'street', s.value ->> 'city', s.value ->> 'region', s.value ->> 'postal_code',
       s.value ->> 'country', nullif(a.value - ARRAY(SELECT jsonb_object_keys(s.value)), '{}')
  FROM customers c
 CROSS JOIN LATERAL (SELECT 'main' AS kind, c.address - '1.1.0' AS value
                      WHERE c.address - '1.1.0' <> '{}' OR NOT c.address ? '1.1.0'
                     UNION ALL
                     SELECT key, value FROM jsonb_each(c.address -> '1.1.0')) a
 CROSS JOIN LATERAL (SELECT coalesce(jsonb_object_agg(key, value), '{}') AS value
                       FROM jsonb_each(a.value)
                      WHERE jsonb_typeof(value) = 'string'
                        AND key IN ('street', 'city', 'region', 'postal_code', 'country')) s;
ALTER TABLE customers DROP COLUMN address;

ALTER TABLE opportunities
    ADD COLUMN probability numeric(5, 2) CHECK (probability BETWEEN 0 AND 100),
    ADD COLUMN lost_reason text;
COMMENT ON COLUMN opportunities.probability IS 'of winning, in percent; NULL: that of the stage';
COMMENT ON COLUMN opportunities.lost_reason IS 'why it was lost';
CREATE INDEX opportunities_expected_idx ON opportunities (expected_close_date) WHERE closed_at IS NULL;

CREATE TABLE opportunity_stages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    opportunity_id uuid NOT NULL REFERENCES opportunities ON DELETE CASCADE,
    stage_id uuid NOT NULL REFERENCES pipeline_stages ON DELETE CASCADE,
    entered_at timestamptz NOT NULL DEFAULT now(),
    changed_by text
);
CREATE INDEX opportunity_stages_opportunity_idx ON opportunity_stages (opportunity_id, entered_at);
CREATE INDEX opportunity_stages_stage_idx ON opportunity_stages (stage_id);
COMMENT ON TABLE opportunity_stages IS 'every stage that an opportunity has entered; written by a trigger';
COMMENT ON COLUMN opportunity_stages.id IS 'key, in the order of the changes';
COMMENT ON COLUMN opportunity_stages.opportunity_id IS 'the opportunity; its history goes with it';
COMMENT ON COLUMN opportunity_stages.stage_id IS 'the stage that it entered';
COMMENT ON COLUMN opportunity_stages.entered_at IS 'when it did';
COMMENT ON COLUMN opportunity_stages.changed_by IS 'the login that moved it';
INSERT INTO opportunity_stages (opportunity_id, stage_id, entered_at, changed_by)
SELECT o.id, h.stage_id, h.entered_at, h.changed_by
  FROM opportunities o,
       jsonb_to_recordset(o.metadata -> '1.1.0' -> 'stages')
           AS h (id bigint, stage_id uuid, entered_at timestamptz, changed_by text)
 WHERE EXISTS (SELECT FROM pipeline_stages s WHERE s.id = h.stage_id)
 ORDER BY h.id;
INSERT INTO opportunity_stages (opportunity_id, stage_id, entered_at)
SELECT o.id, o.stage_id, o.updated_at
  FROM opportunities o
 WHERE o.stage_id IS DISTINCT FROM (SELECT h.stage_id FROM opportunity_stages h
                                     WHERE h.opportunity_id = o.id ORDER BY h.entered_at DESC, h.id DESC LIMIT 1)
 ORDER BY o.created_at, o.id;
ALTER TABLE opportunities DISABLE TRIGGER touch;
UPDATE opportunities
   SET probability = (metadata -> '1.1.0' ->> 'probability')::numeric,
       lost_reason = metadata -> '1.1.0' ->> 'lost_reason',
       metadata = nullif(metadata - '1.1.0', '{}')
 WHERE metadata ? '1.1.0';
ALTER TABLE opportunities ENABLE TRIGGER touch;
CREATE TRIGGER record_stage AFTER INSERT OR UPDATE OF stage_id ON opportunities
    FOR EACH ROW EXECUTE FUNCTION tenancy.crm_record_stage();

ALTER TABLE interactions
    DROP CONSTRAINT interactions_channel_check,
    ADD CONSTRAINT interactions_channel_check
        CHECK (channel IN ('email', 'call', 'meeting', 'chat', 'letter', 'note', 'sms', 'social', 'video'));
UPDATE interactions
   SET channel = metadata -> '1.1.0' ->> 'channel',
       metadata = nullif(metadata - '1.1.0', '{}')
 WHERE metadata ? '1.1.0';

CREATE OR REPLACE VIEW customer_overview WITH (security_invoker = true) AS
    SELECT c.id, c.name, c.relationship_status, c.owner_id,
           i.interactions, i.last_interaction_at, o.open_opportunities, o.open_amount, o.open_currency,
           c.status_since, a.city, a.country
      FROM customers c
      LEFT JOIN addresses a ON a.customer_id = c.id AND a.kind = 'main'
     CROSS JOIN LATERAL (SELECT count(*) AS interactions, max(occurred_at) AS last_interaction_at
                           FROM interactions WHERE customer_id = c.id) i
     CROSS JOIN LATERAL (SELECT count(*) AS open_opportunities,
                                CASE WHEN min(p.currency) = max(p.currency) THEN sum(p.amount) END AS open_amount,
                                CASE WHEN min(p.currency) = max(p.currency) THEN min(p.currency) END AS open_currency
                           FROM opportunities p JOIN pipeline_stages s ON s.id = p.stage_id
                          WHERE p.customer_id = c.id AND s.outcome = 'open') o;
COMMENT ON VIEW customer_overview IS
    'each customer with where it is, what was said last and what is open; no sum over several currencies';

CREATE OR REPLACE VIEW pipeline_summary WITH (security_invoker = true) AS
    SELECT l.name AS pipeline, s.position, s.name AS stage, s.outcome, o.currency,
           count(o.id) AS opportunities, sum(o.amount) AS amount,
           round(sum(o.amount * coalesce(o.probability, s.probability) / 100), 2) AS expected_amount
      FROM pipelines l
      JOIN pipeline_stages s ON s.pipeline_id = l.id
      LEFT JOIN opportunities o ON o.stage_id = s.id
     GROUP BY l.name, s.position, s.name, s.outcome, o.currency;
COMMENT ON VIEW pipeline_summary IS
    'opportunities by stage and currency, weighted by their own probability or the stage''s';

CREATE VIEW pipeline_velocity WITH (security_invoker = true) AS
    SELECT l.name AS pipeline, s.position, s.name AS stage, count(*) AS entered, count(h.left_at) AS moved_on,
           avg(h.left_at - h.entered_at) AS average_stay
      FROM (SELECT stage_id, entered_at,
                   lead(entered_at) OVER (PARTITION BY opportunity_id ORDER BY entered_at, id) AS left_at
              FROM opportunity_stages) h
      JOIN pipeline_stages s ON s.id = h.stage_id
      JOIN pipelines l ON l.id = s.pipeline_id
     GROUP BY l.name, s.position, s.name;
COMMENT ON VIEW pipeline_velocity IS 'how many opportunities entered a stage, how many moved on, and how long they stayed';
