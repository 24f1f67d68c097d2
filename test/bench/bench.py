#!/usr/bin/env python3
"""bench.py - the figures of the README, each beside a floor of the same run; bench.sh starts the servers and calls it."""
import argparse

import fdw_scan
import fdw_statements
import mirror_copy
import mirror_drain
import mirror_lag
import provision
import rls_context
import rls_cost
import rls_pool
import rollout
from lab import Lab

PARTS = {"scan": fdw_scan, "statements": fdw_statements, "copy": mirror_copy, "drain": mirror_drain, "lag": mirror_lag, "rls": rls_cost,
         "context": rls_context, "pool": rls_pool, "rollout": rollout, "provision": provision}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("mongo", "socket", "port", "data", "bindir", "cursor-floor"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--pgbouncer", default="")
    parser.add_argument("--pool-client", required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--policy-rows", type=int, default=2_000_000)
    parser.add_argument("--only", default="", help="regular expression: the contenders that rls compares")
    parser.add_argument("--tenants", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--levels", default="10,100", help="numbers of tenants at which provision measures: 10,100,1000,5000")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all if none is named")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part: {', '.join(unknown)}")

    lab = Lab(arguments)
    for name, part in PARTS.items():
        if not arguments.parts or name in arguments.parts:
            part.run(lab)
    lab.report.print()


if __name__ == "__main__":
    main()
