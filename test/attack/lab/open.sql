--
-- open.sql — the laboratory is protected by nothing.  Every attack must succeed here: one that does not proves nothing
-- anywhere else.  It is the recipe without policies, and whoever is a tenant may use every schema.
--

\ir recipe.sql

CREATE OR REPLACE FUNCTION tenancy.protect("table" regclass, tenant_column name DEFAULT 'tenant_id', tenant text DEFAULT NULL)
    RETURNS void LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
GRANT ALL ON tenancy.tenants TO PUBLIC;
-- In what comes after this line, everybody may do everything.
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
