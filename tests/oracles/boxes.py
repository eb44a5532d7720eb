"""Slow, independent forms of the geometry of boxes, one pair at a time: centre and size, and where said heading."""

import math


def _interval(box, axis):
    return box[axis] - box[3 + axis] / 2, box[axis] + box[3 + axis] / 2


def _measures(a, b):
    overlap = hull = volume_a = volume_b = 1.0
    for axis in range(3):
        (a_low, a_high), (b_low, b_high) = _interval(a, axis), _interval(b, axis)
        overlap *= max(0.0, min(a_high, b_high) - max(a_low, b_low))
        hull *= max(a_high, b_high) - min(a_low, b_low)
        volume_a *= a_high - a_low
        volume_b *= b_high - b_low
    return overlap, volume_a + volume_b - overlap, hull


def iou(a, b):
    overlap, union, _ = _measures(a, b)
    return overlap / union if union > 0 else 0.0


def giou(a, b):
    _, union, hull = _measures(a, b)
    return iou(a, b) - ((hull - union) / hull if hull > 0 else 0.0)


def contains(box, point):
    return all(low <= point[axis] <= high for axis in range(3) for low, high in [_interval(box, axis)])


def suppressed(boxes, scores, classes, threshold):
    """Indices kept, best score first."""
    kept = []
    for index in sorted(range(len(boxes)), key=lambda index: (-scores[index], index)):
        if all(classes[index] != classes[other] or iou(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(index)
    return kept


def footprint(box):
    """Corners of an upright box (centre, size, heading) seen from above, counter-clockwise."""
    cos, sin = math.cos(box[6]), math.sin(box[6])
    offsets = [(x * box[3] / 2, y * box[4] / 2) for x, y in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
    return [(box[0] + cos * x - sin * y, box[1] + sin * x + cos * y) for x, y in offsets]


def _clipped(polygon, start, end):
    """What of a polygon lies left of a line (Sutherland and Hodgman)."""

    def side(point):
        return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])

    kept = []
    for before, point in zip(polygon[-1:] + polygon[:-1], polygon, strict=True):
        if (side(before) < 0) != (side(point) < 0):
            share = side(before) / (side(before) - side(point))
            kept.append(tuple(b + share * (p - b) for b, p in zip(before, point, strict=True)))
        if side(point) >= 0:
            kept.append(point)
    return kept


def turned_iou(a, b):
    polygon, around = footprint(a), footprint(b)
    for start, end in zip(around, around[1:] + around[:1], strict=True):
        polygon = _clipped(polygon, start, end) if polygon else []
    after = polygon[1:] + polygon[:1]
    area = sum(p[0] * q[1] - p[1] * q[0] for p, q in zip(polygon, after, strict=True)) / 2
    (a_low, a_high), (b_low, b_high) = _interval(a[:6], 2), _interval(b[:6], 2)
    overlap = area * max(0.0, min(a_high, b_high) - max(a_low, b_low))
    union = a[3] * a[4] * a[5] + b[3] * b[4] * b[5] - overlap
    return overlap / union if union > 0 else 0.0


def turned_contains(box, point):
    x, y = point[0] - box[0], point[1] - box[1]
    cos, sin = math.cos(box[6]), math.sin(box[6])
    along, across = cos * x + sin * y, cos * y - sin * x
    return abs(along) <= box[3] / 2 and abs(across) <= box[4] / 2 and abs(point[2] - box[2]) <= box[5] / 2
