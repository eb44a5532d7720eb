"""Slow, independent forms of the geometry of points: loops, float64, nothing shared with the package."""

import numpy as np


def farthest_points(points, count, start=0):
    chosen = [start]
    while len(chosen) < count:
        nearest = [min(sum((p - points[c]) ** 2) for c in chosen) for p in points]
        chosen.append(nearest.index(max(nearest)))
    return chosen


def neighbours(query, points, k):
    distances = [float(sum((p - query) ** 2)) for p in points]
    return sorted(range(len(points)), key=lambda index: (distances[index], index))[:k]


def ball(query, points, radius, size):
    inside = [i for i, p in enumerate(points) if float(sum((p - query) ** 2)) < radius**2][:size]
    return inside + (inside[:1] or [0]) * (size - len(inside))


def chamfer(a, b, power):
    def one_way(first, second):
        return np.mean([min(np.linalg.norm(p - q) for q in second) ** power for p in first])

    return one_way(a, b) + one_way(b, a)


def interpolated(query, centres, features):
    near = neighbours(query, centres, min(3, len(centres)))
    weights = [1 / (float(sum((centres[index] - query) ** 2)) + 1e-8) for index in near]
    return sum(weight * features[index] for weight, index in zip(weights, near, strict=True)) / sum(weights)


def unprojected(depth, fx, fy, cx, cy):
    height, width = depth.shape
    points = np.zeros((height, width, 3))
    for v in range(height):
        for u in range(width):
            z = depth[v, u]
            points[v, u] = (u - cx) * z / fx, (v - cy) * z / fy, z
    return points


def visible(points, turn, distance, points_per_pixel, slack):
    """Camera by camera coordinates, pixel by pixel: what is not clearly behind another point of the same pixel."""
    offsets = points - points.mean(0)
    radius = max(np.linalg.norm(offset) for offset in offsets)
    side = max(1, round((len(points) / points_per_pixel) ** 0.5))
    half = np.tan(np.arcsin(1 / distance))
    seen_at = []
    for offset in offsets / radius:
        right, up, back = (float(np.dot(offset, turn[:, axis])) for axis in range(3))
        depth = distance - back
        row, column = (min(side - 1, int((at / depth / half + 1) / 2 * side)) for at in (up, right))
        seen_at.append(((row, column), depth))
    visible = []
    for pixel, depth in seen_at:
        nearest = min(other for place, other in seen_at if place == pixel)
        visible.append(depth <= nearest + slack * nearest * 2 * half / side)
    return visible
