"""Zero-shot classification of a point cloud: which label fits what the student predicts best.

Where the teacher captions, a label's score is how much likelier the language model finds its caption after the
predicted prefix than after the mean of the training targets: without that correction frequent words win everywhere. It
also cancels most of what length costs a label. Where the target is an image feature that texts can be compared with
(CLIP's), the score is the cosine, sharpened as CLIP does. docs/language.md measures both ways to score by likelihood.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pointdistill.applications.inputs import Cloud, is_one
from pointdistill.applications.prefix import TextEncoder, opened, predict_prefix, speaking, teacher_of
from pointdistill.datasets.axes import Axis
from pointdistill.distilled import Distilled
from pointdistill.errors import RecipeError
from pointdistill.teachers.base import Captioner, Teacher
from pointdistill.teachers.small import SmallTeacher
from pointdistill.teachers.text import split_words

CAPTION, PHOTO = "a {}", "a photo of a {}"
"""What a label is put into: for a language model of captions, and for CLIP."""
SHARPNESS = 100.0
"""The inverse temperature that CLIP's training ends with."""


@overload
def classify(
    points: Cloud,
    run: str | Path | Distilled,
    labels: Sequence[str],
    teacher: str | Path | Teacher | None = None,
    up: Axis | None = None,
    template: str | None = None,
) -> dict[str, float]: ...


@overload
def classify(
    points: Sequence[Cloud],
    run: str | Path | Distilled,
    labels: Sequence[str],
    teacher: str | Path | Teacher | None = None,
    up: Axis | None = None,
    template: str | None = None,
) -> list[dict[str, float]]: ...


def classify(
    points: Cloud | Sequence[Cloud],
    run: str | Path | Distilled,
    labels: Sequence[str],
    teacher: str | Path | Teacher | None = None,
    up: Axis | None = None,
    template: str | None = None,
) -> dict[str, float] | list[dict[str, float]]:
    """How well each label fits a cloud, best first; the figures are positive and add up to one. Of a list of clouds, of
    each.

    Args:
        points: an array or tensor of shape (points, 3) in any unit, or a file, best one view of a depth camera; or a
            list of such, of any sizes.
        run: a finished distillation or its folder.
        labels: two or more, for instance "chair", "table".
        teacher: the run's teacher, or how `prepare --teacher` names it; default the embedded one.
        up: which axis of the cloud points up; default that of the run's frame: z, or -y in the camera's.
        template: the text around a label, {} in its place; default "a {}", or "a photo of a {}" for CLIP features.

    Raises:
        CheckpointError: no finished distillation.
        RecipeError: another teacher than the run's, one that knows no texts, words that it does not know, or labels or
            a template that cannot be used.
        DataError: a cloud that cannot be read, or has too few points.
    """
    distilled = opened(run)
    reader = teacher_of(distilled, teacher)
    prefix = predict_prefix(points, distilled, up)
    if not len(prefix):
        return []
    if isinstance(reader, Captioner):
        texts = fill(labels, template or CAPTION)
        scores = likelihood_scores(prefix, distilled.mean_target, texts, reader)
    elif isinstance(reader, TextEncoder) and prefix.shape[1] == 1:
        features = reader.text_features(fill(labels, template or PHOTO))
        scores = SHARPNESS * functional.normalize(prefix[:, 0], dim=1) @ functional.normalize(features, dim=1).T
    else:
        speaking(reader)  # says why not
    found = [
        dict(sorted(zip(labels, shares, strict=True), key=lambda entry: -entry[1]))
        for shares in scores.softmax(1).tolist()
    ]
    return found[0] if is_one(points) else found


def fill(labels: Sequence[str], template: str) -> list[str]:
    """The labels in their template, "a" and "an" set right.

    Raises:
        RecipeError: fewer than two labels, one twice, an empty one, or a template without {}.
    """
    if len(labels) < 2 or len({*labels}) < len(labels) or not all(label.strip() for label in labels):
        raise RecipeError(f"labels {', '.join(map(repr, labels))}: give two or more, each once, none empty")
    if template.count("{}") != 1:
        raise RecipeError(f"template {template!r}: write {{}} once, where the label goes")
    texts = [template.replace("{}", label.strip()) for label in labels]
    return [re.sub(r"\b([Aa]) (?=[aeiouAEIOU])", r"\1n ", text) for text in texts]


def likelihood_scores(
    prefix: Float[Tensor, "batch prefix dim"], mean: Float[Tensor, "prefix dim"], texts: list[str], teacher: Captioner
) -> Float[Tensor, "batch texts"]:
    """log p(text | prefix) - log p(text | mean prefix), in nats.

    Raises:
        RecipeError: words that the (embedded kind of) teacher does not know.
    """
    if isinstance(teacher, SmallTeacher):
        unknown = sorted({word for text in texts for word in split_words(text) if word not in teacher.vocabulary})
        if unknown:
            known = sorted(word for word in teacher.vocabulary.words if word != ",")
            raise RecipeError(
                f"the teacher does not know {', '.join(map(repr, unknown))}. Its words: {', '.join(known)}"
            )
    return teacher.log_likelihood(prefix, texts) - teacher.log_likelihood(mean[None].to(prefix), texts)
