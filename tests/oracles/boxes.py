"""Slow, independent forms of the geometry of axis-aligned boxes (centre and size), one pair at a time."""


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
