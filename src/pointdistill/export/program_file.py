"""A program of `torch.export` as a file, and such a file run: for whoever has PyTorch, but not this package."""

import io
import json
from typing import Any

import torch
from torch import Tensor

DESCRIPTION = "pointdistill.json"
"""The description's name among the file's extra files."""


def program_bytes(program: torch.export.ExportedProgram, description: dict[str, Any]) -> bytes:
    """The program as a .pt2 archive: the graph as JSON, weights as plain bytes. Nothing in it is pickled: the example
    inputs, which `torch.export.save` would pickle, are left out, and so is where in this code each node came from."""
    program.example_inputs = None
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={DESCRIPTION: json.dumps(description, indent=1)})
    return content.getvalue()


def run_program(content: bytes, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What the file's program makes of the inputs."""
    with torch.no_grad():
        return torch.export.load(io.BytesIO(content)).module()(*inputs)
