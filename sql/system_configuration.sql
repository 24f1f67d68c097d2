--
-- system_configuration: settings and features, links, compatibility, what may fail without an error, the verbs of the documents.
--
\set SHOW_CONTEXT never
SELECT current_database() AS start_database, current_user AS start_user \gset
CREATE DATABASE system_configuration_test;
\c system_configuration_test
CREATE EXTENSION tenancy;
SELECT tenancy.create_tenant('cfg-1', 'One'), tenancy.create_tenant('cfg-2', 'Two');
SELECT tenancy.register_system('shop', 'Shop', 'shop', 'us'), tenancy.register_system('mail', 'Mail', 'mail', 'us');
SELECT tenancy.register_version('shop', '1.0.0', 'CREATE TABLE customers (id integer PRIMARY KEY)', features => '["reviews", "gifts"]', configuration_schema => '{
    "type": "object", "required": ["currency"], "additionalProperties": false,
    "properties": {
        "currency": {"type": "string", "enum": ["EUR", "USD"]},
        "vat": {"type": "number", "minimum": 0, "maximum": 100},
        "page": {"type": "integer"},
        "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 4},
        "regions": {"type": "array", "items": {"type": "string"}},
        "sender": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}}}');
SELECT tenancy.register_version('mail', '1.0.0', 'CREATE TABLE letters (id integer PRIMARY KEY, customer_id integer, "Odd Name" integer)');
SELECT tenancy.install_system('cfg-1', 'shop'), tenancy.install_system('cfg-1', 'mail');

--
-- Settings and features
--
SELECT tenancy.configure_system('cfg-1', 'shop', '{"currency": "EUR", "vat": 19}');
SELECT tenancy.configure_system('cfg-1', 'shop', '{"vat": null, "page": 10, "regions": ["eu", "us"], "sender": {"name": "us"}}');
SELECT tenancy.enable_feature('cfg-1', 'shop', 'reviews');
SELECT tenancy.enable_feature('cfg-1', 'shop', 'gifts');
SELECT tenancy.enable_feature('cfg-1', 'shop', 'gifts');
SELECT tenancy.enable_feature('cfg-1', 'shop', 'reviews', false);
SELECT configurations, features_enabled FROM tenancy.tenant_systems WHERE system_id = 'shop';
SELECT revision, configurations, features_enabled, changed_by = session_user AS us FROM tenancy.configuration_revisions ORDER BY 1;
SELECT tenancy.rollback_configuration('cfg-1', 'shop', 1);
SELECT configurations, features_enabled FROM tenancy.tenant_systems WHERE system_id = 'shop';
-- a version that says nothing takes anything
SELECT tenancy.configure_system('cfg-1', 'mail', '{"any": [1, {"thing": true}]}'), tenancy.enable_feature('cfg-1', 'mail', 'anything');
-- what does not go
CREATE FUNCTION problem(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE command;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' ', SQLSTATE, SQLERRM, nullif(detail, ''));
END $$;
SELECT c, problem(format('SELECT tenancy.configure_system(''cfg-1'', ''shop'', %L)', c))
  FROM unnest(ARRAY['{"currency": "GBP"}', '{"currency": null}', '{"vat": "19"}', '{"vat": -1}', '{"vat": 101}', '{"page": 1.5}', '{"page": 2.0}', '{"code": "ABC"}',
                    '{"code": "abcde"}', '{"regions": ["eu", 1]}', '{"sender": {}}', '{"sender": "me"}', '{"colour": "red"}', '[1]', '1', NULL]) c;
SELECT problem($$SELECT tenancy.enable_feature('cfg-1', 'shop', 'teleport')$$);
SELECT problem($$SELECT tenancy.enable_feature('cfg-1', 'shop', NULL)$$);
SELECT problem($$SELECT tenancy.configure_system('cfg-2', 'shop', '{}')$$);
SELECT problem($$SELECT tenancy.rollback_configuration('cfg-1', 'shop', 99)$$);
-- taken away and installed again, a system has what was set
SELECT tenancy.uninstall_system('cfg-1', 'shop');
SELECT tenancy.install_system('cfg-1', 'shop');
SELECT configurations FROM tenancy.tenant_systems WHERE system_id = 'shop';

--
-- Links
--
SELECT tenancy.link_systems('cfg-1', 'mail', 'letters.customer_id', 'shop', 'customers.id', 'to whom');
SELECT tenancy.link_systems('cfg-1', 'mail', 'letters."Odd Name"', 'shop', 'customers.id');
SELECT system_id, table_name, column_name, linked_system_id, linked_table, linked_column, description FROM tenancy.system_links ORDER BY 3;
SELECT tenancy.unlink_systems('cfg-1', 'mail', 'letters."Odd Name"');
SELECT problem($$SELECT tenancy.unlink_systems('cfg-1', 'mail', 'letters.id')$$);
SELECT problem($$SELECT tenancy.link_systems('cfg-1', 'mail', 'letters.nothing', 'shop', 'customers.id')$$);
SELECT problem($$SELECT tenancy.link_systems('cfg-1', 'mail', 'letters', 'shop', 'customers.id')$$);
SELECT problem($$SELECT tenancy.link_systems('cfg-1', 'mail', 'letters.customer_id', 'desk', 'customers.id')$$);
SELECT problem($$SELECT tenancy.link_systems('cfg-1', 'mail', 'letters.customer_id', 'mail', 'letters.id')$$);
INSERT INTO tenant_cfg_1_shop.customers VALUES (1);
INSERT INTO tenant_cfg_1_mail.letters VALUES (1, 1), (2, 2), (3, NULL), (4, 5);
SELECT * FROM tenancy.broken_links('cfg-1');
DELETE FROM tenant_cfg_1_mail.letters WHERE id IN (2, 4);
SELECT * FROM tenancy.broken_links('cfg-1');
SELECT tenancy.uninstall_system('cfg-1', 'shop');
SELECT * FROM tenancy.broken_links('cfg-1');

--
-- Compatibility
--
SELECT tenancy.register_system('vault', 'Vault', 'vault', 'us');
SELECT problem(format('SELECT tenancy.register_version(''vault'', %L, ''CREATE TABLE v (id integer)'', compatibility => %L)', v, c))
  FROM (VALUES ('1.0.0', '{"extension": ">=1.0", "postgresql": ">=15"}'), ('1.1.0', '{"extension": ">=99"}'), ('1.2.0', '{"postgresql": "<15"}'),
               ('1.3.0', '{"conflicts": {"mail": "*"}}'), ('1.4.0', '{"conflicts": {"mail": ">=2.0.0", "nowhere": "*"}}'),
               ('2.0.0', '{"mongodb": "6"}'), ('2.1.0', '[]'), ('2.2.0', '{"postgresql": 15}'), ('2.3.0', '{"postgresql": ">>15"}'), ('2.4.0', '{"conflicts": "mail"}')) x(v, c);
SELECT v, regexp_replace(problem(format('SELECT tenancy.install_system(''cfg-1'', ''vault'', %L)', v)), 'this is 1[5-9][.][0-9.]+[.]$', 'this is newer.') AS problem
  FROM unnest(ARRAY['1.1.0', '1.2.0', '1.3.0', '1.4.0']) v;
SELECT tenancy.uninstall_system('cfg-1', 'mail');
SELECT tenancy.uninstall_system('cfg-1', 'vault');
SELECT tenancy.install_system('cfg-1', 'vault', '1.3.0');
-- it counts from both sides
SELECT problem($$SELECT tenancy.install_system('cfg-1', 'mail')$$);

--
-- What may fail without an error
--
SELECT tenancy.register_version('shop', '1.1.0', 'CREATE TABLE customers (id integer PRIMARY KEY)'), tenancy.register_version('shop', '1.2.0', 'SELECT 1 / 0');
SELECT tenancy.register_migration('shop', '1.0.0', '1.1.0', 'CREATE TABLE half (id integer); SELECT 1 / 0', 'SELECT 1');
SELECT tenancy.register_migration('shop', '1.0.0', '1.2.0', 'CREATE TABLE t (id integer)', 'SELECT 1 / 0');
SELECT schema_name, failure, message, detail, context <> '' AS context FROM tenancy.try_install_system('cfg-2', 'shop', '1.2.0');
SELECT system_id, status, schema_name, error_message FROM tenancy.tenant_systems WHERE tenant_id = 'cfg-2';
SELECT system_id, version, status, error_message FROM tenancy.installed_systems WHERE tenant_id = 'cfg-2';
SELECT schema_name, failure FROM tenancy.try_install_system('cfg-2', 'shop', '1.0.0');
SELECT reached, failure, message FROM tenancy.try_update_system('cfg-2', 'shop', '1.1.0');
SELECT status, version, error_message FROM tenancy.installed_systems WHERE tenant_id = 'cfg-2';
SELECT to_regclass('tenant_cfg_2_shop.half') IS NULL AS nothing;
SELECT reached, failure, message FROM tenancy.try_update_system('cfg-2', 'shop', '1.2.0');
SELECT status, version, error_message FROM tenancy.installed_systems WHERE tenant_id = 'cfg-2';
SELECT reached, failure, message FROM tenancy.try_rollback_system('cfg-2', 'shop', '1.0.0');
SELECT reached, failure, message FROM tenancy.try_update_system('cfg-404', 'shop');
SELECT direction, version_from, version_to, schema_name, sqlstate, error_message FROM tenancy.tenant_system_history WHERE tenant_id = 'cfg-2' ORDER BY history_id;
-- a tenant that cannot be provisioned says why, until it can
SELECT tenancy.assign_tier_system('gold', 'shop');
INSERT INTO tenancy.tenants (tenant_id, name, database_config, tier) VALUES ('cfg-3', 'Three', '{"type": "shared"}', 'gold');
SELECT failure, message FROM tenancy.try_provision_tenant('cfg-3');
SELECT status, error_message, schemas, role_name FROM tenancy.tenant_overview WHERE tenant_id = 'cfg-3';
SELECT tenancy.register_version('shop', '1.3.0', 'CREATE TABLE customers (id integer PRIMARY KEY)');
SELECT failure, message FROM tenancy.try_provision_tenant('cfg-3');
SELECT status, error_message, schemas, role_name FROM tenancy.tenant_overview WHERE tenant_id = 'cfg-3';

--
-- The verbs of the documents
--
SELECT system_id, latest_version FROM tenancy.available_systems ORDER BY 1;
SELECT system_id, latest_version FROM tenancy.get_system('shop');
SELECT problem($$SELECT tenancy.get_system('nothing')$$);
SELECT version, is_latest FROM tenancy.available_versions WHERE system_id = 'shop' ORDER BY schema_version;
SELECT system_id, version, status FROM tenancy.installed_systems WHERE tenant_id = 'cfg-3';

\c :start_database
DROP DATABASE system_configuration_test;
DROP ROLE tenant_cfg_1, tenant_cfg_2, tenant_cfg_3;
