BEGIN;
SELECT tenancy.set_tenant('tenant-001');
INSERT INTO tenant_tenant_001_crm.customers (name, email)
    VALUES ('Ada Lovelace', 'ada@example.com'), ('Charles Babbage', 'charles@example.com');
COMMIT;

BEGIN;
SELECT tenancy.set_tenant('tenant-002');
INSERT INTO tenant_tenant_002_crm.customers (name, email) VALUES ('Grace Hopper', 'grace@example.com');
COMMIT;
