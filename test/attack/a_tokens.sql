--
-- A, tokens.  Whoever may write tenancy.token, and that is everybody, tries to sign, change, stretch, steal or keep one.
--
-- pooled is a login that has no tenant of its own, as behind a pooler: what its token says it is.
--

--: A38 tokens that somebody made up: no signature, no algorithm, other formats
--: only ours
--: as dba
CREATE TABLE tools.keys AS SELECT key_id FROM tenancy.token_keys;
GRANT SELECT ON tools.keys TO PUBLIC;
--: as pooled
SELECT key_id FROM tools.keys \gset
SET tenancy.token = 'globex';
SELECT note FROM shop.orders;
SELECT set_config('tenancy.token', 'v1.' || :'key_id' || '.globex.client..4102444800.AAAAAAAAAAA.', false);
SELECT note FROM shop.orders;
SELECT set_config('tenancy.token', 'v1.' || :'key_id' || '.globex.client..4102444800.AAAAAAAAAAA.' || repeat('A', 22), false);
SELECT note FROM shop.orders;
SELECT set_config('tenancy.token', 'v1.' || :'key_id' || '.globex.client..4102444800.AAAAAAAAAAA', false);
SELECT set_config('tenancy.token', 'v0.' || :'key_id' || '.globex.client..4102444800.AAAAAAAAAAA.' || repeat('A', 22), false);
SELECT set_config('tenancy.token', 'v1.none.globex.client..4102444800.AAAAAAAAAAA.' || repeat('A', 22), false);
SELECT set_config('tenancy.token', 'v1..globex.client..4102444800.AAAAAAAAAAA.' || repeat('A', 22), false);
SELECT note FROM shop.orders;
SELECT set_config('tenancy.token', 'eyJhbGciOiJub25lIn0.eyJ0ZW5hbnQiOiJnbG9iZXgifQ.', false);
SELECT set_config('tenancy.token', '{"tenant": "globex", "role": "superadmin"}', false);
SELECT set_config('request.jwt.claims', '{"tenant": "globex", "tenant_id": "globex"}', false);
SELECT note FROM shop.orders;

--: A39 one's own token with another tenant, class, scope or expiry under the same signature
--: only ours
--: as dba
CREATE TABLE tools.mine AS SELECT tenancy.issue_token('acme', login => 'pooled') AS token;
GRANT SELECT ON tools.mine TO PUBLIC;
--: as pooled
SELECT token FROM tools.mine \gset
SELECT set_config('tenancy.token', replace(:'token', '.acme.', '.globex.'), false);
SELECT note FROM shop.orders;
SELECT set_config('tenancy.token', replace(:'token', '.client.', '.superadmin.'), false);
SELECT note FROM shop.orders;
SELECT set_config('tenancy.token', replace(:'token', '.client..', '.admin.globex.'), false);
SELECT note FROM shop.orders;
SELECT set_config('tenancy.token', replace(:'token', '.acme.client..', '..admin.globex.'), false);
SELECT set_config('tenancy.token', replace(:'token', '.acme.', '.acme,globex.'), false);
SELECT note FROM shop.orders;
SELECT set_config('tenancy.token', :'token', false);
SELECT note FROM shop.orders WHERE tenant_id <> 'acme';

--: A40 one's own token with every character changed, one after the other
--: only ours
--: as dba
CREATE TABLE tools.mine AS SELECT tenancy.issue_token('acme', login => 'pooled') AS token;
GRANT SELECT ON tools.mine TO PUBLIC;
--: secret accepted
--: as pooled
DO $$
DECLARE
    token CONSTANT text := (SELECT m.token FROM tools.mine m);
    other text;
BEGIN
    FOR i IN 1..length(token) LOOP
        FOREACH other IN ARRAY ARRAY['A', 'B', '0', '9', '_', '-', '.', 'é'] LOOP
            CONTINUE WHEN substr(token, i, 1) = other;
            BEGIN
                PERFORM set_config('tenancy.token', overlay(token PLACING other FROM i FOR 1), true);
                IF tenancy.current_tenant() IS NOT NULL THEN
                    RAISE NOTICE 'accepted: % at %', other, i;
                END IF;
            EXCEPTION WHEN OTHERS THEN
                NULL;
            END;
        END LOOP;
    END LOOP;
END $$;
SELECT note FROM shop.orders;

--: A41 tokens that are cut, lengthened, or far too long
--: only ours
--: as dba
CREATE TABLE tools.mine AS SELECT tenancy.issue_token('acme', login => 'pooled') AS token;
GRANT SELECT ON tools.mine TO PUBLIC;
--: secret accepted
--: as pooled
DO $$
DECLARE
    token CONSTANT text := (SELECT m.token FROM tools.mine m);
    other text;
BEGIN
    FOR other IN
        SELECT left(token, n) FROM generate_series(1, length(token) - 1) n UNION ALL
        SELECT right(token, n) FROM generate_series(1, length(token) - 1) n UNION ALL
        SELECT token || x FROM unnest(ARRAY['A', '.', '=', ' ', E'\n', '.A', repeat('A', 100), repeat('.', 1000000)]) x UNION ALL
        SELECT x || token FROM unnest(ARRAY['A', '.', ' ', E'\n', repeat('A', 100)]) x
    LOOP
        BEGIN
            PERFORM set_config('tenancy.token', other, true);
            IF tenancy.current_tenant() IS NOT NULL THEN
                RAISE NOTICE 'accepted: %', left(other, 100);
            END IF;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
END $$;
SELECT note FROM shop.orders;

--: A42 another login's token
--: only ours
--: as dba
CREATE TABLE tools.stolen AS SELECT tenancy.issue_token('globex', login => 'globex') AS token;
GRANT SELECT ON tools.stolen TO PUBLIC;
--: as pooled
SELECT token FROM tools.stolen \gset
SELECT set_config('tenancy.token', :'token', false);
SELECT note FROM shop.orders;
SELECT set_config('role', 'globex', false);
SELECT note FROM shop.orders;
--: as acme
SELECT token FROM tools.stolen \gset
SELECT set_config('tenancy.token', :'token', false);
SELECT note FROM shop.orders;

--: A43 another database's token, signed by the same key
--: only ours
--: as dba
SELECT current_database() AS here \gset
\c laboratory
SELECT tenancy.issue_token('globex', login => 'pooled') AS token \gset
\c :here
CREATE TABLE tools.stolen AS SELECT :'token' AS token;
GRANT SELECT ON tools.stolen TO PUBLIC;
--: as pooled
SELECT token FROM tools.stolen \gset
SELECT set_config('tenancy.token', :'token', false);
SELECT note FROM shop.orders;

--: A44 a token that expires in the midst of a transaction
--: only ours
--: as dba
CREATE TABLE tools.mine AS SELECT tenancy.issue_token('globex', login => 'pooled', lifetime => '1 second') AS token;
GRANT SELECT ON tools.mine TO PUBLIC;
--: as pooled
PREPARE notes AS SELECT note FROM shop.orders;
SELECT token FROM tools.mine \gset
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT set_config('tenancy.token', :'token', false);
SELECT count(*) FROM shop.orders;
DECLARE opened CURSOR FOR SELECT note FROM shop.orders ORDER BY note;
FETCH 1 FROM opened;
--: look
DO $$ BEGIN WHILE clock_timestamp() < (SELECT to_timestamp(split_part(token, '.', 6)::bigint) FROM tools.mine) LOOP PERFORM pg_sleep(0.02); END LOOP; END $$;
SAVEPOINT s;
SELECT note FROM shop.orders;
ROLLBACK TO s;
EXECUTE notes;
ROLLBACK TO s;
FETCH ALL FROM opened;
ROLLBACK;
SELECT note FROM shop.orders;
SELECT set_config('tenancy.token', :'token', false);
SELECT note FROM shop.orders;

--: A45 a token whose key is revoked while a session uses it, and a new session with it
--: only ours
--: as dba
CREATE TABLE tools.mine AS SELECT tenancy.issue_token('globex', login => 'pooled') AS token;
GRANT SELECT ON tools.mine TO PUBLIC;
--: as pooled
SELECT token FROM tools.mine \gset
SELECT set_config('tenancy.token', :'token', false);
SELECT count(*) FROM shop.orders;
--: meanwhile dba
SELECT tenancy.revoke_key(key_id) FROM tenancy.token_keys WHERE status = 'signing';
SELECT tenancy.rotate_key() IS NOT NULL;
--: look
SELECT note FROM shop.orders;
RESET tenancy.token;
SELECT set_config('tenancy.token', :'token', false);
SELECT note FROM shop.orders;
--: as pooled
SELECT token FROM tools.mine \gset
SELECT set_config('tenancy.token', :'token', false);
SELECT note FROM shop.orders;

--: A46 a token of the key before the one before
--: only ours
--: as dba
CREATE TABLE tools.mine AS SELECT tenancy.issue_token('globex', login => 'pooled') AS token;
GRANT SELECT ON tools.mine TO PUBLIC;
SELECT tenancy.rotate_key() IS NOT NULL, tenancy.rotate_key() IS NOT NULL;
--: as pooled
SELECT token FROM tools.mine \gset
SELECT set_config('tenancy.token', :'token', false);
SELECT note FROM shop.orders;

--: A47 the identifier of another key in front of the same signature
--: only ours
--: as dba
CREATE TABLE tools.mine AS SELECT tenancy.issue_token('acme', login => 'pooled') AS token, key_id AS old FROM tenancy.token_keys WHERE status = 'signing';
ALTER TABLE tools.mine ADD new text;
UPDATE tools.mine SET new = tenancy.rotate_key();
GRANT SELECT ON tools.mine TO PUBLIC;
--: secret acme-note
--: as pooled
SELECT token, old, new FROM tools.mine \gset
SELECT set_config('tenancy.token', replace(:'token', 'v1.' || :'old' || '.', 'v1.' || :'new' || '.'), false);
SELECT note FROM shop.orders;
SELECT set_config('tenancy.token', replace(:'token', 'v1.' || :'old' || '.', 'v1.' || upper(:'old') || 'x.'), false);
SELECT note FROM shop.orders;

--: A48 a token that is stored: in a role, a database, a function
--: only ours
--: as dba
CREATE TABLE tools.stolen AS SELECT tenancy.issue_token('globex', login => 'pooled') AS token;
GRANT SELECT ON tools.stolen TO PUBLIC;
--: as mallory
SELECT token FROM tools.stolen \gset
ALTER ROLE mallory SET tenancy.token = :'token';
ALTER DATABASE :"DBNAME" SET tenancy.token = :'token';
CREATE FUNCTION tools.spy() RETURNS SETOF text LANGUAGE sql SET tenancy.token = :'token' AS 'SELECT note FROM shop.orders';
SELECT tools.spy();
--: as mallory
SELECT note FROM shop.orders;

--: A49 a token of a tenant that is suspended
--: only ours
--: secret acme-note
--: as dba
CREATE TABLE tools.mine AS SELECT tenancy.issue_token('acme', login => 'pooled') AS token;
GRANT SELECT ON tools.mine TO PUBLIC;
--: as pooled
SELECT token FROM tools.mine \gset
SELECT set_config('tenancy.token', :'token', false);
SELECT count(*) FROM shop.orders;
--: meanwhile dba
SELECT tenancy.suspend_tenant('acme');
--: look
SELECT note FROM shop.orders;
--: as pooled
SELECT token FROM tools.mine \gset
SELECT set_config('tenancy.token', :'token', false);
SELECT note FROM shop.orders;

--: A50 a second token within a transaction that has used the first
--: only ours
--: as dba
CREATE TABLE tools.stolen AS SELECT tenancy.issue_token('globex', login => 'pooled') AS theirs, tenancy.issue_token('acme', login => 'pooled') AS mine;
GRANT SELECT ON tools.stolen TO PUBLIC;
--: as pooled
SELECT mine, theirs FROM tools.stolen \gset
BEGIN;
SELECT set_config('tenancy.token', :'mine', false);
SELECT count(*) FROM shop.orders;
SAVEPOINT s;
SELECT set_config('tenancy.token', :'theirs', false);
SELECT note FROM shop.orders;
ROLLBACK TO s;
SELECT set_config('tenancy.token', :'theirs', true);
SELECT note FROM shop.orders;
ROLLBACK TO s;
RESET tenancy.token;
SELECT set_config('tenancy.token', :'theirs', false);
SELECT note FROM shop.orders;
COMMIT;

--: A51 a bound login with a token of another tenant that is good for this login
--: only ours
--: as dba
CREATE TABLE tools.stolen AS SELECT tenancy.issue_token('globex', login => 'acme') AS token;
GRANT SELECT ON tools.stolen TO PUBLIC;
--: as acme
SELECT token FROM tools.stolen \gset
SELECT set_config('tenancy.token', :'token', false);
SELECT note FROM shop.orders;
RESET app.current_tenant_id;
DISCARD ALL;
SELECT set_config('tenancy.token', :'token', false);
SELECT note FROM shop.orders;
--: as acme with -c app.current_tenant_id=
SELECT token FROM tools.stolen \gset
SELECT set_config('tenancy.token', :'token', false);
SELECT note FROM shop.orders;

--: A52 a token at connect that is forged, then one's own
--: only ours
--: as pooled with -c tenancy.token=v1.abcd.globex.client..4102444800.AAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA
SELECT note FROM shop.orders;
SELECT tenancy.current_tenant();
SELECT current_setting('app.current_tenant_id');

--: A53 injected SQL reads the session's own token, to replay it later
--: only ours
--: as dba
CREATE TABLE tools.mine AS SELECT tenancy.issue_token('globex', login => 'pooled') AS token;
GRANT SELECT ON tools.mine TO globex;
CREATE TABLE tools.loot (text text);
GRANT ALL ON tools.loot TO PUBLIC;
GRANT globex TO pooled;
--: as pooled
SET ROLE globex;
SELECT token FROM tools.mine \gset
RESET ROLE;
SELECT set_config('tenancy.token', :'token', false) IS NOT NULL;
INSERT INTO tools.loot SELECT current_setting('tenancy.token');
INSERT INTO tools.loot SELECT set_config('tenancy.token', current_setting('tenancy.token'), false);
INSERT INTO tools.loot SELECT coalesce(setting, '') || coalesce(reset_val, '') FROM pg_settings WHERE name = 'tenancy.token';
INSERT INTO tools.loot SELECT query FROM pg_stat_activity WHERE query LIKE '%v1.%';
INSERT INTO tools.loot SELECT setting FROM pg_show_all_settings() WHERE setting LIKE 'v1.%';
--: as dba
REVOKE globex FROM pooled;
--: as pooled
SELECT set_config('tenancy.token', text, false) FROM tools.loot;
SELECT note FROM shop.orders;

--: A54 the keys themselves
--: only ours
--: as dba
CREATE TABLE tools.reference AS SELECT encode(secret, 'hex') AS secret FROM tenancy.token_secrets LIMIT 1;
GRANT pg_read_all_data, pg_monitor TO mallory;
--: secret [0-9a-f]{64}
--: as mallory
SELECT encode(secret, 'hex') FROM tenancy.token_secrets;
COPY tenancy.token_secrets TO STDOUT;
TABLE tenancy.token_keys;
\! pg_dump -U mallory -t tenancy.token_secrets --inserts --enable-row-security
SELECT encode(s.secret, 'hex') FROM (SELECT (x).* FROM (SELECT t AS x FROM tenancy.token_secrets t) y) s;
SELECT query_to_xml('SELECT * FROM tenancy.token_secrets', true, false, '');

--: A55 issuing, rotating and revoking without a privilege
--: only ours
--: as service
SELECT tenancy.issue_token('globex', login => 'service');
SELECT tenancy.rotate_key();
SELECT tenancy.revoke_key('x');
INSERT INTO tenancy.token_secrets (key_id, secret) VALUES ('mine', '\x00');
SELECT tenancy.set_context('globex', 'superadmin');
SELECT tenancy.bind_role('service', 'globex');
SELECT tenancy.define_scope('all', ARRAY['acme', 'globex']);
SELECT note FROM shop.orders;
--: as mallory
CREATE FUNCTION tools.issue(text, text, text[], name, interval) RETURNS text LANGUAGE c AS '$libdir/tenancy', 'tenancy_issue_token';
SELECT tools.issue('globex', 'client', NULL, 'mallory', '1 hour');

--: A56 the class and the scope, written beside the tenant
--: only ours
--: as acme
SET tenancy.access = 'superadmin::';
SET tenancy.access = 'admin:acme:globex';
SELECT set_config('tenancy.access', 'superadmin:acme:', false);
SELECT note FROM shop.orders;
--: as acme with -c tenancy.access=superadmin:acme:
SELECT note FROM shop.orders;
--: as service
SET tenancy.access = 'superadmin::';
SELECT note FROM shop.orders;
--: as mallory
ALTER ROLE mallory SET tenancy.access = 'superadmin:acme:';
--: as mallory
SELECT note FROM shop.orders;

--: A57 the guards themselves, switched off
--: only ours
--: as mallory with -c tenancy.allow_bypass=on
SET tenancy.allow_bypass = on;
SET tenancy.hide_plans = off;
SET tenancy.strict = off;
SET tenancy.local_only = off;
SET session_preload_libraries = '';
ALTER ROLE mallory SET tenancy.allow_bypass = on;
CREATE FUNCTION tools.spy() RETURNS SETOF text LANGUAGE sql SET tenancy.allow_bypass = on AS 'SELECT note FROM shop.orders';
SELECT tools.spy();
SELECT note FROM shop.orders;
SHOW tenancy.allow_bypass;

--: A58 the same token twice in one session, after RESET, DISCARD ALL and a rollback
--: only ours
--: as dba
CREATE TABLE tools.mine AS SELECT tenancy.issue_token('globex', login => 'pooled') AS token;
GRANT SELECT ON tools.mine TO PUBLIC;
--: as pooled
SELECT token FROM tools.mine \gset
BEGIN;
SELECT set_config('tenancy.token', :'token', false) IS NOT NULL;
SELECT count(*) FROM shop.orders;
ROLLBACK;
--: look
SELECT note FROM shop.orders;
BEGIN;
SELECT tenancy.current_tenant();
COMMIT;
RESET ALL;
DISCARD ALL;
SELECT note FROM shop.orders;
