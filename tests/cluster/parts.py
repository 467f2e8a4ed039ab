"""What runs in the laboratory: Pillions of the hosts and of the gateway, etcd's members, HAProxy."""

import base64
import http.client
import json
import os
import shutil
import subprocess
import sys

from lab import NET, Failure, wait_for

PORT, ALL_PORT, DIRECT_PORT, AGENT, STATUS, ETCD_PORT, PEER_PORT = 8080, 8081, 8082, 8089, 8090, 2379, 2380
TTL = 10  # seconds of a host's lease
PREFIX = "/pillion/shop"
QUIT_DELAY = 2


class Etcd:
    """A member of three."""

    def __init__(self, place, members):
        self.place, self.members, self.process = place, members, None
        self.url = "http://%s:%d" % (place.address, ETCD_PORT)

    def start(self):
        peers = ["http://%s:%d" % (m.place.address, PEER_PORT) for m in self.members]
        mine = "http://%s:%d" % (self.place.address, PEER_PORT)
        # The machine may be busy: a leader is not taken for dead too soon.
        self.process = self.place.start([
            "etcd", "--name", self.place.name, "--data-dir", os.path.join(self.place.room, "data"),
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--listen-peer-urls", mine, "--initial-advertise-peer-urls", mine,
            "--initial-cluster", ",".join("%s=%s" % (m.place.name, p) for m, p in zip(self.members, peers)),
            "--heartbeat-interval", "200", "--election-timeout", "2000", "--snapshot-count", "5000",
            "--log-level", "error"], "etcd.log", env=dict(os.environ, GOMAXPROCS="1"))

    def ask(self, path, body, timeout=3):
        connection = http.client.HTTPConnection(self.place.address, ETCD_PORT, timeout=timeout)
        try:
            connection.request("POST", path, json.dumps(body))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def status(self):
        try:
            return self.ask("/v3/maintenance/status", {})
        except (OSError, ValueError, http.client.HTTPException):
            return None

    def healthy(self):
        status = self.status()
        return status and status.get("leader", "0") != "0"

    def leads(self):
        status = self.status()
        return status and status.get("leader") == status["header"]["member_id"]


def b64(text):
    return base64.b64encode(text.encode()).decode()


def addresses(members):
    """Of the instances that etcd knows, as the first member that answers says; None when none does."""
    for member in members:
        try:
            said = member.ask("/v3/kv/range", {"key": b64(PREFIX + "/"), "range_end": b64(PREFIX + "0"),
                                               "keys_only": True}, timeout=1)
            return {base64.b64decode(kv["key"]).decode().rpartition("/")[2] for kv in said.get("kvs", [])}
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            continue
    return None


class Pillion:
    MODULES = ()

    def __init__(self, place, build, registry):
        self.place, self.build, self.registry, self.process = place, build, registry, None
        self.generation, self.fault, self.clock = 1, "none", 0
        self.address = "%s:%d" % (place.address, PORT)
        for name in ("conf", "modules", "run"):
            os.makedirs(self.path(name), exist_ok=True)
        os.chmod(self.path("run"), 0o777)
        for name in self.MODULES + ("modules/ping.so", "modules/rpc.so"):
            shutil.copy(os.path.join(build, name), self.path("modules"))
        self.put_binary()

    def path(self, name):
        return os.path.join(self.place.room, name)

    def put_binary(self):
        """A new file, as a package puts one there; with the plugins that lie beside it."""
        shutil.copy(os.path.join(self.build, "pillion"), self.path("new"))
        os.rename(self.path("new"), self.path("pillion"))
        for name in ("registry.so", "dns.so", "tls.so"):
            if os.path.exists(os.path.join(self.build, name)):
                shutil.copy(os.path.join(self.build, name), self.path("new"))
                os.rename(self.path("new"), self.path(name))

    def configure(self):
        with open(self.path("conf/new"), "w") as file:
            file.write("error_log run/error.log info;\n" + self.configuration())
        os.rename(self.path("conf/new"), self.path("conf/pillion.conf"))

    def registry_block(self, more=""):
        return "registry etcd %s { %sttl %ds; }\n" % (" ".join(self.registry), more, TTL)

    def start(self):
        self.configure()
        if os.path.exists(self.path("run/pillion.pid")):
            os.unlink(self.path("run/pillion.pid"))
        environment = dict(os.environ)
        if self.clock:
            environment.update(LD_PRELOAD=os.path.join(self.build, "tests/cluster/clock_off.so"),
                               CLOCK_OFF=str(self.clock))
        self.process = self.place.start([self.path("pillion"), "-p", self.place.room], "stderr", env=environment)

    def order(self, verb, seconds=60):
        """Gives an order as an operator does. Returns what was said of its failure, or None."""
        done = subprocess.run(["nsenter", "--net=/run/netns/" + self.place.name, self.path("pillion"), "-s", verb,
                               "-p", self.place.room], capture_output=True, text=True, timeout=seconds)
        return None if done.returncode == 0 else (done.stderr or done.stdout).strip()

    def must(self, verb):
        failed = self.order(verb)
        if failed:
            raise Failure("%s: %s failed: %s" % (self.place.name, verb, failed))

    def children(self, role):
        found = []
        for pid in self.place.pids():
            try:
                with open("/proc/%d/cmdline" % pid) as file:
                    found += [pid] if file.read().startswith("pillion: " + role) else []
            except OSError:
                continue
        return found

    def answers(self, method, port=PORT, params="{}"):
        """Whether it answers at the switch, by a connection of its own."""
        words = [os.path.join(self.build, "pillion"), "call", "--server", "%s:%d" % (self.place.address, port), method, params]
        try:
            return subprocess.run(words, capture_output=True, timeout=3).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def wait_end(self, seconds):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure("%s was told to quit %d s ago, and has not ended" % (self.place.name, seconds))


class Host(Pillion):
    MODULES = ("tests/modules/ledger.so",)

    def configuration(self):
        register = "register %s; " % self.address if self.registry else ""
        return ("worker_processes 2; drain_timeout 10s; quit_delay %ds;\n%s"
                "load_module modules/ledger.so { host %s; file run/journal; generation %d; fault %s; }\n"
                "load_module modules/ping.so; load_module modules/rpc.so;\n"
                "server { listen 0.0.0.0:%d; %smethod fetch; method record; method ping; }\n"
                "server { listen 0.0.0.0:%d; status on; method rpc.stats; listen 0.0.0.0:%d protocol=agent; }\n" % (
                    QUIT_DELAY, self.registry_block("prefix %s; " % PREFIX) if self.registry else "", self.place.name, self.generation,
                    self.fault, PORT, register, STATUS, AGENT))

    def journal(self):
        try:
            with open(self.path("run/journal")) as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []


class Gateway(Pillion):
    """In front of the hosts: at one port by methods that it names, at the other by all that there are."""

    MODULES = ("modules/proxy.so",)
    upstreams, all = (), False

    def configuration(self):
        upstream = "registry:" + PREFIX if self.registry else " ".join(self.upstreams)
        # Whatever has to be done for a request is done within ten seconds.
        settings = "timeout 10s; try_timeout 1s; retries 2; "
        return ("worker_processes 2; drain_timeout 10s;\n%s"
                "load_module modules/proxy.so { upstream %s; %s}\n"
                "load_module modules/ping.so; load_module modules/rpc.so;\n"
                "server { listen 0.0.0.0:%d; status on; proxy_method fetch { idempotent on; } proxy_method record; "
                "method rpc.stats; }\n%s" % (self.registry_block() if self.registry else "", upstream, settings, PORT,
                                            self.all_methods() if self.all else ""))

    @staticmethod
    def all_methods():
        return "server { listen 0.0.0.0:%d; proxy_all registry:/pillion/; }\n" % ALL_PORT


HAPROXY = """
global
    stats socket %(room)s/socket
    nbthread 1
defaults
    mode tcp
    balance leastconn
    option redispatch 1
    retries 3
    timeout connect 2s
    timeout client 5m
    timeout server 5m
listen by-name
    bind :%(port)d
    option httpchk GET /readyz
    server gateway1 %(one)s:%(port)d check inter 1s fall 2
    server gateway2 %(other)s:%(port)d check inter 1s fall 2
listen all
    bind :%(all)d
    option httpchk GET /readyz
    server gateway1 %(one)s:%(all)d check port %(port)d inter 1s fall 2
    server gateway2 %(other)s:%(all)d check port %(port)d inter 1s fall 2
listen direct
    bind :%(direct)d
    mode http
    balance roundrobin
    timeout server 10s
    http-request set-timeout server 2s if METH_GET
    http-request disable-l7-retry unless METH_GET
    retry-on conn-failure empty-response response-timeout
    option httpchk GET /readyz
    default-server check inter 1s fall 2 rise 1 agent-check agent-port %(agent)d agent-inter 500ms weight 100
"""


class HAProxy:
    def __init__(self, place, gateways, hosts):
        self.place = place
        with open(os.path.join(place.room, "haproxy.cfg"), "w") as file:
            file.write(HAPROXY % {"room": place.room, "port": PORT, "all": ALL_PORT, "direct": DIRECT_PORT, "agent": AGENT,
                                  "one": gateways[0].place.address, "other": gateways[1].place.address})
            for host in hosts:
                file.write("    server %s %s\n" % (host.place.name, host.address))

    def start(self):
        self.process = self.place.start(["haproxy", "-db", "-f", os.path.join(self.place.room, "haproxy.cfg")],
                                        "haproxy.log")
