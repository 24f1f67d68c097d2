/*
 * Support: sample data, for version 1.1.0.  Its keys are fixed, so that it can be loaded again and removed.
 */
INSERT INTO agents (id, user_id, name, email) VALUES
    ('5a000000-0000-4000-8000-000000000001', 'sample-ann', 'Ann Answer', 'ann@sample.example'),
    ('5a000000-0000-4000-8000-000000000002', 'sample-bob', 'Bob Back', 'bob@sample.example')
ON CONFLICT DO NOTHING;
INSERT INTO queues (id, name, description) VALUES
    ('5a000000-0000-4000-8000-000000000101', 'Sample: first line', 'questions'),
    ('5a000000-0000-4000-8000-000000000102', 'Sample: engineers', 'faults')
ON CONFLICT DO NOTHING;
INSERT INTO queue_agents (queue_id, agent_id) VALUES
    ('5a000000-0000-4000-8000-000000000101', '5a000000-0000-4000-8000-000000000001'),
    ('5a000000-0000-4000-8000-000000000102', '5a000000-0000-4000-8000-000000000002')
ON CONFLICT DO NOTHING;
INSERT INTO requesters (id, name, email, organization, customer_id) VALUES
    ('5a000000-0000-4000-8000-000000000201', 'Ada Forge', 'ada@sample.example', 'Anvils Ltd',
     '5a000000-0000-4000-8000-000000000101'),
    ('5a000000-0000-4000-8000-000000000202', 'Carla Brook', 'carla@sample.example', 'Brook Inc', NULL)
ON CONFLICT DO NOTHING;

-- One late on both counts, one in time, one that waits for the customer, one that nobody has looked at.
INSERT INTO tickets (id, requester_id, queue_id, agent_id, subject, description, priority, status, channel,
                     first_responded_at, solved_at, created_at)
VALUES
    ('5a000000-0000-4000-8000-000000000301', '5a000000-0000-4000-8000-000000000201', '5a000000-0000-4000-8000-000000000102',
     '5a000000-0000-4000-8000-000000000002', 'The anvil has cracked', 'On the first day.', 'high', 'closed', 'phone',
     now() - interval '9 days 18 hours', now() - interval '7 days', now() - interval '10 days'),
    ('5a000000-0000-4000-8000-000000000302', '5a000000-0000-4000-8000-000000000202', '5a000000-0000-4000-8000-000000000101',
     '5a000000-0000-4000-8000-000000000001', 'How heavy is it?', NULL, 'normal', 'solved', 'chat',
     now() - interval '4 days 23 hours', now() - interval '4 days 22 hours', now() - interval '5 days'),
    ('5a000000-0000-4000-8000-000000000303', '5a000000-0000-4000-8000-000000000202', '5a000000-0000-4000-8000-000000000101',
     '5a000000-0000-4000-8000-000000000001', 'Where is my order?', NULL, 'normal', 'pending', 'email',
     now() - interval '3 days 20 hours', NULL, now() - interval '4 days'),
    ('5a000000-0000-4000-8000-000000000304', '5a000000-0000-4000-8000-000000000201', '5a000000-0000-4000-8000-000000000102',
     NULL, 'It hums', NULL, 'urgent', 'new', 'web', NULL, NULL, now() - interval '1 hour')
ON CONFLICT DO NOTHING;
INSERT INTO tags (id, name) VALUES
    ('5a000000-0000-4000-8000-000000000401', 'sample-fault'),
    ('5a000000-0000-4000-8000-000000000402', 'sample-anvil')
ON CONFLICT DO NOTHING;
INSERT INTO ticket_tags (ticket_id, tag_id, position) VALUES
    ('5a000000-0000-4000-8000-000000000301', '5a000000-0000-4000-8000-000000000401', 1),
    ('5a000000-0000-4000-8000-000000000301', '5a000000-0000-4000-8000-000000000402', 2),
    ('5a000000-0000-4000-8000-000000000302', '5a000000-0000-4000-8000-000000000402', 1)
ON CONFLICT DO NOTHING;
INSERT INTO ticket_messages (id, ticket_id, agent_id, author, body, is_internal, created_at) OVERRIDING SYSTEM VALUE VALUES
    (-4, '5a000000-0000-4000-8000-000000000301', '5a000000-0000-4000-8000-000000000002', 'agent', 'Cast too cold.', true,
     now() - interval '9 days 20 hours'),
    (-3, '5a000000-0000-4000-8000-000000000301', '5a000000-0000-4000-8000-000000000002', 'agent', 'You will have a new one.',
     false, now() - interval '9 days 18 hours'),
    (-2, '5a000000-0000-4000-8000-000000000302', '5a000000-0000-4000-8000-000000000001', 'agent', 'Sixty kilograms.', false,
     now() - interval '4 days 23 hours'),
    (-1, '5a000000-0000-4000-8000-000000000303', '5a000000-0000-4000-8000-000000000001', 'agent', 'What is its number?', false,
     now() - interval '3 days 20 hours')
ON CONFLICT DO NOTHING;
INSERT INTO satisfaction_surveys (ticket_id, sent_at, answered_at, score, comment, nps) VALUES
    ('5a000000-0000-4000-8000-000000000301', now() - interval '7 days', now() - interval '6 days', 2, 'Too slow.', 4),
    ('5a000000-0000-4000-8000-000000000302', now() - interval '4 days', now() - interval '3 days', 5, NULL, 10)
ON CONFLICT DO NOTHING;
