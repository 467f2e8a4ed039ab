"""Chromium without a window, driven over a pipe by the DevTools protocol
(https://chromedevtools.github.io/devtools-protocol/): nothing but Debian's package is needed.

Names that end with .test are 127.0.0.1 to it.
"""

import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time

PATIENCE = 60  # seconds for whatever is waited for
PROGRAMS = ("chromium", "chromium-headless-shell")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--no-proxy-server", "--remote-debugging-pipe",
    "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, "
    "EXCLUDE 127.0.0.1, EXCLUDE localhost",
    # What browsers themselves do against such pages is not what is tested here.
    "--disable-features=LocalNetworkAccessChecks,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable",
)


def find():
    """The program's path, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Chromium:
    """One process, with its own profile in a directory that goes with it."""

    def __init__(self, program):
        self.home = tempfile.mkdtemp(prefix="pillion-browser-")
        self.number, self.events, self.input = 0, [], b""
        commands, self.output = high(os.pipe())
        self.replies, replies = high(os.pipe())
        log = os.path.join(self.home, "log")
        environment = dict(os.environ, HOME=self.home, XDG_CONFIG_HOME=self.home,
                           XDG_CACHE_HOME=self.home)
        self.pid = os.posix_spawn(
            program, (program, *OPTIONS, "--user-data-dir=" + self.home + "/profile"), environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, commands, 3),  # the two that the option has it use
                (os.POSIX_SPAWN_DUP2, replies, 4)],
            setpgroup=0)
        os.close(commands)
        os.close(replies)

    def close(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)
        shutil.rmtree(self.home, ignore_errors=True)

    def log(self):
        with open(os.path.join(self.home, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def receive(self, deadline):
        """The next message that comes; None when it is not there by `deadline`."""
        while b"\0" not in self.input:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.replies], [], [], left)[0]:
                return None
            more = os.read(self.replies, 1 << 16)
            if not more:
                raise RuntimeError("Chromium has ended: " + self.log()[-2000:])
            self.input += more
        message, _, self.input = self.input.partition(b"\0")
        return json.loads(message)

    def ask(self, method, session=None, **params):
        """The answer to a command. Events that come before it are kept."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": params}
        if session is not None:
            command["sessionId"] = session
        os.write(self.output, json.dumps(command).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while (message := self.receive(deadline)) is not None:
            if message.get("id") != self.number:
                self.events.append(message)
            elif "error" in message:
                raise RuntimeError("%s: %s" % (method, message["error"]["message"]))
            else:
                return message["result"]
        raise RuntimeError("%s: no answer within %d s" % (method, PATIENCE))

    def wait(self, wanted, what):
        """Waits for an event of which `wanted` is true; what it gives is given back."""
        deadline = time.monotonic() + PATIENCE
        at = 0
        while True:
            while at < len(self.events):
                found = wanted(self.events[at])
                if found:
                    return found
                at += 1
            message = self.receive(deadline)
            if message is None:
                raise AssertionError("%s has not happened within %d s" % (what, PATIENCE))
            self.events.append(message)


def high(ends):
    """Both ends of a pipe, above the numbers that are given to Chromium."""
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved


class Page:
    """A tab of its own, in which a page has been opened."""

    def __init__(self, chromium, url):
        self.chromium = chromium
        self.target = chromium.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = chromium.ask("Target.attachToTarget", targetId=self.target,
                                    flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Runtime"):
            self.ask(domain + ".enable")
        wrong = self.ask("Page.navigate", url=url).get("errorText")
        if wrong:
            raise AssertionError("%s does not open: %s" % (url, wrong))
        self.wait_loaded(url)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.chromium.ask("Target.closeTarget", targetId=self.target)
        self.chromium.events.clear()

    def ask(self, method, **params):
        return self.chromium.ask(method, self.session, **params)

    def wait_event(self, method, wanted, what):
        return self.chromium.wait(
            lambda event: event.get("sessionId") == self.session and
            event.get("method") == method and wanted(event["params"]), what)

    def wait_loaded(self, url):
        """Waits until the document at `url` is there, and whole."""
        def is_it(params):
            return params["frame"]["url"].startswith(url)
        self.wait_event("Page.frameNavigated", is_it, "the opening of " + url)
        self.run("if (document.readyState != 'complete')"
                 "    await new Promise((done) => addEventListener('load', done));")

    def run(self, script):
        """Runs the body of an asynchronous function in the page; gives what it returns."""
        answer = self.ask("Runtime.evaluate", expression="(async () => {%s})()" % script,
                          awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise AssertionError(details.get("exception", details).get("description", details))
        return answer["result"].get("value")

    def status_of(self, method, url):
        """The status of the response to the page's request, also where the page may not know it."""
        request = self.wait_event(
            "Network.requestWillBeSent",
            lambda params: params["request"]["url"] == url and
            params["request"]["method"] == method and params["requestId"],
            "a %s of %s" % (method, url))
        return self.wait_event(
            "Network.responseReceivedExtraInfo",
            lambda params: params["requestId"] == request and params["statusCode"],
            "the response to a %s of %s" % (method, url))
