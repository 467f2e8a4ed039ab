#!/usr/bin/env python3
"""How long clients wait when a worker dies: from its death to the first reply of its replacement, and to
the last connection taken over, at several numbers of idle connections.

    python3 tests/bench/recovery.py [--build build] [--rounds 20] [--connections 10,1000,10000]

One worker holds all connections and is killed with SIGKILL; one of the connections then asks.
"""

import argparse
import datetime
import os
import re
import signal
import statistics
import time

import servers


def start(build):
    return servers.Pillion(os.path.join(os.path.abspath(build), "tests/bench"),
                           os.sched_getaffinity(0), main="quarantine_crashes off;", bare=True)


def taken_over(server, count):
    """When the log says that the connections of so many workers were taken over, by time.time()."""
    deadline = time.monotonic() + servers.START_LIMIT
    while time.monotonic() < deadline:
        with open(server.path("log")) as log:
            found = re.findall(r"(\S+)Z \[info\] .*: \d+ connections of .* taken over in", log.read())
        if len(found) >= count:
            when = datetime.datetime.fromisoformat(found[-1])
            return when.replace(tzinfo=datetime.timezone.utc).timestamp()
        time.sleep(0.01)
    raise RuntimeError("the connections were not taken over")


def recover(build, connections, rounds):
    """Milliseconds, medians: death to first reply, death to last connection taken over."""
    first, last = [], []
    with start(build) as server:
        socks = [server.connect() for _ in range(connections)]
        for i in range(rounds):
            servers.ask(socks[-1], "ping", 1)
            time.sleep(1.1)  # a worker that lived for less than a second would be replaced with a back-off
            (worker,) = server.pids_of("worker")
            began, death = time.monotonic(), time.time()
            os.kill(worker, signal.SIGKILL)
            servers.ask(socks[0], "ping", 1)
            first.append((time.monotonic() - began) * 1000)
            last.append((taken_over(server, i + 1) - death) * 1000)
        for sock in socks:
            sock.close()
    return {"first_ms": statistics.median(first), "last_ms": statistics.median(last)}


def measure(build, connections=(10, 1000, 10000), rounds=20):
    return {"rounds": rounds,
            "connections": {str(n): recover(build, n, rounds) for n in connections}}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--connections", default="10,1000,10000")
    options = parser.parse_args()
    servers.raise_descriptor_limit()
    found = measure(options.build, [int(n) for n in options.connections.split(",")], options.rounds)
    print("medians of %d" % options.rounds)
    print("%12s %24s %28s" % ("connections", "death to first reply, ms", "death to last adopted, ms"))
    for connections, times in found["connections"].items():
        print("%12s %24.1f %28.1f" % (connections, times["first_ms"], times["last_ms"]))


if __name__ == "__main__":
    main()
