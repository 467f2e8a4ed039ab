#!/usr/bin/env python3
"""The teaching server of this wire, as plain as it can be: what Pillion must not differ from.

    python3 tests/interop/server.py [HOST:PORT]      (127.0.0.1:8080; port 0 picks one)

A frame is a 4-byte little-endian length and that many bytes of JSON. A request is
{"in": METHOD, "params": ANY}, its reply {"out": NAME, "result": ANY}; replies come in the order of
the requests. One thread for each connection, the standard library alone.
"""

import json
import socketserver
import struct
import sys

METHODS = {}


def method(function):
    METHODS[function.__name__] = function
    return function


@method
def ping(params):
    return "pong", params


def receive_exactly(sock, size):
    """`size` bytes, or None when the client has gone."""
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            return None
        data += more
    return data


class Connection(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            prefix = receive_exactly(self.request, 4)
            if prefix is None:
                return
            (length,) = struct.unpack("<I", prefix)
            body = receive_exactly(self.request, length)
            if body is None:
                return
            request = json.loads(body)
            out, result = METHODS[request["in"]](request.get("params"))
            reply = json.dumps({"out": out, "result": result}).encode()
            # One send: a length that travels apart from its body waits for an acknowledgement.
            self.request.sendall(struct.pack("<I", len(reply)) + reply)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main():
    host, _, port = (sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8080").rpartition(":")
    with Server((host, int(port)), Connection) as server:
        print("serving %s:%d" % server.server_address, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
