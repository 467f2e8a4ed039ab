#!/usr/bin/env python3
"""Clients that others wrote call a server while it is reloaded and its workers are killed.

    python3 tests/interop/foreign.py PILLION PREFIX PORT MASTER [NPM]

NPM is a directory with the packages of tests/interop/npm. Every client works in a thread of its own
until the end; each of its steps is a run of a command, or a call on a connection that is kept. Not
one may fail. A client that is not installed is skipped, and said to be.
"""

import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE = 180  # seconds until a client that does nothing has failed
ROUNDS = 2
PAUSE = 0.05  # seconds between two steps, so that the clients leave the processors to each other
LOADS = ("wrk", "ab", "autocannon")  # these leave the others little of the processors
UPLOAD = 900_000  # bytes: more than a worker reads at once, less than max_frame


class Client(threading.Thread):
    """Steps, one after another, until it is told to end or one of them fails."""

    def __init__(self, name, step):
        super().__init__(name=name, daemon=True)
        self.step = step
        self.done = 0
        self.failure = None
        self.ending = threading.Event()

    def run(self):
        try:
            while not self.ending.is_set():
                self.step(self.done)
                self.done += 1
                time.sleep(PAUSE)
        except Exception as error:  # whatever it is, the client has failed
            self.failure = "%s: %s" % (type(error).__name__, error)


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def output_of(*command, cwd=None):
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         timeout=PATIENCE, cwd=cwd)
    expect(run.returncode == 0, "%s exits with %d: %s%s" % (
        command[0], run.returncode, run.stdout[-800:], run.stderr[-800:]))
    return run.stdout


# ---- one function for each client: gives a step -------------------------------------------------

def curl_of(port, files):
    def curl(*arguments):
        # The last line is what curl knows: the status, and how often it has connected.
        out = output_of("curl", "-sS", "-m", str(PATIENCE), "-w", "\n%{http_code} %{num_connects}",
                        *arguments)
        return out.rsplit("\n", 1)

    url = "http://127.0.0.1:%d" % port

    def post(n):
        body, told = curl(
            url, "-d", '{"jsonrpc":"2.0","id":%d,"method":"ping","params":[%d]}' % (n, n))
        reply = json.loads(body)
        expect(told == "200 1" and reply["result"] == [n] and reply["id"] == n, body + told)

    def get(_):
        body, told = curl(url + "/rpc.health")
        expect(told == "200 1" and json.loads(body)["status"], body + told)

    def head(_):
        body, told = curl("-I", url + "/rpc.health")
        expect(told == "200 1" and re.search(r"(?im)^content-length: [1-9]", body), body + told)

    def two_urls(n):
        body, told = curl("-d", '{"n":%d}' % n, url + "/ping", url + "/ping")
        expect((body, told) == ('{"n":%d}\n200 1{"n":%d}' % (n, n), "200 0"), body + told)

    def upload(*headers):
        def step(_):
            sent = pathlib.Path(files, "large.json").read_text()
            body, told = curl("--limit-rate", "3M", "-H", "Content-Type: application/json",
                              *headers, "--data-binary", "@" + os.path.join(files, "large.json"),
                              url + "/ping")
            expect(told == "200 1", told + body[:300])
            expect(body == sent, "%d bytes came back of %d" % (len(body), len(sent)))
        return step

    return {
        "curl POST": post, "curl GET": get, "curl HEAD": head, "curl keep-alive": two_urls,
        "curl chunked": upload("-H", "Transfer-Encoding: chunked", "-H", "Expect:"),
        "curl 100-continue": upload("-H", "Expect: 100-continue"),
    }


def httpie(port):
    def step(n):
        reply = json.loads(output_of(
            "http", "--ignore-stdin", "--check-status", "--body", "--timeout", str(PATIENCE),
            "POST", "127.0.0.1:%d/" % port, "jsonrpc=2.0", "id:=%d" % n, "method=ping",
            "params:=[%d]" % n))
        expect(reply == {"jsonrpc": "2.0", "result": [n], "id": n}, reply)
    return step


def wrk(port, files):
    def step(_):
        for seconds in (1, 10, 60):  # until a slow machine has had the time for one
            out = output_of("nice", "-n", "5", "wrk", "-t1", "-c4", "-d%d" % seconds, "--timeout",
                            str(PATIENCE), "-s", os.path.join(files, "post.lua"),
                            "http://127.0.0.1:%d/ping" % port)
            if not re.search(r"\b0 requests in", out):
                break
        expect(re.search(r"[1-9]\d* requests in", out), out)
        expect("Socket errors" not in out and "Non-2xx" not in out, out)
        expect("wrong bodies: 0\n" in out, out)
    return step


def ab(port, files):
    def step(_):
        out = output_of("nice", "-n", "5", "ab", "-q", "-k", "-c", "4", "-n", "5000",
                        "-s", str(PATIENCE), "-p", os.path.join(files, "small.json"), "-T",
                        "application/json", "http://127.0.0.1:%d/ping" % port)
        told = dict(re.findall(r"^(\S[^:\n]*):\s+(\d+)", out, re.M))
        expect(told["Complete requests"] == "5000" and told["Failed requests"] == "0", out)
        # It has compared every body's size with the first one's.
        expect(told["Document Length"] == "7", out)
        expect(told["Keep-Alive requests"] == "5000", out)
        expect("Non-2xx responses" not in told and "Write errors" not in told, out)
    return step


def autocannon(port, npm):
    def step(_):
        out = json.loads(output_of(
            "nice", "-n", "5", "node",
            os.path.join(npm, "node_modules/autocannon/autocannon.js"), "-j", "-n", "-c", "4",
            "-d", "1", "-t", str(PATIENCE), "-m", "POST", "-b", '{"n":1}',
            "-E", '{"n":1}', "http://127.0.0.1:%d/ping" % port))
        bad = {k: out[k] for k in ("errors", "timeouts", "mismatches", "non2xx", "resets")}
        expect(out["2xx"] > 0 and not any(bad.values()), bad)
    return step


def python_http(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.connect()
    own = connection.sock.getsockname()

    def step(n):
        # A list as the body goes out in chunks.
        parts = [b'{"n":', b"%d}" % n]
        connection.request("POST", "/ping", b"".join(parts) if n % 2 else parts,
                           {"Content-Type": "application/json"}, encode_chunked=not n % 2)
        reply = connection.getresponse()
        body = reply.read()
        expect(reply.status == 200 and json.loads(body) == {"n": n}, "%d %s" % (reply.status, body))
        expect(connection.sock is not None and connection.sock.getsockname() == own,
               "the connection was closed")
    return step


def inspector(port, npm):
    build = os.path.join(npm, "node_modules/@modelcontextprotocol/inspector-cli/build")

    def run(*arguments):
        # It finds its own version from where it is started.
        return json.loads(output_of(
            "node", "cli.js", "--cli", "http://127.0.0.1:%d/mcp" % port,
            "--transport", "http", *arguments, cwd=build))

    def step(n):
        if n % 4 == 1:
            out = run("--method", "tools/list")
            expect("greet" in [tool["name"] for tool in out["tools"]], out)
        out = run("--method", "tools/call", "--tool-name", "greet", "--tool-arg", "name=No %d" % n)
        expect(out["content"][0]["text"] == "Hello, No %d!" % n and not out["isError"], out)
    return step


def python_socket(port, wrap, unwrap):
    """Calls on one connection that is kept, two under way at a time."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = connection.makefile("rb")

    def step(n):
        connection.sendall(b"".join(
            wrap(json.dumps({"in": "ping", "params": [n, half]}).encode()) for half in (0, 1)))
        for half in (0, 1):
            reply = json.loads(unwrap(stream))
            expect(reply == {"out": "pong", "result": [n, half]}, reply)
    return step


def read_frame(stream):
    return stream.read(*struct.unpack("<I", stream.read(4)))


def read_lsp(stream):
    size = int(stream.readline().split(b":")[1])
    expect(stream.readline() == b"\r\n", "no empty line behind Content-Length")
    return stream.read(size)


SOCKETS = {
    "frames": (lambda body: struct.pack("<I", len(body)) + body, read_frame),
    "lines": (lambda body: body + b"\n", lambda stream: stream.readline()),
    "Content-Length": (lambda body: b"Content-Length: %d\r\n\r\n%s" % (len(body), body), read_lsp),
}


def node(name, port, npm, running):
    process = subprocess.Popen(
        ["node", str(pathlib.Path(__file__).resolve().parent / "npm/client.js"), name, str(port)],
        cwd=npm, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    running.append(process)

    def step(_):
        line = process.stdout.readline()
        expect(line == "ok\n", line or "it has ended by itself")
    return step


# ---- HAProxy in front ---------------------------------------------------------------------------

def haproxy(port, front, tcp, files, running):
    """At `front` it speaks HTTP, at `tcp` it passes on whatever comes. Retries are off, so that it
    hides nothing."""
    path = os.path.join(files, "haproxy.cfg")
    pathlib.Path(path).write_text("""
defaults
    mode http
    retries 0
    timeout connect 10s
    timeout client %(patience)ds
    timeout server %(patience)ds
    timeout check %(patience)ds
    http-reuse always
frontend f
    bind 127.0.0.1:%(front)d
    default_backend b
backend b
    option httpchk GET /healthz
    server s 127.0.0.1:%(port)d check inter 200
listen t
    mode tcp
    bind 127.0.0.1:%(tcp)d
    server s 127.0.0.1:%(port)d
""" % {"patience": PATIENCE, "front": front, "tcp": tcp, "port": port})
    running.append(subprocess.Popen([shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-q",
                                     "-f", path]))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            for listener in (front, tcp):
                socket.create_connection(("127.0.0.1", listener), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("HAProxy does not listen on ports %d and %d" % (front, tcp))


# ---- the server ---------------------------------------------------------------------------------

def workers_of(master):
    out = subprocess.run(["ps", "--ppid", str(master), "-o", "pid=,args="], capture_output=True,
                         text=True).stdout
    return [int(line.split()[0]) for line in out.splitlines() if "pillion: worker" in line]


def wait_for_steps(clients, more):
    """Waits until each client that has not failed has done more steps than it had."""
    goals = {client: client.done + more for client in clients}
    deadline = time.monotonic() + PATIENCE
    while any(c.done < goal and c.failure is None for c, goal in goals.items()):
        if time.monotonic() > deadline:
            for client, goal in goals.items():
                if client.done < goal and client.failure is None:
                    client.failure = "no answer within %d s" % PATIENCE
            return
        time.sleep(0.01)


def disturb(pillion, prefix, master, port):
    """Reloads, and then ends each worker of the new generation: no connection is spared. A call of
    "kill" of our own ends them. A signal from outside would now and then find a worker in
    another caller's method, and rightly have that caller's request answered `module_crashed`."""
    output_of(pillion, "-p", prefix, "-s", "reload")
    time.sleep(0.2)
    workers = set(workers_of(master))
    expect(workers, "the server has no workers")
    deadline = time.monotonic() + PATIENCE
    while workers & set(workers_of(master)):
        expect(time.monotonic() < deadline, "some workers were never hit")
        reply = subprocess.run([pillion, "call", "--server", "127.0.0.1:%d" % port, "kill"],
                               capture_output=True, text=True)
        expect("module_crashed" in reply.stderr + reply.stdout, reply.stderr + reply.stdout)
        time.sleep(0.2)


# ---- running ------------------------------------------------------------------------------------

def clients_of(port, front, tcp, files, npm, running):
    """The steps of every client that is here by name, and the names of those that are not."""
    steps, missing = {"python http.client": python_http(port)}, {}

    def add(program, name, make):
        if shutil.which(program):
            made = make()
            steps.update(made if isinstance(made, dict) else {name: made})
        else:
            missing[name] = "there is no %s" % program

    add("curl", "curl", lambda: curl_of(port, files))
    add("http", "httpie", lambda: httpie(port))
    add("wrk", "wrk", lambda: wrk(port, files))
    add("ab", "ab", lambda: ab(port, files))
    if shutil.which("haproxy") or os.path.exists("/usr/sbin/haproxy"):
        haproxy(port, front, tcp, files, running)
        steps["python http.client behind haproxy"] = python_http(front)
        through = curl_of(front, files)
        for name in ("curl POST", "curl chunked"):
            steps[name + " behind haproxy"] = through[name]
        steps["curl POST behind haproxy's mode tcp"] = curl_of(tcp, files)["curl POST"]
        for name, (wrap, unwrap) in SOCKETS.items():
            steps[name + " behind haproxy's mode tcp"] = python_socket(tcp, wrap, unwrap)
    else:
        missing["haproxy"] = "there is no haproxy"

    version = npm and int(output_of("node", "-p", "process.versions.node").split(".")[0])
    for name in ("jayson-http", "jayson-tcp", "json-rpc-2.0", "vscode-jsonrpc",
                 "@open-rpc/client-js", "mcp sdk 1", "mcp client 2", "mcp client 2, auto",
                 "mcp client 2, pin", "mcp inspector", "autocannon"):
        if not npm:
            missing[name] = "npm has brought no packages"
        elif version < 18:
            missing[name] = "node is %d, which is older than 18" % version
        elif name == "autocannon":
            steps[name] = autocannon(port, npm)
        elif name == "mcp inspector":
            steps[name] = inspector(port, npm)
        else:
            steps[name] = node(name, port, npm, running)
    for name in ("jayson-tcp", "vscode-jsonrpc"):
        if name in steps and "haproxy" not in missing:
            steps[name + " behind haproxy's mode tcp"] = node(name, tcp, npm, running)
    return steps, missing


def main():
    pillion, prefix, port, master = sys.argv[1:5]
    npm = sys.argv[5] if len(sys.argv) > 5 else ""
    port, running = int(port), []
    with tempfile.TemporaryDirectory() as files:
        pathlib.Path(files, "large.json").write_text('{"s":"%s"}' % ("x" * UPLOAD))
        pathlib.Path(files, "small.json").write_text('{"n":1}')
        pathlib.Path(files, "post.lua").write_text(
            'wrk.method = "POST"\nwrk.body = \'{"n":1}\'\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
            'wrong = 0\n'
            'function setup(thread) the_thread = thread end\n'
            'function response(_, _, body)\n'
            '    if body ~= wrk.body then wrong = wrong + 1 end\nend\n'
            'function done() print("wrong bodies: " .. the_thread:get("wrong")) end\n')
        try:
            steps, missing = clients_of(port, port + 2, port + 4, files, npm, running)
            clients = [Client(name, step) for name, step in steps.items()]
            loads = [client for client in clients if client.name in LOADS]
            others = [client for client in clients if client.name not in LOADS]
            for client in others:
                client.start()
            wait_for_steps(others, 1)
            for client in loads:
                client.start()
            for _ in range(ROUNDS):
                disturb(pillion, prefix, int(master), port + 5)
            wait_for_steps(clients, 1)
            for client in clients:
                client.ending.set()
            for client in clients:
                client.join(PATIENCE)
        finally:
            for process in running:
                process.kill()
                process.wait()
    for name, why in missing.items():
        print("skipped: %s: %s" % (name, why))
    failed = [client for client in clients if client.failure]
    for client in failed:
        print("failed: %s, after %d steps: %s" % (client.name, client.done, client.failure))
    print("%d passed, %d failed" % (len(clients) - len(failed), len(failed)))
    return 1 if failed or not clients else 0


if __name__ == "__main__":
    sys.exit(main())
