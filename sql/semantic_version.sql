--
-- semantic_version: precedence and ranges of versions.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database \gset
CREATE DATABASE semantic_version_test;
\c semantic_version_test
CREATE EXTENSION tenancy;

-- each comes before the next one
WITH list (n, version) AS (
    SELECT ordinality, version FROM unnest(ARRAY[
        '0.0.1', '0.9.0', '1.0.0-0', '1.0.0-1', '1.0.0-9', '1.0.0-10', '1.0.0--', '1.0.0-10a', '1.0.0-Alpha', '1.0.0-alpha',
        '1.0.0-alpha.1', '1.0.0-alpha.beta', '1.0.0-beta', '1.0.0-beta.2', '1.0.0-beta.11', '1.0.0-rc.1', '1.0.0', '1.0.1',
        '1.9.0', '1.10.0-rc.1', '1.10.0', '2.0.0', '999999.0.0']) WITH ORDINALITY u(version, ordinality))
SELECT a.version, b.version, tenancy.compare_versions(a.version, b.version)
  FROM list a, list b
 WHERE tenancy.compare_versions(a.version, b.version) <> sign(a.n - b.n);
SELECT v, tenancy.is_prerelease(v) FROM unnest(ARRAY['1.0.0', '1.0.0-rc.1', '1.0.0-0']) v;

-- what is in a range, and what is not
CREATE TABLE expectation (range text, inside text[], outside text[]);
INSERT INTO expectation VALUES
    ('*', '{0.0.0,1.2.3,999.0.0}', '{1.0.0-rc.1}'),
    ('1.2.3', '{1.2.3}', '{1.2.2,1.2.4,1.2.3-rc.1}'),
    ('=1.2.3', '{1.2.3}', '{1.2.4}'),
    ('1.2', '{1.2.0,1.2.9}', '{1.1.9,1.3.0}'),
    ('1.x', '{1.0.0,1.9.9}', '{0.9.9,2.0.0}'),
    ('1.2.*', '{1.2.0,1.2.7}', '{1.3.0}'),
    ('>1.2.3', '{1.2.4,2.0.0}', '{1.2.3,1.2.2}'),
    ('>1.2', '{1.3.0}', '{1.2.0,1.2.9}'),
    ('>=1.2', '{1.2.0,1.3.0}', '{1.1.9}'),
    ('<1.2', '{1.1.9}', '{1.2.0,1.2.5}'),
    ('<=1.2', '{1.2.0,1.2.9}', '{1.3.0}'),
    ('>=15', '{15.0.0,15.20.0,18.1.0}', '{14.9.0}'),
    ('>=1.0.0 <2.0.0', '{1.0.0,1.99.0}', '{0.9.9,2.0.0,2.0.0-alpha,1.5.0-alpha}'),
    ('>= 1.0.0  < 2.0.0', '{1.0.0}', '{2.0.0}'),
    ('^1.2.3', '{1.2.3,1.9.0}', '{1.2.2,2.0.0,2.0.0-rc.1}'),
    ('^0.2.3', '{0.2.3,0.2.9}', '{0.2.2,0.3.0}'),
    ('^0.0.3', '{0.0.3}', '{0.0.2,0.0.4}'),
    ('^1', '{1.0.0,1.9.9}', '{2.0.0}'),
    ('^0', '{0.0.0,0.9.9}', '{1.0.0}'),
    ('^0.0', '{0.0.0,0.0.9}', '{0.1.0}'),
    ('~1.2.3', '{1.2.3,1.2.9}', '{1.2.2,1.3.0}'),
    ('~1.2', '{1.2.0,1.2.9}', '{1.3.0}'),
    ('~1', '{1.0.0,1.9.0}', '{2.0.0}'),
    ('1.x || 3.0.0', '{1.5.0,3.0.0}', '{2.0.0,3.0.1}'),
    ('^1.0.0||^3.0.0', '{1.5.0,3.5.0}', '{2.0.0,4.0.0}'),
    ('>=1.2.0-rc.1', '{1.2.0-rc.1,1.2.0-rc.2,1.2.0,1.3.0}', '{1.2.0-beta,1.3.0-rc.1}'),
    ('<1.2.0-rc.2', '{1.1.0,1.2.0-rc.1}', '{1.2.0-rc.2,1.2.0,1.1.0-rc.1}'),
    ('>2.0.0 <1.0.0', '{}', '{0.5.0,1.5.0,2.5.0}');
SELECT e.range, v.version, 'should be inside' AS wrong FROM expectation e, unnest(e.inside) v(version)
 WHERE NOT tenancy.version_satisfies(v.version, e.range)
UNION ALL
SELECT e.range, v.version, 'should be outside' FROM expectation e, unnest(e.outside) v(version)
 WHERE tenancy.version_satisfies(v.version, e.range);

-- nulls
SELECT tenancy.compare_versions('1.0.0', NULL) IS NULL AS a, tenancy.version_satisfies('1.0.0', NULL) IS NULL AS b;

-- what is no version, and what is no range
CREATE FUNCTION problem(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT problem(format('SELECT tenancy.check_version(%L)', v))
  FROM unnest(ARRAY['', '1', '1.0', '1.0.0.0', '01.0.0', '1.00.0', '1.0.0-', '1.0.0-01', '1.0.0-a..b', '1.0.0-a_b', '1.0.0+build', 'v1.0.0',
                    '1.0.0 ', ' 1.0.0', '1.x.0', '-1.0.0', '1.0.0-ä', '1234567.0.0', '1.0.0-0123456789abcdefgh', E'1.0.0\n']) v;
SELECT problem(format('SELECT tenancy.version_satisfies(''1.0.0'', %L)', r))
  FROM unnest(ARRAY['', ' ', '||', '1.0.0 ||', '|| 1.0.0', '1.0.0 | 2.0.0', '>', '>>1.0.0', '>=', '1.0.0,2.0.0', '1.0.0-', '^', '~x.y',
                    'latest', '>=1.0.0<2.0.0', '1.2.3.4', '!=1.0.0', '01.0.0', '1.0.0 && 2.0.0']) r;

\c :start_database
DROP DATABASE semantic_version_test;
