"""Images into published networks: equal to transformers' own pre-processing, and where each pixel goes."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import sklearn.datasets
from PIL import Image

from pointdistill.teachers.clip import clip_preprocessing
from pointdistill.teachers.imagenet import PREPROCESSING

FOLDERS = (Path(skimage.data.__file__).parent, Path(sklearn.datasets.__file__).parent / "images")
PHOTOGRAPHS = sorted(path for folder in FOLDERS for path in folder.iterdir() if path.suffix in (".png", ".jpg"))


def test_clip_pixels_are_those_of_transformers():
    from transformers import CLIPImageProcessorPil

    theirs, ours = CLIPImageProcessorPil(), clip_preprocessing(224)
    names = {path.name for path in PHOTOGRAPHS}
    assert {"astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "china.jpg", "flower.jpg"} <= names
    for path in PHOTOGRAPHS:
        with Image.open(path) as image:  # colour, grey, with and without alpha, upright and lying
            expected = theirs(images=image.convert("RGB"), return_tensors="np")["pixel_values"]
            found = ours([image]).numpy()
        assert found.shape == (1, 3, 224, 224)
        np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=path.name)


@pytest.mark.parametrize("size", [(256, 192), (256, 256), (256, 700)])
@pytest.mark.parametrize("preprocessing", [clip_preprocessing(224), PREPROCESSING], ids=["clip", "imagenet"])
def test_crop_says_where_a_pixel_goes(preprocessing, size):
    width, height = size
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    ramps = [np.stack([columns, columns, columns], 2), np.stack([rows * 256 // height] * 3, 2)]
    seen = preprocessing([Image.fromarray(ramp.astype(np.uint8)) for ramp in ramps])[:, 0].numpy()
    value = (seen * preprocessing.std[0] + preprocessing.mean[0]) * 255
    pixels = np.array([[100.0, height * 0.5], [40.0, height * 0.4], [200.0, height * 0.6]])
    crop = preprocessing.crop(size)
    for (column, row), (x, y) in zip(pixels, crop.place(pixels), strict=True):
        inside = -0.5 <= x < 223.5 and -0.5 <= y < 223.5
        cell = crop.cells(np.array([[column, row]]), 7)[0]
        assert cell == (int((y + 0.5) // 32) * 7 + int((x + 0.5) // 32) if inside else -1)
        if inside:
            nearest = round(float(y)), round(float(x))
            assert abs(value[0][nearest] - column) < 1.5
            assert abs(value[1][nearest] - row * 256 / height) < 2


def test_cells_cover_the_crop_and_nothing_else():
    crop = clip_preprocessing(224).crop((640, 480))
    pixels = np.stack(np.meshgrid(np.arange(640.0), np.arange(480.0)), 2).reshape(-1, 2)
    cells = crop.cells(pixels, 7)
    assert {*cells} == {-1, *range(49)}
    outside = (pixels[:, 0] < 79) | (pixels[:, 0] > 560)  # 80 of 640 columns are cut off on either side
    assert (cells[outside] == -1).all() and (cells == -1).sum() < 1.02 * 160 * 480
    assert np.ptp(np.bincount(cells[cells >= 0])) < 400  # of about 4,700 each
