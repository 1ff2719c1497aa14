"""The pages say what is so: their SQL prints what they show, their links lead somewhere, they leave out
nothing that the extension offers, and they name nothing that is not there."""

import re

import pytest
from documents import Page, manual, pages, run
from harness import env

MEMBERS = """
    SELECT coalesce(p.proname, c.relname) AS name, p.proargnames, c.oid AS relation
      FROM pg_depend d
      JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND d.deptype = 'e'
      LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
      LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('r', 'v')
     WHERE e.extname = 'osrm_matcher' AND coalesce(p.proname, c.relname) IS NOT NULL"""
PAGES = pages()
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
each_page_with_sql = pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.run for block in page.blocks())], ids=lambda page: page.name)


@each_page_with_sql
def test_every_block_of_sql_runs_and_prints_what_is_shown(page, request):
    database = request.getfixturevalue("empty_db" if page.makes_the_extension() else "db")
    wrong = []
    for block in page.blocks():
        printed = run(database, block) if block.run else block.output or ""
        if not block.shows(printed):
            wrong.append(f"{block.title()}\nshown:\n{block.output}\nprinted:\n{printed}")
    assert not wrong, "\n".join(wrong)


@each_page
def test_every_link_leads_somewhere(page):
    broken = []
    for path, anchor in page.links():
        if not path.exists() or anchor and anchor not in Page(path).anchors():
            broken.append(f"{path}#{anchor}")
    assert broken == []


@each_page
def test_every_file_that_a_page_names_is_there(page):
    named = [code for code in page.code() if re.fullmatch(r"(src|sql|tests|docs)/[\w./-]*", code)]
    assert [path for path in named if not (env.ROOT / path).exists()] == []


def test_the_architecture_has_a_line_for_every_room():
    rooms = [path.relative_to(env.ROOT) for path in (env.ROOT / "src").rglob("*") if path.is_dir()]
    rooms += [path.relative_to(env.ROOT) for pattern in ("src/*.rs", "sql/*.sql") for path in env.ROOT.glob(pattern)]
    named = {code.rstrip("/") for code in Page(env.ROOT / "ARCHITECTURE.md").code()}
    assert sorted({str(room) for room in rooms if "--" not in room.name} - named) == []


def test_the_architecture_has_a_reason_for_every_crate():
    manifest = (env.ROOT / "Cargo.toml").read_text()
    crates = [name for part in re.findall(r"^\[(?:dev-)?dependencies\]\n(.*?)(?:^$|\Z)", manifest, re.DOTALL | re.MULTILINE)
              for name in re.findall(r"^([\w-]+) =", part, re.MULTILINE)]
    assert crates
    assert sorted(set(crates) - set(Page(env.ROOT / "ARCHITECTURE.md").code())) == []


def offered(db, hidden=False):
    """Functions, procedures, tables and views of the extension; its own inner ones only if asked for."""
    return {name for (name,) in db.rows(f"SELECT m.name FROM ({MEMBERS}) m") if hidden or not name.startswith("_")}


def parts(db):
    """Arguments and columns of all that, each with whose it is."""
    return db.rows(f"""
        SELECT m.name, a.name FROM ({MEMBERS}) m CROSS JOIN unnest(m.proargnames) AS a (name) WHERE a.name <> ''
        UNION
        SELECT m.name, a.attname FROM ({MEMBERS}) m JOIN pg_attribute a ON a.attrelid = m.relation
         WHERE a.attnum > 0 AND NOT a.attisdropped""")


def settings(db):
    db.rows("LOAD 'osrm_matcher'")
    return {name for (name,) in db.rows("SELECT name FROM pg_settings WHERE name LIKE 'osrm\\_matcher.%'")}


def test_the_manual_names_everything_that_the_extension_offers(db):
    named = {word for page in manual() for code in page.code() for word in re.findall(r"[\w.]+", code)}
    assert sorted((offered(db) | settings(db)) - named) == []


def test_a_page_that_names_something_names_its_arguments_and_columns_too(db):
    words = [{word for code in page.code() for word in re.findall(r"\w+", code)} for page in manual()]
    missing = [(whose, part) for whose, part in parts(db)
               if not whose.startswith("_") and not any({whose, part} <= page for page in words)]
    assert sorted(missing) == []


def test_the_manual_names_no_function_and_no_setting_that_is_not_there(db):
    known = offered(db, hidden=True) | {name for (name,) in db.rows("SELECT proname FROM pg_proc")}
    called = {name for page in manual() for code in page.code() for name in re.findall(r"(?<![\w.])([a-z_]+)\(", code)}
    assert sorted(called - known) == []
    known = settings(db)
    assert sorted({name for page in manual() for name in re.findall(r"\bosrm_matcher\.\w+", page.text)} - known) == []
