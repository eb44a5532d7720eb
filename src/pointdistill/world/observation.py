"""One depth frame prepared for fusion: what was measured at any place of the image, and how far it is to be trusted."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Int64

from pointdistill.world.cameras import Camera, Rig
from pointdistill.world.render import Frame

CODE = 64
"""A label code is instance * 64 + nyu40: both labels travel as one number. nyu40 ids are at most 40."""


@dataclass(frozen=True)
class View:
    """One depth frame, ready to be looked up by image position. Pixels are flat; a cell spans four neighbours."""

    camera: Camera
    rotation: Float[np.ndarray, "3 3"]
    """World to camera."""
    origin: Float[np.ndarray, "3"]
    """The camera's place in the world, metres."""
    depth: Float[np.ndarray, "pixels"]
    """Metres, NaN where there is none."""
    smooth: Bool[np.ndarray, "pixels"]
    """Whether the cell to the lower right of a pixel lies on one surface."""
    bilinear: Float[np.ndarray, "pixels 4"]
    """Coefficients of inverse depth in a smooth cell: 1, du, dv, du * dv."""
    facing: Float[np.ndarray, "pixels"]
    """Weight of a measurement: cosine between the ray and the surface, falling with distance; small on edges."""
    colour: Float[np.ndarray, "pixels 3"]
    code: Int[np.ndarray, "pixels"]


def rays_of(camera: Camera) -> Float[np.ndarray, "pixels 3"]:
    """For each pixel the point at depth 1, camera frame."""
    v, u = np.mgrid[: camera.height, : camera.width].reshape(2, -1)
    return np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(len(u))], axis=1)


def signed_distance(
    view: View,
    u: Float[np.ndarray, "places"],
    v: Float[np.ndarray, "places"],
    z: Float[np.ndarray, "places"],
    truncation: float,
) -> tuple[Int64[np.ndarray, "near"], Float[np.ndarray, "near"], Int[np.ndarray, "near"]]:
    """How far places lie in front of the surface that was measured there, along the optical axis.

    Args:
        u, v: where in the depth image the places appear, in pixels, off its border.
        z: their depths in metres.
        truncation: places further behind the surface than this are left out.

    Returns:
        Which places were measured and are not left out, their signed distances in metres (negative behind; beyond
        twice the truncation in front only roughly), and the pixel nearest to each.
    """
    width = np.int32(view.camera.width)
    pixel = np.rint(v).astype(np.int32) * width + np.rint(u).astype(np.int32)
    distance = view.depth[pixel] - z
    # The nearest pixel decides first: on a slant, the exact value may still be a little nearer.
    near = np.flatnonzero(distance > -1.5 * truncation)
    pixel, distance = pixel[near], distance[near]
    u, v, z = u[near], v[near], z[near]
    left, top = u.astype(np.int32), v.astype(np.int32)
    cell = top * width + left
    exact = np.flatnonzero((distance < 2 * truncation) & view.smooth[cell])
    terms = view.bilinear[cell[exact]]
    du, dv = u[exact] - left[exact], v[exact] - top[exact]
    inverse = terms[:, 0] + terms[:, 1] * du + (terms[:, 2] + terms[:, 3] * du) * dv
    distance[exact] = 1 / inverse - z[exact]
    kept = distance > -truncation
    return near[kept], distance[kept], pixel[kept]


def look(frame: Frame, rig: Rig) -> View:
    """Prepare a frame: neighbouring depths are joined where they lie on one surface, colours and labels are fetched
    from the colour image for each depth pixel."""
    depth = np.where(frame.depth > 0, frame.depth / np.float32(1000), np.nan).astype(np.float32)
    smooth, bilinear = _join(depth)
    facing = _facing(depth, smooth, rig.depth)
    colour, code = _fetch_colour(frame, depth.reshape(-1), rig)
    pose = np.asarray(frame.pose, dtype=np.float64)
    return View(
        camera=rig.depth,
        rotation=pose[:3, :3].T,
        origin=pose[:3, 3],
        depth=depth.reshape(-1),
        smooth=smooth.reshape(-1),
        bilinear=bilinear.reshape(-1, 4),
        facing=facing.reshape(-1),
        colour=colour,
        code=code,
    )


def _join(
    depth: Float[np.ndarray, "height width"],
) -> tuple[Bool[np.ndarray, "height width"], Float[np.ndarray, "height width 4"]]:
    """Cells of four neighbouring pixels on one surface, and inverse depth in them (on a plane it is linear)."""
    corners = np.stack([depth[:-1, :-1], depth[:-1, 1:], depth[1:, :-1], depth[1:, 1:]])
    near, far = corners.min(axis=0), corners.max(axis=0)  # NaN where one is missing
    smooth = np.zeros(depth.shape, dtype=bool)
    smooth[:-1, :-1] = far - near < 0.06 * near
    a, b, c, d = 1 / corners
    bilinear = np.zeros((*depth.shape, 4), dtype=np.float32)
    bilinear[:-1, :-1] = np.stack([a, b - a, c - a, a - b - c + d], axis=-1)
    return smooth, bilinear


def _facing(
    depth: Float[np.ndarray, "height width"], smooth: Bool[np.ndarray, "height width"], camera: Camera
) -> Float[np.ndarray, "height width"]:
    """Weights: 1 for a wall seen head-on from a metre or less; less at a slant, far away and beside a depth edge."""
    rays = rays_of(camera).reshape(*depth.shape, 3)
    points = rays * depth[..., None]
    across, down = np.zeros_like(points), np.zeros_like(points)
    across[:, :-1], down[:-1] = np.diff(points, axis=1), np.diff(points, axis=0)
    normal = np.cross(across, down)
    length = np.linalg.norm(normal, axis=-1) * np.linalg.norm(rays, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.abs((normal * rays).sum(axis=-1)) / length
        weight = np.clip(cosine, 0.1, 1.0) / np.maximum(depth, 1.0)
    edge = ~smooth
    edge[1:] |= ~smooth[:-1]
    edge[:, 1:] |= ~smooth[:, :-1]
    return np.where(edge | ~np.isfinite(weight), 0.05, weight).astype(np.float32)


def _fetch_colour(
    frame: Frame, depth: Float[np.ndarray, "pixels"], rig: Rig
) -> tuple[Float[np.ndarray, "pixels 3"], Int[np.ndarray, "pixels"]]:
    """Colour and label code for each depth pixel; code 0 where the colour camera did not see it."""
    to_colour = np.linalg.inv(np.asarray(rig.colour_to_depth, dtype=np.float64))
    points = rays_of(rig.depth) * depth[:, None] @ to_colour[:3, :3].T + to_colour[:3, 3]
    camera = rig.colour
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.rint(camera.fx * points[:, 0] / points[:, 2] + camera.cx)
        v = np.rint(camera.fy * points[:, 1] / points[:, 2] + camera.cy)
    visible = (points[:, 2] > 0.05) & (u >= 0) & (v >= 0) & (u < camera.width) & (v < camera.height)
    column, row = u[visible].astype(np.int64), v[visible].astype(np.int64)
    colour = np.zeros((len(depth), 3), dtype=np.float32)
    code = np.zeros(len(depth), dtype=np.int32)
    colour[visible] = frame.colour[row, column]
    code[visible] = frame.instance[row, column].astype(np.int32) * CODE + frame.nyu40[row, column]
    return colour, code
