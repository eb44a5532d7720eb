"""The quickstart's settings: the paper's pipeline at a size for two CPU cores and twenty minutes."""

from dataclasses import dataclass, field, replace
from typing import Literal

from pointdistill.augment import Augmentation
from pointdistill.engine.finetune import FinetuneConfig
from pointdistill.engine.pretrain import PretrainConfig
from pointdistill.methods.distill import DistillConfig
from pointdistill.methods.point_mae import PointMAEConfig
from pointdistill.models.concepts import ConceptConfig
from pointdistill.models.decoder import DecoderConfig
from pointdistill.models.point_transformer import BACKBONES
from pointdistill.models.projector import ProjectorConfig
from pointdistill.recipes.quickstart_tasks import (
    classification_small,
    detection_small,
    part_segmentation_small,
    semantic_segmentation_small,
)
from pointdistill.recipes.recipe import FrameRecipe, PretrainRecipe
from pointdistill.tasks.base import Task
from pointdistill.world.scannet import ScanNetSettings

Mode = Literal["full", "fast", "thorough"]


@dataclass(frozen=True)
class WorldRecipe:
    """How much of the embedded world is written.

    Attributes:
        pretrain_rooms: rooms for pre-training, of which only frames are recorded.
        heldout_rooms: other rooms for the held-out curves.
        recording: sizes and frames of those recordings, about one frame a second.
        train_rooms: fully annotated rooms for downstream training (100 % of the labels).
        val_rooms: for choosing settings and for the curves.
        test_rooms: looked at once, at the end of a run.
        scanning: sizes and frames of the annotated scans.
        train_objects: labelled objects a class (100 % of the labels).
        val_objects: the same for validation.
        test_objects: the same for test.
        object_points: points of an object's cloud.
    """

    pretrain_rooms: int = 240
    heldout_rooms: int = 16
    recording: ScanNetSettings = field(
        default_factory=lambda: ScanNetSettings((80, 60), (84, 63), frames=24, frames_only=True)
    )
    train_rooms: int = 32
    val_rooms: int = 8
    test_rooms: int = 40
    scanning: ScanNetSettings = field(default_factory=lambda: ScanNetSettings((80, 60), (96, 72), frames=64))
    train_objects: int = 16
    val_objects: int = 8
    test_objects: int = 40
    object_points: int = 2048


@dataclass(frozen=True)
class TaskRecipe:
    """How one downstream task is trained and compared.

    Attributes:
        task: the task and its protocol.
        finetune: optimisation, the same for every initialisation.
        labels: labelled rooms, or objects a class, at the label fraction where pre-training can matter.
        labels_of: what is counted: "rooms" or "objects a class".
    """

    task: Task
    finetune: FinetuneConfig
    labels: int
    labels_of: str


@dataclass(frozen=True)
class QuickstartRecipe:
    """Everything that decides the figures of a quickstart.

    Attributes:
        mode: full, fast (a smoke run) or thorough.
        world: how much data.
        pretrain: the distillation.
        point_mae: the reconstruction control on the same frames and steps; None leaves it out.
        permuted: whether to run the control with permuted targets.
        tasks: the four downstream tasks by name.
        seeds: fine-tuning seeds.
        pretrain_seeds: seeds of the distillation; where as many as `seeds`, each fine-tuning has one of its own.
        control_seeds: seeds of each control's pre-training; fewer than `seeds` serve them in turn.
        full_labels: also compare scratch and distilled with all labels.
    """

    mode: Mode
    world: WorldRecipe
    pretrain: PretrainRecipe
    point_mae: PretrainRecipe | None
    permuted: bool
    tasks: dict[str, TaskRecipe]
    seeds: tuple[int, ...]
    pretrain_seeds: tuple[int, ...]
    control_seeds: tuple[int, ...]
    full_labels: bool


def distillation() -> PretrainRecipe:
    """The small distillation; where it differs from the paper's recipe, docs/paper.md says why."""
    return PretrainRecipe(
        name="quickstart",
        teacher="small",
        backbone=BACKBONES["vit_nano"],
        method=DistillConfig(
            concepts=ConceptConfig(
                count=16, heads=4, attend="block_output", prototype_std=0.02, norm_output=True, unit_start=True
            ),
            projector=ProjectorConfig(form="flat", hidden=256),
            standardise="scalar",
        ),
        frames=FrameRecipe(
            dataset="embedded world",
            every=1,
            stored_points=4096,
            points=2048,
            frame="gravity",
            augmentation=Augmentation(yaw=True, flip=True),
        ),
        engine=PretrainConfig(
            epochs=8,
            batch_size=16,
            lr=1e-3,
            warmup_epochs=1,
            checkpoint_every=360,
            validate_every=360,
        ),
    )


def point_mae(recipe: PretrainRecipe) -> PretrainRecipe:
    """Point-MAE with exactly the same backbone, frames and optimisation as a distillation."""
    heads = recipe.backbone.heads
    return replace(recipe, name="point_mae", method=PointMAEConfig(decoder=DecoderConfig(depth=2, heads=heads)))


def tasks() -> dict[str, TaskRecipe]:
    """The four downstream tasks."""
    return {
        "classification": TaskRecipe(*classification_small(), labels=2, labels_of="objects a class"),
        "semantic_segmentation": TaskRecipe(*semantic_segmentation_small(), labels=10, labels_of="rooms"),
        "detection": TaskRecipe(*detection_small(), labels=32, labels_of="rooms"),
        "part_segmentation": TaskRecipe(*part_segmentation_small(), labels=5, labels_of="objects a class"),
    }


def quickstart(mode: Mode) -> QuickstartRecipe:
    """The recipe of a mode."""
    distil = distillation()
    full = QuickstartRecipe(
        mode=mode,
        world=WorldRecipe(),
        pretrain=distil,
        point_mae=None,
        permuted=False,
        tasks=tasks(),
        seeds=(0, 1, 2),
        pretrain_seeds=(0,),
        control_seeds=(),
        full_labels=False,
    )
    if mode == "thorough":
        seeds = (0, 1, 2, 3, 4)
        return replace(
            full,
            point_mae=point_mae(distil),
            permuted=True,
            seeds=seeds,
            pretrain_seeds=seeds,
            # More would not fit into ninety minutes.
            control_seeds=seeds[:3],
            full_labels=True,
        )
    return smoke(full) if mode == "fast" else full


def smoke(full: QuickstartRecipe) -> QuickstartRecipe:
    """The same way through everything in two minutes: tiny data, a few steps, one seed."""
    scanning = replace(full.world.scanning, colour_size=(40, 30), depth_size=(64, 48), frames=12, voxel=0.05)
    world = WorldRecipe(
        pretrain_rooms=4,
        heldout_rooms=2,
        recording=replace(full.world.recording, frames=16),
        train_rooms=3,
        val_rooms=1,
        test_rooms=2,
        scanning=scanning,
        train_objects=2,
        val_objects=1,
        test_objects=2,
    )
    engine = replace(full.pretrain.engine, epochs=6, checkpoint_every=6, validate_every=3)
    finetune = {"steps": 8, "eval_every": 4}
    tasks = {
        name: replace(recipe, finetune=replace(recipe.finetune, **finetune), labels=min(2, recipe.labels))
        for name, recipe in full.tasks.items()
    }
    pretrain = replace(full.pretrain, engine=engine)
    return replace(
        full,
        world=world,
        pretrain=pretrain,
        point_mae=full.point_mae and point_mae(pretrain),
        tasks=tasks,
        seeds=full.seeds[:1],
        pretrain_seeds=full.pretrain_seeds[:1],
        control_seeds=full.control_seeds[:1],
    )
