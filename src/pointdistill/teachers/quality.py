"""How good a teacher is, on images from places it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional

from pointdistill.console import track
from pointdistill.seeding import numpy_generator
from pointdistill.teachers.captioned import CaptionedImages
from pointdistill.teachers.language_model import caption_loss
from pointdistill.teachers.small import SmallTeacher
from pointdistill.world.captions import mentioned_classes


@dataclass(frozen=True)
class Quality:
    """Measured on held-out images.

    Attributes:
        images: how many.
        gallery: among how many captions each image looks for its own.
        recall_at_1: part of the images that rank no other caption above their own; `recall_at_5`: at most four.
        caption_nats: mean negative log-likelihood of a caption's token after the image's prefix (eq. 11).
        class_precision: part of the classes that generated captions name that are visible (None without truth.jsonl).
        class_recall: part of the visible classes that generated captions name.
        written_precision: the same for the captions that came with the images; `written_recall`: what a caption can
            reach, since it does not name everything.
        prefix_explained_by_classes: R^2, on half of the images, of the prefix predicted linearly from which classes
            are visible, fitted on the other half: a floor for what can be learned from geometry.
    """

    images: int
    gallery: int
    recall_at_1: float
    recall_at_5: float
    caption_nats: float
    class_precision: float | None = None
    class_recall: float | None = None
    written_precision: float | None = None
    written_recall: float | None = None
    prefix_explained_by_classes: float | None = None


def retrieval_recall(
    images: Float[Tensor, "batch feature"], texts: Float[Tensor, "batch feature"], at: int
) -> Float[Tensor, ""]:
    """Part of the images with fewer than `at` captions strictly more similar (cosine) than their own.

    Captions equal to the image's own tie with it and do not count against it.
    """
    similarity = functional.normalize(images, dim=1) @ functional.normalize(texts, dim=1).T
    better = (similarity > similarity.diagonal()[:, None] + 1e-6).sum(dim=1)
    return (better < at).float().mean()


def class_precision_recall(texts: Sequence[str], classes: Sequence[frozenset[str]]) -> tuple[float, float]:
    """Over all texts together: named and visible / named, named and visible / visible."""
    named = [mentioned_classes(text) for text in texts]
    right = sum(len(said & true) for said, true in zip(named, classes, strict=True))
    return right / max(1, sum(map(len, named))), right / max(1, sum(map(len, classes)))


def explained_by_classes(prefixes: Float[Tensor, "batch prefix dim"], classes: Sequence[frozenset[str]]) -> float:
    """R^2 on the second half of a ridge regression, fitted on the first, from class presence to prefix."""
    names = sorted(frozenset().union(*classes))
    present = np.array([[1.0, *(float(name in seen) for name in names)] for seen in classes])
    values, half = prefixes.flatten(1).double().numpy(), len(classes) // 2
    gram = present[:half].T @ present[:half] + 1e-2 * np.eye(present.shape[1])
    fitted = present[half:] @ np.linalg.solve(gram, present[:half].T @ values[:half])
    rest = ((values[half:] - fitted) ** 2).sum()
    return float(1 - rest / ((values[half:] - values[:half].mean(0)) ** 2).sum())


def measure(teacher: SmallTeacher, images: CaptionedImages, gallery: int = 256) -> Quality:
    """Measure on `images`. Retrieval is averaged over galleries drawn from them without overlap."""
    gallery = min(gallery, len(images))
    texts = [texts[0] for texts in images.texts]
    features, prefixes = [], []
    for start in track(range(0, len(images), 64), "teacher: measuring"):
        batch = [Image.fromarray(pixels) for pixels in images.pixels[start : start + 64]]
        features.append(teacher.image_features(batch))
        prefixes.append(teacher.targets(batch))
    feature, prefix, text = torch.cat(features), torch.cat(prefixes), teacher.text_features(texts)
    order = torch.from_numpy(numpy_generator(0, "teacher", "galleries").permutation(len(images)))
    galleries = [order[start : start + gallery] for start in range(0, len(images) - gallery + 1, gallery)]
    recall = {
        at: float(np.mean([retrieval_recall(feature[chosen], text[chosen], at) for chosen in galleries]))
        for at in (1, 5)
    }
    tokens = teacher.vocabulary.encode(texts, teacher.config.caption_length)
    with torch.no_grad():
        nats = caption_loss(teacher.networks.language_model, prefix, tokens).item()
    quality = Quality(len(images), gallery, recall[1], recall[5], nats)
    if images.classes is None:
        return quality
    precision, recalled = class_precision_recall(teacher.caption(prefix), images.classes)
    written_precision, written_recall = class_precision_recall(texts, images.classes)
    return replace(
        quality,
        class_precision=precision,
        class_recall=recalled,
        written_precision=written_precision,
        written_recall=written_recall,
        prefix_explained_by_classes=explained_by_classes(prefix, images.classes),
    )
