"""The modules of src/ and which of them import which."""

from pathlib import Path
from typing import NamedTuple

import rust_source

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"


class Module(NamedTuple):
    """A file of Rust without its tests. Its name is its path from the crate's root: ("track", "geo")."""

    name: tuple
    text: str
    code: str  # the text without comments and without the contents of literals

    @property
    def title(self):
        return "::".join(("crate", *self.name))


def read(source=SOURCE):
    """By name; modules that exist for tests only are left out, with all below them."""
    found, of_tests = {}, set()
    for file in sorted(source.rglob("*.rs")):
        name = _name(file.relative_to(source))
        text, tests = rust_source.without_tests(file.read_text())
        of_tests |= {(*name, test) for test in tests}
        found[name] = Module(name, text, rust_source.code(text))
    return {
        name: module for name, module in found.items()
        if not any(name[: len(test)] == test for test in of_tests)
    }


def imports(modules):
    """For each module the modules that it imports from, by `use` or by a path in its code.

    A name that a module only hands on (`pub use`) is an import from where it is defined, and none of the
    module that hands it on: the face of a folder does not depend on what it shows.
    """
    return {name: _imported(module, modules) - {name} for name, module in modules.items()}


def circles(graph):
    """Rooms that import each other, directly or by others: (folder, names of its rooms), one for each circle.

    The rooms of a folder are its files and its folders with all that is in them. What the folder's own
    mod.rs defines belongs to all of them: to take a name from there (`super::`) is no import of a room.
    """
    folders = {name[:depth] for name in graph for depth in range(len(name))}
    return [(folder, circle) for folder in sorted(folders) for circle in _circles(_rooms(folder, graph))]


def _name(path):
    parts = path.with_suffix("").parts
    return () if parts == ("lib",) else parts[:-1] if parts[-1] == "mod" else parts


def _imported(module, modules):
    words = rust_source.words(module.code)
    paths = {use.path for use in rust_source.uses(module.code) if not use.public or use.name in words}
    paths |= rust_source.inline_paths(module.code)
    return {found for path in paths if (found := _resolve(path, module.name, modules)) is not None}


def _resolve(path, here, modules, seen=frozenset()):
    """The module that a path, seen from the module `here`, leads to; `None` for another crate."""
    if (path, here) in seen:
        return None
    seen |= {(path, here)}
    at, rest = _start(path, here, modules)
    if at is None:
        # A name that a `use` has brought in, or a crate.
        own = [use for use in rust_source.uses(modules[here].code) if use.name == path[0] and use.path != path]
        return _resolve((*own[0].path, *path[1:]), here, modules, seen) if own else None
    while rest and (*at, rest[0]) in modules:
        at, rest = (*at, rest[0]), rest[1:]
    return _origin(rest[0], at, modules, seen) if rest else at


def _origin(name, at, modules, seen):
    """The module from which the module `at` has a name: itself, unless it hands on what another defines."""
    if name in rust_source.defined(modules[at].code):
        return at
    for use in rust_source.uses(modules[at].code):
        if use.name == name:
            return _resolve(use.path, at, modules, seen)
        if use.name == "*":
            origin = _resolve((*use.path, name), at, modules, seen)
            if origin is not None and name in rust_source.defined(modules[origin].code):
                return origin
    return at


def _start(path, here, modules):
    """The module that the first words of a path name, and the words that are left."""
    if path[0] == "crate":
        return (), path[1:]
    if path[0] in ("self", "super"):
        at = here
        while path and path[0] in ("self", "super"):
            at, path = (at[:-1] if path[0] == "super" else at), path[1:]
        return at, path
    return (here, path) if (*here, path[0]) in modules else (None, path)


def _rooms(folder, graph):
    """For each room of a folder the others that it imports from."""
    depth = len(folder) + 1
    inside = {name: name[depth - 1] for name in graph if len(name) >= depth and name[: depth - 1] == folder}
    rooms = {room: set() for room in inside.values()}
    for name, room in inside.items():
        rooms[room] |= {inside[other] for other in graph[name] if other in inside} - {room}
    return rooms


def _circles(rooms):
    reach = {room: _reachable(room, rooms) for room in rooms}
    circles = {tuple(sorted(o for o in reach[room] if room in reach[o])) for room in rooms if room in reach[room]}
    return sorted(circles)


def _reachable(room, rooms):
    found, left = set(), [room]
    while left:
        new = rooms[left.pop()] - found
        found |= new
        left += new
    return found
