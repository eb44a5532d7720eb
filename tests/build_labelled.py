"""Small labelled data sets in their owners' formats, written by the tests themselves."""

import json
from pathlib import Path

import numpy as np

SPLITS = ("train", "val", "test")


def write_modelnet(root: Path, per_class: int = 2, points: int = 128) -> Path:
    """Balls and plates in ModelNet40's layout, y up."""
    generator, names = np.random.default_rng(0), {split: [] for split in SPLITS}
    for label, stretch in {"ball": (1, 1, 1), "plate": (1, 0.05, 1)}.items():
        (root / label).mkdir(parents=True)
        for number in range(per_class * len(SPLITS)):
            name = f"{label}_{number:04d}"
            cloud = generator.normal(size=(points, 3))
            cloud *= np.array(stretch) / np.linalg.norm(cloud, axis=1, keepdims=True)
            np.savetxt(root / label / f"{name}.txt", np.hstack([cloud, cloud]), delimiter=",", fmt="%.5f")
            names[SPLITS[number % len(SPLITS)]].append(name)
    (root / "modelnet40_shape_names.txt").write_text("ball\nplate\n")
    for split, shapes in names.items():
        (root / f"modelnet40_{split}.txt").write_text("\n".join(shapes) + "\n")
    return root


def write_shapenetpart(root: Path, per_category: int = 2, points: int = 128) -> Path:
    """Lamps (foot and shade) and tables (legs and top) in ShapeNetPart's layout with its own parts, y up."""
    generator, lists = np.random.default_rng(1), {split: [] for split in SPLITS}
    (root / "train_test_split").mkdir(parents=True)
    (root / "synsetoffset2category.txt").write_text("lamp\t01\ntable\t02\n")
    table = {"lamp": {"parts": {"0": "foot", "1": "shade"}}, "table": {"parts": {"2": "legs", "3": "top"}}}
    (root / "parts.json").write_text(json.dumps(table))
    for folder, (first, wide) in {"01": (0, 1), "02": (2, 4)}.items():
        (root / folder).mkdir()
        for number in range(per_category * len(SPLITS)):
            cloud, upper = generator.normal(size=(points, 3)) * 0.1, generator.random(points) < 0.5
            cloud[:, 1] += np.where(upper, 0.6, -0.6)
            cloud[upper] *= (wide, 1, wide)
            rows = np.column_stack([cloud, cloud, first + upper])
            np.savetxt(root / folder / f"shape{number}.txt", rows, fmt="%.5f")
            lists[SPLITS[number % len(SPLITS)]].append(f"shape_data/{folder}/shape{number}")
    for split, shapes in lists.items():
        (root / "train_test_split" / f"shuffled_{split}_file_list.json").write_text(json.dumps(shapes))
    return root


def write_scannet(root: Path, scenes: dict[str, list]) -> Path:
    """Rooms of `task_samples.room` in ScanNetV2's layout: their floor is object 0, each block an object of its own."""
    names = {2: "floor", 4: "bed", 8: "door"}
    root.mkdir(parents=True)
    rows = [f"{nyu40}\t{name}\t{name}\t{nyu40}" for nyu40, name in names.items()]
    table = ["id\traw_category\tcategory\tnyu40id", *rows, ""]
    (root / "scannetv2-labels.combined.tsv").write_text("\n".join(table))
    for split, rooms in scenes.items():
        (root / f"scannetv2_{split}.txt").write_text("".join(f"{room.name}\n" for room in rooms))
        for room in rooms:
            _write_scan(root / "scans" / room.name, room, names)
    return root


def _write_scan(folder: Path, room, names: dict[int, str]) -> None:
    folder.mkdir(parents=True)
    head = ["ply", "format ascii 1.0", f"element vertex {len(room.points)}"]
    head += [f"property float {axis}" for axis in "xyz"]
    head += [f"property uchar {colour}" for colour in ("red", "green", "blue", "alpha")]
    head += ["element face 1", "property list uchar int vertex_indices", "end_header"]
    body = [
        f"{x} {y} {z} {r} {g} {b} 255"
        for (x, y, z), (r, g, b) in zip(room.points.tolist(), room.colours.tolist(), strict=True)
    ]
    (folder / f"{room.name}_vh_clean_2.ply").write_text("\n".join([*head, *body, "3 0 1 2", ""]))
    segments = {"segIndices": room.instance.tolist()}
    (folder / f"{room.name}_vh_clean_2.0.010000.segs.json").write_text(json.dumps(segments))
    label_of = dict(zip(room.instance.tolist(), room.semantic.tolist(), strict=True))
    groups = [{"id": i, "objectId": i, "segments": [i], "label": names[label_of[i]]} for i in sorted(label_of)]
    (folder / f"{room.name}.aggregation.json").write_text(json.dumps({"segGroups": groups}))
    identity = " ".join(str(float(value)) for value in np.eye(4).reshape(-1))
    (folder / f"{room.name}.txt").write_text(f"axisAlignment = {identity}\n")
