#!/usr/bin/env python3
"""Writes the tables of docs/reliability.md: each is made from what has counted it.

    python3 tests/docs/reliability.py                     the bad inputs, from the tests' own tables
    python3 tests/docs/reliability.py --check             whether they are at least those of the page
    python3 tests/docs/reliability.py --chaos LOG ...     from what `make chaos` has printed
    python3 tests/docs/reliability.py --soak LOG          from what `make soak` has printed
    python3 tests/docs/reliability.py --cluster LOG ...   from what `make cluster` has printed
    python3 tests/docs/reliability.py --fuzz DIR          from what `make fuzz-long` keeps in FUZZ_DIR

A table stands between `<!-- NAME: made by tests/docs/reliability.py -->` and `<!-- /NAME -->`.
"""

import argparse
import collections
import datetime
import glob
import json
import os
import re
import sys
import textwrap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = os.path.join(ROOT, "docs/reliability.md")

# What was tried; the tables of the tests that have the inputs: file, array, and the test that the
# array is in, where several arrays of the file have its name.
BAD_INPUTS = [
    ("JSON that is none, or not strict", [("unit/json_texts.h", "invalid_texts")]),
    ("requests that are JSON, and no requests", [
        ("unit/test_envelope.c", "faults"), ("unit/test_envelope_jsonrpc.c", "faults")]),
    ("heads and bodies of HTTP", [("unit/test_http.c", "refused"), ("e2e/test_http.c", "refused")]),
    ("HTTP that two servers in a row may read in two ways", [("e2e/test_status.c", "smuggled")]),
    ("other protocols at a port", [
        ("unit/test_stranger.c", "beginnings"), ("unit/test_stranger.c", "heads"),
        ("e2e/test_strangers.c", "first")]),
    ("PROXY headers", [
        ("unit/test_proxy_header.c", "bad_lines"), ("unit/test_proxy_header.c", "bad_values"),
        ("e2e/test_balancer.c", "wrong")]),
    ("answers of services behind `proxy_http`", [("e2e/test_proxy_http_peers.c", "bad")]),
    ("modules that cannot be loaded, or crash as they are", [("e2e/test_modules.c", "broken")]),
    ("methods that answer wrongly", [
        ("e2e/test_modules.c", "rude"), ("unit/test_param_write.c", "mistakes")]),
    ("arguments of `pillion call`", [("e2e/test_call.c", "wrong")]),
    ("directives", [
        ("unit/test_conf_directive.c", "wrong"), ("unit/test_conf_directive.c", "bad"),
        ("unit/test_conf_tree.c", "wrong"), ("unit/test_settings.c", "wrong"), ("e2e/test_conf.c", "wrong")]),
    ("patterns of schemas that take other matchers for ever", [("unit/test_schema_pattern.c", "patterns")]),
]
# Statements of a test that each damage something, by a pattern.
DAMAGES = [
    ("records of an arena", "unit/test_arena.c", "record_valid_refuses_every_kind_of_damage", r"^\s+DAMAGED\("),
    ("files in the place of a zone's", "unit/test_zone_file.c", None, r"^\s+expect_refused\("),
    ("calls of a module that break a descriptor of its server", "e2e/test_descriptors.c",
     "a_call_that_breaks_a_descriptor_of_the_server_ends_its_worker_alone", None),
]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def elements(text, start):
    """How many elements the initializer has that begins behind `start`, a place behind its brace."""
    count, depth, filled = 0, 1, False
    token = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|/\*.*?\*/|//[^\n]*|.', re.S)
    for match in token.finditer(text, start):
        one = match[0]
        if one.startswith(("/*", "//")) or one.isspace():
            continue
        if one in "{([":
            depth += 1
        elif one in "})]":
            depth -= 1
            if depth == 0:
                return count + filled
        elif one == "," and depth == 1:
            count, filled = count + 1, False
            continue
        filled = True
    raise ValueError("no end")


def body_of(text, test):
    return re.search(r"START_TEST\(%s\)(.*?)^END_TEST" % test, text, re.S | re.M)[1] if test else text


def count_array(file, array, test=None):
    text = body_of(read(os.path.join(ROOT, "tests", file)), test)
    found = [elements(text, m.end()) for m in re.finditer(r"\b%s\[\] = \{" % array, text)]
    if not found:
        sys.exit("tests/docs/reliability.py: tests/%s has no %s[] any more" % (file, array))
    return sum(found)


def program(file):
    return "`%s`" % os.path.splitext(os.path.basename(file))[0].replace("json_texts", "test_json")


def bad_inputs():
    rows = ["| what | how many | in |", "| --- | ---: | --- |"]
    total = 0
    for what, tables in BAD_INPUTS:
        number = sum(count_array(*table) for table in tables)
        total += number
        rows.append("| %s | %d | %s |" % (what, number, ", ".join(sorted({program(file) for file, *_ in tables}))))
    for what, file, test, pattern in DAMAGES:
        text = body_of(read(os.path.join(ROOT, "tests", file)), test)
        number = len(re.findall(pattern, text, re.M)) if pattern else count_array(file, "rows", test)
        total += number
        rows.append("| %s | %d | %s |" % (what, number, program(file)))
    rows.append("| **in all** | **%d** | |" % total)
    modules = len(glob.glob(os.path.join(ROOT, "tests/modules/*.c*")))
    tests = sum(len(re.findall(r"^START_TEST\(", read(p), re.M))
                for p in glob.glob(os.path.join(ROOT, "tests/*/test_*.c")))
    rows += ["", "They are a part of %d tests, with %d modules of which most are broken in one way each." %
             (tests, modules)]
    return rows


def machine():
    model = re.search(r"model name\s*: (.*)", read("/proc/cpuinfo"))
    return "%s, %d CPUs, Linux %s" % (model[1] if model else "unknown", os.cpu_count(), os.uname().release)


def day(path):
    return datetime.datetime.fromtimestamp(os.path.getmtime(path)).strftime("%Y-%m-%d")


def chaos(paths):
    events, replies, idle, seeds, server, bad = collections.defaultdict(lambda: [0, 0, 0.0]), 0, 0, [], collections.Counter(), 0
    for path in paths:
        text = read(path)
        seeds.append(re.search(r"^seed (\d+)", text, re.M)[1])
        for name, count, errors, slowest in re.findall(r"^([a-z-]+) +(\d+) +(\d+) +([\d.]+)$", text, re.M):
            row = events[name]
            events[name] = [row[0] + int(count), row[1] + int(errors), max(row[2], float(slowest))]
        said = re.search(r"^(\d+) replies checked, (\d+) idle connections; the server counted (.*)", text, re.M)
        replies, idle = replies + int(said[1]), idle + int(said[2])
        server.update({k: int(v) for k, v in re.findall(r"(\w+) (\d+)", said[3])})
        bad += not re.search(r"^disconnects, lost, wrong, reordered: 0$", text, re.M)
    rows = ["Machine: %s; %s. Runs with the seeds %s: %s replies checked, %s connections that waited; %d "
            "runs with a disconnect, or a lost, wrong or reordered reply." % (
                machine(), day(paths[-1]), ", ".join(seeds), "{:,}".format(replies), "{:,}".format(idle), bad), "",
            "| event | times | requests answered with an error |", "| --- | ---: | ---: |"]
    for name, (count, errors, _) in sorted(events.items()):
        if count:
            rows.append("| %s | %d | %d |" % (name, count, errors))
    rows += ["", "The servers counted %s." % ", ".join("{:,} {}".format(server[k], k.replace("_", " ")) for k in (
        "reloads", "crashes", "hangs", "vault_restarts", "handshakes", "adopted", "corrected_in", "corrected_out", "invalid_records"))]
    return rows


CLUSTER_ROW = re.compile(r"^([a-z-]+) +(\d+) +(\d+) +(\d+) +(\d+) +(\S+) +(\S+) +(\S+) +(\S+)$", re.M)


def most(values, form):
    known = [float(v) for v in values if v != "-"]
    return form % max(known) if known else ""


def cluster(paths):
    events, seeds, counts, bad = collections.defaultdict(list), [], collections.Counter(), 0
    for path in paths:
        text = read(path)
        seeds.append(re.search(r"^seed (\d+)", text, re.M)[1])
        for name, *row in CLUSTER_ROW.findall(text):
            events[name].append(row)
        said = re.search(r"^(\d+) calls, (\d+) replies checked, (\d+) records compared", text, re.M)
        counts.update(calls=int(said[1]), replies=int(said[2]), records=int(said[3]))
        bad += not re.search(r"^wrong 0, lost 0, doubled 0, disconnects 0, errors that nothing excuses 0$", text, re.M)
    rows = ["Machine: %s; %s. Runs with the seeds %s: %s replies checked, %s records compared with the hosts' files; %d "
            "runs with anything that the events do not excuse." % (
                machine(), day(paths[-1]), ", ".join(seeds), "{:,}".format(counts["replies"]),
                "{:,}".format(counts["records"]), bad), "",
            "| event | times | replies | errors of `fetch` | errors of `record` | slowest, ms | noticed, s | "
            "recovered, s | back, s |", "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for name, of in sorted(events.items(), key=lambda e: (e[0] != "none", e[0])):
        columns = list(zip(*of))
        rows.append("| %s | %s | %s |" % (name, " | ".join("{:,}".format(sum(map(int, c))) for c in columns[:4]),
                                          " | ".join(most(c, f) for c, f in zip(columns[4:], ("%.0f", "%.1f", "%.1f", "%.1f")))))
    return rows


SLOPE = re.compile(r"^(quiet|eventful) +(\S+(?: \d+)?) +(rss|private|shared|descriptors|threads) +(\d+) +([\d.]+) +"
                   r"([\d.]+) +([+-][\d.]+) ± ([\d.]+)", re.M)


def soak(path):
    text = read(path)
    rows = ["Machine: %s; %s." % (machine(), day(path)), ""]
    for name, said in re.findall(r"^(\w+) server\n(.*?)\n\n", text, re.S | re.M):
        counted = re.search(r"^(\d+) replies checked, (\d+) idle connections; the server counted (.*)", said, re.M)
        events = ["%s %s" % (c, n) for n, c in re.findall(r"^([a-z-]+) +(\d+) ", said, re.M) if c != "0"]
        rows.append("- the *%s* server: %s replies checked; events: %s." % (
            name, "{:,}".format(int(counted[1])), ", ".join(events) or "none"))
    if "kill-vault" not in text:
        rows.append("- no vault was killed in this run: `make soak` has killed them in turns with workers since")
    rows.append("- disconnects, and lost, wrong, doubled or reordered replies: %s." % (
        re.search(r"^disconnects, lost, wrong, reordered: (.*)$", text, re.M)[1]))
    rows += ["", "| server | process | private, KiB | slope, KiB/h | resident, KiB/h | descriptors/h | threads/h |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    table = collections.defaultdict(dict)
    for server, process, what, _, first, last, slope, error in SLOPE.findall(text):
        table[server, process][what] = float(first), float(last), float(slope), float(error)
    for (server, process), of in sorted(table.items()):
        def told(what):
            return "%+d ± %d" % (round(of[what][2]), round(of[what][3])) if what in of else ""
        sizes = "%.0f → %.0f" % of["private"][:2] if "private" in of else ""
        rows.append("| %s | %s | %s | %s | %s | %s | %s |" % (
            server, process, sizes, *(told(w) for w in ("private", "rss", "descriptors", "threads"))))
    return rows


def fuzz(directory):
    path = os.path.join(directory, "counts.json")
    with open(path) as file:
        counts = json.load(file)
    rows = ["Machine: %s; until %s. Runs of all targets: **%s** of 10⁹." % (
        machine(), max(c["until"] for c in counts.values()), "{:,}".format(sum(c["runs"] for c in counts.values()))), "",
        "| target | runs | hours of its time | inputs kept | failed |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, row in sorted(counts.items()):
        kept = len(os.listdir(os.path.join(directory, "corpus", name)))
        failed = len(glob.glob(os.path.join(directory, "failed", name + "-*-*")))
        rows.append("| `%s` | %s | %.2f | %s | %d |" % (
            name, "{:,}".format(row["runs"]), row["seconds"] / 3600, "{:,}".format(kept), failed))
    return rows


def wrapped(rows):
    """Paragraphs as tests/docs/reflow.py would have them; tables as they are."""
    return [line for row in rows for line in (textwrap.wrap(row, 100) if row and row[0] != "|" else [row])]


def put(page, name, rows):
    begin, end = "<!-- %s: made by tests/docs/reliability.py -->\n" % name, "<!-- /%s -->" % name
    before, found, rest = page.partition(begin)
    if not found:
        sys.exit("docs/reliability.md has no table %s" % name)
    return before + begin + "\n" + "\n".join(wrapped(rows)) + "\n\n" + end + rest.partition(end)[2]


def check(page, made):
    """What the page claims is there: more of it may have come since."""
    claimed, counted = ([int(n) for n in re.findall(r"\d+", t)] for t in (page, made))
    if re.sub(r"\d+", "", page) != re.sub(r"\d+", "", made) or any(c > n for c, n in zip(claimed, counted)):
        sys.exit("docs/reliability.md claims other inputs than the tests have: run `make reference`")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--chaos", nargs="+")
    parser.add_argument("--soak")
    parser.add_argument("--cluster", nargs="+")
    parser.add_argument("--fuzz")
    args = parser.parse_args()
    page = read(PAGE)
    made = put(page, "bad inputs", bad_inputs())
    if args.check:
        check(page, made)
        return
    for name, given, make in (("chaos", args.chaos, chaos), ("soak", args.soak, soak),
                              ("cluster", args.cluster, cluster), ("fuzz", args.fuzz, fuzz)):
        made = put(made, name, make(given)) if given else made
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(made)


if __name__ == "__main__":
    main()
