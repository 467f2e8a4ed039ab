#!/usr/bin/env python3
"""`make bench-rows`: a list of 10,000 rows, written as it goes and as a tree of cJSON. The servers take turns,
round after round; the best round counts. Memory is how much one request adds to the most that the worker
had before. Prints."""

import os
import re
import sys

import servers
from measures import alternating, least


def most_kib(pid):
    """The most memory that the process has had in use at a time."""
    with open("/proc/%d/status" % pid) as file:
        return int(re.search(r"^VmHWM:\s+(\d+) kB", file.read(), re.M).group(1))


class Written(servers.Pillion):
    name = "written as it goes"
    method = "rows"

    def __init__(self, tools, cpus):
        self.options = ("--request", '{"in":"%s"}' % self.method)
        rows = os.path.join(os.path.abspath(tools), "rows.so")
        super().__init__(tools, cpus, main="load_module %s;" % rows,
                         server="method rows; method rows_tree;")

    def memory(self):
        """KiB that the first request needs."""
        worker, = self.pids_of("worker")
        self.call("ping", 1)
        before = most_kib(worker)
        self.rows = self.call(self.method)
        return most_kib(worker) - before


class Tree(Written):
    name = "a tree of cJSON"
    method = "rows_tree"


def measure(build, rounds, seconds):
    """{name: {"cpu_us", "kib"}}, the one that is written as it goes first."""
    usable = sorted(os.sched_getaffinity(0))
    tools = os.path.join(os.path.abspath(build), "tests/bench")
    with Written(tools, {usable[0]}) as written, Tree(tools, {usable[0]}) as tree:
        memory = {server.name: server.memory() for server in (written, tree)}
        if written.rows != tree.rows:
            raise SystemExit("the two lists differ")
        found = alternating(rounds, {server.name: lambda server=server: server.load(1, 1, seconds)
                                     for server in (written, tree)})
    return {name: {"cpu_us": least(samples, "cpu_us"), "kib": memory[name]}
            for name, samples in found.items()}


def main(build):
    table = measure(build, int(os.environ.get("BENCH_ROUNDS", "10")),
                    float(os.environ.get("BENCH_SECONDS", "0.5")))
    for name, found in table.items():
        print("%-20s %8.0f us of CPU a list, %6d KiB" % (name, found["cpu_us"], found["kib"]))
    written, tree = table.values()
    print("%-20s %8.2f                   %6.2f" %
          ("ratio", tree["cpu_us"] / written["cpu_us"], tree["kib"] / written["kib"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "build"))
