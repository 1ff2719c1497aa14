"""SQL read just well enough to say how long its functions and procedures are.

A body is quoted with dollars, or it begins with BEGIN ATOMIC and ends with END; at the start of a line, or it
is a RETURN. No body holds another function's CREATE.
"""

import re
from typing import NamedTuple

SILENT = re.compile(r"--[^\n]*|/\*.*?\*/|(?P<literal>'(?:[^']|'')*')", re.DOTALL)
CREATE = re.compile(r"\bCREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE)\s+(?:@extschema@\.)?(\w+)", re.IGNORECASE)
BODY = re.compile(r"(?P<dollars>\$\w*\$)|(?P<atomic>\bBEGIN\s+ATOMIC\b)|;", re.IGNORECASE)
ATOMIC_END = re.compile(r"^END\s*;", re.MULTILINE | re.IGNORECASE)


class Function(NamedTuple):
    name: str
    line: int
    lines: int  # of code: neither blank nor only a comment
    above: str  # comments right above it


def functions(text):
    code = SILENT.sub(_blank, text)
    lines = text.splitlines()
    for found in CREATE.finditer(code):
        first = code.count("\n", 0, found.start())
        statement = code[found.start() : _end(code, found.end())]
        count = sum(bool(line.strip()) for line in statement.splitlines())
        yield Function(found[1], first + 1, count, _above(lines, first))


def _blank(found):
    return re.sub(r"[^\n]", "'" if found["literal"] else " ", found[0])


def _end(code, start):
    body = BODY.search(code, start)
    if body is None:
        raise ValueError(f"a function has no body: {code[start : start + 60]!r}")
    if body["dollars"]:
        return code.index(body["dollars"], body.end()) + len(body["dollars"])
    return ATOMIC_END.search(code, body.end()).end() if body["atomic"] else body.end()


def _above(lines, first):
    start = first
    while start > 0 and lines[start - 1].startswith("--"):
        start -= 1
    return "\n".join(lines[start:first])
