--
-- support: customer support, as a tenant uses it.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE support_test;
\c support_test
SET client_min_messages TO warning;
CREATE EXTENSION tenancy_business CASCADE;
-- it needs no other system
SELECT tenancy.assign_tier_system('*', 'support');
SELECT tenancy.create_tenant('desk-1', 'One'), tenancy.create_tenant('desk-2', 'Two');
SELECT tenant_id, system_id, version, schema_name FROM tenancy.installed_systems ORDER BY 1, 2;
SELECT c.relname, c.relkind, obj_description(c.oid, 'pg_class') AS description
  FROM pg_class c WHERE relnamespace = 'tenant_desk_1_support'::regnamespace AND relkind IN ('r', 'v') ORDER BY relkind, 1;
CREATE ROLE support_service IN ROLE tenancy_service;

SET ROLE support_service;
SET search_path TO tenant_desk_1_support, public;
SELECT tenancy.set_tenant('desk-1', false);

--
-- Tickets, and what was said about them
--
INSERT INTO agents (id, user_id, name) VALUES ('00000000-0000-0000-0000-00000000000a', 'ann', 'Ann'), ('00000000-0000-0000-0000-00000000000b', 'bob', 'Bob');
INSERT INTO queues (id, name) VALUES ('00000000-0000-0000-0000-0000000000c1', 'Engineers');
INSERT INTO queue_agents (queue_id, agent_id) VALUES ('00000000-0000-0000-0000-0000000000c1', '00000000-0000-0000-0000-00000000000b');
INSERT INTO requesters (id, name, email) VALUES ('00000000-0000-0000-0000-0000000000d1', 'Cleo', 'cleo@a.example');
INSERT INTO tickets (id, requester_id, queue_id, agent_id, subject, priority, created_at)
SELECT ('00000000-0000-0000-0000-00000000001' || v.n)::uuid, '00000000-0000-0000-0000-0000000000d1', '00000000-0000-0000-0000-0000000000c1', v.agent::uuid,
       v.subject, v.priority, now() - v.age::interval
  FROM (VALUES (1, '00000000-0000-0000-0000-00000000000a', 'Broken', 'urgent', '3 hours'), (2, '00000000-0000-0000-0000-00000000000b', 'Slow', 'normal', '4 days'),
               (3, '00000000-0000-0000-0000-00000000000b', 'Question', 'low', '1 hour'), (4, NULL, 'Nobody looks', 'high', '90 minutes'),
               (5, '00000000-0000-0000-0000-00000000000a', 'Waits', 'urgent', '6 hours')) v(n, agent, subject, priority, age) ORDER BY v.n;
SELECT t.number, t.subject, t.priority, t.status, p.name AS policy, p.first_response, p.resolution
  FROM tickets t JOIN sla_policies p ON p.id = t.sla_policy_id ORDER BY number;
INSERT INTO ticket_messages (ticket_id, agent_id, author, body, is_internal, created_at) VALUES
    ('00000000-0000-0000-0000-000000000011', NULL, 'requester', 'It is broken.', false, now() - interval '3 hours'),
    ('00000000-0000-0000-0000-000000000011', '00000000-0000-0000-0000-00000000000a', 'agent', 'She dropped it.', true, now() - interval '170 minutes'),
    ('00000000-0000-0000-0000-000000000011', '00000000-0000-0000-0000-00000000000a', 'agent', 'A new one is on its way.', false, now() - interval '160 minutes'),
    ('00000000-0000-0000-0000-000000000011', '00000000-0000-0000-0000-00000000000a', 'agent', 'It has arrived.', false, now() - interval '10 minutes'),
    ('00000000-0000-0000-0000-000000000012', '00000000-0000-0000-0000-00000000000b', 'agent', 'We look.', false, now() - interval '3 days');
-- the first public answer counts, and internal notes stay inside
SELECT subject, date_trunc('minute', first_responded_at - created_at) AS first_response FROM tickets WHERE first_responded_at IS NOT NULL ORDER BY number;
SELECT number, author, agent, body FROM public_messages ORDER BY number, created_at;

--
-- Workflow: allowed ways, history, time stamps
--
UPDATE tickets SET status = 'open' WHERE number IN (1, 2);
UPDATE tickets SET status = 'solved' WHERE number = 1;
UPDATE tickets SET status = 'new' WHERE number = 2;
UPDATE tickets SET status = 'nonsense' WHERE number = 2;
SELECT number, status, solved_at IS NOT NULL AS solved FROM tickets ORDER BY number;
INSERT INTO status_transitions VALUES ('open', 'new');
UPDATE tickets SET status = 'new' WHERE number = 2;
UPDATE tickets SET agent_id = '00000000-0000-0000-0000-00000000000b', priority = 'low' WHERE number = 1;
SELECT t.number, e.field, e.old_value, e.new_value FROM ticket_events e JOIN tickets t ON t.id = e.ticket_id
 WHERE e.field IN ('status', 'priority') AND t.number <= 2 ORDER BY e.id;
-- another priority is another promise
SELECT t.priority, p.resolution FROM tickets t JOIN sla_policies p ON p.id = t.sla_policy_id WHERE number = 1;
UPDATE tickets SET priority = 'urgent' WHERE number = 1;
-- taken up again, and solved again
UPDATE tickets SET status = 'open' WHERE number = 1;
SELECT number, status, solved_at FROM tickets WHERE number = 1;
UPDATE tickets SET status = 'solved' WHERE number = 1;

--
-- Service levels: what is late, and the clock that stands while the customer is to answer
--
UPDATE tickets SET status = 'pending', first_responded_at = created_at + interval '10 minutes' WHERE number = 5;
UPDATE tickets SET waiting_since = created_at + interval '1 hour' WHERE number = 5;
SELECT number, subject, priority, status, first_response_breached, resolution_breached, date_trunc('hour', time_left) AS time_left, date_trunc('hour', waiting) AS waiting
  FROM ticket_sla ORDER BY number;
SELECT rule, number, target FROM escalations_due ORDER BY number, target;
SELECT * FROM sla_compliance ORDER BY priority;
UPDATE tickets SET status = 'open' WHERE number = 5;
SELECT number, date_trunc('hour', waiting) AS waiting, waiting_since, date_trunc('hour', (SELECT time_left FROM ticket_sla s WHERE s.ticket_id = t.id)) AS time_left FROM tickets t WHERE number = 5;
SELECT queue, open, waiting, unassigned FROM queue_summary ORDER BY queue;
SELECT agent, tickets, solved, date_trunc('minute', average_first_response) AS average_first_response, broken_promises FROM agent_performance ORDER BY agent;

--
-- Satisfaction
--
INSERT INTO satisfaction_surveys (ticket_id, answered_at, score, nps) VALUES
    ('00000000-0000-0000-0000-000000000011', now(), 5, 10), ('00000000-0000-0000-0000-000000000012', now(), 2, 6),
    ('00000000-0000-0000-0000-000000000013', NULL, NULL, NULL), ('00000000-0000-0000-0000-000000000015', now(), 4, 8);
SELECT * FROM satisfaction_summary ORDER BY is_total, agent;
INSERT INTO tags (id, name) VALUES ('00000000-0000-0000-0000-0000000000e1', 'hardware'), ('00000000-0000-0000-0000-0000000000e2', 'unused');
INSERT INTO ticket_tags (ticket_id, tag_id) VALUES
    ('00000000-0000-0000-0000-000000000011', '00000000-0000-0000-0000-0000000000e1'), ('00000000-0000-0000-0000-000000000012', '00000000-0000-0000-0000-0000000000e1');
SELECT * FROM tag_summary ORDER BY tag;
RESET ROLE;
SELECT tenancy.verify_system('desk-1', 'support');

-- another tenant has none of it
SELECT tenancy.clear_tenant();
SET ROLE support_service;
SELECT tenancy.set_tenant('desk-2', false);
SELECT count(*) FROM tickets;
SELECT count(*) FROM ticket_sla;
SELECT count(*) FROM tenant_desk_2_support.statuses;
SELECT tenancy.clear_tenant();

--
-- What is refused
--
\set VERBOSITY terse
SELECT tenancy.set_tenant('desk-1', false);
INSERT INTO requesters (name, email) VALUES ('Imitator', 'CLEO@a.example');
INSERT INTO tickets (requester_id, subject) VALUES ('00000000-0000-0000-0000-0000000000d1', '');
INSERT INTO tickets (requester_id, subject, channel) VALUES ('00000000-0000-0000-0000-0000000000d1', 'Smoke', 'smoke');
INSERT INTO ticket_messages (ticket_id, author, body, is_internal) VALUES ('00000000-0000-0000-0000-000000000011', 'requester', 'Secret', true);
INSERT INTO sla_policies (name, priority, first_response, resolution) VALUES ('Gold', 'high', '1 hour', '2 hours');
INSERT INTO sla_policies (name, priority, first_response, resolution, is_active) VALUES ('Odd', 'high', '2 hours', '1 hour', false);
INSERT INTO queues (name, is_default) VALUES ('Second default', true);
INSERT INTO satisfaction_surveys (ticket_id, score) VALUES ('00000000-0000-0000-0000-000000000014', 5);
INSERT INTO satisfaction_surveys (ticket_id, answered_at, score) VALUES ('00000000-0000-0000-0000-000000000014', now(), 6);
DELETE FROM requesters WHERE name = 'Cleo';
DELETE FROM statuses WHERE status = 'solved';
-- an agent who leaves leaves the tickets
DELETE FROM agents WHERE name = 'Bob';
SELECT number, agent_id FROM tickets WHERE number = 2;
RESET ALL;
RESET ROLE;

\c :start_database
DROP DATABASE support_test;
DROP ROLE support_service, tenant_desk_1, tenant_desk_2;
