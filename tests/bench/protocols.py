#!/usr/bin/env python3
"""`make bench-protocols`: HTTP beside nginx and h2o, lines beside frames and jayson, MCP beside its SDK, and
the memory of idle connections of HTTP, in one run.

    python3 tests/bench/protocols.py [--build build] [--only NAME...]

As in bench.py the servers are on one CPU, and take turns. The same client (load.c), which pipelines every
protocol, loads them all; wrk, h2load and ab look at HTTP from outside. Writes the section "Protocols" of
docs/performance.md (protocols_report.py). --only takes one measurement, prints, and writes nothing.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import bench
import measures
import protocols_report
import servers
from servers import HTTP, PARAMS, Nginx, Pillion, Server

CALL = '{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}'
PING = CALL % ("ping", PARAMS)
TOOL = CALL % ("tools/call", '{"name":"ping","arguments":%s%%s}' % PARAMS)
META = ',"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",' \
       '"io.modelcontextprotocol/clientCapabilities":{}}'
MCP = ("--as", "http", "--path", "/mcp", "--field", "Accept: application/json, text/event-stream")
OLD = MCP + ("--field", "MCP-Protocol-Version: 2025-11-25", "--request", TOOL % "")
NEW = MCP + ("--field", "MCP-Protocol-Version: 2026-07-28", "--field", "Mcp-Method: tools/call",
             "--field", "Mcp-Name: ping", "--request", TOOL % META)
IDLE = 5000
LARGE_HEAD = 10000


# ---- Servers ----


class PillionTool(Pillion):
    """With `ping` as a tool of MCP, too."""

    def prepare(self):
        super().prepare()
        with open(self.path("conf/pillion.conf")) as file:
            text = file.read()
        with open(self.path("conf/pillion.conf"), "w") as file:
            file.write(text.replace("method ping;", "method ping { tool on; }"))


class H2o(Server):
    name = "h2o's library"
    options = HTTP
    program = ""

    @classmethod
    def missing(cls):
        return [] if os.path.exists(cls.program) else ["libh2o-evloop-dev"]

    def command(self):
        return [self.program, str(self.port)]


class Foreign(Server):
    """A server of foreign.mjs."""

    kind = packages = ""
    programs = ("node",)

    @classmethod
    def missing(cls):
        return super().missing() or \
            ([] if os.path.exists(os.path.join(cls.packages, "brought")) else [cls.kind])

    def command(self):
        return ["node", os.path.join(os.path.dirname(os.path.abspath(__file__)), "foreign.mjs"),
                self.packages, self.kind, str(self.port)]


class Jayson(Foreign):
    name = "jayson's TCP server, lines"
    kind = "jayson"
    options = ("--as", "line", "--request", PING, "--warm-up", "0.5")


class McpSdk(Foreign):
    name = "the SDK of MCP for Node.js, 2025-11-25"
    kind = "mcp"
    options = OLD + ("--warm-up", "0.5")


class Parts:
    """Names of the rows, and how each is asked of Pillion."""

    http = {"Pillion, `POST /ping`": HTTP}
    calls = {"Pillion's own format, frames": ("--request", servers.PING),
             "JSON-RPC, frames": ("--request", PING),
             "JSON-RPC, lines": ("--as", "line", "--request", PING),
             "JSON-RPC, `POST /`": ("--as", "http", "--request", PING)}
    mcp = {"Pillion, `tools/call`, 2025-11-25": OLD, "Pillion, `tools/call`, 2026-07-28": NEW}


# ---- Requests ----


def compare(run, asked, kinds, columns=bench.COLUMNS):
    """What bench.compare says of Pillion, asked in these ways, and of the others."""
    with contextlib.ExitStack() as stack:
        pillion = stack.enter_context(PillionTool(run.tools, run.cpus))
        pillion.options = ()
        loads = {name: lambda *load, options=options: pillion.load(*load, *options)
                 for name, options in asked.items()}
        for kind in kinds:
            loads[kind.name] = stack.enter_context(kind(run.tools, run.cpus)).load
        return bench.compare(run, loads, columns)


def http(run):
    return compare(run, Parts.http, run.available((Nginx, H2o)))


def calls(run):
    return compare(run, Parts.calls, run.available((Jayson,)))


def mcp(run):
    return compare(run, Parts.mcp, run.available((McpSdk,)), ((1, 1), (50, 1), (50, 16)))


# ---- Other clients ----

WRK = """
wrk.method = "POST"
wrk.body = '%s'
wrk.headers["Content-Type"] = "application/json"
done = function(summary)
    local errors = summary.errors
    io.write(string.format("\\nRequests: %%d\\nErrors: %%d\\n", summary.requests, errors.status +
        errors.read + errors.write + errors.timeout))
end
""" % PARAMS


def commands(directory, url, seconds):
    """Fifty connections with a request on each, by each client that is installed; and what of its words has
    the requests that were answered, and those that were not."""
    body, script = os.path.join(directory, "body"), os.path.join(directory, "wrk.lua")
    for path, text in ((body, PARAMS), (script, WRK)):
        with open(path, "w") as file:
            file.write(text)
    time = str(seconds)
    found = {
        "wrk": (["wrk", "-t1", "-c50", "-d" + time, "-s", script, url],
                r"Requests: (\d+)", r"Errors: (\d+)"),
        "h2load": (["h2load", "--h1", "-t1", "-c50", "-D" + time, "-d", body,
                    "-H", "Content-Type: application/json", url],
                   r"(\d+) succeeded", r"(\d+) failed"),
        "ab": (["ab", "-q", "-k", "-c50", "-t" + time, "-n", "100000000", "-p", body,
                "-T", "application/json", url],
               r"Complete requests: +(\d+)", r"Failed requests: +(\d+)"),
    }
    return {name: row for name, row in found.items() if shutil.which(name)}


def other_load(server, command, answered, failed, seconds):
    """The same figures as of Server.load, but for latencies. The CPU is that of the whole run."""
    before = servers.cpu_ns(server.pids())
    done = subprocess.run(command, capture_output=True, text=True, timeout=servers.LOAD_LIMIT,
                          preexec_fn=lambda: os.sched_setaffinity(0, server.load_cpus()))
    cpu = servers.cpu_ns(server.pids()) - before
    count, errors = re.search(answered, done.stdout), re.search(failed, done.stdout)
    if done.returncode or count is None or errors is None or int(errors.group(1)):
        raise RuntimeError("%s: %s" % (command[0], (done.stdout + done.stderr)[-500:]))
    requests = max(int(count.group(1)), 1)
    return {"rps": requests / seconds, "cpu_us": cpu / requests / 1000}


def clients(run, seconds=1):
    """{client: {server: figures}} at (50,1), of clients that others wrote."""
    found = {}
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(kind(run.tools, run.cpus))
                   for kind in (PillionTool, *run.available((Nginx, H2o)))]
        for name in commands(running[0].prefix, "", seconds):
            def load(server):
                url = "http://127.0.0.1:%d/ping" % server.port
                return other_load(server, *commands(server.prefix, url, seconds)[name], seconds)
            samples = measures.alternating(max(run.rounds // 2, 1), {
                server.name: lambda server=server: load(server) for server in running})
            found[name] = {server: {"rps": measures.most(loads, "rps"),
                                    "cpu_us": measures.least(loads, "cpu_us")}
                           for server, loads in samples.items()}
    return found


# ---- Memory ----


def head(size=0):
    """Of a POST of PARAMS, with so many bytes of fields that mean nothing."""
    fields, line = "", "X-Filler-%d: " + "x" * 85 + "\r\n"
    while len(fields) < size:
        fields += line % (len(fields) % 10)
    return ("POST /ping HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            "Content-Length: %d\r\n%s" % (len(PARAMS), fields)).encode()


REST = ("\r\n" + PARAMS).encode()  # what follows the fields


def expect_reply(sock):
    reply = b""
    while not reply.endswith(PARAMS.encode()):
        part = sock.recv(4096)
        if not part:
            raise ConnectionResetError("the server has closed the connection")
        reply += part
    if not reply.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(reply[:200])


def one_after_the_other(fields):
    def talk(socks):
        for sock in socks:
            sock.sendall(head(fields) + REST)
            expect_reply(sock)
    return talk


def all_at_once(socks):
    """Every head is there before the first of them is finished."""
    for sock in socks:
        sock.sendall(head(LARGE_HEAD))
    for sock in socks:
        sock.sendall(REST)
        expect_reply(sock)


KINDS = {"frames, fresh": lambda socks: None,
         "HTTP, after a request": one_after_the_other(0),
         "HTTP, after a head of 10,000 bytes": one_after_the_other(LARGE_HEAD),
         "HTTP, the same, all at once": all_at_once}


def idle(run):
    """Bytes of each of many idle connections, of all processes together and of the worker alone: what they
    add to fifty of their kind, which have brought in the code."""
    count, found = min(IDLE, run.descriptors - 1000), {}
    for name, talk in KINDS.items():
        with Pillion(run.tools, run.cpus) as server, measures.Crowd(server, 50) as first:
            talk(first.socks)
            measures.settled(server, 50)
            before = memory(server)
            with measures.Crowd(server, count) as crowd:
                talk(crowd.socks)
                measures.settled(server, 50 + count)
                after = memory(server)
            if None not in before + after:
                found[name] = [(last - start) / count for start, last in zip(before, after)]
    return {"connections": count, "bytes": found}


def memory(server):
    """Bytes of all processes, and of the worker."""
    (worker,) = server.pids_of("worker")
    own = servers.memory_kib(worker, "Pss")
    return [measures.pss(server), None if own is None else own * 1024]


# ---- All of it ----

PARTS = {"http": http, "calls": calls, "mcp": mcp, "clients": clients, "idle": idle}


class Run(bench.Run):
    """One that remembers which servers are left out."""

    def __init__(self, build):
        super().__init__(build)
        self.missing = ["lwan, which Debian does not have"]
        H2o.program = os.path.join(self.tools, "h2o_ping")
        Foreign.packages = os.path.join(self.build, "tests/npm")

    def available(self, kinds):
        found, missing = bench.available(kinds)
        self.missing += [line for line in missing if line not in self.missing]
        return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[])
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    run, before = Run(options.build), os.getloadavg()[0]
    results = {"rounds": run.rounds, "seconds": run.seconds}
    for name in options.only or PARTS:
        bench.say("== " + name)
        results[name] = PARTS[name](run)
        if name in ("clients", "idle"):
            bench.say(json.dumps(results[name], indent=1))
    results["missing"] = run.missing
    results["load"] = "Its load average was %.1f before the run, and %.1f at its end." % (
        before, os.getloadavg()[0])
    if options.only:
        return
    with open(os.path.join(run.tools, "protocols.json"), "w") as file:
        json.dump(results, file, indent=1)
    for line in protocols_report.write(results):
        bench.say(line)


if __name__ == "__main__":
    main()
