-- Tasks live in MongoDB, customers in PostgreSQL.
BEGIN;
SELECT tenancy.set_tenant('tenant-001');
SELECT t.task_id, t.type, t.status, c.name, t.payload->>'subject' AS subject
  FROM tenancy.tasks t
  JOIN tenant_tenant_001_crm.customers c ON c.email = t.payload->>'customer'
 ORDER BY t.task_id;

-- The same session asks for everything that there is, and for a neighbour's customers.
SELECT tenant_id, count(*) FROM tenancy.tasks GROUP BY tenant_id;
SELECT count(*) AS customers_of_tenant_002 FROM tenant_tenant_002_crm.customers;
COMMIT;

-- Without a tenant there is nothing.
SELECT count(*) AS tasks_without_a_tenant FROM tenancy.tasks;
