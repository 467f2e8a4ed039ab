#!/usr/bin/env python3
"""`make bench`: Pillion beside bare servers, Redis, nginx and the Python teaching server, in one run.

    python3 tests/bench/bench.py --build build [--quick] [--only NAME...]

Servers run on one CPU and the load on the others. For each configuration the servers take turns, round
after round, because machines drift: only numbers of the same run may be compared. The best round
counts for requests a second, and the least CPU for a request.

Writes docs/performance.md and docs/performance.svg (see report.py). --quick compares ping alone, and
--only takes one measurement of measures.py, "table" or "recovery": both print, and write nothing.
BENCH_ROUNDS (10) and BENCH_SECONDS (0.5) say how often and how long.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import sys

import measures
import recovery
import report
import servers
import waiting

COLUMNS = [(1, 1), (50, 1), (50, 16), (50, 128)]
QUICK = [servers.RawEcho, servers.Pillion, servers.Redis]
KINDS = QUICK + [servers.RawCjson, servers.PillionBuild, servers.Nginx, servers.PythonServer]


class Run:
    """What the measurements of measures.py share."""

    def __init__(self, build):
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            sys.exit("the benchmark needs two CPUs: one for the server, one for the load")
        self.build = os.path.abspath(build)
        self.tools = os.path.join(self.build, "tests/bench")
        self.cpus = {usable[0]}
        self.rounds = int(os.environ.get("BENCH_ROUNDS", "10"))
        self.seconds = float(os.environ.get("BENCH_SECONDS", "0.5"))
        self.descriptors = servers.raise_descriptor_limit()


def say(text):
    print(text, flush=True)


def summary(samples):
    """The best of the rounds, medians of latencies, and the CPU for a request in each round."""
    pick = lambda key: [sample[key] for sample in samples]
    cpu = [value for value in pick("cpu_us") if value > 0]  # 0: it was not accounted for yet
    return {"rps": max(pick("rps")), "cpu_us": min(cpu, default=0), "cpu_rounds": pick("cpu_us"),
            "p50_us": statistics.median(pick("p50_us")), "p99_us": statistics.median(pick("p99_us"))}


def available(kinds):
    """The servers that can be started here, and the reasons why others are left out."""
    missing = ["%s, for there is no %s" % (kind.name, " and no ".join(kind.missing()))
               for kind in kinds if kind.missing()]
    return [kind for kind in kinds if not kind.missing()], missing


def compare(run, loads, columns=COLUMNS):
    """{name: {"connections,in flight": summary}} of loads that take turns: functions of the number of
    connections, the requests in flight on each, and seconds."""
    found = {name: {} for name in loads}
    for column in columns:
        key = "%d,%d" % column
        samples = measures.alternating(run.rounds, {
            name: lambda load=load: load(*column, run.seconds) for name, load in loads.items()})
        for name, results in samples.items():
            best = found[name][key] = summary(results)
            say("(%s)\t%-30s %12.0f/s %9.3f us CPU   p50 %9.1f us   p99 %9.1f us" % (
                key, name, best["rps"], best["cpu_us"], best["p50_us"], best["p99_us"]))
    return found


def table(run, kinds):
    """What the servers do in each column of the table of requests."""
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(kind(run.tools, run.cpus)) for kind in kinds]
        return compare(run, {server.name: server.load for server in running})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", default=[])
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    run = Run(options.build)
    kinds, missing = available(QUICK if options.quick else KINDS)
    for line in missing:
        say("left out: " + line)
    if options.quick:
        table(run, kinds)
        return

    parts = {"table": lambda run: table(run, kinds), "recovery": lambda run: recovery.measure(run.build),
             "waiting": waiting.measure}
    parts.update((function.__name__, function) for function in measures.ALL)
    wanted = options.only or list(parts)
    results = {"missing": missing, "rounds": run.rounds, "seconds": run.seconds}
    for name in wanted:
        if name not in parts:
            sys.exit("there is no measurement %s; there are %s" % (name, ", ".join(parts)))
        say("== " + name)
        results[name] = parts[name](run)
        if name != "table":
            say(json.dumps(results[name]))
    if not options.only:
        with open(os.path.join(run.tools, "results.json"), "w") as file:
            json.dump(results, file, indent=1)
        for line in report.write(results):
            say(line)


if __name__ == "__main__":
    main()
