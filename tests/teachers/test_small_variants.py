"""The embedded teacher's feature, its features of places, and its networks with random weights."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from pointdistill.methods.local_alignment import CellsOf
from pointdistill.prepare import FrameSettings, prepare_recordings
from pointdistill.recipes.named import pretraining_recipes
from pointdistill.store import FrameStore
from pointdistill.teachers.base import Captioner, Teacher
from pointdistill.teachers.named import teacher_factory
from pointdistill.teachers.small import load_small_teacher
from pointdistill.teachers.small_variants import GRID, PATCH, RandomTeacher, noise_images
from test_recipes import GeneratedRecording

SPECS = {"small-feature": (1, 128), "small-patches": (16, 128), "random": (8, 64)}


def pictures(count: int, size: tuple[int, int] = (96, 64)) -> list[np.ndarray]:
    values = noise_images(7, size, count).permute(0, 2, 3, 1).numpy()
    return list(((values + 1) * 127.5).round().astype(np.uint8))


def opened(arrays: list[np.ndarray]) -> list[Image.Image]:
    return [Image.fromarray(array) for array in arrays]


@pytest.mark.parametrize("spec", SPECS)
def test_are_frozen_teachers_alike_each_time_they_are_made(spec):
    teacher, again = teacher_factory(spec)(), teacher_factory(spec)()
    assert isinstance(teacher, Teacher) and not isinstance(teacher, Captioner)
    given = [*opened(pictures(2)), Image.new("L", (30, 50), 90), Image.new("RGBA", (200, 90))]
    targets = teacher.targets(given)
    assert targets.shape == (4, *SPECS[spec]) == (4, *teacher.target_shape)
    assert targets.dtype == torch.float32 and not targets.requires_grad and targets.isfinite().all()
    assert torch.equal(targets, again.targets(given))
    torch.testing.assert_close(targets[1:2], teacher.targets(given[1:2]), atol=1e-5, rtol=1e-5)
    assert (teacher.identity, teacher.weights_hash) == (again.identity, again.weights_hash)
    assert isinstance(teacher, torch.nn.Module) and not teacher.train().training
    assert not any(parameter.requires_grad for parameter in teacher.requires_grad_().parameters())


def test_feature_is_the_embedded_teachers():
    embedded, given = load_small_teacher(), opened(pictures(3))
    assert torch.equal(teacher_factory("small-feature")().targets(given)[:, 0], embedded.image_features(given))


def test_a_folders_teacher_has_the_same_variants(tmp_path):
    load_small_teacher().save(tmp_path)
    for spec in ("small-feature", "small-patches"):
        assert teacher_factory(f"{spec}:{tmp_path}")().weights_hash == teacher_factory(spec)().weights_hash


def test_dense_map_has_the_strided_maps_numbers_and_those_of_moved_images_between():
    encoder = load_small_teacher().networks.image_encoder
    images = noise_images(3, (80, 64), 2)
    with torch.no_grad():
        strided = encoder.stages(encoder.stem(images)).permute(0, 2, 3, 1)
        expected = encoder.project(torch.cat([strided, strided], -1))
        for stride in (32, 16, 8):
            dense = encoder.dense_features(images, stride)
            assert dense.shape == (2, 64 // stride, -(-80 // stride), 128)
            torch.testing.assert_close(dense[:, :: 32 // stride, :: 32 // stride], expected, atol=2e-4, rtol=2e-4)
        # Moved by one cell, the second column becomes the first but for what the border hides.
        large = noise_images(3, (640, 640), 1)
        moved = encoder.dense_features(large[:, :, :, 16:], 16)
        torch.testing.assert_close(
            moved[:, 16:24, 16:24], encoder.dense_features(large, 16)[:, 16:24, 17:25], atol=2e-4, rtol=2e-4
        )


def test_a_cell_answers_most_to_what_is_in_it_and_points_there_are_given_it(tmp_path):
    """Each cell of a few images is painted over in turn, as `CentreCrop.cells` says where it is; and a point that the
    camera sees in its middle is assigned to it."""
    teacher = teacher_factory("small-patches")()
    recordings, settings = [GeneratedRecording(0, 2)], FrameSettings(every=1, points=64)
    prepare_recordings(recordings, tmp_path / "store", lambda: teacher, settings, "generated", workers=1)
    store = FrameStore.open(tmp_path / "store")
    method = pretraining_recipes()["quickstart-local"].method
    finder = CellsOf(store, method.image_side)  # type: ignore[union-attr]
    assert finder.grid == GRID and method.image_side == GRID * PATCH  # type: ignore[union-attr]

    width, height = 320, 240
    grounds = pictures(16, (width, height))
    crop = teacher.preprocessing.crop((width, height))
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([columns, rows], 2).reshape(-1, 2).astype(float)
    cell_of = crop.cells(pixels, GRID).reshape(height, width)
    plain, answers = teacher.targets(opened(grounds)), []
    for cell in range(GRID**2):
        painted = [np.where((cell_of == cell)[..., None], np.uint8([217, 51, 38]), ground) for ground in grounds]
        change = (teacher.targets(opened(painted)) - plain).square().sum(2).mean(0).sqrt()
        answers.append((change / change.sum()).numpy())
        middle = pixels[cell_of.ravel() == cell].mean(0)
        # The same place in the store's frames, 16 x 12 pixels, two metres away.
        u, v = (middle + 0.5) * 16 / width - 0.5
        k = store.colour_intrinsics[0]
        seen = np.array([[(u - k[0, 2]) / k[0, 0] * 2, (v - k[1, 2]) / k[1, 1] * 2, 2, 1]])
        point = (seen @ store.colour_to_depth[0].T)[:, :3].astype(np.float32)
        assert finder(0, point).tolist() == [cell]
    answers = np.array(answers)
    place = np.stack(np.divmod(np.arange(GRID**2), GRID), 1)
    own, most = answers.diagonal(), answers.argmax(1)
    # Fields overlap, so a neighbour may answer more, the more so as noise is no picture that the encoder knows.
    assert (own > 0.6 * answers.max(1)).all() and (own > 1.1 / GRID**2).all()
    assert (np.abs(place[most] - place).max(1) <= 1).all() and (most == np.arange(GRID**2)).sum() >= 8
    assert np.abs((answers @ place - place).mean(0)).max() < 0.15  # cells; half a one where the grid is not centred


def _effective_rank(targets: torch.Tensor) -> float:
    spectrum = torch.linalg.svdvals((targets - targets.mean(0)).flatten(1).double()).square()
    share = spectrum / spectrum.sum()
    return float(torch.exp(-(share * share.clamp_min(1e-30).log()).sum()))


def test_random_weights_tell_images_apart_and_seeds_differ():
    first, second, given = RandomTeacher(0), RandomTeacher(1), opened(pictures(64))
    assert first.weights_hash != second.weights_hash and first.identity != second.identity
    trained = load_small_teacher()
    assert trained.weights_hash not in (first.weights_hash, second.weights_hash)
    targets = first.targets(given)
    assert _effective_rank(targets) > _effective_rank(trained.targets(given)) / 2 > 1
    assert targets.std(0).mean() > 0.1 * targets.square().mean().sqrt()  # not one answer for all
    assert (targets - second.targets(given)).abs().mean() > targets.std(0).mean() / 2


def test_random_weights_are_the_same_in_any_process_and_leave_torchs_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    teacher = RandomTeacher(3)
    assert torch.equal(torch.rand(3), expected)
    code = "from pointdistill.teachers.small_variants import RandomTeacher; print(RandomTeacher(3).weights_hash)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == teacher.weights_hash
