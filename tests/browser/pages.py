#!/usr/bin/env python3
"""Web pages in a real browser try to call a server: those that may, and those that may not.

    PILLION_BUILD=build python3 tests/browser/pages.py

Each case opens pages of an origin of its own and runs a script in them. What the server has run is
counted by the server itself, at an address that no page can reach. Without Chromium nothing is
tested, and that is said, to SKIPPED, a file, as well.
"""

import contextlib
import http.server
import itertools
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import chromium

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from ports import free_ports

CASES = []

CONFIGURATION = """
load_module modules/ping.so;
load_module modules/hello.so;
load_module modules/rpc.so;

server {
    listen 127.0.0.1:%(closed)d;
    method ping;
    method greet;
    method rpc.health;
}
server {
    listen 127.0.0.1:%(open)d;
    allow_origin http://friend.test:%(pages)d;
    allow_host shop.test;
    method ping;
    method greet;
    method rpc.health;
}
server {
    listen 127.0.0.1:%(frame)d protocol=frame;
    listen 127.0.0.1:%(line)d protocol=line;
    listen 127.0.0.1:%(lsp)d protocol=lsp;
    method ping;
}
server {
    listen unix:run/count.sock;
    method rpc.stats;
}
"""

# Functions of every script: what a request has come to, in words.
LIBRARY = """
const json = {'Content-Type': 'application/json'};
async function attempt(url, options) {
    try {
        const reply = await fetch(url, options);
        return [reply.type == 'opaque' ? 'opaque' : reply.status, await reply.text()];
    } catch (error) {
        return ['refused', error.name];
    }
}
const post = (url, body, headers = json) => attempt(url, {method: 'POST', headers, body});
const blind = (url, body) => attempt(url, {method: 'POST', mode: 'no-cors', body});
"""


def case(function):
    CASES.append(function)
    return function


def expect_equal(value, wanted):
    if value != wanted:
        raise AssertionError("%r is not %r" % (value, wanted))


def expect_part(text, part):
    if part not in text:
        raise AssertionError("%r has no %r" % (text, part))


class Trial:
    """A server, other people's pages, and a browser."""

    def __init__(self, build, browser):
        self.build, self.browser = build, browser
        self.prefix = pathlib.Path(tempfile.mkdtemp(prefix="pillion-pages-"))
        self.pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), BlankPage)
        threading.Thread(target=self.pages.serve_forever, daemon=True).start()
        first = free_ports(5)
        self.ports = dict(zip(("closed", "open", "frame", "line", "lsp"), range(first, first + 5)),
                          pages=self.pages.server_port)
        for name in ("conf", "run"):
            (self.prefix / name).mkdir()
        shutil.copytree(build / "modules", self.prefix / "modules",
                        ignore=lambda _, names: [n for n in names if not n.endswith(".so")])
        (self.prefix / "conf/pillion.conf").write_text(CONFIGURATION % self.ports)
        with open(self.prefix / "log", "w", encoding="utf-8") as log:
            self.server = subprocess.Popen([build / "pillion", "-p", self.prefix], stderr=log)

    def wait(self):
        """Waits until the server serves."""
        deadline = time.monotonic() + chromium.PATIENCE
        while "generation 1 serves" not in self.log():
            if time.monotonic() > deadline or self.server.poll() is not None:
                raise RuntimeError("the server does not serve: " + self.log())
            time.sleep(0.02)

    def close(self):
        self.server.terminate()
        self.server.wait()
        self.pages.shutdown()
        shutil.rmtree(self.prefix)

    def log(self):
        return (self.prefix / "log").read_text()

    def call(self, address, *words):
        return subprocess.run([self.build / "pillion", "call", "--server", address, *words],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=chromium.PATIENCE, check=True).stdout

    def url(self, host, port, path):
        return "http://%s:%d%s" % (host, self.ports[port], path)

    def at(self, port, path="/ping"):
        """An address of the server, as a person would write it."""
        return self.url("127.0.0.1", port, path)

    def page(self, host, port="pages", path="/"):
        return chromium.Page(self.browser, self.url(host, port, path))

    def foreign(self):
        return self.page("evil.test")

    def friend(self):
        return self.page("friend.test")

    def count(self):
        """How often any method that pages try has been called."""
        stats = json.loads(self.call("unix:%s/run/count.sock" % self.prefix, "rpc.stats"))
        return sum(stats["methods"][name]["calls"] for name in ("ping", "greet"))

    @contextlib.contextmanager
    def runs(self, calls):
        before = self.count()
        yield
        expect_equal(self.count() - before, calls)


class BlankPage(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"<!doctype html><title>A page</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def run(page, script, **values):
    """Runs a script that sees `values` as variables."""
    given = "".join("const %s = %s;" % (name, json.dumps(value)) for name, value in values.items())
    return page.run(LIBRARY + given + script)


# ---- pages of other people ----------------------------------------------------------------------

@case
def a_foreign_pages_json_is_stopped_by_the_question_before_it(t):
    for path in ("/ping", "/", "/mcp"):
        with t.runs(0), t.foreign() as page:
            expect_equal(run(page, "return post(url, '{}')", url=t.at("closed", path)),
                         ["refused", "TypeError"])
            expect_equal(page.status_of("OPTIONS", t.at("closed", path)), 403)


@case
def a_foreign_page_can_send_no_other_type_either(t):
    bodies = {"/ping": "1", "/": '{"in":"ping"}',
              "/mcp": '{"jsonrpc":"2.0","id":1,"method":"tools/call",'
                      '"params":{"name":"greet","arguments":{"name":"Ada"}}}'}
    for path, body in bodies.items():
        with t.runs(0), t.foreign() as page:
            url = t.at("closed", path)
            expect_equal(run(page, "return blind(url, body)", url=url, body=body)[0], "opaque")
            expect_equal(page.status_of("POST", url), 403)


@case
def a_foreign_page_learns_nothing_from_an_answer(t):
    with t.runs(0), t.foreign() as page:
        url = t.at("closed", "/rpc.health")
        expect_equal(run(page, "return attempt(url)", url=url), ["refused", "TypeError"])
        expect_equal(page.status_of("GET", url), 403)


@case
def a_form_of_a_foreign_page_calls_nothing(t):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        with t.runs(0), t.foreign() as page:
            page.run("""
                const form = document.createElement('form');
                Object.assign(form, {method: 'POST', action: %s, enctype: %s});
                form.innerHTML = '<input name=\\'{"in":"ping","params":"\\' value=\\'"}\\'>';
                document.body.append(form);
                setTimeout(() => form.submit());
            """ % (json.dumps(t.at("closed", "/")), json.dumps(kind)))
            page.wait_loaded(t.at("closed", "/"))
            expect_part(page.run("return document.body.innerText"),
                        'pages of \\"http://evil.test:%d\\" may not call' % t.ports["pages"])
            expect_equal(page.status_of("POST", t.at("closed", "/")), 403)


@case
def a_beacon_of_a_foreign_page_calls_nothing(t):
    for kind, method in (("text/plain", "POST"), ("application/json", "OPTIONS")):
        with t.runs(0), t.foreign() as page:
            run(page, "navigator.sendBeacon(url, new Blob(['1'], {type: kind}))",
                url=t.at("closed"), kind=kind)
            expect_equal(page.status_of(method, t.at("closed")), 403)


@case
def a_page_without_an_origin_of_its_own_calls_nothing(t):
    with t.runs(0), t.foreign() as page:
        result = run(page, """
            const frame = document.createElement('iframe');
            frame.sandbox = 'allow-scripts';
            const told = new Promise((done) => addEventListener('message', (e) => done(e.data)));
            frame.srcdoc = `<script>
                fetch(${JSON.stringify(url)}, {method: 'POST', mode: 'no-cors', body: '1'})
                    .then((reply) => parent.postMessage([origin, reply.type], '*'));
            </${'script'}>`;
            document.body.append(frame);
            return await told;
        """, url=t.at("closed"))
        expect_equal(result, ["null", "opaque"])


@case
def a_link_on_a_foreign_page_can_be_followed(t):
    with t.foreign() as page:
        url = t.at("closed", "/rpc.health")
        page.run("setTimeout(() => location = %s)" % json.dumps(url))
        page.wait_loaded(url)
        expect_equal(page.status_of("GET", url), 200)


@case
def pictures_scripts_and_frames_of_a_foreign_page_call_nothing(t):
    for element, path in itertools.product(("img", "script", "iframe"), ("/ping", "/rpc.health")):
        with t.runs(0), t.foreign() as page:
            url = t.at("closed", path)
            run(page, """
                const element = document.createElement(name);
                const told = new Promise((done) => element.onload = element.onerror = done);
                element.src = url;
                document.body.append(element);
                await told;
            """, name=element, url=url)
            expect_equal(page.status_of("GET", url), 403)


# ---- pages that may -----------------------------------------------------------------------------

@case
def a_page_of_an_allowed_origin_calls_and_reads_the_answer(t):
    with t.runs(3), t.friend() as page:
        expect_equal(run(page, "return post(url, '[1, 2]')", url=t.at("open")), [200, "[1, 2]"])
        expect_equal(page.status_of("OPTIONS", t.at("open")), 204)
        expect_equal(run(page, "return post(url, body)", url=t.at("open", "/"),
                         body='{"jsonrpc":"2.0","id":7,"method":"ping","params":[7]}'),
                     [200, '{"jsonrpc":"2.0","result":[7],"id":7}'])
        status, body = run(page, "return attempt(url)", url=t.at("open", "/rpc.health"))
        expect_equal([status, json.loads(body)["status"]], [200, "ok"])
        # An error can be read, and what a page sends in fields of its own is no hindrance.
        status, body = run(page, "return post(url, '1')", url=t.at("open", "/none"))
        expect_equal([status, json.loads(body)["code"]], [404, "method_not_found"])
        fields = {"Content-Type": "application/json", "Authorization": "Bearer x",
                  "Deadline-Ms": "30000", "Tracestate": "a=b", "X-Of-The-Page": "1"}
        expect_equal(run(page, "return post(url, '3', fields)", url=t.at("open"), fields=fields),
                     [200, "3"])


@case
def an_allowed_page_has_to_send_json(t):
    with t.runs(0), t.friend() as page:
        status, body = run(page, "return post(url, '1', {})", url=t.at("open"))
        expect_equal(status, 415)
        expect_part(body, "application/json")
        expect_equal(run(page, "return attempt(url, {method: 'PUT'})", url=t.at("open")),
                     ["refused", "TypeError"])


@case
def an_origin_that_is_not_allowed_gains_nothing_from_another_that_is(t):
    for host in ("evil.test", "friend.test.test"):
        with t.runs(0), t.page(host) as page:
            expect_equal(run(page, "return blind(url, '1')", url=t.at("open"))[0], "opaque")
            expect_equal(page.status_of("POST", t.at("open")), 403)
            expect_equal(run(page, "return post(url, '1')", url=t.at("open")),
                         ["refused", "TypeError"])


@case
def an_allowed_page_can_be_an_agents(t):
    fields = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
              "MCP-Protocol-Version": "2025-11-25"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "greet", "arguments": {"name": "Ada"}}}
    with t.runs(1), t.friend() as page:
        status, reply = run(page, "return post(url, body, fields)", url=t.at("open", "/mcp"),
                            body=json.dumps(body), fields=fields)
        expect_equal(status, 200)
        expect_part(json.loads(reply)["result"]["content"][0]["text"], "Ada")


@case
def a_page_of_the_server_itself_calls(t):
    for host in ("127.0.0.1", "localhost"):
        with t.runs(1), t.page(host, "closed", "/rpc.health") as page:
            expect_equal(run(page, "return post('/ping', '5')"), [200, "5"])
            expect_equal(run(page, "return post('/ping', '5', {})")[0], 415)


@case
def another_name_of_the_server_is_another_origin(t):
    with t.runs(0), t.page("localhost", "closed", "/rpc.health") as page:
        expect_equal(run(page, "return post(url, '1')", url=t.at("closed")),
                     ["refused", "TypeError"])


# ---- names whose address the page's author decides -----------------------------------------------

@case
def a_name_that_is_made_to_mean_this_machine_reaches_nothing(t):
    """What the page's author has is a document of http://rebound.test, which is now 127.0.0.1."""
    statuses = {"/ping": 421, "/": 421, "/healthz": 421, "/mcp": 403}
    for port in ("closed", "open"):
        with t.runs(0), t.page("rebound.test", port) as page:
            for path, wanted in statuses.items():
                status, body = run(page, "return post(url, body)", url=path, body='{"in":"ping"}')
                expect_equal(status, wanted)
                expect_part(body, "rebound.test")
            expect_equal(run(page, "return attempt('/rpc.health')")[0], 421)


@case
def a_name_that_the_server_knows_is_taken(t):
    with t.runs(1), t.page("shop.test", "open", "/rpc.health") as page:
        expect_equal(run(page, "return post('/ping', '6')"), [200, "6"])
    with t.runs(0), t.page("shop.test", "closed") as page:
        expect_equal(run(page, "return post('/ping', '6')")[0], 421)


@case
def an_allowed_origin_does_not_make_a_foreign_name_good(t):
    with t.runs(0), t.friend() as page:
        url = t.url("rebound.test", "open", "/ping")
        expect_equal(run(page, "return post(url, '1')", url=url), ["refused", "TypeError"])
        expect_equal(page.status_of("OPTIONS", url), 421)


# ---- what is not spoken here ---------------------------------------------------------------------

@case
def a_stream_of_events_fails_and_is_not_tried_again(t):
    script = """
        const source = new EventSource(url);
        const kind = await new Promise((done) => {
            source.onopen = () => done('open');
            source.onerror = () => done('error');
        });
        return [kind, source.readyState];
    """
    with t.runs(0), t.page("127.0.0.1", "closed", "/rpc.health") as page:
        for path in ("/ping", "/mcp", "/rpc.health"):
            expect_equal(run(page, script, url=path), ["error", 2])  # 2: closed for good
    with t.runs(0), t.foreign() as page:
        expect_equal(run(page, script, url=t.at("closed")), ["error", 2])


@case
def a_websocket_is_refused(t):
    script = """
        const socket = new WebSocket(url);
        return await new Promise((done) => {
            socket.onopen = () => done('open');
            socket.onclose = (event) => done(event.code);
        });
    """
    own = ("127.0.0.1", "closed", "/rpc.health")
    for opened in (("evil.test",), own):
        with t.runs(0), t.page(*opened) as page:
            for port in ("closed", "frame", "line", "lsp"):
                for path in ("/ping", "/mcp"):
                    url = t.at(port, path).replace("http", "ws", 1)
                    expect_equal(run(page, script, url=url), 1006)


@case
def listeners_of_other_protocols_run_nothing_that_a_page_sends(t):
    """The body is all that a page can choose freely: it tries a message of each protocol."""
    message = '{"in":"ping","params":1}'
    body = "\n%s\n\r\nContent-Length: %d\r\n\r\n%s" % (message, len(message), message)
    for port in ("frame", "line", "lsp"):
        with t.runs(0), t.foreign() as page:
            run(page, "await blind(url, body); await blind(url, body + ' '.repeat(100000))",
                url=t.at(port), body=body)
            run(page, "await blind(url, new Blob([new Uint32Array([size]), message]))",
                url=t.at(port), size=len(message), message=message)
    with t.runs(1):
        expect_equal(t.call(t.at("frame", "")[len("http://"):], "ping", "8"), "8\n")


@case
def a_person_who_opens_another_protocols_listener_reads_what_it_speaks(t):
    spoken = {"frame": "frames of JSON", "line": "lines of JSON",
              "lsp": "messages with Content-Length"}
    for port, words in spoken.items():
        with t.page("127.0.0.1", port) as page:
            expect_part(page.run("return document.body.innerText"), "this port speaks %s, not HTTP" % words)


# ---- running ------------------------------------------------------------------------------------

def attempt(trial, function):
    """None, or what has gone wrong."""
    try:
        function(trial)
    except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        return "%s: %s" % (type(error).__name__, error)
    return None


def main():
    build = pathlib.Path(os.environ.get("PILLION_BUILD", "build")).resolve()
    program = chromium.find()
    if program is None:
        print("skipped: pages in a browser: there is no chromium")
        with open(os.environ.get("SKIPPED", os.devnull), "a", encoding="utf-8") as skipped:
            skipped.write("pages in a browser: there is no chromium\n")
        return 0
    chosen = [function for function in CASES
              if not sys.argv[1:] or function.__name__ in sys.argv[1:]]
    failed = 0
    browser = chromium.Chromium(program)
    try:
        trial = Trial(build, browser)
        try:
            trial.wait()
            for function in chosen:
                wrong = attempt(trial, function)
                failed += wrong is not None
                if wrong is not None:
                    print("failed: %s: %s" % (function.__name__, wrong))
            complaints = re.findall(r".*(?:died|crash|ERROR: ).*", trial.log())
            if complaints:
                failed += 1
                print("failed: the log says %s" % complaints)
        finally:
            trial.close()
    finally:
        browser.close()
    print("pages in a browser: %d passed, %d failed" % (len(chosen) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
