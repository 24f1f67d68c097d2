-- The history of an opportunity ends where it is.
SELECT NOT EXISTS (SELECT FROM opportunities o
                    WHERE o.stage_id IS DISTINCT FROM (SELECT h.stage_id FROM opportunity_stages h
                                                        WHERE h.opportunity_id = o.id
                                                        ORDER BY h.entered_at DESC, h.id DESC LIMIT 1));
