"""3DETR's training loss and its evaluation of a scene, by their definitions: slow, one proposal and one box at a time.

Written from the paper (Misra et al. 2021, section 3.3) and the behaviour of its code; in double precision.
"""

import itertools
import math

import numpy as np
from scipy.optimize import linear_sum_assignment

from oracles import boxes as geometry

COST = {"class": 1.0, "giou": 2.0, "centre": 0.0, "objectness": 0.0}
WEIGHT = {"giou": 1.0, "class": 1.0, "centre": 5.0, "size": 1.0, "angle": 0.1, "residual": 0.5}
NO_OBJECT = 0.25


def softmax(row):
    exponents = [math.exp(value - max(row)) for value in row]
    return [value / sum(exponents) for value in exponents]


def layer_loss(proposals, scenes):
    """Loss of one decoder layer.

    Args:
        proposals: a list for each scene of dictionaries: logits, centre, size (metres), residual (of the one bin).
        scenes: a dictionary for each: low, high (corners of its points), boxes (centre and size), classes.
    """
    boxes = max(1, sum(len(scene["boxes"]) for scene in scenes))
    parts = dict.fromkeys(WEIGHT, 0.0)
    entropy = weights = 0.0
    for queries, scene in zip(proposals, scenes, strict=True):
        edges = [high - low for low, high in zip(scene["low"], scene["high"], strict=True)]

        def place(centre, scene=scene, edges=edges):
            return [(c - low) / edge for c, low, edge in zip(centre, scene["low"], edges, strict=True)]

        def giou(query, box):
            return geometry.giou([*query["centre"], *query["size"]], box)

        cost = np.zeros((len(queries), len(scene["boxes"])))
        for (i, query), (j, box) in itertools.product(enumerate(queries), enumerate(scene["boxes"])):
            share = softmax(query["logits"])
            away = sum(abs(a - b) for a, b in zip(place(query["centre"]), place(box[:3]), strict=True))
            cost[i, j] = -COST["class"] * share[scene["classes"][j]] - COST["objectness"] * (1 - share[-1])
            cost[i, j] += COST["centre"] * away - COST["giou"] * giou(query, box)
        matched = dict(zip(*linear_sum_assignment(cost), strict=True))
        for i, query in enumerate(queries):
            target = scene["classes"][matched[i]] if i in matched else len(query["logits"]) - 1
            weight = 1.0 if i in matched else NO_OBJECT
            entropy -= weight * math.log(softmax(query["logits"])[target])
            weights += weight
            if i not in matched:
                continue
            box = scene["boxes"][matched[i]]
            parts["giou"] += (1 - giou(query, box)) / boxes
            away = zip(place(query["centre"]), place(box[:3]), strict=True)
            parts["centre"] += sum(abs(a - b) for a, b in away) / boxes
            sizes = zip(query["size"], box[3:6], edges, strict=True)
            parts["size"] += sum(abs(a - b) / edge for a, b, edge in sizes) / boxes
            error = abs(query["residual"])  # the true residual of an axis-aligned box is zero
            parts["residual"] += (0.5 * error**2 if error <= 1 else error - 0.5) / boxes
    parts["class"] = entropy / weights
    return sum(WEIGHT[name] * value for name, value in parts.items())


def kept(queries, points, least=5, overlap=0.25, threshold=0.05):
    """What is left of one scene's proposals: (box, class shares, objectness), the best first."""
    found = []
    for query in queries:
        share, box = softmax(query["logits"]), [*query["centre"], *query["size"]]
        if sum(geometry.contains(box, point) for point in points) >= least:
            found.append((box, share[:-1], 1 - share[-1]))
    found.sort(key=lambda proposal: -proposal[2])
    best = []
    for box, share, objectness in found:
        label = int(np.argmax(share))
        rivals = [other for other, others, _ in best if int(np.argmax(others)) == label]
        if all(geometry.iou(box, other) <= overlap for other in rivals):
            best.append((box, share, objectness))
    return [proposal for proposal in best if proposal[2] > threshold]
