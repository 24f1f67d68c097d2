#!/usr/bin/env bash
# check.sh — every test, from a fresh clone: what "make check" and .ci/run call.
#
#     usage: check.sh [part [file…]]      parts: unit modules regress isolation scripts tap demo lint installcheck
#                                       portable: what check_versions.sh wants on every release
#                                       sanitized: what check_asan.sh wants (SANITIZE=1)
#                                       conversion: what check_valgrind.sh wants (VALGRIND=1)
#
#     check.sh regress tenant_context     a regress test alone
#     check.sh tap test/t/020_fdw.pl      a TAP file alone
#
# It installs what is missing, builds with -Werror into a private PostgreSQL, and runs part after part: a failure does
# not hide what comes after.  Nothing is skipped: what is expected and absent has failed.  The last line is
# "N passed, N failed", one for each GoogleTest, each regress and isolation test, each TAP file, each script and check.
# Logs stay in .work/log.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

log=$work/log
scratch=$work/tmp
tree=$work/pg
passed=0
failed=0
failures=()

main()
{
	local part=${1:-all}

	"$top/test/support/install_dependencies.sh" check
	reach_checkout test/support/check.sh "$@"
	[ $# -eq 0 ] || shift
	exec 9> "$work/lock"
	flock --nonblock 9 || fail "another check or benchmark runs in this checkout"
	prepare

	case $part in
		all)
			# Five minutes of random faults; a file alone has one (021_mirror_faults).
			export FAULT_SECONDS=${FAULT_SECONDS:-300} TAP_TIMEOUT=${TAP_TIMEOUT:-1200}
			for part in unit modules regress isolation scripts tap demo lint; do
				"run_$part"
			done
			;;
		portable)
			for part in modules regress isolation tap; do
				"run_$part"
			done
			;;
		sanitized)
			for part in unit modules regress isolation tap; do
				"run_$part"
			done
			;;
		conversion)
			# Each of its sessions is a server under Valgrind.
			export TAP_TIMEOUT=${TAP_TIMEOUT:-3600}
			run_conversion
			run_tap "$top/test/t/010_fdw_scan.pl"
			;;
		unit | modules | regress | isolation | scripts | tap | demo | lint | installcheck) "run_$part" "$@" ;;
		*) fail "unknown part \"$part\"" ;;
	esac
	[ -z "${SANITIZE:-}${VALGRIND:-}" ] || count_reports
	summary
}

prepare()
{
	MONGOD=$(find_mongod)
	PGBOUNCER=$(find_pgbouncer)
	export MONGOD PGBOUNCER
	# The same locale everywhere: without one initdb would make databases in SQL_ASCII.
	export HOME=$scratch PGTZ=UTC LANG=C.UTF-8
	unset PGDATA PGDATABASE PGUSER PGSERVICE PGOPTIONS PGAPPNAME LANGUAGE "${!LC_@}"

	rm -rf "$log" "$scratch"
	mkdir -p "$log"
	server_directory "$scratch"

	step "Building into a private PostgreSQL, .work/pg"
	if ! pg_config=$(build_into "$tree" WERROR=1 SANITIZE="${SANITIZE:-}" 2> >(tee "$log/build.log" >&2)); then
		failure "build"
		summary
	fi
	bindir=$("$pg_config" --bindir)
	testlib=$(dirname "$("$pg_config" --pgxs)")/../test
	testperl=$(find_test_perl "$testlib") || fail "no PostgreSQL::Test for $("$pg_config" --version)"
	[ -z "${SANITIZE:-}" ] || sanitize_server
	[ -z "${VALGRIND:-}" ] || server_under_valgrind
}

# The server is a program that is not instrumented: it must have the sanitizers' libraries, and have started them, before it loads
# one of ours.
# libstdc++ comes along because its exceptions are watched.
sanitize_server()
{
	local library libraries=()

	server_directory "$log/reports"
	g++ -shared -fPIC -Wl,-z,initfirst "$top/test/support/sanitizer_start.cpp" -o "$bindir/sanitizer_start.so"
	for library in libasan.so libubsan.so libstdc++.so; do
		libraries+=("$(readlink -f "$(g++ -print-file-name="$library")")")
	done
	wrap_server <<- end
		export LD_PRELOAD="${libraries[*]} $bindir/sanitizer_start.so"
		export ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=\${ASAN_QUARANTINE_MB:-256}:log_path=$log/reports/asan
		export UBSAN_OPTIONS=print_stacktrace=1:log_path=$log/reports/ubsan
		exec -a "\$0" $bindir/postgres.bare "\$@"
	end
}

# A server that serves, not the one that makes a cluster.
server_under_valgrind()
{
	server_directory "$log/reports"
	wrap_server <<- end
		case \$1 in
			--* | -V | -C) exec -a "\$0" $bindir/postgres.bare "\$@" ;;
		esac
		exec valgrind --quiet --trace-children=no --num-callers=30 --log-file=$log/reports/valgrind.%p $bindir/postgres.bare "\$@"
	end
}

# Whoever starts the private server starts it by the script on standard input.
wrap_server()
{
	[ -f "$bindir/postgres.bare" ] || mv "$bindir/postgres" "$bindir/postgres.bare"
	{ say '#!/bin/bash'; cat; } > "$bindir/postgres"
	chmod 755 "$bindir/postgres"
}

# What was reported in all servers together.  Valgrind sees the server's own code too, which writes the gaps between
# its fields as they are: a report is ours if our code stands in it.
count_reports()
{
	local report
	step "Reports"
	[ -z "${VALGRIND:-}" ] || find "$log/reports" -type f ! -exec grep -qE '\((in .*/tenancy(_mongo)?\.so|[a-z_]+\.(cpp|h):[0-9]+)\)' {} \; -delete
	for report in "$log"/reports/*; do
		failure "$(grep -m 1 -E 'ERROR|runtime error' "$report" || basename "$report")" "$report"
	done
	[ -n "${report:-}" ] || pass 1
}

#
# Counting
#

pass()
{
	passed=$((passed + $1))
}

# usage: failure what [log file]   One failure, with the end of its log.
failure()
{
	failed=$((failed + 1))
	failures+=("$1")
	printf 'FAILED: %s\n' "$1"
	if [ -n "${2:-}" ] && [ -s "$2" ]; then
		tail -n "${3:-60}" "$2" | sed 's/^/    /'
	fi
}

# How many lines of a file match; 0 if there is no file.
count()
{
	grep -cE "$1" "$2" 2> /dev/null || true
}

summary()
{
	local name
	printf '\n'
	for name in "${failures[@]}"; do
		say "FAILED: $name"
	done
	[ "$failed" -eq 0 ] || say "Logs are in $log"
	say "$passed passed, $failed failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

#
# Parts
#

# usage: build_unit directory fuzzers-sanitized target…
build_unit()
{
	local build=$1 sanitize=$2
	shift 2
	if ! { cmake -S "$top" -B "$build" -DPG_CONFIG="$pg_config" -DSANITIZE="${SANITIZE:-OFF}" -DFUZZ_SANITIZE="$sanitize" &&
		cmake --build "$build" -j "$(nproc)" --target "$@"; } > "$log/unit_build.log" 2>&1; then
		failure "unit tests do not build" "$log/unit_build.log"
		return 1
	fi
}

# GoogleTest, of the pure layers.
run_unit()
{
	local build=$top/build/unit name

	step "Unit tests"
	build_unit "$build" ON all || return 0
	(cd "$build" && ctest --output-on-failure -j "$(nproc)") > "$log/unit.log" 2>&1 || true
	pass "$(count ' Test +#[0-9]+: .* Passed ' "$log/unit.log")"
	grep -E '^[0-9]+% tests passed' "$log/unit.log" || failure "ctest ran no test" "$log/unit.log"
	while read -r name; do
		failure "unit test $name"
	done < <(sed -nE '/ Passed /d; s/^.* Test +#[0-9]+: ([^ ]+) .*/\1/p' "$log/unit.log")
	grep -q '^100% tests passed' "$log/unit.log" || sed 's/^/    /' "$log/unit.log" | tail -n 100
}

# The tests of what turns BSON into values, and the fuzzers, under Valgrind.
run_conversion()
{
	local build=$top/build/valgrind name
	local programs=(document_test document_map_test value_test document_map_fuzz bson_datum_fuzz)

	step "Unit tests of the conversion under Valgrind"
	build_unit "$build" OFF "${programs[@]}" || return 0
	for name in "${programs[@]}"; do
		if valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite,indirect \
			"$build/$name" -max_total_time=20 "$top/test/fuzz/corpus" > "$log/$name.log" 2>&1; then
			pass 1
		else
			failure "valgrind $name" "$log/$name.log"
		fi
	done
}

# usage: run_pg_regress label program inputdir argument…   Counts its tests; 15 prints "test x ... ok", 16 TAP.
run_pg_regress()
{
	local label=$1 program=$2 inputdir=$3 name
	local output=$log/$label
	shift 3

	server_directory "$output"
	if ! as_server timeout --kill-after=10 600 "$testlib/$program" --bindir="$bindir" --inputdir="$inputdir" \
		--outputdir="$output" "$@" > "$log/$label.log" 2>&1 9>&-; then
		[ ! -s "$output/regression.diffs" ] || head -n 300 "$output/regression.diffs" | sed 's/^/    /'
		while read -r name; do
			failure "$label test $name"
		done < <(sed -nE 's/^(test)? +([a-z0-9_]+) +\.\.\. FAILED.*/\2/p; s/^not ok [0-9]+ +[-+] ([a-z0-9_]+) .*/\1/p' "$log/$label.log")
		if [ "$(count '\.\.\. FAILED|^not ok' "$log/$label.log")" -eq 0 ]; then
			failure "$label" "$log/$label.log"
			tail -n 20 "$output/log/postmaster.log" 2> /dev/null | sed 's/^/    /' || true
		fi
	fi
	pass "$(count '\.\.\. ok |^ok [0-9]+ ' "$log/$label.log")"
	grep -E '^ ?(All )?[0-9].* (passed|failed)' "$log/$label.log" || true
}

# A temporary server of pg_regress with the modules preloaded.
temporary_server()
{
	printf '%s\n' --temp-instance="$scratch/$1" --temp-config="$top/test/support/regress.conf" --encoding=UTF8 --no-locale
}

# usage: tests_or_schedule schedule [name…]
tests_or_schedule()
{
	local schedule=$1
	shift
	if [ $# -gt 0 ]; then
		printf '%s\n' "$@"
	else
		printf '%s\n' --schedule="$schedule"
	fi
}

run_regress()
{
	step "pg_regress"
	mapfile -t arguments < <(temporary_server regress; tests_or_schedule "$top/test/schedule" "$@")
	run_pg_regress regress regress/pg_regress "$top" "${arguments[@]}"
}

run_isolation()
{
	step "Isolation"
	mapfile -t arguments < <(temporary_server isolation; tests_or_schedule "$top/test/isolation/schedule" "$@")
	run_pg_regress isolation isolation/pg_isolation_regress "$top/test/isolation" "${arguments[@]}"
}

# Modules that exist for tests only, each with a regress suite of its own.
run_modules()
{
	local directory name
	local directories=("$top"/test/modules/*/)

	[ ${#directories[@]} -gt 0 ] || failure "there is no module under test/modules"
	for directory in "${directories[@]}"; do
		name=$(basename "$directory")
		step "Module $name"
		if ! make -s -C "$directory" PG_CONFIG="$pg_config" WERROR=1 SANITIZE="${SANITIZE:-}" all install > "$log/$name.build.log" 2>&1; then
			failure "module $name does not build" "$log/$name.build.log"
			continue
		fi
		# One that measures its memory cannot have the sanitizer keep what is freed.
		mapfile -t arguments < <(temporary_server "$name"; cd "$directory/sql" && printf '%s\n' *.sql | sed 's/\.sql$//')
		ASAN_QUARANTINE_MB=1 run_pg_regress "$name" regress/pg_regress "$directory" "${arguments[@]}"
	done
}

# The regress suite against a running server that has both extensions installed and tenancy preloaded: PGHOST and
# PGPORT say where.
run_installcheck()
{
	step "pg_regress against the running server"
	mapfile -t arguments < <(tests_or_schedule "$top/test/schedule" "$@")
	run_pg_regress installcheck regress/pg_regress "$top" "${arguments[@]}"
}

# pgspot reads the install scripts as PostgreSQL will run them, for what a hostile user could hook into.
run_scripts()
{
	local script

	step "Install scripts"
	local scripts=("$top"/pg_extension/tenancy--*.sql "$top"/pg_extension/systems/*--*.sql "$top"/mongo_bridge/*--*.sql)
	[ ${#scripts[@]} -ge 3 ] || failure "an install script is missing"
	for script in "${scripts[@]}"; do
		if "$work/pgspot/bin/pgspot" "$script" > "$log/pgspot.log" 2>&1; then
			pass 1
		else
			failure "pgspot ${script#"$top/"}" "$log/pgspot.log"
		fi
	done
}

# TAP tests, two at a time, each with servers of its own and a prove of its own: a file that bails out stops no other.
# A file that skips itself has failed.
run_tap()
{
	local output=$log/tap file name
	local files=("$@")

	step "TAP tests"
	[ ${#files[@]} -gt 0 ] || files=("$top"/test/t/*.pl)
	server_directory "$output"
	realpath "${files[@]}" | (cd "$output" && as_server env PATH="$bindir:$PATH" PG_CONFIG="$pg_config" \
		PERL5LIB="$testperl:$top/test/support" PG_REGRESS="$testlib/regress/pg_regress" PG_TEST_PORT_DIR="$scratch/ports" \
		xargs -P 2 -n 1 "$top/test/support/run_tap.sh" 9>&-) || true
	for file in "${files[@]}"; do
		name=$(basename "$file" .pl)
		if grep -q '^Result: PASS' "$output/$name.log" 2> /dev/null; then
			pass 1
		else
			failure "TAP test $name" "$output/$name.log" 30
			grep -vE '^#? *$' "$output/$name/tmp_check/log/regress_log_$name" 2> /dev/null | tail -n 60 | sed 's/^/    /' || true
		fi
	done
}

# The demo checks itself; it is to play twice and to leave nothing.
run_demo()
{
	local directory=$scratch/demo attempt

	step "Demo"
	for attempt in first second; do
		if "$top/demo/demo.sh" "$directory" > "$log/demo.log" 2>&1 9>&-; then
			pass 1
		else
			failure "demo, $attempt time" "$log/demo.log"
		fi
	done
	"$top/demo/demo.sh" --clean "$directory" > "$log/demo_clean.log" 2>&1 || failure "demo's clean-up" "$log/demo_clean.log"
	lint_is_empty "a file or process that the demo's clean-up left" < <(
		find "$directory" 2> /dev/null
		processes_with "$directory")
}

# The processes whose arguments hold a text.
processes_with()
{
	local file line
	for file in /proc/[0-9]*/cmdline; do
		line=$(tr '\0' ' ' 2> /dev/null < "$file") || continue
		[[ $line != *"$1"* ]] || say "$file: $line"
	done
}

# What a program can check about the tree.
run_lint()
{
	step "Checks of the tree"
	lint_is_empty "a file over 1,000 lines" < <(long_files)
	lint_is_empty "a regress test that no schedule runs" < <(unscheduled)
	lint_is_empty "a version in META.json that is not its control file's" < <(wrong_versions)
	lint_is_empty "a link in the documentation that leads nowhere, or a page that the index does not name" < <(broken_links)
	lint_is_empty "a test that sleeps" < <(cd "$top" && grep -rnE '\bsleep[ (]+[0-9]|SELECT pg_sleep' test/t test/isolation || true)
}

# usage: lint_is_empty what   What comes on standard input is wrong.
lint_is_empty()
{
	cat > "$log/lint.log"
	if [ -s "$log/lint.log" ]; then
		failure "$1" "$log/lint.log"
	else
		pass 1
	fi
}

long_files()
{
	(cd "$top" && find . \( -path ./.git -o -path ./.work -o -path ./build -o -name '*--*.sql' -o -name '*.out' \) -prune -o \
		-type f \( -name '*.cpp' -o -name '*.h' -o -name '*.sql' -o -name '*.p[lm]' -o -name '*.md' -o -name '*.py' -o -name '*.sh' \) \
		-exec awk 'END { if (NR > 1000) print FILENAME ": " NR " lines" }' {} \;)
}

unscheduled()
{
	(cd "$top" && comm -13 <(sed -n 's/^test://p' test/schedule | tr -s ' ' '\n' | sort -u) \
		<(find sql -name '*.sql' -exec basename -s .sql {} + | sort -u))
	(cd "$top/test/isolation" && comm -13 <(sed -n 's/^test://p' schedule | tr -s ' ' '\n' | sort -u) \
		<(find specs -name '*.spec' -exec basename -s .spec {} + | sort -u))
}

broken_links()
{
	(cd "$top" && perl -MFile::Basename -ne '
		while (/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g) {
			print "$ARGV: $1\n" unless -e dirname($ARGV) . "/$1";
		}' *.md docs/*.md
	for page in docs/*.md; do
		[ "$page" = docs/README.md ] || grep -q "($(basename "$page"))" docs/README.md || say "docs/README.md: nothing about $page"
	done)
}

# PGXN wants three numbers where a control file has two.
wrong_versions()
{
	perl -MJSON::PP -e '
		local $/;
		open my $meta, "<", "META.json" or die;
		my $provides = decode_json(<$meta>)->{provides};
		my %controls;
		for my $file (glob "*/*.control */*/*.control") {
			open my $control, "<", $file or die;
			my ($name) = $file =~ m{([^/]+)\.control$};
			($controls{$name}) = <$control> =~ /^default_version = \x27(.*)\x27/m;
		}
		for my $name (sort keys %{{ %controls, %$provides }}) {
			my ($ours, $theirs) = ($controls{$name} // "none", ($provides->{$name} // {})->{version} // "none");
			print "$name: control file $ours, META.json $theirs\n" unless "$ours.0" eq $theirs;
		}'
}

main "$@"
