"""Pictures of the page as data URIs: frames, depth in colour, prefixes as strips."""

import base64
import io

import numpy as np
from jaxtyping import Float, UInt8, UInt16
from PIL import Image

# Anchors of matplotlib's viridis (CC0), dark to light, and of a blue - white - red scale.
_VIRIDIS = "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725"
_DIVERGING = "2166ac 67a9cf d1e5f0 f7f7f7 fddbc7 ef8a62 b2182b"
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


def _colour_map(values: np.ndarray, anchors: str) -> UInt8[np.ndarray, "height width 3"]:
    """Values in 0..1 to colours, linear between the anchors (hexadecimal RGB)."""
    colours = np.array([list(bytes.fromhex(anchor)) for anchor in anchors.split()])
    place = np.linspace(0.0, 1.0, len(colours))
    channels = [np.interp(values, place, colours[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _png_uri(picture: UInt8[np.ndarray, "height width 3"]) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
