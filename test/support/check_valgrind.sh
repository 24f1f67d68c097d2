#!/usr/bin/env bash
# check_valgrind.sh — the conversion of BSON under Valgrind: what "make check-valgrind" calls.
#
# The unit tests of the conversion and the fuzz driver, then the type matrix of 010_fdw_scan against a server that runs
# under Valgrind, in a copy of the project under .work/valgrind.  Valgrind sees what the sanitizers do not: a value that
# was never written.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

reach_checkout test/support/check_valgrind.sh "$@"
"$top/test/support/install_dependencies.sh" check
command -v valgrind > /dev/null || fail "there is no valgrind; install Debian's package of that name"
[ $# -gt 0 ] || set -- conversion
copy=$work/valgrind
copy_project "$copy"
VALGRIND=1 "$copy/test/support/check.sh" "${@//"$top/"/"$copy/"}"
