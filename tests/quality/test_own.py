import json

import pytest

from own import BadFile, read

LINE = [[24.93, 60.16], [24.94, 60.17]]
FIXES = [[1_700_000_000, 24.93, 60.16], [1_700_000_060, 24.94, 60.17]]


def written(folder, *drives):
    file = folder / "vans.json"
    file.write_text(json.dumps({"drives": drives}))
    return file


def test_drives_are_named_by_their_file(tmp_path):
    (drive,) = read(written(tmp_path, {"id": "7", "truth": [LINE], "fixes": FIXES}))
    assert drive == ("vans/7", [LINE], FIXES)


@pytest.mark.parametrize("drive, words", [
    ({"id": "7", "truth": [LINE]}, "drive 0: 'fixes'"),
    ({"id": "7", "truth": [], "fixes": FIXES}, "the truth has no line"),
    ({"id": "7", "truth": [LINE], "fixes": FIXES[:1]}, "two places"),
    ({"id": "7", "truth": [[[24.93, 60.16, 5.0]] * 2], "fixes": FIXES}, "lists of 2 numbers"),
    ({"id": "7", "truth": [LINE], "fixes": [[1_700_000_000, 60.16, 124.93]] * 2}, "longitude and latitude"),
])
def test_what_is_wrong_with_a_file_is_said(tmp_path, drive, words):
    with pytest.raises(BadFile, match=words):
        read(written(tmp_path, drive))


def test_a_file_of_something_else_is_said(tmp_path):
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(BadFile, match="other.json has no list of drives"):
        read(tmp_path / "other.json")
