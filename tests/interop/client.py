#!/usr/bin/env python3
"""The teaching client of this wire: one call, printed as the name of the reply and its result.

    python3 tests/interop/client.py [--server HOST:PORT] [METHOD [PARAMS]]

    $ python3 tests/interop/client.py ping '{"n": 1}'
    pong {"n": 1}
"""

import argparse
import json
import socket
import struct
import sys


def receive_exactly(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise ConnectionError("the server closed the connection")
        data += more
    return data


def call(sock, name, params):
    request = json.dumps({"in": name, "params": params}).encode()
    sock.sendall(struct.pack("<I", len(request)) + request)
    (length,) = struct.unpack("<I", receive_exactly(sock, 4))
    reply = json.loads(receive_exactly(sock, length))
    return reply["out"], reply["result"]


def main():
    parser = argparse.ArgumentParser(description="Calls a method once.")
    parser.add_argument("--server", default="127.0.0.1:8080", metavar="HOST:PORT")
    parser.add_argument("method", nargs="?", default="ping")
    parser.add_argument("params", nargs="?", default='{"hello": "world"}', type=json.loads)
    args = parser.parse_args()
    host, _, port = args.server.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=30) as sock:
            out, result = call(sock, args.method, args.params)
    except OSError as error:
        sys.exit("client.py: %s: %s" % (args.server, error))
    print(out, json.dumps(result))
    return 1 if out == "error" else 0


if __name__ == "__main__":
    sys.exit(main())
