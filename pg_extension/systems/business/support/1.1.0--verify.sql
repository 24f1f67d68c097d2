-- The clock stands when the customer is to answer.
SELECT NOT EXISTS (SELECT FROM tickets t JOIN statuses s ON s.status = t.status
                    WHERE (s.phase = 'waiting') <> (t.waiting_since IS NOT NULL));
