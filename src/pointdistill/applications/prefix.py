"""From a cloud to the prefix that a finished distillation predicts, and the teacher that can read it."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pointdistill.applications.clouds import training_form
from pointdistill.applications.inputs import BATCH, Cloud, evaluating, named_arrays
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
    points: Cloud | Sequence[Cloud], run: Distilled, up: Axis | None = None
) -> Float[Tensor, "clouds prefix dim"]:
    """What the run's teacher would say of an image of this cloud, as far as the student knows; of several, of each.

    Raises:
        DataError: a cloud that cannot be read, has fewer points than a patch, or all in one place.
    """
    frames, backbone = run.recipe.frames, run.recipe.backbone
    least, where = max(backbone.groups, backbone.group_size), next(iter(run.method.parameters())).device
    clouds, found = named_arrays(points), []
    with evaluating(run.method):
        while batch := [
            training_form(array, up, frames.frame, frames.points, least, name)[0]
            for name, array in itertools.islice(clouds, BATCH)
        ]:
            found.append(run.method.predict(torch.cat(batch).to(where)).cpu())
    return torch.cat(found) if found else torch.empty(0, *run.mean_target.shape)


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
