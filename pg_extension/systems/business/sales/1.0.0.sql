/*
 * Sales 1.0.0: leads and what was done about them, deals through stages, what follows from a stage by itself, products
 * and their configurations, rules of price, quotas by period, and who reached them.
 *
 * The tables stand in a schema of one tenant, so they have no tenant column, and need no other system.  Foreign keys
 * stand inside CREATE TABLE, which spares their validation; each has an index.  A column that a later version replaces
 * stands last.
 */
CREATE TABLE teams (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE CHECK (name <> ''),
    region text,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE teams IS 'sales teams';
COMMENT ON COLUMN teams.id IS 'key';
COMMENT ON COLUMN teams.name IS 'unique name';
COMMENT ON COLUMN teams.region IS 'where the team sells';
COMMENT ON COLUMN teams.created_at IS 'when the row was made';

CREATE TABLE team_members (
    team_id uuid NOT NULL REFERENCES teams ON DELETE CASCADE,
    user_id text NOT NULL,
    role text NOT NULL DEFAULT 'representative' CHECK (role IN ('manager', 'representative')),
    joined_on date NOT NULL DEFAULT current_date,
    left_on date CHECK (left_on >= joined_on),
    PRIMARY KEY (team_id, user_id)
);
CREATE UNIQUE INDEX team_members_user_key ON team_members (user_id) WHERE left_on IS NULL;
COMMENT ON TABLE team_members IS 'who sells in which team; a user sells in one team at a time';
COMMENT ON COLUMN team_members.team_id IS 'the team; its members go with it';
COMMENT ON COLUMN team_members.user_id IS 'identifier of a user of the platform';
COMMENT ON COLUMN team_members.role IS 'manager or representative';
COMMENT ON COLUMN team_members.joined_on IS 'first day in the team';
COMMENT ON COLUMN team_members.left_on IS 'last day in the team; NULL while in it';

CREATE TABLE pipeline_stages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    position integer NOT NULL UNIQUE CHECK (position > 0),
    probability numeric(5, 2) NOT NULL CHECK (probability BETWEEN 0 AND 100),
    outcome text NOT NULL DEFAULT 'open' CHECK (outcome IN ('open', 'won', 'lost'))
);
COMMENT ON TABLE pipeline_stages IS 'the stages of a sale in their order';
COMMENT ON COLUMN pipeline_stages.id IS 'key';
COMMENT ON COLUMN pipeline_stages.name IS 'unique name';
COMMENT ON COLUMN pipeline_stages.position IS 'counts from 1';
COMMENT ON COLUMN pipeline_stages.probability IS 'of winning, in percent';
COMMENT ON COLUMN pipeline_stages.outcome IS 'open while the deal is worked on, else won or lost';

CREATE TABLE products (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    sku text NOT NULL UNIQUE CHECK (sku <> ''),
    name text NOT NULL,
    description text,
    unit text NOT NULL DEFAULT 'piece',
    list_price numeric(14, 2) NOT NULL CHECK (list_price >= 0),
    currency text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE products IS 'what is sold';
COMMENT ON COLUMN products.id IS 'key';
COMMENT ON COLUMN products.sku IS 'stock keeping unit, unique';
COMMENT ON COLUMN products.name IS 'name for people';
COMMENT ON COLUMN products.description IS 'what it is';
COMMENT ON COLUMN products.unit IS 'what a quantity counts';
COMMENT ON COLUMN products.list_price IS 'of a unit, before rules of price';
COMMENT ON COLUMN products.currency IS 'ISO 4217 code of the list price';
COMMENT ON COLUMN products.is_active IS 'whether it is offered';
COMMENT ON COLUMN products.created_at IS 'when the row was made';

CREATE TABLE product_configurations (
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    name text NOT NULL,
    options jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(options) = 'object'),
    price_adjustment numeric(14, 2) NOT NULL DEFAULT 0,
    is_default boolean NOT NULL DEFAULT false,
    PRIMARY KEY (product_id, name)
);
CREATE UNIQUE INDEX product_configurations_default_key ON product_configurations (product_id) WHERE is_default;
COMMENT ON TABLE product_configurations IS 'the ways in which a product can be had';
COMMENT ON COLUMN product_configurations.product_id IS 'the product; its configurations go with it';
COMMENT ON COLUMN product_configurations.name IS 'unique for the product';
COMMENT ON COLUMN product_configurations.options IS 'object: option and its value';
COMMENT ON COLUMN product_configurations.price_adjustment IS 'added to the list price, in its currency';
COMMENT ON COLUMN product_configurations.is_default IS 'at most one configuration of a product is the default';

CREATE TABLE pricing_rules (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    product_id uuid REFERENCES products ON DELETE CASCADE,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('percent', 'amount')),
    value numeric(14, 2) NOT NULL CHECK (value >= 0),
    min_quantity numeric(12, 3) NOT NULL DEFAULT 1 CHECK (min_quantity > 0),
    valid daterange NOT NULL DEFAULT '(,)' CHECK (NOT isempty(valid)),
    priority integer NOT NULL DEFAULT 0,
    is_active boolean NOT NULL DEFAULT true,
    metadata jsonb CHECK (jsonb_typeof(metadata) = 'object'),
    CHECK (kind <> 'percent' OR value <= 100)
);
CREATE INDEX pricing_rules_product_idx ON pricing_rules (product_id, min_quantity);
COMMENT ON TABLE pricing_rules IS 'what is taken off the list price, from which quantity and when';
COMMENT ON COLUMN pricing_rules.id IS 'key';
COMMENT ON COLUMN pricing_rules.product_id IS 'the product; NULL: all products';
COMMENT ON COLUMN pricing_rules.name IS 'what the rule is called on an offer';
COMMENT ON COLUMN pricing_rules.kind IS 'percent of the price, or an amount of each unit';
COMMENT ON COLUMN pricing_rules.value IS 'percent, or amount in the product''s currency';
COMMENT ON COLUMN pricing_rules.min_quantity IS 'from which quantity it holds';
COMMENT ON COLUMN pricing_rules.valid IS 'on which days it holds';
COMMENT ON COLUMN pricing_rules.priority IS 'of the rules that hold, the highest counts';
COMMENT ON COLUMN pricing_rules.is_active IS 'whether it is used';
COMMENT ON COLUMN pricing_rules.metadata IS 'object of whatever else is known';

CREATE TABLE leads (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL CHECK (name <> ''),
    company text,
    email text,
    phone text,
    status text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'contacted', 'qualified', 'unqualified', 'converted')),
    owner_id text,
    team_id uuid REFERENCES teams ON DELETE SET NULL,
    estimated_value numeric(14, 2) CHECK (estimated_value >= 0),
    currency text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
    customer_id uuid,
    notes text,
    converted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    source text,
    CHECK ((status = 'converted') = (converted_at IS NOT NULL))
);
CREATE INDEX leads_email_idx ON leads (lower(email));
CREATE INDEX leads_open_idx ON leads (status, owner_id) WHERE status IN ('new', 'contacted', 'qualified');
CREATE INDEX leads_team_idx ON leads (team_id);
CREATE INDEX leads_customer_idx ON leads (customer_id) WHERE customer_id IS NOT NULL;
COMMENT ON TABLE leads IS 'who may become a customer';
COMMENT ON COLUMN leads.id IS 'key';
COMMENT ON COLUMN leads.name IS 'name of the person; not empty';
COMMENT ON COLUMN leads.company IS 'where the person works';
COMMENT ON COLUMN leads.email IS 'electronic mail address';
COMMENT ON COLUMN leads.phone IS 'number';
COMMENT ON COLUMN leads.status IS 'new, contacted, qualified, unqualified or converted';
COMMENT ON COLUMN leads.owner_id IS 'the user who follows it up';
COMMENT ON COLUMN leads.team_id IS 'the team that follows it up';
COMMENT ON COLUMN leads.estimated_value IS 'what it may be worth, in the currency';
COMMENT ON COLUMN leads.currency IS 'ISO 4217 code';
COMMENT ON COLUMN leads.customer_id IS
    'key of the customer in the CRM, where the tenant has one: a link, no foreign key';
COMMENT ON COLUMN leads.notes IS 'free text';
COMMENT ON COLUMN leads.converted_at IS 'when it became a deal; there exactly when the status is converted';
COMMENT ON COLUMN leads.created_at IS 'when the row was made';
COMMENT ON COLUMN leads.updated_at IS 'when the row was last changed; kept by a trigger';
COMMENT ON COLUMN leads.source IS 'where it comes from';
CREATE TRIGGER touch BEFORE UPDATE ON leads
    FOR EACH ROW EXECUTE FUNCTION tenancy.business_touch();

CREATE TABLE deals (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    lead_id uuid REFERENCES leads ON DELETE SET NULL,
    stage_id uuid NOT NULL REFERENCES pipeline_stages,
    name text NOT NULL CHECK (name <> ''),
    owner_id text,
    team_id uuid REFERENCES teams ON DELETE SET NULL,
    amount numeric(14, 2) NOT NULL DEFAULT 0 CHECK (amount >= 0),
    currency text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
    expected_close_date date,
    closed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    metadata jsonb CHECK (jsonb_typeof(metadata) = 'object')
);
CREATE UNIQUE INDEX deals_lead_key ON deals (lead_id);
CREATE INDEX deals_stage_idx ON deals (stage_id);
CREATE INDEX deals_team_idx ON deals (team_id);
CREATE INDEX deals_owner_idx ON deals (owner_id, closed_at);
COMMENT ON TABLE deals IS 'sales that are under way or over';
COMMENT ON COLUMN deals.id IS 'key';
COMMENT ON COLUMN deals.lead_id IS 'the lead that it came from, which becomes one deal';
COMMENT ON COLUMN deals.stage_id IS 'how far it has come; a stage in use cannot be deleted';
COMMENT ON COLUMN deals.name IS 'what is sold to whom; not empty';
COMMENT ON COLUMN deals.owner_id IS 'the user who sells';
COMMENT ON COLUMN deals.team_id IS 'the team that sells';
COMMENT ON COLUMN deals.amount IS 'value in the currency';
COMMENT ON COLUMN deals.currency IS 'ISO 4217 code';
COMMENT ON COLUMN deals.expected_close_date IS 'when it is hoped to be won';
COMMENT ON COLUMN deals.closed_at IS 'when it was won or lost; kept by a trigger';
COMMENT ON COLUMN deals.created_at IS 'when the row was made';
COMMENT ON COLUMN deals.updated_at IS 'when the row was last changed; kept by a trigger';
COMMENT ON COLUMN deals.metadata IS 'object of whatever else is known';
CREATE TRIGGER touch BEFORE UPDATE ON deals
    FOR EACH ROW EXECUTE FUNCTION tenancy.business_touch();
CREATE TRIGGER stamp_closing BEFORE INSERT OR UPDATE OF stage_id ON deals
    FOR EACH ROW EXECUTE FUNCTION tenancy.sales_stamp_closing();

CREATE TABLE deal_items (
    deal_id uuid NOT NULL REFERENCES deals ON DELETE CASCADE,
    line integer NOT NULL CHECK (line > 0),
    product_id uuid NOT NULL REFERENCES products,
    configuration text,
    quantity numeric(12, 3) NOT NULL CHECK (quantity > 0),
    unit_price numeric(14, 2) NOT NULL CHECK (unit_price >= 0),
    discount_percent numeric(5, 2) NOT NULL DEFAULT 0 CHECK (discount_percent BETWEEN 0 AND 100),
    amount numeric(16, 2) GENERATED ALWAYS AS (round(quantity * unit_price * (1 - discount_percent / 100), 2)) STORED,
    PRIMARY KEY (deal_id, line),
    FOREIGN KEY (product_id, configuration) REFERENCES product_configurations (product_id, name) ON UPDATE CASCADE
);
CREATE INDEX deal_items_product_idx ON deal_items (product_id, configuration);
COMMENT ON TABLE deal_items IS 'what a deal is made of, line by line, in the deal''s currency';
COMMENT ON COLUMN deal_items.deal_id IS 'the deal; its lines go with it';
COMMENT ON COLUMN deal_items.line IS 'counts from 1';
COMMENT ON COLUMN deal_items.product_id IS 'the product; one that was sold cannot be deleted';
COMMENT ON COLUMN deal_items.configuration IS 'a configuration of this product; NULL: none';
COMMENT ON COLUMN deal_items.quantity IS 'in the product''s unit';
COMMENT ON COLUMN deal_items.unit_price IS 'agreed price of a unit';
COMMENT ON COLUMN deal_items.discount_percent IS 'taken off the line';
COMMENT ON COLUMN deal_items.amount IS 'generated: quantity by price less discount';

CREATE TABLE deal_stages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deal_id uuid NOT NULL REFERENCES deals ON DELETE CASCADE,
    stage_id uuid NOT NULL REFERENCES pipeline_stages,
    entered_at timestamptz NOT NULL DEFAULT now(),
    changed_by text
);
CREATE INDEX deal_stages_deal_idx ON deal_stages (deal_id, entered_at);
CREATE INDEX deal_stages_stage_idx ON deal_stages (stage_id);
COMMENT ON TABLE deal_stages IS 'every stage that a deal has entered; written by a trigger';
COMMENT ON COLUMN deal_stages.id IS 'key, in the order of the changes';
COMMENT ON COLUMN deal_stages.deal_id IS 'the deal; its history goes with it';
COMMENT ON COLUMN deal_stages.stage_id IS 'the stage that it entered';
COMMENT ON COLUMN deal_stages.entered_at IS 'when it did';
COMMENT ON COLUMN deal_stages.changed_by IS 'the login that moved it';

CREATE TABLE automation_rules (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    event text NOT NULL CHECK (event IN ('lead_created', 'stage_entered')),
    stage_id uuid REFERENCES pipeline_stages ON DELETE CASCADE,
    task_title text NOT NULL,
    due_after interval NOT NULL DEFAULT '1 day' CHECK (due_after >= '0'),
    is_active boolean NOT NULL DEFAULT true,
    CHECK ((event = 'stage_entered') = (stage_id IS NOT NULL))
);
CREATE INDEX automation_rules_stage_idx ON automation_rules (stage_id);
COMMENT ON TABLE automation_rules IS 'which task comes up by itself when a lead arrives or a deal enters a stage';
COMMENT ON COLUMN automation_rules.id IS 'key';
COMMENT ON COLUMN automation_rules.name IS 'unique name';
COMMENT ON COLUMN automation_rules.event IS 'lead_created or stage_entered';
COMMENT ON COLUMN automation_rules.stage_id IS 'the stage that is entered; of stage_entered only';
COMMENT ON COLUMN automation_rules.task_title IS 'what is to be done';
COMMENT ON COLUMN automation_rules.due_after IS 'how soon it is due';
COMMENT ON COLUMN automation_rules.is_active IS 'whether it is used';

CREATE TABLE tasks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    lead_id uuid REFERENCES leads ON DELETE CASCADE,
    deal_id uuid REFERENCES deals ON DELETE CASCADE,
    rule_id uuid REFERENCES automation_rules ON DELETE SET NULL,
    kind text NOT NULL DEFAULT 'task' CHECK (kind IN ('task', 'call', 'email', 'meeting')),
    title text NOT NULL,
    assignee_id text,
    due_at timestamptz,
    done_at timestamptz,
    outcome text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(lead_id, deal_id) = 1)
);
CREATE INDEX tasks_lead_idx ON tasks (lead_id) WHERE lead_id IS NOT NULL;
CREATE INDEX tasks_deal_idx ON tasks (deal_id) WHERE deal_id IS NOT NULL;
CREATE INDEX tasks_rule_idx ON tasks (rule_id) WHERE rule_id IS NOT NULL;
CREATE INDEX tasks_due_idx ON tasks (assignee_id, due_at) WHERE done_at IS NULL;
COMMENT ON TABLE tasks IS 'what is to be done and was done about a lead or a deal';
COMMENT ON COLUMN tasks.id IS 'key';
COMMENT ON COLUMN tasks.lead_id IS 'the lead, if it is not about a deal';
COMMENT ON COLUMN tasks.deal_id IS 'the deal, if it is not about a lead';
COMMENT ON COLUMN tasks.rule_id IS 'the rule that made it; NULL if somebody did';
COMMENT ON COLUMN tasks.kind IS 'task, call, email or meeting';
COMMENT ON COLUMN tasks.title IS 'what is to be done';
COMMENT ON COLUMN tasks.assignee_id IS 'the user who is to do it';
COMMENT ON COLUMN tasks.due_at IS 'until when';
COMMENT ON COLUMN tasks.done_at IS 'when it was done; NULL while it is open';
COMMENT ON COLUMN tasks.outcome IS 'what came of it';
COMMENT ON COLUMN tasks.created_at IS 'when the row was made';
CREATE TRIGGER automate AFTER INSERT ON leads
    FOR EACH ROW EXECUTE FUNCTION tenancy.sales_automate_lead();
CREATE TRIGGER automate AFTER INSERT OR UPDATE OF stage_id ON deals
    FOR EACH ROW EXECUTE FUNCTION tenancy.sales_automate_deal();

CREATE TABLE periods (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    span daterange NOT NULL CHECK (NOT isempty(span) AND NOT lower_inf(span) AND NOT upper_inf(span)),
    EXCLUDE USING gist (span WITH &&)
);
COMMENT ON TABLE periods IS 'the periods for which quotas are set; they do not overlap';
COMMENT ON COLUMN periods.id IS 'key';
COMMENT ON COLUMN periods.name IS 'unique name';
COMMENT ON COLUMN periods.span IS 'its days';

CREATE TABLE quotas (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    period_id uuid NOT NULL REFERENCES periods ON DELETE CASCADE,
    team_id uuid REFERENCES teams ON DELETE CASCADE,
    user_id text,
    measure text NOT NULL DEFAULT 'revenue' CHECK (measure IN ('revenue', 'deals', 'leads')),
    target numeric(16, 2) NOT NULL CHECK (target > 0),
    currency text CHECK (currency ~ '^[A-Z]{3}$'),
    metadata jsonb CHECK (jsonb_typeof(metadata) = 'object'),
    CHECK (num_nonnulls(team_id, user_id) = 1),
    CHECK ((measure = 'revenue') = (currency IS NOT NULL)),
    UNIQUE (period_id, team_id, measure),
    UNIQUE (period_id, user_id, measure)
);
CREATE INDEX quotas_team_idx ON quotas (team_id) WHERE team_id IS NOT NULL;
COMMENT ON TABLE quotas IS 'what a team or a user is to reach in a period';
COMMENT ON COLUMN quotas.id IS 'key';
COMMENT ON COLUMN quotas.period_id IS 'the period; its quotas go with it';
COMMENT ON COLUMN quotas.team_id IS 'the team, if it is not a user''s';
COMMENT ON COLUMN quotas.user_id IS 'the user, if it is not a team''s';
COMMENT ON COLUMN quotas.measure IS 'revenue of deals won, number of deals won, or number of leads converted';
COMMENT ON COLUMN quotas.target IS 'how much, or how many';
COMMENT ON COLUMN quotas.currency IS 'ISO 4217 code; of revenue only';
COMMENT ON COLUMN quotas.metadata IS 'object of whatever else is known';

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

CREATE VIEW pipeline_summary WITH (security_invoker = true) AS
    SELECT s.position, s.name AS stage, s.outcome, d.currency, count(d.id) AS deals, sum(d.amount) AS amount,
           round(sum(d.amount * s.probability / 100), 2) AS expected_amount
      FROM pipeline_stages s
      LEFT JOIN deals d ON d.stage_id = s.id
     GROUP BY s.position, s.name, s.outcome, d.currency;
COMMENT ON VIEW pipeline_summary IS 'deals by stage and currency, weighted by their probability';

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

CREATE VIEW team_performance WITH (security_invoker = true) AS
    SELECT t.name AS team, d.owner_id AS user_id, d.currency,
           count(*) FILTER (WHERE s.outcome = 'open') AS open_deals,
           count(*) FILTER (WHERE s.outcome = 'won') AS won_deals,
           count(*) FILTER (WHERE s.outcome = 'lost') AS lost_deals,
           round(100.0 * count(*) FILTER (WHERE s.outcome = 'won')
                 / nullif(count(*) FILTER (WHERE s.outcome <> 'open'), 0), 1) AS win_percent,
           coalesce(sum(d.amount) FILTER (WHERE s.outcome = 'won'), 0) AS revenue,
           round(avg(d.amount) FILTER (WHERE s.outcome = 'won'), 2) AS average_deal,
           avg(d.closed_at - d.created_at) FILTER (WHERE s.outcome = 'won') AS average_cycle
      FROM deals d
      JOIN pipeline_stages s ON s.id = d.stage_id
      LEFT JOIN teams t ON t.id = d.team_id
     GROUP BY t.name, d.owner_id, d.currency;
COMMENT ON VIEW team_performance IS 'what each seller of each team won and lost, by currency, and how fast';

CREATE VIEW stage_conversion WITH (security_invoker = true) AS
    SELECT s.position, s.name AS stage, count(*) AS entered, count(h.left_at) AS moved_on,
           round(100.0 * count(h.left_at) / count(*), 1) AS moved_on_percent,
           avg(h.left_at - h.entered_at) AS average_stay
      FROM (SELECT stage_id, entered_at,
                   lead(entered_at) OVER (PARTITION BY deal_id ORDER BY entered_at, id) AS left_at
              FROM deal_stages) h
      JOIN pipeline_stages s ON s.id = h.stage_id
     GROUP BY s.position, s.name;
COMMENT ON VIEW stage_conversion IS 'how many deals entered a stage, how many moved on, and how long they stayed';

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

INSERT INTO pipeline_stages (name, position, probability, outcome)
VALUES ('Prospecting', 1, 10, 'open'), ('Qualification', 2, 25, 'open'), ('Proposal', 3, 50, 'open'),
       ('Negotiation', 4, 75, 'open'), ('Won', 5, 100, 'won'), ('Lost', 6, 0, 'lost');

INSERT INTO automation_rules (name, event, task_title, due_after)
VALUES ('Call a new lead', 'lead_created', 'First call', '1 day');
INSERT INTO automation_rules (name, event, stage_id, task_title, due_after)
SELECT 'Follow up a proposal', 'stage_entered', id, 'Follow up the proposal', '3 days'
  FROM pipeline_stages WHERE name = 'Proposal';
