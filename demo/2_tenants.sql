SELECT tenant_id, name, tier, status, role_name FROM tenancy.tenants ORDER BY tenant_id;

-- Tier "platinum" was never assigned a system: the reason stands here, and in the tenant's document in MongoDB.
SELECT tenant_id, error_message FROM tenancy.tenants WHERE error_message IS NOT NULL;

\dn tenant_*
\dt tenant_tenant_001_crm.*

-- Each of those tables has its policy.
SELECT tablename, policyname, permissive, qual FROM pg_policies
 WHERE schemaname = 'tenant_tenant_001_crm' AND tablename = 'customers' ORDER BY policyname;
