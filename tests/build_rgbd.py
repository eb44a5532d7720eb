"""Writes RGB-D recordings in the layouts that their owners publish, from the descriptions and not by our readers."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import build_sens


@dataclass(frozen=True)
class Written:
    """What must come out of a recording.

    Attributes:
        focal, centre: of the depth camera, (x, y), pixels.
        metres: each frame's depth; 0 where there is none.
        poses: each frame's, depth camera to world.
        colours: each frame's one colour.
    """

    folder: Path
    focal: tuple[float, float]
    centre: tuple[float, float]
    metres: list[np.ndarray]
    poses: list[np.ndarray]
    colours: list[tuple[int, int, int]]


def depth(seed: int, size: tuple[int, int], nearest: int, farthest: int, missing: int = 0) -> np.ndarray:
    """A 16-bit image (width, height) between two numbers, a fifth of it `missing`."""
    generator = np.random.default_rng(seed)
    image = generator.integers(nearest, farthest, size[::-1], dtype=np.uint16)
    image[generator.random(image.shape) < 0.2] = missing
    return image


def colour(seed: int) -> tuple[int, int, int]:
    return (10 + 40 * seed, 200 - 30 * seed, 90)


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _save_colour(path: Path, seed: int, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour(seed)).save(path)


def quaternion(pose: np.ndarray) -> tuple[float, float, float, float]:
    """x, y, z, w of a turn, by its axis and angle: the eigenvector of eigenvalue 1."""
    turn = pose[:3, :3].astype(float)
    values, vectors = np.linalg.eig(turn)
    axis = np.real(vectors[:, np.argmin(np.abs(values - 1))])
    across = np.cross(axis, [1.0, 0.3, -0.2])
    turned = turn @ across
    sine = axis @ np.cross(across, turned) / (across @ across)
    angle = np.arctan2(sine, across @ turned / (across @ across))
    x, y, z = axis / np.linalg.norm(axis) * np.sin(angle / 2)
    return float(x), float(y), float(z), float(np.cos(angle / 2))


def write_tum(folder: Path, frames: int = 4) -> Written:
    """640 x 480, freiburg3 by the folder's name; depth 8 ms after colour, poses at 100 Hz; one colour image with no
    depth near it, one depth image with no colour."""
    size, start = (640, 480), 1341845688.5
    metres, poses, lines = [], [], {"rgb": [], "depth": [], "groundtruth": []}
    for i in range(frames):
        time = start + i / 30
        _save_colour(folder / "rgb" / f"{time:.6f}.png", i, size)
        pixels = depth(i, size, 5000, 20000)
        _save(folder / "depth" / f"{time + 0.008:.6f}.png", pixels)
        lines["rgb"].append(f"{time:.6f} rgb/{time:.6f}.png")
        lines["depth"].append(f"{time + 0.008:.6f} depth/{time + 0.008:.6f}.png")
        metres.append(pixels / 5000)
        poses.append(build_sens.pose(i))
        for late in (-0.004, 0.006, 0.016):  # the middle one is nearest the depth's time
            pose = poses[-1] if late == 0.006 else build_sens.pose(50)
            numbers = [*pose[:3, 3], *quaternion(pose)]
            lines["groundtruth"].append(" ".join([f"{time + late:.4f}", *(f"{value:.7f}" for value in numbers)]))
    lines["rgb"].append(f"{start + 9:.6f} rgb/lonely.png")
    lines["depth"].append(f"{start - 9:.6f} depth/lonely.png")
    for name, body in lines.items():
        head = ["# color images", "# file: 'a.bag'", "# timestamp filename"]
        (folder / f"{name}.txt").write_text("\n".join([*head, *body]) + "\n")
    return Written(folder, (535.4, 539.2), (320.1, 247.6), metres, poses, [colour(i) for i in range(frames)])


def write_seven_scenes(folder: Path, frames: int = 3, first: int = 0) -> Written:
    """One sequence; 65535 where there is no depth."""
    size, metres, poses = (640, 480), [], []
    for i in range(frames):
        start = folder / f"frame-{i:06d}"
        _save_colour(Path(f"{start}.color.png"), first + i, size)
        pixels = depth(first + i, size, 500, 5000, 65535)
        _save(Path(f"{start}.depth.png"), pixels)
        metres.append(np.where(pixels == 65535, 0, pixels / 1000))
        poses.append(build_sens.pose(first + i))
        rows = ["\t ".join(f"{value: .7e}" for value in row) + "\t " for row in poses[-1]]
        Path(f"{start}.pose.txt").write_text("\n".join(rows) + "\n")
    return Written(folder, (585, 585), (320, 240), metres, poses, [colour(first + i) for i in range(frames)])


def write_redwood(folder: Path, frames: int = 3, trajectory: bool = True, first: int = 0) -> Written:
    """As Open3D's recorder names things, at 40 x 30."""
    size, metres, poses, log = (40, 30), [], [], []
    for i in range(frames):
        _save_colour(folder / "color" / f"{i:05d}.jpg", first + i, size)
        pixels = depth(first + i, size, 500, 5000)
        _save(folder / "depth" / f"{i:05d}.png", pixels)
        metres.append(pixels / 1000)
        poses.append(build_sens.pose(first + i))
        log += [f"{i} {i} {i + 1}", *(" ".join(f"{value:.8f}" for value in row) for row in poses[-1])]
    matrix = [31.0, 0, 0, 0, 32.0, 0, 19.25, 14.75, 1]
    camera = {"width": 40, "height": 30, "intrinsic_matrix": matrix, "stream_length_usec": 1}
    (folder / "intrinsic.json").write_text(json.dumps(camera))
    if trajectory:
        (folder / "trajectory.log").write_text("\n".join(log) + "\n")
        (folder / "odometry.log").write_text("0 0 1\n")
    else:
        poses = [np.eye(4)] * frames
    return Written(folder, (31, 32), (19.25, 14.75), metres, poses, [colour(first + i) for i in range(frames)])


PLAIN = {
    "colour": "images/*.jpg",
    "depth": "images/*_depth.png",
    "depth_scale": 4000,
    "invalid": [65535],
    "poses": "poses/*.txt",
    "up": "-y",
    "colour_intrinsics": {"fx": 60, "fy": 61, "cx": 39.5, "cy": 29.5},
    "depth_intrinsics": {"fx": 33, "fy": 34, "cx": 20.5, "cy": 15.5},
    "colour_to_depth": [[1, 0, 0, 0.05], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
}


def write_plain(folder: Path, frames: int = 3, **changes: object) -> Written:
    """Colour 80 x 60, depth 40 x 30, the world's y pointing down, numbers without leading zeros, from 8 on; fields of
    recording.json changed, or taken out where None."""
    metres, poses = [], []
    for i in range(frames):
        _save_colour(folder / "images" / f"{i + 8}.jpg", i, (80, 60))
        pixels = depth(i, (40, 30), 2000, 20000, 65535)
        _save(folder / "images" / f"{i + 8}_depth.png", pixels)
        metres.append(np.where(pixels == 65535, 0, pixels / 4000))
        poses.append(build_sens.pose(i))
        y_down = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # x, z, y of it: x, -y, z of ours
        (folder / "poses").mkdir(exist_ok=True)
        np.savetxt(folder / "poses" / f"{i + 8}.txt", y_down @ poses[-1])
    content = {name: value for name, value in {**PLAIN, **changes}.items() if value is not None}
    (folder / "recording.json").write_text(json.dumps(content))
    return Written(folder, (33, 34), (20.5, 15.5), metres, poses, [colour(i) for i in range(frames)])
