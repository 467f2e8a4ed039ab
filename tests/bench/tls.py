#!/usr/bin/env python3
"""`make bench-tls`: Pillion's TLS beside hitch and nginx, in one run.

    python3 tests/bench/tls.py [--build build] [--only handshakes|calls] [--pillion]

As in bench.py all processes of a server are on one CPU, the load is on the others, and the servers take turns.
Handshakes are of TLS 1.3, each on a connection of its own, which the client ends at once, or after one call; calls are `ping`, through
Pillion's gate and its worker, and through hitch and a bare echo behind it. Writes the section "TLS" of
docs/performance.md; --only takes one measurement, prints, and writes nothing; with --pillion the others rest, as for
a profiler.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys

import bench
import measures
import report
import servers
from report import figure, lines, thousands
from servers import Nginx, Pillion, RawEcho, Server

KEYS = {"P-256": ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"), "RSA 2048": ("rsa:2048",)}
WAYS = {  # what a connection is for
    "whole": ("--handshakes", "whole"),
    "resumed": ("--handshakes", "resumed"),
    "one call": ("--tls", "yes", "--connect", "yes", "--request", servers.PING),
}
COLUMNS = ((50, 1), (50, 16), (50, 128))
SHAKERS = 20  # handshakes at the same time


class Tls:
    """A certificate of its own."""

    key = "P-256"

    def certify(self):
        self.pem, self.key_file = self.path("tls.pem"), self.path("tls.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", *KEYS[self.key], "-nodes", "-days", "30", "-subj",
                        "/CN=localhost", "-keyout", self.key_file, "-out", self.pem], check=True, capture_output=True)


class PillionTls(Tls, Pillion):
    """Its port without TLS is for the start alone."""

    name = "Pillion"

    def prepare(self):
        self.certify()
        self.plain, self.port = self.port, servers.free_port()
        self.main += "gate_processes 1; worker_rlimit_nofile 4096;"
        self.server_part += "listen 127.0.0.1:%d ssl; ssl_certificate %s; ssl_certificate_key %s;" % (
            self.port, self.pem, self.key_file)
        self.port, self.tls = self.plain, self.port
        super().prepare()

    def start(self):
        super().start()
        self.port = self.tls


class Hitch(Tls, Server):
    """In front of a bare echo, on the same CPU."""

    name = "hitch"
    programs = ("hitch",)

    def prepare(self):
        self.certify()
        with open(self.path("all.pem"), "w") as file:
            for part in (self.key_file, self.pem):
                with open(part) as source:
                    file.write(source.read())
        self.echo = RawEcho(self.tools, self.cpus)
        with open(self.path("hitch.conf"), "w") as file:
            file.write('frontend = "[127.0.0.1]:%d"\nbackend = "[127.0.0.1]:%d"\npem-file = "%s"\nworkers = 1\n'
                       'daemon = off\nquiet = on\ntls-protos = TLSv1.2 TLSv1.3\nuser = "nobody"\n'
                       'backlog = 1000\n' % (self.port, self.echo.port, self.path("all.pem")))

    def command(self):
        return [shutil.which("hitch"), "--config", self.path("hitch.conf")]

    def pids(self):
        return super().pids() + self.echo.pids()

    def end(self):
        super().end()
        if hasattr(self, "echo"):
            self.echo.end()


class NginxTls(Tls, Nginx):
    name = "nginx"
    options = ()

    def prepare(self):
        self.certify()
        super().prepare()
        with open(self.path("nginx.conf")) as file:
            text = file.read()
        with open(self.path("nginx.conf"), "w") as file:
            file.write(text.replace("listen 127.0.0.1:%d;" % self.port,
                                    "listen 127.0.0.1:%d ssl; ssl_certificate %s; ssl_certificate_key %s; "
                                    "ssl_protocols TLSv1.2 TLSv1.3;" % (self.port, self.pem, self.key_file)))


def running(run, kinds, key="P-256"):
    """The servers, each with a certificate of this kind, for an ExitStack's life."""
    return [type(kind.__name__, (kind,), {"key": key})(run.tools, run.cpus) for kind in kinds]


def handshakes(run, kinds):
    """{(key, way): {name: summary}}"""
    found = {}
    for key in KEYS:
        all_servers = running(run, kinds, key)
        try:
            for way, load in WAYS.items():
                samples = measures.alternating(run.rounds, {
                    s.name: lambda s=s: s.load(SHAKERS, 1, run.seconds, *load) for s in all_servers
                    if way != "one call" or s.name != NginxTls.name})
                for name, results in samples.items():
                    best = found.setdefault((key, way), {})[name] = bench.summary(results)
                    bench.say("%-9s %-8s %-8s %8.0f/s %8.1f us CPU" % (key, way, name, best["rps"], best["cpu_us"]))
        finally:
            for server in all_servers:
                server.end()
    return found


def calls(run, kinds):
    kinds = [kind for kind in kinds if kind is not NginxTls]
    all_servers = running(run, kinds)
    try:
        return bench.compare(run, {
            s.name: lambda *load, s=s: s.load(*load, "--request", servers.PING, "--tls", "yes") for s in all_servers},
            COLUMNS)
    finally:
        for server in all_servers:
            server.end()


# ---- The section ----

SECTION = """## TLS

{machine} Written by `make bench-tls`; {rounds} rounds of {seconds:g} s. The machine's load average was {load:.1f}.

All processes of a server are on one CPU. Handshakes of TLS 1.3, each on a connection of its own, which the client
ends at once, or (one call) has a single `ping` answered on: connections a second, and microseconds of the server's CPU
for one. hitch connects to a bare echo with each handshake, Pillion to a worker, which a vault then holds for, with the
first bytes; nginx has nothing behind it, and answers no `ping`.

{handshakes}

`ping` over TLS: requests a second, microseconds of CPU for a request, and the p99 of a batch in microseconds.
Pillion's gate has a worker behind it that reads and writes JSON; behind hitch is a bare echo.

{calls}

At (50,128) half of Pillion's CPU is the worker's, which reads and writes JSON and costs about twice the
bare echo; the gate alone needs less than hitch. On a machine with other load, compare the CPU for a request: rates and
p99 are what the load has left over.

{targets}
"""


def targets(shakes, asked):
    found = []

    def at_least(what, where, value):
        found.append((what, where, "≥ 1", figure(value), "met" if value >= 1 else "**missed**"))

    for (key, way), row in shakes.items():
        for other in (name for name in row if name != PillionTls.name):
            at_least("connections for the CPU of %s" % other, "%s, %s" % (key, way),
                     row[other]["cpu_us"] / row[PillionTls.name]["cpu_us"])
    for column in asked.get(Hitch.name, {}):
        mine, other = asked[PillionTls.name][column], asked[Hitch.name][column]
        where = "(%s)" % column
        at_least("`ping`, requests a second against hitch", where, mine["rps"] / other["rps"])
        at_least("`ping`, requests for the CPU of hitch and the echo", where, other["cpu_us"] / mine["cpu_us"])
        at_least("`ping`, p99 of hitch against Pillion's", where, other["p99_us"] / mine["p99_us"])
    return found


def write(run, shakes, asked):
    names = list(next(iter(shakes.values())))
    judged = targets(shakes, asked)
    report.write_section(report.SECTIONS[2], SECTION.format(
        machine=report.machine(), rounds=run.rounds, seconds=run.seconds, load=os.getloadavg()[0],
        handshakes=lines(["key"] + names, [
            ["%s, %s" % at] + ["%s, %s" % (thousands(row[n]["rps"]), figure(row[n]["cpu_us"])) if n in row else "-"
                               for n in names]
            for at, row in shakes.items()]),
        calls=lines([""] + ["(%s)" % c for c in asked[PillionTls.name]], [
            [name + (" and a bare echo" if name == Hitch.name else "")] +
            ["%s, %s, %s" % (thousands(at["rps"]), figure(at["cpu_us"]), thousands(at["p99_us"])) for at in row.values()]
            for name, row in asked.items()]),
        targets=lines(["what", "where", "target", "measured", ""], judged)))
    for row in judged:
        print("%-50s %-20s %-5s %-6s %s" % row)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--only", choices=("handshakes", "calls"))
    parser.add_argument("--pillion", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    run = bench.Run(options.build)
    kinds, missing = bench.available([PillionTls] if options.pillion else [PillionTls, Hitch, NginxTls])
    for line in missing:
        bench.say("left out: " + line)
    shakes = handshakes(run, kinds) if options.only != "calls" else {}
    asked = calls(run, kinds) if options.only != "handshakes" else {}
    if not options.only and not options.pillion:
        write(run, shakes, asked)


if __name__ == "__main__":
    main()
