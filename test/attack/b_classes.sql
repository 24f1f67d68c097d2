--
-- Role classes, of every class of attacks: who was an admin or a superadmin, and is not any more; who reaches further than
-- his scope.
--

--: B43 a superadmin's generic plan, run by the next client
--: only ours
--: as dba
SELECT tenancy.declare_access('shop.orders', 'superadmin', 'read-write');
GRANT EXECUTE ON FUNCTION tenancy.set_context TO service;
--: as service
SET plan_cache_mode = force_generic_plan;
PREPARE notes AS SELECT note FROM shop.orders;
BEGIN; SELECT tenancy.set_context(NULL, 'superadmin'); EXECUTE notes; COMMIT;
--: look
EXECUTE notes;
BEGIN; SELECT tenancy.set_context('acme', 'client'); EXECUTE notes; COMMIT;
BEGIN; SELECT tenancy.set_context('acme', 'admin'); EXECUTE notes; COMMIT;

--: B44 a superadmin's plan in a function, and in a function's simple expressions
--: only ours
--: as dba
SELECT tenancy.declare_access('shop.orders', 'superadmin', 'read-write');
GRANT EXECUTE ON FUNCTION tenancy.set_context TO service;
--: as service
CREATE FUNCTION pg_temp.notes() RETURNS SETOF text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN QUERY SELECT note FROM shop.orders; END $$;
CREATE FUNCTION pg_temp.one() RETURNS text LANGUAGE sql STABLE AS $$ SELECT max(note) FROM shop.orders $$;
BEGIN; SELECT tenancy.set_context(NULL, 'superadmin'); SELECT count(pg_temp.notes()), count(pg_temp.one()) FROM generate_series(1, 10); COMMIT;
--: look
BEGIN; SELECT tenancy.set_context('acme', 'client'); SELECT pg_temp.notes(), pg_temp.one(); COMMIT;
SELECT pg_temp.notes(), pg_temp.one();

--: B45 a superadmin's cursors, fetched by the next client
--: only ours
--: as dba
SELECT tenancy.declare_access('shop.orders', 'superadmin', 'read-write');
GRANT EXECUTE ON FUNCTION tenancy.set_context TO service;
--: as service
BEGIN;
SELECT tenancy.set_context(NULL, 'superadmin');
DECLARE held CURSOR WITH HOLD FOR SELECT note FROM shop.orders;
DECLARE opened CURSOR FOR SELECT note FROM shop.orders;
FETCH 1 FROM opened;
--: look
SAVEPOINT s;
SELECT tenancy.clear_tenant();
FETCH ALL FROM opened;
ROLLBACK TO s;
SELECT tenancy.set_context('acme', 'client');
FETCH ALL FROM opened;
COMMIT;
BEGIN;
SELECT tenancy.set_context('acme', 'client');
FETCH ALL FROM held;
COMMIT;
FETCH ALL FROM held;

--: B46 a scope that shrinks, under an admin's open session and plan
--: only ours
--: as dba
SELECT tenancy.declare_access('shop.orders', 'admin', 'read-write');
SELECT tenancy.define_scope('north', ARRAY['acme', 'globex']);
GRANT EXECUTE ON FUNCTION tenancy.set_context TO service;
--: as service
SET plan_cache_mode = force_generic_plan;
PREPARE notes AS SELECT note FROM shop.orders;
BEGIN;
SELECT tenancy.set_context('acme', 'admin', ARRAY['@north']);
EXECUTE notes;
--: meanwhile dba
SELECT tenancy.define_scope('north', ARRAY['acme']);
--: look
EXECUTE notes;
SELECT note FROM shop.orders;
COMMIT;

--: B47 a member of an admin's scope is suspended
--: only ours
--: as dba
SELECT tenancy.declare_access('shop.orders', 'admin', 'read-write');
GRANT EXECUTE ON FUNCTION tenancy.set_context TO service;
--: as service
BEGIN;
SELECT tenancy.set_context('acme', 'admin', ARRAY['globex']);
SELECT count(*) FROM shop.orders;
--: meanwhile dba
SELECT tenancy.suspend_tenant('globex');
--: look
SELECT note FROM shop.orders;
COMMIT;
--: as dba
SELECT tenancy.resume_tenant('globex');

--: B48 a superadmin's class taken away by a revoked key, in an open transaction
--: only ours
--: as dba
SELECT tenancy.declare_access('shop.orders', 'superadmin', 'read');
CREATE TABLE tools.mine AS SELECT tenancy.issue_token(NULL, 'superadmin', login => 'pooled') AS token;
GRANT SELECT ON tools.mine TO PUBLIC;
--: as pooled
SELECT token FROM tools.mine \gset
SET plan_cache_mode = force_generic_plan;
PREPARE notes AS SELECT note FROM shop.orders;
BEGIN;
SELECT set_config('tenancy.token', :'token', false) IS NOT NULL;
SELECT count(*) FROM shop.orders;
EXECUTE notes;
--: meanwhile dba
SELECT tenancy.revoke_key(key_id) FROM tenancy.token_keys WHERE status = 'signing';
--: look
SAVEPOINT s;
EXECUTE notes;
ROLLBACK TO s;
SELECT note FROM shop.orders;
ROLLBACK;
EXECUTE notes;

--: B49 a procedure's loop over a superadmin's rows goes on as a client
--: only ours
--: as dba
SELECT tenancy.declare_access('shop.orders', 'superadmin', 'read');
GRANT EXECUTE ON FUNCTION tenancy.set_context TO service;
--: as service
CREATE PROCEDURE pg_temp.mix() LANGUAGE plpgsql AS $$
DECLARE
    line record;
BEGIN
    PERFORM tenancy.set_context(NULL, 'superadmin');
    FOR line IN SELECT note FROM shop.orders ORDER BY note DESC LOOP
        COMMIT;
        PERFORM tenancy.set_context('acme', 'client');
        RAISE NOTICE '% sees %', tenancy.current_tenant(), line.note;
    END LOOP;
END $$;
--: look
CALL pg_temp.mix();

--: E38 an admin reads beyond the scope
--: only ours
--: secret (GLOBEX-SECRET|INITECH)
--: as dba
SELECT tenancy.create_tenant('initech', 'Initech');
INSERT INTO shop.orders (tenant_id, note) VALUES ('initech', 'INITECH');
SELECT tenancy.declare_access(t, 'admin', 'read-write') FROM unnest(ARRAY['shop.orders', 'shop.events', 'shop.documents']::regclass[]) t;
GRANT EXECUTE ON FUNCTION tenancy.set_context TO service;
--: as service
BEGIN;
SELECT tenancy.set_context('acme', 'admin');
SELECT note FROM shop.orders;
SELECT note FROM shop.events;
SELECT note FROM shop.events_globex;
SELECT note FROM shop.contracts;
SELECT note FROM shop.customers;
COMMIT;
BEGIN;
SELECT tenancy.set_context(NULL, 'admin', ARRAY['acme']);
SELECT note FROM shop.orders WHERE tenant_id IN ('globex', 'initech') OR true;
SELECT note FROM shop.customers;
SELECT note FROM tenant_globex_crm.customers;
COMMIT;

--: E39 an admin or superadmin where nobody has declared anything
--: only ours
--: as dba
GRANT EXECUTE ON FUNCTION tenancy.set_context TO service;
--: as service
BEGIN;
SELECT tenancy.set_context('acme', 'admin', ARRAY['globex']);
SELECT note FROM shop.orders;
SELECT note FROM tenant_globex_crm.customers;
COMMIT;
BEGIN;
SELECT tenancy.set_context(NULL, 'superadmin');
SELECT note FROM shop.orders;
SELECT note FROM tenant_globex_crm.customers;
COMMIT;

--: E40 scopes that are no lists: injected separators, names, blanks
--: only ours
--: as dba
SELECT tenancy.declare_access('shop.orders', 'admin', 'read');
GRANT EXECUTE ON FUNCTION tenancy.set_context TO service;
GRANT EXECUTE ON FUNCTION tenancy.define_scope TO service;
--: as service
SELECT tenancy.define_scope('x,globex', ARRAY['acme']);
SELECT tenancy.define_scope('@x', ARRAY['acme']);
SELECT tenancy.define_scope('x', ARRAY['@x']);
SELECT tenancy.define_scope('x', ARRAY['acme,globex']);
SELECT tenancy.define_scope('x', ARRAY['%', '*', '']);
BEGIN; SELECT tenancy.set_context('acme', 'admin', ARRAY['acme,globex']); SELECT note FROM shop.orders; COMMIT;
BEGIN; SELECT tenancy.set_context('acme', 'admin', ARRAY['acme:globex']); SELECT note FROM shop.orders; COMMIT;
BEGIN; SELECT tenancy.set_context('acme', 'admin', ARRAY['*']); SELECT note FROM shop.orders; COMMIT;
BEGIN; SELECT tenancy.set_context('acme', 'admin', ARRAY[NULL]); SELECT note FROM shop.orders; COMMIT;
BEGIN; SELECT tenancy.set_context('acme', 'superadmin ', NULL); SELECT note FROM shop.orders; COMMIT;
BEGIN; SELECT tenancy.set_context('acme', 'SUPERADMIN'); SELECT note FROM shop.orders; COMMIT;
BEGIN; SELECT tenancy.set_context('acme', 'client', ARRAY['globex']); SELECT note FROM shop.orders; COMMIT;

--: G35 a class that may read, writes
--: only ours
--: as dba
SELECT tenancy.declare_access('shop.orders', 'admin', 'read'), tenancy.declare_access('shop.orders', 'superadmin', 'read');
GRANT EXECUTE ON FUNCTION tenancy.set_context TO service;
--: as service
BEGIN;
SELECT tenancy.set_context(NULL, 'superadmin');
SAVEPOINT s;
UPDATE shop.orders SET note = 'HACKED';
ROLLBACK TO s;
DELETE FROM shop.orders;
ROLLBACK TO s;
INSERT INTO shop.orders (tenant_id, note) VALUES ('globex', 'HACKED');
ROLLBACK TO s;
MERGE INTO shop.orders o USING (VALUES (2)) v (n) ON o.id = n WHEN MATCHED THEN UPDATE SET note = 'HACKED';
ROLLBACK TO s;
UPDATE shop.orders SET note = 'HACKED' WHERE tenant_id = 'globex';
COMMIT;
BEGIN;
SELECT tenancy.set_context('acme', 'admin', ARRAY['globex']);
UPDATE shop.orders SET note = 'HACKED' WHERE tenant_id = 'globex';
COMMIT;

--: G36 an admin moves rows out of the scope, and in
--: only ours
--: as dba
SELECT tenancy.declare_access('shop.orders', 'admin', 'read-write');
GRANT EXECUTE ON FUNCTION tenancy.set_context TO service;
--: as service
BEGIN;
SELECT tenancy.set_context('acme', 'admin');
SAVEPOINT s;
UPDATE shop.orders SET tenant_id = 'globex', note = 'HACKED';
ROLLBACK TO s;
UPDATE shop.orders SET tenant_id = 'acme' WHERE tenant_id = 'globex';
INSERT INTO shop.orders (tenant_id, note) VALUES ('globex', 'HACKED');
ROLLBACK TO s;
INSERT INTO shop.orders (id, tenant_id, note) VALUES (2, 'acme', 'x') ON CONFLICT (id) DO UPDATE SET note = 'HACKED';
COMMIT;

--: G37 a client that nothing is declared for
--: only ours
--: as dba
SELECT tenancy.declare_access('shop.orders', 'client', 'none');
--: secret acme-note
--: as acme
SELECT note FROM shop.orders;
UPDATE shop.orders SET note = 'HACKED';
INSERT INTO shop.orders (tenant_id, note) VALUES ('acme', 'mine');

--: G38 declare_access() by those who own nothing
--: only ours
--: as acme
SELECT tenancy.declare_access('shop.orders', 'client', 'read-write');
SELECT tenancy.declare_access('shop.orders', 'superadmin', 'read-write');
INSERT INTO tenancy.access_rules VALUES ('shop.orders'::regclass, 'client', 'read-write');
UPDATE tenancy.access_rules SET mode = 'read-write';
SELECT note FROM shop.orders;
