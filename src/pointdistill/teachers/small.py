"""The embedded teacher: CLIP and ClipCap in small, the paper's construction (section 3.3, eqs. 9-11).

An image encoder trained contrastively with captions gives I = CLIP(x); a mapper trained to make a frozen caption
language model write the caption gives the semantic prefix P = ClipCap(I), which is what the student learns to predict.
On disk it is `teacher.safetensors` (numbers) beside `teacher.json` (sizes and words).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from pointdistill.errors import CheckpointError, DataError
from pointdistill.files import write_bytes, write_json
from pointdistill.models.fitting import fitted
from pointdistill.teachers.base import FrozenModule
from pointdistill.teachers.image_encoder import to_network_range
from pointdistill.teachers.language_model import caption_log_likelihood
from pointdistill.teachers.networks import TeacherConfig, TeacherNetworks
from pointdistill.teachers.text import Vocabulary
from pointdistill.tensors import UNREADABLE_TENSORS
from pointdistill.typed_json import read_typed

IDENTITY = "pointdistill-small-clipcap-1"
WEIGHTS, CONFIG = "teacher.safetensors", "teacher.json"
PACKAGED = Path(__file__).parent / "weights"


def load_pixels(image: Image.Image, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """Any image as RGB at `size` (width, height); the whole view is kept, whatever its proportions."""
    return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR))


class SmallTeacher(FrozenModule):
    """A frozen image encoder, mapper and caption language model; satisfies `teachers.base.Teacher` and `Captioner`.

    Args:
        networks: trained parts; they are frozen here for good.
        vocabulary: the words of their tokens.
        config: their sizes.
    """

    identity = IDENTITY

    def __init__(self, networks: TeacherNetworks, vocabulary: Vocabulary, config: TeacherConfig):
        super().__init__()
        self.networks, self.vocabulary, self.config = networks, vocabulary, config
        self.freeze()
        self.weights_hash = hashlib.sha256(self._weights()).hexdigest()

    @property
    def target_shape(self) -> tuple[int, int]:
        """(prefix vectors, width of each): (8, 64) for the packaged teacher."""
        return self.config.prefix_length, self.config.language_width

    @property
    def device(self) -> torch.device:
        return self.networks.log_scale.device

    @torch.no_grad()
    def image_features(self, images: list[Image.Image]) -> Float[Tensor, "batch feature"]:
        """I = CLIP(x) of eq. 9, not normalised. RGB or any other mode pillow converts, of any size."""
        pixels = np.stack([load_pixels(image, self.config.image_size) for image in images])
        return self.networks.image_encoder(to_network_range(torch.from_numpy(pixels).to(self.device)))

    @torch.no_grad()
    def text_features(self, texts: Sequence[str]) -> Float[Tensor, "batch feature"]:
        """Features of captions in the same space as `image_features`, not normalised."""
        return self.networks.text_encoder(self.vocabulary.encode(texts, self.config.caption_length).to(self.device))

    @torch.no_grad()
    def targets(self, images: list[Image.Image]) -> Float[Tensor, "batch prefix dim"]:
        """The semantic prefix P of eq. 10, float32."""
        return self.networks.mapper(self.image_features(images))

    @torch.no_grad()
    def caption(self, prefix: Float[Tensor, "batch prefix dim"]) -> list[str]:
        """What the language model writes after each prefix, greedily; the prefix may come from an image or a cloud."""
        return self.vocabulary.decode(self.networks.language_model.greedy(prefix.to(self.device, torch.float32)))

    @torch.no_grad()
    def log_likelihood(
        self, prefix: Float[Tensor, "batch prefix dim"], texts: Sequence[str]
    ) -> Float[Tensor, "batch texts"]:
        """log p(text | prefix) in nats, as `teachers.base.Captioner` says; words outside the vocabulary count as the
        unknown word."""
        tokens = self.vocabulary.encode(texts, self.config.caption_length).to(self.device)
        prefix = prefix.to(self.device, torch.float32)
        return caption_log_likelihood(self.networks.language_model, prefix, tokens)

    def save(self, folder: str | Path) -> None:
        """Write teacher.safetensors and teacher.json into `folder`, each by rename, so that none is ever half there."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        description = {
            "identity": self.identity,
            "weights_sha256": self.weights_hash,
            "config": asdict(self.config),
            "words": self.vocabulary.words,
        }
        write_bytes(folder / WEIGHTS, self._weights())
        write_json(folder / CONFIG, description)

    def _weights(self) -> bytes:
        return safetensors.torch.save(
            {name: value.cpu().contiguous() for name, value in self.networks.state_dict().items()}
        )


def load_small_teacher(path: str | Path | None = None) -> SmallTeacher:
    """The teacher in folder `path`, or the one that comes with the package.

    Raises:
        DataError: a file is absent or unreadable.
        CheckpointError: the weights do not fit the description, or are not the ones it was written for.
    """
    folder = PACKAGED if path is None else Path(path)
    description = _read_description(folder / CONFIG)
    try:
        config, vocabulary = _config(description["config"]), Vocabulary(tuple(description["words"]))
    except (TypeError, ValueError, AttributeError) as error:
        again = "Train or copy the teacher again."
        raise DataError(folder / CONFIG, f"its sizes or words cannot be read ({error})", again) from None
    weights = folder / WEIGHTS
    try:
        content = weights.read_bytes()
        state = safetensors.torch.load(content)
    except FileNotFoundError:
        raise DataError(weights, "no such file", "Name a folder written by `pointdistill teacher train`.") from None
    except UNREADABLE_TENSORS as error:
        said = str(error).partition("\n")[0]  # torch adds where in its own code
        raise CheckpointError(weights, f"not a whole safetensors file ({said})", "Train or copy it again.") from None
    if hashlib.sha256(content).hexdigest() != description["weights_sha256"]:
        raise CheckpointError(
            weights, f"not the weights that {CONFIG} beside it was written for", "Train or copy both again."
        )
    remedy = f"Train again with this version's {CONFIG}."
    networks = fitted(
        lambda: TeacherNetworks(config, len(vocabulary)),
        config,
        state,
        weights,
        f"the architecture in {CONFIG}",
        remedy,
    )
    return SmallTeacher(networks, vocabulary, config)


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text())
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise DataError(path, reason, "Name a folder written by `pointdistill teacher train`.") from None
    except (ValueError, RecursionError) as error:
        raise DataError(path, f"not JSON ({error})", "Train or copy the teacher again.") from None
    missing = {"identity", "weights_sha256", "config", "words"} - set(description)
    if missing:
        raise DataError(path, f"lacks {', '.join(sorted(missing))}", "Train or copy the teacher again.")
    if description["identity"] != IDENTITY:
        raise CheckpointError(path, f"a teacher of kind {description['identity']}, not {IDENTITY}", "Train it again.")
    return description


def _config(entries: dict[str, Any]) -> TeacherConfig:
    known = {field.name for field in fields(TeacherConfig)} & set(entries)
    return read_typed(TeacherConfig, {name: entries[name] for name in known})
