"""What a run goes on from: two checkpoints, so that one may be damaged."""

import gc
import tracemalloc
from pathlib import Path

import pytest
import torch
from torch import nn

from pointdistill.console import console
from pointdistill.engine.checkpoint import delete_checkpoints, previous, resume, save_checkpoint
from pointdistill.engine.optim import adamw
from pointdistill.errors import CheckpointError, RecipeError
from pointdistill.tensors import load_tensors, save_tensors


def state(seed: int):
    torch.manual_seed(seed)
    module = nn.Linear(40, 3)
    optimizer = adamw(module, 0.1, 0.1)
    module(torch.ones(1, 40)).sum().backward()
    optimizer.step()
    return module, optimizer


@pytest.fixture
def path(tmp_path):
    """Of steps 1 to 3; the weights of a step are those of its seed."""
    path = tmp_path / "state.safetensors"
    for step in (1, 2, 3):
        save_checkpoint(path, *state(step), "mine", step=str(step))
    return path


def resumed(path: Path) -> int:
    """The step that a run goes on from, with that step's weights and moments."""
    module, optimizer = state(9)
    progress = resume(path, module, optimizer, "mine", "another's run")
    expected, moments = state(int(progress["step"]))
    assert all(
        torch.equal(ours, theirs) for ours, theirs in zip(module.parameters(), expected.parameters(), strict=True)
    )
    for ours, theirs in zip(optimizer.state.values(), moments.state.values(), strict=True):
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    return int(progress["step"])


def damage(path: Path) -> None:
    """One bit of a number."""
    content = bytearray(path.read_bytes())
    content[-100] ^= 4
    path.write_bytes(bytes(content))


def test_the_newest_of_two(path):
    assert resumed(path) == 3
    assert sorted(each.name for each in path.parent.iterdir()) == ["state.previous.safetensors", "state.safetensors"]
    delete_checkpoints(path)
    assert not list(path.parent.iterdir()) and resume(path, *state(9), "mine", "") == {}


@pytest.mark.parametrize("how", ["a bit", "cut off", "empty", "absent"])
def test_the_one_before_a_damaged_one(path, how):
    if how == "a bit":
        damage(path)
    elif how == "absent":  # killed between two renames
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 0 if how == "empty" else -5])
    with console.capture() as told:
        assert resumed(path) == 2
    said = told.get()
    assert ("going on from the checkpoint before it" in said) == (how != "absent")
    assert ("is damaged (its checksum is another)" in said) == (how == "a bit")
    save_checkpoint(path, *state(4), "mine", step="4")
    assert resumed(path) == 4


def test_none_that_is_whole(path):
    damage(path), damage(previous(path))
    with pytest.raises(CheckpointError, match=r"state\.previous\.safetensors: is damaged .*checkpoints to begin anew"):
        resumed(path)


def test_of_another_run(path):
    with pytest.raises(RecipeError, match="another's run"):
        resume(path, *state(0), "yours", "another's run")


def test_what_cannot_be_read_back_takes_nobodys_place(path, monkeypatch):
    from pointdistill import tensors

    save = tensors.save_file

    def faulty(named, target, header):
        save(named, target, header)
        damage(Path(target))

    monkeypatch.setattr(tensors, "save_file", faulty)
    with pytest.raises(CheckpointError, match="is damaged"):
        save_checkpoint(path, *state(4), "mine", step="4")
    assert resumed(path) == 3 and previous(path).exists()


def test_every_kind_of_number_and_shape_comes_back(tmp_path):
    kinds = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16)
    given = {str(kind): torch.arange(6).view(2, 3).to(kind) for kind in (*kinds, torch.int8, torch.uint8, torch.bool)}
    given |= {"none": torch.zeros(0, 4), "one": torch.tensor(2.5)}
    save_tensors(tmp_path / "a.safetensors", given, {"words": "a"}, verify=True)
    found, header = load_tensors(tmp_path / "a.safetensors")
    assert header == {"words": "a"} and found.keys() == given.keys()
    for name, value in given.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value)


def test_reading_loses_no_memory(tmp_path):
    save_tensors(tmp_path / "a.safetensors", {str(number): torch.zeros(300) for number in range(50)}, {})
    load_tensors(tmp_path / "a.safetensors")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(20):
        load_tensors(tmp_path / "a.safetensors")
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000  # 50 tensors, 20 times: less than 20 bytes each
