"""Slow, independent forms of the metrics, by their definitions."""

from oracles.boxes import iou as box_iou


def segmentation(prediction, truth, classes, ignore=None):
    """Per class (IoU or None, recall or None), and the overall accuracy."""
    pairs = [(p, t) for p, t in zip(prediction, truth, strict=True) if t != ignore]
    rows = []
    for label in range(classes):
        both = sum(p == label and t == label for p, t in pairs)
        either = sum(p == label or t == label for p, t in pairs)
        true = sum(t == label for _, t in pairs)
        rows.append((both / either if either else None, both / true if true else None))
    return rows, sum(p == t for p, t in pairs) / len(pairs)


def shape_iou(prediction, truth, parts):
    values = []
    for part in parts:
        both = sum(p == part and t == part for p, t in zip(prediction, truth, strict=True))
        either = sum(p == part or t == part for p, t in zip(prediction, truth, strict=True))
        values.append(both / either if either else 1.0)
    return sum(values) / len(values)


def detection(scenes, label, threshold):
    """AP and recall of one class; a scene is (boxes, scores, classes, true boxes, true classes); no equal scores."""
    total = sum(int(t == label) for scene in scenes for t in scene[4])
    predictions = []
    for number, (boxes, scores, classes, _, _) in enumerate(scenes):
        predictions += [(s, number, b) for b, s, c in zip(boxes, scores, classes, strict=True) if c == label]
    predictions.sort(key=lambda prediction: -prediction[0])
    taken, curve, right = set(), [], 0
    for rank, (_, number, box) in enumerate(predictions, start=1):
        _, _, _, true_boxes, true_classes = scenes[number]
        overlaps = [(box_iou(box, t), -index) for index, t in enumerate(true_boxes) if true_classes[index] == label]
        if overlaps:
            best, index = max(overlaps)
            if best > threshold and (number, index) not in taken:
                taken.add((number, index))
                right += 1
        curve.append((right / total, right / rank))
    area, reached = 0.0, 0.0
    for recall, _ in curve:
        if recall > reached:
            area += (recall - reached) * max(precision for r, precision in curve if r >= recall)
            reached = recall
    return area, right / total
