"""Methods that wait: for a timer, in a thread, for Redis, for PostgreSQL; and what `ping` on the same worker
notices of it."""

import glob
import json
import os
import pwd
import shutil
import signal
import subprocess
import time

import servers
from servers import Pillion

LOADS = ((1, 1), (1, 64), (20, 50))  # connections, calls in flight on each
SECONDS = 2
METHODS = (("wait", '{"ms":10}'), ("nap", '{"ms":10}'), ("kv.get", '{"key":"a"}'),
           ("user.get", '{"id":1}'))


class Postgres:
    """A PostgreSQL of its own, below `prefix`; it refuses to be root's."""

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
    """What Redis's own load generator gets, from the same place."""
    out = subprocess.run(
        ["redis-benchmark", "-p", str(server.redis.port), "-c", str(connections), "-P", str(in_flight),
         "-n", str(max(20000, 2000 * connections * in_flight)), "--csv", "get", "a"],
        capture_output=True, text=True, timeout=servers.LOAD_LIMIT,
        preexec_fn=lambda: os.sched_setaffinity(0, server.load_cpus())).stdout
    return float(out.strip().splitlines()[-1].split(",")[1].strip('"'))


def ping_p99(server):
    """Of a client that asks five hundred times a second, in microseconds."""
    load = server.bench(1, 16, SECONDS * 0.7, "--rate", "500", "ping", first=True)
    return server.report(load)["latency_us"]["p99"]


def measure(run):
    found = {"methods": {}, "redis_benchmark": {}}
    with Waiting(run.tools, run.cpus) as server:
        time.sleep(0.5)  # the modules' connections
        found["ping_alone"] = ping_p99(server)
        for method, params in METHODS:
            if method == "user.get" and not server.postgres:
                continue
            rows = found["methods"][method] = {}
            for load in LOADS:
                pending = server.bench(*load, SECONDS, method, params)
                time.sleep(SECONDS * 0.1)
                ping = ping_p99(server)
                report = server.report(pending)
                if report["errors"]:
                    raise RuntimeError("%s: %d errors" % (method, report["errors"]))
                rows["%d,%d" % load] = {"rps": report["requests_per_second"],
                                        "p50_us": report["latency_us"]["p50"],
                                        "p99_us": report["latency_us"]["p99"],
                                        "ping_p99_us": ping}
        for load in LOADS + ((64, 1),):
            found["redis_benchmark"]["%d,%d" % load] = redis_benchmark(server, *load)
        pending = server.bench(64, 1, SECONDS, "kv.get", '{"key":"a"}')
        found["methods"]["kv.get"]["64,1"] = {
            "rps": server.report(pending)["requests_per_second"]}
    return found
