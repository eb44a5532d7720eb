"""Pinhole cameras, the two-camera rig of an RGB-D scanner, and the walk of a person who scans a room.

Camera frame: x right, y down, z forward. Pixel centres lie at integer coordinates: u = fx * x / z + cx.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from pointdistill.seeding import numpy_generator
from pointdistill.world.floor import FloorMap, map_floor, routes
from pointdistill.world.rooms import MARGIN, Room

SPEED = 0.35
"""Metres per second of a person who scans."""
_DWELL = 2.2
"""Seconds from one thing looked at to the next."""
_STOPS = 8
"""Places that a tour of a room passes by."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion; all figures in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @property
    def matrix(self) -> Float32[np.ndarray, "4 4"]:
        """Intrinsics in ScanNet's 4x4 form."""
        matrix = np.eye(4, dtype=np.float32)
        matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2] = self.fx, self.fy, self.cx, self.cy
        return matrix

    @classmethod
    def for_size(cls, width: int, height: int, horizontal_fov_degrees: float) -> "Camera":
        """A camera with square pixels and its principal point in the middle of the image."""
        focal = width / 2 / np.tan(np.radians(horizontal_fov_degrees) / 2)
        return cls(width, height, float(focal), float(focal), (width - 1) / 2, (height - 1) / 2)


@dataclass(frozen=True)
class Rig:
    """A colour and a depth camera, fixed to each other."""

    colour: Camera
    depth: Camera
    colour_to_depth: Float64[np.ndarray, "4 4"]
    """Takes points of the colour camera's frame to the depth camera's: small, not the identity."""


def default_rig(colour_size: tuple[int, int] = (160, 120), depth_size: tuple[int, int] = (80, 60)) -> Rig:
    """A rig like ScanNet's (an iPad's colour camera beside a structured-light sensor), at any sizes (width, height)."""
    colour = Camera.for_size(*colour_size, 61.0)
    colour = Camera(*colour_size, colour.fx, colour.fy * 1.002, colour.cx + 0.004 * colour_size[0], colour.cy)
    depth = Camera.for_size(*depth_size, 58.5)
    turn = _rotation(0.012, -0.008, 0.005)
    colour_to_depth = np.eye(4)
    colour_to_depth[:3, :3] = turn
    colour_to_depth[:3, 3] = (0.037, -0.004, -0.022)
    return Rig(colour, depth, colour_to_depth)


def _rotation(x: float, y: float, z: float) -> Float64[np.ndarray, "3 3"]:
    """Rotation by small angles about x, then y, then z."""
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def look(
    position: Float[np.ndarray, "frames 3"],
    yaw: Float[np.ndarray, "frames"],
    pitch: Float[np.ndarray, "frames"],
    roll: Float[np.ndarray, "frames"],
) -> Float64[np.ndarray, "frames 4 4"]:
    """Camera-to-room poses from positions and angles in radians.

    Yaw 0 looks along +x and turns towards +y, positive pitch looks up, positive roll turns the camera clockwise.
    """
    forward = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], -1)
    right = np.stack([np.sin(yaw), -np.cos(yaw), np.zeros_like(yaw)], -1)
    down = np.cross(forward, right)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    poses = np.zeros((len(position), 4, 4))
    poses[:, :3, 0], poses[:, :3, 1], poses[:, :3, 2] = c * right + s * down, c * down - s * right, forward
    poses[:, :3, 3], poses[:, 3, 3] = position, 1.0
    return poses


def walk(room: Room, seed: int, frames: int, rate_hz: float = 1.0) -> Float64[np.ndarray, "frames 4 4"]:
    """Poses of the depth camera (camera to room frame) while a person walks through a room and looks at its things.

    The path is a function of time that depends on the room and the seed alone: frame i is taken at i / rate_hz
    seconds, whatever the number of frames. The person keeps clear of all furniture and holds the camera about 1.5 m
    above the floor.
    """
    times = np.arange(frames) / rate_hz
    generator = numpy_generator(seed, "walk", room.seed)
    tour = _tour(map_floor((float(room.size[0]), float(room.size[1])), list(room.places)), generator)
    sway = generator.uniform(0, 2 * np.pi, 8)
    height = float(np.clip(generator.normal(1.5, 0.06), 1.35, 1.65))

    def stand(time: np.ndarray) -> np.ndarray:
        return _along(tour, SPEED * (time + 0.5 * np.sin(0.9 * time + sway[0])))

    yaw, pitch = _gaze(room, stand, height, float(times[-1]) if frames else 0.0, generator)
    level = height + 0.06 * np.sin(0.55 * times + sway[1]) + 0.008 * np.sin(10.5 * times + sway[2])
    tremble = 0.006 * np.stack([np.sin(f * times + sway[k]) for k, f in ((3, 7.3), (4, 8.9), (5, 6.1))])
    position = np.concatenate([stand(times), level[:, None]], 1)
    roll = 0.035 * np.sin(0.7 * times + sway[6]) + tremble[2]
    return look(position, yaw(times) + tremble[0], pitch(times) + tremble[1], roll)


def _tour(floor: FloorMap, generator: np.random.Generator) -> Float64[np.ndarray, "points 2"]:
    """A smooth closed path through the free part of the floor, as points of equal distance (about 2 cm)."""
    free = floor.free(MARGIN)
    cells = np.argwhere(free)
    stops = [cells[generator.integers(len(cells))]]
    for _ in range(_STOPS - 1):
        options = cells[generator.integers(len(cells), size=5)]
        stops.append(options[np.argmax(np.linalg.norm(options - stops[-1], axis=1))])
    # A little dearer beside obstacles, so that the way keeps to the middle of the free floor.
    cost = 1.0 + 0.5 * np.exp(-floor.clearance / 0.3)
    legs = routes(free, cost, np.array(stops))
    rough = _even(floor.points(np.concatenate([leg[:-1] for leg in legs])))
    for reach in (0.35, 0.25, 0.17, 0.1, 0.05):
        smooth = _even(gaussian_filter1d(rough, reach / 0.02, axis=0, mode="wrap"))
        if floor.at(smooth).min() >= 0.65 * MARGIN:
            return smooth
    return rough


def _even(points: np.ndarray) -> np.ndarray:
    """A closed path, resampled at equal distances."""
    closed = np.concatenate([points, points[:1]])
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, lengths[-1], max(int(lengths[-1] / 0.02), 4), endpoint=False)
    return np.stack([np.interp(at, lengths, closed[:, k]) for k in range(2)], 1)


def _along(tour: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Points at these distances along a closed path, round and round."""
    closed = np.concatenate([tour, tour[:1]])
    spacing = np.linalg.norm(np.diff(closed, axis=0), axis=1).mean()
    where = (distance / max(spacing, 1e-9)) % len(tour)
    return np.stack([np.interp(where, np.arange(len(closed)), closed[:, k]) for k in range(2)], 1)


def _gaze(room: Room, stand, height: float, until: float, generator: np.random.Generator):
    """Yaw and pitch as smooth functions of time: from thing to thing, rather where much is to be seen, not long ago
    looked at, and not behind."""
    keys = np.arange(-1, int(until / _DWELL) + 5) * _DWELL
    centres = np.array([thing.centre for thing in room.instances])
    sizes = np.array([np.linalg.norm(thing.size) for thing in room.instances])
    looked_at = np.zeros(len(centres))
    yaw, pitch, facing = [], [], generator.uniform(-np.pi, np.pi)
    for position in stand(keys):
        offset = centres[:, :2] - position
        distance = np.linalg.norm(offset, axis=1)
        turn = _wrapped(np.arctan2(offset[:, 1], offset[:, 0]) - facing)
        ahead = _wall_ahead(room, position, facing + turn)
        # What else comes into view in that direction, by its apparent size.
        shown = np.minimum(sizes / np.maximum(distance, 0.3), 1.0) * (distance > 1.0)
        company = np.exp(-((_wrapped(turn[:, None] - turn) / 0.45) ** 2)) @ shown
        weight = np.exp(-((turn / 1.6) ** 2)) * (company**2 + 0.01) * np.clip(ahead - 0.7, 0.01, 1.5) ** 2
        weight = weight / (1 + looked_at) ** 3 + 1e-9
        chosen = generator.choice(len(centres), p=weight / weight.sum())
        facing += np.clip(turn[chosen], -1.9, 1.9) + generator.normal(0, 0.12)
        looked_at = 0.93 * looked_at + np.exp(-((_wrapped(turn - turn[chosen]) / 0.3) ** 2)) * (distance > 0.7)
        drop = np.arctan2(centres[chosen, 2] - height, max(distance[chosen], 0.8))
        yaw.append(facing)
        pitch.append(np.clip(0.8 * drop - 0.08 + generator.normal(0, 0.06), -0.65, 0.05))
    return PchipInterpolator(keys, yaw), PchipInterpolator(keys, pitch)


def _wrapped(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _wall_ahead(room: Room, position: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Metres from a position to the wall in each direction."""
    direction = np.stack([np.cos(yaw), np.sin(yaw)], 1)
    reach = (np.sign(direction) * room.size[:2] / 2 - position) / np.where(direction == 0, 1e-9, direction)
    return reach.min(1)
