"""Rust read just well enough for the rules of the house: what a module imports, how long a function is.

Comments and the contents of literals are blanked out, so that neither looks like code. Block comments are
taken not to be nested. A module within a file is a part of that file.
"""

import re
from typing import NamedTuple

TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)"""
    r"""|(?P<literal>b?r(?P<hashes>\#*)".*?"(?P=hashes)|b?c?"(?:\\.|[^"\\])*"|b?'(?:\\[^']+|\\'|[^'\\\n])')""",
    re.DOTALL | re.VERBOSE,
)
TEST = re.compile(r"#\[cfg\(test\)\]")
USE = re.compile(r"(?P<public>\bpub(?:\([^)]*\))?\s+)?\buse\s+(?P<tree>[^;]+);")
INNER_MODULE = re.compile(r"\bmod\s+\w+\s*(?=\{)")
INLINE = re.compile(r"(?<![\w:])\w+(?:::\w+)+")
DEFINED = re.compile(r"\b(?:struct|enum|trait|fn|const|static|type|union|macro_rules!)\s+(?:mut\s+)?(\w+)")
FUNCTION = re.compile(r"\bfn\s+(\w+)")
OPEN, CLOSE = "([{", ")]}"


class Function(NamedTuple):
    name: str
    line: int
    lines: int  # of code: neither blank nor only a comment
    above: str  # comments and attributes right above it


class Use(NamedTuple):
    """One name brought into a module: `use a::b as c` has the path (a, b) and the name c."""

    path: tuple
    name: str  # `*` for all names
    public: bool


def code(text):
    """The text without comments, and with quotes for what is in literals; lines stay where they are."""

    def blank(found):
        return re.sub(r"[^\n]", " " if found["comment"] else '"', found[0])

    return TOKEN.sub(blank, text)


def literals(text):
    """What is written in string and character literals."""
    return [found["literal"] for found in TOKEN.finditer(text) if found["literal"]]


def without_tests(text):
    """The text without the items that `#[cfg(test)]` stands on, and the names of the modules among them
    that have files of their own."""
    parts, files, done = [], set(), 0
    blanked = code(text)
    for found in TEST.finditer(blanked):
        if found.start() < done:
            continue
        end = _end_of_item(blanked, found.end())
        module = re.fullmatch(r"\s*(?:pub\s+)?mod\s+(\w+)\s*;", blanked[found.end() : end])
        if module:
            files.add(module[1])
        parts += [text[done : found.start()], re.sub(r"[^\n]", " ", text[found.start() : end])]
        done = end
    return "".join([*parts, text[done:]]), files


def uses(blanked):
    """What the `use` items of code bring in."""
    inner = _inner_modules(blanked)
    return [
        Use(_as_of_file(path, found.start(), inner), name, found["public"] is not None)
        for found in USE.finditer(blanked)
        for path, name in _leaves(re.sub(r"\s+(?!as\b)(?<!\bas\s)", "", found["tree"]))
    ]


def inline_paths(blanked):
    """Paths such as `crate::a::b` that stand in code itself."""
    inner = _inner_modules(blanked)
    code = USE.sub(lambda found: " " * len(found[0]), blanked)
    return {_as_of_file(tuple(found[0].split("::")), found.start(), inner) for found in INLINE.finditer(code)}


def words(blanked):
    """Words of the code outside of `use` items."""
    return set(re.findall(r"\w+", USE.sub("", blanked)))


def defined(blanked):
    """Names of items that code defines, at whatever depth."""
    return set(DEFINED.findall(blanked))


def functions(text):
    """All functions that have a body, tests included."""
    blanked, lines = code(text), text.splitlines()
    for found in FUNCTION.finditer(blanked):
        end = _end_of_item(blanked, found.end())
        if blanked[end - 1] == "}":
            first = blanked.count("\n", 0, found.start())
            body = blanked[found.start() : end].splitlines()
            yield Function(found[1], first + 1, sum(bool(line.strip()) for line in body), _above(lines, first))


def _above(lines, first):
    start = first
    while start > 0 and re.match(r"\s*(//|#\[)", lines[start - 1]):
        start -= 1
    return "\n".join(lines[start:first])


def _inner_modules(blanked):
    """Where each module within the file begins and ends."""
    return [(found.end(), _end_of_item(blanked, found.end())) for found in INNER_MODULE.finditer(blanked)]


def _as_of_file(path, at, inner):
    """A path written at some place as the file, outside of its inner modules, would write it."""
    for _ in range(sum(start < at < end for start, end in inner)):
        if path[0] == "super":
            path = path[1:] if path[1:2] == ("super",) else ("self", *path[1:])
    return path


def _end_of_item(blanked, start):
    """Where the item that begins at `start` ends: behind its closing brace or its semicolon."""
    ends = ";" if re.match(r"(\s*#\[[^\]]*\])*\s*(pub(\([^)]*\))?\s+)?use\b", blanked[start:]) else ";}"
    depth = 0
    for at in range(start, len(blanked)):
        letter = blanked[at]
        depth += (letter in OPEN) - (letter in CLOSE)
        if depth == 0 and letter in ends:
            return at + 1
    raise ValueError(f"an item has no end: {blanked[start : start + 60]!r}")


def _leaves(tree, before=()):
    """(path, name) of each name in a tree of `use`, which has no blanks but those around `as`."""
    tree = tree.removeprefix("::")
    head, brace, rest = tree.partition("{")
    if brace:
        path = (*before, *filter(None, head.split("::")))
        for branch in _branches(rest[: rest.rindex("}")]):
            yield from _leaves(branch, path)
        return
    path, _, alias = tree.partition(" as ")
    path = (*before, *path.split("::"))
    if path[-1] == "*":
        yield path[:-1], "*"
        return
    if path[-1] == "self" and len(path) > 1:
        path = path[:-1]
    yield path, alias or path[-1]


def _branches(text):
    """Parts between the commas that are in no braces."""
    depth, part = 0, ""
    for letter in text:
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            yield part
            part = ""
        else:
            part += letter
    if part:
        yield part
