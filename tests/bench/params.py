#!/usr/bin/env python3
"""`make bench-params`: a method of five params, read by its table, with cJSON in a handler, and by a bare
server with cJSON. The servers take turns, round after round; the best round counts. Prints."""

import os
import sys

import servers
from measures import alternating, least, most

FIVE = '{"in":"%s","params":{"name":"Ada Lovelace","times":3,"price":19.99,"mood":"cheerful","loud":true}}'
LOADS = [(1, 1), (50, 1), (50, 16), (50, 128)]


class ByTable(servers.Pillion):
    name = "by table"
    method = "five"

    def __init__(self, tools, cpus):
        self.options = ("--request", FIVE % self.method)
        five = os.path.join(os.path.abspath(tools), "five.so")
        super().__init__(tools, cpus, main="load_module %s;" % five,
                         server="method five; method five_tree;")


class ByTree(ByTable):
    name = "pillion_params"
    method = "five_tree"


class Bare(servers.RawCjson):
    name = "bare with cJSON"
    options = ("--request", FIVE % "five")


KINDS = (ByTable, ByTree, Bare)


def measure(build, rounds, seconds):
    """{name: {(connections, depth): {"rps", "cpu_us"}}}."""
    usable = sorted(os.sched_getaffinity(0))
    tools = os.path.join(os.path.abspath(build), "tests/bench")
    table = {kind.name: {} for kind in KINDS}
    running = [kind(tools, {usable[0]}) for kind in KINDS]
    try:
        for load in LOADS:
            found = alternating(rounds, {server.name: lambda server=server: server.load(*load, seconds)
                                         for server in running})
            for name, samples in found.items():
                table[name][load] = {"rps": most(samples, "rps"), "cpu_us": least(samples, "cpu_us")}
    finally:
        for server in running:
            server.end()
    return table


def main(build):
    table = measure(build, int(os.environ.get("BENCH_ROUNDS", "10")),
                    float(os.environ.get("BENCH_SECONDS", "0.5")))
    mine = table[ByTable.name]
    print("%-18s" % "requests a second" + "".join("%24s" % str(load) for load in LOADS))
    for name, found in table.items():
        print("%-18s" % name + "".join("%13.0f (%.2f us)" % (found[load]["rps"], found[load]["cpu_us"])
                                       for load in LOADS))
    for other in KINDS[1:]:
        found = table[other.name]
        print("%-18s" % ("over " + other.name) +
              "".join("%15.2f (%5.2f)" % (mine[load]["rps"] / found[load]["rps"],
                                          found[load]["cpu_us"] / mine[load]["cpu_us"]) for load in LOADS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "build"))
