"""Turns the benchmark's results into docs/performance.md and docs/performance.svg. Targets stand here, and
nowhere else."""

import datetime
import math
import os
import platform
import re
import statistics
import subprocess
import sys

import servers

HERE = os.path.dirname(os.path.abspath(__file__))
DOCS = os.path.join(HERE, "../../docs")
sys.path.append(os.path.join(HERE, "../docs"))
from reflow import reflow  # noqa: E402
PAGE_PATH = os.path.join(DOCS, "performance.md")
COLUMNS = ("1,1", "50,1", "50,16", "50,128")
ECHO, PILLION = servers.RawEcho.name, servers.Pillion.name
CJSON, BUILD = servers.RawCjson.name, servers.PillionBuild.name
REDIS = servers.Redis.name

PAGE = """# How fast it is

What Pillion adds to a server that does nothing but echo, measured on one machine in one run of
`make bench`, which has written this page. Absolute figures are that machine's, and they drift by a
third from run to run; the ratios are what can be compared.

{machine}

One worker on one CPU, the load on the other; the vault, statistics and every default are switched on.
The servers take turns, {rounds} rounds of {seconds:g} s for each configuration, best round; "CPU" is the
CPU time of all the server's processes, for each request.{missing}

## Requests

Columns are (connections, requests in flight on each). Requests a second, and microseconds of the
server's CPU for a request:

{table}

- **{echo}** reads and writes back what it has read, as often as its clients send a batch: the least
  that any server can do.
- **{cjson}** parses a request into an arena of its own and prints an answer with cJSON;
  **{build}** does the same in a Pillion handler.
- **{redis}** reads `PING` and writes `+PONG`: seven bytes, no JSON.
- nginx answers `POST`s of HTTP. The teaching server is Python's asyncio.

## Targets

{targets}
{missed}
## Methods that wait

One worker on one CPU; calls in flight are (connections, on each). `ping` is asked 500 times a second on the same
worker meanwhile; alone its p99 is {ping_alone} µs. Redis, PostgreSQL and both loads share the other CPU. Medians of five
rounds, in which everything takes its turn.

{waiting}

`wait` waits 10 ms for a timer, `nap` sleeps 10 ms in one of `pool_threads` (8); `kv.get` and `user.get` are the `redis` and
`postgres` modules' reading of one row by its key.

`kv.get`, and what `redis-benchmark` gets from the same Redis with as many connections and calls in flight, in
turns, with no process bound to a CPU:

{kv_get}

## Latency by load

50 connections, requests sent when they are due, however late earlier replies are; the latency counts
from that moment. A line ends where its server does not keep up.

![Latency by load](performance.svg)

The client spins, so that it sends in time; from 200,000 requests a second on, its own loop is a part
of what is seen, for the bare echo too.

## What else was measured

{rest}

## Do it again

`make bench` takes about a quarter of an hour and writes this page, but for three sections:
`make bench-protocols` takes ten minutes and writes that on protocols, `make bench-tables` two minutes for that on
params and results, `make bench-tls` two minutes for that on TLS. `make bench-quick` compares `ping` alone.
[operations.md](operations.md#how-fast-is-it) has `pillion bench`, for your own methods on your own
machine.
"""


# ---- Figures ----


def ratio(results, name, other, key, column):
    return results["table"][name][column][key] / results["table"][other][column][key]


def targets(results):
    """Rows of (what, where, target, measured, met, note)."""
    def at_least(what, where, target, value, unit="", note=""):
        return what, where, "≥ %g%s" % (target, unit), value, unit, value >= target, note

    def at_most(what, where, target, value, unit="", note=""):
        return what, where, "≤ %g%s" % (target, unit), value, unit, value <= target, note

    rows = []
    for column, target in zip(COLUMNS, (0.97, 0.95, 0.8, 0.5)):
        rows.append(at_least("`ping`, requests/s against the bare echo", "(%s)" % column, target,
                             ratio(results, PILLION, ECHO, "rps", column)))
    if REDIS in results["table"]:
        for column, target in zip(COLUMNS, (1.0, 1.0, 0.9, 0.7)):
            rows.append(at_most("`ping`, CPU for a request against Redis", "(%s)" % column, target,
                                ratio(results, PILLION, REDIS, "cpu_us", column)))
    for column, target in zip(COLUMNS, (0.95, 0.95, 0.9, 0.9)):
        rows.append(at_least("a method with cJSON, requests/s against the bare one",
                             "(%s)" % column, target, ratio(results, BUILD, CJSON, "rps", column)))
    big = results["bodies"]["65536"][PILLION]
    rows.append(at_least("body checked and echoed", "64 KiB", 1, big["wall"], " GB/s"))
    idle = results["idle"]
    most = str(idle["connections"])
    for kind in ("fresh", "used"):
        if most in idle[kind]:
            rows.append(at_most("memory of an idle connection", "%s, %s" % (most, kind), 256,
                                idle[kind][most], " bytes"))
    rows.append(at_most("CPU of idle connections, over that of none", most, 0.01,
                        max(idle["cpu_percent"] - idle["cpu_percent_alone"], 0), " %"))
    if results["at_rest"]["worker"] is not None:
        rows.append(at_most("private memory of a worker at rest", "`ping` loaded", 2,
                            results["at_rest"]["worker"] / 1024, " MiB"))
    connects = results["connects"]
    rows.append(at_least("connect, one call, close: against the bare echo", "50 clients", 0.9,
                         connects[PILLION]["per_second"] / connects[ECHO]["per_second"]))
    times = results["times"]
    rows.append(at_most("start to first answer", "2 workers, median", 50,
                        statistics.median(times["start"]), " ms"))
    rows.append(at_most("reload, from command to exit", "2 workers, median", 100,
                        statistics.median(times["reload"]), " ms"))
    rows.append(at_most("two workers that share connections: apart",
                        "%d, worst of %d" % (results["balance"]["connections"],
                                             len(results["balance"]["apart_percent"])),
                        10, max(results["balance"]["apart_percent"]), " %"))
    two = results["two_workers"]
    rows.append(at_most("CPU for a request of two workers against one", "2 × (25,16)", 1.1,
                        two["two"]["cpu_us"] / two["one"]["cpu_us"]))
    crowds = results["crowds"]
    count = max(crowds[PILLION], key=int)
    growth = {name: crowds[name][count] / crowds[name]["50"] for name in (PILLION, ECHO)}
    rows.append(at_most("CPU for a request with many busy connections against 50", count, 1.2,
                        growth[PILLION], note="the bare echo's grows by %.2f: this is the kernel's, "
                        "whose sockets no longer fit the caches" % growth[ECHO]))
    for name, what, where, target in (
            ("neighbours", "the same beside idle ones", "connections", 1.05),
            ("methods", "the same with many methods", "methods", 1.02)):
        part = results[name]
        rows.append(at_most(what, str(part[where]), target, part["with"] / part["without"]))
    for count, found in results["recovery"]["connections"].items():
        for key, what, target in (("first_ms", "death of a worker to the first reply", 10),
                                  ("last_ms", "death of a worker to the last adoption", 50)):
            rows.append(at_most(what, count + ", median", target, found[key], " ms"))
    waiting = results["waiting"]
    for method, loads in waiting["methods"].items():
        for load, row in loads.items():
            rows.append(at_most("`ping`'s p99 beside `%s`, against alone" % method, "(%s)" % load, 2,
                                row["ping_p99_us"] / waiting["ping_alone"],
                                note="the load's processes and the servers that are asked share one "
                                "CPU with the `ping` client"))
    rows.append(at_most("a thousand waits of 10 ms, p99", "20 × 50 in flight", 25,
                        waiting["methods"]["wait"]["20,50"]["p99_us"] / 1000, " ms"))
    for load, row in waiting["redis"].items():
        rows.append(at_least("`kv.get`, requests/s against redis-benchmark", "(%s)" % load, 0.5,
                             row["ratio"]))
    return rows


def figure(value):
    """Three digits that count."""
    if value == 0:
        return "0"
    return "%.*f" % (max(0, 2 - math.floor(math.log10(abs(value)))), value)


def thousands(value):
    return "{:,.0f}".format(float("%.3g" % value))


def lines(header, rows):
    return "\n".join(["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)] +
                     ["| " + " | ".join(row) + " |" for row in rows])


# ---- The page ----


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    compiler = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True).stdout
    return "Machine: %s, %d CPUs, Linux %s, gcc %s; %s." % (
        re.sub(r"\s+", " ", model.group(1)) if model else platform.machine(), os.cpu_count(),
        platform.release(), compiler.strip(), datetime.date.today().isoformat())


def request_table(table):
    rows = [[name] + ["%s, %s" % (thousands(found[column]["rps"]), figure(found[column]["cpu_us"]))
                      for column in COLUMNS] for name, found in table.items()]
    return lines(["server"] + ["(%s)" % column for column in COLUMNS], rows)


def waiting_table(waiting):
    rows = []
    for method, loads in waiting["methods"].items():
        for load, row in loads.items():
            rows.append(["`%s`" % method, "(%s)" % load, thousands(row["rps"]),
                         figure(row["p50_us"] / 1000), figure(row["p99_us"] / 1000),
                         figure(row["ping_p99_us"])])
    return lines(["method", "in flight", "a second", "p50, ms", "p99, ms", "`ping`'s p99, µs"], rows)


def rest(results):
    found = []
    small = results["bodies"]["1024"]
    found.append("- Bodies of 1 KiB, 16 in flight on each of 50 connections: %s GB/s; the bare echo has %s."
                 % (figure(small[PILLION]["wall"]), figure(small[ECHO]["wall"])))
    connects = results["connects"]
    found.append("- Connect, call, close with 50 clients at once: %s a second, %s µs of CPU; the bare echo "
                 "has %s, and %s µs." % tuple(
                     text for name in (PILLION, ECHO)
                     for text in (thousands(connects[name]["per_second"]),
                                  figure(connects[name]["cpu_us"]))))
    kinds = results["at_rest"]
    found.append("- Private memory at rest: " + ", ".join(
        "%s %s KiB" % item for item in kinds.items()) + ".")
    loads = results["generators"]
    found.append("- `pillion bench` against the bare client, both loading the bare echo from one CPU: " +
                 ", ".join("%s at (%s)" % (figure(rates["pillion bench"] / rates["bare client"]), load)
                           for load, rates in loads.items()) + ".")
    return "\n".join(found)


# ---- The sections that others write ----

SECTIONS, BEHIND = ("## Protocols\n", "## Params and results\n", "## TLS\n"), "## Do it again\n"


def section_of(page, title):
    """The section of this title; "" when the page has none."""
    start = page.find(title)
    return page[start:page.index("\n## ", start) + 1] if start >= 0 else ""


def with_section(page, title, text):
    """The page with this text as its section of the title, in front of those that follow in SECTIONS."""
    page = page.replace(section_of(page, title), "") if title in page else page
    later = SECTIONS[SECTIONS.index(title) + 1:] + (BEHIND,)
    before = next(other for other in later if other in page)
    return page.replace(before, text.rstrip("\n") + "\n\n" + before) if text else page


def write_section(title, text):
    with open(PAGE_PATH) as file:
        page = file.read()
    with open(PAGE_PATH, "w") as file:
        file.write(with_section(page, title, reflow(text)))


def write(results):
    """Writes both files. Returns the rows of targets that were missed, as text."""
    rows = targets(results)
    missed = ["%s, %s: %s%s instead of %s%s" % (what, where, figure(value), unit, target,
                                               " (%s)" % note if note else "")
              for what, where, target, value, unit, met, note in rows if not met]
    page = PAGE.format(
        machine=machine(), rounds=results["rounds"], seconds=results["seconds"], echo=ECHO,
        cjson=CJSON, build=BUILD, redis=REDIS, table=request_table(results["table"]),
        missing="".join(" Left out: %s." % line for line in results["missing"]),
        targets=lines(["what", "where", "target", "measured", ""],
                      [[what, where, target, figure(value) + unit, "met" if met else "**missed**"]
                       for what, where, target, value, unit, met, _ in rows]),
        ping_alone=figure(results["waiting"]["ping_alone"]),
        waiting=waiting_table(results["waiting"]),
        kv_get=lines(["in flight", "`kv.get` a second", "`redis-benchmark` a second", "ratio"],
                     [["(%s)" % load, thousands(row["kv_get"]), thousands(row["redis_benchmark"]),
                       figure(row["ratio"])] for load, row in results["waiting"]["redis"].items()]),
        missed="".join("\n- Missed: " + line + ".\n" for line in missed), rest=rest(results))
    with open(PAGE_PATH) as file:
        before = file.read()
    page = reflow(page)
    for title in SECTIONS:
        page = with_section(page, title, section_of(before, title))
    with open(PAGE_PATH, "w") as file:
        file.write(page)
    with open(os.path.join(DOCS, "performance.svg"), "w") as file:
        file.write(picture(results["latency_by_load"]))
    return ["missed: " + line for line in missed] or ["every target was met"]


# ---- The picture ----

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 64, 24, 40, 52
COLOURS = ("#1b6ac9", "#6b7280", "#c2410c", "#15803d", "#7c3aed")


def picture(series):
    """Both axes are logarithmic: 99th percentiles are drawn through, medians are dashed."""
    points = [point for found in series.values() for point in found]
    x0, x1 = 3, max(4, math.ceil(math.log10(max(rate for rate, _, _ in points))))  # on a busy machine, too
    low = math.floor(math.log10(min(p50 for _, p50, _ in points)))
    high = math.ceil(math.log10(max(p99 for _, _, p99 in points)))
    across = lambda rate: LEFT + (math.log10(rate) - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)
    up = lambda us: HEIGHT - BOTTOM - (math.log10(us) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" '
           'font-size="12">' % (WIDTH, HEIGHT),
           '<title>Latency by load</title>',
           '<rect width="100%" height="100%" fill="#ffffff"/>']
    for power in range(x0, x1 + 1):
        x = across(10 ** power)
        out.append('<path d="M%.1f %dV%d" stroke="#e5e7eb"/>' % (x, TOP, HEIGHT - BOTTOM))
        out.append('<text x="%.1f" y="%d" text-anchor="middle" fill="#374151">%s</text>' % (
            x, HEIGHT - BOTTOM + 18, {3: "1 k", 4: "10 k", 5: "100 k", 6: "1 M", 7: "10 M",
                                      8: "100 M"}[power]))
    for power in range(low, high + 1):
        y = up(10 ** power)
        out.append('<path d="M%d %.1fH%d" stroke="#e5e7eb"/>' % (LEFT, y, WIDTH - RIGHT))
        out.append('<text x="%d" y="%.1f" text-anchor="end" fill="#374151">%s</text>' % (
            LEFT - 8, y + 4, "%g µs" % 10 ** power if power < 3 else "%g ms" % 10 ** (power - 3)))
    out.append('<text x="%d" y="%d" text-anchor="middle" fill="#374151">requests a second</text>' % (
        (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12))
    for index, (name, found) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        for which, dash in ((2, ""), (1, ' stroke-dasharray="2 4"')):
            out.append('<polyline fill="none" stroke="%s" stroke-width="2"%s points="%s"/>' % (
                colour, dash, " ".join("%.1f,%.1f" % (across(point[0]), up(point[which]))
                                       for point in found)))
        x = LEFT + 8 + index * 168
        out.append('<path d="M%d 22h20" stroke="%s" stroke-width="2"/>' % (x, colour))
        out.append('<text x="%d" y="26" fill="#111827">%s</text>' % (x + 26, name))
    out.append('<text x="%d" y="%d" text-anchor="end" fill="#374151">99 % of requests; dashed: half of '
               'them</text>'.replace("99 %", "99 %%") % (WIDTH - RIGHT - 4, HEIGHT - BOTTOM - 8))
    out.append("</svg>")
    return "\n".join(out) + "\n"
