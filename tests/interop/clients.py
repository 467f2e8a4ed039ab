#!/usr/bin/env python3
"""Runs the clients of docs/clients.md against a server, each where its language is installed. What
the page has people type is typed by tests/docs/pages.py.

    clients.py PORT
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/clients.md"
EXPECTED = '{"out":"pong","result":[1,2]}'
# The name of the source, the program that must be there, and what is run.
LANGUAGES = {
    "c": ("client.c", "gcc", ["gcc -Wall -Wextra -Werror -o client client.c", "./client"]),
    "python": ("client.py", "python3", ["python3 client.py"]),
    "javascript": ("client.js", "node", ["node client.js"]),
    "go": ("client.go", "go", ["go run client.go"]),
    "rust": ("client.rs", "rustc", ["rustc -o client client.rs", "./client"]),
    "java": ("Client.java", "javac", ["javac Client.java", "java -cp . Client"]),
}


def run(language, source, port):
    name, _, commands = LANGUAGES[language]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / name).write_text(source.replace("8080", str(port)))
        for command in commands:
            done = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True,
                                  timeout=120, env=dict(os.environ, GOCACHE=folder + "/go"))
            if done.returncode != 0:
                return "%s: %s" % (command, done.stderr or "exit status %d" % done.returncode)
    return None if done.stdout.strip() == EXPECTED else "printed %r" % done.stdout


def main():
    blocks = re.findall(r"^```(?!console)(\w+)\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    if sorted(language for language, _ in blocks) != sorted(LANGUAGES):
        sys.exit("%s has other languages than this test" % PAGE)
    passed, failed, skipped = 0, 0, []
    for language, source in blocks:
        if shutil.which(LANGUAGES[language][1]) is None:
            skipped.append(language)
            continue
        wrong = run(language, source, sys.argv[1])
        passed, failed = passed + (wrong is None), failed + (wrong is not None)
        if wrong is not None:
            print("failed: docs/clients.md: %s: %s" % (language, wrong))
    print("clients of docs/clients.md: %d passed, %d failed%s" %
          (passed, failed, "; not installed, so skipped: " + ", ".join(skipped) if skipped else ""))
    return failed > 0


sys.exit(main())
