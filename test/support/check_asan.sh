#!/usr/bin/env bash
# check_asan.sh — the tests under AddressSanitizer and UndefinedBehaviorSanitizer: what "make check-asan" calls.
#
#     usage: check_asan.sh [part [file…]]      parts: those of check.sh
#
# The modules and the unit tests are built with both sanitizers, in a copy of the project under .work/asan.  The server
# is Debian's and is not instrumented, but its memory is the sanitizer's: a memory context that is deleted or reset gives
# its blocks back, and who reads them afterwards is found.  Leaks are looked for in unit tests only: a server leaves its
# last memory to the kernel.  A report is a failure, whatever the test that caused it says.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

reach_checkout test/support/check_asan.sh "$@"
"$top/test/support/install_dependencies.sh" check
[ $# -gt 0 ] || set -- sanitized
copy=$work/asan
copy_project "$copy"
SANITIZE=1 "$copy/test/support/check.sh" "${@//"$top/"/"$copy/"}"
