"""Arrays, tensors, files, and several clouds of any sizes: the same answers."""

import numpy as np
import pytest
import torch

import build_las
import pointdistill
from oracles import points as oracle
from pointdistill import create_backbone
from pointdistill.applications.inputs import unit_clouds
from pointdistill.distilled import load_distilled
from pointdistill.errors import DataError

CLOUD = np.random.default_rng(0).uniform(-2, 2, (500, 3)).astype(np.float32).round(3)
SMALL = np.random.default_rng(1).uniform(0, 1, (90, 3))
TABLE = "\n".join(" ".join(f"{value:.6g}" for value in row) for row in CLOUD) + "\n"
FORMS = {
    "cloud.ply": f"ply\nformat ascii 1.0\nelement vertex {len(CLOUD)}\n"
    "property float x\nproperty float y\nproperty float z\nend_header\n" + TABLE,
    "cloud.off": f"OFF\n{len(CLOUD)} 0 0\n{TABLE}",
    "cloud.obj": "".join(f"v {line}\n" for line in TABLE.splitlines()),
    "cloud.pcd": "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
    f"WIDTH {len(CLOUD)}\nHEIGHT 1\nPOINTS {len(CLOUD)}\nDATA ascii\n{TABLE}",
    "cloud.xyz": TABLE,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clouds")
    for name, content in FORMS.items():
        (folder / name).write_text(content)
    np.save(folder / "cloud.npy", CLOUD)
    build_las.write_las(folder / "cloud.las", CLOUD.astype(np.float64), 2)
    return sorted(folder.iterdir())


def test_every_kind_of_file_tensor_and_array_says_the_same(run, files):
    assert {path.suffix for path in files} >= {".ply", ".off", ".obj", ".npy", ".pcd", ".las"}
    encoder = pointdistill.load_encoder(run)
    wanted = pointdistill.embed(CLOUD, encoder)
    given = [*files, *map(str, files[:1]), torch.from_numpy(CLOUD), torch.from_numpy(CLOUD).double()]
    for found in pointdistill.embed(given, encoder):
        np.testing.assert_allclose(found.tokens, wanted.tokens, atol=5e-3)
        np.testing.assert_allclose(found.centres, wanted.centres, atol=2e-3)


def test_lists_of_unequal_clouds_are_as_each_alone(run, files):
    distilled = load_distilled(run)
    given = [CLOUD, torch.from_numpy(SMALL), files[0]]
    for together, cloud in zip(pointdistill.embed(given, run), given, strict=True):
        alone = pointdistill.embed(cloud, run)
        np.testing.assert_allclose(together.tokens, alone.tokens, atol=1e-5)
        np.testing.assert_allclose(together.centres, alone.centres, atol=1e-9)
    captions = pointdistill.caption(given, distilled)
    assert captions == [pointdistill.caption(cloud, distilled) for cloud in given]
    labels = ["bedroom", "office"]
    for together, cloud in zip(pointdistill.classify(given, distilled, labels), given, strict=True):
        assert together == pytest.approx(pointdistill.classify(cloud, distilled, labels), abs=1e-5)
    assert pointdistill.embed([], run) == pointdistill.caption([], distilled) == []
    assert pointdistill.classify([], distilled, labels) == []


def test_a_backbone_itself_is_asked_in_evaluation_mode_and_left_as_it_was():
    torch.manual_seed(0)
    backbone = create_backbone("vit_nano").train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    first, second = (pointdistill.embed(CLOUD, backbone) for _ in range(2))
    assert np.array_equal(first.tokens, second.tokens) and backbone.training
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())


def test_features_at_points_are_interpolated_whatever_the_place_and_unit(run):
    encoder = pointdistill.load_encoder(run)
    found, moved = pointdistill.embed([SMALL, SMALL * 1000 + [5e5, 5e6, 100]], encoder)
    queries = SMALL[:20]
    wanted = np.stack([oracle.interpolated(query, found.centres, found.tokens) for query in queries])
    np.testing.assert_allclose(found.at(queries), wanted, atol=1e-3)
    np.testing.assert_allclose(found.at(torch.from_numpy(queries)), found.at(queries))
    np.testing.assert_allclose(moved.at(queries * 1000 + [5e5, 5e6, 100]), found.at(queries), atol=2e-2)
    with pytest.raises(DataError, match="not finite"):
        found.at(np.array([[0.0, np.nan, 0.0]]))


def test_unit_clouds_keep_every_point_in_its_place_and_a_backbone_takes_them():
    first, second = unit_clouds([CLOUD, torch.from_numpy(SMALL)])
    assert first.shape == (500, 3) and second.shape == (90, 3)
    for cloud, given in ((first, CLOUD), (second, SMALL)):
        shifted = given - given.mean(0)
        np.testing.assert_allclose(cloud, shifted / np.linalg.norm(shifted, axis=1).max(), atol=1e-6)
    assert create_backbone("vit_nano").eval()([first, second]).tokens.shape == (2, 64, 96)
    drawn = torch.stack(unit_clouds([CLOUD, SMALL], points=120))
    assert drawn.shape == (2, 120, 3)
    (turned,) = unit_clouds(CLOUD[:, [0, 2, 1]] * [1, 1, -1], up="y")
    np.testing.assert_allclose(turned, first, atol=1e-6)


@pytest.mark.parametrize(
    ("cloud", "said"),
    [
        (np.zeros((4, 5, 3)), r"is a batch \(4, 5, 3\)\. Give list\(points\)"),
        (np.zeros((4, 6)), r"is float64 \(4, 6\)\. Give numbers of shape \(points, 3\)"),
        (np.array([["a", "b", "c"]]), r"is <U1 \(1, 3\)"),
        (np.zeros((0, 3)), "has 0 finite points"),
        (torch.zeros(100, 3, dtype=torch.bfloat16), "all its points in one place"),
        ("cloud.stl", "no known kind of point cloud"),
    ],
)
def test_what_is_no_cloud_is_one_line(cloud, said):
    with pytest.raises(DataError, match=said):
        unit_clouds(cloud)
    with pytest.raises(DataError, match=said):
        unit_clouds([CLOUD, cloud])


def test_of_several_the_cloud_is_named():
    with pytest.raises(DataError, match=r"point cloud 1: is float32 \(90, 2\)"):
        unit_clouds([CLOUD, SMALL[:, :2].astype(np.float32)])
