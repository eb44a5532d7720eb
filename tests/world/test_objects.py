"""Object data sets in their owners' layouts."""

import json
from pathlib import Path

import numpy as np
import pytest

from pointdistill.errors import DataError
from pointdistill.world.classes import CLASSES, PARTS
from pointdistill.world.objects import object_cloud, write_modelnet40, write_shapenet55, write_shapenetpart
from pointdistill.world.seeds import SEEDS

SEEDS_OF = {"train": SEEDS["objects_train"], "val": SEEDS["objects_val"], "test": SEEDS["objects_test"]}
PER_CLASS = {"train": 2, "val": 1, "test": 1}


@pytest.fixture(scope="module")
def modelnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("modelnet")
    write_modelnet40(root, SEEDS_OF, PER_CLASS, points=128, workers=1)
    return root


@pytest.fixture(scope="module")
def shapenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shapenet")
    write_shapenetpart(root, SEEDS_OF, PER_CLASS, points=128, workers=1)
    return root


def test_modelnet_layout(modelnet: Path):
    names = (modelnet / "modelnet40_shape_names.txt").read_text().split()
    assert names == sorted(name.replace(" ", "_") for name in CLASSES)
    lists = {split: (modelnet / f"modelnet40_{split}.txt").read_text().split() for split in PER_CLASS}
    every = [name for listed in lists.values() for name in listed]
    assert len(every) == len(set(every)) == 4 * len(CLASSES)
    assert lists["train"][:2] == ["cabinet_0001", "cabinet_0002"] and lists["val"][0] == "cabinet_0003"
    for name in every:
        rows = np.loadtxt(modelnet / name.rsplit("_", 1)[0] / f"{name}.txt", delimiter=",")
        assert rows.shape == (128, 6)
        assert np.linalg.norm(rows[:, :3], axis=1).max() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(np.linalg.norm(rows[:, 3:], axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(rows[:, :3].mean(0), 0, atol=1e-5)


def test_no_two_objects_are_the_same(modelnet: Path):
    texts = [path.read_bytes() for path in modelnet.glob("*/*.txt")]
    assert len(set(texts)) == len(texts)


def test_shapenet_layout(shapenet: Path):
    synsets = dict(line.split("\t") for line in (shapenet / "synsetoffset2category.txt").read_text().splitlines())
    parts = json.loads((shapenet / "parts.json").read_text())
    assert list(synsets) == list(parts) == [name.replace(" ", "_") for name in CLASSES]
    ids = [int(part) for category in parts.values() for part in category["parts"]]
    assert ids == list(range(sum(map(len, PARTS.values()))))
    for split, count in PER_CLASS.items():
        listed = json.loads((shapenet / "train_test_split" / f"shuffled_{split}_file_list.json").read_text())
        assert len(listed) == count * len(CLASSES)
        for entry in listed:
            folder, synset, shape = entry.split("/")
            rows = np.loadtxt(shapenet / synset / f"{shape}.txt")
            category = next(name for name, offset in synsets.items() if offset == synset)
            assert folder == "shape_data" and rows.shape == (128, 7)
            assert set(rows[:, 6].astype(int)) <= {int(part) for part in parts[category]["parts"]}


def test_shapenet55_layout(tmp_path: Path):
    seeds = {"train": SEEDS["objects_pretrain"], "test": SEEDS["objects_heldout"]}
    write_shapenet55(tmp_path, seeds, {"train": 2, "test": 1}, points=128, workers=1)
    lists = {split: (tmp_path / "ShapeNet-55" / f"{split}.txt").read_text().split() for split in seeds}
    every = [*lists["train"], *lists["test"]]
    assert sorted(every) == sorted(path.name for path in (tmp_path / "shapenet_pc").iterdir())
    assert len(lists["train"]) == 2 * len(CLASSES) and len(lists["test"]) == len(CLASSES)
    assert len({name.split("-")[0] for name in lists["test"]}) == len(CLASSES)
    clouds = [np.load(tmp_path / "shapenet_pc" / name) for name in every]
    assert {(cloud.shape, str(cloud.dtype)) for cloud in clouds} == {((128, 3), "float32")}
    assert len({cloud.tobytes() for cloud in clouds}) == len(every)
    name = f"{90_000_001 + CLASSES.index('chair')}-{seeds['test'][0]:08d}.npy"
    np.testing.assert_array_equal(
        np.load(tmp_path / "shapenet_pc" / name), object_cloud("chair", seeds["test"][0], 128)[0].astype(np.float32)
    )


def test_up_is_y_and_part_names_are_true():
    places, _, parts = object_cloud("chair", 5, 1024)
    first = sum(len(PARTS[name]) for name in CLASSES[: CLASSES.index("chair")])
    names = np.array(PARTS["chair"])[parts - first]
    assert places[names == "back", 1].mean() > places[names == "seat", 1].mean() > places[names == "leg", 1].mean()


def test_object_seeds_are_disjoint():
    for first in SEEDS_OF:
        for second in SEEDS_OF:
            assert first == second or not set(SEEDS_OF[first]) & set(SEEDS_OF[second])


def test_same_seed_same_bytes_restart_and_refusal(modelnet: Path, tmp_path: Path):
    write_modelnet40(tmp_path, SEEDS_OF, PER_CLASS, points=128, workers=1)
    for path in sorted(modelnet.rglob("*.txt")):
        assert path.read_bytes() == (tmp_path / path.relative_to(modelnet)).read_bytes()
    kept, lost = tmp_path / "bed" / "bed_0001.txt", tmp_path / "bed" / "bed_0002.txt"
    text, stamp = lost.read_text(), kept.stat().st_mtime_ns
    lost.unlink()
    write_modelnet40(tmp_path, SEEDS_OF, PER_CLASS, points=128, workers=1)
    assert lost.read_text() == text and kept.stat().st_mtime_ns == stamp
    with pytest.raises(DataError, match="other settings"):
        write_modelnet40(tmp_path, SEEDS_OF, PER_CLASS, points=64, workers=1)
