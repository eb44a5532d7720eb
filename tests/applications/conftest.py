"""A tiny finished distillation whose student says, of every cloud, what the embedded teacher says of one picture."""

from pathlib import Path

import pytest
import torch

import tiny_run


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Path:
    """Six frames of two rooms, with the embedded teacher's targets."""
    return tiny_run.write_store(tmp_path_factory.mktemp("rooms"))


@pytest.fixture(scope="session")
def run(store) -> Path:
    """The run; its projector was set by hand."""
    return tiny_run.write_run(store, store.parent / "run")


@pytest.fixture(scope="session")
def target(store) -> torch.Tensor:
    """What the student predicts, (1, prefix, width)."""
    return tiny_run.target_of(store)
