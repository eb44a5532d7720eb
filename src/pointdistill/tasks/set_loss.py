"""Set prediction of boxes: Hungarian matching and the loss over matched and unmatched proposals (3DETR, section 3.3).

Centre and size distances are taken in coordinates normalised to the scene's extent, as 3DETR does; GIoU is metric.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pointdistill.geometry import giou_3d
from pointdistill.losses import Losses
from pointdistill.models.detr3d import Proposals, angle_bins


@dataclass(frozen=True)
class SetLossConfig:
    """Costs of the matching and weights of the loss; the defaults are 3DETR's for ScanNet.

    Attributes:
        cost_class: of minus the probability of the true class.
        cost_objectness: of minus the probability of being an object at all.
        cost_giou: of minus the generalised IoU.
        cost_centre: of the L1 distance of the centres (normalised to the scene).
        class_weight, giou_weight, centre_weight, size_weight: of the loss's parts.
        angle_weight, residual_weight: of the heading's bin and of its residual, where the decoder has them.
        no_object: weight of proposals without a partner in the cross-entropy.
        repeats: proposals matched to each true box in the layers before the last. 1 is 3DETR; more gives the
            early layers a denser signal (as in hybrid matching, Jia et al. 2023), for short schedules.
        final_repeats: the same in the last layer; more than 1 leaves the choice among duplicates to the NMS.
    """

    cost_class: float = 1.0
    cost_objectness: float = 0.0
    cost_giou: float = 2.0
    cost_centre: float = 0.0
    class_weight: float = 1.0
    giou_weight: float = 1.0
    centre_weight: float = 5.0
    size_weight: float = 1.0
    angle_weight: float = 0.1
    residual_weight: float = 0.5
    no_object: float = 0.25
    repeats: int = 1
    final_repeats: int = 1


def assign(cost: Float[np.ndarray, "queries boxes"], repeats: int = 1) -> Int[np.ndarray, "2 matches"]:
    """The cheapest one-to-one assignment of true boxes to proposals, each box taken `repeats` times.

    Args:
        cost: of every pair; infinite or NaN costs count as very large.
        repeats: how many proposals each box gets (fewer where proposals run out).

    Returns:
        Proposal indices and box indices of the matches.
    """
    boxes = cost.shape[1]
    if boxes == 0:
        return np.zeros((2, 0), np.int64)
    finite = np.nan_to_num(cost, nan=1e6, posinf=1e6, neginf=-1e6)
    query, column = linear_sum_assignment(np.tile(finite, (1, repeats)))
    return np.stack([query, column % boxes])


def match(
    proposals: Proposals,
    giou: Float[Tensor, "layers batch queries boxes"],
    distance: Float[Tensor, "layers batch queries boxes"],
    classes: Int[Tensor, "batch boxes"],
    config: SetLossConfig,
) -> Int[Tensor, "4 matches"]:
    """Match each layer's proposals to the scene's boxes, without gradient.

    Args:
        giou: of every proposal with every true box.
        distance: L1 distance of their normalised centres.
        classes: class index of each true box; -1 where a scene has fewer boxes.

    Returns:
        Layer, scene, proposal and box of each match.
    """
    probability = proposals.logits.softmax(-1)
    layers, batch, queries, _ = probability.shape
    true = classes.clamp_min(0)[None, :, None].expand(layers, batch, queries, -1)
    cost = config.cost_centre * distance - config.cost_giou * giou
    cost = cost - config.cost_class * probability.gather(3, true)
    cost = cost - config.cost_objectness * (1 - probability[..., -1:])
    costs, counts = cost.cpu().double().numpy(), (classes >= 0).sum(1).tolist()
    matches = []
    for layer in range(layers):
        repeats = config.final_repeats if layer == layers - 1 else config.repeats
        for scene, count in enumerate(counts):
            pairs = assign(costs[layer, scene, :, :count], repeats)
            place = np.broadcast_to(np.array([[layer], [scene]]), pairs.shape)
            matches.append(np.concatenate([place, pairs]))
    return torch.from_numpy(np.concatenate(matches, axis=1)).to(classes.device)


def set_loss(
    proposals: Proposals,
    boxes: Float[Tensor, "batch boxes 7"],
    classes: Int[Tensor, "batch boxes"],
    config: SetLossConfig,
) -> Losses:
    """The set loss, summed over decoder layers with equal weight.

    Args:
        boxes: true boxes, centre, size and heading, metres and radians; true boxes come first in each scene, then
            padding.
        classes: their class indices, -1 for padding.

    Returns:
        The weighted total, and the unweighted parts of the last layer: class, giou, centre, size; angle and residual
        where the decoder proposes headings.
    """
    predicted = proposals.boxes
    layers = len(predicted)
    giou = giou_3d(predicted, boxes.expand(layers, -1, -1, -1))
    centres = proposals.extent.normalise(proposals.centres)
    true_centres = proposals.extent.normalise(boxes[..., :3])
    with torch.no_grad():
        distance = torch.cdist(centres, true_centres.expand(layers, -1, -1, -1), p=1)
        layer, scene, query, box = match(proposals, giou, distance, classes, config)
    background = proposals.logits.shape[-1] - 1
    target = torch.full(proposals.logits.shape[:3], background, device=classes.device)
    target[layer, scene, query] = classes[scene, box]
    # Each layer is divided by its own number of matches, so that repeats do not change the balance of the parts.
    count = torch.bincount(layer, minlength=layers).clamp_min(1)
    edges = proposals.extent.edges[scene]
    size_error = (proposals.sizes[layer, scene, query] - boxes[scene, box, 3:6]) / edges
    centre_error = centres[layer, scene, query] - true_centres[scene, box]
    parts = {
        "class": _cross_entropy(proposals.logits, target, config.no_object),
        "giou": _per_layer(1 - giou[layer, scene, query, box], layer, count),
        "centre": _per_layer(centre_error.abs().sum(-1), layer, count),
        "size": _per_layer(size_error.abs().sum(-1), layer, count),
    }
    weights = [config.class_weight, config.giou_weight, config.centre_weight, config.size_weight]
    if proposals.angles is not None:
        logits, residuals = (x[layer, scene, query] for x in (proposals.angles.logits, proposals.angles.residuals))
        chosen, residual = angle_bins(boxes[scene, box, 6], logits.shape[-1])
        error = F.huber_loss(residuals.gather(1, chosen[:, None])[:, 0], residual, reduction="none")
        parts["angle"] = _per_layer(F.cross_entropy(logits, chosen, reduction="none"), layer, count)
        parts["residual"] = _per_layer(error, layer, count)
        weights += [config.angle_weight, config.residual_weight]
    total = sum((weight * part.sum() for weight, part in zip(weights, parts.values(), strict=True)), giou.new_zeros(()))
    return Losses(total, {name: part[-1].detach() for name, part in parts.items()})


def _per_layer(
    values: Float[Tensor, " matches"], layer: Int[Tensor, " matches"], count: Int[Tensor, " layers"]
) -> Float[Tensor, " layers"]:
    return values.new_zeros(len(count)).index_add(0, layer, values) / count


def _cross_entropy(
    logits: Float[Tensor, "layers batch queries classes"], target: Int[Tensor, "layers batch queries"], no_object: float
) -> Float[Tensor, " layers"]:
    weight = logits.new_ones(logits.shape[-1])
    weight[-1] = no_object
    losses = [F.cross_entropy(x.flatten(0, 1), y.flatten(), weight) for x, y in zip(logits, target, strict=True)]
    return torch.stack(losses)
