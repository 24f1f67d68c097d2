/*
 * Sales 1.0.0 to 1.1.0: sources of leads have a table, prices can be fixed, deals say how surely they are counted on,
 * quotas may be stretched.
 *
 * What a rollback from 1.1.0 put aside under "1.1.0" in metadata comes back.
 */
CREATE TABLE lead_sources (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    is_active boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE lead_sources IS 'where leads come from';
COMMENT ON COLUMN lead_sources.id IS 'key';
COMMENT ON COLUMN lead_sources.name IS 'unique name';
COMMENT ON COLUMN lead_sources.is_active IS 'whether it is offered to choose from';

INSERT INTO lead_sources (name)
SELECT DISTINCT source FROM leads WHERE source IS NOT NULL;
ALTER TABLE leads ADD COLUMN source_id uuid REFERENCES lead_sources ON DELETE SET NULL;
COMMENT ON COLUMN leads.source_id IS 'where it comes from';
ALTER TABLE leads DISABLE TRIGGER touch;
UPDATE leads l SET source_id = s.id FROM lead_sources s WHERE s.name = l.source;
ALTER TABLE leads ENABLE TRIGGER touch;
CREATE INDEX leads_source_idx ON leads (source_id);
CREATE OR REPLACE VIEW lead_funnel WITH (security_invoker = true) AS
    SELECT coalesce(s.name, 'unknown') AS source, count(*) AS leads,
           count(*) FILTER (WHERE l.status <> 'new') AS contacted,
           count(*) FILTER (WHERE l.status IN ('qualified', 'converted')) AS qualified,
           count(*) FILTER (WHERE l.status = 'converted') AS converted,
           round(100.0 * count(*) FILTER (WHERE l.status = 'converted') / count(*), 1) AS conversion_percent,
           avg(l.converted_at - l.created_at) AS average_time
      FROM leads l
      LEFT JOIN lead_sources s ON s.id = l.source_id
     GROUP BY coalesce(s.name, 'unknown');
ALTER TABLE leads DROP COLUMN source;

ALTER TABLE pricing_rules
    DROP CONSTRAINT pricing_rules_kind_check,
    ADD CONSTRAINT pricing_rules_kind_check CHECK (kind IN ('percent', 'amount', 'fixed_price')),
    ADD CONSTRAINT pricing_rules_fixed_price_check CHECK (kind <> 'fixed_price' OR product_id IS NOT NULL);
COMMENT ON TABLE pricing_rules IS 'what is taken off the list price or replaces it, from which quantity and when';
COMMENT ON COLUMN pricing_rules.kind IS 'percent of the price, an amount of each unit, or the price of a product''s unit';
UPDATE pricing_rules
   SET kind = 'fixed_price',
       is_active = (metadata -> '1.1.0' ->> 'is_active')::boolean,
       metadata = nullif(metadata - '1.1.0', '{}')
 WHERE metadata ? '1.1.0';

ALTER TABLE deals
    ADD COLUMN forecast_category text NOT NULL DEFAULT 'pipeline'
        CHECK (forecast_category IN ('omitted', 'pipeline', 'best_case', 'commit', 'closed'));
COMMENT ON COLUMN deals.forecast_category IS 'how surely the seller counts on it';
ALTER TABLE deals DISABLE TRIGGER touch;
UPDATE deals d
   SET forecast_category = coalesce(d.metadata -> '1.1.0' ->> 'forecast_category',
                                    CASE WHEN s.outcome = 'won' THEN 'closed' WHEN s.outcome = 'lost' THEN 'omitted'
                                         WHEN s.probability >= 75 THEN 'commit' WHEN s.probability >= 50 THEN 'best_case'
                                         ELSE 'pipeline' END),
       metadata = nullif(d.metadata - '1.1.0', '{}')
  FROM pipeline_stages s
 WHERE s.id = d.stage_id;
ALTER TABLE deals ENABLE TRIGGER touch;
CREATE INDEX deals_expected_idx ON deals (expected_close_date) WHERE closed_at IS NULL;

ALTER TABLE quotas
    ADD COLUMN stretch_target numeric(16, 2),
    ADD CONSTRAINT quotas_stretch_check CHECK (stretch_target >= target);
COMMENT ON COLUMN quotas.stretch_target IS 'what would be better still';
UPDATE quotas
   SET stretch_target = greatest((metadata -> '1.1.0' ->> 'stretch_target')::numeric, target),
       metadata = nullif(metadata - '1.1.0', '{}')
 WHERE metadata ? '1.1.0';

CREATE OR REPLACE VIEW quota_attainment WITH (security_invoker = true) AS
    SELECT q.id AS quota_id, p.name AS period, t.name AS team, q.user_id, q.measure, q.currency, q.target,
           a.reached, round(100 * a.reached / q.target, 1) AS attainment_percent,
           q.stretch_target, round(100 * a.reached / q.stretch_target, 1) AS stretch_percent
      FROM quotas q
      JOIN periods p ON p.id = q.period_id
      LEFT JOIN teams t ON t.id = q.team_id
     CROSS JOIN LATERAL (
         SELECT CASE q.measure WHEN 'revenue' THEN coalesce(sum(d.amount) FILTER (WHERE d.currency = q.currency), 0)
                               ELSE count(*) END AS reached
           FROM deals d
           JOIN pipeline_stages s ON s.id = d.stage_id AND s.outcome = 'won'
          WHERE q.measure <> 'leads' AND (d.team_id = q.team_id OR d.owner_id = q.user_id)
            AND d.closed_at >= lower(p.span) AND d.closed_at < upper(p.span)
         HAVING q.measure <> 'leads'
          UNION ALL
         SELECT count(*)
           FROM leads l
          WHERE q.measure = 'leads' AND (l.team_id = q.team_id OR l.owner_id = q.user_id)
            AND l.converted_at >= lower(p.span) AND l.converted_at < upper(p.span)
         HAVING q.measure = 'leads') a;

CREATE OR REPLACE VIEW price_list WITH (security_invoker = true) AS
    SELECT p.sku, p.name, c.name AS configuration, q.min_quantity, p.currency, b.base_price, r.name AS rule,
           CASE r.kind WHEN 'percent' THEN round(b.base_price * (1 - r.value / 100), 2)
                       WHEN 'amount' THEN greatest(b.base_price - r.value, 0)
                       WHEN 'fixed_price' THEN r.value + coalesce(c.price_adjustment, 0)
                       ELSE b.base_price END AS unit_price
      FROM products p
      LEFT JOIN product_configurations c ON c.product_id = p.id
     CROSS JOIN LATERAL (SELECT p.list_price + coalesce(c.price_adjustment, 0) AS base_price) b
     CROSS JOIN LATERAL (SELECT 1::numeric(12, 3) AS min_quantity
                          UNION
                         SELECT min_quantity FROM pricing_rules
                          WHERE is_active AND (product_id = p.id OR product_id IS NULL) AND valid @> current_date) q
      LEFT JOIN LATERAL (SELECT name, kind, value FROM pricing_rules
                          WHERE is_active AND (product_id = p.id OR product_id IS NULL) AND valid @> current_date
                            AND min_quantity <= q.min_quantity
                          ORDER BY priority DESC, product_id IS NULL, min_quantity DESC, id LIMIT 1) r ON true
     WHERE p.is_active;

CREATE VIEW sales_forecast WITH (security_invoker = true) AS
    SELECT date_trunc('month', d.expected_close_date::timestamp)::date AS month, d.forecast_category, d.currency,
           count(*) AS deals, sum(d.amount) AS amount,
           round(sum(d.amount * s.probability / 100), 2) AS expected_amount
      FROM deals d
      JOIN pipeline_stages s ON s.id = d.stage_id
     WHERE s.outcome = 'open'
     GROUP BY 1, d.forecast_category, d.currency;
COMMENT ON VIEW sales_forecast IS 'open deals by the month in which they are expected, category and currency';

CREATE VIEW product_sales WITH (security_invoker = true) AS
    SELECT p.sku, p.name, d.currency, count(DISTINCT d.id) AS deals, sum(i.quantity) AS quantity,
           sum(i.amount) AS revenue, round(avg(i.discount_percent), 2) AS average_discount_percent
      FROM deal_items i
      JOIN deals d ON d.id = i.deal_id
      JOIN pipeline_stages s ON s.id = d.stage_id AND s.outcome = 'won'
      JOIN products p ON p.id = i.product_id
     GROUP BY p.sku, p.name, d.currency;
COMMENT ON VIEW product_sales IS 'what was sold of each product, by currency';
