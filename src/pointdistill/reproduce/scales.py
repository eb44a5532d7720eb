"""At which sizes the tables are reproduced: the paper's, or small ones for two CPU cores."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from pointdistill.models.detr3d_encoder import SceneTransformerConfig
from pointdistill.models.dgcnn import DGCNNConfig
from pointdistill.online_probe import ProbeSettings
from pointdistill.recipes.downstream import RECIPES
from pointdistill.recipes.downstream.recipe import DownstreamRecipe
from pointdistill.recipes.named import pretraining_recipes, varied
from pointdistill.recipes.paper import paper
from pointdistill.recipes.quickstart import WorldRecipe, distillation
from pointdistill.recipes.recipe import FrameRecipe, PretrainRecipe, with_optimisation
from pointdistill.tasks.classification import Classification
from pointdistill.world.classes import CLASSES

ScaleName = Literal["paper", "small"]
DISTILL, EMBEDDED = "distill", "small"
_TASKS = ("detection", "semantic_segmentation", "classification", "part_segmentation")
_SHAPES = "shapes/"
_QUARTER = "@quarter"


@dataclass(frozen=True)
class Scale:
    """Everything that decides a table's figures but its rows.

    Attributes:
        name: paper or small.
        base: the distillation that everything else differs from in one thing.
        shapes: the recipe by which a kind of method learns from shapes.
        tasks: how each downstream task is trained and tested, without votes.
        labels: labelled rooms, or objects a class, of each task; None: all there are.
        networks: rows with a network of their own, by their names in `published`.
        probes: what is asked of the frozen backbone along each pre-training, `objects` left open.
        votes: how classification is tested where the table is voted.
        teachers: for kinds of pre-training with another teacher than the base's: what `--teacher` calls it.
        teacher: what `--teacher` calls the base's.
        seeds: pre-trainings, each with a fine-tuning of its own.
        second: of these, how many are fine-tuned once more, of each task, so that both spreads can be told apart.
        world: what is written where the data are the embedded world's; None: the user brings them.
        objects_a_class: labelled objects a class for classification, on average.
        lacking: starts that there are none of at these sizes; their rows are left out.
        fractions: shares of the labels in label-efficiency curves.
    """

    name: ScaleName
    base: PretrainRecipe
    shapes: Callable[[str], PretrainRecipe]
    tasks: dict[str, DownstreamRecipe]
    labels: dict[str, int | None]
    networks: dict[str, DownstreamRecipe]
    probes: ProbeSettings
    votes: Classification
    teacher: str
    teachers: dict[str, str]
    seeds: int
    second: dict[str, int]
    world: "SmallWorld | None"
    objects_a_class: int
    lacking: frozenset[str] = frozenset()
    fractions: tuple[float, ...] = (0.01, 0.05, 0.1, 0.5, 1.0)

    def pretraining(self, start: str, seed: int) -> PretrainRecipe:
        """The recipe of a start: a kind of `recipes.named`, "distill" for the base, after "shapes/" on shapes, before
        "@quarter" with a quarter of the points."""
        kind, quarter, _ = start.partition(_QUARTER)
        of_shapes = kind.startswith(_SHAPES)
        recipe = self.shapes(kind.removeprefix(_SHAPES)) if of_shapes else _of(self.base, kind)
        if quarter:
            points = recipe.frames.points // 4
            recipe = replace(
                recipe, name=f"{recipe.name}-{points}-points", frames=replace(recipe.frames, points=points)
            )
        return with_optimisation(recipe, seed=seed)

    def teacher_of(self, start: str) -> str | None:
        """What `--teacher` calls the teacher whose targets a start trains on; None on shapes."""
        if start.startswith(_SHAPES):
            return None
        return self.teachers.get(start.partition(_QUARTER)[0], self.teacher)


@dataclass(frozen=True)
class SmallWorld:
    """How much of the embedded world is written.

    Attributes:
        rooms: rooms and labelled objects, as the quickstart has them.
        objects: labelled objects a class to train classification on, for shares of the labels.
        shapes: unlabelled shapes a class to pre-train on.
        heldout_shapes: the same for the figures along the way.
    """

    rooms: WorldRecipe
    objects: int
    shapes: int
    heldout_shapes: int

    def frames(self, shapes: bool) -> int:
        """Frames to pre-train on, or shapes."""
        return self.shapes * len(CLASSES) if shapes else self.rooms.pretrain_rooms * self.rooms.recording.frames


SMALL_WORLD = SmallWorld(WorldRecipe(), objects=100, shapes=160, heldout_shapes=16)


def scale_of(name: ScaleName) -> Scale:
    """The scale of this name."""
    return small_scale() if name == "small" else paper_scale()


def paper_scale() -> Scale:
    """Table 8's pre-training and Appendix A.2's downstream tasks, on the data sets themselves."""
    classification = RECIPES["modelnet40"]()
    assert isinstance(classification.task, Classification)
    plain = replace(classification, task=replace(classification.task, votes=1, vote_repeats=1))
    return Scale(
        name="paper",
        base=paper(),
        shapes=_published_shapes,
        tasks={
            "detection": RECIPES["scannet-detection"](),
            "semantic_segmentation": RECIPES["scannet-segmentation"](),
            "classification": plain,
            "part_segmentation": RECIPES["shapenetpart"](),
        },
        labels=dict.fromkeys(_TASKS),
        networks={"3detr": RECIPES["scannet-3detr"](), "dgcnn": RECIPES["scannet-dgcnn"]()},
        probes=ProbeSettings(),
        votes=classification.task,
        teacher="clipcap:WEIGHTS@CLIP",
        teachers={"no-captions": "clip-feature:CLIP", "local": "clip-patches:CLIP", "imagenet": "imagenet"},
        seeds=3,
        second=dict.fromkeys(_TASKS, 3),
        world=None,
        objects_a_class=246,  # 9,843 of 40 classes
        lacking=frozenset({"random-teacher"}),
    )


def _published_shapes(kind: str) -> PretrainRecipe:
    return pretraining_recipes()[f"{kind}-shapenet55"]


def small_base() -> PretrainRecipe:
    """The quickstart's distillation, of four epochs instead of eight: so that every table ends within 90 minutes."""
    recipe = distillation()
    return replace(recipe, name="small", engine=replace(recipe.engine, epochs=4))


def small_scale() -> Scale:
    """The embedded world, two CPU cores, and less than 90 minutes a table."""
    base = small_base()
    tasks = {name: RECIPES[f"{name.replace('_', '-')}-small"]() for name in _TASKS}
    classification = tasks["classification"].task
    assert isinstance(classification, Classification)
    return Scale(
        name="small",
        base=base,
        shapes=partial(_small_shapes, base),
        tasks=tasks,
        labels={"detection": None, "semantic_segmentation": 10, "classification": 2, "part_segmentation": 5},
        networks={"3detr": _small_3detr(tasks["detection"]), "dgcnn": _small_dgcnn(tasks["semantic_segmentation"])},
        # Twice a run, on few frames and objects: more would take a tenth of the time.
        probes=ProbeSettings(every=720, labels=16, train_frames=512, heldout_frames=256),
        votes=replace(classification, votes=10, vote_repeats=2),
        teacher=EMBEDDED,
        teachers={
            "no-captions": "small-feature",
            "local": "small-patches",
            "random-teacher": "random",
            "imagenet": "imagenet",
        },
        seeds=5,
        second=dict.fromkeys(_TASKS, 3) | {"detection": 2},
        world=SMALL_WORLD,
        objects_a_class=SMALL_WORLD.objects,
    )


def _of(base: PretrainRecipe, kind: str) -> PretrainRecipe:
    """A kind of pre-training beside a base; a small one's tokenizer learns for half as long, for it costs the more."""
    if kind == DISTILL:
        return base
    recipe = varied(base, kind)
    if recipe.first is None or base.backbone.width >= 384:
        return recipe
    return replace(recipe, first=replace(recipe.first, epochs=max(1, base.engine.epochs // 2)))


def _small_shapes(base: PretrainRecipe, kind: str) -> PretrainRecipe:
    """A kind of method on shapes: 1024 points (half the frames' here, a quarter in the field), the base's steps."""
    frames = FrameRecipe(
        dataset="embedded shapes",
        every=1,
        stored_points=2048,
        points=1024,
        frame="gravity",
        augmentation=base.frames.augmentation,
    )
    more = SMALL_WORLD.frames(False) / SMALL_WORLD.frames(True)
    engine, name = base.engine, f"{base.name}-shapes"
    epochs, warmup = round(engine.epochs * more), engine.warmup_epochs * more
    shapes = with_optimisation(replace(base, name=name, frames=frames), epochs=epochs, warmup_epochs=warmup)
    return replace(_of(shapes, kind), teacher="none")


def _small_3detr(recipe: DownstreamRecipe) -> DownstreamRecipe:
    """3DETR's own encoder at the width and depth of the small backbone."""
    tokens = recipe.task.group_count  # type: ignore[attr-defined]
    encoder = SceneTransformerConfig(width=96, depth=3, heads=4, ffn=192, tokens=tokens, radius=0.4, ball_size=32)
    return replace(recipe, name="3detr-small", backbone=encoder)


def _small_dgcnn(recipe: DownstreamRecipe) -> DownstreamRecipe:
    """DGCNN with half the channels and neighbours."""
    return replace(recipe, name="dgcnn-small", backbone=DGCNNConfig(neighbours=10, width=32, embedding=256))
