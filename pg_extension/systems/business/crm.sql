
/*
 * crm.sql — customer relationship management: who the customers are, what was said, how the relationship went, what is
 * being sold, who looks after whom, and fields of the tenant's own.
 *
 * The tables stand in a schema of one tenant, so they have no tenant column.  Foreign keys stand inside CREATE TABLE,
 * which spares their validation.  Triggers use the one function below: functions are not made for each tenant.
 */

CREATE FUNCTION tenancy.crm_record_relationship() RETURNS trigger
    LANGUAGE plpgsql SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.relationship_status IS DISTINCT FROM OLD.relationship_status THEN
        EXECUTE format('INSERT INTO %I.relationship_history (customer_id, old_status, new_status, changed_by) '
                       'VALUES ($1, $2, $3, $4)', TG_TABLE_SCHEMA)
          USING NEW.id, CASE TG_OP WHEN 'UPDATE' THEN OLD.relationship_status END, NEW.relationship_status,
                session_user::text;
    END IF;
    RETURN NULL;
END
$function$;
COMMENT ON FUNCTION tenancy.crm_record_relationship() IS
    'CRM: writes each change of a customer''s relationship status to relationship_history';

REVOKE ALL ON FUNCTION tenancy.crm_record_relationship() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenancy.crm_record_relationship() TO tenancy_owner;

SELECT tenancy.register_system('crm', 'CRM', 'crm', 'pg_tenancy',
    'Customer relationship management: customers, interactions, relationship history, opportunities, teams, custom fields');

SELECT tenancy.register_version('crm', '1.0.0', $script$
CREATE TABLE teams (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    description text,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE teams IS 'groups of users who look after customers';

CREATE TABLE team_members (
    team_id uuid NOT NULL REFERENCES teams ON DELETE CASCADE,
    user_id text NOT NULL,
    role text NOT NULL DEFAULT 'member' CHECK (role IN ('lead', 'member')),
    joined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, user_id)
);
COMMENT ON TABLE team_members IS 'who belongs to which team';

CREATE TABLE customers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind text NOT NULL DEFAULT 'organization' CHECK (kind IN ('organization', 'person')),
    name text NOT NULL CHECK (name <> ''),
    email text,
    phone text,
    website text,
    industry text,
    address jsonb,
    source text,
    owner_id text,
    relationship_status text NOT NULL DEFAULT 'lead'
        CHECK (relationship_status IN ('lead', 'prospect', 'customer', 'inactive', 'lost')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX customers_email_key ON customers (lower(email));
CREATE INDEX customers_name_idx ON customers (name);
CREATE INDEX customers_status_idx ON customers (relationship_status);
COMMENT ON TABLE customers IS 'customer profiles';
COMMENT ON COLUMN customers.owner_id IS 'the user who looks after the customer';
COMMENT ON COLUMN customers.relationship_status IS 'where the relationship stands; its changes are in relationship_history';

CREATE TABLE contacts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
    name text NOT NULL,
    position text,
    email text,
    phone text,
    is_primary boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX contacts_customer_idx ON contacts (customer_id);
CREATE UNIQUE INDEX contacts_primary_key ON contacts (customer_id) WHERE is_primary;
COMMENT ON TABLE contacts IS 'the people to talk to at a customer, one of them the primary one';

CREATE TABLE relationship_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
    old_status text,
    new_status text NOT NULL,
    changed_by text,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX relationship_history_customer_idx ON relationship_history (customer_id, changed_at);
COMMENT ON TABLE relationship_history IS 'every relationship status that a customer has had; written by a trigger';
CREATE TRIGGER record_relationship AFTER INSERT OR UPDATE OF relationship_status ON customers
    FOR EACH ROW EXECUTE FUNCTION tenancy.crm_record_relationship();

CREATE TABLE pipelines (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    is_default boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX pipelines_default_key ON pipelines (is_default) WHERE is_default;
COMMENT ON TABLE pipelines IS 'the ways by which opportunities become deals';

CREATE TABLE pipeline_stages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    pipeline_id uuid NOT NULL REFERENCES pipelines ON DELETE CASCADE,
    name text NOT NULL,
    position integer NOT NULL CHECK (position > 0),
    probability numeric(5, 2) NOT NULL CHECK (probability BETWEEN 0 AND 100),
    outcome text NOT NULL DEFAULT 'open' CHECK (outcome IN ('open', 'won', 'lost')),
    UNIQUE (pipeline_id, name),
    UNIQUE (pipeline_id, position)
);
COMMENT ON TABLE pipeline_stages IS 'the stages of a pipeline in their order';
COMMENT ON COLUMN pipeline_stages.probability IS 'of winning, in percent';

CREATE TABLE opportunities (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
    stage_id uuid NOT NULL REFERENCES pipeline_stages,
    name text NOT NULL,
    amount numeric(14, 2) CHECK (amount >= 0),
    currency text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
    owner_id text,
    expected_close_date date,
    closed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX opportunities_customer_idx ON opportunities (customer_id);
CREATE INDEX opportunities_stage_idx ON opportunities (stage_id);
COMMENT ON TABLE opportunities IS 'what may be sold to a customer, and how far that has come';

CREATE TABLE interactions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
    contact_id uuid REFERENCES contacts ON DELETE SET NULL,
    opportunity_id uuid REFERENCES opportunities ON DELETE SET NULL,
    channel text NOT NULL CHECK (channel IN ('email', 'call', 'meeting', 'chat', 'letter', 'note')),
    direction text NOT NULL DEFAULT 'outbound' CHECK (direction IN ('inbound', 'outbound', 'internal')),
    subject text,
    body text,
    user_id text,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX interactions_customer_idx ON interactions (customer_id, occurred_at);
COMMENT ON TABLE interactions IS 'communication history: what was said to whom, when and by which channel';

CREATE TABLE team_assignments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    team_id uuid NOT NULL REFERENCES teams ON DELETE CASCADE,
    customer_id uuid REFERENCES customers ON DELETE CASCADE,
    opportunity_id uuid REFERENCES opportunities ON DELETE CASCADE,
    role text NOT NULL DEFAULT 'owner' CHECK (role IN ('owner', 'support')),
    assigned_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(customer_id, opportunity_id) = 1),
    UNIQUE (team_id, customer_id),
    UNIQUE (team_id, opportunity_id)
);
CREATE INDEX team_assignments_customer_idx ON team_assignments (customer_id);
CREATE INDEX team_assignments_opportunity_idx ON team_assignments (opportunity_id);
COMMENT ON TABLE team_assignments IS 'which team looks after which customer or opportunity';

CREATE TABLE custom_fields (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    entity text NOT NULL CHECK (entity IN ('customer', 'contact', 'opportunity', 'interaction')),
    field_key text NOT NULL CHECK (field_key ~ '^[a-z][a-z0-9_]*$'),
    label text NOT NULL,
    data_type text NOT NULL CHECK (data_type IN ('string', 'number', 'boolean', 'array', 'object')),
    is_required boolean NOT NULL DEFAULT false,
    options jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (entity, field_key),
    UNIQUE (id, data_type)
);
COMMENT ON TABLE custom_fields IS 'fields that the tenant has added, and to what';

CREATE TABLE custom_field_values (
    field_id uuid NOT NULL,
    data_type text NOT NULL,
    entity_id uuid NOT NULL,
    value jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (field_id, entity_id),
    FOREIGN KEY (field_id, data_type) REFERENCES custom_fields (id, data_type) ON DELETE CASCADE ON UPDATE CASCADE,
    CHECK (jsonb_typeof(value) IN (data_type, 'null'))
);
CREATE INDEX custom_field_values_entity_idx ON custom_field_values (entity_id);
COMMENT ON TABLE custom_field_values IS 'what a custom field holds for one customer, contact, opportunity or interaction';

CREATE VIEW customer_overview WITH (security_invoker = true) AS
    SELECT c.id, c.name, c.relationship_status, c.owner_id,
           i.interactions, i.last_interaction_at, o.open_opportunities, o.open_amount
      FROM customers c
     CROSS JOIN LATERAL (SELECT count(*) AS interactions, max(occurred_at) AS last_interaction_at
                           FROM interactions WHERE customer_id = c.id) i
     CROSS JOIN LATERAL (SELECT count(*) AS open_opportunities, sum(p.amount) AS open_amount
                           FROM opportunities p JOIN pipeline_stages s ON s.id = p.stage_id
                          WHERE p.customer_id = c.id AND s.outcome = 'open') o;
COMMENT ON VIEW customer_overview IS 'each customer with what was said last and what is open';

CREATE VIEW pipeline_summary WITH (security_invoker = true) AS
    SELECT l.name AS pipeline, s.position, s.name AS stage, s.outcome, o.currency,
           count(o.id) AS opportunities, sum(o.amount) AS amount,
           round(sum(o.amount * s.probability / 100), 2) AS expected_amount
      FROM pipelines l
      JOIN pipeline_stages s ON s.pipeline_id = l.id
      LEFT JOIN opportunities o ON o.stage_id = s.id
     GROUP BY l.name, s.position, s.name, s.outcome, o.currency;
COMMENT ON VIEW pipeline_summary IS 'opportunities by stage and currency, weighted by their probability';

WITH pipeline AS (INSERT INTO pipelines (name, is_default) VALUES ('Sales', true) RETURNING id)
INSERT INTO pipeline_stages (pipeline_id, name, position, probability, outcome)
SELECT pipeline.id, stage.*
  FROM pipeline,
       (VALUES ('Qualification', 1, 10, 'open'), ('Proposal', 2, 40, 'open'), ('Negotiation', 3, 70, 'open'),
               ('Won', 4, 100, 'won'), ('Lost', 5, 0, 'lost')) stage;
$script$, 'First version.');
