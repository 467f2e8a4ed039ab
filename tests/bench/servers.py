"""The servers that the benchmark compares: how each is started on its CPUs, which processes it has,
and how it is loaded. Everything is on loopback, below a directory that is removed, and ended by pid."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

PARAMS = '{"n":1234567}'
PING = '{"in":"ping","params":%s}' % PARAMS
HTTP = ("--as", "http", "--path", "/ping", "--request", PARAMS)
BUILD = '{"in":"build","params":{"n":1234567,"name":"pillion"}}'
START_LIMIT = 20  # seconds that any program here may take to start or to end
LOAD_LIMIT = 120  # seconds that one load may take


def raise_descriptor_limit():
    """Raises the limit on descriptors as far as it goes; servers and clients inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit in (max(hard, 65536), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return limit
        except (ValueError, OSError):
            pass
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


_next_port = 20000 + os.getpid() * 7 % 10000


def free_port():
    """A free port, below those that the system gives to clients."""
    global _next_port
    while True:
        _next_port = 20000 + (_next_port + 1 - 20000) % 12000
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", _next_port))
                return _next_port
            except OSError:
                pass


def children_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return [int(word) for word in file.read().split()]


def cpu_ns(pids):
    """CPU time of all threads that live (proc(5), schedstat)."""
    total = 0
    for pid in pids:
        for thread in os.listdir("/proc/%d/task" % pid):
            try:
                with open("/proc/%d/task/%s/schedstat" % (pid, thread)) as file:
                    total += int(file.read().split()[0])
            except FileNotFoundError:
                pass
    return total


def memory_kib(pid, field):
    """A field of smaps_rollup, such as Pss; None where this user may not look."""
    try:
        with open("/proc/%d/smaps_rollup" % pid) as file:
            found = re.search(r"^%s:\s+(\d+) kB" % field, file.read(), re.M)
            return int(found.group(1)) if found else None
    except PermissionError:
        return None


class Server:
    """A server process. `request` is what load sends it; `cpus` where all its processes run."""

    name = ""
    options = ()  # of load
    programs = ()  # that must be installed

    @classmethod
    def missing(cls):
        return [program for program in cls.programs if not shutil.which(program)]

    def __init__(self, tools, cpus):
        self.tools, self.cpus, self.port = tools, cpus, free_port()
        self.prefix = tempfile.mkdtemp(prefix="pillion-bench-")
        os.chmod(self.prefix, 0o755)  # workers read it as another user when root starts them
        self.process = None
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.end()
            raise

    def prepare(self):
        pass

    def command(self):
        raise NotImplementedError

    def path(self, *names):
        return os.path.join(self.prefix, *names)

    def start(self):
        began = time.monotonic()
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.prefix,
                preexec_fn=lambda: os.sched_setaffinity(0, self.cpus))
        deadline = time.monotonic() + START_LIMIT
        while not self.serves():
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(self.path("log")) as log:
                    raise RuntimeError("%s does not start:\n%s" % (self.name, log.read()[-2000:]))
            time.sleep(0.0005)
        self.start_ms = (time.monotonic() - began) * 1000

    def serves(self):
        try:
            self.connect().close()
            return True
        except ConnectionRefusedError:
            return False

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=START_LIMIT)

    def pids(self):
        return [self.process.pid] + children_of(self.process.pid)

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(START_LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.prefix, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def load(self, connections, in_flight, seconds, *options, cpus=None):
        """One run of the load generator; rates, CPU and latencies of it."""
        return self.load_end(self.load_begin(connections, in_flight, seconds, *options, cpus=cpus))

    def load_begin(self, connections, in_flight, seconds, *options, cpus=None):
        command = [os.path.join(self.tools, "load"), str(self.port), str(connections),
                   str(in_flight), str(seconds), "--cpu-of", ",".join(map(str, self.pids()))]
        return subprocess.Popen(command + list(self.options) + list(options), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                preexec_fn=lambda: os.sched_setaffinity(0, cpus or self.load_cpus()))

    def load_end(self, process):
        try:
            out, error = process.communicate(timeout=LOAD_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        if process.returncode != 0:
            raise RuntimeError("%s: %s" % (self.name, error.strip()[:500]))
        return result_of(json.loads(out))

    def load_cpus(self):
        """Every other CPU; all of them when the server has them all."""
        usable = os.sched_getaffinity(0)
        return usable - self.cpus or usable


def result_of(raw):
    requests = max(raw["requests"], 1)
    return {"rps": raw["requests"] / raw["seconds"], "cpu_us": raw["server_cpu_ns"] / requests / 1000,
            "busy": raw["server_cpu_ns"] / raw["seconds"] / 1e9,
            "p50_us": raw["p50_us"], "p99_us": raw["p99_us"]}


class RawEcho(Server):
    name = "bare epoll echo"
    options = ("--request", PING)

    def command(self):
        return [os.path.join(self.tools, "raw_echo"), str(self.port)]


class RawCjson(Server):
    name = "bare epoll with cJSON"
    options = ("--request", BUILD)

    def command(self):
        return [os.path.join(self.tools, "raw_cjson"), str(self.port)]


class Redis(Server):
    name = "Redis PING"
    programs = ("redis-server",)
    options = ("--raw-request", "*1\r\n$4\r\nPING\r\n", "--reply-size", "7")

    def command(self):
        return [shutil.which("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1",
                "--protected-mode", "no", "--save", "", "--appendonly", "no",
                "--daemonize", "no", "--dir", self.prefix]


class Nginx(Server):
    """Answers what `POST /ping` is answered here, without having read the body."""

    name = "nginx `return 200`"
    programs = ("nginx",)
    options = HTTP

    def prepare(self):
        temporary = "".join("%s_temp_path %s;\n" % (kind, self.path(kind)) for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(self.path("nginx.conf"), "w") as file:
            file.write("worker_processes 1; daemon off; pid %s;\n"
                       "events { worker_connections 1000; }\n"
                       "http { access_log off; keepalive_requests 1000000000; %s"
                       "default_type application/json;\n"
                       "server { listen 127.0.0.1:%d; return 200 '%s'; } }\n"
                       % (self.path("pid"), temporary, self.port, PARAMS))

    def command(self):
        return [shutil.which("nginx"), "-p", self.prefix, "-e", self.path("error.log"),
                "-c", self.path("nginx.conf")]


class PythonServer(Server):
    name = "the Python teaching server"
    options = ("--request", PING, "--warm-up", "0.5")

    def command(self):
        return ["python3", os.path.join(os.path.dirname(__file__), "../interop/server.py"),
                "127.0.0.1:%d" % self.port]


class Pillion(Server):
    """The server of the build, with its defaults; `main` and `server` are added to its
    configuration. All its processes run on `cpus`."""

    name = "Pillion"
    options = ("--request", PING)

    def __init__(self, tools, cpus, workers=1, main="", server="", bare=False):
        self.workers, self.main, self.server_part, self.bare = workers, main, server, bare
        self.binary = os.path.join(tools, "../../pillion")
        super().__init__(tools, cpus)

    def prepare(self):
        for name in ("conf", "modules", "run"):
            os.mkdir(self.path(name))
        for module in ("modules/ping.so", "modules/rpc.so", "tests/bench/build.so"):
            shutil.copy(os.path.join(self.tools, "../..", module), self.path("modules"))
        loaded = {"ping": "ping"} if self.bare else \
            {"ping": "ping", "build": "build", "rpc": "rpc.stats"}
        with open(self.path("conf/pillion.conf"), "w") as file:
            file.write("worker_processes %d;\n%s\n%s\nserver {\n    listen 127.0.0.1:%d;\n%s\n%s\n}\n"
                       % (self.workers, self.main,
                          "\n".join("load_module modules/%s.so;" % module for module in loaded),
                          self.port,
                          "\n".join("    method %s;" % method for method in loaded.values()),
                          self.server_part))

    def command(self):
        return [self.binary, "-p", self.prefix]

    def serves(self):
        try:
            return self.call("ping", 1) == 1
        except (ConnectionError, FileNotFoundError):
            return False

    def call(self, method, params=None):
        with self.connect() as sock:
            return ask(sock, method, params)

    def order(self, verb):
        subprocess.run([self.binary, "-p", self.prefix, "-s", verb], check=True,
                       capture_output=True, timeout=START_LIMIT)

    def pids_of(self, kind):
        """Processes by their title: master, vault or worker."""
        found = []
        for pid in self.pids():
            with open("/proc/%d/cmdline" % pid) as file:
                if file.read().startswith("pillion: " + kind):
                    found.append(pid)
        return found


class PillionBuild(Pillion):
    name = "Pillion, a method with cJSON"
    options = ("--request", BUILD)


def ask(sock, method, params=None):
    """One call over a connection: its result."""
    body = json.dumps({"in": method, "params": params}).encode()
    sock.sendall(struct.pack("<I", len(body)) + body)
    header = sock.recv(4, socket.MSG_WAITALL)
    if len(header) < 4:
        raise ConnectionResetError("the server has closed the connection")
    size, parts = struct.unpack("<I", header)[0], []
    while size > 0:  # a socket with a timeout does not wait for all
        parts.append(sock.recv(size))
        if not parts[-1]:
            raise ConnectionResetError("the server has closed the connection")
        size -= len(parts[-1])
    return json.loads(b"".join(parts))["result"]
