"""The guard of `make quality`: what counts as worse, and that the documents show the table that is kept."""

import re
from pathlib import Path

import pytest

import expected
from expected import Figure, signed

ROOT = Path(__file__).resolve().parents[2]
KEPT = {
    "clean, none, 1 s": Figure("cell", 0.1, 0.7),
    "rough, 5 m white, 60 s": Figure("cell", 8.3, 25.7),
    "all, windows of 5min": Figure("mean", 4.32),
}


def test_the_same_figures_pass():
    assert expected.compare(KEPT, dict(KEPT)) == ([], [], [])


def test_a_figure_that_grew_is_worse_and_fails():
    new = {**KEPT, "clean, none, 1 s": Figure("cell", 0.2, 0.7)}
    comparison = expected.compare(KEPT, new)
    assert comparison.worse == ["clean, none, 1 s: 0.100 -> 0.200"]
    assert not comparison.passed


def test_a_figure_that_shrank_is_better_and_passes():
    comparison = expected.compare(KEPT, {**KEPT, "rough, 5 m white, 60 s": Figure("cell", 7.0, 25.7)})
    assert comparison.better == ["rough, 5 m white, 60 s: 8.300 -> 7.000"]
    assert comparison.passed


def test_an_error_is_worse_the_farther_it_is_from_none():
    kept = {"kilometres, clean, none, 1 s": Figure("distance", -0.5, 3.0)}
    assert expected.compare(kept, {"kilometres, clean, none, 1 s": Figure("distance", -0.7, 3.0)}).worse
    assert expected.compare(kept, {"kilometres, clean, none, 1 s": Figure("distance", 0.1, 3.0)}).better


def test_better_figures_do_not_make_up_for_a_worse_one():
    new = {name: figure._replace(ours=0.0) for name, figure in KEPT.items()}
    new["clean, none, 1 s"] = Figure("cell", 0.2, 0.7)
    assert not expected.compare(KEPT, new).passed


@pytest.mark.parametrize(("kind", "tolerance"), expected.TOLERANCE.items())
def test_only_more_than_the_tolerance_counts(kind, tolerance):
    kept = {"it": Figure(kind, 1.0)}
    assert expected.compare(kept, {"it": Figure(kind, 1.0 + 0.9 * tolerance)}).passed
    assert not expected.compare(kept, {"it": Figure(kind, 1.0 + 1.1 * tolerance)}).passed


@pytest.mark.parametrize("defaults", [0.6, 0.8])
def test_other_figures_of_the_defaults_make_the_comparison_unfair(defaults):
    comparison = expected.compare(KEPT, {**KEPT, "clean, none, 1 s": Figure("cell", 0.1, defaults)})
    assert comparison.unfair == [f"clean, none, 1 s: OSRM's defaults 0.700 -> {defaults:.3f}"]
    assert not comparison.passed


def test_a_figure_that_is_missing_or_new_fails():
    first, *others = KEPT
    fewer = {name: KEPT[name] for name in others}
    assert expected.compare(KEPT, fewer).unfair == [f"{first}: only in the table"]
    assert expected.compare(fewer, KEPT).unfair == [f"{first}: only in this run"]


def test_the_report_names_every_figure_that_changed_and_how_to_accept_it():
    new = {**KEPT, "clean, none, 1 s": Figure("cell", 0.2, 0.7), "all, windows of 5min": Figure("mean", 4.0)}
    text = "\n".join(expected.report(expected.compare(KEPT, new)))
    assert "worse: clean, none, 1 s" in text
    assert "better: all, windows of 5min" in text
    assert "1 figures worse, 1 better, 0 not comparable" in text
    assert "ACCEPT=1" in text


def test_a_table_that_was_written_is_read_back(tmp_path):
    path = tmp_path / "table.tsv"
    expected.write(KEPT, path)
    assert expected.read(path) == KEPT


def test_a_file_that_is_no_table_is_refused(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("clean\t0.1\n")
    with pytest.raises(ValueError, match="does not begin with the columns"):
        expected.read(path)


@pytest.mark.parametrize(("head", "cell", "kept"), [
    ("drives", r"\*\*([\d.]+)\*\* / ([\d.]+)", lambda f: (f"{f.ours:.1f}", f"{f.defaults:.1f}")),
    ("kilometres of", r"\*\*([-+][\d.]+)\*\* / ([-+]\d+)", lambda f: (signed(f.ours, 1), signed(f.defaults))),
    ("greatest speed of", r"\*\*([-+]\d+)\*\* \([-+]\d+\)", lambda f: (signed(f.ours),)),
])
def test_the_documents_show_the_table_that_is_kept(head, cell, kept):
    shown = {}
    for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]:
        shown |= table_of(path.read_text(), head, cell)
    before = "" if head == "drives" else head.removesuffix(" of") + ", "
    kind = {"drives": "cell", "kilometres of": "distance", "greatest speed of": "speed"}[head]
    found = {name.removeprefix(before): f for name, f in expected.read().items() if f.kind == kind}
    assert shown == {name: kept(f) for name, f in found.items()}


def table_of(text, head, cell):
    """The figures of the table that has a column for each interval, as they are printed."""
    shown = {}
    for table in re.findall(rf"^\| {head} \| noise \|.*\n(?:\|.*\n)*", text, re.MULTILINE):
        heads, _, *rows = [[word.strip() for word in row.strip("|").split("|")] for row in table.splitlines()]
        for drives, noise, *cells in rows:
            for interval, text in zip(heads[2:], cells):
                shown[f"{drives}, {noise}, {interval}"] = re.fullmatch(cell, text).groups()
    return shown
