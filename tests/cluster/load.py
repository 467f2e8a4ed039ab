"""Clients that check every reply, and the books that are compared with the hosts' in the end.

Most clients have one connection through HAProxy and a gateway. They speak frames, lines, LSP or HTTP, in
either format, and pipeline a few requests. Some ask the hosts through HAProxy alone. `fetch` can be checked by itself: its answer is a
function of its params. `record` has a serial that nobody else has: a host writes it down, and
afterwards every serial that was answered must have been written once, and by the host which the
answer names; one whose answer was an error once or never.
"""

import collections
import http.client
import json
import os
import random
import socket
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../chaos"))
from chaos import GO_ON, Request, Wire  # noqa: E402

PATIENCE = 45  # seconds without which a reply is lost: more than any limit of the gateway
PAUSE = 0.15   # seconds of thought between a client's turns, at the mean
SLOW_CALLS = [0, 0, 0, 0, 5, 50, 300]  # ms that a call takes at its host


class Call(Request):
    def __init__(self, identity, method, params, deadline):
        super().__init__(identity, method, params, False)
        self.deadline = deadline

    def json(self, jsonrpc):
        request = super().json(jsonrpc)
        if self.deadline:
            request["deadline"] = self.deadline
        return request


NO_REPLY = "no reply"  # in the place of an error's code


Answer = collections.namedtuple("Answer", "sent answered late method code host identity")


def wanted_sum(n):
    return n * 2654435761 % 2 ** 64 % 4294967291


class Client(threading.Thread):
    def __init__(self, number, load):
        super().__init__(daemon=True)
        self.number, self.load = number, load
        self.random = random.Random(load.seed * 1000 + number)
        self.wire = Wire(number * 4, self.random)  # a quarter of them each: frames, HTTP, lines, LSP
        self.wire.jsonrpc = self.wire.protocol != "frame" and number // 4 % 2 == 0
        self.sock, self.incoming, self.count = None, b"", 0

    def connect(self):
        addresses = self.load.addresses
        self.sock = socket.create_connection(addresses[self.number // 8 % len(addresses)], timeout=10)
        self.sock.settimeout(1)
        self.incoming = b""

    def request(self):
        self.count += 1
        identity = "%d-%d" % (self.number, self.count)
        deadline = 30000 if self.random.random() < 0.3 else None
        ms = self.random.choice(SLOW_CALLS)
        if self.random.random() < self.load.records:
            return Call(identity, "record", {"serial": identity, "ms": ms}, deadline)
        return Call(identity, "fetch", {"n": self.random.randrange(2 ** 31), "ms": ms}, deadline)

    def run(self):
        while not self.load.ending:
            try:
                if self.sock is None:
                    self.connect()
                self.turn()
            except OSError as error:
                self.load.disconnected("client %d: %s" % (self.number, error))
                self.sock = None
                time.sleep(0.2)
            time.sleep(self.random.expovariate(1 / PAUSE))

    def turn(self):
        asked = {}
        for _ in range(self.random.choice([1, 1, 2, 4])):
            call = self.request()
            asked[call.identity] = call
        self.load.asked(asked.values())
        self.sock.sendall(b"".join(self.wire.message(c) for c in asked.values()))
        until = time.monotonic() + PATIENCE
        try:
            while asked:
                if time.monotonic() > until:
                    raise OSError("no reply for %d s" % PATIENCE)
                self.read(asked)
        finally:
            for call in asked.values():
                self.load.unanswered(call)

    def read(self, asked):
        try:
            data = self.sock.recv(65536)
        except socket.timeout:
            return
        if not data:
            raise OSError("the connection has ended, %d replies were to come" % len(asked))
        self.incoming += data
        while True:
            unwrapped = self.wire.unwrap(self.incoming)
            if unwrapped is None:
                return
            body, self.incoming = unwrapped
            if body is not GO_ON:
                self.check(body, asked)

    def check(self, body, asked):
        try:
            reply = self.wire.reply(body)
            call = asked.pop(reply["id"], None)
        except (ValueError, KeyError, TypeError):
            return self.load.found("wrong", "client %d: %.200r" % (self.number, body))
        if call is None:
            return self.load.found("doubled", "client %d has an answer to what it does not wait for: %.200r" % (
                self.number, body))
        self.judge(call, reply.get("result"), reply.get("out") != "error", body)

    def judge(self, call, result, good, body):
        if not good:
            return self.load.answered(call, result.get("code"), result.get("message"), None)
        right = isinstance(result, dict) and (
            result.get("serial") == call.params["serial"] if call.method == "record" else
            (result.get("n"), result.get("sum")) == (call.params["n"], wanted_sum(call.params["n"])))
        if not right:
            self.load.found("wrong", "%s %r was answered %.200r" % (call.method, call.params, body))
        self.load.answered(call, None, None, result, not isinstance(self, Direct))


class Direct(Client):
    """A client whose requests HAProxy itself gives to the hosts, one by one: `fetch` by GET, which it may ask another
    host for, and `record` by POST. An answer of HAProxy's own is an error whose code is its status."""

    def connect(self):
        self.sock = http.client.HTTPConnection(*self.load.direct, timeout=PATIENCE)

    def turn(self):
        call = self.request()
        self.load.asked([call])
        try:
            if call.method == "fetch":
                self.sock.request("GET", "/fetch?" + urllib.parse.urlencode(call.params))
            else:
                self.sock.request("POST", "/record", json.dumps(call.params), {"Content-Type": "application/json"})
            answer = self.sock.getresponse()
            body = answer.read()
        except http.client.RemoteDisconnected:
            # So HAProxy passes on that a connection, which had been used before, was ended by its host.
            self.sock.close()
            return self.load.answered(call, "haproxy_closed", None, None)
        except (OSError, http.client.HTTPException) as error:
            self.load.unanswered(call)
            raise OSError(repr(error))
        self.check_direct(call, answer.status, body)

    def check_direct(self, call, status, body):
        if status in (502, 503, 504) and body.startswith(b"<html>"):
            return self.load.answered(call, "haproxy_%d" % status, body.decode(), None)
        try:
            reply = json.loads(body)
        except ValueError:
            return self.load.found("wrong", "%s %r: %d %.200r" % (call.method, call.params, status, body))
        self.judge(call, reply, status == 200, body)


class Load:
    def __init__(self, addresses, seed, clients, direct=None, records=0.4):
        self.addresses, self.seed, self.records, self.ending = addresses, seed, records, False
        self.lock = threading.Lock()
        self.findings, self.counts = [], collections.Counter()
        self.disconnects = []  # (when, text)
        self.answers, self.messages = [], {}
        self.serials = {}  # of each record that was asked for: its host, or None
        self.sent = self.replies = 0
        self.last_of = {}  # of each host: when it has answered last
        self.direct = direct
        self.clients = [Client(i, self) for i in range(clients)]
        self.clients += [Direct(clients + i, self) for i in range(clients // 4)] if direct else []

    def start(self):
        for client in self.clients:
            client.start()

    def end(self):
        self.ending = True
        for client in self.clients:
            client.join(PATIENCE + 10)

    def found(self, kind, text):
        with self.lock:
            self.counts[kind] += 1
            if len(self.findings) < 100:
                self.findings.append((time.monotonic(), kind, text))

    def asked(self, calls):
        with self.lock:
            self.sent += len(calls)
            for call in calls:
                if call.method == "record":
                    self.serials[call.identity] = None

    def disconnected(self, text):
        self.disconnects.append((time.monotonic(), text))

    def unanswered(self, call):
        now = time.monotonic()
        self.answers.append(Answer(call.since, now, now - call.since, call.method, NO_REPLY, None, call.identity))

    def answered(self, call, code, message, result, by_gateway=True):
        now = time.monotonic()
        host = result.get("host") if result else None
        with self.lock:
            self.replies += 1
            if host and by_gateway:
                self.last_of[host] = now
            if host and call.method == "record":
                self.serials[call.identity] = host
            if code:
                self.messages[call.identity] = message
            self.answers.append(Answer(call.since, now, now - call.since - call.params["ms"] / 1000, call.method, code,
                                       host, call.identity))

    def host_answers_since(self, host, since):
        return self.last_of.get(host, 0) > since

    def compare(self, journals):
        """With what the hosts have written down: {host: lines}."""
        written = collections.defaultdict(list)
        for host, lines in journals.items():
            for line in lines:
                written[line].append(host)
        for serial, hosts in written.items():
            if len(hosts) > 1:
                self.found("doubled", "record %s was carried out by %s" % (serial, ", ".join(hosts)))
            if serial not in self.serials:
                self.found("wrong", "%s has recorded %r, which nobody asked for" % (hosts[0], serial))
        for serial, host in self.serials.items():
            if host and host not in written.get(serial, []):
                self.found("lost", "record %s: %s said that it has it, and has not" % (serial, host))
        return sum(len(h) for h in written.values())
