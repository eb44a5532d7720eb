"""Learning rates and decay against their closed forms."""

import math

import pytest
import torch
from torch import nn

from pointdistill.engine.finetune import FinetuneConfig, learning_rate_factor
from pointdistill.engine.optim import adam, adamw, parameter_groups

PEAK, FIRST, LAST, EPOCHS, WARMUP = 5e-4, 1e-6, 1e-6, 720, 9


def of_3detr(share: float) -> float:
    """3DETR's learning rate where this share of training is over, written from its description."""
    if share <= WARMUP / EPOCHS:
        return FIRST + (PEAK - FIRST) * share * EPOCHS / WARMUP
    return LAST + (PEAK - LAST) * (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize("per_epoch", [1, 150])
def test_the_schedule_of_3detr(per_epoch: int) -> None:
    steps, warmup = EPOCHS * per_epoch, WARMUP * per_epoch
    config = FinetuneConfig(
        steps, lr=PEAK, warmup=warmup, floor=LAST / PEAK, warmup_start=FIRST / PEAK, cosine_from_start=True
    )
    for step in {0, 1, warmup - 1, warmup, warmup + 1, steps // 2, steps - 1}:
        assert PEAK * learning_rate_factor(config, step) == pytest.approx(of_3detr(step / steps), rel=1e-12)


def test_the_usual_schedule() -> None:
    config = FinetuneConfig(steps=110, warmup=10, floor=0.1)
    found = [learning_rate_factor(config, step) for step in (0, 4, 9, 10, 60, 110)]
    assert found == pytest.approx([0.1, 0.5, 1.0, 1.0, 0.55, 0.1])
    started = FinetuneConfig(steps=110, warmup=10, warmup_start=0.2)
    assert [learning_rate_factor(started, step) for step in (0, 5, 10, 60)] == pytest.approx([0.2, 0.6, 1.0, 0.5])
    without = FinetuneConfig(steps=100, warmup=0, warmup_start=0.2)
    assert learning_rate_factor(without, 0) == 1.0


def test_what_is_decayed() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    usual = parameter_groups(module, 1e-3, 0.1)
    assert sorted((len(group["params"]), group["weight_decay"]) for group in usual) == [(1, 0.1), (3, 0.0)]
    (everything,) = parameter_groups(module, 1e-3, 0.1, decay_all=True)
    assert len(everything["params"]) == 4 and everything["weight_decay"] == 0.1


@pytest.mark.parametrize("coupled", [True, False])
def test_first_step_of_adam_and_adamw(coupled: bool) -> None:
    """The moments of a first step cancel: its size is the learning rate, its direction the gradient's sign. Coupled
    decay is part of that gradient; decoupled decay shrinks the weight beside it."""
    module = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[2.0, -1.0]]))
    optimizer = (adam if coupled else adamw)(module, 0.01, 0.5)
    module.weight.grad = torch.tensor([[-0.1, -0.2]])
    optimizer.step()
    expected = [[2.0 - 0.01, -1.0 + 0.01]] if coupled else [[2.0 * 0.995 + 0.01, -1.0 * 0.995 + 0.01]]
    torch.testing.assert_close(module.weight.detach(), torch.tensor(expected), rtol=0, atol=1e-6)
