#!/usr/bin/env python3
"""Says whether a server speaks this wire: runs a list of exchanges against an address.

    python3 tests/interop/conformance.py [--core] [--max-frame BYTES] [HOST:PORT | unix:PATH]

Exchanges marked `extension` are what Pillion adds (ids, error replies, params byte for byte,
strict JSON); with --core they are left out, and every server of the wire passes, the one in
server.py included. The server must offer `ping`. Ends with "N passed, N failed", and with a status
other than 0 when one failed.
"""

import argparse
import json
import random
import socket
import struct
import sys

DEADLINE = 20  # seconds for any one receive: what takes longer does not come

EXCHANGES = []


def exchange(function):
    """One that every server of the wire passes."""
    EXCHANGES.append((function, False))
    return function


def extension(function):
    """One that only Pillion promises."""
    EXCHANGES.append((function, True))
    return function


def frame(body):
    if isinstance(body, str):
        body = body.encode()
    return struct.pack("<I", len(body)) + body


def ping(params, more=""):
    return frame('{"in": "ping", "params": %s%s}' % (params, more))


class Client:
    def __init__(self, address):
        if address.startswith("unix:"):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(DEADLINE)
            self.sock.connect(address[5:])
        else:
            host, _, port = address.rpartition(":")
            self.sock = socket.create_connection((host.strip("[]"), int(port)), DEADLINE)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def receive_exactly(self, size):
        data = bytearray()
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            assert more, "the server closed the connection"
            data += more
        return bytes(data)

    def receive(self):
        """The body of the next reply, as it came."""
        (length,) = struct.unpack("<I", self.receive_exactly(4))
        return self.receive_exactly(length)

    def expect(self, out, result):
        reply = json.loads(self.receive())
        assert reply["out"] == out, "out is %r, not %r" % (reply["out"], out)
        assert reply["result"] == result, "result is %.200r, not %.200r" % (reply["result"], result)
        return reply

    def expect_raw(self, result, more=""):
        """A pong that holds `result`, and the members in `more`, byte for byte."""
        body = self.receive()
        wants = [('{"out":"pong","result":%s%s}' % (result, more)).encode(),
                 ('{"out": "pong", "result": %s%s}' % (result, more)).encode()]
        assert body in wants, "%r is not %r" % (body, wants[0])

    def expect_error(self, code, identity=None):
        body = self.receive()
        reply = json.loads(body)
        assert reply["out"] == "error", "%.200r is no error reply" % body
        assert reply["result"]["code"] == code, "%.200r is not %s" % (body, code)
        assert reply["result"]["message"], "an error without a message"
        assert reply.get("id") == identity, "id is %r, not %r" % (reply.get("id"), identity)

    def expect_alive(self):
        self.send(ping('"alive"'))
        self.expect("pong", "alive")

    def expect_end(self):
        while True:
            more = self.sock.recv(65536)
            if not more:
                return
            raise AssertionError("%.200r came where the end was expected" % more)


# ---- what every server of the wire does -------------------------------------------------------

VALUES = [
    "null", "true", "false", "0", "-1", "1.5", "1e3", '""', '"text"', '"\\u00fc\\n\\"\\\\"',
    '"\u00fc \u4e16\u754c \U0001f697"', "[]", "{}", "[1, [2, [3]]]", '{"a": {"b": [null]}}',
    '{"in": "ping", "params": 1}', "[" + ", ".join("%d" % n for n in range(1000)) + "]",
    '"' + "x" * 100000 + '"',
]


@exchange
def ping_gives_its_params_back(client, _):
    for value in VALUES:
        client.send(ping(value))
        client.expect("pong", json.loads(value))


@exchange
def missing_params_are_null(client, _):
    client.send(frame('{"in": "ping"}'))
    client.expect("pong", None)


@exchange
def members_come_in_any_order_with_any_white_space(client, _):
    client.send(frame(' {\n\t"params" : [ 1 ] ,\r\n "in" : "ping" } '))
    client.expect("pong", [1])


@exchange
def names_may_be_written_with_escapes(client, _):
    client.send(frame('{"\\u0069n": "p\\u0069ng", "par\\u0061ms": 7}'))
    client.expect("pong", 7)


@exchange
def other_members_are_ignored(client, _):
    client.send(frame('{"version": [1, {"in": "x"}], "in": "ping", "params": 1, "IN": "no"}'))
    client.expect("pong", 1)


@exchange
def frames_may_be_split_anywhere(client, _):
    whole = ping('{"split": "\u00fc"}')
    for at in range(1, len(whole)):
        client.send(whole[:at])
        client.send(whole[at:])
        client.expect("pong", {"split": "\u00fc"})


@exchange
def frames_may_come_byte_by_byte(client, _):
    for byte in ping("[1, 2, 3]") + ping("[4]"):
        client.send(bytes([byte]))
    client.expect("pong", [1, 2, 3])
    client.expect("pong", [4])


@exchange
def replies_come_in_the_order_of_the_requests(client, _):
    for count in (1, 2, 10, 100, 1000):
        client.send(b"".join(ping("%d" % n) for n in range(count)))
        for n in range(count):
            client.expect("pong", n)


@exchange
def pipelined_frames_may_be_cut_anywhere(client, _):
    source = random.Random(1)
    data = b"".join(ping('{"n": %d, "pad": "%s"}' % (n, "x" * (n * 7 % 301))) for n in range(300))
    at = 0
    while at < len(data):
        size = source.randint(1, 2000)
        client.send(data[at:at + size])
        at += size
    for n in range(300):
        client.expect("pong", {"n": n, "pad": "x" * (n * 7 % 301)})


@exchange
def a_client_that_shuts_its_sending_side_still_gets_its_replies(client, _):
    client.send(ping("1") + ping("2"))
    client.sock.shutdown(socket.SHUT_WR)
    client.expect("pong", 1)
    client.expect("pong", 2)
    client.expect_end()


# ---- what Pillion adds ------------------------------------------------------------------------

RAW = [
    "9007199254740993", "1e400", "0.1000000000000000055", "-0.0", "1E+2", '"\\u00FC"', '"\\/"',
    '"\\ud800"', '"\\u0000"', "[ 1 ,\t2 ]", '{"a":1,"a":2}', "12345678901234567890123456789",
]


@extension
def params_come_back_byte_for_byte(client, _):
    for value in RAW:
        client.send(ping(value))
        client.expect_raw(value)


@extension
def an_id_comes_back_byte_for_byte(client, _):
    for identity in ('1', '"a"', 'null', '-0', '1e400', '"\\u0041\\n"', '"\u00fc"',
                     '123456789012345678901234567890', '""'):
        client.send(ping("1", ', "id": ' + identity))
        client.expect_raw("1", ',"id":' + identity)


@extension
def an_id_that_is_no_id_is_an_invalid_request(client, _):
    for identity in ("true", "[]", "{}"):
        client.send(ping("1", ', "id": ' + identity))
        client.expect_error("invalid_request")
    client.expect_alive()


@extension
def errors_carry_the_id(client, _):
    client.send(frame('{"in": "there.is.none", "id": "x"}'))
    client.expect_error("method_not_found", "x")
    client.send(frame('{"id": 5, "params": 1}'))
    client.expect_error("invalid_request", 5)


@extension
def an_unknown_method_is_method_not_found(client, _):
    client.send(frame('{"in": "there.is.none"}'))
    client.expect_error("method_not_found")
    client.expect_alive()


NOT_JSON = [
    b"", b" ", b"{", b"}", b"nul", b"{]", b'{"in": "ping"', b'{"in": "ping",}', b"{'in': 'ping'}",
    b'{"in": "ping"} x', b'{"in": "ping"}{}', b'{"in": "ping", "params": 01}',
    b'{"in": "ping", "params": +1}', b'{"in": "ping", "params": .5}',
    b'{"in": "ping", "params": 1.}', b'{"in": "ping", "params": NaN}',
    b'{"in": "ping", "params": "\n"}', b'{"in": "ping", "params": "\\x"}',
    b'{"in": "ping", "params": "\xff"}', b'{"in": "ping", "params": "\xc0\x80"}',
    b'{"in": "ping", "params": "\xed\xa0\x80"}', b'\xef\xbb\xbf{"in": "ping"}',
    b'{"in": "ping", "params": ' + b"[" * 100 + b"]" * 100 + b"}", b"\0", b'{"in": "ping"}\0',
    b'{"in": "ping", "params": {"\\ud800": 1}}',
]


@extension
def invalid_json_is_a_parse_error(client, _):
    for body in NOT_JSON:
        client.send(frame(body))
        client.expect_error("parse_error")
    client.expect_alive()


INVALID = [
    "null", "1", '"ping"', "{}", '{"params": 1}', '{"in": 1}', '{"in": null}',
    '{"in": ["ping"]}', '{"In": "ping"}', '{"in": "ping", "in": "ping"}',
    '{"in": "ping", "params": 1, "params": 1}', '{"in": "ping\\u0000"}', '{"in": "\\ud800"}',
    '{"in": "ping", "\\u0069n": "ping"}',
]


@extension
def json_that_is_no_request_is_an_invalid_request(client, _):
    for body in INVALID:
        client.send(frame(body))
        client.expect_error("invalid_request")
    client.send(frame('{"in": "ping", "id": 1, "id": 1}'))
    reply = json.loads(client.receive())
    assert reply["result"]["code"] == "invalid_request", reply
    client.expect_alive()


@extension
def errors_keep_their_place_among_replies(client, _):
    client.send(ping("1") + frame("{") + ping("2") + frame('{"in": "none"}') + ping("3"))
    client.expect("pong", 1)
    client.expect_error("parse_error")
    client.expect("pong", 2)
    client.expect_error("method_not_found")
    client.expect("pong", 3)


@extension
def a_frame_of_the_largest_size_is_answered(client, args):
    around = len('{"in": "ping", "params": ""}')
    client.send(ping('"%s"' % ("x" * (args.max_frame - around))))
    client.expect("pong", "x" * (args.max_frame - around))


def refuse(client, length):
    client.send(ping('"before"') + struct.pack("<I", length))
    client.expect("pong", "before")
    client.expect_error("frame_too_large")
    client.expect_end()


@extension
def one_byte_more_than_the_largest_frame_is_refused(client, args):
    refuse(client, args.max_frame + 1)


@extension
def half_of_all_lengths_is_refused(client, _):
    refuse(client, 1 << 31)


@extension
def the_largest_length_is_refused(client, _):
    refuse(client, (1 << 32) - 1)


# ---- running ----------------------------------------------------------------------------------

def main():
    parser = argparse.ArgumentParser(description="Runs the exchanges against a server.")
    parser.add_argument("--core", action="store_true", help="leave Pillion's extensions out")
    parser.add_argument("--max-frame", type=int, default=1 << 20, metavar="BYTES")
    parser.add_argument("address", nargs="?", default="127.0.0.1:8080")
    args = parser.parse_args()
    passed = failed = 0
    for function, is_extension in EXCHANGES:
        if is_extension and args.core:
            continue
        name = function.__name__.replace("_", " ")
        try:
            with Client(args.address) as client:
                function(client, args)
            passed += 1
        except (AssertionError, OSError, ValueError, KeyError, TypeError) as error:
            failed += 1
            print("failed: %s%s: %s: %s" % (name, " (extension)" if is_extension else "",
                                            type(error).__name__, error))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed > 0 or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
