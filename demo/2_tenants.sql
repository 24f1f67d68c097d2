SELECT tenant_id, name, tier, status, role_name FROM tenancy.tenants ORDER BY tenant_id;

-- The fourth asks for the tier "platinum", to which no system was ever assigned.
SELECT tenant_id, mongo_status, state, last_error_sqlstate, last_error_message FROM tenancy_mongo.stat_registry;

\dn tenant_*
\dt tenant_tenant_001_crm.*

-- Each of those tables has its policy.
SELECT tablename, policyname, permissive, qual FROM pg_policies
 WHERE schemaname = 'tenant_tenant_001_crm' AND tablename = 'customers' ORDER BY policyname;
