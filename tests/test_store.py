import json

import numpy as np
import pytest

import build_scannet
from fake_teacher import factory
from pointdistill.errors import DataError
from pointdistill.prepare import prepare_frames
from pointdistill.store import FrameStore


@pytest.fixture
def store(tmp_path):
    root = build_scannet.write_data_set(tmp_path / "scannet", ["scene0000_00", "scene0001_00"], frames=4)
    return prepare_frames(root, tmp_path / "store", factory(), every=1, points=100, workers=1)


def test_opens_only_when_finished(store, tmp_path):
    assert len(FrameStore.open(store.path, verify=True)) == 8
    (store.path / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"manifest\.json: no such file.*Run the preparation"):
        FrameStore.open(store.path)
    with pytest.raises(DataError, match="no such file"):
        FrameStore.open(tmp_path / "nowhere")


def test_sizes_are_always_checked_and_hashes_when_asked(store):
    path = store.path / "points.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    FrameStore.open(store.path)
    with pytest.raises(DataError, match=r"points\.npy: differs from its sha256"):
        FrameStore.open(store.path, verify=True)
    path.write_bytes(data[:-2])
    with pytest.raises(DataError, match=r"points\.npy: has \d+ bytes where \d+ belong"):
        FrameStore.open(store.path)
    path.unlink()
    with pytest.raises(DataError, match=r"points\.npy: is missing"):
        FrameStore.open(store.path)


def test_an_array_that_is_not_the_manifests(store):
    path = store.path / "manifest.json"
    content = json.loads(path.read_text())
    content["files"]["scale.npy"]["dtype"] = "float64"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"scale\.npy: is float32 \(8,\) where the manifest says float64"):
        FrameStore.open(store.path)
    path.write_text(json.dumps({**content, "format": 1}))
    with pytest.raises(DataError, match="is not of a frame store of format 2"):
        FrameStore.open(store.path)
    path.write_text("{")
    with pytest.raises(DataError, match="damaged"):
        FrameStore.open(store.path)


def test_points_and_targets_are_mapped_not_read(store):
    for array in (store.points, store.targets):
        assert isinstance(array.base, np.memmap) or isinstance(array, np.memmap)
        assert not array.flags.writeable


def test_target_statistics(store):
    targets = np.asarray(store.targets, np.float64)
    mean, std = store.target_statistics()
    np.testing.assert_allclose(mean, targets.mean(0), rtol=1e-6)
    np.testing.assert_allclose(std, targets.std(0), rtol=1e-4, atol=1e-7)
    chosen = np.array([1, 3, 4])
    np.testing.assert_allclose(store.target_statistics(chosen)[0], targets[chosen].mean(0), rtol=1e-6)


def test_whole_scans_can_be_held_out(store):
    assert store.in_scans({"scene0001_00"}).tolist() == [False] * 4 + [True] * 4
