#!/usr/bin/env bash
# bench.sh — the figures of the README, on this machine: "make bench".
#
#     usage: bench.sh [--rows n] [--events n] [--seconds n] [--tenants n] [--rounds n] [--levels n,n] [--policy-rows n] [--only contenders] [part…]
#     parts: scan statements copy drain lag; rls (what a policy costs), context (what it costs to take a tenant), pool (PgBouncer); rollout; provision
#
# A private PostgreSQL and a private one-node replica set, as for the tests, with durable commits and the settings that
# stand below.  Compare ratios, and CPU seconds before wall time: the machine matters less to them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../support/common.sh"

source "$top/test/support/servers.sh"

bench=$work/bench

main()
{
	local pg_config

	"$top/test/support/install_dependencies.sh" bench
	reach_checkout test/bench/bench.sh "$@"
	exec 9> "$work/lock"
	flock --nonblock 9 || fail "another check or benchmark runs in this checkout"

	step "Building"
	pg_config=$(build_into "$work/pg") || fail "the build failed"
	bindir=$("$pg_config" --bindir)
	mongod=$(find_mongod)

	step "Starting PostgreSQL and MongoDB"
	data=$bench/servers
	mongo_host=127.0.0.1:$(free_port 27217)
	pg_port=$(free_port 54420)
	pg_socket=$(as_server mktemp -d /tmp/pg_tenancy_bench.XXXXXX)
	rm -rf "$data"
	trap 'mkdir -p "$work/log"; cp "$data"/*.log "$work/log"; remove_servers' EXIT
	start_mongo --wiredTigerCacheSizeGB 2
	settings | start_postgres
	psql postgres postgres -q -v ON_ERROR_STOP=1 -c 'SET client_min_messages = warning' \
		-c 'CREATE EXTENSION tenancy_mongo CASCADE'

	step "Measuring"
	describe
	"$bench/venv/bin/python" -B "$top/test/bench/bench.py" --mongo "$mongo_host" --socket "$pg_socket" --port "$pg_port" \
		--data "$data/postgres" --bindir "$bindir" --cursor-floor "$top/build/cursor_floor" \
		--pgbouncer "$(find_pgbouncer || true)" --pool-client "$top/build/pool_client" "$@" 9>&-
}

settings()
{
	printf '%s\n' 'shared_buffers = 512MB' 'max_wal_size = 8GB'
}

describe()
{
	say "$(nproc) cores ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)), $("$bindir/postgres" --version)," \
		"mongod $("$mongod" --version | sed -n 's/^db version v//p')"
	settings
}

main "$@"
