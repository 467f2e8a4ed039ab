#!/usr/bin/env python3
"""Runs the conformance suites of MCP against a server.

    python3 tests/interop/mcp.py PORT NPM

The server at PORT offers the tools of tests/modules/tools.c. NPM is a directory with the packages
of tests/interop/npm. Every check of every scenario that applies has to pass: not those for
resources, prompts, streams, sampling and the like, which this server does not offer. Ends with
"N passed, N failed", and with a status other than 0 when one failed.
"""

import json
import os
import pathlib
import subprocess
import sys

PATIENCE = 120

# Each of a suite's scenarios, with its checks that the suite itself calls "not testable" here.
BOTH = {
    "server-initialize": (),
    "ping": (),
    "tools-list": (),
    "tools-call-simple-text": (),
    "tools-call-error": (),
    "json-schema-2020-12": (),
    "dns-rebinding-protection": (),
}
# A method cannot require that its client has a capability.
STATELESS = ("sep-2575-server-rejects-undeclared-capability",
             "sep-2575-missing-capability-http-400")
SUITES = {
    "@modelcontextprotocol/conformance": BOTH,
    "conformance-next": {
        **BOTH,
        "server-stateless": STATELESS,
        "http-header-validation": (),
        "http-custom-header-server-validation": (),
        "input-required-result-unsupported-methods": (),
    },
}
ADAPTED = "index.adapted.js"


def output_of(*command):
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         timeout=PATIENCE)
    return run.stdout + run.stderr


def program_of(npm, suite):
    """The suite's program. Node before 22 has no fs.globSync, which no scenario of a server needs:
    it gets a copy that does not ask for it."""
    program = pathlib.Path(npm, "node_modules", suite, "dist/index.js")
    if output_of("node", "-p", "typeof fs.globSync").strip() == "function":
        return program
    text = program.read_text()
    if "globSync as " not in text:
        return program
    program = program.with_name(ADAPTED)
    program.write_text(text.replace("globSync as ", "readdirSync as ", 1))
    return program


def checks_of(program, port, scenario):
    """The checks of a scenario, of which there is at least one."""
    out = output_of("node", str(program), "server", "--verbose", "--scenario", scenario,
                    "--url", "http://127.0.0.1:%d/mcp" % port)
    start = out.find("\n[")
    checks = json.JSONDecoder().raw_decode(out[start + 1:])[0] if start >= 0 else []
    if not any(check["status"] == "SUCCESS" for check in checks):
        checks.append({"id": scenario, "status": "FAILURE", "errorMessage": out[-800:]})
    return checks


def main():
    port, npm = int(sys.argv[1]), sys.argv[2]
    passed = failed = 0
    for suite, scenarios in SUITES.items():
        program = program_of(npm, suite)
        for scenario, untestable in scenarios.items():
            for check in checks_of(program, port, scenario):
                message = check.get("errorMessage", "")
                if check["status"] == "SUCCESS":
                    passed += 1
                elif check["status"] == "WARNING" or check["status"] == "FAILURE" and not (
                        check["id"] in untestable and message.startswith("Not testable")):
                    failed += 1
                    print("failed: %s: %s: %s: %s" % (suite, scenario, check["id"], message))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
