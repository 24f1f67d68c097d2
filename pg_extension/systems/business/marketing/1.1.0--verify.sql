-- No conversion is owed more than once.
SELECT NOT EXISTS (SELECT FROM attributions GROUP BY conversion_id, model HAVING sum(credit) > 1.0001);
