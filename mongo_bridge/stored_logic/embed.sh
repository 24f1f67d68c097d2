#!/bin/sh
# embed.sh — turns stored_logic/<database>/<collection>.json into rows of tenancy_mongo.stored_logic.
#
# The documents travel inside the extension's install script, so that what a server would install can be read in SQL.
set -eu
printf '\n-- What install_stored_logic() installs: one row a collection, made from stored_logic/.\n'
for file in "$@"; do
    database=$(basename "$(dirname "$file")")
    collection=$(basename "$file" .json)
    # shellcheck disable=SC2016 # the dollar quotes are SQL's
    printf 'INSERT INTO tenancy_mongo.stored_logic (database_name, collection_name, definition)\nVALUES ('\''%s'\'', '\''%s'\'', $json$' \
        "$database" "$collection"
    cat "$file"
    # shellcheck disable=SC2016
    printf '$json$);\n'
done
