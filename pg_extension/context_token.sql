
/*
 * context_token.sql — signed tokens, and the keys that sign them.
 */

CREATE TABLE tenancy.token_secrets (
    key_id text COLLATE "C" PRIMARY KEY
        CONSTRAINT token_secrets_key_id CHECK (key_id ~ '^[A-Za-z0-9_-]{1,8}$'),
    status text NOT NULL
        CONSTRAINT token_secrets_status CHECK (status IN ('signing', 'verifying', 'revoked')),
    secret bytea
        CONSTRAINT token_secrets_secret CHECK (length(secret) BETWEEN 32 AND 64),
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    CONSTRAINT token_secrets_revoked CHECK ((status = 'revoked') = (secret IS NULL))
);
CREATE UNIQUE INDEX token_secrets_signing ON tenancy.token_secrets (status) WHERE status = 'signing';
COMMENT ON TABLE tenancy.token_secrets IS 'keys of tokens; only superusers read them, and no dump has them';
REVOKE ALL ON tenancy.token_secrets FROM PUBLIC;
-- Row-level security without a policy: pg_read_all_data and pg_write_all_data reach nothing here.
ALTER TABLE tenancy.token_secrets ENABLE ROW LEVEL SECURITY;

CREATE TRIGGER key_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tenancy.token_secrets
    FOR EACH STATEMENT EXECUTE FUNCTION tenancy.registry_changed();
ALTER TABLE tenancy.token_secrets ENABLE ALWAYS TRIGGER key_changed;

CREATE VIEW tenancy.token_keys AS
    SELECT s.key_id, s.status, s.created_at, s.revoked_at FROM tenancy.token_secrets s;
COMMENT ON VIEW tenancy.token_keys IS 'the keys of tokens without their secrets; those of tenancy.token_key_file are not here';
REVOKE ALL ON tenancy.token_keys FROM PUBLIC;
GRANT SELECT ON tenancy.token_keys TO pg_monitor;

-- Tokens of the key before still pass, those of the key before that do not.
CREATE FUNCTION tenancy.rotate_key() RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
DECLARE
    new_id text;
BEGIN
    LOCK TABLE tenancy.token_secrets IN SHARE ROW EXCLUSIVE MODE;
    UPDATE tenancy.token_secrets SET status = 'revoked', secret = NULL, revoked_at = now() WHERE status = 'verifying';
    UPDATE tenancy.token_secrets SET status = 'verifying' WHERE status = 'signing';
    SELECT 'k' || coalesce(max(substr(s.key_id, 2)::integer), 0) + 1 INTO new_id
      FROM tenancy.token_secrets s WHERE s.key_id ~ '^k[0-9]{1,7}$';
    -- Random bytes of the server's strong generator, 244 bits of them.
    INSERT INTO tenancy.token_secrets (key_id, status, secret)
    VALUES (new_id, 'signing',
            sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
    RETURN new_id;
END
$function$;
COMMENT ON FUNCTION tenancy.rotate_key() IS
    'makes a new key that signs, keeps the one before for verification, revokes older ones; returns its identifier';
REVOKE ALL ON FUNCTION tenancy.rotate_key() FROM PUBLIC;

CREATE FUNCTION tenancy.revoke_key(key_id text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
    AS $function$
BEGIN
    IF revoke_key.key_id IS NULL OR revoke_key.key_id !~ '^[A-Za-z0-9_-]{1,8}$' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'malformed key identifier',
            HINT = 'SELECT key_id, status FROM tenancy.token_keys;';
    END IF;
    UPDATE tenancy.token_secrets s
       SET status = 'revoked', secret = NULL, revoked_at = coalesce(s.revoked_at, now())
     WHERE s.key_id = revoke_key.key_id;
    IF NOT FOUND THEN
        INSERT INTO tenancy.token_secrets (key_id, status, revoked_at) VALUES (revoke_key.key_id, 'revoked', now());
        RAISE NOTICE USING
            MESSAGE = format('key "%s" is not in the table; one of that name in the file is barred', revoke_key.key_id);
    END IF;
END
$function$;
COMMENT ON FUNCTION tenancy.revoke_key(text) IS 'voids every token of a key at once, in open sessions too';
REVOKE ALL ON FUNCTION tenancy.revoke_key(text) FROM PUBLIC;

CREATE FUNCTION tenancy.issue_token(tenant text, access text DEFAULT 'client', scope text[] DEFAULT NULL,
                                    login name DEFAULT NULL, lifetime interval DEFAULT '15 minutes') RETURNS text
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'tenancy_issue_token';
COMMENT ON FUNCTION tenancy.issue_token(text, text, text[], name, interval) IS
    'a signed context for tenancy.token; good for one login (the caller''s own by default) in this database';
REVOKE ALL ON FUNCTION tenancy.issue_token(text, text, text[], name, interval) FROM PUBLIC;
