"""Models as files that run without this package."""

from pathlib import Path
from typing import Annotated, Literal

from pointdistill.console import say
from pointdistill.verbs.arguments import Positional, arg, at_least


def export(
    model: Annotated[Path, Positional, arg(metavar="MODEL")],
    out: Annotated[Path, Positional, arg(metavar="OUT")],
    format: Literal["onnx", "torch"] | None = None,
    points: int | None = None,
    batch: int = 1,
):
    """Write a model as one graph from raw points to features, logits or boxes, for machines without this package.

    OUT.json beside it says how to use it; the file is run once and held against the package (docs/deployment.md).

    Args:
        model: folder of a fine-tuning (logits, boxes), folder of a pre-training (tokens, centres, pooled),
            backbone.safetensors, or OWNER/NAME[@REVISION] on the model hub.
        out: a file that ends in .onnx (for onnxruntime, extra onnx) or .pt2 (for PyTorch alone).
        format: onnx or torch; default by the ending.
        points: points a cloud, fixed in the graph; default as many as the model was trained with.
        batch: clouds at a time, fixed too.
    """
    from pointdistill.export.write import export_model, summary

    at_least(1, points=points, batch=batch)
    exported = export_model(model, out, format, points, batch)
    for line in summary(exported):
        say(line)
    return {"out": exported.path, **exported.description}
