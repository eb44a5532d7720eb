"""Table 2's rows: what Appendix A.2 says, and colours."""

import pytest
import torch

from pointdistill.errors import RecipeError
from pointdistill.models.dgcnn import DGCNNConfig
from pointdistill.models.point_transformer import BACKBONES, BackboneConfig
from pointdistill.recipes.downstream.recipe import DownstreamRecipe
from pointdistill.recipes.downstream.semantic_segmentation import (
    scannet_dgcnn,
    scannet_segmentation,
    scannet_segmentation_colour,
)
from pointdistill.tasks.semantic_segmentation import SemanticSegmentation
from task_samples import room_splits

ROWS = [scannet_segmentation(), scannet_segmentation_colour(), scannet_dgcnn()]
rows = pytest.mark.parametrize("recipe", ROWS, ids=lambda recipe: recipe.name)


@rows
def test_settings_are_appendix_a2s(recipe: DownstreamRecipe) -> None:
    assert isinstance(recipe.task, SemanticSegmentation)
    assert recipe.task.points == 8192 and len(recipe.task.classes) == 20
    assert (recipe.task.group_count, recipe.task.group_size) == (256, 32)
    assert recipe.optimisation.optimiser == "adam"
    assert (recipe.optimisation.lr, recipe.optimisation.weight_decay, recipe.epochs) == (1e-3, 0.01, 200)
    assert recipe.store == "scenes" and recipe.splits == ("train", "val", "val")
    assert recipe.task.colour == recipe.name.endswith("colour")
    assert not recipe.task.point_inputs and not recipe.task.balanced and recipe.task.class_balance == 0
    schedule = recipe.schedule(1201)
    assert (schedule.steps, schedule.warmup) == (round(200 * 1201 / 32), round(10 * 1201 / 32))


def test_backbones_are_the_papers_and_the_authors() -> None:
    assert scannet_segmentation().backbone == scannet_segmentation_colour().backbone == BACKBONES["vit_s"]
    assert scannet_dgcnn().backbone == DGCNNConfig(neighbours=20, width=64, embedding=1024, channels=0)


def test_colours_change_what_the_network_says() -> None:
    data, colours = room_splits(), torch.rand(1, 128, 3)
    points = torch.rand(1, 128, 3)
    for backbone in (BackboneConfig(width=24, depth=1, heads=2), DGCNNConfig(neighbours=5, channels=3)):
        task = SemanticSegmentation(points=128, group_count=8, group_size=16, colour=True)
        model = task.model(backbone.build(), data).eval()
        with torch.no_grad():
            assert not torch.allclose(model(points, colours), model(points, 1 - colours))


def test_a_dgcnn_without_the_tasks_colours_is_refused() -> None:
    for colour, channels in ((True, 0), (False, 3)):
        with pytest.raises(RecipeError, match=f"needs a DGCNN of {3 - channels} channels .* not {channels}"):
            SemanticSegmentation(colour=colour).model(DGCNNConfig(channels=channels).build(), room_splits())
