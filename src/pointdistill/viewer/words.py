"""What a run and a teacher say of what is viewed: sentences, and features as colours."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from pointdistill.applications.caption import caption
from pointdistill.applications.clouds import open_store
from pointdistill.applications.embed import Encoder, embed, load_encoder
from pointdistill.applications.prefix import speaking, teacher_of
from pointdistill.console import warn
from pointdistill.datasets.axes import Axis
from pointdistill.distilled import Distilled, load_distilled
from pointdistill.errors import CheckpointError, RecipeError
from pointdistill.store import FrameStore
from pointdistill.teachers.base import Captioner, Teacher
from pointdistill.teachers.named import teacher_factory
from pointdistill.teachers.user import UserTeacher
from pointdistill.viewer.pictures import by_features


@dataclass(frozen=True)
class Student:
    """A pre-trained backbone, and the distillation that it came of.

    Attributes:
        encoder: the backbone.
        distilled: None where it came of another method.
        teacher: whose prefixes the student predicts; None where it cannot speak.
    """

    encoder: Encoder
    distilled: Distilled | None
    teacher: Teacher | None

    def colours(
        self,
        points: Float[np.ndarray, "points 3"],
        chosen: Int[np.ndarray, " drawn"] | slice,
        up: Axis | None = None,
    ) -> UInt8[np.ndarray, "drawn 3"]:
        """Features of the chosen points, of all points' cloud, as colours; other arguments as `embed`'s."""
        return by_features(embed(points, self.encoder, up).at(points[chosen]))

    def says(self, points: Float[np.ndarray, "points 3"], up: Axis | None = None) -> list[tuple[str, str]]:
        """A sentence about the cloud, and what it is read from; none where nobody can speak."""
        if self.distilled is None or self.teacher is None:
            return []
        return [("from the points", caption(points, self.distilled, self.teacher, up))]


def load_student(run: Path, teacher: str | None) -> Student:
    """A run read back; that it cannot speak is warned of, for its features are there all the same.

    Raises:
        CheckpointError: no backbone there.
        RecipeError: a named teacher is not the run's, or has no language model.
    """
    encoder = load_encoder(run)
    try:
        distilled = load_distilled(run)
    except CheckpointError as error:
        warn(f"no captions: {error}")
        return Student(encoder, None, None)
    try:
        found = teacher_of(distilled, teacher)
        speaking(found)
    except RecipeError as error:
        if teacher is not None:
            raise
        warn(f"no captions: {error}")
        return Student(encoder, distilled, None)
    return Student(encoder, distilled, found)


class TeachersWords:
    """What the teacher of a store's targets says of its images: nothing, where it has no language model."""

    def __init__(self, store: FrameStore, teacher: Teacher | None):
        self._store = store
        self._reader = teacher if isinstance(teacher, Captioner) else None

    @torch.no_grad()
    def of(self, frame: int) -> list[tuple[str, str]]:
        if self._reader is None:
            return []
        prefix = torch.from_numpy(self._store.targets[frame].astype(np.float32))[None]
        return [("from the picture", self._reader.caption(prefix)[0])]


def open_frames(path: Path, teacher: str | None) -> tuple[FrameStore, TeachersWords]:
    """A store of frames or shapes, and the words of its teacher.

    Args:
        path: its folder.
        teacher: whose targets, as `prepare` takes it; None takes those of the embedded one, or silent ones.

    Raises:
        DataError: no finished store, or none of this teacher's targets.
        RecipeError: the teacher's weights are others.
    """
    store = open_store(path) if teacher is None else None
    if store is not None and not store.has_targets:
        return store, TeachersWords(store, None)
    found = teacher_factory(teacher)()
    store = store or FrameStore.open(path, found.identity)
    if (found.identity, found.weights_hash) != (store.teacher["identity"], store.teacher["weights_hash"]):
        if teacher is not None:
            raise RecipeError(
                f"the targets of {path} are of other weights of {found.identity}. Name theirs with --teacher"
            )
        return store, TeachersWords(store, None)
    return store, TeachersWords(store, found.teacher if isinstance(found, UserTeacher) else found)
