-- A deal is closed when its stage is.
SELECT NOT EXISTS (SELECT FROM deals d JOIN pipeline_stages s ON s.id = d.stage_id
                    WHERE (s.outcome = 'open') <> (d.closed_at IS NULL));
