"""Writes a tiny ScanNet folder by hand: ascii meshes, labels, lists, recordings."""

import json
import zlib
from pathlib import Path

import numpy as np

import build_sens

ANGLE, SHIFT = 0.4, (1.0, -2.0, 0.1)
ALIGNMENT = np.array(
    [
        [np.cos(ANGLE), -np.sin(ANGLE), 0, SHIFT[0]],
        [np.sin(ANGLE), np.cos(ANGLE), 0, SHIFT[1]],
        [0, 0, 1, SHIFT[2]],
        [0, 0, 0, 1],
    ]
)
"""Scan frame -> room axes."""

ALIGNED = np.array(
    [
        [0, 0, 0],
        [2, 0, 0],
        [0, 3, 0],  # a piece of floor
        [1, 1, 0.4],
        [1.5, 1, 0.4],
        [1, 1.5, 0.8],  # a chair
        [0.2, 2, 0.7],
        [0.4, 2.5, 0.7],  # a desk
        [5, 5, 5],  # nothing
    ]
)
SEGMENTS = [0, 0, 0, 3, 3, 5, 6, 6, 8]
GROUPS = [
    {"id": 0, "objectId": 0, "segments": [0], "label": "floor"},
    {"id": 1, "objectId": 1, "segments": [3, 5], "label": "office chair"},
    {"id": 2, "objectId": 2, "segments": [6], "label": "desk"},
]
TABLE = "id\traw_category\tcategory\tnyu40id\n1\tfloor\tfloor\t2\n2\toffice chair\tchair\t5\n3\tdesk\tdesk\t14\n"


def write_scan(root: Path, name: str, frames: int = 0, seed: int = 0) -> Path:
    folder = root / "scans" / name
    folder.mkdir(parents=True)
    inverse = np.linalg.inv(ALIGNMENT)
    raw = ALIGNED @ inverse[:3, :3].T + inverse[:3, 3]
    lines = ["ply", "format ascii 1.0", f"element vertex {len(raw)}"]
    lines += [f"property float {axis}" for axis in "xyz"]
    lines += [f"property uchar {colour}" for colour in ("red", "green", "blue", "alpha")]
    lines += ["element face 1", "property list uchar int vertex_indices", "end_header"]
    lines += [f"{x:.7f} {y:.7f} {z:.7f} {i} 20 30 255" for i, (x, y, z) in enumerate(raw)]
    (folder / f"{name}_vh_clean_2.ply").write_text("\n".join([*lines, "3 0 1 2", ""]))
    (folder / f"{name}_vh_clean_2.0.010000.segs.json").write_text(json.dumps({"segIndices": SEGMENTS}))
    (folder / f"{name}.aggregation.json").write_text(json.dumps({"segGroups": GROUPS}))
    numbers = " ".join(f"{value:.8f}" for value in ALIGNMENT.reshape(-1))
    (folder / f"{name}.txt").write_text(f"axisAlignment = {numbers} \ncolorHeight = 48\nsceneType = Office\n")
    if frames:
        build_sens.write(folder / f"{name}.sens", [build_sens.good_frame(seed + i) for i in range(frames)])
    return folder


def write_data_set(root: Path, scans: list[str], frames: int = 0) -> Path:
    for number, name in enumerate(scans):
        write_scan(root, name, frames, seed=100 * number)
    (root / "scannetv2_train.txt").write_text("\n".join(scans) + "\n")
    (root / "scannetv2-labels.combined.tsv").write_text(TABLE)
    return root


def odd_frames() -> list[bytes]:
    """Good, lost pose, empty depth, depth that is not zlib, good, colour that is no jpeg, short depth, good."""
    good = build_sens.good_frame
    lost = np.full((4, 4), -np.inf, np.float32)
    packed = zlib.compress(build_sens.depth(1).tobytes())
    empty = zlib.compress(np.zeros(build_sens.DEPTH_SIZE[::-1], np.uint16).tobytes())
    colour, pose = build_sens.jpeg(1), build_sens.pose(1)
    return [
        good(0),
        build_sens.frame_bytes(lost, colour, packed),
        build_sens.frame_bytes(pose, colour, empty),
        build_sens.frame_bytes(pose, colour, b"no zlib stream"),
        good(4),
        build_sens.frame_bytes(pose, b"no picture", packed),
        build_sens.frame_bytes(pose, colour, zlib.compress(b"1234")),
        good(7),
    ]
