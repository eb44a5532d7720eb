"""The fine-tuning loop on a task of three shapes."""

import json
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pointdistill import __version__
from pointdistill.datasets.objects import ObjectSet
from pointdistill.engine.finetune import FinetuneConfig, finetune, run_identity
from pointdistill.errors import RecipeError, TrainingDiverged
from pointdistill.losses import Losses
from pointdistill.models.point_transformer import PointTransformer, create_backbone
from pointdistill.stopping import Stopped, listening
from pointdistill.tasks.base import Splits, fingerprint
from pointdistill.tasks.classification import Classification, ClassificationBatch, ClassificationModel
from pointdistill.tensors import load_tensors

TASK = Classification(points=48, group_count=8, group_size=8, hidden=16, dropout=0.3, test_sampling="random")
CONFIG = FinetuneConfig(steps=6, batch_size=4, lr=3e-3, warmup=2, eval_every=3, checkpoint_every=2, log_every=1)


def backbone(seed: int = 0) -> PointTransformer:
    torch.manual_seed(seed)
    return create_backbone("vit_nano", width=24, depth=2, heads=2, drop_path=0.2)


def objects(seed: int) -> ObjectSet:
    generator = np.random.default_rng(seed)
    labels = np.arange(9) % 3
    clouds = generator.normal(size=(9, 64, 3)) * np.array([[1, 1, 1], [1, 1, 0.05], [0.1, 0.1, 1]])[labels][:, None]
    names = tuple(f"shape_{i}" for i in range(9))
    return ObjectSet(clouds.astype(np.float32), labels.astype(np.int64), names, ("ball", "plate", "pole"))


DATA = Splits(objects(0), objects(1), objects(2))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_tensors(folder / "model.safetensors")[0]


def same(first: Path, second: Path) -> bool:
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Interrupted(Exception):
    pass


def stop_after(step: int):
    def report(done: int, total: int, note: str) -> None:
        if done == step:
            raise Interrupted

    return report


@pytest.mark.parametrize("stop", [1, 5])
def test_an_interrupted_run_equals_an_uninterrupted_one(tmp_path: Path, stop: int) -> None:
    whole = finetune(TASK, backbone(), DATA, CONFIG, 0, tmp_path / "whole")
    with pytest.raises(Interrupted):
        finetune(TASK, backbone(), DATA, CONFIG, 0, tmp_path / "parts", report=stop_after(stop))
    torch.manual_seed(123)  # whatever ran in between
    resumed = finetune(TASK, backbone(), DATA, CONFIG, 0, tmp_path / "parts")
    assert same(tmp_path / "whole", tmp_path / "parts")
    assert {**whole, "seconds": 0} == {**resumed, "seconds": 0}
    assert (tmp_path / "whole/log.jsonl").read_text() == (tmp_path / "parts/log.jsonl").read_text()
    assert not (tmp_path / "parts/checkpoint.safetensors").exists()


def test_adam_goes_on_with_its_own_moments(tmp_path: Path) -> None:
    config = replace(CONFIG, optimiser="adam", decay_all=True, warmup_start=0.1, cosine_from_start=True)
    finetune(TASK, backbone(), DATA, config, 0, tmp_path / "whole")
    with pytest.raises(Interrupted):
        finetune(TASK, backbone(), DATA, config, 0, tmp_path / "parts", report=stop_after(5))
    finetune(TASK, backbone(), DATA, config, 0, tmp_path / "parts")
    finetune(TASK, backbone(), DATA, replace(config, optimiser="adamw"), 0, tmp_path / "other")
    assert same(tmp_path / "whole", tmp_path / "parts") and not same(tmp_path / "whole", tmp_path / "other")


def test_seeds_decide_and_the_given_backbone_stays(tmp_path: Path) -> None:
    start = backbone()
    before = {name: value.clone() for name, value in start.state_dict().items()}
    finetune(TASK, start, DATA, CONFIG, 0, tmp_path / "a")
    finetune(TASK, backbone(), DATA, CONFIG, 0, tmp_path / "b")
    finetune(TASK, backbone(), DATA, CONFIG, 1, tmp_path / "c")
    assert all(torch.equal(before[name], value) for name, value in start.state_dict().items())
    assert same(tmp_path / "a", tmp_path / "b") and not same(tmp_path / "a", tmp_path / "c")


def test_result_log_and_files(tmp_path: Path) -> None:
    seen = []
    result = finetune(TASK, backbone(), DATA, CONFIG, 0, tmp_path, report=lambda *call: seen.append(call[:2]))
    assert seen == [(step, 6) for step in range(1, 7)]
    assert result == json.loads((tmp_path / "result.json").read_text())
    assert result["metric"] == "accuracy" and result["value"] == result["test"]["accuracy"]
    assert [step for step, _ in result["curve"]] == [3, 6]
    highest = max(value for _, value in result["curve"])
    assert result["best"] == next({"step": at, "value": value} for at, value in result["curve"] if value == highest)
    assert finetune(TASK, backbone(), DATA, replace(CONFIG, eval_every=0), 0, tmp_path / "none")["best"] is None
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6] and all("loss" in row for row in rows)
    card = json.loads((tmp_path / "model.json").read_text())
    assert card["backbone"]["width"] == 24 and card["version"] == __version__ and card["data"] == fingerprint(DATA)


@dataclass(frozen=True)
class Asked(Classification):
    """Whose validation is long enough for somebody to ask for the end."""

    def evaluate(self, model: ClassificationModel, split: ObjectSet, seed: int, quick: bool = False) -> dict:
        if quick:
            signal.raise_signal(signal.SIGTERM)
        return super().evaluate(model, split, seed, quick)


@pytest.mark.parametrize("where", ["training", "validation"])
@pytest.mark.parametrize("checkpoint_every", [0, 3])
def test_a_run_that_is_asked_to_stop_saves_what_it_has(tmp_path: Path, where: str, checkpoint_every: int) -> None:
    config = replace(CONFIG, checkpoint_every=checkpoint_every)
    whole = finetune(TASK, backbone(), DATA, config, 0, tmp_path / "whole")

    def report(done: int, total: int, note: str) -> None:
        if where == "training" and done == 1:
            signal.raise_signal(signal.SIGTERM)

    task = Asked(**vars(TASK)) if where == "validation" else TASK
    step = 3 if where == "validation" else 2
    with listening(), pytest.raises(Stopped, match=f"saved at step {step};"):
        finetune(task, backbone(), DATA, config, 0, tmp_path / "parts", report=report)
    assert load_tensors(tmp_path / "parts" / "checkpoint.safetensors")[1]["step"] == str(step)
    resumed = finetune(TASK, backbone(), DATA, config, 0, tmp_path / "parts")
    assert {**whole, "seconds": 0} == {**resumed, "seconds": 0} and same(tmp_path / "whole", tmp_path / "parts")
    assert (tmp_path / "whole" / "log.jsonl").read_text() == (tmp_path / "parts" / "log.jsonl").read_text()
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == [
        "log.jsonl",
        "model.json",
        "model.safetensors",
        "result.json",
    ]


def test_training_is_not_lost_with_the_test(tmp_path: Path) -> None:
    class Cut(Exception):
        pass

    @dataclass(frozen=True)
    class Killed(Classification):
        def evaluate(self, model: ClassificationModel, split: ObjectSet, seed: int, quick: bool = False) -> dict:
            if not quick:
                raise Cut
            return super().evaluate(model, split, seed, quick)

    whole = finetune(TASK, backbone(), DATA, CONFIG, 0, tmp_path / "whole")
    with pytest.raises(Cut):
        finetune(Killed(**vars(TASK)), backbone(), DATA, CONFIG, 0, tmp_path / "parts")
    steps = []
    resumed = finetune(TASK, backbone(), DATA, CONFIG, 0, tmp_path / "parts", report=lambda *call: steps.append(call))
    assert steps == [] and {**whole, "seconds": 0} == {**resumed, "seconds": 0}


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    first = finetune(TASK, backbone(), DATA, CONFIG, 0, tmp_path)
    stamp = (tmp_path / "model.safetensors").stat().st_mtime_ns
    assert finetune(TASK, backbone(), DATA, CONFIG, 0, tmp_path) == first
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == stamp
    with pytest.raises(RecipeError, match="other settings"):
        finetune(TASK, backbone(), DATA, replace(CONFIG, lr=1e-3), 0, tmp_path)


def test_identity_tells_weights_data_and_settings_apart() -> None:
    reference = run_identity(TASK, backbone(), DATA, CONFIG, 0)
    assert reference == run_identity(TASK, backbone(), DATA, CONFIG, 0)
    others = [
        run_identity(TASK, backbone(1), DATA, CONFIG, 0),
        run_identity(TASK, backbone(), replace(DATA, train=objects(9)), CONFIG, 0),
        run_identity(TASK, backbone(), DATA, replace(CONFIG, clip=1.0), 0),
        run_identity(replace(TASK, points=32), backbone(), DATA, CONFIG, 0),
        run_identity(TASK, backbone(), DATA, CONFIG, 1),
    ]
    assert len({reference, *others}) == 6


@pytest.mark.parametrize("change", [{"backbone_lr_scale": 0.0}, {"head_warmup": 6}])
def test_a_frozen_backbone_keeps_its_weights(tmp_path: Path, change: dict) -> None:
    finetune(TASK, backbone(), DATA, replace(CONFIG, **change), 0, tmp_path)
    start, end = dict(backbone().named_parameters()), weights(tmp_path)
    assert all(torch.equal(value, end[f"backbone.{name}"]) for name, value in start.items())


def test_layer_decay_slows_early_layers(tmp_path: Path) -> None:
    finetune(TASK, backbone(), DATA, replace(CONFIG, layer_decay=1e-4, weight_decay=0.0), 0, tmp_path)
    start, end = backbone().state_dict(), weights(tmp_path)

    def moved(name: str) -> float:
        return (start[name] - end[f"backbone.{name}"]).abs().max().item()

    assert moved("patch_embed.out.weight") < 1e-8 < moved("blocks.1.ffn.contract.weight") < moved("norm.weight")


@dataclass(frozen=True)
class Diverging(Classification):
    """Its loss is NaN wherever the fourth batch comes."""

    def loss(self, model: ClassificationModel, batch: ClassificationBatch) -> Losses:
        losses = super().loss(model, batch)
        model.calls = getattr(model, "calls", 0) + 1
        return Losses(losses.total * float("nan"), losses.parts) if model.calls == 4 else losses


def test_divergence_names_the_step_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    task = Diverging(points=48, group_count=8, group_size=8, hidden=16)
    with pytest.raises(TrainingDiverged, match=r"step 4: loss nan.*checkpoint is kept"):
        finetune(task, backbone(), DATA, CONFIG, 0, tmp_path)
    tensors, metadata = load_tensors(tmp_path / "checkpoint.safetensors")
    assert metadata["step"] == "2" and all(torch.isfinite(value.float()).all() for value in tensors.values())
    assert not (tmp_path / "result.json").exists()
