#!/usr/bin/env python3
"""Chaos: clients that check every reply, while everything that can end a worker happens.

    PILLION_BUILD=build python3 tests/chaos/chaos.py [--seconds 60] [--seed N] [--idle 2000] [--busy 64]
                                                      [--only reload,kill] [--kill-gates] [--expect-wrong]

Busy clients speak every protocol and format. They pipeline requests, half of them cut at random
bytes, and check content, order and id of every reply; a quarter of them mixes in requests that are
answered later, from a timer or a thread, and takes replies in any order, but those of HTTP; some
send those without ids, and insist on the order. Those that speak JSON-RPC send notifications and
batches too, with all of that in them. Some of HTTP wait for a word before they send a body. Some come through a balancer, which tells their address by a PROXY
header; a third speaks TLS, some of them through a balancer that lets it through; all ask now and then what their address is. Some requests crash or hang in threads, timers
and callbacks. Idle clients wait, and are called once at the end. Visitors have a module keep something for their
connection, which it may lose with a worker, and must not keep beyond its end, nor end twice. Events are drawn from a generator
whose seed is printed. Any disconnect, or any lost, wrong or reordered reply fails the run (exit 1).
A gate's death costs its clients, so gates are killed with --kill-gates alone: then clients of TLS may be
disconnected by that, come again, and are counted; everything else holds as without.
--expect-wrong turns that around: the test of this test, run against a server whose correction from
the kernel's counters is off (PILLION_TEST_NO_CORRECTION).
"""

import argparse
import base64
import json
import os
import random
import resource
import selectors
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from ports import free_ports

# Filters of the methods that are answered later, among others; they let every request pass.
FILTERS = ("filter limit { zone limits; rate 1000000/s; burst 1000000; concurrency 1000000; key all; } "
           "filter access_log { path run/access.log; sample 100; } ")
# Of modules/samples, where they are built: a pool of its own, another filter with a zone.
SAMPLES = {"deflate": "pool zips threads=2; load_module modules/deflate.so pool=zips;\n",
           "quota": "zone quotas 1m; load_module modules/quota.so;\n"}
QUOTA = "filter quota { zone quotas; calls 1000000000000; per 1d; } "
LATER = ["wait", "nap", "retry", "relay"]  # answered later
DEFERRED = LATER + ["deflate"]
# Where and how the module `threads` crashes, and where it hangs.
THREAD_CRASHES = [(where, what) for where in ("work", "done", "timer", "resumed", "watch", "posted", "thread")
                  for what in ("segv", "abort", "overflow", "exit", "_exit")]
THREAD_HANGS = ["work", "done", "timer", "resumed", "posted"]
HANG_MS = 300  # after so long, a request whose work hangs is answered `timeout`
CRASHES = ["null", "abort", "exit0", "exit1", "overflow", "kill", "closefds"]
PORTS = 5  # a server listens there: its own, one that reloads drop and take back, one behind a balancer, two with TLS
IDLE_TLS = 300  # of the first idle connections, a third speaks TLS
GATES = 12  # more than so many, and the clients of former ones come again: each new certificate leaves some behind
# What the module `descriptors` does to what its server has open.
BREAKS = [(kind, call) for kind in ("listener", "client", "channel")
          for call in ("close", "shutdown", "connect", "fcntl(F_SETFL)", "ioctl(FIONBIO)")]
SETTLE = 0.25  # seconds after an event in which the slowest reply counts as its own


class Failure(Exception):
    pass


class LogReader:
    """Reads the server's standard error into a file, except when it is told to stop reading."""

    def __init__(self, path):
        self.reader, self.writer = os.pipe()
        self.file = open(path, "wb")
        self.reads = threading.Event()
        self.reads.set()
        self.thread = threading.Thread(target=self.pump, daemon=True)
        self.thread.start()

    def pump(self):
        while self.reads.wait():
            data = os.read(self.reader, 65536)
            if not data:
                break
            self.file.write(data)
            self.file.flush()

    def stall(self):
        """From here on the pipe is full: with empty lines, since servers say little."""
        self.reads.clear()
        pipe = os.open("/proc/self/fd/%d" % self.reader, os.O_WRONLY | os.O_NONBLOCK)
        try:
            while True:
                os.write(pipe, b"\n" * 4096)
        except BlockingIOError:
            os.close(pipe)

    def go_on(self):
        self.reads.set()

    def close(self):
        self.go_on()
        self.thread.join(5)  # to the end: every process of the server has closed it
        self.file.close()


class Server:
    LIMITS = "handler_timeout 2s; heartbeat_timeout 1s;"
    MODULES = ("modules/ping.so", "modules/rpc.so", "tests/modules/crash.so",
               "tests/modules/later.so", "tests/modules/threads.so",
               "tests/modules/descriptors.so", "tests/modules/peer.so", "tests/modules/written.so",
               "tests/modules/visits.so", "modules/limit.so", "modules/access_log.so")
    MORE = MORE_METHODS = ""  # of the configuration: beside the `server` block, and in it

    def __init__(self, build, port, level, files=0):
        self.build, self.port, self.version, self.workers, self.level = build, port, 1, 4, level

        def limit_files():
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        self.prefix = tempfile.mkdtemp(prefix="pillion-chaos-")
        for name in ("conf", "modules", "run"):
            os.mkdir(os.path.join(self.prefix, name))
        os.chmod(self.prefix, 0o755)
        os.chmod(os.path.join(self.prefix, "run"), 0o777)
        for name in self.MODULES:
            shutil.copy(os.path.join(build, name), os.path.join(self.prefix, "modules"))
        self.samples = [n for n in SAMPLES if os.path.exists(os.path.join(build, "samples", n + ".so"))]
        for name in self.samples:
            shutil.copy(os.path.join(build, "samples", name + ".so"), os.path.join(self.prefix, "modules"))
        self.binary = os.path.join(self.prefix, "pillion")
        self.certificate = 0
        for number in range(2):
            self.make_certificate(number)
        self.put_certificate()
        self.put_binary()
        self.put_version()
        self.configure()
        self.log = LogReader(os.path.join(self.prefix, "log"))
        self.process = subprocess.Popen([self.binary, "-p", self.prefix], stderr=self.log.writer,
                                        preexec_fn=limit_files if files else None)
        os.close(self.log.writer)

    def path(self, name):
        return os.path.join(self.prefix, name)

    def put_binary(self):
        for name in ("pillion", "tls.so"):
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))
            shutil.copy(os.path.join(self.build, name), self.path(name))

    def make_certificate(self, number):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "90", "-subj", "/CN=chaos %d" % number, "-keyout", self.path("%d.key" % number),
                        "-out", self.path("%d.pem" % number)], check=True, capture_output=True)

    def put_certificate(self):
        for kind in ("key", "pem"):
            shutil.copy(self.path("%d.%s" % (self.certificate, kind)), self.path("new"))
            os.rename(self.path("new"), self.path("tls." + kind))

    def put_version(self):
        # As cp does it: over the file that is in use.
        with open(os.path.join(self.build, "tests/modules/version_v%d.so" % self.version), "rb") as f:
            data = f.read()
        with open(self.path("modules/version.so"), "wb") as f:
            f.write(data)

    def configure(self):
        methods = "".join("method %s; " % m for m in CRASHES + ["hang", "ping", "harm", "breaks", "peer", "written",
                                                                "set", "get"]) + self.MORE_METHODS
        filters = FILTERS + (QUOTA if "quota" in self.samples else "")
        later = DEFERRED if "deflate" in self.samples else LATER
        methods += "".join("method %s { %s } " % (m, filters) for m in later + ["version"])
        with open(self.path("conf/new.conf"), "w") as f:
            f.write("error_log stderr %s; worker_processes %d; %s quarantine_crashes off;\n%s"
                    "load_module modules/ping.so; load_module modules/rpc.so;\n"
                    "load_module modules/version.so;\n"
                    "load_module modules/crash.so { journal run/journal; }\n"
                    "pool naps threads=4; load_module modules/later.so pool=naps;\n"
                    "load_module modules/threads.so; pool_threads 8;\n"
                    "load_module modules/descriptors.so; load_module modules/peer.so;\n"
                    "load_module modules/written.so;\n"
                    "zone visits 1m; load_module modules/visits.so;\n"
                    "zone limits 1m; load_module modules/limit.so; load_module modules/access_log.so;\n%s"
                    "server { listen 127.0.0.1:%d; %smethod rpc.stats; %s\n"
                    "listen 127.0.0.1:%d proxy_protocol; proxy_from 127.0.0.1; proxy_timeout 10m;\n"
                    "listen 127.0.0.1:%d ssl; listen 127.0.0.1:%d ssl proxy_protocol;\n"
                    "ssl_certificate tls.pem; ssl_certificate_key tls.key; }\n"
                    % (self.level, self.workers, self.LIMITS, self.MORE, "".join(SAMPLES[n] for n in self.samples), self.port,
                       "listen 127.0.0.1:%d; " % (self.port + 1) if self.workers == 4 else "", methods,
                       self.port + 2, self.port + 3, self.port + 4))
        os.rename(self.path("conf/new.conf"), self.path("conf/pillion.conf"))

    def children(self, role):
        found = []
        for pid in os.listdir("/proc"):
            try:
                if not pid.isdigit():
                    continue
                with open("/proc/%s/stat" % pid) as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
                if parent != self.process.pid:
                    continue
                with open("/proc/%s/cmdline" % pid) as f:
                    if f.read().startswith("pillion: " + role):
                        found.append(int(pid))
            except (OSError, IndexError):
                continue
        return found

    def ask(self, verb):
        return subprocess.Popen([os.path.join(self.build, "pillion"), "-s", verb, "-p", self.prefix],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Wire:
    """How one client's messages are wrapped, in its protocol and format."""

    def __init__(self, number, chooser):
        self.protocol = ("frame", "http", "line", "lsp")[number // 4 % 4]
        self.jsonrpc = self.protocol != "frame" and number // 16 % 2 == 0
        self.random = chooser

    def message(self, request):
        """A request, or a batch, as it is sent."""
        return self.wrap(json.dumps(request.json(self.jsonrpc)).encode())

    def wrap_late(self, body):
        """For HTTP: the head of a request, and the body, which is not sent before the server says so."""
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        if self.random.random() < 0.5:
            return head + b"Content-Length: %d\r\n\r\n" % len(body), body
        return head + b"Transfer-Encoding: chunked\r\n\r\n", self.chunks(body)

    def chunks(self, body):
        chunks = b""
        while body:
            size = self.random.randint(1, min(len(body), self.random.choice([3, 100, 5000])))
            chunks += b"%x\r\n" % size + body[:size] + b"\r\n"
            body = body[size:]
        return chunks + b"0\r\n\r\n"

    def wrap(self, body):
        if self.protocol == "frame":
            return struct.pack("<I", len(body)) + body
        if self.protocol == "line":
            return body + self.random.choice([b"\n", b"\r\n", b"\n\n"])
        if self.protocol == "lsp":
            return b"Content-Length: %d\r\n\r\n" % len(body) + body
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
        if self.random.random() < 0.1:
            head += b"Expect: 100-continue\r\n"
        if self.random.random() < 0.5:
            return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + self.chunks(body)

    def unwrap(self, data):
        """The first reply's body in `data` and the rest; None while it is not whole."""
        if self.protocol == "frame":
            size = struct.unpack("<I", data[:4])[0] if len(data) >= 4 else 0
            return (data[4:4 + size], data[4 + size:]) if 4 + size <= len(data) else None
        if self.protocol == "line":
            body, newline, rest = data.partition(b"\n")
            return (body, rest) if newline else None
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            return None
        if head.startswith(b"HTTP/1.1 100 "):
            return GO_ON, rest
        if head.startswith(b"HTTP/1.1 204 "):
            return b"", rest
        size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return (rest[:size], rest[size:]) if len(rest) >= size else None

    def reply(self, body):
        """A reply in Pillion's own format, whatever it came in; `out` of a success may be missing. The replies
        to a batch are a list."""
        return self.plain(json.loads(body))

    def plain(self, reply):
        if isinstance(reply, list):
            return [self.plain(one) for one in reply]
        if not self.jsonrpc:
            return reply
        if reply.get("jsonrpc") != "2.0":
            raise ValueError("no JSON-RPC")
        if "error" in reply:
            return {"out": "error", "result": reply["error"]["data"], "id": reply["id"]}
        return {"result": reply["result"], "id": reply["id"]}


class Request:
    """A request that is not answered yet."""

    def __init__(self, identity, method, params, guilty):
        self.identity, self.method, self.params, self.guilty = identity, method, params, guilty
        self.since = time.monotonic()
        self.calls = [self]

    def json(self, jsonrpc):
        # JSON-RPC takes no null for params.
        if jsonrpc:
            request = {"jsonrpc": "2.0", "method": self.method, "params": self.params, "id": self.identity}
        else:
            request = {"in": self.method, "params": self.params, "id": self.identity}
        return {name: value for name, value in request.items() if value is not None}


class Batch:
    """Requests of JSON-RPC that are sent as one, and answered as one. Notifications have no id."""

    method = "batch"

    def __init__(self, requests):
        self.requests = requests
        self.calls = [r for r in requests if r.identity is not None]
        self.guilty = any(r.guilty for r in requests)
        self.identity = [r.identity for r in self.calls]

    def json(self, _):
        return [r.json(True) for r in self.requests]


def secured(sock, newest):
    """The socket inside TLS, of version 1.3 or 1.2. Certificates are not what is looked at here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_3 if newest else ssl.TLSVersion.TLSv1_2
    return context.wrap_socket(sock)


WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
GO_ON = b"100"  # in the place of a body: the server's word that one may follow
NOBODY = Request(None, "ping", ["nobody listens"], False)  # a notification
NOTHING = Request(None, "ping", None, False)  # what HTTP answers to one


class Client:
    """One connection: its requests, in order, and the bytes that have come back so far."""

    SLOW = 512  # bytes that one which reads slowly reads at once

    def __init__(self, number, chaos):
        self.number, self.chaos = number, chaos
        self.behind = number % 5 == 4  # a balancer
        self.tls = number % 3 == 1
        self.stuck = self.renews = False  # TLS has not taken its bytes; it is to connect anew when it waits for nothing
        self.random = random.Random(chaos.args.seed * 1000 + number)
        self.wire = Wire(number, self.random)
        # Replies of HTTP never overtake.
        self.overtaking = number % 4 == 1 and self.wire.protocol != "http"
        self.without_ids = number % 16 == 10
        self.wire.jsonrpc = self.wire.jsonrpc and not self.without_ids  # they would be notifications
        self.asked, self.incoming, self.outgoing = [], b"", b""
        self.late, self.words = b"", 0  # a body that waits for a word; words that may come
        self.next_id, self.since, self.slow_until = 0, 0.0, 0.0
        self.heard = 0.0  # when bytes have come; one that reads slowly may need long for what it has
        self.story = []
        self.connect(chaos.first_port(number))

    def connect(self, port=None):
        first = self.chaos.server.port
        port = first + (4 if self.tls else 2) if self.behind else first + 3 if self.tls else port or first
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        if self.behind:
            self.address = "192.0.2.1:%d" % (10000 + self.number)
            header = b"PROXY TCP4 192.0.2.1 192.0.2.2 %d 8080\r\n" % (10000 + self.number)
            if self.tls:
                self.sock.sendall(header)
            else:
                self.outgoing += header
        if self.tls:
            self.sock = secured(self.sock, self.number % 2)
        self.sock.setblocking(False)
        self.half_closed = self.stuck = self.renews = False
        self.chaos.selector.register(self.sock, selectors.EVENT_READ, self)

    def connect_anew(self):
        self.chaos.selector.unregister(self.sock)
        self.sock.close()
        self.asked, self.incoming, self.outgoing, self.late, self.words = [], b"", b"", b"", 0
        while True:
            try:
                return self.connect()
            except OSError:
                if not self.chaos.gate_has_died():
                    raise

    def disconnected(self, words):
        """Raises, unless it was a gate that has died."""
        if not (self.tls and self.chaos.gate_has_died()):
            raise Failure("disconnect: client %d%s" % (self.number, words))
        self.chaos.cut += 1
        self.connect_anew()

    def request(self, method=None, large=True):
        """Makes a request. With `method`, it calls it and ends its worker. A message must not have more bytes
        than max_frame: one of many requests has no `large` ones."""
        identity = None if self.without_ids else "%d-%d" % (self.number, self.next_id)
        self.next_id += 1
        if method:
            return Request(identity, *(method if isinstance(method, tuple) else (method, None)), True)
        if (self.overtaking or self.without_ids or self.number % 4 == 1) and self.random.random() < 0.5:
            if "deflate" in self.chaos.server.samples and self.random.random() < 0.2:
                data = base64.b64encode(b"pillion %d " % self.next_id * self.random.choice([1, 10, 10000 if large else 100]))
                return Request(identity, "deflate", {"data": data.decode(), "level": 1}, False)
            return Request(identity, self.random.choice(LATER),
                           {"ms": self.random.choice([0, 1, 5, 50]), "n": self.next_id}, False)
        if self.random.random() < 0.1:
            return Request(identity, "peer", None, False)
        if self.random.random() < 0.05:
            return Request(identity, "written", {"rows": self.random.choice([10, 300, 3000, 20000])}, False)
        return Request(identity, "ping", [self.next_id, "x" * self.random.choice([0, 10, 200, 3000])], False)

    def batch(self, method=None):
        requests = [self.request(large=False) for _ in range(self.random.choice([1, 2, 5, 20]))]
        requests += [NOBODY] * self.random.choice([0, 0, 1, 3])
        if method:
            requests.append(self.request(method))
        self.random.shuffle(requests)
        return Batch(requests)

    def ask(self, method=None):
        """Queues requests, some of them batches. With `method`, one of them calls it and ends its worker."""
        count = self.random.choice([1, 1, 2, 4, 16])
        guilty = self.random.randrange(count) if method else -1
        http = self.wire.protocol == "http"
        for i in range(count):
            if self.wire.jsonrpc and self.random.random() < 0.1:
                self.outgoing += self.wire.message(NOBODY)
                self.asked += [NOTHING] if http else []
            make = self.batch if self.wire.jsonrpc and self.random.random() < 0.25 else self.request
            request = make(method if i == guilty else None)
            self.asked.append(request)
            if http and i == count - 1 and self.random.random() < 0.2:
                body = json.dumps(request.json(self.wire.jsonrpc)).encode()
                head, self.late = self.wire.wrap_late(body)
                self.outgoing += head
            else:
                self.outgoing += self.wire.message(request)
        self.words += self.outgoing.count(b"Expect: ")
        self.since = time.monotonic()
        self.story = self.story[-5:] + ["asked %d at %.3f" % (count, self.since)]
        self.send()

    def send(self):
        while self.outgoing:
            size = len(self.outgoing)
            if self.number % 2 and not self.stuck: # TLS takes the same bytes, or none
                size = self.random.randint(1, size)
            try:
                sent = self.sock.send(self.outgoing[:size])
            except WAITS:
                self.stuck = self.tls
                break
            except OSError as error:
                return self.disconnected(": %s" % error)
            self.stuck = False
            self.outgoing = self.outgoing[sent:]
            if self.number % 2 and self.random.random() < 0.3:
                break  # the rest follows with a later event
        if not self.outgoing and not self.late and self.asked and self.number % 16 == 3 and not self.half_closed:
            socket.socket.shutdown(self.sock, socket.SHUT_WR)  # its last request; the replies are still to come
            self.half_closed = True

    def read(self):
        if self.number % 8 == 2 and time.monotonic() < self.slow_until:
            return  # it reads slowly
        try:
            data = self.sock.recv(self.SLOW if self.number % 8 == 2 else 65536)
        except WAITS:
            return
        except OSError as error:
            return self.disconnected(": %s" % error)
        if not data:
            if self.half_closed and not self.asked:
                self.chaos.selector.unregister(self.sock)
                self.sock.close()
                self.incoming = b""
                self.connect()
                return
            return self.disconnected(", %d replies were to come" % len(self.asked))
        self.heard = time.monotonic()
        self.slow_until = self.heard + 0.01
        self.incoming += data
        while True:
            unwrapped = self.wire.unwrap(self.incoming)
            if unwrapped is None:
                break
            body, self.incoming = unwrapped
            if body is GO_ON:
                self.go_on()
            else:
                self.check(body)

    def go_on(self):
        self.words -= 1
        if self.words < 0:
            raise Failure("wrong: client %d is told to go on, and has not asked" % self.number)
        # Of an earlier request, whose body was sent at once, while others are before the one that waits.
        if self.late and len(self.asked) == 1:
            self.outgoing, self.late = self.outgoing + self.late, b""

    def check(self, body):
        if not self.asked:
            raise Failure("wrong: client %d: nothing was asked: %r" % (self.number, body[:100]))
        if self.asked[0] is NOTHING:
            if body:
                raise Failure("wrong: client %d: a notification was answered %r" %
                              (self.number, body[:100]))
            self.asked.pop(0)
            return
        try:
            reply = self.wire.reply(body)
        except (ValueError, KeyError):
            raise Failure("wrong: client %d: no JSON: %r" % (self.number, body[:100]))
        request = self.asked[0]
        identity = [one.get("id") for one in reply] if isinstance(reply, list) else reply.get("id")
        if self.overtaking or (self.wire.protocol != "http" and
                               any(c.method == "harm" for r in self.asked for c in r.calls)):
            request = next((r for r in self.asked if r.identity == identity), request)
        if identity != request.identity:
            raise Failure("reordered: client %d asked %s and got %r" %
                          (self.number, request.identity, body[:100]))
        self.asked.remove(request)
        for call, one in zip(request.calls, reply if isinstance(reply, list) else [reply]):
            self.check_call(call, one)
        self.chaos.replied(time.monotonic() - self.since)

    def check_call(self, request, reply):
        wanted = "data" if request.method == "deflate" else "later" if request.method in LATER else "pong"
        name = reply.get("out", wanted)
        code = reply["result"].get("code") if name == "error" else None
        if request.guilty:
            if code not in ("module_crashed", "timeout"):
                raise Failure("wrong: " + self.exchange(request, reply))
            self.chaos.row()["errors"] += 1
        elif code == "module_crashed" and request.method in DEFERRED and \
                self.chaos.death > request.since - 5:
            self.chaos.row()["errors"] += 1  # it was under way when its worker died
        elif code in ("module_crashed", "timeout") and self.chaos.kills > 0:
            # A worker was killed, or stopped, from outside at the moment when it ran this request:
            # there is at most one such request for each time.
            self.chaos.kills -= 1
            self.chaos.row()["errors"] += 1
        elif request.method == "peer" and name != "error":
            if reply["result"]["peer"] != self.address:
                raise Failure("wrong: %s is %s" % (self.exchange(request, reply), self.address))
        elif request.method == "written" and name != "error":
            if reply["result"] != list(range(request.params["rows"])):
                raise Failure("wrong: " + self.exchange(request, reply))
        elif name != wanted or self.said(request, reply["result"]) != request.params:
            raise Failure("wrong: " + self.exchange(request, reply))

    @staticmethod
    def said(request, result):
        """What the result says that the params were."""
        if request.method != "deflate":
            return result
        data = base64.b64encode(zlib.decompress(base64.b64decode(result["data"])))
        return {"data": data.decode(), "level": 1}

    def exchange(self, request, reply):
        now = time.monotonic()
        return "client %d asked %s %r %.1f s ago, %.1f s before the last death, and was answered %.300r" % (
            self.number, request.method, request.identity, now - request.since,
            self.chaos.death - request.since, reply)


class Visitor:
    """A client for whose connection the module `visits` keeps a name: it asks for it, and gives a new one when it was
    lost, which only happens when the connection is in another worker."""

    def __init__(self, number, chaos):
        self.number, self.chaos, self.names, self.waits, self.incoming = number, chaos, set(), None, b""
        self.sock = socket.create_connection(("127.0.0.1", chaos.server.port), timeout=10)
        self.known, self.certain, self.last = None, True, None
        chaos.selector.register(self.sock, selectors.EVENT_READ, self)

    def ask(self):
        if self.waits is not None:
            return
        self.waits = "get" if self.known is not None or not self.certain else "set"
        self.last = "v%d-%d" % (self.number, len(self.names))
        params = {"name": self.last} if self.waits == "set" else None
        if self.waits == "set":
            self.names.add(self.last)
        body = json.dumps({"in": self.waits, "params": params or {}}).encode()
        self.sock.sendall(struct.pack("<I", len(body)) + body)

    def read(self):
        data = self.sock.recv(4096)
        if not data:
            raise Failure("disconnect: visitor %d" % self.number)
        self.incoming += data
        if len(self.incoming) < 4 or len(self.incoming) < 4 + struct.unpack("<I", self.incoming[:4])[0]:
            return
        reply, self.incoming, what = json.loads(self.incoming[4:]), b"", self.waits
        self.waits = None
        if reply["out"] == "error":  # its worker was ended with the request in hand
            self.certain = False
        elif what == "set":
            if reply["result"] is not True:
                raise Failure("wrong: visitor %d is refused a name" % self.number)
            self.known, self.certain = self.last, True
        else:
            self.got(*reply["result"])

    def got(self, name, seen, moved, saved):
        if name is None and not moved and self.known is not None:
            raise Failure("lost: the name of visitor %d, in a worker that goes on" % self.number)
        if name is not None and (name not in self.names or (self.certain and name != self.known)):
            raise Failure("wrong: visitor %d is %s, and not %s" % (self.number, name, self.known))
        if saved and saved not in self.names:
            raise Failure("wrong: visitor %d has saved %s" % (self.number, saved))
        self.known, self.certain = name, True


class Chaos:
    SERVER, CLIENT = Server, Client
    PAUSE = 0.002  # seconds that a turn waits for replies
    PATIENCE = 20  # seconds after which a reply is lost

    def __init__(self, args, port=None):
        self.args = args
        self.random = random.Random(args.seed)
        self.selector = selectors.DefaultSelector()
        self.table, self.event, self.event_since = {}, "none", 0.0
        self.requests, self.pending, self.kills, self.killed_at = 0, [], 0, 0.0
        # The time of the last event that ends a worker. In the self-test workers die all the time.
        self.death = float("inf") if "PILLION_TEST_DIE_IN_CALL" in os.environ else 0.0
        self.server = self.SERVER(os.path.abspath(os.environ.get("PILLION_BUILD", "build")),
                                  port or free_ports(2 * PORTS),
                                  "debug" if args.keep else "info", args.files)
        self.clients, self.idle = [], []
        self.beside, self.hung = None, None
        self.cut, self.gate_killed_at = 0, float("-inf")  # clients that a gate's death has disconnected

    def row(self):
        name = self.event if time.monotonic() - self.event_since < SETTLE * 4 else "none"
        return self.table.setdefault(name, {"count": 0, "errors": 0, "slowest": 0.0})

    def replied(self, seconds):
        row = self.row()
        row["slowest"] = max(row["slowest"], seconds)
        self.requests += 1

    # ---- events ----

    def ask(self, verb):
        self.pending.append((verb, self.server.ask(verb), time.monotonic()))

    def reload(self):
        if self.pending:
            pass  # one is under way: a module is not written over while it is being read
        elif self.random.random() < 0.5:
            self.server.version = 3 - self.server.version
            self.server.put_version()
        else:
            self.server.workers = 6 - self.server.workers
            self.server.configure()
        self.ask("reload")

    def reload_twice(self):
        self.reload()
        self.ask("reload")

    def upgrade(self):
        self.server.put_binary()
        self.ask("upgrade")

    def kill(self, role):
        children = self.server.children(role)
        for pid in self.random.sample(children, k=1) if children else []:
            try:
                self.kills += role == "worker"
                self.death = time.monotonic() if role == "worker" else self.death
                self.killed_at = time.monotonic()
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def kill_worker(self):
        self.kill("worker")

    def kill_vault(self):
        self.kill("vault")
        self.vault_killed_at = time.monotonic()

    def kill_gate(self):
        self.kill("gate")
        self.gate_killed_at = time.monotonic()

    def gate_has_died(self):
        return time.monotonic() - self.gate_killed_at < 10

    def new_certificate(self):
        if not self.pending:  # none is read now
            self.server.certificate = 1 - self.server.certificate
            self.server.put_certificate()
        self.ask("reload")

    def leave_former_gates(self):
        """They end when no client has them any more."""
        if len(self.server.children("gate")) <= GATES:
            return
        for client in self.clients:
            client.renews = client.tls
        for i in [i for i in range(len(self.idle)) if self.idle_tls(i)]:
            self.idle[i].close()
            self.idle[i] = self.idle_new(i)

    def vault_is_back(self, now):
        """True once the vaults hold all connections again. A second failure before that is more than
        the server promises to survive."""
        if self.vault_killed_at is None:
            return True
        try:
            held = sum(len(os.listdir("/proc/%d/fd" % pid)) for pid in self.server.children("vault"))
        except OSError:
            held = 0
        if held >= len(self.idle) + len(self.clients) * 3 // 4:  # except connections that come and go
            self.vault_killed_at = None
        elif now - self.vault_killed_at > 20:
            raise Failure("lost: the vaults hold %d connections 20 s after one was killed" % held)
        return self.vault_killed_at is None

    def kill_probe(self):
        self.reload()
        self.kill("probe")

    def kill_twice(self):
        """Kills a worker, and then its replacement, while that loads or adopts."""
        self.kill("worker")
        self.later(0.004, self.kill_worker)

    def kill_in_reload(self):
        self.reload()
        self.later(0.003, self.kill_worker)

    def kill_vault_in_reload(self):
        """Kills the vault during a reload: the leaving workers hand the connections that no worker has taken
        over yet to the next vault."""
        self.reload()
        self.later(self.random.random() * 0.006, self.kill_vault)
        self.quiet_until = time.monotonic() + 0.1

    def stop(self, role):
        """Stops a process, until the master finds it silent: heartbeat_timeout is 1 s."""
        children = self.server.children(role)
        for pid in self.random.sample(children, k=1) if children else []:
            try:
                os.kill(pid, signal.SIGSTOP)
            except ProcessLookupError:
                continue
            self.kills += role == "worker"  # it may have been in a handler
            self.death = time.monotonic() + 3 if role == "worker" else self.death
            self.killed_at = time.monotonic() + 3
            self.quiet_until = time.monotonic() + 2.5

    def stop_worker(self):
        self.stop("worker")

    def stop_vault(self):
        self.stop("vault")
        self.vault_killed_at = time.monotonic()

    def stop_worker_in_reload(self):
        self.reload()
        self.later(self.random.random() * 0.02, self.stop_worker)
        self.quiet_until = time.monotonic() + 2.5  # no other event comes first, on a slow machine

    def stop_vault_in_reload(self):
        self.reload()
        self.later(self.random.random() * 0.006, self.stop_vault)
        self.quiet_until = time.monotonic() + 2.5

    def crash(self, method=None):
        # The next client that has all its replies sends the request, among others.
        self.guilty.append(method or self.random.choice(CRASHES))
        self.death = time.monotonic()

    def crash_in_reload(self):
        self.reload()
        self.crash()

    def break_descriptor(self):
        kind, call = self.random.choice(BREAKS)
        self.crash(("breaks", {"kind": kind, "call": call}))

    def hang(self):
        self.crash("hang")

    def thread_crash(self):
        where, what = self.random.choice(THREAD_CRASHES)
        self.kills += where in ("work", "thread")  # the loop may run another request at that moment
        self.crash(("harm", {"where": where, "what": what}))

    def thread_hang(self):
        self.crash(("harm", {"where": self.random.choice(THREAD_HANGS), "what": "hang", "ms": HANG_MS}))

    def stop_master(self):
        os.kill(self.server.process.pid, signal.SIGSTOP)
        self.later(0.3, lambda: os.kill(self.server.process.pid, signal.SIGCONT))
        self.quiet_until = time.monotonic() + 0.35

    def stop_in_reload(self):
        """Tells another server to end at any moment of a reload: it must end."""
        if self.beside is None or not self.beside.is_alive():
            self.beside = threading.Thread(target=self.stop_beside, daemon=True, args=(
                self.random.choice([signal.SIGTERM, signal.SIGQUIT]), self.random.random() * 0.03))
            self.beside.start()

    def stop_beside(self, number, delay):
        server = Server(self.server.build, self.server.port + PORTS, "info")
        try:
            for _ in range(1000):
                with open(server.path("log")) as log:
                    if "generation 1 serves" in log.read():
                        break
                time.sleep(0.01)
            server.process.send_signal(signal.SIGHUP)
            time.sleep(delay)
            server.process.send_signal(number)
            server.process.wait(20)
        except subprocess.TimeoutExpired:
            self.hung = "hang: a server that was told to end %.1f ms after a reload does not" % (delay * 1000)
        finally:
            server.end()
            shutil.rmtree(server.prefix, ignore_errors=True)

    def stall_log(self):
        """Stops reading the server's log, while events happen that it would log."""
        self.server.log.stall()
        self.reload()
        self.later(0.02, self.kill_worker)
        self.later(self.random.uniform(0.3, 1.5), self.server.log.go_on)

    def nothing(self):
        """No event: the workers die by themselves, see PILLION_TEST_DIE_IN_CALL."""

    EVENTS = {"reload": reload, "reload-twice": reload_twice, "upgrade": upgrade, "kill": kill_worker,
              "kill-vault": kill_vault, "kill-probe": kill_probe, "kill-twice": kill_twice,
              "kill-in-reload": kill_in_reload, "kill-vault-in-reload": kill_vault_in_reload,
              "crash": crash, "crash-in-reload": crash_in_reload, "hang": hang,
              "break": break_descriptor,
              "thread-crash": thread_crash, "thread-hang": thread_hang, "stop-master": stop_master, "stop-worker": stop_worker, "stop-vault": stop_vault,
              "stop-in-reload": stop_in_reload, "stop-worker-in-reload": stop_worker_in_reload,
              "stop-vault-in-reload": stop_vault_in_reload, "stall-log": stall_log,
              "new-certificate": new_certificate, "kill-gate": kill_gate,
              "nothing": nothing}

    def later(self, seconds, action):
        self.scheduled.append((time.monotonic() + seconds, action))

    # ---- the run ----

    def start(self):
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.server.port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise Failure("the server does not start")
                time.sleep(0.02)
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        for i in range(min(self.args.idle, limit // 2 - 200)):
            self.idle.append(self.idle_new(i))
        self.guilty, self.random_visits = [], random.Random(self.args.seed)
        self.scheduled, self.ending, self.quiet_until, self.vault_killed_at = [], False, 0.0, None
        self.clients = [self.CLIENT(i, self) for i in range(self.args.busy)]
        self.visitors = [Visitor(i, self) for i in range(self.args.visitors)]

    @staticmethod
    def idle_tls(number):
        return number % 3 == 1 and number < IDLE_TLS

    def idle_new(self, number):
        port = self.server.port + 3 if self.idle_tls(number) else self.first_port(number)
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        return secured(sock, number % 2) if self.idle_tls(number) else sock

    def first_port(self, number):
        """A third comes in by an address that the first change of the configuration removes."""
        return self.server.port + (number % 3 == 0)

    def settled(self, now):
        """True when no event is under way, and all connections were taken over after the last one."""
        if self.scheduled or self.guilty or self.pending or now - self.event_since < 1.0 or \
                any(r.guilty for c in self.clients for r in c.asked):
            return False
        stats = self.stats()
        return stats is not None and stats["handovers"] == 0

    def may_ask(self, client, now):
        """Whether a client that waits for nothing asks again, now."""
        return True

    def visit(self, now):
        self.random_visits.choice(self.visitors).ask()

    def turn(self):
        now = time.monotonic()
        if self.hung:
            raise Failure(self.hung)
        for key, _ in self.selector.select(self.PAUSE):
            key.data.read()
        for client in self.clients:
            if client.tls and client.sock.pending():  # that it was read already, no selector tells
                client.read()
            if client.outgoing:
                client.send()
            elif client.renews and not client.asked and not client.half_closed:
                client.connect_anew()
            elif not client.asked and not client.half_closed and not self.ending and self.may_ask(client, now):
                client.ask(self.guilty.pop() if self.guilty and not client.without_ids else None)
            elif client.asked and now - max(client.since, client.heard) > self.PATIENCE:
                raise Failure("lost: client %d waits for %d replies, and has heard nothing since %d s: %s" %
                              (client.number, len(client.asked), self.PATIENCE, client.story))
        if self.visitors and not self.ending:
            self.visit(now)
        for at, action in [s for s in self.scheduled if s[0] <= now]:
            self.scheduled.remove((at, action))
            action()
        for name, process, since in [p for p in self.pending if p[1].poll() is not None]:
            self.pending.remove((name, process, since))
            out, error = process.communicate()
            # A reload whose probe or new worker was killed fails, and the old generation serves on.
            if process.returncode != 0 and not self.args.expect_wrong and \
                    self.killed_at < min(since, time.monotonic() - 2):
                raise Failure("%s failed: %s" % (name, error.decode()))

    def run(self):
        end = time.monotonic() + self.args.seconds
        next_event, waiting = time.monotonic() + 1, None
        never = {"nothing"} if self.args.kill_gates else {"nothing", "kill-gate"}
        names = self.args.only.split(",") if self.args.only else sorted(set(self.EVENTS) - never)
        while time.monotonic() < end:
            now = time.monotonic()
            if now >= next_event and now >= self.quiet_until and self.vault_is_back(now):
                name = waiting or self.random.choice(names)
                # A vault that dies while a worker is dead, or the other way round, is one failure
                # more than the server survives: the event waits until the server has settled.
                waiting = name if "-vault" in name and not self.settled(now) else None
                if waiting:
                    self.turn()
                    continue
                self.leave_former_gates()
                self.happen(name, now)
                next_event = now + self.random.uniform(0.02, 0.4) * self.args.pace
            self.turn()
        self.finish()

    def happen(self, name, now):
        self.event, self.event_since = name, now
        self.row()["count"] += 1
        self.EVENTS[name](self)

    def finish(self):
        """Asks nothing more, and checks what can be checked only at the end."""
        self.ending = True
        while any(c.asked or c.outgoing for c in self.clients) or self.pending or self.scheduled:
            self.turn()
        while self.beside is not None and self.beside.is_alive():
            self.turn()
        self.turn()
        self.check_idle()
        self.check_visits()
        self.check_journal()

    def wait_for_visits(self, count):
        until = time.monotonic() + 20
        while True:
            self.turn()
            stats = self.stats()
            here = stats["modules"]["visits"]["metrics"]["here"] if stats else None
            if here == count:
                return
            if time.monotonic() > until:
                raise Failure("wrong: %s visitors' names are kept, and there are %d" % (here, count))

    def check_visits(self):
        """As many names are kept as visitors have one; and none once they are gone."""
        for _ in range(2):  # the second time all of them have one
            for visitor in self.visitors:
                visitor.ask()
            until = time.monotonic() + 20
            while any(v.waits for v in self.visitors):
                self.turn()
                if time.monotonic() > until:
                    raise Failure("lost: a reply to a visitor")
        self.wait_for_visits(sum(v.known is not None for v in self.visitors))
        for visitor in self.visitors:
            self.selector.unregister(visitor.sock)
            visitor.sock.close()
        self.wait_for_visits(0)

    def check_idle(self):
        if self.args.kill_gates:  # they may be gone
            self.idle = [sock for i, sock in enumerate(self.idle) if not self.idle_tls(i)]
        body = b'{"in":"ping","params":"idle"}'
        wires = [Wire(4 * i, self.random) for i in range(4)]
        for wire in wires:
            wire.jsonrpc = False
        for i, sock in enumerate(self.idle):
            sock.settimeout(self.PATIENCE)
            try:
                sock.sendall(wires[i % 4].wrap(body))
            except OSError as error:
                raise Failure("disconnect: idle connection %d: %s" % (i, error))
        expected = b'{"out":"pong","result":"idle"}'
        for i, sock in enumerate(self.idle):
            data, unwrapped = b"", None
            while unwrapped is None:
                try:
                    got = sock.recv(4096)
                except OSError as error:
                    raise Failure("disconnect: idle connection %d: %s" % (i, error))
                if not got:
                    raise Failure("disconnect: idle connection %d" % i)
                data += got
                unwrapped = wires[i % 4].unwrap(data)
                if unwrapped and unwrapped[0] is GO_ON:
                    data, unwrapped = unwrapped[1], wires[i % 4].unwrap(unwrapped[1])
            if unwrapped != (expected, b""):
                raise Failure("wrong: idle connection %d: %r" % (i, data))

    def check_journal(self):
        """Every guilty request writes a line before it does harm: no line may appear twice."""
        seen = set()
        try:
            with open(self.server.path("run/journal")) as f:
                lines = f.read().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            if line in seen:
                raise Failure("run twice: %s" % line)
            seen.add(line)

    def stats(self):
        out = subprocess.run([os.path.join(self.server.build, "pillion"), "call", "--server",
                              "127.0.0.1:%d" % self.server.port, "rpc.stats"], capture_output=True)
        return json.loads(out.stdout) if out.returncode == 0 else None

    def report(self, failure):
        print("%-16s %6s %14s %20s" % ("event", "count", "error replies", "slowest reply, ms"))
        for name in sorted(self.table, key=lambda n: (n != "none", n)):
            row = self.table[name]
            print("%-16s %6d %14d %20.1f" % (name, row["count"], row["errors"], row["slowest"] * 1000))
        stats = self.stats()
        if stats is not None:
            print("%d replies checked, %d idle connections; the server counted %s" % (
                self.requests, len(self.idle),
                ", ".join("%s %d" % (k, stats[k]) for k in ("reloads", "crashes", "hangs",
                                                            "vault_restarts", "gate_restarts", "log_lines_lost"))
                + ", handshakes %d" % stats["tls"]["handshakes"]
                + "".join(", %s %d" % (k, stats["connections"][k]) for k in (
                    "adopted", "corrected_in", "corrected_out", "guilty", "invalid_records"))))
        if self.args.kill_gates:
            print("%d clients of TLS were disconnected by a gate's death, and came again" % self.cut)
        print("disconnects, lost, wrong, reordered: %s" % (failure or "0"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--busy", type=int, default=64)
    parser.add_argument("--visitors", type=int, default=64)
    parser.add_argument("--files", type=int, default=0,
                        help="limit on open files of the server's processes: below the clients, for several vaults")
    parser.add_argument("--kill-gates", action="store_true", help="gates are killed, too")
    parser.add_argument("--only", default="")
    parser.add_argument("--pace", type=float, default=1, help="below 1, events come faster")
    parser.add_argument("--keep", action="store_true", help="keep the server's prefix and log")
    parser.add_argument("--expect-wrong", action="store_true")
    args = parser.parse_args()
    print("seed %d" % args.seed, flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chaos, failure = Chaos(args), None
    try:
        chaos.start()
        chaos.run()
    except Failure as error:
        failure = str(error)
    except KeyboardInterrupt:
        failure = "interrupted"
    chaos.report(failure)
    if failure and not args.expect_wrong:
        with open(chaos.server.path("log"), "rb") as f:
            sys.stderr.buffer.write(f.read()[-4000:])
    chaos.server.end()
    if args.keep:
        print("kept: %s" % chaos.server.prefix)
    else:
        shutil.rmtree(chaos.server.prefix, ignore_errors=True)
    failed = (failure is None) if args.expect_wrong else (failure is not None)
    if failed:
        print("failed: chaos, seed %d: %s" % (args.seed, failure or "nothing was wrong, and something has to be"))
    print("chaos: %d passed, %d failed" % (not failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
