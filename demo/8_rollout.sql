-- The next version of the CRM: what the last one makes and a column more, and the way there and back.
SELECT tenancy.register_version('crm', '1.2.0',
    (SELECT install_sql FROM tenancy.system_versions WHERE system_id = 'crm' AND version = '1.1.0')
    || 'ALTER TABLE customers ADD COLUMN vat_number text;');
SELECT tenancy.register_migration('crm', '1.1.0', '1.2.0',
    'ALTER TABLE customers ADD COLUMN vat_number text',
    'ALTER TABLE customers DROP COLUMN vat_number');

-- All tenants are led there by background workers, one of them before the others.
SELECT wave, tenant_id, version_from, version_to, action
  FROM tenancy.plan_rollout('crm', '1.2.0', canary => ARRAY['tenant-001']) ORDER BY wave, tenant_id;
SELECT tenancy.start_rollout('crm', '1.2.0', canary => ARRAY['tenant-001']);
