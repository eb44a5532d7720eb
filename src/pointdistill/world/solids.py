"""Boxes, cylinders and ellipsoids as a structure of arrays, and uniform samples of the surface of their union."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Int8, Int16, Int32

BOX, CYLINDER, ELLIPSOID = 0, 1, 2
_NUDGE = 1e-5
"""Metres by which a surface point is moved along its normal to see what lies on either side."""


@dataclass(frozen=True)
class Solids:
    """N primitives. Metres, z up; a solid's local frame maps to the outer one by `rotation @ local + centre`."""

    kind: Int8[np.ndarray, "solids"]
    """BOX, CYLINDER (along local z, elliptic if half x and y differ) or ELLIPSOID."""
    centre: Float[np.ndarray, "solids 3"]
    rotation: Float[np.ndarray, "solids 3 3"]
    half: Float[np.ndarray, "solids 3"]
    """Half extents along the local axes."""
    colour: Float[np.ndarray, "solids 3"]
    """Red, green, blue in 0..1."""
    nyu40: Int16[np.ndarray, "solids"]
    instance: Int32[np.ndarray, "solids"]
    """0 for the room's shell."""
    part: Int16[np.ndarray, "solids"]
    """Index into PARTS of the solid's class; 0 for the shell."""

    def __len__(self) -> int:
        return len(self.kind)

    @staticmethod
    def concatenate(parts: "Sequence[Solids]") -> "Solids":
        """All solids of all parts, in order."""
        return Solids(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Solids)})

    def transformed(self, matrix: Float[np.ndarray, "4 4"]) -> "Solids":
        """The solids moved by a rigid motion. Raises ValueError when the matrix is not one."""
        turn, shift = matrix[:3, :3], matrix[:3, 3]
        if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-6) or not np.allclose(matrix[3], (0, 0, 0, 1)):
            raise ValueError("solids can only be moved by a rigid motion (a rotation and a shift)")
        return replace(self, centre=self.centre @ turn.T + shift, rotation=turn @ self.rotation)

    def extents(self) -> Float[np.ndarray, "solids 3"]:
        """Half extents of each solid's tight axis-aligned box in the outer frame."""
        reach = self.rotation * self.half[:, None, :]
        box = np.abs(reach).sum(2)
        ellipsoid = np.sqrt((reach**2).sum(2))
        cylinder = np.sqrt((reach[:, :, :2] ** 2).sum(2)) + np.abs(reach[:, :, 2])
        return np.select([self.kind[:, None] == BOX, self.kind[:, None] == CYLINDER], [box, cylinder], ellipsoid)

    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Lower and upper corner of the tight axis-aligned box around all solids."""
        extents = self.extents()
        return np.stack([(self.centre - extents).min(0), (self.centre + extents).max(0)])


def level(solids: Solids, points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points solids"]:
    """How far out each point lies in each solid: below 1 inside, 1 on the surface, above 1 outside."""
    offset = points[:, None, :] - solids.centre[None]
    local = np.abs(np.einsum("psi,sij->psj", offset, solids.rotation)) / solids.half
    radial = np.hypot(local[..., 0], local[..., 1])
    cylinder = np.maximum(radial, local[..., 2])
    ellipsoid = np.sqrt((local**2).sum(-1))
    return np.select([solids.kind == BOX, solids.kind == CYLINDER], [local.max(-1), cylinder], ellipsoid)


def contains(solids: Solids, points: Float[np.ndarray, "points 3"]) -> Bool[np.ndarray, "points solids"]:
    """Which points lie strictly inside which solids."""
    return level(solids, points) < 1.0


def sample_surface(
    solids: Solids, count: int, generator: np.random.Generator
) -> tuple[Float[np.ndarray, "count 3"], Float[np.ndarray, "count 3"], Int[np.ndarray, "count"]]:
    """Points spread evenly over the outer surface of the union of the solids.

    Points of one solid that lie inside another are rejected; where two surfaces coincide, one of the two counts.

    Returns:
        points in metres, outward unit normals, and the index of the solid that each point lies on.
    """
    pieces, areas = _pieces(solids)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    missing, rounds = count, 0
    while missing > 0:
        rounds += 1
        if rounds > 200:
            raise ValueError("the solids have no outer surface to sample")
        draw = generator.choice(len(areas), size=max(2 * missing, 64), p=areas / areas.sum())
        owner, piece = pieces[draw, 0], pieces[draw, 1]
        points, normals, kept = _on_pieces(solids, owner, piece, generator)
        kept &= _is_outer(solids, owner, points, normals)
        chosen = np.flatnonzero(kept)[:missing]
        found.append((points[chosen], normals[chosen], owner[chosen]))
        missing -= len(chosen)
    points, normals, owner = (np.concatenate(column) for column in zip(*found, strict=True))
    return points, normals, owner


def _pieces(solids: Solids) -> tuple[np.ndarray, np.ndarray]:
    """(solid, piece) rows and the area each is drawn by. Pieces: 0-5 a box's faces, 6 a cylinder's side, 7 and 8 its
    caps, 9 an ellipsoid."""
    rows, areas = [], []
    for i, (kind, half) in enumerate(zip(solids.kind, solids.half, strict=True)):
        x, y, z = half
        if kind == BOX:
            rows += [(i, face) for face in range(6)]
            areas += [4 * y * z, 4 * y * z, 4 * x * z, 4 * x * z, 4 * x * y, 4 * x * y]
        elif kind == CYLINDER:
            # Drawn uniformly in the angle and thinned to uniform arc length: weighed by the upper bound of the arc.
            rows += [(i, 6), (i, 7), (i, 8)]
            areas += [2 * np.pi * max(x, y) * 2 * z, np.pi * x * y, np.pi * x * y]
        else:
            rows.append((i, 9))
            areas.append(4 * np.pi * max(x * y, y * z, x * z))
    return np.array(rows), np.array(areas, dtype=np.float64)


def _on_pieces(
    solids: Solids, owner: np.ndarray, piece: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random point and normal on each piece, and which of them survive the thinning of curved pieces."""
    half, count = solids.half[owner], len(owner)
    local = generator.uniform(-1, 1, (count, 3))
    normal = np.zeros((count, 3))
    kept = np.ones(count, dtype=bool)
    faces = np.flatnonzero(piece < 6)
    axis, sign = piece[faces] // 2, 1.0 - 2.0 * (piece[faces] % 2)
    local[faces, axis], normal[faces, axis] = sign, sign

    angle = generator.uniform(0, 2 * np.pi, count)
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    side = piece == 6
    local[side, :2] = circle[side]
    normal[side, :2] = circle[side] / half[side, :2]
    arc = np.hypot(half[:, 0] * circle[:, 1], half[:, 1] * circle[:, 0]) / half[:, :2].max(1)
    caps = (piece == 7) | (piece == 8)
    local[caps, :2] = circle[caps] * np.sqrt(generator.uniform(0, 1, count))[caps, None]
    local[caps, 2] = normal[caps, 2] = 1.0 - 2.0 * (piece[caps] - 7)

    ball = generator.normal(size=(count, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    oval = piece == 9
    local[oval] = ball[oval]
    normal[oval] = ball[oval] / half[oval]
    x, y, z = half.T
    # Area element of the map sphere -> ellipsoid, relative to its upper bound.
    stretch = np.linalg.norm(np.stack([y * z, x * z, x * y], 1) * ball, axis=1)
    stretch = stretch / np.max([y * z, x * z, x * y], axis=0)
    chance = generator.uniform(0, 1, count)
    kept[side] = chance[side] < arc[side]
    kept[oval] = chance[oval] < stretch[oval]

    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    rotation = solids.rotation[owner]
    points = np.einsum("pij,pj->pi", rotation, local * half) + solids.centre[owner]
    return points, np.einsum("pij,pj->pi", rotation, normal), kept


def _is_outer(solids: Solids, owner: np.ndarray, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Whether each surface point lies on the outside of the union (once, where surfaces coincide)."""
    above = contains(solids, points + _NUDGE * normals)
    below = contains(solids, points - _NUDGE * normals)
    own = np.arange(len(solids))[None] == owner[:, None]
    above &= ~own
    # Just above outside the other solid and just below inside it: the other one has a surface here too, facing alike.
    twin = below & ~above & (np.arange(len(solids))[None] < owner[:, None])
    return ~above.any(1) & ~twin.any(1)
