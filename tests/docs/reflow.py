#!/usr/bin/env python3
"""Wraps the paragraphs and list items of pages at 100 columns.

    tests/docs/reflow.py PAGE …

Code, tables, headings and comments stay as they are, and so does everything but white space.
"""

import re
import sys

WIDTH = 100
ITEM = re.compile(r"^(\s*)([-*]|\d+\.)(\s+)")
OTHER = ("|", "#", "<!--", ">", "```")  # begin a line that is no paragraph's
STICKY = re.compile(r"^([-*+]|#+|\d+\.|>|\||=+)$")  # would begin something else at a line's start


def words_of(text):
    """The words of a paragraph. Short code spans are one word, and so are words that must not begin a
    line, with the one before them."""
    words = []
    for word in text.split():
        if words and (STICKY.match(word) or open_span(words[-1])):
            words[-1] += " " + word
        else:
            words.append(word)
    return [part for word in words for part in ([word] if len(word) <= 80 else word.split())]


def open_span(word):
    return word.count("`") % 2 == 1


def fill(words, first, rest):
    lines, line = [], first + words[0]
    for word in words[1:]:
        if len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line = rest + word
        else:
            line += " " + word
    return lines + [line]


def paragraph(lines, at):
    """Its lines after the first, `at`: how far they go."""
    end = at + 1
    while end < len(lines) and lines[end].strip() and not ITEM.match(lines[end]) and \
            not lines[end].lstrip().startswith(OTHER):
        end += 1
    return end


def reflow(text):
    lines, out, at, in_list = text.split("\n"), [], 0, False
    while at < len(lines):
        line = lines[at]
        item = ITEM.match(line)
        end = at + 1
        if line.lstrip().startswith(("```", "<!--")):
            last = "```" if line.lstrip().startswith("```") else "-->"
            while last not in lines[end - 1][3 if end == at + 1 else 0:]:
                end += 1
            out += lines[at:end]
        elif not line.strip() or line.lstrip().startswith(OTHER):
            out.append(line)
        elif not item and line.startswith("    ") and not (in_list and out[-1:] != [""]):
            out.append(line)  # code
        else:
            first = item.group() if item else re.match(r"\s*", line).group()
            in_list = item is not None or (in_list and first != "")
            end = paragraph(lines, at)
            words = words_of(" ".join(part.strip() for part in [line[len(first):]] + lines[at + 1:end]))
            out += fill(words, first, " " * len(first)) if words else [line]
        at = end
    return "\n".join(out)


def main():
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            before = file.read()
        after = reflow(before)
        assert before.split() == after.split(), path
        with open(path, "w", encoding="utf-8") as file:
            file.write(after)


if __name__ == "__main__":
    main()
