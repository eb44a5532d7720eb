"""Pictures of the page as data URIs: frames, depth in colour, prefixes as strips."""

import base64
import io

import numpy as np
from jaxtyping import Float, UInt8, UInt16
from PIL import Image

# Anchors of matplotlib's viridis (CC0), dark to light, and of a blue - white - red scale.
_VIRIDIS = ((68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142), (31, 158, 137), (53, 183, 121), (109, 205, 89), (180, 222, 44), (253, 231, 37))  # fmt: skip
_DIVERGING = ((33, 102, 172), (103, 169, 207), (209, 229, 240), (247, 247, 247), (253, 219, 199), (239, 138, 98), (178, 24, 43))  # fmt: skip
_NO_DEPTH = (24, 26, 32)


def jpeg_uri(data: bytes) -> str:
    """JPEG bytes as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def depth_uri(depth: UInt16[np.ndarray, "height width"]) -> str:
    """Depth in millimetres as a picture: near is bright; pixels without depth (0) are dark grey."""
    seen = depth > 0
    near, far = np.quantile(depth[seen], (0.01, 0.99)) if seen.any() else (0.0, 1.0)
    scaled = np.clip((far - depth.astype(np.float64)) / max(far - near, 1.0), 0.0, 1.0)
    picture = _colour_map(scaled, _VIRIDIS)
    picture[~seen] = _NO_DEPTH
    return _png_uri(picture)


def prefix_uri(prefix: Float[np.ndarray, "prefix dim"], limit: float) -> str:
    """A prefix as a picture, a row a token: blue below zero, red above, full colour at `limit`."""
    return _png_uri(_colour_map(np.clip(prefix / (2 * max(limit, 1e-9)) + 0.5, 0.0, 1.0), _DIVERGING))


def _colour_map(values: np.ndarray, anchors: tuple[tuple[int, int, int], ...]) -> UInt8[np.ndarray, "height width 3"]:
    """Values in 0..1 to colours, linear between the anchors."""
    place = np.linspace(0.0, 1.0, len(anchors))
    channels = [np.interp(values, place, [anchor[channel] for anchor in anchors]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _png_uri(picture: UInt8[np.ndarray, "height width 3"]) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
