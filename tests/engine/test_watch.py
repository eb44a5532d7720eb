import math

import pytest
import torch

from pointdistill.engine.optim import adamw
from pointdistill.engine.watch import PATIENCE, FiniteWatch


def test_looks_each_step_on_cpus_and_now_and_then_elsewhere():
    assert FiniteWatch("cpu").every == 1 and FiniteWatch("meta").every == PATIENCE > 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["loss", "norm"])
def test_the_first_bad_step_is_told_later_and_stops_the_optimiser(bad, where):
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 2)
    optimizer, watch = adamw(module, 0.1, 0.1), FiniteWatch("cpu", every=4)
    watch.guard(optimizer)
    kept = []
    for step in range(8):
        loss = module(torch.ones(1, 3)).square().sum()
        module.zero_grad()
        loss.backward()
        at_fault = step in (5, 6)
        given = {"loss": loss.detach(), "norm": torch.tensor(2.0 + step)}
        if at_fault:
            given[where] = torch.tensor(bad)
            module.weight.grad.fill_(bad)
        watch.see(step, **given)
        before = module.weight.detach().clone()
        optimizer.step()
        assert torch.equal(before, module.weight) == (step >= 5)
        kept.append(watch.bad_step(step + 1, must=False))
    assert kept[:7] == [None] * 7
    step, loss, norm = kept[7]
    assert step == 5 and math.isfinite({"loss": norm, "norm": loss}[where])
    assert {"loss": loss, "norm": norm}[where] == pytest.approx(bad, nan_ok=True)


def test_a_look_can_be_demanded():
    watch = FiniteWatch("cpu", every=100)
    watch.see(2, torch.tensor(math.nan), torch.tensor(1.0))
    assert watch.bad_step(3, must=False) is None
    step, loss, norm = watch.bad_step(3, must=True)
    assert (step, norm) == (2, 1.0) and math.isnan(loss)


def test_watched_steps_are_the_same_bits():
    weights = []
    for watched in (False, True):
        torch.manual_seed(0)
        module = torch.nn.Linear(5, 5)
        optimizer = adamw(module, 0.01, 0.1)
        if watched:
            watch = FiniteWatch("cpu")
            watch.guard(optimizer)
        for step in range(5):
            loss = module(torch.randn(4, 5)).square().mean()
            module.zero_grad()
            loss.backward()
            if watched:
                watch.see(step, loss.detach(), torch.tensor(1.0))
            optimizer.step()
        weights.append(module.weight.detach().clone())
    assert torch.equal(*weights)
