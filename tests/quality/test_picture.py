"""The picture in the documents can be read there, and says whose map it shows."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

PICTURE = Path(__file__).resolve().parents[2] / "docs/images/noisy-trace.svg"
SVG = "{http://www.w3.org/2000/svg}"
DOCUMENT_WIDTH = 830  # pixels that a page of documentation gives a picture, at least
SMALLEST_TEXT = 11  # pixels


@pytest.fixture(scope="module")
def picture():
    return ElementTree.parse(PICTURE).getroot()


def test_no_text_is_too_small_at_the_width_of_a_document(picture):
    shrunk = min(1, DOCUMENT_WIDTH / float(picture.get("width")))
    sizes = [float(text.get("font-size")) * shrunk for text in picture.iter(f"{SVG}text")]
    assert sizes and min(sizes) >= SMALLEST_TEXT


def test_it_brings_its_own_background(picture):
    ground = picture[0]
    assert (ground.tag, ground.get("fill")) == (f"{SVG}rect", "white")
    assert (ground.get("width"), ground.get("height")) == (picture.get("width"), picture.get("height"))


def test_it_names_whose_map_it_is(picture):
    assert "© OpenStreetMap contributors" in [text.text for text in picture.iter(f"{SVG}text")]


def test_it_is_no_burden_to_load():
    assert PICTURE.stat().st_size < 200_000
