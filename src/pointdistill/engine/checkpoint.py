"""What a run goes on from: weights, buffers and optimiser moments, with the run's identity and how far it was."""

from pathlib import Path

import torch
from torch import Tensor, nn

from pointdistill.console import say
from pointdistill.errors import CheckpointError, RecipeError, TrainingDiverged
from pointdistill.tensors import load_tensors, save_tensors


def save_checkpoint(
    path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, identity: str, **progress: str
) -> None:
    """Write the training state atomically, with the run's identity and what else it needs to go on.

    The one before stays beside it (`previous`): the new one takes its place once it was read back.

    Raises:
        TrainingDiverged: a weight is NaN or infinite; what is there stays.
    """
    require_finite_weights(module, path)
    written = _beside(path, "new")
    save_tensors(written, training_state(module, optimizer), {"identity": identity, **progress}, verify=True)
    if path.exists():
        path.replace(previous(path))
    written.replace(path)


def resume(
    path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, identity: str, foreign: str
) -> dict[str, str]:
    """Put back what `save_checkpoint` wrote, and return its progress; nothing at all without a checkpoint.

    A damaged checkpoint is said to be so, and the one before is taken.

    Raises:
        RecipeError: a checkpoint of another identity; `foreign` says what the folder holds.
        CheckpointError: a damaged one, and none before it that is not.
    """
    there = [candidate for candidate in (path, previous(path)) if candidate.exists()]
    for candidate in there:
        try:
            tensors, metadata = load_tensors(candidate)
        except CheckpointError as error:
            if candidate == there[-1]:
                remedy = "Delete the folder's checkpoints to begin anew"
                raise CheckpointError(candidate, error.problem, remedy) from error
            said = f"{candidate}: {error.problem}; going on from the checkpoint before it"
            say(said)
            continue
        if metadata.get("identity") != identity:
            raise RecipeError(f"{path.parent}: holds {foreign}. Choose another output folder, or delete this one")
        restore_training_state(module, optimizer, tensors)
        return metadata
    return {}


def require_finite_weights(module: nn.Module, path: Path) -> None:
    """Raises TrainingDiverged where a weight or buffer is NaN or infinite, which finite losses and gradients do not
    rule out; `path` is where the last good ones are, if anywhere."""
    for name, value in module.state_dict().items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            problem = f"weights are not finite ({name}); {what_is_kept(path)}"
            raise TrainingDiverged(f"{path.parent}: {problem}. Lower the learning rate")


def what_is_kept(path: Path) -> str:
    """Said where a training has diverged."""
    return "the last good checkpoint is kept" if path.exists() else "no checkpoint yet"


def previous(path: Path) -> Path:
    """Where the checkpoint before the one at `path` is kept."""
    return _beside(path, "previous")


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f"{path.stem}.{what}{path.suffix}")


def delete_checkpoints(path: Path) -> None:
    """Of a run that needs them no more."""
    for each in (path, previous(path), _beside(path, "new")):
        each.unlink(missing_ok=True)


def training_state(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights, buffers and optimiser moments as one flat dictionary of named tensors."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in module.named_parameters()}
    tensors = {f"module.{name}": value for name, value in module.state_dict().items()}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            tensors[f"optimizer.{names[parameter]}.{key}"] = torch.as_tensor(value)
    return tensors


def restore_training_state(module: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `training_state` took."""
    weights = {name.removeprefix("module."): value for name, value in tensors.items() if name.startswith("module.")}
    module.load_state_dict(weights)
    parameters = dict(module.named_parameters())
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            parameter, _, key = name.removeprefix("optimizer.").rpartition(".")
            target = parameters[parameter]
            optimizer.state[target][key] = value.to(target.device)
