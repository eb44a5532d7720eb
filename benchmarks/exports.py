"""How long a pass of an exported model takes, beside the package itself, and how large its files are.

`python benchmarks/exports.py` writes models with random weights at the paper's sizes and their exports into a temporary
folder, runs package, onnxruntime and .pt2 in turns on one thread, and prints a Markdown table: medians of a pass's
processor time, which other work on the machine moves least. A choice of models: `--models vit_s`.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
import tyro
from torch import Tensor

from pointdistill.export import export_model
from pointdistill.export.open import open_subject
from pointdistill.export.write import example
from pointdistill.models.checkpoints import save_backbone
from pointdistill.models.point_transformer import create_backbone
from pointdistill.recipes.downstream import RECIPES
from pointdistill.tasks.detection import MeanSize
from pointdistill.tasks.saved import save_task_model

MODELS = ("vit_s", "scannet-detection", "scannet-detection-set-abstraction", "scannet-3detr")


def build(name: str, folder: Path) -> None:
    """A model with random weights, as pre-training or fine-tuning writes it."""
    torch.manual_seed(0)
    if name == "vit_s":
        save_backbone(create_backbone(name), folder, {})
        return
    recipe, facts = RECIPES[name](), MeanSize((0.6, 0.6, 0.8))
    save_task_model(folder, recipe.task, facts, recipe.task.build(recipe.backbone.build(), facts), {})


def passes(folder: Path) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
    """One pass of each form, and the files' sizes in MB."""
    sizes = {}
    for ending in ("onnx", "pt2"):
        path = export_model(folder, folder / f"model.{ending}").path
        sizes[ending] = path.stat().st_size / 1e6
    subject = open_subject(folder, None, 1)
    inputs: tuple[Tensor, ...] = example(subject)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    program = torch.export.load(folder / "model.pt2").module()
    network = subject.network.eval()
    forms = {
        "package": lambda: network(*inputs),
        "onnx": lambda: session.run(None, {"points": inputs[0].numpy()}),
        "pt2": lambda: program(*inputs),
    }
    return forms, sizes


@torch.no_grad()
def main(models: tuple[str, ...] = MODELS, rounds: int = 5):
    """Measure and print.

    Args:
        models: the backbone, and recipes of detection.
        rounds: passes of each form, after one that is not counted.
    """
    torch.set_num_threads(1)
    print("| model | package | onnxruntime | .pt2 | .onnx | .pt2 file |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in models:
        with tempfile.TemporaryDirectory() as folder:
            build(name, Path(folder))
            forms, sizes = passes(Path(folder))
            taken: dict[str, list[float]] = {form: [] for form in forms}
            for _ in range(rounds + 1):
                for form, run in forms.items():
                    started = time.process_time()
                    run()
                    taken[form].append(time.process_time() - started)
            medians = {form: statistics.median(each[1:]) for form, each in taken.items()}
        ratios = {form: medians[form] / medians["package"] for form in ("onnx", "pt2")}
        print(
            f"| {name} | {medians['package']:.2f} s | x {ratios['onnx']:.2f} | x {ratios['pt2']:.2f} | "
            f"{sizes['onnx']:.0f} MB | {sizes['pt2']:.0f} MB |",
            flush=True,
        )


if __name__ == "__main__":
    tyro.cli(main)
