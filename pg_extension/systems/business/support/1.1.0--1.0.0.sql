/*
 * Support 1.1.0 to 1.0.0.  What 1.0.0 has no place for is put aside under "1.1.0" in metadata, from where an update takes
 * it back; the time that a ticket waited is found in its events again.  A tag that no ticket has goes.
 */
DROP VIEW tag_summary, agent_performance, satisfaction_summary, sla_compliance, escalations_due, ticket_sla;

UPDATE satisfaction_surveys
   SET answers = coalesce(answers, '{}') || jsonb_build_object('nps', nps)
 WHERE nps IS NOT NULL;
ALTER TABLE satisfaction_surveys DROP COLUMN nps;

DROP TRIGGER pause ON tickets;
ALTER TABLE tickets ADD COLUMN tags text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN tickets.tags IS 'words to find it by';
ALTER TABLE tickets DISABLE TRIGGER touch;
UPDATE tickets t
   SET tags = w.tags
  FROM (SELECT x.ticket_id, array_agg(g.name ORDER BY x.position, g.name) AS tags
          FROM ticket_tags x JOIN tags g ON g.id = x.tag_id GROUP BY x.ticket_id) w
 WHERE w.ticket_id = t.id;
UPDATE tickets
   SET metadata = coalesce(metadata, '{}') || jsonb_build_object('1.1.0', jsonb_build_object('channel', channel)),
       channel = 'web'
 WHERE channel IN ('chat', 'social', 'api');
ALTER TABLE tickets ENABLE TRIGGER touch;
DROP TABLE ticket_tags, tags;
DROP INDEX tickets_waiting_idx;
ALTER TABLE tickets
    DROP COLUMN waiting,
    DROP COLUMN waiting_since,
    DROP CONSTRAINT tickets_channel_check,
    ADD CONSTRAINT tickets_channel_check CHECK (channel IN ('email', 'phone', 'web'));

CREATE VIEW ticket_sla WITH (security_invoker = true) AS
    SELECT t.id AS ticket_id, t.number, t.subject, t.priority, t.status, p.name AS policy,
           d.first_response_due, d.resolution_due,
           coalesce(t.first_responded_at, t.solved_at, now()) > d.first_response_due AS first_response_breached,
           coalesce(t.solved_at, now()) > d.resolution_due AS resolution_breached,
           CASE WHEN t.solved_at IS NULL THEN d.resolution_due - now() END AS time_left
      FROM tickets t
      JOIN sla_policies p ON p.id = t.sla_policy_id
     CROSS JOIN LATERAL (SELECT t.created_at + p.first_response AS first_response_due,
                                t.created_at + p.resolution AS resolution_due) d;
COMMENT ON VIEW ticket_sla IS 'when each ticket is due, and whether a promise was broken';

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

CREATE VIEW satisfaction_summary WITH (security_invoker = true) AS
    SELECT a.name AS agent, grouping(a.name) = 1 AS is_total, count(*) AS asked, count(v.score) AS answered,
           round(100.0 * count(v.score) / count(*), 1) AS answered_percent,
           round(avg(v.score), 2) AS average_score,
           round(100.0 * count(*) FILTER (WHERE v.score >= 4) / nullif(count(v.score), 0), 1) AS content_percent
      FROM satisfaction_surveys v
      JOIN tickets t ON t.id = v.ticket_id
      LEFT JOIN agents a ON a.id = t.agent_id
     GROUP BY ROLLUP ((a.id, a.name));
COMMENT ON VIEW satisfaction_summary IS 'how content customers are, by agent, and of all together in the row that is the total';
