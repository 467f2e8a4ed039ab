#!/usr/bin/env python3
"""Types the console blocks of the documentation, and compares what is printed with the page.

    tests/docs/pages.py --build BUILD [--installed TREE] [--verbose] [PAGE …]

Each page is a session: one bash, one directory, and a server that was started there, on a port of its
own. Where a page says 8080, that port is typed, and others for the rest of PORTS. A block

    ```console
    $ command                   lines behind "> ", behind a backslash or in a here document belong to it
    what it prints
    ```

is typed as it stands, and what it prints has to be what the page says, but for numbers of milliseconds,
seconds, times of the clock, process ids and addresses. A line of an ellipsis stands for any lines, and one
within a line for the rest of it. What is said about a block stands in a comment before it:

    <!-- file: NAME -->         the block is the contents of that file, and not typed
    <!-- numbers vary -->       all numbers may be others
    <!-- only: source -->       or installed: typed in a clone, or where Pillion is installed
    <!-- needs: NAME -->        typed where the machine has what it takes: see NEEDS
    <!-- untyped: REASON -->    a machine that tests may not change
    <!-- serves: its own -->    of the page: the server that it starts is the only one

Commands that serve (`pillion dev`, `make run`) are left running, as in another terminal.
"""

import argparse
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from ports import free_ports

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PORTS = "8080", "8081", "8082", "8090", "2379"  # that pages serve at; 2379 is etcd's
PATIENCE = 60 * float(os.environ.get("CK_TIMEOUT_MULTIPLIER", "1"))  # seconds that a command may take
MARK = "-- the command has ended --"
SERVES = re.compile(r"^(\S*/)?pillion( dev\b| -p \S+( -c \S+)?$|$)|^make run\b")
# What a machine may lack, and the commands that tell.
NEEDS = {
    "gdb": "command -v gdb",
    "etcd": "command -v etcd",
    "valgrind": "command -v valgrind",
    "cores": "command -v gdb && grep -q '^core' /proc/sys/kernel/core_pattern && "
             "[ $(ulimit -Hc) != 0 ]",  # core(5)
    "attaching": "sleep 60 & gdb -batch -p $! -ex 'print $_siginfo' 2>&1 | grep -q '^.1 = '; "
                 "status=$?; kill $!; exit $status",
}
VARIES = re.compile(r"\d+(\.\d+)? (ms|us|s)\b|\b(pid|process) \d+|0x[0-9a-f…]+|"
                    r"\d{4}-\d\d-\d\dT[0-9:.]+Z( \[\w+\] [\w ]+? \d+)?")


def with_ports(text, ports):
    return re.sub(r"\b(%s)\b" % "|".join(PORTS), lambda match: ports[match.group()], text)


class Block:
    """Consecutive lines between fences: their kind, what is said about them, and where they are."""

    def __init__(self, kind, line):
        self.kind, self.line, self.lines, self.notes = kind, line, [], {}


def blocks_of(page):
    block, notes = None, {}
    with open(page, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            note = re.match(r"<!-- (file|only|needs|untyped|serves|numbers vary)(?:: (.*))? -->$", line)
            if block is None and note:
                notes[note.group(1)] = note.group(2) or True
            elif block is None and line.startswith("```"):
                block = Block(line[3:], number)
                block.notes, notes = notes, {}
            elif block is not None and line == "```":
                yield block
                block = None
            elif block is not None:
                block.lines.append(line)
            elif line:
                notes = {}


def commands_of(block):
    """Pairs of a command and the lines that it is to print, with the command's line number."""
    command, number, output, end = None, 0, [], None
    for index, line in enumerate(block.lines):
        if command is not None and (end is not None or command.endswith("\\") or line.startswith("> ")):
            command += "\n" + (line[2:] if end is None and line.startswith("> ") else line)
            if line == end:
                end = None
        elif line.startswith("$ "):
            if command is not None:
                yield number, command, output
            command, number, output = line[2:], block.line + 1 + index, []
            here = re.search(r"<<-?\s*'?(\w+)'?", command)
            end = here.group(1) if here else None
        elif command is None:
            raise ValueError("line %d: a console block begins with \"$ \"" % (block.line + 1 + index))
        else:
            output.append(line)
    if command is not None:
        yield number, command, output


def matches(expected, printed, any_number):
    """Whether lines are what a page says. Both are lists."""
    def normal(line):
        return re.sub(r"\d[\d.,]*", "N", line) if any_number else VARIES.sub("N", line)

    def same(says, line):
        if says.endswith("…"):
            return normal(line).startswith(normal(says[:-1]))
        return re.sub(" +", " ", normal(says)) == re.sub(" +", " ", normal(line))

    if not expected:
        return not printed
    if expected[0].strip() == "…":
        return any(matches(expected[1:], printed[i:], any_number) for i in range(len(printed) + 1))
    return bool(printed) and same(expected[0], printed[0]) and \
        matches(expected[1:], printed[1:], any_number)


class Session:
    """A bash that is typed into, and all that it has started."""

    def __init__(self, directory, environment):
        self.directory = directory
        self.count = 0
        self.served = []
        self.bash = subprocess.Popen(["bash", "--norc"], cwd=directory, env=environment, text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, start_new_session=True)

    def type(self, command):
        """Runs it in the session's shell. What it prints, as lines."""
        self.count += 1
        script = os.path.join(self.directory, ".typed-%d" % self.count)
        with open(script, "w", encoding="utf-8") as file:
            file.write(command + "\n")
        self.bash.stdin.write(". '%s' </dev/null; printf '\\n%s\\n'\n" % (script, MARK))
        self.bash.stdin.flush()
        signal.signal(signal.SIGALRM, self.late)
        signal.alarm(int(PATIENCE))
        lines = []
        for line in self.bash.stdout:
            if line == MARK + "\n":
                break
            lines.append(line)
        else:
            lines.append("(the shell has ended)\n")
        signal.alarm(0)
        text = "".join(lines)
        text = text[:-1] if text.endswith("\n") else text  # the one before the mark
        return text.splitlines()

    def late(self, *_):
        raise TimeoutError("the command has not ended within %d s" % PATIENCE)

    def serve(self, command):
        """Runs it in the background until the session ends; waits until it serves."""
        log = os.path.join(self.directory, ".served-%d" % len(self.served))
        self.type("{ %s; } >'%s' 2>&1 &\n" % (command, log))
        self.served.append(log)
        self.wait_for(log, "serving on ")

    @staticmethod
    def wait_for(log, text):
        deadline = time.monotonic() + PATIENCE
        while True:
            said = ""
            if os.path.exists(log):
                with open(log, encoding="utf-8", errors="replace") as file:
                    said = file.read()
            if text in said:
                return
            if time.monotonic() > deadline:
                raise TimeoutError("it does not serve:\n" + said)
            time.sleep(0.05)

    def end(self):
        try:
            os.killpg(self.bash.pid, signal.SIGTERM)
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                os.killpg(self.bash.pid, 0)
                self.bash.poll()
                time.sleep(0.05)
            os.killpg(self.bash.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.bash.wait()


class Place:
    """Where pages are typed: a scratch clone with a build of its own, or an installed tree."""

    def __init__(self, build, installed, ports):
        self.installed = installed
        self.directory = tempfile.mkdtemp(prefix="pillion-docs-")
        os.chmod(self.directory, 0o755)  # workers of a server that root has started are nobody
        self.environment = dict(os.environ, LC_ALL="C.UTF-8", PILLION_SERVER="127.0.0.1:" + ports["8080"])
        etcd = "http://127.0.0.1:" + ports["2379"]  # its options, by the environment
        self.environment.update(ETCD_LISTEN_CLIENT_URLS=etcd, ETCD_ADVERTISE_CLIENT_URLS=etcd,
                                ETCD_LISTEN_PEER_URLS="http://127.0.0.1:0")
        for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
            self.environment.pop(name, None)
        if installed:
            self.prefix = self.installed_prefix(installed)
            self.program = "pillion"
            path = os.path.join(self.root, "bin")
        else:
            self.prefix = self.clone(build)
            self.program = "build/pillion"
            path = self.prefix
        self.environment["PATH"] = path + ":" + os.environ["PATH"]
        conf = os.path.join(self.prefix, "conf", "pillion.conf")
        shutil.copy(os.path.join(ROOT, "conf", "pillion.conf"), conf)
        replace(conf, "8080", ports["8080"])

    def clone(self, build):
        for name in ("core", "tests", "modules", "docs", "conf", "Makefile"):
            os.symlink(os.path.join(ROOT, name), os.path.join(self.directory, name))
        prefix = os.path.join(self.directory, "build")
        os.makedirs(os.path.join(prefix, "run"))
        for name in ("pillion", "registry.so", "dns.so", "libpillion-test.so", "modules", "conf"):
            source = os.path.join(build, name)
            if not os.path.exists(source):  # a plugin, where its library is missing
                continue
            (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, os.path.join(prefix, name))
        return prefix

    def installed_prefix(self, tree):
        """The tree that `make install DESTDIR=` has made, told where it is."""
        packages = [os.path.join(folder, "pillion.pc") for folder, _, names in os.walk(tree)
                    if "pillion.pc" in names][0]
        self.root = os.path.dirname(os.path.dirname(os.path.dirname(packages)))
        for name in ("pillion.pc", "pillion-test.pc"):
            path = os.path.join(os.path.dirname(packages), name)
            with open(path, encoding="utf-8") as file:
                was = re.search("^prefix=(.*)$", file.read(), re.M).group(1)
            replace(path, was, self.root)
        self.environment["PKG_CONFIG_PATH"] = os.path.dirname(packages)
        return os.path.join(self.root, "lib", "pillion")

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def replace(path, old, new):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))


def type_block(session, block, place, ports, say):
    """The number of commands that print something else than the page says."""
    wrong = 0
    for number, command, expected in commands_of(block):
        command = with_ports(command, ports)
        if SERVES.match(command.strip()):
            session.serve(command)
            continue
        printed = session.type(command)
        expected = [with_ports(line, ports) for line in expected]
        if matches(expected, printed, "numbers vary" in block.notes):
            continue
        wrong += 1
        say("line %d: $ %s\n  the page says:\n%s\n  and this is printed:\n%s" % (
            number, command, "\n".join("    " + line for line in expected),
            "\n".join("    " + line for line in printed)))
    return wrong


@functools.cache
def there_is(need):
    """Whether the machine has it. Says so, once, where it has not."""
    found = subprocess.run(["bash", "-c", NEEDS[need]], stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    if not found:
        print("skipped: blocks of the pages that need %s" % need)
    return found


def type_page(page, args):
    """Types a page. Numbers of commands and of those that are wrong; None when it has no blocks."""
    mode = "installed" if args.installed else "source"
    blocks = [b for b in blocks_of(page)
              if ("file" in b.notes or b.kind == "console" and "untyped" not in b.notes)
              and b.notes.get("only", mode) == mode
              and ("needs" not in b.notes or there_is(b.notes["needs"]))]
    typed = sum(len(list(commands_of(b))) for b in blocks if "file" not in b.notes)
    if typed == 0:
        return None
    first = free_ports(len(PORTS))
    ports = {port: str(first + i) for i, port in enumerate(PORTS)}
    place = Place(args.build, args.installed, ports)
    session = Session(place.directory, place.environment)
    wrong = 0
    try:
        if not any("serves" in block.notes for block in blocks):
            session.serve("%s -g 'worker_processes 2;'" % place.program)
        for block in blocks:
            if "file" in block.notes:
                path = os.path.join(place.directory, block.notes["file"])
                with open(path, "w", encoding="utf-8") as file:
                    file.write(with_ports("\n".join(block.lines), ports) + "\n")
                continue
            wrong += type_block(session, block, place, ports,
                                lambda text: print("failed: %s: %s" % (os.path.relpath(page, ROOT), text)))
    except (TimeoutError, ValueError) as error:
        print("failed: %s: %s" % (os.path.relpath(page, ROOT), error))
        wrong += 1
    finally:
        session.end()
        place.remove()
    return typed, wrong


def main():
    parser = argparse.ArgumentParser(description="Types the console blocks of the documentation.")
    parser.add_argument("--build", required=True, help="what make has built")
    parser.add_argument("--installed", help="a tree that make install DESTDIR= has made")
    parser.add_argument("pages", nargs="*")
    args = parser.parse_args()
    # Pages of a clone, which are not installed.
    tour = [] if args.installed else [os.path.join(ROOT, p) for p in ("README.md", "modules/samples/README.md")]
    pages = args.pages or tour + sorted(
        os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(ROOT, "docs"))
        for name in names if name.endswith(".md"))
    passed = failed = 0
    for page in pages:
        result = type_page(page, args)
        if result is not None:
            passed += result[0] - result[1]
            failed += result[1]
    print("docs %s: %d passed, %d failed" % ("installed" if args.installed else "source", passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
