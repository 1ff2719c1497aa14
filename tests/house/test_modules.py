"""The reader of modules and imports, on small crates whose imports are plain to see."""

import pytest

import modules


@pytest.fixture
def graph(tmp_path):
    """Writes a crate, {file: text}, and returns which of its modules imports which."""

    def of(files):
        for name, text in {"lib.rs": "", **files}.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return modules.imports(modules.read(tmp_path))

    return of


@pytest.fixture
def imports(graph):
    """The same with names as Rust writes them."""
    return lambda files: {
        "::".join(name): {"::".join(other) for other in others} for name, others in graph(files).items()
    }


@pytest.fixture
def circles(graph):
    return lambda files: modules.circles(graph(files))


STORE = {"store/mod.rs": "pub mod rows;\npub struct Row;", "store/rows.rs": "pub fn read() {}"}


@pytest.mark.parametrize(
    "text",
    [
        "use crate::store::rows;",
        "use crate::store::rows::read;",
        "use crate::store::rows::{self, read as fetch};",
        "use std::{fmt};\nuse crate::{\n    store::{\n        rows::read,\n    },\n};",
        "pub(crate) fn go() { crate::store::rows::read() }",
        "use super::store::rows::*;",
    ],
)
def test_every_way_to_name_a_module_is_an_import(imports, text):
    assert imports({**STORE, "api.rs": text})["api"] == {"store::rows"}


def test_a_path_that_begins_with_an_imported_module_is_an_import(imports):
    assert imports({**STORE, "api.rs": "use crate::store;\nfn go() { store::rows::read() }"})["api"] == {
        "store", "store::rows",
    }


def test_a_path_that_begins_with_a_child_is_an_import(imports):
    assert imports({**STORE, "store/mod.rs": "mod rows;\nfn go() { rows::read() }"})["store"] == {"store::rows"}


@pytest.mark.parametrize("text", ["use std::fmt;", "// use crate::store;", 'const A: &str = "crate::store::rows";', ""])
def test_other_crates_comments_and_literals_are_no_imports(imports, text):
    assert imports({**STORE, "api.rs": text})["api"] == set()


@pytest.mark.parametrize("face", ["pub use rows::read;", "pub use rows::*;", "pub use self::rows::{read};"])
def test_a_name_that_is_handed_on_is_imported_from_where_it_is_defined(imports, face):
    found = imports({**STORE, "store/mod.rs": f"mod rows;\n{face}", "api.rs": "use crate::store::read;"})
    assert found["api"] == {"store::rows"}
    assert found["store"] == set()


def test_a_name_that_is_handed_on_and_used_is_an_import(imports):
    found = imports({**STORE, "store/mod.rs": "mod rows;\npub use rows::read;\nfn go() { read() }"})
    assert found["store"] == {"store::rows"}


def test_a_module_within_a_file_is_a_part_of_it(imports):
    text = "pub mod rows { pub const A: u8 = 1; }\nmod b { const B: u8 = super::rows::A; use super::super::page::C; }"
    files = {"t/mod.rs": "", "t/rows.rs": "use super::list::rows::A;", "t/page.rs": "", "t/list.rs": text}
    assert imports(files)["t::list"] == {"t::page"}
    assert imports(files)["t::rows"] == {"t::list"}


def test_tests_import_what_they_like(imports):
    found = imports({
        **STORE,
        "api.rs": "#[cfg(test)]\nmod tests {\n    use crate::store::rows;\n}",
        "track/mod.rs": "#[cfg(test)]\nmod tests;",
        "track/tests/mod.rs": "mod city;",
        "track/tests/city.rs": "use crate::store::rows;",
    })
    assert found["api"] == set()
    assert not any(name.startswith("track::tests") for name in found)


def test_code_below_tests_counts(imports):
    text = "#[cfg(test)]\nmod tests { fn a() {} }\n#[cfg(test)]\nuse std::{fmt};\nuse crate::store::rows;"
    assert imports({**STORE, "api.rs": text})["api"] == {"store::rows"}


def test_two_files_that_import_each_other_are_a_circle(circles):
    assert circles({"a.rs": "use crate::b;", "b.rs": "fn go() { crate::a::go() }"}) == [((), ("a", "b"))]


def test_a_circle_over_three_files_of_a_folder_is_found(circles):
    files = {"t/mod.rs": "", "t/a.rs": "use super::b;", "t/b.rs": "use super::c::X;", "t/c.rs": "use super::a::Y;"}
    assert circles(files) == [(("t",), ("a", "b", "c"))]


def test_folders_are_rooms_whichever_of_their_files_import(circles):
    files = {
        "a/mod.rs": "mod one; mod two;", "a/one.rs": "use crate::b::one;", "a/two.rs": "",
        "b/mod.rs": "mod one; mod two;", "b/one.rs": "", "b/two.rs": "use crate::a::two;",
    }
    assert circles(files) == [((), ("a", "b"))]


def test_a_folder_shares_what_its_own_file_defines(circles):
    assert circles({"t/mod.rs": "mod a;\nstruct X;\nfn go() { a::go() }", "t/a.rs": "use super::X;"}) == []


def test_a_line_of_imports_is_no_circle(circles):
    assert circles({"a.rs": "use crate::b;\nuse crate::c;", "b.rs": "use crate::c;", "c.rs": ""}) == []
