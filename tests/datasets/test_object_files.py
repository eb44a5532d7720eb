"""Labelled objects in all forms that they are published in."""

import sys

import numpy as np
import pytest

import build_objects
from build_objects import CLASSES
from pointdistill.datasets import scanobjectnn
from pointdistill.datasets.layouts import layout_of, object_source
from pointdistill.datasets.modelnet40 import read_modelnet40
from pointdistill.datasets.objects import read_objects
from pointdistill.datasets.surface import sample_surface
from pointdistill.errors import DataError, MissingPackage
from pointdistill.io.off import read_off
from pointdistill.prepare import open_objects, prepare_objects


def _z_up(clouds):
    return np.stack([clouds[..., 0], -clouds[..., 2], clouds[..., 1]], -1)


def _problems(source, split, points=None):
    return [found for found in source.walk(split, points) if isinstance(found, DataError)]


def test_hdf5_release(tmp_path):
    pytest.importorskip("h5py")
    written = build_objects.write_hdf5_release(tmp_path)
    for split, (clouds, labels) in written.items():
        data = read_modelnet40(tmp_path, split)
        assert data.classes == CLASSES and data.labels.tolist() == labels.tolist()
        np.testing.assert_array_equal(data.points, _z_up(clouds))
        np.testing.assert_array_equal(read_modelnet40(tmp_path, split, points=7, up="y").points, clouds[:, :7])
    assert read_modelnet40(tmp_path, "train").names[4] == "ply_data_train1, shape 1"
    assert object_source(tmp_path).splits() == ["test", "train"] and layout_of(tmp_path).name == "modelnet40"


def test_every_bad_row_of_hdf5_is_found(tmp_path):
    h5py = pytest.importorskip("h5py")
    build_objects.write_hdf5_release(tmp_path)
    with h5py.File(tmp_path / "ply_data_train0.h5", "r+") as file:
        file["data"][1, 5, 2] = np.nan
        file["label"][2] = 2
    with h5py.File(tmp_path / "ply_data_train1.h5", "r+") as file:
        del file["label"]
    found = [str(error) for error in _problems(object_source(tmp_path), "train")]
    assert len(found) == 3
    assert "ply_data_train0.h5, shape 1: point 5 is not finite" in found[0]
    assert "ply_data_train0.h5, shape 2: label 2 is none of the 2 classes" in found[1]
    assert "ply_data_train1.h5: holds no array of numbers 'label'" in found[2]
    with pytest.raises(DataError, match="shape 1: point 5"):
        read_modelnet40(tmp_path, "train")
    with pytest.raises(DataError, match="holds 40 points where 41 belong"):
        read_modelnet40(tmp_path, "test", points=41)
    (tmp_path / "ply_data_test0.h5").write_bytes(b"no hdf5")
    with pytest.raises(DataError, match=r"test0\.h5: not a readable HDF5 file"):
        read_modelnet40(tmp_path, "test")
    (tmp_path / "ply_data_test0.h5").unlink()
    with pytest.raises(DataError, match=r"test0\.h5: no such file"):
        read_modelnet40(tmp_path, "test")


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "train_files.txt").write_text("ply_data_train0.h5\n")
    (tmp_path / "ply_data_train0.h5").touch()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingPackage, match=r"pip install 'pointdistill\[data\]'"):
        read_modelnet40(tmp_path, "train")


@pytest.mark.parametrize(("glued", "polygons"), [(False, True), (True, True), (True, False), (False, False)])
def test_off_in_all_its_spellings(tmp_path, glued, polygons):
    path = tmp_path / "box.off"
    path.write_text(build_objects.box_off(glued=glued, polygons=polygons))
    mesh = read_off(path)
    np.testing.assert_array_equal(mesh.vertices, build_objects.BOX)
    corners = mesh.vertices[mesh.triangles]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    assert len(areas) == 12 and areas.sum() == pytest.approx(2 * (4 * 2 + 4 * 1 + 2 * 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("OFF", "PLY", "line 1: does not begin with OFF"),
        ("8 6 0", "8 six 0", "line 3: the numbers of vertices and faces"),
        ("8 6 0", "8 9 0", "ends after 14 of 8 vertices and 9 faces"),
        ("4 0 1\n", "4 0\n", "line 9: not the 3 numbers"),
        ("4 0 1\n", "4 nan 1\n", "line 9: a coordinate that is not"),
        ("4 2 3 7 6", "4 2 3 8 6", "line 16: a corner is none of the 8"),
        ("4 2 3 7 6", "5 2 3 7 6", "line 16: not the 6 numbers"),
    ],
)
def test_bad_off_is_named_by_its_line(tmp_path, old, new, message):
    path = tmp_path / "box.off"
    text = build_objects.box_off()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=message):
        read_off(path)


def test_points_are_spread_by_area():
    """Against the moments of the exact uniform density: mean of a triangle is its centroid, E|x - centroid|^2 is
    (a^2 + b^2 + c^2) / 36."""
    vertices = np.array([[0, 0, 0], [6, 0, 0], [0, 3, 0], [0, 0, 5], [2, 0, 5], [0, 1, 5.0]])
    triangles = np.array([[0, 1, 2], [3, 4, 5], [0, 0, 1]])  # areas 9, 1, 0
    points = sample_surface(vertices, triangles, 40_000, np.random.default_rng(0))
    assert points is not None
    upper = points[:, 2] > 2.5
    assert upper.mean() == pytest.approx(0.1, abs=0.006)
    lower = points[~upper]
    np.testing.assert_allclose(lower.mean(0), [2, 1, 0], atol=0.03)
    assert ((lower - [2, 1, 0]) ** 2).sum(1).mean() == pytest.approx((36 + 9 + 45) / 36, rel=0.03)
    assert (lower[:, 0] / 6 + lower[:, 1] / 3 <= 1 + 1e-9).all()
    assert sample_surface(vertices, triangles[2:], 5, np.random.default_rng(0)) is None


def test_meshes(tmp_path):
    root = build_objects.write_meshes(tmp_path / "ModelNet40")
    data = read_modelnet40(root, "train", points=200)
    assert data.classes == CLASSES and data.labels.tolist() == [0, 0, 1, 1] and data.points.shape == (4, 200, 3)
    assert data.names == ("chair_0001", "chair_0002", "night_stand_0001", "night_stand_0002")
    np.testing.assert_allclose(np.linalg.norm(data.points, axis=2).max(1), 1, atol=1e-6)
    extent = np.ptp(data.points, axis=1)
    np.testing.assert_allclose(extent / extent[:, :1], np.tile([1, 0.5, 0.25], (4, 1)), atol=0.02)  # z is up as it is
    turned = read_modelnet40(root, "train", points=200, up="y").points
    np.testing.assert_array_equal(_z_up(turned), data.points)
    for path in (root / "chair").rglob("*1.off"):
        path.unlink()  # what else there is to read changes no shape's points
    np.testing.assert_array_equal(read_modelnet40(root, "train", points=200).points[0], data.points[1])
    assert read_modelnet40(root, "test").points.shape == (2, 10_000, 3)


def test_an_empty_class_folder_and_every_bad_mesh(tmp_path):
    root = build_objects.write_meshes(tmp_path / "ModelNet40")
    (root / "sofa").mkdir()
    (root / "__MACOSX").mkdir()
    flat = build_objects.box_off().replace("4 ", "0 ").replace(" 2 ", " 0 ")
    (root / "chair/train/chair_0001.off").write_text("OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n")
    (root / "chair/train/chair_0002.off").write_text(flat[:20])
    found = [str(error) for error in _problems(object_source(root), "train")]
    assert "sofa/train: the class folder holds no .off files" in found[0]
    assert "chair_0001.off: its faces have no area" in found[1]
    assert "chair_0002.off, line" in found[2] and len(found) == 3


def test_every_problem_of_the_text_release(tmp_path):
    root = build_objects.write_text_release(tmp_path / "modelnet")
    path = root / "chair/chair_0001.txt"
    lines = path.read_text().splitlines()
    lines[4] = lines[7] = "0,0,nan,0,0,0"
    lines[9] = "1,2"
    path.write_text("\n".join(lines))
    path = root / "chair/chair_0002.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:30]))
    for path in (root / "night_stand").iterdir():
        path.unlink()
    with (root / "modelnet40_train.txt").open("a") as file:
        file.write("sofa_0001\nchair_0009\n")
    found = [str(error) for error in _problems(object_source(root), "train", 40)]
    assert [text.partition(". ")[0].removeprefix(f"{root}/") for text in found] == [
        "night_stand: the class folder holds no files, but modelnet40_train.txt lists 2 shapes of it",
        "chair/chair_0001.txt, line 5: nan is not finite (and 1 lines more)",
        "chair/chair_0001.txt, line 10: 2 columns where 6 belong",
        "chair/chair_0002.txt: holds 30 points where 40 belong",
        "modelnet40_train.txt, line 5: 'sofa_0001' is of no class in modelnet40_shape_names.txt",
        "chair/chair_0009.txt: no such file",
    ]


def test_scanobjectnn(tmp_path):
    pytest.importorskip("h5py")
    written = build_objects.write_scanobjectnn(tmp_path)
    files = {
        ("obj_only", "train"): "main_split_nobg/training_objectdataset.h5",
        ("obj_bg", "test"): "main_split/test_objectdataset.h5",
        ("pb_t50_rs", "train"): "main_split/training_objectdataset_augmentedrot_scale75.h5",
    }
    for (variant, split), name in files.items():
        for root in (tmp_path, tmp_path / "h5_files"):
            data = scanobjectnn.read_scanobjectnn(root, split, variant)
            np.testing.assert_array_equal(data.points, _z_up(written[name][0]))
            assert data.labels.tolist() == written[name][1].tolist() and data.classes[2] == "box"
    assert scanobjectnn.variants(tmp_path) == ["obj_only", "obj_bg", "pb_t50_rs"]
    assert layout_of(tmp_path).name == "scanobjectnn" and len(set(scanobjectnn.CLASSES)) == 15
    source = scanobjectnn.ScanObjectNN(tmp_path, "obj_bg")
    np.testing.assert_array_equal(source.foreground("test"), written["main_split/test_objectdataset.h5"][0][..., 0] > 0)
    with pytest.raises(DataError, match=r"augmented25_norot\.h5: no such file, which is the train split of pb_t25"):
        scanobjectnn.read_scanobjectnn(tmp_path, "train", "pb_t25")
    with pytest.raises(DataError, match="has variants"):
        prepare_objects(tmp_path, tmp_path / "store")


def test_prepared_alike(tmp_path):
    """A store is the data set as read; another form or variant is other data."""
    pytest.importorskip("h5py")
    build_objects.write_scanobjectnn(tmp_path / "scan")
    build_objects.write_hdf5_release(tmp_path / "hdf5")
    build_objects.write_meshes(tmp_path / "meshes")
    prepare_objects(tmp_path / "scan", tmp_path / "a", variant="obj_only")
    expected = read_objects(object_source(tmp_path / "scan", "obj_only"), "test")
    np.testing.assert_array_equal(open_objects(tmp_path / "a", "test").points, expected.points)
    with pytest.raises(DataError, match="variant=obj_only, not with variant=obj_bg"):
        prepare_objects(tmp_path / "scan", tmp_path / "a", variant="obj_bg")
    prepare_objects(tmp_path / "hdf5", tmp_path / "b", points=20)
    prepare_objects(tmp_path / "hdf5", tmp_path / "b", points=20)
    with pytest.raises(DataError, match="other data: test has changed"):
        prepare_objects(tmp_path / "meshes", tmp_path / "b", points=20)
    assert open_objects(tmp_path / "b", "train").points.shape == (6, 20, 3)
