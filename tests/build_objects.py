"""Writes tiny object data sets by hand, in the files of their owners."""

from pathlib import Path

import numpy as np

CLASSES = ("chair", "night_stand")


def write_text_release(root: Path, points: int = 40, per_class: int = 2) -> Path:
    """modelnet40_normal_resampled."""
    root.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    (root / "modelnet40_shape_names.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    for split, first in (("train", 1), ("test", 1 + per_class)):
        names = [f"{name}_{first + i:04d}" for name in CLASSES for i in range(per_class)]
        (root / f"modelnet40_{split}.txt").write_text("".join(f"{name}\n" for name in names))
        for name in names:
            path = root / name.rpartition("_")[0] / f"{name}.txt"
            path.parent.mkdir(exist_ok=True)
            np.savetxt(path, generator.uniform(-1, 1, (points, 6)), fmt="%.6f", delimiter=",")
    return root


def write_hdf5_release(root: Path, points: int = 40) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """modelnet40_ply_hdf5_2048: two training files and a test file; returns each split's clouds and labels."""
    import h5py

    root.mkdir(parents=True, exist_ok=True)
    generator, written = np.random.default_rng(1), {}
    (root / "shape_names.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    for split, files in (("train", 2), ("test", 1)):
        names = [f"ply_data_{split}{number}.h5" for number in range(files)]
        listed = "".join(f"data/modelnet40_ply_hdf5_2048/{name}\n" for name in names)
        (root / f"{split}_files.txt").write_text(listed)
        clouds = generator.uniform(-1, 1, (files, 3, points, 3)).astype(np.float32)
        labels = generator.integers(0, 2, (files, 3, 1)).astype(np.uint8)
        for name, data, label in zip(names, clouds, labels, strict=True):
            with h5py.File(root / name, "w") as file:
                file.create_dataset("data", data=data, compression="gzip")
                file.create_dataset("label", data=label)
                file.create_dataset("normal", data=data)
        written[split] = clouds.reshape(-1, points, 3), labels.reshape(-1)
    return written


BOX = np.array([[x, y, z] for x in (0, 4.0) for y in (0, 2.0) for z in (0, 1.0)])
SIDES = [(0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5)]


def box_off(scale: float = 1.0, glued: bool = False, polygons: bool = True) -> str:
    """A box of 4 x 2 x 1 by its six sides, or by twelve triangles with colours."""
    faces = [f"4 {a} {b} {c} {d}" for a, b, c, d in SIDES]
    if not polygons:
        faces = [f"3 {i} {j} {k} 255 0 0" for a, b, c, d in SIDES for i, j, k in ((a, b, c), (a, c, d))]
    counts = f"{len(BOX)} {len(faces)} 0"
    vertices = [" ".join(f"{value:g}" for value in scale * vertex) for vertex in BOX]
    head = [f"OFF{counts}"] if glued else ["OFF", "# a box", counts]
    return "\n".join([*head, *vertices, "", *faces, ""])


def write_meshes(root: Path) -> Path:
    """Princeton's ModelNet40: two shapes a class for training, one for tests."""
    for name in CLASSES:
        for split, numbers in (("train", (1, 2)), ("test", (3,))):
            (root / name / split).mkdir(parents=True)
            for number in numbers:
                text = box_off(scale=number, glued=number == 2, polygons=number != 3)
                (root / name / split / f"{name}_{number:04d}.off").write_text(text)
    return root


def write_scanobjectnn(root: Path, points: int = 40) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """h5_files of three variants; returns clouds and labels by "folder/file"."""
    import h5py

    generator, written = np.random.default_rng(2), {}
    files = [("main_split", ending) for ending in ("", "_augmentedrot_scale75")] + [("main_split_nobg", "")]
    for folder, ending in files:
        (root / "h5_files" / folder).mkdir(parents=True, exist_ok=True)
        for beginning, count in (("training_objectdataset", 4), ("test_objectdataset", 2)):
            name = f"{folder}/{beginning}{ending}.h5"
            clouds = generator.uniform(-1, 1, (count, points, 3)).astype(np.float32)
            labels = generator.integers(0, 15, count).astype(np.int32)
            with h5py.File(root / "h5_files" / name, "w") as file:
                file["data"], file["label"] = clouds, labels
                file["mask"] = np.where(clouds[..., 0] > 0, 1, -1).astype(np.int32)
            written[name] = clouds, labels
    return written


def write_shapenet55(root: Path, points: int = 40) -> dict[str, dict[str, np.ndarray]]:
    """ShapeNet-55 of Point-BERT: five training and two test shapes; returns each split's clouds by their files' names,
    in the lists' order. Model ids may hold dashes, as some of the release's do."""
    generator = np.random.default_rng(5)
    names = {
        "train": ("03001627-1a2b", "02691156-u60-41-44", "04379243-ff00", "03001627-0b.1", "02691156-3c"),
        "test": ("04379243-aa", "03001627-bb"),
    }
    (root / "shapenet_pc").mkdir(parents=True)
    (root / "ShapeNet-55").mkdir()
    written: dict[str, dict[str, np.ndarray]] = {}
    for split, of_split in names.items():
        written[split] = {f"{name}.npy": generator.normal(0, 0.2, (points, 3)).astype(np.float32) for name in of_split}
        for name, cloud in written[split].items():
            np.save(root / "shapenet_pc" / name, cloud)
        (root / "ShapeNet-55" / f"{split}.txt").write_text("".join(f"{name}\n" for name in written[split]))
    return written
