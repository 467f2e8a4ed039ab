"""What many hosts cost, by arithmetic from what registry.py has measured, and where it breaks first.

The model is that of a queue with one processor: etcd's members each answer what comes to them, and
what all of them have to do for every change is done by each. Nothing here is measured.
"""

import datetime
import math
import os
import re
import textwrap

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = os.path.join(ROOT, "docs/scale.md")
HOSTS = (10, 100, 1000, 10000)
GATEWAYS = 10        # that watch, where hosts do not call each other
DEPLOYMENT = 600     # seconds in which every host is replaced once
TTL = 10
ANSWER_MAX = 64 << 20  # etcd.h: bytes of one answer
SUBSET = 100           # the servers that a worker of `proxy` asks, of more
CORE = 0.7           # of a processor: beyond that, answers are late


def size(number):
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            return "%.*f %s" % (0 if number >= 10 or unit == "B" else 1, number, unit)
        number /= 1000


def number(value):
    return "{:,.0f}".format(value) if value >= 10 else "%.2g" % value


def share(cores):
    if cores < 0.0001:
        return "< 0.01 %"
    return "%s %%" % number(cores * 100) if cores < 10 else "%s cores" % number(cores)


class Plan:
    def __init__(self, found):
        self.found = found
        crowd = found["watch"][-1]
        self.event_us, self.event_bytes, self.watcher_bytes = crowd["cpu_us"], crowd["bytes"], crowd["watcher_bytes"]
        self.base_bytes = found["etcd_alone_bytes"]
        # One change costs etcd a put, and a delivery to each watcher.
        self.change_us = found["register_cpu_us"]

    # Each of these takes the number of hosts, and of watchers.

    def keepalives(self, hosts, _=0):
        return hosts * 3 / TTL

    def keepalive_cores(self, hosts, _=0):
        return self.keepalives(hosts) * self.found["keepalive_cpu_us"] / 1e6

    def keepalive_traffic(self, hosts, _=0):
        """As the real server has it, where there was one."""
        of_one = self.found["keepalive_bytes"] * 3 / TTL
        return hosts * self.found.get("real", {}).get("host_bytes_s", of_one)

    def memory(self, hosts, watchers):
        return self.base_bytes + hosts * self.found["instance_bytes"] + watchers * self.watcher_bytes

    def connections(self, hosts, watchers):
        return hosts + watchers

    def deliveries(self, hosts, watchers):
        return 2 * hosts / DEPLOYMENT * watchers

    def delivery_cores(self, hosts, watchers):
        return self.deliveries(hosts, watchers) * self.event_us / 1e6 + 2 * hosts / DEPLOYMENT * self.change_us / 1e6

    def delivery_traffic(self, hosts, watchers):
        return self.deliveries(hosts, watchers) * self.event_bytes

    def snapshot(self, hosts, _=0):
        return hosts * self.found["snapshot_bytes"]

    def all_again(self, hosts, watchers):
        """Seconds of one processor, when all watchers read everything anew at once."""
        return watchers * hosts * self.found["snapshot_cpu_us"] / 1e6

    @staticmethod
    def breaks(holds):
        """The most hosts, in two digits, at which something holds."""
        least, most = 1, 10 ** 9
        while most - least > 1:
            middle = (least + most) // 2
            least, most = (middle, most) if holds(middle) else (least, middle)
        digits = 10 ** max(0, int(math.log10(least)) - 1)
        return least // digits * digits


def table(rows):
    return ["| %s |" % " | ".join(rows[0]), "| --- | %s |" % " | ".join(["---:"] * (len(rows[0]) - 1))] + [
        "| %s |" % " | ".join(row) for row in rows[1:]]


def measured(found):
    watch = found["watch"]
    rows = [("measured, with %s instances" % "{:,}".format(found["instances"]), "")]
    add = rows.append
    add(("a record, as JSON", size(found["record_bytes"])))
    add(("to register: requests and answers", size(found["register_bytes"])))
    add(("to register: processor time of etcd", "%.2f ms" % (found["register_cpu_us"] / 1000)))
    add(("a keepalive: request and answer", size(found["keepalive_bytes"])))
    add(("a keepalive: processor time of etcd", "%.2f ms" % (found["keepalive_cpu_us"] / 1000)))
    add(("an instance kept alive: traffic a second", size(found["keepalive_bytes"] * 3 / TTL)))
    for instances, cores in found["hold"]:
        add(("%s instances kept alive: etcd's processor" % "{:,}".format(instances), share(cores)))
    add(("an instance: memory of etcd", size(found["instance_bytes"])))
    add(("etcd with nobody", size(found["etcd_alone_bytes"])))
    add(("a watcher: memory of etcd", size(watch[-1]["watcher_bytes"])))
    add(("a change to one watcher", size(watch[-1]["bytes"])))
    add(("a change to one of %s watchers: processor time of etcd" % "{:,}".format(watch[-1]["watchers"]),
         "%.2f ms" % (watch[-1]["cpu_us"] / 1000)))
    for row in watch:
        add(("from a change to the last of %s watchers, median" % "{:,}".format(row["watchers"]),
             "%.*f ms" % (0 if row["median_ms"] >= 10 else 1, row["median_ms"])))
    add(("all instances at once, for one watcher", "%s, %.0f ms" % (
        size(found["snapshot_bytes"] * found["instances"]), found["snapshot_ms"])))
    return rows + [tuple(row) for row in found.get("real", {}).get("rows", [])]


def change_us(found, hosts):
    """Of a worker: what a change costs grows with the number of servers that it looks through."""
    return found["real"]["worker_change_us"] * hosts / found["instances"]


def plan_rows(plan):
    def row(what, form, function, watchers=None):
        return (what, *(form(function(h, h if watchers is None else watchers)) for h in HOSTS))
    rows = [("hosts", *("{:,}".format(h) for h in HOSTS)),
            row("keepalives a second", number, plan.keepalives),
            row("their traffic, a second", size, plan.keepalive_traffic),
            row("their share of etcd's processor", share, plan.keepalive_cores)]
    for what, watchers in (("%d gateways watch" % GATEWAYS, GATEWAYS), ("every host watches", None)):
        rows += [row(what + ": connections to etcd", number, plan.connections, watchers),
                 row(what + ": memory of etcd", size, plan.memory, watchers),
                 row(what + ": deliveries a second", number, plan.deliveries, watchers),
                 row(what + ": their traffic, a second", size, plan.delivery_traffic, watchers),
                 row(what + ": their share of etcd's processor", share, plan.delivery_cores, watchers),
                 row(what + ": all read everything anew, processor time", lambda s: number(s) + " s", plan.all_again,
                     watchers)]
    rows.append(row("all records, at one watcher's start", size, plan.snapshot))
    real = plan.found.get("real")
    if real:
        rows += [row("memory of a watcher's `pillion: registry`", size,
                     lambda h, _: real["registry_private"] + h * real["registry_bytes"]),
                 row("memory of each worker with `proxy`", size, lambda h, _: h * real["worker_bytes"]),
                 row("its processor for changes", share,
                     lambda h, _: 2 * h / DEPLOYMENT * change_us(plan.found, h) / 1e6),
                 row("connections of a worker to all hosts", number, lambda h, _: min(h, SUBSET))]
    return rows


def limits(plan):
    """(hosts, what breaks there, what to do), by the number of hosts."""
    found = [
        (plan.breaks(lambda h: plan.delivery_cores(h, h) < CORE),
         "every host watches, and all are replaced within ten minutes: etcd delivers the changes late",
         "have gateways watch, not hosts; give each service a path of its own, and watch that; replace hosts more "
         "slowly"),
        (plan.breaks(lambda h: plan.all_again(h, h) < TTL / 3),
         "every host watches, and all are started at once, as after a power cut: reading all records keeps a member "
         "busy for so long that keepalives come late",
         "start them over some seconds; have gateways watch; members share it, each a third"),
        (plan.breaks(lambda h: plan.keepalive_cores(h) < CORE),
         "keepalives take a member's processor",
         "a longer `ttl`: with 30 s it is a third; three members share it, and can have more processors"),
        (plan.breaks(lambda h: plan.snapshot(h) < ANSWER_MAX),
         "the answer with all records is larger than a server takes (64 MiB)",
         "several prefixes; shorter schemas of methods"),
        (plan.breaks(lambda h: plan.delivery_cores(h, GATEWAYS) < CORE),
         "%d gateways watch, and all hosts are replaced within ten minutes: etcd delivers the changes late" % GATEWAYS,
         "replace hosts more slowly"),
        (20000, "a server keeps no more instances than these, and leaves out the rest",
         "several prefixes, and gateways for each"),
    ] + [tuple(row) for row in plan.found.get("real", {}).get("limits", [])]
    return sorted(found)


def told(found):
    plan = Plan(found)
    return ([found["machine"] + "; etcd %s." % found["etcd_version"], ""] + table(measured(found)) +
            ["", "What that makes of more hosts, with a TTL of %d s; changes are those of a deployment that replaces "
                 "every host within ten minutes, which is a departure and an arrival of each." % TTL, ""] +
            table(plan_rows(plan)) +
            ["", "Where it breaks, by the number of hosts:", ""] +
            ["- **{:,}**: {}. What to do: {}.".format(*row) for row in limits(plan)])


def wrapped(rows):
    out = []
    for row in rows:
        if not row or row[0] == "|":
            out.append(row)
        else:
            out += textwrap.wrap(row, 100, subsequent_indent="  " if row.startswith("- ") else "",
                                 break_long_words=False, break_on_hyphens=False)
    return out


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    return "Machine: %s, %d CPUs, Linux %s; %s" % (model[1] if model else "unknown", os.cpu_count(),
                                                   os.uname().release, datetime.date.today())


def write(found):
    begin, end = "<!-- hosts: made by tests/bench/registry.py -->\n", "<!-- /hosts -->"
    with open(PAGE, encoding="utf-8") as file:
        before, there, rest = file.read().partition(begin)
    if not there:
        raise SystemExit("docs/scale.md has no place for it: " + begin)
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(before + begin + "\n" + "\n".join(wrapped(told(found))) + "\n\n" + end + rest.partition(end)[2])
