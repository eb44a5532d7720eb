"""Which image cell a patch belongs to, and what it is pulled to there."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.errors import RecipeError
from pointdistill.loader import FrameLoader
from pointdistill.methods.base import Draw
from pointdistill.methods.local_alignment import CellsOf, LocalAlignment, LocalAlignmentConfig
from pointdistill.store import FrameStore
from test_recipes import _store

TINY = {"width": 24, "depth": 2, "heads": 2, "groups": 8, "group_size": 4, "drop_path": 0.0}
GRID = 3


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return FrameStore.open(_store(tmp_path_factory.mktemp("aligned") / "store", (GRID**2, 5)))


def slow_cell(point, to_depth, intrinsics, size, side=224):
    """Through the colour camera and CLIP's resize and crop, one point at a time."""
    x, y, z = np.linalg.inv(to_depth.astype(float))[:3] @ [*point.astype(float), 1]
    if z <= 0:
        return -1
    u, v = intrinsics[0, 0] * x / z + intrinsics[0, 2], intrinsics[1, 1] * y / z + intrinsics[1, 2]
    shorter = min(size)
    found = []
    for pixel, length in ((u, size[0]), (v, size[1])):
        resized = side * length // shorter
        place = (pixel + 0.5) * resized / length - (resized - side) // 2
        found.append(int(np.floor(place * GRID / side)))
    return found[1] * GRID + found[0] if all(0 <= cell < GRID for cell in found) else -1


def test_cells_are_where_the_colour_camera_sees_the_points(store):
    cells = CellsOf(store, 224)
    for index in range(3):
        points = np.concatenate([store.cloud(index)[:200], [[0, 0, -1.0]]]).astype(np.float32)
        frame = store.colour_to_depth[index], store.colour_intrinsics[index], tuple(store.colour_size[index].tolist())
        expected = [slow_cell(point, *frame) for point in points]
        assert cells(index, points).tolist() == expected and expected[-1] == -1
        assert len(set(expected)) > GRID


def test_batches_carry_the_cells_of_the_points_drawn_whatever_the_augmentation(store):
    finder = CellsOf(store, 224)
    plain = FrameLoader(store, 2, 64, 0, cells=finder).batch(np.arange(2), 0)
    assert plain.cells is not None
    for row, index in enumerate(range(2)):
        points = plain.points[row].numpy() * store.scale[index] + store.centre[index]
        near = np.abs(store.cloud(index)[None] - points[:, None]).sum(-1).argmin(1)
        assert plain.cells[row].tolist() == finder(index, store.cloud(index)[near]).tolist()
    assert FrameLoader(store, 2, 64, 0).batch(np.arange(2), 0).cells is None
    assert plain.to("cpu").cells is not None


def batch(cells):
    generator = torch.Generator().manual_seed(0)
    points, targets = torch.randn(2, 32, 3, generator=generator), torch.randn(2, GRID**2, 5, generator=generator)
    return FrameBatch(points, targets, torch.arange(2), cells)


@pytest.mark.parametrize("standardise", ["none", "scalar"])
def test_each_patch_is_pulled_to_its_cells_token(standardise):
    torch.manual_seed(0)
    mean, std = torch.full((GRID**2, 5), 2.0), torch.full((GRID**2, 5), 0.5)
    config = LocalAlignmentConfig(hidden=16, standardise=standardise)
    method = LocalAlignment(config, create_backbone("vit_nano", **TINY), mean, std).eval()
    cells = torch.arange(64).view(2, 32) % (GRID**2 + 1) - 1
    given = batch(cells)
    losses = method(given, Draw(0, 0, np.arange(2)))
    found, index = method.backbone(given.points), method.backbone.patches(given.points).centre_index
    pairs = []
    for scene in range(2):
        for patch, point in enumerate(index[scene].tolist()):
            cell = int(cells[scene, point])
            if cell >= 0:
                target = given.targets[scene, cell]
                target = target if standardise == "none" else (target - 2.0) / 0.5
                pairs.append((method.head(found.tokens[scene, patch]), target))
    expected = F.mse_loss(*(torch.stack(part) for part in zip(*pairs, strict=True)))
    torch.testing.assert_close(losses.total, expected)
    method.train()(given, Draw(0, 0, np.arange(2))).total.backward()
    assert method.backbone.norm.weight.grad is not None
    figures = method.eval().validate([given])
    assert figures["inside"] == pytest.approx(len(pairs) / 16) and figures["r2"] < 1


def test_frames_outside_the_image_and_loaders_without_cells():
    mean = torch.zeros(GRID**2, 5)
    method = LocalAlignment(LocalAlignmentConfig(hidden=16), create_backbone("vit_nano", **TINY), mean, mean + 1)
    outside = batch(torch.full((2, 32), -1))
    assert method(outside, Draw(0, 0, np.arange(2))).total.item() == 0
    with pytest.raises(RecipeError, match="give the loader `cells`"):
        method(dataclasses.replace(outside, cells=None), Draw(0, 0, np.arange(2)))
