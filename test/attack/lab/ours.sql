--
-- ours.sql — the laboratory is protected by pg_tenancy, installed and used as its documentation says.
--

CREATE EXTENSION tenancy;

-- Every tenant gets one system, in a schema of its own.
SELECT tenancy.register_system('crm', 'CRM', 'crm', 'laboratory');
SELECT tenancy.register_version('crm', '1.0.0', 'CREATE TABLE customers (id serial PRIMARY KEY, name text, note text);');
SELECT tenancy.assign_tier_system('*', 'crm');

-- The authentication service, which is no part of the laboratory, issues tokens.
SELECT tenancy.rotate_key() IS NOT NULL;
