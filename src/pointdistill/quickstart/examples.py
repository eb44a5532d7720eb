"""Pictures for the page: frames with captions read from the cloud, and what the distilled models found in test data."""

from typing import Any

import numpy as np
import torch

from pointdistill.datasets.scannet.sens import SensReader
from pointdistill.distilled import load_distilled
from pointdistill.geometry import group_patches
from pointdistill.loader import in_camera
from pointdistill.models.point_transformer import PointTransformer
from pointdistill.predictions.examples import detection_example, evenly, part_example, segmentation_example
from pointdistill.pretraining import validation_loader
from pointdistill.quickstart.downstream import load_splits
from pointdistill.quickstart.layout import Layout
from pointdistill.quickstart.plan import Run, labels_of
from pointdistill.recipes.quickstart import QuickstartRecipe
from pointdistill.report.examples import (
    DetectionExample,
    PartExample,
    PipelineExample,
    SegmentationExample,
    save_examples,
)
from pointdistill.store import FrameStore
from pointdistill.tasks.base import Splits, TaskModel
from pointdistill.teachers.small import load_small_teacher
from pointdistill.tensors import load_tensors
from pointdistill.world.recall import caption_of

FRAMES, ROOMS, OBJECTS = 4, 4, 4


def write_examples(layout: Layout, recipe: QuickstartRecipe) -> None:
    """Write examples/ from the first seed's distilled models; chosen before looking: the first ones, evenly spaced."""
    save_examples(layout.root, _pipeline(layout, recipe))
    save_examples(layout.root, _detection(layout, recipe))
    save_examples(layout.root, _segmentation(layout, recipe))
    save_examples(layout.root, _parts(layout, recipe))


@torch.inference_mode()
def _pipeline(layout: Layout, recipe: QuickstartRecipe) -> list[PipelineExample]:
    store = FrameStore.open(layout.store("heldout"))
    seed = recipe.pretrain_seeds[0]
    method = load_distilled(layout.pretraining("distilled", seed)).method
    teacher = load_small_teacher()
    loader = validation_loader(recipe.pretrain, store)
    found = []
    for index in evenly(len(store), FRAMES):
        batch = loader.batch(np.array([index]), 0)
        with SensReader(layout.recordings / "scans" / store.scan_of(index) / f"{store.scan_of(index)}.sens") as reader:
            frame = reader.read(int(store.frames[index]))
        patches = group_patches(batch.points, recipe.pretrain.backbone.groups, recipe.pretrain.backbone.group_size)
        said = torch.as_tensor(np.array(store.targets[index]))[None].float()
        predicted = method.predict(batch.points)
        found.append(
            PipelineExample(
                title=f"{store.scan_of(index)}, frame {int(store.frames[index])}",
                colour=frame.colour,
                depth=frame.depth,
                cloud=in_camera(batch.points[0], store, index, recipe.pretrain.frames.frame),
                centres=in_camera(patches.centres[0], store, index, recipe.pretrain.frames.frame),
                patches=patches.index[0].numpy(),
                truth=caption_of(layout.recordings, store.scan_of(index), int(store.frames[index])),
                teacher=teacher.caption(said)[0],
                student=teacher.caption(predicted)[0],
                teacher_prefix=said[0].numpy(),
                student_prefix=predicted[0].numpy(),
            )
        )
    return found


def _trained(layout: Layout, recipe: QuickstartRecipe, name: str) -> tuple[Any, TaskModel, Splits]:
    """A task, the distilled model of the first seed, and its data."""
    task, seed = recipe.tasks[name], recipe.seeds[0]
    run = Run("finetune", name, "distilled", labels_of(recipe, task), seed)
    data = load_splits(layout, name, run.labels, seed)
    model = task.task.model(PointTransformer(recipe.pretrain.backbone), data)
    model.load_state_dict(load_tensors(run.folder(layout) / "model.safetensors")[0])
    return task.task, model.eval(), data


def _detection(layout: Layout, recipe: QuickstartRecipe) -> list[DetectionExample]:
    task, model, data = _trained(layout, recipe, "detection")
    return [detection_example(task, scene, task.detect(model, scene, recipe.seeds[0])) for scene in data.test[:ROOMS]]


def _segmentation(layout: Layout, recipe: QuickstartRecipe) -> list[SegmentationExample]:
    task, model, data = _trained(layout, recipe, "semantic_segmentation")
    return [
        segmentation_example(task, scene, task.label_scene(model, scene, recipe.seeds[0]))
        for scene in data.test[:ROOMS]
    ]


def _parts(layout: Layout, recipe: QuickstartRecipe) -> list[PartExample]:
    task, model, data = _trained(layout, recipe, "part_segmentation")
    shapes = data.test
    chosen = [shapes.select(np.array([row])) for row in evenly(len(shapes.categories), OBJECTS)]
    return [part_example(shape, 0, task.label_shapes(model, shape, 0)[0]) for shape in chosen]
