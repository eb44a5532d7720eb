"""A sentence about a point cloud: predicted prefix -> the teacher's frozen language model (paper, eq. 11)."""

from pathlib import Path

import numpy as np
from jaxtyping import Num

from pointdistill.applications.prefix import opened, predict_prefix, speaking, teacher_of
from pointdistill.datasets.axes import Axis
from pointdistill.distilled import Distilled
from pointdistill.teachers.base import Teacher


def caption(
    points: Num[np.ndarray, "points 3"],
    run: str | Path | Distilled,
    teacher: str | Path | Teacher | None = None,
    up: Axis | None = None,
) -> str:
    """What a run's teacher would say of a cloud, read from the prefix that the student predicts.

    Args:
        points: a cloud in any unit, best one view of a depth camera.
        run: a finished distillation or its folder.
        teacher: the run's teacher, or how `prepare --teacher` names it; default the embedded one.
        up: which axis of the cloud points up; default that of the run's frame: z, or -y in the camera's.

    Raises:
        CheckpointError: no finished distillation.
        RecipeError: another teacher than the run's, or one without a language model.
        DataError: too few points.
    """
    distilled = opened(run)
    reader = speaking(teacher_of(distilled, teacher))
    return reader.caption(predict_prefix(points, distilled, up))[0]
