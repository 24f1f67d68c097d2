#!/usr/bin/env bash
# private_install.sh — a PostgreSQL installation of our own, to install modules into: usage: private_install.sh tree
#
# Tests and demo must not write into the system's directories, nor need root to install.  PostgreSQL's programs find
# their libraries and shared files by the way from their own place, so a copy under the same relative paths is a whole
# installation: tree/usr/lib/postgresql/15/bin/… beside tree/usr/share/postgresql/15/….  Made again when the original
# has changed.  Prints the copy's pg_config.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

tree=$1
original=$(find_pg_config) || fail "no pg_config; run test/support/install_dependencies.sh"

# One that stands under .work is ours already.
case $original in
	*/.work/*)
		printf '%s\n' "$original"
		exit
		;;
esac

directory_of()
{
	"$original" "--$1"
}

# Copies an installation's directory to the same path under the tree.
copy_directory()
{
	mkdir -p "$(dirname "$tree$1")"
	[ -d "$tree$1" ] || cp -a --no-preserve=ownership "$1" "$tree$1"
}

bindir=$(directory_of bindir)
pg_config=$tree$bindir/pg_config
stamp="$original $("$bindir/postgres" --version) $(stat -c %Y "$bindir/postgres")"

if [ "$(cat "$tree/stamp" 2> /dev/null)" != "$stamp" ]; then
	rm -rf "$tree"
	prefix=$(dirname "$bindir")
	for directory in "$bindir" "$(directory_of libdir)" "$(directory_of pkglibdir)" "$(directory_of sharedir)" \
		"$(directory_of pkgincludedir)" "$(directory_of includedir-server)"; do
		case $directory in
			# The installation's own, or one of the directories that distributions give a name of its own.
			"$prefix"/* | */postgresql | */postgresql/*) copy_directory "$directory" ;;
		esac
	done
	[ "$("$pg_config" --pkglibdir)" = "$tree$(directory_of pkglibdir)" ] &&
		[ "$("$pg_config" --sharedir)" = "$tree$(directory_of sharedir)" ] ||
		fail "the PostgreSQL of $original cannot be moved; give another by PG_CONFIG="
	printf '%s' "$stamp" > "$tree/stamp"
fi
printf '%s\n' "$pg_config"
