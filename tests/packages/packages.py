#!/usr/bin/env python3
"""The Debian packages: that two builds are the same bytes, that lintian finds nothing, and that they
are installed, upgraded and removed in a Debian of their own, under load.

    python3 tests/packages/packages.py BUILD

BUILD is the directory where things are built. The Debian is made by debootstrap once and kept in
PACKAGES_CHROOT (/var/cache/pillion-packages/bookworm), which every run sees through an overlay and
leaves as it was. What cannot be done here, for want of root, of namespaces or of a mirror, is skipped
with a word.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TREE = ("Makefile", "README.md", "LICENSE", "conf", "core", "docs", "modules", "tests")
SUITE = "bookworm"
DEBIAN = pathlib.Path(os.environ.get("PACKAGES_CHROOT", "/var/cache/pillion-packages/" + SUITE))
NAMESPACES = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]


class Skipped(Exception):
    """Something is not here that a part needs."""


def run(*command, **options):
    """What the command printed; an error shows it."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        raise AssertionError("%s has failed:\n%s" % (" ".join(command), done.stdout[-4000:]))
    return done.stdout


# ---- building -----------------------------------------------------------------------------------

def copy_tree(to, version):
    """A copy of this tree, of another version, with one more line in its configuration."""
    to.mkdir(parents=True)
    with subprocess.Popen(["tar", "-C", str(ROOT), "--exclude=__pycache__", "-c", *TREE],
                          stdout=subprocess.PIPE) as tar:
        subprocess.run(["tar", "-C", str(to), "-x"], stdin=tar.stdout, check=True)
    if version:
        header = to / "core/base/version.h"
        header.write_text(re.sub('(PILLION_VERSION) ".*"', r'\1 "%s"' % version, header.read_text()))
        with open(to / "conf/pillion.conf", "a") as conf:
            conf.write("\n# This is version %s.\n" % version)


def build(tree, umask, **environment):
    """Builds the packages of a tree as `make deb` does for anybody: the .deb files by name."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    run("sh", "-c", "umask %s; exec make deb" % umask, cwd=tree, env={**inherited, **environment})
    debs = {path.name: path for path in sorted((tree / "build/deb").glob("*.deb"))}
    if not debs:
        raise AssertionError("make deb has built nothing")
    return debs


def members_of(path):
    return dict(line.split("  ", 1)[::-1] for line in
                run("sh", "-c", 'd=$(mktemp -d) && dpkg-deb -R "$1" $d && cd $d && '
                    'find . -type f | sort | xargs -d "\\n" sha256sum && rm -rf $d', "-",
                    str(path)).splitlines())


def check_same(one, other):
    digest = lambda path: hashlib.sha256(path.read_bytes()).hexdigest()
    if sorted(one) != sorted(other):
        raise AssertionError("two builds have %s and %s" % (sorted(one), sorted(other)))
    for name in one:
        if digest(one[name]) != digest(other[name]):
            first, second = members_of(one[name]), members_of(other[name])
            raise AssertionError("two builds of %s differ in %s" % (name, sorted(
                m for m in {**first, **second} if first.get(m) != second.get(m)) or "their form"))


def check_lintian(tree):
    if shutil.which("lintian") is None:
        raise Skipped("there is no lintian")
    changes, = (tree / "build/deb").glob("*.changes")
    run("lintian", "--fail-on", "error,warning", "--allow-root", str(changes))


def check_unit(debs, scratch):
    """The packaged unit is as strict as the one of the tree."""
    if shutil.which("systemd-analyze") is None:
        raise Skipped("there is no systemd-analyze")
    name, = (n for n in debs if re.fullmatch(r"pillion_[^_]*_[a-z0-9]*\.deb", n))
    run("dpkg-deb", "-x", str(debs[name]), str(scratch))
    run("systemd-analyze", "security", "--offline=true", "--threshold=20",
        str(scratch / "lib/systemd/system/pillion.service"))


# ---- a Debian of their own ------------------------------------------------------------------------

def mirror():
    """Where this machine has its Debian from."""
    if os.environ.get("PACKAGES_MIRROR"):
        return os.environ["PACKAGES_MIRROR"]
    for path in [pathlib.Path("/etc/apt/sources.list"),
                 *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]:
        text = path.read_text() if path.is_file() else ""
        for place in re.findall(r"^(?:URIs:|deb(?: \[[^]]*\])?) *(\S*/debian/?)\s", text, re.M):
            return place
    raise Skipped("apt's sources name no mirror of Debian")


def dependencies(debs):
    names = set()
    for path in debs.values():
        if "dbgsym" not in path.name and "-dev_" not in path.name:
            wanted = run("dpkg-deb", "-f", str(path), "Depends")
            names |= {re.split(r"[ (:|]", part.strip())[0] for part in wanted.split(",")}
    return sorted(n for n in names if not n.startswith("pillion")) + ["logrotate"]


def in_debian(*command):
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
                   "LC_ALL": "C.UTF-8", "HOME": "/root"}
    return run("chroot", str(DEBIAN), *command, env=environment)


def prepare_debian(debs):
    """Makes the Debian, with what the packages depend on, or takes the one that is there."""
    wanted, stamp = " ".join(dependencies(debs)), DEBIAN / "var/lib/pillion-packages"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if shutil.which("debootstrap") is None:
        raise Skipped("there is no debootstrap")
    if not (DEBIAN / "usr/bin/apt-get").exists() or (DEBIAN / "debootstrap").exists():
        shutil.rmtree(DEBIAN, ignore_errors=True)
        DEBIAN.mkdir(parents=True)
        try:
            run("timeout", "300", "debootstrap", "--variant=minbase", SUITE, str(DEBIAN), mirror())
        except AssertionError as error:
            shutil.rmtree(DEBIAN, ignore_errors=True)
            raise Skipped("debootstrap cannot make a Debian: " + str(error).splitlines()[-1])
    try:
        in_debian("timeout", "200", "sh", "-c", "apt-get -qq update && apt-get -qq install "
                  "--no-install-recommends " + wanted + " && apt-get clean")
    except AssertionError as error:
        raise Skipped("apt cannot bring what the packages need: " + str(error).splitlines()[-1])
    stamp.write_text(wanted)


def check_system(former, latter):
    if os.geteuid() != 0:
        raise Skipped("only root can make a Debian to install them in")
    if subprocess.run([*NAMESPACES, "sh", "-c", "mount -t tmpfs tmpfs /mnt && mkdir /mnt/a /mnt/b "
                       "/mnt/c /mnt/d && mount -t overlay -o lowerdir=/mnt/a,upperdir=/mnt/b,"
                       "workdir=/mnt/c overlay /mnt/d && mount -t proc proc /proc"],
                      capture_output=True).returncode != 0:
        raise Skipped("no namespaces, or no overlay, can be made here")
    prepare_debian({**former, **latter})
    command = [*NAMESPACES, sys.executable, str(HERE / "system.py"), str(DEBIAN),
               str(next(iter(former.values())).parent), str(next(iter(latter.values())).parent)]
    if subprocess.run(command, timeout=600).returncode != 0:
        raise AssertionError("see above")


# ---- all of it ------------------------------------------------------------------------------------

PASSED, FAILED = [], []


def part(name, function, *arguments):
    """Runs a part, and tells how it went. What it gave, or None."""
    before = time.monotonic()
    try:
        given = function(*arguments)
        print("packages: %s: good (%.0f s)" % (name, time.monotonic() - before), flush=True)
        PASSED.append(name)
        return given
    except Skipped as why:
        print("skipped: packages: %s: %s" % (name, why), flush=True)
        if os.environ.get("SKIPPED"):
            with open(os.environ["SKIPPED"], "a") as skipped:
                skipped.write("packages: %s: %s\n" % (name, why))
    except Exception as error:  # whatever it is, it has failed
        print("failed: packages: %s: %s: %s" % (name, type(error).__name__, error), flush=True)
        FAILED.append(name)
    return None


def main():
    if shutil.which("dpkg-buildpackage") is None:
        print("skipped: packages: there is no dpkg-buildpackage")
        return 0
    scratch = pathlib.Path(sys.argv[1], "packages")
    shutil.rmtree(scratch, ignore_errors=True)
    with tempfile.TemporaryDirectory() as elsewhere:
        trees = scratch / "former", scratch / "latter", pathlib.Path(elsewhere, "a/deeper/place")
        epoch = {"SOURCE_DATE_EPOCH": "1700000000"}
        for tree, version in zip(trees, (None, "99.1.0", "99.1.0")):
            copy_tree(tree, version)
        former = part("build", build, trees[0], "022")
        latter = former and part("build of the next version",
                                 lambda: build(trees[1], "022", TZ="UTC", LANG="C.UTF-8", **epoch))
        again = latter and part("the same build elsewhere",
                                lambda: build(trees[2], "077", TZ="Pacific/Kiritimati", LANG="C",
                                              CCACHE_DISABLE="1", CFLAGS="-O0", **epoch))
        if again:
            part("two builds are the same", check_same, latter, again)
        if latter:
            part("lintian", check_lintian, trees[1])
            part("the unit", check_unit, latter, scratch / "unit")
            part("a life in Debian", check_system, former, latter)
    if not FAILED:
        shutil.rmtree(scratch, ignore_errors=True)
    print("packages: %d passed, %d failed" % (len(PASSED), len(FAILED)))
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
