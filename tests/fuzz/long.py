#!/usr/bin/env python3
"""Fuzzing for hours, in as many parts as one likes: corpora and counts stay in a directory of their own.

    python3 tests/fuzz/long.py --build build --state build/fuzz-long [--runs 1000000000] [--jobs 1]
                               [--slice 120] [--seconds N] [--only json,http] [--totals]

Every target gets the same time: the one that has had the least is run next, for a slice, until the
runs of all targets add up to --runs. A run is counted when it is of an input that was made: reading
the corpus again at the start of each slice counts for nothing. SIGINT and SIGTERM end it at once
with what was done so far counted; SIGKILL costs the count of the slices that were under way.

An input that fails is left in STATE/failed. Its target is passed over from then on, until the input
passes: then the input becomes a part of the corpus. Exits 1 while there is one.
"""

import argparse
import datetime
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TIMEOUT = 60  # seconds for one input, on a machine that does other things


class Target:
    def __init__(self, path, build, state):
        self.path, self.state = path, state
        self.name = os.path.basename(path)[len("fuzz_"):]
        family = self.name.split("_")[0]
        self.corpus = os.path.join(state, "corpus", self.name)
        os.makedirs(self.corpus, exist_ok=True)
        seeds = [os.path.join(HERE, "seeds", n) for n in sorted({self.name, family})]
        seeds += [os.path.join(build, "modules")] if self.name == "modinfo" else []
        self.seeds = [s for s in seeds if os.path.isdir(s)]
        dictionary = os.path.join(HERE, family + ".dict")
        self.options = ["-dict=" + dictionary] if os.path.exists(dictionary) else []
        self.busy = self.left_out = False

    def failed(self):
        return glob.glob(os.path.join(self.state, "failed", self.name + "-*-*"))

    def command(self, seconds, runs):
        return [self.path, "-max_total_time=%d" % seconds, "-runs=%d" % runs, "-timeout=%d" % TIMEOUT,
                "-print_final_stats=1", "-verbosity=0", *self.options,
                "-artifact_prefix=%s-" % os.path.join(self.state, "failed", self.name),
                self.corpus, *self.seeds]

    def retry_failed(self):
        """Inputs that pass by now are taken in; the target is left out while one does not."""
        for path in self.failed():
            again = subprocess.run([self.path, "-timeout=%d" % TIMEOUT, path], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
            if again.returncode == 0:
                shutil.move(path, os.path.join(self.corpus, os.path.basename(path)))
            else:
                self.left_out = True


class Counts:
    """What was done, by target, in STATE/counts.json: it is replaced as a whole, and never half written."""

    def __init__(self, state):
        self.path = os.path.join(state, "counts.json")
        self.of = {}
        if os.path.exists(self.path):
            with open(self.path) as f:
                self.of = json.load(f)

    def row(self, name):
        return self.of.setdefault(name, {"runs": 0, "seconds": 0.0, "since": None, "until": None})

    def add(self, name, runs, seconds):
        row, now = self.row(name), datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")
        row["runs"] += runs
        row["seconds"] = round(row["seconds"] + seconds, 1)
        row["since"], row["until"] = row["since"] or now, now
        with open(self.path + ".new", "w") as f:
            json.dump(self.of, f, indent=1, sort_keys=True)
        os.replace(self.path + ".new", self.path)

    def total(self):
        return sum(row["runs"] for row in self.of.values())


def runs_of(output):
    """Inputs that were made and run, as libFuzzer tells them: without those that it has read."""
    executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", output)
    read = re.search(r"seed corpus: files: (\d+)", output)
    return max(0, int(executed[1]) - int(read[1])) if executed and read else 0


class Campaign:
    def __init__(self, args):
        self.args = args
        os.makedirs(os.path.join(args.state, "failed"), exist_ok=True)
        self.counts = Counts(args.state)
        paths = [p for p in sorted(glob.glob(os.path.join(args.build, "fuzz", "fuzz_*")))
                 if os.access(p, os.X_OK) and not p.endswith(".d")]
        targets = [Target(p, args.build, args.state) for p in paths]
        only = args.only.split(",") if args.only else [t.name for t in targets]
        self.targets = [t for t in targets if t.name in only]
        self.lock, self.over, self.running = threading.Lock(), threading.Event(), {}
        self.until = time.monotonic() + args.seconds if args.seconds else float("inf")

    def next_target(self):
        """The one that has had the least time, and is not being run; None when there is nothing to do."""
        with self.lock:
            free = [t for t in self.targets if not t.busy and not t.left_out]
            if self.over.is_set() or not free or self.counts.total() >= self.args.runs or \
                    time.monotonic() >= self.until:
                return None
            target = min(free, key=lambda t: self.counts.row(t.name)["seconds"])
            target.busy = True
            return target

    def run_slice(self, target):
        seconds = max(1, min(self.args.slice, self.until - time.monotonic()))
        # Those that are read again at the start are counted by libFuzzer.
        runs = self.args.runs - self.counts.total() + len(os.listdir(target.corpus)) + 10000
        began = time.monotonic()
        process = subprocess.Popen(target.command(seconds, runs), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors="replace", start_new_session=True,
                                   preexec_fn=lambda: os.nice(self.args.nice))
        with self.lock:
            self.running[target.name] = process
        if self.over.is_set():
            process.send_signal(signal.SIGTERM)
        output = process.communicate()[0]
        with self.lock:
            del self.running[target.name]
            runs = runs_of(output)
            self.counts.add(target.name, runs, time.monotonic() - began)
            target.busy, target.left_out = False, bool(target.failed())
            print("%-18s %12s runs, %13s over all%s" % (
                target.name, "{:,}".format(runs), "{:,}".format(self.counts.total()),
                ": FAILED" if target.left_out else ""), flush=True)
        if target.left_out or (runs == 0 and not self.over.is_set()):
            print(output[-6000:], flush=True)
        if runs == 0 and not self.over.is_set():
            target.left_out = True  # it does not even start

    def work(self):
        while (target := self.next_target()) is not None:
            self.run_slice(target)

    def stop(self, *_):
        self.over.set()
        for process in list(self.running.values()):
            process.send_signal(signal.SIGTERM)

    def run(self):
        signal.signal(signal.SIGINT, self.stop)
        signal.signal(signal.SIGTERM, self.stop)
        for target in self.targets:
            target.retry_failed()
        workers = [threading.Thread(target=self.work) for _ in range(self.args.jobs)]
        for worker in workers:
            worker.start()
        for worker in workers:
            while worker.is_alive():
                worker.join(0.2)

    def report(self):
        print("%-18s %15s %9s %9s  %s" % ("target", "runs", "hours", "a second", "until (UTC)"))
        for target in self.targets:
            row = self.counts.row(target.name)
            print("%-18s %15s %9.2f %9.0f  %s%s" % (
                target.name, "{:,}".format(row["runs"]), row["seconds"] / 3600,
                row["runs"] / max(row["seconds"], 1), row["until"] or "-",
                "  FAILED: " + " ".join(target.failed()) if target.failed() else ""))
        print("%-18s %15s of %s" % ("sum", "{:,}".format(self.counts.total()), "{:,}".format(self.args.runs)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--state", default="build/fuzz-long")
    parser.add_argument("--runs", type=int, default=10**9)
    parser.add_argument("--jobs", type=int, default=1, help="targets that are run at the same time")
    parser.add_argument("--slice", type=float, default=120, help="seconds that a target runs before the next")
    parser.add_argument("--seconds", type=float, default=0, help="ends after so many, whatever was done")
    parser.add_argument("--nice", type=int, default=19)
    parser.add_argument("--only", default="")
    parser.add_argument("--totals", action="store_true", help="print what was done so far, and run nothing")
    args = parser.parse_args()
    campaign = Campaign(args)
    if not args.totals:
        campaign.run()
    campaign.report()
    return 1 if any(t.failed() or t.left_out for t in campaign.targets) else 0


if __name__ == "__main__":
    sys.exit(main())
