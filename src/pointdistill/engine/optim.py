"""Gradients and their norm, Adam and AdamW with the usual exemptions from weight decay, and the warm-up + cosine
schedule (Table 8)."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pointdistill import distributed

TOKEN_NAMES = ("prototypes", "mask_token", "cls_token", "cls_position")
"""Learnable tokens: not decayed, like biases, norms and everything one-dimensional."""


def parameter_groups(
    module: nn.Module,
    lr: float,
    weight_decay: float,
    lr_scale: Callable[[str], float] = lambda name: 1.0,
    decay_all: bool = False,
) -> list[dict]:
    """Trainable parameters in groups of equal learning rate and decay; frozen ones are left out.

    Args:
        module: the network.
        lr: base learning rate.
        weight_decay: for matrices; biases, norms, 1-D and token parameters get none.
        lr_scale: factor on the learning rate of the parameter of this name.
        decay_all: decay those too.
    """
    groups: dict[tuple[float, float], dict] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        exempt = not decay_all and (parameter.ndim <= 1 or name.rsplit(".", 1)[-1] in TOKEN_NAMES)
        rate, decay = lr * lr_scale(name), 0.0 if exempt else weight_decay
        group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "base_lr": rate, "weight_decay": decay})
        group["params"].append(parameter)
    return list(groups.values())


def adamw(
    module: nn.Module,
    lr: float,
    weight_decay: float,
    lr_scale: Callable[[str], float] = lambda name: 1.0,
    decay_all: bool = False,
) -> torch.optim.AdamW:
    """AdamW over the trainable parameters; see `parameter_groups`."""
    return torch.optim.AdamW(parameter_groups(module, lr, weight_decay, lr_scale, decay_all), fused=True)


def adam(
    module: nn.Module,
    lr: float,
    weight_decay: float,
    lr_scale: Callable[[str], float] = lambda name: 1.0,
    decay_all: bool = False,
) -> torch.optim.Adam:
    """Adam over the trainable parameters, the decay added to the gradient; see `parameter_groups`."""
    return torch.optim.Adam(parameter_groups(module, lr, weight_decay, lr_scale, decay_all), fused=True)


def cosine_with_warmup(
    step: int, total: int, warmup: int, floor: float = 0.0, start: float | None = None, from_start: bool = False
) -> float:
    """Factor on the base learning rate at a step: linear over `warmup` steps, then a cosine to `floor`.

    Args:
        step: from 0.
        total: steps of the whole training.
        warmup: steps of the warm-up; 0 for none.
        floor: where the cosine ends.
        start: the factor at step 0, from which the warm-up reaches 1 AT step `warmup`. None: 1 / `warmup`, and 1 at
            the warm-up's last step.
        from_start: the cosine runs over all of training and the warm-up replaces its beginning (3DETR), so that it goes
            on below 1; else it begins, at 1, where the warm-up ends.
    """
    if start is None and step < warmup:
        return (step + 1) / warmup
    if start is not None and warmup and step <= warmup:
        return start + (1.0 - start) * step / warmup
    begin = 0 if from_start else warmup
    progress = (step - begin) / max(1, total - begin)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set each group's learning rate to its base times the factor."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def backward(total: Float[Tensor, ""], module: nn.Module, clip: float | None = None) -> Float[Tensor, ""]:
    """Leave the gradients of `total`, summed over all processes, with the module's parameters.

    Args:
        total: what this process adds to the loss.
        module: all of its parameters are differentiated by, but frozen ones.
        clip: largest norm; longer gradients are shortened to it.

    Returns:
        Their norm before that. Nothing here waits for another device than the CPU.
    """
    module.zero_grad(set_to_none=True)
    total.backward()
    distributed.sum_gradients(module)
    found = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    norm = nn.utils.get_total_norm(found)
    if clip is not None:
        nn.utils.clip_grads_with_norm_(module.parameters(), clip, norm)
    return norm
