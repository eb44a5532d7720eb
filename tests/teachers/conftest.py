"""Tiny settings, and folders of generated captioned images: one coloured square on a grey ground each."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointdistill.teachers.captioned import Jitter
from pointdistill.teachers.networks import TeacherConfig
from pointdistill.teachers.stages import StageSettings
from pointdistill.teachers.train import TeacherSettings

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "white": (250, 250, 250)}
PLACES = {"top": 0.25, "bottom": 0.75}

TINY = TeacherConfig(
    image_size=(20, 16),
    channels=(8, 16),
    feature_width=16,
    caption_length=10,
    text_width=16,
    text_depth=1,
    text_heads=2,
    prefix_length=2,
    language_width=16,
    language_depth=1,
    language_heads=2,
    mapper_hidden=16,
)
STAGE = StageSettings(epochs=2, batch_size=16, learning_rate=5e-3)
FAST = TeacherSettings(
    model=TINY,
    contrastive=STAGE,
    language_model=STAGE,
    mapper=STAGE,
    jitter=Jitter(tint=0.0),
    leave_out=(),
    heldout=0.25,
)
LONGER = replace(
    FAST,
    contrastive=replace(STAGE, epochs=15),
    language_model=replace(STAGE, epochs=40, learning_rate=1e-2),
    mapper=replace(STAGE, epochs=25, learning_rate=1e-2),
)


def write_folder(folder: Path, images: int = 48, seed: int = 0) -> Path:
    """jpegs and captions.jsonl."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    lines = []
    for index in range(images):
        colour, place = list(COLOURS)[generator.integers(4)], list(PLACES)[generator.integers(2)]
        pixels = np.full((24, 30, 3), 110, np.uint8)
        row, column = int(24 * PLACES[place]), int(generator.integers(6, 24))
        pixels[row - 5 : row + 5, column - 5 : column + 5] = COLOURS[colour]
        name = f"{index:03d}.jpg"
        Image.fromarray(pixels).save(folder / name, quality=95)
        lines.append(json.dumps({"file_name": name, "text": f"a {colour} square at the {place}"}))
    (folder / "captions.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def tiny() -> TeacherConfig:
    return TINY


@pytest.fixture(scope="session")
def fast() -> TeacherSettings:
    """Runs in a moment and learns little."""
    return FAST


@pytest.fixture(scope="session")
def longer() -> TeacherSettings:
    """Runs in a few seconds and learns the generated captions."""
    return LONGER


@pytest.fixture(scope="session")
def captioned_folder() -> Callable[..., Path]:
    return write_folder
