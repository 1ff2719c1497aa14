"""Every room of src/ keeps to its job: who may import whom, and who may speak to PostgreSQL, SQL or HTTP.

Tests within the sources are left out, except that those of `track` and `osrm`, too, must do without pgrx: one
plain test that reaches it breaks the link of the whole test binary.
"""

import re

import pytest

import modules
import rust_source

MODULES = modules.read()
IMPORTS = modules.imports(MODULES)
PURE = ("track", "osrm")
STAGES = ("draw", "ask", "prepare")  # of track; each may import those after it, none those before it
# CREATE is none: pgrx takes the declarations of its functions as SQL (`sql = "CREATE FUNCTION ..."`).
STATEMENT = re.compile(
    r"""b?c?r?\#*"\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|ALTER|DROP|TRUNCATE|COPY|LOCK|CALL|DO|NOTIFY)\b"""
)


def is_in(name, *room):
    """Whether a module is in a room, which is a file or a folder."""
    return name[: len(room)] == room


def outside(*room):
    return [module for name, module in MODULES.items() if not is_in(name, *room)]


def forbidden_imports(room, forbidden):
    """What the modules of a room import though `forbidden` says so of its name."""
    return [
        f"{module.title} imports {'::'.join(other)}"
        for name, module in MODULES.items() if is_in(name, *room)
        for other in sorted(IMPORTS[name]) if forbidden(other)
    ]


def mentions(found, pattern):
    """The modules whose code, comments and literals aside, has something."""
    return [module.title for module in found if re.search(pattern, module.code)]


def nothing(wrong):
    assert not wrong, "\n".join(wrong)


def test_no_room_imports_another_that_imports_it():
    nothing([f"in {'::'.join(('crate', *folder))}: {', '.join(rooms)}" for folder, rooms in modules.circles(IMPORTS)])


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_never_mention_pgrx(room):
    files = (modules.SOURCE / room).rglob("*.rs")
    nothing([str(file) for file in files if re.search(r"\bpgrx\b", rust_source.code(file.read_text()))])


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_import_from_pure_rooms_only(room):
    nothing(forbidden_imports((room,), lambda name: not name or name[0] not in PURE))


@pytest.mark.parametrize("stage", STAGES)
def test_the_stages_of_track_have_a_folder_each(stage):
    assert (modules.SOURCE / "track" / stage / "mod.rs").exists()


@pytest.mark.parametrize("stage", STAGES[1:])
def test_no_stage_of_track_imports_a_later_one(stage):
    later = STAGES[: STAGES.index(stage)]
    nothing(forbidden_imports(("track", stage), lambda name: any(is_in(name, "track", one) for one in later)))


def test_only_the_store_speaks_sql():
    others = outside("store")
    nothing(mentions(others, r"\bSpi\b"))
    nothing([
        f"{module.title}: {text}"
        for module in others for text in rust_source.literals(module.text) if STATEMENT.match(text)
    ])


def test_only_the_store_has_files_of_sql():
    files = [file.relative_to(modules.SOURCE) for file in modules.SOURCE.rglob("*.sql")]
    nothing([str(file) for file in files if file.parts[0] != "store"])
    nothing(mentions(outside("store"), r"\binclude_str!"))


def test_only_the_client_speaks_http():
    nothing(mentions(outside("osrm", "client"), r"\bureq\b"))
