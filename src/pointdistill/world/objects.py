"""Writes the embedded world's furniture as object data sets, file for file: ModelNet40 in the layout of
`modelnet40_normal_resampled`, ShapeNetPart in that of `shapenetcore_partanno_segmentation_benchmark_v0_normal`
(both as published with PointNet++), ShapeNet-55 in that of Point-BERT. Unit sphere, y up."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from pointdistill.files import write_bytes, write_text
from pointdistill.parallel import parallel_map
from pointdistill.seeding import numpy_generator
from pointdistill.world.classes import CLASSES, PARTS
from pointdistill.world.files import claim
from pointdistill.world.furniture import make_furniture
from pointdistill.world.solids import sample_surface

_FIRST_SYNSET = 90_000_001
"""Categories of ShapeNetPart and ShapeNet-55 are named like WordNet offsets; these lie beyond WordNet's own."""


@dataclass(frozen=True)
class _Shape:
    """One object file still to be written."""

    path: Path
    class_name: str
    seed: int
    points: int


def write_modelnet40(
    root: str | Path,
    seeds: Mapping[str, Sequence[int]],
    per_class: int | Mapping[str, int],
    points: int = 2048,
    workers: int | None = None,
) -> None:
    """Write labelled object clouds: `CLASS/CLASS_0001.txt` with x,y,z,nx,ny,nz a line, `modelnet40_shape_names.txt`
    and one list a split, `modelnet40_SPLIT.txt`. Restartable: files that are there are kept.

    Args:
        root: the folder; made if missing.
        seeds: object seeds of each split, for instance train, val and test; each split needs `per_class` of them.
            ModelNet40 has no val list; it is written when asked for.
        per_class: how many objects of each class a split gets, one number or one a split. The i-th object of every
            class is drawn from the split's i-th seed.
        points: points a cloud.
        workers: processes; as many as there are cores by default.

    Raises:
        DataError: the folder holds objects of other settings or seeds.
    """
    root = Path(root)
    seeds = _chosen(seeds, per_class)
    claim(root, _content("ModelNet40", seeds, points))
    lists: dict[str, list[str]] = {split: [] for split in seeds}
    shapes = []
    for class_name in CLASSES:
        label, count = class_name.replace(" ", "_"), 0
        for split, split_seeds in seeds.items():
            for seed in split_seeds:
                count += 1
                name = f"{label}_{count:04d}"
                lists[split].append(name)
                shapes.append(_Shape(root / label / f"{name}.txt", class_name, seed, points))
    _write_shapes(shapes, _comma_rows, root, workers)
    write_text(root / "modelnet40_shape_names.txt", "".join(f"{name.replace(' ', '_')}\n" for name in sorted(CLASSES)))
    for split, names in lists.items():
        write_text(root / f"modelnet40_{split}.txt", "".join(f"{name}\n" for name in names))


def write_shapenetpart(
    root: str | Path,
    seeds: Mapping[str, Sequence[int]],
    per_class: int | Mapping[str, int],
    points: int = 2048,
    workers: int | None = None,
) -> None:
    """Write part-labelled clouds: `SYNSET/SHAPE.txt` with "x y z nx ny nz part" a line, `synsetoffset2category.txt`,
    `train_test_split/shuffled_SPLIT_file_list.json`, and `parts.json`, which names the parts since they are not
    ShapeNetPart's fifty: {category: {"parts": {part id: name}}}. Arguments and errors as in `write_modelnet40`."""
    root = Path(root)
    seeds = _chosen(seeds, per_class)
    claim(root, _content("ShapeNetPart", seeds, points))
    synsets = _synsets()
    lists: dict[str, list[str]] = {split: [] for split in seeds}
    shapes = []
    for split, split_seeds in seeds.items():
        for class_name in CLASSES:
            for seed in split_seeds:
                name = f"{synsets[class_name]}/{seed:08d}"
                lists[split].append(f"shape_data/{name}")
                shapes.append(_Shape(root / f"{name}.txt", class_name, seed, points))
    _write_shapes(shapes, _part_rows, root, workers)
    categories = "".join(f"{_category(name)}\t{synset}\n" for name, synset in synsets.items())
    write_text(root / "synsetoffset2category.txt", categories)
    write_text(root / "parts.json", json.dumps(_part_names(), indent=1))
    (root / "train_test_split").mkdir(exist_ok=True)
    for split, names in lists.items():
        order = numpy_generator(0, "shuffle", split).permutation(len(names))
        shuffled = json.dumps([names[i] for i in order])
        write_text(root / "train_test_split" / f"shuffled_{split}_file_list.json", shuffled)


def write_shapenet55(
    root: str | Path,
    seeds: Mapping[str, Sequence[int]],
    per_class: int | Mapping[str, int],
    points: int = 8192,
    workers: int | None = None,
) -> None:
    """Write clouds to pre-train on: `shapenet_pc/SYNSET-SHAPE.npy`, (points, 3) float32, and `ShapeNet-55/SPLIT.txt`
    with a file name a line. The release has the splits train and test. Arguments and errors as in `write_modelnet40`.
    """
    root = Path(root)
    seeds = _chosen(seeds, per_class)
    claim(root, _content("ShapeNet-55", seeds, points))
    shapes = []
    lists: dict[str, list[str]] = {split: [] for split in seeds}
    for split, split_seeds in seeds.items():
        for class_name, synset in _synsets().items():
            for seed in split_seeds:
                name = f"{synset}-{seed:08d}.npy"
                lists[split].append(name)
                shapes.append(_Shape(root / "shapenet_pc" / name, class_name, seed, points))
    _write_shapes(shapes, _npy, root, workers)
    for split, names in lists.items():
        write_text(root / "ShapeNet-55" / f"{split}.txt", "".join(f"{name}\n" for name in names))


def object_cloud(
    class_name: str, seed: int, points: int
) -> tuple[Float[np.ndarray, "points 3"], Float[np.ndarray, "points 3"], Int[np.ndarray, "points"]]:
    """Points, normals and part ids (over all classes) of one piece of furniture: unit sphere around the mean point,
    y up, front towards +z. The same class and seed give the same cloud."""
    generator = numpy_generator(seed, "object", class_name)
    solids = make_furniture(class_name, generator).solids
    places, normals, owner = sample_surface(solids, points, generator)
    places = places - places.mean(axis=0)
    places /= np.linalg.norm(places, axis=1).max()
    return _y_up(places), _y_up(normals), solids.part[owner].astype(np.int64) + _first_part(class_name)


def _y_up(vectors: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
    x, y, z = vectors.T
    return np.stack([x, z, -y], axis=1)


def _first_part(class_name: str) -> int:
    """Part ids count through all classes, as in ShapeNetPart."""
    return sum(len(PARTS[name]) for name in CLASSES[: CLASSES.index(class_name)])


def _synsets() -> dict[str, str]:
    return {name: str(_FIRST_SYNSET + i) for i, name in enumerate(CLASSES)}


def _category(class_name: str) -> str:
    return class_name.replace(" ", "_")


def _part_names() -> dict[str, dict[str, dict[str, str]]]:
    return {
        _category(name): {"parts": {str(_first_part(name) + i): part for i, part in enumerate(PARTS[name])}}
        for name in CLASSES
    }


def _chosen(seeds: Mapping[str, Sequence[int]], per_class: int | Mapping[str, int]) -> dict[str, list[int]]:
    """The seeds that each split uses."""
    chosen = {}
    for split, split_seeds in seeds.items():
        count = per_class if isinstance(per_class, int) else per_class[split]
        if len(split_seeds) < count:
            raise ValueError(f"split {split}: {count} objects a class need as many seeds, not {len(split_seeds)}")
        chosen[split] = [int(seed) for seed in split_seeds[:count]]
    return chosen


def _content(layout: str, seeds: Mapping[str, list[int]], points: int) -> dict[str, object]:
    return {"format": layout, "points": points, "object_seeds": dict(seeds)}


def _write_shapes(
    shapes: list[_Shape], encode: Callable[[np.ndarray, np.ndarray, np.ndarray], bytes], root: Path, workers: int | None
) -> None:
    """Write the files that are missing.

    Args:
        encode: points, normals, part ids -> the content of a file.
    """
    missing = [shape for shape in shapes if not shape.path.is_file()]
    for folder in sorted({shape.path.parent for shape in missing}):
        folder.mkdir(exist_ok=True)
    # Objects take milliseconds: handed out in bundles, or the traffic between processes would cost more.
    bundles = [missing[start : start + 32] for start in range(0, len(missing), 32)]
    parallel_map(partial(_write_bundle, encode), bundles, f"objects in {root.name}", workers)


def _write_bundle(encode: Callable[[np.ndarray, np.ndarray, np.ndarray], bytes], shapes: list[_Shape]) -> None:
    for shape in shapes:
        content = encode(*object_cloud(shape.class_name, shape.seed, shape.points))
        write_bytes(shape.path, content, sync=False)


def _comma_rows(places: np.ndarray, normals: np.ndarray, part: np.ndarray) -> bytes:
    return _text("%.6f,%.6f,%.6f,%.6f,%.6f,%.6f\n", np.column_stack([places, normals]))


def _part_rows(places: np.ndarray, normals: np.ndarray, part: np.ndarray) -> bytes:
    return _text("%.6f %.6f %.6f %.6f %.6f %.6f %.6f\n", np.column_stack([places, normals, part]))


def _text(line: str, rows: np.ndarray) -> bytes:
    return ((line * len(rows)) % tuple(rows.reshape(-1).tolist())).encode()


def _npy(places: np.ndarray, normals: np.ndarray, part: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, places.astype(np.float32), allow_pickle=False)
    return file.getvalue()
