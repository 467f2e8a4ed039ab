#!/usr/bin/env python3
"""Soak: hours of load on every protocol, with reloads and crashes: nothing grows, and no reply is wrong.

    PILLION_BUILD=build python3 tests/chaos/soak.py [--seconds 3600] [--seed N] [--rate 10] [--leak memory|descriptor]

Two servers are loaded by the clients of chaos.py, which check every reply, and by an agent that
speaks MCP. To the *eventful* one a reload happens every minute, a method crashes every ten seconds,
and now and then a worker or a vault is killed; what grows over its master, its vaults, and its
workers from generation to generation is seen there. Its workers live for half a minute or so, and
would hide what they leak themselves: the *quiet* one is left alone, and its workers live as long as
the run.

Every few seconds the memory, descriptors and threads of each process are read from /proc, and the
counters of the server. At the end the least-squares slopes are printed. The run fails (exit 1) when
one exceeds its limit and is no accident of the samples (slopes.py); and like chaos.py for any
disconnect, and any lost, wrong, doubled or reordered reply. The first part of the run is warming
up, and is left out.

--leak is the test of this test: a method of the quiet server leaks at each call. The run ends as soon
as that is found, and passes if nothing else is.
"""

import argparse
import json
import os
import random
import re
import resource
import selectors
import shutil
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chaos
from slopes import Limit, Series, self_check

MIB = 1024.0  # of KiB, which /proc counts in
# May grow in an hour, and in all of a short run. `shared` has the arena, the board and the zones.
# The proportional share, `pss`, is printed only: it is larger when others end that share a library.
LIMITS = {"rss": Limit(1 * MIB, 4 * MIB), "private": Limit(1 * MIB, 4 * MIB),
          "shared": Limit(1 * MIB, 4 * MIB), "descriptors": Limit(3, 30), "threads": Limit(3, 30),
          "names": Limit(1, 3), "module memory": Limit(64, 256), "module handles": Limit(3, 30)}
UNITS = {"rss": "KiB", "pss": "KiB", "private": "KiB", "shared": "KiB", "module memory": "KiB"}
YOUNG = 5      # seconds: a process that is younger is not sampled
RELOAD, CRASH, KILL = 60, 10, 150  # seconds between events
LEAK_RATE = 300  # calls a second of the method that leaks


def kib(text):
    """The lines of a file of /proc that tell of memory."""
    return {k: int(v) for k, v in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}


class SoakServer(chaos.Server):
    # The machine may have more to do than this.
    LIMITS = "handler_timeout 20s; heartbeat_timeout 10s;"
    MODULES = chaos.Server.MODULES + ("tests/modules/leaks.so",)
    MORE = "load_module modules/leaks.so;\n"
    MORE_METHODS = "status on; method leak_memory; method leak_descriptor; "

    def configure(self):
        super().configure()
        path = self.path("conf/pillion.conf")
        with open(path) as f:
            text = f.read()
        with open(path + ".new", "w") as f:
            f.write(text.replace("method ping; ", "method ping { tool on; } "))
        os.rename(path + ".new", path)


class SoakClient(chaos.Client):
    SLOW = 8192  # there are fewer turns in a second


class Agent:
    """Speaks MCP, one request at a time, and looks at the metrics in between."""

    def __init__(self, soak):
        self.soak, self.incoming, self.asked, self.ready_at, self.number = soak, b"", None, 0.0, 0
        self.sock = socket.create_connection(("127.0.0.1", soak.server.port), timeout=10)
        self.sock.setblocking(False)
        soak.selector.register(self.sock, selectors.EVENT_READ, self)

    def ask(self, now):
        if self.asked is not None:
            if now - self.since > self.soak.PATIENCE:
                raise chaos.Failure("lost: an agent waits for the answer to %s" % self.asked[0])
            return
        if now < self.ready_at or self.soak.ending:
            return
        self.ready_at, self.since, self.number = now + 1, now, self.number + 1
        method, params = random.choice([
            ("initialize", {"protocolVersion": "2025-06-18", "capabilities": {},
                            "clientInfo": {"name": "soak", "version": "1"}}),
            ("tools/list", {}), ("tools/call", {"name": "ping", "arguments": {"n": self.number}}),
            ("metrics", None)])
        self.asked = method, self.number
        body = json.dumps({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}).encode()
        head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" \
               "Content-Length: %d\r\n\r\n" % len(body)
        if method == "metrics":
            head, body = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", b""
        # Less than a socket takes at once.
        self.sock.send(head.encode() + body)

    def read(self):
        try:
            data = self.sock.recv(1 << 20)
        except OSError as error:
            raise chaos.Failure("disconnect: the agent: %s" % error)
        if not data:
            raise chaos.Failure("disconnect: the agent")
        self.incoming += data
        head, end, rest = self.incoming.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]) if end else 0
        if not end or len(rest) < size:
            return
        if self.asked is None or not head.startswith(b"HTTP/1.1 200 "):
            raise chaos.Failure("wrong: the agent asked %s and got %r" % (self.asked, self.incoming[:300]))
        body, self.incoming = rest[:size], rest[size:]
        (method, number), self.asked = self.asked, None
        if not self.is_right(method, number, body):
            raise chaos.Failure("wrong: the agent asked %s and got %r" % (method, body[:300]))
        self.soak.requests += 1

    def is_right(self, method, number, body):
        if method == "metrics":
            return b"\npillion_requests_total{" in body
        reply = json.loads(body)
        if reply["id"] != number:
            return False
        if method == "tools/list":
            return "ping" in [tool["name"] for tool in reply["result"]["tools"]]
        if method != "tools/call":
            return reply["result"]["protocolVersion"] == "2025-06-18"
        text = reply["result"]["content"][0]["text"]
        if reply["result"]["isError"] and self.soak.kills > 0 and "module_crashed" in text:
            self.soak.kills -= 1  # its worker was killed from outside, while it ran this
            return True
        return text == '{"n":%d}' % number or text == '{"n": %d}' % number


class Leaker:
    """Calls the method that leaks, so many times a second."""

    def __init__(self, soak, what):
        self.sock = socket.create_connection(("127.0.0.1", soak.server.port), timeout=10)
        self.sock.setblocking(False)
        body = b'{"in":"leak_%s"}' % what.encode()
        self.waits = 0
        self.frame, self.next = len(body).to_bytes(4, "little") + body, time.monotonic()
        soak.selector.register(self.sock, selectors.EVENT_READ, self)

    def ask(self, now):
        count = min(int((now - self.next) * LEAK_RATE), LEAK_RATE)
        if count > 0 and self.waits < LEAK_RATE:  # what is under way has room in the socket
            self.next, self.waits = now, self.waits + count
            self.sock.send(self.frame * count)

    def read(self):
        data = self.sock.recv(65536)
        if not data:
            raise chaos.Failure("disconnect: the client of the method that leaks")
        self.waits -= data.count(b'"leaked"')  # one that is cut in two is counted no more, and does not matter


class Soak(chaos.Chaos):
    SERVER, CLIENT, PAUSE, PATIENCE = SoakServer, SoakClient, 0.01, 60

    def __init__(self, name, args, port):
        super().__init__(args, port)
        self.name, self.series, self.began = name, {}, None
        self.next_visit, self.reloads, self.kills_so_far = 0.0, 0, 0

    def start(self):
        super().start()
        self.more = [Agent(self)]
        if self.args.leak and self.name == "quiet":
            self.more.append(Leaker(self, self.args.leak))
        self.began = time.monotonic()
        self.next = {"reload": self.began + RELOAD / 2, "crash": self.began + CRASH, "kill": self.began + KILL}

    # ---- the load ----

    def may_ask(self, client, now):
        period = self.args.busy / self.args.rate
        if now < getattr(client, "ready_at", 0.0):
            return False
        client.ready_at = now + period * client.random.uniform(0.5, 1.5)
        return True

    def visit(self, now):
        if now >= self.next_visit:
            self.next_visit = now + 0.2
            super().visit(now)

    def turn(self):
        super().turn()
        now = time.monotonic()
        for one in self.more:
            one.ask(now)
        if self.name == "eventful" and not self.ending:
            self.let_happen(now)

    def let_happen(self, now):
        # Two failures at once are more than is promised: each waits until the former is over.
        if now < self.quiet_until or self.scheduled or self.pending or self.guilty or not self.vault_is_back(now):
            return
        due = [name for name, at in self.next.items() if now >= at]
        if not due:
            return
        name = min(due, key=lambda n: self.next[n])
        kinds = {"reload": "reload", "crash": "crash", "kill": ("kill-vault", "kill")[self.kills_so_far % 2]}
        if kinds[name] == "kill-vault":
            if now - self.event_since < 1 or not self.settled(now):
                return
        self.kills_so_far += name == "kill"
        self.next[name] += {"reload": RELOAD, "crash": CRASH, "kill": KILL}[name]
        self.happen(kinds[name], now)
        self.quiet_until = now + 0.5

    def reload(self):
        """In turns, a new version of a module and another number of workers: were it chance, the
        numbers of processes might seem to grow."""
        self.reloads += 1
        if self.reloads % 2:
            self.server.version = 3 - self.server.version
            self.server.put_version()
        else:
            self.server.workers = 6 - self.server.workers
            self.server.configure()
        super().ask("reload")

    EVENTS = dict(chaos.Chaos.EVENTS, reload=reload)

    # ---- what is measured ----

    def add(self, process, what, value):
        self.series.setdefault((process, what), Series()).add(time.monotonic() - self.began, value)

    def sample(self):
        stats = self.stats()
        if stats is None:
            return
        self.sample_process("master", self.server.process.pid, 0)
        for worker in stats["workers"]:
            if worker["state"] == "serving" and worker["age_seconds"] >= YOUNG:
                self.sample_process("worker %d" % worker["slot"], worker["pid"], worker["connections"])
        self.sample_vaults(stats["vaults"])
        self.sample_gates()
        modules = stats["modules"].values()
        self.add("board", "names", len(stats["methods"]) + sum(len(m.get("metrics", {})) for m in modules))
        self.add("board", "module memory", sum(m["memory_bytes"] + m["cjson_bytes"] for m in modules) / 1024)
        self.add("board", "module handles", sum(m["waiting"] + m["timers"] + m["watched"] for m in modules))

    def sample_vaults(self, vaults):
        descriptors = -vaults["held"]
        pids = self.server.children("vault")
        for pid in pids:
            try:
                with open("/proc/%d/cmdline" % pid) as f:
                    name = f.read().partition(": ")[2].rstrip("\0 ")
                descriptors += len(os.listdir("/proc/%d/fd" % pid))
            except OSError:
                return
            self.sample_process(name, pid, None)
        if len(pids) == vaults["processes"]:
            self.add("vaults", "descriptors", descriptors)

    def sample_gates(self):
        for pid in self.server.children("gate"):
            try:
                with open("/proc/%d/cmdline" % pid) as f:
                    name = f.read().partition(": ")[2].rstrip("\0 ")
            except OSError:
                continue
            self.sample_process(name, pid, None)

    def sample_process(self, process, pid, connections):
        """With None for `connections`, its descriptors are counted elsewhere."""
        try:
            with open("/proc/%d/smaps_rollup" % pid) as f:
                memory = kib(f.read())
            with open("/proc/%d/status" % pid) as f:
                status = f.read()
            descriptors = len(os.listdir("/proc/%d/fd" % pid))
            with open("/proc/%d/stat" % pid) as f:
                age = time.clock_gettime(time.CLOCK_BOOTTIME) - \
                    int(f.read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
        except OSError:
            return  # it ends at this moment
        if age < YOUNG or not memory:
            return
        self.add(process, "rss", memory["Rss"])
        self.add(process, "pss", memory["Pss"])
        self.add(process, "private", memory["Private_Clean"] + memory["Private_Dirty"])
        self.add(process, "shared", kib(status)["RssShmem"])
        self.add(process, "threads", int(re.search(r"^Threads:\s+(\d+)", status, re.M)[1]))
        if connections is not None:  # they come and go
            self.add(process, "descriptors", descriptors - connections)

    def growing(self, warm):
        return [(process, what) for (process, what), series in self.series.items()
                if what in LIMITS and LIMITS[what].exceeded(series.after(warm))]

    def finish(self):
        super().finish()
        self.check_rest()

    def check_rest(self):
        """With every request answered, nothing is under way any more, but the question itself."""
        until = time.monotonic() + 20
        while True:
            stats = self.stats()
            if stats is not None:
                left = {n: m["in_flight"] for n, m in stats["methods"].items() if m["in_flight"] and n != "rpc.stats"}
                left.update({k: v for k, v in stats["pool"].items() if v})
                if not left:
                    return
                if time.monotonic() > until:
                    raise chaos.Failure("wrong: every reply is here, and still under way are %s" % left)
            self.turn()


def print_slopes(soaks, warm):
    print("%-9s %-9s %-15s %7s %9s %9s %23s %9s" % (
        "server", "process", "of it", "samples", "at first", "at last", "slope an hour (99 %)", "limit"))
    for soak in soaks:
        for (process, what), series in sorted(soak.series.items()):
            series = series.after(warm)
            slope = series.slope()
            if slope is None:
                print("%-9s %-9s %-15s %7d %9s" % (soak.name, process, what, len(series.samples), "too few"))
                continue
            limit = LIMITS.get(what)
            print("%-9s %-9s %-15s %7d %9.1f %9.1f %+12.1f ± %-8.1f %9s %s%s" % (
                soak.name, process, what, len(series.samples), series.mean(0), series.mean(-1), *slope,
                "%.1f" % limit.of(series) if limit else "-", UNITS.get(what, ""),
                "  GROWS" if limit and limit.exceeded(series) else ""))


def run(soaks, args):
    for soak in soaks:
        soak.start()
    began = time.monotonic()
    next_sample, next_word = began + args.every, began + 300
    while time.monotonic() < began + args.seconds:
        for soak in soaks:
            soak.turn()
        now = time.monotonic()
        if now >= next_sample:
            next_sample = now + args.every
            for soak in soaks:
                soak.sample()
            if args.leak and now > began + 30 and leaks(soaks, args):
                break
        if now >= next_word:
            next_word += 300
            print("%d min: %s" % ((now - began) / 60, ", ".join(
                "%s %d replies" % (s.name, s.requests) for s in soaks)), flush=True)
    for soak in soaks:
        soak.finish()


def warm(args, seconds):
    return max(10.0, seconds * 0.15)


def leaks(soaks, args):
    """What was found to grow of what is wanted to."""
    wanted = re.compile("worker . " + {"memory": "private", "descriptor": "descriptors"}[args.leak])
    now = time.monotonic() - soaks[0].began
    return [g for g in soaks[0].growing(warm(args, now)) if wanted.fullmatch(" ".join(g))]


def verdict(soaks, args, failure):
    """What has failed, or None."""
    passed = time.monotonic() - soaks[0].began
    growing = [(s.name, *g) for s in soaks for g in s.growing(warm(args, passed))]
    if failure:
        return failure
    if not args.leak:
        return "grows: " + ", ".join(map(" ".join, growing)) if growing else None
    if not leaks(soaks, args):
        return "a leak of a %s at each call was not noticed" % args.leak
    # The one worker that the client of that method is connected to.
    slots = {process for _, process, _ in growing}
    whats = {"memory": {"rss", "private"}, "descriptor": {"descriptors", "rss", "private"}}[args.leak]
    if len(slots) > 1 or {what for *_, what in growing} - whats:
        return "grows, and does not leak: " + ", ".join(map(" ".join, growing))
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--idle", type=int, default=200)
    parser.add_argument("--busy", type=int, default=64)
    parser.add_argument("--visitors", type=int, default=16)
    parser.add_argument("--rate", type=float, default=10, help="times a second that clients ask something, in all")
    parser.add_argument("--every", type=float, default=5, help="seconds between samples")
    parser.add_argument("--leak", choices=["memory", "descriptor"])
    parser.add_argument("--failures-only", action="store_true", help="print the tables only when something failed")
    parser.add_argument("--samples", help="a file for all samples, as JSON")
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    args.files, args.pace, args.only, args.expect_wrong, args.kill_gates = 0, 1, "", False, False
    self_check()
    print("seed %d" % args.seed, flush=True)
    port = chaos.free_ports(2 * chaos.PORTS)
    soaks = [Soak("quiet", args, port)]
    if not args.leak:
        soaks.append(Soak("eventful", args, port + chaos.PORTS))
    failure = None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(soaks, args)
    except chaos.Failure as error:
        failure = str(error)
    except KeyboardInterrupt:
        failure = "interrupted"
    failed = verdict(soaks, args, failure)
    if failed or not args.failures_only:
        for soak in soaks:
            print("\n%s server" % soak.name)
            soak.report(failure)
        print()
        print_slopes(soaks, warm(args, time.monotonic() - soaks[0].began))
    if args.samples:
        with open(args.samples, "w") as f:
            json.dump({"%s %s %s" % (s.name, *key): series.samples for s in soaks for key, series in s.series.items()}, f)
    for soak in soaks:
        if failure:
            with open(soak.server.path("log"), "rb") as f:
                sys.stderr.buffer.write(f.read()[-4000:])
        soak.server.end()
        if args.keep:
            print("kept: %s" % soak.server.prefix)
        else:
            shutil.rmtree(soak.server.prefix, ignore_errors=True)
    if failed:
        print("failed: soak, seed %d: %s" % (args.seed, failed))
    print("soak: %d passed, %d failed" % (not failed, bool(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
