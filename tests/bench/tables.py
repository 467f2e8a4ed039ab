#!/usr/bin/env python3
"""`make bench-tables`: what params.py and rows.py measure, as the section "Params and results" of
docs/performance.md. Targets stand here."""

import os
import sys

import params
import report
import rows
from report import figure, lines, thousands

SECTION = """## Params and results

{machine} Written by `make bench-tables`; best of {rounds} rounds of {seconds:g} s. Its own load is two; the
machine's load average was {load:.1f}.

A method of five params that are checked: by its table, from `pillion_params`, and in a server that does
nothing else, with cJSON, and checks no JSON strictly. Requests a second, and microseconds of the server's
CPU for a request:

{params}

What a table saves is saved in the handler. At (50,16) more than half of a request's CPU is the kernel's, receiving and
sending, which all three have alike.

A list of 10,000 rows, written as it goes (`pillion_begin_array`), each of them by a table
(`pillion_put_struct`), and as a tree of cJSON: CPU for a list, and how much the first one adds to the most memory that the worker had before.

{rows}

{targets}
"""


def targets(table, lists):
    """Rows of (what, where, target, measured, met)."""
    found = []

    def at_least(what, where, target, value):
        found.append((what, where, "≥ %g" % target, figure(value), "met" if value >= target else "**missed**"))

    mine, load = table[params.ByTable.name], (50, 16)
    for kind in params.KINDS[1:]:
        at_least("params by table, requests/s against " + kind.name, "(50,16)", 2,
                 mine[load]["rps"] / table[kind.name][load]["rps"])
        at_least("params by table, CPU against " + kind.name, "(50,16)", 2,
                 table[kind.name][load]["cpu_us"] / mine[load]["cpu_us"])
    written, tree = lists[rows.Written.name], lists[rows.Tree.name]
    at_least("a list of rows, CPU against a tree", "10,000 rows", 5, tree["cpu_us"] / written["cpu_us"])
    at_least("a list of rows, memory against a tree", "10,000 rows", 10, tree["kib"] / written["kib"])
    return found


def main(build):
    rounds = int(os.environ.get("BENCH_ROUNDS", "10"))
    seconds = float(os.environ.get("BENCH_SECONDS", "0.5"))
    table = params.measure(build, rounds, seconds)
    lists = rows.measure(build, rounds, seconds)
    judged = targets(table, lists)
    report.write_section(report.SECTIONS[1], SECTION.format(
        machine=report.machine(), rounds=rounds, seconds=seconds, load=os.getloadavg()[0],
        params=lines(["params"] + ["(%d,%d)" % load for load in params.LOADS],
                     [[name] + ["%s, %s" % (thousands(found[load]["rps"]), figure(found[load]["cpu_us"]))
                                for load in params.LOADS] for name, found in table.items()]),
        rows=lines(["list", "CPU, µs", "memory, KiB"],
                   [[name, thousands(found["cpu_us"]), thousands(found["kib"])]
                    for name, found in lists.items()]),
        targets=lines(["what", "where", "target", "measured", ""], judged)))
    for row in judged:
        print("%-60s %-12s %-6s %-6s %s" % row)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "build"))
