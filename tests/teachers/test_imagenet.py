"""EfficientNet-Lite0 with its packaged weights: what it sees in photographs proves that its input is right."""

from pathlib import Path

import pytest
import skimage.data
import sklearn.datasets
import torch
from PIL import Image

from pointdistill.teachers.base import Teacher
from pointdistill.teachers.imagenet import ImageNetTeacher, load_imagenet

SKIMAGE, SKLEARN = Path(skimage.data.__file__).parent, Path(sklearn.datasets.__file__).parent / "images"
# Numbers of ImageNet's 1000 classes, by the order of their WordNet ids.
SHOWN = {
    SKIMAGE / "chelsea.png": {281, 282, 285},  # tabby, tiger cat, Egyptian cat
    SKIMAGE / "coffee.png": {967, 968},  # espresso, cup
    SKIMAGE / "rocket.jpg": {657, 744},  # missile, projectile
    SKIMAGE / "motorcycle_left.png": {665, 670},  # moped, motor scooter
    SKIMAGE / "camera.png": {872},  # tripod
    SKLEARN / "flower.jpg": {985},  # daisy
}


@pytest.fixture(scope="module")
def teacher() -> ImageNetTeacher:
    return load_imagenet()


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    return [Image.open(path) for path in SHOWN]


def test_it_sees_what_is_there(teacher, photographs):
    best = teacher.logits(photographs).topk(2).indices.tolist()
    for (path, classes), found in zip(SHOWN.items(), best, strict=True):
        assert classes & {*found}, f"{path.name}: {found}"


def test_pooled_and_map_are_one_network(teacher, photographs):
    cells = ImageNetTeacher(teacher.network, pooled=False)
    pooled, grid = teacher.targets(photographs[:2]), cells.targets(photographs[:2])
    assert isinstance(teacher, Teacher) and isinstance(cells, Teacher)
    assert pooled.shape == (2, *teacher.target_shape) == (2, 1, 1280)
    assert grid.shape == (2, *cells.target_shape) == (2, 49, 1280)
    torch.testing.assert_close(grid.mean(1, keepdim=True), pooled)
    network = teacher.network  # its classifier reads the pooled feature: so these are the features it was trained for
    logits = network._fc(pooled[:, 0])
    torch.testing.assert_close(logits, teacher.logits(photographs[:2]))
    assert teacher.weights_hash == cells.weights_hash and teacher.identity != cells.identity
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_rows_of_the_map_are_rows_of_the_picture(teacher):
    cells = ImageNetTeacher(teacher.network, pooled=False)
    plain = Image.new("RGB", (224, 224), (90, 90, 90))
    spotted = plain.copy()
    spotted.paste((250, 30, 30), (150, 20, 200, 60))  # top right
    change = (cells.targets([plain]) - cells.targets([spotted])).norm(dim=2)[0].unflatten(0, (7, 7))
    assert change[:3, 4:].mean() > 3 * change[4:, :3].mean()
