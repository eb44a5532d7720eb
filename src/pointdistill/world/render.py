"""A vectorised ray caster for solids, and the RGB-D frames that a scanner would record of them.

Rays are laid out so that their parameter is the depth along the camera's z axis. Each solid is tested only against
the rays inside the screen rectangle of its projected box.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int32, UInt8, UInt16

from pointdistill.world.cameras import Camera, Rig
from pointdistill.world.captions import caption
from pointdistill.world.rooms import Room
from pointdistill.world.solids import BOX, CYLINDER, Solids

_NEAR = 1e-3
"""Metres before the camera at which geometry is cut off."""
_CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
_EDGES = np.array([(i, i | bit) for i in range(8) for bit in (1, 2, 4) if not i & bit])


@dataclass(frozen=True)
class Hits:
    """What each pixel of a camera sees."""

    depth: Float[np.ndarray, "height width"]
    """Metres along the camera's z axis; inf where nothing is hit."""
    solid: Int32[np.ndarray, "height width"]
    """Index of the solid; -1 where nothing is hit."""
    normal: Float[np.ndarray, "height width 3"]
    """Unit normals in the outer frame, towards the camera; 0 where nothing is hit."""


@dataclass(frozen=True)
class Frame:
    """One recorded frame. Labels have the size of the colour image, as ScanNet's label images do."""

    colour: UInt8[np.ndarray, "rows columns 3"]
    depth: UInt16[np.ndarray, "height width"]
    """Millimetres along z, 0 = invalid."""
    nyu40: UInt8[np.ndarray, "rows columns"]
    """NYU40 ids, 0 = nothing."""
    instance: UInt16[np.ndarray, "rows columns"]
    """Instance ids of the room, 0 = its shell."""
    pose: Float64[np.ndarray, "4 4"]
    """Depth camera to room."""
    caption: str


def cast(solids: Solids, camera: Camera, camera_to_world: Float[np.ndarray, "4 4"]) -> Hits:
    """The nearest surface along the ray of every pixel.

    A camera inside a solid sees that solid's inner surface.

    Args:
        solids: in the outer (world, room) frame.
        camera: intrinsics.
        camera_to_world: rigid, camera frame (x right, y down, z forward) to the outer frame.
    """
    turn = camera_to_world[:3, :3]
    axes = np.einsum("ji,sjk->sik", turn, solids.rotation)
    centre = (solids.centre - camera_to_world[:3, 3]) @ turn
    left, top, right, bottom, near = _rectangles(centre, axes, solids.half, camera)
    u = (np.arange(camera.width) - camera.cx) / camera.fx
    v = (np.arange(camera.height) - camera.cy) / camera.fy
    depth = np.full((camera.height, camera.width), np.inf)
    solid = np.full((camera.height, camera.width), -1, dtype=np.int32)
    # Directions in units of the half extents: local ray = origin + z * direction, the solid a unit cube, tube or ball.
    scaled = axes / solids.half[:, None, :]
    origin = -np.einsum("si,sij->sj", centre, scaled)
    visible = np.flatnonzero((right > left) & (bottom > top))
    for i in visible[np.argsort(near[visible], kind="stable")]:
        box = slice(top[i], bottom[i]), slice(left[i], right[i])
        seen = depth[box]
        x, y, z = scaled[i]
        direction = u[box[1]] * x[:, None, None] + (v[box[0]][:, None] * y[:, None, None] + z[:, None, None])
        distance = _INTERSECT[solids.kind[i]](origin[i], direction)
        closer = distance < seen
        np.copyto(seen, distance, where=closer)
        np.copyto(solid[box], i, where=closer)
    return Hits(depth, solid, _normals(solids, camera, camera_to_world, depth, solid))


def _rectangles(centre: np.ndarray, axes: np.ndarray, half: np.ndarray, camera: Camera):
    """Pixel rectangles (left, top, right, bottom; the last two exclusive) that hold each solid's box, and its least z.

    Boxes that reach behind the camera are cut at the near plane first, so that the rectangles stay exact.
    """
    corners = centre[:, None] + np.einsum("sij,cj,sj->sci", axes, _CORNERS, half)
    a, b = corners[:, _EDGES[:, 0]], corners[:, _EDGES[:, 1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (_NEAR - a[..., 2]) / (b[..., 2] - a[..., 2])
        cut = a + share[..., None] * (b - a)
        crossing = (a[..., 2] > _NEAR) != (b[..., 2] > _NEAR)
        points = np.concatenate([corners, cut], 1)
        shown = np.concatenate([corners[..., 2] > _NEAR, crossing], 1)
        z = np.maximum(points[..., 2], _NEAR)
        u = camera.fx * points[..., 0] / z + camera.cx
        v = camera.fy * points[..., 1] / z + camera.cy
    lowest = [np.where(shown, value, np.inf).min(1) for value in (u, v)]
    highest = [np.where(shown, value, -np.inf).max(1) for value in (u, v)]
    left, top = (
        _pixels(np.floor(value), size) for value, size in zip(lowest, (camera.width, camera.height), strict=True)
    )
    right, bottom = (
        _pixels(np.ceil(value) + 1, size) for value, size in zip(highest, (camera.width, camera.height), strict=True)
    )
    return left, top, right, bottom, corners[..., 2].min(1)


def _pixels(value: np.ndarray, size: int) -> np.ndarray:
    return np.clip(np.nan_to_num(value, posinf=size, neginf=0), 0, size).astype(np.int64)


def _first(near: np.ndarray, far: np.ndarray) -> np.ndarray:
    """The first crossing in front of the camera out of an entry and an exit; inf where the ray misses."""
    z = np.where(near > _NEAR, near, far)
    z[(near > far) | (z <= _NEAR)] = np.inf
    return z


def _slabs(origin: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entry and exit of the slabs -1..1 of the given axes."""
    direction[direction == 0.0] = 1e-12
    inverse = 1.0 / direction
    middle, reach = -origin[:, None, None] * inverse, np.abs(inverse)
    return (middle - reach).max(0), (middle + reach).min(0)


def _box(origin: np.ndarray, direction: np.ndarray) -> np.ndarray:
    return _first(*_slabs(origin, direction))


def _round(origin: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entry and exit of the unit circle or ball spanned by the given axes."""
    a = np.einsum("ihw,ihw->hw", direction, direction)
    b = np.einsum("i,ihw->hw", origin, direction)
    root = b * b - a * (origin @ origin - 1.0)
    miss = root < 0
    root = np.sqrt(np.where(miss, 0.0, root))
    a = np.maximum(a, 1e-24)
    near, far = (-b - root) / a, (-b + root) / a
    near[miss], far[miss] = np.inf, -np.inf
    return near, far


def _cylinder(origin: np.ndarray, direction: np.ndarray) -> np.ndarray:
    side, caps = _round(origin[:2], direction[:2]), _slabs(origin[2:], direction[2:])
    return _first(np.maximum(side[0], caps[0]), np.minimum(side[1], caps[1]))


def _ellipsoid(origin: np.ndarray, direction: np.ndarray) -> np.ndarray:
    return _first(*_round(origin, direction))


_INTERSECT = (_box, _cylinder, _ellipsoid)
"""By kind: BOX, CYLINDER, ELLIPSOID."""


def _points(camera: Camera, camera_to_world: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Where the rays end, in the outer frame: (height, width, 3)."""
    u = (np.arange(camera.width) - camera.cx) / camera.fx
    v = (np.arange(camera.height) - camera.cy) / camera.fy
    right, down, forward = camera_to_world[:3, 0], camera_to_world[:3, 1], camera_to_world[:3, 2]
    rays = u[None, :, None] * right + (v[:, None, None] * down + forward)
    return rays * depth[..., None] + camera_to_world[:3, 3]


def _normals(solids: Solids, camera: Camera, camera_to_world: np.ndarray, depth: np.ndarray, solid: np.ndarray):
    """Unit normals at the hits, turned towards the camera: (height, width, 3)."""
    owner = solid.ravel()
    points = _points(camera, camera_to_world, np.where(solid >= 0, depth, 0.0)).reshape(-1, 3)
    normals = np.zeros_like(points)
    order = np.argsort(owner, kind="stable")
    starts = np.flatnonzero(np.diff(owner[order], prepend=-2))
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        pixels = order[start:end]
        i = owner[pixels[0]]
        if i >= 0:
            local = (points[pixels] - solids.centre[i]) @ solids.rotation[i]
            eye = (camera_to_world[:3, 3] - solids.centre[i]) @ solids.rotation[i]
            normal = _local_normals(int(solids.kind[i]), local, solids.half[i])
            normal[((local - eye) * normal).sum(1) > 0] *= -1
            normals[pixels] = normal @ solids.rotation[i].T
    return normals.reshape(*depth.shape, 3)


def _local_normals(kind: int, points: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Outward unit normals at points on the surface of one solid, all in its own frame."""
    scaled = points / half
    normal = np.zeros_like(points) if kind == BOX else scaled / half
    if kind == BOX:
        axis = np.abs(scaled).argmax(1)
        rows = np.arange(len(points))
        normal[rows, axis] = np.sign(scaled[rows, axis])
        return normal
    if kind == CYLINDER:
        cap = np.abs(scaled[:, 2]) >= np.hypot(scaled[:, 0], scaled[:, 1])
        normal[~cap, 2] = 0.0
        normal[cap] = 0.0
        normal[cap, 2] = np.sign(scaled[cap, 2])
    return normal / np.sqrt((normal * normal).sum(1, keepdims=True))


def shade(room: Room, camera: Camera, camera_to_world: np.ndarray, hits: Hits) -> Float[np.ndarray, "height width 3"]:
    """Colours in 0..1 by Lambert's law under the room's lamp, with ambient light and mild textures."""
    solids, look = room.solids, room.look
    hit = hits.solid >= 0
    points = _points(camera, camera_to_world, np.where(hit, hits.depth, 0.0))
    to_lamp = look.lamp - points
    distance = np.sqrt(np.einsum("hwi,hwi->hw", to_lamp, to_lamp)) + 1e-6
    facing = np.clip(np.einsum("hwi,hwi->hw", hits.normal, to_lamp) / distance, 0, 1)
    reach = 0.45 * float(room.size.max())
    sky = 0.88 + 0.12 * hits.normal[..., 2]
    light = look.ambient * sky + (1.25 - look.ambient) * facing / (1 + (distance / reach) ** 2 * 0.25)
    base = solids.colour[hits.solid]
    light *= _texture(room, points, hits)
    return np.where(hit[..., None], base * look.tint * light[..., None], 0.0)


def _texture(room: Room, points: np.ndarray, hits: Hits) -> np.ndarray:
    """Factors near 1: a grain on everything; joints and tones of boards or tiles on the floor."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    phase = hits.solid * 1.7
    grain = 1 + 0.03 * np.sin(9 * x + 4 * z + phase) * np.sin(7 * y - 5 * z + 2 * phase)
    grain += 0.012 * np.sin(41 * x + 13 * y + 29 * z + phase) * np.sin(-17 * x + 37 * y - 23 * z)
    floor = room.solids.nyu40[hits.solid] == 2
    if not floor.any() or room.look.pattern == "carpet":
        return grain
    fx, fy = x[floor], y[floor]
    if room.look.pattern == "boards":
        row = np.floor(fx / 0.14)
        column = np.floor(fy / 0.9 + row * 0.37)
        joint = np.abs(fx / 0.14 - row - 0.5) > 0.46
    else:
        row, column = np.floor(fx / 0.33), np.floor(fy / 0.33)
        joint = (np.abs(fx / 0.33 - row - 0.5) > 0.47) | (np.abs(fy / 0.33 - column - 0.5) > 0.47)
    tone = np.modf(np.abs(np.sin(row * 12.9898 + column * 78.233)) * 43.7585)[0]
    grain[floor] *= (0.94 + 0.12 * tone) * np.where(joint, 0.8, 1.0)
    return grain


def _sense_colour(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """8-bit pixels of a small camera: exposure and white balance that vary, gamma, sensor noise."""
    gain = generator.normal(1.0, 0.05) * generator.normal(1.0, 0.015, 3)
    signal = np.sqrt(np.clip(image * gain, 0, 1))
    signal = 0.5 * signal + 0.5 * np.clip(image * gain, 0, 1)
    noise = generator.standard_normal(image.shape, dtype=np.float32) * (0.008 + 0.012 * (1 - signal))
    return (np.clip(signal + noise, 0, 1) * 255 + 0.5).astype(np.uint8)


def _sense_depth(hits: Hits, camera: Camera, camera_to_world: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Millimetres of a structured-light sensor.

    Noise grows with the square of the distance (1.2 mm + 1.9 mm/m^2, Nguyen et al. 2012 measured it so for a Kinect);
    holes where the surface is seen at a grazing angle, is near or far, beside steps in depth, and here and there.
    """
    z = hits.depth
    shape = z.shape
    valid = np.isfinite(z) & (z > 0.35)
    z = np.where(valid, z, 1.0)
    noise = generator.standard_normal(shape, dtype=np.float32) * (0.0012 + 0.0019 * (z - 0.4) ** 2)
    luck = generator.random(shape, dtype=np.float32)
    rays = _points(camera, camera_to_world, np.ones(shape)) - camera_to_world[:3, 3]
    facing = -np.einsum("hwi,hwi->hw", rays, hits.normal) / np.sqrt(np.einsum("hwi,hwi->hw", rays, rays))
    lost = np.clip(1 - facing / 0.22, 0, 1) + np.clip((z - 4.5) / 3.5, 0, 1) + 0.004
    step = np.zeros(shape, dtype=bool)
    across, down = np.abs(np.diff(z, axis=1)) > 0.12 * z[:, 1:], np.abs(np.diff(z, axis=0)) > 0.12 * z[1:]
    step[:, 1:] |= across
    step[1:] |= down
    lost += 0.5 * step
    valid &= luck >= lost
    for _ in range(generator.poisson(1.0)):
        _blot(valid, generator)
    return np.where(valid, np.clip((z + noise) * 1000 + 0.5, 0, 65535), 0).astype(np.uint16)


def _blot(valid: np.ndarray, generator: np.random.Generator) -> None:
    """One small oval hole anywhere."""
    height, width = valid.shape
    y, x = generator.uniform(0, height), generator.uniform(0, width)
    b, a = generator.uniform(0.01, 0.05, 2) * width
    rows = np.arange(max(int(y - b), 0), min(int(y + b) + 1, height))
    columns = np.arange(max(int(x - a), 0), min(int(x + a) + 1, width))
    if len(rows) and len(columns):
        inside = ((rows[:, None] - y) / b) ** 2 + ((columns - x) / a) ** 2 < 1
        valid[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] &= ~inside


def record(room: Room, rig: Rig, pose: Float[np.ndarray, "4 4"], generator: np.random.Generator) -> Frame:
    """The frame that the rig records with its depth camera at this pose (depth camera to room frame, metres)."""
    pose = np.asarray(pose, dtype=np.float64)
    colour_pose = pose @ rig.colour_to_depth
    hits = cast(room.solids, rig.colour, colour_pose)
    image = _sense_colour(shade(room, rig.colour, colour_pose, hits), generator)
    hit = hits.solid >= 0
    nyu40 = np.where(hit, room.solids.nyu40[hits.solid], 0).astype(np.uint8)
    instance = np.where(hit, room.solids.instance[hits.solid], 0).astype(np.uint16)
    depth = _sense_depth(cast(room.solids, rig.depth, pose), rig.depth, pose, generator)
    return Frame(image, depth, nyu40, instance, pose, caption(room, nyu40, instance, generator))
