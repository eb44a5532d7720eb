"""ShapeNet-55, in files written here as Point-BERT publishes them."""

import numpy as np
import pytest

from build_objects import write_shapenet55
from pointdistill import cli
from pointdistill.datasets.layouts import layout_of, object_source, select
from pointdistill.datasets.objects import Shape, read_objects
from pointdistill.datasets.shapenet55 import ShapeNet55
from pointdistill.errors import DataError
from pointdistill.prepare import prepare_labels

BROKEN = {
    "04379243-missing.npy": "shapenet_pc/04379243-missing.npy: no such file",
    "chair.npy": "ShapeNet-55/train.txt, line 7: 'chair.npy' is no TAXONOMY-MODEL.npy",
    "../04379243-far.npy": "ShapeNet-55/train.txt, line 8: '../04379243-far.npy' is no TAXONOMY-MODEL.npy",
    "04379243-flat.npy": "04379243-flat.npy: holds float32 (40, 2) where (points, 3) floating-point numbers belong",
    "04379243-whole.npy": "04379243-whole.npy: holds int64 (40, 3) where (points, 3) floating-point numbers belong",
    "04379243-nan.npy": "04379243-nan.npy: point 5 is not finite",
    "04379243-text.npy": "04379243-text.npy: not a readable .npy array",
    "04379243-none.npy": "04379243-none.npy: not a readable .npy array",
    "04379243-objects.npy": "04379243-objects.npy: not a readable .npy array",
    "04379243-few.npy": "04379243-few.npy: holds 31 points where 32 belong",
}
"""A line of the list -> what is said of it."""


def break_it(root):
    """Add shapes to the list of which none can be used."""
    clouds, cloud = root / "shapenet_pc", np.ones((40, 3), np.float32)
    np.save(clouds / "04379243-flat.npy", cloud[:, :2])
    np.save(clouds / "04379243-whole.npy", cloud.astype(np.int64))
    np.save(clouds / "04379243-few.npy", cloud[:31])
    np.save(clouds / "04379243-objects.npy", np.array([[None] * 3] * 40), allow_pickle=True)
    (clouds / "04379243-text.npy").write_text("0 0 0\n")
    (clouds / "04379243-none.npy").touch()
    cloud[5, 1] = np.nan
    np.save(clouds / "04379243-nan.npy", cloud)
    with (root / "ShapeNet-55/train.txt").open("a") as file:
        file.writelines(f"{name}\n" for name in BROKEN)


def test_shapes_are_read_as_published_one_at_a_time(tmp_path, monkeypatch):
    written = write_shapenet55(tmp_path)
    source = ShapeNet55(tmp_path)
    assert source.splits() == ["test", "train"] and source.classes == ("02691156", "03001627", "04379243")
    for split, shapes in written.items():
        found = list(source.walk(split))
        assert [path.name for path in source.clouds(split)] == [*shapes]
        for shape, (name, cloud) in zip(found, shapes.items(), strict=True):
            assert isinstance(shape, Shape) and shape.name == name.removesuffix(".npy")
            assert source.classes[shape.label] == name[:8]  # the test list alone has fewer taxonomies
            np.testing.assert_array_equal(shape.points, cloud)
    standing = read_objects(source, "test")
    x, y, z = next(iter(written["test"].values())).T
    np.testing.assert_array_equal(standing.points[0], np.stack([x, -z, y], 1))  # what was up is up
    opened = []
    load = np.load
    monkeypatch.setattr(np, "load", lambda path, **options: opened.append(path) or load(path, **options))
    next(source.walk("train"))
    assert len(opened) == 1


def test_every_problem_is_found_in_one_pass(tmp_path, capsys):
    write_shapenet55(tmp_path)
    break_it(tmp_path)
    with (tmp_path / "ShapeNet-55/train.txt").open("a") as file:
        file.write("\n04379243-nan.npy\n")
    problems = [found for found in ShapeNet55(tmp_path).walk("train", 32) if isinstance(found, DataError)]
    expected = [*BROKEN.values(), "train.txt, line 17: 04379243-nan.npy is listed a second time"]
    assert len(problems) == len(expected)
    for problem, part in zip(problems, expected, strict=True):
        assert part in str(problem)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["doctor", str(tmp_path)])
    said = capsys.readouterr().out
    assert stopped.value.code == 1 and "ShapeNet-55" in said
    assert "split train: 5 shapes can be used, 11 problems" in said and "split test: 2 shapes" in said
    assert all(part in said for part in expected)


def test_what_is_missing_or_out_of_place_is_said(tmp_path, capsys):
    with pytest.raises(DataError, match=r"holds no ShapeNet-55 \(looked for shapenet_pc/ and ShapeNet-55/SPLIT\.txt\)"):
        ShapeNet55(tmp_path)
    write_shapenet55(tmp_path)
    assert layout_of(tmp_path).name == "shapenet55"
    cli.main(["doctor", str(tmp_path)])
    assert "split train: 5 shapes can be used, no problems" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"val\.txt: no such split list"):
        list(ShapeNet55(tmp_path).walk("val"))
    (tmp_path / "ShapeNet-55/val.txt").write_text("\n")
    with pytest.raises(DataError, match=r"val\.txt: the split list is empty"):
        list(ShapeNet55(tmp_path).walk("val"))
    for refused in (object_source, select, lambda root: prepare_labels(root, tmp_path / "labels")):
        with pytest.raises(DataError, match="is ShapeNet-55"):
            refused(tmp_path)
