--
-- tenant_name: from tenant identifiers to names of schemas.
--
SELECT current_database() AS start_database \gset
CREATE DATABASE tenant_name_test;
\c tenant_name_test
CREATE EXTENSION tenancy;

-- the documents' example
SELECT tenancy.schema_name('tenant-001', 'crm');

-- names need no quotes, and case, "-" and "_" make no difference
SELECT id, tenancy.fold_tenant_id(id), tenancy.schema_name(id, 'crm'),
       quote_ident(tenancy.schema_name(id, 'crm')) = tenancy.schema_name(id, 'crm')::text AS plain
  FROM unnest(ARRAY['a', '7', 'Tenant-001', 'tenant_001', 'TENANT-001', 'a--b', 'a-', 'order',
                    '0b7e9d3a-7c43-4f0e-9a55-3d0f6b9f6f11']) id;

-- the last underscore splits a name, since a type has none
SELECT tenancy.schema_name('a', 'b_crm');
\echo :SQLSTATE
SELECT tenancy.schema_name('a_b', 'crm');

-- a name is never cut without a word: what is too long gets a hash of the whole before its type
SELECT id, name, length(name::text) AS bytes
  FROM unnest(ARRAY[repeat('x', 50), repeat('x', 49) || 'y', repeat('X', 50)]) id,
       tenancy.schema_name(id, 'crm') name;
SELECT type, name, length(name::text) AS bytes
  FROM unnest(ARRAY['crm', 'sales', 'support', 'abcdefghijklmnopqrstuvwx']) type,
       tenancy.schema_name(repeat('x', 50), type) name;

-- what is no identifier
SELECT tenancy.schema_name('', 'crm');
\echo :SQLSTATE
SELECT tenancy.schema_name(' a', 'crm');
SELECT tenancy.schema_name('a b', 'crm');
SELECT tenancy.schema_name('a.b', 'crm');
SELECT tenancy.schema_name('a"b', 'crm');
SELECT tenancy.schema_name(E'a\nb', 'crm');
SELECT tenancy.schema_name('tenant-é', 'crm');
SELECT tenancy.schema_name('_a', 'crm');
SELECT tenancy.schema_name('Public', 'crm');
SELECT tenancy.schema_name(repeat('x', 51), 'crm');
SELECT tenancy.schema_name(NULL, 'crm') IS NULL AS null_in_null_out;

-- what is no type
SELECT tenancy.schema_name('a', '');
SELECT tenancy.schema_name('a', 'CRM');
SELECT tenancy.schema_name('a', '9lives');
SELECT tenancy.schema_name('a', 'abcdefghijklmnopqrstuvwxy');

\c :start_database
DROP DATABASE tenant_name_test;
