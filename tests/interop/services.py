#!/usr/bin/env python3
"""Services of JSON-RPC that others wrote, behind the module proxy_http of a server that is reloaded
and whose workers are killed.

    python3 tests/interop/services.py BUILD [NPM]

BUILD is the prefix that was built, NPM a directory with the packages of tests/interop/npm. Clients
keep their connections; a request that may be run twice is always answered, and one that may not is
never run twice.
"""

import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import foreign

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from ports import free_ports

PATIENCE = foreign.PATIENCE
SERVICES = ("jayson", "json-rpc-2.0")
CLIENTS = 4
CONF = """
worker_processes 2;
quarantine_crashes off;
load_module modules/rpc.so;
load_module %(build)s/tests/modules/crash.so;
load_module modules/proxy_http.so { upstream http://127.0.0.1:%(service)d/; timeout 30s; }
server {
    listen 127.0.0.1:%(port)d;
    method rpc.health;
    method kill;
    proxy_http_method add;
    proxy_http_method echo { idempotent on; }
    proxy_http_method note;
    proxy_http_method doubles;
    proxy_http_method refuse;
    proxy_http_method missing;
}
"""


class Connection:
    """One connection for its whole life: that it ends is a failure."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)

    def take(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            foreign.expect(piece, "the connection was closed")
            data += piece
        return data

    def call(self, name, params=None):
        body = json.dumps({"in": name, "params": params}).encode()
        self.socket.sendall(struct.pack("<I", len(body)) + body)
        reply = json.loads(self.take(struct.unpack("<I", self.take(4))[0]))
        return reply["out"], reply["result"]


def await_port(port):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
    raise AssertionError("nobody listens on port %d" % port)


def check_calls(connection):
    for name, params, expected in (
            ("add", [2, 3], ("result", 5)), ("add", {"a": 2, "b": 3}, ("result", 5)),
            ("echo", ["\u00e9", {"a": None}], ("result", ["\u00e9", {"a": None}]))):
        reply = connection.call(name, params)
        foreign.expect(reply == expected, "%s gives %s" % (name, reply))
    out, error = connection.call("refuse", [])
    foreign.expect(out == "error" and error == {
        "code": "upstream_error", "message": "not today", "number": -32050,
        "data": {"until": "tomorrow", "n": [1.5]}}, "refuse gives %s" % error)
    out, error = connection.call("missing", [])
    foreign.expect(out == "error" and error["code"] == "method_not_found" and
                   error["number"] == -32601, "missing gives %s" % error)


class Caller(threading.Thread):
    """Calls echo and note in turn, on one connection, until it is told to end."""

    def __init__(self, port, number):
        super().__init__(daemon=True)
        self.connection, self.number = Connection(port), number
        self.done, self.lost, self.failure = 0, 0, None
        self.ending = threading.Event()

    def run(self):
        try:
            while not self.ending.is_set():
                own = self.number + CLIENTS * self.done
                reply = self.connection.call("echo", {"n": own})
                foreign.expect(reply == ("result", {"n": own}), "echo gives %s" % (reply,))
                out, result = self.connection.call("note", {"n": own})
                if out == "error":
                    foreign.expect(result["code"] == "module_crashed", "note gives %s" % result)
                    self.lost += 1
                else:
                    foreign.expect(result == own, "note gives %s" % result)
                self.done += 1
        except Exception as error:  # whatever it is, the client has failed
            self.failure = "%s: %s" % (type(error).__name__, error)


def try_service(name, build, npm):
    processes = []
    port, service = free_ports(), free_ports()
    with tempfile.TemporaryDirectory() as prefix:
        os.chmod(prefix, 0o755)
        for folder in ("conf", "modules", "run"):
            os.mkdir(os.path.join(prefix, folder))
        for module in ("rpc.so", "proxy_http.so"):
            shutil.copy(os.path.join(build, "modules", module), os.path.join(prefix, "modules"))
        pathlib.Path(prefix, "conf/pillion.conf").write_text(
            CONF % {"port": port, "service": service, "build": build})
        try:
            script = str(pathlib.Path(__file__).resolve().parent / "npm/service.js")
            processes.append(subprocess.Popen(["node", script, name, str(service)], cwd=npm,
                                              stdout=subprocess.DEVNULL))
            await_port(service)
            pillion = os.path.join(build, "pillion")
            with open(os.path.join(prefix, "log"), "w") as log:
                processes.append(subprocess.Popen([pillion, "-p", prefix], stderr=log))
            await_port(port)
            check_calls(Connection(port))
            callers = [Caller(port, number) for number in range(CLIENTS)]
            for caller in callers:
                caller.start()
            for _ in range(foreign.ROUNDS):
                foreign.disturb(pillion, prefix, processes[1].pid, port)
            foreign.wait_for_steps(callers, 5)
            for caller in callers:
                caller.ending.set()
            for caller in callers:
                caller.join(PATIENCE)
                foreign.expect(caller.failure is None,
                               "after %d calls: %s" % (caller.done, caller.failure))
            out, doubles = Connection(port).call("doubles", [])
            foreign.expect((out, doubles) == ("result", 0), "%s were run twice" % doubles)
        except Exception:
            sys.stderr.write(pathlib.Path(prefix, "log").read_text()[-4000:]
                             if os.path.exists(os.path.join(prefix, "log")) else "")
            raise
        finally:
            for process in reversed(processes):
                process.terminate()
            for process in reversed(processes):
                process.wait()


def main():
    build, npm = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    missing = "npm has brought no packages" if not npm else ""
    if not os.path.exists(os.path.join(build, "modules/proxy_http.so")):
        missing = "proxy_http.so was not built"
    failed = 0
    for name in SERVICES:
        if missing:
            print("skipped: %s behind proxy_http: %s" % (name, missing))
            continue
        try:
            try_service(name, build, npm)
        except Exception as error:  # whatever it is, it has failed
            print("failed: %s behind proxy_http: %s: %s" % (name, type(error).__name__, error))
            failed += 1
    if not missing:
        print("services behind proxy_http: %d passed, %d failed" % (len(SERVICES) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
