"""Labels and figures as numpy arrays, whatever they came as."""

import numpy as np
from torch import Tensor

ArrayLike = np.ndarray | Tensor


def to_numpy(values: ArrayLike) -> np.ndarray:
    """The array itself, or a tensor's values on the CPU."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def to_labels(values: ArrayLike, classes: int, what: str) -> np.ndarray:
    """One-dimensional int64 labels, all of them in 0 .. classes - 1.

    Raises:
        ValueError: a label lies outside, or the values are not whole numbers; the message says `what` they are.
    """
    labels = to_numpy(values).reshape(-1)
    if labels.size and labels.dtype.kind not in "iu":
        raise ValueError(f"{what} must be whole numbers, not {labels.dtype}")
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        at = int(outside.argmax())
        raise ValueError(f"{what} number {at} is {labels[at]}, but there are {classes} classes (0 to {classes - 1})")
    return labels.astype(np.int64, copy=False)


def mean_of_known(values: np.ndarray) -> float:
    """Mean of the entries that are not NaN; NaN if there is none (without numpy's warning)."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole in float64, NaN where the whole is zero."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole != 0)
