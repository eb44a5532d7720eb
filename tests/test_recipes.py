"""Recipes: the paper's is Table 8, a recipe's hash notices every setting, and each one builds and takes two steps."""

import dataclasses
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from PIL import Image

from pointdistill import cli
from pointdistill.distilled import load_distilled, read_finished
from pointdistill.engine.log import read_log
from pointdistill.engine.optim import adamw
from pointdistill.errors import CheckpointError, RecipeError
from pointdistill.methods.base import Draw
from pointdistill.methods.distill import Distill
from pointdistill.methods.distill_reconstruction import MASKED_FEATURES, DistillReconstructionConfig
from pointdistill.methods.dvae import DVAEConfig
from pointdistill.methods.point_bert import PointBERTConfig
from pointdistill.models.checkpoints import load_backbone
from pointdistill.models.point_transformer import BACKBONES
from pointdistill.prepare import FrameSettings, prepare_recordings
from pointdistill.pretraining import build_method, require_papers_store, run_pretrain, summary, train_loader
from pointdistill.recipes.ablations import CLIP_FEATURE, CLIP_PATCHES, IMAGENET, random_teacher
from pointdistill.recipes.named import pretraining_recipes
from pointdistill.recipes.paper import paper
from pointdistill.recipes.quickstart import Mode, distillation, point_mae, quickstart
from pointdistill.recipes.recipe import (
    PretrainRecipe,
    as_json,
    first_stage,
    read_pretrain_recipe,
    recipe_hash,
    with_optimisation,
)
from pointdistill.recipes.reconstruction import MaskAt, distillation_with_reconstruction, reconstruction
from pointdistill.recipes.self_supervised import point_bert
from pointdistill.store import FrameStore
from pointdistill.teachers.clip import VIT_B32
from pointdistill.tensors import load_tensors

MASK_AT: tuple[MaskAt, ...] = get_args(MaskAt)
MODES: tuple[Mode, ...] = get_args(Mode)

TABLE_8 = {
    "Learning Rate": ("engine.lr", 1e-3),
    "Weight Decay": ("engine.weight_decay", 5e-2),
    "Epoch": ("engine.epochs", 250),
    "Warmup epoch": ("engine.warmup_epochs", 10),
    "Augmentation, scale": ("frames.augmentation.scale", (2 / 3, 3 / 2)),
    "Augmentation, translate": ("frames.augmentation.shift", 0.2),
    "Number of Points": ("frames.points", 4096),
    "Patch Size": ("backbone.group_size", 32),
    "Number of Patches": ("backbone.groups", 64),
    "Number of Concept Tokens": ("method.concepts.count", 32),
    "Encoder Dim, Transformer Dim, Concept Dim": ("backbone.width", 384),
    "Encoder Depth": ("backbone.depth", 12),
    "Number of Heads": ("backbone.heads", 6),
    "Number of Heads, cross-attention": ("method.concepts.heads", 6),
    "2D Caption Model": ("teacher", "clipcap-conceptual"),
    "Dataset": ("frames.dataset", "ScanNetV2"),
    "Sample Frame Rate": ("frames.every", 25),
}
"""Row of Table 8 -> setting and value. Optimizer and schedule are not settings: the loop has AdamW and cosine only. The
prefix length of 10 is the teacher's: it comes with the store."""

DECIDED = {
    "engine.batch_size": 128,
    "engine.clip": None,
    "frames.split": "train",
    "frames.frame": "camera",
    "frames.stored_points": 16384,
    "frames.augmentation.yaw": False,
    "frames.augmentation.flip": False,
    "backbone.drop_path": 0.1,
    "method.concepts.tie_layers": True,
    "method.concepts.attend": "block_input",
    "method.concepts.prototype_std": 1.0,
    "method.concepts.norm_output": False,
    "method.concepts.unit_start": False,
    "method.projector.form": "flat",
    "method.projector.hidden": 3840,
    "method.standardise": "none",
}
"""Where the paper is silent: the defaults that docs/paper.md gives."""


def _at(recipe: object, path: str) -> Any:
    return reduce(getattr, path.split("."), recipe)


@pytest.mark.parametrize("row", TABLE_8)
def test_paper_is_table_8(row):
    path, expected = TABLE_8[row]
    assert _at(paper(), path) == expected


@pytest.mark.parametrize("path", DECIDED)
def test_paper_decides_the_rest_as_documented(path):
    assert _at(paper(), path) == DECIDED[path]


def test_papers_backbone_is_the_one_that_create_backbone_gives():
    assert paper().backbone == BACKBONES["vit_s"]


def _another(value: Any, hint: Any) -> Any:
    """Another value that the field's type allows."""
    if get_origin(hint) is Literal:
        return next(choice for choice in get_args(hint) if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + " "
    if isinstance(value, tuple):
        return (_another(value[0], None), *value[1:])
    assert value is None, f"no other value for {value!r}"
    optional = [kind for kind in get_args(hint) if dataclasses.is_dataclass(kind)]
    return optional[0]() if optional else 1.0


def _variants(recipe: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The recipe with one leaf changed, for each leaf."""
    hints = get_type_hints(type(recipe))
    for field in dataclasses.fields(recipe):
        value, where = getattr(recipe, field.name), f"{path}.{field.name}".lstrip(".")
        if dataclasses.is_dataclass(value):
            for place, changed in _variants(value, where):
                yield place, replace(recipe, **{field.name: changed})
        else:
            yield where, replace(recipe, **{field.name: _another(value, hints[field.name])})


ABLATION = [build(distillation(), at) for build in (reconstruction, distillation_with_reconstruction) for at in MASK_AT]
"""Tables 6 and 7 at the quickstart's size."""


@pytest.mark.parametrize(
    "recipe",
    [paper(), distillation(), point_mae(distillation()), point_bert(distillation()), *ABLATION],
    ids=lambda recipe: recipe.name,
)
def test_hash_changes_with_every_setting_and_with_nothing_else(recipe: PretrainRecipe):
    assert recipe_hash(recipe) == recipe_hash(dataclasses.replace(recipe))
    seen = {recipe_hash(recipe): "the recipe itself"}
    for place, changed in _variants(recipe):
        digest = recipe_hash(changed)
        assert digest not in seen, f"{place} has the hash of {seen[digest]}"
        seen[digest] = place
    assert len(seen) > 25


def test_hash_sees_what_goes_with_the_recipe():
    hashes = {recipe_hash(paper()), *(recipe_hash(paper(), {"data": data}) for data in ("a", "b"))}
    assert len(hashes) == 3


@pytest.mark.parametrize("recipe", [paper(), *map(quickstart, MODES)], ids=["paper", *MODES])
def test_as_json_round_trips(recipe):
    content = as_json(recipe)
    assert json.loads(json.dumps(content)) == content
    assert content["recipe"] == type(recipe).__name__


def test_quickstart_trains_all_columns_alike():
    """Every initialisation of a task has its one TaskRecipe; the controls have the distillation's settings."""
    thorough = quickstart("thorough")
    assert thorough.point_mae is not None
    differing = {name for name in ("backbone", "frames", "engine", "teacher") if _differs(thorough, name)}
    assert not differing
    assert thorough.permuted and len(thorough.seeds) == len(thorough.pretrain_seeds) == 5
    assert thorough.pretrain == quickstart("full").pretrain and len(thorough.control_seeds) == 3
    assert len(quickstart("full").seeds) == 3 and len(quickstart("fast").seeds) == 1
    for mode in MODES:
        recipe = quickstart(mode)
        assert list(recipe.tasks) == ["classification", "semantic_segmentation", "detection", "part_segmentation"]
        assert [task.task.name for task in recipe.tasks.values()] == list(recipe.tasks)


def _differs(recipe, name: str) -> bool:
    return getattr(recipe.pretrain, name) != getattr(recipe.point_mae, name)


# Below: a store of a few generated frames, through the real preparation, for recipes to train on.


@dataclass(frozen=True)
class GeneratedFrame:
    """A wavy wall some metres away."""

    index: int
    scan: int

    @property
    def pose(self) -> np.ndarray:
        """Looking along the world's y axis."""
        pose = np.eye(4, dtype=np.float32)
        pose[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
        return pose

    @property
    def colour(self) -> bytes:
        data = io.BytesIO()
        Image.new("RGB", (16, 12), (20 * self.index, 90 * self.scan, 60)).save(data, "JPEG")
        return data.getvalue()

    @property
    def depth(self) -> np.ndarray:
        rows, columns = np.indices((72, 96))
        return (2500 + 900 * np.sin(rows / 9 + self.index) * np.cos(columns / 7 + self.scan)).astype(np.uint16)


class GeneratedReader:
    colour_size, depth_size, depth_shift = (16, 12), (96, 72), 1000.0
    colour_extrinsics = depth_extrinsics = np.eye(4, dtype=np.float32)
    colour_intrinsics = np.array([[14, 0, 8, 0], [0, 14, 6, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32)
    depth_intrinsics = np.array([[80, 0, 48, 0], [0, 80, 36, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32)

    def __init__(self, scan: int, frame_count: int):
        self.scan, self.frame_count = scan, frame_count

    def every(self, step: int, on_problem: Callable | None = None) -> Iterator[GeneratedFrame]:
        return (GeneratedFrame(index, self.scan) for index in range(0, self.frame_count, step))

    def __enter__(self) -> "GeneratedReader":
        return self

    def __exit__(self, *exception: object) -> None:
        pass


@dataclass(frozen=True)
class GeneratedRecording:
    scan: int
    frames: int
    up: str = "z"

    @property
    def name(self) -> str:
        return f"scene{self.scan:04d}_00"

    def open(self) -> GeneratedReader:
        return GeneratedReader(self.scan, self.frames)


@dataclass(frozen=True)
class ColourTeacher:
    """Says the mean colour of an image, in a prefix of any shape."""

    target_shape: tuple[int, int]
    identity: str = "mean colour"
    weights_hash: str = "0" * 64

    def targets(self, images: list[Image.Image]) -> torch.Tensor:
        means = torch.tensor([np.asarray(image).mean() / 255 for image in images], dtype=torch.float32)
        directions = torch.randn(self.target_shape, generator=torch.Generator().manual_seed(0))
        return means[:, None, None] * directions


def _store(
    folder: Path,
    prefix: tuple[int, int],
    first_scan: int = 0,
    every: int = 1,
    points: int = 4096,
    source: str = "generated",
) -> Path:
    recordings = [GeneratedRecording(first_scan + scan, 3) for scan in range(2)]
    settings = FrameSettings(every=every, points=points)
    prepare_recordings(recordings, folder, lambda: ColourTeacher(prefix), settings, source, workers=1)
    return folder


@pytest.fixture(scope="module")
def small_stores(tmp_path_factory) -> tuple[Path, Path]:
    """Training and held-out store with the embedded teacher's prefix."""
    folder = tmp_path_factory.mktemp("stores")
    return _store(folder / "train", (8, 64)), _store(folder / "heldout", (8, 64), first_scan=2)


def _two_steps(recipe: PretrainRecipe) -> PretrainRecipe:
    """Batches of 3 out of 6 frames: two steps an epoch."""
    return with_optimisation(recipe, epochs=1, batch_size=3, warmup_epochs=0, checkpoint_every=1, validate_every=1)


@pytest.fixture(scope="module")
def distilled(small_stores, tmp_path_factory) -> Path:
    """A finished run of the quickstart's distillation."""
    folder = tmp_path_factory.mktemp("distilled")
    train, heldout = small_stores
    run_pretrain(_two_steps(distillation()), train, heldout, folder)
    return folder


def _check_run(folder: Path, recipe: PretrainRecipe, figures: set[str]) -> None:
    result = json.loads((folder / "result.json").read_text())
    assert [row["step"] for row in result["curve"]] == [1, 2]
    assert set(result["heldout"]) == figures
    assert np.isfinite([row["loss"] for row in result["curve"]] + list(result["heldout"].values())).all()
    assert load_backbone(folder).config == recipe.backbone
    card = json.loads((folder / "backbone.json").read_text())
    assert card["recipe"] == as_json(_two_steps(recipe))


def test_quickstart_distillation_takes_two_steps(distilled):
    _check_run(distilled, distillation(), {"r2", "spread"})


PREFIXED = [
    f"quickstart-{kind}" for kind in ("tokens", "pooled", "no-captions", "imagenet", "random-teacher", "untied", "mix")
]


@pytest.mark.parametrize("name", PREFIXED)
def test_every_variant_takes_two_steps_and_is_read_back(name, small_stores, tmp_path):
    recipe, (train, heldout) = pretraining_recipes()[name], small_stores
    assert recipe.name == name and recipe != distillation()
    run_pretrain(_two_steps(recipe), train, heldout, tmp_path)
    _check_run(tmp_path, recipe, {"r2", "spread"})
    method = load_distilled(tmp_path).method
    batch = train_loader(_two_steps(recipe), FrameStore.open(train)).batch(np.arange(2), 0)
    assert method.config == recipe.method and method.predict(batch.points).shape == (2, 8, 64)


def test_variants_change_one_thing():
    """Table 5's rows are Table 8 but for what they are called after."""
    base, recipes = as_json(paper()), pretraining_recipes()
    assert recipes["paper"] == paper() and recipes["quickstart"] == distillation()
    changed = {
        "tokens": {"method": {"reads": "tokens"}},
        "pooled": {"method": {"reads": "pooled"}},
        "no-captions": {"teacher": CLIP_FEATURE},
        "local": {"teacher": CLIP_PATCHES},
        "imagenet": {"teacher": IMAGENET},
        "untied": {"method": {"concepts": {**base["method"]["concepts"], "tie_layers": False}}},
        "mix": {"method": {"projector": {"form": "mix", "hidden": 384}}},
    }
    for kind, change in changed.items():
        expected = {**base, **change, "name": f"paper-{kind}"}
        if "method" in change:
            expected["method"] = {**base["method"], **change["method"]}
        if kind == "local":
            expected["method"] = {"hidden": 1024, "image_side": 224, "standardise": "none"}
        assert as_json(recipes[f"paper-{kind}"]) == expected
    assert f"clip-feature-{VIT_B32}" == CLIP_FEATURE and f"clip-patches-{VIT_B32}" == CLIP_PATCHES


def test_small_ablations_learn_from_the_embedded_teacher():
    """Where the paper has CLIP's feature and patches; nothing else but the teacher changes."""
    recipes, base = pretraining_recipes(), distillation()
    teachers = {"no-captions": "small-feature", "imagenet": "imagenet", "random-teacher": "random"}
    for kind, teacher in teachers.items():
        assert recipes[f"quickstart-{kind}"] == replace(base, name=f"quickstart-{kind}", teacher=teacher)
    local = recipes["quickstart-local"]
    assert local.teacher == "small-patches" and as_json(local)["method"]["image_side"] == 64
    assert replace(local, name="quickstart", teacher="small", method=base.method) == base
    with pytest.raises(ValueError, match="no teacher of random weights"):
        random_teacher(paper())


def test_local_alignment_takes_two_steps(tmp_path):
    recipe = pretraining_recipes()["quickstart-local"]
    train, heldout = _store(tmp_path / "train", (9, 64)), _store(tmp_path / "heldout", (9, 64), first_scan=2)
    run_pretrain(_two_steps(recipe), train, heldout, tmp_path / "run")
    _check_run(tmp_path / "run", recipe, {"r2", "inside"})
    with pytest.raises(RecipeError, match="8 tokens a frame, no square map"):
        run_pretrain(_two_steps(recipe), _store(tmp_path / "prefix", (8, 64)), None, tmp_path / "other")
    with pytest.raises(CheckpointError, match="predicts no teacher's target"):
        load_distilled(tmp_path / "run")


SELF_SUPERVISED = {
    "point-mae": {"chamfer"},
    "point-bert": {"cross_entropy", "accuracy"},
    "mask-point": {"focal", "accuracy"},
    "occo": {"chamfer_coarse", "chamfer_fine"},
    "cross-point": {"retrieval", "image_retrieval"},
    "point-contrast": {"match_retrieval"},
    "depth-contrast": {"retrieval"},
}
"""What each of the other methods measures on held-out frames, by the end of its recipes' names."""


@pytest.mark.parametrize("kind", SELF_SUPERVISED)
def test_other_methods_take_two_steps_on_the_same_frames(kind, small_stores, tmp_path):
    recipe, (train, heldout) = pretraining_recipes()[f"quickstart-{kind}"], small_stores
    base = distillation()
    assert (recipe.frames, recipe.engine) == (base.frames, base.engine)
    assert replace(recipe.backbone, class_token=False) == base.backbone
    run_pretrain(_two_steps(recipe), train, heldout, tmp_path)
    _check_run(tmp_path, recipe, SELF_SUPERVISED[kind])
    assert read_finished(tmp_path)[0] == _two_steps(recipe)


@pytest.fixture
def point_bert_run(small_stores, tmp_path) -> Path:
    """A finished run of the quickstart's Point-BERT, its tokenizer first."""
    run_pretrain(_two_steps(point_bert(distillation())), *small_stores, tmp_path)
    return tmp_path


def test_a_first_stage_is_a_run_of_its_own_that_is_handed_on_and_not_repeated(point_bert_run, small_stores):
    recipe, tokenizer = _two_steps(point_bert(distillation())), point_bert_run / "tokenizer"
    before, run = read_finished(tokenizer)
    assert before == first_stage(recipe) and before.engine == recipe.first and before.method == recipe.method.tokenizer
    assert before.name == "quickstart-point-bert-tokenizer" and run["data"] == read_finished(point_bert_run)[1]["data"]
    assert not list(tokenizer.glob("backbone.*")) and not (tokenizer / "model_card.md").exists()
    learned = load_tensors(tokenizer / "method.safetensors")[0]
    whole = load_tensors(point_bert_run / "method.safetensors")[0]
    assert all(torch.equal(whole[f"tokenizer.{name}"], value) for name, value in learned.items())
    result = json.loads((point_bert_run / "result.json").read_text())
    assert result["first"]["steps"] == 2 and set(result["first"]["heldout"]) == {"chamfer", "perplexity"}

    # The second stage anew: what the first left is read, not trained.
    for name in ("result.json", "state.safetensors", "log.jsonl"):
        (point_bert_run / name).unlink()
    said = []
    again = run_pretrain(recipe, *small_stores, point_bert_run, lambda done, total, note: said.append(note))
    assert again["curve"][-1]["loss"] == result["curve"][-1]["loss"] and not any("tokenizer" in note for note in said)
    with pytest.raises(RecipeError, match="another recipe"):
        run_pretrain(replace(recipe, first=replace(recipe.first, lr=1e-2)), *small_stores, point_bert_run)


def test_two_stages_are_asked_for_where_a_method_has_them_and_only_there(small_stores, tmp_path):
    recipe = _two_steps(point_bert(distillation()))
    with pytest.raises(RecipeError, match=r"quickstart-point-bert: .* Give one"):
        run_pretrain(replace(recipe, first=None), *small_stores, tmp_path / "run")
    with pytest.raises(RecipeError, match="Leave it out for other methods"):
        run_pretrain(replace(_two_steps(distillation()), first=recipe.first), *small_stores, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_point_bert_at_the_papers_sizes_is_the_published_one():
    """cfgs/ShapeNet55_models/dvae.yaml and cfgs/Mixup_models/Point-BERT.yaml of the official repository."""
    shapes, frames = pretraining_recipes()["point-bert-shapenet55"], point_bert(paper())
    for recipe in (shapes, frames):
        assert recipe.method == PointBERTConfig() and recipe.backbone.class_token and recipe.teacher == "none"
        assert recipe.first is not None
        assert (recipe.first.lr, recipe.first.weight_decay) == (5e-4, 5e-4)
    assert PointBERTConfig() == PointBERTConfig(DVAEConfig(8192, 256, 128, 4), (0.25, 0.45), 512, 0.999, 0.07, 16384)
    of_all = [(engine.epochs, engine.batch_size, engine.warmup_epochs) for engine in (shapes.first, shapes.engine)]
    assert of_all == [(300, 64, 10), (300, 128, 3)]
    assert (shapes.engine.lr, shapes.engine.weight_decay) == (5e-4, 5e-2) and frames.engine == paper().engine
    assert (shapes.backbone.patch_hidden, shapes.backbone.patch_pooled, shapes.frames.points) == (128, 256, 1024)
    small = point_bert(distillation()).method
    assert small == PointBERTConfig(DVAEConfig(512, 32, 16), contrast_width=128, queue=1024)


@pytest.mark.parametrize("recipe", pretraining_recipes().values(), ids=lambda recipe: recipe.name)
def test_recipes_are_read_back_as_they_were(recipe):
    assert read_pretrain_recipe(json.loads(json.dumps(as_json(recipe)))) == recipe


def test_point_mae_takes_two_steps(small_stores, tmp_path):
    recipe, (train, heldout) = point_mae(distillation()), small_stores
    run_pretrain(_two_steps(recipe), train, heldout, tmp_path)
    _check_run(tmp_path, recipe, {"chamfer"})


@pytest.mark.parametrize("recipe", ABLATION, ids=lambda recipe: recipe.name)
def test_reconstruction_ablation_takes_two_steps(recipe, small_stores, tmp_path):
    train, heldout = small_stores
    run_pretrain(_two_steps(recipe), train, heldout, tmp_path)
    combined = isinstance(recipe.method, DistillReconstructionConfig)
    _check_run(tmp_path, recipe, {"r2", "spread", "chamfer"} if combined else {"chamfer"})
    row = read_log(tmp_path / "log.jsonl")[-1]
    assert row["chamfer_x1000"] == pytest.approx(1000 * row["chamfer"])
    if combined:
        assert row["loss"] == pytest.approx(row["distill"] + row["chamfer"])
        method = load_distilled(tmp_path).method
        batch = train_loader(_two_steps(recipe), FrameStore.open(train)).batch(np.arange(2), 0)
        assert method.predict(batch.points).shape == (2, 8, 64)
    else:
        with pytest.raises(CheckpointError, match="predicts no teacher's target"):
            load_distilled(tmp_path)


def test_reconstruction_ablation_at_the_papers_sizes():
    """Section 4.3.2: 60 % of what is encoded, three layers; all else is Table 8's."""
    both, only = distillation_with_reconstruction(paper()), reconstruction(paper())
    assert both.method == DistillReconstructionConfig(paper().method, MASKED_FEATURES, 1.0, 1.0)
    assert only.method == MASKED_FEATURES
    assert reconstruction(paper(), "input").method == replace(MASKED_FEATURES, mask_at="input")
    for recipe in (both, only):
        assert replace(recipe, name="paper", method=paper().method) == paper()


def test_without_a_held_out_store_figures_are_of_frames_trained_on_and_called_so(small_stores, tmp_path):
    result = run_pretrain(_two_steps(distillation()), small_stores[0], None, tmp_path)
    assert set(result["seen"]) == {"r2", "spread"} and result["heldout"] == {}
    assert "r2 on frames trained on" in summary(result) and "held-out" not in summary(result)
    card = (tmp_path / "model_card.md").read_text()
    assert "none were measured; those below are of frames trained on" in card and "| r2 on frames trained on |" in card


def test_finished_distillation_can_be_read_back_whole(small_stores, distilled):
    recipe = _two_steps(distillation())
    method = load_distilled(distilled).method
    batch = train_loader(recipe, FrameStore.open(small_stores[0])).batch(np.arange(2), 0)
    assert method.predict(batch.points).shape == (2, 8, 64)
    assert not method.training


def test_other_recipe_data_or_control_is_refused_in_the_same_folder(small_stores, distilled):
    recipe, (train, heldout) = _two_steps(distillation()), small_stores
    assert run_pretrain(recipe, train, heldout, distilled)["steps"] == 2
    other = replace(recipe, engine=replace(recipe.engine, lr=2e-3))
    with pytest.raises(RecipeError, match="another recipe"):
        run_pretrain(other, train, heldout, distilled)
    with pytest.raises(RecipeError, match="other data"):
        run_pretrain(recipe, heldout, heldout, distilled)
    with pytest.raises(RecipeError, match="other data"):
        run_pretrain(recipe, train, heldout, distilled, permute_targets=True)


def test_fewer_frames_than_a_batch_is_said(small_stores, tmp_path):
    train, heldout = small_stores
    with pytest.raises(RecipeError, match="6 frames are fewer than one batch of 16"):
        run_pretrain(distillation(), train, heldout, tmp_path)


@pytest.mark.parametrize(
    ("every", "points", "source", "problem"),
    [
        (1, 4096, "scannet train", "every 1 instead of 25. "),
        (25, 4096, "scannet val", "source scannet val instead of scannet train. "),
        (25, 4095, "scannet train", "4095 points a frame where each cloud has 4096. "),
        (5, 256, "generated", "source generated instead of scannet train, every 5 instead of 25, 256 points"),
    ],
)
def test_papers_recipe_refuses_other_frames(tmp_path, every, points, source, problem):
    store = _store(tmp_path / "store", (2, 3), every=every, points=points, source=source)
    with pytest.raises(RecipeError, match=problem):
        require_papers_store(paper(), FrameStore.open(store))


def test_papers_recipe_says_when_the_teacher_is_another(tmp_path, capsys):
    store = FrameStore.open(_store(tmp_path / "store", (2, 3), every=25, source="scannet train"))
    capsys.readouterr()
    require_papers_store(paper(), store)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("warning: ") and "mean colour" in line and "clipcap-conceptual" in line
    require_papers_store(replace(paper(), teacher="mean colour"), store)
    assert not capsys.readouterr().out


def test_paper_takes_two_steps_at_its_own_sizes(tmp_path):
    """Only the batch is small. By hand, since a checkpoint of this recipe is above a gigabyte."""
    engine = replace(paper().engine, epochs=1, batch_size=2)
    recipe = replace(paper(), engine=engine)
    store = FrameStore.open(_store(tmp_path / "store", (10, 768)))
    torch.manual_seed(0)
    method = build_method(recipe, store)
    assert isinstance(method, Distill)
    method.train()
    assert sum(p.numel() for p in method.projector.parameters()) == 76_688_640  # 32 x 384 -> 3840 -> 10 x 768
    optimizer = adamw(method, recipe.engine.lr, recipe.engine.weight_decay)
    before = method.concepts.prototypes.detach().clone()
    losses = []
    for _, batch in zip(range(2), train_loader(recipe, store).epoch(0), strict=False):
        assert batch.points.shape == (2, 4096, 3) and batch.targets.shape == (2, 10, 768)
        loss = method(batch, Draw(0, 0, batch.index.numpy())).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert len(losses) == 2 and np.isfinite(losses).all()
    assert not torch.equal(before, method.concepts.prototypes)


def test_an_estimate_says_what_it_would_take_and_writes_nothing(small_stores, tmp_path, capsys):
    train, _ = small_stores
    given = ["--data", str(train), "--out", str(tmp_path / "run"), "--batch-size", "4", "--estimate"]
    cli.main(["pretrain", "quickstart-point-bert", *given])
    said = capsys.readouterr().out
    assert said.count("the largest batch that fits is ") == said.count("s a step on cpu") == 2
    assert "its tokenizer, first: 6 frames" in said and "epochs of batches of 4: " in said
    assert not (tmp_path / "run").exists()
