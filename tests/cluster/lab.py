"""A laboratory: network namespaces on one machine, each with an address on a switch.

All of it is in namespaces of processes, mounts and networks of its own: when the first process in
there is gone, for whatever reason, so is every process, link, device and file of it. `inside` puts
the program there, and says what a machine lacks. The program itself stands at the switch.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time

NET = "10.77.0."
ROOM = "/srv"  # of the laboratory's own: files of the hosts, in memory
ROOM_SIZE = "800m"
SWITCH = "sw"


class Failure(Exception):
    pass


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Failure("%s: %s" % (" ".join(words), (done.stderr or done.stdout).strip()))
    return done.stdout


def wait_for(condition, seconds, what):
    """Waits until the condition gives something true, which is returned."""
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > until:
            raise Failure("after %d s, %s" % (seconds, what() if callable(what) else what))
        time.sleep(0.02)


# ---- going in ----

ENTER = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
TRY = "ip link add one type veth peer name two && ip link add three type bridge && mount -t tmpfs none /run && ip netns add four"


def lacks(programs):
    """What this machine does not have or permit, as a sentence; None when it is all there."""
    missing = [p for p in programs + ["ip", "unshare", "nsenter"] if shutil.which(p) is None]
    if missing:
        return "these programs are not installed: " + " ".join(missing)
    if os.geteuid() != 0:
        return "namespaces of networks are made by root alone"
    tried = subprocess.run(ENTER + ["sh", "-c", TRY], capture_output=True, text=True)
    return "no namespaces can be made here: " + tried.stderr.strip() if tried.returncode else None


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def inside(words):
    """Runs the words in a laboratory. Returns their exit status."""
    # The shell is process 1 in there: it reaps what loses its parent.
    process = subprocess.Popen(ENTER + ["sh", "-c", '"$@"; exit $?', "sh"] + words, preexec_fn=die_with_parent)

    def end(*_):
        process.kill()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, end)  # once more: at once


# ---- in there ----

class Lab:
    def __init__(self):
        run("mount", "-t", "tmpfs", "-o", "size=" + ROOM_SIZE, "none", ROOM)
        run("mount", "-t", "tmpfs", "none", "/run")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", SWITCH, "type", "bridge", "forward_delay", "0", "stp_state", "0")
        run("ip", "addr", "add", NET + "254/24", "dev", SWITCH)
        run("ip", "link", "set", SWITCH, "up")
        os.chmod(ROOM, 0o755)
        self.places = {}

    def add(self, name, number):
        self.places[name] = Place(name, NET + str(number))
        return self.places[name]

    def memory(self):
        """Bytes that all processes of the laboratory have in memory, private or shared once each."""
        total = 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/smaps_rollup" % pid) as file:
                    total += sum(int(l.split()[1]) for l in file if l.startswith("Pss:"))
            except (OSError, ValueError):
                continue
        return total * 1024


class Place:
    """A host of the laboratory: its namespace, its link to the switch, and what runs there."""

    def __init__(self, name, address):
        self.name, self.address, self.room = name, address, os.path.join(ROOM, name)
        self.rough = None
        os.makedirs(self.room, exist_ok=True)
        run("ip", "netns", "add", name)
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", name, "master", SWITCH, "up")
        for words in (["addr", "add", address + "/24", "dev", "eth0"], ["link", "set", "lo", "up"],
                      ["link", "set", "eth0", "up"]):
            run("ip", "-n", name, *words)

    def remove(self):
        self.kill()
        run("ip", "netns", "del", self.name)

    def start(self, words, log, **options):
        """Starts a program there, which no key of the terminal reaches. Its output goes to a file of the place's
        room."""
        with open(os.path.join(self.room, log), "ab") as out:
            return subprocess.Popen(["nsenter", "--net=/run/netns/" + self.name] + words, stdout=out, stderr=out,
                                    stdin=subprocess.DEVNULL, cwd=self.room, start_new_session=True, **options)

    def pids(self):
        return [int(p) for p in run("ip", "netns", "pids", self.name).split()]

    def kill(self):
        """Kills every process that is there, none of which can see it coming."""
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in self.pids():
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
        wait_for(lambda: not self.pids(), 10, "killed processes of %s are still there" % self.name)

    def link(self, up):
        run("ip", "link", "set", self.name, "up" if up else "down")

    def hide(self, addresses, hidden):
        """This place cannot reach the addresses, and they get no answer from it."""
        for address in addresses:
            run("ip", "-n", self.name, "route", "add" if hidden else "del", "blackhole", address + "/32")

    def make_rough(self, program, loss, delay_ms, seed):
        """From here on the link loses packets, in per cent of each direction, and delays the rest."""
        try:
            for where in ([], ["-n", self.name]):
                run("tc", *where, "qdisc", "add", "dev", "eth0" if where else self.name, "root", "netem",
                    "loss", "%g%%" % loss, "delay", "%dms" % delay_ms)
            self.rough = "netem"
        except Failure:
            self.rough = Rough(self.name, program, loss, delay_ms, seed)

    def make_smooth(self):
        if self.rough == "netem":
            run("tc", "qdisc", "del", "dev", self.name, "root")
            run("tc", "-n", self.name, "qdisc", "del", "dev", "eth0", "root")
        elif self.rough:
            self.rough.end()
        self.rough = None


class Rough:
    """A program between a place and the switch, with a TAP device at either side; see rough.c."""

    def __init__(self, name, program, loss, delay_ms, seed):
        self.name, self.inner = name, name + "-br"
        run("tc", "qdisc", "del", "dev", name, "root") if "netem" in run("tc", "qdisc", "show", "dev", name) else None
        taps = [name + "-t0", name + "-t1"]
        self.process = subprocess.Popen([program] + taps + [str(loss), str(delay_ms), str(seed)],
                                        stdout=subprocess.PIPE, text=True, start_new_session=True)
        if self.process.stdout.readline() != "ready\n":
            raise Failure("the rough link of %s does not start" % name)
        run("ip", "link", "add", self.inner, "type", "bridge", "forward_delay", "0", "stp_state", "0")
        run("ip", "link", "set", taps[0], "master", SWITCH, "up")
        run("ip", "link", "set", taps[1], "master", self.inner, "up")
        run("ip", "link", "set", self.inner, "up")
        run("ip", "link", "set", name, "master", self.inner)

    def end(self):
        run("ip", "link", "set", self.name, "master", SWITCH)
        self.process.terminate()
        self.said = self.process.communicate(timeout=10)[0].strip()
        run("ip", "link", "del", self.inner)
