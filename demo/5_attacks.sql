-- The setting that the policies read cannot be written by the application …
SET app.current_tenant_id = 'tenant-002';
\echo SQLSTATE :SQLSTATE

-- … and a transaction that has a tenant keeps it.
BEGIN;
SELECT tenancy.set_tenant('tenant-001');
SELECT tenancy.set_tenant('tenant-002');
\echo SQLSTATE :SQLSTATE
ROLLBACK;

-- A row for another tenant is refused, too.
BEGIN;
SELECT tenancy.set_tenant('tenant-001');
INSERT INTO tenant_tenant_002_crm.customers (name, email) VALUES ('Mallory', 'mallory@example.com');
\echo SQLSTATE :SQLSTATE
ROLLBACK;
