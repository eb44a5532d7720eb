"""How much of a teacher's prefix can be predicted from geometry alone, on rooms never trained on."""

import numpy as np
import torch
from jaxtyping import Float

from pointdistill.analyses.subject import Subject, batches, pooled_frames, targets_of
from pointdistill.loader import FrameLoader
from pointdistill.methods.distill import Distill
from pointdistill.metrics.ridge import principal_components, r_squared, ridge
from pointdistill.report.analyses.schema import Predictability, Reading
from pointdistill.store import FrameStore

FITTED, MEASURED = 2048, 2048
"""Frames that regressions and components are fitted on, and frames that R^2 is of, at most."""
COMPONENTS = 16
Targets = Float[np.ndarray, "frames prefix prefix_width"]


def predictability(
    subject: Subject, train: FrameStore, heldout: FrameStore, fitted: int = FITTED, measured: int = MEASURED
) -> Predictability:
    """R^2 of the method's own prediction, where it has one, and of ridge regressions on frozen features.

    The regression reads concat(mean, max) of the tokens, of the pre-trained backbone and of one with random weights:
    the last says what any features of that form tell. Its penalty is chosen on training frames (`metrics.ridge`).

    Args:
        subject: the pre-training.
        train: store of training frames, with the teacher's targets.
        heldout: store of other scans, with the same teacher's.
        fitted: training frames used, evenly over the store.
        measured: held-out frames, likewise.
    """
    seen, unseen = subject.loader(train, fitted), subject.loader(heldout, measured)
    known, true = targets_of(seen), targets_of(unseen)
    directions, shares = principal_components(known.reshape(len(known), -1), COMPONENTS)
    readings = []
    if subject.method is not None:
        predicted = own_prediction(subject.method, unseen)
        readings.append(reading(subject.init, "prediction", predicted, true, directions))
    for init, backbone in subject.backbones.items():
        fit = ridge(pooled_frames(backbone, seen), known.reshape(len(known), -1))
        predicted = fit.predict(pooled_frames(backbone, unseen)).reshape(true.shape)
        readings.append(reading(init, "ridge", predicted, true, directions))
    scans = len(np.unique(heldout.scans[unseen.indices]))
    return Predictability(len(known), len(true), scans, [float(share) for share in shares], readings)


@torch.inference_mode()
def own_prediction(method: Distill, loader: FrameLoader) -> Targets:
    """What a distillation predicts of each frame, in the teacher's units."""
    return torch.cat([method.predict(batch.points) for batch in batches(loader)]).numpy()


def reading(
    init: str,
    how: str,
    predicted: Float[np.ndarray, "frames prefix prefix_width"],
    true: Float[np.ndarray, "frames prefix prefix_width"],
    directions: Float[np.ndarray, "components outputs"],
) -> Reading:
    """R^2 in all, of each token, and along each direction of the flattened targets."""
    turned = [part.reshape(len(part), -1) @ directions.T for part in (predicted, true)]
    tokens = [known(r_squared(predicted[:, token], true[:, token])) for token in range(true.shape[1])]
    components = [known(r_squared(turned[0][:, [row]], turned[1][:, [row]])) for row in range(len(directions))]
    return Reading(
        init, "prediction" if how == "prediction" else "ridge", known(r_squared(predicted, true)), tokens, components
    )


def known(value: float) -> float | None:
    """None for NaN, which JSON does not know."""
    return float(value) if np.isfinite(value) else None
