#!/usr/bin/env python3
"""`make bench-rows`: a list of 10,000 rows, written as it goes, by a table, and as a tree of cJSON. The servers take turns,
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
                         server="method rows; method rows_table; method rows_tree;")

    def memory(self):
        """KiB that the first request needs."""
        worker, = self.pids_of("worker")
        self.call("ping", 1)
        before = most_kib(worker)
        self.rows = self.call(self.method)
        return most_kib(worker) - before


class Table(Written):
    name = "each by a table"
    method = "rows_table"


class Tree(Written):
    name = "a tree of cJSON"
    method = "rows_tree"


def measure(build, rounds, seconds):
    """{name: {"cpu_us", "kib"}}, the one that is written as it goes first, the tree last."""
    usable = sorted(os.sched_getaffinity(0))
    tools = os.path.join(os.path.abspath(build), "tests/bench")
    with Written(tools, {usable[0]}) as written, Table(tools, {usable[0]}) as table, \
            Tree(tools, {usable[0]}) as tree:
        all_of_them = (written, table, tree)
        memory = {server.name: server.memory() for server in all_of_them}
        if not written.rows == table.rows == tree.rows:
            raise SystemExit("the lists differ")
        found = alternating(rounds, {server.name: lambda server=server: server.load(1, 1, seconds)
                                     for server in all_of_them})
    return {name: {"cpu_us": least(samples, "cpu_us"), "kib": memory[name]}
            for name, samples in found.items()}


def main(build):
    lists = measure(build, int(os.environ.get("BENCH_ROUNDS", "10")),
                    float(os.environ.get("BENCH_SECONDS", "0.5")))
    for name, found in lists.items():
        print("%-20s %8.0f us of CPU a list, %6d KiB" % (name, found["cpu_us"], found["kib"]))
    tree = lists[Tree.name]
    for name in (Written.name, Table.name):
        print("%-20s %8.2f                   %6.2f" %
              ("tree: " + name, tree["cpu_us"] / lists[name]["cpu_us"],
               tree["kib"] / lists[name]["kib"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "build"))
