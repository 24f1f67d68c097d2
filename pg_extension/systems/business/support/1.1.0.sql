/*
 * Support 1.1.0: tickets and what was said about them, the ways that a ticket may go, times that were promised, and how
 * content the customers are.
 *
 * The tables stand in a schema of one tenant, so they have no tenant column, and need no other system.  Foreign keys
 * stand inside CREATE TABLE, which spares their validation; each has an index.  A column that a later version replaces
 * stands last.
 */
CREATE TABLE agents (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id text NOT NULL UNIQUE,
    name text NOT NULL,
    email text,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE agents IS 'who answers tickets';
COMMENT ON COLUMN agents.id IS 'key';
COMMENT ON COLUMN agents.user_id IS 'identifier of a user of the platform';
COMMENT ON COLUMN agents.name IS 'name that customers see';
COMMENT ON COLUMN agents.email IS 'electronic mail address';
COMMENT ON COLUMN agents.is_active IS 'whether tickets are given to the agent';
COMMENT ON COLUMN agents.created_at IS 'when the row was made';

CREATE TABLE queues (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    description text,
    is_default boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX queues_default_key ON queues (is_default) WHERE is_default;
COMMENT ON TABLE queues IS 'where tickets wait for an agent';
COMMENT ON COLUMN queues.id IS 'key';
COMMENT ON COLUMN queues.name IS 'unique name';
COMMENT ON COLUMN queues.description IS 'what belongs there';
COMMENT ON COLUMN queues.is_default IS 'at most one queue is the default';
COMMENT ON COLUMN queues.created_at IS 'when the row was made';

CREATE TABLE queue_agents (
    queue_id uuid NOT NULL REFERENCES queues ON DELETE CASCADE,
    agent_id uuid NOT NULL REFERENCES agents ON DELETE CASCADE,
    PRIMARY KEY (queue_id, agent_id)
);
CREATE INDEX queue_agents_agent_idx ON queue_agents (agent_id);
COMMENT ON TABLE queue_agents IS 'who works on which queue';
COMMENT ON COLUMN queue_agents.queue_id IS 'the queue';
COMMENT ON COLUMN queue_agents.agent_id IS 'the agent';

CREATE TABLE requesters (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL CHECK (name <> ''),
    email text,
    phone text,
    organization text,
    customer_id uuid,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX requesters_email_key ON requesters (lower(email));
CREATE INDEX requesters_customer_idx ON requesters (customer_id) WHERE customer_id IS NOT NULL;
COMMENT ON TABLE requesters IS 'the customers who ask';
COMMENT ON COLUMN requesters.id IS 'key';
COMMENT ON COLUMN requesters.name IS 'full name; not empty';
COMMENT ON COLUMN requesters.email IS 'unique whatever its case';
COMMENT ON COLUMN requesters.phone IS 'number';
COMMENT ON COLUMN requesters.organization IS 'for whom the person asks';
COMMENT ON COLUMN requesters.customer_id IS
    'key of the customer in the CRM, where the tenant has one: a link, no foreign key';
COMMENT ON COLUMN requesters.created_at IS 'when the row was made';

CREATE TABLE statuses (
    status text PRIMARY KEY CHECK (status ~ '^[a-z][a-z_]*$'),
    phase text NOT NULL CHECK (phase IN ('open', 'waiting', 'solved', 'closed')),
    position integer NOT NULL UNIQUE CHECK (position > 0),
    description text
);
COMMENT ON TABLE statuses IS 'workflow: the statuses that a ticket can have';
COMMENT ON COLUMN statuses.status IS 'name';
COMMENT ON COLUMN statuses.phase IS 'open: we act; waiting: the customer does; solved; closed: for good';
COMMENT ON COLUMN statuses.position IS 'order in which they are shown';
COMMENT ON COLUMN statuses.description IS 'what it means';

CREATE TABLE status_transitions (
    from_status text NOT NULL REFERENCES statuses ON DELETE CASCADE ON UPDATE CASCADE,
    to_status text NOT NULL REFERENCES statuses ON DELETE CASCADE ON UPDATE CASCADE,
    PRIMARY KEY (from_status, to_status),
    CHECK (from_status <> to_status)
);
CREATE INDEX status_transitions_to_idx ON status_transitions (to_status);
COMMENT ON TABLE status_transitions IS 'workflow: from which status a ticket may go to which; a trigger refuses others';
COMMENT ON COLUMN status_transitions.from_status IS 'the status before';
COMMENT ON COLUMN status_transitions.to_status IS 'the status after';

CREATE TABLE sla_policies (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    priority text NOT NULL CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    first_response interval NOT NULL CHECK (first_response > '0'),
    resolution interval NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (name, priority),
    CHECK (resolution >= first_response)
);
CREATE UNIQUE INDEX sla_policies_priority_key ON sla_policies (priority) WHERE is_active;
COMMENT ON TABLE sla_policies IS 'service levels: what is promised for tickets of a priority';
COMMENT ON COLUMN sla_policies.id IS 'key';
COMMENT ON COLUMN sla_policies.name IS 'unique with the priority';
COMMENT ON COLUMN sla_policies.priority IS 'low, normal, high or urgent; one active policy each';
COMMENT ON COLUMN sla_policies.first_response IS 'until the first public answer';
COMMENT ON COLUMN sla_policies.resolution IS 'until the ticket is solved';
COMMENT ON COLUMN sla_policies.is_active IS 'whether new tickets get it';
COMMENT ON COLUMN sla_policies.created_at IS 'when the row was made';

CREATE TABLE tickets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    requester_id uuid NOT NULL REFERENCES requesters,
    queue_id uuid REFERENCES queues ON DELETE SET NULL,
    agent_id uuid REFERENCES agents ON DELETE SET NULL,
    sla_policy_id uuid REFERENCES sla_policies,
    subject text NOT NULL CHECK (subject <> ''),
    description text,
    priority text NOT NULL DEFAULT 'normal' CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    status text NOT NULL DEFAULT 'new' REFERENCES statuses ON UPDATE CASCADE,
    channel text NOT NULL DEFAULT 'email' CHECK (channel IN ('email', 'phone', 'web', 'chat', 'social', 'api')),
    first_responded_at timestamptz,
    solved_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    metadata jsonb CHECK (jsonb_typeof(metadata) = 'object'),
    waiting interval NOT NULL DEFAULT '0',
    waiting_since timestamptz
);
CREATE INDEX tickets_requester_idx ON tickets (requester_id);
CREATE INDEX tickets_queue_idx ON tickets (queue_id, created_at);
CREATE INDEX tickets_agent_idx ON tickets (agent_id, status);
CREATE INDEX tickets_sla_policy_idx ON tickets (sla_policy_id);
CREATE INDEX tickets_status_idx ON tickets (status);
CREATE INDEX tickets_unsolved_idx ON tickets (created_at) WHERE solved_at IS NULL;
CREATE INDEX tickets_waiting_idx ON tickets (waiting_since) WHERE waiting_since IS NOT NULL;
COMMENT ON TABLE tickets IS 'what customers ask for';
COMMENT ON COLUMN tickets.id IS 'key';
COMMENT ON COLUMN tickets.number IS 'what people call it by';
COMMENT ON COLUMN tickets.requester_id IS 'who asks; with tickets the row stays';
COMMENT ON COLUMN tickets.queue_id IS 'where it waits';
COMMENT ON COLUMN tickets.agent_id IS 'who answers it; NULL: nobody yet';
COMMENT ON COLUMN tickets.sla_policy_id IS 'what is promised; set by a trigger from the priority';
COMMENT ON COLUMN tickets.subject IS 'a line; not empty';
COMMENT ON COLUMN tickets.description IS 'what the customer wrote';
COMMENT ON COLUMN tickets.priority IS 'low, normal, high or urgent';
COMMENT ON COLUMN tickets.status IS 'where it is in the workflow';
COMMENT ON COLUMN tickets.channel IS 'by which means it came';
COMMENT ON COLUMN tickets.first_responded_at IS 'when the first public answer was given; set by a trigger';
COMMENT ON COLUMN tickets.solved_at IS 'when it was solved; kept by a trigger';
COMMENT ON COLUMN tickets.created_at IS 'when it came';
COMMENT ON COLUMN tickets.updated_at IS 'when the row was last changed; kept by a trigger';
COMMENT ON COLUMN tickets.metadata IS 'object of whatever else is known';
COMMENT ON COLUMN tickets.waiting IS 'how long it waited for the customer, which is not our time; kept by a trigger';
COMMENT ON COLUMN tickets.waiting_since IS 'since when it waits for the customer; NULL: it does not';
CREATE TRIGGER touch BEFORE UPDATE ON tickets
    FOR EACH ROW EXECUTE FUNCTION tenancy.business_touch();
CREATE TRIGGER promise BEFORE INSERT OR UPDATE OF priority ON tickets
    FOR EACH ROW EXECUTE FUNCTION tenancy.support_promise();
CREATE TRIGGER advance BEFORE INSERT OR UPDATE OF status ON tickets
    FOR EACH ROW EXECUTE FUNCTION tenancy.support_advance();
CREATE TRIGGER pause BEFORE INSERT OR UPDATE OF status ON tickets
    FOR EACH ROW EXECUTE FUNCTION tenancy.support_pause();

CREATE TABLE tags (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE tags IS 'words to find tickets by';
COMMENT ON COLUMN tags.id IS 'key';
COMMENT ON COLUMN tags.name IS 'the word';
COMMENT ON COLUMN tags.created_at IS 'when the row was made';

CREATE TABLE ticket_tags (
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    tag_id uuid NOT NULL REFERENCES tags ON DELETE CASCADE,
    position integer NOT NULL DEFAULT 1 CHECK (position > 0),
    PRIMARY KEY (ticket_id, tag_id)
);
CREATE INDEX ticket_tags_tag_idx ON ticket_tags (tag_id);
COMMENT ON TABLE ticket_tags IS 'which ticket has which tag';
COMMENT ON COLUMN ticket_tags.ticket_id IS 'the ticket';
COMMENT ON COLUMN ticket_tags.tag_id IS 'the tag';
COMMENT ON COLUMN ticket_tags.position IS 'order in which they are shown';

CREATE TABLE ticket_messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    agent_id uuid REFERENCES agents ON DELETE SET NULL,
    author text NOT NULL CHECK (author IN ('requester', 'agent', 'system')),
    body text NOT NULL,
    is_internal boolean NOT NULL DEFAULT false CHECK (NOT is_internal OR author <> 'requester'),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ticket_messages_ticket_idx ON ticket_messages (ticket_id, created_at);
CREATE INDEX ticket_messages_agent_idx ON ticket_messages (agent_id);
COMMENT ON TABLE ticket_messages IS 'what was said about a ticket';
COMMENT ON COLUMN ticket_messages.id IS 'key, in the order of the messages';
COMMENT ON COLUMN ticket_messages.ticket_id IS 'the ticket; its messages go with it';
COMMENT ON COLUMN ticket_messages.agent_id IS 'the agent who wrote it, if one did';
COMMENT ON COLUMN ticket_messages.author IS 'requester, agent or system';
COMMENT ON COLUMN ticket_messages.body IS 'what was said';
COMMENT ON COLUMN ticket_messages.is_internal IS 'whether it is hidden from the requester';
COMMENT ON COLUMN ticket_messages.created_at IS 'when it was said';
CREATE TRIGGER note_response AFTER INSERT ON ticket_messages
    FOR EACH ROW WHEN (NEW.author = 'agent' AND NOT NEW.is_internal) EXECUTE FUNCTION tenancy.support_note_response();

CREATE TABLE ticket_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    field text NOT NULL CHECK (field IN ('status', 'priority', 'queue', 'agent')),
    old_value text,
    new_value text,
    changed_by text,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ticket_events_ticket_idx ON ticket_events (ticket_id, changed_at);
COMMENT ON TABLE ticket_events IS 'what was changed on a ticket; written by a trigger';
COMMENT ON COLUMN ticket_events.id IS 'key, in the order of the changes';
COMMENT ON COLUMN ticket_events.ticket_id IS 'the ticket; its history goes with it';
COMMENT ON COLUMN ticket_events.field IS 'status, priority, queue or agent';
COMMENT ON COLUMN ticket_events.old_value IS 'value before; NULL: none';
COMMENT ON COLUMN ticket_events.new_value IS 'value after; NULL: none';
COMMENT ON COLUMN ticket_events.changed_by IS 'the login that changed it';
COMMENT ON COLUMN ticket_events.changed_at IS 'when it changed';
CREATE TRIGGER record_event AFTER INSERT OR UPDATE OF status, priority, queue_id, agent_id ON tickets
    FOR EACH ROW EXECUTE FUNCTION tenancy.support_record_event();

CREATE TABLE escalation_rules (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    target text NOT NULL CHECK (target IN ('first_response', 'resolution')),
    before_due interval NOT NULL DEFAULT '0' CHECK (before_due >= '0'),
    queue_id uuid REFERENCES queues ON DELETE SET NULL,
    notify_user_id text,
    is_active boolean NOT NULL DEFAULT true
);
CREATE INDEX escalation_rules_queue_idx ON escalation_rules (queue_id);
COMMENT ON TABLE escalation_rules IS 'workflow: who takes over when a promised time comes near';
COMMENT ON COLUMN escalation_rules.id IS 'key';
COMMENT ON COLUMN escalation_rules.name IS 'unique name';
COMMENT ON COLUMN escalation_rules.target IS 'first_response or resolution';
COMMENT ON COLUMN escalation_rules.before_due IS 'how long before';
COMMENT ON COLUMN escalation_rules.queue_id IS 'the queue that takes over, if another one does';
COMMENT ON COLUMN escalation_rules.notify_user_id IS 'the user who is told';
COMMENT ON COLUMN escalation_rules.is_active IS 'whether it is used';

CREATE TABLE satisfaction_surveys (
    ticket_id uuid PRIMARY KEY REFERENCES tickets ON DELETE CASCADE,
    sent_at timestamptz NOT NULL DEFAULT now(),
    answered_at timestamptz CHECK (answered_at >= sent_at),
    score smallint CHECK (score BETWEEN 1 AND 5),
    comment text,
    answers jsonb CHECK (jsonb_typeof(answers) = 'object'),
    nps smallint CHECK (nps BETWEEN 0 AND 10),
    CHECK (score IS NULL OR answered_at IS NOT NULL)
);
CREATE INDEX satisfaction_surveys_answered_idx ON satisfaction_surveys (answered_at) WHERE answered_at IS NOT NULL;
COMMENT ON TABLE satisfaction_surveys IS 'how content the customer was with a ticket';
COMMENT ON COLUMN satisfaction_surveys.ticket_id IS 'the ticket; its survey goes with it';
COMMENT ON COLUMN satisfaction_surveys.sent_at IS 'when the customer was asked';
COMMENT ON COLUMN satisfaction_surveys.answered_at IS 'when the customer answered';
COMMENT ON COLUMN satisfaction_surveys.score IS '1 to 5; 4 and 5 are content';
COMMENT ON COLUMN satisfaction_surveys.comment IS 'what the customer wrote';
COMMENT ON COLUMN satisfaction_surveys.answers IS 'object: answers to other questions';
COMMENT ON COLUMN satisfaction_surveys.nps IS 'how likely the customer recommends us, 0 to 10';

CREATE VIEW ticket_sla WITH (security_invoker = true) AS
    SELECT t.id AS ticket_id, t.number, t.subject, t.priority, t.status, p.name AS policy,
           d.first_response_due, d.resolution_due,
           coalesce(t.first_responded_at, t.solved_at, now()) > d.first_response_due AS first_response_breached,
           coalesce(t.solved_at, now()) > d.resolution_due AS resolution_breached,
           CASE WHEN t.solved_at IS NULL THEN d.resolution_due - now() END AS time_left, w.waiting
      FROM tickets t
      JOIN sla_policies p ON p.id = t.sla_policy_id
     CROSS JOIN LATERAL (SELECT t.waiting + coalesce(now() - t.waiting_since, '0') AS waiting) w
     CROSS JOIN LATERAL (SELECT t.created_at + p.first_response AS first_response_due,
                                t.created_at + p.resolution + w.waiting AS resolution_due) d;
COMMENT ON VIEW ticket_sla IS
    'when each ticket is due, and whether a promise was broken; while the customer is to answer, the clock stands';

CREATE VIEW escalations_due WITH (security_invoker = true) AS
    SELECT r.name AS rule, s.ticket_id, s.number, s.subject, r.target, e.due, q.name AS to_queue, r.notify_user_id
      FROM escalation_rules r
      JOIN ticket_sla s ON true
      JOIN tickets t ON t.id = s.ticket_id AND t.solved_at IS NULL
     CROSS JOIN LATERAL (SELECT CASE r.target WHEN 'resolution' THEN s.resolution_due
                                              WHEN 'first_response' THEN
                                                  CASE WHEN t.first_responded_at IS NULL THEN s.first_response_due END
                                END AS due) e
      LEFT JOIN queues q ON q.id = r.queue_id
     WHERE r.is_active AND e.due - r.before_due <= now();
COMMENT ON VIEW escalations_due IS 'which tickets are to be taken over now, and by which rule';

CREATE VIEW sla_compliance WITH (security_invoker = true) AS
    SELECT s.priority, count(*) AS tickets,
           count(*) FILTER (WHERE s.first_response_breached) AS late_responses,
           count(*) FILTER (WHERE s.resolution_breached) AS late_resolutions,
           round(100.0 * count(*) FILTER (WHERE NOT s.first_response_breached AND NOT s.resolution_breached) / count(*), 1)
               AS kept_percent
      FROM ticket_sla s
     GROUP BY s.priority;
COMMENT ON VIEW sla_compliance IS 'by priority, how many promises were kept';

CREATE VIEW queue_summary WITH (security_invoker = true) AS
    SELECT q.name AS queue, count(t.id) FILTER (WHERE s.phase = 'open') AS open,
           count(t.id) FILTER (WHERE s.phase = 'waiting') AS waiting,
           count(t.id) FILTER (WHERE s.phase = 'open' AND t.agent_id IS NULL) AS unassigned,
           min(t.created_at) FILTER (WHERE s.phase IN ('open', 'waiting')) AS oldest
      FROM queues q
      LEFT JOIN tickets t ON t.queue_id = q.id
      LEFT JOIN statuses s ON s.status = t.status
     GROUP BY q.name;
COMMENT ON VIEW queue_summary IS 'what waits in each queue';

CREATE VIEW satisfaction_summary WITH (security_invoker = true) AS
    SELECT a.name AS agent, grouping(a.name) = 1 AS is_total, count(*) AS asked, count(v.score) AS answered,
           round(100.0 * count(v.score) / count(*), 1) AS answered_percent,
           round(avg(v.score), 2) AS average_score,
           round(100.0 * count(*) FILTER (WHERE v.score >= 4) / nullif(count(v.score), 0), 1) AS content_percent,
           round(100.0 * (count(*) FILTER (WHERE v.nps >= 9) - count(*) FILTER (WHERE v.nps <= 6))
                 / nullif(count(v.nps), 0), 1) AS net_promoter_score
      FROM satisfaction_surveys v
      JOIN tickets t ON t.id = v.ticket_id
      LEFT JOIN agents a ON a.id = t.agent_id
     GROUP BY ROLLUP ((a.id, a.name));
COMMENT ON VIEW satisfaction_summary IS 'how content customers are, by agent, and of all together in the row that is the total';

CREATE VIEW agent_performance WITH (security_invoker = true) AS
    SELECT a.name AS agent, count(t.id) AS tickets, count(t.solved_at) AS solved,
           avg(t.first_responded_at - t.created_at) AS average_first_response,
           avg(t.solved_at - t.created_at - t.waiting) AS average_resolution,
           count(*) FILTER (WHERE s.first_response_breached OR s.resolution_breached) AS broken_promises
      FROM agents a
      LEFT JOIN tickets t ON t.agent_id = a.id
      LEFT JOIN ticket_sla s ON s.ticket_id = t.id
     GROUP BY a.id, a.name;
COMMENT ON VIEW agent_performance IS 'what each agent solved, how fast, and how many promises were broken';

CREATE VIEW tag_summary WITH (security_invoker = true) AS
    SELECT g.name AS tag, count(t.id) AS tickets, count(t.id) FILTER (WHERE t.solved_at IS NULL) AS unsolved,
           round(avg(v.score), 2) AS average_score
      FROM tags g
      LEFT JOIN ticket_tags x ON x.tag_id = g.id
      LEFT JOIN tickets t ON t.id = x.ticket_id
      LEFT JOIN satisfaction_surveys v ON v.ticket_id = t.id
     GROUP BY g.name;
COMMENT ON VIEW tag_summary IS 'how many tickets have each tag, and how content their customers are';

CREATE VIEW public_messages WITH (security_invoker = true, security_barrier = true) AS
    SELECT m.id, m.ticket_id, t.number, m.author, a.name AS agent, m.body, m.created_at
      FROM ticket_messages m
      JOIN tickets t ON t.id = m.ticket_id
      LEFT JOIN agents a ON a.id = m.agent_id
     WHERE NOT m.is_internal;
COMMENT ON VIEW public_messages IS 'what requesters may read: the messages that are not internal';

INSERT INTO statuses (status, phase, position, description)
VALUES ('new', 'open', 1, 'nobody has looked at it'), ('open', 'open', 2, 'an agent works on it'),
       ('pending', 'waiting', 3, 'the customer is to answer'), ('solved', 'solved', 4, 'answered'),
       ('closed', 'closed', 5, 'for good');
INSERT INTO status_transitions (from_status, to_status)
VALUES ('new', 'open'), ('new', 'pending'), ('new', 'solved'), ('new', 'closed'), ('open', 'pending'), ('open', 'solved'),
       ('pending', 'open'), ('pending', 'solved'), ('solved', 'open'), ('solved', 'closed');
INSERT INTO sla_policies (name, priority, first_response, resolution)
VALUES ('Standard', 'low', '1 day', '7 days'), ('Standard', 'normal', '8 hours', '3 days'),
       ('Standard', 'high', '2 hours', '1 day'), ('Standard', 'urgent', '30 minutes', '4 hours');
INSERT INTO queues (name, description, is_default) VALUES ('General', 'whatever has no queue of its own', true);
INSERT INTO escalation_rules (name, target, before_due)
VALUES ('Answer is due within the hour', 'first_response', '1 hour'), ('Solution is due within 4 hours', 'resolution', '4 hours');
