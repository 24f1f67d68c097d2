#!/usr/bin/env bash
# run_tap.sh — one TAP file for check.sh, which gives the environment: usage: run_tap.sh file.  Runs in the directory of
# the logs; leaves NAME.log and NAME/tmp_check there and says in one line how it went.  A file that takes longer than
# TAP_TIMEOUT seconds (600) is ended.
set -uo pipefail

name=$(basename "$1" .pl)
mkdir -p "$name"
started=$SECONDS
TESTDIR=$PWD/$name prove --verbose --exec "timeout --kill-after=10 ${TAP_TIMEOUT:-600} perl" "$1" > "$name.log" 2>&1 < /dev/null
printf '%-40s %s, %d s\n' "$name" "$(sed -n 's/^Result: //p' "$name.log")" $((SECONDS - started))
