"""What a loader hands to a method."""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Float32, Int16, Int64
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class FrameBatch:
    """Point clouds of frames with the teacher's targets.

    Attributes:
        points: within the unit sphere before augmentation; camera frame (x right, y down, z forward) or gravity
            frame (z up), as the loader was told.
        targets: the teacher's target of each frame.
        index: each frame's number in its store.
        cells: where each point falls in the teacher's map of the image (row-major), -1 outside; None unless asked for.
        second: another draw and augmentation of the same frames, or of frames that overlap with them; None unless asked
            for.
        matches: which of `points` and of `second` are the same place in the world, -1 for filling; None unless asked
            for.
    """

    points: Float32[Tensor, "batch points 3"]
    targets: Float32[Tensor, "batch prefix dim"]
    index: Int64[Tensor, "batch"]
    cells: Int64[Tensor, "batch points"] | None = None
    second: Float32[Tensor, "batch points 3"] | None = None
    matches: Int64[Tensor, "batch matches 2"] | None = None

    def __len__(self) -> int:
        return len(self.points)

    def to(self, device: str | torch.device) -> "FrameBatch":
        """The same batch on a device; the copy overlaps with computation where memory is pinned."""
        move = lambda tensor: tensor.to(device, non_blocking=True)  # noqa: E731
        maybe = lambda tensor: None if tensor is None else move(tensor)  # noqa: E731
        rest = map(maybe, (self.cells, self.second, self.matches))
        return FrameBatch(move(self.points), move(self.targets), move(self.index), *rest)


@dataclass(frozen=True)
class StoredClouds:
    """Clouds as a store keeps them, with the linear map of each that turns them into the student's.

    Attributes:
        stored: the drawn points' numbers.
        matrices, shifts: a point of the student's cloud is `matrix @ numbers + shift`: unit sphere, frame and
            augmentation.
    """

    stored: Int16[Tensor, "batch points 3"]
    matrices: Float32[Tensor, "batch 3 3"]
    shifts: Float32[Tensor, "batch 3"]

    def on(self, device: str | torch.device) -> Float32[Tensor, "batch points 3"]:
        """The student's clouds, computed there; not as a matrix product, which GPUs may round to ten bits."""
        numbers, matrices, shifts = (
            part.to(device, non_blocking=True) for part in (self.stored, self.matrices, self.shifts)
        )
        x, y, z = numbers.float()[:, :, None].unbind(-1)
        first, second, third = matrices[:, None].unbind(-1)
        return shifts[:, None] + x * first + y * second + z * third


@dataclass(frozen=True)
class StoredBatch(FrameBatch):
    """A batch whose clouds are finished on the device it is sent to: half the bytes to send, no arithmetic on the CPU.

    Until then `points` holds none.

    Attributes:
        clouds: become `points`.
        second_clouds: become `second`.
    """

    clouds: StoredClouds | None = None
    second_clouds: StoredClouds | None = None

    def to(self, device: str | torch.device) -> FrameBatch:
        """The finished batch on a device."""
        sent = super().to(device)
        points = sent.points if self.clouds is None else self.clouds.on(device)
        return replace(
            sent, points=points, second=None if self.second_clouds is None else self.second_clouds.on(device)
        )


def pinned(batch: T) -> T:
    """A dataclass whose tensors, those of dataclasses within it too, lie where a GPU reads them by itself while the CPU
    goes on."""
    return replace(batch, **{field.name: _pinned_part(getattr(batch, field.name)) for field in fields(batch)})  # type: ignore[arg-type, type-var]


def _pinned_part(part: Any) -> Any:
    if isinstance(part, Tensor):
        return part.pin_memory()
    return pinned(part) if is_dataclass(part) and not isinstance(part, type) else part
