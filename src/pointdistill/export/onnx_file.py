"""A program as ONNX, and ONNX run (extra `onnx`)."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from pointdistill.errors import MissingPackage, PointdistillError
from pointdistill.export.subject import Subject

OPSET = 20
"""The ONNX operators' version: the first with GELU as one operator."""
_NOISY = ("torch.onnx._internal.exporter._registration", "onnxscript", "onnx_ir")
"""Loggers that speak of packages which are not needed here."""


def require_onnx() -> None:
    """Raise MissingPackage where ONNX cannot be written or run."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise MissingPackage("export to ONNX", package, "onnx")


def onnx_bytes(program: torch.export.ExportedProgram, subject: Subject, description: dict[str, Any]) -> bytes:
    """The program as one ONNX file, checked by onnx, the description in its metadata: text by name, all that is no text
    as JSON."""
    import onnx

    model = translate(program, [port.name for port in subject.inputs], [port.name for port in subject.outputs])
    model.producer_name, model.producer_version = "pointdistill", description["producer"].rpartition(" ")[2]
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in description.items()}
    onnx.helper.set_model_props(model, texts)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def translate(program: torch.export.ExportedProgram, inputs: list[str], outputs: list[str]) -> Any:
    """The program as an `onnx.ModelProto`, with these names for what goes in and comes out.

    Raises:
        PointdistillError: this version of torch has no translation of something in it.
    """
    try:
        with _quiet():
            written = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                custom_translation_table={torch.ops.aten.sort.stable: _stable_sort},
                input_names=inputs,
                output_names=outputs,
            )
    except torch.onnx.OnnxExporterError as error:
        said = str(error.__cause__ or error).partition("\n")[0]
        raise PointdistillError(
            f"torch {torch.__version__} cannot write this model as ONNX ({said}). Try a newer one"
        ) from error
    assert written is not None
    model = written.model_proto
    _forget_sources(model.graph)
    return model


def run_onnx(content: bytes, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """What onnxruntime makes of the inputs, on the CPU with torch's number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return tuple(torch.from_numpy(value) for value in found)


def _stable_sort(self, stable=None, dim=-1, descending=False):
    """TopK of all: ONNX wants equal values in the order of their index. Torch's exporter knows the other sort alone."""
    from onnxscript import opset20 as op

    size: Any = op.Constant(value_ints=[self.shape[dim]])
    return op.TopK(self, size, axis=dim, largest=descending, sorted=True)


def _forget_sources(graph: Any) -> None:
    """Drop what the exporter remembers of the code that each node came from, this machine's paths among it."""
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
        for attribute in node.attribute:
            if attribute.HasField("g"):  # asked first: what is looked into counts as given
                _forget_sources(attribute.g)
    for value in (*graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del value.metadata_props[:]
    del graph.metadata_props[:]


@contextmanager
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
