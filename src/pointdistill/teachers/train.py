"""`pointdistill teacher train`: a small teacher from a folder of captioned images, or from the embedded world's own."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn

from pointdistill.console import answer, say
from pointdistill.errors import DataError, RecipeError
from pointdistill.files import exclusive, read_json, write_bytes, write_json
from pointdistill.parallel import torch_threads
from pointdistill.seeding import numpy_generator
from pointdistill.teachers.captioned import CaptionedImages, Jitter, load_captioned_images
from pointdistill.teachers.networks import TeacherConfig, TeacherNetworks
from pointdistill.teachers.quality import measure
from pointdistill.teachers.small import SmallTeacher, load_small_teacher
from pointdistill.teachers.stages import (
    Captions,
    StageSettings,
    train_contrastive,
    train_language_model,
    train_mapper,
)
from pointdistill.teachers.text import Vocabulary
from pointdistill.tensors import UNREADABLE_TENSORS
from pointdistill.world.captioned import write_captioned_images
from pointdistill.world.palette import COLOURS
from pointdistill.world.seeds import SEEDS

QUALITY = "quality.json"
_RUN = "run.json"


@dataclass(frozen=True)
class WorldImages:
    """Which images of the embedded world the teacher sees when no folder is given: rooms of `SEEDS["teacher_train"]`,
    measured on rooms of `SEEDS["teacher_test"]`."""

    rooms: int = 1200
    test_rooms: int = 128
    frames_per_room: int = 8
    size: tuple[int, int] = (80, 60)


@dataclass(frozen=True)
class TeacherSettings:
    """Everything that decides what a training gives, but the images and the seed.

    Attributes:
        leave_out: words that the teacher never hears. The default are the colours: a cloud of bare points cannot show
            them, so a prefix that tells them asks for what no student can learn, at the cost of what it can.
        vocabulary: at most this many tokens; rarer words become "unknown".
        heldout: part of a folder's images kept for measuring when no held-out folder is named; at most 1024 images.
        threads: of torch, fixed because sums in another order give other bits.
    """

    model: TeacherConfig = field(default_factory=TeacherConfig)
    contrastive: StageSettings = field(default_factory=lambda: StageSettings(20, 128, 2e-3))
    language_model: StageSettings = field(default_factory=lambda: StageSettings(6, 64, 3e-3, weight_decay=0.01))
    mapper: StageSettings = field(default_factory=lambda: StageSettings(8, 64, 2e-3))
    jitter: Jitter = field(default_factory=Jitter)
    world: WorldImages = field(default_factory=WorldImages)
    leave_out: tuple[str, ...] = tuple(COLOURS)
    vocabulary: int = 256
    heldout: float = 0.1
    threads: int = 1


def train_teacher(
    folder: str | Path | None,
    out: str | Path,
    seed: int = 0,
    settings: TeacherSettings | None = None,
    heldout: str | Path | None = None,
) -> SmallTeacher:
    """Train a teacher and leave it, and its quality.json, in `out`.

    Each stage leaves its weights in out/stages; a second call with the same images, seed and settings goes on after the
    last finished stage.

    Args:
        folder: images and captions.jsonl; the embedded world's images are made in out/images if None.
        out: where everything goes; also the folder for `load_small_teacher`.
        seed: decides initial weights, order, augmentation and which images are held out.
        heldout: a folder of the same kind to measure on; a random part of `folder` if None.

    Raises:
        DataError: the folder is not what it should be.
        RecipeError: `out` holds another run.
    """
    with exclusive(Path(out)):
        return _train(folder, Path(out), seed, settings or TeacherSettings(), heldout)


def _train(
    folder: str | Path | None, out: Path, seed: int, settings: TeacherSettings, heldout: str | Path | None
) -> SmallTeacher:
    if folder is None:
        folder, heldout = _world_folders(out / "images", settings.world)
    train, test = _load(Path(folder), None if heldout is None else Path(heldout), out / "cache", seed, settings)
    vocabulary = Vocabulary.build((text for texts in train.texts for text in texts), settings.vocabulary)
    _claim(out, _fingerprint(train, seed, settings))
    with torch_threads(settings.threads):
        networks, seconds = _train_stages(train, vocabulary, out / "stages", seed, settings)
        teacher = SmallTeacher(networks, vocabulary, settings.model)
        teacher.save(out)
        quality = asdict(measure(teacher, test))
    report = {
        "quality": quality,
        "seconds": seconds,
        "images": len(train),
        "words": len(vocabulary.words),
        "seed": seed,
    }
    report |= {"weights_sha256": teacher.weights_hash, "torch": torch.__version__}
    write_json(out / QUALITY, report)
    for name, value in quality.items():
        answer(f"  {name.replace('_', ' ')}: {value:.3f}" if isinstance(value, float) else f"  {name}: {value}")
    return load_small_teacher(out)


def _world_folders(folder: Path, world: WorldImages) -> tuple[Path, Path]:
    """Make the world's captioned images for training and for measuring; rooms that are there are kept."""
    train, test = folder / "teacher_train", folder / "teacher_test"
    write_captioned_images(train, SEEDS["teacher_train"][: world.rooms], world.frames_per_room, world.size)
    write_captioned_images(test, SEEDS["teacher_test"][: world.test_rooms], world.frames_per_room, world.size)
    return train, test


def _load(
    folder: Path, heldout: Path | None, cache: Path, seed: int, settings: TeacherSettings
) -> tuple[CaptionedImages, CaptionedImages]:
    size = settings.model.image_size
    images = load_captioned_images(folder, size, cache / "train.npy", settings.leave_out)
    if heldout is not None:
        return images, load_captioned_images(heldout, size, cache / "heldout.npy", settings.leave_out)
    count = min(1024, round(settings.heldout * len(images)))
    if count < 1:
        remedy = f"Add images: {settings.heldout:.0%} of them are held out, to measure on."
        raise DataError(folder, f"{len(images)} images are too few to hold some out", remedy)
    order = numpy_generator(seed, "teacher", "heldout").permutation(len(images))
    return images.subset(np.sort(order[count:])), images.subset(np.sort(order[:count]))


def _train_stages(
    images: CaptionedImages, vocabulary: Vocabulary, folder: Path, seed: int, settings: TeacherSettings
) -> tuple[TeacherNetworks, dict[str, float]]:
    """The three stages, each read back where its file is there. Returns the networks and each stage's seconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = TeacherNetworks(settings.model, len(vocabulary)).eval()
    captions = Captions.encode(images, vocabulary, settings.model.caption_length)
    jitter = settings.jitter
    if "left" in vocabulary or "right" in vocabulary:
        jitter = Jitter(jitter.brightness, jitter.tint, jitter.zoom, jitter.shift, flip=False)
    clip = nn.ModuleDict({"image_encoder": networks.image_encoder, "text_encoder": networks.text_encoder})
    clip.register_parameter("log_scale", networks.log_scale)
    stages: list[tuple[str, nn.Module, Callable[[], float]]] = [
        (
            "contrastive",
            clip,
            lambda: train_contrastive(networks, images, captions, settings.contrastive, jitter, seed),
        ),
        (
            "language_model",
            networks.language_model,
            lambda: train_language_model(networks, vocabulary, captions, settings.language_model, seed),
        ),
        ("mapper", networks.mapper, lambda: train_mapper(networks, images, captions, settings.mapper, jitter, seed)),
    ]
    seconds = {name: _stage(folder, name, part, train) for name, part, train in stages}
    return networks, seconds


def _stage(folder: Path, name: str, part: nn.Module, train: Callable[[], float]) -> float:
    """Load the stage's weights into `part`, or train them and keep them. Returns the seconds the training took."""
    weights, record = folder / f"{name}.safetensors", folder / f"{name}.json"
    if weights.exists() and record.exists():
        try:
            part.load_state_dict(safetensors.torch.load(weights.read_bytes()))
        except UNREADABLE_TENSORS as error:
            said = str(error).partition("\n")[0]
            raise DataError(
                weights, f"not the weights of this stage ({said})", "Delete it: it is trained again."
            ) from None
        return float(read_json(record, "Delete the folder")["seconds"])
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    loss = train()
    seconds = round(time.perf_counter() - start, 1)
    write_bytes(weights, safetensors.torch.save({key: value.contiguous() for key, value in part.state_dict().items()}))
    write_json(record, {"loss": loss, "seconds": seconds})
    say(f"teacher: {name} took {seconds:.0f} s, last loss {loss:.3f}")
    return seconds


def _fingerprint(images: CaptionedImages, seed: int, settings: TeacherSettings) -> dict[str, object]:
    """What a run depends on, as it reads back from JSON."""
    texts = hashlib.sha256(json.dumps(images.texts).encode()).hexdigest()
    pixels = hashlib.sha256(np.ascontiguousarray(images.pixels).data).hexdigest()
    entries = {"seed": seed, "settings": asdict(settings), "texts_sha256": texts, "pixels_sha256": pixels}
    return json.loads(json.dumps(entries))


def _claim(out: Path, run: dict[str, object]) -> None:
    """Make `out` this run's folder, or make sure that it is."""
    path = out / _RUN
    if path.exists():
        there = read_json(path, "Choose another output folder or remove this one")
        changed = sorted(key for key in run if there.get(key) != run[key])
        if changed:
            raise RecipeError(
                f"{out} holds the training of another teacher (other {', '.join(changed)}). "
                "Choose another output folder or remove this one."
            )
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, run)
