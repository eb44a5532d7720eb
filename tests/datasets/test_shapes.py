import json

import numpy as np
import pytest

from pointdistill.datasets.modelnet40 import CLASSES, read_modelnet40
from pointdistill.datasets.shapenetpart import OFFICIAL_PARTS, read_shapenetpart
from pointdistill.errors import DataError


def _lines(rows, separator):
    return "".join(separator.join(f"{value:.6f}" for value in row) + "\n" for row in rows)


@pytest.fixture
def modelnet(tmp_path):
    generator = np.random.default_rng(0)
    (tmp_path / "modelnet40_shape_names.txt").write_text("chair\nnight_stand\n")
    (tmp_path / "modelnet40_train.txt").write_text("night_stand_0001\nchair_0001\n")
    for name in ("night_stand_0001", "chair_0001"):
        folder = tmp_path / name.rpartition("_")[0]
        folder.mkdir()
        (folder / f"{name}.txt").write_text(_lines(generator.uniform(-1, 1, (12, 6)), ","))
    return tmp_path


def test_modelnet(modelnet):
    data = read_modelnet40(modelnet, "train")
    assert data.classes == ("chair", "night_stand") and data.labels.tolist() == [1, 0]
    assert data.names == ("night_stand_0001", "chair_0001")
    assert data.points.shape == (2, 12, 3)
    published = np.loadtxt(modelnet / "chair/chair_0001.txt", delimiter=",")
    np.testing.assert_allclose(read_modelnet40(modelnet, "train", up="y").points[1], published[:, :3], atol=1e-6)
    x, y, z = published[:, :3].T
    np.testing.assert_allclose(data.points[1], np.stack([x, -z, y], 1), atol=1e-6)  # what was up is up
    np.testing.assert_array_equal(read_modelnet40(modelnet, "train", points=5).points, data.points[:, :5])


def test_modelnet_without_names_has_the_official_classes(modelnet):
    (modelnet / "modelnet40_shape_names.txt").unlink()
    assert len(CLASSES) == len(set(CLASSES)) == 40
    assert read_modelnet40(modelnet, "train").classes == CLASSES


@pytest.mark.parametrize(
    ("line", "message"),
    [("1,2,3", "line 4: 3 columns where 6 belong"), ("1,2,x,4,5,6", "line 4: 'x' is not"), ("1,2,nan,4,5,6", "line 4")],
)
def test_modelnet_bad_line(modelnet, line, message):
    path = modelnet / "chair/chair_0001.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], line, *lines[3:]]))
    with pytest.raises(DataError, match=rf"chair_0001\.txt, {message}"):
        read_modelnet40(modelnet, "train")


def test_modelnet_every_line_short(modelnet):
    (modelnet / "chair/chair_0001.txt").write_text("1,2,3\n4,5,6\n")
    with pytest.raises(DataError, match="line 1: 3 columns where 6 belong"):
        read_modelnet40(modelnet, "train")


def test_modelnet_what_is_missing_is_named(modelnet, tmp_path):
    with pytest.raises(DataError, match="no such ModelNet40 folder"):
        read_modelnet40(tmp_path / "nowhere", "train")
    with pytest.raises(DataError, match=r"modelnet40_test\.txt: no such split list"):
        read_modelnet40(modelnet, "test")
    with pytest.raises(DataError, match="12 points where 13 belong"):
        read_modelnet40(modelnet, "train", points=13)
    (modelnet / "modelnet40_train.txt").write_text("chair_0001\nsofa_0001\n")
    with pytest.raises(DataError, match="line 2: 'sofa_0001' is of no class"):
        read_modelnet40(modelnet, "train")
    (modelnet / "modelnet40_train.txt").write_text("chair_0002\n")
    with pytest.raises(DataError, match=r"chair_0002\.txt: no such file"):
        read_modelnet40(modelnet, "train")


@pytest.fixture
def shapenet(tmp_path):
    generator = np.random.default_rng(0)
    (tmp_path / "synsetoffset2category.txt").write_text("Airplane\t02691156\nMug\t03797390\n")
    (tmp_path / "train_test_split").mkdir()
    shapes = {"02691156/a": (10, (0, 1, 3)), "03797390/m": (6, (36, 37))}
    for name, (count, parts) in shapes.items():
        (tmp_path / name).parent.mkdir()
        rows = np.column_stack([generator.uniform(-1, 1, (count, 6)), generator.choice(parts, count)])
        (tmp_path / f"{name}.txt").write_text(_lines(rows, " "))
    for split, listed in (("train", ["shape_data/03797390/m"]), ("val", ["shape_data/02691156/a"])):
        path = tmp_path / f"train_test_split/shuffled_{split}_file_list.json"
        path.write_text(json.dumps(listed))
    return tmp_path


def test_official_part_table():
    ids = [part for parts in OFFICIAL_PARTS.values() for part in parts]
    assert len(OFFICIAL_PARTS) == 16 and ids == list(range(50))
    assert list(OFFICIAL_PARTS) == sorted(OFFICIAL_PARTS)


def test_shapenetpart(shapenet):
    data = read_shapenetpart(shapenet, "trainval")
    assert data.category_names == ("Airplane", "Mug") and data.categories.tolist() == [1, 0]
    assert data.part_ids == ((0, 1, 2, 3), (36, 37)) and data.part_count == 38
    assert data.counts.tolist() == [6, 10] and data.points.shape == (2, 10, 3)
    published = np.loadtxt(shapenet / "03797390/m.txt")
    np.testing.assert_allclose(data.points[0, :6, 2], published[:, 1], atol=1e-6)
    np.testing.assert_array_equal(data.parts[0, :6], published[:, 6])
    np.testing.assert_array_equal(data.points[0, 6:], data.points[0, :4])  # filling goes round the shape's own points
    assert read_shapenetpart(shapenet, "train").names == ("m",)


def test_shapenetpart_with_its_own_parts(shapenet):
    table = {"Airplane": {"parts": {"0": "wing", "1": "body", "3": "tail"}}, "Mug": {"parts": {"36": "a", "37": "b"}}}
    (shapenet / "parts.json").write_text(json.dumps(table))
    data = read_shapenetpart(shapenet, "train")
    assert data.part_ids == ((0, 1, 3), (36, 37)) and data.part_names[3] == "tail"


def test_shapenetpart_unknown_part(shapenet):
    path = shapenet / "03797390/m.txt"
    lines = path.read_text().splitlines()
    lines[2] = lines[2].rpartition(" ")[0] + " 35.000000"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"m\.txt, line 3: part label 35 is none of Mug's \(36, 37\)"):
        read_shapenetpart(shapenet, "train")


def test_shapenetpart_what_is_missing_is_named(shapenet, tmp_path):
    with pytest.raises(DataError, match="no such ShapeNetPart folder"):
        read_shapenetpart(tmp_path / "nowhere", "train")
    with pytest.raises(DataError, match=r"shuffled_test_file_list\.json: no such split list"):
        read_shapenetpart(shapenet, "test")
    (shapenet / "synsetoffset2category.txt").write_text("Airplane\t02691156\nSofa\t03797390\n")
    with pytest.raises(DataError, match=r"unknown category 'Sofa'.*parts\.json"):
        read_shapenetpart(shapenet, "train")
