"""What real servers do with a registry of a thousand: for registry.py. A host that registers itself,
through a relay that counts; and a gateway whose workers see all of the instances."""

import base64
import json
import os
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time

PREFIX, LATE = "/pillion/shop", "/pillion/late"
TTL = 10


def b64(data):
    return base64.b64encode(data.encode()).decode()


def sample_record():
    """A record of the usual size, for where no server can be asked for its own."""
    schema = {"type": "object", "properties": {"id": {"type": "integer", "minimum": 0},
                                               "name": {"type": "string", "maxLength": 40}}, "required": ["id"]}
    methods = [{"name": "shop.method%d" % i, "summary": "One of the methods of a shop.", "params": schema,
                "result": schema, "idempotent": i % 2 == 0} for i in range(8)]
    methods.append({"name": "ping", "summary": "Answers with its params.", "idempotent": True})
    return {"address": "", "methods": methods, "generation": 1, "version": "0.1.0", "weight": 100,
            "started": "2026-01-01T00:00:00.000Z"}


class Relay(threading.Thread):
    """Between a server and etcd: counts connections and bytes."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.to, self.connections, self.bytes, self.over = port, 0, 0, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ, None)
        self.start()

    def run(self):
        while not self.over:
            for key, _ in self.selector.select(0.2):
                if key.fileobj is self.listener:
                    self.accept()
                else:
                    self.pass_on(key.fileobj, key.data)

    def accept(self):
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.to))
        self.connections += 1
        self.selector.register(client, selectors.EVENT_READ, server)
        self.selector.register(server, selectors.EVENT_READ, client)

    def pass_on(self, one, other):
        try:
            data = one.recv(1 << 20)
        except OSError:
            data = b""
        if data:
            self.bytes += len(data)
            other.sendall(data)
            return
        for sock in (one, other):
            self.selector.unregister(sock)
            sock.close()


class Server:
    """A Pillion with a configuration."""

    def __init__(self, build, configuration):
        self.build, self.prefix = os.path.abspath(build), tempfile.mkdtemp(prefix="pillion-registry-")
        os.chmod(self.prefix, 0o755)
        for name in ("conf", "run"):
            os.mkdir(os.path.join(self.prefix, name))
        os.chmod(os.path.join(self.prefix, "run"), 0o777)
        os.symlink(os.path.join(self.build, "modules"), os.path.join(self.prefix, "modules"))
        with open(os.path.join(self.prefix, "conf/pillion.conf"), "w") as file:
            file.write("error_log run/error.log info; load_module modules/ping.so;\n" + configuration)
        self.process = subprocess.Popen([os.path.join(self.build, "pillion"), "-p", self.prefix],
                                        stderr=subprocess.DEVNULL, start_new_session=True)

    def children(self, role):
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as file:
            pids = [int(p) for p in file.read().split()]
        return [p for p in pids if open("/proc/%d/cmdline" % p).read().startswith("pillion: " + role)]

    def call(self, port, method):
        done = subprocess.run([os.path.join(self.build, "pillion"), "call", "--server", "127.0.0.1:%d" % port, method],
                              capture_output=True, text=True)
        return done.returncode == 0

    def wait(self, condition, what):
        until = time.monotonic() + 30
        while not condition():
            if time.monotonic() > until:
                with open(os.path.join(self.prefix, "run/error.log")) as file:
                    raise SystemExit("after 30 s, %s\n%s" % (what, file.read()[-3000:]))
            time.sleep(0.01)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        shutil.rmtree(self.prefix)


def cpu(pid):
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def private(pid):
    with open("/proc/%d/smaps_rollup" % pid) as file:
        return sum(int(l.split()[1]) for l in file if l.startswith("Private_")) * 1024


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return 20000 + sock.getsockname()[1] % 10000


class Frames:
    """A client over one connection."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port))

    def ask(self, method):
        body = json.dumps({"in": method}).encode()
        self.sock.sendall(len(body).to_bytes(4, "little") + body)
        size = int.from_bytes(self.take(4), "little")
        return b'"error"' not in self.take(size)[:20]

    def take(self, size):
        data = b""
        while len(data) < size:
            data += self.sock.recv(size - len(data))
        return data


def can(build):
    return os.path.exists(os.path.join(build, "registry.so"))


def registry_block(url, prefix):
    return "registry etcd %s { prefix %s; ttl %ds; }\n" % (url, prefix, TTL)


def host(build, etcd, found):
    """A server that registers itself and does nothing else."""
    relay, port = Relay(etcd.port), free_port()
    server = Server(build, "worker_processes 1;\n" + registry_block(relay.url, "/pillion/real") +
                    "server { listen 127.0.0.1:%d; register 127.0.0.1:%d; method ping; }\n" % (port, port))
    try:
        key = b64("/pillion/real/127.0.0.1:%d" % port)
        server.wait(lambda: json.loads(etcd.ask("kv/range", {"key": key})).get("kvs"), "it is not registered")
        time.sleep(3)
        before, connections, since = relay.bytes, relay.connections, time.monotonic()
        pid = server.children("registry")[0]
        spent = cpu(pid)
        time.sleep(2 * TTL)
        took = time.monotonic() - since
        found.update(host_bytes_s=(relay.bytes - before) / took, host_connections=connections,
                     host_cpu=(cpu(pid) - spent) / took, registry_private=private(pid))
    finally:
        server.end()
        relay.over = True


def gateway(build, etcd, port, watched):
    return Server(build, "worker_processes 2;\n" + registry_block(etcd.url, "/pillion/gateway") +
                  "load_module modules/proxy.so { upstream registry:%s; }\n"
                  "server { listen 127.0.0.1:%d; proxy_method ping { idempotent on; }\n"
                  "proxy_method late registry:%s { to ping; } }\n" % (watched, port, LATE))


def measure(build, etcd, instances, upstream_port, put):
    """`instances` are registered below PREFIX, at addresses of loopback and `upstream_port`. `put` changes the
    record of one."""
    found = {}
    host(build, etcd, found)
    upstream = Server(build, "worker_processes 1; worker_connections 8000;\n"
                             "server { listen 0.0.0.0:%d; method ping; }\n" % upstream_port)
    ports = free_port(), free_port()
    empty = gateway(build, etcd, ports[0], "/pillion/none")
    full = gateway(build, etcd, ports[1], PREFIX)
    try:
        full.wait(lambda: full.call(ports[1], "ping"), "nothing is answered")
        time.sleep(2)
        clients = [Frames(ports[1]) for _ in range(20)]
        for client in clients:
            for _ in range(200):
                client.ask("ping")
        time.sleep(1)
        views(found, empty, full, upstream, instances)
        changes(found, full, put)
        late(found, etcd, ports[1], upstream_port)
    finally:
        for server in (upstream, empty, full):
            server.end()
    return told(found)


def views(found, empty, full, upstream, instances):
    def of(server, role):
        return statistics.mean(private(p) for p in server.children(role))
    found["worker_bytes"] = (of(full, "worker") - of(empty, "worker")) / instances
    found["registry_bytes"] = (of(full, "registry") - of(empty, "registry")) / instances
    found["upstream_connections"] = sum(len(os.listdir("/proc/%d/fd" % p)) for p in upstream.children("worker")) - 16


def changes(found, full, put):
    """What a change costs the registry process and the workers: of all of them, a worker."""
    registry, workers = full.children("registry")[0], full.children("worker")
    time.sleep(1)
    before = cpu(registry), sum(cpu(w) for w in workers)
    for _ in range(100):
        put()
        time.sleep(0.05)
    time.sleep(1)
    found["registry_change_us"] = (cpu(registry) - before[0]) / 100 * 1e6
    found["worker_change_us"] = (sum(cpu(w) for w in workers) - before[1]) / 100 / len(workers) * 1e6


def late(found, etcd, port, upstream_port):
    """From the put of a service's only instance to the first call that it answers."""
    client, times = Frames(port), []
    address = "127.3.0.1:%d" % upstream_port
    key = b64("%s/%s" % (LATE, address))
    value = b64(json.dumps(dict(sample_record(), address=address)))
    for _ in range(20):
        etcd.ask("kv/put", {"key": key, "value": value})
        since = time.monotonic()
        wait_asked(client, True)
        times.append((time.monotonic() - since) * 1000)
        etcd.ask("kv/deleterange", {"key": key})
        wait_asked(client, False)
    found["use_ms"], found["use_worst_ms"] = statistics.median(times), max(times)


def wait_asked(client, wanted):
    until = time.monotonic() + 30
    while client.ask("late") != wanted:
        if time.monotonic() > until:
            raise SystemExit("after 30 s, a server that has %s is %sused" % (
                ("come", "not ") if wanted else ("gone", "still ")))
        time.sleep(0.001)


def told(found):
    def size(n):
        return "%.0f KB" % (n / 1000) if n >= 10000 else "%.0f B" % n
    found["rows"] = [
        ("a real server that registers itself: traffic a second", size(found["host_bytes_s"])),
        ("the same: connections to etcd", "%d" % found["host_connections"]),
        ("the same: memory of its registry process", size(found["registry_private"])),
        ("the same: processor of its registry process", "%.2f %%" % (found["host_cpu"] * 100)),
        ("a server that knows all: memory of its registry process, for an instance", size(found["registry_bytes"])),
        ("the same: memory of a worker with `proxy`, for an instance", size(found["worker_bytes"])),
        ("the same: processor time of its registry process for a change", "%.1f ms" % (found["registry_change_us"] / 1000)),
        ("the same: processor time of a worker for a change", "%.1f ms" % (found["worker_change_us"] / 1000)),
        ("the same: connections of 2 workers to all of the instances", "%d" % found["upstream_connections"]),
        ("from the put of a record to the first call of that server, median (worst)", "%.0f ms (%.0f ms)" % (
            found["use_ms"], found["use_worst_ms"])),
    ]
    return found
