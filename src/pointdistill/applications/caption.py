"""A sentence about a point cloud: predicted prefix -> the teacher's frozen language model (paper, eq. 11)."""

from collections.abc import Sequence
from pathlib import Path
from typing import overload

from pointdistill.applications.inputs import Cloud, is_one
from pointdistill.applications.prefix import opened, predict_prefix, speaking, teacher_of
from pointdistill.datasets.axes import Axis
from pointdistill.distilled import Distilled
from pointdistill.teachers.base import Teacher


@overload
def caption(
    points: Cloud,
    run: str | Path | Distilled,
    teacher: str | Path | Teacher | None = None,
    up: Axis | None = None,
) -> str: ...


@overload
def caption(
    points: Sequence[Cloud],
    run: str | Path | Distilled,
    teacher: str | Path | Teacher | None = None,
    up: Axis | None = None,
) -> list[str]: ...


def caption(
    points: Cloud | Sequence[Cloud],
    run: str | Path | Distilled,
    teacher: str | Path | Teacher | None = None,
    up: Axis | None = None,
) -> str | list[str]:
    """What a run's teacher would say of a cloud, read from the prefix that the student predicts; of a list of clouds,
    of each.

    Args:
        points: an array or tensor of shape (points, 3) in any unit, or a file, best one view of a depth camera; or a
            list of such, of any sizes.
        run: a finished distillation or its folder.
        teacher: the run's teacher, or how `prepare --teacher` names it; default the embedded one.
        up: which axis of the cloud points up; default that of the run's frame: z, or -y in the camera's.

    Raises:
        CheckpointError: no finished distillation.
        RecipeError: another teacher than the run's, or one without a language model.
        DataError: a cloud that cannot be read, or has too few points.
    """
    distilled = opened(run)
    reader = speaking(teacher_of(distilled, teacher))
    prefix = predict_prefix(points, distilled, up)
    said = reader.caption(prefix) if len(prefix) else []
    return said[0] if is_one(points) else said
