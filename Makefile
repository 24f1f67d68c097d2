# pg_tenancy: two modules, one tree.  "make demo" plays the story, "make check" runs every test; both install what is
# missing.  The modules build by PGXS in pg_extension/ and mongo_bridge/.

PG_CONFIG ?= pg_config
export PG_CONFIG

# "make -j all install" would build a module twice at once; the modules themselves build in parallel.
.NOTPARALLEL:

MODULES_DIRS = pg_extension mongo_bridge

all install uninstall clean:
	@for dir in $(MODULES_DIRS); do $(MAKE) --no-print-directory -C $$dir $@ || exit 1; done

# Everything below needs servers of its own: the scripts under test/support bring and start them.
demo:
	@demo/demo.sh

demo-clean:
	@demo/demo.sh --clean

check:
	@test/support/check.sh

# The same tests and the same expected output on the other releases of PostgreSQL, which come from PyPI.
check-versions:
	@test/support/check_versions.sh

# The tests under AddressSanitizer and UndefinedBehaviorSanitizer.
check-asan:
	@test/support/check_asan.sh

# What turns BSON into values, under Valgrind.
check-valgrind:
	@test/support/check_valgrind.sh

# The pg_regress suite alone, against a running server (PGHOST, PGPORT) with both extensions installed.
installcheck:
	@test/support/check.sh installcheck

# The attacks on ours, on the plain recipe and on a database without protection: how many are blocked.
attack:
	@for mode in ours recipe open; do ATTACK_MODE=$$mode test/support/check.sh tap test/t/050_attack.pl | tail -n 1; \
		sed -n "s/^# //; /^$$mode: /p; /^[A-G] .* blocked/p" .work/log/tap/050_attack.log; done

bench:
	@test/bench/bench.sh

# The lines that the working tree changes, not the files.
format:
	@git diff -U0 --no-color HEAD -- '*.cpp' '*.h' | clang-format-diff -p1 -i

.PHONY: all install uninstall clean demo demo-clean check check-versions check-asan check-valgrind installcheck attack bench format
