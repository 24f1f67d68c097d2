CREATE EXTENSION tenancy_mongo CASCADE;
CREATE EXTENSION tenancy_business;
CREATE SERVER platform FOREIGN DATA WRAPPER tenancy_mongo
    OPTIONS (hosts '@mongo_host@', replica_set 'rs0', credentials 'platform');

-- In MongoDB: validators and indexes of the collections that both sides share.
SELECT database_name, collection_name, action FROM tenancy_mongo.install_stored_logic('platform');

-- Tenants of the tier "gold" get the CRM system.
SELECT tenancy.assign_tier_system('gold', 'crm');

-- Tenants, their databases and their tasks: live in PostgreSQL from here on.
SELECT tenancy_mongo.mirror_registry('platform');

-- An application that serves all tenants logs in as this role.  It is no superuser and owns nothing.
CREATE ROLE app LOGIN IN ROLE tenancy_service;
