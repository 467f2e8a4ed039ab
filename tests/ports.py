"""Ports of the loopback for servers of tests.

They are below those that outgoing connections get (ip_local_port_range of ip(7)). Other tests may
run at the same time: as long as this process lives, UDP sockets mark its ports as taken, as those of
e2e/harness_server.c do. They are of an address of their own (tests/ports.h): servers of tests may speak
UDP themselves.

    python3 tests/ports.py COUNT    prints the first, and keeps them until it is ended
"""

import contextlib
import os
import signal
import socket
import sys

FIRST, COUNT = 20000, 12000
marks = []


def take(port):
    """Marks the port. False when it is marked, or somebody has it."""
    mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        mark.bind(("127.0.0.3", port))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        mark.close()
        return False
    marks.append(mark)
    return True


def free_ports(count=1):
    """The first of `count` ports in a row."""
    for number in range(COUNT):
        first = FIRST + (os.getpid() * 7919 + number) % (COUNT - count)
        had = len(marks)
        if all(take(port) for port in range(first, first + count)):
            return first
        while len(marks) > had:
            marks.pop().close()
    raise RuntimeError("no ports are free")


if __name__ == "__main__":
    print(free_ports(int(sys.argv[1])), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
