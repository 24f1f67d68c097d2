/*
 * Sales 1.1.0 to 1.0.0.  What 1.0.0 has no place for is put aside under "1.1.0" in metadata, from where an update takes
 * it back; a fixed price is put aside as a rule that is not active.  A source that no lead has goes.
 */
DROP VIEW product_sales, sales_forecast, price_list, quota_attainment, lead_funnel;

UPDATE quotas
   SET metadata = coalesce(metadata, '{}')
                  || jsonb_build_object('1.1.0', jsonb_build_object('stretch_target', stretch_target))
 WHERE stretch_target IS NOT NULL;
ALTER TABLE quotas DROP COLUMN stretch_target;

ALTER TABLE deals DISABLE TRIGGER touch;
UPDATE deals
   SET metadata = coalesce(metadata, '{}')
                  || jsonb_build_object('1.1.0', jsonb_build_object('forecast_category', forecast_category));
ALTER TABLE deals ENABLE TRIGGER touch;
DROP INDEX deals_expected_idx;
ALTER TABLE deals DROP COLUMN forecast_category;

UPDATE pricing_rules
   SET metadata = coalesce(metadata, '{}') || jsonb_build_object('1.1.0', jsonb_build_object('is_active', is_active)),
       kind = 'amount', is_active = false
 WHERE kind = 'fixed_price';
ALTER TABLE pricing_rules
    DROP CONSTRAINT pricing_rules_fixed_price_check,
    DROP CONSTRAINT pricing_rules_kind_check,
    ADD CONSTRAINT pricing_rules_kind_check CHECK (kind IN ('percent', 'amount'));
COMMENT ON TABLE pricing_rules IS 'what is taken off the list price, from which quantity and when';
COMMENT ON COLUMN pricing_rules.kind IS 'percent of the price, or an amount of each unit';

ALTER TABLE leads ADD COLUMN source text;
COMMENT ON COLUMN leads.source IS 'where it comes from';
ALTER TABLE leads DISABLE TRIGGER touch;
UPDATE leads l SET source = s.name FROM lead_sources s WHERE s.id = l.source_id;
ALTER TABLE leads ENABLE TRIGGER touch;
ALTER TABLE leads DROP COLUMN source_id;
DROP TABLE lead_sources;

CREATE VIEW lead_funnel WITH (security_invoker = true) AS
    SELECT coalesce(l.source, 'unknown') AS source, count(*) AS leads,
           count(*) FILTER (WHERE l.status <> 'new') AS contacted,
           count(*) FILTER (WHERE l.status IN ('qualified', 'converted')) AS qualified,
           count(*) FILTER (WHERE l.status = 'converted') AS converted,
           round(100.0 * count(*) FILTER (WHERE l.status = 'converted') / count(*), 1) AS conversion_percent,
           avg(l.converted_at - l.created_at) AS average_time
      FROM leads l
     GROUP BY coalesce(l.source, 'unknown');
COMMENT ON VIEW lead_funnel IS 'leads by source: how many came, were contacted, qualified and converted, and how fast';

CREATE VIEW quota_attainment WITH (security_invoker = true) AS
    SELECT q.id AS quota_id, p.name AS period, t.name AS team, q.user_id, q.measure, q.currency, q.target,
           a.reached, round(100 * a.reached / q.target, 1) AS attainment_percent
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
COMMENT ON VIEW quota_attainment IS 'each quota with what was reached, in percent of its target; other currencies do not count';

CREATE VIEW price_list WITH (security_invoker = true) AS
    SELECT p.sku, p.name, c.name AS configuration, q.min_quantity, p.currency, b.base_price, r.name AS rule,
           CASE r.kind WHEN 'percent' THEN round(b.base_price * (1 - r.value / 100), 2)
                       WHEN 'amount' THEN greatest(b.base_price - r.value, 0)
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
COMMENT ON VIEW price_list IS 'what a unit of each product and configuration costs today, from which quantity, and by which rule';
