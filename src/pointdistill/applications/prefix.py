"""From a cloud to the prefix that a finished distillation predicts, and the teacher that can read it."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from pointdistill.applications.clouds import training_form
from pointdistill.datasets.axes import Axis
from pointdistill.distilled import Distilled, load_distilled
from pointdistill.errors import RecipeError
from pointdistill.teachers.base import Captioner, Teacher
from pointdistill.teachers.named import teacher_factory
from pointdistill.teachers.user import UserTeacher


@runtime_checkable
class TextEncoder(Protocol):
    """A teacher whose image features have texts as neighbours, as CLIP's do."""

    def text_features(self, texts: list[str]) -> Float[Tensor, "batch feature"]:
        """Features of texts in the space of the teacher's image features."""
        ...


def opened(run: str | Path | Distilled) -> Distilled:
    """The run itself, or the one in a folder."""
    return run if isinstance(run, Distilled) else load_distilled(run)


@torch.no_grad()
def predict_prefix(
    points: Num[np.ndarray, "points 3"], run: Distilled, up: Axis | None = None
) -> Float[Tensor, "1 prefix dim"]:
    """What the run's teacher would say of an image of this cloud, as far as the student knows.

    Raises:
        DataError: fewer points than a patch has, or all in one place.
    """
    frames, backbone = run.recipe.frames, run.recipe.backbone
    cloud, _, _ = training_form(points, up, frames.frame, frames.points, max(backbone.groups, backbone.group_size))
    return run.method.predict(cloud)


def teacher_of(run: Distilled, teacher: str | Path | Teacher | None = None) -> Teacher:
    """The teacher whose targets a run predicts.

    Args:
        run: the run.
        teacher: it, or how `prepare --teacher` names it; None takes the embedded one.

    Raises:
        PointdistillError: no such teacher.
        RecipeError: another teacher than the run's.
    """
    found = teacher if isinstance(teacher, Teacher) else teacher_factory(None if teacher is None else str(teacher))()
    wanted = (run.teacher["identity"], run.teacher["weights_hash"])
    if (found.identity, found.weights_hash) != wanted:
        name = "the embedded one" if teacher is None else f"{found.identity} {found.weights_hash[:8]}"
        raise RecipeError(
            f"the run predicts targets of the teacher {wanted[0]} {wanted[1][:8]}, which {name} is not. "
            "Name the run's own with --teacher"
        )
    return found.teacher if isinstance(found, UserTeacher) else found  # its own methods, without the checks of targets


def speaking(teacher: Teacher) -> Captioner:
    """The teacher as one that captions.

    Raises:
        RecipeError: it has no language model.
    """
    if not isinstance(teacher, Captioner):
        raise RecipeError(f"the teacher {teacher.identity} has no language model. Use a run of a captioning teacher")
    return teacher
