"""Turns what protocols.py has measured into the section "Protocols" of docs/performance.md, which report.py
leaves as it is. The targets of protocols stand here."""

import statistics

import report
from report import COLUMNS, figure, lines, thousands

HTTP, NGINX, H2O = "Pillion, `POST /ping`", "nginx `return 200`", "h2o's library"
FRAMES, LINES, JAYSON = "JSON-RPC, frames", "JSON-RPC, lines", "jayson's TCP server, lines"
OLD, SDK = "Pillion, `tools/call`, 2025-11-25", "the SDK of MCP for Node.js, 2025-11-25"

SECTION = """## Protocols

Written by `make bench-protocols`, in a run of its own. {machine} {load}

One worker on one CPU, the load on the other, every default switched on; {rounds} rounds of {seconds:g} s in turns,
of which the best counts. All are loaded by the same client, which pipelines every protocol. Where other
programs run on the same machine, requests a second are what is left to the server; the CPU for a request is
the steadier figure, and the targets are about it: the median of the ratios in each round.{missing}

`POST /ping` with a body of 13 bytes, which comes back. nginx answers the same 13 bytes without having read any;
h2o's library calls a handler that sends back what it was sent. Requests a second, and microseconds of the
server's CPU for a request, at (connections, in flight on each):

{http}

What other clients say of the same servers, at (50,1):

{clients}

A `ping` of JSON-RPC in each protocol, with one of Pillion's own format for comparison:

{calls}

`tools/call` of MCP, with a tool that gives its arguments back:

{mcp}

Memory of an idle connection, in bytes: what {connections} of them add to fifty of the same kind.

{idle}

A vault's table grows by doubling, so that its share of a connection is between 16 and 43 bytes. The last row is
no cost of connections: when many large messages are there at once, their buffers stay in the worker's arena,
ready for the next ones, and there is no more of them than `arena_size`.

{targets}

{missed}
"""


def ratio(table, one, other, column):
    """CPU for a request of `one`, of that of `other`: the median of what it was in each round, in which one
    came right behind the other."""
    rounds = zip(table[one][column]["cpu_rounds"], table[other][column]["cpu_rounds"])
    return statistics.median(first / second for first, second in rounds if first > 0 and second > 0)


def targets(results):
    """Rows of (what, where, target, measured, met)."""
    rows = []

    def at_least(what, where, target, value):
        rows.append((what, where, "≥ %g" % target, figure(value), value >= target))

    def at_most(what, where, target, value, unit=""):
        rows.append((what, where, "≤ %g%s" % (target, unit), figure(value) + unit, value <= target))

    http, calls = results["http"], results["calls"]
    if NGINX in http:
        for column, target in (("50,1", 1), ("50,16", 5)):
            at_least("`POST /ping`, requests for nginx's CPU for one", "(%s)" % column, target,
                     ratio(http, NGINX, HTTP, column))
    for column in COLUMNS:
        at_most("JSON-RPC over lines, CPU for a request against frames", "(%s)" % column, 1.15,
                ratio(calls, LINES, FRAMES, column))
    for name, (_, worker) in results["idle"]["bytes"].items():
        if not name.endswith("at once"):
            at_most("memory of an idle connection in its worker", name, 256, worker, " bytes")
    return rows


def requests(table):
    columns = [column for column in COLUMNS if all(column in found for found in table.values())]
    return lines(["server"] + ["(%s)" % column for column in columns],
                 [[name] + ["%s, %s" % (thousands(found[column]["rps"]), figure(found[column]["cpu_us"]))
                            for column in columns] for name, found in table.items()])


def clients(found):
    names = list(next(iter(found.values()), {}))
    return lines(["client"] + names,
                 [[client] + ["%s, %s" % (thousands(row[name]["rps"]), figure(row[name]["cpu_us"]))
                              for name in names] for client, row in found.items()])


def section(results):
    rows = targets(results)
    missed = ["- Missed: %s, %s: %s instead of %s.\n" % (what, where, value, target)
              for what, where, target, value, met in rows if not met]
    idle = results["idle"]
    text = SECTION.format(
        machine=report.machine(), load=results["load"], rounds=results["rounds"],
        seconds=results["seconds"], connections="{:,}".format(idle["connections"]),
        missing=" Left out: %s." % "; ".join(results["missing"]) if results["missing"] else "",
        http=requests(results["http"]), clients=clients(results["clients"]),
        calls=requests(results["calls"]), mcp=requests(results["mcp"]),
        idle=lines(["connection", "whole server", "its worker"],
                   [[name, thousands(whole), thousands(worker)]
                    for name, (whole, worker) in idle["bytes"].items()]),
        targets=lines(["what", "where", "target", "measured", ""],
                      [[what, where, target, value, "met" if met else "**missed**"]
                       for what, where, target, value, met in rows]),
        missed="\n".join(missed))
    return text, missed


def write(results):
    """Puts the section in its place. Returns the targets that were missed."""
    text, missed = section(results)
    report.write_section(report.SECTIONS[0], text)
    return missed or ["every target was met"]
