import json

import pytest

from pointdistill.datasets.captions import Caption, read_captions
from pointdistill.errors import DataError


def _write(folder, *lines):
    (folder / "a.jpg").write_bytes(b"")
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "captions.jsonl").write_text("\n".join(text))


def test_captions(tmp_path):
    _write(tmp_path, {"file_name": "a.jpg", "text": "a chair"}, "", {"file_name": "a.jpg", "text": "one chair"})
    assert read_captions(tmp_path) == [Caption(tmp_path / "a.jpg", "a chair"), Caption(tmp_path / "a.jpg", "one chair")]


@pytest.mark.parametrize(
    "line",
    ["{", "[]", {"file_name": "a.jpg"}, {"file_name": "b.jpg", "text": "x"}, {"file_name": "a.jpg", "text": " "}],
)
def test_bad_lines_are_named(tmp_path, line):
    _write(tmp_path, {"file_name": "a.jpg", "text": "a chair"}, line)
    with pytest.raises(DataError, match="line 2"):
        read_captions(tmp_path)


def test_none(tmp_path):
    with pytest.raises(DataError, match="no such captions"):
        read_captions(tmp_path)
    _write(tmp_path)
    with pytest.raises(DataError, match="holds no captions"):
        read_captions(tmp_path)
