/*
 * CRM 1.0.0: who the customers are, what was said to them, how the relationship went, what is being sold, who looks
 * after whom, and fields of the tenant's own.
 *
 * The tables stand in a schema of one tenant, so they have no tenant column.  Foreign keys stand inside CREATE TABLE,
 * which spares their validation; each has an index.  A column that a later version replaces stands last.
 */
CREATE TABLE teams (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    description text,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE teams IS 'groups of users who look after customers';
COMMENT ON COLUMN teams.id IS 'key';
COMMENT ON COLUMN teams.name IS 'unique name';
COMMENT ON COLUMN teams.description IS 'what the team is for';
COMMENT ON COLUMN teams.created_at IS 'when the row was made';

CREATE TABLE team_members (
    team_id uuid NOT NULL REFERENCES teams ON DELETE CASCADE,
    user_id text NOT NULL,
    role text NOT NULL DEFAULT 'member' CHECK (role IN ('lead', 'member')),
    joined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_members_user_idx ON team_members (user_id);
COMMENT ON TABLE team_members IS 'who belongs to which team';
COMMENT ON COLUMN team_members.team_id IS 'the team; its members go with it';
COMMENT ON COLUMN team_members.user_id IS 'identifier of a user of the platform';
COMMENT ON COLUMN team_members.role IS 'lead or member';
COMMENT ON COLUMN team_members.joined_at IS 'since when';

CREATE TABLE customers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind text NOT NULL DEFAULT 'organization' CHECK (kind IN ('organization', 'person')),
    name text NOT NULL CHECK (name <> ''),
    email text,
    phone text,
    website text,
    industry text,
    source text,
    owner_id text,
    relationship_status text NOT NULL DEFAULT 'lead'
        CHECK (relationship_status IN ('lead', 'prospect', 'customer', 'inactive', 'lost')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    address jsonb CHECK (jsonb_typeof(address) = 'object')
);
CREATE UNIQUE INDEX customers_email_key ON customers (lower(email));
CREATE INDEX customers_name_idx ON customers (name);
CREATE INDEX customers_status_idx ON customers (relationship_status);
COMMENT ON TABLE customers IS 'customer profiles';
COMMENT ON COLUMN customers.id IS 'key';
COMMENT ON COLUMN customers.kind IS 'organization or person';
COMMENT ON COLUMN customers.name IS 'name to call the customer by; not empty';
COMMENT ON COLUMN customers.email IS 'unique whatever its case';
COMMENT ON COLUMN customers.phone IS 'main number';
COMMENT ON COLUMN customers.website IS 'URL';
COMMENT ON COLUMN customers.industry IS 'line of business';
COMMENT ON COLUMN customers.source IS 'how the customer was found';
COMMENT ON COLUMN customers.owner_id IS 'the user who looks after the customer';
COMMENT ON COLUMN customers.relationship_status IS
    'where the relationship stands; its changes are in relationship_history';
COMMENT ON COLUMN customers.created_at IS 'when the row was made';
COMMENT ON COLUMN customers.updated_at IS 'when the row was last changed; kept by a trigger';
COMMENT ON COLUMN customers.address IS 'object with street, city, region, postal_code and country';
CREATE TRIGGER touch BEFORE UPDATE ON customers
    FOR EACH ROW EXECUTE FUNCTION tenancy.business_touch();

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
COMMENT ON COLUMN contacts.id IS 'key';
COMMENT ON COLUMN contacts.customer_id IS 'whose contact; goes with the customer';
COMMENT ON COLUMN contacts.name IS 'full name';
COMMENT ON COLUMN contacts.position IS 'what the person does there';
COMMENT ON COLUMN contacts.email IS 'electronic mail address';
COMMENT ON COLUMN contacts.phone IS 'number';
COMMENT ON COLUMN contacts.is_primary IS 'at most one contact of a customer is the primary one';
COMMENT ON COLUMN contacts.created_at IS 'when the row was made';

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
COMMENT ON COLUMN relationship_history.id IS 'key, in the order of the changes';
COMMENT ON COLUMN relationship_history.customer_id IS 'whose relationship; goes with the customer';
COMMENT ON COLUMN relationship_history.old_status IS 'NULL when the customer was new';
COMMENT ON COLUMN relationship_history.new_status IS 'the status from then on';
COMMENT ON COLUMN relationship_history.changed_by IS 'the login that changed it';
COMMENT ON COLUMN relationship_history.changed_at IS 'when it changed';
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
COMMENT ON COLUMN pipelines.id IS 'key';
COMMENT ON COLUMN pipelines.name IS 'unique name';
COMMENT ON COLUMN pipelines.is_default IS 'at most one pipeline is the default';
COMMENT ON COLUMN pipelines.created_at IS 'when the row was made';

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
COMMENT ON COLUMN pipeline_stages.id IS 'key';
COMMENT ON COLUMN pipeline_stages.pipeline_id IS 'the pipeline; its stages go with it';
COMMENT ON COLUMN pipeline_stages.name IS 'unique within the pipeline';
COMMENT ON COLUMN pipeline_stages.position IS 'counts from 1 within the pipeline';
COMMENT ON COLUMN pipeline_stages.probability IS 'of winning, in percent';
COMMENT ON COLUMN pipeline_stages.outcome IS 'open while the opportunity is worked on, else won or lost';

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
    updated_at timestamptz NOT NULL DEFAULT now(),
    metadata jsonb CHECK (jsonb_typeof(metadata) = 'object')
);
CREATE INDEX opportunities_customer_idx ON opportunities (customer_id);
CREATE INDEX opportunities_stage_idx ON opportunities (stage_id);
COMMENT ON TABLE opportunities IS 'what may be sold to a customer, and how far that has come';
COMMENT ON COLUMN opportunities.id IS 'key';
COMMENT ON COLUMN opportunities.customer_id IS 'the customer; its opportunities go with it';
COMMENT ON COLUMN opportunities.stage_id IS 'how far it has come; a stage in use cannot be deleted';
COMMENT ON COLUMN opportunities.name IS 'what would be sold';
COMMENT ON COLUMN opportunities.amount IS 'value in the currency; NULL while nobody knows';
COMMENT ON COLUMN opportunities.currency IS 'ISO 4217 code';
COMMENT ON COLUMN opportunities.owner_id IS 'the user who works on it';
COMMENT ON COLUMN opportunities.expected_close_date IS 'when it is hoped to be won';
COMMENT ON COLUMN opportunities.closed_at IS 'when it was won or lost';
COMMENT ON COLUMN opportunities.created_at IS 'when the row was made';
COMMENT ON COLUMN opportunities.updated_at IS 'when the row was last changed; kept by a trigger';
COMMENT ON COLUMN opportunities.metadata IS 'object of whatever else is known';
CREATE TRIGGER touch BEFORE UPDATE ON opportunities
    FOR EACH ROW EXECUTE FUNCTION tenancy.business_touch();

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
    created_at timestamptz NOT NULL DEFAULT now(),
    metadata jsonb CHECK (jsonb_typeof(metadata) = 'object')
);
CREATE INDEX interactions_customer_idx ON interactions (customer_id, occurred_at);
CREATE INDEX interactions_contact_idx ON interactions (contact_id) WHERE contact_id IS NOT NULL;
CREATE INDEX interactions_opportunity_idx ON interactions (opportunity_id) WHERE opportunity_id IS NOT NULL;
COMMENT ON TABLE interactions IS 'communication history: what was said to whom, when and by which channel';
COMMENT ON COLUMN interactions.id IS 'key';
COMMENT ON COLUMN interactions.customer_id IS 'the customer; the history goes with it';
COMMENT ON COLUMN interactions.contact_id IS 'with whom, if known';
COMMENT ON COLUMN interactions.opportunity_id IS 'about which opportunity, if any';
COMMENT ON COLUMN interactions.channel IS 'by which means';
COMMENT ON COLUMN interactions.direction IS 'inbound from the customer, outbound to it, or an internal note';
COMMENT ON COLUMN interactions.subject IS 'a line';
COMMENT ON COLUMN interactions.body IS 'what was said';
COMMENT ON COLUMN interactions.user_id IS 'the user who spoke or wrote';
COMMENT ON COLUMN interactions.occurred_at IS 'when it was said';
COMMENT ON COLUMN interactions.created_at IS 'when the row was made';
COMMENT ON COLUMN interactions.metadata IS 'object of whatever else is known';

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
COMMENT ON COLUMN team_assignments.id IS 'key';
COMMENT ON COLUMN team_assignments.team_id IS 'the team';
COMMENT ON COLUMN team_assignments.customer_id IS 'the customer, if it is not about an opportunity';
COMMENT ON COLUMN team_assignments.opportunity_id IS 'the opportunity, if it is not about a customer';
COMMENT ON COLUMN team_assignments.role IS 'owner answers for it, support helps';
COMMENT ON COLUMN team_assignments.assigned_at IS 'since when';

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
COMMENT ON COLUMN custom_fields.id IS 'key';
COMMENT ON COLUMN custom_fields.entity IS 'customer, contact, opportunity or interaction';
COMMENT ON COLUMN custom_fields.field_key IS 'name of the field for programs, unique for the entity';
COMMENT ON COLUMN custom_fields.label IS 'name of the field for people';
COMMENT ON COLUMN custom_fields.data_type IS 'JSON type of the values';
COMMENT ON COLUMN custom_fields.is_required IS 'whether forms ask for it';
COMMENT ON COLUMN custom_fields.options IS 'for forms: choices, limits';
COMMENT ON COLUMN custom_fields.created_at IS 'when the row was made';

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
COMMENT ON COLUMN custom_field_values.field_id IS 'the field; its values go with it';
COMMENT ON COLUMN custom_field_values.data_type IS 'the field''s type, so that the value is checked against it';
COMMENT ON COLUMN custom_field_values.entity_id IS 'key of the customer, contact, opportunity or interaction';
COMMENT ON COLUMN custom_field_values.value IS 'of the field''s type, or null';
COMMENT ON COLUMN custom_field_values.updated_at IS 'when it was set';

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

WITH pipeline AS (INSERT INTO pipelines (name, is_default) VALUES ('Sales', true) RETURNING id)
INSERT INTO pipeline_stages (pipeline_id, name, position, probability, outcome)
SELECT pipeline.id, stage.*
  FROM pipeline,
       (VALUES ('Qualification', 1, 10, 'open'), ('Proposal', 2, 40, 'open'), ('Negotiation', 3, 70, 'open'),
               ('Won', 4, 100, 'won'), ('Lost', 5, 0, 'lost')) stage;
