"""A model's folder -> one file that runs without this package, and a JSON that says how to use it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from pointdistill import __version__
from pointdistill.errors import DataError, PointdistillError
from pointdistill.export.open import open_subject
from pointdistill.export.subject import Subject
from pointdistill.files import write_bytes, write_json

Format = Literal["onnx", "torch"]
ENDINGS: dict[Format, str] = {"onnx": ".onnx", "torch": ".pt2"}
TOLERANCE = 1e-4
"""Largest difference allowed between what the file says and what the package says, of the largest number where that is
more than 1."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the graph.
        description: the content of the JSON beside it.
    """

    path: Path
    description: dict[str, Any]


def export_model(
    model: str | Path,
    out: str | Path,
    format: Format | None = None,
    points: int | None = None,
    batch: int = 1,
) -> Exported:
    """Write a model as one graph from raw points: ONNX, or a program of `torch.export`.

    The file is run on a made-up cloud before it is put in place, and held against the package. OUT.json beside it has
    what the file itself has in its metadata: inputs, outputs, classes, what the graph leaves outside, where the weights
    come from.

    Args:
        model: the folder of a fine-tuning (logits, boxes) or of a pre-training (tokens, centres, pooled), or
            backbone.safetensors.
        out: a file that ends in .onnx or .pt2.
        format: "onnx" or "torch"; None goes by the ending.
        points: points a cloud, fixed in the graph; None takes what the model was trained with.
        batch: clouds at a time, fixed too.

    Raises:
        CheckpointError: no model there, or a damaged one.
        MissingPackage: ONNX without the extra `onnx`.
        PointdistillError: fewer points than the model needs; a file that does not say what the package says.
        DataError: `out` ends in something else.
    """
    out = Path(out)
    format = _format(out, format)
    if format == "onnx":
        from pointdistill.export.onnx_file import require_onnx

        require_onnx()
    subject = open_subject(model, points, batch)
    inputs = example(subject)
    description = describe(subject)
    with torch.no_grad():
        expected = subject.network(*inputs)
        program = record(subject, inputs)
    if format == "onnx":
        from pointdistill.export.onnx_file import onnx_bytes, run_onnx

        content = onnx_bytes(program, subject, description)
        found = run_onnx(content, {port.name: value for port, value in zip(subject.inputs, inputs, strict=True)})
    else:
        from pointdistill.export.program_file import program_bytes, run_program

        content = program_bytes(program, description)
        found = run_program(content, inputs)
    description = {**description, "checked": _checked(out, subject, expected, found)}
    write_bytes(out, content)
    write_json(out.with_name(out.name + ".json"), description)
    return Exported(out, description)


def record(subject: Subject, inputs: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    """The network as a program of plain tensor operations, for these inputs' shapes."""
    for parameter in subject.network.parameters():
        parameter.requires_grad_(False)
    return torch.export.export(subject.network.eval(), inputs, strict=False)


def example(subject: Subject) -> tuple[Tensor, ...]:
    """Inputs of the right shapes: points spread over a room, always the same."""
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.rand(port.shape, generator=generator) * (torch.tensor([4.0, 3.0, 2.5]) if port.name == "points" else 1)
        if port.kind == "float32"
        else torch.zeros(port.shape, dtype=torch.int64)
        for port in subject.inputs
    )


def describe(subject: Subject) -> dict[str, Any]:
    """What users of the file must know, as plain values."""
    ports = {
        name: [{"name": port.name, "type": port.kind, "shape": list(port.shape), "is": port.meaning} for port in ports]
        for name, ports in (("inputs", subject.inputs), ("outputs", subject.outputs))
    }
    return {
        "producer": f"pointdistill {__version__}",
        "task": subject.task,
        **ports,
        **({"classes": list(subject.classes)} if subject.classes is not None else {}),
        "outside": list(subject.outside),
        **subject.facts,
        "provenance": subject.provenance,
    }


def _format(out: Path, format: Format | None) -> Format:
    by_ending: dict[str, Format] = {ending: name for name, ending in ENDINGS.items()}
    chosen = format or by_ending.get(out.suffix)
    if chosen is None:
        raise DataError(out, f"ends in none of {', '.join(ENDINGS.values())}", "Name one: model.onnx or model.pt2")
    if out.is_dir():
        raise DataError(out, "is a folder", "Name a file")
    if chosen not in get_args(Format):
        raise PointdistillError(f"there is no format {chosen!r}. Choose one of {', '.join(get_args(Format))}")
    if out.suffix != ENDINGS[chosen]:
        raise DataError(out, f"does not end in {ENDINGS[chosen]}", f"Files of the format {chosen} do")
    return chosen


def _checked(out: Path, subject: Subject, expected: tuple[Tensor, ...], found: tuple[Tensor, ...]) -> dict[str, float]:
    """The largest difference of each output of real numbers."""
    differences = {}
    for port, ours, its in zip(subject.outputs, expected, found, strict=True):
        if tuple(its.shape) != port.shape or str(its.dtype) != f"torch.{port.kind}":
            raise PointdistillError(f"{out}: its {port.name} are {its.dtype} {tuple(its.shape)}. Please report this")
        if port.kind == "float32":
            difference = float((ours - its).abs().max() / ours.abs().max().clamp_min(1))
            if not difference <= TOLERANCE:
                problem = f"its {port.name} differ from the package's by {difference:.1e}, more than {TOLERANCE:g}"
                raise PointdistillError(f"{out}: {problem}; it was not written. Please report this")
            differences[port.name] = difference
    return differences


def summary(exported: Exported) -> list[str]:
    """What was written, in lines."""

    def ports(name: str) -> str:
        said = exported.description[name]
        return ", ".join(f"{port['name']} {' x '.join(map(str, port['shape']))}" for port in said)

    size = exported.path.stat().st_size / 1e6
    worst = max(exported.description["checked"].values())
    return [
        f"{exported.path}: {exported.description['task'].replace('_', ' ')}, {size:.1f} MB; {ports('inputs')} -> "
        f"{ports('outputs')}",
        f"run on a made-up cloud: differs from the package by {worst:.0e} at most",
        f"how to use it: {exported.path}.json",
    ]
