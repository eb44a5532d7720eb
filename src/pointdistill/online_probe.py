"""What the frozen backbone's features hold while it is pre-trained: figures in the log that compare methods.

The same questions for every method, whatever its loss: how much of the teacher's targets follows linearly from the
features (`prefix_r2`), and how well a linear machine tells labelled objects apart by them (`svm_accuracy`). Features
are concat(mean, max) of the tokens, as `tasks.classification.Classification.pooled` has them. Nothing of the training
is touched: no gradient, no statistics, no mode, and no draw of its random numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from pointdistill import distributed, manifest
from pointdistill.datasets.objects import ObjectSet
from pointdistill.errors import RecipeError
from pointdistill.labelled import few_labels, kind_of, open_labelled
from pointdistill.loader import FrameLoader
from pointdistill.methods.base import Batches
from pointdistill.metrics.ridge import PrefixPrediction, prefix_prediction, r_squared, ridge
from pointdistill.models.point_transformer import BackboneConfig, PointTransformer
from pointdistill.recipes.downstream.classification import modelnet40
from pointdistill.recipes.quickstart_tasks import classification_small
from pointdistill.recipes.recipe import FrameRecipe, PretrainRecipe
from pointdistill.seeding import numpy_generator
from pointdistill.store import FrameStore
from pointdistill.tasks.base import Splits
from pointdistill.tasks.classification import Classification
from pointdistill.tasks.frozen import linear_svm, require_scikit_learn

_TIMES = 5
"""How often a run is probed where nobody says how often."""
_HELD_OUT = 5
"""One of so many training objects of a class is held out where a store has no validation split."""
_BATCH = 16


@dataclass(frozen=True)
class ProbeSettings:
    """How a pre-training is probed; what is trained does not depend on it.

    Attributes:
        every: steps between probes; the last step is probed too. None: five times a run, at validations.
        objects: a store of labelled objects (`prepare --labels`) for `svm_accuracy`; None leaves that out.
        labels: so many labelled objects a class train the machine; None: all.
        teacher: whose targets `prefix_r2` is of, an identity; None: the run's own. Only figures of one teacher can
            be compared.
        train_frames: most frames of the training store that the regression is fitted on, evenly over it.
        heldout_frames: most held-out frames that it is tested on.
    """

    every: int | None = None
    objects: Path | None = None
    labels: int | None = None
    teacher: str | None = None
    train_frames: int = 1024
    heldout_frames: int = 512


class Probes:
    """What is asked of the backbone every so many steps (`engine.pretrain.Probe`).

    Args:
        every: steps between probes.
        frames: those that the regression is fitted on, and held-out ones; None leaves `prefix_r2` out.
        objects: training and validation objects, the latter as the test's too; None leaves `svm_accuracy` out.
        task: how objects are drawn and cut.
        about: what the figures rest on, for run.json.
    """

    def __init__(
        self,
        every: int,
        frames: tuple[Batches, Batches] | None,
        objects: Splits[ObjectSet] | None,
        task: Classification,
        about: dict[str, object],
    ):
        self.every, self.about = every, about
        self._frames, self._objects, self._task = frames, objects, task

    def figures(self, backbone: PointTransformer) -> dict[str, float]:
        """`prefix_r2` where there are targets and held-out frames, `svm_accuracy` where there are objects.

        Raises:
            MissingPackage: the SVM without scikit-learn.
        """
        figures: dict[str, float] = {}
        with evaluating(backbone):
            if self._frames is not None:
                (x, y), (other_x, other_y) = (frozen_features(backbone, frames) for frames in self._frames)
                fit = ridge(x, y.reshape(len(y), -1))
                figures["prefix_r2"] = r_squared(fit.predict(other_x), other_y.reshape(len(other_y), -1))
            if self._objects is not None:
                found = linear_svm(backbone, self._objects, 0, self._task)["accuracy"]
                assert isinstance(found, float)
                figures["svm_accuracy"] = found
        return {name: value for name, value in figures.items() if np.isfinite(value)}


def open_probes(
    settings: ProbeSettings, recipe: PretrainRecipe, train: FrameStore, heldout: FrameStore | None, steps: int
) -> Probes | None:
    """The probes of a run; None where there is nothing to ask: neither targets with held-out frames, nor objects.

    Args:
        settings: how often, of what.
        recipe: the run's; its backbone decides how objects are cut into patches.
        train: the store that is trained on; its targets may serve the probe alone.
        heldout: the store of other scans, with the same teacher's targets.
        steps: of the whole run.

    Raises:
        RecipeError: `objects` is no store of labelled objects, or one of a single class.
        DataError: no such store or split, or objects that cannot be used.
        MissingPackage: objects without scikit-learn.
    """
    frames, objects, about = None, None, {}
    if train.has_targets and heldout is not None and min(len(train), len(heldout)) > 1:
        if settings.teacher is not None:
            train, heldout = (FrameStore.open(store.path, settings.teacher) for store in (train, heldout))
        fitted = probe_frames(recipe.frames, train, settings.train_frames)
        frames = fitted, probe_frames(recipe.frames, heldout, settings.heldout_frames)
        about |= {
            "teacher": train.teacher["identity"],
            "train_frames": len(frames[0].indices),
            "heldout_frames": len(frames[1].indices),
        }
    task = _task(recipe.backbone)
    if settings.objects is not None:
        require_scikit_learn()
        about |= {"objects": manifest.file_sha256(settings.objects / manifest.NAME), "labels": settings.labels}
        if distributed.is_main():  # it alone asks
            objects = _objects(settings.objects)
            objects = replace(objects, train=few_labels(objects.train, settings.labels, 0))
            task.check(objects)
    if not about:
        return None
    every = settings.every or _seldom(steps, recipe.engine.validate_every)
    return Probes(every, frames, objects, task, {"every": every, **about})


def probe_frames(frames: FrameRecipe, store: FrameStore, most: int) -> FrameLoader:
    """Up to `most` frames, evenly over a store and in its order: the same clouds each time, without augmentation."""
    count = min(most, len(store))
    return FrameLoader(
        store,
        min(_BATCH, count),
        frames.points,
        seed=0,
        frame=frames.frame,
        augment=None,
        indices=np.linspace(0, len(store) - 1, count).round().astype(np.int64),
        drop_last=False,
        shuffle=False,
    )


def prefix_r2(
    backbone: PointTransformer, train_frames: Batches, heldout_frames: Batches, components: int = 16
) -> PrefixPrediction:
    """How much of the held-out frames' targets follows from frozen features: in all, by token, by component.

    Args:
        backbone: its modes are left as they are.
        train_frames, heldout_frames: such as `probe_frames` gives; their epoch 0 is read.
        components: so many principal components of the training targets.

    Raises:
        ValueError: fewer than two training frames, or features that are not finite.
    """
    with evaluating(backbone):
        train, heldout = (frozen_features(backbone, frames) for frames in (train_frames, heldout_frames))
    return prefix_prediction(*train, *heldout, components)


@torch.inference_mode()
def frozen_features(
    backbone: PointTransformer, frames: Batches
) -> tuple[Float[np.ndarray, "frames features"], Float[np.ndarray, "frames tokens width"]]:
    """concat(mean, max) of the tokens of each frame of epoch 0, and the frames' targets; the caller sets the mode."""
    device = next(backbone.parameters()).device
    features, targets = [], []
    for batch in frames.epoch(0):
        tokens = backbone(batch.points.to(device)).tokens
        features.append(torch.cat([tokens.mean(1), tokens.max(1).values], dim=-1).cpu())
        targets.append(batch.targets)
    return torch.cat(features).numpy(), torch.cat(targets).numpy()


@contextmanager
def evaluating(backbone: PointTransformer) -> Iterator[None]:
    """The backbone in evaluation mode; afterwards each of its modules is in the mode that it was in."""
    modes = {module: module.training for module in backbone.modules()}
    backbone.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _seldom(steps: int, validate_every: int) -> int:
    """Steps between probes of which there are `_TIMES` at most, each at a validation."""
    return -(-steps // (_TIMES * validate_every)) * validate_every


def _task(backbone: BackboneConfig) -> Classification:
    """How objects are drawn and cut for a backbone: as the recipe whose patches are of its size, ModelNet40's or else
    the small one. Points are a keyed draw: the farthest ones would cost more than the rest of the probe."""
    small, papers = classification_small()[0], modelnet40().task
    assert isinstance(papers, Classification)
    task = small if backbone.group_size == small.group_size else papers
    return replace(task, test_sampling="random")


def _objects(store: Path) -> Splits[ObjectSet]:
    """Training and validation objects; the validation's stand for the test's too, which nobody reads here.

    Where a store has no validation split (ModelNet40's, ScanObjectNN's), a fifth of each class of the training split
    is.
    """
    if kind_of(store) != "objects":
        raise RecipeError(f"{store}: is a store of {kind_of(store)}; probes take labelled objects")
    train = open_labelled(store, "train")
    assert isinstance(train, ObjectSet)
    if "val" in manifest.read(store)["splits"]:
        validation = open_labelled(store, "val")
        assert isinstance(validation, ObjectSet)
    else:
        held = _held_out(train.labels)
        train, validation = train.select(np.flatnonzero(~held)), train.select(np.flatnonzero(held))
    if len(np.unique(train.labels)) < 2 or not len(validation.labels):
        raise RecipeError(f"{store}: too few objects to probe with. Give two classes or more, and some of each")
    return Splits(train, validation, validation)


def _held_out(labels: np.ndarray) -> np.ndarray:
    """Which objects are held out, (objects,) bool: drawn in each class, never all of it."""
    generator, held = numpy_generator(0, "probe's validation objects"), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        held[rows[: max(len(rows) // _HELD_OUT, min(1, len(rows) - 1))]] = True
    return held
