"""A life of the packages in a Debian of their own: see packages.py, which runs this in namespaces.

    python3 system.py DEBIAN FORMER LATTER

DEBIAN is seen through an overlay; FORMER and LATTER are directories with the packages of two versions.
There is no systemd in it, so that the maintainer scripts have to find the server by themselves.
"""

import fcntl
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import time

from clients import Load, Frames, PATIENCE, expect

MODULES = ("redis", "postgres", "proxy-http")
PORT = 8090
SITE = """server {
    listen 127.0.0.1:%d;
    method ping;
    method greet { handler hello.greet; }
}
""" % PORT
REDIS = "server { listen 127.0.0.1:8091; redis_method kv.get GET $key; }\n"
LOG = "/var/log/pillion/pillion.log"
# What dpkg, apt and adduser keep of everything.
KEPT = re.compile(r"/(var/lib/(dpkg|apt|systemd|logrotate)|var/cache|var/log/(apt|dpkg\.log|alternatives\.log)|"
                  r"debs|proc|dev|sys|tmp|etc/(passwd|group|shadow|gshadow|subuid|subgid)-?|"
                  r"etc/ld\.so\.cache|run/(lock|adduser)|etc/\.pwd\.lock)(/|$)")


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def loopback_up():
    """Sets IFF_UP: see netdevice(7)."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))


class Debian:
    def __init__(self, base, former, latter):
        loopback_up()
        mount("-t", "tmpfs", "tmpfs", "/mnt")
        for name in ("root", "upper", "work"):
            os.mkdir("/mnt/" + name)
        mount("-t", "overlay", "-o", "lowerdir=%s,upperdir=/mnt/upper,workdir=/mnt/work" % base,
              "overlay", "/mnt/root")
        self.root = pathlib.Path("/mnt/root")
        mount("--rbind", "/dev", str(self.root / "dev"))
        mount("-t", "proc", "proc", str(self.root / "proc"))
        mount("-t", "tmpfs", "tmpfs", str(self.root / "run"))
        for name, place in (("former", former), ("latter", latter)):
            shutil.copytree(place, self.root / "debs" / name,
                            ignore=lambda _, names: [n for n in names if not n.endswith(".deb")])
        (self.root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        os.chmod(self.root / "usr/sbin/policy-rc.d", 0o755)
        self.server = None

    def path(self, name):
        return self.root / name.lstrip("/")

    def run(self, *command, status=0):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
                       "LC_ALL": "C.UTF-8", "HOME": "/root"}
        done = subprocess.run(["chroot", str(self.root), *command], env=environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=200)
        expect(done.returncode == status, "%s ends with %d:\n%s" % (
            " ".join(command), done.returncode, done.stdout))
        return done.stdout

    def apt(self, *arguments):
        return self.run("apt-get", "-q", "-y", "-o", "APT::Sandbox::User=root",
                        "-o", "Dpkg::Options::=--force-confold", "--no-install-recommends", *arguments)

    def debs(self, version, *names):
        return [next("/debs/%s/%s" % (version, path.name)
                     for path in self.path("/debs/" + version).glob(name + "_*.deb"))
                for name in names]

    def install(self, version, *names):
        return self.apt("install", "--reinstall", "--allow-downgrades", *self.debs(version, *names))

    def files(self):
        found = set()
        for folder, folders, names in os.walk(self.root):
            place = folder[len(str(self.root)):]
            folders[:] = [f for f in folders if not KEPT.match(place + "/" + f)]
            found |= {place + "/" + name for name in folders + names
                      if not KEPT.match(place + "/" + name)}
        return found

    # ---- the server ----

    def start(self):
        log = open("/mnt/log", "w")
        self.server = subprocess.Popen(["chroot", str(self.root), "/usr/sbin/pillion"], stderr=log)
        wait_for(lambda: self.generation() == 1, "the server does not start")

    def stats(self, form="--prometheus"):
        done = subprocess.run(["chroot", str(self.root), "pillion", "status", form],
                              capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ""

    def figure(self, name):
        return next(iter(re.findall(r"^pillion_%s (\S+)$" % re.escape(name), self.stats(), re.M)), None)

    def generation(self):
        import json
        shown = self.stats("--json")
        return json.loads(shown)["generation"] if shown else None

    def version(self):
        return next(iter(re.findall(r'pillion_build_info\{version="(.*?)"\}', self.stats())), None)

    def log(self):
        text = pathlib.Path("/mnt/log").read_text()
        return text + (self.path(LOG).read_text() if self.path(LOG).exists() else "")


def wait_for(condition, words):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        expect(time.monotonic() < deadline, words)
        time.sleep(0.05)


# ---- what is promised -----------------------------------------------------------------------------

def check_layout(debian):
    """Files are where the standard has them, and what they are for works without a flag."""
    for name in ("/etc/pillion/pillion.conf", "/usr/sbin/pillion", "/usr/lib/pillion/modules/ping.so",
                 "/usr/share/man/man8/pillion.8.gz", "/usr/share/pillion/monitoring/grafana.json",
                 "/usr/share/doc/pillion/examples/redis.conf", "/lib/systemd/system/pillion.service",
                 "/etc/logrotate.d/pillion"):
        expect(debian.path(name).is_file(), name + " is not there")
    user = debian.run("getent", "passwd", "pillion")
    expect("/var/lib/pillion" in user and "nologin" in user, user)
    owners = debian.run("stat", "-c", "%U:%G %a", "/var/lib/pillion", "/var/log/pillion", "/run/pillion")
    expect(owners == "pillion:pillion 750\npillion:adm 750\npillion:pillion 755\n", owners)
    debian.run("pillion", "-t")
    built = debian.run("pillion", "-V")
    expect("configuration: /etc/pillion/pillion.conf\n" in built, built)
    debian.run("pillion", "-t", "-c", "/usr/share/doc/pillion/examples/limit.conf")


def expect_reloads(debian, count, what, change):
    """A change makes the server reload so often, and no client notices."""
    before = debian.generation()
    master = debian.server.pid
    said = change()
    expect(debian.server.poll() is None and debian.server.pid == master, what + ": the server ended")
    after = debian.generation()
    expect(after == before + count, "%s: %s reloads, not %d\n%s" % (what, after - before, count, said))
    return said


def modules_come_and_go(debian, load):
    enabled = debian.path("/etc/pillion/modules-enabled")
    expect_reloads(debian, 1, "a new module", lambda: debian.install("former", "pillion-module-redis"))
    debian.path("/etc/pillion/conf.d/redis.conf").write_text(REDIS)
    debian.run("pillion", "-q", "-s", "reload")
    out, error = Frames(8091).call("kv.get", {"key": "x"})
    expect(out == "error" and error["code"] not in ("method_not_found", "module_crashed"),
           "without a Redis, kv.get gives %s" % error)
    load.check()
    expect_reloads(debian, 1, "a newer module",
                   lambda: debian.install("latter", "pillion-module-redis"))
    expect_reloads(debian, 1, "two modules at once", lambda: debian.install(
        "former", "pillion-module-postgres", "pillion-module-proxy-http"))
    expect(sorted(p.name for p in enabled.glob("*.conf")) ==
           ["postgres.conf", "proxy_http.conf", "redis.conf"], "modules are not enabled")
    load.check()

    # One that the administrator has disabled stays so; one that is removed is not named any more.
    (enabled / "proxy_http.conf").unlink()
    expect_reloads(debian, 1, "a disabled module",
                   lambda: debian.install("latter", "pillion-module-proxy-http"))
    expect(not (enabled / "proxy_http.conf").exists(), "a disabled module is enabled again")
    expect_reloads(debian, 1, "a module that goes",
                   lambda: debian.apt("remove", "pillion-module-postgres"))
    expect(not os.path.lexists(enabled / "postgres.conf"), "a module that is gone is still named")
    expect_reloads(debian, 1, "a module that comes again",
                   lambda: debian.install("latter", "pillion-module-postgres"))
    expect((enabled / "postgres.conf").exists(), "a module that came again is not enabled")
    load.check()


def failures_are_told(debian, load):
    broken = debian.path("/etc/pillion/conf.d/broken.conf")
    broken.write_text("nonsense;\n")
    said = expect_reloads(debian, 0, "a configuration that is broken",
                          lambda: debian.install("latter", "pillion-module-redis"))
    expect("/etc/pillion/conf.d/broken.conf:1:1" in said and "the reload has failed" in said, said)
    load.check()
    broken.unlink()
    debian.run("pillion", "-q", "-s", "reload")


def server_is_upgraded(debian, load, latter):
    """The binary is replaced, and conffiles that were edited are kept."""
    conf = debian.path("/etc/pillion/pillion.conf")
    edited = conf.read_text().replace("error_log stderr info;", "error_log %s info;" % LOG)
    conf.write_text(edited)
    debian.run("pillion", "-q", "-s", "reload")
    master, former = debian.path("/run/pillion/pillion.pid").read_text(), debian.version()

    # With a configuration that is broken, the former binary serves on; the next attempt makes up for it.
    broken = debian.path("/etc/pillion/conf.d/broken.conf")
    broken.write_text("nonsense;\n")
    said = debian.install("latter", "pillion")
    expect("the upgrade has failed" in said and debian.version() == former, said)
    load.check()
    broken.unlink()
    said = debian.install("latter", "pillion")
    expect(debian.version() == latter, "version %s runs after the upgrade:\n%s\n%s" % (
        debian.version(), said, debian.log()[-2000:]))
    expect(debian.path("/run/pillion/pillion.pid").read_text() == master, "the master is another one")
    expect(conf.read_text() == edited, "an edited conffile was not kept")
    expect(latter in conf.with_name("pillion.conf.dpkg-dist").read_text(), "the new one is not beside it")
    load.check()

    # The same binary once more is no upgrade.
    upgrades = debian.log().count("has taken over as the master")
    expect(upgrades == 1, "%d upgrades" % upgrades)
    expect_reloads(debian, 1, "the same binary", lambda: debian.install("latter", "pillion"))
    expect(debian.log().count("has taken over as the master") == 1, "the same binary is an upgrade")
    load.check()


def logs_are_rotated(debian):
    debian.run("logrotate", "-f", "/etc/logrotate.d/pillion")
    expect(debian.path(LOG + ".1").exists(), "the log is not rotated")
    debian.run("pillion", "-q", "-s", "reload")
    expect("serves" in debian.path(LOG).read_text(), "nothing is written to the new log")


def development(debian):
    """What modules are built with is found by its name."""
    debian.run("dpkg", "--force-depends", "-i", *debian.debs("latter", "pillion-dev"))
    place = next(debian.path("/usr/lib").glob("*/pkgconfig/pillion.pc"))
    expect("modulesdir=/usr/lib/pillion/modules\n" in place.read_text(), place.read_text())
    test = place.with_name("pillion-test.pc").read_text()
    folder = re.search("^libdir=(.*)$", test, re.M).group(1)
    expect(debian.path(folder + "/libpillion-test.so").exists(), test)
    debian.run("pillion", "new", "sample", "/tmp/sample")
    expect("-I/usr/include" in debian.path("/tmp/sample/Makefile").read_text(), "no header is found")
    debian.run("dpkg", "--purge", "pillion-dev")


def everything_goes(debian, before):
    master = debian.server
    debian.apt("remove", "pillion")
    expect(master.wait(PATIENCE) == 0, "the server ends with %d" % master.returncode)
    expect(debian.path("/etc/pillion/pillion.conf").exists(), "remove has taken a conffile")
    for name in ("/etc/pillion/conf.d/site.conf", "/etc/pillion/conf.d/redis.conf"):
        debian.path(name).unlink()
    debian.apt("purge", "pillion", *("pillion-module-" + name for name in MODULES))
    left = debian.files() - before
    expect(not left, "purge leaves %s" % sorted(left))
    expect("pillion" in debian.run("getent", "passwd", "pillion"), "the user is gone")

    # The other order: a module's package outlives the server's as a configuration only.
    debian.install("latter", "pillion", "pillion-module-redis")
    debian.apt("remove", "pillion-module-redis")
    debian.apt("purge", "pillion")
    debian.apt("purge", "pillion-module-redis")
    left = debian.files() - before
    expect(not left, "purge in the other order leaves %s" % sorted(left))


def main():
    debian = Debian(*sys.argv[1:])
    before = debian.files()
    latter = debian.run("dpkg-deb", "-f", *debian.debs("latter", "pillion"), "Version").strip()
    try:
        debian.install("former", "pillion")
        check_layout(debian)
        debian.path("/etc/pillion/conf.d/site.conf").write_text(SITE)
        debian.start()
        load = Load(PORT)
        load.check()
        modules_come_and_go(debian, load)
        failures_are_told(debian, load)
        server_is_upgraded(debian, load, latter)
        logs_are_rotated(debian)
        load.check()
        replies, slowest = load.end()
        print("packages: %d replies to %d clients, all of them right; %d idle ones; no connection "
              "was lost; the slowest reply took %d ms" % (
                  replies, len(load.callers), len(load.idle), slowest * 1000))
        development(debian)
        everything_goes(debian, before)
    except Exception as error:  # whatever it is, it has failed
        print("%s: %s\n---- the server's log:\n%s" % (type(error).__name__, error, debian.log()[-4000:]))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
