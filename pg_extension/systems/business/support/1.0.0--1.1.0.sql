/*
 * Support 1.0.0 to 1.1.0: tags have a table, the clock stands while the customer is to answer, channels of today, net
 * promoter score.
 *
 * What a rollback from 1.1.0 put aside under "1.1.0" in metadata comes back.
 */
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
INSERT INTO tags (name)
SELECT DISTINCT tag FROM tickets, unnest(tags) AS tag;
INSERT INTO ticket_tags (ticket_id, tag_id, position)
SELECT t.id, g.id, min(w.position)
  FROM tickets t, unnest(t.tags) WITH ORDINALITY AS w (tag, position)
  JOIN tags g ON g.name = w.tag
 GROUP BY t.id, g.id;

ALTER TABLE tickets
    ADD COLUMN waiting interval NOT NULL DEFAULT '0',
    ADD COLUMN waiting_since timestamptz,
    DROP CONSTRAINT tickets_channel_check,
    ADD CONSTRAINT tickets_channel_check CHECK (channel IN ('email', 'phone', 'web', 'chat', 'social', 'api'));
COMMENT ON COLUMN tickets.waiting IS 'how long it waited for the customer, which is not our time; kept by a trigger';
COMMENT ON COLUMN tickets.waiting_since IS 'since when it waits for the customer; NULL: it does not';
ALTER TABLE tickets DISABLE TRIGGER touch;
UPDATE tickets t
   SET waiting = coalesce(w.waiting, '0'),
       waiting_since = w.waiting_since
  FROM (SELECT e.ticket_id, sum(e.left_at - e.changed_at) AS waiting,
               max(e.changed_at) FILTER (WHERE e.left_at IS NULL) AS waiting_since
          FROM (SELECT ticket_id, new_value, changed_at,
                       lead(changed_at) OVER (PARTITION BY ticket_id ORDER BY changed_at, id) AS left_at
                  FROM ticket_events WHERE field = 'status') e
          JOIN statuses s ON s.status = e.new_value AND s.phase = 'waiting'
         GROUP BY e.ticket_id) w
 WHERE w.ticket_id = t.id;
UPDATE tickets
   SET channel = metadata -> '1.1.0' ->> 'channel',
       metadata = nullif(metadata - '1.1.0', '{}')
 WHERE metadata ? '1.1.0';
ALTER TABLE tickets ENABLE TRIGGER touch;
ALTER TABLE tickets DROP COLUMN tags;
CREATE INDEX tickets_waiting_idx ON tickets (waiting_since) WHERE waiting_since IS NOT NULL;
CREATE TRIGGER pause BEFORE INSERT OR UPDATE OF status ON tickets
    FOR EACH ROW EXECUTE FUNCTION tenancy.support_pause();

ALTER TABLE satisfaction_surveys ADD COLUMN nps smallint CHECK (nps BETWEEN 0 AND 10);
COMMENT ON COLUMN satisfaction_surveys.nps IS 'how likely the customer recommends us, 0 to 10';
UPDATE satisfaction_surveys
   SET nps = (answers ->> 'nps')::smallint,
       answers = nullif(answers - 'nps', '{}')
 WHERE answers ->> 'nps' ~ '^([0-9]|10)$';

CREATE OR REPLACE VIEW ticket_sla WITH (security_invoker = true) AS
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

CREATE OR REPLACE VIEW satisfaction_summary WITH (security_invoker = true) AS
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
