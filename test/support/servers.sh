# servers.sh — a private PostgreSQL and a private one-node replica set, for the demo and the benchmark.
#
# Sourced after common.sh.  The caller sets these first:
#     bindir  mongod              programs
#     data                        directory of both servers' files; it is made, and its logs stand beside them
#     mongo_host                  "127.0.0.1:port"
#     pg_socket  pg_port          PostgreSQL listens on a Unix socket only: whoever may enter its directory is trusted

# usage: mongo database command   One line of extended JSON comes back.
mongo()
{
	printf '%s\t%s\n' "$1" "$2" | "$top/build/mongo_command" "$mongo_host"
}

mongo_is_primary()
{
	mongo admin '{"hello": 1}' | grep -q '"isWritablePrimary" : true'
}

# usage: psql database role argument…
psql()
{
	local database=$1 role=$2
	shift 2
	as_server "$bindir/psql" -X --host="$pg_socket" --port="$pg_port" --dbname="$database" --username="$role" "$@"
}

# usage: start_mongo argument…   The arguments are mongod's.  Returns when the replica set rs0 takes writes.
start_mongo()
{
	server_directory "$data"
	server_directory "$data/mongo"
	as_server "$mongod" --fork --dbpath "$data/mongo" --logpath "$data/mongo.log" --bind_ip 127.0.0.1 \
		--port "${mongo_host##*:}" --replSet rs0 --nounixsocket --setParameter diagnosticDataCollectionEnabled=false "$@" \
		9>&- > "$data/mongo.start" || fail "mongod did not start; see $data/mongo.log"
	wait_until 30 "mongod answers" mongo admin '{"ping": 1}'
	mongo admin "{\"replSetInitiate\": {\"_id\": \"rs0\", \"members\": [{\"_id\": 0, \"host\": \"$mongo_host\"}]}}" > "$data/mongo.start" ||
		fail "the replica set could not be made: $(cat "$data/mongo.start")"
	wait_until 60 "the replica set has a primary" mongo_is_primary
}

# Takes further lines of postgresql.conf on standard input.
start_postgres()
{
	server_directory "$data"
	server_directory "$pg_socket"
	chmod 700 "$pg_socket"
	as_server "$bindir/initdb" --pgdata="$data/postgres" --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
		> "$data/initdb.log"
	{
		printf '%s\n' "shared_preload_libraries = 'tenancy'" "listen_addresses = ''" "port = $pg_port" \
			"unix_socket_directories = '$pg_socket'"
		cat
	} | as_server sh -c "cat >> '$data/postgres/postgresql.conf'"
	as_server "$bindir/pg_ctl" --pgdata="$data/postgres" --log="$data/postgres.log" --wait start 9>&- > "$data/postgres.start" ||
		fail "PostgreSQL did not start; see $data/postgres.log"
}

# Stops what runs of the two and removes their files.
remove_servers()
{
	[ ! -f "$data/postgres/postmaster.pid" ] ||
		as_server "$bindir/pg_ctl" --pgdata="$data/postgres" --mode=immediate --wait stop > /dev/null || true
	[ ! -s "$data/mongo/mongod.lock" ] ||
		as_server "$mongod" --shutdown --dbpath "$data/mongo" > /dev/null || true
	rm -rf "$pg_socket" "$data"
}
