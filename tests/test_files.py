"""What is written is whole or absent, and damage is said with the file's name."""

import json

import numpy as np
import pytest

from pointdistill.errors import DataError
from pointdistill.files import (
    exclusive,
    is_temporary,
    read_arrays,
    read_json,
    write_arrays,
    write_atomic,
    write_json,
    write_text,
)


@pytest.mark.parametrize("sync", [True, False])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, sync):
    write_text(tmp_path / "a.txt", "old", sync)

    def fail(target):
        target.write_text("new, but not wh")
        assert is_temporary(target) and (tmp_path / "a.txt").read_text() == "old"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a.txt", fail, sync)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_what_a_killed_run_was_writing_is_deleted(tmp_path):
    (tmp_path / ".state.safetensors.12-ab.part").write_text("hal")
    (tmp_path / "mine.part").write_text("mine")
    with exclusive(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "mine.part"]


def test_missing_folders_are_made_and_the_result_comes_back(tmp_path):
    assert write_atomic(tmp_path / "one" / "two" / "a.bin", lambda target: target.write_bytes(b"abc")) == 3


def test_json_round_trip(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": [None, 2.5]})
    assert read_json(path) == {"b": 1, "a": [None, 2.5]}
    assert list(json.loads(path.read_text())) == ["b", "a"]
    write_json(path, {"b": 1, "a": 2}, sort_keys=True)
    assert path.read_text() == '{\n "a": 2,\n "b": 1\n}\n'


def test_missing_and_damaged_json_is_named(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(DataError, match=r"a\.json: no such file\. Write it"):
        read_json(path, "Write it")
    path.write_bytes(b'{"half": ')
    with pytest.raises(DataError, match=r"a\.json: is damaged"):
        read_json(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"a\.json: is damaged"):
        read_json(path)


@pytest.mark.parametrize("compress", [False, True])
def test_arrays_round_trip_under_any_name(tmp_path, compress):
    arrays = {"x": np.arange(6, dtype=np.int16).reshape(2, 3), "text": np.array("words")}
    for name in ("a.npz", "a"):
        write_arrays(tmp_path / name, arrays, compress)
        found = read_arrays(tmp_path / name, "Write it again.")
        assert list(found) == ["x", "text"] and str(found["text"]) == "words"
        np.testing.assert_array_equal(found["x"], arrays["x"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.npz"]


def test_arrays_of_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"pickled: bad"):
        write_arrays(tmp_path / "a.npz", {"good": np.zeros(2), "bad": np.array([{}, None])})
    assert not list(tmp_path.iterdir())


def test_missing_and_damaged_arrays_are_named(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(DataError, match=r"a\.npz: not a readable \.npz .*Write it"):
        read_arrays(path, "Write it")
    write_arrays(path, {"x": np.arange(1000)})
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"a\.npz: not a readable"):
        read_arrays(path, "Write it")
