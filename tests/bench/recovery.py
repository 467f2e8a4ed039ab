#!/usr/bin/env python3
"""How long clients wait when a worker dies: from its death to the first reply of its replacement, and to
the last connection taken over, at several numbers of idle connections.

    PILLION_BUILD=build python3 tests/bench/recovery.py [--rounds 20] [--connections 10,1000,10000]

One worker holds all connections and is killed with SIGKILL; one of the connections then asks. Also the
worker's CPU for each connection that it accepts, the hand-over to the vault included.
"""

import argparse
import datetime
import os
import platform
import re
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import time

BODY = b'{"in":"ping","params":1}'
FRAME = struct.pack("<I", len(BODY)) + BODY


def ask(sock):
    sock.sendall(FRAME)
    (size,) = struct.unpack("<I", sock.recv(4, socket.MSG_WAITALL))
    return sock.recv(size, socket.MSG_WAITALL)


class Server:
    def __init__(self, build):
        self.port = 20000 + os.getpid() % 6000 * 2
        self.prefix = tempfile.mkdtemp(prefix="pillion-bench-")
        os.chmod(self.prefix, 0o755)
        for name in ("conf", "modules", "run"):
            os.mkdir(os.path.join(self.prefix, name))
        shutil.copy(os.path.join(build, "modules/ping.so"), os.path.join(self.prefix, "modules"))
        with open(os.path.join(self.prefix, "conf/pillion.conf"), "w") as f:
            f.write("worker_processes 1; load_module modules/ping.so; quarantine_crashes off;\n"
                    "server { listen 127.0.0.1:%d; method ping; }\n" % self.port)
        self.log = open(os.path.join(self.prefix, "log"), "wb")
        self.process = subprocess.Popen([os.path.join(build, "pillion"), "-p", self.prefix],
                                        stderr=self.log)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                self.connect().close()
                return
            except OSError:
                time.sleep(0.01)
        raise SystemExit("the server does not start")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def worker(self):
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as f:
            for pid in f.read().split():
                with open("/proc/%s/cmdline" % pid) as g:
                    if g.read().startswith("pillion: worker"):
                        return int(pid)
        raise SystemExit("there is no worker")

    def taken_over(self, count):
        """When the log says that the connections of so many workers were taken over, by time.time()."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with open(os.path.join(self.prefix, "log")) as f:
                found = re.findall(r"(\S+)Z \[info\] .*: \d+ connections of .* taken over in", f.read())
            if len(found) >= count:
                when = datetime.datetime.fromisoformat(found[-1])
                return when.replace(tzinfo=datetime.timezone.utc).timestamp()
            time.sleep(0.01)
        raise SystemExit("the connections were not taken over")

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.prefix)


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def recover(build, connections, rounds):
    server = Server(build)
    socks = [server.connect() for _ in range(connections)]
    first, last = [], []
    for i in range(rounds):
        ask(socks[-1])
        time.sleep(1.1)  # a worker that lived for less than a second would be replaced with a back-off
        start, death = time.monotonic(), time.time()
        os.kill(server.worker(), signal.SIGKILL)
        ask(socks[0])
        first.append((time.monotonic() - start) * 1000)
        last.append((server.taken_over(i + 1) - death) * 1000)
    for sock in socks:
        sock.close()
    server.end()
    return statistics.median(first), statistics.median(last)


def accept_cost(build, count=20000):
    server = Server(build)
    ask(server.connect())
    pid = server.worker()
    before = cpu_seconds(pid)
    for _ in range(count):
        server.connect().close()
    cost = (cpu_seconds(pid) - before) / count * 1e6
    server.end()
    return cost


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--connections", default="10,1000,10000")
    args = parser.parse_args()
    build = os.path.abspath(os.environ.get("PILLION_BUILD", "build"))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    print("%s, Linux %s, %d processors; medians of %d" % (
        platform.machine(), platform.release(), os.cpu_count(), args.rounds))
    print("%12s %24s %28s" % ("connections", "death to first reply, ms", "death to last adopted, ms"))
    for connections in [int(c) for c in args.connections.split(",")]:
        first, last = recover(build, connections, args.rounds)
        print("%12d %24.1f %28.1f" % (connections, first, last))
    print("worker CPU for a connection, accept to close, vault included: %.1f us" % accept_cost(build))


if __name__ == "__main__":
    main()
