"""The loop: golden losses, exact resume, refusal of foreign folders, NaN, collapse."""

import signal
from dataclasses import replace

import pytest
import torch

import golden_losses
from pointdistill import create_backbone
from pointdistill.batch import FrameBatch
from pointdistill.engine.pretrain import PretrainConfig, pretrain
from pointdistill.errors import RecipeError, TrainingDiverged
from pointdistill.methods.distill import Distill, DistillConfig
from pointdistill.methods.distill_reconstruction import DistillReconstructionConfig
from pointdistill.methods.dvae import DVAEConfig
from pointdistill.methods.local_alignment import LocalAlignmentConfig
from pointdistill.methods.point_bert import PointBERTConfig
from pointdistill.methods.point_contrast import PointContrastConfig
from pointdistill.methods.point_mae import FrozenEncoderMAE, PointMAE, PointMAEConfig
from pointdistill.models.concepts import ConceptConfig
from pointdistill.models.decoder import DecoderConfig
from pointdistill.models.projector import ProjectorConfig
from pointdistill.online_probe import Probes
from pointdistill.pretraining import summary
from pointdistill.seeding import torch_generator
from pointdistill.stopping import Stopped, listening
from pointdistill.tasks.classification import Classification
from pointdistill.tensors import load_tensors

TINY = {"width": 24, "depth": 2, "heads": 2, "groups": 8, "group_size": 4}
CONFIG = PretrainConfig(epochs=3, batch_size=4, warmup_epochs=1, checkpoint_every=2, validate_every=3)


class Frames:
    """A loader of made-up frames whose target depends on the cloud; three batches an epoch."""

    def __len__(self):
        return 3

    def epoch(self, number, start_step=0):
        for step in range(start_step, 3):
            generator = torch_generator(0, "frames", number, step)
            points = torch.randn(4, 64, 3, generator=generator)
            points[:, :, 0] *= torch.rand(4, 1, generator=generator) * 3
            targets = points.std(1)[:, None, :].expand(-1, 2, -1).contiguous()
            yield FrameBatch(points, targets, torch.arange(4) + 4 * step)


class Interrupted(Exception):
    pass


DISTILL = DistillConfig(
    ConceptConfig(count=4, heads=2, attend="block_output"), ProjectorConfig("flat", 16), standardise="scalar"
)
MASKING = PointMAEConfig(decoder=DecoderConfig(depth=1, heads=2))
TOKENIZER = DVAEConfig(tokens=16, token_width=8, graph_width=4)
TARGETS = torch.full((2, 3), 1.0), torch.full((2, 3), 0.5)


def distill():
    torch.manual_seed(0)
    return Distill(DISTILL, create_backbone("vit_nano", **TINY), *TARGETS)


def run(method, out, config=CONFIG, identity="one", report=lambda done, total, note: None, probe=None):
    return pretrain(method, Frames(), Frames(), config, out, identity, report=report, probe=probe)


def masking(module=PointMAE):
    torch.manual_seed(0)
    return module(MASKING, create_backbone("vit_nano", **TINY))


def probe():
    """Every second step, on frames that have targets, whether the method learns from them or not."""
    return Probes(2, (Frames(), Frames()), None, Classification(), {})


TIMES = ("seconds", "steps_per_second", "probe_seconds")


def without_times(rows):
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


GOLDEN = {
    "distill": DISTILL,
    "point_mae": MASKING,
    "masked_features": replace(MASKING, mask_at="output"),
    "distill_reconstruction": DistillReconstructionConfig(DISTILL, replace(MASKING, mask_at="output")),
    "dvae": TOKENIZER,
    "point_bert": PointBERTConfig(TOKENIZER, contrast_width=6, queue=10),
    "local_alignment": LocalAlignmentConfig(hidden=16),
    "point_contrast": PointContrastConfig(temperature=0.5),  # less steep than 0.07: rounding stays small
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_losses_of_the_first_steps(name, tmp_path):
    golden_losses.check(name, GOLDEN[name], tmp_path)


@pytest.mark.parametrize("build", [distill, masking, lambda: masking(FrozenEncoderMAE)])
def test_a_probe_changes_nothing_but_the_log(build, tmp_path):
    plain, probed = run(build(), tmp_path / "plain"), run(build(), tmp_path / "probed", probe=probe())
    states = [(tmp_path / name / "state.safetensors") for name in ("plain", "probed")]
    ours, theirs = (load_tensors(path)[0] for path in states)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [row["step"] for row in probed] == [2, 3, 4, 6, 8, 9]
    assert [row["step"] for row in probed if "prefix_r2" in row] == [2, 4, 6, 8, 9]
    assert all("probe_seconds" in row for row in probed if "prefix_r2" in row)
    validated = [row for row in without_times(probed) if row["step"] % 3 == 0]
    for row in validated:
        row.pop("prefix_r2", None)
    assert validated == without_times(plain)


def test_a_probe_leaves_modes_and_statistics_as_they_are(tmp_path):
    method, told = distill().train(), Probes(2, (Frames(), Frames()), None, Classification(), {})
    method.backbone.blocks[0].eval()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    modes, stream = [module.training for module in method.modules()], torch.get_rng_state()
    first = told.figures(method.backbone)
    assert first == told.figures(method.backbone) and first["prefix_r2"] <= 1
    assert modes == [module.training for module in method.modules()] and torch.equal(stream, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())
    assert all(parameter.grad is None for parameter in method.parameters())


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    whole = run(distill(), tmp_path / "whole", replace(CONFIG, checkpoint_every=1), probe=probe())

    class Stopping(Frames):
        def __init__(self, after):
            self.left = after

        def epoch(self, number, start_step=0):
            for batch in super().epoch(number, start_step):
                if self.left == 0:
                    raise Interrupted
                self.left -= 1
                yield batch

    for after in (2, 1, 4):
        with pytest.raises(Interrupted):
            config = replace(CONFIG, checkpoint_every=1)
            pretrain(distill(), Stopping(after), Frames(), config, tmp_path / "parts", "one", probe=probe())
    resumed = run(distill(), tmp_path / "parts", replace(CONFIG, checkpoint_every=1), probe=probe())
    assert without_times(resumed) == without_times(whole)
    ours, theirs = (load_tensors(tmp_path / name / "state.safetensors")[0] for name in ("whole", "parts"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("where", ["training", "validation", "validation of a checkpoint", "probe"])
def test_a_run_that_is_asked_to_stop_saves_what_it_has(where, tmp_path):
    config = replace(CONFIG, checkpoint_every=3 if where.endswith("checkpoint") else 100)
    whole = run(distill(), tmp_path / "whole", config, probe=probe())

    class Asking(Frames):
        def epoch(self, number, start_step=0):
            signal.raise_signal(signal.SIGTERM)
            yield from super().epoch(number, start_step)

    class AskingProbe(Probes):
        def figures(self, backbone):
            signal.raise_signal(signal.SIGTERM)
            return super().figures(backbone)

    asking = Asking() if where.startswith("validation") else Frames()
    asked = AskingProbe(2, (Frames(), Frames()), None, Classification(), {}) if where == "probe" else probe()
    with listening(), pytest.raises(Stopped, match="saved at step") as stopped:
        train = Asking() if where == "training" else Frames()
        pretrain(distill(), train, asking, config, tmp_path / "parts", "one", probe=asked)
    step = {"training": 1, "probe": 2}.get(where, 3)
    assert f"saved at step {step}" in str(stopped.value)
    _, metadata = load_tensors(tmp_path / "parts" / "state.safetensors")
    assert metadata["step"] == str(step) and ("due" in metadata) == (where != "training")
    resumed = run(distill(), tmp_path / "parts", config, probe=probe())
    assert without_times(resumed) == without_times(whole)
    ours, theirs = (load_tensors(tmp_path / name / "state.safetensors")[0] for name in ("whole", "parts"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_finished_run_is_not_trained_further(tmp_path):
    run(distill(), tmp_path)
    before = (tmp_path / "state.safetensors").read_bytes()
    run(distill(), tmp_path)
    assert (tmp_path / "state.safetensors").read_bytes() == before


def test_another_recipe_in_the_same_folder_is_refused(tmp_path):
    run(distill(), tmp_path)
    with pytest.raises(RecipeError, match="another recipe"):
        run(distill(), tmp_path, identity="two")


def test_nan_names_the_step_and_keeps_the_last_good_checkpoint(tmp_path):
    class Poisoned(Frames):
        def epoch(self, number, start_step=0):
            for step, batch in enumerate(super().epoch(number, start_step), start_step):
                targets = batch.targets * float("nan") if (number, step) == (1, 0) else batch.targets
                yield replace(batch, targets=targets)

    with pytest.raises(TrainingDiverged, match=r"step 4: loss nan.*checkpoint is kept"):
        pretrain(distill(), Poisoned(), Frames(), replace(CONFIG, checkpoint_every=1), tmp_path, "one")
    tensors, metadata = load_tensors(tmp_path / "state.safetensors")
    assert metadata["step"] == "3"
    assert all(torch.isfinite(value).all() for value in tensors.values())


def test_collapse_to_the_mean_is_logged_and_said(tmp_path):
    method, said = distill(), []
    torch.nn.init.zeros_(method.projector.last.weight)
    method.projector.last.weight.requires_grad_(False)
    rows = run(method, tmp_path, replace(CONFIG, validate_every=1), report=lambda done, total, note: said.append(note))
    assert "WARNING" in said[-1]
    assert "collapsed" in summary({"heldout": {"r2": 0.0}, "curve": rows, "steps": 9, "seconds": 1.0})
    assert "warning" not in rows[0]
    assert all("collapsed" in row["warning"] for row in rows[6:])


def test_seconds_of_an_interrupted_run_are_added_up(tmp_path):
    def stop(done, total, note):
        raise Interrupted

    config = replace(CONFIG, epochs=4, checkpoint_every=2, validate_every=12)
    with pytest.raises(Interrupted):
        run(distill(), tmp_path, config, report=stop)
    _, metadata = load_tensors(tmp_path / "state.safetensors")
    rows = run(distill(), tmp_path, config)
    assert 0 < float(metadata["seconds"]) < rows[-1]["seconds"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_resumed_run_goes_on_on_a_gpu(tmp_path):
    config = replace(CONFIG, precision="bfloat16")
    pretrain(distill(), Frames(), Frames(), replace(config, epochs=1), tmp_path, "one", device="cuda")
    rows = pretrain(distill(), Frames(), Frames(), config, tmp_path, "one", device="cuda")
    assert rows[-1]["step"] == 9


def test_learns_a_learnable_target(tmp_path):
    rows = run(distill(), tmp_path, replace(CONFIG, epochs=60, validate_every=180, checkpoint_every=1000))
    assert rows[-1]["heldout_r2"] > 0.3
