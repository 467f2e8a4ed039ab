#!/usr/bin/env python3
"""Checks what can be checked of the documentation without running anything.

Of README.md, modules/samples/README.md and every page of docs/:

- links within the tree lead to a file, and to a heading of it where they name one;
- no line is longer than 100 columns, but for rows of tables that have five columns and more
  (tests/docs/reflow.py wraps paragraphs and lists).

Of docs/architecture.md and docs/architecture/, which speak of the code by name:

- `folder/file.c` is a file of core/, or of the tree;
- `folder/file.c:function` is a function that is defined there;
- `some_name` and `name()` stand somewhere in core/ or modules/, or name a file of core/.

Of docs/writing-a-module/functions.md, which tells where a function may be called: each function that
modules may call has a row, and threads may call it where the code does not refuse that, and as
pillion_offload's comment in the header says.

Of docs/security.md, whose claims name their tests: each name of three words and more is a test, or
stands in the code.

Of the errors that clients are told: each code that core/ or a module fails with, and each that
docs/protocols.md explains, is in docs/errors.md. The module hello teaches, and has one of its own.
"""

import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
QUOTED = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"^([a-z_0-9]+/)+[a-z_0-9]+\.(c|h|py)$")
FUNCTION = re.compile(r"^((?:[a-z_0-9]+/)+[a-z_0-9]+\.[ch]):([a-z_0-9]+)$")
FAILS = re.compile(r"\b(?:request|deferred|pillion)_fail(?:_raw)?\([^,;]*,\s*\"([a-z_]+)\"")
NAME = re.compile(r"^([a-z0-9]+(?:_[a-z0-9]+)+|[a-z_0-9]+(?=\(\)))(\(\))?$")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def without_code(text):
    """The text with its fenced blocks blank, so that lines keep their numbers."""
    return re.sub(r"^```.*?^```", lambda m: "\n" * m.group().count("\n"), text, flags=re.M | re.S)


def anchors(text):
    """What links may name: headings, as GitHub writes them."""
    return {re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
            for line in without_code(text).split("\n") if line.startswith("#")}


def numbered(text, pattern):
    """What the pattern finds, with its line; the text of a link may go on in the next line."""
    text = without_code(text)
    for match in pattern.finditer(text):
        yield text.count("\n", 0, match.start(1)) + 1, match.group(1)


def check_links(path, text):
    for number, link in numbered(text, LINK):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        found = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
        if not os.path.exists(found):
            yield number, "the link leads nowhere: %s" % link
        elif anchor and anchor not in (anchors(read(found)) if target else anchors(text)):
            yield number, "there is no such heading: %s" % link


def check_width(text):
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > 100 and not (line.startswith("|") and line.count("|") > 5):
            yield number, "the line has %d columns: `make reflow` wraps it" % len(line)


def source_of(name):
    for path in (os.path.join(ROOT, "core", name), os.path.join(ROOT, name)):
        if os.path.isfile(path):
            return path
    return None


def check_names(text, words):
    for number, quoted in numbered(text, QUOTED):
        function, name = FUNCTION.match(quoted), NAME.match(quoted)
        if function:
            source = source_of(function.group(1))
            if source is None or not re.search(r"^\S.*\b%s\(" % function.group(2), read(source), re.M):
                yield number, "there is no such function: %s" % quoted
        elif FILE.match(quoted):
            if source_of(quoted) is None:
                yield number, "there is no such file: %s" % quoted
        elif name and name.group(1) not in words:
            yield number, "the code has no such name: %s" % quoted


def names_of_tests():
    return {name for path in glob.glob(os.path.join(ROOT, "tests/*/*.c"))
            for name in re.findall(r"^START_TEST\((\w+)\)", read(path), re.M)}


def check_claims(text, known):
    for number, quoted in numbered(text, QUOTED):
        if re.match(r"^[a-z0-9]+(_[a-z0-9]+){2,}$", quoted) and quoted not in known:
            yield number, "there is no such test: %s" % quoted


def words_of_code():
    words = set()
    for path in glob.glob(os.path.join(ROOT, "core/**/*.[ch]"), recursive=True) + \
            glob.glob(os.path.join(ROOT, "modules/**/*.[ch]"), recursive=True):
        words.update(re.findall(r"\w+", read(path)))
        words.add(os.path.splitext(os.path.basename(path))[0])
    return words


def check_codes(text, known):
    """Source: what it fails with has a row."""
    for match in FAILS.finditer(text):
        if match.group(1) not in known:
            yield text[:match.start()].count("\n") + 1, "no row in errors.md: %s" % match.group(1)


def check_protocol_codes(text, known):
    """docs/protocols.md: likewise what its section on errors lists."""
    start = text.index("\n## Errors\n")
    for match in re.finditer(r"^- `([a-z_]+)`: ", text[start:text.index("\n## ", start + 1)], re.M):
        if match.group(1) not in known:
            yield (text[:start + match.start()].count("\n") + 1,
                   "no row in errors.md: %s" % match.group(1))


def all_codes():
    """(path, line, fault) of each code without a row in docs/errors.md"""
    known = set(re.findall(r"^\| `([a-z_]+)` ", read(os.path.join(ROOT, "docs/errors.md")), re.M))
    assert len(known) > 10
    page = os.path.join(ROOT, "docs/protocols.md")
    for number, fault in check_protocol_codes(read(page), known):
        yield page, number, fault
    for path in sorted(glob.glob(os.path.join(ROOT, "core/*/*.c")) +
                       glob.glob(os.path.join(ROOT, "modules/*/*.c"))):
        if "modules/hello/" in path:
            continue
        for number, fault in check_codes(read(path), known):
            yield path, number, fault


# ---- Functions ----

# The code does not refuse these in a thread, which have no business there: they are for hooks.
FOR_HOOKS = {"pillion_set_state", "pillion_error", "pillion_error_at"}


def functions_for_threads(code, exported):
    """Those that work on any thread: their bodies do not ask whether they are on the loop's."""
    bodies = dict(re.findall(r"^PILLION_EXPORT [^;{]*?\b(pillion_\w+)\([^{]*?\)\n\{(.*?)^\}", code, re.M | re.S))
    return {name for name in exported if "on_loop(__func__)" not in bodies[name]} - FOR_HOOKS


def functions_in_comment(header):
    """What the comment of pillion_offload lists for threads: "pillion_a_b, _c and _d" too."""
    start = header.index("may call:")
    found, family = set(), ""
    for word in re.findall(r"\w+", header[start + 9:header.index("All others", start)]):
        if word.startswith("pillion_"):
            family = re.match(r"pillion_[a-z]+", word).group()
        if word[0] in "p_" and word not in ("pillion",):
            found.add(word if word.startswith("pillion_") else family + word)
    return found


def functions_in_page(page):
    """(name, whether threads may call it, line) of each function in the page's table."""
    for number, line in enumerate(page.split("\n"), 1):
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 7:
            for name in re.findall(r"`(pillion_\w+)`", cells[1]):
                yield name, cells[5] == "yes", number


def check_functions(page, exported, threads):
    rows = list(functions_in_page(page))
    names = [name for name, _, _ in rows]
    for name in sorted(set(exported) - set(names)):
        yield 1, "%s has no row: where may it be called?" % name
    for name, thread, number in rows:
        if names.count(name) > 1 or name not in exported:
            yield number, "%s is there twice, or is no function of modules" % name
        elif thread != (name in threads):
            yield number, "the code says otherwise of %s in a thread" % name


def check_all_functions(page):
    exported = re.findall(r"^    (pillion_\w+);", read(os.path.join(ROOT, "core/module/exports.list")), re.M)
    code = "".join(read(path) for path in glob.glob(os.path.join(ROOT, "core/module/api*.c")))
    threads = functions_for_threads(code, exported)
    yield from check_functions(page, exported, threads)
    header = functions_in_comment(read(os.path.join(ROOT, "core/include/pillion/module.h")))
    for name in sorted(threads ^ header):
        yield 1, "the comment of pillion_offload %s %s" % (
            "leaves out" if name in threads else "should not list", name)


def self_check(words):
    """Each fault is found where it stands, and what is right is not."""
    page = os.path.join(ROOT, "docs", "architecture.md")
    good = "# A heading\n[a](#a-heading) [b](protocols.md) `event/loop.c:loop_run` `event/loop.h` `loop_run()`\n"
    bad = ("```\n[a](nowhere.md)\n```\n[b](nowhere.md) [c](#nothing) [d](protocols.md#nothing)\n"
           "`event/loop.c:loop_walk` `event/circle.h` `loop_walk()`\n")
    assert not list(check_links(page, good)) and not list(check_names(good, words))
    assert [n for n, _ in check_links(page, bad)] == [4, 4, 4]
    assert [n for n, _ in check_names(bad, words)] == [5, 5, 5]
    assert "the_master_is_out_of_reach" in names_of_tests()
    assert [n for n, _ in check_claims("`a_b_c`\n(`a_b_d`) `a_b`\n", {"a_b_c"})] == [2]
    assert [n for n, _ in check_width("x" * 100 + "\n" + "x" * 101 + "\n" + "|x" * 60)] == [2]
    code = 'request_fail(req, "known", "x");\n\npillion_fail_raw(req->r,\n "other", x)\n'
    assert [n for n, _ in check_codes(code, {"known"})] == [3]
    page = "## A\n- `a`: x\n\n## Errors\n\n- `known`: x\n- `other`: x\n\n## B\n- `b`: x\n"
    assert [n for n, _ in check_protocol_codes(page, {"known"})] == [7]
    code = "PILLION_EXPORT int pillion_a(int x)\n{\n    return 0;\n}\n\n" \
           "PILLION_EXPORT int pillion_b(void)\n{\n    if (!on_loop(__func__))\n        return 1;\n}\n"
    assert functions_for_threads(code, ["pillion_a", "pillion_b"]) == {"pillion_a"}
    assert functions_in_comment("may call:\n * pillion_x, pillion_zone_open, _get and _set.\n * All others") == \
        {"pillion_x", "pillion_zone_open", "pillion_zone_get", "pillion_zone_set"}
    page = "| `pillion_a` | yes | yes | yes | yes |\n| `pillion_b`, `pillion_d` | yes | no | no | yes |\n"
    assert [n for n, _ in check_functions(page, ["pillion_a", "pillion_b", "pillion_c"], {"pillion_a"})] == \
        [1, 2, 2]


def main():
    words = words_of_code()
    self_check(words)
    faults = 0
    pages = [os.path.join(ROOT, p) for p in ("README.md", "modules/samples/README.md")]
    pages += sorted(glob.glob(os.path.join(ROOT, "docs/**/*.md"), recursive=True))
    for path in pages:
        text = read(path)
        found = list(check_links(path, text)) + list(check_width(text))
        if os.path.relpath(path, ROOT).startswith("docs/architecture"):
            found += check_names(text, words)
        if os.path.relpath(path, ROOT) == "docs/security.md":
            found += check_claims(text, names_of_tests() | words)
        if os.path.relpath(path, ROOT) == "docs/writing-a-module/functions.md":
            found += check_all_functions(text)
        for number, fault in sorted(found):
            print("%s:%d: %s" % (os.path.relpath(path, ROOT), number, fault))
        faults += len(found)
    for path, number, fault in all_codes():
        print("%s:%d: %s" % (os.path.relpath(path, ROOT), number, fault))
        faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
