-- The wall between C++ exceptions and PostgreSQL errors (mongo_bridge/guard.h).
CREATE EXTENSION guard_wall;
\set SHOW_CONTEXT never

-- Nothing thrown: the body's answer comes back.
SELECT guard_wall_throw('none');

-- What is thrown is an error with its SQLSTATE, detail and hint.
DO $$
DECLARE
    what text;
    state text;
    message text;
    detail text;
    hint text;
BEGIN
    FOREACH what IN ARRAY ARRAY['error', 'standard', 'bad_alloc', 'foreign', 'constructor']
    LOOP
        BEGIN
            PERFORM guard_wall_throw(what);
            RAISE EXCEPTION 'nothing was thrown';
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                hint = PG_EXCEPTION_HINT;
            RAISE NOTICE '%: % "%" "%" "%"', what, state, message, detail, hint;
        END;
    END LOOP;
END
$$;
SELECT * FROM guard_wall_live();

-- 10,000 of each: no object is left, and no memory.
CREATE FUNCTION exercise(rounds integer) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    caught integer := 0;
BEGIN
    FOR i IN 1 .. rounds
    LOOP
        BEGIN
            PERFORM guard_wall_throw((ARRAY['error', 'standard', 'bad_alloc', 'foreign', 'constructor'])[i % 5 + 1]);
        EXCEPTION WHEN unique_violation OR internal_error OR out_of_memory OR fdw_error THEN
            caught := caught + 1;
        END;
        BEGIN
            PERFORM guard_wall_error();
        EXCEPTION WHEN division_by_zero THEN
            caught := caught + 1;
        END;
    END LOOP;
    RETURN caught || ' caught';
END
$$;
SELECT exercise(1000);
SELECT guard_wall_resident_kb() AS before \gset
SELECT exercise(10000);
SELECT guard_wall_resident_kb() - :before < 1024 AS no_memory_lost;
SELECT * FROM guard_wall_live();

-- Objects live as long as their memory context, however that ends.
BEGIN;
SELECT guard_wall_own(3, true);
SELECT guard_wall_own(5, false);
SELECT * FROM guard_wall_live();
SAVEPOINT s;
SELECT guard_wall_error();
ROLLBACK TO s;
SELECT * FROM guard_wall_live();
COMMIT;
SELECT * FROM guard_wall_live();
BEGIN;
SELECT guard_wall_own(3, true);
ROLLBACK;
SELECT * FROM guard_wall_live();

-- A pending cancel is what the user asked for: it comes before the failure that it caused, and is used up.
SELECT guard_wall_fail('connection lost', 'The wait was interrupted.', '', true);
SELECT guard_wall_fail('connection lost', 'The wait was interrupted.', '');

-- Long words are cut between characters: 510 of 511 bytes, 2046 of 2047.
CREATE FUNCTION words_of_failure(message text, detail text, hint text)
RETURNS TABLE (word text, characters integer, bytes integer, whole boolean)
LANGUAGE plpgsql AS $$
DECLARE
    m text;
    d text;
    h text;
BEGIN
    PERFORM guard_wall_fail(message, detail, hint);
EXCEPTION WHEN connection_failure THEN
    GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RETURN QUERY VALUES ('message', length(m), octet_length(m), message LIKE m || '%'),
        ('detail', length(d), octet_length(d), detail LIKE d || '%'),
        ('hint', length(h), octet_length(h), hint LIKE h || '%');
END
$$;
SELECT * FROM words_of_failure(repeat('é', 1000), repeat('é', 3000), repeat('€', 600));
SELECT * FROM words_of_failure(repeat('x', 511), repeat('x', 2047), 'x' || repeat('€', 170));
SELECT * FROM words_of_failure(repeat('x', 512), repeat('x', 2048), 'short');

-- Bytes that are no UTF-8 become question marks: they could not be logged or stored.
SELECT guard_wall_fail_with_bytes('\x61ff62c3');
SELECT guard_wall_fail_with_bytes('\x61c3a962');

DROP EXTENSION guard_wall;
