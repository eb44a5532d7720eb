"""The three trainings of the small teacher: CLIP, the caption language model, ClipCap's mapper. Each ends with its part
frozen for the next."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, nn

from pointdistill.console import console, progress, say
from pointdistill.errors import TrainingDiverged
from pointdistill.seeding import numpy_generator, torch_generator
from pointdistill.teachers.captioned import CaptionedImages, Jitter, augment
from pointdistill.teachers.language_model import NotesEncoder, caption_loss
from pointdistill.teachers.networks import TeacherNetworks
from pointdistill.teachers.text import PAD, Vocabulary
from pointdistill.teachers.text_encoder import contrastive_loss


@dataclass(frozen=True)
class StageSettings:
    """AdamW with a linear warm-up over the first twentieth of the steps, then a cosine to zero."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.05
    clip: float = 1.0


@dataclass(frozen=True)
class Batch:
    """Indices of images, a caption chosen for each, and the generator for whatever else is random in this step."""

    indices: Int64[np.ndarray, "batch"]
    tokens: Tensor
    generator: torch.Generator


@dataclass(frozen=True)
class Captions:
    """Every caption of every image as tokens: those of image i are rows first[i] to first[i + 1]."""

    tokens: Tensor
    first: Int64[np.ndarray, "bounds"]

    @classmethod
    def encode(cls, images: CaptionedImages, vocabulary: Vocabulary, length: int) -> "Captions":
        first = np.cumsum([0, *(len(texts) for texts in images.texts)], dtype=np.int64)
        return cls(vocabulary.encode([text for texts in images.texts for text in texts], length), first)

    def draw(self, indices: Int64[np.ndarray, "batch"], generator: np.random.Generator) -> Tensor:
        """Tokens (batch, longest) of one caption of each image, chosen at random."""
        counts = self.first[indices + 1] - self.first[indices]
        tokens = self.tokens[torch.from_numpy(self.first[indices] + generator.integers(counts))]
        return tokens[:, : int((tokens != PAD).sum(dim=1).max())]


def _batches(captions: Captions, size: int, epoch: int, seed: int, stage: str) -> Iterator[Batch]:
    generator = numpy_generator(seed, "teacher", stage, epoch)
    order = generator.permutation(len(captions.first) - 1)
    size = min(size, len(order))
    for step, start in enumerate(range(0, len(order) - size + 1, size)):
        indices = order[start : start + size]
        yield Batch(indices, captions.draw(indices, generator), torch_generator(seed, "teacher", stage, epoch, step))


def _fit(
    modules: list[nn.Module | nn.Parameter],
    loss_of: Callable[[Batch], Tensor],
    captions: Captions,
    settings: StageSettings,
    seed: int,
    stage: str,
) -> float:
    """Train, and return the mean loss of the last epoch."""
    parameters = [p for m in modules for p in ([m] if isinstance(m, nn.Parameter) else m.parameters())]
    decayed = [p for p in parameters if p.ndim > 1]
    exempt = [p for p in parameters if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": exempt, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
    images = len(captions.first) - 1
    steps_an_epoch = images // min(settings.batch_size, images)
    total, warm = settings.epochs * steps_an_epoch, max(1, settings.epochs * steps_an_epoch // 20)
    step, mean = 0, math.nan
    with progress() as bars:
        bar = bars.add_task(f"teacher: {stage}", total=total, note="")
        for epoch in range(settings.epochs):
            losses = []
            for batch in _batches(captions, settings.batch_size, epoch, seed, stage):
                rate = min(
                    (step + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * max(0, step - warm) / max(1, total - warm))
                )
                for group in optimizer.param_groups:
                    group["lr"] = settings.learning_rate * rate
                loss = loss_of(batch)
                if not torch.isfinite(loss):
                    raise TrainingDiverged(f"teacher, {stage}: the loss is {loss.item()} at step {step}.")
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, settings.clip)
                optimizer.step()
                losses.append(loss.item())
                step += 1
                bars.update(bar, completed=step, note=f"loss {losses[-1]:.3f}")
            mean = sum(losses) / len(losses)
            if not console.is_terminal and (epoch + 1) % max(1, settings.epochs // 4) == 0:
                say(f"teacher: {stage}, epoch {epoch + 1} of {settings.epochs}, loss {mean:.3f}")
    return mean


def train_contrastive(
    networks: TeacherNetworks,
    images: CaptionedImages,
    captions: Captions,
    settings: StageSettings,
    jitter: Jitter,
    seed: int,
) -> float:
    """Image and text encoder together under CLIP's loss."""
    networks.image_encoder.train()

    def loss_of(batch: Batch) -> Tensor:
        pixels = augment(torch.from_numpy(images.pixels[batch.indices]), jitter, batch.generator)
        return contrastive_loss(networks.image_encoder(pixels), networks.text_encoder(batch.tokens), networks.log_scale)

    parts = [networks.image_encoder, networks.text_encoder, networks.log_scale]
    loss = _fit(parts, loss_of, captions, settings, seed, "contrastive")
    networks.image_encoder.eval()
    return loss


def train_language_model(
    networks: TeacherNetworks, vocabulary: Vocabulary, captions: Captions, settings: StageSettings, seed: int
) -> float:
    """The language model on "notes -> caption"; the notes' encoder is thrown away."""
    model = networks.language_model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        notes = NotesEncoder(len(vocabulary), model.prefix_length, model.words.embedding_dim)

    def loss_of(batch: Batch) -> Tensor:
        return caption_loss(model, notes(batch.tokens, batch.generator), batch.tokens)

    return _fit([model, notes], loss_of, captions, settings, seed, "language model")


def train_mapper(
    networks: TeacherNetworks,
    images: CaptionedImages,
    captions: Captions,
    settings: StageSettings,
    jitter: Jitter,
    seed: int,
    views: int = 4,
) -> float:
    """The mapper under eq. 11; image encoder and language model frozen.

    Features are computed once for each of `views` augmented versions of every image, since the encoder no longer moves.
    """
    features = torch.stack([_view_features(networks, images, jitter, seed, view) for view in range(views)])
    frozen = networks.language_model
    asked = [parameter.requires_grad for parameter in frozen.parameters()]
    frozen.requires_grad_(False)

    def loss_of(batch: Batch) -> Tensor:
        view = torch.randint(views, (len(batch.indices),), generator=batch.generator)
        prefix = networks.mapper(features[view, torch.from_numpy(batch.indices)])
        return caption_loss(frozen, prefix, batch.tokens)

    loss = _fit([networks.mapper], loss_of, captions, settings, seed, "mapper")
    for parameter, before in zip(frozen.parameters(), asked, strict=True):
        parameter.requires_grad_(before)
    return loss


@torch.no_grad()
def _view_features(networks: TeacherNetworks, images: CaptionedImages, jitter: Jitter, seed: int, view: int) -> Tensor:
    generator = torch_generator(seed, "teacher", "views", view)
    parts = []
    for start in range(0, len(images), 256):
        pixels = augment(torch.from_numpy(np.array(images.pixels[start : start + 256])), jitter, generator)
        parts.append(networks.image_encoder(pixels))
    return torch.cat(parts)
