"""Arrays as page.js unpacks them: bytes in base64, points in steps of 16 bits."""

import base64
from typing import Any

import numpy as np
from jaxtyping import Float


def upright(points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
    """The camera's frame (x right, y down, z forward) turned to x right, y forward, z up."""
    return points[:, [0, 2, 1]] * np.array([1, 1, -1], dtype=points.dtype)


def quantised(points: Float[np.ndarray, "points 3"]) -> dict[str, Any]:
    """Points as 16 bit steps within their bounding box: point = lower + step * value, axis by axis."""
    lower = points.min(axis=0) if len(points) else np.zeros(3)
    extent = (points.max(axis=0) - lower) if len(points) else np.ones(3)
    step = np.maximum(extent, 1e-9) / 65535
    values = np.rint((points - lower) / step).astype("<u2")
    return {"lower": lower.tolist(), "step": step.tolist(), "values": as_base64(values)}


def as_base64(values: np.ndarray) -> str:
    """The array's bytes as text."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def short(value: float) -> float:
    """Five digits are more than a plot shows."""
    return float(f"{value:.5g}")
