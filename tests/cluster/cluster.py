#!/usr/bin/env python3
"""A cluster: ten services on one machine, and clients that check every reply, while hosts come and go.

    PILLION_BUILD=build python3 tests/cluster/cluster.py [--seconds 300] [--seed N] [--only kill,drain]
                                                          [--away 60] [--self-check]

Five hosts, each a network namespace with a Pillion; three members of etcd; HAProxy in front of two
gateways, Pillions whose `proxy` finds the hosts in etcd. Every event happens once, in an order that
the seed decides, then again until the time is over. Fails (exit 1) when a reply is wrong, lost or
doubled, when a call was carried out twice, or answered and not carried out, when a client's
connection ends, when an error is answered that the event does not excuse (EVENTS says which, and so
does the table in docs/reliability.md, "Hosts that come and go"), or when a host is not asked again in time. --self-check turns that around: hosts lie,
forget, repeat and are silent, and each of it has to be noticed.

Nothing is left: all of it lives in namespaces that end with this program, however that ends (lab.py).
"""

import argparse
import collections
import os
import random
import signal
import subprocess
import sys
import threading
import time

import lab
from lab import Failure, wait_for
from load import NO_REPLY, Load
from parts import ALL_PORT, DIRECT_PORT, PORT, QUIT_DELAY, TTL, Etcd, Gateway, HAProxy, Host, addresses

HOSTS, CLIENTS = 5, 24
SLOW = 1.0           # seconds beyond its own that a call may take unnoticed
MEMORY = 1500 << 20  # bytes that all processes together may have
BACK = 30            # seconds within which a host that is back has to be asked again
SETTLE = 2           # seconds of peace after each event

# For how long after its beginning an event may cost calls of `record` that its host had, and with
# which code. `fetch` is idempotent: no event excuses an error of it.
NOTHING = (0, ())
UNREACHED = ("upstream_unavailable", "timeout", "haproxy_502", "haproxy_503", "haproxy_504", "haproxy_closed")
AT_ONCE = (1, UNREACHED)           # connections break
UNNOTICED = (TTL + 3, UNREACHED)   # no word that it is gone, until its lease ends
CUT_OFF = (1, (NO_REPLY,))         # the clients' own connections break
CRASHED = (1, ("module_crashed",)) # its worker died


class Happening:
    def __init__(self, name, host, excuse):
        self.name, self.host, self.excuse = name, host, excuse
        self.start, self.end = time.monotonic(), float("inf")
        self.noticed = self.back = None
        self.says = ""

    def excuses(self, answer):
        seconds, codes = self.excuse
        return ((answer.method == "record" or codes is CUT_OFF[1]) and answer.code in codes and
                answer.sent < self.start + seconds and answer.answered >= self.start)


class Cluster:
    def __init__(self, args):
        self.args, self.random = args, random.Random(args.seed)
        self.build = os.path.abspath(os.environ.get("PILLION_BUILD", "build"))
        self.happenings, self.peak, self.load, self.over = [], 0, None, False
        self.lab = lab.Lab()
        self.members = []
        for i in range(3):
            self.members.append(Etcd(self.lab.add("etcd%d" % (i + 1), 11 + i), self.members))
        self.registry = [m.url for m in self.members] if args.registry else None
        self.hosts = [Host(self.lab.add("host%d" % (i + 1), 31 + i), self.build, self.registry) for i in range(HOSTS)]
        self.gateways = [Gateway(self.lab.add("gateway%d" % (i + 1), 21 + i), self.build, self.registry)
                         for i in range(2)]
        self.haproxy = HAProxy(self.lab.add("haproxy", 20), self.gateways, self.hosts)
        self.rough = os.path.join(self.build, "tests/cluster/rough")

    # ---- what can be seen from the switch ----

    def known(self, host):
        """Whether etcd has the host; None while nobody can tell."""
        found = addresses(self.members)
        return None if found is None else host.address in found

    def asked(self, host, since):
        return self.load.host_answers_since(host.place.name, since)

    def wait_known(self, host, known, seconds):
        if self.registry:
            wait_for(lambda: self.known(host) == known, seconds,
                     "etcd %s %s" % ("does not have" if known else "still has", host.place.name))

    def wait_back(self, happening, host, since):
        wait_for(lambda: self.asked(host, since), BACK, "%s: nobody asks %s again" % (happening.name, host.place.name))
        happening.back = max(happening.back or 0, time.monotonic() - since)

    def sleep(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not any(c.is_alive() for c in self.load.clients):
                raise Failure("no client is left")
            time.sleep(0.05)

    def watch_memory(self):
        while not self.over:
            self.peak = max(self.peak, self.lab.memory())
            time.sleep(2)

    # ---- events ----

    def gone(self, happening, host):
        """Waits until the cluster knows that a host is gone, and then a while."""
        self.wait_known(host, False, TTL + 10)
        happening.noticed = time.monotonic() - happening.start
        self.sleep(3)

    def start_again(self, happening, host):
        since = time.monotonic()
        host.start()
        self.wait_back(happening, host, since)

    def kill(self, happening, host):
        host.place.kill()
        self.gone(happening, host)
        self.start_again(happening, host)

    def power(self, happening, host):
        host.place.link(False)
        host.place.kill()
        self.gone(happening, host)
        host.place.link(True)
        self.start_again(happening, host)

    def partition(self, happening, host):
        host.place.link(False)
        self.gone(happening, host)
        since = time.monotonic()
        host.place.link(True)
        self.wait_known(host, True, TTL + 10)
        self.wait_back(happening, host, since)

    def partition_short(self, happening, host):
        """Shorter than the lease: the host stays a member all the time."""
        host.place.link(False)
        self.sleep(TTL / 3)
        since = time.monotonic()
        host.place.link(True)
        self.wait_back(happening, host, since)

    def partition_etcd(self, happening, host):
        """The host cannot reach etcd, and can be asked: it leaves as its lease ends, and comes back."""
        members = [m.place.address for m in self.members]
        host.place.hide(members, True)
        try:
            self.gone(happening, host)
        finally:
            host.place.hide(members, False)
        since = time.monotonic()
        self.wait_known(host, True, TTL + 10)
        self.wait_back(happening, host, since)

    def drain(self, happening, host):
        host.must("quit")
        host.wait_end(QUIT_DELAY + 15)
        self.gone(happening, host)
        self.start_again(happening, host)

    def add(self, happening, _):
        host = Host(self.lab.add("host6", 36), self.build, self.registry)
        try:
            if not self.registry:
                for gateway in self.gateways:
                    gateway.upstreams = [h.address for h in self.hosts + [host]]
                    gateway.configure()
                    gateway.must("reload")
            happening.start = time.monotonic()
            host.start()
            self.wait_back(happening, host, happening.start)
            self.sleep(3)
            host.must("quit")
            host.wait_end(QUIT_DELAY + 15)
        finally:
            self.journals["host6"] += host.journal()
            os.unlink(host.path("run/journal"))
            host.place.remove()

    def upgrade(self, happening, host):
        host.put_binary()
        host.must("upgrade")
        host.generation += 1
        host.configure()
        host.must("reload")
        happening.noticed = time.monotonic() - happening.start
        self.wait_back(happening, host, time.monotonic())

    def worker(self, _, host):
        for pid in self.random.sample(host.children("worker"), k=1):
            os.kill(pid, signal.SIGKILL)
        self.sleep(2)

    def registry_process(self, _, host):
        for pillion in [host] + self.gateways:
            for pid in pillion.children("registry"):
                os.kill(pid, signal.SIGKILL)
        self.sleep(TTL + 3)

    def gateway_upgrade(self, happening, _):
        gateway = self.random.choice(self.gateways)
        gateway.put_binary()
        gateway.must("upgrade")
        gateway.must("reload")
        happening.noticed = time.monotonic() - happening.start
        self.sleep(2)

    def gateway_kill(self, happening, _):
        """Its clients lose their connections, and what they wait for; they go to the other one."""
        gateway = self.random.choice(self.gateways)
        happening.start = time.monotonic()
        gateway.place.kill()
        self.sleep(5)
        since = time.monotonic()
        gateway.start()
        self.wait_gateway(gateway)
        happening.back = time.monotonic() - since
        self.sleep(3)

    def wait_gateway(self, gateway):
        for port in self.ports():
            wait_for(lambda: gateway.answers("fetch", port, '{"n":1}'), 20, lambda: "%s does not start:\n%s" % (
                gateway.place.name, self.tail(gateway)))

    def etcd_leader(self, happening, _):
        leader = wait_for(lambda: next((m for m in self.members if m.leads()), None), 20, "etcd has no leader")
        happening.start = time.monotonic()
        leader.place.kill()
        others = [m for m in self.members if m is not leader]
        wait_for(lambda: any(m.leads() for m in others), 30, "the others have no leader")
        happening.noticed = time.monotonic() - happening.start
        self.sleep(TTL)
        self.return_of(happening, [leader], True)

    def return_of(self, happening, members, killed):
        since = time.monotonic()
        for member in members:
            if killed:
                member.start()
            else:
                member.place.link(True)
        wait_for(lambda: all(m.healthy() for m in members), 60, "etcd is not healthy again")
        for host in self.hosts:
            self.wait_known(host, True, 2 * TTL + 10)
        happening.back = time.monotonic() - since

    def etcd_away(self, happening, _):
        killed = self.random.random() < 0.5
        happening.says = "killed" if killed else "links down"
        for member in self.members:
            if killed:
                member.place.kill()
            else:
                member.place.link(False)
        self.sleep(self.args.away)
        self.return_of(happening, self.members, killed)
        self.sleep(TTL)

    def etcd_away_kill(self, happening, host):
        """While nobody can ask etcd, a host dies and comes back: those who call it find out by themselves."""
        for member in self.members:
            member.place.link(False)
        self.sleep(3)
        happening.start = time.monotonic()
        host.place.kill()
        self.sleep(TTL + 3)
        self.start_again(happening, host)
        back = happening.back
        self.return_of(happening, self.members, False)
        happening.back = back
        self.sleep(TTL)

    def clock(self, happening, host):
        for clock in (self.random.choice([-60, 60]), 0):
            host.must("quit")
            host.wait_end(QUIT_DELAY + 15)
            host.clock = clock
            self.start_again(happening, host)
            self.sleep(TTL if clock else 1)

    def rough_links(self, happening, _):
        """Of all hosts, and of one member of etcd: each packet, in either direction."""
        places = [h.place for h in self.hosts] + [self.random.choice(self.members).place]
        try:
            for i, place in enumerate(places):
                place.make_rough(self.rough, 5, 50, self.args.seed + i)
            happening.says = "netem" if places[0].rough == "netem" else "by TAP devices"
            self.sleep(20)
        finally:
            for place in places:
                place.make_smooth()
        happening.back = 0
        self.sleep(3)

    EVENTS = {
        "kill": (kill, AT_ONCE), "power": (power, UNNOTICED), "partition": (partition, UNNOTICED),
        "partition-short": (partition_short, UNNOTICED), "partition-etcd": (partition_etcd, NOTHING),
        "drain": (drain, NOTHING), "add": (add, NOTHING), "upgrade": (upgrade, NOTHING),
        "gateway-upgrade": (gateway_upgrade, NOTHING), "gateway-kill": (gateway_kill, CUT_OFF),
        "worker": (worker, CRASHED),
        "registry": (registry_process, NOTHING), "etcd-leader": (etcd_leader, NOTHING),
        "etcd-away": (etcd_away, NOTHING), "etcd-away-kill": (etcd_away_kill, AT_ONCE), "clock": (clock, NOTHING), "rough": (rough_links, NOTHING)}
    # Without a registry, nobody is told before a host closes its connections.
    DRAINS = {"drain", "clock", "add"}
    NEED_REGISTRY = {"partition-etcd", "registry", "etcd-leader", "etcd-away", "etcd-away-kill"}

    # ---- the run ----

    def start(self):
        for member in self.members if self.registry else []:
            member.start()
        if self.registry:
            wait_for(lambda: all(m.healthy() for m in self.members), 60, "etcd does not start")
        for host in self.hosts:
            host.start()
        for host in self.hosts:
            wait_for(lambda: host.answers("ping"), 20, lambda: "%s does not start:\n%s" % (
                host.place.name, self.tail(host)))
            self.wait_known(host, True, 20)
        for gateway in self.gateways:
            gateway.all = len(self.ports()) > 1
            gateway.upstreams = [h.address for h in self.hosts]
            gateway.start()
            self.wait_gateway(gateway)
        self.haproxy.start()
        self.journals = collections.defaultdict(list)
        wait_for(lambda: self.gateway_answers(), 20, "HAProxy does not start")
        threading.Thread(target=self.watch_memory, daemon=True).start()

    def ports(self):
        return [PORT, ALL_PORT] if self.registry and not self.args.named else [PORT]

    def gateway_answers(self):
        words = [os.path.join(self.build, "pillion"), "call", "--server"]
        return all(subprocess.run(words + ["%s:%d" % (self.haproxy.place.address, port), "fetch", '{"n":1}'],
                                  capture_output=True).returncode == 0 for port in self.ports())

    @staticmethod
    def tail(pillion):
        said = ""
        for name in ("stderr", "run/error.log"):
            try:
                with open(pillion.path(name), errors="replace") as file:
                    said += "".join(file.readlines()[-15:])
            except FileNotFoundError:
                pass
        return said

    def begin_load(self):
        self.load = Load([(self.haproxy.place.address, port) for port in self.ports()], self.args.seed, CLIENTS,
                         (self.haproxy.place.address, DIRECT_PORT))
        self.load.start()

    def run(self):
        until = time.monotonic() + self.args.seconds
        names = self.args.only.split(",") if self.args.only else [
            n for n in self.EVENTS if self.registry or n not in self.NEED_REGISTRY]
        self.begin_load()
        self.sleep(SETTLE)
        waiting = []
        first = True
        while first or time.monotonic() < until:
            if not waiting:
                waiting = self.random.sample(names, k=len(names))
            self.happen(waiting.pop())
            first = first and bool(waiting)

    def happen(self, name):
        event, excuse = self.EVENTS[name]
        if not self.registry and name in self.DRAINS:
            excuse = (60, UNREACHED)
        host = self.random.choice(self.hosts)
        happening = Happening(name, host, excuse)
        self.happenings.append(happening)
        print("%7.1f  %s %s" % (happening.start - self.began, name, host.place.name), flush=True)
        event(self, happening, host)
        self.sleep(SETTLE)
        happening.end = time.monotonic()

    def finish(self):
        self.load.end()
        for host in self.hosts:
            self.journals[host.place.name] += host.journal()
        self.recorded = self.load.compare(self.journals)

    # ---- the table ----

    def judge(self):
        """Errors that nothing excuses are findings."""
        for answer in self.load.answers:
            if answer.code and not any(h.excuses(answer) for h in self.happenings):
                during = [h for h in self.happenings if h.start <= answer.answered and answer.sent <= h.end]
                self.load.found("lost" if answer.code == NO_REPLY else "error", "%s %s, sent at %.1f, was answered \"%s\" after %.1f s: %s (during %s)" % (
                    answer.method, answer.identity, answer.sent - self.began, answer.code,
                    answer.answered - answer.sent, self.load.messages.get(answer.identity),
                    ", ".join("%s of %s" % (h.name, h.host.place.name) for h in during) or "nothing"))

        for at, text in self.load.disconnects:
            if not any(h.excuse is CUT_OFF and h.start <= at < h.start + CUT_OFF[0] for h in self.happenings):
                self.load.found("disconnect", text)

    def rows(self):
        rows = collections.defaultdict(list)
        for happening in self.happenings:
            rows[happening.name].append(happening)
        return rows

    def of_events(self):
        """The answers of each happening, and those of none: to an error belongs the event that excuses it."""
        found = collections.defaultdict(list)
        for answer in self.load.answers:
            excusing = [h for h in self.happenings if answer.code and h.excuses(answer)]
            during = [h for h in self.happenings if h.start <= answer.answered < h.end]
            found[(excusing + during + [None])[0]].append(answer)
        return found

    def report(self, failure):
        print("\n%-16s %5s %7s %6s %6s %11s %10s %12s %8s" % (
            "event", "times", "replies", "fetch", "record", "slowest, ms", "noticed, s", "recovered, s", "back, s"))
        answers = self.of_events()
        self.line("none", [], answers[None], [], [], [])
        for name, happenings in sorted(self.rows().items()):
            # The last call that came after the event and was still affected by it.
            recovered = [max([a.sent - h.start for a in answers[h] if a.sent >= h.start and (a.code or a.late > SLOW)],
                             default=0.0) for h in happenings]
            self.line(name, happenings, [a for h in happenings for a in answers[h]],
                      [h.noticed for h in happenings], recovered, [h.back for h in happenings])
        print("%d calls, %d replies checked, %d records compared with the hosts' files; %d MiB of memory at most" % (
            self.load.sent, self.load.replies, self.recorded, self.peak >> 20))
        for at, kind, text in self.load.findings[:20]:
            print("%7.1f  %s: %s" % (at - self.began, kind, text))
        counts = self.load.counts
        print("wrong %d, lost %d, doubled %d, disconnects %d, errors that nothing excuses %d%s" % (
            *(counts[k] for k in ("wrong", "lost", "doubled", "disconnect", "error")),
            "; " + failure if failure else ""))

    @staticmethod
    def line(name, happenings, answers, noticed, recovered, back):
        def most(values, form="%.1f"):
            values = [v for v in values if v is not None]
            return form % max(values) if values else "-"
        errors = collections.Counter(a.method for a in answers if a.code)
        print("%-16s %5d %7d %6d %6d %11s %10s %12s %8s" % (
            name, len(happenings), len(answers), errors["fetch"], errors["record"],
            most([a.late * 1000 for a in answers], "%.0f"), most(noticed), most(recovered), most(back)))

    # ---- the test of this test ----

    FAULTS = {"wrong": "wrong", "lost": "lost", "doubled": "doubled", "silent": "error"}

    def self_check(self):
        """Each fault of the hosts is found, and as what it is. Returns what was not."""
        missed = []
        for fault, kind in self.FAULTS.items():
            for host in self.hosts:
                host.fault = fault
                host.configure()
                host.must("reload")
                self.journals.clear()
                if os.path.exists(host.path("run/journal")):
                    os.unlink(host.path("run/journal"))
            self.begin_load()
            self.sleep(8)
            self.finish()
            self.judge()
            found = self.load.counts[kind]
            print("hosts with the fault %s: found %d %s" % (fault, found, "" if found else "MISSED"), flush=True)
            missed += [] if found else [fault]
        return missed


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", default="", help="events, separated by commas: " + ", ".join(Cluster.EVENTS))
    parser.add_argument("--away", type=float, default=60, help="seconds that all of etcd is away")
    parser.add_argument("--fixed", dest="registry", action="store_false",
                        help="no etcd: the gateway has a fixed list of hosts")
    parser.add_argument("--named", action="store_true", help="without the methods of `proxy_all`")
    parser.add_argument("--self-check", action="store_true")
    parser.add_argument("--keep", default="", help="a folder that gets the rooms of all places in the end")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    unknown = [n for n in args.only.split(",") if n and n not in Cluster.EVENTS]
    if unknown:
        parser.error("no such event: " + ", ".join(unknown))
    return args


def keep(folder):
    subprocess.run(["cp", "-r", lab.ROOM + "/.", folder])


def over_time(*_):
    raise Failure("the run takes far longer than it was given")


def main():
    args = options()
    if not args.inside:
        lacking = lab.lacks(["haproxy"] + (["etcd"] if args.registry else []))
        if args.registry and not os.path.exists(os.path.join(os.environ.get("PILLION_BUILD", "build"), "registry.so")):
            lacking = "registry.so was not built"
        if lacking:
            print("skipped: the cluster: " + lacking)
            return 0
        print("seed %d" % args.seed, flush=True)
        return lab.inside([sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--seed", str(args.seed), "--inside"])
    signal.signal(signal.SIGALRM, over_time)
    signal.alarm(int(args.seconds + args.away) + 600)
    cluster, failure = Cluster(args), None
    cluster.began = time.monotonic()
    try:
        cluster.start()
        if args.self_check:
            return 1 if cluster.self_check() else 0
        cluster.run()
    except Failure as error:
        failure = str(error)
    except KeyboardInterrupt:
        failure = "interrupted"
    cluster.over = True
    if cluster.load is None:
        print(failure)
    else:
        cluster.finish()
        cluster.judge()
        cluster.report(failure)
    if args.keep:
        keep(args.keep)
    if cluster.peak > MEMORY:
        print("%d MiB of memory are more than the %d that it may take" % (cluster.peak >> 20, MEMORY >> 20))
        return 1
    return 1 if failure or cluster.load is None or cluster.load.counts else 0


if __name__ == "__main__":
    sys.exit(main())
