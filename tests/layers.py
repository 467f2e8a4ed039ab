#!/usr/bin/env python3
"""Fails when files of the core, or of a module, need each other in a circle; prints the circle.

    layers.py               checks the directory that it is run in
    layers.py --self-check  checks that it finds circles

A unit is a .c file with its .h and its _private.h; a header without a .c is a unit by itself. A
unit needs another one when it includes a header of it, and also when it names a function or an
object that the other one defines, because a header that several units share hides that. Only what
a header declares counts: functions of ours that stand in for libc's need not be known to a caller.
"""
import pathlib
import re
import sys
import tempfile

FOLDERS = [pathlib.Path(p) for p in ('core', 'core/include', 'modules')]
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|("(?:\\.|[^"\\\n])*")', re.S)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
INCLUDE = re.compile(r'^#include ["<](.+?)[">]', re.M)
DECLARED = re.compile(r'(\w+)\(|^extern [^;(]*?(\w+)(?:\[[^]]*\])*;', re.M)
# clang-format puts definitions, and nothing else but these words, into the first column.
FUNCTION = re.compile(r'^(?!static\b|typedef\b|#)[A-Za-z_][^;{}()=#]*?\b(\w+)\([^;{}]*\)\n\{', re.M)
OBJECT = re.compile(r'^(?!static\b|typedef\b|extern\b|#)[A-Za-z_][\w *]*[ *](\w+)'
                    r'(?:\[[^]]*\])*(?: =|;)', re.M)
INLINE = re.compile(r'^static inline [^;]*?\n\{\n.*?^\}', re.M | re.S)
# Members and structures are no functions, even where they are called like functions.
NAMED = re.compile(r'(?<![.\w])(?<!->)(?<!struct )[A-Za-z_]\w*')


def unit_of(path):
    return re.sub(r'(_private)?\.[ch]$', '', str(path))


def program_of(path):
    """What is linked into one: the core, or a module."""
    return path.parts[0] if path.parts[0] == 'core' else path.parent


def read(root):
    """{path: its text without comments} of each source file"""
    paths = sorted(p for folder in ('core', 'modules') for p in (root / folder).rglob('*.[ch]'))
    return {p.relative_to(root): COMMENT.sub(lambda m: m[1] or ' ', p.read_text()) for p in paths}


def includes(files, path):
    """(name, header) of each of our own headers that `path` includes"""
    for name in INCLUDE.findall(files[path]):
        for folder in (path.parent, *FOLDERS):
            if folder / name in files:
                yield name, folder / name
                break


def seen_by(files, path, seen):
    """Adds to `seen` each header that `path` includes, directly or by way of others."""
    for _, header in includes(files, path):
        if header not in seen:
            seen.add(header)
            seen_by(files, header, seen)
    return seen


def needs(files):
    """{unit: {unit that it needs: why}}"""
    graph = {unit_of(p): {} for p in files}
    declared = {p: set(sum(DECLARED.findall(text), ())) if p.suffix == '.h' else set()
                for p, text in files.items()}
    defined = {}
    for path, text in files.items():
        if path.suffix == '.c':
            for name in FUNCTION.findall(text) + OBJECT.findall(text):
                defined[program_of(path), name] = unit_of(path)
    for path, text in files.items():
        needed = graph[unit_of(path)]
        for name, header in includes(files, path):
            needed.setdefault(unit_of(header), 'includes ' + name)
        seen = set().union(*(declared[header] for header in seen_by(files, path, {path})))
        code = text if path.suffix == '.c' else '\n'.join(INLINE.findall(text))
        for name in sorted(seen.intersection(NAMED.findall(STRING.sub('', code)))):
            other = defined.get((program_of(path), name))
            if other:
                needed.setdefault(other, 'names ' + name)
        needed.pop(unit_of(path), None)
    return graph


def circle_of(graph, unit):
    """A shortest circle through `unit`, as a list that begins with it, or None."""
    before, todo = {}, [unit]
    for this in todo:
        for other in graph[this]:
            if other not in before:
                before[other] = this
                todo.append(other)
    if unit not in before:
        return None
    way = [unit]
    while before[way[-1]] != unit:
        way.append(before[way[-1]])
    return [unit] + way[:0:-1]


def check(root):
    """The circles below `root`, as lines"""
    graph = needs(read(root))
    lines, said = [], set()
    for unit in graph:
        circle = circle_of(graph, unit)
        if circle and frozenset(circle) not in said:
            said.add(frozenset(circle))
            lines.append('these files need each other in a circle:')
            lines += [f'    {a} {graph[a][b]} of {b}'
                      for a, b in zip(circle, circle[1:] + circle[:1])]
    return lines


PLAIN = {
    'core/base/one.h': 'void one_run(void);\n',
    'core/base/one.c': '#include "base/one.h"\nvoid one_run(void)\n{\n    // two_run();\n}\n',
    'core/base/two.h': '#include "base/one.h"\nvoid two_run(void);\n',
    'core/base/two.c': '#include "base/two.h"\nvoid two_run(void)\n{\n    one_run();\n}\n',
}
CIRCLES = {
    'core/base/one includes base/two.h': {'core/base/one.c': '#include "base/two.h"\n'},
    'core/base/one includes base/three.h': {
        'core/base/one.h': '#include "base/three.h"\n',
        'core/base/three.h': '#include "base/two.h"\n',
    },
    'core/base/one names two_run': {
        'core/base/one.c': '#include "base/both.h"\nvoid one_run(void)\n{\n    two_run();\n}\n',
        'core/base/both.h': 'void two_run(void);\n',
    },
    'core/base/one names two_soon': {
        'core/base/one.h': 'void two_soon(void);\n'
                           'static inline void one_run(void)\n{\n    two_soon();\n}\n',
        'core/base/two.c': '#include "base/two.h"\nvoid two_soon(void)\n{\n}\n',
    },
    'core/base/one names two_count': {
        'core/base/one.h': 'extern int two_count;\n',
        'core/base/one.c': '#include "base/one.h"\nint *one_count(void)\n{\n'
                           '    return &two_count;\n}\n',
        'core/base/two.c': '#include "base/two.h"\nint two_count = 1;\n',
    },
}


def self_check():
    """Nothing is found where nothing is; a circle of each kind is."""
    def lines(files):
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                path = pathlib.Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return '\n'.join(check(pathlib.Path(root)))

    assert lines(PLAIN) == '', lines(PLAIN)
    for said, change in CIRCLES.items():
        assert said in lines({**PLAIN, **change}), said + '\n' + lines({**PLAIN, **change})


if __name__ == '__main__':
    if sys.argv[1:] == ['--self-check']:
        sys.exit(self_check())
    wrong = check(pathlib.Path('.'))
    print(*wrong, sep='\n', end='\n' if wrong else '')
    sys.exit(bool(wrong))
