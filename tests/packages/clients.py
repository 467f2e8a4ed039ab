"""Clients that keep their connections while packages come and go: over frames and over HTTP, each
checking every reply, and some that are idle until the end."""

import http.client
import json
import socket
import struct
import threading
import time

PATIENCE = 60
FRAMES, POSTS, IDLE = 8, 4, 60
PAUSE = 0.002  # seconds: the packages need a processor as well


def expect(good, words):
    if not good:
        raise AssertionError(words)


class Frames:
    """A connection of frames, for its whole life: that it ends is a failure."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)

    def take(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            expect(piece, "the connection was closed")
            data += piece
        return data

    def call(self, method, params):
        """The reply's name and its result."""
        body = json.dumps({"in": method, "params": params}).encode()
        self.socket.sendall(struct.pack("<I", len(body)) + body)
        reply = json.loads(self.take(struct.unpack("<I", self.take(4))[0]))
        return reply["out"], reply["result"]

    def step(self, number):
        reply = self.call("ping", {"n": number})
        expect(reply == ("pong", {"n": number}), "ping %d gives %s" % (number, reply))


class Posts:
    """A connection of HTTP that is kept alive, with JSON-RPC; http.client would connect anew when the
    server had closed it, so its socket is compared."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.connection.connect()
        self.socket = self.connection.sock

    def step(self, number):
        name = "Ada%d" % number
        self.connection.request("POST", "/", json.dumps(
            {"jsonrpc": "2.0", "method": "greet", "params": {"name": name}, "id": number}),
            {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        reply = json.loads(response.read())
        expect(response.status == 200 and reply.get("id") == number and
               reply.get("result") == "Hello, %s!" % name, "greet %d gives %s" % (number, reply))
        expect(self.connection.sock is self.socket, "the connection was closed")


class Caller(threading.Thread):
    """Calls without a pause, until it is told to end."""

    def __init__(self, connection, number, of):
        super().__init__(daemon=True)
        self.connection, self.number, self.of = connection, number, of
        self.done, self.slowest, self.failure = 0, 0.0, None
        self.ending = threading.Event()

    def run(self):
        try:
            while not self.ending.is_set():
                before = time.monotonic()
                self.connection.step(self.number + self.of * self.done)
                self.slowest = max(self.slowest, time.monotonic() - before)
                self.done += 1
                time.sleep(PAUSE)
        except Exception as error:  # whatever it is, the client has failed
            self.failure = "%s: %s" % (type(error).__name__, error)


class Load:
    def __init__(self, port):
        kinds = [Frames] * FRAMES + [Posts] * POSTS
        self.callers = [Caller(kind(port), n, len(kinds)) for n, kind in enumerate(kinds)]
        self.idle = [Frames(port) for _ in range(IDLE)]
        for caller in self.callers:
            caller.start()

    def check(self):
        """Each client has got another reply since it was asked."""
        counts = [caller.done for caller in self.callers]
        deadline = time.monotonic() + PATIENCE
        for caller, count in zip(self.callers, counts):
            while caller.done <= count + 1:
                expect(caller.failure is None, "after %d calls: %s" % (caller.done, caller.failure))
                expect(time.monotonic() < deadline, "a client gets no reply")
                time.sleep(0.01)

    def end(self):
        """How many replies there were, and the slowest one's seconds. Each of them was right."""
        for caller in self.callers:
            caller.ending.set()
        for caller in self.callers:
            caller.join(PATIENCE)
            expect(caller.failure is None, "after %d calls: %s" % (caller.done, caller.failure))
        for number, connection in enumerate(self.idle):
            connection.step(number)
        return (sum(caller.done for caller in self.callers),
                max(caller.slowest for caller in self.callers))
