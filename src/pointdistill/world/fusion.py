"""Fuses noisy depth frames into a labelled mesh: a truncated signed distance volume (Curless and Levoy, SIGGRAPH 1996)
in blocks that exist only near observed surface (Niessner et al., "Real-time 3D reconstruction at scale using voxel
hashing", 2013, the method behind ScanNet's own meshes). What no frame saw stays missing."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int, Int64, UInt8
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pointdistill.world.cameras import Rig
from pointdistill.world.mesh import Mesh
from pointdistill.world.observation import CODE, View, look, rays_of, signed_distance
from pointdistill.world.render import Frame
from pointdistill.world.surface import surface_nets

_BLOCK = 8
_CELLS = _BLOCK**3
_OFFSETS = np.stack(np.meshgrid(*[np.arange(_BLOCK)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
_RANGE = 1 << 20
"""Block coordinates lie in -2^20 .. 2^20 - 1, so that three of them pack into one int64 key."""


def fuse(frames: Iterable[Frame], rig: Rig, voxel: float = 0.03) -> Mesh:
    """Fuse recorded frames into a mesh in the world frame of their poses. Frames are taken one by one, none is kept.

    Args:
        frames: depth in millimetres (0 = none), pose of the depth camera (camera to world, metres), labels at colour
            size, as `render.record` gives them.
        rig: both cameras of the recording.
        voxel: the grid's step in metres.
    """
    fusion = Fusion(rig, voxel)
    for frame in frames:
        fusion.add(frame)
    return fusion.mesh()


class Fusion:
    """The growing volume. `add` frames, then take the `mesh`."""

    def __init__(self, rig: Rig, voxel: float = 0.03):
        self.rig, self.voxel, self.truncation = rig, voxel, 3 * voxel
        self._keys = np.empty(0, dtype=np.int64)  # sorted
        self._slots = np.empty(0, dtype=np.int64)  # row of each key in the arrays below
        self._distance = np.zeros((0, _CELLS), dtype=np.float32)  # weighted sums
        self._weight = np.zeros((0, _CELLS), dtype=np.float32)
        self._colour = np.zeros((0, _CELLS, 4), dtype=np.float32)  # weighted sums of r, g, b and the weight
        self._code = np.zeros((0, _CELLS), dtype=np.int32)
        self._votes = np.zeros((0, _CELLS), dtype=np.float32)

    def add(self, frame: Frame) -> None:
        """Fuse one frame into the volume."""
        view = look(frame, self.rig)
        keys = self._touched(view)
        if len(keys):
            self._update(view, keys, self._rows(keys))

    def mesh(self, least_weight: float = 0.1, least_vertices: int = 60) -> Mesh:
        """The surface where it was seen well enough; pieces of fewer than `least_vertices` vertices are dropped."""
        if not len(self._keys):
            return _empty_mesh()
        blocks = _unpack(self._keys)
        low = blocks.min(axis=0)
        size = (blocks.max(axis=0) - low + 1) * _BLOCK + 2  # one unknown layer around
        cells = ((blocks - low)[:, None] * _BLOCK + 1 + _OFFSETS).reshape(-1, 3)
        weight = self._weight[self._slots].reshape(-1)
        flat = np.asarray(np.ravel_multi_index(tuple(cells.T), tuple(size)))
        seen = weight > least_weight
        distance, known = np.zeros(size, dtype=np.float32), np.zeros(size, dtype=bool)
        place = np.zeros(distance.size, dtype=np.int64)  # grid point -> its place in the block arrays
        own = (self._slots[:, None] * _CELLS + np.arange(_CELLS)).reshape(-1)
        distance.reshape(-1)[flat[seen]] = self._distance.reshape(-1)[own[seen]] / weight[seen]
        known.reshape(-1)[flat[seen]] = True
        place[flat] = own
        surface = surface_nets(distance, known)
        vertices = (surface.vertices + low * _BLOCK - 1) * self.voxel
        colours, codes = self._attributes(place[surface.corners])
        mesh = Mesh(
            vertices.astype(np.float32),
            surface.faces.astype(np.int32),
            colours,
            (codes % CODE).astype(np.int16),
            (codes // CODE).astype(np.int32),
        )
        return _without_specks(mesh, least_vertices)

    def _touched(self, view: View) -> Int64[np.ndarray, "blocks"]:
        """Keys of the blocks within the truncation distance of what the frame saw."""
        pixel = np.flatnonzero(view.depth > 0)
        rays = rays_of(view.camera)[pixel] @ view.rotation  # camera to world is the transpose
        blocks = []
        for shift in (-self.truncation, 0.0, self.truncation):
            points = view.origin + rays * (view.depth[pixel, None] + shift)
            blocks.append(np.floor(points / (self.voxel * _BLOCK)).astype(np.int64))
        return np.unique(_pack(np.concatenate(blocks)))

    def _rows(self, keys: Int64[np.ndarray, "blocks"]) -> Int64[np.ndarray, "blocks"]:
        """The rows of these blocks in the arrays; new blocks are appended."""
        new = np.setdiff1d(keys, self._keys, assume_unique=True)
        if len(new):
            count = len(self._keys)
            self._grow(count + len(new))
            merged = np.concatenate([self._keys, new])
            order = np.argsort(merged)
            self._keys = merged[order]
            self._slots = np.concatenate([self._slots, np.arange(count, count + len(new))])[order]
        return self._slots[np.searchsorted(self._keys, keys)]

    def _grow(self, blocks: int) -> None:
        capacity = len(self._weight)
        if blocks <= capacity:
            return
        more = max(blocks, capacity * 3 // 2) - capacity
        for name in ("_distance", "_weight", "_colour", "_code", "_votes"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros((more, *array.shape[1:]), dtype=array.dtype)]))

    def _update(self, view: View, keys: Int64[np.ndarray, "blocks"], rows: Int64[np.ndarray, "blocks"]) -> None:
        """Project every grid point of the blocks into the frame and average what it measured there."""
        corners = (_unpack(keys) * (_BLOCK * self.voxel) - view.origin) @ view.rotation.T
        offsets = (_OFFSETS * self.voxel) @ view.rotation.T
        x, y, z = (
            (corners[:, axis, None].astype(np.float32) + offsets[:, axis].astype(np.float32)).reshape(-1)
            for axis in range(3)
        )
        camera = view.camera
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
        inside = (z > 0.05) & (u > 0) & (v > 0) & (u < camera.width - 1) & (v < camera.height - 1)
        chosen = np.flatnonzero(inside)
        near, distance, pixel = signed_distance(view, u[chosen], v[chosen], z[chosen], self.truncation)
        chosen = chosen[near]
        self._average(view, rows[chosen // _CELLS] * _CELLS + chosen % _CELLS, distance, pixel)

    def _average(
        self,
        view: View,
        cells: Int64[np.ndarray, "cells"],
        distance: Float[np.ndarray, "cells"],
        pixel: Int[np.ndarray, "cells"],
    ) -> None:
        # Behind the surface trust fades out, so that both sides of a thin board can live side by side.
        fade = np.clip(1 + (distance + self.voxel) / (self.truncation - self.voxel), 0.0, 1.0)
        weight = view.facing[pixel] * fade
        self._distance.reshape(-1)[cells] += weight * np.minimum(distance, self.truncation)
        self._weight.reshape(-1)[cells] += weight
        close = (np.abs(distance) < 2 * self.voxel) & (view.code[pixel] > 0)
        cells, pixel, weight = cells[close], pixel[close], weight[close]
        self._colour.reshape(-1, 4)[cells, :3] += weight[:, None] * view.colour[pixel]
        self._colour.reshape(-1, 4)[cells, 3] += weight
        self._vote(cells, view.code[pixel], weight)

    def _vote(
        self, cells: Int64[np.ndarray, "cells"], code: Int[np.ndarray, "cells"], weight: Float[np.ndarray, "cells"]
    ) -> None:
        """Weighted majority vote in constant memory (Boyer and Moore): a cell keeps one candidate and its lead."""
        codes, votes = self._code.reshape(-1), self._votes.reshape(-1)
        lead = np.where(codes[cells] == code, votes[cells] + weight, votes[cells] - weight)
        codes[cells] = np.where(lead < 0, code, codes[cells])
        votes[cells] = np.abs(lead)

    def _attributes(
        self, corners: Int64[np.ndarray, "vertices 8"]
    ) -> tuple[UInt8[np.ndarray, "vertices 3"], Int[np.ndarray, "vertices"]]:
        """Colour and label of each vertex out of the eight grid points around it."""
        sums = self._colour.reshape(-1, 4)[corners].sum(axis=1)
        colours = sums[:, :3] / np.maximum(sums[:, 3:], 1e-9)
        codes, votes = self._code.reshape(-1)[corners], self._votes.reshape(-1)[corners]
        support = np.stack([(votes * (codes == codes[:, [corner]])).sum(axis=1) for corner in range(8)], axis=1)
        best = codes[np.arange(len(codes)), support.argmax(axis=1)]
        return np.clip(np.rint(colours), 0, 255).astype(np.uint8), best


def _pack(blocks: Int64[np.ndarray, "blocks 3"]) -> Int64[np.ndarray, "blocks"]:
    shifted = blocks + _RANGE
    return (shifted[:, 0] * (2 * _RANGE) + shifted[:, 1]) * (2 * _RANGE) + shifted[:, 2]


def _unpack(keys: Int64[np.ndarray, "blocks"]) -> Int64[np.ndarray, "blocks 3"]:
    digits = [keys // (4 * _RANGE * _RANGE), keys // (2 * _RANGE) % (2 * _RANGE), keys % (2 * _RANGE)]
    return np.stack(digits, axis=1) - _RANGE


def _without_specks(mesh: Mesh, least_vertices: int) -> Mesh:
    """Drop small pieces that hang on nothing, and vertices without faces."""
    count = len(mesh)
    if not len(mesh.faces):
        return _empty_mesh()
    first, second = mesh.faces.reshape(-1), np.roll(mesh.faces, 1, axis=1).reshape(-1)
    graph = coo_matrix((np.ones(len(first), dtype=bool), (first, second)), shape=(count, count))
    _, piece = connected_components(graph, directed=False)
    keep = np.bincount(piece)[piece] >= least_vertices
    number = np.cumsum(keep) - 1
    faces = number[mesh.faces[keep[mesh.faces[:, 0]]]].astype(np.int32)
    return Mesh(mesh.vertices[keep], faces, mesh.colours[keep], mesh.nyu40[keep], mesh.instance[keep])


def _empty_mesh() -> Mesh:
    return Mesh(
        np.zeros((0, 3), dtype=np.float32),
        np.zeros((0, 3), dtype=np.int32),
        np.zeros((0, 3), dtype=np.uint8),
        np.zeros(0, dtype=np.int16),
        np.zeros(0, dtype=np.int32),
    )
