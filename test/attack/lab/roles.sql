--
-- roles.sql — who is who in the laboratory, made once a server, in the database that attacks are not run in.
--
--   acme, globex     logins of two customers, each bound to its tenant.  acme attacks, globex is the victim
--   service          the application's login: it serves every customer, one a transaction
--   pooled           a login without a tenant of its own: what its token says it is
--   mallory          acme's developer: bound like acme, and may create schemas, functions and tables
--   app_owner        owns the application's schema, and is no login
--   dba              the superuser, who forgets things
--
-- What an attack changes here (attributes, memberships, settings, roles that it made) restore() puts back.
--

CREATE ROLE dba LOGIN SUPERUSER;
CREATE ROLE app_owner NOLOGIN;
CREATE ROLE acme LOGIN;
CREATE ROLE globex LOGIN;
CREATE ROLE mallory LOGIN;
CREATE ROLE service LOGIN;
CREATE ROLE pooled LOGIN;

CREATE SCHEMA lab;

-- Called when the world stands: what is there now is what is to be there.
CREATE PROCEDURE lab.remember() LANGUAGE sql AS $$
    CREATE TABLE lab.roles AS SELECT * FROM pg_roles;
    CREATE TABLE lab.memberships AS SELECT roleid, member FROM pg_auth_members;
    CREATE TABLE lab.settings AS
        SELECT setrole, unnest(setconfig) AS setting FROM pg_db_role_setting WHERE setdatabase = 0;
$$;

CREATE PROCEDURE lab.restore() LANGUAGE plpgsql AS $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('DROP ROLE %I', rolname) FROM pg_roles r
         WHERE NOT EXISTS (SELECT FROM lab.roles b WHERE b.oid = r.oid)
        UNION ALL
        SELECT format('ALTER ROLE %I RENAME TO %I', r.rolname, b.rolname)
          FROM pg_roles r JOIN lab.roles b USING (oid) WHERE r.rolname <> b.rolname
        UNION ALL
        SELECT format('ALTER ROLE %I %sSUPERUSER %sBYPASSRLS %sCREATEROLE %sCREATEDB %sREPLICATION %sLOGIN', b.rolname,
                      CASE WHEN NOT b.rolsuper THEN 'NO' END, CASE WHEN NOT b.rolbypassrls THEN 'NO' END,
                      CASE WHEN NOT b.rolcreaterole THEN 'NO' END, CASE WHEN NOT b.rolcreatedb THEN 'NO' END,
                      CASE WHEN NOT b.rolreplication THEN 'NO' END, CASE WHEN NOT b.rolcanlogin THEN 'NO' END)
          FROM pg_roles r JOIN lab.roles b USING (oid)
         WHERE (r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolcanlogin)
            <> (b.rolsuper, b.rolbypassrls, b.rolcreaterole, b.rolcreatedb, b.rolreplication, b.rolcanlogin)
        UNION ALL
        SELECT format('REVOKE %I FROM %I', m.roleid::regrole, m.member::regrole) FROM pg_auth_members m
         WHERE EXISTS (SELECT FROM lab.roles b WHERE b.oid = m.member)
           AND EXISTS (SELECT FROM lab.roles b WHERE b.oid = m.roleid)
           AND NOT EXISTS (SELECT FROM lab.memberships b WHERE (b.roleid, b.member) = (m.roleid, m.member))
        UNION ALL
        SELECT format('REVOKE ALL ON PARAMETER %s FROM %s', p.parname, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(a.grantee::regrole::text) END)
          FROM pg_parameter_acl p, aclexplode(p.paracl) a WHERE a.grantee <> 10
    LOOP
        EXECUTE statement;
    END LOOP;

    FOR statement IN
        SELECT DISTINCT format('ALTER ROLE %s RESET ALL', CASE s.setrole WHEN 0 THEN 'ALL' ELSE s.setrole::regrole::text END)
          FROM pg_db_role_setting s, unnest(s.setconfig) c
         WHERE setdatabase = 0 AND NOT EXISTS (SELECT FROM lab.settings b WHERE (b.setrole, b.setting) = (s.setrole, c))
        UNION ALL
        SELECT format('ALTER ROLE %s SET %s = %L', setrole::regrole, split_part(setting, '=', 1), split_part(setting, '=', 2))
          FROM lab.settings
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
