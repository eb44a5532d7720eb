"""Which teacher `--teacher SPEC` means. Nothing is loaded before the factory is called.

    (nothing)                        the embedded one
    FOLDER                           one that `pointdistill teacher train` wrote
    clipcap:WEIGHTS@CLIP[@GPT2]      ClipCap's mapper on CLIP; with GPT-2's tokenizer it can caption
    clip-feature:CLIP                CLIP's image feature alone
    clip-patches:CLIP                CLIP's patch tokens
    hf:MODEL, hf-pooled:MODEL        tokens, or pooled output, of any vision model of transformers
    imagenet, imagenet-map           EfficientNet-Lite0, averaged or its 7 x 7 map
    small-feature[:FOLDER]           the image feature of the embedded one, or of FOLDER's
    small-patches[:FOLDER]           its features of 4 x 4 places
    random[:SEED]                    its networks with random weights
    FILE.py:CLASS                    a class of your own

WEIGHTS is a file; CLIP, GPT2 and MODEL are folders, or OWNER/NAME on the model hub: only the latter uses the network.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pointdistill.errors import PointdistillError, choose
from pointdistill.teachers.base import Captioner, Teacher
from pointdistill.teachers.clip import load_clip_feature, load_clip_patches
from pointdistill.teachers.clipcap import load_clipcap
from pointdistill.teachers.imagenet import load_imagenet
from pointdistill.teachers.small import load_small_teacher
from pointdistill.teachers.small_variants import RandomTeacher, load_small_feature, load_small_patches
from pointdistill.teachers.user import UserTeacher, load_user_teacher
from pointdistill.teachers.vision import load_vision

KINDS = {
    "clipcap": "clipcap:WEIGHTS@CLIP[@GPT2]",
    "clip-feature": "clip-feature:CLIP",
    "clip-patches": "clip-patches:CLIP",
    "hf": "hf:MODEL",
    "hf-pooled": "hf-pooled:MODEL",
    "imagenet": "imagenet",
    "imagenet-map": "imagenet-map",
    "small-feature": "small-feature[:FOLDER]",
    "small-patches": "small-patches[:FOLDER]",
    "random": "random[:SEED]",
}
"""How each ready-made teacher is written."""


def teacher_factory(spec: str | None = None) -> Callable[[], Teacher]:
    """What makes the teacher that `spec` names; pickles, for worker processes, and files are found from any folder.

    Raises:
        PointdistillError: no such kind of teacher, or a spec that lacks something; also from the factory, where a file
            or package is missing or a checkpoint is not what it should be.
    """
    if spec is None:
        return load_small_teacher
    if spec not in KINDS and Path(spec).expanduser().is_dir():  # a folder of images may well be called imagenet
        return partial(load_small_teacher, Path(spec).expanduser().absolute())
    kind, colon, argument = spec.partition(":")
    file, _, name = spec.rpartition(":")
    if file.endswith(".py") or spec.endswith(".py"):
        if not name.isidentifier():
            raise PointdistillError(f"--teacher {spec}: which class in that file? Write FILE.py:CLASS")
        return partial(load_user_teacher, str(Path(file).expanduser().absolute()), name)
    if kind not in KINDS:
        raise PointdistillError(
            f"--teacher {spec}: neither a name nor a folder with teacher.json nor FILE.py:CLASS (docs/teacher.md). "
            f"{choose(kind, KINDS)}"
        )
    may, must = ":" in KINDS[kind], ":" in KINDS[kind] and "[:" not in KINDS[kind]
    if not must <= bool(colon) <= may or (colon and not argument):
        raise PointdistillError(f"--teacher {spec}: write {KINDS[kind]}")
    return _ready_made(spec, kind, argument)


def load_teacher(name: str | Path | None = None) -> Teacher:
    """A frozen 2D model: images -> targets.

    Args:
        name: as `prepare --teacher` takes it (`KINDS`, a folder of `teacher train`, FILE.py:CLASS); default the
            embedded one.

    Raises:
        PointdistillError: no such teacher, or one whose files or packages are not here.

    >>> from PIL import Image
    >>> teacher = load_teacher()
    >>> teacher.identity, teacher.targets([Image.new("RGB", (64, 48))]).shape == (1, *teacher.target_shape)
    ('pointdistill-small-clipcap-1', True)
    """
    return teacher_factory(None if name is None else str(name))()


def load_captioner(spec: str | None = None) -> Captioner:
    """The teacher that `spec` names, as what reads captions out of its prefixes.

    Raises:
        PointdistillError: as `teacher_factory` and its factory; or this teacher has no language model.
    """
    if spec is not None and spec.startswith("clipcap:") and spec.count("@") == 1:
        raise PointdistillError(f"--teacher {spec}: for captions also name GPT-2's tokenizer: {KINDS['clipcap']}")
    teacher = teacher_factory(spec)()
    speaker = teacher.teacher if isinstance(teacher, UserTeacher) else teacher
    if not isinstance(speaker, Captioner):
        raise PointdistillError(
            f"--teacher {spec}: has no language model. Those with one: the embedded teacher, a folder of "
            f"`teacher train`, {KINDS['clipcap']}, and a class of yours with caption and log_likelihood"
        )
    return speaker


def _ready_made(spec: str, kind: str, argument: str) -> Callable[[], Teacher]:
    if kind == "clipcap":
        weights, *models = argument.split("@")
        if not weights or len(models) not in (1, 2) or not all(models):
            raise PointdistillError(f"--teacher {spec}: write {KINDS[kind]}")
        return partial(load_clipcap, str(Path(weights).expanduser().absolute()), *map(_anywhere, models))
    if kind == "random":
        if not argument.isdecimal() and argument:
            raise PointdistillError(f"--teacher {spec}: write {KINDS[kind]}, SEED a whole number from 0 on")
        return partial(RandomTeacher, int(argument or 0))
    if kind.startswith("small"):
        folder = [Path(argument).expanduser().absolute()] if argument else []
        return partial(load_small_feature if kind == "small-feature" else load_small_patches, *folder)
    if kind.startswith("imagenet"):
        return partial(load_imagenet, kind == "imagenet")
    if kind.startswith("hf"):
        return partial(load_vision, _anywhere(argument), kind == "hf-pooled")
    return partial(load_clip_feature if kind == "clip-feature" else load_clip_patches, _anywhere(argument))


def _anywhere(model: str) -> str:
    """A folder by its full path, so that a worker finds it from any other; hub ids as they are."""
    folder = Path(model).expanduser()
    return str(folder.absolute()) if folder.is_dir() else model
