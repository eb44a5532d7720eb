"""Fine-tuned models on disk: model.safetensors with the weights, and model.json with all that is needed to build the
network again without the data it was trained on."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pointdistill.errors import CheckpointError
from pointdistill.files import read_json, write_json
from pointdistill.models.backbone import Config
from pointdistill.models.detr3d_encoder import SceneTransformerConfig
from pointdistill.models.dgcnn import DGCNNConfig
from pointdistill.models.fitting import fitted
from pointdistill.models.point_transformer import BackboneConfig
from pointdistill.tasks.base import Facts, Task, TaskModel
from pointdistill.tasks.classification import Classification
from pointdistill.tasks.detection import Detection
from pointdistill.tasks.part_segmentation import PartSegmentation
from pointdistill.tasks.semantic_segmentation import SemanticSegmentation
from pointdistill.tensors import load_tensors, save_tensors
from pointdistill.typed_json import read_typed

TASKS: tuple[type[Any], ...] = (Classification, SemanticSegmentation, Detection, PartSegmentation)
BACKBONES: tuple[type[Config], ...] = (BackboneConfig, DGCNNConfig, SceneTransformerConfig)
"""What a file may hold; model.json names one of each."""

WEIGHTS, CARD = "model.safetensors", "model.json"
_REMEDY = "Give the folder of a finished fine-tuning (`pointdistill finetune ... --out RUN`)"


@dataclass(frozen=True)
class SavedModel:
    """A fine-tuned model, read back.

    Attributes:
        task: its task, with all settings.
        model: the network, in evaluation mode.
        facts: what it took from its training data, such as the names of the classes.
        card: the content of model.json: also optimisation, seed, identity, version and the hash of its data.
    """

    task: Task
    model: TaskModel
    facts: Facts
    card: dict[str, Any]


def save_task_model(folder: Path, task: Task, facts: Facts, model: TaskModel, card: dict[str, Any]) -> None:
    """Write the weights, and beside them task, backbone, facts and what else `card` says."""
    save_tensors(folder / WEIGHTS, model.state_dict(), {"format": "pointdistill task model"})
    backbone = model.backbone.config
    described = {
        "task": task.name,
        "settings": task_settings(task),
        "architecture": type(backbone).__name__,
        "backbone": asdict(backbone),
        "facts": asdict(facts),
    }
    write_json(folder / CARD, {**described, **card})


def load_task_model(folder: str | Path, own: Task | None = None) -> SavedModel:
    """Read a finished fine-tuning back; no data are needed.

    Args:
        own: the task as the user's own file has it, for a run whose task is not one of the package's: its class is
            taken, its settings are those in model.json. Nothing that model.json names is ever run.

    Raises:
        CheckpointError: no such run, an unfinished one, one of another version's settings, or a damaged one.
    """
    folder = Path(folder)
    path = folder / CARD
    if not path.is_file() or not (folder / WEIGHTS).is_file():
        raise CheckpointError(folder, "holds no finished fine-tuning", _REMEDY)
    card = read_json(path, _REMEDY)
    kinds = TASKS if own is None else (type(own),)
    code = card.get("code") or {}
    if code.get("task") and own is None:
        problem = f"its task, {code['task']}, is of a file of its owner's, {code.get('file')}"
        remedy = f"Name it: pointdistill evaluate {folder} --recipe FILE.py:{code.get('name')}"
        raise CheckpointError(path, problem, remedy)
    if own is not None and own.name != card.get("task"):
        problem = f"is of the task {card.get('task')!r}, that of the recipe is {own.name!r}"
        raise CheckpointError(path, problem, "Name the recipe that it was trained by")
    try:
        kind = {known.name: known for known in kinds}[card["task"]]
        settings = {name: value for name, value in card["settings"].items() if name != "name"}
        task = read_typed(kind, settings)
        config = read_typed({known.__name__: known for known in BACKBONES}[card["architecture"]], card["backbone"])
        facts = read_typed(get_type_hints(kind.facts)["return"], card["facts"])
    except (KeyError, TypeError, AttributeError) as error:
        problem = f"is not of a model that this version knows ({error})"
        raise CheckpointError(path, problem, "Fine-tune again with this version") from error
    path, tensors = folder / WEIGHTS, load_tensors(folder / WEIGHTS)[0]
    model = fitted(
        lambda: task.build(config.build(), facts), (task, config), tensors, path, f"{CARD} beside it", "Fine-tune again"
    )
    return SavedModel(task, model.eval(), facts, card)


def task_settings(task: Task) -> dict[str, Any]:
    """A task as plain values: its name and its fields."""
    return {"name": task.name, **asdict(task)}  # type: ignore[call-overload]
