"""The benchmark's measurements beside the table of requests: bodies, memory, connections, times, balance,
and the effect of many connections, many methods and two workers. Each function gives a dictionary of
plain numbers; report.py says which of them have targets."""

import json
import os
import socket
import statistics
import subprocess
import time

import servers
from servers import Pillion, RawEcho

IDLE = 18000


def alternating(rounds, functions):
    """{name: [results]} of functions that take turns."""
    found = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            found[name].append(function())
    return found


def least(samples, key):
    return min(sample[key] for sample in samples)


def most(samples, key):
    return max(sample[key] for sample in samples)


# ---- Bodies ----


def bodies(run):
    """Gigabytes of request bodies a second, by the clock and by the server's CPU."""
    found = {}
    with Pillion(run.tools, run.cpus) as pillion, RawEcho(run.tools, run.cpus) as echo:
        for size, load in ((1024, (50, 16)), (65536, (50, 1))):
            samples = alternating(run.rounds, {
                server.name: lambda server=server: server.load(*load, run.seconds, "--body", str(size))
                for server in (pillion, echo)})
            found[str(size)] = {
                name: {"wall": most(loads, "rps") * size / 1e9,
                       "cpu": size / least(loads, "cpu_us") / 1e3}
                for name, loads in samples.items()}
    return found


# ---- Idle connections ----


class Crowd:
    """Idle connections. They come from addresses of their own, so that the load has its ports."""

    def __init__(self, server, count):
        self.socks = []
        for i in range(count):
            sock = socket.socket()
            self.socks.append(sock)
            sock.settimeout(servers.START_LIMIT)
            sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT, ip(7)
            sock.bind(("127.0.1.%d" % (i % 200 + 1), 0))
            sock.connect(("127.0.0.1", server.port))

    def ask_each(self):
        for sock in self.socks:
            servers.ask(sock, "ping", 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in self.socks:
            sock.close()


def idle_count(run):
    return min(IDLE, run.descriptors - 1000)


def settled(server, connections):
    """Waits until so many connections are open, by the server's own count."""
    deadline = time.monotonic() + servers.START_LIMIT
    while time.monotonic() < deadline:
        stats = server.call("rpc.stats")
        if stats["connections"]["open"] == connections + 1 and \
                stats["connections"]["vault_held"] >= connections:
            return
        time.sleep(0.01)
    raise RuntimeError("the server does not hold %d connections" % connections)


def pss(server):
    """Bytes of all processes, with shared memory counted once; None where this user may not look."""
    parts = [servers.memory_kib(pid, "Pss") for pid in server.pids()]
    return None if None in parts else sum(parts) * 1024


def idle(run):
    """Memory of connections at rest, fresh ones and ones that have called, and their CPU."""
    found = {"connections": idle_count(run), "fresh": {}, "used": {}}
    for kind in ("fresh", "used"):
        for count in (1000, idle_count(run)):
            with Pillion(run.tools, run.cpus) as server:
                settled(server, 0)
                before = pss(server)
                with Crowd(server, count) as crowd:
                    if kind == "used":
                        crowd.ask_each()
                    settled(server, count)
                    after = pss(server)
                    if before is not None and after is not None:
                        found[kind][str(count)] = (after - before) / count
                    if count > 1000:
                        found["cpu_percent"] = cpu_percent(server, 2)
    with Pillion(run.tools, run.cpus) as server:
        found["cpu_percent_alone"] = cpu_percent(server, 2)
    return found


def cpu_percent(server, seconds):
    """The share of one CPU that is used while no client asks anything."""
    pids = server.pids()
    time.sleep(1)  # lets earlier work end
    before, start = servers.cpu_ns(pids), time.monotonic()
    time.sleep(seconds)
    return (servers.cpu_ns(pids) - before) / (time.monotonic() - start) / 1e7


def at_rest(run):
    """Private memory of a process of each kind, in KiB, with the ping module alone. Where descriptors are
    few, there are several vaults."""
    with Pillion(run.tools, run.cpus, bare=True) as server:
        server.call("ping", 1)
        found = {}
        for kind in ("master", "vault", "worker"):
            pid = server.pids_of(kind)[0]
            parts = [servers.memory_kib(pid, "Private_" + part) for part in ("Clean", "Dirty")]
            found[kind] = None if None in parts else sum(parts)
        return found


# ---- Connections, starts and reloads ----


def connects(run):
    """Connect, one call, close; fifty clients at once."""
    with Pillion(run.tools, run.cpus) as pillion, RawEcho(run.tools, run.cpus) as echo:
        samples = alternating(run.rounds, {
            server.name: lambda server=server: server.load(50, 1, run.seconds, "--connect", "yes")
            for server in (pillion, echo)})
    return {name: {"per_second": most(loads, "rps"), "cpu_us": least(loads, "cpu_us"),
                   "p99_us": statistics.median(load["p99_us"] for load in loads)}
            for name, loads in samples.items()}


def times(run):
    """Milliseconds from the command to the first answer, and of `pillion -s reload`; two workers."""
    starts, reloads = [], []
    everywhere = os.sched_getaffinity(0)
    for _ in range(10):
        with Pillion(run.tools, everywhere, workers=2) as server:
            starts.append(server.start_ms)
            for _ in range(2):
                before = time.monotonic()
                server.order("reload")
                reloads.append((time.monotonic() - before) * 1000)
    return {"start": starts, "reload": reloads}


# ---- Two workers ----


def balance(run, count=1000, rounds=5):
    """How far two workers are apart, in percent of their mean, each time."""
    found = []
    for _ in range(rounds):
        with Pillion(run.tools, os.sched_getaffinity(0), workers=2) as server:
            with Crowd(server, count):
                settled(server, count)
                held = [worker["connections"] for worker in server.call("rpc.stats")["workers"]]
                found.append((max(held) - min(held)) * 100 / (sum(held) / len(held)))
    return {"connections": count, "apart_percent": found}


def two_workers(run):
    """CPU for a request with two workers on two CPUs and with one, under the same two loads."""
    first, second = sorted(os.sched_getaffinity(0))[:2]
    everywhere = os.sched_getaffinity(0)
    loads = everywhere - {first, second} or everywhere
    affinity = "worker_cpu_affinity %s %s;" % (format(1 << first, "b"), format(1 << second, "b"))
    with Pillion(run.tools, everywhere, workers=1, main=affinity) as one, \
            Pillion(run.tools, everywhere, workers=2, main=affinity) as two:
        samples = alternating(run.rounds, {
            name: lambda server=server: two_loads(server, run.seconds, loads)
            for name, server in (("one", one), ("two", two))})
    return {name: {"rps": most(found, "rps"), "cpu_us": least(found, "cpu_us")}
            for name, found in samples.items()}


def two_loads(server, seconds, cpus):
    """Two loads of 25 connections with 16 in flight each, at the same time."""
    pending = [server.load_begin(25, 16, seconds, cpus=cpus) for _ in range(2)]
    found = [server.load_end(process) for process in pending]
    rate = sum(load["rps"] for load in found)
    return {"rps": rate, "cpu_us": statistics.mean(load["busy"] for load in found) / rate * 1e6}


# ---- Crowds and many methods ----


def crowds(run):
    """CPU for a request when many connections are busy, beside that of the bare echo."""
    counts = [count for count in (50, 1000, 10000) if count < run.descriptors - 1000]
    with Pillion(run.tools, run.cpus) as pillion, RawEcho(run.tools, run.cpus) as echo:
        samples = alternating(run.rounds, {
            (server.name, count): lambda server=server, count=count:
                server.load(count, 1, run.seconds)
            for count in counts for server in (pillion, echo)})
    found = {pillion.name: {}, echo.name: {}}
    for (name, count), loads in samples.items():
        found[name][str(count)] = least(loads, "cpu_us")
    return found


def compared(run, one, other, load):
    """The least CPU for a request of two servers that take turns: many short ones, for the
    differences that are looked for are small."""
    seconds = run.seconds / 2
    samples = alternating(run.rounds * 2, {"without": lambda: one.load(*load, seconds),
                                           "with": lambda: other.load(*load, seconds)})
    return {name: least(loads, "cpu_us") for name, loads in samples.items()}


def neighbours(run, count=10000):
    """50 busy connections, alone and beside idle ones."""
    count = min(count, run.descriptors - 1000)
    with Pillion(run.tools, run.cpus) as alone, Pillion(run.tools, run.cpus) as crowded:
        with Crowd(crowded, count):
            settled(crowded, count)
            return dict(compared(run, alone, crowded, (50, 1)), connections=count)


def methods(run, count=200):
    """One method, and one among two hundred."""
    more = "\n".join("    method m%d { handler ping.ping; }" % i for i in range(count))
    with Pillion(run.tools, run.cpus) as few, Pillion(run.tools, run.cpus, server=more) as many:
        return dict(compared(run, few, many, (50, 128)), methods=count)


# ---- `pillion bench` ----


def pillion_bench(server, connections, in_flight, seconds, *options):
    """One run of the load generator for users, on the load's CPUs; its report."""
    command = [os.path.join(server.tools, "../../pillion"), "bench", "--server",
               "127.0.0.1:%d" % server.port, "-c", str(connections), "-P", str(in_flight),
               "-d", str(seconds), "--json", *options, "ping", '{"n":1234567}']
    done = subprocess.run(command, capture_output=True, text=True, timeout=servers.LOAD_LIMIT,
                          preexec_fn=lambda: os.sched_setaffinity(0, server.load_cpus()))
    if done.returncode != 0:
        raise RuntimeError("pillion bench: " + done.stderr.strip()[:500])
    return json.loads(done.stdout)


def generators(run):
    """How many requests a second `pillion bench` and the bare client get out of a bare echo."""
    found = {}
    with RawEcho(run.tools, run.cpus) as echo:
        for load in ((50, 1), (50, 16), (50, 128)):
            samples = alternating(run.rounds, {
                "bare client": lambda: echo.load(*load, run.seconds)["rps"],
                "pillion bench": lambda:
                    pillion_bench(echo, *load, run.seconds)["requests_per_second"]})
            found["%d,%d" % load] = {name: max(rates) for name, rates in samples.items()}
    return found


RATES = (1e3, 1e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 3e6, 5e6, 7e6, 1e7, 1.4e7, 2e7)


def latency_by_load(run):
    """Latencies of 50 connections at given rates, which count from the moment at which each request
    was due: lists of [requests a second, p50, p99]. A server's list ends where it does not keep up."""
    found = {}
    for kind in (Pillion, RawEcho, servers.Redis, servers.PythonServer):
        if kind.missing():
            continue
        with kind(run.tools, run.cpus) as server:
            points = found[server.name] = []
            for rate in RATES:
                tries = [server.load(50, 128, run.seconds / 2, "--rate", str(rate))
                         for _ in range(3)]
                best = min(tries, key=lambda one: one["p99_us"])
                if best["rps"] < 0.97 * rate:
                    break
                points.append([rate, best["p50_us"], best["p99_us"]])
    return found


ALL = (bodies, idle, at_rest, connects, times, balance, two_workers, crowds, neighbours, methods,
       generators, latency_by_load)
