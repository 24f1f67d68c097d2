#!/usr/bin/env bash
# demo.sh — the story of pg_tenancy on real servers: "make demo", and "make demo-clean" to end it.
#
#     usage: demo.sh [--clean] [directory]
#
# Installs what is missing, builds, starts a private PostgreSQL and a private one-node replica set under the directory
# (.work/demo), and plays the files 1_… to 9_… of this directory, printing what is typed and what comes back.  The servers run on
# afterwards, to be tried.  Each step is checked: a demo that does not show what it says exits with an error.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../test/support/common.sh"
source "$top/test/support/servers.sh"

main()
{
	if [ "${1:-}" = --clean ]; then
		name_places "${2:-$work/demo}"
		clean
		say "The demo's servers are stopped and $demo is removed."
		return
	fi
	"$top/test/support/install_dependencies.sh" demo
	reach_checkout demo/demo.sh "$@"
	name_places "${1:-$work/demo}"
	if [ -d "$demo" ]; then
		say "A demo was here before: starting afresh."
		clean
	fi
	prepare
	start_mongo_with_user
	start_postgres_with_credentials
	play
	explain
}

name_places()
{
	demo=$1
	data=$demo/servers
	tree=$demo/pg
	shown=$demo/shown
}

#
# Servers
#

prepare()
{
	local pg_config

	step "Building pg_tenancy, and installing it into a private PostgreSQL"
	server_directory "$demo"
	pg_config=$(build_into "$tree") || fail "the build failed"
	bindir=$("$pg_config" --bindir)
	mongod=$(find_mongod)
	mongo_host=127.0.0.1:$(free_port 27117)
	pg_port=$(free_port 54320)
	pg_socket=$demo/socket
	# The name of a socket has 107 bytes at most.
	[ ${#pg_socket} -lt 80 ] || pg_socket=$(as_server mktemp -d /tmp/pg_tenancy_demo.XXXXXX)
	printf '%s\n' "bindir=$bindir" "mongod=$mongod" "pg_socket=$pg_socket" > "$demo/started"
}

start_mongo_with_user()
{
	local reply

	step "Starting a private MongoDB: replica set rs0 on $mongo_host"
	head -c 48 /dev/urandom | base64 | as_server sh -c "umask 077; cat > '$demo/key'"
	start_mongo --auth --keyFile "$demo/key" --wiredTigerCacheSizeGB 0.5

	# The first user may be made by anybody on this machine; the next only by that one.
	MONGO_PASSWORD=$(head -c 18 /dev/urandom | base64 | tr -d '+/=')
	reply=$(mongo admin "{\"createUser\": \"platform\", \"pwd\": \"$MONGO_PASSWORD\", \"roles\": [\"root\"]}") ||
		fail "MongoDB did not take a user: $reply"
	export MONGO_USER=platform MONGO_PASSWORD
	printf '[platform]\nuser = %s\npassword = %s\n' "$MONGO_USER" "$MONGO_PASSWORD" |
		as_server sh -c "umask 077; cat > '$demo/credentials.conf'"
}

start_postgres_with_credentials()
{
	step "Starting a private PostgreSQL: port $pg_port, its socket in $pg_socket"
	# Mirrors and rollouts have workers in each database.
	printf '%s\n' "tenancy_mongo.credentials_file = '$demo/credentials.conf'" 'max_worker_processes = 16' | start_postgres
	psql postgres postgres -qc 'CREATE DATABASE platform'
}

clean()
{
	if [ -f "$demo/started" ]; then
		source "$demo/started"
		remove_servers
	fi
	rm -rf "$demo"
}

#
# The story
#

play()
{
	step "1. In PostgreSQL: two extensions, a server, a registry that is mirrored"
	type_sql postgres 1_install.sql
	expect 'tenant_registry.*tenants.*create collection' "the stored logic is installed"
	wait_until 60 "the mirrors are up" query_is "SELECT count(*) > 0 AND bool_and(state = 'streaming') FROM tenancy_mongo.stat_mirror"

	step "2. In MongoDB: four tenant documents with the status \"provisioning\", and their tasks"
	local start=$EPOCHREALTIME
	insert tenant_registry tenants tenants.jsonl
	wait_until 30 "three tenants are active" query_is "SELECT count(*) = 3 FROM tenancy.tenants WHERE status = 'active'"
	say "All three were active after $(milliseconds_since "$start") ms."
	insert task_repository tasks tasks.jsonl
	wait_until 30 "the tasks are mirrored" query_is "SELECT count(*) = 6 FROM tenancy.tasks"
	wait_until 30 "the fourth has failed" query_is "SELECT state = 'failed' FROM tenancy_mongo.stat_registry WHERE tenant_id = 'tenant-004'"

	step "3. In PostgreSQL: tenants, their schemas, their policies"
	type_sql postgres 2_tenants.sql
	expect 'tenant-003 .* active' "the tenants are active"
	expect 'tenant_tenant_002_crm' "their schemas are there"
	expect 'tenant_isolation_policy' "their policies are there"
	expect '42704.*"platinum".*does not exist' "the fourth tenant's error is told"
	type_mongo tenant_registry '{"find": "tenants", "filter": {"tenant_id": "tenant-004"}, "projection": {"_id": 0, "status": 1, "error": 1}}'
	expect '42704' "and MongoDB is told too"

	step "4. The application adds customers"
	type_sql app 3_customers.sql
	expect 'INSERT 0 2' "customers are added"

	step "5. MongoDB's rows joined with PostgreSQL's, one tenant's and nobody else's"
	type_sql app 4_join.sql
	expect 'task-0001 .*Ada Lovelace.*renewal' "the join answers"
	expect_not 'task-0004|Grace' "nothing of another tenant is seen"
	expect_not 'tenant-002 +\| +[1-9]' "nothing of another tenant is counted"

	step "6. What the application cannot do"
	type_sql app 5_attacks.sql 3
	expect 'SQLSTATE 42501' "the setting is not the application's to write"
	expect 'permission denied to set parameter "app.current_tenant_id"' "and it is told so"

	step "7. In MongoDB: tenant-003 is suspended"
	type_mongo tenant_registry '{"update": "tenants", "updates": [{"q": {"tenant_id": "tenant-003"}, "u": {"$set": {"status": "suspended"}}}]}'
	wait_until 30 "it is suspended here" query_is "SELECT status = 'suspended' FROM tenancy.tenants WHERE tenant_id = 'tenant-003'"
	type_sql app 6_suspended.sql 1
	expect 'SQLSTATE 55000' "a suspended tenant is refused"

	step "8. A document that is not a tenant is refused by MongoDB itself"
	type_mongo tenant_registry '{"insert": "tenants", "documents": [{"tenant_id": "tenant-005", "status": "perhaps"}]}'
	expect 'Document failed validation' "the validator works"

	step "9. How the mirrors are"
	type_sql postgres 7_mirror.sql
	expect 'streaming' "the mirrors stream"

	step "10. A new version of the CRM, for all tenants"
	type_sql postgres 8_rollout.sql
	expect '0 .*tenant-001 .*1\.1\.0 .*1\.2\.0' "the canary goes first"
	wait_until 30 "the rollout is done" query_is "SELECT state = 'done' FROM tenancy.rollout_progress"
	type_sql postgres 9_rolled_out.sql 1
	expect 'tenant-003 .*crm .*1\.2\.0' "every tenant has the new version, the suspended one too"
	expect 'SQLSTATE 55000' "a rollback that would lose data is refused"
	expect 'Column "vat_number" of table "customers"' "and it says what would be lost"
}

# usage: type_sql role file [errors]
# Sends a file to psql and shows both what was typed and what came back, which has as many errors as are meant.
type_sql()
{
	sed "s/@mongo_host@/$mongo_host/" "$top/demo/$2" | psql platform "$1" --echo-all 2>&1 | tee "$shown"
	[ "$(grep -c '^ERROR: ' "$shown")" -eq "${3:-0}" ] || fail "demo/$2 had other errors than it was to have"
}

# The same of one MongoDB command; the reply without what members of a replica set tell each other.
type_mongo()
{
	say "$1> $2"
	mongo "$1" "$2" | sed -E 's/, "\$clusterTime.*/ }/; s/"electionId" : \{[^}]*\}, //; s/"opTime" : \{ "ts" : \{[^}]*\{[^}]*\} \}, "t" : [0-9]+ \}, //' |
		tee "$shown"
}

# usage: insert database collection file   Of documents, one a line.
insert()
{
	say "$1> db.$2.insertMany(demo/$3):"
	cut -c 1-120 "$top/demo/$3" | sed 's/$/ …/'
	mongo "$1" "{\"insert\": \"$2\", \"documents\": [$(paste -sd, "$top/demo/$3")]}" > "$shown"
	expect_not 'rror' "the documents are inserted"
}

query_is()
{
	[ "$(psql platform postgres -Atc "$1")" = t ]
}

milliseconds_since()
{
	say $(((${EPOCHREALTIME/./} - ${1/./}) / 1000))
}

expect()
{
	grep -qE "$1" "$shown" || fail "the demo does not show that $2"
}

expect_not()
{
	! grep -qE "$1" "$shown" || fail "the demo does not show that $2"
}

explain()
{
	cat <<-EOF

		== Try it yourself
		psql, as superuser:    $(psql_line postgres)
		psql, as application:  $(psql_line app)
		                       BEGIN; SELECT tenancy.set_tenant('tenant-001'); SELECT * FROM tenancy.tasks;
		MongoDB:               mongodb://$mongo_host/?replicaSet=rs0&authSource=admin, user and password in
		                       $demo/credentials.conf
		To end and remove it:  make demo-clean
	EOF
}

psql_line()
{
	say "$(is_root && printf 'runuser -u postgres -- ')$bindir/psql -h $pg_socket -p $pg_port -U $1 platform"
}

main "$@"
