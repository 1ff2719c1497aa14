"""Nothing grows beyond what can be read in one go.

A file has at most 400 lines, a function at most 60 lines of code (blank lines and comments do not count). A
longer function may stand where a comment right above it says `long:` and the reason, for instance

    // long: one call for each setting, all of the same form.

(`--` in SQL). There is no such way out for files.
"""

import ast

import pytest

import rust_source
import sql_source
from modules import ROOT

MOST_LINES = 400
MOST_LINES_OF_FUNCTION = 60
REASON = "long:"


def files(*kinds):
    """Source files of some kinds, such as "rs"."""
    folders = [ROOT / name for name in ("src", "sql", "tests")]
    found = sorted(file for folder in folders for kind in kinds for file in folder.rglob(f"*.{kind}"))
    assert found
    return found


def too_long(kind, functions):
    """`functions` finds those of a text: with name, line, lines, and what is above."""
    return [
        f"{file.relative_to(ROOT)}:{function.line}: {function.name} has {function.lines} lines"
        for file in files(kind)
        for function in functions(file.read_text())
        if function.lines > MOST_LINES_OF_FUNCTION and REASON not in function.above
    ]


def python_functions(text):
    """As the functions of the other languages; a reason is looked for in the doc string."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            count = node.end_lineno - node.lineno + 1
            yield rust_source.Function(node.name, node.lineno, count, ast.get_docstring(node) or "")


def nothing(wrong):
    assert not wrong, "\n".join(wrong)


def test_no_file_is_too_long():
    # An upgrade script is one file, whatever a version changes.
    kept = [file for file in files("rs", "sql", "py", "sh", "js", "css") if "--" not in file.name]
    counts = {file: len(file.read_text().splitlines()) for file in kept}
    nothing([f"{file.relative_to(ROOT)}: {count} lines" for file, count in counts.items() if count > MOST_LINES])


@pytest.mark.parametrize(("kind", "source"), [("rs", rust_source), ("sql", sql_source)])
def test_no_function_is_too_long_without_a_reason(kind, source):
    nothing(too_long(kind, source.functions))


def test_no_function_of_the_tests_is_too_long():
    nothing(too_long("py", python_functions))
