"""`pointdistill doctor` on labelled data: all problems in one pass, each with its file and its line or index."""

import dataclasses
import json

import numpy as np
import pytest

import build_objects
import build_scannet
from pointdistill import cli
from pointdistill.prepare import open_objects, open_part_shapes, prepare_objects, prepare_part_shapes


def _doctor(capsys, *arguments) -> tuple[int, list[str]]:
    """Exit code, and what was printed on problems."""
    code = 0
    try:
        cli.main(["doctor", *(str(argument) for argument in arguments)])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    lines = capsys.readouterr().out.splitlines()
    return code, [line.strip() for line in lines if line.strip().startswith(("problem: ", "missing: "))]


def _check(found: tuple[int, list[str]], *expected: str) -> None:
    code, problems = found
    assert len(problems) == len(expected), problems
    for problem, part in zip(problems, expected, strict=True):
        assert part in problem
    assert code == (1 if expected else 0)


def _save(path, sample) -> None:
    """A prepared split, as stores hold it."""
    values = {field.name: getattr(sample, field.name) for field in dataclasses.fields(sample)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    others = {name: value for name, value in values.items() if name not in arrays}
    np.savez(path, others=np.array(json.dumps(others)), **arrays)


def test_modelnet40_as_text(tmp_path, capsys):
    root = build_objects.write_text_release(tmp_path / "text", per_class=3)
    _check(_doctor(capsys, root))
    path = root / "chair/chair_0001.txt"  # the first one, which must not be what the others are measured by
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:35]))
    path = root / "chair/chair_0002.txt"
    path.write_text("0,0,nan,0,0,0\n" + path.read_text())
    (root / "chair/chair_0003.txt").unlink()
    (root / "night_stand/night_stand_0004.txt").write_text("0,0,0,0,0,0\n" * 9)
    with (root / "modelnet40_test.txt").open("a") as file:
        file.write("sofa_0001\n")
    _check(
        _doctor(capsys, root),
        "night_stand_0004.txt: holds 9 points where 32 belong",
        "modelnet40_test.txt, line 7: 'sofa_0001' is of no class",
        "chair_0002.txt, line 1: nan is not finite",
        "chair_0003.txt: no such file",
        "chair_0001.txt: holds 35 points where 40 belong",
    )


def test_modelnet40_as_meshes_and_hdf5_and_scanobjectnn(tmp_path, capsys):
    h5py = pytest.importorskip("h5py")
    meshes = build_objects.write_meshes(tmp_path / "meshes")
    _check(_doctor(capsys, meshes))
    (meshes / "empty").mkdir()
    (meshes / "chair/train/chair_0001.off").write_text(build_objects.box_off().replace("4 0 1\n", "4 0 inf\n"))
    _check(
        _doctor(capsys, meshes),
        "empty/test: the class folder holds no .off files",
        "empty/train: the class folder holds no .off files",
        "chair_0001.off, line 9: a coordinate that is not",
    )
    build_objects.write_hdf5_release(tmp_path / "hdf5")
    build_objects.write_scanobjectnn(tmp_path / "scan")
    _check(_doctor(capsys, tmp_path / "hdf5"))
    _check(_doctor(capsys, tmp_path / "scan"))
    with h5py.File(tmp_path / "hdf5/ply_data_train1.h5", "r+") as file:
        file["data"][2, 3, 0], file["label"][0] = np.inf, 7
    (tmp_path / "hdf5/ply_data_test0.h5").unlink()
    with h5py.File(tmp_path / "scan/h5_files/main_split/training_objectdataset.h5", "r+") as file:
        file["label"][1] = -1
    _check(
        _doctor(capsys, tmp_path / "hdf5"),
        "ply_data_test0.h5: no such file",
        "ply_data_train1.h5, shape 0: label 7 is none of the 2 classes",
        "ply_data_train1.h5, shape 2: point 3 is not finite",
    )
    _check(_doctor(capsys, tmp_path / "scan"), "training_objectdataset.h5, shape 1: label -1 is none of the 15 classes")


@pytest.fixture
def shapenet(tmp_path):
    root, generator = tmp_path / "shapenet", np.random.default_rng(0)
    (root / "train_test_split").mkdir(parents=True)
    (root / "synsetoffset2category.txt").write_text("Bag\t02773838\nMug\t03797390\n")
    names = [f"{folder}/{i}" for folder in ("02773838", "03797390") for i in "abc"]
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        parts = generator.choice((4, 5) if name.startswith("027") else (36, 37), 40)
        np.savetxt(root / f"{name}.txt", np.column_stack([generator.uniform(-1, 1, (40, 6)), parts]), fmt="%.6f")
    for split in ("train", "val"):
        listed = json.dumps([f"shape_data/{name}" for name in names])
        (root / f"train_test_split/shuffled_{split}_file_list.json").write_text(listed)
    return root


def test_shapenetpart(shapenet, capsys):
    _check(_doctor(capsys, shapenet))
    (shapenet / "train_test_split/shuffled_val_file_list.json").unlink()
    path = shapenet / "02773838/a.txt"
    lines = path.read_text().splitlines()
    lines[2], lines[4], lines[5] = "0 0 0 0 0 0 37", "0 0 0 0 0 0 36", "0 0 0 0 0 nan 4"
    path.write_text("\n".join(lines))
    (shapenet / "02773838/b.txt").write_text("\n".join(lines[6:20]))
    for path in (shapenet / "03797390").iterdir():
        path.unlink()
    _check(
        _doctor(capsys, shapenet),
        "03797390: the folder of Mug holds no files, but the train list names 3 shapes of it",
        "a.txt, line 6: nan is not finite",
        "a.txt, line 3: part label 37 is none of Bag's (4, 5) (and 1 lines more)",
        "b.txt: holds 14 points where 32 belong",
    )
    (shapenet / "synsetoffset2category.txt").write_text("Bag\t02773838\nSofa\t03797390\n")
    _check(_doctor(capsys, shapenet), "unknown category 'Sofa'")


def test_prepared_shapes(tmp_path, shapenet, capsys):
    prepare_part_shapes(shapenet, tmp_path / "parts", ("train",))
    prepare_objects(build_objects.write_text_release(tmp_path / "text"), tmp_path / "objects")
    _check(_doctor(capsys, tmp_path / "parts"))
    _check(_doctor(capsys, tmp_path / "objects"))
    parts, objects = open_part_shapes(tmp_path / "parts", "train"), open_objects(tmp_path / "objects", "test")
    parts.parts[1, 7], parts.counts[2], parts.points[4, 3, 1] = 36, 20, np.nan
    objects.labels[0], objects.points[3, 0] = 2, np.inf
    _save(tmp_path / "parts/train.npz", parts)
    _save(tmp_path / "objects/test.npz", objects)
    (tmp_path / "objects/train.npz").write_bytes(b"PK")
    _check(
        _doctor(capsys, tmp_path / "parts"),
        "train.npz, shape 1 (b), point 7: part label 36 is unknown to category Bag",
        "train.npz, shape 2 (c): holds 20 points where 32 belong",
        "train.npz, shape 4 (b), point 3: coordinates that are not finite",
    )
    _check(
        _doctor(capsys, tmp_path / "objects"),
        "test.npz, object chair_0003: label 2 is not one of the 2 classes",
        "test.npz, object night_stand_0004, point 0: coordinates that are not finite",
        "train.npz: not a readable .npz",
    )


def test_scannet_scenes(tmp_path, capsys):
    """One of the boxes of each scan is flat as it is."""
    root = build_scannet.write_data_set(tmp_path / "scannet", ["scene0000_00", "scene0001_00", "scene0002_00"])
    path = root / "scans/scene0000_00/scene0000_00_vh_clean_2.ply"
    lines = path.read_text().splitlines()
    first = lines.index("end_header") + 1
    lines[first + 8] = "nan 0 0 1 1 1 255"
    path.write_text("\n".join([*lines, ""]))
    path = root / "scans/scene0001_00/scene0001_00.aggregation.json"
    path.write_text(path.read_text().replace("office chair", "throne"))
    (root / "scans/scene0002_00/scene0002_00_vh_clean_2.0.010000.segs.json").unlink()
    _check(
        _doctor(capsys, root, "--points", 9),
        ".sens of 3 scans",  # no problem of labelled data
        ".segs.json of 1 scans (scene0002_00)",
        "scans/scene0000_00, scene scene0000_00, vertex 8: coordinates that are not finite",
        "scans/scene0000_00, scene scene0000_00, box 1: a box of zero size",
        "scene0001_00.aggregation.json, object 2: label 'throne' is not in",
    )
    code, problems = _doctor(capsys, root)
    assert code == 1 and "scene scene0000_00: has only 9 vertices of 32" in problems[2]
