#!/usr/bin/env python3
"""What a method's schema takes, by this server and by Ajv.

    python3 tests/interop/schemas.py BUILD NPM [SEED]

Makes schemas and values at random, the same in every run but for SEED; a module whose methods declare
the schemas; and asks a server that has loaded it, and Ajv, which of the values are right. BUILD is the
prefix that was built, NPM a directory with the packages of tests/interop/npm. Ends with "N passed,
N failed", and with a status other than 0 when one failed.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import services

SCHEMAS = 400
VALUES = 12
HERE = pathlib.Path(__file__).resolve().parent
NAMES = ("a", "b", "longer", "ä", "x-1", "x-22", "")
TEXTS = ("", "a", "ab", "abc", "äöü", "😀😀", "a1b2", "x-1", "2024-02-29", "A B\tC", "line\nfeed",
         "aaaaaaaaaaaaaaaa", "a.b@c.de", "\u2028", "\x00")
NUMBERS = (0, -0.0, 1, 2, 3, 5, 10, -1, -7, 0.5, 1.5, -2.25, 12, 1e3, 1e15, 9007199254740991, 1.0)
PATTERNS = ("^a", "b$", "^[a-z]+$", "^.{2,3}$", "\\d", "^\\w*$", "\\s", "^(a|b)*c?$", "[^a-c]",
            "^\\d{4}-\\d{2}-\\d{2}$", "\\bB\\b", "^\\S+@\\S+\\.[a-z]{2,}$", "(?:aa)+$", "^x-",
            "\\u00e4|\\u{1F600}", "^[\\s\\S]$", "^$", ".", "[\\]\\-x]", "\\B1")
KINDS = ("null", "boolean", "object", "array", "string", "number", "integer")
SOURCE = """
#include <pillion/module.h>

static void answer(pillion_request *req)
{
    pillion_reply(req, "taken", cJSON_CreateNull());
}

static const pillion_method methods[] = {
%s
    {0},
};

PILLION_MODULE(.name = "generated", .version = "1", .methods = methods);
"""
CONF = """
worker_processes 1;
load_module %(module)s;
server { listen 127.0.0.1:%(port)d; %(methods)s }
"""


def value_of(dice, depth):
    kind = dice.randrange(7 if depth > 0 else 5)
    if kind == 0:
        return dice.choice((None, True, False))
    if kind <= 2:
        return dice.choice(NUMBERS)
    if kind <= 4:
        return dice.choice(TEXTS)
    if kind == 5:
        return [value_of(dice, depth - 1) for _ in range(dice.randrange(5))]
    return {dice.choice(NAMES): value_of(dice, depth - 1) for _ in range(dice.randrange(5))}


def keyword_of(dice, depth):
    """One or two keywords that belong together."""
    def schema():
        return schema_of(dice, depth - 1)

    def schemas():
        return [schema() for _ in range(dice.randrange(1, 4))]

    def names():  # Ajv 8.20 has it that "" is always there
        return dice.sample(NAMES[:-1], dice.randrange(4))

    def count():
        return dice.choice((0, 1, 2, 3, 2.0))

    flat = (
        lambda: {"type": dice.choice(KINDS)},
        lambda: {"type": dice.sample(KINDS, dice.randrange(1, 4))},
        lambda: {"enum": [value_of(dice, 2) for _ in range(dice.randrange(1, 6))]},
        lambda: {"const": value_of(dice, 2)},
        lambda: {dice.choice(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")):
                 dice.choice(NUMBERS)},
        lambda: {"multipleOf": dice.choice((1, 2, 3, 0.5, 5))},
        lambda: {"minLength": count()},
        lambda: {"maxLength": count()},
        lambda: {"pattern": dice.choice(PATTERNS)},
        lambda: {"minItems": count()},
        lambda: {"maxItems": count()},
        lambda: {"uniqueItems": dice.random() < 0.8},
        lambda: {"minProperties": count()},
        lambda: {"maxProperties": count()},
        lambda: {"required": names()},
        lambda: {"dependentRequired": {name: names() for name in names()}},
        lambda: {"title": "t", "x-what": 1, "format": "email"},
    )
    deep = (
        lambda: {"properties": {name: schema() for name in names()}},
        lambda: {"properties": {name: schema() for name in names()},
                 "additionalProperties": schema()},
        lambda: {"patternProperties": {dice.choice(PATTERNS): schema() for _ in range(2)},
                 "additionalProperties": False},
        lambda: {"propertyNames": schema()},
        lambda: {"dependentSchemas": {name: schema() for name in names()}},
        lambda: {"items": schema()},
        lambda: {"prefixItems": schemas(), "items": schema()},
        lambda: {"contains": schema(), "minContains": dice.randrange(3)},
        lambda: {"contains": schema(), "maxContains": dice.randrange(1, 3)},
        lambda: {"allOf": schemas()},
        lambda: {"anyOf": schemas()},
        lambda: {"oneOf": schemas()},
        lambda: {"not": schema()},
        lambda: {"if": schema(), "then": schema(), "else": schema()},
        lambda: {"$ref": "#/$defs/node"},
    )
    return dice.choice(deep if depth > 0 and dice.random() < 0.6 else flat)()


def schema_of(dice, depth):
    if dice.random() < 0.04:
        return dice.random() < 0.7
    schema = {}
    for _ in range(dice.choice((1, 1, 2, 3))):
        schema.update(keyword_of(dice, depth))
    if "prefixItems" in schema:  # beside these, Ajv 8.20 has it that [] contains anything
        schema.pop("contains", None)
    return schema


def pair_of(dice):
    """A schema, as any method may have it, and values, some of which are of the kind that it wants."""
    schema = schema_of(dice, 3)
    if not isinstance(schema, dict):
        schema = {"allOf": [schema]}
    schema["$defs"] = {"node": {"properties": {"a": {"$ref": "#/$defs/node"}},
                                "items": {"$ref": "#/$defs/node"}, "maxItems": 3,
                                "minProperties": dice.randrange(2)}}
    return schema, [value_of(dice, 3) for _ in range(VALUES)]


def literal(text):
    return '"' + "".join(chr(b) if 0x20 <= b < 0x7f and b not in b'"\\?' else "\\%03o" % b
                         for b in text.encode()) + '"'


def within(schema):
    """The schema of params whose member `v` has the schema: null is no value of its own there."""
    return {"type": "object", "required": ["v"], "properties": {"v": schema},
            "$defs": schema["$defs"]}


def build(schemas, directory):
    rows = "".join('    {.name = "s%d", .handler = answer, .params = %s},\n'
                   % (i, literal(json.dumps(within(s), ensure_ascii=False))) for i, s in enumerate(schemas))
    source = directory / "generated.c"
    source.write_text(SOURCE % rows)
    subprocess.run(["cc", "-shared", "-fPIC", "-I", HERE / "../../core/include", "-o",
                    directory / "generated.so", source], check=True)
    return directory / "generated.so"


def is_taken(connection, number, value):
    out, result = connection.call("s%d" % number, {"v": value})
    if out == "error" and result["code"] != "invalid_params":
        raise AssertionError("s%d gives %s" % (number, result))
    return out != "error"


def verdicts_of_server(build_prefix, pairs, directory):
    port = services.free_ports()
    (directory / "run").mkdir()
    (directory / "generated.conf").write_text(CONF % {
        "module": build([schema for schema, _ in pairs], directory), "port": port,
        "methods": " ".join("method s%d;" % i for i in range(len(pairs)))})
    with open(directory / "log", "w") as log:
        server = subprocess.Popen([build_prefix / "pillion", "-p", directory, "-c",
                                   directory / "generated.conf"], stderr=log)
    try:
        services.await_port(port)
        connection = services.Connection(port)
        return [[is_taken(connection, i, value) for value in values]
                for i, (_, values) in enumerate(pairs)]
    except Exception:
        sys.stderr.write((directory / "log").read_text()[-4000:])
        raise
    finally:
        server.terminate()
        server.wait()


def verdicts_of_ajv(npm, pairs):
    lines = "".join(json.dumps(pair) + "\n" for pair in pairs)
    run = subprocess.run(["node", HERE / "npm/ajv.js"], input=lines, capture_output=True, text=True,
                         timeout=services.PATIENCE, cwd=npm)
    if run.returncode != 0:
        sys.exit("Ajv: " + run.stderr[-2000:])
    return [json.loads(line) for line in run.stdout.splitlines()]


def main():
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    dice = random.Random(seed)
    pairs = [pair_of(dice) for _ in range(SCHEMAS)]
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        ours = verdicts_of_server(pathlib.Path(sys.argv[1]).resolve(), pairs,
                                  pathlib.Path(directory))
    theirs = verdicts_of_ajv(sys.argv[2], pairs)
    passed = failed = taken = 0
    for (schema, values), mine, other in zip(pairs, ours, theirs):
        for value, own, foreign_one in zip(values, mine, other):
            taken += own
            if own == foreign_one:
                passed += 1
                continue
            failed += 1
            print("%s takes %s: here %s, Ajv %s" % (
                json.dumps(schema), json.dumps(value), own, foreign_one))
    if not 0.2 < taken / (passed + failed) < 0.8:
        sys.exit("%d of the values are taken: that tells little" % taken)
    print("schemas beside Ajv (seed %d): %d passed, %d failed" % (seed, passed, failed))
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
