"""The prepared data that tables are made from: brought by the user, or the embedded world's, written where it lacks."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from pointdistill import manifest, targets
from pointdistill.errors import DataError
from pointdistill.files import exclusive
from pointdistill.prepare import prepare_frames, prepare_labels
from pointdistill.prepare_shapes import prepare_shapes
from pointdistill.pretraining import require_papers_store
from pointdistill.quickstart.data import SPLITS, write_labelled, write_recordings
from pointdistill.recipes.downstream.recipe import DownstreamRecipe, Kind
from pointdistill.recipes.recipe import FrameRecipe, PretrainRecipe
from pointdistill.reproduce.scales import DISTILL, EMBEDDED, Scale, SmallWorld
from pointdistill.store import FrameStore
from pointdistill.teachers.base import Teacher
from pointdistill.teachers.named import teacher_factory
from pointdistill.world.objects import write_shapenet55
from pointdistill.world.seeds import SEEDS

FRAMES, HELDOUT, SHAPES, HELDOUT_SHAPES = "frames", "heldout", "shapenet55", "shapenet55-heldout"
LABELLED = {"scenes": "scenes", "objects": "modelnet40", "parts": "shapenetpart"}
"""A store's folder by the kind of what it holds."""
_COMMANDS = {
    FRAMES: "prepare SCANNET {out} --split train --every 25 --points 16384 --teacher {teacher}",
    HELDOUT: "prepare SCANNET {out} --split val --every 25 --points 16384 --teacher {teacher}",
    SHAPES: "prepare SHAPENET55 {out} --split train",
    HELDOUT_SHAPES: "prepare SHAPENET55 {out} --split test",
    "scenes": "prepare SCANNET {out} --labels",
    "modelnet40": "prepare MODELNET40 {out} --labels",
    "shapenetpart": "prepare SHAPENETPART {out} --labels",
}
"""How each is prepared from the published data."""


@dataclass(frozen=True)
class Needs:
    """What runs will read.

    Attributes:
        teachers: by what `--teacher` calls them, whose targets the frames must hold.
        shapes: whether shapes are pre-trained on.
        labelled: kinds of labelled data.
    """

    teachers: frozenset[str]
    shapes: bool
    labelled: frozenset[Kind]


@dataclass(frozen=True)
class Stores:
    """A folder of prepared stores: frames, heldout, shapenet55, shapenet55-heldout, scenes, modelnet40, shapenetpart.

    Attributes:
        root: the folder.
        scale: the sizes of what is in it.
    """

    root: Path
    scale: Scale

    def frames(self, teacher: str | None) -> tuple[Path, Path | None]:
        """What a pre-training reads, and what its figures along the way are of."""
        train, heldout = (SHAPES, HELDOUT_SHAPES) if teacher is None else (FRAMES, HELDOUT)
        return self.root / train, self.root / heldout

    def labelled(self, recipe: DownstreamRecipe) -> Path:
        """What a fine-tuning reads."""
        return self.root / LABELLED[recipe.store]

    def identity(self, teacher: str) -> str:
        """Whose targets they are, as stores know the teacher."""
        if self.scale.world is not None:
            return factory_of(teacher)().identity
        return self._learning_from(teacher).teacher

    def _learning_from(self, teacher: str) -> PretrainRecipe:
        kind = next((kind for kind, spec in self.scale.teachers.items() if spec == teacher), DISTILL)
        return self.scale.pretraining(kind, 0)

    def require(self, needs: Needs) -> None:
        """Whether the user's stores hold all that is needed.

        Raises:
            DataError: one that lacks, with the command that prepares it.
            RecipeError: its frames are others than the paper's.
        """
        for teacher in sorted(needs.teachers):
            for name in (FRAMES, HELDOUT):
                self._require(name, teacher)
                try:
                    targets.choose(self.root / name, self.identity(teacher))
                except DataError as error:
                    self._missing(name, teacher, error.problem)
            store = FrameStore.open(self.root / FRAMES, self.identity(teacher))
            require_papers_store(self._learning_from(teacher), store)
        if needs.shapes:
            for name in (SHAPES, HELDOUT_SHAPES):
                self._require(name)
        for kind in sorted(needs.labelled):
            self._require(LABELLED[kind])

    def _require(self, name: str, teacher: str = "") -> None:
        if not manifest.is_there(self.root / name):
            self._missing(name, teacher, "no prepared store here")

    def _missing(self, name: str, teacher: str, problem: str) -> None:
        command = _COMMANDS[name].format(out=self.root / name, teacher=teacher)
        raise DataError(self.root / name, problem, f"Prepare it: pointdistill {command}")

    def prepare(self, needs: Needs, workers: int | None) -> None:
        """Write and prepare what lacks of the embedded world, or, of the user's data, raise DataError for what does."""
        if self.scale.world is None:
            return self.require(needs)
        with exclusive(self.root):
            self._prepare(self.scale.world, needs, workers)

    def _prepare(self, world: SmallWorld, needs: Needs, workers: int | None) -> None:
        raw, frames = self.root / "world", self.scale.base.frames
        if needs.teachers:
            write_recordings(raw / "recordings", world.rooms, workers)
        for teacher in sorted(needs.teachers):
            for name, split in ((FRAMES, "train"), (HELDOUT, "val")):
                self._frames(raw / "recordings", name, split, teacher, frames, workers)
        if needs.shapes:
            seeds = {"train": SEEDS["objects_pretrain"], "test": SEEDS["objects_heldout"]}
            counts, points = {"train": world.shapes, "test": world.heldout_shapes}, world.rooms.object_points
            write_shapenet55(raw / SHAPES, seeds, counts, points, workers)
            for name, split in ((SHAPES, "train"), (HELDOUT_SHAPES, "test")):
                prepare_shapes(raw / SHAPES, self.root / name, split, points)
        for kind in sorted(needs.labelled):
            rooms = replace(world.rooms, train_objects=world.objects) if kind == "objects" else world.rooms
            write_labelled(raw / kind, kind, rooms, workers)
            prepare_labels(raw / kind, self.root / LABELLED[kind], SPLITS, workers)

    def _frames(
        self, recordings: Path, name: str, split: str, teacher: str, frames: FrameRecipe, workers: int | None
    ) -> None:
        prepare_frames(
            recordings,
            self.root / name,
            factory_of(teacher),
            split=split,
            every=frames.every,
            points=frames.stored_points,
            workers=workers,
        )


def factory_of(teacher: str) -> Callable[[], Teacher]:
    """What makes the teacher; "small" is the embedded one, which `--teacher` has no name for."""
    return teacher_factory(None if teacher == EMBEDDED else teacher)


def facts(stores: Stores, names: Collection[str]) -> dict[str, str]:
    """The hash of each store's manifest, by its name."""
    there = [name for name in names if manifest.is_there(stores.root / name)]
    return {name: manifest.file_sha256(stores.root / name / manifest.NAME) for name in there}
