#!/usr/bin/env python3
"""`make bench-registry`: what a registry with a thousand servers costs, and what that makes of ten thousand.

    python3 tests/bench/registry.py --build build [--instances 1000] [--seconds 10] [--write]

One etcd of Debian's, with instances that do what `pillion: registry` does: one connection each, a
lease, a record of the real size, and a keepalive every third of the TTL; and watchers, a connection
each. What one real server sends is counted by a relay between it and etcd. Prints what was measured,
and what registry_plan.py makes of it; --write puts both into docs/scale.md.
"""

import argparse
import asyncio
import base64
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

import registry_plan
import registry_real

TTL = 10
PREFIX = "/pillion/shop"
TICK = os.sysconf("SC_CLK_TCK")


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


class Process:
    """What /proc knows of a process."""

    def __init__(self, pid):
        self.pid = pid

    def cpu(self):
        with open("/proc/%d/stat" % self.pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self, what="Rss"):
        with open("/proc/%d/smaps_rollup" % self.pid) as file:
            return sum(int(l.split()[1]) for l in file if l.startswith(what + ":")) * 1024

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))


class Etcd:
    def __init__(self, port):
        self.port, self.url = port, "http://127.0.0.1:%d" % port
        self.directory = tempfile.mkdtemp(prefix="pillion-registry-")
        peer = "http://127.0.0.1:%d" % (port + 1)
        self.process = subprocess.Popen(
            ["etcd", "--data-dir", self.directory, "--listen-client-urls", self.url, "--advertise-client-urls",
             self.url, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster",
             "default=" + peer, "--log-level", "error"], stderr=open(os.path.join(self.directory, "log"), "w"),
            start_new_session=True)
        self.seen = Process(self.process.pid)
        until = time.monotonic() + 30
        while True:
            try:
                self.ask("maintenance/status", {})
                break
            except OSError:
                if time.monotonic() > until:
                    sys.exit("etcd does not start")
                time.sleep(0.05)

    def ask(self, path, body):
        request = urllib.request.Request(self.url + "/v3/" + path, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def version(self):
        return json.loads(self.ask("maintenance/status", {}))["version"]

    def end(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory)


class Connection(asyncio.Protocol):
    """A client's: requests one after the other, answers by Content-Length or in chunks."""

    def __init__(self):
        self.data, self.waiting, self.sent, self.received = b"", None, 0, 0
        self.turn = asyncio.Lock()

    def connection_made(self, transport):
        self.transport = transport

    def write(self, path, body):
        # As libcurl has it, with the fields that the server's own client sets.
        head = "POST /v3/%s HTTP/1.1\r\nHost: 127.0.0.1:2379\r\nAccept: */*\r\nContent-Type: application/json\r\n" \
               "Content-Length: %d\r\n\r\n" % (path, len(body))
        self.sent += len(head) + len(body)
        self.transport.write(head.encode() + body.encode())

    async def ask(self, path, body):
        async with self.turn:
            self.waiting = asyncio.get_running_loop().create_future()
            self.write(path, json.dumps(body, separators=(",", ":")))
            return await self.waiting

    def data_received(self, data):
        self.received += len(data)
        self.data += data
        head, end, rest = self.data.partition(b"\r\n\r\n")
        if not end or not self.waiting or self.waiting.done():
            return
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if length and len(rest) >= int(length[1]) or not length and rest.endswith(b"0\r\n\r\n"):
            self.data = b""
            waiting, self.waiting = self.waiting, None
            waiting.set_result(rest if length else self.body(rest))

    @staticmethod
    def body(chunks):
        body = b""
        while chunks:
            size, _, chunks = chunks.partition(b"\r\n")
            body, chunks = body + chunks[:int(size, 16)], chunks[int(size, 16) + 2:]
        return body


class Watcher(Connection):
    """Counts the events that come."""

    MARK = b'"mod_revision"'

    def begin(self, told):
        self.told, self.events, self.tail = told, 0, b""
        self.write("watch", json.dumps({"create_request": {"key": b64(PREFIX + "/"), "range_end": b64(PREFIX + "0")}}))

    def data_received(self, data):
        self.received += len(data)
        data = self.tail + data
        found = data.count(self.MARK)
        self.tail = data[-len(self.MARK) + 1:]
        if b"}" in data:
            self.told(self, found)


async def connect(etcd, kind):
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(kind, "127.0.0.1", etcd.port))[1]


UPSTREAM_PORT = registry_real.free_port()


def address(number):
    """Of the instance: an address of loopback, so that a real server can be there."""
    return "127.1.%d.%d:%d" % (number // 250, number % 250 + 1, UPSTREAM_PORT)


class Instance:
    """Does what a server's registry process does."""

    def __init__(self, number, record):
        self.key = "%s/%s" % (PREFIX, address(number))
        self.record, self.generation = dict(record, address=address(number)), 0

    async def register(self, etcd):
        self.connection = await connect(etcd, Connection)
        granted = json.loads(await self.connection.ask("lease/grant", {"TTL": str(TTL)}))
        self.lease = granted["ID"]
        await self.put()

    async def put(self):
        """The record, as after another reload: it is never the same, nor is its weight."""
        self.generation += 1
        record = dict(self.record, generation=self.generation, weight=100 + self.generation % 2)
        self.value = json.dumps(record, separators=(",", ":"))
        await self.connection.ask("kv/put", {"key": b64(self.key), "value": b64(self.value), "lease": self.lease})

    async def keep(self, first, counts):
        await asyncio.sleep(first)
        while True:
            before = self.connection.sent + self.connection.received
            await self.connection.ask("lease/keepalive", {"ID": self.lease})
            counts["keepalives"] += 1
            counts["bytes"] += self.connection.sent + self.connection.received - before
            await asyncio.sleep(TTL / 3)


class Bench:
    def __init__(self, args, etcd, record):
        self.args, self.etcd, self.record, self.found = args, etcd, record, {}
        self.counts = {"keepalives": 0, "bytes": 0}

    async def alone(self):
        await asyncio.sleep(2)
        self.found["etcd_alone_bytes"] = self.etcd.seen.memory()
        before = self.etcd.seen.cpu()
        await asyncio.sleep(5)
        self.found["etcd_alone_cpu"] = (self.etcd.seen.cpu() - before) / 5

    async def grow(self):
        """To the full number in three steps: whether the cost of keeping them grows with their number."""
        self.instances, self.keepers, self.found["hold"] = [], [], []
        for number in (self.args.instances // 10, self.args.instances // 3, self.args.instances):
            await self.register(number)
            await self.hold()

    async def register(self, number):
        new = [Instance(i, self.record) for i in range(len(self.instances), number)]
        before = self.etcd.seen.cpu()
        for i in range(0, len(new), 50):
            await asyncio.gather(*(one.register(self.etcd) for one in new[i:i + 50]))
        self.found["record_bytes"] = len(new[0].value)
        self.found["register_cpu_us"] = (self.etcd.seen.cpu() - before) / len(new) * 1e6
        self.found["register_bytes"] = sum(i.connection.sent + i.connection.received for i in new) / len(new)
        self.instances += new
        self.keepers += [asyncio.ensure_future(one.keep(TTL / 3 * i / len(new), self.counts))
                         for i, one in enumerate(new)]

    async def hold(self):
        await asyncio.sleep(TTL / 3)
        count, size, before, since = *self.counts.values(), self.etcd.seen.cpu(), time.monotonic()
        await asyncio.sleep(self.args.seconds)
        took, number = time.monotonic() - since, self.counts["keepalives"] - count
        self.keepalive_cpu = (self.etcd.seen.cpu() - before) / took
        self.found["hold"].append([len(self.instances), self.keepalive_cpu])
        self.found["keepalive_cpu_us"] = (self.keepalive_cpu - self.found["etcd_alone_cpu"]) * took / number * 1e6
        self.found["keepalive_bytes"] = (self.counts["bytes"] - size) / number
        self.found["instance_bytes"] = (self.etcd.seen.memory() - self.found["etcd_alone_bytes"]) / len(self.instances)

    async def watch(self):
        self.found["watch"] = []
        for number in [n for n in (1, 10, 100, 1000) if n <= max(1, self.args.watchers)]:
            self.found["watch"].append(await self.fan_out(number))

    async def fan_out(self, number):
        memory = self.etcd.seen.memory()
        left, done = number, asyncio.Event()

        def told(watcher, found):
            nonlocal left
            if watcher.events == 0 and not found and not watcher.created:
                found, watcher.created = 1, True  # the word that the watch is there
            left -= found
            if left == 0:
                done.set()

        watchers = [await connect(self.etcd, Watcher) for _ in range(number)]
        for watcher in watchers:
            watcher.created = False
            watcher.begin(told)
        await asyncio.wait_for(done.wait(), 60)
        await asyncio.sleep(1)
        memory = self.etcd.seen.memory() - memory
        received = sum(w.received for w in watchers)
        changes, times = max(5, min(100, 2000 // number)), []
        cpu, since = self.etcd.seen.cpu(), time.monotonic()
        for i in range(changes):
            done.clear()
            left, began = number, time.monotonic()
            await self.instances[i % len(self.instances)].put()
            await asyncio.wait_for(done.wait(), 60)
            times.append(time.monotonic() - began)
        took = time.monotonic() - since
        cpu = self.etcd.seen.cpu() - cpu - self.keepalive_cpu * took
        received = sum(w.received for w in watchers) - received
        for watcher in watchers:
            watcher.transport.abort()
        await asyncio.sleep(1)
        times.sort()
        return {"watchers": number, "median_ms": times[len(times) // 2] * 1000, "worst_ms": times[-1] * 1000,
                "cpu_us": cpu / changes / number * 1e6, "bytes": received / changes / number,
                "watcher_bytes": memory / number}

    async def snapshot(self):
        connection = await connect(self.etcd, Connection)
        body = {"key": b64(PREFIX + "/"), "range_end": b64(PREFIX + "0")}
        cpu, times, received = self.etcd.seen.cpu(), [], connection.received
        since = time.monotonic()
        for _ in range(5):
            began = time.monotonic()
            await connection.ask("kv/range", body)
            times.append(time.monotonic() - began)
        spent = self.etcd.seen.cpu() - cpu - self.keepalive_cpu * (time.monotonic() - since)
        self.found["snapshot_bytes"] = (connection.received - received) / 5 / len(self.instances)
        self.found["snapshot_cpu_us"] = spent / 5 / len(self.instances) * 1e6
        self.found["snapshot_ms"] = sorted(times)[2] * 1000

    async def real(self):
        loop = asyncio.get_running_loop()
        turn = iter(range(10 ** 9))

        def put():
            one = self.instances[next(turn) % len(self.instances)]
            asyncio.run_coroutine_threadsafe(one.put(), loop).result(30)

        self.found["real"] = await loop.run_in_executor(None, registry_real.measure, self.args.build, self.etcd,
                                                        len(self.instances), UPSTREAM_PORT, put)

    async def run(self):
        for step in (self.alone, self.grow, self.watch, self.snapshot):
            await step()
            print("%s is done" % step.__name__, file=sys.stderr, flush=True)
        if self.args.real and registry_real.can(self.args.build):
            await self.real()
        self.found["etcd_bytes"] = self.etcd.seen.memory()
        self.found["etcd_descriptors"] = self.etcd.seen.descriptors()
        return self.found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--watchers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", help="keeps what was measured in this file")
    parser.add_argument("--from", dest="source", help="of such a file, in place of measuring")
    parser.add_argument("--write", action="store_true", help="writes the chapter of docs/scale.md")
    parser.add_argument("--etcd-alone", dest="real", action="store_false", help="without real servers")
    args = parser.parse_args()
    if args.source:
        with open(args.source) as file:
            found = json.load(file)
    else:
        found = measured(args)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(found, file, indent=1)
    print("\n".join(registry_plan.told(found)))
    if args.write:
        registry_plan.write(found)


def measured(args):
    if shutil.which("etcd") is None:
        sys.exit("skipped: the registry's bench: there is no etcd (apt-get install etcd-server)")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    etcd = Etcd(20000 + os.getpid() % 5000 * 2)
    try:
        found = asyncio.run(Bench(args, etcd, registry_real.sample_record()).run())
        found.update(etcd_version=etcd.version(), instances=args.instances, machine=registry_plan.machine())
        return found
    finally:
        etcd.end()


if __name__ == "__main__":
    main()
