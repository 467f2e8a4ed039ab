"""Methods that wait: for a timer, in a thread, for Redis, for PostgreSQL; and the latency of `ping` on the
same worker meanwhile."""

import glob
import json
import os
import pwd
import shutil
import signal
import statistics
import subprocess
import time

import servers
from servers import Pillion

LOADS = ((1, 1), (1, 64), (20, 50))  # connections, calls in flight on each
REDIS_LOADS = ((1, 1), (64, 1), (1000, 1), (1, 64), (20, 50))
ROUNDS = 5
SECONDS = 2
METHODS = (("wait", '{"ms":10}'), ("nap", '{"ms":10}'), ("kv.get", '{"key":"a"}'),
           ("user.get", '{"id":1}'))


class Postgres:
    """A PostgreSQL below `prefix`; it refuses to run as root."""

    def __init__(self, prefix):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        self.bin = found[-1] if found else ""
        self.data, self.port = os.path.join(prefix, "pg"), servers.free_port()
        os.mkdir(self.data)
        self.user = pwd.getpwnam("postgres") if os.getuid() == 0 else None
        if self.user:
            os.chown(self.data, self.user.pw_uid, self.user.pw_gid)
        self.run("initdb", "-D", self.data + "/db", "-U", "bench", "-A", "trust", "-N").wait()
        self.process = self.run("postgres", "-D", self.data + "/db", "-p", str(self.port),
                                "-h", "127.0.0.1", "-k", self.data)
        deadline = time.monotonic() + servers.START_LIMIT
        while self.sql("create table if not exists users (id int primary key, name text)") != 0:
            if time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL does not start")
            time.sleep(0.1)
        self.sql("insert into users select i, 'user ' || i from generate_series(1, 1000) i")

    @staticmethod
    def missing():
        return not glob.glob("/usr/lib/postgresql/*/bin")

    def become(self):
        if self.user:
            os.setgroups([])
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)

    def run(self, program, *arguments):
        return subprocess.Popen([os.path.join(self.bin, program), *arguments], cwd="/",
                                preexec_fn=self.become, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def sql(self, text):
        return self.run("psql", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "bench", "-c", text,
                        "postgres").wait()

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


class Waiting(Pillion):
    """One worker with the modules that wait, and the servers that they talk to, which have the other
    CPUs."""

    def prepare(self):
        super().prepare()
        build = os.path.join(self.tools, "../..")
        others = os.sched_getaffinity(0) - self.cpus or os.sched_getaffinity(0)
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, others)
        self.redis = servers.Redis(self.tools, others)
        self.postgres = None if Postgres.missing() else Postgres(self.prefix)
        os.sched_setaffinity(0, before)
        subprocess.run(["redis-cli", "-p", str(self.redis.port), "set", "a", "hello"], check=True,
                       stdout=subprocess.DEVNULL)
        for module in ("tests/modules/later.so", "modules/redis.so", "modules/postgres.so"):
            shutil.copy(os.path.join(build, module), self.path("modules"))
        with open(self.path("conf/pillion.conf"), "w") as file:
            file.write("worker_processes 1;\nload_module modules/ping.so;\n"
                       "load_module modules/later.so;\n"
                       "load_module modules/redis.so { server 127.0.0.1:%d; }\n" % self.redis.port)
            if self.postgres:
                file.write('load_module modules/postgres.so { conninfo "hostaddr=127.0.0.1 port=%d '
                           'user=bench dbname=postgres"; }\n' % self.postgres.port)
            file.write("server {\n    listen 127.0.0.1:%d; method ping; method wait; method nap;\n"
                       "    method kv.get { handler redis.command; command GET $key; }\n" % self.port)
            if self.postgres:
                file.write('    method user.get { handler postgres.query; params id:int; returns row;\n'
                           '        sql "select id, name from users where id = $1"; }\n')
            file.write("}\n")

    def end(self):
        super().end()
        if getattr(self, "redis", None):
            self.redis.end()
        if getattr(self, "postgres", None):
            self.postgres.end()

    def on_load_cpus(self, first=False):
        """For a load's process; `first`: before all others there, where that is allowed, because it is
        to measure the server and not how busy the load's CPU is."""
        os.sched_setaffinity(0, self.load_cpus())
        if first:
            try:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
            except PermissionError:
                pass

    def bench(self, connections, in_flight, seconds, *rest, first=False):
        command = [self.binary, "bench", "--server", "127.0.0.1:%d" % self.port, "--json", "--id",
                   "-c", str(connections), "-P", str(in_flight), "-d", str(seconds), *rest]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                preexec_fn=lambda: self.on_load_cpus(first))

    def report(self, process):
        out, error = process.communicate(timeout=servers.LOAD_LIMIT)
        if process.returncode != 0:
            raise RuntimeError("pillion bench: " + error.strip()[:500])
        return json.loads(out)


def redis_benchmark(server, connections, in_flight):
    """The result of Redis's own load generator, from the same CPUs. About a second of it."""
    count = 1500000 if in_flight > 1 else 100000 if connections > 1 else 12000
    out = subprocess.run(
        ["redis-benchmark", "-p", str(server.redis.port), "-c", str(connections), "-P", str(in_flight),
         "-n", str(count), "--csv", "get", "a"],
        capture_output=True, text=True, timeout=servers.LOAD_LIMIT,
        preexec_fn=lambda: os.sched_setaffinity(0, server.load_cpus())).stdout
    return float(out.strip().splitlines()[-1].split(",")[1].strip('"'))


def ping_p99(server):
    """Latencies of a client that asks five hundred times a second, in microseconds."""

    load = server.bench(1, 16, SECONDS * 0.7, "--rate", "500", "ping", first=True)
    return server.report(load)["latency_us"]["p99"]


def beside(server, method, params, load):
    """A method under load, and `ping` meanwhile."""
    pending = server.bench(*load, SECONDS, method, params)
    time.sleep(SECONDS * 0.1)
    ping = ping_p99(server)
    report = server.report(pending)
    if report["errors"]:
        raise RuntimeError("%s: %d errors" % (method, report["errors"]))
    return {"rps": report["requests_per_second"], "p50_us": report["latency_us"]["p50"],
            "p99_us": report["latency_us"]["p99"], "ping_p99_us": ping}


def medians(rows):
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def measure_methods(run):
    """Each method at each load, and `ping` alone, in turns: this machine's own noise is as large as what
    is to be seen, and comes and goes."""
    alone, rows = [], {}
    with Waiting(run.tools, run.cpus) as server:
        time.sleep(0.5)  # the modules' connections
        for _ in range(ROUNDS):
            alone.append(ping_p99(server))
            for method, params in METHODS:
                if method == "user.get" and not server.postgres:
                    continue
                for load in LOADS:
                    row = beside(server, method, params, load)
                    rows.setdefault(method, {}).setdefault("%d,%d" % load, []).append(row)
    return {"ping_alone": statistics.median(alone),
            "methods": {method: {load: medians(found) for load, found in loads.items()}
                        for method, loads in rows.items()}}


def measure_redis(run):
    """`kv.get` and redis-benchmark in turns, nobody bound to a CPU: redis-benchmark on one CPU with Redis
    would need no wake-up across CPUs, which is no server's life."""
    found = {}
    with Waiting(run.tools, os.sched_getaffinity(0)) as server:
        time.sleep(0.5)
        for _ in range(ROUNDS):
            for load in REDIS_LOADS:
                report = server.report(server.bench(*load, SECONDS * 0.5, "kv.get", '{"key":"a"}'))
                row = {"kv_get": report["requests_per_second"],
                       "redis_benchmark": redis_benchmark(server, *load)}
                row["ratio"] = row["kv_get"] / row["redis_benchmark"]
                found.setdefault("%d,%d" % load, []).append(row)
    return {load: medians(rows) for load, rows in found.items()}


def measure(run):
    return {**measure_methods(run), "redis": measure_redis(run)}
