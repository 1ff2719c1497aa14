"""What the setup says before it changes anything, and what it makes of the crates and of the map page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import dependencies  # noqa: E402
import map_page  # noqa: E402


@pytest.fixture
def prepare(tmp_path):
    """Runs the setup with programs of the test's own before the system's; apt-get only notes that it was called."""

    def run(script="packages.sh build", programs=None, **environment):
        programs = {"apt-get": f"echo called >>{tmp_path}/apt; exit 1", **(programs or {})}
        for name, body in programs.items():
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\n{body}\n")
            program.chmod(0o755)
        clean = {name: value for name, value in os.environ.items() if name not in ("PG", "PG_CONFIG")}
        done = subprocess.run(
            ["bash", "-c", f"{HERE}/{script}"], capture_output=True, text=True,
            env={**clean, "PATH": f"{tmp_path}:{os.environ['PATH']}", **environment},
        )
        assert done.returncode != 0
        assert not (tmp_path / "apt").exists()
        return done.stderr

    return run


def test_a_rust_that_is_too_old_is_refused_before_anything_is_installed(prepare):
    said = prepare(programs={"cargo": "exit 0", "rustc": "echo 'rustc 1.85.0 (4d91de4e4 2025-02-17)'"})
    assert said == "setup: Rust 1.89 or newer is needed, and rustc here is 1.85.0: 'rustup update', or rustup.rs\n"


@pytest.mark.parametrize(("environment", "words"), [
    ({"PG": "13"}, "PG=13: 14 to 18 will do"),
    ({"PG": "17; rm"}, "PG=17; rm: 14 to 18 will do"),
    ({"PG_CONFIG": "/bin/false"}, "/bin/false is not a PostgreSQL 14 to 18 with server and headers"),
])
def test_a_postgresql_that_will_not_do_is_refused_with_words(prepare, environment, words):
    assert prepare(**environment) == f"setup: {words}\n"


def test_a_version_and_an_installation_that_differ_are_refused(prepare, tmp_path):
    for folder in ("bin", "include"):
        (tmp_path / folder).mkdir()
    (tmp_path / "include/postgres.h").touch()
    (tmp_path / "bin/postgres").touch(mode=0o755)
    answers = f"""case $1 in --version) echo PostgreSQL 16.2 ;; --bindir) echo {tmp_path}/bin ;;
                  *) echo {tmp_path}/include ;; esac"""
    said = prepare(programs={"pg_config": answers}, PG="15", PG_CONFIG=f"{tmp_path}/pg_config")
    assert said == f"setup: PG=15 was asked for, and {tmp_path}/pg_config is of PostgreSQL 16\n"


@pytest.mark.parametrize(("expression", "permitted"), [
    ("MIT", True), ("MIT OR GPL-3.0", True), ("MIT/Apache-2.0", True), ("(MIT OR Apache-2.0) AND Unicode-3.0", True),
    ("GPL-3.0", False), ("MIT AND GPL-3.0", False), ("(GPL-3.0 OR AGPL-3.0) AND MIT", False), ("", False),
])
def test_a_licence_is_permitted_if_a_choice_is(expression, permitted):
    assert dependencies.permitted(expression) is permitted


def test_every_crate_that_is_shipped_may_be():
    assert dependencies.check(*dependencies.linked(dependencies.metadata())) == 0


def test_without_leaflet_all_is_built_but_the_map_page(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(map_page, "LEAFLET", tmp_path / "nowhere")
    map_page.main(tmp_path / "map.html")
    assert not (tmp_path / "map.html").exists()
    assert "libjs-leaflet" in capsys.readouterr().out


def test_the_map_page_needs_nothing_beside_it():
    page = map_page.page()
    assert page.count(map_page.EMPTY) == 1
    assert not re.search(r"""(src|href)=["'](?!data:)|@import|url\(""", page.split("<script>")[0])
