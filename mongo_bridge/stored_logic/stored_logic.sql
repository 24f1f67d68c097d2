
-- stored_logic.sql: validators and indexes in MongoDB, installed from SQL.
--
-- The table holds what belongs in MongoDB, one row a collection, in the words that MongoDB's own commands take.  The plan
-- compares it with what a server has; installing is running the plan.  Both may be run again at any time: what stands
-- already gives no step.  Nothing is ever dropped: an index of the same name with another definition is an error that
-- MongoDB words, and the DBA decides.

CREATE TABLE tenancy_mongo.stored_logic (
    database_name text NOT NULL,
    collection_name text NOT NULL,
    definition json NOT NULL,
    PRIMARY KEY (database_name, collection_name)
);
COMMENT ON TABLE tenancy_mongo.stored_logic IS 'what install_stored_logic() installs in MongoDB: a validator and indexes for each collection';
COMMENT ON COLUMN tenancy_mongo.stored_logic.definition IS 'validator and indexes, in the form that MongoDB''s create and createIndexes commands take';
REVOKE ALL ON TABLE tenancy_mongo.stored_logic FROM PUBLIC;

-- The keys of an index in order; json, not jsonb, keeps it.
CREATE FUNCTION tenancy_mongo._index_key(key json) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO pg_catalog, pg_temp
AS $function$
    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(k) || ' ' || v, ', ' ORDER BY n)
      FROM pg_catalog.json_each_text(key) WITH ORDINALITY AS field(k, v, n)
$function$;
REVOKE ALL ON FUNCTION tenancy_mongo._index_key(json) FROM PUBLIC;

CREATE FUNCTION tenancy_mongo.install_stored_logic_plan(
    server name,
    OUT database_name text,
    OUT collection_name text,
    OUT action text,
    OUT command json
) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $function$
DECLARE
    wanted record;
    present json;
    index record;
    indexes json;
BEGIN
    FOR wanted IN SELECT * FROM tenancy_mongo.stored_logic l ORDER BY l.database_name, l.collection_name LOOP
        database_name := wanted.database_name;
        collection_name := wanted.collection_name;

        present := tenancy_mongo.run_command(server, database_name, pg_catalog.json_build_object(
            'listCollections', 1, 'filter', pg_catalog.json_build_object('name', collection_name)))
            #> '{cursor,firstBatch,0}';
        IF present ->> 'type' <> 'collection' THEN
            RAISE EXCEPTION '"%.%" is not a collection', database_name, collection_name
                USING ERRCODE = 'wrong_object_type',
                      DETAIL = pg_catalog.format('MongoDB says that it is a %s.', present ->> 'type'),
                      HINT = 'Rename or drop it in MongoDB, then run install_stored_logic() again.';
        ELSIF present IS NULL THEN
            action := 'create collection';
            command := pg_catalog.json_build_object('create', collection_name,
                'validator', wanted.definition -> 'validator', 'validationLevel', 'strict', 'validationAction', 'error',
                'changeStreamPreAndPostImages', pg_catalog.json_build_object('enabled', true));
            RETURN NEXT;
        ELSIF (present #> '{options,validator}')::jsonb IS DISTINCT FROM (wanted.definition -> 'validator')::jsonb
              OR present #>> '{options,validationLevel}' IS DISTINCT FROM 'strict'
              OR present #>> '{options,validationAction}' IS DISTINCT FROM 'error'
              OR present #>> '{options,changeStreamPreAndPostImages,enabled}' IS DISTINCT FROM 'true' THEN
            action := 'modify collection';
            command := pg_catalog.json_build_object('collMod', collection_name,
                'validator', wanted.definition -> 'validator', 'validationLevel', 'strict', 'validationAction', 'error',
                'changeStreamPreAndPostImages', pg_catalog.json_build_object('enabled', true));
            RETURN NEXT;
        END IF;

        indexes := '[]';
        IF present IS NOT NULL THEN
            indexes := tenancy_mongo.run_command(server, database_name,
                pg_catalog.json_build_object('listIndexes', collection_name)) #> '{cursor,firstBatch}';
        END IF;
        FOR index IN SELECT d.value AS definition FROM pg_catalog.json_array_elements(wanted.definition -> 'indexes') d LOOP
            CONTINUE WHEN EXISTS (
                SELECT FROM pg_catalog.json_array_elements(indexes) p
                 WHERE tenancy_mongo._index_key(p.value -> 'key') = tenancy_mongo._index_key(index.definition -> 'key')
                   AND coalesce(p.value ->> 'unique', 'false') = coalesce(index.definition ->> 'unique', 'false')
                   AND p.value -> 'partialFilterExpression' IS NULL AND p.value -> 'sparse' IS NULL);
            action := 'create index';
            command := pg_catalog.json_build_object('createIndexes', collection_name,
                'indexes', pg_catalog.json_build_array(index.definition));
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$function$;
COMMENT ON FUNCTION tenancy_mongo.install_stored_logic_plan(name) IS 'the commands that install_stored_logic() would run on this server now; no row means that all stands';
REVOKE ALL ON FUNCTION tenancy_mongo.install_stored_logic_plan(name) FROM PUBLIC;

CREATE FUNCTION tenancy_mongo.install_stored_logic(
    server name,
    OUT database_name text,
    OUT collection_name text,
    OUT action text
) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path TO pg_catalog, pg_temp
AS $function$
DECLARE
    step record;
BEGIN
    FOR step IN SELECT * FROM tenancy_mongo.install_stored_logic_plan(server) LOOP
        PERFORM tenancy_mongo.run_command(server, step.database_name, step.command);
        database_name := step.database_name;
        collection_name := step.collection_name;
        action := step.action;
        RETURN NEXT;
    END LOOP;
END
$function$;
COMMENT ON FUNCTION tenancy_mongo.install_stored_logic(name) IS 'installs validators, indexes and post-images in MongoDB and returns the steps taken; may be run again';
REVOKE ALL ON FUNCTION tenancy_mongo.install_stored_logic(name) FROM PUBLIC;
