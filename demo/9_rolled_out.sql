SELECT state, total, done, failed, percent FROM tenancy.rollout_progress;
SELECT tenant_id, system_id, version FROM tenancy.installed_systems ORDER BY tenant_id;

-- A way back that would lose what was written since is refused, and says what that is.
UPDATE tenant_tenant_001_crm.customers SET vat_number = 'GB123456789' WHERE name = 'Ada Lovelace';
SELECT tenancy.rollback_system('tenant-001', 'crm', '1.1.0');
\echo SQLSTATE :SQLSTATE
SELECT tenancy.rollback_system('tenant-002', 'crm', '1.1.0');
