# common.sh — what check.sh, demo.sh and bench.sh share: where things are, and as whom servers run.
#
# Sourced by bash scripts after "set -euo pipefail".  Everything that is made stands in the folder .work of the project.
#
# PostgreSQL and its tests refuse to run as root.  So that a root shell in a container is as good as any other, a root
# user's servers run as the user "postgres" of the packages; anybody else's run as themselves.

shopt -s inherit_errexit nullglob

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
work=$top/.work
umask 022
[ -d "$work/" ] || rm -f "$work"    # a link to a place that is gone

say()
{
	printf '%s\n' "$*"
}

step()
{
	printf '\n== %s\n' "$*"
}

fail()
{
	printf 'error: %s\n' "$*" >&2
	exit 1
}

is_root()
{
	[ "$(id -u)" -eq 0 ]
}

# Runs a program as the user who may run servers.
as_server()
{
	if is_root; then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

# A directory that the servers own.
server_directory()
{
	mkdir -p "$1"
	if is_root; then
		chown postgres: "$1"
	fi
}

# A root shell may stand where "postgres" cannot go, /root for one.  Then the script goes on in a copy of the project;
# .work becomes a link to the copy's, so that what it leaves is found where it was looked for.
# usage: reach_checkout script argument…
reach_checkout()
{
	local script=$1 copy base
	shift

	if ! is_root || as_server test -r "$top/test/support/common.sh"; then
		[ -L "$work" ] && rm "$work"
		mkdir -p "$work"
		return
	fi

	if [ -L "$work" ] && [ -O "$(readlink "$work")" ]; then
		copy=$(dirname "$(readlink "$work")")
	else
		base=${TMPDIR:-/tmp}
		as_server test -x "$base" || base=/tmp
		copy=$(mktemp -d "$base/pg_tenancy.XXXXXX")
		chmod 755 "$copy"
		mkdir "$copy/.work"
		[ ! -d "$work" ] || cp -a "$work/." "$copy/.work/"
		rm -rf "$work"
		ln -s "$copy/.work" "$work"
	fi
	say "The user \"postgres\" cannot read $top: going on in a copy, $copy"
	find "$copy" -mindepth 1 -maxdepth 1 ! -name .work -exec rm -rf {} +
	tar -C "$top" --exclude=./.git --exclude=./.work --mode=u+rwX,a+rX -cf - . | tar -C "$copy" -xf -
	exec "$copy/$script" "$@"
}

# A copy of the project as it stands, over what an earlier run has built of it; the tools of .work are shared.
# usage: copy_project directory
copy_project()
{
	local copy=$1 tool

	mkdir -p "$copy/.work"
	find "$copy" -mindepth 1 \( -path "$copy/.work" -o -path "$copy/build" \) -prune -o \
		-type f ! -name '*.o' ! -name '*.so' -exec rm -f {} +
	tar -C "$top" --exclude=./.git --exclude=./.work --exclude=./build --exclude='*.o' --exclude='*.so' \
		--mode=u+rwX,a+rX -cf - . | tar -C "$copy" -xf -
	for tool in mongod pgbouncer pgspot; do
		ln -sfn "$work/$tool" "$copy/.work/$tool"
	done
}

# PG_CONFIG as the user gave it, else Debian's PostgreSQL 15, else the one on PATH.  (make hands on "pg_config" when
# nobody gave any.)
find_pg_config()
{
	local given=${PG_CONFIG:-pg_config}
	if [ "$given" = pg_config ] && [ -x /usr/lib/postgresql/15/bin/pg_config ]; then
		given=/usr/lib/postgresql/15/bin/pg_config
	fi
	command -v "$given"
}

# MONGOD, else PATH, else the one that install_dependencies.sh has unpacked.
find_mongod()
{
	local candidate
	for candidate in "${MONGOD:-}" mongod "$work/mongod/bin/mongod"; do
		if [ -n "$candidate" ] && command -v "$candidate" > /dev/null; then
			command -v "$candidate"
			return
		fi
	done
	return 1
}

# PGBOUNCER, else PATH if it is one that tracks parameters (1.20), else the one that install_dependencies.sh has unpacked.
find_pgbouncer()
{
	local candidate
	for candidate in "${PGBOUNCER:-}" pgbouncer /usr/sbin/pgbouncer "$work/pgbouncer/bin/pgbouncer"; do
		if [ -n "$candidate" ] && command -v "$candidate" > /dev/null && tracks_parameters "$candidate"; then
			command -v "$candidate"
			return
		fi
	done
	return 1
}

# usage: tracks_parameters program
tracks_parameters()
{
	local version
	version=$("$1" --version 2> /dev/null | sed -nE 's/^PgBouncer ([0-9]+\.[0-9]+).*/\1/p')
	[ -n "$version" ] && [ "$(printf '%s\n' 1.20 "$version" | sort -V | head -n 1)" = 1.20 ]
}

# The Perl modules of TAP tests: those of the release under test (given by the folder of its test programs), else of
# Debian's; they drive newer servers too.
find_test_perl()
{
	local candidate
	for candidate in "$1" /usr/lib/postgresql/*/lib/pgxs/src/test; do
		if [ -f "$candidate/perl/PostgreSQL/Test/Cluster.pm" ]; then
			say "$candidate/perl"
			return
		fi
	done
	return 1
}

# The first port from the one given on which nobody listens.
free_port()
{
	local port=$1
	while (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do
		port=$((port + 1))
	done
	say "$port"
}

# usage: wait_until seconds what command…   Polls; false if the time is over.
wait_until()
{
	local deadline=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" > /dev/null 2>&1; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			printf 'gave up waiting until %s\n' "$what" >&2
			return 1
		fi
		sleep 0.1
	done
}

# Builds both modules against the private PostgreSQL of tree $1 and installs them there; prints its pg_config.
# usage: build_into tree [make variable…]
build_into()
{
	local tree=$1 pg_config built_for=$top/build/built_for
	shift
	pg_config=$("$top/test/support/private_install.sh" "$tree") || return

	# Objects do not depend on the server's headers: another server starts anew.
	mkdir -p "$top/build"
	if [ "$(cat "$built_for" 2> /dev/null)" != "$("$pg_config" --version)" ]; then
		make -s -C "$top" PG_CONFIG="$pg_config" clean > /dev/null
		"$pg_config" --version > "$built_for"
	fi

	make -s -C "$top/test/support" "$@" >&2 &&
		make -s -C "$top" -j "$(nproc)" PG_CONFIG="$pg_config" "$@" all >&2 &&
		make -s -C "$top" PG_CONFIG="$pg_config" "$@" install > /dev/null &&
		say "$pg_config"
}
