"""Where the concept tokens look: their attention over a cloud's patches, in figures and as examples for the page."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pointdistill.analyses.subject import Subject, batches, titles
from pointdistill.loader import in_camera
from pointdistill.methods.distill import Distill
from pointdistill.predictions.examples import evenly
from pointdistill.report.analyses.schema import ConceptFigures
from pointdistill.report.examples import AttentionExample
from pointdistill.store import FrameStore

SHOWN, MEASURED = 4, 256
"""Frames that are drawn, and frames that the figures are means over, at most."""


@torch.inference_mode()
def concept_attention(
    method: Distill, points: Float[Tensor, "batch points 3"]
) -> Float[Tensor, "batch concepts groups"]:
    """How much each concept reads of each patch at the last layer, the mean over heads; sums to 1 over patches.

    Args:
        method: a distillation with concept extraction, in evaluation mode.
        points: clouds as the loader gives them.
    """
    assert method.concepts is not None
    tokens, positions, _ = method.backbone.tokenise(points)
    return method.concepts.weights(method.backbone.trace(tokens, positions, depth=method.blocks_run))


def concept_figures(subject: Subject, heldout: FrameStore, measured: int = MEASURED) -> ConceptFigures | None:
    """How spread out and how alike the concepts' attentions are; None for a method without concepts."""
    if subject.method is None or subject.method.concepts is None:
        return None
    loader = subject.loader(heldout, measured)
    found = torch.cat([concept_attention(subject.method, batch.points) for batch in batches(loader)])
    return figures_of(found)


def figures_of(attention: Float[Tensor, "frames concepts groups"]) -> ConceptFigures:
    """The figures of attentions that are there already."""
    frames, count, patches = attention.shape
    read = torch.special.entr(attention).sum(-1).exp().mean(0)
    first, second = torch.triu_indices(count, count, 1)
    # Pair by pair: all of 32 concepts' pairs over many frames at once would be gigabytes.
    shared = [
        float(torch.minimum(attention[:, one], attention[:, other]).sum(-1).mean())
        for one, other in zip(first.tolist(), second.tolist(), strict=True)
    ]
    return ConceptFigures(frames, patches, read.tolist(), float(np.mean(shared)) if shared else None)


def attention_examples(subject: Subject, heldout: FrameStore, shown: int = SHOWN) -> list[AttentionExample]:
    """Attention on a few held-out frames, evenly spaced over the store: chosen before anyone looked."""
    if subject.method is None or subject.method.concepts is None:
        return []
    rows = evenly(len(heldout), shown)
    batch = subject.loader(heldout, len(heldout)).batch(np.array(rows), 0)
    attention = concept_attention(subject.method, batch.points)
    patches = subject.backbone.patches(batch.points).index
    return [
        AttentionExample(
            title=title,
            points=in_camera(points, heldout, row, subject.recipe.frames.frame),
            patches=members.numpy(),
            attention=of_frame.numpy(),
        )
        for title, points, row, members, of_frame in zip(
            titles(heldout, rows), batch.points, rows, patches, attention, strict=True
        )
    ]
