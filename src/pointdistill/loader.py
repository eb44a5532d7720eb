"""Store -> batches: a fresh draw of points of each frame every epoch, in the unit sphere, augmented.

The order is keyed by (seed, epoch), the draw and the augmentation of a frame by (seed, epoch, frame) alone: any
number of processes, and a run that was interrupted, see the same samples.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Int, Int16, Int64

from pointdistill.augment import Augmentation
from pointdistill.batch import FrameBatch, StoredBatch, StoredClouds, pinned
from pointdistill.errors import DataError, RecipeError
from pointdistill.frame_pairs import FramePairs
from pointdistill.parallel import one_ahead
from pointdistill.seeding import numpy_generator
from pointdistill.store import HALF_RANGE, FrameStore

CellFinder = Callable[[int, Float32[np.ndarray, "points 3"]], Int64[np.ndarray, "points"]]


class FrameLoader:
    """Draws batches of frames from a store.

    Args:
        store: prepared frames.
        batch_size: frames a step, over all processes together.
        points: points drawn of each frame: without repetition where it has enough, else all of them and the rest again.
        seed: of order, draws and augmentation.
        frame: "camera" leaves clouds in the depth camera's frame (the paper's recipe); "gravity" turns them by
            the pose, so that z points up, as in all downstream data.
        augment: what is done to each cloud after it was centred and scaled; None for nothing.
        indices: the frames to use; all unless told.
        drop_last: leave out the last, smaller batch of an epoch.
        shuffle: another order each epoch.
        cells: tells of a frame, by its number, in which cells of the teacher's map points lie that are given in the
            depth camera's frame, metres; None leaves that out of the batches.
        views: draws of each frame, 1 or 2: a second one is drawn and augmented independently of the first.
        pairs: gives each frame another one of its scan as the second view, and matches their points; None leaves second
            views to `views`.
        rank, ranks: this process takes every `ranks`-th frame of each batch, from the `rank`-th on.
        stored: batches are `StoredBatch`es, whose clouds are finished on the device that they are sent to.

    Raises:
        RecipeError: no batch is full, or an augmentation that needs z up in the camera's frame.
        DataError: frame "gravity", and nobody knows which way is up in the store; later, from its batches, a frame
            without points, or with coordinates or targets that are not finite.
    """

    def __init__(
        self,
        store: FrameStore,
        batch_size: int,
        points: int,
        seed: int,
        frame: Literal["camera", "gravity"] = "camera",
        augment: Augmentation | None = None,
        indices: Int[np.ndarray, "chosen"] | None = None,
        drop_last: bool = True,
        shuffle: bool = True,
        cells: CellFinder | None = None,
        views: int = 1,
        pairs: FramePairs | None = None,
        rank: int = 0,
        ranks: int = 1,
        stored: bool = False,
    ):
        if frame == "camera" and augment is not None and (augment.yaw or augment.flip):
            raise RecipeError("Turning about z and mirroring need clouds whose z points up: use frame='gravity'.")
        if frame == "gravity" and store.up != "z":
            problem = "its recordings do not say which way is up, and frame='gravity' turns clouds so that z is"
            remedy = "Prepare it again with --up and the axis of their world that points up, or use frame='camera'."
            raise DataError(store.path, problem, remedy)
        self.store, self.batch_size, self.points, self.seed = store, batch_size, points, seed
        self.augment, self.drop_last, self.shuffle, self.cells = augment, drop_last, shuffle, cells
        self.views, self.pairs, self.rank, self.ranks, self.stored = views, pairs, rank, ranks, stored
        self.indices = np.arange(len(store)) if indices is None else np.asarray(indices, np.int64)
        if len(self) == 0:
            raise RecipeError(f"{len(self.indices)} frames are less than one batch of {batch_size}.")
        self.frame = frame

    def _to_unit_sphere(
        self, chosen: Int64[np.ndarray, "batch"]
    ) -> tuple[Float32[np.ndarray, "batch 3 3"], Float32[np.ndarray, "batch 3"]]:
        """The linear map of each frame from stored int16 coordinates to the unit sphere: `stored @ matrix.T + shift`.
        Computed as it is wanted: nothing is held of frames that are not in the batch."""
        store = self.store
        step, scale = store.step[chosen], store.scale[chosen][:, None]
        matrices = np.eye(3) * (step / scale)[:, None, :].astype(np.float64)
        corner = store.lower[chosen].astype(np.float64) + HALF_RANGE * step.astype(np.float64)
        shifts = (corner - store.centre[chosen]) / scale
        if self.frame == "gravity":
            turns = store.poses[chosen][:, :3, :3].astype(np.float64)
            matrices, shifts = turns @ matrices, np.einsum("fij,fj->fi", turns, shifts)
        usable = np.isfinite(matrices).all((1, 2)) & np.isfinite(shifts).all(1)
        usable &= (store.counts[chosen] > 0) & (store.counts[chosen] <= store.points.shape[1])
        if not usable.all():
            problem = "a frame without points, or with coordinates that are not finite"
            place = f"frame {chosen[usable.argmin()]}"
            raise DataError(store.path, problem, "Delete the store and prepare it again.", place)
        return matrices.astype(np.float32), shifts.astype(np.float32)

    def __len__(self) -> int:
        """Steps of an epoch."""
        full, rest = divmod(len(self.indices), self.batch_size)
        return full + bool(rest and not self.drop_last)

    def epoch(self, number: int, start_step: int = 0) -> Iterator[FrameBatch]:
        """The batches of epoch `number`, from step `start_step` on; the next one is made while one is used."""
        order = self._order(number)
        steps = range(start_step * self.batch_size, min(len(self) * self.batch_size, len(order)), self.batch_size)
        shares = (order[first : first + self.batch_size][self.rank :: self.ranks] for first in steps)
        # The last, smaller batch may have fewer frames than there are processes.
        return one_ahead(partial(self._ready, share, number) for share in shares if len(share))

    def _ready(self, chosen: Int64[np.ndarray, "batch"], epoch: int) -> FrameBatch:
        batch = self.batch(chosen, epoch)
        return pinned(batch) if self.stored and torch.cuda.is_available() else batch

    def batch(self, chosen: Int64[np.ndarray, "batch"], epoch: int) -> FrameBatch:
        """These frames as epoch `epoch` draws them."""
        points, drawn = self._clouds(chosen, "sample", epoch)
        second, matches = None, None
        if self.pairs is not None:
            second, matches = self._partners(self.pairs, chosen, drawn, epoch)
        elif self.views == 2:
            second, _ = self._clouds(chosen, "second sample", epoch)
        targets = torch.from_numpy(self.store.targets[chosen]).float()
        if not math.isfinite(targets.sum().item()):  # no number of float16 is so large that a sum of them overflows
            self.store.require_finite_targets(chosen)
        cells = None
        if self.cells is not None:
            found = [self._cells(index, taken) for index, taken in zip(chosen.tolist(), drawn, strict=True)]
            cells = torch.from_numpy(np.stack(found))
        index = torch.from_numpy(chosen.copy())
        if isinstance(points, torch.Tensor):
            assert not isinstance(second, StoredClouds)
            return FrameBatch(points, targets, index, cells, second, matches)
        assert not isinstance(second, torch.Tensor)
        none = torch.empty(len(chosen), 0, 3)
        return StoredBatch(none, targets, index, cells, None, matches, clouds=points, second_clouds=second)

    def _clouds(
        self, chosen: Int64[np.ndarray, "batch"], key: str, epoch: int
    ) -> tuple[Float32[torch.Tensor, "batch points 3"] | StoredClouds, list[Int64[np.ndarray, "points"]]]:
        """A draw of each frame, by a key of its own, and which of the frame's points it is."""
        clouds = np.empty((len(chosen), self.points, 3), np.int16 if self.stored else np.float32)
        matrices, shifts = self._to_unit_sphere(chosen)
        near, drawn = np.empty(self.store.points.shape[1:], np.int16), []
        for place, (index, cloud) in enumerate(zip(chosen.tolist(), clouds, strict=True)):
            generator, available = numpy_generator(self.seed, key, epoch, index), int(self.store.counts[index])
            rows = draw_rows(generator, available, self.points)
            if self.augment is not None:
                augmenting, moving = self.augment.draw(generator)
                matrices[place], shifts[place] = augmenting @ matrices[place], augmenting @ shifts[place] + moving
            # Every cache line of a frame is wanted: read in order first, it is at hand when rows are taken at random.
            near[:available] = self.store.points[index, :available]
            taken = near.take(rows, axis=0, out=cloud if self.stored else None)
            if not self.stored:
                _finish(taken, matrices[place], shifts[place], cloud)
            drawn.append(rows)
        points = torch.from_numpy(clouds)
        if not self.stored:
            return points, drawn
        return StoredClouds(points, torch.from_numpy(matrices), torch.from_numpy(shifts)), drawn

    def _partners(
        self,
        pairs: FramePairs,
        chosen: Int64[np.ndarray, "batch"],
        drawn: list[Int64[np.ndarray, "points"]],
        epoch: int,
    ) -> tuple[Float32[torch.Tensor, "batch points 3"] | StoredClouds, Int64[torch.Tensor, "batch matches 2"]]:
        """A draw of each frame's partner, and which of its points are points of the frame's draw."""
        others = pairs.second(chosen, self.seed, epoch)
        second, again = self._clouds(others, "second sample", epoch)
        each = zip(chosen.tolist(), drawn, others.tolist(), again, strict=True)
        matches = [pairs.matches(*pair, numpy_generator(self.seed, "matches", epoch, pair[0])) for pair in each]
        return second, torch.from_numpy(np.stack(matches))

    def _cells(self, index: int, taken: Int64[np.ndarray, "points"]) -> Int64[np.ndarray, "points"]:
        """The cells of some points of a frame, as it was recorded."""
        assert self.cells is not None
        return self.cells(index, self.store.cloud(index)[taken])

    def _order(self, epoch: int) -> Int64[np.ndarray, "chosen"]:
        if not self.shuffle:
            return self.indices
        return numpy_generator(self.seed, "order", epoch).permutation(self.indices)


def _finish(
    taken: Int16[np.ndarray, "points 3"],
    matrix: Float32[np.ndarray, "3 3"],
    shift: Float32[np.ndarray, "3"],
    out: Float32[np.ndarray, "points 3"],
) -> None:
    """The student's cloud, written to `out`."""
    np.matmul(taken.astype(np.float32), matrix.T, out=out)
    # Adding rows of 3 would spend its time on the loop over rows: add rows of many points.
    many = math.gcd(len(out), 64)
    blocks = out.reshape(-1, 3 * many)
    blocks += np.tile(shift, many)


def draw_rows(generator: np.random.Generator, available: int, wanted: int) -> Int64[np.ndarray, "wanted"]:
    """Numbers of `wanted` of `available` points: no point twice where there are enough, else each as often as any
    other, up to once."""
    if wanted <= available:
        return generator.choice(available, wanted, replace=False, shuffle=False)
    rounds, rest = divmod(wanted, available)
    again = generator.choice(available, rest, replace=False, shuffle=False)
    return np.concatenate([np.tile(np.arange(available), rounds), again])


def in_camera(
    points: torch.Tensor, store: FrameStore, index: int, frame: Literal["camera", "gravity"]
) -> Float32[np.ndarray, "points 3"]:
    """What a student saw of a frame without augmentation, (points, 3), back in metres in the depth camera's frame."""
    turn = store.poses[index, :3, :3] if frame == "gravity" else np.eye(3, dtype=np.float32)
    return (points.numpy() * store.scale[index]) @ turn + store.centre[index]
