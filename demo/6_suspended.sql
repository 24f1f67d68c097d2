BEGIN;
SELECT tenancy.set_tenant('tenant-003');
\echo SQLSTATE :SQLSTATE
ROLLBACK;
