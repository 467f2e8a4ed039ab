#!/usr/bin/env python3
"""`make bench`: Pillion beside bare servers, Redis, nginx and the Python teaching server, in one run.

    python3 tests/bench/bench.py --build build [--quick]

Servers run on one CPU and the load on the others. For each configuration the servers take turns, round
after round, because machines drift: only numbers of the same run may be compared. What counts is the
best round, for requests a second, and the least CPU for a request; medians are told beside them.
Writes docs/performance.md and docs/performance.svg; --quick prints, and writes nothing.
BENCH_ROUNDS (5) and BENCH_SECONDS (1) say how often and how long.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys

import servers

COLUMNS = [(1, 1), (50, 1), (50, 16), (50, 128)]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "1"))


def say(text):
    print(text, flush=True)


def summary(samples):
    """The best of the rounds, and the medians."""
    pick = lambda key: [sample[key] for sample in samples]
    return {"rps": max(pick("rps")), "rps_median": statistics.median(pick("rps")),
            "cpu_us": min(pick("cpu_us")), "cpu_us_median": statistics.median(pick("cpu_us")),
            "busy": max(pick("busy")),
            "p50_us": statistics.median(pick("p50_us")), "p99_us": statistics.median(pick("p99_us"))}


def alternate(loads, rounds=None):
    """Runs each of {name: function} in turn, round after round: {name: summary}."""
    samples = {name: [] for name in loads}
    for _ in range(rounds or ROUNDS):
        for name, load in loads.items():
            samples[name].append(load())
    return {name: summary(found) for name, found in samples.items()}


def available(quick):
    """The kinds of servers that can be started here, and what is left out."""
    kinds = [servers.RawEcho, servers.Pillion, servers.Redis]
    if not quick:
        kinds += [servers.RawCjson, servers.PillionBuild, servers.Nginx, servers.PythonServer]
    needs = {servers.Redis: ["redis-server"], servers.Nginx: ["nginx", "wrk"]}
    found, missing = [], []
    for kind in kinds:
        lacking = [program for program in needs.get(kind, []) if not shutil.which(program)]
        if lacking:
            missing.append("%s: there is no %s" % (kind.name, " and no ".join(lacking)))
        else:
            found.append(kind)
    return found, missing


def compare(tools, cpus, columns, quick):
    """The table: {name of the server: {"connections,in flight": summary}}."""
    kinds, missing = available(quick)
    for line in missing:
        say("left out: " + line)
    table = {kind.name: {} for kind in kinds}
    running = []
    try:
        for kind in kinds:
            running.append(kind(tools, cpus))
        for connections, in_flight in columns:
            key = "%d,%d" % (connections, in_flight)
            found = alternate({
                server.name: lambda server=server: server.load(connections, in_flight, SECONDS)
                for server in running})
            for name, result in found.items():
                table[name][key] = result
                say("(%s)\t%-30s %12.0f/s %9.3f us CPU   p50 %9.1f us   p99 %9.1f us" % (
                    key, name, result["rps"], result["cpu_us"], result["p50_us"],
                    result["p99_us"]))
    finally:
        for server in running:
            server.end()
    return table, missing


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    tools = os.path.join(os.path.abspath(options.build), "tests/bench")
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        sys.exit("the benchmark needs two CPUs: one for the server, one for the load")
    servers.raise_descriptor_limit()
    cpus = {usable[0]}
    table, missing = compare(tools, cpus, COLUMNS[2:] if options.quick else COLUMNS, options.quick)
    if options.quick:
        return
    with open(os.path.join(tools, "results.json"), "w") as file:
        json.dump({"table": table, "missing": missing}, file, indent=1)


if __name__ == "__main__":
    main()
